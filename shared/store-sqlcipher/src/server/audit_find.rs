//! The index by which rows of the audit log are found.
//!
//! Lives here: its entries, written with each row in the same transaction, and reading along them. Never here: what is
//! asked for (`vitrine_store::audit_find`), the chains themselves (`audit`). Called by `audit` and `charts` (catch-up).
//!
//! An entry is (term, time, place), place = chain · 2^40 + number. The entries of a term lie in blocks: the oldest of a
//! block in the columns, in `more` what follows it, each by what it differs from the one before. Blocks of a term do not
//! overlap. A list of one term in the order of time and place is read backwards; several terms are met by seeking in each
//! list for the newest place that all of them have.

use super::audit::{device_heads, head_of};
use super::audit_rows::Reading;
use super::sql::{During, all, int, one, run, uint};
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use vitrine_access::AuditEntry;
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;
use vitrine_store::audit_find::{AuditFound, AuditQuery, FoundRow, Term, terms_of, unknown_place};
use vitrine_store::audit_pack::{Reader, put_number, put_signed};

const INDEXING: &str = "indexing an audit row";
const FINDING: &str = "finding audit rows";
const VERIFYING: &str = "verifying the index of the audit log";
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

/// An entry to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Entry {
    term: i32,
    at: At,
}

/// Makes the entries of one row. `acts`: terms of acts that are known to be in their table.
pub(super) fn index(
    conn: &Connection,
    acts: &mut HashSet<i32>,
    entries: &mut Vec<Entry>,
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
        entries.push(Entry {
            term: number,
            at: (at.0, place),
        });
    }
    Ok(())
}

/// Forgets the entries of rows of the server's own chain that were not written after all.
pub(super) fn undo(entries: &mut Vec<Entry>, seq: u64) {
    entries.retain(|e| e.at.1 <= place(SERVER, int(seq)));
}

/// Bytes of a block beside its oldest entry, at most.
const BLOCK: usize = 220;

/// Writes entries, each block once.
pub(super) fn write(conn: &Connection, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
    entries.sort_unstable();
    entries.dedup();
    let mut left = entries.as_slice();
    while let Some(first) = left.first() {
        let term = first.term;
        // The block that the first of them belongs into, and where the next one begins.
        let mine = "SELECT at, place, more FROM audit_find WHERE term = ?1 AND (at, place) <= (?2, ?3)
                     ORDER BY at DESC, place DESC LIMIT 1";
        let block = one(conn, mine, params![term, first.at.0, first.at.1], block).during(INDEXING)?;
        let next = "SELECT at, place FROM audit_find WHERE term = ?1 AND (at, place) > (?2, ?3) ORDER BY at, place LIMIT 1";
        let next: Option<At> = one(conn, next, params![term, first.at.0, first.at.1], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .during(INDEXING)?;
        let fits = |e: &&Entry| e.term == term && next.is_none_or(|n| e.at < n);
        let some = left.iter().take_while(fits).count();
        let new = left[..some].iter().map(|e| e.at);
        left = &left[some..];
        let (held, mut all) = match block {
            Some(block) => (Some(block.oldest), block.entries()),
            None => (None, Vec::new()),
        };
        let before = all.len();
        let appended = all.last().is_none_or(|last| *last < first.at);
        all.extend(new);
        if !appended {
            all.sort_unstable();
            all.dedup();
        }
        if all.len() > before {
            put(conn, term, held, &all, appended)?;
        }
    }
    entries.clear();
    Ok(())
}

/// Writes the entries of a block that began with `held`, as several when they are too many: full ones at the end of a
/// list, where nothing comes between any more, halves within.
fn put(
    conn: &Connection,
    term: i32,
    held: Option<At>,
    entries: &[At],
    appended: bool,
) -> Result<(), StoreError> {
    let room = if appended || following(entries).len() <= BLOCK {
        BLOCK
    } else {
        BLOCK / 2
    };
    let mut left = entries;
    while let Some(oldest) = left.first() {
        let (more, taken) = packed(left, room);
        left = &left[taken..];
        if held == Some(*oldest) {
            let sql = "UPDATE audit_find SET more = ?4 WHERE term = ?1 AND at = ?2 AND place = ?3";
            run(conn, sql, params![term, oldest.0, oldest.1, more]).during(INDEXING)?;
        } else {
            let sql = "INSERT INTO audit_find (term, at, place, more) VALUES (?1, ?2, ?3, ?4)";
            run(conn, sql, params![term, oldest.0, oldest.1, more]).during(INDEXING)?;
        }
    }
    Ok(())
}

/// One block as it lies there.
struct Block {
    oldest: At,
    more: Option<Vec<u8>>,
}

fn block(r: &rusqlite::Row<'_>) -> rusqlite::Result<Block> {
    Ok(Block {
        oldest: (r.get(0)?, r.get(1)?),
        // What is not of the right type holds nothing: verifying the index names the rows.
        more: r.get(2).unwrap_or_default(),
    })
}

impl Block {
    /// Its entries, oldest first. A damaged block gives those before the damage.
    fn entries(&self) -> Vec<At> {
        self.read().0
    }

    /// The same, and whether it could be read to its end.
    fn read(&self) -> (Vec<At>, bool) {
        let mut out = vec![self.oldest];
        let mut r = Reader(self.more.as_deref().unwrap_or_default());
        let mut last = self.oldest;
        while !r.0.is_empty() {
            let Some(next) = step(&mut r, last) else {
                return (out, false);
            };
            out.push(next);
            last = next;
        }
        (out, true)
    }
}

/// The entry after `last`: how much later · 2, then what its number differs by; or · 2 + 1, then its chain and its number.
fn step(r: &mut Reader<'_>, last: At) -> Option<At> {
    let head = r.number()?;
    let at = last.0.checked_add_unsigned(head >> 1)?;
    let next = if head & 1 == 0 {
        (at, last.1.checked_add(r.signed()?)?)
    } else {
        let (chain, seq) = (i64::try_from(r.number()?).ok()?, i64::try_from(r.number()?).ok()?);
        let whole = chain < 1 << (62 - SEQ_BITS) && seq < 1 << SEQ_BITS;
        (at, whole.then(|| place(chain, seq))?)
    };
    (next > last).then_some(next)
}

fn put_step(out: &mut Vec<u8>, last: At, next: At) {
    let later = next.0.wrapping_sub(last.0).cast_unsigned() << 1;
    if last.1 >> SEQ_BITS == next.1 >> SEQ_BITS {
        put_number(out, later);
        put_signed(out, next.1 - last.1);
    } else {
        put_number(out, later | 1);
        put_number(out, (next.1 >> SEQ_BITS).cast_unsigned());
        put_number(out, (next.1 & ((1 << SEQ_BITS) - 1)).cast_unsigned());
    }
}

fn following(entries: &[At]) -> Vec<u8> {
    let mut out = Vec::new();
    for pair in entries.windows(2) {
        put_step(&mut out, pair[0], pair[1]);
    }
    out
}

/// What follows the first of these, in at most `room` bytes, and how many entries that is with the first.
fn packed(entries: &[At], room: usize) -> (Option<Vec<u8>>, usize) {
    let (mut out, mut taken) = (Vec::new(), 1);
    for pair in entries.windows(2) {
        let before = out.len();
        // Times further apart than 2^62 ms begin a block of their own.
        let near = pair[1].0.checked_sub(pair[0].0).is_some_and(|d| d < 1 << 62);
        if near {
            put_step(&mut out, pair[0], pair[1]);
        }
        if !near || out.len() > room {
            out.truncate(before);
            break;
        }
        taken += 1;
    }
    ((!out.is_empty()).then_some(out), taken)
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
    let (mut acts, mut entries) = (HashSet::new(), Vec::new());
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
        let mut reading = Reading::new(conn);
        for (seq, packed) in rows {
            let (entry, at) = reading.entry(&packed)?;
            index(conn, &mut acts, &mut entries, chain, seq, at, entry.as_ref())?;
        }
        write(conn, &mut entries)?;
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
        let sql = "SELECT seq, body FROM device_audit
                    WHERE device = (SELECT no FROM audit_word WHERE text = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3";
        all(conn, sql, params![chain, int(after), most], row).during(CATCHING_UP)
    }
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
    let sql = "SELECT at, place, more FROM audit_find
                WHERE term = ?1 AND (at, place) < (?2, ?3) ORDER BY at DESC, place DESC";
    let mut statement = conn.prepare_cached(sql).during(FINDING)?;
    let mut blocks = statement.query(params![term, below.0, below.1]).during(FINDING)?;
    let mut out = Vec::new();
    while out.len() < most
        && let Some(r) = blocks.next().during(FINDING)?
    {
        let block = block(r).during(FINDING)?;
        let some = block.entries().into_iter().rev();
        out.extend(some.filter(|e| *e < below && e.0 >= from));
        // What lies in older blocks is older than this one's oldest.
        if block.oldest.0 < from {
            break;
        }
    }
    out.truncate(most);
    Ok(out)
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
    let chains = chains(conn)?;
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
    let (mut out, mut reading) = (AuditFound::default(), Reading::new(conn));
    while let Some((at, place)) = walk.next(conn)? {
        let (chain, seq) = (place >> SEQ_BITS, place & ((1 << SEQ_BITS) - 1));
        let name = chains.get(&chain).map_or("", String::as_str);
        let (entry, said) = body_at(conn, &mut reading, name, seq)?;
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

fn body_at(
    conn: &Connection,
    reading: &mut Reading<'_>,
    chain: &str,
    seq: i64,
) -> Result<(Option<AuditEntry>, UtcMs), StoreError> {
    let packed: rusqlite::Result<Option<Vec<u8>>> = if chain == "server" {
        conn.prepare_cached("SELECT body FROM audit WHERE seq = ?1")
            .and_then(|mut s| s.query_row([seq], |r| r.get(0)).optional())
    } else {
        let sql = "SELECT body FROM device_audit
                    WHERE device = (SELECT no FROM audit_word WHERE text = ?1) AND seq = ?2";
        conn.prepare_cached(sql)
            .and_then(|mut s| s.query_row(params![chain, seq], |r| r.get(0)).optional())
    };
    reading.entry(&packed.during(FINDING)?.unwrap_or_default())
}

/// Rows that one sum covers, as a power of two.
const SUMMED: u32 = 10;

/// Checks that the index leads to every row and nowhere else.
///
/// Every entry that the rows should have is added to a sum of its stretch of rows, every entry found is taken from it, each
/// as a number that a key of this check alone makes of it: what is left over is no zero. The rows of such a stretch are
/// then compared one by one.
///
/// # Errors
/// [`StoreError::Refused`] naming the first such row; [`StoreError::NotFoundYet`] while rows are still to be taken in.
pub(super) fn verify(conn: &Connection) -> Result<(), StoreError> {
    let left = due(conn)?;
    if left > 0 {
        return Err(StoreError::NotFoundYet { left });
    }
    let mut key = [0; 32];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| StoreError::Backend {
            doing: VERIFYING,
            cause: "no random numbers".to_owned(),
        })?;
    let weight = |e: &Entry| {
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(&e.term.to_le_bytes());
        hasher.update(&e.at.0.to_le_bytes());
        hasher.update(&e.at.1.to_le_bytes());
        let mut out = [0; 16];
        hasher.finalize_xof().fill(&mut out);
        u128::from_le_bytes(out)
    };
    let mut sums: HashMap<i64, u128> = HashMap::new();
    let mut acts = HashSet::new();
    let chains = chains(conn)?;
    expected(conn, &chains, |e, act| {
        let sum = sums.entry(e.at.1 >> SUMMED).or_default();
        *sum = sum.wrapping_add(weight(&e));
        if act {
            acts.insert(e.term);
        }
    })?;
    found(conn, |e| {
        let sum = sums.entry(e.at.1 >> SUMMED).or_default();
        *sum = sum.wrapping_sub(weight(&e));
    })?;
    let wrong = sums
        .iter()
        .filter(|(_, sum)| **sum != 0)
        .map(|(stretch, _)| *stretch);
    if let Some(stretch) = wrong.min() {
        let mut these: HashMap<Entry, bool> = HashMap::new();
        expected(conn, &chains, |e, _| {
            if e.at.1 >> SUMMED == stretch {
                these.insert(e, true);
            }
        })?;
        let mut other = BTreeSet::new();
        found(conn, |e| {
            if e.at.1 >> SUMMED == stretch && these.remove(&e).is_none() {
                other.insert(e.at.1);
            }
        })?;
        let missing = these.keys().map(|e| e.at.1).min();
        let place = missing
            .into_iter()
            .chain(other.first().copied())
            .min()
            .unwrap_or(stretch << SUMMED);
        return Err(unlike(&chains, place));
    }
    let held: HashSet<i32> = all(conn, "SELECT term FROM audit_action", [], |r| r.get(0))
        .during(VERIFYING)?
        .into_iter()
        .collect();
    if !acts.is_subset(&held) {
        return Err(StoreError::Refused(
            "the index of the audit log does not have every act: make it anew with 'audit reindex'"
                .to_owned(),
        ));
    }
    Ok(())
}

fn unlike(chains: &HashMap<i64, String>, place: i64) -> StoreError {
    let (chain, seq) = (place >> SEQ_BITS, place & ((1 << SEQ_BITS) - 1));
    let name = chains.get(&chain).map_or("that is not there", String::as_str);
    StoreError::Refused(format!(
        "the index of the audit log is not what the rows say, first at row {seq} of chain {name}: make it anew with 'audit reindex'"
    ))
}

fn chains(conn: &Connection) -> Result<HashMap<i64, String>, StoreError> {
    let rows = all(conn, "SELECT no, name FROM audit_chain", [], |r| {
        Ok((r.get(0)?, r.get(1)?))
    });
    Ok(rows.during(FINDING)?.into_iter().collect())
}

/// Every entry that the rows should have, and whether it is of an act.
fn expected(
    conn: &Connection,
    chains: &HashMap<i64, String>,
    mut take: impl FnMut(Entry, bool),
) -> Result<(), StoreError> {
    for (no, name) in chains {
        let (mut after, mut reading) = (0, Reading::new(conn));
        loop {
            let rows = bodies(conn, name, after, 1_000)?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            for (seq, packed) in rows {
                let (entry, at) = reading.entry(&packed)?;
                let at = (at.0, place(*no, int(seq)));
                let mut numbers = HashSet::new();
                for term in terms_of(entry.as_ref()) {
                    let number = term.number();
                    if numbers.insert(number) {
                        take(Entry { term: number, at }, matches!(term, Term::Action(_)));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Every entry of the index. Two terms of a row that share a number have one entry between them.
fn found(conn: &Connection, mut take: impl FnMut(Entry)) -> Result<(), StoreError> {
    let sql = "SELECT at, place, more, term FROM audit_find";
    let mut statement = conn.prepare_cached(sql).during(VERIFYING)?;
    let mut rows = statement.query([]).during(VERIFYING)?;
    while let Some(r) = rows.next().during(VERIFYING)? {
        let term = r.get(3).during(VERIFYING)?;
        let (entries, whole) = block(r).during(VERIFYING)?.read();
        // One too many stands for what cannot be read.
        for at in entries.iter().chain(entries.first().filter(|_| !whole)) {
            take(Entry { term, at: *at });
        }
    }
    Ok(())
}

/// Empties the index; it is made anew by [`catch_up`].
pub(super) fn forget(conn: &Connection) -> Result<(), StoreError> {
    let sql = "DELETE FROM audit_find; DELETE FROM audit_action; UPDATE audit_chain SET upto = 0;";
    conn.execute_batch(sql).during(INDEXING)
}
