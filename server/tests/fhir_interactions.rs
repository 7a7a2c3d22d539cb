//! FHIR's interactions beside read, create and update: delete, patch, update by condition, history, `$validate`, against a
//! server; and what happens when many do them at once.
#![allow(clippy::disallowed_methods)] // a test says how long it took

mod harness;
use harness::*;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vitrine_server::http::ROUTES;
use vitrine_testpg::TestPg;

const JSON_PATCH: &str = "application/json-patch+json";
/// So many at once in one race.
const RACERS: usize = 200;

struct Answer {
    status: u16,
    etag: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
    /// The words of the first issue.
    fn words(&self) -> String {
        self.json()["issue"][0]["diagnostics"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Asks; `more`: headers.
async fn ask(
    s: &Server,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&str>,
    more: &[(&str, &str)],
) -> Answer {
    let media = if method == "PATCH" {
        JSON_PATCH
    } else {
        "application/fhir+json"
    };
    let mut request = s
        .http()
        .request(method.parse::<Method>().unwrap(), s.url(path))
        .bearer_auth(token);
    let named = more.iter().any(|(name, _)| *name == "content-type");
    if body.is_some() && !named {
        request = request.header("content-type", media);
    }
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let answer = request
        .body(body.unwrap_or_default().to_owned())
        .send()
        .await
        .unwrap();
    let etag = answer
        .headers()
        .get("etag")
        .map(|v| v.to_str().unwrap().to_owned());
    Answer {
        status: answer.status().as_u16(),
        etag,
        text: answer.text().await.unwrap(),
    }
}

async fn department() -> (tempfile::TempDir, Server, String) {
    let (folder, data) = folder();
    let server = Server::start(&data);
    let client = server.client_token("system/*.cruds").await;
    let (status, answer) = server
        .fhir(&client, "/fhir", placed("pat-ed", "ED").to_string())
        .await;
    assert_eq!(status, 200, "{answer}");
    (folder, server, client)
}

async fn put(s: &Server, token: &str, id: &str, value: &str) -> Answer {
    let body = observation(Some(id), "pat-ed", value);
    ask(
        s,
        token,
        "PUT",
        &format!("/fhir/Observation/{id}"),
        Some(&body),
        &[],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_and_its_history_stays() {
    let (_folder, s, t) = department().await;
    let at = "/fhir/Observation/o1";
    assert_eq!(put(&s, &t, "o1", "4.10").await.status, 201);
    let wrong = ask(&s, &t, "DELETE", at, None, &[("if-match", "W/\"7\"")]).await;
    assert_eq!(wrong.status, 412, "{}", wrong.text);
    assert_eq!(
        ask(&s, &t, "GET", at, None, &[]).await.status,
        200,
        "a refused delete deletes"
    );
    let key = ("idempotency-key", "6f1d0d5e-3f51-4ef2-9a5c-0c8c41e5b001");
    let done = ask(&s, &t, "DELETE", at, None, &[("if-match", "W/\"1\""), key]).await;
    assert_eq!(
        (done.status, done.etag.as_deref(), done.text.as_str()),
        (204, Some("W/\"2\""), "")
    );
    let same = ask(&s, &t, "DELETE", at, None, &[("if-match", "W/\"1\""), key]).await;
    assert_eq!(
        (same.status, same.etag.as_deref()),
        (204, Some("W/\"2\"")),
        "{}",
        same.text
    );
    let again = ask(&s, &t, "DELETE", at, None, &[]).await;
    assert_eq!(
        (again.status, again.etag.as_deref()),
        (204, Some("W/\"2\"")),
        "{}",
        again.text
    );
    let told = ask(
        &s,
        &t,
        "DELETE",
        at,
        None,
        &[("prefer", "return=OperationOutcome")],
    )
    .await;
    assert_eq!(
        (told.status, told.json()["resourceType"].as_str()),
        (200, Some("OperationOutcome"))
    );
    assert_eq!(ask(&s, &t, "GET", at, None, &[]).await.status, 410);
    assert_eq!(
        ask(&s, &t, "GET", &format!("{at}/_history/1"), None, &[])
            .await
            .status,
        200
    );
    let never = ask(&s, &t, "DELETE", "/fhir/Observation/never", None, &[]).await;
    assert_eq!(never.status, 404, "{}", never.text);
    // It comes back as the next version.
    let back = put(&s, &t, "o1", "4.2").await;
    assert_eq!(
        (back.status, back.etag.as_deref()),
        (201, Some("W/\"3\"")),
        "{}",
        back.text
    );
    let by = ask(&s, &t, "DELETE", "/fhir/Observation?identifier=a|b", None, &[]).await;
    assert_eq!(
        (by.status, by.json()["resourceType"].as_str()),
        (400, Some("OperationOutcome"))
    );
    let rows = s.audit();
    let versions: Vec<u64> = rows
        .iter()
        .filter(|r| r["action"] == "write-clinical" && r["decision"] == "permit")
        .flat_map(|r| r["disclosure"]["resources"].as_array().unwrap())
        .filter(|d| d["key"]["id"] == "o1")
        .map(|d| d["version"].as_u64().unwrap())
        .collect();
    assert_eq!(
        versions,
        [1, 2, 2, 2, 2, 3],
        "the first, four times its deletion, and again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_not_removed_by_deleting_its_patient() {
    let (_folder, s, t) = department().await;
    let refused = ask(&s, &t, "DELETE", "/fhir/Patient/pat-ed", None, &[]).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.words().contains("archive destroy"), "{}", refused.text);
    let entry = json!({"request": {"method": "DELETE", "url": "Patient/pat-ed"}});
    for kind in ["transaction", "batch"] {
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
        let (_, answer) = s.fhir(&t, "/fhir", bundle.to_string()).await;
        assert!(answer.to_string().contains("archive destroy"), "{kind}: {answer}");
    }
    assert_eq!(
        ask(&s, &t, "GET", "/fhir/Patient/pat-ed", None, &[]).await.status,
        200
    );
    // One with nothing in the record was a mistake of registration.
    let lone = patient("lone").to_string();
    assert_eq!(
        ask(&s, &t, "PUT", "/fhir/Patient/lone", Some(&lone), &[])
            .await
            .status,
        201
    );
    let done = ask(&s, &t, "DELETE", "/fhir/Patient/lone", None, &[]).await;
    assert_eq!(done.status, 204, "{}", done.text);
    // With all that is in the record in the same transaction nothing is left behind.
    let entries: Vec<Value> = ["Encounter/pat-ed-enc", "Patient/pat-ed"]
        .map(|url| json!({"request": {"method": "DELETE", "url": url}}))
        .to_vec();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let (status, answer) = s.fhir(&t, "/fhir", bundle.to_string()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_what_it_names_and_no_other_number() {
    let (_folder, s, t) = department().await;
    let at = "/fhir/Observation/o1";
    assert_eq!(put(&s, &t, "o1", "4.10").await.status, 201);
    let ops = r#"[{"op":"test","path":"/status","value":"final"},{"op":"replace","path":"/status","value":"amended"},
        {"op":"add","path":"/note","value":[{"text":"haemolytic"}]},{"op":"add","path":"/note/-","value":{"text":"repeat"}}]"#;
    let done = ask(&s, &t, "PATCH", at, Some(ops), &[]).await;
    assert_eq!(
        (done.status, done.etag.as_deref()),
        (200, Some("W/\"2\"")),
        "{}",
        done.text
    );
    assert!(done.text.contains("\"value\":4.10"), "{}", done.text);
    let now = ask(&s, &t, "GET", at, None, &[]).await;
    assert!(now.text.contains("\"value\":4.10,"), "{}", now.text);
    let read = now.json();
    assert_eq!(
        (&read["status"], &read["note"][1]["text"]),
        (&json!("amended"), &json!("repeat"))
    );
    assert_eq!(read["meta"]["versionId"], "2");
    // Nothing changed: no version.
    let same = ask(
        &s,
        &t,
        "PATCH",
        at,
        Some(r#"[{"op":"replace","path":"/status","value":"amended"}]"#),
        &[],
    )
    .await;
    assert_eq!(
        (same.status, same.etag.as_deref()),
        (200, Some("W/\"2\"")),
        "{}",
        same.text
    );
    for (ops, more, want, words) in [
        (
            r#"[{"op":"test","path":"/status","value":"final"}]"#,
            None,
            422,
            "operation 0 (test at \"/status\")",
        ),
        (
            r#"[{"op":"remove","path":"/note/0"},{"op":"remove","path":"/nothing"}]"#,
            None,
            422,
            "operation 1 (remove at \"/nothing\")",
        ),
        (
            r#"[{"op":"replace","path":"/id","value":"o2"}]"#,
            None,
            422,
            "id may not be changed",
        ),
        (
            r#"[{"op":"replace","path":"/meta/versionId","value":"9"}]"#,
            None,
            422,
            "meta.versionId may not",
        ),
        (
            r#"[{"op":"replace","path":"/status","value":"nonsense"}]"#,
            None,
            422,
            "",
        ),
        (r#"[{"op":"remove","path":"/code"}]"#, None, 422, "required"),
        (r#"{"op":"remove","path":"/note"}"#, None, 400, "array"),
        ("[]", Some(("if-match", "W/\"1\"")), 412, "W/\"2\""),
        (
            "[]",
            Some(("content-type", "application/fhir+json")),
            415,
            JSON_PATCH,
        ),
        (
            "[]",
            Some(("content-type", "application/merge-patch+json")),
            415,
            JSON_PATCH,
        ),
    ] {
        let more: Vec<(&str, &str)> = more.into_iter().collect();
        let refused = ask(&s, &t, "PATCH", at, Some(ops), &more).await;
        assert_eq!(refused.status, want, "{ops}: {}", refused.text);
        assert!(refused.words().contains(words), "{ops}: {}", refused.text);
    }
    assert_eq!(
        ask(&s, &t, "GET", at, None, &[]).await.etag.as_deref(),
        Some("W/\"2\""),
        "a refused patch wrote"
    );
    let quiet = ask(
        &s,
        &t,
        "PATCH",
        at,
        Some(r#"[{"op":"remove","path":"/note"}]"#),
        &[("if-match", "W/\"2\""), ("prefer", "return=minimal")],
    )
    .await;
    assert_eq!(
        (quiet.status, quiet.etag.as_deref(), quiet.text.as_str()),
        (200, Some("W/\"3\""), "")
    );
    let to_icu = r#"[{"op":"test","path":"/subject/reference","value":"Patient/pat-ed"}]"#;
    let never = ask(&s, &t, "PATCH", "/fhir/Observation/never", Some(to_icu), &[]).await;
    assert_eq!(never.status, 404, "{}", never.text);
    // Who may write and not read learns nothing by a test.
    let blind = s.client_token("system/Observation.cud").await;
    assert_eq!(ask(&s, &blind, "PATCH", at, Some("[]"), &[]).await.status, 403);
    ask(&s, &t, "DELETE", at, None, &[]).await;
    assert_eq!(ask(&s, &t, "PATCH", at, Some("[]"), &[]).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_by_identifier_creates_updates_or_refuses() {
    let (_folder, s, t) = department().await;
    let of = |value: &str, id: Option<&str>| {
        let mut one: Value = serde_json::from_str(&observation(id, "pat-ed", value)).unwrap();
        one["identifier"] = json!([{"system": "urn:test:lab", "value": "n1"}]);
        one.to_string()
    };
    let at = "/fhir/Observation?identifier=urn:test:lab%7Cn1";
    let first = ask(&s, &t, "PUT", at, Some(&of("1.0", None)), &[]).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let next = ask(&s, &t, "PUT", at, Some(&of("2.0", None)), &[]).await;
    assert_eq!(
        (next.status, next.json()["id"].as_str(), next.etag.as_deref()),
        (200, Some(id.as_str()), Some("W/\"2\"")),
        "{}",
        next.text
    );
    let stale = ask(
        &s,
        &t,
        "PUT",
        at,
        Some(&of("3.0", None)),
        &[("if-match", "W/\"1\"")],
    )
    .await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    assert_eq!(
        ask(
            &s,
            &t,
            "PUT",
            "/fhir/Observation/twin",
            Some(&of("4.0", Some("twin"))),
            &[]
        )
        .await
        .status,
        201
    );
    let many = ask(&s, &t, "PUT", at, Some(&of("5.0", None)), &[]).await;
    assert_eq!(
        (many.status, many.json()["issue"][0]["code"].as_str()),
        (412, Some("multiple-matches")),
        "{}",
        many.text
    );
    let other = ask(
        &s,
        &t,
        "PUT",
        "/fhir/Observation?status=final",
        Some(&of("5.0", None)),
        &[],
    )
    .await;
    assert_eq!(other.status, 422, "{}", other.text);
    assert_eq!(
        ask(&s, &t, "PUT", "/fhir/Observation", Some(&of("5.0", None)), &[])
            .await
            .status,
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_has_every_version_once_whatever_is_written_meanwhile() {
    let (_folder, s, t) = department().await;
    for n in 1..=4 {
        put(&s, &t, "o1", &format!("{n}.50")).await;
    }
    ask(&s, &t, "DELETE", "/fhir/Observation/o1", None, &[]).await;
    put(&s, &t, "o1", "6.50").await;
    let all = ask(&s, &t, "GET", "/fhir/Observation/o1/_history", None, &[]).await;
    let read = all.json();
    assert_eq!(
        (all.status, read["type"].as_str(), read["total"].as_u64()),
        (200, Some("history"), Some(6)),
        "{}",
        all.text
    );
    assert!(
        vitrine_fhir::validate(all.text.as_bytes()).is_ok(),
        "{:?}",
        vitrine_fhir::validate(all.text.as_bytes())
    );
    let entries = read["entry"].as_array().unwrap();
    let of: Vec<(&str, &str, bool)> = entries
        .iter()
        .map(|e| {
            (
                e["request"]["method"].as_str().unwrap(),
                e["response"]["etag"].as_str().unwrap(),
                e["resource"].is_null(),
            )
        })
        .collect();
    assert_eq!(
        of,
        [
            ("PUT", "W/\"6\"", false),
            ("DELETE", "W/\"5\"", true),
            ("PUT", "W/\"4\"", false),
            ("PUT", "W/\"3\"", false),
            ("PUT", "W/\"2\"", false),
            ("PUT", "W/\"1\"", false)
        ]
    );
    assert!(all.text.contains("\"value\":3.50"), "{}", all.text);
    assert_eq!(entries[2]["resource"]["meta"]["versionId"], "4");
    // Pages, with a new version between each.
    let (mut seen, mut at) = (Vec::new(), "/fhir/Observation/o1/_history?_count=2".to_owned());
    for n in 0..10 {
        let page = ask(&s, &t, "GET", &at, None, &[]).await.json();
        for e in page["entry"].as_array().unwrap() {
            seen.push(e["response"]["etag"].as_str().unwrap().to_owned());
        }
        put(&s, &t, "o1", &format!("{n}.75")).await;
        let links = page["link"].as_array().unwrap();
        let Some(next) = links.iter().find(|l| l["relation"] == "next") else {
            break;
        };
        let url = next["url"].as_str().unwrap();
        at = url[url.find("/fhir/").unwrap()..].to_owned();
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1].map(|v| format!("W/\"{v}\"")));
    // Since a moment.
    let third = ask(&s, &t, "GET", "/fhir/Observation/o1/_history/3", None, &[])
        .await
        .json();
    let since = third["meta"]["lastUpdated"].as_str().unwrap();
    let later = ask(
        &s,
        &t,
        "GET",
        &format!("/fhir/Observation/o1/_history?_since={since}"),
        None,
        &[],
    )
    .await
    .json();
    let newest = ask(&s, &t, "GET", "/fhir/Observation/o1", None, &[]).await.json()["meta"]["versionId"]
        .as_str()
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert_eq!(later["total"].as_u64(), Some(newest - 2), "{later}");
    assert_eq!(later["entry"].as_array().unwrap().len() as u64, newest - 2);
    for query in ["_count=0", "_since=yesterday", "_page=x", "_at=2020", "_sort=a"] {
        let refused = ask(
            &s,
            &t,
            "GET",
            &format!("/fhir/Observation/o1/_history?{query}"),
            None,
            &[],
        )
        .await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text);
    }
    // One row names every version of the page.
    let rows = s.audit();
    let whole = rows.iter().find(|r| {
        r["disclosure"]["resources"]
            .as_array()
            .is_some_and(|l| l.len() == 6)
    });
    assert_eq!(
        whole.unwrap_or_else(|| panic!("no row has all versions"))["action"],
        "read-resource"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_are_as_confidential_as_what_was_labelled_after_them() {
    let (_folder, s, t) = department().await;
    let labelled = |value: &str, label: bool| {
        let mut one: Value = serde_json::from_str(&observation(Some("o1"), "pat-ed", value)).unwrap();
        if label {
            one["meta"] = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]});
        }
        one.to_string()
    };
    let at = "/fhir/Observation/o1";
    for (value, label) in [("1.11", false), ("2.22", true), ("3.33", false)] {
        let done = ask(&s, &t, "PUT", at, Some(&labelled(value, label)), &[]).await;
        assert!(done.status < 300, "{}", done.text);
    }
    let history = format!("{at}/_history");
    let some = ask(&s, &t, "GET", &history, None, &[]).await;
    assert_eq!(
        (some.status, some.json()["total"].as_u64()),
        (200, Some(1)),
        "{}",
        some.text
    );
    assert!(
        !some.text.contains("2.22") && !some.text.contains("1.11"),
        "{}",
        some.text
    );
    let cleared = s.client_token("system/*.rs?_security=V").await;
    let all = ask(&s, &cleared, "GET", &history, None, &[]).await;
    assert_eq!(all.json()["total"], 3, "{}", all.text);
    // Labelled as it is now, the whole is not there; deleting and patching tell no more.
    ask(&s, &t, "PUT", at, Some(&labelled("4.44", true)), &[]).await;
    for (method, path, body) in [
        ("GET", history.as_str(), None),
        ("DELETE", at, None),
        ("PATCH", at, Some("[]")),
    ] {
        let there = ask(&s, &t, method, path, body, &[]).await;
        let absent = ask(&s, &t, method, &path.replace("o1", "o0"), body, &[]).await;
        assert_eq!((there.status, &there.text), (404, &absent.text), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_tells_every_fault_and_stores_nothing() {
    let (_folder, s, t) = department().await;
    let good = observation(None, "pat-ed", "4.10");
    let with_id = observation(Some("o9"), "pat-ed", "4.10");
    let bad = r#"{"resourceType":"Observation","status":"nonsense","colour":"red"}"#;
    let wrapped = |inner: &str, more: &str| {
        format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"resource","resource":{inner}}}{more}]}}"#
        )
    };
    let mode = |m: &str| format!(r#",{{"name":"mode","valueCode":"{m}"}}"#);
    let (of_type, of_one) = ("/fhir/Observation/$validate", "/fhir/Observation/o9/$validate");
    for (path, body, errors) in [
        (of_type, good.clone(), 0),
        (of_type, wrapped(&good, ""), 0),
        (of_type, wrapped(&good, &mode("create")), 0),
        (of_type, bad.to_owned(), 3),
        (of_type, wrapped(bad, ""), 3),
        (of_type, patient("x").to_string(), 1),
        (of_type, wrapped(&good, &mode("update")), 1),
        (of_one, with_id.clone(), 0),
        (of_one, wrapped(&with_id, &mode("update")), 0),
        (of_one, good.clone(), 1),
        (of_type, "{".to_owned(), 1),
        (
            "/fhir/Parameters/$validate",
            r#"{"resourceType":"Parameters","parameter":[{"name":"a","valueCode":"b"}]}"#.to_owned(),
            0,
        ),
    ] {
        let told = ask(&s, &t, "POST", path, Some(&body), &[]).await;
        assert_eq!(told.status, 200, "{body}: {}", told.text);
        assert!(
            vitrine_fhir::validate(told.text.as_bytes()).is_ok(),
            "{}",
            told.text
        );
        let issues = told.json()["issue"].as_array().unwrap().clone();
        let found = issues.iter().filter(|i| i["severity"] == "error").count();
        assert_eq!(found, errors, "{body}: {}", told.text);
        assert!(issues.iter().all(|i| {
            i["details"]["text"]
                .as_str()
                .unwrap()
                .contains("not checked: profiles")
        }));
    }
    let told = ask(&s, &t, "POST", of_type, Some(bad), &[]).await;
    let places: Vec<String> = told.json()["issue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["expression"][0].as_str().unwrap_or_default().to_owned())
        .collect();
    for place in ["Observation.code", "Observation.status"] {
        assert!(places.iter().any(|p| p == place), "{places:?}");
    }
    let profile = wrapped(&good, r#",{"name":"profile","valueUri":"http://example.org/p"}"#);
    let told = ask(&s, &t, "POST", of_type, Some(&profile), &[]).await;
    assert!(
        told.text.contains("profiles are not checked here"),
        "{}",
        told.text
    );
    for (body, want) in [(wrapped(&good, &mode("profile")), 400), (String::new(), 400)] {
        let refused = ask(&s, &t, "POST", of_type, Some(&body), &[]).await;
        assert_eq!(refused.status, want, "{}", refused.text);
    }
    assert_eq!(
        ask(&s, &t, "POST", "/fhir/Nothing/$validate", Some(&good), &[])
            .await
            .status,
        404
    );
    assert_eq!(
        ask(&s, &t, "GET", "/fhir/Observation/o9", None, &[]).await.status,
        404,
        "$validate stored it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_passed_over_and_a_lost_version_is_named_where_it_was_expected() {
    let (_folder, s, t) = department().await;
    let (put_to, of_type) = ("/fhir/Observation/o1", "/fhir/Observation");
    let marked = |id: Option<&str>| format!("\u{feff}{}", observation(id, "pat-ed", "4.10"));
    for (method, path, body) in [
        ("POST", of_type, marked(None)),
        ("PUT", put_to, marked(Some("o1"))),
    ] {
        let done = ask(&s, &t, method, path, Some(&body), &[]).await;
        assert_eq!(done.status, 201, "{method}: {}", done.text);
        assert!(done.text.starts_with('{'), "{method}: the mark is kept");
    }
    let told = ask(
        &s,
        &t,
        "POST",
        "/fhir/Observation/$validate",
        Some(&marked(None)),
        &[],
    )
    .await;
    assert!(!told.text.contains("\"error\""), "{}", told.text);
    // The version that was expected is said where the sender said it.
    let body = observation(Some("o1"), "pat-ed", "5");
    let lost = [("if-match", "W/\"7\"")];
    let alone = ask(&s, &t, "PUT", put_to, Some(&body), &lost).await;
    let resource: Value = serde_json::from_str(&body).unwrap();
    let entry = json!({"resource": resource, "request": {"method": "PUT", "url": "Observation/o1", "ifMatch": "W/\"7\""}});
    let bundle = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": [entry]}).to_string();
    let (whole, transaction) = s.fhir(&t, "/fhir", bundle("transaction")).await;
    let (_, batch) = s.fhir(&t, "/fhir", bundle("batch")).await;
    assert_eq!((alone.status, whole), (412, 412), "{transaction}");
    assert_eq!(alone.json()["issue"][0]["expression"][0], "http.If-Match");
    let at = "Bundle.entry[0].request.ifMatch";
    assert_eq!(transaction["issue"][0]["expression"][0], at);
    assert_eq!(
        batch["entry"][0]["response"]["outcome"]["issue"][0]["expression"][0],
        at
    );
}

/// Contenders of the conditional creates and of the updates with `If-Match`, all together; `VITRINE_RACES` says how many.
fn contenders() -> usize {
    std::env::var("VITRINE_RACES").map_or(2 * RACERS, |n| n.parse().expect("VITRINE_RACES is a number"))
}

/// Does the same many times at once and counts the statuses.
async fn race<F: Future<Output = u16> + Send + 'static>(one: impl Fn(usize) -> F) -> BTreeMap<u16, usize> {
    let tasks: Vec<_> = (0..RACERS).map(|n| tokio::spawn(one(n))).collect();
    let mut out = BTreeMap::new();
    for task in tasks {
        *out.entry(task.await.unwrap()).or_default() += 1;
    }
    out
}

/// Turned away for load is no answer: it is sent again, as `Retry-After` says, until it is one.
async fn settled(s: &Server, t: &str, method: &str, path: &str, body: &str, more: &[(&str, &str)]) -> u16 {
    loop {
        let answer = ask(s, t, method, path, Some(body), more).await;
        if answer.status != 503 {
            return answer.status;
        }
        assert_eq!(
            answer.json()["issue"][0]["code"],
            "throttled",
            "a fault, not load: {}",
            answer.text
        );
        TURNED_AWAY.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Answers that said "too much to do, later".
static TURNED_AWAY: AtomicUsize = AtomicUsize::new(0);

/// Many create the one resource with a number at once: one does, all others are told that it is there. Then many update it over the
/// version there is: one does, all others are told to read it again. Each contender goes to one server of `all`, in turn.
async fn raced(all: &[Arc<Server>], t: &str, round: usize) -> (BTreeMap<u16, usize>, BTreeMap<u16, usize>) {
    let number = format!("raced-{round}");
    let s = all[0].clone();
    let (servers, token, value) = (all.to_vec(), t.to_owned(), number.clone());
    let created = race(move |n| {
        let (s, t) = (servers[n % servers.len()].clone(), token.clone());
        let mut one: Value = serde_json::from_str(&observation(None, "pat-ed", &format!("{n}.5"))).unwrap();
        one["identifier"] = json!([{"system": "urn:test:lab", "value": value}]);
        let condition = format!("identifier=urn:test:lab|{value}");
        async move {
            let condition = [("if-none-exist", condition.as_str())];
            settled(&s, &t, "POST", "/fhir/Observation", &one.to_string(), &condition).await
        }
    })
    .await;
    let found = ask(
        &s,
        t,
        "GET",
        &format!("/fhir/Observation?patient=pat-ed&identifier=urn:test:lab%7C{number}"),
        None,
        &[],
    )
    .await;
    let found = found.json();
    assert_eq!(found["total"], 1, "{found}");
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let (servers, token, at) = (all.to_vec(), t.to_owned(), id.clone());
    let updated = race(move |n| {
        let (s, t) = (servers[n % servers.len()].clone(), token.clone());
        let body = observation(Some(&at), "pat-ed", &format!("{n}.25"));
        let path = format!("/fhir/Observation/{at}");
        async move { settled(&s, &t, "PUT", &path, &body, &[("if-match", "W/\"1\"")]).await }
    })
    .await;
    let now = ask(&s, t, "GET", &format!("/fhir/Observation/{id}"), None, &[]).await;
    assert_eq!(now.etag.as_deref(), Some("W/\"2\""), "{}", now.text);
    (created, updated)
}

/// Rounds of races until all contenders had theirs.
async fn races(all: &[Arc<Server>], t: &str, store: &str, contenders: usize) {
    let (began, mut of) = (std::time::Instant::now(), 0);
    let rounds = contenders.div_ceil(2 * RACERS);
    for round in 0..rounds {
        let (created, updated) = raced(all, t, round).await;
        assert_eq!(
            created,
            BTreeMap::from([(200, RACERS - 1), (201, 1)]),
            "round {round}"
        );
        assert_eq!(
            updated,
            BTreeMap::from([(200, 1), (412, RACERS - 1)]),
            "round {round}"
        );
        of += 2 * RACERS;
    }
    println!(
        "{store}: {of} contenders, {rounds} winners of a create and {rounds} of an update in {:?}; turned away for load and sent again: {}",
        began.elapsed(),
        TURNED_AWAY.load(Ordering::Relaxed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_alone_wins_and_no_patch_is_lost() {
    let (_folder, s, t) = department().await;
    assert_eq!(put(&s, &t, "o1", "1.0").await.status, 201);
    let s = Arc::new(s);
    races(std::slice::from_ref(&s), &t, "embedded", contenders()).await;
    // Without If-Match each patch is done on what the one before it left.
    let (server, token) = (s.clone(), t.clone());
    let first = ask(
        &s,
        &t,
        "PATCH",
        "/fhir/Observation/o1",
        Some(r#"[{"op":"add","path":"/note","value":[{"text":"first"}]}]"#),
        &[],
    )
    .await;
    assert_eq!(first.status, 200, "{}", first.text);
    let patched = race(move |n| {
        let (s, t) = (server.clone(), token.clone());
        async move {
            let ops = format!(r#"[{{"op":"add","path":"/note/-","value":{{"text":"note {n}"}}}}]"#);
            loop {
                let status = settled(&s, &t, "PATCH", "/fhir/Observation/o1", &ops, &[]).await;
                if status != 409 {
                    return status;
                }
            }
        }
    });
    assert_eq!(patched.await, BTreeMap::from([(200, RACERS)]));
    let notes = ask(&s, &t, "GET", "/fhir/Observation/o1", None, &[]).await.json()["note"]
        .as_array()
        .unwrap()
        .clone();
    let texts: std::collections::BTreeSet<String> = notes.iter().map(|n| n["text"].to_string()).collect();
    assert_eq!(
        (notes.len(), texts.len()),
        (RACERS + 1, RACERS + 1),
        "a patch was lost"
    );
}

/// A server on a database; with the keys of another one of the same hospital.
fn on_database(root: &std::path::Path, name: &str, url: &str, like: Option<&Server>) -> Server {
    let data = root.join(name);
    std::fs::create_dir_all(data.join("keys")).unwrap();
    for folder in [data.clone(), data.join("keys")] {
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    if let Some(like) = like {
        for file in ["ca.pem", "tls.pem", "store"] {
            std::fs::copy(like.data.join(file), data.join(file)).unwrap();
        }
        for key in std::fs::read_dir(like.data.join("keys")).unwrap() {
            let key = key.unwrap();
            std::fs::copy(key.path(), data.join("keys").join(key.file_name())).unwrap();
        }
    }
    let text = format!("[database]\nurl = {url:?}\nnode = {name:?}\n");
    let config = root.join(format!("{name}.toml"));
    std::fs::write(&config, &text).unwrap();
    std::fs::write(data.join("vitrine.toml"), text).unwrap();
    Server::start_with(&data, &["--config", config.to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_alone_wins_on_postgresql() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let (folder, _) = folder();
    let s = on_database(folder.path(), "one", &url, None);
    let t = s.client_token("system/*.cruds").await;
    let (status, answer) = s.fhir(&t, "/fhir", placed("pat-ed", "ED").to_string()).await;
    assert_eq!(status, 200, "{answer}");
    races(&[Arc::new(s)], &t, "PostgreSQL", contenders()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_alone_wins_on_two_servers_of_one_database() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let (folder, _) = folder();
    let one = on_database(folder.path(), "one", &url, None);
    let two = on_database(folder.path(), "two", &url, Some(&one));
    let t = one.client_token("system/*.cruds").await;
    let (status, answer) = one.fhir(&t, "/fhir", placed("pat-ed", "ED").to_string()).await;
    assert_eq!(status, 200, "{answer}");
    // Two who are as fast as each other are needed: a missing order shows in one round of two or three.
    let contenders = contenders().max(6 * RACERS);
    races(&[Arc::new(one), Arc::new(two)], &t, "two servers", contenders).await;
}

#[test]
fn each_interaction_has_its_route() {
    let codes: Vec<&str> = ROUTES.iter().filter_map(|r| r.interaction).collect();
    for code in ["delete", "patch", "history-instance", "$validate"] {
        assert!(codes.contains(&code), "{code}");
    }
}
