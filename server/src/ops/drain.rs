//! Draining: the server leaves the cluster without anybody noticing.
//!
//! Lives here: the order of it. Never here: stopping the process. Called by the admin socket.
//! 1. `/readyz` answers 503 and the agent "drain", while everything is still served: the load balancer finds out.
//! 2. After the notice, new workstations are turned away and those connected are handed over, a few at a time, each with
//!    the word to come back at once: by then the load balancer has another server for them.
//! 3. What is being worked on is finished, and so is what still arrives.

use crate::app::App;
use crate::clock;
use crate::ws::hub::Inside;
use serde_json::{Value, json};
use std::time::Duration;

/// How long handing over may take in all, the notice included.
const WITHIN: Duration = Duration::from_secs(10);
/// The sockets are closed within so long after the notice.
const SPREAD: Duration = Duration::from_secs(5);
/// How long one waits at least before coming back, ms; as much again comes by chance.
const COME_BACK_MS: u32 = 200;

/// Drains; answers when the sockets are handed over and nothing is worked on, or the time is over.
pub async fn drain(app: &App, notice: Duration) -> Value {
    let began = clock::steady();
    app.draining.send_replace(true);
    tracing::info!("draining");
    tokio::time::sleep(notice.min(WITHIN / 2)).await;
    app.hub.hand_over(true);
    let there = app.hub.all();
    let (had, turns) = (there.len(), 50_u32);
    let each = there.len().div_ceil(turns as usize).max(1);
    for part in there.chunks(each) {
        for to in part {
            let chance = u32::from(clock::random::<1>()[0]);
            let _ = to.send(Inside::Close {
                after_ms: COME_BACK_MS + chance,
            });
        }
        tokio::time::sleep(SPREAD / turns).await;
    }
    // Those that came in while the others were being told.
    app.hub.close(COME_BACK_MS, COME_BACK_MS);
    loop {
        let (sockets, in_flight) = (app.hub.clients(), app.lanes.in_flight());
        let over = began.elapsed() >= WITHIN;
        if (sockets == 0 && in_flight == 0) || over || !*app.draining.borrow() {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(handed_over = had, sockets, in_flight, seconds, "drained");
            return json!({"drained": sockets == 0 && in_flight == 0, "handed_over": had, "sockets": sockets,
                "in_flight": in_flight, "seconds": seconds});
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Takes work again.
pub fn undo(app: &App) -> Value {
    app.hub.hand_over(false);
    app.draining.send_replace(false);
    tracing::info!("takes work again");
    json!({"drained": false, "sockets": app.hub.clients(), "in_flight": app.lanes.in_flight()})
}
