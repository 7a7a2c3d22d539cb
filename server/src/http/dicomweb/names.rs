//! Matching of Patient's Name (0010,0010) in searches (PS3.4 §C.2.2.2).
//!
//! Lives here: reading a key, the words by which the store finds people, whether a name matches. Never here: searching. Pure;
//! called by `qido`. Compared are all components of the alphabetic group, without case and diacritics, as PS3.4 §C.2.2.2.1.1
//! lets a service do: `Meyer^Zoe` is one value, `Meyer` is another, `Meyer^*` and `Mey*` match both kinds of what they say.

use super::super::refusal::Refused;
use super::bad;
use serde_json::Value;
use vitrine_store::search::{fold, terms};

/// Longest key, characters: PN has 64 for each group (PS3.5 table 6.2-1).
const LONGEST: usize = 64;

/// A key that matches some names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Folded, without empty components at the end.
    pattern: String,
    /// What every match has words that begin with, as the store's search of people takes it.
    words: String,
}

/// A name as it is compared: folded, no blanks around components, no empty ones at the end.
fn plain(name: &str) -> String {
    let parts: Vec<&str> = name.split('^').map(str::trim).collect();
    fold(parts.join("^").trim_end_matches('^'))
}

/// Whether a text is what a pattern says: `*` is any text, `?` any character (PS3.4 §C.2.2.2.4).
#[must_use]
pub fn wild(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The last star, and up to where it has eaten.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    (p, t) = (at + 1, eaten + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

impl Key {
    /// Reads a key; `None` for one that matches everybody (universal matching, PS3.4 §C.2.2.2.3).
    ///
    /// # Errors
    /// 400 naming why a key cannot be answered.
    pub fn read(text: &str) -> Result<Option<Self>, Refused> {
        if text.is_empty() || text.bytes().all(|b| b == b'*') {
            return Ok(None);
        }
        if text.chars().count() > LONGEST {
            return Err(bad(format!("PatientName has more than {LONGEST} characters")));
        }
        if text.contains(['\\', '=']) {
            return Err(bad(
                "PatientName: lists of values and groups of components are not supported: give one alphabetic name",
            ));
        }
        let words: Vec<String> = text
            .split(|c: char| c == '^' || c.is_whitespace())
            .filter_map(|word| {
                let known: String = word.chars().take_while(|c| !matches!(c, '*' | '?')).collect();
                (!terms(&known).is_empty()).then_some(known)
            })
            .collect();
        if words.is_empty() {
            return Err(bad(
                "PatientName: people are found by the beginnings of their names: give at least the first letter of one",
            ));
        }
        Ok(Some(Self {
            pattern: plain(text),
            words: words.join(" "),
        }))
    }

    /// The words for the store's search of people: whoever matches has them.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Whether a name matches; its components between `^`.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        wild(&self.pattern, &plain(name))
    }

    /// Whether the Patient's Name of a study's header matches, in any of its groups.
    #[must_use]
    pub fn fits_header(&self, header: &Value) -> bool {
        let value = header.get("00100010").and_then(|a| a.get("Value")?.get(0));
        ["Alphabetic", "Ideographic", "Phonetic"]
            .iter()
            .filter_map(|group| value?.get(*group)?.as_str())
            .any(|name| self.fits(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_as_the_standard_says() {
        for (key, name, fits) in [
            ("Meyer^Zoe", "MEYER^ZOE", true),
            ("Meyer^Zoe", "Meyer^Zoe^^", true),
            ("Meyer^Zoe^^Dr", "Meyer^Zoe", false),
            ("Meyer", "Meyer", true),
            ("Meyer", "Meyer^Zoe", false),
            ("Meyer^", "Meyer^^", true),
            ("Meyer*", "Meyer^Zoe", true),
            ("Mey*^Z*", "Meyer^Zoe", true),
            ("Mey*^Z*", "Meyer^Anna", false),
            ("M?yer^Zoe", "Mayer^Zo\u{eb}", true),
            ("M?yer^Zoe", "Maeyer^Zoe", false),
            ("*yer^Z*", "Beyer^Zack", true),
            ("M*r*", "Muller-Stra\u{df}e^Eva", true),
            ("M\u{fc}ller*", "MULLER^EVA", true),
            ("Zoe*", "Meyer^Zoe", false),
            ("Mei Ling*", "Mei Ling^Wu", true),
            ("M*", "", false),
        ] {
            let key = Key::read(key).map_err(|r| r.refusal.text).unwrap().unwrap();
            assert_eq!(key.fits(name), fits, "{key:?} {name}");
        }
    }

    #[test]
    fn people_are_looked_for_by_the_beginnings_that_are_known() {
        for (key, words) in [
            ("Meyer^Zoe", "Meyer Zoe"),
            ("Mey*^Z*", "Mey Z"),
            ("*yer^Zoe", "Zoe"),
            ("M?yer Schmidt*", "M Schmidt"),
            ("O'B*", "O'B"),
        ] {
            let read = Key::read(key).map_err(|r| r.refusal.text).unwrap().unwrap();
            assert_eq!(read.words(), words, "{key}");
        }
        for everybody in ["", "*", "**"] {
            assert!(matches!(Key::read(everybody), Ok(None)), "{everybody}");
        }
        for wrong in ["*yer", "?", "-*", "A\\B", "A=B", &"x".repeat(65)] {
            assert!(Key::read(wrong).is_err(), "{wrong}");
        }
    }
}
