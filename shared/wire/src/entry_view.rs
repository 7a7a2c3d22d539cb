//! View models of what is recorded at this workstation: the forms, what was understood, what became of each entry.
//!
//! The screen knows no clinical limit: units, limits, choices and sentences come from here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use ts_rs::TS;

/// The forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EntryFormView {
    /// The vital signs that can be recorded, in the order of the form.
    pub signs: Vec<SignView>,
    /// How bad a reaction to an allergen was.
    pub severities: Vec<ChoiceView>,
    /// How sure one is of an allergy; the first is the one to offer.
    pub certainties: Vec<ChoiceView>,
    /// What can become of an allergy that is in the record; none is offered first.
    pub standings: Vec<StandingView>,
    /// Kinds of notes; the first is the one to offer.
    pub note_kinds: Vec<ChoiceView>,
    /// Why a vital sign of the record is wrong; none is offered first.
    pub wrongs: Vec<ChoiceView>,
    /// What can be done about a critical result; none is offered first.
    pub answers: Vec<AnswerView>,
    /// How long ago something was measured, in minutes, for choosing with one key; the first is 0.
    pub ago_minutes: Vec<u32>,
    /// The longest time ago that may be entered here, minutes.
    pub ago_most: u32,
    /// The question to be answered with yes before "no known allergies" is recorded.
    pub none_known_question: String,
    /// Most characters of a note.
    pub note_most: u32,
    /// Most characters of an allergen or of a reaction.
    pub text_most: u32,
}

/// One vital sign of the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SignView {
    /// Its code in [`ReadingInput::sign`].
    pub sign: String,
    /// "HR".
    pub label: String,
    /// "Heart rate".
    pub words: String,
    /// "/min"; "" where it has none.
    pub unit: String,
    /// "10 to 300", or what else helps.
    pub hint_text: String,
    /// What can be chosen; empty where a number is typed.
    pub choices: Vec<ChoiceView>,
}

/// What can be done about a critical result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct AnswerView {
    /// Its code.
    pub code: String,
    /// "Seen, acting".
    pub text: String,
    /// What the words are to say: "What is done".
    pub asks: String,
    /// The words may be left out.
    pub optional: bool,
}

/// What can become of an allergy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct StandingView {
    /// Its code.
    pub code: String,
    /// "Refuted: looked into, it is none".
    pub text: String,
    /// It is an allergy still: a reaction can be added.
    pub stands: bool,
}

/// Something to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ChoiceView {
    /// Its code.
    pub code: String,
    /// Its words.
    pub text: String,
}

/// What a person wants to record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[ts(export)]
pub enum EntryInput {
    /// Vital signs measured at one time.
    Vitals {
        /// How long ago, minutes.
        minutes_ago: u32,
        /// The readings; empty texts are no reading.
        readings: Vec<ReadingInput>,
    },
    /// Vital signs of the record, measured at one time, are marked as wrong.
    VitalsError {
        /// When they were measured ([`crate::series_view::MeasuredPointView::at_ms`]).
        #[ts(type = "number")]
        at_ms: i64,
        /// Which ([`crate::series_view::MeasuredPointView::source`]).
        values: Vec<String>,
        /// Code of [`EntryFormView::wrongs`].
        why: String,
        /// More about that; "" = nothing.
        words: String,
    },
    /// An allergy or intolerance.
    Allergy {
        /// The agent, as typed.
        agent: String,
        /// What happened; "" = not known.
        reaction: String,
        /// Code of [`EntryFormView::severities`]; "" = not known.
        severity: String,
        /// Code of [`EntryFormView::certainties`].
        certainty: String,
    },
    /// An allergy of the record is changed, or what two changes of it contradict each other in is decided.
    AllergyChange {
        /// The allergy ([`crate::view::AllergyView::source`], [`crate::view::DisputeView::allergy`]).
        allergy: String,
        /// Code of [`EntryFormView::standings`].
        standing: String,
        /// What happened beyond what is recorded; "" = nothing to add.
        reaction: String,
        /// Code of [`EntryFormView::severities`], of that reaction; "" = not known.
        severity: String,
        /// Why.
        reason: String,
        /// The dispute that this decides ([`crate::view::DisputeView::dispute`]); "" = none.
        settles: String,
    },
    /// The patient has no known allergies; the question was answered with yes.
    NoKnownAllergies {
        /// The answer.
        asked: bool,
    },
    /// A note.
    Note {
        /// Code of [`EntryFormView::note_kinds`].
        note_kind: String,
        /// The text.
        text: String,
    },
    /// A critical result is taken up (`results_view`).
    Acknowledge {
        /// The result ("Observation/…").
        result: String,
        /// Its version as shown.
        version: u32,
        /// Code of [`EntryFormView::answers`].
        answer: String,
        /// What was read back to the laboratory; "" = it did not call.
        read_back: String,
        /// What is done, or to whom it is passed on, or what is wrong.
        words: String,
    },
}

/// One reading as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ReadingInput {
    /// Code of [`SignView::sign`].
    pub sign: String,
    /// The number, or the code of the choice.
    pub value: String,
}

/// What a draft may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum DraftKind {
    /// Vital signs.
    Vitals,
    /// An allergy.
    Allergy,
    /// A note.
    Note,
}

/// What was typed of an entry and not signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EntryDraftView {
    /// What was typed or chosen, by the names that faults have.
    pub fields: BTreeMap<String, String>,
    /// Whole minutes since it was kept: "5 min ago" of then is so much longer ago.
    pub minutes: u32,
}

/// That there is a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct DraftHintView {
    /// Of what.
    pub kind: DraftKind,
    /// When it was kept last: "29-Nov-2026 04:12".
    pub kept_text: String,
}

/// What was read before signing; goes back with the signature, so that what is signed is what was read, and once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EntrySeen {
    /// Id that the entry will have: signed twice, it is recorded once.
    pub id: String,
    /// When it was shown, UTC ms: "5 min ago" counts from here.
    #[ts(type = "number")]
    pub at_ms: i64,
}

/// What would be recorded, to be read before it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EntryPreviewView {
    /// Patient it is about: the screen shows nothing unless it equals the banner's (screens.md S8).
    pub patient: String,
    /// To be given back with the signature.
    pub seen: EntrySeen,
    /// "Vital signs".
    pub title: String,
    /// In their final form: "HR 88 /min".
    pub lines: Vec<String>,
    /// "measured 27-Nov-2026 04:12 (now)".
    pub at_text: String,
    /// Unusual and possible: to be looked at again, not in the way.
    pub warnings: Vec<FaultView>,
    /// What has to be mended first; while there is one nothing can be signed.
    pub faults: Vec<FaultView>,
}

/// Something about one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct FaultView {
    /// Code of the sign, or `agent`, `reaction`, `severity`, `certainty`, `standing`, `reason`, `asked`, `note_kind`, `text`,
    /// `minutes_ago`, `answer`, `read_back`, `words`; "" = the whole.
    pub field: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// Where an entry is on its way (screens.md S16): only what is accepted counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum EntryState {
    /// On this workstation's disk alone.
    Queued,
    /// On its way; the server has not answered.
    Sent,
    /// In the record on the server.
    Accepted,
    /// The server refuses it: somebody has to look at it.
    Rejected,
}

/// Something recorded at this workstation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EntryView {
    /// Its id.
    pub id: String,
    /// Patient it is about.
    pub patient: String,
    /// "JONES, Mary (Ms)"; absent in a chart, where the banner says it.
    pub name_text: Option<String>,
    /// Section of the chart it belongs to: `vitals`, `allergies`, `notes`, `labs`.
    pub section: String,
    /// State.
    pub state: EntryState,
    /// "NOT SENT — on this workstation alone"; "REJECTED by the server".
    pub state_text: String,
    /// "Vital signs".
    pub title: String,
    /// "HR 88 /min".
    pub lines: Vec<String>,
    /// "measured 27-Nov-2026 04:12".
    pub at_text: String,
    /// "recorded 27-Nov-2026 04:13 by RN BROWN (Nurse)".
    pub by_text: String,
    /// Why the server refuses it, and what to do.
    pub reason_text: Option<String>,
    /// The person may take it off the list, saying what was done about it.
    pub may_settle: bool,
}

/// All that was recorded at this workstation and is not in the record on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EntriesView {
    /// The rejected first, then the oldest first.
    pub entries: Vec<EntryView>,
    /// Entries about patients this person may not open; they are counted and not shown.
    pub withheld: u32,
    /// "Looked at: everything recorded at ED-07 that the server has not accepted." For an empty list.
    pub looked_text: String,
}
