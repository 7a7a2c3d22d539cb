//! The server's audit chain and the chains of the devices.

use super::audit_find::{self, Entry};
use super::audit_rows::{self, Reading, Words};
use super::checkpoint::Checkpoints;
use super::head_file::{self, HeadFile};
use super::persons::{self, PersonChange};
use super::sql::{During, all, int, one, run, uint};
use super::{SqlcipherStore, feed};
use crate::cipher::{Key, io_fault};
use crate::redo::Keeper;
use crate::writer::Group;
use async_trait::async_trait;
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::{self, Head, Row, Verifier};
use vitrine_access::{AuditEntry, Permit, Receipt};
use vitrine_clinical::{DeviceId, PatientId};
use vitrine_store::pack::Packs;
use vitrine_store::tiers::{day_of, used_by};
use vitrine_store::{AuditChainRow, AuditLog, StoreError, device_chain};

/// Records whose use is remembered at most.
const USED: usize = 100_000;

/// What the sealed head said when the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealState {
    /// The chain goes at least as far as the head.
    Whole,
    /// There was no head though there are rows: it was removed, or the file came from elsewhere.
    Missing,
    /// The head knew more rows than the database has, or other ones: rows are gone.
    RolledBack,
    /// A store without files beside it (tests on a VFS).
    None,
}

/// What [`SqlcipherStore::verify_audit`] checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Rows of the server's chain, each verified.
    pub rows: u64,
    /// Its head.
    pub head: Head,
    /// Devices whose chains were verified, with their rows.
    pub devices: Vec<(String, u64)>,
    /// The index leads to every row and nowhere else; false while rows are still being taken in: then it was not checked.
    pub indexed: bool,
    /// What the sealed head said when the store was opened.
    pub seal: SealState,
}

/// What the writer carries along: the head of the chain and the feed's position.
pub(super) struct ServerGroup {
    head: Head,
    /// As of the last commit of ours: a database that has less lost something.
    committed: Head,
    pos: u64,
    persons: Vec<PersonChange>,
    /// What the index forgets must not stay in its segments.
    purge: bool,
    head_file: Option<HeadFile>,
    redo: Option<Keeper>,
    checkpoints: Option<Checkpoints>,
    announce: watch::Sender<u64>,
    /// Packs, for what the writer reads of bodies.
    pub packs: Arc<Packs>,
    /// Packs of destroyed records: their files go once it is committed.
    pub destroyed_packs: Vec<Uuid>,
    /// Records whose use of that day is in the database.
    used: HashSet<(PatientId, i64)>,
    /// The chain's last row before this group.
    began: u64,
    /// Acts whose terms are in the database.
    acts: HashSet<i32>,
    /// Entries of the index of this group's rows, written before the commit.
    entries: Vec<Entry>,
    words: Words,
}

impl ServerGroup {
    pub fn new(
        head_file: Option<HeadFile>,
        redo: Option<Keeper>,
        checkpoints: Option<Checkpoints>,
        announce: watch::Sender<u64>,
        packs: Arc<Packs>,
    ) -> Self {
        Self {
            head: Head::EMPTY,
            committed: Head::EMPTY,
            pos: 0,
            persons: Vec::new(),
            purge: false,
            head_file,
            redo,
            checkpoints,
            announce,
            packs,
            destroyed_packs: Vec::new(),
            used: HashSet::new(),
            began: 0,
            acts: HashSet::new(),
            entries: Vec::new(),
            words: Words::default(),
        }
    }

    /// The redo log, when it is kept.
    pub const fn redo(&mut self) -> Option<&mut Keeper> {
        self.redo.as_mut()
    }

    /// Appends a row and gives the receipt that becomes valid with the commit: the writer answers only after it.
    pub fn record(&mut self, conn: &Connection, entry: &AuditEntry) -> Result<Receipt, StoreError> {
        let text = serde_json::to_vec(entry).map_err(|e| StoreError::Backend {
            doing: "writing the audit row",
            cause: e.to_string(),
        })?;
        let after = self.head.after(&text);
        run(
            conn,
            "INSERT INTO audit (seq, hash, body) VALUES (?1, ?2, ?3)",
            params![
                int(after.seq),
                &after.hash[..],
                audit_rows::pack(conn, &mut self.words, Some(entry), &text)?
            ],
        )
        .during("appending the audit row")?;
        self.head = after;
        audit_find::index(
            conn,
            &mut self.acts,
            &mut self.entries,
            audit_find::SERVER,
            after.seq,
            entry.at,
            Some(entry),
        )?;
        self.note_used(conn, entry)?;
        Ok(Receipt::of_committed_row(entry.access_id, after.seq))
    }

    /// Notes the day on which records were used, once a day for each.
    fn note_used(&mut self, conn: &Connection, entry: &AuditEntry) -> Result<(), StoreError> {
        let day = day_of(entry.at);
        for patient in used_by(entry) {
            if self.used.len() > USED {
                self.used.clear();
            }
            let sql = "INSERT INTO tier (pid, used, due) SELECT pid, ?2, 0 FROM patient WHERE id = ?1
                       ON CONFLICT (pid) DO UPDATE SET used = max(used, excluded.used), due = 0";
            if !self.used.contains(&(patient.clone(), day)) {
                run(conn, sql, params![patient.as_str(), day]).during("noting that a record was used")?;
                self.used.insert((patient, day));
            }
        }
        Ok(())
    }

    /// What was noted may have been changed: it is noted again.
    pub fn forget_used(&mut self) {
        self.used.clear();
    }

    /// Changes of the search index, written once for the whole group.
    pub fn index_persons(&mut self, changes: Vec<PersonChange>) {
        self.persons.extend(changes);
    }

    /// What the search index forgets in this group is to leave its file too.
    pub const fn purge_persons(&mut self) {
        self.purge = true;
    }

    /// Seals the present head in place of whatever the file says: after a restore.
    pub fn reseal(&mut self) -> Result<(), StoreError> {
        if let Some(file) = &mut self.head_file {
            file.forget()?;
            file.write(&self.head);
        }
        Ok(())
    }
}

impl Group for ServerGroup {
    type Mark = Head;
    fn begun(&mut self, conn: &Connection) -> Result<(), StoreError> {
        self.head = head_of(conn)?;
        self.began = self.head.seq;
        self.persons.clear();
        self.entries.clear();
        self.destroyed_packs.clear();
        self.purge = false;
        Ok(())
    }
    fn mark(&self) -> Head {
        self.head
    }
    fn back_to(&mut self, mark: Head) {
        self.head = mark;
        self.used.clear();
        self.acts.clear();
        self.words.forget();
        audit_find::undo(&mut self.entries, mark.seq);
    }
    fn before_commit(&mut self, conn: &Connection) -> Result<(), StoreError> {
        persons::write(conn, std::mem::take(&mut self.persons))?;
        if std::mem::take(&mut self.purge) {
            persons::purge(conn)?;
        }
        audit_find::write(conn, &mut self.entries)?;
        audit_find::indexed(conn, audit_find::SERVER, self.began, self.head.seq)?;
        self.pos = feed::newest(conn)?;
        Ok(())
    }
    fn committed(&mut self) {
        if let Some(redo) = &mut self.redo {
            redo.committed(self.head.seq);
        }
        if self.head.seq > self.committed.seq {
            self.committed = self.head;
            if let Some(file) = &mut self.head_file {
                file.write(&self.head);
            }
        }
        for id in self.destroyed_packs.drain(..) {
            // What cannot be removed now is nobody's, and goes when packs are tidied; until then it is there.
            if let Err(e) = self.packs.destroy(id) {
                tracing::error!(error = %e, pack = %id, "a pack of a destroyed record was not removed: remove its file");
            }
        }
        self.announce.send_replace(self.pos);
    }
    fn settled(&mut self, conn: &Connection) {
        if let Some(redo) = &mut self.redo {
            redo.settled(conn);
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.settled(conn);
        }
    }
    fn closing(&mut self, conn: &Connection) {
        // Its connection closes first: the last to close moves the WAL and removes it.
        self.checkpoints = None;
        if let Some(redo) = &mut self.redo {
            redo.closing(conn);
        }
    }
    fn reload(&mut self, conn: &Connection) -> Result<(), StoreError> {
        self.used.clear();
        self.acts.clear();
        self.words.forget();
        let found = head_of(conn)?;
        let held = row_hash_at(conn, self.committed.seq)?;
        if self.committed.seq > 0 && held != Some(self.committed.hash) {
            return Err(StoreError::Damaged(
                "the server's database: committed audit rows are gone".to_owned(),
            ));
        }
        self.head = found;
        self.committed = found;
        self.pos = feed::newest(conn)?;
        Ok(())
    }
}

pub(super) fn head_of(conn: &Connection) -> Result<Head, StoreError> {
    let last = one(
        conn,
        "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1",
        [],
        |r| {
            Ok(Head {
                seq: uint(r.get(0)?),
                hash: r.get(1)?,
            })
        },
    );
    Ok(last.during("reading the audit head")?.unwrap_or(Head::EMPTY))
}

fn row_hash_at(conn: &Connection, seq: u64) -> Result<Option<chain::Hash>, StoreError> {
    one(conn, "SELECT hash FROM audit WHERE seq = ?1", [int(seq)], |r| {
        r.get(0)
    })
    .during("reading the audit chain")
}

/// Compares the database with its sealed head and opens the head file for writing. A head that knows more than the
/// database is set aside as evidence before it is written over.
pub(super) fn open_head_file(
    database: &Path,
    key: &Key,
    conn: &Connection,
) -> Result<(HeadFile, SealState), StoreError> {
    let path = head_file::path_beside(database);
    let evidence = head_file::evidence_beside(database);
    let found = head_of(conn)?;
    let sealed = head_file::read(&path, key)?;
    let state = match sealed {
        None if found.seq == 0 => SealState::Whole,
        None => SealState::Missing,
        Some(s) if s.seq > found.seq || (s.seq > 0 && row_hash_at(conn, s.seq)? != Some(s.hash)) => {
            SealState::RolledBack
        }
        Some(_) => SealState::Whole,
    };
    if state == SealState::RolledBack && !evidence.exists() {
        std::fs::rename(&path, &evidence).map_err(|e| io_fault("setting the sealed audit head aside", &e))?;
    }
    let state = if evidence.exists() {
        SealState::RolledBack
    } else {
        state
    };
    let mut file = HeadFile::open(&path, key)?;
    if found.seq > 0 {
        file.write(&found);
    }
    Ok((file, state))
}

impl SqlcipherStore {
    /// Checks every row of the server's chain against the sealed head, every device's chain, and that the index by which
    /// rows are found leads to each of them and nowhere else.
    ///
    /// # Errors
    /// [`StoreError::Chain`] with the first bad row of the server's chain; [`StoreError::Refused`] naming the device
    /// for one of a device's, or row and chain where the index is another.
    pub async fn verify_audit(&self) -> Result<AuditReport, StoreError> {
        let sealed = if self.seal == SealState::None {
            None
        } else {
            let kept = head_file::read(&head_file::evidence_beside(&self.path), &self.key)?;
            kept.or(head_file::read(&head_file::path_beside(&self.path), &self.key)?)
        };
        let seal = self.seal;
        self.read_job(move |conn| {
            let head = verify_server(conn, sealed)?;
            let devices = verify_devices(conn)?;
            let indexed = match audit_find::verify(conn) {
                Ok(()) => true,
                Err(StoreError::NotFoundYet { .. }) => false,
                Err(e) => return Err(e),
            };
            Ok(AuditReport {
                indexed,
                rows: head.seq,
                head,
                devices,
                seal,
            })
        })
        .await
    }

    /// Empties the index by which rows of the audit log are found. `catch_up` makes it anew from the rows; until then
    /// nothing is found, and that is said.
    ///
    /// # Errors
    /// As every write.
    pub async fn forget_audit_index(&self) -> Result<(), StoreError> {
        self.write(1, |conn, _| audit_find::forget(conn)).await
    }

    /// What the sealed head said when the store was opened.
    #[must_use]
    pub const fn seal_state(&self) -> SealState {
        self.seal
    }
}

pub(super) fn verify_server(conn: &Connection, sealed: Option<Head>) -> Result<Head, StoreError> {
    let mut verifier = Verifier::new(sealed);
    let mut statement = conn
        .prepare_cached("SELECT seq, hash, body FROM audit ORDER BY seq")
        .during("verifying the audit chain")?;
    let mut rows = statement.query([]).during("verifying the audit chain")?;
    let (mut prev, mut reading) = (chain::GENESIS, Reading::new(conn));
    while let Some(r) = rows.next().during("verifying the audit chain")? {
        let row = chain_row(r, prev, &mut reading)?;
        prev = row.hash;
        // A body that does not unpack is a row that was changed.
        verifier.push(&row)?;
    }
    Ok(verifier.finish()?)
}

pub(super) fn verify_devices(conn: &Connection) -> Result<Vec<(String, u64)>, StoreError> {
    let heads = device_heads(conn)?;
    let mut out = Vec::with_capacity(heads.len());
    for (device, head) in heads {
        let mut verifier = Verifier::new(Some(head));
        for row in chain_rows(conn, &device, 0, usize::MAX)? {
            verifier
                .push(&row)
                .map_err(|e| StoreError::Refused(format!("audit of device {device}: {e}")))?;
        }
        let head = verifier
            .finish()
            .map_err(|e| StoreError::Refused(format!("audit of device {device}: {e}")))?;
        out.push((device, head.seq));
    }
    Ok(out)
}

/// A row as it lies there. What is not of the right type or does not unpack reads as empty, so that the verifier names
/// the row instead of the database failing.
fn chain_row(r: &rusqlite::Row<'_>, prev: chain::Hash, reading: &mut Reading<'_>) -> Result<Row, StoreError> {
    let doing = "reading the audit chain";
    let packed = r.get_ref(2).during(doing)?;
    let packed = packed.as_bytes_or_null().ok().flatten().unwrap_or_default();
    let body = reading.text(packed)?.and_then(|b| String::from_utf8(b).ok());
    Ok(Row {
        seq: uint(r.get(0).during(doing)?),
        prev,
        hash: r.get(1).unwrap_or(chain::GENESIS),
        body: body.unwrap_or_default(),
    })
}

/// Rows of a chain after a number. The hash of the row before is not stored twice: it is the row before.
fn chain_rows(conn: &Connection, chain: &str, after: u64, limit: usize) -> Result<Vec<Row>, StoreError> {
    let doing = "reading the audit chain";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let server = chain == "server";
    let mut prev = chain::GENESIS;
    if after > 0 {
        let hash = if server {
            row_hash_at(conn, after)?
        } else {
            let sql = "SELECT hash FROM device_audit
                        WHERE device = (SELECT no FROM audit_word WHERE text = ?1) AND seq = ?2";
            one(conn, sql, params![chain, int(after)], |r| r.get(0)).during(doing)?
        };
        prev = hash.unwrap_or(chain::GENESIS);
    }
    let sql = if server {
        "SELECT seq, hash, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    } else {
        "SELECT seq, hash, body FROM device_audit
          WHERE device = (SELECT no FROM audit_word WHERE text = ?3) AND seq > ?1 ORDER BY seq LIMIT ?2"
    };
    let mut statement = conn.prepare_cached(sql).during(doing)?;
    let mut found = if server {
        statement.query(params![int(after), limit])
    } else {
        statement.query(params![int(after), limit, chain])
    }
    .during(doing)?;
    let (mut rows, mut reading) = (Vec::new(), Reading::new(conn));
    while let Some(r) = found.next().during(doing)? {
        let row = chain_row(r, prev, &mut reading)?;
        prev = row.hash;
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn device_heads(conn: &Connection) -> Result<Vec<(String, Head)>, StoreError> {
    all(
        conn,
        "SELECT id, audit_seq, audit_hash FROM device WHERE audit_seq > 0 ORDER BY id",
        [],
        |r| {
            Ok((
                r.get(0)?,
                Head {
                    seq: uint(r.get(1)?),
                    hash: r.get(2)?,
                },
            ))
        },
    )
    .during("reading the devices' audit heads")
}

fn accept(conn: &Connection, device: &str, rows: &[Row]) -> Result<u64, StoreError> {
    let doing = "keeping a device's audit rows";
    let head = one(
        conn,
        "SELECT audit_seq, audit_hash FROM device WHERE id = ?1",
        [device],
        |r| {
            Ok(Head {
                seq: uint(r.get(0)?),
                hash: r.get(1)?,
            })
        },
    );
    let Some(mut head) = head.during(doing)? else {
        return Err(StoreError::Refused(format!("device {device} is not enrolled")));
    };
    let (chain, before) = (audit_find::chain_no(conn, device)?, head.seq);
    let (mut acts, mut entries, mut words) = (HashSet::new(), Vec::new(), Words::default());
    let no = int(words.number(conn, device)?);
    for row in rows {
        let known = if row.seq >= 1 && row.seq <= head.seq {
            chain_rows(conn, device, row.seq - 1, 1)?.into_iter().next()
        } else {
            None
        };
        if !device_chain::check(head, known.as_ref(), row)? {
            continue;
        }
        let (entry, at) = vitrine_store::audit_find::read(row.body.as_bytes());
        run(
            conn,
            "INSERT INTO device_audit (device, seq, hash, body) VALUES (?1, ?2, ?3, ?4)",
            params![
                no,
                int(row.seq),
                &row.hash[..],
                audit_rows::pack(conn, &mut words, entry.as_ref(), row.body.as_bytes())?
            ],
        )
        .during(doing)?;
        audit_find::index(conn, &mut acts, &mut entries, chain, row.seq, at, entry.as_ref())?;
        head = Head {
            seq: row.seq,
            hash: row.hash,
        };
    }
    audit_find::write(conn, &mut entries)?;
    audit_find::indexed(conn, chain, before, head.seq)?;
    run(
        conn,
        "UPDATE device SET audit_seq = ?2, audit_hash = ?3 WHERE id = ?1",
        params![device, int(head.seq), &head.hash[..]],
    )
    .during(doing)?;
    Ok(head.seq)
}

#[async_trait]
impl AuditLog for SqlcipherStore {
    async fn append(&self, entry: AuditEntry) -> Result<Receipt, StoreError> {
        self.write(1, move |conn, group| group.record(conn, &entry)).await
    }

    async fn accept_device_rows(&self, device: &DeviceId, rows: Vec<Row>) -> Result<u64, StoreError> {
        let device = device.to_string();
        self.write(rows.len(), move |conn, _| accept(conn, &device, &rows))
            .await
    }

    async fn rows(
        &self,
        _permit: &Permit<ReadAudit>,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError> {
        let chain = chain.to_owned();
        self.read_job(move |conn| {
            let rows = chain_rows(conn, &chain, after, limit)?;
            Ok(rows
                .into_iter()
                .map(|row| AuditChainRow {
                    chain: chain.clone(),
                    row,
                })
                .collect())
        })
        .await
    }

    async fn find(
        &self,
        _permit: &Permit<ReadAudit>,
        query: vitrine_store::audit_find::AuditQuery,
    ) -> Result<vitrine_store::audit_find::AuditFound, StoreError> {
        self.read_job(move |conn| audit_find::find(conn, &query)).await
    }

    async fn heads(&self) -> Result<Vec<(String, Head)>, StoreError> {
        self.read_job(|conn| {
            let mut heads = vec![("server".to_owned(), head_of(conn)?)];
            heads.extend(device_heads(conn)?);
            Ok(heads)
        })
        .await
    }
}
