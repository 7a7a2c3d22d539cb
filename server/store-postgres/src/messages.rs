//! Messages of other systems, kept as they came; sealed, and known by keyed digests.
//!
//! Lives here: their rows and their bytes. Never here: what a message says. Called by the server's ingest through
//! `vitrine_store::messages`, by `acts` for what is written, and by `archive` and `flush` when a record is destroyed.

mod writing;

use crate::PostgresStore;
use crate::acts::Act;
use crate::sql::{self, Fault, all, col, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{GenericClient, Transaction};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use vitrine_access::action::ImportData;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::messages::{
    Keeping, KeptMessage, MessageAbout, MessageCount, MessageOutcome, MessageQuery, MessageRow, MessageSaid,
    MessageState, Messages, NewMessage, message_day,
};

pub(crate) use writing::MessagesDone;
pub use writing::SETTLE_SQL;

const READING: &str = "reading messages";
const KEEPING: &str = "keeping a message";
const SETTLING: &str = "settling a message";
const FORGETTING: &str = "forgetting the bytes of messages";
const ROW: &str = "m.id, m.at, m.feed, m.kind, m.corrects, m.bytes, m.times, m.settled, m.kept, m.about,
                   m.state, m.code, m.patient, m.wrote, m.said";

/// Those that were received and not settled, after a number: `$1`; at most so many: `$2`.
pub const UNSETTLED_SQL: &str =
    "SELECT m.id, m.at, m.feed, m.kind, m.corrects, m.bytes, m.times, m.settled, m.kept, m.about,
       m.state, m.code, m.patient, m.wrote, m.said, b.body
  FROM message m LEFT JOIN message_body b ON b.id = m.id
 WHERE m.state = 'received' AND m.id > $1 ORDER BY m.id LIMIT $2";

/// What is written about messages.
pub(crate) enum MessageAct {
    Keep(Box<Incoming>),
    /// Its number, when, what has become of it.
    Settle(u64, UtcMs, MessageOutcome),
    /// The same by a person, with the audit row of the act.
    Decide(u64, UtcMs, MessageOutcome),
    Forget(UtcMs, usize),
}

/// A message as it is to be written.
pub(crate) struct Incoming {
    new: NewMessage,
    same: [u8; 16],
    sum: [u8; 16],
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum MessageActed {
    Kept(Keeping),
    /// Whether it is there.
    Settled(bool),
    /// So many.
    Forgotten(u64),
}

fn opened<T: DeserializeOwned>(vault: &Vault, place: Place<'_>, sealed: &[u8]) -> Result<T, StoreError> {
    let body = vault.get(place, sealed)?;
    Ok(parsed(serde_json::from_slice(&body), READING)?)
}

fn small<T: TryFrom<i64>>(n: i64) -> Result<T, Fault>
where
    T::Error: std::fmt::Display,
{
    parsed(T::try_from(n), READING)
}

fn state(word: &str) -> Result<MessageState, Fault> {
    let state = MessageState::parse(word);
    state.ok_or_else(|| Fault::Failed(StoreError::Damaged("the table of messages".to_owned())))
}

/// An outcome from the columns `state, code, patient, wrote, said` at an index.
fn outcome(vault: &Vault, r: &Row, id: i64, from: usize) -> Result<MessageOutcome, Fault> {
    let patient: Option<String> = col(r, from + 2, READING)?;
    let patient = patient.map(|p| parsed(PatientId::new(p), READING)).transpose()?;
    let said: MessageSaid = opened(vault, Place::MessageSaid(id), col(r, from + 4, READING)?)?;
    Ok(MessageOutcome::from_columns(
        state(col(r, from, READING)?)?,
        small(col(r, from + 1, READING)?)?,
        patient,
        small(col(r, from + 3, READING)?)?,
        said,
    ))
}

/// A row of [`ROW`].
fn row(vault: &Vault, r: &Row) -> Result<MessageRow, Fault> {
    let id: i64 = col(r, 0, READING)?;
    let about: MessageAbout = opened(vault, Place::Message(id), col(r, 9, READING)?)?;
    Ok(MessageRow {
        id: uint(id),
        at: UtcMs(col(r, 1, READING)?),
        feed: col(r, 2, READING)?,
        sender: about.sender,
        control: about.control,
        dated: about.dated,
        kind: col(r, 3, READING)?,
        of: col::<Option<i64>>(r, 4, READING)?.map(uint),
        bytes: uint(col(r, 5, READING)?),
        times: small(col(r, 6, READING)?)?,
        settled: col::<Option<i64>>(r, 7, READING)?.map(UtcMs),
        outcome: outcome(vault, r, id, 10)?,
        has_body: col(r, 8, READING)?,
    })
}

/// The same with its bytes behind it.
fn kept(vault: &Vault, r: &Row) -> Result<KeptMessage, Fault> {
    let row = row(vault, r)?;
    let sealed: Option<&[u8]> = col(r, 15, READING)?;
    let body = sealed.map(|s| vault.get(Place::MessageBody(int(row.id)), s));
    Ok(KeptMessage {
        row,
        body: body.transpose()?.map(Bytes::from),
    })
}

/// The messages of a patient whose bytes are here, with them; nobody else settles them meanwhile.
pub(crate) async fn of(
    tx: &Transaction<'_>,
    vault: &Vault,
    patient: &PatientId,
) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
    let sql = "SELECT m.id, b.body FROM message m JOIN message_body b ON b.id = m.id
                WHERE m.patient = $1 ORDER BY m.id FOR UPDATE OF m";
    let rows = all(tx, READING, sql, &[&patient.as_str()]).await?;
    let body = |r: &Row| {
        let id: i64 = col(r, 0, READING)?;
        Ok((uint(id), vault.get(Place::MessageBody(id), col(r, 1, READING)?)?))
    };
    rows.iter().map(body).collect()
}

/// Takes the bytes of the messages of destroyed records.
pub(crate) async fn forget(tx: &Transaction<'_>, pids: &[i64]) -> Result<(), Fault> {
    let of = "SELECT m.id FROM message m JOIN patient p ON p.id = m.patient WHERE p.pid = ANY($1)";
    for sql in [
        format!("DELETE FROM message_body WHERE id IN ({of})"),
        format!("UPDATE message SET kept = false WHERE id IN ({of})"),
    ] {
        run(tx, FORGETTING, &sql, &[&pids]).await?;
    }
    Ok(())
}

/// The statement of a list with these conditions: `$1` the limit, `$2` the feed, `$3` the patient, `$4` numbers below.
#[must_use]
pub fn messages_sql(query: &MessageQuery) -> String {
    let mut conditions = String::from("$2::text IS NULL AND $3::text IS NULL AND $4::bigint IS NULL");
    let mut ask = |is: bool, by: &str, condition: &str| {
        if is {
            conditions = conditions.replace(by, condition);
        }
    };
    ask(query.feed.is_some(), "$2::text IS NULL", "m.feed = $2");
    ask(query.patient.is_some(), "$3::text IS NULL", "m.patient = $3");
    ask(query.before.is_some(), "$4::bigint IS NULL", "m.id < $4");
    if let Some(state) = query.state {
        // Written out, so that the index of the state fits.
        conditions += &format!(" AND m.state = '{}'", state.as_str());
    }
    format!("SELECT {ROW} FROM message m WHERE {conditions} ORDER BY m.id DESC LIMIT $1")
}

async fn counts<C: GenericClient>(c: &C, since: UtcMs) -> Result<Vec<MessageCount>, Fault> {
    let sql = "SELECT feed, min(at), kind, state, code, count(*) FROM message WHERE at >= $1
                GROUP BY feed, at / 86400000, kind, state, code";
    let count = |r: &Row| -> Result<MessageCount, Fault> {
        Ok(MessageCount {
            feed: col(r, 0, READING)?,
            day: message_day(UtcMs(col(r, 1, READING)?)),
            kind: col(r, 2, READING)?,
            state: state(col(r, 3, READING)?)?,
            code: small(col(r, 4, READING)?)?,
            n: uint(col(r, 5, READING)?),
        })
    };
    let rows = all(c, READING, sql, &[&since.0]).await?;
    let mut counts: Vec<MessageCount> = rows.iter().map(count).collect::<Result<_, _>>()?;
    counts.sort();
    Ok(counts)
}

impl PostgresStore {
    async fn message_act(
        &self,
        act: MessageAct,
        entry: Option<vitrine_access::AuditEntry>,
    ) -> Result<MessageActed, StoreError> {
        let acted = self.act(Act::Message(Box::new(act)), entry).await?;
        acted.message.ok_or(StoreError::Closed)
    }
}

#[async_trait]
impl Messages for PostgresStore {
    async fn keep_message(&self, m: NewMessage) -> Result<Keeping, StoreError> {
        let incoming = Incoming {
            same: self.vault().message_token(&m.same()),
            sum: self.vault().message_token(&m.sum()),
            new: m,
        };
        match self
            .message_act(MessageAct::Keep(Box::new(incoming)), None)
            .await?
        {
            MessageActed::Kept(keeping) => Ok(keeping),
            _ => Err(StoreError::Closed),
        }
    }

    async fn settle_message(&self, id: u64, at: UtcMs, outcome: MessageOutcome) -> Result<bool, StoreError> {
        match self
            .message_act(MessageAct::Settle(id, at, outcome), None)
            .await?
        {
            MessageActed::Settled(there) => Ok(there),
            _ => Err(StoreError::Closed),
        }
    }

    async fn decide_message(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        at: UtcMs,
        outcome: MessageOutcome,
    ) -> Result<bool, StoreError> {
        let entry = permit.entry(Disclosure::default());
        match self
            .message_act(MessageAct::Decide(id, at, outcome), Some(entry))
            .await?
        {
            MessageActed::Settled(there) => Ok(there),
            _ => Err(StoreError::Closed),
        }
    }

    async fn message(&self, id: u64) -> Result<Option<KeptMessage>, StoreError> {
        let sql = format!(
            "SELECT {ROW}, b.body FROM message m LEFT JOIN message_body b ON b.id = m.id WHERE m.id = $1"
        );
        let found = one(&self.reader().await?, READING, &sql, &[&int(id)]).await?;
        Ok(found.map(|r| kept(self.vault(), &r)).transpose()?)
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRow>, StoreError> {
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let patient = query.patient.as_ref().map(PatientId::as_str);
        let before = query.before.map(int);
        let with: sql::Params<'_> = &[&limit, &query.feed, &patient, &before];
        let rows = all(&self.reader().await?, READING, &messages_sql(query), with).await?;
        let rows = rows.iter().map(|r| row(self.vault(), r));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    async fn unsettled_messages(&self, after: u64, limit: usize) -> Result<Vec<KeptMessage>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = all(
            &self.reader().await?,
            READING,
            UNSETTLED_SQL,
            &[&int(after), &most],
        )
        .await?;
        let rows = rows.iter().map(|r| kept(self.vault(), r));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    async fn message_counts(&self, since: UtcMs) -> Result<Vec<MessageCount>, StoreError> {
        Ok(counts(&self.reader().await?, since).await?)
    }

    async fn forget_messages(&self, before: UtcMs, most: usize) -> Result<u64, StoreError> {
        match self.message_act(MessageAct::Forget(before, most), None).await? {
            MessageActed::Forgotten(n) => Ok(n),
            _ => Err(StoreError::Closed),
        }
    }
}
