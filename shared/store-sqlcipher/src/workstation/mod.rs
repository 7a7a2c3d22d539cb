//! The workstation's encrypted databases.
//!
//! Lives here: the scopes a workstation holds ([`scopes`]: items, staged snapshots, digests), the essentials with
//! their search index ([`Essentials`]), one user's cached records ([`Records`]), images ([`Images`]), and the outbox ([`Outbox`]: audit
//! chain, grants, counters of wrong secrets, what people recorded here, drafts). Never here: keys' origin, the network, a clock, the meaning of FHIR (a
//! caller says which words find an item), policy (permits are given).
//! Called by the workstation's engine alone.
//!
//! Reads for showing take a permit and return `Sealed` data; the receipt comes from [`Outbox`], after the commit.
//! Essentials, records and images can be fetched again, so their commits may be lost in a power cut (`NORMAL`); the outbox
//! can not, so every commit is synced (`FULL`).

mod entries;
mod essentials;
mod grants;
mod images;
mod lines;
mod lists;
mod outbox;
mod records;
pub mod scopes;
mod verify;

pub use entries::{Draft, EntryMark, EntryTally, KeptEntry, NewEntry};
pub use essentials::{CachedCard, CardAct, Essentials, FindTerm, Found, FoundRow};
pub use grants::{MadeGrant, PendingGrant};
pub use images::{
    CachedList, CachedSeries, HeldPack, Images, IndexPiece, NewPack, NewSegment, OpenPatient, OpenSeries,
    PROVEN, SeriesHeld,
};
pub use lists::{ListRows, WardMarks};
pub use outbox::{Attempt, AuditPage, Kept, Outbox, Reserve, Tally, ThrottleRule, Written};
pub use records::{CachedRecord, RecordRow, Records};
pub use scopes::{Fold, Incoming, ItemRefRow, OpenFold, Prepared, ScopeState, StagedState};
pub use verify::{ScopeFault, Verified};
