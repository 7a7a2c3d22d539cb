//! The server's end of one connection.
//!
//! A driver feeds [`Session::step`] with what happened, carries the effects out, gives live frames to
//! [`Session::deliver`] and sends what [`Session::poll_send`] gives whenever the socket has room:
//!
//! ```text
//! loop {
//!     while socket has room, let Some(bytes) = session.poll_send(now) { send }      then step(CanSend)
//!     wait for: a message, a frame of the hub, an answer, session.wake_at()
//! }
//! ```
//! A scope goes Deciding → CatchingUp (rows after what the client has) → Live, or Deciding → Snapshot → Ended, after
//! which the client subscribes anew from the snapshot's position. While it catches up, frames of the hub are only
//! noted: it is live once it has read as far as the newest of them. Positions make anything told twice harmless.
//!
//! Lives here: handshake, subscriptions, beats, limits on what a client may ask. Never here: sockets, policy, the
//! store. Called by `server/ws`, one per connection; an idle one takes about a kilobyte.

mod answers;
mod api;
mod asked;

pub use api::{AuditVerdict, DeviceVerdict, Effect, Event, PageRead, RowsRead};

use crate::fanout::ScopeFrame;
use crate::lanes::Lanes;
use crate::scope::Scope;
use bytes::Bytes;
use std::sync::Arc;
use vitrine_wire::ErrorCode;
use vitrine_wire::frame::{Assembler, Lane, PROTOCOL};
use vitrine_wire::message::{
    Beat, ClientHello, ClientMessage, Dirty, GrantAck, Overload, Reject, ServerHello, ServerMessage,
    UserWelcome, Welcome, Wipe,
};

/// A beat of its own every so often, ms.
pub const BEAT_MS: u64 = 5_000;
/// A handshake may take so long, ms.
const HANDSHAKE_MS: u64 = 10_000;
/// A client that sends nothing for so long is gone (it pings every 3 s), ms.
const SILENT_MS: u64 = 15_000;
/// Most scopes of one connection.
const SCOPES_MAX: usize = 64;
/// Most reads under way for one connection.
const READS_MAX: usize = 64;

/// Where the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Hello,
    Auth,
    Verifying,
    Ready,
    /// Ordered to wipe: nothing but the answer is heard.
    Wiping,
    Closed,
}

/// Where a subscription is.
#[derive(Debug, Clone)]
enum SubStage {
    Deciding(Box<Wanted>),
    CatchingUp {
        /// `Resumed` was said.
        told: bool,
    },
    Snapshot(Box<Snapshot>),
    /// The snapshot is sent; the client subscribes anew.
    Ended,
    Live,
    /// Dropped for overflow; the client was told.
    Dirty,
}

/// What the client has, from its `Sub`.
#[derive(Debug, Clone, Default)]
struct Wanted {
    have: Option<u64>,
    resume: Option<(u64, String)>,
}

#[derive(Debug, Clone)]
struct Snapshot {
    begun: Option<u64>,
    resume: Option<u64>,
    after: Option<String>,
    reading: bool,
}

#[derive(Debug, Clone)]
struct Sub {
    scope: Arc<str>,
    rank: u8,
    patient: bool,
    n: u64,
    stage: SubStage,
    /// Everything up to here was queued.
    sent: u64,
    /// Newest frame of the hub seen while catching up.
    hub: u64,
    /// A read of rows is due once the lane has drained.
    more: bool,
    /// The client's digest, waiting for the server's.
    digest: Option<Box<str>>,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    epoch: Arc<str>,
    nonce: Box<str>,
    device: Box<str>,
    app: Box<str>,
    scopes: Vec<String>,
    user: Option<Box<str>>,
    user_n: u64,
    subs: Vec<Sub>,
    lanes: Lanes,
    parts: Assembler,
    reads: usize,
    since: u64,
    last_rx: u64,
    last_beat: u64,
    fed: u64,
    hub_behind_ms: u64,
    /// Scopes so far apart from ours that their next subscription gets a snapshot, whatever the client has.
    distrusted: Vec<Arc<str>>,
}

/// Server time as told to clients: wall clock in ms, given by the driver beside the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Steady clock, ms.
    pub ms: u64,
    /// Wall clock, ms since 1970.
    pub wall_ms: i64,
}

impl Session {
    /// A connection just opened.
    ///
    /// `nonce_hex` is 32 random bytes as hex, `pos` the newest position of the feed.
    #[must_use]
    pub fn new(now: Now, epoch: Arc<str>, nonce_hex: String, pos: u64) -> Self {
        Self {
            stage: Stage::Hello,
            epoch,
            nonce: nonce_hex.into(),
            device: "".into(),
            app: "".into(),
            scopes: Vec::new(),
            user: None,
            user_n: 0,
            subs: Vec::new(),
            lanes: Lanes::default(),
            parts: Assembler::default(),
            reads: 0,
            since: now.ms,
            last_rx: now.ms,
            last_beat: now.ms,
            fed: pos,
            hub_behind_ms: 0,
            distrusted: Vec::new(),
        }
    }

    /// The same with other bounds of its lanes.
    #[must_use]
    pub fn with_limits(mut self, limits: crate::lanes::Limits) -> Self {
        self.lanes = Lanes::new(limits);
        self
    }

    /// Takes in what happened; gives out what to do, in order.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        if self.stage == Stage::Closed {
            return out;
        }
        match event {
            Event::Received(bytes) => self.received(now, &bytes, &mut out),
            Event::Tick => self.tick(now, &mut out),
            Event::CanSend => {}
            Event::Device(verdict) => self.device(now, verdict, &mut out),
            Event::User { n, verdict } => self.user(n, verdict, &mut out),
            Event::UserEnded(code) => self.user_ended(code, &mut out),
            Event::DeviceRevoked { nonce, signature } => self.order_wipe(now, nonce, signature, &mut out),
            Event::Withdrawn { scope, code } => self.withdraw(&scope, code, &mut out),
            Event::Overload { retry_after_ms } => {
                self.say(Overload { retry_after_ms }, &mut out);
                self.close(1013, "overload", &mut out);
            }
            Event::GrantStored { id, rev } => {
                let (rev, ended) = (Some(rev), None);
                self.say(GrantAck { id, rev, ended }, &mut out);
            }
            Event::GrantEnded { id, end } => {
                // A client that does not know the field takes it for an acknowledgement of the grant alone, which it is.
                let (rev, ended) = (Some(0), Some(end));
                if self.stage == Stage::Ready {
                    self.say(GrantAck { id, rev, ended }, &mut out);
                }
            }
            Event::EntryStored { id, outcome } => {
                self.say(vitrine_wire::message::EntryAck { id, outcome }, &mut out);
            }
            Event::AuditStored(verdict) => self.audit_stored(verdict, &mut out),
            answer => self.answer(now, answer, &mut out),
        }
        self.pump(&mut out);
        out
    }

    /// A live frame of the hub. True when there is now something to send.
    pub fn deliver(&mut self, now: Now, frame: &Arc<ScopeFrame>) -> bool {
        let Some(sub) = self.subs.iter_mut().find(|s| *s.scope == *frame.scope) else {
            return false;
        };
        match sub.stage {
            SubStage::CatchingUp { .. } => sub.hub = sub.hub.max(frame.pos),
            SubStage::Live if frame.pos > sub.sent => {
                sub.sent = frame.pos;
                let dropped = self.lanes.delta(frame, now.ms);
                self.overflowed(&dropped);
                return true;
            }
            _ => {}
        }
        false
    }

    /// The hub has given every frame up to `pos` to its sessions, that long after the newest was committed.
    pub fn fed(&mut self, pos: u64, behind_ms: u64) {
        self.fed = self.fed.max(pos);
        self.hub_behind_ms = behind_ms;
    }

    /// The next message to send.
    pub fn poll_send(&mut self, now: Now) -> Option<Bytes> {
        if self.stage == Stage::Ready && now.ms.saturating_sub(self.last_beat) >= BEAT_MS {
            self.beat(now, 0, &mut Vec::new());
        }
        self.lanes.pop()
    }

    /// True when [`Self::poll_send`] has something.
    #[must_use]
    pub fn wants_send(&self) -> bool {
        !self.lanes.is_idle()
    }

    /// Frames waiting, for metrics.
    #[must_use]
    pub fn waiting(&self, lane: Lane) -> usize {
        self.lanes.waiting(lane)
    }

    /// Time of the next due [`Event::Tick`], ms of the steady clock.
    #[must_use]
    pub fn wake_at(&self) -> u64 {
        match self.stage {
            Stage::Ready => self
                .last_beat
                .saturating_add(BEAT_MS)
                .min(self.last_rx.saturating_add(SILENT_MS)),
            Stage::Hello | Stage::Auth | Stage::Verifying | Stage::Wiping => {
                self.since.saturating_add(HANDSHAKE_MS)
            }
            Stage::Closed => u64::MAX,
        }
    }

    /// The device, once it is accepted.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        (self.stage == Stage::Ready).then_some(&*self.device)
    }

    /// Whether every subscription is live, for tests and metrics.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Ready && self.subs.iter().all(|s| matches!(s.stage, SubStage::Live))
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        match self.stage {
            Stage::Ready => {
                if now.ms.saturating_sub(self.last_rx) >= SILENT_MS {
                    self.close(1001, "nothing heard", out);
                } else if now.ms.saturating_sub(self.last_beat) >= BEAT_MS {
                    self.beat(now, 0, out);
                }
            }
            Stage::Closed => {}
            _ if now.ms.saturating_sub(self.since) >= HANDSHAKE_MS => {
                self.close(1008, "handshake took too long", out)
            }
            _ => {}
        }
    }

    fn beat(&mut self, now: Now, n: u64, out: &mut Vec<Effect>) {
        self.last_beat = now.ms;
        let waits = self.lanes.oldest_ms().map_or(0, |at| now.ms.saturating_sub(at));
        let pos = self.lanes.floor().map_or(self.fed, |f| f.min(self.fed));
        let behind_ms = self.hub_behind_ms.saturating_add(waits);
        self.say(
            Beat {
                pos,
                server_time_ms: now.wall_ms,
                behind_ms,
                n,
            },
            out,
        );
    }

    /// Puts a message into the control lane.
    fn say(&mut self, m: impl Into<ServerMessage>, out: &mut Vec<Effect>) {
        if let Some(bytes) = encode(&m.into())
            && self.lanes.control(bytes).is_err()
        {
            self.close(1013, "control lane full", out);
        }
    }

    fn close(&mut self, code: u16, reason: &'static str, out: &mut Vec<Effect>) {
        if self.stage != Stage::Closed {
            self.stage = Stage::Closed;
            for s in self.subs.drain(..) {
                out.push(Effect::Unlisten {
                    scope: s.scope.as_ref().to_owned(),
                });
            }
            out.push(Effect::Close { code, reason });
        }
    }

    fn hello(&mut self, now: Now, m: ClientHello, out: &mut Vec<Effect>) {
        if m.min > PROTOCOL || m.max < PROTOCOL {
            let text = "this server speaks protocol 1: install a program that does".to_owned();
            self.say(
                Reject {
                    scope: String::new(),
                    n: 0,
                    code: ErrorCode::ProtocolMismatch,
                    text,
                },
                out,
            );
            self.close(1008, "protocol mismatch", out);
            return;
        }
        if vitrine_clinical::DeviceId::new(m.device.as_str()).is_err() || m.app.len() > 100 {
            self.close(1002, "malformed hello", out);
            return;
        }
        self.device = m.device.into();
        self.app = m.app.into();
        self.stage = Stage::Auth;
        let hello = ServerHello {
            protocol: PROTOCOL,
            epoch: self.epoch.as_ref().to_owned(),
            pos: self.fed,
            server_time_ms: now.wall_ms,
            nonce: self.nonce.as_ref().to_owned(),
        };
        self.say(hello, out);
    }

    fn device(&mut self, now: Now, verdict: DeviceVerdict, out: &mut Vec<Effect>) {
        if self.stage != Stage::Verifying {
            return;
        }
        match verdict {
            DeviceVerdict::Active {
                ward,
                scopes,
                audit_seq,
                training,
                layouts,
                offline_days,
                ways,
            } => {
                self.stage = Stage::Ready;
                self.scopes.clone_from(&scopes);
                self.say(
                    Welcome {
                        ward,
                        scopes,
                        audit_seq,
                        training: Some(training),
                        layouts: Some(layouts.0.clone()),
                        layouts_signature: Some(layouts.1.clone()),
                        offline_days: Some(offline_days),
                        ways: Some(ways),
                    },
                    out,
                );
            }
            DeviceVerdict::Revoked { nonce, signature } => self.order_wipe(now, nonce, signature, out),
            DeviceVerdict::Refused => {
                let text = "this device is not enrolled here: enrol it".to_owned();
                self.say(
                    Reject {
                        scope: String::new(),
                        n: 0,
                        code: ErrorCode::NotEnrolled,
                        text,
                    },
                    out,
                );
                self.close(1008, "device refused", out);
            }
        }
    }

    fn order_wipe(&mut self, now: Now, nonce: String, signature: String, out: &mut Vec<Effect>) {
        for s in std::mem::take(&mut self.subs) {
            self.lanes.purge(&s.scope);
            out.push(Effect::Unlisten {
                scope: s.scope.as_ref().to_owned(),
            });
        }
        self.stage = Stage::Wiping;
        self.since = now.ms;
        self.say(Wipe { nonce, signature }, out);
    }

    fn user(&mut self, n: u64, verdict: Result<String, ErrorCode>, out: &mut Vec<Effect>) {
        if n != self.user_n {
            return;
        }
        match verdict {
            Ok(user) => {
                self.user = Some(user.as_str().into());
                self.say(UserWelcome { user }, out);
            }
            Err(code) => self.user_ended(code, out),
        }
    }

    fn user_ended(&mut self, code: ErrorCode, out: &mut Vec<Effect>) {
        self.drop_patients(out);
        let text = "the session is not valid: sign in again".to_owned();
        self.say(
            Reject {
                scope: "user".to_owned(),
                n: 0,
                code,
                text,
            },
            out,
        );
    }

    /// Nobody is signed in: patients' records stop at once, also what is queued of them.
    fn drop_patients(&mut self, out: &mut Vec<Effect>) {
        self.user = None;
        let (gone, kept) = std::mem::take(&mut self.subs)
            .into_iter()
            .partition(|s| s.patient);
        self.subs = kept;
        for s in gone as Vec<Sub> {
            self.lanes.purge(&s.scope);
            out.push(Effect::Unlisten {
                scope: s.scope.as_ref().to_owned(),
            });
        }
    }

    fn withdraw(&mut self, scope: &str, code: ErrorCode, out: &mut Vec<Effect>) {
        if let Some(i) = self.subs.iter().position(|s| &*s.scope == scope) {
            let sub = self.subs.swap_remove(i);
            self.lanes.purge(scope);
            out.push(Effect::Unlisten {
                scope: scope.to_owned(),
            });
            self.refuse(scope, sub.n, code, out);
        }
    }

    fn refuse(&mut self, scope: &str, n: u64, code: ErrorCode, out: &mut Vec<Effect>) {
        let text = "not sent to this workstation".to_owned();
        self.say(
            Reject {
                scope: scope.to_owned(),
                n,
                code,
                text,
            },
            out,
        );
    }

    /// These scopes lost their queue.
    fn overflowed(&mut self, dropped: &[Arc<str>]) {
        let mut told = Vec::new();
        for sub in &mut self.subs {
            if dropped.contains(&sub.scope) {
                sub.stage = SubStage::Dirty;
                told.push(Dirty {
                    scope: sub.scope.as_ref().to_owned(),
                    n: sub.n,
                });
            }
        }
        for m in told {
            // A full control lane shows at the next step, which closes the connection.
            if let Some(bytes) = encode(&m.into()) {
                let _ = self.lanes.control(bytes);
            }
        }
    }

    /// Starts the reads that are due: rows where the lane has drained, a page of the most urgent snapshot.
    fn pump(&mut self, out: &mut Vec<Effect>) {
        if self.stage != Stage::Ready {
            return;
        }
        for sub in &mut self.subs {
            let lane = if sub.patient {
                Lane::Patient
            } else {
                Lane::Essentials
            };
            if sub.more && self.lanes.waiting(lane) < 4 {
                sub.more = false;
                self.reads = self.reads.saturating_add(1);
                out.push(Effect::ReadSince {
                    scope: sub.scope.as_ref().to_owned(),
                    n: sub.n,
                    pos: sub.sent,
                });
            }
        }
        if !self.lanes.wants_bulk() {
            return;
        }
        let reading = |s: &Sub| matches!(&s.stage, SubStage::Snapshot(p) if p.reading);
        if self.subs.iter().any(reading) {
            return;
        }
        let next = self
            .subs
            .iter_mut()
            .filter(|s| matches!(s.stage, SubStage::Snapshot(_)))
            .min_by_key(|s| s.rank);
        if let Some(sub) = next
            && let SubStage::Snapshot(p) = &mut sub.stage
        {
            p.reading = true;
            self.reads = self.reads.saturating_add(1);
            out.push(Effect::ReadPage {
                scope: sub.scope.as_ref().to_owned(),
                n: sub.n,
                after: p.after.clone(),
            });
        }
    }

    fn find(&mut self, scope: &str, n: u64) -> Option<&mut Sub> {
        self.subs.iter_mut().find(|s| &*s.scope == scope && s.n == n)
    }

    fn may_have(&self, scope: &Scope, name: &str) -> Result<(), ErrorCode> {
        if scope.is_patient() {
            return if self.user.is_some() {
                Ok(())
            } else {
                Err(ErrorCode::NotSignedIn)
            };
        }
        if self.scopes.iter().any(|s| s == name) {
            Ok(())
        } else {
            Err(ErrorCode::Denied)
        }
    }

    fn received(&mut self, now: Now, bytes: &[u8], out: &mut Vec<Effect>) {
        self.last_rx = now.ms;
        let frame = match self.parts.take(bytes) {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(_) => return self.close(1002, "unreadable frame", out),
        };
        let Ok(m) = ClientMessage::read(&frame) else {
            return self.close(1002, "unreadable message", out);
        };
        match (&self.stage, m) {
            (Stage::Hello, ClientMessage::ClientHello(m)) => self.hello(now, m, out),
            (Stage::Auth, ClientMessage::DeviceAuth(m)) => {
                self.stage = Stage::Verifying;
                out.push(Effect::VerifyDevice {
                    device: self.device.as_ref().to_owned(),
                    message: crate::proof::device_auth(&self.nonce, &self.device),
                    signature: m.signature,
                    report: m.report,
                    app: self.app.as_ref().to_owned(),
                });
            }
            (Stage::Wiping, ClientMessage::WipeDone(m)) => {
                out.push(Effect::WipeDone {
                    nonce: m.nonce,
                    signature: m.signature,
                });
                self.close(1000, "wiped", out);
            }
            // What was under way when the order was given.
            (Stage::Wiping, _) => {}
            (Stage::Ready, m) => self.asked(now, m, out),
            _ => self.close(1002, "message out of turn", out),
        }
    }
}

fn encode(m: &ServerMessage) -> Option<Bytes> {
    m.frame().ok().and_then(|f| f.encode().ok())
}
