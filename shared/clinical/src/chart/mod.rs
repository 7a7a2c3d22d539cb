//! Typed views of the FHIR resources we show.
use serde::{Deserialize, Serialize};

/// A typed view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// A type we keep byte for byte and do not show.
    Other,
}
