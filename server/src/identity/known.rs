//! Who the tokens spoke for that were seen lately, in memory.
//!
//! Lives here: [`Known`]. It tells two things: which lane a request may hope for before anything is read for it, and
//! how many people are signed in. Never here: proof. What a token may do is asked of the store every time; this is
//! forgotten whenever sessions, accounts or workstations change. Called by `sessions` and `http::lane`.

use super::sessions::Caller;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vitrine_clinical::UtcMs;

/// Sessions kept; beyond it those that are over go, then all.
const MOST: usize = 50_000;

/// The sessions.
#[derive(Debug, Default)]
pub struct Known {
    by: Mutex<HashMap<[u8; 32], Caller>>,
}

impl Known {
    fn by(&self) -> MutexGuard<'_, HashMap<[u8; 32], Caller>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store said so just now.
    pub fn note(&self, caller: &Caller, now: UtcMs) {
        let mut by = self.by();
        if by.len() >= MOST {
            by.retain(|_, c| c.until > now);
            if by.len() >= MOST {
                by.clear();
            }
        }
        by.insert(caller.session, caller.clone());
    }

    /// Whom it spoke for when it was last seen.
    #[must_use]
    pub fn get(&self, session: &[u8; 32], now: UtcMs) -> Option<Caller> {
        self.by().get(session).filter(|c| c.until > now).cloned()
    }

    /// It ended.
    pub fn forget(&self, session: &[u8; 32]) {
        self.by().remove(session);
    }

    /// Accounts or workstations changed.
    pub fn forget_all(&self) {
        self.by().clear();
    }

    /// People signed in here whose sessions are not over.
    #[must_use]
    pub fn people(&self, now: UtcMs) -> usize {
        self.by()
            .values()
            .filter(|c| c.user().is_some() && c.until > now)
            .count()
    }
}
