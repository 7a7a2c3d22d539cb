//! Scopes as a workstation holds them: items, staged snapshots, the running digest.
//!
//! A snapshot is written beside what is shown and becomes visible by changing one number, in one transaction,
//! whatever its size; what it replaces is cleared away afterwards in small steps. After a crash it continues at the
//! last key written.
//!
//! Never here: when to subscribe or what to fetch (that is `vitrine-sync`), what an item means.

use super::lines::Lines;
use rusqlite::{OptionalExtension, Transaction, params};
use std::cell::RefCell;
use vitrine_store::StoreError;
use vitrine_wire::packing::{Packer, Unpacker};

/// A digest of a scope that can be kept up to date item by item (the engine gives `wire::digest`).
pub trait Fold {
    /// An item came.
    fn add(&mut self, key: &str, ver: u64, hash: &[u8; 16]);
    /// An item went.
    fn remove(&mut self, key: &str, ver: u64, hash: &[u8; 16]);
    /// Its state, to be kept.
    fn to_bytes(&self) -> Vec<u8>;
}

/// Opens a digest from its kept state; an empty slice is an empty scope.
pub type OpenFold = fn(&[u8]) -> Box<dyn Fold>;

/// One item as it came.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Key within the scope.
    pub key: &'a str,
    /// Its version.
    pub ver: u64,
    /// A resource's own version, its `meta.versionId`, where the server says it: `ver` is the record's revision there.
    pub version: Option<u64>,
    /// JSON; `None` = the item left the scope.
    pub body: Option<&'a [u8]>,
    /// Words that find it, separated by blanks; "" = cannot be searched.
    pub terms: &'a str,
}

/// An item made ready for writing (hashed and compressed), so that this work need not be done under the write lock.
#[derive(Debug, Clone)]
pub struct Prepared {
    key: String,
    ver: u64,
    version: Option<u64>,
    body: Option<([u8; 16], Vec<u8>)>,
    terms: String,
}

impl Prepared {
    /// Hashes and compresses.
    #[must_use]
    pub fn new(item: &Incoming<'_>) -> Self {
        Self {
            key: item.key.to_owned(),
            ver: item.ver,
            version: item.version,
            body: item.body.map(|b| (hash16(b), pack(b))),
            terms: item.terms.to_owned(),
        }
    }
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A snapshot under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedState {
    /// Its epoch.
    pub epoch: String,
    /// Position it began at.
    pub pos: u64,
    /// In a `pat:` scope the patient's revision.
    pub rev: u64,
    /// Last key written; "" before the first.
    pub after: String,
    /// Items written.
    pub items: u64,
}

/// A scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeState {
    /// Name.
    pub name: String,
    /// A whole state is here (perhaps an old one).
    pub complete: bool,
    /// Epoch of the position.
    pub epoch: String,
    /// Position.
    pub pos: u64,
    /// In a `pat:` scope the patient's revision.
    pub rev: u64,
    /// Server time up to which it is known to be whole, ms.
    pub as_of: Option<i64>,
    /// Items.
    pub items: u64,
    /// State of the digest.
    pub digest: Vec<u8>,
    /// The snapshot under way.
    pub staged: Option<StagedState>,
    /// When it was last opened (records), ms.
    pub used: i64,
}

/// An item without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRefRow {
    /// Key.
    pub key: String,
    /// Version.
    pub ver: u64,
    /// First 16 bytes of BLAKE3 over the JSON.
    pub hash: [u8; 16],
}

/// The tables of a database of scopes.
pub(super) const TABLES: &str = "
CREATE TABLE scope(
  name TEXT PRIMARY KEY, live INTEGER NOT NULL DEFAULT 0, epoch TEXT NOT NULL DEFAULT '',
  pos INTEGER NOT NULL DEFAULT 0, rev INTEGER NOT NULL DEFAULT 0, as_of INTEGER, used INTEGER NOT NULL DEFAULT 0,
  staged INTEGER NOT NULL DEFAULT 0, s_epoch TEXT NOT NULL DEFAULT '', s_pos INTEGER NOT NULL DEFAULT 0,
  s_rev INTEGER NOT NULL DEFAULT 0, s_after TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID, STRICT;
CREATE TABLE content(
  id INTEGER PRIMARY KEY AUTOINCREMENT, items INTEGER NOT NULL DEFAULT 0, digest BLOB NOT NULL DEFAULT x'',
  dead INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE item(
  id INTEGER PRIMARY KEY, content INTEGER NOT NULL, key TEXT NOT NULL, ver INTEGER NOT NULL, hash BLOB NOT NULL,
  found INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX item_key ON item(content, key);
CREATE TABLE note(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
";

/// What came before resources told their own version: it stays on the screen, and is asked for anew with the next connection, since its
/// epoch is nobody's.
pub(super) const VERSIONS: &str = "
ALTER TABLE item ADD COLUMN version INTEGER;
UPDATE scope SET epoch = '', s_epoch = '' WHERE name >= 'pat:' AND name < 'pat;';
";

/// The index of words that find an item.
pub(super) const INDEX: &str = "
CREATE VIRTUAL TABLE find USING fts5(terms, content='', contentless_delete=1, tokenize='ascii', detail=none, prefix='3');
";

pub(super) struct Scopes {
    pub(super) lines: Lines,
    fold: OpenFold,
    searchable: bool,
}

/// First 16 bytes of BLAKE3.
pub(super) fn hash16(body: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(body).as_bytes()[..16]);
    out
}

/// Level 1: a snapshot of a million cards has to keep up with the line.
const LEVEL: i32 = 1;
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Longest body after decompression (that of a frame).
const MAX_BODY: usize = 64 * 1024 * 1024;

thread_local! {
    static PACKER: RefCell<Option<Packer>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<Unpacker>> = const { RefCell::new(None) };
}

/// Overwrites what this thread keeps of the last bodies for packing and unpacking.
pub fn forget() {
    PACKER.with_borrow_mut(|kept| kept.as_mut().map(Packer::rinse));
    UNPACKER.with_borrow_mut(|kept| kept.as_mut().map(Unpacker::rinse));
}

pub(super) fn pack(body: &[u8]) -> Vec<u8> {
    if body.len() < 128 {
        return body.to_vec();
    }
    PACKER.with_borrow_mut(|packer| {
        if packer.is_none() {
            *packer = Packer::new(LEVEL).ok();
        }
        match packer.as_mut().map(|p| p.pack(body)) {
            Some(Ok(packed)) if packed.len() < body.len() => packed,
            _ => body.to_vec(),
        }
    })
}

/// The JSON of a stored body; `None` when it is damaged.
pub(super) fn unpack(stored: &[u8]) -> Option<Vec<u8>> {
    if !stored.starts_with(&MAGIC) {
        return Some(stored.to_vec());
    }
    let size = usize::try_from(zstd::zstd_safe::get_frame_content_size(stored).ok().flatten()?).ok()?;
    if size > MAX_BODY {
        return None;
    }
    UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = Unpacker::new().ok();
        }
        unpacker.as_mut()?.unpack(stored, size).ok()
    })
}

fn i(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
pub(super) fn u(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// A content's running digest and count while it is being written.
struct Running {
    id: i64,
    items: i64,
    fold: Box<dyn Fold>,
}

impl Scopes {
    pub(super) const fn new(lines: Lines, fold: OpenFold, searchable: bool) -> Self {
        Self {
            lines,
            fold,
            searchable,
        }
    }

    pub(super) const fn searchable(&self) -> bool {
        self.searchable
    }

    /// The digest of a scope without items.
    pub(super) fn empty_fold(&self) -> Box<dyn Fold> {
        (self.fold)(&[])
    }

    /// A kept digest in the form in which one that was just made is given.
    pub(super) fn normal(&self, digest: &[u8]) -> Vec<u8> {
        (self.fold)(digest).to_bytes()
    }

    pub(super) fn states(&self, only: Option<&str>) -> Result<Vec<ScopeState>, StoreError> {
        self.lines.read("reading the state of the scopes", |c| {
            let mut s = c.prepare_cached(
                "SELECT s.name, s.live, s.epoch, s.pos, s.rev, s.as_of, s.used, l.items, l.digest, s.staged, s.s_epoch,
                        s.s_pos, s.s_rev, s.s_after, g.items
                 FROM scope s LEFT JOIN content l ON l.id = s.live LEFT JOIN content g ON g.id = s.staged
                 WHERE ?1 IS NULL OR s.name = ?1 ORDER BY s.name",
            )?;
            let rows = s.query_map([only], |r| {
                let staged: i64 = r.get(9)?;
                Ok(ScopeState {
                    name: r.get(0)?,
                    complete: r.get::<_, i64>(1)? != 0,
                    epoch: r.get(2)?,
                    pos: u(r.get(3)?),
                    rev: u(r.get(4)?),
                    as_of: r.get(5)?,
                    used: r.get(6)?,
                    items: u(r.get::<_, Option<i64>>(7)?.unwrap_or(0)),
                    digest: r.get::<_, Option<Vec<u8>>>(8)?.unwrap_or_default(),
                    staged: if staged == 0 {
                        None
                    } else {
                        Some(StagedState {
                            epoch: r.get(10)?,
                            pos: u(r.get(11)?),
                            rev: u(r.get(12)?),
                            after: r.get(13)?,
                            items: u(r.get::<_, Option<i64>>(14)?.unwrap_or(0)),
                        })
                    },
                })
            })?;
            rows.collect()
        })
    }

    /// Begins a snapshot; one that was under way is dropped, what is shown stays.
    pub(super) fn begin(&self, scope: &str, epoch: &str, pos: u64, rev: u64) -> Result<(), StoreError> {
        self.write("beginning a snapshot", |t| {
            t.prepare_cached("INSERT OR IGNORE INTO scope(name) VALUES (?1)")?.execute([scope])?;
            let staged: i64 =
                t.prepare_cached("SELECT staged FROM scope WHERE name = ?1")?.query_row([scope], |r| r.get(0))?;
            bury(t, staged)?;
            t.execute("INSERT INTO content(digest) VALUES (x'')", [])?;
            t.execute(
                "UPDATE scope SET staged = ?2, s_epoch = ?3, s_pos = ?4, s_rev = ?5, s_after = '' WHERE name = ?1",
                params![scope, t.last_insert_rowid(), epoch, i(pos), i(rev)],
            )?;
            Ok(())
        })
    }

    /// Writes part of a snapshot, in key order; after a crash it continues after the last key.
    pub(super) fn stage(&self, scope: &str, items: &[Prepared]) -> Result<(), StoreError> {
        let Some(last) = items.last() else { return Ok(()) };
        self.write("writing part of a snapshot", |t| {
            let id: i64 = t
                .prepare_cached("SELECT staged FROM scope WHERE name = ?1 AND staged <> 0")?
                .query_row([scope], |r| r.get(0))?;
            let mut run = self.running(t, id)?;
            for item in items {
                self.put(t, &mut run, item)?;
            }
            keep(t, &run)?;
            t.prepare_cached("UPDATE scope SET s_after = ?2 WHERE name = ?1")?
                .execute([scope, last.key()])?;
            Ok(())
        })
    }

    /// Makes the staged snapshot the shown state, whatever its size, by changing one row.
    pub(super) fn finish(&self, scope: &str, epoch: &str, pos: u64, rev: u64) -> Result<(), StoreError> {
        self.write("completing a snapshot", |t| {
            let live: i64 = t
                .prepare_cached("SELECT live FROM scope WHERE name = ?1 AND staged <> 0")?
                .query_row([scope], |r| r.get(0))?;
            bury(t, live)?;
            t.execute(
                "UPDATE scope SET live = staged, epoch = ?2, pos = ?3, rev = ?4, staged = 0, s_after = '' WHERE name = ?1",
                params![scope, epoch, i(pos), i(rev)],
            )?;
            Ok(())
        })
    }

    /// Applies changes to the shown state and sets position and revision, in one transaction. A change with a body
    /// replaces the item whatever its version, one without removes it.
    pub(super) fn apply(
        &self,
        scope: &str,
        items: &[Prepared],
        pos: u64,
        rev: u64,
    ) -> Result<(), StoreError> {
        self.write("applying changes", |t| {
            let live: i64 = t
                .prepare_cached("SELECT live FROM scope WHERE name = ?1 AND live <> 0")?
                .query_row([scope], |r| r.get(0))?;
            if !items.is_empty() {
                let mut run = self.running(t, live)?;
                for item in items {
                    self.put(t, &mut run, item)?;
                }
                keep(t, &run)?;
            }
            t.prepare_cached("UPDATE scope SET pos = ?2, rev = ?3 WHERE name = ?1")?
                .execute(params![scope, i(pos), i(rev)])?;
            Ok(())
        })
    }

    /// Notes the server time at which these scopes were complete up to these positions.
    pub(super) fn seen(&self, scopes: &[(String, u64)], as_of: i64) -> Result<(), StoreError> {
        self.write("noting the age of the scopes", |t| {
            let mut s = t.prepare_cached(
                "UPDATE scope SET as_of = max(coalesce(as_of, ?2), ?2), pos = max(pos, ?3) WHERE name = ?1 AND live <> 0",
            )?;
            for (scope, pos) in scopes {
                s.execute(params![scope, as_of, i(*pos)])?;
            }
            Ok(())
        })
    }

    /// Drops a scope with all it holds.
    pub(super) fn forget(&self, scope: &str) -> Result<(), StoreError> {
        self.write("dropping a scope", |t| {
            let found: Option<(i64, i64)> = t
                .query_row("SELECT live, staged FROM scope WHERE name = ?1", [scope], |r| {
                    Ok((r.get(0)?, r.get(1)?))
                })
                .optional()?;
            if let Some((live, staged)) = found {
                bury(t, live)?;
                bury(t, staged)?;
                t.execute("DELETE FROM scope WHERE name = ?1", [scope])?;
            }
            Ok(())
        })
    }

    /// Clears away up to `limit` items that nothing shows any more; true while there are more.
    pub(super) fn clear(&self, limit: usize) -> Result<bool, StoreError> {
        self.write("clearing away old items", |t| {
            let dead: Option<i64> = t
                .query_row("SELECT id FROM content WHERE dead = 1 LIMIT 1", [], |r| r.get(0))
                .optional()?;
            let Some(dead) = dead else { return Ok(false) };
            let mut pick = t.prepare_cached("SELECT id, found FROM item WHERE content = ?1 LIMIT ?2")?;
            let ids = pick
                .query_map(params![dead, i64::try_from(limit).unwrap_or(i64::MAX)], |r| {
                    Ok((r.get(0)?, r.get(1)?))
                })?
                .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
            for (id, found) in &ids {
                if *found != 0 {
                    t.prepare_cached("DELETE FROM find WHERE rowid = ?1")?
                        .execute([id])?;
                }
                t.prepare_cached("DELETE FROM item WHERE id = ?1")?
                    .execute([id])?;
            }
            if ids.len() < limit {
                t.execute("DELETE FROM content WHERE id = ?1", [dead])?;
            }
            Ok(true)
        })
    }

    /// One item's version and JSON.
    pub(super) fn get(&self, scope: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let found = self.lines.read("reading an item", |c| {
            c.prepare_cached(
                "SELECT i.ver, i.body FROM scope s JOIN item i ON i.content = s.live AND i.key = ?2 WHERE s.name = ?1",
            )?
            .query_row([scope, key], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?)))
            .optional()
        })?;
        found
            .map(|(ver, body)| Ok((u(ver), self.whole(&body)?)))
            .transpose()
    }

    /// All items of a scope without bodies, in key order.
    pub(super) fn refs(&self, scope: &str) -> Result<Vec<ItemRefRow>, StoreError> {
        self.lines.read("listing a scope", |c| {
            let mut s = c.prepare_cached(
                "SELECT i.key, i.ver, i.hash FROM scope s JOIN item i ON i.content = s.live WHERE s.name = ?1
                 ORDER BY i.key",
            )?;
            let rows = s.query_map([scope], |r| {
                Ok(ItemRefRow {
                    key: r.get(0)?,
                    ver: u(r.get(1)?),
                    hash: r.get(2)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Version here of an item.
    pub(super) fn version(&self, scope: &str, key: &str) -> Result<Option<u64>, StoreError> {
        self.lines.read("reading a version", |c| {
            c.prepare_cached(
                "SELECT i.ver FROM scope s JOIN item i ON i.content = s.live AND i.key = ?2 WHERE s.name = ?1",
            )?
            .query_row([scope, key], |r| r.get::<_, i64>(0).map(u))
            .optional()
        })
    }

    pub(super) fn whole(&self, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
        unpack(stored).ok_or_else(|| StoreError::Damaged(self.lines.path().display().to_string()))
    }

    pub(super) fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.lines.read("reading a note", |c| {
            c.prepare_cached("SELECT value FROM note WHERE name = ?1")?
                .query_row([name], |r| r.get(0))
                .optional()
        })
    }

    pub(super) fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.write("writing a note", |t| {
            t.prepare_cached(
                "INSERT INTO note(name, value) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2",
            )?
            .execute([name, value])?;
            Ok(())
        })
    }

    pub(super) fn mark_used(&self, scope: &str, at: i64) -> Result<(), StoreError> {
        self.write("noting the use of a scope", |t| {
            t.prepare_cached("UPDATE scope SET used = ?2 WHERE name = ?1")?
                .execute(params![scope, at])?;
            Ok(())
        })
    }

    fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.lines
            .write(doing, |t| work(t).map_err(self.lines.fault(doing)))
    }

    fn running(&self, t: &Transaction<'_>, id: i64) -> rusqlite::Result<Running> {
        let (items, digest): (i64, Vec<u8>) = t
            .prepare_cached("SELECT items, digest FROM content WHERE id = ?1")?
            .query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(Running {
            id,
            items,
            fold: (self.fold)(&digest),
        })
    }

    fn put(&self, t: &Transaction<'_>, run: &mut Running, item: &Prepared) -> rusqlite::Result<()> {
        let here: Option<(i64, u64, [u8; 16], i64)> = t
            .prepare_cached("SELECT id, ver, hash, found FROM item WHERE content = ?1 AND key = ?2")?
            .query_row(params![run.id, item.key], |r| {
                Ok((r.get(0)?, u(r.get(1)?), r.get(2)?, r.get(3)?))
            })
            .optional()?;
        if let Some((id, ver, hash, found)) = here {
            run.fold.remove(&item.key, ver, &hash);
            run.items -= 1;
            if found != 0 {
                t.prepare_cached("DELETE FROM find WHERE rowid = ?1")?
                    .execute([id])?;
            }
            if item.body.is_none() {
                t.prepare_cached("DELETE FROM item WHERE id = ?1")?
                    .execute([id])?;
            }
        }
        let Some((hash, body)) = &item.body else {
            return Ok(());
        };
        let found = self.searchable && !item.terms.is_empty();
        let id = match here {
            Some((id, ..)) => {
                t.prepare_cached(
                    "UPDATE item SET ver = ?2, version = ?6, hash = ?3, found = ?4, body = ?5 WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    i(item.ver),
                    hash,
                    found,
                    body,
                    item.version.map(i)
                ])?;
                id
            }
            None => {
                t.prepare_cached(
                    "INSERT INTO item(content, key, ver, version, hash, found, body) VALUES (?1, ?2, ?3, ?7, ?4, ?5, ?6)",
                )?
                .execute(params![run.id, item.key, i(item.ver), hash, found, body, item.version.map(i)])?;
                t.last_insert_rowid()
            }
        };
        if found {
            t.prepare_cached("INSERT INTO find(rowid, terms) VALUES (?1, ?2)")?
                .execute(params![id, item.terms])?;
        }
        run.fold.add(&item.key, item.ver, hash);
        run.items += 1;
        Ok(())
    }
}

fn keep(t: &Transaction<'_>, run: &Running) -> rusqlite::Result<()> {
    t.prepare_cached("UPDATE content SET items = ?2, digest = ?3 WHERE id = ?1")?
        .execute(params![run.id, run.items, run.fold.to_bytes()])?;
    Ok(())
}

fn bury(t: &Transaction<'_>, content: i64) -> rusqlite::Result<()> {
    if content != 0 {
        t.prepare_cached("UPDATE content SET dead = 1 WHERE id = ?1")?
            .execute([content])?;
    }
    Ok(())
}
