//! The card for whoever may see less than everything of a record.
//!
//! A card that is reduced is derived by the same function from fewer facts, so that every count, state and score of it
//! rests on what is shown. Allergies are in every card: what a drug must not be given for is never a secret from who
//! gives it. So are who and where the patient is.

use super::{CardFact, EmergencyCard, emergency_card};
use crate::PatientId;
use crate::chart::Resource;
use crate::label::{Confidentiality, Label};
use serde::{Deserialize, Serialize};

/// The card as seen with a clearance that does not cover everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduced {
    /// Up to which level is seen.
    pub clearance: Confidentiality,
    /// What is seen then.
    pub card: EmergencyCard,
}

/// In every card, whatever the label: allergies and their changes, who the patient is and where.
const fn always(resource: &Resource) -> bool {
    matches!(
        resource,
        Resource::AllergyIntolerance(_) | Resource::Task(_) | Resource::Patient(_) | Resource::Encounter(_)
    )
}

/// Derives the card from facts and their labels, with the cards of those who may not see all of it.
#[must_use]
pub fn labelled_card(patient: &PatientId, facts: Vec<(CardFact, Label)>) -> EmergencyCard {
    let of_person = facts
        .iter()
        .filter(|(f, _)| matches!(f.resource, Resource::Patient(_)));
    let label = of_person.fold(Label::NONE, |all, (_, label)| all.and(*label));
    let mut reduced = Vec::new();
    for clearance in [Confidentiality::Normal, Confidentiality::Restricted] {
        let hides = |(f, of): &(CardFact, Label)| {
            !matches!(f.resource, Resource::Patient(_)) && of.level() > clearance
        };
        if !facts.iter().any(hides) {
            continue;
        }
        // A reason may be the name of a problem that is left out.
        let reasons = !facts.iter().any(|f| hides(f) && names_a_reason(&f.0.resource));
        let seen = facts.iter().filter(|f| !hides(f) || always(&f.0.resource));
        let seen: Vec<CardFact> = seen.map(|(f, _)| with_reasons(f, reasons)).collect();
        reduced.push(Reduced {
            clearance,
            card: EmergencyCard {
                label,
                withheld: true,
                ..emergency_card(patient, &seen)
            },
        });
    }
    let facts: Vec<CardFact> = facts.into_iter().map(|(f, _)| f).collect();
    EmergencyCard {
        label,
        reduced,
        ..emergency_card(patient, &facts)
    }
}

const fn names_a_reason(resource: &Resource) -> bool {
    matches!(
        resource,
        Resource::Condition(_) | Resource::Encounter(_) | Resource::Observation(_) | Resource::Procedure(_)
    )
}

fn with_reasons(fact: &CardFact, reasons: bool) -> CardFact {
    let mut fact = fact.clone();
    if let (Resource::Encounter(e), false) = (&mut fact.resource, reasons) {
        e.reasons.clear();
    }
    fact
}

impl EmergencyCard {
    /// The card as seen with a clearance.
    #[must_use]
    pub fn seen_with(self, clearance: Confidentiality) -> Self {
        let mut all = self;
        let less = all.reduced.iter().position(|r| r.clearance >= clearance);
        match less {
            Some(i) if clearance < Confidentiality::VeryRestricted => all.reduced.swap_remove(i).card,
            _ => Self {
                reduced: Vec::new(),
                ..all
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::AllergyState;
    use crate::chart::{AllergyIntolerance, Concept, Condition, Encounter};
    use crate::{ResourceKey, label};

    fn fact(key: &str, resource: Resource, code: &str) -> (CardFact, Label) {
        let fact = CardFact {
            key: ResourceKey::parse(key).unwrap(),
            version: 1,
            resource,
        };
        (fact, Label::NONE.with(Some(label::CONFIDENTIALITY), code))
    }
    fn words(text: &str) -> Concept {
        Concept {
            text: Some(text.to_owned()),
            ..Concept::default()
        }
    }
    fn problem(key: &str, text: &str, code: &str) -> (CardFact, Label) {
        let c = Condition {
            code: Some(words(text)),
            clinical_status: Some("active".to_owned()),
            ..Condition::default()
        };
        fact(key, Resource::Condition(c), code)
    }

    #[test]
    fn each_clearance_has_its_card_and_no_allergy_is_ever_left_out() {
        let allergy = AllergyIntolerance {
            code: Some(words("Penicillin")),
            clinical_status: Some("active".to_owned()),
            ..AllergyIntolerance::default()
        };
        let encounter = Encounter {
            status: Some("in-progress".to_owned()),
            reasons: vec![words("Overdose")],
            ..Encounter::default()
        };
        let facts = vec![
            fact("AllergyIntolerance/a", Resource::AllergyIntolerance(allergy), "V"),
            problem("Condition/n", "Asthma", "N"),
            problem("Condition/r", "HIV infection", "R"),
            problem("Condition/v", "Overdose", "V"),
            fact("Encounter/e", Resource::Encounter(encounter), "N"),
        ];
        let patient = PatientId::new("p").unwrap();
        let card = labelled_card(&patient, facts.clone());
        let seen = |clearance| {
            let card = card.clone().seen_with(clearance);
            assert!(card.reduced.is_empty());
            assert_eq!(card.allergies.state, AllergyState::Known);
            let problems = card
                .conditions
                .items
                .iter()
                .map(|c| c.text.clone())
                .collect::<Vec<_>>();
            let reason = card.place.and_then(|p| p.reason);
            (problems.join(","), card.withheld, reason.is_some())
        };
        let (n, r, v) = (
            seen(Confidentiality::Normal),
            seen(Confidentiality::Restricted),
            seen(Confidentiality::VeryRestricted),
        );
        assert_eq!(n, ("Asthma".to_owned(), true, false));
        assert!(
            r.0.contains("HIV") && !r.0.contains("Overdose") && r.1 && !r.2,
            "{r:?}"
        );
        assert!(v.0.contains("Overdose") && !v.1 && v.2, "{v:?}");

        let plain: Vec<_> = facts.into_iter().map(|(f, _)| (f, Label::NONE)).collect();
        let bare: Vec<_> = plain.iter().map(|(f, _)| f.clone()).collect();
        let card = labelled_card(&patient, plain);
        assert_eq!(
            card,
            emergency_card(&patient, &bare),
            "without labels nothing changes"
        );
        let text = serde_json::to_string(&card).unwrap();
        assert!(!text.contains("reduced") && !text.contains("withheld") && !text.contains("\"label\":["));
    }
}
