//! The only place of the server that reads a clock or draws a random number.
//!
//! Lives here: the wall clock, operation and access ids, secret bytes. Never here: a decision made from them.
//! Called by everything in the server that needs a time or an id to hand to the pure crates.

use ring::rand::{SecureRandom, SystemRandom};
use vitrine_access::AccessId;
use vitrine_clinical::UtcMs;

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> UtcMs {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    UtcMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A steady clock for measuring how long something took.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn steady() -> std::time::Instant {
    std::time::Instant::now()
}

/// Random bytes from the operating system, fit for keys.
///
/// # Panics
/// When the operating system has no randomness to give: nothing of the server may go on without it.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    SystemRandom::new()
        .fill(&mut out)
        .expect("the operating system gives random bytes");
    out
}

/// A fresh UUIDv7.
#[must_use]
pub fn new_uuid() -> uuid::Uuid {
    let ms = u64::try_from(now().0).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random::<10>()).into_uuid()
}

/// The id of a new access.
#[must_use]
pub fn new_access() -> AccessId {
    AccessId(new_uuid())
}

/// An instant as FHIR `instant`, e.g. `2026-11-21T07:35:02.123Z`.
#[must_use]
pub fn instant(at: UtcMs) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |t| format!("{t:.3}"))
}

/// An instant as HTTP date, e.g. `Sat, 21 Nov 2026 07:35:02 GMT` (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(at: UtcMs) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|t| {
            t.to_zoned(jiff::tz::TimeZone::UTC)
                .strftime("%a, %d %b %Y %H:%M:%S GMT")
                .to_string()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_fhir_and_http_want_them() {
        assert_eq!(instant(UtcMs(1_795_246_502_007)), "2026-11-21T07:35:02.007Z");
        assert_eq!(
            http_date(UtcMs(1_795_246_502_007)),
            "Sat, 21 Nov 2026 07:35:02 GMT"
        );
    }

    #[test]
    fn ids_of_one_millisecond_differ_and_are_version_7() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_uuid()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|i| i.get_version_num() == 7));
    }
}
