use super::*;
use crate::bundle::{Bundle, BundleType};
use proptest::prelude::*;
use vitrine_clinical::card::{AllergyState, CardFact, emergency_card};
use vitrine_clinical::entry::{AWARENESS, Choice as _, SIGNS};
use vitrine_clinical::news2::basis;
use vitrine_clinical::{DeviceId, FhirId, PatientId, ResourceKey, UserId};

/// 27-Nov-2026 04:12:09 UTC.
const AT: UtcMs = UtcMs(1_795_752_729_000);

fn entry(what: What) -> Entry {
    Entry {
        id: FhirId::new("01935b2e-7c00-7000-8000-00000000000a").unwrap(),
        patient: PatientId::new("p1").unwrap(),
        user: UserId::new("rn.brown").unwrap(),
        name: "RN BROWN".to_owned(),
        device: DeviceId::new("ed-07").unwrap(),
        at: AT,
        zone_minutes: -330,
        what,
    }
}

fn reading(sign: Sign, value: &str) -> Reading {
    Reading {
        sign,
        value: value.to_owned(),
    }
}

/// The resources of an entry, each checked as whatever comes in is.
fn resources(e: &Entry) -> Vec<Value> {
    assert_eq!(e.faults(e.at), []);
    let bytes = bundle(e).unwrap();
    let parsed = Bundle::parse(&bytes).unwrap_or_else(|i| panic!("{i:?}"));
    assert_eq!(parsed.kind, BundleType::Transaction);
    for entry in &parsed.entries {
        let resource = entry.resource.unwrap();
        if let Err(issues) = crate::validate(resource) {
            panic!("{issues:?}: {}", String::from_utf8_lossy(resource));
        }
    }
    let all: Value = serde_json::from_slice(&bytes).unwrap();
    let entries = all["entry"].as_array().unwrap();
    entries.iter().map(|e| e["resource"].clone()).collect()
}

fn facts(e: &Entry) -> Vec<CardFact> {
    let bytes = bundle(e).unwrap();
    let parsed = Bundle::parse(&bytes).unwrap();
    let one = |(i, entry): (usize, &crate::bundle::Entry<'_>)| {
        let body = entry.resource.unwrap();
        let kind: Value = serde_json::from_slice(body).unwrap();
        let kind = kind["resourceType"].as_str().unwrap();
        CardFact {
            key: ResourceKey::new(kind, &format!("r{i}")).unwrap(),
            version: 1,
            resource: crate::read(kind, body, &mut |_| None).unwrap(),
        }
    };
    parsed.entries.iter().enumerate().map(one).collect()
}

#[test]
fn vital_signs_are_what_the_score_counts_and_keep_their_digits() {
    let e = entry(What::Vitals {
        at: UtcMs(AT.0 - 60_000),
        readings: vec![
            reading(Sign::Respiration, "18"),
            reading(Sign::Saturation, "97"),
            reading(Sign::Oxygen, "0"),
            reading(Sign::Pulse, "88"),
            reading(Sign::Systolic, "120"),
            reading(Sign::Diastolic, "80"),
            reading(Sign::Temperature, "37.0"),
            reading(Sign::Awareness, "alert"),
            reading(Sign::Coma, "15"),
            reading(Sign::Pain, "3"),
        ],
    });
    let all = resources(&e);
    assert_eq!(all.len(), 9, "both pressures are one panel");
    for o in &all {
        assert_eq!(o["effectiveDateTime"], "2026-11-26T22:41:09-05:30");
        assert_eq!(o["subject"]["reference"], "Patient/p1");
        assert_eq!(o["performer"][0]["display"], "RN BROWN");
        assert_eq!(o["identifier"][0]["value"], e.id.as_str());
    }
    let text = String::from_utf8(bundle(&e).unwrap()).unwrap();
    assert!(text.contains("\"value\":37.0"), "{text}");
    assert!(!text.contains("digits:") && !text.contains("\\u0001"), "{text}");
    let facts = facts(&e);
    let basis = basis(&facts.iter().collect::<Vec<_>>());
    // Seven inputs and the coma score; all of them timed, settled and worth what they are worth.
    assert_eq!(basis.readings.len(), 8, "{:?}", basis.readings);
    for r in &basis.readings {
        assert_eq!(r.at, Some(UtcMs(AT.0 - 60_000)), "{r:?}");
        assert!(
            matches!(r.what, vitrine_clinical::news2::What::Points(0)),
            "{r:?}"
        );
    }
}

#[test]
fn every_level_of_consciousness_is_read_as_it_was_chosen() {
    for (i, (code, words, ..)) in AWARENESS.iter().enumerate() {
        let e = entry(What::Vitals {
            at: AT,
            readings: vec![reading(Sign::Awareness, code)],
        });
        let facts = facts(&e);
        let basis = basis(&facts.iter().collect::<Vec<_>>());
        let points = if i == 0 { 0 } else { 3 };
        assert_eq!(
            basis.readings[0].what,
            vitrine_clinical::news2::What::Points(points),
            "{words}"
        );
    }
}

#[test]
fn an_allergy_is_an_active_unconfirmed_one_in_the_recorders_words() {
    let e = entry(What::Allergy {
        agent: "  Penicillin V ".to_owned(),
        reaction: Some("anaphylaxis".to_owned()),
        severity: Some(Severity::LifeThreatening),
        certainty: Certainty::Unconfirmed,
    });
    let all = resources(&e);
    assert_eq!(all[0]["criticality"], "high");
    assert_eq!(
        all[0]["code"],
        json!({"text": "Penicillin V"}),
        "never coded by guess"
    );
    let facts = facts(&e);
    let card = emergency_card(&PatientId::new("p1").unwrap(), &facts);
    assert_eq!(card.allergies.state, AllergyState::Known);
    let item = &card.allergies.items[0];
    assert_eq!(item.agent, "Penicillin V");
    assert!(!item.coded && item.dangerous);
    assert_eq!(item.verification.as_deref(), Some("unconfirmed"));
}

#[test]
fn none_known_is_a_statement_with_who_and_when_and_never_hides_an_allergy() {
    let none = entry(What::NoKnownAllergies);
    resources(&none);
    let mut all = facts(&none);
    let patient = PatientId::new("p1").unwrap();
    let card = emergency_card(&patient, &all);
    assert_eq!(card.allergies.state, AllergyState::NoneKnown);
    let said = &card.allergies.negatives[0];
    assert_eq!(said.by.as_deref(), Some("RN BROWN"));
    assert_eq!(said.at, Some(AT));
    let latex = entry(What::Allergy {
        agent: "Latex".to_owned(),
        reaction: None,
        severity: None,
        certainty: Certainty::Confirmed,
    });
    let mut latex = facts(&latex);
    latex[0].key = ResourceKey::new("AllergyIntolerance", "latex").unwrap();
    all.extend(latex);
    let card = emergency_card(&patient, &all);
    assert_eq!(card.allergies.state, AllergyState::Known);
    assert!(card.allergies.conflict);
}

#[test]
fn a_note_is_read_back_letter_for_letter() {
    let text = "Fell from \u{201c}ladder\u{201d}.\n\tPupils equal, \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f469}\u{200d}\u{2695}\u{fe0f}";
    let e = entry(What::Note {
        note: NoteKind::Emergency,
        text: text.to_owned(),
    });
    let all = resources(&e);
    let body = serde_json::to_vec(&all[0]).unwrap();
    let found = crate::note("DocumentReference", &body);
    assert!(format!("{found:?}").contains("ladder"), "{found:?}");
    let data = all[0]["content"][0]["attachment"]["data"].as_str().unwrap();
    assert_eq!(STANDARD.decode(data).unwrap(), text.as_bytes());
}

fn any_reading() -> impl Strategy<Value = Reading> {
    (0..SIGNS.len(), 0_u32..3_600, 0_usize..5).prop_map(|(i, n, level)| {
        let facts = &SIGNS[i];
        let value = match facts.sign {
            Sign::Awareness => AWARENESS[level].0.to_owned(),
            _ if facts.decimals > 0 => format!("{}.{}", n / 10, n % 10),
            _ => n.to_string(),
        };
        Reading {
            sign: facts.sign,
            value,
        }
    })
}

proptest! {
    #[test]
    fn whatever_has_no_fault_is_valid_fhir(
        readings in proptest::collection::vec(any_reading(), 1..6),
        agent in "\\PC{1,40}",
        reaction in proptest::option::of("\\PC{1,40}"),
        severity in 0_usize..5,
        note in "[\\PC\\n\\t]{1,300}",
        zone in -840_i32..=840,
    ) {
        let whats = [
            What::Vitals { at: AT, readings },
            What::Allergy {
                agent,
                reaction,
                severity: Severity::ALL.get(severity).map(|s| s.0),
                certainty: Certainty::Confirmed,
            },
            What::NoKnownAllergies,
            What::Note { note: NoteKind::Handover, text: note },
        ];
        for what in whats {
            let e = Entry { zone_minutes: zone, ..entry(what) };
            let json = serde_json::to_string(&e).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Entry>(&json).unwrap(), &e);
            if e.faults(AT).is_empty() {
                let all = resources(&e);
                prop_assert!(!all.is_empty());
                let at = all[0]["recordedDate"].as_str().or(all[0]["date"].as_str()).or(all[0]["effectiveDateTime"].as_str());
                prop_assert_eq!(vitrine_clinical::format::civil::parse_fhir_ms(at.unwrap()), Some(AT.0));
            }
        }
    }
}

#[test]
fn a_critical_result_taken_up_is_a_task_that_the_card_reads_again() {
    use vitrine_clinical::entry::Answer;
    let result = br#"{"resourceType":"Observation","id":"k","status":"final","subject":{"reference":"Patient/p1"},
        "code":{"coding":[{"system":"http://loinc.org","code":"2823-3","display":"Potassium"}]},"effectiveDateTime":"2026-11-27T04:00:00Z",
        "valueQuantity":{"value":6.10,"unit":"mmol/L"},"interpretation":[{"coding":[{"code":"HH"}]}]}"#;
    let result = || CardFact {
        key: ResourceKey::new("Observation", "k").unwrap(),
        version: 3,
        resource: crate::read("Observation", result, &mut |_| None).unwrap(),
    };
    let patient = PatientId::new("p1").unwrap();
    let before = emergency_card(&patient, &[result()]).critical.unwrap().remove(0);
    assert!(before.acknowledged().is_none());
    for (answer, status, settled) in [
        (Answer::Acting, "completed", true),
        (Answer::PassedOn, "rejected", false),
        (Answer::Questioned, "completed", true),
    ] {
        let e = entry(What::Acknowledge {
            result: "Observation/k".to_owned(),
            version: 3,
            label: "K".to_owned(),
            read: before.said(),
            value: "6.10".to_owned(),
            answer,
            read_back: Some("6.1".to_owned()),
            words: Some("Dr RAO".to_owned()),
        });
        let all = resources(&e);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0]["resourceType"], "Task");
        assert_eq!(all[0]["status"], status);
        assert_eq!(all[0]["focus"]["reference"], "Observation/k/_history/3");
        assert_eq!(all[0]["for"]["reference"], "Patient/p1");
        let mut both = facts(&e);
        both.push(result());
        let after = emergency_card(&patient, &both).critical.unwrap().remove(0);
        assert_eq!(after.acknowledged().is_some(), settled, "{answer:?}");
        let taken = &after.taken[0];
        assert_eq!(
            (
                taken.answer,
                taken.by.as_deref(),
                taken.read_back.as_deref(),
                taken.words.as_deref(),
                taken.at
            ),
            (
                Some(answer),
                Some("RN BROWN"),
                Some("6.1"),
                Some("Dr RAO"),
                Some(UtcMs(AT.0 / 1_000 * 1_000))
            )
        );
    }
}
