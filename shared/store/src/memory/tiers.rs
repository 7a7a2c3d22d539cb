//! Tiers of the memory store: a version says which pack it is in, and one in the archive is not given.

use super::state::{Resource, Tables, Version};
use super::{MemoryStore, record};
use crate::notes::NOTE_KINDS;
use crate::scope::chart_rank;
use crate::search::content_words;
use crate::tiers::{
    Due, Moved, PackRow, PacksOf, Recall, Tier, TierCount, TierReport, TierRule, day_of, recall_of,
    unknown_pack,
};
use crate::{StoreError, Tiers};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeSet;
use uuid::Uuid;
use vitrine_access::AuditEntry;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};

/// A version's body, unless it lies in the archive.
pub(super) fn body_of(t: &Tables, v: &Version) -> Result<Bytes, StoreError> {
    match v.pack.and_then(|id| t.packs.get(&id)) {
        Some(pack) if pack.tier == Tier::Archive => Err(StoreError::Archived {
            pack: pack.id,
            bytes: pack.bytes,
        }),
        _ => Ok(v.body.clone()),
    }
}

fn on_ward(t: &Tables, id: &PatientId) -> bool {
    t.patients
        .get(id)
        .is_some_and(|p| !p.members.is_empty() || p.board.is_some())
}

fn is_idle(t: &Tables, rule: &TierRule, id: &PatientId) -> bool {
    !on_ward(t, id)
        && t.patients.get(id).is_some_and(|p| !p.destroyed)
        && t.used.get(id).is_none_or(|day| *day <= rule.idle_day())
}

/// Whether a version may move at all.
fn may_move(t: &Tables, key: &ResourceKey, r: &Resource, v: &Version, is_current: bool) -> bool {
    if v.deleted || v.pack.is_some() {
        return false;
    }
    let rests = || t.dependents.keys().any(|(on, _)| on == key);
    !is_current || (chart_rank(key.kind.as_str()) == 1 && r.extract.resolved.is_empty() && !rests())
}

/// Bodies of a record that are old enough: key, version, when it was stored, size.
fn ripe(t: &Tables, rule: &TierRule, id: &PatientId) -> Vec<(ResourceKey, u64, UtcMs, u64)> {
    let of = t.resources.iter().filter(|(_, r)| r.patient.as_ref() == Some(id));
    let mut out = Vec::new();
    for (key, r) in of {
        for (v, is_current) in r.older.iter().map(|v| (v, false)).chain([(&r.current, true)]) {
            if v.updated.0 < rule.warm_before() && may_move(t, key, r, v, is_current) {
                out.push((key.clone(), v.version, v.updated, v.body.len() as u64));
            }
        }
    }
    out
}

fn versions(t: &mut Tables, pack: Uuid) -> impl Iterator<Item = &mut Version> {
    t.resources
        .values_mut()
        .flat_map(|r| r.older.iter_mut().chain([&mut r.current]))
        .filter(move |v| v.pack == Some(pack))
}

impl MemoryStore {
    fn sorted_packs(t: &Tables, which: PacksOf<'_>) -> Vec<PackRow> {
        let of = t.packs.values().filter(|p| match which {
            PacksOf::All => true,
            PacksOf::Patient(q) => p.patient == *q,
            PacksOf::Asked => p.tier == Tier::Archive && p.requested.is_some(),
        });
        let mut all: Vec<PackRow> = of.cloned().collect();
        all.sort_by_key(|p| (p.made, p.id));
        all
    }
}

#[async_trait]
impl Tiers for MemoryStore {
    async fn tiers(&self) -> Result<TierReport, StoreError> {
        let t = self.tables();
        let mut out = TierReport::default();
        let mut records = BTreeSet::new();
        for r in t.resources.values() {
            for v in r
                .older
                .iter()
                .chain([&r.current])
                .filter(|v| !v.deleted && v.pack.is_none())
            {
                out.hot.bodies += 1;
                out.hot.bytes += v.body.len() as u64;
                records.extend(r.patient.clone());
            }
        }
        out.hot.records = records.len() as u64;
        out.add_all(&Self::sorted_packs(&t, PacksOf::All));
        Ok(out)
    }

    async fn packs(&self, of: PacksOf<'_>) -> Result<Vec<PackRow>, StoreError> {
        Ok(Self::sorted_packs(&self.tables(), of))
    }

    async fn tiers_due(&self, rule: &TierRule, limit: usize) -> Result<Due, StoreError> {
        let t = self.tables();
        let ripe = |id: &&PatientId| is_idle(&t, rule, id) && !ripe(&t, rule, id).is_empty();
        let all = Self::sorted_packs(&t, PacksOf::All);
        let warm = || all.iter().filter(|p| p.tier == Tier::Warm);
        let away = warm().filter(|p| {
            p.newest.0 < rule.archive_before()
                && is_idle(&t, rule, &p.patient)
                && p.recalled.is_none_or(|r| day_of(r) <= rule.idle_day())
        });
        let mut wanted: Vec<PatientId> = all
            .iter()
            .filter(|p| p.tier == Tier::Archive && p.requested.is_none() && on_ward(&t, &p.patient))
            .map(|p| p.patient.clone())
            .collect();
        wanted.sort();
        wanted.dedup();
        wanted.truncate(limit);
        Ok(Due {
            down: t.patients.keys().filter(ripe).take(limit).cloned().collect(),
            away: away.map(|p| p.id).take(limit).collect(),
            home: warm()
                .filter(|p| on_ward(&t, &p.patient))
                .map(|p| p.id)
                .take(limit)
                .collect(),
            wanted,
        })
    }

    async fn tiers_would(&self, rule: &TierRule) -> Result<TierCount, StoreError> {
        let t = self.tables();
        let mut out = TierCount::default();
        for id in t.patients.keys().filter(|id| is_idle(&t, rule, id)) {
            let found = ripe(&t, rule, id);
            out.records += u64::from(!found.is_empty());
            out.bodies += found.len() as u64;
            out.bytes += found.iter().map(|f| f.3).sum::<u64>();
        }
        Ok(out)
    }

    async fn pack_down(
        &self,
        entry: AuditEntry,
        rule: &TierRule,
        patient: &PatientId,
        ids: [Uuid; 2],
    ) -> Result<Moved, StoreError> {
        let mut t = self.tables();
        let mut moved = Moved::default();
        if !is_idle(&t, rule, patient) {
            return Ok(moved);
        }
        let notes: Vec<_> = t
            .chart_keys
            .keys()
            .filter(|(p, k)| p == patient && NOTE_KINDS.contains(&k.kind.as_str()))
            .filter_map(|(_, k)| {
                let current = &t.resources.get(k)?.current;
                let note = self
                    .projector
                    .note(k, &body_of(&t, current).ok()?)
                    .unwrap_or_default();
                Some((
                    k.clone(),
                    (current.version, note.whole, content_words(&note.text)),
                ))
            })
            .collect();
        t.notes.extend(notes);
        let found = ripe(&t, rule, patient);
        for (id, old) in ids.into_iter().zip([false, true]) {
            let of: Vec<_> = found
                .iter()
                .filter(|f| (f.2.0 < rule.archive_before()) == old)
                .collect();
            if of.is_empty() {
                continue;
            }
            let bytes = of.iter().map(|f| f.3).sum();
            for (key, version, ..) in &of {
                let r = t.resources.get_mut(key);
                let all = r
                    .into_iter()
                    .flat_map(|r| r.older.iter_mut().chain([&mut r.current]));
                all.filter(|v| v.version == *version)
                    .for_each(|v| v.pack = Some(id));
            }
            let row = PackRow {
                id,
                patient: patient.clone(),
                tier: Tier::Warm,
                bodies: of.len() as u64,
                bytes,
                sha256: [0; 32],
                newest: of.iter().map(|f| f.2).max().unwrap_or(rule.at),
                made: rule.at,
                moved: rule.at,
                requested: None,
                recalled: None,
            };
            t.packs.insert(id, row);
            moved.packs += 1;
            moved.bodies += of.len() as u64;
            moved.from_bytes += bytes;
            moved.bytes += bytes;
        }
        if moved.packs > 0 {
            record(&mut t, &entry)?;
        }
        Ok(moved)
    }

    async fn pack_away(&self, entry: AuditEntry, pack: Uuid) -> Result<bool, StoreError> {
        let mut t = self.tables();
        let row = t.packs.get_mut(&pack).ok_or_else(|| unknown_pack(pack))?;
        if row.tier != Tier::Warm {
            return Ok(false);
        }
        (row.tier, row.moved, row.requested) = (Tier::Archive, entry.at, None);
        record(&mut t, &entry)?;
        Ok(true)
    }

    async fn pack_home(&self, entry: AuditEntry, pack: Uuid) -> Result<u64, StoreError> {
        let mut t = self.tables();
        let row = t.packs.get_mut(&pack).ok_or_else(|| unknown_pack(pack))?;
        match row.tier {
            Tier::Hot => return Ok(0),
            Tier::Archive => {
                return Err(StoreError::Archived {
                    pack,
                    bytes: row.bytes,
                });
            }
            Tier::Warm => (row.tier, row.moved) = (Tier::Hot, entry.at),
        }
        let home = versions(&mut t, pack).map(|v| v.pack = None).count() as u64;
        record(&mut t, &entry)?;
        Ok(home)
    }

    async fn ask_recall(&self, entry: AuditEntry, patient: &PatientId) -> Result<Recall, StoreError> {
        let mut t = self.tables();
        let recall = recall_of(&Self::sorted_packs(&t, PacksOf::All), patient);
        if recall.new {
            for p in &recall.packs {
                if let Some(row) = t.packs.get_mut(&p.id) {
                    row.requested.get_or_insert(entry.at);
                }
            }
            record(&mut t, &entry)?;
        }
        Ok(recall)
    }

    async fn recall(
        &self,
        pack: Uuid,
        at: UtcMs,
        moved: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let mut t = self.tables();
        let row = t.packs.get_mut(&pack).ok_or_else(|| unknown_pack(pack))?;
        if row.tier == Tier::Archive {
            (row.tier, row.moved, row.requested, row.recalled) = (Tier::Warm, at, None, Some(at));
            moved(row.bytes);
        }
        Ok(())
    }

    async fn check_packs(&self, _: bool) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn tidy_packs(&self, home_before: UtcMs) -> Result<u64, StoreError> {
        let mut t = self.tables();
        let before = t.packs.len();
        t.packs
            .retain(|_, p| p.tier != Tier::Hot || p.moved >= home_before);
        Ok((before - t.packs.len()) as u64)
    }
}
