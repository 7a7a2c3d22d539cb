//! The tables of the memory store, and changes to them that can be taken back.

use crate::archive::{Destruction, Hold};
use crate::copies::{CopyFile, CopyState, Sum};
use crate::held::HeldItem;
use crate::imaging::Blob;
use crate::pixels::PixelPack;
use crate::search::PersonWords;
use crate::tiers::PackRow;
use crate::{
    Account, ClientRow, DeviceRow, EnrolCode, Extract, FeedRow, GrantRow, SessionRow, StoredCard,
    scope::Scope,
};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;
use vitrine_access::chain::{Head, Row};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};

/// A version of a resource that is no longer the current one, or is.
#[derive(Clone)]
pub(super) struct Version {
    pub version: u64,
    pub updated: UtcMs,
    pub deleted: bool,
    pub body: Bytes,
    /// The pack it lies in.
    pub pack: Option<Uuid>,
}

/// A resource.
#[derive(Clone)]
pub(super) struct Resource {
    /// Creation number: the order in which resources first appeared.
    pub number: u64,
    pub patient: Option<PatientId>,
    /// The patient's revision at which it last changed; 0 when of no patient.
    pub rev: u64,
    pub current: Version,
    pub older: Vec<Version>,
    pub extract: Extract,
}

/// A patient, known because at least one resource named it.
#[derive(Clone, Default)]
pub(super) struct Patient {
    pub rev: u64,
    /// Live resources.
    pub live: u64,
    /// The record was destroyed.
    pub destroyed: bool,
    /// The last card made; `None` body-less state is kept in `card_ver` so that versions go on growing.
    pub card: Option<StoredCard>,
    pub card_ver: u64,
    /// Wards whose essentials hold the card.
    pub members: BTreeSet<WardId>,
    pub board: Option<(WardId, Bytes)>,
    pub board_ver: u64,
    pub person: Option<PersonWords>,
}

/// `(patient, slot, newest first, latest created first)`.
pub(super) type FactKey = (PatientId, String, Reverse<i64>, Reverse<u64>);

#[derive(Clone)]
pub(super) struct Fact {
    pub key: ResourceKey,
    pub version: u64,
    pub keep: u32,
    pub body: Vec<u8>,
}

/// An operation that was applied.
#[derive(Clone)]
pub(super) struct Op {
    pub digest: [u8; 16],
    pub applied: crate::Applied,
}

/// A study of images.
#[derive(Clone)]
pub(super) struct Study {
    pub number: u64,
    pub patient: PatientId,
    pub day: Option<i32>,
    pub accession: Option<String>,
    pub header: Bytes,
}

/// A series of a study.
#[derive(Clone)]
pub(super) struct Series {
    pub number: u64,
    pub study: String,
    pub header: Bytes,
}

/// An instance of a series.
#[derive(Clone)]
pub(super) struct Image {
    pub number: u64,
    pub series: String,
    pub position: i64,
    pub at: UtcMs,
    pub header: Bytes,
    pub blob: Blob,
    /// Frames in a pack; `None` = nobody has looked.
    pub frames: Option<u32>,
    /// Why it has none.
    pub why: Option<String>,
    /// Up to which target it has rows of copies; 0 = it has none.
    pub copies: u64,
}

/// A target of copies.
#[derive(Clone)]
pub(super) struct Target {
    pub mark: Option<String>,
    pub since: u64,
    pub retired: bool,
}

/// A copy of an original.
#[derive(Clone)]
pub(super) struct Copy {
    /// SOP Instance UID; `None` = its record was destroyed.
    pub instance: Option<String>,
    pub target: String,
    pub file: CopyFile,
    pub state: CopyState,
    pub at: Option<UtcMs>,
    pub due: UtcMs,
    pub tries: u32,
    pub sum: Option<Sum>,
    pub why: Option<String>,
}

#[derive(Default)]
pub(super) struct Tables {
    pub resources: BTreeMap<ResourceKey, Resource>,
    /// Charts in reading order: `(patient, rank, newest first)`.
    pub charts: BTreeMap<(PatientId, u8, Reverse<u64>), ResourceKey>,
    /// Charts in key order.
    pub chart_keys: BTreeMap<(PatientId, ResourceKey), ()>,
    pub facts: BTreeMap<FactKey, Fact>,
    /// `(value, system, type, creation number)`.
    pub idents: BTreeMap<(String, String, String, u64), ResourceKey>,
    /// `(resource resolved, resource whose fact was resolved from it)`.
    pub dependents: BTreeMap<(ResourceKey, ResourceKey), ()>,
    pub patients: BTreeMap<PatientId, Patient>,
    pub boards: BTreeMap<(WardId, PatientId), ()>,
    pub wards: BTreeMap<(WardId, PatientId), ()>,
    pub ops: BTreeMap<Uuid, Op>,
    pub feed: Vec<FeedRow>,
    pub feed_pos: u64,
    pub feed_oldest: u64,
    pub numbers: u64,
    pub quarantine: Vec<HeldItem>,
    /// Number of the last item that came into quarantine.
    pub quarantine_last: u64,
    /// By number.
    pub messages: BTreeMap<u64, super::messages::Message>,
    pub audit: Vec<Row>,
    pub device_audit: BTreeMap<DeviceId, Vec<Row>>,
    pub accounts: BTreeMap<UserId, Account>,
    pub devices: BTreeMap<DeviceId, DeviceRow>,
    pub codes: BTreeMap<[u8; 32], EnrolCode>,
    pub sessions: BTreeMap<[u8; 32], SessionRow>,
    /// `(issuer, subject)` and whose it is.
    pub identities: BTreeMap<(String, String), UserId>,
    /// What was used once, and until when that is remembered.
    pub used_once: BTreeMap<[u8; 32], i64>,
    pub totp: BTreeMap<UserId, crate::totp::Totp>,
    pub clients: BTreeMap<String, ClientRow>,
    pub grants: BTreeMap<Uuid, GrantRow>,
    pub holds: BTreeMap<PatientId, Hold>,
    pub destructions: BTreeMap<Uuid, Destruction>,
    pub packs: BTreeMap<Uuid, PackRow>,
    /// What is kept of notes whose bodies move: the version, whether all of it was text, the words.
    pub notes: BTreeMap<ResourceKey, (u64, bool, BTreeSet<String>)>,
    pub studies: BTreeMap<String, Study>,
    pub series: BTreeMap<String, Series>,
    pub images: BTreeMap<String, Image>,
    /// Packs of a series.
    pub pixel_packs: BTreeMap<String, Vec<PixelPack>>,
    pub copy_targets: BTreeMap<String, Target>,
    /// By number.
    pub copies: BTreeMap<u64, Copy>,
    /// Day on which a record was last used.
    pub used: BTreeMap<PatientId, i64>,
}

impl Tables {
    pub fn audit_head(&self) -> Head {
        self.audit.last().map_or(Head::EMPTY, |r| Head {
            seq: r.seq,
            hash: r.hash,
        })
    }

    /// Adds a row to the server's chain and gives its number.
    pub fn chain(&mut self, body: String) -> u64 {
        let before = self.audit_head();
        let after = before.after(body.as_bytes());
        self.audit.push(Row {
            seq: after.seq,
            prev: before.hash,
            hash: after.hash,
            body,
        });
        after.seq
    }

    pub fn feed_row(&mut self, scope: &Scope, key: String, prev: u64, ver: u64, tomb: bool) {
        self.feed_pos += 1;
        self.feed.push(FeedRow {
            pos: self.feed_pos,
            scope: scope.to_string(),
            key,
            prev,
            ver,
            tomb,
        });
    }
}

type Undo = Box<dyn FnOnce(&mut Tables)>;

/// A change of the tables that is undone unless it is kept: all or nothing.
pub(super) struct Txn<'t> {
    pub t: &'t mut Tables,
    undo: Vec<Undo>,
    feed: (usize, u64),
    numbers: u64,
}

impl<'t> Txn<'t> {
    pub fn begin(t: &'t mut Tables) -> Self {
        let (feed, numbers) = ((t.feed.len(), t.feed_pos), t.numbers);
        Self {
            t,
            undo: Vec::new(),
            feed,
            numbers,
        }
    }

    /// Puts or removes one entry of one map.
    pub fn set<K, V>(&mut self, map: fn(&mut Tables) -> &mut BTreeMap<K, V>, key: K, value: Option<V>)
    where
        K: Ord + Clone + 'static,
        V: 'static,
    {
        let old = match value {
            Some(v) => map(self.t).insert(key.clone(), v),
            None => map(self.t).remove(&key),
        };
        self.undo.push(Box::new(move |t| {
            match old {
                Some(v) => map(t).insert(key, v),
                None => map(t).remove(&key),
            };
        }));
    }

    pub fn keep(mut self) {
        self.undo.clear();
        self.feed = (self.t.feed.len(), self.t.feed_pos);
        self.numbers = self.t.numbers;
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self.t);
        }
        self.t.feed.truncate(self.feed.0);
        self.t.feed_pos = self.feed.1;
        self.t.numbers = self.numbers;
    }
}
