//! The pure clinical domain: what a chart is, and how the emergency card follows from it.
//!
//! Lives here: ids, time as an argument, typed views of the FHIR resources we show ([`chart`]), the formatters
//! ([`format`]), and the emergency card ([`card`]), one pure function of those views.
//! Never here: bytes of a format (that is `fhir`), a clock, a random number, I/O.
//! Called by every other crate.

pub mod card;
pub mod chart;
pub mod format;
mod ids;
mod sensitive;
mod time;

pub use ids::{DeviceId, FhirId, IdError, PatientId, ResourceKey, ResourceType, UserId, WardId};
pub use sensitive::Sensitive;
pub use time::UtcMs;
