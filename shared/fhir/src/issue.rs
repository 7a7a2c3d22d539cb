//! What is wrong with a resource, said without repeating what is in it.

use std::fmt;

/// FHIR R4 issue-type, the codes we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueCode {
    /// Not JSON, or not the shape of a resource.
    Structure,
    /// A required element is missing.
    Required,
    /// A value does not fit its type.
    Value,
    /// A code is not in the value set that is required here.
    CodeInvalid,
    /// A rule between elements is broken.
    Invariant,
    /// Larger than we take: too many bytes.
    TooLong,
    /// Deeper than we take, or more of something: small enough, and still too much.
    TooMany,
    /// The same thing twice.
    Duplicate,
    /// Nothing is known by that reference.
    NotFound,
    /// More than one matches.
    MultipleMatches,
    /// A version conflict.
    Conflict,
    /// We do not do that.
    NotSupported,
    /// Anything else in the content.
    Invalid,
    /// The request cannot be carried out.
    Processing,
    /// Not allowed for the caller.
    Forbidden,
    /// Sign in first.
    Login,
    /// A fault of ours.
    Exception,
    /// It did not work now; the same may work later.
    Transient,
    /// Turned away because of load: try again later.
    Throttled,
}

impl IssueCode {
    /// The FHIR code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::CodeInvalid => "code-invalid",
            Self::Invariant => "invariant",
            Self::TooLong | Self::TooMany => "too-long",
            Self::Duplicate => "duplicate",
            Self::NotFound => "not-found",
            Self::MultipleMatches => "multiple-matches",
            Self::Conflict => "conflict",
            Self::NotSupported => "not-supported",
            Self::Invalid => "invalid",
            Self::Processing => "processing",
            Self::Forbidden => "forbidden",
            Self::Login => "login",
            Self::Exception => "exception",
            Self::Transient => "transient",
            Self::Throttled => "throttled",
        }
    }
}

/// One problem: where, which kind, and a sentence. Neither holds a value from the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Kind.
    pub code: IssueCode,
    /// FHIR path, e.g. `Patient.name[0].given[1]`; the bare type, or `""` when not even that is known.
    pub expression: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Issue {
    /// An issue.
    pub fn new(code: IssueCode, expression: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            code,
            expression: expression.into(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expression.is_empty() {
            write!(f, "{}: {}", self.code.as_str(), self.text)
        } else {
            write!(f, "{} at {}: {}", self.code.as_str(), self.expression, self.text)
        }
    }
}

/// Why bytes could not be read, edited or taken apart. `0` holds no value from the resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading a FHIR resource: {0}")]
pub struct FhirError(pub Issue);

impl FhirError {
    pub(crate) fn new(code: IssueCode, expression: impl Into<String>, text: impl Into<String>) -> Self {
        Self(Issue::new(code, expression, text))
    }
}

/// Keeps a path printable: element names only, each at most 64 characters of letters, digits and `_`; anything else
/// in a key becomes `?`, so that no value smuggled into a key reaches a log.
pub(crate) fn clean_key(key: &str) -> &str {
    let fits =
        !key.is_empty() && key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { key } else { "?" }
}
