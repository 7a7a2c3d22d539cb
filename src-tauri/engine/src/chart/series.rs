//! Measurements over time as shown: the flowsheet, rows of laboratory results.
//!
//! Never here: which results count (`vitrine_clinical::summary`). Called by `record`.

use super::blocks::Words;
use super::news2::Marks;
use crate::entry::vitals;
use std::collections::BTreeMap;
use vitrine_clinical::card::MeasuredItem;
use vitrine_clinical::summary::{Earlier, MeasuredSeries, NOT_HERE};
use vitrine_clinical::{ResourceKey, UtcMs, format, word};
use vitrine_wire::series_view::{MeasuredPointView, MeasuredSeriesView, TickView};
use vitrine_wire::view::{EarlierView, MeasuredView};

/// Values of a vital sign in a flowsheet: a day of one each five minutes, and what came before.
pub(super) const VITAL_VALUES: usize = 400;
const HOUR_MS: i64 = 3_600_000;
/// Hours of a plot at most.
const HOURS: i64 = 24;

/// The fixed scales of plots, by the card's labels: wide enough for what is survivable, the same for everybody, so that a course is
/// known by its shape (CUI GTAB-072). Ours; no standard gives them.
const SCALES: &[(&str, f64, f64)] = &[
    ("HR", 20.0, 200.0),
    ("BP", 40.0, 240.0),
    ("RR", 0.0, 50.0),
    ("SpO2", 70.0, 100.0),
    ("O2 flow", 0.0, 15.0),
    ("FiO2", 20.0, 100.0),
    ("Temp", 33.0, 41.0),
    ("GCS", 3.0, 15.0),
    ("Pain", 0.0, 10.0),
];

/// Vital signs that can be marked as wrong, and marks that this copy of the record does not have; what NEWS2 gives each.
pub(crate) struct Named<'a> {
    pub(crate) vitals: &'a vitals::Shown,
    /// By result: the words beside its value, and whether the mark waits.
    pub(crate) marks: BTreeMap<String, (String, bool)>,
    pub(crate) points: Marks<'a>,
}

impl Named<'_> {
    /// The newest value, with the mark on it.
    pub(super) fn measured(&self, w: &Words<'_>, m: &MeasuredItem) -> MeasuredView {
        let view = self.points.on(w.measured(m), m);
        let mark = self.marks.get(&m.source.to_string()).map(|(text, _)| text);
        MeasuredView {
            status_text: with_mark(view.status_text, mark),
            ..view
        }
    }

    /// Names a point of these results, and shows a mark on it.
    fn name(&self, point: &mut MeasuredPointView, sources: &[String]) {
        let marks = || sources.iter().filter_map(|s| self.marks.get(s));
        point.status_text = with_mark(point.status_text.take(), marks().next().map(|(text, _)| text));
        // A mark that waits is not made twice.
        let can_be = sources.iter().all(|s| self.vitals.contains_key(s)) && !marks().any(|(_, waits)| *waits);
        point.source = can_be.then(|| sources.join(" "));
    }
}

fn with_mark(status: Option<String>, mark: Option<&String>) -> Option<String> {
    match (status, mark) {
        (Some(status), Some(mark)) => Some(format!("{status}; {mark}")),
        (status, mark) => status.or_else(|| mark.cloned()),
    }
}

impl Words<'_> {
    /// The whole hours of the local clock in the last 24 h. Both hours of the one that comes twice are there, by their own words (S23).
    pub(crate) fn hours(&self) -> Vec<TickView> {
        let zone = |at: UtcMs| self.clock.zone_minutes(at);
        hours(self.clock.now(), &zone)
    }

    /// A series of at most `most` values.
    pub(crate) fn series(&self, s: &MeasuredSeries, most: usize) -> MeasuredSeriesView {
        self.named_series(s, most, &|_, _| {})
    }

    fn named_series(
        &self,
        s: &MeasuredSeries,
        most: usize,
        name: &dyn Fn(&MeasuredItem, &mut MeasuredPointView),
    ) -> MeasuredSeriesView {
        // Different units never stand in one series (S12): the newest value's unit decides.
        let first = s.values.first();
        let unit = first.and_then(|v| v.unit.clone());
        let range_text = first.and_then(|v| v.range.clone());
        let bounds = range_text.as_deref().and_then(bounds);
        let (points, older) = self.points(s, unit.as_deref(), most, name);
        MeasuredSeriesView {
            label: s.name().to_owned(),
            unit: points
                .iter()
                .find(|p| !p.withdrawn)
                .map(|p| p.unit.clone())
                .unwrap_or_default(),
            range_text,
            low: bounds.map(|b| b.0),
            high: bounds.map(|b| b.1),
            scale: SCALES
                .iter()
                .find(|(label, ..)| *label == s.label)
                .map(|(_, low, high)| (*low, *high)),
            older: u32::try_from(older).unwrap_or(u32::MAX),
            points,
        }
    }

    /// Where only the newest value is here.
    pub(crate) fn single(&self, m: &MeasuredItem) -> MeasuredSeriesView {
        let series = MeasuredSeries {
            key: m.label.clone(),
            label: m.label.clone(),
            unit: m.unit.clone(),
            values: vec![m.clone()],
            earlier: Vec::new(),
        };
        MeasuredSeriesView {
            // A card says of each value whether its label is one of ours.
            label: m.name().to_owned(),
            ..self.series(&series, 1)
        }
    }

    /// The rows of the flowsheet. Blood pressures sent as two results are one row.
    pub(crate) fn flowsheet(&self, vitals: &[MeasuredSeries], named: &Named<'_>) -> Vec<MeasuredSeriesView> {
        let (rows, beside) = pressures(vitals);
        let name = |m: &MeasuredItem, point: &mut MeasuredPointView| {
            let lower = beside.iter().find(|(_, upper)| *upper == m.source);
            let sources: Vec<String> = lower
                .map(|(lower, _)| lower)
                .into_iter()
                .chain([&m.source])
                .map(ToString::to_string)
                .collect();
            named.name(point, &sources);
            named.points.on_point(point, m);
        };
        rows.iter()
            .map(|s| self.named_series(s, VITAL_VALUES, &name))
            .collect()
    }

    /// The newest values with what they said before, at most so many, and how many there are beyond them. Where a value was
    /// withdrawn, what it was stands in its place.
    fn points(
        &self,
        s: &MeasuredSeries,
        unit: Option<&str>,
        most: usize,
        name: &dyn Fn(&MeasuredItem, &mut MeasuredPointView),
    ) -> (Vec<MeasuredPointView>, usize) {
        let mut gone: Vec<(&Earlier, MeasuredPointView)> = Vec::new();
        for e in &s.earlier {
            let Some(status) = &e.withdrawn else { continue };
            let was = self.earlier(e, e.item.at);
            match gone.iter_mut().find(|(g, _)| g.item.source == e.item.source) {
                Some((_, point)) => point.earlier.push(was),
                None => gone.push((e, self.withdrawn(e, status, was))),
            }
        }
        let all = s.values.len() + gone.len();
        let shown = s.values.iter().take(most).map(|m| {
            let mut point = MeasuredPointView {
                earlier: self.earlier_of(s, m),
                ..self.point_of(m, unit)
            };
            name(m, &mut point);
            point
        });
        let mut points: Vec<MeasuredPointView> =
            shown.chain(gone.into_iter().map(|(_, point)| point)).collect();
        points.sort_by_key(|p| std::cmp::Reverse(p.at_ms));
        points.truncate(most);
        let older = all - points.len();
        (points, older)
    }

    /// What one value of a series said before.
    pub(crate) fn earlier_of(&self, s: &MeasuredSeries, m: &MeasuredItem) -> Vec<EarlierView> {
        s.earlier
            .iter()
            .filter(|e| e.item.source == m.source && e.withdrawn.is_none())
            .map(|e| self.earlier(e, m.at))
            .collect()
    }

    fn withdrawn(&self, e: &Earlier, status: &str, was: EarlierView) -> MeasuredPointView {
        MeasuredPointView {
            value: word!("withdrawn", "zurückgezogen").to_owned(),
            unit: String::new(),
            flag: String::new(),
            flag_shape: String::new(),
            range_text: None,
            // Of any other status the result is there, and says no value or another test's.
            status_text: match status {
                "entered-in-error" => Some(word!("entered in error", "irrtümlich eingetragen")),
                "cancelled" => Some(word!("cancelled", "storniert")),
                NOT_HERE => Some(word!("not in this record", "nicht in dieser Akte")),
                _ => None,
            }
            .map(str::to_owned),
            earlier: vec![was],
            withdrawn: true,
            number: None,
            second: None,
            ..self.point_of(&e.item, None)
        }
    }

    fn point_of(&self, m: &MeasuredItem, unit: Option<&str>) -> MeasuredPointView {
        let shown = self.measured(m);
        let (number, second) = if format::same_unit(m.unit.as_deref(), unit) {
            numbers(&m.value)
        } else {
            (None, None)
        };
        MeasuredPointView {
            value: shown.value,
            unit: shown.unit,
            flag: shown.flag,
            flag_shape: shown.flag_shape,
            points_text: None,
            points: None,
            range_text: shown.range_text,
            at_ms: m.at.map(|at| at.0),
            at_text: shown.at_text,
            status_text: shown.status_text,
            earlier: Vec::new(),
            source: None,
            withdrawn: false,
            number,
            second,
        }
    }
}

fn hours(now: UtcMs, zone: &dyn Fn(UtcMs) -> i32) -> Vec<TickView> {
    // Zones are whole quarters of an hour off: every whole local hour is at one of these.
    const QUARTER_MS: i64 = HOUR_MS / 4;
    let last = now.0.div_euclid(QUARTER_MS) * QUARTER_MS;
    let from = now.0 - HOURS * HOUR_MS;
    let mut out: Vec<TickView> = (0..)
        .map(|i| last - i * QUARTER_MS)
        .take_while(|at| *at >= from)
        .filter(|at| (at + i64::from(zone(UtcMs(*at))) * 60_000).rem_euclid(HOUR_MS) == 0)
        .map(|at| TickView {
            at_ms: at,
            text: hour_text(UtcMs(at), zone),
        })
        .collect();
    out.reverse();
    out
}

fn hour_text(at: UtcMs, zone: &dyn Fn(UtcMs) -> i32) -> String {
    let minute = (at.0 + i64::from(zone(at)) * 60_000).rem_euclid(24 * HOUR_MS);
    if minute == 0 {
        format::date_time_in(at, zone)
    } else {
        format::time_in(at, zone)
    }
}

/// "88/50" is two numbers, "36.6" one, "<5" none.
fn numbers(value: &str) -> (Option<f64>, Option<f64>) {
    let number = |t: &str| t.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    match value.split_once('/') {
        Some((upper, lower)) => (number(upper), number(lower)),
        None => (number(value), None),
    }
}

/// Systolic and diastolic results of one instant and unit as one blood pressure, among those that came as such; newest first. And which
/// diastolic result stands beside which systolic one.
fn pressures(vitals: &[MeasuredSeries]) -> (Vec<MeasuredSeries>, Vec<(ResourceKey, ResourceKey)>) {
    let of = |key: &str| vitals.iter().find(|s| s.key == key);
    let (upper, lower) = (of("SBP"), of("DBP"));
    if upper.is_none() && lower.is_none() {
        return (vitals.to_vec(), Vec::new());
    }
    let values = |s: Option<&MeasuredSeries>| s.map_or_else(Vec::new, |s| s.values.clone());
    let mut left: Vec<MeasuredItem> = values(lower);
    let mut joined: Vec<MeasuredItem> = values(of("BP"));
    // Diastolic results that stand beside a systolic one.
    let mut one = Vec::new();
    for mut u in values(upper) {
        let twin = left.iter().position(|l| {
            u.at.is_some() && l.at == u.at && format::same_unit(l.unit.as_deref(), u.unit.as_deref())
        });
        u.value = match twin.map(|at| left.remove(at)) {
            Some(l) => {
                one.push((l.source.clone(), u.source.clone()));
                u.interpretation = worse(u.interpretation, l.interpretation);
                format!("{}/{}", u.value, l.value)
            }
            None => format!("{}/–", u.value),
        };
        u.range = None;
        joined.push(u);
    }
    joined.extend(left.into_iter().map(|l| MeasuredItem {
        value: format!("–/{}", l.value),
        range: None,
        ..l
    }));
    joined.sort_by_key(|m| std::cmp::Reverse(m.at));
    let mut earlier: Vec<Earlier> = of("BP").map_or_else(Vec::new, |s| s.earlier.clone());
    earlier.extend(upper.into_iter().flat_map(|s| &s.earlier).cloned().map(|mut e| {
        e.item.value = format!("{}/–", e.item.value);
        e
    }));
    earlier.extend(lower.into_iter().flat_map(|s| &s.earlier).cloned().map(|mut e| {
        e.item.value = format!("–/{}", e.item.value);
        if let Some((_, beside)) = one.iter().find(|(l, _)| *l == e.item.source) {
            e.item.source = beside.clone();
        }
        e
    }));
    earlier.sort_by_key(|e| std::cmp::Reverse(e.replaced));
    let mut out: Vec<MeasuredSeries> = Vec::new();
    for s in vitals {
        if !matches!(s.key.as_str(), "BP" | "SBP" | "DBP") {
            out.push(s.clone());
        } else if !out.iter().any(|o| o.key == "BP") {
            out.push(MeasuredSeries {
                key: "BP".to_owned(),
                label: "BP".to_owned(),
                unit: joined.first().and_then(|m| m.unit.clone()),
                values: joined.clone(),
                earlier: earlier.clone(),
            });
        }
    }
    (out, one)
}

/// The flag that says more: critical before abnormal before none.
fn worse(a: Option<String>, b: Option<String>) -> Option<String> {
    let weight = |f: &Option<String>| match f.as_deref() {
        Some("HH" | "LL" | "AA") => 3,
        Some("H" | "L" | "A" | "HU" | "LU") => 2,
        Some("N") | None => 0,
        Some(_) => 1,
    };
    if weight(&b) > weight(&a) { b } else { a }
}

/// `3.5–5.1` or `3.5-5.1` as numbers, for the band of a plot.
fn bounds(range: &str) -> Option<(f64, f64)> {
    let (low, high) = range
        .split_once('–')
        .or_else(|| range.split_once(" - "))
        .or_else(|| range.split_once('-'))?;
    let digits = |t: &str| t.split_whitespace().next().and_then(|d| d.parse::<f64>().ok());
    Some((digits(low)?, digits(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::ResourceKey;
    use vitrine_clinical::format::civil::parse_fhir_ms;

    fn ms(text: &str) -> UtcMs {
        UtcMs(parse_fhir_ms(text).unwrap())
    }

    fn item(label: &str, value: &str, unit: &str, minute: i64, flag: Option<&str>) -> MeasuredItem {
        MeasuredItem {
            source: ResourceKey::new("Observation", &format!("{label}.{}", minute + 1)).unwrap(),
            label: label.to_owned(),
            code: None,
            value: value.to_owned(),
            unit: Some(unit.to_owned()),
            interpretation: flag.map(str::to_owned),
            range: None,
            at: (minute >= 0).then_some(UtcMs(minute * 60_000)),
            status: "final".to_owned(),
        }
    }

    fn series(key: &str, values: Vec<MeasuredItem>) -> MeasuredSeries {
        MeasuredSeries {
            key: key.to_owned(),
            label: key.to_owned(),
            unit: values.first().and_then(|v| v.unit.clone()),
            values,
            earlier: Vec::new(),
        }
    }

    fn was(item: MeasuredItem, withdrawn: Option<&str>) -> Earlier {
        Earlier {
            item,
            replaced: Some(ms("2026-11-21T05:10:00Z")),
            reason: None,
            withdrawn: withdrawn.map(str::to_owned),
        }
    }

    #[test]
    fn s12_a_unit_spelled_otherwise_is_the_same_and_another_one_is_not() {
        let patient = vitrine_clinical::PatientId::new("p").unwrap();
        let clock = crate::clock::Clock::new();
        let w = Words {
            patient: &patient,
            clock: &clock,
        };
        let hr = |value: &str, unit: &str, minute| item("HR", value, unit, minute, None);
        let s = series(
            "HR",
            vec![
                hr("118", "/min", 9),
                hr("119", "beats/minute", 7),
                hr("122", "{beats}/min", 5),
                hr("2", "/s", 3),
            ],
        );
        let numbers: Vec<Option<f64>> = w.series(&s, 10).points.iter().map(|p| p.number).collect();
        assert_eq!(numbers, [Some(118.0), Some(119.0), Some(122.0), None]);
        let pressures = [
            series("SBP", vec![item("SBP", "120", "mmHg", 5, None)]),
            series("DBP", vec![item("DBP", "70", "mm[Hg]", 5, None)]),
        ];
        let none = Named {
            vitals: &vitals::Shown::new(),
            marks: BTreeMap::new(),
            points: Marks::new(None, None, &clock),
        };
        let rows = w.flowsheet(&pressures, &none);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].points[0].value, "120/70");
        assert_eq!(
            rows[0].points[0].source, None,
            "nothing is known that could be marked"
        );
        // A pressure of two results is marked with both, once; a mark that waits shows, and is not made again.
        let keys = ["Observation/DBP.6", "Observation/SBP.6"];
        let known: vitals::Shown = keys
            .iter()
            .map(|k| {
                let wrong = vitrine_clinical::entry::Wrong {
                    source: (*k).to_owned(),
                    values: Vec::new(),
                };
                ((*k).to_owned(), (UtcMs(300_000), wrong))
            })
            .collect();
        let point = |marks: BTreeMap<String, (String, bool)>| {
            let named = Named {
                vitals: &known,
                marks,
                points: Marks::new(None, None, &clock),
            };
            let point = w.flowsheet(&pressures, &named)[0].points[0].clone();
            (point.source, point.status_text)
        };
        assert_eq!(point(BTreeMap::new()), (Some(keys.join(" ")), None));
        for (waits, source) in [(true, None), (false, Some(keys.join(" ")))] {
            let mark = [(keys[0].to_owned(), ("marked here".to_owned(), waits))];
            assert_eq!(point(mark.into()), (source, Some("marked here".to_owned())));
        }
    }

    #[test]
    fn s20_what_was_withdrawn_stands_in_its_place_and_is_no_value() {
        let patient = vitrine_clinical::PatientId::new("p").unwrap();
        let clock = crate::clock::Clock::new();
        let w = Words {
            patient: &patient,
            clock: &clock,
        };
        let hr = |value: &str, minute| item("HR", value, "/min", minute, Some("HH"));
        let s = MeasuredSeries {
            earlier: vec![
                was(hr("190", 9), Some("entered-in-error")),
                was(hr("195", 9), Some("entered-in-error")),
                was(hr("88", 5), None),
            ],
            ..series("HR", vec![hr("80", 5)])
        };
        let view = w.series(&s, 10);
        let points: Vec<(&str, bool, Option<f64>, usize)> = view
            .points
            .iter()
            .map(|p| (p.value.as_str(), p.withdrawn, p.number, p.earlier.len()))
            .collect();
        assert_eq!(
            points,
            [("withdrawn", true, None, 2), ("80", false, Some(80.0), 1)]
        );
        assert_eq!(view.points[0].flag, "", "what is no value is not critical");
        assert_eq!(view.points[0].status_text.as_deref(), Some("entered in error"));
        assert_eq!(view.unit, "/min");
        assert_eq!((view.older, w.series(&s, 1).older), (0, 1));
    }

    #[test]
    fn s20_both_halves_of_a_blood_pressure_keep_what_they_said() {
        let half = |label: &str, value: &str| item(label, value, "mm[Hg]", 5, None);
        let with = |label: &str, now: &str, before: &str| MeasuredSeries {
            earlier: vec![was(half(label, before), None)],
            ..series(label, vec![half(label, now)])
        };
        let (out, _) = pressures(&[with("SBP", "88", "188"), with("DBP", "40", "140")]);
        let said: Vec<(&str, &ResourceKey)> = out[0]
            .earlier
            .iter()
            .map(|e| (e.item.value.as_str(), &e.item.source))
            .collect();
        let shown = &out[0].values[0];
        assert_eq!(shown.value, "88/40");
        assert_eq!(said, [("188/–", &shown.source), ("–/140", &shown.source)]);
    }

    #[test]
    fn reads_the_band_of_a_range() {
        assert_eq!(bounds("3.5–5.1"), Some((3.5, 5.1)));
        assert_eq!(bounds("3.5 - 5.1 mmol/L"), Some((3.5, 5.1)));
        assert_eq!(bounds("< 5"), None);
    }

    #[test]
    fn only_numbers_are_drawn() {
        for (text, want) in [
            ("88/50", (Some(88.0), Some(50.0))),
            ("–/50", (None, Some(50.0))),
            ("36.60", (Some(36.6), None)),
            ("<0.5", (None, None)),
            ("inf", (None, None)),
            ("Alert", (None, None)),
        ] {
            assert_eq!(numbers(text), want, "{text}");
        }
    }

    #[test]
    fn a_pressure_sent_as_two_results_is_one_row_and_loses_nothing() {
        let (out, _) = pressures(&[
            series("HR", vec![item("HR", "80", "/min", 9, None)]),
            series("BP", vec![item("BP", "120/80", "mm[Hg]", 5, None)]),
            series(
                "SBP",
                vec![
                    item("SBP", "88", "mm[Hg]", 8, Some("L")),
                    item("SBP", "90", "mm[Hg]", 3, None),
                    item("SBP", "95", "mm[Hg]", -1, None),
                ],
            ),
            series(
                "DBP",
                vec![
                    item("DBP", "40", "mm[Hg]", 8, Some("LL")),
                    item("DBP", "6", "kPa", 3, None),
                    item("DBP", "55", "mm[Hg]", -1, None),
                ],
            ),
        ]);
        let labels: Vec<&str> = out.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["HR", "BP"]);
        let values: Vec<&str> = out[1].values.iter().map(|v| v.value.as_str()).collect();
        assert_eq!(values, ["88/40", "120/80", "90/–", "–/6", "95/–", "–/55"]);
        assert_eq!(out[1].values[0].interpretation.as_deref(), Some("LL"));
    }

    #[test]
    fn hours_of_a_day_that_has_25() {
        let back = ms("2026-10-25T01:00:00Z");
        let central = move |at: UtcMs| if at < back { 120 } else { 60 };
        let out = hours(ms("2026-10-25T12:20:00Z"), &central);
        let texts: Vec<&str> = out.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(out.len(), 24);
        assert!(texts.contains(&"02:00 (first, UTC+02:00)"));
        assert!(texts.contains(&"02:00 (second, UTC+01:00)"));
        assert!(texts.contains(&"25-Oct-2026 00:00"));
        assert_eq!(texts.last(), Some(&"13:00"));
        assert!(out.windows(2).all(|w| w[1].at_ms - w[0].at_ms == HOUR_MS));
    }

    #[test]
    fn hours_of_a_zone_of_three_quarters() {
        let out = hours(ms("2026-11-27T12:20:00Z"), &|_| 345);
        assert_eq!(out.last().map(|t| t.text.as_str()), Some("18:00"));
        assert_eq!(out.len(), 24);
    }
}
