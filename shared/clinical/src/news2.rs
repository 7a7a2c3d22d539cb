//! NEWS2, the National Early Warning Score (Royal College of Physicians, 2017, "National Early Warning Score (NEWS) 2:
//! Standardising the assessment of acute-illness severity in the NHS", chart 1 and chart 4).
//!
//! Lives here: the points of each measurement, their sum, what it asks for. Never here: words for a screen, who may see it.
//! Called by the workstation engine, and by the server for its boards. Pure.
//!
//! Nothing is guessed. An input that is missing, that cannot be read or that is older than [`OLD_MS`] has no points: the sum is
//! then a least one and says so ([`News2::least`]). Air is only what a record states; nobody's silence about oxygen means air.
//! SpO2 is scored on scale 1: scale 2 is for people for whom it is prescribed, which no input says. The score is for people
//! of 16 and older who are not pregnant.

use crate::UtcMs;
use crate::card::{ConditionItem, MeasuredItem};
use crate::chart::{Decimal, PartialDate};
use crate::format;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// An input older than 12 hours is old (the longest interval between two sets that the score's chart 4 has).
pub const OLD_MS: i64 = 12 * 3_600_000;
/// The least age, years.
pub const ADULT: i64 = 16;

/// A measurement of the score, in the order of its chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// Breaths a minute.
    Respiration,
    /// SpO2, per cent, scale 1.
    Saturation,
    /// Air or oxygen.
    Oxygen,
    /// Systolic, mmHg.
    Pressure,
    /// Beats a minute.
    Pulse,
    /// Alert, or new confusion, voice, pain, unresponsive.
    Consciousness,
    /// °C.
    Temperature,
}

impl Input {
    /// All, in the order of the chart.
    pub const ALL: [Self; 7] = [
        Self::Respiration,
        Self::Saturation,
        Self::Oxygen,
        Self::Pressure,
        Self::Pulse,
        Self::Consciousness,
        Self::Temperature,
    ];

    /// What it is called beside the score.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Respiration => "RR",
            Self::Saturation => "SpO2",
            Self::Oxygen => "oxygen",
            Self::Pressure => "BP",
            Self::Pulse => "HR",
            Self::Consciousness => "consciousness",
            Self::Temperature => "temp",
        }
    }

    /// The labels of the card's vital signs that say it.
    const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Respiration => &["RR"],
            Self::Saturation => &["SpO2"],
            Self::Oxygen => &["O2 flow", "FiO2"],
            Self::Pressure => &["BP", "SBP"],
            Self::Pulse => &["HR"],
            Self::Consciousness => &["AVPU"],
            Self::Temperature => &["Temp"],
        }
    }
}

/// How an input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It counts, with so many points.
    Points(u8),
    /// Nobody recorded it.
    Missing,
    /// It is older than [`OLD_MS`], or nobody says when it was measured.
    Old,
    /// What is recorded is no value that the score has points for: another unit, words, a comparator.
    Unreadable,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which.
    pub input: Input,
    /// What is recorded of it last; `None` also where only its points are kept ([`of_kept`]).
    pub item: Option<&'a MeasuredItem>,
    /// When it was measured.
    pub at: Option<UtcMs>,
    /// How it stands.
    pub state: State,
}

/// What a score asks for (chart 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// 0 to 4.
    Low,
    /// 0 to 4, three of them by one measurement.
    LowMedium,
    /// 5 or 6: urgent response.
    Medium,
    /// 7 and more: emergency response.
    High,
}

/// The score of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News2<'a> {
    /// Its inputs, in the order of [`Input::ALL`].
    pub parts: Vec<Part<'a>>,
}

impl News2<'_> {
    /// The sum of the points there are, 0 to 20. Only [`News2::whole`] says whether it is the score.
    #[must_use]
    pub fn least(&self) -> u8 {
        self.points().sum()
    }

    /// Whether every input counts.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.parts.iter().all(|p| matches!(p.state, State::Points(_)))
    }

    /// Whether no input counts.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.points().next().is_none()
    }

    fn points(&self) -> impl Iterator<Item = u8> + '_ {
        self.parts.iter().filter_map(|p| match p.state {
            State::Points(n) => Some(n),
            _ => None,
        })
    }

    /// What it asks for at least.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.least() {
            7.. => Level::High,
            5 | 6 => Level::Medium,
            _ if self.points().any(|n| n == 3) => Level::LowMedium,
            _ => Level::Low,
        }
    }

    /// "9"; "≥5" where not every input counts; "—" where none does.
    #[must_use]
    pub fn score_text(&self) -> String {
        if self.whole() {
            self.least().to_string()
        } else if self.empty() {
            "—".to_owned()
        } else {
            format!("≥{}", self.least())
        }
    }

    /// "temp missing, SpO2 old"; `None` where every input counts.
    #[must_use]
    pub fn lacking_text(&self) -> Option<String> {
        let words = |p: &Part<'_>| {
            let state = match p.state {
                State::Points(_) => return None,
                State::Missing => "missing",
                State::Old => "old",
                State::Unreadable => "not readable",
            };
            Some(format!("{} {state}", p.input.name()))
        };
        let all: Vec<String> = self.parts.iter().filter_map(words).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// When the oldest input that counts was measured.
    #[must_use]
    pub fn oldest(&self) -> Option<UtcMs> {
        let counts = self.parts.iter().filter(|p| matches!(p.state, State::Points(_)));
        counts.filter_map(|p| p.at).min()
    }
}

/// The score by the newest of each vital sign, as the card and the chart have them, at a time.
#[must_use]
pub fn news2<'a>(vitals: impl IntoIterator<Item = &'a MeasuredItem>, now: UtcMs) -> News2<'a> {
    let vitals: Vec<&MeasuredItem> = vitals.into_iter().collect();
    let part = |input: Input| {
        let said = vitals
            .iter()
            .filter(|m| input.labels().contains(&m.label.as_str()));
        // Of two ways to say it (oxygen by flow and by share), the newer.
        let item = said.copied().max_by_key(|m| m.at);
        let state = match item {
            None => State::Missing,
            Some(m) if m.at.is_none_or(|at| now.since(at) > OLD_MS) => State::Old,
            Some(m) => points(input, m).map_or(State::Unreadable, State::Points),
        };
        let at = item.and_then(|m| m.at);
        Part {
            input,
            item,
            at,
            state,
        }
    };
    News2 {
        parts: Input::ALL.into_iter().map(part).collect(),
    }
}

/// What a board keeps of an input: its points and when it was measured, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which.
    pub input: Input,
    /// How it stood when it was measured: whether it is old is for the time of looking.
    pub state: State,
    /// When it was measured.
    pub at: Option<UtcMs>,
}

/// What a board keeps of the newest vital signs. Inputs that nobody recorded are left out.
#[must_use]
pub fn keep<'a>(vitals: impl IntoIterator<Item = &'a MeasuredItem>) -> Vec<Kept> {
    // By the time of each, so that none is old.
    let score = news2(vitals, UtcMs(i64::MIN));
    let of = |p: &Part<'_>| {
        (p.state != State::Missing).then_some(Kept {
            input: p.input,
            state: p.state,
            at: p.at,
        })
    };
    score.parts.iter().filter_map(of).collect()
}

/// The score by what a board kept, at a time.
#[must_use]
pub fn of_kept(kept: &[Kept], now: UtcMs) -> News2<'static> {
    let part = |input: Input| {
        let found = kept.iter().find(|k| k.input == input);
        let state = match found {
            None => State::Missing,
            Some(k) if k.at.is_none_or(|at| now.since(at) > OLD_MS) => State::Old,
            Some(k) => k.state,
        };
        Part {
            input,
            item: None,
            at: found.and_then(|k| k.at),
            state,
        }
    };
    News2 {
        parts: Input::ALL.into_iter().map(part).collect(),
    }
}

/// For whom the score is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotFor {
    /// Younger than [`ADULT`].
    Child,
    /// The birth date is not recorded, or too vague to say.
    AgeUnknown,
    /// The problems name a pregnancy.
    Pregnancy,
}

impl NotFor {
    /// Why there is no score, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Child => "NEWS2 is for people of 16 and older",
            Self::AgeUnknown => "No NEWS2: the age is not known, and it is for people of 16 and older",
            Self::Pregnancy => "NEWS2 is not for pregnancy, which the problems name",
        }
    }
}

/// Whether the score is for a patient. `born`: the birth date as recorded; `pregnant`: [`pregnant`] of the problems.
#[must_use]
pub fn not_for(
    born: Option<&PartialDate>,
    pregnant: bool,
    now: UtcMs,
    offset_minutes: i32,
) -> Option<NotFor> {
    if pregnant {
        return Some(NotFor::Pregnancy);
    }
    match born.and_then(|b| format::years(b, now, offset_minutes)) {
        Some((least, _)) if least >= ADULT => None,
        Some((_, most)) if most < ADULT => Some(NotFor::Child),
        _ => Some(NotFor::AgeUnknown),
    }
}

/// Whether the active problems name a pregnancy. By the word: what says "pregnan" in any way is better looked at by somebody
/// than scored.
#[must_use]
pub fn pregnant<'a>(problems: impl IntoIterator<Item = &'a ConditionItem>) -> bool {
    problems
        .into_iter()
        .any(|c| c.text.to_lowercase().contains("pregnan"))
}

/// The points of a measurement; `None` for what has none.
#[must_use]
pub fn points(input: Input, m: &MeasuredItem) -> Option<u8> {
    let unit = m.unit.as_deref().unwrap_or_default().trim().to_lowercase();
    let number = |digits: &str, decimals: u32| {
        Decimal::new(digits.trim())
            .ok()
            .and_then(|d| rounded(&d, decimals))
    };
    let a_minute = unit.contains("/min") || unit.starts_with("per min") || unit == "bpm";
    match input {
        Input::Respiration if a_minute => number(&m.value, 0).map(respiration),
        Input::Saturation if unit == "%" => number(&m.value, 0).and_then(saturation),
        Input::Oxygen => oxygen(&m.label, &m.value, &unit),
        Input::Pressure if matches!(unit.as_str(), "mm[hg]" | "mmhg" | "mm hg") => {
            let systolic = m
                .value
                .split_once('/')
                .map_or(m.value.as_str(), |(upper, _)| upper);
            number(systolic, 0).map(pressure)
        }
        Input::Pulse if a_minute => number(&m.value, 0).map(pulse),
        Input::Consciousness => consciousness(&m.value),
        Input::Temperature => match unit.as_str() {
            "cel" | "c" | "°c" | "degc" | "deg c" => number(&m.value, 1),
            // (F - 32) · 5/9, in tenths of a degree, from hundredths of a degree Fahrenheit.
            "[degf]" | "f" | "°f" | "degf" | "deg f" => {
                number(&m.value, 2).map(|f| nearest((f - 3_200) * 5, 90))
            }
            _ => None,
        }
        .map(temperature),
        _ => None,
    }
}

/// A decimal in units of ten to the minus `decimals`, to the nearest, a half away from zero; `None` beyond what is measured
/// of people.
fn rounded(d: &Decimal, decimals: u32) -> Option<i64> {
    let text = d.as_str();
    let beyond = |limit: &str| Decimal::new(limit).is_ok_and(|l| d.value_cmp(&l) == Ordering::Greater);
    if text.starts_with('-') || beyond("1000") {
        return None;
    }
    // No exponents: nobody measures a person so, and digits are compared as they are.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_i64.pow(u32::try_from(fraction.len()).ok()?);
    let exact: i64 = format!("{whole}{fraction}").parse().ok()?;
    Some(nearest(exact.checked_mul(10_i64.pow(decimals))?, scale))
}

/// A quotient to the nearest, a half away from zero.
const fn nearest(of: i64, by: i64) -> i64 {
    if of < 0 {
        (of - by / 2) / by
    } else {
        (of + by / 2) / by
    }
}

const fn respiration(n: i64) -> u8 {
    match n {
        ..=8 | 25.. => 3,
        9..=11 => 1,
        12..=20 => 0,
        21..=24 => 2,
    }
}

const fn saturation(n: i64) -> Option<u8> {
    match n {
        ..=91 => Some(3),
        92..=93 => Some(2),
        94..=95 => Some(1),
        96..=100 => Some(0),
        _ => None,
    }
}

/// Flow in litres a minute, or the share of oxygen in what is breathed: 21 % is air.
fn oxygen(label: &str, value: &str, unit: &str) -> Option<u8> {
    let value = Decimal::new(value.trim()).ok()?;
    let above = |limit: &str| Decimal::new(limit).map(|l| value.value_cmp(&l) == Ordering::Greater);
    let given = match (label, unit) {
        ("O2 flow", "l/min") => above("0"),
        ("FiO2", "%") => above("21"),
        ("FiO2", "" | "1" | "{fraction}") if above("1") == Ok(false) => above("0.21"),
        _ => return None,
    };
    given.ok().map(|given| if given { 2 } else { 0 })
}

const fn pressure(n: i64) -> u8 {
    match n {
        ..=90 | 220.. => 3,
        91..=100 => 2,
        101..=110 => 1,
        111..=219 => 0,
    }
}

const fn pulse(n: i64) -> u8 {
    match n {
        ..=40 | 131.. => 3,
        41..=50 | 91..=110 => 1,
        51..=90 => 0,
        111..=130 => 2,
    }
}

/// By the words of the answer lists for LOINC 67775-7 and 80288-4, and the letters of ACVPU.
fn consciousness(words: &str) -> Option<u8> {
    let said = words.trim().to_lowercase();
    let is = |all: &[&str]| all.contains(&said.as_str());
    if is(&["a", "alert"]) {
        return Some(0);
    }
    let reacts = [
        "c",
        "v",
        "p",
        "u",
        "new confusion",
        "confusion",
        "confused",
        "voice",
        "verbal",
        "responds to voice",
        "responsive to voice",
        "pain",
        "painful",
        "responds to pain",
        "responsive to pain",
        "unresponsive",
    ];
    is(&reacts).then_some(3)
}

/// In tenths of a degree Celsius.
const fn temperature(tenths: i64) -> u8 {
    match tenths {
        ..=350 => 3,
        351..=360 | 381..=390 => 1,
        361..=380 => 0,
        391.. => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResourceKey;

    fn item(label: &str, value: &str, unit: &str, at: Option<i64>) -> MeasuredItem {
        MeasuredItem {
            source: ResourceKey::new("Observation", "1").unwrap(),
            label: label.to_owned(),
            code: None,
            value: value.to_owned(),
            unit: (!unit.is_empty()).then(|| unit.to_owned()),
            interpretation: None,
            range: None,
            at: at.map(UtcMs),
            status: "final".to_owned(),
        }
    }

    fn of(input: Input, label: &str, value: &str, unit: &str) -> Option<u8> {
        points(input, &item(label, value, unit, Some(0)))
    }

    /// Every boundary of chart 1, and one step to either side.
    #[test]
    fn points_of_every_boundary() {
        type Row = (Input, &'static str, &'static str, &'static [(&'static str, u8)]);
        let rows: [Row; 5] = [
            (
                Input::Respiration,
                "RR",
                "/min",
                &[
                    ("0", 3),
                    ("8", 3),
                    ("9", 1),
                    ("11", 1),
                    ("12", 0),
                    ("20", 0),
                    ("21", 2),
                    ("24", 2),
                    ("25", 3),
                    ("60", 3),
                ],
            ),
            (
                Input::Saturation,
                "SpO2",
                "%",
                &[
                    ("50", 3),
                    ("91", 3),
                    ("92", 2),
                    ("93", 2),
                    ("94", 1),
                    ("95", 1),
                    ("96", 0),
                    ("100", 0),
                ],
            ),
            (
                Input::Pressure,
                "BP",
                "mmHg",
                &[
                    ("60/30", 3),
                    ("90/50", 3),
                    ("91/50", 2),
                    ("100/60", 2),
                    ("101/60", 1),
                    ("110/60", 1),
                    ("111/60", 0),
                    ("219/99", 0),
                    ("220/99", 3),
                    ("88", 3),
                ],
            ),
            (
                Input::Pulse,
                "HR",
                "{beats}/min",
                &[
                    ("30", 3),
                    ("40", 3),
                    ("41", 1),
                    ("50", 1),
                    ("51", 0),
                    ("90", 0),
                    ("91", 1),
                    ("110", 1),
                    ("111", 2),
                    ("130", 2),
                    ("131", 3),
                ],
            ),
            (
                Input::Temperature,
                "Temp",
                "Cel",
                &[
                    ("34.0", 3),
                    ("35.0", 3),
                    ("35.1", 1),
                    ("36.0", 1),
                    ("36.1", 0),
                    ("38.0", 0),
                    ("38.1", 1),
                    ("39.0", 1),
                    ("39.1", 2),
                    ("41", 2),
                    ("38.04", 0),
                    ("38.05", 1),
                ],
            ),
        ];
        for (input, label, unit, values) in rows {
            for (value, expected) in values {
                assert_eq!(of(input, label, value, unit), Some(*expected), "{label} {value}");
            }
        }
    }

    #[test]
    fn oxygen_and_consciousness_are_what_is_said_of_them() {
        for (label, value, unit, expected) in [
            ("O2 flow", "0", "L/min", Some(0)),
            ("O2 flow", "0.5", "L/min", Some(2)),
            ("FiO2", "21", "%", Some(0)),
            ("FiO2", "28", "%", Some(2)),
            ("FiO2", "0.21", "", Some(0)),
            ("FiO2", "0.4", "{fraction}", Some(2)),
            ("FiO2", "40", "", None),
            ("O2 flow", "2", "", None),
        ] {
            assert_eq!(
                of(Input::Oxygen, label, value, unit),
                expected,
                "{label} {value} {unit}"
            );
        }
        for (words, expected) in [
            ("Alert", Some(0)),
            ("New confusion", Some(3)),
            ("Responds to voice", Some(3)),
            ("Responds to pain", Some(3)),
            ("Unresponsive", Some(3)),
            ("C", Some(3)),
            ("drowsy", None),
            ("not alert", None),
        ] {
            assert_eq!(of(Input::Consciousness, "AVPU", words, ""), expected, "{words}");
        }
    }

    #[test]
    fn fahrenheit_is_scored_as_celsius() {
        for (f, expected) in [
            ("95.0", 3),
            ("95.2", 1),
            ("98.6", 0),
            ("100.4", 0),
            ("100.6", 1),
            ("102.4", 2),
        ] {
            assert_eq!(of(Input::Temperature, "Temp", f, "[degF]"), Some(expected), "{f}");
        }
    }

    #[test]
    fn what_has_no_points_is_not_guessed() {
        for (input, label, value, unit) in [
            (Input::Respiration, "RR", "18", ""),
            (Input::Respiration, "RR", "<12", "/min"),
            (Input::Respiration, "RR", "eighteen", "/min"),
            (Input::Saturation, "SpO2", "101", "%"),
            (Input::Saturation, "SpO2", "0.97", ""),
            (Input::Pressure, "BP", "–/50", "mmHg"),
            (Input::Pressure, "BP", "12/8", "kPa"),
            (Input::Temperature, "Temp", "310", "K"),
            (Input::Temperature, "Temp", "37", ""),
            (Input::Pulse, "HR", "1e2", "/min"),
            (Input::Pulse, "HR", "-5", "/min"),
        ] {
            assert_eq!(of(input, label, value, unit), None, "{label} {value} {unit}");
        }
    }

    fn set(at: i64) -> Vec<MeasuredItem> {
        [
            ("RR", "26", "/min"),
            ("SpO2", "89", "%"),
            ("O2 flow", "4", "L/min"),
            ("BP", "88/50", "mmHg"),
            ("HR", "122", "/min"),
            ("AVPU", "Responds to voice", ""),
            ("Temp", "38.6", "Cel"),
        ]
        .map(|(l, v, u)| item(l, v, u, Some(at)))
        .to_vec()
    }

    #[test]
    fn a_whole_set_has_a_score_and_a_level() {
        let vitals = set(0);
        let score = news2(&vitals, UtcMs(0));
        // 3 + 3 + 2 + 3 + 2 + 3 + 1
        assert_eq!(
            (score.least(), score.whole(), score.level()),
            (17, true, Level::High)
        );
        assert_eq!((score.score_text().as_str(), score.lacking_text()), ("17", None));
        assert_eq!(score.oldest(), Some(UtcMs(0)));
    }

    #[test]
    fn a_missing_or_old_input_makes_it_a_least_one() {
        let mut vitals = set(0);
        vitals.retain(|m| m.label != "Temp");
        let score = news2(&vitals, UtcMs(0));
        assert_eq!((score.score_text().as_str(), score.whole()), ("≥16", false));
        assert_eq!(score.lacking_text().as_deref(), Some("temp missing"));

        vitals.push(item("Temp", "38.6", "Cel", Some(-OLD_MS - 1)));
        vitals.retain(|m| m.label != "AVPU");
        vitals.push(item("AVPU", "drowsy", "", Some(0)));
        vitals.push(item("HR", "150", "/min", None));
        let score = news2(&vitals, UtcMs(0));
        assert_eq!(
            score.lacking_text().as_deref(),
            Some("consciousness not readable, temp old")
        );
        assert_eq!(score.score_text(), "≥13");

        let none: [MeasuredItem; 0] = [];
        let score = news2(&none, UtcMs(0));
        assert!(score.empty());
        assert_eq!(score.score_text(), "—");
    }

    #[test]
    fn twelve_hours_are_not_old_and_a_moment_more_is() {
        let vitals = set(0);
        assert!(news2(&vitals, UtcMs(OLD_MS)).whole());
        let late = news2(&vitals, UtcMs(OLD_MS + 1));
        assert!(late.empty(), "{:?}", late.lacking_text());
    }

    #[test]
    fn the_levels_of_chart_4() {
        let with = |values: &[(&str, &str, &str)]| {
            let vitals: Vec<MeasuredItem> = values.iter().map(|(l, v, u)| item(l, v, u, Some(0))).collect();
            news2(&vitals, UtcMs(0)).level()
        };
        let well = [
            ("RR", "16", "/min"),
            ("SpO2", "98", "%"),
            ("O2 flow", "0", "L/min"),
            ("BP", "120/80", "mmHg"),
            ("HR", "70", "/min"),
            ("AVPU", "Alert", ""),
            ("Temp", "37.0", "Cel"),
        ];
        assert_eq!(with(&well), Level::Low);
        let mut one = well;
        one[5].1 = "Confused";
        assert_eq!(with(&one), Level::LowMedium, "three by one");
        one[0].1 = "21";
        assert_eq!(with(&one), Level::Medium, "five");
        one[2].1 = "2";
        assert_eq!(with(&one), Level::High, "seven");
    }

    #[test]
    fn what_a_board_keeps_gives_the_same_score_until_it_is_old() {
        let mut vitals = set(0);
        vitals.retain(|m| m.label != "BP");
        vitals.push(item("BP", "12/8", "kPa", Some(0)));
        vitals.push(item("Pain", "3", "", Some(0)));
        vitals.retain(|m| m.label != "Temp");
        let kept = keep(&vitals);
        assert_eq!(kept.len(), 6, "{kept:?}");
        for now in [0, OLD_MS, OLD_MS + 1] {
            let (there, here) = (news2(&vitals, UtcMs(now)), of_kept(&kept, UtcMs(now)));
            assert_eq!(
                (
                    there.score_text(),
                    there.lacking_text(),
                    there.level(),
                    there.oldest()
                ),
                (
                    here.score_text(),
                    here.lacking_text(),
                    here.level(),
                    here.oldest()
                ),
                "{now}"
            );
        }
    }

    #[test]
    fn it_is_for_adults_who_are_not_pregnant() {
        // 27-Nov-2026
        let now = UtcMs(1_795_737_600_000);
        for (born, pregnant, expected) in [
            (Some("1958-02-04"), false, None),
            (Some("2010-11-27"), false, None),
            (Some("2010-11-28"), false, Some(NotFor::Child)),
            (Some("2026"), false, Some(NotFor::Child)),
            (Some("2010"), false, Some(NotFor::AgeUnknown)),
            (Some("2010-11"), false, Some(NotFor::AgeUnknown)),
            (Some("2010-10"), false, None),
            (Some("2031"), false, Some(NotFor::AgeUnknown)),
            (Some("2009"), false, None),
            (None, false, Some(NotFor::AgeUnknown)),
            (Some("1990-01-01"), true, Some(NotFor::Pregnancy)),
        ] {
            let born = born.map(PartialDate::new);
            assert_eq!(not_for(born.as_ref(), pregnant, now, 0), expected, "{born:?}");
        }
    }

    #[test]
    fn of_two_ways_to_say_oxygen_the_newer_counts() {
        let vitals = [
            item("O2 flow", "4", "L/min", Some(0)),
            item("FiO2", "21", "%", Some(1)),
        ];
        let score = news2(&vitals, UtcMs(1));
        let oxygen = score.parts.iter().find(|p| p.input == Input::Oxygen).unwrap();
        assert_eq!(oxygen.state, State::Points(0));
    }
}
