//! Whose a resource is: the patient reference of each R4 type in the patient compartment.
//!
//! The table follows the Patient CompartmentDefinition of FHIR R4 (hl7.org/fhir/R4/compartmentdefinition-patient.html),
//! narrowed to the element that says whose record it is: a patient who merely recorded or asserted something about
//! another is not its owner. Device is added, because an implant belongs to its patient.

use crate::issue::{FhirError, IssueCode};
use crate::json::Node;
use fhirkit::Json;

/// Type, then the paths to try in order; a path's parts are member names, arrays are walked.
const OWNERS: &[(&str, &[&str])] = &[
    ("Account", &["subject"]),
    ("AdverseEvent", &["subject"]),
    ("AllergyIntolerance", &["patient"]),
    ("Appointment", &["participant.actor"]),
    ("AppointmentResponse", &["actor"]),
    ("AuditEvent", &["entity.what", "agent.who"]),
    ("Basic", &["subject"]),
    ("BodyStructure", &["patient"]),
    ("CarePlan", &["subject"]),
    ("CareTeam", &["subject"]),
    ("ChargeItem", &["subject"]),
    ("Claim", &["patient"]),
    ("ClaimResponse", &["patient"]),
    ("ClinicalImpression", &["subject"]),
    ("Communication", &["subject"]),
    ("CommunicationRequest", &["subject"]),
    ("Composition", &["subject"]),
    ("Condition", &["subject"]),
    ("Consent", &["patient"]),
    ("Contract", &["subject"]),
    ("Coverage", &["beneficiary"]),
    ("CoverageEligibilityRequest", &["patient"]),
    ("CoverageEligibilityResponse", &["patient"]),
    ("DetectedIssue", &["patient"]),
    ("Device", &["patient"]),
    ("DeviceRequest", &["subject"]),
    ("DeviceUseStatement", &["subject"]),
    ("DiagnosticReport", &["subject"]),
    ("DocumentManifest", &["subject"]),
    ("DocumentReference", &["subject"]),
    ("Encounter", &["subject"]),
    ("EnrollmentRequest", &["candidate"]),
    ("EpisodeOfCare", &["patient"]),
    ("ExplanationOfBenefit", &["patient"]),
    ("FamilyMemberHistory", &["patient"]),
    ("Flag", &["subject"]),
    ("Goal", &["subject"]),
    ("GuidanceResponse", &["subject"]),
    ("ImagingStudy", &["subject"]),
    ("Immunization", &["patient"]),
    ("ImmunizationEvaluation", &["patient"]),
    ("ImmunizationRecommendation", &["patient"]),
    ("Invoice", &["subject"]),
    ("List", &["subject"]),
    ("MeasureReport", &["subject"]),
    ("Media", &["subject"]),
    ("MedicationAdministration", &["subject"]),
    ("MedicationDispense", &["subject"]),
    ("MedicationRequest", &["subject"]),
    ("MedicationStatement", &["subject"]),
    ("MolecularSequence", &["patient"]),
    ("NutritionOrder", &["patient"]),
    ("Observation", &["subject"]),
    ("Person", &["link.target"]),
    ("Procedure", &["subject"]),
    ("Provenance", &["target"]),
    ("QuestionnaireResponse", &["subject"]),
    ("RelatedPerson", &["patient"]),
    ("RequestGroup", &["subject"]),
    ("ResearchSubject", &["individual"]),
    ("RiskAssessment", &["subject"]),
    ("Schedule", &["actor"]),
    ("ServiceRequest", &["subject"]),
    ("Specimen", &["subject"]),
    ("SupplyDelivery", &["patient"]),
    ("SupplyRequest", &["deliverTo"]),
    ("Task", &["for"]),
    ("VisionPrescription", &["patient"]),
];

/// A resource's bytes as JSON that keeps numbers as they are written.
///
/// # Errors
/// [`FhirError`] for what is no UTF-8 or no JSON, with its place.
pub fn parse(bytes: &[u8]) -> Result<Json, FhirError> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        FhirError::new(
            IssueCode::Structure,
            "",
            format!("not UTF-8 at byte {}", e.valid_up_to()),
        )
    })?;
    Json::parse(text).map_err(|e| {
        FhirError::new(
            IssueCode::Structure,
            "",
            format!("not JSON at line {}, column {}", e.line, e.column),
        )
    })
}

/// The patient a resource belongs to, as its reference text without a version part: `Patient/123`, or still
/// `urn:uuid:…`, `Patient?identifier=…` or a URL where it has not been resolved. A Patient is its own. `None` for
/// types outside the compartment, for subjects that are not patients (groups, locations, devices), for contained
/// (`#…`) and logical references, and for bytes that are not JSON.
#[must_use]
pub fn compartment(kind: &str, bytes: &[u8]) -> Option<String> {
    compartment_of(kind, &parse(bytes).ok()?)
}

/// Whether a resource of this type can belong to a patient.
#[must_use]
pub fn is_of_a_patient(kind: &str) -> bool {
    kind == "Patient" || OWNERS.iter().any(|(k, _)| *k == kind)
}

pub(crate) fn compartment_of(kind: &str, root: &Json) -> Option<String> {
    if kind == "Patient" {
        return root.text("id").map(|id| format!("Patient/{id}"));
    }
    let (_, paths) = OWNERS.iter().find(|(k, _)| *k == kind)?;
    paths.iter().find_map(|path| {
        let mut nodes = vec![root];
        for part in path.split('.') {
            nodes = nodes.iter().flat_map(|n| n.items(part)).collect();
        }
        nodes.iter().find_map(|n| patient_reference(n))
    })
}

/// The text of a reference, where it points to a patient or may still turn out to.
fn patient_reference(reference: &Json) -> Option<String> {
    let text = reference.text("reference")?;
    let declared = reference.text("type");
    let plain = text.split_once("/_history/").map_or(text, |(before, _)| before);
    if plain.starts_with('#') || declared.is_some_and(|t| t != "Patient") {
        return None;
    }
    let is_urn = plain.starts_with("urn:uuid:") || plain.starts_with("urn:oid:");
    let is_patient =
        plain.starts_with("Patient/") || plain.starts_with("Patient?") || plain.contains("/Patient/");
    (is_urn || is_patient).then(|| plain.to_owned())
}

/// The business identifiers of a resource, `(system, value)`, for conditional references and conditional creates.
/// Empty where there are none or the bytes are not JSON.
#[must_use]
pub fn identifiers(bytes: &[u8]) -> Vec<(Option<String>, String)> {
    parse(bytes).map(|root| identifiers_of(&root)).unwrap_or_default()
}

pub(crate) fn identifiers_of(root: &Json) -> Vec<(Option<String>, String)> {
    let pair = |i: &Json| Some((i.text("system").map(str::to_owned), i.text("value")?.to_owned()));
    root.items("identifier").iter().filter_map(pair).collect()
}
