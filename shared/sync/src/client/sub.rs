//! One scope of the client: from asking for it to live, and back.
//!
//! ```text
//! Idle → Asked(have) → Resumed → (deltas) → Current → Live ⇄ pending items      Dirty, patient gap → Asked(have)
//! Idle → Asked → Snapshot (staged, resumable) → SnapEnd → Asked(have)           revision still off → Asked(full)
//! ```
//! Lives here: the state and its subscribing and snapshots. Never here: the connection. The delta rules are in
//! [`super::delta`], anti-entropy in [`super::repair`]. Called by the client machine.

use super::api::{CacheView, Effect, Timing};
use super::validate::Violation;
use crate::backoff::{Backoff, Jitter};
use std::collections::BTreeMap;
use vitrine_wire::ErrorCode;
use vitrine_wire::message::{
    ClientMessage, Current, Have, NeedItems, Reject, Resume, Resumed, SnapBegin, SnapChunk, SnapEnd, Sub,
};

/// Most items that are repaired singly; with more the scope is fetched whole.
pub(super) const PENDING_MAX: usize = 2_000;
/// Most keys in one request.
const KEYS_MAX: usize = 500;

/// What a step of one scope may use.
pub(super) struct Ctx<'a> {
    pub view: &'a dyn CacheView,
    pub out: &'a mut Vec<Effect>,
    pub conn: u64,
    pub epoch: &'a str,
    pub hello_ms: i64,
    pub now: u64,
    pub next_n: &'a mut u64,
    /// Subscriptions up to this number were sent before the last grant was acknowledged.
    pub before_grant: u64,
    pub jitter: &'a mut Jitter,
    pub timing: &'a Timing,
}

impl Ctx<'_> {
    pub fn send(&mut self, m: impl Into<ClientMessage>) {
        send(self.out, self.conn, &m.into());
    }
}

/// Encodes a message into a send effect. Every message of a client is within a frame's limits by construction.
pub(super) fn send(out: &mut Vec<Effect>, conn: u64, m: &ClientMessage) {
    if let Some(bytes) = m.frame().ok().and_then(|f| f.encode().ok()) {
        out.push(Effect::Send { conn, bytes });
    }
}

/// Where a scope is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Not asked for on this connection.
    Idle,
    /// Asked again at that time, after the store failed or the server was too busy.
    Later(u64),
    /// Refused by the server.
    Refused(ErrorCode),
    /// Asked for; `full` = without what is held.
    Asked { full: bool },
    /// What was missed is coming in.
    CatchingUp,
    /// A snapshot is coming in.
    Snapshot(Snapshot),
    /// Current, deltas follow.
    Live,
}

#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub epoch: String,
    pub pos: u64,
    pub rev: u64,
    pub after: Option<String>,
    pub done: u64,
    pub total: u64,
    pub complete: bool,
}

/// A key whose item was asked for anew.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    /// Newest delta that was left out because it did not fit.
    pub skipped: u64,
    /// Newest delta that was applied meanwhile.
    pub touched: u64,
    pub asked: bool,
}

/// Anti-entropy of a scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Compare {
    /// When the next digest is due.
    pub due: Option<u64>,
    /// A digest was sent and is not answered.
    pub asked: bool,
    /// The server's buckets, to be judged once this end is as far.
    pub diff: Option<(u64, Vec<String>)>,
    /// References held here in the buckets that were asked for and not yet named by the server.
    pub unnamed: Option<BTreeMap<String, (u64, String)>>,
    /// Buckets that were asked for.
    pub buckets: Vec<u8>,
    /// Subscribe anew instead of comparing, when due.
    pub resubscribe: bool,
    /// Repairs in a row that did not make the digests equal.
    pub rounds: u8,
}

/// One scope.
#[derive(Debug, Clone)]
pub(super) struct ScopeState {
    pub name: String,
    pub patient: bool,
    pub phase: Phase,
    /// Number of the newest subscription.
    pub n: u64,
    pub held: bool,
    /// Epoch of the held state.
    pub held_epoch: String,
    /// Position noted in the cache.
    pub pos: u64,
    /// Position up to which the server has sent everything.
    pub seen: u64,
    pub rev: u64,
    pub as_of: Option<i64>,
    /// When it last was live with nothing pending (machine's clock).
    pub live_at: Option<u64>,
    pub pending: BTreeMap<String, Pending>,
    pub compare: Compare,
    /// In a `pat:` scope: newest revision of a delta that did not fit during catch-up.
    pub gap: u64,
    pub shown: Option<super::api::ScopeStatus>,
    /// Since the server was too busy for it, until a comparison went through again: all it asks the server for works.
    pub busy: Option<Backoff>,
}

impl ScopeState {
    pub fn new(name: String, view: &dyn CacheView) -> Self {
        let mut s = Self {
            patient: crate::scope::is_patient(&name),
            name,
            phase: Phase::Idle,
            n: 0,
            held: false,
            held_epoch: String::new(),
            pos: 0,
            seen: 0,
            rev: 0,
            as_of: None,
            live_at: None,
            pending: BTreeMap::new(),
            compare: Compare::default(),
            gap: 0,
            shown: None,
            busy: None,
        };
        s.look(view);
        s
    }

    /// Takes over what the cache holds.
    fn look(&mut self, view: &dyn CacheView) {
        let held = view.held(&self.name);
        self.held = held.is_some();
        if let Some(h) = held {
            (self.held_epoch, self.pos, self.seen, self.rev) = (h.epoch, h.pos, h.pos, h.rev);
            self.as_of = self.as_of.max(h.as_of_ms);
        } else {
            (self.held_epoch, self.pos, self.seen, self.rev) = (String::new(), 0, 0, 0);
        }
    }

    /// True when it is complete and follows the server.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live) && self.pending.is_empty()
    }

    /// True while something is due from the server.
    pub fn waits(&self) -> bool {
        match self.phase {
            Phase::Asked { .. } | Phase::CatchingUp | Phase::Snapshot(_) => true,
            Phase::Live => !self.pending.is_empty() || self.compare.asked || self.compare.unnamed.is_some(),
            Phase::Idle | Phase::Later(_) | Phase::Refused(_) => false,
        }
    }

    /// The connection is gone.
    pub fn cut(&mut self) {
        self.phase = Phase::Idle;
        self.pending.clear();
        self.compare = Compare::default();
        self.gap = 0;
    }

    /// Subscribes with what the cache holds; `full` = without it, because it is not to be trusted.
    pub fn subscribe(&mut self, cx: &mut Ctx<'_>, full: bool) {
        self.look(cx.view);
        let have = (self.held && !full).then(|| Have {
            epoch: self.held_epoch.clone(),
            pos: self.pos,
        });
        let resume = if full { None } else { cx.view.staged(&self.name) }.and_then(|s| {
            let after = s.after?;
            Some(Resume {
                epoch: s.epoch,
                pos: s.pos,
                after,
            })
        });
        self.ask(cx, have, resume);
    }

    fn ask(&mut self, cx: &mut Ctx<'_>, have: Option<Have>, resume: Option<Resume>) {
        self.pending.clear();
        self.compare = Compare::default();
        self.gap = 0;
        *cx.next_n = cx.next_n.saturating_add(1);
        self.n = *cx.next_n;
        self.phase = Phase::Asked { full: have.is_none() };
        cx.send(Sub {
            scope: self.name.clone(),
            n: self.n,
            have,
            resume,
        });
    }

    pub fn on_begin(&mut self, cx: &mut Ctx<'_>, m: SnapBegin) -> Result<(), Violation> {
        if m.n != self.n || !matches!(self.phase, Phase::Asked { .. } | Phase::CatchingUp) {
            return Ok(());
        }
        self.pending.clear();
        let mut snap = Snapshot {
            epoch: m.epoch,
            pos: m.pos,
            rev: if self.patient { m.rev } else { 0 },
            after: None,
            done: 0,
            total: m.total,
            complete: false,
        };
        if m.resumed {
            let staged = cx.view.staged(&self.name);
            let Some(s) = staged.filter(|s| s.epoch == snap.epoch && s.pos == snap.pos) else {
                return Err(Violation::Field {
                    kind: 68,
                    what: "it continues a snapshot that is not staged",
                });
            };
            (snap.rev, snap.after, snap.done) = (s.rev, s.after, s.items);
        } else {
            cx.out.push(Effect::BeginSnapshot {
                scope: self.name.clone(),
                epoch: snap.epoch.clone(),
                pos: snap.pos,
                rev: snap.rev,
            });
        }
        self.phase = Phase::Snapshot(snap);
        Ok(())
    }

    pub fn on_chunk(&mut self, cx: &mut Ctx<'_>, m: SnapChunk) -> Result<(), Violation> {
        let Phase::Snapshot(snap) = &mut self.phase else {
            return Ok(());
        };
        if snap.complete {
            return Err(Violation::Field {
                kind: 69,
                what: "it comes after the last one",
            });
        }
        if let (Some(first), Some(after)) = (m.items.first(), &snap.after)
            && first.key <= *after
        {
            return Err(Violation::Field {
                kind: 69,
                what: "keys are not in order",
            });
        }
        snap.complete = m.next_after.is_none();
        snap.done = snap.done.saturating_add(m.items.len() as u64);
        if let Some(last) = m.items.last() {
            snap.after = Some(last.key.clone());
            cx.out.push(Effect::StageChunk {
                scope: self.name.clone(),
                items: m.items,
            });
        }
        Ok(())
    }

    pub fn on_end(&mut self, cx: &mut Ctx<'_>, m: &SnapEnd) -> Result<(), Violation> {
        let Phase::Snapshot(snap) = &self.phase else {
            return Ok(());
        };
        if m.n != self.n {
            return Ok(());
        }
        if !snap.complete || snap.pos != m.pos || snap.epoch != m.epoch {
            return Err(Violation::Field {
                kind: 70,
                what: "it ends another snapshot than began",
            });
        }
        let (epoch, pos, rev) = (snap.epoch.clone(), snap.pos, snap.rev);
        let scope = self.name.clone();
        cx.out.push(Effect::CommitSnapshot {
            scope,
            epoch: epoch.clone(),
            pos,
            rev,
        });
        (self.held, self.held_epoch, self.pos, self.seen, self.rev) = (true, epoch.clone(), pos, pos, rev);
        self.ask(cx, Some(Have { epoch, pos }), None);
        Ok(())
    }

    /// From here on deltas belong to this subscription.
    pub fn on_resumed(&mut self, cx: &mut Ctx<'_>, m: &Resumed) -> Result<(), Violation> {
        if m.n != self.n {
            return Ok(());
        }
        let fits = matches!(self.phase, Phase::Asked { full: false });
        if !fits || m.pos != self.pos || self.held_epoch != cx.epoch {
            return Err(Violation::Field {
                kind: 84,
                what: "it resumes what this end does not have",
            });
        }
        self.phase = Phase::CatchingUp;
        Ok(())
    }

    pub fn on_current(&mut self, cx: &mut Ctx<'_>, m: &Current) -> Result<(), Violation> {
        if m.n != self.n {
            return Ok(());
        }
        if !matches!(self.phase, Phase::CatchingUp) {
            return Err(Violation::Field {
                kind: 73,
                what: "the scope was not catching up",
            });
        }
        if self.patient && (self.gap > self.rev || (m.rev != 0 && m.rev != self.rev)) {
            self.subscribe(cx, true);
            return Ok(());
        }
        self.phase = Phase::Live;
        self.seen = self.seen.max(m.pos);
        self.compare.due = Some(cx.now.saturating_add(cx.jitter.up_to(cx.timing.digest_first_ms)));
        self.as_of = self.as_of.max(Some(cx.hello_ms));
        if self.pending.is_empty() {
            self.pos = self.seen;
            cx.out.push(Effect::MarkAge {
                as_of_ms: cx.hello_ms,
                scopes: vec![(self.name.clone(), self.pos)],
            });
        } else {
            self.need_pending(cx);
        }
        Ok(())
    }

    /// Asks for every pending item that was not asked for.
    pub fn need_pending(&mut self, cx: &mut Ctx<'_>) {
        if self.pending.len() > PENDING_MAX {
            self.subscribe(cx, true);
            return;
        }
        let mut keys = Vec::new();
        for (key, p) in &mut self.pending {
            if !p.asked {
                p.asked = true;
                keys.push(key.clone());
            }
        }
        for part in keys.chunks(KEYS_MAX) {
            cx.send(NeedItems {
                scope: self.name.clone(),
                keys: part.to_vec(),
            });
        }
    }

    pub fn on_reject(&mut self, cx: &mut Ctx<'_>, m: &Reject) {
        if m.n != self.n {
            return;
        }
        self.cut();
        // The decision may be older than a grant that was acknowledged meanwhile; a newer question gets a newer one.
        if self.patient && m.code == ErrorCode::Denied && m.n <= cx.before_grant {
            self.subscribe(cx, false);
            return;
        }
        self.phase = if m.code == ErrorCode::Overloaded {
            let t = cx.timing;
            let busy = self
                .busy
                .get_or_insert_with(|| Backoff::new(t.backoff_base_ms, t.busy_cap_ms));
            Phase::Later(cx.now.saturating_add(busy.next_ms(cx.jitter)))
        } else {
            Phase::Refused(m.code)
        };
    }

    pub fn on_dirty(&mut self, cx: &mut Ctx<'_>, n: u64) {
        if n == self.n {
            self.subscribe(cx, false);
        }
    }

    /// A store effect failed: what was decided since is forgotten, the cache is read anew later.
    pub fn store_failed(&mut self, now: u64, timing: &Timing, connected: bool) {
        self.cut();
        self.n = 0;
        if connected {
            self.phase = Phase::Later(now.saturating_add(timing.store_retry_ms));
        }
    }
}
