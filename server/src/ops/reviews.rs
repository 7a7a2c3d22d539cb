//! Reviews of broken glass: looking at them, deciding them, answering for them, and what comes of them in numbers.
//!
//! Lives here: who acts and with what proof, what is shown beside a grant. Never here: what may follow what
//! (`vitrine_access::review`), roles (the policy), escalation by the clock (`jobs::reviews`). Called by `cli::acts`.

use super::archive::{Proven, account, person};
use crate::cli::acts::{Given, Ground, given};
use crate::clock;
use crate::error::{Exit, Fault};
use crate::http::auth::sign_in_row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::action::ReviewBreakGlass;
use vitrine_access::grant::{GRANT_MS, GrantId};
use vitrine_access::review::{Did, State};
use vitrine_access::{AccessId, Actor, Disclosure, Permit};
use vitrine_clinical::UtcMs;
use vitrine_store::reviews::ReviewOrder;
use vitrine_store::{GrantRow, StoreError};

/// Grants that a listing or a count looks at, newest first.
const MOST: usize = 10_000;
/// Other broken glasses of a person are counted so far back, in ms (30 days).
const BEFORE_MS: i64 = 30 * 86_400_000;

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    /// What waits for a decision, or with `all` everything.
    List { all: bool, by: Proven },
    /// One with its history and what speaks for or against it.
    Show { id: String, by: Proven },
    /// A reviewer decides or asks; who broke the glass explains.
    Do {
        id: String,
        how: How,
        text: String,
        by: Proven,
    },
    /// What came of them.
    Stats { by: Proven },
}

/// What is done to a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Ask who broke the glass.
    Ask,
    /// Find it appropriate.
    Appropriate,
    /// Suspect misuse: a second reviewer decides.
    Suspect,
    /// As the second reviewer: it was misuse.
    Confirm,
    /// As the second reviewer: it was not.
    Dismiss,
    /// As who broke the glass: say why.
    Explain,
}

/// Carries it out.
///
/// # Errors
/// [`Fault`]: exit 2 for somebody or something unknown, 3 for a wrong password, 1 for what is refused as things stand.
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::List { all, by } => {
            let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
            let rows = if all {
                ground.store.grants(MOST).await?
            } else {
                ground.store.open_reviews(MOST).await?
            };
            told(ground, &permit.noted("use", "list"), &rows).await?;
            let now = clock::now();
            let rows: Vec<Value> = rows.iter().map(|r| listed(r, now)).collect();
            Ok(given(
                Exit::Done,
                json!({"reviews": rows, "more": rows.len() == MOST}),
            ))
        }
        Asked::Show { id, by } => {
            let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
            let row = find(ground, &id).await?;
            told(ground, &permit.noted("use", "show"), std::slice::from_ref(&row)).await?;
            Ok(given(Exit::Done, whole(ground, &row).await?))
        }
        Asked::Do { id, how, text, by } => {
            let row = find(ground, &id).await?;
            let order = ordered(ground, row.grant.id, how, text, by).await?;
            let refusal = order.refused(&row);
            match ground.store.review(order).await {
                Ok((row, _)) => Ok(given(Exit::Done, listed(&row, clock::now()))),
                // Whoever tries to decide on what they did themselves leaves a trace.
                Err(StoreError::Refused(why)) => {
                    ground.store.append(refusal).await?;
                    Err(Fault::failed(why))
                }
                Err(e) => Err(e.into()),
            }
        }
        Asked::Stats { by } => {
            let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
            let rows = ground.store.grants(MOST).await?;
            told(ground, &permit.noted("use", "stats"), &[]).await?;
            Ok(given(Exit::Done, stats(&rows, clock::now())))
        }
    }
}

async fn ordered(
    ground: &Ground,
    id: GrantId,
    how: How,
    text: String,
    by: Proven,
) -> Result<ReviewOrder, Fault> {
    let did = match how {
        How::Explain => {
            let account = account(ground, by, "explain-break-glass").await?;
            let actor = Actor::User(account.user);
            let mut entry = sign_in_row(actor, None, "explain-break-glass", "own-words", true);
            entry
                .notes
                .insert("operator".to_owned(), ground.operator.as_str().to_owned());
            return Ok(ReviewOrder::explaining(entry, id, text));
        }
        How::Ask => Did::Asked(text),
        How::Appropriate => Did::Appropriate(text),
        How::Suspect => Did::Suspected(text),
        How::Confirm => Did::Confirmed(text),
        How::Dismiss => Did::Dismissed(text),
    };
    let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
    Ok(ReviewOrder::reviewing(&permit, id, did))
}

/// Writes down whose broken glass somebody is shown; nothing is shown before.
async fn told(ground: &Ground, permit: &Permit<ReviewBreakGlass>, rows: &[GrantRow]) -> Result<(), Fault> {
    let patients: BTreeSet<_> = rows.iter().map(|r| r.grant.patient.clone()).collect();
    let disclosure = Disclosure {
        patients: patients.into_iter().collect(),
        ..Disclosure::default()
    };
    ground.store.append(permit.entry(disclosure)).await?;
    Ok(())
}

async fn find(ground: &Ground, id: &str) -> Result<GrantRow, Fault> {
    let unknown = || {
        Fault::usage(format!(
            "there is no broken glass {id}: 'vitrine-server review list --all' shows all"
        ))
    };
    let id = AccessId(id.parse().map_err(|_| unknown())?);
    ground.store.grant(id).await?.ok_or_else(unknown)
}

fn listed(row: &GrantRow, now: UtcMs) -> Value {
    let (g, review) = (&row.grant, row.review());
    let state = review.state();
    json!({"id": g.id, "user": g.user, "patient": g.patient, "device": g.device, "at": clock::instant(g.at),
        "until": clock::instant(row.until()), "ended": row.ended.map(|e| json!({"at": clock::instant(e.at), "by": e.by.code()})),
        "reason": g.reason.code(), "words": g.words,
        "words_later": row.words.as_ref().map(|w| json!({"at": clock::instant(w.at), "text": w.text})), "offline": g.offline,
        "received": clock::instant(row.received), "due": clock::instant(row.review_due), "state": state.name(),
        "late": row.late, "overdue": !state.closed() && now > row.review_due, "level": review.level(),
        "owes_words": review.owes_words(g.words.is_some(), now), "refused": row.refused,
        "closed": review.closed_at().map(clock::instant)})
}

/// One with its history, and what the server knows that speaks for or against it.
async fn whole(ground: &Ground, row: &GrantRow) -> Result<Value, Fault> {
    let g = &row.grant;
    let account = ground.store.account(&g.user).await?;
    let wards = account.as_ref().map_or(&[][..], |a| &a.wards);
    let ward = ground.store.whereabouts(&g.patient).await?.flatten();
    let device = match &g.device {
        Some(id) => ground.store.device(id).await?,
        None => None,
    };
    let all = ground.store.grants(MOST).await?;
    let others = all.iter().filter(|o| {
        o.grant.user == g.user
            && o.grant.id != g.id
            && (g.at.0.saturating_sub(BEFORE_MS)..=g.at.0).contains(&o.grant.at.0)
    });
    let same_patient = all.iter().filter(|o| {
        o.grant.patient == g.patient
            && o.grant.user != g.user
            && o.grant.at.0.abs_diff(g.at.0) < GRANT_MS.unsigned_abs()
    });
    let history: Vec<Value> = row
        .history
        .iter()
        .map(|e| {
            let level = if let Did::Escalated(level) = e.did { Some(level) } else { None };
            json!({"at": clock::instant(e.at), "by": e.by, "did": e.did.name(), "text": e.did.text(), "level": level})
        })
        .collect();
    let mut json = listed(row, clock::now());
    if let Some(o) = json.as_object_mut() {
        o.insert("history".into(), history.into());
        o.insert(
            "evidence".into(),
            json!({"role": account.as_ref().map(|a| a.role.name()), "wards": wards, "in_use": account.as_ref().map(|a| !a.disabled),
                "patient_ward_now": ward, "own_ward": ward.as_ref().map(|w| wards.contains(w)),
                "workstation_ward": device.as_ref().map(|d| d.ward.clone()), "by_user_30_days_before": others.count(),
                "by_others_at_that_time": same_patient.count()}),
        );
    }
    Ok(json)
}

/// Open and closed, in time or not, of whom; of the newest [`MOST`], and whether there are `more`. In time: closed within 24 hours of the event, as the clock of the server says.
fn stats(rows: &[GrantRow], now: UtcMs) -> Value {
    let (mut states, mut people) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    let (mut closed, mut in_time, mut overdue, mut late) = (0_u64, 0_u64, 0_u64, 0_u64);
    for row in rows {
        let review = row.review();
        let state = review.state();
        *states.entry(state.name()).or_default() += 1;
        if state == State::Misuse {
            *people.entry(row.grant.user.as_str()).or_default() += 1;
        }
        late += u64::from(row.late);
        match review.closed_at() {
            Some(at) => {
                closed += 1;
                in_time += u64::from(at <= row.review_due);
            }
            None => overdue += u64::from(now > row.review_due),
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let percent = (closed > 0).then(|| (in_time as f64 * 1_000.0 / closed as f64).round() / 10.0);
    json!({"broken": rows.len(), "states": states, "closed": closed, "closed_in_time": in_time,
        "closed_in_time_percent": percent, "overdue": overdue, "arrived_late": late, "misuse_by_user": people,
        "more": rows.len() == MOST})
}
