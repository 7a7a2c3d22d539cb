//! Reading by type.

use super::SqlcipherStore;
use super::charts::{READING, stored};
use super::sql::{During, all, one, parsed, uint};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use vitrine_access::action::{ReadChart, ReadResource};
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::pack::Packs;
use vitrine_store::{ArchivedResource, KindPage, Kinds, StoreError, seal};

/// The numbers are found in an index alone (`resource_scope`, or `resource_key` for what is nobody's); only the rows of the stretch
/// are read.
const OF_PATIENT: &str = "SELECT version, updated, deleted, body, id, rid FROM resource WHERE rid IN (
      SELECT rid FROM resource INDEXED BY resource_scope
       WHERE pid = ?1 AND kind = ?2 AND rid < ?3 AND deleted = 0 AND pid IS NOT NULL ORDER BY rid DESC LIMIT ?4)
    ORDER BY rid DESC";
const OF_NOBODY: &str = "SELECT version, updated, deleted, body, id, rid FROM resource WHERE rid IN (
      SELECT rid FROM resource INDEXED BY resource_key
       WHERE pid IS ?1 AND kind = ?2 AND rid < ?3 AND deleted = 0 ORDER BY rid DESC LIMIT ?4)
    ORDER BY rid DESC";

fn page(
    conn: &Connection,
    packs: &Packs,
    patient: Option<&PatientId>,
    kind: &str,
    below: u64,
    limit: usize,
) -> Result<KindPage, StoreError> {
    let pid = match patient {
        None => None,
        Some(p) => {
            let sql = "SELECT pid FROM patient WHERE id = ?1";
            match one(conn, sql, [p.as_str()], |r| r.get::<_, i64>(0)).during(READING)? {
                Some(pid) => Some(pid),
                None => return Ok(KindPage::default()),
            }
        }
    };
    let sql = if pid.is_some() { OF_PATIENT } else { OF_NOBODY };
    let ask = i64::try_from(limit.max(1) + 1).unwrap_or(i64::MAX);
    let below = i64::try_from(below).unwrap_or(i64::MAX);
    let mut rows = all(conn, sql, params![pid, kind, below, ask], |r| {
        let id: String = r.get(4)?;
        let key = parsed(4, ResourceKey::new(kind, &id))?;
        Ok((uint(r.get(5)?), stored(&key, patient.cloned(), r)?))
    })
    .during(READING)?;
    let more = rows.len() > limit.max(1);
    rows.truncate(limit.max(1));
    let mut page = KindPage {
        next: rows.last().filter(|_| more).map(|(n, _)| *n),
        ..KindPage::default()
    };
    for (number, row) in rows {
        let (key, version, updated) = row.is();
        match row.unpacked(packs) {
            Ok(found) => page.resources.push((number, found)),
            Err(StoreError::Archived { pack, .. }) => page.archived.push((
                number,
                ArchivedResource {
                    key,
                    version,
                    updated,
                    pack,
                },
            )),
            Err(e) => return Err(e),
        }
    }
    Ok(page)
}

#[async_trait]
impl Kinds for SqlcipherStore {
    async fn of_kind(
        &self,
        permit: &Permit<ReadChart>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        let (patient, kind, packs) = (seal::patient_of(permit)?, kind.to_owned(), self.packs_here());
        let found = self
            .read_job(move |conn| page(conn, &packs, Some(&patient), &kind, below, limit))
            .await?;
        Ok(seal::kind(permit, found))
    }

    async fn of_nobody(
        &self,
        permit: &Permit<ReadResource>,
        kind: &str,
        below: u64,
        limit: usize,
    ) -> Result<Sealed<KindPage>, StoreError> {
        let (kind, packs) = (kind.to_owned(), self.packs_here());
        let found = self
            .read_job(move |conn| page(conn, &packs, None, &kind, below, limit))
            .await?;
        Ok(seal::kind(permit, found))
    }
}
