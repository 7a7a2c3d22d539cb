//! The searches of the FHIR API, against the real server.

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A hospital, and who may ask.
async fn server() -> (tempfile::TempDir, Server, String) {
    let (folder, data) = folder();
    let server = Server::start(&data);
    let client = server.client_token("system/*.cruds").await;
    (folder, server, client)
}

async fn put(s: &Server, token: &str, resource: Value) {
    let at = format!(
        "/fhir/{}/{}",
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap()
    );
    let answer = s
        .put(&at)
        .bearer_auth(token)
        .header("content-type", "application/fhir+json")
        .body(resource.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    assert!(
        status == 200 || status == 201,
        "{at}: {}",
        answer.text().await.unwrap()
    );
}

async fn get(s: &Server, token: &str, at: &str) -> (u16, Value) {
    let answer = s.get(at).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), json_of(answer).await)
}

/// The ids of what matches.
fn ids(bundle: &Value) -> BTreeSet<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .filter(|e| e["search"]["mode"] == "match")
        .map(|e| e["resource"]["id"].as_str().unwrap().to_owned())
        .collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|i| (*i).to_owned()).collect()
}

fn named(id: &str, family: &str, given: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family, "given": [given]}], "gender": "female",
        "birthDate": "1950-03-01", "telecom": [{"system": "phone", "value": "555-0100"}],
        "address": [{"line": ["1 Secret Street"]}],
        "identifier": [{"value": format!("MRN-{id}"),
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_how_their_names_sound() {
    let (_folder, s, client) = server().await;
    for (id, family, given) in [
        ("p1", "Meyer", "Anna"),
        ("p2", "Maier", "Jörg"),
        ("p3", "Smith", "Anna"),
        ("p4", "李", "伟"),
    ] {
        put(&s, &client, named(id, family, given)).await;
    }
    for (asked, expected) in [
        ("phonetic=Mayr", &["p1", "p2"][..]),
        ("phonetic=mayr+ana", &["p1"]),
        ("phonetic=mayr&phonetic=ana", &["p1"]),
        ("phonetic=J%C3%B6rk", &["p2"]),
        ("phonetic=%E6%9D%8E", &["p4"]),
        ("phonetic=%E7%8E%8B", &[]),
        ("phonetic=1950", &[]),
    ] {
        let (status, bundle) = get(&s, &client, &format!("/fhir/Patient?{asked}")).await;
        assert_eq!(status, 200, "{asked}: {bundle}");
        assert_eq!(ids(&bundle), set(expected), "{asked}");
        assert_eq!(
            (&bundle["type"], &bundle["total"]),
            (&json!("searchset"), &json!(expected.len()))
        );
    }
    // Identity, marked as a part; nothing else of the person.
    let (_, bundle) = get(&s, &client, "/fhir/Patient?phonetic=smyth").await;
    let shown = &bundle["entry"][0]["resource"];
    assert_eq!(shown["meta"]["tag"][0]["code"], "SUBSETTED");
    assert_eq!(
        (&shown["name"][0]["family"], &shown["birthDate"]),
        (&json!("Smith"), &json!("1950-03-01"))
    );
    assert_eq!(shown["identifier"][0]["value"], "MRN-p3");
    assert!(!bundle.to_string().contains("Secret Street") && !bundle.to_string().contains("555-0100"));
    // More than were asked for: it says so, and gives no total.
    let (_, bundle) = get(&s, &client, "/fhir/Patient?phonetic=Mayr&_count=1").await;
    assert_eq!(ids(&bundle).len(), 1);
    assert!(bundle["total"].is_null());
    assert_eq!(bundle["entry"][1]["resource"]["issue"][0]["code"], "incomplete");
    // The same in a body, so that no name is in an address.
    let answer = s
        .post("/fhir/Patient/_search")
        .bearer_auth(&client)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("phonetic=Mayr+Ana")
        .send()
        .await
        .unwrap();
    assert_eq!(ids(&json_of(answer).await), set(&["p1"]));
    let answer = s
        .post("/fhir/Patient/_search")
        .bearer_auth(&client)
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 415);
    // What was shown is in the audit log, with what was asked.
    let rows = s.audit();
    let searches: Vec<&Value> = rows.iter().filter(|r| r["action"] == "search-patients").collect();
    assert_eq!(searches.len(), 10);
    let last = searches[9];
    assert_eq!(
        (&last["notes"]["query"], &last["notes"]["by"]),
        (&json!("Mayr Ana"), &json!("phonetic"))
    );
    assert!(
        last.to_string().contains("p1") && !last.to_string().contains("p2"),
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_capability_statement_lists_the_searches_there_are() {
    let (_folder, s, client) = server().await;
    let (_, statement) = get(&s, &client, "/fhir/metadata").await;
    let mut listed = Vec::new();
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let searches = resource["interaction"]
            .as_array()
            .unwrap()
            .iter()
            .any(|i| i["code"] == "search-type");
        let params = resource["searchParam"].as_array().cloned().unwrap_or_default();
        assert_eq!(searches, !params.is_empty(), "{resource}");
        for p in params {
            listed.push(format!(
                "{}?{}",
                resource["type"].as_str().unwrap(),
                p["name"].as_str().unwrap()
            ));
        }
    }
    let of = |kind: &str| -> Vec<&str> {
        let own = listed
            .iter()
            .filter_map(|l| l.strip_prefix(kind)?.strip_prefix('?'));
        own.collect()
    };
    assert_eq!(of("AuditEvent"), ["patient", "date", "agent", "subtype"]);
    assert_eq!(of("Endpoint"), ["_id", "connection-type", "status"]);
    let some: &[(&str, &[&str])] = &[
        ("Patient", &["phonetic", "name", "identifier", "birthdate", "_id"]),
        (
            "DocumentReference",
            &["patient", "_content", "category", "type", "date"],
        ),
        ("DiagnosticReport", &["patient", "_content", "code"]),
        (
            "Observation",
            &["patient", "category", "code", "date", "_lastUpdated"],
        ),
        ("Practitioner", &["name", "identifier"]),
    ];
    for (kind, names) in some {
        assert!(
            names.iter().all(|n| of(kind).contains(n)),
            "{kind}: {:?}",
            of(kind)
        );
    }
    assert!(!of("Patient").contains(&"_lastUpdated") && of("Bundle").is_empty() && of("Basic").is_empty());
}

fn base64(text: &str) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for n in 0..4 {
            let six = (bits >> (18 - 6 * n)) & 63;
            out.push(if n <= three.len() {
                char::from(SIGNS[six as usize])
            } else {
                '='
            });
        }
    }
    out
}

fn document(id: &str, patient: &str, media: &str, text: &str) -> Value {
    json!({"resourceType": "DocumentReference", "id": id, "status": "current",
        "subject": {"reference": format!("Patient/{patient}")},
        "content": [{"attachment": {"contentType": media, "data": base64(text)}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_found_by_their_words_within_one_record() {
    let (_folder, s, client) = server().await;
    for p in ["p1", "p2"] {
        put(&s, &client, named(p, "Meyer", "Anna")).await;
    }
    for note in [
        document("d1", "p1", "text/plain", "Pneumonie rechts, CRP 112 mg/l"),
        document(
            "d2",
            "p1",
            "text/html; charset=utf-8",
            "<p>Keine Pneu<b>monie</b></p><p>&Ouml;dem</p>",
        ),
        document("d3", "p2", "text/plain", "Pneumonie"),
    ] {
        put(&s, &client, note).await;
    }
    put(
        &s,
        &client,
        json!({"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": {"text": "CT"},
            "subject": {"reference": "Patient/p1"}, "conclusion": "Pneumonie im Unterlappen"}),
    )
    .await;
    for round in 0..2 {
        for (asked, expected) in [
            (
                "DocumentReference?patient=p1&_content=pneumonie",
                &["d1", "d2"][..],
            ),
            (
                "DocumentReference?patient=Patient/p1&_content=PNEUMONIE+rechts",
                &["d1"],
            ),
            (
                "DocumentReference?patient=p1&_content=pneumonie&_content=odem",
                &["d2"],
            ),
            ("DocumentReference?patient=p1&_content=112", &["d1"]),
            ("DocumentReference?patient=p1&_content=pneumo", &[]),
            ("DocumentReference?patient=p1&_content=%27%20OR%201=1;--", &[]),
            ("DocumentReference?patient=p2&_content=pneumonie", &["d3"]),
            ("DiagnosticReport?patient=p1&_content=unterlappen", &["r1"]),
        ] {
            let (status, bundle) = get(&s, &client, &format!("/fhir/{asked}")).await;
            assert_eq!(status, 200, "{round} {asked}: {bundle}");
            assert_eq!(ids(&bundle), set(expected), "{round} {asked}");
            assert_eq!(bundle["total"], expected.len(), "{asked}");
        }
    }
    // The whole resource, as it was sent.
    let (_, bundle) = get(&s, &client, "/fhir/DocumentReference?patient=p1&_content=crp").await;
    let shown = &bundle["entry"][0]["resource"];
    assert_eq!(
        shown["content"],
        document("d1", "p1", "text/plain", "Pneumonie rechts, CRP 112 mg/l")["content"]
    );
    assert_eq!(shown["meta"]["versionId"], "1");
    // A scan: found or not, the answer says that it was not searched.
    put(
        &s,
        &client,
        document("d4", "p1", "application/pdf", "%PDF Pneumonie"),
    )
    .await;
    let (_, bundle) = get(
        &s,
        &client,
        "/fhir/DocumentReference?patient=p1&_content=nirgends",
    )
    .await;
    assert_eq!(ids(&bundle), set(&[]));
    let told = &bundle["entry"][0];
    assert_eq!(
        (&told["search"]["mode"], &told["resource"]["issue"][0]["code"]),
        (&json!("outcome"), &json!("incomplete"))
    );
    assert!(told.to_string().contains("1 of 3 notes"), "{told}");
    // More than asked for.
    let (_, bundle) = get(
        &s,
        &client,
        "/fhir/DocumentReference?patient=p1&_content=pneumonie&_count=1",
    )
    .await;
    assert_eq!((ids(&bundle).len(), &bundle["total"]), (1, &json!(2)));
    assert!(bundle.to_string().contains("1 older notes"), "{bundle}");
    // A note that changes is found by what it says now.
    put(&s, &client, document("d1", "p1", "text/plain", "Bronchitis")).await;
    let (_, bundle) = get(
        &s,
        &client,
        "/fhir/DocumentReference?patient=p1&_content=pneumonie",
    )
    .await;
    assert_eq!(ids(&bundle), set(&["d2"]));
    for (asked, status, says) in [
        ("DocumentReference?_content=pneumonie", 400, "add patient="),
        (
            "DocumentReference?patient=&_content=pneumonie",
            400,
            "add patient=",
        ),
        ("DocumentReference?patient=p1&_content=", 400, "give _content="),
        ("DocumentReference?patient=p1&_content=a", 400, "two letters"),
        ("DocumentReference?patient=p1&_content=pneu*", 400, "whole words"),
        (
            "DocumentReference?patient=p1&_content=a,b",
            400,
            "without a comma",
        ),
        (
            "DocumentReference?patient=p1&patient=p2&_content=pneumonie",
            400,
            "once",
        ),
        (
            "DocumentReference?patient=p1&_content=pneumonie&date=2020",
            400,
            "are supported",
        ),
        (
            "DocumentReference?patient=nobody&_content=pneumonie",
            404,
            "no such resource",
        ),
        (
            "Observation?patient=p1&_content=pneumonie",
            400,
            "no parameter of Observation",
        ),
    ] {
        let (got, outcome) = get(&s, &client, &format!("/fhir/{asked}")).await;
        assert_eq!(got, status, "{asked}: {outcome}");
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert!(outcome.to_string().contains(says), "{asked}: {outcome}");
    }
    let rows = s.audit();
    let last = rows
        .iter()
        .rfind(|r| r["action"] == "read-chart" && r["notes"]["query"] == "pneumonie")
        .expect("the search is in the audit log");
    assert_eq!(last["notes"]["by"], "DocumentReference _content");
    assert!(
        !last.to_string().contains("d1\""),
        "a refusal for want of a patient shows none: {last}"
    );
}
