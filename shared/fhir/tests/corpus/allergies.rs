//! Negatives: every AllergyIntolerance of the corpora gives the card it must give.

use crate::files::{Sample, data, json_below};
use vitrine_clinical::card::{AllergyState, CardFact, EmergencyCard, card_slot, emergency_card};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_fhir::read;

pub fn fact(s: &Sample, kind: &str) -> CardFact {
    let stem = s.path.rsplit('/').next().unwrap().trim_end_matches(".json");
    let id: String = stem
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect();
    CardFact {
        key: ResourceKey::new(kind, &id).unwrap(),
        version: 1,
        resource: read(kind, &s.bytes, &mut |_| None).unwrap(),
    }
}

pub fn card(facts: &[CardFact]) -> EmergencyCard {
    emergency_card(&PatientId::new("p").unwrap(), facts)
}

use AllergyState::{Known, NoneKnown, NotRecorded};

/// File, state, agent of the item, text of the negative statement.
const EXPECTED: &[(&str, AllergyState, &str, &str)] = &[
    (
        "au-core/au-core/AllergyIntolerance-aspirin",
        Known,
        "Aspirin allergy",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-catdander",
        NotRecorded,
        "",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-chlorhexidine",
        Known,
        "Chlorhexidine",
        "",
    ),
    ("au-core/au-core/AllergyIntolerance-dust", Known, "Dust", ""),
    (
        "au-core/au-core/AllergyIntolerance-dust-logical-refs",
        Known,
        "Dust",
        "",
    ),
    ("au-core/au-core/AllergyIntolerance-egg", Known, "Egg", ""),
    (
        "au-core/au-core/AllergyIntolerance-egg-entered-in-error",
        NotRecorded,
        "",
        "",
    ),
    // The code says "unknown", the reaction names the substance.
    (
        "au-core/au-core/AllergyIntolerance-egg-missing-code",
        Known,
        "Egg",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-egg-missing-verificationStatus",
        Known,
        "Egg",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-egg-suppressed-subject",
        Known,
        "Egg",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-gluten",
        Known,
        "Gluten intolerance",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-guineapigdander",
        NotRecorded,
        "",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-ibuprofen-refuted",
        NotRecorded,
        "",
        "No ibuprofen allergy",
    ),
    (
        "au-core/au-core/AllergyIntolerance-lactose",
        Known,
        "Intolerance to lactose",
        "",
    ),
    ("au-core/au-core/AllergyIntolerance-mmr", NotRecorded, "", ""),
    // About drugs, about food: neither is "none known".
    (
        "au-core/au-core/AllergyIntolerance-nkda",
        NotRecorded,
        "",
        "No known drug allergy",
    ),
    (
        "au-core/au-core/AllergyIntolerance-nkda2",
        NotRecorded,
        "",
        "No known drug allergy",
    ),
    (
        "au-core/au-core/AllergyIntolerance-nkfa",
        NotRecorded,
        "",
        "No known food allergy",
    ),
    (
        "au-core/au-core/AllergyIntolerance-noneknown",
        NoneKnown,
        "",
        "No known allergy",
    ),
    (
        "au-core/au-core/AllergyIntolerance-noneknown2",
        NoneKnown,
        "",
        "No known allergy",
    ),
    (
        "au-core/au-core/AllergyIntolerance-peanut",
        Known,
        "Peanut Allergy",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-penicillin",
        Known,
        "Penicillin",
        "",
    ),
    (
        "au-core/au-core/AllergyIntolerance-penicillin2",
        Known,
        "Penicillin",
        "",
    ),
    ("au-core/au-core/AllergyIntolerance-pollen", Known, "Pollen", ""),
    (
        "au-core/au-core/AllergyIntolerance-rabbitdander",
        NotRecorded,
        "",
        "",
    ),
    ("au-core/au-core/AllergyIntolerance-wasp", Known, "Wasp venom", ""),
    (
        "r4-official-examples/AllergyIntolerance-example",
        Known,
        "Cashew nuts",
        "",
    ),
    (
        "r4-official-examples/AllergyIntolerance-fishallergy",
        Known,
        "Allergic to fresh fish. Tolerates canned fish",
        "",
    ),
    (
        "r4-official-examples/AllergyIntolerance-medication",
        Known,
        "Penicillin G",
        "",
    ),
    (
        "r4-official-examples/AllergyIntolerance-nka",
        NoneKnown,
        "",
        "NKA",
    ),
    (
        "r4-official-examples/AllergyIntolerance-nkda",
        NotRecorded,
        "",
        "NKDA",
    ),
    (
        "r4-official-examples/AllergyIntolerance-nkla",
        NotRecorded,
        "",
        "No Known Latex Allergy",
    ),
    (
        "us-core-9/examples/allergyintolerance-example",
        Known,
        "sulfonamide antibacterial",
        "",
    ),
    (
        "us-core-9/examples/allergyintolerance-non-pharmacologic-agent-example",
        Known,
        "Latex",
        "",
    ),
];

#[test]
fn each_allergy_alone_gives_the_state_it_must() {
    let Some(root) = data() else { return };
    let mut found = 0;
    for folder in [
        "fhir/au-core/au-core",
        "fhir/r4-official-examples",
        "fhir/us-core-9/examples",
    ] {
        for sample in json_below(&root, folder) {
            let name = sample
                .path
                .trim_start_matches("fhir/")
                .trim_end_matches(".json")
                .to_owned();
            let of_kind = vitrine_fhir::edit::member(&sample.bytes, "resourceType").unwrap();
            if of_kind != Some(&b"\"AllergyIntolerance\""[..]) {
                continue;
            }
            let Some((_, state, agent, negative)) = EXPECTED.iter().find(|(n, ..)| *n == name) else {
                panic!("{name} is not in the table");
            };
            found += 1;
            let fact = fact(&sample, "AllergyIntolerance");
            let slot = card_slot(&fact.resource);
            let block = card(std::slice::from_ref(&fact)).allergies;
            assert_eq!(block.state, *state, "{name}");
            let agents: Vec<&str> = block.items.iter().map(|i| i.agent.as_str()).collect();
            let negatives: Vec<&str> = block.negatives.iter().map(|n| n.text.as_str()).collect();
            let want = |t: &'static str| if t.is_empty() { vec![] } else { vec![t] };
            assert_eq!((agents, negatives), (want(agent), want(negative)), "{name}");
            assert!(!block.conflict, "{name}");
            // What is on the card is in a slot; what is active is in the slot that keeps all, and what is over in one of its own.
            let silent = agent.is_empty() && negative.is_empty();
            let over = slot.as_ref().is_none_or(|s| s.slot == "allergy-over");
            assert_eq!(over, silent, "{name}");
            if !agent.is_empty() {
                let slot = slot.unwrap();
                assert_eq!((slot.slot.as_str(), slot.keep), ("allergy", u32::MAX), "{name}");
            }
        }
    }
    assert_eq!(found, EXPECTED.len());
}

#[test]
fn whole_patients() {
    let Some(root) = data() else { return };
    let all = json_below(&root, "fhir/au-core/au-core");
    let of = |names: &[&str]| -> Vec<CardFact> {
        let pick = |n: &&str| {
            let tail = format!("/AllergyIntolerance-{n}.json");
            fact(
                all.iter().find(|s| s.path.ends_with(&tail)).unwrap(),
                "AllergyIntolerance",
            )
        };
        names.iter().map(pick).collect()
    };
    let hayes = card(&of(&["aspirin", "ibuprofen-refuted", "nkfa"])).allergies;
    assert_eq!(
        (
            hayes.state,
            hayes.items.len(),
            hayes.negatives.len(),
            hayes.conflict
        ),
        (Known, 1, 2, false)
    );
    let banks = card(&of(&["nkda", "noneknown2"])).allergies;
    assert_eq!(
        (banks.state, banks.negatives.len(), banks.negatives[0].all),
        (NoneKnown, 2, true)
    );
    assert!(banks.negatives[0].at.is_some());
    let baratz = card(&of(&["peanut", "nkda2", "catdander", "mmr"])).allergies;
    assert_eq!(
        (baratz.state, baratz.items.len(), baratz.conflict),
        (Known, 1, false)
    );
    assert!(baratz.items[0].dangerous && baratz.items[0].severity.as_deref() == Some("severe"));
    let clash = card(&of(&["noneknown", "penicillin"])).allergies;
    assert_eq!(
        (clash.state, clash.conflict, clash.negatives.len()),
        (Known, true, 1)
    );
    let drugs = card(&of(&["nkda2", "aspirin"])).allergies;
    assert_eq!(
        (drugs.state, drugs.conflict),
        (Known, true),
        "no known drug allergy beside an aspirin allergy"
    );
}
