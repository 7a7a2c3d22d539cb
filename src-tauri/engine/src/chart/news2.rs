//! NEWS2 as shown: the score, what it asks for, what it lacks, its inputs, its course.
//!
//! Never here: points (`vitrine_clinical::news2`). Called by `record`, `card_view` and `rows`.

use super::blocks::Words;
use crate::clock::Clock;
use vitrine_clinical::UtcMs;
use vitrine_clinical::card::{EmergencyCard, Identity, MeasuredItem};
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::format::{self, Measured};
use vitrine_clinical::news2::{Level, News2, NotFor, Part, State, news2, not_for, of_kept, pregnant};
use vitrine_clinical::summary::MeasuredSeries;
use vitrine_wire::http::BoardNews2;
use vitrine_wire::view::{News2Level, News2PartView, News2PointView, News2View};

/// Scores in a course.
const COURSE: usize = 8;

impl Words<'_> {
    /// By the newest of each vital sign. `card`: who it is, and the problems. `course`: all values of the vital signs, where the
    /// full record is here.
    pub(crate) fn news2<'v>(
        &self,
        vitals: impl IntoIterator<Item = &'v MeasuredItem>,
        card: &EmergencyCard,
        course: &[MeasuredSeries],
    ) -> News2View {
        let now = self.clock.now();
        let pregnant = pregnant(&card.conditions.items);
        if let Some(why) = refused(card.identity.as_ref(), pregnant, self.clock) {
            return without(why);
        }
        let score = news2(vitals, now);
        News2View {
            parts: score.parts.iter().map(|p| self.part(p)).collect(),
            trend: self.course(course),
            ..shown(&score, self.clock)
        }
    }

    fn part(&self, p: &Part<'_>) -> News2PartView {
        let value = |m: &MeasuredItem| {
            let text = Measured::new(m.value.as_str(), m.unit.as_deref()).to_string();
            text.trim().to_owned()
        };
        News2PartView {
            label: p.input.name().to_owned(),
            value_text: p.item.map_or_else(|| format::NOT_RECORDED.to_owned(), value),
            points_text: match p.state {
                State::Points(n) => n.to_string(),
                _ => String::new(),
            },
            state_text: match p.state {
                State::Points(_) => None,
                State::Missing => Some("missing".to_owned()),
                State::Old => Some("old".to_owned()),
                State::Unreadable => Some("not readable".to_owned()),
            },
            at_text: p.at.map(|at| self.date_time(at)),
        }
    }

    /// The scores at the times when breathing was counted, which every set of observations begins with.
    fn course(&self, series: &[MeasuredSeries]) -> Vec<News2PointView> {
        let Some(breaths) = series.iter().find(|s| s.key == "RR") else {
            return Vec::new();
        };
        let mut times: Vec<UtcMs> = breaths.values.iter().filter_map(|m| m.at).collect();
        times.dedup();
        times.truncate(COURSE);
        times.reverse();
        let point = |at: UtcMs| {
            // A set is entered over some minutes: what was measured soon after counts with it.
            let until = at.plus_ms(SET_MS);
            let then = series
                .iter()
                .filter_map(|s| s.values.iter().find(|m| m.at.is_some_and(|x| x <= until)));
            let score = news2(then, at);
            News2PointView {
                least: score.least(),
                score_text: score.score_text(),
                at_text: self.date_time(at),
            }
        };
        times.into_iter().map(point).collect()
    }
}

/// How long a set of observations takes.
const SET_MS: i64 = 10 * 60_000;

/// Of a board's row.
pub(crate) fn of_board(kept: &BoardNews2, identity: Option<&Identity>, clock: &Clock) -> News2View {
    match refused(identity, kept.pregnant, clock) {
        Some(why) => without(why),
        None => shown(&of_kept(&kept.inputs, clock.now()), clock),
    }
}

fn refused(identity: Option<&Identity>, pregnant: bool, clock: &Clock) -> Option<NotFor> {
    let now = clock.now();
    let born = identity
        .and_then(|i| i.birth_date.as_deref())
        .map(PartialDate::new);
    not_for(born.as_ref(), pregnant, now, clock.zone_minutes(now))
}

fn without(why: NotFor) -> News2View {
    News2View {
        score_text: "—".to_owned(),
        level: News2Level::None,
        level_text: "no score".to_owned(),
        lacking_text: None,
        not_for_text: Some(why.text().to_owned()),
        since_text: None,
        parts: Vec::new(),
        trend: Vec::new(),
    }
}

fn shown(score: &News2<'_>, clock: &Clock) -> News2View {
    // The responses of the RCP's chart 4.
    let (level, words) = if score.empty() {
        (News2Level::None, "no score")
    } else {
        match score.level() {
            Level::Low => (News2Level::Low, "low"),
            Level::LowMedium => (News2Level::LowMedium, "one measurement at 3: urgent ward review"),
            Level::Medium => (News2Level::Medium, "urgent response"),
            Level::High => (News2Level::High, "emergency response"),
        }
    };
    News2View {
        score_text: score.score_text(),
        level,
        level_text: if score.whole() || score.empty() {
            words.to_owned()
        } else {
            format!("at least: {words}")
        },
        lacking_text: score.lacking_text(),
        not_for_text: None,
        since_text: score
            .oldest()
            .map(|at| format!("inputs from {}", format::date_time(at, clock.zone_minutes(at)))),
        parts: Vec::new(),
        trend: Vec::new(),
    }
}
