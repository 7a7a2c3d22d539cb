//! The writer's side: noting every commit, and letting the WAL begin anew only when it is copied.

use super::RedoOptions;
use super::copier::Copier;
use super::files::{Closed, End, Head, Kind, Position, Record, Stream, failed};
use super::start::{self, Begun};
use super::wal::{self, Header};
use crate::cipher::{Key, beside, fault};
use rusqlite::Connection;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;

/// After a checkpoint that a reader kept from ending, the next is tried when the WAL has grown by so many pages.
const AGAIN_PAGES: u32 = 1_000;

/// Keeps the redo log of one database. Lives in the writer thread.
pub(crate) struct Keeper {
    folder: PathBuf,
    key: Key,
    database: PathBuf,
    clock: fn() -> UtcMs,
    stream: Stream,
    /// Set by SQLite's hook after each commit: frames in the WAL.
    hook: Arc<AtomicU32>,
    segment: u32,
    /// The run of the WAL that `segment` copies; `None` until the first commit of a run.
    run: Option<Header>,
    times: Option<File>,
    frames: u32,
    last_at: i64,
    copier: Copier,
    /// The log cannot be kept any more, and why.
    fault: Option<StoreError>,
    checkpoint_pages: u32,
    next_checkpoint: u32,
    closable: bool,
}

impl Keeper {
    /// Goes on where the log stands, after copying what the WAL still holds, or begins a stream. Before any connection
    /// is opened to the database.
    pub(crate) fn start(
        options: &RedoOptions,
        database: &Path,
        key: &Key,
        checkpoint_pages: u32,
    ) -> Result<Self, StoreError> {
        let begun = start::begin(options, database, key)?;
        let Begun {
            stream,
            segment,
            copied,
            last_at,
        } = begun;
        let times = match &copied {
            Some(at) => {
                let path = stream.times(at.segment);
                Some(super::files::private(&path, false).map_err(failed(&path))?)
            }
            None => None,
        };
        let run = copied.as_ref().map(|c| c.header);
        let frames = copied.as_ref().map_or(0, |c| c.frames);
        let copier = Copier::start(stream.clone(), beside(database, "-wal"), copied)?;
        Ok(Self {
            folder: options.folder.clone(),
            key: key.clone(),
            database: database.to_owned(),
            clock: options.clock,
            stream,
            hook: Arc::default(),
            segment,
            run,
            times,
            frames,
            last_at,
            copier,
            fault: None,
            checkpoint_pages,
            next_checkpoint: checkpoint_pages,
            closable: false,
        })
    }

    /// What the writing connection's hook sets.
    pub(crate) fn hook(&self) -> Arc<AtomicU32> {
        self.hook.clone()
    }

    /// Takes in what was written before the writer began (a migration, the epoch).
    pub(crate) fn take_in(&mut self) -> Result<(), StoreError> {
        let path = beside(&self.database, "-wal");
        let Some(header) = Header::read(&path).map_err(failed(&path))? else {
            return Ok(());
        };
        let file = File::open(&path).map_err(failed(&path))?;
        let last = wal::last_commit(file, header, 0, header.first_sum()).map_err(failed(&path))?;
        let same = self.run.is_some_and(|r| r.salts() == header.salts());
        if last > 0 && (!same || last > self.frames) {
            self.note(last, Kind::Found, 0)?;
        }
        Ok(())
    }

    /// Where the log stands: after the last commit.
    pub(crate) fn position(&self) -> Option<(Position, UtcMs)> {
        let position = Position {
            stream: self.stream.id.clone(),
            segment: self.segment,
            frame: self.frames,
        };
        self.fault.is_none().then_some((position, UtcMs(self.last_at)))
    }

    /// A commit is durable; its answers have not gone out.
    pub(crate) fn committed(&mut self, audit: u64) {
        let pages = self.hook.swap(0, Ordering::AcqRel);
        if pages == 0 || self.fault.is_some() {
            return;
        }
        if let Err(e) = self.note(pages, Kind::Commit, audit) {
            self.give_up(e);
        }
    }

    fn note(&mut self, end: u32, kind: Kind, audit: u64) -> Result<(), StoreError> {
        let path = beside(&self.database, "-wal");
        let header = Header::read(&path).map_err(failed(&path))?;
        let header = header.ok_or(StoreError::Closed)?;
        if self.run.is_none_or(|r| r.salts() != header.salts()) {
            self.begin_segment(header)?;
        }
        self.last_at = self.last_at.max((self.clock)().0);
        self.append(&Record {
            end,
            kind,
            at: self.last_at,
            audit,
        })?;
        self.frames = end;
        self.copier.copy(end);
        Ok(())
    }

    fn begin_segment(&mut self, header: Header) -> Result<(), StoreError> {
        let segment = self.segment + 1;
        // The head last: a segment that it names is there.
        self.times = Some(self.stream.begin_times(segment, header.salts())?);
        self.stream.put_note("head.json", &Head { segment })?;
        (self.segment, self.frames, self.run) = (segment, 0, Some(header));
        self.next_checkpoint = self.checkpoint_pages;
        self.copier.begin(segment, header);
        Ok(())
    }

    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let bytes = self.stream.record(self.segment, record);
        let times = self.times.as_mut().ok_or(StoreError::Closed)?;
        let path = self.stream.times(self.segment);
        times.write_all(&bytes).map_err(failed(&path))
    }

    /// Copies everything and syncs it, and notes that the WAL may begin anew.
    pub(crate) fn drain(&mut self) -> Result<(), StoreError> {
        if self.run.is_none() {
            return Ok(());
        }
        self.copier.drain()?;
        self.append(&Record {
            end: self.frames,
            kind: Kind::Drained,
            at: self.last_at,
            audit: 0,
        })?;
        let path = self.stream.times(self.segment);
        let synced = self.times.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(failed(&path))
    }

    /// The answers have gone out: time for a checkpoint when the WAL is long.
    pub(crate) fn settled(&mut self, conn: &Connection) {
        if self.fault.is_none()
            && let Some(e) = self.copier.fault()
        {
            self.give_up(e);
        }
        if self.fault.is_some() {
            // The WAL must not grow without end because the log cannot be kept.
            let pages = self.hook.swap(0, Ordering::AcqRel);
            if pages >= self.checkpoint_pages {
                self.checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)");
            }
            return;
        }
        if self.frames < self.next_checkpoint {
            return;
        }
        if let Err(e) = self.drain() {
            self.give_up(e);
        }
        self.next_checkpoint = if self.checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)") {
            self.checkpoint_pages
        } else {
            self.frames + AGAIN_PAGES
        };
    }

    /// Moves the WAL into the file; true when all of it went.
    fn checkpoint(&self, conn: &Connection, sql: &str) -> bool {
        let done = conn.query_row(sql, [], |r| {
            Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?))
        });
        match done {
            Ok((busy, log, moved)) => busy == 0 && log == moved,
            Err(e) => {
                let e = fault(&self.database, "moving the WAL into the file", &e);
                tracing::warn!(error = %e, "the WAL stays as it is");
                false
            }
        }
    }

    /// The writer ends: everything is copied, and the WAL emptied into the file, so that the next start can prove it.
    pub(crate) fn closing(&mut self, conn: &Connection) {
        self.committed(0);
        if self.fault.is_some() {
            return;
        }
        if let Err(e) = self.drain() {
            self.give_up(e);
            return;
        }
        self.closable = self.checkpoint(conn, "PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Nothing more is kept: writing goes on, and the log says so.
    fn give_up(&mut self, e: StoreError) {
        tracing::error!(error = %e, "the redo log ends here; a restore to a later moment needs a new backup");
        let end = End {
            at: self.last_at,
            why: e.to_string(),
        };
        if let Err(e) = self.stream.put_note("ended.json", &end) {
            tracing::error!(error = %e, "the end of the redo log could not be written down");
        }
        self.fault = Some(e);
    }

    /// Begins a new stream after the log could not be kept: its first segment is the present run of the WAL.
    pub(crate) fn restart(&mut self) -> Result<(), StoreError> {
        let Some(fault) = self.fault() else {
            return Ok(());
        };
        let end = End {
            at: self.last_at,
            why: fault.to_string(),
        };
        // The note may have failed with the log.
        let _ = self.stream.put_note("ended.json", &end);
        let stream = start::fresh(&self.folder, &self.key, (self.clock)().0)?;
        self.copier = Copier::start(stream.clone(), beside(&self.database, "-wal"), None)?;
        (self.stream, self.segment, self.run, self.times) = (stream, 0, None, None);
        (self.frames, self.fault, self.closable) = (0, None, false);
        self.next_checkpoint = self.checkpoint_pages;
        tracing::info!("the redo log begins again");
        self.take_in()
    }

    /// Why the log is not kept any more.
    pub(crate) fn fault(&self) -> Option<StoreError> {
        self.fault.clone().or_else(|| self.copier.fault())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.closable || self.fault.is_some() {
            return;
        }
        // The connection is closed by now: nothing changes the file after this.
        let Some(closed) = Closed::of(&self.database, self.segment, self.frames) else {
            return;
        };
        if let Err(e) = self.stream.put_note("closed.json", &closed) {
            tracing::warn!(error = %e, "the next start begins a new stream of the redo log");
        }
    }
}
