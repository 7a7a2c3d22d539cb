//! How the rows of a move lie in the tables here: sealed bodies, tokens for words, the columns only this backend has.

use crate::acts::{About, json};
use crate::sql::{Fault, col};
use crate::vault::{Place, Vault};
use bytes::{BufMut as _, Bytes, BytesMut};
use std::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use vitrine_store::imaging::{self, InstanceBody, SeriesBody, StudyBody};
use vitrine_store::search::PersonWords;
use vitrine_store::transfer::{Cell, Column, Form, Row, Table};
use vitrine_store::{PersonRow, StoreError};

/// Where the row of a message has its two digests, and what its header says.
const MESSAGE_SAME: usize = 13;
const MESSAGE_ABOUT: usize = 15;

/// The chain and the counts of the server that moved.
const CHAIN: &str = "server";

/// A value on its way into the database, in the binary form of whatever column it goes to.
#[derive(Debug)]
pub(super) enum Out {
    Cell(Cell),
    Sealed(Vec<u8>),
    Tokens(Vec<i64>),
}

impl ToSql for Out {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Cell(Cell::Null | Cell::Unreadable) => return Ok(IsNull::Yes),
            Self::Cell(Cell::Number(n)) if *ty == Type::INT2 => out.put_i16(i16::try_from(*n)?),
            Self::Cell(Cell::Number(n)) => out.put_i64(*n),
            Self::Cell(Cell::Flag(f)) => out.put_u8(u8::from(*f)),
            Self::Cell(Cell::Text(t)) => out.put_slice(t.as_bytes()),
            // A uuid's binary form is its 16 bytes.
            Self::Cell(Cell::Bytes(b)) => out.put_slice(b),
            Self::Sealed(b) => out.put_slice(b),
            Self::Tokens(t) => return t.to_sql(ty, out),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

const fn type_of(form: Form) -> Type {
    match form {
        Form::Number => Type::INT8,
        Form::Small => Type::INT2,
        Form::Flag => Type::BOOL,
        Form::Text => Type::TEXT,
        Form::Bytes | Form::Body => Type::BYTEA,
        Form::Id => Type::UUID,
        Form::Words => Type::INT8_ARRAY,
    }
}

/// What COPY is told of a table, and the types of its columns.
pub(super) fn copied(table: Table) -> (String, Vec<Type>) {
    let (names, types): (Vec<&str>, Vec<Type>) = match table {
        Table::Ident => (
            vec!["value", "pair", "kind", "rid"],
            vec![Type::INT8, Type::INT8, Type::TEXT, Type::INT8],
        ),
        Table::Person => (
            vec!["pid", "tokens", "form"],
            vec![Type::INT8, Type::INT8_ARRAY, Type::INT2],
        ),
        Table::Quarantine => (
            vec!["id", "at", "bytes", "about", "body"],
            vec![Type::INT8, Type::INT8, Type::INT8, Type::BYTEA, Type::BYTEA],
        ),
        _ => {
            let of = |c: &Column| (c.name, type_of(c.form));
            let (mut names, mut types): (Vec<_>, Vec<_>) = table.columns().iter().map(of).unzip();
            if matches!(table, Table::Audit | Table::Tally) {
                names.push("chain");
                types.push(Type::TEXT);
            }
            if matches!(table, Table::Study | Table::Series | Table::Instance) {
                names.push("uid");
                types.push(Type::BYTEA);
            }
            if table == Table::Study {
                names.push("accession");
                types.push(Type::INT8);
            }
            (names, types)
        }
    };
    (format!("{} ({})", table.name(), names.join(", ")), types)
}

fn text(cell: Option<&Cell>) -> Option<&str> {
    match cell {
        Some(Cell::Text(t)) => Some(t),
        _ => None,
    }
}

fn number(row: &[Cell], index: usize) -> i64 {
    match row.get(index) {
        Some(Cell::Number(n)) => *n,
        _ => 0,
    }
}

/// Where the body of a row is bound to.
fn place(table: Table, row: &[Cell]) -> Place<'_> {
    let seq = |index: usize| u64::try_from(number(row, index)).unwrap_or(0);
    match (table, row.first()) {
        (Table::Fact, _) => Place::Fact(number(row, 0)),
        (Table::Card, _) => Place::Card(number(row, 0)),
        (Table::Board, _) => Place::Board(number(row, 0)),
        (Table::Study, _) => Place::Study(number(row, 0)),
        (Table::Series, _) => Place::Series(number(row, 0)),
        (Table::Instance, _) => Place::Instance(number(row, 0)),
        (Table::Audit, _) => Place::Audit(CHAIN, seq(0)),
        (Table::DeviceAudit, Some(Cell::Text(device))) => Place::Audit(device, seq(1)),
        (Table::Grant, Some(Cell::Bytes(id))) => Place::Grant(id),
        (Table::Hold, Some(Cell::Text(patient))) => Place::Archive(patient.as_bytes()),
        (Table::Destruction, Some(Cell::Bytes(id))) => Place::Archive(id),
        (Table::Quarantine, _) => Place::Quarantine,
        (Table::Message, _) => Place::MessageSaid(number(row, 0)),
        (Table::MessageBody, _) => Place::MessageBody(number(row, 0)),
        _ => Place::Resource(number(row, 0)),
    }
}

fn wrong(table: Table) -> StoreError {
    StoreError::Refused(format!("a row of {table} is not as this program moves it"))
}

/// Tokens as one value: eight bytes each.
fn packed(tokens: &[i64]) -> Cell {
    Cell::Bytes(tokens.iter().flat_map(|t| t.to_be_bytes()).collect())
}

fn unpacked(cell: Option<&Cell>) -> Vec<i64> {
    match cell {
        Some(Cell::Bytes(b)) => {
            let (chunks, _) = b.as_chunks::<8>();
            chunks.iter().map(|c| i64::from_be_bytes(*c)).collect()
        }
        _ => Vec::new(),
    }
}

/// Pairs in order, each once, as one value.
fn packed_pairs(mut pairs: Vec<[i64; 2]>) -> Cell {
    pairs.sort_unstable();
    pairs.dedup();
    packed(pairs.as_flattened())
}

/// What messages are looked for by, as tokens.
fn tokens_of_message(vault: &Vault, row: &mut Row) {
    for cell in row.iter_mut().skip(MESSAGE_SAME).take(2) {
        if let Cell::Bytes(digest) = cell {
            *cell = Cell::Bytes(Bytes::copy_from_slice(&vault.message_token(digest)));
        }
    }
}

/// Words become the tokens by which they are found here.
pub(super) fn kept(vault: &Vault, table: Table, mut rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
    if table == Table::Message {
        rows.iter_mut().for_each(|row| tokens_of_message(vault, row));
        return Ok(rows);
    }
    for row in &mut rows {
        let Some(words) = row.last_mut() else { continue };
        match (table, &*words) {
            (Table::Ident, Cell::Bytes(b)) => {
                let pairs: Vec<(String, String)> = serde_json::from_slice(b).map_err(|_| wrong(table))?;
                let token = |(system, value): &(String, String)| {
                    [vault.value_token(value), vault.both_token(system, value)]
                };
                *words = packed_pairs(pairs.iter().map(token).collect());
            }
            (Table::Person, Cell::Bytes(b)) => {
                let person: PersonRow = serde_json::from_slice(b).map_err(|_| wrong(table))?;
                *words = packed(&vault.person_tokens(&PersonWords::of(&person)));
            }
            (Table::Ident | Table::Person, _) => return Err(wrong(table)),
            _ => {}
        }
    }
    Ok(rows)
}

/// A row as COPY takes it; a resource's identifiers are a row each.
pub(super) fn bare(vault: &Vault, table: Table, row: Row, to: &mut Vec<Vec<Out>>) -> Result<(), StoreError> {
    match table {
        Table::Ident => {
            let tokens = unpacked(row.last());
            let (pairs, _) = tokens.as_chunks::<2>();
            let (rid, kind) = (number(&row, 0), text(row.get(1)).unwrap_or_default());
            to.extend(pairs.iter().map(|[value, pair]| {
                vec![
                    Out::Cell(Cell::Number(*value)),
                    Out::Cell(Cell::Number(*pair)),
                    Out::Cell(Cell::Text(kind.to_owned())),
                    Out::Cell(Cell::Number(rid)),
                ]
            }));
            return Ok(());
        }
        Table::Person => {
            let tokens = unpacked(row.last());
            to.push(vec![
                Out::Cell(Cell::Number(number(&row, 0))),
                Out::Tokens(tokens),
                Out::Cell(Cell::Number(1)),
            ]);
            return Ok(());
        }
        _ => {}
    }
    let sealed = match row.last() {
        Some(Cell::Bytes(body)) if table.columns().last().is_some_and(|c| c.form == Form::Body) => {
            Some(vault.put(place(table, &row), body)?)
        }
        _ => None,
    };
    let about = if table == Table::Quarantine {
        let said = |index: usize| text(row.get(index)).map(str::to_owned);
        let about = About {
            location: said(2).unwrap_or_default(),
            kind: said(3),
            reason: said(4).unwrap_or_default(),
            expression: said(5),
        };
        Some(vault.put(Place::Quarantine, json(&about)?.as_bytes())?)
    } else {
        None
    };
    let header = match row.get(MESSAGE_ABOUT) {
        Some(Cell::Bytes(said)) if table == Table::Message => {
            Some(vault.put(Place::Message(number(&row, 0)), said)?)
        }
        _ => None,
    };
    let tokens = image_tokens(vault, table, &row)?;
    let mut out: Vec<Out> = row.into_iter().map(Out::Cell).collect();
    if let (Some(sealed), Some(last)) = (sealed, out.last_mut()) {
        *last = Out::Sealed(sealed);
    }
    if let (Some(said), Some(cell)) = (header, out.get_mut(MESSAGE_ABOUT)) {
        *cell = Out::Sealed(said);
    }
    out.extend(tokens);
    match (table, about) {
        (Table::Audit | Table::Tally, _) => out.push(Out::Cell(Cell::Text(CHAIN.to_owned()))),
        (Table::Quarantine, Some(about)) => {
            let rest = out.split_off(6);
            out.truncate(2);
            let mut rest = rest.into_iter();
            out.extend(rest.next());
            out.push(Out::Sealed(about));
            out.extend(rest);
        }
        _ => {}
    }
    to.push(out);
    Ok(())
}

/// The tokens by which an image is found here, of what its body says.
fn image_tokens(vault: &Vault, table: Table, row: &[Cell]) -> Result<Vec<Out>, StoreError> {
    let Some(Cell::Bytes(body)) = row.last() else {
        return Ok(Vec::new());
    };
    let uid = |uid: &str| Out::Cell(Cell::Bytes(Bytes::copy_from_slice(&vault.uid_token(uid))));
    Ok(match table {
        Table::Study => {
            let body: StudyBody = imaging::body(body)?;
            let accession = body.accession.map(|a| Cell::Number(vault.accession_token(&a)));
            vec![uid(&body.uid), Out::Cell(accession.unwrap_or(Cell::Null))]
        }
        Table::Series => vec![uid(&imaging::body::<SeriesBody>(body)?.uid)],
        Table::Instance => vec![uid(&imaging::body::<InstanceBody>(body)?.uid)],
        _ => Vec::new(),
    })
}

/// The statement that gives rows back: `$1` is the limit, then the keys of the bounds.
pub(super) fn query(table: Table, after: bool, up_to: bool) -> String {
    let columns: Vec<&str> = table.columns().iter().map(|c| c.name).collect();
    let (columns, from) = match table {
        Table::Ident => ("rid, kind, value, pair".to_owned(), "ident"),
        Table::Person => ("pid, tokens".to_owned(), "person"),
        Table::Quarantine => ("id, at, bytes, about, body".to_owned(), "quarantine"),
        Table::Audit => (
            columns.join(", "),
            "(SELECT * FROM audit WHERE chain = 'server') a",
        ),
        Table::Tally => (
            columns.join(", "),
            "(SELECT t.name COLLATE \"C\" AS name, sum(t.n)::bigint AS n FROM tally t GROUP BY t.name) s",
        ),
        _ => (columns.join(", "), table.name()),
    };
    let keys: Vec<&str> = table
        .columns()
        .iter()
        .take(table.keys())
        .map(|c| c.name)
        .collect();
    let keys = keys.join(", ");
    let bound = |sign: &str, from: usize| {
        let marks: Vec<String> = (0..table.keys()).map(|n| format!("${}", from + n)).collect();
        format!("({keys}) {sign} ({})", marks.join(", "))
    };
    let mut conditions = Vec::new();
    if after {
        conditions.push(bound(">", 2));
    }
    if up_to {
        conditions.push(bound("<=", if after { 2 + table.keys() } else { 2 }));
    }
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!("WHERE {}", conditions.join(" AND "))
    };
    // Identifiers are many rows for one of the other end's: a stretch that is bounded is read whole.
    let limit = if table == Table::Ident && up_to {
        "LIMIT nullif($1::bigint, $1::bigint)"
    } else {
        "LIMIT $1"
    };
    format!("SELECT {columns} FROM {from} {condition} ORDER BY {keys} {limit}")
}

fn opened(vault: &Vault, place: Place<'_>, sealed: Option<&[u8]>) -> Cell {
    match sealed {
        None => Cell::Null,
        Some(s) => vault
            .get(place, s)
            .map_or(Cell::Unreadable, |b| Cell::Bytes(Bytes::from(b))),
    }
}

fn cell(row: &tokio_postgres::Row, index: usize, form: Form, doing: &'static str) -> Result<Cell, Fault> {
    let made = match form {
        Form::Number => col::<Option<i64>>(row, index, doing)?.map(Cell::Number),
        Form::Small => col::<Option<i16>>(row, index, doing)?.map(|n| Cell::Number(n.into())),
        Form::Flag => col::<Option<bool>>(row, index, doing)?.map(Cell::Flag),
        Form::Text => col::<Option<String>>(row, index, doing)?.map(Cell::Text),
        Form::Bytes | Form::Body => {
            col::<Option<&[u8]>>(row, index, doing)?.map(|b| Cell::Bytes(Bytes::copy_from_slice(b)))
        }
        Form::Id => col::<Option<uuid::Uuid>>(row, index, doing)?
            .map(|u| Cell::Bytes(Bytes::copy_from_slice(u.as_bytes()))),
        Form::Words => {
            let mut tokens: Vec<i64> = col(row, index, doing)?;
            tokens.sort_unstable();
            Some(packed(&tokens))
        }
    };
    Ok(made.unwrap_or(Cell::Null))
}

/// Rows of [`query`] as the proof compares them.
pub(super) fn given_back(
    vault: &Vault,
    table: Table,
    found: &[tokio_postgres::Row],
    doing: &'static str,
) -> Result<Vec<Row>, StoreError> {
    match table {
        Table::Ident => Ok(idents(found, doing)?),
        Table::Quarantine => found.iter().map(|r| Ok(quarantined(vault, r, doing)?)).collect(),
        _ => {
            let mut rows = Vec::with_capacity(found.len());
            for r in found {
                let mut row = Vec::with_capacity(table.columns().len());
                for (n, column) in table.columns().iter().enumerate() {
                    let cell = match column.form {
                        Form::Body if table == Table::Message && n == MESSAGE_ABOUT => {
                            opened(vault, Place::Message(number(&row, 0)), col(r, n, doing)?)
                        }
                        Form::Body => opened(vault, place(table, &row), col(r, n, doing)?),
                        form => cell(r, n, form, doing)?,
                    };
                    row.push(cell);
                }
                rows.push(row);
            }
            Ok(rows)
        }
    }
}

fn idents(found: &[tokio_postgres::Row], doing: &'static str) -> Result<Vec<Row>, Fault> {
    let mut rows = Vec::new();
    let mut present: Option<(i64, String, Vec<[i64; 2]>)> = None;
    let row = |(rid, kind, pairs): (i64, String, Vec<[i64; 2]>)| {
        vec![Cell::Number(rid), Cell::Text(kind), packed_pairs(pairs)]
    };
    for r in found {
        let (rid, kind): (i64, String) = (col(r, 0, doing)?, col(r, 1, doing)?);
        let pair = [col(r, 2, doing)?, col(r, 3, doing)?];
        match &mut present {
            Some((of, named, pairs)) if *of == rid && *named == kind => pairs.push(pair),
            _ => rows.extend(present.replace((rid, kind, vec![pair])).map(row)),
        }
    }
    rows.extend(present.map(row));
    Ok(rows)
}

/// `id, at, bytes, about, body` as the other end's columns.
fn quarantined(vault: &Vault, r: &tokio_postgres::Row, doing: &'static str) -> Result<Row, Fault> {
    let about = vault.get(Place::Quarantine, col(r, 3, doing)?);
    let about: Option<About> = about.ok().and_then(|b| serde_json::from_slice(&b).ok());
    let said = |text: Option<String>| text.map_or(Cell::Null, Cell::Text);
    let mut row = vec![cell(r, 0, Form::Number, doing)?, cell(r, 1, Form::Number, doing)?];
    match about {
        Some(a) => row.extend([
            Cell::Text(a.location),
            said(a.kind),
            Cell::Text(a.reason),
            said(a.expression),
        ]),
        None => row.extend([Cell::Unreadable, Cell::Null, Cell::Null, Cell::Null]),
    }
    row.push(cell(r, 2, Form::Number, doing)?);
    row.push(opened(vault, Place::Quarantine, col(r, 4, doing)?));
    Ok(row)
}
