//! What a group of operations knows while it is applied: resources and patients as they are and will be.
//!
//! Lives here: the entries, and taking a batch's changes back. Never here: SQL, rules. Called by `group`, `apply`,
//! `project` and `flush`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_store::Extract;

/// A version that is no longer the current one and was made by this group.
#[derive(Clone)]
pub(crate) struct Past {
    pub version: u64,
    pub updated: i64,
    pub deleted: bool,
    pub packed: Option<Arc<[u8]>>,
}

/// A resource.
#[derive(Clone)]
pub(crate) struct Res {
    pub rid: i64,
    pub patient: Option<PatientId>,
    pub version: u64,
    pub rev: i64,
    pub updated: i64,
    pub deleted: bool,
    pub meaning: i64,
    pub hash: Option<[u8; 16]>,
    /// Packed, not sealed; of what this group wrote or read.
    pub packed: Option<Arc<[u8]>>,
    /// The database has no row of it yet.
    pub new: bool,
    /// This group wrote it.
    pub written: bool,
    /// The database's version becomes an old one.
    pub keep_base: bool,
    pub past: Vec<Past>,
    /// Which tables know it in the database.
    pub base_meaning: i64,
    /// What they are to know, when that changed.
    pub out: Option<Extract>,
}

/// Newest first, latest created first.
pub(crate) type FactAt = (Reverse<i64>, Reverse<i64>);

#[derive(Clone)]
pub(crate) struct FactIn {
    pub key: ResourceKey,
    pub version: u64,
    pub keep: i64,
    pub body: Arc<[u8]>,
}

/// The newest facts of a slot.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub facts: BTreeMap<FactAt, FactIn>,
    /// The database has more of them, all after this one.
    pub horizon: Option<FactAt>,
}

#[derive(Clone)]
pub(crate) struct CardRow {
    pub ver: u64,
    pub live: bool,
    pub updated: i64,
    pub ward: Option<i64>,
    pub hash: Option<[u8; 16]>,
    /// What to write; `None` inside when it is gone.
    pub body: Option<Option<Arc<[u8]>>>,
    pub new: bool,
    pub written: bool,
}

#[derive(Clone)]
pub(crate) struct BoardRow {
    pub ward: Option<i64>,
    pub ver: u64,
    pub hash: Option<[u8; 16]>,
    pub body: Option<Option<Arc<[u8]>>>,
    pub written: bool,
}

/// A patient.
#[derive(Clone)]
pub(crate) struct Pat {
    pub pid: i64,
    pub rev: i64,
    pub live: i64,
    /// The record was destroyed.
    pub destroyed: bool,
    pub written: bool,
    /// Facts, card, membership and board are here.
    pub loaded: bool,
    pub slots: BTreeMap<String, Slot>,
    pub card: Option<CardRow>,
    /// Wards whose essentials hold the card, with the version told there.
    pub members: BTreeMap<i64, u64>,
    pub base_members: BTreeMap<i64, u64>,
    pub board: Option<BoardRow>,
    /// The operation of the present batch that makes a new projection necessary.
    pub project: Option<usize>,
}

impl Pat {
    pub fn new(pid: i64, rev: i64, live: i64, destroyed: bool) -> Self {
        Self {
            pid,
            rev,
            live,
            destroyed,
            written: false,
            // a patient without revision has nothing in the database
            loaded: rev == 0,
            slots: BTreeMap::new(),
            card: None,
            members: BTreeMap::new(),
            base_members: BTreeMap::new(),
            board: None,
            project: None,
        }
    }

    /// Takes a resource's fact out, wherever it is among those loaded.
    pub fn forget_fact(&mut self, rid: i64) {
        for slot in self.slots.values_mut() {
            slot.facts.retain(|(_, r), _| r.0 != rid);
        }
    }
}

/// A row of the feed, still without position.
#[derive(Clone, Copy)]
pub(crate) struct FeedOut {
    pub scope: i64,
    pub of: i64,
    pub prev: i64,
    pub ver: i64,
    pub tomb: bool,
}

/// A resource and the version of another that its fact was resolved from.
pub(crate) type Dependent = (ResourceKey, Option<u64>);

/// What a group knows and will write.
#[derive(Default)]
pub(crate) struct State {
    /// Loaded; `None` = the database has no such resource.
    pub resources: HashMap<ResourceKey, Option<Res>>,
    pub patients: HashMap<PatientId, Pat>,
    pub ids: HashMap<i64, PatientId>,
    /// Who rests on a resource.
    pub dependents: HashMap<ResourceKey, Vec<Dependent>>,
    pub feed: Vec<FeedOut>,
    pub tally: HashMap<String, i64>,
    undo: Option<Undo>,
}

/// What the present batch changed, as it was.
#[derive(Default)]
struct Undo {
    resources: HashMap<ResourceKey, Option<Res>>,
    patients: HashMap<PatientId, Pat>,
    dependents: HashMap<ResourceKey, Vec<Dependent>>,
    feed: usize,
    tally: HashMap<String, i64>,
}

impl State {
    /// Begins a batch.
    pub fn begin(&mut self) {
        self.undo = Some(Undo {
            feed: self.feed.len(),
            tally: self.tally.clone(),
            ..Undo::default()
        });
    }

    /// Keeps what the batch did.
    pub fn keep(&mut self) {
        self.undo = None;
    }

    /// Takes back what the batch did. What it loaded stays.
    pub fn take_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        self.resources.extend(undo.resources);
        self.patients.extend(undo.patients);
        self.dependents.extend(undo.dependents);
        self.feed.truncate(undo.feed);
        self.tally = undo.tally;
    }

    pub fn res(&self, key: &ResourceKey) -> Option<&Res> {
        self.resources.get(key).and_then(Option::as_ref)
    }

    pub fn live(&self, key: &ResourceKey) -> Option<&Res> {
        self.res(key).filter(|r| !r.deleted)
    }

    /// Puts a resource.
    pub fn set_res(&mut self, key: &ResourceKey, res: Res) {
        let old = self.resources.insert(key.clone(), Some(res)).flatten();
        if let Some(undo) = &mut self.undo {
            undo.resources.entry(key.clone()).or_insert(old);
        }
    }

    /// A loaded patient, to change it.
    pub fn pat(&mut self, id: &PatientId) -> Option<&mut Pat> {
        let pat = self.patients.get_mut(id)?;
        if let Some(undo) = &mut self.undo
            && !undo.patients.contains_key(id)
        {
            undo.patients.insert(id.clone(), pat.clone());
        }
        Some(pat)
    }

    fn dependents_of(&mut self, on: &ResourceKey) -> &mut Vec<Dependent> {
        let list = self.dependents.entry(on.clone()).or_default();
        if let Some(undo) = &mut self.undo
            && !undo.dependents.contains_key(on)
        {
            undo.dependents.insert(on.clone(), list.clone());
        }
        list
    }

    /// Notes that a resource rests on others, or (`None`) no longer.
    pub fn depends(&mut self, key: &ResourceKey, before: Option<&Extract>, after: Option<&Extract>) {
        for on in before.iter().flat_map(|e| &e.resolved) {
            self.dependents_of(&on.key).retain(|(k, _)| k != key);
        }
        for on in after.iter().flat_map(|e| &e.resolved) {
            let list = self.dependents_of(&on.key);
            list.retain(|(k, _)| k != key);
            list.push((key.clone(), on.version));
        }
    }

    pub fn count(&mut self, name: String, n: i64) {
        *self.tally.entry(name).or_insert(0) += n;
    }
}
