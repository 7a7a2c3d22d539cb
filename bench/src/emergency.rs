//! The emergency card, the search and the audit log of a workstation.

use crate::report::Report;
use crate::world::{SETUP, World, by_pin, ms, size};
use anyhow::{Context, Result};
use std::time::Instant;
use vitrine_tests::proxy::{Line, Proxy};
use vitrine_tests::server::text;

/// Opens `n` cards, PIN included, over all `patients` in turn.
fn cards(
    world: &World,
    station: &vitrine_engine::Workstation,
    patients: &[String],
    n: usize,
) -> Result<Vec<f64>> {
    let nurse = world.nurse()?;
    let mut out = Vec::with_capacity(n);
    for patient in patients.iter().cycle().take(n) {
        let from = Instant::now();
        let view = world
            .runtime
            .block_on(station.break_glass(by_pin(patient, &nurse)))?;
        out.push(ms(from));
        anyhow::ensure!(!view.access_id.is_empty(), "a card without its access");
    }
    Ok(out)
}

pub fn emergency(report: &mut Report, quick: bool) -> Result<()> {
    let (patients, n) = if quick { (160, 100) } else { (10_000, 1_000) };
    let mut world = World::new(patients, None)?;
    let proxy = world.runtime.block_on(Proxy::start(world.server.addr))?;
    let station = world.station("ed-07", &format!("https://{}", proxy.addr))?;
    let ids = world.patients(patients.min(2_000));
    let profile = world.dir.path().join("ed-07");
    let setup = format!("{SETUP}; PIN by Argon2id in the path; {patients} patients on the workstation");

    #[allow(clippy::cast_precision_loss)]
    let per_1k = size(&profile)? as f64 / (1 << 20) as f64 / patients as f64 * 1000.0;
    report.add(
        "import",
        "cache_mib_per_1k_patients",
        per_1k,
        "MiB",
        usize::try_from(patients)?,
        &setup,
    );

    let mut live = cards(&world, &station, &ids, n / 2)?;
    report.add_ms(
        "emergency",
        "card_online",
        &mut live,
        &format!("{setup}; server reachable"),
    );
    proxy.set(Line::BlackHole);
    let mut hole = cards(&world, &station, &ids, n)?;
    report.add_ms(
        "emergency",
        "card_blackhole",
        &mut hole,
        &format!("{setup}; packets vanish"),
    );
    proxy.set(Line::Refused);
    world.server.kill();
    let mut warm = cards(&world, &station, &ids, n)?;
    report.add_ms(
        "emergency",
        "card_warm",
        &mut warm,
        &format!("{setup}; server killed, nobody signed in"),
    );
    drop(station);

    // a process that has just started: exec, link, keys, databases, PIN, card
    let nurse = world.nurse()?;
    let mut cold = Vec::new();
    for patient in ids.iter().cycle().take(if quick { 20 } else { 100 }) {
        let from = Instant::now();
        let args = [
            "--profile",
            &text(&profile),
            "--json",
            "emergency",
            patient,
            "--reason",
            "1",
            "--user",
            &nurse.user,
            "--secret-stdin",
        ];
        vitrine_tests::server::run_json("vitrine-cli", &args, Some(&format!("{}\n", nurse.pin)))?;
        cold.push(ms(from));
    }
    report.add_ms(
        "emergency",
        "card_cold_engine",
        &mut cold,
        &format!("{setup}; from exec of vitrine-cli to its exit, server killed"),
    );
    Ok(())
}

pub fn search(report: &mut Report, quick: bool) -> Result<()> {
    let patients = if quick { 1_000 } else { 10_000 };
    let world = World::new(patients, None)?;
    let (station, _) = world.signed_in()?;
    let hospital = vitrine_synthetic::Hospital::new(0, 0);
    let mut queries: Vec<String> = ["li", "ng", "a", "mar", "o'", "19", "1964-03-12"]
        .map(str::to_owned)
        .to_vec();
    queries.extend((0..200).map(|n| hospital.mrn(n * (patients / 200))));
    let mut out = Vec::new();
    for q in queries.iter().cycle().take(if quick { 400 } else { 2_000 }) {
        let from = Instant::now();
        world.runtime.block_on(station.search(q))?;
        out.push(ms(from));
        station.active();
    }
    let setup = format!(
        "{SETUP}; {patients} patients; names from one letter on, numbers, birth dates; audit row included"
    );
    report.add_ms(
        "search",
        if patients == 10_000 {
            "search_10k"
        } else {
            "search_1k"
        },
        &mut out,
        &setup,
    );
    Ok(())
}

pub fn audit(report: &mut Report, quick: bool) -> Result<()> {
    let world = World::new(60, None)?;
    let (station, _) = world.signed_in()?;
    let n = if quick { 500 } else { 5_000 };
    let before = world.runtime.block_on(station.audit_verify())?.seq;
    let mut searches = Vec::new();
    for _ in 0..n {
        let from = Instant::now();
        world.runtime.block_on(station.search("p"))?;
        searches.push(ms(from));
        station.active();
    }
    let from = Instant::now();
    let head = world.runtime.block_on(station.audit_verify())?;
    let verify = from.elapsed();
    anyhow::ensure!(head.seq >= before + n, "every search has its row");
    let setup = format!("{SETUP}; a search of 60 patients with its synced audit row");
    report.add_ms("audit", "append", &mut searches, &setup);
    #[allow(clippy::cast_precision_loss)]
    let rate = head.seq as f64 / verify.as_secs_f64().max(1e-9);
    report.add(
        "audit",
        "verify_rows_per_s",
        rate,
        "rows/s",
        usize::try_from(head.seq)?,
        SETUP,
    );
    world
        .runtime
        .block_on(station.audit_list(0, 1))
        .context("audit list")?;
    Ok(())
}
