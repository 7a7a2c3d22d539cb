//! The real window under a virtual display: the emergency card as painted, cold and resident, and how the app starts.

use crate::report::Report;
use crate::world::{SETUP, World};
use anyhow::{Context, Result};
use std::path::Path;
use vitrine_desktop_tests::act::{break_the_glass, time_cards};
use vitrine_desktop_tests::{Desktop, automation_bin, shipped_bin};
use vitrine_tests::server::text;
use vitrine_tests::station::showcase;

const WINDOW: &str = "the window under Xvfb, software rendering, driven by WebDriver";

/// The card through the window: resident, then from a cold start of the program.
pub fn window(report: &mut Report, quick: bool) -> Result<()> {
    let mut world = World::new(160, None)?;
    drop(world.station("ed-07", &world.server.url())?);
    let profile = world.dir.path().join("ed-07");
    let nurse = world.nurse()?;
    let patient = showcase(&world.seed, "anaphyla")?;
    let mrn = patient["mrn"].as_str().context("mrn")?.to_owned();
    world.server.kill();
    let setup = format!("{SETUP}; server killed, nobody signed in; {WINDOW}");

    let (mut painted, mut engine) = (Vec::new(), Vec::new());
    let times = if quick { 10 } else { 120 };
    world.runtime.block_on(async {
        let desktop = Desktop::start(&automation_bin(), &profile, &[]).await?;
        for card in time_cards(&desktop, &nurse, &mrn, times).await? {
            painted.push(card.painted_ms);
            engine.push(card.engine_ms);
        }
        desktop.stop().await;
        Ok::<(), anyhow::Error>(())
    })?;
    report.add_ms(
        "emergency",
        "card_window",
        &mut painted,
        &format!("{setup}; from the last key to the painted card, two frames included"),
    );
    report.add_ms(
        "emergency",
        "card_window_engine",
        &mut engine,
        &format!("{setup}; the engine's part of card_window"),
    );

    let (mut first, mut cold, mut rss) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if quick { 3 } else { 10 } {
        world.runtime.block_on(async {
            let desktop = Desktop::start(&automation_bin(), &profile, &[]).await?;
            let shown = at(&desktop.mark_after("first-screen", 0).await?)?;
            break_the_glass(&desktop, &nurse, &mrn).await?;
            let card = desktop.mark_after("emergency-card", 0).await?;
            let key = card["since_key_ms"].as_f64().context("since_key_ms")?;
            first.push(shown);
            cold.push(shown + key);
            rss.push(memory(&automation_bin(), &profile)?);
            desktop.stop().await;
            Ok::<(), anyhow::Error>(())
        })?;
    }
    report.add_ms(
        "startup",
        "app_first_paint",
        &mut first,
        &format!("{WINDOW}; from the start of the program to the first painted screen"),
    );
    report.add_ms(
        "emergency",
        "card_cold_window",
        &mut cold,
        &format!("{setup}; start of the program to its first screen, and from the last key to the first card; without the typing between"),
    );
    rss.sort_by(f64::total_cmp);
    report.add(
        "startup",
        "app_rss_mib",
        rss.last().copied().unwrap_or(f64::NAN),
        "MiB",
        rss.len(),
        &format!(
            "{WINDOW}; the app and its web view's processes, proportional set size, a card on the screen"
        ),
    );
    #[allow(clippy::cast_precision_loss)]
    report.add(
        "startup",
        "app_binary_mib",
        std::fs::metadata(shipped_bin())?.len() as f64 / f64::from(1 << 20),
        "MiB",
        1,
        "the executable that ships, stripped; the screens are inside, WebKitGTK is the system's",
    );
    Ok(())
}

fn at(mark: &serde_json::Value) -> Result<f64> {
    mark["at_ms"].as_f64().context("at_ms")
}

/// Memory of the app with this profile and of every process below it, MiB, shared pages counted in proportion.
pub fn memory(program: &Path, profile: &Path) -> Result<f64> {
    let mut parents = Vec::new();
    let mut app = None;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|p| p.parse::<u32>().ok())
            .unwrap_or(0);
        parents.push((pid, parent));
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if words.starts_with(&text(program)) && words.contains(&text(profile)) {
            app = Some(pid);
        }
    }
    let mut family = vec![app.context("the app's process")?];
    let mut seen = 0;
    while seen < family.len() {
        let of = family[seen];
        family.extend(parents.iter().filter(|(_, p)| *p == of).map(|(c, _)| *c));
        seen += 1;
    }
    let mut kib = 0_u64;
    for pid in family {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        kib += rollup
            .lines()
            .find_map(|l| l.strip_prefix("Pss:"))
            .and_then(|v| v.split_whitespace().next())
            .and_then(|v| v.parse::<u64>().ok())
            .unwrap_or(0);
    }
    #[allow(clippy::cast_precision_loss)]
    Ok(kib as f64 / 1024.0)
}
