//! Words: DiagnosticReport, DocumentReference.

use super::{Concept, PartialDate, Ref};
use serde::{Deserialize, Serialize};

/// FHIR `Attachment`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// MIME type as recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The decoded text of an inline `text/plain` attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it is, when it is not inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// FHIR `DiagnosticReport`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DiagnosticReport {
    /// `registered`, `partial`, `preliminary`, `final`, `amended`, `corrected`, `appended`, `cancelled`,
    /// `entered-in-error`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// What kind of report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Concept>,
    /// Clinically relevant time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<PartialDate>,
    /// Published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<PartialDate>,
    /// By whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performers: Vec<Ref>,
    /// Observations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Ref>,
    /// Conclusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
    /// Coded conclusions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conclusion_codes: Vec<Concept>,
    /// `presentedForm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Encounter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Ref>,
}

/// FHIR `DocumentReference`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DocumentReference {
    /// `current`, `superseded`, `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `preliminary`, `final`, `amended`, `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc_status: Option<String>,
    /// Type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Concept>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Concept>,
    /// When made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<PartialDate>,
    /// By whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<Ref>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `content.attachment`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Encounters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encounters: Vec<Ref>,
}
