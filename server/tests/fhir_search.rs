//! Searches within records, of patients and of what is nobody's, against the real server.

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn load(s: &Server, token: &str, resources: &[Value]) {
    let entries: Vec<Value> = resources
        .iter()
        .map(|r| {
            let at = format!("{}/{}", r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap());
            json!({"fullUrl": format!("http://x/{at}"), "resource": r, "request": {"method": "PUT", "url": at}})
        })
        .collect();
    let answer = s
        .post("/fhir")
        .bearer_auth(token)
        .header("content-type", "application/fhir+json")
        .body(json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    assert_eq!(status, 200, "{}", answer.text().await.unwrap());
}

async fn get(s: &Server, token: &str, at: &str) -> (u16, Value) {
    let answer = s.get(at).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), json_of(answer).await)
}

fn of_mode(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .filter(|e| e["search"]["mode"] == mode)
        .map(|e| {
            format!(
                "{}/{}",
                e["resource"]["resourceType"].as_str().unwrap(),
                e["resource"]["id"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

/// Ids of what matches, in their order.
fn ids(bundle: &Value) -> Vec<String> {
    let all = of_mode(bundle, "match");
    all.iter()
        .map(|k| k.split('/').next_back().unwrap().to_owned())
        .collect()
}

fn next(bundle: &Value) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|l| l["relation"] == "next")?;
    let url = link["url"].as_str()?;
    Some(url[url.find("/fhir")?..].to_owned())
}

fn patient(id: &str, family: &str, given: &str, born: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family, "given": [given]}], "gender": "female",
        "birthDate": born, "address": [{"city": "Hidden"}], "generalPractitioner": [{"reference": "Practitioner/gp"}],
        "identifier": [{"system": "urn:mrn", "value": format!("N-{id}")}]})
}

fn with_numbers(mut patient: Value, numbers: &[&str]) -> Value {
    let own = patient["identifier"].as_array_mut().unwrap();
    own.extend(numbers.iter().map(|n| json!({"system": "urn:mrn", "value": n})));
    patient
}

fn lab(id: &str, of: &str, code: &str, at: &str, value: &str) -> Value {
    let value: serde_json::Number = serde_json::from_str(value).unwrap();
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": format!("Patient/{of}")},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "effectiveDateTime": at,
        "encounter": {"reference": format!("Encounter/e-{of}")},
        "valueQuantity": {"value": value, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}})
}

fn world() -> Vec<Value> {
    let mut all = vec![
        json!({"resourceType": "Practitioner", "id": "gp", "name": [{"family": "Weaver", "given": ["Iris"]}],
            "identifier": [{"system": "urn:npi", "value": "77"}]}),
        json!({"resourceType": "Practitioner", "id": "other", "name": [{"family": "Webb"}]}),
        json!({"resourceType": "Organization", "id": "lab", "name": "Northern Laboratory", "address": [{"city": "Leeds"}]}),
        json!({"resourceType": "Device", "id": "pump", "deviceName": [{"name": "Pump", "type": "user-friendly-name"}]}),
        json!({"resourceType": "Medication", "id": "m1", "code": {"text": "Furosemide 40 mg"}}),
        patient("p1", "Lantern", "Ada", "1950-03-01"),
        with_numbers(
            patient("p2", "Lantern", "Bea", "1961-07-02"),
            &["3.5.1949", "A|1"],
        ),
        json!({"resourceType": "PractitionerRole", "id": "surgeon", "practitioner": {"reference": "Practitioner/gp"},
            "code": [{"coding": [{"code": "surgeon"}]}]}),
        patient("p3", "O'Brien", "Cora", "1950-03-01"),
    ];
    for p in ["p1", "p2"] {
        all.push(json!({"resourceType": "Encounter", "id": format!("e-{p}"), "status": if p == "p1" { "in-progress" } else { "finished" },
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMER"},
            "subject": {"reference": format!("Patient/{p}")}}));
    }
    for (n, (code, value)) in [
        ("2823-3", "4.10"),
        ("2951-2", "139"),
        ("2823-3", "6.9"),
        ("2345-7", "6.1"),
        ("2823-3", "5.0"),
    ]
    .iter()
    .enumerate()
    {
        all.push(lab(
            &format!("o{n}"),
            "p1",
            code,
            &format!("2026-03-0{}T08:00:00Z", n + 1),
            value,
        ));
    }
    all.push(lab("q0", "p2", "2823-3", "2026-03-03T08:00:00Z", "3.9"));
    all.push(
        json!({"resourceType": "MedicationRequest", "id": "r1", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p1"}, "medicationReference": {"reference": "Medication/m1"}}),
    );
    all.push(json!({"resourceType": "Provenance", "id": "v1", "target": [{"reference": "Patient/p1"}, {"reference": "Observation/o2"}], "recorded": "2026-03-03T09:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/gp"}}]}));
    all
}

async fn server() -> (tempfile::TempDir, Server, String) {
    let (folder, data) = folder();
    let server = Server::start(&data);
    let client = server.client_token("system/*.cruds").await;
    load(&server, &client, &world()).await;
    (folder, server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_searched_by_what_its_resources_say() {
    let (_folder, s, client) = server().await;
    let cases: &[(&str, &[&str])] = &[
        ("Observation?patient=p1", &["o4", "o3", "o2", "o1", "o0"]),
        (
            "Observation?patient=Patient/p1&code=http://loinc.org|2823-3",
            &["o4", "o2", "o0"],
        ),
        (
            "Observation?subject=Patient/p1&code=2823-3,2951-2&date=lt2026-03-03",
            &["o1", "o0"],
        ),
        (
            "Observation?patient=p1&category=laboratory&date=ge2026-03-02&date=le2026-03-03",
            &["o2", "o1"],
        ),
        (
            "Observation?patient=p1&value-quantity=gt5|http://unitsofmeasure.org|mmol/L&code=2823-3",
            &["o2"],
        ),
        ("Observation?patient=p1&code:not=2823-3", &["o3", "o1"]),
        ("Observation?patient=p1&value-quantity=4.10", &["o0"]),
        (
            "Observation?patient=p1&encounter.status=in-progress&_count=2&_total=accurate",
            &["o4", "o3"],
        ),
        ("Observation?patient=p1&encounter.status=finished", &[]),
        ("Observation?patient=p1,p2&code=2823-3", &["o4", "o2", "o0", "q0"]),
        ("Observation?patient.identifier=urn:mrn|N-p2", &["q0"]),
        (
            "Observation?subject:Patient.name=Lantern&code=2823-3&_sort=-date",
            &["o4", "o2", "q0", "o0"],
        ),
        (
            "Observation?patient=p1&_sort=value-quantity",
            &["o0", "o4", "o3", "o2", "o1"],
        ),
        ("Observation?_id=o1,q0", &["o1", "q0"]),
        (
            "Encounter?patient=p1&_has:Observation:encounter:code=2345-7",
            &["e-p1"],
        ),
        ("Encounter?patient=p2&_has:Observation:encounter:code=2345-7", &[]),
        ("Observation?patient=p3", &[]),
        ("Patient?family=lant", &["p1", "p2"]),
        ("Patient?name=Lantern&birthdate=1961-07-02", &["p2"]),
        ("Patient?birthdate=1950-03-01&gender=female", &["p1", "p3"]),
        ("Patient?birthdate=1950-03-01&gender=male", &[]),
        ("Patient?identifier=urn:mrn|N-p3", &["p3"]),
        ("Patient?identifier=urn:other|N-p3", &[]),
        ("Patient?identifier=urn:mrn|3.5.1949", &["p2"]),
        ("Patient?identifier=A%5C%7C1", &["p2"]),
        ("Patient?name=o%27br", &["p3"]),
        ("Patient?family:exact=Lantern&_sort=-birthdate", &["p2", "p1"]),
        ("Patient?_id=p1,p3", &["p1", "p3"]),
        (
            "Patient?name=Lantern&general-practitioner=Practitioner/gp&address-city=hid",
            &["p1", "p2"],
        ),
        ("Practitioner?name=we", &["other", "gp"]),
        (
            "Practitioner?_has:PractitionerRole:practitioner:role=surgeon",
            &["gp"],
        ),
        ("Device?_id=pump,nothing", &["pump"]),
        ("Practitioner?identifier=urn:npi|77", &["gp"]),
        ("Organization?address=leeds", &["lab"]),
    ];
    for (asked, expected) in cases {
        let (status, bundle) = get(&s, &client, &format!("/fhir/{asked}")).await;
        assert_eq!(status, 200, "{asked}: {bundle}");
        assert_eq!(ids(&bundle), *expected, "{asked}: {bundle}");
        if next(&bundle).is_none() {
            assert_eq!(bundle["total"], json!(expected.len()), "{asked}");
        }
    }
    let (_, bundle) = get(
        &s,
        &client,
        "/fhir/Observation?patient=p1&encounter.status=in-progress&_count=2&_total=accurate",
    )
    .await;
    assert_eq!(bundle["total"], 5);
    // Numbers are as they came.
    let (_, bundle) = get(&s, &client, "/fhir/Observation?patient=p1&value-quantity=4.10").await;
    assert!(bundle.to_string().contains("4.10"), "{bundle}");
    // A number alone.
    let (_, bundle) = get(&s, &client, "/fhir/Observation?patient=p1&_summary=count").await;
    assert_eq!(
        (&bundle["total"], bundle["entry"].is_null(), next(&bundle)),
        (&json!(5), true, None)
    );
    let refused: &[(&str, u16)] = &[
        ("Observation?code=2823-3", 400),
        ("Observation?patient=p1&colour=red", 400),
        ("Observation?patient=p1&date=yesterday", 400),
        ("Observation?patient=p1&_page=1-2", 400),
        ("Observation?patient=p1&_page=p2~9", 400),
        ("Observation?patient=p1&_page=p1~x", 400),
        ("Practitioner?_has:Observation:performer:code=x", 400),
        ("Encounter?patient=p1&_has:PractitionerRole:location:role=x", 400),
        ("Observation?patient=p1&code:in=x", 400),
        ("Patient?gender=female", 400),
        ("Patient?_lastUpdated=gt2020&name=x", 400),
        ("Basic?_id=x", 400),
        ("Bundle?_id=x", 400),
        ("Nothing?_id=x", 404),
    ];
    for (asked, status) in refused {
        let (got, outcome) = get(&s, &client, &format!("/fhir/{asked}")).await;
        assert_eq!(got, *status, "{asked}: {outcome}");
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert!(
            outcome["issue"][0]["diagnostics"]
                .as_str()
                .is_some_and(|t| !t.is_empty()),
            "{asked}: {outcome}"
        );
    }
    let lenient = s
        .get("/fhir/Observation?patient=p1&colour=red&code=2951-2")
        .bearer_auth(&client)
        .header("prefer", "handling=lenient")
        .send()
        .await
        .unwrap();
    let bundle = json_of(lenient).await;
    assert_eq!(ids(&bundle), ["o1"]);
    assert!(
        of_mode(&bundle, "outcome").len() == 1 || bundle.to_string().contains("colour"),
        "{bundle}"
    );
    let posted = s
        .post("/fhir/Observation/_search")
        .bearer_auth(&client)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("patient=p1&code=2951-2")
        .send()
        .await
        .unwrap();
    assert_eq!(ids(&json_of(posted).await), ["o1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_whole_while_resources_come() {
    let (_folder, s, client) = server().await;
    let many: Vec<Value> = (0..57)
        .map(|n| {
            lab(
                &format!("x{n}"),
                "p2",
                "718-7",
                &format!("2026-04-01T{:02}:{:02}:00Z", n / 60, n % 60),
                "8",
            )
        })
        .collect();
    load(&s, &client, &many).await;
    for sort in ["", "&_sort=date", "&_sort=-date,_id"] {
        let mut at = Some(format!("/fhir/Observation?patient=p2&code=718-7&_count=10{sort}"));
        let (mut seen, mut pages) = (Vec::new(), 0);
        while let Some(page) = at {
            let (status, bundle) = get(&s, &client, &page).await;
            assert_eq!(status, 200, "{page}: {bundle}");
            seen.extend(ids(&bundle));
            pages += 1;
            if pages == 2 {
                // One that comes meanwhile neither hides nor repeats what was there.
                let new = format!("new{}", sort.len());
                load(
                    &s,
                    &client,
                    &[lab(&new, "p2", "718-7", "2026-03-31T00:00:00Z", "8")],
                )
                .await;
            }
            at = next(&bundle);
        }
        let unique: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "nothing twice: {sort}");
        assert!(
            (0..57).all(|n| unique.contains(&format!("x{n}"))),
            "nothing missing: {sort}"
        );
        assert!(pages >= 6, "{pages}");
    }
    let mut at = Some("/fhir/Patient?family=lantern&_count=1".to_owned());
    let mut seen = Vec::new();
    while let Some(page) = at {
        let (_, bundle) = get(&s, &client, &page).await;
        assert_eq!(bundle["total"], 2);
        seen.extend(ids(&bundle));
        at = next(&bundle);
    }
    assert_eq!(seen, ["p1", "p2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_it_comes_along() {
    let (_folder, s, client) = server().await;
    let cases: &[(&str, &[&str])] = &[
        (
            "MedicationRequest?patient=p1&intent=order&_include=MedicationRequest:medication",
            &["Medication/m1"],
        ),
        (
            "Observation?patient=p1&code=2823-3&_revinclude=Provenance:target",
            &["Provenance/v1"],
        ),
        (
            "Observation?patient=p1&code=2951-2&_revinclude=Provenance:target",
            &[],
        ),
        (
            "Observation?patient=p1&code=2951-2&_include=Observation:encounter&_include=Observation:patient",
            &["Encounter/e-p1", "Patient/p1"],
        ),
        (
            "Observation?patient=p1&code=2951-2&_include=Observation:patient&_include:iterate=Patient:general-practitioner",
            &["Patient/p1", "Practitioner/gp"],
        ),
        (
            "Patient?_id=p1&_include=Patient:general-practitioner",
            &["Practitioner/gp"],
        ),
        (
            "Patient?family=lantern&_revinclude=MedicationRequest:patient",
            &["MedicationRequest/r1"],
        ),
        (
            "Practitioner?_id=gp&_revinclude=PractitionerRole:practitioner",
            &["PractitionerRole/surgeon"],
        ),
    ];
    for (asked, expected) in cases {
        let (status, bundle) = get(&s, &client, &format!("/fhir/{asked}")).await;
        assert_eq!(status, 200, "{asked}: {bundle}");
        let included: BTreeSet<String> = of_mode(&bundle, "include").into_iter().collect();
        assert_eq!(
            included,
            expected.iter().map(|k| (*k).to_owned()).collect(),
            "{asked}"
        );
    }
    let (_, bundle) = get(
        &s,
        &client,
        "/fhir/Observation?patient=p1&code=2951-2&_elements=code",
    )
    .await;
    let one = &bundle["entry"][0]["resource"];
    assert!(
        one["code"].is_object() && one["effectiveDateTime"].is_null(),
        "{one}"
    );
    assert_eq!(one["meta"]["tag"][0]["code"], "SUBSETTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_leaves_what_r4_marks_as_one() {
    let (_folder, s, client) = server().await;
    let asked = "Observation?patient=p1&code=2951-2&_summary=true&_include=Observation:patient";
    let (status, bundle) = get(&s, &client, &format!("/fhir/{asked}")).await;
    assert_eq!((status, ids(&bundle)), (200, vec!["o1".to_owned()]), "{bundle}");
    let one = &bundle["entry"][0]["resource"];
    let names: BTreeSet<&str> = one.as_object().unwrap().keys().map(String::as_str).collect();
    let kept = [
        "resourceType",
        "id",
        "meta",
        "status",
        "code",
        "subject",
        "encounter",
        "effectiveDateTime",
        "valueQuantity",
    ];
    assert_eq!(names, kept.into(), "without category: {one}");
    assert_eq!(one["meta"]["tag"][0]["code"], "SUBSETTED");
    assert_eq!(one["meta"]["versionId"], "1");
    let link = bundle["link"][0]["url"].as_str().unwrap();
    assert!(link.contains("_summary=true"), "{link}");
    // What comes along is whole.
    let included = bundle["entry"].as_array().unwrap().iter();
    let included: Vec<&Value> = included.filter(|e| e["search"]["mode"] == "include").collect();
    assert!(
        included[0]["resource"]["generalPractitioner"].is_array(),
        "{included:?}"
    );
    for (asked, gone, kept) in [
        ("Patient?family=lantern", "generalPractitioner", "birthDate"),
        (
            "Observation/$lastn?patient=p1&code=2951-2",
            "category",
            "valueQuantity",
        ),
        ("Device?_id=pump", "deviceName", "id"),
    ] {
        let (status, bundle) = get(&s, &client, &format!("/fhir/{asked}&_summary=true")).await;
        let one = &bundle["entry"][0]["resource"];
        assert!(
            status == 200 && one[gone].is_null() && !one[kept].is_null(),
            "{asked}: {bundle}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_shows_what_its_caller_may_read_and_writes_it_down() {
    let (_folder, s, client) = server().await;
    let rows_of =
        |action: &str| -> Vec<Value> { s.audit().into_iter().filter(|r| r["action"] == action).collect() };
    let before = rows_of("read-chart").len();
    let (_, bundle) = get(&s, &client, "/fhir/Observation?patient=p1&code=2823-3&_count=2").await;
    assert_eq!(ids(&bundle), ["o4", "o2"]);
    let rows = rows_of("read-chart");
    assert_eq!(rows.len(), before + 1, "one row for one record");
    let row = rows.last().unwrap();
    let text = row.to_string();
    let shown = |id: &str| text.contains(&format!("{{\"id\":\"{id}\",\"kind\":\"Observation\"}}"));
    assert!(shown("o4") && shown("o2"), "{text}");
    assert!(!shown("o0") && !shown("o3"), "what was only looked at: {text}");
    assert_eq!(row["notes"]["by"], "Observation search");
    assert!(row["notes"]["query"].as_str().unwrap().contains("code=2823-3"));
    // A chain that finds patients has its row, and names them; so has a question that nothing is looked at for.
    get(&s, &client, "/fhir/Observation?patient.name=lantern&code=2823-3").await;
    let chain = rows_of("search-patients").pop().unwrap();
    assert_eq!(chain["disclosure"]["patients"], json!(["p1", "p2"]), "{chain}");
    for asked in ["Observation?patient.name=nobody", "Observation?_id=nothing"] {
        let before = rows_of("search-patients").len();
        let (status, bundle) = get(&s, &client, &format!("/fhir/{asked}")).await;
        assert_eq!((status, &bundle["total"]), (200, &json!(0)), "{asked}");
        assert!(rows_of("search-patients").len() > before, "{asked}");
    }
    let rows = rows_of("read-chart");
    // Of several records a row each.
    let before = rows.len();
    get(&s, &client, "/fhir/Observation?patient=p1,p2&code=2823-3").await;
    assert_eq!(rows_of("read-chart").len(), before + 2);
    // Programs search what they were granted the search of.
    for (scope, asked, expected) in [
        ("system/Observation.rs", "Observation?patient=p1", 200),
        ("system/Observation.r", "Observation?patient=p1", 403),
        ("system/Observation.s", "Observation?patient=p1", 403),
        ("system/Condition.rs", "Observation?patient=p1", 403),
        ("system/Practitioner.rs", "Practitioner?name=we", 200),
        ("system/Practitioner.r", "Practitioner?name=we", 403),
        ("system/Observation.rs", "Patient?name=lantern", 403),
    ] {
        let token = s.client_token(scope).await;
        let (status, outcome) = get(&s, &token, &format!("/fhir/{asked}")).await;
        assert_eq!(status, expected, "{scope} {asked}: {outcome}");
    }
    // A chain looks at nothing that could not be searched itself, and nothing is included that could not be read.
    let token = s.client_token("system/Observation.rs").await;
    let (status, bundle) = get(
        &s,
        &token,
        "/fhir/Observation?patient=p1&encounter.status=in-progress",
    )
    .await;
    assert_eq!((status, ids(&bundle).len()), (200, 0), "{bundle}");
    let (status, bundle) = get(
        &s,
        &token,
        "/fhir/Observation?patient=p1&_include=Observation:encounter&_count=1",
    )
    .await;
    assert_eq!((status, of_mode(&bundle, "include").len()), (200, 0), "{bundle}");
    assert!(bundle.to_string().contains("not here or not for you"), "{bundle}");
    let (status, _) = get(&s, &token, "/fhir/Observation?patient.name=lantern").await;
    assert_eq!(status, 403);
}

/// Every byte as `%XX`.
fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// Texts that mean something to a database, a shell, a template, a path or a page.
const HOSTILE: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE resource; --",
    "\" OR \"\"=\"",
    "1) UNION SELECT body FROM resource --",
    "%' AND 1=randomblob(1000000000) AND '%",
    "$(reboot)",
    "`id`",
    "{{7*7}}",
    "${7*7}",
    "../../../../etc/passwd",
    "..%2f..%2f",
    "\u{0}",
    "\u{202e}abc",
    "\u{feff}",
    "<script>alert(1)</script>",
    "a\r\nSet-Cookie: x=y",
    "\\",
    "\\,\\|\\$",
    "|||||",
    ",,,,",
    "$$$$",
    "ge",
    "99999999999999999999999999",
    "-1e-400",
    "9999-99-99T99:99:99Z",
    "Patient/../Patient/p1",
    "https://example.invalid/fhir/Patient/p1",
    "p1/_history/1",
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_have_no_effect_on_any_parameter() {
    let (_folder, s, client) = server().await;
    let (_, statement) = get(&s, &client, "/fhir/metadata").await;
    let before = get(&s, &client, "/fhir/Observation?patient=p1&_total=accurate")
        .await
        .1["total"]
        .clone();
    let mut asked = 0;
    for kind in ["Observation", "Patient", "Practitioner", "Condition"] {
        let resources = statement["rest"][0]["resource"].as_array().unwrap();
        let own = resources.iter().find(|r| r["type"] == kind).unwrap();
        let names = own["searchParam"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap());
        let more = [
            "_sort",
            "_include",
            "_revinclude",
            "_elements",
            "_page",
            "_count",
            "_total",
            "_summary",
            "_has:Observation:patient:code",
        ];
        for name in names.chain(more) {
            for (n, text) in HOSTILE.iter().enumerate() {
                // Every parameter gets every third; all of them get all.
                if (n + asked) % 3 != 0 && name.len() % 3 != n % 3 {
                    continue;
                }
                let scope = if kind == "Patient" || kind == "Practitioner" {
                    ""
                } else {
                    "patient=p1"
                };
                let answer = s
                    .get(&format!("/fhir/{kind}?{scope}&{name}={}", encoded(text)))
                    .bearer_auth(&client)
                    .send()
                    .await
                    .unwrap();
                let status = answer.status().as_u16();
                let header = answer.headers().contains_key("set-cookie");
                let body = json_of(answer).await;
                assert!(
                    [200, 400].contains(&status),
                    "{kind}?{name}={text:?}: {status} {body}"
                );
                assert!(
                    !header && !body.to_string().contains("root:x:"),
                    "{kind}?{name}={text:?}"
                );
                if status == 200 && kind == "Observation" {
                    assert!(
                        !ids(&body).contains(&"q0".to_owned()),
                        "another's: {name}={text:?}"
                    );
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    let after = get(&s, &client, "/fhir/Observation?patient=p1&_total=accurate")
        .await
        .1["total"]
        .clone();
    assert_eq!((before, after), (json!(5), json!(5)));
}
