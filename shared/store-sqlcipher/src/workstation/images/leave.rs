//! Leave to read what an audit row named: a patient's list, a series.

use super::rows::{CachedList, CachedSeries};
use super::{Inner, files, rows};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_clinical::PatientId;
use vitrine_store::StoreError;

/// Leave to read one series' segments, as long as it is held: what the audit row of its opening named.
#[derive(Clone)]
pub struct OpenSeries {
    pub(super) inner: Arc<Inner>,
    pub(super) patient: PatientId,
    pub(super) study: String,
    pub(super) series: String,
}

/// Leave to read what is here of a patient's images, as long as it is held.
#[derive(Clone)]
pub struct OpenPatient {
    pub(super) inner: Arc<Inner>,
    pub(super) patient: PatientId,
}

impl OpenPatient {
    /// Whose.
    #[must_use]
    pub const fn patient(&self) -> &PatientId {
        &self.patient
    }
    /// A series of the patient.
    #[must_use]
    pub fn series(&self, study: &str, series: &str) -> OpenSeries {
        OpenSeries {
            inner: Arc::clone(&self.inner),
            patient: self.patient.clone(),
            study: study.to_owned(),
            series: series.to_owned(),
        }
    }
    /// The list with the studies that it names, if one was ever told.
    pub(super) fn list(&self) -> Result<Option<(CachedList, Vec<String>)>, StoreError> {
        self.inner.lines.read("reading the list of images", |c| {
            let list = c
                .prepare_cached("SELECT body, as_of, studies FROM list WHERE patient = ?1")?
                .query_row([self.patient.as_str()], |r| {
                    Ok((r.get(0)?, r.get(1)?, r.get::<_, String>(2)?))
                })
                .optional()?;
            let Some((body, as_of, studies)) = list else {
                return Ok(None);
            };
            let held = rows::held(c, &self.patient)?;
            let studies = studies.lines().map(str::to_owned).collect();
            Ok(Some((CachedList { body, as_of, held }, studies)))
        })
    }
}

impl OpenSeries {
    /// Whose.
    #[must_use]
    pub const fn patient(&self) -> &PatientId {
        &self.patient
    }
    /// Whether the other is about the same series of the same patient.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.patient == other.patient && self.study == other.study && self.series == other.series
    }
    /// Study Instance UID.
    #[must_use]
    pub fn study(&self) -> &str {
        &self.study
    }
    /// Series Instance UID.
    #[must_use]
    pub fn series(&self) -> &str {
        &self.series
    }

    /// Its packs with what is here of them; `None` when nothing is known of it, or what is known cannot be read.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub fn held(&self) -> Result<Option<CachedSeries>, StoreError> {
        match self.read() {
            // What cannot be read is not held: it is fetched again.
            Err(StoreError::Damaged(what)) => {
                tracing::warn!(what, "stored images cannot be read");
                Ok(None)
            }
            other => other,
        }
    }

    fn read(&self) -> Result<Option<CachedSeries>, StoreError> {
        self.inner
            .lines
            .read("reading a series", |c| rows::series(c, self))
    }

    /// Segments of a frame, by layer from 0: those that are here without a gap. A segment that cannot be read or opened
    /// ends them. `hash` is the pack's id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn segments(&self, hash: &[u8], frame: u32) -> Result<BTreeMap<u8, Vec<u8>>, StoreError> {
        let (preview, rest, key) = self.inner.lines.read("reading images", |c: &Connection| {
            let Some(pack) = rows::pack_id(c, self, hash)? else {
                return Ok((None, Vec::new(), None));
            };
            let preview: Option<Vec<u8>> = c
                .prepare_cached("SELECT body FROM preview WHERE pack = ?1 AND frame = ?2")?
                .query_row(params![pack, frame], |r| r.get(0))
                .optional()?;
            let rest: Vec<(u8, i64, i64)> = c
                .prepare_cached(
                    "SELECT layer, at, len FROM segment WHERE pack = ?1 AND frame = ?2 ORDER BY layer",
                )?
                .query_map(params![pack, frame], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let key = if rest.is_empty() {
                None
            } else {
                rows::study_key(c, self)?
            };
            Ok((preview, rest, key))
        })?;
        let mut all = BTreeMap::new();
        all.extend(preview.map(|body| (0, body)));
        let Some(key) = key else { return Ok(all) };
        let read = files::read(&self.inner.folder.join(&key.file), &key, hash, frame, &rest);
        all.extend(read);
        Ok(all)
    }
}
