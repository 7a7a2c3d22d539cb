//! Break-glass grants and their reviews. A grant's row is locked before its review is looked at, so that two who decide at
//! once, at whichever server, go one after the other.

use crate::PostgresStore;
use crate::acts::{Act, Acted, json};
use crate::charts::card;
use crate::group::Group;
use crate::sql::{Fault, all, col, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;
use vitrine_access::action::ReviewBreakGlass;
use vitrine_access::grant::GrantId;
use vitrine_access::{AccessId, AuditEntry, Permit, Receipt, Sealed};
use vitrine_clinical::UtcMs;
use vitrine_store::reviews::{ReviewOrder, Reviews};
use vitrine_store::{GrantRow, PatientHit, StoreError, seal};

const KEEPING: &str = "keeping a grant";
const LISTING: &str = "listing grants";

fn opened(vault: &Vault, row: &Row) -> Result<GrantRow, Fault> {
    let id: Uuid = col(row, 0, LISTING)?;
    let body = vault.get(Place::Grant(id.as_bytes()), col(row, 1, LISTING)?)?;
    parsed(serde_json::from_slice(&body), LISTING)
}

impl Group<'_> {
    async fn held_grant(&self, id: GrantId) -> Result<Option<GrantRow>, Fault> {
        let sql = "SELECT id, body FROM break_glass_grant WHERE id = $1 FOR UPDATE";
        let found = one(self.tx, LISTING, sql, &[&id.0]).await?;
        found.map(|row| opened(self.vault, &row)).transpose()
    }

    fn sealed_grant(&self, row: &GrantRow) -> Result<Vec<u8>, Fault> {
        let id = row.grant.id.0;
        Ok(self
            .vault
            .put(Place::Grant(id.as_bytes()), json(row)?.as_bytes())?)
    }

    pub(crate) async fn keep_grant(
        &mut self,
        row: &GrantRow,
        entry: &AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), Fault> {
        let body = self.sealed_grant(row)?;
        let sql = "INSERT INTO break_glass_grant (id, at, body, next_look) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let id = row.grant.id;
        let with: crate::sql::Params<'_> = &[&id.0, &row.grant.at.0, &body, &row.next_look()];
        if run(self.tx, KEEPING, sql, with).await? == 0
            && let Some(held) = self.held_grant(id).await?
        {
            return Ok((held, None));
        }
        Ok((row.clone(), Some(self.record(entry)?)))
    }

    pub(crate) async fn review(&mut self, order: &ReviewOrder) -> Result<(GrantRow, Option<Receipt>), Fault> {
        let done = order.step(self.held_grant(order.id()).await?)?;
        let body = self.sealed_grant(&done.row)?;
        let sql = "UPDATE break_glass_grant SET body = $2, next_look = $3 WHERE id = $1";
        run(
            self.tx,
            KEEPING,
            sql,
            &[&order.id().0, &body, &done.row.next_look()],
        )
        .await?;
        let receipt = done.entry.as_ref().map(|e| self.record(e)).transpose()?;
        Ok((done.row, receipt))
    }
}

fn kept(acted: Acted) -> Result<(GrantRow, Option<Receipt>), StoreError> {
    let row = acted.grant.ok_or(StoreError::Closed)?;
    Ok((row, acted.receipt))
}

#[async_trait]
impl Reviews for PostgresStore {
    async fn keep_grant(
        &self,
        row: GrantRow,
        entry: AuditEntry,
    ) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        kept(
            self.act(Act::KeepGrant(Box::new(row), Box::new(entry)), None)
                .await?,
        )
    }

    async fn review(&self, order: ReviewOrder) -> Result<(GrantRow, Option<Receipt>), StoreError> {
        kept(self.act(Act::Review(Box::new(order)), None).await?)
    }

    async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
        let sql = "SELECT id, body FROM break_glass_grant WHERE id = $1";
        let found = one(&self.reader().await?, LISTING, sql, &[&id.0]).await?;
        Ok(found.map(|row| opened(self.vault(), &row)).transpose()?)
    }

    async fn reviewed_patient(
        &self,
        permit: &Permit<ReviewBreakGlass>,
        id: GrantId,
    ) -> Result<Sealed<Option<PatientHit>>, StoreError> {
        let patient = self.grant(id).await?.map(|row| row.grant.patient);
        let found = match &patient {
            Some(patient) => card(&self.reader().await?, self.vault(), patient).await?,
            None => None,
        };
        seal::reviewed(permit, patient.as_ref(), found)
    }

    async fn grants(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        let sql = "SELECT id, body FROM break_glass_grant ORDER BY at DESC, id DESC LIMIT $1";
        let rows = all(&self.reader().await?, LISTING, sql, &[&int(limit as u64)]).await?;
        let each = rows.iter().map(|row| opened(self.vault(), row));
        Ok(each.collect::<Result<_, _>>()?)
    }

    async fn open_reviews(&self, limit: usize) -> Result<Vec<GrantRow>, StoreError> {
        let sql =
            "SELECT id, body FROM break_glass_grant WHERE next_look IS NOT NULL ORDER BY at, id LIMIT $1";
        let rows = all(&self.reader().await?, LISTING, sql, &[&int(limit as u64)]).await?;
        let each = rows.iter().map(|row| opened(self.vault(), row));
        Ok(each.collect::<Result<_, _>>()?)
    }

    async fn reviews_waiting(&self, before: UtcMs) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE at < $1) FROM break_glass_grant WHERE next_look IS NOT NULL";
        let Some(row) = one(&self.reader().await?, LISTING, sql, &[&before.0]).await? else {
            return Ok((0, 0));
        };
        Ok((uint(col(&row, 0, LISTING)?), uint(col(&row, 1, LISTING)?)))
    }

    async fn reviews_due(&self, at: UtcMs, limit: usize) -> Result<Vec<GrantId>, StoreError> {
        let sql = "SELECT id FROM break_glass_grant WHERE next_look <= $1 ORDER BY next_look, id LIMIT $2";
        let rows = all(&self.reader().await?, LISTING, sql, &[&at.0, &int(limit as u64)]).await?;
        let each = rows.iter().map(|row| Ok(AccessId(col::<Uuid>(row, 0, LISTING)?)));
        Ok(each.collect::<Result<_, Fault>>()?)
    }
}
