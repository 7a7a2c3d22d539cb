//! `Observation/$lastn`, against the real server.

mod harness;
use harness::*;
use serde_json::{Value, json};

fn observation(id: &str, code: &str, at: Option<&str>, more: &Value) -> Value {
    let mut o = json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": match code.strip_prefix('"') {
            Some(text) => json!({"text": text}),
            None => json!({"coding": code.split(' ').map(|c| json!({"system": "http://loinc.org", "code": c})).collect::<Vec<_>>()}),
        },
        "subject": {"reference": "Patient/one"}, "valueQuantity": {"value": 4.10, "unit": "mmol/L"}
    });
    if let Some(at) = at {
        o["effectiveDateTime"] = at.into();
    }
    for (name, value) in more.as_object().into_iter().flatten() {
        o[name] = value.clone();
    }
    o
}

async fn get(s: &Server, token: &str, at: &str) -> (u16, Value) {
    let answer = s.get(at).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), json_of(answer).await)
}

fn ids(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter(|e| e["search"]["mode"] == "match")
        .map(|e| e["resource"]["id"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_of_each_code_and_of_nobody_else() {
    let (_folder, data) = folder();
    let s = Server::start(&data);
    let token = s.client_token("system/*.cruds").await;
    let other = json!({"subject": {"reference": "Patient/two"}});
    let wrong = json!({"status": "entered-in-error"});
    let vital = json!({"category": [{"coding": [{"code": "vital-signs"}]}]});
    let mut all = vec![
        json!({"resourceType": "Patient", "id": "one", "identifier": [{"system": "urn:mrn", "value": "1"}]}),
        json!({"resourceType": "Patient", "id": "two"}),
        observation("k1", "2823-3", Some("2026-03-01T10:00:00Z"), &json!({})),
        // Stored later, taken earlier: the time of the sample counts.
        observation("k0", "2823-3 own", Some("2026-02-01"), &json!({})),
        observation("k2", "2823-3", Some("2026-03-02T10:00:00+01:00"), &json!({})),
        observation("k9", "2823-3", Some("2026-03-09T10:00:00Z"), &wrong),
        observation("k", "2823-3", None, &json!({})),
        observation("na1", "2951-2", Some("2026-03-01T09:00:00Z"), &json!({})),
        observation("t1", "\"Ward test", Some("2026-01-01T10:00:00Z"), &json!({})),
        observation("t2", "\"ward TEST", Some("2026-01-02T10:00:00Z"), &json!({})),
        observation("hr", "8867-4", Some("2026-03-03T10:00:00Z"), &vital),
        observation("else", "2823-3", Some("2026-03-08T10:00:00Z"), &other),
    ];
    let entries: Vec<Value> = all
        .drain(..)
        .map(|r| {
            let at = format!(
                "{}/{}",
                r["resourceType"].as_str().unwrap(),
                r["id"].as_str().unwrap()
            );
            json!({"resource": r, "request": {"method": "PUT", "url": at}})
        })
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let (status, answer) = s.fhir(&token, "/fhir", bundle.to_string()).await;
    assert_eq!(status, 200, "{answer}");

    let labs = "patient=one&category=laboratory";
    for (query, want) in [
        (labs.to_owned(), vec!["k2", "na1", "t2"]),
        (format!("{labs}&max=2"), vec!["k2", "k1", "na1", "t2", "t1"]),
        (
            format!("{labs}&max=100"),
            vec!["k2", "k1", "na1", "k0", "t2", "t1", "k"],
        ),
        (
            "subject=Patient/one&code=http://loinc.org%7C2823-3&max=3".to_owned(),
            vec!["k2", "k1", "k0"],
        ),
        (
            "patient.identifier=urn:mrn%7C1&code=2951-2".to_owned(),
            vec!["na1"],
        ),
        // Whoever asks for a status gets it.
        (
            format!("{labs}&code=2823-3&status=entered-in-error,final"),
            vec!["k9"],
        ),
        (format!("{labs}&date=lt2026-03-01"), vec!["k0", "t2"]),
        ("patient=one&category=vital-signs".to_owned(), vec!["hr"]),
        ("patient=one&code=none".to_owned(), vec![]),
    ] {
        let (status, answer) = get(&s, &token, &format!("/fhir/Observation/$lastn?{query}")).await;
        assert_eq!((status, ids(&answer)), (200, want.clone()), "{query}: {answer}");
        assert_eq!(answer["total"], want.len(), "{query}");
        // As a form, and in a Bundle.
        let sent = s
            .post("/fhir/Observation/$lastn")
            .bearer_auth(&token)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(query.clone());
        let posted = json_of(sent.send().await.unwrap()).await;
        assert_eq!(ids(&posted), want, "{query}");
        let entry = json!({"request": {"method": "GET", "url": format!("Observation/$lastn?{query}")}});
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
        let (_, answer) = s.fhir(&token, "/fhir", batch.to_string()).await;
        assert_eq!(ids(&answer["entry"][0]["resource"]), want, "{query}: {answer}");
    }
    // Its pages, and the address of each.
    let mut at = format!("/fhir/Observation/$lastn?{labs}&max=2&_count=2");
    let mut seen = Vec::new();
    loop {
        let (_, page) = get(&s, &token, &at).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let links = page["link"].as_array().unwrap();
        let Some(next) = links.iter().find(|l| l["relation"] == "next") else {
            break;
        };
        let url = next["url"].as_str().unwrap();
        assert!(url.contains("/fhir/Observation/$lastn?"), "{url}");
        at = url[url.find("/fhir/").unwrap()..].to_owned();
    }
    assert_eq!(seen, ["k2", "k1", "na1", "t2", "t1"]);
    // Its audit row names what was given, and nothing that was looked at.
    get(
        &s,
        &token,
        &format!("/fhir/Observation/$lastn?{labs}&code=2823-3"),
    )
    .await;
    let mut rows = s.audit().into_iter();
    let row = rows.rfind(|r| r["notes"]["by"] == "Observation search").unwrap();
    let named = row["disclosure"]["resources"].as_array().unwrap();
    assert_eq!((named.len(), &named[0]["key"]["id"]), (1, &json!("k2")), "{row}");

    for (at, want) in [
        ("/fhir/Observation/$lastn", 400),
        ("/fhir/Observation/$lastn?patient=one", 400),
        ("/fhir/Observation/$lastn?patient=one,two&code=a", 400),
        ("/fhir/Observation/$lastn?patient=one&code=a&max=0", 400),
        ("/fhir/Observation/$lastn?patient=one&code=a&max=1000", 400),
        ("/fhir/Observation/$lastn?patient=one&code=a&_sort=date", 400),
        ("/fhir/Observation/$lastn?patient=one&code=a&_page=x", 400),
        ("/fhir/Condition/$lastn?patient=one&code=a", 400),
        ("/fhir/Colour/$lastn?patient=one&code=a", 404),
        ("/fhir/Observation/$lastn?patient=nobody&code=a", 200),
    ] {
        let (status, answer) = get(&s, &token, at).await;
        assert_eq!(status, want, "{at}: {answer}");
    }
}
