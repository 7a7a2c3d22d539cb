//! Writes that are not clinical: accounts, devices, sessions, the quarantine, uploaded audit rows, retention.
//!
//! Lives here: each act within the group's transaction. Called by `lane`; asked for by `accounts`, `audit`, `charts`
//! and `feed`. An act that may be refused looks before it writes, so that a refusal leaves the group whole.
#![allow(
    clippy::type_complexity,
    reason = "columns of one statement, side by side, named by the statement"
)]

use crate::audit_find::{self, Entries};
use crate::copies::{CopiesActed, CopyAct};
use crate::group::Group;
use crate::identities::{IdentityAct, IdentityActed};
use crate::messages::{MessageAct, MessageActed};
use crate::pixels::{PixelAct, PixelsActed};
use crate::sql::{self, Fault, all, col, hash32, int, one, parsed, run, uint};
use crate::state::FeedOut;
use crate::tiers::{TierAct, Tiered};
use crate::totp::{TotpAct, TotpActed};
use crate::vault::Place;
use serde::Serialize;
use vitrine_access::chain::{GENESIS, Head, Row as ChainRow};
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{DeviceId, UserId, UtcMs, WardId};
use vitrine_store::archive::{ArchiveOrder, Archived};
use vitrine_store::held::HeldChange;
use vitrine_store::reviews::ReviewOrder;
use vitrine_store::{
    Account, AccountChange, ClientRow, DeviceRow, DeviceState, EnrolCode, GrantRow, NewDevice,
    QuarantineItem, SecretsChange, SessionRow, StoreError, badge_taken, badges_after, device_chain,
    none_registered,
};

const USERS: &str = "keeping accounts";
const DEVICES: &str = "keeping devices";
const SESSIONS: &str = "keeping sessions";
/// Ends what a program opened itself.
const OF_CLIENT: &str = "DELETE FROM session WHERE holder = $1 AND client";
const ROWS: &str = "keeping a device's audit rows";
const PRUNING: &str = "pruning the feed";

/// What is to be done.
pub(crate) enum Act {
    Quarantine(UtcMs, Vec<QuarantineItem>),
    Account(AccountChange),
    Secrets(SecretsChange),
    PutCode(EnrolCode),
    Enrol([u8; 32], NewDevice, UtcMs),
    Revoke(DeviceId),
    Seen(DeviceId, UtcMs, Option<String>),
    PutSession(SessionRow),
    EndSession([u8; 32]),
    ProlongSession([u8; 32], UtcMs),
    ForgetSessions(UtcMs, u32),
    Identity(IdentityAct),
    Totp(TotpAct),
    PutClient(ClientRow),
    RemoveClient(String),
    /// Both write their own audit row, where one is due.
    KeepGrant(Box<GrantRow>, Box<AuditEntry>),
    Review(Box<ReviewOrder>),
    DeviceRows(DeviceId, Vec<ChainRow>),
    SpooledRows(String, Vec<ChainRow>),
    Prune(u64),
    /// Alone in its group; it writes its own audit row.
    Archive(Box<ArchiveOrder>),
    /// The same.
    Tier(Box<TierAct>),
    Pixels(Box<PixelAct>),
    ChangeHeld(u64, HeldChange),
    Copies(Box<CopyAct>),
    Message(Box<MessageAct>),
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Acted {
    /// Of the act's own audit row, where it has one.
    pub receipt: Option<Receipt>,
    /// Of an enrolment.
    pub device: Option<DeviceRow>,
    /// Of an upload: the device's last row now held.
    pub seq: u64,
    /// Of a hold or a destruction.
    pub archived: Option<Archived>,
    /// Of a move between tiers.
    pub tiered: Option<Tiered>,
    /// Of what was noted about pixels.
    pub pixels: Option<PixelsActed>,
    /// Of what was noted about copies.
    pub copies: Option<CopiesActed>,
    /// As it is kept now.
    pub grant: Option<GrantRow>,
    /// Of identities at the provider.
    pub identity: Option<IdentityActed>,
    /// Of second factors.
    pub totp: Option<TotpActed>,
    /// Of messages of other systems.
    pub message: Option<MessageActed>,
    /// Sessions that were removed.
    pub forgotten: u32,
}

/// What the quarantine says of an item, sealed: a file's name may name a person.
#[derive(Serialize, serde::Deserialize)]
pub(crate) struct About {
    pub location: String,
    pub kind: Option<String>,
    pub reason: String,
    pub expression: Option<String>,
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend {
        doing: USERS,
        cause: e.to_string(),
    })
}

pub(crate) fn refused(text: String) -> Fault {
    Fault::Failed(StoreError::Refused(text))
}

impl Group<'_> {
    /// Carries an act out, with its audit row where it has one.
    pub(crate) async fn act(&mut self, act: &Act, entry: Option<&AuditEntry>) -> Result<Acted, Fault> {
        let (mut device, mut seq, mut pixels, mut copies, mut told) = (None, 0, None, None, true);
        let (mut grant, mut own, mut identity, mut totp, mut message) = (None, None, None, None, None);
        let mut forgotten = 0;
        if let Act::Archive(order) = act {
            let (archived, receipt) = self.archive(order).await?;
            return Ok(Acted {
                receipt: Some(receipt),
                device,
                seq,
                archived: Some(archived),
                tiered: None,
                pixels: None,
                copies: None,
                grant: None,
                identity: None,
                totp: None,
                message: None,
                forgotten: 0,
            });
        }
        if let Act::Tier(tier) = act {
            let tiered = Some(self.tier(tier).await?);
            return Ok(Acted {
                receipt: None,
                device,
                seq,
                archived: None,
                tiered,
                pixels: None,
                copies: None,
                grant: None,
                identity: None,
                totp: None,
                message: None,
                forgotten: 0,
            });
        }
        match act {
            Act::Quarantine(at, items) => self.quarantine(*at, items).await?,
            Act::Account(AccountChange::Put(account)) => self.put_account(account).await?,
            Act::Account(AccountChange::Disable(user)) => self.disable(user).await?,
            Act::Secrets(new) => self.new_secrets(new).await?,
            Act::Account(AccountChange::AddBadge(user, badge)) => self.badge(user, badge, true).await?,
            Act::Account(AccountChange::RemoveBadge(user, badge)) => self.badge(user, badge, false).await?,
            Act::PutCode(code) => {
                let sql = "INSERT INTO enrol_code (hash, ward, site, until) VALUES ($1, $2, $3, $4)
                           ON CONFLICT (hash) DO UPDATE SET ward = excluded.ward, site = excluded.site, until = excluded.until";
                let (hash, ward) = (&code.hash[..], code.ward.as_str());
                run(self.tx, DEVICES, sql, &[&hash, &ward, &code.site, &code.until.0]).await?;
            }
            Act::Enrol(hash, new, at) => device = Some(self.enrol(hash, new, *at).await?),
            Act::Revoke(id) => {
                let sql = "UPDATE device SET revoked = true WHERE id = $1";
                if run(self.tx, DEVICES, sql, &[&id.as_str()]).await? == 0 {
                    return Err(refused(format!("there is no device {id}")));
                }
            }
            Act::Seen(id, at, report) => {
                let sql = "UPDATE device SET last_seen = $2, report = coalesce($3, report) WHERE id = $1";
                run(self.tx, DEVICES, sql, &[&id.as_str(), &at.0, report]).await?;
            }
            Act::PutSession(s) => {
                let sql = "INSERT INTO session
                             (hash, holder, client, device, scopes, at, until, issuer, subject, sid)
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                           ON CONFLICT (hash) DO UPDATE SET holder = excluded.holder, client = excluded.client,
                             device = excluded.device, scopes = excluded.scopes, at = excluded.at, until = excluded.until,
                             issuer = excluded.issuer, subject = excluded.subject, sid = excluded.sid";
                let (hash, device) = (&s.hash[..], s.device.as_ref().map(DeviceId::as_str));
                let scopes = json(&s.scopes)?;
                let of = s.provider.as_ref();
                let (issuer, subject) = (of.map(|p| &p.issuer), of.map(|p| &p.subject));
                let sid = of.and_then(|p| p.sid.as_ref());
                let with: sql::Params<'_> = &[
                    &hash, &s.holder, &s.client, &device, &scopes, &s.at.0, &s.until.0, &issuer, &subject,
                    &sid,
                ];
                run(self.tx, SESSIONS, sql, with).await?;
            }
            Act::EndSession(hash) => {
                run(
                    self.tx,
                    SESSIONS,
                    "DELETE FROM session WHERE hash = $1",
                    &[&&hash[..]],
                )
                .await?;
            }
            Act::ProlongSession(hash, until) => {
                let sql = "UPDATE session SET until = $2 WHERE hash = $1";
                run(self.tx, SESSIONS, sql, &[&&hash[..], &until.0]).await?;
            }
            Act::ForgetSessions(before, most) => {
                let sql =
                    "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE until < $1 LIMIT $2)";
                let gone = run(self.tx, SESSIONS, sql, &[&before.0, &i64::from(*most)]).await?;
                forgotten = u32::try_from(gone).unwrap_or(u32::MAX);
            }
            Act::Identity(act) => identity = Some(self.identity(act).await?),
            Act::Totp(act) => totp = Some(self.totp(act).await?),
            Act::PutClient(c) => {
                let sql =
                    "INSERT INTO client (id, secret, scopes, keys, redirects) VALUES ($1, $2, $3, $4, $5)
                           ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, scopes = excluded.scopes,
                             keys = excluded.keys, redirects = excluded.redirects";
                let secret = c.secret.as_ref().map(|s| &s[..]);
                let (scopes, redirects) = (json(&c.scopes)?, json(&c.redirects)?);
                run(
                    self.tx,
                    USERS,
                    sql,
                    &[&c.id, &secret, &scopes, &c.keys, &redirects],
                )
                .await?;
                run(self.tx, SESSIONS, OF_CLIENT, &[&c.id]).await?;
            }
            Act::RemoveClient(id) => {
                if run(self.tx, USERS, "DELETE FROM client WHERE id = $1", &[id]).await? == 0 && !self.again {
                    return Err(none_registered(id).into());
                }
                run(self.tx, SESSIONS, OF_CLIENT, &[id]).await?;
            }
            Act::KeepGrant(row, entry) => {
                let (row, receipt) = self.keep_grant(row, entry).await?;
                (grant, own) = (Some(row), receipt);
            }
            Act::Review(order) => {
                let (row, receipt) = self.review(order).await?;
                (grant, own) = (Some(row), receipt);
            }
            Act::DeviceRows(device, rows) => seq = self.device_rows(device, rows).await?,
            Act::SpooledRows(chain, rows) => seq = self.spooled_rows(chain, rows).await?,
            Act::Prune(up_to) => self.prune(*up_to).await?,
            Act::Pixels(act) => pixels = Some(self.pixels(act).await?),
            Act::ChangeHeld(id, change) => told = self.change_held(*id, change).await?,
            Act::Copies(act) => copies = Some(self.copies(act).await?),
            Act::Message(act) => {
                let done = self.message(act).await?;
                told = !matches!(done, MessageActed::Settled(false));
                message = Some(done);
            }
            Act::Archive(_) | Act::Tier(_) => {}
        }
        let receipt = entry.filter(|_| told).map(|e| self.record(e)).transpose()?;
        Ok(Acted {
            receipt: receipt.or(own),
            device,
            seq,
            archived: None,
            tiered: None,
            pixels,
            copies,
            grant,
            identity,
            totp,
            message,
            forgotten,
        })
    }

    async fn quarantine(&self, at: UtcMs, items: &[QuarantineItem]) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(items.len());
        let mut abouts = Vec::with_capacity(items.len());
        let mut bodies = Vec::with_capacity(items.len());
        for i in items {
            let about = About {
                location: i.location.clone(),
                kind: i.kind.clone(),
                reason: i.reason.clone(),
                expression: i.expression.clone(),
            };
            bytes.push(int(i.body.len() as u64));
            abouts.push(self.vault.put(Place::Quarantine, json(&about)?.as_bytes())?);
            bodies.push(self.vault.put(Place::Quarantine, &i.body)?);
        }
        let sql = "INSERT INTO quarantine (at, bytes, about, body)
                   SELECT $1, b, a, x FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) u(b, a, x)";
        let doing = "keeping what was not taken";
        run(self.tx, doing, sql, &[&at.0, &bytes, &abouts, &bodies]).await?;
        Ok(())
    }

    async fn put_account(&mut self, a: &Account) -> Result<(), Fault> {
        let sql = "INSERT INTO account (name, display, role, wards, password_phc, pin_phc, disabled, version, badges)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
                   ON CONFLICT (name) DO UPDATE SET display = excluded.display, role = excluded.role,
                     wards = excluded.wards, password_phc = excluded.password_phc, pin_phc = excluded.pin_phc,
                     disabled = excluded.disabled, badges = excluded.badges, version = account.version + 1
                   RETURNING no, version";
        let (role, wards, badges) = (a.role.name(), json(&a.wards)?, json(&a.badges)?);
        let with: sql::Params<'_> = &[
            &a.user.as_str(),
            &a.display,
            &role,
            &wards,
            &a.password_phc,
            &a.pin_phc,
            &a.disabled,
            &badges,
        ];
        let row = one(self.tx, USERS, sql, with).await?;
        self.tell_account(row)
    }

    async fn badge(&mut self, user: &UserId, badge: &str, add: bool) -> Result<(), Fault> {
        // One badge at a time on all servers: it is looked for in every account.
        all(self.tx, USERS, "SELECT pg_advisory_xact_lock(7371)", &[]).await?;
        let accounts = all_accounts(self.tx).await?;
        let theirs = |a: &Account| a.badges.iter().any(|b| b == badge);
        let answer = |e: StoreError| match e {
            StoreError::Refused(text) => refused(text),
            other => Fault::Failed(other),
        };
        let other = accounts.iter().find(|a| a.user != *user && theirs(a));
        if let Some(other) = other.filter(|_| add) {
            return Err(answer(badge_taken(&other.user)));
        }
        let Some(account) = accounts.into_iter().find(|a| a.user == *user) else {
            return Err(refused(format!("there is no user {user}")));
        };
        // Done already, and only the answer was lost.
        if self.again && theirs(&account) == add {
            return Ok(());
        }
        let badges = json(&badges_after(account.badges, badge, add).map_err(answer)?)?;
        let sql =
            "UPDATE account SET badges = $1, version = version + 1 WHERE name = $2 RETURNING no, version";
        let row = one(self.tx, USERS, sql, &[&badges, &user.as_str()]).await?;
        self.tell_account(row)
    }

    async fn disable(&mut self, user: &UserId) -> Result<(), Fault> {
        let sql =
            "UPDATE account SET disabled = true, version = version + 1 WHERE name = $1 RETURNING no, version";
        let row = one(self.tx, USERS, sql, &[&user.as_str()]).await?;
        if row.is_none() {
            return Err(refused(format!("there is no user {user}")));
        }
        self.tell_account(row)
    }

    async fn new_secrets(&mut self, new: &SecretsChange) -> Result<(), Fault> {
        let sql = "UPDATE account SET password_phc = coalesce($2, password_phc), pin_phc = coalesce($3, pin_phc),
                     disabled = disabled AND NOT $4, version = version + 1 WHERE name = $1 RETURNING no, version";
        let with: sql::Params<'_> = &[&new.user.as_str(), &new.password_phc, &new.pin_phc, &new.enable];
        let row = one(self.tx, USERS, sql, with).await?;
        if row.is_none() {
            return Err(refused(format!("there is no user {}", new.user)));
        }
        self.tell_account(row)
    }

    /// An account's row of the feed: the scope of the directory.
    pub(crate) fn tell_account(&mut self, row: Option<tokio_postgres::Row>) -> Result<(), Fault> {
        let Some(row) = row else { return Ok(()) };
        let (no, ver): (i64, i64) = (col(&row, 0, USERS)?, col(&row, 1, USERS)?);
        self.state.feed.push(FeedOut {
            scope: 1,
            of: no,
            prev: ver - 1,
            ver,
            tomb: false,
        });
        Ok(())
    }

    async fn enrol(&self, hash: &[u8; 32], new: &NewDevice, at: UtcMs) -> Result<DeviceRow, Fault> {
        if self.again {
            // The same device with the same key, enrolled at this very time: it was this act.
            let sql = "SELECT ward, site FROM device WHERE id = $1 AND public_key = $2 AND enrolled = $3";
            let with: sql::Params<'_> = &[&new.id.as_str(), &new.public_key, &at.0];
            if let Some(row) = one(self.tx, DEVICES, sql, with).await? {
                return enrolled(new, at, col(&row, 0, DEVICES)?, col(&row, 1, DEVICES)?);
            }
        }
        let sql = "SELECT ward, site FROM enrol_code WHERE hash = $1 AND until > $2 FOR UPDATE";
        let Some(code) = one(self.tx, DEVICES, sql, &[&&hash[..], &at.0]).await? else {
            return Err(refused(
                "this enrolment code is not valid: make a new one".to_owned(),
            ));
        };
        let there = one(
            self.tx,
            DEVICES,
            "SELECT 1 FROM device WHERE id = $1",
            &[&new.id.as_str()],
        )
        .await?;
        if there.is_some() {
            return Err(refused(format!("device {} is enrolled already", new.id)));
        }
        let ward: String = col(&code, 0, DEVICES)?;
        let site: bool = col(&code, 1, DEVICES)?;
        run(
            self.tx,
            DEVICES,
            "DELETE FROM enrol_code WHERE hash = $1",
            &[&&hash[..]],
        )
        .await?;
        let sql =
            "INSERT INTO device (id, name, ward, site, public_key, revoked, enrolled, audit_seq, audit_hash)
                   VALUES ($1, $2, $3, $4, $5, false, $6, 0, $7)";
        let genesis = &GENESIS[..];
        let with: sql::Params<'_> = &[
            &new.id.as_str(),
            &new.name,
            &ward,
            &site,
            &new.public_key,
            &at.0,
            &genesis,
        ];
        run(self.tx, DEVICES, sql, with).await?;
        enrolled(new, at, ward, site)
    }

    /// Rows that a device uploads. They are checked against what is held before any is written.
    async fn device_rows(&self, device: &DeviceId, rows: &[ChainRow]) -> Result<u64, Fault> {
        let sql = "SELECT audit_seq, audit_hash FROM device WHERE id = $1 FOR UPDATE";
        let Some(row) = one(self.tx, ROWS, sql, &[&device.as_str()]).await? else {
            return Err(refused(format!("device {device} is not enrolled")));
        };
        let mut head = Head {
            seq: uint(col(&row, 0, ROWS)?),
            hash: hash32(col(&row, 1, ROWS)?),
        };
        let first = rows.iter().map(|r| r.seq).min().unwrap_or(0);
        let mut held = std::collections::BTreeMap::new();
        if first >= 1 && first <= head.seq {
            let last = rows.iter().map(|r| r.seq).max().unwrap_or(0);
            let count = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
            for r in crate::audit::chain_rows(self.tx, self.vault, device.as_str(), first - 1, count).await? {
                held.insert(r.seq, r);
            }
        }
        let mut new: (Vec<i64>, Vec<&[u8]>, Vec<Vec<u8>>) = Default::default();
        let (chain, before) = (audit_find::chain_no(self.tx, device.as_str()).await?, head.seq);
        let mut found = Entries::default();
        for row in rows {
            let known = held.get(&row.seq).filter(|_| row.seq <= head.seq);
            if !device_chain::check(head, known, row)? {
                continue;
            }
            new.0.push(int(row.seq));
            new.1.push(&row.hash[..]);
            new.2.push(
                self.vault
                    .put(Place::Audit(device.as_str(), row.seq), row.body.as_bytes())?,
            );
            let (entry, at) = vitrine_store::audit_find::read(row.body.as_bytes());
            found.add(self.vault, chain, row.seq, at, entry.as_ref());
            held.insert(row.seq, row.clone());
            head = Head {
                seq: row.seq,
                hash: row.hash,
            };
        }
        if !new.0.is_empty() {
            let sql = "INSERT INTO device_audit (device, seq, hash, body)
                       SELECT $4, s, h, b FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) u(s, h, b)";
            run(self.tx, ROWS, sql, &[&new.0, &new.1, &new.2, &device.as_str()]).await?;
            let sql = "UPDATE device SET audit_seq = $2, audit_hash = $3 WHERE id = $1";
            let (seq, hash) = (int(head.seq), &head.hash[..]);
            run(self.tx, ROWS, sql, &[&device.as_str(), &seq, &hash]).await?;
            found.write(self.tx).await?;
            audit_find::indexed(self.tx, chain, before, head.seq).await?;
        }
        Ok(head.seq)
    }

    /// Rows that were kept beside the server while there was no primary: they continue a chain of their own. Gives how
    /// many were new.
    async fn spooled_rows(&self, chain: &str, rows: &[ChainRow]) -> Result<u64, Fault> {
        let first = "INSERT INTO audit_head (chain, seq, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING";
        run(self.tx, ROWS, first, &[&chain, &&GENESIS[..]]).await?;
        let sql = "SELECT seq, hash FROM audit_head WHERE chain = $1 FOR UPDATE";
        let Some(row) = one(self.tx, ROWS, sql, &[&chain]).await? else {
            return Err(Fault::Failed(StoreError::Closed));
        };
        let mut head = Head {
            seq: uint(col(&row, 0, ROWS)?),
            hash: hash32(col(&row, 1, ROWS)?),
        };
        let mut new: (Vec<i64>, Vec<i64>, Vec<&[u8]>, Vec<Vec<u8>>) = Default::default();
        let (no, before) = (audit_find::chain_no(self.tx, chain).await?, head.seq);
        let mut found = Entries::default();
        for row in rows.iter().filter(|r| r.seq > head.seq).collect::<Vec<_>>() {
            device_chain::check(head, None, row)?;
            let entry: AuditEntry = parsed(serde_json::from_str(&row.body), ROWS)?;
            new.0.push(int(row.seq));
            new.1.push(entry.at.0);
            new.2.push(&row.hash[..]);
            new.3.push(
                self.vault
                    .put(Place::Audit(chain, row.seq), row.body.as_bytes())?,
            );
            found.add(self.vault, no, row.seq, entry.at, Some(&entry));
            head = Head {
                seq: row.seq,
                hash: row.hash,
            };
        }
        if !new.0.is_empty() {
            let sql = "INSERT INTO audit (chain, seq, at, hash, body)
                       SELECT $5, s, a, h, b FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[]) u(s, a, h, b)";
            run(self.tx, ROWS, sql, &[&new.0, &new.1, &new.2, &new.3, &chain]).await?;
            let sql = "UPDATE audit_head SET seq = $2, hash = $3 WHERE chain = $1";
            let (seq, hash) = (int(head.seq), &head.hash[..]);
            run(self.tx, ROWS, sql, &[&chain, &seq, &hash]).await?;
            found.write(self.tx).await?;
            audit_find::indexed(self.tx, no, before, head.seq).await?;
        }
        Ok(new.0.len() as u64)
    }

    /// Forgets the feed up to a position; the newest position is kept beside it.
    async fn prune(&self, up_to: u64) -> Result<(), Fault> {
        let row = one(self.tx, PRUNING, "SELECT feed_lock()", &[]).await?;
        let newest: i64 = row.map_or(Ok(0), |r| col(&r, 0, PRUNING))?;
        let up_to = int(up_to).min(newest);
        let sql = "UPDATE meta SET value = greatest(value::bigint, CASE key WHEN 'feed_oldest' THEN $1::bigint ELSE $2::bigint END)::text
                    WHERE key IN ('feed_oldest', 'feed_newest')";
        run(self.tx, PRUNING, sql, &[&up_to, &newest]).await?;
        run(
            self.tx,
            PRUNING,
            "DELETE FROM change_log WHERE pos <= $1",
            &[&up_to],
        )
        .await?;
        Ok(())
    }
}

/// A device just enrolled.
fn enrolled(new: &NewDevice, at: UtcMs, ward: String, site: bool) -> Result<DeviceRow, Fault> {
    Ok(DeviceRow {
        id: new.id.clone(),
        name: new.name.clone(),
        ward: parsed(WardId::new(ward), DEVICES)?,
        site,
        public_key: new.public_key.clone(),
        state: DeviceState::Active,
        enrolled: at,
        last_seen: None,
        audit_seq: 0,
        report: None,
    })
}

/// Accounts as the directory needs them.
const ACCOUNT: &str =
    "SELECT name, display, role, wards, password_phc, pin_phc, disabled, version, badges FROM account";

pub(crate) fn account(r: &tokio_postgres::Row) -> Result<Account, Fault> {
    let role: &str = col(r, 2, USERS)?;
    let wards: &str = col(r, 3, USERS)?;
    Ok(Account {
        user: parsed(UserId::new(col::<String>(r, 0, USERS)?), USERS)?,
        display: col(r, 1, USERS)?,
        role: parsed(role.parse(), USERS)?,
        wards: parsed(serde_json::from_str(wards), USERS)?,
        password_phc: col(r, 4, USERS)?,
        pin_phc: col(r, 5, USERS)?,
        disabled: col(r, 6, USERS)?,
        version: uint(col(r, 7, USERS)?),
        badges: parsed(serde_json::from_str(col(r, 8, USERS)?), USERS)?,
    })
}

/// All accounts by name.
pub(crate) async fn all_accounts<C: deadpool_postgres::GenericClient>(c: &C) -> Result<Vec<Account>, Fault> {
    let rows = all(c, USERS, &format!("{ACCOUNT} ORDER BY name"), &[]).await?;
    rows.iter().map(account).collect()
}

/// One account.
pub(crate) async fn one_account<C: deadpool_postgres::GenericClient>(
    c: &C,
    user: &str,
) -> Result<Option<Account>, Fault> {
    let row = one(c, USERS, &format!("{ACCOUNT} WHERE name = $1"), &[&user]).await?;
    row.as_ref().map(account).transpose()
}
