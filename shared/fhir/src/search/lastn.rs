//! `Observation/$lastn` (hl7.org/fhir/R4/observation-operation-lastn.html): the most recent observations of each code.
//!
//! Lives here: reading the question ([`LastN`]), which observations have the same code and which are the last of them ([`Last`]). Never
//! here: a store, HTTP, who may ask. Called by the server's searches.
//!
//! **The same code** (R4): codes that share a coding (system and code), also by way of a third that shares one with each; what has no
//! coding, by its text, letter by letter. A coding without a system is another than any with one, and text is not compared with
//! codings: what is taken apart is shown twice, what is wrongly put together hides a value.
//!
//! **The last**: by the effective time; of a Period its end, where it has one, of a Timing its last moment. What has no effective time
//! comes last, by when its version was made. Left out is only what is certainly older than `max` others: of times that are equal, or
//! of a day and an hour of that day, it is not known which is the later (R4 too: ties are given, and may be more than `max`).
//!
//! **entered-in-error**: R4 gives it unless `status` asks otherwise. Here it is left out unless `status` is asked for, and how many
//! were left out is told: a value that was never true must not be taken for the last one.

use super::shape::{codes, elements};
use super::value::Time;
use super::{Candidate, How, Search};
use crate::issue::{Issue, IssueCode};
use crate::json::Node as _;
use fhirkit::Json;
use std::cmp::Reverse;
use std::collections::HashMap;
use vitrine_clinical::PatientId;

/// Most observations of a code.
const MOST: usize = 100;
/// Parameters of searches that say nothing here: the answer has an order and an extent of its own.
const NOT_TAKEN: [&str; 3] = ["_sort", "_count", "_page"];

/// The question of a `$lastn`.
#[derive(Debug, Clone, PartialEq)]
pub struct LastN {
    /// Which observations.
    pub search: Search,
    /// How many of each code.
    pub max: usize,
}

impl LastN {
    /// Reads the pairs of a query; `strict` as [`Search::parse`] takes it.
    ///
    /// # Errors
    /// Every issue, each naming its parameter.
    pub fn parse(pairs: &[(String, String)], strict: bool) -> Result<Self, Vec<Issue>> {
        let (own, rest): (Vec<_>, Vec<_>) = pairs.iter().cloned().partition(|(name, _)| name == "max");
        let not_taken = |name: &str| NOT_TAKEN.contains(&name.split(':').next().unwrap_or(name));
        let (odd, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| not_taken(name));
        let mut issues: Vec<Issue> = Vec::new();
        if strict {
            issues.extend(odd.iter().map(|(name, _)| {
                let text = format!("{name}: $lastn has an order of its own and is given whole; max says how many of each code");
                Issue::new(IssueCode::NotSupported, "", text)
            }));
        }
        let max = match own.as_slice() {
            [] => Some(1),
            [(_, one)] => one.parse().ok().filter(|n| (1..=MOST).contains(n)),
            _ => None,
        };
        if max.is_none() {
            let text = format!("max is a number from 1 to {MOST}, given once");
            issues.push(Issue::new(IssueCode::Value, "", text));
        }
        match Search::parse("Observation", &rest, strict) {
            Err(more) => issues.extend(more),
            Ok(mut search) => {
                issues.extend(lacking(&search));
                if let (true, Some(max)) = (issues.is_empty(), max) {
                    search.said.extend(own);
                    search.ignored.extend(odd.into_iter().map(|(name, _)| name));
                    return Ok(Self { search, max });
                }
            }
        }
        Err(issues)
    }
}

/// What a `$lastn` must name and this one does not: exactly one patient, and a code or category.
fn lacking(search: &Search) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut named: Vec<PatientId> = search.patients().unwrap_or_default();
    named.dedup();
    if named.len() != 1 {
        let text = "$lastn is asked of one record: add patient=<id> or subject=Patient/<id>, exactly one";
        issues.push(Issue::new(IssueCode::Required, "", text));
    }
    // R4: category, or a parameter that looks at a code. What is not wanted says nothing of what is.
    let says_what = search.filters.iter().any(|f| {
        let name = f.parameter.name;
        (name == "category" || name.split('-').any(|word| word == "code"))
            && !matches!(f.how, How::Not | How::Missing(_))
    });
    if !says_what {
        let text = "$lastn needs to know of what: add category=<code> or code=<system>|<code>";
        issues.push(Issue::new(IssueCode::Required, "", text));
    }
    issues
}

/// What of an observation decides whether it is one of the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    codes: Vec<Code>,
    span: Span,
    withdrawn: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Code {
    Coding(Option<String>, String),
    Text(String),
}

/// Between when it is: whatever has an effective time comes after what has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    until: Moment,
    from: Moment,
    /// Decides the order alone.
    updated: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    effective: bool,
    ms: i64,
}

impl Observed {
    /// Reads an observation.
    #[must_use]
    pub fn of(candidate: &Candidate<'_>) -> Self {
        let body = candidate.body;
        let concept = body.get("code");
        let of = concept.into_iter().flat_map(codes);
        let mut all: Vec<Code> = of
            .filter_map(|c| Some(Code::Coding(c.system.map(str::to_owned), c.code?.to_owned())))
            .collect();
        if all.is_empty() {
            all.extend(
                concept
                    .and_then(|c| c.text("text"))
                    .map(|t| Code::Text(t.to_owned())),
            );
        }
        Self {
            codes: all,
            span: span(body, candidate.updated.0),
            withdrawn: body.text("status") == Some("entered-in-error"),
        }
    }
}

fn span(body: &Json, updated: i64) -> Span {
    let all = [
        "effectiveDateTime",
        "effectiveInstant",
        "effectivePeriod",
        "effectiveTiming",
    ];
    let times = all
        .iter()
        .flat_map(|name| elements(body, name))
        .flat_map(last_moments);
    let last = times.max_by_key(|t| (t.until, t.from));
    let moment = |ms| Moment {
        effective: last.is_some(),
        ms,
    };
    match last {
        Some(t) => Span {
            until: moment(t.until),
            from: moment(t.from),
            updated,
        },
        None => Span {
            until: moment(updated.saturating_add(1)),
            from: moment(updated),
            updated,
        },
    }
}

/// When an effective time was over. A Period without an end is taken by its start: that it goes on says nothing of how new the value is.
fn last_moments(e: &Json) -> Vec<Time> {
    match e {
        Json::String(text) => Time::parse(text).into_iter().collect(),
        Json::Object(_) => {
            let end = e.text("end").or_else(|| e.text("start")).and_then(Time::parse);
            let events = e.items("event").iter().flat_map(last_moments);
            let bounds = e
                .at(&["repeat", "boundsPeriod"])
                .into_iter()
                .flat_map(last_moments);
            end.into_iter().chain(events).chain(bounds).collect()
        }
        _ => Vec::new(),
    }
}

/// Gathers the last of each code, while observations come in any order.
#[derive(Debug)]
pub struct Last<T> {
    max: usize,
    takes_withdrawn: bool,
    withdrawn: u64,
    groups: Vec<Group<T>>,
    /// The group of a code.
    of: HashMap<Code, usize>,
}

#[derive(Debug)]
struct Group<T> {
    members: Vec<(Span, T)>,
    /// Members at which it is looked through again, so that it stays small.
    full: usize,
}

impl<T> Last<T> {
    /// Of nothing yet.
    #[must_use]
    pub fn new(search: &Search, max: usize) -> Self {
        Self {
            max: max.max(1),
            takes_withdrawn: search.filters.iter().any(|f| f.parameter.name == "status"),
            withdrawn: 0,
            groups: Vec::new(),
            of: HashMap::new(),
        }
    }

    /// Takes one.
    pub fn add(&mut self, observed: Observed, what: T) {
        if observed.withdrawn && !self.takes_withdrawn {
            self.withdrawn += 1;
            return;
        }
        let mut known: Vec<usize> = observed
            .codes
            .iter()
            .filter_map(|c| self.of.get(c).copied())
            .collect();
        known.sort_unstable();
        known.dedup();
        let into = known.first().copied().unwrap_or_else(|| {
            // What says no code at all is like nothing else.
            self.groups.push(Group {
                members: Vec::new(),
                full: 0,
            });
            self.groups.len() - 1
        });
        for other in known.into_iter().skip(1) {
            let moved = self.groups.get_mut(other).map(|g| std::mem::take(&mut g.members));
            if let Some(group) = self.groups.get_mut(into) {
                group.members.extend(moved.unwrap_or_default());
            }
            for group in self.of.values_mut().filter(|g| **g == other) {
                *group = into;
            }
        }
        for code in observed.codes {
            self.of.insert(code, into);
        }
        if let Some(group) = self.groups.get_mut(into) {
            group.members.push((observed.span, what));
            if group.members.len() > group.full {
                group.prune(self.max);
                group.full = (group.members.len() + self.max) * 2;
            }
        }
    }

    /// How many were left out because they were entered in error.
    #[must_use]
    pub const fn withdrawn(&self) -> u64 {
        self.withdrawn
    }

    /// The last of each code, most recent first; the codes in the order of their most recent.
    #[must_use]
    pub fn into_list(mut self) -> Vec<T> {
        for group in &mut self.groups {
            group.prune(self.max);
        }
        self.groups
            .sort_by_key(|g| Reverse(g.members.first().map(|(span, _)| *span)));
        let members = self.groups.into_iter().flat_map(|g| g.members);
        members.map(|(_, what)| what).collect()
    }
}

impl<T> Group<T> {
    /// Drops what `max` others are certainly later than, and puts the rest in order.
    fn prune(&mut self, max: usize) {
        let mut begins: Vec<Moment> = self.members.iter().map(|(span, _)| span.from).collect();
        begins.sort_unstable_by_key(|at| Reverse(*at));
        if let Some(nth) = max.checked_sub(1).and_then(|n| begins.get(n)) {
            self.members.retain(|(span, _)| span.until > *nth);
        }
        self.members.sort_by_key(|(span, _)| Reverse(*span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use serde_json::{Value, json};
    use vitrine_clinical::{ResourceKey, UtcMs};

    fn pairs(query: &str) -> Vec<(String, String)> {
        let of = query.split('&').filter(|p| !p.is_empty());
        of.map(|p| p.split_once('=').unwrap())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn observed(body: &Value, updated: i64) -> Observed {
        let key = ResourceKey::new("Observation", "o").unwrap();
        let body = parse(body.to_string().as_bytes()).unwrap();
        Observed::of(&Candidate {
            key: &key,
            updated: UtcMs(updated),
            body: &body,
        })
    }

    /// Names of the last, of observations that are `(name, code, what else it says)`; both ways round the same.
    fn last(max: usize, query: &str, all: &[(&'static str, Value, Value)]) -> Vec<&'static str> {
        let asked = LastN::parse(&pairs(query), true).unwrap();
        let list = |reversed: bool| {
            let mut last = Last::new(&asked.search, max);
            let mut all: Vec<_> = all.iter().enumerate().collect();
            if reversed {
                all.reverse();
            }
            for (n, (name, code, more)) in all {
                let mut body = json!({"resourceType": "Observation", "status": "final", "code": code});
                for (k, v) in more.as_object().unwrap() {
                    body[k] = v.clone();
                }
                last.add(observed(&body, i64::try_from(n).unwrap()), *name);
            }
            last.into_list()
        };
        let found = list(false);
        assert_eq!(found, list(true), "the order they come in decides nothing");
        found
    }

    fn coded(codes: &[&str]) -> Value {
        let coding = |c: &&str| match c.split_once('|') {
            Some((system, code)) => json!({"system": system, "code": code}),
            None => json!({"code": c}),
        };
        json!({"coding": codes.iter().map(coding).collect::<Vec<_>>()})
    }
    fn at(time: &str) -> Value {
        json!({"effectiveDateTime": time})
    }
    const ASKED: &str = "patient=p&category=laboratory";

    #[test]
    fn codes_are_the_same_that_share_a_coding_or_have_the_same_text() {
        // The examples of R4.
        let r4 = |a: &[&str], b: &[&str], c: &[&str]| {
            let day = |n| at(&format!("2026-03-0{n}"));
            last(
                1,
                ASKED,
                &[
                    ("a", coded(a), day(1)),
                    ("b", coded(b), day(2)),
                    ("c", coded(c), day(3)),
                ],
            )
        };
        assert_eq!(r4(&["s|a"], &["s|b"], &["s|c"]), ["c", "b", "a"]);
        assert_eq!(r4(&["s|a"], &["s|b"], &["s|a", "s|c"]), ["c", "b"]);
        assert_eq!(r4(&["s|a"], &["s|b"], &["s|a", "s|b"]), ["c"]);
        assert_eq!(
            r4(&["s|a"], &["s|b", "s|a"], &["s|b"]),
            ["c"],
            "by way of a third"
        );
        assert_eq!(
            r4(&["s|a"], &["t|a"], &["a"]),
            ["c", "b", "a"],
            "the system counts"
        );
        let text = |t: &str| json!({"text": t});
        let all = [
            ("a", text("Text"), at("2026-03-01")),
            ("b", text("text"), at("2026-03-02")),
            ("c", text("Text"), at("2026-03-03")),
            (
                "d",
                json!({"text": "Text", "coding": [{"system": "s", "code": "x"}]}),
                at("2026-03-04"),
            ),
            (
                "e",
                json!({"text": "other", "coding": [{"display": "no code"}]}),
                at("2026-03-05"),
            ),
            ("f", json!({"text": "other"}), at("2026-03-06")),
            ("g", json!({}), at("2026-02-01")),
            ("h", json!({}), at("2026-02-02")),
        ];
        assert_eq!(last(1, ASKED, &all), ["f", "d", "c", "b", "h", "g"]);
    }

    #[test]
    fn codes_that_are_joined_late_keep_the_last_of_both() {
        let all = [
            ("a1", coded(&["s|a"]), at("2026-03-01")),
            ("a2", coded(&["s|a"]), at("2026-03-05")),
            ("b1", coded(&["s|b"]), at("2026-03-04")),
            ("b2", coded(&["s|b"]), at("2026-03-02")),
            ("ab", coded(&["s|a", "s|b"]), at("2026-03-03")),
            ("b3", coded(&["s|b"]), at("2026-03-06")),
        ];
        assert_eq!(last(3, ASKED, &all), ["b3", "a2", "b1"]);
        assert_eq!(last(100, ASKED, &all), ["b3", "a2", "b1", "ab", "b2", "a1"]);
    }

    #[test]
    fn the_last_is_by_effective_time_and_nothing_that_may_be_it_is_lost() {
        let of = |all: &[(&'static str, Value)], max| {
            let all: Vec<_> = all
                .iter()
                .map(|(n, v)| (*n, coded(&["s|a"]), v.clone()))
                .collect();
            last(max, ASKED, &all)
        };
        let all = [
            ("undated late", json!({})),
            ("zone", at("2026-03-01T09:00:00+02:00")),
            ("utc", at("2026-03-01T08:00:00Z")),
            ("instant", json!({"effectiveInstant": "2026-03-01T08:30:00Z"})),
            (
                "period",
                json!({"effectivePeriod": {"start": "2020-01-01", "end": "2026-03-01T07:30:00Z"}}),
            ),
            (
                "open",
                json!({"effectivePeriod": {"start": "2026-03-01T06:00:00Z"}}),
            ),
            (
                "timing",
                json!({"effectiveTiming": {"event": ["2026-03-01T05:00:00Z", "2026-03-01T05:30:00Z"]}}),
            ),
            ("unreadable", at("yesterday")),
            ("undated later", json!({})),
        ];
        let order = [
            "instant",
            "utc",
            "period",
            "zone",
            "open",
            "timing",
            "undated later",
            "unreadable",
            "undated late",
        ];
        for max in 1..=order.len() {
            assert_eq!(of(&all, max), order[..max], "{max}");
        }
        // Ties are given, and may be more than was asked for.
        let same = at("2026-03-01T08:00:00Z");
        let ties = [
            ("a", same.clone()),
            ("b", at("2026-03-01T07:00:00Z")),
            ("c", same.clone()),
        ];
        assert_eq!(of(&ties, 1), ["c", "a"]);
        assert_eq!(of(&ties, 2), ["c", "a"]);
        // At an hour of a day of which another says no more than the day.
        let day = [
            ("day", at("2026-03-01")),
            ("early", at("2026-03-01T06:00:00Z")),
            ("late", at("2026-03-01T08:00:00Z")),
            ("before", at("2026-02-28T23:00:00Z")),
        ];
        assert_eq!(of(&day, 1), ["day", "late"]);
        assert_eq!(of(&day, 3), ["day", "late", "early"]);
    }

    #[test]
    fn of_many_that_come_in_any_order_the_last_are_kept() {
        let asked = LastN::parse(&pairs(ASKED), true).unwrap();
        for max in [1, 3, 100] {
            let mut last = Last::new(&asked.search, max);
            // 7919 is prime to 5000: each minute once, far from in order.
            for n in 0..5000_i64 {
                let minute = n * 7919 % 5000;
                let time = format!(
                    "2026-03-{:02}T{:02}:{:02}:00Z",
                    1 + minute / 1440,
                    minute / 60 % 24,
                    minute % 60
                );
                let body = json!({"resourceType": "Observation", "status": "final", "code": coded(&["s|a"]), "effectiveDateTime": time});
                last.add(observed(&body, 0), minute);
                assert!(
                    last.groups[0].members.len() <= (max + max) * 2 + 1,
                    "it stays small"
                );
            }
            let newest: Vec<i64> = (0..5000).rev().take(max).collect();
            assert_eq!(last.into_list(), newest);
        }
    }

    #[test]
    fn what_was_entered_in_error_is_given_to_who_asks_for_a_status() {
        let withdrawn = json!({"status": "entered-in-error", "effectiveDateTime": "2026-03-02"});
        let all = [
            ("true", coded(&["s|a"]), at("2026-03-01")),
            ("never", coded(&["s|a"]), withdrawn),
        ];
        assert_eq!(last(1, ASKED, &all), ["true"]);
        // The filter is the search's; here it is asked about alone.
        assert_eq!(
            last(1, "patient=p&code=a&status=entered-in-error", &all),
            ["never"]
        );
    }

    #[test]
    fn a_question_names_one_patient_what_of_and_how_many() {
        for good in [
            "patient=p&code=a",
            "subject=Patient/p&category=vital-signs&max=100",
            "patient=p&subject=Patient/p&code-value-quantity=a$gt5",
            "patient=p,p&combo-code=a&max=1&_summary=text&_include=Observation:encounter",
        ] {
            let asked = LastN::parse(&pairs(good), true).unwrap();
            assert_eq!(asked.max, if good.contains("100") { 100 } else { 1 });
            assert_eq!(asked.search.said().len(), pairs(good).len(), "{good}");
        }
        for (bad, n) in [
            ("", 2),
            ("code=a", 1),
            ("patient=p", 1),
            ("patient=p,q&code=a", 1),
            ("patient=p&subject=q&code=a", 1),
            ("patient.name=x&code=a", 1),
            ("subject=Group/g&code=a", 1),
            ("subject=http://elsewhere/Patient/p&code=a", 1),
            ("patient:missing=false&code=a", 1),
            ("patient=p&code:not=a", 1),
            ("patient=p&category:missing=true", 1),
            ("patient=p&data-absent-reason=a", 1),
            ("patient=p&code=a&max=0", 1),
            ("patient=p&code=a&max=101", 1),
            ("patient=p&code=a&max=-1", 1),
            ("patient=p&code=a&max=abc", 1),
            ("patient=p&code=a&max=", 1),
            ("patient=p&code=a&max=1&max=2", 1),
            ("patient=p&code=a&max:exact=2", 1),
            ("patient=p&code=a&_sort=date&_count=5&_page=x", 3),
            ("patient=p&code=a&colour=red", 1),
        ] {
            let issues = LastN::parse(&pairs(bad), true).unwrap_err();
            assert_eq!(issues.len(), n, "{bad}: {issues:?}");
        }
        let lenient = LastN::parse(&pairs("patient=p&code=a&_sort=date&colour=red"), false).unwrap();
        assert_eq!(lenient.search.ignored, ["colour", "_sort"]);
        assert!(LastN::parse(&pairs("patient=p&code=a&max=0"), false).is_err());
    }
}
