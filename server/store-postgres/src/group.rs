//! A group of operations in one transaction: what it loads before it begins, and what it needs on the way.
//!
//! Lives here: [`Group`], loading and locking. Never here: the rules of a change (`apply`), what follows from one
//! (`project`), writing (`flush`). Called by `lane`.
//!
//! Patients are locked before anything of theirs is read, in the order of their ids, so that two servers that write to
//! the same patient go one after the other.

use crate::audit_find::Entries;
use crate::messages::MessagesDone;
use crate::prepare::Prepared;
use crate::sql::{self, Fault, Params, all, col, hash16, one, parsed, uint};
use crate::state::{BoardRow, CardRow, FactAt, FactIn, Pat, Res, Slot, State};
use crate::vault::{Place, Vault, unpack};
use deadpool_postgres::Transaction;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;
use vitrine_access::chain::Head;
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{PatientId, ResourceKey, WardId};
use vitrine_store::meaning::FACT;
use vitrine_store::tiers::{day_of, used_by};
use vitrine_store::{Projector, StoreError};

pub(crate) const WRITING: &str = "storing a resource";
const LOADING: &str = "reading what is to be changed";
/// Facts of a slot that are read beyond those the card needs, so that taking some out needs no second read.
const SPARE: i64 = 8;

/// An operation that was applied, in the database or in this group.
pub(crate) struct Known {
    pub digest: [u8; 16],
    /// `None` = of this group.
    pub pos: Option<u64>,
    /// Per change: flags, version.
    pub result: Vec<u8>,
}

/// A row of the chain to write.
pub(crate) struct AuditOut {
    pub seq: u64,
    pub at: i64,
    pub hash: [u8; 32],
    pub body: Vec<u8>,
}

/// A group of operations.
pub(crate) struct Group<'g> {
    pub tx: &'g Transaction<'g>,
    pub vault: &'g Vault,
    pub projector: &'g dyn Projector,
    pub chain: &'g str,
    pub head: Head,
    pub audit: Vec<AuditOut>,
    /// The chain's number, its last row before this group, and what its rows are found by.
    pub chain_no: i32,
    pub began: u64,
    pub found: Entries,
    pub ops: HashMap<Uuid, Known>,
    pub state: State,
    pub wards: HashMap<WardId, i64>,
    /// The commit of an earlier try of this group may have taken place.
    pub again: bool,
    /// Records to destroy: what is left of them goes once everything else is written.
    pub purge: Vec<i64>,
    /// Day on which records were used.
    pub used: BTreeMap<PatientId, i64>,
    /// What became of the group's messages, in their order.
    pub messages: MessagesDone,
    rids: VecDeque<i64>,
}

impl<'g> Group<'g> {
    /// Begins: from here on the transaction's own writes are the store's, and nobody else appends to the chain.
    pub async fn begin(
        tx: &'g Transaction<'g>,
        vault: &'g Vault,
        projector: &'g dyn Projector,
        chain: &'g str,
    ) -> Result<Self, Fault> {
        let doing = "locking the audit chain";
        let sql = "SELECT h.seq, h.hash, set_config('vitrine.writer', 'store', true),
                          (SELECT a.no FROM audit_chain a WHERE a.name = h.chain)
                     FROM audit_head h WHERE h.chain = $1 FOR UPDATE";
        let mut found = one(tx, doing, sql, &[&chain]).await?;
        if found.is_none() {
            let first = "INSERT INTO audit_head (chain, seq, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING";
            sql::run(tx, doing, first, &[&chain, &&Head::EMPTY.hash[..]]).await?;
            found = one(tx, doing, sql, &[&chain]).await?;
        }
        let row = found.ok_or(Fault::Failed(StoreError::Closed))?;
        let head = Head {
            seq: uint(col(&row, 0, doing)?),
            hash: sql::hash32(col(&row, 1, doing)?),
        };
        let chain_no = match col(&row, 3, doing)? {
            Some(no) => no,
            None => crate::audit_find::chain_no(tx, chain).await?,
        };
        Ok(Self {
            tx,
            vault,
            projector,
            chain,
            head,
            audit: Vec::new(),
            chain_no,
            began: head.seq,
            found: Entries::default(),
            ops: HashMap::new(),
            state: State::default(),
            wards: HashMap::new(),
            again: false,
            purge: Vec::new(),
            used: BTreeMap::new(),
            messages: MessagesDone::default(),
            rids: VecDeque::new(),
        })
    }

    /// Appends a row to the chain and gives the receipt that becomes valid with the commit: the lane answers only
    /// after it.
    pub fn record(&mut self, entry: &AuditEntry) -> Result<Receipt, StoreError> {
        let text = serde_json::to_vec(entry).map_err(|e| StoreError::Backend {
            doing: "writing the audit row",
            cause: e.to_string(),
        })?;
        let after = self.head.after(&text);
        self.audit.push(AuditOut {
            seq: after.seq,
            at: entry.at.0,
            hash: after.hash,
            body: self.vault.put(Place::Audit(self.chain, after.seq), &text)?,
        });
        self.found
            .add(self.vault, self.chain_no, after.seq, entry.at, Some(entry));
        self.head = after;
        for patient in used_by(entry) {
            let day = self.used.entry(patient).or_default();
            *day = day_of(entry.at).max(*day);
        }
        Ok(Receipt::of_committed_row(entry.access_id, after.seq))
    }

    /// Loads everything the batches name, in as few rounds as there are locks to take.
    pub async fn load(&mut self, batches: &[&Prepared]) -> Result<(), Fault> {
        let mut patients = BTreeSet::new();
        let mut written = Vec::new();
        let mut resolved = HashSet::new();
        let mut puts = 0_i64;
        for op in batches.iter().flat_map(|b| &b.ops) {
            written.push(op.key.clone());
            if let Some(put) = &op.put {
                puts += 1;
                patients.extend(put.extract.patient.clone());
                resolved.extend(put.extract.resolved.iter().map(|r| r.key.clone()));
            }
        }
        patients.extend(
            batches
                .iter()
                .flat_map(|b| &b.images)
                .map(|i| i.new.patient.clone()),
        );
        if written.is_empty() && patients.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = batches.iter().map(|b| b.op_id).collect();
        let (tx, patients) = (self.tx, patients.into_iter().collect::<Vec<_>>());
        let (known_with, rids_with): (Params<'_>, Params<'_>) = (&[&ids], &[&puts]);
        let known = "SELECT id, digest, pos, result FROM op WHERE id = ANY($1)";
        let known = all(tx, "looking the operation up", known, known_with);
        let rids = "SELECT nextval('resource_rid') FROM generate_series(1, $1::bigint)";
        let rids = all(tx, WRITING, rids, rids_with);
        let (known, rids, locked) = tokio::try_join!(known, rids, lock_patients(tx, &patients))?;
        for row in known {
            let known = Known {
                digest: hash16(Some(col(&row, 1, LOADING)?)).unwrap_or_default(),
                pos: Some(uint(col(&row, 2, LOADING)?)),
                result: col(&row, 3, LOADING)?,
            };
            self.ops.insert(col(&row, 0, LOADING)?, known);
        }
        for row in &rids {
            self.rids.push_back(col(row, 0, LOADING)?);
        }
        self.take_patients(locked)?;
        self.load_resources(&written, true).await?;
        let resolved: Vec<ResourceKey> = resolved
            .into_iter()
            .filter(|k| !self.state.resources.contains_key(k))
            .collect();
        self.load_resources(&resolved, false).await?;
        self.load_dependents(&written).await?;
        let holders: Vec<PatientId> = self.state.patients.keys().cloned().collect();
        self.load_projections(&holders).await
    }

    /// Makes sure that patients are locked and known.
    pub async fn need_patients(&mut self, ids: &[PatientId]) -> Result<(), Fault> {
        let missing: BTreeSet<PatientId> = ids
            .iter()
            .filter(|id| !self.state.patients.contains_key(*id))
            .cloned()
            .collect();
        let missing: Vec<PatientId> = missing.into_iter().collect();
        let locked = lock_patients(self.tx, &missing).await?;
        self.take_patients(locked)
    }

    fn take_patients(&mut self, rows: Vec<Row>) -> Result<(), Fault> {
        for row in rows {
            let pid: i64 = col(&row, 0, LOADING)?;
            let id = parsed(PatientId::new(col::<String>(&row, 1, LOADING)?), LOADING)?;
            let (rev, live) = (col(&row, 2, LOADING)?, col(&row, 3, LOADING)?);
            let pat = Pat::new(pid, rev, live, col(&row, 4, LOADING)?);
            self.state.ids.insert(pid, id.clone());
            self.state.patients.insert(id, pat);
        }
        Ok(())
    }

    /// Makes sure that resources are known.
    pub async fn need_resources(&mut self, keys: &[ResourceKey]) -> Result<(), Fault> {
        let missing: HashSet<ResourceKey> = keys
            .iter()
            .filter(|k| !self.state.resources.contains_key(*k))
            .cloned()
            .collect();
        self.load_resources(&missing.into_iter().collect::<Vec<_>>(), true)
            .await
    }

    async fn load_resources(&mut self, keys: &[ResourceKey], lock: bool) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        let kinds: Vec<&str> = keys.iter().map(|k| k.kind.as_str()).collect();
        let ids: Vec<&str> = keys.iter().map(|k| k.id.as_str()).collect();
        let sql =
            "SELECT r.kind, r.id, r.rid, p.id, r.version, r.rev, r.updated, r.deleted, r.meaning, r.hash
                     FROM unnest($1::text[], $2::text[]) k(kind, id) JOIN resource r USING (kind, id)
                     LEFT JOIN patient p USING (pid) ORDER BY r.rid";
        let locking = format!("{sql} FOR UPDATE OF r");
        let rows = all(
            self.tx,
            LOADING,
            if lock { &locking } else { sql },
            &[&kinds, &ids],
        )
        .await?;
        for key in keys {
            self.state.resources.insert(key.clone(), None);
        }
        let mut holders = Vec::new();
        for row in rows {
            let (kind, id): (&str, &str) = (col(&row, 0, LOADING)?, col(&row, 1, LOADING)?);
            let key = parsed(ResourceKey::new(kind, id), LOADING)?;
            let patient: Option<String> = col(&row, 3, LOADING)?;
            let patient = patient.map(|p| parsed(PatientId::new(p), LOADING)).transpose()?;
            holders.extend(patient.clone());
            let meaning = col(&row, 8, LOADING)?;
            let res = Res {
                rid: col(&row, 2, LOADING)?,
                patient,
                version: uint(col(&row, 4, LOADING)?),
                rev: col(&row, 5, LOADING)?,
                updated: col(&row, 6, LOADING)?,
                deleted: col(&row, 7, LOADING)?,
                meaning,
                hash: hash16(col(&row, 9, LOADING)?),
                packed: None,
                new: false,
                written: false,
                keep_base: false,
                past: Vec::new(),
                base_meaning: meaning,
                out: None,
            };
            self.state.resources.insert(key, Some(res));
        }
        if lock {
            self.need_patients(&holders).await?;
        }
        Ok(())
    }

    async fn load_dependents(&mut self, keys: &[ResourceKey]) -> Result<(), Fault> {
        let kinds: Vec<&str> = keys.iter().map(|k| k.kind.as_str()).collect();
        let ids: Vec<&str> = keys.iter().map(|k| k.id.as_str()).collect();
        let sql = "SELECT DISTINCT d.on_kind, d.on_id, r.kind, r.id, d.version
                     FROM unnest($1::text[], $2::text[]) k(on_kind, on_id) JOIN dependency d USING (on_kind, on_id)
                     JOIN resource r USING (rid)";
        for row in all(self.tx, LOADING, sql, &[&kinds, &ids]).await? {
            let on = parsed(
                ResourceKey::new(col(&row, 0, LOADING)?, col(&row, 1, LOADING)?),
                LOADING,
            )?;
            let key = parsed(
                ResourceKey::new(col(&row, 2, LOADING)?, col(&row, 3, LOADING)?),
                LOADING,
            )?;
            let seen: Option<i64> = col(&row, 4, LOADING)?;
            self.state
                .dependents
                .entry(on)
                .or_default()
                .push((key, seen.map(uint)));
        }
        Ok(())
    }

    /// Makes sure that facts, card, membership and board of patients are known.
    pub async fn load_projections(&mut self, patients: &[PatientId]) -> Result<(), Fault> {
        let pids: Vec<i64> = patients
            .iter()
            .filter_map(|p| self.state.patients.get(p))
            .filter(|p| !p.loaded)
            .map(|p| p.pid)
            .collect();
        if pids.is_empty() {
            return Ok(());
        }
        let facts = "WITH RECURSIVE s AS (
               SELECT p.pid, f.slot, f.keep FROM unnest($1::bigint[]) p(pid) CROSS JOIN LATERAL
                 (SELECT slot, keep FROM fact WHERE fact.pid = p.pid
                   ORDER BY slot, order_ms DESC, rid DESC LIMIT 1) f
               UNION ALL
               SELECT s.pid, f.slot, f.keep FROM s CROSS JOIN LATERAL
                 (SELECT slot, keep FROM fact WHERE fact.pid = s.pid AND fact.slot > s.slot
                   ORDER BY slot, order_ms DESC, rid DESC LIMIT 1) f)
             SELECT s.pid, s.slot, f.rid, f.order_ms, f.keep, f.version, f.body, r.kind, r.id, s.keep
               FROM s CROSS JOIN LATERAL
                 (SELECT * FROM fact WHERE fact.pid = s.pid AND fact.slot = s.slot
                   ORDER BY order_ms DESC, rid DESC LIMIT s.keep + $2) f
               JOIN resource r ON r.rid = f.rid";
        let cards = "SELECT pid, ver, live, updated, ward, hash FROM card WHERE pid = ANY($1)";
        let members = "SELECT pid, ward, ver FROM ess_member WHERE pid = ANY($1)";
        let boards = "SELECT pid, ward, ver, hash FROM board WHERE pid = ANY($1)";
        let spare = SPARE + 1;
        let (facts_with, with): (Params<'_>, Params<'_>) = (&[&pids, &spare], &[&pids]);
        let (facts, cards, members, boards) = tokio::try_join!(
            all(self.tx, LOADING, facts, facts_with),
            all(self.tx, LOADING, cards, with),
            all(self.tx, LOADING, members, with),
            all(self.tx, LOADING, boards, with),
        )?;
        for pid in &pids {
            if let Some(p) = self.of_pid(*pid) {
                p.loaded = true;
            }
        }
        self.take_facts(&facts)?;
        for row in cards {
            let card = CardRow {
                ver: uint(col(&row, 1, LOADING)?),
                live: col(&row, 2, LOADING)?,
                updated: col(&row, 3, LOADING)?,
                ward: col(&row, 4, LOADING)?,
                hash: hash16(col(&row, 5, LOADING)?),
                body: None,
                new: false,
                written: false,
            };
            if let Some(p) = self.of_pid(col(&row, 0, LOADING)?) {
                p.card = Some(card);
            }
        }
        for row in members {
            let (ward, ver) = (col(&row, 1, LOADING)?, uint(col(&row, 2, LOADING)?));
            if let Some(p) = self.of_pid(col(&row, 0, LOADING)?) {
                p.members.insert(ward, ver);
                p.base_members.insert(ward, ver);
            }
        }
        for row in boards {
            let board = BoardRow {
                ward: col(&row, 1, LOADING)?,
                ver: uint(col(&row, 2, LOADING)?),
                hash: hash16(col(&row, 3, LOADING)?),
                body: None,
                written: false,
            };
            if let Some(p) = self.of_pid(col(&row, 0, LOADING)?) {
                p.board = Some(board);
            }
        }
        Ok(())
    }

    /// A loaded patient, past the undo: what is read is not a change.
    fn of_pid(&mut self, pid: i64) -> Option<&mut Pat> {
        let id = self.state.ids.get(&pid)?;
        self.state.patients.get_mut(id)
    }

    fn take_facts(&mut self, rows: &[Row]) -> Result<(), Fault> {
        let mut counted: HashMap<(i64, String), (i64, FactAt)> = HashMap::new();
        for row in rows {
            let (pid, slot): (i64, String) = (col(row, 0, LOADING)?, col(row, 1, LOADING)?);
            let (at, fact) = self.fact(row)?;
            let keep: i64 = col(row, 9, LOADING)?;
            if let Some(p) = self.of_pid(pid) {
                p.slots.entry(slot.clone()).or_default().facts.insert(at, fact);
            }
            let seen = counted.entry((pid, slot)).or_insert((keep, at));
            seen.1 = seen.1.max(at);
        }
        for ((pid, slot), (keep, last)) in counted {
            if let Some(slot) = self.of_pid(pid).and_then(|p| p.slots.get_mut(&slot))
                && slot.facts.len() as i64 > keep + SPARE
            {
                slot.horizon = Some(last);
            }
        }
        Ok(())
    }

    /// `pid, slot, rid, order, keep, version, body, kind, id` of a row.
    fn fact(&self, row: &Row) -> Result<(FactAt, FactIn), Fault> {
        let rid: i64 = col(row, 2, LOADING)?;
        let sealed: &[u8] = col(row, 6, LOADING)?;
        let (kind, id): (&str, &str) = (col(row, 7, LOADING)?, col(row, 8, LOADING)?);
        let fact = FactIn {
            key: parsed(ResourceKey::new(kind, id), LOADING)?,
            version: uint(col(row, 5, LOADING)?),
            keep: col(row, 4, LOADING)?,
            body: Arc::from(self.vault.get(Place::Fact(rid), sealed)?),
        };
        Ok(((Reverse(col(row, 3, LOADING)?), Reverse(rid)), fact))
    }

    /// Reads a slot whole: so many of its newest facts were taken out that older ones count.
    pub async fn fill_slot(&mut self, id: &PatientId, name: &str) -> Result<(), Fault> {
        let Some(pid) = self.state.patients.get(id).map(|p| p.pid) else {
            return Ok(());
        };
        let sql = "SELECT f.pid, f.slot, f.rid, f.order_ms, f.keep, f.version, f.body, r.kind, r.id
                     FROM fact f JOIN resource r USING (rid) WHERE f.pid = $1 AND f.slot = $2";
        let rows = all(self.tx, LOADING, sql, &[&pid, &name]).await?;
        let mut read = Slot::default();
        for row in &rows {
            let (at, fact) = self.fact(row)?;
            let changed = self
                .state
                .res(&fact.key)
                .is_some_and(|r| r.out.is_some() || r.written);
            if !changed {
                read.facts.insert(at, fact);
            }
        }
        if let Some(slot) = self
            .state
            .patients
            .get_mut(id)
            .and_then(|p| p.slots.get_mut(name))
        {
            slot.facts.extend(read.facts);
            slot.horizon = None;
        }
        Ok(())
    }

    /// The packed bytes of live resources, read where they are not known yet.
    pub async fn need_bodies(&mut self, keys: &[ResourceKey]) -> Result<(), Fault> {
        let rids: HashMap<i64, ResourceKey> = keys
            .iter()
            .filter_map(|k| {
                let r = self.state.live(k)?;
                (r.packed.is_none() && !r.new).then(|| (r.rid, k.clone()))
            })
            .collect();
        if rids.is_empty() {
            return Ok(());
        }
        let asked: Vec<i64> = rids.keys().copied().collect();
        let sql = "SELECT rid, body FROM resource WHERE rid = ANY($1)";
        for row in all(self.tx, LOADING, sql, &[&asked]).await? {
            let rid: i64 = col(&row, 0, LOADING)?;
            let sealed: Option<&[u8]> = col(&row, 1, LOADING)?;
            let packed = sealed
                .map(|s| self.vault.unseal(Place::Resource(rid), s))
                .transpose()?;
            if let Some(Some(r)) = rids.get(&rid).and_then(|k| self.state.resources.get_mut(k)) {
                r.packed = packed.map(Arc::from);
            }
        }
        Ok(())
    }

    /// Version and bytes of a live resource whose body is known.
    pub fn body(&self, key: &ResourceKey) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let Some(r) = self.state.live(key) else {
            return Ok(None);
        };
        let packed = r.packed.as_deref().ok_or_else(|| StoreError::Backend {
            doing: LOADING,
            cause: format!("the body of {key} was not read"),
        })?;
        Ok(Some((r.version, unpack(packed)?)))
    }

    /// The next number of a resource.
    pub async fn next_rid(&mut self) -> Result<i64, Fault> {
        if let Some(rid) = self.rids.pop_front() {
            return Ok(rid);
        }
        let row = one(self.tx, WRITING, "SELECT nextval('resource_rid')", &[]).await?;
        let row = row.ok_or(Fault::Failed(StoreError::Closed))?;
        col(&row, 0, WRITING)
    }

    /// The number of a ward, given when it is first seen.
    pub async fn ward_no(&mut self, ward: &WardId) -> Result<i64, Fault> {
        if let Some(no) = self.wards.get(ward) {
            return Ok(*no);
        }
        let sql = "SELECT no FROM ward WHERE id = $1";
        let mut found = one(self.tx, WRITING, sql, &[&ward.as_str()]).await?;
        if found.is_none() {
            let new = "INSERT INTO ward (id) VALUES ($1) ON CONFLICT DO NOTHING";
            sql::run(self.tx, WRITING, new, &[&ward.as_str()]).await?;
            found = one(self.tx, WRITING, sql, &[&ward.as_str()]).await?;
        }
        let row = found.ok_or(Fault::Conflict(StoreError::Closed))?;
        let no = col(&row, 0, WRITING)?;
        self.wards.insert(ward.clone(), no);
        Ok(no)
    }

    /// Whether a held resource may rest on a fact of its patient.
    pub const fn had_fact(res: &Res) -> bool {
        res.meaning & FACT != 0
    }
}

/// Locks patients, making those that are new. `ids` must be sorted.
async fn lock_patients(tx: &Transaction<'_>, ids: &[PatientId]) -> Result<Vec<Row>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = ids.iter().map(PatientId::as_str).collect();
    let sql = "INSERT INTO patient (id, rev, live) SELECT id, 0, 0 FROM unnest($1::text[]) id ORDER BY 1
               ON CONFLICT (id) DO UPDATE SET rev = patient.rev RETURNING pid, id, rev, live, destroyed";
    all(tx, LOADING, sql, &[&ids]).await
}
