//! `outbox.db`: the device's audit chain, the counters of wrong secrets; the break-glass grants made here are in
//! [`super::grants`], what people recorded in [`super::entries`].
//!
//! Every commit is synced: a receipt is made after it and never before. When the disk gives no room, an emergency
//! access is written to a reserve instead ([`Reserve`]), and the caller is told so that it raises the alarm; any
//! other access fails.

use super::lines::Lines;
use super::scopes::u;
use crate::cipher::{Key, Migration, Synchronous};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::path::Path;
use std::sync::Mutex;
use vitrine_access::chain::{ChainFault, Head, Row, Verifier};
use vitrine_access::{AuditEntry, Grant, Receipt};
use vitrine_clinical::UtcMs;
use vitrine_store::StoreError;

/// "VtOb".
pub(super) const APPLICATION: i32 = 0x5674_4F62;

const TABLES: &str = "
CREATE TABLE audit(seq INTEGER PRIMARY KEY, prev BLOB NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE made_grant(
  id TEXT PRIMARY KEY, user TEXT NOT NULL, patient TEXT NOT NULL, until INTEGER NOT NULL, at INTEGER NOT NULL,
  body TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX made_grant_for ON made_grant(user, patient, until);
CREATE TABLE wrong_secret(user TEXT NOT NULL, path TEXT NOT NULL, fails INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY(user, path)) WITHOUT ROWID, STRICT;
CREATE TABLE note(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
";

pub(super) const MIGRATIONS: [Migration; 4] = [
    Migration {
        number: 1,
        name: "first",
        sql: TABLES,
    },
    Migration {
        number: 2,
        name: "entries",
        sql: super::entries::TABLES,
    },
    Migration {
        number: 3,
        name: "drafts",
        sql: super::entries::DRAFTS,
    },
    Migration {
        number: 4,
        name: "after a grant",
        sql: super::grants::AFTER,
    },
];

/// How wrong secrets slow a user down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRule {
    /// Which counter: the ways in do not disturb each other.
    pub path: &'static str,
    /// Wrong secrets before the first wait.
    pub free: u32,
    /// First wait, ms; it doubles with each further wrong secret.
    pub first_wait_ms: i64,
    /// Longest wait, ms.
    pub longest_wait_ms: i64,
}

/// Whether a secret may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Yes; it counts as wrong until [`Outbox::right_secret`] says otherwise.
    Go {
        /// Wrong secrets with this one, should it be wrong.
        fails: u32,
        /// Wait after it, should it be wrong, ms.
        wait_ms: i64,
    },
    /// Not yet.
    Wait {
        /// Milliseconds.
        wait_ms: i64,
    },
}

/// Where an emergency access was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the chain, as always.
    Chain,
    /// In the reserve file: the disk is full. Loud alarm.
    Reserve,
    /// In memory alone: the reserve cannot be written either. Louder alarm.
    Memory,
}

/// Receives emergency rows when the chain cannot be written; the bytes are JSON lines and hold PHI: seal them.
pub trait Reserve: Send + Sync {
    /// Writes durably.
    ///
    /// # Errors
    /// What the operating system says.
    fn write(&self, line: &[u8]) -> std::io::Result<()>;
}

/// A row written, with its receipt.
#[derive(Debug)]
pub struct Written {
    /// The receipt of the (last) row.
    pub receipt: Receipt,
    /// Where it is.
    pub kept: Kept,
}

/// What waits for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Audit rows not acknowledged.
    pub audit: u64,
    /// Number of the oldest row kept; 0 when none is.
    pub first: u64,
    /// Grants not acknowledged.
    pub grants: u64,
    /// When the oldest of them was written, ms.
    pub oldest: Option<i64>,
    /// Number of the last row.
    pub last: u64,
    /// Number of the last row acknowledged.
    pub acked: u64,
}

/// A stretch of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// Rows in order.
    pub rows: Vec<Row>,
    /// Rows in all.
    pub total: u64,
}

/// The outbox of a workstation.
pub struct Outbox {
    lines: Lines,
    /// Rows that are nowhere but here.
    memory: Mutex<Vec<AuditEntry>>,
}

impl Outbox {
    /// Opens, making the file when it is missing.
    ///
    /// # Errors
    /// As `cipher::open` and `cipher::migrate`.
    pub fn open(path: &Path, key: &Key) -> Result<Self, StoreError> {
        let lines = Lines::open(path, key, APPLICATION, &MIGRATIONS, Synchronous::Full, 2 * 1024)?;
        Ok(Self {
            lines,
            memory: Mutex::new(Vec::new()),
        })
    }

    /// Without a connection: each act tries to open one.
    pub(super) fn unopened(path: &Path, key: &Key) -> Self {
        Self {
            lines: Lines::unopened(path, key, APPLICATION, &MIGRATIONS, Synchronous::Full, 2 * 1024),
            memory: Mutex::new(Vec::new()),
        }
    }

    /// Opens; when the file is there and cannot be opened (full disk, damage), gives an outbox whose every write tries
    /// again and fails until it can, and the fault. Emergencies are then written to the reserve.
    ///
    /// # Errors
    /// [`StoreError::Unencrypted`], [`StoreError::WrongKey`], [`StoreError::NewerSchema`], [`StoreError::Refused`]: the
    /// file is another one, refused and untouched.
    pub fn open_or_absent(path: &Path, key: &Key) -> Result<(Self, Option<StoreError>), StoreError> {
        match Self::open(path, key) {
            Ok(outbox) => Ok((outbox, None)),
            Err(e @ (StoreError::Damaged(_) | StoreError::Full(_) | StoreError::Backend { .. })) => {
                Ok((Self::unopened(path, key), Some(e)))
            }
            Err(e) => Err(e),
        }
    }

    pub(super) const fn lines(&self) -> &Lines {
        &self.lines
    }

    /// False when the disk gave no room to open for writing.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.lines.writable()
    }

    /// Appends rows (and a grant) in one transaction; durable on return.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Damaged`], [`StoreError::Backend`]: nothing was written, show nothing.
    pub fn append(&self, entries: &[AuditEntry], grant: Option<&Grant>) -> Result<Vec<Receipt>, StoreError> {
        self.append_with(entries, grant, super::grants::Came::Made)
    }

    fn append_with(
        &self,
        entries: &[AuditEntry],
        grant: Option<&Grant>,
        came: super::grants::Came,
    ) -> Result<Vec<Receipt>, StoreError> {
        let bodies = entries.iter().map(json).collect::<Result<Vec<_>, _>>()?;
        let grant = grant.map(|g| Ok::<_, StoreError>((g, json(g)?))).transpose()?;
        let seqs = self.lines.write("writing the audit row", |t| {
            let mut head = head(t).map_err(self.lines.fault("reading the audit chain"))?;
            let mut seqs = Vec::with_capacity(bodies.len());
            for (entry, body) in entries.iter().zip(&bodies) {
                let next = head.after(body.as_bytes());
                put_row(t, &head, &next, entry.at.0, body)
                    .map_err(self.lines.fault("writing the audit row"))?;
                seqs.push(next.seq);
                head = next;
            }
            if let Some((g, body)) = &grant {
                super::grants::put(t, g, body, came).map_err(self.lines.fault("writing the grant"))?;
            }
            Ok(seqs)
        })?;
        Ok(entries
            .iter()
            .zip(seqs)
            .map(|(e, seq)| Receipt::of_committed_row(e.access_id, seq))
            .collect())
    }

    /// Appends one row of an emergency access. When the chain cannot be written, the row goes to the reserve, and if
    /// that fails too, it is kept in memory: an emergency is never refused for want of disk (security.md §3).
    ///
    /// # Errors
    /// Only when the row cannot be put into words (never).
    pub fn append_emergency(
        &self,
        entry: &AuditEntry,
        grant: Option<&Grant>,
        reserve: &dyn Reserve,
    ) -> Result<Written, StoreError> {
        if let Ok(mut receipts) = self.append(std::slice::from_ref(entry), grant)
            && let Some(receipt) = receipts.pop()
        {
            return Ok(Written {
                receipt,
                kept: Kept::Chain,
            });
        }
        let line = json(&(entry, grant))?;
        let kept = if reserve.write(line.as_bytes()).is_ok() {
            Kept::Reserve
        } else {
            Kept::Memory
        };
        if kept == Kept::Memory {
            self.memory
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(entry.clone());
        }
        // Row 0: not in the chain yet; it is appended when there is room again.
        Ok(Written {
            receipt: Receipt::of_committed_row(entry.access_id, 0),
            kept,
        })
    }

    /// Moves rows kept in memory into the chain; returns how many.
    ///
    /// # Errors
    /// As [`Self::append`]; the rows stay in memory then.
    pub fn settle_memory(&self) -> Result<usize, StoreError> {
        let mut memory = self
            .memory
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if memory.is_empty() {
            return Ok(0);
        }
        let n = memory.len();
        self.append(&memory, None)?;
        memory.clear();
        Ok(n)
    }

    /// Appends a line that a reserve kept. A grant in it served the card for which it was made: it comes in as one that has ended,
    /// because whether its user has locked the workstation meanwhile could not be written down.
    ///
    /// # Errors
    /// [`StoreError::Backend`] for a line that is not one, else as [`Self::append`].
    pub fn append_line(&self, line: &[u8]) -> Result<(), StoreError> {
        let (entry, grant): (AuditEntry, Option<Grant>) =
            serde_json::from_slice(line).map_err(|e| StoreError::Backend {
                doing: "reading the reserve",
                cause: format!("line {}", e.line()),
            })?;
        self.append_with(&[entry], grant.as_ref(), super::grants::Came::FromReserve)
            .map(|_| ())
    }

    /// The head of the chain.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn head(&self) -> Result<Head, StoreError> {
        self.lines.read("reading the audit chain", head)
    }

    /// Rows after `after`, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn rows(&self, after: u64, limit: usize) -> Result<AuditPage, StoreError> {
        self.lines.read("reading the audit chain", |c| {
            let mut s = c.prepare_cached(
                "SELECT seq, prev, hash, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let rows = s
                .query_map(
                    params![signed(after), i64::try_from(limit).unwrap_or(i64::MAX)],
                    row,
                )?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let total = c.query_row("SELECT count(*) FROM audit", [], |r| r.get::<_, i64>(0))?;
            Ok(AuditPage {
                rows,
                total: u(total),
            })
        })
    }

    /// Checks the whole chain against a head kept elsewhere. Gives the head reached.
    ///
    /// # Errors
    /// [`StoreError::Chain`] with the first bad row; [`StoreError::Damaged`] when a page cannot be read.
    pub fn verify(&self, sealed: Option<Head>) -> Result<Head, StoreError> {
        let base = self.base()?;
        // A head older than what was cleared away has nothing left to be compared with.
        let sealed = sealed.filter(|s| s.seq >= base.seq);
        let mut verifier = Verifier::from(base, sealed);
        let mut after = base.seq;
        loop {
            let page = self.rows(after, 1_000)?;
            let Some(last) = page.rows.last() else { break };
            after = last.seq;
            for row in &page.rows {
                verifier.push(row)?;
            }
        }
        if let Some(s) = sealed
            && s.seq == base.seq
            && s.hash != base.hash
        {
            return Err(ChainFault::HeadMismatch { seq: s.seq }.into());
        }
        Ok(verifier.finish()?)
    }

    /// The last row that was cleared away after the server had it; the chain continues from it.
    fn base(&self) -> Result<Head, StoreError> {
        let text = self.note("base")?;
        Ok(text
            .and_then(|t| serde_json::from_str(&t).ok())
            .unwrap_or(Head::EMPTY))
    }

    /// Notes that the server holds the rows up to `seq`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn acknowledged(&self, seq: u64, at: UtcMs) -> Result<(), StoreError> {
        let last = self.head()?.seq;
        let seq = seq.min(last);
        let before = self.tally()?.acked;
        if seq != before {
            // Also downwards: a server restored from a backup holds fewer rows, and they go up again.
            self.set_note("acked", &seq.to_string())?;
        }
        if seq > before {
            self.set_note(&format!("acked-at:{seq}"), &at.0.to_string())?;
        }
        if seq < before {
            // Since when a server that lost them held these rows counts no more: they must not be cleared away.
            self.lines.write("forgetting acknowledgements", |t| {
                let sql = "DELETE FROM note WHERE name >= 'acked-at:' AND name < 'acked-at;'
                             AND CAST(substr(name, 10) AS INTEGER) > ?1";
                t.execute(sql, [signed(seq)])
                    .map(|_| ())
                    .map_err(self.lines.fault("forgetting acknowledgements"))
            })?;
        }
        Ok(())
    }

    /// Removes rows the server has held since before `before`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn clear_acknowledged(&self, before: UtcMs) -> Result<u64, StoreError> {
        self.lines.write("clearing acknowledged audit rows", |t| {
            let fault = self.lines.fault("clearing acknowledged audit rows");
            let upto: Option<i64> = t
                .query_row(
                    "SELECT max(CAST(substr(name, 10) AS INTEGER)) FROM note
                     WHERE name >= 'acked-at:' AND name < 'acked-at;' AND CAST(value AS INTEGER) < ?1",
                    [before.0],
                    |r| r.get(0),
                )
                .map_err(&fault)?;
            let Some(upto) = upto else { return Ok(0) };
            let last: Option<Row> = t
                .query_row("SELECT seq, prev, hash, body FROM audit WHERE seq = ?1", [upto], row)
                .optional()
                .map_err(&fault)?;
            let Some(last) = last else { return Ok(0) };
            let base = json(&Head { seq: last.seq, hash: last.hash })?;
            put_note(t, "base", &base).map_err(&fault)?;
            t.execute("DELETE FROM note WHERE name >= 'acked-at:' AND name < 'acked-at;' AND CAST(substr(name, 10) AS INTEGER) <= ?1", [upto]).map_err(&fault)?;
            t.execute("DELETE FROM made_grant WHERE sent > 0 AND sent_rev >= rev AND max(sent, until) < ?1", [before.0]).map_err(&fault)?;
            let gone = t.execute("DELETE FROM audit WHERE seq <= ?1", [upto]).map_err(&fault)?;
            Ok(gone as u64)
        })
    }

    /// What waits for the server.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn tally(&self) -> Result<Tally, StoreError> {
        self.lines.read("counting what waits for the server", |c| {
            let acked: Option<String> = c
                .query_row("SELECT value FROM note WHERE name = 'acked'", [], |r| r.get(0))
                .optional()?;
            let acked: i64 = acked.and_then(|a| a.parse().ok()).unwrap_or(0);
            let (audit, oldest_row, last, first): (i64, Option<i64>, Option<i64>, Option<i64>) = c
                .query_row(
                    "SELECT count(*), min(at), (SELECT max(seq) FROM audit), (SELECT min(seq) FROM audit)
                 FROM audit WHERE seq > ?1",
                    [acked],
                    |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
                )?;
            let (grants, oldest_grant): (i64, Option<i64>) = c.query_row(
                "SELECT count(*), min(at) FROM made_grant WHERE sent = 0 OR sent_rev < rev",
                [],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )?;
            let oldest = [oldest_row, oldest_grant].into_iter().flatten().min();
            Ok(Tally {
                audit: u(audit),
                first: u(first.unwrap_or(0)),
                grants: u(grants),
                oldest,
                last: u(last.unwrap_or(acked)),
                acked: u(acked),
            })
        })
    }

    /// Asks whether a secret of this user may be tried and counts it as wrong, durably, before it is tried: tries side
    /// by side or a power cut win nothing.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn attempt(&self, user: &str, rule: &ThrottleRule, at: UtcMs) -> Result<Attempt, StoreError> {
        self.lines.write("counting a try", |t| {
            let fault = self.lines.fault("counting a try");
            let (fails, until): (u32, i64) = t
                .query_row(
                    "SELECT fails, until FROM wrong_secret WHERE user = ?1 AND path = ?2",
                    [user, rule.path],
                    |r| Ok((r.get(0)?, r.get(1)?)),
                )
                .optional()
                .map_err(&fault)?
                .unwrap_or((0, 0));
            // A clock set back must not lengthen a wait: it begins anew.
            let left = until.saturating_sub(at.0);
            let wait_ms = left.min(wait_after(fails, rule));
            if left > wait_ms.max(0) {
                t.execute(
                    "UPDATE wrong_secret SET until = ?3 WHERE user = ?1 AND path = ?2",
                    params![user, rule.path, at.0.saturating_add(wait_ms)],
                )
                .map_err(&fault)?;
            }
            if wait_ms > 0 {
                return Ok(Attempt::Wait { wait_ms });
            }
            let fails = fails.saturating_add(1);
            let wait_ms = wait_after(fails, rule);
            t.execute(
                "INSERT INTO wrong_secret(user, path, fails, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT(user, path) DO UPDATE SET fails = ?3, until = ?4",
                params![user, rule.path, fails, at.0.saturating_add(wait_ms)],
            )
            .map_err(&fault)?;
            Ok(Attempt::Go { fails, wait_ms })
        })
    }

    /// The secret was right: forgets the wrong ones.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn right_secret(&self, user: &str, path: &str) -> Result<(), StoreError> {
        self.lines.write("forgetting wrong tries", |t| {
            t.execute(
                "DELETE FROM wrong_secret WHERE user = ?1 AND path = ?2",
                [user, path],
            )
            .map_err(self.lines.fault("forgetting wrong tries"))?;
            Ok(())
        })
    }

    /// Lets go of what its connections hold of what was written, when somebody leaves. It stays open.
    pub fn let_go(&self) {
        self.lines.let_go();
    }

    /// A note kept beside the chain.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.lines.read("reading a note", |c| {
            c.prepare_cached("SELECT value FROM note WHERE name = ?1")?
                .query_row([name], |r| r.get(0))
                .optional()
        })
    }

    /// Keeps a note.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.lines.write("writing a note", |t| {
            put_note(t, name, value).map_err(self.lines.fault("writing a note"))
        })
    }
}

fn wait_after(fails: u32, rule: &ThrottleRule) -> i64 {
    match fails.checked_sub(rule.free) {
        None => 0,
        Some(over) => rule
            .first_wait_ms
            .saturating_mul(1_i64 << over.min(20))
            .min(rule.longest_wait_ms),
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend {
        doing: "wording a row",
        cause: e.to_string(),
    })
}

fn row(r: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        seq: u(r.get(0)?),
        prev: r.get(1)?,
        hash: r.get(2)?,
        body: r.get(3)?,
    })
}

fn head(c: &Connection) -> rusqlite::Result<Head> {
    let last = c
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |r| {
            Ok(Head {
                seq: u(r.get(0)?),
                hash: r.get(1)?,
            })
        })
        .optional()?;
    if let Some(head) = last {
        return Ok(head);
    }
    let base: Option<String> = c
        .query_row("SELECT value FROM note WHERE name = 'base'", [], |r| r.get(0))
        .optional()?;
    Ok(base
        .and_then(|b| serde_json::from_str(&b).ok())
        .unwrap_or(Head::EMPTY))
}

/// Appends one row to the chain within a transaction; gives its number.
pub(super) fn append_row(t: &Transaction<'_>, at: i64, body: &str) -> rusqlite::Result<u64> {
    let head = head(t)?;
    let next = head.after(body.as_bytes());
    put_row(t, &head, &next, at, body)?;
    Ok(next.seq)
}

fn put_row(t: &Transaction<'_>, head: &Head, next: &Head, at: i64, body: &str) -> rusqlite::Result<()> {
    t.prepare_cached("INSERT INTO audit(seq, prev, hash, at, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![signed(next.seq), head.hash, next.hash, at, body])?;
    Ok(())
}

fn put_note(t: &Transaction<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    t.prepare_cached(
        "INSERT INTO note(name, value) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2",
    )?
    .execute([name, value])?;
    Ok(())
}
