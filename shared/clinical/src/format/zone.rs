//! Times of day in a zone whose offset changes: the hour that comes twice is told apart, and a time of summer shown in winter keeps
//! its own hour.
//!
//! Lives here: what needs the offset of another instant than one. The zone is a function from an instant to minutes east
//! of UTC. Never here: a zone's rules.

use super::civil::{Precision, parse_fhir};
use super::{date, partial_date, time};
use crate::{UtcMs, word};

/// The hours on both sides of an instant in which a change of the offset can repeat its time of day: no zone has moved its
/// clocks back by more than three since there is a common time.
const NEAR_MS: i64 = 3 * 3_600_000;

/// Which of the two instants that have the same date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// Before the clocks went back.
    First,
    /// After.
    Second,
}

/// Whether the time of day at an instant comes twice on its day, and which it is.
#[must_use]
pub fn repeated(at: UtcMs, zone: &dyn Fn(UtcMs) -> i32) -> Option<Repeated> {
    let here = zone(at);
    [-NEAR_MS, NEAR_MS].into_iter().find_map(|near| {
        let other = zone(at.plus_ms(near));
        if other == here {
            return None;
        }
        // With the other offset the same time of day is this instant; it counts if that offset holds there.
        let twin = at.plus_ms(i64::from(here - other) * 60_000);
        (zone(twin) == other).then_some(if at < twin {
            Repeated::First
        } else {
            Repeated::Second
        })
    })
}

/// `UTC+02:00`
fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn told_apart(text: String, at: UtcMs, zone: &dyn Fn(UtcMs) -> i32) -> String {
    let which = match repeated(at, zone) {
        None => return text,
        Some(Repeated::First) => word!("first", "erste"),
        Some(Repeated::Second) => word!("second", "zweite"),
    };
    format!("{text} ({which}, {})", offset(zone(at)))
}

/// `04:31`; `01:30 (first, UTC+02:00)` in the hour that comes twice.
#[must_use]
pub fn time_in(at: UtcMs, zone: &dyn Fn(UtcMs) -> i32) -> String {
    told_apart(time(at, zone(at)), at, zone)
}

/// `21-Nov-2026 04:31`; `25-Oct-2026 02:30 (second, UTC+01:00)` in the hour that comes twice.
#[must_use]
pub fn date_time_in(at: UtcMs, zone: &dyn Fn(UtcMs) -> i32) -> String {
    let minutes = zone(at);
    told_apart(format!("{} {}", date(at, minutes), time(at, minutes)), at, zone)
}

/// [`partial_date`], where a time is moved by the offset of its own instant.
#[must_use]
pub fn partial_date_in(text: &str, zone: &dyn Fn(UtcMs) -> i32) -> String {
    match parse_fhir(text) {
        Some(d) if d.precision == Precision::Time && d.offset_minutes.is_some() => {
            date_time_in(UtcMs(d.earliest_ms()), zone)
        }
        _ => partial_date(text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::civil::parse_fhir_ms;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ms(text: &str) -> UtcMs {
        UtcMs(parse_fhir_ms(text).unwrap())
    }

    /// Central Europe in 2026.
    fn central(at: UtcMs) -> i32 {
        let summer = ms("2026-03-29T01:00:00Z").0..ms("2026-10-25T01:00:00Z").0;
        if summer.contains(&at.0) { 120 } else { 60 }
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_apart() {
        for (at, want) in [
            ("2026-10-24T23:59:00Z", "25-Oct-2026 01:59"),
            ("2026-10-25T00:00:00Z", "25-Oct-2026 02:00 (first, UTC+02:00)"),
            ("2026-10-25T00:59:00Z", "25-Oct-2026 02:59 (first, UTC+02:00)"),
            ("2026-10-25T01:00:00Z", "25-Oct-2026 02:00 (second, UTC+01:00)"),
            ("2026-10-25T01:59:00Z", "25-Oct-2026 02:59 (second, UTC+01:00)"),
            ("2026-10-25T02:00:00Z", "25-Oct-2026 03:00"),
            ("2026-03-29T00:59:00Z", "29-Mar-2026 01:59"),
            ("2026-03-29T01:00:00Z", "29-Mar-2026 03:00"),
            ("2026-11-27T12:00:00Z", "27-Nov-2026 13:00"),
        ] {
            assert_eq!(date_time_in(ms(at), &central), want, "{at}");
        }
        assert_eq!(
            time_in(ms("2026-10-25T01:30:00Z"), &central),
            "02:30 (second, UTC+01:00)"
        );
        // Half an hour, south of the equator and west of Greenwich.
        let change = ms("2026-04-04T15:00:00Z");
        let half = move |at: UtcMs| if at < change { 660 } else { 630 };
        assert_eq!(
            date_time_in(ms("2026-04-04T15:10:00Z"), &half),
            "05-Apr-2026 01:40 (second, UTC+10:30)"
        );
        assert_eq!(
            date_time_in(ms("2026-04-04T15:40:00Z"), &half),
            "05-Apr-2026 02:10"
        );
        assert_eq!(offset(-210), "UTC-03:30");
    }

    #[test]
    fn a_time_of_summer_keeps_its_hour_in_winter() {
        assert_eq!(
            partial_date_in("2026-07-01T12:00:00Z", &central),
            "01-Jul-2026 14:00"
        );
        assert_eq!(partial_date_in("2026-07-01", &central), "01-Jul-2026");
        assert_eq!(partial_date_in("2026-07", &central), "Jul-2026");
        assert_eq!(partial_date_in("last summer", &central), "last summer");
    }

    proptest! {
        /// No reading is lost: every minute around a change has words of its own, whichever way and however far the clocks go.
        #[test]
        fn every_minute_has_its_own_words(change in 0i64..2_000_000_000, before in -12 * 4i32..14 * 4, by in -8i32..=8) {
            let change = change * 1_000 / 60_000 * 60_000;
            let zone = move |at: UtcMs| if at.0 < change { before * 15 } else { (before + by) * 15 };
            let minutes = -300i64..300;
            let words: BTreeSet<String> = minutes
                .clone()
                .map(|m| date_time_in(UtcMs(change + m * 60_000), &zone))
                .collect();
            prop_assert_eq!(words.len(), minutes.count());
        }
    }
}
