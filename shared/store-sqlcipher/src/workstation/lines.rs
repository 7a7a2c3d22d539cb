//! The connections of one workstation database: one that writes, a few that read, one kept for emergencies.
//!
//! After a page that does not verify, every further read of the same connection fails; a new connection reads the
//! other pages. So a connection is thrown away on any fault and the read is tried once more on a new one: what is
//! damaged stays unavailable, everything else is served.

use crate::cipher::{self, Key, Migration, OpenOptions, OpenedAs, Synchronous};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vitrine_store::StoreError;

/// Readers kept open.
const READERS: usize = 2;

pub(super) struct Lines {
    path: PathBuf,
    key: Key,
    options: OpenOptions,
    /// What the file is and how it comes to the newest schema: also when it could not be written to at first.
    schema: (i32, Vec<Migration>),
    /// A connection of its own, so that the emergency card never waits for a search or a snapshot.
    reserved: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    /// Last of the three: fields are dropped in order, and only the last connection to close moves the WAL into the
    /// file, which a reader cannot.
    writer: Mutex<Option<Connection>>,
    /// The disk gave no room to open for writing: this is the only connection.
    opened: OpenedAs,
    /// Grows when what the connections hold is let go of: one that was in use meanwhile is closed when it is done.
    era: AtomicU64,
}

fn hold<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    /// Opens, creating and migrating. On a full disk opens for reading alone ([`Lines::writable`] tells).
    pub(super) fn open(
        path: &Path,
        key: &Key,
        application_id: i32,
        migrations: &[Migration],
        synchronous: Synchronous,
        cache_kib: u32,
    ) -> Result<Self, StoreError> {
        let options = OpenOptions {
            create: true,
            synchronous,
            cache_kib,
            wipe_memory: true,
            ..OpenOptions::default()
        };
        let made = cipher::open(path, key, &options).and_then(|mut conn| {
            cipher::migrate(&mut conn, path, application_id, migrations, &options)?;
            Ok(conn)
        });
        let (writer, reserved, opened) = match made {
            Ok(writer) => {
                let reserved = cipher::open(path, key, &reading(&options))?;
                (Some(writer), reserved, OpenedAs::Shared)
            }
            Err(e @ (StoreError::Full(_) | StoreError::Backend { .. })) => {
                let (conn, opened) = cipher::open_on_full_disk(path, key, &options).map_err(|_| e)?;
                (None, conn, opened)
            }
            Err(e) => return Err(e),
        };
        Ok(Self {
            path: path.to_owned(),
            key: key.clone(),
            options,
            schema: (application_id, migrations.to_vec()),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            reserved: Mutex::new(Some(reserved)),
            opened,
            era: AtomicU64::new(0),
        })
    }

    /// Without a connection: each act tries to open one.
    pub(super) fn unopened(
        path: &Path,
        key: &Key,
        application_id: i32,
        migrations: &[Migration],
        synchronous: Synchronous,
        cache_kib: u32,
    ) -> Self {
        Self {
            path: path.to_owned(),
            key: key.clone(),
            options: OpenOptions {
                synchronous,
                cache_kib,
                wipe_memory: true,
                ..OpenOptions::default()
            },
            schema: (application_id, migrations.to_vec()),
            writer: Mutex::new(None),
            readers: Mutex::new(Vec::new()),
            reserved: Mutex::new(None),
            opened: OpenedAs::Shared,
            era: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file was opened for writing.
    pub(super) fn writable(&self) -> bool {
        hold(&self.writer).is_some() || self.opened == OpenedAs::Shared
    }

    pub(super) fn fault(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + use<'_> {
        move |e| match e.sqlite_error_code() {
            // SQLCipher's word for a page that does not hold, where it is about to be written (`CODEC1` in its pager.c).
            Some(rusqlite::ErrorCode::OutOfMemory) => StoreError::Damaged(self.path.display().to_string()),
            _ => cipher::fault(&self.path, doing, &e),
        }
    }

    /// Reads; on a fault once more on a new connection.
    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        read: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if self.opened != OpenedAs::Shared {
            return self.read_reserved(doing, read);
        }
        let era = self.era();
        let kept = hold(&self.readers).pop();
        if let Some(conn) = kept
            && let Ok(value) = read(&conn)
        {
            self.give_back(conn, era);
            return Ok(value);
        }
        let conn = cipher::open(&self.path, &self.key, &reading(&self.options))?;
        let value = read(&conn).map_err(self.fault(doing))?;
        self.give_back(conn, era);
        Ok(value)
    }

    /// Reads on a connection of its own, that is closed afterwards: for what takes long.
    pub(super) fn read_aside<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let conn = match self.opened {
            OpenedAs::Shared => cipher::open(&self.path, &self.key, &reading(&self.options))?,
            _ => cipher::open_on_full_disk(&self.path, &self.key, &self.options)?.0,
        };
        read(&conn)
    }

    /// Lets go of what the connections hold of what was read and written: statements with their values, pages. The one kept for
    /// emergencies is there at every moment; one that is in use is closed when that is over.
    pub(super) fn let_go(&self) {
        if self.opened != OpenedAs::Shared {
            return;
        }
        self.era.fetch_add(1, Ordering::AcqRel);
        let readers = std::mem::take(&mut *hold(&self.readers));
        drop(readers);
        if let Ok(mut reserved) = self.reserved.try_lock()
            && let Ok(fresh) = cipher::open(&self.path, &self.key, &reading(&self.options))
        {
            *reserved = Some(fresh);
        }
        if let Ok(mut writer) = self.writer.try_lock() {
            // The next write opens it anew.
            *writer = None;
        }
    }

    fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    fn give_back(&self, conn: Connection, era: u64) {
        let mut readers = hold(&self.readers);
        if readers.len() < READERS && era == self.era() {
            readers.push(conn);
        }
    }

    /// Reads on the connection kept for emergencies.
    pub(super) fn read_reserved<T>(
        &self,
        doing: &'static str,
        read: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let era = self.era();
        let mut reserved = hold(&self.reserved);
        if let Some(conn) = reserved.as_ref()
            && let Ok(value) = read(conn)
        {
            if era != self.era()
                && let Ok(fresh) = cipher::open(&self.path, &self.key, &reading(&self.options))
            {
                *reserved = Some(fresh);
            }
            return Ok(value);
        }
        *reserved = None;
        let conn = match self.opened {
            OpenedAs::Shared => cipher::open(&self.path, &self.key, &reading(&self.options))?,
            _ => cipher::open_on_full_disk(&self.path, &self.key, &self.options)?.0,
        };
        let value = read(&conn).map_err(self.fault(doing));
        *reserved = Some(conn);
        value
    }

    /// One transaction on the writer; rolled back whole on any error, the connection thrown away on a fault.
    pub(super) fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let era = self.era();
        let mut writer = hold(&self.writer);
        if writer.is_none() {
            let mut conn = cipher::open(&self.path, &self.key, &self.options)?;
            let (application_id, migrations) = &self.schema;
            cipher::migrate(&mut conn, &self.path, *application_id, migrations, &self.options)?;
            *writer = Some(conn);
        }
        let Some(conn) = writer.as_mut() else {
            return Err(StoreError::Closed);
        };
        let done = (|| {
            let txn = conn
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(self.fault(doing))?;
            let value = work(&txn)?;
            txn.commit().map_err(self.fault(doing))?;
            Ok(value)
        })();
        if done.as_ref().is_err_and(cipher::must_recycle) || era != self.era() {
            *writer = None;
        }
        done
    }
}

impl Drop for Lines {
    /// Only the last connection to close moves the WAL into the file, which a reader cannot: where the writer was let go of, it is
    /// opened once more.
    fn drop(&mut self) {
        if self.opened != OpenedAs::Shared || *self.era.get_mut() == 0 || !self.path.exists() {
            return;
        }
        *hold(&self.reserved) = None;
        hold(&self.readers).clear();
        let mut writer = hold(&self.writer);
        if writer.is_none() {
            // One that cannot be opened now is read with its WAL the next time.
            *writer = cipher::open(&self.path, &self.key, &self.options).ok();
        }
    }
}

fn reading(options: &OpenOptions) -> OpenOptions {
    OpenOptions {
        create: false,
        read_only: true,
        ..options.clone()
    }
}
