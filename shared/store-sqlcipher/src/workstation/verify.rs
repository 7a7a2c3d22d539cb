//! Whether what is stored is whole: every page, every item against its hash, every scope against its digest and count,
//! and whether the search index names every item that is to be found.
//!
//! Reads bodies and gives none of them away, so there is no permit. Never here: what to do about a fault (the caller
//! fetches the scope anew), when to look.

use super::essentials::Essentials;
use super::records::Records;
use super::scopes::{Scopes, hash16, unpack};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use vitrine_store::StoreError;

/// Items read between two looks at whether to go on.
const STEP: u64 = 64;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Items read whole.
    pub items: u64,
    /// One sentence for each page or table that does not hold; empty = all do.
    pub pages: Vec<String>,
    /// Scopes that are not whole.
    pub scopes: Vec<ScopeFault>,
}

impl Verified {
    /// Nothing is wrong.
    #[must_use]
    pub const fn whole(&self) -> bool {
        self.pages.is_empty() && self.scopes.is_empty()
    }
}

/// What is wrong with a scope. At least one of them is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeFault {
    /// Its name.
    pub scope: String,
    /// Items whose body is not what its hash says.
    pub damaged: u64,
    /// Items that a search would not find.
    pub unfindable: u64,
    /// The items are not those its digest or its count speaks of.
    pub differs: bool,
    /// It could not be read to its end.
    pub unreadable: bool,
}

impl ScopeFault {
    const fn any(&self) -> bool {
        self.damaged > 0 || self.unfindable > 0 || self.differs || self.unreadable
    }
}

impl Essentials {
    /// Checks everything here. `go_on` is told how many items were read so far, and says whether to go on.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when it was told to stop; [`StoreError::Damaged`] when not even the list of scopes can be
    /// read; [`StoreError::Backend`].
    pub fn verify(&self, go_on: &dyn Fn(u64) -> bool) -> Result<Verified, StoreError> {
        verify(&self.db, go_on)
    }
}

impl Records {
    /// As [`Essentials::verify`], of the records of this user.
    ///
    /// # Errors
    /// As there.
    pub fn verify(&self, go_on: &dyn Fn(u64) -> bool) -> Result<Verified, StoreError> {
        verify(&self.db, go_on)
    }
}

fn verify(db: &Scopes, go_on: &dyn Fn(u64) -> bool) -> Result<Verified, StoreError> {
    let mut found = Verified {
        pages: pages(db)?,
        ..Verified::default()
    };
    for state in db.states(None)?.into_iter().filter(|s| s.complete) {
        // Each on a connection of its own: after a page that does not hold, one reads nothing more.
        let before = found.items;
        let looked = db.lines.read_aside(|c| {
            scope(db, c, &state.name, &|n| go_on(before + n)).map_err(|e| match e {
                Stop::Told => StoreError::Closed,
                Stop::Read(e) => db.lines.fault("checking a scope")(e),
            })
        });
        match looked {
            Ok((items, fault)) => {
                found.items += items;
                found.scopes.extend(Some(fault).filter(ScopeFault::any));
            }
            Err(StoreError::Damaged(_)) => found.scopes.push(ScopeFault {
                scope: state.name,
                unreadable: true,
                ..ScopeFault::default()
            }),
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// A page that is moved from the log into the file while it is read may look damaged once; not twice.
fn pages(db: &Scopes) -> Result<Vec<String>, StoreError> {
    let once = || {
        db.lines.read_aside(|c| {
            let lines = |sql: &str| -> rusqlite::Result<Vec<String>> {
                c.prepare(sql)?.query_map([], |r| r.get(0))?.collect()
            };
            let mut faults =
                lines("PRAGMA cipher_integrity_check").map_err(db.lines.fault("checking the pages"))?;
            match lines("PRAGMA integrity_check(20)") {
                Ok(tables) => faults.extend(tables.into_iter().filter(|line| line != "ok")),
                Err(e) => faults.push(e.to_string()),
            }
            Ok(faults.into_iter().collect::<BTreeSet<_>>())
        })
    };
    let first = once()?;
    if first.is_empty() {
        return Ok(Vec::new());
    }
    let again = once()?;
    Ok(first.intersection(&again).cloned().collect())
}

enum Stop {
    Told,
    Read(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(e: rusqlite::Error) -> Self {
        Self::Read(e)
    }
}

fn scope(
    db: &Scopes,
    c: &Connection,
    name: &str,
    go_on: &dyn Fn(u64) -> bool,
) -> Result<(u64, ScopeFault), Stop> {
    // One moment for the items, their count and their digest.
    let t = c.unchecked_transaction()?;
    let (live, count, digest): (i64, u64, Vec<u8>) = t.query_row(
        "SELECT s.live, l.items, l.digest FROM scope s JOIN content l ON l.id = s.live WHERE s.name = ?1",
        [name],
        |r| {
            Ok((
                r.get(0)?,
                u64::try_from(r.get::<_, i64>(1)?).unwrap_or(0),
                r.get(2)?,
            ))
        },
    )?;
    let mut fault = ScopeFault {
        scope: name.to_owned(),
        ..ScopeFault::default()
    };
    let mut fold = db.empty_fold();
    let mut items = 0_u64;
    let mut read = t.prepare("SELECT key, ver, hash, body FROM item WHERE content = ?1 ORDER BY key")?;
    let mut rows = read.query([live])?;
    while let Some(r) = rows.next()? {
        let (key, ver, hash): (String, i64, [u8; 16]) = (r.get(0)?, r.get(1)?, r.get(2)?);
        let body: Vec<u8> = r.get(3)?;
        if unpack(&body).is_none_or(|b| hash16(&b) != hash) {
            fault.damaged += 1;
        }
        fold.add(&key, u64::try_from(ver).unwrap_or(0), &hash);
        items += 1;
        if items.is_multiple_of(STEP) && !go_on(items) {
            return Err(Stop::Told);
        }
    }
    fault.differs = items != count || fold.to_bytes() != db.normal(&digest);
    if db.searchable() {
        let lost: i64 = t.query_row(
            "SELECT count(*) FROM item WHERE content = ?1 AND found <> 0 AND id NOT IN (SELECT id FROM find_docsize)",
            params![live],
            |r| r.get(0),
        )?;
        fault.unfindable = u64::try_from(lost).unwrap_or(0);
    }
    if !go_on(items) {
        return Err(Stop::Told);
    }
    Ok((items, fault))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::cipher::Key;
    use crate::workstation::{Fold, Incoming, Prepared};
    use zeroize::Zeroizing;

    /// A sum stands for the wire's digest: it sees what was added or taken.
    struct Sum(u64);

    impl Sum {
        fn of(key: &str, ver: u64, hash: &[u8; 16]) -> u64 {
            let words = [key.as_bytes(), &ver.to_be_bytes(), hash].concat();
            u64::from_be_bytes(hash16(&words)[..8].try_into().unwrap_or_default())
        }
    }

    impl Fold for Sum {
        fn add(&mut self, key: &str, ver: u64, hash: &[u8; 16]) {
            self.0 = self.0.wrapping_add(Self::of(key, ver, hash));
        }
        fn remove(&mut self, key: &str, ver: u64, hash: &[u8; 16]) {
            self.0 = self.0.wrapping_sub(Self::of(key, ver, hash));
        }
        fn to_bytes(&self) -> Vec<u8> {
            self.0.to_be_bytes().to_vec()
        }
    }

    fn sum(kept: &[u8]) -> Box<dyn Fold> {
        Box::new(Sum(kept.try_into().map_or(0, u64::from_be_bytes)))
    }

    const ON: fn(u64) -> bool = |_| true;
    const CARDS: u64 = 200;

    fn open(path: &std::path::Path) -> Essentials {
        Essentials::open(path, &Key::new(Zeroizing::new([7; 32])), sum).unwrap()
    }

    /// Two scopes: cards that can be found, and a list that cannot.
    fn filled(path: &std::path::Path) -> Essentials {
        let e = open(path);
        for (scope, n) in [("ess:ED", CARDS), ("dir", 3)] {
            e.begin(scope, "e", 1, 0).unwrap();
            let items: Vec<_> = (0..n)
                .map(|i| {
                    let body = format!("{{\"n\":{i},\"text\":\"{}\"}}", noise(i));
                    let key = format!("p{i:03}");
                    Prepared::new(&Incoming {
                        key: &key,
                        ver: i + 1,
                        version: None,
                        body: Some(body.as_bytes()),
                        terms: if scope == "dir" { "" } else { "nsmith" },
                    })
                })
                .collect();
            e.stage(scope, &items).unwrap();
            e.finish(scope, "e", 1, 0).unwrap();
        }
        e
    }

    /// What does not become small, so that the cards lie on many pages.
    fn noise(i: u64) -> String {
        let of = |n: u64| blake3::hash(&[i.to_be_bytes(), n.to_be_bytes()].concat());
        (0..12).map(|n| of(n).to_hex().to_string()).collect()
    }

    #[test]
    fn what_is_whole_is_counted_and_nothing_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let e = filled(&dir.path().join("e.db"));
        let found = e.verify(&ON).unwrap();
        assert_eq!((found.items, found.whole()), (CARDS + 3, true), "{found:?}");
        // A later change keeps it so.
        let change = Prepared::new(&Incoming {
            key: "p001",
            ver: 9,
            version: None,
            body: None,
            terms: "",
        });
        e.apply("ess:ED", &[change], 2, 0).unwrap();
        let found = e.verify(&ON).unwrap();
        assert_eq!((found.items, found.whole()), (CARDS + 2, true), "{found:?}");
    }

    #[test]
    fn what_is_not_whole_is_named_for_what_it_is() {
        let of = |damaged, unfindable, differs| ScopeFault {
            scope: "ess:ED".to_owned(),
            damaged,
            unfindable,
            differs,
            unreadable: false,
        };
        let one = "content = (SELECT live FROM scope WHERE name = 'ess:ED') AND key = 'p007'";
        for (sql, fault) in [
            (format!("UPDATE item SET body = x'7b7d' WHERE {one}"), of(1, 0, false)),
            (format!("UPDATE item SET body = x'28b52ffd00' WHERE {one}"), of(1, 0, false)),
            (format!("UPDATE item SET ver = ver + 1 WHERE {one}"), of(0, 0, true)),
            (format!("DELETE FROM find WHERE rowid = (SELECT id FROM item WHERE {one})"), of(0, 1, false)),
            (format!("DELETE FROM item WHERE {one}"), of(0, 0, true)),
            ("UPDATE content SET items = items + 1 WHERE id = (SELECT live FROM scope WHERE name = 'ess:ED')".to_owned(), of(0, 0, true)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let e = filled(&dir.path().join("e.db"));
            e.db.lines
                .write("tampering", |t| {
                    t.execute(&sql, []).map_err(e.db.lines.fault("tampering"))
                })
                .unwrap();
            let found = e.verify(&ON).unwrap();
            assert_eq!(found.scopes, vec![fault], "{sql}: {found:?}");
            assert!(!found.whole());
        }
    }

    #[test]
    fn a_page_that_does_not_hold_is_found_and_the_other_scopes_are_still_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.db");
        drop(filled(&path));
        let whole = std::fs::read(&path).unwrap();
        let (mut pages, mut read) = (0, 0);
        for page in (2..whole.len() / 4096).step_by(5) {
            let mut bytes = whole.clone();
            bytes[page * 4096 + 100] ^= 0x40;
            std::fs::write(&path, bytes).unwrap();
            let Ok(e) = Essentials::open(&path, &Key::new(Zeroizing::new([7; 32])), sum) else {
                continue;
            };
            let Ok(found) = e.verify(&ON) else { continue };
            assert!(!found.pages.is_empty(), "page {page}: {found:?}");
            pages += 1;
            if found.scopes.iter().any(|s| s.unreadable) && found.items > 0 {
                read += 1;
            }
        }
        assert!(
            pages > 2 && read > 0,
            "{pages} found, beside {read} something was read"
        );
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let e = filled(&dir.path().join("e.db"));
        assert!(matches!(e.verify(&|n| n < 100), Err(StoreError::Closed)));
    }
}
