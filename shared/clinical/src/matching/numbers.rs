//! Identifiers, phones and postcodes as they are compared: letters and digits alone.

use super::compare::Level;
use super::sound::fold;
use super::{Identifier, IdentifierKind};
use strsim::osa_distance;

/// Signs of a number that are looked at.
const SIGNS: usize = 64;

/// Letters and digits, folded.
pub(super) fn plain(text: &str) -> String {
    fold(text)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .take(SIGNS)
        .collect()
}

/// One sign throughout, as in `0000000`, or fewer than three: a number of nobody.
fn of_nobody(number: &str) -> bool {
    let mut signs = number.chars();
    let first = signs.next();
    number.chars().count() < 3 || signs.all(|c| Some(c) == first)
}

/// A number in its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    pub(super) kind: IdentifierKind,
    pub(super) system: String,
    pub(super) value: String,
}

impl Number {
    pub(super) fn of(id: &Identifier) -> Option<Self> {
        let value = plain(&id.value);
        (!of_nobody(&value)).then(|| Self {
            kind: id.kind,
            system: id.system.trim().to_owned(),
            value,
        })
    }
}

/// How the numbers of one kind agree, and whether some namespace has no number in common though both have one there.
pub(super) fn level(kind: IdentifierKind, a: &[Number], b: &[Number]) -> (Level, bool) {
    let (mut best, mut differs) = (Level::Unknown, false);
    for x in a.iter().filter(|n| n.kind == kind) {
        let there = || b.iter().filter(|n| n.kind == kind && n.system == x.system);
        if there().next().is_none() {
            continue;
        }
        let here = || a.iter().filter(|n| n.kind == kind && n.system == x.system);
        let level = if there().any(|y| y.value == x.value) {
            Level::Exact
        } else if there().any(|y| osa_distance(&x.value, &y.value) == 1) {
            Level::Near
        } else {
            Level::Differs
        };
        differs |= !here().any(|h| there().any(|y| y.value == h.value));
        best = best.min(level);
    }
    (best, differs)
}

/// The last nine digits of a phone: what country and trunk codes leave alone. `None` below six digits.
pub(super) fn phone(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).take(SIGNS).collect();
    let tail: String = digits.iter().skip(digits.len().saturating_sub(9)).collect();
    (tail.len() >= 6 && !of_nobody(&tail)).then_some(tail)
}

/// How postcodes agree.
pub(super) fn postcode(a: &str, b: &str) -> Level {
    if a == b {
        Level::Exact
    } else if osa_distance(a, b) == 1 {
        Level::Near
    } else {
        Level::Differs
    }
}
