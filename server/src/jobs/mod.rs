//! Work that comes round by itself.
//!
//! Lives here: letting go of old feed rows, hearing of what other servers of the hospital were told, backups for the
//! redo log, the archive's rules and recalls. Never here: work a request waits for. Called by `cli::serve`.

pub mod bases;
pub mod spool;
pub mod tiers;

use crate::app::App;
use std::sync::Arc;
use std::time::Duration;
use vitrine_store::DeviceState;

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// How soon a grant or a revocation at one server counts at the others.
const OTHERS: Duration = Duration::from_secs(2);
/// Grants looked at each time, newest first.
const GRANTS: usize = 500;

/// Starts the jobs.
pub fn start(app: &Arc<App>) {
    others(app.clone());
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
            let now = crate::clock::now();
            if let Ok(present) = app.store.epoch().await {
                // A failover or a restore: who is connected compares anew what it holds.
                if epoch.as_ref().is_some_and(|e| *e != present) {
                    tracing::warn!("the epoch changed: workstations are asked to come back");
                    app.hub.close(200, 3_000);
                }
                epoch = Some(present);
            }
            match app.store.grants(GRANTS).await {
                Ok(grants) => {
                    let in_force = grants.into_iter().map(|g| g.grant).filter(|g| g.until > now);
                    in_force.for_each(|g| app.note_grant(g));
                }
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
