//! What a measurement is worth (chart 1), and what is none: units, plausible limits, words.
//!
//! Never here: which measurements count (`readings`). Values are compared as integers of their recorded digits.

use super::readings::{Of, What};
use crate::chart::{Concept, Decimal, Quantity, SNOMED, Value};
use std::cmp::Ordering;

/// UCUM.
const UCUM: &str = "http://unitsofmeasure.org";

/// Units that the score knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    PerMinute,
    Percent,
    MmHg,
    Celsius,
    Fahrenheit,
    LitresPerMinute,
    /// A plain number.
    One,
}

/// By a UCUM code, annotations in braces left out.
fn of_code(code: &str) -> Option<Unit> {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for c in code.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    match plain.as_str() {
        "/min" | "1/min" => Some(Unit::PerMinute),
        "%" => Some(Unit::Percent),
        "mm[Hg]" => Some(Unit::MmHg),
        "Cel" => Some(Unit::Celsius),
        "[degF]" => Some(Unit::Fahrenheit),
        "L/min" | "l/min" => Some(Unit::LitresPerMinute),
        "1" | "" => Some(Unit::One),
        _ => None,
    }
}

fn of_words(words: &str) -> Option<Unit> {
    let words = words.trim().to_lowercase();
    match words.as_str() {
        "%" | "percent" => Some(Unit::Percent),
        "mmhg" | "mm hg" | "mm[hg]" => Some(Unit::MmHg),
        "c" | "°c" | "cel" | "degc" | "deg c" | "celsius" | "degrees celsius" => Some(Unit::Celsius),
        "f" | "°f" | "[degf]" | "degf" | "deg f" | "fahrenheit" | "degrees fahrenheit" => {
            Some(Unit::Fahrenheit)
        }
        "l/min" | "lpm" | "l/minute" | "litres per minute" | "liters per minute" => {
            Some(Unit::LitresPerMinute)
        }
        "bpm" => Some(Unit::PerMinute),
        w if ["/min", "/minute", "per min", "per minute"]
            .iter()
            .any(|end| w.ends_with(end)) =>
        {
            Some(Unit::PerMinute)
        }
        _ => None,
    }
}

/// The unit of a quantity; `None` for one that is not known, and where code and words are two.
fn unit(q: &Quantity) -> Option<Unit> {
    let coded = q.system.as_deref().is_none_or(|s| s == UCUM);
    let code = q.code.as_deref().filter(|_| coded).map(of_code);
    let words = q
        .unit
        .as_deref()
        .filter(|w| !w.trim().is_empty())
        .map(|w| of_code(w).or_else(|| of_words(w)));
    match (code, words) {
        (Some(Some(a)), Some(Some(b))) if a != b => None,
        (Some(code), _) => code,
        (None, Some(words)) => words,
        (None, None) => Some(Unit::One),
    }
}

/// What a value is worth. Limits are those beyond which a number is a mistake or a sensor that is off.
pub(super) fn what(of: Of, value: &Value) -> What {
    let points = match (of, value) {
        (Of::Acvpu, Value::Concept(c)) => acvpu(c),
        (Of::Acvpu, Value::Text(t)) => awareness(t),
        (Of::Coma, Value::Integer(n)) => coma(n),
        (Of::Coma, Value::Quantity(q)) if q.comparator.is_none() => q.value.as_ref().and_then(coma),
        (_, Value::Quantity(q)) if q.comparator.is_none() => number(of, q),
        _ => None,
    };
    points.map_or(What::Unreadable, What::Points)
}

fn number(of: Of, q: &Quantity) -> Option<u8> {
    let d = q.value.as_ref()?;
    let unit = unit(q)?;
    let within = |n: i64, least: i64, most: i64| (least..=most).contains(&n).then_some(n);
    match (of, unit) {
        (Of::Respiration, Unit::PerMinute) => within(nearest(d, 0)?, 1, 80).map(respiration),
        (Of::Saturation, Unit::Percent) => {
            // Not to the better band: 91.6 is no 92.
            let whole = scaled(d, 1)? / 10;
            within(whole, 20, 100)?;
            (scaled(d, 1)? <= 1_000).then(|| saturation(whole))
        }
        (Of::Pressure, Unit::MmHg) => within(nearest(d, 0)?, 20, 350).map(pressure),
        (Of::Pulse, Unit::PerMinute) => within(nearest(d, 0)?, 10, 300).map(pulse),
        (Of::Temperature, Unit::Celsius) => within(nearest(d, 1)?, 200, 450).map(temperature),
        (Of::Temperature, Unit::Fahrenheit) => {
            // (F - 32) · 5/9 in tenths of a degree, from hundredths of a degree Fahrenheit.
            let ninths = nearest(d, 2)?.checked_sub(3_200)?.checked_mul(5)?;
            within((ninths + 45).div_euclid(90), 200, 450).map(temperature)
        }
        (Of::Flow, Unit::LitresPerMinute) => between(d, "0", "80").then(|| given(above(d, "0"))),
        (Of::Share, Unit::Percent) => between(d, "20", "100").then(|| given(above(d, "21"))),
        (Of::Share, Unit::One) => between(d, "0.20", "1").then(|| given(above(d, "0.21"))),
        _ => None,
    }
}

const fn given(oxygen: bool) -> u8 {
    if oxygen { 2 } else { 0 }
}

fn above(d: &Decimal, limit: &str) -> bool {
    Decimal::new(limit).is_ok_and(|l| d.value_cmp(&l) == Ordering::Greater)
}

fn between(d: &Decimal, least: &str, most: &str) -> bool {
    let below = Decimal::new(least).is_ok_and(|l| d.value_cmp(&l) == Ordering::Less);
    !below && !above(d, most)
}

/// A decimal in units of ten to the minus `decimals`, what is finer left out; `None` for a negative one, an exponent, or more
/// than a thousand: nobody measures a person so.
fn scaled(d: &Decimal, decimals: usize) -> Option<i64> {
    let text = d.as_str();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || above(d, "1000") {
        return None;
    }
    let fraction: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(decimals)
        .collect();
    format!("{whole}{fraction}").parse().ok()
}

/// The same to the nearest, a half up.
fn nearest(d: &Decimal, decimals: usize) -> Option<i64> {
    let finer = scaled(d, decimals + 1)?;
    Some((finer + 5) / 10)
}

const fn respiration(n: i64) -> u8 {
    match n {
        ..=8 | 25.. => 3,
        9..=11 => 1,
        12..=20 => 0,
        21..=24 => 2,
    }
}

const fn saturation(n: i64) -> u8 {
    match n {
        ..=91 => 3,
        92..=93 => 2,
        94..=95 => 1,
        96.. => 0,
    }
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

/// In tenths of a degree Celsius.
const fn temperature(tenths: i64) -> u8 {
    match tenths {
        ..=350 => 3,
        351..=360 | 381..=390 => 1,
        361..=380 => 0,
        391.. => 2,
    }
}

/// 0 for the full Glasgow coma score; whatever is less says that somebody is not simply alert.
fn coma(n: &Decimal) -> Option<u8> {
    (scaled(n, 1)? == 150).then_some(0)
}

/// By the words of the answer lists of LOINC 67775-7 and 80288-4, and the letters of ACVPU.
fn awareness(words: &str) -> Option<u8> {
    const REACTS: [&str; 20] = [
        "c",
        "v",
        "p",
        "u",
        "new confusion",
        "acute confusion",
        "confusion",
        "confused",
        "voice",
        "verbal",
        "responds to voice",
        "response to voice",
        "responsive to voice",
        "pain",
        "painful",
        "responds to pain",
        "response to pain",
        "responsive to pain",
        "unresponsive",
        "unconscious",
    ];
    let said = words.trim().to_lowercase();
    match said.as_str() {
        "a" | "alert" | "mentally alert" => Some(0),
        said => REACTS.contains(&said).then_some(3),
    }
}

/// By SNOMED CT codes, and words: those of the recorder decide, and none may say something else.
fn acvpu(c: &Concept) -> Option<u8> {
    let codes = [
        ("248234008", 0),
        ("130987000", 3),
        ("300202002", 3),
        ("450847001", 3),
        ("422768004", 3),
    ];
    let coded = codes
        .iter()
        .filter(|(code, _)| c.has(SNOMED, code))
        .map(|(_, n)| Some(*n));
    let text = c.text.as_deref().filter(|t| !t.trim().is_empty()).map(awareness);
    let displays = c
        .codings
        .iter()
        .filter_map(|k| k.display.as_deref())
        .map(awareness);
    let mut all: Vec<Option<u8>> = text.into_iter().chain(coded).collect();
    // Words of a code system in another language say nothing against what is known.
    all.extend(displays.filter(Option::is_some));
    let first = *all.first()?;
    all.iter().all(|n| *n == first).then_some(first)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(value: &str, unit: &str, code: &str) -> Value {
        let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        Value::Quantity(Quantity {
            value: Decimal::new(value).ok(),
            unit: some(unit),
            system: some(code).map(|_| UCUM.to_owned()),
            code: some(code),
            ..Quantity::default()
        })
    }

    fn of(of: Of, value: &str, unit: &str) -> Option<u8> {
        match what(of, &quantity(value, unit, "")) {
            What::Points(n) => Some(n),
            _ => None,
        }
    }

    /// Every boundary of chart 1, and one step to either side.
    #[test]
    fn points_of_every_boundary() {
        type Row = (Of, &'static str, &'static [(&'static str, u8)]);
        let rows: [Row; 5] = [
            (
                Of::Respiration,
                "/min",
                &[
                    ("4", 3),
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
                Of::Saturation,
                "%",
                &[
                    ("50", 3),
                    ("91", 3),
                    ("91.6", 3),
                    ("92", 2),
                    ("93", 2),
                    ("94", 1),
                    ("95", 1),
                    ("95.9", 1),
                    ("96", 0),
                    ("100", 0),
                ],
            ),
            (
                Of::Pressure,
                "mmHg",
                &[
                    ("60", 3),
                    ("90", 3),
                    ("91", 2),
                    ("100", 2),
                    ("101", 1),
                    ("110", 1),
                    ("111", 0),
                    ("219", 0),
                    ("220", 3),
                ],
            ),
            (
                Of::Pulse,
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
                Of::Temperature,
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
        for (which, unit, values) in rows {
            for (value, expected) in values {
                assert_eq!(of(which, value, unit), Some(*expected), "{which:?} {value}");
            }
        }
    }

    #[test]
    fn oxygen_is_what_is_plausibly_said_of_it() {
        for (which, value, unit, expected) in [
            (Of::Flow, "0", "L/min", Some(0)),
            (Of::Flow, "0.5", "L/min", Some(2)),
            (Of::Flow, "-1", "L/min", None),
            (Of::Flow, "2", "", None),
            (Of::Share, "21", "%", Some(0)),
            (Of::Share, "20.9", "%", Some(0)),
            (Of::Share, "28", "%", Some(2)),
            (Of::Share, "0.21", "", Some(0)),
            (Of::Share, "0.4", "{fraction}", Some(2)),
            // Forty per cent written as a share, with the unit of the other.
            (Of::Share, "0.4", "%", None),
            (Of::Share, "0", "%", None),
            (Of::Share, "0", "", None),
            (Of::Share, "40", "", None),
        ] {
            assert_eq!(of(which, value, unit), expected, "{which:?} {value} {unit}");
        }
    }

    #[test]
    fn consciousness_by_words_codes_and_never_against_each_other() {
        let text = |t: &str| what(Of::Acvpu, &Value::Concept(Concept::of_text(t)));
        for (words, expected) in [
            ("Alert", What::Points(0)),
            ("New confusion", What::Points(3)),
            ("Responds to voice", What::Points(3)),
            ("C", What::Points(3)),
            ("drowsy", What::Unreadable),
            ("not alert", What::Unreadable),
        ] {
            assert_eq!(text(words), expected, "{words}");
        }
        let coded = |code: &str, display: &str, text: Option<&str>| {
            let concept = Concept {
                text: text.map(str::to_owned),
                ..Concept::of_code(SNOMED, code, display)
            };
            what(Of::Acvpu, &Value::Concept(concept))
        };
        assert_eq!(coded("248234008", "Mentally alert", None), What::Points(0));
        assert_eq!(coded("300202002", "Antwort auf Ansprache", None), What::Points(3));
        assert_eq!(
            coded("248234008", "Mentally alert", Some("not alert")),
            What::Unreadable
        );
        assert_eq!(
            coded("248234008", "Mentally alert", Some("Responds to pain")),
            What::Unreadable
        );
    }

    #[test]
    fn a_coma_score_below_15_is_not_alert() {
        assert_eq!(what(Of::Coma, &quantity("15", "{score}", "")), What::Points(0));
        assert_eq!(what(Of::Coma, &quantity("14", "{score}", "")), What::Unreadable);
        assert_eq!(
            what(Of::Coma, &Value::Integer(Decimal::new("15").unwrap())),
            What::Points(0)
        );
    }

    #[test]
    fn units_by_code_and_by_words() {
        for (unit, code, expected) in [
            ("breaths per minute", "/min", Some(0)),
            ("breaths/minute", "", Some(0)),
            ("Atemzüge pro Minute", "/min", Some(0)),
            ("", "{breaths}/min", Some(0)),
            ("per minute", "", Some(0)),
            ("", "", None),
            ("%", "/min", None),
            ("/h", "/h", None),
        ] {
            let found = what(Of::Respiration, &quantity("16", unit, code));
            assert_eq!(
                found,
                expected.map_or(What::Unreadable, What::Points),
                "{unit} {code}"
            );
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
            assert_eq!(of(Of::Temperature, f, "[degF]"), Some(expected), "{f}");
        }
    }

    #[test]
    fn what_is_no_measurement_of_a_person_has_no_points() {
        for (which, value, unit) in [
            (Of::Respiration, "0", "/min"),
            (Of::Respiration, "180", "/min"),
            (Of::Saturation, "0", "%"),
            (Of::Saturation, "0.97", "%"),
            (Of::Saturation, "100.5", "%"),
            (Of::Saturation, "97", ""),
            (Of::Pressure, "12", "kPa"),
            (Of::Pressure, "400", "mmHg"),
            (Of::Temperature, "98.6", "Cel"),
            (Of::Temperature, "36.8", "[degF]"),
            (Of::Temperature, "37", ""),
            (Of::Pulse, "0", "/min"),
            (Of::Pulse, "1e2", "/min"),
            (Of::Pulse, "-5", "/min"),
        ] {
            assert_eq!(of(which, value, unit), None, "{which:?} {value} {unit}");
        }
        let mut below = quantity("12", "/min", "");
        if let Value::Quantity(q) = &mut below {
            q.comparator = Some("<".to_owned());
        }
        assert_eq!(what(Of::Respiration, &below), What::Unreadable);
        assert_eq!(what(Of::Pulse, &Value::Text("72".to_owned())), What::Unreadable);
    }
}
