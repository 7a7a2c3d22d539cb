//! A scanned band: from the code to the chart, in the engine and in the real window.

use crate::report::Report;
use crate::world::{SETUP, World, ms};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use vitrine_desktop_tests::act::{scan as scan_code, sign_in};
use vitrine_desktop_tests::{CTRL, Desktop, automation_bin};
use vitrine_tests::station::showcase;
use vitrine_wire::scan_view::ScanKind;

/// Patients of the hospital; as many as lie in the ward are on the workstation in full.
const PATIENTS: u64 = 500;

pub fn scan(report: &mut Report, quick: bool) -> Result<()> {
    let world = World::new(PATIENTS, None)?;
    let _entered = world.runtime.enter();
    let (station, nurse) = world.signed_in()?;
    let board = world.runtime.block_on(station.board(None))?;
    let here: Vec<String> = board.rows.iter().map(|r| r.patient.clone()).collect();
    let hospital = vitrine_synthetic::Hospital::new(1, 0);
    let bands: Vec<(String, String)> = (0..PATIENTS)
        .map(|n| {
            (
                vitrine_synthetic::patient_id(n),
                format!("]d28018{}", hospital.gsrn(n)),
            )
        })
        .filter(|(id, _)| here.contains(id))
        .collect();
    ensure!(bands.len() >= 10, "{} patients in the ward", bands.len());

    let (mut found, mut opened, mut wrong, mut compared) = (Vec::new(), Vec::new(), 0_u32, 0_u32);
    for n in 0..if quick { 50 } else { 1_000 } {
        let (patient, code) = bands.get(n % bands.len()).context("a band")?;
        let from = Instant::now();
        let view = world.runtime.block_on(station.scan(code))?;
        found.push(ms(from));
        let first = view.rows.first().context("nobody was found")?;
        wrong += u32::from(first.patient != *patient);
        compared += u32::from(view.kind == ScanKind::Compare);
        let chart = world.runtime.block_on(station.chart(&first.patient))?;
        opened.push(ms(from));
        wrong += u32::from(chart.banner.patient != *patient);
        station.active();
    }
    let setup = format!(
        "{SETUP}; {PATIENTS} patients, {} bands of the ward, {compared} of them to be compared",
        bands.len()
    );
    report.add_ms(
        "scan",
        "found",
        &mut found,
        &format!("{setup}; the code to its patient"),
    );
    report.add_ms(
        "scan",
        "chart",
        &mut opened,
        &format!("{setup}; the code to the view of the chart"),
    );
    report.add("scan", "wrong", f64::from(wrong), "charts", opened.len(), &setup);
    drop(station);

    let patient = showcase(&world.seed, "anaphyla")?;
    let code = format!("]d28018{}", patient["gsrn"].as_str().context("gsrn")?);
    let profile = world.dir.path().join("ed-07");
    let mut painted = Vec::new();
    world.runtime.block_on(async {
        let desktop = Desktop::start(&automation_bin(), &profile, &[]).await?;
        desktop.find("lock-screen").await?;
        // What the window paints beforehand, behind the lock screen, keeps it busy for seconds here.
        desktop.mark_after("rehearsed", 0).await?;
        sign_in(&desktop, &nurse).await?;
        for n in 0..if quick { 10 } else { 100 } {
            scan_code(&desktop, &code, ("banner-name", ""), Some(("query", ""))).await?;
            let mark = desktop.mark_after("scanned", n).await?;
            painted.push(mark["since_key_ms"].as_f64().context("since_key_ms")?);
            desktop.press(([CTRL], 'w')).await?;
            desktop.gone("banner-name").await?;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        desktop.stop().await;
        Ok::<(), anyhow::Error>(())
    })?;
    report.add_ms(
        "scan",
        "window",
        &mut painted,
        &format!("{SETUP}; the window under Xvfb, software rendering, driven by WebDriver; from the last key of the code to the painted chart, two frames included"),
    );
    Ok(())
}
