//! Typed views of the FHIR resources we show, named after them. They hold what a screen or the card needs, in exact
//! text: decimals are digits, dates stay as partial as recorded. They are stored as JSON, so a field may be added but
//! not renamed without a migration.
//!
//! Never here: bytes of a format (that is `fhir`), a decision about what to show (that is `card` and `summary`).
//! Called by `card`, `summary`, `fhir` (which makes them), the stores and both ends.

use serde::{Deserialize, Serialize};

mod act;
mod clinical_facts;
mod document;
mod encounter;
mod medication;
mod observation;
mod person;
mod provenance;
mod value;

pub use act::{
    Consent, Device, DeviceUseStatement, Flag, FocalDevice, Immunization, Procedure, ServiceRequest, Task,
    TaskPart,
};
pub use clinical_facts::{AllergyIntolerance, Condition, Reaction};
pub use document::{Attachment, DiagnosticReport, DocumentReference};
pub use encounter::{Encounter, EncounterLocation, Location, LocationStep, Participant};
pub use medication::{Dosage, Medication, MedicationAdministration, MedicationRequest, MedicationStatement};
pub use observation::{Component, Observation, ReferenceRange, Value};
pub use person::{
    ContactPoint, HumanName, Identifier, Organization, Patient, PatientContact, PatientLink, Practitioner,
    RelatedPerson, preferred_name,
};
pub use provenance::Provenance;
pub(crate) use value::is_false;
pub use value::{
    Coding, Concept, DATA_ABSENT_REASON, Decimal, DecimalError, LOINC, NULL_FLAVOR, PartialDate, Period,
    Quantity, Ref, SNOMED,
};

/// A typed view of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// Patient.
    Patient(Patient),
    /// RelatedPerson.
    RelatedPerson(RelatedPerson),
    /// Practitioner.
    Practitioner(Practitioner),
    /// Organization.
    Organization(Organization),
    /// Location.
    Location(Location),
    /// Encounter.
    Encounter(Encounter),
    /// AllergyIntolerance.
    AllergyIntolerance(AllergyIntolerance),
    /// Condition.
    Condition(Condition),
    /// Medication.
    Medication(Medication),
    /// MedicationRequest.
    MedicationRequest(MedicationRequest),
    /// MedicationStatement.
    MedicationStatement(MedicationStatement),
    /// MedicationAdministration.
    MedicationAdministration(MedicationAdministration),
    /// Observation.
    Observation(Observation),
    /// DiagnosticReport.
    DiagnosticReport(DiagnosticReport),
    /// DocumentReference.
    DocumentReference(DocumentReference),
    /// Flag.
    Flag(Flag),
    /// Procedure.
    Procedure(Procedure),
    /// Immunization.
    Immunization(Immunization),
    /// Device.
    Device(Device),
    /// DeviceUseStatement.
    DeviceUseStatement(DeviceUseStatement),
    /// Consent.
    Consent(Consent),
    /// ServiceRequest.
    ServiceRequest(ServiceRequest),
    /// Task.
    Task(Task),
    /// Provenance.
    Provenance(Provenance),
    /// A type we keep byte for byte and do not show.
    Other,
}

/// The resource types that have a view; all others are kept byte for byte and read as [`Resource::Other`].
pub const VIEWED_TYPES: [&str; 24] = [
    "Patient",
    "RelatedPerson",
    "Practitioner",
    "Organization",
    "Location",
    "Encounter",
    "AllergyIntolerance",
    "Condition",
    "Medication",
    "MedicationRequest",
    "MedicationStatement",
    "MedicationAdministration",
    "Observation",
    "DiagnosticReport",
    "DocumentReference",
    "Flag",
    "Procedure",
    "Immunization",
    "Device",
    "DeviceUseStatement",
    "Consent",
    "ServiceRequest",
    "Task",
    "Provenance",
];

fn first_ms(dates: &[Option<&PartialDate>]) -> Option<i64> {
    dates.iter().flatten().find_map(|d| d.order_ms())
}

impl Resource {
    /// When the resource was stated, by its own words (recorded, authored, effective, asserted), ms since 1970 UTC.
    /// A date without a zone is taken as UTC; for ordering and the blocks' as-of.
    #[must_use]
    pub fn stated_ms(&self) -> Option<i64> {
        match self {
            Self::Patient(r) => first_ms(&[r.last_updated.as_ref()]),
            Self::RelatedPerson(r) => first_ms(&[r.period.start.as_ref(), r.last_updated.as_ref()]),
            Self::Location(r) => first_ms(&[r.last_updated.as_ref()]),
            Self::Encounter(r) => first_ms(&[r.period.start.as_ref()]),
            Self::AllergyIntolerance(r) => {
                first_ms(&[r.recorded.as_ref(), r.last_updated.as_ref(), r.onset.as_ref()])
            }
            Self::Condition(r) => first_ms(&[r.recorded.as_ref(), r.last_updated.as_ref(), r.onset.as_ref()]),
            Self::MedicationRequest(r) => first_ms(&[r.authored.as_ref(), r.last_updated.as_ref()]),
            Self::MedicationStatement(r) => first_ms(&[
                r.asserted.as_ref(),
                r.effective.start.as_ref(),
                r.last_updated.as_ref(),
            ]),
            Self::MedicationAdministration(r) => {
                first_ms(&[r.effective.start.as_ref(), r.effective.end.as_ref()])
            }
            Self::Observation(r) => first_ms(&[r.effective.as_ref(), r.issued.as_ref()]),
            Self::DiagnosticReport(r) => first_ms(&[r.effective.as_ref(), r.issued.as_ref()]),
            Self::DocumentReference(r) => first_ms(&[r.date.as_ref()]),
            Self::Flag(r) => first_ms(&[r.period.start.as_ref(), r.last_updated.as_ref()]),
            Self::Procedure(r) => first_ms(&[r.performed.start.as_ref(), r.performed.end.as_ref()]),
            Self::Immunization(r) => first_ms(&[r.occurrence.as_ref()]),
            Self::Device(r) => first_ms(&[r.last_updated.as_ref(), r.manufactured.as_ref()]),
            Self::DeviceUseStatement(r) => first_ms(&[r.recorded.as_ref(), r.timing.start.as_ref()]),
            Self::Consent(r) => first_ms(&[r.date.as_ref(), r.period.start.as_ref()]),
            Self::ServiceRequest(r) => first_ms(&[r.authored.as_ref()]),
            Self::Task(r) => first_ms(&[r.authored.as_ref()]),
            Self::Provenance(r) => first_ms(&[r.recorded.as_ref()]),
            Self::Practitioner(_) | Self::Organization(_) | Self::Medication(_) | Self::Other => None,
        }
    }
}
