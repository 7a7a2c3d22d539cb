//! Claims of urgency that the server does not share: each is written down, a flood of them in few rows.
//!
//! Lives here: [`Claims`]. Never here: the lanes themselves. Called by `http::lane`, and by the tick that writes what
//! is left. A caller's first claim is written at once; those within ten seconds after it are counted and written as one
//! row. A request that proves nothing counts as one caller with all the others that prove nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use vitrine_access::Actor;
use vitrine_clinical::DeviceId;

/// Claims of one caller within so long after a row are counted together, ms.
const TOGETHER_MS: i64 = 10_000;

/// Who claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// As the audit log says it.
    pub actor: Actor,
    /// At which workstation.
    pub device: Option<DeviceId>,
}

#[derive(Debug)]
struct Counted {
    who: Claimant,
    since_ms: i64,
    more: u64,
}

/// The claims of the last seconds.
#[derive(Debug, Default)]
pub struct Claims {
    by: Mutex<HashMap<[u8; 32], Counted>>,
}

impl Claims {
    /// Notes a claim; true when it has to be written now.
    pub fn note(&self, key: [u8; 32], who: &Claimant, now_ms: i64) -> bool {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = by.get_mut(&key) {
            counted.more += 1;
            return false;
        }
        by.insert(
            key,
            Counted {
                who: who.clone(),
                since_ms: now_ms,
                more: 0,
            },
        );
        true
    }

    /// What was counted and is due to be written.
    pub fn due(&self, now_ms: i64) -> Vec<(Claimant, u64)> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        by.retain(|_, c| {
            let over = now_ms.saturating_sub(c.since_ms) >= TOGETHER_MS;
            if over && c.more > 0 {
                due.push((c.who.clone(), c.more));
            }
            !over
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_at_once_and_the_rest_together() {
        let claims = Claims::default();
        let who = Claimant {
            actor: Actor::Client("c".into()),
            device: None,
        };
        assert!(claims.note([1; 32], &who, 0));
        for _ in 0..500 {
            assert!(!claims.note([1; 32], &who, 1));
        }
        assert!(
            claims.note([2; 32], &who, 1),
            "another caller has a row of its own"
        );
        assert_eq!(claims.due(9_999), []);
        assert_eq!(claims.due(10_001), [(who.clone(), 500)]);
        assert_eq!(claims.due(30_000), []);
        assert!(claims.note([1; 32], &who, 30_000));
    }
}
