//! A critical result: from the laboratory to every workstation of the ward, taken up offline, and waiting again when it is corrected.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Person, Station, person};

struct Lab {
    http: reqwest::Client,
    token: String,
    patient: String,
}

impl Lab {
    /// The laboratory sends a potassium, or corrects it.
    async fn sends(&self, server: &Server, value: &str, flag: &str, status: &str) -> Result<()> {
        let at = now();
        let body = format!(
            r#"{{"resourceType":"Observation","id":"k-critical","status":"{status}","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"2823-3","display":"Potassium [Moles/volume] in Serum or Plasma"}}]}},"subject":{{"reference":"Patient/{}"}},"effectiveDateTime":"{at}","issued":"{at}","valueQuantity":{{"value":{value},"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}},"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"{flag}"}}]}}]}}"#,
            self.patient
        );
        let answer = self
            .http
            .put(format!("{}/fhir/Observation/k-critical", server.url()))
            .bearer_auth(&self.token)
            .header("content-type", "application/fhir+json")
            .body(body)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }
}

/// Now, as FHIR has it.
fn now() -> String {
    let c = vitrine_clinical::format::civil::Civil::at(vitrine_engine::clock::Clock::new().wall(), 0);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// The result in one of the groups of the inbox.
fn in_group(station: &Station, who: &Person, group: &str) -> Result<Option<Value>> {
    let inbox = station.by(who, &["results"])?;
    let list = inbox[group].as_array().context("a group of the inbox")?;
    Ok(list
        .iter()
        .find(|c| c["result"] == "Observation/k-critical")
        .cloned())
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
    let http = server.http()?;
    let token = server.token(&http).await?;
    let mut lab = Lab { http, token, patient };

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
                "Observation/k-critical",
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
    lab.http = server.http()?;
    lab.token = server.token(&lab.http).await?;
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
    assert_eq!(
        tasks[0]["focus"]["reference"],
        "Observation/k-critical/_history/1"
    );
    assert_eq!(tasks[0]["owner"]["identifier"]["value"], nurse.user.as_str());

    // Sent again unchanged it stays; corrected to another critical value it waits again; corrected to a plain one it is none.
    for (value, flag, status, waits, done) in [
        ("6.10", "HH", "final", false, true),
        ("6.8", "HH", "corrected", true, false),
        ("4.8", "N", "corrected", false, false),
    ] {
        lab.sends(&server, value, flag, status).await?;
        there.sync()?;
        assert_eq!(
            in_group(&there, &doctor, "waiting")?.is_some(),
            waits,
            "{value} {flag}"
        );
        assert_eq!(
            in_group(&there, &doctor, "done")?.is_some(),
            done,
            "{value} {flag}"
        );
    }
    Ok(())
}
