//! The web console in a real browser, on the page that the server ships: an emergency access made without the server is asked about,
//! explained by whoever made it, and found appropriate by somebody else.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use vitrine_tests::server::{Server, text};
use vitrine_tests::station::{Person, Station, person};

/// What the page's script prints.
fn walk(input: &Value) -> Result<Value> {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui");
    let mut script = Command::new("node")
        .arg("scripts/console-real.mjs")
        .current_dir(ui)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("node")?;
    let mut stdin = script.stdin.take().context("its input")?;
    stdin.write_all(input.to_string().as_bytes())?;
    drop(stdin);
    let done = script.wait_with_output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(serde_json::from_slice(&done.stdout)?)
}

#[test]
fn an_emergency_access_is_reviewed_in_a_browser() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("icu-01"), "ICU")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ICU")?;
    let stranger = seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["ward"] == "ED")
        .context("a patient of the ED")?;
    let (id, name) = (&stranger["id"], &stranger["name"]);
    server.kill();
    station.emergency(id.as_str().context("id")?, &nurse)?;
    server.restart()?;
    station.sync()?;
    let officer = seed["staff"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|s| s["role"] == "privacy-officer")
        .context("a privacy officer")?;
    let of = |p: &Person| json!({"user": p.user, "password": p.password});
    let family = name
        .as_str()
        .and_then(|n| n.split(' ').next_back())
        .context("a name")?;
    let done = walk(&json!({
        "url": server.url(),
        "reviewer": {"user": officer["user"], "password": officer["password"]},
        "clinician": of(&nurse),
        "patient": family,
    }))?;
    assert_eq!(done, json!({"walked": true}), "{}", text(&server.data));
    Ok(())
}
