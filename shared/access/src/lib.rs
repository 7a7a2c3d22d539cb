//! Who may do what, and the proof that it was written down.
//!
//! Lives here: the policy as one pure function ([`policy::decide`]), the types that make an unaudited read
//! impossible to write ([`Permit`], [`Sealed`], [`Receipt`]), break-glass grants and their review ([`grant`],
//! [`review`]) the hash chain of
//! audit rows ([`chain`]) and the Merkle tree over all chains ([`tree`]). Never here: storage, a clock, a network.
//! Called by every store, by the server and by the workstation's engine: the same code decides online and offline.
//!
//! The walk: `policy::decide` gives a [`Permit`]; a store takes `&Permit<A>` and returns [`Sealed`] data; appending
//! the audit row made by [`Permit::entry`] returns a [`Receipt`]; [`Sealed::open`] opens only with the receipt of the
//! same access. No row, no data.

pub mod action;
pub mod chain;
pub mod entry;
pub mod grant;
pub mod matrix;
mod permit;
pub mod policy;
pub mod review;
pub mod scopes;
pub mod secrets;
pub mod tree;
pub mod ways;

pub use action::{Action, Kind};
pub use entry::{Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
pub use grant::Grant;
pub use permit::{Permit, Receipt, Sealed, WrongReceipt};

use serde::{Deserialize, Serialize};

/// One access: one decision, one audit row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccessId(pub uuid::Uuid);

impl std::fmt::Display for AccessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
