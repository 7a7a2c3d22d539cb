//! From the bytes of an object to the index: the one way in, whoever sends it.
//!
//! Lives here: scan and header before any parser, whose it is, filing. Never here: how bytes arrive, the audit of who sent
//! them (permits are given), the quarantine (`held`). Called by `http::dicomweb::stow`, `ingest::dimse` and `import`.
//!
//! The order: the file is on disk and synced → it is scanned and read → its patient is found → the file is put in its
//! place → index row, audit row, feed and, where the study or series is new, the ImagingStudy in one transaction →
//! the answer. What cannot be filed is kept in quarantine with its file. Further instances of a series change nothing but
//! counts: the ImagingStudy is written again once, after the last of them that a sender sends ([`Filer::settle`]).

use super::blobs::{Blobs, Reading, Received};
use super::copies::Copier;
pub use super::held::Fault;
use super::held::{Lying, Seen};
use super::same::same_data_set;
use super::study;
use crate::clock;
use crate::config;
use crate::data_dir::DataDir;
use crate::ingest::apply;
use crate::ingest::import::Permits;
use crate::ingest::project::FhirProjector;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_dicom::{Instance, index::PersonName};
use vitrine_store::imaging::{Blob, Misfiled, NewInstance, SeriesRow, StudyRow};
use vitrine_store::search::name_words;
use vitrine_store::{ChangeKind, ChangeOp, Precondition, Store, StoreError};

/// Bytes of a header at most. Those of enhanced images have some hundred for each frame.
const HEADER_MOST: u64 = 4 << 20;
/// The same of what is kept of it, as JSON.
const KEPT_MOST: usize = 8 << 20;
/// Headers read at once.
const READING: usize = 2;

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the index.
    Filed(Named),
    /// It was there already, byte for byte.
    Duplicate(Named),
    /// It is kept, and somebody has to look at it.
    Quarantined(Refused),
}

/// An object by its UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// SOP Class UID.
    pub class: String,
    /// SOP Instance UID.
    pub uid: String,
}

/// Why an object is not in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its SOP Class and SOP Instance UIDs, where they could be read.
    pub object: Option<(String, String)>,
    /// What kind of fault it is.
    pub fault: Fault,
    /// In words, without anybody's name.
    pub reason: String,
}

/// Files objects.
pub struct Filer {
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Arc<Blobs>,
    /// One at a time in a study: who makes its ImagingStudy knows all that is in it.
    studies: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Places for reading headers: each may take some hundred MiB while a hostile one is taken apart.
    pub(super) reading: tokio::sync::Semaphore,
    /// What is in quarantine: one at a time, so that the same bytes are kept once.
    pub(super) seen: tokio::sync::Mutex<Seen>,
    /// Counts what was filed, for who makes its pixels ready.
    filed: tokio::sync::watch::Sender<u64>,
}

pub(super) fn backend(doing: &'static str, e: &std::io::Error) -> StoreError {
    match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full(doing),
        _ => StoreError::Backend {
            doing,
            cause: e.to_string(),
        },
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |s, b| s + &format!("{b:02x}"))
}

impl Outcome {
    /// The study that holds it now.
    #[must_use]
    pub fn study(&self) -> Option<&str> {
        match self {
            Self::Filed(named) | Self::Duplicate(named) => Some(&named.study),
            Self::Quarantined(_) => None,
        }
    }
}

impl Refused {
    /// Of bytes that are no DICOM object that can be read.
    pub(super) const fn not_understood(reason: String) -> Self {
        Self {
            object: None,
            fault: Fault::NotUnderstood,
            reason,
        }
    }

    /// What a sender is told. Whoever can guess an AE title must not learn from it which part of a name is right.
    #[must_use]
    pub fn told(&self) -> &str {
        match self.fault {
            Fault::Identity => "whose it is cannot be told, or contradicts the record",
            Fault::NotUnderstood | Fault::Misfiled => &self.reason,
        }
    }
}

impl Filer {
    /// A filer of a store and the folder that a configuration names. `node`: under which name this process receives.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the folder cannot be used.
    pub fn open(
        store: Arc<dyn Store>,
        dir: &DataDir,
        config: &config::Images,
        node: &str,
    ) -> Result<Arc<Self>, StoreError> {
        let folder = match config.folder.as_str() {
            "" => dir.root().join("images"),
            path => dir.root().join(path),
        };
        let blobs = Blobs::open(&folder, node).map_err(|e| backend("opening the folder of images", &e))?;
        Ok(Arc::new(Self::new(store, Arc::new(blobs))))
    }

    /// A filer of a store and a folder.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, blobs: Arc<Blobs>) -> Self {
        Self {
            store,
            blobs,
            studies: Mutex::default(),
            reading: tokio::sync::Semaphore::new(READING),
            seen: tokio::sync::Mutex::default(),
            filed: tokio::sync::watch::channel(0).0,
        }
    }

    /// Changes when there may be images whose pixels nobody has looked at.
    #[must_use]
    pub fn filed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.filed.subscribe()
    }

    /// Says that there may be.
    pub fn tell(&self) {
        self.filed.send_modify(|n| *n += 1);
    }

    /// The folder.
    #[must_use]
    pub const fn blobs(&self) -> &Arc<Blobs> {
        &self.blobs
    }

    /// Takes an object whose bytes are here. `source`: where it came from, without a name of a person; `study`: the study
    /// that whoever sends it says it belongs to.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is kept then, and it must not be acknowledged.
    pub async fn take(
        &self,
        permits: &dyn Permits,
        received: Received,
        source: &str,
        study: Option<&str>,
    ) -> Result<Outcome, StoreError> {
        let place = self.reading.acquire().await.map_err(|_| StoreError::Closed)?;
        let (received, read) = tokio::task::spawn_blocking(move || {
            let read = match received.read() {
                Ok(reading) => read(reading),
                Err(e) => Err(Unread::Io(e)),
            };
            (received, read)
        })
        .await
        .map_err(|_| StoreError::Closed)?;
        drop(place);
        let placing = match read {
            Err(Unread::Io(e)) => return Err(backend("reading an image", &e)),
            Err(Unread::Fault(reason)) => {
                Placing::Not(Lying::Incoming(received), Refused::not_understood(reason))
            }
            Ok(instance) => match self.judge(&instance, study).await? {
                Judged::Whose(patient) => self.file(permits, received, source, &instance, patient).await?,
                Judged::Refused(refused) => Placing::Not(Lying::Incoming(received), refused),
            },
        };
        match placing {
            Placing::Done(outcome) => Ok(outcome),
            Placing::Not(bytes, refused) => self.hold(permits, bytes, source, study, refused).await,
        }
    }

    /// Whose an object is, if it can be told; `study`: the study that its sender says it belongs to.
    pub(super) async fn judge(&self, instance: &Instance, study: Option<&str>) -> Result<Judged, StoreError> {
        let object = Some((class(instance), instance.sop_uid.to_string()));
        if let Some(asked) = study.filter(|s| *s != instance.study_uid.as_str()) {
            return Ok(Judged::Refused(Refused {
                object,
                fault: Fault::Misfiled,
                reason: format!("it was sent to the study {asked} and says that it belongs to another"),
            }));
        }
        Ok(match self.patient(instance).await? {
            Ok(patient) => Judged::Whose(patient),
            Err(reason) => Judged::Refused(Refused {
                object,
                fault: Fault::Identity,
                reason,
            }),
        })
    }

    /// Takes an object that lies in a file of this machine.
    ///
    /// # Errors
    /// As [`Self::take`]; [`StoreError::Backend`] when the file cannot be read.
    pub async fn take_file(&self, permits: &dyn Permits, path: &Path) -> Result<Outcome, StoreError> {
        let (blobs, from) = (self.blobs.clone(), path.to_owned());
        let received = tokio::task::spawn_blocking(move || -> std::io::Result<Received> {
            let mut from = std::fs::File::open(from)?;
            let mut incoming = blobs.receive()?;
            let mut chunk = vec![0; 256 << 10];
            loop {
                let n = from.read(&mut chunk)?;
                if n == 0 {
                    return incoming.finish();
                }
                incoming.write(chunk.get(..n).unwrap_or_default())?;
            }
        })
        .await
        .map_err(|_| StoreError::Closed)?;
        let received = received.map_err(|e| backend("receiving an image", &e))?;
        self.take(permits, received, &path.display().to_string(), None)
            .await
    }

    /// Whether the file of an image that is filed can be read to its end, or lies elsewhere.
    pub(super) async fn kept(&self, uid: &str) -> Result<bool, StoreError> {
        let Some(there) = self.store.original(uid).await? else {
            return Ok(false);
        };
        let blobs = self.blobs.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut reading = blobs.read(&there)?;
            std::io::copy(&mut reading, &mut std::io::sink())
        });
        match read.await.map_err(|_| StoreError::Closed)? {
            Ok(_) => Ok(true),
            Err(e) => {
                tracing::warn!(error = %e, "the file of an image that came again cannot be read");
                Copier::elsewhere(&*self.store, uid).await
            }
        }
    }

    /// Puts the same bytes, which came again, in the place of a file that is damaged or gone, under the key that its row has.
    async fn put_back(&self, received: Received, uid: &str) -> Result<bool, StoreError> {
        let Some(there) = self.store.original(uid).await? else {
            return Ok(false);
        };
        let blobs = self.blobs.clone();
        let put = tokio::task::spawn_blocking(move || {
            let mut again = blobs.receive_under(&there.key)?;
            std::io::copy(&mut received.read()?, &mut again)?;
            let again = again.finish()?;
            if (again.blob().sha256, again.blob().bytes) != (there.sha256, there.bytes) {
                return Err(std::io::Error::other("it is not the same object"));
            }
            again.keep(&blobs)
        });
        put.await
            .map_err(|_| StoreError::Closed)?
            .map_err(|e| backend("putting an image back", &e))?;
        tracing::warn!(
            "the file of an image was damaged or gone: the same image came again and took its place"
        );
        let again = vitrine_store::copies::Again::Original(uid.to_owned());
        self.store.copies_again(again, clock::now()).await?;
        Ok(true)
    }

    /// Whether what is filed under this UID is the same image but for group 0002, and its file can be read: only then may
    /// the sender be told that it is kept.
    async fn sent_again(&self, received: &Received, uid: &str) -> Result<bool, StoreError> {
        let Some(there) = self.store.original(uid).await? else {
            return Ok(false);
        };
        let (blobs, new) = (self.blobs.clone(), received.read());
        let mut new = new.map_err(|e| backend("reading an image", &e))?;
        let compared = tokio::task::spawn_blocking(move || {
            let mut old = blobs.read(&there)?;
            same_data_set(&mut old, &mut new)
        });
        match compared.await.map_err(|_| StoreError::Closed)? {
            Ok(same) => Ok(same),
            // It left this machine: whether it is the same cannot be told now, and is no fault of what came.
            Err(e)
                if e.kind() == std::io::ErrorKind::NotFound
                    && Copier::elsewhere(&*self.store, uid).await? =>
            {
                Err(backend(
                    "comparing an image with one that lies elsewhere: send it again",
                    &e,
                ))
            }
            Err(e) => {
                tracing::error!(error = %e, "an image could not be compared with the one that is there");
                Ok(false)
            }
        }
    }

    /// Files an object of a patient. What cannot be filed is not kept here: what becomes of it is the caller's affair.
    pub(super) async fn file(
        &self,
        permits: &dyn Permits,
        received: Received,
        source: &str,
        instance: &Instance,
        patient: PatientId,
    ) -> Result<Placing, StoreError> {
        let named = Named {
            study: instance.study_uid.to_string(),
            series: instance.series_uid.to_string(),
            class: class(instance),
            uid: instance.sop_uid.to_string(),
        };
        let turn = self.turn(&named.study);
        let _one_at_a_time = turn.lock().await;
        let there = self
            .store
            .standing(&named.study, &named.series, &named.uid)
            .await?;
        let new = new_instance(instance, patient.clone(), received.blob().clone())?;
        let contradiction = match vitrine_store::imaging::place(0, &new, &there) {
            Ok(vitrine_store::imaging::Placed::Same) => {
                // A sender that is told "stored" may throw its copy away.
                if self.kept(&named.uid).await? || self.put_back(received, &named.uid).await? {
                    return Ok(Placing::Done(Outcome::Duplicate(named)));
                }
                return Err(StoreError::Damaged(format!("the file of image {}", named.uid)));
            }
            Ok(vitrine_store::imaging::Placed::New) => None,
            // The same image from another sender has another group 0002: that is about the transfer, not the image.
            Err(StoreError::Misfiled {
                is: Misfiled::OtherBytes,
                ..
            }) if self.sent_again(&received, &named.uid).await? => {
                return Ok(Placing::Done(Outcome::Duplicate(named)));
            }
            Err(StoreError::Misfiled { is, .. }) => Some(is.to_string()),
            Err(e) => return Err(e),
        };
        let object = Some((named.class.clone(), named.uid.clone()));
        let misfiled = |reason: String| Refused {
            object,
            fault: Fault::Misfiled,
            reason,
        };
        if let Some(reason) = contradiction {
            return Ok(Placing::Not(Lying::Incoming(received), misfiled(reason)));
        }
        let mut ops = Vec::new();
        if there.study.is_none() || there.series.is_none() {
            let before = self.store.study(&named.study).await?;
            ops.push(put_study(&with(before, &new))?);
        }
        apply::extract(&*self.store, &FhirProjector, &mut ops).await?;
        let blobs = self.blobs.clone();
        let kept = tokio::task::spawn_blocking(move || received.keep(&blobs))
            .await
            .map_err(|_| StoreError::Closed)?;
        let blob = kept.map_err(|e| backend("keeping an image", &e))?;
        let mut batch = apply::batch(clock::new_uuid(), clock::now(), ops, source);
        batch.images.push(new);
        let permit = permits.permit().await?;
        match self.store.import(&permit, batch).await {
            Ok(_) => {
                self.tell();
                Ok(Placing::Done(Outcome::Filed(named)))
            }
            // Another server was first.
            Err(StoreError::Misfiled { is, .. }) => {
                Ok(Placing::Not(Lying::Kept(blob), misfiled(is.to_string())))
            }
            Err(e) => {
                // The row may be there all the same when the answer was lost: the file stays, and the scrubber finds
                // out.
                Err(e)
            }
        }
    }

    fn turn(&self, study: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.studies.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, t| Arc::strong_count(t) > 1);
        turns.entry(study.to_owned()).or_default().clone()
    }

    /// Writes the ImagingStudy of studies to which somebody has sent instances, once each. One that cannot be written is
    /// told and keeps no other from it; the next instance that is sent to it tries again.
    pub async fn settle(&self, permits: &dyn Permits, studies: &BTreeSet<String>) {
        for uid in studies {
            if let Err(e) = self.count(permits, uid).await {
                tracing::warn!(error = %e, "an ImagingStudy does not count all its images yet");
            }
        }
    }

    async fn count(&self, permits: &dyn Permits, uid: &str) -> Result<(), StoreError> {
        let turn = self.turn(uid);
        let _one_at_a_time = turn.lock().await;
        let Some(row) = self.store.study(uid).await? else {
            return Ok(());
        };
        let mut ops = vec![put_study(&row)?];
        apply::extract(&*self.store, &FhirProjector, &mut ops).await?;
        let batch = apply::batch(clock::new_uuid(), clock::now(), ops, "imaging");
        let permit = permits.permit().await?;
        self.store.import(&permit, batch).await.map(|_| ())
    }

    /// Whose an object is: the one patient of the record who has its Patient ID, and whom nothing else in it contradicts.
    async fn patient(&self, instance: &Instance) -> Result<Result<PatientId, String>, StoreError> {
        let header = &instance.patient;
        let Some(id) = header.id.as_deref().map(str::trim).filter(|id| !id.is_empty()) else {
            return Ok(Err(
                "it names no patient: Patient ID (0010,0020) is empty".to_owned()
            ));
        };
        let found = self.store.by_identifier("Patient", None, id).await?;
        let key = match &found[..] {
            [one] => one,
            [] => {
                return Ok(Err(
                    "no patient of the record has its Patient ID (0010,0020)".to_owned()
                ));
            }
            _ => {
                return Ok(Err(
                    "several patients of the record have its Patient ID (0010,0020)".to_owned(),
                ));
            }
        };
        let Some((_, body)) = self.store.lookup(key).await? else {
            return Ok(Err(
                "the patient of its Patient ID (0010,0020) is no longer in the record".to_owned(),
            ));
        };
        Ok(same_person(
            key,
            &body,
            header.birth_date.as_deref(),
            header.name.as_ref(),
        ))
    }
}

/// Whose an object is.
pub(super) enum Judged {
    Whose(PatientId),
    Refused(Refused),
}

/// What became of filing an object.
pub(super) enum Placing {
    /// It is filed, or was there.
    Done(Outcome),
    /// It does not fit; its bytes.
    Not(Lying, Refused),
}

/// Why an object could not be read.
pub(super) enum Unread {
    Io(std::io::Error),
    Fault(String),
}

pub(super) fn read(mut source: Reading) -> Result<Instance, Unread> {
    let length = source.len();
    let fault = |e: vitrine_dicom::scan::ScanError| match e {
        // A disk, not the object.
        vitrine_dicom::scan::ScanError::Read { source, .. } => Unread::Io(source),
        e => Unread::Fault(e.to_string()),
    };
    let scan = vitrine_dicom::scan(&mut source, length).map_err(fault)?;
    if scan.header.end.saturating_sub(scan.header.start) > HEADER_MOST {
        return Err(Unread::Fault("its header is larger than 4 MiB".to_owned()));
    }
    let header = scan.read_header(&mut source).map_err(fault)?;
    let instance = vitrine_dicom::index(&scan, &header).map_err(|e| Unread::Fault(e.to_string()))?;
    if instance.json.to_string().len() > KEPT_MOST {
        return Err(Unread::Fault("its header has more than can be kept".to_owned()));
    }
    Ok(instance)
}

/// Whether a patient of the record is the one that a header describes: birth dates and family names are the same where
/// both have them, and one of the two is there, unless the record has neither. The reason why not names nobody.
fn same_person(
    key: &ResourceKey,
    body: &[u8],
    birth_date: Option<&str>,
    name: Option<&PersonName>,
) -> Result<PatientId, String> {
    let ours: Value = serde_json::from_slice(body)
        .map_err(|_| "the patient of its Patient ID (0010,0020) cannot be read".to_owned())?;
    let born = ours.get("birthDate").and_then(Value::as_str).unwrap_or_default();
    let names = ours.get("name").and_then(Value::as_array).into_iter().flatten();
    let families: Vec<String> = names
        .filter_map(|n| n.get("family")?.as_str())
        .flat_map(name_words)
        .collect();
    let mut agree = born.is_empty() && families.is_empty();
    if let Some(theirs) = birth_date.and_then(study::day).filter(|_| !born.is_empty()) {
        let theirs = format!(
            "{:04}-{:02}-{:02}",
            theirs / 10_000,
            theirs / 100 % 100,
            theirs % 100
        );
        // A date of which only the year or month is recorded fits every day in it.
        if !theirs.starts_with(born) {
            return Err("its Birth Date (0010,0030) is not that of the patient of its Patient ID".to_owned());
        }
        agree = true;
    }
    // PS3.5 §6.2.1: the first component of each group is the family name.
    let theirs: Vec<String> = name
        .iter()
        .flat_map(|n| [&n.alphabetic, &n.ideographic, &n.phonetic])
        .filter_map(|group| group.split('^').next())
        .flat_map(name_words)
        .collect();
    if !theirs.is_empty() && !families.is_empty() {
        if !theirs.iter().any(|w| families.contains(w)) {
            return Err(
                "its Patient's Name (0010,0010) is not that of the patient of its Patient ID".to_owned(),
            );
        }
        agree = true;
    }
    if !agree {
        return Err("nothing but its Patient ID (0010,0020) says whose it is".to_owned());
    }
    PatientId::new(key.id.as_str()).map_err(|e| e.to_string())
}

/// The SOP class, as the protocols name it; empty where the header names none.
fn class(instance: &Instance) -> String {
    instance
        .sop_class
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn json(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn new_instance(instance: &Instance, patient: PatientId, blob: Blob) -> Result<NewInstance, StoreError> {
    let header = &instance.json;
    let about = json!({
        "class": class(instance),
        "syntax": instance.transfer_syntax,
        "json": header,
    });
    Ok(NewInstance {
        patient,
        study: instance.study_uid.to_string(),
        day: study::text(header, "00080020").and_then(study::day),
        accession: study::text(header, "00080050").map(str::to_owned),
        study_header: json(&study::pick(header, study::STUDY)),
        series: instance.series_uid.to_string(),
        series_header: json(&study::pick(header, study::SERIES)),
        uid: instance.sop_uid.to_string(),
        position: study::number(header, "00200013").unwrap_or(0),
        header: json(&about),
        blob,
    })
}

/// A study with one more instance.
fn with(before: Option<StudyRow>, new: &NewInstance) -> StudyRow {
    let mut row = before.unwrap_or_else(|| StudyRow {
        uid: new.study.clone(),
        patient: new.patient.clone(),
        day: new.day,
        header: new.study_header.clone(),
        series: Vec::new(),
    });
    match row.series.iter_mut().find(|s| s.uid == new.series) {
        Some(series) => series.instances += 1,
        None => row.series.push(SeriesRow {
            uid: new.series.clone(),
            header: new.series_header.clone(),
            instances: 1,
        }),
    }
    row
}

fn put_study(row: &StudyRow) -> Result<ChangeOp, StoreError> {
    let key = study::key(&row.uid)?;
    Ok(ChangeOp {
        kind: ChangeKind::Put(Bytes::from(study::resource(key.id.as_str(), row))),
        key,
        precondition: Precondition::Any,
        extract: None,
        derived: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(alphabetic: &str) -> PersonName {
        PersonName {
            alphabetic: alphabetic.to_owned(),
            ..PersonName::default()
        }
    }

    #[test]
    fn a_header_that_contradicts_the_record_is_nobodys() {
        let body = br#"{"resourceType":"Patient","id":"p1","birthDate":"1950-03-04",
            "name":[{"family":"M\u00fcller-Stra\u00dfe","given":["Zo\u00eb"]},{"use":"maiden","family":"Marin"}]}"#;
        let key = ResourceKey::new("Patient", "p1").unwrap();
        for (birth, name, fits) in [
            (Some("19500304"), Some("MUELLER-STRASSE^ZOE"), true),
            (Some("19500304"), Some("Müller-Straße^Zoë"), true),
            (Some("19500304"), Some("Marin^Zoe^^Dr"), true),
            (None, Some("STRASSE"), true),
            (Some("19500304"), None, true),
            (None, None, false),
            (Some("19500403"), Some("Marin^Zoe"), false),
            (Some("19500304"), Some("Meier^Zoe"), false),
            (Some("19500304"), Some("Zoë^Berg"), false),
            (Some("nonsense"), Some("Marin"), true),
        ] {
            let name = name.map(named);
            let found = same_person(&key, body, birth, name.as_ref());
            assert_eq!(
                found.is_ok(),
                fits,
                "{birth:?} {:?}: {found:?}",
                name.map(|n| n.alphabetic)
            );
        }
        let year = br#"{"resourceType":"Patient","id":"p1","birthDate":"1950"}"#;
        assert!(same_person(&key, year, Some("19500304"), Some(&named("Anybody"))).is_ok());
        assert!(same_person(&key, year, Some("19510304"), None).is_err());
        assert!(same_person(&key, year, None, Some(&named("Anybody"))).is_err());
        let bare = br#"{"resourceType":"Patient","id":"p1"}"#;
        assert!(
            same_person(&key, bare, None, None).is_ok(),
            "the record has nothing to compare"
        );
    }
}
