//! a script that got into the page calls every command with what it likes. Nobody signed in: nothing of anybody comes. Signed
//! in: what is malformed, made up or another's is refused, and the program goes on.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use vitrine_desktop_tests::act::sign_in;
use vitrine_desktop_tests::{Desktop, automation_bin};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Person, Station, person};

/// Who may call a command.
#[derive(Clone, Copy, PartialEq)]
enum For {
    /// Answers also with nobody signed in, and shows nothing of a patient.
    Anybody,
    /// Somebody signed in, or refused.
    Person,
    /// Somebody signed in; a text that finds nobody is an answer too, so is a draft of one's own, which nobody else reads, and
    /// ending what is not open is no fault.
    Lenient,
}
use For::{Anybody, Lenient, Person as Signed};

/// Every command there is, with arguments of the right form.
fn commands() -> Vec<(&'static str, For, Value)> {
    let input = json!({"kind": "note", "text": "x"});
    let seen = json!({"id": "00000000-0000-7000-8000-000000000000"});
    let request = json!({"patient": "nobody", "reason": "life-threatening", "words": null, "token": "x", "user": null, "secret": null});
    vec![
        ("active", Anybody, json!({})),
        ("ask_server", Anybody, json!({})),
        ("badge", Signed, json!({"text": "04A1B2C3"})),
        ("badge_sign_in", Signed, json!({"token": "x", "secret": "0000"})),
        ("board", Signed, json!({"ward": "ICU"})),
        ("break_glass_end", Lenient, json!({"grant": "nothing"})),
        ("break_glass_open", Signed, json!({"request": request})),
        ("break_glass_owed", Signed, json!({})),
        (
            "break_glass_words",
            Signed,
            json!({"grant": "nothing", "words": "x"}),
        ),
        ("card_close", Lenient, json!({"patient": "nobody"})),
        ("chart_close", Lenient, json!({"patient": "nobody"})),
        ("chart_open", Signed, json!({"patient": "nobody"})),
        ("drill_end", Anybody, json!({})),
        // The right form is a number of minutes; none is no drill.
        ("drill_start", Signed, json!({"minutes": 0})),
        (
            "emergency_identify",
            Signed,
            json!({"user": "nobody", "secret": "0000"}),
        ),
        ("emergency_scan", Signed, json!({"token": "x", "text": "8018"})),
        ("emergency_search", Signed, json!({"token": "x", "query": "a"})),
        ("entries", Signed, json!({})),
        (
            "entry_draft",
            Lenient,
            json!({"patient": "nobody", "kind": "note"}),
        ),
        ("entry_form", Anybody, json!({})),
        (
            "entry_preview",
            Signed,
            json!({"patient": "nobody", "input": input}),
        ),
        (
            "entry_record",
            Signed,
            json!({"patient": "nobody", "input": input, "seen": seen}),
        ),
        ("entry_settle", Signed, json!({"id": "nothing", "words": "done"})),
        (
            "image_center",
            Lenient,
            json!({"view": 1, "frame": 0, "velocity": 0.0, "px": 64}),
        ),
        ("image_close", Lenient, json!({"view": 1})),
        (
            "image_open",
            Signed,
            json!({"patient": "nobody", "study": "1.2", "series": "1.2", "px": 64}),
        ),
        ("images", Signed, json!({"patient": "nobody"})),
        ("listen", Signed, json!({"channel": "x"})),
        ("lock", Anybody, json!({})),
        ("lock_view", Anybody, json!({})),
        ("marks", Anybody, json!({})),
        (
            "change_secret",
            Signed,
            json!({"now": "x", "which": "pin", "fresh": "802461"}),
        ),
        ("packet_print", Signed, json!({"ward": "ICU"})),
        ("painted", Lenient, json!({"mark": "x", "sinceKeyMs": null})),
        ("preferences", Anybody, json!({})),
        (
            "preferences_set",
            Signed,
            json!({"preferences": {"night": 1, "scale": "large"}}),
        ),
        ("provider_cancel", Anybody, json!({})),
        // Without a provider at the server nobody is sent anywhere.
        ("provider_sign_in", Signed, json!({"pin": null})),
        ("reasons", Anybody, json!({})),
        ("results", Signed, json!({"ward": "ICU"})),
        ("scan", Lenient, json!({"text": "8018"})),
        ("search", Lenient, json!({"query": "zzzz"})),
        (
            "set_entry_draft",
            Lenient,
            json!({"patient": "nobody", "kind": "note", "fields": {"text": "x"}}),
        ),
        ("sign_in", Signed, json!({"user": "nobody", "secret": "0000"})),
        ("standby_behind", Anybody, json!({})),
        // None lies behind, or the page that asks would be gone: what is of the right form exchanges nothing here.
        ("standby_exchange", Anybody, json!({"pressedMs": 0.0})),
        ("standby_prepare", Anybody, json!({})),
        ("standby_ready", Anybody, json!({"front": "__CHANNEL__:1"})),
        ("status", Anybody, json!({})),
        ("sync_view", Anybody, json!({})),
        ("verify_stored", Anybody, json!({})),
        ("wall", Signed, json!({})),
        ("wall_close", Anybody, json!({})),
        ("wall_open", Signed, json!({"ward": "ICU"})),
        ("wall_trends", Signed, json!({})),
    ]
}

/// The table above and what the shell registers are the same.
#[test]
fn no_command_is_forgotten_here() -> Result<()> {
    let source = include_str!("../../../src-tauri/src/commands/mod.rs");
    let (_, list) = source.split_once("generate_handler![").context("the list")?;
    let (list, _) = list
        .split_once(']')
        .and_then(|(head, tail)| {
            // One attribute stands in the list, with brackets of its own.
            let rest = tail.split_once("]\n}")?;
            Some((format!("{head}{}", rest.0), rest.1))
        })
        .context("the end of the list")?;
    let mut there: Vec<&str> = list
        .lines()
        .filter_map(|l| l.trim().strip_suffix(',')?.split_once("::"))
        .map(|(_, name)| name)
        .collect();
    there.sort_unstable();
    let mut here: Vec<&str> = commands().iter().map(|(name, ..)| *name).collect();
    here.sort_unstable();
    assert_eq!(there, here);
    Ok(())
}

/// What a hostile script puts in the place of each argument.
fn hostile(foreign: &str) -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e308),
        json!([]),
        json!([[["x"]]]),
        json!({}),
        json!({"__proto__": {"patient": foreign}, "constructor": "x"}),
        json!(""),
        json!("../../../../etc/passwd"),
        json!("x' OR '1'='1"),
        json!("\" OR name:*"),
        json!("nul\u{0}byte"),
        json!("\u{202e}\u{2066}right to left"),
        json!("<img src=x onerror=alert(1)>"),
        json!("x".repeat(200_000)),
        json!(foreign),
    ]
}

/// Calls a command with each list of arguments; gives what came: whether it was an answer, and its words.
async fn calls(desktop: &Desktop, command: &str, all: &[Value]) -> Result<Vec<(bool, String)>> {
    let script = format!(
        "const all = {}; const said = []; const one = (args) => window.__TAURI_INTERNALS__.invoke('{command}', args)
           .then((v) => said.push([true, String(JSON.stringify(v)).slice(0, 4000)]), (e) => said.push([false, String(JSON.stringify(e) ?? e).slice(0, 500)]));
         (async () => {{ for (const args of all) await one(args); done(said); }})();",
        Value::Array(all.to_vec())
    );
    let said = desktop.ask(&script).await?;
    let said = said.as_array().context("no list")?;
    ensure!(
        said.len() == all.len(),
        "{command}: {} of {} came back",
        said.len(),
        all.len()
    );
    Ok(said
        .iter()
        .map(|one| (one[0] == true, one[1].as_str().unwrap_or_default().to_owned()))
        .collect())
}

struct World {
    _dir: tempfile::TempDir,
    _server: Server,
    station: Station,
    nurse: Person,
    /// Somebody on another ward: the id and the family name.
    foreign: (String, String),
}

fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let patients = seed["patients"].as_array().context("patients")?;
    let other = patients
        .iter()
        .find(|p| p["ward"] == "ICU")
        .context("somebody in the ICU")?;
    let word = |name: &str| {
        other[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {name}"))
    };
    let family = word("name")?.rsplit(' ').next().context("a name")?.to_owned();
    Ok(World {
        nurse: person(&seed, "nurse", "ED")?,
        foreign: (word("id")?, family),
        _dir: dir,
        _server: server,
        station,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_refuses_a_script_that_calls_it() -> Result<()> {
    let w = world()?;
    let (id, family) = &w.foreign;
    let desktop = Desktop::start(&automation_bin(), &w.station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    let discloses = |said: &str| said.to_uppercase().contains(&family.to_uppercase());

    // Nobody is signed in.
    for (command, who, args) in commands() {
        for (answered, said) in calls(&desktop, command, &[args]).await? {
            ensure!(!discloses(&said), "{command} discloses: {said}");
            ensure!(who != Signed || !answered, "{command} answers nobody: {said}");
        }
    }

    // Somebody is.
    sign_in(&desktop, &w.nurse).await?;
    let (mut tried, mut refused) = (0, 0);
    for (command, who, args) in commands() {
        let Some(fields) = args.as_object().filter(|f| !f.is_empty()) else {
            continue;
        };
        let mut all = vec![json!({}), json!({"unknown": 1})];
        for field in fields.keys() {
            // A person signed in may break the glass for anybody; that is written down and reviewed, and no fault.
            let may = command == "break_glass_open";
            all.extend(hostile(if may { "nobody" } else { id }).into_iter().map(|value| {
                let mut spoilt = args.clone();
                spoilt[field] = value;
                spoilt
            }));
        }
        for (args, (answered, said)) in all.iter().zip(calls(&desktop, command, &all).await?) {
            tried += 1;
            refused += usize::from(!answered);
            let shown: String = args.to_string().chars().take(200).collect();
            ensure!(!discloses(&said), "{command} {shown} discloses: {said}");
            // Without a ward it is one's own.
            let own = matches!(command, "board" | "results" | "wall_open") && !args["ward"].is_string();
            if answered && who == Signed && !own {
                bail!("{command} {shown} was answered: {said}");
            }
        }
    }
    eprintln!("{tried} calls, {refused} refused, the others showed nobody");
    ensure!(refused > 300, "{refused} of {tried}");

    // It goes on, and the log is whole.
    desktop.find("search-screen").await?;
    let verified = w.station.cli(&["audit", "verify"], None)?;
    ensure!(verified["error"].is_null(), "{verified}");
    desktop.stop().await;
    Ok(())
}
