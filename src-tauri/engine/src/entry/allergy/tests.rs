use super::*;
use crate::clock::Clock;
use vitrine_clinical::card::{AllergyItem, AllergyState, Refuted};
use vitrine_clinical::entry::Entry;
use vitrine_clinical::{DeviceId, FhirId, PatientId, ResourceKey, UserId, UtcMs};
use vitrine_wire::view::AllergyStripState;

fn key(text: &str) -> ResourceKey {
    ResourceKey::parse(text).unwrap()
}

fn item(disputed: bool) -> AllergyItem {
    AllergyItem {
        source: key("AllergyIntolerance/pen"),
        agent: "Penicillin".to_owned(),
        coded: true,
        reactions: vec!["hives".to_owned()],
        severity: Some("moderate".to_owned()),
        kind: None,
        verification: Some("confirmed".to_owned()),
        since: None,
        dangerous: false,
        disputed,
    }
}

fn change(open: bool, record: Option<Recorded>) -> AllergyChange {
    AllergyChange {
        source: key("Task/t1"),
        about: key("AllergyIntolerance/pen"),
        open,
        agent: "Penicillin".to_owned(),
        was: "Penicillin: hives, moderate; confirmed".to_owned(),
        stood: Some("confirmed".to_owned()),
        reacted: Some("hives, moderate".to_owned()),
        standing: Some(Standing::Confirmed),
        reaction: Some("wheeze".to_owned()),
        severity: Some(Severity::Severe),
        reason: Some("seen in triage".to_owned()),
        by: Some("RN BROWN".to_owned()),
        at: Some(UtcMs(1_795_752_729_000)),
        place: Some("ed-07".to_owned()),
        record,
    }
}

fn block(disputed: bool, changes: Vec<AllergyChange>) -> AllergyBlock {
    AllergyBlock {
        state: AllergyState::Known,
        items: vec![item(disputed)],
        negatives: Vec::new(),
        conflict: false,
        as_of: None,
        changes: Some(changes),
    }
}

fn typed<'a>(standing: &'a str, reaction: &'a str, settles: &'a str) -> Typed<'a> {
    Typed {
        allergy: "AllergyIntolerance/pen",
        standing,
        reaction,
        severity: "",
        reason: "skin test negative",
        settles,
    }
}

fn fields(t: &Typed<'_>, shown: Option<&Shown>) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let what = read(t, shown, &mut faults);
    faults.extend(what.faults(UtcMs(0)));
    faults.into_iter().map(|f| f.field).collect()
}

#[test]
fn only_what_is_on_the_screen_is_changed_and_what_is_disputed_is_decided() {
    let plain = shown(&block(false, Vec::new()));
    let of = |all: &BTreeMap<String, Shown>| all.get("AllergyIntolerance/pen").cloned();
    assert_eq!(
        fields(&typed("refuted", "", ""), of(&plain).as_ref()),
        Vec::<&str>::new()
    );
    assert_eq!(fields(&typed("", "", ""), of(&plain).as_ref()), ["standing"]);
    assert!(fields(&typed("refuted", "", ""), None).contains(&""));
    // Decided elsewhere: nothing waits any more.
    assert_eq!(
        fields(&typed("refuted", "", "Task/t1"), of(&plain).as_ref()),
        [""]
    );
    let disputed = shown(&block(true, vec![change(true, None)]));
    assert_eq!(
        fields(&typed("refuted", "", ""), of(&disputed).as_ref()),
        [""],
        "not beside it"
    );
    assert_eq!(
        fields(&typed("refuted", "", "Task/t1"), of(&disputed).as_ref()),
        Vec::<&str>::new()
    );
    let done = shown(&block(false, vec![change(false, None)]));
    assert_eq!(
        fields(&typed("refuted", "", ""), of(&done).as_ref()),
        Vec::<&str>::new()
    );
}

#[test]
fn who_takes_the_later_change_takes_its_reaction() {
    let all = shown(&block(true, vec![change(true, None)]));
    let shown = all.get("AllergyIntolerance/pen");
    let reaction = |t: &Typed<'_>| match read(t, shown, &mut Vec::new()) {
        What::AllergyChange {
            reaction, severity, ..
        } => (reaction, severity),
        _ => (None, None),
    };
    assert_eq!(
        reaction(&typed("confirmed", "", "Task/t1")),
        (Some("wheeze".to_owned()), Some(Severity::Severe))
    );
    assert_eq!(
        reaction(&typed("confirmed", "rash", "Task/t1")).0.as_deref(),
        Some("rash")
    );
    assert_eq!(reaction(&typed("refuted", "", "Task/t1")), (None, None));
}

#[test]
fn words_of_a_record_are_the_code_to_begin_with() {
    for (stands, wanted) in [
        ("confirmed", "confirmed"),
        ("entered in error", "entered-in-error"),
        ("inactive", "resolved"),
        (GONE, "resolved"),
        ("presumed", ""),
        ("certainty not recorded", ""),
    ] {
        assert_eq!(code(stands), wanted);
        assert!(wanted.is_empty() || Standing::of_code(wanted).is_some());
    }
}

/// Penicillin refuted, and nothing else but perhaps a statement that there are none at all.
fn was_none(state: AllergyState, changes: Vec<AllergyChange>) -> AllergyBlock {
    let said = NegativeStatement {
        source: key("AllergyIntolerance/pen"),
        text: "Penicillin: refuted".to_owned(),
        all: false,
        by: Some("RN BROWN".to_owned()),
        at: None,
        refuted: Some(Box::new(Refuted {
            record: Recorded {
                agent: "Penicillin".to_owned(),
                stands: "refuted".to_owned(),
                reacted: "anaphylaxis, severe".to_owned(),
                said: "Penicillin: anaphylaxis, severe; refuted; life-threatening".to_owned(),
                by: None,
                at: None,
                place: Some("ed-07".to_owned()),
                reason: Some("skin test negative".to_owned()),
            },
            changed: true,
            notes: Vec::new(),
        })),
    };
    AllergyBlock {
        state,
        items: Vec::new(),
        negatives: vec![said],
        conflict: false,
        as_of: None,
        changes: Some(changes),
    }
}

fn with_words<T>(says: impl FnOnce(&Words<'_>) -> T) -> T {
    let (patient, clock) = (PatientId::new("p1").unwrap(), Clock::new());
    says(&Words {
        patient: &patient,
        clock: &clock,
    })
}

/// The strip of that block after a change that was made here of what it shows.
fn changed_here(block: &AllergyBlock, standing: &str) -> AllergyStripView {
    let all = shown(block);
    let mut faults = Vec::new();
    let what = read(
        &typed(standing, "", ""),
        all.get("AllergyIntolerance/pen"),
        &mut faults,
    );
    faults.extend(what.faults(UtcMs(0)));
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(makes_one(&what), ["confirmed", "unconfirmed"].contains(&standing));
    let pending = super::super::queued(Entry {
        id: FhirId::new("e1").unwrap(),
        patient: PatientId::new("p1").unwrap(),
        user: UserId::new("u").unwrap(),
        name: "RN OKAFOR".to_owned(),
        device: DeviceId::new("d").unwrap(),
        at: UtcMs(1_795_752_729_000),
        zone_minutes: 0,
        what,
    });
    with_words(|w| {
        let mut strip = w.allergies(block);
        onto_strip(&mut strip, &pending, w);
        strip
    })
}

#[test]
fn a_refuted_one_stands_apart_with_who_and_why() {
    let of = |block: &AllergyBlock| with_words(|w| w.allergies(block));
    let strip = of(&was_none(AllergyState::NotRecorded, Vec::new()));
    assert_eq!(
        strip.state,
        AllergyStripState::NotRecorded,
        "it answers for no other"
    );
    assert!(strip.items.is_empty() && strip.negatives.is_empty());
    let one = &strip.refuted[0];
    assert_eq!(one.agent, "Penicillin");
    assert_eq!(one.by_text, "RN BROWN, at ed-07");
    assert_eq!(one.why_text.as_deref(), Some("because: skin test negative"));
    assert_eq!(one.source.as_deref(), Some("AllergyIntolerance/pen"));
    // A contradiction can only be decided.
    let disputed = was_none(AllergyState::Known, vec![change(true, None)]);
    assert_eq!(of(&disputed).refuted[0].source, None);
    // What a change would rest on is not on a card from before.
    let mut old = was_none(AllergyState::NotRecorded, Vec::new());
    old.negatives[0].refuted = None;
    assert_eq!(of(&old).refuted[0].source, None);
    assert_eq!(of(&old).refuted[0].by_text, "recorded: RN BROWN");
    assert!(shown(&old).is_empty());
}

#[test]
fn a_refuted_one_that_stands_again_is_an_allergy_before_the_server_has_it() {
    for state in [AllergyState::NotRecorded, AllergyState::NoneKnown] {
        for standing in ["confirmed", "unconfirmed"] {
            let strip = changed_here(&was_none(state, Vec::new()), standing);
            assert_eq!(strip.state, AllergyStripState::Known);
            let item = &strip.items[0];
            assert!(item.dangerous && item.source.is_none());
            let unsent = item.unsent_text.as_deref().unwrap();
            assert!(unsent.contains("NOT SENT"), "{unsent}");
            assert_eq!(strip.refuted[0].source, None, "no second change on top of it");
            assert_eq!(strip.conflict_text.is_some(), state == AllergyState::NoneKnown);
        }
    }
    let strip = changed_here(
        &was_none(AllergyState::NotRecorded, Vec::new()),
        "entered-in-error",
    );
    assert_eq!(strip.state, AllergyStripState::NotRecorded);
    assert!(strip.items.is_empty() && strip.refuted[0].unsent_text.is_some());
}
