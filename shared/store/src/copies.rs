//! Copies of the originals of images: where the file of each lies besides the server's own folder, and in which state.
//!
//! Lives here: what is kept of it and what a store must answer ([`Copies`]). Never here: files, targets, networks, when
//! what is done (the server's imaging decides).
//! Called by every backend, and by the server's imaging.
//!
//! Every original has a row for the server's own folder ([`LOCAL`]) and one for each target. A row says when something is
//! to be done about it next (`due`), so that a queue of each place is all that a job needs. When a record is destroyed, its
//! rows stay without their originals until the files are gone everywhere ([`CopyState::Leaving`]).

use crate::StoreError;
use crate::imaging::Blob;
use async_trait::async_trait;
use std::fmt;
use vitrine_clinical::{PatientId, UtcMs};

/// The name of the server's own folder among the places.
pub const LOCAL: &str = "local";

/// The due time of what needs nothing done.
pub const NEVER: UtcMs = UtcMs(i64::MAX);

/// How a copy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CopyState {
    /// Not there yet.
    Pending,
    /// It was read back and is what it should be.
    Verified,
    /// It was there and is not any more.
    Missing,
    /// It is there and is not what it should be.
    Damaged,
    /// The place did not take it or did not give it back; `why` says what it answered.
    Failed,
    /// Its record was destroyed: the file is to be removed.
    Leaving,
    /// It was let go from the server's own folder, because the targets have it.
    Away,
}

impl CopyState {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Verified,
        Self::Missing,
        Self::Damaged,
        Self::Failed,
        Self::Leaving,
        Self::Away,
    ];

    /// The number in a row.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The reverse.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a number that is none.
    pub fn of(number: i64) -> Result<Self, StoreError> {
        let found = usize::try_from(number).ok().and_then(|n| Self::ALL.get(n));
        found
            .copied()
            .ok_or_else(|| StoreError::Damaged("the state of a copy of an image".to_owned()))
    }

    /// As a metric and a command name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
            Self::Leaving => "leaving",
            Self::Away => "away",
        }
    }
}

/// The name of an original's file: its digest, and a mark of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyFile {
    /// SHA-256 of the object.
    pub sha256: [u8; 32],
    /// [`Blob::mark`].
    pub mark: [u8; 4],
}

impl CopyFile {
    /// Of a blob.
    #[must_use]
    pub fn of(blob: &Blob) -> Self {
        Self {
            sha256: blob.sha256,
            mark: blob.mark(),
        }
    }
}

impl fmt::Display for CopyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sha256.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str(".")?;
        self.mark.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Whose original a row tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOf {
    /// The patient.
    pub patient: PatientId,
    /// SOP Instance UID.
    pub uid: String,
    /// Its bytes.
    pub blob: Blob,
}

/// What is known of a file: its length and digest as it lies there, encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// A row: an original at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRow {
    /// Its number.
    pub no: u64,
    /// The place: [`LOCAL`] or a target.
    pub target: String,
    /// The file.
    pub file: CopyFile,
    /// How it stands.
    pub state: CopyState,
    /// When it was looked at last; `None` = never.
    pub at: Option<UtcMs>,
    /// When something is to be done about it.
    pub due: UtcMs,
    /// How often that failed since it went well.
    pub tries: u32,
    /// What was read back last, when it was verified.
    pub sum: Option<Sum>,
    /// Why it stands as it does.
    pub why: Option<String>,
    /// Whose; `None` when the record was destroyed.
    pub of: Option<CopyOf>,
    /// What the original's file must be, once it was found whole.
    pub original: Option<Sum>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyDone {
    /// Its number.
    pub no: u64,
    /// Its file: a number may be given again after a row left, and what comes late is then of another file.
    pub file: CopyFile,
    /// How it stood when somebody began to look at it: of two who look at once, the second notes nothing.
    pub was: CopyState,
    /// How it stands now.
    pub state: CopyState,
    /// When it was looked at.
    pub at: UtcMs,
    /// When something is to be done about it next.
    pub due: UtcMs,
    /// How often that failed since it went well.
    pub tries: u32,
    /// What was read back; `None` leaves what is known.
    pub sum: Option<Sum>,
    /// Why it stands as it does.
    pub why: Option<String>,
}

/// Which of the due rows of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What is not verified: to be copied, repaired or removed. At a target: only what a whole original is known of.
    Work,
    /// What is verified and to be read again.
    Scrub,
}

/// What is to be looked at before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// What is verified and not due, of the rows whose numbers are above the first and not above the second: walked over in steps up
    /// to [`Copies::copies_last`], so that others may write between. Whatever clock noted when a row was looked at.
    Verified(u64, u64),
    /// The file of the instance with this SOP Instance UID in the server's own folder.
    Original(String),
    /// What failed at a target.
    Failed(String),
}

/// How many rows of a place stand how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyCount {
    /// The place.
    pub target: String,
    /// The state.
    pub state: CopyState,
    /// How many.
    pub rows: u64,
}

/// How the copies stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyReport {
    /// By place, then by state; what there is none of is left out.
    pub counts: Vec<CopyCount>,
    /// Originals that are damaged, missing or away in the server's own folder, and of which no target that is still named
    /// has a verified copy.
    pub lost: u64,
    /// Instances that have no rows yet.
    pub unlisted: u64,
}

impl CopyReport {
    /// How many rows of a place stand so.
    #[must_use]
    pub fn rows(&self, target: &str, state: CopyState) -> u64 {
        let is = |c: &&CopyCount| c.target == target && c.state == state;
        self.counts.iter().find(is).map_or(0, |c| c.rows)
    }
}

/// What is known of copies.
#[async_trait]
pub trait Copies: Send + Sync {
    /// The targets that there are from now on. One that is new gets a row of every original; rows of one that is not named
    /// any more stay, and no new ones come.
    async fn copy_targets(&self, names: &[String]) -> Result<(), StoreError>;
    /// The mark by which a target is known again. Keeps the one given when there is none; gives the one that is kept.
    async fn copy_target_mark(&self, name: &str, mark: Option<&str>) -> Result<Option<String>, StoreError>;
    /// Gives originals that have none their rows, at most `limit` of them; how many it were.
    async fn copies_list(&self, limit: usize, at: UtcMs) -> Result<usize, StoreError>;
    /// The rows of a place that are due, the longest due first.
    async fn copies_due(
        &self,
        target: &str,
        which: Which,
        now: UtcMs,
        limit: usize,
    ) -> Result<Vec<CopyRow>, StoreError>;
    /// Notes what became of a row. `false`, and nothing is noted, when it is not there any more, or when its record was
    /// destroyed meanwhile and it is not noted as [`CopyState::Leaving`], or when it is a row of another file, or when it stands
    /// otherwise than it did (`was`).
    async fn copies_done(&self, done: CopyDone) -> Result<bool, StoreError>;
    /// The file of a row of a destroyed record is gone: so is the row. Nothing for any other row or file.
    async fn copies_left(&self, no: u64, file: CopyFile) -> Result<(), StoreError>;
    /// All rows of the instance with this SOP Instance UID.
    async fn copies_of(&self, uid: &str) -> Result<Vec<CopyRow>, StoreError>;
    /// How the copies stand.
    async fn copies_report(&self) -> Result<CopyReport, StoreError>;
    /// Rows that need somebody to look at them: missing, damaged, failed, and those that cannot be removed.
    async fn copies_faulty(&self, limit: usize) -> Result<Vec<CopyRow>, StoreError>;
    /// Has rows looked at now; gives how many.
    async fn copies_again(&self, which: Again, now: UtcMs) -> Result<u64, StoreError>;
    /// The highest number of a row; 0 without one.
    async fn copies_last(&self) -> Result<u64, StoreError>;
    /// Verified rows of a place that are due by then.
    async fn copies_waiting(&self, target: &str, by: UtcMs) -> Result<u64, StoreError>;
}
