//! From a Bundle (or a single resource seen as a Bundle of one) to a batch of changes.
//!
//! Lives here: checking every entry, answering the plan's conditions from the store, planning, extracting meaning
//! ahead of the writer. Never here: who may, HTTP, files. Called by `http::fhir` and `import`.
//!
//! Ids of created resources follow from the operation id and the entry's place, and nothing the server adds (time,
//! version) enters the stored bytes: so the same request sent again under the same operation id is the same batch,
//! which the store answers without applying it twice.

use crate::imaging::study::ENDPOINT;
use crate::ingest::project::owner;
use crate::ops::forms::balp;
use bytes::Bytes;
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};
use vitrine_clinical::chart::{Observation, Resource};
use vitrine_clinical::summary::corrects;
use vitrine_clinical::{FhirId, PatientId, ResourceKey, UtcMs};
use vitrine_fhir::bundle::{self, Action, Answers, Bundle, BundleType, By, EntryIssue, Plan, Step};
use vitrine_fhir::{Issue, IssueCode};
use vitrine_store::{ChangeBatch, ChangeKind, ChangeOp, Precondition, Projector, Store, StoreError, labels};

const OBSERVATION: &str = "Observation";
/// Look-ups under way at once for the changes of one batch.
const LOOK_UPS: usize = 8;

/// Why nothing could be planned.
#[derive(Debug)]
pub enum Unplanned {
    /// The content is at fault; every issue names its place.
    Issues(Vec<EntryIssue>),
    /// The store failed.
    Store(StoreError),
}
impl From<StoreError> for Unplanned {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// The id of a created resource: from the operation and the entry's place.
#[must_use]
pub fn created_id(op_id: uuid::Uuid, entry: usize) -> FhirId {
    id_of(derived(op_id, b"created", entry))
}

fn id_of(id: uuid::Uuid) -> FhirId {
    FhirId::new(id.to_string()).unwrap_or_else(|_| unreachable!("a UUID is a FHIR id"))
}

/// The operation id of one entry of a batch.
#[must_use]
pub fn entry_op(op_id: uuid::Uuid, entry: usize) -> uuid::Uuid {
    derived(op_id, b"entry", entry)
}

/// A UUID (version 8, RFC 9562) from another, a purpose and a number.
fn derived(op_id: uuid::Uuid, purpose: &[u8], n: usize) -> uuid::Uuid {
    let mut h = Sha256::new();
    h.update(op_id.as_bytes());
    h.update(purpose);
    h.update(n.to_be_bytes());
    let digest: [u8; 32] = h.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A stable operation id from content: the same file imported again is the same operation.
#[must_use]
pub fn content_op(purpose: &[u8], content: &[u8]) -> uuid::Uuid {
    let mut h = Sha256::new();
    h.update(purpose);
    h.update([0]);
    h.update(content);
    let digest: [u8; 32] = h.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Checks and plans. In a batch a faulty entry becomes [`Action::Refuse`]; in a transaction nothing is planned.
///
/// # Errors
/// [`Unplanned`].
pub async fn plan(store: &dyn Store, bundle: &Bundle<'_>, op_id: uuid::Uuid) -> Result<Plan, Unplanned> {
    plan_with(store, bundle, &|entry| created_id(op_id, entry.index)).await
}

/// The same with another way to make the ids of created resources; it must give the same id for the same entry
/// whenever the same operation is planned.
///
/// # Errors
/// [`Unplanned`].
pub async fn plan_with(
    store: &dyn Store,
    bundle: &Bundle<'_>,
    new_id: &(dyn Fn(&bundle::Entry<'_>) -> FhirId + Sync),
) -> Result<Plan, Unplanned> {
    let faults = tokio::task::block_in_place(|| check_entries(bundle));
    if bundle.kind == BundleType::Transaction && !faults.is_empty() {
        return Err(Unplanned::Issues(faults));
    }
    let answers = answers(store, bundle, new_id).await?;
    let mut planned = tokio::task::block_in_place(|| {
        bundle::plan(bundle, &answers, &mut |entry: &bundle::Entry<'_>| new_id(entry))
    })
    .map_err(Unplanned::Issues)?;
    let mut seen = HashSet::new();
    for fault in faults.into_iter().filter(|f| seen.insert(f.entry)) {
        planned.steps.retain(|s| s.entry != fault.entry);
        planned.steps.push(Step {
            entry: fault.entry,
            action: Action::Refuse(fault.issue),
            key: None,
            body: None,
        });
    }
    Ok(planned)
}

/// Whether what has this address is made when it is asked for: the Endpoint of the images, rows of the audit log.
fn is_made_here(url: &str) -> bool {
    url == ENDPOINT
        || url
            .strip_prefix("AuditEvent/")
            .is_some_and(|id| id.starts_with(balp::OURS))
}

/// Every fault of the resources to be written.
fn check_entries(bundle: &Bundle<'_>) -> Vec<EntryIssue> {
    let mut faults = Vec::new();
    for entry in &bundle.entries {
        let made_here = entry.request.as_ref().is_some_and(|r| {
            matches!(r.method, bundle::Method::Put | bundle::Method::Delete)
                && is_made_here(r.url.trim_start_matches('/'))
        });
        if made_here {
            let text = "what has this id is made by the server itself, from its configuration or its audit log: give yours another id";
            let expression = format!("Bundle.entry[{}].request.url", entry.index);
            faults.push(EntryIssue {
                entry: entry.index,
                issue: Issue::new(IssueCode::NotSupported, &expression, text),
            });
            continue;
        }
        let writes = entry
            .request
            .as_ref()
            .is_some_and(|r| matches!(r.method, bundle::Method::Post | bundle::Method::Put));
        let (true, Some(bytes)) = (writes, entry.resource) else {
            continue;
        };
        let Err(issues) = vitrine_fhir::validate(bytes) else {
            continue;
        };
        for issue in issues {
            let inner = issue.expression.split_once('.').map_or("", |(_, rest)| rest);
            let dot = if inner.is_empty() { "" } else { "." };
            let expression = format!("Bundle.entry[{}].resource{dot}{inner}", entry.index);
            faults.push(EntryIssue {
                entry: entry.index,
                issue: Issue { expression, ..issue },
            });
        }
    }
    faults
}

/// What the store says to the bundle's conditions. What this very operation made when it was first applied does not
/// count as being there, so that sending it again plans the same.
async fn answers(
    store: &dyn Store,
    bundle: &Bundle<'_>,
    new_id: &(dyn Fn(&bundle::Entry<'_>) -> FhirId + Sync),
) -> Result<Answers, StoreError> {
    let own: HashSet<FhirId> = bundle.entries.iter().map(new_id).collect();
    let mut out = Answers::new();
    for question in bundle::questions(bundle) {
        let found: Vec<FhirId> = match &question.by {
            By::Identifier { system, value } => {
                let keys = store
                    .by_identifier(&question.kind, system.as_deref(), value)
                    .await?;
                keys.into_iter().map(|k| k.id).collect()
            }
            By::Id(id) => match ResourceKey::new(&question.kind, id) {
                Ok(key) if is_live(store, &key).await? => vec![key.id],
                _ => Vec::new(),
            },
        };
        out.insert(
            question,
            found.into_iter().filter(|id| !own.contains(id)).collect(),
        );
    }
    Ok(out)
}

async fn is_live(store: &dyn Store, key: &ResourceKey) -> Result<bool, StoreError> {
    Ok(store.lookup(key).await?.is_some())
}

/// The changes of some steps, in their order, each with the index of its step.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changes.
    pub ops: Vec<ChangeOp>,
    /// For each change the index of its step in the plan.
    pub steps: Vec<usize>,
}

/// The changes that steps make.
#[must_use]
pub fn changes<'s>(steps: impl Iterator<Item = (usize, &'s Step)>) -> Changes {
    let mut out = Changes::default();
    for (i, step) in steps {
        let Some(key) = step.key.clone() else { continue };
        let put = || ChangeKind::Put(Bytes::from(step.body.clone().unwrap_or_default()));
        let (kind, precondition) = match &step.action {
            Action::Delete { if_match } => (
                ChangeKind::Delete,
                if_match.map_or(Precondition::Any, Precondition::Version),
            ),
            Action::Create => (put(), Precondition::Absent),
            Action::Update { if_match } => (put(), if_match.map_or(Precondition::Any, Precondition::Version)),
            _ => continue,
        };
        out.ops.push(ChangeOp {
            key,
            kind,
            precondition,
            extract: None,
            derived: false,
        });
        out.steps.push(i);
    }
    out
}

/// Makes the changes ready for the store: adds what follows from them ([`corrections`]), and the meaning of all ([`extract`]).
///
/// # Errors
/// As [`extract`].
pub async fn complete(
    store: &dyn Store,
    projector: &dyn Projector,
    ops: &mut Vec<ChangeOp>,
    at: UtcMs,
) -> Result<(), StoreError> {
    let kept = corrections(store, ops, at).await?;
    ops.extend(kept);
    extract(store, projector, ops).await
}

/// For each Observation of which the changes take a value away that was shown, a Provenance that keeps what it said: somebody may
/// have acted upon it (screens.md S20). It belongs to the record in which it was shown: of a result that goes to another patient
/// nothing goes with it. Two writers at one instant may each keep the same version; none is lost.
async fn corrections(store: &dyn Store, ops: &[ChangeOp], at: UtcMs) -> Result<Vec<ChangeOp>, StoreError> {
    let replacing: Vec<&ChangeOp> = ops
        .iter()
        .filter(|op| op.key.kind.as_str() == OBSERVATION && op.precondition != Precondition::Absent)
        .collect();
    let mut out = Vec::new();
    // A file brings thousands at once, and most are new: several look-ups are under way.
    for some in replacing.chunks(LOOK_UPS) {
        let asked: Vec<_> = some.iter().map(|op| store.lookup(&op.key)).collect();
        for (op, before) in some.iter().zip(join_all(asked).await) {
            match before {
                Ok(Some((version, before))) => out.extend(correction(op, version, &before, at)),
                Ok(None) => {}
                Err(e @ StoreError::Archived { .. }) => {
                    tracing::warn!(error = %e, "what a result said before lies in the archive and is not kept beside it");
                }
                Err(e) => return Err(e),
            }
        }
    }
    Ok(out)
}

/// What is kept of one Observation that is replaced; nothing where all that was shown still stands.
fn correction(op: &ChangeOp, version: u64, before: &[u8], at: UtcMs) -> Option<ChangeOp> {
    let patient = owner(OBSERVATION, before)?;
    let is = match &op.kind {
        ChangeKind::Put(body) if owner(OBSERVATION, body).as_ref() == Some(&patient) => observation(body)?,
        // Gone from this record, with whatever it says elsewhere.
        ChangeKind::Put(_) | ChangeKind::Delete => Observation::default(),
    };
    if !corrects(&observation(before)?, &is) {
        return None;
    }
    let id = id_of(content_op(
        b"correction",
        format!("{}/{version}", op.key).as_bytes(),
    ));
    let key = ResourceKey::new("Provenance", id.as_str()).ok()?;
    let label = match &op.kind {
        ChangeKind::Put(body) => labels::of_body(before).and(labels::of_body(body)),
        ChangeKind::Delete => labels::of_body(before),
    };
    match vitrine_fhir::revision(&id, &op.key, &patient, (version, before), at, &is.notes, label) {
        Ok(kept) => Some(ChangeOp {
            key,
            kind: ChangeKind::Put(Bytes::from(kept)),
            precondition: Precondition::Any,
            extract: None,
            derived: true,
        }),
        Err(e) => {
            tracing::warn!(error = %e, "what a result said before could not be kept beside it");
            None
        }
    }
}

/// An Observation as it is shown.
fn observation(body: &[u8]) -> Option<Observation> {
    match vitrine_fhir::read(OBSERVATION, body, &mut |_| None) {
        Ok(Resource::Observation(o)) => Some(o),
        _ => None,
    }
}

/// Whose records the changes are about, by what they say and by what is stored under their keys now, and whether some
/// of them are about nobody.
///
/// # Errors
/// [`StoreError`].
pub async fn patients(
    store: &dyn Store,
    ops: &[ChangeOp],
) -> Result<(BTreeSet<PatientId>, bool), StoreError> {
    let mut out = BTreeSet::new();
    let mut nobody = false;
    for op in ops {
        let before = store.owner(&op.key).await?.flatten();
        let after = match &op.kind {
            ChangeKind::Put(_) if op.key.kind.as_str() == "Patient" => {
                PatientId::new(op.key.id.as_str()).ok()
            }
            ChangeKind::Put(body) => owner(op.key.kind.as_str(), body),
            ChangeKind::Delete => None,
        };
        nobody |= before.is_none() && after.is_none();
        out.extend(before);
        out.extend(after);
    }
    Ok((out, nobody))
}

/// Reads the meaning of every resource ahead of the writer. What a resource refers to is taken from the same batch
/// or from the store.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Unprojectable`] for a resource that cannot be read.
pub async fn extract(
    store: &dyn Store,
    projector: &dyn Projector,
    ops: &mut [ChangeOp],
) -> Result<(), StoreError> {
    let mut known: HashMap<ResourceKey, Option<(u64, Bytes)>> = HashMap::new();
    let index: HashMap<ResourceKey, usize> =
        ops.iter().enumerate().map(|(i, o)| (o.key.clone(), i)).collect();
    for i in 0..ops.len() {
        let Some(op) = ops.get(i) else { continue };
        let (key, ChangeKind::Put(body)) = (op.key.clone(), op.kind.clone()) else {
            continue;
        };
        loop {
            let mut missing = Vec::new();
            let outcome = {
                let mut lookup = |other: &ResourceKey| match known.get(other) {
                    Some(found) => found.as_ref().map(|(v, b)| (*v, b.to_vec())),
                    None => {
                        missing.push(other.clone());
                        None
                    }
                };
                projector.extract(&key, &body, &mut lookup)
            };
            if missing.is_empty() {
                let extract = outcome.map_err(|e| StoreError::Unprojectable {
                    index: i,
                    key: key.clone(),
                    reason: e.0,
                })?;
                if let Some(op) = ops.get_mut(i) {
                    op.extract = Some(extract);
                }
                break;
            }
            for other in missing {
                let stored = store.lookup(&other).await?;
                let in_batch = index.get(&other).and_then(|n| ops.get(*n)).map(|o| &o.kind);
                let found = match in_batch {
                    Some(ChangeKind::Put(b)) => Some((stored.map_or(1, |(v, _)| v + 1), b.clone())),
                    Some(ChangeKind::Delete) => None,
                    None => stored,
                };
                known.insert(other, found);
            }
        }
    }
    Ok(())
}

/// A batch of changes.
#[must_use]
pub fn batch(op_id: uuid::Uuid, at: UtcMs, ops: Vec<ChangeOp>, source: &str) -> ChangeBatch {
    ChangeBatch {
        op_id,
        at,
        ops,
        source: source.to_owned(),
        images: Vec::new(),
    }
}

/// The issue of a step that the plan allows but the server does not do.
#[must_use]
pub fn not_done(action: &Action) -> Option<Issue> {
    let refuse = |text: &str| Some(Issue::new(IssueCode::NotSupported, "request", text));
    match action {
        Action::Patch { .. } => refuse("a patch is of one resource: PATCH Type/id"),
        _ => None,
    }
}

/// The resource a Bundle's GET entry names, when it is a plain read.
#[must_use]
pub fn read_key(url: &str) -> Option<ResourceKey> {
    let key = ResourceKey::parse(url.strip_prefix('/').unwrap_or(url)).ok()?;
    vitrine_fhir::is_resource_type(key.kind.as_str()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_operation_and_place() {
        let op = uuid::Uuid::from_u128(7);
        assert_eq!(created_id(op, 0), created_id(op, 0));
        assert_ne!(created_id(op, 0), created_id(op, 1));
        assert_ne!(created_id(op, 0), created_id(uuid::Uuid::from_u128(8), 0));
        assert_ne!(entry_op(op, 0).to_string(), created_id(op, 0).to_string());
        assert_eq!(entry_op(op, 0).get_version_num(), 8);
    }
}
