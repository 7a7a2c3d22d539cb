//! Where somebody lives, as it is compared.

use super::compare::Level;
use super::names::{Word, words};

/// Short forms of the words for a street.
const STREETS: &[(&str, &str)] = &[
    ("st", "street"),
    ("str", "street"),
    ("strasse", "street"),
    ("rd", "road"),
    ("ave", "avenue"),
    ("av", "avenue"),
    ("cres", "crescent"),
    ("ct", "court"),
    ("crt", "court"),
    ("pl", "place"),
    ("dr", "drive"),
    ("ln", "lane"),
    ("cct", "circuit"),
    ("blvd", "boulevard"),
    ("tce", "terrace"),
    ("hwy", "highway"),
    ("pde", "parade"),
    ("sq", "square"),
    ("apt", "apartment"),
];

/// What is written for somebody who lives nowhere, or nobody knows where.
const NOWHERE: &[&str] = &[
    "homeless",
    "nfa",
    "nofixedabode",
    "nofixedaddress",
    "none",
    "ohnefestenwohnsitz",
    "sansdomicilefixe",
    "unbekannt",
    "unk",
    "unknown",
    "xxx",
];

/// A street with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Street {
    numbers: String,
    name: Word,
}

impl Street {
    /// `None` where there is no name of a street.
    pub(super) fn read(line: &str) -> Option<Self> {
        let every = words(line);
        if NOWHERE.contains(&every.concat().as_str()) {
            return None;
        }
        let (mut numbers, mut name) = (String::new(), String::new());
        for word in &every {
            if word.bytes().any(|b| b.is_ascii_digit()) {
                numbers.push_str(word);
            } else {
                let long = STREETS.iter().find(|(short, _)| short == word);
                name.push_str(long.map_or(word.as_str(), |(_, long)| long));
            }
        }
        (!name.is_empty()).then(|| Self {
            numbers,
            name: Word::new(&name),
        })
    }

    /// `Part`: the street, but not the number.
    pub(super) fn level(&self, other: &Self) -> Level {
        let same = self.name.text == other.name.text;
        match (self.numbers == other.numbers, same || self.name.near(&other.name)) {
            (true, true) if same => Level::Exact,
            (true, true) => Level::Near,
            (false, true) => Level::Part,
            (_, false) => Level::Differs,
        }
    }
}

/// The name of a city as one word.
pub(super) fn city(text: &str) -> Option<Word> {
    let joined = words(text).concat();
    (!joined.is_empty() && !NOWHERE.contains(&joined.as_str())).then(|| Word::new(&joined))
}

/// How two cities agree.
pub(super) fn cities(a: &Word, b: &Word) -> Level {
    if a.text == b.text {
        Level::Exact
    } else if a.near(b) {
        Level::Near
    } else if a.codes.iter().any(|c| b.codes.contains(c)) {
        Level::Sounds
    } else {
        Level::Differs
    }
}
