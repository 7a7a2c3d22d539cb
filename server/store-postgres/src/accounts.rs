//! Accounts, devices, sessions and clients.

use crate::PostgresStore;
use crate::acts::{Act, Acted, all_accounts, one_account};
use crate::sql::{Fault, all, col, hash32, one, parsed, uint};
use async_trait::async_trait;
use tokio_postgres::Row;
use vitrine_access::action::{ManageDevices, ManageUsers};
use vitrine_access::{AuditEntry, Disclosure, Permit, Receipt};
use vitrine_clinical::{DeviceId, UserId, UtcMs, WardId};
use vitrine_store::identities::ProviderSession;
use vitrine_store::{
    Account, AccountChange, Accounts, ClientRow, DeviceRow, DeviceState, EnrolCode, NewDevice, SecretsChange,
    SessionRow, StoreError,
};

const DEVICES: &str = "keeping devices";
const SESSIONS: &str = "keeping sessions";

const DEVICE: &str =
    "SELECT id, name, ward, site, public_key, revoked, enrolled, last_seen, report, audit_seq FROM device";

fn device(r: &Row) -> Result<DeviceRow, Fault> {
    let revoked: bool = col(r, 5, DEVICES)?;
    Ok(DeviceRow {
        id: parsed(DeviceId::new(col::<String>(r, 0, DEVICES)?), DEVICES)?,
        name: col(r, 1, DEVICES)?,
        ward: parsed(WardId::new(col::<String>(r, 2, DEVICES)?), DEVICES)?,
        site: col(r, 3, DEVICES)?,
        public_key: col(r, 4, DEVICES)?,
        state: if revoked {
            DeviceState::Revoked
        } else {
            DeviceState::Active
        },
        enrolled: UtcMs(col(r, 6, DEVICES)?),
        last_seen: col::<Option<i64>>(r, 7, DEVICES)?.map(UtcMs),
        report: col(r, 8, DEVICES)?,
        audit_seq: uint(col(r, 9, DEVICES)?),
    })
}

fn code(r: &Row) -> Result<EnrolCode, Fault> {
    Ok(EnrolCode {
        hash: hash32(col(r, 0, DEVICES)?),
        ward: parsed(WardId::new(col::<String>(r, 1, DEVICES)?), DEVICES)?,
        site: col(r, 2, DEVICES)?,
        until: UtcMs(col(r, 3, DEVICES)?),
    })
}

/// What [`session`] reads.
pub(crate) const SESSION: &str = "hash, holder, client, device, scopes, at, until, issuer, subject, sid";

pub(crate) fn session(r: &Row) -> Result<SessionRow, Fault> {
    let device: Option<String> = col(r, 3, SESSIONS)?;
    let scopes: &str = col(r, 4, SESSIONS)?;
    let issuer: Option<String> = col(r, 7, SESSIONS)?;
    let subject: Option<String> = col(r, 8, SESSIONS)?;
    let sid = col(r, 9, SESSIONS)?;
    Ok(SessionRow {
        hash: hash32(col(r, 0, SESSIONS)?),
        holder: col(r, 1, SESSIONS)?,
        client: col(r, 2, SESSIONS)?,
        device: device.map(|d| parsed(DeviceId::new(d), SESSIONS)).transpose()?,
        scopes: parsed(serde_json::from_str(scopes), SESSIONS)?,
        provider: issuer
            .zip(subject)
            .map(|(issuer, subject)| ProviderSession { issuer, subject, sid }),
        at: UtcMs(col(r, 5, SESSIONS)?),
        until: UtcMs(col(r, 6, SESSIONS)?),
    })
}

const CLIENT: &str = "SELECT id, secret, scopes, keys, redirects FROM client";

fn client(r: &Row) -> Result<ClientRow, Fault> {
    let (scopes, redirects): (&str, &str) = (col(r, 2, SESSIONS)?, col(r, 4, SESSIONS)?);
    Ok(ClientRow {
        id: col(r, 0, SESSIONS)?,
        secret: col::<Option<&[u8]>>(r, 1, SESSIONS)?.map(hash32),
        scopes: parsed(serde_json::from_str(scopes), SESSIONS)?,
        keys: col(r, 3, SESSIONS)?,
        redirects: parsed(serde_json::from_str(redirects), SESSIONS)?,
    })
}

fn receipt(acted: Acted) -> Result<Receipt, StoreError> {
    acted.receipt.ok_or(StoreError::Closed)
}

#[async_trait]
impl Accounts for PostgresStore {
    async fn change_account(
        &self,
        permit: &Permit<ManageUsers>,
        change: AccountChange,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        receipt(self.act(Act::Account(change), Some(entry)).await?)
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        Ok(one_account(&self.reader().await?, user.as_str()).await?)
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        Ok(all_accounts(&self.reader().await?).await?)
    }

    async fn put_enrol_code(
        &self,
        permit: &Permit<ManageDevices>,
        code: EnrolCode,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        receipt(self.act(Act::PutCode(code), Some(entry)).await?)
    }

    async fn enrol_codes(&self, at: UtcMs) -> Result<Vec<EnrolCode>, StoreError> {
        let sql = "SELECT hash, ward, site, until FROM enrol_code WHERE until > $1 ORDER BY hash";
        let rows = all(&self.reader().await?, DEVICES, sql, &[&at.0]).await?;
        Ok(rows.iter().map(code).collect::<Result<_, _>>()?)
    }

    async fn enrol(
        &self,
        code_hash: [u8; 32],
        device: NewDevice,
        at: UtcMs,
    ) -> Result<DeviceRow, StoreError> {
        let acted = self.act(Act::Enrol(code_hash, device, at), None).await?;
        acted.device.ok_or(StoreError::Closed)
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let sql = format!("{DEVICE} WHERE id = $1");
        let row = one(&self.reader().await?, DEVICES, &sql, &[&id.as_str()]).await?;
        Ok(row.as_ref().map(device).transpose()?)
    }

    async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        let rows = all(
            &self.reader().await?,
            DEVICES,
            &format!("{DEVICE} ORDER BY id"),
            &[],
        )
        .await?;
        Ok(rows.iter().map(device).collect::<Result<_, _>>()?)
    }

    async fn revoke_device(
        &self,
        permit: &Permit<ManageDevices>,
        id: &DeviceId,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        receipt(self.act(Act::Revoke(id.clone()), Some(entry)).await?)
    }

    async fn device_seen(&self, id: &DeviceId, at: UtcMs, report: Option<String>) -> Result<(), StoreError> {
        self.act(Act::Seen(id.clone(), at, report), None)
            .await
            .map(|_| ())
    }

    async fn change_secrets(&self, entry: AuditEntry, change: SecretsChange) -> Result<Receipt, StoreError> {
        receipt(self.act(Act::Secrets(change), Some(entry)).await?)
    }

    async fn put_session(&self, session: SessionRow) -> Result<(), StoreError> {
        self.act(Act::PutSession(session), None).await.map(|_| ())
    }

    async fn prolong_session(&self, hash: &[u8; 32], until: UtcMs) -> Result<(), StoreError> {
        self.act(Act::ProlongSession(*hash, until), None)
            .await
            .map(|_| ())
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        let sql = format!("SELECT {SESSION} FROM session WHERE hash = $1");
        let row = one(&self.reader().await?, SESSIONS, &sql, &[&&hash[..]]).await?;
        Ok(row.as_ref().map(session).transpose()?)
    }

    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.act(Act::EndSession(*hash), None).await.map(|_| ())
    }

    async fn forget_sessions(&self, before: UtcMs, most: u32) -> Result<u32, StoreError> {
        let answer = self.act(Act::ForgetSessions(before, most), None).await?;
        Ok(answer.forgotten)
    }

    async fn put_client(
        &self,
        permit: &Permit<ManageUsers>,
        client: ClientRow,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        receipt(self.act(Act::PutClient(client), Some(entry)).await?)
    }

    async fn remove_client(&self, permit: &Permit<ManageUsers>, id: &str) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        receipt(self.act(Act::RemoveClient(id.to_owned()), Some(entry)).await?)
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRow>, StoreError> {
        let sql = format!("{CLIENT} WHERE id = $1");
        let row = one(&self.reader().await?, SESSIONS, &sql, &[&id]).await?;
        Ok(row.as_ref().map(client).transpose()?)
    }

    async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        let sql = format!("{CLIENT} ORDER BY id");
        let rows = all(&self.reader().await?, SESSIONS, &sql, &[]).await?;
        Ok(rows.iter().map(client).collect::<Result<_, _>>()?)
    }
}
