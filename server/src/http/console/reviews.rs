//! The queue of broken glass, one of them, deciding it, and what came of all.
//!
//! Lives here: who is shown what of a review and under which audit row, and its words. Never here: what may follow what
//! (`vitrine_access::review`), what is known beside a grant (`ops::reviews`). Called by the router.
//!
//! Whoever may review sees all; whoever broke glass sees what they broke themselves, to explain it, and nothing else. The list
//! names no patient. One that is opened does, and its audit row says so.

use super::door::Reader;
use super::seen::{self, Seen};
use super::{Names, No, body};
use crate::app::App;
use crate::clock;
use crate::ops::reviews::{Evidence, How, MOST, Standing, Stats, carry_out, first_of_all, own_row};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use clap::ValueEnum as _;
use serde::Deserialize;
use std::sync::Arc;
use vitrine_access::action::{ReadCard, ReviewBreakGlass};
use vitrine_access::grant::{GrantId, REVIEW_DUE_MS};
use vitrine_access::review::{Did, LONGEST_TEXT, State as Stands, WORDS_MS};
use vitrine_access::{AccessId, Disclosure, policy};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::{UtcMs, format};
use vitrine_store::reviews::ReviewOrder;
use vitrine_store::{GrantRow, StoreError};
use vitrine_wire::console::{
    ConsoleAct, ConsoleDecision, ConsoleEvidence, ConsoleHistory, ConsoleMisuse, ConsoleReview,
    ConsoleReviewPatient, ConsoleReviewShown, ConsoleReviewStats, ConsoleReviews, ConsoleStateCount,
};

/// Rows of a list.
const SHOWN: usize = 500;
/// So often broken in the 30 days before speaks against it.
const OFTEN: usize = 5;

/// Which reviews.
#[derive(Deserialize)]
pub struct Which {
    which: Option<String>,
}

/// The queue.
///
/// # Errors
/// [`No`].
pub async fn list(
    State(app): State<Arc<App>>,
    reader: Reader,
    Query(asked): Query<Which>,
) -> Result<Json<ConsoleReviews>, No> {
    let open_only = match asked.which.as_deref() {
        None | Some("open") => true,
        Some("all") => false,
        Some(_) => return Err(No::bad("which is open or all.")),
    };
    let now = clock::now();
    let (mut rows, waiting, overdue);
    if reader.may::<ReviewBreakGlass>(&app).await? {
        let permit = reader.permit::<ReviewBreakGlass>(&app).await?;
        rows = if open_only {
            app.store.open_reviews(MOST).await?
        } else {
            app.store.grants(SHOWN + 1).await?
        };
        (waiting, overdue) = app.store.reviews_waiting(now.plus_ms(-REVIEW_DUE_MS)).await?;
        let permit = permit
            .noted("use", "list")
            .noted("rows", rows.len().min(SHOWN).to_string());
        app.store.append(permit.entry(Disclosure::default())).await?;
    } else {
        rows = app.store.grants(MOST).await?;
        rows.retain(|r| r.grant.user == *reader.user());
        let open = |r: &&GrantRow| !r.review().state().closed();
        waiting = rows.iter().filter(open).count() as u64;
        overdue = rows.iter().filter(|r| Standing::of(r, now).overdue).count() as u64;
        if open_only {
            rows.retain(|r| !r.review().state().closed());
            rows.reverse();
        }
        let mut row = own_row(reader.user().clone(), "own-review");
        row.notes.insert("use".to_owned(), "list".to_owned());
        row.notes.insert("door".to_owned(), "console".to_owned());
        app.store.append(row).await?;
    }
    if open_only {
        first_of_all(&mut rows);
    }
    let more = rows.len() > SHOWN;
    rows.truncate(SHOWN);
    let names = Names::of(&*app.store).await?;
    Ok(Json(ConsoleReviews {
        now_ms: now.0,
        open_only,
        rows: rows.iter().map(|r| shown(r, &reader, &names, now)).collect(),
        more,
        waiting,
        overdue,
    }))
}

/// One of them, whole.
///
/// # Errors
/// [`No`].
pub async fn show(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Result<Json<ConsoleReviewShown>, No> {
    let id = id_of(&id)?;
    Ok(Json(whole(&app, &reader, id).await?))
}

/// Decides it, asks about it, or explains it.
///
/// # Errors
/// [`No`]: 409 with the reason, when it may not be done so or by this reader; that leaves an audit row.
pub async fn decide(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Json<ConsoleReviewShown>, No> {
    let asked: ConsoleDecision = body(&bytes)?;
    let id = id_of(&id)?;
    let how = How::from_str(&asked.how, false)
        .map_err(|_| No::bad("how is ask, appropriate, suspect, confirm, dismiss, revoke or explain."))?;
    let text = asked.text.trim().to_owned();
    if text.is_empty() || text.chars().count() > LONGEST_TEXT {
        return Err(No::bad("Say why, in 1 to 2,000 characters."));
    }
    let held = app.store.grant(id).await?;
    let own = held.as_ref().is_some_and(|r| r.grant.user == *reader.user());
    let (row, order) = if how == How::Explain && (own || reader.may::<ReviewBreakGlass>(&app).await?) {
        let row = held.ok_or_else(unknown)?;
        let mut entry = own_row(reader.user().clone(), "own-words");
        entry.notes.insert("door".to_owned(), "console".to_owned());
        (row, ReviewOrder::explaining(entry, id, text))
    } else {
        let permit = reader.permit::<ReviewBreakGlass>(&app).await?;
        let row = held.ok_or_else(unknown)?;
        (row, ReviewOrder::reviewing(&permit, id, how.did(text)))
    };
    match carry_out(&*app.store, order, &row).await {
        Ok(row) => {
            app.note_grant(row);
            Ok(Json(whole(&app, &reader, id).await?))
        }
        Err(StoreError::Refused(why)) => Err(No::refused(sentence(&why))),
        Err(e) => Err(e.into()),
    }
}

/// What came of them.
///
/// # Errors
/// [`No`].
pub async fn stats(State(app): State<Arc<App>>, reader: Reader) -> Result<Json<ConsoleReviewStats>, No> {
    let permit = reader
        .permit::<ReviewBreakGlass>(&app)
        .await?
        .noted("use", "stats");
    app.store.append(permit.entry(Disclosure::default())).await?;
    let s = Stats::of(&app.store.grants(MOST).await?, clock::now());
    let names = Names::of(&*app.store).await?;
    let states = [
        Stands::Open,
        Stands::Asked,
        Stands::Suspected,
        Stands::Appropriate,
        Stands::Misuse,
    ];
    let states = states.map(|state| ConsoleStateCount {
        state: state.name().to_owned(),
        text: words(state).to_owned(),
        count: s.states.get(state.name()).copied().unwrap_or(0),
    });
    let mut misuse: Vec<ConsoleMisuse> = s
        .misuse_by_user
        .into_iter()
        .map(|(user, count)| {
            let known = names.people.iter().find(|(id, _)| id.as_str() == user);
            let name = known.map_or_else(|| user.clone(), |(_, name)| name.clone());
            ConsoleMisuse { user, name, count }
        })
        .collect();
    misuse.sort_by_key(|m| std::cmp::Reverse(m.count));
    Ok(Json(ConsoleReviewStats {
        broken: s.broken,
        closed: s.closed,
        closed_in_time: s.closed_in_time,
        closed_in_time_percent: s.closed_in_time_percent,
        overdue: s.overdue,
        arrived_late: s.arrived_late,
        states: states.into(),
        misuse,
        more: s.more,
    }))
}

fn unknown() -> No {
    No::not_found("There is no such broken glass.")
}

fn id_of(text: &str) -> Result<GrantId, No> {
    text.parse().map(AccessId).map_err(|_| unknown())
}

async fn whole(app: &App, reader: &Reader, id: GrantId) -> Result<ConsoleReviewShown, No> {
    let held = app.store.grant(id).await?;
    let own = held.as_ref().is_some_and(|r| r.grant.user == *reader.user());
    let may = reader.may::<ReviewBreakGlass>(app).await?;
    let (row, patient) = if own && !may {
        let row = held.ok_or_else(unknown)?;
        let patient = own_patient(app, reader, &row).await?;
        (row, patient)
    } else {
        // Also for whoever may not: that they tried to see somebody else's is written down.
        let permit = reader.permit::<ReviewBreakGlass>(app).await?;
        let row = held.ok_or_else(unknown)?;
        let permit = permit.noted("use", "show").noted("broken-glass", id.to_string());
        let sealed = app.store.reviewed_patient(&permit, id).await?;
        let hit = app.open(&permit, sealed).await?;
        let patient = named(
            &row,
            hit.as_ref().map(|h| &h.card[..]),
            "This server has no record of the patient.",
        );
        (row, patient)
    };
    let names = Names::of(&*app.store).await?;
    let now = clock::now();
    let Seen { rows: seen, more } = seen::of(app, reader, &row, &names).await?;
    let known = Evidence::of(&*app.store, &row).await?;
    let history = row.history.iter().map(|e| ConsoleHistory {
        at_ms: e.at.0,
        by: e.by.as_ref().map(|u| u.as_str().to_owned()),
        by_name: e.by.as_ref().map(|u| names.person(u)),
        did: e.did.name().to_owned(),
        text: match &e.did {
            Did::Escalated(level) => Some(format!("Level {level}: nobody had decided.")),
            Did::Notified { to, .. } => Some(to.join(", ")),
            _ => e.did.text().map(str::to_owned),
        },
    });
    Ok(ConsoleReviewShown {
        review: shown(&row, reader, &names, now),
        patient,
        history: history.collect(),
        evidence: evidence(&row, &known, now),
        seen,
        seen_more: more,
        acts: acts(&row, reader, may, now),
    })
}

/// What somebody is shown of the patient whose glass they broke: the name only while the policy opens the card to them.
async fn own_patient(app: &App, reader: &Reader, row: &GrantRow) -> Result<ConsoleReviewPatient, No> {
    let patient = &row.grant.patient;
    let mut entry = own_row(reader.user().clone(), "own-review");
    entry.grant = Some(row.grant.id);
    entry.patient = Some(patient.clone());
    entry.disclosure.patients = vec![patient.clone()];
    entry.notes.insert("use".to_owned(), "show".to_owned());
    entry.notes.insert("door".to_owned(), "console".to_owned());
    app.store.append(entry).await?;
    let request = app
        .request(&reader.at.caller, Some("Patient"), Some(patient))
        .await?;
    let card = match policy::decide::<ReadCard>(request) {
        Ok(permit) => {
            let permit = permit.noted("door", "console");
            let sealed = app.store.card(&permit).await?;
            app.open(&permit, sealed).await?
        }
        Err(_) => None,
    };
    let hidden = "Not shown: you have no access to this record now.";
    Ok(named(row, card.as_ref().map(|c| &c.body[..]), hidden))
}

fn named(row: &GrantRow, card: Option<&[u8]>, otherwise: &str) -> ConsoleReviewPatient {
    let card = card.and_then(|c| serde_json::from_slice::<EmergencyCard>(c).ok());
    let id = row.grant.patient.as_str().to_owned();
    let Some(i) = card.and_then(|c| c.identity) else {
        return ConsoleReviewPatient {
            id,
            name: otherwise.to_owned(),
            identity: String::new(),
        };
    };
    let sex = i.sex.as_deref().map(|s| match s {
        "female" => "F".to_owned(),
        "male" => "M".to_owned(),
        other => other.to_owned(),
    });
    let parts = [
        i.birth_date.as_deref().map(|d| format::partial_date(d, 0)),
        sex,
        i.mrn
            .as_deref()
            .map(|n| format!("MRN {}", format::record_number(n))),
    ];
    ConsoleReviewPatient {
        id,
        name: format::name(
            i.family.as_deref(),
            &i.given,
            i.prefix.as_deref(),
            i.name_text.as_deref(),
        ),
        identity: parts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
    }
}

const fn words(state: Stands) -> &'static str {
    match state {
        Stands::Open => "Waits for a reviewer",
        Stands::Asked => "Waits for an explanation",
        Stands::Suspected => "Misuse suspected: a second reviewer decides",
        Stands::Appropriate => "Appropriate",
        Stands::Misuse => "Misuse",
    }
}

fn shown(row: &GrantRow, reader: &Reader, names: &Names, now: UtcMs) -> ConsoleReview {
    let (g, s) = (&row.grant, Standing::of(row, now));
    ConsoleReview {
        id: g.id.to_string(),
        state: s.state.name().to_owned(),
        state_text: words(s.state).to_owned(),
        user: g.user.as_str().to_owned(),
        user_name: g
            .declared
            .as_ref()
            .map_or_else(|| names.person(&g.user), Clone::clone),
        declared: g.declared.is_some(),
        at_ms: g.at.0,
        received_ms: row.received.0,
        due_ms: row.review_due.0,
        reason: g.reason.text().to_owned(),
        words: g
            .words
            .clone()
            .or_else(|| row.words.as_ref().map(|w| w.text.clone())),
        device: g.device.as_ref().map(|d| names.device(d)),
        offline: g.offline,
        late: row.late,
        overdue: s.overdue,
        level: s.level,
        owes_words: s.owes_words,
        own: g.user == *reader.user(),
        closed_ms: s.closed.map(|at| at.0),
    }
}

/// What speaks for or against it, by what the server knows. It judges nothing alone: a reviewer reads it.
fn evidence(row: &GrantRow, known: &Evidence, now: UtcMs) -> Vec<ConsoleEvidence> {
    let mut out = Vec::new();
    let mut say = |weighs: &str, text: String| {
        out.push(ConsoleEvidence {
            weighs: weighs.to_owned(),
            text,
        });
    };
    if let Some(name) = &row.grant.declared {
        say(
            "against",
            format!(
                "Opened with an emergency account by somebody who said to be {name}: nobody has checked it."
            ),
        );
    }
    match (&known.account, &known.patient_ward) {
        (None, _) => say("against", "There is no account of this name any more.".to_owned()),
        (Some(a), _) if a.disabled => say(
            "neither",
            format!("The account ({}) is disabled now.", a.role.words()),
        ),
        (Some(a), _) => say(
            "neither",
            format!("{}, of {}.", a.role.words(), list_of(&a.wards)),
        ),
    }
    match (known.own_ward, &known.patient_ward) {
        (Some(true), Some(ward)) => say(
            "for",
            format!("The patient lies in {ward} now, a ward of theirs."),
        ),
        (Some(false), Some(ward)) => say(
            "neither",
            format!("The patient lies in {ward} now, not a ward of theirs."),
        ),
        _ => say("neither", "Where the patient lies is not known.".to_owned()),
    }
    if let (Some(device), Some(ward)) = (&known.device, &known.patient_ward) {
        if device.ward == *ward {
            say(
                "for",
                format!("It was broken at a workstation of {ward}, where the patient lies now."),
            );
        } else {
            say(
                "neither",
                format!("It was broken at a workstation of {}.", device.ward),
            );
        }
    }
    if row.grant.offline {
        say(
            "neither",
            "The workstation had no server then: nobody could be asked.".to_owned(),
        );
    }
    if let Some(why) = &row.refused {
        say("against", format!("It gave no access here: {}", sentence(why)));
    }
    match known.by_others {
        0 => {}
        1 => say(
            "for",
            "Somebody else broke the glass of the same patient within four hours.".to_owned(),
        ),
        n => say(
            "for",
            format!("{n} others broke the glass of the same patient within four hours."),
        ),
    }
    match known.by_user_before {
        0 => say(
            "for",
            "They broke no other glass in the 30 days before.".to_owned(),
        ),
        n if n < OFTEN => say(
            "neither",
            format!("They broke {n} other glasses in the 30 days before."),
        ),
        n => say(
            "against",
            format!("They broke {n} other glasses in the 30 days before."),
        ),
    }
    if let Some(e) = row.ended {
        say("neither", format!("It ended before its time: {}.", e.by.words()));
    }
    let said = row.grant.words.is_some()
        || row.words.is_some()
        || row.history.iter().any(|e| matches!(e.did, Did::Explained(_)));
    if !said && now.since(row.grant.at) >= WORDS_MS {
        say("against", "No words were given within 60 minutes.".to_owned());
    }
    out
}

fn list_of<T: ToString>(wards: &[T]) -> String {
    if wards.is_empty() {
        return "no ward".to_owned();
    }
    wards
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A sentence as people read them.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// What this reader can do now, and of what they could not, why.
fn acts(row: &GrantRow, reader: &Reader, may: bool, now: UtcMs) -> Vec<ConsoleAct> {
    let review = row.review();
    let (state, own) = (review.state(), row.grant.user == *reader.user());
    let reviewing: &[(How, &str)] = match (may, state) {
        (false, _) | (_, Stands::Appropriate | Stands::Misuse) => &[],
        (true, Stands::Suspected) => &[
            (How::Confirm, "Confirm misuse"),
            (How::Dismiss, "Dismiss the suspicion"),
        ],
        (true, _) => &[
            (How::Ask, "Ask for an explanation"),
            (How::Appropriate, "Appropriate"),
            (How::Suspect, "Suspect misuse"),
        ],
    };
    let revoking: &[(How, &str)] = if may && row.in_force(now) {
        &[(How::Revoke, "End the access now")]
    } else {
        &[]
    };
    let explaining: &[(How, &str)] = if own && !state.closed() {
        &[(How::Explain, "Explain")]
    } else {
        &[]
    };
    let all = reviewing.iter().chain(revoking).chain(explaining);
    all.map(|(how, label)| {
        let tried = review.step(how.did("-".to_owned()), Some(reader.user()), now);
        ConsoleAct {
            how: how
                .to_possible_value()
                .map(|v| v.get_name().to_owned())
                .unwrap_or_default(),
            label: (*label).to_owned(),
            why_not: tried.err().map(|e| sentence(&e.to_string())),
            words_needed: true,
        }
    })
    .collect()
}
