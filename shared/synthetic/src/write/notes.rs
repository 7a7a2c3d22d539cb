//! Notes as DocumentReference with their text inside, and imaging reports in words.

use super::*;
use crate::calendar::{HOUR, MINUTE, hour_minute, instant};
use crate::fhir::{HL7, LOINC};
use crate::json::base64;
use crate::story::{Stay, section::WRITE};

/// A note to be written.
struct Note {
    key: String,
    loinc: &'static str,
    title: &'static str,
    at: i64,
    role: StaffRole,
    text: String,
}

pub(super) fn all(bundle: &mut Bundle, story: &Story) {
    let Some(stay) = &story.stay else { return };
    for note in notes(story, stay) {
        document(bundle, story, &note);
    }
    imaging(bundle, story, stay);
}

fn notes(story: &Story, stay: &Stay) -> Vec<Note> {
    let p = stay.presentation;
    let v = story.vitals;
    let latest = story.newest() - MINUTE;
    let mut out = Vec::new();
    let triage = (stay.arrived + 6 * MINUTE).min(latest);
    out.push(Note {
        key: "note1".to_owned(),
        loinc: "34111-5",
        title: "Emergency department triage note",
        at: triage,
        role: StaffRole::Nurse,
        text: format!(
            "TRIAGE {}\nComplaint: {}.\n{}\nESI {}.\nWeight {} kg. Seen by nurse on arrival; patient identified by two identifiers.\n",
            hour_minute(triage), p.complaint, p.story, stay.esi, crate::json::decimal(story.weight, 1),
        ),
    });
    let seen = stay.arrived + 24 * MINUTE;
    if seen <= latest {
        out.push(Note {
            key: "note2".to_owned(),
            loinc: "34117-2",
            title: "History and physical",
            at: seen,
            role: StaffRole::Physician,
            text: format!(
                "ASSESSMENT {}\n{} year old. {}\n\nExamination: pulse {}, BP {}/{}, RR {}, SpO2 {} %.\nImpression: {}.\nPlan: {}\n",
                hour_minute(seen), story.age, p.story, v.pulse, v.systolic, v.diastolic, v.breaths, v.saturation, p.diagnosis, p.plan,
            ),
        });
    }
    let mut rng = story.rng(WRITE + 6);
    let mut at = stay.arrived + 8 * HOUR;
    for k in 3..=7 {
        if at > latest {
            break;
        }
        let (role, loinc, title) = if k % 2 == 0 {
            (StaffRole::Physician, "11506-3", "Progress note")
        } else {
            (StaffRole::Nurse, "34746-8", "Nursing note")
        };
        let mood = rng.word(&[
            "Slept in short spells.",
            "Comfortable at rest.",
            "Family visited and updated.",
            "Pain 3 of 10 after medicine.",
            "Ate half of the meal.",
        ]);
        let turn = rng.word(&[
            "No change in plan.",
            "Bloods sent again.",
            "Fluid balance positive 600 mL.",
            "Mobilised to the chair.",
            "Senior review requested.",
        ]);
        let text = format!(
            "{} {}\n{mood} {turn}\n{}\n",
            title.to_uppercase(),
            hour_minute(at),
            p.plan
        );
        out.push(Note {
            key: format!("note{k}"),
            loinc,
            title,
            at,
            role,
            text,
        });
        at += 12 * HOUR + rng.between(0, 90) * MINUTE;
    }
    if let Some(ended) = stay.ended {
        let text = format!(
            "DISCHARGE SUMMARY\nAdmitted with: {}.\nDiagnosis: {}.\nCourse: {}\nCondition on leaving: well, observations in range.\nFollow-up: family doctor within 7 days.\n",
            p.complaint, p.diagnosis, p.plan
        );
        let key = "note9".to_owned();
        out.push(Note {
            key,
            loinc: "18842-5",
            title: "Discharge summary",
            at: ended,
            role: StaffRole::Physician,
            text,
        });
    }
    out
}

fn document(bundle: &mut Bundle, story: &Story, note: &Note) {
    bundle.put("DocumentReference", &story.sub(&note.key), |w| {
        w.str("status", "current");
        w.str("docStatus", "final");
        fhir::concept(w, "type", LOINC, note.loinc, note.title, note.title);
        fhir::concepts(
            w,
            "category",
            "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
            "clinical-note",
            "Clinical Note",
            "",
        );
        subject(w, story);
        w.str("date", &instant(note.at));
        let (id, shown) = signer(story, note.role, note.at.unsigned_abs() / 3_600_000);
        w.one("author", |w| {
            w.str("reference", &format!("Practitioner/{id}"));
            w.str("display", &shown);
        });
        w.one("content", |w| {
            w.obj("attachment", |w| {
                w.str("contentType", "text/plain; charset=utf-8");
                w.str("data", &base64(note.text.as_bytes()));
                w.raw("size", &note.text.len().to_string());
                w.str("title", note.title);
                w.str("creation", &instant(note.at));
            });
        });
        w.obj("context", |w| {
            w.one("encounter", |w| {
                w.str("reference", &format!("Encounter/{}", story.sub("enc")))
            });
        });
    });
}

fn imaging(bundle: &mut Bundle, story: &Story, stay: &Stay) {
    let mut rng = story.rng(WRITE + 7);
    let at = stay.arrived + rng.between(35, 80) * MINUTE;
    if at + 20 * MINUTE > story.newest() || !rng.chance(55) {
        return;
    }
    let head = matches!(stay.presentation.icd, "I63.9" | "R51.9" | "R55");
    let (loinc, name) = if head {
        ("30799-1", "CT Head WO contrast")
    } else {
        ("36643-5", "XR Chest 2 Views")
    };
    let finding = if head {
        "No haemorrhage. No mass effect. Early ischaemic change cannot be excluded on this study."
    } else {
        rng.word(&[
            "Lungs clear. Heart size normal.",
            "Consolidation in the right lower zone.",
            "Small left effusion, heart enlarged.",
            "Lines in position, no pneumothorax.",
        ])
    };
    let ready = rng.chance(80);
    bundle.put("DiagnosticReport", &story.sub("img1"), |w| {
        w.str("status", if ready { "final" } else { "preliminary" });
        fhir::concepts(w, "category", &format!("{HL7}v2-0074"), "RAD", "Radiology", "");
        fhir::concept(w, "code", LOINC, loinc, name, name);
        subject(w, story);
        encounter(w, story);
        w.str("effectiveDateTime", &instant(at));
        w.str("issued", &instant(at + 20 * MINUTE));
        w.str("conclusion", finding);
    });
}
