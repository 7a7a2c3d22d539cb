//! Identities at the provider, the sessions that rest on them, and what counts once.

use super::SqlcipherStore;
use super::accounts::{SESSION, session};
use super::sql::{During, all, one, run};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use vitrine_access::action::ManageUsers;
use vitrine_access::{Disclosure, Permit, Receipt};
use vitrine_clinical::{UserId, UtcMs};
use vitrine_store::identities::{Bound, Identities, ProviderEnd, none_bound};
use vitrine_store::{SessionRow, StoreError};

const BINDING: &str = "keeping identities of the provider";
const ENDING: &str = "ending sessions of the provider";
const ONCE: &str = "noting what counts once";

fn bind(conn: &Connection, issuer: &str, subject: &str, user: &str, at: UtcMs) -> rusqlite::Result<Bound> {
    let sql = "SELECT holder FROM identity WHERE issuer = ?1 AND subject = ?2";
    let holder: Option<String> = one(conn, sql, [issuer, subject], |r| r.get(0))?;
    if let Some(holder) = holder {
        return Ok(if holder == user {
            Bound::Known
        } else {
            Bound::OtherAccount
        });
    }
    let sql = "SELECT 1 FROM identity WHERE issuer = ?1 AND holder = ?2";
    if one(conn, sql, [issuer, user], |_| Ok(()))?.is_some() {
        return Ok(Bound::OtherSubject);
    }
    let sql = "INSERT INTO identity (issuer, subject, holder, at) VALUES (?1, ?2, ?3, ?4)";
    run(conn, sql, params![issuer, subject, user, at.0])?;
    Ok(Bound::New)
}

#[async_trait]
impl Identities for SqlcipherStore {
    async fn bind_identity(
        &self,
        issuer: &str,
        subject: &str,
        user: &UserId,
        at: UtcMs,
    ) -> Result<Bound, StoreError> {
        let (issuer, subject, user) = (issuer.to_owned(), subject.to_owned(), user.clone());
        self.write(1, move |conn, _| {
            bind(conn, &issuer, &subject, user.as_str(), at).during(BINDING)
        })
        .await
    }

    async fn forget_identity(
        &self,
        permit: &Permit<ManageUsers>,
        user: &UserId,
    ) -> Result<Receipt, StoreError> {
        let (user, entry) = (user.clone(), permit.entry(Disclosure::default()));
        self.write(1, move |conn, group| {
            if run(conn, "DELETE FROM identity WHERE holder = ?1", [user.as_str()]).during(BINDING)? == 0 {
                return Err(none_bound(&user));
            }
            let sql = "DELETE FROM session WHERE holder = ?1 AND issuer IS NOT NULL";
            run(conn, sql, [user.as_str()]).during(ENDING)?;
            group.record(conn, &entry)
        })
        .await
    }

    async fn end_provider_sessions(&self, of: &ProviderEnd) -> Result<Vec<SessionRow>, StoreError> {
        let of = of.clone();
        self.write(1, move |conn, _| {
            let sql = format!("{SESSION} WHERE issuer = ?1");
            let mut rows = all(conn, &sql, [&of.issuer], session).during(ENDING)?;
            rows.retain(|s| s.provider.as_ref().is_some_and(|p| of.ends(p)));
            for s in &rows {
                run(conn, "DELETE FROM session WHERE hash = ?1", [&s.hash[..]]).during(ENDING)?;
            }
            Ok(rows)
        })
        .await
    }

    async fn once(&self, hash: [u8; 32], at: UtcMs, until: UtcMs) -> Result<bool, StoreError> {
        self.write(1, move |conn, _| {
            run(conn, "DELETE FROM used_once WHERE until < ?1", [at.0]).during(ONCE)?;
            let sql = "INSERT OR IGNORE INTO used_once (hash, until) VALUES (?1, ?2)";
            let new = run(conn, sql, params![&hash[..], until.0]).during(ONCE)?;
            Ok(new == 1)
        })
        .await
    }
}
