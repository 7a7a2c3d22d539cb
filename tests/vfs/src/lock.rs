//! The two lock tables SQLite expects of a VFS: the file lock (rollback journal) and the eight WAL-index locks.
//! Pure tables, same answers as SQLite's `os_unix.c` gives to connections of one process.
//!
//! Asked by `state` under the disk's mutex; they never wait, they answer busy.

use rusqlite::ffi;
use std::ffi::c_int;

/// One open file handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HandleId(pub(crate) u64);

/// NONE < SHARED < RESERVED < PENDING < EXCLUSIVE, per file.
#[derive(Debug, Default)]
pub(crate) struct FileLocks {
    /// Handles that hold SHARED or more.
    holders: Vec<HandleId>,
    /// The one handle above SHARED, and how high.
    writer: Option<(HandleId, c_int)>,
}

impl FileLocks {
    fn level(&self, handle: HandleId) -> c_int {
        match self.writer {
            Some((holder, level)) if holder == handle => level,
            _ if self.holders.contains(&handle) => ffi::SQLITE_LOCK_SHARED,
            _ => ffi::SQLITE_LOCK_NONE,
        }
    }

    /// Raises the handle's lock. `SQLITE_OK` or `SQLITE_BUSY`; a refused EXCLUSIVE stays PENDING, which keeps new readers
    /// out, as on Unix.
    pub(crate) fn lock(&mut self, handle: HandleId, wanted: c_int) -> c_int {
        if self.level(handle) >= wanted {
            return ffi::SQLITE_OK;
        }
        if wanted == ffi::SQLITE_LOCK_SHARED {
            if self
                .writer
                .is_some_and(|(_, level)| level >= ffi::SQLITE_LOCK_PENDING)
            {
                return ffi::SQLITE_BUSY;
            }
            self.holders.push(handle);
            return ffi::SQLITE_OK;
        }
        if self.writer.is_some_and(|(holder, _)| holder != handle) {
            return ffi::SQLITE_BUSY;
        }
        if wanted < ffi::SQLITE_LOCK_EXCLUSIVE {
            self.writer = Some((handle, wanted));
            return ffi::SQLITE_OK;
        }
        let alone = self.holders.iter().all(|holder| *holder == handle);
        let reached = if alone {
            ffi::SQLITE_LOCK_EXCLUSIVE
        } else {
            ffi::SQLITE_LOCK_PENDING
        };
        self.writer = Some((handle, reached));
        if alone { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
    }

    /// Lowers the handle's lock to SHARED or NONE.
    pub(crate) fn unlock(&mut self, handle: HandleId, wanted: c_int) {
        if self.writer.is_some_and(|(holder, _)| holder == handle) {
            self.writer = None;
        }
        if wanted == ffi::SQLITE_LOCK_NONE {
            self.holders.retain(|holder| *holder != handle);
        }
    }

    /// Whether any handle holds RESERVED or more.
    pub(crate) fn reserved(&self) -> bool {
        self.writer.is_some()
    }
}

/// The eight WAL-index locks of one database file.
#[derive(Debug, Default)]
pub(crate) struct ShmLocks {
    shared: [Vec<HandleId>; ffi::SQLITE_SHM_NLOCK as usize],
    exclusive: [Option<HandleId>; ffi::SQLITE_SHM_NLOCK as usize],
}

impl ShmLocks {
    /// One `xShmLock` call over the locks `first .. first + count`. All or nothing.
    pub(crate) fn change(&mut self, handle: HandleId, first: usize, count: usize, flags: c_int) -> c_int {
        let (Some(shared), Some(exclusive)) = (
            self.shared.get_mut(first..first + count),
            self.exclusive.get_mut(first..first + count),
        ) else {
            return ffi::SQLITE_IOERR_SHMLOCK;
        };
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            shared
                .iter_mut()
                .for_each(|holders| holders.retain(|holder| *holder != handle));
            exclusive
                .iter_mut()
                .filter(|holder| **holder == Some(handle))
                .for_each(|holder| *holder = None);
            return ffi::SQLITE_OK;
        }
        if exclusive
            .iter()
            .any(|holder| holder.is_some_and(|other| other != handle))
        {
            return ffi::SQLITE_BUSY;
        }
        if flags & ffi::SQLITE_SHM_SHARED != 0 {
            shared
                .iter_mut()
                .filter(|holders| !holders.contains(&handle))
                .for_each(|holders| holders.push(handle));
            return ffi::SQLITE_OK;
        }
        if shared
            .iter()
            .any(|holders| holders.iter().any(|other| *other != handle))
        {
            return ffi::SQLITE_BUSY;
        }
        exclusive.iter_mut().for_each(|holder| *holder = Some(handle));
        ffi::SQLITE_OK
    }

    /// Gives up every lock of the handle.
    pub(crate) fn release(&mut self, handle: HandleId) {
        self.change(handle, 0, ffi::SQLITE_SHM_NLOCK as usize, ffi::SQLITE_SHM_UNLOCK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const A: HandleId = HandleId(1);
    const B: HandleId = HandleId(2);

    #[test]
    fn one_writer_and_readers_until_it_is_pending() {
        let mut locks = FileLocks::default();
        assert_eq!(locks.lock(A, ffi::SQLITE_LOCK_SHARED), ffi::SQLITE_OK);
        assert_eq!(locks.lock(B, ffi::SQLITE_LOCK_SHARED), ffi::SQLITE_OK);
        assert_eq!(locks.lock(A, ffi::SQLITE_LOCK_RESERVED), ffi::SQLITE_OK);
        assert!(locks.reserved());
        assert_eq!(locks.lock(B, ffi::SQLITE_LOCK_RESERVED), ffi::SQLITE_BUSY);
        assert_eq!(
            locks.lock(A, ffi::SQLITE_LOCK_EXCLUSIVE),
            ffi::SQLITE_BUSY,
            "B still reads"
        );
        assert_eq!(
            locks.lock(HandleId(3), ffi::SQLITE_LOCK_SHARED),
            ffi::SQLITE_BUSY,
            "A is pending"
        );
        locks.unlock(B, ffi::SQLITE_LOCK_NONE);
        assert_eq!(locks.lock(A, ffi::SQLITE_LOCK_EXCLUSIVE), ffi::SQLITE_OK);
        locks.unlock(A, ffi::SQLITE_LOCK_SHARED);
        assert!(!locks.reserved());
        assert_eq!(locks.lock(B, ffi::SQLITE_LOCK_SHARED), ffi::SQLITE_OK);
    }

    #[test]
    fn wal_index_locks_are_all_or_nothing() {
        let mut locks = ShmLocks::default();
        let (lock, unlock) = (ffi::SQLITE_SHM_LOCK, ffi::SQLITE_SHM_UNLOCK);
        let (shared, exclusive) = (ffi::SQLITE_SHM_SHARED, ffi::SQLITE_SHM_EXCLUSIVE);
        assert_eq!(locks.change(A, 4, 1, lock | shared), ffi::SQLITE_OK);
        assert_eq!(locks.change(B, 4, 1, lock | shared), ffi::SQLITE_OK);
        assert_eq!(
            locks.change(A, 3, 3, lock | exclusive),
            ffi::SQLITE_BUSY,
            "B shares number 4"
        );
        assert_eq!(
            locks.change(B, 3, 1, lock | exclusive),
            ffi::SQLITE_OK,
            "nothing was taken by the refusal"
        );
        assert_eq!(locks.change(A, 3, 1, lock | shared), ffi::SQLITE_BUSY);
        locks.release(B);
        assert_eq!(locks.change(A, 3, 1, lock | shared), ffi::SQLITE_OK);
        assert_eq!(locks.change(A, 3, 1, unlock | shared), ffi::SQLITE_OK);
        assert_eq!(
            locks.change(B, 7, 2, lock | shared),
            ffi::SQLITE_IOERR_SHMLOCK,
            "there are eight"
        );
    }
}
