//! Counting wrong secrets: after five, wait; longer each time.
//!
//! Lives here: the counters per account and workstation. Never here: secrets. Called by `sessions` and `http::auth`.
//! Counters are kept per (account, workstation) so that a stranger at one workstation locks nobody out elsewhere,
//! and in memory: they fall back after a restart, which costs an attacker more than it gives.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use vitrine_clinical::UtcMs;

/// Wrong tries before the first wait.
const FREE_TRIES: u32 = 5;
/// First wait, ms; doubles with every further wrong try.
const FIRST_MS: i64 = 30_000;
/// Longest wait, ms.
const LONGEST_MS: i64 = 15 * 60_000;
/// A counter is forgotten after so long without a try, ms.
const FORGET_MS: i64 = 24 * 3_600_000;
/// Counters kept; beyond it those idle longest go.
const MOST: usize = 100_000;

/// The counters.
#[derive(Debug, Default)]
pub struct Throttle {
    counters: Mutex<HashMap<(String, String), Counter>>,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    wrong: u32,
    until: UtcMs,
    last: UtcMs,
}

impl Throttle {
    /// Seconds still to wait, or `None` when a try is free.
    #[must_use]
    pub fn wait_s(&self, account: &str, at_device: &str, now: UtcMs) -> Option<u32> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counters
            .get(&(account.to_owned(), at_device.to_owned()))?
            .until
            .since(now);
        (left > 0).then(|| u32::try_from((left + 999) / 1000).unwrap_or(u32::MAX))
    }

    /// Notes a wrong secret; gives the seconds to wait from now on.
    pub fn wrong(&self, account: &str, at_device: &str, now: UtcMs) -> Option<u32> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= MOST {
            counters.retain(|_, c| now.since(c.last) < FORGET_MS && c.until > now);
        }
        let c = counters
            .entry((account.to_owned(), at_device.to_owned()))
            .or_insert(Counter {
                wrong: 0,
                until: UtcMs(0),
                last: now,
            });
        if now.since(c.last) > FORGET_MS {
            c.wrong = 0;
        }
        c.wrong += 1;
        c.last = now;
        if c.wrong < FREE_TRIES {
            return None;
        }
        let doublings = (c.wrong - FREE_TRIES).min(16);
        let wait = (FIRST_MS << doublings).min(LONGEST_MS);
        c.until = now.plus_ms(wait);
        u32::try_from(wait / 1000).ok()
    }

    /// Forgets the wrong tries after a right secret.
    pub fn right(&self, account: &str, at_device: &str) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.remove(&(account.to_owned(), at_device.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_tries_wait_thirty_seconds_doubling_to_fifteen_minutes() {
        let t = Throttle::default();
        let mut now = UtcMs(1_000_000);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(t.wait_s("a", "d", now), None);
            let w = t.wrong("a", "d", now);
            waits.push(w.unwrap_or(0));
            assert_eq!(t.wait_s("a", "d", now), w);
            assert_eq!(
                t.wait_s("a", "other", now),
                None,
                "another workstation is not affected"
            );
            now = now.plus_ms(i64::from(w.unwrap_or(1)) * 1000);
        }
        assert_eq!(waits, [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]);
        t.right("a", "d");
        assert_eq!(t.wrong("a", "d", now), None);
    }
}
