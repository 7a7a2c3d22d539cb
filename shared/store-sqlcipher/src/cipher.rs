//! Opening an encrypted database: the only place where a connection is made.
//!
//! Lives here: [`open`] with its refusals (plain file, wrong key, damage), the settings every connection gets, the
//! fallback for a full disk, migrations ([`migrate`]), and the translation of SQLite's errors ([`fault`]). Never
//! here: a table, or where keys come from. Called by the server's store and by the workstation's databases.
//!
//! A file is refused before SQLite sees it: SQLite would create `-wal` and `-shm` beside a file it cannot read, and
//! closing would move a WAL into a file that was to stay untouched.

use crate::key::{Fit, fit};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use vitrine_store::StoreError;

pub use crate::key::Key;

/// How hard a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Every commit is synced before it returns. The only setting a product runs with.
    #[default]
    Full,
    /// A power cut may take the newest commits. For the control run of the power-cut tests, which must fail with it.
    Normal,
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Make the file when it does not exist (owner may read and write, nobody else).
    pub create: bool,
    /// Open for reading alone.
    pub read_only: bool,
    /// How hard a commit is.
    pub synchronous: Synchronous,
    /// Name of a registered VFS (tests); the file is then not looked at before it is opened.
    pub vfs: Option<String>,
    /// Take the file for this connection alone: its WAL index lives in memory, so that no `-shm` file is needed. The
    /// way to read on a disk that is full.
    pub exclusive: bool,
    /// Read the file as it lies there, without lock, WAL or shared memory. Only sound while nobody writes and no
    /// WAL holds newer pages ([`open_on_full_disk`] sees to that).
    pub immutable: bool,
    /// Overwrite what SQLite frees, and keep it out of swap as far as the system lets this process (for all connections of the process,
    /// from the first on). A workstation does; it costs a few system calls for each allocation.
    pub wipe_memory: bool,
    /// Page cache in KiB.
    pub cache_kib: u32,
    /// The WAL is moved into the file when it has so many pages (4 KiB each); 0 = never by itself.
    pub checkpoint_pages: u32,
    /// Salt of a file that is made; `None` = random. Pages fit into each other's files only under one key and salt.
    pub salt: Option<[u8; 16]>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            read_only: false,
            synchronous: Synchronous::Full,
            vfs: None,
            exclusive: false,
            immutable: false,
            wipe_memory: false,
            cache_kib: 8 * 1024,
            checkpoint_pages: 4_000,
            salt: None,
        }
    }
}

/// One schema version: numbered from 1 without a gap, never changed once released.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number; the database's `user_version` after it.
    pub number: u32,
    /// What it does, as in its file's name.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// Opens a database with a raw key.
///
/// # Errors
/// [`StoreError::Unencrypted`] for a plain SQLite file, [`StoreError::WrongKey`], [`StoreError::Damaged`] for a first
/// page that does not verify, [`StoreError::Refused`] for a missing file without `create`; the file is untouched in
/// all of these. [`StoreError::Full`] and [`StoreError::Backend`] for what the disk does.
pub fn open(path: &Path, key: &Key, options: &OpenOptions) -> Result<Connection, StoreError> {
    if options.vfs.is_none() {
        refuse(path, key, options)?;
    }
    let conn = connect(path, options).map_err(|e| fault(path, "opening the database", &e))?;
    settle(&conn, key, options).map_err(|e| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::WrongKey(path.display().to_string()),
        _ => fault(path, "opening the database", &e),
    })?;
    Ok(conn)
}

/// How a database was opened on a disk that may be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenedAs {
    /// As usual.
    Shared,
    /// For this connection alone, WAL included; no other process can use it meanwhile.
    Exclusive,
    /// As the file lies there; there was no WAL to miss.
    Immutable,
}

/// Opens for reading, also when the disk has no room for the shared-memory file: first as usual, then exclusively,
/// then as the file lies there if no WAL holds newer pages.
///
/// # Errors
/// As [`open`]; the error is that of the usual way.
pub fn open_on_full_disk(
    path: &Path,
    key: &Key,
    options: &OpenOptions,
) -> Result<(Connection, OpenedAs), StoreError> {
    let options = OpenOptions {
        create: false,
        read_only: true,
        ..options.clone()
    };
    let first = match open(path, key, &options) {
        Ok(conn) => return Ok((conn, OpenedAs::Shared)),
        Err(e @ (StoreError::Full(_) | StoreError::Backend { .. })) => e,
        Err(e) => return Err(e),
    };
    // Not read-only: an exclusive reader of a WAL has to hold the write lock. Nothing is written.
    let exclusive = OpenOptions {
        read_only: false,
        exclusive: true,
        ..options.clone()
    };
    if let Ok(conn) = open(path, key, &exclusive) {
        let _ = conn.pragma_update(None, "query_only", true);
        return Ok((conn, OpenedAs::Exclusive));
    }
    let wal = std::fs::metadata(beside(path, "-wal")).map_or(0, |m| m.len());
    if wal == 0
        && let Ok(conn) = open(
            path,
            key,
            &OpenOptions {
                immutable: true,
                ..options
            },
        )
    {
        return Ok((conn, OpenedAs::Immutable));
    }
    Err(first)
}

/// The path with something appended to its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn refuse(path: &Path, key: &Key, options: &OpenOptions) -> Result<(), StoreError> {
    let shown = || path.display().to_string();
    let found = fit(path, key).map_err(|e| io_fault("reading the database file", &e))?;
    match found {
        Fit::Fits => Ok(()),
        Fit::Plain => Err(StoreError::Unencrypted(shown())),
        Fit::WrongKey => Err(StoreError::WrongKey(shown())),
        Fit::Damaged => Err(StoreError::Damaged(shown())),
        Fit::Missing | Fit::Empty if !options.create => Err(StoreError::Refused(format!(
            "{}: there is no database here",
            shown()
        ))),
        Fit::Empty => Ok(()),
        Fit::Missing => create_private(path).map_err(|e| io_fault("making the database file", &e)),
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .sync_all()
}
#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?
        .sync_all()
}

/// Sets SQLCipher up before the first connection of this process. SQLite calls itself initialised before SQLCipher's
/// part of it has run (`SQLITE_EXTRA_INIT` comes after `isInit`), so two threads must not be the first together: the
/// second would find no cipher. Somebody else may have begun (a test's VFS that registers itself); then it is waited for.
#[allow(
    clippy::disallowed_methods,
    reason = "a connection to nothing, for its side effect"
)]
fn begin_library() -> rusqlite::Result<()> {
    /// A millisecond each; SQLCipher's part takes less than one.
    const SETUP_TRIES: u32 = 5_000;
    static BEGUN: Mutex<bool> = Mutex::new(false);
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries = 0;
    while !*begun {
        // The function comes with the last step of SQLCipher's part.
        match Connection::open_in_memory()?.prepare("SELECT sqlcipher_export('main')") {
            Ok(_) => *begun = true,
            Err(error) if tries == SETUP_TRIES => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        tries += 1;
    }
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place where a connection is made"
)]
fn connect(path: &Path, options: &OpenOptions) -> rusqlite::Result<Connection> {
    begin_library()?;
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    flags |= if options.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    if options.create && !options.read_only {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let uri;
    let target = if options.immutable {
        flags |= OpenFlags::SQLITE_OPEN_URI;
        uri = immutable_uri(path);
        Path::new(&uri)
    } else {
        path
    };
    match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(target, flags, vfs.as_str()),
        None => Connection::open_with_flags(target, flags),
    }
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for b in path.to_string_lossy().bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(b)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

fn settle(conn: &Connection, key: &Key, options: &OpenOptions) -> rusqlite::Result<()> {
    // SQLCipher writes to stderr when a page does not verify; errors reach the caller instead.
    conn.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    if options.wipe_memory {
        conn.execute_batch("PRAGMA cipher_memory_security = ON;")?;
    }
    conn.pragma_update(None, "key", key.raw_form(options.salt).as_str())?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // A database that was analysed, in a SQLite with STAT4, would compile a statement and its triggers anew for every
    // value that is bound to it: a prepared statement stays what it is.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    if options.exclusive {
        conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")?;
    }
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0))?;
    let sync = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {sync}; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
         PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST; PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON; PRAGMA cache_size = -{};",
        options.cache_kib
    ))?;
    conn.set_prepared_statement_cache_capacity(160);
    if options.read_only || options.immutable {
        return conn.execute_batch("PRAGMA query_only = ON;");
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
    debug_assert_eq!(mode, "wal");
    conn.execute_batch(&format!(
        "PRAGMA wal_autocheckpoint = {}; PRAGMA journal_size_limit = 67108864;",
        options.checkpoint_pages
    ))
}

/// The database's schema version, after checking that it is of this kind.
pub(crate) fn version(conn: &Connection, path: &Path, application_id: i32) -> Result<u32, StoreError> {
    let read = |name: &str| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    let found = read("user_version").map_err(|e| fault(path, "reading the schema version", &e))?;
    let kind = read("application_id").map_err(|e| fault(path, "reading the schema version", &e))?;
    if found > 0 && kind != i64::from(application_id) {
        return Err(StoreError::Refused(format!(
            "{}: this is a database of another kind",
            path.display()
        )));
    }
    Ok(u32::try_from(found).unwrap_or(u32::MAX))
}

/// Brings a database to the newest schema: nothing for a current one, refusal of a newer one. A database that holds
/// data is copied to `<name>.before-<number>` first (not on a test's VFS). Each migration is one transaction.
///
/// # Errors
/// [`StoreError::NewerSchema`]; [`StoreError::Refused`] for a database of another kind (`application_id`);
/// [`StoreError::Backend`] when a statement fails: that migration is rolled back.
pub fn migrate(
    conn: &mut Connection,
    path: &Path,
    application_id: i32,
    migrations: &[Migration],
    options: &OpenOptions,
) -> Result<(), StoreError> {
    let known = migrations.last().map_or(0, |m| m.number);
    let found = version(conn, path, application_id)?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 && options.vfs.is_none() {
        keep_copy(conn, path, found)?;
    }
    for m in migrations.iter().filter(|m| m.number > found) {
        let doing = |e: rusqlite::Error| fault(path, "migrating the schema", &e);
        let txn = conn
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(doing)?;
        txn.execute_batch(m.sql).map_err(doing)?;
        txn.pragma_update(None, "application_id", application_id)
            .map_err(doing)?;
        txn.pragma_update(None, "user_version", m.number).map_err(doing)?;
        txn.commit().map_err(doing)?;
        tracing::info!(migration = m.number, name = m.name, "schema migrated");
    }
    Ok(())
}

fn keep_copy(conn: &Connection, path: &Path, found: u32) -> Result<(), StoreError> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(|e| fault(path, "copying the database before a migration", &e))?;
    let copy = beside(path, &format!(".before-{found}"));
    let made = std::fs::copy(path, &copy).and_then(|_| std::fs::File::open(&copy)?.sync_all());
    made.map_err(|e| io_fault("copying the database before a migration", &e))
}

/// Whether a connection must be opened anew: after a page that did not verify, SQLCipher fails every further read on
/// the same connection, also of whole pages; after a failed read or sync its cache cannot be trusted.
#[must_use]
pub fn must_recycle(e: &StoreError) -> bool {
    matches!(
        e,
        StoreError::Damaged(_) | StoreError::Backend { .. } | StoreError::Full(_)
    )
}

/// Says what SQLite's error means. The cause names codes and, for a statement that is wrong, SQLite's words; values
/// never appear in it.
#[must_use]
pub fn fault(path: &Path, doing: &'static str, e: &rusqlite::Error) -> StoreError {
    match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(path.display().to_string())
        }
        Some(ErrorCode::DiskFull) => StoreError::Full(doing),
        Some(code) => {
            let extended = e.sqlite_error().map_or(0, |f| f.extended_code);
            let words = match e {
                rusqlite::Error::SqlInputError { msg, .. } => format!(" {msg}"),
                rusqlite::Error::SqliteFailure(_, Some(msg)) if code == ErrorCode::ConstraintViolation => {
                    format!(" {msg}")
                }
                _ => String::new(),
            };
            StoreError::Backend {
                doing,
                cause: format!("{code:?} ({extended}){words}"),
            }
        }
        None => StoreError::Backend {
            doing,
            cause: e.to_string(),
        },
    }
}

/// Says what a file operation's error means.
#[must_use]
pub fn io_fault(doing: &'static str, e: &std::io::Error) -> StoreError {
    if e.kind() == std::io::ErrorKind::StorageFull {
        StoreError::Full(doing)
    } else {
        StoreError::Backend {
            doing,
            cause: e.to_string(),
        }
    }
}
