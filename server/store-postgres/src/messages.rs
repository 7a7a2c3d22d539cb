//! Messages of other systems, kept as they came; sealed, and known by keyed digests.
//!
//! Lives here: their rows and their bytes. Never here: what a message says. Called by the server's ingest through
//! `vitrine_store::messages`, by `lane` before a group's jobs, by `acts` for what is written, and by `archive` and `flush` when
//! a record is destroyed.
//!
//! The messages of a group are kept in four statements and settled in one, however many they are: a statement for each
//! would be a round for each.

use crate::PostgresStore;
use crate::acts::{Act, json};
use crate::group::Group;
use crate::sql::{self, Fault, all, col, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{GenericClient, Transaction};
use serde::de::DeserializeOwned;
use std::collections::{HashMap, VecDeque};
use tokio_postgres::Row;
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

/// Keeps them: what is there already counts up, and gives its number instead of the new one. `$12`: an earlier try may have
/// been committed, and does not count.
const KEEP: &str = "INSERT INTO message AS m (id, at, feed, kind, corrects, bytes, times, settled, state, code, patient, wrote,
                           kept, same, sum, about, said)
  OVERRIDING SYSTEM VALUE
  SELECT id, at, feed, kind, corrects, bytes, times, NULL, 'received', 0, NULL, 0, true, same, sum, about, said
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[],
                $9::bytea[], $10::bytea[], $11::bytea[])
      u(id, at, feed, kind, corrects, bytes, times, same, sum, about, said)
   ORDER BY same, sum
  ON CONFLICT (same, sum) WHERE corrects IS NULL DO UPDATE
    SET times = CASE WHEN $12 AND m.at = excluded.at AND m.state = 'received' THEN m.times
                     ELSE m.times + excluded.times END
  RETURNING m.id, m.same, m.sum, m.corrects, m.at, m.state, m.code, m.patient, m.wrote, m.said";

/// Those that were received and not settled, after a number: `$1`; at most so many: `$2`.
pub const UNSETTLED_SQL: &str =
    "SELECT m.id, m.at, m.feed, m.kind, m.corrects, m.bytes, m.times, m.settled, m.kept, m.about,
       m.state, m.code, m.patient, m.wrote, m.said, b.body
  FROM message m LEFT JOIN message_body b ON b.id = m.id
 WHERE m.state = 'received' AND m.id > $1 ORDER BY m.id LIMIT $2";

/// Settles them; gives which there are, and whether their bytes may stay.
pub const SETTLE_SQL: &str = "UPDATE message m
   SET settled = u.settled, state = u.state, code = u.code, patient = u.patient, wrote = u.wrote, said = u.said,
       kept = m.kept AND NOT (u.state IN ('applied', 'known')
                              AND EXISTS (SELECT 1 FROM patient p WHERE p.id = u.patient AND p.destroyed))
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bytea[])
    u(id, settled, state, code, patient, wrote, said)
 WHERE m.id = u.id RETURNING m.id, m.kept";

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

/// What became of the messages of a group, in the order of their jobs.
#[derive(Default)]
pub(crate) struct MessagesDone {
    kept: VecDeque<Keeping>,
    settled: VecDeque<bool>,
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

/// Rows to be written, a column at a time.
#[derive(Default)]
struct Columns<'m> {
    at: Vec<i64>,
    feed: Vec<&'m str>,
    kind: Vec<&'m str>,
    corrects: Vec<Option<i64>>,
    bytes: Vec<i64>,
    times: Vec<i64>,
    same: Vec<&'m [u8]>,
    sum: Vec<&'m [u8]>,
    of: Vec<&'m Incoming>,
}

impl<'m> Columns<'m> {
    fn add(&mut self, m: &'m Incoming) {
        self.at.push(m.new.at.0);
        self.feed.push(&m.new.feed);
        self.kind.push(&m.new.kind);
        self.corrects.push(m.new.of.map(int));
        self.bytes.push(int(m.new.body.len() as u64));
        self.times.push(1);
        self.same.push(&m.same);
        self.sum.push(&m.sum);
        self.of.push(m);
    }
}

/// What the row of a message was found to be.
struct Found {
    id: i64,
    /// It was there before.
    before: Option<MessageOutcome>,
}

impl Group<'_> {
    /// Keeps and settles all messages of the group.
    pub(crate) async fn load_messages(&mut self, acts: &[&MessageAct]) -> Result<(), Fault> {
        let (mut keep, mut settle) = (Vec::new(), Vec::new());
        for act in acts {
            match act {
                MessageAct::Keep(m) => keep.push(&**m),
                MessageAct::Settle(id, at, outcome) => settle.push((int(*id), *at, outcome)),
                MessageAct::Decide(..) | MessageAct::Forget(..) => {}
            }
        }
        if !keep.is_empty() {
            self.messages.kept = self.keep_messages(&keep).await?;
        }
        if !settle.is_empty() {
            self.messages.settled = self.settle_messages(&settle).await?;
        }
        Ok(())
    }

    async fn keep_messages(&self, all_of: &[&Incoming]) -> Result<VecDeque<Keeping>, Fault> {
        // One that comes twice within the group is written once.
        let mut columns = Columns::default();
        let mut at: HashMap<(&[u8], &[u8]), usize> = HashMap::new();
        let mut place = Vec::with_capacity(all_of.len());
        for m in all_of {
            let known = at.get(&(&m.same[..], &m.sum[..])).filter(|_| m.new.of.is_none());
            if let Some(n) = known.copied() {
                columns.times[n] += 1;
                place.push((n, true));
                continue;
            }
            let n = columns.of.len();
            if m.new.of.is_none() {
                at.insert((&m.same, &m.sum), n);
            }
            columns.add(m);
            place.push((n, false));
        }
        let found = self.write_messages(&columns).await?;
        let firsts = self.first_messages(&columns, &found).await?;
        let mut out = VecDeque::with_capacity(all_of.len());
        for (n, within) in place {
            let Some(Found { id, before }) = found.get(n) else {
                return Err(Fault::Failed(StoreError::Closed));
            };
            let outcome = before.clone().or_else(|| within.then(MessageOutcome::default));
            let id = uint(*id);
            out.push_back(match (outcome, firsts.get(&id)) {
                (Some(outcome), _) => Keeping::Again {
                    id,
                    state: outcome.state,
                    outcome,
                },
                (None, Some(first)) => Keeping::Other { id, first: *first },
                (None, None) => Keeping::New(id),
            });
        }
        Ok(out)
    }

    /// Writes rows and bytes; what each was found to be, in order.
    async fn write_messages(&self, columns: &Columns<'_>) -> Result<Vec<Found>, Fault> {
        let count = int(columns.of.len() as u64);
        let numbers =
            "SELECT nextval(pg_get_serial_sequence('message', 'id')) FROM generate_series(1, $1::bigint)";
        let numbers = all(self.tx, KEEPING, numbers, &[&count]).await?;
        let ids: Vec<i64> = numbers
            .iter()
            .map(|r| col(r, 0, KEEPING))
            .collect::<Result<_, _>>()?;
        let (mut about, mut said) = (Vec::new(), Vec::new());
        for (m, id) in columns.of.iter().zip(&ids) {
            about.push(
                self.vault
                    .put(Place::Message(*id), json(&m.new.about())?.as_bytes())?,
            );
            said.push(self.vault.put(Place::MessageSaid(*id), b"{}")?);
        }
        let with: sql::Params<'_> = &[
            &ids,
            &columns.at,
            &columns.feed,
            &columns.kind,
            &columns.corrects,
            &columns.bytes,
            &columns.times,
            &columns.same,
            &columns.sum,
            &about,
            &said,
            &self.again,
        ];
        let rows = all(self.tx, KEEPING, KEEP, with).await?;
        let mut by_id: HashMap<i64, ()> = HashMap::new();
        let mut by_sum: HashMap<(&[u8], &[u8]), Found> = HashMap::new();
        for r in &rows {
            let id: i64 = col(r, 0, KEEPING)?;
            by_id.insert(id, ());
            if col::<Option<i64>>(r, 3, KEEPING)?.is_none() {
                let before = Some(outcome(self.vault, r, id, 5)?);
                by_sum.insert((col(r, 1, KEEPING)?, col(r, 2, KEEPING)?), Found { id, before });
            }
        }
        let mut found = Vec::with_capacity(ids.len());
        let (mut new, mut bodies) = (Vec::new(), Vec::new());
        for (m, id) in columns.of.iter().zip(&ids) {
            if by_id.contains_key(id) {
                new.push(*id);
                bodies.push(self.vault.put(Place::MessageBody(*id), &m.new.body)?);
                found.push(Found {
                    id: *id,
                    before: None,
                });
                continue;
            }
            let there = by_sum.remove(&(&m.same[..], &m.sum[..]));
            let there = there.ok_or(Fault::Failed(StoreError::Closed))?;
            found.push(there);
        }
        if !new.is_empty() {
            let sql = "INSERT INTO message_body (id, body) SELECT i, b FROM unnest($1::bigint[], $2::bytea[]) u(i, b)";
            run(self.tx, KEEPING, sql, &[&new, &bodies]).await?;
        }
        Ok(found)
    }

    /// Of rows that are new: the first that calls itself the same, where there is one before it.
    async fn first_messages(
        &self,
        columns: &Columns<'_>,
        found: &[Found],
    ) -> Result<HashMap<u64, u64>, Fault> {
        let (mut ids, mut same) = (Vec::new(), Vec::new());
        for (m, f) in columns.of.iter().zip(found) {
            if f.before.is_none() && m.new.of.is_none() {
                ids.push(f.id);
                same.push(&m.same[..]);
            }
        }
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "SELECT u.id, f.id FROM unnest($1::bigint[], $2::bytea[]) u(id, same) CROSS JOIN LATERAL
                     (SELECT m.id FROM message m WHERE m.same = u.same AND m.corrects IS NULL AND m.id < u.id
                       ORDER BY m.id LIMIT 1) f";
        let rows = all(self.tx, KEEPING, sql, &[&ids, &same]).await?;
        let pair = |r: &Row| Ok((uint(col(r, 0, KEEPING)?), uint(col(r, 1, KEEPING)?)));
        rows.iter().map(pair).collect()
    }

    /// Settles; which of them are there, in order. Of two for the same message the later one counts.
    async fn settle_messages(
        &self,
        all_of: &[(i64, UtcMs, &MessageOutcome)],
    ) -> Result<VecDeque<bool>, Fault> {
        let last: std::collections::BTreeMap<i64, (UtcMs, &MessageOutcome)> =
            all_of.iter().map(|(id, at, o)| (*id, (*at, *o))).collect();
        let (mut ids, mut settled, mut states, mut codes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut patients, mut wrote, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (at, o)) in last {
            ids.push(id);
            settled.push(o.settled(at).map(|at| at.0));
            states.push(o.state.as_str());
            codes.push(i64::from(o.code));
            patients.push(o.patient.as_ref().map(PatientId::as_str));
            wrote.push(i64::from(o.wrote));
            said.push(
                self.vault
                    .put(Place::MessageSaid(id), json(&o.said())?.as_bytes())?,
            );
        }
        let with: sql::Params<'_> = &[&ids, &settled, &states, &codes, &patients, &wrote, &said];
        let mut there: HashMap<i64, bool> = HashMap::new();
        for r in all(self.tx, SETTLING, SETTLE_SQL, with).await? {
            there.insert(col(&r, 0, SETTLING)?, col(&r, 1, SETTLING)?);
        }
        let gone: Vec<i64> = there
            .iter()
            .filter(|(_, kept)| !**kept)
            .map(|(id, _)| *id)
            .collect();
        if !gone.is_empty() {
            let sql = "DELETE FROM message_body WHERE id = ANY($1)";
            run(self.tx, SETTLING, sql, &[&gone]).await?;
        }
        Ok(all_of.iter().map(|(id, ..)| there.contains_key(id)).collect())
    }

    /// Carries an act out: what was kept and settled with the group is given in its turn.
    pub(crate) async fn message(&mut self, act: &MessageAct) -> Result<MessageActed, Fault> {
        let closed = || Fault::Failed(StoreError::Closed);
        Ok(match act {
            MessageAct::Keep(_) => MessageActed::Kept(self.messages.kept.pop_front().ok_or_else(closed)?),
            MessageAct::Settle(..) => {
                MessageActed::Settled(self.messages.settled.pop_front().ok_or_else(closed)?)
            }
            MessageAct::Decide(id, at, outcome) => {
                let there = self.settle_messages(&[(int(*id), *at, outcome)]).await?;
                MessageActed::Settled(there.into_iter().all(|t| t))
            }
            MessageAct::Forget(before, most) => {
                let most = i64::try_from(*most).unwrap_or(i64::MAX);
                let sql = "UPDATE message SET kept = false WHERE id IN
                             (SELECT id FROM message WHERE kept AND state IN ('applied', 'known') AND settled < $1
                               ORDER BY settled, id LIMIT $2) RETURNING id";
                let rows = all(self.tx, FORGETTING, sql, &[&before.0, &most]).await?;
                let ids: Vec<i64> = rows
                    .iter()
                    .map(|r| col(r, 0, FORGETTING))
                    .collect::<Result<_, _>>()?;
                let sql = "DELETE FROM message_body WHERE id = ANY($1)";
                run(self.tx, FORGETTING, sql, &[&ids]).await?;
                MessageActed::Forgotten(ids.len() as u64)
            }
        })
    }
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
