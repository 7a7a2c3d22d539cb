//! Searching notes by their words, and keeping the words that were made on the way.
//!
//! Never here: what matches (`vitrine_store::notes`). Called by `charts`, and by `tiers` before bodies move.

use super::sql::{During, all, int, one, parsed, run, uint};
use super::{SqlcipherStore, body};
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use vitrine_clinical::label::Confidentiality;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_store::notes::{Collecting, Fresh, Known, NOTE_KINDS, NoteHits, NoteQuery, NoteRow, STRETCH};
use vitrine_store::pack::Packs;
use vitrine_store::{Projector, StoreError};

const SEARCHING: &str = "searching notes";
const KEEPING: &str = "keeping the words of notes";
/// Turns in which all words of a record are kept before its bodies move: each keeps a limited number.
const ROUNDS: usize = 50;

/// A stretch of a patient's notes with what is kept of each; a body where it is needed, or all of them. One statement, so that version,
/// words and body are of one moment. `?1` patient, `?2` type, `?3` the id before, `?4` how many words, then the words.
fn sql(words: usize, all: bool) -> String {
    let marks: Vec<String> = (0..words).map(|n| format!("?{}", n + 5)).collect();
    format!(
        "SELECT q.rid, q.id, q.version, q.updated, q.whole, q.matches,
                CASE WHEN {} OR q.whole IS NULL OR q.matches THEN (SELECT b.body FROM resource b WHERE b.rid = q.rid) END
           FROM (SELECT r.rid, r.id, r.version, r.updated, n.whole,
                        ?4 > 0 AND (SELECT count(*) FROM note_word w
                                     WHERE w.pid = r.pid AND w.word IN ({}) AND w.rid = r.rid) = ?4 AS matches
                   FROM resource r
                   LEFT JOIN note n ON n.rid = r.rid AND n.pid = r.pid AND n.version = r.version
                  WHERE r.pid = ?1 AND r.kind = ?2 AND r.id > ?3 AND r.deleted = 0 AND r.pid IS NOT NULL
                  ORDER BY r.id LIMIT {STRETCH}) q ORDER BY q.id",
        i32::from(all),
        marks.join(", ")
    )
}

/// Looks at every note of a type.
fn look(
    conn: &Connection,
    packs: &Packs,
    projector: &dyn Projector,
    (pid, patient): (i64, &PatientId),
    kind: &str,
    found: &mut Collecting,
) -> Result<(), StoreError> {
    let words: Vec<String> = found.words().iter().cloned().collect();
    let sql = sql(words.len(), found.reads_all());
    let mut after = String::new();
    loop {
        let fixed = [
            Value::from(pid),
            Value::from(kind.to_owned()),
            Value::from(after.clone()),
            Value::from(i64::try_from(words.len()).unwrap_or(i64::MAX)),
        ];
        let with = fixed.into_iter().chain(words.iter().cloned().map(Value::from));
        let rows = all(conn, &sql, params_from_iter(with), |r| {
            let id: String = r.get(1)?;
            let whole: Option<bool> = r.get(4)?;
            let matches: bool = r.get(5)?;
            let packed: Option<Vec<u8>> = r.get(6)?;
            let row = NoteRow {
                number: r.get(0)?,
                key: parsed(1, ResourceKey::new(kind, &id))?,
                version: uint(r.get(2)?),
                updated: UtcMs(r.get(3)?),
                known: whole.map(|whole| Known { whole, matches }),
                body: Ok(Bytes::new()),
            };
            Ok((id, row, packed))
        });
        let rows = rows.during(SEARCHING)?;
        let full = rows.len() == STRETCH;
        for (id, row, packed) in rows {
            after = id;
            let body = body::open(Some(packs), &packed.unwrap_or_default()).map(Bytes::from);
            found.row(NoteRow { body, ..row }, patient, projector)?;
        }
        if !full {
            return Ok(());
        }
    }
}

/// Keeps words, as far as the notes are still at those versions and the record is there.
fn keep(conn: &Connection, pid: i64, fresh: &[Fresh]) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM patient p JOIN resource r USING (pid)
                WHERE p.pid = ?1 AND p.destroyed = 0 AND r.rid = ?2 AND r.version = ?3 AND r.deleted = 0";
    for f in fresh {
        let is_so = one(conn, sql, params![pid, f.number, int(f.version)], |_| Ok(())).during(KEEPING)?;
        if is_so.is_none() {
            continue;
        }
        run(conn, "DELETE FROM note_word WHERE rid = ?1", [f.number]).during(KEEPING)?;
        let note = "INSERT OR REPLACE INTO note (rid, pid, version, whole) VALUES (?1, ?2, ?3, ?4)";
        run(conn, note, params![f.number, pid, int(f.version), f.whole]).during(KEEPING)?;
        for word in &f.words {
            let sql = "INSERT INTO note_word (pid, word, rid) VALUES (?1, ?2, ?3)";
            run(conn, sql, params![pid, word, f.number]).during(KEEPING)?;
        }
    }
    Ok(())
}

/// The words of a record that is destroyed go with it, and so do those that a note left behind when it became another
/// patient's.
pub(super) fn forget(conn: &Connection, pid: i64) -> Result<(), StoreError> {
    for table in ["note_word", "note"] {
        let sql = format!(
            "DELETE FROM {table} WHERE pid = ?1
                OR rid IN (SELECT rid FROM resource WHERE pid = ?1 AND deleted = 0 AND pid IS NOT NULL
                           UNION ALL SELECT rid FROM resource WHERE pid = ?1 AND deleted = 1 AND pid IS NOT NULL)"
        );
        run(conn, &sql, [pid]).during("destroying a record")?;
    }
    Ok(())
}

impl SqlcipherStore {
    /// Searches notes of some types and keeps the words that were made; gives of how many notes. What could not be kept is made again by the
    /// next search.
    async fn look_at_notes(
        &self,
        patient: &PatientId,
        kinds: Vec<String>,
        mut found: Collecting,
    ) -> Result<(NoteHits, usize), StoreError> {
        let (projector, packs, of) = (self.projector.clone(), self.packs_here(), patient.clone());
        let looked = self
            .read_job(move |conn| {
                let sql = "SELECT pid FROM patient WHERE id = ?1";
                let pid = one(conn, sql, [of.as_str()], |r| r.get::<_, i64>(0)).during(SEARCHING)?;
                if let Some(pid) = pid {
                    for kind in &kinds {
                        look(conn, &packs, &*projector, (pid, &of), kind, &mut found)?;
                    }
                }
                Ok((pid, found.finish()))
            })
            .await?;
        let (pid, (hits, fresh)) = looked;
        let made = fresh.len();
        if let (Some(pid), false) = (pid, fresh.is_empty()) {
            let weight = fresh.iter().map(|f| f.words.len() + 1).sum();
            if let Err(e) = self.write(weight, move |conn, _| keep(conn, pid, &fresh)).await {
                tracing::debug!(error = %e, "the words of notes are not kept");
            }
        }
        Ok((hits, made))
    }

    pub(super) async fn find_notes(
        &self,
        patient: &PatientId,
        query: &NoteQuery,
        clearance: Confidentiality,
    ) -> Result<NoteHits, StoreError> {
        let found = Collecting::new(&query.text, query.limit).seen_with(clearance);
        self.look_at_notes(patient, vec![query.kind.clone()], found)
            .await
            .map(|(hits, _)| hits)
    }

    /// Keeps the words of every note of a patient whose body is about to move.
    pub(super) async fn keep_words(&self, patient: &PatientId) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let kinds = NOTE_KINDS.iter().map(|k| (*k).to_owned()).collect();
            if self
                .look_at_notes(patient, kinds, Collecting::new("", 0))
                .await?
                .1
                == 0
            {
                break;
            }
        }
        Ok(())
    }
}
