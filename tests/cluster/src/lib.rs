//! The database cluster of `deploy/` on one machine: started, broken, measured, checked.
//!
//! Lives here: rendering the files of `deploy/` for this machine, starting and ending the processes, planting faults,
//! the load that knows what was acknowledged, and the check of what is left. Never here: a second copy of a
//! configuration. Called by `cargo xtask cluster` and by the tests of this crate.
//!
//! Nothing is ended by name: every process is known by its id and its start time.
#![allow(clippy::disallowed_methods, reason = "a harness reads the clock")]

pub mod backup;
pub mod check;
pub mod cluster;
pub mod drill;
pub mod fault;
pub mod layout;
pub mod ledger;
pub mod load;
pub mod network;
pub mod pg;
pub mod process;
pub mod servers;
