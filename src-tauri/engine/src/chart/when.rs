//! When something recorded happened, for lists in the order of time. The words beside it say what is really recorded.
//!
//! Lives here: the first instant that a recorded date may mean, and its year. Never here: words. Called by `blocks`, `record` and
//! `images::words`.

use crate::clock::Clock;
use vitrine_clinical::UtcMs;
use vitrine_clinical::chart::PartialDate;
use vitrine_clinical::format::civil::{Civil, parse_fhir};

/// The first instant that a recorded date may mean; what states no zone is of the local clock. `None` for what is no date.
pub(crate) fn first(date: &PartialDate, clock: &Clock) -> Option<UtcMs> {
    first_in(date, &|at| clock.zone_minutes(at))
}

/// The year of an instant by the local clock.
pub(crate) fn year(at: UtcMs, clock: &Clock) -> i32 {
    year_in(at, clock.zone_minutes(at))
}

fn first_in(date: &PartialDate, zone: &dyn Fn(UtcMs) -> i32) -> Option<UtcMs> {
    let read = parse_fhir(date.as_str())?;
    let at = UtcMs(read.earliest_ms());
    if read.offset_minutes.is_some() {
        return Some(at);
    }
    // The zone of about then, and with it that of then.
    let less = |at: UtcMs, minutes: i32| at.plus_ms(-i64::from(minutes) * 60_000);
    Some(less(at, zone(less(at, zone(at)))))
}

fn year_in(at: UtcMs, offset_minutes: i32) -> i32 {
    i32::try_from(Civil::at(at, offset_minutes).year).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::format::civil::parse_fhir_ms;

    #[test]
    fn a_partial_date_is_put_where_it_begins_by_the_local_clock() {
        let turns = UtcMs(parse_fhir_ms("2026-03-29T01:00:00Z").unwrap());
        let central = move |at: UtcMs| if at < turns { 60 } else { 120 };
        for (text, begins, year) in [
            ("2026", "2026-01-01T00:00:00+01:00", 2026),
            ("2015-03", "2015-03-01T00:00:00+01:00", 2015),
            ("2026-03-29", "2026-03-29T00:00:00+01:00", 2026),
            ("2026-05-03", "2026-05-03T00:00:00+02:00", 2026),
            ("2026-05-03T08:14", "2026-05-03T08:14:00+02:00", 2026),
            // What states its zone is kept; the year is that of the words.
            ("2025-12-31T23:30:00Z", "2025-12-31T23:30:00Z", 2026),
        ] {
            let at = first_in(&PartialDate::new(text), &central).unwrap();
            assert_eq!(at.0, parse_fhir_ms(begins).unwrap(), "{text}");
            assert_eq!(year_in(at, central(at)), year, "{text}");
        }
        assert_eq!(first_in(&PartialDate::new("last spring"), &central), None);
    }
}
