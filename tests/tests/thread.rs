//! The thread: from a record on the server to the emergency card without it, and the proof back again.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use vitrine_engine::{BreakGlass, Identity, Options, Workstation};
use vitrine_tests::proxy::{Line, Proxy};
use vitrine_tests::server::{Server, free_port, run_json, text};
use vitrine_tests::station::{Person, Station, person, showcase};
use vitrine_wire::view::EngineEvent;

struct World {
    dir: tempfile::TempDir,
    server: Server,
    seed: Value,
    station: Station,
    nurse: Person,
}

fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    Ok(World {
        dir,
        server,
        seed,
        station,
        nurse,
    })
}

fn agents(card: &Value) -> Vec<String> {
    card["allergies"]["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| a["agent"].as_str().unwrap_or_default().to_lowercase())
        .collect()
}

/// Every row of a device's chain that the server holds, by access id.
fn uploaded(server: &Server, device: &str, to: &std::path::Path) -> Result<BTreeMap<String, Vec<Value>>> {
    run_json(
        "vitrine-server",
        &[
            "audit",
            "export",
            "--data",
            &text(&server.data),
            "--chain",
            device,
            "--to",
            &text(to),
            "--json",
        ],
        None,
    )?;
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in std::fs::read_to_string(to)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let body = row["entry"].clone();
        rows.entry(body["access_id"].as_str().unwrap_or_default().to_owned())
            .or_default()
            .push(body);
    }
    Ok(rows)
}

#[test]
fn the_glass_is_broken_without_the_server_and_the_proof_arrives_once() -> Result<()> {
    let mut w = world()?;
    let patient = showcase(&w.seed, "anaphyla")?;
    let icu = w.seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["ward"] == "ICU")
        .cloned();
    let icu = icu.context("a patient of the ICU")?;
    w.server.kill();

    // nobody is signed in, the server is gone, the patient is of another ward
    let card = w.station.emergency(icu["id"].as_str().context("id")?, &w.nurse)?;
    assert_eq!(card["source"], "cache");
    assert!(
        card["elapsed_ms"].as_f64().context("elapsed_ms")? < 1000.0,
        "{card}"
    );

    let card = w
        .station
        .emergency(patient["mrn"].as_str().context("mrn")?, &w.nurse)?;
    assert_eq!(card["allergies"]["state"], "known", "{card}");
    assert!(agents(&card).iter().any(|a| a.contains("penicillin")), "{card}");
    let access = card["access_id"].as_str().context("access_id")?.to_owned();

    let audit = w.station.cli(&["audit", "verify"], None)?;
    assert_ne!(audit["rows"].as_u64().unwrap_or(0), 0, "{audit}");
    let list = w.station.cli(&["audit", "list"], None)?.to_string();
    assert!(
        list.contains(&access),
        "the row of the access is on disk before the card is given"
    );

    w.server.restart()?;
    w.station.sync()?;
    w.station.sync()?;
    let status = w.station.cli(&["status"], None)?;
    let device = status["device"].as_str().context("device")?.to_owned();
    let rows = uploaded(&w.server, &device, &w.dir.path().join("rows.ndjson"))?;
    let of_access = rows.get(&access).context("the access arrived")?;
    assert_eq!(
        of_access.iter().filter(|r| r["action"] == "read-card").count(),
        1,
        "{of_access:?}"
    );
    run_json(
        "vitrine-server",
        &["audit", "verify", "--data", &text(&w.server.data), "--json"],
        None,
    )?;
    Ok(())
}

#[test]
fn a_patient_who_is_not_here_is_not_an_empty_list() -> Result<()> {
    let w = world()?;
    let (code, said) = w.station.refused(
        &[
            "emergency",
            "nobody-1",
            "--reason",
            "1",
            "--user",
            &w.nurse.user,
            "--secret-stdin",
        ],
        Some(&format!("{}\n", w.nurse.pin)),
    )?;
    assert_eq!(code, 4, "{said}");
    assert!(said.to_lowercase().contains("not on this workstation"), "{said}");
    assert!(!said.contains("\"items\""), "{said}");
    Ok(())
}

#[test]
fn a_wrong_pin_opens_nothing_and_does_not_stop_a_colleague() -> Result<()> {
    let mut w = world()?;
    w.server.kill();
    let patient = showcase(&w.seed, "anaphyla")?["id"]
        .as_str()
        .context("id")?
        .to_owned();
    for _ in 0..6 {
        let (code, said) = w.station.refused(
            &[
                "emergency",
                &patient,
                "--reason",
                "1",
                "--user",
                &w.nurse.user,
                "--secret-stdin",
            ],
            Some("000000\n"),
        )?;
        assert!([5, 6].contains(&code), "{code}: {said}");
    }
    let colleague = person(&w.seed, "physician", "ED")?;
    w.station.emergency(&patient, &colleague)?;
    Ok(())
}

#[test]
fn both_ends_hold_the_same_digest_of_every_scope() -> Result<()> {
    let w = world()?;
    let here = w.station.cli(&["status"], None)?;
    let there = run_json(
        "vitrine-server",
        &["doctor", "--data", &text(&w.server.data), "--json"],
        None,
    )?;
    let mine = here["digests"]
        .as_object()
        .context("digests of the workstation")?;
    assert!(mine.len() >= 4, "{here}");
    for (scope, digest) in mine {
        assert_eq!(*digest, there["digests"][scope]["digest"], "{scope}");
    }
    Ok(())
}

#[test]
fn vanished_packets_do_not_delay_the_card() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let proxy = runtime.block_on(Proxy::start(server.addr))?;
    let station = Station::enrol(
        &server,
        &format!("https://{}", proxy.addr),
        &dir.path().join("ed-07"),
        "ED",
    )?;
    station.sync()?;
    proxy.set(Line::BlackHole);
    let patient = showcase(&seed, "anaphyla")?["id"]
        .as_str()
        .context("id")?
        .to_owned();
    let card = station.emergency(&patient, &person(&seed, "nurse", "ED")?)?;
    assert!(
        card["elapsed_ms"].as_f64().context("elapsed_ms")? < 1000.0,
        "{card}"
    );
    Ok(())
}

/// A record of many chunks, opened under a grant, comes whole; the server reads and writes down several chunks at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_record_comes_whole_under_a_grant() -> Result<()> {
    const RESOURCES: u32 = 5_000;
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let heavy = RESOURCES.to_string();
    let args = [
        "demo",
        "--data",
        &text(&data),
        "--patients",
        "60",
        "--heavy",
        &heavy,
        "--json",
    ];
    let seed = run_json("vitrine-server", &args, None)?;
    let server = Server::start(&data, free_port()?)?;
    let profile = dir.path().join("ed-07");
    Station::enrol(&server, &server.url(), &profile, "ED")?.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    let options = Options {
        ballast_bytes: 0,
        ..Options::default()
    };
    let station = Workstation::open(&profile, options)?;
    station.sign_in(&nurse.user, &nurse.password).await?;
    station.settled(Duration::from_secs(10)).await;
    let mut events = station.events();
    let identity = Identity::UserSecret {
        user: nurse.user.clone(),
        secret: nurse.pin.clone().into(),
        badge: None,
    };
    let asked = BreakGlass {
        patient: "p-heavy".to_owned(),
        reason: "life-threatening".to_owned(),
        words: None,
        identity,
    };
    station.break_glass(asked).await?;
    station.chart("p-heavy").await?;
    let whole = async {
        loop {
            let told = events.recv().await;
            if matches!(&told, Ok(EngineEvent::PatientsChanged(p)) if p.iter().any(|p| p == "p-heavy")) {
                let view = station.chart("p-heavy").await?;
                if view.record_age.complete {
                    return Ok::<_, anyhow::Error>(view);
                }
            }
        }
    };
    let view = tokio::time::timeout(Duration::from_secs(60), whole)
        .await
        .context("the record did not arrive")??;
    assert!(view.resources >= RESOURCES, "{} of {RESOURCES}", view.resources);
    // The digests of both ends are compared soon after; a record that differed would be fetched anew.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let again = station.chart("p-heavy").await?;
    assert_eq!(again.resources, view.resources);
    assert!(again.record_age.complete && again.loading_text.is_none());
    Ok(())
}
