//! The rules by which a change is applied, ignored, or taken as the sign of a gap.
//!
//! In `board:`, `ess:` and `dir` every item has its own chain: the version here equals the change's `prev` → apply;
//! the version here is not older → a duplicate, ignore; else → a gap, the item is asked for anew. In `pat:` the
//! patient's revision is the chain of the scope: a gap → subscribe anew from the position held. While anything is
//! missing the position noted in the cache stays before it, so a crash resumes before the gap.
//! Never here: the connection, the store. Called by the client machine.

use super::api::Effect;
use super::sub::{Ctx, Phase, ScopeState};
use vitrine_wire::message::{Beat, Change, Delta, Items, PatientDelta};

enum Verdict {
    Apply,
    Ignore,
    Gap,
}

/// Judges a change of an item with its own chain. `late` = the change is older than what the server said it had sent,
/// so a creation may be one that was undone since.
fn judge(c: &Change, local: Option<u64>, late: bool) -> Verdict {
    match (local, &c.body) {
        (None, None) => Verdict::Ignore,
        (Some(v), _) if v >= c.ver => Verdict::Ignore,
        (Some(v), _) if v == c.prev => Verdict::Apply,
        (None, Some(_)) if c.prev == 0 && !late => Verdict::Apply,
        _ => Verdict::Gap,
    }
}

impl ScopeState {
    /// Before the answer to its own subscription a scope takes no delta: what still comes is of an older one, and
    /// would seem to say that everything before it is here.
    const fn takes_deltas(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::CatchingUp)
    }

    pub fn on_delta(&mut self, cx: &mut Ctx<'_>, m: Delta) {
        if !self.takes_deltas() {
            return;
        }
        let late = m.pos < self.seen;
        let mut apply = Vec::with_capacity(m.changes.len());
        for c in m.changes {
            match judge(&c, cx.view.version(&self.name, &c.key), late) {
                Verdict::Ignore => {}
                Verdict::Apply => {
                    if let Some(p) = self.pending.get_mut(&c.key) {
                        p.touched = p.touched.max(m.pos);
                    }
                    apply.push(c);
                }
                Verdict::Gap => {
                    let p = self.pending.entry(c.key).or_default();
                    p.skipped = p.skipped.max(m.pos);
                }
            }
        }
        self.advance(m.pos);
        self.apply(cx, apply);
        if matches!(self.phase, Phase::Live) {
            self.need_pending(cx);
        }
    }

    pub fn on_patient_delta(&mut self, cx: &mut Ctx<'_>, m: PatientDelta) {
        if !self.takes_deltas() || m.rev <= self.rev {
            return;
        }
        if m.rev_prev > self.rev {
            // In catch-up the answer under way may still fill it: that is judged when the server says it is current.
            self.gap = self.gap.max(m.rev);
            if matches!(self.phase, Phase::Live) {
                self.subscribe(cx, false);
            }
            return;
        }
        let mut apply = Vec::with_capacity(m.changes.len());
        for c in m.changes {
            let local = cx.view.version(&self.name, &c.key);
            let newer = match (local, &c.body) {
                (Some(v), _) => c.ver > v,
                (None, Some(_)) => c.ver > self.rev,
                (None, None) => false,
            };
            if newer {
                if let Some(p) = self.pending.get_mut(&c.key) {
                    p.touched = p.touched.max(m.pos);
                }
                apply.push(c);
            }
        }
        self.rev = m.rev;
        self.advance(m.pos);
        self.note(cx, apply);
    }

    /// The server has sent everything up to `pos`.
    fn advance(&mut self, pos: u64) {
        self.seen = self.seen.max(pos);
        if self.pending.is_empty() {
            self.pos = self.seen;
        }
    }

    fn apply(&self, cx: &mut Ctx<'_>, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.note(cx, changes);
        }
    }

    fn note(&self, cx: &mut Ctx<'_>, changes: Vec<Change>) {
        cx.out.push(Effect::ApplyDelta {
            scope: self.name.clone(),
            changes,
            pos: self.pos,
            rev: self.rev,
        });
    }

    /// Items asked for by key. They are the server's truth at their position, whatever is held here, unless a newer
    /// delta was applied to the same key meanwhile.
    pub fn on_items(&mut self, cx: &mut Ctx<'_>, m: Items) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let mut apply = Vec::new();
        for item in m.items {
            let Some(p) = self.pending.get_mut(&item.key) else {
                continue;
            };
            let again = p.skipped > m.pos;
            let outdated = p.touched > m.pos;
            if again {
                p.asked = false;
            } else {
                self.pending.remove(&item.key);
            }
            if !outdated && (item.body.is_some() || cx.view.version(&self.name, &item.key).is_some()) {
                apply.push(item);
            }
        }
        if self.pending.is_empty() {
            self.pos = self.seen;
            if self.compare.rounds > 0 {
                // The digests are compared again; of a patient the revision may be behind too, which only a new
                // subscription tells.
                self.compare.due = Some(cx.now);
                self.compare.resubscribe = self.patient;
            }
        }
        self.apply(cx, apply);
        self.need_pending(cx);
    }

    /// A beat: what is live is complete up to its position at the server's time less what it is behind.
    pub fn on_beat(&mut self, m: &Beat, now: u64) -> Option<(String, u64)> {
        if !matches!(self.phase, Phase::Live) {
            return None;
        }
        self.seen = self.seen.max(m.pos);
        if !self.pending.is_empty() {
            return None;
        }
        self.pos = self.seen;
        self.live_at = Some(now);
        let behind = i64::try_from(m.behind_ms).unwrap_or(i64::MAX);
        self.as_of = self.as_of.max(Some(m.server_time_ms.saturating_sub(behind)));
        Some((self.name.clone(), self.pos))
    }
}
