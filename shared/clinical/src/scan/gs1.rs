//! GS1 element strings: application identifiers, what belongs to each, check digits.
//!
//! Source: GS1 General Specifications, chapters 3 (application identifiers), 5.10 and 7.8 (element strings, FNC1), 7.9 (check
//! digits); ISO 18530 for what the bands of patients and staff carry. A string is read whole or not at all.

use super::Unread;

/// What ends a part whose length is not given: FNC1, which a reader sends as ASCII 29.
pub const SEPARATOR: char = '\u{1d}';

/// One part of an element string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its application identifier.
    pub ai: &'static str,
    /// What stands after it.
    pub value: &'a str,
}

/// What an application identifier's value looks like.
struct Form {
    ai: &'static str,
    /// Characters, least and most.
    least: usize,
    most: usize,
    digits: bool,
    /// The last digit is a check digit.
    checked: bool,
    /// Of a predefined length: nothing separates it from what follows.
    predefined: bool,
}

const fn fixed(ai: &'static str, length: usize, checked: bool) -> Form {
    Form {
        ai,
        least: length,
        most: length,
        digits: true,
        checked,
        predefined: true,
    }
}

const fn number(ai: &'static str, length: usize, checked: bool) -> Form {
    Form {
        predefined: false,
        ..fixed(ai, length, checked)
    }
}

const fn digits(ai: &'static str, most: usize) -> Form {
    Form {
        ai,
        least: 1,
        most,
        digits: true,
        checked: false,
        predefined: false,
    }
}

const fn text(ai: &'static str, most: usize) -> Form {
    Form {
        digits: false,
        ..digits(ai, most)
    }
}

/// The identifiers of a hospital's labels. Another one is named as not known, and the code is not used.
const FORMS: [Form; 34] = [
    fixed("00", 18, true),
    fixed("01", 14, true),
    fixed("02", 14, true),
    fixed("11", 6, false),
    fixed("13", 6, false),
    fixed("15", 6, false),
    fixed("16", 6, false),
    fixed("17", 6, false),
    fixed("20", 2, false),
    text("10", 20),
    text("21", 20),
    text("22", 20),
    text("235", 28),
    text("240", 30),
    text("241", 30),
    text("250", 30),
    text("253", 30),
    text("254", 20),
    digits("30", 8),
    digits("37", 8),
    fixed("410", 13, true),
    fixed("414", 13, true),
    text("710", 20),
    text("711", 20),
    text("712", 20),
    text("713", 20),
    text("714", 20),
    number("7003", 10, false),
    text("8003", 30),
    text("8004", 30),
    number("8017", 18, true),
    number("8018", 18, true),
    digits("8019", 10),
    text("91", 90),
];

/// Whether the last digit is the check digit of those before it: weights 3 and 1 from the right (GS1 General
/// Specifications 7.9.1). False for what is no digit.
#[must_use]
pub fn check_digit_holds(digits: &str) -> bool {
    if digits.len() < 2 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip([1, 3].into_iter().cycle())
        .map(|(b, weight)| u32::from(b - b'0') * weight)
        .sum();
    sum.is_multiple_of(10)
}

/// The check digit for digits that have none yet. `None` for what is no digit.
#[must_use]
pub fn check_digit(digits: &str) -> Option<char> {
    ('0'..='9').find(|c| check_digit_holds(&format!("{digits}{c}")))
}

/// The parts of an element string, in its order.
///
/// # Errors
/// [`Unread`], at the first part that is not as its application identifier says.
pub fn parts(content: &str) -> Result<Vec<Part<'_>>, Unread> {
    let mut rest = content.trim_start_matches(SEPARATOR);
    let mut found: Vec<Part<'_>> = Vec::new();
    while !rest.is_empty() {
        let form = FORMS
            .iter()
            .find(|f| rest.starts_with(f.ai))
            .ok_or_else(|| Unread::UnknownPart(rest.chars().take(4).collect()))?;
        let body = rest.get(form.ai.len()..).unwrap_or_default();
        let given = body.find(SEPARATOR).unwrap_or(body.len());
        let length = if form.least == form.most {
            form.least
        } else {
            given
        };
        let short = || Unread::Length {
            ai: form.ai,
            wanted: (form.least, form.most),
            got: given.min(body.len()),
        };
        if given < length || length < form.least || length > form.most {
            return Err(short());
        }
        let value = body.get(..length).ok_or_else(short)?;
        if form.digits && !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Unread::NoDigits(form.ai));
        }
        let after = body.get(length..).unwrap_or_default();
        // A reader that leaves out separators: known from bands alone, where the second part has a name that nothing else has.
        let goes_on = form.ai == "8018" && after.starts_with("8019");
        if !form.predefined && !after.is_empty() && !after.starts_with(SEPARATOR) && !goes_on {
            return Err(short());
        }
        if form.checked && !check_digit_holds(value) {
            return Err(Unread::CheckDigit(form.ai));
        }
        found.push(Part { ai: form.ai, value });
        rest = after.trim_start_matches(SEPARATOR);
    }
    Ok(found)
}
