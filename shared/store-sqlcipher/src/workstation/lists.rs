//! Lists of many patients out of the essentials: a board, its critical results, names.
//!
//! Never here: one patient's card, finding somebody (`essentials`).

use super::essentials::{Essentials, card_row, odd, shown};
use super::scopes::u;
use std::collections::BTreeSet;
use vitrine_access::action::{SearchPatients, ViewBoard};
use vitrine_access::{Disclosure, Permit, Sealed};
use vitrine_clinical::card::CriticalMark;
use vitrine_clinical::{PatientId, WardId};
use vitrine_store::StoreError;

/// The rows of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRows {
    /// Patient, version, JSON.
    pub rows: Vec<(PatientId, u64, Vec<u8>)>,
    /// Server time up to which the board is known to be whole, ms.
    pub as_of: Option<i64>,
}

/// The critical results of a ward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WardMarks {
    /// Of all its patients.
    pub marks: Vec<CriticalMark>,
    /// Server time up to which the board is known to be whole, ms.
    pub as_of: Option<i64>,
}

impl Essentials {
    /// The board of a ward; `None` when this workstation does not hold it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a page of it cannot be read.
    pub fn board(
        &self,
        permit: &Permit<ViewBoard>,
        ward: &WardId,
    ) -> Result<Sealed<Option<ListRows>>, StoreError> {
        let scope = format!("board:{ward}");
        let as_of = self
            .db
            .states(Some(&scope))?
            .first()
            .filter(|s| s.complete)
            .map(|s| s.as_of);
        let Some(as_of) = as_of else {
            return Ok(Sealed::seal(permit, None, Disclosure::default()));
        };
        let stored = self.db.lines.read("reading a board", |c| {
            let mut s = c.prepare_cached(
                "SELECT i.key, i.ver, i.body FROM scope s JOIN item i ON i.content = s.live WHERE s.name = ?1 ORDER BY i.key",
            )?;
            let rows = s.query_map([&scope], |r| Ok((r.get(0)?, u(r.get(1)?), r.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, u64, Vec<u8>)>>>()
        })?;
        let mut rows = Vec::with_capacity(stored.len());
        let mut disclosure = Disclosure::default();
        for (key, version, body) in stored {
            let patient = PatientId::new(key).map_err(|e| odd(&e))?;
            disclosure.resources.push(shown("Patient", &patient, version)?);
            disclosure.patients.push(patient.clone());
            rows.push((patient, version, self.db.whole(&body)?));
        }
        disclosure.total = rows.len() as u64;
        disclosure.patients.sort();
        Ok(Sealed::seal(permit, Some(ListRows { rows, as_of }), disclosure))
    }

    /// The critical results of everybody on a board, without values: for counting on the status line, not for showing. `None`
    /// when the board is not here. A patient whose item does not say is left out.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn critical_marks(&self, ward: &str) -> Result<Option<WardMarks>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Item {
            #[serde(default, deserialize_with = "vitrine_clinical::card::critical::lenient")]
            critical: Option<Vec<CriticalMark>>,
        }
        let scope = format!("board:{ward}");
        let states = self.db.states(Some(&scope))?;
        let Some(state) = states.first().filter(|s| s.complete) else {
            return Ok(None);
        };
        let stored = self.db.lines.read("counting critical results", |c| {
            c.prepare_cached(
                "SELECT i.body FROM scope s JOIN item i ON i.content = s.live WHERE s.name = ?1",
            )?
            .query_map([&scope], |r| r.get(0))?
            .collect::<rusqlite::Result<Vec<Vec<u8>>>>()
        })?;
        let mut marks = Vec::new();
        for body in stored {
            let item: Item = serde_json::from_slice(&self.db.whole(&body)?)
                .map_err(|_| StoreError::Damaged(self.db.lines.path().display().to_string()))?;
            marks.extend(item.critical.into_iter().flatten());
        }
        Ok(Some(WardMarks {
            marks,
            as_of: state.as_of,
        }))
    }

    /// The cards of some patients, for their names in a list; those who are not here are left out.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn named(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &BTreeSet<PatientId>,
    ) -> Result<Sealed<Vec<Vec<u8>>>, StoreError> {
        let mut disclosure = Disclosure::default();
        let mut out = Vec::new();
        for patient in patients {
            let row = self
                .db
                .lines
                .read("reading a patient's name", |c| card_row(c, patient))?;
            let Some(card) = row else { continue };
            out.push(self.db.whole(&card.body)?);
            disclosure
                .resources
                .push(shown("Patient", patient, card.version)?);
            disclosure.patients.push(patient.clone());
        }
        disclosure.total = out.len() as u64;
        Ok(Sealed::seal(permit, out, disclosure))
    }
}
