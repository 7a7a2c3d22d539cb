//! The patient and the visit of a message that is about something else: a result, an order, a document, an appointment.
//! What such a message says of them never changes the record: it only says who is meant.

use super::Feed;
use crate::draft::{Draft, How, Key, Mapped};
use crate::fault::{Code, Fault, Place};
use crate::json::{Json, array, object, text};
use crate::message::{Message, Seg};
use crate::types;

/// The patient of PID as a draft that has to be known: identifiers (PID-3, 2, 4), names, date of birth and sex for the check.
/// Gives its place among the drafts.
///
/// # Errors
/// [`Fault`]: no PID, a second one, no usable identifier in PID-3.
pub(super) fn known_patient(message: &Message, feed: &Feed<'_>, mapped: &mut Mapped) -> Result<usize, Fault> {
    let pid = super::required(message, "PID")?;
    if message.all("PID").nth(1).is_some() {
        return Err(Fault::at(
            Code::SegmentSequence,
            Place::of_segment("PID", 2),
            "a second PID: a message is taken for one patient; send one for each",
        ));
    }
    let mut keys: Vec<Key> = Vec::new();
    let mut identifiers = Vec::new();
    for field in [3, 2, 4] {
        for rep in pid.reps(field) {
            let Some(key) = types::cx_key(&rep, feed) else {
                continue;
            };
            if !keys.contains(&key) {
                keys.push(key);
                identifiers.extend(types::identifier(&rep, feed));
            }
        }
        if keys.is_empty() {
            return Err(Fault::at(
                Code::RequiredField,
                Place::field("PID", 3),
                "PID-3 holds no identifier of the patient",
            ));
        }
    }
    let born = pid.text(7);
    let birth_date = feed.time(&born);
    if birth_date.is_none() && !born.is_empty() {
        mapped.note(
            pid.place_of(7),
            "the date of birth is no date: it is not compared",
        );
    }
    let body = object([
        ("resourceType", text("Patient")),
        ("identifier", array(identifiers)),
        ("name", types::every(&pid, 5, |r| types::human_name(r, feed))),
        ("gender", gender(&pid, mapped).and_then(text)),
        ("birthDate", birth_date.map(|d| d.date())),
    ]);
    let at = mapped.push(Draft {
        kind: "Patient",
        keys,
        how: How::Known,
        dated: super::happened(message, feed),
        body,
        made_with: Json::Null,
        label: vitrine_clinical::label::Label::NONE,
        place: pid.place(),
    });
    mapped.patient = Some(at);
    Ok(at)
}

/// PID-8.
fn gender(pid: &Seg<'_>, mapped: &mut Mapped) -> Option<&'static str> {
    let sent = pid.text(8);
    let known = types::gender(&sent);
    if known.is_none() && !sent.is_empty() {
        mapped.note(
            pid.place_of(8),
            "the sex is not in table 0001: it is not compared",
        );
    }
    known
}

/// The visit of PV1-19, for what happened during it; made where it is not recorded. None where PV1 gives no number, and where
/// PV1-2 does not tell what kind it is: FHIR needs that, and it is not guessed.
pub(super) fn visit(
    message: &Message,
    feed: &Feed<'_>,
    mapped: &mut Mapped,
    patient: usize,
) -> Option<usize> {
    let pv1 = message.first("PV1")?;
    let key = types::cx_key(&pv1.rep(19), feed)?;
    let Some(class) = types::act_class(&pv1.text(2)) else {
        mapped.note(
            pv1.place_of(2),
            "the patient class is none of E, I, O, P: the visit is left out",
        );
        return None;
    };
    let body = object([
        ("resourceType", text("Encounter")),
        ("identifier", array([types::identifier_of(&key)])),
        ("status", text("unknown")),
        ("class", Some(class)),
        ("subject", Some(crate::draft_reference(patient))),
    ]);
    Some(mapped.push(Draft {
        kind: "Encounter",
        keys: vec![key],
        how: How::IfAbsent,
        dated: super::happened(message, feed),
        body,
        made_with: Json::Null,
        label: vitrine_clinical::label::Label::NONE,
        place: pv1.place(),
    }))
}
