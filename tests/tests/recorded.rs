//! What is recorded at a workstation while the server is away: shown at once, in the record once, and never dropped when it is refused.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::{Person, Station, person};

struct World {
    dir: tempfile::TempDir,
    server: Server,
    seed: Value,
    station: Station,
    nurse: Person,
    patient: String,
}

/// A workstation of the ED at which a nurse has signed in before; its server is gone now.
fn offline() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    let board = station.first_board(&nurse)?;
    let patient = board["rows"][0]["patient"]
        .as_str()
        .context("a patient of the ED")?
        .to_owned();
    server.kill();
    Ok(World {
        dir,
        server,
        seed,
        station,
        nurse,
        patient,
    })
}

impl World {
    fn act(&self, words: &[&str]) -> Result<Value> {
        self.station.by(&self.nurse, words)
    }

    fn record_three(&self) -> Result<()> {
        let p = self.patient.as_str();
        self.act(&[
            "record",
            "vitals",
            p,
            "pulse=88",
            "systolic=120",
            "diastolic=80",
            "temperature=37.0",
            "--minutes-ago",
            "5",
        ])?;
        self.act(&[
            "record",
            "allergy",
            p,
            "Suxamethonium",
            "--reaction",
            "malignant hyperthermia",
            "--severity",
            "life-threatening",
        ])?;
        self.act(&[
            "record",
            "note",
            p,
            "Fell from a ladder.\nPupils equal.",
            "--kind",
            "nursing",
        ])?;
        Ok(())
    }
}

/// The resources of a type that entries of workstations became, for a patient.
async fn became(server: &Server, kind: &str, patient: &str) -> Result<Vec<Value>> {
    let http = server.http()?;
    let token = server.token(&http).await?;
    let subject = if kind == "AllergyIntolerance" {
        "patient"
    } else {
        "subject"
    };
    let answer = http
        .get(format!("{}/fhir/Patient/{patient}/$everything", server.url()))
        .bearer_auth(token)
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let all: Value = serde_json::from_slice(&answer.bytes().await?)?;
    let found = all["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| e["resource"].clone())
        .filter(|r| {
            r["resourceType"] == kind
                && r["identifier"][0]["system"] == "urn:vitrine:entry"
                && r[subject]["reference"] == format!("Patient/{patient}")
        });
    Ok(found.collect())
}

fn copied(from: &Path, to: &Path) -> Result<Station> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copied(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(Station {
        profile: to.to_path_buf(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_offline_it_is_shown_at_once_and_in_the_record_once_however_often_it_is_sent() -> Result<()>
{
    let mut w = offline()?;
    w.record_three()?;
    let list = w.act(&["entries"])?;
    let states: Vec<&Value> = list["entries"]
        .as_array()
        .context("entries")?
        .iter()
        .map(|e| &e["state"])
        .collect();
    assert_eq!(states, [&json!("queued"), &json!("queued"), &json!("queued")]);
    let chart = w.act(&["chart", &w.patient, "--wait", "0"])?;
    let unsent = |c: &Value| -> Vec<Value> {
        let items = c["allergies"]["items"].as_array().cloned().unwrap_or_default();
        items
            .into_iter()
            .filter(|i| i["agent"] == "Suxamethonium")
            .collect()
    };
    assert_eq!(unsent(&chart).len(), 1);
    assert!(
        unsent(&chart)[0]["unsent_text"]
            .as_str()
            .context("marked")?
            .ends_with("NOT SENT")
    );
    let card = w.station.emergency(&w.patient, &w.nurse)?;
    assert!(
        card["allergies"]["items"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|i| i["agent"] == "Suxamethonium" && i["unsent"] == true),
        "an emergency knows what nobody else knows yet: {card}"
    );
    // The same disk, put back to this state twice: a workstation restored from an image, and one that was killed before it heard the answer.
    let again = [
        copied(&w.station.profile, &w.dir.path().join("again-1"))?,
        copied(&w.station.profile, &w.dir.path().join("again-2"))?,
    ];

    w.server.restart()?;
    let status = w.station.sync()?;
    assert_eq!(
        status["entries"],
        json!({"queued": 0, "rejected": 0, "oldest_ms": null}),
        "{status}"
    );
    assert_eq!(w.act(&["entries"])?["entries"], json!([]));
    // Meanwhile the nurse has left the hospital: what is in the record already is never refused afterwards.
    w.server.kill();
    run_json(
        "vitrine-server",
        &[
            "user",
            "disable",
            &w.nurse.user,
            "--data",
            &text(&w.server.data),
            "--json",
        ],
        None,
    )?;
    w.server.restart()?;
    for station in &again {
        let status = station.sync()?;
        assert_eq!(
            status["entries"],
            json!({"queued": 0, "rejected": 0, "oldest_ms": null}),
            "{status}"
        );
    }

    let observations = became(&w.server, "Observation", &w.patient).await?;
    assert_eq!(
        observations.len(),
        3,
        "pulse, pressures, temperature: {observations:?}"
    );
    let temperature = observations
        .iter()
        .find(|o| o["valueQuantity"]["code"] == "Cel")
        .context("the temperature")?;
    assert_eq!(format!("{}", temperature["valueQuantity"]["value"]), "37.0");
    let allergies = became(&w.server, "AllergyIntolerance", &w.patient).await?;
    assert_eq!(allergies.len(), 1);
    assert_eq!(
        allergies[0]["recorder"]["identifier"]["value"],
        w.nurse.user.as_str()
    );
    assert_eq!(became(&w.server, "DocumentReference", &w.patient).await?.len(), 1);

    // Another workstation has it by the feed, as part of the record, with nothing left to mark.
    let doctor = person(&w.seed, "physician", "ED")?;
    let other = Station::enrol(&w.server, &w.server.url(), &w.dir.path().join("ed-08"), "ED")?;
    other.sync()?;
    let card = other.emergency(&w.patient, &doctor)?;
    let found: Vec<&Value> = card["allergies"]["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|i| i["agent"] == "Suxamethonium")
        .collect();
    assert_eq!(found.len(), 1, "{card}");
    assert_ne!(found[0]["unsent"], true);
    // And so has the first, once.
    w.station.sync()?;
    let card = w.station.emergency(&w.patient, &doctor)?;
    let n = card["allergies"]["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|i| i["agent"] == "Suxamethonium")
        .count();
    assert_eq!(n, 1, "{card}");
    run_json(
        "vitrine-server",
        &["audit", "verify", "--data", &text(&w.server.data), "--json"],
        None,
    )?;
    Ok(())
}

#[test]
fn what_the_server_refuses_stays_until_somebody_has_settled_it() -> Result<()> {
    let mut w = offline()?;
    w.record_three()?;
    // The nurse left the hospital while the line was down.
    let data = text(&w.server.data);
    run_json(
        "vitrine-server",
        &["user", "disable", &w.nurse.user, "--data", &data, "--json"],
        None,
    )?;
    w.server.restart()?;
    w.station.sync()?;
    let status = w.station.cli(&["status"], None)?;
    assert_eq!(
        (&status["entries"]["queued"], &status["entries"]["rejected"]),
        (&json!(0), &json!(3)),
        "{status}"
    );
    // The colleague finds them, with the reason, and settles one.
    let colleague = person(&w.seed, "physician", "ED")?;
    w.station.first_board(&colleague)?;
    let list = w.station.by(&colleague, &["entries"])?;
    let entries = list["entries"].as_array().context("entries")?;
    assert_eq!(entries.len(), 3);
    for e in entries {
        assert_eq!(e["state"], "rejected");
        assert!(
            e["reason_text"].as_str().context("why")?.contains("disabled"),
            "{e}"
        );
        assert!(!e["name_text"].as_str().context("whose")?.is_empty());
    }
    // A refused allergy is still shown as one.
    let chart = w.station.by(&colleague, &["chart", &w.patient, "--wait", "0"])?;
    let item = chart["allergies"]["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|i| i["agent"] == "Suxamethonium")
        .context("the allergy")?;
    assert!(
        item["unsent_text"]
            .as_str()
            .context("marked")?
            .contains("REJECTED"),
        "{item}"
    );
    let id = entries[0]["id"].as_str().context("id")?;
    w.station
        .by(&colleague, &["settle", id, "--words", "recorded again by me"])?;
    assert_eq!(
        w.station.by(&colleague, &["entries"])?["entries"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    // Another round changes nothing of it.
    w.station.sync()?;
    assert_eq!(w.station.cli(&["status"], None)?["entries"]["rejected"], 2);
    Ok(())
}
