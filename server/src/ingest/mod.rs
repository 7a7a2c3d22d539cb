//! Everything that comes in: checked, planned, applied in one transaction, or kept in quarantine with its reason.
//!
//! Lives here: the way from bytes to [`vitrine_store::ChangeBatch`]. Never here: who may (that is `http` with the
//! policy), HTTP. Called by `http::fhir` and the `import` command.

pub mod apply;
mod command;
pub mod dimse;
mod find;
pub mod hl7;
pub mod import;
mod items;
pub mod mllp;
pub mod peers;
pub mod permits;
pub mod project;
pub mod source;
