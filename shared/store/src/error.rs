//! What can go wrong in a store, said by what was being done.

use crate::ProjectError;
use crate::imaging::Misfiled;
use vitrine_access::chain::ChainFault;
use vitrine_clinical::{PatientId, ResourceKey};

/// A storage failure. Carries no PHI: keys are ids, never names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The permit is about another patient than the data asked for.
    #[error("the permit is for another patient than {0}")]
    WrongPatient(String),
    /// It is too confidential for the permit: nothing of it is given. Carries the refusal, whose row is to be written.
    #[error("it is withheld: {}", .0.text)]
    Withheld(Box<vitrine_access::policy::Denied>),
    /// A precondition (If-Match, create-only) does not hold.
    #[error("{key}: expected version {expected:?}, the store has {found:?}")]
    VersionConflict {
        /// Which resource.
        key: ResourceKey,
        /// What the caller expected; `None` = must not exist.
        expected: Option<u64>,
        /// What there is.
        found: Option<u64>,
    },
    /// The same operation id came again with other content.
    #[error("operation {0} was applied before with other content: use a new operation id")]
    OpReused(uuid::Uuid),
    /// The projector could not read a resource; nothing of the batch was applied.
    #[error("entry {index} ({key}): {reason}")]
    Unprojectable {
        /// Index in the batch, from 0.
        index: usize,
        /// Which resource.
        key: ResourceKey,
        /// Why, without PHI.
        reason: String,
    },
    /// The database is of a newer version than this program.
    #[error("the database has schema {found}, this program knows up to {known}: install the newer program")]
    NewerSchema {
        /// Version found.
        found: u32,
        /// Newest version known.
        known: u32,
    },
    /// The file is a plain SQLite database.
    #[error("{0} is not encrypted: it is refused and left untouched")]
    Unencrypted(String),
    /// The key does not open the file.
    #[error("{0} cannot be opened with this key: it is left untouched")]
    WrongKey(String),
    /// A page or the file is damaged.
    #[error("{0} is damaged: restore it or fetch it again")]
    Damaged(String),
    /// The audit chain is not whole.
    #[error("the audit chain is broken: {0}")]
    Chain(#[from] ChainFault),
    /// A device's audit upload does not continue what the server has.
    #[error("device audit does not continue: expected row {expected}, got {got}")]
    AuditGap {
        /// Next row expected.
        expected: u64,
        /// Row got.
        got: u64,
    },
    /// A device's audit upload contradicts what the server has (a clone or a disk rolled back).
    #[error(
        "device audit row {seq} differs from the row the server holds: the device was cloned or rolled back"
    )]
    AuditFork {
        /// The first differing row.
        seq: u64,
    },
    /// An image does not belong where its UIDs say.
    #[error("image {index}: {is}")]
    Misfiled {
        /// Index in the batch, from 0.
        index: usize,
        /// What contradicts what is there.
        is: Misfiled,
    },
    /// The patient's record was destroyed: its id is never used again.
    #[error("the record of patient {patient} was destroyed: nothing is stored under it again")]
    Destroyed {
        /// Index of the change that names it, from 0.
        index: usize,
        /// Whose record it was.
        patient: PatientId,
    },
    /// A batch takes a Patient away and leaves something in the record.
    #[error(
        "the record of patient {patient} is not empty: a Patient is deleted alone, or with all that is there"
    )]
    NotEmpty {
        /// Index of the change that deletes the Patient, from 0.
        index: usize,
        /// Whose record it is.
        patient: PatientId,
    },
    /// The body lies in a pack of the archive: it can be read once the pack is recalled.
    #[error("it lies in the archive (pack {pack}, {bytes} bytes): it must be recalled first")]
    Archived {
        /// The pack.
        pack: uuid::Uuid,
        /// Bytes of its file.
        bytes: u64,
    },
    /// A pack's file is not where it should be.
    #[error("the pack {0} is missing: put it back from a backup")]
    PackMissing(String),
    /// The search index does not yet hold everybody: what it finds would not be all there is.
    #[error(
        "{left} patients are not in this search index yet: nothing is shown, because it would not be everybody"
    )]
    NotIndexed {
        /// Patients still to be taken in.
        left: u64,
    },
    /// The index of the audit log does not yet hold every row: what it finds would not be all there is.
    #[error(
        "{left} rows are not in the index of the audit log yet: nothing is shown, because it would not be all"
    )]
    NotFoundYet {
        /// Rows still to be taken in.
        left: u64,
    },
    /// Already there, or gone.
    #[error("{0}")]
    Refused(String),
    /// A move into this database was begun and is not finished.
    #[error("{0}")]
    Unfinished(String),
    /// The disk is full.
    #[error("no space left while {0}")]
    Full(&'static str),
    /// The database failed; nothing was acknowledged.
    #[error("while {doing}: {cause}")]
    Backend {
        /// What was being done.
        doing: &'static str,
        /// The backend's own words.
        cause: String,
    },
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The facts of a patient could not be projected: the patient's own resource is named.
    #[must_use]
    pub fn unprojectable_card(patient: &PatientId, index: usize, e: ProjectError) -> Self {
        match ResourceKey::new("Patient", patient.as_str()) {
            Ok(key) => Self::Unprojectable {
                index,
                key,
                reason: e.0,
            },
            Err(_) => Self::Backend {
                doing: "deriving the emergency card",
                cause: e.0,
            },
        }
    }
}
