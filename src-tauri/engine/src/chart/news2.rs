//! NEWS2 as shown: the score, what it asks for, what it lacks, its inputs, its course; and what it gives a value by itself.
//!
//! Never here: points, and which readings count (`vitrine_clinical::news2`). Called by `record`, `card_view` and `rows`.

use super::blocks::Words;
use crate::clock::Clock;
use std::borrow::Cow;
use vitrine_clinical::card::{EmergencyCard, Identity, MeasuredItem};
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::news2::{
    Basis, Level, News2, NotFor, OLD_MS, Of, Part, Reading, SET_MS, State, news2, not_for, not_for_reading,
};
use vitrine_clinical::{UtcMs, format, say, word};
use vitrine_wire::series_view::{MeasuredPointView, MeasuredSeriesView};
use vitrine_wire::view::{BlockView, MeasuredView, News2Level, News2PartView, News2PointView, News2View};

/// Scores in a course.
const COURSE: usize = 8;
/// Said where a card or a board's row came from a server that did not know the score yet.
fn not_known() -> &'static str {
    word!(
        "NEWS2 is not known here: treat as unknown",
        "NEWS2 ist hier nicht bekannt: als unbekannt behandeln"
    )
}

impl Words<'_> {
    /// The score as a block of one entry. `record`: all readings, where the full record is here; what the essentials know beyond it
    /// counts too, so that a record of this morning does not hide what was measured since.
    pub(crate) fn news2(
        &self,
        card: &EmergencyCard,
        record: Option<&Basis>,
        looked_at: &str,
    ) -> BlockView<News2View> {
        let Some(known) = &card.news2 else {
            return BlockView {
                empty_text: not_known().to_owned(),
                ..self.unavailable()
            };
        };
        let basis = record.map_or_else(|| known.clone(), |all| all.clone().with(known));
        let view = match refused(card.identity.as_ref(), &basis, self.clock) {
            Some(why) => without(why.text()),
            None => {
                let score = news2(&basis.readings, self.clock.now());
                News2View {
                    parts: score.parts.iter().map(|p| self.part(p)).collect(),
                    trend: record.map_or_else(Vec::new, |_| self.course(&basis.readings, &score)),
                    ..shown(&score, self.clock)
                }
            }
        };
        self.block(vec![view], None, looked_at)
    }

    fn part(&self, p: &Part<'_>) -> News2PartView {
        News2PartView {
            label: p.input.name().to_owned(),
            value_text: p
                .reading
                .map_or_else(|| format::not_recorded().to_owned(), |r| r.value.clone()),
            points_text: match p.state {
                State::Points(n) => n.to_string(),
                _ => String::new(),
            },
            state_text: p.state.why().map(str::to_owned),
            at_text: p.reading.and_then(|r| r.at).map(|at| self.date_time(at)),
        }
    }

    /// The scores of earlier sets, and the one of now. A set is known by its count of breaths, which every set has.
    fn course(&self, readings: &[Reading], now: &News2<'_>) -> Vec<News2PointView> {
        let last = now.newest();
        let mut sets: Vec<UtcMs> = Vec::new();
        let breaths = readings.iter().filter(|r| r.of == Of::Respiration);
        // The newest first. Of several counts in one set the last, and none of the set that the score of now is of.
        for at in breaths.filter_map(|r| r.at) {
            let next = sets.last().copied().or(last);
            if sets.len() + 1 < COURSE && next.is_some_and(|next| next.since(at) >= SET_MS) {
                sets.push(at);
            }
        }
        let Some(first) = sets.last() else {
            return Vec::new();
        };
        let since = first.plus_ms(-OLD_MS);
        let near: Vec<Reading> = readings
            .iter()
            .filter(|r| r.at.is_some_and(|at| at >= since))
            .cloned()
            .collect();
        let mut out: Vec<News2PointView> = sets
            .iter()
            .rev()
            .map(|at| {
                // A set is entered over some minutes.
                let until = at.plus_ms(SET_MS);
                let then: Vec<Reading> = near
                    .iter()
                    .filter(|r| r.at.is_some_and(|x| x < until))
                    .cloned()
                    .collect();
                self.point(&news2(&then, *at), *at)
            })
            .collect();
        out.extend(last.map(|at| self.point(now, at)));
        out
    }

    fn point(&self, score: &News2<'_>, at: UtcMs) -> News2PointView {
        News2PointView {
            least: score.least(),
            whole: score.whole(),
            score_text: score.score_text(),
            spoken_text: spoken(score),
            at_text: self.date_time(at),
        }
    }
}

/// What NEWS2 gives each shown vital sign by itself (S10): monitors send no flag of their own.
pub(crate) struct Marks<'a> {
    /// `None` where nothing is known: nobody is marked then.
    basis: Option<Cow<'a, Basis>>,
    born: Option<PartialDate>,
    deceased: bool,
    now: UtcMs,
    zone: i32,
}

impl<'a> Marks<'a> {
    /// By the essentials, which say who it is, and by the full record where it is here.
    pub(crate) fn new(card: Option<&'a EmergencyCard>, record: Option<&Basis>, clock: &Clock) -> Self {
        let identity = card.and_then(|c| c.identity.as_ref());
        let now = clock.now();
        let known = card.and_then(|c| c.news2.as_ref());
        Self {
            basis: known.map(|known| match record {
                Some(all) => Cow::Owned(all.clone().with(known)),
                None => Cow::Borrowed(known),
            }),
            born: identity
                .and_then(|i| i.birth_date.as_deref())
                .map(PartialDate::new),
            deceased: identity.is_some_and(|i| i.deceased.is_some()),
            now,
            zone: clock.zone_minutes(now),
        }
    }

    /// 1 to 3; `None` for a value of none, one that is not scored, and whoever the score is not for.
    fn points(&self, m: &MeasuredItem) -> Option<u8> {
        let basis = self.basis.as_ref()?;
        let n = basis.points_of(m).filter(|n| *n > 0)?;
        let born = self.born.as_ref();
        let refused = not_for_reading(born, self.deceased, basis.pregnancy, m.at, self.now, self.zone);
        refused.is_none().then_some(n)
    }

    fn text(n: u8) -> String {
        say!("NEWS2 {n}", "NEWS2 {n}")
    }

    /// Marks a newest value.
    pub(super) fn on(&self, view: MeasuredView, m: &MeasuredItem) -> MeasuredView {
        let points = self.points(m);
        MeasuredView {
            points_text: points.map(Self::text),
            points,
            ..view
        }
    }

    /// Marks a value of a series.
    pub(super) fn on_point(&self, point: &mut MeasuredPointView, m: &MeasuredItem) {
        point.points = self.points(m);
        point.points_text = point.points.map(Self::text);
    }

    /// Marks the series of one value.
    pub(super) fn on_single(&self, mut series: MeasuredSeriesView, m: &MeasuredItem) -> MeasuredSeriesView {
        for point in &mut series.points {
            self.on_point(point, m);
        }
        series
    }
}

/// Of a board's row.
pub(crate) fn of_board(basis: &Basis, identity: Option<&Identity>, clock: &Clock) -> News2View {
    match refused(identity, basis, clock) {
        Some(why) => without(why.short()),
        None => shown(&news2(&basis.readings, clock.now()), clock),
    }
}

fn refused(identity: Option<&Identity>, basis: &Basis, clock: &Clock) -> Option<NotFor> {
    let now = clock.now();
    let born = identity
        .and_then(|i| i.birth_date.as_deref())
        .map(PartialDate::new);
    let deceased = identity.is_some_and(|i| i.deceased.is_some());
    not_for(
        born.as_ref(),
        deceased,
        basis.pregnancy,
        now,
        clock.zone_minutes(now),
    )
}

fn without(why: &str) -> News2View {
    News2View {
        score_text: "—".to_owned(),
        spoken_text: no_score().to_owned(),
        level: News2Level::None,
        level_text: no_score().to_owned(),
        scale_text: None,
        lacking_text: None,
        not_for_text: Some(why.to_owned()),
        since_text: None,
        good_for_s: None,
        parts: Vec::new(),
        trend: Vec::new(),
    }
}

fn no_score() -> &'static str {
    word!("no score", "kein Score")
}

fn spoken(score: &News2<'_>) -> String {
    if score.whole() {
        score.least().to_string()
    } else if score.empty() {
        no_score().to_owned()
    } else {
        say!("at least {n}", "mindestens {n}", n = score.least())
    }
}

fn shown(score: &News2<'_>, clock: &Clock) -> News2View {
    // The responses of the RCP's chart 4.
    let (level, words) = match score.level() {
        _ if score.empty() => (News2Level::None, no_score()),
        Level::Unknown => (
            News2Level::None,
            word!(
                "incomplete: risk not known",
                "unvollständig: Risiko nicht bekannt"
            ),
        ),
        Level::Low => (News2Level::Low, word!("low", "niedrig")),
        Level::LowMedium => (
            News2Level::LowMedium,
            word!(
                "one measurement at 3: urgent ward review",
                "ein Einzelwert mit 3: dringende Beurteilung auf Station"
            ),
        ),
        Level::Medium => (News2Level::Medium, word!("urgent response", "dringende Reaktion")),
        Level::High => (News2Level::High, word!("emergency response", "Notfallreaktion")),
    };
    let counts = !score.empty();
    let good_for = score
        .oldest()
        .map(|at| at.plus_ms(OLD_MS).since(clock.now()).max(0) / 1_000 + 1);
    News2View {
        score_text: score.score_text(),
        spoken_text: spoken(score),
        level,
        level_text: if score.whole() || level == News2Level::None {
            words.to_owned()
        } else {
            say!("at least: {words}", "mindestens: {words}")
        },
        scale_text: counts.then(|| word!("SpO2 scale 1", "SpO2-Skala 1").to_owned()),
        lacking_text: score.lacking_text(),
        not_for_text: None,
        since_text: score.oldest().map(|at| {
            say!(
                "oldest input {at}",
                "ältester Eingangswert {at}",
                at = format::date_time_in(at, &|at| clock.zone_minutes(at))
            )
        }),
        good_for_s: good_for.and_then(|s| u32::try_from(s).ok()),
        parts: Vec::new(),
        trend: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
