//! What staff record at a workstation: vital signs, allergies, notes, what they do about critical results.
//!
//! Lives here: an entry, what is wrong or unusual about it, how it reads. Both ends check the same: the workstation before it is
//! signed, the server before it comes into the record. Never here: FHIR (that is `fhir::entry`), where an entry is on its way.
//!
//! Rules: refuse, never guess; a number beyond the limits is a mistake until somebody writes it down in words; an allergen that
//! says "none" is no allergy; severities are the recorder's and are not derived.

mod answer;
mod change;
mod signs;
#[cfg(test)]
mod tests;
mod wrong;

pub use answer::Answer;
pub use change::{AsRead, READ_MOST, Standing};
pub use signs::{AWARENESS, SIGNS, Sign, SignFacts, awareness_text};
pub use wrong::{SaidValue, WRONG_MOST, Wrong, Wrongly};

use crate::card::{allergen_says, shown};
use crate::chart::Decimal;
use crate::format::Measured;
use crate::{DeviceId, FhirId, PatientId, UserId, UtcMs, say, word};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Most characters of an allergen or a reaction.
pub const TEXT_MOST: usize = 200;
/// Most characters of a note.
pub const NOTE_MOST: usize = 20_000;
/// The longest time between measuring and recording, minutes.
pub const AGO_MOST: u32 = 12 * 60;
/// What was recorded longer ago than this is not taken: a clock that stands in the past says so, ms.
pub const OLD_MS: i64 = 60 * 86_400_000;
/// A workstation's clock may be so far ahead of the server's, ms.
pub const AHEAD_MS: i64 = 5 * 60_000;

/// Something recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its id (UUIDv7), the id of the operation that brings it into the record.
    pub id: FhirId,
    /// Whose record.
    pub patient: PatientId,
    /// Who recorded it.
    pub user: UserId,
    /// That person's name as shown then.
    pub name: String,
    /// At which workstation.
    pub device: DeviceId,
    /// When it was signed.
    pub at: UtcMs,
    /// Offset of the local clock from UTC then, minutes: times in the record carry it.
    pub zone_minutes: i32,
    /// What.
    pub what: What,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// Vital signs measured at one time.
    Vitals {
        /// When.
        at: UtcMs,
        /// The readings, in the order of [`SIGNS`].
        readings: Vec<Reading>,
    },
    /// Vital signs of the record, measured at one time, are wrong.
    VitalsError {
        /// When they were measured, by the record.
        at: UtcMs,
        /// Which, as they were read.
        wrong: Vec<Wrong>,
        /// Why.
        why: Wrongly,
        /// More about that.
        words: Option<String>,
    },
    /// An allergy or intolerance, in the recorder's words.
    Allergy {
        /// Against what.
        agent: String,
        /// What happened, where known.
        reaction: Option<String>,
        /// How bad it was, where known.
        severity: Option<Severity>,
        /// How sure one is.
        certainty: Certainty,
    },
    /// An allergy of the record stands differently, or what two changes contradict each other in is decided.
    AllergyChange {
        /// The allergy: `AllergyIntolerance/…`.
        allergy: String,
        /// What was recorded of it, as it was read.
        read: AsRead,
        /// How it stands.
        standing: Standing,
        /// A reaction to be added.
        reaction: Option<String>,
        /// How bad that was, where known.
        severity: Option<Severity>,
        /// Why.
        reason: String,
        /// The dispute that it decides: `Task/…`.
        settles: Option<String>,
    },
    /// The patient, or somebody who speaks for them, was asked, and there are no known allergies.
    NoKnownAllergies,
    /// A note.
    Note {
        /// What kind.
        note: NoteKind,
        /// The text.
        text: String,
    },
    /// Somebody has taken up a critical result.
    Acknowledge {
        /// The result: `Observation/…`.
        result: String,
        /// Its version as shown.
        version: u64,
        /// What was measured: "K".
        label: String,
        /// As it was read: [`crate::card::CriticalItem::said`].
        read: String,
        /// Its digits or words as recorded, which a read-back must repeat.
        value: String,
        /// What they do.
        answer: Answer,
        /// What was read back to the laboratory; absent where it did not call.
        read_back: Option<String>,
        /// What is done, to whom it is passed on, what is wrong.
        words: Option<String>,
    },
}

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Of what.
    pub sign: Sign,
    /// The digits as typed, or the code of what was chosen.
    pub value: String,
}

/// A kind of word that people choose from a list.
pub trait Choice: Copy + Sized + 'static {
    /// All, with their codes, the one to offer first.
    const ALL: &'static [(Self, &'static str)];
    /// As it is offered, in words.
    #[must_use]
    fn text(self) -> &'static str;
    /// By its code.
    #[must_use]
    fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, c)| *c == code).map(|(k, _)| *k)
    }
}

fn code_of<T: Choice + PartialEq>(choice: T) -> &'static str {
    T::ALL.iter().find(|(k, _)| *k == choice).map_or("", |(_, c)| c)
}

/// How bad a reaction was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Mild.
    Mild,
    /// Moderate.
    Moderate,
    /// Severe.
    Severe,
    /// It put life at risk: FHIR criticality high.
    LifeThreatening,
}
impl Choice for Severity {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Mild, "mild"),
        (Self::Moderate, "moderate"),
        (Self::Severe, "severe"),
        (Self::LifeThreatening, "life-threatening"),
    ];
    fn text(self) -> &'static str {
        match self {
            Self::Mild => word!("Mild", "Leicht"),
            Self::Moderate => word!("Moderate", "Mittelschwer"),
            Self::Severe => word!("Severe", "Schwer"),
            Self::LifeThreatening => word!("Life-threatening", "Lebensbedrohlich"),
        }
    }
}
impl Severity {
    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        code_of(self)
    }
    /// In the middle of a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        shown::severity(self.code())
    }
}

/// How sure one is of an allergy (FHIR `AllergyIntolerance.verificationStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Said by the patient or others.
    Unconfirmed,
    /// Seen, tested, or on reliable record.
    Confirmed,
}
impl Choice for Certainty {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Unconfirmed, "unconfirmed"), (Self::Confirmed, "confirmed")];
    fn text(self) -> &'static str {
        match self {
            Self::Unconfirmed => word!(
                "Reported (patient, family, letter)",
                "Berichtet (Patient, Angehörige, Arztbrief)"
            ),
            Self::Confirmed => word!("Confirmed (seen or tested)", "Bestätigt (gesehen oder getestet)"),
        }
    }
}

/// Kinds of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// Progress note.
    Progress,
    /// Nursing note.
    Nursing,
    /// Emergency department note.
    Emergency,
    /// Handover.
    Handover,
}
impl Choice for NoteKind {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Progress, "progress"),
        (Self::Nursing, "nursing"),
        (Self::Emergency, "emergency"),
        (Self::Handover, "handover"),
    ];
    fn text(self) -> &'static str {
        match self {
            Self::Progress => word!("Progress note", "Verlaufsnotiz"),
            Self::Nursing => word!("Nursing note", "Pflegenotiz"),
            Self::Emergency => word!("Emergency department note", "Notiz der Notaufnahme"),
            Self::Handover => word!("Handover note", "Übergabenotiz"),
        }
    }
}
impl NoteKind {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.text()
    }
}

/// Something about one field of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Code of the sign, or the name of the field; "" = the whole.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub text: String,
}

fn fault(field: &'static str, text: impl Into<String>) -> Fault {
    Fault {
        field,
        text: text.into(),
    }
}

/// A number as people type it: with a decimal comma too, because no sign is recorded in thousands.
///
/// # Errors
/// The sentence for the field.
pub fn typed_number(facts: &SignFacts, text: &str) -> Result<Decimal, String> {
    let plain = text.trim().replace(',', ".");
    let whole = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let (before, after) = plain
        .split_once('.')
        .map_or((plain.as_str(), None), |(b, a)| (b, Some(a)));
    if !whole(before) || after.is_some_and(|a| !whole(a)) || plain.len() > 12 {
        return Err(say!(
            "'{typed}' is no number: type digits alone",
            "„{typed}“ ist keine Zahl: nur Ziffern eingeben",
            typed = text.trim()
        ));
    }
    if after.is_some_and(|a| a.len() > facts.decimals) {
        let words = facts.words();
        return Err(match facts.decimals {
            0 => say!(
                "{words} is recorded without decimals",
                "{words}: ohne Nachkommastellen eingeben"
            ),
            n => say!(
                "{words} is recorded with at most {n} decimal",
                "{words}: mit höchstens {n} Nachkommastelle eingeben"
            ),
        });
    }
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    let digits = after.map_or_else(|| before.to_owned(), |a| format!("{before}.{a}"));
    let d = Decimal::new(digits).map_err(|_| {
        say!(
            "'{typed}' is no number",
            "„{typed}“ ist keine Zahl",
            typed = text.trim()
        )
    })?;
    if facts.possible(&d) {
        return Ok(d);
    }
    let fahrenheit = facts.sign == Sign::Temperature
        && Decimal::new("80").is_ok_and(|l| d.value_cmp(&l) == Ordering::Greater);
    if fahrenheit {
        return Err(say!(
            "Give the temperature in °C: this looks like °F",
            "Temperatur in °C angeben: das sieht nach °F aus"
        ));
    }
    let unit = if facts.unit.is_empty() {
        String::new()
    } else {
        format!(" {}", facts.unit)
    };
    let (words, (least, most)) = (facts.words(), facts.limits);
    Err(say!(
        "{words} must be {least} to {most}{unit}: look again; if it is right, write it in a note",
        "{words}: nur {least} bis {most}{unit} möglich: noch einmal prüfen; falls es stimmt, in eine Notiz schreiben"
    ))
}

impl Reading {
    /// The number, for what is measured.
    #[must_use]
    pub fn number(&self) -> Option<Decimal> {
        Decimal::new(self.value.as_str()).ok()
    }
    /// What was chosen, for what is chosen: code, words, SNOMED CT code, display.
    #[must_use]
    pub fn chosen(&self) -> Option<&'static (&'static str, &'static str, &'static str, &'static str)> {
        AWARENESS.iter().find(|(code, ..)| *code == self.value)
    }
}

fn line_text(text: &str, most: usize, field: &'static str, what: &str, out: &mut Vec<Fault>) {
    if text.chars().count() > most {
        out.push(fault(
            field,
            say!(
                "{what} is longer than {most} characters",
                "{what} ist länger als {most} Zeichen"
            ),
        ));
    }
    if text.chars().any(|c| c.is_control()) {
        out.push(fault(
            field,
            say!(
                "{what} has characters that cannot be shown: type it on one line",
                "{what} enthält Zeichen, die sich nicht anzeigen lassen: in einer Zeile eingeben"
            ),
        ));
    }
}

impl What {
    /// What has to be mended; empty = it can be recorded. `at` is when it is signed.
    #[must_use]
    pub fn faults(&self, at: UtcMs) -> Vec<Fault> {
        let mut out = Vec::new();
        match self {
            Self::Vitals {
                at: measured,
                readings,
            } => vital_faults(at, *measured, readings, &mut out),
            Self::VitalsError { .. } => wrong::faults(self, at, &mut out),
            Self::Allergy {
                agent,
                reaction,
                severity,
                ..
            } => {
                if agent.trim().is_empty() {
                    out.push(fault(
                        "agent",
                        word!(
                            "Say against what the allergy is",
                            "Angeben, wogegen die Allergie besteht"
                        ),
                    ));
                }
                line_text(
                    agent,
                    TEXT_MOST,
                    "agent",
                    word!("The allergen", "Das Allergen"),
                    &mut out,
                );
                if let Some(text) = allergen_says(agent) {
                    out.push(fault("agent", text));
                }
                if let Some(reaction) = reaction {
                    let what = word!("The reaction", "Die Reaktion");
                    line_text(reaction, TEXT_MOST, "reaction", what, &mut out);
                }
                if severity.is_some() && reaction.as_ref().is_none_or(|r| r.trim().is_empty()) {
                    out.push(fault("reaction", severity_of_nothing()));
                }
            }
            Self::NoKnownAllergies => {}
            Self::AllergyChange { .. } => self.change_faults(&mut out),
            Self::Acknowledge { .. } => self.answer_faults(&mut out),
            Self::Note { text, .. } => {
                if text.trim().is_empty() {
                    out.push(fault(
                        "text",
                        word!("Write the note first", "Zuerst die Notiz schreiben"),
                    ));
                }
                if text.chars().count() > NOTE_MOST {
                    out.push(fault(
                        "text",
                        say!(
                            "The note is longer than {NOTE_MOST} characters: sign it in parts",
                            "Die Notiz ist länger als {NOTE_MOST} Zeichen: in Teilen unterschreiben"
                        ),
                    ));
                }
                if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
                    out.push(fault(
                        "text",
                        word!(
                            "The note has characters that cannot be shown: paste it as plain text",
                            "Die Notiz enthält Zeichen, die sich nicht anzeigen lassen: als reinen Text einfügen"
                        ),
                    ));
                }
            }
        }
        out
    }

    /// What is possible and unusual: to be looked at again before signing.
    #[must_use]
    pub fn warnings(&self) -> Vec<Fault> {
        let Self::Vitals { readings, .. } = self else {
            return Vec::new();
        };
        readings
            .iter()
            .filter_map(|r| {
                let facts = r.sign.facts();
                let d = r.number()?;
                let line = line(r)?;
                (!facts.usual(&d)).then(|| {
                    fault(
                        facts.code,
                        say!(
                            "{line} is unusual: look again",
                            "{line} ist ungewöhnlich: noch einmal prüfen"
                        ),
                    )
                })
            })
            .collect()
    }

    /// The section of the chart it belongs to.
    #[must_use]
    pub fn section(&self) -> &'static str {
        match self {
            Self::Vitals { .. } | Self::VitalsError { .. } => "vitals",
            Self::Allergy { .. } | Self::AllergyChange { .. } | Self::NoKnownAllergies => "allergies",
            Self::Note { .. } => "notes",
            Self::Acknowledge { .. } => "labs",
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Vitals { .. } => word!("Vital signs", "Vitalwerte"),
            Self::VitalsError { .. } => {
                word!("Vital signs marked as wrong", "Vitalwerte als falsch markiert")
            }
            Self::Allergy { .. } => word!("Allergy or intolerance", "Allergie oder Unverträglichkeit"),
            Self::AllergyChange { settles: None, .. } => {
                word!("Change of an allergy", "Änderung einer Allergie")
            }
            Self::AllergyChange { .. } => word!(
                "Contradiction about an allergy decided",
                "Widerspruch zu einer Allergie entschieden"
            ),
            Self::NoKnownAllergies => word!("No known allergies", "Keine bekannten Allergien"),
            Self::Note { note, .. } => note.words(),
            Self::Acknowledge { .. } => word!("Critical result taken up", "Kritischer Befund bearbeitet"),
        }
    }

    /// What it says, line by line, in its final form.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Vitals { readings, .. } => vital_lines(readings),
            Self::VitalsError {
                wrong, why, words, ..
            } => wrong::lines(wrong, *why, words.as_deref()),
            Self::Allergy { agent, certainty, .. } => vec![
                agent.trim().to_owned(),
                self.reaction_text(),
                match certainty {
                    Certainty::Confirmed => shown::stands("confirmed").to_owned(),
                    Certainty::Unconfirmed => shown::stands("unconfirmed").to_owned(),
                },
            ],
            Self::AllergyChange {
                read,
                standing,
                reaction,
                severity,
                reason,
                settles,
                ..
            } => change::lines(
                read,
                *standing,
                (reaction.as_deref(), *severity),
                (reason, settles.is_some()),
            ),
            Self::NoKnownAllergies => vec![say!(
                "The patient or somebody who speaks for them was asked: no known allergies",
                "Der Patient oder jemand, der für ihn spricht, wurde gefragt: keine bekannten Allergien"
            )],
            Self::Note { text, .. } => text.trim().lines().map(str::to_owned).collect(),
            Self::Acknowledge {
                label,
                read,
                answer,
                read_back,
                words,
                ..
            } => {
                let said = words
                    .as_deref()
                    .map_or(String::new(), |w| format!(": {}", w.trim()));
                let back = read_back
                    .as_deref()
                    .map(|b| say!("read back: {b}", "rückbestätigt: {b}", b = b.trim()));
                [
                    Some(format!("{label} {read}")),
                    Some(format!("{}{said}", answer.words())),
                    back,
                ]
                .into_iter()
                .flatten()
                .collect()
            }
        }
    }

    /// What happened, in words, for an allergy; "" for anything else.
    #[must_use]
    pub fn reaction_text(&self) -> String {
        let Self::Allergy {
            reaction, severity, ..
        } = self
        else {
            return String::new();
        };
        reaction_words(reaction.as_deref(), *severity)
            .unwrap_or_else(|| shown::reaction_not_recorded().to_owned())
    }
}

fn severity_of_nothing() -> &'static str {
    word!(
        "Say what happened, or leave the severity out",
        "Angeben, was geschah, oder den Schweregrad weglassen"
    )
}

/// "hives, mild"; `None` where nothing happened that is known.
fn reaction_words(reaction: Option<&str>, severity: Option<Severity>) -> Option<String> {
    let what = reaction.map(str::trim).filter(|r| !r.is_empty())?;
    Some(match severity {
        Some(s) => format!("{what}, {}", s.words()),
        None => what.to_owned(),
    })
}

fn vital_faults(at: UtcMs, measured: UtcMs, readings: &[Reading], out: &mut Vec<Fault>) {
    if readings.is_empty() {
        out.push(fault(
            "",
            word!(
                "Type at least one vital sign",
                "Mindestens einen Vitalwert eingeben"
            ),
        ));
    }
    let ago = at.since(measured);
    if ago < 0 {
        out.push(fault(
            "minutes_ago",
            word!(
                "The time of measuring is still to come",
                "Der Zeitpunkt der Messung liegt in der Zukunft"
            ),
        ));
    }
    if ago > i64::from(AGO_MOST) * 60_000 {
        out.push(fault(
            "minutes_ago",
            say!(
                "Measured more than {hours} hours ago: write it in a note",
                "Vor mehr als {hours} Stunden gemessen: in eine Notiz schreiben",
                hours = AGO_MOST / 60
            ),
        ));
    }
    let mut seen = BTreeSet::new();
    for r in readings {
        let facts = r.sign.facts();
        if !seen.insert(r.sign) {
            out.push(fault(
                facts.code,
                say!(
                    "{words} is given twice",
                    "{words}: doppelt angegeben",
                    words = facts.words()
                ),
            ));
        }
        if r.sign == Sign::Awareness {
            if r.chosen().is_none() {
                out.push(fault(
                    facts.code,
                    word!(
                        "Choose one of the levels of consciousness",
                        "Eine der Bewusstseinslagen auswählen"
                    ),
                ));
            }
        } else if let Err(text) = typed_number(facts, &r.value) {
            out.push(fault(facts.code, text));
        }
    }
    let number = |sign| readings.iter().find(|r| r.sign == sign).and_then(Reading::number);
    if let (Some(high), Some(low)) = (number(Sign::Systolic), number(Sign::Diastolic))
        && high.value_cmp(&low) != Ordering::Greater
    {
        out.push(fault(
            "diastolic",
            word!(
                "The diastolic pressure must be below the systolic: look again",
                "Der diastolische Druck muss unter dem systolischen liegen: noch einmal prüfen"
            ),
        ));
    }
}

/// One reading in its final form.
fn line(r: &Reading) -> Option<String> {
    let facts = r.sign.facts();
    Some(match r.sign {
        Sign::Awareness => format!("{} {}", facts.label(), awareness_text(r.chosen()?.0)),
        Sign::Oxygen if r.number()?.value_cmp(&Decimal::new("0").ok()?) == Ordering::Equal => {
            word!("Room air", "Raumluft").to_owned()
        }
        _ => format!(
            "{} {}",
            facts.label(),
            Measured::new(r.value.as_str(), Some(facts.unit))
        ),
    })
}

/// The readings in their final form; the pressures together.
fn vital_lines(readings: &[Reading]) -> Vec<String> {
    let value = |sign| readings.iter().find(|r| r.sign == sign).map(|r| r.value.as_str());
    let both = value(Sign::Systolic).zip(value(Sign::Diastolic));
    readings
        .iter()
        .filter_map(|r| match (r.sign, both) {
            (Sign::Systolic, Some((high, low))) => Some(format!("{} {high}/{low} mmHg", shown::label("BP"))),
            (Sign::Diastolic, Some(_)) => None,
            _ => line(r),
        })
        .collect()
}

impl Entry {
    /// What has to be mended, looked at with another clock than the workstation's: `now` is the server's.
    #[must_use]
    pub fn faults(&self, now: UtcMs) -> Vec<Fault> {
        let mut out = self.what.faults(self.at);
        if self.at.since(now) > AHEAD_MS {
            out.push(fault(
                "",
                word!(
                    "It was recorded at a time that is still to come by the server's clock: the workstation's clock is wrong. Record it again",
                    "Der Eintrag trägt eine Zeit, die nach der Uhr des Servers in der Zukunft liegt: Die Uhr des Arbeitsplatzes geht falsch. Erneut eintragen"
                ),
            ));
        }
        if now.since(self.at) > OLD_MS {
            out.push(fault(
                "",
                word!(
                    "It was recorded more than 60 days ago by the workstation's clock, which may be wrong. Record it again, with its time in a note",
                    "Nach der Uhr des Arbeitsplatzes, die falsch gehen kann, ist der Eintrag mehr als 60 Tage alt. Erneut eintragen, mit der Zeit in einer Notiz"
                ),
            ));
        }
        let odd =
            |n: &str| n.trim().is_empty() || n.chars().count() > TEXT_MOST || n.chars().any(char::is_control);
        if odd(&self.name) {
            out.push(fault(
                "",
                word!(
                    "The name of who recorded it is missing or cannot be shown",
                    "Der Name, wer es eingetragen hat, fehlt oder lässt sich nicht anzeigen"
                ),
            ));
        }
        if self.zone_minutes.abs() > 14 * 60 {
            out.push(fault(
                "",
                word!(
                    "The offset of the local clock is none",
                    "Die Zeitzone der örtlichen Uhr ist ungültig"
                ),
            ));
        }
        out
    }
}
