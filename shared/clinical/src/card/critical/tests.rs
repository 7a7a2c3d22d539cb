use super::*;
use crate::PatientId;
use crate::card::{EmergencyCard, card_slot, emergency_card};
use crate::chart::{Concept, Decimal, LOINC, PartialDate, Quantity, Ref, TaskPart, Value};

const V3: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";

fn fact(id: &str, version: u64, resource: Resource) -> CardFact {
    let kind = match &resource {
        Resource::Task(_) => "Task",
        _ => "Observation",
    };
    CardFact {
        key: ResourceKey::new(kind, id).unwrap(),
        version,
        resource,
    }
}

/// A laboratory's result of a LOINC code.
fn result(id: &str, code: &str, value: &str, flag: &str, at: &str) -> CardFact {
    let o = Observation {
        status: Some("final".to_owned()),
        code: Some(Concept::of_code(
            LOINC,
            code,
            "Potassium [Moles/volume] in Serum or Plasma",
        )),
        effective: Some(PartialDate::new(at)),
        issued: Some(PartialDate::new(at.replace(":00Z", ":20Z"))),
        value: Some(Value::Quantity(Quantity {
            value: Some(Decimal::new(value).unwrap()),
            unit: Some("mmol/L".to_owned()),
            ..Quantity::default()
        })),
        interpretations: if flag.is_empty() {
            vec![]
        } else {
            vec![Concept::of_code(V3, flag, flag)]
        },
        ..Observation::default()
    };
    fact(id, 3, Resource::Observation(o))
}

fn task(id: &str, about: &str, answer: Answer, read: &str, at: &str) -> CardFact {
    let t = Task {
        status: Some("completed".to_owned()),
        code: Some(Concept::of_code(TASK, ACKNOWLEDGE, "Acknowledge")),
        business_status: Some(Concept::of_code(TASK, answer.code(), answer.words())),
        focus: Some(Ref::to(about)),
        owner: Some(Ref {
            reference: None,
            display: Some("RN BROWN (Nurse)".to_owned()),
        }),
        authored: Some(PartialDate::new(at)),
        inputs: vec![TaskPart {
            kind: Concept::of_code(TASK, READ, "read"),
            text: read.to_owned(),
        }],
        ..Task::default()
    };
    fact(id, 1, Resource::Task(t))
}

fn card(facts: &[CardFact]) -> EmergencyCard {
    emergency_card(&PatientId::new("p1").unwrap(), facts)
}

fn only(facts: &[CardFact]) -> CriticalItem {
    let mut all = card(facts).critical.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

const K: &str = "2823-3";
const AT: &str = "2026-11-28T06:12:00Z";

#[test]
fn critical_is_what_the_laboratory_calls_so() {
    for (flag, critical) in [
        ("HH", true),
        ("LL", true),
        ("AA", true),
        ("H", false),
        ("L", false),
        ("A", false),
        ("N", false),
        ("", false),
        ("x", false),
    ] {
        let facts = [result("k", K, "6.1", flag, AT)];
        assert_eq!(!card(&facts).critical.unwrap().is_empty(), critical, "{flag}");
    }
}

#[test]
fn vital_signs_and_what_is_not_valid_are_no_critical_results() {
    let pulse = result("hr", "8867-4", "180", "HH", AT);
    let mut by_category = result("x", "12345-6", "180", "HH", AT);
    let mut withdrawn = result("k", K, "6.1", "HH", AT);
    if let (Resource::Observation(c), Resource::Observation(w)) =
        (&mut by_category.resource, &mut withdrawn.resource)
    {
        c.categories = vec![Concept::of_code(
            "http://terminology.hl7.org/CodeSystem/observation-category",
            "vital-signs",
            "",
        )];
        w.status = Some("cancelled".to_owned());
    }
    for f in [pulse, by_category, withdrawn] {
        assert_eq!(card(std::slice::from_ref(&f)).critical.unwrap(), [], "{}", f.key);
    }
}

#[test]
fn it_says_what_was_before_and_since_when_it_can_be_read() {
    let facts = [
        result("before", K, "4.2", "", "2026-11-27T05:00:00Z"),
        result("older", K, "4.0", "", "2026-11-26T05:00:00Z"),
        result("k", K, "6.1", "HH", AT),
        result("later", K, "5.6", "H", "2026-11-28T09:00:00Z"),
    ];
    let item = only(&facts);
    assert_eq!(item.before.as_ref().map(|b| b.value.as_str()), Some("4.2"));
    assert_eq!(item.said(), "6.1 mmol/L HH");
    assert_eq!(item.available, Some(UtcMs(item.item.at.unwrap().0 + 20_000)));
    assert_eq!(
        (item.item.label.as_str(), item.test.as_deref()),
        ("K", Some("Potassium [Moles/volume] in Serum or Plasma"))
    );
    // The newest potassium of the card is the later one, wherever the critical one is kept.
    assert_eq!(card(&facts).labs.items[0].value, "5.6");
}

#[test]
fn acknowledged_is_what_was_read_and_by_somebody_who_acts() {
    let k = || result("k", K, "6.1", "HH", AT);
    let about = "Observation/k/_history/3";
    let read = "6.1 mmol/L HH";
    let later = "2026-11-28T06:20:00Z";
    for (told, settled) in [
        (task("t", about, Answer::Acting, read, later), true),
        (task("t", "Observation/k", Answer::Questioned, read, later), true),
        // It waits for whom it was passed on to.
        (task("t", about, Answer::PassedOn, read, later), false),
        // Of the value before it was corrected.
        (task("t", about, Answer::Acting, "5.1 mmol/L", later), false),
        // Another result's.
        (task("t", "Observation/k2", Answer::Acting, read, later), false),
    ] {
        let item = only(&[k(), told.clone()]);
        assert_eq!(item.acknowledged().is_some(), settled, "{told:?}");
        assert_eq!(item.mark().acknowledged, settled);
    }
    // The version does not matter, only what was read: a result sent again unchanged stays acknowledged.
    let mut again = k();
    again.version = 9;
    assert!(
        only(&[again, task("t", about, Answer::Acting, read, later)])
            .acknowledged()
            .is_some()
    );
    let mut mistaken = task("t", about, Answer::Acting, read, later);
    if let Resource::Task(t) = &mut mistaken.resource {
        t.status = Some("entered-in-error".to_owned());
    }
    let item = only(&[k(), mistaken]);
    assert!(item.acknowledged().is_none() && item.taken.is_empty());
}

#[test]
fn somebody_elses_task_says_nothing() {
    let mut other = task("t", "Observation/k", Answer::Acting, "6.1 mmol/L HH", AT);
    if let Resource::Task(t) = &mut other.resource {
        t.code = Some(Concept::of_code("http://hospital.example/task", ACKNOWLEDGE, ""));
    }
    assert_eq!(card_slot(&other.resource), None);
    assert!(only(&[result("k", K, "6.1", "HH", AT), other]).taken.is_empty());
}

#[test]
fn those_that_wait_come_first_and_none_of_them_is_left_out() {
    let mut facts = Vec::new();
    for i in 0..40 {
        let id = format!("k{i:02}");
        facts.push(result(&id, K, "6.1", "HH", &format!("2026-11-28T06:{i:02}:00Z")));
        if i < 20 {
            facts.push(task(
                &format!("t{i}"),
                &format!("Observation/{id}"),
                Answer::Acting,
                "6.1 mmol/L HH",
                &format!("2026-11-28T07:{i:02}:00Z"),
            ));
        }
    }
    let all = card(&facts).critical.unwrap();
    let waiting: Vec<_> = all.iter().filter(|c| c.acknowledged().is_none()).collect();
    assert_eq!((waiting.len(), all.len()), (20, 20 + DONE_KEPT));
    assert_eq!(all[0].item.source.id.as_str(), "k39");
    assert_eq!(
        all[20].item.source.id.as_str(),
        "k19",
        "the one acknowledged last"
    );
}

#[test]
fn a_critical_result_is_not_pushed_out_by_later_ones_of_its_code() {
    let slot = |f: &CardFact| card_slot(&f.resource).unwrap();
    let (plain, critical) = (
        slot(&result("a", K, "4.1", "", AT)),
        slot(&result("b", K, "6.1", "HH", AT)),
    );
    assert_eq!((plain.slot.as_str(), plain.keep), ("lab:K", 3));
    assert_eq!((critical.slot.as_str(), critical.keep), ("lab:K!", 16));
    assert_eq!(slot(&result("c", "600-7", "1", "AA", AT)).slot, "critical");
    assert_eq!(card_slot(&result("d", "600-7", "1", "", AT).resource), None);
}

#[test]
fn a_card_from_before_or_of_another_version_does_not_know() {
    let whole = serde_json::to_value(card(&[result("k", K, "6.1", "HH", AT)])).unwrap();
    assert_eq!(whole["critical"].as_array().map(Vec::len), Some(1));
    for odd in [
        None,
        Some(serde_json::json!({"of": "another version"})),
        Some(serde_json::json!([{"odd": 1}])),
    ] {
        let mut v = whole.clone();
        match odd {
            Some(odd) => v["critical"] = odd,
            None => {
                v.as_object_mut().unwrap().remove("critical");
            }
        }
        let read: EmergencyCard = serde_json::from_value(v).unwrap();
        assert_eq!(read.critical, None);
    }
}

#[test]
fn a_long_report_is_one_line_of_an_entry() {
    let text = one_line(&format!("Gram-positive\ncocci {}", "x".repeat(500)));
    assert_eq!(text.chars().count(), TEXT_MOST);
    assert!(!text.contains('\n'));
}
