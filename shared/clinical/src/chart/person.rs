//! People: Patient, RelatedPerson, Practitioner.

use super::{Concept, PartialDate, Period, Ref, is_false};
use serde::{Deserialize, Serialize};

/// FHIR `HumanName`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HumanName {
    /// `usual`, `official`, `maiden`, `old`, …
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// The whole name as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Given names in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// Titles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
    /// Suffixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suffix: Vec<String>,
    /// The name is no longer used (its period has an end, or its use is `old`).
    #[serde(skip_serializing_if = "is_false")]
    pub ended: bool,
}

/// FHIR `Identifier`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identifier {
    /// `usual`, `official`, `temp`, `secondary`, `old`.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Type, e.g. `MR` of v2-0203.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Concept>,
    /// Namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// FHIR `ContactPoint`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactPoint {
    /// `phone`, `email`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Number or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `home`, `work`, `mobile`, `old`.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
}

/// `Patient.contact`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PatientContact {
    /// Relationships in words or codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<Concept>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<HumanName>,
    /// Phones and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub telecom: Vec<ContactPoint>,
}

/// `Patient.link`: this record and another describe one person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PatientLink {
    /// `replaced-by`, `replaces`, `refer`, `seealso`.
    pub kind: String,
    /// The other record.
    pub other: Ref,
}

/// FHIR `Patient`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Patient {
    /// `false` only when the record says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<HumanName>,
    /// Identifiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Identifier>,
    /// Phones and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub telecom: Vec<ContactPoint>,
    /// Birth date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<PartialDate>,
    /// `male`, `female`, `other`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// Date of death, or "yes".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deceased: Option<String>,
    /// Whom to call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<PatientContact>,
    /// Languages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Concept>,
    /// Usual practitioners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub general_practitioners: Vec<Ref>,
    /// Address lines as recorded, first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Links to other records of this person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<PatientLink>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}

/// FHIR `RelatedPerson`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RelatedPerson {
    /// `false` only when the record says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<HumanName>,
    /// Relationships.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relationships: Vec<Concept>,
    /// Phones and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub telecom: Vec<ContactPoint>,
    /// When it holds.
    pub period: Period,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}

/// FHIR `Practitioner`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Practitioner {
    /// `false` only when the record says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<HumanName>,
    /// Identifiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Identifier>,
    /// Phones and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub telecom: Vec<ContactPoint>,
    /// Qualifications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub qualifications: Vec<Concept>,
}

/// FHIR `Organization`: only its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The name in use: `official` and `usual` before others, ended ones last.
#[must_use]
pub fn preferred_name(names: &[HumanName]) -> Option<&HumanName> {
    names.iter().min_by_key(|n| {
        let usage = match n.usage.as_deref() {
            Some("official") => 0,
            Some("usual") => 1,
            None => 2,
            Some("temp" | "nickname" | "anonymous") => 3,
            Some("maiden" | "old") => 5,
            Some(_) => 4,
        };
        (n.ended, usage)
    })
}
