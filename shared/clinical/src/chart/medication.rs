//! Medicines: Medication, MedicationRequest, MedicationStatement, MedicationAdministration.

use super::{Concept, PartialDate, Period, Quantity, Ref, is_false};
use serde::{Deserialize, Serialize};

/// FHIR `Medication`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Medication {
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// `active`, `inactive`, `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Concept>,
    /// Ingredients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<Concept>,
}

/// FHIR `Dosage`, what of it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dosage {
    /// The free-text sig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Words for the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_instruction: Option<String>,
    /// Timing in words: `timing.code`, else built from `timing.repeat`, e.g. "3 times per day".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing: Option<String>,
    /// Begin and end of `timing.repeat.boundsPeriod`.
    pub bounds: Period,
    /// "as needed", with the reason where recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_needed: Option<String>,
    /// Route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Concept>,
    /// Dose, low end where it is a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose: Option<Quantity>,
    /// High end of a dose range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose_high: Option<Quantity>,
    /// Rate in words, digits as recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
}

/// FHIR `MedicationRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MedicationRequest {
    /// `active`, `on-hold`, `cancelled`, `completed`, `entered-in-error`, `stopped`, `draft`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it has that status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<Concept>,
    /// `proposal`, `plan`, `order`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The request is *not* to give it.
    #[serde(skip_serializing_if = "is_false")]
    pub do_not_perform: bool,
    /// Told by the patient or another record.
    #[serde(skip_serializing_if = "is_false")]
    pub reported: bool,
    /// The medicine; a referenced Medication is resolved into this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medication: Option<Concept>,
    /// Ingredients of a referenced Medication.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<Concept>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// When written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authored: Option<PartialDate>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<Ref>,
    /// Reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Concept>,
    /// Sigs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dosages: Vec<Dosage>,
    /// `dispenseRequest.validityPeriod`.
    pub validity: Period,
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

/// FHIR `MedicationStatement`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MedicationStatement {
    /// `active`, `completed`, `entered-in-error`, `intended`, `stopped`, `on-hold`, `unknown`, `not-taken`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it has that status.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status_reasons: Vec<Concept>,
    /// The medicine; a referenced Medication is resolved into this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medication: Option<Concept>,
    /// Ingredients of a referenced Medication.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<Concept>,
    /// When taken.
    pub effective: Period,
    /// When said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asserted: Option<PartialDate>,
    /// Who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Ref>,
    /// Reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Concept>,
    /// Sigs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dosages: Vec<Dosage>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}

/// FHIR `MedicationAdministration`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MedicationAdministration {
    /// `in-progress`, `not-done`, `on-hold`, `completed`, `entered-in-error`, `stopped`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The medicine; a referenced Medication is resolved into this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medication: Option<Concept>,
    /// Ingredients of a referenced Medication.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<Concept>,
    /// When given.
    pub effective: Period,
    /// Who gave it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performers: Vec<Ref>,
    /// What was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dosage: Option<Dosage>,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Ref>,
}
