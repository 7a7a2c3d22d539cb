//! The storage traits, their in-memory backend, a faulty wrapper, and the ONE conformance suite every backend runs.
//!
//! Lives here: what a store must do ([`ChartStore`], [`AuditLog`], [`Feed`], [`Accounts`], [`imaging::Imaging`] …), the types that cross it,
//! [`memory::MemoryStore`], [`faulty::FaultyStore`], [`conformance`]. Never here: a database driver, FHIR parsing
//! (a store is given a [`Projector`]), policy (it is given permits).
//! Called by the server; implemented by `store-sqlcipher` (and by PostgreSQL next).
//!
//! Rules every backend keeps: a change, its projections, its change-log rows and its audit row commit in ONE
//! transaction; nothing is acknowledged before it is durable; an operation id is applied once; the feed has no gap
//! and follows commit order; a read gives `Sealed` data and nothing else.

pub mod archive;
pub mod audit_find;
pub mod audit_pack;
pub mod batch;
mod checked;
mod clients;
pub mod conformance;
pub mod copies;
pub mod device_chain;
pub mod disclosure;
mod error;
pub mod faulty;
pub mod held;
pub mod identities;
pub mod imaging;
pub mod kinds;
pub mod labels;
pub mod meaning;
pub mod memory;
pub mod messages;
mod model;
pub mod notes;
pub mod pack;
pub mod pixels;
mod project;
pub mod reviews;
pub mod scope;
pub mod seal;
pub mod search;
pub mod tiers;
pub mod totp;
mod traits;
pub mod transfer;
mod urgent;

pub use checked::{Contents, LogMark, RowCheck};
pub use clients::{ClientRow, none_registered};
pub use error::StoreError;
pub use kinds::{KindPage, Kinds};
pub use memory::MemoryStore;
pub use messages::{
    Keeping, KeptMessage, MessageCount, MessageOutcome, MessageQuery, MessageRow, MessageState, Messages,
    NewMessage,
};
pub use model::{
    Account, AccountChange, Applied, AppliedChange, ArchivedResource, AuditChainRow, ChangeBatch, ChangeKind,
    ChangeOp, Counts, DeviceRow, DeviceState, EnrolCode, FeedBatch, FeedRow, GrantRow, HistoryPage, ItemRef,
    NewDevice, Page, PatientHit, Precondition, QuarantineItem, QuarantineRow, ScopeItem, ScopePage, SearchBy,
    SearchHits, SearchQuery, SecretsChange, SessionRow, StoredCard, StoredResource, badge_taken,
    badges_after,
};
pub use project::{
    Extract, FactOut, FactRow, Lookup, PersonRow, ProjectError, Projection, Projector, Resolved,
};
pub use traits::{Accounts, Archive, AuditLog, ChartStore, Feed, Stall, Store, StoreMode, Tiers, Turn};
pub use urgent::{is_urgent, read_here, reads_here, urgent};
