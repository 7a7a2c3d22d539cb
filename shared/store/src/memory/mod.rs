//! The store in memory: the same promises as the others except that nothing outlives it. For simulations and tests,
//! and as the model the conformance suite compares the others with.

mod accounts;
mod apply;
mod archive;
mod copies;
mod held;
mod identities;
mod imaging;
mod kinds;
mod messages;
mod pixels;
mod reads;
mod reviews;
mod state;
mod tiers;
mod totp;

use crate::tiers::{day_of, used_by};
use crate::{Applied, ChangeBatch, Projector, StoreError};
use state::Tables;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use vitrine_access::{Action, AuditEntry, Permit, Receipt};

/// The store in memory.
pub struct MemoryStore {
    tables: Mutex<Tables>,
    projector: Arc<dyn Projector>,
    epoch: String,
    pos: watch::Sender<u64>,
}

impl MemoryStore {
    /// An empty store. `epoch` is any text that another store does not have.
    #[must_use]
    pub fn new(projector: Arc<dyn Projector>, epoch: impl Into<String>) -> Self {
        Self {
            tables: Mutex::default(),
            projector,
            epoch: epoch.into(),
            pos: watch::Sender::new(0),
        }
    }

    /// The tables. A panic while they were held cannot leave half a change: a `Txn` takes it back.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn committed(&self, tables: &Tables) {
        self.pos.send_replace(tables.feed_pos);
    }

    fn apply_as<A: Action>(
        &self,
        permit: &Permit<A>,
        batch: &ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        let mut tables = self.tables();
        let (applied, disclosure) = apply::apply(&mut tables, &*self.projector, permit.patient(), batch)?;
        let receipt = record(&mut tables, &permit.entry(disclosure))?;
        self.committed(&tables);
        Ok((applied, receipt))
    }
}

/// Writes an audit row.
fn record(tables: &mut Tables, entry: &AuditEntry) -> Result<Receipt, StoreError> {
    let body = serde_json::to_string(entry).map_err(|e| StoreError::Backend {
        doing: "writing the audit row",
        cause: e.to_string(),
    })?;
    for patient in used_by(entry) {
        let day = tables.used.entry(patient).or_default();
        *day = day_of(entry.at).max(*day);
    }
    Ok(Receipt::of_committed_row(entry.access_id, tables.chain(body)))
}
