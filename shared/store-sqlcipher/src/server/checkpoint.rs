//! Moving the WAL into the file beside the writer.
//!
//! Lives here: [`Checkpoints`]. Never here: a file whose redo log is kept (`redo` asks its log first), one on a test's VFS
//! (SQLite does it within a commit). Made by the store, asked by the writer after each group.
//!
//! Problem: SQLite moves the WAL within the commit that makes it long; 4,000 pages and two syncs stand between a write
//! and its answer, measured 70 to 90 ms for everybody who waits, an emergency's audit row included. Decision: a thread
//! with a connection of its own moves what is there while the writer goes on; then the writer moves the little that came
//! meanwhile, so that the WAL is wholly moved at one moment and the next commit begins it anew.

use crate::cipher::fault;
use crate::readers::OpenReader;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use vitrine_store::StoreError;

/// After a try that readers kept from ending, the next comes when the WAL has grown by so many pages.
const AGAIN_PAGES: u32 = 1_000;
/// The writer does it all when the WAL has so many times its length: the thread does not keep up, or failed.
const TOO_LONG: u32 = 4;

/// Keeps the WAL short.
pub(super) struct Checkpoints {
    /// Pages in the WAL after the last commit.
    pages: Arc<AtomicU32>,
    limit: u32,
    next: u32,
    asked: bool,
    moved: Arc<AtomicBool>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread; `begin` is called first on it. The WAL is to have `limit` pages at most, as long as readers let
    /// it be moved.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(open: OpenReader, limit: u32, begin: fn()) -> Result<Self, StoreError> {
        let (ask, asked) = sync_channel(1);
        let moved = Arc::new(AtomicBool::new(false));
        let done = moved.clone();
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || {
                begin();
                serve(&asked, &open, &done);
            })
            .map_err(|e| StoreError::Backend {
                doing: "starting the checkpointer",
                cause: e.to_string(),
            })?;
        Ok(Self {
            pages: Arc::default(),
            limit,
            next: limit,
            asked: false,
            moved,
            ask: Some(ask),
            thread: Some(thread),
        })
    }

    /// Where the writing connection says how long the WAL is.
    pub fn hook(&self) -> Arc<AtomicU32> {
        self.pages.clone()
    }

    /// The answers of a group have gone out.
    pub fn settled(&mut self, conn: &Connection) {
        let pages = self.pages.load(Ordering::Acquire);
        if pages < self.limit {
            // It was begun anew.
            self.next = self.limit;
        }
        let moved = self.moved.swap(false, Ordering::AcqRel);
        self.asked &= !moved;
        if moved || pages >= self.next.saturating_mul(TOO_LONG) {
            passive(conn);
            self.next = pages.max(self.limit).saturating_add(AGAIN_PAGES);
        } else if pages >= self.next && !self.asked {
            self.asked = self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(asked: &Receiver<()>, open: &OpenReader, moved: &AtomicBool) {
    let mut conn = None;
    while asked.recv().is_ok() {
        conn = conn.or_else(|| match open() {
            Ok(fresh) => Some(fresh),
            Err(e) => {
                tracing::warn!(error = %e, "the WAL is moved by the writer");
                None
            }
        });
        // After a fault nothing that a connection holds is trusted.
        if conn.as_ref().is_some_and(|c| !passive(c)) {
            conn = None;
        }
        moved.store(true, Ordering::Release);
    }
}

/// Moves what no reader needs where it is; false when that failed.
fn passive(conn: &Connection) -> bool {
    match conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        Ok(()) => true,
        Err(e) => {
            let path = conn.path().unwrap_or_default();
            let e = fault(Path::new(path), "moving the WAL into the file", &e);
            tracing::warn!(error = %e, "the WAL stays as it is");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::{self, Key, OpenOptions};
    use zeroize::Zeroizing;

    fn open(path: &Path) -> Connection {
        let options = OpenOptions {
            create: true,
            checkpoint_pages: 0,
            ..OpenOptions::default()
        };
        cipher::open(path, &Key::new(Zeroizing::new([7; 32])), &options).unwrap()
    }

    /// Writes until `enough` of the length before and after; many times what that takes.
    fn write(conn: &Connection, kept: &mut Checkpoints, enough: impl Fn(u32, u32) -> bool) {
        let pages = kept.hook();
        for _ in 0..200_000 {
            let before = pages.load(Ordering::Acquire);
            conn.execute("INSERT INTO t (b) VALUES (randomblob(20000))", [])
                .unwrap();
            kept.settled(conn);
            if enough(before, pages.load(Ordering::Acquire)) {
                return;
            }
        }
        panic!("{} pages in the WAL", pages.load(Ordering::Acquire));
    }

    #[test]
    fn the_wal_of_a_writer_that_never_rests_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let other = path.clone();
        let mut kept = Checkpoints::start(Arc::new(move || Ok(open(&other))), 200, || {}).unwrap();
        let mut conn = open(&path);
        conn.wal_hook(Some(super::super::wal_length(kept.hook())))
            .unwrap();
        conn.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
            .unwrap();
        for _ in 0..5 {
            write(&conn, &mut kept, |before, now| now < before);
        }

        // A reader keeps it from being begun anew: it grows, and shrinks when the reader is gone.
        let reader = open(&path);
        reader.execute_batch("BEGIN").unwrap();
        let count = "SELECT count(*) FROM t";
        let read: i64 = reader.query_row(count, [], |r| r.get(0)).unwrap();
        write(&conn, &mut kept, |_, now| now > 3_000);
        assert_eq!(reader.query_row(count, [], |r| r.get::<_, i64>(0)).unwrap(), read);
        drop(reader);
        write(&conn, &mut kept, |_, now| now < 3_000);

        drop(kept);
        let whole: String = conn
            .query_row("PRAGMA integrity_check", [], |r| r.get(0))
            .unwrap();
        assert_eq!(whole, "ok");
    }
}
