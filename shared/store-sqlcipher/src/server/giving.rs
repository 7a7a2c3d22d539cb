//! Giving the whole record to another backend (`vitrine_store::transfer`): every table in key order, bodies unpacked.
//!
//! Lives here: [`EmbeddedGiver`], a reading connection of its own on a file that nobody else has open; putting the file
//! away afterwards. Never here: what the other end does. Called by the server's `migrate`.
//!
//! The file and what lies beside it stay as they are until [`EmbeddedGiver::put_away`]. Words of the search index
//! cannot be read back (it keeps no content), so a person's are extracted from the Patient resource again.

use super::audit::{head_of, verify_devices, verify_server};
use super::audit_rows::Reading;
use super::prepare::current;
use super::sql::{During, one, uint};
use super::{APPLICATION_ID, MIGRATIONS, body, feed, head_file};
use crate::cipher::{self, Key as DatabaseKey, OpenOptions, beside, io_fault};
use crate::readers::{OpenReader, Readers};
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitrine_access::chain::Head;
use vitrine_clinical::ResourceKey;
use vitrine_store::transfer::{
    Cell, Form, Gives, Key, Row, STRETCH_BYTES, STRETCH_ROWS, Table, audit_at, weight,
};
use vitrine_store::{Projector, StoreError};

const READING: &str = "reading the record to move it";
const PUTTING_AWAY: &str = "putting the moved database away";

/// A record that is about to leave its file.
pub struct EmbeddedGiver {
    path: PathBuf,
    key: DatabaseKey,
    projector: Arc<dyn Projector>,
    /// One: everything is read in order.
    reader: Readers,
}

/// Where the record stands beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The newest position of the change feed.
    pub newest: u64,
    /// The head of the server's audit chain.
    pub head: Head,
    /// The earliest time of an old version, UTC milliseconds.
    pub oldest_version: Option<i64>,
    /// The time of the first audit row.
    pub oldest_audit: Option<i64>,
}

impl EmbeddedGiver {
    /// Opens a file for reading. The caller holds its folder, so that nobody writes meanwhile.
    ///
    /// # Errors
    /// As [`cipher::open`]; [`StoreError::NewerSchema`], [`StoreError::Refused`] for another schema than this program's.
    pub fn open(path: &Path, key: DatabaseKey, projector: Arc<dyn Projector>) -> Result<Self, StoreError> {
        let options = OpenOptions {
            read_only: true,
            cache_kib: 64 * 1024,
            ..OpenOptions::default()
        };
        let known = MIGRATIONS.last().map_or(0, |m| m.number);
        let found = cipher::version(&cipher::open(path, &key, &options)?, path, APPLICATION_ID)?;
        if found > known {
            return Err(StoreError::NewerSchema { found, known });
        }
        if found < known {
            return Err(StoreError::Refused(format!(
                "{} has schema {found}, this program's is {known}: run 'vitrine-server migrate --data' on its folder first",
                path.display()
            )));
        }
        let conn = cipher::open(path, &key, &options)?;
        let packs = "SELECT count(*) FROM pack WHERE tier <> 0";
        let packed = one(&conn, packs, [], |r| r.get::<_, i64>(0)).during(READING)?;
        if packed.is_some_and(|n| n > 0) {
            return Err(StoreError::Refused(format!(
                "{} bodies of this record lie in packs: bring them back first with 'vitrine-server archive recall --all --hot --data <folder>'",
                path.display()
            )));
        }
        drop(conn);
        let (at, with) = (path.to_owned(), key.clone());
        let open: OpenReader = Arc::new(move || cipher::open(&at, &with, &options));
        Ok(Self {
            path: path.to_owned(),
            key,
            projector,
            reader: Readers::start("giver", 1, &open)?,
        })
    }

    /// Checks every audit chain, also against the sealed head beside the file: a broken one does not move.
    ///
    /// # Errors
    /// As `SqlcipherStore::verify_audit`.
    pub async fn verify_audit(&self) -> Result<(), StoreError> {
        let kept = head_file::read(&head_file::evidence_beside(&self.path), &self.key)?;
        let sealed = kept.or(head_file::read(&head_file::path_beside(&self.path), &self.key)?);
        self.reader
            .run(move |conn| {
                verify_server(conn, sealed)?;
                verify_devices(conn)?;
                Ok(())
            })
            .await
    }

    /// Where the record stands.
    ///
    /// # Errors
    /// As every read.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        self.reader
            .run(|conn| {
                let oldest = "SELECT min(updated) FROM resource_version";
                let first = "SELECT body FROM audit ORDER BY seq LIMIT 1";
                let first: Option<Vec<u8>> = one(conn, first, [], |r| r.get(0)).during(READING)?;
                let first = match first {
                    Some(packed) => Reading::new(conn).text(&packed)?,
                    None => None,
                };
                Ok(Standing {
                    newest: feed::newest(conn)?,
                    head: head_of(conn)?,
                    oldest_version: one(conn, oldest, [], |r| r.get(0)).during(READING)?.flatten(),
                    oldest_audit: first.map(|b| audit_at(&b)),
                })
            })
            .await
    }

    /// Closes the file with its WAL moved into it and renames it, so that nothing takes it for the record any more.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when it is still in use or cannot be renamed; it then lies where it lay.
    pub fn put_away(self, to: &Path) -> Result<(), StoreError> {
        let Self {
            path, key, reader, ..
        } = self;
        drop(reader);
        put_away(&path, &key, to)
    }
}

/// As [`EmbeddedGiver::put_away`], of a file that nobody has open.
fn put_away(path: &Path, key: &DatabaseKey, to: &Path) -> Result<(), StoreError> {
    let conn = cipher::open(path, key, &OpenOptions::default())?;
    let busy: i64 = conn
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))
        .during(PUTTING_AWAY)?;
    conn.close().map_err(|(_, e)| e).during(PUTTING_AWAY)?;
    let wal = beside(path, "-wal");
    if busy != 0 || std::fs::metadata(&wal).is_ok_and(|m| m.len() > 0) {
        return Err(StoreError::Backend {
            doing: PUTTING_AWAY,
            cause: format!("{} is in use", path.display()),
        });
    }
    for empty in [wal, beside(path, "-shm")] {
        match std::fs::remove_file(&empty) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_fault(PUTTING_AWAY, &e)),
        }
    }
    std::fs::rename(path, to).map_err(|e| io_fault(PUTTING_AWAY, &e))?;
    if let Some(folder) = to.parent() {
        // Not every file system lets a folder be synced.
        let _ = std::fs::File::open(folder).and_then(|f| f.sync_all());
    }
    Ok(())
}

/// The columns of a table in the order of [`Table::columns`], and where they come from.
fn source(table: Table) -> (String, &'static str) {
    let columns: Vec<&str> = table.columns().iter().map(|c| c.name).collect();
    let columns = columns.join(", ");
    match table {
        Table::Account => (columns.replacen("name", "user", 1), table.name()),
        // A card's version is told to its wards with the card itself.
        Table::Member => (
            "m.ward, m.id, m.pid, coalesce(c.ver, 0)".to_owned(),
            "ess_member m LEFT JOIN card c ON c.pid = m.pid",
        ),
        // The wall clock is in the body.
        Table::Audit => (columns.replacen("at", "0", 1), table.name()),
        Table::DeviceAudit => (
            columns.replacen("device", "w.text", 1),
            "audit_word w JOIN device_audit d ON d.device = w.no",
        ),
        _ => (columns, table.name()),
    }
}

/// The order of a table's rows: its key, as this end calls it.
fn order(table: Table) -> Vec<&'static str> {
    match table {
        Table::Member => vec!["m.ward", "m.id"],
        Table::DeviceAudit => vec!["w.text", "d.seq"],
        other => other
            .columns()
            .iter()
            .take(other.keys())
            .map(|c| c.name)
            .collect(),
    }
}

fn statement(table: Table, after: bool) -> String {
    let (columns, from) = source(table);
    let keys = order(table).join(", ");
    let marks: Vec<String> = (1..=table.keys()).map(|n| format!("?{n}")).collect();
    let condition = if after {
        format!("WHERE ({keys}) > ({})", marks.join(", "))
    } else {
        String::new()
    };
    format!("SELECT {columns} FROM {from} {condition} ORDER BY {keys}")
}

/// Bodies that lie packed in the file; the others lie as they are.
const fn is_packed(table: Table) -> bool {
    matches!(
        table,
        Table::Resource
            | Table::Version
            | Table::Card
            | Table::Board
            | Table::Quarantine
            | Table::MessageBody
            | Table::Study
            | Table::Series
            | Table::Instance
    )
}

struct Bound<'c>(&'c Cell);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null | Cell::Unreadable => ValueRef::Null,
            Cell::Number(n) => ValueRef::Integer(*n),
            Cell::Flag(f) => ValueRef::Integer(i64::from(*f)),
            Cell::Text(t) => ValueRef::Text(t.as_bytes()),
            Cell::Bytes(b) => ValueRef::Blob(b),
        }))
    }
}

/// One value as the other end is to see it.
fn cell(table: Table, form: Form, value: ValueRef<'_>) -> Cell {
    let text = |t: &[u8]| std::str::from_utf8(t).map_or(Cell::Unreadable, |t| Cell::Text(t.to_owned()));
    match (form, value) {
        (_, ValueRef::Null) => Cell::Null,
        (Form::Number | Form::Small, ValueRef::Integer(n)) => Cell::Number(n),
        (Form::Flag, ValueRef::Integer(n @ (0 | 1))) => Cell::Flag(n == 1),
        (Form::Text, ValueRef::Text(t)) => text(t),
        (Form::Bytes | Form::Id, ValueRef::Blob(b)) => Cell::Bytes(Bytes::copy_from_slice(b)),
        (Form::Body, ValueRef::Blob(b)) if is_packed(table) => {
            body::unpack(b).map_or(Cell::Unreadable, |b| Cell::Bytes(Bytes::from(b)))
        }
        (Form::Body, ValueRef::Blob(b) | ValueRef::Text(b)) => Cell::Bytes(Bytes::copy_from_slice(b)),
        _ => Cell::Unreadable,
    }
}

fn unreadable(table: Table, row: &Row) -> StoreError {
    let key = table.said(&table.key(row));
    StoreError::Damaged(format!("{table}, {key}: the embedded store"))
}

/// A stretch of a table that lies here as it is given.
fn plain(conn: &Connection, table: Table, after: Option<&Key>) -> Result<Vec<Row>, StoreError> {
    let sql = statement(table, after.is_some());
    let mut statement = conn.prepare_cached(&sql).during(READING)?;
    let bound = after.into_iter().flatten().map(Bound);
    let mut found = statement.query(params_from_iter(bound)).during(READING)?;
    let (mut rows, mut bytes, mut audit) = (Vec::new(), 0, Reading::new(conn));
    let is_audit = matches!(table, Table::Audit | Table::DeviceAudit);
    while rows.len() < STRETCH_ROWS
        && bytes < STRETCH_BYTES
        && let Some(r) = found.next().during(READING)?
    {
        let mut row = Vec::with_capacity(table.columns().len());
        for (n, column) in table.columns().iter().enumerate() {
            let value = r.get_ref(n).during(READING)?;
            row.push(match (column.form, value) {
                (Form::Body, ValueRef::Blob(packed)) if is_audit => audit
                    .text(packed)?
                    .map_or(Cell::Unreadable, |b| Cell::Bytes(Bytes::from(b))),
                _ => cell(table, column.form, value),
            });
        }
        if row.contains(&Cell::Unreadable) {
            return Err(unreadable(table, &row));
        }
        if table == Table::Audit
            && let (Some(Cell::Bytes(body)), at) = (row.get(3), 1)
        {
            row[at] = Cell::Number(audit_at(body));
        }
        bytes += weight(&row);
        rows.push(row);
    }
    Ok(rows)
}

fn number(after: Option<&Key>) -> i64 {
    match after.and_then(|k| k.first()) {
        Some(Cell::Number(n)) => *n,
        _ => i64::MIN,
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Cell, StoreError> {
    let text = serde_json::to_vec(value).map_err(|e| StoreError::Backend {
        doing: READING,
        cause: e.to_string(),
    })?;
    Ok(Cell::Bytes(Bytes::from(text)))
}

/// A resource's number, its type, its identifiers as `(system, value)`.
type Identified = (i64, String, Vec<(String, String)>);

/// All identifiers of a resource in one row.
fn idents(conn: &Connection, after: Option<&Key>) -> Result<Vec<Row>, StoreError> {
    let sql = "SELECT rid, kind, system, value FROM ident WHERE rid > ?1 ORDER BY rid";
    let mut statement = conn.prepare_cached(sql).during(READING)?;
    let mut found = statement.query([number(after)]).during(READING)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut present: Option<Identified> = None;
    let row = |(rid, kind, pairs): Identified| -> Result<Row, StoreError> {
        Ok(vec![Cell::Number(rid), Cell::Text(kind), json(&pairs)?])
    };
    while rows.len() < STRETCH_ROWS
        && let Some(r) = found.next().during(READING)?
    {
        let (rid, kind): (i64, String) = (r.get(0).during(READING)?, r.get(1).during(READING)?);
        let pair = (r.get(2).during(READING)?, r.get(3).during(READING)?);
        match &mut present {
            Some((of, _, pairs)) if *of == rid => pairs.push(pair),
            _ => {
                if let Some(before) = present.replace((rid, kind, vec![pair])) {
                    rows.push(row(before)?);
                }
            }
        }
    }
    if rows.len() < STRETCH_ROWS
        && let Some(last) = present
    {
        rows.push(row(last)?);
    }
    Ok(rows)
}

/// What each person is found by, extracted anew from the Patient resource that the index was made from.
fn persons(
    conn: &Connection,
    projector: &dyn Projector,
    after: Option<&Key>,
) -> Result<Vec<Row>, StoreError> {
    let sql = "SELECT p.pid, r.kind, r.id, r.body FROM patient p CROSS JOIN resource r ON r.kind = 'Patient' AND r.id = p.id
                WHERE p.pid > ?1 AND r.deleted = 0 AND r.meaning & 8 AND r.pid = p.pid ORDER BY p.pid LIMIT ?2";
    let mut statement = conn.prepare_cached(sql).during(READING)?;
    let limit = i64::try_from(STRETCH_ROWS).unwrap_or(i64::MAX);
    let mut found = statement.query([number(after), limit]).during(READING)?;
    let mut rows = Vec::new();
    while let Some(r) = found.next().during(READING)? {
        let pid: i64 = r.get(0).during(READING)?;
        let (kind, id): (String, String) = (r.get(1).during(READING)?, r.get(2).during(READING)?);
        let damaged =
            || StoreError::Damaged(format!("the Patient resource of pid {pid} in the embedded store"));
        let packed: Vec<u8> = r.get(3).during(READING)?;
        let body = body::unpack(&packed).map_err(|_| damaged())?;
        let key = ResourceKey::new(&kind, &id).map_err(|_| damaged())?;
        let mut lookup = |k: &ResourceKey| current(conn, None, k).ok().flatten();
        let extract = projector
            .extract(&key, &body, &mut lookup)
            .map_err(|_| damaged())?;
        let person = extract.person.ok_or_else(damaged)?;
        rows.push(vec![Cell::Number(pid), json(&person)?]);
    }
    Ok(rows)
}

#[async_trait]
impl Gives for EmbeddedGiver {
    async fn count(&self, table: Table) -> Result<u64, StoreError> {
        let sql = match table {
            Table::Ident => "SELECT count(DISTINCT rid) FROM ident".to_owned(),
            other => format!("SELECT count(*) FROM {}", other.name()),
        };
        self.reader
            .run(move |conn| {
                let count = one(conn, &sql, [], |r| Ok(uint(r.get(0)?))).during(READING)?;
                Ok(count.unwrap_or(0))
            })
            .await
    }

    async fn rows(&self, table: Table, after: Option<&Key>) -> Result<Vec<Row>, StoreError> {
        let (after, projector) = (after.cloned(), self.projector.clone());
        self.reader
            .run(move |conn| match table {
                Table::Ident => idents(conn, after.as_ref()),
                Table::Person => persons(conn, &*projector, after.as_ref()),
                other => plain(conn, other, after.as_ref()),
            })
            .await
    }
}
