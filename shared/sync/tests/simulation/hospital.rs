//! The model server's data: items by scope, the feed, retention, backup and restore. Its rows follow the rules of the
//! real store: an item's `ver` in a `pat:` scope is the patient's revision; a card that moves leaves a tomb in the old
//! ward and comes with `prev` 0 in the new.

use bytes::Bytes;
use std::collections::BTreeMap;
use vitrine_sync::backoff::Jitter;
use vitrine_sync::fanout::{Item, Row, ScopeRows};
use vitrine_wire::digest::{ScopeDigest, body_hash, bucket_of};
use vitrine_wire::message::{AuditRow, Ref};

pub const WARDS: [&str; 2] = ["ED", "ICU"];

#[derive(Debug, Clone, Default)]
pub struct Hospital {
    pub epoch: u64,
    pub scopes: BTreeMap<String, BTreeMap<String, (u64, Bytes)>>,
    pub revs: BTreeMap<String, u64>,
    pub feed: Vec<Row>,
    pub oldest: u64,
    pub pos: u64,
    pub patients: Vec<Patient>,
    pub audit: BTreeMap<String, Vec<AuditRow>>,
    pub grants: BTreeMap<String, String>,
    /// Entries in the order in which they came into the record.
    pub entries: Vec<String>,
    pub counter: u64,
    /// Per mille of changes whose feed row is forgotten, as by a missing trigger.
    pub forget: u64,
}

#[derive(Debug, Clone)]
pub struct Patient {
    pub id: String,
    pub ward: Option<usize>,
    pub card: u64,
}

impl Hospital {
    pub fn new(rng: &mut Jitter, patients: usize) -> Self {
        let mut h = Self {
            epoch: 1,
            ..Self::default()
        };
        for n in 0..patients {
            h.patients.push(Patient {
                id: format!("p{n}"),
                ward: None,
                card: 0,
            });
        }
        for n in 0..patients {
            h.move_to(n, Some(usize::from(rng.up_to(2) == 0)));
            for _ in 0..rng.up_to(4) {
                h.resource(rng, n);
            }
        }
        h.user(rng);
        h
    }

    pub fn epoch_name(&self) -> String {
        format!("e{}", self.epoch)
    }

    fn body(&mut self, rng: &mut Jitter) -> Bytes {
        self.counter += 1;
        let pad = if rng.up_to(60) == 0 { rng.up_to(1_500) } else { 0 };
        let fill: String = (0..pad)
            .map(|_| char::from(b'a' + u8::try_from(rng.up_to(25)).unwrap()))
            .collect();
        Bytes::from(format!("{{\"c\":{},\"t\":\"{fill}\"}}", self.counter))
    }

    fn row(&mut self, rng: Option<&mut Jitter>, scope: &str, key: &str, (prev, ver): (u64, u64), tomb: bool) {
        self.pos += 1;
        if rng.is_some_and(|r| r.up_to(999) < self.forget) {
            return;
        }
        self.feed.push(Row {
            pos: self.pos,
            scope: scope.into(),
            key: key.into(),
            prev,
            ver,
            tomb,
        });
    }

    fn put(&mut self, rng: &mut Jitter, scope: &str, key: &str, (prev, ver): (u64, u64), body: Bytes) {
        self.scopes
            .entry(scope.into())
            .or_default()
            .insert(key.into(), (ver, body));
        self.row(Some(rng), scope, key, (prev, ver), false);
    }

    fn take(&mut self, scope: &str, key: &str, versions: (u64, u64)) {
        self.scopes.entry(scope.into()).or_default().remove(key);
        self.row(None, scope, key, versions, true);
    }

    /// One random change.
    pub fn change(&mut self, rng: &mut Jitter) {
        let n = usize::try_from(rng.up_to(self.patients.len() as u64 - 1)).unwrap();
        match rng.up_to(19) {
            0..=9 => self.resource(rng, n),
            10..=13 => self.card(rng, n),
            14 | 15 => {
                let ward = [None, Some(0), Some(1)][usize::try_from(rng.up_to(2)).unwrap()];
                self.move_to(n, ward);
            }
            16 => self.user(rng),
            17 | 18 => self.delete(rng, n),
            _ => {
                for _ in 0..20 {
                    self.resource(rng, n);
                }
            }
        }
    }

    pub fn resource(&mut self, rng: &mut Jitter, n: usize) {
        let id = self.patients[n].id.clone();
        let key = format!("Observation/{}", rng.up_to(9));
        let body = self.body(rng);
        let rev = self.revs.entry(id.clone()).or_default();
        *rev += 1;
        let ver = *rev;
        self.put(rng, &format!("pat:{id}"), &key, (ver - 1, ver), body);
        if rng.up_to(2) == 0 {
            self.card(rng, n);
        }
    }

    fn delete(&mut self, rng: &mut Jitter, n: usize) {
        let id = self.patients[n].id.clone();
        let scope = format!("pat:{id}");
        let keys: Vec<String> = self
            .scopes
            .get(&scope)
            .into_iter()
            .flatten()
            .map(|(k, _)| k.clone())
            .collect();
        if keys.is_empty() {
            return;
        }
        let key = &keys[usize::try_from(rng.up_to(keys.len() as u64 - 1)).unwrap()];
        let rev = self.revs.entry(id).or_default();
        *rev += 1;
        let ver = *rev;
        self.take(&scope, key, (ver - 1, ver));
    }

    pub fn card(&mut self, rng: &mut Jitter, n: usize) {
        let body = self.body(rng);
        let p = &mut self.patients[n];
        let (id, prev) = (p.id.clone(), p.card);
        p.card += 1;
        let ver = p.card;
        let ward = p.ward;
        self.put(rng, "ess:site", &id, (prev, ver), body.clone());
        if let Some(w) = ward {
            self.put(rng, &format!("ess:{}", WARDS[w]), &id, (prev, ver), body.clone());
            if rng.up_to(1) == 0 {
                let scope = format!("board:{}", WARDS[w]);
                let old = self
                    .scopes
                    .get(&scope)
                    .and_then(|s| s.get(&id))
                    .map_or(0, |i| i.0);
                self.put(rng, &scope, &id, (old, ver), body);
            }
        }
    }

    pub fn move_to(&mut self, n: usize, to: Option<usize>) {
        let mut rng = Jitter::new(self.counter);
        let body = self.body(&mut rng);
        let p = &mut self.patients[n];
        if p.ward == to && p.card > 0 {
            return;
        }
        let (id, prev, from) = (p.id.clone(), p.card, p.ward);
        p.card += 1;
        p.ward = to;
        let ver = p.card;
        self.scopes
            .entry("ess:site".into())
            .or_default()
            .insert(id.clone(), (ver, body.clone()));
        self.row(None, "ess:site", &id, (prev, ver), false);
        if let Some(w) = from {
            for kind in ["ess", "board"] {
                let scope = format!("{kind}:{}", WARDS[w]);
                if let Some(old) = self.scopes.get(&scope).and_then(|s| s.get(&id)).map(|i| i.0) {
                    self.take(&scope, &id, (old, ver));
                }
            }
        }
        if let Some(w) = to {
            for kind in ["ess", "board"] {
                let scope = format!("{kind}:{}", WARDS[w]);
                self.scopes
                    .entry(scope.clone())
                    .or_default()
                    .insert(id.clone(), (ver, body.clone()));
                self.row(None, &scope, &id, (0, ver), false);
            }
        }
    }

    fn user(&mut self, rng: &mut Jitter) {
        let body = self.body(rng);
        let key = format!("user/u{}", rng.up_to(3));
        let old = self
            .scopes
            .get("dir")
            .and_then(|s| s.get(&key))
            .map_or(0, |i| i.0);
        self.put(rng, "dir", &key, (old, old + 1), body);
    }

    /// Retention: the feed forgets rows up to somewhere.
    pub fn prune(&mut self, rng: &mut Jitter) {
        let keep = rng.up_to(40);
        self.oldest = self.oldest.max(self.pos.saturating_sub(keep));
        let oldest = self.oldest;
        self.feed.retain(|r| r.pos > oldest);
    }

    /// A backup is put back: later changes are lost, the epoch is new.
    pub fn restore(&mut self, backup: Self) {
        let (epoch, forget, counter) = (self.epoch + 1, self.forget, self.counter);
        *self = backup;
        (self.epoch, self.forget, self.counter) = (epoch, forget, counter);
    }

    pub fn rows_since(&self, pos: u64, scope: Option<&str>, limit: usize) -> (Vec<Row>, u64, bool) {
        let mut rows: Vec<Row> = self
            .feed
            .iter()
            .filter(|r| r.pos > pos && scope.is_none_or(|s| r.scope == s))
            .take(limit + 1)
            .cloned()
            .collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let reached = if more {
            rows.last().map_or(self.pos, |r| r.pos)
        } else {
            self.pos
        };
        (rows, reached, more)
    }

    pub fn items(&self, scope: &str, keys: &[String]) -> Vec<Item> {
        let Some(items) = self.scopes.get(scope) else {
            return Vec::new();
        };
        keys.iter()
            .filter_map(|k| {
                items.get(k).map(|(ver, body)| Item {
                    key: k.clone(),
                    ver: *ver,
                    version: None,
                    body: body.clone(),
                })
            })
            .collect()
    }

    pub fn items_of(&self, rows: &ScopeRows) -> Vec<Item> {
        self.items(&rows.scope, &rows.keys())
    }

    pub fn digest(&self, scope: &str) -> ScopeDigest {
        let mut d = ScopeDigest::default();
        for (k, (ver, body)) in self.scopes.get(scope).into_iter().flatten() {
            d.add(k, *ver, &body_hash(body));
        }
        d
    }

    pub fn refs(&self, scope: &str, buckets: &[u8]) -> Vec<Ref> {
        self.scopes
            .get(scope)
            .into_iter()
            .flatten()
            .filter(|(k, _)| buckets.contains(&bucket_of(k)))
            .map(|(k, (ver, body))| Ref {
                key: k.clone(),
                ver: *ver,
                hash: hex(&body_hash(body)),
            })
            .collect()
    }

    pub fn rev(&self, scope: &str) -> u64 {
        scope
            .strip_prefix("pat:")
            .and_then(|p| self.revs.get(p))
            .copied()
            .unwrap_or(0)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
