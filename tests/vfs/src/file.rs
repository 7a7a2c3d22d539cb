//! The `sqlite3_io_methods` callbacks: one open file. Each turns C arguments into slices and lets `state` do the work.
//!
//! Called by SQLite alone, for one handle from one thread at a time (it holds the connection's mutex).

use crate::disk::DiskCore;
use crate::state::Handle;
use crate::vfs::code;
use rusqlite::ffi;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// What SQLite allocates for an open file: its own part first, then ours.
#[repr(C)]
pub(crate) struct OpenFile {
    base: ffi::sqlite3_file,
    body: *mut Body,
}

struct Body {
    core: Arc<DiskCore>,
    handle: Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // 2: with the WAL-index, without mmap.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes `out` an open file.
///
/// # Safety
/// `out` must point to at least `size_of::<OpenFile>()` writable bytes, aligned for it, that hold no open file.
pub(crate) unsafe fn install(out: *mut ffi::sqlite3_file, core: Arc<DiskCore>, handle: Handle) {
    let body = Box::into_raw(Box::new(Body { core, handle }));
    // SAFETY: the caller vouches for the room and the alignment.
    unsafe {
        out.cast::<OpenFile>().write(OpenFile {
            base: ffi::sqlite3_file { pMethods: &METHODS },
            body,
        })
    };
}

/// The open file behind a callback.
///
/// # Safety
/// `file` must have been made by [`install`] and not closed; no other borrow of it may be alive. Both hold inside a
/// callback: SQLite calls METHODS for such files alone, and for one file never twice at once.
unsafe fn body<'f>(file: *mut ffi::sqlite3_file) -> &'f mut Body {
    // SAFETY: `install` put a leaked box there, and `close` is the last call for it.
    unsafe { &mut *(*file.cast::<OpenFile>()).body }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the body came from Box::into_raw in `install`; SQLite closes a file once and never uses it again, and the
    // null method table tells it so.
    let body = unsafe {
        (*file).pMethods = std::ptr::null();
        Box::from_raw((*file.cast::<OpenFile>()).body)
    };
    body.core.state().close(body.handle);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    len: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(len), Ok(offset)) = (usize::try_from(len), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite passes a buffer of `len` bytes that nobody else uses during the call. It may be uninitialised to
    // Rust's eye, so it is zeroed before a slice is made of it.
    let buffer = unsafe {
        std::ptr::write_bytes(out.cast::<u8>(), 0, len);
        std::slice::from_raw_parts_mut(out.cast::<u8>(), len)
    };
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    code(body.core.state().read(body.handle, offset, buffer))
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(len), Ok(offset)) = (usize::try_from(len), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite passes `len` initialised bytes that nobody changes during the call.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len) };
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    code(body.core.state().write(body.handle, offset, bytes))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    let Ok(len) = u64::try_from(len) else {
        return ffi::SQLITE_IOERR_TRUNCATE;
    };
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    code(body.core.state().truncate(body.handle, len))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    let delay = body.core.sync_delay();
    if !delay.is_zero() {
        // Outside the disk's mutex: a slow sync must not stop readers.
        std::thread::sleep(delay);
    }
    code(body.core.state().sync(&mut body.handle))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    match body.core.state().len(body.handle) {
        Ok(len) => {
            // SAFETY: SQLite passes a valid out pointer.
            unsafe { *out = len as ffi::sqlite3_int64 };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    body.core.state().lock(body.handle, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    code(body.core.state().unlock(body.handle, level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    match body.core.state().reserved(body.handle) {
        Ok(reserved) => {
            // SAFETY: SQLite passes a valid out pointer.
            unsafe { *out = c_int::from(reserved) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

/// No control is known: SQLite then does what it does for a plain VFS.
unsafe extern "C" fn file_control(
    _file: *mut ffi::sqlite3_file,
    _op: c_int,
    _argument: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

/// What SQLite's Unix VFS answers. Tearing happens at the finer [`crate::SECTOR`].
unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// What SQLite's Unix VFS answers.
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    index: c_int,
    len: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let (Ok(index), Ok(len)) = (usize::try_from(index), usize::try_from(len)) else {
        return ffi::SQLITE_IOERR_SHMMAP;
    };
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    let (region, code) = match body.core.state().shm_map(body.handle, index, len, extend != 0) {
        Ok(region) => (region, ffi::SQLITE_OK),
        Err(code) => (None, code),
    };
    // SAFETY: SQLite passes a valid out pointer. The region lives until the last user unmaps it.
    unsafe { *out = region.map_or(std::ptr::null_mut(), |start| start.as_ptr().cast()) };
    code
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let (Ok(first), Ok(count)) = (usize::try_from(first), usize::try_from(count)) else {
        return ffi::SQLITE_IOERR_SHMLOCK;
    };
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    body.core.state().shm_lock(body.handle, first, count, flags)
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: inside a callback (see `body`).
    let body = unsafe { body(file) };
    body.core.state().shm_unmap(body.handle);
    ffi::SQLITE_OK
}
