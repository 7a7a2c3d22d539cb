use super::*;

fn issues(text: &str) -> Vec<(IssueCode, String)> {
    match validate(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(list) => list.into_iter().map(|i| (i.code, i.expression)).collect(),
    }
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"K"},"subject":{"reference":"Patient/p1/_history/3"},"identifier":[{"system":"urn:lab","value":"7"}]}"#;

#[test]
fn an_envelope_says_what_the_server_needs() {
    let e = validate(OBSERVATION.as_bytes()).unwrap();
    assert_eq!(e.kind.as_str(), "Observation");
    assert_eq!(e.id.unwrap().as_str(), "o");
    assert_eq!(e.patient.unwrap().as_str(), "p1");
    assert_eq!(e.patient_reference.as_deref(), Some("Patient/p1"));
    assert_eq!(e.identifiers, [(Some("urn:lab".to_owned()), "7".to_owned())]);
}

#[test]
fn wrong_resources_are_refused_with_place_and_kind() {
    let swap = |a: &str, b: &str| issues(&OBSERVATION.replace(a, b));
    let one = |code, at: &str| vec![(code, at.to_owned())];
    assert_eq!(
        swap("\"final\"", "\"finalx\""),
        one(IssueCode::CodeInvalid, "Observation.status")
    );
    assert_eq!(
        swap("\"status\":\"final\",", ""),
        one(IssueCode::Required, "Observation.status")
    );
    assert_eq!(
        swap("\"status\"", "\"statuss\"")[0],
        (IssueCode::Required, "Observation.status".to_owned())
    );
    assert_eq!(
        swap("\"o\"", "\"o_o\"")[0],
        (IssueCode::Value, "Observation.id".to_owned())
    );
    assert_eq!(
        swap("\"o\"", "\"__proto__\"")[0],
        (IssueCode::Value, "Observation.id".to_owned())
    );
    assert_eq!(
        swap("\"Observation\"", "\"Observations\""),
        one(IssueCode::NotSupported, "resourceType")
    );
    assert_eq!(
        swap("\"K\"", "\"K\",\"text\":\"Na\""),
        one(IssueCode::Structure, "Observation.code.text")
    );
    assert_eq!(
        swap("\"id\":\"o\",", "\"__proto__\":{},")[0].0,
        IssueCode::Structure
    );
    assert_eq!(issues("\u{feff}{}")[0].0, IssueCode::Structure);
    assert_eq!(
        issues("{\"resourceType\":1}"),
        one(IssueCode::Value, "resourceType")
    );
    assert_eq!(issues("{}"), one(IssueCode::Required, "resourceType"));
    assert_eq!(issues("null")[0].0, IssueCode::Structure);
}

#[test]
fn status_concepts_must_be_of_their_value_set() {
    let allergy = |coding: &str| {
        issues(&format!(
            r#"{{"resourceType":"AllergyIntolerance","patient":{{"reference":"Patient/1"}},"verificationStatus":{coding}}}"#
        ))
    };
    let system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
    assert_eq!(
        allergy(&format!(
            r#"{{"coding":[{{"system":"{system}","code":"refuted"}}]}}"#
        )),
        []
    );
    let wrong = vec![(
        IssueCode::CodeInvalid,
        "AllergyIntolerance.verificationStatus".to_owned(),
    )];
    assert_eq!(
        allergy(&format!(
            r#"{{"coding":[{{"system":"{system}","code":"perhaps"}}]}}"#
        )),
        wrong
    );
    assert_eq!(allergy(r#"{"text":"confirmed"}"#), wrong);
    let absent = r#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}"#;
    assert_eq!(allergy(absent), []);
}

#[test]
fn issues_never_repeat_what_is_in_the_resource() {
    let secret = "Zzyzx-Quimby";
    for text in [
        format!(r#"{{"resourceType":"Patient","birthDate":"{secret}"}}"#),
        format!(r#"{{"resourceType":"Patient","{secret}":1}}"#),
        format!(r#"{{"resourceType":"Patient","gender":"{secret}"}}"#),
        format!(r#"{{"resourceType":"Patient","id":"{secret}!"}}"#),
        format!(r#"{{"resourceType":"{secret}"}}"#),
        format!(r#"{{"resourceType":"Patient","active":"{secret}"}}"#),
        format!(r#"{{"resourceType":"Patient","{secret}":1,"{secret}":2}}"#),
        format!(r#"{{"resourceType":"Patient","name":[{{"family":"{secret}"]}}"#),
        format!(r#"{{"resourceType":"Patient","contained":[{{"resourceType":"{secret}"}}]}}"#),
    ] {
        let list = validate(text.as_bytes()).unwrap_err();
        let said = format!("{list:?}") + &String::from_utf8(crate::outcome::errors(&list)).unwrap();
        assert!(!said.contains("Zzyzx"), "{said}");
    }
}

#[test]
fn size_and_depth_are_capped() {
    let big = format!(
        r#"{{"resourceType":"Basic","code":{{"text":"{}"}}}}"#,
        "a".repeat(MAX_RESOURCE_BYTES)
    );
    assert_eq!(issues(&big)[0].0, IssueCode::TooLong);
    let deep = format!(
        "{{\"resourceType\":\"Basic\",\"x\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(issues(&deep)[0].0, IssueCode::TooMany);
    let coded = |n: usize| {
        let all = vec![r#"{"code":"a"}"#; n].join(",");
        format!(r#"{{"resourceType":"Basic","code":{{"coding":[{all}]}}}}"#)
    };
    assert!(validate(coded(1_000).as_bytes()).is_ok());
    let too_many = (IssueCode::TooMany, "Basic.code.coding".to_owned());
    assert_eq!(issues(&coded(1_001))[0], too_many);
}

#[test]
fn what_is_found_before_it_is_read_has_its_place_too() {
    let twice = r#"{"name":[{"family":"a","family":"b"}],"resourceType":"Patient"}"#;
    assert_eq!(issues(twice)[0].1, "Patient.name[0].family");
    let no_type = r#"{"name":[{"family":"a","family":"b"}],"resourceType":"Pat"}"#;
    assert_eq!(issues(no_type)[0].1, "Resource.name[0].family");
    let deep = format!(
        "{{\"resourceType\":\"Basic\",\"code\":{{\"x\":{}{}}}}}",
        "[".repeat(80),
        "]".repeat(80)
    );
    assert!(issues(&deep)[0].1.starts_with("Basic.code.x[0]"), "{deep}");
}

#[test]
fn brackets_are_counted_outside_of_texts() {
    use crate::nests_deeper;
    assert!(!nests_deeper(br#"[{"a":[]}]"#, 3) && nests_deeper(br#"[{"a":[]}]"#, 2));
    assert!(!nests_deeper(br#"["[[[[\"[[[[","\\",[]]"#, 2) && nests_deeper(br#"["\\",[[]]]"#, 2));
    assert!(!nests_deeper(br"[][][]]]]", 1));
}

#[test]
fn the_type_table_is_sorted() {
    assert!(bindings::RESOURCE_TYPES.is_sorted());
    assert!(
        is_resource_type("Patient") && !is_resource_type("patient") && !is_resource_type("DomainResource")
    );
}
