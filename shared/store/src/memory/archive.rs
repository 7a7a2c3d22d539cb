//! Holds and destructions of the memory store.

use super::state::Tables;
use super::{MemoryStore, apply, record};
use crate::archive::{ArchiveAct, ArchiveList, ArchiveOrder, Archived, Case, Destruction, Manifest, Step};
use crate::{Archive, Projector, StoreError};
use async_trait::async_trait;
use vitrine_access::{AuditEntry, Receipt};
use vitrine_clinical::{PatientId, ResourceKey};

fn case(t: &Tables, id: &PatientId) -> Case {
    let patient = t.patients.get(id);
    let of = t.destructions.values().filter(|d| d.patient == *id);
    Case {
        known: patient.is_some(),
        destroyed: patient.is_some_and(|p| p.destroyed),
        hold: t.holds.get(id).cloned(),
        destructions: of.cloned().collect(),
        accounts: t.accounts.values().cloned().collect(),
    }
}

/// Destroys a record; nothing is changed on an error.
fn destroy(
    t: &mut Tables,
    projector: &dyn Projector,
    order: &ArchiveOrder,
    d: Destruction,
) -> Result<(Destruction, AuditEntry), StoreError> {
    let mut manifest = Manifest::default();
    let (mut all, mut live) = (Vec::<ResourceKey>::new(), Vec::new());
    for (key, r) in t
        .resources
        .iter()
        .filter(|(_, r)| r.patient.as_ref() == Some(&order.patient))
    {
        for v in r.older.iter().chain([&r.current]) {
            manifest.add(key, v.version, &super::tiers::body_of(t, v)?);
        }
        if !r.current.deleted {
            live.push(key.clone());
        }
        all.push(key.clone());
    }
    for (uid, sha256) in super::imaging::of(t, &order.patient) {
        manifest.image(&uid, sha256)?;
    }
    for (id, body) in super::messages::of(t, &order.patient) {
        manifest.message(id, body)?;
    }
    let d = order.destroyed(d, manifest)?;
    let (_, disclosure) = apply::apply(t, projector, Some(&order.patient), &order.deletion(d.id, live))?;
    for key in &all {
        if let Some(r) = t.resources.get_mut(key) {
            r.older.clear();
        }
    }
    if let Some(p) = t.patients.get_mut(&order.patient) {
        p.destroyed = true;
        p.person = None;
    }
    t.packs.retain(|_, p| p.patient != order.patient);
    t.destructions.insert(d.id, d.clone());
    let entry = AuditEntry {
        disclosure,
        ..order.entry.clone()
    };
    Ok((d, entry))
}

#[async_trait]
impl Archive for MemoryStore {
    async fn archive(&self, act: ArchiveAct<'_>) -> Result<(Archived, Receipt), StoreError> {
        let order = ArchiveOrder::of(act)?;
        let mut t = self.tables();
        let step = order.step(&case(&t, &order.patient))?;
        let mut entry = order.entry.clone();
        let step = match step {
            Step::Destroy(d) => {
                let (d, said) = destroy(&mut t, &*self.projector, &order, d)?;
                entry = said;
                let gone: Vec<_> = t.notes.keys().cloned().collect();
                for key in gone {
                    let whose = t.resources.get(&key).and_then(|r| r.patient.clone());
                    if whose.as_ref() == Some(&order.patient) {
                        t.notes.remove(&key);
                    }
                }
                super::imaging::forget(&mut t, &order.patient);
                super::messages::forget(&mut t, &order.patient);
                Step::Destroy(d)
            }
            other => other,
        };
        match &step {
            Step::Hold(Some(h)) => {
                t.holds.insert(h.patient.clone(), h.clone());
            }
            Step::Hold(None) => {
                t.holds.remove(&order.patient);
            }
            Step::Put(d) => {
                t.destructions.insert(d.id, d.clone());
            }
            Step::Destroy(_) | Step::Already(_) => {}
        }
        let receipt = record(&mut t, &entry)?;
        self.committed(&t);
        Ok((step.into(), receipt))
    }

    async fn archived(&self) -> Result<ArchiveList, StoreError> {
        let t = self.tables();
        let all = ArchiveList {
            holds: t.holds.values().cloned().collect(),
            destructions: t.destructions.values().cloned().collect(),
        };
        Ok(all.sorted())
    }
}
