//! Work that comes round by itself.
//!
//! Lives here: letting go of old feed rows, of sessions that are long over and of the bytes of old messages, hearing of what other servers of the hospital were told, the search index,
//! reviews that nobody decides, who is told of them, whether the identity provider answers, the audit log's tree and repository, backups for the redo log, the archive's rules and recalls. Never here:
//! work a request waits for. Called by `cli::serve`.

pub mod bases;
pub mod notices;
pub mod provider;
pub mod repository;
pub mod reviews;
pub mod spool;
pub mod tiers;
pub mod tree;

use crate::app::App;
use crate::clock;
use std::sync::Arc;
use std::time::Duration;
use vitrine_store::DeviceState;

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// People taken into the search index at once, and the pause after them.
const AT_ONCE: usize = 100;
const BREATH: Duration = Duration::from_millis(50);
/// After a failure.
const LATER: Duration = Duration::from_secs(30);
/// How soon a grant or a revocation at one server counts at the others.
const OTHERS: Duration = Duration::from_secs(2);
/// Grants looked at each time, newest first.
const GRANTS: usize = 500;
/// A session is kept so long after its end, so that whoever comes back with it is told that it has ended, and removed at so many at once.
const OVER: i64 = 24 * 3_600_000;
const SESSIONS: u32 = 500;
/// Bytes of so many messages are let go of at once.
const MESSAGES: u64 = 500;
const DAY_MS: i64 = 24 * 3_600_000;

/// Starts the jobs.
pub fn start(app: &Arc<App>) {
    others(app.clone());
    reviews::start(app);
    notices::start(app);
    provider::start(app);
    tree::start(app);
    repository::start(app);
    index(app.clone());
    let app = app.clone();
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(EVERY);
        turn.tick().await;
        loop {
            turn.tick().await;
            let newest = *app.store.watch().borrow();
            let up_to = newest.saturating_sub(app.config.feed.keep_rows);
            if up_to > 0
                && let Err(e) = app.store.prune(up_to).await
            {
                tracing::warn!(error = %e, "old feed rows stay");
            }
            loop {
                match app
                    .store
                    .forget_sessions(clock::now().plus_ms(-OVER), SESSIONS)
                    .await
                {
                    Ok(SESSIONS) => tokio::time::sleep(BREATH).await,
                    Ok(_) => break,
                    Err(e) => {
                        tracing::warn!(error = %e, "sessions that are long over stay");
                        break;
                    }
                }
            }
            forget_messages(&app).await;
        }
    });
}

/// Lets go of the bytes of messages that were applied long ago; their rows stay.
async fn forget_messages(app: &App) {
    let days = i64::try_from(app.config.mllp.keep_days).unwrap_or(i64::MAX / DAY_MS);
    let before = clock::now().plus_ms(-days.saturating_mul(DAY_MS));
    loop {
        match app.store.forget_messages(before, MESSAGES as usize).await {
            Ok(MESSAGES) => tokio::time::sleep(BREATH).await,
            Ok(_) => return,
            Err(e) => {
                tracing::warn!(error = %e, "the bytes of old messages stay");
                return;
            }
        }
    }
}

/// Takes whoever an older program wrote into the search index, and its audit rows into theirs: at the start, and whenever an older server beside this
/// one has written. Other work goes first.
fn index(app: Arc<App>) {
    tokio::spawn(async move {
        let mut said = false;
        loop {
            let wait = match app.store.catch_up(AT_ONCE).await {
                Ok(0) if said => {
                    said = false;
                    tracing::info!("the search indexes hold everybody and every audit row");
                    EVERY
                }
                Ok(0) => EVERY,
                Ok(left) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::info!(left, "the search indexes take in what is not in them yet");
                    }
                    BREATH
                }
                Err(e) => {
                    tracing::warn!(error = %e, "the search index is not brought up to date");
                    LATER
                }
            };
            tokio::time::sleep(wait).await;
        }
    });
}

/// Grants made and workstations revoked through another server on the same database, and a database that is not what
/// it was.
fn others(app: Arc<App>) {
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(OTHERS);
        let (mut known, mut epoch) = (None, None);
        loop {
            turn.tick().await;
            if let Ok(present) = app.store.epoch().await {
                // A failover or a restore: who is connected compares anew what it holds.
                if epoch.as_ref().is_some_and(|e| *e != present) {
                    tracing::warn!("the epoch changed: workstations are asked to come back");
                    app.hub.close(200, 3_000);
                }
                epoch = Some(present);
            }
            match app.store.grants(GRANTS).await {
                Ok(grants) => grants.into_iter().for_each(|g| app.note_grant(g)),
                Err(e) => tracing::debug!(error = %e, "grants of other servers are not known"),
            }
            if let Ok(devices) = app.store.devices().await {
                let revoked: Vec<_> = devices
                    .into_iter()
                    .filter(|d| d.state == DeviceState::Revoked)
                    .map(|d| d.id)
                    .collect();
                if known.as_ref().is_some_and(|k| *k != revoked) {
                    app.access_changed();
                }
                known = Some(revoked);
            }
        }
    });
}
