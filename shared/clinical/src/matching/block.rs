//! Keys by which a store finds whom to compare: two records that share one are compared, all others are not.

use super::Person;
use super::compare::Normalised;
use super::names::Word;
use std::fmt;

/// What a key is made of. Each pass finds people whom the others miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// How a family or given name sounds, and the year of birth.
    NameYear,
    /// The birth date, day and month in either order.
    BirthDate,
    /// How a family or given name sounds, and the postcode.
    NamePostcode,
    /// How family and given name sound, in either order.
    Names,
    /// An identifier in its namespace.
    Identifier,
    /// The last nine digits of a phone.
    Phone,
}

impl Pass {
    const fn code(self) -> &'static str {
        match self {
            Self::NameYear => "ny",
            Self::BirthDate => "bd",
            Self::NamePostcode => "np",
            Self::Names => "nn",
            Self::Identifier => "id",
            Self::Phone => "ph",
        }
    }
}

/// A key. It is made of what identifies a person: a store keeps it as it keeps names. Written as one line, with what pass it is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// What it is made of.
    pub pass: Pass,
    /// The rest of it.
    pub value: String,
}

impl fmt::Display for BlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pass.code(), self.value)
    }
}

/// The keys of a person, sorted, each once. What stands for "not known" has none: nobody is looked for under it.
#[must_use]
pub fn keys(person: &Person) -> Vec<BlockKey> {
    Normalised::of(person).keys()
}

impl Normalised {
    /// The keys of a person, sorted, each once.
    #[must_use]
    pub fn keys(&self) -> Vec<BlockKey> {
        let mut out = Vec::new();
        let mut add = |pass, value: String| out.push(BlockKey { pass, value });
        let family: Vec<&str> = self.families().flat_map(|n| codes(&n.words)).collect();
        let given: Vec<&str> = self.given.iter().flat_map(|n| codes(&n.words)).collect();
        for name in family.iter().chain(&given) {
            if let Some(born) = self.birth {
                add(Pass::NameYear, format!("{name}|{}", born.year));
            }
            if let Some(postcode) = &self.postcode {
                add(Pass::NamePostcode, format!("{name}|{postcode}"));
            }
        }
        for f in &family {
            for g in &given {
                add(Pass::Names, format!("{}|{}", f.min(g), f.max(g)));
            }
        }
        if let Some(date) = self.birth.and_then(super::dates::Born::either_way) {
            add(Pass::BirthDate, date);
        }
        for n in &self.numbers {
            add(Pass::Identifier, format!("{}|{}", n.system, n.value));
        }
        for phone in &self.phones {
            add(Pass::Phone, phone.clone());
        }
        out.sort();
        out.dedup();
        out
    }
}

/// How the words of a name sound; a word without a code is its own.
fn codes(words: &[Word]) -> impl Iterator<Item = &str> {
    words.iter().flat_map(|w| {
        let own = w.codes.is_empty().then_some(w.text.as_str());
        w.codes.iter().map(String::as_str).chain(own)
    })
}
