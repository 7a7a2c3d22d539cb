//! How a store learns what a resource means without knowing FHIR.

use crate::notes::NoteText;
use serde::{Deserialize, Serialize};
use vitrine_clinical::{PatientId, ResourceKey, WardId};

/// A referenced resource that was looked up, with the version seen (`None` = was not there).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Which resource.
    pub key: ResourceKey,
    /// The version it had, if any.
    pub version: Option<u64>,
}

/// What a store keeps of a resource beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extract {
    /// Whose record it belongs to (patient compartment); for a Patient resource, itself.
    pub patient: Option<PatientId>,
    /// `(system, value)` of its identifiers, for conditional references.
    pub identifiers: Vec<(String, String)>,
    /// What the card needs of it.
    pub fact: Option<FactOut>,
    /// Resources its fact was resolved from: when one of them changes, the fact is extracted anew.
    pub resolved: Vec<Resolved>,
    /// For a Patient: what the search needs.
    pub person: Option<PersonRow>,
}

/// A fact to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactOut {
    /// Slot; the newest `keep` facts of a slot take part in the card.
    pub slot: String,
    /// Order within the slot, greatest is newest.
    pub order_ms: i64,
    /// How many of the slot the card needs.
    pub keep: u32,
    /// The fact itself (the store does not look inside).
    pub body: Vec<u8>,
}

/// A fact as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow {
    /// The resource.
    pub key: ResourceKey,
    /// Our version of it.
    pub version: u64,
    /// The fact.
    pub body: Vec<u8>,
}

/// What the patient search needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PersonRow {
    /// All name parts, folded (lower case, no diacritics), separated by blanks.
    pub names_folded: String,
    /// Birth date as recorded.
    pub birth_date: Option<String>,
    /// All identifier values.
    pub numbers: Vec<String>,
}

/// What follows from all facts of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The emergency card as JSON: the body of the patient's item in `ess:…` scopes.
    pub card: Vec<u8>,
    /// The board row as JSON, when the patient is in a ward.
    pub board: Option<Vec<u8>>,
    /// The ward the patient is in.
    pub ward: Option<WardId>,
    /// The patient expected in or boarding for further wards (their essentials scopes hold the card too).
    pub also_wards: Vec<WardId>,
}

/// The resource or the facts cannot be read. Carries no PHI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProjectError(pub String);

/// Looks up another resource's bytes and version while extracting.
pub type Lookup<'a> = dyn FnMut(&ResourceKey) -> Option<(u64, Vec<u8>)> + 'a;

/// Gives a store the meaning of resources. Pure: the same input gives the same output.
pub trait Projector: Send + Sync + 'static {
    /// Reads one resource.
    ///
    /// # Errors
    /// [`ProjectError`] when the bytes are not what `key.kind` says.
    fn extract(
        &self,
        key: &ResourceKey,
        body: &[u8],
        lookup: &mut Lookup<'_>,
    ) -> Result<Extract, ProjectError>;

    /// The text of a note, for searching it by its words ([`crate::notes`]).
    ///
    /// # Errors
    /// As [`Self::extract`].
    fn note(&self, key: &ResourceKey, body: &[u8]) -> Result<NoteText, ProjectError>;

    /// Derives card, board row and ward from the facts the slots keep.
    ///
    /// # Errors
    /// [`ProjectError`] when a fact is not one this projector made.
    fn project(&self, patient: &PatientId, facts: &[FactRow]) -> Result<Projection, ProjectError>;
}
