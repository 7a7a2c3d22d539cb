//! A batch on a group's state: preconditions, versions, what a resource means. No SQL but what must be read on the way.

use crate::group::{Group, Known};
use crate::prepare::{Prepared, PreparedOp, Put};
use crate::sql::Fault;
use crate::state::{FactIn, FeedOut, Past, Res};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::Receipt;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::meaning::{self, FACT, PERSON};
use vitrine_store::{Applied, AppliedChange, Extract, StoreError, batch, disclosure};

/// The present batch.
struct Turn<'b> {
    batch: &'b Prepared,
    /// Resources whose meaning may rest on old versions, with the operation.
    changed: BTreeMap<ResourceKey, usize>,
    /// Patients it touched.
    touched: Vec<PatientId>,
}

impl Group<'_> {
    /// Applies a batch; on an error of its own nothing of it is left. The position of what is new comes with the
    /// commit.
    pub async fn apply(&mut self, batch: &Prepared) -> Result<(Applied, Receipt), Fault> {
        let (applied, patients) = match self.ops.get(&batch.op_id) {
            Some(known) => {
                let before = again(known, batch)?;
                let of = |c: &AppliedChange| self.state.res(&c.key)?.patient.clone();
                let patients = before.changes.iter().filter_map(of).collect();
                (before, patients)
            }
            None => {
                self.state.begin();
                match self.all(batch).await {
                    Ok(done) => {
                        self.state.keep();
                        done
                    }
                    Err(e) => {
                        self.state.take_back();
                        return Err(e);
                    }
                }
            }
        };
        let mut entry = batch.entry.clone();
        let images = batch.images.iter().map(|i| i.new.named());
        entry.disclosure = disclosure::of_applied(&patients, &applied, images)?;
        let receipt = self.record(&entry)?;
        Ok((applied, receipt))
    }

    async fn all(&mut self, batch: &Prepared) -> Result<(Applied, Vec<PatientId>), Fault> {
        let mut turn = Turn {
            batch,
            changed: BTreeMap::new(),
            touched: Vec::new(),
        };
        let mut changes = Vec::with_capacity(batch.ops.len());
        for (index, op) in batch.ops.iter().enumerate() {
            changes.push(self.one(&mut turn, index, op).await?);
        }
        batch::leaves_no_record(batch.ops.iter().map(|op| op.put.is_none()), &changes, |p| {
            self.state.patients.get(p).is_some_and(|p| p.live > 0)
        })?;
        self.extract_anew(&mut turn).await?;
        turn.touched.sort();
        turn.touched.dedup();
        for patient in &turn.touched {
            let index = self.state.pat(patient).and_then(|p| p.project.take());
            if let Some(index) = index {
                self.project(patient, batch.at, index).await?;
            }
        }
        // Last, because it writes: nothing of the batch's own fails after it.
        self.file_images(batch).await?;
        let result = batch::pack_changes(&changes);
        let known = Known {
            digest: batch.digest,
            pos: None,
            result,
        };
        self.ops.insert(batch.op_id, known);
        let applied = Applied {
            changes,
            pos: 0,
            duplicate: false,
        };
        Ok((applied, turn.touched))
    }

    async fn one(
        &mut self,
        turn: &mut Turn<'_>,
        index: usize,
        op: &PreparedOp,
    ) -> Result<AppliedChange, Fault> {
        let held = self.state.res(&op.key).cloned();
        let live = held.as_ref().filter(|h| !h.deleted);
        op.precondition.holds(&op.key, live.map(|h| h.version))?;
        if let Some(h) = live {
            allowed(turn.batch, &op.key, h.patient.as_ref())?;
        }
        let version = held.as_ref().map_or(0, |h| h.version);
        let unchanged = AppliedChange {
            key: op.key.clone(),
            version,
            created: false,
            unchanged: true,
        };
        let Some(put) = &op.put else {
            let Some(h) = live.cloned() else {
                return Ok(unchanged);
            };
            let extract = Extract {
                patient: h.patient.clone(),
                ..Extract::default()
            };
            self.write(turn, index, &op.key, Some(h), extract, None).await?;
            return Ok(AppliedChange {
                version: version + 1,
                unchanged: false,
                ..unchanged
            });
        };
        allowed(turn.batch, &op.key, put.extract.patient.as_ref())?;
        self.not_destroyed(index, put.extract.patient.as_ref())?;
        self.not_destroyed(index, held.as_ref().and_then(|h| h.patient.as_ref()))?;
        if let Some(h) = live
            && h.patient == put.extract.patient
            && h.hash == Some(put.hash)
        {
            // What lies in the archive cannot be compared: that makes one version more, and loses nothing.
            let same = match self.need_bodies(std::slice::from_ref(&op.key)).await {
                Ok(()) => self.body(&op.key)?.is_some_and(|(_, b)| b[..] == put.raw[..]),
                Err(Fault::Failed(StoreError::Archived { .. })) => false,
                Err(f) => return Err(f),
            };
            if same {
                return Ok(unchanged);
            }
        }
        let created = live.is_none();
        let held = self.state.res(&op.key).cloned();
        self.write(turn, index, &op.key, held, put.extract.clone(), Some(put))
            .await?;
        Ok(AppliedChange {
            key: op.key.clone(),
            version: version + 1,
            created,
            unchanged: false,
        })
    }

    /// Writes the next version of a resource. `put`: `None` marks it deleted.
    async fn write(
        &mut self,
        turn: &mut Turn<'_>,
        index: usize,
        key: &ResourceKey,
        old: Option<Res>,
        extract: Extract,
        put: Option<&Put>,
    ) -> Result<(), Fault> {
        let concerned: Vec<PatientId> = old
            .iter()
            .filter_map(|r| r.patient.clone())
            .chain(extract.patient.clone())
            .collect();
        self.need_patients(&concerned).await?;
        self.load_projections(&concerned).await?;
        turn.touched.extend(concerned);
        let rid = match &old {
            Some(r) => r.rid,
            None => self.next_rid().await?,
        };
        let was_live = old.as_ref().is_some_and(|r| !r.deleted);
        let is_live = put.is_some();
        let had_fact = old.as_ref().is_some_and(Self::had_fact);
        if let Some(of) = old.as_ref().filter(|r| !r.new && r.patient != extract.patient)
            && let Some(pid) = of
                .patient
                .as_ref()
                .and_then(|p| self.state.patients.get(p))
                .map(|p| p.pid)
        {
            self.bring_home(pid, rid).await?;
        }
        if let Some(old) = &old {
            self.forget(key, old);
        }
        let left = old.as_ref().and_then(|r| r.patient.clone());
        let moved = left != extract.patient;
        if let Some(left) = left.filter(|_| moved) {
            self.bump(&left, rid, was_live, false, true);
            if let Some(p) = self.state.pat(&left) {
                p.project = Some(index);
            }
        }
        let rev = match &extract.patient {
            Some(p) => self.bump(p, rid, was_live && !moved, is_live, !is_live),
            None => 0,
        };
        self.state.count(
            format!("kind:{}", key.kind.as_str()),
            i64::from(is_live) - i64::from(was_live),
        );
        let mut new = next(turn.batch.at, rid, rev, old, &extract, put);
        self.remember(key, &mut new, extract.clone());
        self.state.set_res(key, new);
        if let Some(p) = extract.patient.as_ref().and_then(|p| self.state.pat(p))
            && (extract.fact.is_some() || had_fact || p.rev == 1 || p.live <= 1)
        {
            p.project = Some(index);
        }
        turn.changed.insert(key.clone(), index);
        Ok(())
    }

    /// The patient's next revision, with its row of the feed.
    fn bump(&mut self, id: &PatientId, rid: i64, was_live: bool, is_live: bool, tomb: bool) -> i64 {
        let Some(p) = self.state.pat(id) else { return 0 };
        p.rev += 1;
        p.live += i64::from(is_live) - i64::from(was_live);
        p.written = true;
        let (rev, pid) = (p.rev, p.pid);
        self.state.feed.push(FeedOut {
            scope: -pid,
            of: rid,
            prev: rev - 1,
            ver: rev,
            tomb,
        });
        rev
    }

    /// Takes a version's meaning out.
    fn forget(&mut self, key: &ResourceKey, old: &Res) {
        if old.meaning & FACT != 0
            && let Some(p) = old.patient.as_ref().and_then(|p| self.state.pat(p))
        {
            p.forget_fact(old.rid);
        }
        if old.meaning & PERSON != 0 {
            self.state.count("persons".to_owned(), -1);
        }
        self.state.depends(key, old.out.as_ref(), None);
    }

    /// Puts a version's meaning in.
    fn remember(&mut self, key: &ResourceKey, new: &mut Res, extract: Extract) {
        new.meaning = if new.deleted { 0 } else { meaning::of(&extract) };
        if new.meaning & FACT != 0
            && let (Some(f), Some(p)) = (
                &extract.fact,
                new.patient.as_ref().and_then(|p| self.state.pat(p)),
            )
        {
            let fact = FactIn {
                key: key.clone(),
                version: new.version,
                keep: i64::from(f.keep),
                body: Arc::from(&f.body[..]),
            };
            let slot = p.slots.entry(f.slot.clone()).or_default();
            slot.facts.insert((Reverse(f.order_ms), Reverse(new.rid)), fact);
        }
        if new.meaning & PERSON != 0 {
            self.state.count("persons".to_owned(), 1);
        }
        self.state.depends(key, None, Some(&extract));
        new.out = Some(extract);
    }

    fn not_destroyed(&self, index: usize, patient: Option<&PatientId>) -> Result<(), StoreError> {
        match patient.and_then(|p| Some((p, self.state.patients.get(p)?))) {
            Some((id, p)) if p.destroyed => {
                let patient = id.clone();
                Err(StoreError::Destroyed { index, patient })
            }
            _ => Ok(()),
        }
    }

    fn live_version(&self, key: &ResourceKey) -> Option<u64> {
        self.state.live(key).map(|r| r.version)
    }

    /// Extracts anew what was resolved from another version than the one there is now: what the batch brought with
    /// stale extracts, and what others drew from what the batch changed.
    async fn extract_anew(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let mut stale: BTreeMap<ResourceKey, usize> = BTreeMap::new();
        for (index, op) in turn.batch.ops.iter().enumerate() {
            let resolved = op.put.iter().flat_map(|p| &p.extract.resolved);
            for on in resolved {
                if self.live_version(&on.key) != on.version {
                    stale.insert(op.key.clone(), index);
                }
            }
        }
        for (key, index) in &turn.changed {
            let now = self.live_version(key);
            for (dependent, seen) in self.state.dependents.get(key).into_iter().flatten() {
                if *seen != now {
                    stale.insert(dependent.clone(), *index);
                }
            }
        }
        for (key, index) in stale {
            self.extract_one(turn, &key, index).await?;
        }
        Ok(())
    }

    async fn extract_one(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ResourceKey,
        index: usize,
    ) -> Result<(), Fault> {
        self.need_resources(std::slice::from_ref(key)).await?;
        self.need_bodies(std::slice::from_ref(key)).await?;
        let Some((_, bytes)) = self.body(key)? else {
            return Ok(());
        };
        let extract = loop {
            let mut misses = Vec::new();
            let mut failed = None;
            let mut lookup = |k: &ResourceKey| {
                let known = self.state.resources.get(k);
                let unread = |r: &Res| !r.deleted && r.packed.is_none();
                if known.is_none_or(|r| r.as_ref().is_some_and(unread)) {
                    misses.push(k.clone());
                    return None;
                }
                self.body(k).unwrap_or_else(|e| {
                    failed = Some(e);
                    None
                })
            };
            let made = self.projector.extract(key, &bytes, &mut lookup);
            if let Some(e) = failed {
                return Err(e.into());
            }
            if misses.is_empty() {
                break made.map_err(|e| StoreError::Unprojectable {
                    index,
                    key: key.clone(),
                    reason: e.0,
                })?;
            }
            self.need_resources(&misses).await?;
            self.need_bodies(&misses).await?;
        };
        let Some(held) = self.state.live(key).cloned() else {
            return Ok(());
        };
        if let Some(p) = &held.patient {
            self.need_patients(std::slice::from_ref(p)).await?;
            self.load_projections(std::slice::from_ref(p)).await?;
        }
        self.forget(key, &held);
        let mut new = held;
        let extract = Extract {
            patient: new.patient.clone(),
            ..extract
        };
        self.remember(key, &mut new, extract);
        if let Some(id) = new.patient.clone() {
            if let Some(p) = self.state.pat(&id) {
                p.project.get_or_insert(index);
            }
            turn.touched.push(id);
        }
        self.state.set_res(key, new);
        Ok(())
    }
}

/// The outcome of the first time.
fn again(known: &Known, batch: &Prepared) -> Result<Applied, StoreError> {
    if known.digest != batch.digest {
        return Err(StoreError::OpReused(batch.op_id));
    }
    let changes = batch::unpack_changes(batch.ops.iter().map(|op| &op.key), &known.result);
    Ok(Applied {
        changes,
        pos: known.pos.unwrap_or(0),
        duplicate: true,
    })
}

fn next(at: i64, rid: i64, rev: i64, old: Option<Res>, extract: &Extract, put: Option<&Put>) -> Res {
    let mut new = match old {
        None => Res {
            rid,
            patient: None,
            version: 0,
            rev: 0,
            updated: at,
            deleted: false,
            meaning: 0,
            hash: None,
            packed: None,
            new: true,
            written: true,
            keep_base: false,
            past: Vec::new(),
            base_meaning: 0,
            out: None,
        },
        Some(mut r) => {
            if r.written {
                r.past.push(Past {
                    version: r.version,
                    updated: r.updated,
                    deleted: r.deleted,
                    packed: r.packed.clone(),
                });
            } else {
                r.keep_base = true;
            }
            r
        }
    };
    new.patient.clone_from(&extract.patient);
    new.version += 1;
    new.rev = rev;
    new.updated = at;
    new.deleted = put.is_none();
    new.hash = put.map(|p| p.hash);
    new.packed = put.map(|p| Arc::from(&p.packed[..]));
    new.written = true;
    new
}

fn allowed(batch: &Prepared, key: &ResourceKey, patient: Option<&PatientId>) -> Result<(), StoreError> {
    match &batch.owner {
        Some(owner) if patient != Some(owner) => Err(StoreError::WrongPatient(key.to_string())),
        _ => Ok(()),
    }
}
