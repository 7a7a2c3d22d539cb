//! Reading by type.

use crate::PostgresStore;
use crate::charts::{READING, bytes};
use crate::sql::{all, col, one, parsed, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_store::{ArchivedResource, KindPage, Kinds, StoreError, StoredResource, seal};

/// A stretch of a type in a record: numbers in the index `resource_scope`, rows of the stretch alone.
pub const KIND_SQL: &str = "SELECT version, updated, id, rid, body FROM resource WHERE rid = ANY(ARRAY(
      SELECT rid FROM resource WHERE pid = $1 AND kind = $2 AND rid < $3 AND NOT deleted AND pid IS NOT NULL
       ORDER BY rid DESC LIMIT $4))
    ORDER BY rid DESC";
/// The same of what belongs to nobody.
pub const NOBODY_SQL: &str = "SELECT version, updated, id, rid, body FROM resource WHERE rid = ANY(ARRAY(
      SELECT rid FROM resource WHERE pid IS NULL AND kind = $1 AND rid < $2 AND NOT deleted
       ORDER BY rid DESC LIMIT $3))
    ORDER BY rid DESC";

async fn page<C: GenericClient>(
    c: &C,
    vault: &Vault,
    patient: Option<&PatientId>,
    kind: &str,
    below: u64,
    limit: usize,
) -> Result<KindPage, StoreError> {
    let ask = i64::try_from(limit.max(1) + 1).unwrap_or(i64::MAX);
    let below = i64::try_from(below).unwrap_or(i64::MAX);
    let mut rows = match patient {
        None => all(c, READING, NOBODY_SQL, &[&kind, &below, &ask]).await?,
        Some(p) => {
            let sql = "SELECT pid FROM patient WHERE id = $1";
            let Some(row) = one(c, READING, sql, &[&p.as_str()]).await? else {
                return Ok(KindPage::default());
            };
            let pid: i64 = col(&row, 0, READING)?;
            all(c, READING, KIND_SQL, &[&pid, &kind, &below, &ask]).await?
        }
    };
    let more = rows.len() > limit.max(1);
    rows.truncate(limit.max(1));
    let mut page = KindPage::default();
    for row in &rows {
        let rid: i64 = col(row, 3, READING)?;
        let key = parsed(ResourceKey::new(kind, col::<&str>(row, 2, READING)?), READING)?;
        let (version, updated) = (uint(col(row, 0, READING)?), UtcMs(col(row, 1, READING)?));
        match bytes(vault, Place::Resource(rid), col(row, 4, READING)?) {
            Ok(body) => page.resources.push((
                uint(rid),
                StoredResource {
                    key,
                    version,
                    updated,
                    patient: patient.cloned(),
                    body,
                    deleted: false,
                },
            )),
            Err(StoreError::Archived { pack, .. }) => page.archived.push((
                uint(rid),
                ArchivedResource {
                    key,
                    version,
                    updated,
                    pack,
                },
            )),
            Err(e) => return Err(e),
        }
        page.next = more.then(|| uint(rid));
    }
    Ok(page)
}

#[async_trait]
impl Kinds for PostgresStore {
    async fn of_kind(
        &self,
        permit: &Permit<ReadChart>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let client = self.reader().await?;
        let found = page(&client, self.vault(), Some(&patient), kind, below, limit).await?;
        Ok(seal::kind(permit, found))
    }

    async fn of_nobody(
        &self,
        permit: &Permit<ReadResource>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        let client = self.reader().await?;
        let found = page(&client, self.vault(), None, kind, below, limit).await?;
        Ok(seal::kind(permit, found))
    }
}
