//! Decimals and dates as they are compared: exactly, as the ranges that their precision means.
//!
//! R4 search, "number", "date" and "prefixes" (hl7.org/fhir/R4/search.html#prefix). No decimal passes through a float.

use std::cmp::Ordering;
use vitrine_clinical::format::civil::{days_from_date, days_in_month};

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// Within the precision of what was asked. Without a prefix too.
    Eq,
    /// Not that.
    Ne,
    /// Greater.
    Gt,
    /// Less.
    Lt,
    /// Greater, or within the precision.
    Ge,
    /// Less, or within the precision.
    Le,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
    /// About: numbers within a tenth, dates that overlap.
    Ap,
}

impl Prefix {
    const ALL: [(&'static str, Self); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("gt", Self::Gt),
        ("lt", Self::Lt),
        ("ge", Self::Ge),
        ("le", Self::Le),
        ("sa", Self::Sa),
        ("eb", Self::Eb),
        ("ap", Self::Ap),
    ];

    /// The prefix of a text, and the rest.
    pub(super) fn split(text: &str) -> (Self, &str) {
        let found = Self::ALL
            .iter()
            .find_map(|(word, p)| Some((*p, text.strip_prefix(word)?)));
        found.unwrap_or((Self::Eq, text))
    }
}

/// A decimal: `digits` times ten to the power of minus `scale`. At most 18 significant digits, as R4 asks of everybody.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: i128,
    scale: i32,
}

/// Most significant digits, and most places on either side of the point.
const DIGITS: usize = 18;

impl Decimal {
    /// Reads one, with an exponent too; `None` for what is none or has too many digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, plain) = match mantissa.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
        let all: String = format!("{whole}{part}");
        let plain = !whole.is_empty() && all.bytes().all(|b| b.is_ascii_digit());
        if !plain || all.trim_start_matches('0').len() > DIGITS || exponent.unsigned_abs() as usize > DIGITS {
            return None;
        }
        let scale = i32::try_from(part.len()).ok()?.checked_sub(exponent)?;
        (scale.unsigned_abs() as usize <= DIGITS).then_some(())?;
        let digits: i128 = all.parse().ok()?;
        Some(Self {
            digits: sign * digits,
            scale,
        })
    }

    /// As many digits at this scale, doubled, so that half a unit is whole.
    fn doubled_at(self, scale: i32) -> i128 {
        let up = u32::try_from(scale - self.scale).unwrap_or(0);
        self.digits
            .saturating_mul(10_i128.saturating_pow(up))
            .saturating_mul(2)
    }

    /// Whether another lies within its precision: half a unit of the last digit written, to both sides.
    fn covers(self, other: Self) -> bool {
        let scale = self.scale.max(other.scale);
        let (own, unit) = (
            self.doubled_at(scale),
            Self {
                digits: 1,
                scale: self.scale,
            }
            .doubled_at(scale),
        );
        let other = other.doubled_at(scale);
        own - unit / 2 <= other && other < own + unit / 2
    }

    /// Whether another is within a tenth of it.
    fn is_about(self, other: Self) -> bool {
        let scale = self.scale.max(other.scale);
        let (own, other) = (self.doubled_at(scale), other.doubled_at(scale));
        (own - other).abs().saturating_mul(10) <= own.abs()
    }

    /// The same number with the shortest text.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{}e{}", self.digits, -self.scale)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        self.doubled_at(scale).cmp(&other.doubled_at(scale))
    }
}

/// What a resource says of a number: the least and the greatest that it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) low: Option<Decimal>,
    pub(super) high: Option<Decimal>,
}

/// Whether a number of a resource is what was asked.
pub(super) fn number(prefix: Prefix, asked: Decimal, is: Span) -> bool {
    let within = is.low.is_some_and(|l| asked.covers(l)) && is.high.is_some_and(|h| asked.covers(h));
    let above = is.high.is_none_or(|h| h > asked);
    let below = is.low.is_none_or(|l| l < asked);
    match prefix {
        Prefix::Eq => within,
        Prefix::Ne => !within,
        Prefix::Gt => above,
        Prefix::Lt => below,
        Prefix::Ge => above || within || is.high.is_some_and(|h| h == asked),
        Prefix::Le => below || within || is.low.is_some_and(|l| l == asked),
        Prefix::Sa => is.low.is_some_and(|l| l > asked),
        Prefix::Eb => is.high.is_some_and(|h| h < asked),
        Prefix::Ap => match (is.low, is.high) {
            (Some(low), Some(high)) => {
                asked.is_about(low) || asked.is_about(high) || (low <= asked && asked <= high)
            }
            _ => above && below,
        },
    }
}

/// A stretch of time in milliseconds since 1970 UTC: from its beginning up to, and without, its end. What is open is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Time {
    /// All of it.
    pub(super) const ALWAYS: Self = Self {
        from: i64::MIN,
        until: i64::MAX,
    };

    /// A date, dateTime or instant as far as it is precise. What gives no zone is read as UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.split_once('T').map_or((text, None), |(d, c)| (d, Some(c)));
        let mut parts = date.split('-');
        let year: i64 = digits(parts.next()?, 4)?;
        let month = parts.next().map(|m| digits(m, 2)).transpose_some()?;
        let day = parts.next().map(|d| digits(d, 2)).transpose_some()?;
        if parts.next().is_some() || year == 0 {
            return None;
        }
        let month_is = u32::try_from(month.unwrap_or(1)).ok()?;
        let day_is = u32::try_from(day.unwrap_or(1)).ok()?;
        if !(1..=12).contains(&month_is) || !(1..=days_in_month(year, month_is)).contains(&day_is) {
            return None;
        }
        const DAY: i64 = 86_400_000;
        let from = days_from_date(year, month_is, day_is) * DAY;
        let Some(clock) = clock else {
            let until = match (month, day) {
                (None, _) => days_from_date(year + 1, 1, 1) * DAY,
                (Some(12), None) => days_from_date(year + 1, 1, 1) * DAY,
                (Some(_), None) => days_from_date(year, month_is + 1, 1) * DAY,
                (Some(_), Some(_)) => from + DAY,
            };
            return Some(Self { from, until });
        };
        day?;
        let zone_at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
        let (time, zone) = clock.split_at_checked(zone_at)?;
        let (whole, part) = time.split_once('.').map_or((time, None), |(w, p)| (w, Some(p)));
        let mut parts = whole.split(':');
        let hour = digits(parts.next()?, 2)?;
        let minute = digits(parts.next()?, 2)?;
        let second = parts.next().map(|s| digits(s, 2)).transpose_some()?;
        if parts.next().is_some() || hour > 23 || minute > 59 || second.is_some_and(|s| s > 60) {
            return None;
        }
        let mut at = from + hour * 3_600_000 + minute * 60_000 + second.unwrap_or(0) * 1000;
        let mut long = if second.is_some() { 1000 } else { 60_000 };
        if let Some(part) = part {
            second?;
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let thousandths: String = format!("{part}00").chars().take(3).collect();
            at += thousandths.parse::<i64>().ok()?;
            long = match part.len() {
                1 => 100,
                2 => 10,
                _ => 1,
            };
        }
        let offset = match zone {
            "" | "Z" => 0,
            zone => {
                let (hours, minutes) = zone.get(1..)?.split_once(':')?;
                let minutes = digits(hours, 2)? * 60 + digits(minutes, 2)?;
                if zone.starts_with('-') { -minutes } else { minutes }
            }
        };
        let at = at - offset * 60_000;
        Some(Self {
            from: at,
            until: at + long,
        })
    }
}

fn digits(text: &str, n: usize) -> Option<i64> {
    (text.len() == n && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `Some(None)` where nothing was there, `None` where what was there is unfit.
trait Transposed<T> {
    fn transpose_some(self) -> Option<Option<T>>;
}
impl<T> Transposed<T> for Option<Option<T>> {
    fn transpose_some(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(None) => None,
            Some(Some(v)) => Some(Some(v)),
        }
    }
}

/// Whether a time of a resource is what was asked.
pub(super) const fn date(prefix: Prefix, asked: Time, is: Time) -> bool {
    let within = asked.from <= is.from && is.until <= asked.until;
    match prefix {
        Prefix::Eq => within,
        Prefix::Ne => !within,
        Prefix::Gt => is.until > asked.until,
        Prefix::Lt => is.from < asked.from,
        Prefix::Ge => within || is.until > asked.until,
        Prefix::Le => within || is.from < asked.from,
        Prefix::Sa => is.from >= asked.until,
        Prefix::Eb => is.until <= asked.from,
        Prefix::Ap => is.from < asked.until && asked.from < is.until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        Span {
            low: Decimal::parse(low),
            high: Decimal::parse(high),
        }
    }

    #[test]
    fn numbers_are_compared_by_the_precision_they_were_asked_with() {
        let cases = [
            ("100", "100.4", true),
            ("100", "99.5", true),
            ("100", "100.5", false),
            ("100.0", "100.04", true),
            ("100.00", "100.04", false),
            ("1e2", "100.4", true),
            ("gt100", "100.0000001", true),
            ("gt100", "100", false),
            ("lt5.4", "5.39", true),
            ("ge5.4", "5.4", true),
            ("ge5.4", "5.3", false),
            ("ge5.4", "5.40", true),
            ("le5.4", "5.40", true),
            ("ne5.4", "5.41", false),
            ("ne5.4", "5.5", true),
            ("sa5", "5.1", true),
            ("eb5", "4.9", true),
            ("ap100", "91", true),
            ("ap100", "89", false),
            ("ap-100", "-109", true),
            ("0.1", "0.10", true),
            ("5", "4.8..5.2", true),
            ("5", "4.8..6", false),
            ("gt5", "4..6", true),
            ("sa5", "4..6", false),
            ("gt5", "..", true),
            ("0.000000000000000001", "0.000000000000000001", true),
        ];
        for (asked, is, fits) in cases {
            let (prefix, text) = Prefix::split(asked);
            let asked_is = Decimal::parse(text).unwrap();
            assert_eq!(number(prefix, asked_is, span(is)), fits, "{asked} of {is}");
        }
        for text in [
            "",
            ".",
            "1.",
            "x",
            "1.2.3",
            "--1",
            "1e",
            "1e99",
            "1234567890123456789",
            "NaN",
        ] {
            // "1." has a whole part and an empty one: a number to us, as to most.
            assert_eq!(Decimal::parse(text).is_some(), text == "1.", "{text}");
        }
    }

    #[test]
    fn dates_are_compared_as_the_time_they_last() {
        let cases = [
            ("2026", "2026-03-01", true),
            ("2026-03", "2026-03-31T23:59:59Z", true),
            ("2026-03-01", "2026-03-01T10:00:00+02:00", true),
            ("2026-03-01", "2026-03-01T00:30:00+01:00", false),
            ("2026-03-01", "2026-03", false),
            ("gt2026-03-01", "2026-03-01T23:00:00Z", false),
            ("gt2026-03-01", "2026-03", true),
            ("ge2026-03-01", "2026-03-01T00:00:00Z", true),
            ("lt2026-03-01", "2026-02-28", true),
            ("lt2026-03-01", "2026-03-01", false),
            ("le2026-03-01", "2026-03-01T12:00:00Z", true),
            ("sa2026-03-01", "2026-03-02", true),
            ("sa2026-03-01", "2026-03-01T23:59:59Z", false),
            ("eb2026-03-01", "2026-02-28T23:59:59.999Z", true),
            ("ne2026-03-01", "2026-03-02", true),
            ("ap2026-03", "2026-03-15", true),
            ("2026-03-01T10:00Z", "2026-03-01T10:00:30Z", true),
            ("2026-03-01T10:00:30Z", "2026-03-01T10:00:30.25Z", true),
            ("2024-02-29", "2024-02-29", true),
        ];
        for (asked, is, fits) in cases {
            let (prefix, text) = Prefix::split(asked);
            assert_eq!(
                date(prefix, Time::parse(text).unwrap(), Time::parse(is).unwrap()),
                fits,
                "{asked} of {is}"
            );
        }
        for text in [
            "",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-3-1",
            "2026-03-01T",
            "2026-03-01T25:00Z",
            "2026T10:00Z",
            "2026-03-01T10:00:00+2",
            "yesterday",
            "2026-03-01T10:00:00.Z",
            "0000",
        ] {
            assert!(Time::parse(text).is_none(), "{text}");
        }
    }
}
