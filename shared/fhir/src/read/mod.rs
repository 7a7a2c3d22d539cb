//! Typed views: from bytes to what the chart and the card need.
//!
//! The bytes were checked by [`crate::validate`] when they came in, but a view is read leniently: what cannot be read
//! is absent, never an error, so that one odd element does not hide a patient's allergy.
//! Called by the server in the same step that stores a resource, and by the engine for its chart.

use crate::compartment::parse;
use crate::issue::FhirError;
use fhirkit::Json;
use vitrine_clinical::chart::Resource;

mod act;
mod clinical_facts;
mod datatype;
mod document;
mod encounter;
mod html;
mod medication;
mod observation;
pub(crate) mod person;
mod provenance;
mod reference;

use reference::Reader;

/// Reads the typed view of a resource of type `kind`; types without a view come back as [`Resource::Other`].
///
/// Names of referenced resources (medications, locations, practitioners where the reference carries no words of its
/// own) are asked for through `resolve`, which is given `Type/id` and answers with that resource's bytes or `None`.
/// Contained resources are resolved without asking. The bytes need not be valid FHIR: what cannot be read is absent.
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn read(
    kind: &str,
    bytes: &[u8],
    resolve: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Resource, FhirError> {
    read_with_deps(kind, bytes, resolve).map(|(resource, _)| resource)
}

/// [`read`], and the `Type/id` of every resource that was asked for (found or not), each once: when one of them
/// changes, this view must be read again.
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn read_with_deps(
    kind: &str,
    bytes: &[u8],
    resolve: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<(Resource, Vec<String>), FhirError> {
    let root = parse(bytes)?;
    let mut reader = Reader::new(&root, resolve);
    let view = view(kind, &root, &mut reader);
    Ok((view, reader.into_deps()))
}

/// The resources that [`read`] would ask for first (not those that they in turn refer to).
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn deps(kind: &str, bytes: &[u8]) -> Result<Vec<String>, FhirError> {
    read_with_deps(kind, bytes, &mut |_| None).map(|(_, deps)| deps)
}

/// The words of a note: [`note`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteContent {
    /// Description or conclusion, titles, and the text of what is `text/plain` or HTML inline.
    pub text: String,
    /// False when some of its content is not here or no text: a link, a PDF, a scan.
    pub whole: bool,
}

/// What a DocumentReference or DiagnosticReport says, as text; nothing for other types.
///
/// # Errors
/// [`FhirError`] when the bytes are not JSON.
pub fn note(kind: &str, bytes: &[u8]) -> Result<NoteContent, FhirError> {
    Ok(document::note(kind, &parse(bytes)?))
}

fn view(kind: &str, root: &Json, reader: &mut Reader<'_>) -> Resource {
    match kind {
        "Patient" => Resource::Patient(person::patient(root, reader)),
        "RelatedPerson" => Resource::RelatedPerson(person::related_person(root)),
        "Practitioner" => Resource::Practitioner(person::practitioner(root)),
        "Organization" => Resource::Organization(person::organization(root)),
        "Location" => Resource::Location(encounter::location(root, reader)),
        "Encounter" => Resource::Encounter(encounter::encounter(root, reader)),
        "AllergyIntolerance" => Resource::AllergyIntolerance(clinical_facts::allergy(root, reader)),
        "Condition" => Resource::Condition(clinical_facts::condition(root, reader)),
        "Medication" => Resource::Medication(medication::medication(root, reader)),
        "MedicationRequest" => Resource::MedicationRequest(medication::request(root, reader)),
        "MedicationStatement" => Resource::MedicationStatement(medication::statement(root, reader)),
        "MedicationAdministration" => {
            Resource::MedicationAdministration(medication::administration(root, reader))
        }
        "Observation" => Resource::Observation(observation::observation(root, reader)),
        "DiagnosticReport" => Resource::DiagnosticReport(document::report(root, reader)),
        "DocumentReference" => Resource::DocumentReference(document::document(root, reader)),
        "Flag" => Resource::Flag(act::flag(root, reader)),
        "Procedure" => Resource::Procedure(act::procedure(root, reader)),
        "Immunization" => Resource::Immunization(act::immunization(root, reader)),
        "Device" => Resource::Device(act::device(root)),
        "DeviceUseStatement" => Resource::DeviceUseStatement(act::device_use(root, reader)),
        "Consent" => Resource::Consent(act::consent(root, reader)),
        "ServiceRequest" => Resource::ServiceRequest(act::service_request(root, reader)),
        "Task" => Resource::Task(act::task(root, reader)),
        "Provenance" => Resource::Provenance(provenance::provenance(root, reader)),
        _ => Resource::Other,
    }
}

#[cfg(test)]
mod tests;
