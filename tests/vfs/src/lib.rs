//! A recording, fault-injecting SQLite VFS: what happens to our files when the power goes.
//!
//! **What lives here.** A whole disk in memory ([`Disk`]) that SQLite mounts by name, *below* SQLCipher, so it sees
//! ciphertext and nothing else. A disk records every create, write, truncate, sync and delete in order ([`Log`]),
//! fails the Nth operation on request ([`Fault`]), fills up ([`Disk::set_capacity`]) and can be slow
//! ([`Disk::set_sync_delay`]). From a log, [`power_cut_images`] makes the disks a machine could wake up with, and
//! [`DiskImage::mount`] gives each back as a disk that can be opened.
//!
//! **What never comes here.** Keys, clinical words, a file system, a network, product code. Nothing in the product
//! depends on this crate; only tests do. It is the one crate where `unsafe` is allowed, because an SQLite VFS is a table
//! of C callbacks; the `unsafe` is confined to `vfs`, `file`, `slot` and `shm`.
//!
//! **Who calls it.** The tests of this crate (plain SQLCipher) and the fault tests of the stores:
//!
//! ```
//! use rusqlite::{Connection, OpenFlags};
//! use vitrine_vfs::{Disk, power_cut_images};
//!
//! let disk = Disk::new()?;
//! disk.record();
//! let db = Connection::open_with_flags_and_vfs("/ward.db", OpenFlags::default(), disk.vfs_name())?;
//! db.pragma_update(None, "key", format!("x'{}'", "5a".repeat(32)))?;
//! db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER) STRICT;")?;
//! db.execute("INSERT INTO t VALUES (1)", [])?;
//! disk.mark(1); // the moment the program would have told its user "saved"
//! drop(db);
//!
//! for image in power_cut_images(&disk.log(), 42, 10) {
//!     let woken = image.mount()?;
//!     let _db = Connection::open_with_flags_and_vfs("/ward.db", OpenFlags::default(), woken.vfs_name())?;
//!     // … check that everything up to `image.last_mark()` is there
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The model of a disk
//! * A write is durable once the file is synced; the sync is logged when it returns. Until then each write is kept,
//!   dropped, or torn at [`SECTOR`] boundaries, each independently of the others, so order is not kept either. A dropped
//!   write that would have grown the file leaves a hole of zeros or nothing.
//! * Bytes outside a write are never damaged (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`, SQLite's default on Unix).
//! * A name that was created or deleted is durable only after its directory is synced. The directory is synced where
//!   SQLite's Unix VFS does it: at the first sync of a journal or WAL opened with `SQLITE_OPEN_CREATE`, and on a delete
//!   that asks for it. Until then each name keeps any prefix of its creations and deletions. (All files share one
//!   directory.)
//! * A sync that failed may still have written anything, and what it did not write is lost for good although reads keep
//!   showing it: a later sync that succeeds does not bring it back ("fsyncgate"; ext4, Btrfs). See
//!   [`Event::SyncFailed`].
//! * WAL-index memory (`xShm…`) and locks are in memory and vanish with the power, as they should.
//!
//! Not charged to [`Disk::set_capacity`]: the WAL-index, which on a real disk is a file too. Starting on a full real disk
//! therefore fails earlier than here and needs a test on a small file system.
//!
//! Not modelled: a drive that lies about its cache, bit rot, sectors returned as garbage, `mmap` (refused).
//!
//! # Reproducing a failure
//! The images of one log depend on the seed alone. The log depends on the workload; SQLCipher draws random IVs and salts,
//! so ciphertext differs from run to run, but a single-threaded workload makes the same events with the same lengths, and
//! hence the same cuts. Print the seed, [`DiskImage::index`] and [`DiskImage::cut`] in every failure.

mod disk;
mod fault;
mod file;
mod image;
mod lock;
mod log;
mod prng;
mod replay;
mod shm;
mod slot;
mod state;
mod vfs;

pub use disk::{Disk, VfsError};
pub use fault::{Fault, FaultKind, Repeat};
pub use image::DiskImage;
pub use log::{Counts, Event, FileId, FileRole, Log};
pub use replay::{SECTOR, power_cut_images, process_kill_images};
