//! The workstation without a window.
//!
//! Lives here: everything a workstation does, offline first: keys, encrypted cache, session, search, chart, breaking
//! the glass, outbox, the line to the server. Never here: a window, SQL (that is `store-sqlcipher`), the rules of the
//! protocol (`vitrine-sync`), policy (`vitrine-access`), clinical derivation (`vitrine-clinical`).
//! Called by the desktop shell and by `vitrine-cli`, through [`Workstation`] alone.
//!
//! Reading always goes decide → read sealed → write the audit row → open with its receipt. Breaking the glass takes
//! the same walk on a thread of its own and never touches the network.

pub mod break_glass;
pub mod cache;
mod chart;
pub mod clock;
mod critical;
mod desk;
mod drill;
pub mod entropy;
mod entry;
mod error;
mod horizon;
mod images;
mod integrity;
pub mod keys;
mod layouts;
mod link;
mod live;
pub mod memory;
pub mod outbox;
pub mod profile;
mod reliance;
mod selftest;
mod session;
mod station;
mod status;
mod swap;
mod workstation;

pub use break_glass::{BreakGlass, Identity};
pub use error::{EngineError, Envelope};
pub use images::Pixels;
pub use link::{Enrolled, Enrolment, enrol};
pub use profile::DeviceFile;
pub use selftest::{Check, SelfTest};
pub use session::{NewSecret, Reader};
pub use vitrine_clinical::{language, say, word};
pub use workstation::{Beside, IdentityToken, Options, Packet, SEARCH_ROWS, Workstation};
