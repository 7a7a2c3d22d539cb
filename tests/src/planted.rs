//! Canaries in the record of one patient, sent to the server as a hospital's systems send it.
//!
//! Called by the tests that look for what a lock leaves in memory.

use crate::server::Server;
use anyhow::{Result, ensure};
use base64::Engine as _;
use serde_json::json;

/// Puts canaries into the record of a patient: `record` in tens that only a chart shows (some of it, titles and authors, no chart shows),
/// `essential` in pairs that an emergency card shows too.
///
/// # Errors
/// When the server refuses them.
pub async fn plant(server: &Server, patient: &str, record: &[String], essential: &[String]) -> Result<()> {
    let subject = json!({"reference": format!("Patient/{patient}")});
    let mut entries = Vec::new();
    let mut put = |kind: &str, id: String, mut body: serde_json::Value| {
        body["resourceType"] = kind.into();
        body["id"] = id.clone().into();
        entries.push(json!({"request": {"method": "PUT", "url": format!("{kind}/{id}")}, "resource": body}));
    };
    for (n, words) in record.chunks(10).enumerate() {
        let data = base64::engine::general_purpose::STANDARD
            .encode(format!("Seen. {}.\nThen {}.", words[0], words[1]));
        put(
            "DocumentReference",
            format!("note-{n}"),
            json!({"status": "current", "docStatus": "final", "subject": subject, "date": "2026-11-20T08:00:00Z",
                "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}], "text": words[2]},
                "author": [{"display": words[3]}],
                "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": data, "title": words[4]}}]}),
        );
        for (i, pair) in words[5..9].chunks(2).enumerate() {
            put(
                "Observation",
                format!("lab-{n}-{i}"),
                json!({"status": "final", "subject": subject, "effectiveDateTime": "2026-11-20T08:00:00Z",
                    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
                    "code": {"text": pair[0]}, "valueString": pair[1]}),
            );
        }
        put(
            "Procedure",
            format!("proc-{n}"),
            json!({"status": "completed", "subject": subject, "performedDateTime": "2026-11-19T08:00:00Z", "code": {"text": words[9]}}),
        );
    }
    for (n, words) in essential.chunks(2).enumerate() {
        put(
            "AllergyIntolerance",
            format!("allergy-{n}"),
            json!({"patient": subject, "code": {"text": words[0]}, "reaction": [{"manifestation": [{"text": words[1]}]}],
                "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}}),
        );
    }
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string();
    let http = server.http()?;
    let token = server.token(&http).await?;
    let answer = http
        .post(format!("{}/fhir", server.url()))
        .bearer_auth(&token)
        .header("content-type", "application/fhir+json")
        .body(bundle)
        .send()
        .await?;
    let (status, said) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status}: {said}");
    Ok(())
}
