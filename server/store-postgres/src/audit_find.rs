//! The index by which rows of the audit log are found.
//!
//! Lives here: its entries, written with each row in the same transaction, and reading along them. Never here: what is
//! asked for (`vitrine_store::audit_find`), the chains themselves (`audit`). Called by `group`, `flush`, `acts`, `audit`
//! and `charts` (catch-up).
//!
//! An entry is (term, time, place), place = chain · 2^40 + number. A term is a keyed token: nobody reads a patient from it.

use crate::PostgresStore;
use crate::audit::chain_rows;
use crate::sql::{During, Fault, Params, all, col, int, one, run, uint};
use crate::vault::{Place, Vault};
use deadpool_postgres::{GenericClient, Object};
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::AuditEntry;
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;
use vitrine_store::audit_find::{self, AuditFound, AuditQuery, FoundRow, Term, terms_of, unknown_place};

const INDEXING: &str = "indexing audit rows";
const FINDING: &str = "finding audit rows";
const CATCHING_UP: &str = "taking audit rows into their index";
/// Bits of a place that number the row in its chain.
const SEQ_BITS: u32 = 40;

/// Entries of the index to write: columns side by side.
#[derive(Default)]
pub(crate) struct Entries {
    term: Vec<i32>,
    at: Vec<i64>,
    place: Vec<i64>,
    acts: BTreeSet<i32>,
}

impl Entries {
    /// Adds a row's.
    pub fn add(&mut self, vault: &Vault, chain: i32, seq: u64, at: UtcMs, entry: Option<&AuditEntry>) {
        for term in terms_of(entry) {
            let token = vault.audit_token(term);
            if matches!(term, Term::Action(_)) {
                self.acts.insert(token);
            }
            self.term.push(token);
            self.at.push(at.0);
            self.place.push(place(chain, int(seq)));
        }
    }

    /// Writes them. What is there already stays.
    pub async fn write<C: GenericClient>(&self, c: &C) -> Result<(), Fault> {
        if self.term.is_empty() {
            return Ok(());
        }
        let acts: Vec<i32> = self.acts.iter().copied().collect();
        // Only those that are missing: two servers that write the same act do not wait for each other.
        let known = "INSERT INTO audit_action (term) SELECT t FROM unnest($1::integer[]) t
                      WHERE NOT EXISTS (SELECT 1 FROM audit_action a WHERE a.term = t) ORDER BY t ON CONFLICT DO NOTHING";
        let entries = "INSERT INTO audit_find (term, at, place)
                       SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING";
        let (acts, columns): (Params<'_>, Params<'_>) = (&[&acts], &[&self.term, &self.at, &self.place]);
        tokio::try_join!(run(c, INDEXING, known, acts), run(c, INDEXING, entries, columns),)?;
        Ok(())
    }
}

fn place(chain: i32, seq: i64) -> i64 {
    (i64::from(chain) << SEQ_BITS) | seq
}

/// The number of a chain, given when it is first seen.
pub(crate) async fn chain_no<C: GenericClient>(c: &C, name: &str) -> Result<i32, Fault> {
    let sql = "SELECT no FROM audit_chain WHERE name = $1";
    let mut found = one(c, INDEXING, sql, &[&name]).await?;
    if found.is_none() {
        let new = "INSERT INTO audit_chain (name, upto) VALUES ($1, 0) ON CONFLICT DO NOTHING";
        run(c, INDEXING, new, &[&name]).await?;
        found = one(c, INDEXING, sql, &[&name]).await?;
    }
    let row = found.ok_or(Fault::Conflict(StoreError::Closed))?;
    col(&row, 0, INDEXING)
}

/// Notes that the rows after `before` up to `upto` are in the index, when everything before them is.
pub(crate) async fn indexed<C: GenericClient>(
    c: &C,
    chain: i32,
    before: u64,
    upto: u64,
) -> Result<(), Fault> {
    if upto > before {
        let sql = "UPDATE audit_chain SET upto = $3 WHERE no = $1 AND upto = $2";
        run(c, INDEXING, sql, &[&chain, &int(before), &int(upto)]).await?;
    }
    Ok(())
}

/// Chains that have rows outside the index: name, rows in the index, rows. An older server may write beside this one.
async fn behind<C: GenericClient>(c: &C) -> Result<Vec<(String, i64, i64)>, Fault> {
    let sql = "SELECT h.name, coalesce(a.upto, 0), h.seq
                 FROM (SELECT chain AS name, seq FROM audit_head UNION ALL
                       SELECT id, audit_seq FROM device WHERE audit_seq > 0) h
                 LEFT JOIN audit_chain a ON a.name = h.name WHERE h.seq > coalesce(a.upto, 0) ORDER BY 1";
    let mut out = Vec::new();
    for r in all(c, CATCHING_UP, sql, &[]).await? {
        out.push((
            col(&r, 0, CATCHING_UP)?,
            col(&r, 1, CATCHING_UP)?,
            col(&r, 2, CATCHING_UP)?,
        ));
    }
    Ok(out)
}

/// Rows that are not in the index yet.
pub(crate) async fn due<C: GenericClient>(c: &C) -> Result<u64, Fault> {
    Ok(behind(c)
        .await?
        .iter()
        .map(|(_, upto, seq)| uint(seq - upto))
        .sum())
}

/// Takes in at most so many rows; gives how many are left.
pub(crate) async fn catch_up(client: &mut Object, vault: &Vault, most: usize) -> Result<u64, StoreError> {
    let mut room = most;
    for (name, ..) in behind(&*client).await? {
        if room == 0 {
            break;
        }
        let tx = client.transaction().await.during(CATCHING_UP)?;
        let chain = chain_no(&tx, &name).await?;
        // Whoever writes to the chain notes its rows here: one after the other.
        let held = "SELECT upto FROM audit_chain WHERE no = $1 FOR UPDATE";
        let upto = one(&tx, CATCHING_UP, held, &[&chain]).await?;
        let upto: i64 = upto.map_or(Ok(0), |r| col(&r, 0, CATCHING_UP))?;
        let rows = chain_rows(&tx, vault, &name, uint(upto), room).await?;
        room -= rows.len();
        let mut entries = Entries::default();
        for r in &rows {
            let (entry, at) = audit_find::read(r.body.as_bytes());
            entries.add(vault, chain, r.seq, at, entry.as_ref());
        }
        entries.write(&tx).await?;
        // Rows that are not there cannot be taken in: verifying names them.
        let missing = "SELECT greatest((SELECT max(seq) FROM audit_head WHERE chain = $1),
                                       (SELECT max(audit_seq) FROM device WHERE id = $1))";
        let done = match rows.last() {
            Some(last) => int(last.seq),
            None => one(&tx, CATCHING_UP, missing, &[&name])
                .await?
                .map_or(Ok(None), |r| col::<Option<i64>>(&r, 0, CATCHING_UP))?
                .unwrap_or(upto),
        };
        let sql = "UPDATE audit_chain SET upto = $2 WHERE no = $1";
        run(&tx, CATCHING_UP, sql, &[&chain, &done]).await?;
        tx.commit().await.during(CATCHING_UP)?;
    }
    Ok(due(&*client).await?)
}

/// Entries of every list of `$1`, older than (`$3`, `$4`) and not before `$5`, that every list of `$2` has too; the
/// newest `$6`. Each list is read backwards and ends early.
pub const FIND_SQL: &str = "SELECT f.at, f.place FROM unnest($1::integer[]) t(term) CROSS JOIN LATERAL (
      SELECT e.at, e.place FROM audit_find e
       WHERE e.term = t.term AND (e.at, e.place) < ($3, $4) AND e.at >= $5
         AND (cardinality($2::integer[]) = 0 OR cardinality($2::integer[]) =
              (SELECT count(*) FROM unnest($2::integer[]) o(term)
                WHERE EXISTS (SELECT 1 FROM audit_find g WHERE g.term = o.term AND g.at = e.at AND g.place = e.place)))
       ORDER BY e.at DESC, e.place DESC LIMIT $6) f
    ORDER BY f.at DESC, f.place DESC LIMIT $6";

impl PostgresStore {
    /// Finds rows; refused while the index does not hold every row.
    pub(crate) async fn find_rows(&self, query: AuditQuery) -> Result<AuditFound, StoreError> {
        let limit = query.checked_limit()?;
        let c = self.reader().await?;
        let left = due(&c).await?;
        if left > 0 {
            return Err(StoreError::NotFoundYet { left });
        }
        let mut chains = BTreeMap::new();
        for r in all(&c, FINDING, "SELECT no, name FROM audit_chain", &[]).await? {
            chains.insert(col::<i32>(&r, 0, FINDING)?, col::<String>(&r, 1, FINDING)?);
        }
        let mut below = query.until.map_or((i64::MAX, i64::MAX), |u| (u.0, i64::MIN));
        if let Some(p) = &query.before {
            let no = chains.iter().find(|(_, name)| **name == p.chain);
            let no = no.ok_or_else(|| unknown_place(p))?;
            below = below.min((p.at.0, place(*no.0, int(p.seq))));
        }
        let from = query.from.map_or(i64::MIN, |f| f.0);
        let mut terms: Vec<i32> = query
            .terms()
            .into_iter()
            .map(|t| self.vault().audit_token(t))
            .collect();
        let rest = terms.split_off(terms.len().min(1));
        if terms.is_empty() {
            for r in all(&c, FINDING, "SELECT term FROM audit_action", &[]).await? {
                terms.push(col(&r, 0, FINDING)?);
            }
        }
        let mut out = AuditFound::default();
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        loop {
            let found = all(
                &c,
                FINDING,
                FIND_SQL,
                &[&terms, &rest, &below.0, &below.1, &from, &most],
            )
            .await?;
            let mut at: Vec<(i64, i64)> = Vec::with_capacity(found.len());
            for r in &found {
                at.push((col(r, 0, FINDING)?, col(r, 1, FINDING)?));
            }
            let whole = i64::try_from(at.len()).unwrap_or(0) < most;
            at.dedup();
            let Some(last) = at.last().copied() else {
                return Ok(out);
            };
            below = last;
            let bodies = bodies(&c, self.vault(), &chains, &at).await?;
            for (at, place) in at {
                let (entry, said, name) = match bodies.get(&place) {
                    Some((body, name)) => {
                        let (entry, said) = audit_find::read(body);
                        (entry, said, name.clone())
                    }
                    None => {
                        let no = i32::try_from(place >> SEQ_BITS).unwrap_or(0);
                        (None, UtcMs(at), chains.get(&no).cloned().unwrap_or_default())
                    }
                };
                // The row's own words decide; one that cannot be read is named as the index has it.
                if entry.as_ref().is_some_and(|e| !query.fits(e) || said.0 != at) {
                    continue;
                }
                if out.rows.len() == limit {
                    out.next = out.rows.last().map(FoundRow::cursor);
                    return Ok(out);
                }
                let seq = uint(place & ((1 << SEQ_BITS) - 1));
                out.rows.push(FoundRow {
                    chain: name,
                    seq,
                    at: UtcMs(at),
                    entry,
                });
            }
            if whole {
                return Ok(out);
            }
        }
    }
}

/// The bodies of places, opened, with the names of their chains. The time is part of where a server's row lies.
async fn bodies<C: GenericClient>(
    c: &C,
    vault: &Vault,
    chains: &BTreeMap<i32, String>,
    at: &[(i64, i64)],
) -> Result<BTreeMap<i64, (Vec<u8>, String)>, Fault> {
    let mut asked: (Vec<&str>, Vec<i64>, Vec<i64>, Vec<i64>) = Default::default();
    for (at, place) in at {
        let no = i32::try_from(place >> SEQ_BITS).unwrap_or(0);
        if let Some(name) = chains.get(&no) {
            asked.0.push(name);
            asked.1.push(place & ((1 << SEQ_BITS) - 1));
            asked.2.push(*at);
            asked.3.push(*place);
        }
    }
    let sql = "SELECT u.place, u.chain, u.seq, coalesce(a.body, d.body)
                 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) u(chain, seq, at, place)
                 LEFT JOIN LATERAL (SELECT body FROM audit WHERE chain = u.chain AND seq = u.seq AND audit.at = u.at) a ON true
                 LEFT JOIN device_audit d ON d.device = u.chain AND d.seq = u.seq";
    let mut out = BTreeMap::new();
    for r in all(c, FINDING, sql, &[&asked.0, &asked.1, &asked.2, &asked.3]).await? {
        let (place, chain): (i64, String) = (col(&r, 0, FINDING)?, col(&r, 1, FINDING)?);
        let seq = uint(col(&r, 2, FINDING)?);
        let body = col::<Option<&[u8]>>(&r, 3, FINDING)?
            .and_then(|sealed| vault.get(Place::Audit(&chain, seq), sealed).ok())
            .unwrap_or_default();
        out.insert(place, (body, chain));
    }
    Ok(out)
}
