//! HL7 v2 messages by hand: what was held and why, seen beside what was understood, decided again, corrected, dropped; counts.
//!
//! Lives here: what a command asks for, the checks before it, what it says. Never here: what becomes of a message (`ingest::hl7`).
//! Called by `cli::acts`.

use super::archive::worded;
use crate::cli::acts::{Given, Ground, given, operator_request};
use crate::clock;
use crate::config::FeedRules;
use crate::error::{Exit, Fault};
use crate::ingest::hl7::{Intake, Known};
use crate::ingest::import::Permits;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::action::{ImportData, OperateServer};
use vitrine_access::{Disclosure, Permit, policy};
use vitrine_clinical::UtcMs;
use vitrine_store::{KeptMessage, MessageOutcome, MessageQuery, MessageRow, MessageState, StoreError};

const DAY_MS: i64 = 86_400_000;

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    List {
        feed: Option<String>,
        state: Option<MessageState>,
        limit: usize,
    },
    Show {
        id: u64,
    },
    Replay {
        ids: Vec<u64>,
    },
    /// Every held message, of a feed or of all.
    ReplayHeld {
        feed: Option<String>,
    },
    /// A corrected copy in place of a held one.
    Fix {
        id: u64,
        text: Vec<u8>,
        reason: String,
    },
    Drop {
        id: u64,
        reason: String,
    },
    Counts {
        days: u32,
    },
}

/// Permits for whoever works messages off, with what the audit row says beside it.
struct Decided {
    operator: String,
    notes: Vec<(&'static str, String)>,
}

#[async_trait]
impl Permits for Decided {
    async fn permit(&self) -> Result<Permit<ImportData>, StoreError> {
        let permit = policy::decide::<ImportData>(operator_request(&self.operator))
            .map_err(|d| StoreError::Refused(d.text.to_owned()))?;
        let notes = self.notes.iter();
        Ok(notes.fold(permit, |permit, (key, value)| permit.noted(key, value.as_str())))
    }
}

fn decided(ground: &Ground, act: &str, id: u64) -> Decided {
    Decided {
        operator: ground.operator.clone(),
        notes: vec![("act", act.to_owned()), ("message", id.to_string())],
    }
}

/// Carries it out.
///
/// # Errors
/// [`Fault`].
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::List { feed, state, limit } => {
            let query = MessageQuery {
                feed,
                state,
                limit,
                ..MessageQuery::default()
            };
            let rows = ground.store.messages(&query).await?;
            let rows: Vec<Value> = rows.iter().map(listed).collect();
            Ok(given(Exit::Done, json!({"messages": rows})))
        }
        Asked::Show { id } => show(ground, id).await,
        Asked::Replay { ids } => {
            let mut all = Vec::new();
            // A wrong number is said before anything is done.
            for id in ids {
                all.push(settled_by_hand(ground, id, "decided again").await?);
            }
            replay(ground, all).await
        }
        Asked::ReplayHeld { feed } => {
            let held = all_held(ground, feed).await?;
            replay(ground, held).await
        }
        Asked::Fix { id, text, reason } => fix(ground, id, text, reason).await,
        Asked::Drop { id, reason } => drop_one(ground, id, reason).await,
        Asked::Counts { days } => counts(ground, days).await,
    }
}

fn listed(row: &MessageRow) -> Value {
    let out = &row.outcome;
    json!({"id": row.id, "at": clock::instant(row.at), "feed": row.feed, "sender": row.sender, "kind": row.kind,
        "control": row.control, "times": row.times, "bytes": row.bytes, "state": out.state.as_str(),
        "code": (out.code != 0).then_some(out.code), "place": out.place, "reason": out.reason,
        "wrote": out.wrote, "of": row.of, "by": out.by})
}

fn unknown(id: u64) -> Fault {
    Fault::usage(format!(
        "there is no message {id}: 'vitrine-server message list' shows them"
    ))
}

async fn kept(ground: &Ground, id: u64) -> Result<KeptMessage, Fault> {
    ground.store.message(id).await?.ok_or_else(|| unknown(id))
}

/// One that may be decided by hand: what was applied or dropped stays so.
async fn settled_by_hand(ground: &Ground, id: u64, what: &str) -> Result<KeptMessage, Fault> {
    let found = kept(ground, id).await?;
    match found.row.outcome.state {
        MessageState::Held | MessageState::Received => Ok(found),
        state => Err(Fault::usage(format!(
            "message {id} is {}: only what is held can be {what}",
            state.as_str()
        ))),
    }
}

async fn all_held(ground: &Ground, feed: Option<String>) -> Result<Vec<KeptMessage>, Fault> {
    let (mut out, mut before) = (Vec::new(), None);
    loop {
        let query = MessageQuery {
            feed: feed.clone(),
            state: Some(MessageState::Held),
            before,
            limit: 500,
            ..MessageQuery::default()
        };
        let rows = ground.store.messages(&query).await?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        for row in rows {
            out.push(kept(ground, row.id).await?);
        }
    }
    // In the order in which they came.
    out.reverse();
    Ok(out)
}

/// The feed of a message by its present settings.
fn feed_of(ground: &Ground, name: &str) -> Result<Known, Fault> {
    if name == Known::of_files().rules.name {
        return Ok(Known::of_files());
    }
    let rules: Option<&FeedRules> = ground.mllp.feed.iter().find(|f| f.name == name);
    rules.map(|r| Known::new(r.clone())).ok_or_else(|| {
        Fault::usage(format!(
            "the feed {name} is no longer in mllp.feed: its messages cannot be read without its settings"
        ))
    })
}

/// The message, line by line, and beside it what is made of it now; written into the audit log.
async fn show(ground: &Ground, id: u64) -> Result<Given, Fault> {
    let KeptMessage { row, body } = kept(ground, id).await?;
    let disclosure = Disclosure {
        patients: row.outcome.patient.iter().cloned().collect(),
        ..Disclosure::default()
    };
    let permit = ground
        .permit::<OperateServer>()?
        .noted("use", "message-show")
        .noted("message", id.to_string());
    ground.store.append(permit.entry(disclosure)).await?;
    let mut out = listed(&row);
    if let Some(members) = out.as_object_mut() {
        members.insert("notes".to_owned(), json!(row.outcome.notes));
        members.insert("patient".to_owned(), json!(row.outcome.patient));
        let Some(body) = body else {
            members.insert("text".to_owned(), Value::Null);
            return Ok(given(Exit::Done, out));
        };
        let feed = feed_of(ground, &row.feed)?;
        let (text, understood) = feed.understood(&body);
        members.insert("text".to_owned(), json!(text));
        members.insert("understood".to_owned(), understood);
    }
    Ok(given(Exit::Done, out))
}

async fn replay(ground: &Ground, all: Vec<KeptMessage>) -> Result<Given, Fault> {
    let (mut done, mut stays) = (Vec::new(), Vec::new());
    for message in all {
        let id = message.row.id;
        let feed = feed_of(ground, &message.row.feed)?;
        let permits = Arc::new(decided(ground, "message-replay", id));
        let intake = Intake::new(ground.store.clone(), permits.clone());
        let permit = permits.permit().await?;
        let outcome = intake
            .again_by(&feed, &message, &permit, &ground.operator)
            .await?;
        told(id, &outcome, &mut done, &mut stays);
    }
    let exit = if stays.is_empty() { Exit::Done } else { Exit::Some };
    Ok(given(exit, json!({"applied": done, "stays": stays})))
}

fn told(id: u64, outcome: &MessageOutcome, done: &mut Vec<Value>, stays: &mut Vec<Value>) {
    match outcome.state {
        MessageState::Held | MessageState::Received => stays.push(json!({"id": id, "code": outcome.code,
            "place": outcome.place, "reason": outcome.reason})),
        state => done.push(json!({"id": id, "state": state.as_str(), "wrote": outcome.wrote})),
    }
}

/// A corrected copy: kept beside the first, which is dropped when the copy is applied.
async fn fix(ground: &Ground, id: u64, text: Vec<u8>, reason: String) -> Result<Given, Fault> {
    let reason = worded(reason)?;
    let first = settled_by_hand(ground, id, "corrected").await?;
    let feed = feed_of(ground, &first.row.feed)?;
    let mut copies = crate::ingest::hl7::files::messages(&text);
    let (Some(copy), true) = (copies.pop(), copies.is_empty()) else {
        return Err(Fault::usage(
            "the file has to hold exactly one HL7 v2 message, beginning with MSH",
        ));
    };
    let mut permits = decided(ground, "message-fix", id);
    permits.notes.push(("reason", reason.clone()));
    let permits = Arc::new(permits);
    let intake = Intake::new(ground.store.clone(), permits.clone());
    let taken = intake.corrected(&feed, Bytes::from(copy), id).await?;
    let (mut done, mut stays) = (Vec::new(), Vec::new());
    told(taken.id, &taken.outcome, &mut done, &mut stays);
    if stays.is_empty() {
        let outcome = MessageOutcome {
            state: MessageState::Dropped,
            reason: Some(format!("corrected by message {}: {reason}", taken.id)),
            by: Some(ground.operator.clone()),
            ..first.row.outcome
        };
        let permit = permits.permit().await?;
        ground
            .store
            .decide_message(&permit, id, clock::now(), outcome)
            .await?;
    }
    let exit = if stays.is_empty() { Exit::Done } else { Exit::Some };
    Ok(given(exit, json!({"applied": done, "stays": stays, "of": id})))
}

async fn drop_one(ground: &Ground, id: u64, reason: String) -> Result<Given, Fault> {
    let reason = worded(reason)?;
    let first = settled_by_hand(ground, id, "dropped").await?;
    let mut permits = decided(ground, "message-drop", id);
    permits.notes.push(("reason", reason.clone()));
    let permit = permits.permit().await?;
    let outcome = MessageOutcome {
        state: MessageState::Dropped,
        reason: Some(reason.clone()),
        by: Some(ground.operator.clone()),
        ..first.row.outcome
    };
    if !ground
        .store
        .decide_message(&permit, id, clock::now(), outcome)
        .await?
    {
        return Err(unknown(id));
    }
    Ok(given(
        Exit::Done,
        json!({"id": id, "dropped": true, "reason": reason}),
    ))
}

/// By feed, day and kind: how many came, and what became of them.
async fn counts(ground: &Ground, days: u32) -> Result<Given, Fault> {
    let now = clock::now();
    let since = UtcMs((now.0.div_euclid(DAY_MS) - i64::from(days.saturating_sub(1))) * DAY_MS);
    let mut by: BTreeMap<(String, i32, String), BTreeMap<String, u64>> = BTreeMap::new();
    for count in ground.store.message_counts(since).await? {
        let of = by.entry((count.feed, count.day, count.kind)).or_default();
        *of.entry(count.state.as_str().to_owned()).or_default() += count.n;
        if count.code != 0 {
            *of.entry(format!("code_{}", count.code)).or_default() += count.n;
        }
    }
    let rows: Vec<Value> = by
        .into_iter()
        .map(|((feed, day, kind), of)| {
            let day = clock::instant(UtcMs(i64::from(day) * DAY_MS));
            let day = day.split('T').next().unwrap_or_default().to_owned();
            let n = |key: &str| of.get(key).copied().unwrap_or(0);
            let all: u64 = MessageState::ALL.iter().map(|s| n(s.as_str())).sum();
            json!({"feed": feed, "day": day, "kind": kind, "messages": all, "applied": n("applied"), "known": n("known"),
                "held": n("held"), "dropped": n("dropped"), "received": n("received"),
                "by_code": of.iter().filter_map(|(k, n)| Some((k.strip_prefix("code_")?, n))).collect::<BTreeMap<_, _>>()})
        })
        .collect();
    Ok(given(Exit::Done, json!({"days": rows})))
}
