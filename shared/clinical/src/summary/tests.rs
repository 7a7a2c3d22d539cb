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

fn potassium(id: &str, status: &str, value: Option<&str>, note: Option<&str>) -> Observation {
    let Resource::Observation(o) = lab(
        id,
        Concept::of_code(LOINC, "2823-3", "Potassium"),
        "2026-11-21T04:05:00Z",
        value.unwrap_or("0"),
    )
    .resource
    else {
        panic!("an Observation")
    };
    Observation {
        status: Some(status.to_owned()),
        value: o.value.filter(|_| value.is_some()),
        notes: note.into_iter().map(str::to_owned).collect(),
        ..o
    }
}

fn was(target: &str, recorded: &str, before: Observation) -> CardFact {
    let p = crate::chart::Provenance {
        targets: vec![Ref::to("Patient/p"), Ref::to(target)],
        recorded: Some(PartialDate::new(recorded)),
        reasons: Vec::new(),
        before: Some(Box::new(before)),
    };
    fact(
        &recorded.replace([':', '-'], "."),
        "Provenance",
        Resource::Provenance(p),
    )
}

/// `6.8>6.1: haemolysed`, of values that stand beside the one shown; `6.8 withdrawn entered-in-error: …`.
fn earlier(now: &[CardFact]) -> (Vec<String>, Vec<String>) {
    let chart = chart_summary(now);
    let k = chart.labs.iter().find(|s| s.label == "K").expect("a series");
    let text = |e: &Earlier| {
        let withdrawn = e
            .withdrawn
            .as_ref()
            .map(|s| format!(" withdrawn {s}"))
            .unwrap_or_default();
        format!(
            "{}{withdrawn}: {}",
            e.item.value,
            e.reason.as_deref().unwrap_or("-")
        )
    };
    (
        k.values.iter().map(|v| v.value.clone()).collect(),
        k.earlier.iter().map(text).collect(),
    )
}

#[test]
fn s20_a_corrected_result_keeps_what_it_said() {
    let now = |o: Observation| fact("k", "Observation", Resource::Observation(o));
    let final_68 = || potassium("k", "final", Some("6.8"), None);
    let first = || was("Observation/k/_history/2", "2026-11-21T05:10:00Z", final_68());
    let corrected = potassium("k", "corrected", Some("4.1"), Some("haemolysed"));
    assert_eq!(
        earlier(&[now(corrected.clone()), first()]),
        (vec!["4.1".to_owned()], vec!["6.8: haemolysed".to_owned()])
    );
    // Twice corrected: the newest correction first. What it says now is no earlier value.
    let second = was(
        "Observation/k",
        "2026-11-21T06:00:00Z",
        potassium("k", "corrected", Some("5.0"), None),
    );
    let back = was("Observation/k", "2026-11-21T07:00:00Z", corrected.clone());
    let expected = ["5.0: -", "6.8: -"].map(str::to_owned).to_vec();
    assert_eq!(
        earlier(&[now(corrected), first(), second, back]),
        (vec!["4.1".to_owned()], expected)
    );
    // Withdrawn: no value stands there, and what it was is not one.
    for status in ["entered-in-error", "cancelled"] {
        let gone = potassium("k", status, Some("6.8"), None);
        assert_eq!(
            earlier(&[now(gone), first()]),
            (vec![], vec![format!("6.8 withdrawn {status}: -")])
        );
    }
    // No part of the record any more: deleted, or of another patient.
    let other = || {
        fact(
            "k2",
            "Observation",
            Resource::Observation(potassium("k2", "final", Some("3.9"), None)),
        )
    };
    assert_eq!(
        earlier(&[other(), first()]),
        (
            vec!["3.9".to_owned()],
            vec![format!("6.8 withdrawn {NOT_HERE}: -")]
        )
    );
    // Of what was not shown nothing is said.
    let registered = was(
        "Observation/k2",
        "2026-11-21T05:10:00Z",
        potassium("k2", "registered", None, None),
    );
    assert_eq!(earlier(&[other(), registered]), (vec!["3.9".to_owned()], vec![]));
}

#[test]
fn s20_a_correction_is_a_value_that_stands_there_no_more() {
    let before = potassium("k", "preliminary", Some("6.8"), None);
    let with = |change: &dyn Fn(&mut Observation)| {
        let mut o = before.clone();
        change(&mut o);
        corrects(&before, &o)
    };
    assert!(!with(&|_| ()));
    assert!(!with(&|o| o.status = Some("final".to_owned())));
    assert!(!with(&|o| o.notes = vec!["a word".to_owned()]));
    assert!(with(&|o| o.value = None));
    assert!(with(&|o| o.status = Some("entered-in-error".to_owned())));
    assert!(with(
        &|o| o.effective = Some(PartialDate::new("2026-11-21T03:05:00Z"))
    ));
    assert!(with(
        &|o| o.code = Some(Concept::of_code(LOINC, "2951-2", "Sodium"))
    ));
    let digits = potassium("k", "final", Some("6.80"), None);
    assert!(corrects(&before, &digits), "digits count as recorded");
    let none = potassium("k", "registered", None, None);
    assert!(!corrects(&none, &before), "nothing was shown");
}
