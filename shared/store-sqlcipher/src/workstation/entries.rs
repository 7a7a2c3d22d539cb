//! What people recorded at this workstation, and drafts of it: further tables of `outbox.db`.
//!
//! An entry and the audit row of recording it are one commit, synced before anybody is told "kept". An entry goes when the server has
//! held it for as long as audit rows are kept, or when a person has settled a rejected one; nothing else deletes one.

use super::outbox::{Outbox, append_row, json};
use super::scopes::u;
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;
use vitrine_access::AuditEntry;
use vitrine_clinical::{PatientId, UserId, UtcMs};
use vitrine_store::StoreError;

pub(super) const TABLES: &str = "
CREATE TABLE entry(
  n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, patient TEXT NOT NULL, at INTEGER NOT NULL,
  body TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, answered INTEGER NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX entry_state ON entry(state, n);
CREATE INDEX entry_of ON entry(patient, n);
CREATE TABLE draft(
  user TEXT NOT NULL, patient TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(user, patient)
) WITHOUT ROWID, STRICT;
";

/// Drafts of every kind of entry, as JSON objects of what was typed by field; before, only the text of a note was kept.
pub(super) const DRAFTS: &str = "
CREATE TABLE entry_draft(
  user TEXT NOT NULL, patient TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY(user, patient, kind)
) WITHOUT ROWID, STRICT;
INSERT INTO entry_draft SELECT user, patient, 'note', at, json_object('text', body) FROM draft;
DROP TABLE draft;
";

/// What somebody typed and has not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// When it was kept last.
    pub at: UtcMs,
    /// By the name of the field.
    pub fields: BTreeMap<String, String>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryMark {
    /// The server does not have it.
    Queued,
    /// It is in the record on the server.
    Accepted,
    /// The server refuses it.
    Rejected,
    /// A person has settled a rejected one.
    Settled,
}

impl EntryMark {
    const fn number(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Accepted => 1,
            Self::Rejected => 2,
            Self::Settled => 3,
        }
    }
    const fn of(number: i64) -> Self {
        match number {
            1 => Self::Accepted,
            2 => Self::Rejected,
            3 => Self::Settled,
            // Whatever cannot be told is offered again: the server applies it once.
            _ => Self::Queued,
        }
    }
}

/// An entry to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who recorded it.
    pub user: &'a UserId,
    /// Whose record.
    pub patient: &'a PatientId,
    /// When.
    pub at: UtcMs,
    /// Its JSON.
    pub body: &'a str,
}

/// An entry kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its id.
    pub id: String,
    /// Whose record.
    pub patient: String,
    /// Its JSON.
    pub body: String,
    /// What became of it.
    pub mark: EntryMark,
    /// When the server answered, ms; 0 while it has not.
    pub answered: i64,
    /// For an accepted one the keys of its resources, one a line; for a rejected one why.
    pub answer: String,
}

/// How many entries wait, and how many nobody has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryTally {
    /// Not with the server.
    pub queued: u64,
    /// Refused by the server and not settled.
    pub rejected: u64,
    /// When the oldest waiting one was recorded, ms.
    pub oldest: Option<i64>,
}

fn kept(r: &rusqlite::Row<'_>) -> rusqlite::Result<KeptEntry> {
    Ok(KeptEntry {
        id: r.get(0)?,
        patient: r.get(1)?,
        body: r.get(2)?,
        mark: EntryMark::of(r.get(3)?),
        answered: r.get(4)?,
        answer: r.get(5)?,
    })
}

const COLUMNS: &str = "SELECT id, patient, body, state, answered, answer FROM entry";

impl Outbox {
    /// Keeps an entry and the audit row of recording it in one transaction; durable on return. The same id again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Damaged`], [`StoreError::Backend`]: nothing was kept, say so.
    pub fn record(&self, row: &AuditEntry, entry: &NewEntry<'_>) -> Result<(), StoreError> {
        let body = json(row)?;
        let lines = self.lines();
        lines.write("keeping what was recorded", |t| {
            let fault = lines.fault("keeping what was recorded");
            let n = t
                .execute(
                    "INSERT OR IGNORE INTO entry(id, user, patient, at, body) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        entry.id,
                        entry.user.as_str(),
                        entry.patient.as_str(),
                        entry.at.0,
                        entry.body
                    ],
                )
                .map_err(&fault)?;
            if n > 0 {
                append_row(t, row.at.0, &body).map_err(&fault)?;
            }
            Ok(())
        })
    }

    /// When the newest row of the audit chain was written, ms.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn newest_row(&self) -> Result<Option<i64>, StoreError> {
        self.lines().read("reading the audit chain", |c| {
            c.prepare_cached("SELECT at FROM audit ORDER BY seq DESC LIMIT 1")?
                .query_row([], |r| r.get(0))
                .optional()
        })
    }

    /// Entries of one kind (`allergy`, `acknowledge`) that were recorded here, of all patients, and that nobody has settled.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn recorded(&self, kind: &str) -> Result<Vec<KeptEntry>, StoreError> {
        self.lines().read("reading what was recorded", |c| {
            let sql = format!("{COLUMNS} WHERE state < 3 AND body ->> '$.what.kind' = ?1 ORDER BY n");
            c.prepare_cached(&sql)?.query_map([kind], kept)?.collect()
        })
    }

    /// Entries to be offered to the server, in the order in which they were recorded: those it does not have, or with `all` also
    /// those it has accepted and that are still kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn entries_due(&self, all: bool, limit: usize) -> Result<Vec<KeptEntry>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.lines().read("reading what was recorded", |c| {
            let sql = format!("{COLUMNS} WHERE state = 0 OR (?1 AND state = 1) ORDER BY n LIMIT ?2");
            c.prepare_cached(&sql)?
                .query_map(params![all, limit], kept)?
                .collect()
        })
    }

    /// Entries about one patient, or all, that nobody has settled, in the order in which they were recorded.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn entries(&self, patient: Option<&PatientId>) -> Result<Vec<KeptEntry>, StoreError> {
        self.lines().read("reading what was recorded", |c| {
            // Two questions: one for both would read every entry for each card.
            match patient {
                Some(p) => {
                    let sql = format!("{COLUMNS} WHERE patient = ?1 AND state < 3 ORDER BY n");
                    c.prepare_cached(&sql)?.query_map([p.as_str()], kept)?.collect()
                }
                None => {
                    let sql = format!("{COLUMNS} WHERE state < 3 ORDER BY n");
                    c.prepare_cached(&sql)?.query_map([], kept)?.collect()
                }
            }
        })
    }

    /// One entry.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn entry(&self, id: &str) -> Result<Option<KeptEntry>, StoreError> {
        self.lines().read("reading what was recorded", |c| {
            let sql = format!("{COLUMNS} WHERE id = ?1");
            c.prepare_cached(&sql)?.query_row([id], kept).optional()
        })
    }

    /// Notes the server's answer. An accepted one that a restored server refuses is a rejected one from then on: it is not in the record.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn answer_entry(&self, id: &str, mark: EntryMark, answer: &str, at: UtcMs) -> Result<(), StoreError> {
        let lines = self.lines();
        lines.write("noting what became of an entry", |t| {
            t.execute(
                "UPDATE entry SET state = ?2, answered = max(?3, 1), answer = ?4 WHERE id = ?1 AND state IN (0, 1) AND state <= ?2",
                params![id, mark.number(), at.0, answer],
            )
            .map(|_| ())
            .map_err(lines.fault("noting what became of an entry"))
        })
    }

    /// A person has settled a rejected entry: it leaves the list, with the audit row that says what was done about it. Gives false,
    /// and writes nothing, when it is not (any more) a rejected one.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn settle_entry(&self, id: &str, row: &AuditEntry) -> Result<bool, StoreError> {
        let body = json(row)?;
        let lines = self.lines();
        lines.write("settling an entry", |t| {
            let fault = lines.fault("settling an entry");
            let n = t
                .execute(
                    "UPDATE entry SET state = 3, answered = ?2 WHERE id = ?1 AND state = 2",
                    params![id, row.at.0],
                )
                .map_err(&fault)?;
            if n > 0 {
                append_row(t, row.at.0, &body).map_err(&fault)?;
            }
            Ok(n > 0)
        })
    }

    /// Removes accepted and settled entries answered before `before`.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn clear_entries(&self, before: UtcMs) -> Result<u64, StoreError> {
        let lines = self.lines();
        lines.write("clearing accepted entries", |t| {
            t.execute(
                "DELETE FROM entry WHERE state IN (1, 3) AND answered < ?1",
                [before.0],
            )
            .map(|n| n as u64)
            .map_err(lines.fault("clearing accepted entries"))
        })
    }

    /// How many wait.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn entry_tally(&self) -> Result<EntryTally, StoreError> {
        self.lines().read("counting what was recorded", |c| {
            c.prepare_cached(
                "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2), min(at) FILTER (WHERE state = 0)
                 FROM entry WHERE state IN (0, 2)",
            )?
            .query_row([], |r| {
                Ok(EntryTally {
                    queued: u(r.get(0)?),
                    rejected: u(r.get(1)?),
                    oldest: r.get(2)?,
                })
            })
        })
    }

    /// A person's draft of a kind of entry about a patient.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn draft(&self, user: &UserId, patient: &PatientId, kind: &str) -> Result<Option<Draft>, StoreError> {
        let found: Option<(i64, String)> = self.lines().read("reading a draft", |c| {
            c.prepare_cached(
                "SELECT at, body FROM entry_draft WHERE user = ?1 AND patient = ?2 AND kind = ?3",
            )?
            .query_row([user.as_str(), patient.as_str(), kind], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .optional()
        })?;
        let Some((at, body)) = found else { return Ok(None) };
        let fields = serde_json::from_str(&body).map_err(|_| StoreError::Damaged("a draft".to_owned()))?;
        Ok(Some(Draft {
            at: UtcMs(at),
            fields,
        }))
    }

    /// Which kinds of entry about a patient a person has drafts of, and when each was kept last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn drafts(&self, user: &UserId, patient: &PatientId) -> Result<Vec<(String, UtcMs)>, StoreError> {
        self.lines().read("reading which drafts there are", |c| {
            c.prepare_cached(
                "SELECT kind, at FROM entry_draft WHERE user = ?1 AND patient = ?2 ORDER BY kind",
            )?
            .query_map([user.as_str(), patient.as_str()], |r| {
                Ok((r.get(0)?, UtcMs(r.get(1)?)))
            })?
            .collect()
        })
    }

    /// Keeps a draft; one without fields removes it.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn set_draft(
        &self,
        user: &UserId,
        patient: &PatientId,
        kind: &str,
        draft: &Draft,
    ) -> Result<(), StoreError> {
        let lines = self.lines();
        let body = json(&draft.fields)?;
        lines.write("keeping a draft", |t| {
            let (user, patient) = (user.as_str(), patient.as_str());
            let done = if draft.fields.is_empty() {
                t.execute(
                    "DELETE FROM entry_draft WHERE user = ?1 AND patient = ?2 AND kind = ?3",
                    [user, patient, kind],
                )
            } else {
                t.execute(
                    "INSERT INTO entry_draft(user, patient, kind, at, body) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT(user, patient, kind) DO UPDATE SET at = ?4, body = ?5",
                    params![user, patient, kind, draft.at.0, body],
                )
            };
            done.map(|_| ()).map_err(lines.fault("keeping a draft"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Lines;
    use super::super::outbox::{APPLICATION, MIGRATIONS};
    use super::*;
    use crate::cipher::{Key, Synchronous};

    fn draft() -> Draft {
        let text = ("text".to_owned(), "Pupils \"equal\"".to_owned());
        Draft {
            at: UtcMs(1),
            fields: BTreeMap::from([text]),
        }
    }

    fn who() -> (UserId, PatientId) {
        (UserId::new("lee").unwrap(), PatientId::new("p1").unwrap())
    }

    fn note(outbox: &Outbox) -> Result<(), StoreError> {
        let (user, patient) = who();
        outbox.set_draft(&user, &patient, "note", &draft())
    }

    #[test]
    fn a_note_that_was_being_written_before_the_update_is_a_draft_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.db");
        let key = Key::new([7; 32].into());
        let before = Lines::open(&path, &key, APPLICATION, &MIGRATIONS[..2], Synchronous::Full, 512).unwrap();
        before
            .write("a draft", |t| {
                let sql =
                    "INSERT INTO draft(user, patient, at, body) VALUES ('lee', 'p1', 1, 'Pupils \"equal\"')";
                t.execute(sql, []).map(|_| ()).map_err(before.fault("a draft"))
            })
            .unwrap();
        drop(before);
        let (user, patient) = who();
        let after = Outbox::open(&path, &key).unwrap();
        assert_eq!(after.draft(&user, &patient, "note").unwrap(), Some(draft()));
        assert_eq!(
            after.drafts(&user, &patient).unwrap(),
            [("note".to_owned(), UtcMs(1))]
        );
    }

    #[test]
    fn an_outbox_from_before_gets_the_tables_also_when_there_was_no_room_at_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.db");
        let key = Key::new([7; 32].into());
        let first = Lines::open(&path, &key, APPLICATION, &MIGRATIONS[..1], Synchronous::Full, 512).unwrap();
        first
            .write("a note", |t| {
                t.execute("INSERT INTO note(name, value) VALUES ('acked', '7')", [])
                    .map(|_| ())
                    .map_err(first.fault("a note"))
            })
            .unwrap();
        drop(first);
        // As on a disk without room: nothing could be written when it was opened.
        let late = Outbox::unopened(&path, &key);
        note(&late).unwrap();
        assert_eq!(late.note("acked").unwrap().as_deref(), Some("7"));
        drop(late);
        let again = Outbox::open(&path, &key).unwrap();
        assert_eq!(again.entries(None).unwrap(), []);
        let (user, patient) = who();
        assert_eq!(again.draft(&user, &patient, "note").unwrap(), Some(draft()));
    }
}
