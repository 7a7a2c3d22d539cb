//! The patients worth opening, seen through the emergency card: each must come out as what it is said to show.

use serde_json::value::RawValue;
use std::collections::HashMap;
use vitrine_clinical::card::{
    AllergyState, BlockState, CardFact, EmergencyCard, HighRisk, MeasuredItem, emergency_card,
};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_synthetic::{DEMO_SEED, HEAVY_PATIENT, Hospital, patient_id};

/// 22-Nov-2026 04:19:00 UTC.
const NOW: i64 = 1_795_321_140_000;

#[derive(serde::Deserialize)]
struct Bundle {
    entry: Vec<Entry>,
}
#[derive(serde::Deserialize)]
struct Entry {
    /// As it stands: a decimal keeps its digits.
    resource: Box<RawValue>,
    request: HashMap<String, String>,
}

fn collect(bundle: &str, into: &mut HashMap<String, String>) {
    let bundle: Bundle = serde_json::from_str(bundle).expect("a bundle");
    for entry in bundle.entry {
        into.insert(entry.request["url"].clone(), entry.resource.get().to_owned());
    }
}

fn card_of(id: &str, bundles: impl Iterator<Item = String>) -> EmergencyCard {
    let mut own = HashMap::new();
    bundles.for_each(|b| collect(&b, &mut own));
    let mut known = own.clone();
    collect(&Hospital::new(DEMO_SEED, NOW).foundation(), &mut known);
    let facts: Vec<CardFact> = own
        .iter()
        .map(|(key, bytes)| {
            let key = ResourceKey::parse(key).expect("key");
            let mut resolve = |wanted: &str| known.get(wanted).map(|text| text.clone().into_bytes());
            let resource =
                vitrine_fhir::read(key.kind.as_str(), bytes.as_bytes(), &mut resolve).expect("read");
            CardFact {
                key,
                version: 1,
                resource,
            }
        })
        .collect();
    emergency_card(&PatientId::new(id).expect("id"), &facts)
}

/// The card from the whole record; the essentials alone must say the same of allergies, medicines and problems.
fn card(n: u64) -> EmergencyCard {
    let h = Hospital::new(DEMO_SEED, NOW);
    let whole = card_of(&patient_id(n), std::iter::once(h.patient(n)));
    let part = card_of(&patient_id(n), std::iter::once(h.essentials_only(n)));
    assert_eq!(whole.allergies, part.allergies, "patient {n}");
    assert_eq!(whole.medications, part.medications, "patient {n}");
    assert_eq!(whole.recently_stopped, part.recently_stopped, "patient {n}");
    assert_eq!(whole.conditions, part.conditions, "patient {n}");
    assert_eq!(whole.code_status, part.code_status, "patient {n}");
    assert_eq!(whole.weight, part.weight, "patient {n}");
    whole
}

fn agents(card: &EmergencyCard) -> Vec<&str> {
    card.allergies.items.iter().map(|a| a.agent.as_str()).collect()
}

fn value<'a>(items: &'a [MeasuredItem], label: &str) -> &'a str {
    items
        .iter()
        .find(|m| m.label == label)
        .map_or("absent", |m| m.value.as_str())
}

#[test]
fn the_septic_patient_on_warfarin() {
    let card = card(0);
    assert_eq!(card.allergies.state, AllergyState::Known);
    assert_eq!(agents(&card)[0], "penicillin G", "the most dangerous first");
    let penicillin = &card.allergies.items[0];
    assert!(
        penicillin.dangerous && penicillin.coded && penicillin.reactions.iter().any(|r| r == "anaphylaxis")
    );
    assert!(
        card.allergies
            .items
            .iter()
            .any(|a| a.agent.contains("blue dye") && !a.coded)
    );
    let first = &card.medications.items[0];
    assert_eq!(
        (first.name.as_str(), first.high_risk),
        ("warfarin", Some(HighRisk::Anticoagulant))
    );
    assert!(
        first.dose.as_deref().is_some_and(|d| d.contains("3 mg")),
        "{:?}",
        first.dose
    );
    assert!(
        card.medications
            .items
            .iter()
            .any(|m| m.high_risk == Some(HighRisk::Antiarrhythmic))
    );
    assert!(card.recently_stopped.iter().any(|m| m.name == "rivaroxaban"));
    assert_eq!(
        (value(&card.labs.items, "K"), value(&card.labs.items, "Hb")),
        ("6.1", "92")
    );
    let k = card.labs.items.iter().find(|m| m.label == "K").expect("K");
    assert_eq!(k.interpretation.as_deref(), Some("HH"));
    assert_eq!(
        (value(&card.vitals.items, "HR"), value(&card.vitals.items, "BP")),
        ("122", "88/50")
    );
    assert!(
        card.code_status
            .items
            .iter()
            .any(|s| s.text.contains("Full code"))
    );
    let place = card.place.expect("a place");
    assert_eq!(place.ward.map(|w| w.to_string()).as_deref(), Some("ED"));
    assert_eq!(
        (place.bed.as_deref(), place.acuity.as_deref()),
        (Some("R1"), Some("1"))
    );
}

#[test]
fn every_state_of_the_allergy_block() {
    let none = card(3).allergies;
    assert_eq!(none.state, AllergyState::NoneKnown);
    assert!(
        none.negatives
            .iter()
            .any(|s| s.all && s.by.is_some() && s.at.is_some()),
        "who and when"
    );
    let unasked = card(4).allergies;
    assert_eq!(unasked.state, AllergyState::NotRecorded);
    assert!(unasked.items.is_empty() && unasked.negatives.is_empty());
    let conflict = card(5).allergies;
    assert_eq!((conflict.state, conflict.conflict), (AllergyState::Known, true));
    let refuted = card(6).allergies;
    assert_eq!(
        (refuted.state, refuted.items.len()),
        (AllergyState::NotRecorded, 0)
    );
    assert!(
        refuted
            .negatives
            .iter()
            .any(|s| !s.all && s.text.to_lowercase().contains("penicillin"))
    );
    let peanut = card(7);
    assert_eq!(
        (peanut.allergies.state, agents(&peanut)),
        (AllergyState::Known, vec!["peanut"])
    );
    for n in [8, 9] {
        let past = card(n).allergies;
        assert_eq!(
            (past.state, past.items.len()),
            (AllergyState::NotRecorded, 0),
            "patient {n}"
        );
    }
    let opioid = card(10).allergies;
    assert!(
        opioid
            .items
            .iter()
            .any(|a| a.verification.as_deref() == Some("unconfirmed") && !a.coded)
    );
    assert!(
        opioid
            .items
            .iter()
            .any(|a| a.kind.as_deref() == Some("intolerance"))
    );
}

#[test]
fn essentials_give_the_card_of_the_whole_record() {
    for n in (0..90).chain(5_000..5_030) {
        card(n);
    }
}

#[test]
fn names_places_and_the_dead() {
    let unknown = card(13).identity.expect("identity");
    assert!(unknown.name_text.is_some_and(|t| t.starts_with("Unidentified")));
    assert!(unknown.family.is_none() && unknown.birth_date.is_none());
    assert_eq!(unknown.sex.as_deref(), Some("unknown"));
    let short = card(11).identity.expect("identity");
    assert_eq!(
        (short.family.as_deref(), short.given),
        (Some("Ng"), vec!["O".to_owned()])
    );
    assert!(card(40).identity.expect("identity").deceased.is_some());
    let upstairs = card(24).place.expect("a place");
    assert_eq!(
        upstairs.ward.map(|w| w.to_string()).as_deref(),
        Some("ICU"),
        "not the ED bed that was left"
    );
    let home = card(60);
    assert!(home.place.is_none());
    assert_eq!(home.allergies.state, AllergyState::Known);
}

#[test]
fn implants_isolation_groups_and_changed_medicines() {
    let heart = card(24);
    assert!(
        heart
            .devices
            .items
            .iter()
            .any(|d| d.text.to_lowercase().contains("pacemaker"))
    );
    assert_eq!(value(&heart.labs.items, "K"), "2.6");
    let shock = card(25);
    assert!(shock.isolation.items.iter().any(|s| s.text.contains("MRSA")));
    assert!(
        shock
            .code_status
            .items
            .iter()
            .any(|s| s.text.to_lowercase().contains("not resuscitate"))
    );
    assert!(
        card(26)
            .medications
            .items
            .iter()
            .any(|m| m.high_risk == Some(HighRisk::Immunosuppressant))
    );
    let changed = card(41);
    assert!(changed.recently_stopped.iter().any(|m| m.name == "apixaban"));
    assert!(
        changed
            .medications
            .items
            .iter()
            .any(|m| m.name == "metoprolol" && m.status == "on-hold")
    );
    let k = changed
        .labs
        .items
        .iter()
        .find(|m| m.label == "K")
        .expect("an earlier potassium");
    assert_ne!(k.status, "cancelled", "a cancelled result is no result");
    assert!(
        changed
            .labs
            .items
            .iter()
            .any(|m| m.label == "Hb" && m.status == "corrected")
    );
    assert_eq!(
        card(42).blood_group.state,
        BlockState::NotRecorded,
        "a preliminary sample is none"
    );
    assert!(
        card(15)
            .blood_group
            .items
            .iter()
            .any(|s| s.text.contains("O negative"))
    );
}

#[test]
fn the_long_record_has_the_card_of_its_essentials() {
    let h = Hospital::new(DEMO_SEED, NOW);
    let card = card_of(HEAVY_PATIENT, h.heavy_patient(3_000));
    assert_eq!(card.allergies.state, AllergyState::Known);
    assert_eq!(card.medications.items[0].name, "warfarin");
    assert_eq!(
        value(&card.vitals.items, "HR"),
        "98",
        "the newest, not one of the past years"
    );
    assert_eq!(card.place.and_then(|p| p.bed).as_deref(), Some("ICU 10"));
}

#[test]
fn critical_results_of_before_the_last_minutes_have_been_taken_up() {
    let (mut done, mut waiting) = (0, 0);
    for n in 0..60 {
        for c in card(n).critical.expect("known") {
            let at = c.available.expect("issued").0;
            match c.acknowledged() {
                Some(t) => {
                    done += 1;
                    assert!(t.at.is_some_and(|t| t.0 > at) && t.by.is_some(), "{t:?}");
                }
                None => {
                    waiting += 1;
                    assert!(NOW - at < 21 * 60_000, "patient {n}: {c:?}");
                }
            }
        }
    }
    assert!(done > 10, "{done} taken up, {waiting} wait");
}
