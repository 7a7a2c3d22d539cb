//! Work that comes round by itself.
//!
//! Lives here: letting go of old feed rows. Never here: work a request waits for. Called by `cli::serve`.

pub mod spool;

use crate::app::App;
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// Starts the jobs.
pub fn start(app: &Arc<App>) {
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
