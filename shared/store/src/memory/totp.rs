//! Second factors, in memory.

use super::{MemoryStore, record};
use crate::scope::Scope;
use crate::totp::{SecondFactors, Totp, TotpChange, no_account};
use crate::{StoreError, batch};
use async_trait::async_trait;
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::UserId;

#[async_trait]
impl SecondFactors for MemoryStore {
    async fn totp(&self, user: &UserId) -> Result<Option<Totp>, StoreError> {
        Ok(self.tables().totp.get(user).cloned())
    }

    async fn totps(&self) -> Result<Vec<Totp>, StoreError> {
        Ok(self.tables().totp.values().cloned().collect())
    }

    async fn change_totp(&self, entry: AuditEntry, change: TotpChange) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        let user = change.user().clone();
        let Some(prev) = t.accounts.get(&user).map(|a| a.version) else {
            return Err(no_account(&user));
        };
        let told = !matches!(change, TotpChange::Begin { .. });
        let before = t.totp.get(&user).cloned();
        match change.after(before)? {
            Some(row) => t.totp.insert(user.clone(), row),
            None => t.totp.remove(&user),
        };
        if told {
            let ver = prev + 1;
            t.feed_row(&Scope::Dir, batch::dir_key(user.as_str()), prev, ver, false);
            if let Some(account) = t.accounts.get_mut(&user) {
                account.version = ver;
            }
        }
        let receipt = record(&mut t, &entry)?;
        self.committed(&t);
        Ok(receipt)
    }

    async fn use_totp(&self, user: &UserId, step: u64) -> Result<bool, StoreError> {
        let mut t = self.tables();
        let row = t.totp.get_mut(user);
        let Some(row) = row.filter(|r| r.confirmed.is_some() && r.step < step) else {
            return Ok(false);
        };
        row.step = step;
        Ok(true)
    }

    async fn use_recovery(&self, user: &UserId, hash: [u8; 32]) -> Result<Option<usize>, StoreError> {
        let mut t = self.tables();
        let row = t.totp.get_mut(user);
        let Some(row) = row.filter(|r| r.confirmed.is_some() && r.codes.contains(&hash)) else {
            return Ok(None);
        };
        row.codes.retain(|c| *c != hash);
        Ok(Some(row.codes.len()))
    }
}
