//! Finding rows of the audit log by whom they are about, who acted, where, what and when.
//!
//! Lives here: what can be asked, what a row is found by ([`Term`]), the place between two rows ([`AuditCursor`]).
//! Never here: an index (a backend's), whether chains are whole (`vitrine_access::chain`). Called by every backend.
//!
//! Order: newest first by the time in the row, then by chain, then by number. Every backend has an order of its chains
//! that never changes while they are there. An index may name rows too many, never decides: whoever finds reads each
//! row's own body and asks [`AuditQuery::fits`].

use crate::{StoreError, transfer::audit_at};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use vitrine_access::{Actor, AuditEntry};
use vitrine_clinical::{DeviceId, PatientId, UtcMs};

/// Rows found at once, at most.
pub const MOST: usize = 1_000;

/// What is looked for. What is `None` does not narrow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditQuery {
    /// Rows that name this patient: as the one the request was about, or among those disclosed.
    pub patient: Option<PatientId>,
    /// Rows of whoever acted under this name: a person, a program, an operator, a workstation.
    pub user: Option<String>,
    /// Rows of acts at this workstation, or by it.
    pub device: Option<DeviceId>,
    /// Rows of this act.
    pub action: Option<String>,
    /// Not before this time.
    pub from: Option<UtcMs>,
    /// Before this time.
    pub until: Option<UtcMs>,
    /// Rows after this one in the order of what is found, which are older ones.
    pub before: Option<AuditCursor>,
    /// At most so many, 1 to [`MOST`].
    pub limit: usize,
}

/// A place in what is found: the row it names, and everything newer, lies before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCursor {
    /// Time in the row.
    pub at: UtcMs,
    /// Its chain.
    pub chain: String,
    /// Its number there.
    pub seq: u64,
}

/// `<at>.<seq>.<chain>`.
impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at.0, self.seq, self.chain)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in the audit log: give the `next` of an answer as it came")]
pub struct NoCursor;

impl FromStr for AuditCursor {
    type Err = NoCursor;
    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.splitn(3, '.');
        let (Some(at), Some(seq), Some(chain)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoCursor);
        };
        match (at.parse(), seq.parse()) {
            (Ok(at), Ok(seq)) if !chain.is_empty() && chain.len() <= 128 => Ok(Self {
                at: UtcMs(at),
                chain: chain.to_owned(),
                seq,
            }),
            _ => Err(NoCursor),
        }
    }
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// Its chain.
    pub chain: String,
    /// Its number there.
    pub seq: u64,
    /// Time in the row; 0 when its body says none.
    pub at: UtcMs,
    /// What it says; `None` when its body cannot be read: then `audit verify` names what is wrong with it, or it is one
    /// that a workstation wrote and this program does not know.
    pub entry: Option<AuditEntry>,
}

impl FoundRow {
    /// Its place.
    #[must_use]
    pub fn cursor(&self) -> AuditCursor {
        AuditCursor {
            at: self.at,
            chain: self.chain.clone(),
            seq: self.seq,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFound {
    /// Newest first.
    pub rows: Vec<FoundRow>,
    /// Where to go on; `None` when there is nothing more.
    pub next: Option<AuditCursor>,
}

/// One thing that a row is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term<'t> {
    /// A patient it names.
    Patient(&'t str),
    /// The name of whoever acted.
    User(&'t str),
    /// A workstation.
    Device(&'t str),
    /// The act. Every row has exactly one: all of these together are all rows.
    Action(&'t str),
}

impl Term<'_> {
    /// Its kind and its text, for an index that keeps no texts.
    #[must_use]
    pub const fn parts(&self) -> (u8, &str) {
        match self {
            Self::Patient(t) => (b'p', t),
            Self::User(t) => (b'u', t),
            Self::Device(t) => (b'd', t),
            Self::Action(t) => (b'a', t),
        }
    }

    /// A number for it where nobody but the owner reads the index. Two terms may share one: what is found is read.
    #[must_use]
    pub fn number(&self) -> i32 {
        let (kind, text) = self.parts();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind]);
        hasher.update(text.as_bytes());
        let mut four = [0; 4];
        hasher.finalize_xof().fill(&mut four);
        i32::from_be_bytes(four)
    }
}

/// The name under which somebody acts.
#[must_use]
pub fn actor_name(actor: &Actor) -> &str {
    match actor {
        Actor::User(u) => u.as_str(),
        Actor::Device(d) => d.as_str(),
        Actor::Client(name) | Actor::Operator(name) => name,
    }
}

/// What a row is found by, each once. The act comes first.
#[must_use]
pub fn terms(entry: &AuditEntry) -> Vec<Term<'_>> {
    let mut out = vec![Term::Action(&entry.action), Term::User(actor_name(&entry.actor))];
    let own = match &entry.actor {
        Actor::Device(d) => Some(d),
        _ => None,
    };
    let devices: BTreeSet<&DeviceId> = entry.device.iter().chain(own).collect();
    out.extend(devices.into_iter().map(|d| Term::Device(d.as_str())));
    let patients: BTreeSet<&PatientId> = entry.patient.iter().chain(&entry.disclosure.patients).collect();
    out.extend(patients.into_iter().map(|p| Term::Patient(p.as_str())));
    out
}

/// A body as an index takes it: what it says, and its time. A body that is none of ours is found by its time alone.
#[must_use]
pub fn read(body: &[u8]) -> (Option<AuditEntry>, UtcMs) {
    let entry: Option<AuditEntry> = serde_json::from_slice(body).ok();
    let at = entry.as_ref().map_or_else(|| UtcMs(audit_at(body)), |e| e.at);
    (entry, at)
}

/// What a body is found by: [`terms`], or for one that is none of ours the act without a name.
#[must_use]
pub fn terms_of(entry: Option<&AuditEntry>) -> Vec<Term<'_>> {
    entry.map_or_else(|| vec![Term::Action("")], terms)
}

impl AuditQuery {
    /// What every row asked for has, the rarest first; empty when only the time is asked.
    #[must_use]
    pub fn terms(&self) -> Vec<Term<'_>> {
        let mut out = Vec::new();
        out.extend(self.patient.as_ref().map(|p| Term::Patient(p.as_str())));
        out.extend(self.user.as_deref().map(Term::User));
        out.extend(self.device.as_ref().map(|d| Term::Device(d.as_str())));
        out.extend(self.action.as_deref().map(Term::Action));
        out
    }

    /// Whether a row is asked for, by its own words. Time and place are not looked at.
    #[must_use]
    pub fn fits(&self, entry: &AuditEntry) -> bool {
        let has = terms(entry);
        self.terms().iter().all(|t| has.contains(t))
    }

    /// Whether a time is asked for.
    #[must_use]
    pub fn fits_time(&self, at: UtcMs) -> bool {
        self.from.is_none_or(|f| at >= f) && self.until.is_none_or(|u| at < u)
    }

    /// How many rows are given.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for none or more than [`MOST`].
    pub fn checked_limit(&self) -> Result<usize, StoreError> {
        if (1..=MOST).contains(&self.limit) {
            return Ok(self.limit);
        }
        Err(StoreError::Refused(format!(
            "{} audit rows cannot be asked for at once: ask for 1 to {MOST}",
            self.limit
        )))
    }
}

/// The refusal of a place in a chain that this store does not have.
#[must_use]
pub fn unknown_place(cursor: &AuditCursor) -> StoreError {
    StoreError::Refused(format!(
        "this store has no audit chain {}: begin again without a place",
        cursor.chain
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for (at, chain, seq) in [
            (1, "server", 7),
            (-5, "dev.with.dots-1", u64::MAX),
            (0, "n.standby", 0),
        ] {
            let place = AuditCursor {
                at: UtcMs(at),
                chain: chain.to_owned(),
                seq,
            };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for wrong in ["", "1", "1.2", "1.2.", "x.2.server", "1.-2.server"] {
            assert_eq!(wrong.parse::<AuditCursor>(), Err(NoCursor), "{wrong}");
        }
    }

    #[test]
    fn the_same_text_of_two_kinds_is_two_terms() {
        let all = [
            Term::Patient("x"),
            Term::User("x"),
            Term::Device("x"),
            Term::Action("x"),
        ];
        let numbers: BTreeSet<i32> = all.iter().map(Term::number).collect();
        assert_eq!(numbers.len(), 4);
    }
}
