//! Break-glass grants and their reviews.
//!
//! The body is the whole of a grant; beside it stands when the clock has to look at its review next (`next_look`).

use super::SqlcipherStore;
use super::accounts::{json, of_json};
use super::charts::card;
use super::sql::{During, all, int, one, run, uint};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use uuid::Uuid;
use vitrine_access::action::ReviewBreakGlass;
use vitrine_access::grant::GrantId;
use vitrine_access::{AccessId, AuditEntry, Permit, Receipt, Sealed};
use vitrine_clinical::UtcMs;
use vitrine_store::reviews::{ReviewOrder, Reviews};
use vitrine_store::{GrantRow, PatientHit, StoreError, seal};

const KEEPING: &str = "keeping a grant";
const LISTING: &str = "listing grants";

fn held(conn: &Connection, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
    let sql = "SELECT body FROM break_glass_grant WHERE id = ?1";
    one(conn, sql, [&id.0.as_bytes()[..]], |r| of_json(r, 0)).during(LISTING)
}

#[async_trait]
impl Reviews for SqlcipherStore {
    async fn keep_grant(
        &self,
        row: GrantRow,
        entry: AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        self.write(1, move |conn, group| {
            if let Some(held) = held(conn, row.grant.id)? {
                return Ok((held, None));
            }
            let sql = "INSERT INTO break_glass_grant (id, at, body, next_look) VALUES (?1, ?2, ?3, ?4)";
            let id = &row.grant.id.0.as_bytes()[..];
            run(
                conn,
                sql,
                params![id, row.grant.at.0, json(&row)?, row.next_look()],
            )
            .during(KEEPING)?;
            let receipt = group.record(conn, &entry)?;
            Ok((row, Some(receipt)))
        })
        .await
    }

    async fn review(&self, order: ReviewOrder) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        self.write(1, move |conn, group| {
            let done = order.step(held(conn, order.id())?)?;
            let sql = "UPDATE break_glass_grant SET body = ?2, next_look = ?3 WHERE id = ?1";
            let id = order.id().0;
            let id = &id.as_bytes()[..];
            run(conn, sql, params![id, json(&done.row)?, done.row.next_look()]).during(KEEPING)?;
            let receipt = done.entry.map(|e| group.record(conn, &e)).transpose()?;
            Ok((done.row, receipt))
        })
        .await
    }

    async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
        self.read_job(move |conn| held(conn, id)).await
    }

    async fn reviewed_patient(
        &self,
        permit: &Permit<ReviewBreakGlass>,
        id: GrantId,
    ) -> Result<Sealed<Option<PatientHit>>, StoreError> {
        let (patient, found) = self
            .read_job(move |conn| {
                let patient = held(conn, id)?.map(|row| row.grant.patient);
                let found = match &patient {
                    Some(patient) => card(conn, patient)?,
                    None => None,
                };
                Ok((patient, found))
            })
            .await?;
        seal::reviewed(permit, patient.as_ref(), found)
    }

    async fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        let limit = int(limit as u64);
        self.read_job(move |conn| {
            let sql = "SELECT body FROM break_glass_grant ORDER BY at DESC, id DESC LIMIT ?1";
            all(conn, sql, [limit], |r| of_json(r, 0)).during(LISTING)
        })
        .await
    }

    async fn open_reviews(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        let limit = int(limit as u64);
        self.read_job(move |conn| {
            let sql =
                "SELECT body FROM break_glass_grant WHERE next_look IS NOT NULL ORDER BY at, id LIMIT ?1";
            all(conn, sql, [limit], |r| of_json(r, 0)).during(LISTING)
        })
        .await
    }

    async fn reviews_waiting(&self, before: UtcMs) -> Result<(u64, u64), StoreError> {
        self.read_job(move |conn| {
            let sql = "SELECT count(*), count(*) FILTER (WHERE at < ?1) FROM break_glass_grant WHERE next_look IS NOT NULL";
            let counts = one(conn, sql, [before.0], |r| Ok((uint(r.get(0)?), uint(r.get(1)?)))).during(LISTING)?;
            Ok(counts.unwrap_or_default())
        })
        .await
    }

    async fn reviews_due(&self, at: UtcMs, limit: usize) -> Result<Vec<GrantId>, StoreError> {
        let limit = int(limit as u64);
        self.read_job(move |conn| {
            let sql =
                "SELECT id FROM break_glass_grant WHERE next_look <= ?1 ORDER BY next_look, id LIMIT ?2";
            let ids = all(conn, sql, params![at.0, limit], |r| r.get::<_, [u8; 16]>(0)).during(LISTING)?;
            Ok(ids.into_iter().map(|id| AccessId(Uuid::from_bytes(id))).collect())
        })
        .await
    }
}
