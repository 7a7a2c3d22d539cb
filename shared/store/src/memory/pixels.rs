//! The pixels of images in memory.

use super::MemoryStore;
use super::state::{Image, Tables};
use crate::imaging::{Blob, InstanceRow};
use crate::pixels::{PixelPack, Pixels, PixelsDone, SeriesPixels, Unpacked, WITHOUT_MOST, seal_pixels};
use crate::{StoreError, seal};
use async_trait::async_trait;
use std::cmp::Reverse;
use vitrine_access::action::ReadChart;
use vitrine_access::{Permit, Sealed};

fn unpacked(t: &Tables, uid: &str, i: &Image) -> Option<Unpacked> {
    let series = t.series.get(&i.series)?;
    let study = t.studies.get(&series.study)?;
    Some(Unpacked {
        patient: study.patient.clone(),
        instance: InstanceRow {
            study: series.study.clone(),
            series: i.series.clone(),
            uid: uid.to_owned(),
            position: i.position,
            at: i.at,
            header: i.header.clone(),
            blob: i.blob.clone(),
        },
    })
}

fn shown(t: &Tables, uid: &str, study: &str) -> SeriesPixels {
    let mut all: Vec<(&String, &Image)> = t.images.iter().filter(|(_, i)| i.series == uid).collect();
    all.sort_by_key(|(_, i)| (i.position, i.number));
    let without = all.iter().filter_map(|(uid, i)| match (i.frames, &i.why) {
        (Some(0), why) => Some(((*uid).clone(), why.clone().unwrap_or_default())),
        _ => None,
    });
    SeriesPixels {
        study: study.to_owned(),
        series: uid.to_owned(),
        packs: t.pixel_packs.get(uid).cloned().unwrap_or_default(),
        ready: all
            .iter()
            .filter(|(_, i)| i.frames.is_some_and(|f| f > 0))
            .count() as u64,
        preparing: all.iter().filter(|(_, i)| i.frames.is_none()).count() as u64,
        without: without.take(WITHOUT_MOST).collect(),
    }
}

#[async_trait]
impl Pixels for MemoryStore {
    async fn unpacked(&self, series: Option<&str>, limit: usize) -> Result<Vec<Unpacked>, StoreError> {
        let t = self.tables();
        let mut all: Vec<(&String, &Image)> = t.images.iter().filter(|(_, i)| i.frames.is_none()).collect();
        match series {
            Some(series) => {
                all.retain(|(_, i)| i.series == series);
                all.sort_by_key(|(_, i)| (i.position, i.number));
            }
            None => all.sort_by_key(|(_, i)| Reverse(i.number)),
        }
        let all = all.into_iter().take(limit);
        Ok(all.filter_map(|(uid, i)| unpacked(&t, uid, i)).collect())
    }

    async fn pixels_done(&self, done: PixelsDone) -> Result<bool, StoreError> {
        let mut t = self.tables();
        if !t.series.contains_key(&done.series) {
            return Ok(false);
        }
        let open = |uid: &String| {
            let image = t.images.get(uid);
            image.is_some_and(|i| i.series == done.series && i.frames.is_none())
        };
        if !done.instances.iter().all(|i| open(&i.uid)) {
            let there = t.pixel_packs.get(&done.series);
            return Ok(there.is_some_and(|all| all.iter().any(|p| Some(p) == done.pack.as_ref())));
        }
        for looked in done.instances {
            if let Some(i) = t.images.get_mut(&looked.uid) {
                i.frames = Some(looked.frames);
                i.why = looked.why;
            }
        }
        if let Some(pack) = done.pack {
            t.pixel_packs.entry(done.series).or_default().push(pack);
        }
        Ok(true)
    }

    async fn pixels(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<SeriesPixels>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let t = self.tables();
        let mut studies: Vec<_> = t.studies.iter().collect();
        studies.retain(|(uid, s)| s.patient == patient && study.is_none_or(|x| x == *uid));
        studies.sort_by_key(|(_, s)| (s.day.is_none(), Reverse(s.day), Reverse(s.number)));
        let mut out = Vec::new();
        for (study, _) in studies {
            let mut series: Vec<_> = t.series.iter().filter(|(_, s)| s.study == *study).collect();
            series.sort_by_key(|(_, s)| s.number);
            out.extend(series.into_iter().map(|(uid, _)| shown(&t, uid, study)));
        }
        seal_pixels(permit, out)
    }

    async fn look_again(&self, series: &str) -> Result<Vec<Blob>, StoreError> {
        let mut t = self.tables();
        for i in t.images.values_mut().filter(|i| i.series == series) {
            i.frames = None;
            i.why = None;
        }
        let packs: Vec<PixelPack> = t.pixel_packs.remove(series).unwrap_or_default();
        Ok(packs.into_iter().map(|p| p.blob).collect())
    }

    async fn all_series(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let t = self.tables();
        let mut all: Vec<(u64, String)> = t.series.iter().map(|(uid, s)| (s.number, uid.clone())).collect();
        all.retain(|(n, _)| *n > after);
        all.sort();
        all.truncate(limit);
        Ok(all)
    }
}
