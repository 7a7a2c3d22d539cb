//! Code status, implants, flags, blood group, weight; and beside the essentials height, pregnancy, smoking,
//! immunisations.

use super::*;
use crate::calendar::{DAY, HOUR, MINUTE, YEAR, date, instant};
use crate::fhir::{CVX, HL7, LOCAL, LOINC, SNOMED};
use crate::json::decimal;
use crate::story::{CodeStatus, Implant, section::WRITE};

/// When the patient was first seen in the stay, or long ago.
fn seen(story: &Story) -> i64 {
    let latest = story.newest() - MINUTE;
    story
        .stay
        .as_ref()
        .map_or(latest - 200 * DAY, |s| (s.arrived + 10 * MINUTE).min(latest))
}

pub(super) fn essential(bundle: &mut Bundle, story: &Story) {
    if let Some(code) = story.code_status {
        code_status(bundle, story, code);
    }
    for (implant, k) in story.implants.iter().zip(1..) {
        device(bundle, story, *implant, k);
    }
    if !story.isolation.is_empty() {
        flag(
            bundle,
            story,
            "flag1",
            ("clinical", "Clinical"),
            (LOCAL_PRECAUTION, "isolation"),
            story.isolation,
        );
    }
    if let Some((group, last)) = story.blood_group {
        blood_group(bundle, story, group, last);
    }
    measure(
        bundle,
        story,
        "wt",
        ("29463-7", "Body weight"),
        &decimal(story.weight, 1),
        "kg",
    );
}

const LOCAL_PRECAUTION: &str = "https://synthetic-hospital.example/fhir/CodeSystem/precaution";

fn code_status(bundle: &mut Bundle, story: &Story, status: CodeStatus) {
    bundle.put("Observation", &story.sub("code"), |w| {
        w.str("status", "final");
        fhir::hl7s(w, "category", "observation-category", "exam", "Exam");
        fhir::concept(
            w,
            "code",
            LOINC,
            "100822-6",
            "Cardiopulmonary resuscitation orders",
            "Code status",
        );
        subject(w, story);
        encounter(w, story);
        w.str("effectiveDateTime", &instant(seen(story) + 20_000));
        performer(w, story, StaffRole::Physician, 3);
        let (code, shown, text) = match status {
            CodeStatus::Full => ("LA33470-8", "Yes CPR: Attempt Resuscitation", "Full code"),
            CodeStatus::DoNotResuscitate => (
                "LA33471-6",
                "No CPR: Do Not Attempt Resuscitation",
                "Do not resuscitate (DNR)",
            ),
            CodeStatus::DoNotResuscitateOrIntubate => (
                "LA33471-6",
                "No CPR: Do Not Attempt Resuscitation",
                "Do not resuscitate, do not intubate (DNR/DNI)",
            ),
        };
        fhir::concept(w, "valueCodeableConcept", LOINC, code, shown, text);
    });
}

fn performer(w: &mut Json, story: &Story, role: StaffRole, k: u64) {
    let (id, shown) = signer(story, role, k);
    w.one("performer", |w| {
        w.str("reference", &format!("Practitioner/{id}"));
        w.str("display", &shown);
    });
}

fn device(bundle: &mut Bundle, story: &Story, implant: Implant, k: u64) {
    let (code, name, act) = match implant {
        Implant::Pacemaker => (
            "14106009",
            "Cardiac pacemaker, dual chamber",
            "Implantation of cardiac pacemaker",
        ),
        Implant::Defibrillator => (
            "72506001",
            "Implantable defibrillator",
            "Implantation of cardioverter defibrillator",
        ),
        Implant::HipProsthesis => (
            "304120007",
            "Total hip replacement prosthesis",
            "Total hip replacement",
        ),
        Implant::MechanicalValve => ("", "Mechanical mitral valve", "Mitral valve replacement"),
        Implant::VascularPort => (
            "",
            "Implanted vascular access port",
            "Insertion of vascular access port",
        ),
    };
    let years = 1 + (story.n % 9) as i64;
    let placed = story.newest() - years * YEAR.min((story.newest() - story.born) / 12);
    bundle.put("Device", &story.sub(&format!("dev{k}")), |w| {
        w.str("status", "active");
        w.str("manufactureDate", &date(placed - 60 * DAY));
        w.str("serialNumber", &format!("SYN-{}-{k}", story.mrn));
        fhir::concept(w, "type", SNOMED, code, "", name);
        fhir::reference(w, "patient", "Patient", &story.id);
    });
    bundle.put("Procedure", &story.sub(&format!("proc{k}")), |w| {
        w.str("status", "completed");
        w.obj("code", |w| w.str("text", act));
        subject(w, story);
        w.str("performedDateTime", &date(placed));
        w.one("usedReference", |w| {
            w.str("reference", &format!("Device/{}-dev{k}", story.id))
        });
    });
}

fn flag(
    bundle: &mut Bundle,
    story: &Story,
    id: &str,
    category: (&str, &str),
    code: (&str, &str),
    text: &str,
) {
    bundle.put("Flag", &story.sub(id), |w| {
        w.str("status", "active");
        fhir::hl7s(w, "category", "flag-category", category.0, category.1);
        fhir::concept(w, "code", code.0, code.1, "", text);
        subject(w, story);
        w.obj("period", |w| w.str("start", &instant(seen(story))));
        encounter(w, story);
        let (who, shown) = signer(story, StaffRole::Nurse, 5);
        fhir::reference_named(w, "author", "Practitioner", &who, &shown);
    });
}

fn blood_group(bundle: &mut Bundle, story: &Story, group: &str, last: bool) {
    bundle.put("Observation", &story.sub("abo"), |w| {
        w.str("status", if last { "final" } else { "preliminary" });
        fhir::hl7s(w, "category", "observation-category", "laboratory", "Laboratory");
        fhir::concept(
            w,
            "code",
            LOINC,
            "882-1",
            "ABO and Rh group [Type] in Blood",
            "Blood group",
        );
        subject(w, story);
        encounter(w, story);
        w.str("effectiveDateTime", &instant(seen(story) + 30_000));
        fhir::concept(w, "valueCodeableConcept", "", "", "", group);
    });
}

fn measure(bundle: &mut Bundle, story: &Story, id: &str, code: (&str, &str), value: &str, unit: &str) {
    bundle.put("Observation", &story.sub(id), |w| {
        w.str("status", "final");
        fhir::hl7s(
            w,
            "category",
            "observation-category",
            "vital-signs",
            "Vital Signs",
        );
        fhir::concept(w, "code", LOINC, code.0, code.1, code.1);
        subject(w, story);
        encounter(w, story);
        w.str("effectiveDateTime", &instant(seen(story)));
        fhir::quantity(w, "valueQuantity", value, unit, unit);
    });
}

pub(super) fn others(bundle: &mut Bundle, story: &Story) {
    let mut rng = story.rng(WRITE + 2);
    measure(
        bundle,
        story,
        "ht",
        ("8302-2", "Body height"),
        &story.height.to_string(),
        "cm",
    );
    if story.fall_risk {
        flag(
            bundle,
            story,
            "flag2",
            ("safety", "Safety"),
            (SNOMED, "129839007"),
            "Fall risk",
        );
    }
    if rng.chance(4) {
        flag(
            bundle,
            story,
            "flag3",
            ("behavioral", "Behavioral"),
            (&format!("{LOCAL}CodeSystem/alert"), "two-staff"),
            "Two members of staff for care",
        );
    }
    if story.pregnant {
        social(bundle, story, "preg", ("82810-3", "Pregnancy status"), "Pregnant");
    }
    if story.age >= 14 && rng.chance(60) {
        let habit = rng.word(&[
            "Never smoked",
            "Never smoked",
            "Former smoker",
            "Smokes every day",
        ]);
        social(
            bundle,
            story,
            "smoke",
            ("72166-2", "Tobacco smoking status"),
            habit,
        );
    }
    let shots: &[(&str, &str)] = &[
        ("150", "Influenza, injectable, quadrivalent, preservative free"),
        ("115", "Tdap"),
        ("33", "Pneumococcal polysaccharide PPV23"),
    ];
    for (&(code, name), k) in shots.iter().zip(1..) {
        if story.age < 3 || !rng.chance(42) {
            continue;
        }
        let given = (story.newest() - rng.between(30, 1_500) * DAY).max(story.born + 60 * DAY);
        let refused = rng.chance(8);
        bundle.put("Immunization", &story.sub(&format!("imm{k}")), |w| {
            w.str("status", if refused { "not-done" } else { "completed" });
            if refused {
                fhir::concept(
                    w,
                    "statusReason",
                    &format!("{HL7}v3-ActReason"),
                    "PATOBJ",
                    "patient objection",
                    "",
                );
            }
            fhir::concept(w, "vaccineCode", CVX, code, name, name);
            fhir::reference(w, "patient", "Patient", &story.id);
            w.str("occurrenceDateTime", &date(given));
            w.raw("primarySource", "true");
        });
    }
    if story.in_house() && rng.chance(35) {
        line(bundle, story);
    }
}

fn social(bundle: &mut Bundle, story: &Story, id: &str, code: (&str, &str), text: &str) {
    bundle.put("Observation", &story.sub(id), |w| {
        w.str("status", "final");
        fhir::hl7s(
            w,
            "category",
            "observation-category",
            "social-history",
            "Social History",
        );
        fhir::concept(w, "code", LOINC, code.0, code.1, "");
        subject(w, story);
        encounter(w, story);
        w.str("effectiveDateTime", &instant(seen(story)));
        fhir::concept(w, "valueCodeableConcept", "", "", "", text);
    });
}

/// A cannula placed in this stay.
fn line(bundle: &mut Bundle, story: &Story) {
    let at = (seen(story) + HOUR / 6).min(story.newest() - 30_000);
    bundle.put("Procedure", &story.sub("line"), |w| {
        w.str("status", "completed");
        w.obj("code", |w| {
            w.str("text", "Insertion of peripheral venous cannula, left forearm")
        });
        subject(w, story);
        encounter(w, story);
        w.str("performedDateTime", &instant(at));
    });
}
