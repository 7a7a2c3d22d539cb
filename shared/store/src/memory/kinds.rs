//! Reading by type from the memory store.

use super::MemoryStore;
use super::reads::stored;
use super::state::Tables;
use crate::{ArchivedResource, KindPage, Kinds, StoreError, seal};
use async_trait::async_trait;
use std::cmp::Reverse;
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::PatientId;

fn page(
    t: &Tables,
    patient: Option<&PatientId>,
    kind: &str,
    below: u64,
    limit: usize,
) -> Result<KindPage, StoreError> {
    let mut found: Vec<_> = t
        .resources
        .iter()
        .filter(|(key, r)| {
            key.kind.as_str() == kind
                && r.patient.as_ref() == patient
                && !r.current.deleted
                && r.number < below
        })
        .collect();
    found.sort_by_key(|(_, r)| Reverse(r.number));
    let more = found.len() > limit;
    found.truncate(limit);
    let mut page = KindPage {
        next: found.last().filter(|_| more).map(|(_, r)| r.number),
        ..KindPage::default()
    };
    for (key, r) in found {
        match stored(t, key, r, &r.current) {
            Ok(one) => page.resources.push((r.number, one)),
            Err(StoreError::Archived { pack, .. }) => page.archived.push((
                r.number,
                ArchivedResource {
                    key: key.clone(),
                    version: r.current.version,
                    updated: r.current.updated,
                    pack,
                },
            )),
            Err(e) => return Err(e),
        }
    }
    Ok(page)
}

#[async_trait]
impl Kinds for MemoryStore {
    async fn of_kind(
        &self,
        permit: &Permit<ReadChart>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let found = page(&self.tables(), Some(&patient), kind, below, limit)?;
        Ok(seal::kind(permit, found))
    }

    async fn of_nobody(
        &self,
        permit: &Permit<ReadResource>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        let found = page(&self.tables(), None, kind, below, limit)?;
        Ok(seal::kind(permit, found))
    }
}
