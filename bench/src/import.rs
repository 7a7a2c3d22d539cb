//! Bringing in FHIR Bundles.

use crate::report::Report;
use crate::world::SETUP;
use anyhow::{Context, Result};
use vitrine_tests::server::{Server, free_port, run_json, text};

pub fn import(report: &mut Report, quick: bool) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let hospital = vitrine_synthetic::Hospital::new(7, 1_790_000_000_000);
    let bundles = dir.path().join("bundles");
    std::fs::create_dir(&bundles)?;
    std::fs::write(bundles.join("0-foundation.json"), hospital.foundation())?;
    let patients = if quick { 400 } else { 4_000 };
    for n in 0..patients {
        std::fs::write(bundles.join(format!("p{n:06}.json")), hospital.patient(n))?;
    }
    let data = dir.path().join("server");
    // the first start makes keys and database; the import then runs on its own
    drop(Server::start(&data, free_port()?)?);
    let out = run_json(
        "vitrine-server",
        &["import", "--data", &text(&data), &text(&bundles), "--json"],
        None,
    )?;
    let accepted = out["accepted"].as_f64().context("accepted")?;
    let seconds = out["seconds"].as_f64().context("seconds")?;
    anyhow::ensure!(
        out["refused"] == 0 && out["quarantined"] == 0,
        "the synthetic hospital is taken whole: {out}"
    );
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let n = accepted as usize;
    report.add(
        "import",
        "fhir_resources_per_s",
        accepted / seconds,
        "1/s",
        n,
        &format!("{SETUP}; {patients} transaction Bundles, validated, cards derived, one audit row a Bundle"),
    );
    Ok(())
}
