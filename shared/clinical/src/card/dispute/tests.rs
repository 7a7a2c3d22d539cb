use super::*;
use crate::PatientId;
use crate::card::{AllergyState, emergency_card};
use crate::chart::{Coding, PartialDate, Reaction, Ref};

fn key(text: &str) -> ResourceKey {
    ResourceKey::parse(text).unwrap()
}

fn penicillin(clinical: Option<&str>, verification: &str) -> CardFact {
    CardFact {
        key: key("AllergyIntolerance/pen"),
        version: 1,
        resource: Resource::AllergyIntolerance(AllergyIntolerance {
            clinical_status: clinical.map(str::to_owned),
            verification_status: Some(verification.to_owned()),
            code: Some(Concept::of_text("Penicillin")),
            recorder: Some(Ref {
                display: Some("DR RAO".to_owned()),
                ..Ref::default()
            }),
            reactions: vec![Reaction {
                manifestations: vec![Concept::of_text("hives")],
                severity: Some("moderate".to_owned()),
                ..Reaction::default()
            }],
            ..AllergyIntolerance::default()
        }),
    }
}

fn concept(code: &str) -> Concept {
    Concept {
        codings: vec![Coding {
            system: Some(TASK.to_owned()),
            code: Some(code.to_owned()),
            ..Coding::default()
        }],
        ..Concept::default()
    }
}

fn task(id: &str, status: &str, standing: &str, at: &str, reaction: Option<&str>) -> CardFact {
    let part = |code: &str, text: &str| TaskPart {
        kind: concept(code),
        text: text.to_owned(),
    };
    let mut inputs = vec![
        part(AGENT, "Penicillin"),
        part(WAS, "Penicillin: hives, moderate; confirmed"),
        part(STOOD, "confirmed"),
        part(REACTED, "hives, moderate"),
        part(STANDING, standing),
        part(PLACE, "ED-07"),
    ];
    inputs.extend(reaction.map(|r| part(REACTION, r)));
    CardFact {
        key: key(&format!("Task/{id}")),
        version: 1,
        resource: Resource::Task(Task {
            status: Some(status.to_owned()),
            code: Some(concept(CHANGE)),
            focus: Some(Ref {
                reference: Some("AllergyIntolerance/pen".to_owned()),
                ..Ref::default()
            }),
            owner: Some(Ref {
                display: Some("RN BROWN".to_owned()),
                ..Ref::default()
            }),
            authored: Some(PartialDate::new(at)),
            inputs,
            notes: vec!["tolerated amoxicillin".to_owned()],
            ..Task::default()
        }),
    }
}

fn block(facts: &[CardFact]) -> crate::card::AllergyBlock {
    emergency_card(&PatientId::new("p1").unwrap(), facts).allergies
}

#[test]
fn of_an_item_and_of_the_resource_behind_it_the_same_is_said() {
    for (clinical, verification) in [
        (Some("active"), "confirmed"),
        (None, "unconfirmed"),
        (Some("active"), "presumed"),
    ] {
        let fact = penicillin(clinical, verification);
        let item = block(std::slice::from_ref(&fact)).items.remove(0);
        assert_eq!(item.said(), recorded(&fact).unwrap().said);
        assert_eq!(
            item.said(),
            format!("Penicillin: hives, moderate; {verification}")
        );
    }
    let says = |clinical, verification| recorded(&penicillin(clinical, verification)).unwrap().stands;
    assert_eq!(says(Some("resolved"), "confirmed"), "resolved");
    assert_eq!(says(Some("active"), "refuted"), "refuted");
    assert_eq!(says(None, "entered-in-error"), "entered in error");
}

#[test]
fn a_disputed_allergy_is_one_whatever_the_record_says() {
    // What the record says now, and what the later change wants.
    for (clinical, verification) in [
        (Some("active"), "confirmed"),
        (Some("active"), "refuted"),
        (Some("resolved"), "confirmed"),
        (None, "entered-in-error"),
    ] {
        for standing in [
            "confirmed",
            "unconfirmed",
            "refuted",
            "resolved",
            "entered-in-error",
        ] {
            let facts = [
                penicillin(clinical, verification),
                task(
                    "c1",
                    "requested",
                    standing,
                    "2026-11-28T04:12:00Z",
                    Some("anaphylaxis"),
                ),
            ];
            let b = block(&facts);
            assert_eq!(b.state, AllergyState::Known);
            assert_eq!(b.items.len(), 1, "{verification} {standing}");
            assert!(b.items[0].disputed && b.items[0].agent == "Penicillin");
            let changes = b.changes.unwrap();
            assert!(changes[0].open && changes[0].record.is_some());
            assert_eq!(changes[0].place.as_deref(), Some("ED-07"));
        }
    }
    // The allergy itself is gone from the record.
    let b = block(&[task(
        "c1",
        "requested",
        "refuted",
        "2026-11-28T04:12:00Z",
        Some("anaphylaxis"),
    )]);
    assert!(b.items[0].disputed && b.items[0].dangerous);
    assert_eq!(b.items[0].reactions, ["hives, moderate", "anaphylaxis"]);
    assert_eq!(b.changes.unwrap()[0].record, None);
}

#[test]
fn what_is_done_disputes_nothing_and_says_who_changed_it() {
    let facts = [
        penicillin(Some("active"), "refuted"),
        task("c1", "completed", "refuted", "2026-11-28T04:12:00Z", None),
    ];
    let b = block(&facts);
    assert!(b.items.is_empty());
    assert_eq!(b.state, AllergyState::NotRecorded);
    assert_eq!(
        b.negatives[0].by.as_deref(),
        Some("RN BROWN"),
        "not who recorded the allergy"
    );
    // One that is open beside one that is done: the record's side is by who did that.
    let facts = [
        penicillin(Some("active"), "refuted"),
        task("c1", "completed", "refuted", "2026-11-28T04:12:00Z", None),
        task("c2", "requested", "confirmed", "2026-11-28T04:20:00Z", None),
    ];
    let b = block(&facts);
    let open = &b.changes.as_ref().unwrap()[0];
    assert_eq!(open.source, key("Task/c2"));
    let record = open.record.as_ref().unwrap();
    assert_eq!(record.by.as_deref(), Some("RN BROWN"));
    assert_eq!(record.reason.as_deref(), Some("tolerated amoxicillin"));
    // A withdrawn Task says nothing.
    let b = block(&[task(
        "c1",
        "entered-in-error",
        "refuted",
        "2026-11-28T04:12:00Z",
        None,
    )]);
    assert!(b.items.is_empty() && b.changes.unwrap().is_empty());
}

#[test]
fn what_was_refuted_says_why_and_what_a_change_of_it_rests_on() {
    let penicillin = |notes: &[&str]| {
        let mut fact = penicillin(Some("inactive"), "refuted");
        if let Resource::AllergyIntolerance(a) = &mut fact.resource {
            a.notes = notes.iter().map(|n| (*n).to_owned()).collect();
        }
        fact
    };
    let of = |facts: &[CardFact]| {
        let mut said = block(facts).negatives.remove(0);
        assert_eq!(said.refuted_agent(), Some("Penicillin"));
        *said.refuted.take().unwrap()
    };
    let changed = of(&[
        penicillin(&["refuted: tolerated amoxicillin"]),
        task("c1", "completed", "refuted", "2026-11-28T04:12:00Z", None),
    ]);
    assert!(changed.changed && changed.notes.is_empty());
    assert_eq!(changed.record.reason.as_deref(), Some("tolerated amoxicillin"));
    assert_eq!(changed.record.place.as_deref(), Some("ED-07"));
    assert_eq!(
        changed.record.said,
        recorded(&penicillin(&[])).unwrap().said,
        "the server compares it with this"
    );
    // Another system refuted it after a change that had confirmed it: that one's reason was another.
    let elsewhere = of(&[
        penicillin(&["oral challenge"]),
        task("c1", "completed", "confirmed", "2026-11-28T04:12:00Z", None),
    ]);
    assert!(!elsewhere.changed);
    assert_eq!(elsewhere.record.reason, None);
    assert_eq!(elsewhere.notes, ["oral challenge"]);
    // A card from before there was this.
    let mut old = serde_json::to_value(&block(&[penicillin(&[])]).negatives[0]).unwrap();
    old.as_object_mut().unwrap().remove("refuted").unwrap();
    let old: crate::card::NegativeStatement = serde_json::from_value(old).unwrap();
    assert_eq!((old.refuted_agent(), &old.refuted), (Some("Penicillin"), &None));
}

#[test]
fn a_card_from_before_there_were_changes_has_none_and_an_unknown_one_is_not_none() {
    let b = block(&[penicillin(Some("active"), "confirmed")]);
    let json = serde_json::to_value(&b).unwrap();
    assert!(json.get("changes").is_none());
    let read: crate::card::AllergyBlock = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read, b);
    let mut newer = json;
    newer["changes"] = serde_json::json!([{"of": "another version"}]);
    let read: crate::card::AllergyBlock = serde_json::from_value(newer).unwrap();
    assert_eq!(read.changes, None);
}

/// The server compares it with what it says itself, in English.
#[test]
fn what_a_change_repeats_is_the_same_in_every_language() {
    use crate::language::{Language, speaking};
    let facts = [
        penicillin(None, "unconfirmed"),
        task("t1", "requested", "refuted", "2026-11-27T04:13:00Z", None),
    ];
    let english = block(&facts);
    speaking(Language::German, || {
        let german = block(&facts);
        assert_eq!(german, english, "a card");
        for (a, b) in german.items.iter().zip(&english.items) {
            assert_eq!(
                (a.said(), a.stands(), a.reacted()),
                (
                    "Penicillin: hives, moderate; unconfirmed".to_owned(),
                    b.stands(),
                    b.reacted()
                )
            );
        }
        assert_eq!(recorded(&facts[0]).unwrap().said, german.items[0].said());
    });
}
