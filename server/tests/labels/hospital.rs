//! A ward with a record that is labelled as a whole (`pat-v`), and one (`pat-ed`) of which some entries are.

use crate::harness::browser::Browser;
use crate::harness::command::{add_user, password};
use crate::harness::images::{Made, RELATED, related};
use crate::harness::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Words that stand in what is labelled and nowhere else.
pub const CANARIES: [&str; 3] = ["Kanarienvogel", "QANARIE-77", "ACC-17"];
pub const STUDY: &str = "1.2.826.0.1.3680043.8.498.77";
pub const NO_STUDY: &str = "1.2.826.0.1.3680043.8.498.70";
pub const OTHER_STUDY: &str = "1.2.826.0.1.3680043.8.498.78";

fn labelled(mut resource: Value) -> Value {
    resource["meta"] = json!({"security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]});
    resource
}

pub fn of(kind: &str, id: &str, patient: &str, more: Value) -> Value {
    let mut out =
        json!({"resourceType": kind, "id": id, "subject": {"reference": format!("Patient/{patient}")}});
    for (name, value) in more.as_object().unwrap() {
        out[name] = value.clone();
    }
    out
}

fn note(id: &str, patient: &str, words: &str) -> Value {
    let more = json!({"status": "current", "description": words, "date": "2026-11-20T10:00:00Z",
        "content": [{"attachment": {"title": words}}]});
    of("DocumentReference", id, patient, more)
}

pub fn lab(id: &str, patient: &str, words: &str) -> Value {
    let more = json!({"status": "final", "code": {"text": words}, "effectiveDateTime": "2026-11-20T10:00:00Z",
        "identifier": [{"system": "urn:test:lab", "value": id}], "valueString": words});
    of("Observation", id, patient, more)
}

pub struct Hospital {
    pub _folder: tempfile::TempDir,
    pub server: Server,
    pub program: String,
    pub nurse: String,
    pub device: Device,
    pub console: Browser,
}

pub async fn hospital() -> Hospital {
    let (folder, data) = folder();
    let server = Server::start(&data);
    let program = server.client_token("system/*.cruds").await;
    for (p, w) in [("pat-ed", "ED"), ("pat-v", "ED"), ("pat-i", "ICU")] {
        let (status, answer) = server.fhir(&program, "/fhir", placed(p, w).to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let slices = [("mrn-pat-v", STUDY), ("mrn-pat-i", OTHER_STUDY)].map(|(patient, study)| {
        Made {
            patient,
            study,
            ..Made::default()
        }
        .bytes()
    });
    let sent = server
        .post("/dicomweb/studies")
        .bearer_auth(&program)
        .header("content-type", RELATED);
    assert_eq!(sent.body(related(&slices)).send().await.unwrap().status(), 200);
    // Both are looked at, and both are then confidential to the program: `pat-i` too, so that it finds no study at all.
    prepared(&server, &program).await;
    let problem = of(
        "Condition",
        "problem-v",
        "pat-ed",
        json!({"code": {"text": "Kanarienvogel"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}}),
    );
    let mut rows = vec![
        labelled(patient("pat-v")),
        labelled(patient("pat-i")),
        labelled(lab("lab-v", "pat-ed", "Kanarienvogel QANARIE-77")),
        labelled(note("note-v", "pat-ed", "Kanarienvogel QANARIE-77")),
        labelled(problem),
        lab("of-v", "pat-v", "Kanarienvogel QANARIE-77"),
        note("note-of-v", "pat-v", "Kanarienvogel QANARIE-77"),
        note("open", "pat-ed", "nothing to hide"),
    ];
    rows.extend((0..5).map(|n| lab(&format!("open-{n}"), "pat-ed", "open")));
    let entry = |r: &Value| {
        json!({"resource": r, "request": {"method": "PUT",
        "url": format!("{}/{}", r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap())}})
    };
    let entries: Vec<Value> = rows.iter().map(entry).collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let (status, answer) = server.fhir(&program, "/fhir", bundle.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    for (user, role) in [("nina", "nurse"), ("petra", "privacy-officer")] {
        add_user(server.dir(), user, role);
    }
    let device = server.enrol("ED", &[]).await;
    let (status, session) = server.login(&device, "nina", password("nina").trim()).await;
    assert_eq!(status, 200, "{session}");
    let mut console = Browser::new(client(&data), &server.url(""));
    console.sign_in("petra", password("petra").trim()).await;
    Hospital {
        _folder: folder,
        server,
        program,
        nurse: session["token"].as_str().unwrap().to_owned(),
        device,
        console,
    }
}

/// Until the pictures of both studies can be given.
async fn prepared(server: &Server, program: &str) {
    for study in [STUDY, OTHER_STUDY] {
        let path = format!("/dicomweb/studies/{study}/thumbnail");
        let mut tries = 0;
        while server
            .get(&path)
            .bearer_auth(program)
            .header("accept", "image/jpeg")
            .send()
            .await
            .unwrap()
            .status()
            != 200
        {
            tries += 1;
            assert!(tries < 300, "no picture of {study}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
