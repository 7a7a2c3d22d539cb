//! What a list of one study is narrowed to (PS3.18 §8.3.4, table 10.6.1-5): keys of series and instances, `offset`, `limit`.
//!
//! Lives here: reading the query, whether what is shown matches. Never here: searching studies. Pure; called by `qido`.
//! Compared is what the answer shows, so a key is one of the attributes that it has. A key that is not known is refused.

use super::super::fhir::Query;
use super::super::refusal::Refused;
use super::{bad, qido, uid};
use crate::imaging::study::{number, text};
use serde_json::Value;

/// UIDs of a list at most.
pub(super) const UIDS: usize = 100;

/// How a key matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A UID, or one of a list.
    Uid,
    /// A code string, letter by letter.
    Code,
    /// A whole number.
    Number,
}

/// Name, tag, how it matches, and whether it is of a series (otherwise of an instance).
const KEYS: [(&str, &str, By, bool); 6] = [
    ("SeriesInstanceUID", "0020000E", By::Uid, true),
    ("Modality", "00080060", By::Code, true),
    ("SeriesNumber", "00200011", By::Number, true),
    ("SOPInstanceUID", "00080018", By::Uid, false),
    ("SOPClassUID", "00080016", By::Uid, false),
    ("InstanceNumber", "00200013", By::Number, false),
];

/// A key and what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    tag: &'static str,
    by: By,
    of_series: bool,
    values: Vec<String>,
}

impl Key {
    fn matches(&self, shown: &Value) -> bool {
        match self.by {
            By::Number => {
                number(shown, self.tag).is_some_and(|n| self.values.iter().any(|v| v.parse() == Ok(n)))
            }
            By::Uid | By::Code => text(shown, self.tag).is_some_and(|t| self.values.iter().any(|v| v == t)),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Within {
    keys: Vec<Key>,
    /// Matches left out at the beginning.
    pub offset: usize,
    /// Matches given at most.
    pub limit: usize,
}

/// The UIDs of a value: one, or a list with commas or backslashes between (PS3.18 §8.3.4.1).
///
/// # Errors
/// 400 for what is no UID, and for more than [`UIDS`].
pub(super) fn uids(value: &str) -> Result<Vec<String>, Refused> {
    let all: Vec<String> = value
        .split([',', '\\'])
        .map(|one| uid(one.trim()).map(str::to_owned))
        .collect::<Result<_, _>>()?;
    if all.len() > UIDS {
        return Err(bad(format!("at most {UIDS} UIDs in a list")));
    }
    Ok(all)
}

impl Within {
    /// Reads a query. `instances`: keys of instances are allowed too.
    ///
    /// # Errors
    /// 400 for what is not supported, and for a value that is none.
    pub fn read(query: &Query, instances: bool) -> Result<Self, Refused> {
        let mut out = Self {
            keys: Vec::new(),
            offset: 0,
            limit: qido::MOST,
        };
        for (name, value) in &query.0 {
            let value = value.trim();
            match name.as_str() {
                "limit" => out.limit = qido::whole(name, value)?.min(qido::MOST),
                "offset" => out.offset = qido::whole(name, value)?,
                // Everything the index has is given, and there are no names here to be matched one way or the other.
                "includefield" => {}
                "fuzzymatching" if matches!(value, "true" | "false") => {}
                _ => {
                    let known = KEYS
                        .iter()
                        .find(|k| (k.0 == name || k.1 == name) && (k.3 || instances))
                        .ok_or_else(|| Self::unsupported(instances))?;
                    // Universal matching (PS3.4 §C.2.2.2.3).
                    if !value.is_empty() {
                        out.keys.push(Self::key(*known, value)?);
                    }
                }
            }
        }
        Ok(out)
    }

    fn unsupported(instances: bool) -> Refused {
        let names: Vec<&str> = KEYS.iter().filter(|k| k.3 || instances).map(|k| k.0).collect();
        bad(format!(
            "within a study {}, limit and offset are supported",
            names.join(", ")
        ))
    }

    fn key((name, tag, by, of_series): (&str, &'static str, By, bool), value: &str) -> Result<Key, Refused> {
        let values = match by {
            By::Uid => uids(value)?,
            By::Number if value.parse::<i64>().is_err() => {
                return Err(bad(format!("{name} must be a whole number")));
            }
            By::Code if value.contains(['*', '?', '\\']) => {
                return Err(bad(format!(
                    "{name}: wildcards and lists of values are not supported"
                )));
            }
            By::Number | By::Code => vec![value.to_owned()],
        };
        Ok(Key {
            tag,
            by,
            of_series,
            values,
        })
    }

    /// Whether a series is what is asked for.
    pub fn series(&self, shown: &Value) -> bool {
        self.keys.iter().filter(|k| k.of_series).all(|k| k.matches(shown))
    }

    /// Whether an instance is, of a series that is.
    pub fn instance(&self, shown: &Value) -> bool {
        self.keys
            .iter()
            .filter(|k| !k.of_series)
            .all(|k| k.matches(shown))
    }

    /// Whether instances are looked at one by one.
    pub fn narrows_instances(&self) -> bool {
        self.keys.iter().any(|k| !k.of_series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(query: &str, instances: bool) -> Result<Within, String> {
        Within::read(&Query::parse(query), instances).map_err(|r| r.refusal.text)
    }

    #[test]
    fn keys_match_what_is_shown() {
        let series = json!({
            "0020000E": {"vr": "UI", "Value": ["1.2.3"]}, "00080060": {"vr": "CS", "Value": ["CT"]},
            "00200011": {"vr": "IS", "Value": [4]}
        });
        for (query, fits) in [
            ("", true),
            ("Modality=CT", true),
            ("Modality=MR", false),
            ("00080060=CT&SeriesNumber=4", true),
            ("SeriesNumber=04", true),
            ("SeriesNumber=5", false),
            ("SeriesInstanceUID=1.2.9,1.2.3", true),
            ("SeriesInstanceUID=1.2.9%5C1.2.3", true),
            ("SeriesInstanceUID=1.2", false),
            ("Modality=&limit=3&includefield=all", true),
            ("fuzzymatching=true&Modality=CT", true),
        ] {
            assert_eq!(read(query, false).unwrap().series(&series), fits, "{query}");
        }
        let instance = json!({
            "00080018": {"vr": "UI", "Value": ["1.2.3.4"]}, "00200013": {"vr": "IS", "Value": [7]}
        });
        let asked = read("InstanceNumber=7&Modality=CT&SOPInstanceUID=1.2.3.4", true).unwrap();
        assert!(asked.instance(&instance) && asked.narrows_instances());
        let class = read("SOPClassUID=1.2", true).unwrap();
        assert!(!class.instance(&instance), "what is not there does not match");
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (query, instances) in [
            ("SOPInstanceUID=1.2", false),
            ("PatientID=1", true),
            ("Modality=C*", true),
            ("InstanceNumber=x", true),
            ("SeriesInstanceUID=../1", true),
            ("limit=x", true),
            ("fuzzymatching=perhaps", true),
        ] {
            assert!(read(query, instances).is_err(), "{query}");
        }
        let many = vec!["1.2"; UIDS + 1].join(",");
        assert!(uids(&many).is_err());
        assert!(read("x=1", false).unwrap_err().contains("SeriesInstanceUID"));
        assert!(!read("x=1", false).unwrap_err().contains("SOPInstanceUID"));
    }
}
