//! Credit for snapshots: the workstation gives leave for so many bytes of the bulk lane, the server sends no more.
//!
//! The window begins at one chunk, so that on a slow line a beat never waits behind more than that, and doubles while
//! the line and the disk keep up. One unit is one byte of a body before compression.
//! Lives here: the client's side of the count. Never here: messages. Called by the client machine.

use vitrine_wire::frame::CHUNK;

/// Largest window in bytes.
const WINDOW_MAX: u64 = 4 * 1024 * 1024;
/// Leave used up faster than this makes the window grow, ms.
const FAST_MS: u64 = 500;

/// The client's account.
#[derive(Debug, Clone)]
pub struct CreditFlow {
    window: u64,
    owed: u64,
    granted_at: u64,
}

impl CreditFlow {
    /// A new connection's account and its first grant in bytes.
    #[must_use]
    pub fn open(now_ms: u64) -> (Self, u32) {
        let window = CHUNK as u64;
        let flow = Self {
            window,
            owed: 0,
            granted_at: now_ms,
        };
        (flow, u32::try_from(window).unwrap_or(u32::MAX))
    }

    /// Counts a bulk body of `bytes`; gives what to grant now, if anything. To be granted only once the body is on
    /// disk, so that the disk slows the sender.
    pub fn received(&mut self, bytes: usize, now_ms: u64) -> Option<u32> {
        let bytes = bytes as u64;
        self.owed = self.owed.saturating_add(bytes);
        if self.owed.saturating_mul(2) < self.window {
            return None;
        }
        let mut grant = self.owed;
        if now_ms.saturating_sub(self.granted_at) < FAST_MS && self.window < WINDOW_MAX {
            grant = grant.saturating_add(self.window);
            self.window = self.window.saturating_mul(2);
        }
        self.owed = 0;
        self.granted_at = now_ms;
        Some(u32::try_from(grant).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_wire::frame::MAX_BODY;

    #[test]
    fn a_server_that_keeps_to_its_leave_is_never_stuck() {
        for size in [1_usize, 700, 65_536, 70_000, 2_000_000, MAX_BODY] {
            let (mut flow, first) = CreditFlow::open(0);
            let mut leave = i64::from(first);
            for turn in 0..2_000_u64 {
                assert!(leave > 0, "stuck at body size {size}, turn {turn}");
                while leave > 0 {
                    leave -= i64::try_from(size).unwrap();
                    if let Some(more) = flow.received(size, turn * 1000) {
                        leave += i64::from(more);
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn the_window_grows_only_on_a_fast_line() {
        let (mut slow, _) = CreditFlow::open(0);
        let (mut fast, _) = CreditFlow::open(0);
        for i in 0..100 {
            slow.received(CHUNK, i * 5_000 + 5_000);
            fast.received(CHUNK, i);
        }
        assert_eq!(slow.window, CHUNK as u64);
        assert_eq!(fast.window, WINDOW_MAX);
    }
}
