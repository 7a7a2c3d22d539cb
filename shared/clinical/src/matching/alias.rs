//! Names for patients whom nobody can name yet.
//!
//! Two words that nobody has for a name, said by radio and read across a room: no two words of a list sound alike or
//! are within three errors of each other, and two aliases given one after the other share no word. `Trauma` stands for
//! the given name, so that lists sorted by family name keep them apart, and so that nothing of it is ever compared.

/// First words: colours and what has one.
const FIRST: &[&str] = &[
    "Bronze",
    "Cobalt",
    "Denim",
    "Fuchsia",
    "Granite",
    "Indigo",
    "Khaki",
    "Lavender",
    "Magenta",
    "Nickel",
    "Platinum",
    "Quartz",
    "Turquoise",
    "Vermilion",
    "Walnut",
    "Zircon",
    "Copper",
    "Ivory",
    "Emerald",
    "Purple",
    "Velvet",
    "Diamond",
    "Sapphire",
    "Cinnamon",
    "Pewter",
    "Tangerine",
    "Burgundy",
    "Charcoal",
    "Sandstone",
];

/// Second words: animals.
const SECOND: &[&str] = &[
    "Antelope",
    "Crocodile",
    "Dolphin",
    "Giraffe",
    "Hedgehog",
    "Iguana",
    "Jaguar",
    "Kangaroo",
    "Leopard",
    "Mongoose",
    "Nightingale",
    "Ostrich",
    "Penguin",
    "Squirrel",
    "Buffalo",
    "Chameleon",
    "Flamingo",
    "Lobster",
    "Octopus",
    "Peacock",
    "Scorpion",
    "Woodpecker",
    "Porcupine",
    "Armadillo",
    "Dragonfly",
    "Swordfish",
    "Pelican",
    "Butterfly",
    "Wolverine",
    "Seahorse",
    "Grasshopper",
];

/// A name for a patient whom nobody can name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alias {
    /// Two words, from the 900th on with a number: `Bronze Antelope`.
    pub family: String,
    /// `Trauma`: it says of the whole name that it is none.
    pub given: &'static str,
}

/// The alias of a number. Two numbers never have one alias. Whoever numbers decides who may use which: workstations
/// that cannot ask each other must number apart.
#[must_use]
pub fn alias(n: u64) -> Alias {
    let (first, second) = (FIRST.len() as u64, SECOND.len() as u64);
    // Both lengths are prime and not the same, so that the pair comes again only after all of them.
    let pick = |list: &[&'static str], at: u64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| list.get(at).copied())
            .unwrap_or_default()
    };
    let (a, b) = (pick(FIRST, n % first), pick(SECOND, n % second));
    let round = n / (first * second);
    Alias {
        family: if round == 0 {
            format!("{a} {b}")
        } else {
            format!("{a} {b} {}", round + 1)
        },
        given: "Trauma",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::sound::{fold, metaphones};
    use crate::matching::{Grade, Person, keys, score};
    use std::collections::HashSet;

    #[test]
    fn words_cannot_be_taken_for_each_other() {
        let all: Vec<String> = FIRST.iter().chain(SECOND).map(|w| fold(w)).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert!(strsim::osa_distance(a, b) > 3, "{a} {b}");
                assert!(
                    !metaphones(a).iter().any(|c| metaphones(b).contains(c)),
                    "{a} {b}"
                );
            }
        }
        let prime = |n: usize| (2..n).all(|d| !n.is_multiple_of(d));
        assert!(prime(FIRST.len()) && prime(SECOND.len()) && FIRST.len() != SECOND.len());
    }

    #[test]
    fn no_two_numbers_have_one_alias_and_neighbours_share_no_word() {
        let pool = (FIRST.len() * SECOND.len()) as u64;
        let mut seen = HashSet::new();
        for n in (0..3 * pool).chain([u64::MAX - 1, u64::MAX]) {
            let (one, next) = (alias(n), alias(n.wrapping_add(1)));
            assert!(seen.insert(one.family.clone()), "{n}");
            let words: HashSet<&str> = one.family.split(' ').take(2).collect();
            assert!(next.family.split(' ').take(2).all(|w| !words.contains(w)), "{n}");
        }
        assert_eq!(alias(0).family, "Bronze Antelope");
        assert_eq!(alias(pool).family, "Bronze Antelope 2");
        assert_eq!(pool, 899);
    }

    #[test]
    fn an_alias_is_nobodys_name() {
        let person = |n| {
            let Alias { family, given } = alias(n);
            Person {
                family: Some(family),
                given: vec![given.to_owned()],
                gender: Some("male".to_owned()),
                ..Person::default()
            }
        };
        for n in 0..2000 {
            assert_eq!(score(&person(n), &person(n)).grade, Grade::CertainlyNot);
            assert!(keys(&person(n)).is_empty());
        }
    }
}
