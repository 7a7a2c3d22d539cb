//! Keeping the redo log fit for a restore: begun anew when it could not be kept, a backup when one is due, checked as
//! soon as it is made, and nothing older than asked for.

use crate::app::App;
use crate::cli::admin;
use crate::ops::{backup::Files, log};
use std::sync::Arc;
use std::time::Duration;
use vitrine_store_sqlcipher::Key;

/// How often it is looked whether a backup is due.
const EVERY: Duration = Duration::from_secs(60);

/// Starts the job, when the configuration keeps a redo log.
pub fn start(app: &Arc<App>, files: &Arc<dyn Files>) {
    if !app.config.redo.keep || files.kind() != "sqlcipher" {
        return;
    }
    let (app, files) = (app.clone(), files.clone());
    tokio::spawn(async move {
        let key = Key::new(app.keys.database.clone());
        let mut turn = tokio::time::interval(EVERY);
        loop {
            turn.tick().await;
            let ground = admin::ground(&app, files.clone(), "vitrine-server".to_owned());
            match log::turn(&ground, &app.config.redo, &key, crate::clock::now()).await {
                Ok(done) => {
                    let bad = done.checked.iter().find(|c| !c.whole);
                    if let Some(fault) = bad.and_then(|c| c.faults.first()) {
                        app.metrics.alarm();
                        tracing::error!(fault, "the backup just made is not whole");
                    }
                    if done.restarted {
                        app.metrics.alarm();
                        tracing::warn!("the redo log could not be kept for a while and was begun anew");
                    }
                    if done.made.is_some() || done.gone > 0 {
                        tracing::info!(
                            made = done.made.is_some(),
                            gone = done.gone,
                            "redo log looked after"
                        );
                    }
                }
                Err(e) => {
                    app.metrics.alarm();
                    tracing::error!(error = %e, "the redo log was not looked after");
                }
            }
        }
    });
}
