//! Running the store: epoch, backup, integrity.

use super::sql::{During, all, one};
use super::{SqlcipherStore, check, feed, head_file};
use crate::cipher::{self, Key, OpenOptions, io_fault};
use rusqlite::Connection;
use std::path::Path;
use vitrine_clinical::WardId;
use vitrine_store::{Contents, StoreError};

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
        let key = key.unwrap_or_else(|| self.key.clone());
        self.preparers
            .run(move |conn| {
                // Counted first: that begins the read transaction in which the copy is made.
                let contents = check::contents(conn)?;
                copy_to(conn, &path, &key)?;
                Ok(contents)
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

    /// Moves the WAL into the file and empties it, so that a copy of the file alone is whole.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let (path, key, options) = (self.path.clone(), self.key.clone(), self.options.open.clone());
        let done = self.preparers.run(move |_| {
            let conn = cipher::open(
                &path,
                &key,
                &OpenOptions {
                    create: false,
                    ..options
                },
            )?;
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .during("moving the WAL into the file")
        });
        done.await
    }
}

fn copy_to(conn: &Connection, path: &Path, key: &Key) -> Result<(), StoreError> {
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
