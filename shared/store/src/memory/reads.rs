//! Reading from the memory store: charts, search, feed, audit.

use super::tiers::body_of;
use super::{MemoryStore, record, state};
use crate::audit_find::{self, AuditFound, AuditQuery, FoundRow};
use crate::held::HeldItem;
use crate::notes::{Collecting, Known, NoteHits, NoteQuery, NoteRow};
use crate::scope::{ChartToken, Scope};
use crate::{
    Applied, ArchivedResource, AuditChainRow, AuditLog, ChangeBatch, ChartStore, Counts, Feed, FeedBatch,
    HistoryPage, ItemRef, Page, PatientHit, QuarantineItem, QuarantineRow, ScopeItem, ScopePage, SearchBy,
    SearchHits, SearchQuery, StoreError, StoredCard, StoredResource, batch, seal, search,
};
use async_trait::async_trait;
use bytes::Bytes;
use state::{Resource, Tables, Version};
use std::cmp::Reverse;
use vitrine_access::action::{
    ImportData, ReadAudit, ReadCard, ReadChart, ReadResource, SearchPatients, SyncScope, WriteClinical,
};
use vitrine_access::{AuditEntry, Permit, Receipt, Sealed, chain};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UtcMs, WardId};

/// Whether a person fits the terms of a query.
type Fits = fn(&search::PersonWords, &[search::Term]) -> bool;

pub(super) fn stored(
    t: &Tables,
    key: &ResourceKey,
    r: &Resource,
    v: &Version,
) -> Result<StoredResource, StoreError> {
    Ok(StoredResource {
        key: key.clone(),
        version: v.version,
        updated: v.updated,
        patient: r.patient.clone(),
        body: body_of(t, v)?,
        deleted: v.deleted,
    })
}

/// A permit about a patient reads that patient's resources and those of nobody; one about no patient reads only those
/// of nobody.
fn may_read(
    permit: &Permit<ReadResource>,
    key: &ResourceKey,
    of: Option<&PatientId>,
) -> Result<(), StoreError> {
    match of {
        Some(p) if permit.patient() != Some(p) => Err(StoreError::WrongPatient(key.to_string())),
        _ => Ok(()),
    }
}

#[async_trait]
impl ChartStore for MemoryStore {
    async fn apply(
        &self,
        permit: &Permit<WriteClinical>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        self.apply_as(permit, &batch)
    }

    async fn import(
        &self,
        permit: &Permit<ImportData>,
        batch: ChangeBatch,
    ) -> Result<(Applied, Receipt), StoreError> {
        self.apply_as(permit, &batch)
    }

    async fn quarantine(
        &self,
        permit: &Permit<ImportData>,
        at: UtcMs,
        items: Vec<QuarantineItem>,
    ) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        for item in items {
            t.quarantine_last += 1;
            let row = QuarantineRow {
                id: t.quarantine_last,
                at,
                location: item.location,
                kind: item.kind,
                reason: item.reason,
                expression: item.expression,
                bytes: item.body.len() as u64,
            };
            t.quarantine.push(HeldItem { row, body: item.body });
        }
        record(&mut t, &permit.entry(vitrine_access::Disclosure::default()))
    }

    async fn quarantined(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        Ok(self
            .tables()
            .quarantine
            .iter()
            .rev()
            .take(limit)
            .map(|i| i.row.clone())
            .collect())
    }

    async fn read(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        let t = self.tables();
        let Some(r) = t.resources.get(key) else {
            return seal::resource(permit, None);
        };
        may_read(permit, key, r.patient.as_ref())?;
        seal::resource(permit, Some(stored(&t, key, r, &r.current)?))
    }

    async fn vread(
        &self,
        permit: &Permit<ReadResource>,
        key: &ResourceKey,
        version: u64,
    ) -> Result<Sealed<Option<StoredResource>>, StoreError> {
        let t = self.tables();
        let Some(r) = t.resources.get(key) else {
            return seal::resource(permit, None);
        };
        may_read(permit, key, r.patient.as_ref())?;
        let found = r.older.iter().chain([&r.current]).find(|v| v.version == version);
        let found = found.map(|v| stored(&t, key, r, v)).transpose()?;
        seal::resource(permit, found)
    }

    async fn everything(
        &self,
        permit: &Permit<ReadChart>,
        page: Page,
    ) -> Result<Sealed<HistoryPage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let after = seal::chart_token(&page)?;
        let t = self.tables();
        let from = after.map_or((0, Reverse(u64::MAX)), |a| (a.rank, Reverse(a.number)));
        let mut found = t
            .charts
            .range((patient.clone(), from.0, from.1)..)
            .take_while(|((p, _, _), _)| *p == patient)
            .filter(|((_, rank, number), _)| {
                after.is_none_or(|a| (a.rank, Reverse(a.number)) != (*rank, *number))
            });
        let mut resources = Vec::new();
        let mut archived = Vec::new();
        let mut last = None;
        for ((_, rank, Reverse(number)), key) in found.by_ref().take(page.limit.max(1)) {
            if let Some(r) = t.resources.get(key) {
                match stored(&t, key, r, &r.current) {
                    Ok(found) => resources.push(found),
                    Err(StoreError::Archived { pack, .. }) => archived.push(ArchivedResource {
                        key: key.clone(),
                        version: r.current.version,
                        updated: r.current.updated,
                        pack,
                    }),
                    Err(e) => return Err(e),
                }
            }
            last = Some(ChartToken {
                rank: *rank,
                number: *number,
            });
        }
        let next = found.next().and(last).map(|l| l.to_string());
        let total = t.patients.get(&patient).map_or(0, |p| p.live);
        let found = HistoryPage {
            resources,
            next,
            archived,
            total,
            withheld: 0,
        };
        Ok(seal::chart(permit, found))
    }

    async fn card(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<StoredCard>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let card = self.tables().patients.get(&patient).and_then(|p| p.card.clone());
        seal::card(permit, card)
    }

    async fn search(
        &self,
        permit: &Permit<SearchPatients>,
        query: &SearchQuery,
    ) -> Result<Sealed<SearchHits>, StoreError> {
        let terms = search::terms(&query.text);
        let t = self.tables();
        let persons = || {
            t.patients
                .iter()
                .filter_map(|(id, p)| Some((id, p.person.as_ref()?, p.card.as_ref()?)))
        };
        let (first, all): (Fits, Fits) = match query.by {
            SearchBy::Words => (
                |w, t| search::matches(w, t, true),
                |w, t| search::matches(w, t, false),
            ),
            SearchBy::Sound => (search::matches_names, search::matches_phonetic),
        };
        let exact = persons().filter(|(_, w, _)| first(w, &terms));
        let rest = persons().filter(|(_, w, _)| all(w, &terms) && !first(w, &terms));
        let mut hits: Vec<PatientHit> = exact
            .chain(rest)
            .take(query.limit.saturating_add(1))
            .map(|(id, _, card)| PatientHit {
                patient: id.clone(),
                version: card.version,
                card: card.body.clone(),
            })
            .collect();
        let more = hits.len() > query.limit;
        hits.truncate(query.limit);
        let of = persons().count() as u64;
        seal::hits(permit, SearchHits { hits, more, of })
    }

    async fn identities(
        &self,
        permit: &Permit<SearchPatients>,
        patients: &[PatientId],
    ) -> Result<Sealed<SearchHits>, StoreError> {
        let t = self.tables();
        let card = |p: &PatientId| t.patients.get(p).and_then(|p| p.card.clone());
        seal::identities(permit, patients.iter().filter_map(card).collect())
    }

    async fn notes(
        &self,
        permit: &Permit<ReadChart>,
        query: &NoteQuery,
    ) -> Result<Sealed<NoteHits>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let t = self.tables();
        let mut found = Collecting::new(&query.text, query.limit).seen_with(permit.clearance());
        for (_, key) in t
            .chart_keys
            .keys()
            .filter(|(p, k)| *p == patient && k.kind.as_str() == query.kind)
        {
            let Some(r) = t.resources.get(key).filter(|r| !r.current.deleted) else {
                continue;
            };
            let kept = t
                .notes
                .get(key)
                .filter(|(version, ..)| *version == r.current.version);
            let row = NoteRow {
                number: i64::try_from(r.number).unwrap_or(i64::MAX),
                key: key.clone(),
                version: r.current.version,
                updated: r.current.updated,
                known: kept.map(|(_, whole, words)| Known {
                    whole: *whole,
                    matches: !found.words().is_empty() && found.words().is_subset(words),
                }),
                body: body_of(&t, &r.current),
            };
            found.row(row, &patient, &*self.projector)?;
        }
        Ok(seal::notes(permit, found.finish().0))
    }

    async fn whereabouts(&self, patient: &PatientId) -> Result<Option<Option<WardId>>, StoreError> {
        Ok(self
            .tables()
            .patients
            .get(patient)
            .and_then(|p| p.card.as_ref())
            .map(|c| c.ward.clone()))
    }

    async fn owner(&self, key: &ResourceKey) -> Result<Option<Option<PatientId>>, StoreError> {
        Ok(self.tables().resources.get(key).map(|r| r.patient.clone()))
    }

    async fn by_identifier(
        &self,
        kind: &str,
        system: Option<&str>,
        value: &str,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let t = self.tables();
        let found = t
            .idents
            .range((value.to_owned(), String::new(), String::new(), 0)..)
            .take_while(|((v, _, _, _), _)| v == value)
            .filter(|((_, s, k, _), _)| k == kind && system.is_none_or(|x| x == s));
        let mut keys: Vec<ResourceKey> = Vec::new();
        for (_, key) in found {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys.truncate(2);
        Ok(keys)
    }

    async fn lookup(&self, key: &ResourceKey) -> Result<Option<(u64, Bytes)>, StoreError> {
        let t = self.tables();
        let live = t.resources.get(key).filter(|r| !r.current.deleted);
        live.map(|r| Ok((r.current.version, body_of(&t, &r.current)?)))
            .transpose()
    }

    async fn catch_up(&self, _: usize) -> Result<u64, StoreError> {
        // Its index never outlives the program that wrote it.
        Ok(0)
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let t = self.tables();
        let mut counts = Counts {
            patients: t.patients.values().filter(|p| p.card.is_some()).count() as u64,
            quarantined: t.quarantine.len() as u64,
            audit_rows: t.audit.len() as u64,
            devices: t.devices.len() as u64,
            ..Counts::default()
        };
        for (key, _) in t.resources.iter().filter(|(_, r)| !r.current.deleted) {
            *counts.resources.entry(key.kind.to_string()).or_default() += 1;
        }
        Ok(counts)
    }
}

/// All items of a scope in key order, after a key.
fn scope_items(t: &Tables, scope: &Scope, after: Option<&str>) -> Result<Vec<ScopeItem>, StoreError> {
    let item = |key: String, ver: u64, body: &[u8]| ScopeItem {
        key,
        ver,
        version: None,
        hash: batch::body_hash(body),
        body: Bytes::copy_from_slice(body),
    };
    let card = |id: &PatientId| {
        let c = t.patients.get(id)?.card.as_ref()?;
        Some(item(id.to_string(), c.version, &c.body))
    };
    let of_ward =
        |index: &std::collections::BTreeMap<(WardId, PatientId), ()>, ward: &WardId| -> Vec<PatientId> {
            index
                .keys()
                .filter(|(w, _)| w == ward)
                .map(|(_, p)| p.clone())
                .collect()
        };
    let items: Vec<ScopeItem> = match scope {
        Scope::Site => t.patients.keys().filter_map(card).collect(),
        Scope::Ess(ward) => of_ward(&t.wards, ward).iter().filter_map(card).collect(),
        Scope::Board(ward) => of_ward(&t.boards, ward)
            .iter()
            .filter_map(|id| {
                let p = t.patients.get(id)?;
                p.board
                    .as_ref()
                    .map(|(_, body)| item(id.to_string(), p.board_ver, body))
            })
            .collect(),
        Scope::Patient(id) => t
            .chart_keys
            .keys()
            .filter(|(p, _)| p == id)
            .filter_map(|(_, key)| {
                t.resources.get(key).map(|r| ScopeItem {
                    version: Some(r.current.version),
                    ..item(key.to_string(), r.rev, &r.current.body)
                })
            })
            .collect(),
        Scope::Dir => t
            .accounts
            .values()
            .map(|a| item(batch::dir_key(a.user.as_str()), a.version, &batch::dir_body(a)))
            .collect(),
    };
    let Some(after) = after else { return Ok(items) };
    let place = items.iter().position(|i| i.key == after);
    Ok(match (place, scope) {
        (Some(n), _) => items.into_iter().skip(n + 1).collect(),
        (None, Scope::Patient(_)) => {
            let after = ResourceKey::parse(after).map_err(|e| StoreError::Refused(e.to_string()))?;
            items
                .into_iter()
                .filter(|i| ResourceKey::parse(&i.key).is_ok_and(|k| k > after))
                .collect()
        }
        (None, _) => items.into_iter().filter(|i| i.key.as_str() > after).collect(),
    })
}

/// An item of a scope, unless its body lies in the archive.
fn here(t: &Tables, scope: &Scope, item: ScopeItem) -> Result<ScopeItem, StoreError> {
    if let (Scope::Patient(_), Ok(key)) = (scope, ResourceKey::parse(&item.key))
        && let Some(r) = t.resources.get(&key)
    {
        body_of(t, &r.current)?;
    }
    Ok(item)
}

#[async_trait]
impl Feed for MemoryStore {
    async fn epoch(&self) -> Result<String, StoreError> {
        Ok(self.epoch.clone())
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.pos.subscribe()
    }

    async fn changes_since(
        &self,
        pos: u64,
        scope: Option<&str>,
        limit: usize,
    ) -> Result<FeedBatch, StoreError> {
        let t = self.tables();
        let from = t.feed.partition_point(|r| r.pos <= pos);
        let of_scope = t.feed[from..]
            .iter()
            .filter(|r| scope.is_none_or(|s| s == r.scope));
        let rows: Vec<_> = of_scope.take(limit.max(1)).cloned().collect();
        let full = rows.len() == limit.max(1);
        let reached = rows
            .last()
            .filter(|_| full)
            .map_or(t.feed_pos.max(pos), |r| r.pos);
        Ok(FeedBatch {
            rows,
            pos: reached,
            oldest: t.feed_oldest,
        })
    }

    async fn items(&self, scope: &str, keys: &[String]) -> Result<Vec<ScopeItem>, StoreError> {
        let scope = seal::scope_of(scope, None)?;
        let t = self.tables();
        let all = scope_items(&t, &scope, None)?;
        let asked = all.into_iter().filter(|i| keys.contains(&i.key));
        asked.map(|i| here(&t, &scope, i)).collect()
    }

    async fn scope_page(
        &self,
        permit: &Permit<SyncScope>,
        scope: &str,
        after: Option<&str>,
        max_bytes: usize,
    ) -> Result<Sealed<ScopePage>, StoreError> {
        let scope = seal::scope_of(scope, Some(permit))?;
        let t = self.tables();
        let total = scope_items(&t, &scope, None)?.len() as u64;
        let rest = scope_items(&t, &scope, after)?;
        let count = rest.len();
        let mut bytes = 0;
        let mut items = Vec::new();
        for item in rest {
            let item = here(&t, &scope, item)?;
            bytes += item.body.len();
            if bytes > max_bytes && !items.is_empty() {
                break;
            }
            items.push(item);
        }
        let next_after = items
            .last()
            .filter(|_| items.len() < count)
            .map(|i| i.key.clone());
        let rev = match &scope {
            Scope::Patient(p) => t.patients.get(p).map_or(0, |p| p.rev),
            _ => 0,
        };
        let found = ScopePage {
            items,
            next_after,
            pos: t.feed_pos,
            rev,
            total,
        };
        seal::page(permit, &scope, found)
    }

    async fn scope_refs(&self, scope: &str) -> Result<(Vec<ItemRef>, u64), StoreError> {
        let scope = seal::scope_of(scope, None)?;
        let t = self.tables();
        let items = scope_items(&t, &scope, None)?;
        Ok((
            items
                .into_iter()
                .map(|i| ItemRef {
                    key: i.key,
                    ver: i.ver,
                    hash: i.hash,
                })
                .collect(),
            t.feed_pos,
        ))
    }

    async fn revision(&self, patient: &PatientId) -> Result<u64, StoreError> {
        Ok(self.tables().patients.get(patient).map_or(0, |p| p.rev))
    }

    async fn prune(&self, up_to: u64) -> Result<(), StoreError> {
        let mut t = self.tables();
        let up_to = up_to.min(t.feed_pos);
        t.feed.retain(|r| r.pos > up_to);
        t.feed_oldest = t.feed_oldest.max(up_to);
        Ok(())
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn append(&self, entry: AuditEntry) -> Result<Receipt, StoreError> {
        let mut t = self.tables();
        let receipt = record(&mut t, &entry)?;
        self.committed(&t);
        Ok(receipt)
    }

    async fn accept_device_rows(&self, device: &DeviceId, rows: Vec<chain::Row>) -> Result<u64, StoreError> {
        let mut t = self.tables();
        if !t.devices.contains_key(device) {
            return Err(StoreError::Refused(format!("device {device} is not enrolled")));
        }
        let held = t.device_audit.get(device).cloned().unwrap_or_default();
        let mut grown = held;
        for row in rows {
            let head = grown.last().map_or(chain::Head::EMPTY, |r| chain::Head {
                seq: r.seq,
                hash: r.hash,
            });
            let known = usize::try_from(row.seq)
                .ok()
                .and_then(|n| n.checked_sub(1))
                .and_then(|n| grown.get(n));
            if crate::device_chain::check(head, known, &row)? {
                grown.push(row);
            }
        }
        let last = grown.len() as u64;
        if let Some(d) = t.devices.get_mut(device) {
            d.audit_seq = last;
        }
        t.device_audit.insert(device.clone(), grown);
        Ok(last)
    }

    async fn rows(
        &self,
        _permit: &Permit<ReadAudit>,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError> {
        let t = self.tables();
        let rows: &[chain::Row] = if chain == "server" {
            &t.audit
        } else {
            DeviceId::new(chain)
                .ok()
                .and_then(|d| t.device_audit.get(&d))
                .map_or(&[], Vec::as_slice)
        };
        let wanted = rows.iter().filter(|r| r.seq > after).take(limit);
        Ok(wanted
            .map(|r| AuditChainRow {
                chain: chain.to_owned(),
                row: r.clone(),
            })
            .collect())
    }

    async fn find(&self, _permit: &Permit<ReadAudit>, query: AuditQuery) -> Result<AuditFound, StoreError> {
        let limit = query.checked_limit()?;
        let t = self.tables();
        // The server's chain first, then the devices' by name.
        let chains = std::iter::once(("server", &t.audit[..]))
            .chain(t.device_audit.iter().map(|(d, rows)| (d.as_str(), &rows[..])));
        let of = |chain: &str| (chain != "server", chain.to_owned());
        if let Some(c) = &query.before
            && c.chain != "server"
            && !t.device_audit.keys().any(|d| d.as_str() == c.chain)
        {
            return Err(audit_find::unknown_place(c));
        }
        let place = query.before.as_ref().map(|c| (c.at, of(&c.chain), c.seq));
        let mut found: Vec<FoundRow> = chains
            .flat_map(|(chain, rows)| rows.iter().map(move |r| (chain, r)))
            .filter_map(|(chain, r)| {
                let (entry, at) = audit_find::read(r.body.as_bytes());
                let asked = entry
                    .as_ref()
                    .map_or_else(|| query.terms().is_empty(), |e| query.fits(e));
                let row = FoundRow {
                    chain: chain.to_owned(),
                    seq: r.seq,
                    at,
                    entry,
                };
                let older = place.as_ref().is_none_or(|p| (row.at, of(chain), row.seq) < *p);
                (asked && older && query.fits_time(at)).then_some(row)
            })
            .collect();
        found.sort_by_key(|r| std::cmp::Reverse((r.at, of(&r.chain), r.seq)));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(FoundRow::cursor);
        Ok(AuditFound { rows: found, next })
    }

    async fn heads(&self) -> Result<Vec<(String, chain::Head)>, StoreError> {
        let t = self.tables();
        let mut heads = vec![("server".to_owned(), t.audit_head())];
        for (device, rows) in &t.device_audit {
            let head = rows.last().map_or(chain::Head::EMPTY, |r| chain::Head {
                seq: r.seq,
                hash: r.hash,
            });
            heads.push((device.to_string(), head));
        }
        Ok(heads)
    }
}
