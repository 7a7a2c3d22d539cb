//! FHIR R4 JSON to clinical views and back, byte for byte.
//!
//! Lives here: checking ([`validate`]), the typed views ([`read`]), whose a resource is ([`compartment`]), a Patient
//! as it is compared ([`demographics()`]), byte-exact edits ([`edit`]), JSON Patch ([`patch`]), Bundles and the plan of a
//! transaction ([`bundle`]), OperationOutcome ([`outcome`]), searches ([`search`]).
//! The bytes a client sent are what we keep: nothing here ever writes a resource anew. What staff record at a workstation is
//! written here, once ([`entry`]), and the Provenance of a correction ([`revision`]).
//! Never here: I/O, a clock, ids made up (they are arguments), a decimal in a float, a decision about access.
//! Called by the server, the importer and the workstation engine.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]
#![deny(missing_docs)]

mod bindings;
pub mod bundle;
mod compartment;
mod demographics;
pub mod edit;
pub mod entry;
mod issue;
mod json;
pub mod outcome;
pub mod patch;
mod read;
mod revision;
mod scan;
pub mod search;
mod validate;

pub use bindings::RESOURCE_TYPES;
pub use compartment::{compartment, identifiers, is_of_a_patient, parse};
pub use demographics::demographics;
pub use fhirkit::Json;
pub use issue::{FhirError, Issue, IssueCode};
pub use read::{NoteContent, deps, note, read, read_with_deps};
pub use revision::revision;
pub use scan::nests_deeper;
pub use validate::{Envelope, MAX_DEPTH, MAX_RESOURCE_BYTES, is_resource_type, validate, without_bom};
