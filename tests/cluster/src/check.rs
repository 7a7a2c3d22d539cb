//! What must hold of a ledger after any fault: nothing acknowledged is missing, nothing is there twice, nothing was
//! changed, nothing came from nowhere. Pure.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one writer knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Numbers whose write was acknowledged.
    pub acked: BTreeSet<i64>,
    /// The highest number that was tried.
    pub tried: i64,
}

/// One row as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: i64,
    /// Its writer.
    pub writer: i32,
    /// Its number.
    pub seq: i64,
    /// Its content.
    pub payload: String,
}

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Acknowledged writes.
    pub acked: u64,
    /// Of these, not found.
    pub lost: u64,
    /// Rows, or effects, beyond the first of a write.
    pub doubled: u64,
    /// Rows whose content is not what was written.
    pub altered: u64,
    /// Rows that nobody wrote.
    pub foreign: u64,
    /// Rows that were tried and never acknowledged: allowed.
    pub unacknowledged: u64,
}

impl Verdict {
    /// Whether anything is wrong.
    #[must_use]
    pub fn clean(&self) -> bool {
        self.lost + self.doubled + self.altered + self.foreign == 0
    }
}

/// The id of a writer's write.
#[must_use]
pub fn id_of(writer: i32, seq: i64) -> i64 {
    (i64::from(writer) << 40) | seq
}

/// The content of a write: known from its id, so that nothing need be remembered.
#[must_use]
pub fn payload_of(id: i64) -> String {
    use sha2::Digest;
    use std::fmt::Write as _;
    sha2::Sha256::digest(id.to_be_bytes())
        .iter()
        .fold(String::new(), |mut s, b| {
            let _ = write!(s, "{b:02x}");
            s
        })
}

/// Compares what was acknowledged with what is there. `effects` is, for each writer, how often a write took effect
/// beside its row (a counter raised in the same transaction).
#[must_use]
pub fn check(written: &BTreeMap<i32, Written>, rows: &[Row], effects: &BTreeMap<i32, i64>) -> Verdict {
    let mut v = Verdict::default();
    let mut found: BTreeMap<i64, u64> = BTreeMap::new();
    let mut per_writer: BTreeMap<i32, i64> = BTreeMap::new();
    for row in rows {
        let times = found.entry(row.id).or_default();
        *times += 1;
        if *times > 1 {
            v.doubled += 1;
            continue;
        }
        *per_writer.entry(row.writer).or_default() += 1;
        let known = written
            .get(&row.writer)
            .is_some_and(|w| row.seq >= 1 && row.seq <= w.tried && row.id == id_of(row.writer, row.seq));
        if !known {
            v.foreign += 1;
        } else if row.payload != payload_of(row.id) {
            v.altered += 1;
        } else if !written[&row.writer].acked.contains(&row.seq) {
            v.unacknowledged += 1;
        }
    }
    for (writer, w) in written {
        v.acked += w.acked.len() as u64;
        v.lost += w
            .acked
            .iter()
            .filter(|seq| !found.contains_key(&id_of(*writer, **seq)))
            .count() as u64;
    }
    for (writer, times) in effects {
        let rows = per_writer.get(writer).copied().unwrap_or(0);
        // an effect without its row is one half of a transaction: lost as surely as a row
        v.doubled += u64::try_from(times - rows).unwrap_or(0);
        v.lost += u64::try_from(rows - times).unwrap_or(0);
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(writer: i32, seq: i64) -> Row {
        let id = id_of(writer, seq);
        Row {
            id,
            writer,
            seq,
            payload: payload_of(id),
        }
    }

    fn history() -> (BTreeMap<i32, Written>, Vec<Row>, BTreeMap<i32, i64>) {
        let written = BTreeMap::from([
            (
                1,
                Written {
                    acked: (1..=3).collect(),
                    tried: 4,
                },
            ),
            (
                2,
                Written {
                    acked: (1..=2).collect(),
                    tried: 2,
                },
            ),
        ]);
        let rows = vec![row(1, 1), row(1, 2), row(1, 3), row(1, 4), row(2, 1), row(2, 2)];
        (written, rows, BTreeMap::from([(1, 4), (2, 2)]))
    }

    #[test]
    fn a_clean_history_is_clean_and_an_unacknowledged_row_is_allowed() {
        let (w, rows, effects) = history();
        let v = check(&w, &rows, &effects);
        assert!(v.clean(), "{v:?}");
        assert_eq!((v.acked, v.unacknowledged), (5, 1));
    }

    #[test]
    fn a_lost_row_is_seen() {
        let (w, mut rows, mut effects) = history();
        rows.remove(1);
        effects.insert(1, 3);
        assert_eq!(check(&w, &rows, &effects).lost, 1);
    }

    #[test]
    fn a_doubled_row_and_a_doubled_effect_are_seen() {
        let (w, mut rows, effects) = history();
        rows.push(row(2, 2));
        assert_eq!(check(&w, &rows, &effects).doubled, 1);
        let (w, rows, mut effects) = history();
        effects.insert(2, 3);
        assert_eq!(check(&w, &rows, &effects).doubled, 1);
    }

    #[test]
    fn half_a_transaction_is_seen() {
        let (w, rows, mut effects) = history();
        effects.insert(2, 1);
        assert_eq!(check(&w, &rows, &effects).lost, 1);
    }

    #[test]
    fn a_changed_and_a_foreign_row_are_seen() {
        let (w, mut rows, effects) = history();
        rows[0].payload = "other".to_owned();
        assert_eq!(check(&w, &rows, &effects).altered, 1);
        let (w, mut rows, effects) = history();
        rows[5] = row(3, 9);
        let v = check(&w, &rows, &effects);
        assert_eq!((v.foreign, v.lost), (1, 1), "{v:?}");
    }
}
