use super::*;
use vitrine_clinical::card::{AllergyItem, AllergyState};
use vitrine_clinical::{ResourceKey, UtcMs};

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
