//! Break-glass grants and their reviews, in memory.

use super::{MemoryStore, record};
use crate::reviews::{ReviewOrder, Reviews};
use crate::{GrantRow, PatientHit, StoreError, seal};
use async_trait::async_trait;
use std::cmp::Reverse;
use vitrine_access::action::ReviewBreakGlass;
use vitrine_access::grant::GrantId;
use vitrine_access::{AuditEntry, Permit, Receipt, Sealed};
use vitrine_clinical::UtcMs;

#[async_trait]
impl Reviews for MemoryStore {
    async fn keep_grant(
        &self,
        row: GrantRow,
        entry: AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        let mut t = self.tables();
        if let Some(held) = t.grants.get(&row.grant.id.0) {
            return Ok((held.clone(), None));
        }
        let receipt = record(&mut t, &entry)?;
        t.grants.insert(row.grant.id.0, row.clone());
        Ok((row, Some(receipt)))
    }

    async fn review(&self, order: ReviewOrder) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        let mut t = self.tables();
        let done = order.step(t.grants.get(&order.id().0).cloned())?;
        let receipt = done.entry.as_ref().map(|e| record(&mut t, e)).transpose()?;
        t.grants.insert(order.id().0, done.row.clone());
        Ok((done.row, receipt))
    }

    async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
        Ok(self.tables().grants.get(&id.0).cloned())
    }

    async fn reviewed_patient(
        &self,
        permit: &Permit<ReviewBreakGlass>,
        id: GrantId,
    ) -> Result<Sealed<Option<PatientHit>>, StoreError> {
        let t = self.tables();
        let patient = t.grants.get(&id.0).map(|g| g.grant.patient.clone());
        let known = patient.as_ref().and_then(|p| t.patients.get(p));
        seal::reviewed(permit, patient.as_ref(), known.and_then(|p| p.card.clone()))
    }

    async fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        let mut all: Vec<GrantRow> = self.tables().grants.values().cloned().collect();
        all.sort_by_key(|g| Reverse((g.grant.at, g.grant.id)));
        all.truncate(limit);
        Ok(all)
    }

    async fn open_reviews(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        let t = self.tables();
        let open = t.grants.values().filter(|g| g.next_look().is_some());
        let mut all: Vec<GrantRow> = open.cloned().collect();
        all.sort_by_key(|g| (g.grant.at, g.grant.id));
        all.truncate(limit);
        Ok(all)
    }

    async fn reviews_waiting(&self, before: UtcMs) -> Result<(u64, u64), StoreError> {
        let t = self.tables();
        let open = || t.grants.values().filter(|g| g.next_look().is_some());
        let old = open().filter(|g| g.grant.at < before);
        Ok((open().count() as u64, old.count() as u64))
    }

    async fn reviews_due(&self, at: UtcMs, limit: usize) -> Result<Vec<GrantId>, StoreError> {
        let t = self.tables();
        let mut due: Vec<(i64, GrantId)> = t
            .grants
            .values()
            .filter_map(|g| Some((g.next_look()?, g.grant.id)))
            .filter(|(next, _)| *next <= at.0)
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().take(limit).map(|(_, id)| id).collect())
    }
}
