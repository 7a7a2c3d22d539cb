//! Whether the hospital's identity provider answers, where it is the way in (`oidc.require`): asked every five seconds, so that no
//! sign-in waits for it and what is known is never old. Started by `jobs`.

use crate::app::App;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);

/// Starts it.
pub(super) fn start(app: &Arc<App>) {
    if !app.config.oidc.require {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(EVERY);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut was = None;
        loop {
            turn.tick().await;
            let Some(provider) = &app.oidc else { return };
            let up = provider.look().await;
            if was.replace(up) != Some(up) {
                if up {
                    tracing::info!("the identity provider answers: it is the way in at workstations");
                } else {
                    tracing::warn!(
                        "the identity provider does not answer: badge and PIN are open at workstations"
                    );
                }
            }
        }
    });
}
