//! A breaker for one thing the server depends on: after failures in a row, ask no more for a while, then ask once.
//!
//! Lives here: [`Breaker`], pure but for its lock: times come in as steady milliseconds. Never here: what is asked.
//! Called by `ops::guarded`.

use std::sync::{Mutex, PoisonError};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// First rest, ms; doubles with every probe that fails.
const FIRST_MS: u64 = 1_000;
/// Longest rest where nothing else is said, ms.
pub const LONGEST_MS: u64 = 30_000;

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything goes through; so many failed in a row.
    Closed {
        /// Failures since the last success.
        failed: u32,
    },
    /// Nothing goes through until this time.
    Open {
        /// Steady ms.
        until_ms: u64,
        /// How many rests there were in a row, from 0.
        turn: u32,
    },
    /// One request is on its way to find out; no other goes through.
    Probing {
        /// As in `Open`.
        turn: u32,
    },
}

/// The breaker of one dependency.
#[derive(Debug)]
pub struct Breaker {
    /// What it guards, as metrics and `doctor` say it.
    pub name: &'static str,
    longest_ms: u64,
    state: Mutex<State>,
}

/// Leave to ask. Dropped without a word (the caller went away), a probe gives its turn back.
#[derive(Debug)]
pub struct Leave<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// A closed one. `longest_ms`: it never rests longer.
    #[must_use]
    pub const fn new(name: &'static str, longest_ms: u64) -> Self {
        Self {
            name,
            longest_ms,
            state: Mutex::new(State::Closed { failed: 0 }),
        }
    }

    /// How it stands.
    pub fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave to ask, or none.
    pub fn ask(&self, now_ms: u64) -> Option<Leave<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until_ms, turn } if now_ms >= until_ms => {
                *state = State::Probing { turn };
                true
            }
            State::Open { .. } | State::Probing { .. } => return None,
        };
        Some(Leave { breaker: self, probe })
    }

    /// What it guards is said to have come back: the next request may ask, and what fails yet rests as after the first
    /// failure.
    pub fn wake(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match *state {
            State::Open { .. } => State::Open { until_ms: 0, turn: 0 },
            // Asked before it came back: its failure says little.
            State::Probing { .. } => State::Probing { turn: 0 },
            closed @ State::Closed { .. } => closed,
        };
    }
}

impl Leave<'_> {
    /// How it went.
    pub fn told(mut self, now_ms: u64, well: bool) {
        let mut state = self.breaker.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |turn: u32| State::Open {
            until_ms: now_ms + (FIRST_MS << turn.min(16)).min(self.breaker.longest_ms),
            turn,
        };
        *state = match *state {
            State::Probing { .. } if self.probe && well => State::Closed { failed: 0 },
            State::Probing { turn } if self.probe => open(turn + 1),
            State::Closed { .. } if well => State::Closed { failed: 0 },
            State::Closed { failed } if failed + 1 >= FAILURES => open(0),
            State::Closed { failed } => State::Closed { failed: failed + 1 },
            // An answer from before it opened says nothing about now.
            other => other,
        };
        self.probe = false;
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.probe {
            let mut state = self.breaker.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::Probing { turn } = *state {
                *state = State::Open { until_ms: 0, turn };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(b: &Breaker, now_ms: u64) {
        b.ask(now_ms).unwrap().told(now_ms, false);
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let b = Breaker::new("x", LONGEST_MS);
        for _ in 0..4 {
            fail(&b, 0);
        }
        b.ask(0).unwrap().told(0, true);
        for _ in 0..4 {
            fail(&b, 0);
        }
        assert_eq!(
            b.state(),
            State::Closed { failed: 4 },
            "a success starts the count anew"
        );
        fail(&b, 0);
        assert!(b.ask(999).is_none());
        let probe = b.ask(1_000).unwrap();
        assert!(b.ask(1_000).is_none(), "one probe and no other");
        probe.told(1_010, true);
        assert_eq!(b.state(), State::Closed { failed: 0 });
    }

    #[test]
    fn a_probe_that_fails_doubles_the_rest_up_to_thirty_seconds() {
        let b = Breaker::new("x", LONGEST_MS);
        (0..5).for_each(|_| fail(&b, 0));
        let mut now = 0;
        let mut rests = Vec::new();
        for _ in 0..7 {
            let State::Open { until_ms, .. } = b.state() else {
                panic!("{:?}", b.state())
            };
            rests.push(until_ms - now);
            now = until_ms;
            fail(&b, now);
        }
        assert_eq!(rests, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn what_came_back_is_asked_at_once_by_one() {
        let b = Breaker::new("x", LONGEST_MS);
        b.wake();
        assert_eq!(b.state(), State::Closed { failed: 0 });
        (0..5).for_each(|_| fail(&b, 0));
        fail(&b, 1_000_000);
        assert!(b.ask(1_000_001).is_none());
        b.wake();
        let early = b.ask(1_000_001).unwrap();
        assert!(b.ask(1_000_001).is_none(), "one probe and no other");
        b.wake();
        early.told(1_000_002, false);
        let State::Open { until_ms, .. } = b.state() else {
            panic!("{:?}", b.state())
        };
        assert!(
            until_ms <= 1_000_002 + 2 * FIRST_MS,
            "it rests as after a first failure"
        );
    }

    #[test]
    fn one_that_must_not_rest_long_does_not() {
        let b = Breaker::new("x", 2_000);
        (0..5).for_each(|_| fail(&b, 0));
        for now in [1_000, 3_000, 5_000, 7_000] {
            assert!(b.ask(now - 1).is_none());
            fail(&b, now);
        }
    }

    #[test]
    fn a_probe_that_is_given_up_lets_the_next_one_go() {
        let b = Breaker::new("x", LONGEST_MS);
        (0..5).for_each(|_| fail(&b, 0));
        drop(b.ask(1_000).unwrap());
        assert!(b.ask(1_000).is_some());
    }

    #[test]
    fn an_answer_from_before_it_opened_changes_nothing() {
        let b = Breaker::new("x", LONGEST_MS);
        let early = b.ask(0).unwrap();
        (0..5).for_each(|_| fail(&b, 0));
        let open = b.state();
        early.told(10, true);
        assert_eq!(b.state(), open);
    }
}
