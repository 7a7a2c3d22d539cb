//! The chains of the audit log: how long they are, and whether they are whole.
//!
//! Lives here: asking for a check, what the last one said. Never here: the check (`ops::audit`). Called by the router.

use super::No;
use super::door::Reader;
use crate::app::App;
use crate::clock;
use crate::keys::hex;
use crate::ops::audit;
use axum::Json;
use axum::extract::State;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use vitrine_access::Disclosure;
use vitrine_access::action::ReadAudit;
use vitrine_wire::console::{ConsoleChain, ConsoleChains, ConsoleCheckpoint, ConsoleWitness};

/// The chains and what the last check said.
///
/// # Errors
/// [`No`].
pub async fn list(State(app): State<Arc<App>>, reader: Reader) -> Result<Json<ConsoleChains>, No> {
    let permit = reader.permit::<ReadAudit>(&app).await?.noted("use", "chains");
    app.store.append(permit.entry(Disclosure::default())).await?;
    Ok(Json(all(&app).await?))
}

/// Checks them now. A check that takes longer than a request may goes on, and is shown when it is done.
///
/// # Errors
/// [`No`].
pub async fn check(State(app): State<Arc<App>>, reader: Reader) -> Result<Json<ConsoleChains>, No> {
    let permit = reader.permit::<ReadAudit>(&app).await?;
    let turn = app.console.checking.clone().try_lock_owned();
    let turn =
        turn.map_err(|_| No::refused("The chains are being checked already: look again in a minute."))?;
    let at = app.clone();
    let work = tokio::spawn(async move {
        let files = at.console.files.get().map(|f| &**f);
        let done = audit::check(&*at.store, files, &at.tree, permit).await;
        if let Ok(checked) = &done {
            let mut last = at.console.checked.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((clock::now(), checked.said()));
        }
        drop(turn);
        done.map(|_| ())
    });
    let longest = Duration::from_secs(app.config.limits.request_seconds) / 2;
    match tokio::time::timeout(longest, work).await {
        Ok(Ok(done)) => done?,
        Ok(Err(_)) => {
            tracing::error!("a check of the audit chains was not finished");
            let text = "The check was not finished: see the server's log.";
            return Err(No::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "internal",
                text,
            ));
        }
        Err(_) => {
            let text = "The check takes long and goes on: look again in a minute.";
            return Err(No::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                text,
            ));
        }
    }
    Ok(Json(all(&app).await?))
}

/// The newest checkpoint of the log over all chains, and how its witnesses stand; `None` before the first, and where the log cannot be
/// read, which the check says.
async fn checkpoint(app: &App) -> Option<ConsoleCheckpoint> {
    let (at, newest) = app.tree.newest().await.ok().flatten()?;
    let witnesses = app.tree.witnesses().iter().map(|kept| {
        let error = kept.stand().error;
        ConsoleWitness {
            name: kept.config.name.clone(),
            ok: error.is_none(),
            text: error.unwrap_or_else(|| "has every checkpoint".to_owned()),
        }
    });
    Some(ConsoleCheckpoint {
        at_ms: at.0,
        size: newest.size,
        root: hex(&newest.root),
        witnesses: witnesses.collect(),
    })
}

async fn all(app: &App) -> Result<ConsoleChains, No> {
    let heads = app.store.heads().await?;
    let last = app
        .console
        .checked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .map(|(at, checked)| (*at, checked.said()));
    let chains = heads.into_iter().map(|(chain, head)| {
        let said = last.as_ref().and_then(|(at, checked)| {
            let of = checked.chains.iter().find(|c| c["chain"] == chain.as_str())?;
            Some((
                at.0,
                of["whole"].as_bool()?,
                of["fault"].as_str().map(str::to_owned),
            ))
        });
        ConsoleChain {
            rows: head.seq,
            head: hex(&head.hash),
            whole: said.as_ref().map(|s| s.1),
            checked_ms: said.as_ref().map(|s| s.0),
            fault: said.and_then(|s| s.2),
            chain,
        }
    });
    Ok(ConsoleChains {
        now_ms: clock::now().0,
        chains: chains.collect(),
        checkpoint: checkpoint(app).await,
    })
}
