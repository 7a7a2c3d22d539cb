//! A disk's contents and what each operation does to them. Safe Rust; the C callbacks in `vfs` and `file` translate.
//!
//! Every method runs under the disk's one mutex, so the log's order is the order in which things happened.

use crate::fault::{FaultKind, Faults};
use crate::image::DiskImage;
use crate::lock::{FileLocks, HandleId, ShmLocks};
use crate::log::{Counts, Event, FileId, FileRole, Log};
use crate::replay::SECTOR;
use crate::shm::Region;
use rusqlite::ffi;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Arc;

/// SQLite's result code: `Ok` is `SQLITE_OK`.
pub(crate) type Outcome<T = ()> = Result<T, c_int>;

#[derive(Debug)]
struct Inode {
    role: FileRole,
    content: Arc<Vec<u8>>,
    /// Nameless (temporary) files are neither recorded nor counted nor made to fail.
    named: bool,
    open_handles: usize,
    locks: FileLocks,
    shm_locks: ShmLocks,
    shm_users: Vec<HandleId>,
    shm_regions: Vec<Region>,
}

/// What an open file handle has to remember.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle {
    pub(crate) file: FileId,
    pub(crate) id: HandleId,
    /// The directory gets synced together with the file's next sync (journals and WALs opened with CREATE).
    pub(crate) sync_directory: bool,
    pub(crate) delete_on_close: bool,
    pub(crate) writable: bool,
    /// Which process opened it: see [`State::kill_process`].
    process: u64,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    names: BTreeMap<Arc<str>, FileId>,
    inodes: HashMap<FileId, Inode>,
    last_id: u64,
    /// Counts the processes that were killed; a handle of an earlier one is dead.
    process: u64,
    /// WAL-index memory of dead processes: nothing reads it, but their connections still hold its address.
    graveyard: Vec<Region>,
    log: Option<Log>,
    pub(crate) faults: Faults,
    pub(crate) counts: Counts,
    pub(crate) capacity: Option<u64>,
}

impl State {
    pub(crate) fn of_image(image: &DiskImage) -> Self {
        let mut state = Self::default();
        for (name, content) in &image.files {
            let role = match name {
                name if name.ends_with("-wal") => FileRole::Wal,
                name if name.ends_with("-journal") => FileRole::Journal,
                _ => FileRole::Database,
            };
            let file = state.add(role, true, content.clone());
            state.names.insert(name.clone(), file);
        }
        state
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn add(&mut self, role: FileRole, named: bool, content: Arc<Vec<u8>>) -> FileId {
        let file = FileId(self.fresh_id());
        let inode = Inode {
            role,
            content,
            named,
            open_handles: 0,
            locks: FileLocks::default(),
            shm_locks: ShmLocks::default(),
            shm_users: Vec::new(),
            shm_regions: Vec::new(),
        };
        self.inodes.insert(file, inode);
        file
    }

    fn inode(&mut self, file: FileId) -> Outcome<&mut Inode> {
        self.inodes.get_mut(&file).ok_or(ffi::SQLITE_IOERR)
    }

    /// The file behind a handle, unless its process is dead.
    fn live(&mut self, handle: &Handle) -> Outcome<&mut Inode> {
        if handle.process != self.process {
            return Err(ffi::SQLITE_IOERR);
        }
        self.inode(handle.file)
    }

    fn record(&mut self, event: impl FnOnce() -> Event) {
        if let Some(log) = &mut self.log {
            log.events.push(event());
        }
    }

    // --- recording -------------------------------------------------------------------------------------------------

    pub(crate) fn start_recording(&mut self) {
        let base = self.names.iter().filter_map(|(name, file)| {
            self.inodes
                .get(file)
                .map(|inode| (name.clone(), *file, inode.content.clone()))
        });
        self.log = Some(Log {
            base: base.collect(),
            events: Vec::new(),
        });
    }

    pub(crate) fn stop_recording(&mut self) -> Log {
        self.log.take().unwrap_or_default()
    }

    pub(crate) fn log(&self) -> Log {
        self.log.clone().unwrap_or_default()
    }

    pub(crate) fn mark(&mut self, value: u64) {
        self.record(|| Event::Mark(value));
    }

    pub(crate) fn image(&self) -> DiskImage {
        DiskImage::of_files(
            self.names
                .iter()
                .filter_map(|(name, file)| Some((name.clone(), self.inodes.get(file)?.content.clone()))),
        )
    }

    /// All open handles die, with their locks and the WAL-index; contents stay, as in the page cache.
    pub(crate) fn kill_process(&mut self) {
        self.process += 1;
        for inode in self.inodes.values_mut() {
            inode.locks = FileLocks::default();
            inode.shm_locks = ShmLocks::default();
            inode.shm_users.clear();
            self.graveyard.append(&mut inode.shm_regions);
        }
    }

    /// Bytes held by all files, open nameless ones included.
    pub(crate) fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.content.len() as u64).sum()
    }

    // --- names -----------------------------------------------------------------------------------------------------

    pub(crate) fn open(&mut self, name: Option<&str>, flags: c_int) -> Outcome<Handle> {
        let role = role_of(flags);
        let file = match name {
            None => self.add(role, false, Arc::default()),
            Some(name) => {
                self.counts.opens += 1;
                if let Some(kind) = self.faults.due(&[FaultKind::OpenError], role) {
                    return Err(kind.code());
                }
                self.open_named(name, role, flags)?
            }
        };
        let id = HandleId(self.fresh_id());
        self.inode(file)?.open_handles += 1;
        let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        Ok(Handle {
            file,
            id,
            sync_directory: create && matches!(role, FileRole::Journal | FileRole::Wal),
            delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0,
            writable: flags & ffi::SQLITE_OPEN_READWRITE != 0,
            process: self.process,
        })
    }

    fn open_named(&mut self, name: &str, role: FileRole, flags: c_int) -> Outcome<FileId> {
        if let Some(file) = self.names.get(name).copied() {
            let exclusive = ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_EXCLUSIVE;
            if flags & exclusive == exclusive {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            if role != FileRole::Other {
                self.inode(file)?.role = role;
            }
            return Ok(file);
        }
        if flags & ffi::SQLITE_OPEN_CREATE == 0 {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let file = self.add(role, true, Arc::default());
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), file);
        self.record(|| Event::Create { name, file, role });
        Ok(file)
    }

    /// Like Unix SQLite, an empty file does not exist for this question.
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.names
            .get(name)
            .and_then(|file| self.inodes.get(file))
            .is_some_and(|inode| !inode.content.is_empty())
    }

    pub(crate) fn can_access(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(crate) fn delete(&mut self, name: &str, sync_directory: bool) -> Outcome {
        let Some(file) = self.names.get(name).copied() else {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        };
        self.counts.deletes += 1;
        let role = self.inode(file)?.role;
        if let Some(kind) = self.faults.due(&[FaultKind::DeleteError], role) {
            return Err(kind.code());
        }
        self.names.remove(name);
        self.record(|| Event::Delete { name: name.into() });
        if sync_directory {
            self.record(|| Event::SyncDirectory);
        }
        self.forget_if_unused(file);
        Ok(())
    }

    fn forget_if_unused(&mut self, file: FileId) {
        let unused = self
            .inodes
            .get(&file)
            .is_some_and(|inode| inode.open_handles == 0);
        if unused && !self.names.values().any(|named| *named == file) {
            self.inodes.remove(&file);
        }
    }

    pub(crate) fn close(&mut self, handle: Handle) {
        self.shm_unmap(handle);
        let Ok(inode) = self.live(&handle) else {
            return;
        };
        inode.locks.unlock(handle.id, ffi::SQLITE_LOCK_NONE);
        inode.open_handles -= 1;
        if handle.delete_on_close {
            let name = self
                .names
                .iter()
                .find(|(_, file)| **file == handle.file)
                .map(|(name, _)| name.clone());
            if let Some(name) = name {
                self.names.remove(&name);
                self.record(|| Event::Delete { name });
            }
        }
        self.forget_if_unused(handle.file);
    }

    // --- bytes -----------------------------------------------------------------------------------------------------

    /// Fills `buffer` from `offset`; what lies past the end is zeros and `SQLITE_IOERR_SHORT_READ`.
    pub(crate) fn read(&mut self, handle: Handle, offset: u64, buffer: &mut [u8]) -> Outcome {
        let inode = self.live(&handle)?;
        let (named, role) = (inode.named, inode.role);
        let mut limit = buffer.len();
        if named {
            self.counts.reads += 1;
            match self
                .faults
                .due(&[FaultKind::ReadError, FaultKind::ShortRead], role)
            {
                Some(FaultKind::ShortRead) => limit /= 2,
                Some(kind) => return Err(kind.code()),
                None => {}
            }
        }
        let content = &self.live(&handle)?.content;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let found = (content.len() - start).min(limit);
        let (head, tail) = buffer.split_at_mut(found);
        head.copy_from_slice(&content[start..start + found]);
        tail.fill(0);
        if tail.is_empty() {
            Ok(())
        } else {
            Err(ffi::SQLITE_IOERR_SHORT_READ)
        }
    }

    pub(crate) fn write(&mut self, handle: Handle, offset: u64, bytes: &[u8]) -> Outcome {
        let inode = self.live(&handle)?;
        let (named, role, len) = (inode.named, inode.role, inode.content.len() as u64);
        if !handle.writable {
            return Err(ffi::SQLITE_READONLY);
        }
        let mut outcome = Ok(());
        let mut bytes = bytes;
        if named {
            self.counts.writes += 1;
            if let Some(kind) = self
                .faults
                .due(&[FaultKind::WriteFull, FaultKind::WriteError], role)
            {
                outcome = Err(kind.code());
                // A failing disk takes whole sectors or nothing: half of them got through.
                bytes = &bytes[..bytes.len() / 2 / SECTOR * SECTOR];
            }
        }
        if let Some(capacity) = self.capacity {
            let free = capacity.saturating_sub(self.used());
            let growth = (offset + bytes.len() as u64).saturating_sub(len);
            if growth > free {
                outcome = Err(ffi::SQLITE_FULL);
                let fits = (bytes.len() as u64).saturating_sub(growth - free) as usize;
                bytes = &bytes[..fits];
            }
        }
        if bytes.is_empty() {
            return outcome;
        }
        write_into(Arc::make_mut(&mut self.live(&handle)?.content), offset, bytes);
        if named {
            self.record(|| Event::Write {
                file: handle.file,
                offset,
                bytes: bytes.into(),
            });
        }
        outcome
    }

    pub(crate) fn truncate(&mut self, handle: Handle, len: u64) -> Outcome {
        let inode = self.live(&handle)?;
        let (named, role) = (inode.named, inode.role);
        if named {
            self.counts.truncates += 1;
            if let Some(kind) = self.faults.due(&[FaultKind::TruncateError], role) {
                return Err(kind.code());
            }
        }
        let inode = self.live(&handle)?;
        if inode.content.len() as u64 != len {
            Arc::make_mut(&mut inode.content).resize(len as usize, 0);
            if named {
                self.record(|| Event::Truncate {
                    file: handle.file,
                    len,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self, handle: &mut Handle) -> Outcome {
        let inode = self.live(handle)?;
        if !inode.named {
            return Ok(());
        }
        let (file, role) = (handle.file, inode.role);
        self.counts.syncs += 1;
        if let Some(kind) = self.faults.due(&[FaultKind::SyncError], role) {
            self.record(|| Event::SyncFailed { file });
            return Err(kind.code());
        }
        self.record(|| Event::Sync { file });
        if std::mem::take(&mut handle.sync_directory) {
            self.record(|| Event::SyncDirectory);
        }
        Ok(())
    }

    /// Reads a whole file, writes the same bytes, syncs.
    pub(crate) fn rewrite(&mut self, name: &str) -> Outcome {
        let mut handle = self.open(Some(name), ffi::SQLITE_OPEN_READWRITE)?;
        let outcome = self
            .inode(handle.file)
            .map(|inode| inode.content.clone())
            .and_then(|content| {
                self.write(handle, 0, &content)?;
                self.sync(&mut handle)
            });
        self.close(handle);
        outcome
    }

    pub(crate) fn len(&mut self, handle: Handle) -> Outcome<u64> {
        Ok(self.live(&handle)?.content.len() as u64)
    }

    // --- locks and the WAL-index -----------------------------------------------------------------------------------

    pub(crate) fn lock(&mut self, handle: Handle, level: c_int) -> c_int {
        self.live(&handle)
            .map_or_else(|code| code, |inode| inode.locks.lock(handle.id, level))
    }

    pub(crate) fn unlock(&mut self, handle: Handle, level: c_int) -> Outcome {
        self.live(&handle)?.locks.unlock(handle.id, level);
        Ok(())
    }

    pub(crate) fn reserved(&mut self, handle: Handle) -> Outcome<bool> {
        Ok(self.live(&handle)?.locks.reserved())
    }

    /// The address of WAL-index region `index`; `None` when it does not exist and `extend` is false.
    pub(crate) fn shm_map(
        &mut self,
        handle: Handle,
        index: usize,
        len: usize,
        extend: bool,
    ) -> Outcome<Option<NonNull<u8>>> {
        let inode = self.live(&handle)?;
        if !inode.shm_users.contains(&handle.id) {
            inode.shm_users.push(handle.id);
        }
        while extend && inode.shm_regions.len() <= index {
            inode
                .shm_regions
                .push(Region::new(len).ok_or(ffi::SQLITE_IOERR_NOMEM)?);
        }
        Ok(inode.shm_regions.get(index).map(Region::start))
    }

    pub(crate) fn shm_lock(&mut self, handle: Handle, first: usize, count: usize, flags: c_int) -> c_int {
        self.live(&handle).map_or_else(
            |code| code,
            |inode| inode.shm_locks.change(handle.id, first, count, flags),
        )
    }

    /// The last user takes the WAL-index with it: the next one starts from zeros and recovers from the WAL.
    pub(crate) fn shm_unmap(&mut self, handle: Handle) {
        let Ok(inode) = self.live(&handle) else {
            return;
        };
        inode.shm_locks.release(handle.id);
        inode.shm_users.retain(|user| *user != handle.id);
        if inode.shm_users.is_empty() {
            inode.shm_regions.clear();
        }
    }
}

fn role_of(flags: c_int) -> FileRole {
    if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        FileRole::Database
    } else if flags & ffi::SQLITE_OPEN_WAL != 0 {
        FileRole::Wal
    } else if flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL) != 0 {
        FileRole::Journal
    } else {
        FileRole::Other
    }
}

/// Writes like `pwrite`: a gap becomes zeros.
pub(crate) fn write_into(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}
