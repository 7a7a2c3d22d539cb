//! S20: a result that is corrected or withdrawn keeps what it said, also on a workstation without its server; and one that
//! goes to another patient leaves the first one's record as withdrawn.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::lab::Lab;
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person};

const RESULT: &str = "Observation/k-corrected";

struct Sent<'a> {
    status: &'a str,
    value: Option<&'a str>,
    note: Option<&'a str>,
    key: Option<&'a str>,
}

/// The laboratory writes the result, always of the same draw.
async fn sends(lab: &Lab, server: &Server, patient: &str, sent: Sent<'_>) -> Result<()> {
    let mut body = json!({
        "resourceType": "Observation", "id": "k-corrected", "status": sent.status,
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": "2026-11-20T04:05:00Z", "issued": "2026-11-20T04:30:00Z",
    });
    if let Some(note) = sent.note {
        body["note"] = json!([{"text": note}]);
    }
    let mut body = body.to_string();
    if let Some(value) = sent.value {
        let quantity = format!(r#","valueQuantity":{{"value":{value},"unit":"mmol/L"}}}}"#);
        body.replace_range(body.len() - 1.., &quantity);
    }
    let mut request = lab
        .http
        .put(format!("{}/fhir/{RESULT}", server.url()))
        .bearer_auth(&lab.token)
        .header("content-type", "application/fhir+json");
    if let Some(key) = sent.key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.body(body).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

/// The potassium of that draw as the chart on a workstation shows it.
fn shown(chart: &Value) -> Result<Option<Value>> {
    let labs = chart["labs"]["items"].as_array().context("laboratory results")?;
    let potassium = labs.iter().find(|s| s["label"] == "K");
    let points = potassium
        .and_then(|s| s["points"].as_array())
        .into_iter()
        .flatten();
    Ok(points
        .into_iter()
        .find(|p| p["at_ms"] == 1_795_147_500_000_i64)
        .cloned())
}

fn words(point: &Value) -> Vec<String> {
    let text = |v: &Value, k: &str| v[k].as_str().unwrap_or_default().to_owned();
    let earlier = point["earlier"].as_array().into_iter().flatten();
    [text(point, "value")]
        .into_iter()
        .chain(earlier.map(|e| {
            let until = text(e, "until_text");
            let until = until.split(" until ").next().unwrap_or_default();
            format!(
                "{} {}, {until}, {}",
                text(e, "value"),
                text(e, "unit"),
                text(e, "reason_text")
            )
        }))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s20_a_corrected_result_keeps_what_it_said_also_offline() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    let nurse = person(&seed, "nurse", "ED")?;
    station.sync()?;
    let board = station.first_board(&nurse)?;
    let patient_at = |n: usize| -> Result<String> {
        let of = board["rows"][n]["patient"].as_str();
        Ok(of.context("a patient of the ED")?.to_owned())
    };
    let (patient, other) = (patient_at(0)?, patient_at(1)?);
    let lab = Lab::connect(&server, patient.clone()).await?;
    // A chart that is here opens at once, with what is here; what has changed comes after it.
    let options = Options {
        sync: true,
        ..Options::default()
    };
    let engine = Workstation::open(&station.profile, options)?;
    engine.sign_in(&nurse.user, &nurse.pin).await?;
    let says = |of: String, expected: Vec<&'static str>| {
        let engine = &engine;
        async move {
            let mut last = Value::Null;
            for _ in 0..80 {
                last = shown(&serde_json::to_value(engine.chart(&of).await?)?)?.unwrap_or_default();
                if words(&last) == expected {
                    return Ok(last);
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            anyhow::bail!("{expected:?} expected, the chart shows {last}")
        }
    };
    let sent = |status, value, note| Sent {
        status,
        value: Some(value),
        note,
        key: None,
    };

    sends(&lab, &server, &patient, sent("final", "6.80", None)).await?;
    says(patient.clone(), vec!["6.80"]).await?;
    // Other words around the same value are no correction.
    sends(&lab, &server, &patient, sent("final", "6.80", Some("repeated"))).await?;
    says(patient.clone(), vec!["6.80"]).await?;
    // Corrected, and the correction sent again after its answer was lost.
    for _ in 0..2 {
        let again = Sent {
            key: Some("5d3f9a4e-6f0b-4c55-8a5c-0a5a6f7f0c11"),
            ..sent("corrected", "4.1", Some("sample haemolysed"))
        };
        sends(&lab, &server, &patient, again).await?;
    }
    let haemolysed = "6.80 mmol/L, shown, reason: sample haemolysed";
    says(patient.clone(), vec!["4.1", haemolysed]).await?;
    // Changed without a word: that is a correction too.
    sends(&lab, &server, &patient, sent("final", "4.3", None)).await?;
    let no_reason = "4.1 mmol/L, corrected, shown, no reason given";
    let first = "6.80 mmol/L, shown, reason: sample haemolysed";
    let point = says(patient.clone(), vec!["4.3", no_reason, first]).await?;
    assert!(
        point["earlier"][0]["until_text"]
            .as_str()
            .is_some_and(|t| t.starts_with("corrected, shown until ")),
        "{point}"
    );

    // Withdrawn, and the server gone: what it was stands there, and no value.
    sends(
        &lab,
        &server,
        &patient,
        sent("entered-in-error", "4.3", Some("another patient's sample")),
    )
    .await?;
    let expected = vec![
        "withdrawn",
        "4.3 mmol/L, shown, reason: another patient's sample",
        no_reason,
        first,
    ];
    says(patient.clone(), expected.clone()).await?;
    server.kill();
    let point = shown(&serde_json::to_value(engine.chart(&patient).await?)?)?.context("the draw")?;
    assert_eq!(point["withdrawn"], true, "{point}");
    assert_eq!(
        (&point["value"], &point["status_text"], &point["number"]),
        (&json!("withdrawn"), &json!("entered in error"), &Value::Null)
    );
    assert_eq!(words(&point), expected);
    server.restart()?;

    // In the record it is a Provenance about the result, of the same patient.
    let lab = Lab::connect(&server, patient.clone()).await?;
    let everything = lab
        .http
        .get(format!("{}/fhir/Patient/{patient}/$everything", server.url()))
        .bearer_auth(&lab.token)
        .send()
        .await?;
    let everything: Value = serde_json::from_slice(&everything.bytes().await?)?;
    let kept: Vec<&Value> = everything["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| &e["resource"])
        .filter(|r| r["resourceType"] == "Provenance" && r["target"][0]["reference"] == RESULT)
        .collect();
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0]["entity"][0]["role"], "revision");

    // Of a result that goes to another patient, nothing of the first one's goes with it.
    sends(&lab, &server, &patient, sent("final", "7.0", None)).await?;
    sends(&lab, &server, &other, sent("final", "3.9", None)).await?;
    says(other, vec!["3.9"]).await?;
    // Where somebody saw it, it is withdrawn.
    let expected = vec![
        "withdrawn",
        "7.0 mmol/L, shown, no reason given",
        "4.3 mmol/L, shown, reason: another patient's sample",
        no_reason,
        first,
    ];
    let point = says(patient, expected).await?;
    assert_eq!(point["status_text"], "not in this record");
    Ok(())
}
