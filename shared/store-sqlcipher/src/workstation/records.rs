//! `records-*.db`: the full records one user has opened here, readable with that user's key alone.
//!
//! Each `pat:` scope is one patient's record. A damaged page makes the types it touches unreadable, not the record.

use super::essentials::synchronised;
use super::lines::Lines;
use super::scopes::{ItemRefRow, OpenFold, Prepared, ScopeState, Scopes, TABLES, VERSIONS, u};
use crate::cipher::{Key, Migration, Synchronous};
use rusqlite::params;
use std::path::Path;
use vitrine_access::action::ReadChart;
use vitrine_access::{Disclosed, Disclosure, Permit, Sealed};
use vitrine_clinical::ResourceKey;
use vitrine_clinical::label::Confidentiality;
use vitrine_store::{StoreError, labels};

/// "VtRe".
const APPLICATION: i32 = 0x5674_5265;

/// Resources named one by one in an audit row; a larger record is covered by a digest over all.
const NAMED: usize = 1_000;

/// From so many resources of a type on, unpacking them is shared by two threads.
const SHARE: usize = 4_000;

/// One resource of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// `Type/id`.
    pub key: ResourceKey,
    /// Its own version, its `meta.versionId`; 0 where it came with a server, or to a program, that did not tell it.
    pub version: u64,
    /// JSON as the server sent it.
    pub body: Vec<u8>,
}

/// A record as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRecord {
    /// The scope: position, revision, age, progress of a snapshot.
    pub state: ScopeState,
    /// The resources in key order.
    pub rows: Vec<RecordRow>,
    /// Types of which at least one resource could not be read.
    pub unreadable: Vec<String>,
    /// Resources left out, because the permit does not let see them.
    pub withheld: u64,
}

/// One user's cached records.
pub struct Records {
    pub(super) db: Scopes,
}

synchronised!(Records);

impl Records {
    /// Opens, making the file when it is missing.
    ///
    /// # Errors
    /// As `cipher::open` and `cipher::migrate`.
    pub fn open(path: &Path, key: &Key, fold: OpenFold) -> Result<Self, StoreError> {
        let migrations = [
            Migration {
                number: 1,
                name: "first",
                sql: TABLES,
            },
            Migration {
                number: 2,
                name: "versions",
                sql: VERSIONS,
            },
        ];
        let lines = Lines::open(
            path,
            key,
            APPLICATION,
            &migrations,
            Synchronous::Normal,
            16 * 1024,
        )?;
        Ok(Self {
            db: Scopes::new(lines, fold, false),
        })
    }

    /// All scopes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn scopes(&self) -> Result<Vec<ScopeState>, StoreError> {
        self.db.states(None)
    }

    /// One scope.
    ///
    /// # Errors
    /// As [`Self::scopes`].
    pub fn scope(&self, name: &str) -> Result<Option<ScopeState>, StoreError> {
        Ok(self.db.states(Some(name))?.pop())
    }

    /// A patient's record; `None` when no whole state of it is here.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when not even the list of its resources can be read.
    pub fn record(&self, permit: &Permit<ReadChart>) -> Result<Sealed<Option<CachedRecord>>, StoreError> {
        let patient = permit
            .patient()
            .ok_or_else(|| StoreError::WrongPatient("no patient".to_owned()))?;
        let scope = format!("pat:{patient}");
        let Some(state) = self.db.states(Some(&scope))?.pop().filter(|s| s.complete) else {
            return Ok(Sealed::seal(permit, None, Disclosure::default()));
        };
        let mut rows = Vec::with_capacity(usize::try_from(state.items).unwrap_or(0));
        let mut unreadable = Vec::new();
        for kind in self.kinds(&scope)? {
            match self.of_kind(&scope, &kind) {
                Ok(found) => rows.extend(found),
                Err(StoreError::Damaged(_)) => unreadable.push(kind),
                Err(e) => return Err(e),
            }
        }
        let withheld = withhold(permit, &mut rows);
        let disclosure = disclosure(permit, named(&rows));
        Ok(Sealed::seal(
            permit,
            Some(CachedRecord {
                state,
                rows,
                unreadable,
                withheld,
            }),
            disclosure,
        ))
    }

    /// The resources of some kinds of a patient's record; `None` when no whole state of it is here.
    ///
    /// # Errors
    /// As [`Self::record`], also when one of them cannot be read.
    pub fn of_kinds(
        &self,
        permit: &Permit<ReadChart>,
        kinds: &[&str],
    ) -> Result<Sealed<Option<Vec<RecordRow>>>, StoreError> {
        let patient = permit
            .patient()
            .ok_or_else(|| StoreError::WrongPatient("no patient".to_owned()))?;
        let scope = format!("pat:{patient}");
        if self.db.states(Some(&scope))?.pop().is_none_or(|s| !s.complete) {
            return Ok(Sealed::seal(permit, None, Disclosure::default()));
        }
        let mut rows = Vec::new();
        for kind in kinds {
            rows.extend(self.of_kind(&scope, kind)?);
        }
        withhold(permit, &mut rows);
        let disclosure = disclosure(permit, named(&rows));
        Ok(Sealed::seal(permit, Some(rows), disclosure))
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>, StoreError> {
        // A loose walk over the index: one step for each type, whatever the number of resources.
        self.db.lines.read("listing the kinds of a record", |c| {
            let live: i64 = c.query_row("SELECT live FROM scope WHERE name = ?1", [scope], |r| r.get(0))?;
            let mut next = c.prepare_cached(
                "SELECT key FROM item WHERE content = ?1 AND key >= ?2 ORDER BY key LIMIT 1",
            )?;
            let mut kinds: Vec<String> = Vec::new();
            let mut from = String::new();
            loop {
                let mut rows = next.query(params![live, from])?;
                let Some(row) = rows.next()? else { return Ok(kinds) };
                let key: String = row.get(0)?;
                let kind = key.split('/').next().unwrap_or_default().to_owned();
                // '0' follows '/'.
                from = format!("{kind}0");
                kinds.push(kind);
            }
        })
    }

    fn of_kind(&self, scope: &str, kind: &str) -> Result<Vec<RecordRow>, StoreError> {
        let stored = self.db.lines.read("reading a record", |c| {
            let mut s = c.prepare_cached(
                "SELECT i.key, coalesce(i.version, 0), i.body FROM scope s JOIN item i ON i.content = s.live
                 WHERE s.name = ?1 AND i.key >= ?2 AND i.key < ?3 ORDER BY i.key",
            )?;
            let rows = s.query_map(params![scope, format!("{kind}/"), format!("{kind}0")], |r| {
                Ok((r.get(0)?, u(r.get(1)?), r.get(2)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(String, u64, Vec<u8>)>>>()
        })?;
        if stored.len() < SHARE {
            return self.unpacked(&stored);
        }
        let (first, second) = stored.split_at(stored.len() / 2);
        std::thread::scope(|s| {
            let rest = s.spawn(|| self.unpacked(second));
            let mut rows = self.unpacked(first)?;
            rows.extend(rest.join().map_err(|_| StoreError::Backend {
                doing: "unpacking a record",
                cause: "it panicked".to_owned(),
            })??);
            Ok(rows)
        })
    }

    fn unpacked(&self, stored: &[(String, u64, Vec<u8>)]) -> Result<Vec<RecordRow>, StoreError> {
        let one = |(key, version, body): &(String, u64, Vec<u8>)| {
            let key = ResourceKey::parse(key).map_err(|e| StoreError::Backend {
                doing: "reading a key",
                cause: e.to_string(),
            })?;
            Ok(RecordRow {
                key,
                version: *version,
                body: self.db.whole(body)?,
            })
        };
        stored.iter().map(one).collect()
    }

    /// Notes that a record was opened, for keeping the most recently used.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub fn used(&self, scope: &str, at_ms: i64) -> Result<(), StoreError> {
        self.db.mark_used(scope, at_ms)
    }

    /// Drops the least recently used records beyond `keep`; returns the scopes dropped.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub fn evict(&self, keep: usize) -> Result<Vec<String>, StoreError> {
        let mut all = self.db.states(None)?;
        all.sort_by_key(|s| std::cmp::Reverse(s.used));
        let gone = all.into_iter().skip(keep).map(|s| s.name).collect::<Vec<_>>();
        for scope in &gone {
            self.db.forget(scope)?;
        }
        Ok(gone)
    }
}

/// Takes out what the permit does not let see; gives how many that are.
fn withhold(permit: &Permit<ReadChart>, rows: &mut Vec<RecordRow>) -> u64 {
    if permit.clearance() == Confidentiality::VeryRestricted {
        return 0;
    }
    let all = rows.len();
    rows.retain(|r| permit.sees(labels::of_resource(r.key.kind.as_str(), &r.body)));
    (all - rows.len()) as u64
}

fn named(rows: &[RecordRow]) -> Vec<Disclosed> {
    let named = |r: &RecordRow| Disclosed {
        key: r.key.clone(),
        version: r.version,
    };
    rows.iter().map(named).collect()
}

/// What an access to this much of the permit's patient discloses: past [`NAMED`] the rest is in the count and the digest.
pub(super) fn disclosure(permit: &Permit<ReadChart>, mut resources: Vec<Disclosed>) -> Disclosure {
    let digest = (resources.len() > NAMED).then(|| {
        let mut h = blake3::Hasher::new();
        for r in &resources {
            h.update(format!("{}@{}\n", r.key, r.version).as_bytes());
        }
        h.finalize().to_hex().to_string()
    });
    let total = resources.len() as u64;
    resources.truncate(NAMED);
    Disclosure {
        patients: permit.patient().cloned().into_iter().collect(),
        resources,
        total,
        digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoFold;
    impl super::super::scopes::Fold for NoFold {
        fn add(&mut self, _: &str, _: u64, _: &[u8; 16]) {}
        fn remove(&mut self, _: &str, _: u64, _: &[u8; 16]) {}
        fn to_bytes(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    #[test]
    fn a_record_of_an_older_program_stays_is_asked_for_anew_and_claims_no_versions() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("records.db"), Key::new([7; 32].into()));
        let first = [Migration {
            number: 1,
            name: "first",
            sql: TABLES,
        }];
        let lines = Lines::open(&path, &key, APPLICATION, &first, Synchronous::Normal, 16 * 1024).unwrap();
        let body = super::super::scopes::pack(br#"{"resourceType":"Flag"}"#);
        let doing = "making an older record";
        lines
            .write(doing, |t| {
                t.execute_batch(
                    "INSERT INTO content (id, items) VALUES (1, 1);
                     INSERT INTO scope (name, live, epoch, pos, rev, as_of) VALUES ('pat:p1', 1, 'e', 7, 10, 99);",
                )
                .and_then(|()| {
                    t.execute(
                        "INSERT INTO item (content, key, ver, hash, found, body) VALUES (1, 'Flag/f', 9, zeroblob(16), 0, ?1)",
                        [&body],
                    )
                })
                .map_err(lines.fault(doing))
            })
            .unwrap();
        drop(lines);
        let records = Records::open(&path, &key, |_| Box::new(NoFold)).unwrap();
        let scope = records.scope("pat:p1").unwrap().unwrap();
        assert!(scope.complete, "it can be read as before");
        assert_eq!((scope.epoch.as_str(), scope.as_of), ("", Some(99)));
        let rows = records.of_kind("pat:p1", "Flag").unwrap();
        assert_eq!((rows.len(), rows[0].version), (1, 0), "not the revision 9");
        records.begin("pat:p1", "e", 8, 11).unwrap();
        let flag = super::super::scopes::Incoming {
            key: "Flag/f",
            ver: 11,
            version: Some(3),
            body: Some(b"{}"),
            terms: "",
        };
        records.stage("pat:p1", &[Prepared::new(&flag)]).unwrap();
        records.finish("pat:p1", "e", 8, 11).unwrap();
        assert_eq!(records.of_kind("pat:p1", "Flag").unwrap()[0].version, 3);
    }
}
