//! What a message means, in drafts of FHIR resources.
//!
//! By the maps of the HL7 v2-to-FHIR implementation guide 1.0.0 where it has them; where it has none (A03, A08, A13, A60,
//! S13 to S26, RDE and others), by our own, written down in `docs/HL7.md`. One module for each family of messages.
//! A message that is not understood as a whole is a [`Fault`]; a segment or value that is not understood is a
//! [`Note`](crate::Note), and stays in the message that is kept.

mod appointments;
mod attachment;
mod documents;
mod medicines;
mod observation;
mod orders;
mod parts;
mod patient;
mod quantity;
mod results;
mod timing;
mod value;
mod vital;

use crate::charset::Charset;
use crate::draft::Mapped;
use crate::fault::{Code, Fault, Place};
use crate::message::{Message, Seg};
use crate::time::{Stamp, Zone};
use std::collections::BTreeMap;

mod adt;

/// What is set for a feed, as far as its messages' meaning goes.
#[derive(Clone, Copy)]
pub struct Feed<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// The clocks of the sender, for times without an offset.
    pub zone: &'a Zone<'a>,
    /// The character set of messages that declare none.
    pub charset: Charset,
    /// URIs of who gives identifiers, by the name that the sender uses (HD.1, or the OID).
    pub systems: Option<&'a BTreeMap<String, String>>,
    /// URIs of code systems, by the name that the sender uses (CWE.3).
    pub code_systems: Option<&'a BTreeMap<String, String>>,
    /// Our wards, by the sender's point of care (PL.1).
    pub wards: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Feed<'a> {
    /// One with nothing set.
    #[must_use]
    pub const fn new(name: &'a str, zone: &'a Zone<'a>) -> Self {
        Self {
            name,
            zone,
            charset: Charset::UTF_8,
            systems: None,
            code_systems: None,
            wards: None,
        }
    }
    /// The URI that is set for an authority.
    #[must_use]
    pub fn system(&self, name: &str) -> Option<&'a str> {
        find(self.systems, name)
    }
    /// The URI that is set for a code system.
    #[must_use]
    pub fn code_system(&self, name: &str) -> Option<&'a str> {
        find(self.code_systems, name)
    }
    /// Our ward for the sender's point of care: as set, else by the same name.
    #[must_use]
    pub fn ward(&self, point_of_care: &str) -> String {
        find(self.wards, point_of_care).map_or_else(|| point_of_care.to_owned(), str::to_owned)
    }
    /// A URI of this feed's own, for names that nobody else knows.
    #[must_use]
    pub fn own(&self, purpose: &str, name: &str) -> String {
        let mut out = format!("urn:vitrine:feed:{}:{purpose}", self.name);
        if !name.is_empty() {
            out.push(':');
            for b in name.bytes() {
                if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_') {
                    out.push(char::from(b));
                } else {
                    out.push_str(&format!("%{b:02X}"));
                }
            }
        }
        out
    }
    /// A point in time of this feed.
    #[must_use]
    pub fn time(&self, text: &str) -> Option<Stamp> {
        Stamp::read(text, self.zone)
    }
}

fn find<'a>(map: Option<&'a BTreeMap<String, String>>, name: &str) -> Option<&'a str> {
    if name.is_empty() {
        return None;
    }
    map.and_then(|m| m.get(name)).map(String::as_str)
}

/// What a message means.
///
/// # Errors
/// [`Fault`]: its type or event is not taken, a required segment or field is missing.
pub fn map(message: &Message, feed: &Feed<'_>) -> Result<Mapped, Fault> {
    let header = message.header();
    match (header.kind.as_str(), header.event.as_str()) {
        ("ADT", event) => adt::map(message, feed, event),
        ("ORU", "R01" | "R30" | "R31" | "R32") | ("OUL", "R21" | "R22" | "R23" | "R24") => {
            results::map(message, feed)
        }
        ("ORM", "O01") | ("OMG", "O19") | ("OML", "O21" | "O33" | "O35") => orders::map(message, feed),
        ("RDE", "O11" | "O25") | ("OMP", "O09") | ("RDS", "O13") => medicines::map(message, feed),
        ("MDM", "T01" | "T02" | "T03" | "T04" | "T05" | "T06" | "T07" | "T08" | "T09" | "T10" | "T11") => {
            documents::map(message, feed)
        }
        ("SIU", "S12" | "S13" | "S14" | "S15" | "S16" | "S17" | "S26") => appointments::map(message, feed),
        ("ORU" | "OUL" | "ORM" | "OMG" | "OML" | "RDE" | "OMP" | "RDS" | "MDM" | "SIU", _) => Err(Fault::at(
            Code::UnsupportedEvent,
            Place::field("MSH", 9),
            "this event is not taken: see docs/HL7.md for those that are",
        )),
        (kind, _) => Err(Fault::at(
            if kind.is_empty() {
                Code::RequiredField
            } else {
                Code::UnsupportedType
            },
            Place::field("MSH", 9),
            "messages of this type are not taken: see docs/HL7.md for those that are",
        )),
    }
}

/// When what a message tells happened: EVN-6, EVN-2, else MSH-7.
#[must_use]
pub fn happened(message: &Message, feed: &Feed<'_>) -> Option<Stamp> {
    let evn = message.first("EVN");
    let of = |seg: Option<Seg<'_>>, field: usize| seg.and_then(|s| feed.time(&s.text(field)));
    of(evn, 6)
        .or_else(|| of(evn, 2))
        .or_else(|| of(message.first("MSH"), 7))
}

/// A segment that has to be there.
///
/// # Errors
/// [`Code::SegmentSequence`].
pub fn required<'m>(message: &'m Message, name: &'m str) -> Result<Seg<'m>, Fault> {
    message.first(name).ok_or_else(|| {
        Fault::at(
            Code::SegmentSequence,
            Place::of_segment(name, 1),
            format!("the segment {name} is missing"),
        )
    })
}
