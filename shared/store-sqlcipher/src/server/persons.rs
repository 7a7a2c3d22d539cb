//! Writing the search index: once per group of commits, after everything else; and taking in whoever an older program
//! wrote.
//!
//! Problem: FTS5 writes out what it has gathered whenever a savepoint or a statement with triggers begins, so that one
//! patient's few words cost a segment of their own. Decision: the changes of a group are gathered here and written
//! when nothing but the COMMIT follows.

use super::prepare::{Words, current};
use super::sql::{During, all, one, run, uint};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use vitrine_clinical::ResourceKey;
use vitrine_store::pack::Packs;
use vitrine_store::{Projector, StoreError};

/// A patient's number, and the words to find it by; `None` forgets those there are.
pub(super) type PersonChange = (i64, Option<Words>);

/// Writes the changes, in order of the patients' numbers: FTS5 writes out early when they fall.
pub(super) fn write(conn: &Connection, changes: Vec<PersonChange>) -> Result<(), StoreError> {
    const DOING: &str = "writing the search index";
    // Per patient: whether the index held words before the first change, and what it is to hold after the last.
    let mut last: BTreeMap<i64, (bool, Option<Words>)> = BTreeMap::new();
    for (pid, words) in changes {
        let held = words.is_none();
        last.entry(pid).or_insert((held, None)).1 = words;
    }
    for (pid, (held, words)) in last {
        if held {
            run(conn, "DELETE FROM person WHERE rowid = ?1", [pid]).during(DOING)?;
        }
        put_sounds(conn, pid, words.as_ref())?;
        if let Some(w) = words {
            let sql = "INSERT INTO person (rowid, names, whole) VALUES (?1, ?2, ?3)";
            run(conn, sql, params![pid, w.names, w.whole]).during(DOING)?;
        }
    }
    Ok(())
}

/// How a person's names sound, in place of what was there.
fn put_sounds(conn: &Connection, pid: i64, words: Option<&Words>) -> Result<(), StoreError> {
    const DOING: &str = "writing how names sound";
    run(conn, "DELETE FROM sound WHERE pid = ?1", [pid]).during(DOING)?;
    for code in words.iter().flat_map(|w| &w.sounds) {
        let sql = "INSERT INTO sound (code, pid) VALUES (?1, ?2)";
        run(conn, sql, params![code, pid]).during(DOING)?;
    }
    run(conn, "DELETE FROM sound_due WHERE pid = ?1", [pid])
        .during(DOING)
        .map(|_| ())
}

/// People whose sounds are not in the index yet.
pub(super) fn due(conn: &Connection) -> Result<u64, StoreError> {
    let n = one(conn, "SELECT count(*) FROM sound_due", [], |r| r.get(0));
    Ok(uint(
        n.during("looking whether everybody is indexed")?.unwrap_or(0),
    ))
}

/// Takes in at most so many of those who are due, from their Patient resources; gives how many are left.
pub(super) fn catch_up(
    conn: &Connection,
    packs: &Packs,
    projector: &dyn Projector,
    most: usize,
) -> Result<u64, StoreError> {
    const DOING: &str = "taking people into the search index";
    let sql = "SELECT d.pid, p.id FROM sound_due d JOIN patient p USING (pid) ORDER BY d.pid LIMIT ?1";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let found = all(conn, sql, [most], |r| {
        Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?))
    });
    for (pid, id) in found.during(DOING)? {
        let damaged = || {
            StoreError::Damaged(format!(
                "the Patient resource of pid {pid} in the server's database"
            ))
        };
        let key = ResourceKey::new("Patient", &id).map_err(|_| damaged())?;
        let words = match current(conn, Some(packs), &key)? {
            None => None,
            Some((_, body)) => {
                let mut lookup = |k: &ResourceKey| current(conn, Some(packs), k).ok().flatten();
                let extract = projector
                    .extract(&key, &body, &mut lookup)
                    .map_err(|_| damaged())?;
                extract.person.as_ref().map(Words::of)
            }
        };
        put_sounds(conn, pid, words.as_ref())?;
    }
    due(conn)
}

/// Writes the index anew without what it has forgotten: a deletion alone leaves the words in its segments.
pub(super) fn purge(conn: &Connection) -> Result<(), StoreError> {
    run(conn, "INSERT INTO person (person) VALUES ('optimize')", [])
        .during("purging the search index")
        .map(|_| ())
}
