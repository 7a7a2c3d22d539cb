//! What a disk was asked to do, in order. Pure data: no SQLite, no I/O.
//!
//! Written by `state` while a disk records; read by `replay`, and by tests that want to look.

use crate::image::DiskImage;
use std::sync::Arc;

/// One file's identity, whatever its name: a deleted and re-created file is another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(crate) u64);

/// What SQLite uses a file for, as told by the flags it opened it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// The main database file.
    Database,
    /// The write-ahead log.
    Wal,
    /// A rollback journal or super-journal.
    Journal,
    /// Temporary files and everything else. Nameless ones are never recorded.
    Other,
}

/// One thing the disk did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A name came into being with an empty file behind it.
    Create {
        /// The full name, as SQLite passed it.
        name: Arc<str>,
        /// The new file.
        file: FileId,
        /// Its use.
        role: FileRole,
    },
    /// Bytes were written. After a failed write only the part that got through is here.
    Write {
        /// The file.
        file: FileId,
        /// Where, in bytes from its start.
        offset: u64,
        /// What: ciphertext, for an encrypted database.
        bytes: Box<[u8]>,
    },
    /// The file's length was set.
    Truncate {
        /// The file.
        file: FileId,
        /// The new length in bytes.
        len: u64,
    },
    /// A sync of the file *returned* success: everything logged for it before is durable.
    Sync {
        /// The file.
        file: FileId,
    },
    /// A sync of the file failed: what it had pending is kept, torn or lost, and no later sync changes that.
    SyncFailed {
        /// The file.
        file: FileId,
    },
    /// The directory was synced: every creation and deletion before is durable.
    SyncDirectory,
    /// A name was removed.
    Delete {
        /// The name.
        name: Arc<str>,
    },
    /// The test said so: see [`crate::Disk::mark`].
    Mark(u64),
}

/// Everything a disk did since [`crate::Disk::record`], and what it held at that moment.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub(crate) base: Vec<(Arc<str>, FileId, Arc<Vec<u8>>)>,
    pub(crate) events: Vec<Event>,
}

impl Log {
    /// The events, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many events there are: a cut is a number from 0 to this, inclusive.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True when nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The values of all marks, in order.
    pub fn marks(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().filter_map(|event| {
            if let Event::Mark(value) = event {
                Some(*value)
            } else {
                None
            }
        })
    }

    /// The disk as it was when recording began, taken as wholly durable.
    pub fn base(&self) -> DiskImage {
        DiskImage::of_files(
            self.base
                .iter()
                .map(|(name, _, content)| (name.clone(), content.clone())),
        )
    }
}

/// How often a disk was asked for each operation since it was made, failed ones included, nameless files excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Truncations.
    pub truncates: u64,
    /// Syncs.
    pub syncs: u64,
    /// Opens.
    pub opens: u64,
    /// Deletions.
    pub deletes: u64,
}
