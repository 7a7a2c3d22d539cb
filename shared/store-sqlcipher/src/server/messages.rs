//! Messages of other systems, kept as they came.
//!
//! Lives here: their rows and their bytes. Never here: what a message says. Called by the server's ingest through
//! `vitrine_store::messages`, and by `archive` when a record is destroyed.
//!
//! Keeping and settling are jobs of the one writer: many at once share a commit. Both look one row up by an index.

use super::sql::{During, all, int, one, parsed, run, uint};
use super::{SqlcipherStore, body};
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use vitrine_access::action::ImportData;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::messages::{
    Keeping, KeptMessage, MessageAbout, MessageCount, MessageOutcome, MessageQuery, MessageRow, MessageSaid,
    MessageState, Messages, NewMessage, message_day,
};

const READING: &str = "reading messages";
const KEEPING: &str = "keeping a message";
const SETTLING: &str = "settling a message";
const FORGETTING: &str = "forgetting the bytes of messages";
const ROW: &str = "m.id, m.at, m.feed, m.kind, m.corrects, m.bytes, m.times, m.settled, m.kept, m.about,
                   m.state, m.code, m.patient, m.wrote, m.said";
/// What a row says, as JSON.
type Texts = (String, String);

/// A word or a number that this program never wrote.
fn damaged() -> StoreError {
    StoreError::Damaged("the table of messages in the server's database".to_owned())
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Backend {
        doing: KEEPING,
        cause: e.to_string(),
    })
}

/// An outcome without what was said, from the columns `state, code, patient, wrote, said` at an index.
fn outcome(r: &Row<'_>, from: usize) -> rusqlite::Result<(Option<MessageOutcome>, String)> {
    let state: String = r.get(from)?;
    let patient: Option<String> = r.get(from + 2)?;
    let patient = patient.map(|p| parsed(from + 2, PatientId::new(p))).transpose()?;
    let (code, wrote): (u16, u32) = (r.get(from + 1)?, r.get(from + 3)?);
    let made = MessageState::parse(&state)
        .map(|state| MessageOutcome::from_columns(state, code, patient, wrote, MessageSaid::default()));
    Ok((made, r.get(from + 4)?))
}

fn with_said(outcome: Option<MessageOutcome>, said: &str) -> Result<MessageOutcome, StoreError> {
    let o = outcome.ok_or_else(damaged)?;
    let said: MessageSaid = serde_json::from_str(said).map_err(|_| damaged())?;
    Ok(MessageOutcome::from_columns(
        o.state, o.code, o.patient, o.wrote, said,
    ))
}

/// A row of [`ROW`], still without what its texts say.
fn row(r: &Row<'_>) -> rusqlite::Result<(Option<MessageRow>, Texts)> {
    let (made, said) = outcome(r, 10)?;
    let about: String = r.get(9)?;
    let (id, at, feed, kind) = (uint(r.get(0)?), UtcMs(r.get(1)?), r.get(2)?, r.get(3)?);
    let (of, bytes, times) = (r.get::<_, Option<i64>>(4)?.map(uint), uint(r.get(5)?), r.get(6)?);
    let (settled, has_body) = (r.get::<_, Option<i64>>(7)?.map(UtcMs), r.get(8)?);
    let made = made.map(|outcome| MessageRow {
        id,
        at,
        feed,
        sender: String::new(),
        control: String::new(),
        dated: String::new(),
        kind,
        of,
        bytes,
        times,
        settled,
        outcome,
        has_body,
    });
    Ok((made, (about, said)))
}

fn whole((row, (about, said)): (Option<MessageRow>, Texts)) -> Result<MessageRow, StoreError> {
    let row = row.ok_or_else(damaged)?;
    let about: MessageAbout = serde_json::from_str(&about).map_err(|_| damaged())?;
    let outcome = with_said(Some(row.outcome), &said)?;
    Ok(MessageRow {
        sender: about.sender,
        control: about.control,
        dated: about.dated,
        outcome,
        ..row
    })
}

type Found = ((Option<MessageRow>, Texts), Option<Vec<u8>>);

fn with_body(r: &Row<'_>) -> rusqlite::Result<Found> {
    Ok((row(r)?, r.get(15)?))
}

fn kept((row, packed): Found) -> Result<KeptMessage, StoreError> {
    let body = packed.map(|p| body::unpack(&p)).transpose()?.map(Bytes::from);
    Ok(KeptMessage {
        row: whole(row)?,
        body,
    })
}

/// A message as it is to be written.
struct Prepared {
    new: NewMessage,
    same: [u8; 16],
    sum: [u8; 32],
    about: String,
    packed: Vec<u8>,
}

fn keep(conn: &Connection, m: &Prepared) -> Result<Keeping, StoreError> {
    let mut first = None;
    if m.new.of.is_none() {
        let sql = "UPDATE message SET times = times + 1 WHERE same = ?1 AND sum = ?2 AND corrects IS NULL
                   RETURNING state, code, patient, wrote, said, id";
        let again = one(conn, sql, params![&m.same[..], &m.sum[..]], |r| {
            Ok((outcome(r, 0)?, uint(r.get(5)?)))
        });
        if let Some(((made, said), id)) = again.during(KEEPING)? {
            let outcome = with_said(made, &said)?;
            let state = outcome.state;
            return Ok(Keeping::Again { id, state, outcome });
        }
        let sql = "SELECT id FROM message INDEXED BY message_same WHERE same = ?1 AND corrects IS NULL ORDER BY id LIMIT 1";
        first = one(conn, sql, [&m.same[..]], |r| Ok(uint(r.get(0)?))).during(KEEPING)?;
    }
    let sql = "INSERT INTO message (at, feed, kind, corrects, bytes, times, state, code, wrote, kept, same, sum, about, said)
               VALUES (?1, ?2, ?3, ?4, ?5, 1, 'received', 0, 0, 1, ?6, ?7, ?8, '{}')";
    let (of, bytes) = (m.new.of.map(int), int(m.new.body.len() as u64));
    let with = params![
        m.new.at.0,
        m.new.feed,
        m.new.kind,
        of,
        bytes,
        &m.same[..],
        &m.sum[..],
        m.about
    ];
    run(conn, sql, with).during(KEEPING)?;
    let id = conn.last_insert_rowid();
    let sql = "INSERT INTO message_body (id, body) VALUES (?1, ?2)";
    run(conn, sql, params![id, m.packed]).during(KEEPING)?;
    let id = uint(id);
    Ok(first.map_or(Keeping::New(id), |first| Keeping::Other { id, first }))
}

fn settle(conn: &Connection, id: u64, at: UtcMs, outcome: &MessageOutcome) -> Result<bool, StoreError> {
    let sql = "UPDATE message SET settled = ?2, state = ?3, code = ?4, patient = ?5, wrote = ?6, said = ?7 WHERE id = ?1";
    let settled = outcome.settled(at).map(|at| at.0);
    let patient = outcome.patient.as_ref().map(PatientId::as_str);
    let with = params![
        int(id),
        settled,
        outcome.state.as_str(),
        outcome.code,
        patient,
        outcome.wrote,
        json(&outcome.said())?
    ];
    if run(conn, sql, with).during(SETTLING)? == 0 {
        return Ok(false);
    }
    if let Some(patient) = patient.filter(|_| outcome.state.is_done()) {
        let sql = "SELECT 1 FROM patient WHERE id = ?1 AND destroyed = 1";
        if one(conn, sql, [patient], |_| Ok(())).during(SETTLING)?.is_some() {
            take_body(conn, int(id)).during(SETTLING)?;
        }
    }
    Ok(true)
}

fn take_body(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    run(conn, "DELETE FROM message_body WHERE id = ?1", [id])?;
    run(conn, "UPDATE message SET kept = 0 WHERE id = ?1", [id])?;
    Ok(())
}

/// The messages of a patient whose bytes are here, with them.
pub(super) fn of(conn: &Connection, patient: &PatientId) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let sql = "SELECT m.id, b.body FROM message m JOIN message_body b ON b.id = m.id WHERE m.patient = ?1 ORDER BY m.id";
    let found = all(conn, sql, [patient.as_str()], |r| {
        Ok((uint(r.get(0)?), r.get::<_, Vec<u8>>(1)?))
    });
    let found = found.during(READING)?.into_iter();
    found
        .map(|(id, packed)| Ok((id, body::unpack(&packed)?)))
        .collect()
}

/// Takes the bytes of a patient's messages.
pub(super) fn forget(conn: &Connection, patient: &PatientId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM message_body WHERE id IN (SELECT id FROM message WHERE patient = ?1)",
        "UPDATE message SET kept = 0 WHERE patient = ?1",
    ] {
        run(conn, sql, [patient.as_str()]).during(FORGETTING)?;
    }
    Ok(())
}

/// The statement of a list, and what is bound in it. A state that few messages are in has an index of its own.
fn listing(query: &MessageQuery) -> (String, Vec<Value>) {
    let by = match query.state {
        _ if query.patient.is_some() => "INDEXED BY message_patient",
        Some(MessageState::Received) => "INDEXED BY message_received",
        Some(MessageState::Held) => "INDEXED BY message_held",
        Some(MessageState::Dropped) => "INDEXED BY message_dropped",
        Some(MessageState::Applied | MessageState::Known) | None => "NOT INDEXED",
    };
    let (mut conditions, mut with) = (String::from("1 = 1"), Vec::new());
    let mut and = |condition: &str, value: Value| {
        with.push(value);
        conditions += &format!(" AND {condition} ?{}", with.len());
    };
    if let Some(feed) = &query.feed {
        and("m.feed =", Value::from(feed.clone()));
    }
    if let Some(patient) = &query.patient {
        and("m.patient =", Value::from(patient.as_str().to_owned()));
    }
    if let Some(before) = query.before {
        and("m.id <", Value::from(int(before)));
    }
    if let Some(state) = query.state {
        // Written out, so that the index of the state fits.
        conditions += &format!(" AND m.state = '{}'", state.as_str());
    }
    with.push(Value::from(i64::try_from(query.limit).unwrap_or(i64::MAX)));
    let sql = format!(
        "SELECT {ROW} FROM message m {by} WHERE {conditions} ORDER BY m.id DESC LIMIT ?{}",
        with.len()
    );
    (sql, with)
}

fn counts(conn: &Connection, since: UtcMs) -> Result<Vec<MessageCount>, StoreError> {
    let sql =
        "SELECT feed, at / 86400000, kind, state, code, count(*), min(at) FROM message INDEXED BY message_at
                WHERE at >= ?1 GROUP BY 1, 2, 3, 4, 5";
    let found = all(conn, sql, [since.0], |r| {
        let state: String = r.get(3)?;
        let (feed, kind, code) = (r.get(0)?, r.get(2)?, r.get(4)?);
        let (n, day) = (uint(r.get(5)?), message_day(UtcMs(r.get(6)?)));
        Ok(MessageState::parse(&state).map(|state| MessageCount {
            feed,
            day,
            kind,
            state,
            code,
            n,
        }))
    });
    let found: Option<Vec<MessageCount>> = found.during(READING)?.into_iter().collect();
    let mut counts = found.ok_or_else(damaged)?;
    counts.sort();
    Ok(counts)
}

#[async_trait]
impl Messages for SqlcipherStore {
    async fn keep_message(&self, m: NewMessage) -> Result<Keeping, StoreError> {
        // Hashed and packed where it is asked, not on the writer.
        let prepared = Prepared {
            same: m.same(),
            sum: m.sum(),
            about: json(&m.about())?,
            packed: body::pack(&m.body)?,
            new: m,
        };
        self.write(1, move |conn, _| keep(conn, &prepared)).await
    }

    async fn settle_message(&self, id: u64, at: UtcMs, outcome: MessageOutcome) -> Result<bool, StoreError> {
        self.write(1, move |conn, _| settle(conn, id, at, &outcome)).await
    }

    async fn decide_message(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        at: UtcMs,
        outcome: MessageOutcome,
    ) -> Result<bool, StoreError> {
        let entry = permit.entry(Disclosure::default());
        self.write(1, move |conn, group| {
            let there = settle(conn, id, at, &outcome)?;
            if there {
                group.record(conn, &entry)?;
            }
            Ok(there)
        })
        .await
    }

    async fn message(&self, id: u64) -> Result<Option<KeptMessage>, StoreError> {
        self.read_job(move |conn| {
            let sql = format!(
                "SELECT {ROW}, b.body FROM message m LEFT JOIN message_body b ON b.id = m.id WHERE m.id = ?1"
            );
            let found = one(conn, &sql, [int(id)], with_body).during(READING)?;
            found.map(kept).transpose()
        })
        .await
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRow>, StoreError> {
        let (sql, with) = listing(query);
        self.read_job(move |conn| {
            let found = all(conn, &sql, params_from_iter(with), row).during(READING)?;
            found.into_iter().map(whole).collect()
        })
        .await
    }

    async fn unsettled_messages(&self, after: u64, limit: usize) -> Result<Vec<KeptMessage>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_job(move |conn| {
            let sql = format!(
                "SELECT {ROW}, b.body FROM message m INDEXED BY message_received
                   LEFT JOIN message_body b ON b.id = m.id
                  WHERE m.state = 'received' AND m.id > ?1 ORDER BY m.id LIMIT ?2"
            );
            let found = all(conn, &sql, [int(after), most], with_body).during(READING)?;
            found.into_iter().map(kept).collect()
        })
        .await
    }

    async fn message_counts(&self, since: UtcMs) -> Result<Vec<MessageCount>, StoreError> {
        self.read_job(move |conn| counts(conn, since)).await
    }

    async fn forget_messages(&self, before: UtcMs, most: usize) -> Result<u64, StoreError> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(most.max(1), move |conn, _| {
            let sql = "SELECT id FROM message INDEXED BY message_old
                        WHERE kept = 1 AND state IN ('applied', 'known') AND settled < ?1 ORDER BY settled, id LIMIT ?2";
            let old = all(conn, sql, [before.0, limit], |r| r.get::<_, i64>(0)).during(FORGETTING)?;
            for id in &old {
                take_body(conn, *id).during(FORGETTING)?;
            }
            Ok(old.len() as u64)
        })
        .await
    }
}
