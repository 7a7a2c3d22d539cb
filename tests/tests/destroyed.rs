//! A destroyed record leaves the workstations that held it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::{Station, person};

#[test]
fn a_destroyed_record_leaves_the_workstation_and_both_ends_agree() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let data = text(&server.data);
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    let patient = seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["ward"] == "ED")
        .context("a patient of the ED")?;
    let id = patient["id"].as_str().context("id")?;
    station.emergency(id, &nurse)?;

    let act = |args: &[&str], secret: Option<&str>| -> Result<Value> {
        let all = [args, &["--data", &data, "--json"]].concat();
        run_json("vitrine-server", &all, secret)
    };
    for user in ["petra", "paul", "pia"] {
        let add = ["user", "add", user, "--role", "privacy-officer", "--secret-stdin"];
        act(&add, Some("a-long-password\n"))?;
    }
    let secret = Some("a-long-password\n");
    let asked = act(
        &[
            "archive",
            "destroy",
            "request",
            "--patient",
            id,
            "--reason",
            "its time is over",
            "--by",
            "petra",
        ],
        secret,
    )?;
    let request = asked["id"].as_str().context("id")?;
    for user in ["paul", "pia"] {
        act(&["archive", "destroy", "approve", request, "--by", user], secret)?;
    }
    let done = act(&["archive", "destroy", "carry-out", request], None)?;
    ensure!(done["versions"].as_u64() > Some(1), "{done}");

    station.sync()?;
    let here = station.cli(&["status"], None)?;
    let there = act(&["doctor"], None)?;
    let mine = here["digests"].as_object().context("digests")?;
    ensure!(mine.len() >= 4, "{here}");
    for (scope, digest) in mine {
        assert_eq!(*digest, there["digests"][scope]["digest"], "{scope}");
    }
    let secret = format!("{}\n", nurse.pin);
    let emergency = [
        "emergency",
        id,
        "--reason",
        "life-threatening",
        "--user",
        &nurse.user,
        "--secret-stdin",
    ];
    let (_, said) = station.refused(&emergency, Some(&secret))?;
    ensure!(!said.contains("allergies"), "{said}");
    Ok(())
}
