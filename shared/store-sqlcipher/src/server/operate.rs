//! Running the store: epoch, backup, integrity.

use super::sql::{During, all, one};
use super::{SqlcipherStore, check, feed, head_file};
use crate::cipher::{self, Key, OpenOptions, io_fault};
use rusqlite::Connection;
use std::path::Path;
use vitrine_clinical::WardId;
use vitrine_store::{Contents, LogMark, StoreError};

const EPOCH: &str = "settling the epoch";

fn epoch_file(database: &Path) -> std::path::PathBuf {
    database.with_file_name("epoch")
}

fn stored_epoch(conn: &Connection) -> Result<Option<String>, StoreError> {
    one(conn, "SELECT value FROM meta WHERE key = 'epoch'", [], |r| {
        r.get(0)
    })
    .during(EPOCH)
}

fn put_epoch(conn: &Connection) -> Result<String, StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))))
               ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING value";
    one(conn, sql, [], |r| r.get(0))
        .during(EPOCH)?
        .ok_or(StoreError::Closed)
}

fn write_epoch_file(database: &Path, epoch: &str) -> Result<(), StoreError> {
    let path = epoch_file(database);
    let next = cipher::beside(&path, ".new");
    let written = std::fs::write(&next, epoch)
        .and_then(|()| std::fs::File::open(&next)?.sync_all())
        .and_then(|()| std::fs::rename(&next, &path));
    written.map_err(|e| io_fault(EPOCH, &e))
}

/// The epoch, made anew when there is none, when the file beside the database says another (the database was put back
/// without `restore`), or when rows that were committed are gone.
pub(super) fn settle_epoch(
    conn: &Connection,
    beside: Option<&Path>,
    rolled_back: bool,
) -> Result<String, StoreError> {
    let stored = stored_epoch(conn)?;
    let Some(database) = beside else {
        return stored.map_or_else(|| put_epoch(conn), Ok);
    };
    let noted = match std::fs::read_to_string(epoch_file(database)) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(io_fault(EPOCH, &e)),
    };
    match stored {
        Some(epoch) if noted.as_ref() == Some(&epoch) && !rolled_back => Ok(epoch),
        _ => {
            let epoch = put_epoch(conn)?;
            write_epoch_file(database, &epoch)?;
            Ok(epoch)
        }
    }
}

impl SqlcipherStore {
    /// Begins a new epoch and seals the audit chain where it stands: the last step of a restore. Workstations then
    /// take a fresh snapshot. A sealed head that knew more rows is forgotten with this; the caller appends an audit
    /// row that says so.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the database or a file beside it cannot be written.
    pub async fn rotate_epoch(&self) -> Result<String, StoreError> {
        let epoch = self
            .write(1, |conn, group| {
                let epoch = put_epoch(conn)?;
                group.reseal()?;
                Ok(epoch)
            })
            .await?;
        if self.options.open.vfs.is_none() {
            write_epoch_file(&self.path, &epoch)?;
            let evidence = head_file::evidence_beside(&self.path);
            match std::fs::remove_file(&evidence) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(io_fault(EPOCH, &e)),
            }
        }
        self.epoch.send_replace(epoch.clone());
        Ok(epoch)
    }

    /// Writes a whole, consistent copy to a new file, encrypted with `key` (or the same key), while writing goes on.
    /// The copy is synced when this returns. Gives what the copy holds.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the file exists; [`StoreError::Full`], [`StoreError::Backend`].
    pub async fn backup_to(&self, path: &Path, key: Option<Key>) -> Result<Contents, StoreError> {
        let path = path.to_owned();
        // Under the same key the copy gets the same salt, so that pages of the redo log fit into it.
        let salt = match key {
            None => salt_of(&self.path).filter(|_| self.options.redo.is_some()),
            Some(_) => None,
        };
        let key = key.unwrap_or_else(|| self.key.clone());
        if self.options.redo.is_none() {
            return self
                .preparers
                .run(move |conn| {
                    // Counted first: that begins the read transaction in which the copy is made.
                    let contents = check::contents(conn)?;
                    copy_to(conn, &path, &key, None)?;
                    Ok(contents)
                })
                .await;
        }
        let (conn, log) = self.pinned().await?;
        let done = tokio::task::spawn_blocking(move || {
            let contents = Contents {
                log,
                ..check::contents(&conn)?
            };
            copy_to(&conn, &path, &key, salt)?;
            Ok(contents)
        });
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// A reading connection that sees what is committed now and no more, and where the redo log stands at that moment:
    /// its read transaction begins while the writer waits.
    async fn pinned(&self) -> Result<(Connection, Option<LogMark>), StoreError> {
        const DOING: &str = "beginning a backup";
        let (path, key) = (self.path.clone(), self.key.clone());
        let options = OpenOptions {
            create: false,
            read_only: true,
            ..self.options.open.clone()
        };
        let opened = tokio::task::spawn_blocking(move || cipher::open(&path, &key, &options));
        let conn = opened.await.map_err(|_| StoreError::Closed)??;
        self.write(1, move |_, group| {
            conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")
                .during(DOING)?;
            let log = group.redo().and_then(|r| r.position()).map(|(p, at)| LogMark {
                position: p.to_string(),
                at,
            });
            Ok((conn, log))
        })
        .await
    }

    /// Begins a new stream of the redo log when it could not be kept any more; it needs a backup of its own.
    ///
    /// # Errors
    /// What still keeps it from being kept.
    pub async fn restart_redo(&self) -> Result<(), StoreError> {
        self.write(1, |_, group| group.redo().map_or(Ok(()), |redo| redo.restart()))
            .await
    }

    /// Waits until everything committed so far is in the redo log and synced. Gives why the log is not kept any more;
    /// `None` also when none is to be kept.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn settle_redo(&self) -> Result<Option<StoreError>, StoreError> {
        self.write(1, |_, group| {
            let Some(redo) = group.redo() else { return Ok(None) };
            if let Some(fault) = redo.fault() {
                return Ok(Some(fault));
            }
            Ok(redo.drain().err())
        })
        .await
    }

    /// Verifies the MAC of every page and the structure of every table. Gives one sentence per fault; empty = whole.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the check itself cannot go on.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.preparers
            .run(|conn| {
                let text = |r: &rusqlite::Row<'_>| r.get::<_, String>(0);
                let mut faults =
                    all(conn, "PRAGMA cipher_integrity_check", [], text).during("checking the pages")?;
                let structure =
                    all(conn, "PRAGMA integrity_check(50)", [], text).during("checking the tables")?;
                faults.extend(structure.into_iter().filter(|line| line != "ok"));
                Ok(faults)
            })
            .await
    }

    /// Wards that have ever had a patient, by name.
    ///
    /// # Errors
    /// As every read.
    pub async fn wards(&self) -> Result<Vec<WardId>, StoreError> {
        self.read_job(feed::wards).await
    }

    /// Reads the feed's position anew and tells it to those who watch: another process (a command on the server's
    /// machine) may have written.
    ///
    /// # Errors
    /// As every read.
    pub async fn refresh(&self) -> Result<u64, StoreError> {
        let newest = self.read_job(feed::newest).await?;
        self.pos.send_if_modified(|pos| {
            let newer = newest > *pos;
            *pos = newest.max(*pos);
            newer
        });
        Ok(newest)
    }
}

/// The salt that stands in the clear at the beginning of a database file.
fn salt_of(path: &Path) -> Option<[u8; 16]> {
    use std::io::Read as _;
    let mut salt = [0; 16];
    std::fs::File::open(path).ok()?.read_exact(&mut salt).ok()?;
    Some(salt)
}

fn copy_to(conn: &Connection, path: &Path, key: &Key, salt: Option<[u8; 16]>) -> Result<(), StoreError> {
    const DOING: &str = "copying the database";
    if path.exists() {
        return Err(StoreError::Refused(format!(
            "{} exists: name a new file for the backup",
            path.display()
        )));
    }
    {
        let mut target = cipher::open(
            path,
            key,
            &OpenOptions {
                create: true,
                salt,
                ..OpenOptions::default()
            },
        )?;
        // The copy takes pages over as they are, so the target must not be in WAL mode while it is written.
        target
            .pragma_update(None, "journal_mode", "DELETE")
            .during(DOING)?;
        let copy = rusqlite::backup::Backup::new(conn, &mut target).during(DOING)?;
        // In one step, within one read transaction: writers are not held up, and nothing makes it begin again.
        copy.step(-1).during(DOING)?;
    }
    let synced = std::fs::File::open(path).and_then(|f| f.sync_all());
    synced.map_err(|e| io_fault(DOING, &e))?;
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        // Not every file system lets a folder be synced; the file itself is.
        let _ = std::fs::File::open(folder).and_then(|f| f.sync_all());
    }
    Ok(())
}
