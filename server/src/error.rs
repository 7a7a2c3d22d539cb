//! How a command ends: exit code and one sentence.
//!
//! Lives here: [`Exit`] and [`Fault`] of the command line. Never here: HTTP answers (that is `http::refusal`).
//! Called by `main`, `cli` and everything a command does.

use vitrine_store::StoreError;

/// Exit codes of `vitrine-server` (interfaces).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// Some items were refused or quarantined, or a check found a fault; counts are in the output.
    Some = 1,
    /// Usage or configuration: the message names file, key and fix.
    Usage = 2,
    /// Refused for safety: newer schema, unencrypted database, wrong key.
    Unsafe = 3,
}

/// A command that did not do what it was asked, and what to do about it. Carries no PHI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// How the process ends.
    pub exit: Exit,
    /// One sentence that says what to do.
    pub text: String,
    /// The disk gave no room, or takes no writing at all: nothing is said about what was read.
    pub disk: bool,
}

impl Fault {
    /// Wrong use or configuration.
    pub fn usage(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            text: text.into(),
            disk: false,
        }
    }
    /// Refused for safety.
    pub fn unsafe_to(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Unsafe,
            text: text.into(),
            disk: false,
        }
    }
    /// The work itself failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Some,
            text: text.into(),
            disk: false,
        }
    }
    /// An operating-system failure with the file it was about.
    pub fn io(doing: &str, path: &std::path::Path, cause: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let text = format!("{doing} {}: {cause}", path.display());
        if matches!(cause.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded) {
            return Self::no_room(text);
        }
        Self::usage(text)
    }
    fn no_room(text: String) -> Self {
        Self {
            disk: true,
            ..Self::unsafe_to(text)
        }
    }
}

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::NewerSchema { .. }
            | StoreError::Unencrypted(_)
            | StoreError::WrongKey(_)
            | StoreError::Unfinished(_) => Self::unsafe_to(e.to_string()),
            StoreError::Full(_) => Self::no_room(format!("{e}: make room and try again")),
            other => Self::failed(other.to_string()),
        }
    }
}
