//! The workstation's end of the sync protocol.
//!
//! A driver feeds [`Client::step`] with what happened and carries out, in order, what comes back. The machine holds no
//! clinical data: what is held of a scope it asks of the [`CacheView`], which must show the state after every effect
//! given out by earlier steps.
//!
//! ```text
//! loop {
//!     let event = next of { socket, link ended, command, outbox changed, timer at client.wake_at() };
//!     for effect in client.step(now_ms, event, &view) { carry it out }     // answers go in as events
//! }
//! ```
//! Time is milliseconds of a clock that never goes back (not the wall clock).
//!
//! Lives here: the connection (this file, [`link`](self)), scopes, delta rules, anti-entropy, what is shown.
//! Never here: sockets, keys, the database. Called by `engine/link`.

mod api;
mod delta;
mod link;
mod repair;
mod shown;
mod sub;
mod validate;

pub use api::{
    Alarm, CacheView, Config, Effect, EntryDue, Event, GrantDue, GrantsWanted, Held, LinkState, ScopeStatus,
    Staged, Timing,
};
pub use validate::Violation;

use crate::backoff::{Backoff, Jitter};
use crate::credit::CreditFlow;
use crate::outbox::{Act, Upload};
use std::collections::{BTreeMap, BTreeSet};
use sub::{Ctx, Phase, ScopeState};
use vitrine_wire::frame::Assembler;
use vitrine_wire::message::{Ping, Unsub, UserAuth};

/// How often acknowledged rows are pruned, ms.
const PRUNE_MS: u64 = 3_600_000;

/// Where the connection is.
#[derive(Debug, Clone)]
enum Link {
    /// Not begun.
    Idle,
    /// Waiting to try again.
    Waiting { at: u64, refused: bool },
    /// A connection is being opened.
    Connecting { deadline: u64 },
    /// Open, the device is not yet accepted.
    Opened { deadline: u64, stage: Stage },
    /// The device is accepted.
    Up { since: u64 },
    /// An order to wipe is being carried out.
    Wiping { nonce: String },
    /// Destroyed.
    Wiped,
}

/// Steps of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// ClientHello sent.
    Hello,
    /// The device's key is signing.
    Signing,
    /// DeviceAuth sent.
    Auth,
}

/// What belongs to one connection.
#[derive(Debug, Clone)]
struct Wire {
    epoch: String,
    hello_ms: i64,
    parts: Assembler,
    credit: CreditFlow,
    last_rx: u64,
    last_ping: u64,
    ping_n: u64,
    /// The oldest unanswered ping.
    ping_out: Option<PingOut>,
    last_beat: u64,
    behind_ms: u64,
    last_progress: u64,
    next_n: u64,
    /// Newest subscription when a grant was last acknowledged.
    before_grant: u64,
    /// Scopes ever subscribed on this connection.
    ever: BTreeSet<String>,
    user: bool,
    upload: Option<Upload>,
    wipe: Option<String>,
}

/// A ping without an answer.
#[derive(Debug, Clone, Copy)]
struct PingOut {
    n: u64,
    at: u64,
    /// A beat came well after it without answering it: this end is heard no more. Without that a slow line may just
    /// have something large on the way.
    overtaken: bool,
}

impl Wire {
    /// When this end has to count as unheard, if nothing changes.
    fn unheard_at(&self, t: &Timing) -> u64 {
        let silent = self.last_rx.saturating_add(t.half_open_ms);
        match self.ping_out {
            Some(p) if p.overtaken => silent.min(p.at.saturating_add(t.ping_timeout_ms)),
            _ => silent,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Client {
    cfg: Config,
    jitter: Jitter,
    backoff: Backoff,
    link: Link,
    conn: u64,
    wire: Option<Wire>,
    ward: String,
    device_scopes: Vec<String>,
    /// Device scopes held but not allowed any more, dropped once the allowed ones are live.
    leaving: Vec<String>,
    token: Option<String>,
    scopes: BTreeMap<String, ScopeState>,
    known_epoch: Option<String>,
    shown_link: Option<LinkState>,
    now: u64,
    pruned_at: Option<u64>,
}

impl Client {
    /// A machine that has not begun; the cache tells what is held.
    #[must_use]
    pub fn new(cfg: Config, view: &dyn CacheView) -> Self {
        let scopes = view
            .scopes()
            .into_iter()
            .filter(|s| crate::scope::Scope::parse(s).is_some_and(|s| !s.is_patient()))
            .map(|s| (s.clone(), ScopeState::new(s, view)))
            .collect();
        Self {
            jitter: Jitter::new(cfg.seed),
            backoff: Backoff::new(cfg.timing.backoff_base_ms, cfg.timing.backoff_cap_ms),
            link: Link::Idle,
            conn: 0,
            wire: None,
            ward: cfg.ward.clone(),
            device_scopes: Vec::new(),
            leaving: Vec::new(),
            token: None,
            scopes,
            known_epoch: cfg.known_epoch.clone(),
            shown_link: None,
            now: 0,
            pruned_at: None,
            cfg,
        }
    }

    /// Takes in what happened; gives out what to do, in order.
    pub fn step(&mut self, now_ms: u64, event: Event, view: &dyn CacheView) -> Vec<Effect> {
        let mut out = Vec::new();
        if matches!(self.link, Link::Wiped) {
            return out;
        }
        self.now = now_ms;
        // Only a bare tick may look into the cache for more than the event's own sake: after any other event there
        // may be store effects in `out` that the cache does not show yet.
        let bare = matches!(event, Event::Tick);
        match event {
            Event::Tick => {}
            Event::WantConnect => self.want_connect(now_ms),
            Event::Connected { conn } if conn == self.conn => self.connected(now_ms, &mut out),
            Event::Disconnected { conn } if conn == self.conn => self.disconnected(now_ms),
            Event::Received { conn, bytes } if conn == self.conn && self.wire.is_some() => {
                if let Err(v) = self.received(now_ms, &bytes, view, &mut out) {
                    self.violated(now_ms, v, &mut out);
                }
            }
            Event::Connected { .. } | Event::Disconnected { .. } | Event::Received { .. } => {}
            Event::Signed { signature, report } => self.signed(signature, report, &mut out),
            Event::SignedIn { token } => self.signed_in(token, &mut out),
            Event::SignedOut => self.signed_out(&mut out),
            Event::OpenPatient { patient } => self.open_patient(now_ms, &patient, view, &mut out),
            Event::ClosePatient { patient } => self.close_patient(&patient, &mut out),
            Event::StoreFailed { scope } => {
                let connected = self.wire.is_some();
                if let Some(s) = self.scopes.get_mut(&scope) {
                    s.store_failed(now_ms, &self.cfg.timing, connected);
                }
            }
            Event::OutboxChanged => self.with_upload(&mut out, Upload::changed),
            Event::OutboxHas {
                rows,
                head,
                oldest,
                grants,
                entries,
            } => {
                self.with_upload(&mut out, |u| u.has(rows, head, oldest, grants, entries));
            }
            Event::OutboxUnread => {
                let retry_at = now_ms.saturating_add(self.cfg.timing.entry_retry_ms);
                self.with_upload(&mut out, |u| u.unread(retry_at));
            }
            Event::WipeVerified { genuine } => self.wipe_verified(now_ms, genuine, &mut out),
            Event::Wiped { signature } => self.wiped(signature, &mut out),
        }
        self.tick(now_ms, &mut out);
        if bare && self.is_up() {
            self.tick_scopes(now_ms, view, &mut out);
        }
        self.show(now_ms, &mut out);
        out
    }

    /// Time of the next due [`Event::Tick`], `None` when nothing is due ever.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let t = &self.cfg.timing;
        let mut at = match &self.link {
            Link::Idle | Link::Wiped => return None,
            Link::Waiting { at, .. } => *at,
            Link::Connecting { deadline } | Link::Opened { deadline, .. } => *deadline,
            Link::Wiping { .. } | Link::Up { .. } => u64::MAX,
        };
        if let (Link::Up { since }, Some(w)) = (&self.link, &self.wire) {
            at = at.min(w.last_ping.saturating_add(t.ping_ms)).min(w.unheard_at(t));
            at = at.min(w.upload.as_ref().and_then(Upload::retry_at).unwrap_or(u64::MAX));
            for s in self.scopes.values() {
                if let Phase::Later(due) = s.phase {
                    at = at.min(due);
                }
                at = at.min(s.compare_wake().unwrap_or(u64::MAX));
            }
            // Moments at which only what is shown, or a judgement, changes: due while they lie ahead.
            let beat = [t.delayed_ms, t.stale_ms, t.offline_ms].map(|ms| w.last_beat.saturating_add(ms));
            let ahead = [
                w.last_progress.saturating_add(t.stall_ms),
                since.saturating_add(t.settled_ms),
            ];
            let next = beat.into_iter().chain(ahead).filter(|x| *x > self.now).min();
            at = at.min(next.unwrap_or(u64::MAX));
        }
        Some(at)
    }

    /// Whether every wanted scope is live, with nothing pending. For `sync --until-current`.
    #[must_use]
    pub fn is_current(&self) -> bool {
        matches!(self.link, Link::Up { .. }) && !self.device_scopes.is_empty() && self.all_live()
    }

    /// Charts count only while the user's session is accepted here: until then they are not asked for.
    fn all_live(&self) -> bool {
        let user = self.wire.as_ref().is_some_and(|w| w.user);
        let wanted = |s: &&ScopeState| !s.patient || user;
        self.scopes
            .values()
            .filter(wanted)
            .all(|s| s.is_live() || matches!(s.phase, Phase::Refused(_)))
    }

    /// A scope's state as last given out.
    #[must_use]
    pub fn status(&self, scope: &str) -> Option<ScopeStatus> {
        let s = self.scopes.get(scope)?;
        s.shown.clone().map(|shown| ScopeStatus {
            as_of_ms: s.as_of,
            ..shown
        })
    }

    /// The epoch of the server on this connection.
    #[must_use]
    pub fn epoch(&self) -> Option<&str> {
        self.wire
            .as_ref()
            .map(|w| w.epoch.as_str())
            .filter(|e| !e.is_empty())
    }

    fn want_connect(&mut self, now: u64) {
        if let Link::Idle | Link::Waiting { .. } = self.link {
            self.link = Link::Waiting {
                at: now,
                refused: false,
            };
        }
    }

    fn tick(&mut self, now: u64, out: &mut Vec<Effect>) {
        match self.link {
            Link::Waiting { at, .. } if at <= now => {
                self.conn = self.conn.saturating_add(1);
                self.link = Link::Connecting {
                    deadline: now.saturating_add(self.cfg.timing.connect_ms),
                };
                out.push(Effect::Connect {
                    conn: self.conn,
                    timeout_ms: self.cfg.timing.connect_ms,
                });
            }
            Link::Connecting { deadline } | Link::Opened { deadline, .. } if deadline <= now => {
                self.give_up(now, 1001, out);
            }
            Link::Up { since } => self.tick_up(now, since, out),
            _ => {}
        }
        if self.pruned_at.is_none_or(|at| now.saturating_sub(at) >= PRUNE_MS) {
            self.pruned_at = Some(now);
            out.push(Effect::PruneOutbox {
                acked_for_ms: self.cfg.timing.keep_acked_ms,
            });
        }
    }

    fn tick_up(&mut self, now: u64, since: u64, out: &mut Vec<Effect>) {
        let t = self.cfg.timing;
        let all_live = self.all_live();
        let waits = self.scopes.values().any(ScopeState::waits);
        let Some(w) = &mut self.wire else { return };
        if !waits && !w.upload.as_ref().is_some_and(Upload::waits) {
            w.last_progress = now;
        }
        let stalled = now.saturating_sub(w.last_progress) >= t.stall_ms;
        if w.unheard_at(&t) <= now || stalled {
            self.give_up(now, 1001, out);
            return;
        }
        let again = w
            .upload
            .as_mut()
            .map(|u| u.retry(now, t.entry_retry_ms))
            .unwrap_or_default();
        if now.saturating_sub(since) >= t.settled_ms {
            self.backoff.reset();
        }
        if now.saturating_sub(w.last_ping) >= t.ping_ms {
            w.ping_n = w.ping_n.saturating_add(1);
            w.last_ping = now;
            w.ping_out = w.ping_out.or(Some(PingOut {
                n: w.ping_n,
                at: now,
                overtaken: false,
            }));
            sub::send(out, self.conn, &Ping { n: w.ping_n }.into());
        }
        if all_live {
            for scope in std::mem::take(&mut self.leaving) {
                out.push(Effect::DropScope { scope });
            }
        }
        self.outbox_acts(again, out);
    }

    /// Scopes that ask again or compare digests now.
    fn tick_scopes(&mut self, now: u64, view: &dyn CacheView, out: &mut Vec<Effect>) {
        let later = |s: &ScopeState| matches!(s.phase, Phase::Later(at) if at <= now);
        let compare = |s: &ScopeState| s.compare_wake().is_some_and(|at| at <= now);
        let due: Vec<String> = self
            .scopes
            .values()
            .filter(|s| later(s) || compare(s))
            .map(|s| s.name.clone())
            .collect();
        for name in due {
            self.with_scope(now, view, out, &name, |s, cx| {
                if matches!(s.phase, Phase::Later(_)) {
                    s.subscribe(cx, false);
                } else {
                    s.compare_tick(cx);
                }
            });
        }
    }

    /// Runs something on one scope with all it needs.
    fn with_scope<R>(
        &mut self,
        now: u64,
        view: &dyn CacheView,
        out: &mut Vec<Effect>,
        name: &str,
        f: impl FnOnce(&mut ScopeState, &mut Ctx<'_>) -> R,
    ) -> Option<R> {
        let (s, w) = (self.scopes.get_mut(name)?, self.wire.as_mut()?);
        let mut cx = Ctx {
            view,
            out,
            conn: self.conn,
            epoch: &w.epoch,
            hello_ms: w.hello_ms,
            now,
            next_n: &mut w.next_n,
            before_grant: w.before_grant,
            jitter: &mut self.jitter,
            timing: &self.cfg.timing,
        };
        Some(f(s, &mut cx))
    }

    fn subscribe(&mut self, now: u64, view: &dyn CacheView, out: &mut Vec<Effect>, name: &str) {
        if let Some(w) = &mut self.wire {
            w.ever.insert(name.to_owned());
        }
        self.with_scope(now, view, out, name, |s, cx| s.subscribe(cx, false));
    }

    fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    fn signed_in(&mut self, token: String, out: &mut Vec<Effect>) {
        if self.token.is_some() {
            self.signed_out(out);
        }
        self.token = Some(token.clone());
        if self.is_up() {
            sub::send(out, self.conn, &UserAuth { token }.into());
        }
    }

    fn signed_out(&mut self, out: &mut Vec<Effect>) {
        self.token = None;
        if self.is_up() {
            sub::send(out, self.conn, &UserAuth { token: String::new() }.into());
        }
        if let Some(w) = &mut self.wire {
            w.user = false;
        }
        self.scopes.retain(|_, s| !s.patient);
    }

    fn open_patient(&mut self, now: u64, patient: &str, view: &dyn CacheView, out: &mut Vec<Effect>) {
        let name = format!("pat:{patient}");
        if crate::scope::Scope::parse(&name).is_none() {
            return;
        }
        let s = self
            .scopes
            .entry(name.clone())
            .or_insert_with(|| ScopeState::new(name.clone(), view));
        let fresh = matches!(s.phase, Phase::Idle | Phase::Refused(_));
        if fresh && self.is_up() && self.wire.as_ref().is_some_and(|w| w.user) {
            self.subscribe(now, view, out, &name);
        }
    }

    fn close_patient(&mut self, patient: &str, out: &mut Vec<Effect>) {
        let name = format!("pat:{patient}");
        let Some(s) = self.scopes.remove(&name) else {
            return;
        };
        if self.is_up() && !matches!(s.phase, Phase::Idle) {
            sub::send(out, self.conn, &Unsub { scope: name }.into());
        }
    }

    fn with_upload(&mut self, out: &mut Vec<Effect>, f: impl FnOnce(&mut Upload) -> Vec<Act>) {
        if let Some(u) = self.wire.as_mut().and_then(|w| w.upload.as_mut()) {
            let acts = f(u);
            self.outbox_acts(acts, out);
        }
    }

    fn outbox_acts(&mut self, acts: Vec<Act>, out: &mut Vec<Effect>) {
        for act in acts {
            match act {
                Act::Read { after, grants } => out.push(Effect::ReadOutbox {
                    after,
                    max_rows: crate::outbox::ROWS_MAX,
                    max_bytes: crate::outbox::BYTES_MAX,
                    grants,
                }),
                Act::Send(m) => sub::send(out, self.conn, &m),
                Act::RowsAcked(up_to) => out.push(Effect::MarkRowsAcked { up_to }),
                Act::GrantAcked(id, rev) => out.push(Effect::MarkGrantAcked { id, rev }),
                Act::EntrySent(id) => out.push(Effect::NoteEntrySent { id }),
                Act::EntryAnswered(id, outcome) => out.push(Effect::MarkEntry { id, outcome }),
                Act::EpochDone => {
                    if let Some(w) = &self.wire {
                        self.known_epoch = Some(w.epoch.clone());
                        out.push(Effect::NoteEpoch {
                            epoch: w.epoch.clone(),
                        });
                    }
                }
                Act::Alarm(alarm) => out.push(Effect::Alarm(alarm)),
            }
        }
    }
}
