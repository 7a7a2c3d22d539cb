//! Applying a batch to the memory tables.

use super::state::{Fact, FactKey, Op, Patient, Resource, Tables, Txn, Version};
use super::tiers::body_of;
use crate::disclosure;
use crate::imaging::NewInstance;
use crate::scope::{Scope, chart_rank};
use crate::search::PersonWords;
use crate::{
    Applied, AppliedChange, ChangeBatch, ChangeKind, ChangeOp, Extract, FactRow, Projector, StoreError,
    StoredCard, batch,
};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::Disclosure;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};

/// Applies a batch; on an error nothing of it is there. `owner`: the permit's patient.
pub(super) fn apply(
    tables: &mut Tables,
    projector: &dyn Projector,
    owner: Option<&PatientId>,
    batch: &ChangeBatch,
) -> Result<(Applied, Disclosure), StoreError> {
    let digest = batch::content_digest(batch);
    if let Some(op) = tables.ops.get(&batch.op_id) {
        if op.digest != digest {
            return Err(StoreError::OpReused(batch.op_id));
        }
        let applied = Applied {
            duplicate: true,
            ..op.applied.clone()
        };
        let disclosure = disclosed(tables, &applied, batch)?;
        return Ok((applied, disclosure));
    }
    let mut run = Run {
        txn: Txn::begin(tables),
        projector,
        owner,
        at: batch.at,
        touched: BTreeMap::new(),
        changed: BTreeMap::new(),
    };
    let mut changes = Vec::with_capacity(batch.ops.len());
    for (index, op) in batch.ops.iter().enumerate() {
        changes.push(run.one(index, op)?);
    }
    let deletes = batch.ops.iter().map(|op| matches!(op.kind, ChangeKind::Delete));
    crate::batch::leaves_no_record(deletes, &changes, |p| {
        run.txn.t.patients.get(p).is_some_and(|p| p.live > 0)
    })?;
    run.extract_anew()?;
    run.project()?;
    for (index, image) in batch.images.iter().enumerate() {
        super::imaging::file(&mut run.txn, owner, index, image, batch.at)?;
    }
    let pos = run.txn.t.feed_pos;
    let applied = Applied {
        changes,
        pos,
        duplicate: false,
    };
    run.txn.set(
        |t| &mut t.ops,
        batch.op_id,
        Some(Op {
            digest,
            applied: applied.clone(),
        }),
    );
    let disclosure = disclosed(run.txn.t, &applied, batch)?;
    run.txn.keep();
    Ok((applied, disclosure))
}

fn disclosed(tables: &Tables, applied: &Applied, batch: &ChangeBatch) -> Result<Disclosure, StoreError> {
    let of = |c: &AppliedChange| tables.resources.get(&c.key)?.patient.as_ref();
    let images = batch.images.iter().map(NewInstance::named);
    disclosure::of_applied(applied.changes.iter().filter_map(of), applied, images)
}

struct Run<'r> {
    txn: Txn<'r>,
    projector: &'r dyn Projector,
    owner: Option<&'r PatientId>,
    at: UtcMs,
    /// Patients to project, with the operation that touched them.
    touched: BTreeMap<PatientId, usize>,
    /// Resources that changed, with the operation.
    changed: BTreeMap<ResourceKey, usize>,
}

impl Run<'_> {
    fn one(&mut self, index: usize, op: &ChangeOp) -> Result<AppliedChange, StoreError> {
        let old = self.txn.t.resources.get(&op.key).cloned();
        let live = old.as_ref().filter(|r| !r.current.deleted);
        op.precondition.holds(&op.key, live.map(|r| r.current.version))?;
        if let Some(r) = live {
            self.allowed(&op.key, r.patient.as_ref())?;
        }
        let version = old.as_ref().map_or(0, |r| r.current.version);
        let same = |version| AppliedChange {
            key: op.key.clone(),
            version,
            created: false,
            unchanged: true,
        };
        match &op.kind {
            ChangeKind::Delete => {
                let Some(old) = live.cloned() else {
                    return Ok(same(version));
                };
                let extract = Extract {
                    patient: old.patient.clone(),
                    ..Extract::default()
                };
                self.write(index, &op.key, Some(old), extract, Bytes::new(), true);
                Ok(AppliedChange {
                    key: op.key.clone(),
                    version: version + 1,
                    created: false,
                    unchanged: false,
                })
            }
            ChangeKind::Put(body) => {
                let extract = match &op.extract {
                    Some(e) => e.clone(),
                    None => self.extract(index, &op.key, body)?,
                };
                self.allowed(&op.key, extract.patient.as_ref())?;
                self.not_destroyed(index, extract.patient.as_ref())?;
                self.not_destroyed(index, old.as_ref().and_then(|r| r.patient.as_ref()))?;
                let t = &self.txn.t;
                let is_same = |r: &&Resource| {
                    r.patient == extract.patient && body_of(t, &r.current).is_ok_and(|b| b == *body)
                };
                if live.as_ref().is_some_and(is_same) {
                    return Ok(same(version));
                }
                let created = live.is_none();
                let mut old = old;
                if let Some(r) = old.as_mut().filter(|r| r.patient != extract.patient) {
                    // What was packed as one patient's does not stay in that patient's pack as another's.
                    for v in r.older.iter_mut().chain([&mut r.current]) {
                        body_of(self.txn.t, v)?;
                        v.pack = None;
                    }
                }
                self.write(index, &op.key, old, extract, body.clone(), false);
                Ok(AppliedChange {
                    key: op.key.clone(),
                    version: version + 1,
                    created,
                    unchanged: false,
                })
            }
        }
    }

    fn allowed(&self, key: &ResourceKey, patient: Option<&PatientId>) -> Result<(), StoreError> {
        match self.owner {
            Some(owner) if patient != Some(owner) => Err(StoreError::WrongPatient(key.to_string())),
            _ => Ok(()),
        }
    }

    fn not_destroyed(&self, index: usize, patient: Option<&PatientId>) -> Result<(), StoreError> {
        match patient.and_then(|p| Some((p, self.txn.t.patients.get(p)?))) {
            Some((p, held)) if held.destroyed => {
                let patient = p.clone();
                Err(StoreError::Destroyed { index, patient })
            }
            _ => Ok(()),
        }
    }

    fn extract(&self, index: usize, key: &ResourceKey, body: &[u8]) -> Result<Extract, StoreError> {
        let mut lookup = |k: &ResourceKey| {
            let r = self.txn.t.resources.get(k).filter(|r| !r.current.deleted)?;
            Some((r.current.version, r.current.body.to_vec()))
        };
        self.projector
            .extract(key, body, &mut lookup)
            .map_err(|e| StoreError::Unprojectable {
                index,
                key: key.clone(),
                reason: e.0,
            })
    }

    fn write(
        &mut self,
        index: usize,
        key: &ResourceKey,
        old: Option<Resource>,
        extract: Extract,
        body: Bytes,
        deleted: bool,
    ) {
        let was_live = old.as_ref().is_some_and(|r| !r.current.deleted);
        let old_patient = old.as_ref().and_then(|r| r.patient.clone());
        let number = old.as_ref().map_or_else(|| self.txn.t.numbers + 1, |r| r.number);
        self.txn.t.numbers = self.txn.t.numbers.max(number);
        if let Some(old) = &old {
            self.forget(key, old);
        }
        if let Some(p) = old_patient
            .as_ref()
            .filter(|p| extract.patient.as_ref() != Some(p))
        {
            let rev = self.bump(p, was_live, false);
            self.feed_resource(p, key, rev, true);
            self.touched.insert(p.clone(), index);
        }
        let moved = old_patient != extract.patient;
        let rev = match &extract.patient {
            Some(p) => {
                let rev = self.bump(p, was_live && !moved, !deleted);
                self.feed_resource(p, key, rev, deleted);
                self.touched.insert(p.clone(), index);
                rev
            }
            None => 0,
        };
        let (version, older) = match old {
            Some(old) => {
                let mut older = old.older;
                let version = old.current.version + 1;
                older.push(old.current);
                (version, older)
            }
            None => (1, Vec::new()),
        };
        let current = Version {
            version,
            updated: self.at,
            deleted,
            body,
            pack: None,
        };
        let new = Resource {
            number,
            patient: extract.patient.clone(),
            rev,
            current,
            older,
            extract,
        };
        self.remember(key, &new);
        self.txn.set(|t| &mut t.resources, key.clone(), Some(new));
        self.changed.insert(key.clone(), index);
    }

    fn bump(&mut self, patient: &PatientId, was_live: bool, is_live: bool) -> u64 {
        let mut p = self.txn.t.patients.get(patient).cloned().unwrap_or_default();
        p.rev += 1;
        p.live = p.live + u64::from(is_live) - u64::from(was_live);
        let rev = p.rev;
        self.txn.set(|t| &mut t.patients, patient.clone(), Some(p));
        rev
    }

    fn feed_resource(&mut self, patient: &PatientId, key: &ResourceKey, rev: u64, tomb: bool) {
        let scope = Scope::Patient(patient.clone());
        self.txn.t.feed_row(&scope, key.to_string(), rev - 1, rev, tomb);
    }

    /// Takes a resource's version out of the indexes.
    fn forget(&mut self, key: &ResourceKey, old: &Resource) {
        if old.current.deleted {
            return;
        }
        if let Some(p) = &old.patient {
            let place = (p.clone(), chart_rank(key.kind.as_str()), Reverse(old.number));
            self.txn.set(|t| &mut t.charts, place, None);
            self.txn
                .set(|t| &mut t.chart_keys, (p.clone(), key.clone()), None);
        }
        self.forget_meaning(key, old);
    }

    fn forget_meaning(&mut self, key: &ResourceKey, old: &Resource) {
        if let Some(fact) = fact_key(old) {
            self.txn.set(|t| &mut t.facts, fact, None);
        }
        for (system, value) in &old.extract.identifiers {
            let ident = (value.clone(), system.clone(), key.kind.to_string(), old.number);
            self.txn.set(|t| &mut t.idents, ident, None);
        }
        for on in &old.extract.resolved {
            self.txn
                .set(|t| &mut t.dependents, (on.key.clone(), key.clone()), None);
        }
        if let (Some(p), true) = (&old.patient, old.extract.person.is_some()) {
            self.person(p, None);
        }
    }

    fn remember(&mut self, key: &ResourceKey, new: &Resource) {
        if new.current.deleted {
            return;
        }
        if let Some(p) = &new.patient {
            let place = (p.clone(), chart_rank(key.kind.as_str()), Reverse(new.number));
            self.txn.set(|t| &mut t.charts, place, Some(key.clone()));
            self.txn
                .set(|t| &mut t.chart_keys, (p.clone(), key.clone()), Some(()));
        }
        self.remember_meaning(key, new);
    }

    fn remember_meaning(&mut self, key: &ResourceKey, new: &Resource) {
        if let (Some(place), Some(f)) = (fact_key(new), &new.extract.fact) {
            let fact = Fact {
                key: key.clone(),
                version: new.current.version,
                keep: f.keep,
                body: f.body.clone(),
            };
            self.txn.set(|t| &mut t.facts, place, Some(fact));
        }
        for (system, value) in &new.extract.identifiers {
            let ident = (value.clone(), system.clone(), key.kind.to_string(), new.number);
            self.txn.set(|t| &mut t.idents, ident, Some(key.clone()));
        }
        for on in &new.extract.resolved {
            self.txn
                .set(|t| &mut t.dependents, (on.key.clone(), key.clone()), Some(()));
        }
        if let (Some(p), Some(person)) = (&new.patient, &new.extract.person) {
            self.person(p, Some(PersonWords::of(person)));
        }
    }

    fn person(&mut self, patient: &PatientId, person: Option<PersonWords>) {
        let mut p = self.txn.t.patients.get(patient).cloned().unwrap_or_default();
        p.person = person;
        self.txn.set(|t| &mut t.patients, patient.clone(), Some(p));
    }

    /// Extracts anew what was resolved from another version than the one there is now.
    fn extract_anew(&mut self) -> Result<(), StoreError> {
        let mut stale: BTreeMap<ResourceKey, usize> = BTreeMap::new();
        for (key, index) in &self.changed {
            stale.insert(key.clone(), *index);
            for (on, dependent) in self.txn.t.dependents.range(first_of(key)..).map(|(k, ())| k) {
                if on != key {
                    break;
                }
                stale.insert(dependent.clone(), *index);
            }
        }
        for (key, index) in stale {
            let Some(r) = self
                .txn
                .t
                .resources
                .get(&key)
                .filter(|r| !r.current.deleted)
                .cloned()
            else {
                continue;
            };
            let now = |k: &ResourceKey| {
                self.txn
                    .t
                    .resources
                    .get(k)
                    .filter(|r| !r.current.deleted)
                    .map(|r| r.current.version)
            };
            if r.extract.resolved.iter().all(|on| now(&on.key) == on.version) {
                continue;
            }
            let extract = self.extract(index, &key, &r.current.body)?;
            self.forget_meaning(&key, &r);
            let new = Resource {
                extract: Extract {
                    patient: r.patient.clone(),
                    ..extract
                },
                ..r
            };
            self.remember_meaning(&key, &new);
            if let Some(p) = &new.patient {
                self.touched.entry(p.clone()).or_insert(index);
            }
            self.txn.set(|t| &mut t.resources, key, Some(new));
        }
        Ok(())
    }

    fn project(&mut self) -> Result<(), StoreError> {
        for (patient, index) in std::mem::take(&mut self.touched) {
            self.project_one(&patient, index)?;
        }
        Ok(())
    }

    fn project_one(&mut self, id: &PatientId, index: usize) -> Result<(), StoreError> {
        let mut p = self.txn.t.patients.get(id).cloned().unwrap_or_default();
        let projection = if p.live > 0 {
            let facts = kept(self.txn.t, id);
            let made = self
                .projector
                .project(id, &facts)
                .map_err(|e| StoreError::unprojectable_card(id, index, e))?;
            Some(made)
        } else {
            None
        };
        let members: BTreeSet<_> = projection
            .iter()
            .flat_map(|x| x.ward.iter().chain(&x.also_wards).cloned())
            .collect();
        let before = p.card_ver;
        for ward in p.members.difference(&members) {
            self.txn.t.feed_row(
                &Scope::Ess(ward.clone()),
                id.to_string(),
                before,
                before + 1,
                true,
            );
        }
        let ward = projection.as_ref().and_then(|x| x.ward.clone());
        let body = projection.as_ref().map(|x| Bytes::copy_from_slice(&x.card));
        if p.card.as_ref().map(|c| &c.body) != body.as_ref() {
            p.card_ver += 1;
            let prev = if p.card.is_some() { before } else { 0 };
            self.txn
                .t
                .feed_row(&Scope::Site, id.to_string(), prev, p.card_ver, body.is_none());
            for w in p.members.intersection(&members) {
                self.txn
                    .t
                    .feed_row(&Scope::Ess(w.clone()), id.to_string(), prev, p.card_ver, false);
            }
        }
        for w in members.difference(&p.members) {
            self.txn
                .t
                .feed_row(&Scope::Ess(w.clone()), id.to_string(), 0, p.card_ver, false);
        }
        self.membership(id, &p.members, &members);
        p.members = members;
        let updated = p
            .card
            .as_ref()
            .filter(|_| p.card_ver == before)
            .map_or(self.at, |c| c.updated);
        p.card = body.map(|body| StoredCard {
            patient: id.clone(),
            version: p.card_ver,
            updated,
            ward: ward.clone(),
            body,
        });
        let board = projection.and_then(|x| Some((x.ward?, Bytes::from(x.board?))));
        self.board(id, &mut p, board);
        self.txn.set(|t| &mut t.patients, id.clone(), Some(p));
        Ok(())
    }

    fn membership(
        &mut self,
        id: &PatientId,
        old: &BTreeSet<vitrine_clinical::WardId>,
        new: &BTreeSet<vitrine_clinical::WardId>,
    ) {
        for w in old.difference(new) {
            self.txn.set(|t| &mut t.wards, (w.clone(), id.clone()), None);
        }
        for w in new.difference(old) {
            self.txn.set(|t| &mut t.wards, (w.clone(), id.clone()), Some(()));
        }
    }

    fn board(&mut self, id: &PatientId, p: &mut Patient, board: Option<(vitrine_clinical::WardId, Bytes)>) {
        if p.board == board {
            return;
        }
        let before = p.board_ver;
        p.board_ver += 1;
        let stays = matches!((&p.board, &board), (Some((a, _)), Some((b, _))) if a == b);
        if let Some((old, _)) = p.board.as_ref().filter(|_| !stays) {
            self.txn.t.feed_row(
                &Scope::Board(old.clone()),
                id.to_string(),
                before,
                before + 1,
                true,
            );
            self.txn.set(|t| &mut t.boards, (old.clone(), id.clone()), None);
        }
        if let Some((new, _)) = &board {
            let prev = if stays { before } else { 0 };
            self.txn.t.feed_row(
                &Scope::Board(new.clone()),
                id.to_string(),
                prev,
                p.board_ver,
                false,
            );
            self.txn
                .set(|t| &mut t.boards, (new.clone(), id.clone()), Some(()));
        }
        p.board = board;
    }
}

/// Below every `(on, dependent)` with this `on`: no type is shorter than one character.
fn first_of(on: &ResourceKey) -> (ResourceKey, ResourceKey) {
    let least = match ResourceKey::new("-", "-") {
        Ok(key) => key,
        Err(e) => unreachable!("a hyphen is permitted in ids: {e}"),
    };
    (on.clone(), least)
}

fn fact_key(r: &Resource) -> Option<FactKey> {
    let fact = r.extract.fact.as_ref()?;
    Some((
        r.patient.clone()?,
        fact.slot.clone(),
        Reverse(fact.order_ms),
        Reverse(r.number),
    ))
}

/// The newest facts of each of a patient's slots; how many, the newest of the slot says.
fn kept(t: &Tables, id: &PatientId) -> Vec<FactRow> {
    let from: FactKey = (id.clone(), String::new(), Reverse(i64::MAX), Reverse(u64::MAX));
    let mut out = Vec::new();
    let mut slot: Option<(&str, u32)> = None;
    for ((patient, name, _, _), fact) in t.facts.range(from..) {
        if patient != id {
            break;
        }
        let left = match slot {
            Some((s, left)) if s == name => left,
            _ => fact.keep,
        };
        if left > 0 {
            out.push(FactRow {
                key: fact.key.clone(),
                version: fact.version,
                body: fact.body.clone(),
            });
        }
        slot = Some((name, left.saturating_sub(1)));
    }
    out
}
