//! Names as they are compared: words, what joins them, what sounds alike, and what only stands where a name should.

use super::compare::Level;
use super::nicknames::full_names;
use super::sound::{fold, metaphones};
use strsim::{jaro_winkler, osa_distance};

/// Words of a text and of a name that are looked at, and letters of a word: what goes on longer is no name.
const TEXT: usize = 64;
const WORDS: usize = 6;
const LETTERS: usize = 64;

/// Small words before a family name. People, and clerks, write and leave them out as they like.
const PARTICLES: &[&str] = &[
    "af", "al", "av", "bin", "bint", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos",
    "du", "e", "el", "ibn", "la", "le", "les", "o", "of", "ould", "ter", "ten", "the", "und", "van", "vande",
    "vom", "von", "y", "zu", "zum", "zur", "ap",
];

/// Whether a folded word is a small word before a family name. Where a name has no other word it is the name: `Le`, `Al`.
#[must_use]
pub fn is_particle(word: &str) -> bool {
    PARTICLES.contains(&word)
}

/// What is written where nobody knows a name.
const NOBODY: &[&str] = &[
    "anon",
    "anonymous",
    "desconocida",
    "desconocido",
    "doe",
    "fnu",
    "inconnu",
    "inconnue",
    "lnu",
    "noname",
    "none",
    "notknown",
    "null",
    "sconosciuta",
    "sconosciuto",
    "test",
    "testpatient",
    "unbekannt",
    "unk",
    "unknown",
    "unnamed",
    "nn",
    "xx",
    "xxx",
    "xxxx",
    "xxxxx",
    "zz",
    "zzz",
    "zzztest",
];

/// Names given to a patient whom nobody knows: nothing beside them is a name ([`super::alias()`]).
const ALIASES: &[&str] = &["trauma", "unidentified", "resus", "disaster"];

/// A child without a name yet; what follows is its mother's ("BABY GIRL OF MARIA").
const NEWBORN: &[&str] = &[
    "baby",
    "babyboy",
    "babygirl",
    "bebe",
    "boy",
    "female",
    "girl",
    "infant",
    "knabe",
    "maedchen",
    "male",
    "neonate",
    "neugeborenes",
    "newborn",
    "saugling",
    "saeugling",
    "twin",
];

/// A word of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    letters: usize,
    /// Double Metaphone codes.
    pub(super) codes: Vec<String>,
    /// The full names that a given name is, or is short for.
    full: Vec<&'static str>,
}

impl Word {
    pub(super) fn new(text: &str) -> Self {
        Self {
            letters: text.chars().count(),
            codes: metaphones(text),
            full: Vec::new(),
            text: text.to_owned(),
        }
    }

    fn given(text: &str) -> Self {
        Self {
            full: full_names(text),
            ..Self::new(text)
        }
    }

    /// How two words agree; a single letter of a to z is an initial, in any other script it may be a name.
    fn level(&self, other: &Self) -> Level {
        let initial = |w: &Self| w.letters == 1 && w.text.bytes().all(|b| b.is_ascii_lowercase());
        if initial(self) || initial(other) {
            let (a, b) = (self.text.chars().next(), other.text.chars().next());
            return if a == b { Level::Initial } else { Level::Differs };
        }
        if self.text == other.text {
            Level::Exact
        } else if self.full.iter().any(|f| other.full.contains(f)) {
            Level::Nickname
        } else if self.near(other) {
            Level::Near
        } else if self.codes.iter().any(|c| other.codes.contains(c)) {
            Level::Sounds
        } else {
            Level::Differs
        }
    }

    /// One error of typing (two in eight letters or more), or Jaro-Winkler of 0.92 and more. Words of three letters and
    /// fewer are too often other names.
    pub(super) fn near(&self, other: &Self) -> bool {
        // Neither measure is promised to be the same both ways.
        let (a, b) = if self.text <= other.text {
            (self, other)
        } else {
            (other, self)
        };
        let least = a.letters.min(b.letters);
        if least < 4 {
            return false;
        }
        if a.letters.abs_diff(b.letters) <= 2 {
            let errors = osa_distance(&a.text, &b.text);
            if errors <= 1 || (errors == 2 && least >= 8) {
                return true;
            }
        }
        least >= 5 && jaro_winkler(&a.text, &b.text) >= 0.92
    }
}

/// A family name, or all given names of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// Without particles; given names sorted, each once.
    pub(super) words: Vec<Word>,
    /// Spellings without gaps: names that share one are the same. No initial is one.
    joined: Vec<String>,
    /// A family name as one word, for errors that open or close a gap.
    whole: Option<Word>,
}

/// Folded words of a text, at most [`TEXT`].
pub(super) fn words(text: &str) -> Vec<String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .take(TEXT)
        .map(|w| w.chars().take(LETTERS).collect())
        .collect()
}

fn is(list: &[&str], words: &[String]) -> bool {
    words.iter().any(|w| list.contains(&w.as_str())) || list.contains(&words.concat().as_str())
}

/// Whether the names are those of nobody: an alias in either part.
pub(super) fn is_alias(family: &[String], given: &[String]) -> bool {
    is(ALIASES, family) || is(ALIASES, given)
}

impl Name {
    /// A family name out of its words; `None` where it is none.
    pub(super) fn family(every: &[String]) -> Option<Self> {
        if every.is_empty() || is(NOBODY, every) {
            return None;
        }
        let every: Vec<&String> = every.iter().take(WORDS).collect();
        let mut core: Vec<&String> = every.iter().copied().filter(|w| !is_particle(w)).collect();
        if core.is_empty() {
            core.clone_from(&every);
        }
        let joined = |words: &[&String]| words.iter().map(|w| w.as_str()).collect::<String>();
        let whole = joined(&core);
        Some(Self {
            joined: spellings([whole.clone(), joined(&every)]),
            words: core.into_iter().map(|w| Word::new(w)).collect(),
            whole: Some(Word::new(&whole)),
        })
    }

    /// Given names out of their words; `None` where they are none. `family`: John and Jane of the family Doe are
    /// nobody.
    pub(super) fn given(every: &[String], family: &[String]) -> Option<Self> {
        let doe = is(&["doe"], family) && is(&["john", "jane"], every);
        if every.is_empty() || doe || is(NOBODY, every) || is(NEWBORN, every) {
            return None;
        }
        let mut each: Vec<&str> = every.iter().map(String::as_str).collect();
        each.sort_unstable();
        each.dedup();
        each.truncate(WORDS);
        Some(Self {
            joined: match each.as_slice() {
                [a] => spellings([(*a).to_owned()]),
                [a, b] => spellings([format!("{a}{b}"), format!("{b}{a}")]),
                [a, b, c] => spellings(
                    [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
                        .map(|[x, y, z]| format!("{x}{y}{z}")),
                ),
                many => spellings([many.concat()]),
            },
            words: each.into_iter().map(Word::given).collect(),
            whole: None,
        })
    }

    /// How two names agree: the better of word by word and as a whole.
    pub(super) fn level(&self, other: &Self) -> Level {
        if self.joined.iter().any(|j| other.joined.contains(j)) {
            return Level::Exact;
        }
        let by_words = match self.words.len().cmp(&other.words.len()) {
            std::cmp::Ordering::Less => some(within(&self.words, &other.words)),
            std::cmp::Ordering::Greater => some(within(&other.words, &self.words)),
            std::cmp::Ordering::Equal => {
                within(&self.words, &other.words).max(within(&other.words, &self.words))
            }
        };
        match (&self.whole, &other.whole) {
            (Some(a), Some(b)) => by_words.min(a.level(b)),
            _ => by_words,
        }
    }
}

fn spellings<const N: usize>(of: [String; N]) -> Vec<String> {
    of.into_iter().filter(|s| s.len() > 1).collect()
}

/// The level where one name has more words than the other: one that is in part the same, and there not to the letter, is no
/// more than near (`Jack`, `Lachlan John`).
fn some(found: Level) -> Level {
    match found {
        Level::Exact => Level::Part,
        other => other.max(Level::Near),
    }
}

/// How the words of one name are found in another that has as many or more: as the weakest of them is; `Mixed` where
/// some are and some are not.
fn within(few: &[Word], many: &[Word]) -> Level {
    let best = |w: &Word| many.iter().map(|o| w.level(o)).min().unwrap_or(Level::Differs);
    let found: Vec<Level> = few.iter().map(best).collect();
    let weakest = found.iter().copied().max().unwrap_or(Level::Differs);
    if weakest == Level::Differs && found.iter().any(|l| *l <= Level::Near) {
        Level::Mixed
    } else {
        weakest
    }
}
