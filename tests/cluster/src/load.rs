//! What a drill needs of a load: that it writes, that it knows what was acknowledged and when, that it can check it.
//! The ledger (`ledger.rs`) writes to PostgreSQL itself; a load through server nodes has the same doors.

use crate::check::Verdict;
use anyhow::Result;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A load.
#[async_trait::async_trait]
pub trait Load: Send {
    /// Its name in the report.
    fn name(&self) -> &'static str;
    /// Makes what it writes into. Called once, while the cluster is whole.
    ///
    /// # Errors
    /// When that cannot be made.
    async fn prepare(&mut self) -> Result<()>;
    /// Starts writing, and reading what may be old. May be started again after `stop`, and then goes on.
    ///
    /// # Errors
    /// When it cannot be started.
    async fn start(&mut self) -> Result<()>;
    /// When writes were acknowledged and reads answered.
    fn pulse(&self) -> &Pulse;
    /// Stops, with at most one unanswered write a writer.
    ///
    /// # Errors
    /// When a writer failed in a way that no fault explains.
    async fn stop(&mut self) -> Result<()>;
    /// Compares what was acknowledged with what is there, on every node. Called while stopped and whole.
    ///
    /// # Errors
    /// When it cannot be read, or when nodes differ from each other.
    async fn verify(&mut self) -> Result<Verdict>;
}

/// The moments at which something was answered.
#[derive(Debug, Default)]
pub struct Pulse {
    writes: Mutex<Vec<Instant>>,
    reads: Mutex<Vec<Instant>>,
    failed: AtomicU64,
}

impl Pulse {
    /// A write was acknowledged.
    pub fn wrote(&self) {
        push(&self.writes);
    }

    /// A read was answered.
    pub fn read(&self) {
        push(&self.reads);
    }

    /// An attempt failed, and will be made again.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts that failed so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Writes acknowledged after a moment.
    #[must_use]
    pub fn writes_since(&self, from: Instant) -> Vec<Instant> {
        since(&self.writes, from)
    }

    /// Reads answered after a moment.
    #[must_use]
    pub fn reads_since(&self, from: Instant) -> Vec<Instant> {
        since(&self.reads, from)
    }
}

fn push(at: &Mutex<Vec<Instant>>) {
    at.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Instant::now());
}

fn since(at: &Mutex<Vec<Instant>>, from: Instant) -> Vec<Instant> {
    let all = at.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter(|t| **t >= from).copied().collect()
}

/// The longest time without an answer between `from` and `to`, as (begin, end) counted from `from`.
#[must_use]
pub fn longest_silence(from: Instant, answers: &[Instant], to: Instant) -> (Duration, Duration) {
    let mut times: Vec<Instant> = answers
        .iter()
        .filter(|t| **t >= from && **t <= to)
        .copied()
        .collect();
    times.sort_unstable();
    times.push(to);
    let mut longest = (Duration::ZERO, Duration::ZERO);
    let mut before = from;
    for t in times {
        if t.duration_since(before) > longest.1 - longest.0 {
            longest = (before.duration_since(from), t.duration_since(from));
        }
        before = t;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_found_with_its_place() {
        let from = Instant::now();
        let at = |ms: u64| from + Duration::from_millis(ms);
        let answers = [at(100), at(200), at(9_200), at(9_300), at(11_000)];
        assert_eq!(
            longest_silence(from, &answers, at(11_100)),
            (Duration::from_millis(200), Duration::from_millis(9_200))
        );
        assert_eq!(
            longest_silence(from, &[], at(5_000)),
            (Duration::ZERO, Duration::from_millis(5_000))
        );
        assert_eq!(
            longest_silence(from, &[at(1_000)], at(9_000)),
            (Duration::from_millis(1_000), Duration::from_millis(9_000))
        );
    }
}
