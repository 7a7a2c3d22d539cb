//! The index of images: which DICOM objects there are, of whom, and where their bytes lie.
//!
//! Lives here: what is kept of a study, a series and an instance, the rule by which an instance is filed ([`place`]), and
//! what a store must answer ([`Imaging`]). Never here: DICOM (headers come as JSON that the caller made), the bytes
//! themselves (they lie in files beside the store, each under a key of its own that lies in the index: without the row
//! nothing of the file can be read).
//! Called by every backend, and by the server's imaging.

use crate::StoreError;
use crate::disclosure::Collect;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use zeroize::Zeroizing;

/// The name under which an audit row names an instance: `DicomInstance/<SOP Instance UID>`.
const INSTANCE: &str = "DicomInstance";
/// The same of a study.
const STUDY: &str = "DicomStudy";

/// Where the bytes of an object lie, and what opens them.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the object as it came.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub bytes: u64,
    /// The key of its file.
    pub key: Zeroizing<[u8; 32]>,
}

impl Blob {
    /// A mark of its key, which is part of the name of its file: four bytes that tell nothing of it.
    #[must_use]
    pub fn mark(&self) -> [u8; 4] {
        let mut out = [0; 4];
        out.copy_from_slice(&blake3::hash(&self.key[..]).as_bytes()[..4]);
        out
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.bytes)
    }
}

/// An instance to file, with what is known of its series and study from its header. The first instance of a study or
/// series says what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInstance {
    /// Whose: the patient of our record that its header was matched with.
    pub patient: PatientId,
    /// Study Instance UID.
    pub study: String,
    /// Study Date as a number, yyyymmdd.
    pub day: Option<i32>,
    /// Accession Number.
    pub accession: Option<String>,
    /// What is kept of the study, JSON.
    pub study_header: Bytes,
    /// Series Instance UID.
    pub series: String,
    /// What is kept of the series, JSON.
    pub series_header: Bytes,
    /// SOP Instance UID.
    pub uid: String,
    /// Its place in the series: Instance Number, 0 without one.
    pub position: i64,
    /// What is kept of it, JSON.
    pub header: Bytes,
    /// Its bytes.
    pub blob: Blob,
}

/// A series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRow {
    /// Series Instance UID.
    pub uid: String,
    /// What is kept of it, JSON.
    pub header: Bytes,
    /// How many instances.
    pub instances: u64,
}

/// A study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyRow {
    /// Study Instance UID.
    pub uid: String,
    /// Whose.
    pub patient: PatientId,
    /// Study Date, yyyymmdd.
    pub day: Option<i32>,
    /// What is kept of it, JSON.
    pub header: Bytes,
    /// Its series, in the order in which they first came.
    pub series: Vec<SeriesRow>,
}

impl NewInstance {
    /// Whose it is and its UID, for the audit row.
    #[must_use]
    pub fn named(&self) -> (&PatientId, &str) {
        (&self.patient, &self.uid)
    }
}

impl StudyRow {
    /// How many instances.
    #[must_use]
    pub fn instances(&self) -> u64 {
        self.series.iter().map(|s| s.instances).sum()
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// SOP Instance UID.
    pub uid: String,
    /// Its place in the series.
    pub position: i64,
    /// When it was filed.
    pub at: UtcMs,
    /// What is kept of it, JSON.
    pub header: Bytes,
    /// Its bytes.
    pub blob: Blob,
}

/// Where a page of a series goes on: the place and the filing number of the last instance of the page before.
pub type InstanceAfter = (i64, u64);

/// A page of a series, by place, then by the order of filing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstancePage {
    /// The instances.
    pub instances: Vec<InstanceRow>,
    /// Where the next page goes on; `None` at the end.
    pub next: Option<InstanceAfter>,
}

/// A search of studies over patients. Everything given must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudyQuery {
    /// Of this patient.
    pub patient: Option<PatientId>,
    /// With this Study Instance UID.
    pub uid: Option<String>,
    /// With this Accession Number.
    pub accession: Option<String>,
    /// From this Study Date on, yyyymmdd.
    pub from: Option<i32>,
    /// Up to and with this Study Date, yyyymmdd.
    pub to: Option<i32>,
    /// Skip so many.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
}

/// What a search found: the newest Study Dates first, those without one last; of one date the last filed first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudyHits {
    /// The studies.
    pub studies: Vec<StudyRow>,
    /// There are more.
    pub more: bool,
}

/// Why an instance cannot be filed where it says it belongs. Nothing of it names anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfiled {
    /// The study is another patient's.
    OtherPatient,
    /// The series belongs to another study.
    OtherStudy,
    /// The instance belongs to another series.
    OtherSeries,
    /// There is an instance of that UID with other bytes.
    OtherBytes,
}

impl fmt::Display for Misfiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherPatient => "its Study Instance UID (0020,000D) is that of another patient's study",
            Self::OtherStudy => "its Series Instance UID (0020,000E) belongs to another study",
            Self::OtherSeries => "its SOP Instance UID (0008,0018) belongs to another series",
            Self::OtherBytes => "an object with its SOP Instance UID (0008,0018) is there with other content",
        })
    }
}

/// What the index holds of the three UIDs of a new instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whose the study is; `None` = not there.
    pub study: Option<PatientId>,
    /// Study of the series.
    pub series: Option<String>,
    /// Series and SHA-256 of the instance.
    pub instance: Option<(String, [u8; 32])>,
}

/// What is to be done with a new instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// File it.
    New,
    /// It is there already, byte for byte.
    Same,
}

/// Where a new instance goes. UIDs are unique for all time (PS3.5 §9), so whatever contradicts what is there is an error
/// of whoever made it, and somebody must look.
///
/// # Errors
/// [`StoreError::Misfiled`].
pub fn place(index: usize, new: &NewInstance, standing: &Standing) -> Result<Placed, StoreError> {
    let misfiled = |is| Err(StoreError::Misfiled { index, is });
    if standing.study.as_ref().is_some_and(|p| *p != new.patient) {
        return misfiled(Misfiled::OtherPatient);
    }
    if standing.series.as_ref().is_some_and(|s| *s != new.study) {
        return misfiled(Misfiled::OtherStudy);
    }
    match &standing.instance {
        Some((series, _)) if *series != new.series => misfiled(Misfiled::OtherSeries),
        Some((_, sha256)) if *sha256 != new.blob.sha256 => misfiled(Misfiled::OtherBytes),
        Some(_) => Ok(Placed::Same),
        None => Ok(Placed::New),
    }
}

/// What is kept of a study, in one body: whatever names it lies in there, so that a backend may seal it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StudyBody {
    /// Study Instance UID.
    pub uid: String,
    /// Accession Number.
    pub accession: Option<String>,
    /// As it was given, JSON.
    pub header: Box<RawValue>,
}

/// The same of a series.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeriesBody {
    /// Series Instance UID.
    pub uid: String,
    /// As it was given, JSON.
    pub header: Box<RawValue>,
}

/// The same of an instance.
#[derive(Clone, Serialize, Deserialize)]
pub struct InstanceBody {
    /// SOP Instance UID.
    pub uid: String,
    /// Opens its file.
    key: [u8; 32],
    /// As it was given, JSON.
    pub header: Box<RawValue>,
}

impl InstanceBody {
    /// What opens its file.
    #[must_use]
    pub fn key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key)
    }
}

/// A header as it was given.
#[must_use]
pub fn given(header: Box<RawValue>) -> Bytes {
    Bytes::from(Box::<str>::from(header).into_string())
}

/// Reads what [`NewInstance::bodies`] made.
///
/// # Errors
/// [`StoreError::Damaged`].
pub fn body<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Damaged("a body in the index of images".to_owned()))
}

impl NewInstance {
    /// What is kept of its study, its series and itself.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a UID that is none and for a header that is no JSON.
    pub fn bodies(&self) -> Result<[Vec<u8>; 3], StoreError> {
        for uid in [&self.study, &self.series, &self.uid] {
            named(INSTANCE, uid)?;
        }
        let header = |bytes: &Bytes| -> Result<Box<RawValue>, StoreError> {
            serde_json::from_slice(bytes)
                .map_err(|e| StoreError::Refused(format!("the header of an image: {e}")))
        };
        let json = |made: serde_json::Result<Vec<u8>>| {
            made.map_err(|e| StoreError::Refused(format!("the header of an image: {e}")))
        };
        Ok([
            json(serde_json::to_vec(&StudyBody {
                uid: self.study.clone(),
                accession: self.accession.clone(),
                header: header(&self.study_header)?,
            }))?,
            json(serde_json::to_vec(&SeriesBody {
                uid: self.series.clone(),
                header: header(&self.series_header)?,
            }))?,
            json(serde_json::to_vec(&InstanceBody {
                uid: self.uid.clone(),
                key: *self.blob.key,
                header: header(&self.header)?,
            }))?,
        ])
    }
}

/// The name of an instance in audit rows and certificates.
///
/// # Errors
/// [`StoreError::Refused`] for a UID that is none.
pub fn instance_key(uid: &str) -> Result<ResourceKey, StoreError> {
    named(INSTANCE, uid)
}

fn named(kind: &str, uid: &str) -> Result<ResourceKey, StoreError> {
    ResourceKey::new(kind, uid).map_err(|e| StoreError::Refused(e.to_string()))
}

/// The name of a study in audit rows.
///
/// # Errors
/// [`StoreError::Refused`] for a UID that is none.
pub fn study_key(uid: &str) -> Result<ResourceKey, StoreError> {
    named(STUDY, uid)
}

/// The audit row of a batch names the instances filed with it.
///
/// # Errors
/// [`StoreError::Refused`] for a UID that is none.
pub fn filed<'i>(
    said: &mut Collect,
    images: impl IntoIterator<Item = (&'i PatientId, &'i str)>,
) -> Result<(), StoreError> {
    for (patient, uid) in images {
        said.patient(patient);
        said.resource(&named(INSTANCE, uid)?, 1);
    }
    Ok(())
}

/// Seals studies.
///
/// # Errors
/// As [`filed`].
pub fn seal_studies<A: vitrine_access::Action, T>(
    permit: &Permit<A>,
    found: T,
    studies: impl Fn(&T) -> &[StudyRow],
) -> Result<Sealed<T>, StoreError> {
    let mut said = Collect::default();
    for s in studies(&found) {
        said.patient(&s.patient);
        said.resource(&named(STUDY, &s.uid)?, 1);
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

/// Seals instances of the permit's patient.
///
/// # Errors
/// As [`filed`].
pub fn seal_instances<T>(
    permit: &Permit<ReadChart>,
    found: T,
    instances: impl Fn(&T) -> &[InstanceRow],
) -> Result<Sealed<T>, StoreError> {
    let mut said = Collect::default();
    permit.patient().into_iter().for_each(|p| said.patient(p));
    for i in instances(&found) {
        said.resource(&named(INSTANCE, &i.uid)?, 1);
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

/// The index of images. Instances are filed by [`crate::ChangeBatch::images`], in the transaction of the batch.
#[async_trait]
pub trait Imaging: Send + Sync {
    /// Whose a study is: for the policy, not for showing.
    async fn study_owner(&self, study: &str) -> Result<Option<PatientId>, StoreError>;
    /// A study: for what is derived from it, not for showing.
    async fn study(&self, study: &str) -> Result<Option<StudyRow>, StoreError>;
    /// What the index holds of three UIDs: for filing, not for showing.
    async fn standing(&self, study: &str, series: &str, instance: &str) -> Result<Standing, StoreError>;
    /// The file of an instance: for comparing with what comes again, not for showing.
    async fn original(&self, instance: &str) -> Result<Option<Blob>, StoreError>;
    /// All studies of the permit's patient, or the one with this UID, in the order of [`StudyHits`].
    async fn studies(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<StudyRow>>, StoreError>;
    /// Finds studies.
    async fn find_studies(
        &self,
        permit: &Permit<SearchPatients>,
        query: &StudyQuery,
    ) -> Result<Sealed<StudyHits>, StoreError>;
    /// Instances of a series of the permit's patient. A series that is not there has none; another patient's is
    /// [`StoreError::WrongPatient`].
    async fn instances(
        &self,
        permit: &Permit<ReadChart>,
        series: &str,
        after: Option<InstanceAfter>,
        limit: usize,
    ) -> Result<Sealed<InstancePage>, StoreError>;
    /// One instance of the permit's patient.
    async fn instance(
        &self,
        permit: &Permit<ReadChart>,
        uid: &str,
    ) -> Result<Sealed<Option<InstanceRow>>, StoreError>;
}
