//! NEWS2, the National Early Warning Score (Royal College of Physicians, 2017, "National Early Warning Score (NEWS) 2:
//! Standardising the assessment of acute-illness severity in the NHS", chart 1 and chart 4).
//!
//! Lives here: the score of readings at a time, what it asks for, for whom it is not. Never here: words for a screen, who may
//! see it. [`readings`] says which measurements of a record count, `points` what each is worth. Called by the workstation
//! engine. Pure.
//!
//! Nothing is guessed. An input that is missing, old, not final, of an uncertain time, implausible or contradicted has no points: the
//! sum is then a least one and says so ([`News2::least`]). Air is only what a record states. Where two readings disagree, what is worse
//! counts. SpO2 is scored on scale 1: scale 2 is for people for whom it is prescribed, which no reading says. The score is for
//! people of 16 and older who are alive and not pregnant.

mod points;
pub mod readings;

pub use readings::{Basis, Of, Pregnancy, Reading, What, basis};

use crate::card::shown;
use crate::chart::PartialDate;
use crate::{UtcMs, format, say, word};
use serde::Deserialize;

/// An input older than 12 hours is old (the longest interval between two sets that the score's chart 4 has).
pub const OLD_MS: i64 = 12 * 3_600_000;
/// A time that lies farther ahead than this is a mistake, not a clock that is a little off.
pub const AHEAD_MS: i64 = 10 * 60_000;
/// How long a set of observations takes.
pub const SET_MS: i64 = 10 * 60_000;
/// The least age, years.
pub const ADULT: i64 = 16;
/// A pregnancy stated as a finding counts for so long (40 weeks, and some).
const PREGNANT_MS: i64 = 300 * 86_400_000;

/// A measurement of the score, in the order of its chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub fn name(self) -> &'static str {
        match self {
            Self::Respiration => shown::label("RR"),
            Self::Saturation => shown::label("SpO2"),
            // "Oxygen" alone, said to be missing, would read like a patient without it.
            Self::Oxygen => word!("air or oxygen", "Luft oder Sauerstoff"),
            Self::Pressure => shown::label("BP"),
            Self::Pulse => shown::label("HR"),
            Self::Consciousness => word!("consciousness", "Bewusstsein"),
            Self::Temperature => word!("temp", "Temp"),
        }
    }

    /// What says it.
    const fn said_by(self) -> &'static [Of] {
        match self {
            Self::Respiration => &[Of::Respiration],
            Self::Saturation => &[Of::Saturation],
            Self::Oxygen => &[Of::Flow, Of::Share],
            Self::Pressure => &[Of::Pressure],
            Self::Pulse => &[Of::Pulse],
            Self::Consciousness => &[Of::Acvpu],
            Self::Temperature => &[Of::Temperature],
        }
    }
}

/// How an input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It counts, with so many points.
    Points(u8),
    /// Nobody recorded it.
    Missing,
    /// It is older than [`OLD_MS`].
    Old,
    /// Its time lies in the future.
    Ahead,
    /// When it was measured is not recorded, or not to the minute and with a zone.
    Untimed,
    /// What is recorded is no value that the score has points for: another unit, words, a comparator, no plausible one.
    Unreadable,
    /// Nobody has confirmed it yet.
    NotFinal,
    /// "Alert" beside a Glasgow coma score below 15.
    Contradicted,
}

impl State {
    /// Why it does not count; `None` where it does.
    #[must_use]
    pub fn why(self) -> Option<&'static str> {
        match self {
            Self::Points(_) => None,
            Self::Missing => Some(word!("not recorded", "nicht dokumentiert")),
            Self::Old => Some(word!("old", "zu alt")),
            Self::Ahead => Some(word!("dated in the future", "in der Zukunft datiert")),
            Self::Untimed => Some(word!("without a certain time", "ohne sicheren Zeitpunkt")),
            Self::Unreadable => Some(word!("not readable", "nicht lesbar")),
            Self::NotFinal => Some(word!("not final", "nicht endgültig")),
            Self::Contradicted => Some(word!("contradicted by GCS", "im Widerspruch zur GCS")),
        }
    }

    /// The same of every input.
    fn why_all(self) -> Option<String> {
        match (self, self.why()?) {
            (Self::Missing, _) => Some(say!("nothing recorded", "nichts dokumentiert")),
            (_, why) => Some(say!("all {why}", "alle {why}")),
        }
    }

    const fn counts(self) -> bool {
        matches!(self, Self::Points(_))
    }
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which.
    pub input: Input,
    /// What is recorded of it.
    pub reading: Option<&'a Reading>,
    /// How it stands.
    pub state: State,
}

/// What a score asks for (chart 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An input does not count, and those that do ask for nothing yet.
    Unknown,
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
        self.points().fold(0, u8::saturating_add)
    }

    /// Whether every input counts.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.parts.iter().all(|p| p.state.counts())
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

    /// What it asks for, or asks for at least.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.least() {
            7.. => Level::High,
            5 | 6 => Level::Medium,
            _ if self.points().any(|n| n == 3) => Level::LowMedium,
            _ if self.whole() => Level::Low,
            _ => Level::Unknown,
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

    /// "not recorded: air or oxygen, temp; old: SpO2"; "all old" where the same is true of every input; `None` where every input counts.
    #[must_use]
    pub fn lacking_text(&self) -> Option<String> {
        let first = self.parts.first()?.state;
        if !first.counts() && self.parts.iter().all(|p| p.state == first) {
            return first.why_all();
        }
        let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
        for (why, name) in self
            .parts
            .iter()
            .filter_map(|p| Some((p.state.why()?, p.input.name())))
        {
            match all.iter_mut().find(|(of, _)| *of == why) {
                Some((_, names)) => names.push(name),
                None => all.push((why, vec![name])),
            }
        }
        let said = |(why, names): &(&str, Vec<&str>)| format!("{why}: {}", names.join(", "));
        (!all.is_empty()).then(|| all.iter().map(said).collect::<Vec<_>>().join("; "))
    }

    fn times(&self) -> impl Iterator<Item = UtcMs> + '_ {
        let counts = self.parts.iter().filter(|p| p.state.counts());
        counts.filter_map(|p| p.reading?.at)
    }

    /// When the oldest input that counts was measured: [`OLD_MS`] after that the score is another.
    #[must_use]
    pub fn oldest(&self) -> Option<UtcMs> {
        self.times().min()
    }

    /// When the newest was.
    #[must_use]
    pub fn newest(&self) -> Option<UtcMs> {
        self.times().max()
    }
}

/// How much a reading weighs against another of the same time: what may be worse comes first, and what cannot be read may be.
const fn weight(what: What) -> u8 {
    match what {
        What::Points(0) => 0,
        What::Points(n) => n.saturating_add(1),
        What::Unreadable | What::NotFinal => 1,
    }
}

/// The score by readings in any order, at a time.
#[must_use]
pub fn news2(readings: &[Reading], now: UtcMs) -> News2<'_> {
    let ahead = now.plus_ms(AHEAD_MS);
    let part = |input: Input| {
        let said = || readings.iter().filter(|r| input.said_by().contains(&r.of));
        let timed = || said().filter_map(|r| Some((r, r.at.filter(|at| *at <= ahead)?)));
        let Some(newest) = timed().map(|(_, at)| at).max() else {
            let untimed = said().find(|r| r.at.is_none());
            let reading = untimed.or_else(|| said().next());
            let state = match (untimed, reading) {
                (Some(_), _) => State::Untimed,
                (None, Some(_)) => State::Ahead,
                (None, None) => State::Missing,
            };
            return Part {
                input,
                reading,
                state,
            };
        };
        // Oxygen is said in two ways; within a set they are about the same.
        let since = if input == Input::Oxygen {
            newest.plus_ms(-SET_MS)
        } else {
            newest
        };
        let reading = timed()
            .filter(|(_, at)| *at >= since)
            .max_by_key(|(r, at)| (weight(r.what), *at, r.what))
            .map(|(r, _)| r);
        let state = match reading.map(|r| r.what) {
            None => State::Missing,
            Some(_) if now.since(newest) > OLD_MS => State::Old,
            Some(What::Points(0)) if input == Input::Consciousness && below_15(readings, newest, ahead) => {
                State::Contradicted
            }
            Some(What::Points(n @ 0..=3)) => State::Points(n),
            Some(What::Points(_) | What::Unreadable) => State::Unreadable,
            Some(What::NotFinal) => State::NotFinal,
        };
        Part {
            input,
            reading,
            state,
        }
    };
    News2 {
        parts: Input::ALL.into_iter().map(part).collect(),
    }
}

/// Whether the newest Glasgow coma score is of the set in which somebody was found alert, or after it, and is not 15.
fn below_15(readings: &[Reading], alert: UtcMs, ahead: UtcMs) -> bool {
    let since = alert.plus_ms(-SET_MS);
    let coma = readings.iter().filter(|r| r.of == Of::Coma);
    let timed = coma.filter_map(|r| Some((r.at.filter(|at| (since..=ahead).contains(at))?, r)));
    let newest = timed.max_by_key(|(at, r)| (*at, weight(r.what)));
    newest.is_some_and(|(_, r)| r.what != What::Points(0))
}

/// For whom the score is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFor {
    /// The record says that the patient has died.
    Deceased,
    /// Younger than [`ADULT`].
    Child,
    /// The birth date is not recorded, or too vague to say.
    AgeUnknown,
    /// The record states a pregnancy.
    Pregnancy,
}

impl NotFor {
    /// Why there is no score, in full: "under 16" alone would read like a score.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Child => word!(
                "not for patients under 16 years",
                "nicht für Patienten unter 16 Jahren"
            ),
            Self::AgeUnknown => word!(
                "age not known, and not for patients under 16 years",
                "Alter nicht bekannt, und nicht für Patienten unter 16 Jahren"
            ),
            Self::Pregnancy => word!(
                "NEWS2 is not for use in pregnancy",
                "NEWS2 gilt nicht in der Schwangerschaft"
            ),
            Self::Deceased => self.short(),
        }
    }

    /// The same for a board's column.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Deceased => word!("died", "verstorben"),
            Self::Child => word!("age <16", "Alter <16"),
            Self::AgeUnknown => word!("age not known", "Alter nicht bekannt"),
            Self::Pregnancy => word!("pregnancy", "Schwangerschaft"),
        }
    }
}

/// Whether the score is for a patient. `born`: the birth date as recorded; `offset_minutes`: the zone now.
#[must_use]
pub fn not_for(
    born: Option<&PartialDate>,
    deceased: bool,
    pregnancy: Option<Pregnancy>,
    now: UtcMs,
    offset_minutes: i32,
) -> Option<NotFor> {
    if deceased {
        return Some(NotFor::Deceased);
    }
    let over = |p: &Pregnancy| p.at.is_some_and(|at| now.since(at) > PREGNANT_MS);
    if pregnancy.is_some_and(|p| !over(&p)) {
        return Some(NotFor::Pregnancy);
    }
    match born.and_then(|b| format::years(b, now, offset_minutes)) {
        Some((least, _)) if least >= ADULT => None,
        Some((_, most)) if most < ADULT => Some(NotFor::Child),
        _ => Some(NotFor::AgeUnknown),
    }
}

/// Whether the points of one reading are for a patient: as [`not_for`], and also by what was so when it was measured, so that the values
/// of somebody's childhood are not marked, nor those around a pregnancy that is over. `offset_minutes`: the zone now.
#[must_use]
pub fn not_for_reading(
    born: Option<&PartialDate>,
    deceased: bool,
    pregnancy: Option<Pregnancy>,
    at: Option<UtcMs>,
    now: UtcMs,
    offset_minutes: i32,
) -> Option<NotFor> {
    not_for(born, deceased, pregnancy, now, offset_minutes).or_else(|| {
        let at = at?.min(now);
        let around = |p: &Pregnancy| p.at.is_some_and(|said| said.since(at) <= PREGNANT_MS);
        not_for(born, false, pregnancy.filter(around), at, offset_minutes)
    })
}

/// A basis that this version cannot read is none: whoever has it is shown without a score, never left out.
///
/// # Errors
/// Of the format around it.
pub fn lenient<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Basis>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Known(Basis),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Either>::deserialize(from)? {
        Some(Either::Known(basis)) => Some(basis),
        Some(Either::Other(_)) | None => None,
    })
}

#[cfg(test)]
mod tests;
