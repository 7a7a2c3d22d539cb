//! How long the next try of a secret has to wait, by the time this program has run: a clock that is set forward shortens no wait. The
//! waits of the database (by the clock, kept over restarts) hold beside these.
//!
//! Never here: counting tries (that is the outbox). Called by `sign_in` and `break_glass`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// By way in and user: until when, since the engine began.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<BTreeMap<(&'static str, String), Duration>>);

impl Waits {
    /// What is left of a wait, ms.
    pub(crate) fn left(&self, path: &'static str, user: &str, now: Duration) -> Option<i64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = all.get(&(path, user.to_owned()))?;
        let left = until.checked_sub(now).filter(|left| !left.is_zero())?;
        i64::try_from(left.as_millis()).ok().map(|ms| ms.max(1))
    }

    /// A try was taken: should it be wrong, the next one waits so long, ms.
    pub(crate) fn begin(&self, path: &'static str, user: &str, now: Duration, wait_ms: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, until| *until > now);
        if let Some(wait) = u64::try_from(wait_ms).ok().filter(|ms| *ms > 0) {
            let until = now.saturating_add(Duration::from_millis(wait));
            all.insert((path, user.to_owned()), until);
        }
    }

    /// The secret was right.
    pub(crate) fn end(&self, path: &'static str, user: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(path, user.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_of_one_user_and_one_way_in_and_passes_with_the_programs_own_time() {
        let (w, s) = (Waits::default(), Duration::from_secs);
        w.begin("sign-in", "lee", s(10), 30_000);
        assert_eq!(w.left("sign-in", "lee", s(10)), Some(30_000));
        assert_eq!(w.left("sign-in", "lee", s(39)), Some(1_000));
        assert_eq!(w.left("sign-in", "lee", s(40)), None);
        assert_eq!(w.left("emergency", "lee", s(10)), None);
        assert_eq!(w.left("sign-in", "rao", s(10)), None);
        w.end("sign-in", "lee");
        assert_eq!(w.left("sign-in", "lee", s(10)), None);
        w.begin("sign-in", "lee", s(10), 0);
        assert_eq!(w.left("sign-in", "lee", s(10)), None);
    }
}
