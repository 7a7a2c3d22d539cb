//! Accounts, devices, sessions and clients.

use super::SqlcipherStore;
use super::sql::{During, all, one, parsed, run, uint};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vitrine_access::action::{ManageDevices, ManageUsers};
use vitrine_access::chain::GENESIS;
use vitrine_access::{AuditEntry, Disclosure, Permit, Receipt};
use vitrine_clinical::{DeviceId, UserId, UtcMs, WardId};
use vitrine_store::identities::ProviderSession;
use vitrine_store::{
    Account, AccountChange, Accounts, ClientRow, DeviceRow, DeviceState, EnrolCode, NewDevice, SecretsChange,
    SessionRow, StoreError, badge_taken, badges_after, none_registered,
};

const USERS: &str = "keeping accounts";
const DEVICES: &str = "keeping devices";
const SESSIONS: &str = "keeping sessions";

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend {
        doing: USERS,
        cause: e.to_string(),
    })
}

pub(super) fn of_json<T: DeserializeOwned>(r: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    parsed(index, serde_json::from_str(r.get_ref(index)?.as_str()?))
}

const ACCOUNT: &str =
    "SELECT user, display, role, wards, password_phc, pin_phc, disabled, version, badges FROM account";

fn account(r: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        user: parsed(0, UserId::new(r.get::<_, String>(0)?))?,
        display: r.get(1)?,
        role: parsed(2, r.get_ref(2)?.as_str()?.parse())?,
        wards: of_json(r, 3)?,
        password_phc: r.get(4)?,
        pin_phc: r.get(5)?,
        disabled: r.get(6)?,
        version: uint(r.get(7)?),
        badges: of_json(r, 8)?,
    })
}

/// All accounts by name.
pub(super) fn all_accounts(conn: &Connection) -> Result<Vec<Account>, StoreError> {
    all(conn, &format!("{ACCOUNT} ORDER BY user"), [], account).during(USERS)
}

/// One account.
pub(super) fn one_account(conn: &Connection, user: &str) -> Result<Option<Account>, StoreError> {
    one(conn, &format!("{ACCOUNT} WHERE user = ?1"), [user], account).during(USERS)
}

fn put_account(conn: &Connection, a: &Account) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO account (user, display, role, wards, password_phc, pin_phc, disabled, version, badges)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)
               ON CONFLICT (user) DO UPDATE SET display = excluded.display, role = excluded.role,
                 wards = excluded.wards, password_phc = excluded.password_phc, pin_phc = excluded.pin_phc,
                 disabled = excluded.disabled, badges = excluded.badges, version = account.version + 1";
    let row = params![
        a.user.as_str(),
        a.display,
        a.role.name(),
        json(&a.wards)?,
        a.password_phc,
        a.pin_phc,
        a.disabled,
        json(&a.badges)?
    ];
    run(conn, sql, row).during(USERS).map(|_| ())
}

fn change_badge(conn: &Connection, user: &UserId, badge: &str, add: bool) -> Result<(), StoreError> {
    let all = all_accounts(conn)?;
    let other = all
        .iter()
        .find(|a| a.user != *user && a.badges.iter().any(|b| b == badge));
    if let Some(other) = other.filter(|_| add) {
        return Err(badge_taken(&other.user));
    }
    let Some(account) = all.into_iter().find(|a| a.user == *user) else {
        return Err(StoreError::Refused(format!("there is no user {user}")));
    };
    let badges = badges_after(account.badges, badge, add)?;
    let sql = "UPDATE account SET badges = ?1, version = version + 1 WHERE user = ?2";
    run(conn, sql, params![json(&badges)?, user.as_str()])
        .during(USERS)
        .map(|_| ())
}

const DEVICE: &str =
    "SELECT id, name, ward, site, public_key, revoked, enrolled, last_seen, report, audit_seq
                        FROM device";

fn device(r: &Row<'_>) -> rusqlite::Result<DeviceRow> {
    let revoked: bool = r.get(5)?;
    Ok(DeviceRow {
        id: parsed(0, DeviceId::new(r.get::<_, String>(0)?))?,
        name: r.get(1)?,
        ward: parsed(2, WardId::new(r.get::<_, String>(2)?))?,
        site: r.get(3)?,
        public_key: r.get(4)?,
        state: if revoked {
            DeviceState::Revoked
        } else {
            DeviceState::Active
        },
        enrolled: UtcMs(r.get(6)?),
        last_seen: r.get::<_, Option<i64>>(7)?.map(UtcMs),
        report: r.get(8)?,
        audit_seq: uint(r.get(9)?),
    })
}

const CODE: &str = "SELECT hash, ward, site, until FROM enrol_code";

fn code(r: &Row<'_>) -> rusqlite::Result<EnrolCode> {
    Ok(EnrolCode {
        hash: r.get(0)?,
        ward: parsed(1, WardId::new(r.get::<_, String>(1)?))?,
        site: r.get(2)?,
        until: UtcMs(r.get(3)?),
    })
}

fn enrol(conn: &Connection, hash: &[u8; 32], new: NewDevice, at: UtcMs) -> Result<DeviceRow, StoreError> {
    let found = one(
        conn,
        &format!("{CODE} WHERE hash = ?1 AND until > ?2"),
        params![&hash[..], at.0],
        code,
    );
    let Some(code) = found.during(DEVICES)? else {
        return Err(StoreError::Refused(
            "this enrolment code is not valid: make a new one".to_owned(),
        ));
    };
    let there = one(
        conn,
        "SELECT 1 FROM device WHERE id = ?1",
        [new.id.as_str()],
        |_| Ok(()),
    )
    .during(DEVICES)?;
    if there.is_some() {
        return Err(StoreError::Refused(format!(
            "device {} is enrolled already",
            new.id
        )));
    }
    run(conn, "DELETE FROM enrol_code WHERE hash = ?1", [&hash[..]]).during(DEVICES)?;
    let sql =
        "INSERT INTO device (id, name, ward, site, public_key, revoked, enrolled, audit_seq, audit_hash)
               VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, 0, ?7)";
    let row = params![
        new.id.as_str(),
        new.name,
        code.ward.as_str(),
        code.site,
        new.public_key,
        at.0,
        &GENESIS[..]
    ];
    run(conn, sql, row).during(DEVICES)?;
    Ok(DeviceRow {
        id: new.id,
        name: new.name,
        ward: code.ward,
        site: code.site,
        public_key: new.public_key,
        state: DeviceState::Active,
        enrolled: at,
        last_seen: None,
        audit_seq: 0,
        report: None,
    })
}

/// What [`session`] reads.
pub(super) const SESSION: &str =
    "SELECT hash, holder, client, device, scopes, at, until, issuer, subject, sid FROM session";

pub(super) fn session(r: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let device: Option<String> = r.get(3)?;
    let (issuer, subject): (Option<String>, Option<String>) = (r.get(7)?, r.get(8)?);
    let sid = r.get(9)?;
    Ok(SessionRow {
        hash: r.get(0)?,
        holder: r.get(1)?,
        client: r.get(2)?,
        device: device.map(|d| parsed(3, DeviceId::new(d))).transpose()?,
        scopes: of_json(r, 4)?,
        provider: issuer
            .zip(subject)
            .map(|(issuer, subject)| ProviderSession { issuer, subject, sid }),
        at: UtcMs(r.get(5)?),
        until: UtcMs(r.get(6)?),
    })
}

const CLIENT: &str = "SELECT id, secret, scopes, keys, redirects FROM client";
/// Ends what a program opened itself.
const OF_CLIENT: &str = "DELETE FROM session WHERE holder = ?1 AND client = 1";

fn client(r: &Row<'_>) -> rusqlite::Result<ClientRow> {
    Ok(ClientRow {
        id: r.get(0)?,
        secret: r.get(1)?,
        scopes: of_json(r, 2)?,
        keys: r.get(3)?,
        redirects: of_json(r, 4)?,
    })
}

#[async_trait]
impl Accounts for SqlcipherStore {
    async fn change_account(
        &self,
        permit: &Permit<ManageUsers>,
        change: AccountChange,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        self.write(1, move |conn, group| {
            match change {
                AccountChange::Put(account) => put_account(conn, &account)?,
                AccountChange::AddBadge(user, badge) => change_badge(conn, &user, &badge, true)?,
                AccountChange::RemoveBadge(user, badge) => change_badge(conn, &user, &badge, false)?,
                AccountChange::Disable(user) => {
                    let sql = "UPDATE account SET disabled = 1, version = version + 1 WHERE user = ?1";
                    if run(conn, sql, [user.as_str()]).during(USERS)? == 0 {
                        return Err(StoreError::Refused(format!("there is no user {user}")));
                    }
                }
            }
            group.record(conn, &entry)
        })
        .await
    }

    async fn account(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        let user = user.clone();
        self.read_job(move |conn| one_account(conn, user.as_str())).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.read_job(all_accounts).await
    }

    async fn put_enrol_code(
        &self,
        permit: &Permit<ManageDevices>,
        code: EnrolCode,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        self.write(1, move |conn, group| {
            let sql = "INSERT OR REPLACE INTO enrol_code (hash, ward, site, until) VALUES (?1, ?2, ?3, ?4)";
            run(
                conn,
                sql,
                params![&code.hash[..], code.ward.as_str(), code.site, code.until.0],
            )
            .during(DEVICES)?;
            group.record(conn, &entry)
        })
        .await
    }

    async fn enrol_codes(&self, at: UtcMs) -> Result<Vec<EnrolCode>, StoreError> {
        self.read_job(move |conn| {
            all(
                conn,
                &format!("{CODE} WHERE until > ?1 ORDER BY hash"),
                [at.0],
                code,
            )
            .during(DEVICES)
        })
        .await
    }

    async fn enrol(
        &self,
        code_hash: [u8; 32],
        device: NewDevice,
        at: UtcMs,
    ) -> Result<DeviceRow, StoreError> {
        self.write(1, move |conn, _| enrol(conn, &code_hash, device, at))
            .await
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let id = id.clone();
        self.read_job(move |conn| {
            one(conn, &format!("{DEVICE} WHERE id = ?1"), [id.as_str()], device).during(DEVICES)
        })
        .await
    }

    async fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        self.read_job(|conn| all(conn, &format!("{DEVICE} ORDER BY id"), [], device).during(DEVICES))
            .await
    }

    async fn revoke_device(
        &self,
        permit: &Permit<ManageDevices>,
        id: &DeviceId,
    ) -> Result<Receipt, StoreError> {
        let (id, entry) = (id.clone(), permit.entry(Disclosure::default()));
        self.write(1, move |conn, group| {
            if run(conn, "UPDATE device SET revoked = 1 WHERE id = ?1", [id.as_str()]).during(DEVICES)? == 0 {
                return Err(StoreError::Refused(format!("there is no device {id}")));
            }
            group.record(conn, &entry)
        })
        .await
    }

    async fn device_seen(&self, id: &DeviceId, at: UtcMs, report: Option<String>) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(1, move |conn, _| {
            let sql = "UPDATE device SET last_seen = ?2, report = coalesce(?3, report) WHERE id = ?1";
            run(conn, sql, params![id.as_str(), at.0, report])
                .during(DEVICES)
                .map(|_| ())
        })
        .await
    }

    async fn change_secrets(&self, entry: AuditEntry, new: SecretsChange) -> Result<Receipt, StoreError> {
        self.write(1, move |conn, group| {
            let sql = "UPDATE account SET password_phc = coalesce(?2, password_phc), pin_phc = coalesce(?3, pin_phc),
                         disabled = disabled AND NOT ?4, version = version + 1 WHERE user = ?1";
            let with = params![new.user.as_str(), new.password_phc, new.pin_phc, new.enable];
            if run(conn, sql, with).during(USERS)? == 0 {
                return Err(StoreError::Refused(format!("there is no user {}", new.user)));
            }
            group.record(conn, &entry)
        })
        .await
    }

    async fn put_session(&self, session: SessionRow) -> Result<(), StoreError> {
        self.write(1, move |conn, _| {
            let sql = "INSERT OR REPLACE INTO session
                         (hash, holder, client, device, scopes, at, until, issuer, subject, sid)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            let device = session.device.as_ref().map(DeviceId::as_str);
            let scopes = json(&session.scopes)?;
            let (at, until) = (session.at.0, session.until.0);
            let of = session.provider.as_ref();
            let row = params![
                &session.hash[..],
                session.holder,
                session.client,
                device,
                scopes,
                at,
                until,
                of.map(|p| &p.issuer),
                of.map(|p| &p.subject),
                of.and_then(|p| p.sid.as_ref())
            ];
            run(conn, sql, row).during(SESSIONS).map(|_| ())
        })
        .await
    }

    async fn prolong_session(&self, hash: &[u8; 32], until: UtcMs) -> Result<(), StoreError> {
        let hash = *hash;
        self.write(1, move |conn, _| {
            let sql = "UPDATE session SET until = ?2 WHERE hash = ?1";
            run(conn, sql, params![&hash[..], until.0])
                .during(SESSIONS)
                .map(|_| ())
        })
        .await
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        let hash = *hash;
        self.read_job(move |conn| {
            let sql = format!("{SESSION} WHERE hash = ?1");
            one(conn, &sql, [&hash[..]], session).during(SESSIONS)
        })
        .await
    }

    async fn end_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let hash = *hash;
        self.write(1, move |conn, _| {
            run(conn, "DELETE FROM session WHERE hash = ?1", [&hash[..]])
                .during(SESSIONS)
                .map(|_| ())
        })
        .await
    }

    async fn forget_sessions(&self, before: UtcMs, most: u32) -> Result<u32, StoreError> {
        self.write(1, move |conn, _| {
            let sql =
                "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE until < ?1 LIMIT ?2)";
            let gone = run(conn, sql, params![before.0, most]).during(SESSIONS)?;
            Ok(u32::try_from(gone).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn put_client(
        &self,
        permit: &Permit<ManageUsers>,
        client: ClientRow,
    ) -> Result<Receipt, StoreError> {
        let entry = permit.entry(Disclosure::default());
        self.write(1, move |conn, group| {
            let sql = "INSERT OR REPLACE INTO client (id, secret, scopes, keys, redirects) VALUES (?1, ?2, ?3, ?4, ?5)";
            let secret = client.secret.as_ref().map(|s| &s[..]);
            let (scopes, redirects) = (json(&client.scopes)?, json(&client.redirects)?);
            run(conn, sql, params![client.id, secret, scopes, client.keys, redirects]).during(USERS)?;
            run(conn, OF_CLIENT, [&client.id]).during(SESSIONS)?;
            group.record(conn, &entry)
        })
        .await
    }

    async fn remove_client(&self, permit: &Permit<ManageUsers>, id: &str) -> Result<Receipt, StoreError> {
        let (id, entry) = (id.to_owned(), permit.entry(Disclosure::default()));
        self.write(1, move |conn, group| {
            if run(conn, "DELETE FROM client WHERE id = ?1", [&id]).during(USERS)? == 0 {
                return Err(none_registered(&id));
            }
            run(conn, OF_CLIENT, [&id]).during(SESSIONS)?;
            group.record(conn, &entry)
        })
        .await
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRow>, StoreError> {
        let id = id.to_owned();
        self.read_job(move |conn| one(conn, &format!("{CLIENT} WHERE id = ?1"), [id], client).during(USERS))
            .await
    }

    async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        self.read_job(|conn| all(conn, &format!("{CLIENT} ORDER BY id"), [], client).during(USERS))
            .await
    }
}
