//! The writer's part of a batch: preconditions, resources, what they mean, the operation id, the audit row.

use super::imaging::{self, Ready};
use super::persons::PersonChange;
use super::prepare::{Prepared, PreparedOp, Put};
use super::project::project;
use super::sql::{During, int, one, run, uint};
use super::{ServerGroup, body, feed, tiers};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, HashMap};
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_store::pack::Packs;
use vitrine_store::scope::chart_rank;
use vitrine_store::{Applied, AppliedChange, Extract, Projector, StoreError, batch, disclosure, meaning};

pub(super) const WRITING: &str = "storing a resource";

/// Applies a batch within the writer's transaction, audit row included. `owner`: the permit's patient; `entry`: the
/// permit's audit row, still without what was written.
pub(super) fn apply(
    conn: &Connection,
    group: &mut ServerGroup,
    projector: &dyn Projector,
    owner: Option<&PatientId>,
    mut entry: AuditEntry,
    batch: &Prepared,
) -> Result<(Applied, Receipt), StoreError> {
    let mut persons = Vec::new();
    let (applied, patients) = match known_operation(conn, batch)? {
        Some(before) => {
            let patients = patients_of(conn, &before)?;
            (before, patients)
        }
        None => {
            let packs = group.packs.clone();
            let mut work = Work::new(conn, projector, owner, UtcMs(batch.at), &packs);
            let applied = work.all(batch)?;
            persons = work.persons;
            (applied, work.patients.into_keys().collect())
        }
    };
    let images = batch.images.iter().map(|i| i.new.named());
    entry.disclosure = disclosure::of_applied(&patients, &applied, images)?;
    let receipt = group.record(conn, &entry)?;
    group.index_persons(persons);
    Ok((applied, receipt))
}

/// The outcome of the first time, when this operation id was applied before.
fn known_operation(conn: &Connection, batch: &Prepared) -> Result<Option<Applied>, StoreError> {
    let found = one(
        conn,
        "SELECT digest, pos, result FROM op WHERE id = ?1",
        [&batch.op_id.as_bytes()[..]],
        |r| Ok((r.get::<_, [u8; 16]>(0)?, uint(r.get(1)?), r.get::<_, Vec<u8>>(2)?)),
    );
    let Some((digest, pos, result)) = found.during("looking the operation up")? else {
        return Ok(None);
    };
    if digest != batch.digest {
        return Err(StoreError::OpReused(batch.op_id));
    }
    let changes = batch::unpack_changes(batch.ops.iter().map(|op| &op.key), &result);
    Ok(Some(Applied {
        changes,
        pos,
        duplicate: true,
    }))
}

fn patients_of(conn: &Connection, applied: &Applied) -> Result<Vec<PatientId>, StoreError> {
    let sql = "SELECT p.id FROM resource r JOIN patient p USING (pid) WHERE r.kind = ?1 AND r.id = ?2";
    let mut out = Vec::new();
    for c in &applied.changes {
        let id = one(conn, sql, [c.key.kind.as_str(), c.key.id.as_str()], |r| {
            r.get::<_, String>(0)
        });
        if let Some(id) = id.during(WRITING)?
            && let Ok(id) = PatientId::new(id)
        {
            out.push(id);
        }
    }
    Ok(out)
}

/// A patient within this batch.
pub(super) struct Touched {
    pub pid: i64,
    rev: i64,
    live: i64,
    dirty: bool,
    /// The operation that makes a new projection necessary.
    pub project: Option<usize>,
}

/// A resource as it is.
pub(super) struct Held {
    pub rid: i64,
    pub pid: Option<i64>,
    pub version: u64,
    pub deleted: bool,
    pub hash: Option<[u8; 16]>,
    pub meaning: i64,
}

/// A batch being applied.
pub(super) struct Work<'w> {
    pub conn: &'w Connection,
    pub projector: &'w dyn Projector,
    owner: Option<&'w PatientId>,
    at: UtcMs,
    /// The operation it is at.
    index: usize,
    patients: BTreeMap<PatientId, Touched>,
    /// Resources whose meaning may rest on old versions, with their operation.
    pub changed: BTreeMap<ResourceKey, usize>,
    kinds: HashMap<String, i64>,
    /// What the search index is to forget (`None`) and to learn.
    pub persons: Vec<PersonChange>,
    pub packs: &'w Packs,
}

impl<'w> Work<'w> {
    fn new(
        conn: &'w Connection,
        projector: &'w dyn Projector,
        owner: Option<&'w PatientId>,
        at: UtcMs,
        packs: &'w Packs,
    ) -> Self {
        Self {
            conn,
            projector,
            owner,
            at,
            index: 0,
            patients: BTreeMap::new(),
            changed: BTreeMap::new(),
            kinds: HashMap::new(),
            persons: Vec::new(),
            packs,
        }
    }

    fn all(&mut self, batch: &Prepared) -> Result<Applied, StoreError> {
        let mut changes = Vec::with_capacity(batch.ops.len());
        for (index, op) in batch.ops.iter().enumerate() {
            changes.push(self.one(index, op)?);
        }
        batch::leaves_no_record(batch.ops.iter().map(|op| op.put.is_none()), &changes, |p| {
            self.patients.get(p).is_some_and(|p| p.live > 0)
        })?;
        self.extract_anew(batch)?;
        for (index, image) in batch.images.iter().enumerate() {
            self.image(index, image)?;
        }
        for p in self.patients.values() {
            flush(self.conn, p)?;
        }
        for (id, p) in &self.patients {
            if let Some(index) = p.project {
                project(self.conn, self.projector, id, p.pid, p.live > 0, self.at, index)?;
            }
        }
        for (kind, n) in self.kinds.iter().filter(|(_, n)| **n != 0) {
            let sql =
                "INSERT INTO tally (name, n) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET n = n + ?2";
            run(self.conn, sql, params![format!("kind:{kind}"), n]).during(WRITING)?;
        }
        let pos = feed::newest(self.conn)?;
        let result = batch::pack_changes(&changes);
        run(
            self.conn,
            "INSERT INTO op (id, digest, pos, result) VALUES (?1, ?2, ?3, ?4)",
            params![&batch.op_id.as_bytes()[..], &batch.digest[..], int(pos), result],
        )
        .during("keeping the operation id")?;
        Ok(Applied {
            changes,
            pos,
            duplicate: false,
        })
    }

    fn one(&mut self, index: usize, op: &PreparedOp) -> Result<AppliedChange, StoreError> {
        self.index = index;
        let held = self.held(&op.key)?;
        let live = held.as_ref().filter(|h| !h.deleted);
        op.precondition.holds(&op.key, live.map(|h| h.version))?;
        if let Some(h) = live {
            self.allowed_pid(&op.key, h.pid)?;
        }
        let version = held.as_ref().map_or(0, |h| h.version);
        let unchanged = AppliedChange {
            key: op.key.clone(),
            version,
            created: false,
            unchanged: true,
        };
        let Some(put) = &op.put else {
            let Some(h) = live else { return Ok(unchanged) };
            self.delete(index, &op.key, h)?;
            return Ok(AppliedChange {
                version: version + 1,
                unchanged: false,
                ..unchanged
            });
        };
        self.allowed(&op.key, put.extract.patient.as_ref())?;
        if let Some(h) = held.as_ref().filter(|h| h.deleted) {
            self.not_destroyed(h.pid)?;
        }
        let pid = match &put.extract.patient {
            Some(p) => Some(self.touch(p)?.pid),
            None => None,
        };
        if let Some(h) = live
            && h.pid == pid
            && self.same_bytes(h, put)?
        {
            return Ok(unchanged);
        }
        let created = live.is_none();
        match held {
            None => self.insert(index, &op.key, pid, put)?,
            Some(h) => self.replace(index, &op.key, &h, pid, put)?,
        }
        Ok(AppliedChange {
            key: op.key.clone(),
            version: version + 1,
            created,
            unchanged: false,
        })
    }

    fn image(&mut self, index: usize, image: &Ready) -> Result<(), StoreError> {
        self.index = index;
        let patient = &image.new.patient;
        if self.owner.is_some_and(|o| o != patient) {
            return Err(StoreError::WrongPatient(format!("image {index}")));
        }
        let pid = self.touch(patient)?.pid;
        imaging::file(self.conn, index, pid, image, self.at)
    }

    pub fn held(&self, key: &ResourceKey) -> Result<Option<Held>, StoreError> {
        let sql =
            "SELECT rid, pid, version, deleted, hash, meaning FROM resource WHERE kind = ?1 AND id = ?2";
        one(self.conn, sql, [key.kind.as_str(), key.id.as_str()], |r| {
            Ok(Held {
                rid: r.get(0)?,
                pid: r.get(1)?,
                version: uint(r.get(2)?),
                deleted: r.get(3)?,
                hash: r.get(4)?,
                meaning: r.get(5)?,
            })
        })
        .during(WRITING)
    }

    fn allowed(&self, key: &ResourceKey, patient: Option<&PatientId>) -> Result<(), StoreError> {
        match self.owner {
            Some(owner) if patient != Some(owner) => Err(StoreError::WrongPatient(key.to_string())),
            _ => Ok(()),
        }
    }

    fn allowed_pid(&mut self, key: &ResourceKey, pid: Option<i64>) -> Result<(), StoreError> {
        let Some(owner) = self.owner else { return Ok(()) };
        let known = one(
            self.conn,
            "SELECT pid FROM patient WHERE id = ?1",
            [owner.as_str()],
            |r| r.get(0),
        );
        let owner_pid: Option<i64> = known.during(WRITING)?;
        if pid.is_some() && pid == owner_pid {
            Ok(())
        } else {
            Err(StoreError::WrongPatient(key.to_string()))
        }
    }

    /// Refuses what is left of a destroyed record.
    fn not_destroyed(&self, pid: Option<i64>) -> Result<(), StoreError> {
        let Some(pid) = pid else { return Ok(()) };
        let sql = "SELECT destroyed FROM patient WHERE pid = ?1";
        let destroyed = one(self.conn, sql, [pid], |r| r.get::<_, bool>(0)).during(WRITING)?;
        match destroyed {
            Some(true) => Err(StoreError::Destroyed {
                index: self.index,
                patient: self.id_of(pid)?,
            }),
            _ => Ok(()),
        }
    }

    fn same_bytes(&self, h: &Held, put: &Put) -> Result<bool, StoreError> {
        if h.hash != Some(put.hash) {
            return Ok(false);
        }
        let packed = one(
            self.conn,
            "SELECT body FROM resource WHERE rid = ?1",
            [h.rid],
            |r| r.get::<_, Vec<u8>>(0),
        );
        let packed = packed.during(WRITING)?.unwrap_or_default();
        match body::open(Some(self.packs), &packed) {
            Ok(raw) => Ok(raw == put.raw),
            // It cannot be compared: that makes one version more, and loses nothing.
            Err(StoreError::Archived { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The patient's row, made when this is the first resource that names it.
    pub fn touch(&mut self, id: &PatientId) -> Result<&mut Touched, StoreError> {
        if !self.patients.contains_key(id) {
            let sql = "SELECT pid, rev, live, destroyed FROM patient WHERE id = ?1";
            let found = one(self.conn, sql, [id.as_str()], |r| {
                let touched = Touched {
                    pid: r.get(0)?,
                    rev: r.get(1)?,
                    live: r.get(2)?,
                    dirty: false,
                    project: None,
                };
                Ok((touched, r.get::<_, bool>(3)?))
            });
            let touched = match found.during(WRITING)? {
                Some((_, true)) => {
                    let (index, patient) = (self.index, id.clone());
                    return Err(StoreError::Destroyed { index, patient });
                }
                Some((t, false)) => t,
                None => {
                    run(
                        self.conn,
                        "INSERT INTO patient (id, rev, live) VALUES (?1, 0, 0)",
                        [id.as_str()],
                    )
                    .during(WRITING)?;
                    Touched {
                        pid: self.conn.last_insert_rowid(),
                        rev: 0,
                        live: 0,
                        dirty: false,
                        project: None,
                    }
                }
            };
            self.patients.insert(id.clone(), touched);
        }
        self.patients.get_mut(id).ok_or(StoreError::Closed)
    }

    /// The next revision of a patient; 0 for a resource of nobody.
    fn next_rev(&mut self, patient: Option<&PatientId>, live: i64) -> Result<i64, StoreError> {
        let Some(id) = patient else { return Ok(0) };
        let t = self.touch(id)?;
        t.rev += 1;
        t.live += live;
        t.dirty = true;
        Ok(t.rev)
    }

    fn count(&mut self, key: &ResourceKey, n: i64) {
        match self.kinds.get_mut(key.kind.as_str()) {
            Some(c) => *c += n,
            None => {
                self.kinds.insert(key.kind.to_string(), n);
            }
        }
    }

    fn insert(
        &mut self,
        index: usize,
        key: &ResourceKey,
        pid: Option<i64>,
        put: &Put,
    ) -> Result<(), StoreError> {
        let rev = self.next_rev(put.extract.patient.as_ref(), 1)?;
        run(
            self.conn,
            "INSERT INTO resource (kind, id, pid, rank, version, rev, updated, deleted, meaning, hash, body)
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, 0, ?7, ?8, ?9)",
            params![
                key.kind.as_str(),
                key.id.as_str(),
                pid,
                chart_rank(key.kind.as_str()),
                rev,
                self.at.0,
                meaning::of(&put.extract),
                &put.hash[..],
                put.packed
            ],
        )
        .during(WRITING)?;
        let rid = self.conn.last_insert_rowid();
        self.count(key, 1);
        self.remember(rid, pid, 1, key, &put.extract, put.words.clone())?;
        self.changed(index, key, &put.extract, 0)
    }

    fn replace(
        &mut self,
        index: usize,
        key: &ResourceKey,
        held: &Held,
        pid: Option<i64>,
        put: &Put,
    ) -> Result<(), StoreError> {
        let moved = held.pid != pid;
        if moved {
            tiers::bring_home(self.conn, self.packs, held.rid)?;
        }
        self.keep_version(held.rid)?;
        self.forget(held.rid, held.pid, held.meaning)?;
        let was_live = i64::from(!held.deleted);
        if moved {
            self.leave(index, held.pid, was_live)?;
        }
        let rev = self.next_rev(put.extract.patient.as_ref(), if moved { 1 } else { 1 - was_live })?;
        let version = held.version + 1;
        run(
            self.conn,
            "UPDATE resource SET pid = ?2, version = ?3, rev = ?4, updated = ?5, deleted = 0, meaning = ?6,
                                 hash = ?7, body = ?8
              WHERE rid = ?1",
            params![
                held.rid,
                pid,
                int(version),
                rev,
                self.at.0,
                meaning::of(&put.extract),
                &put.hash[..],
                put.packed
            ],
        )
        .during(WRITING)?;
        self.count(key, 1 - was_live);
        self.remember(held.rid, pid, version, key, &put.extract, put.words.clone())?;
        self.changed(index, key, &put.extract, held.meaning)
    }

    /// A resource leaves a patient for another: the trigger counts and logs it, so what is cached of the patient is
    /// written before and read again after.
    fn leave(&mut self, index: usize, pid: Option<i64>, was_live: i64) -> Result<(), StoreError> {
        let Some(pid) = pid else { return Ok(()) };
        let id = self.id_of(pid)?;
        if let Some(t) = self.patients.remove(&id) {
            flush(self.conn, &t)?;
        }
        let sql = "SELECT pid, rev, live FROM patient WHERE pid = ?1";
        let found = one(self.conn, sql, [pid], |r| {
            // What the trigger is about to do.
            let (rev, live): (i64, i64) = (r.get(1)?, r.get(2)?);
            Ok(Touched {
                pid,
                rev: rev + 1,
                live: live - was_live,
                dirty: false,
                project: Some(index),
            })
        });
        if let Some(t) = found.during(WRITING)? {
            self.patients.insert(id, t);
        }
        Ok(())
    }

    fn delete(&mut self, index: usize, key: &ResourceKey, held: &Held) -> Result<(), StoreError> {
        self.keep_version(held.rid)?;
        self.forget(held.rid, held.pid, held.meaning)?;
        let patient = match held.pid {
            Some(pid) => Some(self.id_of(pid)?),
            None => None,
        };
        let rev = self.next_rev(patient.as_ref(), -1)?;
        run(
            self.conn,
            "UPDATE resource SET version = version + 1, rev = ?2, updated = ?3, deleted = 1, meaning = 0,
                                 hash = NULL, body = NULL
              WHERE rid = ?1",
            params![held.rid, rev, self.at.0],
        )
        .during(WRITING)?;
        self.count(key, -1);
        let extract = Extract {
            patient,
            ..Extract::default()
        };
        self.changed(index, key, &extract, held.meaning)
    }

    pub fn id_of(&self, pid: i64) -> Result<PatientId, StoreError> {
        let id = one(self.conn, "SELECT id FROM patient WHERE pid = ?1", [pid], |r| {
            r.get::<_, String>(0)
        });
        let id = id.during(WRITING)?.unwrap_or_default();
        PatientId::new(id).map_err(|e| StoreError::Backend {
            doing: WRITING,
            cause: e.to_string(),
        })
    }

    fn keep_version(&self, rid: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO resource_version (rid, version, updated, deleted, body)
                   SELECT rid, version, updated, deleted, body FROM resource WHERE rid = ?1";
        run(self.conn, sql, [rid])
            .during("keeping the version before")
            .map(|_| ())
    }

    /// Notes what follows from a change. A patient is projected anew when the change touched a fact, or when there is
    /// no card yet, or when the last resource may have gone.
    fn changed(
        &mut self,
        index: usize,
        key: &ResourceKey,
        extract: &Extract,
        was: i64,
    ) -> Result<(), StoreError> {
        if let Some(p) = &extract.patient {
            let t = self.touch(p)?;
            if extract.fact.is_some() || was & meaning::FACT != 0 || t.rev == 1 || t.live <= 1 {
                t.project = Some(index);
            }
        }
        self.changed.insert(key.clone(), index);
        Ok(())
    }
}

fn flush(conn: &Connection, t: &Touched) -> Result<(), StoreError> {
    if t.dirty {
        run(
            conn,
            "UPDATE patient SET rev = ?2, live = ?3 WHERE pid = ?1",
            [t.pid, t.rev, t.live],
        )
        .during(WRITING)?;
    }
    Ok(())
}
