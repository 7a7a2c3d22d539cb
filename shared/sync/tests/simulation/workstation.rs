//! A model workstation: the client machine with a durable cache and outbox. A kill keeps what was durable, forgets
//! the rest, and may fall between any two effects.

use super::hospital::hex;
use std::collections::BTreeMap;
use vitrine_sync::client::{CacheView, Client, Config, Held, Staged, Timing};
use vitrine_wire::digest::{ScopeDigest, body_hash, bucket_of};
use vitrine_wire::message::{AuditRow, Change, Ref};

type Items = BTreeMap<String, (u64, String)>;

#[derive(Debug, Clone, Default)]
pub struct Cache {
    pub scopes: BTreeMap<String, (Held, Items)>,
    pub staged: BTreeMap<String, (Staged, Items)>,
}

impl CacheView for Cache {
    fn scopes(&self) -> Vec<String> {
        let mut all: Vec<String> = self.scopes.keys().chain(self.staged.keys()).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
    fn held(&self, scope: &str) -> Option<Held> {
        self.scopes.get(scope).map(|s| s.0.clone())
    }
    fn staged(&self, scope: &str) -> Option<Staged> {
        self.staged.get(scope).map(|s| s.0.clone())
    }
    fn version(&self, scope: &str, key: &str) -> Option<u64> {
        self.scopes.get(scope)?.1.get(key).map(|i| i.0)
    }
    fn digest(&self, scope: &str) -> ScopeDigest {
        let mut d = ScopeDigest::default();
        for (k, (ver, body)) in self.scopes.get(scope).into_iter().flat_map(|s| &s.1) {
            d.add(k, *ver, &body_hash(body.as_bytes()));
        }
        d
    }
    fn refs(&self, scope: &str, buckets: &[u8]) -> Vec<Ref> {
        self.scopes
            .get(scope)
            .into_iter()
            .flat_map(|s| &s.1)
            .filter(|(k, _)| buckets.contains(&bucket_of(k)))
            .map(|(k, (ver, body))| Ref {
                key: k.clone(),
                ver: *ver,
                hash: hex(&body_hash(body.as_bytes())),
            })
            .collect()
    }
}

fn put(items: &mut Items, c: &Change) {
    match &c.body {
        Some(b) => {
            items.insert(c.key.clone(), (c.ver, b.get().to_owned()));
        }
        None => {
            items.remove(&c.key);
        }
    }
}

impl Cache {
    pub fn apply(&mut self, scope: &str, changes: &[Change], pos: u64, rev: u64) {
        let s = self.scopes.get_mut(scope).expect("a delta only on a held scope");
        changes.iter().for_each(|c| put(&mut s.1, c));
        (s.0.pos, s.0.rev) = (pos, rev);
    }
    pub fn begin(&mut self, scope: &str, epoch: String, pos: u64, rev: u64) {
        let staged = Staged {
            epoch,
            pos,
            rev,
            after: None,
            items: 0,
        };
        self.staged.insert(scope.to_owned(), (staged, Items::new()));
    }
    pub fn stage(&mut self, scope: &str, items: &[Change]) {
        let s = self
            .staged
            .get_mut(scope)
            .expect("a chunk only on a begun snapshot");
        items.iter().for_each(|c| put(&mut s.1, c));
        s.0.items += items.len() as u64;
        s.0.after = items.last().map(|c| c.key.clone()).or(s.0.after.take());
    }
    pub fn commit(&mut self, scope: &str, epoch: String, pos: u64, rev: u64) {
        let (_, items) = self
            .staged
            .remove(scope)
            .expect("only a staged snapshot is committed");
        self.scopes.insert(
            scope.to_owned(),
            (
                Held {
                    epoch,
                    pos,
                    rev,
                    as_of_ms: None,
                },
                items,
            ),
        );
    }
    pub fn age(&mut self, scope: &str, pos: u64, as_of_ms: i64) {
        if let Some(s) = self.scopes.get_mut(scope) {
            s.0.pos = s.0.pos.max(pos);
            s.0.as_of_ms = s.0.as_of_ms.max(Some(as_of_ms));
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Outbox {
    pub rows: Vec<AuditRow>,
    pub acked: u64,
    /// Grants and whether they were acknowledged.
    pub grants: BTreeMap<String, bool>,
    /// What was recorded, in order, and whether it was accepted.
    pub entries: Vec<(String, bool)>,
    pub epoch: Option<String>,
}

pub struct Workstation {
    pub name: String,
    pub ward: usize,
    pub client: Client,
    pub cache: Cache,
    pub outbox: Outbox,
    pub open: Vec<String>,
    pub signed_in: bool,
    /// Scopes that the server called current on this connection.
    pub current: Vec<String>,
    /// Scopes the server last placed it in.
    pub placed: Vec<String>,
    pub conn: u64,
    pub timer: u64,
}

pub fn timing() -> Timing {
    Timing {
        digest_ms: 20_000,
        store_retry_ms: 2_000,
        backoff_cap_ms: 5_000,
        ..Timing::default()
    }
}

pub fn client(name: &str, seed: u64, cache: &Cache, outbox: &Outbox) -> Client {
    let cfg = Config {
        device: name.to_owned(),
        app: "sim".to_owned(),
        ward: String::new(),
        known_epoch: outbox.epoch.clone(),
        training: false,
        seed,
        timing: timing(),
    };
    Client::new(cfg, cache)
}
