//! Break-glass grants that workstations send up, their ends and the words that were added to them.
//!
//! Lives here: what is kept of them and what it gives at this server. Never here: the review (`vitrine_access::review`), what a
//! grant covers (the policy). Called by `work`, beside the connection.

use super::work::{Served, alarm};
use crate::app::App;
use crate::clock;
use crate::http::auth::sign_in_row;
use crate::ops::emergency_accounts;
use std::collections::BTreeMap;
use vitrine_access::action::BreakGlass;
use vitrine_access::grant::{DECLARED_GRANT_MS, DECLARED_NAME, Ended, EndedBy, GRANT_MS, LaterWords};
use vitrine_access::policy::{self, PatientFacts, Request, Subject};
use vitrine_access::{Action, Actor, Grant, Kind};
use vitrine_clinical::label::Label;
use vitrine_clinical::{DeviceId, UtcMs};
use vitrine_store::reviews::ReviewOrder;
use vitrine_store::{GrantRow, StoreError};
use vitrine_sync::server::Event;
use vitrine_wire::message::{GrantAfter, GrantEnd};

/// So far a workstation's clock may run ahead, in ms, for a grant of it to give access here.
const AHEAD_MS: i64 = 300_000;

/// Keeps a break-glass grant of this workstation: durable with its review and its audit row before it is answered. Sent again,
/// what was kept stands, whatever it says now.
///
/// What came after it is kept with it, each thing once, and answered by its number: so it does not matter in which order, how late
/// and how often all this comes.
pub(super) async fn store(
    app: &App,
    served: &Served,
    text: &str,
    after: Option<GrantAfter>,
) -> Option<(String, u32)> {
    let device = served.id()?;
    let grant: Grant = match serde_json::from_str(text) {
        Ok(g) => g,
        Err(_) => {
            alarm(app, device, "a grant that cannot be read").await;
            return None;
        }
    };
    if grant.device.as_ref() != Some(device) {
        alarm(app, device, "a grant of another workstation").await;
        return None;
    }
    match kept_grant(app, device, grant.clone()).await {
        Ok((row, new)) => {
            let id = row.grant.id.to_string();
            if let Some(why) = row.refused.as_ref().filter(|_| new) {
                alarm(app, device, &format!("the grant {id} gives no access: {why}")).await;
            }
            if row.grant != grant {
                alarm(
                    app,
                    device,
                    &format!("the grant {id} was sent again with another text"),
                )
                .await;
            }
            let rev = after.as_ref().map_or(0, |a| a.rev);
            let row = match after {
                Some(after) => kept_after(app, device, row, after).await,
                None => Ok(row),
            };
            match row {
                Ok(row) => {
                    if new {
                        if let Err(e) = emergency_accounts::opened(app, &row).await {
                            tracing::error!(error = %e, "an opened emergency account could not be closed yet");
                        }
                        app.owes_notice(row.grant.id);
                    }
                    app.note_grant(row);
                    Some((id, rev))
                }
                Err(e) => {
                    tracing::error!(error = %e, "what came after a break-glass grant could not be kept; the workstation sends it again");
                    None
                }
            }
        }
        Err(e) => {
            tracing::error!(error = %e, "a break-glass grant could not be kept; the workstation sends it again");
            None
        }
    }
}

/// What this workstation has to be told: a reviewer took back what may still be in force there. Said on each connection; a workstation
/// that knows it does nothing.
pub(super) fn revoked(app: &App, served: &Served) -> Vec<Event> {
    let Some(device) = served.id() else {
        return Vec::new();
    };
    let ends = app.revoked_grants(device, clock::now()).into_iter();
    ends.map(|(id, ended)| Event::GrantEnded {
        id: id.to_string(),
        end: GrantEnd {
            at_ms: ended.at.0,
            by: ended.by.code().to_owned(),
        },
    })
    .collect()
}

/// Keeps the end of a grant and the words added to it. What cannot be taken (words that are none, or too long) raises the alarm and
/// counts as told: it would be sent for ever.
async fn kept_after(
    app: &App,
    device: &DeviceId,
    mut row: GrantRow,
    after: GrantAfter,
) -> Result<GrantRow, StoreError> {
    let id = row.grant.id;
    if let Some(end) = after.ended {
        let ended = Ended {
            at: UtcMs(end.at_ms),
            by: EndedBy::parse(&end.by),
        };
        let actor = Actor::Device(device.clone());
        let entry = sign_in_row(actor, Some(device.clone()), Kind::EndBreakGlass, "uploaded", true);
        row = app.store.review(ReviewOrder::ended(entry, id, ended)).await?.0;
        // One that a reviewer took back may have ended there before that was known.
        let taken_back = row.ended.is_some_and(|e| e.by == EndedBy::Revoked);
        if row.ended != Some(ended) && !taken_back {
            alarm(app, device, &format!("the grant {id} was ended again otherwise")).await;
        }
    }
    if let Some(words) = after.words {
        let words = LaterWords {
            at: UtcMs(words.at_ms),
            text: words.text,
        };
        let actor = Actor::User(row.grant.user.clone());
        let entry = sign_in_row(
            actor,
            Some(device.clone()),
            Kind::ExplainBreakGlass,
            "uploaded",
            true,
        );
        match app
            .store
            .review(ReviewOrder::later_words(entry, id, words.clone()))
            .await
        {
            Ok((kept, _)) => {
                row = kept;
                if row.words.as_ref() != Some(&words) {
                    alarm(
                        app,
                        device,
                        &format!("the grant {id} was given other words again"),
                    )
                    .await;
                }
            }
            Err(StoreError::Refused(why)) => {
                alarm(
                    app,
                    device,
                    &format!("words of the grant {id} were not taken: {why}"),
                )
                .await;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(row)
}

async fn kept_grant(app: &App, device: &DeviceId, grant: Grant) -> Result<(GrantRow, bool), StoreError> {
    let mut row = GrantRow::new(grant, clock::now());
    row.refused = unsound(app, &row).await?;
    let grant = &row.grant;
    let mut entry = sign_in_row(
        Actor::Device(device.clone()),
        Some(device.clone()),
        Kind::ReceiveGrant,
        "uploaded",
        true,
    );
    entry.grant = Some(grant.id);
    entry.patient = Some(grant.patient.clone());
    entry.notes = BTreeMap::from([
        ("user".to_owned(), grant.user.to_string()),
        ("reason".to_owned(), grant.reason.code().to_owned()),
        ("late".to_owned(), row.late.to_string()),
        ("review_due".to_owned(), clock::instant(row.review_due)),
    ]);
    if let Some(name) = &grant.declared {
        entry.notes.insert("declared".to_owned(), name.clone());
    }
    if let Some(why) = &row.refused {
        entry.notes.insert("refused".to_owned(), why.clone());
    }
    let (row, receipt) = app.store.keep_grant(row, entry).await?;
    Ok((row, receipt.is_some()))
}

/// Why a grant gives no access at this server: its text is not one that a workstation makes for somebody who may break the
/// glass. What was seen with it at the workstation was seen, so that it is kept and reviewed.
async fn unsound(app: &App, row: &GrantRow) -> Result<Option<String>, StoreError> {
    let g = &row.grant;
    if g.until.0 > g.at.0.saturating_add(GRANT_MS) {
        return Ok(Some("it ends later than a grant may".to_owned()));
    }
    if g.at.0 > row.received.0.saturating_add(AHEAD_MS) {
        return Ok(Some("it begins in the future".to_owned()));
    }
    let Some(account) = app.store.account(&g.user).await? else {
        return Ok(Some(format!("{} has no account", g.user)));
    };
    if account.role.declares_a_name() {
        // Its account ends with the first word of it here: that says nothing against what was opened before.
        if g.declared.is_none() {
            return Ok(Some("an emergency account was used under no name".to_owned()));
        }
        if g.until.0 > g.at.0.saturating_add(DECLARED_GRANT_MS) {
            return Ok(Some(
                "it ends later than one of an emergency account may".to_owned(),
            ));
        }
        if g.declared
            .as_ref()
            .is_some_and(|n| n.chars().count() > *DECLARED_NAME.end())
        {
            return Ok(Some(
                "the name it was opened under is too long to be one".to_owned(),
            ));
        }
    } else if g.declared.is_some() {
        return Ok(Some(format!("{} has a name of their own", g.user)));
    } else if account.disabled {
        return Ok(Some(format!("the account of {} is not in use any more", g.user)));
    }
    let request = Request {
        access_id: g.id,
        at: row.received,
        subject: Subject::User {
            user: account.user,
            role: account.role,
            wards: account.wards,
        },
        device: g.device.clone(),
        patient: Some(PatientFacts {
            patient: g.patient.clone(),
            ward: None,
            label: Label::NONE,
        }),
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    };
    let verdict = policy::verdict(BreakGlass::NAME, &request);
    Ok((!verdict.allow).then(|| format!("{} may not break the glass", g.user)))
}
