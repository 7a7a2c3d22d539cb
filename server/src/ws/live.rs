//! `/ws/live?ward=…`: the stream of live vital signs to a wall (`vitrine_wire::live`).
//!
//! Lives here: one connection, when what is sent. Never here: the values (`live`). Called by the router.
//!
//! A message is made when the socket has taken the one before, from what is known then: a slow line gets fewer messages, never
//! older ones. How old it is on arrival, the workstation finds out by its questions. Whether the person may still see the ward,
//! and whose record of it they may open, is asked again every few seconds; each connection has its own audit row. The monitor of
//! who may not be opened (a label of the record, ADR 44) is not sent, and nothing tells that there is one.

use super::session::{Io, begin_send, io};
use crate::app::{App, NoAccess};
use crate::clock;
use crate::http::bearer::Signed;
use crate::http::fhir::Query;
use crate::http::refusal::Refused;
use crate::identity::sessions::{self, Caller};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vitrine_access::action::{ReadChart, ViewBoard};
use vitrine_access::{Action as _, Disclosure, policy};
use vitrine_clinical::{PatientId, WardId};
use vitrine_wire::ErrorCode;
use vitrine_wire::live::{LIVE_STEP_MS, LiveAsk, LivePatient, LiveTold};

/// Longest message taken.
const ASK_MOST: usize = 256;
/// How often it is asked whether the person may still see the ward.
const AGAIN: Duration = Duration::from_secs(5);
/// A peer that takes nothing, or asks nothing, for so long is gone.
const SILENT: Duration = Duration::from_secs(20);
/// Shortest time between two messages.
const STEP: Duration = Duration::from_millis(LIVE_STEP_MS);
/// Shortest time between two answers.
const ANSWER: Duration = Duration::from_millis(500);
/// Not to this person.
const DENIED: u16 = 4403;
/// Signed out.
const SIGNED_OUT: u16 = 4401;
/// Asked for something that cannot be read, or too much.
const TOO_MUCH: u16 = 1008;
/// The server goes; another, or this one again, will be there.
const GOING: u16 = 1012;

/// Opens the connection.
///
/// # Errors
/// [`Refused`].
pub async fn upgrade(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let asked = Query::parse(uri.query().unwrap_or_default());
    let ward = asked.0.into_iter().find(|(k, _)| k == "ward").map(|(_, v)| v);
    let ward = ward.and_then(|w| WardId::new(w).ok());
    let ward = ward.ok_or_else(|| bad("Name the ward: /ws/live?ward=ICU."))?;
    let upgrade = upgrade.map_err(|_| bad("This address takes WebSocket connections."))?;
    Ok(upgrade
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 24)
        .max_message_size(ASK_MOST)
        .max_frame_size(ASK_MOST)
        .on_upgrade(move |socket| drive(app, caller, ward, socket)))
}

struct Wall {
    app: Arc<App>,
    caller: Caller,
    ward: WardId,
    /// The newest change that was sent; `None` = nothing was.
    seen: Option<u64>,
    sent: Option<Instant>,
    /// The newest question that waits for its answer.
    asked: Option<u64>,
    answered: Option<Instant>,
    /// Step of the trends that were sent last.
    step: Option<u64>,
    /// Whether the person may open the record of each patient with a monitor, as last asked.
    opens: BTreeMap<String, bool>,
    /// Whose values were sent.
    told: BTreeSet<String>,
    close: Option<(u16, &'static str)>,
}

async fn drive(app: Arc<App>, caller: Caller, ward: WardId, mut socket: WebSocket) {
    let mut changes = app.live.changes();
    let mut ended = app.ended.subscribe();
    let mut draining = app.draining.subscribe();
    let mut again = tokio::time::interval(AGAIN);
    let _shown = app.walls.enter();
    let mut wall = Wall {
        app: app.clone(),
        caller,
        ward,
        seen: None,
        sent: None,
        asked: None,
        answered: None,
        step: None,
        opens: BTreeMap::new(),
        told: BTreeSet::new(),
        close: None,
    };
    if let Err(told) = wall.permitted().await {
        wall.refuse(&mut socket, told).await;
        return;
    }
    let (mut flushing, mut since, mut heard) = (false, clock::steady(), clock::steady());
    loop {
        if !flushing {
            if let Some((code, reason)) = wall.close {
                let reason = reason.into();
                let _ = begin_send(&mut socket, Message::Close(Some(CloseFrame { code, reason }))).await;
                return;
            }
            if let Some(message) = wall.next().await {
                if !begin_send(&mut socket, message).await {
                    return;
                }
                (flushing, since) = (true, clock::steady());
            }
        }
        let due = wall.due(changes.has_changed().unwrap_or(false));
        tokio::select! {
            io = io(&mut socket, flushing, wall.close.is_none()) => match io {
                Io::Room(true) => flushing = false,
                Io::Room(false) | Io::Message(None | Some(Message::Close(_) | Message::Binary(_))) => return,
                Io::Message(Some(Message::Text(text))) => {
                    heard = clock::steady();
                    wall.hear(text.as_str());
                }
                Io::Message(Some(Message::Ping(_) | Message::Pong(_))) => {}
            },
            Ok(()) = changes.changed() => {}
            () = tokio::time::sleep(due), if !flushing => {}
            () = tokio::time::sleep(wall.app.live.until_step()), if !flushing => {}
            _ = again.tick() => {
                if flushing && since.elapsed() > SILENT || heard.elapsed() > SILENT {
                    return;
                }
                if let Some(told) = wall.check().await {
                    wall.refuse(&mut socket, told).await;
                    return;
                }
            }
            said = ended.recv() => {
                if super::concerns(said, &wall.caller.session)
                    && let Some(told) = wall.check().await
                {
                    wall.refuse(&mut socket, told).await;
                    return;
                }
            }
            Ok(()) = draining.changed() => wall.close = Some((GOING, "the server is stopping")),
        }
    }
}

impl Wall {
    /// Whether this person may see the ward now, with the access's audit row.
    async fn permitted(&self) -> Result<(), LiveTold> {
        let failed = |code, text: &str| LiveTold::Refused {
            code,
            text: text.to_owned(),
        };
        let unwritten = |_| {
            let text = "The server cannot write down who looks: nothing is shown until it can.";
            failed(ErrorCode::AuditFailed, text)
        };
        let request = self.app.request(&self.caller, None, None).await;
        let mut request = request.map_err(unwritten)?;
        request.ward = Some(self.ward.clone());
        let permit = match self.app.decide::<ViewBoard>(request).await {
            Ok(permit) => permit.noted("live", "vital signs"),
            Err(NoAccess::Denied(d)) => return Err(failed(ErrorCode::Denied, d.text)),
            Err(NoAccess::Store(e)) => return Err(unwritten(e)),
        };
        let permit = permit.noted("ward", self.ward.as_str());
        let row = self.app.store.append(permit.entry(Disclosure::default())).await;
        row.map(|_| ()).map_err(unwritten)
    }

    /// Asks again whether this person may see the ward; no row is written for a yes.
    async fn check(&mut self) -> Option<LiveTold> {
        match sessions::caller_of(&self.app, self.caller.session, false).await {
            Ok(Some(caller)) => self.caller = caller,
            Ok(None) => {
                self.close = Some((SIGNED_OUT, "signed out"));
                return None;
            }
            // The store cannot be asked: it goes on until it can.
            Err(_) => return None,
        }
        let mut request = self.app.request(&self.caller, None, None).await.ok()?;
        request.ward = Some(self.ward.clone());
        match self.app.decide::<ViewBoard>(request).await {
            Err(NoAccess::Denied(d)) => Some(LiveTold::Refused {
                code: ErrorCode::Denied,
                text: d.text.to_owned(),
            }),
            _ => {
                let asked: Vec<String> = self.opens.keys().cloned().collect();
                for patient in asked {
                    if let Some(opens) = self.may_open(&patient).await {
                        self.opens.insert(patient, opens);
                    }
                }
                None
            }
        }
    }

    /// Whether the person may open this record now; `None` = the store cannot be asked.
    async fn may_open(&self, patient: &str) -> Option<bool> {
        let patient = PatientId::new(patient).ok()?;
        let request = self.app.request(&self.caller, Some("Patient"), Some(&patient));
        Some(policy::verdict(ReadChart::NAME, &request.await.ok()?).allow)
    }

    /// The same as last asked; who was not asked about is. What cannot be found out is not shown.
    async fn opens(&mut self, patient: &str) -> bool {
        if let Some(opens) = self.opens.get(patient) {
            return *opens;
        }
        let opens = self.may_open(patient).await;
        if let Some(opens) = opens {
            self.opens.insert(patient.to_owned(), opens);
        }
        opens.unwrap_or(false)
    }

    /// What of it may be sent. Who was shown, and left or may not be opened any more, is sent without values.
    async fn shown(&mut self, changed: Vec<LivePatient>) -> Vec<LivePatient> {
        let mut out = Vec::new();
        for patient in changed {
            let shows = !patient.signals.is_empty() && self.opens(&patient.patient).await;
            if shows {
                self.told.insert(patient.patient.clone());
                out.push(patient);
            } else if patient.signals.is_empty() && self.told.remove(&patient.patient) {
                self.opens.remove(&patient.patient);
                out.push(patient);
            }
        }
        let withdrawn = self.told.iter().filter(|p| self.opens.get(*p) == Some(&false));
        let withdrawn: Vec<String> = withdrawn.cloned().collect();
        for patient in withdrawn {
            self.told.remove(&patient);
            out.push(LivePatient {
                patient,
                signals: Vec::new(),
            });
        }
        out
    }

    async fn refuse(&self, socket: &mut WebSocket, told: LiveTold) {
        let Some(message) = text(&told) else { return };
        let said = async {
            let close = Message::Close(Some(CloseFrame {
                code: DENIED,
                reason: "refused".into(),
            }));
            for message in [message, close] {
                if begin_send(socket, message).await {
                    let _ = io(socket, true, false).await;
                }
            }
        };
        let _ = tokio::time::timeout(SILENT, said).await;
    }

    fn hear(&mut self, text: &str) {
        match serde_json::from_str::<LiveAsk>(text) {
            Ok(ask) => self.asked = Some(ask.ask),
            Err(e) => {
                tracing::debug!(error = %e, "a question of a wall that cannot be read");
                self.close = Some((TOO_MUCH, "a question that cannot be read"));
            }
        }
    }

    /// Until there may be something to send.
    fn due(&self, changed: bool) -> Duration {
        let until = |at: Option<Instant>, gap: Duration| {
            at.map_or(Duration::ZERO, |t| gap.saturating_sub(t.elapsed()))
        };
        let mut due = Duration::from_secs(3600);
        if self.asked.is_some() {
            due = due.min(until(self.answered, ANSWER));
        }
        if changed || self.behind() {
            due = due.min(until(self.sent, STEP));
        }
        due
    }

    fn behind(&self) -> bool {
        self.seen
            .is_none_or(|seen| *self.app.live.changes().borrow() > seen)
    }

    async fn next(&mut self) -> Option<Message> {
        let passed = |at: Option<Instant>, gap| at.is_none_or(|t| t.elapsed() >= gap);
        let answers = self.asked.filter(|_| passed(self.answered, ANSWER));
        if answers.is_some() || self.behind() && passed(self.sent, STEP) {
            let (changed, seen) = self.app.live.since(&self.ward, self.seen.unwrap_or(0));
            let patients = self.shown(changed).await;
            let first = self.seen.replace(seen).is_none();
            let now = clock::steady();
            self.sent = Some(now);
            if answers.is_some() {
                (self.asked, self.answered) = (None, Some(now));
            }
            if first || answers.is_some() || !patients.is_empty() {
                let at = self.app.live.now();
                return text(&LiveTold::Now {
                    at,
                    answers,
                    patients,
                });
            }
        }
        let step = self.app.live.step();
        if self.step != Some(step) {
            self.step = Some(step);
            let (at, mut patients) = self.app.live.trends(&self.ward);
            for patient in &patients {
                self.opens(&patient.patient).await;
            }
            patients.retain(|t| self.opens.get(&t.patient) == Some(&true));
            let step_ms = vitrine_wire::live::TREND_STEP_MS;
            return text(&LiveTold::Trends {
                at,
                step_ms,
                patients,
            });
        }
        None
    }
}

fn text(told: &LiveTold) -> Option<Message> {
    serde_json::to_string(told).ok().map(|t| Message::Text(t.into()))
}
