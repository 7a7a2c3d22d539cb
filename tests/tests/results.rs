//! A critical result: from the laboratory to every workstation of the ward, taken up offline, and waiting again when it is corrected.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use vitrine_tests::lab::{CRITICAL, Lab};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Person, Station, person};

/// The result in one of the groups of the inbox.
fn in_group(station: &Station, who: &Person, group: &str) -> Result<Option<Value>> {
    let inbox = station.by(who, &["results"])?;
    let list = inbox[group].as_array().context("a group of the inbox")?;
    Ok(list.iter().find(|c| c["result"] == CRITICAL).cloned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_result_waits_until_somebody_has_taken_it_up_and_again_when_it_is_corrected() -> Result<()>
{
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let here = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    let there = Station::enrol(&server, &server.url(), &dir.path().join("ed-08"), "ED")?;
    let (nurse, doctor) = (person(&seed, "nurse", "ED")?, person(&seed, "physician", "ED")?);
    here.sync()?;
    there.sync()?;
    let board = here.first_board(&nurse)?;
    there.first_board(&doctor)?;
    let patient = board["rows"][0]["patient"]
        .as_str()
        .context("a patient of the ED")?
        .to_owned();
    let mut lab = Lab::connect(&server, patient).await?;

    lab.sends(&server, "6.10", "HH", "final").await?;
    here.sync()?;
    there.sync()?;
    for (station, who) in [(&here, &nurse), (&there, &doctor)] {
        let c = in_group(station, who, "waiting")?.context("it waits")?;
        assert_eq!(c["patient"], lab.patient.as_str());
        assert_eq!(
            (
                &c["measured"]["label"],
                &c["measured"]["value"],
                &c["measured"]["flag"]
            ),
            (&json!("K"), &json!("6.10"), &json!("HH"))
        );
        let text = station.cli(&["status"], None)?["critical"]["text"].clone();
        assert!(
            text.as_str()
                .context("the status line")?
                .contains("not acknowledged"),
            "{text}"
        );
        let board = station.by(who, &["board"])?;
        let row = board["rows"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|r| r["patient"] == lab.patient.as_str())
            .context("the row")?;
        assert!(
            row["critical_text"]
                .as_str()
                .context("on the board")?
                .contains("not acknowledged")
        );
    }

    // Offline, with what was read back to the laboratory: another value is refused.
    server.kill();
    let take_up = |back: &str| {
        here.by(
            &nurse,
            &[
                "record",
                "result",
                CRITICAL,
                "--answer",
                "acting",
                "--words",
                "calcium given",
                "--read-back",
                back,
            ],
        )
    };
    assert!(take_up("1.6").is_err());
    assert_eq!(take_up("6.1")?["state"], "queued");
    let c = in_group(&here, &nurse, "waiting")?.context("it waits for the record")?;
    assert_eq!(c["entries"][0]["state"], "queued");

    server.restart()?;
    here.sync()?;
    there.sync()?;
    // Everybody knows who has it, and nobody is asked any more.
    for (station, who) in [(&here, &nurse), (&there, &doctor)] {
        assert_eq!(in_group(station, who, "waiting")?, None);
        let c = in_group(station, who, "done")?.context("it is taken up")?;
        assert_eq!(c["entries"], json!([]));
        let t = &c["taken"][0];
        assert_eq!(
            (&t["text"], &t["read_back_text"], &t["settles"]),
            (
                &json!("Seen, acting: calcium given"),
                &json!("read back: 6.1"),
                &json!(true)
            )
        );
    }
    // In the record it is a Task about that version of the result.
    lab = Lab::connect(&server, lab.patient).await?;
    let everything = lab
        .http
        .get(format!(
            "{}/fhir/Patient/{}/$everything",
            server.url(),
            lab.patient
        ))
        .bearer_auth(&lab.token)
        .send()
        .await?;
    let everything: Value = serde_json::from_slice(&everything.bytes().await?)?;
    let tasks: Vec<&Value> = everything["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| &e["resource"])
        .filter(|r| r["resourceType"] == "Task")
        .collect();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["focus"]["reference"], format!("{CRITICAL}/_history/1"));
    assert_eq!(tasks[0]["owner"]["identifier"]["value"], nurse.user.as_str());

    // Sent again unchanged it stays; corrected to another critical value it waits again; corrected to a plain one it is none.
    for (value, flag, status, waits, done) in [
        ("6.10", "HH", "final", false, true),
        ("6.8", "HH", "corrected", true, false),
        ("4.8", "N", "corrected", false, false),
    ] {
        lab.sends(&server, value, flag, status).await?;
        there.sync()?;
        let waiting = in_group(&there, &doctor, "waiting")?;
        assert_eq!(waiting.is_some(), waits, "{value} {flag}");
        if let Some(c) = waiting {
            // What was done about the former value stands there, and does not look like done.
            let t = &c["taken"][0];
            assert_eq!(t["settles"], false, "{t}");
            assert!(
                t["text"]
                    .as_str()
                    .context("what was done")?
                    .ends_with("(it said 6.10 mmol/L HH then)"),
                "{t}"
            );
        }
        assert_eq!(
            in_group(&there, &doctor, "done")?.is_some(),
            done,
            "{value} {flag}"
        );
    }
    Ok(())
}
