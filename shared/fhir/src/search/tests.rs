//! Questions, and resources that are answers to them or not.

use super::*;
use proptest::prelude::*;

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn asked(kind: &str, query: &str) -> Result<Search, Vec<crate::Issue>> {
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    Search::parse(kind, &pairs, true)
}

fn fits(kind: &str, query: &str, body: &str) -> bool {
    let (body, key) = (json(body), ResourceKey::new(kind, "r1").unwrap());
    let candidate = Candidate {
        key: &key,
        updated: UtcMs(1_772_323_200_000),
        body: &body,
    };
    let status = r#"{"resourceType":"Encounter","id":"e1","status":"in-progress"}"#;
    let search = asked(kind, query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
    search.matches(&candidate, &mut |k| {
        (k.id.as_str() == "e1").then(|| Arc::new(json(status)))
    })
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"r1","meta":{"tag":[{"system":"urn:t","code":"x"}],"profile":["http://p/lab|2"]},
  "identifier":[{"system":"urn:i","value":"A|1","type":{"coding":[{"system":"urn:ty","code":"ACSN"}],"text":"Accession"}}],"status":"final",
  "category":[{"coding":[{"system":"urn:c","code":"laboratory"}]}],
  "code":{"coding":[{"system":"http://loinc.org","code":"2823-3","display":"Potassium"},{"code":"K"}],"text":"Kalium im Serum"},
  "subject":{"reference":"Patient/p1/_history/3"},"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2026-03-01T10:00:00+01:00",
  "performer":[{"reference":"Practitioner/d1"},{"identifier":{"system":"urn:npi","value":"7"}}],
  "valueQuantity":{"value":5.40,"unit":"mmol/l","system":"http://unitsofmeasure.org","code":"mmol/L"},
  "component":[{"code":{"coding":[{"code":"a"}]},"valueQuantity":{"value":1}},{"code":{"coding":[{"code":"b"}]},"valueQuantity":{"value":2}}]}"#;

#[test]
fn observations() {
    let cases = [
        ("_id=r1", true),
        ("_id=r2,r1", true),
        ("_id:not=r1", false),
        ("_lastUpdated=2026-03-01", true),
        ("_lastUpdated=gt2026-03-01", false),
        ("_tag=urn:t|x", true),
        ("_tag=urn:t|", true),
        ("_tag=urn:u|x", false),
        ("_profile=http://p/lab", true),
        ("_profile=http://p/lab|3", false),
        ("_profile:below=http://p", true),
        ("_profile:above=http://p/lab|2/x", true),
        ("status=final", true),
        ("status=http://hl7.org/fhir/observation-status|final", true),
        ("status=preliminary", false),
        ("status:not=preliminary", true),
        ("code=2823-3", true),
        ("code=http://loinc.org|2823-3", true),
        ("code=http://snomed.info/sct|2823-3", false),
        ("code=|K", true),
        ("code=|2823-3", false),
        ("code=x,2823-3", true),
        ("code=2823-3&code=K", true),
        ("code=2823-3&code=x", false),
        ("code:text=kalium", true),
        ("code:text=potas", true),
        ("code:text=serum", false),
        ("code:not=2823-3", false),
        ("category=laboratory", true),
        ("category:missing=false", true),
        ("method:missing=true", true),
        ("method:not=x", true),
        ("identifier=urn:i|A\\|1", true),
        ("identifier=A\\|1", true),
        ("identifier:of-type=urn:ty|ACSN|A\\|1", true),
        ("identifier:of-type=urn:ty|MR|A\\|1", false),
        ("patient=p1", true),
        ("patient=Patient/p1", true),
        ("subject=Patient/p1", true),
        ("subject:Patient=p1", true),
        ("subject=Group/p1", false),
        ("patient=p2,p1", true),
        ("performer=Practitioner/d1", true),
        ("performer:identifier=urn:npi|7", true),
        ("performer:identifier=urn:npi|8", false),
        ("date=2026-03-01", true),
        ("date=2026-03-01T09:00:00Z", true),
        ("date=ge2026-03-01T09:00:00Z&date=lt2026-03-01T09:00:01Z", true),
        ("date=gt2026-03-01", false),
        ("value-quantity=5.4", true),
        ("value-quantity=5.4|http://unitsofmeasure.org|mmol/L", true),
        ("value-quantity=5.4||mmol/l", true),
        ("value-quantity=5.4||mmol/L", true),
        ("value-quantity=5.4|http://unitsofmeasure.org|mg", false),
        ("value-quantity=gt5.4", false),
        ("value-quantity=ge5.40,lt1", true),
        ("value-quantity=5", true),
        ("value-quantity=5.0", false),
        ("code-value-quantity=2823-3$gt5", true),
        ("code-value-quantity=2823-3$gt6", false),
        ("component-code-value-quantity=a$1", true),
        // The code of one component with the value of another is nothing that was said.
        ("component-code-value-quantity=a$2", false),
        ("combo-code-value-quantity=b$2", true),
        ("combo-code=b", true),
        ("encounter.status=in-progress", true),
        ("encounter:Encounter.status=finished", false),
        ("encounter.status:not=finished", true),
        ("encounter=Encounter/e1", true),
    ];
    for (query, expected) in cases {
        assert_eq!(fits("Observation", query, OBSERVATION), expected, "{query}");
    }
}

#[test]
fn people() {
    let body = r#"{"resourceType":"Patient","name":[{"use":"official","prefix":["Dr"],"family":"O'Brien","given":["Zoë","May"]},{"text":"Née Łącka"}],"gender":"female",
      "birthDate":"1950-03","active":true,"deceasedDateTime":"2026-03-01","telecom":[{"system":"phone","value":"555"},{"system":"email","value":"z@x"}],
      "address":[{"use":"home","line":["1 High Street","Flat 2"],"city":"Leeds"}],"generalPractitioner":[{"reference":"Practitioner/g"}]}"#;
    let cases = [
        ("name=o'br", true),
        ("name=zoe", true),
        ("name=née", true),
        ("name:contains=lack", true),
        ("name:exact=Zoë", true),
        ("name:exact=zoë", false),
        ("name=official", false),
        ("name=dr", false),
        ("family=zoe", false),
        ("given=may", true),
        ("birthdate=1950", true),
        ("birthdate=1950-03-01", false),
        ("birthdate=lt1951", true),
        ("gender=female,male", true),
        ("active=true", true),
        ("deceased=true", true),
        ("deceased=false", false),
        ("death-date=2026", true),
        ("phone=555", true),
        ("email=555", false),
        ("telecom=z@x", true),
        ("address=flat", true),
        ("address-city=lee", true),
        ("address-use=home", true),
        ("general-practitioner=g", true),
        ("general-practitioner:Practitioner=g", true),
        ("general-practitioner:Organization=g", false),
        ("organization:missing=true", true),
    ];
    for (query, expected) in cases {
        assert_eq!(fits("Patient", query, body), expected, "{query}");
    }
}

#[test]
fn periods_and_timings() {
    let cases = [
        (
            "Encounter",
            r#"{"period":{"start":"2026-03-01","end":"2026-03-03"}}"#,
            "date=2026-03-02",
            false,
        ),
        (
            "Encounter",
            r#"{"period":{"start":"2026-03-01","end":"2026-03-03"}}"#,
            "date=ge2026-03-02&date=le2026-03-02",
            true,
        ),
        (
            "Encounter",
            r#"{"period":{"start":"2026-03-01"}}"#,
            "date=ge2030",
            true,
        ),
        (
            "Encounter",
            r#"{"period":{"end":"2026-03-01"}}"#,
            "date=sa2000",
            false,
        ),
        (
            "MedicationRequest",
            r#"{"dosageInstruction":[{"timing":{"event":["2026-03-01","2026-04-01"]}}]}"#,
            "date=2026-04",
            true,
        ),
        (
            "Condition",
            r#"{"onsetAge":{"value":40,"code":"a"}}"#,
            "onset-age=ge40",
            true,
        ),
        (
            "Condition",
            r#"{"extension":[{"url":"http://x"},{"url":"http://hl7.org/fhir/StructureDefinition/condition-assertedDate","valueDateTime":"2026-03-01"}]}"#,
            "asserted-date=2026-03-01",
            true,
        ),
        (
            "RiskAssessment",
            r#"{"prediction":[{"probabilityDecimal":0.25}]}"#,
            "probability=gt0.2",
            true,
        ),
        (
            "RiskAssessment",
            r#"{"prediction":[{"probabilityRange":{"low":{"value":0.1},"high":{"value":0.3}}}]}"#,
            "probability=gt0.2",
            true,
        ),
        (
            "MedicationRequest",
            r#"{"medicationReference":{"reference":"Medication/m"}}"#,
            "medication=m",
            true,
        ),
        (
            "QuestionnaireResponse",
            r#"{"questionnaire":"http://q/1|2"}"#,
            "questionnaire=http://q/1",
            true,
        ),
    ];
    for (kind, body, query, expected) in cases {
        assert_eq!(fits(kind, query, body), expected, "{kind}?{query} of {body}");
    }
}

#[test]
fn what_us_core_asks_for_is_understood() {
    // US Core 6.1.0, CapabilityStatement of the server: SHALL and SHOULD.
    let rows = [
        ("AllergyIntolerance", "patient clinical-status"),
        ("CarePlan", "patient category status date"),
        ("CareTeam", "patient status role"),
        (
            "Condition",
            "patient category clinical-status code encounter onset-date asserted-date recorded-date abatement-date",
        ),
        ("Coverage", "patient"),
        ("Device", "patient type status"),
        ("DiagnosticReport", "patient category code date status"),
        (
            "DocumentReference",
            "_id patient category type date status period",
        ),
        (
            "Encounter",
            "_id patient date class type status location identifier discharge-disposition",
        ),
        ("Goal", "patient lifecycle-status target-date description"),
        ("Immunization", "patient status date"),
        (
            "Location",
            "name address address-city address-state address-postalcode",
        ),
        ("MedicationDispense", "patient status type"),
        ("MedicationRequest", "patient intent status encounter authoredon"),
        ("Observation", "patient category code date status"),
        ("Organization", "name address"),
        (
            "Patient",
            "_id identifier name birthdate gender family given death-date",
        ),
        ("Practitioner", "_id name identifier"),
        ("PractitionerRole", "specialty practitioner"),
        ("Procedure", "patient date status code"),
        (
            "QuestionnaireResponse",
            "_id patient status authored questionnaire",
        ),
        ("RelatedPerson", "_id patient name"),
        ("ServiceRequest", "_id patient category code authored status"),
        ("Specimen", "_id patient"),
    ];
    for (kind, names) in rows {
        for name in names.split(' ') {
            let found = parameter(kind, name).unwrap_or_else(|| panic!("{kind}?{name}"));
            let value = match found.kind {
                ParamKind::Date => "2026",
                ParamKind::Quantity | ParamKind::Number => "1",
                _ => "a",
            };
            asked(kind, &format!("{name}={value}")).unwrap_or_else(|e| panic!("{kind}?{name}: {e:?}"));
            asked(kind, &format!("{name}:missing=true"))
                .unwrap_or_else(|e| panic!("{kind}?{name}:missing: {e:?}"));
        }
    }
    asked("MedicationRequest", "_include=MedicationRequest:medication").unwrap();
    asked("Observation", "_revinclude=Provenance:target").unwrap();
    asked(
        "PractitionerRole",
        "_include=PractitionerRole:endpoint&_include=PractitionerRole:practitioner",
    )
    .unwrap();
    asked("CareTeam", "_include=CareTeam:participant:Practitioner").unwrap();
}

#[test]
fn names_are_once_in_each_table_and_paths_are_plain() {
    for kind in crate::RESOURCE_TYPES {
        let mut names: Vec<&str> = parameters(kind).iter().chain(GENERAL).map(|p| p.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{kind}");
        for p in parameters(kind) {
            assert_eq!(
                p.parts.is_empty(),
                p.kind != ParamKind::Composite,
                "{kind}?{}",
                p.name
            );
            assert!(
                p.targets.iter().all(|t| crate::is_resource_type(t)),
                "{kind}?{}",
                p.name
            );
        }
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let long = "x".repeat(2001);
    let many = vec!["a"; 300].join(",");
    let cases = [
        ("colour=red", "colour"),
        ("code:in=x", "code:in"),
        ("code:above=x", "code:above"),
        ("date=yesterday", "date"),
        ("date:exact=2020", "date:exact"),
        ("value-quantity=much", "value-quantity"),
        ("value-quantity=5|x", "value-quantity"),
        ("code-value-quantity=a", "code-value-quantity"),
        ("code=", "code"),
        ("patient=a b", "patient"),
        ("patient=Nothing/1", "patient"),
        ("performer.name=x", "performer.name"),
        ("patient.organization.name=x", "patient.organization.name"),
        ("code.x=1", "code.x"),
        ("patient:Group.name=x", "patient:Group.name"),
        ("method:missing=perhaps", "method:missing"),
        ("_has:Observation:nothing:code=1", "_has"),
        ("_has:Observation:encounter:code=1", "_has"),
        ("_has:x=1", "_has"),
        ("_sort=colour", "_sort"),
        ("_sort=a,b,c,d,e", "_sort"),
        ("_count=many", "_count"),
        ("_total=about", "_total"),
        ("_summary=yes", "_summary"),
        ("_include=Observation:code", "_include"),
        ("_include=Basic:code", "_include"),
        ("_include:deep=Observation:patient", "_include"),
        ("_revinclude=*", "_revinclude"),
        ("_filter=x", "_filter"),
        ("_text=x", "_text"),
        (&format!("code={long}"), "2000 characters"),
        (&format!("code={many}"), "alternatives"),
        (&vec!["code=a"; 65].join("&"), "65 parameters"),
    ];
    for (query, names) in cases {
        let issues = asked("Observation", query).expect_err(query);
        assert!(issues[0].text.contains(names), "{query}: {issues:?}");
    }
    let pairs = [
        ("colour".to_owned(), "red".to_owned()),
        ("code".to_owned(), "a".to_owned()),
    ];
    let lenient = Search::parse("Observation", &pairs, false).unwrap();
    assert_eq!(
        (lenient.ignored.len(), lenient.filters.len(), lenient.said().len()),
        (1, 1, 1)
    );
    // A value that cannot be read is no parameter that is not supported.
    let pairs = [("date".to_owned(), "yesterday".to_owned())];
    assert!(Search::parse("Observation", &pairs, false).is_err());
}

#[test]
fn whose_records_are_meant() {
    let ids = |query: &str| -> Option<Vec<String>> {
        let named = asked("Observation", query).unwrap().patients()?;
        Some(named.iter().map(ToString::to_string).collect())
    };
    let all = |ids: &[&str]| Some(ids.iter().map(|i| (*i).to_owned()).collect::<Vec<_>>());
    assert_eq!(ids("code=1"), None);
    assert_eq!(ids("patient=p1"), all(&["p1"]));
    assert_eq!(ids("subject=Patient/p1,Group/g,p2"), all(&["p1", "p2"]));
    assert_eq!(ids("patient=p1,p2&subject=Patient/p2"), all(&["p2"]));
    assert_eq!(ids("patient=p1&patient=p2"), all(&[]));
    assert_eq!(ids("patient:missing=true"), None);
    assert_eq!(ids("patient.name=x"), None);
    let chain = asked(
        "Observation",
        "subject:Patient.family=x&code=1&patient.identifier=a|b",
    )
    .unwrap();
    let chain = chain.patient_chain().unwrap();
    assert_eq!((chain.kind.as_str(), chain.filters.len()), ("Patient", 2));
    let words: Vec<_> = chain
        .filters
        .iter()
        .map(|f| (f.parameter.name, f.words()))
        .collect();
    assert_eq!(
        words,
        [("family", Some(vec!["x"])), ("identifier", Some(vec!["b"]))]
    );
    let words = |query: &str| -> Option<Vec<String>> {
        let search = asked("Patient", query).unwrap();
        let words = search.filters[0].words()?;
        Some(words.iter().map(|w| (*w).to_owned()).collect())
    };
    assert_eq!(words("name=a\\,b,c"), all(&["a,b", "c"]));
    assert_eq!(words("name:exact=a"), all(&["a"]));
    assert_eq!(words("identifier=s|A\\|1"), all(&["A|1"]));
    assert_eq!(words("birthdate=eq1950-03"), all(&["1950-03"]));
    for none in [
        "name:contains=a",
        "birthdate=gt1950",
        "birthdate=1950,lt1940",
        "identifier=s|",
        "gender:not=male",
    ] {
        assert_eq!(words(none), None, "{none}");
    }
}

#[test]
fn the_order_and_its_key_as_text() {
    let of = |sort: &str, body: &str| {
        let (key, body) = (ResourceKey::new("Observation", "r1").unwrap(), json(body));
        let candidate = Candidate {
            key: &key,
            updated: UtcMs(5),
            body: &body,
        };
        asked("Observation", &format!("_sort={sort}"))
            .unwrap()
            .sort_key(&candidate)
    };
    let (early, late) = (
        r#"{"effectiveDateTime":"2026-01-01"}"#,
        r#"{"effectiveDateTime":"2026-02-01"}"#,
    );
    assert!(of("date", early) < of("date", late) && of("-date", late) < of("-date", early));
    assert!(of("date", late) < of("date", "{}") && of("-date", early) < of("-date", "{}"));
    let (small, great) = (
        r#"{"valueQuantity":{"value":9.9}}"#,
        r#"{"valueQuantity":{"value":10.01}}"#,
    );
    assert!(of("value-quantity", small) < of("value-quantity", great));
    for key in [
        of("date", early),
        of(
            "-value-quantity,status,_id",
            r#"{"valueQuantity":{"value":-1.50},"status":"a\"~,"}"#,
        ),
        of("-date", "{}"),
    ] {
        assert_eq!(SortKey::parse(&key.to_text()), Some(key));
    }
    for text in [
        "",
        "[]x",
        r#"[["u","x","1"]]"#,
        r#"[["u","t","x"]]"#,
        r#"[["x","s","x"]]"#,
        "[[]]",
    ] {
        assert!(SortKey::parse(text).is_none(), "{text}");
    }
}

#[test]
fn what_is_followed_and_what_is_left() {
    let body = json(OBSERVATION);
    let follow = |include: &str| -> Vec<String> {
        let search = asked("Observation", &format!("_include={include}")).unwrap();
        search.includes[0]
            .follow("Observation", &body)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(follow("Observation:encounter"), ["Encounter/e1"]);
    assert_eq!(follow("Observation:performer:Organization"), [""; 0]);
    assert_eq!(follow("Observation:patient"), ["Patient/p1"]);
    assert_eq!(follow("*").len(), 3);
    assert_eq!(follow("Encounter:patient"), [""; 0]);
    let part = subset(
        &asked("Observation", "_elements=valueQuantity,code").unwrap(),
        "Observation",
        &body,
    )
    .unwrap();
    let Json::Object(members) = &part else {
        panic!("an object")
    };
    let names: Vec<&str> = members.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(
        names,
        [
            "resourceType",
            "id",
            "meta",
            "status",
            "code",
            "subject",
            "valueQuantity"
        ]
    );
    assert!(part.to_compact().contains("5.40") && part.to_compact().contains("SUBSETTED"));
    assert!(subset(&asked("Observation", "code=a").unwrap(), "Observation", &body).is_none());
}

/// The members that a search leaves of a resource.
fn left(kind: &str, query: &str, body: &str) -> (Vec<String>, Json) {
    let part = subset(&asked(kind, query).unwrap(), kind, &json(body)).unwrap();
    let Json::Object(members) = &part else {
        panic!("an object")
    };
    (members.iter().map(|(n, _)| n.clone()).collect(), part)
}

#[test]
fn a_summary_is_what_r4_says_and_what_changes_the_meaning() {
    let patient = r##"{"resourceType":"Patient","id":"p","meta":{"tag":[{"code":"mine"}]},"implicitRules":"http://x","language":"en",
        "text":{"status":"generated","div":"<div/>"},"extension":[{"url":"http://x"}],"modifierExtension":[{"url":"http://y"}],
        "name":[{"family":"A"}],"birthDate":"1950","_birthDate":{"extension":[]},"_gender":{"extension":[]},"maritalStatus":{"text":"m"},"_maritalStatus":{},
        "deceasedDateTime":"2026-01-01","contact":[{"name":{"family":"B"}}],"photo":[{}]}"##;
    let (names, part) = left("Patient", "_summary=true", patient);
    assert_eq!(
        names,
        [
            "resourceType",
            "id",
            "meta",
            "implicitRules",
            "modifierExtension",
            "name",
            "birthDate",
            "_birthDate",
            "_gender",
            "deceasedDateTime"
        ]
    );
    let text = part.to_compact();
    assert!(
        text.contains("mine") && text.contains("SUBSETTED") && !text.contains("generated"),
        "{text}"
    );
    let (names, part) = left("Observation", "_summary=true", OBSERVATION);
    assert!(names.iter().any(|n| n == "valueQuantity") && part.to_compact().contains("5.40"));
    assert!(!names.iter().any(|n| n == "category" || n == "note"), "{names:?}");
    // One that is included is of another type, and no part is asked of it.
    assert!(
        subset(
            &asked("Observation", "_summary=false").unwrap(),
            "Observation",
            &json(OBSERVATION)
        )
        .is_none()
    );
}

#[test]
fn no_part_lacks_what_changes_its_meaning() {
    let order = r#"{"resourceType":"MedicationRequest","id":"r","status":"active","intent":"order","doNotPerform":true,"_status":{"id":"s"},
        "subject":{"reference":"Patient/p"},"medicationCodeableConcept":{"text":"m"},"note":[{"text":"n"}]}"#;
    for query in [
        "_elements=note",
        "_summary=text",
        "_summary=true",
        "_summary=data",
    ] {
        let (names, _) = left("MedicationRequest", query, order);
        for name in [
            "status",
            "_status",
            "intent",
            "doNotPerform",
            "subject",
            "medicationCodeableConcept",
        ] {
            assert!(names.iter().any(|n| n == name), "{query}: {name} of {names:?}");
        }
    }
    let allergy = r#"{"resourceType":"AllergyIntolerance","id":"a","patient":{"reference":"Patient/p"},"code":{"text":"c"},
        "verificationStatus":{"coding":[{"code":"refuted"}]},"recorder":{"reference":"Practitioner/x"}}"#;
    let (names, _) = left("AllergyIntolerance", "_elements=code", allergy);
    assert_eq!(
        names,
        [
            "resourceType",
            "id",
            "patient",
            "code",
            "verificationStatus",
            "meta"
        ]
    );
}

#[test]
fn a_part_has_what_it_refers_to_within_itself() {
    let body = r##"{"resourceType":"MedicationRequest","id":"r","status":"active","intent":"order","subject":{"reference":"Patient/p"},
        "contained":[{"resourceType":"Medication","id":"m","code":{"text":"Furosemide"},"manufacturer":{"reference":"#maker"}},
            {"resourceType":"Organization","id":"maker","name":"M"},{"resourceType":"Practitioner","id":"unused"}],
        "medicationReference":{"reference":"#m"},"recorder":{"reference":"#unused"},"note":[{"text":"n"}]}"##;
    for query in ["_summary=true", "_elements=medicationReference"] {
        let (names, part) = left("MedicationRequest", query, body);
        let text = part.to_compact();
        assert!(names.iter().any(|n| n == "contained"), "{query}: {names:?}");
        assert!(
            text.contains("Furosemide") && text.contains("\"maker\""),
            "{query}: {text}"
        );
        assert!(
            !text.contains("unused") && !text.contains("\"note\""),
            "{query}: {text}"
        );
    }
    let unreferred = body
        .replace("#m\"", "http://elsewhere/m\"")
        .replace("#unused", "Practitioner/x");
    let (names, _) = left("MedicationRequest", "_elements=note", &unreferred);
    assert!(!names.iter().any(|n| n == "contained"), "{names:?}");
    let (names, _) = left("MedicationRequest", "_summary=data", body);
    assert_eq!(names.iter().filter(|n| *n == "contained").count(), 1);
}

proptest! {
    #[test]
    fn whatever_is_asked_is_read_or_refused(
        names in proptest::collection::vec("(_?[a-z-]{1,12}|code|date|patient|value-quantity|_has:Observation:encounter|_sort|_include)(:[a-z]{0,8})?(\\.[a-z]{1,6})?", 1..6),
        values in proptest::collection::vec("(ge|lt|ap)?[0-9a-zA-Z|,$\\\\ :./é-]{0,30}", 1..6),
    ) {
        let pairs: Vec<(String, String)> = names.into_iter().zip(values).collect();
        for strict in [true, false] {
            if let Ok(search) = Search::parse("Observation", &pairs, strict) {
                let (body, key) = (json(OBSERVATION), ResourceKey::new("Observation", "r1").unwrap());
                let candidate = Candidate { key: &key, updated: UtcMs(0), body: &body };
                let _ = search.matches(&candidate, &mut |_| None);
                let key = search.sort_key(&candidate);
                prop_assert_eq!(SortKey::parse(&key.to_text()), Some(key));
                let again = Search::parse("Observation", search.said(), true).unwrap();
                prop_assert_eq!(again.filters, search.filters);
            }
        }
    }
}
