//! Running the server: checking it, counting, copies.
//!
//! Lives here: `doctor`, `backup`, `restore`, `verify-backup`, `migrate`, `audit`, the counters. Never here: charts.
//! Called by `cli` and the metrics listener.

pub mod anomalies;
pub mod archive;
pub mod audit;
pub mod audit_tree;
pub mod backup;
pub mod breaker;
pub mod clients;
pub mod container;
pub mod copies;
pub mod doctor;
pub mod drain;
pub mod emergency_accounts;
pub mod forms;
pub mod guarded;
pub mod images;
pub mod log;
pub mod look;
pub mod messages;
pub mod metrics;
pub mod moving;
pub mod notice;
pub mod repository;
pub mod reviews;
pub mod sections;
pub mod tiers;
pub mod totp;
pub mod verify;
