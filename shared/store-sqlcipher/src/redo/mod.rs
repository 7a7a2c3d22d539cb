//! The redo log: what was committed since a backup, so that a restore can stop at any moment.
//!
//! Lives here: copying the WAL's frames away before SQLite writes over them, the time of every commit, and rolling a
//! backup forward. Never here: reading a page (frames stay encrypted as SQLCipher made them), when to make backups or
//! to forget old ones (the server says). Called by the server's store and by the server's `restore` and
//! `verify-backup`.
//!
//! ```text
//! FOLDER/s-<begun>-<random>/        one stream: no commit is missing between its first and its last
//!   stream.json head.json           who it is; the segment being written
//!   00000001.wal                    one run of the WAL, byte for byte
//!   00000001.times                  the end and the time of every commit of it, each with a MAC
//!   00000001.seal                   once the run is over: hashes of both, chained to the seal before
//!   closed.json                     the database file as the last close left it
//!   ended.json                      when and why nothing more comes
//! ```
//! The writer thread notes a commit's end and time (40 bytes, one `write`) before it answers anybody; a thread of its
//! own copies the frames. Nobody waits for that but a checkpoint: SQLite may begin the WAL anew only after everything
//! in it is copied and synced, so the WAL itself is the buffer that survives SIGKILL and power cuts. At the next start
//! what the WAL still holds is copied first. When it cannot be proved that nothing is missing, the stream ends and
//! another begins, which needs a backup of its own.

mod copier;
mod files;
mod keep;
mod replay;
mod start;
mod wal;

pub use files::Position;
pub(crate) use keep::Keeper;
pub use replay::{
    Commit, Ended, Rolled, StreamInfo, commits, end_newest, forget_before, reach, roll_forward, streams,
};
pub use start::catch_up;

use std::path::PathBuf;
use vitrine_clinical::UtcMs;

/// How the redo log is kept.
#[derive(Debug, Clone)]
pub struct RedoOptions {
    /// Folder of the streams.
    pub folder: PathBuf,
    /// The wall clock: its readings are the times a restore can stop at.
    pub clock: fn() -> UtcMs,
}
