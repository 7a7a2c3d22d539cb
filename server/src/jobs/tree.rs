//! The audit log's tree: once a minute, and a last time when the server stops. The work is in `ops::audit_tree`.

use crate::app::App;
use std::sync::Arc;
use std::time::Duration;

/// After the start: first things first.
const FIRST: Duration = Duration::from_secs(10);
/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// The end of a server does not wait longer for its last checkpoint.
const LAST: Duration = Duration::from_secs(10);

/// Starts it.
pub(super) fn start(app: &Arc<App>) {
    let app = app.clone();
    tokio::spawn(async move {
        tokio::time::sleep(FIRST).await;
        let mut turn = tokio::time::interval(EVERY);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            app.tree.turn(&*app.store).await;
        }
    });
}

/// The last turn.
pub async fn last(app: &App) {
    if tokio::time::timeout(LAST, app.tree.turn(&*app.store))
        .await
        .is_err()
    {
        tracing::warn!("the last rows of the audit log are taken into its tree at the next start");
    }
}
