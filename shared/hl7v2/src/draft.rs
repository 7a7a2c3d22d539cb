//! What a message becomes: drafts of FHIR resources, before anybody looked at what is recorded.

use crate::fault::Place;
use crate::json::{Json, object, text};
use crate::time::Stamp;
use vitrine_clinical::label::Label;

/// A business identifier that something is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// URI of who gave it.
    pub system: String,
    /// As given.
    pub value: String,
}

impl Key {
    /// One.
    #[must_use]
    pub fn new(system: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            value: value.into(),
        }
    }
}

/// How a draft meets what is recorded under its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Member by member over what is recorded: a member that the draft does not have stays as it is, one that is
    /// [`Json::Null`] goes. What is recorded by a later message is not touched ([`Draft::dated`]).
    Update,
    /// In place of what is recorded, unless that is by a later message.
    Replace,
    /// Only where nothing is recorded; what is there stays as it is.
    IfAbsent,
    /// It must be there: its body says who is meant, for the check that the identifiers name the right one, and for making
    /// the record where the feed may.
    Known,
}

/// A draft of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// FHIR type.
    pub kind: &'static str,
    /// What it is known by, the best first; never empty. The id of a new resource follows from the first.
    pub keys: Vec<Key>,
    /// How it meets what is recorded.
    pub how: How,
    /// From when what it says is: EVN-2, else MSH-7; OBX-14, OBR-22 and the like for results.
    pub dated: Option<Stamp>,
    /// The resource, `resourceType` first, without `id` and `meta`; references to other drafts by [`draft_reference`].
    pub body: Json,
    /// What the resource is made with where nothing is recorded yet, an object or [`Json::Null`]: members that a message of
    /// this kind does not tell, and that are never put over what is recorded (the status of a visit in an A08, the clinical
    /// status of an allergy in an AL1). Alone the beginning of a visit (`period.start`) is also given to a recorded one that has none.
    pub made_with: Json,
    /// What the resource has to be labelled with (`meta.security`); added to what it is labelled with, never taken away.
    pub label: Label,
    /// Where in the message it comes from.
    pub place: Place,
}

const DRAFT: &str = "urn:vitrine:draft:";

/// A reference to another draft of the same message, by its place among them.
#[must_use]
pub fn draft_reference(index: usize) -> Json {
    object([("reference", text(format!("{DRAFT}{index}")))])
}

/// Which draft a reference's text refers to.
#[must_use]
pub fn referred(reference: &str) -> Option<usize> {
    reference.strip_prefix(DRAFT)?.parse().ok()
}

/// Something that was not understood, or was read with leniency; nothing of it is lost, because the message is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What, without a value of the message.
    pub text: &'static str,
}

/// A message as understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapped {
    /// The drafts; where the message is about a patient, that is the first.
    pub drafts: Vec<Draft>,
    /// What was not understood.
    pub notes: Vec<Note>,
    /// The draft of the patient it is about.
    pub patient: Option<usize>,
}

impl Mapped {
    /// Adds a draft; gives its place.
    pub fn push(&mut self, draft: Draft) -> usize {
        self.drafts.push(draft);
        self.drafts.len() - 1
    }
    /// Adds a note.
    pub fn note(&mut self, place: Place, text: &'static str) {
        let note = Note { place, text };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}
