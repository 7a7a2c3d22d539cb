//! `POST /fhir/Patient/$match` against the real server: who is found, how sure that is, and what it tells to whom.

#![allow(clippy::disallowed_methods)] // a test says how long it took

mod harness;

use harness::command::{add_user, password};
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

const GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
const EXPLANATION: &str = "urn:vitrine:match-explanation";

/// Stores patients, in one transaction.
async fn put(s: &Server, client: &str, patients: &[Value]) {
    let entry = |p: &Value| json!({"resource": p, "request": {"method": "PUT", "url": format!("Patient/{}", p["id"].as_str().unwrap())}});
    let entries: Vec<Value> = patients.iter().map(entry).collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let (status, answer) = s.fhir(client, "/fhir", bundle.to_string()).await;
    assert_eq!(status, 200, "{answer}");
}

/// Asks by Parameters.
async fn ask(s: &Server, token: &str, patient: &Value, more: &[Value]) -> (u16, Value) {
    let mut parameters = vec![json!({"name": "resource", "resource": patient})];
    parameters.extend(more.iter().cloned());
    let body = json!({"resourceType": "Parameters", "parameter": parameters});
    s.fhir(token, "/fhir/Patient/$match", body.to_string()).await
}

fn certain_only() -> Value {
    json!({"name": "onlyCertainMatches", "valueBoolean": true})
}

fn count(n: u32) -> Value {
    json!({"name": "count", "valueInteger": n})
}

/// An entry of an answer.
#[derive(Debug, PartialEq)]
struct Entry {
    id: String,
    grade: String,
    score: f64,
    compared: String,
    total: f64,
    /// Field: level and weight.
    fields: BTreeMap<String, (String, f64)>,
    doubts: Vec<String>,
}

/// Who matches, in order; checks what holds of every answer.
fn entries(bundle: &Value) -> Vec<Entry> {
    assert_eq!(bundle["type"], "searchset", "{bundle}");
    let mut out = Vec::new();
    let all = bundle["entry"].as_array().cloned().unwrap_or_default();
    for e in all.iter().filter(|e| e["search"]["mode"] == "match") {
        let shown = &e["resource"];
        assert_eq!(shown["meta"]["tag"][0]["code"], "SUBSETTED", "{shown}");
        for of_record in ["address", "telecom", "contact"] {
            assert!(shown[of_record].is_null(), "{shown}");
        }
        let mut one = Entry {
            id: shown["id"].as_str().unwrap().to_owned(),
            grade: String::new(),
            score: e["search"]["score"].as_f64().unwrap(),
            compared: String::new(),
            total: 0.0,
            fields: BTreeMap::new(),
            doubts: Vec::new(),
        };
        assert!(
            e["fullUrl"]
                .as_str()
                .unwrap()
                .ends_with(&format!("/fhir/Patient/{}", one.id))
        );
        for x in e["search"]["extension"].as_array().unwrap() {
            if x["url"] == GRADE {
                one.grade = x["valueCode"].as_str().unwrap().to_owned();
                continue;
            }
            assert_eq!(x["url"], EXPLANATION);
            let parts: BTreeMap<&str, &Value> = x["extension"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| {
                    let value = p.get("valueCode").or(p.get("valueDecimal")).unwrap();
                    (p["url"].as_str().unwrap(), value)
                })
                .collect();
            let text = |key: &str| parts[key].as_str().unwrap().to_owned();
            if parts.contains_key("total") {
                one.compared = text("compared");
                one.total = parts["total"].as_f64().unwrap();
            } else if parts.contains_key("doubt") {
                one.doubts.push(text("doubt"));
            } else {
                let weight = parts["weight"].as_f64().unwrap();
                one.fields.insert(text("field"), (text("level"), weight));
            }
        }
        let sum: f64 = one.fields.values().map(|(_, w)| w).sum();
        assert!((sum - one.total).abs() < 1e-6, "the weights are the sum: {one:?}");
        let odds = one.total.exp2() / 1e6;
        assert!((one.score - odds / (1.0 + odds)).abs() < 2e-6, "{one:?}");
        assert!((0.0..1.0).contains(&one.score), "{one:?}");
        assert!(one.grade != "certain" || one.doubts.is_empty(), "{one:?}");
        out.push(one);
    }
    assert!(
        out.windows(2).all(|w| w[0].total >= w[1].total),
        "best first: {out:?}"
    );
    out
}

fn ids(bundle: &Value) -> Vec<String> {
    entries(bundle).into_iter().map(|e| e.id).collect()
}

/// The codes of what an answer says beside who matches.
fn told(bundle: &Value) -> Vec<String> {
    let all = bundle["entry"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter(|e| e["search"]["mode"] == "outcome")
        .map(|e| e["resource"]["issue"][0]["code"].as_str().unwrap().to_owned())
        .collect()
}

fn national(value: &str) -> Value {
    json!({"system": "urn:test:national", "value": value,
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NI"}]}})
}

fn person(id: &str, family: &str, given: &str, birth: &str, more: Value) -> Value {
    let mut out = json!({"resourceType": "Patient", "id": id, "birthDate": birth, "gender": "female",
        "name": [{"family": family, "given": [given]}]});
    for (key, value) in more.as_object().unwrap() {
        out[key] = value.clone();
    }
    out
}

fn lives(street: &str) -> Value {
    json!([{"line": [street], "city": "Quellstadt", "postalCode": "48123"}])
}

fn altered(patient: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut out = patient.clone();
    out.as_object_mut().unwrap().remove("id");
    change(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_typing_are_seen_through_and_each_answer_says_why() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let anna = person(
        "anna",
        "Meyer-Lund",
        "Anna",
        "1964-03-12",
        json!({"identifier": [national("640312-7")], "address": lives("Am Bach 7"),
            "telecom": [{"system": "phone", "value": "+49 30 1234567"}]}),
    );
    let others = [
        anna.clone(),
        person(
            "ben",
            "Okafor",
            "Ben",
            "1964-03-12",
            json!({"address": lives("Am Bach 9")}),
        ),
        person("clara", "Meyer", "Clara", "1988-07-01", json!({})),
    ];
    put(&s, &client, &others).await;
    for (what, asked, grade, field, level) in [
        (
            "as recorded",
            altered(&anna, |_| ()),
            "certain",
            "family",
            "exact",
        ),
        (
            "a slip in the family name",
            altered(&anna, |p| p["name"][0]["family"] = json!("Meier-Lund")),
            "certain",
            "family",
            "near",
        ),
        (
            "day and month changed about, another house number",
            altered(&anna, |p| {
                p["birthDate"] = json!("1964-12-03");
                p["address"] = lives("Am Bach 8");
            }),
            "certain",
            "birth-date",
            "swapped",
        ),
        (
            "the year alone, no number",
            altered(&anna, |p| {
                p["birthDate"] = json!("1964");
                p["identifier"] = json!([]);
                p.as_object_mut().unwrap().remove("identifier");
            }),
            "probable",
            "birth-date",
            "year",
        ),
        (
            "a maiden name beside the one that is recorded",
            altered(&anna, |p| {
                p["name"] = json!([{"use": "official", "family": "Huber", "given": ["Anna"]},
                    {"use": "maiden", "family": "Meyer-Lund"}]);
            }),
            "certain",
            "family",
            "former",
        ),
    ] {
        let (status, bundle) = ask(&s, &client, &asked, &[]).await;
        assert_eq!(status, 200, "{what}: {bundle}");
        let all = entries(&bundle);
        let first = all.first().unwrap_or_else(|| panic!("{what}: {bundle}"));
        assert_eq!(
            (first.id.as_str(), first.grade.as_str()),
            ("anna", grade),
            "{what}: {first:?}"
        );
        assert_eq!(first.fields[field].0, level, "{what}: {first:?}");
        assert_eq!(first.compared, "record");
        assert_eq!(bundle["total"], all.len());
        assert!(
            all.iter().skip(1).all(|e| e.grade != "certain"),
            "{what}: {all:?}"
        );
        // Asked for certain ones alone.
        let (_, bundle) = ask(&s, &client, &asked, &[certain_only()]).await;
        let expected: &[&str] = if grade == "certain" { &["anna"] } else { &[] };
        assert_eq!(ids(&bundle), expected, "{what}");
    }
    // A Patient by itself, with the rest in the address.
    let asked = altered(&anna, |_| ()).to_string();
    let (status, bundle) = s
        .fhir(
            &client,
            "/fhir/Patient/$match?onlyCertainMatches=true&count=3",
            asked,
        )
        .await;
    assert_eq!((status, ids(&bundle)), (200, vec!["anna".to_owned()]));
    let (_, statement) = s.fhir(&client, "/fhir/Patient/$match", "{}").await;
    assert_eq!(statement["resourceType"], "OperationOutcome");
    let statement = json_of(s.get("/fhir/metadata").send().await.unwrap()).await;
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let offered: Vec<&str> = resources.iter().find(|r| r["type"] == "Patient").unwrap()["operation"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["name"].as_str().unwrap())
        .collect();
    assert_eq!(offered, ["validate", "everything", "match"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_be_two_people_is_never_certain() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let home =
        || json!({"address": lives("Am Bach 7"), "telecom": [{"system": "phone", "value": "030 1234567"}]});
    let twice = || json!({"address": lives("Weg 1"), "identifier": [national("19550505-1")]});
    put(
        &s,
        &client,
        &[
            person("twin-a", "Sorel", "Maria", "2001-05-05", home()),
            person("twin-b", "Sorel", "Marie", "2001-05-05", home()),
            person("father", "Okafor", "John", "1950-02-03", home()),
            person("son", "Okafor", "John", "1980-09-17", home()),
            person(
                "nameless",
                "Wu",
                "Li",
                "1900-01-01",
                json!({"address": lives("Gasse 2")}),
            ),
            person("typed-once", "Larsen", "Inga", "1955-05-05", twice()),
            person("typed-twice", "Larsen", "Inga", "1955-05-05", twice()),
            person(
                "owner",
                "Petrov",
                "Ivan",
                "1940-04-04",
                json!({"identifier": [national("400404-9")]}),
            ),
        ],
    )
    .await;
    let grades = |bundle: &Value| -> BTreeMap<String, String> {
        entries(bundle).into_iter().map(|e| (e.id, e.grade)).collect()
    };
    // Name and birth date and nothing else: of one of the twins.
    let asked = person(
        "x",
        "Sorel",
        "Maria",
        "2001-05-05",
        json!({"multipleBirthBoolean": true}),
    );
    let (_, bundle) = ask(&s, &client, &asked, &[]).await;
    let found = grades(&bundle);
    assert_eq!(found["twin-a"], "probable", "{bundle}");
    assert!(
        ["probable", "possible"].contains(&found["twin-b"].as_str()),
        "{bundle}"
    );
    let (_, bundle) = ask(&s, &client, &asked, &[certain_only()]).await;
    assert_eq!((ids(&bundle).len(), told(&bundle).len()), (0, 0));
    // One of the twins with all that is known: the other one is not certain.
    let asked = person("x", "Sorel", "Maria", "2001-05-05", home());
    let found = grades(&ask(&s, &client, &asked, &[]).await.1);
    assert_ne!(found["twin-b"], "certain");
    // Father and son.
    let asked = person("x", "Okafor", "John", "1980-09-17", home());
    let found = grades(&ask(&s, &client, &asked, &[]).await.1);
    assert_eq!(
        (found["son"].as_str(), found["father"].as_str()),
        ("certain", "possible")
    );
    // A birth date that stands for "not known" finds by name, says nothing, and holds back.
    let asked = person(
        "x",
        "Wu",
        "Li",
        "1900-01-01",
        json!({"address": lives("Gasse 2")}),
    );
    let all = entries(&ask(&s, &client, &asked, &[]).await.1);
    assert_eq!(
        (all[0].id.as_str(), all[0].grade == "certain"),
        ("nameless", false)
    );
    assert!(all[0].doubts.contains(&"birth-unknown".to_owned()) && !all[0].fields.contains_key("birth-date"));
    // Two that are certain are two records of one person, or an error: a person decides.
    let asked = person("x", "Larsen", "Inga", "1955-05-05", twice());
    let found = grades(&ask(&s, &client, &asked, &[]).await.1);
    assert_eq!(
        (found["typed-once"].as_str(), found["typed-twice"].as_str()),
        ("certain", "certain")
    );
    let (_, bundle) = ask(&s, &client, &asked, &[certain_only()]).await;
    assert_eq!(
        (ids(&bundle).len(), told(&bundle)),
        (0, vec!["multiple-matches".to_owned()])
    );
    assert_eq!(bundle["total"], 0);
    // The number of somebody with another name and another birth date: put before a person, as what it is.
    let asked = person(
        "x",
        "Sorel",
        "Maria",
        "2001-05-05",
        json!({"identifier": [national("400404-9")]}),
    );
    let all = entries(&ask(&s, &client, &asked, &[]).await.1);
    let owner = all.iter().find(|e| e.id == "owner").unwrap();
    assert_eq!(owner.grade, "possible", "{owner:?}");
    assert_eq!(owner.fields["national-identifier"].0, "exact");
    assert!(owner.doubts.contains(&"birth-differs".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_and_what_is_not_offered_are_refused() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let refused = |body: Value, status: u16, says: &'static str| (body.to_string(), status, says);
    let whole = json!({"resourceType": "Patient", "name": [{"family": "Wu", "given": ["Li"]}]});
    let with = |parameters: Value| json!({"resourceType": "Parameters", "parameter": parameters});
    let resource = json!({"name": "resource", "resource": whole});
    for (body, status, says) in [
        refused(json!({"resourceType": "Patient"}), 422, "too little to match on"),
        refused(
            json!({"resourceType": "Patient", "birthDate": "1900-01-01"}),
            422,
            "a whole birth date",
        ),
        refused(
            json!({"resourceType": "Patient", "birthDate": "1950"}),
            422,
            "too little",
        ),
        refused(
            json!({"resourceType": "Patient", "name": [{"family": "UNKNOWN"}], "birthDate": "1911-11-11",
                "identifier": [{"system": "urn:test:national", "value": "0000000"}, {"value": "without-system"}]}),
            422,
            "too little",
        ),
        refused(
            json!({"resourceType": "Patient", "name": [{"family": "Wu"}], "gender": "male"}),
            422,
            "too little",
        ),
        refused(
            json!({"resourceType": "Patient", "birthDate": "yesterday"}),
            422,
            "birthDate",
        ),
        refused(
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}}),
            400,
            "send Parameters",
        ),
        refused(with(json!([])), 422, "resource"),
        refused(with(json!([resource, resource])), 400, "each once"),
        refused(
            with(json!([resource, {"name": "count", "valueInteger": 0}])),
            400,
            "count (from 1)",
        ),
        refused(
            with(json!([resource, {"name": "onlyCertainMatches", "valueString": "yes"}])),
            400,
            "true or false",
        ),
        refused(
            with(json!([resource, certain_only(), certain_only()])),
            400,
            "each once",
        ),
        refused(
            with(json!([resource, {"name": "_source", "valueBoolean": true}])),
            400,
            "the parameters are",
        ),
        ("not json".to_owned(), 400, ""),
    ] {
        let (got, outcome) = s.fhir(&client, "/fhir/Patient/$match", body.clone()).await;
        assert_eq!(got, status, "{body}: {outcome}");
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert!(outcome.to_string().contains(says), "{body}: {outcome}");
    }
    let body = with(json!([resource])).to_string();
    let (got, _) = s.fhir(&client, "/fhir/Patient/$match?count=3", body).await;
    assert_eq!(got, 400, "parameters in two places");
    // Nothing was looked at.
    let rows = s.audit();
    assert!(!rows.iter().any(|r| r["action"] == "search-patients"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_were_reached_are_said() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let many = |n: usize, given: &'static str, birth: &'static str| {
        (0..n).map(move |i| {
            person(
                &format!("{given}-{i:03}").to_lowercase(),
                "Smith",
                given,
                birth,
                json!({}),
            )
        })
    };
    put(&s, &client, &many(51, "Ada", "1970-07-08").collect::<Vec<_>>()).await;
    let asked = person("x", "Smith", "Ada", "1970-07-08", json!({}));
    let (_, bundle) = ask(&s, &client, &asked, &[]).await;
    assert_eq!((ids(&bundle).len(), &bundle["total"]), (50, &json!(51)));
    assert_eq!(told(&bundle), ["incomplete"]);
    assert!(
        bundle.to_string().contains("1 patients that match less well"),
        "{bundle}"
    );
    // A limit above the cap is the cap; one below is kept.
    assert_eq!(ids(&ask(&s, &client, &asked, &[count(200)]).await.1).len(), 50);
    let (_, bundle) = ask(&s, &client, &asked, &[count(2)]).await;
    assert_eq!(
        (ids(&bundle).len(), told(&bundle)),
        (2, vec!["incomplete".to_owned()])
    );
    // More than are compared.
    put(&s, &client, &many(101, "Eve", "1971-07-08").collect::<Vec<_>>()).await;
    let asked = person("x", "Smith", "Eve", "1971-07-08", json!({}));
    let (_, bundle) = ask(&s, &client, &asked, &[count(50)]).await;
    assert_eq!(ids(&bundle).len(), 50);
    assert!(bundle.to_string().contains("than are compared"), "{bundle}");
    // One who is one alone is found without a warning.
    put(
        &s,
        &client,
        &[person("zoe", "Quist", "Zoë", "1999-09-19", json!({}))],
    )
    .await;
    let asked = person("x", "Quist", "Zoe", "1999-09-19", json!({}));
    let (_, bundle) = ask(&s, &client, &asked, &[]).await;
    assert_eq!((ids(&bundle), told(&bundle).len()), (vec!["zoe".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_learns_what_a_search_of_names_tells_and_the_log_says_whom_they_saw() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    for (id, ward) in [("here", "ED"), ("there", "ICU")] {
        let (status, answer) = s.fhir(&client, "/fhir", placed(id, ward).to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let home = |n: u32| json!({"address": lives(&format!("Geheimweg {n}")), "identifier": [national(&format!("7{n}0303-4"))]});
    put(
        &s,
        &client,
        &[
            person("here", "Brandt", "Ida", "1970-03-03", home(1)),
            person("there", "Brandt", "Ida", "1970-03-03", home(2)),
            person("nobody-asks", "Castor", "Emil", "1970-03-03", home(3)),
        ],
    )
    .await;
    add_user(s.dir(), "nina", "nurse");
    let device = s.enrol("ED", &[]).await;
    let (status, session) = s.login(&device, "nina", password("nina").trim()).await;
    assert_eq!(status, 200, "{session}");
    let nurse = session["token"].as_str().unwrap();
    let of = |all: &[Entry], id: &str| all.iter().position(|e| e.id == id).unwrap();
    // Of her own ward's patient address and number count; of the other ward's they do not, whether they are right or not.
    let mut seen = Vec::new();
    for n in [2, 1, 9] {
        let asked = person("x", "Brandt", "Ida", "1970-03-03", home(n));
        let (status, bundle) = ask(&s, nurse, &asked, &[]).await;
        assert_eq!(status, 200, "{bundle}");
        let mut all = entries(&bundle);
        let here = all.remove(of(&all, "here"));
        assert_eq!(
            (here.compared.as_str(), here.fields.contains_key("street")),
            ("record", true)
        );
        assert_eq!(here.grade == "certain", n == 1, "{here:?}");
        let there = all.remove(of(&all, "there"));
        assert_eq!(
            (there.compared.as_str(), there.grade.as_str()),
            ("identity", "probable"),
            "{there:?}"
        );
        assert_eq!(
            there.fields.keys().collect::<Vec<_>>(),
            ["birth-date", "family", "gender", "given"]
        );
        seen.push(there);
        assert!(!bundle.to_string().contains("Geheimweg"));
    }
    assert!(seen.windows(2).all(|w| w[0] == w[1]), "{seen:?}");
    // A number alone does not say whose it is to somebody who may not read the record.
    let asked = person("x", "Nemo", "Otto", "1931-01-13", home(2));
    assert_eq!(ids(&ask(&s, nurse, &asked, &[]).await.1), Vec::<String>::new());
    assert_eq!(ids(&ask(&s, &client, &asked, &[]).await.1), ["there"]);
    // The program may read everybody.
    let asked = person("x", "Brandt", "Ida", "1970-03-03", home(2));
    let all = entries(&ask(&s, &client, &asked, &[certain_only()]).await.1);
    assert_eq!(
        (all.len(), all[0].id.as_str(), all[0].compared.as_str()),
        (1, "there", "record")
    );

    let rows = s.audit();
    let searches: Vec<&Value> = rows.iter().filter(|r| r["action"] == "search-patients").collect();
    let shown: Vec<Vec<&str>> = searches
        .iter()
        .map(|r| {
            let all = r["disclosure"]["patients"].as_array();
            all.into_iter().flatten().map(|p| p.as_str().unwrap()).collect()
        })
        .collect();
    let both = vec!["here", "there"];
    assert_eq!(
        shown,
        [
            both.clone(),
            both.clone(),
            both,
            vec![],
            vec!["there"],
            vec!["there"]
        ],
        "one row for each question, of whom it showed and nobody else"
    );
    for row in &searches {
        assert_eq!(
            (&row["notes"]["by"], &row["decision"]),
            (&json!("match"), &json!("permit")),
            "{row}"
        );
        assert!(
            ["Brandt Ida", "Nemo Otto"].contains(&row["notes"]["query"].as_str().unwrap()),
            "{row}"
        );
        for value in ["Geheimweg", "1970-03-03", "19700303", "0303-4", "03034"] {
            assert!(!row.to_string().contains(value), "{value}: {row}");
        }
    }
    // Nobody was refused a record on the way.
    assert!(!rows.iter().any(|r| r["decision"] == "deny"), "{rows:?}");

    // Without the scope of a search nothing is found, and that is written down.
    let reader = s.client_token("system/Patient.r").await;
    let (status, outcome) = ask(&s, &reader, &asked, &[]).await;
    assert_eq!(status, 403, "{outcome}");
    assert!(!outcome.to_string().contains("Brandt"));
    let rows = s.audit();
    let denied: Vec<&Value> = rows.iter().filter(|r| r["decision"] == "deny").collect();
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["action"], "search-patients");
    let body = json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": asked}]});
    let answer = s.post("/fhir/Patient/$match").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

/// A line of a FEBRL set: whose record, whether it is the original, the Patient. No field has a quote or a comma in it.
fn febrl(line: &str) -> (String, bool, Value) {
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    let [
        id,
        given,
        family,
        number,
        street,
        second,
        city,
        postcode,
        state,
        born,
        social,
    ] = parts.as_slice()
    else {
        panic!("{line}");
    };
    let who = id.split('-').nth(1).unwrap().to_owned();
    let mut patient = json!({"resourceType": "Patient", "id": id,
        "identifier": [{"system": "urn:febrl:soc-sec-id", "value": social,
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "SS"}]}}]});
    let mut name = json!({});
    if !family.is_empty() {
        name["family"] = json!(family);
    }
    if !given.is_empty() {
        name["given"] = json!([given]);
    }
    if name != json!({}) {
        patient["name"] = json!([name]);
    }
    let first = format!("{number} {street}");
    let mut address = json!({});
    for (key, value) in [
        ("city", city),
        ("postalCode", postcode),
        ("state", state),
        ("district", second),
    ] {
        if !value.is_empty() {
            address[key] = json!(value);
        }
    }
    if !first.trim().is_empty() {
        address["line"] = json!([first.trim()]);
    }
    if address != json!({}) {
        patient["address"] = json!([address]);
    }
    // A date that no calendar has is left out: FHIR has no place for it.
    if born.len() == 8 {
        let date = (
            born[..4].parse::<i16>(),
            born[4..6].parse::<u8>(),
            born[6..].parse::<u8>(),
        );
        let days = |m: u8| match m {
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if let (Ok(_), Ok(m @ 1..=12), Ok(d)) = date
            && (1..=days(m)).contains(&d)
        {
            patient["birthDate"] = json!(format!("{}-{}-{}", &born[..4], &born[4..6], &born[6..]));
        }
    }
    (who, id.ends_with("org"), patient)
}

#[tokio::test(flavor = "multi_thread")]
async fn other_peoples_duplicates_find_their_originals() {
    let Some(file) = corpus("linkage/febrl/dataset1.csv") else {
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().skip(1).filter(|l| !l.trim().is_empty());
    let (originals, duplicates): (Vec<_>, Vec<_>) = lines.map(febrl).partition(|(_, original, _)| *original);
    assert_eq!((originals.len(), duplicates.len()), (500, 500));
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    for part in originals.chunks(100) {
        let part: Vec<Value> = part.iter().map(|(_, _, p)| p.clone()).collect();
        put(&s, &client, &part).await;
    }
    let began = Instant::now();
    let (mut asked, mut certain, mut wrong, mut probable, mut found, mut incomplete) = (0, 0, 0, 0, 0, 0);
    let mut missed = Vec::new();
    for (who, _, duplicate) in &duplicates {
        let duplicate = altered(duplicate, |_| ());
        let (status, bundle) = ask(&s, &client, &duplicate, &[]).await;
        assert_eq!(status, 200, "{duplicate}: {bundle}");
        asked += 1;
        let own = format!("rec-{who}-org");
        let all = entries(&bundle);
        incomplete += usize::from(!told(&bundle).is_empty());
        wrong += all.iter().filter(|e| e.grade == "certain" && e.id != own).count();
        match all.iter().find(|e| e.id == own) {
            Some(e) => {
                found += 1;
                certain += usize::from(e.grade == "certain");
                probable += usize::from(e.grade != "possible");
            }
            None => missed.push(who.clone()),
        }
    }
    let share = |part: usize| part as f64 / asked as f64;
    let precision = certain as f64 / (certain + wrong).max(1) as f64;
    println!(
        "{asked} asked in {:.1} s: recall certain {:.4}, with probable {:.4}, with possible {:.4}; precision of certain \
         {precision:.4} ({wrong} wrong); {incomplete} answers incomplete; not found: {missed:?}",
        began.elapsed().as_secs_f64(),
        share(certain),
        share(probable),
        share(found),
    );
    assert!(precision >= 0.995, "{precision}");
    assert!(share(found) >= 0.95, "{missed:?}");
    assert!(share(certain) >= 0.5, "{certain}");
}
