//! [`Disk`]: the handle tests hold on a disk in memory. Safe outside; the C side is in `slot`, `vfs` and `file`.

use crate::fault::Fault;
use crate::image::DiskImage;
use crate::log::{Counts, Log};
use crate::slot::Slot;
use crate::state::State;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a disk could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VfsError {
    /// SQLite refused the registration.
    #[error("registering an in-memory VFS with SQLite failed with result code {0}; is SQLite shut down?")]
    Register(c_int),
    /// SQLite has no default VFS to take the clock and randomness from.
    #[error("SQLite has no default VFS, so an in-memory one has no clock; build SQLite with its OS layer")]
    NoDefaultVfs,
}

/// The shared part: open file handles keep it alive after the [`Disk`] is dropped.
#[derive(Debug, Default)]
pub(crate) struct DiskCore {
    state: Mutex<State>,
    sync_delay_us: AtomicU64,
}

impl DiskCore {
    /// The disk's state. A panic elsewhere does not make the disk unusable: its fields are consistent after each call.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sync_delay(&self) -> Duration {
        Duration::from_micros(self.sync_delay_us.load(Ordering::Relaxed))
    }
}

/// A disk in memory, mounted as an SQLite VFS for as long as it lives.
///
/// Open databases on it with `Connection::open_with_flags_and_vfs(name, flags, disk.vfs_name())`; any absolute name will
/// do, nothing touches the real file system. Connections may be used from any number of threads. A connection that
/// outlives its disk keeps the files it has open and can open no others.
#[derive(Debug)]
pub struct Disk {
    core: Arc<DiskCore>,
    slot: &'static Slot,
}

impl Disk {
    /// An empty disk of unlimited size that records nothing and never fails.
    pub fn new() -> Result<Self, VfsError> {
        Self::with_image(&DiskImage::default())
    }

    /// A disk that holds the image's files.
    pub fn with_image(image: &DiskImage) -> Result<Self, VfsError> {
        let core = Arc::new(DiskCore {
            state: Mutex::new(State::of_image(image)),
            sync_delay_us: AtomicU64::new(0),
        });
        let slot = Slot::take(core.clone())?;
        Ok(Self { core, slot })
    }

    /// The name SQLite knows this disk by.
    pub fn vfs_name(&self) -> &'static str {
        self.slot.name()
    }

    /// Starts recording; what the disk holds now becomes the log's durable base. Forgets an earlier recording.
    pub fn record(&self) {
        self.core.state().start_recording();
    }

    /// A copy of the log so far (empty when not recording).
    pub fn log(&self) -> Log {
        self.core.state().log()
    }

    /// Stops recording and hands the log over without copying it.
    pub fn take_log(&self) -> Log {
        self.core.state().stop_recording()
    }

    /// Puts a mark into the log: call it right after the commit that the program would now acknowledge. An image cut
    /// after it reports it as [`DiskImage::last_mark`].
    pub fn mark(&self, value: u64) {
        self.core.state().mark(value);
    }

    /// What a *process* that dies now leaves behind: every write, synced or not.
    pub fn image(&self) -> DiskImage {
        self.core.state().image()
    }

    /// The process dies and starts again on the same disk: every open connection is dead (its reads, writes, syncs and
    /// locks fail with `SQLITE_IOERR`; just drop it), its locks and the WAL-index are gone, what it wrote stays, synced or
    /// not, and recording goes on.
    pub fn kill_process(&self) {
        self.core.state().kill_process();
    }

    /// Writes a file's content over itself and syncs it, as a program can do with a file it distrusts: what only the page
    /// cache held is on the platter afterwards. Fails with SQLite's result code if there is no such file or a fault is due.
    pub fn rewrite_file(&self, name: &str) -> Result<(), c_int> {
        self.core.state().rewrite(name)
    }

    /// Plans a failure. Several may be armed; an operation that two of them want to fail fails as the first says.
    pub fn arm(&self, fault: Fault) {
        self.core.state().faults.arm(fault);
    }

    /// Forgets all planned failures. What failed stays failed.
    pub fn disarm(&self) {
        self.core.state().faults.disarm();
    }

    /// How many operations failed on purpose so far (a full disk does not count).
    pub fn faults_fired(&self) -> u64 {
        self.core.state().faults.fired()
    }

    /// Limits the disk to this many bytes in all files together; a write that grows a file past it takes what fits and
    /// fails with `SQLITE_FULL`. `None` lifts the limit. A limit below [`Disk::used`] removes nothing.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.core.state().capacity = bytes;
    }

    /// Bytes held by all files.
    pub fn used(&self) -> u64 {
        self.core.state().used()
    }

    /// Every sync from now on takes at least this long (whole microseconds). Reads and writes go on meanwhile.
    pub fn set_sync_delay(&self, delay: Duration) {
        let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.core.sync_delay_us.store(us, Ordering::Relaxed);
    }

    /// How often each operation was asked for.
    pub fn counts(&self) -> Counts {
        self.core.state().counts
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.slot.give_back();
    }
}
