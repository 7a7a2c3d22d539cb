//! Names, numbers and birth dates as words of the search index.
//!
//! A word begins with a letter that says what it is: `n` name, `m` number, `g` number of a band, `d` birth date (digits
//! only), `b` bed. So a number never matches a name, and one index serves them all.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use vitrine_clinical::card::Identity;

/// Lower case, without diacritics, letters and digits alone.
#[must_use]
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'þ' => out.push_str("th"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            'ħ' => out.push('h'),
            'ı' => out.push('i'),
            c if c.is_alphanumeric() => out.push(c),
            _ => {}
        }
    }
    out
}

/// The word of a number.
#[must_use]
pub fn number_term(number: &str) -> String {
    format!("m{}", folded(number))
}

/// The word of a band's Global Service Relation Number.
#[must_use]
pub fn gsrn_term(number: &str) -> String {
    format!("g{number}")
}

/// The word of a birth date: its digits, as many as are recorded.
fn born_term(date: &str) -> Option<String> {
    let digits: String = date.chars().take(10).filter(char::is_ascii_digit).collect();
    (digits.len() >= 4).then(|| format!("d{digits}"))
}

/// A bed as people type it: folded, its numbers without leading zeros ("ED-07": `ed7`).
pub(super) fn bed_folded(text: &str) -> String {
    let text: Vec<char> = folded(text).chars().collect();
    let digit = |at: usize| text.get(at).is_some_and(char::is_ascii_digit);
    let mut in_number = false;
    let mut out = String::new();
    for (at, c) in text.iter().enumerate() {
        let leading = *c == '0' && !in_number && digit(at + 1);
        in_number = digit(at) && !leading;
        if !leading {
            out.push(*c);
        }
    }
    out
}

/// The words of a bed: the whole, and the number that it ends with.
fn bed_terms(bed: &str, out: &mut Vec<String>) {
    let whole = bed_folded(bed);
    let number: String = whole.chars().skip_while(|c| !c.is_ascii_digit()).collect();
    for word in [&whole, &number] {
        let word = format!("b{word}");
        if word.len() > 1 && !out.contains(&word) {
            out.push(word);
        }
    }
}

/// Adds a name's parts: each blank-separated part whole, and its hyphenated or apostrophed pieces.
fn name_terms(text: &str, out: &mut Vec<String>) {
    for part in text.split_whitespace() {
        let whole = folded(part);
        let pieces = part
            .split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c))
            .map(folded);
        for word in std::iter::once(whole).chain(pieces) {
            let word = format!("n{word}");
            if word.len() > 1 && !out.contains(&word) {
                out.push(word);
            }
        }
    }
}

/// The words that find a patient, from the JSON of the card; no more of it is read than who and where it is.
#[must_use]
pub fn card_words(json: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Bed {
        bed: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Card {
        identity: Option<Identity>,
        place: Option<Bed>,
    }
    serde_json::from_slice::<Card>(json).map_or_else(
        |_| String::new(),
        |c| found_terms(c.identity.as_ref(), c.place.and_then(|p| p.bed).as_deref()),
    )
}

/// The words that find a person in a bed, separated by blanks.
#[must_use]
pub fn found_terms(identity: Option<&Identity>, bed: Option<&str>) -> String {
    let mut out = Vec::new();
    if let Some(id) = identity {
        for name in id.family.iter().chain(&id.given).chain(&id.name_text) {
            name_terms(name, &mut out);
        }
        if let Some(mrn) = &id.mrn {
            let term = number_term(mrn);
            if term.len() > 1 {
                out.push(term);
            }
        }
        out.extend(id.gsrns.iter().map(|n| gsrn_term(n)));
        out.extend(id.birth_date.as_deref().and_then(born_term));
    }
    if let Some(bed) = bed {
        bed_terms(bed, &mut out);
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_names_as_people_type_them() {
        for (from, to) in [
            ("Müller", "muller"),
            ("O'Brien", "obrien"),
            ("Łukasz", "lukasz"),
            ("ÅSE", "ase"),
            ("Weiß", "weiss"),
            ("Søren", "soren"),
            ("李", "李"),
            ("Нина", "нина"),
            ("ＡＢＣ", "abc"),
        ] {
            assert_eq!(folded(from), to);
        }
    }

    #[test]
    fn a_name_is_found_whole_and_by_its_pieces() {
        let mut out = Vec::new();
        name_terms("O'Brien Smith-Jones Li", &mut out);
        assert_eq!(
            out,
            [
                "nobrien",
                "no",
                "nbrien",
                "nsmithjones",
                "nsmith",
                "njones",
                "nli"
            ]
        );
        assert_eq!(born_term("1964-03-12").as_deref(), Some("d19640312"));
        assert_eq!(born_term("1964").as_deref(), Some("d1964"));
        assert_eq!(number_term("4471 0932"), "m44710932");
    }

    #[test]
    fn a_bed_is_found_whole_and_by_its_number() {
        for (bed, words) in [
            ("ED-07", "bed7 b7"),
            ("Bed 4", "bbed4 b4"),
            ("Zimmer 12 Bett 2a", "bzimmer12bett2a b12bett2a"),
            ("ICU-10", "bicu10 b10"),
            ("ED-007", "bed7 b7"),
            ("0", "b0"),
            ("Corridor", "bcorridor"),
            ("", ""),
        ] {
            assert_eq!(found_terms(None, Some(bed)), words, "{bed}");
        }
        let card = br#"{"identity": null, "place": {"bed": "ED-07"}, "allergies": []}"#;
        assert_eq!(card_words(card), "bed7 b7");
    }
}
