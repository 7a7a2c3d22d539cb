//! Everything of a batch that needs no writer: extracting, compressing, hashing. Runs on a reader thread.

use super::body;
use super::imaging::Ready;
use super::sql::{During, one, uint};
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::HashMap;
use vitrine_clinical::ResourceKey;
use vitrine_store::pack::Packs;
use vitrine_store::search::PersonWords;
use vitrine_store::{
    ChangeBatch, ChangeKind, ChangeOp, Extract, PersonRow, Precondition, Projector, StoreError, batch,
};

/// A batch ready for the writer.
pub(super) struct Prepared {
    pub op_id: uuid::Uuid,
    pub digest: [u8; 16],
    pub at: i64,
    pub ops: Vec<PreparedOp>,
    pub images: Vec<Ready>,
}

/// One change of it.
pub(super) struct PreparedOp {
    pub key: ResourceKey,
    pub precondition: Precondition,
    /// `None` deletes.
    pub put: Option<Put>,
}

/// What is to be stored.
pub(super) struct Put {
    pub raw: bytes::Bytes,
    pub packed: Vec<u8>,
    pub hash: [u8; 16],
    pub extract: Extract,
    pub words: Option<Words>,
}

/// A person's words as the search index takes them.
#[derive(Clone)]
pub(super) struct Words {
    pub names: String,
    pub whole: String,
    pub sounds: Vec<String>,
}

impl Words {
    pub fn of(person: &PersonRow) -> Self {
        let words = PersonWords::of(person);
        Self {
            names: words.names.join(" "),
            whole: words.whole.join(" "),
            sounds: words.sounds,
        }
    }
}

/// Version and bytes of a live resource.
pub(super) fn current(
    conn: &Connection,
    packs: Option<&Packs>,
    key: &ResourceKey,
) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    let sql = "SELECT version, body FROM resource WHERE kind = ?1 AND id = ?2 AND deleted = 0";
    let found = one(conn, sql, [key.kind.as_str(), key.id.as_str()], |r| {
        Ok((uint(r.get(0)?), body::open(packs, r.get_ref(1)?.as_blob()?)))
    });
    match found.during("looking a resource up")? {
        Some((version, body)) => Ok(Some((version, body?))),
        None => Ok(None),
    }
}

/// Prepares a batch. `conn` serves lookups; `None` when every extract is given.
pub(super) fn prepare(
    batch: ChangeBatch,
    projector: &dyn Projector,
    conn: &Connection,
    packs: &Packs,
) -> Result<Prepared, StoreError> {
    let digest = batch::content_digest(&batch);
    // What the batch itself brings is seen as it will be after it, so that a MedicationRequest and its Medication may
    // come together in any order. The writer checks the versions and extracts again where they are not those.
    let own: HashMap<&ResourceKey, &bytes::Bytes> = batch
        .ops
        .iter()
        .filter_map(|op| match &op.kind {
            ChangeKind::Put(body) => Some((&op.key, body)),
            ChangeKind::Delete => None,
        })
        .collect();
    let failed = RefCell::new(None);
    let mut extracts = Vec::with_capacity(batch.ops.len());
    for (index, op) in batch.ops.iter().enumerate() {
        let ChangeKind::Put(body) = &op.kind else {
            extracts.push(None);
            continue;
        };
        if let Some(given) = &op.extract {
            extracts.push(Some(given.clone()));
            continue;
        }
        let mut lookup = |key: &ResourceKey| {
            let held = match current(conn, Some(packs), key) {
                // What the batch replaces need not be read: the guess below is of another version.
                Err(StoreError::Archived { .. }) if own.contains_key(key) => None,
                Err(e) => {
                    failed.borrow_mut().get_or_insert(e);
                    None
                }
                Ok(held) => held,
            };
            match own.get(key) {
                Some(body) => {
                    let same = held.as_ref().is_some_and(|(_, b)| b[..] == body[..]);
                    let next = next_version(conn, key, held.as_ref().map(|(v, _)| *v), same);
                    Some((next, body.to_vec()))
                }
                None => held,
            }
        };
        let extract = projector.extract(&op.key, body, &mut lookup);
        if let Some(e) = failed.borrow_mut().take() {
            return Err(e);
        }
        extracts.push(Some(extract.map_err(|e| StoreError::Unprojectable {
            index,
            key: op.key.clone(),
            reason: e.0,
        })?));
    }
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
    })
}

/// The version a resource will have once the batch has put it.
fn next_version(conn: &Connection, key: &ResourceKey, live: Option<u64>, same: bool) -> u64 {
    match live {
        Some(v) if same => v,
        Some(v) => v + 1,
        // It may have been deleted before; a wrong guess makes the writer extract again.
        None => {
            let sql = "SELECT version FROM resource WHERE kind = ?1 AND id = ?2";
            let dead = one(conn, sql, [key.kind.as_str(), key.id.as_str()], |r| {
                r.get::<_, i64>(0)
            });
            dead.ok().flatten().map_or(1, |v| uint(v) + 1)
        }
    }
}

fn prepare_op(op: ChangeOp, extract: Option<Extract>) -> Result<PreparedOp, StoreError> {
    let put = match (op.kind, extract) {
        (ChangeKind::Put(raw), Some(extract)) => Some(Put {
            packed: body::pack(&raw)?,
            hash: batch::body_hash(&raw),
            words: extract.person.as_ref().map(Words::of),
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
