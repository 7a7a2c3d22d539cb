//! Time on the workstation: the wall clock, the server's offset, a monotonic clock, and the local time zone.
//!
//! Lives here: the only reading of clocks in the engine, and the judgement whether the wall clock can be trusted.
//! Never here: formatting (that is `clinical::format`), policy.
//! Called by every module that needs "now".

use std::sync::RwLock;
use std::time::{Duration, Instant, SystemTime};
use vitrine_clinical::UtcMs;

/// Beyond this distance from the server's time the screen says "clock not verified" (screens.md A5).
pub const TRUSTED_OFFSET_MS: i64 = 30_000;

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Server time minus wall clock, ms.
    offset_ms: Option<i64>,
    /// Wall clock and monotonic clock when the offset was learned, to notice that somebody set the clock.
    at: Option<(i64, Instant)>,
}

/// The clock of a workstation.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    known: RwLock<Known>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place of the engine that reads clocks"
)]
fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place of the engine that reads clocks"
)]
fn mono() -> Instant {
    Instant::now()
}

impl Clock {
    /// A clock that has not heard of the server yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: mono(),
            known: RwLock::new(Known::default()),
        }
    }

    /// The wall clock of this machine.
    #[must_use]
    pub fn wall(&self) -> UtcMs {
        UtcMs(wall_ms())
    }

    /// The best estimate of the server's time: the wall clock, corrected by the offset last learned.
    #[must_use]
    pub fn now(&self) -> UtcMs {
        UtcMs(wall_ms().saturating_add(self.known().offset_ms.unwrap_or(0)))
    }

    /// Time since the engine began; never goes back.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        mono().duration_since(self.started)
    }

    fn known(&self) -> Known {
        *self
            .known
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Learns the server's time from a message just received.
    pub fn learn(&self, server_time_ms: i64) {
        let wall = wall_ms();
        let mut known = self
            .known
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *known = Known {
            offset_ms: Some(server_time_ms.saturating_sub(wall)),
            at: Some((wall, mono())),
        };
    }

    /// Takes over an offset kept from an earlier run. Ignored when the wall clock stands before the time at which it
    /// was kept: somebody set it back.
    pub fn recall(&self, offset_ms: i64, kept_at: UtcMs) {
        if wall_ms() >= kept_at.0 {
            let mut known = self
                .known
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if known.offset_ms.is_none() {
                known.offset_ms = Some(offset_ms);
            }
        }
    }

    /// The offset learned, ms.
    #[must_use]
    pub fn offset_ms(&self) -> Option<i64> {
        self.known().offset_ms
    }

    /// Whether ages can be believed: the offset is known, at most 30 s, and nobody has set the clock since.
    #[must_use]
    pub fn verified(&self) -> bool {
        let known = self.known();
        let Some(offset) = known.offset_ms else {
            return false;
        };
        if offset.saturating_abs() > TRUSTED_OFFSET_MS {
            return false;
        }
        known.at.is_none_or(|(wall, at)| {
            let expected =
                wall.saturating_add(i64::try_from(mono().duration_since(at).as_millis()).unwrap_or(i64::MAX));
            wall_ms().saturating_sub(expected).saturating_abs() <= TRUSTED_OFFSET_MS
        })
    }

    /// Whether the machine's time zone can be read; otherwise every time of day is in UTC, and the screen says so.
    #[must_use]
    pub fn zone_known(&self) -> bool {
        jiff::tz::TimeZone::try_system().is_ok()
    }

    /// Minutes east of UTC at an instant, by the machine's time zone.
    #[must_use]
    pub fn zone_minutes(&self, at: UtcMs) -> i32 {
        let Ok(stamp) = jiff::Timestamp::from_millisecond(at.0) else {
            return 0;
        };
        jiff::tz::TimeZone::system().to_offset(stamp).seconds() / 60
    }
}

/// Measures how long an act takes in the engine.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        Self(mono())
    }
    /// Milliseconds since the start.
    #[must_use]
    pub fn ms(&self) -> f64 {
        mono().duration_since(self.0).as_secs_f64() * 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_without_a_server_or_far_from_it_is_not_verified() {
        let c = Clock::new();
        assert!(!c.verified());
        c.learn(c.wall().0 + 5_000);
        assert!(c.verified());
        assert!((c.now().since(c.wall()) - 5_000).abs() < 500);
        c.learn(c.wall().0 + 3_600_000);
        assert!(!c.verified());
    }

    #[test]
    fn an_offset_kept_in_the_future_is_not_believed() {
        let c = Clock::new();
        c.recall(10, c.wall().plus_ms(86_400_000));
        assert_eq!(c.offset_ms(), None);
        c.recall(10, c.wall().plus_ms(-1_000));
        assert_eq!(c.offset_ms(), Some(10));
    }
}
