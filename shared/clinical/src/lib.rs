//! The pure clinical domain: what a chart is, and how the emergency card follows from it.
//!
//! Lives here: ids, time as an argument, typed views of the FHIR resources we show ([`chart`]), the formatters
//! ([`format`]), the emergency card ([`card`]) and the chart ([`summary`]), pure functions of those views, and what is
//! recorded at a workstation ([`entry`]), whether two records are of one person ([`matching`]), the signals of a bedside
//! monitor ([`monitor`]), what a barcode reader sends ([`scan`]) and how confidential something is ([`label`]).
//! Never here: bytes of a format (that is `fhir`), a clock, a random number, I/O.
//! Called by every other crate.

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

pub mod card;
pub mod chart;
pub mod entry;
pub mod format;
mod ids;
pub mod label;
pub mod language;
pub mod matching;
pub mod monitor;
pub mod news2;
pub mod scan;
mod sensitive;
pub mod summary;
mod time;

pub use ids::{DeviceId, FhirId, IdError, PatientId, ResourceKey, ResourceType, UserId, WardId};
pub use sensitive::Sensitive;
pub use time::UtcMs;
