//! Vital signs of the record that are wrong: another patient's, typed wrongly, no true measurement.
//!
//! Rules: nothing is deleted, what was shown stays to be read, struck through (screens.md S20); who marks one says why; what is marked
//! names what its marker had read, so that a value which was corrected meanwhile is not taken for that one; the values of one entry
//! were measured at one time.

use super::{Choice, Fault, TEXT_MOST, What, code_of, fault, line_text};
use crate::card::shown;
use crate::format::Measured;
use crate::{ResourceKey, UtcMs, say, word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most results that one entry marks.
pub const WRONG_MOST: usize = 40;
/// Most values of one result.
const VALUES_MOST: usize = 40;

/// Why a value is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrongly {
    /// It is another patient's.
    OtherPatient,
    /// It was typed wrongly, or with the wrong time.
    Typed,
    /// The sensor was off or moved.
    Artefact,
    /// Something else, in words.
    Other,
}
impl Choice for Wrongly {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::OtherPatient, "other-patient"),
        (Self::Typed, "typed"),
        (Self::Artefact, "artefact"),
        (Self::Other, "other"),
    ];
    fn text(self) -> &'static str {
        match self {
            Self::OtherPatient => word!(
                "Another patient's: recorded in the wrong chart",
                "Von einem anderen Patienten: in der falschen Akte eingetragen"
            ),
            Self::Typed => word!(
                "Typed wrongly, or with the wrong time",
                "Falsch eingetippt oder mit falscher Zeit"
            ),
            Self::Artefact => word!(
                "No true measurement: the sensor was off or moved",
                "Keine echte Messung: Sensor ab oder verrutscht"
            ),
            Self::Other => word!("Something else", "Etwas anderes"),
        }
    }
}
impl Wrongly {
    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        code_of(self)
    }
    /// In words, short.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OtherPatient => word!("another patient's", "von einem anderen Patienten"),
            Self::Typed => word!("typed wrongly", "falsch eingetippt"),
            Self::Artefact => word!("no true measurement", "keine echte Messung"),
            Self::Other => word!("other reason", "anderer Grund"),
        }
    }
}

/// A result that is wrong, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrong {
    /// The result: `Observation/…`.
    pub source: String,
    /// What it said, in the order of [`crate::summary::said_by`]; never empty.
    pub values: Vec<SaidValue>,
}

/// One value of a result, as recorded: English, as the server compares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaidValue {
    /// What was measured: "HR".
    pub label: String,
    /// Digits or words.
    pub value: String,
    /// Unit; absent where the record has none.
    pub unit: Option<String>,
}

impl SaidValue {
    /// "HR 188 /min".
    #[must_use]
    pub fn line(&self) -> String {
        let value = Measured::new(self.value.as_str(), self.unit.as_deref());
        format!("{} {value}", shown::label(&self.label))
    }
}

impl Wrong {
    /// "HR 188 /min"; the values of a panel one after the other.
    #[must_use]
    pub fn line(&self) -> String {
        let all: Vec<String> = self.values.iter().map(SaidValue::line).collect();
        all.join(", ")
    }
}

/// What has to be mended before values can be marked; `at` is when it is signed, `measured` when they were measured.
pub(super) fn faults(what: &What, at: UtcMs, out: &mut Vec<Fault>) {
    let What::VitalsError {
        at: measured,
        wrong,
        why,
        words,
    } = what
    else {
        return;
    };
    if wrong.is_empty() {
        out.push(fault(
            "values",
            word!("Choose what is wrong", "Wählen, was falsch ist"),
        ));
    }
    let mut seen = BTreeSet::new();
    let is_one = |w: &Wrong| {
        ResourceKey::parse(&w.source).is_ok_and(|k| k.kind.as_str() == "Observation")
            && !w.values.is_empty()
            && w.values.len() <= VALUES_MOST
            && w.values.iter().all(|v| !v.label.trim().is_empty())
    };
    if wrong.len() > WRONG_MOST || !wrong.iter().all(|w| is_one(w) && seen.insert(&w.source)) {
        out.push(fault(
            "",
            word!(
                "What is marked is no vital sign of this chart: open the chart again",
                "Das Markierte ist kein Vitalwert dieser Akte: Akte noch einmal öffnen"
            ),
        ));
    }
    for v in wrong.iter().flat_map(|w| &w.values) {
        for text in [v.label.as_str(), &v.value, v.unit.as_deref().unwrap_or_default()] {
            let what = word!("What is recorded of the value", "Das Dokumentierte zum Wert");
            line_text(text, super::READ_MOST, "", what, out);
        }
    }
    if at.since(*measured) < 0 {
        out.push(fault(
            "",
            word!(
                "The time of measuring is still to come",
                "Der Zeitpunkt der Messung liegt in der Zukunft"
            ),
        ));
    }
    let said = words.as_deref().unwrap_or_default().trim();
    if *why == Wrongly::Other && said.is_empty() {
        out.push(fault(
            "words",
            word!("Say what is wrong", "Angeben, was falsch ist"),
        ));
    }
    line_text(said, TEXT_MOST, "words", word!("The reason", "Der Grund"), out);
}

/// What an entry says, line by line.
pub(super) fn lines(wrong: &[Wrong], why: Wrongly, words: Option<&str>) -> Vec<String> {
    let entered = |w: &Wrong| {
        say!(
            "{line}: entered in error",
            "{line}: irrtümlich eingetragen",
            line = w.line()
        )
    };
    let words = words.map(str::trim).filter(|w| !w.is_empty());
    let because = match words {
        Some(words) => format!("{}: {words}", why.words()),
        None => why.words().to_owned(),
    };
    wrong
        .iter()
        .map(entered)
        .chain([say!("because: {because}", "Grund: {because}")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(label: &str, value: &str, unit: &str) -> SaidValue {
        SaidValue {
            label: label.to_owned(),
            value: value.to_owned(),
            unit: Some(unit.to_owned()),
        }
    }

    fn one(source: &str, values: Vec<SaidValue>) -> Wrong {
        Wrong {
            source: source.to_owned(),
            values,
        }
    }

    fn what(wrong: Vec<Wrong>, why: Wrongly, words: Option<&str>) -> What {
        What::VitalsError {
            at: UtcMs(1_000),
            wrong,
            why,
            words: words.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_wrong_has_to_be_said() {
        let hr = || one("Observation/a", vec![value("HR", "188", "/min")]);
        let long = "x".repeat(TEXT_MOST + 1);
        for (what, signed, field) in [
            (what(vec![hr()], Wrongly::Typed, None), 2_000, None),
            (
                what(vec![hr()], Wrongly::Other, Some("cuff too small")),
                2_000,
                None,
            ),
            (what(vec![], Wrongly::Typed, None), 2_000, Some("values")),
            (what(vec![hr()], Wrongly::Other, None), 2_000, Some("words")),
            (what(vec![hr()], Wrongly::Other, Some("  ")), 2_000, Some("words")),
            (
                what(vec![hr()], Wrongly::Typed, Some(&long)),
                2_000,
                Some("words"),
            ),
            (what(vec![hr(), hr()], Wrongly::Typed, None), 2_000, Some("")),
            (what(vec![hr()], Wrongly::Typed, None), 999, Some("")),
            (
                what(vec![one("Patient/a", hr().values)], Wrongly::Typed, None),
                2_000,
                Some(""),
            ),
            (
                what(vec![one("Observation/a", vec![])], Wrongly::Typed, None),
                2_000,
                Some(""),
            ),
        ] {
            let found = what.faults(UtcMs(signed));
            assert_eq!(found.first().map(|f| f.field), field, "{what:?}");
        }
    }

    #[test]
    fn it_says_what_was_read_and_why() {
        let bp = one("Observation/b", vec![value("BP", "120/70", "mmHg")]);
        let what = what(vec![bp], Wrongly::OtherPatient, Some("bed 4's"));
        assert_eq!(
            what.lines(),
            [
                "BP 120/70 mmHg: entered in error",
                "because: another patient's: bed 4's"
            ]
        );
        assert_eq!(
            (what.section(), what.title()),
            ("vitals", "Vital signs marked as wrong")
        );
    }
}
