//! Opening charts: an ordinary one, and the patient of 131,000 resources.

use crate::report::Report;
use crate::world::{SETUP, World, by_pin, ms};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use vitrine_wire::view::EngineEvent;

pub fn chart(report: &mut Report, quick: bool) -> Result<()> {
    let heavy = if quick { 10_000 } else { 131_000 };
    let world = World::new(60, Some(heavy))?;
    let _entered = world.runtime.enter();
    let (station, nurse) = world.signed_in()?;
    let setup = format!("{SETUP}; patient of {heavy} resources");

    // ordinary charts of the nurse's own ward, from the cache
    let mut ordinary = Vec::new();
    for id in world.patients(24) {
        world.runtime.block_on(station.chart(&id))?;
    }
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..if quick { 4 } else { 40 } {
        for id in world.patients(24) {
            let from = Instant::now();
            world.runtime.block_on(station.chart(&id))?;
            ordinary.push(ms(from));
            station.active();
        }
    }
    report.add_ms(
        "chart",
        "open_cache",
        &mut ordinary,
        &format!("{SETUP}; charts of the ward, from the cache"),
    );

    // nobody opens a thousand charts in five seconds: what that left to upload goes up first
    let current = world
        .runtime
        .block_on(station.wait_current(Duration::from_secs(120)))?;
    anyhow::ensure!(current, "the outbox did not empty");

    // the heavy one lies in another ward: under a grant
    world
        .runtime
        .block_on(station.break_glass(by_pin("p-heavy", &nurse)))?;
    let mut events = station.events();
    let from = Instant::now();
    let first = world.runtime.block_on(station.chart("p-heavy"))?;
    report.add(
        "chart",
        "big_first_ms",
        ms(from),
        "ms",
        1,
        &format!("{setup}; banner, allergies, medicines, conditions"),
    );
    anyhow::ensure!(!first.banner.name.is_empty(), "the first section has the banner");
    let (into, shown, view) = loop {
        let next = tokio::time::timeout(Duration::from_secs(120), events.recv());
        let told = world
            .runtime
            .block_on(next)
            .context("the record did not arrive")?;
        if matches!(told, Ok(EngineEvent::PatientsChanged(p)) if p.iter().any(|p| p == "p-heavy")) {
            let into = ms(from);
            let view = world.runtime.block_on(station.chart("p-heavy"))?;
            if view.record_age.complete {
                break (into, ms(from), view);
            }
        }
        anyhow::ensure!(
            from.elapsed() < Duration::from_secs(120),
            "the record did not arrive"
        );
    };
    report.add(
        "chart",
        "big_complete_ms",
        into,
        "ms",
        1,
        &format!(
            "{setup}; {} resources in the encrypted cache, over loopback TLS",
            view.resources
        ),
    );
    report.add(
        "chart",
        "big_shown_ms",
        shown,
        "ms",
        1,
        &format!("{setup}; the same and the whole chart read and made ready for the screen"),
    );
    let mut again = Vec::new();
    for _ in 0..5 {
        let from = Instant::now();
        world.runtime.block_on(station.chart("p-heavy"))?;
        again.push(ms(from));
    }
    again.sort_by(f64::total_cmp);
    report.add(
        "chart",
        "big_cache_ms",
        again.last().copied().unwrap_or(f64::NAN),
        "ms",
        again.len(),
        &format!("{setup}; worst of the repeats, from the cache"),
    );
    Ok(())
}
