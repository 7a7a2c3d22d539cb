//! The stay as an Encounter: place, urgency, complaint, who looks after the patient.

use super::*;
use crate::calendar::{HOUR, instant};
use crate::facility::{bed_id, bed_name};
use crate::fhir::{HL7, LOCAL};
use crate::story::Stay;

pub(super) fn stay(bundle: &mut Bundle, story: &Story) {
    let Some(stay) = &story.stay else { return };
    let emergency = stay.ward.id == "ED";
    bundle.put("Encounter", &story.sub("enc"), |w| {
        w.str(
            "status",
            if stay.ended.is_some() {
                "finished"
            } else {
                "in-progress"
            },
        );
        let (code, shown) = if emergency {
            ("EMER", "emergency")
        } else {
            ("IMP", "inpatient encounter")
        };
        fhir::bare_coding(w, "class", &format!("{HL7}v3-ActCode"), code, shown);
        urgency(w, stay.esi);
        subject(w, story);
        w.arr("participant", |w| {
            participant(w, "ATND", "attender", signer(story, StaffRole::Physician, 0));
            participant(w, "PPRF", "primary performer", signer(story, StaffRole::Nurse, 0));
        });
        let end = stay.ended.map(instant);
        fhir::period(w, "period", &instant(stay.arrived), end.as_deref());
        w.one("reasonCode", |w| w.str("text", stay.presentation.complaint));
        w.arr("location", |w| places(w, story, stay));
        fhir::reference(w, "serviceProvider", "Organization", facility::ORGANIZATION);
    });
}

fn urgency(w: &mut Json, esi: i64) {
    let words = match esi {
        1 => "ESI 1 - immediate",
        2 => "ESI 2 - emergent",
        3 => "ESI 3 - urgent",
        4 => "ESI 4 - less urgent",
        _ => "ESI 5 - non-urgent",
    };
    let (code, shown) = match esi {
        1 | 2 => ("EM", "emergency"),
        3 => ("UR", "urgent"),
        _ => ("R", "routine"),
    };
    w.obj("priority", |w| {
        w.arr("coding", |w| {
            w.item(|w| {
                w.str("system", &format!("{LOCAL}CodeSystem/emergency-severity-index"));
                w.str("code", &esi.to_string());
                w.str("display", words);
            });
            w.item(|w| {
                w.str("system", &format!("{HL7}v3-ActPriority"));
                w.str("code", code);
                w.str("display", shown);
            });
        });
        w.str("text", words);
    });
}

fn participant(w: &mut Json, code: &str, shown: &str, who: (String, String)) {
    w.item(|w| {
        fhir::hl7s(w, "type", "v3-ParticipationType", code, shown);
        fhir::reference_named(w, "individual", "Practitioner", &who.0, &who.1);
    });
}

/// The bed, and for those upstairs the ED bed they left.
fn places(w: &mut Json, story: &Story, stay: &Stay) {
    let mut since = stay.arrived;
    if stay.ward.id != "ED" {
        let left = stay.arrived + 4 * HOUR;
        let old = (story.n % 24) as usize;
        place(
            w,
            &bed_id(&facility::ED, old),
            &bed_name(&facility::ED, old),
            "completed",
            since,
            Some(left),
        );
        since = left;
    }
    let status = if stay.ended.is_some() {
        "completed"
    } else {
        "active"
    };
    place(
        w,
        &bed_id(stay.ward, stay.bed),
        &bed_name(stay.ward, stay.bed),
        status,
        since,
        stay.ended,
    );
}

fn place(w: &mut Json, id: &str, name: &str, status: &str, start: i64, end: Option<i64>) {
    w.item(|w| {
        fhir::reference_named(w, "location", "Location", id, name);
        w.str("status", status);
        let end = end.map(instant);
        fhir::period(w, "period", &instant(start), end.as_deref());
    });
}
