//! What somebody does about a critical result: the answers, what each has to say, and what was read back to the laboratory.
//!
//! Rule: what is read back must be the result (NPSG.02.03.01 of the Joint Commission asks for reading back what was phoned).

use super::{Choice, Fault, TEXT_MOST, What, code_of, fault, line_text};
use crate::chart::Decimal;
use crate::{ResourceKey, say, word};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What somebody does about a critical result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// They have read it and act.
    Acting,
    /// Somebody else has to: it waits on.
    PassedOn,
    /// It cannot be this patient's, or cannot be right; the laboratory has been told.
    Questioned,
}
impl Choice for Answer {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Acting, "acting"),
        (Self::PassedOn, "passed-on"),
        (Self::Questioned, "questioned"),
    ];
    fn text(self) -> &'static str {
        match self {
            Self::Acting => word!("Seen, acting", "Gesehen, Maßnahmen laufen"),
            Self::PassedOn => word!("Passed on to somebody else", "An jemand anderen weitergegeben"),
            Self::Questioned => word!(
                "Wrong patient, or not believable: tell the laboratory",
                "Falscher Patient oder nicht glaubhaft: Labor informieren"
            ),
        }
    }
}
impl Answer {
    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        code_of(self)
    }
    /// In words, short.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Acting => word!("Seen, acting", "Gesehen, Maßnahmen laufen"),
            Self::PassedOn => word!("Passed on", "Weitergegeben"),
            Self::Questioned => word!("Reported as wrong", "Als falsch gemeldet"),
        }
    }
    /// What the words are to say, and whether they may be left out.
    #[must_use]
    pub fn asks(self) -> (&'static str, bool) {
        match self {
            Self::Acting => (word!("What is done", "Was getan wird"), true),
            Self::PassedOn => (word!("To whom", "An wen"), false),
            Self::Questioned => (
                word!(
                    "What is wrong, and who was told",
                    "Was falsch ist und wer informiert wurde"
                ),
                false,
            ),
        }
    }
    /// Whether the result waits for nobody after it.
    #[must_use]
    pub const fn settles(self) -> bool {
        !matches!(self, Self::PassedOn)
    }
}

impl What {
    pub(super) fn answer_faults(&self, out: &mut Vec<Fault>) {
        let Self::Acknowledge {
            result,
            label,
            read,
            value,
            answer,
            read_back,
            words,
            ..
        } = self
        else {
            return;
        };
        if !ResourceKey::parse(result).is_ok_and(|k| k.kind.as_str() == "Observation") {
            out.push(fault(
                "",
                word!(
                    "The result is none: open it again",
                    "Das ist kein Befund: noch einmal öffnen"
                ),
            ));
        }
        for text in [label, read, value] {
            line_text(text, TEXT_MOST, "", word!("The result", "Der Befund"), out);
        }
        let words = words.as_deref().unwrap_or_default();
        line_text(
            words,
            TEXT_MOST,
            "words",
            word!("What is said", "Die Angabe"),
            out,
        );
        let (asked, optional) = answer.asks();
        if !optional && words.trim().is_empty() {
            let lower = asked.to_lowercase();
            out.push(fault("words", say!("Say it: {lower}", "Bitte angeben: {asked}")));
        }
        if let Some(back) = read_back {
            line_text(
                back,
                TEXT_MOST,
                "read_back",
                word!("What was read back", "Die Rückbestätigung"),
                out,
            );
            if !repeats(back, value) {
                out.push(fault(
                    "read_back",
                    say!(
                        "Read back is another value than the {value} of this result: ask the laboratory again",
                        "Rückbestätigt ist ein anderer Wert als {value}, der Wert dieses Befunds: im Labor noch einmal nachfragen"
                    ),
                ));
            }
        }
    }
}

/// Whether what was read back has the number of the result in it; words are for people to compare.
fn repeats(back: &str, value: &str) -> bool {
    let number = |t: String| {
        let digits = t.trim_matches(|c: char| !c.is_ascii_digit() && c != '-');
        Decimal::new(digits.to_owned()).ok()
    };
    let Some(wanted) = number(value.to_owned()) else {
        return true;
    };
    // A comma is a decimal one for some and for others that of the thousands.
    back.split(|c: char| c.is_whitespace() || matches!(c, '/' | '=' | ';'))
        .flat_map(|t| [t.replace(',', "."), t.replace(',', "")])
        .filter_map(number)
        .any(|d| d.value_cmp(&wanted) == Ordering::Equal)
}
