//! How many bytes may be on their way.
//!
//! Lives here: the window that keeps what is sent next a decision of the sender, not of buffers in between: whatever is
//! on its way already cannot be overtaken by the frame that is looked at now. Called by the image stream.

/// The least window: 256 kB are 20 ms at 100 Mbit/s.
pub const LEAST: u64 = 256 * 1024;

/// Bytes on their way, and how many may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    window: u64,
    flying: u64,
}

impl Default for Credit {
    /// Of the least window.
    fn default() -> Self {
        Self::new(LEAST)
    }
}

impl Credit {
    /// Nothing on its way; the window is never under [`LEAST`].
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self {
            window: window.max(LEAST),
            flying: 0,
        }
    }

    /// The window for a line: the greater of [`LEAST`] and twice what the line holds (its bytes a second times the time
    /// there and back).
    #[must_use]
    pub fn window_for(bytes_per_second: u64, round_trip_us: u64) -> u64 {
        let held = u128::from(bytes_per_second) * u128::from(round_trip_us) / 1_000_000;
        u64::try_from(held * 2).unwrap_or(u64::MAX).max(LEAST)
    }

    /// Another window; what flies already flies.
    pub fn resize(&mut self, window: u64) {
        self.window = window.max(LEAST);
    }

    /// Whether so many bytes may go.
    #[must_use]
    pub fn allows(&self, len: u64) -> bool {
        // What is larger than the window goes alone, or it would never go; who can send it in parts does.
        self.flying == 0 || self.flying.saturating_add(len) <= self.window
    }

    /// Sends so many, if they may go; says whether.
    #[must_use]
    pub fn take(&mut self, len: u64) -> bool {
        let may = self.allows(len);
        if may {
            self.flying = self.flying.saturating_add(len);
        }
        may
    }

    /// So many arrived. More than are on their way is no more than all.
    pub fn give(&mut self, len: u64) {
        self.flying = self.flying.saturating_sub(len);
    }

    /// Bytes on their way.
    #[must_use]
    pub fn flying(&self) -> u64 {
        self.flying
    }

    /// Bytes that may still go.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.window.saturating_sub(self.flying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_follow_the_line() {
        // 100 Mbit/s over 1 ms and over 80 ms.
        assert_eq!(Credit::window_for(12_500_000, 1_000), LEAST);
        assert_eq!(Credit::window_for(12_500_000, 80_000), 2_000_000);
        assert_eq!(Credit::window_for(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(Credit::new(0), Credit::default());
    }

    #[test]
    fn what_is_larger_than_the_window_goes_alone() {
        let mut credit = Credit::default();
        assert!(credit.take(1));
        assert!(!credit.take(LEAST * 4));
        credit.give(1);
        assert!(credit.take(LEAST * 4));
        assert!(!credit.take(1));
        credit.give(u64::MAX);
        assert_eq!((credit.flying(), credit.free()), (0, LEAST));
    }

    proptest! {
        #[test]
        fn no_more_flies_than_the_window(ops in prop::collection::vec((any::<bool>(), 0u64..LEAST), 0..100)) {
            let mut credit = Credit::default();
            let mut flying = Vec::new();
            for (send, len) in ops {
                if send {
                    if credit.take(len) {
                        flying.push(len);
                    }
                } else if let Some(len) = flying.pop() {
                    credit.give(len);
                }
                prop_assert_eq!(credit.flying(), flying.iter().sum::<u64>());
                prop_assert!(credit.flying() <= LEAST);
            }
        }
    }
}
