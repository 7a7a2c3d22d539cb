//! The index by which rows of the audit log are found.
//!
//! Lives here: its entries, written with each row in the same transaction, and reading along them. Never here: what is
//! asked for (`vitrine_store::audit_find`), the chains themselves (`audit`). Called by `audit` and `charts` (catch-up).
//!
//! An entry is (term, time, place), place = chain · 2^40 + number. A list of one term in the order of time and place is
//! read backwards; several terms are met by seeking in each list for the newest place that all of them have.

use super::audit::{device_heads, head_of};
use super::body;
use super::sql::{During, all, int, one, run, uint};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{HashMap, HashSet, VecDeque};
use vitrine_access::AuditEntry;
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;
use vitrine_store::audit_find::{self, AuditFound, AuditQuery, FoundRow, Term, terms_of, unknown_place};

const INDEXING: &str = "indexing an audit row";
const FINDING: &str = "finding audit rows";
const CATCHING_UP: &str = "taking audit rows into their index";
/// Bits of a place that number the row in its chain.
const SEQ_BITS: u32 = 40;
/// Entries of a list read at once.
const CHUNK: usize = 128;

/// The number of the server's own chain.
pub(super) const SERVER: i64 = 0;

const fn place(chain: i64, seq: i64) -> i64 {
    (chain << SEQ_BITS) | seq
}

/// The number of a chain, given when it is first seen.
pub(super) fn chain_no(conn: &Connection, name: &str) -> Result<i64, StoreError> {
    let sql = "SELECT no FROM audit_chain WHERE name = ?1";
    if let Some(no) = one(conn, sql, [name], |r| r.get(0)).during(INDEXING)? {
        return Ok(no);
    }
    run(
        conn,
        "INSERT INTO audit_chain (name, upto) VALUES (?1, 0)",
        [name],
    )
    .during(INDEXING)?;
    Ok(conn.last_insert_rowid())
}

/// Writes the entries of one row. `acts`: terms of acts that are known to be in their table.
pub(super) fn index(
    conn: &Connection,
    acts: &mut HashSet<i32>,
    chain: i64,
    seq: u64,
    at: UtcMs,
    entry: Option<&AuditEntry>,
) -> Result<(), StoreError> {
    let place = place(chain, int(seq));
    for term in terms_of(entry) {
        let number = term.number();
        if matches!(term, Term::Action(_)) && acts.insert(number) {
            let sql = "INSERT INTO audit_action (term) VALUES (?1) ON CONFLICT DO NOTHING";
            run(conn, sql, [number]).during(INDEXING)?;
        }
        let sql = "INSERT INTO audit_find (term, at, place) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        run(conn, sql, params![number, at.0, place]).during(INDEXING)?;
    }
    Ok(())
}

/// Notes that the rows after `before` up to `upto` are in the index, when everything before them is.
pub(super) fn indexed(conn: &Connection, chain: i64, before: u64, upto: u64) -> Result<(), StoreError> {
    if upto > before {
        let sql = "UPDATE audit_chain SET upto = ?3 WHERE no = ?1 AND upto = ?2";
        run(conn, sql, params![chain, int(before), int(upto)]).during(INDEXING)?;
    }
    Ok(())
}

/// Chains that have rows outside the index: name, rows in the index, rows.
fn behind(conn: &Connection) -> Result<Vec<(String, u64, u64)>, StoreError> {
    let known: HashMap<String, u64> = all(conn, "SELECT name, upto FROM audit_chain", [], |r| {
        Ok((r.get(0)?, uint(r.get(1)?)))
    })
    .during(CATCHING_UP)?
    .into_iter()
    .collect();
    let mut heads = vec![("server".to_owned(), head_of(conn)?)];
    heads.extend(device_heads(conn)?);
    let behind = heads.into_iter().filter_map(|(name, head)| {
        let upto = known.get(&name).copied().unwrap_or(0);
        (upto < head.seq).then_some((name, upto, head.seq))
    });
    Ok(behind.collect())
}

/// Rows that are not in the index yet.
pub(super) fn due(conn: &Connection) -> Result<u64, StoreError> {
    Ok(behind(conn)?.iter().map(|(_, upto, seq)| seq - upto).sum())
}

/// Takes in at most so many rows; gives how many are left.
pub(super) fn catch_up(conn: &Connection, most: usize) -> Result<u64, StoreError> {
    let mut acts = HashSet::new();
    let mut room = most;
    for (name, upto, last) in behind(conn)? {
        if room == 0 {
            break;
        }
        let chain = chain_no(conn, &name)?;
        let rows = bodies(conn, &name, upto, room)?;
        room -= rows.len();
        // Rows that are not there cannot be taken in: verifying names them.
        let done = rows.last().map_or(last, |(seq, _)| *seq);
        for (seq, packed) in rows {
            let (entry, at) = read(&packed);
            index(conn, &mut acts, chain, seq, at, entry.as_ref())?;
        }
        run(
            conn,
            "UPDATE audit_chain SET upto = ?2 WHERE no = ?1",
            params![chain, int(done)],
        )
        .during(CATCHING_UP)?;
    }
    due(conn)
}

fn bodies(
    conn: &Connection,
    chain: &str,
    after: u64,
    most: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let row = |r: &rusqlite::Row<'_>| Ok((uint(r.get(0)?), r.get::<_, Vec<u8>>(1).unwrap_or_default()));
    if chain == "server" {
        let sql = "SELECT seq, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        all(conn, sql, params![int(after), most], row).during(CATCHING_UP)
    } else {
        let sql = "SELECT seq, body FROM device_audit WHERE device = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        all(conn, sql, params![chain, int(after), most], row).during(CATCHING_UP)
    }
}

/// What a packed body says. One that does not unpack says nothing.
fn read(packed: &[u8]) -> (Option<AuditEntry>, UtcMs) {
    audit_find::read(&body::unpack(packed).unwrap_or_default())
}

/// Time and place of an entry.
type At = (i64, i64);

/// The entries of one term, newest first.
struct List {
    term: i32,
    read: VecDeque<At>,
    /// Where reading goes on; `None` = everything was read.
    below: Option<At>,
    from: i64,
}

impl List {
    fn peek(&mut self, conn: &Connection) -> Result<Option<At>, StoreError> {
        if self.read.is_empty()
            && let Some(below) = self.below
        {
            let some = entries(conn, self.term, below, self.from, CHUNK)?;
            self.below = (some.len() == CHUNK).then(|| some.last().copied()).flatten();
            self.read.extend(some);
        }
        Ok(self.read.front().copied())
    }
}

fn entries(conn: &Connection, term: i32, below: At, from: i64, most: usize) -> Result<Vec<At>, StoreError> {
    let sql = "SELECT at, place FROM audit_find
                WHERE term = ?1 AND (at, place) < (?2, ?3) AND at >= ?4 ORDER BY at DESC, place DESC LIMIT ?5";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    all(conn, sql, params![term, below.0, below.1, from, most], |r| {
        Ok((r.get(0)?, r.get(1)?))
    })
    .during(FINDING)
}

/// What is read along.
enum Walk {
    /// Rows that are in any of these lists: each is in exactly one.
    Any(Vec<List>),
    /// Rows that are in all of these lists.
    All { terms: Vec<i32>, below: At, from: i64 },
}

impl Walk {
    fn next(&mut self, conn: &Connection) -> Result<Option<At>, StoreError> {
        match self {
            Self::Any(lists) => {
                let mut best: Option<(At, usize)> = None;
                for (n, list) in lists.iter_mut().enumerate() {
                    if let Some(at) = list.peek(conn)? {
                        best = best.max(Some((at, n)));
                    }
                }
                let Some((at, _)) = best else { return Ok(None) };
                // A row is in one list; were it in two, it would be given once all the same.
                lists.iter_mut().for_each(|l| {
                    l.read.pop_front_if(|a| *a == at);
                });
                Ok(Some(at))
            }
            Self::All { terms, below, from } => {
                let mut met = 0;
                let mut turn = 0;
                let mut candidate = None;
                while met < terms.len() {
                    let Some(found) = entries(conn, terms[turn], *below, *from, 1)?.pop() else {
                        return Ok(None);
                    };
                    met = if candidate == Some(found) { met + 1 } else { 1 };
                    candidate = Some(found);
                    // The next list is asked for this place or an older one.
                    *below = (found.0, found.1.saturating_add(1));
                    turn = (turn + 1) % terms.len();
                }
                if let Some(found) = candidate {
                    *below = found;
                }
                Ok(candidate)
            }
        }
    }
}

/// Finds rows; refused while the index does not hold every row.
pub(super) fn find(conn: &Connection, query: &AuditQuery) -> Result<AuditFound, StoreError> {
    let limit = query.checked_limit()?;
    let left = due(conn)?;
    if left > 0 {
        return Err(StoreError::NotFoundYet { left });
    }
    let chains: HashMap<i64, String> = all(conn, "SELECT no, name FROM audit_chain", [], |r| {
        Ok((r.get(0)?, r.get(1)?))
    })
    .during(FINDING)?
    .into_iter()
    .collect();
    let mut below = query.until.map_or((i64::MAX, i64::MAX), |u| (u.0, i64::MIN));
    if let Some(c) = &query.before {
        let no = chains
            .iter()
            .find(|(_, name)| **name == c.chain)
            .map(|(no, _)| *no);
        let no = no.ok_or_else(|| unknown_place(c))?;
        below = below.min((c.at.0, place(no, int(c.seq))));
    }
    let from = query.from.map_or(i64::MIN, |f| f.0);
    let terms: Vec<i32> = query.terms().iter().map(Term::number).collect();
    let list = |term: i32| List {
        term,
        read: VecDeque::new(),
        below: Some(below),
        from,
    };
    let mut walk = match terms.as_slice() {
        [] => {
            let acts = all(conn, "SELECT term FROM audit_action", [], |r| r.get(0)).during(FINDING)?;
            Walk::Any(acts.into_iter().map(list).collect())
        }
        [one] => Walk::Any(vec![list(*one)]),
        _ => Walk::All { terms, below, from },
    };
    let mut out = AuditFound::default();
    while let Some((at, place)) = walk.next(conn)? {
        let (chain, seq) = (place >> SEQ_BITS, place & ((1 << SEQ_BITS) - 1));
        let name = chains.get(&chain).map_or("", String::as_str);
        let (entry, said) = body_at(conn, name, seq)?;
        // The row's own words decide; one that cannot be read is named as the index has it.
        if entry.as_ref().is_some_and(|e| !query.fits(e) || said.0 != at) {
            continue;
        }
        if out.rows.len() == limit {
            out.next = out.rows.last().map(FoundRow::cursor);
            break;
        }
        out.rows.push(FoundRow {
            chain: name.to_owned(),
            seq: uint(seq),
            at: UtcMs(at),
            entry,
        });
    }
    Ok(out)
}

fn body_at(conn: &Connection, chain: &str, seq: i64) -> Result<(Option<AuditEntry>, UtcMs), StoreError> {
    let packed: rusqlite::Result<Option<Vec<u8>>> = if chain == "server" {
        conn.prepare_cached("SELECT body FROM audit WHERE seq = ?1")
            .and_then(|mut s| s.query_row([seq], |r| r.get(0)).optional())
    } else {
        conn.prepare_cached("SELECT body FROM device_audit WHERE device = ?1 AND seq = ?2")
            .and_then(|mut s| s.query_row(params![chain, seq], |r| r.get(0)).optional())
    };
    Ok(read(&packed.during(FINDING)?.unwrap_or_default()))
}
