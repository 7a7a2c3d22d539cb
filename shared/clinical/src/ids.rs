//! Identifiers. Each is its own type so that a patient's id can never be passed where a resource's is meant.

use crate::{say, word};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    /// What was being read, e.g. "FHIR id".
    pub what: &'static str,
    /// Longest permitted length in characters.
    pub max: usize,
    /// Further permitted characters, for the message.
    pub extra: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, max, extra } = self;
        // What people type; the others are of programs.
        let what = match *what {
            "user name" => word!("user name", "Benutzername"),
            "ward" => word!("ward", "Station"),
            other => other,
        };
        f.write_str(&say!(
            "{what} must be 1 to {max} characters of A-Z a-z 0-9 - . {extra}",
            "{what}: 1 bis {max} Zeichen aus A-Z a-z 0-9 - . {extra} erforderlich"
        ))
    }
}
impl std::error::Error for IdError {}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads an identifier.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long, or has other characters than permitted.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                let fits = !text.is_empty()
                    && text.len() <= $max
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || $extra.as_bytes().contains(&b));
                if fits { Ok(Self(text)) } else { Err(IdError { what: $what, max: $max, extra: $extra }) }
            }

            /// The identifier's text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> { Self::new(text) }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String { id.0 }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> { Self::new(text) }
        }
    };
}

id_type!(/// A FHIR logical id (FHIR R4, datatype `id`: `[A-Za-z0-9\-\.]{1,64}`).
    FhirId, "FHIR id", 64, "");
id_type!(/// The logical id of a Patient resource on our server.
    PatientId, "patient id", 64, "");
id_type!(/// A FHIR resource type name, e.g. `AllergyIntolerance`.
    ResourceType, "resource type", 64, "");
id_type!(/// A workstation, given at enrolment.
    DeviceId, "device id", 64, "");
id_type!(/// A person's sign-in name; lower case by convention.
    UserId, "user name", 64, "_@");
id_type!(/// A ward, e.g. `ED`, `ICU`; the id of its Location resource.
    WardId, "ward", 64, "_");

/// A resource's identity on our server: `Type/id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// The FHIR type.
    pub kind: ResourceType,
    /// The logical id.
    pub id: FhirId,
}

impl ResourceKey {
    /// Makes a key from its two texts.
    ///
    /// # Errors
    /// [`IdError`] naming the half that is not well formed.
    pub fn new(kind: &str, id: &str) -> Result<Self, IdError> {
        Ok(Self {
            kind: ResourceType::new(kind)?,
            id: FhirId::new(id)?,
        })
    }

    /// Reads `Type/id` (a relative FHIR reference without a version part).
    ///
    /// # Errors
    /// [`IdError`] when there is no single slash or a half is not well formed.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (kind, id) = text.split_once('/').ok_or(IdError {
            what: "reference",
            max: 129,
            extra: "/",
        })?;
        Self::new(kind, id)
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl From<PatientId> for FhirId {
    fn from(id: PatientId) -> Self {
        Self(id.0)
    }
}
