//! Which measurements of a record the score may count.
//!
//! Lives here: [`basis`], from a patient's facts. Never here: what a value is worth (`points`), the time of looking.
//!
//! A reading is a measurement at the bedside, final, with its own time and zone. What a laboratory sends is none: a blood gas analyser
//! reports 37.0 °C and 21 % oxygen where nobody typed what they were. When it was published is not when it was measured.

use super::points;
use crate::UtcMs;
use crate::card::{CardFact, MeasuredItem, condition, measured};
use crate::chart::{Component, Concept, LOINC, Observation, PartialDate, Resource, SNOMED, Value};
use crate::format::Measured;
use crate::format::civil::{Precision, parse_fhir};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// What a reading is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// Breaths a minute.
    Respiration,
    /// SpO2.
    Saturation,
    /// Inhaled oxygen, litres a minute.
    Flow,
    /// Share of oxygen in what is breathed.
    Share,
    /// Systolic blood pressure.
    Pressure,
    /// Beats a minute.
    Pulse,
    /// Alert, confused, voice, pain, unresponsive.
    Acvpu,
    /// Glasgow coma score: it gives no points, and may contradict "alert".
    Coma,
    /// Body temperature.
    Temperature,
}

/// By the labels of the card's vital signs.
const LABELS: [(&str, Of); 9] = [
    ("RR", Of::Respiration),
    ("SpO2", Of::Saturation),
    ("O2 flow", Of::Flow),
    ("FiO2", Of::Share),
    ("SBP", Of::Pressure),
    ("HR", Of::Pulse),
    ("AVPU", Of::Acvpu),
    ("GCS", Of::Coma),
    ("Temp", Of::Temperature),
];

/// What a reading is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// So many points.
    Points(u8),
    /// No value that the score has points for.
    Unreadable,
    /// Nobody has confirmed it.
    NotFinal,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Of what.
    pub of: Of,
    /// Its worth.
    pub what: What,
    /// When it was measured; `None` where that is not recorded to the minute and with a zone.
    pub at: Option<UtcMs>,
    /// The value as recorded, with its unit; empty on a board.
    pub value: String,
}

/// That a patient is pregnant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pregnancy {
    /// When it was stated as a finding; `None` for an active problem.
    pub at: Option<UtcMs>,
}

/// All that the score needs of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Basis {
    /// The readings, by what they are of, the newest first.
    pub readings: Vec<Reading>,
    /// Whether a pregnancy is stated.
    pub pregnancy: Option<Pregnancy>,
}

impl Basis {
    /// The newest of each alone, at most `most`.
    #[must_use]
    pub fn newest(mut self, most: usize) -> Self {
        let (mut last, mut n) = (None, 0);
        self.readings.retain(|r| {
            n = if last == Some(r.of) { n + 1 } else { 1 };
            last = Some(r.of);
            n <= most
        });
        self
    }

    /// Without the values: what a board may hold.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for r in &mut self.readings {
            r.value.clear();
        }
        self
    }

    /// What the score gives a shown value by itself (chart 1, SpO2 on scale 1), 0 to 3; of a blood pressure its systolic one. `None` for
    /// what is none of its inputs, and for whatever the score would not count: not final, a laboratory's, another unit, words.
    /// When it was measured does not matter.
    #[must_use]
    pub fn points_of(&self, shown: &MeasuredItem) -> Option<u8> {
        let of = match shown.label.as_str() {
            "BP" => Of::Pressure,
            label => LABELS.iter().find(|(l, _)| *l == label)?.1,
        };
        if !is_settled(Some(shown.status.as_str())) {
            return None;
        }
        let value = match of {
            Of::Pressure => shown.value.split('/').next()?,
            _ => shown.value.as_str(),
        };
        let value = as_text(value, shown.unit.as_deref());
        // A time that is not certain is none here.
        [shown.at, None].into_iter().find_map(|at| {
            let place = (of, Reverse(at));
            let first = self.readings.partition_point(|r| (r.of, Reverse(r.at)) < place);
            let same = self.readings.iter().skip(first);
            let mut same = same.take_while(|r| (r.of, Reverse(r.at)) == place);
            // Whatever the words, a coma score has no points.
            same.find_map(|r| match r.what {
                What::Points(n @ 0..=3) if r.value == value && of != Of::Coma => Some(n),
                _ => None,
            })
        })
    }

    /// This one and what another knows beyond it.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for r in &other.readings {
            if !self.readings.contains(r) {
                self.readings.push(r.clone());
            }
        }
        sort(&mut self.readings);
        // One without a time is an active problem and does not end by itself.
        self.pregnancy = match (self.pregnancy, other.pregnancy) {
            (Some(a), Some(b)) => Some(Pregnancy {
                at: a.at.zip(b.at).map(|(a, b)| a.max(b)),
            }),
            (one, none) => one.or(none),
        };
        self
    }
}

fn sort(readings: &mut [Reading]) {
    // What may be worse first: when few are kept, it stays.
    readings.sort_by(|a, b| {
        (a.of, Reverse(a.at), Reverse(a.what), &a.value).cmp(&(
            b.of,
            Reverse(b.at),
            Reverse(b.what),
            &b.value,
        ))
    });
}

/// When something was measured, where the record says so to the minute and with a zone.
fn certain(at: Option<&PartialDate>) -> Option<UtcMs> {
    let date = parse_fhir(at?.as_str())?;
    (date.precision == Precision::Time && date.offset_minutes.is_some()).then(|| UtcMs(date.earliest_ms()))
}

/// Whether a laboratory sent it, or it is a panel of a laboratory's.
pub(crate) fn of_laboratory(o: &Observation) -> bool {
    let said = o.categories.iter().flat_map(|c| &c.codings);
    let mut codes = o.components.iter().filter_map(|c| c.code.as_ref()).chain(&o.code);
    said.filter_map(|c| c.code.as_deref()).any(|c| c == "laboratory")
        || codes.any(|c| measured::label_in(measured::LABS, c).is_some())
}

/// Whether somebody stands for a result.
fn is_settled(status: Option<&str>) -> bool {
    matches!(status, Some("final" | "amended" | "corrected"))
}

fn as_text(value: &str, unit: Option<&str>) -> String {
    Measured::new(value, unit).to_string().trim().to_owned()
}

fn of(code: &Concept) -> Option<Of> {
    let label = measured::label_in(measured::VITALS, code)?;
    LABELS.iter().find(|(l, _)| *l == label).map(|(_, of)| *of)
}

fn of_observation(o: &Observation, out: &mut Vec<Reading>) {
    if !measured::is_usable(o) || of_laboratory(o) {
        return;
    }
    let settled = is_settled(o.status.as_deref());
    let at = certain(o.effective.as_ref());
    let mut add = |code: Option<&Concept>, value: Option<&Value>| {
        let (Some(of), Some(value)) = (code.and_then(of), value) else {
            return;
        };
        let Some(text) = value.text() else { return };
        out.push(Reading {
            of,
            what: if settled {
                points::what(of, value)
            } else {
                What::NotFinal
            },
            at,
            value: as_text(&text, value.unit()),
        });
    };
    add(o.code.as_ref(), o.value.as_ref());
    for Component { code, value, .. } in &o.components {
        add(code.as_ref(), value.as_ref());
    }
}

/// Whether words or codes of a concept name a pregnancy. By the part of the word: whoever is called so in any way is better looked at
/// than scored. ICD-10: chapter XV, Z33, Z34, Z3A.
fn names_pregnancy(c: &Concept) -> bool {
    let icd = |k: &crate::chart::Coding| {
        let system = k.system.as_deref().unwrap_or_default().to_lowercase();
        let code = k.code.as_deref().unwrap_or_default();
        system.contains("icd-10")
            && (code.starts_with('O') || ["Z33", "Z34", "Z3A"].iter().any(|z| code.starts_with(z)))
    };
    c.words().contains("pregnan")
        || ["77386006", "72892002", "127364007"]
            .iter()
            .any(|code| c.has(SNOMED, code))
        || c.codings.iter().any(icd)
}

/// LOINC of "pregnancy status".
const STATUS: &str = "82810-3";

/// Whether it says of a person whether she is pregnant.
pub(crate) fn tells_pregnancy(o: &Observation) -> bool {
    o.code.as_ref().is_some_and(|c| c.has(LOINC, STATUS))
}

fn says_pregnant(o: &Observation) -> bool {
    let said = |c: &Concept| {
        let not =
            c.words().contains("not pregnant") || c.has(LOINC, "LA26683-5") || c.has(SNOMED, "60001007");
        !not && (names_pregnancy(c) || c.has(LOINC, "LA15173-0"))
    };
    match &o.value {
        Some(Value::Concept(c)) => said(c),
        Some(Value::Text(t)) => said(&Concept::of_text(t.as_str())),
        Some(Value::Boolean(b)) => *b,
        _ => false,
    }
}

fn pregnancy(facts: &[&CardFact]) -> Option<Pregnancy> {
    let problem = condition::active(facts)
        .into_iter()
        .any(|(_, c)| c.code.as_ref().is_some_and(names_pregnancy));
    if problem {
        return Some(Pregnancy { at: None });
    }
    let findings = facts.iter().filter_map(|f| match &f.resource {
        Resource::Observation(o) if tells_pregnancy(o) && measured::is_usable(o) => {
            Some((measured::measured_ms(o), f.version, o))
        }
        _ => None,
    });
    let (at, _, newest) = findings.max_by_key(|(at, version, _)| (*at, *version))?;
    says_pregnant(newest).then_some(Pregnancy { at: at.map(UtcMs) })
}

/// What the score needs of a patient's facts, in any order, each in its newest version.
#[must_use]
pub fn basis(facts: &[&CardFact]) -> Basis {
    let mut readings = Vec::new();
    for fact in facts {
        if let Resource::Observation(o) = &fact.resource {
            of_observation(o, &mut readings);
        }
    }
    sort(&mut readings);
    readings.dedup();
    Basis {
        readings,
        pregnancy: pregnancy(facts),
    }
}
