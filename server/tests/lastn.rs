//! `Observation/$lastn` against the real server: what is given, to whom, and what is written down of it.

mod harness;
use harness::command::{add_user, password};
use harness::*;
use serde_json::{Value, json};

async fn load(s: &Server, token: &str, resources: &[Value]) {
    for some in resources.chunks(500) {
        let entry = |r: &Value| {
            let at = format!(
                "{}/{}",
                r["resourceType"].as_str().unwrap(),
                r["id"].as_str().unwrap()
            );
            json!({"resource": r, "request": {"method": "PUT", "url": at}})
        };
        let entries: Vec<Value> = some.iter().map(entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let (status, answer) = s.fhir(token, "/fhir", bundle.to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
}

async fn get(s: &Server, token: &str, query: &str) -> (u16, Value) {
    let at = format!("/fhir/Observation/$lastn?{query}");
    let answer = s.get(&at).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), json_of(answer).await)
}

fn of_mode<'b>(bundle: &'b Value, mode: &str) -> Vec<&'b Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let those = entries.filter(|e| e["search"]["mode"] == mode);
    those.map(|e| &e["resource"]).collect()
}

fn ids(bundle: &Value) -> Vec<&str> {
    let all = of_mode(bundle, "match").into_iter();
    all.map(|r| r["id"].as_str().unwrap()).collect()
}

fn told(bundle: &Value) -> String {
    let all = of_mode(bundle, "outcome").into_iter();
    all.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// An observation of a category, with what else it says.
fn seen(id: &str, of: &str, category: &str, code: Value, more: Value) -> Value {
    let mut out = json!({"resourceType": "Observation", "id": id, "status": "final", "code": code,
        "subject": {"reference": format!("Patient/{of}")},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category}]}]});
    for (name, value) in more.as_object().unwrap() {
        out[name] = value.clone();
    }
    out
}

fn loinc(code: &str) -> Value {
    json!({"coding": [{"system": "http://loinc.org", "code": code}]})
}

fn at(time: &str) -> Value {
    json!({"effectiveDateTime": time})
}

fn world() -> Vec<Value> {
    let lab = |id, code, more| seen(id, "p1", "laboratory", code, more);
    let both = json!({"coding": [{"system": "http://loinc.org", "code": "2823-3"}, {"system": "urn:lab", "code": "K"}]});
    let local = json!({"coding": [{"system": "urn:lab", "code": "K"}]});
    let mut wrong = at("2026-03-09T08:00:00Z");
    wrong["status"] = "entered-in-error".into();
    wrong["valueQuantity"] = json!({"value": 9.9, "unit": "mmol/L"});
    let mut precise = at("2026-03-03T08:00:00Z");
    precise["encounter"] = json!({"reference": "Encounter/e1"});
    vec![
        patient("p1"),
        patient("p2"),
        json!({"resourceType": "Encounter", "id": "e1", "status": "in-progress", "subject": {"reference": "Patient/p1"},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"}}),
        // Stored in another order than they happened.
        lab("k3", loinc("2823-3"), precise),
        lab("k1", loinc("2823-3"), at("2026-03-01T08:00:00Z")),
        lab("k2", both, at("2026-03-02T08:00:00Z")),
        lab("k0", local, at("2026-02-27T08:00:00Z")),
        lab("wrong", loinc("2823-3"), wrong),
        lab("none", loinc("2823-3"), json!({})),
        lab("na", loinc("2951-2"), at("2026-03-04T08:00:00Z")),
        lab("t1", json!({"text": "Blood group"}), at("2026-01-01")),
        lab("t2", json!({"text": "Blood group"}), at("2026-01-02")),
        lab("t3", json!({"text": "blood group"}), at("2025-01-01")),
        seen(
            "hr",
            "p1",
            "vital-signs",
            loinc("8867-4"),
            at("2026-03-05T08:00:00Z"),
        ),
        seen(
            "other",
            "p2",
            "laboratory",
            loinc("2823-3"),
            at("2026-03-30T08:00:00Z"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_each_code_are_given_in_their_order() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    load(&s, &client, &world()).await;
    let cases: &[(&str, &[&str])] = &[
        ("patient=p1&code=2823-3", &["k3"]),
        ("patient=p1&code=http://loinc.org|2823-3&max=2", &["k3", "k2"]),
        ("patient=p1&code=urn:lab|K&max=5", &["k2", "k0"]),
        (
            "subject=Patient/p1&code=2823-3,K&max=100",
            &["k3", "k2", "k1", "k0", "none"],
        ),
        ("patient=p1&category=laboratory", &["na", "k3", "t2", "t3"]),
        (
            "patient=p1&category=laboratory,vital-signs",
            &["hr", "na", "k3", "t2", "t3"],
        ),
        (
            "patient=p1&category=laboratory&date=lt2026-03-03",
            &["k2", "t2", "t3"],
        ),
        ("patient=p1&code:text=blood", &["t2", "t3"]),
        (
            "patient=p1&code=2823-3&encounter.status=in-progress&max=9",
            &["k3"],
        ),
        ("patient=p1&code=2823-3&status=entered-in-error", &["wrong"]),
        ("patient=p1&code=2823-3&status:not=cancelled", &["wrong"]),
        ("patient=p1&code=2823-3&status=final,amended", &["k3"]),
        ("patient=p1&code=nothing-such", &[]),
        ("patient=p1&patient=p1&subject=p1&code=8867-4", &["hr"]),
    ];
    for (asked, expected) in cases {
        let (status, bundle) = get(&s, &client, asked).await;
        assert_eq!(status, 200, "{asked}: {bundle}");
        assert_eq!(ids(&bundle), *expected, "{asked}: {bundle}");
        assert_eq!(bundle["total"], json!(expected.len()), "{asked}");
        assert_eq!(
            (&bundle["resourceType"], &bundle["type"]),
            (&json!("Bundle"), &json!("searchset"))
        );
    }
    // The value that was never true is missed by nobody, and told where it would have been and nowhere else.
    for (asked, want) in [
        ("patient=p1&code=2823-3", true),
        ("patient=p1&category=laboratory&max=100", true),
        ("patient=p1&code=2951-2", false),
        ("patient=p1&code=2823-3&date=lt2026-03-03", false),
        ("patient=p1&code=2823-3&status=final", false),
    ] {
        let (_, bundle) = get(&s, &client, asked).await;
        let said = told(&bundle).contains("1 observation entered in error is left out");
        assert_eq!(said, want, "{asked}: {bundle}");
    }
    let (_, bundle) = get(&s, &client, "patient=p1&code=2823-3&max=1").await;
    let link = bundle["link"][0]["url"].as_str().unwrap();
    assert!(
        link.ends_with("/fhir/Observation/$lastn?patient=p1&code=2823-3&max=1")
            && bundle["link"].as_array().unwrap().len() == 1,
        "{bundle}"
    );
    // A part is a part.
    let (_, bundle) = get(
        &s,
        &client,
        "patient=p1&code=2823-3&_elements=code&_include=Observation:encounter",
    )
    .await;
    assert_eq!(
        of_mode(&bundle, "match")[0]["meta"]["tag"][0]["code"],
        "SUBSETTED"
    );
    assert_eq!(of_mode(&bundle, "include")[0]["id"], "e1");
    let (_, bundle) = get(&s, &client, "patient=p1&category=laboratory&_summary=count").await;
    assert_eq!((&bundle["total"], ids(&bundle).len()), (&json!(4), 0));
    let (_, bundle) = get(&s, &client, "patient=nobody&code=2823-3").await;
    assert!(told(&bundle).contains("no record of Patient/nobody"), "{bundle}");

    let form = async |media: &str, body: &str| {
        let ask = s
            .post("/fhir/Observation/$lastn")
            .bearer_auth(&client)
            .header("content-type", media);
        let answer = ask.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    };
    let (status, bundle) = form(
        "application/x-www-form-urlencoded",
        "patient=p1&code=http://loinc.org|2823-3&max=2",
    )
    .await;
    assert_eq!((status, ids(&bundle)), (200, vec!["k3", "k2"]));
    assert_eq!(form("application/json", "{}").await.0, 415);

    for (asked, says) in [
        ("code=2823-3", "patient=<id>"),
        ("patient=p1,p2&code=2823-3", "exactly one"),
        ("patient=p1&subject=Patient/p2&code=2823-3", "exactly one"),
        ("patient.identifier=a|b&code=2823-3", "exactly one"),
        ("patient=&code=2823-3", "without a value"),
        ("patient=Nothing/x&code=2823-3", "not an id"),
        ("patient=p1", "category=<code>"),
        ("patient=p1&status=final", "category=<code>"),
        ("patient=p1&code=2823-3&max=0", "1 to 100"),
        ("patient=p1&code=2823-3&max=abc", "1 to 100"),
        ("patient=p1&code=2823-3&max=1000", "1 to 100"),
        ("patient=p1&code=2823-3&max=1&max=2", "once"),
        ("patient=p1&code=2823-3&_sort=-date", "_sort"),
        ("patient=p1&code=2823-3&_count=5", "_count"),
        ("patient=p1&code=2823-3&colour=red", "colour"),
        ("patient=p1&code=2823-3&date=yesterday", "date"),
    ] {
        let (status, outcome) = get(&s, &client, asked).await;
        assert_eq!(
            (status, &outcome["resourceType"]),
            (400, &json!("OperationOutcome")),
            "{asked}"
        );
        assert!(outcome.to_string().contains(says), "{asked}: {outcome}");
    }
    let lenient = s
        .get("/fhir/Observation/$lastn?patient=p1&code=8867-4&_sort=date")
        .bearer_auth(&client)
        .header("prefer", "handling=lenient");
    let bundle = json_of(lenient.send().await.unwrap()).await;
    assert_eq!(ids(&bundle), ["hr"]);
    assert!(told(&bundle).contains("_sort"), "{bundle}");
    // It is said where programs look.
    let statement = json_of(s.get("/fhir/metadata").send().await.unwrap()).await;
    let all = statement["rest"][0]["resource"].as_array().unwrap().iter();
    let with: Vec<&Value> = all
        .filter(|r| r.to_string().contains("Observation-lastn"))
        .collect();
    assert!(with.len() == 1 && with[0]["type"] == "Observation");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_to_whom_a_search_is_and_written_down() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    for (p, ward) in [("p1", "ED"), ("p9", "ICU")] {
        load(&s, &client, &[patient(p)]).await;
        assert_eq!(s.fhir(&client, "/fhir", placed(p, ward).to_string()).await.0, 200);
    }
    load(&s, &client, &world()).await;
    load(
        &s,
        &client,
        &[seen("icu", "p9", "laboratory", loinc("2823-3"), at("2026-03-01"))],
    )
    .await;
    add_user(s.dir(), "nina", "nurse");
    let device = s.enrol("ED", &[]).await;
    let (status, session) = s.login(&device, "nina", password("nina").trim()).await;
    assert_eq!(status, 200, "{session}");
    let nurse = session["token"].as_str().unwrap();

    // Word for word as a search refuses: another ward's, nobody's.
    for (who, p, want) in [
        (nurse, "p1", 200),
        (nurse, "p9", 403),
        (nurse, "nobody", 403),
        (client.as_str(), "nobody", 200),
    ] {
        let (status, mut last) = get(&s, who, &format!("patient={p}&code=2823-3")).await;
        assert_eq!(status, want, "{p}: {last}");
        let answer = s
            .get(&format!("/fhir/Observation?patient={p}&code=2823-3"))
            .bearer_auth(who)
            .send()
            .await
            .unwrap();
        let searched = answer.status().as_u16();
        let mut search = json_of(answer).await;
        assert_eq!(status, searched, "{p}");
        if p != "p1" {
            for one in [&mut last, &mut search] {
                one["timestamp"] = Value::Null;
                one["link"] = Value::Null;
            }
            assert_eq!(last, search, "{p}");
        }
    }
    for (scope, want) in [
        ("system/Observation.rs", 200),
        ("system/Observation.r", 403),
        ("system/Observation.s", 403),
        ("system/Condition.rs", 403),
    ] {
        let token = s.client_token(scope).await;
        let (status, answer) = get(&s, &token, "patient=p1&code=2823-3").await;
        assert_eq!(status, want, "{scope}: {answer}");
    }

    let rows = || -> Vec<Value> {
        s.audit()
            .into_iter()
            .filter(|r| r["action"] == "read-chart")
            .collect()
    };
    let before = rows().len();
    let (_, bundle) = get(&s, &client, "patient=p1&category=laboratory&code=2823-3,2951-2").await;
    assert_eq!(ids(&bundle), ["na", "k3"]);
    let after = rows();
    assert_eq!(after.len(), before + 1, "one row");
    let row = after.last().unwrap();
    assert_eq!(row["disclosure"]["patients"], json!(["p1"]), "{row}");
    let text = row.to_string();
    let shown = |id: &str| text.contains(&format!("{{\"id\":\"{id}\",\"kind\":\"Observation\"}}"));
    assert!(shown("k3") && shown("na"), "{text}");
    for only_looked_at in ["k2", "k1", "wrong", "none", "t2"] {
        assert!(!shown(only_looked_at), "{only_looked_at}: {text}");
    }
    assert_eq!(
        row["notes"]["query"],
        "$lastn?patient=p1&category=laboratory&code=2823-3,2951-2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_record_is_looked_through_whole_and_too_much_is_refused() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let mut all = vec![patient("p1")];
    // The newest is stored first, so it lies beyond the first stretch of a walk that begins at the other end.
    all.extend((0..2500).map(|n| {
        let minute = 2499 - n;
        let time = format!(
            "2026-03-{:02}T{:02}:{:02}:00Z",
            1 + minute / 1440,
            minute / 60 % 24,
            minute % 60
        );
        seen(
            &format!("x{minute}"),
            "p1",
            "vital-signs",
            loinc(&format!("{}-0", minute % 21)),
            at(&time),
        )
    }));
    load(&s, &client, &all).await;
    let (status, bundle) = get(&s, &client, "patient=p1&category=vital-signs").await;
    assert_eq!(status, 200, "{bundle}");
    let newest: Vec<String> = (2479..2500).rev().map(|n| format!("x{n}")).collect();
    assert_eq!(ids(&bundle), newest);
    let (status, bundle) = get(&s, &client, "patient=p1&code=3-0&max=100").await;
    let of_three: Vec<String> = (0..2500)
        .rev()
        .filter(|n| n % 21 == 3)
        .take(100)
        .map(|n| format!("x{n}"))
        .collect();
    assert_eq!(
        (status, ids(&bundle)),
        (200, of_three.iter().map(String::as_str).collect())
    );
    // 21 codes of 50 each are more than one answer holds; that they were looked at is written down, with nothing shown.
    let rows = || {
        s.audit()
            .into_iter()
            .filter(|r| r["action"] == "read-chart")
            .collect::<Vec<_>>()
    };
    let before = rows().len();
    let (status, outcome) = get(&s, &client, "patient=p1&category=vital-signs&max=50").await;
    assert_eq!(
        (status, &outcome["issue"][0]["code"]),
        (422, &json!("too-long")),
        "{outcome}"
    );
    assert!(outcome.to_string().contains("1050 observations"), "{outcome}");
    let after = rows();
    assert_eq!(after.len(), before + 1);
    assert!(
        !after[before].to_string().contains("\"kind\":\"Observation\""),
        "{}",
        after[before]
    );
    let (status, bundle) = get(&s, &client, "patient=p1&category=vital-signs&max=47").await;
    assert_eq!((status, &bundle["total"]), (200, &json!(987)));
}
