//! Points in time: HL7's `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]` (data type DTM) as FHIR dates.

use crate::json::Json;
use vitrine_clinical::format::civil::{DAY_MS, days_from_date, days_in_month};

/// The minutes east of UTC of a place's clocks when they show a time: year, month, day, hour, minute. Of an hour that comes
/// twice the first is meant.
pub type Zone<'z> = dyn Fn(i64, u32, u32, u32, u32) -> i32 + Sync + 'z;

/// A point in time, as precise as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    fhir: String,
    at_ms: i64,
    clock: bool,
}

impl Stamp {
    /// Reads one. A time of day without an offset is of `zone`.
    #[must_use]
    pub fn read(text: &str, zone: &Zone<'_>) -> Option<Self> {
        let text = text.trim();
        let at = text.find(['+', '-']).unwrap_or(text.len());
        let (digits, offset) = text.split_at_checked(at)?;
        let (digits, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if !digits.bytes().all(|b| b.is_ascii_digit()) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u32>().ok();
        let year = i64::from(number(0, 4)?);
        if !(1800..=2200).contains(&year) {
            return None;
        }
        let month = match digits.len() {
            4 => return Some(Self::day_only(format!("{year:04}"), year, 1, 1)),
            n if n >= 6 => number(4, 6)?,
            _ => return None,
        };
        if !(1..=12).contains(&month) {
            return None;
        }
        if digits.len() == 6 {
            return Some(Self::day_only(format!("{year:04}-{month:02}"), year, month, 1));
        }
        let day = number(6, 8)?;
        if day == 0 || day > days_in_month(year, month) {
            return None;
        }
        let date = format!("{year:04}-{month:02}-{day:02}");
        if digits.len() == 8 {
            return Some(Self::day_only(date, year, month, day));
        }
        let hour = number(8, 10)?;
        let minute = if digits.len() > 10 { number(10, 12)? } else { 0 };
        let second = if digits.len() > 12 { number(12, 14)? } else { 0 };
        if digits.len() > 14 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let minutes = if offset.is_empty() {
            zone(year, month, day, hour, minute)
        } else {
            read_offset(offset)?
        };
        let millis: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let part = if fraction.is_empty() {
            String::new()
        } else {
            format!(".{millis:03}")
        };
        let (sign, away) = if minutes < 0 {
            ('-', -minutes)
        } else {
            ('+', minutes)
        };
        let at_ms = days_from_date(year, month, day) * DAY_MS
            + i64::from((hour * 3600 + minute * 60 + second) * 1000 + millis)
            - i64::from(minutes) * 60_000;
        Some(Self {
            fhir: format!(
                "{date}T{hour:02}:{minute:02}:{second:02}{part}{sign}{:02}:{:02}",
                away / 60,
                away % 60
            ),
            at_ms,
            clock: true,
        })
    }

    /// Reads one back from FHIR's text.
    #[must_use]
    pub fn of_fhir(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T').unwrap_or((text, ""));
        let hl7: String = date
            .chars()
            .filter(|c| *c != '-')
            .chain(time.replace('Z', "+0000").chars().filter(|c| *c != ':'))
            .collect();
        Self::read(&hl7, &|_, _, _, _, _| 0)
    }

    fn day_only(fhir: String, year: i64, month: u32, day: u32) -> Self {
        Self {
            fhir,
            at_ms: days_from_date(year, month, day) * DAY_MS,
            clock: false,
        }
    }

    /// As FHIR `dateTime`.
    #[must_use]
    pub fn date_time(&self) -> Json {
        Json::String(self.fhir.clone())
    }
    /// As FHIR `date`: without a time of day.
    #[must_use]
    pub fn date(&self) -> Json {
        let day = self.fhir.split('T').next().unwrap_or_default();
        Json::String(day.to_owned())
    }
    /// As FHIR `instant`; none where the time of day is not known.
    #[must_use]
    pub fn instant(&self) -> Option<Json> {
        self.clock.then(|| Json::String(self.fhir.clone()))
    }
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.fhir
    }
    /// Milliseconds since 1970 UTC, of its beginning where it is a day, month or year: for telling earlier from later.
    #[must_use]
    pub const fn at_ms(&self) -> i64 {
        self.at_ms
    }
    /// Whether it has a time of day.
    #[must_use]
    pub const fn has_clock(&self) -> bool {
        self.clock
    }
}

fn read_offset(text: &str) -> Option<i32> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..)?.parse().ok()?;
    if hours > 14 || minutes > 59 {
        return None;
    }
    let all = hours * 60 + minutes;
    Some(if sign == "-" { -all } else { all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_precise_as_they_were_sent() {
        let cases = [
            ("2026", Some("2026")),
            ("202602", Some("2026-02")),
            ("20260228", Some("2026-02-28")),
            ("2026022814", Some("2026-02-28T14:00:00+02:00")),
            ("202602281405", Some("2026-02-28T14:05:00+02:00")),
            ("20260228140509", Some("2026-02-28T14:05:09+02:00")),
            ("20260228140509.1234-0530", Some("2026-02-28T14:05:09.123-05:30")),
            ("20260228140509.5", Some("2026-02-28T14:05:09.500+02:00")),
            ("20260228140509+0000", Some("2026-02-28T14:05:09+00:00")),
            ("20260229", None),
            ("20261301", None),
            ("20260228250000", None),
            ("2026022", None),
            ("0000", None),
            ("", None),
            ("today", None),
            ("20260228é", None),
            ("20260228140509+9999", None),
            ("202602281405091", None),
        ];
        for (sent, meant) in cases {
            let got = Stamp::read(sent, &|_, _, _, _, _| 120);
            assert_eq!(got.as_ref().map(Stamp::as_str), meant, "{sent}");
        }
    }

    #[test]
    fn earlier_is_told_from_later_across_zones() {
        let at = |t: &str| Stamp::read(t, &|_, _, _, _, _| 60).unwrap().at_ms();
        assert_eq!(at("20260101010000"), at("20260101000000+0000"));
        assert!(at("20260101010000") < at("20260101010001"));
        assert_eq!(at("19700101000000+0000"), 0);
    }
}
