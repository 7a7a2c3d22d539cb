//! One connection: a socket, a session machine, and the queue of what comes from inside.
//!
//! Lives here: the loop that never waits for a slow socket. Never here: what effects do (`work`).
//! Called by `upgrade`. An idle connection holds this task, the machine (about a kilobyte) and the socket's buffers.

use super::hub::{Changed, Inside};
use super::work::{self, Served};
use crate::app::App;
use crate::clock;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use vitrine_sync::server::{DeviceVerdict, Effect, Event, Now, RowsRead, Session};
use vitrine_wire::ErrorCode;

/// After the word to close, so long is given to what still waits.
const LAST: Duration = Duration::from_secs(1);

pub(super) enum Io {
    /// The socket took everything.
    Room(bool),
    /// A message, or the end.
    Message(Option<Message>),
}

struct Connection {
    app: Arc<App>,
    id: u64,
    began: Instant,
    session: Session,
    served: Served,
    listening: Vec<String>,
    /// Records being opened, and since when.
    opening: Vec<(String, Instant)>,
    /// Grants it was told of that a reviewer took back.
    taken_back: Vec<String>,
    to_self: mpsc::UnboundedSender<Inside>,
    close: Option<(u16, &'static str, Instant)>,
}

/// Serves a connection until it ends.
pub(super) async fn drive(app: Arc<App>, socket: WebSocket) {
    let (to_self, mut inside) = mpsc::unbounded_channel();
    let Ok(epoch) = app.store.epoch().await else {
        return;
    };
    let began = clock::steady();
    let now = Now {
        ms: 0,
        wall_ms: clock::now().0,
    };
    let nonce = crate::keys::hex(&clock::random::<32>());
    let session = Session::new(now, Arc::from(epoch), nonce, app.hub.fed().0);
    let id = app.hub.enter(to_self.clone());
    let mut connection = Connection {
        app: app.clone(),
        id,
        began,
        session,
        served: Served::default(),
        listening: Vec::new(),
        opening: Vec::new(),
        taken_back: Vec::new(),
        to_self,
        close: None,
    };
    connection.run(socket, &mut inside).await;
    app.hub.leave(id, &connection.listening);
}

impl Connection {
    fn now(&self) -> Now {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            ms,
            wall_ms: clock::now().0,
        }
    }

    async fn run(&mut self, mut socket: WebSocket, inside: &mut mpsc::UnboundedReceiver<Inside>) {
        let mut flushing = false;
        loop {
            self.fed(inside);
            if !flushing {
                match self.session.poll_send(self.now()) {
                    Some(bytes) => {
                        if !begin_send(&mut socket, Message::Binary(bytes)).await {
                            return;
                        }
                        flushing = true;
                    }
                    None if self.close.is_some() => break,
                    None => {}
                }
            }
            let until = self.close.map_or_else(
                || self.began + Duration::from_millis(self.session.wake_at()),
                |(_, _, by)| by,
            );
            tokio::select! {
                io = io(&mut socket, flushing, self.close.is_none()) => match io {
                    Io::Room(true) => {
                        flushing = false;
                        self.step(Event::CanSend);
                    }
                    Io::Room(false) | Io::Message(None) => return,
                    Io::Message(Some(Message::Binary(bytes))) => self.step(Event::Received(bytes)),
                    Io::Message(Some(Message::Text(_))) => self.step(Event::Received(Bytes::new())),
                    Io::Message(Some(Message::Close(_))) => return,
                    Io::Message(Some(Message::Ping(_) | Message::Pong(_))) => {}
                },
                Some(what) = inside.recv() => self.inside(what),
                () = tokio::time::sleep_until(until.into()) => {
                    if self.close.is_some() {
                        break;
                    }
                    self.step(Event::Tick);
                }
            }
        }
        if let Some((code, reason, _)) = self.close {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            let _ = tokio::time::timeout(LAST, socket.send(Message::Close(Some(frame)))).await;
        }
    }

    /// Tells the session how far the hub is. The hub's position is read first and the queue emptied then, so that
    /// every frame up to that position has been given to the session.
    fn fed(&mut self, inside: &mut mpsc::UnboundedReceiver<Inside>) {
        let (pos, behind_ms) = self.app.hub.fed();
        let mut waiting = VecDeque::new();
        while let Ok(what) = inside.try_recv() {
            waiting.push_back(what);
        }
        for what in waiting {
            self.inside(what);
        }
        self.session.fed(pos, behind_ms);
    }

    fn inside(&mut self, what: Inside) {
        match what {
            Inside::Frame(frame) => {
                self.session.deliver(self.now(), &frame);
            }
            Inside::Event(event) => {
                if let Event::GrantEnded { id, .. } = &*event {
                    if self.taken_back.contains(id) {
                        return;
                    }
                    self.taken_back.push(id.clone());
                }
                self.served.note(&event);
                self.opened(&event);
                let signed_in = matches!(&*event, Event::User { verdict: Ok(_), .. });
                let proven = matches!(&*event, Event::Device(DeviceVerdict::Active { .. }));
                self.step(*event);
                if proven {
                    self.spawn(Job::Grants);
                }
                if signed_in {
                    // It may have ended between the look at it and now, when nobody could be told of it here.
                    self.spawn(Job::People);
                }
            }
            Inside::Recheck(Changed::People) if self.served.user.is_some() => self.spawn(Job::People),
            Inside::Recheck(Changed::Session(ended)) if self.served.user == Some(ended) => {
                self.spawn(Job::People);
            }
            Inside::Recheck(Changed::Devices) if self.served.device.is_some() => self.spawn(Job::Device),
            Inside::Recheck(Changed::Grants) if self.served.device.is_some() => self.spawn(Job::Grants),
            Inside::Recheck(_) => {}
            Inside::Close { after_ms } => self.step(Event::Overload {
                retry_after_ms: after_ms,
            }),
        }
    }

    /// Notes how long it took to open a record: from the question to the last of it read.
    fn opened(&mut self, event: &Event) {
        let (scope, came) = match event {
            Event::Page { scope, page, .. } if page.next_after.is_none() => (scope, true),
            Event::Rows {
                scope,
                rows: RowsRead::Rows { more: false, .. },
                ..
            } => (scope, true),
            Event::ReadFailed { scope, .. } => (scope, false),
            Event::Decided {
                scope,
                verdict: Err(code),
                ..
            } => {
                if *code == ErrorCode::Overloaded {
                    (scope, false)
                } else {
                    self.opening.retain(|(s, _)| s != scope);
                    return;
                }
            }
            _ => return,
        };
        if let Some(i) = self.opening.iter().position(|(s, _)| s == scope) {
            let (_, since) = self.opening.swap_remove(i);
            self.app.metrics.took(
                "vitrine_record_seconds",
                "by=\"sync\"",
                came.then(|| since.elapsed()),
            );
        }
    }

    fn step(&mut self, event: Event) {
        for effect in self.session.step(self.now(), event) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Listen { scope } => {
                self.app.hub.listen(self.id, &scope);
                if !self.listening.contains(&scope) {
                    self.listening.push(scope);
                }
            }
            Effect::Unlisten { scope } => {
                self.app.hub.unlisten(self.id, &scope);
                self.served.ahead.forget();
                self.listening.retain(|s| *s != scope);
                self.opening.retain(|(s, _)| *s != scope);
            }
            Effect::Close { code, reason } => {
                tracing::debug!(code, reason, "connection closes");
                self.close.get_or_insert((code, reason, clock::steady() + LAST));
            }
            Effect::CheckUser { n, token } if token.is_empty() => {
                // Signing out is answered at once: nothing may be sent in between.
                self.served.user = None;
                self.served.ahead.forget();
                self.step(Event::User {
                    n,
                    verdict: Err(vitrine_wire::ErrorCode::NotSignedIn),
                });
            }
            other => {
                if let Effect::Decide { scope, .. } = &other
                    && vitrine_sync::scope::is_patient(scope)
                    && self.opening.iter().all(|(s, _)| s != scope)
                {
                    self.opening.push((scope.clone(), clock::steady()));
                }
                self.spawn(Job::Effect(Box::new(other)));
            }
        }
    }

    /// Work that waits for the store goes on beside the connection; its answer comes back through the queue.
    fn spawn(&self, job: Job) {
        let (app, to, served) = (self.app.clone(), self.to_self.clone(), self.served.clone());
        let open: Vec<String> = match &job {
            Job::People => self
                .listening
                .iter()
                .filter(|s| vitrine_sync::scope::is_patient(s))
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        tokio::spawn(async move {
            let events = match job {
                Job::Effect(effect) => work::effect(&app, &served, *effect).await.into_iter().collect(),
                Job::People => work::people(&app, &served, &open).await,
                Job::Device => work::device(&app, &served).await.into_iter().collect(),
                Job::Grants => super::grants::revoked(&app, &served),
            };
            for event in events {
                let _ = to.send(Inside::Event(Box::new(event)));
            }
        });
    }
}

enum Job {
    Effect(Box<Effect>),
    People,
    Device,
    Grants,
}

/// Hands a message to the socket; it has room, because it was flushed before.
pub(super) async fn begin_send(socket: &mut WebSocket, message: Message) -> bool {
    let ready = std::future::poll_fn(|cx| socket.poll_ready_unpin(cx));
    match tokio::time::timeout(LAST, ready).await {
        Ok(Ok(())) => socket.start_send_unpin(message).is_ok(),
        _ => false,
    }
}

/// Waits for the socket: for room while flushing, and for a message while listening.
pub(super) async fn io(socket: &mut WebSocket, flushing: bool, listening: bool) -> Io {
    std::future::poll_fn(|cx| {
        if flushing && let Poll::Ready(done) = socket.poll_flush_unpin(cx) {
            return Poll::Ready(Io::Room(done.is_ok()));
        }
        if listening && let Poll::Ready(message) = socket.poll_next_unpin(cx) {
            return Poll::Ready(Io::Message(message.and_then(Result::ok)));
        }
        Poll::Pending
    })
    .await
}
