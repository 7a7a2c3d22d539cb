//! When a refusal leaves: on the next beat after its request came (ADR 52).
//!
//! The words of what is another ward's, too confidential or not there at all are the same. On the way to them more or less is looked up, and
//! without a beat their time told which it was (`bench leaks`). Called by the router for each answer, and by batches for each entry: many
//! questions in one request would tell it by their sum.

use super::oauth::authorize::ANSWER;
use axum::http::StatusCode;
use std::time::{Duration, Instant};

/// Longer than nearly every refusal takes by itself.
const BEAT: Duration = Duration::from_millis(10);

/// Whether a status refuses what may be there.
const fn refuses(status: StatusCode) -> bool {
    matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

/// Whether an answer waits for the beat: a refusal about what the records hold. The page on which a person lets a program in refuses in
/// its words alone.
fn is_due(path: &str, status: StatusCode) -> bool {
    let of_records = ["/fhir", "/emergency", "/dicomweb", "/auth/launch"]
        .iter()
        .any(|at| path.starts_with(at));
    of_records && refuses(status) || path == ANSWER
}

/// Holds an answer to a request that came at `began` until the beat, where it is due.
pub(super) async fn hold(path: &str, status: StatusCode, began: Instant) {
    if is_due(path, status) {
        tokio::time::sleep(from(began.elapsed())).await;
    }
}

/// The same for an entry of a batch.
pub(super) async fn hold_entry(status: StatusCode, began: Instant) {
    if refuses(status) {
        tokio::time::sleep(from(began.elapsed())).await;
    }
}

/// How long an answer waits that took so long: less than a beat, or a whole one.
fn from(took: Duration) -> Duration {
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
            ("/auth/launch", 403, true),
            ("/auth/launch", 200, false),
            (ANSWER, 200, true),
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
