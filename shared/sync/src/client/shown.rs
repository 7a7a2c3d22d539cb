//! What people are shown of the connection and of each scope.
//!
//! `Live` is said only of a scope that is complete and whose beats arrive; without a connection everything held is
//! `Offline` at once. The age in words, and `Old` after four hours, are the engine's from `as_of`.
//! Never here: decisions. Called by [`super::Client::step`].

use super::api::{Effect, LinkState, ScopeStatus, Timing};
use super::sub::{Phase, ScopeState};
use super::{Client, Link, Wire};
use vitrine_wire::view::DataAge;

/// A server further behind than this, ms: its scopes are stale (screens.md A5).
const BEHIND_STALE_MS: u64 = 60_000;
/// A server further behind than this, ms: delayed.
const BEHIND_DELAYED_MS: u64 = 5_000;

impl Client {
    /// Gives out what changed for the screen.
    pub(super) fn show(&mut self, now: u64, out: &mut Vec<Effect>) {
        let state = match &self.link {
            Link::Idle => LinkState::Offline {
                retry_at_ms: u64::MAX,
            },
            Link::Waiting { refused: true, .. } => LinkState::Refused,
            Link::Waiting { at, .. } => LinkState::Offline { retry_at_ms: *at },
            Link::Connecting { .. } | Link::Opened { .. } => LinkState::Connecting,
            Link::Up { .. } if self.all_live() => LinkState::Live,
            Link::Up { .. } => LinkState::CatchingUp,
            Link::Wiping { .. } | Link::Wiped => LinkState::Wiped,
        };
        if self.shown_link.as_ref() != Some(&state) {
            self.shown_link = Some(state.clone());
            out.push(Effect::Link { state });
        }
        let up = matches!(self.link, Link::Up { .. });
        let wire = self.wire.as_ref().filter(|_| up);
        for s in self.scopes.values_mut() {
            let status = status_of(s, wire, now, &self.cfg.timing);
            let same = s.shown.as_ref().is_some_and(|old| {
                ScopeStatus {
                    as_of_ms: old.as_of_ms,
                    ..status.clone()
                } == *old
            });
            if !same {
                s.shown = Some(status.clone());
                out.push(Effect::Status {
                    scope: s.name.clone(),
                    status,
                });
            }
        }
    }
}

fn status_of(s: &ScopeState, wire: Option<&Wire>, now: u64, t: &Timing) -> ScopeStatus {
    let loading = match &s.phase {
        Phase::Snapshot(snap) => Some((snap.done, snap.total)),
        _ => None,
    };
    let refused = match s.phase {
        Phase::Refused(code) => Some(code),
        _ => None,
    };
    let age = match (s.held, wire) {
        (false, None) => DataAge::NotOnThisWorkstation,
        (false, Some(_)) if refused.is_some() => DataAge::NotOnThisWorkstation,
        (false, Some(_)) => DataAge::Partial,
        (true, None) => DataAge::Offline,
        (true, Some(w)) => age_of(s, w, now, t),
    };
    ScopeStatus {
        age,
        complete: s.held && s.pending.is_empty(),
        as_of_ms: s.as_of,
        loading,
        refused,
    }
}

fn age_of(s: &ScopeState, w: &Wire, now: u64, t: &Timing) -> DataAge {
    let heard = if s.is_live() {
        w.last_beat
    } else {
        s.live_at.unwrap_or(0)
    };
    let silent = now.saturating_sub(heard);
    if s.is_live() && silent < t.delayed_ms && w.behind_ms < BEHIND_DELAYED_MS {
        DataAge::Live
    } else if s.is_live() && silent >= t.offline_ms {
        DataAge::Offline
    } else if silent >= t.stale_ms || w.behind_ms >= BEHIND_STALE_MS {
        DataAge::Stale
    } else {
        DataAge::Delayed
    }
}
