//! The screens of every day in the real window: a chart opened, another one brought to the front, the board of 200 rows, a key.
//!
//! `row_seen` is from the server's answer to a change of a patient to that row of the board as painted, by the machine's clock.
//! Everything else is measured in the page, from the key to the second frame after what it asked for is there, by the web view's clock.

use crate::report::Report;
use crate::world::{SETUP, World};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vitrine_desktop_tests::act::sign_in;
use vitrine_desktop_tests::{CTRL, Desktop, automation_bin};
use vitrine_tests::station::showcase;

const WINDOW: &str = "the window under Xvfb, software rendering, from the key to two frames after";
/// Further rows of the board.
const ADMITTED: usize = 200;

/// What the page needs for each measurement.
const TOOLS: &str = "
    const press = (key, ctrlKey = false) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, ctrlKey, bubbles: true, cancelable: true}));
    const there = (id) => document.querySelector(`[data-testid=\"${id}\"]:not([data-rehearsal] *)`);
    const painted = (ready) => new Promise((told) => {
      // Looked for between frames: asked in frames, it would be found one frame late.
      const look = () => ready() ? requestAnimationFrame(() => requestAnimationFrame(() => told(performance.now()))) : setTimeout(look, 1);
      look();
    });
    const timed = async (key, ctrl, ready) => { const from = performance.now(); press(key, ctrl); return await painted(ready) - from; };
    const essentials = () => there('banner') && there('allergies') && there('medicines');
    const cursor = () => document.querySelector('[role=listbox]')?.getAttribute('aria-activedescendant');
    const rest = () => new Promise((told) => setTimeout(told, 60));
";

async fn times(desktop: &Desktop, rounds: usize, one: &str) -> Result<Vec<f64>> {
    let mut all = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let took = desktop
            .ask(&format!("{TOOLS} (async () => {{ {one} }})();"))
            .await?;
        all.push(took.as_f64().with_context(|| format!("no time: {took}"))?);
    }
    Ok(all)
}

/// Gives the patient another first name; the time at which the server has it for good, ms since 1970.
async fn rename(http: &reqwest::Client, token: &str, url: &str, name: &str) -> Result<f64> {
    let held = http.get(url).bearer_auth(token).send().await?;
    let mut patient: Value = serde_json::from_slice(&held.bytes().await?)?;
    *patient.pointer_mut("/name/0/given").context("a name")? = serde_json::json!([name]);
    let sent = http
        .put(url)
        .bearer_auth(token)
        .header("content-type", "application/fhir+json")
        .body(patient.to_string())
        .send()
        .await?;
    ensure!(sent.status().is_success(), "a patient: {}", sent.status());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(now.as_secs_f64() * 1_000.0)
}

pub fn screens(report: &mut Report, quick: bool) -> Result<()> {
    let world = World::new(60, None)?;
    let _entered = world.runtime.enter();
    world.admit(ADMITTED)?;
    drop(world.station("ed-07", &world.server.url())?);
    let profile = world.dir.path().join("ed-07");
    let nurse = world.nurse()?;
    let http = world.server.http()?;
    let token = world.runtime.block_on(world.server.token(&http))?;
    let first = format!(
        "{}/fhir/Patient/{}",
        world.server.url(),
        showcase(&world.seed, "anaphyla")?["id"].as_str().context("id")?
    );
    let rounds = if quick { 10 } else { 100 };
    let measured = world.runtime.block_on(async {
        let desktop = Desktop::start(&automation_bin(), &profile, &[]).await?;
        desktop.find("lock-screen").await?;
        // What the window paints beforehand, behind the lock screen, keeps it busy for seconds here.
        desktop.mark_after("rehearsed", 0).await?;
        sign_in(&desktop, &nurse).await?;
        desktop.press(([CTRL], 'b')).await?;
        desktop.find("board-summary").await?;
        let rows = desktop
            .ask("setTimeout(() => done(document.querySelector('[role=listbox]').getAttribute('aria-setsize') ?? document.querySelector('[data-testid=board-summary]').textContent), 500)")
            .await?;
        // What two frames take here by themselves, with a small spot that changes: no key can be faster.
        let frames = times(
            &desktop,
            rounds,
            "const spot = document.createElement('i'); spot.style.cssText = 'position:fixed;left:0;top:0;width:8px;height:8px;background:red';
             const from = performance.now(); document.body.append(spot); const took = await painted(() => true) - from; spot.remove(); await rest(); done(took);",
        )
        .await?;
        let arrow = times(&desktop, rounds, "const was = cursor(); const took = await timed('ArrowDown', false, () => cursor() !== was); await rest(); done(took);").await?;
        // Typed for real: held for as long as it could be the beginning of a scanned code.
        let mut letter = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            desktop
                .ask(&format!(
                    "{TOOLS} const was = cursor(); window.took = undefined;
                     window.addEventListener('keydown', (e) => {{ const from = e.timeStamp; void painted(() => cursor() !== was).then((at) => (window.took = at - from)); }}, {{ once: true, capture: true }});
                     done(true);"
                ))
                .await?;
            desktop.press('k').await?;
            let took = desktop.ask("const look = () => window.took === undefined ? setTimeout(look, 20) : done(window.took); look();").await?;
            letter.push(took.as_f64().context("no time of the letter")?);
        }
        let board = times(
            &desktop,
            rounds,
            "press('f', true); await painted(() => there('search-screen')); await rest();
             const took = await timed('b', true, () => document.querySelectorAll('[data-testid=patient-row]').length > 5 && there('board-summary')); await rest(); done(took);",
        )
        .await?;
        let mut row = Vec::with_capacity(rounds);
        for n in 0..rounds {
            let name = format!("Zz{n}");
            desktop
                .ask(&format!(
                    "{TOOLS} window.took = undefined;
                     void painted(() => [...document.querySelectorAll('[role=option]')].some((row) => row.textContent.includes('{name}'))).then(() => (window.took = Date.now()));
                     done(true);"
                ))
                .await?;
            let written = rename(&http, &token, &first, &name).await?;
            let seen = desktop.ask("const look = () => window.took === undefined ? setTimeout(look, 20) : done(window.took); look();").await?;
            row.push(seen.as_f64().context("no time of the row")? - written);
        }
        let open = times(
            &desktop,
            rounds,
            "press('ArrowDown'); await rest(); const took = await timed('Enter', false, essentials); await rest();
             press('w', true); await painted(() => there('board-summary')); await rest(); done(took);",
        )
        .await?;
        for _ in 0..3 {
            times(&desktop, 1, "press('ArrowDown'); await rest(); await timed('Enter', false, essentials); press('b', true); await painted(() => there('board-summary')); await rest(); done(0);").await?;
        }
        let switch = times(
            &desktop,
            rounds,
            "const who = () => there('banner')?.dataset.patient; if (who() === undefined) { press('Tab', true); await painted(essentials); }
             const was = who(); const took = await timed('Tab', true, () => who() !== undefined && who() !== was && essentials()); await rest(); done(took);",
        )
        .await?;
        desktop.stop().await;
        Ok::<_, anyhow::Error>((rows, [("frames", frames), ("key", arrow), ("letter", letter), ("board", board), ("row_seen", row), ("chart_open", open), ("chart_switch", switch)]))
    })?;
    let (rows, measured) = measured;
    ensure!(!rows.is_null(), "a board");
    for (name, mut times) in measured {
        report.add_ms(
            "screens",
            name,
            &mut times,
            &format!("{SETUP}; {WINDOW}; board: {}", rows.as_str().unwrap_or_default()),
        );
    }
    Ok(())
}
