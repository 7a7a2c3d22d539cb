//! Sign-ins that were begun at the console and have not come back yet.
//!
//! Lives here: what each was begun with, in memory, bound to the browser by a cookie of which the hash is kept. Never here:
//! the cookie's header (`http::console::oidc`), the provider. Each is taken once, and within five minutes. A sign-in that
//! comes back to another server of a cluster is begun again there.

use crate::clock;
use crate::keys::hex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use vitrine_clinical::UtcMs;

/// They are kept so long, ms.
pub const FLOW_MS: i64 = 5 * 60_000;
/// So many; beyond it the oldest go.
const MOST: usize = 4096;

/// What one was begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Comes back with the code.
    pub state: String,
    /// Comes back in the token.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
}

impl Flow {
    /// A new one, of random texts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: super::secret(),
            nonce: super::secret(),
            verifier: super::secret(),
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

/// The sign-ins.
#[derive(Default)]
pub struct Flows {
    by: Mutex<HashMap<[u8; 32], (Flow, UtcMs)>>,
}

fn hash(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

impl Flows {
    /// Keeps one; gives the cookie, 32 random bytes as hex.
    pub fn keep(&self, flow: Flow, now: UtcMs) -> String {
        let cookie = hex(&clock::random::<32>());
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if by.len() >= MOST {
            by.retain(|_, (_, until)| *until > now);
            let oldest = by.iter().min_by_key(|(_, (_, until))| *until).map(|(h, _)| *h);
            if by.len() >= MOST
                && let Some(oldest) = oldest
            {
                by.remove(&oldest);
            }
        }
        by.insert(hash(&cookie), (flow, now.plus_ms(FLOW_MS)));
        cookie
    }

    /// Takes one, once.
    #[must_use]
    pub fn take(&self, cookie: &str, now: UtcMs) -> Option<Flow> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        by.remove(&hash(cookie))
            .filter(|(_, until)| *until > now)
            .map(|(flow, _)| flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_taken_once_and_in_time() {
        let flows = Flows::default();
        let flow = Flow::new();
        let cookie = flows.keep(flow.clone(), UtcMs(0));
        assert_eq!(flows.take("other", UtcMs(1)), None);
        assert_eq!(flows.take(&cookie, UtcMs(1)), Some(flow.clone()));
        assert_eq!(flows.take(&cookie, UtcMs(1)), None);
        let late = flows.keep(flow.clone(), UtcMs(0));
        assert_eq!(flows.take(&late, UtcMs(FLOW_MS)), None);
        let first = flows.keep(flow.clone(), UtcMs(0));
        for n in 1..=MOST {
            let _ = flows.keep(flow.clone(), UtcMs(i64::try_from(n).unwrap()));
        }
        assert_eq!(flows.take(&first, UtcMs(1)), None, "the oldest made room");
        assert!(flows.by.lock().unwrap().len() <= MOST);
    }
}
