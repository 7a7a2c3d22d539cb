//! Reviews of broken glass: looking at them, deciding them, answering for them, and what comes of them in numbers.
//!
//! Lives here: how a review stands, what is known beside a grant, what came of all of them, carrying an act out; and the
//! acts of the command line with their proof. Never here: what may follow what (`vitrine_access::review`), roles (the
//! policy), escalation by the clock (`jobs::reviews`), HTTP. Called by `cli::acts` and `http::console`.

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
use vitrine_access::{AccessId, Actor, AuditEntry, Disclosure, Kind, Permit};
use vitrine_clinical::{UserId, UtcMs, WardId};
use vitrine_store::reviews::ReviewOrder;
use vitrine_store::{Account, DeviceRow, GrantRow, Store, StoreError};

/// Grants that a listing or a count looks at, newest first.
pub const MOST: usize = 10_000;
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
    /// Take the access back while it is in force: it ends at the workstation too.
    Revoke,
    /// As who broke the glass: say why.
    Explain,
}

/// How a broken glass and its review stand at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Not closed and past its time.
    pub overdue: bool,
    /// Highest level it was escalated to; 0 for none.
    pub level: u8,
    /// Who broke the glass still owes words.
    pub owes_words: bool,
    /// When it was closed.
    pub closed: Option<UtcMs>,
}

impl Standing {
    /// Of a row at this moment.
    #[must_use]
    pub fn of(row: &GrantRow, now: UtcMs) -> Self {
        let review = row.review();
        let state = review.state();
        // Whoever used an emergency account cannot sign in to say more: the review asks them.
        let (said, nobody_can) = (row.grant.words.is_some(), row.grant.declared.is_some());
        Self {
            state,
            overdue: !state.closed() && now > row.review_due,
            level: review.level(),
            owes_words: review.owes_words(said || nobody_can, now),
            closed: review.closed_at(),
        }
    }
}

/// What the server knows beside a grant that bears on its review.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The account of who broke the glass, as it is now.
    pub account: Option<Account>,
    /// Where the patient lies now.
    pub patient_ward: Option<WardId>,
    /// Whether that is a ward of who broke the glass; `None` where nobody knows where the patient lies.
    pub own_ward: Option<bool>,
    /// The workstation.
    pub device: Option<DeviceRow>,
    /// Other glass the same person broke in the 30 days before.
    pub by_user_before: usize,
    /// Others who broke the glass of the same patient within four hours of it.
    pub by_others: usize,
}

impl Evidence {
    /// Gathers it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of(store: &dyn Store, row: &GrantRow) -> Result<Self, StoreError> {
        let g = &row.grant;
        let account = store.account(&g.user).await?;
        let wards = account.as_ref().map_or(&[][..], |a| &a.wards);
        let patient_ward = store.whereabouts(&g.patient).await?.flatten();
        let own_ward = patient_ward.as_ref().map(|w| wards.contains(w));
        let device = match &g.device {
            Some(id) => store.device(id).await?,
            None => None,
        };
        let all = store.grants(MOST).await?;
        let before = all.iter().filter(|o| {
            o.grant.user == g.user
                && o.grant.id != g.id
                && (g.at.0.saturating_sub(BEFORE_MS)..=g.at.0).contains(&o.grant.at.0)
        });
        let others = all.iter().filter(|o| {
            o.grant.patient == g.patient
                && o.grant.user != g.user
                && o.grant.at.0.abs_diff(g.at.0) < GRANT_MS.unsigned_abs()
        });
        Ok(Self {
            patient_ward,
            own_ward,
            device,
            by_user_before: before.count(),
            by_others: others.count(),
            account,
        })
    }
}

/// What came of reviews: open and closed, in time or not, of whom.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// Broken glass.
    pub broken: u64,
    /// How many stand so, by [`State::name`].
    pub states: BTreeMap<&'static str, u64>,
    /// Closed ones.
    pub closed: u64,
    /// Of those, within 24 hours of the event, as the clock of the server says.
    pub closed_in_time: u64,
    /// The same in percent, one digit behind the point; `None` while none is closed.
    pub closed_in_time_percent: Option<f64>,
    /// Not closed and past their time.
    pub overdue: u64,
    /// Learned of after the review was due.
    pub arrived_late: u64,
    /// Closed as misuse, by sign-in name.
    pub misuse_by_user: BTreeMap<String, u64>,
    /// The rows were cut off at [`MOST`].
    pub more: bool,
}

impl Stats {
    /// Counts rows.
    #[must_use]
    pub fn of(rows: &[GrantRow], now: UtcMs) -> Self {
        let mut out = Self {
            broken: rows.len() as u64,
            more: rows.len() == MOST,
            ..Self::default()
        };
        for row in rows {
            let standing = Standing::of(row, now);
            *out.states.entry(standing.state.name()).or_default() += 1;
            if standing.state == State::Misuse {
                *out.misuse_by_user.entry(row.grant.user.to_string()).or_default() += 1;
            }
            out.arrived_late += u64::from(row.late);
            out.overdue += u64::from(standing.overdue);
            if let Some(at) = standing.closed {
                out.closed += 1;
                out.closed_in_time += u64::from(at <= row.review_due);
            }
        }
        #[allow(clippy::cast_precision_loss)]
        let percent = |of: u64| (out.closed_in_time as f64 * 1_000.0 / of as f64).round() / 10.0;
        out.closed_in_time_percent = (out.closed > 0).then(|| percent(out.closed));
        out
    }
}

impl How {
    /// What a person does so, with the words they gave.
    #[must_use]
    pub const fn did(self, text: String) -> Did {
        match self {
            Self::Explain => Did::Explained(text),
            Self::Ask => Did::Asked(text),
            Self::Appropriate => Did::Appropriate(text),
            Self::Suspect => Did::Suspected(text),
            Self::Confirm => Did::Confirmed(text),
            Self::Dismiss => Did::Dismissed(text),
            Self::Revoke => Did::Revoked(text),
        }
    }
}

/// Carries an act out on the review of `row`. Whoever tries what is not theirs, or not to be done now, leaves a row too.
///
/// # Errors
/// [`StoreError::Refused`] with the sentence for whoever tried.
pub async fn carry_out(
    store: &dyn Store,
    order: ReviewOrder,
    row: &GrantRow,
) -> Result<GrantRow, StoreError> {
    let refusal = order.refused(row);
    match store.review(order).await {
        Ok((row, _)) => Ok(row),
        Err(e) => {
            if matches!(e, StoreError::Refused(_)) {
                store.append(refusal).await?;
            }
            Err(e)
        }
    }
}

/// Carries it out.
///
/// # Errors
/// [`Fault`]: exit 2 for somebody or something unknown, 3 for a wrong password, 1 for what is refused as things stand.
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::List { all, by } => {
            let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
            let mut rows = if all {
                ground.store.grants(MOST).await?
            } else {
                ground.store.open_reviews(MOST).await?
            };
            first_of_all(&mut rows);
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
            match carry_out(&*ground.store, order, &row).await {
                Ok(row) => Ok(given(Exit::Done, listed(&row, clock::now()))),
                Err(StoreError::Refused(why)) => Err(Fault::failed(why)),
                Err(e) => Err(e.into()),
            }
        }
        Asked::Stats { by } => {
            let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
            let rows = ground.store.grants(MOST).await?;
            told(ground, &permit.noted("use", "stats"), &[]).await?;
            let s = Stats::of(&rows, clock::now());
            Ok(given(
                Exit::Done,
                json!({"broken": s.broken, "states": s.states, "closed": s.closed, "closed_in_time": s.closed_in_time,
                    "closed_in_time_percent": s.closed_in_time_percent, "overdue": s.overdue,
                    "arrived_late": s.arrived_late, "misuse_by_user": s.misuse_by_user, "more": s.more}),
            ))
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
    if how == How::Explain {
        let account = account(ground, by, Kind::ExplainBreakGlass).await?;
        let mut entry = own_row(account.user, "own-words");
        entry
            .notes
            .insert("operator".to_owned(), ground.operator.as_str().to_owned());
        return Ok(ReviewOrder::explaining(entry, id, text));
    }
    let permit = person::<ReviewBreakGlass>(ground, by, None).await?;
    Ok(ReviewOrder::reviewing(&permit, id, how.did(text)))
}

/// The row of what somebody does about glass they broke themselves: that needs no right but to have broken it.
#[must_use]
pub fn own_row(user: UserId, rule: &str) -> AuditEntry {
    sign_in_row(Actor::User(user), None, Kind::ExplainBreakGlass, rule, true)
}

/// Puts before all others what nobody has vouched for: the glass that was broken under a declared name.
pub fn first_of_all(rows: &mut [GrantRow]) {
    rows.sort_by_key(|r| r.grant.declared.is_none());
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
    let (g, s) = (&row.grant, Standing::of(row, now));
    json!({"id": g.id, "user": g.user, "patient": g.patient, "device": g.device, "at": clock::instant(g.at),
        "until": clock::instant(row.until()), "ended": row.ended.map(|e| json!({"at": clock::instant(e.at), "by": e.by.code()})),
        "reason": g.reason.code(), "words": g.words, "declared": g.declared,
        "words_later": row.words.as_ref().map(|w| json!({"at": clock::instant(w.at), "text": w.text})), "offline": g.offline,
        "received": clock::instant(row.received), "due": clock::instant(row.review_due), "state": s.state.name(),
        "late": row.late, "overdue": s.overdue, "level": s.level, "owes_words": s.owes_words, "refused": row.refused,
        "closed": s.closed.map(clock::instant)})
}

/// One with its history, and what the server knows that speaks for or against it.
async fn whole(ground: &Ground, row: &GrantRow) -> Result<Value, Fault> {
    let e = Evidence::of(&*ground.store, row).await?;
    let wards = e.account.as_ref().map_or(&[][..], |a| &a.wards);
    let history: Vec<Value> = row
        .history
        .iter()
        .map(|e| {
            let (level, to) = match &e.did {
                Did::Escalated(level) => (Some(level), None),
                Did::Notified { level, to } => (Some(level), Some(to)),
                _ => (None, None),
            };
            json!({"at": clock::instant(e.at), "by": e.by, "did": e.did.name(), "text": e.did.text(), "level": level, "to": to})
        })
        .collect();
    let mut json = listed(row, clock::now());
    if let Some(o) = json.as_object_mut() {
        o.insert("history".into(), history.into());
        o.insert(
            "evidence".into(),
            json!({"role": e.account.as_ref().map(|a| a.role.name()), "wards": wards,
                "in_use": e.account.as_ref().map(|a| !a.disabled), "patient_ward_now": e.patient_ward,
                "own_ward": e.own_ward, "workstation_ward": e.device.as_ref().map(|d| &d.ward),
                "by_user_30_days_before": e.by_user_before, "by_others_at_that_time": e.by_others}),
        );
    }
    Ok(json)
}
