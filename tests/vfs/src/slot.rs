//! Registered VFS entries. SQLite keeps raw pointers to a `sqlite3_vfs` for as long as any connection opened with it lives,
//! and we cannot know when that ends; so an entry, once registered, stays for ever and is lent to one disk after another.
//! A run over a million images needs as many entries as it has disks mounted at the same time: a handful.
//!
//! Called by `disk` (take, give back) and `vfs` (find the disk behind a callback).

use crate::disk::{DiskCore, VfsError};
use crate::vfs;
use rusqlite::ffi;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The entries no disk uses at the moment.
static FREE: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());
static REGISTERED: AtomicU64 = AtomicU64::new(0);
/// Held while SQLite is set up: it calls itself initialised before SQLCipher's part has run (`SQLITE_EXTRA_INIT` comes
/// after `isInit`), and a thread that came second in that moment would find no cipher.
static SETUP: Mutex<()> = Mutex::new(());

/// One entry in SQLite's list of VFSs and the disk that has it, if any.
#[derive(Debug)]
pub(crate) struct Slot {
    name: String,
    core: Mutex<Option<Arc<DiskCore>>>,
    /// SQLite's default VFS: it gives the clock, sleep and randomness.
    system: *mut ffi::sqlite3_vfs,
}

// SAFETY: `system` is only ever handed back to SQLite, whose VFS entries may be used from any thread; the rest is Sync.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

impl Slot {
    /// An entry for this disk: a free one, or a newly registered one.
    pub(crate) fn take(core: Arc<DiskCore>) -> Result<&'static Self, VfsError> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slot = match free {
            Some(slot) => slot,
            None => Self::register()?,
        };
        *slot.core.lock().unwrap_or_else(PoisonError::into_inner) = Some(core);
        Ok(slot)
    }

    fn register() -> Result<&'static Self, VfsError> {
        let setup = SETUP.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: no preconditions; initialisation is idempotent, and one thread at a time is here.
        let code = unsafe { ffi::sqlite3_initialize() };
        drop(setup);
        if code != ffi::SQLITE_OK {
            return Err(VfsError::Register(code));
        }
        // SAFETY: a null name asks for the default; the result is null or an entry that lives as long as SQLite.
        let system = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        if system.is_null() {
            return Err(VfsError::NoDefaultVfs);
        }
        let name = format!("vitrine-disk-{}", REGISTERED.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.as_str()).unwrap_or_default();
        let slot: &'static Self = Box::leak(Box::new(Self {
            name,
            core: Mutex::new(None),
            system,
        }));
        let entry = Box::leak(Box::new(vfs::entry(c_name.into_raw(), slot)));
        // SAFETY: the entry, its name and its app data are leaked, hence valid for ever; 0 keeps the default VFS.
        let code = unsafe { ffi::sqlite3_vfs_register(entry, 0) };
        if code == ffi::SQLITE_OK {
            Ok(slot)
        } else {
            Err(VfsError::Register(code))
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The disk that has this entry now.
    pub(crate) fn core(&self) -> Option<Arc<DiskCore>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn system(&self) -> *mut ffi::sqlite3_vfs {
        self.system
    }

    /// Frees the entry for another disk, unless a connection still has files of this one open: then the entry is
    /// retired, so that the stray connection can never reach another disk's files.
    pub(crate) fn give_back(&'static self) {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Two owners are left when no file is open: the `Disk` being dropped and `core` here.
        if core.is_some_and(|core| Arc::strong_count(&core) <= 2) {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }
}
