//! Whatever the engine itself says in a view is said in the language that is spoken: in the pseudo-locale it stands between `⟦` and `⟧`,
//! and the words of the record, here Greek, do not. What is signed says the same in every language.

use super::blocks::Words;
use super::card_view::{self, card_view};
use super::record::{self, chart_view, facts};
use super::rows::board_row;
use crate::cache::{self, Freshness, ScopeFresh};
use crate::clock::Clock;
use crate::entry::{self, OnScreen, Pending};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use vitrine_access::grant::Reason;
use vitrine_clinical::card::{AllergyState, EmergencyCard, emergency_card};
use vitrine_clinical::entry::{Certainty, Entry, NoteKind, Severity, What};
use vitrine_clinical::format::civil::instant_utc;
use vitrine_clinical::language::{Language, speaking};
use vitrine_clinical::{DeviceId, FhirId, PatientId, ResourceKey, UserId};
use vitrine_store_sqlcipher::workstation::{CachedRecord, RecordRow, ScopeState};
use vitrine_wire::entry_view::{EntryInput, ReadingInput};
use vitrine_wire::http::BoardItem;
use vitrine_wire::view::{DataAge, SectionAge};

/// Codes, ids and what is of the record alone.
const NO_TEXTS: [&str; 19] = [
    "patient",
    "access_id",
    "id",
    "source",
    "result",
    "state",
    "age",
    "level",
    "section",
    "standing",
    "code",
    "field",
    "sign",
    "unit",
    "flag",
    "flag_shape",
    "dose",
    "value_text",
    "bed",
];

/// What is left of a text without what stands between the marks, without dates, and without what is written alike everywhere.
fn unmarked(text: &str) -> String {
    let mut depth = 0_u32;
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '⟦' => depth += 1,
            '⟧' => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{text}");
    for month in [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ] {
        out = out.replace(&format!("-{month}-"), "-");
    }
    for alike in ["SpO2", "O2 flow", "FiO2", "Temp", "ACVPU", "AVPU", "GCS", "UTC"] {
        out = out.replace(alike, "");
    }
    out
}

fn look(path: &str, value: &Value, said: &mut usize) {
    match value {
        Value::String(text) => {
            let rest = unmarked(text);
            assert!(
                !rest.chars().any(|c| c.is_ascii_alphabetic()),
                "{path} is not translated: {text}"
            );
            *said += usize::from(text.contains('⟦'));
        }
        Value::Array(all) => all.iter().for_each(|v| look(path, v, said)),
        Value::Object(fields) => {
            for (key, v) in fields.iter().filter(|(key, _)| !NO_TEXTS.contains(&key.as_str())) {
                look(&format!("{path}.{key}"), v, said);
            }
        }
        _ => {}
    }
}

/// Looks at every text of a view; gives how many have words of ours.
fn all_said(name: &str, view: &impl Serialize) -> usize {
    let mut said = 0;
    look(name, &serde_json::to_value(view).unwrap(), &mut said);
    said
}

fn row(key: &str, body: &str) -> RecordRow {
    let (kind, id) = key.split_once('/').unwrap();
    let head = format!(r#"{kind}","id":"{id}"#);
    RecordRow {
        key: ResourceKey::parse(key).unwrap(),
        version: 1,
        body: body.replace("KIND", &head).into_bytes(),
    }
}

/// A record whose own words are Greek.
fn rows(clock: &Clock) -> Vec<RecordRow> {
    let now = instant_utc(clock.now().plus_ms(-3_600_000));
    let active = r#""clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}"#;
    let sure = |code: &str| {
        format!(
            r#""verificationStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"{code}"}}]}}"#
        )
    };
    let (unconfirmed, refuted) = (sure("unconfirmed"), sure("refuted"));
    let measured = |code: &str, status: &str, value: &str| {
        format!(
            r#"{{"resourceType":"KIND","status":"{status}","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"effectiveDateTime":"{now}",
            "valueQuantity":{{"value":{value},"unit":"/min"}}}}"#
        )
    };
    vec![
        row(
            "Patient/p",
            r#"{"resourceType":"KIND","name":[{"family":"Ωμέγα"}],"birthDate":"1958-02-04","gender":"female",
            "contact":[{"telecom":[{"system":"phone","value":"1"}]}]}"#,
        ),
        row(
            "AllergyIntolerance/a",
            &format!(
                r#"{{"resourceType":"KIND",{active},{unconfirmed},"code":{{"text":"Πενικιλλίνη"}},"onsetDateTime":"2019",
                "reaction":[{{"manifestation":[{{"text":"Κνίδωση"}}],"severity":"severe"}}]}}"#
            ),
        ),
        row(
            "AllergyIntolerance/b",
            &format!(r#"{{"resourceType":"KIND",{active},{unconfirmed},"code":{{"text":"Λάτεξ"}}}}"#),
        ),
        row(
            "AllergyIntolerance/c",
            &format!(r#"{{"resourceType":"KIND",{refuted},"code":{{"text":"Μέλι"}}}}"#),
        ),
        row(
            "MedicationRequest/m1",
            &format!(
                r#"{{"resourceType":"KIND","status":"on-hold","intent":"order","authoredOn":"{now}","medicationCodeableConcept":{{"text":"Φάρμακο"}}}}"#
            ),
        ),
        row(
            "MedicationRequest/m2",
            &format!(
                r#"{{"resourceType":"KIND","status":"stopped","intent":"order","authoredOn":"{now}","medicationCodeableConcept":{{"text":"Φάρμακο"}}}}"#
            ),
        ),
        row(
            "MedicationRequest/m3",
            r#"{"resourceType":"KIND","status":"active","intent":"order"}"#,
        ),
        row(
            "Condition/c",
            r#"{"resourceType":"KIND","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"recurrence"}]},
            "verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"provisional"}]},
            "code":{"text":"Νόσος"},"onsetDateTime":"2019"}"#,
        ),
        row("Observation/hr", &measured("8867-4", "preliminary", "72")),
        row("Observation/rr", &measured("9279-1", "final", "22")),
        row("Observation/k", &measured("2160-0", "corrected", "140")),
        row(
            "DocumentReference/d",
            &format!(
                r#"{{"resourceType":"KIND","status":"current","docStatus":"preliminary","type":{{"text":"Σημείωση"}},"date":"{now}","content":[{{"attachment":{{}}}}]}}"#
            ),
        ),
        row(
            "Encounter/e",
            &format!(
                r#"{{"resourceType":"KIND","status":"in-progress","class":{{"code":"1"}},"type":[{{"text":"Εισαγωγή"}}],"period":{{"start":"{now}"}}}}"#
            ),
        ),
    ]
}

fn recorded(clock: &Clock, what: What) -> Pending {
    entry::queued(Entry {
        id: FhirId::new("e1").unwrap(),
        patient: PatientId::new("p").unwrap(),
        user: UserId::new("u").unwrap(),
        name: "Ν".to_owned(),
        device: DeviceId::new("d").unwrap(),
        at: clock.now(),
        zone_minutes: 0,
        what,
    })
}

fn pending(clock: &Clock) -> Vec<Pending> {
    // Of another version of this program.
    let mut unknown = recorded(clock, What::NoKnownAllergies);
    unknown.entry = None;
    vec![
        recorded(
            clock,
            What::Allergy {
                agent: "Αυγό".to_owned(),
                reaction: Some("Σοκ".to_owned()),
                severity: Some(Severity::LifeThreatening),
                certainty: Certainty::Unconfirmed,
            },
        ),
        recorded(clock, What::NoKnownAllergies),
        recorded(
            clock,
            What::Note {
                note: NoteKind::Nursing,
                text: "Κείμενο".to_owned(),
            },
        ),
        unknown,
    ]
}

fn section(clock: &Clock) -> SectionAge {
    Freshness::default().section("ess:ED", Some((true, Some(clock.now().0))), clock)
}

fn card(w: &Words<'_>, card: Option<&EmergencyCard>, pending: Option<Vec<Pending>>) -> usize {
    let frame = card_view::Frame {
        access_id: String::new(),
        text: String::new(),
        broken: None,
        age: section(w.clock),
        full_chart: true,
        pending,
    };
    all_said("card", &card_view(w, card, frame))
}

fn chart(w: &Words<'_>, card: Option<&EmergencyCard>, record: Option<&CachedRecord>) -> usize {
    let frame = record::Frame {
        access_id: String::new(),
        break_glass_text: None,
        broken: None,
        essentials_age: section(w.clock),
        record_age: section(w.clock),
        loading_text: None,
        taken_up: BTreeMap::new(),
        ward: "w".to_owned(),
        pending: Some(pending(w.clock)),
        drafts: Vec::new(),
        may_record: (true, None),
    };
    all_said("chart", &chart_view(w, card, record, frame).view)
}

#[test]
fn whatever_a_card_a_chart_and_a_board_say_is_in_the_spoken_language() {
    let (patient, clock) = (PatientId::new("p").unwrap(), Clock::new());
    let w = Words {
        patient: &patient,
        clock: &clock,
    };
    let record = CachedRecord {
        state: ScopeState {
            name: "pat:p".to_owned(),
            complete: true,
            epoch: String::new(),
            pos: 1,
            rev: 1,
            as_of: Some(clock.now().0),
            items: 0,
            digest: Vec::new(),
            staged: None,
            used: 0,
        },
        rows: rows(&clock),
        unreadable: Vec::new(),
        withheld: 0,
    };
    let made = emergency_card(&patient, &facts(&record.rows, &mut Vec::new()));
    speaking(Language::Pseudo, || {
        assert!(card(&w, Some(&made), Some(pending(&clock))) > 40);
        assert!(card(&w, Some(&made), None) > 30);
        assert!(card(&w, None, Some(Vec::new())) > 15);
        assert!(chart(&w, Some(&made), Some(&record)) > 40);
        assert!(chart(&w, Some(&made), None) > 30);
        assert!(chart(&w, None, None) > 15);
        for allergies in [
            AllergyState::Known,
            AllergyState::NoneKnown,
            AllergyState::NotRecorded,
            AllergyState::Unavailable,
        ] {
            let mut item = BoardItem {
                identity: made.identity.clone(),
                place: vitrine_clinical::card::Place {
                    ward: None,
                    ward_name: None,
                    bed: None,
                    class: None,
                    reason: None,
                    since: Some(clock.now().plus_ms(-90 * 60_000)),
                    encounter: None,
                    acuity: None,
                },
                allergies,
                flags: vec!["Advance directive".to_owned()],
                code_status: Some("Code status: Α".to_owned()),
                critical: None,
                news2: made.news2.clone(),
            };
            assert!(all_said("board", &board_row(&patient, &item, &clock)) > 5);
            if let Some(who) = &mut item.identity {
                who.deceased = Some("yes".to_owned());
            }
            assert!(all_said("board", &board_row(&patient, &item, &clock)) > 5);
        }
    });
}

#[test]
fn forms_faults_ages_and_reasons_are_in_the_spoken_language() {
    let clock = Clock::new();
    let empty = || String::new();
    let inputs = [
        EntryInput::Vitals {
            minutes_ago: 0,
            readings: ["?", "pulse", "awareness"]
                .map(|sign| ReadingInput {
                    sign: sign.to_owned(),
                    value: "9999".to_owned(),
                })
                .to_vec(),
        },
        EntryInput::Allergy {
            agent: empty(),
            reaction: empty(),
            severity: "?".to_owned(),
            certainty: empty(),
        },
        EntryInput::VitalsError {
            at_ms: 0,
            values: vec!["?".to_owned()],
            why: empty(),
            words: empty(),
        },
        EntryInput::AllergyChange {
            allergy: empty(),
            standing: empty(),
            reaction: empty(),
            severity: "?".to_owned(),
            reason: empty(),
            settles: empty(),
        },
        EntryInput::NoKnownAllergies { asked: false },
        EntryInput::Note {
            note_kind: empty(),
            text: empty(),
        },
        EntryInput::Acknowledge {
            result: empty(),
            version: 1,
            answer: empty(),
            read_back: empty(),
            words: empty(),
        },
    ];
    speaking(Language::Pseudo, || {
        assert!(all_said("form", &entry::form()) > 30);
        for input in &inputs {
            let (_, faults) = entry::read(input, clock.now(), &OnScreen::default());
            assert!(!faults.is_empty(), "{input:?}");
            for fault in faults {
                assert_eq!(all_said(fault.field, &fault.text), 1, "{}", fault.text);
            }
        }
        for age in [DataAge::Live, DataAge::Offline, DataAge::Old] {
            for as_of in [None, Some(clock.now().0)] {
                assert_eq!(all_said("age", &cache::words(age, as_of, &clock)), 1);
            }
        }
        let fresh = Freshness::default();
        assert_eq!(all_said("age", &fresh.section("ess:ED", None, &clock)), 1);
        fresh.set(
            "ess:ED",
            ScopeFresh {
                loading: Some((1, 2)),
                ..ScopeFresh::default()
            },
        );
        assert_eq!(all_said("age", &fresh.section("ess:ED", None, &clock)), 1);
        assert_eq!(
            all_said("reasons", &crate::break_glass::reasons()),
            Reason::ALL.len()
        );
    });
    for (view, reason) in crate::break_glass::reasons().iter().zip(Reason::ALL) {
        assert_eq!(view.text, reason.text(), "in English the policy's own words");
    }
}

#[test]
fn what_is_signed_says_the_same_whatever_is_spoken() {
    let (patient, clock) = (PatientId::new("p").unwrap(), Clock::new());
    let made = emergency_card(&patient, &facts(&rows(&clock), &mut Vec::new()));
    let now = clock.now();
    let signed = || {
        let shown = entry::allergy::shown(&made.allergies);
        let of = |key: &str| OnScreen {
            allergy: shown.get(key).cloned(),
            ..OnScreen::default()
        };
        let inputs = ["AllergyIntolerance/a", "AllergyIntolerance/b"].map(|key| {
            let input = EntryInput::AllergyChange {
                allergy: key.to_owned(),
                standing: "confirmed".to_owned(),
                reaction: "Σοκ".to_owned(),
                severity: "severe".to_owned(),
                reason: "Ναι".to_owned(),
                settles: String::new(),
            };
            let (what, faults) = entry::read(&input, now, &of(key));
            assert_eq!(faults, []);
            what
        });
        serde_json::to_string(&inputs).unwrap()
    };
    let english = signed();
    assert!(english.contains("reaction not recorded"), "{english}");
    for language in [Language::German, Language::Pseudo] {
        assert_eq!(speaking(language, signed), english);
    }
}
