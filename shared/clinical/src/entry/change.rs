//! What becomes of an allergy that is in the record: how it stands now, and why.
//!
//! Rules: the agent is never changed (another agent is another allergy); what is recorded of reactions is added to and never taken
//! away; a change names what its author had read, so that one made on a record which had changed meanwhile is told from one that was not.

use super::{Choice, Fault, Severity, TEXT_MOST, What, fault, line_text, reaction_words};
use crate::ResourceKey;
use serde::{Deserialize, Serialize};

/// Most characters of what was read of an allergy: all of it, or two that differ would count as the same.
pub const READ_MOST: usize = 4_000;

/// How an allergy stands (FHIR `AllergyIntolerance.verificationStatus` and `clinicalStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Active, seen or tested.
    Confirmed,
    /// Active, said by the patient or others.
    Unconfirmed,
    /// Looked into: it is none.
    Refuted,
    /// It was one and is none any more.
    Resolved,
    /// It never was this patient's.
    EnteredInError,
}
impl Choice for Standing {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Confirmed, "confirmed", "Confirmed (seen or tested)"),
        (Self::Unconfirmed, "unconfirmed", "Reported, not confirmed"),
        (Self::Refuted, "refuted", "Refuted: looked into, it is none"),
        (Self::Resolved, "resolved", "No longer: it has gone"),
        (
            Self::EnteredInError,
            "entered-in-error",
            "Entered in error: never this patient's",
        ),
    ];
}
impl Standing {
    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(k, _, _)| *k == self)
            .map_or("", |(_, c, _)| c)
    }
    /// In words, short.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::Refuted => "refuted",
            Self::Resolved => "no longer an allergy",
            Self::EnteredInError => "entered in error",
        }
    }
    /// Whether it is an allergy still.
    #[must_use]
    pub const fn stands(self) -> bool {
        matches!(self, Self::Confirmed | Self::Unconfirmed)
    }
}

/// What was on the screen of an allergy when its change was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsRead {
    /// Its agent.
    pub agent: String,
    /// How it stood, in words: [`crate::card::dispute::stands`].
    pub stood: String,
    /// Its reactions, in words.
    pub reacted: String,
    /// All of it: [`crate::card::dispute::said`], or [`crate::card::dispute::GONE`].
    pub said: String,
}

impl What {
    pub(super) fn change_faults(&self, out: &mut Vec<Fault>) {
        let Self::AllergyChange {
            allergy,
            read,
            standing,
            reaction,
            severity,
            reason,
            settles,
        } = self
        else {
            return;
        };
        let is = |text: &str, kind: &str| ResourceKey::parse(text).is_ok_and(|k| k.kind.as_str() == kind);
        if !is(allergy, "AllergyIntolerance") || read.agent.trim().is_empty() || read.said.trim().is_empty() {
            out.push(fault("", "The allergy is none: open the chart again"));
        }
        if settles.as_ref().is_some_and(|t| !is(t, "Task")) {
            out.push(fault("", "What it decides is nothing: open the chart again"));
        }
        for text in [&read.agent, &read.stood, &read.reacted, &read.said] {
            line_text(text, READ_MOST, "", "What is recorded of the allergy", out);
        }
        if reason.trim().is_empty() {
            out.push(fault("reason", "Say why"));
        }
        line_text(reason, TEXT_MOST, "reason", "The reason", out);
        let added = reaction.as_deref().unwrap_or_default().trim();
        line_text(added, TEXT_MOST, "reaction", "The reaction", out);
        if !added.is_empty() && !standing.stands() {
            out.push(fault(
                "reaction",
                "A reaction speaks for an allergy: leave it out, or choose another",
            ));
        }
        if severity.is_some() && added.is_empty() {
            out.push(fault("reaction", "Say what happened, or leave the severity out"));
        }
    }
}

/// What a change says, line by line.
pub(super) fn lines(
    read: &AsRead,
    standing: Standing,
    added: (Option<&str>, Option<Severity>),
    (reason, decides): (&str, bool),
) -> Vec<String> {
    let added = reaction_words(added.0, added.1).map(|r| format!("also happened: {r}"));
    let head = if decides { "decided" } else { "now" };
    [
        Some(format!("{}: {head} {}", read.agent.trim(), standing.words())),
        added,
        Some(format!("because: {}", reason.trim())),
        Some(format!(
            "the record said: {}, {}",
            read.stood.trim(),
            read.reacted.trim()
        )),
    ]
    .into_iter()
    .flatten()
    .collect()
}
