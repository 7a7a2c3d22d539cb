//! Instants and dates as FHIR writes them, from milliseconds; no clock is read here.
//!
//! Never a time zone: the synthetic hospital states every instant in UTC. Called by the writers.

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// The mean Gregorian year.
pub(crate) const YEAR: i64 = DAY * 365 + DAY * 97 / 400;

/// Year, month, day of a count of days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", civil_from_days).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn two(out: &mut String, value: i64) {
    out.push(char::from(b'0' + ((value / 10) % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

/// `YYYY-MM-DD`.
pub(crate) fn date(ms: i64) -> String {
    let (y, m, d) = civil(ms.div_euclid(DAY));
    let mut out = String::with_capacity(10);
    two(&mut out, y / 100);
    two(&mut out, y);
    out.push('-');
    two(&mut out, m);
    out.push('-');
    two(&mut out, d);
    out
}

/// `YYYY-MM`.
pub(crate) fn month(ms: i64) -> String {
    let mut out = date(ms);
    out.truncate(7);
    out
}

/// `YYYY`.
pub(crate) fn year(ms: i64) -> String {
    let mut out = date(ms);
    out.truncate(4);
    out
}

/// `YYYY-MM-DDThh:mm:ssZ`.
pub(crate) fn instant(ms: i64) -> String {
    let mut out = date(ms);
    let second = ms.rem_euclid(DAY) / 1_000;
    out.push('T');
    two(&mut out, second / 3_600);
    out.push(':');
    two(&mut out, second / 60 % 60);
    out.push(':');
    two(&mut out, second % 60);
    out.push('Z');
    out
}

/// `hh:mm`, for the text of notes.
pub(crate) fn hour_minute(ms: i64) -> String {
    instant(ms).get(11..16).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(instant(0), "1970-01-01T00:00:00Z");
        assert_eq!(instant(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59Z");
        assert_eq!(instant(1_795_321_140_500), "2026-11-22T04:19:00Z");
        assert_eq!(date(-2_208_988_800_000), "1900-01-01");
        assert_eq!((month(0), year(0)), ("1970-01".to_owned(), "1970".to_owned()));
        assert_eq!(hour_minute(1_795_321_140_500), "04:19");
    }
}
