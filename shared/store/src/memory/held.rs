//! The quarantine in memory, as it is worked off.

use super::{MemoryStore, record};
use crate::StoreError;
use crate::held::{Held, HeldChange, HeldItem, HeldPage};
use async_trait::async_trait;
use vitrine_access::action::ImportData;
use vitrine_access::{Disclosure, Permit};

#[async_trait]
impl Held for MemoryStore {
    async fn held(&self, kind: &str, after: u64, limit: usize) -> Result<HeldPage, StoreError> {
        let t = self.tables();
        let page: Vec<&HeldItem> = t
            .quarantine
            .iter()
            .filter(|i| i.row.id > after)
            .take(limit)
            .collect();
        let (last, more) = (page.last().map_or(after, |i| i.row.id), page.len() == limit);
        let of_kind = page.into_iter().filter(|i| i.row.kind.as_deref() == Some(kind));
        Ok(HeldPage {
            items: of_kind.cloned().collect(),
            last,
            more,
        })
    }

    async fn held_item(&self, id: u64) -> Result<Option<HeldItem>, StoreError> {
        Ok(self.tables().quarantine.iter().find(|i| i.row.id == id).cloned())
    }

    async fn change_held(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        change: HeldChange,
    ) -> Result<bool, StoreError> {
        let mut t = self.tables();
        let Some(at) = t.quarantine.iter().position(|i| i.row.id == id) else {
            return Ok(false);
        };
        record(&mut t, &permit.entry(Disclosure::default()))?;
        match change {
            HeldChange::Stays { reason, body } => {
                if let Some(item) = t.quarantine.get_mut(at) {
                    item.row.reason = reason;
                    item.row.bytes = body.len() as u64;
                    item.body = body;
                }
            }
            HeldChange::Leaves => {
                t.quarantine.remove(at);
            }
        }
        Ok(true)
    }
}
