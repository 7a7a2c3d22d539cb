//! MedicationRequest and MedicationStatement.

use super::*;
use crate::calendar::{date, instant};
use crate::fhir::{HL7, RXNORM, SNOMED};
use crate::formulary::{Drug, Often};
use crate::story::Medicine;

pub(super) fn all(bundle: &mut Bundle, story: &Story, wanted: impl Fn(&Medicine) -> bool) {
    for (medicine, k) in story.medicines.iter().zip(1u64..).filter(|(m, _)| wanted(m)) {
        let id = story.sub(&format!("med{k}"));
        if medicine.statement {
            bundle.put("MedicationStatement", &id, |w| statement(w, story, medicine, k));
        } else {
            bundle.put("MedicationRequest", &id, |w| request(w, story, medicine, k));
        }
    }
}

const fn status(taken: Taken) -> &'static str {
    match taken {
        Taken::Active => "active",
        Taken::OnHold => "on-hold",
        Taken::Stopped => "stopped",
        Taken::Completed => "completed",
        Taken::Mistake => "entered-in-error",
    }
}

/// `medicationReference` for every other stocked medicine, else `medicationCodeableConcept`.
fn medication(w: &mut Json, story: &Story, drug: &Drug, k: u64) {
    if drug.stocked && story.n.wrapping_add(k).is_multiple_of(2) {
        fhir::reference_named(
            w,
            "medicationReference",
            "Medication",
            &drug.medication_id(),
            drug.name,
        );
    } else {
        fhir::concept(w, "medicationCodeableConcept", RXNORM, drug.rxcui, "", drug.name);
    }
}

fn request(w: &mut Json, story: &Story, m: &Medicine, k: u64) {
    w.str("status", status(m.taken));
    match m.taken {
        Taken::Stopped => w.obj("statusReason", |w| w.str("text", "Stopped by prescriber")),
        Taken::OnHold => w.obj("statusReason", |w| w.str("text", "Held: review by the team")),
        Taken::Active | Taken::Completed | Taken::Mistake => {}
    }
    w.str("intent", if m.reported { "plan" } else { "order" });
    let category = if m.in_stay { "inpatient" } else { "community" };
    fhir::hl7s(w, "category", "medicationrequest-category", category, "");
    w.raw("reportedBoolean", if m.reported { "true" } else { "false" });
    medication(w, story, m.drug, k);
    subject(w, story);
    if m.in_stay {
        encounter(w, story);
    }
    w.str("authoredOn", &instant(m.start));
    let (id, shown) = signer(story, StaffRole::Physician, k);
    fhir::reference_named(w, "requester", "Practitioner", &id, &shown);
    w.one("dosageInstruction", |w| dosage(w, m));
}

fn statement(w: &mut Json, story: &Story, m: &Medicine, k: u64) {
    w.str("status", status(m.taken));
    medication(w, story, m.drug, k);
    subject(w, story);
    let end = m.stop.map(date);
    fhir::period(w, "effectivePeriod", &date(m.start), end.as_deref());
    w.str("dateAsserted", &instant(m.stop.unwrap_or(m.start)));
    fhir::reference(w, "informationSource", "Patient", &story.id);
    w.one("dosage", |w| dosage(w, m));
}

fn dosage(w: &mut Json, m: &Medicine) {
    let drug = m.drug;
    w.str("text", &drug.sig());
    w.obj("timing", |w| {
        w.obj("repeat", |w| {
            let end = m.stop.map(instant);
            fhir::period(w, "boundsPeriod", &instant(m.start), end.as_deref());
            if let Some((frequency, period, unit)) = drug.often.repeat() {
                w.raw("frequency", frequency);
                w.raw("period", period);
                w.str("periodUnit", unit);
            }
        });
        w.obj("code", |w| w.str("text", drug.often.words()));
    });
    if drug.often == Often::EverySixHoursIfNeeded {
        w.raw("asNeededBoolean", "true");
    }
    let (words, code) = drug.route.spelt();
    fhir::concept(w, "route", SNOMED, code, words, words);
    w.one("doseAndRate", |w| {
        fhir::concept(
            w,
            "type",
            &format!("{HL7}dose-rate-type"),
            "ordered",
            "Ordered",
            "",
        );
        let member = if drug.often == Often::Continuous {
            "rateQuantity"
        } else {
            "doseQuantity"
        };
        fhir::quantity(w, member, drug.dose, drug.unit, drug.ucum);
    });
}
