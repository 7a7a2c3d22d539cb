//! Searching notes by their words, and keeping the words that were made on the way.
//!
//! Never here: what matches (`vitrine_store::notes`). Called by `charts`, and by `tiers` before bodies move.

use crate::PostgresStore;
use crate::sql::{During, Fault, all, col, int, one, parsed, run, uint};
use crate::vault::Place;
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use vitrine_clinical::label::Confidentiality;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_store::notes::{Collecting, Fresh, Known, NOTE_KINDS, NoteHits, NoteQuery, NoteRow, STRETCH};
use vitrine_store::{ChartStore as _, StoreError, StoreMode};

const SEARCHING: &str = "searching notes";
const KEEPING: &str = "keeping the words of notes";
/// Turns in which all words of a record are kept before its bodies move: each keeps a limited number.
const ROUNDS: usize = 50;

/// A stretch of a patient's notes with what is kept of each; a body where it is needed. One statement, so that version,
/// words and body are of one moment. `$1` patient, `$2` type, `$3` the id before, `$4` the words' tokens, `$5` how many
/// notes.
pub const NOTES_SQL: &str = "SELECT q.rid, q.id, q.version, q.updated, q.whole, q.matches,
           CASE WHEN q.whole IS NULL OR q.matches THEN (SELECT b.body FROM resource b WHERE b.rid = q.rid) END
      FROM (SELECT r.rid, r.id, r.version, r.updated, n.whole,
                   cardinality($4::bigint[]) > 0
                   AND (SELECT count(*) FROM note_word w
                         WHERE w.pid = r.pid AND w.word = ANY($4::bigint[]) AND w.rid = r.rid)
                       = cardinality($4::bigint[]) AS matches
              FROM resource r LEFT JOIN note n ON n.rid = r.rid AND n.pid = r.pid AND n.version = r.version
             WHERE r.pid = $1 AND r.kind = $2 AND r.id > $3 AND NOT r.deleted AND r.pid IS NOT NULL
             ORDER BY r.id LIMIT $5) q ORDER BY q.id";

impl PostgresStore {
    /// Looks at every note of a type.
    async fn look<C: GenericClient>(
        &self,
        c: &C,
        (pid, patient): (i64, &PatientId),
        kind: &str,
        found: &mut Collecting,
    ) -> Result<(), StoreError> {
        let mut tokens: Vec<i64> = found
            .words()
            .iter()
            .map(|w| self.vault().word_token(pid, w))
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        // Labels stand in the bodies.
        let whole = NOTES_SQL.replace("CASE WHEN", "CASE WHEN TRUE OR");
        let sql = if found.reads_all() {
            whole.as_str()
        } else {
            NOTES_SQL
        };
        let stretch = i64::try_from(STRETCH).unwrap_or(i64::MAX);
        let mut after = String::new();
        loop {
            let rows = all(c, SEARCHING, sql, &[&pid, &kind, &after, &tokens, &stretch]).await?;
            for r in &rows {
                let (rid, id): (i64, String) = (col(r, 0, SEARCHING)?, col(r, 1, SEARCHING)?);
                let whole: Option<bool> = col(r, 4, SEARCHING)?;
                let matches: bool = col(r, 5, SEARCHING)?;
                let body = match col::<Option<&[u8]>>(r, 6, SEARCHING)? {
                    Some(sealed) => self.vault().get(Place::Resource(rid), sealed).map(Bytes::from),
                    None => Ok(Bytes::new()),
                };
                let row = NoteRow {
                    number: rid,
                    key: parsed(ResourceKey::new(kind, &id), SEARCHING)?,
                    version: uint(col(r, 2, SEARCHING)?),
                    updated: UtcMs(col(r, 3, SEARCHING)?),
                    known: whole.map(|whole| Known { whole, matches }),
                    body,
                };
                after = id;
                found.row(row, patient, self.projector())?;
            }
            if rows.len() < STRETCH {
                return Ok(());
            }
        }
    }

    /// Keeps words, as far as the notes are still at those versions and the record is there. The patient's row is
    /// locked first, as by every write: a destruction comes before, and there is nothing to keep, or after, and finds
    /// what is kept. Who writes just now is not waited for.
    async fn keep(&self, pid: i64, fresh: &[Fresh]) -> Result<(), Fault> {
        let mut client = self.keeping.get().await.during(KEEPING)?;
        let tx = client.transaction().await.during(KEEPING)?;
        let lock = "SELECT 1 FROM patient WHERE pid = $1 AND NOT destroyed FOR NO KEY UPDATE SKIP LOCKED";
        if one(&tx, KEEPING, lock, &[&pid]).await?.is_none() {
            return Ok(());
        }
        let rids: Vec<i64> = fresh.iter().map(|f| f.number).collect();
        let versions: Vec<i64> = fresh.iter().map(|f| int(f.version)).collect();
        let whole: Vec<bool> = fresh.iter().map(|f| f.whole).collect();
        let sql = "INSERT INTO note (rid, pid, version, whole)
                   SELECT u.rid, $1, u.version, u.whole
                     FROM unnest($2::bigint[], $3::bigint[], $4::boolean[]) u(rid, version, whole)
                     JOIN resource r ON r.rid = u.rid AND r.pid = $1 AND r.version = u.version AND NOT r.deleted
                   ON CONFLICT (rid) DO UPDATE SET pid = excluded.pid, version = excluded.version, whole = excluded.whole
                   RETURNING rid";
        let mut kept = Vec::new();
        for row in all(&tx, KEEPING, sql, &[&pid, &rids, &versions, &whole]).await? {
            kept.push(col::<i64>(&row, 0, KEEPING)?);
        }
        run(
            &tx,
            KEEPING,
            "DELETE FROM note_word WHERE rid = ANY($1)",
            &[&kept],
        )
        .await?;
        let (mut of, mut tokens) = (Vec::new(), Vec::new());
        for f in fresh.iter().filter(|f| kept.contains(&f.number)) {
            of.extend(std::iter::repeat_n(f.number, f.words.len()));
            tokens.extend(f.words.iter().map(|w| self.vault().word_token(pid, w)));
        }
        // Two words of one token are found together; the body says which it is only where it is read.
        let sql = "INSERT INTO note_word (pid, word, rid)
                   SELECT $1, u.word, u.rid FROM unnest($2::bigint[], $3::bigint[]) u(word, rid)
                    ORDER BY u.word, u.rid ON CONFLICT DO NOTHING";
        run(&tx, KEEPING, sql, &[&pid, &tokens, &of]).await?;
        tx.commit().await.during(KEEPING)?;
        Ok(())
    }

    /// Searches notes of some types and keeps the words that were made; gives of how many notes. What could not be kept is made again by the
    /// next search.
    async fn look_at_notes(
        &self,
        patient: &PatientId,
        kinds: &[&str],
        mut found: Collecting,
    ) -> Result<(NoteHits, usize), StoreError> {
        let client = self.reader().await?;
        let row = one(
            &client,
            SEARCHING,
            "SELECT pid FROM patient WHERE id = $1",
            &[&patient.as_str()],
        )
        .await?;
        let Some(row) = row else {
            return Ok((NoteHits::default(), 0));
        };
        let pid: i64 = col(&row, 0, SEARCHING)?;
        for kind in kinds {
            self.look(&client, (pid, patient), kind, &mut found).await?;
        }
        drop(client);
        let (hits, fresh) = found.finish();
        let made = fresh.len();
        if !fresh.is_empty()
            && self.mode() == StoreMode::ReadWrite
            && let Err(e) = self.keep(pid, &fresh).await
        {
            tracing::debug!(error = %StoreError::from(e), "the words of notes are not kept");
        }
        Ok((hits, made))
    }

    pub(crate) async fn find_notes(
        &self,
        patient: &PatientId,
        query: &NoteQuery,
        clearance: Confidentiality,
    ) -> Result<NoteHits, StoreError> {
        let found = Collecting::new(&query.text, query.limit).seen_with(clearance);
        self.look_at_notes(patient, &[&query.kind], found)
            .await
            .map(|(hits, _)| hits)
    }

    /// Keeps the words of every note of a patient whose body is about to move.
    pub(crate) async fn keep_words(&self, patient: &PatientId) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let found = Collecting::new("", 0);
            if self.look_at_notes(patient, NOTE_KINDS, found).await?.1 == 0 {
                break;
            }
        }
        Ok(())
    }
}
