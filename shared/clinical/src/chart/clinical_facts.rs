//! What is wrong with the patient: AllergyIntolerance and Condition.

use super::{Concept, PartialDate, Ref};
use serde::{Deserialize, Serialize};

/// FHIR `AllergyIntolerance`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AllergyIntolerance {
    /// `active`, `inactive`, `resolved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clinical_status: Option<String>,
    /// `unconfirmed`, `confirmed`, `refuted`, `entered-in-error` (R5: `presumed`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<String>,
    /// `allergy`, `intolerance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `food`, `medication`, `environment`, `biologic`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// `low`, `high`, `unable-to-assess`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criticality: Option<String>,
    /// The agent, or a statement of absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// Onset date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset: Option<PartialDate>,
    /// Onset in other words (age, text).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset_text: Option<String>,
    /// Recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<PartialDate>,
    /// Who wrote it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Ref>,
    /// Who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asserter: Option<Ref>,
    /// Last reaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_occurrence: Option<PartialDate>,
    /// Reactions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}

/// `AllergyIntolerance.reaction`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reaction {
    /// Specific substance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substance: Option<Concept>,
    /// Manifestations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifestations: Vec<Concept>,
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `mild`, `moderate`, `severe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset: Option<PartialDate>,
}

/// FHIR `Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `active`, `recurrence`, `relapse`, `inactive`, `remission`, `resolved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clinical_status: Option<String>,
    /// `unconfirmed`, `provisional`, `differential`, `confirmed`, `refuted`, `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<String>,
    /// Categories, e.g. `problem-list-item`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// The problem, or a statement of absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// Severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Concept>,
    /// Body sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub body_sites: Vec<Concept>,
    /// Onset date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset: Option<PartialDate>,
    /// Onset in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset_text: Option<String>,
    /// Abatement date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abatement: Option<PartialDate>,
    /// Abatement in other words, also set when only an age, a range or a text was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abatement_text: Option<String>,
    /// Recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<PartialDate>,
    /// Who wrote it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Ref>,
    /// Who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asserter: Option<Ref>,
    /// Encounter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Ref>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}
