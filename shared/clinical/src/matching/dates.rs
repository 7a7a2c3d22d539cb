//! Birth dates as they are compared, and those that stand for "not known".

use super::compare::Level;

/// A birth date, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Born {
    pub(super) year: u16,
    month: Option<u8>,
    day: Option<u8>,
}

/// Years from which a date of birth can be.
const YEARS: std::ops::RangeInclusive<u16> = 1890..=2199;

impl Born {
    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD` (FHIR `date`); `None` for anything else, and for what is written where
    /// nobody knows: the first of January of any year (and so 1900-01-01), the year 1900 alone, 1911-11-11.
    pub(super) fn read(text: &str) -> Option<Self> {
        let number = |t: &str, digits: usize| {
            (t.len() == digits && t.bytes().all(|b| b.is_ascii_digit()))
                .then(|| t.parse::<u16>().ok())
                .flatten()
        };
        let small = |t: &str, most: u16| {
            number(t, 2)
                .filter(|n| (1..=most).contains(n))
                .and_then(|n| u8::try_from(n).ok())
        };
        let parts: Vec<&str> = text.trim().split('-').collect();
        let born = match parts.as_slice() {
            [y] => Self {
                year: number(y, 4)?,
                month: None,
                day: None,
            },
            [y, m] => Self {
                year: number(y, 4)?,
                month: Some(small(m, 12)?),
                day: None,
            },
            [y, m, d] => Self {
                year: number(y, 4)?,
                month: Some(small(m, 12)?),
                day: Some(small(d, 31)?),
            },
            _ => return None,
        };
        let nobody = matches!(
            (born.year, born.month, born.day),
            (_, Some(1), Some(1)) | (1900, None, None) | (1911, Some(11), Some(11))
        );
        (YEARS.contains(&born.year) && !nobody).then_some(born)
    }

    /// The whole date with day and month in order of size: the same for both ways to write them.
    pub(super) fn either_way(self) -> Option<String> {
        let (month, day) = (self.month?, self.day?);
        Some(format!("{}{:02}{:02}", self.year, month.min(day), month.max(day)))
    }

    /// How two dates agree.
    pub(super) fn level(self, other: Self) -> Level {
        let (Some(m), Some(n)) = (self.month, other.month) else {
            return if self.year == other.year {
                Level::Year
            } else {
                Level::Differs
            };
        };
        let (Some(d), Some(e)) = (self.day, other.day) else {
            return if (self.year, m) == (other.year, n) {
                Level::Month
            } else {
                Level::Differs
            };
        };
        if self == other {
            Level::Exact
        } else if self.year == other.year && m == e && d == n {
            Level::Swapped
        } else if one_slip(&digits(self.year, m, d), &digits(other.year, n, e)) {
            Level::Near
        } else {
            Level::Differs
        }
    }
}

fn digits(year: u16, month: u8, day: u8) -> String {
    format!("{year:04}{month:02}{day:02}")
}

/// Whether texts of one length differ in one sign, or in two neighbours changed about.
fn one_slip(a: &str, b: &str) -> bool {
    let off: Vec<(usize, (char, char))> = a
        .chars()
        .zip(b.chars())
        .enumerate()
        .filter(|(_, (x, y))| x != y)
        .collect();
    match off.as_slice() {
        [_] => true,
        [(i, (x, y)), (j, (v, w))] => i + 1 == *j && x == w && y == v,
        _ => false,
    }
}
