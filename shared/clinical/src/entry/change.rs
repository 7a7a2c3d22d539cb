//! What becomes of an allergy that is in the record: how it stands now, and why.
//!
//! Rules: the agent is never changed (another agent is another allergy); what is recorded of reactions is added to and never taken
//! away; a change names what its author had read, so that one made on a record which had changed meanwhile is told from one that was not.

use super::{Choice, Fault, Severity, TEXT_MOST, What, code_of, fault, line_text, reaction_words};
use crate::card::shown;
use crate::{ResourceKey, say, word};
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
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Confirmed, "confirmed"),
        (Self::Unconfirmed, "unconfirmed"),
        (Self::Refuted, "refuted"),
        (Self::Resolved, "resolved"),
        (Self::EnteredInError, "entered-in-error"),
    ];
    fn text(self) -> &'static str {
        match self {
            Self::Confirmed => word!("Confirmed (seen or tested)", "Bestätigt (gesehen oder getestet)"),
            Self::Unconfirmed => word!("Reported, not confirmed", "Berichtet, nicht bestätigt"),
            Self::Refuted => word!(
                "Refuted: looked into, it is none",
                "Widerlegt: abgeklärt, es ist keine Allergie"
            ),
            Self::Resolved => word!(
                "No longer: it has gone",
                "Keine Allergie mehr: besteht nicht mehr"
            ),
            Self::EnteredInError => word!(
                "Entered in error: never this patient's",
                "Irrtümlich eingetragen: hat diesen Patienten nie betroffen"
            ),
        }
    }
}
impl Standing {
    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        code_of(self)
    }
    /// In words, short.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Confirmed => word!("confirmed", "bestätigt"),
            Self::Unconfirmed => word!("unconfirmed", "unbestätigt"),
            Self::Refuted => word!("refuted", "widerlegt"),
            Self::Resolved => word!("no longer an allergy", "keine Allergie mehr"),
            Self::EnteredInError => word!("entered in error", "irrtümlich eingetragen"),
        }
    }
    /// Whether it is an allergy still.
    #[must_use]
    pub const fn stands(self) -> bool {
        matches!(self, Self::Confirmed | Self::Unconfirmed)
    }
}

/// What was on the screen of an allergy when its change was made, in the words that the record keeps: English, as the server compares it.
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
            out.push(fault(
                "",
                word!(
                    "The allergy is none: open the chart again",
                    "Das ist keine Allergie der Akte: Akte noch einmal öffnen"
                ),
            ));
        }
        if settles.as_ref().is_some_and(|t| !is(t, "Task")) {
            out.push(fault(
                "",
                word!(
                    "What it decides is nothing: open the chart again",
                    "Es gibt nichts zu entscheiden: Akte noch einmal öffnen"
                ),
            ));
        }
        for text in [&read.agent, &read.stood, &read.reacted, &read.said] {
            let what = word!(
                "What is recorded of the allergy",
                "Das Dokumentierte zur Allergie"
            );
            line_text(text, READ_MOST, "", what, out);
        }
        if reason.trim().is_empty() {
            out.push(fault("reason", word!("Say why", "Grund angeben")));
        }
        line_text(reason, TEXT_MOST, "reason", word!("The reason", "Der Grund"), out);
        let added = reaction.as_deref().unwrap_or_default().trim();
        line_text(
            added,
            TEXT_MOST,
            "reaction",
            word!("The reaction", "Die Reaktion"),
            out,
        );
        if !added.is_empty() && !standing.stands() {
            out.push(fault(
                "reaction",
                word!(
                    "A reaction speaks for an allergy: leave it out, or choose another",
                    "Eine Reaktion spricht für eine Allergie: weglassen oder anders wählen"
                ),
            ));
        }
        if severity.is_some() && added.is_empty() {
            out.push(fault("reaction", super::severity_of_nothing()));
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
    let added =
        reaction_words(added.0, added.1).map(|r| say!("also happened: {r}", "außerdem aufgetreten: {r}"));
    let head = if decides {
        word!("decided", "entschieden:")
    } else {
        word!("now", "jetzt")
    };
    let agent = shown::line(read.agent.trim());
    [
        Some(format!("{agent}: {head} {}", standing.words())),
        added,
        Some(say!(
            "because: {reason}",
            "Grund: {reason}",
            reason = reason.trim()
        )),
        Some(say!(
            "the record said: {stood}, {reacted}",
            "in der Akte stand: {stood}, {reacted}",
            stood = shown::stands(read.stood.trim()),
            reacted = shown::reacted(read.reacted.trim()),
        )),
    ]
    .into_iter()
    .flatten()
    .collect()
}
