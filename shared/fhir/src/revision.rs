//! The Provenance of a correction: an Observation as it was, kept beside the one that took its place (FHIR R4 Provenance,
//! `entity.role` = `revision`).
//! Never here: whether something was corrected (that is `clinical::summary::corrects`). Called by the server when it writes.

use crate::issue::{FhirError, IssueCode};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use vitrine_clinical::format::civil::instant_utc;
use vitrine_clinical::label::Label;
use vitrine_clinical::{FhirId, PatientId, ResourceKey, UtcMs};

/// The id of the resource inside.
const BEFORE: &str = "before";

/// A Provenance (JSON) that says what `of` said in its version `version`: `before`, with its own digits, without what it
/// contained itself, its narrative and its metadata; it is as confidential as `label`, which is theirs; `why` in the words of what took its place. It belongs to the patient's record.
///
/// # Errors
/// [`FhirError`] when `before` is not a JSON object.
pub fn revision(
    id: &FhirId,
    of: &ResourceKey,
    patient: &PatientId,
    (version, before): (u64, &[u8]),
    at: UtcMs,
    why: &[String],
    label: Label,
) -> Result<Vec<u8>, FhirError> {
    let fault = |e: &serde_json::Error| {
        let text = format!("not a JSON object at line {}, column {}", e.line(), e.column());
        FhirError::new(IssueCode::Structure, of.kind.to_string(), text)
    };
    let mut was: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(before).map_err(|e| fault(&e))?;
    for member in ["contained", "text", "meta", "implicitRules"] {
        was.remove(member);
    }
    let id_inside = RawValue::from_string(format!("\"{BEFORE}\"")).map_err(|e| fault(&e))?;
    was.insert("id".to_owned(), id_inside);
    let was = serde_json::to_string(&was).map_err(|e| fault(&e))?;
    let code = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let mut around = json!({
        "resourceType": "Provenance",
        "id": id.as_str(),
        "target": [{"reference": of.to_string()}, {"reference": format!("Patient/{patient}")}],
        "recorded": instant_utc(at),
        "activity": code("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "UPDATE"),
        "agent": [{
            "type": code("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "assembler"),
            "who": {"display": "Vitrine"},
        }],
        "entity": [{"role": "revision", "what": {"reference": format!("#{BEFORE}"), "display": format!("{of}, version {version}")}}],
    });
    if let Some(members) = around.as_object_mut().filter(|_| !why.is_empty()) {
        let reasons = why.iter().map(|text| json!({"text": text})).collect();
        members.insert("reason".to_owned(), reasons);
    }
    let security: Vec<_> = label
        .codings()
        .map(|(system, code)| json!({"system": system, "code": code}))
        .collect();
    if let Some(members) = around.as_object_mut().filter(|_| !security.is_empty()) {
        members.insert("meta".to_owned(), json!({"security": security}));
    }
    let around = around.to_string();
    // The last brace makes room for the resource inside, which keeps its digits.
    let head = around.strip_suffix('}').unwrap_or(&around);
    Ok(format!("{head},\"contained\":[{was}]}}").into_bytes())
}

#[cfg(test)]
mod tests;
