//! What an access discloses or writes, as its audit row says it. Called by every backend.

use crate::{Applied, StoreError, imaging};
use std::collections::BTreeSet;
use vitrine_access::{Disclosed, Disclosure};
use vitrine_clinical::{PatientId, ResourceKey};

/// So many resources are listed one by one; beyond, a digest over all of them stands for the rest. A chart of 131,000
/// resources must not make an audit row of ten megabytes.
pub const LISTED_MAX: usize = 1_000;

/// Collects a disclosure.
#[derive(Default)]
pub struct Collect {
    patients: BTreeSet<PatientId>,
    resources: Vec<Disclosed>,
    total: u64,
    digest: blake3::Hasher,
}

impl Collect {
    /// Adds a patient.
    pub fn patient(&mut self, patient: &PatientId) {
        if !self.patients.contains(patient) {
            self.patients.insert(patient.clone());
        }
    }
    /// Adds a resource with its version.
    pub fn resource(&mut self, key: &ResourceKey, version: u64) {
        self.total += 1;
        self.digest.update(format!("{key}@{version}\n").as_bytes());
        if self.resources.len() < LISTED_MAX {
            self.resources.push(Disclosed {
                key: key.clone(),
                version,
            });
        }
    }
    /// Counts an item that is no resource (an entry of the directory).
    pub fn other(&mut self, name: &str, version: u64) {
        self.total += 1;
        self.digest.update(format!("{name}@{version}\n").as_bytes());
    }
    /// The disclosure. The digest is given when not every item is listed.
    #[must_use]
    pub fn finish(self) -> Disclosure {
        let all_listed = self.total == self.resources.len() as u64;
        Disclosure {
            patients: self.patients.into_iter().collect(),
            resources: self.resources,
            total: self.total,
            digest: (!all_listed).then(|| self.digest.finalize().to_hex().to_string()),
        }
    }
}

/// What a batch discloses: whom it touched, every resource with the version it has now, every image filed with it.
///
/// # Errors
/// [`StoreError::Refused`] for an image whose UID is none.
pub fn of_applied<'p>(
    patients: impl IntoIterator<Item = &'p PatientId>,
    applied: &Applied,
    images: impl IntoIterator<Item = (&'p PatientId, &'p str)>,
) -> Result<Disclosure, StoreError> {
    let mut said = Collect::default();
    patients.into_iter().for_each(|p| said.patient(p));
    for c in &applied.changes {
        said.resource(&c.key, c.version);
    }
    imaging::filed(&mut said, images)?;
    Ok(said.finish())
}
