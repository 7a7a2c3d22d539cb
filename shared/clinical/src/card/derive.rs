//! From facts to the card.

use super::*;
use crate::chart::Resource;

/// One resource as the card sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFact {
    /// The resource.
    pub key: ResourceKey,
    /// Our version of it.
    pub version: u64,
    /// Its typed view, names of referenced practitioners, medications and locations already resolved.
    pub resource: Resource,
}

/// Where a resource stands among a patient's facts: the store keeps the newest `keep` of each slot, so that a card
/// costs the same for a patient with 20 resources and one with 131,000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSlot {
    /// e.g. `allergy`, `medication`, `vital:8867-4`.
    pub slot: String,
    /// Order within the slot; the greatest are kept.
    pub order_ms: i64,
    /// How many to keep; `u32::MAX` keeps all.
    pub keep: u32,
}

/// The slot of a resource, or `None` when the card does not need it.
#[must_use]
pub fn card_slot(_resource: &Resource) -> Option<CardSlot> {
    None
}

/// Derives the card. `facts` are the patient's facts in any order.
#[must_use]
pub fn emergency_card(patient: &PatientId, _facts: &[CardFact]) -> EmergencyCard {
    fn none<T>() -> Block<T> {
        Block { state: BlockState::NotRecorded, items: Vec::new(), as_of: None }
    }
    EmergencyCard {
        patient: patient.clone(),
        identity: None,
        place: None,
        allergies: AllergyBlock {
            state: AllergyState::NotRecorded,
            items: Vec::new(),
            negatives: Vec::new(),
            conflict: false,
            as_of: None,
        },
        medications: none(),
        recently_stopped: Vec::new(),
        medication_statements: Vec::new(),
        conditions: none(),
        condition_statements: Vec::new(),
        code_status: none(),
        devices: none(),
        weight: none(),
        vitals: none(),
        labs: none(),
        blood_group: none(),
        isolation: none(),
        flags: none(),
        contacts: none(),
    }
}
