//! How hard pressed the server is, and what it lets go of first.
//!
//! Lives here: [`Level`] (pure), [`Pressure`]. Never here: the places of a lane. Measured by `lanes::start`, asked by
//! `http::lane` and `ws`. Order (sync.md): snapshots and backfill, then opening patients, then new sign-ins; never
//! control, essentials and emergencies.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// Calm has to last so long before one level is given back, ms.
const CALM_MS: u64 = 1_000;

/// What is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    Calm = 0,
    /// Snapshots, backfill, bulk.
    Bulk = 1,
    /// Opening patients too.
    OpenPatient = 2,
    /// New sign-ins too.
    SignIn = 3,
}

impl Level {
    const ALL: [Self; 4] = [Self::Calm, Self::Bulk, Self::OpenPatient, Self::SignIn];

    /// The level that a delay asks for, when the first begins at `shed_ms`.
    #[must_use]
    pub const fn asked_for(delay_ms: u64, shed_ms: u64) -> Self {
        if delay_ms >= shed_ms.saturating_mul(10) {
            Self::SignIn
        } else if delay_ms >= shed_ms.saturating_mul(3) {
            Self::OpenPatient
        } else if delay_ms >= shed_ms {
            Self::Bulk
        } else {
            Self::Calm
        }
    }
}

/// Goes up at once and comes down a level at a time.
#[derive(Debug)]
struct Slow {
    level: Level,
    calm_since_ms: Option<u64>,
}

impl Slow {
    fn measured(&mut self, now_ms: u64, delay_ms: u64, shed_ms: u64) -> Level {
        let asked = Level::asked_for(delay_ms, shed_ms);
        if asked >= self.level {
            self.level = asked;
            self.calm_since_ms = None;
            return self.level;
        }
        let since = *self.calm_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) >= CALM_MS {
            self.level = Level::ALL[self.level as usize - 1];
            self.calm_since_ms = Some(now_ms);
        }
        self.level
    }
}

/// The pressure now.
#[derive(Debug)]
pub struct Pressure {
    level: AtomicU8,
    delay_ms: AtomicU64,
    slow: std::sync::Mutex<Slow>,
    shed_ms: u64,
}

impl Pressure {
    /// Calm.
    #[must_use]
    pub const fn new(shed_ms: u64) -> Self {
        Self {
            level: AtomicU8::new(0),
            delay_ms: AtomicU64::new(0),
            slow: std::sync::Mutex::new(Slow {
                level: Level::Calm,
                calm_since_ms: None,
            }),
            shed_ms,
        }
    }

    /// What is turned away now.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::ALL[usize::from(self.level.load(Relaxed)).min(3)]
    }

    /// The longest delay of the last measurement, ms.
    #[must_use]
    pub fn delay_ms(&self) -> u64 {
        self.delay_ms.load(Relaxed)
    }

    /// A measurement: how late the event loops are, or how long the first in the clinical lane has waited.
    pub fn measured(&self, now_ms: u64, delay_ms: u64) {
        self.delay_ms.store(delay_ms, Relaxed);
        let mut slow = self
            .slow
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = slow.level;
        let level = slow.measured(now_ms, delay_ms, self.shed_ms);
        self.level.store(level as u8, Relaxed);
        if level != before {
            tracing::warn!(?level, delay_ms, "pressure");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_up_at_once_and_comes_down_step_by_step() {
        let p = Pressure::new(100);
        let mut seen = Vec::new();
        for (now, delay) in [
            (0, 0),
            (100, 120),
            (200, 350),
            (300, 5_000),
            (400, 10),
            (1_300, 10),
            (1_400, 10),
            (2_300, 10),
            (2_400, 10),
            (3_400, 10),
        ] {
            p.measured(now, delay);
            seen.push(p.level());
        }
        use Level::{Bulk, Calm, OpenPatient, SignIn};
        assert_eq!(
            seen,
            [
                Calm,
                Bulk,
                OpenPatient,
                SignIn,
                SignIn,
                SignIn,
                OpenPatient,
                OpenPatient,
                Bulk,
                Calm
            ]
        );
    }
}
