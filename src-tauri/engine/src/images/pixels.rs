//! Pixels for the screen: an answer as soon as there is more than it shows.
//!
//! The answer is a head of 32 bytes, little endian (`VTP1`, columns, rows, samples, bytes per sample, signed, layer,
//! exact, lossy, 14 bytes of nothing), and the plain values.

use super::packs::Verdict;
use super::{Core, Shared};
use std::sync::Arc;
use std::time::Duration;
use vitrine_clinical::say;

/// Longest wait for something better.
const WAIT: Duration = Duration::from_secs(25);
/// The screen asks for so many frames around the one that is looked at.
const AROUND: u32 = 8;
/// Length of the head.
const HEAD: usize = 32;

/// An answer of the image protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    /// Head and values.
    Ready(Vec<u8>),
    /// Nothing better comes now.
    Nothing,
    /// There is no such view, or not any more.
    Ended,
    /// It cannot be decoded; in words that go on after "This image".
    Undecodable(String),
}

enum Step {
    Answer(Pixels),
    Wait(tokio::sync::watch::Receiver<u64>),
    Give(Arc<super::decode::Shown>, Arc<vitrine_pixels::pack::Frame>),
}

/// Pixels of a frame better than layer `above`; `None` = of nothing.
pub(crate) async fn pixels(shared: &Arc<Shared>, token: &str, place: u32, above: Option<u8>) -> Pixels {
    let waited = tokio::time::sleep(WAIT);
    tokio::pin!(waited);
    {
        let mut core = shared.core();
        core.looked_at(token, place);
        core.pump(shared);
    }
    loop {
        let step = shared.core().step(token, place, above);
        match step {
            Step::Answer(a) => return a,
            Step::Give(shown, frame) => return Pixels::Ready(answer(&shown, &frame)),
            Step::Wait(mut changed) => {
                shared.work.notify_one();
                tokio::select! {
                    // Ended with its view: the next round says so.
                    _ = changed.changed() => {}
                    () = &mut waited => return Pixels::Nothing,
                }
            }
        }
    }
}

impl Core {
    /// A frame far from what the view is known to look at is asked for: it is looked at now. Once for each question, so
    /// that one left behind does not call the view back.
    fn looked_at(&mut self, token: &str, place: u32) {
        let found = self.views.values().find(|v| v.token == token);
        let far = found.filter(|v| v.center.abs_diff(place) > AROUND && (place as usize) < v.frames.len());
        if let Some((view, px)) = far.map(|v| (v.number, v.px)) {
            self.centered(view, place, 0.0, px);
        }
    }

    fn step(&mut self, token: &str, place: u32, above: Option<u8>) -> Step {
        let Some(v) = self.views.values().find(|v| v.token == token) else {
            return Step::Answer(Pixels::Ended);
        };
        let Some(at) = v.frames.get(place as usize).copied() else {
            return Step::Answer(Pixels::Ended);
        };
        // Before anything is looked at: no change is missed.
        let mut changed = v.changed.subscribe();
        changed.borrow_and_update();
        if v.withdrawn() {
            return Step::Answer(Pixels::Ended);
        }
        let (view, stopped) = (v.number, v.refused.is_some() || self.line.down().is_some());
        let (Some(one), Some(frame)) = (self.packs.one(at), self.packs.frame(at)) else {
            return Step::Answer(Pixels::Ended);
        };
        if one.verdict == Verdict::Failed {
            return Step::Answer(Pixels::Undecodable(say!(
                "cannot be decoded and is not shown: open the original on another system",
                "kann nicht dekodiert werden und wird nicht angezeigt: das Original in einem anderen System öffnen"
            )));
        }
        if let Some(shown) = self.jobs.shown(at)
            && above.is_none_or(|a| shown.layer > a)
        {
            return Step::Give(shown, frame);
        }
        let layers = one.layers();
        let last = layers.last().copied();
        if above.is_some() && above >= last {
            return Step::Answer(Pixels::Nothing);
        }
        let here = one.here().checked_sub(1).and_then(|n| layers.get(n).copied());
        let decodable = here.is_some_and(|l| above.is_none_or(|a| l > a));
        if !decodable {
            let next = layers
                .iter()
                .find(|l| above.is_none_or(|a| **l > a) && (one.ram | one.disk) >> **l & 1 == 0);
            let lost = next.is_some_and(|l| one.lost >> l & 1 == 1);
            if stopped || lost {
                return Step::Answer(Pixels::Nothing);
            }
        }
        if decodable && !self.jobs.is_busy(at) {
            self.jobs.ask(view, place, at, above);
        }
        Step::Wait(changed)
    }
}

fn answer(shown: &super::decode::Shown, frame: &vitrine_pixels::pack::Frame) -> Vec<u8> {
    // The screen counts to 3, which is the whole; a small frame ends earlier.
    let layer = if shown.layer >= frame.shape.last_layer() {
        3
    } else {
        shown.layer
    };
    let mut out = Vec::with_capacity(HEAD + shown.plain.len());
    out.extend_from_slice(b"VTP1");
    out.extend_from_slice(&shown.columns.to_le_bytes());
    out.extend_from_slice(&shown.rows.to_le_bytes());
    out.extend_from_slice(&[
        frame.shape.samples,
        u8::try_from(frame.shape.width()).unwrap_or(4),
        u8::from(frame.shape.signed),
        layer,
        u8::from(shown.exact),
        u8::from(frame.lossy),
    ]);
    out.resize(HEAD, 0);
    out.extend_from_slice(&shown.plain);
    out
}
