//! Scope names: reading them and putting them in order of urgency.
//!
//! Lives here: the five kinds of scope. Never here: who may subscribe (that is policy).
//! Called by both ends.

use std::fmt;
use vitrine_clinical::{PatientId, WardId};

/// A scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Staff, so that the glass can be broken without the server.
    Dir,
    /// Essentials of a ward's patients.
    Ess(WardId),
    /// Who is where in a ward.
    Board(WardId),
    /// The whole record of one patient.
    Pat(PatientId),
    /// Essentials of every patient of the site.
    EssSite,
}

impl Scope {
    /// Reads a scope's name; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "dir" {
            return Some(Self::Dir);
        }
        if text == "ess:site" {
            return Some(Self::EssSite);
        }
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "ess" => WardId::new(rest).ok().map(Self::Ess),
            "board" => WardId::new(rest).ok().map(Self::Board),
            "pat" => PatientId::new(rest).ok().map(Self::Pat),
            _ => None,
        }
    }

    /// Order in which scopes are fetched, 0 first: staff, the ward's essentials, its board, open patients, the site.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Dir => 0,
            Self::Ess(_) => 1,
            Self::Board(_) => 2,
            Self::Pat(_) => 3,
            Self::EssSite => 4,
        }
    }

    /// True for a patient's record, where the patient's revision is the chain of the whole scope.
    #[must_use]
    pub const fn is_patient(&self) -> bool {
        matches!(self, Self::Pat(_))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir => f.write_str("dir"),
            Self::Ess(w) => write!(f, "ess:{w}"),
            Self::Board(w) => write!(f, "board:{w}"),
            Self::Pat(p) => write!(f, "pat:{p}"),
            Self::EssSite => f.write_str("ess:site"),
        }
    }
}

/// True for the name of a patient's record.
#[must_use]
pub fn is_patient(scope: &str) -> bool {
    scope.starts_with("pat:")
}
