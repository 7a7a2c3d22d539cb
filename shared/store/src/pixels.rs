//! The pixels of images: which instances were looked at, in which pack their frames lie, why others have none.
//!
//! Lives here: what is kept of it and what a store must answer ([`Pixels`]). Never here: pixels, packs as files (they lie
//! beside the store like the objects, each under a key of its own that lies in its row), codecs.
//! Called by every backend, and by the server's imaging. All of it is derived from the objects and can be made again: a
//! move to another store leaves it behind.

use crate::StoreError;
use crate::disclosure::Collect;
use crate::imaging::{Blob, InstanceRow, study_key};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use vitrine_access::action::ReadChart;
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{PatientId, UtcMs};
use zeroize::Zeroizing;

/// An instance whose pixels nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Whose.
    pub patient: PatientId,
    /// The instance.
    pub instance: InstanceRow,
}

/// What was found when an instance was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// SOP Instance UID.
    pub uid: String,
    /// Its frames in the pack; 0 = none.
    pub frames: u32,
    /// Why it has none, as shown.
    pub why: Option<String>,
}

/// A pack: its file, and how many frames it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelPack {
    /// SHA-256 and length of the pack, and the key of its file.
    pub blob: Blob,
    /// Frames.
    pub frames: u32,
}

/// What became of instances of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelsDone {
    /// Series Instance UID.
    pub series: String,
    /// When.
    pub at: UtcMs,
    /// Where their frames lie; `None` when none has any.
    pub pack: Option<PixelPack>,
    /// The instances.
    pub instances: Vec<Looked>,
}

/// What can be shown of a series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesPixels {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// Its packs, in the order in which they were made.
    pub packs: Vec<PixelPack>,
    /// Instances whose frames lie in a pack.
    pub ready: u64,
    /// Instances nobody has looked at.
    pub preparing: u64,
    /// Instances without pixels, and why; at most [`WITHOUT_MOST`].
    pub without: Vec<(String, String)>,
}

/// Instances without pixels named for a series.
pub const WITHOUT_MOST: usize = 200;

impl SeriesPixels {
    /// Frames in its packs.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.packs.iter().map(|p| u64::from(p.frames)).sum()
    }
}

/// What is kept of a pack in one body, so that a backend may seal it.
#[derive(Serialize, Deserialize)]
pub struct PackBody {
    key: [u8; 32],
}

impl PackBody {
    /// Of a pack's file.
    #[must_use]
    pub fn of(blob: &Blob) -> Self {
        Self { key: *blob.key }
    }

    /// What opens the file.
    #[must_use]
    pub fn key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key)
    }

    /// As bytes.
    ///
    /// # Errors
    /// None in fact.
    pub fn write(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|e| StoreError::Refused(e.to_string()))
    }
}

/// Seals what can be shown of series of the permit's patient; the audit row names their studies.
///
/// # Errors
/// [`StoreError::Refused`] for a UID that is none.
pub fn seal_pixels(
    permit: &Permit<ReadChart>,
    found: Vec<SeriesPixels>,
) -> Result<Sealed<Vec<SeriesPixels>>, StoreError> {
    let mut said = Collect::default();
    permit.patient().into_iter().for_each(|p| said.patient(p));
    let mut last = None;
    for s in &found {
        if last != Some(&s.study) {
            said.resource(&study_key(&s.study)?, 1);
            last = Some(&s.study);
        }
    }
    Ok(Sealed::seal(permit, found, said.finish()))
}

/// What is known of pixels.
#[async_trait]
pub trait Pixels: Send + Sync {
    /// Instances nobody has looked at: of a series by place, or, without one, the last filed first: what has just come in
    /// is waited for. For making packs, not for showing.
    async fn unpacked(&self, series: Option<&str>, limit: usize) -> Result<Vec<Unpacked>, StoreError>;
    /// Notes what became of instances. `false`, and nothing is noted, when one of them is not there any more or was looked
    /// at meanwhile: the pack is nobody's then. `true` also when just this was noted before.
    async fn pixels_done(&self, done: PixelsDone) -> Result<bool, StoreError>;
    /// What can be shown of the permit's patient, or of one of their studies, by study in the order of [`crate::imaging::StudyHits`],
    /// then in the order in which series came.
    async fn pixels(
        &self,
        permit: &Permit<ReadChart>,
        study: Option<&str>,
    ) -> Result<Sealed<Vec<SeriesPixels>>, StoreError>;
    /// Forgets what was made of a series, so that it is made again; gives the packs that are nobody's then.
    async fn look_again(&self, series: &str) -> Result<Vec<Blob>, StoreError>;
    /// Series in the order in which they first came, after a number, each with its own. For upkeep, not for showing.
    async fn all_series(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError>;
}
