//! `images.db` and `images/`: what of the patients' images is on this workstation, readable with the device's own key.
//!
//! Lives here: lists of studies and series as the server told them, indexes of packs, segments: layer 0 in the database,
//! the layers above it in one file of each study ([`files`]), sealed under the study's own random key. Never here: what a
//! pack, an index or a segment means, its digest (the caller checks what comes out), the network.
//!
//! Everything here can be fetched again: commits may be lost in a power cut (`NORMAL`), a file that cannot be read at all
//! is begun anew, a page or a segment that cannot be read counts as not held. File data are synced before the rows that
//! name them are committed, so a row never names what a kill took. To evict a study is to delete its key.
//!
//! Pages are 4 KiB: the proof that a key fits (`crate::key`) reads pages of that size.

mod evict;
mod files;
mod leave;
mod rows;
#[cfg(test)]
mod tests;

pub use leave::{OpenPatient, OpenSeries};
pub use rows::{CachedList, CachedSeries, HeldPack, IndexPiece, NewPack, NewSegment, PROVEN, SeriesHeld};

use super::lines::Lines;
use super::records;
use crate::cipher::{Key, Migration, Synchronous, io_fault};
use files::{StudyKey, seal};
use rusqlite::{Transaction, params};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitrine_access::action::ReadChart;
use vitrine_access::{Disclosed, Disclosure, Permit, Sealed};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::StoreError;

/// "VtIm".
const APPLICATION: i32 = 0x5674_496d;

/// Layers below this one are kept in the database.
const IN_FILES: u8 = 1;

const MIGRATIONS: [Migration; 2] = [
    Migration {
        number: 1,
        name: "first",
        sql: TABLES,
    },
    Migration {
        number: 2,
        name: "studies of a list",
        sql: STUDIES,
    },
];

/// The studies that a list names, one a line: a row of the audit names them before the list is read. A list of an older program says
/// nothing of it until it is told anew.
const STUDIES: &str = "ALTER TABLE list ADD COLUMN studies TEXT NOT NULL DEFAULT '';";

const TABLES: &str = "
CREATE TABLE list (patient TEXT PRIMARY KEY, body BLOB NOT NULL, as_of INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE study (id INTEGER PRIMARY KEY, patient TEXT NOT NULL, uid TEXT NOT NULL, used INTEGER NOT NULL,
    UNIQUE (patient, uid));
CREATE TABLE study_key (study INTEGER PRIMARY KEY REFERENCES study ON DELETE CASCADE, key BLOB NOT NULL,
    file TEXT NOT NULL UNIQUE, size INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE series (id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE,
    uid TEXT NOT NULL, body BLOB NOT NULL, as_of INTEGER NOT NULL, UNIQUE (study, uid));
CREATE TABLE pack (id INTEGER PRIMARY KEY, series INTEGER NOT NULL REFERENCES series ON DELETE CASCADE,
    hash BLOB NOT NULL, place INTEGER NOT NULL, frames INTEGER NOT NULL, bytes INTEGER NOT NULL, UNIQUE (series, hash));
CREATE TABLE piece (pack INTEGER NOT NULL REFERENCES pack ON DELETE CASCADE, first INTEGER NOT NULL,
    frames INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (pack, first)) WITHOUT ROWID;
CREATE TABLE preview (pack INTEGER NOT NULL REFERENCES pack ON DELETE CASCADE, frame INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (pack, frame));
CREATE TABLE segment (pack INTEGER NOT NULL REFERENCES pack ON DELETE CASCADE, frame INTEGER NOT NULL,
    layer INTEGER NOT NULL, at INTEGER NOT NULL, len INTEGER NOT NULL, PRIMARY KEY (pack, frame, layer)) WITHOUT ROWID;
CREATE TABLE proof (pack INTEGER NOT NULL REFERENCES pack ON DELETE CASCADE, frame INTEGER NOT NULL,
    PRIMARY KEY (pack, frame)) WITHOUT ROWID;
";

/// The images of a workstation. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    lines: Lines,
    folder: PathBuf,
}

impl Images {
    /// Opens, making the file when it is missing; the folder is made with its first file. Files that no study names are removed.
    ///
    /// # Errors
    /// As `cipher::open` and `cipher::migrate`.
    pub fn open(path: &Path, folder: &Path, key: &Key) -> Result<Self, StoreError> {
        let lines = Lines::open(
            path,
            key,
            APPLICATION,
            &MIGRATIONS,
            Synchronous::Normal,
            16 * 1024,
        )?;
        let inner = Inner {
            lines,
            folder: folder.to_owned(),
        };
        if let Err(e) = inner.remove_orphans() {
            tracing::warn!(error = %e, "files of images that nothing names could not be removed");
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// False when the disk gave no room to open for writing.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.inner.lines.writable()
    }

    /// The same without a connection when it cannot be opened now: what is here cannot be read then, and each act tries
    /// to open it.
    #[must_use]
    pub fn unopened(path: &Path, folder: &Path, key: &Key) -> Self {
        Self {
            inner: Arc::new(Inner {
                lines: Lines::unopened(
                    path,
                    key,
                    APPLICATION,
                    &MIGRATIONS,
                    Synchronous::Normal,
                    16 * 1024,
                ),
                folder: folder.to_owned(),
            }),
        }
    }

    /// Leave to read what is here of the permit's patient.
    ///
    /// # Errors
    /// [`StoreError::WrongPatient`] for a permit of no patient.
    pub fn patient(&self, permit: &Permit<ReadChart>) -> Result<Sealed<OpenPatient>, StoreError> {
        Ok(Sealed::seal(
            permit,
            self.leave(permit)?,
            records::disclosure(permit, Vec::new()),
        ))
    }

    fn leave(&self, permit: &Permit<ReadChart>) -> Result<OpenPatient, StoreError> {
        Ok(OpenPatient {
            inner: Arc::clone(&self.inner),
            patient: subject(permit)?.clone(),
        })
    }

    /// The same with the list that is here, if one was ever told; its studies are what is disclosed.
    ///
    /// # Errors
    /// As [`Self::patient`]. A list that cannot be read counts as none.
    pub fn listed(
        &self,
        permit: &Permit<ReadChart>,
    ) -> Result<Sealed<(OpenPatient, Option<CachedList>)>, StoreError> {
        let leave = self.leave(permit)?;
        let (list, studies) = match leave.list() {
            Ok(Some((list, studies))) => (Some(list), studies),
            Ok(None) => (None, Vec::new()),
            Err(e) => {
                tracing::warn!(error = %e, "the stored list of images cannot be read");
                (None, Vec::new())
            }
        };
        let studies: Vec<&str> = studies.iter().map(String::as_str).collect();
        Ok(Sealed::seal(
            permit,
            (leave, list),
            Self::naming(permit, &studies),
        ))
    }

    /// Whether a list of the permit's patient is here; nothing of it is told.
    ///
    /// # Errors
    /// As [`Self::patient`].
    pub fn has_list(&self, permit: &Permit<ReadChart>) -> Result<bool, StoreError> {
        Ok(self.leave(permit)?.list().is_ok_and(|list| list.is_some()))
    }

    /// What an access to these studies of the permit's patient discloses, as `ImagingStudy/<Study Instance UID>`, which has no versions.
    #[must_use]
    pub fn naming(permit: &Permit<ReadChart>, studies: &[&str]) -> Disclosure {
        let named = |uid: &&str| {
            let key = ResourceKey::new("ImagingStudy", uid).ok()?;
            Some(Disclosed { key, version: 0 })
        };
        records::disclosure(permit, studies.iter().filter_map(named).collect())
    }

    /// Leave to read a series of the permit's patient.
    ///
    /// # Errors
    /// As [`Self::patient`].
    pub fn series(
        &self,
        permit: &Permit<ReadChart>,
        study: &str,
        series: &str,
    ) -> Result<Sealed<OpenSeries>, StoreError> {
        let leave = OpenSeries {
            inner: Arc::clone(&self.inner),
            patient: subject(permit)?.clone(),
            study: study.to_owned(),
            series: series.to_owned(),
        };
        Ok(Sealed::seal(permit, leave, Self::naming(permit, &[study])))
    }

    /// Keeps a list, and drops the patient's studies that it does not name any more.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Backend`], [`StoreError::Damaged`].
    pub fn put_list(
        &self,
        patient: &PatientId,
        body: &[u8],
        studies: &[&str],
        as_of: i64,
    ) -> Result<(), StoreError> {
        let gone = self.inner.lines.write("keeping the list of images", |t| {
            let run = self.inner.lines.fault("keeping the list of images");
            t.prepare_cached(
                "INSERT INTO list (patient, body, as_of, studies) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (patient) DO UPDATE SET body = ?2, as_of = ?3, studies = ?4",
            )
            .and_then(|mut s| s.execute(params![patient.as_str(), body, as_of, studies.join("\n")]))
            .map_err(&run)?;
            let kept: BTreeSet<&str> = studies.iter().copied().collect();
            let held = rows::studies_of(t, patient).map_err(&run)?;
            let mut gone = Vec::new();
            for (id, uid, file) in held {
                if !kept.contains(uid.as_str()) {
                    t.execute("DELETE FROM study WHERE id = ?1", [id]).map_err(&run)?;
                    gone.extend(file);
                }
            }
            Ok(gone)
        })?;
        self.inner.remove(&gone);
        Ok(())
    }

    /// Keeps what the server told of a series, in the order of `packs`; packs that it does not name are dropped.
    /// `body` is what else the caller wants back.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn put_series(
        &self,
        of: &OpenSeries,
        packs: &[NewPack<'_>],
        body: &[u8],
        now: i64,
    ) -> Result<(), StoreError> {
        let doing = "keeping a series";
        self.inner.lines.write(doing, |t| {
            let study = study_row(t, of, now).map_err(self.inner.lines.fault(doing))?;
            rows::put_series(t, study, &of.series, packs, body, now).map_err(self.inner.lines.fault(doing))
        })
    }

    /// Keeps pieces of indexes of a series' packs; of packs that are not known they are ignored.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn put_index(&self, of: &OpenSeries, pieces: &[IndexPiece<'_>]) -> Result<(), StoreError> {
        let doing = "keeping an index";
        self.inner.lines.write(doing, |t| {
            let run = self.inner.lines.fault(doing);
            let packs = rows::pack_ids(t, of).map_err(&run)?;
            for p in pieces {
                let Some(pack) = packs.get(p.pack) else { continue };
                t.prepare_cached(
                    "INSERT OR REPLACE INTO piece (pack, first, frames, body) VALUES (?1, ?2, ?3, ?4)",
                )
                .and_then(|mut s| s.execute(params![pack, p.first, p.frames, p.body]))
                .map_err(&run)?;
            }
            Ok(())
        })
    }

    /// Keeps segments of a series in one transaction: those of the layers above 0 are in the study's file and synced
    /// before it commits. Of packs that are not known they are not kept. Gives the bytes written, and of each segment whether
    /// it is kept.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn put_segments(
        &self,
        of: &OpenSeries,
        segments: &[NewSegment<'_>],
    ) -> Result<(u64, Vec<bool>), StoreError> {
        let doing = "keeping images";
        self.inner.lines.write(doing, |t| {
            let run = self.inner.lines.fault(doing);
            let packs = rows::pack_ids(t, of).map_err(&run)?;
            let kept: Vec<bool> = segments.iter().map(|s| packs.contains_key(s.pack)).collect();
            let known: Vec<(i64, &NewSegment<'_>)> = segments
                .iter()
                .filter_map(|s| Some((*packs.get(s.pack)?, s)))
                .collect();
            let mut written = 0;
            let (low, high): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, s)| s.layer < IN_FILES);
            for (pack, s) in low {
                t.prepare_cached("INSERT OR REPLACE INTO preview (pack, frame, body) VALUES (?1, ?2, ?3)")
                    .and_then(|mut q| q.execute(params![pack, s.frame, s.body]))
                    .map_err(&run)?;
                written += s.body.len() as u64;
            }
            if high.is_empty() {
                return Ok((written, kept));
            }
            let key = self.key_for_writing(t, of)?;
            // The write lock is held: nobody else appends to the file meanwhile, in this program or another.
            let mut sealed = Vec::with_capacity(high.iter().map(|(_, s)| s.body.len() + files::OVERHEAD).sum());
            let mut places = Vec::with_capacity(high.len());
            for (pack, s) in high {
                let at = key.size.saturating_add(sealed.len() as u64);
                let len = seal(&key, s, &mut sealed)?;
                places.push((pack, s.frame, s.layer, at, len));
            }
            files::make_folder(&self.inner.folder)?;
            files::append(&self.inner.folder.join(&key.file), key.size, &sealed)?;
            for (pack, frame, layer, at, len) in places {
                t.prepare_cached("INSERT OR REPLACE INTO segment (pack, frame, layer, at, len) VALUES (?1, ?2, ?3, ?4, ?5)")
                    .and_then(|mut q| q.execute(params![pack, frame, layer, i(at), i(len)]))
                    .map_err(&run)?;
            }
            let grown = sealed.len() as u64;
            t.prepare_cached("UPDATE study_key SET size = size + ?2, bytes = bytes + ?2 WHERE study = ?1")
                .and_then(|mut q| q.execute(params![key.study, i(grown)]))
                .map_err(&run)?;
            Ok((written + grown, kept))
        })
    }

    fn key_for_writing(&self, t: &Transaction<'_>, of: &OpenSeries) -> Result<StudyKey, StoreError> {
        let doing = "keeping images";
        let run = self.inner.lines.fault(doing);
        if let Some(key) = rows::study_key(t, of).map_err(&run)? {
            return Ok(key);
        }
        let study = study_row(t, of, 0).map_err(&run)?;
        let (key, file) = files::new_key()?;
        t.execute(
            "INSERT INTO study_key (study, key, file) VALUES (?1, ?2, ?3)",
            params![study, key.as_slice(), file],
        )
        .map_err(&run)?;
        rows::study_key(t, of)
            .map_err(&run)?
            .ok_or_else(|| odd("a study without a key"))
    }

    /// Forgets segments that turned out to be wrong: (pack, frame, first layer that is).
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn drop_segments(&self, of: &OpenSeries, frames: &[(&[u8], u32, u8)]) -> Result<(), StoreError> {
        let doing = "forgetting damaged images";
        self.inner.lines.write(doing, |t| {
            let run = self.inner.lines.fault(doing);
            let packs = rows::pack_ids(t, of).map_err(&run)?;
            for (pack, frame, from) in frames {
                let Some(pack) = packs.get(*pack) else { continue };
                for sql in [
                    "DELETE FROM preview WHERE pack = ?1 AND frame = ?2 AND ?3 < 1",
                    "DELETE FROM segment WHERE pack = ?1 AND frame = ?2 AND layer >= ?3",
                    "DELETE FROM proof WHERE pack = ?1 AND frame = ?2 AND ?3 >= 0",
                ] {
                    t.prepare_cached(sql)
                        .and_then(|mut q| q.execute(params![pack, frame, from]))
                        .map_err(&run)?;
                }
            }
            Ok(())
        })
    }

    /// Notes that the whole pixels of these frames, (pack, frame), had their digest.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn put_proofs(&self, of: &OpenSeries, frames: &[(Vec<u8>, u32)]) -> Result<(), StoreError> {
        let doing = "noting what images are whole";
        self.inner.lines.write(doing, |t| {
            let run = self.inner.lines.fault(doing);
            let packs = rows::pack_ids(t, of).map_err(&run)?;
            for (pack, frame) in frames {
                let Some(pack) = packs.get(pack) else { continue };
                t.prepare_cached("INSERT OR IGNORE INTO proof (pack, frame) VALUES (?1, ?2)")
                    .and_then(|mut q| q.execute(params![pack, frame]))
                    .map_err(&run)?;
            }
            Ok(())
        })
    }

    /// Notes that a study was looked at.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn used(&self, of: &OpenSeries, now: i64) -> Result<(), StoreError> {
        let doing = "noting the use of a study";
        self.inner.lines.write(doing, |t| {
            t.execute(
                "UPDATE study SET used = max(used, ?3) WHERE patient = ?1 AND uid = ?2",
                params![of.patient.as_str(), of.study, now],
            )
            .map(|_| ())
            .map_err(self.inner.lines.fault(doing))
        })
    }
}

impl Inner {
    fn remove(&self, files: &[String]) {
        for name in files {
            let done = std::fs::remove_file(self.folder.join(name));
            if let Err(e) = done
                && e.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(error = %e, "a file of images, already unreadable, could not be removed");
            }
        }
    }

    /// The folder is listed before the rows are read: a file that is made meanwhile has its row before.
    fn remove_orphans(&self) -> Result<(), StoreError> {
        let listed = match std::fs::read_dir(&self.folder) {
            Ok(listed) => listed,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(io_fault("listing the folder of images", &e)),
        };
        let names: Vec<String> = listed
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        let named: BTreeSet<String> = self.lines.read("listing the files of images", |c| {
            c.prepare("SELECT file FROM study_key")?
                .query_map([], |r| r.get(0))?
                .collect()
        })?;
        let orphans: Vec<String> = names.into_iter().filter(|n| !named.contains(n)).collect();
        self.remove(&orphans);
        Ok(())
    }
}

fn i(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn odd(what: &str) -> StoreError {
    StoreError::Backend {
        doing: "keeping images",
        cause: what.to_owned(),
    }
}

fn study_row(t: &Transaction<'_>, of: &OpenSeries, now: i64) -> rusqlite::Result<i64> {
    t.execute(
        "INSERT INTO study (patient, uid, used) VALUES (?1, ?2, ?3)
         ON CONFLICT (patient, uid) DO UPDATE SET used = max(used, ?3)",
        params![of.patient.as_str(), of.study, now],
    )?;
    t.query_row(
        "SELECT id FROM study WHERE patient = ?1 AND uid = ?2",
        params![of.patient.as_str(), of.study],
        |r| r.get(0),
    )
}

fn subject(permit: &Permit<ReadChart>) -> Result<&PatientId, StoreError> {
    permit
        .patient()
        .ok_or_else(|| StoreError::WrongPatient("no patient".to_owned()))
}
