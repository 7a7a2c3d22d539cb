use super::*;
use crate::card::CardFact;
use crate::chart::{Coding, Concept, LOINC, Observation, Quantity, Resource, Value};
use crate::{ResourceKey, news2};

const AT: UtcMs = UtcMs(1_795_752_729_000);

fn vitals(readings: &[(Sign, &str)]) -> What {
    What::Vitals {
        at: AT,
        readings: readings
            .iter()
            .map(|(sign, value)| Reading {
                sign: *sign,
                value: (*value).to_owned(),
            })
            .collect(),
    }
}

fn fields(what: &What) -> Vec<&'static str> {
    what.faults(AT).iter().map(|f| f.field).collect()
}

#[test]
fn every_sign_has_its_row_and_its_code() {
    for facts in &SIGNS {
        assert_eq!(facts.sign.facts().code, facts.code);
        assert_eq!(Sign::of_code(facts.code), Some(facts.sign));
        let json = serde_json::to_string(&facts.sign).unwrap();
        assert_eq!(json, format!("\"{}\"", facts.code));
    }
}

#[test]
fn numbers_are_taken_as_typed_or_refused_with_what_to_do() {
    let cases = [
        (Sign::Pulse, "88", Ok("88")),
        (Sign::Pulse, " 088 ", Ok("88")),
        (Sign::Pulse, "88.5", Err("without decimals")),
        (Sign::Pulse, "9", Err("10 to 300")),
        (Sign::Pulse, "300", Ok("300")),
        (Sign::Pulse, "301", Err("write it in a note")),
        (Sign::Pulse, "-88", Err("is no number")),
        (Sign::Pulse, "1e2", Err("is no number")),
        (Sign::Pulse, "88/min", Err("is no number")),
        (Sign::Pulse, "\u{663}\u{663}", Err("is no number")),
        (Sign::Temperature, "37,5", Ok("37.5")),
        (Sign::Temperature, "37.0", Ok("37.0")),
        (Sign::Temperature, "37.55", Err("at most 1 decimal")),
        (Sign::Temperature, "98.6", Err("\u{b0}F")),
        (Sign::Temperature, "19.9", Err("20 to 45")),
        (Sign::Oxygen, "0", Ok("0")),
        (Sign::Oxygen, "0.5", Ok("0.5")),
        (Sign::Oxygen, ".5", Err("is no number")),
        (Sign::Saturation, "100", Ok("100")),
        (Sign::Saturation, "101", Err("20 to 100")),
        (Sign::Saturation, "1,000", Err("without decimals")),
        (Sign::Coma, "2", Err("3 to 15")),
        (Sign::Pain, "11", Err("0 to 10")),
    ];
    for (sign, typed, want) in cases {
        let got = typed_number(sign.facts(), typed);
        match want {
            Ok(digits) => assert_eq!(got.as_ref().map(Decimal::as_str), Ok(digits), "{sign:?} {typed}"),
            Err(part) => assert!(
                got.as_ref().is_err_and(|e| e.contains(part)),
                "{sign:?} {typed}: {got:?}"
            ),
        }
    }
}

#[test]
fn what_can_be_recorded_can_be_scored() {
    // The limits here are those of NEWS2's plausible values: else a nurse would type what the score then calls unreadable.
    // The coma score gives no points: it is only held against "alert".
    for facts in SIGNS
        .iter()
        .filter(|f| !f.limits.0.is_empty() && f.sign != Sign::Coma)
    {
        for limit in [facts.limits.0, facts.limits.1] {
            let o = Observation {
                status: Some("final".to_owned()),
                code: Some(Concept {
                    codings: vec![Coding {
                        system: Some(LOINC.to_owned()),
                        code: Some(facts.loinc.0.to_owned()),
                        ..Coding::default()
                    }],
                    ..Concept::default()
                }),
                value: Some(Value::Quantity(Quantity {
                    value: Decimal::new(limit).ok(),
                    unit: Some(facts.unit.to_owned()),
                    system: Some("http://unitsofmeasure.org".to_owned()),
                    code: Some(facts.ucum.to_owned()),
                    ..Quantity::default()
                })),
                ..Observation::default()
            };
            let fact = CardFact {
                key: ResourceKey::new("Observation", "o").unwrap(),
                version: 1,
                resource: Resource::Observation(o),
            };
            let scored = !matches!(facts.sign, Sign::Pain | Sign::Diastolic);
            let readings = news2::basis(&[&fact]).readings;
            assert_eq!(readings.len(), usize::from(scored), "{}", facts.words);
            for r in readings {
                assert!(
                    matches!(r.what, news2::What::Points(_)),
                    "{} {limit}: {r:?}",
                    facts.words
                );
            }
        }
    }
}

#[test]
fn faults_name_their_fields() {
    assert_eq!(fields(&vitals(&[])), [""]);
    assert_eq!(
        fields(&vitals(&[(Sign::Pulse, "88"), (Sign::Pulse, "90")])),
        ["pulse"]
    );
    assert_eq!(
        fields(&vitals(&[(Sign::Systolic, "80"), (Sign::Diastolic, "80")])),
        ["diastolic"]
    );
    assert_eq!(fields(&vitals(&[(Sign::Awareness, "drowsy")])), ["awareness"]);
    assert_eq!(fields(&vitals(&[(Sign::Awareness, "voice")])), Vec::<&str>::new());
    let late = What::Vitals {
        at: AT.plus_ms(-(i64::from(AGO_MOST) * 60_000 + 1)),
        readings: vec![],
    };
    assert!(fields(&late).contains(&"minutes_ago"));
    let ahead = What::Vitals {
        at: AT.plus_ms(1),
        readings: vec![],
    };
    assert!(fields(&ahead).contains(&"minutes_ago"));
    let allergy = |agent: &str, reaction: Option<&str>, severity| What::Allergy {
        agent: agent.to_owned(),
        reaction: reaction.map(str::to_owned),
        severity,
        certainty: Certainty::Unconfirmed,
    };
    for none in [
        "NKDA",
        "none",
        "No known allergies",
        "no ibuprofen allergy",
        "unknown",
        "  ",
    ] {
        assert_eq!(
            fields(&allergy(none, None, None)).first(),
            Some(&"agent"),
            "{none}"
        );
    }
    assert_eq!(
        fields(&allergy("latex", None, Some(Severity::Severe))),
        ["reaction"]
    );
    assert_eq!(fields(&allergy("latex\u{0}", None, None)), ["agent"]);
    assert_eq!(
        fields(&allergy(&"x".repeat(TEXT_MOST + 1), None, None)),
        ["agent"]
    );
    assert!(fields(&allergy("blue dye", Some("rash"), Some(Severity::Mild))).is_empty());
    let note = |text: &str| What::Note {
        note: NoteKind::Progress,
        text: text.to_owned(),
    };
    assert_eq!(fields(&note(" \n ")), ["text"]);
    assert_eq!(fields(&note("a\u{1b}[31m")), ["text"]);
    assert_eq!(fields(&note(&"x".repeat(NOTE_MOST + 1))), ["text"]);
    assert!(fields(&note("Line one\n\tline two")).is_empty());
}

#[test]
fn the_unusual_is_pointed_at_and_not_in_the_way() {
    let what = vitals(&[(Sign::Pulse, "240"), (Sign::Temperature, "37.0")]);
    assert!(what.faults(AT).is_empty());
    let warnings = what.warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].field, "pulse");
    assert!(warnings[0].text.contains("HR 240 /min"), "{}", warnings[0].text);
}

#[test]
fn it_reads_as_it_will_stand() {
    let what = vitals(&[
        (Sign::Saturation, "97"),
        (Sign::Oxygen, "0"),
        (Sign::Systolic, "120"),
        (Sign::Diastolic, "80"),
        (Sign::Temperature, "37.5"),
        (Sign::Awareness, "confused"),
        (Sign::Coma, "14"),
    ]);
    assert_eq!(
        what.lines(),
        [
            "SpO2 97%",
            "Room air",
            "BP 120/80 mmHg",
            "Temp 37.5 \u{b0}C",
            "ACVPU New confusion",
            "GCS 14"
        ]
    );
    assert_eq!(vitals(&[(Sign::Diastolic, "80")]).lines(), ["DBP 80 mmHg"]);
    assert_eq!(vitals(&[(Sign::Oxygen, "2")]).lines(), ["O2 flow 2 L/min"]);
}

fn taken_up(answer: Answer, value: &str, read_back: Option<&str>, words: Option<&str>) -> What {
    What::Acknowledge {
        result: "Observation/k".to_owned(),
        version: 3,
        label: "K".to_owned(),
        read: format!("{value} mmol/L HH"),
        value: value.to_owned(),
        answer,
        read_back: read_back.map(str::to_owned),
        words: words.map(str::to_owned),
    }
}

#[test]
fn what_is_done_about_a_critical_result_says_what_is_asked_for() {
    for (answer, words, wrong) in [
        (Answer::Acting, None, vec![]),
        (Answer::PassedOn, None, vec!["words"]),
        (Answer::PassedOn, Some("  "), vec!["words"]),
        (Answer::PassedOn, Some("Dr RAO"), vec![]),
        (Answer::Questioned, None, vec!["words"]),
        (
            Answer::Questioned,
            Some("haemolysed, told the laboratory"),
            vec![],
        ),
        (Answer::Acting, Some("calcium\u{7}"), vec!["words"]),
    ] {
        assert_eq!(
            fields(&taken_up(answer, "6.1", None, words)),
            wrong,
            "{answer:?} {words:?}"
        );
    }
    let What::Acknowledge { mut result, .. } = taken_up(Answer::Acting, "6.1", None, None) else {
        panic!("it is one");
    };
    for other in ["Patient/k", "k", "", "Observation/../k"] {
        other.clone_into(&mut result);
        let mut what = taken_up(Answer::Acting, "6.1", None, None);
        if let What::Acknowledge { result: r, .. } = &mut what {
            r.clone_from(&result);
        }
        assert_eq!(fields(&what), [""], "{other}");
    }
}

/// Nobody is told by the program: the person has to, and says whom.
#[test]
fn a_doubted_result_asks_for_the_laboratory_to_be_told() {
    assert_eq!(
        Answer::Questioned.text(),
        "Wrong patient, or not believable: tell the laboratory"
    );
    assert_eq!(
        Answer::Questioned.asks(),
        ("What is wrong, and who was told", false)
    );
}

/// A baby and somebody unconscious are asked through others.
#[test]
fn that_no_allergy_is_known_may_come_from_somebody_who_speaks_for_the_patient() {
    use crate::language::{Language, speaking};
    assert_eq!(
        What::NoKnownAllergies.lines(),
        ["The patient or somebody who speaks for them was asked: no known allergies"]
    );
    assert_eq!(
        speaking(Language::German, || What::NoKnownAllergies.lines()),
        ["Der Patient oder jemand, der für ihn spricht, wurde gefragt: keine bekannten Allergien"]
    );
}

#[test]
fn what_is_read_back_is_the_result() {
    for (value, back, right) in [
        ("6.1", "6.1", true),
        ("6.1", "potassium 6,1 mmol/L", true),
        ("6.1", "6.10", true),
        ("6.1", "1.6", false),
        ("6.1", "61", false),
        ("6.1", "six point one", false),
        ("1200", "1,200", true),
        ("1200", "1200", true),
        ("<0.3", "below 0.3", true),
        ("-12.5", "-12.5", true),
        ("Gram-positive cocci", "cocci in both bottles", true),
    ] {
        let wrong: &[&str] = if right { &[] } else { &["read_back"] };
        assert_eq!(
            fields(&taken_up(Answer::Acting, value, Some(back), None)),
            wrong,
            "{value} {back}"
        );
    }
    let lines = taken_up(Answer::PassedOn, "6.1", Some("6.1"), Some("Dr RAO")).lines();
    assert_eq!(lines, ["K 6.1 mmol/L HH", "Passed on: Dr RAO", "read back: 6.1"]);
}

/// What is recorded is the same in every language: codes and the words of the record. What is read is not.
#[test]
fn in_german_it_reads_german_and_records_the_same() {
    use crate::language::{Language, speaking};
    let signs = vitals(&[
        (Sign::Respiration, "18"),
        (Sign::Oxygen, "0"),
        (Sign::Systolic, "120"),
        (Sign::Diastolic, "80"),
        (Sign::Awareness, "confused"),
    ]);
    let change = What::AllergyChange {
        allergy: "AllergyIntolerance/pen".to_owned(),
        read: AsRead {
            agent: "Penicillin".to_owned(),
            stood: "certainty not recorded".to_owned(),
            reacted: "reaction not recorded, severe".to_owned(),
            said: "Penicillin: reaction not recorded, severe; certainty not recorded".to_owned(),
        },
        standing: Standing::Refuted,
        reaction: None,
        severity: None,
        reason: "getestet".to_owned(),
        settles: None,
    };
    let json = serde_json::to_string(&change).unwrap();
    speaking(Language::German, || {
        assert_eq!(
            signs.lines(),
            [
                "AF 18 /min",
                "Raumluft",
                "BD 120/80 mmHg",
                "ACVPU Neu aufgetretene Verwirrtheit"
            ]
        );
        assert_eq!(
            change.lines(),
            [
                "Penicillin: jetzt widerlegt",
                "Grund: getestet",
                "in der Akte stand: Gewissheit nicht dokumentiert, Reaktion nicht dokumentiert, schwer"
            ]
        );
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
        for (severity, code) in Severity::ALL {
            assert_eq!(severity.code(), *code);
            assert_eq!(Severity::of_code(code), Some(*severity));
        }
        let said = typed_number(Sign::Pulse.facts(), "9").unwrap_err();
        assert!(
            said.starts_with("Herzfrequenz: nur 10 bis 300 /min möglich"),
            "{said}"
        );
        let handed = taken_up(Answer::PassedOn, "6.1", None, None).faults(AT);
        assert_eq!(handed[0].text, "Bitte angeben: An wen");
        let handed = taken_up(Answer::PassedOn, "6.1", Some("6,1"), Some("Dr. RAO")).lines();
        assert_eq!(
            handed,
            ["K 6.1 mmol/L HH", "Weitergegeben: Dr. RAO", "rückbestätigt: 6,1"]
        );
    });
}
