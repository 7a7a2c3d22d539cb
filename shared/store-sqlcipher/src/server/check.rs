//! Counting what is held, and reading every body against its hash: what `verify-backup` rests on.

use super::audit::{device_heads, head_of};
use super::sql::{During, all, one, uint};
use super::{SqlcipherStore, body};
use rusqlite::Connection;
use vitrine_store::batch::body_hash;
use vitrine_store::messages::message_sum;
use vitrine_store::pack::Packs;
use vitrine_store::{Contents, RowCheck, StoreError};

const COUNTING: &str = "counting what is held";
const CHECKING: &str = "reading every body";

/// Rows of every table of ours and the heads of every chain, of one moment.
pub(super) fn contents(conn: &Connection) -> Result<Contents, StoreError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                AND name <> 'person' AND name NOT LIKE 'person\\_%' ESCAPE '\\' ORDER BY name";
    let tables = all(conn, sql, [], |r| r.get::<_, String>(0)).during(COUNTING)?;
    let mut out = Contents::default();
    for table in tables {
        let n = one(conn, &format!("SELECT count(*) FROM \"{table}\""), [], |r| {
            r.get::<_, i64>(0)
        });
        out.rows.insert(table, uint(n.during(COUNTING)?.unwrap_or(0)));
    }
    out.heads.push(("server".to_owned(), head_of(conn)?));
    out.heads.extend(device_heads(conn)?);
    Ok(out)
}

/// A body with what is said of it: name for a fault, hash, bytes.
struct Said {
    name: String,
    hash: Option<[u8; 16]>,
    packed: Vec<u8>,
}

/// Reads one table body by body; `sql` gives name, hash, body.
fn bodies(
    conn: &Connection,
    packs: &Packs,
    sql: &str,
    check: &mut RowCheck,
    n: fn(&mut RowCheck),
) -> Result<(), StoreError> {
    let mut statement = conn.prepare(sql).during(CHECKING)?;
    let mut rows = statement.query([]).during(CHECKING)?;
    while let Some(r) = rows.next().during(CHECKING)? {
        let said = Said {
            name: r.get(0).during(CHECKING)?,
            hash: r.get(1).during(CHECKING)?,
            packed: r
                .get::<_, Option<Vec<u8>>>(2)
                .during(CHECKING)?
                .unwrap_or_default(),
        };
        n(check);
        one_body(said, packs, check);
    }
    Ok(())
}

fn one_body(said: Said, packs: &Packs, check: &mut RowCheck) {
    let raw = match body::open(Some(packs), &said.packed) {
        Ok(raw) => raw,
        // The pack itself is checked whole, by its SHA-256.
        Err(StoreError::Archived { .. }) => {
            check.archived += 1;
            return;
        }
        Err(e @ StoreError::PackMissing(_)) => {
            check.fault(|| format!("{}: {e}", said.name));
            return;
        }
        Err(_) => {
            check.fault(|| format!("{}: its bytes cannot be unpacked", said.name));
            return;
        }
    };
    match said.hash {
        Some(hash) if hash != body_hash(&raw) => {
            check.fault(|| format!("{}: its bytes are not those of its hash", said.name));
        }
        Some(_) => {}
        None => check.unhashed += 1,
    }
}

/// Reads every message whose bytes are to be here against their SHA-256.
fn messages(conn: &Connection, check: &mut RowCheck) -> Result<(), StoreError> {
    let sql = "SELECT m.id, m.sum, b.body FROM message m LEFT JOIN message_body b ON b.id = m.id WHERE m.kept = 1 ORDER BY m.id";
    let mut statement = conn.prepare(sql).during(CHECKING)?;
    let mut rows = statement.query([]).during(CHECKING)?;
    while let Some(r) = rows.next().during(CHECKING)? {
        let (id, sum): (i64, Vec<u8>) = (r.get(0).during(CHECKING)?, r.get(1).during(CHECKING)?);
        let packed: Option<Vec<u8>> = r.get(2).during(CHECKING)?;
        check.messages += 1;
        let raw = packed.map(|p| body::unpack(&p));
        match raw {
            None => check.fault(|| format!("message {id}: its bytes are missing")),
            Some(Err(_)) => check.fault(|| format!("message {id}: its bytes cannot be unpacked")),
            Some(Ok(raw)) if message_sum(&raw)[..] != sum[..] => {
                check.fault(|| format!("message {id}: its bytes are not those of its hash"));
            }
            Some(Ok(_)) => {}
        }
    }
    Ok(())
}

fn rows(conn: &Connection, packs: &Packs) -> Result<RowCheck, StoreError> {
    let mut check = RowCheck::default();
    bodies(
        conn,
        packs,
        "SELECT kind || '/' || id, hash, body FROM resource WHERE deleted = 0",
        &mut check,
        |c| c.resources += 1,
    )?;
    bodies(
        conn,
        packs,
        "SELECT 'EmergencyCard/' || p.id, c.hash, c.body FROM card c JOIN patient p USING (pid) WHERE c.live",
        &mut check,
        |c| c.cards += 1,
    )?;
    bodies(
        conn,
        packs,
        "SELECT 'board row of ' || p.id, b.hash, b.body FROM board b JOIN patient p USING (pid)
          WHERE b.ward IS NOT NULL",
        &mut check,
        |c| c.boards += 1,
    )?;
    let unhashed = check.unhashed;
    bodies(
        conn,
        packs,
        "SELECT r.kind || '/' || r.id || ' version ' || v.version, NULL, v.body
           FROM resource_version v JOIN resource r USING (rid) WHERE v.deleted = 0",
        &mut check,
        |c| c.versions += 1,
    )?;
    check.unhashed = unhashed;
    messages(conn, &mut check)?;
    Ok(check)
}

impl SqlcipherStore {
    /// Rows of every table and the heads of every chain.
    ///
    /// # Errors
    /// As every read.
    pub async fn contents(&self) -> Result<Contents, StoreError> {
        self.preparers.run(contents).await
    }

    /// Computes the hash of every resource, card and board row anew and compares.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a page cannot be read at all.
    pub async fn check_rows(&self) -> Result<RowCheck, StoreError> {
        let packs = self.packs_here();
        self.preparers.run(move |conn| rows(conn, &packs)).await
    }
}
