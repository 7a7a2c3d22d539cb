//! Identities at the provider, in memory.

use super::{MemoryStore, record};
use crate::identities::{Bound, Identities, ProviderEnd};
use crate::{SessionRow, StoreError};
use async_trait::async_trait;
use vitrine_access::action::ManageUsers;
use vitrine_access::{Disclosure, Permit, Receipt};
use vitrine_clinical::{UserId, UtcMs};

#[async_trait]
impl Identities for MemoryStore {
    async fn bind_identity(
        &self,
        issuer: &str,
        subject: &str,
        user: &UserId,
        _: UtcMs,
    ) -> Result<Bound, StoreError> {
        let mut t = self.tables();
        let key = (issuer.to_owned(), subject.to_owned());
        if let Some(holder) = t.identities.get(&key) {
            return Ok(if holder == user {
                Bound::Known
            } else {
                Bound::OtherAccount
            });
        }
        if t.identities.iter().any(|((i, _), u)| i == issuer && u == user) {
            return Ok(Bound::OtherSubject);
        }
        t.identities.insert(key, user.clone());
        Ok(Bound::New)
    }

    async fn forget_identity(
        &self,
        permit: &Permit<ManageUsers>,
        user: &UserId,
    ) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        let before = t.identities.len();
        t.identities.retain(|_, u| u != user);
        if t.identities.len() == before {
            return Err(crate::identities::none_bound(user));
        }
        t.sessions
            .retain(|_, s| s.provider.is_none() || s.holder != user.as_str());
        record(&mut t, &permit.entry(Disclosure::default()))
    }

    async fn end_provider_sessions(&self, of: &ProviderEnd) -> Result<Vec<SessionRow>, StoreError> {
        let mut t = self.tables();
        let over = |s: &SessionRow| s.provider.as_ref().is_some_and(|p| of.ends(p));
        let ended: Vec<SessionRow> = t.sessions.values().filter(|s| over(s)).cloned().collect();
        t.sessions.retain(|_, s| !over(s));
        Ok(ended)
    }

    async fn once(&self, hash: [u8; 32], at: UtcMs, until: UtcMs) -> Result<bool, StoreError> {
        let mut t = self.tables();
        t.used_once.retain(|_, until| *until >= at.0);
        Ok(t.used_once.insert(hash, until.0).is_none())
    }
}
