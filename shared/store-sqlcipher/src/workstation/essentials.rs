//! `essentials.db`: emergency cards, boards and the staff list, readable with the device's own key.
//!
//! Lives here: the reads by permit, and the search index (FTS5 over folded words, numbers and birth dates).
//! Never here: lists of many patients (`lists`), how a query or a name is folded into words; that is the caller's.

use super::lines::Lines;
use super::scopes::{INDEX, ItemRefRow, OpenFold, Prepared, ScopeState, Scopes, TABLES, VERSIONS, u, unpack};
use crate::cipher::{Key, Migration, Synchronous};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::collections::BTreeSet;
use std::path::Path;
use vitrine_access::action::{ReadCard, ReadChart, SearchPatients};
use vitrine_access::{Action, Disclosed, Disclosure, Permit, Sealed};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, ResourceKey, WardId};
use vitrine_store::{StoreError, labels};

/// "VtEs".
const APPLICATION: i32 = 0x5674_4573;

/// The acts under which a card may be read: the card alone, or as the essentials of a chart.
pub trait CardAct: Action {}
impl CardAct for ReadCard {}
impl CardAct for ReadChart {}

/// A card as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedCard {
    /// Version.
    pub version: u64,
    /// JSON of `EmergencyCard`.
    pub body: Vec<u8>,
    /// The scope it was read from.
    pub scope: String,
    /// Server time up to which that scope is known to be whole, ms.
    pub as_of: Option<i64>,
}

/// One word of a search: as it stands in the index, matched whole or as a beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindTerm {
    /// The word.
    pub text: String,
    /// Its beginning is enough.
    pub prefix: bool,
}

/// One patient found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// Who.
    pub patient: PatientId,
    /// Version of the card.
    pub version: u64,
    /// JSON of the card.
    pub body: Vec<u8>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whole matches first, then beginnings; not ranked further.
    pub rows: Vec<FoundRow>,
    /// There are more than the limit.
    pub more: bool,
    /// Patients searched.
    pub of: u64,
    /// Some part of the store could not be read: the rows are not all there is.
    pub damaged: bool,
}

/// The essentials of a workstation.
pub struct Essentials {
    pub(super) db: Scopes,
}

const LIVE_CARDS: &str = "SELECT live FROM scope WHERE live <> 0 AND name >= 'ess:' AND name < 'ess;'";

impl Essentials {
    /// Opens, making the file when it is missing.
    ///
    /// # Errors
    /// As `cipher::open` and `cipher::migrate`: a plain file, a wrong key or a newer schema are refused, untouched.
    pub fn open(path: &Path, key: &Key, fold: OpenFold) -> Result<Self, StoreError> {
        let sql: &'static str = const_format_tables();
        let migrations = [
            Migration {
                number: 1,
                name: "first",
                sql,
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
            32 * 1024,
        )?;
        Ok(Self {
            db: Scopes::new(lines, fold, true),
        })
    }

    /// False when the disk gave no room to open for writing.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.db.lines.writable()
    }

    /// A patient's card.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its page cannot be read; other patients can.
    pub fn card<A: CardAct>(&self, permit: &Permit<A>) -> Result<Sealed<Option<CachedCard>>, StoreError> {
        let patient = subject(permit)?;
        let row = self.db.lines.read("reading a card", |c| card_row(c, patient))?;
        self.seal_card(permit, patient, row)
    }

    /// A patient's card over the connection that is kept for emergencies.
    ///
    /// # Errors
    /// As [`Self::card`].
    pub fn card_reserved(&self, permit: &Permit<ReadCard>) -> Result<Sealed<Option<CachedCard>>, StoreError> {
        let patient = subject(permit)?;
        let row = self
            .db
            .lines
            .read_reserved("reading a card", |c| card_row(c, patient))?;
        self.seal_card(permit, patient, row)
    }

    fn seal_card<A: Action>(
        &self,
        permit: &Permit<A>,
        patient: &PatientId,
        row: Option<CachedCard>,
    ) -> Result<Sealed<Option<CachedCard>>, StoreError> {
        let mut disclosure = Disclosure::default();
        let card = match row {
            None => None,
            Some(c) => {
                let body = labels::card(self.db.whole(&c.body)?.into(), permit.clearance())?.into();
                disclosure.patients.push(patient.clone());
                disclosure
                    .resources
                    .push(shown("EmergencyCard", patient, c.version)?);
                disclosure.total = 1;
                Some(CachedCard { body, ..c })
            }
        };
        Ok(Sealed::seal(permit, card, disclosure))
    }

    /// Patients that match every group (any term of a group is enough). With `reserved` over the connection that is
    /// kept for emergencies.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the index cannot be read.
    pub fn search(
        &self,
        permit: &Permit<SearchPatients>,
        groups: &[Vec<FindTerm>],
        limit: usize,
        reserved: bool,
    ) -> Result<Sealed<Found>, StoreError> {
        let whole = expression(groups, false);
        let begins = expression(groups, true);
        let work = |c: &Connection| find(c, &[whole.as_str(), begins.as_str()], limit);
        let (ids, of) = if reserved {
            self.db.lines.read_reserved("searching patients", work)?
        } else {
            self.db.lines.read("searching patients", work)?
        };
        let more = ids.len() > limit;
        let mut found = Found {
            rows: Vec::new(),
            more,
            of,
            damaged: false,
        };
        let mut disclosure = Disclosure::default();
        for id in ids.into_iter().take(limit) {
            // One by one, so that one damaged page costs one row.
            let row = self.db.lines.read("reading a patient found", |c| {
                c.prepare_cached("SELECT key, ver, body FROM item WHERE id = ?1")?
                    .query_row([id], |r| {
                        Ok((r.get::<_, String>(0)?, u(r.get(1)?), r.get::<_, Vec<u8>>(2)?))
                    })
                    .optional()
            });
            let Ok(Some((key, version, stored))) = row else {
                found.damaged = true;
                continue;
            };
            let (Ok(patient), Ok(body)) = (PatientId::new(key), self.db.whole(&stored)) else {
                found.damaged = true;
                continue;
            };
            disclosure.resources.push(shown("Patient", &patient, version)?);
            disclosure.patients.push(patient.clone());
            found.rows.push(FoundRow {
                patient,
                version,
                body,
            });
        }
        disclosure.total = found.rows.len() as u64;
        disclosure.patients.sort();
        Ok(Sealed::seal(permit, found, disclosure))
    }

    /// Makes the words that find each card anew where they were made by other rules than these; how many cards were gone
    /// through. What is written meanwhile waits for a few hundred cards at most.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Full`]: it is to be tried again; what was there is found as before.
    pub fn reindex(&self, rules: &str, words: impl Fn(&[u8]) -> String) -> Result<u64, StoreError> {
        const DOING: &str = "indexing cards";
        if self.db.note("words")?.as_deref() == Some(rules) {
            return Ok(0);
        }
        let (mut after, mut done) = (0_i64, 0_u64);
        loop {
            let lines = &self.db.lines;
            let last = lines.write(DOING, |t| {
                let work = || -> rusqlite::Result<(Option<i64>, u64)> {
                    let rows = t
                        .prepare_cached(
                            "SELECT id, found, body FROM item WHERE id > ?1 AND content IN (
                               SELECT live FROM scope WHERE name >= 'ess:' AND name < 'ess;'
                               UNION SELECT staged FROM scope WHERE name >= 'ess:' AND name < 'ess;')
                             ORDER BY id LIMIT 200",
                        )?
                        .query_map([after], |r| {
                            Ok((r.get::<_, i64>(0)?, r.get::<_, bool>(1)?, r.get::<_, Vec<u8>>(2)?))
                        })?
                        .collect::<rusqlite::Result<Vec<_>>>()?;
                    for (id, found, stored) in &rows {
                        // A card that cannot be read keeps its words: it is told of where it is opened.
                        let Some(body) = unpack(stored) else { continue };
                        let terms = words(&body);
                        if *found {
                            t.prepare_cached("DELETE FROM find WHERE rowid = ?1")?
                                .execute([id])?;
                        }
                        t.prepare_cached("UPDATE item SET found = ?2 WHERE id = ?1")?
                            .execute(rusqlite::params![id, !terms.is_empty()])?;
                        if !terms.is_empty() {
                            t.prepare_cached("INSERT INTO find(rowid, terms) VALUES (?1, ?2)")?
                                .execute(rusqlite::params![id, terms])?;
                        }
                    }
                    Ok((rows.last().map(|(id, ..)| *id), rows.len() as u64))
                };
                work().map_err(lines.fault(DOING))
            })?;
            done += last.1;
            match last.0 {
                Some(id) => after = id,
                None => break,
            }
        }
        self.db.set_note("words", rules)?;
        Ok(done)
    }

    /// Where a patient is: for the policy, not for showing. `None` = not on this workstation.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn whereabouts(
        &self,
        patient: &PatientId,
        reserved: bool,
    ) -> Result<Option<Option<WardId>>, StoreError> {
        Ok(self.standing(patient, reserved)?.map(|(ward, _)| ward))
    }

    /// Where a patient is and how confidential the whole record is: for the policy, not for showing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn standing(
        &self,
        patient: &PatientId,
        reserved: bool,
    ) -> Result<Option<(Option<WardId>, Label)>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Place {
            ward: Option<WardId>,
        }
        #[derive(serde::Deserialize)]
        struct Card {
            place: Option<Place>,
            #[serde(default)]
            label: Label,
        }
        let row = if reserved {
            self.db
                .lines
                .read_reserved("reading where a patient is", |c| card_row(c, patient))?
        } else {
            self.db
                .lines
                .read("reading where a patient is", |c| card_row(c, patient))?
        };
        let Some(row) = row else { return Ok(None) };
        let card: Card = serde_json::from_slice(&self.db.whole(&row.body)?)
            .map_err(|_| StoreError::Damaged(self.db.lines.path().display().to_string()))?;
        Ok(Some((card.place.and_then(|p| p.ward), card.label)))
    }

    /// Patients with exactly this folded number, at most two: for reading an MRN that was given, not for showing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn by_term(&self, term: &str) -> Result<Vec<PatientId>, StoreError> {
        let groups = [vec![FindTerm {
            text: term.to_owned(),
            prefix: false,
        }]];
        let whole = expression(&groups, false);
        let keys = self.db.lines.read("looking up a number", |c| {
            let (ids, _) = find(c, &[whole.as_str()], 2)?;
            ids.iter()
                .map(|id| {
                    c.prepare_cached("SELECT key FROM item WHERE id = ?1")?
                        .query_row([id], |r| r.get::<_, String>(0))
                })
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        keys.into_iter()
            .map(|k| PatientId::new(k).map_err(|e| odd(&e)))
            .collect()
    }

    /// A person of the staff list, JSON.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn staff(&self, user: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get("dir", &format!("user/{user}"))?.map(|(_, body)| body))
    }

    /// Everybody of the staff list, JSON; an entry that cannot be read is left out: it picks nobody.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn all_staff(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let stored = self.db.lines.read("reading the staff list", |c| {
            c.prepare_cached(
                "SELECT i.body FROM scope s JOIN item i ON i.content = s.live WHERE s.name = 'dir' AND s.live <> 0",
            )?
            .query_map([], |r| r.get::<_, Vec<u8>>(0))?
            .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(stored
            .iter()
            .filter_map(|body| self.db.whole(body).ok())
            .collect())
    }

    /// Reads one card to the last byte over the connection kept for emergencies and tells its size: for a self-test,
    /// nothing of it leaves. `None` when no card is here.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn probe(&self) -> Result<Option<usize>, StoreError> {
        let stored = self.db.lines.read_reserved("reading a card", |c| {
            c.prepare_cached(
                "SELECT i.body FROM scope s JOIN item i ON i.content = s.live
                 WHERE s.live <> 0 AND s.name >= 'ess:' AND s.name < 'ess;' LIMIT 1",
            )?
            .query_row([], |r| r.get::<_, Vec<u8>>(0))
            .optional()
        })?;
        stored
            .map(|body| self.db.whole(&body).map(|b| b.len()))
            .transpose()
    }

    /// The patients whose card is here, the newest copy of each: row numbers for [`Self::probe_row`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn probe_rows(&self) -> Result<Vec<i64>, StoreError> {
        self.db.lines.read("listing the cards", |c| {
            // One row of each key: the one with the largest version (SQLite takes the other columns from the row of the max()).
            c.prepare_cached(
                "SELECT i.id, max(i.ver) FROM scope s JOIN item i ON i.content = s.live
                 WHERE s.live <> 0 AND s.name >= 'ess:' AND s.name < 'ess;' GROUP BY i.key",
            )?
            .query_map([], |r| r.get(0))?
            .collect()
        })
    }

    /// Reads one card whole over the connection that is kept for emergencies, and gives nothing of it but its size in bytes;
    /// `None` when it was replaced meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it cannot be read.
    pub fn probe_row(&self, row: i64) -> Result<Option<usize>, StoreError> {
        let stored = self.db.lines.read_reserved("reading a card", |c| {
            c.prepare_cached("SELECT body FROM item WHERE id = ?1")?
                .query_row([row], |r| r.get::<_, Vec<u8>>(0))
                .optional()
        })?;
        stored
            .map(|body| self.db.whole(&body).map(|b| b.len()))
            .transpose()
    }

    /// Patients whose card is here.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn patients(&self) -> Result<u64, StoreError> {
        self.db.lines.read("counting patients", patients)
    }
}

/// The synchronisation's side: no permit, nothing is shown.
impl Essentials {
    /// Lets go of what its connections hold of what was shown, when somebody leaves. It stays open.
    pub fn let_go(&self) {
        self.db.lines.let_go();
    }

    /// All scopes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Backend`]; so all below.
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
}

macro_rules! synchronised {
    ($name:ident) => {
        /// Writing, for the synchronisation alone.
        impl $name {
            /// Begins a snapshot beside what is shown; one under way is dropped.
            ///
            /// # Errors
            /// [`StoreError::Full`], [`StoreError::Damaged`], [`StoreError::Backend`]; so all below.
            pub fn begin(&self, scope: &str, epoch: &str, pos: u64, rev: u64) -> Result<(), StoreError> {
                self.db.begin(scope, epoch, pos, rev)
            }
            /// Writes part of a snapshot, in key order.
            ///
            /// # Errors
            /// As [`Self::begin`]; also when no snapshot is under way.
            pub fn stage(&self, scope: &str, items: &[Prepared]) -> Result<(), StoreError> {
                self.db.stage(scope, items)
            }
            /// Shows the snapshot, in one transaction.
            ///
            /// # Errors
            /// As [`Self::stage`].
            pub fn finish(&self, scope: &str, epoch: &str, pos: u64, rev: u64) -> Result<(), StoreError> {
                self.db.finish(scope, epoch, pos, rev)
            }
            /// Applies changes and sets position and revision in the same transaction.
            ///
            /// # Errors
            /// As [`Self::begin`]; also when nothing is held of the scope.
            pub fn apply(
                &self,
                scope: &str,
                items: &[Prepared],
                pos: u64,
                rev: u64,
            ) -> Result<(), StoreError> {
                self.db.apply(scope, items, pos, rev)
            }
            /// Notes the server time at which these scopes were complete up to these positions.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn seen(&self, scopes: &[(String, u64)], as_of: i64) -> Result<(), StoreError> {
                self.db.seen(scopes, as_of)
            }
            /// Drops a scope.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn forget(&self, scope: &str) -> Result<(), StoreError> {
                self.db.forget(scope)
            }
            /// Clears away items nothing shows any more; true while there are more.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn clear(&self, limit: usize) -> Result<bool, StoreError> {
                self.db.clear(limit)
            }
            /// All items of a scope without bodies.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn refs(&self, scope: &str) -> Result<Vec<ItemRefRow>, StoreError> {
                self.db.refs(scope)
            }
            /// Version here of an item.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn version(&self, scope: &str, key: &str) -> Result<Option<u64>, StoreError> {
                self.db.version(scope, key)
            }
            /// A note kept beside the scopes.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
                self.db.note(name)
            }
            /// Keeps a note.
            ///
            /// # Errors
            /// As [`Self::begin`].
            pub fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
                self.db.set_note(name, value)
            }
        }
    };
}
pub(super) use synchronised;
synchronised!(Essentials);

fn const_format_tables() -> &'static str {
    static SQL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SQL.get_or_init(|| format!("{TABLES}{INDEX}"))
}

fn subject<A: Action>(permit: &Permit<A>) -> Result<&PatientId, StoreError> {
    permit
        .patient()
        .ok_or_else(|| StoreError::WrongPatient("no patient".to_owned()))
}

pub(super) fn odd(e: &dyn std::fmt::Display) -> StoreError {
    StoreError::Backend {
        doing: "reading a key",
        cause: e.to_string(),
    }
}

pub(super) fn shown(kind: &str, patient: &PatientId, version: u64) -> Result<Disclosed, StoreError> {
    Ok(Disclosed {
        key: ResourceKey::new(kind, patient.as_str()).map_err(|e| odd(&e))?,
        version,
    })
}

/// The newest copy of a card among the scopes that hold it, still packed.
pub(super) fn card_row(c: &Connection, patient: &PatientId) -> rusqlite::Result<Option<CachedCard>> {
    c.prepare_cached(
        "SELECT i.ver, i.body, s.name, s.as_of FROM scope s JOIN item i ON i.content = s.live AND i.key = ?1
         WHERE s.live <> 0 AND s.name >= 'ess:' AND s.name < 'ess;' ORDER BY i.ver DESC, s.as_of DESC LIMIT 1",
    )?
    .query_row([patient.as_str()], |r| {
        Ok(CachedCard { version: u(r.get(0)?), body: r.get(1)?, scope: r.get(2)?, as_of: r.get(3)? })
    })
    .optional()
}

/// The site's essentials contain the ward's: the largest scope is the count, unless there is only the ward's. The
/// status strip asks every second, so the count is the one kept with the scope: no item is touched.
const PATIENTS: &str = "SELECT coalesce(max(k.items), 0) FROM scope s JOIN content k ON k.id = s.live
    WHERE s.name >= 'ess:' AND s.name < 'ess;'";

fn patients(c: &Connection) -> rusqlite::Result<u64> {
    c.prepare_cached(PATIENTS)?
        .query_row([], |r| r.get::<_, i64>(0))
        .map(u)
}

/// The FTS5 expression: `("a" OR "b"*) AND "c"`. Words are quoted, so nothing typed is ever syntax.
fn expression(groups: &[Vec<FindTerm>], prefixes: bool) -> String {
    let word = |t: &FindTerm| {
        let star = if prefixes && t.prefix { " *" } else { "" };
        format!("\"{}\"{star}", t.text.replace('"', ""))
    };
    let group = |g: &Vec<FindTerm>| format!("({})", g.iter().map(word).collect::<Vec<_>>().join(" OR "));
    groups.iter().map(group).collect::<Vec<_>>().join(" AND ")
}

/// Row ids of the newest copy of each patient that matches, whole matches first; at most `limit + 1`.
fn find(c: &Connection, expressions: &[&str], limit: usize) -> rusqlite::Result<(Vec<i64>, u64)> {
    let of = patients(c)?;
    let live = c
        .prepare_cached(LIVE_CARDS)?
        .query_map([], |r| r.get::<_, i64>(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut out: Vec<i64> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    if live.is_empty() {
        return Ok((out, of));
    }
    let marks = vec!["?"; live.len()].join(",");
    let sql = format!(
        "SELECT i.id, i.key FROM find JOIN item i ON i.id = find.rowid WHERE find MATCH ? AND i.content IN ({marks}) LIMIT ?"
    );
    // A patient may be in the ward's and in the site's essentials.
    let take = i64::try_from((limit + 1) * live.len()).unwrap_or(i64::MAX);
    for expression in expressions {
        if out.len() > limit || expression.is_empty() {
            break;
        }
        let mut values: Vec<rusqlite::types::Value> = vec![(*expression).to_owned().into()];
        values.extend(live.iter().map(|id| rusqlite::types::Value::from(*id)));
        // Those found whole come again among the beginnings.
        values.push((take.saturating_add(i64::try_from(seen.len()).unwrap_or(0))).into());
        let mut s = c.prepare_cached(&sql)?;
        let rows = s.query_map(params_from_iter(values), |r| {
            Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?))
        })?;
        for row in rows {
            let (id, key) = row?;
            if out.len() <= limit && seen.insert(key) {
                out.push(id);
            }
        }
    }
    Ok((out, of))
}

#[cfg(test)]
mod tests {
    use super::super::scopes::{Fold, Incoming};
    use super::*;
    use zeroize::Zeroizing;

    struct NoDigest;
    impl Fold for NoDigest {
        fn add(&mut self, _: &str, _: u64, _: &[u8; 16]) {}
        fn remove(&mut self, _: &str, _: u64, _: &[u8; 16]) {}
        fn to_bytes(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    fn opened() -> (tempfile::TempDir, Essentials) {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::new(Zeroizing::new([7; 32]));
        let e = Essentials::open(&dir.path().join("essentials.db"), &key, |_| Box::new(NoDigest)).unwrap();
        (dir, e)
    }

    fn items(keys: &[&str], body: Option<&str>) -> Vec<Prepared> {
        keys.iter()
            .map(|key| {
                Prepared::new(&Incoming {
                    key,
                    ver: 1,
                    version: None,
                    body: body.map(str::as_bytes),
                    terms: "",
                })
            })
            .collect()
    }

    fn snapshot(e: &Essentials, scope: &str, keys: &[&str]) {
        e.begin(scope, "epoch", 1, 0).unwrap();
        e.stage(scope, &items(keys, Some("{}"))).unwrap();
        e.finish(scope, "epoch", 1, 0).unwrap();
    }

    #[test]
    fn the_count_of_patients_follows_every_change() {
        let (_dir, e) = opened();
        assert_eq!(e.patients().unwrap(), 0);
        snapshot(&e, "ess:ED", &["a", "b", "c"]);
        snapshot(&e, "board:ED", &["a", "b", "c", "d", "e", "f"]);
        assert_eq!(e.patients().unwrap(), 3, "a board is no essentials");
        e.apply("ess:ED", &items(&["d"], Some("{}")), 2, 0).unwrap();
        assert_eq!(e.patients().unwrap(), 4, "one came");
        e.apply("ess:ED", &items(&["a", "d"], Some("{\"v\":2}")), 3, 0)
            .unwrap();
        assert_eq!(e.patients().unwrap(), 4, "those here changed");
        e.apply("ess:ED", &items(&["a", "b"], None), 4, 0).unwrap();
        assert_eq!(e.patients().unwrap(), 2, "two left");
        e.apply("ess:ED", &items(&["a", "never here"], None), 5, 0)
            .unwrap();
        assert_eq!(e.patients().unwrap(), 2, "who is not here cannot leave");

        e.begin("ess:site", "epoch", 6, 0).unwrap();
        e.stage("ess:site", &items(&["a", "b", "c", "d", "e"], Some("{}")))
            .unwrap();
        assert_eq!(e.patients().unwrap(), 2, "a snapshot under way is not shown");
        e.finish("ess:site", "epoch", 6, 0).unwrap();
        assert_eq!(e.patients().unwrap(), 5, "the site's contain the ward's");
        e.forget("ess:site").unwrap();
        assert_eq!(e.patients().unwrap(), 2);
    }

    #[test]
    fn words_are_made_anew_where_the_rules_are_others() {
        let (_dir, e) = opened();
        let card = Incoming {
            key: "a",
            ver: 1,
            version: None,
            body: Some(br#"{"bed": "ED-07"}"#),
            terms: "nmary",
        };
        e.begin("ess:ED", "epoch", 1, 0).unwrap();
        let many: Vec<String> = (0..450).map(|n| format!("p{n}")).collect();
        let keys: Vec<&str> = many.iter().map(String::as_str).collect();
        e.stage("ess:ED", &items(&keys, Some("{}"))).unwrap();
        e.stage("ess:ED", &[Prepared::new(&card)]).unwrap();
        e.finish("ess:ED", "epoch", 1, 0).unwrap();
        snapshot(&e, "board:ED", &["b"]);
        let words = |body: &[u8]| {
            if body == b"{}" {
                String::new()
            } else {
                "nmary b7".to_owned()
            }
        };
        assert!(e.by_term("b7").unwrap().is_empty());
        assert_eq!(e.reindex("2", words).unwrap(), 451, "of cards alone");
        let found = |term: &str| -> Vec<String> {
            let all = e.by_term(term).unwrap();
            all.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            (found("b7"), found("nmary")),
            (vec!["a".to_owned()], vec!["a".to_owned()])
        );
        assert_eq!(e.reindex("2", words).unwrap(), 0, "once");
        // What came since, and goes, is counted as ever.
        e.apply("ess:ED", &items(&["a"], None), 2, 0).unwrap();
        assert!(found("b7").is_empty());
        assert_eq!(e.patients().unwrap(), 450);
    }

    #[test]
    fn counting_patients_touches_no_item() {
        let (_dir, e) = opened();
        let plan = e.db.lines.read("reading the plan", |c| {
            let mut s = c.prepare(&format!("EXPLAIN QUERY PLAN {PATIENTS}"))?;
            let steps = s.query_map([], |r| r.get::<_, String>("detail"))?;
            steps.collect::<rusqlite::Result<Vec<_>>>()
        });
        let plan = plan.unwrap();
        assert_eq!(plan.len(), 2, "{plan:?}");
        assert!(
            plan.iter()
                .any(|step| step.starts_with("SEARCH s USING PRIMARY KEY")),
            "{plan:?}"
        );
        assert!(
            plan.iter()
                .any(|step| step.starts_with("SEARCH k USING INTEGER PRIMARY KEY")),
            "{plan:?}"
        );
    }
}
