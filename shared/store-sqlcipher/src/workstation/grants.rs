//! Break-glass grants made at this workstation, what became of each, and what of that the server holds.
//!
//! Lives here: their table in `outbox.db`. A grant is never changed; its end and the words added to it stand beside it, each written
//! once, in the commit of its audit row. Never here: when a grant ends (`engine/break_glass`), the policy.
//! Called by the engine; the audit chain is in [`super::outbox`].

use super::outbox::{Outbox, append_row, json};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use vitrine_access::grant::{Ended, EndedBy, LaterWords};
use vitrine_access::{AuditEntry, Grant};
use vitrine_clinical::{DeviceId, PatientId, UserId, UtcMs};
use vitrine_store::StoreError;

/// `rev` counts what came after the grant, `sent_rev` what of it the server holds.
pub(super) const AFTER: &str = "
ALTER TABLE made_grant ADD COLUMN ended_at INTEGER;
ALTER TABLE made_grant ADD COLUMN ended_by TEXT;
ALTER TABLE made_grant ADD COLUMN words_at INTEGER;
ALTER TABLE made_grant ADD COLUMN words TEXT;
ALTER TABLE made_grant ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
ALTER TABLE made_grant ADD COLUMN sent_rev INTEGER NOT NULL DEFAULT 0;
CREATE INDEX made_grant_by ON made_grant(user, at);
";

const COLUMNS: &str = "body, ended_at, ended_by, words_at, words, rev";

/// How a grant comes into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// As it is made.
    Made,
    /// Out of the reserve of a full disk.
    FromReserve,
}

/// A grant not yet acknowledged by the server, or of which something is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingGrant {
    /// Its id.
    pub id: String,
    /// Its JSON as stored.
    pub body: String,
    /// When it was made.
    pub at: i64,
    /// How much came after it; 0 = nothing.
    pub rev: u32,
    /// Its end.
    pub ended: Option<Ended>,
    /// Words added to it.
    pub words: Option<LaterWords>,
}

/// A grant made here, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeGrant {
    /// The grant.
    pub grant: Grant,
    /// Its end before its time.
    pub ended: Option<Ended>,
    /// Words added to it.
    pub words: Option<LaterWords>,
}

impl MadeGrant {
    /// Whether words are still owed: none were given when the glass was broken, and none since.
    #[must_use]
    pub fn owes_words(&self) -> bool {
        self.grant.words.is_none() && self.words.is_none()
    }
}

/// What came after a grant, from the columns beginning at `from`.
fn after(r: &Row<'_>, from: usize) -> rusqlite::Result<(Option<Ended>, Option<LaterWords>, u32)> {
    let (at, by): (Option<i64>, Option<String>) = (r.get(from)?, r.get(from + 1)?);
    let ended = at.map(|at| Ended {
        at: UtcMs(at),
        by: by.as_deref().map_or(EndedBy::Other, EndedBy::parse),
    });
    let (at, text): (Option<i64>, Option<String>) = (r.get(from + 2)?, r.get(from + 3)?);
    let words = at.zip(text).map(|(at, text)| LaterWords { at: UtcMs(at), text });
    Ok((ended, words, r.get(from + 4)?))
}

/// A grant as it stands; `None` for one whose text cannot be read.
fn made(r: &Row<'_>) -> rusqlite::Result<Option<MadeGrant>> {
    let body: String = r.get(0)?;
    let (ended, words, _) = after(r, 1)?;
    let grant = serde_json::from_str(&body).ok();
    Ok(grant.map(|grant| MadeGrant { grant, ended, words }))
}

pub(super) fn put(t: &Transaction<'_>, g: &Grant, body: &str, came: Came) -> rusqlite::Result<()> {
    let ended = (came == Came::FromReserve).then_some(g.at.0);
    t.prepare_cached(
        "INSERT OR IGNORE INTO made_grant(id, user, patient, until, at, body, ended_at, ended_by, rev)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        g.id.to_string(),
        g.user.as_str(),
        g.patient.as_str(),
        g.until.0,
        g.at.0,
        body,
        ended,
        ended.map(|_| EndedBy::Reserve.code()),
        i64::from(ended.is_some())
    ])?;
    Ok(())
}

impl Outbox {
    /// Grants of which the server does not hold everything, or all that are kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn grants(&self, all: bool) -> Result<Vec<PendingGrant>, StoreError> {
        self.lines().read("reading grants", |c| {
            let sql = format!(
                "SELECT id, at, {COLUMNS} FROM made_grant WHERE sent = 0 OR sent_rev < rev OR ?1 ORDER BY at, id"
            );
            let mut s = c.prepare_cached(&sql)?;
            let rows = s.query_map([all], |r| {
                let (ended, words, rev) = after(r, 3)?;
                Ok(PendingGrant {
                    id: r.get(0)?,
                    at: r.get(1)?,
                    body: r.get(2)?,
                    rev,
                    ended,
                    words,
                })
            })?;
            rows.collect()
        })
    }

    /// Notes that the server holds a grant and what came after it up to `rev`, and since when: it is kept for as long after that
    /// as audit rows are.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn grant_sent(&self, id: &str, rev: u32, at: UtcMs) -> Result<(), StoreError> {
        self.lines().write("noting a grant as sent", |t| {
            t.execute(
                "UPDATE made_grant SET sent = max(?2, 1), sent_rev = max(sent_rev, min(?3, rev)) WHERE id = ?1",
                params![id, at.0, rev],
            )
            .map_err(self.lines().fault("noting a grant as sent"))?;
            Ok(())
        })
    }

    /// A grant that covers this user, workstation and patient now. One that has ended covers nobody, whatever the clock says.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn grant(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        patient: &PatientId,
        at: UtcMs,
    ) -> Result<Option<Grant>, StoreError> {
        let found = self.lines().read("reading grants", |c| {
            let sql = format!(
                "SELECT {COLUMNS} FROM made_grant
                 WHERE user = ?1 AND patient = ?2 AND until > ?3 AND ended_at IS NULL ORDER BY until DESC"
            );
            let mut s = c.prepare_cached(&sql)?;
            let rows = s.query_map(params![user.as_str(), patient.as_str(), at.0], made)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(found
            .into_iter()
            .flatten()
            .map(|m| m.grant)
            .find(|g| g.covers(user, device, patient, at)))
    }

    /// One grant made here; `None` when there is none of that id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn made_grant(&self, id: &str) -> Result<Option<MadeGrant>, StoreError> {
        self.lines().read("reading grants", |c| {
            let sql = format!("SELECT {COLUMNS} FROM made_grant WHERE id = ?1");
            let found = c.prepare_cached(&sql)?.query_row([id], made).optional()?;
            Ok(found.flatten())
        })
    }

    /// Grants made here whose time is not over at `at` and that have not ended.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn grants_in_force(&self, at: UtcMs) -> Result<Vec<Grant>, StoreError> {
        self.lines().read("reading grants", |c| {
            let sql = format!(
                "SELECT {COLUMNS} FROM made_grant WHERE until > ?1 AND ended_at IS NULL ORDER BY at, id"
            );
            let mut s = c.prepare_cached(&sql)?;
            let rows = s.query_map([at.0], made)?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows.into_iter().flatten().map(|m| m.grant).collect())
        })
    }

    /// Grants of a person made here since `since`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn grants_of(&self, user: &UserId, since: UtcMs) -> Result<Vec<MadeGrant>, StoreError> {
        self.lines().read("reading grants", |c| {
            let sql =
                format!("SELECT {COLUMNS} FROM made_grant WHERE user = ?1 AND at >= ?2 ORDER BY at, id");
            let mut s = c.prepare_cached(&sql)?;
            let rows = s.query_map(params![user.as_str(), since.0], made)?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows.into_iter().flatten().collect())
        })
    }

    /// Ends grants, each with its audit row (its `grant` says which), in one commit; durable on return. One that has ended already
    /// stays as it is, without a row. Gives how many ended now.
    ///
    /// # Errors
    /// As [`Self::append`]: none has ended then.
    pub fn end_grants(&self, ends: &[(Ended, AuditEntry)]) -> Result<usize, StoreError> {
        let rows = with_bodies(ends)?;
        self.lines().write("ending a grant", |t| {
            let fault = self.lines().fault("ending a grant");
            let mut count = 0;
            for (id, ended, at, body) in &rows {
                let changed = t
                    .execute(
                        "UPDATE made_grant SET ended_at = ?2, ended_by = ?3, rev = rev + 1 WHERE id = ?1 AND ended_at IS NULL",
                        params![id, ended.at.0, ended.by.code()],
                    )
                    .map_err(&fault)?;
                if changed > 0 {
                    append_row(t, *at, body).map_err(&fault)?;
                    count += 1;
                }
            }
            Ok(count)
        })
    }

    /// Adds words to a grant (that of `entry`), with their audit row, in one commit; durable on return. False: words were added
    /// before, or there is no such grant; nothing is written.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn add_words(&self, words: &LaterWords, entry: &AuditEntry) -> Result<bool, StoreError> {
        let added = [(words, entry.clone())];
        let rows = with_bodies(&added)?;
        self.lines().write("adding words to a grant", |t| {
            let fault = self.lines().fault("adding words to a grant");
            let mut added = false;
            for (id, words, at, body) in &rows {
                let changed = t
                    .execute(
                        "UPDATE made_grant SET words_at = ?2, words = ?3, rev = rev + 1 WHERE id = ?1 AND words_at IS NULL",
                        params![id, words.at.0, words.text],
                    )
                    .map_err(&fault)?;
                if changed > 0 {
                    append_row(t, *at, body).map_err(&fault)?;
                    added = true;
                }
            }
            Ok(added)
        })
    }
}

/// With the grant's id, the time and the text of each row; rows of no grant are left out.
fn with_bodies<T>(all: &[(T, AuditEntry)]) -> Result<Vec<(String, &T, i64, String)>, StoreError> {
    let each = all.iter().filter_map(|(what, entry)| {
        let id = entry.grant?.to_string();
        Some(json(entry).map(|body| (id, what, entry.at.0, body)))
    });
    each.collect()
}
