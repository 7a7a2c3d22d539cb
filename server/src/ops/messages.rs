//! HL7 v2 messages by hand: what was held and why, seen beside what was understood, decided again, corrected, dropped; counts.
//!
//! Lives here: what a command asks for and what it says. Never here: the acts themselves ([`work`]), what becomes of a message
//! (`ingest::hl7`). Called by `cli::acts`.

pub mod work;

use self::work::{Cannot, Work};
use super::archive::worded;
use crate::cli::acts::{Given, Ground, OfOperator, given};
use crate::clock;
use crate::error::{Exit, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::OperateServer;
use vitrine_clinical::UtcMs;
use vitrine_store::{KeptMessage, MessageOutcome, MessageQuery, MessageRow, MessageState};

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

fn work(ground: &Ground) -> Work<'_> {
    Work {
        store: ground.store.clone(),
        feeds: &ground.mllp.feed,
        permits: Arc::new(OfOperator(ground.operator.clone())),
        by: &ground.operator,
    }
}

impl From<Cannot> for Fault {
    fn from(cannot: Cannot) -> Self {
        match cannot {
            Cannot::Unknown(id) => Self::usage(format!(
                "there is no message {id}: 'vitrine-server message list' shows them"
            )),
            Cannot::Store(e) => e.into(),
            other => Self::usage(other.to_string()),
        }
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
            // A wrong number is said before anything is done.
            for id in &ids {
                work::waiting(&*ground.store, *id, "decided again").await?;
            }
            replay(ground, ids).await
        }
        Asked::ReplayHeld { feed } => {
            let held = all_held(ground, feed).await?;
            replay(ground, held).await
        }
        Asked::Fix { id, text, reason } => fix(ground, id, &text, reason).await,
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

/// Their numbers alone: a body may have megabytes.
async fn all_held(ground: &Ground, feed: Option<String>) -> Result<Vec<u64>, Fault> {
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
        out.extend(rows.iter().map(|row| row.id));
    }
    // In the order in which they came.
    out.reverse();
    Ok(out)
}

/// The message, line by line, and beside it what is made of it now; written into the audit log.
async fn show(ground: &Ground, id: u64) -> Result<Given, Fault> {
    let KeptMessage { row, body } = work::kept(&*ground.store, id).await?;
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
        let feed = work::feed_of(&ground.mllp.feed, &row.feed)?;
        let (text, understood) = feed.understood(&body);
        members.insert("text".to_owned(), json!(text));
        members.insert("understood".to_owned(), understood);
    }
    Ok(given(Exit::Done, out))
}

async fn replay(ground: &Ground, ids: Vec<u64>) -> Result<Given, Fault> {
    let (mut done, mut stays) = (Vec::new(), Vec::new());
    for id in ids {
        let message = work::kept(&*ground.store, id).await?;
        // One that somebody else has settled meanwhile is told as it is now.
        let outcome = if work::stays(&message.row.outcome) {
            work(ground).replay(&message).await?
        } else {
            message.row.outcome
        };
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

/// A corrected copy in place of a held one.
async fn fix(ground: &Ground, id: u64, text: &[u8], reason: String) -> Result<Given, Fault> {
    let reason = worded(reason)?;
    let first = work::waiting(&*ground.store, id, "corrected").await?;
    let copy = work(ground).fix(first, text, &reason).await?;
    let (mut done, mut stays) = (Vec::new(), Vec::new());
    told(copy.id, &copy.outcome, &mut done, &mut stays);
    let exit = if stays.is_empty() { Exit::Done } else { Exit::Some };
    Ok(given(exit, json!({"applied": done, "stays": stays, "of": id})))
}

async fn drop_one(ground: &Ground, id: u64, reason: String) -> Result<Given, Fault> {
    let reason = worded(reason)?;
    let first = work::waiting(&*ground.store, id, "dropped").await?;
    work(ground).drop_one(first, &reason).await?;
    Ok(given(
        Exit::Done,
        json!({"id": id, "dropped": true, "reason": reason}),
    ))
}

/// By feed, day and kind: how many came, and what became of them.
async fn counts(ground: &Ground, days: u32) -> Result<Given, Fault> {
    let since = work::since(clock::now(), days);
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
