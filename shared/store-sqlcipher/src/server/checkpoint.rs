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
    use std::time::{Duration, Instant};

    /// A writing connection that says how long the WAL is.
    fn writing(path: &Path, pages: &Arc<AtomicU32>) -> Connection {
        let mut conn = Connection::open(path).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;",
        )
        .unwrap();
        let pages = pages.clone();
        conn.wal_hook(Some(super::super::wal_length(pages))).unwrap();
        conn
    }

    #[test]
    fn the_wal_of_a_writer_that_never_rests_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let other = path.clone();
        let open: OpenReader = Arc::new(move || Ok(Connection::open(&other).unwrap()));
        let mut kept = Checkpoints::start(open, 200, || {}).unwrap();
        let pages = kept.hook();
        let conn = writing(&path, &pages);
        conn.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
            .unwrap();
        let (mut longest, mut again) = (0, 0);
        let mut before = 0;
        let until = Instant::now() + Duration::from_secs(120);
        while again < 5 && Instant::now() < until {
            conn.execute("INSERT INTO t (b) VALUES (randomblob(20000))", [])
                .unwrap();
            let now = pages.load(Ordering::Acquire);
            again += u32::from(now < before);
            before = now;
            longest = longest.max(now);
            kept.settled(&conn);
        }
        assert_eq!(again, 5, "the WAL is begun anew; {longest} pages");

        // A reader keeps it from being begun anew: it grows, and shrinks when the reader is gone.
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        reader
            .query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0))
            .unwrap();
        while pages.load(Ordering::Acquire) < 3_000 {
            conn.execute("INSERT INTO t (b) VALUES (randomblob(20000))", [])
                .unwrap();
            kept.settled(&conn);
        }
        drop(reader);
        let until = Instant::now() + Duration::from_secs(120);
        while pages.load(Ordering::Acquire) >= 3_000 {
            assert!(Instant::now() < until, "the WAL did not shrink");
            conn.execute("INSERT INTO t (b) VALUES (randomblob(20000))", [])
                .unwrap();
            kept.settled(&conn);
        }
        drop(kept);
        let whole: String = conn
            .query_row("PRAGMA integrity_check", [], |r| r.get(0))
            .unwrap();
        assert_eq!(whole, "ok");
    }
}
