//! Where the bodies of a record lie: hot in the database, warm in packs beside it, or in packs of the archive.
//!
//! Lives here: the rule that decides what moves ([`TierRule`]), what is said of a pack, how long a recall takes. Never
//! here: a database, the files (they are in [`crate::pack`]), a clock. Every backend carries the moves out by this rule.
//!
//! Rows, ids, hashes, facts, search words, cards and boards never move: only bodies do, and of those never the current
//! version of an essential type, nor one that the facts of another resource rest on.

use crate::StoreError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vitrine_access::action::{
    Action, BreakGlass, ImportData, ReadCard, ReadChart, ReadResource, SyncScope, WriteClinical,
};
use vitrine_access::{AuditEntry, Decision};
use vitrine_clinical::{PatientId, UtcMs};

const DAY_MS: i64 = 86_400_000;
/// A year of the rules: 365 days and 6 hours.
const YEAR_MS: i64 = DAY_MS * 1461 / 4;
/// Most bodies in one pack.
pub const PACK_BODIES: usize = 5_000;
/// About the most bytes of bodies in one pack.
pub const PACK_BYTES: usize = 64 << 20;

/// The day of a moment, counted from 1970.
#[must_use]
pub const fn day_of(at: UtcMs) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// Whose records an access used: a chart, a resource or a card was opened, or something was written. Searches, boards
/// and the essentials that workstations hold use no record.
#[must_use]
pub fn used_by(entry: &AuditEntry) -> Vec<PatientId> {
    if entry.decision == Decision::Deny {
        return Vec::new();
    }
    let mut out = match entry.action.as_str() {
        ReadCard::NAME
        | ReadChart::NAME
        | ReadResource::NAME
        | WriteClinical::NAME
        | ImportData::NAME
        | BreakGlass::NAME => {
            let mut all = entry.disclosure.patients.clone();
            all.extend(entry.patient.clone());
            all
        }
        SyncScope::NAME => {
            let scope = entry.notes.get("scope").and_then(|s| s.strip_prefix("pat:"));
            scope.and_then(|id| PatientId::new(id).ok()).into_iter().collect()
        }
        _ => Vec::new(),
    };
    out.sort();
    out.dedup();
    out
}

/// By what age, and by how long nobody used a record, its bodies move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierRule {
    /// The moment at which it is asked.
    pub at: UtcMs,
    /// Age from which a body is warm, ms.
    pub warm_ms: i64,
    /// Age from which it belongs in the archive, ms.
    pub archive_ms: i64,
    /// A record used within so many days stays as it is.
    pub idle_days: i64,
    /// There is an archive.
    pub archive: bool,
}

impl TierRule {
    /// The rule at a moment, in years and days as the configuration says it.
    #[must_use]
    pub fn new(at: UtcMs, hot_years: u32, warm_years: u32, idle_days: u32, archive: bool) -> Self {
        Self {
            at,
            warm_ms: i64::from(hot_years) * YEAR_MS,
            archive_ms: i64::from(warm_years) * YEAR_MS,
            idle_days: i64::from(idle_days),
            archive,
        }
    }

    /// Bodies stored before this moment are warm or archive.
    #[must_use]
    pub const fn warm_before(&self) -> i64 {
        self.at.0 - self.warm_ms
    }

    /// Bodies stored before this moment belong in the archive; none do without one.
    #[must_use]
    pub const fn archive_before(&self) -> i64 {
        if self.archive {
            self.at.0 - self.archive_ms
        } else {
            i64::MIN
        }
    }

    /// A record last used on this day or before it may move.
    #[must_use]
    pub const fn idle_day(&self) -> i64 {
        day_of(self.at) - self.idle_days - 1
    }

    /// The day on which a body stored at `updated` is warm.
    #[must_use]
    pub const fn due_day(&self, updated: i64) -> i64 {
        day_of(UtcMs(updated.saturating_add(self.warm_ms))) + 1
    }
}

/// Where bodies lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// In the database; of a pack: its bodies are back there, and it waits to be removed.
    Hot,
    /// In a pack beside the database.
    Warm,
    /// In a pack of the archive.
    Archive,
}

impl Tier {
    /// Its number in a database.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Hot => 0,
            Self::Warm => 1,
            Self::Archive => 2,
        }
    }
    /// The tier of a number.
    #[must_use]
    pub const fn of(number: i64) -> Self {
        match number {
            0 => Self::Hot,
            1 => Self::Warm,
            _ => Self::Archive,
        }
    }
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Archive => "archive",
        }
    }
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// Its id: the name of its file.
    pub id: Uuid,
    /// Whose bodies.
    pub patient: PatientId,
    /// Where it lies.
    pub tier: Tier,
    /// Bodies in it.
    pub bodies: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
    /// When the newest of its bodies was stored.
    pub newest: UtcMs,
    /// When it was made.
    pub made: UtcMs,
    /// When it last changed its tier.
    pub moved: UtcMs,
    /// It lies in the archive and was asked back then.
    pub requested: Option<UtcMs>,
    /// When it last came back from the archive.
    pub recalled: Option<UtcMs>,
}

/// Which packs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacksOf<'p> {
    /// All there are.
    All,
    /// A patient's.
    Patient(&'p PatientId),
    /// Those in the archive that were asked back.
    Asked,
}

impl PacksOf<'_> {
    /// The patient, where it is one's.
    #[must_use]
    pub fn patient(&self) -> Option<&str> {
        match self {
            Self::Patient(p) => Some(p.as_str()),
            Self::All | Self::Asked => None,
        }
    }
}

/// What lies in one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TierCount {
    /// Records with something there.
    pub records: u64,
    /// Bodies: current and earlier versions.
    pub bodies: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// Packs.
    pub packs: u64,
}

/// What lies where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TierReport {
    /// In the database.
    pub hot: TierCount,
    /// In packs beside it.
    pub warm: TierCount,
    /// In packs of the archive.
    pub archive: TierCount,
    /// Of those in the archive: asked back.
    pub requested: TierCount,
    /// Records that have never been looked at, or are to be looked at again, whatever the rule says.
    pub unseen: u64,
}

impl TierReport {
    /// Adds a pack.
    pub fn add(&mut self, pack: &PackRow) {
        let one = |c: &mut TierCount| {
            c.bodies += pack.bodies;
            c.bytes += pack.bytes;
            c.packs += 1;
        };
        match pack.tier {
            Tier::Hot => {}
            Tier::Warm => one(&mut self.warm),
            Tier::Archive => {
                one(&mut self.archive);
                if pack.requested.is_some() {
                    one(&mut self.requested);
                }
            }
        }
    }

    /// Adds all packs.
    pub fn add_all(&mut self, packs: &[PackRow]) {
        packs.iter().for_each(|p| self.add(p));
        let records = |which: &dyn Fn(&PackRow) -> bool| {
            let mut of: Vec<&PatientId> = packs.iter().filter(|p| which(p)).map(|p| &p.patient).collect();
            of.sort();
            of.dedup();
            of.len() as u64
        };
        self.warm.records = records(&|p| p.tier == Tier::Warm);
        self.archive.records = records(&|p| p.tier == Tier::Archive);
        self.requested.records = records(&|p| p.tier == Tier::Archive && p.requested.is_some());
    }
}

/// What the rule wants done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Records to look at: bodies of theirs may be old enough.
    pub down: Vec<PatientId>,
    /// Warm packs that belong in the archive.
    pub away: Vec<Uuid>,
    /// Warm packs of patients who are on a ward: their bodies go back into the database.
    pub home: Vec<Uuid>,
    /// Patients on a ward with packs in the archive that nobody has asked back.
    pub wanted: Vec<PatientId>,
}

/// What a look at one record moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Packs made.
    pub packs: u64,
    /// Bodies in them.
    pub bodies: u64,
    /// Bytes they took in the database.
    pub from_bytes: u64,
    /// Bytes of the packs.
    pub bytes: u64,
    /// There is more of the same record.
    pub more: bool,
}

/// A recall that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// The packs of the record that lie in the archive, asked back now or before.
    pub packs: Vec<PackRow>,
    /// It was this call that asked for one of them.
    pub new: bool,
    /// Bytes asked back before by whomever, which come first.
    pub before: u64,
}

/// How fast packs come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecallSpeed {
    /// Bytes in a second.
    pub bytes_s: u64,
    /// Seconds until the first byte.
    pub first_s: u64,
}

impl RecallSpeed {
    /// Seconds until so many bytes are here, after so many others.
    #[must_use]
    pub const fn eta_s(&self, before: u64, bytes: u64) -> u64 {
        let speed = if self.bytes_s == 0 { 1 } else { self.bytes_s };
        self.first_s
            .saturating_add(before.saturating_add(bytes).div_ceil(speed))
    }
}

impl Recall {
    /// Bytes to come back.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.packs.iter().map(|p| p.bytes).sum()
    }
}

/// The part of a recall that a backend does in one transaction: which of a record's packs to mark, and what was asked
/// before. `all`: the patient's packs, and those asked back.
#[must_use]
pub fn recall_of(all: &[PackRow], patient: &PatientId) -> Recall {
    let away = |p: &&PackRow| p.tier == Tier::Archive;
    let packs: Vec<PackRow> = all
        .iter()
        .filter(away)
        .filter(|p| p.patient == *patient)
        .cloned()
        .collect();
    let since = packs.iter().filter_map(|p| p.requested).min();
    let earlier =
        |p: &&PackRow| p.patient != *patient && p.requested.is_some_and(|r| since.is_none_or(|s| r <= s));
    Recall {
        new: packs.iter().any(|p| p.requested.is_none()),
        before: all.iter().filter(away).filter(earlier).map(|p| p.bytes).sum(),
        packs,
    }
}

/// The error for a pack nobody knows.
#[must_use]
pub fn unknown_pack(id: Uuid) -> StoreError {
    StoreError::Refused(format!("there is no pack {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_and_use_decide() {
        let at = UtcMs(10 * YEAR_MS);
        let rule = TierRule::new(at, 2, 7, 90, true);
        assert_eq!(rule.warm_before(), 8 * YEAR_MS);
        assert_eq!(rule.archive_before(), 3 * YEAR_MS);
        assert_eq!(rule.idle_day(), day_of(at) - 91);
        assert!(rule.due_day(8 * YEAR_MS) > day_of(at) && rule.due_day(7 * YEAR_MS) < day_of(at));
        let none = TierRule {
            archive: false,
            ..rule
        };
        assert_eq!(none.archive_before(), i64::MIN, "nothing goes beyond warm");
    }

    #[test]
    fn a_recall_waits_for_those_before_it() {
        let speed = RecallSpeed {
            bytes_s: 1_000_000,
            first_s: 60,
        };
        assert_eq!(speed.eta_s(0, 0), 60);
        assert_eq!(speed.eta_s(5_000_000, 1), 66);
        assert_eq!(
            RecallSpeed {
                bytes_s: 0,
                first_s: 0
            }
            .eta_s(0, 7),
            7,
            "never a division by nothing"
        );
        let pack = |n: u128, of: &str, tier, requested: Option<i64>| PackRow {
            id: Uuid::from_u128(n),
            patient: PatientId::new(of).unwrap(),
            tier,
            bodies: 1,
            bytes: 10,
            sha256: [0; 32],
            newest: UtcMs(0),
            made: UtcMs(0),
            moved: UtcMs(0),
            requested: requested.map(UtcMs),
            recalled: None,
        };
        let all = [
            pack(1, "a", Tier::Archive, Some(1)),
            pack(2, "b", Tier::Archive, None),
            pack(3, "b", Tier::Warm, None),
            pack(4, "c", Tier::Archive, None),
        ];
        let b = recall_of(&all, &PatientId::new("b").unwrap());
        assert_eq!((b.packs.len(), b.new, b.before, b.bytes()), (1, true, 10, 10));
        let a = recall_of(&all, &PatientId::new("a").unwrap());
        assert_eq!((a.packs.len(), a.new, a.before), (1, false, 0));
        let nobody = recall_of(&all, &PatientId::new("z").unwrap());
        assert!(nobody.packs.is_empty() && !nobody.new);
    }
}
