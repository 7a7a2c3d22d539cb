//! Holds and destructions. The act is alone in its group (`lane`), so that what it reads is all there is.
//!
//! The patient's row is locked first: whoever places a hold, approves, destroys or writes to the record goes one after
//! the other, on whichever server.

use crate::PostgresStore;
use crate::acts::{Act, all_accounts, json};
use crate::group::Group;
use crate::prepare::{Prepared, PreparedOp};
use crate::sql::{Fault, all, col, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use vitrine_access::Receipt;
use vitrine_clinical::ResourceKey;
use vitrine_store::archive::{
    ArchiveAct, ArchiveList, ArchiveOrder, Archived, Asked, Case, Destruction, Hold, Manifest, Step,
};
use vitrine_store::tiers::PacksOf;
use vitrine_store::{Archive, StoreError, Tiers as _, batch};

const KEEPING: &str = "keeping holds and destructions";
const DESTROYING: &str = "destroying a record";
/// Resources whose bytes are read at a time.
const STRETCH: usize = 1_000;

fn opened<T: DeserializeOwned>(vault: &Vault, place: Place<'_>, row: &Row) -> Result<T, Fault> {
    let body = vault.get(place, col(row, 1, KEEPING)?)?;
    parsed(serde_json::from_slice(&body), KEEPING)
}

fn hold(vault: &Vault, row: &Row) -> Result<Hold, Fault> {
    let patient: &str = col(row, 0, KEEPING)?;
    opened(vault, Place::Archive(patient.as_bytes()), row)
}

fn destruction(vault: &Vault, row: &Row) -> Result<Destruction, Fault> {
    let id: uuid::Uuid = col(row, 0, KEEPING)?;
    opened(vault, Place::Archive(id.as_bytes()), row)
}

async fn list<C: GenericClient>(c: &C, vault: &Vault) -> Result<ArchiveList, Fault> {
    let holds = all(c, KEEPING, "SELECT patient, body FROM legal_hold", &[]).await?;
    let destructions = all(c, KEEPING, "SELECT id, body FROM destruction", &[]).await?;
    let all = ArchiveList {
        holds: holds.iter().map(|r| hold(vault, r)).collect::<Result<_, _>>()?,
        destructions: destructions
            .iter()
            .map(|r| destruction(vault, r))
            .collect::<Result<_, _>>()?,
    };
    Ok(all.sorted())
}

impl Group<'_> {
    /// Carries an act out. Everything that may be refused is refused before anything is written.
    pub(crate) async fn archive(&mut self, order: &ArchiveOrder) -> Result<(Archived, Receipt), Fault> {
        let (case, pid) = self.case(order).await?;
        let step = order.step(&case)?;
        let patient = order.patient.as_str();
        match (&step, pid) {
            (Step::Hold(Some(h)), _) => {
                let body = self
                    .vault
                    .put(Place::Archive(patient.as_bytes()), json(h)?.as_bytes())?;
                let sql = "INSERT INTO legal_hold (patient, body) VALUES ($1, $2)";
                run(self.tx, KEEPING, sql, &[&patient, &body]).await?;
            }
            (Step::Hold(None), _) => {
                let sql = "DELETE FROM legal_hold WHERE patient = $1";
                run(self.tx, KEEPING, sql, &[&patient]).await?;
            }
            (Step::Put(d), _) => self.put_destruction(d).await?,
            (Step::Destroy(d), Some(pid)) => return self.destroy(order, pid, d.clone()).await,
            (Step::Destroy(_), None) | (Step::Already(_), _) => {}
        }
        let receipt = self.record(&order.entry)?;
        Ok((step.into(), receipt))
    }

    async fn case(&self, order: &ArchiveOrder) -> Result<(Case, Option<i64>), Fault> {
        let id = order.patient.as_str();
        let sql = "SELECT pid, destroyed FROM patient WHERE id = $1 FOR UPDATE";
        let found = one(self.tx, KEEPING, sql, &[&id]).await?;
        let (mut pid, mut destroyed) = (None, false);
        if let Some(row) = &found {
            (pid, destroyed) = (Some(col(row, 0, KEEPING)?), col(row, 1, KEEPING)?);
        }
        let sql = "SELECT patient, body FROM legal_hold WHERE patient = $1";
        let held = one(self.tx, KEEPING, sql, &[&id]).await?;
        let sql = "SELECT id, body FROM destruction WHERE patient = $1";
        let destructions = all(self.tx, KEEPING, sql, &[&id]).await?;
        let case = Case {
            known: pid.is_some(),
            destroyed,
            hold: held.map(|r| hold(self.vault, &r)).transpose()?,
            destructions: destructions
                .iter()
                .map(|r| destruction(self.vault, r))
                .collect::<Result<_, _>>()?,
            accounts: all_accounts(self.tx).await?,
        };
        Ok((case, pid))
    }

    async fn put_destruction(&self, d: &Destruction) -> Result<(), Fault> {
        let body = self
            .vault
            .put(Place::Archive(d.id.as_bytes()), json(d)?.as_bytes())?;
        let sql = "INSERT INTO destruction (id, patient, body) VALUES ($1, $2, $3)
                   ON CONFLICT (id) DO UPDATE SET body = excluded.body";
        run(self.tx, KEEPING, sql, &[&d.id, &d.patient.as_str(), &body]).await?;
        Ok(())
    }

    async fn destroy(
        &mut self,
        order: &ArchiveOrder,
        pid: i64,
        d: Destruction,
    ) -> Result<(Archived, Receipt), Fault> {
        let sql = "SELECT rid, kind, id, deleted FROM resource WHERE pid = $1 AND NOT deleted AND pid IS NOT NULL
                   UNION ALL
                   SELECT rid, kind, id, deleted FROM resource WHERE pid = $1 AND deleted AND pid IS NOT NULL";
        let mut resources: Vec<(i64, ResourceKey)> = Vec::new();
        let mut live = Vec::new();
        for row in all(self.tx, DESTROYING, sql, &[&pid]).await? {
            let (kind, id): (&str, &str) = (col(&row, 1, DESTROYING)?, col(&row, 2, DESTROYING)?);
            let key = parsed(ResourceKey::new(kind, id), DESTROYING)?;
            if !col::<bool>(&row, 3, DESTROYING)? {
                live.push(key.clone());
            }
            resources.push((col(&row, 0, DESTROYING)?, key));
        }
        let mut manifest = self.manifest(&resources).await?;
        for (uid, sha256) in crate::imaging::of(self.tx, self.vault, pid).await? {
            manifest.image(&uid, sha256)?;
        }
        for (id, bytes) in crate::messages::of(self.tx, self.vault, &order.patient).await? {
            manifest.message(id, &bytes)?;
        }
        let d = order.destroyed(d, manifest)?;
        let batch = order.deletion(d.id, live);
        let prepared = Prepared {
            op_id: batch.op_id,
            digest: batch::content_digest(&batch),
            images: Vec::new(),
            at: batch.at.0,
            ops: batch
                .ops
                .into_iter()
                .map(|op| PreparedOp {
                    key: op.key,
                    precondition: op.precondition,
                    put: None,
                })
                .collect(),
            owner: Some(order.patient.clone()),
            entry: order.entry.clone(),
        };
        self.load(&[&prepared]).await?;
        let (_, receipt) = self.apply(&prepared).await?;
        self.put_destruction(&d).await?;
        self.purge.push(pid);
        Ok((Step::Destroy(d).into(), receipt))
    }

    /// Every version of these resources.
    async fn manifest(&self, resources: &[(i64, ResourceKey)]) -> Result<Manifest, Fault> {
        let mut manifest = Manifest::default();
        let sql = "SELECT rid, version, body FROM resource WHERE rid = ANY($1)
                   UNION ALL SELECT rid, version, body FROM resource_version WHERE rid = ANY($1)";
        for some in resources.chunks(STRETCH) {
            let keys: std::collections::HashMap<i64, &ResourceKey> =
                some.iter().map(|(rid, key)| (*rid, key)).collect();
            let rids: Vec<i64> = keys.keys().copied().collect();
            for row in all(self.tx, DESTROYING, sql, &[&rids]).await? {
                let rid: i64 = col(&row, 0, DESTROYING)?;
                let sealed: Option<&[u8]> = col(&row, 2, DESTROYING)?;
                let body = sealed
                    .map(|s| self.vault.get(Place::Resource(rid), s))
                    .transpose()?;
                if let Some(key) = keys.get(&rid) {
                    manifest.add(key, uint(col(&row, 1, DESTROYING)?), &body.unwrap_or_default());
                }
            }
        }
        Ok(manifest)
    }
}

#[async_trait]
impl Archive for PostgresStore {
    async fn archive(&self, asked: ArchiveAct<'_>) -> Result<(Archived, Receipt), StoreError> {
        let order = ArchiveOrder::of(asked)?;
        let packs = match order.asked {
            Asked::CarryOut(..) => self.packs(PacksOf::Patient(&order.patient)).await?,
            _ => Vec::new(),
        };
        let acted = self.act(Act::Archive(Box::new(order)), None).await?;
        // What cannot be removed now is nobody's, and goes when packs are tidied; until then it is there.
        if let Err(e) = self.drop_destroyed(packs).await {
            tracing::error!(error = %e, "packs of a destroyed record were not removed: remove their files");
        }
        match (acted.archived, acted.receipt) {
            (Some(archived), Some(receipt)) => Ok((archived, receipt)),
            _ => Err(StoreError::Closed),
        }
    }

    async fn archived(&self) -> Result<ArchiveList, StoreError> {
        Ok(list(&self.reader().await?, self.vault()).await?)
    }
}
