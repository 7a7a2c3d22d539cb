//! The companion server.
//!
//! Lives here: everything that runs at the hospital's side of the wire. Never here: SQL and database drivers (those are
//! the stores), the policy (`vitrine_access`), what a chart means (`vitrine_clinical`), the workstation.
//! `main` calls [`cli::run`]; tests and benchmarks use the modules.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_dir;
#[cfg(test)]
mod differential;
pub mod error;
pub mod http;
pub mod identity;
pub mod imaging;
pub mod ingest;
pub mod jobs;
pub mod keys;
pub mod lanes;
pub mod live;
pub mod ops;
#[cfg(test)]
mod policy_matrix;
pub mod ws;
