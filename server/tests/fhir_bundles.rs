//! Bundles with more than plain writes: patches that go with them or not at all, reads and searches that are answered as by themselves.

mod harness;
use base64::Engine as _;
use harness::*;
use serde_json::{Value, json};

fn patient(id: &str, family: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}], "birthDate": "1950-02-03",
        "identifier": [{"system": "urn:mrn", "value": format!("N-{id}")}]})
}

fn lab(id: &str, of: &str, value: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"2823-3"}}]}},"subject":{{"reference":"Patient/{of}"}},"effectiveDateTime":"2026-03-01T10:00:00Z","valueQuantity":{{"value":{value},"unit":"mmol/L"}}}}"#
    )
}

fn entry(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn patching(url: &str, operations: &Value) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(operations.to_string());
    json!({
        "resource": {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data},
        "request": {"method": "PATCH", "url": url}
    })
}

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

async fn send(s: &Server, token: &str, kind: &str, entries: &[Value]) -> (u16, Value) {
    s.fhir(token, "/fhir", bundle(kind, entries)).await
}

fn statuses(answer: &Value) -> Vec<String> {
    let entries = answer["entry"].as_array().unwrap();
    entries
        .iter()
        .map(|e| e["response"]["status"].as_str().unwrap()[..3].to_owned())
        .collect()
}

async fn text(s: &Server, token: &str, at: &str) -> (u16, String) {
    let answer = s.get(at).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn records() -> (tempfile::TempDir, Server, String) {
    let (folder, data) = folder();
    let s = Server::start(&data);
    let token = s.client_token("system/*.cruds").await;
    let put = |r: Value| {
        let url = format!(
            "{}/{}",
            r["resourceType"].as_str().unwrap(),
            r["id"].as_str().unwrap()
        );
        json!({"resource": r, "request": {"method": "PUT", "url": url}})
    };
    let (status, answer) = send(
        &s,
        &token,
        "transaction",
        &[put(patient("one", "Mill")), put(patient("two", "Field"))],
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    for (id, of, value) in [("k1", "one", "4.10"), ("k2", "one", "5.00"), ("k3", "two", "3.9")] {
        let sent = s
            .http()
            .put(s.url(&format!("/fhir/Observation/{id}")))
            .bearer_auth(&token)
            .header("content-type", "application/fhir+json")
            .body(lab(id, of, value))
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status().as_u16(), 201);
    }
    (folder, s, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_go_with_the_other_writes_of_a_transaction_or_not_at_all() {
    let (_folder, s, t) = records().await;
    let amended = json!([{"op": "replace", "path": "/status", "value": "amended"},
        {"op": "add", "path": "/performer", "value": [{"reference": "urn:uuid:0c1f9a52-8f0e-4c5c-9a4e-6b0f8a6f2d11"}]}]);
    let nurse = json!({
        "fullUrl": "urn:uuid:0c1f9a52-8f0e-4c5c-9a4e-6b0f8a6f2d11",
        "resource": {"resourceType": "Practitioner", "name": [{"family": "Ward"}]},
        "request": {"method": "POST", "url": "Practitioner"}
    });
    let (status, answer) = send(
        &s,
        &t,
        "transaction",
        &[patching("Observation/k1", &amended), nurse.clone()],
    )
    .await;
    assert_eq!(
        (status, statuses(&answer)),
        (200, vec!["200".into(), "201".into()]),
        "{answer}"
    );
    assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"2\"");
    let made = answer["entry"][1]["response"]["location"].as_str().unwrap();
    let made = made.split("/_history").next().unwrap();
    let (_, now) = text(&s, &t, "/fhir/Observation/k1").await;
    // A name within the Bundle is resolved, and no other number is written anew.
    assert!(now.contains(made) && now.contains("\"value\":4.10"), "{now}");

    // What cannot be done takes everything with it: nothing of these is written.
    let wrong = json!([{"op": "test", "path": "/status", "value": "final"}]);
    let mut stale = patching("Observation/k1", &amended);
    stale["request"]["ifMatch"] = "W/\"1\"".into();
    let mut parameters = patching("Observation/k1", &amended);
    parameters["resource"] = json!({"resourceType": "Parameters", "parameter": []});
    let mut spoilt = patching("Observation/k1", &amended);
    spoilt["resource"]["data"] = "%%%".into();
    let invalid = json!([{"op": "replace", "path": "/status", "value": "finalx"}]);
    for (first, want, at) in [
        (patching("Observation/k1", &wrong), 422, "Bundle.entry[0]."),
        (
            patching("Observation/k1", &invalid),
            422,
            "Bundle.entry[0].resource.status",
        ),
        (
            patching("Observation/none", &wrong),
            404,
            "Bundle.entry[0].request",
        ),
        (stale, 412, "Bundle.entry[0].request"),
        (parameters, 422, "Bundle.entry[0].resource"),
        (spoilt, 422, "Bundle.entry[0].resource"),
        (
            patching("Observation?identifier=a|b", &wrong),
            422,
            "Bundle.entry[0].request",
        ),
    ] {
        let before = text(&s, &t, "/fhir/Observation/k1").await.1;
        let count = done(&["doctor", "--data", s.dir()])["counts"]["resources"].clone();
        let (status, answer) = send(&s, &t, "transaction", &[first.clone(), nurse.clone()]).await;
        assert_eq!(status, want, "{first}: {answer}");
        let expression = answer["issue"][0]["expression"][0].as_str().unwrap_or_default();
        assert!(expression.starts_with(at), "{first}: {answer}");
        assert_eq!(done(&["doctor", "--data", s.dir()])["counts"]["resources"], count);
        assert_eq!(text(&s, &t, "/fhir/Observation/k1").await.1, before);
        // In a batch it is alone in it.
        let (status, answer) = send(
            &s,
            &t,
            "batch",
            &[first, patching("Observation/k2", &amended_back())],
        )
        .await;
        assert_eq!(status, 200);
        let each = statuses(&answer);
        assert!(each[0].starts_with('4'), "{answer}");
        assert_eq!(each[1], "200", "{answer}");
    }
}

fn amended_back() -> Value {
    json!([{"op": "replace", "path": "/status", "value": "amended"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_that_come_to_too_much_are_refused_before_they_are_held() {
    let (_folder, s, t) = records().await;
    let mut long = patient("long", "Mill");
    long["contact"] = json!([{"name": {"text": "x".repeat(9 << 20)}}]);
    let put = json!({"resource": long, "request": {"method": "PUT", "url": "Patient/long"}});
    let (status, answer) = send(&s, &t, "transaction", &[put]).await;
    assert_eq!(status, 200, "{answer}");
    let female = json!([{"op": "add", "path": "/gender", "value": "female"}]);
    let entries: Vec<Value> = (0..9).map(|_| patching("Patient/long", &female)).collect();
    let (status, answer) = send(&s, &t, "transaction", &entries).await;
    assert_eq!(status, 422, "{answer}");
    let issue = &answer["issue"][0];
    assert_eq!(issue["code"], "too-long", "{answer}");
    assert_eq!(issue["expression"][0], "Bundle.entry[7].request", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_a_batch_has_its_turn() {
    let (_folder, s, t) = records().await;
    // Of what an entry before it writes, and of the same resource twice, beside another writer who never rests.
    let put = json!({"resource": patient("new", "Mill"), "request": {"method": "PUT", "url": "Patient/new"}});
    let female = json!([{"op": "add", "path": "/gender", "value": "female"}]);
    let named = json!([{"op": "test", "path": "/gender", "value": "female"},
        {"op": "add", "path": "/generalPractitioner", "value": [{"reference": "Patient?identifier=urn:mrn|N-two"}]}]);
    let entries = [
        patching("Patient/new", &female),
        put,
        patching("Patient/new", &named),
    ];
    let (status, answer) = send(&s, &t, "batch", &entries).await;
    assert_eq!(status, 200);
    // The first comes before the second: updates and patches go in the order of the entries.
    assert_eq!(statuses(&answer), ["404", "201", "422"], "{answer}");
    let (_, answer) = send(&s, &t, "batch", &[entries[0].clone(), entries[2].clone()]).await;
    assert_eq!(statuses(&answer), ["200", "200"], "{answer}");
    let (_, now) = text(&s, &t, "/fhir/Patient/new").await;
    assert!(now.contains("\"reference\":\"Patient/two\""), "{now}");
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let body = bundle(
                "batch",
                &[patching(
                    "Observation/k2",
                    &json!([{"op": "add", "path": "/note", "value": [{"text": format!("{n}")}]}]),
                )],
            );
            let sent = s.post("/fhir").bearer_auth(&t);
            sent.header("content-type", "application/fhir+json")
                .body(body)
                .send()
        })
        .collect();
    for answer in futures_util::future::join_all(writers).await {
        let answer = json_of(answer.unwrap()).await;
        assert_eq!(statuses(&answer), ["200"], "{answer}");
    }
    let (_, now) = text(&s, &t, "/fhir/Observation/k2").await;
    assert!(now.contains("\"versionId\":\"9\""), "{now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_bundle_are_answered_as_by_themselves() {
    let (_folder, s, t) = records().await;
    let asked = [
        "Observation?patient=one&code=http://loinc.org|2823-3",
        "Observation?patient=one&_summary=count",
        "Patient?name=Field",
        "Observation/k1",
        "Observation/k1/_history",
        "Observation/k1/_history/1",
        "Patient/one/$everything?_count=2",
        "Endpoint/dicom-wado-rs",
        "Observation/none",
        "Observation/k1/_history/7",
        "Observation?colour=red",
        "Observation?patient=nobody",
        "Colour/red",
        "Patient/one/$fly",
    ];
    let entries: Vec<Value> = asked.iter().map(|url| entry("GET", url)).collect();
    let (status, answer) = send(&s, &t, "batch", &entries).await;
    assert_eq!(status, 200, "{answer}");
    let mut answered = 0;
    for (at, each) in asked.iter().zip(answer["entry"].as_array().unwrap()) {
        let (status, alone) = text(&s, &t, &format!("/fhir/{}", at.replace('|', "%7C"))).await;
        let alone: Value = serde_json::from_str(&alone).unwrap();
        let given = each["response"]["status"].as_str().unwrap();
        if *at == "Patient/one/$fly" {
            assert!(given.starts_with("422"), "{at}: {each}");
            continue;
        }
        assert!(given.starts_with(&status.to_string()), "{at}: {status}, {each}");
        if status == 200 {
            answered += 1;
            assert_eq!(without_time(&each["resource"]), without_time(&alone), "{at}");
        } else {
            assert_eq!(
                each["response"]["outcome"]["issue"][0]["code"], alone["issue"][0]["code"],
                "{at}"
            );
        }
    }
    assert!(answered >= 8, "{answer}");
    // HEAD is the same without what was read.
    let heads = [
        entry("HEAD", "Observation/k1"),
        entry("HEAD", "Observation?patient=one"),
    ];
    let (_, answer) = send(&s, &t, "batch", &heads).await;
    assert_eq!(statuses(&answer), ["200", "200"], "{answer}");
    assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"1\"");
    assert!(answer["entry"][0]["resource"].is_null() && answer["entry"][1]["resource"].is_null());
    // After the writes: what a transaction writes its reads find.
    let post = json!({"resource": serde_json::from_str::<Value>(&lab("x", "two", "6.1")).unwrap(),
        "request": {"method": "POST", "url": "Observation"}});
    let (status, answer) = send(
        &s,
        &t,
        "transaction",
        &[
            entry("GET", "Observation?patient=two&_summary=count"),
            post.clone(),
        ],
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["entry"][0]["resource"]["total"], 2, "{answer}");
    // What nothing answers refuses the whole before it writes.
    let (status, answer) = send(&s, &t, "transaction", &[entry("GET", "Endpoint/dicom-wado-rs")]).await;
    assert_eq!(
        (status, statuses(&answer)),
        (200, vec!["200".to_owned()]),
        "{answer}"
    );
    for (url, want) in [
        ("/Observation/none", 404),
        ("Observation?colour=red", 400),
        ("Patient/one/$fly", 422),
    ] {
        let (status, answer) = send(&s, &t, "transaction", &[entry("GET", url), post.clone()]).await;
        assert_eq!(status, want, "{url}: {answer}");
        let expression = answer["issue"][0]["expression"][0].as_str().unwrap_or_default();
        assert!(expression.starts_with("Bundle.entry[0].request"), "{answer}");
    }
    let (_, count) = text(&s, &t, "/fhir/Observation?patient=two&_summary=count").await;
    assert!(count.contains("\"total\":2"), "{count}");
    // Each look has its row.
    let rows = s.audit();
    let searched = rows
        .iter()
        .filter(|r| r["notes"]["query"].as_str().is_some_and(|q| q.contains("code=")));
    assert!(
        searched.count() >= 2,
        "the search of the batch and the one by itself"
    );
}

/// Without what says when the answer was made.
fn without_time(v: &Value) -> Value {
    let mut v = v.clone();
    if v["resourceType"] == "Bundle" {
        v["timestamp"] = Value::Null;
        v["meta"] = Value::Null;
        v["id"] = Value::Null;
    }
    v
}
