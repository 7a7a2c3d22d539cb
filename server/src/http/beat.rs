//! When a refusal leaves: on the next beat after its request came (ADR 52).
//!
//! The words of what is another ward's, too confidential or not there at all are the same. On the way to them more or less is looked up, and
//! without a beat their time told which it was (`bench leaks`). Pure; called by the router.

use axum::http::StatusCode;
use std::time::Duration;

/// Longer than nearly every refusal takes by itself.
const BEAT: Duration = Duration::from_millis(10);

/// Whether an answer waits for the beat: a refusal about what the records hold.
pub(super) fn is_due(path: &str, status: StatusCode) -> bool {
    let refuses = status == StatusCode::FORBIDDEN || status == StatusCode::NOT_FOUND;
    refuses
        && ["/fhir", "/emergency", "/dicomweb"]
            .iter()
            .any(|at| path.starts_with(at))
}

/// How long an answer waits that took so long: less than a beat, or a whole one.
pub(super) fn from(took: Duration) -> Duration {
    let into = took.as_nanos() % BEAT.as_nanos();
    BEAT.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_about_records_leave_on_the_beat_and_nothing_else_waits() {
        for (path, status, due) in [
            ("/fhir/Patient/p", 403, true),
            ("/fhir/Patient/p", 404, true),
            ("/emergency/p", 403, true),
            ("/dicomweb/studies/1.2", 404, true),
            ("/fhir/Patient/p", 200, false),
            ("/fhir/Patient/p", 401, false),
            ("/fhir/Patient/p", 503, false),
            ("/console/api/reviews/x", 404, false),
            ("/auth/login", 403, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_due(path, status), due, "{path} {status}");
        }
        for us in [0, 1, 1_600, 2_100, 9_999, 10_000, 10_001, 33_333] {
            let took = Duration::from_micros(us);
            let all = took + from(took);
            assert_eq!(all.as_nanos() % BEAT.as_nanos(), 0, "{us}");
            assert!(all > took && all <= took + BEAT, "{us}");
        }
    }
}
