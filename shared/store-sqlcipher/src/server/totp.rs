//! Second factors of local accounts.

use super::SqlcipherStore;
use super::sql::{During, all, int, one, parsed, run, uint};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{UserId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::totp::{SecondFactors, Totp, TotpChange, no_account};

const DOING: &str = "keeping second factors";
const ROW: &str = "SELECT holder, sealed, made, confirmed, step FROM totp";

fn row(r: &Row<'_>) -> rusqlite::Result<Totp> {
    Ok(Totp {
        user: parsed(0, UserId::new(r.get::<_, String>(0)?))?,
        sealed: r.get(1)?,
        made: UtcMs(r.get(2)?),
        confirmed: r.get::<_, Option<i64>>(3)?.map(UtcMs),
        step: uint(r.get(4)?),
        codes: Vec::new(),
    })
}

fn with_codes(conn: &Connection, of: Totp) -> Result<Totp, StoreError> {
    let sql = "SELECT hash FROM totp_code WHERE holder = ?1 ORDER BY hash";
    let codes = all(conn, sql, [of.user.as_str()], |r| r.get(0)).during(DOING)?;
    Ok(Totp { codes, ..of })
}

fn kept(conn: &Connection, user: &UserId) -> Result<Option<Totp>, StoreError> {
    let found = one(conn, &format!("{ROW} WHERE holder = ?1"), [user.as_str()], row).during(DOING)?;
    found.map(|t| with_codes(conn, t)).transpose()
}

fn change(conn: &Connection, change: TotpChange) -> Result<(), StoreError> {
    let user = change.user().clone();
    let there = one(
        conn,
        "SELECT 1 FROM account WHERE user = ?1",
        [user.as_str()],
        |_| Ok(()),
    );
    if there.during(DOING)?.is_none() {
        return Err(no_account(&user));
    }
    let told = !matches!(change, TotpChange::Begin { .. });
    let after = change.after(kept(conn, &user)?)?;
    for sql in [
        "DELETE FROM totp WHERE holder = ?1",
        "DELETE FROM totp_code WHERE holder = ?1",
    ] {
        run(conn, sql, [user.as_str()]).during(DOING)?;
    }
    if let Some(t) = after {
        let sql = "INSERT INTO totp (holder, sealed, made, confirmed, step) VALUES (?1, ?2, ?3, ?4, ?5)";
        let confirmed = t.confirmed.map(|at| at.0);
        let with = params![user.as_str(), t.sealed, t.made.0, confirmed, int(t.step)];
        run(conn, sql, with).during(DOING)?;
        for hash in t.codes {
            let sql = "INSERT INTO totp_code (holder, hash) VALUES (?1, ?2)";
            run(conn, sql, params![user.as_str(), &hash[..]]).during(DOING)?;
        }
    }
    if told {
        let sql = "UPDATE account SET version = version + 1 WHERE user = ?1";
        run(conn, sql, [user.as_str()]).during(DOING)?;
    }
    Ok(())
}

#[async_trait]
impl SecondFactors for SqlcipherStore {
    async fn totp(&self, user: &UserId) -> Result<Option<Totp>, StoreError> {
        let user = user.clone();
        self.read_job(move |conn| kept(conn, &user)).await
    }

    async fn totps(&self) -> Result<Vec<Totp>, StoreError> {
        self.read_job(|conn| {
            let rows = all(conn, &format!("{ROW} ORDER BY holder"), [], row).during(DOING)?;
            rows.into_iter().map(|t| with_codes(conn, t)).collect()
        })
        .await
    }

    async fn change_totp(&self, entry: AuditEntry, to: TotpChange) -> Result<Receipt, StoreError> {
        self.write(1, move |conn, group| {
            change(conn, to)?;
            group.record(conn, &entry)
        })
        .await
    }

    async fn use_totp(&self, user: &UserId, step: u64) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(1, move |conn, _| {
            let sql = "UPDATE totp SET step = ?2 WHERE holder = ?1 AND step < ?2 AND confirmed IS NOT NULL";
            Ok(run(conn, sql, params![user.as_str(), int(step)]).during(DOING)? == 1)
        })
        .await
    }

    async fn use_recovery(&self, user: &UserId, hash: [u8; 32]) -> Result<Option<usize>, StoreError> {
        let user = user.clone();
        self.write(1, move |conn, _| {
            let sql = "DELETE FROM totp_code WHERE holder = ?1 AND hash = ?2";
            if run(conn, sql, params![user.as_str(), &hash[..]]).during(DOING)? == 0 {
                return Ok(None);
            }
            let sql = "SELECT count(*) FROM totp_code WHERE holder = ?1";
            let left = one(conn, sql, [user.as_str()], |r| r.get::<_, i64>(0)).during(DOING)?;
            Ok(left.and_then(|n| usize::try_from(n).ok()))
        })
        .await
    }
}
