//! What a store holds, counted and checked: for comparing a backup with what it was made from.
//!
//! Lives here: the types alone. Never here: how a backend counts or checks. Made by the backends, compared by the
//! server's `verify-backup`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vitrine_access::chain::Head;
use vitrine_clinical::UtcMs;

/// What a store holds at one moment. Holds no PHI: numbers and hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Chains and their heads: `server`, then the devices by id.
    pub heads: Vec<(String, Head)>,
    /// Where the backend's log of commits stood, when it keeps one: a restore can go on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogMark>,
}

/// A place in a backend's log of commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMark {
    /// In the backend's own words.
    pub position: String,
    /// Time of the last commit before it.
    pub at: UtcMs,
}

impl Contents {
    /// What is otherwise in `found`, a sentence each. Tables that only `found` has are newer than the backup.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (table, n) in &self.rows {
            match found.rows.get(table) {
                Some(m) if m == n => {}
                Some(m) => out.push(format!("table {table} has {m} rows, the manifest says {n}")),
                None => out.push(format!("table {table} of {n} rows is missing")),
            }
        }
        for (chain, head) in &self.heads {
            match found.heads.iter().find(|(c, _)| c == chain) {
                Some((_, h)) if h == head => {}
                Some((_, h)) => out.push(format!(
                    "the audit chain {chain} ends at row {}, the sealed head is of row {}",
                    h.seq, head.seq
                )),
                None => out.push(format!("the audit chain {chain} is missing")),
            }
        }
        out
    }
}

/// What became of checking every stored body against its hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCheck {
    /// Current resources.
    pub resources: u64,
    /// Earlier versions; they carry no hash of their own and are read whole.
    pub versions: u64,
    /// Emergency cards.
    pub cards: u64,
    /// Board rows.
    pub boards: u64,
    /// Messages of other systems whose bytes are here.
    #[serde(default)]
    pub messages: u64,
    /// Bodies that lie in packs of the archive: the packs are checked, not each body.
    #[serde(default)]
    pub archived: u64,
    /// Bodies without a hash, because a statement from elsewhere changed them; they are read whole.
    pub unhashed: u64,
    /// One sentence per body that is not what its hash says; the first hundred.
    pub faults: Vec<String>,
    /// Bodies that are not what their hash says.
    pub bad: u64,
}

impl RowCheck {
    /// Notes a bad body.
    pub fn fault(&mut self, sentence: impl FnOnce() -> String) {
        self.bad += 1;
        if self.faults.len() < 100 {
            self.faults.push(sentence());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named() {
        let head = Head {
            seq: 3,
            hash: [1; 32],
        };
        let made = Contents {
            rows: [("resource".to_owned(), 4), ("card".to_owned(), 1)].into(),
            heads: vec![("server".into(), head), ("d1".into(), head)],
            log: None,
        };
        assert!(made.differences(&made).is_empty());
        let mut more = made.clone();
        more.rows.insert("new".into(), 9);
        assert!(made.differences(&more).is_empty());
        let found = Contents {
            rows: [("resource".to_owned(), 3)].into(),
            heads: vec![("server".into(), Head { seq: 2, ..head })],
            log: None,
        };
        let all = made.differences(&found);
        assert_eq!(all.len(), 4, "{all:?}");
    }
}
