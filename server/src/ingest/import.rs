//! Import: files and Bundles into the record, every item accounted for.
//!
//! Lives here: what each kind of file becomes, counting, quarantine, running several files at once. Never here: files
//! themselves (`source`), planning (`apply`). Called by the `import` and `demo` commands and `http::import`.
//!
//! A transaction Bundle is taken whole or refused whole. Everything else is taken item by item: what fails is kept in
//! quarantine with its place and reason. Items are grouped into parcels that are applied together, for speed; a
//! parcel never holds one resource twice.

use crate::clock;
use crate::ingest::apply::{self, Unplanned};
use crate::ingest::items::{Item, Look, PARCEL, entry, look, of_content, parcels};
use crate::ingest::project::FhirProjector;
use crate::ingest::source::Unit;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use vitrine_access::Permit;
use vitrine_access::action::ImportData;
use vitrine_fhir::bundle::{Bundle, BundleType, Entry, EntryIssue, questions};
use vitrine_fhir::{Issue, IssueCode};
use vitrine_store::{Applied, Precondition, QuarantineItem, Store, StoreError};

/// Refusals listed by name in the outcome at most; the counts go on.
const LISTED: usize = 10_000;

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Resources written.
    pub accepted: u64,
    /// Resources that were there already, the same.
    pub duplicate: u64,
    /// Items kept in quarantine with their reason.
    pub quarantined: u64,
    /// Items of transaction Bundles that were refused whole.
    pub refused: u64,
    /// All items looked at: the sum of the four.
    pub seen: u64,
    /// Accepted resources by type.
    pub by_type: BTreeMap<String, u64>,
    /// Seconds it took.
    pub seconds: f64,
    /// The refused Bundles, with place and reason.
    pub refusals: Vec<Refusal>,
}

/// A Bundle that was refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The file.
    pub location: String,
    /// Why.
    pub reason: String,
    /// FHIR path of the fault.
    pub expression: Option<String>,
}

impl Counts {
    /// Adds another outcome.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
        self.seen += other.seen;
        for (k, n) in other.by_type {
            *self.by_type.entry(k).or_default() += n;
        }
        let room = LISTED.saturating_sub(self.refusals.len());
        self.refusals.extend(other.refusals.into_iter().take(room));
    }
    /// Whether everything was taken.
    #[must_use]
    pub const fn clean(&self) -> bool {
        self.quarantined == 0 && self.refused == 0
    }
}

/// Gives a fresh permit for every parcel: one access, one audit row.
#[async_trait]
pub trait Permits: Send + Sync {
    /// A permit.
    async fn permit(&self) -> Result<Permit<ImportData>, StoreError>;
}

/// An import under way.
pub struct Importer {
    store: Arc<dyn Store>,
    permits: Arc<dyn Permits>,
    /// Held while a condition is looked up and acted upon, where nothing around the store keeps the order.
    conditions: tokio::sync::Mutex<()>,
    later: Mutex<Vec<Unit>>,
}

impl Importer {
    /// An import into `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, permits: Arc<dyn Permits>) -> Self {
        Self {
            store,
            permits,
            conditions: tokio::sync::Mutex::new(()),
            later: Mutex::default(),
        }
    }

    /// Takes units that came from one source.
    ///
    /// # Errors
    /// [`StoreError`] when the store itself fails; what was acknowledged before stays.
    pub async fn take(&self, units: Vec<Unit>) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        let mut items = Vec::new();
        for unit in units {
            match tokio::task::block_in_place(|| look(&unit)) {
                Look::Items(more) => {
                    let (full, empty): (Vec<Item>, Vec<Item>) =
                        more.into_iter().partition(|i| !i.bytes.is_empty());
                    items.extend(full);
                    let none = || {
                        Issue::new(
                            IssueCode::NotSupported,
                            "resource",
                            "the entry holds no resource to import",
                        )
                    };
                    let empty = empty
                        .into_iter()
                        .map(|i| (i.location, None, i.bytes, none()))
                        .collect();
                    counts.add(self.quarantine(empty).await?);
                }
                Look::Transaction => counts.add(self.transaction(unit, false).await?),
                Look::Bad(issue) => {
                    counts.add(
                        self.quarantine(vec![(unit.location, None, unit.bytes, issue)])
                            .await?,
                    );
                }
            }
        }
        for parcel in parcels(items) {
            counts.add(self.parcel(parcel).await?);
        }
        Ok(counts)
    }

    /// Takes what had to wait for resources of other files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish(&self) -> Result<Counts, StoreError> {
        let later = std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner));
        let mut counts = Counts::default();
        for unit in later {
            counts.add(self.transaction(unit, true).await?);
        }
        Ok(counts)
    }

    /// A transaction Bundle: whole or not at all. One that refers by condition to something that is not there yet is
    /// tried again at the end, because files come in any order.
    async fn transaction(&self, unit: Unit, last: bool) -> Result<Counts, StoreError> {
        let bundle = match Bundle::parse(&unit.bytes) {
            Ok(b) => b,
            Err(e) => return Ok(refused(&unit, 1, &[e.0])),
        };
        let n = bundle.entries.len().max(1) as u64;
        let op_id = apply::content_op(b"import", &unit.bytes);
        let conditional = !questions(&bundle).is_empty();
        let _one_at_a_time = if conditional {
            Some((self.store.turn().await?, self.conditions.lock().await))
        } else {
            None
        };
        let steps = match apply::plan(&*self.store, &bundle, op_id).await {
            Ok(p) => p.steps,
            Err(Unplanned::Store(e)) => return Err(e),
            Err(Unplanned::Issues(issues)) => {
                if !last && issues.iter().all(|i| i.issue.code == IssueCode::NotFound) && conditional {
                    self.later
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(unit);
                    return Ok(Counts::default());
                }
                return Ok(refused(
                    &unit,
                    n,
                    &issues.into_iter().map(|i| i.issue).collect::<Vec<_>>(),
                ));
            }
        };
        for step in &steps {
            let read = matches!(step.action, vitrine_fhir::bundle::Action::Read { .. });
            let issue = apply::not_done(&step.action).or_else(|| {
                read.then(|| {
                    Issue::new(
                        IssueCode::NotSupported,
                        "request",
                        "a read has no place in an import",
                    )
                })
            });
            if let Some(issue) = issue {
                let expression = format!("Bundle.entry[{}].{}", step.entry, issue.expression);
                return Ok(refused(&unit, n, &[Issue { expression, ..issue }]));
            }
        }
        let mut changes = apply::changes(steps.iter().enumerate());
        let idle = n.saturating_sub(changes.ops.len() as u64);
        let outcome = self.apply(op_id, &mut changes.ops).await;
        match outcome {
            Ok(applied) => {
                let mut counts = counted(&applied);
                counts.duplicate += idle;
                counts.seen += idle;
                Ok(counts)
            }
            // The operation follows from the bytes: this very Bundle was applied before.
            Err(StoreError::OpReused(_)) => Ok(Counts {
                duplicate: n,
                seen: n,
                ..Counts::default()
            }),
            Err(e) => match content_fault(&e) {
                Some((_, issue)) => Ok(refused(&unit, n, &[issue])),
                None => Err(e),
            },
        }
    }

    async fn apply(
        &self,
        op_id: uuid::Uuid,
        ops: &mut Vec<vitrine_store::ChangeOp>,
    ) -> Result<Applied, StoreError> {
        if ops.is_empty() {
            return Ok(Applied {
                changes: Vec::new(),
                pos: 0,
                duplicate: false,
            });
        }
        let (at, asked) = (clock::now(), ops.len());
        apply::complete(&*self.store, &FhirProjector, ops, at).await?;
        let batch = apply::batch(op_id, at, std::mem::take(ops), "import");
        let permit = self.permits.permit().await?;
        let (mut applied, _) = self.store.import(&permit, batch).await?;
        // What was kept of corrections is not of the file.
        applied.changes.truncate(asked);
        Ok(applied)
    }

    /// Items taken one by one, written together. A faulty one goes to quarantine and the others are tried again.
    async fn parcel(&self, mut items: Vec<Item>) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        let mut bad = Vec::new();
        while !items.is_empty() {
            let faults: Vec<(usize, Issue)> = match self.parcel_once(&items).await? {
                Ok(done) => {
                    counts.add(done);
                    break;
                }
                Err(faults) => faults,
            };
            let mut seen = HashSet::new();
            let mut faults: Vec<(usize, Issue)> =
                faults.into_iter().filter(|(i, _)| seen.insert(*i)).collect();
            faults.sort_by_key(|(i, _)| std::cmp::Reverse(*i));
            if faults.iter().all(|(i, _)| *i >= items.len()) {
                let issue = faults.pop().map_or_else(
                    || Issue::new(IssueCode::Exception, "", "cannot be planned"),
                    |f| f.1,
                );
                bad.extend(
                    items
                        .drain(..)
                        .map(|i| (i.location, i.kind, i.bytes, issue.clone())),
                );
                break;
            }
            for (i, issue) in faults {
                if i < items.len() {
                    let item = items.remove(i);
                    let issue = own_words(issue, i, item.kind.as_deref().unwrap_or_default());
                    bad.push((item.location, item.kind, item.bytes, issue));
                }
            }
        }
        counts.add(self.quarantine(bad).await?);
        Ok(counts)
    }

    async fn parcel_once(&self, items: &[Item]) -> Result<Result<Counts, Vec<(usize, Issue)>>, StoreError> {
        let bundle = Bundle {
            kind: BundleType::Transaction,
            entries: items.iter().enumerate().map(|(i, item)| entry(i, item)).collect(),
        };
        let conditional = !questions(&bundle).is_empty();
        let _one_at_a_time = if conditional {
            Some((self.store.turn().await?, self.conditions.lock().await))
        } else {
            None
        };
        let of_content = |e: &Entry<'_>| of_content(e.resource.unwrap_or_default());
        let steps = match apply::plan_with(&*self.store, &bundle, &of_content).await {
            Ok(p) => p.steps,
            Err(Unplanned::Store(e)) => return Err(e),
            Err(Unplanned::Issues(issues)) => {
                return Ok(Err(issues
                    .into_iter()
                    .map(|EntryIssue { entry, issue }| (entry, issue))
                    .collect()));
            }
        };
        let mut changes = apply::changes(steps.iter().enumerate());
        // An item without an id has one that follows from its bytes: being there already is no conflict.
        for op in &mut changes.ops {
            op.precondition = Precondition::Any;
        }
        let all: Vec<u8> = items
            .iter()
            .flat_map(|i| *blake3::hash(&i.bytes).as_bytes())
            .collect();
        let op_id = apply::content_op(b"parcel", &all);
        let mut applied = self.apply(op_id, &mut changes.ops.clone()).await;
        if let Err(StoreError::OpReused(_)) = applied {
            // The same items were imported before and what they refer to has changed since: they are written anew.
            applied = self.apply(clock::new_uuid(), &mut changes.ops).await;
        }
        match applied {
            Ok(applied) => Ok(Ok(counted(&applied))),
            Err(e) => match content_fault(&e) {
                Some((op, issue)) => {
                    let step = changes.steps.get(op).and_then(|s| steps.get(*s));
                    Ok(Err(vec![(step.map_or(usize::MAX, |s| s.entry), issue)]))
                }
                None => Err(e),
            },
        }
    }

    async fn quarantine(
        &self,
        bad: Vec<(String, Option<String>, Bytes, Issue)>,
    ) -> Result<Counts, StoreError> {
        let n = bad.len() as u64;
        if n > 0 {
            let items = bad
                .into_iter()
                .map(|(location, kind, body, issue)| QuarantineItem {
                    location,
                    kind,
                    reason: format!("{}: {}", issue.code.as_str(), issue.text),
                    expression: (!issue.expression.is_empty()).then_some(issue.expression),
                    body,
                });
            let permit = self.permits.permit().await?;
            self.store
                .quarantine(&permit, clock::now(), items.collect())
                .await?;
        }
        Ok(Counts {
            quarantined: n,
            seen: n,
            ..Counts::default()
        })
    }

    /// Keeps a file that could not even be unpacked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unreadable(&self, location: String, reason: &str) -> Result<Counts, StoreError> {
        let issue = Issue::new(IssueCode::Structure, "", reason);
        self.quarantine(vec![(location, None, Bytes::new(), issue)]).await
    }
}

/// A failure that lies in the content of one change: its index among the changes and what is wrong.
fn content_fault(e: &StoreError) -> Option<(usize, Issue)> {
    match e {
        StoreError::Unprojectable { index, reason, key } => Some((
            *index,
            Issue::new(IssueCode::Invalid, key.kind.as_str(), reason.clone()),
        )),
        StoreError::VersionConflict { .. } => Some((
            usize::MAX,
            Issue::new(IssueCode::Conflict, "", "another version is there already"),
        )),
        StoreError::Destroyed { index, .. } => Some((
            *index,
            Issue::new(
                IssueCode::Processing,
                "",
                "the patient's record was destroyed: nothing is stored under its id again",
            ),
        )),
        StoreError::NotEmpty { index, .. } => Some((
            *index,
            Issue::new(
                IssueCode::Conflict,
                "",
                "the record of this patient is not empty: a Patient is deleted alone, or with all that is there",
            ),
        )),
        _ => None,
    }
}

/// Paths as they are in the item itself, not in the parcel.
fn own_words(issue: Issue, index: usize, kind: &str) -> Issue {
    let entry = format!("Bundle.entry[{index}].");
    let expression = match issue.expression.strip_prefix(&entry) {
        Some(inside) => match inside.strip_prefix("resource.") {
            Some(element) => format!("{kind}.{element}"),
            None => kind.to_owned(),
        },
        None => issue.expression.clone(),
    };
    Issue { expression, ..issue }
}

fn counted(applied: &Applied) -> Counts {
    let mut counts = Counts::default();
    for change in &applied.changes {
        counts.seen += 1;
        if applied.duplicate || change.unchanged {
            counts.duplicate += 1;
        } else {
            counts.accepted += 1;
            *counts.by_type.entry(change.key.kind.to_string()).or_default() += 1;
        }
    }
    counts
}

fn refused(unit: &Unit, n: u64, issues: &[Issue]) -> Counts {
    let more = issues.len().saturating_sub(1);
    let refusals = issues.first().map(|i| Refusal {
        location: unit.location.clone(),
        reason: match more {
            0 => format!("{}: {}", i.code.as_str(), i.text),
            _ => format!("{}: {} (and {more} more)", i.code.as_str(), i.text),
        },
        expression: (!i.expression.is_empty()).then(|| i.expression.clone()),
    });
    Counts {
        refused: n,
        seen: n,
        refusals: refusals.into_iter().collect(),
        ..Counts::default()
    }
}

/// Runs files through an importer, several at once, and gives the sum.
///
/// # Errors
/// [`StoreError`] when the store itself fails.
pub async fn run(importer: Arc<Importer>, files: Vec<std::path::PathBuf>) -> Result<Counts, StoreError> {
    let began = clock::steady();
    let mut total = Counts::default();
    let mut running = tokio::task::JoinSet::new();
    let mut groups = group(files).into_iter();
    loop {
        while running.len() < 4 {
            let Some(group) = groups.next() else { break };
            let importer = importer.clone();
            running.spawn(async move { some(&importer, group).await });
        }
        match running.join_next().await {
            None => break,
            Some(Ok(counts)) => total.add(counts?),
            Some(Err(e)) => {
                return Err(StoreError::Backend {
                    doing: "importing",
                    cause: e.to_string(),
                });
            }
        }
    }
    total.add(importer.finish().await?);
    total.seconds = began.elapsed().as_secs_f64();
    Ok(total)
}

/// Small files go together, so that a folder of single resources does not cost a transaction each.
fn group(files: Vec<std::path::PathBuf>) -> Vec<Vec<std::path::PathBuf>> {
    let mut out: Vec<(u64, Vec<std::path::PathBuf>)> = Vec::new();
    for file in files {
        let size = std::fs::metadata(&file).map_or(u64::MAX, |m| m.len());
        match out.last_mut() {
            Some((sum, group)) if group.len() < PARCEL && sum.saturating_add(size) < 1 << 20 => {
                *sum += size;
                group.push(file);
            }
            _ => out.push((size, vec![file])),
        }
    }
    out.into_iter().map(|(_, g)| g).collect()
}

async fn some(importer: &Importer, files: Vec<std::path::PathBuf>) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let mut small = Vec::new();
    for file in files {
        let (send, mut receive) = tokio::sync::mpsc::channel(2);
        let name = file.display().to_string();
        let reading = tokio::task::spawn_blocking(move || {
            crate::ingest::source::units(&file, |units| {
                let _ = send.blocking_send(units);
            })
        });
        while let Some(units) = receive.recv().await {
            if units.len() == 1 {
                small.extend(units);
            } else {
                counts.add(importer.take(units).await?);
            }
        }
        match reading.await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => counts.add(importer.unreadable(name, &reason).await?),
            Err(e) => counts.add(importer.unreadable(name, &e.to_string()).await?),
        }
    }
    counts.add(importer.take(small).await?);
    Ok(counts)
}
