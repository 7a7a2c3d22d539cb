//! Small values with a form of their own: UIDs, dates, times, numbers in text.
//!
//! Lives here: PS3.5 §6.2 and §9.1. Never here: a calendar, a time zone. Called by [`super::fields`].

use std::fmt;

/// Media Storage Directory Storage: a DICOMDIR.
pub const DIRECTORY: &str = "1.2.840.10008.1.3.10";

/// A UID that can stand in a path and in a URL: 1 to 64 digits and single dots (PS3.5 §9.1). Components that begin
/// with 0 are tolerated: there are scanners that make them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

impl Uid {
    /// Checks it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let ok = text.len() <= 64
            && text
                .split('.')
                .all(|c| !c.is_empty() && c.bytes().all(|b| b.is_ascii_digit()));
        ok.then(|| Self(text.to_owned()))
    }
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Whether a component begins with a 0 that it does not need.
    #[must_use]
    pub fn has_leading_zero(&self) -> bool {
        self.0.split('.').any(|c| c.len() > 1 && c.starts_with('0'))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A date as `YYYYMMDD`; also from `YYYY.MM.DD` of before 1993 (PS3.5 Table 6.2-1, note).
pub fn date(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let plain = match bytes {
        [_, _, _, _, b'.', _, _, b'.', _, _] => text.replace('.', ""),
        [_, _, _, _, _, _, _, _] => text.to_owned(),
        _ => return None,
    };
    if !plain.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let month: u8 = plain.get(4..6)?.parse().ok()?;
    let day: u8 = plain.get(6..8)?.parse().ok()?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(plain)
}

/// A time as `HH[MM[SS[.F…]]]`; also from `HH:MM:SS` of before 1993.
pub fn time(text: &str) -> Option<String> {
    let plain = text.replace(':', "");
    let (whole, fraction) = plain
        .split_once('.')
        .map_or((plain.as_str(), None), |(w, f)| (w, Some(f)));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let two = |at: usize, most: u8| match whole.get(at..at + 2) {
        Some(t) => t.parse::<u8>().is_ok_and(|n| n <= most),
        None => whole.len() == at,
    };
    let ok = matches!(whole.len(), 2 | 4 | 6)
        && digits(whole)
        && two(0, 23)
        && (whole.len() < 4 || two(2, 59))
        && (whole.len() < 6 || two(4, 60))
        && fraction.is_none_or(|f| whole.len() == 6 && (1..=6).contains(&f.len()) && digits(f));
    ok.then(|| plain.clone())
}

/// A decimal that is finite.
pub fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if !plain {
        return None;
    }
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

/// A whole number.
pub fn integer(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids() {
        for bad in [
            "",
            ".",
            "1.",
            "1..2",
            "../etc",
            "1.2/3",
            "1.2\\3",
            "1.2.a",
            "1 2",
            &"1".repeat(65),
        ] {
            assert_eq!(Uid::new(bad), None, "{bad}");
        }
        assert!(!Uid::new("1.2.840.0").unwrap().has_leading_zero());
        assert!(Uid::new("1.02").unwrap().has_leading_zero());
    }

    #[test]
    fn dates_times_and_numbers() {
        assert_eq!(date("20260228").as_deref(), Some("20260228"));
        assert_eq!(date("1992.02.03").as_deref(), Some("19920203"));
        for bad in ["", "2026", "20261301", "20260100", "2026-1-1", "ANON    "] {
            assert_eq!(date(bad), None, "{bad}");
        }
        for good in ["10", "1030", "103059", "103059.1", "103059.123456"] {
            assert_eq!(time(good).as_deref(), Some(good));
        }
        assert_eq!(time("10:30:59").as_deref(), Some("103059"));
        for bad in [
            "",
            "1",
            "24",
            "1060",
            "103061",
            "1030.5",
            "103059.1234567",
            "abcdef",
        ] {
            assert_eq!(time(bad), None, "{bad}");
        }
        assert_eq!(decimal(" 1.5e1 "), Some(15.0));
        for bad in ["", "nan", "inf", "1,5", "1e999"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
