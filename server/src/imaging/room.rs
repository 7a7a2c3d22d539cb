//! Room on the disk of images: packs are made while more is free than a reserve, so that what comes in still finds room.
//!
//! Lives here: [`Room`], the rule. Never here: packs. Called by `packing`, and by `http::health` for what is told. Originals
//! are not held back: whether one fits is for its sender to hear.

use super::blobs::Blobs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The rule, and how it stands.
#[derive(Debug)]
pub struct Room {
    /// Bytes that stay free; 0 = none.
    reserve: u64,
    short: AtomicBool,
}

impl Room {
    /// With a reserve in MiB.
    #[must_use]
    pub const fn new(reserve_mib: u64) -> Self {
        Self {
            reserve: reserve_mib.saturating_mul(1 << 20),
            short: AtomicBool::new(false),
        }
    }

    /// Whether there is room for packs on the disk of these files. A change is told once.
    pub fn has(&self, blobs: &Blobs) -> bool {
        if self.reserve == 0 {
            return true;
        }
        match blobs.free() {
            Ok(free) => self.judge(free),
            Err(e) => {
                // Whoever cannot be asked how much is free will say so when it is written.
                tracing::debug!(error = %e, "the disk of images does not say what is free");
                true
            }
        }
    }

    fn judge(&self, free: u64) -> bool {
        let short = free < self.reserve;
        if self.short.swap(short, Relaxed) != short {
            let (free_mib, reserve_mib) = (free >> 20, self.reserve >> 20);
            if short {
                tracing::error!(
                    free_mib,
                    reserve_mib,
                    "no images are made ready: the disk of images has less free than images.reserve_mib; make room there"
                );
            } else {
                tracing::info!(
                    free_mib,
                    reserve_mib,
                    "images are made ready again: there is room"
                );
            }
        }
        !short
    }

    /// Whether making packs rests for want of room.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_rest_below_the_reserve_and_go_on_at_it() {
        let room = Room::new(2);
        for (free, has) in [
            (3 << 20, true),
            ((2 << 20) - 1, false),
            (0, false),
            (2 << 20, true),
        ] {
            assert_eq!(room.judge(free), has, "{free}");
            assert_eq!(room.is_short(), !has);
        }
    }

    #[test]
    fn a_disk_is_asked_and_without_a_reserve_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), "a").unwrap();
        assert!(blobs.free().unwrap() > 0);
        assert!(Room::new(1).has(&blobs));
        assert!(!Room::new(u64::MAX).has(&blobs), "more than any disk");
        assert!(Room::new(0).has(&blobs));
    }
}
