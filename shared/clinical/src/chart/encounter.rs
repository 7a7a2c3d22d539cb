//! Where the patient is: Encounter, Location.

use super::{Concept, PartialDate, Period, Ref};
use serde::{Deserialize, Serialize};

/// FHIR `Encounter`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Encounter {
    /// `planned`, `arrived`, `triaged`, `in-progress`, `onleave`, `finished`, `cancelled`, `entered-in-error`,
    /// `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `EMER`, `IMP`, `AMB`, … (v3 ActCode).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Concept>,
    /// Urgency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Concept>,
    /// When.
    pub period: Period,
    /// Reasons, also the names of referenced conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Concept>,
    /// Where, in the record's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<EncounterLocation>,
    /// Who, with role words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<Participant>,
    /// The organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_provider: Option<Ref>,
    /// `hospitalization.dischargeDisposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discharge: Option<Concept>,
}

/// `Encounter.participant`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Participant {
    /// Role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Concept>,
    /// Who.
    pub who: Ref,
}

/// `Encounter.location`, with the chain of locations it lies in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EncounterLocation {
    /// The location.
    pub location: Ref,
    /// `planned`, `active`, `reserved`, `completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When.
    pub period: Period,
    /// The location itself and what it is part of, innermost first; empty when it could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<LocationStep>,
}

/// One level of the place: bed, room, ward, …
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LocationStep {
    /// Logical id of the Location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `bd` bed, `ro` room, `wa` ward, `area`, `wi` wing, `bu` building, `si` site (location-physical-type).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_type: Option<String>,
}

/// FHIR `Location`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Location {
    /// `active`, `suspended`, `inactive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What kind of place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_type: Option<Concept>,
    /// Functions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Concept>,
    /// What it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<Ref>,
    /// `instance`, `kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `meta.lastUpdated` as the bytes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<PartialDate>,
}
