//! Archive tiers by themselves: the rules once a day, recalls as soon as they are asked for.

use crate::app::App;
use crate::cli::admin;
use crate::ops::{backup::Files, tiers};
use std::sync::Arc;
use std::time::Duration;

/// After the start: first things first.
const FIRST: Duration = Duration::from_secs(300);
/// Recalls asked for through another server on the same database are found within this time.
const LOOK: Duration = Duration::from_secs(30);

/// Starts the jobs.
pub fn start(app: &Arc<App>, files: &Arc<dyn Files>) {
    recalls(app.clone());
    if !app.config.archive.run {
        return;
    }
    let (app, files) = (app.clone(), files.clone());
    tokio::spawn(async move {
        let every = Duration::from_secs(u64::from(app.config.archive.every_hours) * 3_600);
        tokio::time::sleep(FIRST).await;
        let mut turn = tokio::time::interval(every);
        loop {
            turn.tick().await;
            let ground = admin::ground(&app, files.clone(), "vitrine-server".to_owned());
            match tiers::run(&ground, crate::clock::now()).await {
                Ok(ran) if ran == tiers::Ran::default() => {}
                Ok(ran) => {
                    if ran.failed > 0 {
                        app.metrics.alarm();
                    }
                    tracing::info!(
                        looked = ran.looked,
                        packed = ran.packed,
                        bodies = ran.bodies,
                        away = ran.away,
                        home = ran.home,
                        failed = ran.failed,
                        "the archive's rules were run"
                    );
                }
                Err(e) => {
                    app.metrics.alarm();
                    tracing::error!(error = %e, "the archive's rules were not run to their end");
                }
            }
        }
    });
}

fn recalls(app: Arc<App>) {
    tokio::spawn(async move {
        loop {
            // What does not come now may come later: a mount that is back.
            if tiers::recall_asked(&*app.store, &app.tiers, &app.config.archive)
                .await
                .is_err()
            {
                app.metrics.alarm();
            }
            let _ = tokio::time::timeout(LOOK, app.tiers.asked.notified()).await;
        }
    });
}
