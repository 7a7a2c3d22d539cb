//! What leaves: the files of studies not used for long, and everything of patients who are not in the ward any more.

use super::{Images, OpenSeries, rows};
use rusqlite::params;
use std::collections::BTreeSet;
use vitrine_store::StoreError;

impl Images {
    /// Bytes of the studies' files.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn bytes(&self) -> Result<u64, StoreError> {
        self.inner.lines.read("counting stored images", |c| {
            c.query_row("SELECT coalesce(sum(bytes), 0) FROM study_key", [], |r| r.get(0))
                .map(super::super::scopes::u)
        })
    }

    /// Evicts the least recently used studies until at most so many bytes are in their files: key and rows first, which
    /// makes the file unreadable, then the file. Layer 0 and the indexes stay. Studies of `open` stay. Gives the number
    /// evicted.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn evict(&self, most: u64, open: &[OpenSeries]) -> Result<u32, StoreError> {
        let doing = "evicting images";
        let gone = self.inner.lines.write(doing, |t| {
            let run = self.inner.lines.fault(doing);
            let mut total: u64 = 0;
            let mut all = rows::studies_by_use(t).map_err(&run)?;
            for s in &all {
                total = total.saturating_add(s.bytes);
            }
            all.retain(|s| !open.iter().any(|o| o.patient.as_str() == s.patient && o.study == s.uid));
            let mut gone = Vec::new();
            for s in all {
                if total <= most {
                    break;
                }
                t.execute("DELETE FROM study_key WHERE study = ?1", [s.id]).map_err(&run)?;
                for table in ["segment", "proof"] {
                    t.execute(
                        &format!(
                            "DELETE FROM {table} WHERE pack IN (SELECT p.id FROM pack p JOIN series s ON s.id = p.series
                             WHERE s.study = ?1)"
                        ),
                        [s.id],
                    )
                    .map_err(&run)?;
                }
                total = total.saturating_sub(s.bytes);
                gone.push(s.file);
            }
            Ok(gone)
        })?;
        self.inner.remove(&gone);
        Ok(u32::try_from(gone.len()).unwrap_or(u32::MAX))
    }

    /// Removes what is here of patients that `here` does not name and of whom nothing was told or looked at since `before`,
    /// ms. Previews would stay for ever else: they have no quota. Gives the number of patients.
    ///
    /// # Errors
    /// As [`Self::put_list`].
    pub fn retire(&self, here: &BTreeSet<String>, before: i64) -> Result<u32, StoreError> {
        let doing = "removing images of patients who left";
        let (gone, files) = self.inner.lines.write(doing, |t| {
            let run = self.inner.lines.fault(doing);
            let left: Vec<String> = rows::patients_before(t, before)
                .map_err(&run)?
                .into_iter()
                .filter(|p| !here.contains(p))
                .collect();
            let mut files = Vec::new();
            for patient in &left {
                files.extend(rows::files_of(t, patient).map_err(&run)?);
                for table in ["study", "list"] {
                    t.execute(
                        &format!("DELETE FROM {table} WHERE patient = ?1"),
                        params![patient],
                    )
                    .map_err(&run)?;
                }
            }
            Ok((left.len(), files))
        })?;
        self.inner.remove(&files);
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }

    /// Patients of whom a list is here, and layers of 64 pixels that are: for a report of readiness, not for showing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn tally(&self) -> Result<(u64, u64), StoreError> {
        self.inner.lines.read("counting stored images", |c| {
            c.query_row(
                "SELECT (SELECT count(*) FROM list), (SELECT count(*) FROM preview)",
                [],
                |r| {
                    Ok((
                        super::super::scopes::u(r.get(0)?),
                        super::super::scopes::u(r.get(1)?),
                    ))
                },
            )
        })
    }
}
