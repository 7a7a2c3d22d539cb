//! What was typed into the search field, as groups of index words: every group must match, any word of it is enough.
//!
//! Birth dates are taken as `12mar64`, `12-Mar-1964`, `12-03-1964` (both readings), `1964-03-12`, with `-`, `/`, `.`
//! or blanks, and as `12031964` or `120364`; the months by their English and their German names, whatever is spoken. A
//! number may be typed with blanks. A bed is taken as `ED-07`, `ed7`, `bed 7` or its number.

use super::fold::{bed_folded, folded};
use vitrine_store_sqlcipher::workstation::FindTerm;

/// Why a row matched, in the words of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// By name.
    Name,
    /// By number.
    Number,
    /// By the number of the band, in full.
    Band,
    /// By birth date.
    Born,
    /// By the bed.
    Bed,
}

/// A query made ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Groups of index words.
    pub groups: Vec<Vec<FindTerm>>,
}

/// Most words taken from a query; more are ignored.
const WORDS: usize = 8;
/// Longest query in characters.
pub const LONGEST: usize = 200;

/// How months begin: in English, and in German where that is otherwise.
const MONTHS: [&[&str]; 12] = [
    &["jan"],
    &["feb"],
    &["mar", "mrz"],
    &["apr"],
    &["may", "mai"],
    &["jun"],
    &["jul"],
    &["aug"],
    &["sep"],
    &["oct", "okt"],
    &["nov"],
    &["dec", "dez"],
];

fn term(kind: char, text: &str, prefix: bool) -> FindTerm {
    FindTerm {
        text: format!("{kind}{text}"),
        prefix,
    }
}

impl Query {
    /// Reads a query. `year` is the current year, for two-digit years.
    #[must_use]
    pub fn read(text: &str, year: u32) -> Self {
        let text: String = text.chars().take(LONGEST).collect();
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c == ',' || c == ';')
            .filter(|w| !w.is_empty())
            .collect();
        if let [bed, number] = words[..]
            && BEDS.contains(&folded(bed).as_str())
            && is_bed(number)
        {
            return Self {
                groups: vec![vec![
                    term('b', &bed_folded(number), false),
                    term('b', &bed_folded(&format!("{bed}{number}")), false),
                ]],
            };
        }
        let digits = !words.is_empty() && words.iter().all(|w| w.chars().all(|c| c.is_ascii_digit()));
        let mut groups = Vec::new();
        let whole = words.join("-");
        if words.len() > 1 && digits {
            let joined = words.concat();
            let mut group = vec![term('m', &joined, true)];
            if vitrine_clinical::scan::is_gsrn(&joined) {
                group.push(term('g', &joined, false));
            }
            group.extend(dates(&whole, year));
            return Self { groups: vec![group] };
        }
        if words.len() == 3 && !dates(&whole, year).is_empty() {
            return Self {
                groups: vec![dates(&whole, year)],
            };
        }
        for word in words.into_iter().take(WORDS) {
            let born = dates(word, year);
            if !born.is_empty() {
                let mut group = born;
                group.push(term('m', &folded(word), true));
                groups.push(group);
                continue;
            }
            if is_bed(word) && word.contains('-') {
                groups.push(vec![
                    term('b', &bed_folded(word), false),
                    term('m', &folded(word), true),
                ]);
                continue;
            }
            for piece in word.split('-') {
                let piece = folded(piece);
                if piece.is_empty() {
                    continue;
                }
                groups.push(word_group(&piece, year));
            }
        }
        groups.truncate(WORDS);
        Self { groups }
    }

    /// Nothing that could match was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How well index words of a patient match: (why, rank; 0 is best).
    #[must_use]
    pub fn rank(&self, terms: &str, family: &str) -> (Matched, u32) {
        let mut why = Matched::Name;
        let mut rank = 0;
        for group in &self.groups {
            let mut best = (u32::MAX, Matched::Name);
            for t in group {
                for word in terms.split(' ') {
                    let exact = word == t.text;
                    if !(exact || t.prefix && word.starts_with(&t.text)) {
                        continue;
                    }
                    let (kind, score) = match word.as_bytes().first() {
                        Some(b'm') => (Matched::Number, if exact { 0 } else { 4 }),
                        Some(b'g') => (Matched::Band, 0),
                        Some(b'b') => (Matched::Bed, 1),
                        Some(b'd') => (Matched::Born, if exact { 0 } else { 3 }),
                        _ => {
                            let of_family = word.get(1..).is_some_and(|w| w == family);
                            (
                                Matched::Name,
                                match (exact, of_family) {
                                    (true, true) => 0,
                                    (true, false) => 1,
                                    (false, true) => 2,
                                    (false, false) => 3,
                                },
                            )
                        }
                    };
                    if score < best.0 {
                        best = (score, kind);
                    }
                }
            }
            rank += best.0.min(9);
            if best.1 != Matched::Name {
                why = best.1;
            }
        }
        (why, rank)
    }
}

fn word_group(piece: &str, year: u32) -> Vec<FindTerm> {
    let all_digits = piece.bytes().all(|b| b.is_ascii_digit());
    if all_digits {
        let mut group = vec![term('m', piece, true)];
        if piece.len() == 4 {
            group.push(term('d', piece, true));
        }
        if vitrine_clinical::scan::is_gsrn(piece) {
            group.push(term('g', piece, false));
        }
        group.extend(compact_dates(piece, year));
        if is_bed(piece) {
            group.push(term('b', &bed_folded(piece), false));
        }
        return group;
    }
    let mut group = vec![term('n', piece, true)];
    if piece.bytes().any(|b| b.is_ascii_digit()) {
        group.push(term('m', piece, true));
    }
    if is_bed(piece) {
        group.push(term('b', &bed_folded(piece), false));
    }
    group
}

/// Words before the number of a bed.
const BEDS: [&str; 5] = ["bed", "bett", "bay", "room", "zimmer"];

/// How a bed may be called: letters, a number of at most three digits, a letter; the letters may be missing. Never a year.
fn is_bed(word: &str) -> bool {
    let number = word.trim_start_matches(|c: char| c.is_alphabetic() || c == '-');
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = number.len() - rest.len();
    (1..=3).contains(&digits) && rest.chars().count() <= 1 && rest.chars().all(char::is_alphabetic)
}

/// Dates written without anything between: `19640312`, `12031964`, `120364`; where day and month can be told either way,
/// both.
fn compact_dates(digits: &str, this_year: u32) -> Vec<FindTerm> {
    let spaced = match digits.len() {
        8 => [
            format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]),
            format!("{}-{}-{}", &digits[..2], &digits[2..4], &digits[4..]),
        ]
        .to_vec(),
        6 => vec![format!("{}-{}-{}", &digits[..2], &digits[2..4], &digits[4..])],
        _ => Vec::new(),
    };
    let mut found: Vec<FindTerm> = Vec::new();
    for term in spaced.iter().flat_map(|text| dates(text, this_year)) {
        if !found.contains(&term) {
            found.push(term);
        }
    }
    found
}

fn ymd(y: u32, m: u32, d: u32) -> Option<String> {
    ((1850..=2150).contains(&y) && (1..=12).contains(&m) && (1..=31).contains(&d))
        .then(|| format!("{y:04}{m:02}{d:02}"))
}

/// Every date the text may mean, as index words; none when it is no whole date.
fn dates(text: &str, this_year: u32) -> Vec<FindTerm> {
    // "März".
    let lower = text.to_lowercase().replace('ä', "a");
    let mut parts: Vec<String> = Vec::new();
    for c in lower.chars() {
        let same_kind = parts
            .last()
            .and_then(|p| p.chars().next())
            .is_some_and(|f| f.is_ascii_digit() == c.is_ascii_digit());
        match c {
            '-' | '/' | '.' => parts.push(String::new()),
            c if c.is_ascii_alphanumeric() => match parts.last_mut() {
                Some(p) if p.is_empty() || same_kind => p.push(c),
                _ => parts.push(c.to_string()),
            },
            _ => return Vec::new(),
        }
    }
    parts.retain(|p| !p.is_empty());
    let [a, b, c] = parts.as_slice() else {
        return Vec::new();
    };
    let month = |t: &str| {
        MONTHS
            .iter()
            .position(|names| t.len() >= 3 && names.iter().any(|m| t.starts_with(m)))
            .map(|i| i as u32 + 1)
    };
    let number = |t: &str| t.parse::<u32>().ok().filter(|_| t.len() <= 4);
    let years = |t: &str| -> Vec<u32> {
        match (t.len(), number(t)) {
            (4, Some(y)) => vec![y],
            (2, Some(y)) => [1900 + y, 2000 + y]
                .into_iter()
                .filter(|y| *y <= this_year)
                .collect(),
            _ => Vec::new(),
        }
    };
    let mut found: Vec<String> = Vec::new();
    let mut push = |y: u32, m: Option<u32>, d: Option<u32>| {
        if let Some(date) = m.zip(d).and_then(|(m, d)| ymd(y, m, d))
            && !found.contains(&date)
        {
            found.push(date);
        }
    };
    if a.len() == 4 && number(a).is_some() {
        for y in years(a) {
            push(y, month(b).or_else(|| number(b)), number(c));
        }
    } else {
        for y in years(c) {
            if month(b).is_some() {
                push(y, month(b), number(a));
            } else if month(a).is_some() {
                push(y, month(a), number(b));
            } else {
                push(y, number(b), number(a));
                push(y, number(a), number(b));
            }
        }
    }
    found.iter().map(|d| term('d', d, false)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Vec<String>> {
        let q = Query::read(text, 2026);
        q.groups
            .iter()
            .map(|g| {
                g.iter()
                    .map(|t| format!("{}{}", t.text, if t.prefix { "*" } else { "" }))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn table_of_queries() {
        for (typed, groups) in [
            ("Li", vec![vec!["nli*"]]),
            ("smith jo", vec![vec!["nsmith*"], vec!["njo*"]]),
            ("SMITH, John", vec![vec!["nsmith*"], vec!["njohn*"]]),
            ("O'Brien", vec![vec!["nobrien*"]]),
            ("Smith-Jones", vec![vec!["nsmith*"], vec!["njones*"]]),
            ("Müller", vec![vec!["nmuller*"]]),
            ("44710932", vec![vec!["m44710932*"]]),
            ("4471 0932", vec![vec!["m44710932*"]]),
            ("1964", vec![vec!["m1964*", "d1964*"]]),
            ("19640312", vec![vec!["m19640312*", "d19640312"]]),
            ("12031964", vec![vec!["m12031964*", "d19640312", "d19641203"]]),
            ("120364", vec![vec!["m120364*", "d19640312", "d19641203"]]),
            ("130364", vec![vec!["m130364*", "d19640313"]]),
            ("ED-07", vec![vec!["bed7", "med07*"]]),
            ("ed7", vec![vec!["ned7*", "med7*", "bed7"]]),
            ("bed 07", vec![vec!["b7", "bbed7"]]),
            ("Bett 2a", vec![vec!["b2a", "bbett2a"]]),
            ("7", vec![vec!["m7*", "b7"]]),
            ("smith 7", vec![vec!["nsmith*"], vec!["m7*", "b7"]]),
            ("12mar64", vec![vec!["d19640312", "m12mar64*"]]),
            ("12mar1964", vec![vec!["d19640312", "m12mar1964*"]]),
            ("12-Mar-1964", vec![vec!["d19640312", "m12mar1964*"]]),
            ("12 march 1964", vec![vec!["d19640312"]]),
            ("12 März 1964", vec![vec!["d19640312"]]),
            ("3okt64", vec![vec!["d19641003", "m3okt64*"]]),
            (
                "12.5.1964 Mai",
                vec![vec!["d19640512", "d19641205", "m1251964*"], vec!["nmai*"]],
            ),
            ("12-03-1964", vec![vec!["d19640312", "d19641203", "m12031964*"]]),
            ("12/13/1964", vec![vec!["d19641213", "m12131964*"]]),
            ("1964-03-12", vec![vec!["d19640312", "m19640312*"]]),
            ("12 03 1964", vec![vec!["m12031964*", "d19640312", "d19641203"]]),
            ("1mar20", vec![vec!["d19200301", "d20200301", "m1mar20*"]]),
            ("1mar64 smi", vec![vec!["d19640301", "m1mar64*"], vec!["nsmi*"]]),
            ("AB123", vec![vec!["nab123*", "mab123*", "bab123"]]),
            ("AB1234", vec![vec!["nab1234*", "mab1234*"]]),
            ("\" OR *", vec![vec!["nor*"]]),
            ("", vec![]),
            (" -,; ", vec![]),
        ] {
            assert_eq!(read(typed), groups, "{typed}");
        }
    }

    #[test]
    fn an_exact_family_name_ranks_first() {
        let q = Query::read("li", 2026);
        let exact = q.rank("nli nwei m1 d19640312", "li");
        let given = q.rank("nchen nli m2", "chen");
        let begins = q.rank("nlinda nsmith m3", "smith");
        assert!(
            exact.1 < given.1 && given.1 < begins.1,
            "{exact:?} {given:?} {begins:?}"
        );
        assert_eq!(
            Query::read("12mar64", 2026).rank("nli d19640312", "li").0,
            Matched::Born
        );
        assert_eq!(
            Query::read("4471", 2026).rank("nli m44710932", "li").0,
            Matched::Number
        );
    }
}
