//! Rows of the audit log to the hospital's audit repository, as they come. The work is in `ops::repository`.

use crate::app::App;
use std::sync::Arc;
use std::time::Duration;

/// After the start: first things first.
const FIRST: Duration = Duration::from_secs(5);
/// How often is looked whether there is something new.
const EVERY: Duration = Duration::from_secs(2);
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(60);

/// Starts it, where a repository is configured.
pub(super) fn start(app: &Arc<App>) {
    if app.repository.is_none() {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        tokio::time::sleep(FIRST).await;
        let mut pause = EVERY;
        loop {
            let Some(repository) = &app.repository else { return };
            pause = if repository.turn(&*app.store).await {
                EVERY
            } else {
                (pause * 2).min(LONGEST)
            };
            tokio::time::sleep(pause).await;
        }
    });
}
