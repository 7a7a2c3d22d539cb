//! Messages of other systems, in memory.

use super::state::Tables;
use super::{MemoryStore, record};
use crate::StoreError;
use crate::messages::{
    Keeping, KeptMessage, MessageCount, MessageOutcome, MessageQuery, MessageRow, Messages, NewMessage,
    message_day,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use vitrine_access::action::ImportData;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::{PatientId, UtcMs};

/// A message as kept.
pub(super) struct Message {
    same: [u8; 16],
    sum: [u8; 32],
    kept: KeptMessage,
}

/// The messages of a patient whose bytes are here.
pub(super) fn of<'t>(t: &'t Tables, patient: &'t PatientId) -> impl Iterator<Item = (u64, &'t [u8])> {
    t.messages.iter().filter_map(move |(id, m)| {
        let theirs = m.kept.row.outcome.patient.as_ref() == Some(patient);
        m.kept.body.as_deref().filter(|_| theirs).map(|b| (*id, b))
    })
}

/// Takes the bytes of a patient's messages.
pub(super) fn forget(t: &mut Tables, patient: &PatientId) {
    for m in t.messages.values_mut() {
        if m.kept.row.outcome.patient.as_ref() == Some(patient) {
            m.take_body();
        }
    }
}

impl Message {
    fn take_body(&mut self) {
        self.kept.body = None;
        self.kept.row.has_body = false;
    }
}

fn settle(t: &mut Tables, id: u64, at: UtcMs, outcome: MessageOutcome) {
    let whose = outcome.patient.as_ref().and_then(|p| t.patients.get(p));
    let gone = outcome.state.is_done() && whose.is_some_and(|p| p.destroyed);
    if let Some(m) = t.messages.get_mut(&id) {
        m.kept.row.settled = outcome.settled(at);
        m.kept.row.outcome = outcome;
        if gone {
            m.take_body();
        }
    }
}

#[async_trait]
impl Messages for MemoryStore {
    async fn keep_message(&self, m: NewMessage) -> Result<Keeping, StoreError> {
        let (same, sum) = (m.same(), m.sum());
        let mut t = self.tables();
        let mut first = None;
        if m.of.is_none() {
            let alike = t
                .messages
                .iter_mut()
                .filter(|(_, k)| k.same == same && k.kept.row.of.is_none());
            for (id, k) in alike {
                if k.sum == sum {
                    k.kept.row.times = k.kept.row.times.saturating_add(1);
                    return Ok(Keeping::Again {
                        id: *id,
                        state: k.kept.row.outcome.state,
                        outcome: k.kept.row.outcome.clone(),
                    });
                }
                first = first.or(Some(*id));
            }
        }
        let id = t.messages.last_key_value().map_or(1, |(last, _)| last + 1);
        let row = MessageRow {
            id,
            at: m.at,
            feed: m.feed,
            sender: m.sender,
            control: m.control,
            dated: m.dated,
            kind: m.kind,
            of: m.of,
            bytes: m.body.len() as u64,
            times: 1,
            settled: None,
            outcome: MessageOutcome::default(),
            has_body: true,
        };
        let body = Some(m.body);
        let kept = KeptMessage { row, body };
        t.messages.insert(id, Message { same, sum, kept });
        Ok(first.map_or(Keeping::New(id), |first| Keeping::Other { id, first }))
    }

    async fn settle_message(&self, id: u64, at: UtcMs, outcome: MessageOutcome) -> Result<bool, StoreError> {
        let mut t = self.tables();
        if !t.messages.contains_key(&id) {
            return Ok(false);
        }
        settle(&mut t, id, at, outcome);
        Ok(true)
    }

    async fn decide_message(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        at: UtcMs,
        outcome: MessageOutcome,
    ) -> Result<bool, StoreError> {
        let mut t = self.tables();
        if !t.messages.contains_key(&id) {
            return Ok(false);
        }
        record(&mut t, &permit.entry(Disclosure::default()))?;
        settle(&mut t, id, at, outcome);
        Ok(true)
    }

    async fn message(&self, id: u64) -> Result<Option<KeptMessage>, StoreError> {
        Ok(self.tables().messages.get(&id).map(|m| m.kept.clone()))
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRow>, StoreError> {
        let t = self.tables();
        let asked = |r: &&MessageRow| {
            query.feed.as_ref().is_none_or(|f| r.feed == *f)
                && query.state.is_none_or(|s| r.outcome.state == s)
                && (query.patient.is_none() || r.outcome.patient == query.patient)
                && query.before.is_none_or(|b| r.id < b)
        };
        let rows = t.messages.values().rev().map(|m| &m.kept.row);
        Ok(rows.filter(asked).take(query.limit).cloned().collect())
    }

    async fn unsettled_messages(&self, after: u64, limit: usize) -> Result<Vec<KeptMessage>, StoreError> {
        let t = self.tables();
        let kept = t.messages.values().map(|m| &m.kept);
        let waiting = kept.filter(|k| k.row.id > after && k.row.settled.is_none());
        Ok(waiting.take(limit).cloned().collect())
    }

    async fn message_counts(&self, since: UtcMs) -> Result<Vec<MessageCount>, StoreError> {
        let t = self.tables();
        let mut counts = BTreeMap::new();
        for r in t.messages.values().map(|m| &m.kept.row).filter(|r| r.at >= since) {
            let key = (
                r.feed.clone(),
                message_day(r.at),
                r.kind.clone(),
                r.outcome.state,
                r.outcome.code,
            );
            *counts.entry(key).or_default() += 1;
        }
        let count = |((feed, day, kind, state, code), n)| MessageCount {
            feed,
            day,
            kind,
            state,
            code,
            n,
        };
        Ok(counts.into_iter().map(count).collect())
    }

    async fn forget_messages(&self, before: UtcMs, most: usize) -> Result<u64, StoreError> {
        let mut t = self.tables();
        let done = |r: &MessageRow| r.has_body && r.outcome.state.is_done();
        let mut old: Vec<(UtcMs, u64)> = t
            .messages
            .values()
            .filter(|m| done(&m.kept.row))
            .filter_map(|m| Some((m.kept.row.settled.filter(|s| *s < before)?, m.kept.row.id)))
            .collect();
        old.sort_unstable();
        old.truncate(most);
        for (_, id) in &old {
            if let Some(m) = t.messages.get_mut(id) {
                m.take_body();
            }
        }
        Ok(old.len() as u64)
    }
}
