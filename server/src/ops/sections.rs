//! The sections of what is read: each has a longest time and a breaker of its own.
//!
//! Lives here: [`Section`], [`Sections`], and waking them when the store says that it is there again. Never here: reading (that is `guarded`), when a breaker opens (`breaker`).
//! Made by `app` from the configuration.

use super::breaker::{Breaker, LONGEST_MS};
use crate::config;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The feed rests no longer, ms: one reader asks for it in each server, and while it rests no screen learns anything.
const FEED_RESTS_MS: u64 = 2_000;

/// A part of what is read that can fail by itself.
#[derive(Debug, Clone)]
pub struct Section {
    /// Opens after failures of this section alone.
    pub breaker: Arc<Breaker>,
    /// A read may take so long.
    pub longest: Duration,
}

impl Section {
    /// A section whose breaker is closed. `longest_ms`: of a read; `rests_ms`: of the breaker.
    #[must_use]
    pub fn new(name: &'static str, longest_ms: u64, rests_ms: u64) -> Self {
        Self {
            breaker: Arc::new(Breaker::new(name, rests_ms)),
            longest: Duration::from_millis(longest_ms),
        }
    }
}

/// The sections.
#[derive(Debug, Clone)]
pub struct Sections {
    /// Charts, cards, accounts, and whatever a decision rests on.
    pub store: Section,
    /// Patients by name, birth date and number.
    pub search: Section,
    /// Old versions.
    pub history: Section,
    /// What the workstations follow.
    pub feed: Section,
}

impl Sections {
    /// With the times of a configuration.
    #[must_use]
    pub fn new(lanes: &config::Lanes) -> Self {
        Self {
            store: Section::new("store", lanes.read_ms, LONGEST_MS),
            search: Section::new("search", lanes.search_ms, LONGEST_MS),
            history: Section::new("history", lanes.history_ms, LONGEST_MS),
            feed: Section::new("feed", lanes.feed_ms, FEED_RESTS_MS),
        }
    }

    /// The breaker of each.
    #[must_use]
    pub fn breakers(&self) -> Vec<Arc<Breaker>> {
        let all = [&self.store, &self.search, &self.history, &self.feed];
        all.map(|s| s.breaker.clone()).to_vec()
    }

    /// Lets every section be asked again whenever the store says that what it rests on came or went (with a replica,
    /// reads go on without a primary): a rest that was begun before must not outlast the reason for it.
    pub fn wake_with(&self, mut writable: watch::Receiver<bool>) {
        let breakers = self.breakers();
        tokio::spawn(async move {
            while writable.changed().await.is_ok() {
                breakers.iter().for_each(|b| b.wake());
            }
        });
    }
}
