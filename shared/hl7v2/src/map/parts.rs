//! What the maps of results, orders, medicines, documents and appointments share.

use super::{Feed, patient};
use crate::draft::{Draft, How, Key, Mapped, draft_reference};
use crate::fault::{Fault, Place};
use crate::json::{Json, array, object, text};
use crate::message::{Message, Seg};
use crate::time::Stamp;
use crate::types;

/// Segments that are about the message, the person or the bill: what these families take of them is taken by name.
const ASIDE: &[&str] = &[
    "MSH", "SFT", "UAC", "PID", "PD1", "PV1", "EVN", "MSA", "DSC", "BHS", "FHS", "BTS", "FTS",
];

/// A message on its way to drafts.
pub(super) struct Work<'w> {
    pub message: &'w Message,
    pub feed: &'w Feed<'w>,
    pub mapped: Mapped,
    pub patient: usize,
    pub encounter: Option<usize>,
    /// MSH-7.
    pub sent: Option<Stamp>,
}

impl<'w> Work<'w> {
    /// Reads patient and visit.
    pub(super) fn begin(message: &'w Message, feed: &'w Feed<'w>) -> Result<Self, Fault> {
        let mut mapped = Mapped::default();
        let patient = patient::known_patient(message, feed, &mut mapped)?;
        let encounter = patient::visit(message, feed, &mut mapped, patient);
        let sent = message.first("MSH").and_then(|s| feed.time(&s.text(7)));
        Ok(Self {
            message,
            feed,
            mapped,
            patient,
            encounter,
            sent,
        })
    }

    pub(super) fn subject(&self) -> Option<Json> {
        Some(draft_reference(self.patient))
    }

    pub(super) fn encounter(&self) -> Option<Json> {
        self.encounter.map(draft_reference)
    }

    pub(super) fn note(&mut self, place: Place, text: &'static str) {
        self.mapped.note(place, text);
    }

    /// The point in time of a field; a note where it is none.
    pub(super) fn time(&mut self, seg: &Seg<'_>, field: usize) -> Option<Stamp> {
        let sent = seg.text(field);
        let read = self.feed.time(&sent);
        if read.is_none() && !sent.is_empty() {
            self.note(seg.place_of(field), "no point in time: it is left out");
        }
        read
    }

    /// A key of this feed from parts that mean the same whenever the same thing is meant.
    pub(super) fn own_key(&self, purpose: &str, parts: &[&str]) -> Key {
        Key::new(self.feed.own(purpose, ""), parts.join("|"))
    }

    /// The first identifier of the patient, for keys of what has no number.
    pub(super) fn patient_key(&self) -> String {
        let key = self.mapped.drafts.get(self.patient).and_then(|d| d.keys.first());
        key.map(written).unwrap_or_default()
    }

    pub(super) fn push(
        &mut self,
        kind: &'static str,
        keys: Vec<Key>,
        how: How,
        dated: Option<Stamp>,
        place: Place,
        body: Json,
    ) -> usize {
        self.mapped.push(Draft {
            kind,
            keys,
            how,
            dated,
            body,
            made_with: Json::Null,
            label: vitrine_clinical::label::Label::NONE,
            place,
        })
    }

    /// Notes the segments that the map does not take, and finishes.
    pub(super) fn done(mut self, taken: &[&str]) -> Mapped {
        for seg in self.message.segments() {
            if !taken.contains(&seg.name()) && !ASIDE.contains(&seg.name()) {
                self.mapped.note(
                    seg.place(),
                    "this segment is not taken: it stays in the message that is kept",
                );
            }
        }
        for draft in &mut self.mapped.drafts {
            tidy(&mut draft.body);
            for key in &mut draft.keys {
                key.system = without_space(&key.system, "%20");
            }
        }
        self.mapped
    }
}

/// A key in one text.
pub(super) fn written(key: &Key) -> String {
    format!("{}|{}", key.system, key.value)
}

/// What a CWE is told apart by: code and system of both codings, else its words.
pub(super) fn name_of(concept: Option<&Json>) -> String {
    let Some(concept) = concept else {
        return String::new();
    };
    let of = |node: &Json, key: &str| {
        node.get(key)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let codings = match concept.get("coding") {
        Some(Json::Array(all)) => all.as_slice(),
        _ => &[],
    };
    // The first coding alone: the other one is a translation, which a sender may add later.
    match codings.first() {
        Some(c) => format!("{}|{}", of(c, "system"), of(c, "code")),
        None => of(concept, "text")
            .to_lowercase()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Identifiers of keys, without repeats.
pub(super) fn identifiers(keys: &[Key]) -> Option<Json> {
    let mut seen: Vec<&Key> = Vec::new();
    for key in keys {
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    array(seen.into_iter().map(types::identifier_of))
}

/// The text of NTE segments that belong together, one line each repetition of NTE-3.
#[derive(Default)]
pub(super) struct Remarks(Vec<String>);

impl Remarks {
    pub(super) fn add(&mut self, nte: &Seg<'_>) {
        self.0.extend(nte.reps(3).map(|r| r.whole()));
    }
    pub(super) fn line(&mut self, line: String) {
        if !line.is_empty() {
            self.0.push(line);
        }
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(super) fn text(&self) -> String {
        self.0.join("\n").trim().to_owned()
    }
    /// As `note`: one Annotation.
    pub(super) fn notes(&self) -> Option<Json> {
        let words = text(self.text())?;
        array([object([("text", Some(words))])])
    }
}

/// Whole text of a repetition; HL7's null says nothing.
pub(super) fn whole(rep: &crate::message::Rep<'_>) -> String {
    if rep.is_empty() {
        return String::new();
    }
    rep.whole()
}

/// An organisation that is only named: XON.1 or the words of a CWE.
pub(super) fn organization(name: String) -> Option<Json> {
    let name = text(name)?;
    Some(object([("type", text("Organization")), ("display", Some(name))]))
}

/// A reference to what another system knows under a number.
pub(super) fn by_number(kind: &str, key: &Key) -> Json {
    object([
        ("type", text(kind)),
        ("identifier", Some(types::identifier_of(key))),
    ])
}

/// Makes codes and URIs what FHIR takes for them: no white space in a URI, none doubled in a code.
fn tidy(node: &mut Json) {
    match node {
        Json::Array(all) => all.iter_mut().for_each(tidy),
        Json::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("code", Json::String(code)) => {
                        *code = code.split_whitespace().collect::<Vec<_>>().join(" ");
                    }
                    ("system" | "url", Json::String(uri)) => *uri = without_space(uri, "%20"),
                    (_, value) => tidy(value),
                }
            }
        }
        _ => {}
    }
}

fn without_space(text: &str, instead: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(instead)
}
