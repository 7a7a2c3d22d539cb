//! What is recorded, what is told, what is stored: one case a line.

use super::*;
use crate::draft::Key;
use crate::fault::Place;
use vitrine_clinical::label::{ACT_CODE, Label};

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn stamp(text: &str) -> Option<Stamp> {
    (!text.is_empty()).then(|| Stamp::read(text, &|_, _, _, _, _| 0).unwrap())
}

fn draft(how: How, dated: &str, body: &str) -> Draft {
    let body = json(body);
    let kinds = [
        "Patient",
        "Encounter",
        "AllergyIntolerance",
        "Observation",
        "DiagnosticReport",
        "Location",
    ];
    let kind = body.get("resourceType").unwrap().as_str().unwrap();
    Draft {
        kind: kinds.iter().find(|k| **k == kind).unwrap(),
        keys: vec![Key::new("urn:s", "k")],
        how,
        dated: stamp(dated),
        body,
        made_with: Json::Null,
        label: Label::NONE,
        place: Place::of_segment("PID", 1),
    }
}

fn meet(recorded: Option<&Json>, draft: &Draft) -> Meeting {
    let source = Source {
        feed: "adt",
        control: "A 1#2",
        at: None,
    };
    over(recorded, draft, &source)
}

/// What is stored without its `meta`; `same` and `older` as words.
fn outcome(meeting: Meeting) -> String {
    match meeting {
        Meeting::Same => "same".into(),
        Meeting::Older => "older".into(),
        Meeting::Write(Json::Object(members)) => {
            let rest = members
                .into_iter()
                .filter(|(k, _)| k != "meta" && k != "resourceType");
            Json::Object(rest.collect()).to_compact()
        }
        Meeting::Write(other) => other.to_compact(),
    }
}

/// A resource as a message of 1 March, 8 o'clock, left it.
fn recorded(kind: &str, members: &str) -> Json {
    json(&format!(
        r#"{{"resourceType":"{kind}","id":"a","meta":{{"versionId":"3","source":"urn:vitrine:feed:adt#1","extension":[{{"url":"urn:vitrine:message-time","valueDateTime":"2026-03-01T08:00:00+00:00"}}]}},{members}}}"#
    ))
}

#[test]
fn what_is_told_comes_over_what_is_recorded() {
    // Kind, recorded, told, stored.
    let cases = [
        // A member that is not told stays, its numbers to the digit.
        (
            "Patient",
            r#""gender":"female","x":1.50"#,
            r#""birthDate":"1957""#,
            r#"{"gender":"female","x":1.50,"birthDate":"1957"}"#,
        ),
        ("Patient", r#""gender":"female""#, r#""gender":"female""#, "same"),
        ("Patient", r#""gender":"female""#, r#""gender":null"#, "{}"),
        ("Patient", r#""gender":"female""#, r#""telecom":null"#, "same"),
        (
            "Patient",
            r#""name":[{"family":"A"},{"family":"B"}]"#,
            r#""name":[{"family":"C"}]"#,
            r#"{"name":[{"family":"C"}]}"#,
        ),
        // Identifiers: the union; what is said about one comes to it.
        (
            "Patient",
            r#""identifier":[{"system":"s","value":"1","type":{"text":"MR"}},{"system":"s","value":"2"}]"#,
            r#""identifier":[{"system":"s","value":"3"},{"system":"s","value":"1","use":"old"}]"#,
            r#"{"identifier":[{"system":"s","value":"1","type":{"text":"MR"},"use":"old"},{"system":"s","value":"2"},{"system":"s","value":"3"}]}"#,
        ),
        (
            "Patient",
            r#""identifier":[{"system":"s","value":"1"},{"system":"t","value":"1"}]"#,
            r#""identifier":[{"system":"t","value":"1"}]"#,
            "same",
        ),
        // One of a choice.
        (
            "Patient",
            r#""deceasedBoolean":false"#,
            r#""deceasedDateTime":"2026-02""#,
            r#"{"deceasedDateTime":"2026-02"}"#,
        ),
        (
            "Patient",
            r#""multipleBirthBoolean":true,"_multipleBirthBoolean":{"id":"x"}"#,
            r#""multipleBirthInteger":2"#,
            r#"{"multipleBirthInteger":2}"#,
        ),
        // What was said about another value goes with it.
        (
            "Patient",
            r#""birthDate":"1957","_birthDate":{"id":"x"}"#,
            r#""birthDate":"1958""#,
            r#"{"birthDate":"1958"}"#,
        ),
        (
            "Patient",
            r#""birthDate":"1957","_birthDate":{"id":"x"}"#,
            r#""birthDate":"1957""#,
            "same",
        ),
        // A period is told in parts.
        (
            "Encounter",
            r#""status":"finished","period":{"start":"2026","end":"2027"}"#,
            r#""status":"in-progress","period":{"end":null}"#,
            r#"{"status":"in-progress","period":{"start":"2026"}}"#,
        ),
        (
            "Encounter",
            r#""hospitalization":{"admitSource":{"text":"a"}}"#,
            r#""hospitalization":{"destination":{"display":"b"}}"#,
            r#"{"hospitalization":{"admitSource":{"text":"a"},"destination":{"display":"b"}}}"#,
        ),
        // Participants: by type.
        (
            "Encounter",
            r#""participant":[{"type":[{"coding":[{"code":"ATND"}]}],"individual":{"display":"a"}},{"type":[{"coding":[{"code":"ADM"}]}],"individual":{"display":"b"}}]"#,
            r#""participant":[{"type":[{"coding":[{"code":"ATND"}]}],"individual":{"display":"c"}}]"#,
            r#"{"participant":[{"type":[{"coding":[{"code":"ADM"}]}],"individual":{"display":"b"}},{"type":[{"coding":[{"code":"ATND"}]}],"individual":{"display":"c"}}]}"#,
        ),
        (
            "Encounter",
            r#""participant":[{"type":[{"coding":[{"code":"ATND"}]}],"individual":{"display":"a"}},{"type":[{"coding":[{"code":"ADM"}]}],"individual":{"display":"b"}}]"#,
            r#""participant":[{"type":[{"coding":[{"code":"ATND"}]}],"individual":{"display":"a"}}]"#,
            "same",
        ),
        // Diagnoses: by what they refer to.
        (
            "Encounter",
            r#""diagnosis":[{"condition":{"reference":"Condition/1"},"rank":1},{"condition":{"reference":"Condition/2"}}]"#,
            r#""diagnosis":[{"condition":{"reference":"Condition/1"},"rank":2},{"condition":{"reference":"Condition/3"}}]"#,
            r#"{"diagnosis":[{"condition":{"reference":"Condition/1"},"rank":2},{"condition":{"reference":"Condition/2"}},{"condition":{"reference":"Condition/3"}}]}"#,
        ),
        // Allergies: added to, never weakened.
        (
            "AllergyIntolerance",
            r#""criticality":"high""#,
            r#""criticality":"low""#,
            "same",
        ),
        (
            "AllergyIntolerance",
            r#""criticality":"low""#,
            r#""criticality":"high""#,
            r#"{"criticality":"high"}"#,
        ),
        (
            "AllergyIntolerance",
            r#""onsetString":"as a child""#,
            r#""onsetDateTime":"1990""#,
            "same",
        ),
        (
            "AllergyIntolerance",
            r#""category":["food"]"#,
            r#""category":["food","medication"]"#,
            r#"{"category":["food","medication"]}"#,
        ),
        (
            "AllergyIntolerance",
            r#""code":{"text":"Nuts"},"category":["food"]"#,
            r#""code":{"text":"nuts"},"type":"allergy""#,
            r#"{"code":{"text":"Nuts"},"category":["food"],"type":"allergy"}"#,
        ),
        (
            "AllergyIntolerance",
            r#""reaction":[{"manifestation":[{"text":"anaphylaxis"}],"severity":"severe"}]"#,
            r#""reaction":[{"manifestation":[{"text":"rash"}],"severity":"mild"}]"#,
            r#"{"reaction":[{"manifestation":[{"text":"anaphylaxis"}],"severity":"severe"},{"manifestation":[{"text":"rash"}],"severity":"mild"}]}"#,
        ),
        (
            "AllergyIntolerance",
            r#""reaction":[{"manifestation":[{"text":"rash"}],"severity":"severe"}]"#,
            r#""reaction":[{"manifestation":[{"text":"rash"}],"severity":"mild"}]"#,
            "same",
        ),
    ];
    for (kind, was, told, stored) in cases {
        let body = format!(r#"{{"resourceType":"{kind}",{told}}}"#);
        let got = outcome(meet(
            Some(&recorded(kind, was)),
            &draft(How::Update, "20260301090000", &body),
        ));
        assert_eq!(got, stored, "{was}\n{told}");
    }
}

#[test]
fn an_earlier_message_changes_nothing() {
    // The date of the message over one of 1 March, 8 o'clock (UTC).
    let cases = [
        ("20260301080001", "write"),
        ("20260301080000", "write"),
        ("20260301075959", "older"),
        ("20260301085959+0100", "older"),
        ("20260301", "write"),
        ("202603", "write"),
        ("20260228", "older"),
        ("2025", "older"),
        ("", "write"),
    ];
    let was = recorded("Patient", r#""gender":"male""#);
    let by_hand = json(r#"{"resourceType":"Patient","gender":"male"}"#);
    for how in [How::Update, How::Replace] {
        for (dated, wanted) in cases {
            let told = draft(how, dated, r#"{"resourceType":"Patient","gender":"female"}"#);
            let got = outcome(meet(Some(&was), &told)).replace(r#"{"gender":"female"}"#, "write");
            assert_eq!(got, wanted, "{dated}");
            // What no message told is earlier than every message.
            assert_eq!(outcome(meet(Some(&by_hand), &told)), r#"{"gender":"female"}"#);
        }
    }
    for how in [How::IfAbsent, How::Known] {
        let told = draft(how, "20270101", r#"{"resourceType":"Patient","gender":"female"}"#);
        assert_eq!(meet(Some(&was), &told), Meeting::Same);
        assert_eq!(outcome(meet(None, &told)), r#"{"gender":"female"}"#);
    }
}

#[test]
fn meta_says_which_message_and_from_when_and_keeps_the_rest() {
    let was = json(
        r#"{"resourceType":"Patient","id":"a","meta":{"profile":["urn:p"],"security":[{"system":"urn:x","code":"Q"}],"tag":[{"code":"t"}],"extension":[{"url":"urn:other","valueString":"o"}]},"gender":"male"}"#,
    );
    let mut told = draft(
        How::Update,
        "20260301080000",
        r#"{"resourceType":"Patient","gender":"female"}"#,
    );
    told.label = Label::NONE.with(Some(ACT_CODE), "VIP");
    let Meeting::Write(made) = meet(Some(&was), &told) else {
        panic!()
    };
    assert_eq!(
        made.to_compact(),
        r#"{"resourceType":"Patient","meta":{"profile":["urn:p"],"security":[{"system":"urn:x","code":"Q"},{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"VIP"}],"tag":[{"code":"t"}],"extension":[{"url":"urn:other","valueString":"o"},{"url":"urn:vitrine:message-time","valueDateTime":"2026-03-01T08:00:00+00:00"}],"source":"urn:vitrine:feed:adt#A%201%232"},"gender":"female"}"#
    );
    // Again, from later: nothing but the date would change. A label that is new is written.
    told.dated = stamp("20260302080000");
    assert_eq!(meet(Some(&made), &told), Meeting::Same);
    told.label = told.label.with(Some(ACT_CODE), "HIV");
    assert!(matches!(meet(Some(&made), &told), Meeting::Write(_)));
    // No date of its own: the message's.
    told.dated = None;
    let at = stamp("20250101");
    let source = Source {
        feed: "adt",
        control: "1",
        at: at.as_ref(),
    };
    assert_eq!(over(Some(&made), &told, &source), Meeting::Older);
}

#[test]
fn what_is_made_new_is_completed_and_what_is_recorded_is_not() {
    let mut told = draft(
        How::Update,
        "20260301090000",
        r#"{"resourceType":"Encounter","period":{"end":"2026-03-02"},"subject":null}"#,
    );
    told.made_with = json(r#"{"status":"unknown","period":{"start":"2026-03-01","end":"2026-03-09"}}"#);
    assert_eq!(
        outcome(meet(None, &told)),
        r#"{"period":{"end":"2026-03-02","start":"2026-03-01"},"status":"unknown"}"#
    );
    // But for the beginning, where none is recorded: an admission begins what was only expected.
    let was = recorded("Encounter", r#""status":"arrived""#);
    assert_eq!(
        outcome(meet(Some(&was), &told)),
        r#"{"status":"arrived","period":{"end":"2026-03-02","start":"2026-03-01"}}"#
    );
    // An allergy that was refuted, or is over, does not come back.
    let mut again = draft(
        How::Update,
        "20260301090000",
        r#"{"resourceType":"AllergyIntolerance","code":{"text":"Nuts"}}"#,
    );
    again.made_with =
        json(r#"{"clinicalStatus":{"text":"active"},"verificationStatus":{"text":"unconfirmed"}}"#);
    for stands in [
        r#""verificationStatus":{"text":"refuted"}"#,
        r#""clinicalStatus":{"text":"inactive"}"#,
    ] {
        let was = recorded(
            "AllergyIntolerance",
            &format!(r#"{stands},"code":{{"text":"Nuts"}}"#),
        );
        assert_eq!(meet(Some(&was), &again), Meeting::Same, "{stands}");
    }
}

#[test]
fn places_are_a_history() {
    let at = |place: &str, status: &str, from: &str, to: &str| {
        let one = |k: &str, t: &str| {
            if t.is_empty() {
                String::new()
            } else {
                format!(r#""{k}":"2026-03-01T{t}:00:00+00:00""#)
            }
        };
        let parts = [one("start", from), one("end", to)];
        let period = parts
            .iter()
            .filter(|p| !p.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(",");
        let mut out = format!(r#"{{"location":{{"reference":"Location/{place}"}}"#);
        for (key, value) in [
            ("status", format!("\"{status}\"")),
            ("period", format!("{{{period}}}")),
        ] {
            if value.len() > 2 {
                out.push_str(&format!(r#","{key}":{value}"#));
            }
        }
        out + "}"
    };
    // Status and places recorded, status and places told at 9 o'clock, status and places stored.
    type Side = (&'static str, Vec<String>);
    let cases: Vec<(Side, Side, Side)> = vec![
        // Moved.
        (
            ("in-progress", vec![at("a", "active", "07", "")]),
            ("in-progress", vec![at("b", "", "09", "")]),
            (
                "in-progress",
                vec![at("a", "completed", "07", "09"), at("b", "active", "09", "")],
            ),
        ),
        // The same place again.
        (
            ("in-progress", vec![at("a", "active", "07", "")]),
            ("", vec![at("a", "", "09", "")]),
            ("same", vec![]),
        ),
        // Moved back.
        (
            (
                "in-progress",
                vec![at("a", "completed", "07", "08"), at("b", "active", "08", "")],
            ),
            ("in-progress", vec![at("a", "", "09", "")]),
            (
                "in-progress",
                vec![
                    at("a", "completed", "07", "08"),
                    at("b", "completed", "08", "09"),
                    at("a", "active", "09", ""),
                ],
            ),
        ),
        // Gone.
        (
            ("in-progress", vec![at("a", "active", "07", "")]),
            ("finished", vec![]),
            ("finished", vec![at("a", "completed", "07", "09")]),
        ),
        (
            ("in-progress", vec![at("a", "active", "07", "")]),
            ("finished", vec![at("a", "", "", "")]),
            ("finished", vec![at("a", "completed", "07", "09")]),
        ),
        (
            ("finished", vec![at("a", "completed", "07", "08")]),
            ("finished", vec![at("a", "", "", "")]),
            ("same", vec![]),
        ),
        (
            ("in-progress", vec![at("a", "active", "07", "")]),
            ("cancelled", vec![]),
            ("cancelled", vec![at("a", "completed", "07", "09")]),
        ),
        // Told about a visit that is over: no place is opened.
        (
            ("finished", vec![at("a", "completed", "07", "08")]),
            ("", vec![at("a", "", "", "")]),
            ("same", vec![]),
        ),
        // Here again: where it is said, else where it was.
        (
            ("finished", vec![at("a", "completed", "07", "08")]),
            ("in-progress", vec![]),
            ("in-progress", vec![at("a", "active", "07", "")]),
        ),
        (
            ("finished", vec![at("a", "completed", "07", "08")]),
            ("in-progress", vec![at("b", "", "09", "")]),
            (
                "in-progress",
                vec![at("a", "completed", "07", "08"), at("b", "active", "09", "")],
            ),
        ),
        // Expected, then here: at the same place, at another one, without a place.
        (
            ("planned", vec![at("a", "planned", "", "")]),
            ("in-progress", vec![at("a", "", "09", "")]),
            ("in-progress", vec![at("a", "active", "09", "")]),
        ),
        (
            ("planned", vec![at("a", "planned", "", "")]),
            ("in-progress", vec![at("b", "", "09", "")]),
            ("in-progress", vec![at("b", "active", "09", "")]),
        ),
        (
            ("planned", vec![at("a", "planned", "", "")]),
            ("in-progress", vec![]),
            ("in-progress", vec![at("a", "active", "", "")]),
        ),
        (
            ("planned", vec![at("a", "planned", "", "")]),
            ("", vec![at("a", "", "", "")]),
            ("same", vec![]),
        ),
        // A move that somebody planned stays planned.
        (
            (
                "in-progress",
                vec![at("a", "active", "07", ""), at("c", "planned", "", "")],
            ),
            ("in-progress", vec![at("b", "", "09", "")]),
            (
                "in-progress",
                vec![
                    at("a", "completed", "07", "09"),
                    at("c", "planned", "", ""),
                    at("b", "active", "09", ""),
                ],
            ),
        ),
    ];
    let side = |(status, places): &Side| {
        let mut out = Vec::new();
        if !status.is_empty() {
            out.push(format!(r#""status":"{status}""#));
        }
        if !places.is_empty() {
            out.push(format!(r#""location":[{}]"#, places.join(",")));
        }
        out.join(",")
    };
    for (was, told, stored) in &cases {
        let body = format!(r#"{{"resourceType":"Encounter",{}}}"#, side(told));
        let got = outcome(meet(
            Some(&recorded("Encounter", &side(was))),
            &draft(How::Update, "20260301090000", &body),
        ));
        if stored.0 == "same" {
            assert_eq!(got, "same", "{was:?} {told:?}");
        } else {
            let wanted = json(&format!("{{{}}}", side(stored)));
            assert!(
                Json::parse(&got).is_ok_and(|g| g.same_as(&wanted)),
                "{was:?} {told:?}\n{got}\n{}",
                wanted.to_compact()
            );
        }
    }
}

#[test]
fn the_status_of_a_visit_that_was_told_of_too_early_is_filled_in() {
    // An A08 of 8 o'clock came first.
    let was = recorded(
        "Encounter",
        r#""status":"unknown","location":[{"location":{"reference":"Location/b"}}]"#,
    );
    let mut admitted = draft(
        How::Update,
        "20260301070000",
        r#"{"resourceType":"Encounter","status":"in-progress","location":[{"location":{"reference":"Location/a"}}]}"#,
    );
    admitted.made_with = json(r#"{"period":{"start":"2026-03-01"}}"#);
    let Meeting::Write(made) = meet(Some(&was), &admitted) else {
        panic!()
    };
    assert_eq!(
        outcome(Meeting::Write(made.clone())),
        r#"{"status":"in-progress","location":[{"location":{"reference":"Location/b"},"status":"active"}],"period":{"start":"2026-03-01"}}"#
    );
    // It is still from 8 o'clock.
    assert!(made.to_compact().contains("2026-03-01T08:00:00+00:00"));
    admitted.body = json(r#"{"resourceType":"Encounter","status":"cancelled"}"#);
    assert_eq!(meet(Some(&made), &admitted), Meeting::Older);
}

#[test]
fn a_final_result_is_not_replaced_by_a_preliminary_one() {
    let (earlier, same, later) = ("20260301070000", "20260301080000", "20260301090000");
    let cases = [
        ("preliminary", "final", earlier, false),
        ("preliminary", "final", same, true),
        ("preliminary", "final", later, true),
        ("final", "preliminary", same, false),
        ("final", "preliminary", later, false),
        ("final", "registered", later, false),
        ("final", "final", same, true),
        ("final", "corrected", same, true),
        ("final", "cancelled", same, true),
        ("corrected", "final", same, false),
        ("corrected", "final", later, true),
        ("corrected", "preliminary", later, false),
        ("cancelled", "preliminary", later, false),
        ("registered", "preliminary", same, true),
        ("preliminary", "registered", same, false),
        ("preliminary", "registered", later, true),
    ];
    for kind in ["Observation", "DiagnosticReport"] {
        for (was, told, dated, taken) in cases {
            let was_json = recorded(
                kind,
                &format!(r#""identifier":[{{"value":"1"}}],"status":"{was}","note":1"#),
            );
            let body =
                format!(r#"{{"resourceType":"{kind}","identifier":[{{"value":"2"}}],"status":"{told}"}}"#);
            let got = outcome(meet(Some(&was_json), &draft(How::Replace, dated, &body)));
            // Whole, but for what it is known by.
            let whole = format!(r#"{{"identifier":[{{"value":"2"}},{{"value":"1"}}],"status":"{told}"}}"#);
            assert_eq!(
                got,
                if taken { whole } else { "older".into() },
                "{was} {told} {dated}"
            );
        }
    }
}
