//! What a bedside monitor says, for the wall of live vital signs (capabilities S9).
//!
//! Lives here: the signals that are known by their codes, reading them out of an Observation, putting the parts of a blood
//! pressure together. Never here: how old a value is (`wire::live`), the chart's own vital signs ([`crate::card`]).
//! Called by the server, which takes them in, and the engine, which shows them.
//!
//! Codes: ISO/IEEE 11073-10101 (the nomenclature of IHE PCD-01) and LOINC. A blood pressure that does not say how it was
//! measured counts as taken by a cuff: such a value keeps its time and is never called live.

use crate::chart::{Concept, LOINC, Observation, Quantity, Value};
use crate::format::{self, ResultFlag};

/// ISO/IEEE 11073-10101, as FHIR names it.
pub const MDC: &str = "urn:iso:std:iso:11073:10101";
/// v3-ObservationInterpretation.
const INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";

/// A signal of a monitor.
#[derive(Debug, PartialEq, Eq)]
pub struct Signal {
    /// Name on the line, e.g. "hr".
    pub id: &'static str,
    /// As a clinician names it.
    pub label: &'static str,
    /// Measured now and then rather than all the time.
    pub spot: bool,
    /// Ends of the scale of its trend, in the unit of [`Self::unit`]; equal = no trend.
    pub scale: (i32, i32),
    /// UCUM unit of the scale. A value in another unit is shown with that unit, and has no trend.
    pub unit: &'static str,
    codes: &'static [(&'static str, &'static str, Part)],
}

/// What a code measures of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Whole,
    Systolic,
    Diastolic,
    Mean,
}
use Part::{Diastolic, Mean, Systolic, Whole};

/// Every signal, in the order in which a bed shows them.
pub const SIGNALS: &[Signal] = &[
    Signal {
        id: "hr",
        label: "HR",
        spot: false,
        scale: (40, 180),
        unit: "/min",
        codes: &[(MDC, "147842", Whole), (LOINC, "8867-4", Whole)],
    },
    Signal {
        id: "pulse",
        label: "Pulse",
        spot: false,
        scale: (40, 180),
        unit: "/min",
        codes: &[
            (MDC, "149530", Whole),
            (MDC, "149522", Whole),
            (LOINC, "8889-8", Whole),
        ],
    },
    Signal {
        id: "spo2",
        label: "SpO2",
        spot: false,
        scale: (70, 100),
        unit: "%",
        codes: &[
            (MDC, "150456", Whole),
            (LOINC, "59408-5", Whole),
            (LOINC, "2708-6", Whole),
        ],
    },
    Signal {
        id: "art",
        label: "ART",
        spot: false,
        scale: (20, 180),
        unit: "mm[Hg]",
        codes: &[
            (MDC, "150033", Systolic),
            (MDC, "150034", Diastolic),
            (MDC, "150035", Mean),
            (MDC, "150037", Systolic),
            (MDC, "150038", Diastolic),
            (MDC, "150039", Mean),
            (LOINC, "76215-3", Systolic),
            (LOINC, "76213-8", Diastolic),
            (LOINC, "76214-6", Mean),
        ],
    },
    Signal {
        id: "cuff",
        label: "BP",
        spot: true,
        scale: (0, 0),
        unit: "mm[Hg]",
        codes: &[
            (MDC, "150021", Systolic),
            (MDC, "150022", Diastolic),
            (MDC, "150023", Mean),
            (LOINC, "76534-7", Systolic),
            (LOINC, "76535-4", Diastolic),
            (LOINC, "76536-2", Mean),
            (LOINC, "8480-6", Systolic),
            (LOINC, "8462-4", Diastolic),
            (LOINC, "8478-0", Mean),
        ],
    },
    Signal {
        id: "rr",
        label: "RR",
        spot: false,
        scale: (0, 50),
        unit: "/min",
        codes: &[
            (MDC, "151562", Whole),
            (MDC, "151570", Whole),
            (LOINC, "9279-1", Whole),
        ],
    },
    Signal {
        id: "etco2",
        label: "etCO2",
        spot: false,
        scale: (0, 80),
        unit: "mm[Hg]",
        codes: &[(MDC, "151708", Whole), (LOINC, "19889-5", Whole)],
    },
    Signal {
        id: "cvp",
        label: "CVP",
        spot: false,
        scale: (-5, 30),
        unit: "mm[Hg]",
        codes: &[(MDC, "150087", Mean), (LOINC, "60985-9", Mean)],
    },
    Signal {
        id: "temp",
        label: "Temp",
        spot: true,
        scale: (0, 0),
        unit: "Cel",
        codes: &[
            (MDC, "150344", Whole),
            (MDC, "150364", Whole),
            (LOINC, "8310-5", Whole),
        ],
    },
];

/// The signal of that name, and its place in [`SIGNALS`].
#[must_use]
pub fn signal(id: &str) -> Option<(usize, &'static Signal)> {
    SIGNALS.iter().enumerate().find(|(_, s)| s.id == id)
}

/// The newest of one signal, as a monitor sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Place in [`SIGNALS`].
    pub signal: usize,
    /// "72", "118/74 (89)"; `None` when the monitor says that it measures nothing.
    pub value: Option<String>,
    /// UCUM code, or the unit in words where there is no code.
    pub unit: Option<String>,
    /// What the monitor marks: `H`, `LL`, …
    pub flag: Option<&'static str>,
    /// Why there is no value.
    pub absent: Option<String>,
    /// When it was measured, ms since 1970, by the monitor's clock.
    pub at_ms: i64,
    /// For the trend: the number, where its unit is that of the scale.
    pub number: Option<f64>,
}

/// Why an Observation is no reading of a monitor. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Taken back, or never made.
    #[error("its status is not final, preliminary, amended or corrected")]
    Status,
    /// A time is missing, or says no zone.
    #[error("effectiveDateTime or effectiveInstant with date, time and zone is required")]
    Time,
    /// Measured later than it is now: nobody can say how old it is.
    #[error(
        "it was measured in the future by the server's clock: set the clocks of gateway and server right"
    )]
    Ahead,
    /// No signal of a monitor.
    #[error("its code is none of the signals of a monitor (docs/API.md lists them)")]
    Code,
    /// Words where a number is due.
    #[error("valueQuantity with a number is required, or dataAbsentReason")]
    Value,
    /// A number without a unit.
    #[error("valueQuantity has no unit: a number without one is not shown")]
    Unit,
}

/// A time so far ahead is that of a clock that is wrong, ms.
pub const AHEAD_MS: i64 = 2_000;

struct Piece {
    signal: usize,
    part: Part,
    value: Option<Quantity>,
    absent: Option<String>,
    flag: ResultFlag,
    at_ms: i64,
}

/// Reads the Observations of one patient from one message. Parts of a blood pressure that were measured at the same time become
/// one reading. `now_ms`: the time, ms since 1970. Gives the place of each Observation that cannot be read beside why.
#[must_use]
pub fn readings(observations: &[&Observation], now_ms: i64) -> (Vec<Reading>, Vec<(usize, Unread)>) {
    let mut pieces = Vec::new();
    let mut unread = Vec::new();
    for (i, o) in observations.iter().enumerate() {
        match pieces_of(o, now_ms) {
            Ok(found) => pieces.extend(found),
            Err(why) => unread.push((i, why)),
        }
    }
    pieces.sort_by_key(|p| (p.signal, p.at_ms, p.part));
    let mut out = Vec::new();
    for group in pieces.chunk_by(|a, b| (a.signal, a.at_ms) == (b.signal, b.at_ms)) {
        out.extend(joined(group));
    }
    (out, unread)
}

fn known(code: Option<&Concept>) -> Option<(usize, Part)> {
    let code = code?;
    SIGNALS.iter().enumerate().find_map(|(i, s)| {
        let part = s.codes.iter().find(|(system, c, _)| code.has(system, c));
        part.map(|(_, _, part)| (i, *part))
    })
}

fn pieces_of(o: &Observation, now_ms: i64) -> Result<Vec<Piece>, Unread> {
    let status = o.status.as_deref().unwrap_or_default();
    if !["final", "preliminary", "amended", "corrected"].contains(&status) {
        return Err(Unread::Status);
    }
    let at = o.effective.as_ref().and_then(|e| format::parse_fhir(e.as_str()));
    let at = at.filter(|d| d.offset_minutes.is_some()).ok_or(Unread::Time)?;
    let at_ms = at.earliest_ms();
    if at_ms > now_ms.saturating_add(AHEAD_MS) {
        return Err(Unread::Ahead);
    }
    let mut out = Vec::new();
    if let Some(place) = known(o.code.as_ref()) {
        let absent = o.absent_reason.as_ref();
        out.push(piece(place, o.value.as_ref(), absent, &o.interpretations, at_ms)?);
    }
    for c in &o.components {
        if let Some(place) = known(c.code.as_ref()) {
            let absent = c.absent_reason.as_ref();
            out.push(piece(place, c.value.as_ref(), absent, &c.interpretations, at_ms)?);
        }
    }
    if out.is_empty() {
        return Err(Unread::Code);
    }
    Ok(out)
}

fn piece(
    (signal, part): (usize, Part),
    value: Option<&Value>,
    absent: Option<&Concept>,
    interpretations: &[Concept],
    at_ms: i64,
) -> Result<Piece, Unread> {
    let value = match (value, absent) {
        (Some(Value::Quantity(q)), _) if q.value.is_some() => {
            if q.code.as_deref().or(q.unit.as_deref()).is_none_or(str::is_empty) {
                return Err(Unread::Unit);
            }
            Some(q.clone())
        }
        (None, Some(_)) => None,
        _ => return Err(Unread::Value),
    };
    let words = |c: &Concept| c.display().unwrap_or("no value").to_owned();
    let marks = interpretations
        .iter()
        .map(|i| ResultFlag::of(i.code_of(INTERPRETATION)));
    Ok(Piece {
        signal,
        part,
        absent: absent.filter(|_| value.is_none()).map(words),
        value,
        flag: marks.max_by_key(|f| worst(*f)).unwrap_or(ResultFlag::None),
        at_ms,
    })
}

/// How much a mark calls for attention.
const fn worst(flag: ResultFlag) -> u8 {
    match flag {
        ResultFlag::None => 0,
        ResultFlag::Abnormal => 1,
        ResultFlag::Low | ResultFlag::High => 2,
        ResultFlag::CriticalLow | ResultFlag::CriticalHigh | ResultFlag::CriticalAbnormal => 3,
    }
}

fn unit_of(q: &Quantity) -> Option<&str> {
    q.code.as_deref().or(q.unit.as_deref()).filter(|u| !u.is_empty())
}

/// One reading of the parts of one signal at one time. Parts in different units are not put together: S12.
fn joined(group: &[Piece]) -> Vec<Reading> {
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let Some(signal) = SIGNALS.get(first.signal) else {
        return Vec::new();
    };
    let get = |part| group.iter().rfind(|p| p.part == part);
    let digits = |part| {
        get(part)
            .and_then(|p| p.value.as_ref())
            .and_then(Quantity::digits)
    };
    let value = match (digits(Whole), digits(Systolic), digits(Diastolic), digits(Mean)) {
        (Some(v), ..) => Some(v),
        (None, None, None, Some(m)) if signal.codes.iter().all(|(_, _, p)| *p == Mean) => Some(m),
        (None, None, None, m) => m.map(|m| format!("({m})")),
        (None, s, d, m) => {
            let side = |x: Option<String>| x.unwrap_or_else(|| "–".to_owned());
            let mean = m.map(|m| format!(" ({m})")).unwrap_or_default();
            Some(format!("{}/{}{mean}", side(s), side(d)))
        }
    };
    let mut units: Vec<&str> = group
        .iter()
        .filter_map(|p| p.value.as_ref())
        .filter_map(unit_of)
        .collect();
    units.sort_unstable();
    units.dedup();
    if units.len() > 1 {
        // The last part of the message alone, rather than numbers in two units under one.
        return joined(group.get(group.len().saturating_sub(1)..).unwrap_or_default());
    }
    let number = get(Whole)
        .or_else(|| get(Mean))
        .and_then(|p| p.value.as_ref())
        .filter(|q| q.comparator.is_none() && unit_of(q) == Some(signal.unit))
        .and_then(|q| q.value.as_ref()?.as_str().parse::<f64>().ok())
        .filter(|n| n.is_finite());
    let flag = group.iter().map(|p| p.flag).max_by_key(|f| worst(*f));
    vec![Reading {
        signal: first.signal,
        absent: value
            .is_none()
            .then(|| group.iter().find_map(|p| p.absent.clone()))
            .flatten(),
        value,
        unit: units.first().map(|u| (*u).to_owned()),
        flag: flag.filter(|f| *f != ResultFlag::None).map(ResultFlag::text),
        at_ms: first.at_ms,
        number,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Component, Decimal, PartialDate};

    /// A second and a half after what is said here.
    const NOW: i64 = 1_795_856_401_750;

    fn quantity(value: &str, unit: &str) -> Value {
        Value::Quantity(Quantity {
            value: Some(Decimal::new(value).unwrap()),
            code: Some(unit.to_owned()),
            ..Quantity::default()
        })
    }

    fn said(system: &str, code: &str, value: &str, unit: &str) -> Observation {
        Observation {
            status: Some("final".to_owned()),
            code: Some(Concept::of_code(system, code, "")),
            effective: Some(PartialDate::new("2026-11-28T09:00:00.250Z")),
            value: Some(quantity(value, unit)),
            ..Observation::default()
        }
    }

    fn one(o: &Observation) -> Result<Reading, Unread> {
        let (mut read, unread) = readings(&[o], NOW);
        match unread.first() {
            Some((0, why)) => Err(*why),
            _ => Ok(read.remove(0)),
        }
    }

    #[test]
    fn every_code_is_read_and_belongs_to_one_signal() {
        let mut seen = std::collections::BTreeSet::new();
        for (i, s) in SIGNALS.iter().enumerate() {
            assert_eq!(signal(s.id).unwrap().0, i);
            for (system, code, _) in s.codes {
                assert!(seen.insert((*system, *code)), "{code} twice");
                let read = one(&said(system, code, "72", s.unit)).unwrap();
                assert_eq!((read.signal, read.at_ms), (i, 1_795_856_400_250), "{code}");
                assert!(read.value.unwrap().contains("72"));
            }
        }
    }

    #[test]
    fn the_parts_of_a_pressure_become_one_and_the_digits_stay() {
        let part = |code, v| said(MDC, code, v, "mm[Hg]");
        let (s, d, m) = (
            part("150037", "118"),
            part("150038", "74"),
            part("150039", "88.50"),
        );
        let (read, unread) = readings(&[&m, &s, &d], NOW);
        assert!(unread.is_empty());
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].value.as_deref(), Some("118/74 (88.50)"));
        assert_eq!(read[0].number, Some(88.5));
        // Of another moment it is another reading.
        let later = Observation {
            effective: Some(PartialDate::new("2026-11-28T09:00:01Z")),
            ..m
        };
        let (read, _) = readings(&[&s, &d, &later], NOW);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].value.as_deref(), Some("118/74"));
        assert_eq!(read[1].value.as_deref(), Some("(88.50)"));
        let (read, _) = readings(&[&d], NOW);
        assert_eq!(read[0].value.as_deref(), Some("–/74"));
    }

    #[test]
    fn parts_in_two_units_are_never_one_value() {
        let s = said(MDC, "150037", "118", "mm[Hg]");
        let d = said(MDC, "150038", "9.9", "kPa");
        let (read, _) = readings(&[&s, &d], NOW);
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].value.as_deref(), read[0].unit.as_deref()),
            (Some("–/9.9"), Some("kPa"))
        );
    }

    #[test]
    fn a_panel_is_read_by_its_components() {
        let component = |code: &str, v: &str| Component {
            code: Some(Concept::of_code(LOINC, code, "")),
            value: Some(quantity(v, "mm[Hg]")),
            ..Component::default()
        };
        let panel = Observation {
            value: None,
            components: vec![component("8480-6", "120"), component("8462-4", "80")],
            ..said(LOINC, "85354-9", "0", "x")
        };
        let read = one(&panel).unwrap();
        assert_eq!(SIGNALS[read.signal].id, "cuff");
        assert!(SIGNALS[read.signal].spot);
        assert_eq!(read.value.as_deref(), Some("120/80"));
    }

    #[test]
    fn a_unit_that_is_not_the_scales_has_no_trend() {
        let read = one(&said(MDC, "151708", "5.1", "kPa")).unwrap();
        assert_eq!(
            (read.value.as_deref(), read.unit.as_deref(), read.number),
            (Some("5.1"), Some("kPa"), None)
        );
    }

    #[test]
    fn nothing_measured_is_said_with_its_reason() {
        let off = Observation {
            value: None,
            absent_reason: Some(Concept::of_text("sensor off")),
            ..said(MDC, "150456", "0", "%")
        };
        let read = one(&off).unwrap();
        assert_eq!((read.value, read.absent.as_deref()), (None, Some("sensor off")));
    }

    #[test]
    fn the_worst_mark_of_the_monitor_stands() {
        let marked = Observation {
            interpretations: vec![
                Concept::of_code(INTERPRETATION, "N", ""),
                Concept::of_code(INTERPRETATION, "LL", ""),
                Concept::of_code(INTERPRETATION, "L", ""),
            ],
            ..said(MDC, "150456", "71", "%")
        };
        assert_eq!(one(&marked).unwrap().flag, Some("LL"));
    }

    #[test]
    fn what_is_no_reading_is_refused_with_its_reason() {
        let good = || said(MDC, "147842", "72", "/min");
        let cases: Vec<(Observation, Unread)> = vec![
            (
                Observation {
                    status: Some("entered-in-error".to_owned()),
                    ..good()
                },
                Unread::Status,
            ),
            (
                Observation {
                    effective: Some(PartialDate::new("2026-11-28T09:00:00")),
                    ..good()
                },
                Unread::Time,
            ),
            (
                Observation {
                    effective: None,
                    ..good()
                },
                Unread::Time,
            ),
            (
                Observation {
                    effective: Some(PartialDate::new("2026-11-28T10:00:03.751+01:00")),
                    ..good()
                },
                Unread::Ahead,
            ),
            (said(LOINC, "2823-3", "4.1", "mmol/L"), Unread::Code),
            (
                Observation {
                    value: Some(Value::Text("72".to_owned())),
                    ..good()
                },
                Unread::Value,
            ),
            (
                Observation {
                    value: None,
                    ..good()
                },
                Unread::Value,
            ),
            (said(MDC, "147842", "72", ""), Unread::Unit),
        ];
        for (o, why) in cases {
            assert_eq!(one(&o), Err(why));
        }
        // One that cannot be read takes none of the others with it.
        let bad = said(MDC, "147842", "72", "");
        let (read, unread) = readings(&[&bad, &good()], NOW);
        assert_eq!((read.len(), unread), (1, vec![(0, Unread::Unit)]));
    }
}
