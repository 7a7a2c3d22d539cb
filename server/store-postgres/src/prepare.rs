//! Everything of a batch that needs no writer: extracting, compressing, hashing. Runs beside the writing lane.

use crate::imaging::Ready;
use crate::sql::{self, Fault, col, uint};
use crate::vault::{Place, Vault, pack};
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use std::collections::{HashMap, HashSet};
use vitrine_access::AuditEntry;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::{ChangeBatch, ChangeKind, ChangeOp, Extract, Precondition, Projector, StoreError, batch};

const LOOKING: &str = "looking a resource up";

/// A batch ready for the lane.
pub(crate) struct Prepared {
    pub op_id: uuid::Uuid,
    pub digest: [u8; 16],
    pub at: i64,
    pub ops: Vec<PreparedOp>,
    pub images: Vec<Ready>,
    /// The permit's patient.
    pub owner: Option<PatientId>,
    /// The permit's audit row, still without what was written.
    pub entry: AuditEntry,
}

/// One change of it.
pub(crate) struct PreparedOp {
    pub key: ResourceKey,
    pub precondition: Precondition,
    /// `None` deletes.
    pub put: Option<Put>,
}

/// What is to be stored.
pub(crate) struct Put {
    pub raw: Bytes,
    pub packed: Vec<u8>,
    pub hash: [u8; 16],
    pub extract: Extract,
}

/// What is held of a resource: version, whether it is live, its bytes when it is.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub version: u64,
    pub body: Option<Vec<u8>>,
}

/// The current versions of some resources.
pub(crate) async fn current<C: GenericClient>(
    c: &C,
    vault: &Vault,
    keys: &[ResourceKey],
    replaced: &HashSet<&ResourceKey>,
) -> Result<HashMap<ResourceKey, Current>, Fault> {
    let kinds: Vec<&str> = keys.iter().map(|k| k.kind.as_str()).collect();
    let ids: Vec<&str> = keys.iter().map(|k| k.id.as_str()).collect();
    let sql = "SELECT r.kind, r.id, r.version, r.deleted, r.rid, r.body
                 FROM unnest($1::text[], $2::text[]) k(kind, id) JOIN resource r USING (kind, id)";
    let mut out = HashMap::new();
    for row in sql::all(c, LOOKING, sql, &[&kinds, &ids]).await? {
        let (kind, id): (&str, &str) = (col(&row, 0, LOOKING)?, col(&row, 1, LOOKING)?);
        let key = sql::parsed(ResourceKey::new(kind, id), LOOKING)?;
        let deleted: bool = col(&row, 3, LOOKING)?;
        let sealed: Option<&[u8]> = col(&row, 5, LOOKING)?;
        let body = match sealed.filter(|_| !deleted) {
            Some(sealed) => match vault.get(Place::Resource(col(&row, 4, LOOKING)?), sealed) {
                // What the batch replaces need not be read: the next version is another one.
                Err(StoreError::Archived { .. }) if replaced.contains(&key) => None,
                body => Some(body?),
            },
            None => None,
        };
        out.insert(
            key,
            Current {
                version: uint(col(&row, 2, LOOKING)?),
                body,
            },
        );
    }
    Ok(out)
}

/// Prepares a batch.
pub(crate) async fn prepare<C: GenericClient>(
    batch: ChangeBatch,
    projector: &dyn Projector,
    c: &C,
    vault: &Vault,
    owner: Option<PatientId>,
    entry: AuditEntry,
) -> Result<Prepared, StoreError> {
    let digest = batch::content_digest(&batch);
    let extracts = extracts(&batch, projector, c, vault).await?;
    let images = batch
        .images
        .into_iter()
        .map(Ready::of)
        .collect::<Result<_, _>>()?;
    let ops = batch
        .ops
        .into_iter()
        .zip(extracts)
        .map(|(op, extract)| prepare_op(op, extract))
        .collect::<Result<_, _>>()?;
    Ok(Prepared {
        op_id: batch.op_id,
        digest,
        at: batch.at.0,
        ops,
        images,
        owner,
        entry,
    })
}

/// The meaning of every change. What the batch itself brings is seen as it will be after it, so that a
/// MedicationRequest and its Medication may come together in any order; the lane checks the versions and extracts again
/// where they are not those.
async fn extracts<C: GenericClient>(
    batch: &ChangeBatch,
    projector: &dyn Projector,
    c: &C,
    vault: &Vault,
) -> Result<Vec<Option<Extract>>, StoreError> {
    let own: HashMap<&ResourceKey, &Bytes> = batch
        .ops
        .iter()
        .filter_map(|op| match &op.kind {
            ChangeKind::Put(body) => Some((&op.key, body)),
            ChangeKind::Delete => None,
        })
        .collect();
    let mut held: HashMap<ResourceKey, Option<Current>> = HashMap::new();
    loop {
        let mut missing: HashSet<ResourceKey> = HashSet::new();
        let mut out = Vec::with_capacity(batch.ops.len());
        for (index, op) in batch.ops.iter().enumerate() {
            let body = match (&op.kind, &op.extract) {
                (ChangeKind::Delete, _) => {
                    out.push(None);
                    continue;
                }
                (_, Some(given)) => {
                    out.push(Some(given.clone()));
                    continue;
                }
                (ChangeKind::Put(body), None) => body,
            };
            let mut misses = Vec::new();
            let mut lookup = |key: &ResourceKey| {
                let Some(found) = held.get(key) else {
                    misses.push(key.clone());
                    return None;
                };
                match own.get(key) {
                    Some(body) => Some((next_version(found.as_ref(), body), body.to_vec())),
                    None => found.as_ref().and_then(|f| Some((f.version, f.body.clone()?))),
                }
            };
            let made = projector.extract(&op.key, body, &mut lookup);
            if !misses.is_empty() {
                missing.extend(misses);
                continue;
            }
            out.push(Some(made.map_err(|e| StoreError::Unprojectable {
                index,
                key: op.key.clone(),
                reason: e.0,
            })?));
        }
        if missing.is_empty() {
            return Ok(out);
        }
        let keys: Vec<ResourceKey> = missing.into_iter().collect();
        let mut found = current(c, vault, &keys, &own.keys().copied().collect()).await?;
        held.extend(keys.into_iter().map(|k| {
            let there = found.remove(&k);
            (k, there)
        }));
    }
}

/// The version a resource will have once the batch has put it.
fn next_version(held: Option<&Current>, body: &Bytes) -> u64 {
    match held {
        Some(h) if h.body.as_deref() == Some(&body[..]) => h.version,
        Some(h) => h.version + 1,
        None => 1,
    }
}

fn prepare_op(op: ChangeOp, extract: Option<Extract>) -> Result<PreparedOp, StoreError> {
    let put = match (op.kind, extract) {
        (ChangeKind::Put(raw), Some(extract)) => Some(Put {
            packed: pack(&raw)?,
            hash: batch::body_hash(&raw),
            raw,
            extract,
        }),
        _ => None,
    };
    Ok(PreparedOp {
        key: op.key,
        precondition: op.precondition,
        put,
    })
}
