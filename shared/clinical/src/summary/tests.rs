use super::*;
use crate::chart::{Coding, Decimal, LOINC, MedicationRequest, Quantity, Value};

fn fact(id: &str, kind: &str, resource: Resource) -> CardFact {
    CardFact {
        key: ResourceKey::new(kind, id).unwrap(),
        version: 1,
        resource,
    }
}

fn lab(id: &str, code: Concept, at: &str, value: &str) -> CardFact {
    let category = Concept {
        codings: vec![Coding {
            code: Some("laboratory".to_owned()),
            ..Coding::default()
        }],
        ..Concept::default()
    };
    let quantity = Quantity {
        value: Some(Decimal::new(value).unwrap()),
        ..Quantity::default()
    };
    let o = Observation {
        status: Some("final".to_owned()),
        categories: vec![category],
        code: Some(code),
        effective: Some(PartialDate::new(at)),
        value: Some(Value::Quantity(quantity)),
        ..Observation::default()
    };
    fact(id, "Observation", Resource::Observation(o))
}

#[test]
fn series_hold_the_whole_history_newest_first_and_key_labs_come_first() {
    let cholesterol = || Concept::of_code(LOINC, "2093-3", "Cholesterol");
    let potassium = || Concept::of_code(LOINC, "2823-3", "Potassium");
    let chart = chart_summary(&[
        lab("1", cholesterol(), "2024-01-01", "5.10"),
        lab("2", potassium(), "2024-01-01", "4.0"),
        lab("3", potassium(), "2026-01-01", "6.10"),
        lab("4", potassium(), "2025-01-01", "5.0"),
    ]);
    let labels: Vec<&str> = chart.labs.iter().map(|s| s.label.as_str()).collect();
    assert_eq!(labels, ["K", "Cholesterol"]);
    let values: Vec<&str> = chart.labs[0].values.iter().map(|v| v.value.as_str()).collect();
    assert_eq!(values, ["6.10", "5.0", "4.0"]);
}

#[test]
fn current_and_past_medicines_never_mix() {
    let order = |id: &str, status: &str| {
        let r = MedicationRequest {
            status: Some(status.to_owned()),
            medication: Some(Concept::of_text(id)),
            ..MedicationRequest::default()
        };
        fact(id, "MedicationRequest", Resource::MedicationRequest(r))
    };
    let chart = chart_summary(&[
        order("a", "active"),
        order("b", "stopped"),
        order("c", "entered-in-error"),
    ]);
    let names = |list: &[MedicationItem]| list.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&chart.current_medications), names(&chart.past_medications)),
        (vec!["a".into()], vec!["b".into()])
    );
}

#[test]
fn notes_carry_their_text_and_name_what_cannot_be_shown() {
    let attachment = |kind: &str, text: Option<&str>| Attachment {
        content_type: Some(kind.to_owned()),
        text: text.map(str::to_owned),
        title: Some("Letter".to_owned()),
        url: None,
    };
    let d = DocumentReference {
        status: Some("current".to_owned()),
        kind: Some(Concept::of_text("Progress note")),
        attachments: vec![
            attachment("text/plain", Some("Doing well.")),
            attachment("application/pdf", None),
        ],
        ..DocumentReference::default()
    };
    let wrong = DocumentReference {
        status: Some("entered-in-error".to_owned()),
        ..d.clone()
    };
    let notes = chart_summary(&[
        fact("1", "DocumentReference", Resource::DocumentReference(d)),
        fact("2", "DocumentReference", Resource::DocumentReference(wrong)),
    ])
    .notes;
    assert_eq!(notes.len(), 1);
    assert_eq!(
        (notes[0].title.as_str(), notes[0].text.as_deref()),
        ("Progress note", Some("Doing well."))
    );
    assert_eq!(notes[0].attachments, ["Letter (application/pdf)"]);
}
