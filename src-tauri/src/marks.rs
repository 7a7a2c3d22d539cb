//! When things reached the screen: a ring of marks that the screen sets two animation frames after it painted.
//!
//! Never here: what was painted. Read by benchmarks through the `marks` command of an automation build.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Marks kept.
const KEPT: usize = 4_096;
/// Longest name of a mark, letters and dashes.
const NAME_MAX: usize = 32;

/// Something was painted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mark {
    /// What, e.g. "emergency-card".
    pub name: String,
    /// Milliseconds from the start of the program, when the mark arrived here.
    pub at_ms: f64,
    /// Milliseconds from the key that asked for it, by the web view's clock (1 ms steps); absent without a key.
    pub since_key_ms: Option<f64>,
}

/// The ring.
pub struct Marks {
    begun: Instant,
    ring: Mutex<VecDeque<Mark>>,
}

impl Marks {
    /// Counts from now.
    pub fn new() -> Self {
        // The only clock here, for durations alone.
        #[allow(clippy::disallowed_methods)]
        let begun = Instant::now();
        Self {
            begun,
            ring: Mutex::new(VecDeque::new()),
        }
    }

    /// Keeps a mark; a name that is not short and plain is dropped.
    pub fn set(&self, name: String, since_key_ms: Option<f64>) {
        let plain = name.len() <= NAME_MAX && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if !plain || name.is_empty() {
            return;
        }
        tracing::debug!(mark = name, "painted");
        let at_ms = self.begun.elapsed().as_secs_f64() * 1_000.0;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(Mark {
            name,
            at_ms,
            since_key_ms,
        });
    }

    /// All marks kept, oldest first.
    #[cfg(any(test, feature = "automation"))]
    pub fn all(&self) -> Vec<Mark> {
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest() {
        let marks = Marks::new();
        for i in 0..KEPT + 3 {
            marks.set("chart".to_owned(), Some(f64::from(u32::try_from(i).unwrap())));
        }
        let all = marks.all();
        assert_eq!(all.len(), KEPT);
        assert_eq!(all[0].since_key_ms, Some(3.0));
        assert!(all.windows(2).all(|two| two[0].at_ms <= two[1].at_ms));
    }

    #[test]
    fn drops_names_that_could_carry_something_else() {
        let marks = Marks::new();
        for bad in ["", "JONES, Mary", "a name", &"a".repeat(NAME_MAX + 1)] {
            marks.set(bad.to_owned(), None);
        }
        assert!(marks.all().is_empty());
    }
}
