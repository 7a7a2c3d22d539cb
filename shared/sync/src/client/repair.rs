//! Anti-entropy: digest → buckets that differ → references → items, and again until the digests are equal.
//!
//! It finds what no chain of versions can: a change the feed never had. After three repairs that did not help the
//! scope is fetched whole. Every step may race with deltas under way; each is safe because an item that arrives is
//! the server's truth at its position ([`super::delta`]).
//! Never here: computing digests (the cache keeps them). Called by the client machine.

use super::sub::{Ctx, Phase, ScopeState};
use std::collections::BTreeMap;
use vitrine_wire::message::{Digest, DigestDiff, NeedRefs, Refs};

/// Repairs in a row before the scope is fetched whole.
const ROUNDS_MAX: u8 = 3;

impl ScopeState {
    /// When something of the comparison is due.
    pub fn compare_wake(&self) -> Option<u64> {
        if !matches!(self.phase, Phase::Live) || !self.pending.is_empty() || self.compare.unnamed.is_some() {
            return None;
        }
        match &self.compare.diff {
            Some((pos, _)) if *pos <= self.seen => Some(0),
            Some(_) => None,
            None if self.compare.asked => None,
            None => self.compare.due,
        }
    }

    /// Does what of the comparison is due.
    pub fn compare_tick(&mut self, cx: &mut Ctx<'_>) {
        if self.compare_wake().is_none_or(|at| at > cx.now) {
            return;
        }
        if let Some((_, buckets)) = self.compare.diff.take() {
            self.judge_diff(cx, &buckets);
            return;
        }
        if self.compare.resubscribe {
            self.subscribe(cx, false);
            return;
        }
        self.compare.asked = true;
        self.compare.due = None;
        let digest = cx.view.digest(&self.name).hex();
        cx.send(Digest {
            scope: self.name.clone(),
            pos: self.seen,
            digest,
        });
    }

    fn equal(&mut self, cx: &mut Ctx<'_>) {
        self.compare = super::sub::Compare::default();
        self.busy = None;
        let fifth = cx.timing.digest_ms / 5;
        let wait = cx
            .timing
            .digest_ms
            .saturating_sub(fifth)
            .saturating_add(cx.jitter.up_to(fifth.saturating_mul(2)));
        self.compare.due = Some(cx.now.saturating_add(wait));
    }

    pub fn on_diff(&mut self, cx: &mut Ctx<'_>, m: DigestDiff) {
        if !matches!(self.phase, Phase::Live) || !self.compare.asked || self.compare.diff.is_some() {
            return;
        }
        if m.buckets.is_empty() {
            self.equal(cx);
            // Same items, yet a revision was never told (something came and went in a delta that was lost).
            if self.patient && m.pos <= self.seen && m.rev > self.rev {
                self.subscribe(cx, false);
            }
        } else {
            self.compare.diff = Some((m.pos, m.buckets));
        }
    }

    fn judge_diff(&mut self, cx: &mut Ctx<'_>, buckets: &[String]) {
        let differing = cx.view.digest(&self.name).differing(buckets);
        if differing.is_empty() {
            self.equal(cx);
            return;
        }
        self.compare.rounds = self.compare.rounds.saturating_add(1);
        if self.compare.rounds > ROUNDS_MAX {
            self.subscribe(cx, true);
            return;
        }
        self.compare.asked = false;
        self.compare.unnamed = Some(
            cx.view
                .refs(&self.name, &differing)
                .into_iter()
                .map(|r| (r.key, (r.ver, r.hash)))
                .collect::<BTreeMap<_, _>>(),
        );
        self.compare.buckets.clone_from(&differing);
        cx.send(NeedRefs {
            scope: self.name.clone(),
            buckets: differing,
        });
    }

    pub fn on_refs(&mut self, cx: &mut Ctx<'_>, m: Refs) {
        if !matches!(self.phase, Phase::Live) || m.buckets != self.compare.buckets {
            return;
        }
        let Some(unnamed) = &mut self.compare.unnamed else {
            return;
        };
        for r in m.refs {
            if unnamed.remove(&r.key).is_none_or(|mine| mine != (r.ver, r.hash)) {
                self.pending.entry(r.key).or_default();
            }
        }
        if m.more && self.pending.len() <= super::sub::PENDING_MAX {
            return;
        }
        for (key, _) in self.compare.unnamed.take().into_iter().flatten() {
            self.pending.entry(key).or_default();
        }
        if self.pending.is_empty() {
            // The other end caught up with this one meanwhile; look again soon.
            self.compare.due = Some(cx.now.saturating_add(cx.timing.digest_first_ms));
        }
        self.need_pending(cx);
    }
}
