//! Messages of a group: kept in four statements and settled in one, however many they are. A statement for each would be a
//! round for each.
//!
//! Called by `lane` before a group's jobs, and by `acts` for each in its turn.

use super::{FORGETTING, Incoming, KEEPING, MessageAct, MessageActed, SETTLING, outcome};
use crate::acts::json;
use crate::group::Group;
use crate::sql::{self, Fault, all, col, int, run, uint};
use crate::vault::Place;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use tokio_postgres::Row;
use vitrine_clinical::{PatientId, UtcMs};
use vitrine_store::StoreError;
use vitrine_store::messages::{Keeping, MessageOutcome};

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

/// Settles them; gives which there are, and whether their bytes may stay.
pub const SETTLE_SQL: &str = "UPDATE message m
   SET settled = u.settled, state = u.state, code = u.code, patient = u.patient, wrote = u.wrote, said = u.said,
       kept = m.kept AND NOT (u.state IN ('applied', 'known')
                              AND EXISTS (SELECT 1 FROM patient p WHERE p.id = u.patient AND p.destroyed))
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bytea[])
    u(id, settled, state, code, patient, wrote, said)
 WHERE m.id = u.id RETURNING m.id, m.kept";

/// What became of the messages of a group, in the order of their jobs.
#[derive(Default)]
pub(crate) struct MessagesDone {
    kept: VecDeque<Keeping>,
    settled: VecDeque<bool>,
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
        let mut by_id: HashSet<i64> = HashSet::new();
        let mut by_sum: HashMap<(&[u8], &[u8]), Found> = HashMap::new();
        for r in &rows {
            let id: i64 = col(r, 0, KEEPING)?;
            by_id.insert(id);
            if col::<Option<i64>>(r, 3, KEEPING)?.is_none() {
                let before = Some(outcome(self.vault, r, id, 5)?);
                by_sum.insert((col(r, 1, KEEPING)?, col(r, 2, KEEPING)?), Found { id, before });
            }
        }
        let mut found = Vec::with_capacity(ids.len());
        let (mut new, mut bodies) = (Vec::new(), Vec::new());
        for (m, id) in columns.of.iter().zip(&ids) {
            if by_id.contains(id) {
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
        let last: BTreeMap<i64, (UtcMs, &MessageOutcome)> =
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
