//! Civil dates without a clock: days since 1970 to year, month, day and back (proleptic Gregorian), and the reading of
//! FHIR `date`, `dateTime` and `instant` texts.
//!
//! The day arithmetic is the era method of H. Hinnant, "chrono-compatible low-level date algorithms".

use crate::UtcMs;

/// Milliseconds in a day.
pub const DAY_MS: i64 = 86_400_000;

/// A calendar date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    /// Year, e.g. 2026.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 to 999.
    pub millis: u32,
}

/// Days from 1970-01-01 to a date.
#[must_use]
pub const fn days_from_date(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let m = month as i64;
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + day as i64 - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The date that many days from 1970-01-01: year, month, day.
#[must_use]
pub const fn date_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month as u32, day as u32)
}

/// Days in a month.
#[must_use]
pub const fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl Civil {
    /// The wall clock at `at` in a zone `offset_minutes` east of UTC. Instants outside the years 0 to 9999 are held
    /// at the ends.
    #[must_use]
    pub fn at(at: UtcMs, offset_minutes: i32) -> Self {
        let lowest = days_from_date(0, 1, 1) * DAY_MS;
        let highest = (days_from_date(9999, 12, 31) + 1) * DAY_MS - 1;
        let ms =
            at.0.saturating_add(i64::from(offset_minutes) * 60_000)
                .clamp(lowest, highest);
        let (year, month, day) = date_from_days(ms.div_euclid(DAY_MS));
        let rest = u32::try_from(ms.rem_euclid(DAY_MS)).unwrap_or(0);
        Self {
            year,
            month,
            day,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            millis: rest % 1000,
        }
    }

    /// Milliseconds since 1970, this wall clock taken as UTC.
    #[must_use]
    pub const fn as_utc_ms(&self) -> i64 {
        days_from_date(self.year, self.month, self.day) * DAY_MS
            + self.hour as i64 * 3_600_000
            + self.minute as i64 * 60_000
            + self.second as i64 * 1000
            + self.millis as i64
    }
}

/// How much of a date a FHIR text states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `2019`.
    Year,
    /// `2019-05`.
    Month,
    /// `2019-05-03`.
    Day,
    /// With a time of day.
    Time,
}

/// A FHIR date text, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FhirDate {
    /// The wall clock as written, missing parts at their lowest.
    pub civil: Civil,
    /// How much of it was written.
    pub precision: Precision,
    /// Zone in minutes east of UTC, where written.
    pub offset_minutes: Option<i32>,
}

impl FhirDate {
    /// The earliest instant it may mean; without a zone taken as UTC.
    #[must_use]
    pub fn earliest_ms(&self) -> i64 {
        self.civil.as_utc_ms() - i64::from(self.offset_minutes.unwrap_or(0)) * 60_000
    }
}

/// Reads two or more ASCII digits from the front; gives the number and the rest.
fn digits(text: &str, n: usize) -> Option<(u32, &str)> {
    let head = text.get(..n)?;
    let ok = head.bytes().all(|b| b.is_ascii_digit());
    Some((ok.then(|| head.parse().ok()).flatten()?, text.get(n..)?))
}

/// Reads a FHIR `date`, `dateTime` or `instant`. Seconds may be left out (common in the wild); a leap second is read
/// as the second before it. `None` when it is none of them or names a day that does not exist.
#[must_use]
pub fn parse_fhir(text: &str) -> Option<FhirDate> {
    let (year, rest) = digits(text, 4)?;
    let mut civil = Civil {
        year: i64::from(year),
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        millis: 0,
    };
    let done = |civil, precision| {
        Some(FhirDate {
            civil,
            precision,
            offset_minutes: None,
        })
    };
    if rest.is_empty() {
        return done(civil, Precision::Year);
    }
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    if !(1..=12).contains(&month) {
        return None;
    }
    civil.month = month;
    if rest.is_empty() {
        return done(civil, Precision::Month);
    }
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    if day == 0 || day > days_in_month(civil.year, month) {
        return None;
    }
    civil.day = day;
    if rest.is_empty() {
        return done(civil, Precision::Day);
    }
    parse_time(civil, rest.strip_prefix('T')?)
}

fn parse_time(mut civil: Civil, text: &str) -> Option<FhirDate> {
    let (hour, rest) = digits(text, 2)?;
    let (minute, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    let mut second = 0;
    if let Some(tail) = rest.strip_prefix(':') {
        (second, rest) = digits(tail, 2)?;
    }
    if let Some(tail) = rest.strip_prefix('.') {
        let n = tail.bytes().take_while(u8::is_ascii_digit).count();
        let fraction = tail.get(..n).filter(|f| !f.is_empty())?;
        let three: String = fraction.chars().chain("00".chars()).take(3).collect();
        civil.millis = three.parse().ok()?;
        rest = tail.get(n..)?;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    (civil.hour, civil.minute, civil.second) = (hour, minute, second.min(59));
    let offset_minutes = match rest {
        "" => None,
        "Z" => Some(0),
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let (h, tail) = digits(zone.strip_prefix(['+', '-'])?, 2)?;
            let (m, tail) = digits(tail.strip_prefix(':')?, 2)?;
            if h > 14 || m > 59 || !tail.is_empty() {
                return None;
            }
            Some(sign * i32::try_from(h * 60 + m).ok()?)
        }
    };
    Some(FhirDate {
        civil,
        precision: Precision::Time,
        offset_minutes,
    })
}

/// The earliest instant a FHIR date text may mean, ms since 1970 UTC.
#[must_use]
pub fn parse_fhir_ms(text: &str) -> Option<i64> {
    parse_fhir(text).map(|d| d.earliest_ms())
}

/// A FHIR `instant` in UTC with milliseconds: `2026-11-21T04:31:00.123Z`.
#[must_use]
pub fn instant_utc(at: UtcMs) -> String {
    let c = Civil::at(at, 0);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second, c.millis
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        assert_eq!(days_from_date(1970, 1, 1), 0);
        assert_eq!(days_from_date(2000, 3, 1), 11_017);
        assert_eq!(days_from_date(1969, 12, 31), -1);
        assert_eq!(instant_utc(UtcMs(1_795_235_460_123)), "2026-11-21T04:31:00.123Z");
    }

    #[test]
    fn partial_texts_order_by_the_earliest_instant() {
        let ms = |t| parse_fhir_ms(t).unwrap();
        assert_eq!(ms("2019"), ms("2019-01-01"));
        assert_eq!(ms("2019-05"), ms("2019-05-01T00:00:00Z"));
        assert_eq!(ms("2019-05-03T10:00:00+10:00"), ms("2019-05-03T00:00:00Z"));
        assert_eq!(ms("2019-05-03T10:00:00.5-05:00"), ms("2019-05-03T15:00:00.500Z"));
        assert_eq!(ms("2019-05-03T10:00"), ms("2019-05-03T10:00:00Z"));
        for bad in [
            "",
            "19",
            "2019-13",
            "2019-02-30",
            "2019-05-03T",
            "2019-05-03T25:00:00Z",
            "x2019",
            "2019-5-3",
        ] {
            assert_eq!(parse_fhir_ms(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_day_round_trips(days in -719_162i64..2_932_896) {
            let (y, m, d) = date_from_days(days);
            prop_assert!((1..=12).contains(&m) && d >= 1 && d <= days_in_month(y, m));
            prop_assert_eq!(days_from_date(y, m, d), days);
        }

        #[test]
        fn an_instant_reads_back(ms in -62_135_596_800_000i64..253_402_300_799_999) {
            prop_assert_eq!(parse_fhir_ms(&instant_utc(UtcMs(ms))), Some(ms));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse_fhir(&text);
        }
    }
}
