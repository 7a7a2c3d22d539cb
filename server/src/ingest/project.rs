//! What a resource means to the store: facts for the card, whose it is, what the search needs.
//!
//! Lives here: [`FhirProjector`], the store's window on FHIR. Never here: a rule of the card (that is
//! `vitrine_clinical::card`) or of reading (that is `vitrine_fhir`).
//! Called by the stores' writers, and by `apply` ahead of them so that the writer need not parse.

use serde::{Deserialize, Serialize};
use vitrine_clinical::card::{CardFact, CriticalItem, EmergencyCard, card_slot, labelled_card};
use vitrine_clinical::chart::{Patient, Resource};
use vitrine_clinical::label::{Confidentiality, Label};
use vitrine_clinical::{PatientId, ResourceKey, news2};
use vitrine_store::labels;
use vitrine_store::notes::NoteText;
use vitrine_store::search::fold;
use vitrine_store::{
    Extract, FactOut, FactRow, Lookup, PersonRow, ProjectError, Projection, Projector, Resolved,
};
use vitrine_wire::http::BoardItem;

/// The one projector of the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct FhirProjector;

impl Projector for FhirProjector {
    fn extract(
        &self,
        key: &ResourceKey,
        body: &[u8],
        lookup: &mut Lookup<'_>,
    ) -> Result<Extract, ProjectError> {
        let mut resolved: Vec<Resolved> = Vec::new();
        let mut resolve = |reference: &str| {
            let other = vitrine_fhir::bundle::local_reference(reference)?;
            let found = lookup(&other);
            if !resolved.iter().any(|r| r.key == other) {
                resolved.push(Resolved {
                    key: other,
                    version: found.as_ref().map(|(v, _)| *v),
                });
            }
            found.map(|(_, bytes)| bytes)
        };
        let kind = key.kind.as_str();
        let view = vitrine_fhir::read(kind, body, &mut resolve).map_err(|e| ProjectError(e.to_string()))?;
        let fact = match card_slot(&view) {
            None => None,
            Some(slot) => Some(FactOut {
                slot: slot.slot,
                order_ms: slot.order_ms,
                keep: slot.keep,
                body: fact_body(&view, labels::of_body(body))?,
            }),
        };
        let patient = if kind == "Patient" {
            PatientId::new(key.id.as_str()).ok()
        } else {
            owner(kind, body)
        };
        Ok(Extract {
            patient,
            identifiers: vitrine_fhir::identifiers(body)
                .into_iter()
                .map(|(system, value)| (system.unwrap_or_default(), value))
                .collect(),
            fact,
            resolved,
            person: match &view {
                Resource::Patient(p) => Some(person(p)),
                _ => None,
            },
        })
    }

    fn note(&self, key: &ResourceKey, body: &[u8]) -> Result<NoteText, ProjectError> {
        let said = vitrine_fhir::note(key.kind.as_str(), body).map_err(|e| ProjectError(e.to_string()))?;
        Ok(NoteText {
            text: said.text,
            whole: said.whole,
        })
    }

    fn project(&self, patient: &PatientId, facts: &[FactRow]) -> Result<Projection, ProjectError> {
        let facts = facts
            .iter()
            .map(|f| {
                let (resource, label) = read_fact(&f.body).map_err(|_| {
                    ProjectError(format!("the fact of {} was not made by this program", f.key))
                })?;
                let fact = CardFact {
                    key: f.key.clone(),
                    version: f.version,
                    resource,
                };
                Ok((fact, label))
            })
            .collect::<Result<Vec<_>, ProjectError>>()?;
        let card = labelled_card(patient, facts);
        let write = |e: serde_json::Error| ProjectError(format!("writing a projection: {e}"));
        let ward = card.place.as_ref().and_then(|p| p.ward.clone());
        let board = match (&ward, board_item(&card)) {
            (Some(_), Some(item)) => Some(serde_json::to_vec(&item).map_err(write)?),
            _ => None,
        };
        Ok(Projection {
            card: serde_json::to_vec(&card).map_err(write)?,
            board,
            ward,
            also_wards: Vec::new(),
        })
    }
}

/// A fact with its label. One without a label is the view alone.
#[derive(Serialize, Deserialize)]
struct Labelled<R> {
    label: Label,
    resource: R,
}

/// What a labelled fact begins with; no view does.
const LABELLED: &[u8] = b"{\"label\":";

fn fact_body(view: &Resource, label: Label) -> Result<Vec<u8>, ProjectError> {
    let body = if label.is_none() {
        serde_json::to_vec(view)
    } else {
        serde_json::to_vec(&Labelled {
            label,
            resource: view,
        })
    };
    body.map_err(|e| ProjectError(format!("writing a fact: {e}")))
}

fn read_fact(body: &[u8]) -> serde_json::Result<(Resource, Label)> {
    if body.starts_with(LABELLED) {
        let fact: Labelled<Resource> = serde_json::from_slice(body)?;
        return Ok((fact.resource, fact.label));
    }
    Ok((serde_json::from_slice(body)?, Label::NONE))
}

/// The patient a resource belongs to, where its reference is one on this server.
#[must_use]
pub fn owner(kind: &str, body: &[u8]) -> Option<PatientId> {
    let reference = vitrine_fhir::compartment(kind, body)?;
    let key = vitrine_fhir::bundle::local_reference(&reference)?;
    (key.kind.as_str() == "Patient").then(|| PatientId::new(key.id.as_str()).ok())?
}

/// What a board says: what everybody of the ward may see. That a result is critical is said whatever its label, because a
/// mark has no value.
fn board_item(card: &EmergencyCard) -> Option<BoardItem> {
    let all = card;
    let card = &card.clone().seen_with(Confidentiality::Restricted);
    let words = |block: &vitrine_clinical::card::Block<vitrine_clinical::card::StatementItem>| {
        block.items.iter().map(|i| i.text.clone()).collect::<Vec<_>>()
    };
    let mut flags = words(&card.isolation);
    flags.extend(words(&card.flags));
    Some(BoardItem {
        identity: card.identity.clone(),
        place: card.place.clone()?,
        allergies: card.allergies.state,
        flags,
        code_status: card.code_status.items.first().map(|i| i.text.clone()),
        critical: all
            .critical
            .as_ref()
            .map(|all| all.iter().map(CriticalItem::mark).collect()),
        news2: card.news2.clone().map(news2::Basis::without_values),
    })
}

fn person(p: &Patient) -> PersonRow {
    let mut parts: Vec<String> = Vec::new();
    for text in p
        .names
        .iter()
        .flat_map(|n| n.family.iter().chain(&n.given).chain(&n.text))
    {
        let folded = fold(text);
        for word in folded.split_whitespace() {
            if !parts.iter().any(|p| p == word) {
                parts.push(word.to_owned());
            }
        }
    }
    PersonRow {
        names_folded: parts.join(" "),
        birth_date: p.birth_date.as_ref().map(|d| d.as_str().to_owned()),
        numbers: p.identifiers.iter().filter_map(|i| i.value.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_belongs_to_the_patient_it_names() {
        let obs = br#"{"resourceType":"Observation","subject":{"reference":"Patient/p1/_history/3"}}"#;
        assert_eq!(owner("Observation", obs).unwrap().as_str(), "p1");
        for other in [
            br#"{"resourceType":"Observation","subject":{"reference":"Group/p1"}}"#.as_slice(),
            br#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:9d7b5d5e-6a2b-4a0c-9d42-3c1d4e0f8a11"}}"#,
            br#"{"resourceType":"Observation"}"#,
        ] {
            assert_eq!(owner("Observation", other), None);
        }
    }
}
