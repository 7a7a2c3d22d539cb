//! The connection of the image stream: one for a session, opened when images are first asked for, kept while the session
//! lasts, made anew with patience while somebody waits.
//!
//! Never here: what messages mean (`arrive`). It holds no database.

use super::{Core, Shared};
use crate::drill;
use crate::link;
use crate::station::Station;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use vitrine_clinical::word;
use vitrine_wire::images::{Ask, PROTOCOL};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// First and longest wait before another try.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// Longest message taken, bytes.
const LONGEST: usize = 1 << 28;

/// The line as the state sees it.
#[derive(Default)]
pub(super) struct Line {
    up: Option<mpsc::UnboundedSender<Ask>>,
    /// There is none, and a try failed.
    down: bool,
    running: bool,
}

impl Line {
    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }
    /// Why nothing comes; `None` while there is a line or it is not known yet.
    pub(super) fn down(&self) -> Option<&'static str> {
        (self.up.is_none() && self.down).then(|| word!("OFFLINE", "OFFLINE"))
    }
    pub(super) fn ask(&self, ask: Ask) {
        if let Some(up) = &self.up {
            let _ = up.send(ask);
        }
    }
    /// The connection is given up; another is made.
    pub(super) fn drop_line(&mut self) {
        self.up = None;
    }
    /// The session ended.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}

/// Sees to it that there is a connection, or tries again at once.
pub(super) fn wake(station: &Arc<Station>) {
    let shared = &station.imaging.shared;
    let session = {
        let mut core = shared.core();
        let begin = !core.line.running;
        core.line.running = true;
        begin.then_some(core.session)
    };
    match session {
        Some(session) => {
            tokio::spawn(run(Arc::clone(shared), Arc::downgrade(station), session));
        }
        None => shared.kick(),
    }
}

async fn run(shared: Arc<Shared>, station: Weak<Station>, session: u64) {
    let mut kicked = shared.kick.subscribe();
    let ended = |shared: &Shared| shared.stopped() || shared.core().session != session;
    let mut wait = AGAIN.0;
    loop {
        if ended(&shared) {
            return;
        }
        let Some(held) = station.upgrade() else { return };
        let mut closing = held.closing.subscribe();
        let cut = held.drill.cuts();
        let dialled = tokio::select! {
            d = tokio::time::timeout(CONNECT, dial(&held)) => d,
            _ = closing.wait_for(|c| *c) => return,
        };
        match dialled {
            Ok(Some(socket)) => {
                drop(held);
                let (tell, asks) = mpsc::unbounded_channel();
                {
                    let mut core = shared.core();
                    if core.session != session {
                        return;
                    }
                    core.line.up = Some(tell);
                    core.line.down = false;
                    core.came_up(&shared);
                }
                wait = AGAIN.0;
                tokio::select! {
                    () = pump(&shared, socket, asks, session) => {}
                    () = drill::cut_off(cut) => {}
                }
            }
            Ok(None) | Err(_) => drop(held),
        }
        {
            let mut core = shared.core();
            if core.session != session {
                return;
            }
            core.line.up = None;
            core.line.down = true;
            core.went_down();
        }
        let _ = kicked.borrow_and_update();
        let needed = {
            let core = shared.core();
            !core.views.is_empty() || !core.told.is_empty()
        };
        if needed {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = kicked.changed() => {}
            }
            wait = (wait * 2).min(AGAIN.1);
        } else {
            let _ = kicked.changed().await;
        }
    }
}

async fn dial(station: &Arc<Station>) -> Option<link::Socket> {
    let token = station.session().as_ref().and_then(|s| s.token.clone());
    // Let in by what is here, and the server has not confirmed it.
    let token = token?;
    let path = format!("/ws/images?v={PROTOCOL}");
    link::dial(station, &path, Some(&token), LONGEST)
        .await
        .inspect_err(|e| tracing::debug!(error = %e, "no connection for images"))
        .ok()
}

async fn pump(
    shared: &Arc<Shared>,
    mut socket: link::Socket,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    session: u64,
) {
    let mut kicked = shared.kick.subscribe();
    loop {
        tokio::select! {
            biased;
            ask = asks.recv() => {
                let Some(ask) = ask else { break };
                let Ok(text) = serde_json::to_string(&ask) else { continue };
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => Core::piece(shared, session, bytes),
                Some(Ok(Message::Text(text))) => Core::heard(shared, session, text.as_str()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            _ = kicked.changed() => {
                if shared.stopped() || shared.core().session != session {
                    break;
                }
            }
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(None)).await;
}

/// The bytes of a message are shared with the segments cut from it: what is kept long is copied, so that a small layer
/// does not hold a large buffer.
pub(super) fn own(body: &Bytes) -> Bytes {
    Bytes::copy_from_slice(body)
}
