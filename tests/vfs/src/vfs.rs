//! The `sqlite3_vfs` callbacks: names, and what SQLite asks of the operating system. Each finds its disk through the
//! entry's app data and lets `state` do the work.
//!
//! Called by SQLite alone. A callback that panics aborts the process (`extern "C"`), so none indexes or unwraps.

use crate::disk::DiskCore;
use crate::file::{self, OpenFile};
use crate::slot::Slot;
use crate::state::Outcome;
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

/// Longest name accepted, in bytes with its terminator.
const NAME_MAX: c_int = 4096;

/// The table SQLite gets. `name` and `slot` must live for ever.
pub(crate) fn entry(name: *const c_char, slot: &'static Slot) -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: NAME_MAX,
        pNext: std::ptr::null_mut(),
        zName: name,
        pAppData: std::ptr::from_ref(slot).cast_mut().cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: Some(dl_open),
        xDlError: Some(dl_error),
        xDlSym: Some(dl_sym),
        xDlClose: Some(dl_close),
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

pub(crate) fn code(outcome: Outcome) -> c_int {
    outcome.err().unwrap_or(ffi::SQLITE_OK)
}

/// # Safety
/// `vfs` must be an entry made by [`entry`].
unsafe fn slot(vfs: *mut ffi::sqlite3_vfs) -> &'static Slot {
    // SAFETY: the caller vouches for `vfs`; `entry` stored a `&'static Slot` in pAppData and nobody changes it.
    unsafe { &*(*vfs).pAppData.cast::<Slot>() }
}

/// # Safety
/// As [`slot`]; `name` must be null or a C string valid for the duration of the borrow.
unsafe fn disk_and_name<'n>(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
) -> Option<(Arc<DiskCore>, &'n str)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null (checked) and a C string by SQLite's contract.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    // SAFETY: passed on from the caller.
    Some((unsafe { slot(vfs) }.core()?, name))
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    out: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes szOsFile bytes at `out`; a null method table says "not open" until we are done.
    unsafe { (*out).pMethods = std::ptr::null() };
    // SAFETY: `vfs` is ours: SQLite calls this through the table that `entry` made.
    let Some(core) = (unsafe { slot(vfs) }).core() else {
        return ffi::SQLITE_CANTOPEN;
    };
    let name = if name.is_null() {
        None
    } else {
        // SAFETY: not null, and SQLite passes a C string.
        match unsafe { CStr::from_ptr(name) }.to_str() {
            Ok(name) => Some(name),
            Err(_) => return ffi::SQLITE_CANTOPEN,
        }
    };
    let opened = core.state().open(name, flags);
    match opened {
        Err(code) => code,
        Ok(handle) => {
            // SAFETY: `out` has room for an OpenFile (szOsFile) and is suitably aligned: SQLite aligns to 8.
            unsafe { file::install(out, core, handle) };
            if !out_flags.is_null() {
                // SAFETY: not null, and SQLite passes a valid pointer.
                unsafe { *out_flags = flags };
            }
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: called by SQLite with our entry and a C string.
    match unsafe { disk_and_name(vfs, name) } {
        Some((core, name)) => code(core.state().delete(name, sync_directory != 0)),
        None => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: called by SQLite with our entry and a C string.
    let Some((core, name)) = (unsafe { disk_and_name(vfs, name) }) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    let state = core.state();
    let yes = if flags == ffi::SQLITE_ACCESS_EXISTS {
        state.exists(name)
    } else {
        state.can_access(name)
    };
    // SAFETY: SQLite passes a valid out pointer.
    unsafe { *out = c_int::from(yes) };
    ffi::SQLITE_OK
}

/// Names are taken as they are; a relative one is put under `/`.
unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    if name.is_null() || out.is_null() {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: not null, and SQLite passes a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    let prefix: &[u8] = if name.starts_with(b"/") { b"" } else { b"/" };
    let room = usize::try_from(room).unwrap_or(0);
    if prefix.len() + name.len() > room {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has `room` bytes, and prefix plus name fit (checked); the buffers are distinct.
    unsafe {
        std::ptr::copy_nonoverlapping(prefix.as_ptr(), out.cast(), prefix.len());
        std::ptr::copy_nonoverlapping(name.as_ptr(), out.cast::<u8>().add(prefix.len()), name.len());
    }
    ffi::SQLITE_OK
}

/// No extension is ever loaded from a disk in memory.
unsafe extern "C" fn dl_open(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

unsafe extern "C" fn dl_error(_vfs: *mut ffi::sqlite3_vfs, room: c_int, out: *mut c_char) {
    let message = b"a disk in memory loads no extensions\0";
    if usize::try_from(room).is_ok_and(|room| room >= message.len()) && !out.is_null() {
        // SAFETY: `out` has `room` bytes, at least as many as the message has (checked).
        unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), out.cast(), message.len()) };
    }
}

unsafe extern "C" fn dl_sym(
    _vfs: *mut ffi::sqlite3_vfs,
    _library: *mut c_void,
    _symbol: *const c_char,
) -> Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)> {
    None
}

unsafe extern "C" fn dl_close(_vfs: *mut ffi::sqlite3_vfs, _library: *mut c_void) {}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: our entry; `system` is SQLite's default VFS, valid for ever; the arguments are passed on as they came.
    unsafe {
        let system = slot(vfs).system();
        (*system).xRandomness.map_or(0, |call| call(system, len, out))
    }
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, us: c_int) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe {
        let system = slot(vfs).system();
        (*system).xSleep.map_or(0, |call| call(system, us))
    }
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe {
        let system = slot(vfs).system();
        (*system)
            .xCurrentTime
            .map_or(ffi::SQLITE_ERROR, |call| call(system, out))
    }
}

unsafe extern "C" fn current_time_ms(vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: as in `randomness`; xCurrentTimeInt64 exists from version 2 on, which the default VFS has.
    unsafe {
        let system = slot(vfs).system();
        (*system)
            .xCurrentTimeInt64
            .map_or(ffi::SQLITE_ERROR, |call| call(system, out))
    }
}

unsafe extern "C" fn last_error(_vfs: *mut ffi::sqlite3_vfs, _room: c_int, _out: *mut c_char) -> c_int {
    0
}
