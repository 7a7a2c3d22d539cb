use super::*;
use std::collections::BTreeMap;

fn planned(json: &str, answers: &Answers) -> Result<Plan, Vec<EntryIssue>> {
    let bundle = Bundle::parse(json.as_bytes()).unwrap();
    let mut n = 0;
    plan(&bundle, answers, &mut |_| {
        n += 1;
        FhirId::new(format!("new-{n}")).unwrap()
    })
}
fn body(step: &Step) -> String {
    String::from_utf8(step.body.clone().unwrap()).unwrap()
}
fn codes(list: &[EntryIssue]) -> Vec<(usize, IssueCode)> {
    list.iter().map(|i| (i.entry, i.issue.code)).collect()
}
fn transaction(entries: &[&str]) -> String {
    format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#,
        entries.join(",")
    )
}
fn identifier(kind: &str, system: &str, value: &str) -> Conditional {
    Conditional {
        kind: kind.to_owned(),
        by: By::Identifier {
            system: Some(system.to_owned()),
            value: value.to_owned(),
        },
    }
}

const POST_PATIENT: &str = r#"{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","x":72.50 },"request":{"method":"POST","url":"Patient"}}"#;

#[test]
fn references_by_urn_become_the_new_ids_and_all_else_stays() {
    let observation = r#"{"fullUrl":"urn:uuid:o","resource":{"resourceType":"Observation","id":"old", "subject":{ "reference" : "urn:uuid:p" },"v":1.0},"request":{"method":"POST","url":"Observation"}}"#;
    let plan = planned(&transaction(&[observation, POST_PATIENT]), &Answers::new()).unwrap();
    assert_eq!(plan.steps.iter().map(|s| s.entry).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        body(&plan.steps[0]),
        r#"{"resourceType":"Observation","id":"new-1", "subject":{ "reference" : "Patient/new-2" },"v":1.0}"#
    );
    assert_eq!(
        body(&plan.steps[1]),
        r#"{"resourceType":"Patient","id":"new-2","x":72.50 }"#
    );
}

#[test]
fn the_order_is_delete_create_update_read() {
    let get = r#"{"request":{"method":"GET","url":"Patient/1"}}"#;
    let put = r#"{"resource":{"resourceType":"Patient","id":"5"},"request":{"method":"PUT","url":"Patient/5","ifMatch":"W/\"3\""}}"#;
    let delete = r#"{"request":{"method":"DELETE","url":"Observation/2"}}"#;
    let plan = planned(&transaction(&[get, put, POST_PATIENT, delete]), &Answers::new()).unwrap();
    assert_eq!(
        plan.steps.iter().map(|s| s.entry).collect::<Vec<_>>(),
        [3, 2, 1, 0]
    );
    assert_eq!(plan.steps[0].action, Action::Delete { if_match: None });
    assert_eq!(plan.steps[2].action, Action::Update { if_match: Some(3) });
    assert_eq!(plan.steps[2].key.as_ref().unwrap().to_string(), "Patient/5");
}

#[test]
fn a_delete_is_of_the_version_it_names() {
    let delete =
        |tag: &str| format!(r#"{{"request":{{"method":"DELETE","url":"Observation/2","ifMatch":"{tag}"}}}}"#);
    let plan = planned(&transaction(&[&delete(r#"W/\"3\""#)]), &Answers::new()).unwrap();
    assert_eq!(plan.steps[0].action, Action::Delete { if_match: Some(3) });
    let refused = planned(&transaction(&[&delete("x")]), &Answers::new()).unwrap_err();
    assert_eq!(codes(&refused), [(0, IssueCode::Conflict)]);
}

#[test]
fn conditional_references_and_creates() {
    let observation = r#"{"resource":{"resourceType":"Observation","subject":{"reference":"Patient?identifier=urn:mrn|7"}},"request":{"method":"POST","url":"Observation"}}"#;
    let create = r#"{"fullUrl":"urn:uuid:q","resource":{"resourceType":"Practitioner"},"request":{"method":"POST","url":"Practitioner","ifNoneExist":"identifier=urn:npi%7C9"}}"#;
    let json = transaction(&[observation, create]);
    let asked = questions(&Bundle::parse(json.as_bytes()).unwrap());
    let (patient, practitioner) = (
        identifier("Patient", "urn:mrn", "7"),
        identifier("Practitioner", "urn:npi", "9"),
    );
    assert_eq!(
        asked.into_iter().collect::<Vec<_>>(),
        [patient.clone(), practitioner.clone()]
    );

    let id = |t: &str| FhirId::new(t).unwrap();
    let mut answers: Answers = BTreeMap::new();
    assert_eq!(
        codes(&planned(&json, &answers).unwrap_err()),
        [(0, IssueCode::NotFound)]
    );
    answers.insert(patient.clone(), vec![id("a"), id("b")]);
    assert_eq!(
        codes(&planned(&json, &answers).unwrap_err()),
        [(0, IssueCode::MultipleMatches)]
    );
    answers.insert(patient, vec![id("a")]);
    answers.insert(practitioner, vec![id("dr")]);
    let plan = planned(&json, &answers).unwrap();
    assert!(body(&plan.steps[0]).contains(r#""reference":"Patient/a""#));
    assert_eq!(
        (&plan.steps[1].action, plan.steps[1].body.is_none()),
        (&Action::Exists, true)
    );
    assert_eq!(plan.steps[1].key.as_ref().unwrap().to_string(), "Practitioner/dr");
}

#[test]
fn a_transaction_that_is_wrong_anywhere_is_refused_whole() {
    let put = |id: &str, url: &str| {
        format!(
            r#"{{"resource":{{"resourceType":"Patient","id":"{id}"}},"request":{{"method":"PUT","url":"{url}"}}}}"#
        )
    };
    let delete = r#"{"request":{"method":"DELETE","url":"Patient/5"}}"#;
    let refused = |entries: &[&str]| codes(&planned(&transaction(entries), &Answers::new()).unwrap_err());
    assert_eq!(
        refused(&[&put("5", "Patient/5"), delete]),
        [(1, IssueCode::Duplicate)]
    );
    assert_eq!(
        refused(&[POST_PATIENT, POST_PATIENT]),
        [(1, IssueCode::Duplicate)]
    );
    assert_eq!(refused(&[&put("5", "Patient/6")]), [(0, IssueCode::Invalid)]);
    assert_eq!(refused(&[&put("5", "Observation/5")]), [(0, IssueCode::Invalid)]);
    assert_eq!(refused(&[&put("5", "Nothing/5")]), [(0, IssueCode::Value)]);
    let orphan = r#"{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:nobody"}},"request":{"method":"POST","url":"Observation"}}"#;
    assert_eq!(refused(&[POST_PATIENT, orphan]), [(1, IssueCode::NotFound)]);
    let operation =
        r#"{"resource":{"resourceType":"Parameters"},"request":{"method":"POST","url":"ValueSet/$lookup"}}"#;
    assert_eq!(refused(&[operation]), [(0, IssueCode::NotSupported)]);
    let twice =
        r#"{"resource":{"resourceType":"Patient","a":1,"a":2},"request":{"method":"POST","url":"Patient"}}"#;
    let found = planned(&transaction(&[twice]), &Answers::new()).unwrap_err();
    assert_eq!(found[0].issue.expression, "Bundle.entry[0].resource.a");
}

#[test]
fn in_a_batch_each_entry_stands_for_itself() {
    let orphan = r#"{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"}},"request":{"method":"POST","url":"Observation"}}"#;
    let json = transaction(&[POST_PATIENT, orphan, POST_PATIENT]).replace("transaction", "batch");
    let plan = planned(&json, &Answers::new()).unwrap();
    let kinds: Vec<_> = plan
        .steps
        .iter()
        .map(|s| (s.entry, matches!(s.action, Action::Refuse(_))))
        .collect();
    assert_eq!(kinds, [(0, false), (2, false), (1, true)]);
}

#[test]
fn relative_references_follow_a_restful_full_url() {
    let patient = r#"{"fullUrl":"http://h/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1"},"request":{"method":"POST","url":"Patient"}}"#;
    let observation = r#"{"fullUrl":"http://h/fhir/Observation/2","resource":{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/1"},"focus":[{"reference":"Patient/77"}]},"request":{"method":"POST","url":"Observation"}}"#;
    let plan = planned(&transaction(&[patient, observation]), &Answers::new()).unwrap();
    let text = body(&plan.steps[1]);
    assert!(
        text.contains(r#""reference":"Patient/new-1""#) && text.contains(r#""reference":"Patient/77""#),
        "{text}"
    );
}

#[test]
fn what_is_no_bundle_is_refused() {
    let code = |json: &str| Bundle::parse(json.as_bytes()).unwrap_err().0.code;
    assert_eq!(code("[]"), IssueCode::Structure);
    assert_eq!(code(r#"{"resourceType":"Patient"}"#), IssueCode::Structure);
    assert_eq!(code(r#"{"resourceType":"Bundle"}"#), IssueCode::Required);
    assert_eq!(
        code(r#"{"resourceType":"Bundle","type":"pile"}"#),
        IssueCode::CodeInvalid
    );
    assert_eq!(
        code(r#"{"resourceType":"Bundle","type":"batch","entry":[{}]}"#),
        IssueCode::Required
    );
    assert_eq!(
        code(
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"BREW","url":"Tea"}}]}"#
        ),
        IssueCode::CodeInvalid
    );
}

#[test]
fn conditions_are_read_as_written() {
    let by = |q: &str| Conditional::of("Patient", q).map(|c| c.by).map_err(|r| r.code);
    let id = |system: Option<&str>, value: &str| {
        Ok(By::Identifier {
            system: system.map(str::to_owned),
            value: value.to_owned(),
        })
    };
    assert_eq!(
        by("identifier=http:/example.org/fhir/ids|234234"),
        id(Some("http:/example.org/fhir/ids"), "234234")
    );
    assert_eq!(by("identifier=|11"), id(Some(""), "11"));
    assert_eq!(by("identifier=11"), id(None, "11"));
    assert_eq!(by("_id=x"), Ok(By::Id("x".to_owned())));
    assert_eq!(by("name=peter"), Err(IssueCode::NotSupported));
    assert_eq!(by("identifier=a|b&name=c"), Err(IssueCode::NotSupported));
    assert_eq!(by("identifier="), Err(IssueCode::Invalid));
    let c = Conditional::of("Patient", "identifier=|11").ok().unwrap();
    assert!(c.matches(&[(None, "11".to_owned())], None));
    assert!(!c.matches(&[(Some("s".to_owned()), "11".to_owned())], None));
}
