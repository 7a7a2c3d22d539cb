//! Which operation fails, how, and for how long. Pure counting: no SQLite calls.
//!
//! Armed by tests through [`crate::Disk::arm`]; asked by `state` at every operation.

use crate::log::FileRole;
use rusqlite::ffi;
use std::ffi::c_int;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A write fails with `SQLITE_FULL`; a part of it may have reached the file, as with a real full disk.
    WriteFull,
    /// A write fails with `SQLITE_IOERR_WRITE`; a part of it may have reached the file.
    WriteError,
    /// A sync fails with `SQLITE_IOERR_FSYNC`; see [`crate::Event::SyncFailed`] for what that does to the data.
    SyncError,
    /// A read fails with `SQLITE_IOERR_READ`.
    ReadError,
    /// A read returns only its first half; the rest is zeros and the code is `SQLITE_IOERR_SHORT_READ`, as SQLite asks
    /// of a VFS. SQLite takes this for the end of the file.
    ShortRead,
    /// A truncation fails with `SQLITE_IOERR_TRUNCATE`.
    TruncateError,
    /// An open fails with `SQLITE_CANTOPEN`.
    OpenError,
    /// A deletion fails with `SQLITE_IOERR_DELETE`.
    DeleteError,
}

impl FaultKind {
    /// The SQLite result code SQLite gets.
    pub fn code(self) -> c_int {
        match self {
            Self::WriteFull => ffi::SQLITE_FULL,
            Self::WriteError => ffi::SQLITE_IOERR_WRITE,
            Self::SyncError => ffi::SQLITE_IOERR_FSYNC,
            Self::ReadError => ffi::SQLITE_IOERR_READ,
            Self::ShortRead => ffi::SQLITE_IOERR_SHORT_READ,
            Self::TruncateError => ffi::SQLITE_IOERR_TRUNCATE,
            Self::OpenError => ffi::SQLITE_CANTOPEN,
            Self::DeleteError => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

/// Whether the disk recovers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Only the Nth operation fails.
    Once,
    /// The Nth and all after it fail, until [`crate::Disk::disarm`].
    Forever,
}

/// One planned failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How it fails.
    pub kind: FaultKind,
    /// Which one fails, counting from 1 at the moment of arming. 0 counts as 1.
    pub nth: u64,
    /// Whether those after it fail too.
    pub repeat: Repeat,
    /// Only operations on files with this role are counted; `None` counts all named files.
    pub role: Option<FileRole>,
}

impl Fault {
    /// The `nth` operation of any file fails, once.
    pub fn once(kind: FaultKind, nth: u64) -> Self {
        Self {
            kind,
            nth,
            repeat: Repeat::Once,
            role: None,
        }
    }

    /// The `nth` operation of any file and all after it fail.
    pub fn from(kind: FaultKind, nth: u64) -> Self {
        Self {
            kind,
            nth,
            repeat: Repeat::Forever,
            role: None,
        }
    }

    /// The same fault, for files with this role alone.
    pub fn on(self, role: FileRole) -> Self {
        Self {
            role: Some(role),
            ..self
        }
    }
}

/// The faults armed on one disk, with their counts.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<(Fault, u64)>,
    fired: u64,
}

impl Faults {
    pub(crate) fn arm(&mut self, fault: Fault) {
        self.armed.push((fault, 0));
    }

    pub(crate) fn disarm(&mut self) {
        self.armed.clear();
    }

    pub(crate) fn fired(&self) -> u64 {
        self.fired
    }

    /// Counts one operation against every armed fault of these kinds; the first that is due is returned.
    pub(crate) fn due(&mut self, kinds: &[FaultKind], role: FileRole) -> Option<FaultKind> {
        let mut hit = None;
        for (fault, seen) in &mut self.armed {
            if !kinds.contains(&fault.kind) || fault.role.is_some_and(|only| only != role) {
                continue;
            }
            *seen += 1;
            let due = match fault.repeat {
                Repeat::Once => *seen == fault.nth.max(1),
                Repeat::Forever => *seen >= fault.nth.max(1),
            };
            if due && hit.is_none() {
                hit = Some(fault.kind);
            }
        }
        self.fired += u64::from(hit.is_some());
        hit
    }
}
