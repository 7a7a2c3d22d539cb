//! Provenance: what a resource said before it was corrected.

use super::{Concept, Observation, PartialDate, Ref};
use serde::{Deserialize, Serialize};

/// FHIR `Provenance`, as far as it says what an Observation said before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// What it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Ref>,
    /// When the change was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<PartialDate>,
    /// Why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Concept>,
    /// The contained Observation that an entity of the role `revision` points to: the target as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Observation>>,
}
