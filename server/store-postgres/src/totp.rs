//! Second factors of local accounts.
//!
//! Called by the server through `vitrine_store::totp`, and by `acts` for what is written.

use crate::PostgresStore;
use crate::acts::{Act, refused};
use crate::group::Group;
use crate::sql::{Fault, all, col, hash32, int, one, parsed, run, uint};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{UserId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::totp::{SecondFactors, Totp, TotpChange, no_account};

const DOING: &str = "keeping second factors";
/// `$1`: of whom, or everybody's where it is NULL.
const ROWS: &str = "SELECT t.holder, t.sealed, t.made, t.confirmed, t.step,
       ARRAY(SELECT c.hash FROM totp_code c WHERE c.holder = t.holder ORDER BY c.hash)
  FROM totp t WHERE $1::text IS NULL OR t.holder = $1 ORDER BY t.holder";

/// What is written about second factors.
pub(crate) enum TotpAct {
    Change(TotpChange),
    /// Whose, the time step.
    Step(UserId, u64),
    /// Whose, the hash of a recovery code.
    Recovery(UserId, [u8; 32]),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum TotpActed {
    Changed,
    /// Whether it was the first time.
    Step(bool),
    /// How many are left; `None` = it was none of theirs.
    Recovery(Option<usize>),
}

fn row(r: &Row) -> Result<Totp, Fault> {
    let codes: Vec<&[u8]> = col(r, 5, DOING)?;
    Ok(Totp {
        user: parsed(UserId::new(col::<String>(r, 0, DOING)?), DOING)?,
        sealed: col(r, 1, DOING)?,
        made: UtcMs(col(r, 2, DOING)?),
        confirmed: col::<Option<i64>>(r, 3, DOING)?.map(UtcMs),
        step: uint(col(r, 4, DOING)?),
        codes: codes.into_iter().map(hash32).collect(),
    })
}

async fn kept<C: GenericClient>(c: &C, user: &UserId) -> Result<Option<Totp>, Fault> {
    let found = one(c, DOING, ROWS, &[&Some(user.as_str())]).await?;
    found.as_ref().map(row).transpose()
}

impl Group<'_> {
    /// Carries an act out. Done twice, because its answer was lost, a code counts as used: whoever signs in takes the next.
    pub(crate) async fn totp(&mut self, act: &TotpAct) -> Result<TotpActed, Fault> {
        Ok(match act {
            TotpAct::Change(change) => {
                self.change_totp(change).await?;
                TotpActed::Changed
            }
            TotpAct::Step(user, step) => {
                // Whoever comes second waits for the row, and finds the step of the first, here and on the other servers.
                let sql =
                    "UPDATE totp SET step = $2 WHERE holder = $1 AND step < $2 AND confirmed IS NOT NULL";
                TotpActed::Step(run(self.tx, DOING, sql, &[&user.as_str(), &int(*step)]).await? == 1)
            }
            TotpAct::Recovery(user, hash) => {
                let sql = "DELETE FROM totp_code WHERE holder = $1 AND hash = $2";
                if run(self.tx, DOING, sql, &[&user.as_str(), &&hash[..]]).await? == 0 {
                    return Ok(TotpActed::Recovery(None));
                }
                let sql = "SELECT count(*) FROM totp_code WHERE holder = $1";
                let left = one(self.tx, DOING, sql, &[&user.as_str()]).await?;
                let left: i64 = left.map_or(Ok(0), |r| col(&r, 0, DOING))?;
                TotpActed::Recovery(Some(usize::try_from(left).unwrap_or(0)))
            }
        })
    }

    async fn change_totp(&mut self, change: &TotpChange) -> Result<(), Fault> {
        let answer = |e: StoreError| match e {
            StoreError::Refused(text) => refused(text),
            other => Fault::Failed(other),
        };
        let user = change.user();
        let sql = "SELECT 1 FROM account WHERE name = $1 FOR UPDATE";
        if one(self.tx, DOING, sql, &[&user.as_str()]).await?.is_none() {
            return Err(answer(no_account(user)));
        }
        let before = kept(self.tx, user).await?;
        // Done already, and only the answer was lost.
        let done = match (change, &before) {
            (TotpChange::Confirm { sealed, at, .. }, Some(t)) => {
                t.sealed == *sealed && t.confirmed == Some(*at)
            }
            (TotpChange::Begin { .. }, _) | (TotpChange::Confirm { .. }, None) => false,
            (TotpChange::Remove(_), before) => before.is_none(),
        };
        if self.again && done {
            return Ok(());
        }
        let after = change.clone().after(before).map_err(answer)?;
        for sql in [
            "DELETE FROM totp WHERE holder = $1",
            "DELETE FROM totp_code WHERE holder = $1",
        ] {
            run(self.tx, DOING, sql, &[&user.as_str()]).await?;
        }
        if let Some(t) = after {
            let sql = "INSERT INTO totp (holder, sealed, made, confirmed, step) VALUES ($1, $2, $3, $4, $5)";
            let (confirmed, step) = (t.confirmed.map(|at| at.0), int(t.step));
            run(
                self.tx,
                DOING,
                sql,
                &[&user.as_str(), &t.sealed, &t.made.0, &confirmed, &step],
            )
            .await?;
            let codes: Vec<&[u8]> = t.codes.iter().map(|c| &c[..]).collect();
            let sql = "INSERT INTO totp_code (holder, hash) SELECT $1, h FROM unnest($2::bytea[]) h";
            run(self.tx, DOING, sql, &[&user.as_str(), &codes]).await?;
        }
        if matches!(change, TotpChange::Begin { .. }) {
            return Ok(());
        }
        let sql = "UPDATE account SET version = version + 1 WHERE name = $1 RETURNING no, version";
        let row = one(self.tx, DOING, sql, &[&user.as_str()]).await?;
        self.tell_account(row)
    }
}

#[async_trait]
impl SecondFactors for PostgresStore {
    async fn totp(&self, user: &UserId) -> Result<Option<Totp>, StoreError> {
        Ok(kept(&self.reader().await?, user).await?)
    }

    async fn totps(&self) -> Result<Vec<Totp>, StoreError> {
        let rows = all(&self.reader().await?, DOING, ROWS, &[&None::<&str>]).await?;
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }

    async fn change_totp(&self, entry: AuditEntry, change: TotpChange) -> Result<Receipt, StoreError> {
        let act = Act::Totp(TotpAct::Change(change));
        let receipt = self.act(act, Some(entry)).await?.receipt;
        receipt.ok_or(StoreError::Closed)
    }

    async fn use_totp(&self, user: &UserId, step: u64) -> Result<bool, StoreError> {
        let act = Act::Totp(TotpAct::Step(user.clone(), step));
        match self.act(act, None).await?.totp {
            Some(TotpActed::Step(first)) => Ok(first),
            _ => Err(StoreError::Closed),
        }
    }

    async fn use_recovery(&self, user: &UserId, hash: [u8; 32]) -> Result<Option<usize>, StoreError> {
        let act = Act::Totp(TotpAct::Recovery(user.clone(), hash));
        match self.act(act, None).await?.totp {
            Some(TotpActed::Recovery(left)) => Ok(left),
            _ => Err(StoreError::Closed),
        }
    }
}
