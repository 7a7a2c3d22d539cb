//! The open wall in words and ages.
//!
//! Pure: the clock's readings are arguments. Never here: where values come from.

use super::heard::Kept;
use super::{Bed, Open};
use crate::clock::Clock;
use vitrine_clinical::card::shown::label;
use vitrine_clinical::format::{self, Measured};
use vitrine_clinical::monitor::{SIGNALS, signal};
use vitrine_clinical::{UtcMs, say};
use vitrine_wire::live::{LiveTrend, STANDS_MS};
use vitrine_wire::wall_view::{
    MonitorState, WallBedView, WallSignalView, WallTrendView, WallTrendsView, WallView,
};

/// A time without its day is one of the last so many ms (S22).
const TODAY_MS: i64 = 12 * 3_600_000;

fn age_of(k: &Kept, now: i64) -> u64 {
    u64::try_from(now.saturating_sub(k.at)).unwrap_or(0)
}

/// "14:02:31", with its day when that is not plain.
fn at_text(at: UtcMs, clock: &Clock) -> String {
    let text = format::date_time_seconds(at, clock.zone_minutes(at));
    if clock.now().since(at) > TODAY_MS {
        return text;
    }
    text.rsplit(' ').next().unwrap_or_default().to_owned()
}

fn signal_view(k: &Kept, clock: &Clock, now: i64) -> Option<(usize, WallSignalView)> {
    let (place, known) = signal(&k.signal.signal)?;
    let age_ms = age_of(k, now);
    let ago = i64::try_from(age_ms).unwrap_or(i64::MAX);
    let at = if known.spot {
        UtcMs(k.signal.measured_ms)
    } else {
        UtcMs(clock.now().0.saturating_sub(ago))
    };
    let unit = Measured::new("", k.signal.unit.as_deref()).unit();
    let view = WallSignalView {
        signal: known.id.to_owned(),
        label: label(known.label).to_owned(),
        value_text: k.signal.value.clone(),
        unit_text: unit.unwrap_or_default(),
        flag_text: k.signal.flag.clone(),
        absent_text: match &k.signal.value {
            Some(_) => None,
            None => Some(
                k.signal
                    .absent
                    .clone()
                    .unwrap_or_else(|| say!("no value", "kein Wert")),
            ),
        },
        age_ms,
        at_text: at_text(at, clock),
        spot: known.spot,
    };
    Some((place, view))
}

fn bed_view(bed: &Bed, heard: Option<Vec<Kept>>, clock: &Clock, now: i64) -> WallBedView {
    let heard = heard.filter(|_| !bed.row.restricted);
    let mut signals: Vec<(usize, WallSignalView)> = heard
        .iter()
        .flatten()
        .filter_map(|k| signal_view(k, clock, now))
        .collect();
    signals.sort_by_key(|(place, _)| *place);
    let signals: Vec<WallSignalView> = signals.into_iter().map(|(_, s)| s).collect();
    let youngest = signals.iter().filter(|s| !s.spot).min_by_key(|s| s.age_ms);
    let state = match (bed.row.restricted, youngest, signals.is_empty()) {
        (true, ..) => MonitorState::Restricted,
        (_, Some(y), _) if y.age_ms <= STANDS_MS => MonitorState::Live,
        (_, _, false) => MonitorState::NotLive,
        (_, _, true) => MonitorState::Never,
    };
    let last_text = (state == MonitorState::NotLive)
        .then(|| youngest.or(signals.first()))
        .flatten()
        .map(|s| say!("Last heard of at {at}", "Zuletzt empfangen {at}", at = s.at_text));
    WallBedView {
        patient: bed.row.patient.clone(),
        bed: bed.row.bed.clone(),
        name: bed.row.name.clone(),
        person_text: bed.person_text.clone(),
        similar_name: bed.row.similar_name,
        state,
        last_text,
        signals,
    }
}

/// Beds in the order in which people count them: "2" before "10".
fn bed_key(bed: &str) -> Vec<(bool, u64, String)> {
    let mut out = Vec::new();
    let mut rest = bed;
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digit)
            .unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        out.push((!digit, part.parse().unwrap_or(0), part.to_lowercase()));
        rest = tail;
    }
    out
}

pub(super) fn wall(open: &Open, clock: &Clock, now: i64) -> WallView {
    let board = &open.board;
    let mut beds: Vec<&Bed> = board.beds.iter().collect();
    beds.sort_by_cached_key(|b| (bed_key(&b.row.bed), b.row.patient.clone()));
    let n = beds.len();
    let mut summary_text = if n == 1 {
        say!("1 patient on this board", "1 Patient auf dieser Übersicht")
    } else {
        say!("{n} patients on this board", "{n} Patienten auf dieser Übersicht")
    };
    if board.unreadable > 0 {
        summary_text.push_str(&say!(
            " · {n} could not be read",
            " · {n} nicht lesbar",
            n = board.unreadable
        ));
    }
    let here = |p: &str| board.beds.iter().any(|b| b.row.patient == p);
    // Who left the ward may still be remembered: only what is live is sent.
    let sends = |p: &str| {
        let heard = open.heard.of(p);
        heard.iter().flatten().any(|k| age_of(k, now) <= STANDS_MS)
    };
    let strangers = open.heard.patients().filter(|p| !here(p) && sends(p)).count();
    WallView {
        ward: board.ward.to_string(),
        ward_name: board.name.clone(),
        beds: beds
            .into_iter()
            .map(|b| bed_view(b, open.heard.of(&b.row.patient), clock, now))
            .collect(),
        line: open.line,
        line_text: open.line_text.clone(),
        summary_text,
        stranger_text: strangers_text(strangers),
        stands_ms: STANDS_MS,
        age: board.age.clone(),
    }
}

fn strangers_text(n: usize) -> Option<String> {
    Some(match n {
        0 => return None,
        1 => say!(
            "1 monitor sends values of patients who are not on this board",
            "1 Monitor sendet Werte von Patienten, die nicht auf dieser Übersicht sind"
        ),
        n => say!(
            "{n} monitors send values of patients who are not on this board",
            "{n} Monitore senden Werte von Patienten, die nicht auf dieser Übersicht sind"
        ),
    })
}

pub(super) fn trends(open: &Open, now: i64) -> WallTrendsView {
    let Some(heard) = open.heard.trends() else {
        return WallTrendsView {
            step_s: 0,
            age_ms: 0,
            trends: Vec::new(),
        };
    };
    let shown = |p: &str| {
        let mut beds = open.board.beds.iter();
        beds.any(|b| b.row.patient == p && !b.row.restricted)
    };
    let step_s = u32::try_from(heard.step_ms / 1_000).unwrap_or(0);
    let patients = heard.patients.iter().filter(|p| shown(&p.patient));
    WallTrendsView {
        step_s,
        age_ms: u64::try_from(now.saturating_sub(heard.at)).unwrap_or(0),
        trends: patients
            .flat_map(|p| {
                let of = p.trends.iter();
                of.filter_map(|t| trend(&p.patient, t, step_s))
            })
            .collect(),
    }
}

fn trend(patient: &str, t: &LiveTrend, step_s: u32) -> Option<WallTrendView> {
    let known = SIGNALS.iter().find(|s| s.id == t.signal)?;
    let unit_text = Measured::new("", Some(&t.unit)).unit().unwrap_or_default();
    let low = t
        .steps
        .iter()
        .flatten()
        .map(|(l, _)| *l)
        .fold(f64::INFINITY, f64::min);
    let high = t
        .steps
        .iter()
        .flatten()
        .map(|(_, h)| *h)
        .fold(f64::NEG_INFINITY, f64::max);
    let missing = t.steps.iter().filter(|s| s.is_none()).count();
    let minutes = t.steps.len() as u64 * u64::from(step_s) / 60;
    let mut spoken = say!(
        "{label} {low} to {high} {unit_text}, last {minutes} minutes",
        "{label} {low} bis {high} {unit_text}, letzte {minutes} Minuten",
        label = label(known.label)
    );
    if missing > 0 {
        let gap = missing as u64 * u64::from(step_s);
        spoken.push_str(&say!(
            ", nothing for {gap} of them",
            ", davon {gap} ohne Wert",
            gap = format::data_age(i64::try_from(gap).unwrap_or(0).saturating_mul(1_000))
        ));
    }
    Some(WallTrendView {
        patient: patient.to_owned(),
        signal: known.id.to_owned(),
        label: label(known.label).to_owned(),
        unit_text,
        low: f64::from(known.scale.0),
        high: f64::from(known.scale.1),
        steps: t.steps.clone(),
        spoken,
    })
}

#[cfg(test)]
mod tests;
