//! Bodies of audit rows as they lie in the file, and the numbers in them.
//!
//! Lives here: packing with `vitrine_store::audit_pack`, the table of words, numbers of patients and resources. Never
//! here: the chains (`audit`), the index (`audit_find`). Called by whoever writes or reads an audit row.
//!
//! The first byte: 3 = packed with numbers, 4 = the same and compressed (a row of many images), then as any other body;
//! what does not come back byte for byte lies as any other body ([`body`]).

use super::body;
use super::sql::{During, int, one, run, uint};
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::sync::Arc;
use vitrine_access::AuditEntry;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::audit_find;
use vitrine_store::audit_pack::{self, Names, Numbers};

/// The byte before a packed row.
const PACKED: u8 = 3;
/// The byte before a packed row that is compressed too.
const SQUEEZED: u8 = 4;
/// Shorter rows have nothing in them that occurs twice.
const LONG: usize = 256;
const NAMING: &str = "numbering what an audit row names";
const READING: &str = "reading what an audit row names";
/// Names remembered at most, of each kind.
const REMEMBERED: usize = 50_000;

/// Numbers of words that are in the database. What is remembered must be forgotten when a transaction is undone.
#[derive(Debug, Default)]
pub(super) struct Words {
    known: HashMap<Box<str>, u64>,
}

impl Words {
    /// They may not be there any more.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// The number of a word, given when it is first seen.
    pub fn number(&mut self, conn: &Connection, text: &str) -> Result<u64, StoreError> {
        if let Some(no) = self.known.get(text) {
            return Ok(*no);
        }
        let known = "SELECT no FROM audit_word WHERE text = ?1";
        let no = match one(conn, known, [text], |r| r.get(0)).during(NAMING)? {
            Some(no) => no,
            None => {
                run(conn, "INSERT INTO audit_word (text) VALUES (?1)", [text]).during(NAMING)?;
                conn.last_insert_rowid()
            }
        };
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(text.into(), uint(no));
        Ok(uint(no))
    }
}

struct Here<'c> {
    conn: &'c Connection,
    words: &'c mut Words,
}

impl Numbers for Here<'_> {
    fn word(&mut self, text: &str) -> Result<Option<u64>, StoreError> {
        self.words.number(self.conn, text).map(Some)
    }
    fn patient(&mut self, id: &PatientId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT pid FROM patient WHERE id = ?1";
        let found = one(self.conn, sql, [id.as_str()], |r| Ok(uint(r.get(0)?)));
        found.during(NAMING)
    }
    fn resource(&mut self, key: &ResourceKey) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT rid FROM resource WHERE kind = ?1 AND id = ?2";
        let found = one(self.conn, sql, params![key.kind.as_str(), key.id.as_str()], |r| {
            Ok(uint(r.get(0)?))
        });
        found.during(NAMING)
    }
}

/// Packs a row of which the entry is known.
pub(super) fn pack(
    conn: &Connection,
    words: &mut Words,
    entry: Option<&AuditEntry>,
    text: &[u8],
) -> Result<Vec<u8>, StoreError> {
    if let Some(entry) = entry
        && let Some(packed) = audit_pack::pack(entry, text, &mut Here { conn, words })?
    {
        if packed.len() >= LONG {
            let squeezed = body::pack(&packed)?;
            if squeezed.len() < packed.len() {
                return Ok(tagged(SQUEEZED, &squeezed));
            }
        }
        return Ok(tagged(PACKED, &packed));
    }
    body::pack(text)
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.push(tag);
    out.extend_from_slice(bytes);
    out
}

/// The way back. What was read is remembered for as long as this lives, and no longer: who verifies reads anew.
pub(super) struct Reading<'c> {
    conn: &'c Connection,
    words: HashMap<u64, Option<Arc<str>>>,
    patients: HashMap<u64, Option<PatientId>>,
}

impl<'c> Reading<'c> {
    pub fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            words: HashMap::new(),
            patients: HashMap::new(),
        }
    }

    /// The text of a row; `None` when it does not unpack.
    ///
    /// # Errors
    /// When the database fails.
    pub fn text(&mut self, packed: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match packed.split_first() {
            Some((&PACKED, bytes)) => audit_pack::unpack(bytes, self),
            Some((&SQUEEZED, rest)) => match body::unpack(rest) {
                Ok(bytes) => audit_pack::unpack(&bytes, self),
                Err(_) => Ok(None),
            },
            _ => Ok(body::unpack(packed).ok()),
        }
    }
}

impl Reading<'_> {
    /// What a row says, and its time. One that does not unpack says nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn entry(&mut self, packed: &[u8]) -> Result<(Option<AuditEntry>, UtcMs), StoreError> {
        match packed.split_first() {
            Some((tag @ (&PACKED | &SQUEEZED), rest)) => {
                let bytes = match *tag {
                    SQUEEZED => body::unpack(rest).unwrap_or_default(),
                    _ => rest.to_vec(),
                };
                let entry = audit_pack::read(&bytes, self)?;
                let at = entry.as_ref().map_or(UtcMs(0), |e| e.at);
                Ok((entry, at))
            }
            _ => Ok(audit_find::read(&body::unpack(packed).unwrap_or_default())),
        }
    }
}

fn room<T>(map: &mut HashMap<u64, T>) {
    if map.len() >= REMEMBERED {
        map.clear();
    }
}

impl Names for Reading<'_> {
    fn word(&mut self, number: u64) -> Result<Option<Arc<str>>, StoreError> {
        if let Some(known) = self.words.get(&number) {
            return Ok(known.clone());
        }
        // What is not a text is no word: the row that names it does not unpack.
        let sql = "SELECT text FROM audit_word WHERE no = ?1";
        let found = one(self.conn, sql, [int(number)], |r| {
            Ok(r.get::<_, Arc<str>>(0).ok())
        });
        let word = found.during(READING)?.flatten();
        room(&mut self.words);
        self.words.insert(number, word.clone());
        Ok(word)
    }

    fn patient(&mut self, number: u64) -> Result<Option<PatientId>, StoreError> {
        if let Some(known) = self.patients.get(&number) {
            return Ok(known.clone());
        }
        let sql = "SELECT id FROM patient WHERE pid = ?1";
        let found = one(self.conn, sql, [int(number)], |r| Ok(r.get::<_, String>(0).ok()));
        let id = found
            .during(READING)?
            .flatten()
            .and_then(|id| PatientId::new(id).ok());
        room(&mut self.patients);
        self.patients.insert(number, id.clone());
        Ok(id)
    }

    fn resource(&mut self, number: u64) -> Result<Option<ResourceKey>, StoreError> {
        let sql = "SELECT kind, id FROM resource WHERE rid = ?1";
        let found = one(self.conn, sql, [int(number)], |r| {
            Ok(r.get::<_, String>(0).ok().zip(r.get::<_, String>(1).ok()))
        });
        let names = found.during(READING)?.flatten();
        Ok(names.and_then(|(kind, id)| ResourceKey::new(&kind, &id).ok()))
    }
}
