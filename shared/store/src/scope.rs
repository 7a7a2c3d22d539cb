//! Names of synchronised scopes, and the order of a chart. Called by every backend.

use vitrine_clinical::{PatientId, WardId};

/// A scope of the change feed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `board:<ward>`: one row per patient in the ward.
    Board(WardId),
    /// `ess:<ward>`: the emergency cards of the ward.
    Ess(WardId),
    /// `ess:site`: all emergency cards.
    Site,
    /// `pat:<id>`: a patient's whole record.
    Patient(PatientId),
    /// `dir`: who may sign in and break the glass.
    Dir,
}

impl Scope {
    /// Reads a scope's name; `None` when it names no scope.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None => (name == "dir").then_some(Self::Dir),
            Some(("ess", "site")) => Some(Self::Site),
            Some(("ess", ward)) => WardId::new(ward).ok().map(Self::Ess),
            Some(("board", ward)) => WardId::new(ward).ok().map(Self::Board),
            Some(("pat", id)) => PatientId::new(id).ok().map(Self::Patient),
            Some(_) => None,
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Board(w) => write!(f, "board:{w}"),
            Self::Ess(w) => write!(f, "ess:{w}"),
            Self::Site => f.write_str("ess:site"),
            Self::Patient(p) => write!(f, "pat:{p}"),
            Self::Dir => f.write_str("dir"),
        }
    }
}

/// Types that come first when a whole chart is read: what an emergency needs.
const ESSENTIAL: [&str; 8] = [
    "Patient",
    "AllergyIntolerance",
    "MedicationRequest",
    "MedicationStatement",
    "Condition",
    "Flag",
    "DeviceUseStatement",
    "Consent",
];

/// Where a type stands when a whole chart is read: 0 = essential, 1 = the rest.
#[must_use]
pub fn chart_rank(kind: &str) -> u8 {
    u8::from(!ESSENTIAL.contains(&kind))
}

/// The place in a chart after which the next page begins: rank and creation number of the last resource given.
/// Within a rank the newest comes first, so the numbers fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChartToken {
    /// Rank of the last resource given.
    pub rank: u8,
    /// Its creation number.
    pub number: u64,
}

impl ChartToken {
    /// Reads a page token; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rank, number) = text.split_once('-')?;
        Some(Self {
            rank: rank.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl std::fmt::Display for ChartToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.rank, self.number)
    }
}
