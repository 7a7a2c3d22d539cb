//! Allergies and diagnoses.

use super::{PID, PV1, made, of, one, sent, valid};
use crate::How;
use crate::json::{Json, at};

fn words(node: &Json, path: &[&str]) -> String {
    at(node, path).map(Json::to_compact).unwrap_or_default()
}

#[test]
fn allergies_as_they_are_sent() {
    // Segment, event, then what the body holds, part by part.
    let cases: [(&str, &str, &[&str]); 9] = [
        (
            "A01",
            "AL1|1|DA|70618^Penicillin^RXN|SV|Anaphylaxis~Wheeze|19900501",
            &[
                r#""type":"allergy","category":["medication"],"criticality":"high""#,
                r#""code":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"70618","display":"Penicillin"}],"text":"Penicillin"}"#,
                r#""onsetDateTime":"1990-05-01""#,
                r#""reaction":[{"manifestation":[{"text":"Anaphylaxis"},{"text":"Wheeze"}],"severity":"severe"}]"#,
            ],
        ),
        (
            "A01",
            "AL1|1|FA|^Peanut|MI",
            &[
                r#""category":["food"],"criticality":"low","code":{"text":"Peanut"}"#,
                r#""reaction":[{"manifestation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown"}]}],"severity":"mild"}]"#,
            ],
        ),
        (
            "A08",
            "AL1|1|MC|^Contrast|U",
            &[r#""criticality":"unable-to-assess","code":{"text":"Contrast"}"#],
        ),
        // There is a danger, nobody knows from what.
        (
            "A01",
            "AL1|1|DA|||Swollen tongue",
            &[
                r#""code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown"}]}"#,
                "Swollen tongue",
            ],
        ),
        (
            "A01",
            "AL1|1||NKA",
            &[
                r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"716186003","display":"No known allergy"}],"text":"NKA"}"#,
            ],
        ),
        (
            "A01",
            "AL1|1||NKDA^No Known Drug Allergies^L",
            &[r#""code":"409137002""#, r#""text":"No Known Drug Allergies""#],
        ),
        (
            "A01",
            "AL1|1||716186003^No known allergy^SCT",
            &[r#""code":"716186003""#],
        ),
        // Words that deny beside a code that names an agent: the agent is kept.
        (
            "A01",
            "AL1|1||764146007^No known allergies^SCT",
            &[r#""code":"764146007""#],
        ),
        (
            "A60",
            "IAM|1|DA|^Codeine|MO|Nausea|A|AL-7^NORTH||IN||2019||20260201",
            &[
                r#""identifier":[{"system":"urn:vitrine:feed:adt:allergy:NORTH","value":"AL-7"},{"system":"urn:vitrine:feed:adt:allergy","value":"urn:vitrine:feed:adt:authority:NORTH|4711||codeine"}]"#,
                r#""type":"intolerance","category":["medication"],"code""#,
                r#""onsetDateTime":"2019","recordedDate":"2026-02-01","reaction":[{"manifestation":[{"text":"Nausea"}],"severity":"moderate"}]"#,
            ],
        ),
    ];
    for (event, segment, parts) in cases {
        let mapped = sent(event, &[PID, PV1, segment]).unwrap();
        valid(&mapped);
        let allergy = one(&mapped, "AllergyIntolerance");
        let whole = allergy.body.to_compact();
        for part in parts {
            assert!(whole.contains(part), "{segment}: {part}\n{whole}");
        }
        assert_eq!(allergy.how, How::Update);
        // Repeating a list makes nothing active again: the standing is for a new one alone.
        assert!(!whole.contains("Status"), "{whole}");
        let new = made(allergy).to_compact();
        assert!(
            new.contains(r#""code":"active""#) && new.contains(r#""code":"unconfirmed""#),
            "{new}"
        );
        assert!(mapped.notes.is_empty(), "{segment}: {:?}", mapped.notes);
    }
}

#[test]
fn nothing_is_removed_by_a_message() {
    // A message without AL1 and DG1 says nothing about either; what asks for removal is held in a note.
    for event in ["A01", "A03", "A08", "A31", "A60"] {
        let mapped = sent(event, &[PID, PV1]).unwrap();
        assert!(
            of(&mapped, "AllergyIntolerance").is_empty() && of(&mapped, "Condition").is_empty(),
            "{event}"
        );
    }
    let cases = [
        ("AL1|1|DA|\"\"", "AL1^1^3"),
        ("AL1|1|DA|", "AL1^1^3"),
        ("IAM|1|DA|^Codeine|||D|AL-7", "IAM^1^6"),
        ("IAM|1|DA|^Codeine|||Z|AL-7", "IAM^1^6"),
        ("IAM|1|DA|^Codeine|||U|AL-7||||||||||E", "IAM^1^17"),
        ("DG1|1||I21^Infarction^I10||||||||||||||||||D", "DG1^1"),
        ("DG1|1||\"\"", "DG1^1"),
        ("DG1|1||", "DG1^1^3"),
    ];
    for (segment, place) in cases {
        let mapped = sent("A60", &[PID, PV1, segment]).unwrap();
        let rest = of(&mapped, "AllergyIntolerance").len() + of(&mapped, "Condition").len();
        assert_eq!(rest, 0, "{segment}");
        let places: Vec<String> = mapped.notes.iter().map(|n| n.place.to_string()).collect();
        assert_eq!(places, [place], "{segment}");
    }
}

#[test]
fn the_same_allergy_has_the_same_key_however_it_is_sent() {
    let key = |segment: &str| {
        one(&sent("A01", &[PID, PV1, segment]).unwrap(), "AllergyIntolerance")
            .keys
            .last()
            .unwrap()
            .clone()
    };
    assert_eq!(key("AL1|1|FA|^Peanut Oil"), key("AL1|7|DA|^peanut  oil.|SV|Rash"));
    assert_eq!(key("AL1|1|FA|^Peanut"), key("IAM|3|FA|^Peanut|||A|N-1"));
    assert_ne!(key("AL1|1|FA|^Peanut"), key("AL1|1|FA|^Peanut oil"));
    assert_ne!(
        key("AL1|1|FA|91935009^Peanut^SCT"),
        key("AL1|1|FA|91935009^Peanut^L")
    );
    // Twice in one message: one draft with both reactions, and the graver criticality.
    let mapped = sent(
        "A01",
        &[PID, PV1, "AL1|1|FA|^Peanut|MI|Rash", "AL1|2|FA|^peanut|SV|Wheeze"],
    )
    .unwrap();
    let body = &one(&mapped, "AllergyIntolerance").body;
    assert_eq!(words(body, &["criticality"]), "\"high\"");
    assert_eq!(
        words(body, &["reaction"]),
        r#"[{"manifestation":[{"text":"Rash"}],"severity":"mild"},{"manifestation":[{"text":"Wheeze"}],"severity":"severe"}]"#
    );
}

#[test]
fn diagnoses_are_of_their_visit() {
    let mapped = sent(
        "A01",
        &[
            PID,
            PV1,
            "DG1|1||I21.9^Infarction^I10||20260301|A|||||||||1|77^Okonkwo^Ada",
            "DG1|2|||Chest pain||W",
            "DG1|3||I21.9^Infarction^I10|||F",
        ],
    )
    .unwrap();
    valid(&mapped);
    let all = of(&mapped, "Condition");
    assert_eq!(all.len(), 2);
    let visit = one(&mapped, "Encounter");
    let diagnoses = words(&visit.body, &["diagnosis"]);
    assert!(
        diagnoses.contains(r#""code":"AD""#) && diagnoses.contains(r#""rank":1"#),
        "{diagnoses}"
    );
    let index = mapped.drafts.iter().position(|d| d.kind == "Encounter").unwrap();
    for condition in &all {
        assert_eq!(
            words(&condition.body, &["encounter", "reference"]),
            format!("\"urn:vitrine:draft:{index}\"")
        );
        assert!(condition.keys[0].value.contains("|V-1|"));
        assert!(made(condition).to_compact().contains(r#""code":"provisional""#));
    }
    assert_eq!(words(&all[1].body, &["code"]), r#"{"text":"Chest pain"}"#);
    // The third says the first again.
    let places: Vec<String> = mapped.notes.iter().map(|n| n.place.to_string()).collect();
    assert_eq!(places, ["DG1^3"]);
}
