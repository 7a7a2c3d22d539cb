use super::*;
use crate::bundle::Bundle;
use vitrine_clinical::card::{AllergyState, emergency_card};
use vitrine_clinical::entry::AsRead;
use vitrine_clinical::{DeviceId, FhirId, PatientId, UserId, UtcMs};

const BODY: &str = r#"{"resourceType":"AllergyIntolerance","id":"pen","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},
 "verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"confirmed"}]},
 "code":{"coding":[{"system":"http://snomed.info/sct","code":"91936005","display":"Allergy to penicillin"}],"text":"Penicillin"},
 "patient":{"reference":"Patient/p1"},"onsetAge":{"value":12.50,"unit":"years"},
 "reaction":[{"manifestation":[{"text":"hives"}],"severity":"moderate"}],"note":[{"text":"as a child"}]}"#;

fn entry(standing: Standing, reaction: Option<(&str, Severity)>, said: &str, settles: Option<&str>) -> Entry {
    Entry {
        id: FhirId::new("01935b2e-7c00-7000-8000-00000000000a").unwrap(),
        patient: PatientId::new("p1").unwrap(),
        user: UserId::new("rn.brown").unwrap(),
        name: "RN BROWN (Nurse)".to_owned(),
        device: DeviceId::new("ed-07").unwrap(),
        at: UtcMs(1_795_752_729_000),
        zone_minutes: 60,
        what: What::AllergyChange {
            allergy: "AllergyIntolerance/pen".to_owned(),
            read: AsRead {
                agent: "Penicillin".to_owned(),
                stood: "confirmed".to_owned(),
                reacted: "hives, moderate".to_owned(),
                said: said.to_owned(),
            },
            standing,
            reaction: reaction.map(|r| r.0.to_owned()),
            severity: reaction.map(|r| r.1),
            reason: "tolerated amoxicillin in 2024".to_owned(),
            settles: settles.map(str::to_owned),
        },
    }
}

const SAID: &str = "Penicillin: hives, moderate; confirmed";

/// The resources of a bundle that is valid, by type.
fn resources(bytes: &[u8]) -> Vec<(String, String)> {
    let bundle = Bundle::parse(bytes).unwrap_or_else(|i| panic!("{i:?}"));
    let one = |e: &crate::bundle::Entry<'_>| {
        let body = e.resource.unwrap();
        if let Err(issues) = crate::validate(body) {
            panic!("{issues:?}: {}", String::from_utf8_lossy(body));
        }
        let url = e.request.as_ref().unwrap().url.to_string();
        (url, String::from_utf8(body.to_vec()).unwrap())
    };
    bundle.entries.iter().map(one).collect()
}

fn facts(all: &[(String, String)]) -> Vec<CardFact> {
    let fact = |(i, (url, body)): (usize, &(String, String))| {
        let kind = url.split('/').next().unwrap();
        let id = url
            .split('/')
            .nth(1)
            .map_or_else(|| format!("r{i}"), str::to_owned);
        CardFact {
            key: ResourceKey::new(kind, &id).unwrap(),
            version: 2,
            resource: crate::read(kind, body.as_bytes(), &mut |_| None).unwrap(),
        }
    };
    all.iter().enumerate().map(fact).collect()
}

#[test]
fn every_standing_is_what_the_card_shows_and_the_rest_stays() {
    for (standing, shown, clinical) in [
        (Standing::Confirmed, AllergyState::Known, Some("active")),
        (Standing::Unconfirmed, AllergyState::Known, Some("active")),
        (Standing::Refuted, AllergyState::NotRecorded, Some("inactive")),
        (Standing::Resolved, AllergyState::NotRecorded, Some("resolved")),
        (Standing::EnteredInError, AllergyState::NotRecorded, None),
    ] {
        let e = entry(standing, None, SAID, None);
        assert_eq!(e.faults(e.at), []);
        assert_eq!(meets(&e, Some((3, BODY.as_bytes()))), Ok(true));
        let all = resources(&applied(&e, Some((3, BODY.as_bytes())), None).unwrap());
        assert_eq!(all.len(), 2);
        let (url, body) = &all[1];
        assert_eq!(url, "AllergyIntolerance/pen");
        assert!(body.contains("12.50"), "digits stay: {body}");
        let a: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            a.pointer("/clinicalStatus/coding/0/code").and_then(Value::as_str),
            clinical
        );
        assert_eq!(a["code"]["coding"][0]["code"], "91936005");
        assert_eq!(a["note"][0]["text"], "as a child");
        assert_eq!(a["note"][1]["authorString"], "RN BROWN (Nurse)");
        assert_eq!(a["reaction"].as_array().unwrap().len(), 1);
        let card = emergency_card(&e.patient, &facts(&all));
        assert_eq!(card.allergies.state, shown, "{standing:?}");
        let change = &card.allergies.changes.unwrap()[0];
        assert!(!change.open);
        assert_eq!(change.standing, Some(standing));
        assert_eq!(change.by.as_deref(), Some("RN BROWN (Nurse)"));
    }
}

#[test]
fn what_was_refuted_can_stand_again() {
    let refuted = entry(Standing::Refuted, None, SAID, None);
    let all = resources(&applied(&refuted, Some((3, BODY.as_bytes())), None).unwrap());
    let card = emergency_card(&refuted.patient, &facts(&all));
    let said = card.allergies.negatives[0].refuted.as_ref().unwrap();
    assert!(said.changed && said.record.reason.is_some());
    for standing in [Standing::Confirmed, Standing::Unconfirmed] {
        let e = entry(standing, None, &said.record.said, None);
        let held = Some((4, all[1].1.as_bytes()));
        assert_eq!(meets(&e, held), Ok(true), "it rests on what was shown");
        let again = resources(&applied(&e, held, None).unwrap());
        let card = emergency_card(&e.patient, &facts(&again));
        assert_eq!(card.allergies.state, AllergyState::Known);
        assert_eq!(card.allergies.items[0].stands(), standing.words());
        assert!(card.allergies.negatives.is_empty());
    }
}

#[test]
fn a_reaction_is_added_and_one_that_kills_makes_it_dangerous() {
    let e = entry(
        Standing::Confirmed,
        Some(("airway swelling", Severity::LifeThreatening)),
        SAID,
        None,
    );
    let all = resources(&applied(&e, Some((3, BODY.as_bytes())), None).unwrap());
    let card = emergency_card(&e.patient, &facts(&all));
    let item = &card.allergies.items[0];
    assert_eq!(item.reactions, ["hives", "airway swelling"]);
    assert!(item.dangerous && !item.disputed);
}

#[test]
fn what_was_not_read_is_not_written_over() {
    let other = BODY.replace("confirmed", "unconfirmed");
    let e = entry(Standing::Refuted, None, SAID, None);
    assert_eq!(meets(&e, Some((9, other.as_bytes()))), Ok(false));
    assert_eq!(meets(&e, None), Ok(false), "gone is another state too");
    // The same in another version is the same.
    let again = BODY.replace("\"id\":\"pen\"", "\"id\":\"pen\",\"language\":\"en\"");
    assert_eq!(meets(&e, Some((9, again.as_bytes()))), Ok(true));
    // What is not written over becomes a Task that waits, and the allergy is one.
    let all = resources(&super::super::bundle(&e).unwrap());
    assert_eq!(all.len(), 1);
    let refuted_elsewhere = BODY.replace("confirmed", "refuted");
    let mut both = facts(&all);
    both.extend(facts(&[("AllergyIntolerance/pen".to_owned(), refuted_elsewhere)]));
    let card = emergency_card(&e.patient, &both);
    assert_eq!(card.allergies.state, AllergyState::Known);
    let item = &card.allergies.items[0];
    assert!(item.disputed);
    let open = &card.allergies.changes.unwrap()[0];
    assert_eq!(open.stood.as_deref(), Some("confirmed"));
    assert_eq!(open.place.as_deref(), Some("ed-07"));
    assert_eq!(open.record.as_ref().unwrap().stands, "refuted");
}

#[test]
fn a_decision_ends_the_dispute_with_both_words_kept() {
    let open = resources(&super::super::bundle(&entry(Standing::Refuted, None, SAID, None)).unwrap());
    let task = open[0].1.replacen('{', "{\"id\":\"t1\",", 1);
    let unconfirmed = BODY.replace("confirmed", "unconfirmed");
    let now = "Penicillin: hives, moderate; unconfirmed";
    let e = entry(Standing::Refuted, None, now, Some("Task/t1"));
    let held = Some((4, unconfirmed.as_bytes()));
    assert_eq!(meets(&e, held), Ok(true));
    let all = resources(&applied(&e, held, Some((1, task.as_bytes()))).unwrap());
    let urls: Vec<&str> = all.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(urls, ["Task", "AllergyIntolerance/pen", "Task/t1"]);
    let done: Value = serde_json::from_str(&all[2].1).unwrap();
    assert_eq!(done["status"], "completed");
    assert_eq!(done["note"].as_array().unwrap().len(), 2);
    let card = emergency_card(&e.patient, &facts(&all));
    assert!(card.allergies.items.is_empty());
    assert_eq!(card.allergies.negatives[0].text, "Penicillin: refuted");
}

#[test]
fn an_allergy_that_is_gone_can_be_let_go_and_not_be_revived() {
    let e = |standing| entry(standing, None, GONE, Some("Task/t1"));
    assert_eq!(meets(&e(Standing::Resolved), None), Ok(true));
    assert!(applied(&e(Standing::Resolved), None, None).is_ok());
    assert!(
        applied(&e(Standing::Confirmed), None, None)
            .unwrap_err()
            .contains("record it anew")
    );
}

#[test]
fn what_cannot_be_recorded_is_said_at_its_field() {
    let faults = |e: Entry| e.faults(e.at).into_iter().map(|f| f.field).collect::<Vec<_>>();
    let reaction = entry(Standing::Refuted, Some(("hives", Severity::Mild)), SAID, None);
    assert_eq!(faults(reaction), ["reaction"]);
    let with = |change: &dyn Fn(&mut What)| {
        let mut e = entry(Standing::Confirmed, None, SAID, None);
        change(&mut e.what);
        faults(e)
    };
    assert_eq!(
        with(&|w| if let What::AllergyChange { reason, .. } = w {
            reason.clear();
        }),
        ["reason"]
    );
    assert_eq!(
        with(&|w| if let What::AllergyChange { severity, .. } = w {
            *severity = Some(Severity::Mild);
        }),
        ["reaction"]
    );
    assert_eq!(
        with(&|w| if let What::AllergyChange { allergy, .. } = w {
            *allergy = "Observation/1".to_owned();
        }),
        [""]
    );
    assert_eq!(
        with(&|w| if let What::AllergyChange { settles, .. } = w {
            *settles = Some("pen".to_owned());
        }),
        [""]
    );
}
