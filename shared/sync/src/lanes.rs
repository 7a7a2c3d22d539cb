//! The lanes of one connection: strict priority, every queue bounded.
//!
//! A delta waits as the shared frame it is. Only when more than [`Limits::shared`] wait are those of one scope merged:
//! one entry per key with its earliest `prev` and its latest state, encoded anew when its turn comes. A patient's
//! deltas are merged only where they follow each other, so that a lost one still shows as a gap. When even the merged
//! state is too large the lane is dropped and its scopes have to be subscribed to anew; control frames are never
//! dropped, their overflow ends the connection; bulk goes only with credit.
//! Lives here: queues. Never here: what is put into them. Called by [`crate::server::Session`].

use crate::fanout::{BulkFrame, ScopeFrame, weight_of};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vitrine_wire::frame::{CHUNK, Lane};
use vitrine_wire::message::Change;

/// Control frames that may wait (sync.md: overflow closes).
pub const CONTROL_MAX: usize = 256;
/// Bounds of a lane of deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deltas that may wait unmerged.
    pub shared: usize,
    /// Keys that may wait merged.
    pub keys: usize,
    /// Bytes that the waiting deltas may hold.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shared: 32,
            keys: 8_192,
            bytes: 4 * 1024 * 1024,
        }
    }
}
/// Bytes of bulk frames that may wait.
pub const BULK_MAX: usize = 16 * 1024 * 1024;
/// A merged patient's delta is not merged further beyond this, bytes.
const MERGED_PATIENT_MAX: usize = 512 * 1024;

/// The control lane is full: the other end does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlFull;

/// The queues of one connection. An idle one holds no memory beyond itself.
#[derive(Debug, Default)]
pub struct Lanes {
    control: VecDeque<Bytes>,
    essentials: Queue,
    patient: Queue,
    bulk: VecDeque<Bulk>,
    credit: i64,
    limits: Limits,
}

#[derive(Debug)]
struct Bulk {
    scope: Arc<str>,
    frame: Arc<BulkFrame>,
    next: usize,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    scope: Arc<str>,
    since_ms: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Shared {
        frame: Arc<ScopeFrame>,
        next: usize,
    },
    Merged(Box<Merged>),
    /// Tells that the scope is current; stays behind what was queued before it.
    Mark(Bytes),
}

/// Deltas of one scope, merged.
#[derive(Debug)]
struct Merged {
    from: u64,
    pos: u64,
    rev_prev: u64,
    rev: u64,
    weight: usize,
    /// Key → earliest `prev`, the frame with its latest state, the index there.
    keys: BTreeMap<String, (u64, Arc<ScopeFrame>, usize)>,
}

impl Lanes {
    /// Empty lanes with these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Puts a control frame in.
    ///
    /// # Errors
    /// [`ControlFull`]: close the connection.
    pub fn control(&mut self, frame: Bytes) -> Result<(), ControlFull> {
        if self.control.len() >= CONTROL_MAX {
            return Err(ControlFull);
        }
        self.control.push_back(frame);
        Ok(())
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        if lane == Lane::Patient {
            &mut self.patient
        } else {
            &mut self.essentials
        }
    }

    /// Puts a delta in. When the lane overflows, everything in it is dropped and the scopes concerned come back.
    pub fn delta(&mut self, frame: &Arc<ScopeFrame>, now_ms: u64) -> Vec<Arc<str>> {
        let limits = self.limits;
        let queue = self.queue(frame.lane);
        queue.bytes = queue.bytes.saturating_add(frame.weight());
        queue.entries.push_back(Entry {
            scope: Arc::clone(&frame.scope),
            since_ms: now_ms,
            what: What::Shared {
                frame: Arc::clone(frame),
                next: 0,
            },
        });
        if queue.entries.len() > limits.shared || queue.bytes > limits.bytes {
            queue.merge();
            if queue.bytes > limits.bytes || queue.keys() > limits.keys {
                return queue.drop_all();
            }
        }
        Vec::new()
    }

    /// Puts the word that a scope is current behind that scope's deltas.
    pub fn mark(&mut self, scope: &Arc<str>, lane: Lane, frame: Bytes, now_ms: u64) {
        let entry = Entry {
            scope: Arc::clone(scope),
            since_ms: now_ms,
            what: What::Mark(frame),
        };
        self.queue(lane).entries.push_back(entry);
    }

    /// Puts a frame into the bulk lane; false when it is full.
    pub fn bulk(&mut self, scope: &Arc<str>, frame: Arc<BulkFrame>) -> bool {
        let size = |f: &BulkFrame| f.parts.iter().map(Bytes::len).sum::<usize>();
        let waiting: usize = self.bulk.iter().map(|b| size(&b.frame)).sum();
        if waiting.saturating_add(size(&frame)) > BULK_MAX {
            return false;
        }
        self.bulk.push_back(Bulk {
            scope: Arc::clone(scope),
            frame,
            next: 0,
        });
        true
    }

    /// Gives leave for more of the bulk lane, up to `cap` bytes in all.
    pub fn add_credit(&mut self, bytes: u32, cap: i64) {
        self.credit = self.credit.saturating_add(i64::from(bytes)).min(cap);
    }

    /// True when a snapshot page would find room and leave.
    #[must_use]
    pub fn wants_bulk(&self) -> bool {
        self.credit > 0 && self.bulk.len() < 2
    }

    /// Frames waiting in a delta lane.
    #[must_use]
    pub fn waiting(&self, lane: Lane) -> usize {
        match lane {
            Lane::Control => self.control.len(),
            Lane::Essentials => self.essentials.entries.len(),
            Lane::Patient => self.patient.entries.len(),
            Lane::Bulk => self.bulk.len(),
        }
    }

    /// True when nothing can be sent now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.control.is_empty()
            && self.essentials.entries.is_empty()
            && self.patient.entries.is_empty()
            && !self.bulk_ready()
    }

    fn bulk_ready(&self) -> bool {
        self.bulk.front().is_some_and(|b| self.credit > 0 || b.next > 0)
    }

    /// Position before the oldest delta that waits; `None` when none does.
    #[must_use]
    pub fn floor(&self) -> Option<u64> {
        let from = |e: &Entry| match &e.what {
            What::Shared { frame, .. } => Some(frame.from),
            What::Merged(m) => Some(m.from),
            What::Mark(_) => None,
        };
        self.essentials
            .entries
            .iter()
            .chain(&self.patient.entries)
            .filter_map(from)
            .min()
    }

    /// Since when the oldest delta waits.
    #[must_use]
    pub fn oldest_ms(&self) -> Option<u64> {
        let first = |q: &Queue| q.entries.front().map(|e| e.since_ms);
        first(&self.essentials)
            .into_iter()
            .chain(first(&self.patient))
            .min()
    }

    /// Takes a scope's frames out, except one that is half sent.
    pub fn purge(&mut self, scope: &str) {
        for queue in [&mut self.essentials, &mut self.patient] {
            queue
                .entries
                .retain(|e| *e.scope != *scope || matches!(e.what, What::Shared { next: 1.., .. }));
            queue.weigh();
        }
        self.bulk.retain(|b| *b.scope != *scope || b.next > 0);
    }

    /// The next frame to send, by strict priority.
    pub fn pop(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.control.pop_front() {
            if self.control.is_empty() {
                self.control = VecDeque::new();
            }
            return Some(frame);
        }
        if let Some(frame) = self.essentials.pop() {
            return Some(frame);
        }
        if let Some(frame) = self.patient.pop() {
            return Some(frame);
        }
        self.pop_bulk()
    }

    fn pop_bulk(&mut self) -> Option<Bytes> {
        if !self.bulk_ready() {
            return None;
        }
        let front = self.bulk.front_mut()?;
        if front.next == 0 {
            self.credit = self.credit.saturating_sub(i64::from(front.frame.cost));
        }
        let part = front.frame.parts.get(front.next).cloned();
        front.next = front.next.saturating_add(1);
        if front.next >= front.frame.parts.len() {
            self.bulk.pop_front();
        }
        part
    }
}

impl Queue {
    fn keys(&self) -> usize {
        let count = |e: &Entry| match &e.what {
            What::Shared { frame, .. } => frame.changes.len(),
            What::Merged(m) => m.keys.len(),
            What::Mark(_) => 0,
        };
        self.entries.iter().map(count).sum()
    }

    /// Counts anew what the entries hold.
    fn weigh(&mut self) {
        let weight = |e: &Entry| match &e.what {
            What::Shared { frame, .. } => frame.weight(),
            What::Merged(m) => m.weight,
            What::Mark(b) => b.len(),
        };
        self.bytes = self.entries.iter().map(weight).sum();
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    fn drop_all(&mut self) -> Vec<Arc<str>> {
        let keep = matches!(
            self.entries.front(),
            Some(Entry {
                what: What::Shared { next: 1.., .. },
                ..
            })
        );
        let tail = self.entries.split_off(usize::from(keep));
        self.weigh();
        let mut scopes: Vec<Arc<str>> = tail.into_iter().map(|e| e.scope).collect();
        if keep && let Some(front) = self.entries.front() {
            scopes.push(Arc::clone(&front.scope));
        }
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// Merges what waits, per scope, in the order in which the scopes came first. A frame half sent stays in front.
    fn merge(&mut self) {
        let mut out: VecDeque<Entry> = VecDeque::new();
        for entry in std::mem::take(&mut self.entries) {
            let half_sent = matches!(entry.what, What::Shared { next: 1.., .. });
            if half_sent {
                out.push_back(entry);
                continue;
            }
            // Behind the newest entry of the same scope that takes it in. A mark does not stop the search: deltas
            // after it may come before it, for positions only grow.
            let mut newest = true;
            let mut left = Some(entry);
            for there in out.iter_mut().rev().filter(|e| !matches!(e.what, What::Mark(_))) {
                if let Some(e) = left.take_if(|e| newest && e.scope == there.scope) {
                    newest = false;
                    left = there.absorb(e);
                }
            }
            if let Some(e) = left {
                out.push_back(e.into_merged());
            }
        }
        self.entries = out;
        self.weigh();
    }

    fn pop(&mut self) -> Option<Bytes> {
        loop {
            let front = self.entries.front_mut()?;
            let (part, done) = match &mut front.what {
                What::Shared { frame, next } => {
                    let part = frame.parts.get(*next).cloned();
                    *next = next.saturating_add(1);
                    (part, *next >= frame.parts.len())
                }
                What::Mark(bytes) => (Some(bytes.clone()), true),
                What::Merged(m) => match m.cut(&front.scope) {
                    // From now on it is sent like any other frame, before what is left of the merged.
                    Some(frame) => {
                        let entry = Entry {
                            scope: Arc::clone(&front.scope),
                            since_ms: front.since_ms,
                            what: What::Shared {
                                frame: Arc::new(frame),
                                next: 0,
                            },
                        };
                        if m.keys.is_empty() {
                            self.entries.pop_front();
                        }
                        self.entries.push_front(entry);
                        continue;
                    }
                    None => (None, true),
                },
            };
            if done {
                self.entries.pop_front();
                self.weigh_after_pop();
            }
            if part.is_some() {
                return part;
            }
        }
    }

    fn weigh_after_pop(&mut self) {
        if self.entries.len() < 64 {
            self.weigh();
        }
    }
}

impl Entry {
    fn into_merged(self) -> Self {
        let what = match self.what {
            What::Shared { frame, next: 0 } => What::Merged(Box::new(Merged::of(&frame))),
            other => other,
        };
        Self { what, ..self }
    }

    /// Takes a later entry of the same scope in; gives it back when it cannot.
    fn absorb(&mut self, later: Self) -> Option<Self> {
        match (&mut self.what, &later.what) {
            (What::Merged(m), What::Shared { frame, next: 0 }) if m.takes(frame.rev_prev, frame.lane) => {
                m.add(frame);
                None
            }
            _ => Some(later),
        }
    }
}

impl Merged {
    fn of(frame: &Arc<ScopeFrame>) -> Self {
        let mut m = Self {
            from: frame.from,
            pos: frame.pos,
            rev_prev: frame.rev_prev,
            rev: frame.rev_prev,
            weight: 0,
            keys: BTreeMap::new(),
        };
        m.add(frame);
        m
    }

    fn takes(&self, rev_prev: u64, lane: Lane) -> bool {
        lane == Lane::Essentials || (rev_prev == self.rev && self.weight < MERGED_PATIENT_MAX)
    }

    fn add(&mut self, frame: &Arc<ScopeFrame>) {
        self.pos = self.pos.max(frame.pos);
        self.rev = frame.rev;
        for (i, c) in frame.changes.iter().enumerate() {
            self.weight = self.weight.saturating_add(weight_of(c));
            if let Some(there) = self.keys.get_mut(&c.key) {
                let old = there.1.changes.get(there.2).map_or(0, weight_of);
                self.weight = self.weight.saturating_sub(old);
                (there.1, there.2) = (Arc::clone(frame), i);
            } else {
                self.keys.insert(c.key.clone(), (c.prev, Arc::clone(frame), i));
            }
        }
    }

    /// Cuts off as much as fits one delta. All but the last carry the position before the stretch: only with the
    /// last is everything told. A patient's revision cannot be cut.
    fn cut(&mut self, scope: &Arc<str>) -> Option<ScopeFrame> {
        let patient = crate::scope::is_patient(scope);
        let mut changes = Vec::new();
        let mut size = 0_usize;
        while let Some((key, (prev, frame, i))) = self.keys.pop_first() {
            if let Some(c) = frame.changes.get(i).filter(|c| prev < c.ver) {
                size = size.saturating_add(weight_of(c));
                changes.push(Change {
                    key,
                    prev,
                    ver: c.ver,
                    version: c.version,
                    body: c.body.clone(),
                });
            }
            if size >= CHUNK && !patient {
                break;
            }
        }
        let pos = if self.keys.is_empty() { self.pos } else { self.from };
        ScopeFrame::new(scope, (self.from, pos), (self.rev_prev, self.rev), changes).ok()
    }
}
