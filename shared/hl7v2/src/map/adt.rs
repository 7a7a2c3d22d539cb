//! ADT: who the patient is, the visit and where it takes place, allergies and diagnoses.
//!
//! Sources: HL7 v2.5.1 chapter 3; the segment maps of the v2-to-FHIR implementation guide 1.0.0 (PID, PD1, NK1, PV1, PV2, AL1,
//! IAM, DG1). What a trigger does to the visit is our own table ([`Trigger`]), because the guide has message maps for a few only.
//! No ADT takes anything away by not saying it: a message without AL1 or DG1 says nothing about allergies or diagnoses.

mod allergy;
mod diagnosis;
mod patient;
mod place;
#[cfg(test)]
mod tests;

mod trigger;
mod visit;

use super::{Feed, happened, required};
use crate::draft::{Key, Mapped};
use crate::fault::{Code, Fault, Place};
use crate::message::Message;
use crate::time::Stamp;
use trigger::Trigger;

/// What the parts of an ADT message share.
pub(super) struct Adt<'a> {
    message: &'a Message,
    feed: &'a Feed<'a>,
    trigger: Trigger,
    /// From when the message is.
    dated: Option<Stamp>,
    /// The best key of the patient.
    patient: Key,
    out: Mapped,
}

/// Maps an ADT message of an event (MSH-9.2; EVN-1 is not asked).
///
/// # Errors
/// [`Code::UnsupportedEvent`] for events that are not taken; [`Code::SegmentSequence`] for a missing PID, PV1 or MRG and for a
/// second patient; [`Code::RequiredField`] without an identifier of the patient, or of a visit that the event is about;
/// [`Code::DataType`] for a date of birth or death that is none.
pub(super) fn map(message: &Message, feed: &Feed<'_>, event: &str) -> Result<Mapped, Fault> {
    let trigger = Trigger::of(event)?;
    let pid = required(message, "PID")?;
    if message.all("PID").nth(1).is_some() {
        return Err(Fault::at(
            Code::SegmentSequence,
            Place::of_segment("PID", 2),
            "a second PID: this event is about one patient",
        ));
    }
    let dated = happened(message, feed).or_else(|| feed.time(&pid.text(33)));
    let patient = patient::keys(message, feed, trigger)?;
    let mut adt = Adt {
        message,
        feed,
        trigger,
        dated,
        patient: patient.best.clone(),
        out: Mapped::default(),
    };
    adt.patient(&pid, patient)?;
    let visit = adt.visit()?;
    adt.allergies();
    adt.diagnoses(visit.as_ref());
    adt.not_taken();
    Ok(adt.out)
}

impl Adt<'_> {
    /// Says which segments were not taken.
    fn not_taken(&mut self) {
        const TAKEN: [&str; 14] = [
            "MSH", "SFT", "UAC", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "AL1", "IAM", "DG1", "ARV", "MRG",
        ];
        for segment in self.message.segments() {
            let first = segment.nth() == 1;
            match segment.name() {
                "PV1" | "PV2" if !first => self.out.note(segment.place(), "a second visit: not taken"),
                "MRG" if self.trigger != Trigger::Renumber => {
                    self.out
                        .note(segment.place(), "earlier identifiers: not taken for this event");
                }
                name if first && !TAKEN.contains(&name) => {
                    self.out
                        .note(segment.place(), "segments of this name are not taken");
                }
                _ => {}
            }
        }
    }
}

/// A small whole number.
fn count(text: &str) -> Option<u16> {
    let text = text.trim();
    (text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
