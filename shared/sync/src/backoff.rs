//! How long to wait before trying again: full jitter, 0..min(cap, base · 2^n) (sync.md §1), so that thousands of
//! workstations do not come back in the same instant.
//!
//! Lives here: the waiting time and the small generator it is drawn from. Never here: a source of randomness; the
//! seed is an argument.
//! Called by the client machine.

/// A small deterministic generator (SplitMix64) for jitter; not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..=max`.
    pub fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(span) => self.next_u64() % span,
            None => self.next_u64(),
        }
    }
}

/// Counts failures and says how long to wait.
#[derive(Debug, Clone)]
pub struct Backoff {
    base_ms: u64,
    cap_ms: u64,
    failures: u32,
}

impl Backoff {
    /// A wait that doubles from `base_ms` up to `cap_ms`.
    #[must_use]
    pub const fn new(base_ms: u64, cap_ms: u64) -> Self {
        Self {
            base_ms,
            cap_ms,
            failures: 0,
        }
    }

    /// The wait in ms before the next attempt; counts one failure.
    pub fn next_ms(&mut self, jitter: &mut Jitter) -> u64 {
        let factor = 1_u64.checked_shl(self.failures.min(32)).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        jitter.up_to(self.base_ms.saturating_mul(factor).min(self.cap_ms))
    }

    /// Forgets the failures after a connection that held.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_the_doubling_bound_and_the_cap() {
        let mut jitter = Jitter::new(7);
        for _ in 0..1000 {
            let mut b = Backoff::new(1000, 30_000);
            for n in 0..12_u32 {
                let bound = (1000_u64 << n.min(20)).min(30_000);
                assert!(b.next_ms(&mut jitter) <= bound);
            }
        }
    }

    #[test]
    fn jitter_is_spread_over_the_whole_range() {
        let mut jitter = Jitter::new(1);
        let mut b = Backoff::new(1000, 30_000);
        (0..8).for_each(|_| {
            b.next_ms(&mut jitter);
        });
        let waits: Vec<u64> = (0..10_000).map(|_| b.next_ms(&mut jitter)).collect();
        for tenth in 0..10_u64 {
            let n = waits.iter().filter(|w| **w / 3_001 == tenth).count();
            assert!((700..1300).contains(&n), "tenth {tenth}: {n} of 10,000");
        }
    }

    #[test]
    fn a_reset_begins_again_short() {
        let mut jitter = Jitter::new(3);
        let mut b = Backoff::new(1000, 30_000);
        (0..9).for_each(|_| {
            b.next_ms(&mut jitter);
        });
        b.reset();
        assert!(b.next_ms(&mut jitter) <= 1000);
    }
}
