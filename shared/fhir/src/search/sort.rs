//! The order of what is found.

use super::shape::{codes, elements, reference, span, strings, times};
use super::value::Decimal;
use super::{Candidate, ParamKind, Parameter, Search};
use std::cmp::Reverse;
use vitrine_clinical::matching::fold;

/// A key of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortBy {
    /// By what.
    pub parameter: &'static Parameter,
    /// The greatest first.
    pub descending: bool,
}

/// Where a resource stands in an order; those that say nothing come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Up(Said),
    Down(Reverse<Said>),
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Time(i64),
    Number(Decimal),
    Text(String),
}

impl Search {
    /// Where a resource stands in the order asked for. Of several values the first in that order counts.
    #[must_use]
    pub fn sort_key(&self, candidate: &Candidate<'_>) -> SortKey {
        let keys = self.sort.iter().map(|by| {
            let said = said(by, candidate);
            let first = if by.descending {
                said.into_iter().max()
            } else {
                said.into_iter().min()
            };
            match first {
                None => Key::Nothing,
                Some(said) if by.descending => Key::Down(Reverse(said)),
                Some(said) => Key::Up(said),
            }
        });
        SortKey(keys.collect())
    }
}

fn said(by: &SortBy, candidate: &Candidate<'_>) -> Vec<Said> {
    match by.parameter.name {
        "_id" => return vec![Said::Text(candidate.key.id.to_string())],
        "_lastUpdated" => return vec![Said::Time(candidate.updated.0)],
        _ => {}
    }
    let all = by
        .parameter
        .paths
        .iter()
        .flat_map(|p| elements(candidate.body, p));
    all.flat_map(|e| match by.parameter.kind {
        ParamKind::Date => {
            let of = times(e).into_iter();
            of.map(|t| Said::Time(if by.descending { t.until } else { t.from }))
                .collect()
        }
        ParamKind::Number | ParamKind::Quantity => {
            let at = span(e).and_then(|s| {
                if by.descending {
                    s.high.or(s.low)
                } else {
                    s.low.or(s.high)
                }
            });
            at.map(Said::Number).into_iter().collect()
        }
        ParamKind::Token => codes(e)
            .iter()
            .filter_map(|c| c.code)
            .map(|c| Said::Text(c.to_owned()))
            .collect(),
        ParamKind::Reference => reference(e)
            .map(|r| Said::Text(r.to_owned()))
            .into_iter()
            .collect(),
        ParamKind::String | ParamKind::Uri => strings(e).iter().map(|s| Said::Text(fold(s))).collect(),
        ParamKind::Composite => Vec::<Said>::new(),
    })
    .collect()
}

impl SortKey {
    /// As a text, for the token of a page.
    #[must_use]
    pub fn to_text(&self) -> String {
        let keys = self.0.iter().map(|key| {
            let (way, said) = match key {
                Key::Nothing => return ["", "", ""].map(str::to_owned),
                Key::Up(said) => ("u", said),
                Key::Down(Reverse(said)) => ("d", said),
            };
            let (kind, text) = match said {
                Said::Time(ms) => ("t", ms.to_string()),
                Said::Number(n) => ("n", n.to_text()),
                Said::Text(text) => ("s", text.clone()),
            };
            [way.to_owned(), kind.to_owned(), text]
        });
        serde_json::to_string(&keys.collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Reads one; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let keys: Vec<[String; 3]> = serde_json::from_str(text).ok()?;
        let keys = keys.into_iter().map(|[way, kind, text]| {
            let said = match kind.as_str() {
                "" if way.is_empty() => return Some(Key::Nothing),
                "t" => Said::Time(text.parse().ok()?),
                "n" => Said::Number(Decimal::parse(&text)?),
                "s" => Said::Text(text),
                _ => return None,
            };
            match way.as_str() {
                "u" => Some(Key::Up(said)),
                "d" => Some(Key::Down(Reverse(said))),
                _ => None,
            }
        });
        Some(Self(keys.collect::<Option<_>>()?))
    }
}
