//! A small ledger on SQLCipher that can tell when a row was lost, a transaction was halved or the chain is broken. Plain
//! rusqlite, no product code: what is tested is SQLite's promise and our disk.
//!
//! Each transaction `n` writes three places: a hash-chained row, its twin in another table, and one of sixteen large
//! slots that are overwritten again and again. All three must agree.
#![allow(dead_code, reason = "each test binary uses a part")]

use rusqlite::{Connection, OpenFlags};

pub const NAME: &str = "/ward/audit.db";
const KEY: &str = "x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'";
const SLOTS: i64 = 16;

/// How the database is opened: `journal_mode` and `synchronous`.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub journal: &'static str,
    pub synchronous: &'static str,
}

pub const WAL_FULL: Mode = Mode {
    journal: "WAL",
    synchronous: "FULL",
};
pub const WAL_NORMAL: Mode = Mode {
    journal: "WAL",
    synchronous: "NORMAL",
};
pub const DELETE_FULL: Mode = Mode {
    journal: "DELETE",
    synchronous: "FULL",
};
pub const DELETE_EXTRA: Mode = Mode {
    journal: "DELETE",
    synchronous: "EXTRA",
};

/// What is wrong with a ledger.
#[derive(Debug)]
pub enum Damage {
    /// SQLite would not read it.
    Unreadable(rusqlite::Error),
    /// An acknowledged transaction is gone.
    Lost { acknowledged: i64, found: i64 },
    /// A transaction is there in part, or the chain does not hold.
    Torn(String),
}

impl From<rusqlite::Error> for Damage {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unreadable(error)
    }
}

pub fn open(vfs: &str, mode: Mode) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags_and_vfs(NAME, OpenFlags::default(), vfs)?;
    set_key(&db)?;
    db.pragma_update_and_check(None, "journal_mode", mode.journal, |_| Ok(()))?;
    db.pragma_update(None, "synchronous", mode.synchronous)?;
    // Small, so that a short run has many checkpoints.
    db.pragma_update_and_check(None, "wal_autocheckpoint", 40, |_| Ok(()))?;
    Ok(db)
}

/// Opens to look: no pragma that could write.
pub fn open_to_read(vfs: &str) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags_and_vfs(NAME, OpenFlags::default(), vfs)?;
    set_key(&db)?;
    Ok(db)
}

fn set_key(db: &Connection) -> rusqlite::Result<()> {
    // The controls damage files on purpose; SQLCipher would report each page on standard error.
    db.pragma_update_and_check(None, "cipher_log_level", "NONE", |_| Ok(()))?;
    db.pragma_update(None, "key", KEY)
}

pub fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "BEGIN;
         CREATE TABLE chain (n INTEGER PRIMARY KEY, payload BLOB NOT NULL, hash INTEGER NOT NULL) STRICT;
         CREATE TABLE twin (n INTEGER PRIMARY KEY, hash INTEGER NOT NULL) STRICT;
         CREATE TABLE slot (i INTEGER PRIMARY KEY, n INTEGER NOT NULL, filling BLOB NOT NULL) STRICT;
         COMMIT;",
    )
}

fn fnv(hash: i64, bytes: &[u8]) -> i64 {
    bytes.iter().fold(hash as u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    }) as i64
}

fn payload(n: i64) -> Vec<u8> {
    let len = (n * 7919) % 900 + 20;
    (0..len)
        .map(|i| (n.wrapping_mul(31).wrapping_add(i * i)) as u8)
        .collect()
}

fn next_hash(previous: i64, n: i64) -> i64 {
    fnv(fnv(previous ^ 0x1234_5678_9abc, &n.to_le_bytes()), &payload(n))
}

/// Transaction `n` (from 1), which must follow `n - 1`. Once this returns `Ok`, `n` is acknowledged.
pub fn append(db: &mut Connection, n: i64) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let previous: i64 = if n == 1 {
        0
    } else {
        tx.query_row("SELECT hash FROM chain WHERE n = ?1", [n - 1], |row| row.get(0))?
    };
    let hash = next_hash(previous, n);
    tx.execute("INSERT INTO chain VALUES (?1, ?2, ?3)", (n, payload(n), hash))?;
    tx.execute("INSERT INTO twin VALUES (?1, ?2)", (n, hash))?;
    tx.execute(
        "INSERT OR REPLACE INTO slot VALUES (?1, ?2, zeroblob(?3))",
        [n % SLOTS, n, 2500 + n % 3000],
    )?;
    tx.commit()
}

/// The last transaction in the ledger, 0 for none.
pub fn head(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT coalesce(max(n), 0) FROM chain", [], |row| row.get(0))
}

/// Checks everything; `acknowledged` is `None` before the tables were acknowledged. Returns the last transaction.
pub fn verify(db: &Connection, acknowledged: Option<i64>) -> Result<i64, Damage> {
    let tables: i64 = db.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| row.get(0),
    )?;
    match (tables, acknowledged) {
        (0, None) => return Ok(0),
        (0, Some(acknowledged)) => {
            return Err(Damage::Lost {
                acknowledged,
                found: 0,
            });
        }
        (3, _) => {}
        _ => return Err(Damage::Torn(format!("{tables} of 3 tables"))),
    }
    // One read transaction, so that a writer beside us cannot make the tables disagree.
    let read = db.unchecked_transaction()?;
    let found = verify_rows(&read)?;
    let acknowledged = acknowledged.unwrap_or(0);
    if found < acknowledged {
        Err(Damage::Lost { acknowledged, found })
    } else {
        Ok(found)
    }
}

fn verify_rows(db: &Connection) -> Result<i64, Damage> {
    let mut statement = db.prepare(
        "SELECT c.n, c.payload, c.hash, t.hash FROM chain c LEFT JOIN twin t USING (n) ORDER BY c.n",
    )?;
    let mut rows = statement.query([])?;
    let (mut last, mut hash) = (0_i64, 0_i64);
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(0)?;
        hash = next_hash(hash, n);
        let twin: Option<i64> = row.get(3)?;
        if n != last + 1 || row.get::<_, Vec<u8>>(1)? != payload(n) || row.get::<_, i64>(2)? != hash {
            return Err(Damage::Torn(format!(
                "row {n} after row {last} does not continue the chain"
            )));
        }
        if twin != Some(hash) {
            return Err(Damage::Torn(format!("row {n} has no twin")));
        }
        last = n;
    }
    let twins: i64 = db.query_row("SELECT count(*) FROM twin", [], |row| row.get(0))?;
    let slots: Vec<(i64, i64, i64)> = db
        .prepare("SELECT i, n, length(filling) FROM slot ORDER BY n")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let expected: Vec<(i64, i64, i64)> = ((last - SLOTS).max(0) + 1..=last)
        .map(|n| (n % SLOTS, n, 2500 + n % 3000))
        .collect();
    if twins != last || slots != expected {
        return Err(Damage::Torn(format!(
            "chain ends at {last}, {twins} twins, slots {slots:?}"
        )));
    }
    Ok(last)
}

/// SQLite's and SQLCipher's own checks. `cipher_integrity_check` reads the database file and not the WAL: in the middle of
/// an interrupted checkpoint it finds torn pages that the WAL makes good, so the checkpoint is finished first.
pub fn check_pages(db: &Connection) -> Result<(), Damage> {
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    assert_eq!(busy, 0, "no one else has it open");
    for pragma in ["PRAGMA integrity_check", "PRAGMA cipher_integrity_check"] {
        let findings: Vec<String> = db
            .prepare(pragma)?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if !findings.iter().all(|finding| finding == "ok") {
            return Err(Damage::Torn(format!("{pragma}: {findings:?}")));
        }
    }
    Ok(())
}

/// A number from the environment: the nightly run asks for more, a failure is repeated with its seed.
pub fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a whole number")),
        Err(_) => default,
    }
}
