//! Conditions: the problem list and the diagnoses of a stay.

use super::*;
use crate::calendar::{date, instant};
use crate::fhir::ICD10;
use crate::story::Diagnosis;

pub(super) fn all(bundle: &mut Bundle, story: &Story, wanted: impl Fn(&Diagnosis) -> bool) {
    for (diagnosis, k) in story.diagnoses.iter().zip(1u64..).filter(|(d, _)| wanted(d)) {
        bundle.put("Condition", &story.sub(&format!("cond{k}")), |w| {
            one(w, story, diagnosis, k)
        });
    }
}

fn one(w: &mut Json, story: &Story, d: &Diagnosis, k: u64) {
    if !d.clinical.is_empty() {
        fhir::hl7(w, "clinicalStatus", "condition-clinical", d.clinical);
    }
    if !d.verification.is_empty() {
        fhir::hl7(w, "verificationStatus", "condition-ver-status", d.verification);
    }
    let (code, shown) = if d.acute {
        ("encounter-diagnosis", "Encounter Diagnosis")
    } else {
        ("problem-list-item", "Problem List Item")
    };
    fhir::hl7s(w, "category", "condition-category", code, shown);
    fhir::concept(w, "code", ICD10, d.icd, "", d.text);
    subject(w, story);
    if d.acute {
        encounter(w, story);
        w.str("onsetDateTime", &instant(d.onset));
    } else {
        w.str("onsetDateTime", &date(d.onset));
    }
    if let Some(abated) = d.abated {
        w.str("abatementDateTime", &date(abated));
    }
    w.str("recordedDate", &instant(d.recorded));
    let (id, shown) = signer(story, StaffRole::Physician, k);
    fhir::reference_named(w, "recorder", "Practitioner", &id, &shown);
}
