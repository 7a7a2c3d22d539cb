//! The sections of what is read: each has a longest time and a breaker of its own.
//!
//! Lives here: [`Section`], [`Sections`]. Never here: reading (that is `guarded`), when a breaker opens (`breaker`).
//! Made by `app` from the configuration.

use super::breaker::Breaker;
use crate::config;
use std::sync::Arc;
use std::time::Duration;

/// A part of what is read that can fail by itself.
#[derive(Debug, Clone)]
pub struct Section {
    /// Opens after failures of this section alone.
    pub breaker: Arc<Breaker>,
    /// A read may take so long.
    pub longest: Duration,
}

impl Section {
    /// A section whose breaker is closed.
    #[must_use]
    pub fn new(name: &'static str, longest_ms: u64) -> Self {
        Self {
            breaker: Arc::new(Breaker::new(name)),
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
            store: Section::new("store", lanes.read_ms),
            search: Section::new("search", lanes.search_ms),
            history: Section::new("history", lanes.history_ms),
            feed: Section::new("feed", lanes.feed_ms),
        }
    }

    /// The breaker of each.
    #[must_use]
    pub fn breakers(&self) -> Vec<Arc<Breaker>> {
        let all = [&self.store, &self.search, &self.history, &self.feed];
        all.map(|s| s.breaker.clone()).to_vec()
    }
}
