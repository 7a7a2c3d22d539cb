//! Accounts, devices and sessions of the memory store.

use super::{MemoryStore, Tables, record};
use crate::scope::Scope;
use crate::{
    Account, AccountChange, Accounts, ClientRow, DeviceRow, DeviceState, EnrolCode, NewDevice, SecretsChange,
    SessionRow, StoreError, badge_taken, badges_after, batch, none_registered,
};
use async_trait::async_trait;
use vitrine_access::action::{ManageDevices, ManageUsers};
use vitrine_access::{AuditEntry, Disclosure, Permit, Receipt};
use vitrine_clinical::{DeviceId, UserId, UtcMs};

/// Keeps an account in its next version, and tells workstations.
fn keep(t: &mut Tables, account: Account) {
    let prev = t.accounts.get(&account.user).map_or(0, |a| a.version);
    let account = Account {
        version: prev + 1,
        ..account
    };
    t.feed_row(
        &Scope::Dir,
        batch::dir_key(account.user.as_str()),
        prev,
        account.version,
        false,
    );
    t.accounts.insert(account.user.clone(), account);
}

#[async_trait]
impl Accounts for MemoryStore {
    async fn change_account(
        &self,
        permit: &Permit<ManageUsers>,
        change: AccountChange,
    ) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        let there = |user: &UserId| {
            let known = t.accounts.get(user).cloned();
            known.ok_or_else(|| StoreError::Refused(format!("there is no user {user}")))
        };
        let account = match change {
            AccountChange::Put(account) => account,
            AccountChange::AddBadge(user, badge) => {
                let other = t
                    .accounts
                    .values()
                    .find(|a| a.user != user && a.badges.contains(&badge));
                if let Some(other) = other {
                    return Err(badge_taken(&other.user));
                }
                let a = there(&user)?;
                Account {
                    badges: badges_after(a.badges.clone(), &badge, true)?,
                    ..a
                }
            }
            AccountChange::RemoveBadge(user, badge) => {
                let a = there(&user)?;
                Account {
                    badges: badges_after(a.badges.clone(), &badge, false)?,
                    ..a
                }
            }
            AccountChange::Disable(user) => Account {
                disabled: true,
                ..there(&user)?
            },
        };
        keep(&mut t, account);
        let receipt = record(&mut t, &permit.entry(Disclosure::default()))?;
        self.committed(&t);
        Ok(receipt)
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.tables().accounts.get(user).cloned())
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        Ok(self.tables().accounts.values().cloned().collect())
    }

    async fn put_enrol_code(
        &self,
        permit: &Permit<ManageDevices>,
        code: EnrolCode,
    ) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        t.codes.insert(code.hash, code);
        record(&mut t, &permit.entry(Disclosure::default()))
    }

    async fn enrol_codes(&self, at: UtcMs) -> Result<Vec<EnrolCode>, StoreError> {
        Ok(self
            .tables()
            .codes
            .values()
            .filter(|c| at < c.until)
            .cloned()
            .collect())
    }

    async fn enrol(
        &self,
        code_hash: [u8; 32],
        device: NewDevice,
        at: UtcMs,
    ) -> Result<DeviceRow, StoreError> {
        let mut t = self.tables();
        let refused = || StoreError::Refused("this enrolment code is not valid: make a new one".to_owned());
        let code = t
            .codes
            .get(&code_hash)
            .cloned()
            .filter(|c| at < c.until)
            .ok_or_else(refused)?;
        if t.devices.contains_key(&device.id) {
            return Err(StoreError::Refused(format!(
                "device {} is enrolled already",
                device.id
            )));
        }
        t.codes.remove(&code_hash);
        let row = DeviceRow {
            id: device.id,
            name: device.name,
            ward: code.ward,
            site: code.site,
            public_key: device.public_key,
            state: DeviceState::Active,
            enrolled: at,
            last_seen: None,
            audit_seq: 0,
            report: None,
        };
        t.devices.insert(row.id.clone(), row.clone());
        Ok(row)
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        Ok(self.tables().devices.get(id).cloned())
    }

    async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        Ok(self.tables().devices.values().cloned().collect())
    }

    async fn revoke_device(
        &self,
        permit: &Permit<ManageDevices>,
        id: &DeviceId,
    ) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        let Some(d) = t.devices.get_mut(id) else {
            return Err(StoreError::Refused(format!("there is no device {id}")));
        };
        d.state = DeviceState::Revoked;
        record(&mut t, &permit.entry(Disclosure::default()))
    }

    async fn device_seen(&self, id: &DeviceId, at: UtcMs, report: Option<String>) -> Result<(), StoreError> {
        if let Some(d) = self.tables().devices.get_mut(id) {
            d.last_seen = Some(at);
            if report.is_some() {
                d.report = report;
            }
        }
        Ok(())
    }

    async fn change_secrets(&self, entry: AuditEntry, new: SecretsChange) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        let Some(account) = t.accounts.get(&new.user).cloned() else {
            return Err(StoreError::Refused(format!("there is no user {}", new.user)));
        };
        let account = Account {
            password_phc: new.password_phc.unwrap_or(account.password_phc),
            pin_phc: new.pin_phc.or(account.pin_phc),
            disabled: account.disabled && !new.enable,
            ..account
        };
        keep(&mut t, account);
        let receipt = record(&mut t, &entry)?;
        self.committed(&t);
        Ok(receipt)
    }

    async fn put_session(&self, session: SessionRow) -> Result<(), StoreError> {
        self.tables().sessions.insert(session.hash, session);
        Ok(())
    }

    async fn prolong_session(&self, hash: &[u8; 32], until: UtcMs) -> Result<(), StoreError> {
        if let Some(s) = self.tables().sessions.get_mut(hash) {
            s.until = until;
        }
        Ok(())
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.tables().sessions.get(hash).cloned())
    }

    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.tables().sessions.remove(hash);
        Ok(())
    }

    async fn forget_sessions(&self, before: UtcMs, most: u32) -> Result<u32, StoreError> {
        let mut left = most;
        self.tables().sessions.retain(|_, s| {
            let goes = left > 0 && s.until < before;
            left -= u32::from(goes);
            !goes
        });
        Ok(most - left)
    }

    async fn put_client(
        &self,
        permit: &Permit<ManageUsers>,
        client: ClientRow,
    ) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        t.sessions.retain(|_, s| !(s.client && s.holder == client.id));
        t.clients.insert(client.id.clone(), client);
        record(&mut t, &permit.entry(Disclosure::default()))
    }

    async fn remove_client(&self, permit: &Permit<ManageUsers>, id: &str) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        if t.clients.remove(id).is_none() {
            return Err(none_registered(id));
        }
        t.sessions.retain(|_, s| !(s.client && s.holder == id));
        record(&mut t, &permit.entry(Disclosure::default()))
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRow>, StoreError> {
        Ok(self.tables().clients.get(id).cloned())
    }

    async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        Ok(self.tables().clients.values().cloned().collect())
    }
}
