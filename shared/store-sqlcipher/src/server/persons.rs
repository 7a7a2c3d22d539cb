//! Writing the search index: once per group of commits, after everything else.
//!
//! Problem: FTS5 writes out what it has gathered whenever a savepoint or a statement with triggers begins, so that one
//! patient's few words cost a segment of their own. Decision: the changes of a group are gathered here and written
//! when nothing but the COMMIT follows.

use super::prepare::Words;
use super::sql::{During, run};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use vitrine_store::StoreError;

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
        if let Some(w) = words {
            let sql = "INSERT INTO person (rowid, names, whole) VALUES (?1, ?2, ?3)";
            run(conn, sql, params![pid, w.names, w.whole]).during(DOING)?;
        }
    }
    Ok(())
}

/// Writes the index anew without what it has forgotten: a deletion alone leaves the words in its segments.
pub(super) fn purge(conn: &Connection) -> Result<(), StoreError> {
    run(conn, "INSERT INTO person (person) VALUES ('optimize')", [])
        .during("purging the search index")
        .map(|_| ())
}
