//! How often and when: TQ1, and TQ in the fields of older messages, as FHIR Timing.

use super::value::time_of_day;
use crate::json::{Json, array, filled, object, set, text};
use crate::map::parts::Work;
use crate::message::{Rep, Seg};
use crate::time::Stamp;

/// When a medicine is given.
#[derive(Default)]
pub(super) struct When {
    /// FHIR Timing.
    pub timing: Option<Json>,
    pub as_needed: bool,
    /// As it was sent, for the sig.
    pub words: Vec<String>,
    /// Of them, conditions, durations and instructions, which no timing holds.
    pub conditions: Vec<String>,
}

/// A repeat pattern of table 0335 (HL7 v2.5.1 §4.3.2.1) that says how often by itself: times, period, unit, event.
fn pattern(code: &str) -> Option<(u32, u32, &'static str, Option<&'static str>)> {
    match code {
        "BID" => return Some((2, 1, "d", None)),
        "TID" => return Some((3, 1, "d", None)),
        "QID" => return Some((4, 1, "d", None)),
        "QD" => return Some((1, 1, "d", None)),
        "QOD" => return Some((1, 2, "d", None)),
        "QAM" => return Some((1, 1, "d", Some("MORN"))),
        "QHS" => return Some((1, 1, "d", Some("HS"))),
        _ => {}
    }
    if let Some(times) = code.strip_suffix("ID").filter(|t| t.len() == 1) {
        return Some((times.parse().ok().filter(|n| *n > 0)?, 1, "d", None));
    }
    let rest = code.strip_prefix('Q')?;
    let at = rest.len().checked_sub(1)?;
    let (number, unit) = rest.split_at_checked(at)?;
    let unit = match unit {
        "S" => "s",
        "M" => "min",
        "H" => "h",
        "D" => "d",
        "W" => "wk",
        "L" => "mo",
        _ => return None,
    };
    let digits = !number.is_empty() && number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit());
    let number: u32 = digits.then(|| number.parse().ok()).flatten()?;
    (number > 0).then_some((1, number, unit, None))
}

/// What was sent of one time.
struct Sent {
    /// Repeat patterns: code where that is all, and words.
    patterns: Vec<(String, String)>,
    /// Explicit times of day.
    times: Vec<String>,
    from: Option<Stamp>,
    to: Option<Stamp>,
    words: Vec<String>,
}

/// RPT: its code alone says how often; with a phase, a period or an event beside it, it stays as it was sent.
fn repeated(rep: &Rep<'_>) -> (String, String) {
    if (2..=11).all(|c| rep.component_whole(c).is_empty()) {
        (rep.text(1), rep.part(1).text(2))
    } else {
        (String::new(), rep.whole())
    }
}

/// Of TQ1 segments, else of a TQ (RXE-1, ORC-7).
pub(super) fn when(work: &mut Work<'_>, tq1: &[Seg<'_>], tq: &[Rep<'_>]) -> When {
    let mut sent = Vec::new();
    for seg in tq1 {
        sent.push(Sent {
            patterns: seg.reps(3).map(|r| repeated(&r)).collect(),
            times: seg.reps(4).map(|r| r.text(1)).collect(),
            from: work.time(seg, 7),
            to: work.time(seg, 8),
            words: [10, 11]
                .into_iter()
                .map(|f| super::parts::whole(&seg.rep(f)))
                .collect(),
        });
    }
    if sent.is_empty() {
        for rep in tq {
            sent.push(Sent {
                patterns: vec![(rep.text(2), String::new())],
                times: text(rep.part(2).text(2))
                    .map(|_| rep.part(2).text(2))
                    .into_iter()
                    .collect(),
                from: work.feed.time(&rep.text(4)),
                to: work.feed.time(&rep.text(5)),
                words: [3, 7, 8].into_iter().map(|c| rep.component_whole(c)).collect(),
            });
        }
    }
    let mut out = When::default();
    for one in &sent {
        let shown = one
            .patterns
            .iter()
            .map(|(code, words)| if words.is_empty() { code } else { words });
        let all = shown
            .chain(&one.times)
            .chain(&one.words)
            .filter(|t| !t.is_empty())
            .cloned();
        out.words.extend(all);
        out.conditions
            .extend(one.words.iter().filter(|t| !t.is_empty()).cloned());
    }
    let [one] = sent.as_slice() else {
        if let Some(seg) = tq1.first().filter(|_| sent.len() > 1) {
            work.note(
                seg.place(),
                "several times for one medicine: they are kept as words",
            );
        }
        return out;
    };
    let mut known = Vec::new();
    for (code, words) in &one.patterns {
        if code.is_empty() && !words.is_empty() {
            known.push(None);
        }
        for token in code.split_whitespace() {
            let upper = token.to_ascii_uppercase();
            if upper == "PRN" {
                out.as_needed = true;
            } else {
                known.push(pattern(&upper));
            }
        }
    }
    let bounds = filled(object([
        ("start", one.from.as_ref().map(Stamp::date_time)),
        ("end", one.to.as_ref().map(Stamp::date_time)),
    ]));
    let mut repeat = object([("boundsPeriod", bounds)]);
    let mut timing = object([]);
    let hours: Option<Vec<String>> = one.times.iter().map(|t| time_of_day(t)).collect();
    match (known.as_slice(), hours) {
        ([Some((times, period, unit, event))], Some(hours)) => {
            set(&mut repeat, "frequency", Json::Number(times.to_string()));
            set(&mut repeat, "period", Json::Number(period.to_string()));
            set(&mut repeat, "periodUnit", Json::String((*unit).to_owned()));
            if let Some(all) = array(event.and_then(text)) {
                set(&mut repeat, "when", all);
            }
            if let Some(all) = array(hours.into_iter().filter_map(text)) {
                set(&mut repeat, "timeOfDay", all);
            }
        }
        ([], Some(hours)) if hours.is_empty() => {}
        _ => {
            let shown = one
                .patterns
                .iter()
                .map(|(code, words)| if words.is_empty() { code } else { words });
            let words: Vec<&str> = shown.chain(&one.times).map(String::as_str).collect();
            if let Some(words) = text(words.join(" ").trim()) {
                set(&mut timing, "code", object([("text", Some(words))]));
            }
        }
    }
    if let Some(repeat) = filled(repeat) {
        set(&mut timing, "repeat", repeat);
    }
    out.timing = filled(timing);
    out
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn patterns_say_how_often_or_stay_words() {
        let cases = [
            ("BID", Some((2, 1, "d", None))),
            ("5ID", Some((5, 1, "d", None))),
            ("Q6H", Some((1, 6, "h", None))),
            ("Q30M", Some((1, 30, "min", None))),
            ("Q2W", Some((1, 2, "wk", None))),
            ("QOD", Some((1, 2, "d", None))),
            ("QAM", Some((1, 1, "d", Some("MORN")))),
            ("Q0H", None),
            ("QH", None),
            ("Q", None),
            ("Q6", None),
            ("0ID", None),
            ("ONCE", None),
            ("Q1J2", None),
            ("Qé", None),
            ("", None),
        ];
        for (code, meant) in cases {
            assert_eq!(pattern(code), meant, "{code}");
        }
    }
}
