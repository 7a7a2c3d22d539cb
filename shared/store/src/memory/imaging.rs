//! The index of images in memory.

use super::MemoryStore;
use super::state::{Image, Patient, Series, Study, Tables, Txn};
use crate::imaging::{
    self, Blob, Imaging, InstanceAfter, InstancePage, InstanceRow, NewInstance, Placed, SeriesRow, Standing,
    StudyHits, StudyQuery, StudyRow, place,
};
use crate::{StoreError, seal};
use async_trait::async_trait;
use std::cmp::Reverse;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, UtcMs};

fn standing(t: &Tables, study: &str, series: &str, instance: &str) -> Standing {
    Standing {
        study: t.studies.get(study).map(|s| s.patient.clone()),
        series: t.series.get(series).map(|s| s.study.clone()),
        instance: t.images.get(instance).map(|i| (i.series.clone(), i.blob.sha256)),
    }
}

/// Files an instance.
pub(super) fn file(
    txn: &mut Txn<'_>,
    owner: Option<&PatientId>,
    index: usize,
    new: &NewInstance,
    at: UtcMs,
) -> Result<(), StoreError> {
    let patient = &new.patient;
    if owner.is_some_and(|o| o != patient) {
        return Err(StoreError::WrongPatient(format!("image {index}")));
    }
    if txn.t.patients.get(patient).is_some_and(|p| p.destroyed) {
        let patient = patient.clone();
        return Err(StoreError::Destroyed { index, patient });
    }
    let there = standing(txn.t, &new.study, &new.series, &new.uid);
    if place(index, new, &there)? == Placed::Same {
        return Ok(());
    }
    if !txn.t.patients.contains_key(patient) {
        txn.set(|t| &mut t.patients, patient.clone(), Some(Patient::default()));
    }
    let mut number = || {
        txn.t.numbers += 1;
        txn.t.numbers
    };
    let numbers = [number(), number(), number()];
    if there.study.is_none() {
        let study = Study {
            number: numbers[0],
            patient: patient.clone(),
            day: new.day,
            accession: new.accession.clone(),
            header: new.study_header.clone(),
        };
        txn.set(|t| &mut t.studies, new.study.clone(), Some(study));
    }
    if there.series.is_none() {
        let series = Series {
            number: numbers[1],
            study: new.study.clone(),
            header: new.series_header.clone(),
        };
        txn.set(|t| &mut t.series, new.series.clone(), Some(series));
    }
    let image = Image {
        number: numbers[2],
        series: new.series.clone(),
        position: new.position,
        at,
        header: new.header.clone(),
        blob: new.blob.clone(),
        frames: None,
        why: None,
        copies: 0,
    };
    txn.set(|t| &mut t.images, new.uid.clone(), Some(image));
    Ok(())
}

/// Every instance of a patient, with the SHA-256 of its bytes.
pub(super) fn of(t: &Tables, patient: &PatientId) -> Vec<(String, [u8; 32])> {
    let theirs = |i: &Image| {
        let study = t.series.get(&i.series).and_then(|s| t.studies.get(&s.study));
        study.is_some_and(|s| s.patient == *patient)
    };
    let all = t.images.iter().filter(|(_, i)| theirs(i));
    all.map(|(uid, i)| (uid.clone(), i.blob.sha256)).collect()
}

/// The images of a record that is destroyed go with it.
pub(super) fn forget(t: &mut Tables, patient: &PatientId) {
    t.studies.retain(|_, s| s.patient != *patient);
    t.series.retain(|_, s| t.studies.contains_key(&s.study));
    t.images.retain(|_, i| t.series.contains_key(&i.series));
    t.pixel_packs.retain(|series, _| t.series.contains_key(series));
    super::copies::forget(t);
}

fn study(t: &Tables, uid: &str, s: &Study) -> StudyRow {
    let mut series: Vec<(&String, &Series)> = t.series.iter().filter(|(_, x)| x.study == uid).collect();
    series.sort_by_key(|(_, x)| x.number);
    let series = series.into_iter().map(|(uid, x)| SeriesRow {
        uid: uid.clone(),
        header: x.header.clone(),
        instances: t.images.values().filter(|i| i.series == *uid).count() as u64,
    });
    StudyRow {
        uid: uid.to_owned(),
        patient: s.patient.clone(),
        day: s.day,
        header: s.header.clone(),
        series: series.collect(),
    }
}

fn found(t: &Tables, which: impl Fn(&str, &Study) -> bool) -> Vec<StudyRow> {
    let mut all: Vec<(&String, &Study)> = t.studies.iter().filter(|(uid, s)| which(uid, s)).collect();
    all.sort_by_key(|(_, s)| (s.day.is_none(), Reverse(s.day), Reverse(s.number)));
    all.into_iter().map(|(uid, s)| study(t, uid, s)).collect()
}

fn row(t: &Tables, uid: &str, i: &Image) -> InstanceRow {
    InstanceRow {
        study: t
            .series
            .get(&i.series)
            .map(|s| s.study.clone())
            .unwrap_or_default(),
        series: i.series.clone(),
        uid: uid.to_owned(),
        position: i.position,
        at: i.at,
        header: i.header.clone(),
        blob: i.blob.clone(),
    }
}

/// Refuses the series of another patient.
fn of_patient(t: &Tables, series: &str, patient: &PatientId) -> Result<(), StoreError> {
    let whose = t.series.get(series).and_then(|s| t.studies.get(&s.study));
    match whose {
        Some(s) if s.patient != *patient => Err(StoreError::WrongPatient("a series of images".to_owned())),
        _ => Ok(()),
    }
}

#[async_trait]
impl Imaging for MemoryStore {
    async fn study_owner(&self, study: &str) -> Result<Option<PatientId>, StoreError> {
        Ok(self.tables().studies.get(study).map(|s| s.patient.clone()))
    }

    async fn study(&self, study: &str) -> Result<Option<StudyRow>, StoreError> {
        Ok(found(&self.tables(), |uid, _| uid == study).pop())
    }

    async fn standing(&self, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError> {
        Ok(standing(&self.tables(), study, series, instance))
    }

    async fn original(&self, instance: &str) -> Result<Option<Blob>, StoreError> {
        Ok(self.tables().images.get(instance).map(|i| i.blob.clone()))
    }

    async fn studies(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<StudyRow>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let all = found(&self.tables(), |uid, s| {
            s.patient == patient && study.is_none_or(|x| x == uid)
        });
        imaging::seal_studies(permit, all, |a| a)
    }

    async fn find_studies(
        &self,
        permit: &Permit<SearchPatients>,
        query: &StudyQuery,
    ) -> Result<Sealed<StudyHits>, StoreError> {
        let fits = |uid: &str, s: &Study| {
            query.patient.as_ref().is_none_or(|p| s.patient == *p)
                && query.uid.as_ref().is_none_or(|u| u == uid)
                && (query.accession.is_none() || s.accession == query.accession)
                && query.from.is_none_or(|d| s.day.is_some_and(|x| x >= d))
                && query.to.is_none_or(|d| s.day.is_some_and(|x| x <= d))
        };
        let all = found(&self.tables(), fits);
        let more = all.len() > query.offset.saturating_add(query.limit);
        let studies = all.into_iter().skip(query.offset).take(query.limit).collect();
        imaging::seal_studies(permit, StudyHits { studies, more }, |h| &h.studies)
    }

    async fn instances(
        &self,
        permit: &Permit<ReadChart>,
        series: &str,
        after: Option<InstanceAfter>,
        limit: usize,
    ) -> Result<Sealed<InstancePage>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let t = self.tables();
        of_patient(&t, series, &patient)?;
        let mut all: Vec<(&String, &Image)> = t.images.iter().filter(|(_, i)| i.series == series).collect();
        all.sort_by_key(|(_, i)| (i.position, i.number));
        all.retain(|(_, i)| after.is_none_or(|a| (i.position, i.number) > a));
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|(_, i)| (i.position, i.number));
        let instances = all.into_iter().map(|(uid, i)| row(&t, uid, i)).collect();
        imaging::seal_instances(permit, InstancePage { instances, next }, |p| &p.instances)
    }

    async fn instance(
        &self,
        permit: &Permit<ReadChart>,
        uid: &str,
    ) -> Result<Sealed<Option<InstanceRow>>, StoreError> {
        let patient = seal::patient_of(permit)?;
        let t = self.tables();
        let found = match t.images.get(uid) {
            Some(i) => {
                of_patient(&t, &i.series, &patient)?;
                Some(row(&t, uid, i))
            }
            None => None,
        };
        imaging::seal_instances(permit, found, |f| f.as_slice())
    }
}
