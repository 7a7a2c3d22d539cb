//! What is asked for next, and what is on its way.
//!
//! The order is `vitrine_dicom::stages`; here is what it is told and how many bytes may be on their way. Called with the
//! lock held.

use super::packs::{At, Slot};
use super::{Core, Shared};
use std::collections::BTreeMap;
use vitrine_dicom::stages::{Credit, Frame, Plan, Role};
use vitrine_wire::images::{Ask, OUTSTANDING_MOST, WANT_MOST, Wanted};

/// Bytes waiting for the disk at which nothing more is asked for.
const QUEUED_MOST: u64 = 64 << 20;
/// A segment that the server was to send by itself is asked for after so long, µs.
const PUSHED_US: u64 = 5_000_000;
/// Bytes on their way that a change of mind takes back.
const TAKEN_BACK: u64 = 64 << 10;

/// A segment on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    len: u64,
    since_us: u64,
    /// Sent without being asked for.
    pushed: bool,
}

/// What is planned and what flies.
#[derive(Default)]
pub(super) struct Asks {
    plan: Plan,
    /// View of each series of the plan.
    shown: Vec<u32>,
    credit: Credit,
    window: u64,
    flying: BTreeMap<(Slot, u32, u8), Flight>,
    rate: Rate,
    last_us: u64,
}

/// Bytes a second and time there and back, as measured.
#[derive(Default)]
struct Rate {
    since_us: u64,
    bytes: u64,
    per_second: u64,
    round_us: u64,
}

impl Rate {
    fn arrived(&mut self, now_us: u64, len: u64, flight: Option<Flight>) {
        if let Some(f) = flight.filter(|f| !f.pushed) {
            let took = now_us.saturating_sub(f.since_us).max(1);
            // The least of this connection is nearest to the line's own: what waits behind others takes longer.
            self.round_us = if self.round_us == 0 {
                took
            } else {
                took.min(self.round_us)
            };
        }
        self.bytes += len;
        let span = now_us.saturating_sub(self.since_us);
        if span >= 250_000 {
            self.per_second = if span > 2_000_000 {
                self.per_second
            } else {
                self.bytes.saturating_mul(1_000_000) / span
            };
            (self.since_us, self.bytes) = (now_us, 0);
        }
    }
}

impl Asks {
    /// Nothing flies any more.
    pub(super) fn down(&mut self) {
        self.flying.clear();
        self.rate = Rate::default();
        self.window = 0;
        self.credit = Credit::default();
    }
    /// So long nothing came though something flies, µs.
    pub(super) fn silent_us(&self, now_us: u64) -> u64 {
        let asked = self
            .flying
            .values()
            .filter(|f| !f.pushed)
            .map(|f| f.since_us)
            .max();
        asked.map_or(0, |at| now_us.saturating_sub(at.max(self.last_us)))
    }
    /// A segment came or cannot be given.
    pub(super) fn landed(&mut self, key: (Slot, u32, u8), len: u64, now_us: u64) {
        let flight = self.flying.remove(&key);
        if let Some(f) = flight.filter(|f| !f.pushed) {
            self.credit.give(f.len);
        }
        self.last_us = now_us;
        self.rate.arrived(now_us, len, flight);
        let window = Credit::window_for(self.rate.per_second, self.rate.round_us).min(OUTSTANDING_MOST);
        if window != self.window {
            self.window = window;
            self.credit.resize(window);
        }
    }
}

impl Core {
    /// Makes the plan anew: after a view, an index or what is here of a frame changed beside the stream.
    pub(super) fn replan(&mut self) {
        let mut plan = Plan::new();
        self.asks.shown.clear();
        let mut opened = Vec::new();
        for v in self.views.values() {
            let frames: Vec<Frame> = v
                .frames
                .iter()
                .map(|at| {
                    let (lengths, mut have) = self
                        .packs
                        .one(*at)
                        .map_or(([0; 4], u8::MAX), super::packs::One::planned);
                    if !v.answered || !v.numbered.contains(&at.0) || v.refused.is_some() {
                        have = u8::MAX;
                    }
                    Frame { lengths, have }
                })
                .collect();
            let series = plan.add(Role::Current, &frames);
            self.asks.shown.push(v.number);
            opened.push((v.number, series, v.center, v.px, v.velocity));
        }
        for (number, series, center, px, velocity) in opened {
            plan.open(number, series, center, px);
            if velocity != 0.0 {
                plan.center(number, center, velocity);
            }
        }
        self.asks.plan = plan;
    }

    /// The screen looks at another frame.
    pub(super) fn centered(&mut self, view: u32, frame: u32, velocity: f32, px: u32) {
        let Some(v) = self.views.get_mut(&view) else {
            return;
        };
        let moved = v.center != frame;
        (v.center, v.velocity, v.px) = (frame, velocity, px);
        v.dirty |= moved;
        let at = v.frames.get(frame as usize).copied();
        self.asks.plan.resize(view, px);
        self.asks.plan.center(view, frame, velocity);
        let missing = at.is_some_and(|at| {
            let one = self.packs.one(at);
            let here = one.is_some_and(|o| o.here() == o.layers().len());
            !here && !(0..4).any(|l| self.asks.flying.contains_key(&(at.0, at.1, l)))
        });
        if missing && moved && self.asks.credit.flying() > TAKEN_BACK {
            self.take_back();
        }
    }

    /// What flies is not wanted any more: whatever is on its way already still comes.
    pub(super) fn take_back(&mut self) {
        let flying = std::mem::take(&mut self.asks.flying);
        self.asks.credit = Credit::new(self.asks.window);
        let mut views: Vec<u32> = Vec::new();
        for (key, flight) in flying {
            if flight.pushed {
                self.asks.flying.insert(key, flight);
                continue;
            }
            for (n, number) in (0_u32..).zip(&self.asks.shown) {
                let place = self.views.get(number).and_then(|v| v.places.get(&(key.0, key.1)));
                if let Some(place) = place {
                    self.asks
                        .plan
                        .put_back(vitrine_dicom::stages::Series(n), *place, key.2);
                    if !views.contains(number) {
                        views.push(*number);
                    }
                }
            }
        }
        for view in views {
            self.line.ask(Ask::Forget { view });
        }
    }

    /// A frame's layer is here or will never be: no view asks for it.
    pub(super) fn skip(&mut self, at: At, layer: u8) {
        for (n, number) in (0_u32..).zip(&self.asks.shown) {
            if let Some(place) = self.views.get(number).and_then(|v| v.places.get(&at)) {
                self.asks
                    .plan
                    .skip(vitrine_dicom::stages::Series(n), *place, layer);
            }
        }
    }

    /// A frame's layer is to be asked for again.
    pub(super) fn again(&mut self, at: At, layer: u8) {
        if self
            .packs
            .one(at)
            .is_none_or(|o| (o.ram | o.disk | o.lost) >> layer & 1 == 1)
        {
            return;
        }
        for (n, number) in (0_u32..).zip(&self.asks.shown) {
            if let Some(place) = self.views.get(number).and_then(|v| v.places.get(&at)) {
                self.asks
                    .plan
                    .put_back(vitrine_dicom::stages::Series(n), *place, layer);
            }
        }
    }

    /// The first frame of a series just opened is sent by itself.
    pub(super) fn pushed(&mut self, at: At, now_us: u64) {
        let Some(one) = self.packs.one(at) else { return };
        let missing = one.layers();
        for layer in missing.into_iter().filter(|l| (one.ram | one.disk) >> l & 1 == 0) {
            self.asks.flying.entry((at.0, at.1, layer)).or_insert(Flight {
                len: 0,
                since_us: now_us,
                pushed: true,
            });
        }
    }

    /// Asks for what may be asked for now.
    pub(super) fn pump(&mut self, shared: &Shared) {
        if !self.line.is_up() || shared.queued() > QUEUED_MOST {
            return;
        }
        let now_us = shared.now_us();
        let late = |f: &Flight| f.pushed && now_us.saturating_sub(f.since_us) >= PUSHED_US;
        let never: Vec<_> = self
            .asks
            .flying
            .iter()
            .filter(|(_, f)| late(f))
            .map(|(k, _)| *k)
            .collect();
        for key in never {
            self.asks.flying.remove(&key);
            self.again((key.0, key.1), key.2);
        }
        if self.asks.credit.flying() > 0 && self.asks.credit.free() < self.asks.window / 4 {
            return;
        }
        self.asks.plan.emergency(shared.in_emergency());
        let mut wants: Vec<(u32, Vec<Wanted>)> = Vec::new();
        let mut count = 0;
        while count < WANT_MOST {
            let Some(next) = self.asks.plan.next() else { break };
            let number = self.asks.shown.get(next.series.0 as usize).copied();
            let Some(v) = number.and_then(|n| self.views.get(&n)) else {
                continue;
            };
            let Some(at) = v.frames.get(next.frame as usize).copied() else {
                continue;
            };
            let key = (at.0, at.1, next.layer);
            if self.asks.flying.contains_key(&key) {
                continue;
            }
            let pack = v
                .numbered
                .iter()
                .position(|s| *s == at.0)
                .and_then(|n| u16::try_from(n).ok());
            let Some((pack, segment)) = pack.zip(self.packs.segment(at, next.layer)) else {
                continue;
            };
            let len = u64::from(next.len);
            if !self.asks.credit.take(len) {
                self.asks.plan.put_back(next.series, next.frame, next.layer);
                break;
            }
            let flight = Flight {
                len,
                since_us: now_us,
                pushed: false,
            };
            self.asks.flying.insert(key, flight);
            count += 1;
            match wants.last_mut() {
                Some((view, segments)) if *view == v.number => segments.push((pack, at.1, segment)),
                _ => wants.push((v.number, vec![(pack, at.1, segment)])),
            }
        }
        for (view, segments) in wants {
            self.line.ask(Ask::Want { view, segments });
        }
    }
}
