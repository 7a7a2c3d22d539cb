//! `Observation/$lastn` (hl7.org/fhir/R4/observation-operation-lastn.html): the latest observations of each code.
//!
//! Two observations are of the same code where their `code` shares a coding (system and code), also by way of a third; those without any
//! coding where their text is the same but for case and diacritics. What is entered in error is no latest value of anything: it is left out
//! unless `status` is asked for.

use super::parse::no;
use super::shape::{codes, words_of_code};
use super::{Filter, Search, SortBy, parameter};
use crate::issue::{Issue, IssueCode};
use fhirkit::Json;
use std::collections::HashMap;
use vitrine_clinical::matching::fold;

/// Most of one code.
const MOST: usize = 100;
const KIND: &str = "Observation";

/// What makes an observation one of a code; two that share a word are of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes(Vec<String>);

impl Search {
    /// Reads the question of `$lastn`: a search of Observation with `max` (1 when it is left out, at most 100), which names one patient and
    /// a category or a code. The order is the operation's own: the latest first, what has no time last.
    ///
    /// # Errors
    /// Every issue, as [`Search::parse`].
    pub fn last(pairs: &[(String, String)], strict: bool) -> Result<Self, Vec<Issue>> {
        let (own, rest): (Vec<_>, Vec<_>) = pairs.iter().cloned().partition(|(name, _)| name == "max");
        let mut search = Self::parse(KIND, &rest, strict)?;
        let mut issues: Vec<Issue> = Vec::new();
        let most = match own.as_slice() {
            [] => Ok(1),
            [(_, n)] => n.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or(()),
            _ => Err(()),
        };
        match most {
            Ok(most) => search.last = Some(most),
            Err(()) => {
                issues.extend(no::<()>(IssueCode::Value, format!("max is a number from 1 to {MOST}")).err())
            }
        }
        if !search.sort.is_empty() {
            let text = "$lastn has an order of its own: leave _sort out";
            issues.extend(no::<()>(IssueCode::NotSupported, text).err());
        }
        let named = search.patients().map(|p| p.len());
        if named != Some(1) && (named.is_some() || search.patient_chain().is_none()) {
            let text = "$lastn is of one patient: patient=<id> or subject=Patient/<id>";
            issues.extend(no::<()>(IssueCode::Required, text).err());
        }
        let asks = |names: &[&str]| search.filters.iter().any(|f| names.contains(&f.parameter.name));
        if !asks(&["category", "code"]) {
            let text = "$lastn takes a category or a code: category=laboratory, code=<system>|<code>";
            issues.extend(no::<()>(IssueCode::Required, text).err());
        }
        let any_status = asks(&["status"]);
        if !issues.is_empty() {
            return Err(issues);
        }
        let by = |name: &str| parameter(KIND, name);
        if let Some(status) = by("status").filter(|_| !any_status) {
            search.filters.push(Filter::not_in_error(status));
        }
        search.sort = by("date")
            .map(|parameter| SortBy {
                parameter,
                descending: true,
            })
            .into_iter()
            .collect();
        search.said.extend(own);
        Ok(search)
    }
}

/// The codes of an observation.
#[must_use]
pub fn codes_of(body: &Json) -> Codes {
    let Some(code) = body.get("code") else {
        return Codes(Vec::new());
    };
    let coded: Vec<String> = codes(code)
        .iter()
        .filter_map(|c| Some(format!("{}|{}", c.system.unwrap_or_default(), c.code?)))
        .collect();
    if coded.is_empty() {
        return Codes(
            words_of_code(code)
                .into_iter()
                .take(1)
                .map(|t| format!("\"{}", fold(t)))
                .collect(),
        );
    }
    Codes(coded)
}

/// Which of these, in their order, are among the first `most` of their code. One without any code is of no other's.
#[must_use]
pub fn latest(all: &[Codes], most: usize) -> Vec<bool> {
    let mut group: Vec<usize> = (0..all.len()).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (n, codes) in all.iter().enumerate() {
        for word in &codes.0 {
            match first.get(word.as_str()) {
                None => {
                    first.insert(word, n);
                }
                Some(other) => {
                    let (a, b) = (root(&mut group, n), root(&mut group, *other));
                    if let Some(of) = group.get_mut(a.max(b)) {
                        *of = a.min(b);
                    }
                }
            }
        }
    }
    let mut seen: HashMap<usize, usize> = HashMap::new();
    (0..all.len())
        .map(|n| {
            let count = seen.entry(root(&mut group, n)).or_default();
            *count += 1;
            *count <= most
        })
        .collect()
}

/// The first of the group that one is in.
fn root(group: &mut [usize], n: usize) -> usize {
    let mut at = n;
    while let Some(of) = group.get(at).copied().filter(|of| *of != at) {
        at = of;
    }
    // What was walked is shortened.
    let mut from = n;
    while let Some(of) = group.get_mut(from).filter(|of| **of != at) {
        from = std::mem::replace(of, at);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        text.split('&')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn what_is_asked_is_of_one_patient_and_of_a_code_or_category() {
        for (text, most) in [
            ("patient=1&code=a|b", 1),
            ("subject=Patient/1&category=laboratory&max=3", 3),
            ("patient.identifier=a|b&category=laboratory&max=100", 100),
            ("patient=1&patient=Patient/1&code=a", 1),
        ] {
            assert_eq!(
                Search::last(&pairs(text), true).unwrap().last,
                Some(most),
                "{text}"
            );
        }
        for (text, code, issues) in [
            ("code=a|b", IssueCode::Required, 1),
            ("patient=1", IssueCode::Required, 1),
            ("max=2", IssueCode::Required, 2),
            ("patient=1,2&code=a", IssueCode::Required, 1),
            ("patient=1&patient=2&code=a", IssueCode::Required, 1),
            ("patient=1&code=a&max=0", IssueCode::Value, 1),
            ("patient=1&code=a&max=101", IssueCode::Value, 1),
            ("patient=1&code=a&max=x", IssueCode::Value, 1),
            ("patient=1&code=a&max=1&max=2", IssueCode::Value, 1),
            ("patient=1&code=a&_sort=date", IssueCode::NotSupported, 1),
            ("patient=1&code=a&colour=red", IssueCode::NotSupported, 1),
        ] {
            let found = Search::last(&pairs(text), true).unwrap_err();
            assert_eq!((found[0].code, found.len()), (code, issues), "{text}: {found:?}");
        }
        let lenient = Search::last(&pairs("patient=1&code=a&colour=red"), false).unwrap();
        assert_eq!(lenient.ignored, ["colour"]);
    }

    fn codes(text: &str) -> Codes {
        let coding = |c: &str| match c.split_once('|') {
            Some((system, code)) => format!(r#"{{"system":"{system}","code":"{code}"}}"#),
            None => format!(r#"{{"code":"{c}"}}"#),
        };
        let body = match text.strip_prefix('"') {
            Some(text) => format!(r#"{{"code":{{"text":"{text}"}}}}"#),
            None if text.is_empty() => "{}".to_owned(),
            None => {
                let all: Vec<String> = text.split(' ').map(coding).collect();
                format!(r#"{{"code":{{"coding":[{}],"text":"any"}}}}"#, all.join(","))
            }
        };
        codes_of(&Json::parse(&body).unwrap())
    }

    #[test]
    fn the_latest_of_each_code_are_the_first() {
        for (all, most, want) in [
            (vec!["l|k", "l|na", "l|k", "l|k"], 1, "1100"),
            (vec!["l|k", "l|na", "l|k", "l|k"], 2, "1110"),
            // The same code of another system is another.
            (vec!["l|k", "own|k", "k"], 1, "111"),
            // By way of a third, wherever that stands.
            (vec!["l|k", "own|7", "l|k own|7"], 1, "100"),
            (vec!["l|k own|7", "l|k", "own|7"], 1, "100"),
            (vec!["a|1", "b|2", "c|3", "b|2 c|3", "a|1 c|3"], 1, "10000"),
            // Texts, where there is no coding; "any" beside codings does not count.
            (vec!["\"Kalium", "\"kalium", "\"Natrium", "l|k"], 1, "1011"),
            // Without any code each stands for itself.
            (vec!["", ""], 1, "11"),
        ] {
            let given: Vec<Codes> = all.iter().map(|t| codes(t)).collect();
            let kept: String = latest(&given, most)
                .iter()
                .map(|k| if *k { '1' } else { '0' })
                .collect();
            assert_eq!(kept, want, "{all:?}");
        }
    }
}
