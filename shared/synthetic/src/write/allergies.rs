//! AllergyIntolerance in every state, the statements of absence included.

use super::*;
use crate::calendar::{instant, year};
use crate::fhir::SNOMED;
use crate::story::Allergy;

pub(super) fn all(bundle: &mut Bundle, story: &Story) {
    for (allergy, k) in story.allergies.iter().zip(1u64..) {
        bundle.put("AllergyIntolerance", &story.sub(&format!("al{k}")), |w| {
            one(w, story, allergy, k)
        });
    }
}

fn one(w: &mut Json, story: &Story, allergy: &Allergy, k: u64) {
    // R4 ait-1, ait-2: an entry made in error has no clinical status, every other has one.
    if !allergy.clinical.is_empty() {
        fhir::hl7(
            w,
            "clinicalStatus",
            "allergyintolerance-clinical",
            allergy.clinical,
        );
    }
    if !allergy.verification.is_empty() {
        fhir::hl7(
            w,
            "verificationStatus",
            "allergyintolerance-verification",
            allergy.verification,
        );
    }
    w.str("type", allergy.kind);
    if !allergy.agent.category.is_empty() {
        w.arr("category", |w| w.item_str(allergy.agent.category));
    }
    w.str("criticality", allergy.criticality);
    fhir::concept(
        w,
        "code",
        allergy.agent.system,
        allergy.agent.code,
        "",
        allergy.agent.name,
    );
    fhir::reference(w, "patient", "Patient", &story.id);
    if let Some(onset) = allergy.onset {
        w.str("onsetDateTime", &year(onset));
    }
    w.str("recordedDate", &instant(allergy.recorded));
    let role = if allergy.by_nurse {
        StaffRole::Nurse
    } else {
        StaffRole::Physician
    };
    let (id, shown) = signer(story, role, k);
    fhir::reference_named(w, "recorder", "Practitioner", &id, &shown);
    if !allergy.note.is_empty() {
        w.one("note", |w| w.str("text", allergy.note));
    }
    if allergy.reactions.is_empty() {
        return;
    }
    w.one("reaction", |w| {
        w.arr("manifestation", |w| {
            for m in &allergy.reactions {
                w.item(|w| fhir::concept_body(w, SNOMED, m.code, "", m.name));
            }
        });
        w.str("severity", allergy.severity);
    });
}
