//! Acts, wishes and things: Flag, Procedure, Immunization, Device, DeviceUseStatement, Consent, ServiceRequest, Task.

use super::{Concept, PartialDate, Period, Ref, is_false};
use serde::{Deserialize, Serialize};

/// FHIR `Flag`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Flag {
    /// `active`, `inactive`, `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// What to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// When it holds.
    pub period: Period,
    /// Who raised it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Ref>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}

/// FHIR `Procedure`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Procedure {
    /// `preparation`, `in-progress`, `not-done`, `on-hold`, `stopped`, `completed`, `entered-in-error`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Concept>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// When.
    pub performed: Period,
    /// When, in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performed_text: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performers: Vec<Ref>,
    /// Why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Concept>,
    /// Where on the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub body_sites: Vec<Concept>,
    /// `focalDevice`: what was done with which device (`implanted`, `explanted`, `manipulated`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<FocalDevice>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Encounter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Ref>,
}

/// `Procedure.focalDevice`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FocalDevice {
    /// What was done with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Concept>,
    /// The device.
    pub device: Ref,
}

/// FHIR `Immunization`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Immunization {
    /// `completed`, `entered-in-error`, `not-done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The vaccine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vaccine: Option<Concept>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<PartialDate>,
    /// When, in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence_text: Option<String>,
    /// Lot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// Site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Concept>,
    /// Dose number in its series, as recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose_number: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performers: Vec<Ref>,
}

/// FHIR `Device`, where it belongs to a patient.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// `active`, `inactive`, `entered-in-error`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Concept>,
    /// Name given by user or maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufactured: Option<PartialDate>,
    /// True when the record says whose it is.
    #[serde(skip_serializing_if = "is_false")]
    pub of_patient: bool,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}

/// FHIR `DeviceUseStatement`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceUseStatement {
    /// `active`, `completed`, `entered-in-error`, `intended`, `stopped`, `on-hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The device, named.
    pub device: Ref,
    /// When.
    pub timing: Period,
    /// Recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<PartialDate>,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Ref>,
    /// Where on the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_site: Option<Concept>,
}

/// FHIR `Consent`: only what an advance directive needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Consent {
    /// `draft`, `proposed`, `active`, `rejected`, `inactive`, `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `adr` (advance care directive), `patient-privacy`, `research`, `treatment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Concept>,
    /// Categories, e.g. `dnr`, `acd`, `polst`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// When given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<PartialDate>,
    /// Who gave it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performers: Vec<Ref>,
    /// `permit` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision: Option<String>,
    /// What is permitted or denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provision_codes: Vec<Concept>,
    /// When it holds.
    pub period: Period,
}

/// FHIR `ServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceRequest {
    /// `draft`, `active`, `on-hold`, `revoked`, `completed`, `entered-in-error`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `proposal`, `plan`, `directive`, `order`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// What.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// The request is *not* to do it.
    #[serde(skip_serializing_if = "is_false")]
    pub do_not_perform: bool,
    /// When written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authored: Option<PartialDate>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<Ref>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// FHIR `Task`, as far as it says what somebody did about a result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// `requested`, `rejected`, `completed`, `entered-in-error`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// How it stands, in the place's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_status: Option<Concept>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus: Option<Ref>,
    /// Who does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Ref>,
    /// When written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authored: Option<PartialDate>,
    /// What went in, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<TaskPart>,
    /// What came out, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<TaskPart>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `Task.input`, `Task.output`: only those that are text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskPart {
    /// What it is.
    pub kind: Concept,
    /// The text.
    pub text: String,
}
