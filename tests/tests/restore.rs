//! A server put back to an older backup, and a workstation that knows more than it: everything comes up again.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use vitrine_tests::server::{Server, free_port, run_json, text};
use vitrine_tests::station::{Station, person};

/// A chain as the server holds it: the rows with their hashes.
fn chain(server: &Server, name: &str, to: &Path) -> Result<Vec<Value>> {
    let (data, to) = (text(&server.data), text(to));
    run_json(
        "vitrine-server",
        &[
            "audit", "export", "--data", &data, "--chain", name, "--to", &to, "--json",
        ],
        None,
    )?;
    let file = std::fs::read_to_string(&to)?;
    file.lines()
        .map(|l| serde_json::from_str(l).context("a row"))
        .collect()
}

/// Grants of the workstation that the server says it has received, each once.
fn grants(server: &Server, to: &Path) -> Result<Vec<String>> {
    let rows = chain(server, "server", to)?;
    let mut ids: Vec<String> = rows
        .iter()
        .filter(|r| r["entry"]["action"] == "receive-grant")
        .filter_map(|r| r["entry"]["grant"].as_str().map(str::to_owned))
        .collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

#[test]
fn what_a_workstation_had_acknowledged_comes_up_again() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let at = |name: &str| dir.path().join(name);
    let (data, port) = (at("server"), free_port()?);
    let seed = run_json(
        "vitrine-server",
        &["demo", "--data", &text(&data), "--patients", "4", "--json"],
        None,
    )?;
    let mut server = Server::start(&data, port)?;
    let station = Station::enrol(&server, &server.url(), &at("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    station.emergency(&vitrine_synthetic::patient_id(3), &nurse)?;
    station.sync()?;
    let devices = run_json(
        "vitrine-server",
        &["device", "list", "--data", &text(&data), "--json"],
        None,
    )?;
    let device = devices["devices"][0]["id"]
        .as_str()
        .context("a device")?
        .to_owned();
    let backup = at("older.vtbk");
    run_json(
        "vitrine-server",
        &["backup", "--data", &text(&data), "--to", &text(&backup), "--json"],
        None,
    )?;
    for n in 0..3 {
        station.emergency(&vitrine_synthetic::patient_id(n), &nurse)?;
    }
    station.sync()?;
    let rows = chain(&server, &device, &at("before"))?;
    let given = grants(&server, &at("grants-before"))?;
    ensure!(
        rows.len() >= 8 && given.len() == 4,
        "{} rows, {given:?}",
        rows.len()
    );
    let epoch = server.ready["epoch"].clone();

    server.kill();
    run_json(
        "vitrine-server",
        &[
            "restore",
            "--data",
            &text(&data),
            "--from",
            &text(&backup),
            "--force",
            "--json",
        ],
        None,
    )?;
    let server = Server::start(&data, port)?;
    ensure!(server.ready["epoch"] != epoch, "a new epoch");
    let lost = rows.len() - chain(&server, &device, &at("lost"))?.len();
    ensure!(lost >= 6, "the backup is older: {lost} rows are gone");
    ensure!(
        grants(&server, &at("grants-lost"))? == given[..1],
        "the first alone is held"
    );

    station.sync()?;
    let again = chain(&server, &device, &at("after"))?;
    ensure!(
        again.len() >= rows.len() && again[..rows.len()] == rows[..],
        "every row again, the same"
    );
    ensure!(
        grants(&server, &at("grants-after"))? == given,
        "every grant again"
    );
    let whole = run_json(
        "vitrine-server",
        &["audit", "verify", "--data", &text(&data), "--json"],
        None,
    )?;
    ensure!(whole["whole"] == true, "{whole}");
    let own = station.cli(&["audit", "verify"], None)?;
    ensure!(own["ok"] == true, "{own}");
    Ok(())
}
