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
        since_text: score.oldest().map(|at| {
            format!(
                "inputs from {}",
                format::date_time_in(at, &|at| clock.zone_minutes(at))
            )
        }),
        parts: Vec::new(),
        trend: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::card::{CardFact, emergency_card};
    use vitrine_clinical::format::civil::instant_utc;
    use vitrine_clinical::summary::chart_summary;
    use vitrine_clinical::{PatientId, ResourceKey};

    const HOUR: i64 = 3_600_000;

    fn fact(id: &str, body: &str) -> CardFact {
        let key = ResourceKey::parse(id).unwrap();
        let resource = vitrine_fhir::read(key.kind.as_str(), body.as_bytes(), &mut |_| None).unwrap();
        CardFact {
            key,
            version: 1,
            resource,
        }
    }

    fn measured(n: usize, code: &str, value: &str, at: UtcMs) -> CardFact {
        fact(
            &format!("Observation/o{n}"),
            &format!(
                r#"{{"resourceType":"Observation","id":"o{n}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},
                "subject":{{"reference":"Patient/p"}},"effectiveDateTime":"{}",{value}}}"#,
                instant_utc(at)
            ),
        )
    }

    fn quantity(value: &str, unit: &str) -> String {
        format!(r#""valueQuantity":{{"value":{value},"unit":"{unit}"}}"#)
    }

    /// A set of observations: breathing, saturation on 4 L/min, pressure, pulse, alert, temperature.
    fn set(from: usize, breaths: &str, at: UtcMs) -> Vec<CardFact> {
        let flow = r#""valueQuantity":{"value":95,"unit":"%"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"3151-8"}]},
            "valueQuantity":{"value":4,"unit":"L/min"}}]"#;
        let pressure = r#""component":[
            {"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"unit":"mmHg"}},
            {"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":80,"unit":"mmHg"}}]"#;
        vec![
            measured(from, "9279-1", &quantity(breaths, "breaths/minute"), at),
            measured(from + 1, "59408-5", flow, at),
            measured(from + 2, "85354-9", pressure, at),
            measured(from + 3, "8867-4", &quantity("72", "/min"), at),
            measured(
                from + 4,
                "67775-7",
                r#""valueCodeableConcept":{"text":"Alert"}"#,
                at,
            ),
            measured(from + 5, "8310-5", &quantity("37.2", "Cel"), at),
        ]
    }

    fn born(date: &str) -> CardFact {
        fact(
            "Patient/p",
            &format!(r#"{{"resourceType":"Patient","id":"p","birthDate":"{date}"}}"#),
        )
    }

    fn view(facts: &[CardFact]) -> News2View {
        let (patient, clock) = (PatientId::new("p").unwrap(), Clock::new());
        let words = Words {
            patient: &patient,
            clock: &clock,
        };
        let card = emergency_card(&patient, facts);
        let summary = chart_summary(facts);
        let newest = summary.vitals.iter().filter_map(|v| v.values.first());
        words.news2(newest, &card, &summary.vitals)
    }

    #[test]
    fn a_whole_set_is_scored_with_its_inputs_and_its_course() {
        let now = Clock::new().now();
        let mut facts = vec![born("1958-02-04")];
        facts.extend(set(0, "16", now.plus_ms(-3 * HOUR)));
        facts.extend(set(10, "22", now.plus_ms(-HOUR)));
        let view = view(&facts);
        // Breathing 2, saturation 1, oxygen 2.
        assert_eq!(
            (view.score_text.as_str(), view.level, view.lacking_text.as_deref()),
            ("5", News2Level::Medium, None)
        );
        let points: Vec<(&str, &str)> = view
            .parts
            .iter()
            .map(|p| (p.label.as_str(), p.points_text.as_str()))
            .collect();
        let expected = [
            ("RR", "2"),
            ("SpO2", "1"),
            ("oxygen", "2"),
            ("BP", "0"),
            ("HR", "0"),
            ("consciousness", "0"),
            ("temp", "0"),
        ];
        assert_eq!(points, expected);
        let course: Vec<&str> = view.trend.iter().map(|p| p.score_text.as_str()).collect();
        assert_eq!(course, ["3", "5"]);
    }

    #[test]
    fn what_is_missing_or_old_is_named_and_not_counted() {
        let now = Clock::new().now();
        let mut facts = vec![born("1958-02-04")];
        facts.extend(set(0, "22", now.plus_ms(-HOUR)));
        facts.retain(|f| f.key.to_string() != "Observation/o5" && f.key.to_string() != "Observation/o3");
        facts.push(measured(
            9,
            "8310-5",
            &quantity("37.2", "Cel"),
            now.plus_ms(-13 * HOUR),
        ));
        let view = view(&facts);
        assert_eq!(view.score_text, "≥5");
        assert_eq!(view.lacking_text.as_deref(), Some("HR missing, temp old"));
        assert!(view.level_text.starts_with("at least"), "{}", view.level_text);
        let temperature = view.parts.iter().find(|p| p.label == "temp").unwrap();
        assert_eq!(
            (
                temperature.points_text.as_str(),
                temperature.state_text.as_deref()
            ),
            ("", Some("old"))
        );
    }

    #[test]
    fn nobody_is_scored_for_whom_it_is_not() {
        let now = Clock::new().now();
        let values = set(0, "30", now);
        let pregnant = fact(
            "Condition/c",
            r#"{"resourceType":"Condition","id":"c","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},
            "code":{"text":"Pregnancy, 30 weeks"},"subject":{"reference":"Patient/p"}}"#,
        );
        let child = instant_utc(now.plus_ms(-5 * 366 * 24 * HOUR));
        for (who, why) in [
            (vec![born(&child[..10])], "16 and older"),
            (vec![], "age is not known"),
            (vec![born("1990-01-01"), pregnant], "pregnancy"),
        ] {
            let facts: Vec<CardFact> = who.into_iter().chain(values.clone()).collect();
            let view = view(&facts);
            assert_eq!((view.score_text.as_str(), view.level), ("—", News2Level::None));
            let text = view.not_for_text.unwrap();
            assert!(text.contains(why), "{text}");
        }
    }
}
