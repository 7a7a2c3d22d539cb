//! The shared memory of a WAL-index: zeroed regions with fixed addresses that SQLite reads and writes on its own.
//!
//! Rust never makes a reference to their contents, so SQLite's deliberate races (it reads the header twice and compares
//! checksums) are no business of the borrow checker. Owned by `state`.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// One region, freed when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a Region is only an address and a layout; the memory behind it is touched by SQLite's C code alone, which
// synchronises through xShmLock and xShmBarrier. Allocation and release happen under the disk's mutex.
unsafe impl Send for Region {}

impl Region {
    /// `len` zeroed bytes on a 4 KiB boundary; `None` when `len` is 0 or memory is short.
    pub(crate) fn new(len: usize) -> Option<Self> {
        let layout = Layout::from_size_align(len, 4096)
            .ok()
            .filter(|layout| layout.size() > 0)?;
        // SAFETY: the layout's size is not zero (checked above).
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout })
    }

    /// The region's address, valid until the region is dropped.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this very layout and is freed once. SQLite no longer uses it:
        // `state` drops regions only when the last handle has called xShmUnmap or closed, and those of a killed
        // process with the disk itself, which open handles keep alive.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
