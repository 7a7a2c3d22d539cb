//! What a patient search means, the same in every backend: folding, the words of a person, the terms of a query, how a
//! name sounds.
//!
//! A backend's index must find exactly what [`matches`] and [`matches_phonetic`] find. Names of one or two letters are
//! names: no minimum length anywhere.

use crate::PersonRow;
pub use vitrine_clinical::matching::{fold, sounds};

/// The words of a name: split at every character that is no letter or digit, and also joined across such characters
/// within a part (`o'brien` gives `o`, `brien` and `obrien`).
#[must_use]
pub fn name_words(names: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in fold(names).split_whitespace() {
        let pieces: Vec<&str> = part
            .split(|c: char| !c.is_alphanumeric())
            .filter(|p| !p.is_empty())
            .collect();
        if pieces.len() > 1 {
            words.push(pieces.concat());
        }
        words.extend(pieces.into_iter().map(str::to_owned));
    }
    words
}

/// A number as it is compared: folded, letters and digits alone.
#[must_use]
pub fn number_word(number: &str) -> String {
    fold(number).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The forms in which a birth date is found: `19490503`, `03051949`, `05031949`, `194905`, `1949` (as far as known).
#[must_use]
pub fn birth_words(date: &str) -> Vec<String> {
    let digits: Vec<&str> = date.split('-').collect();
    let all_digits = digits
        .iter()
        .all(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
    match (all_digits, digits.as_slice()) {
        (true, [y]) => vec![(*y).to_owned()],
        (true, [y, m]) => vec![format!("{y}{m}"), (*y).to_owned()],
        (true, [y, m, d]) => {
            let mut words = vec![format!("{y}{m}{d}"), format!("{d}{m}{y}")];
            if m != d {
                words.push(format!("{m}{d}{y}"));
            }
            words.extend([format!("{y}{m}"), (*y).to_owned()]);
            words
        }
        _ => Vec::new(),
    }
}

/// One word of a query. A person matches it when a name word begins with `name`, or a number or a form of the birth
/// date is `whole`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// To compare with the beginnings of name words; empty when the word has no letter or digit.
    pub name: String,
    /// To compare with numbers and birth dates.
    pub whole: String,
}

/// The terms of a query; empty for a query without letters or digits, which finds nobody.
#[must_use]
pub fn terms(text: &str) -> Vec<Term> {
    let folded = fold(text);
    folded
        .split_whitespace()
        .filter_map(|word| {
            let joined: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
            (!joined.is_empty()).then(|| Term {
                whole: typed_date(word).unwrap_or_else(|| joined.clone()),
                name: joined,
            })
        })
        .collect()
}

/// `3.5.1949`, `3/5/1949`, `1949-5-3` with zeros put in; `None` for anything else.
fn typed_date(word: &str) -> Option<String> {
    let parts: Vec<&str> = word.split(['.', '/', '-']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    let plain = |p: &str, n: std::ops::RangeInclusive<usize>| {
        n.contains(&p.len()) && p.bytes().all(|x| x.is_ascii_digit())
    };
    if plain(a, 4..=4) && plain(b, 1..=2) && plain(c, 1..=2) {
        Some(format!("{a}{b:0>2}{c:0>2}"))
    } else if plain(a, 1..=2) && plain(b, 1..=2) && plain(c, 4..=4) {
        Some(format!("{a:0>2}{b:0>2}{c}"))
    } else {
        None
    }
}

/// The words an index keeps of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonWords {
    /// Name words; matched by their beginnings.
    pub names: Vec<String>,
    /// Numbers and forms of the birth date; matched whole.
    pub whole: Vec<String>,
    /// How the name words sound ([`sounds`]), each once, in order; matched whole.
    pub sounds: Vec<String>,
}

impl PersonWords {
    /// The words of a person.
    #[must_use]
    pub fn of(person: &PersonRow) -> Self {
        let mut whole: Vec<String> = person
            .numbers
            .iter()
            .map(|n| number_word(n))
            .filter(|w| !w.is_empty())
            .collect();
        whole.extend(person.birth_date.as_deref().map(birth_words).unwrap_or_default());
        let names = name_words(&person.names_folded);
        let mut sounds: Vec<String> = names.iter().flat_map(|w| sounds(w)).collect();
        sounds.sort();
        sounds.dedup();
        Self { names, whole, sounds }
    }
}

/// Whether a person matches every term; `exact` = name words must be equal, not only begin alike.
#[must_use]
pub fn matches(person: &PersonWords, terms: &[Term], exact: bool) -> bool {
    !terms.is_empty()
        && terms.iter().all(|t| {
            let name = |w: &String| {
                if exact {
                    *w == t.name
                } else {
                    w.starts_with(&t.name)
                }
            };
            person.names.iter().any(name) || person.whole.contains(&t.whole)
        })
}

/// Whether some name word of a person sounds like every term of a query (FHIR R4, search parameter
/// `Patient.phonetic`). Numbers and birth dates are no names.
#[must_use]
pub fn matches_phonetic(person: &PersonWords, terms: &[Term]) -> bool {
    !terms.is_empty()
        && terms
            .iter()
            .all(|t| sounds(&t.name).iter().any(|s| person.sounds.contains(s)))
}

/// Whether every term of a query is a whole name word of a person: of those who sound alike, they come first.
#[must_use]
pub fn matches_names(person: &PersonWords, terms: &[Term]) -> bool {
    !terms.is_empty() && terms.iter().all(|t| person.names.contains(&t.name))
}

/// Letters of a word that count: what goes on so long is no word.
const WORD: usize = 64;

/// The words of a text, each once: folded, letters and digits, two or more of them (one, where it is no letter of a
/// to z: `李`). A script that is written without spaces is not taken apart.
#[must_use]
pub fn content_words(text: &str) -> std::collections::BTreeSet<String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .map(|w| w.chars().take(WORD).collect::<String>())
        .filter(|w| w.len() >= 2)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(names: &str, birth: &str, numbers: &[&str]) -> PersonWords {
        PersonWords::of(&PersonRow {
            names_folded: names.to_owned(),
            birth_date: Some(birth.to_owned()),
            numbers: numbers.iter().map(|n| (*n).to_owned()).collect(),
        })
    }

    #[test]
    fn words_and_terms_meet() {
        let p = person("Zoë-Mae O'Brien Łukasz Straße", "1949-05-03", &["MRN-0042"]);
        let found = |q: &str| matches(&p, &terms(q), false);
        for q in [
            "zoe",
            "Zoë",
            "mae",
            "zoemae",
            "obrien",
            "O'Brien",
            "brien",
            "lukasz",
            "strasse",
            "MRN-0042",
            "mrn0042",
            "1949-05-03",
            "19490503",
            "3.5.1949",
            "05/03/1949",
            "1949",
            "zo bri 1949",
            "z",
        ] {
            assert!(found(q), "{q}");
        }
        for q in [
            "",
            " - ",
            "oe",
            "0042",
            "mrn004",
            "1950",
            "1949-05-04",
            "zoe smith",
        ] {
            assert!(!found(q), "{q}");
        }
        assert!(matches(&person("Li Wei", "2001", &[]), &terms("Li"), true));
        assert!(!matches(&person("Lindgren", "2001", &[]), &terms("Li"), true));
    }

    #[test]
    fn names_that_sound_alike_share_a_code() {
        let alike = |a: &str, b: &str| matches_phonetic(&person(a, "1950", &["MRN-1"]), &terms(b));
        for (a, b) in [
            ("Meyer", "Maier"),
            ("Meyer", "Mayr"),
            ("Mohamed", "Muhammad"),
            ("Schulze", "Schultze"),
            ("Kretschmer", "Kretzschmer"),
            ("Xaver", "Ksaver"),
            ("Catherine", "Katharina"),
            ("Smith", "Smyth"),
            ("Müller", "Mueller"),
            ("Ørsted", "Orstedt"),
            ("Li", "Lee"),
            ("Ng", "Ng"),
            ("Nguyễn", "Nguien"),
            ("李 Wei", "李"),
            ("O'Brien", "Obryan"),
            ("O'Brien", "bryan"),
            ("H", "h"),
            ("Zoë-Mae Mayer", "meier zoe"),
        ] {
            assert!(alike(a, b), "{a}, {b}");
            assert!(
                alike(b, a) || b.contains(' ') || a.contains([' ', '\'']),
                "{b}, {a}"
            );
        }
        for (a, b) in [
            ("Meyer", "Smith"),
            ("Li", "Ng"),
            ("李", "王"),
            ("Lea", "Ullrich"),
            ("Christopherson", "Christoph"),
            ("Meyer", "Maier Jones"),
            ("Meyer", "1950"),
            ("Meyer", "MRN-1"),
            ("Meyer", ""),
            ("Meyer", " - "),
        ] {
            assert!(!alike(a, b), "{a}, {b}");
        }
    }

    #[test]
    fn words_of_a_text() {
        let words = |t: &str| content_words(t).into_iter().collect::<Vec<_>>();
        assert_eq!(
            words("Pneumonie, re. Unterlappen; CRP 112 mg/l. Ödem: ø. 李 x"),
            ["112", "crp", "mg", "odem", "pneumonie", "re", "unterlappen", "李"]
        );
        assert_eq!(words("a b 1 - \"*"), Vec::<String>::new());
        assert_eq!(words(&"y".repeat(1000)), ["y".repeat(64)]);
    }

    #[test]
    fn every_word_sounds_like_itself() {
        let letters: Vec<char> = ('a'..='z').chain("é李ß1ø".chars()).collect();
        let words = letters
            .iter()
            .flat_map(|a| letters.iter().map(move |b| [*a, *b]))
            .flat_map(|[a, b]| letters.iter().map(move |c| [a, b, *c].iter().collect::<String>()));
        let mut seen = 0;
        for word in words {
            for n in 1..=3 {
                let part: String = word.chars().take(n).collect();
                assert!(matches_phonetic(&person(&part, "", &[]), &terms(&part)), "{part}");
                seen += 1;
            }
        }
        assert!(seen > 80_000);
        // Nothing anybody types makes it fail.
        for odd in ["", "%_\"' OR 1", "\u{202e}abc", &"x".repeat(10_000), "😀"] {
            let _ = sounds(&fold(odd));
            let _ = matches_phonetic(&person(odd, "", &[]), &terms(odd));
        }
    }
}
