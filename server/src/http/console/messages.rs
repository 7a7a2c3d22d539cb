//! HL7 v2 messages that came in: how each feed does, what was held and why, and working it off.
//!
//! Lives here: who is shown what and under which audit row, the words of it. Never here: the acts (`ops::messages::work`), what
//! becomes of a message (`ingest::hl7`). Called by the router.
//!
//! Lists and counts say nothing of what a message says: whoever operates the server sees them, and has what is held decided
//! again in the feed's own name. What a message says, correcting and dropping are for whoever may bring data in.

use super::door::Reader;
use super::{No, body};
use crate::app::App;
use crate::clock;
use crate::http::import::OfCaller;
use crate::ingest::hl7::{Intake, Known, text};
use crate::ingest::permits::{Noted, OfProgram};
use crate::ops::messages::work::{self, Cannot, Work};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::action::{ImportData, OperateServer};
use vitrine_access::{AuditEntry, Disclosure};
use vitrine_hl7v2::Code;
use vitrine_store::messages::message_day;
use vitrine_store::{KeptMessage, MessageCount, MessageQuery, MessageRow, MessageState};
use vitrine_wire::console::{
    ConsoleFeed, ConsoleFeedCount, ConsoleMade, ConsoleMessage, ConsoleMessageDone, ConsoleMessageDrop,
    ConsoleMessageFault, ConsoleMessageFix, ConsoleMessageLine, ConsoleMessageShown, ConsoleMessages,
};

/// Rows of an answer, where nobody asks for another number, and at most.
const SHOWN: usize = 50;
const MOST: usize = 500;
/// Days of the counts.
const DAYS: u32 = 7;
/// Longest reason, in characters.
const LONGEST: usize = 500;
/// Messages up to this size are shown here, and corrected.
const SHOWN_BYTES: usize = 512 * 1024;
/// The body of a correction: such a message as JSON writes it.
pub const FIX_MOST: usize = 4 * SHOWN_BYTES;

/// Which messages. An empty field asks for nothing.
#[derive(Deserialize)]
pub struct Asked {
    feed: Option<String>,
    state: Option<String>,
    before: Option<String>,
    limit: Option<String>,
}

impl Asked {
    fn query(self) -> Result<MessageQuery, No> {
        let given = |text: Option<String>| text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let state = given(self.state).map(|w| {
            MessageState::parse(&w)
                .ok_or_else(|| No::bad("state is received, applied, known, held or dropped."))
        });
        let before =
            given(self.before).map(|n| n.parse().map_err(|_| No::bad("before is the next of an answer.")));
        let limit = given(self.limit).map_or(Ok(SHOWN), |n| match n.parse() {
            Ok(n @ 1..=MOST) => Ok(n),
            _ => Err(No::bad("limit is a number from 1 to 500.")),
        });
        Ok(MessageQuery {
            feed: given(self.feed),
            state: state.transpose()?,
            patient: None,
            before: before.transpose()?,
            limit: limit?,
        })
    }
}

/// The messages asked for, and on the first page how each feed does.
///
/// # Errors
/// [`No`].
pub async fn list(
    State(app): State<Arc<App>>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Json<ConsoleMessages>, No> {
    let row = looking(&app, &reader).await?;
    let mut query = asked.query()?;
    app.store.append(row).await?;
    let limit = query.limit;
    query.limit += 1;
    let mut rows = app.store.messages(&query).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let now = clock::now();
    let feeds = if query.before.is_none() {
        let counts = app.store.message_counts(work::since(now, DAYS)).await?;
        let configured = app.config.mllp.feed.iter().map(|f| f.name.as_str());
        feeds(configured, &counts, message_day(now))
    } else {
        Vec::new()
    };
    Ok(Json(ConsoleMessages {
        now_ms: now.0,
        feeds,
        next: rows.last().filter(|_| more).map(|r| r.id),
        rows: rows.iter().map(listed).collect(),
    }))
}

/// The audit row of a look at the list: by whoever brings data in, else by whoever operates the server.
async fn looking(app: &App, reader: &Reader) -> Result<AuditEntry, No> {
    const USE: (&str, &str) = ("use", "message-list");
    if reader.may::<OperateServer>(app).await? {
        let permit = reader.permit::<OperateServer>(app).await?.noted(USE.0, USE.1);
        return Ok(permit.entry(Disclosure::default()));
    }
    let permit = reader.permit::<ImportData>(app).await?.noted(USE.0, USE.1);
    Ok(permit.entry(Disclosure::default()))
}

/// One of them: what it says, with the place of its fault, and beside it what is made of it now. Each look has its audit row.
///
/// # Errors
/// [`No`].
pub async fn show(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Json<ConsoleMessageShown>, No> {
    let permit = reader.permit::<ImportData>(&app).await?;
    let id = number(&id)?;
    let KeptMessage { row, body } = work::kept(&*app.store, id).await?;
    let disclosure = Disclosure {
        patients: row.outcome.patient.iter().cloned().collect(),
        ..Disclosure::default()
    };
    let permit = permit
        .noted("use", "message-show")
        .noted("message", id.to_string());
    app.store.append(permit.entry(disclosure)).await?;
    let mut out = ConsoleMessageShown {
        now_ms: clock::now().0,
        message: listed(&row),
        patient: row.outcome.patient.as_ref().map(|p| p.as_str().to_owned()),
        notes: row.outcome.notes.clone(),
        lines: None,
        exact: true,
        unshown: None,
        made: Vec::new(),
        not_understood: Vec::new(),
        fault: None,
    };
    match body {
        None => {
            out.unshown = Some("The bytes of this message are no longer kept: it was applied long ago, or the record of its patient was destroyed.".to_owned());
        }
        Some(body) if body.len() > SHOWN_BYTES => {
            out.unshown = Some(format!(
                "The message has {} KiB, too much for this page: 'vitrine-server message show {id}' shows it, and 'message fix' takes a corrected copy.",
                body.len() / 1024
            ));
        }
        Some(body) => match work::feed_of(&app.config.mllp.feed, &row.feed) {
            Ok(feed) => tokio::task::block_in_place(|| understood(&mut out, &feed, &body)),
            Err(no_feed) => out.unshown = Some(sentence(&no_feed.to_string())),
        },
    }
    Ok(Json(out))
}

/// Puts the text of a message and what is made of it into the answer.
fn understood(out: &mut ConsoleMessageShown, feed: &Known, body: &[u8]) {
    let (text, exact) = feed.text_of(body);
    let (_, made) = feed.understood(body);
    let word = |of: &Value, key: &str| of[key].as_str().map(str::to_owned);
    if let Some(fault) = made.get("fault").filter(|f| f.is_object()) {
        out.fault = Some(ConsoleMessageFault {
            code: fault["code"]
                .as_u64()
                .and_then(|n| u16::try_from(n).ok())
                .unwrap_or(0),
            code_text: word(fault, "words").unwrap_or_default(),
            place: word(fault, "place"),
            text: word(fault, "text").unwrap_or_default(),
        });
    }
    let all = |key: &str| made[key].as_array().into_iter().flatten();
    out.made = all("resources")
        .map(|r| ConsoleMade {
            from: word(r, "from").unwrap_or_default(),
            kind: word(r, "kind").unwrap_or_default(),
            json: serde_json::to_string_pretty(&r["resource"]).unwrap_or_default(),
        })
        .collect();
    out.not_understood = all("not_understood")
        .filter_map(|n| n.as_str().map(str::to_owned))
        .collect();
    let now = out.fault.as_ref().and_then(|f| f.place.as_deref());
    let place = out.message.place.as_deref().or(now);
    let lines = text::lines(&text, place).into_iter();
    out.exact = exact;
    out.lines = Some(
        lines
            .map(|l| ConsoleMessageLine {
                before: l.before,
                marked: l.marked,
                after: l.after,
            })
            .collect(),
    );
}

/// Decides one again, by what is recorded and configured now.
///
/// # Errors
/// [`No`]: 409 when it is settled, or its feed is configured no more.
pub async fn replay(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Json<ConsoleMessageDone>, No> {
    // Whoever may neither is refused as whoever may not bring data in, and it is written down.
    let operates = !reader.may::<ImportData>(&app).await? && reader.may::<OperateServer>(&app).await?;
    if !operates {
        let _may = reader.permit::<ImportData>(&app).await?;
    }
    let id = number(&id)?;
    let message = work::waiting(&*app.store, id, "decided again").await?;
    if operates {
        let feed = work::with_bytes(&app.config.mllp.feed, &message)?;
        let permit = reader
            .permit::<OperateServer>(&app)
            .await?
            .noted("use", "message-replay")
            .noted("message", id.to_string());
        app.store.append(permit.entry(Disclosure::default())).await?;
        // What it changes is what the feed sent: the feed's leave, and the feed's row.
        let permits = Arc::new(OfProgram::feed(app.clone(), &message.row.feed));
        let intake = Intake::new(app.store.clone(), permits);
        intake
            .again(&feed, &message, Some(reader.user().as_str()))
            .await?;
    } else {
        work_of(&app, &reader).replay(&message).await?;
    }
    done(&app, id, None).await
}

/// Takes a corrected copy in place of a held one; both are kept.
///
/// # Errors
/// [`No`]: 400 when it is not one message, or cannot be written in its character set.
pub async fn fix(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Json<ConsoleMessageDone>, No> {
    let asked: ConsoleMessageFix = body(&bytes)?;
    let _may = reader.permit::<ImportData>(&app).await?;
    let (id, reason) = (number(&id)?, worded(&asked.reason)?);
    let first = work::waiting(&*app.store, id, "corrected").await?;
    let feed = work::feed_of(&app.config.mllp.feed, &first.row.feed)?;
    let text = feed
        .bytes_of(&asked.text)
        .map_err(|why| No::bad(&sentence(&why)))?;
    let copy = work_of(&app, &reader).fix(first, &text, reason).await?;
    done(&app, id, Some(copy.id)).await
}

/// Decides that one is not to be applied; it is kept.
///
/// # Errors
/// [`No`].
pub async fn drop_one(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Json<ConsoleMessageDone>, No> {
    let asked: ConsoleMessageDrop = body(&bytes)?;
    let _may = reader.permit::<ImportData>(&app).await?;
    let (id, reason) = (number(&id)?, worded(&asked.reason)?);
    let first = work::waiting(&*app.store, id, "dropped").await?;
    work_of(&app, &reader).drop_one(first, reason).await?;
    done(&app, id, None).await
}

fn work_of<'a>(app: &'a Arc<App>, reader: &'a Reader) -> Work<'a> {
    let caller = Arc::new(OfCaller {
        app: app.clone(),
        caller: reader.at.caller.clone(),
    });
    Work {
        store: app.store.clone(),
        feeds: &app.config.mllp.feed,
        permits: Arc::new(Noted::new(caller, vec![("door", "console".to_owned())])),
        by: reader.user().as_str(),
    }
}

async fn done(app: &App, id: u64, copy: Option<u64>) -> Result<Json<ConsoleMessageDone>, No> {
    let message = listed(&work::kept(&*app.store, id).await?.row);
    let copy = match copy {
        Some(copy) => Some(listed(&work::kept(&*app.store, copy).await?.row)),
        None => None,
    };
    Ok(Json(ConsoleMessageDone {
        now_ms: clock::now().0,
        message,
        copy,
    }))
}

impl From<Cannot> for No {
    fn from(cannot: Cannot) -> Self {
        let said = sentence(&cannot.to_string());
        match cannot {
            Cannot::Unknown(_) => Self::not_found(&said),
            Cannot::NotOne => Self::bad(&said),
            Cannot::Settled(..) | Cannot::NoFeed(_) | Cannot::Forgotten(_) => Self::refused(said),
            Cannot::Store(e) => e.into(),
        }
    }
}

fn number(text: &str) -> Result<u64, No> {
    text.parse()
        .map_err(|_| No::not_found("There is no such message."))
}

fn worded(reason: &str) -> Result<&str, No> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST {
        return Err(No::bad("Say why, in 1 to 500 characters."));
    }
    Ok(reason)
}

/// "the feed …" as "The feed … ."
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn words_of(code: u16) -> String {
    let known = Code::ALL.into_iter().find(|c| c.number() == code);
    known.map_or_else(|| format!("Code {code}"), |c| c.words().to_owned())
}

fn listed(row: &MessageRow) -> ConsoleMessage {
    let out = &row.outcome;
    let code = Some(out.code).filter(|c| *c != 0);
    ConsoleMessage {
        id: row.id,
        at_ms: row.at.0,
        feed: row.feed.clone(),
        sender: row.sender.clone(),
        kind: row.kind.clone(),
        control: row.control.clone(),
        times: row.times,
        bytes: row.bytes,
        state: out.state.as_str().to_owned(),
        code,
        code_text: code.map(words_of),
        place: out.place.clone(),
        reason: out.reason.clone(),
        wrote: out.wrote,
        of: row.of,
        by: out.by.clone(),
        settled_ms: row.settled.map(|at| at.0),
    }
}

/// How each feed does: those that are configured, and those that messages came from.
fn feeds<'a>(
    configured: impl Iterator<Item = &'a str>,
    counts: &[MessageCount],
    today: i32,
) -> Vec<ConsoleFeed> {
    type Why = BTreeMap<u16, u64>;
    let mut by: BTreeMap<String, (bool, [(ConsoleFeedCount, Why); 2])> = BTreeMap::new();
    for name in configured {
        by.entry(name.to_owned()).or_default().0 = true;
    }
    let files = Known::of_files().rules.name;
    for count in counts {
        let (known, spans) = by.entry(count.feed.clone()).or_default();
        *known |= count.feed == files;
        let [day, week] = spans;
        add(&mut week.0, &mut week.1, count);
        if count.day == today {
            add(&mut day.0, &mut day.1, count);
        }
    }
    let finished = |(mut count, why): (ConsoleFeedCount, Why)| {
        // Of two that are as common the smaller code.
        let most = why.into_iter().rev().max_by_key(|(_, n)| *n);
        if let Some((code, n)) = most {
            count.held_why = Some(words_of(code));
            count.held_for_that = n;
        }
        count
    };
    by.into_iter()
        .map(|(feed, (configured, [today, week]))| ConsoleFeed {
            feed,
            configured,
            today: finished(today),
            week: finished(week),
        })
        .collect()
}

fn add(to: &mut ConsoleFeedCount, why: &mut BTreeMap<u16, u64>, count: &MessageCount) {
    to.messages += count.n;
    match count.state {
        MessageState::Received => to.received += count.n,
        MessageState::Applied => to.applied += count.n,
        MessageState::Known => to.known += count.n,
        MessageState::Dropped => to.dropped += count.n,
        MessageState::Held => {
            to.held += count.n;
            *why.entry(count.code).or_default() += count.n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feed_is_counted_for_today_and_for_the_week() {
        let count = |feed: &str, day, state, code, n| MessageCount {
            feed: feed.to_owned(),
            day,
            kind: "ADT^A01".to_owned(),
            state,
            code,
            n,
        };
        let counts = [
            count("lab", 9, MessageState::Held, 204, 3),
            count("lab", 9, MessageState::Applied, 0, 10),
            count("lab", 10, MessageState::Held, 204, 1),
            count("lab", 10, MessageState::Held, 101, 2),
            count("lab", 10, MessageState::Known, 0, 4),
            count("old", 9, MessageState::Dropped, 200, 1),
            count("import", 10, MessageState::Received, 0, 1),
        ];
        let all = feeds(["lab", "adt"].into_iter(), &counts, 10);
        let names: Vec<(&str, bool)> = all.iter().map(|f| (f.feed.as_str(), f.configured)).collect();
        assert_eq!(
            names,
            [("adt", true), ("import", true), ("lab", true), ("old", false)]
        );
        assert_eq!(all[0].week, ConsoleFeedCount::default());
        let lab = &all[2];
        assert_eq!(
            (
                lab.today.messages,
                lab.today.held,
                lab.today.known,
                lab.today.applied
            ),
            (7, 3, 4, 0)
        );
        assert_eq!(
            (lab.today.held_why.as_deref(), lab.today.held_for_that),
            (Some("Required field missing"), 2)
        );
        assert_eq!((lab.week.messages, lab.week.held, lab.week.applied), (20, 6, 10));
        assert_eq!(
            (lab.week.held_why.as_deref(), lab.week.held_for_that),
            (Some("Unknown key identifier"), 4)
        );
        assert_eq!((all[3].week.dropped, all[3].week.held_why.clone()), (1, None));
    }
}
