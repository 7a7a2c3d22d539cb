//! Threads that decode: the frame that is looked at first, what came whole last.
//!
//! A decode reads segments from RAM, else from the disk, each checked against the index again; whole pixels count as exact
//! when their digest is the index's. Never here: a socket, the screen.

use super::packs::{At, LAYERS, Verdict};
use super::writer::Write;
use super::{Core, Shared};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use vitrine_pixels::pack::Frame;
use vitrine_pixels::{digest, layers, pack};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::OpenSeries;

/// Before a frame is tried again whose segments could not be read.
const UNREAD: Duration = Duration::from_millis(200);

/// Decoded frames kept in RAM, bytes.
const RING_MOST: u64 = 96 << 20;
/// A frame of more pixels is shown by its preview before it is decoded whole.
const LARGE: u64 = 1 << 20;
/// Frames that wait for their proof.
const PROOFS_MOST: usize = 1 << 16;

/// A decoded frame, or a smaller image of it.
pub(super) struct Shown {
    pub(super) layer: u8,
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) exact: bool,
    pub(super) plain: Vec<u8>,
}

/// What waits to be decoded, and what was.
#[derive(Default)]
pub(super) struct Jobs {
    /// Asked for by the screen: view, frame, place in it, layer shown already.
    asked: Vec<Asked>,
    /// Whole, and not proven.
    proofs: VecDeque<At>,
    /// Being decoded, and whether the screen waits for it.
    busy: BTreeMap<At, bool>,
    ring: BTreeMap<At, Arc<Shown>>,
    came: VecDeque<At>,
    ring_bytes: u64,
}

struct Asked {
    view: u32,
    place: u32,
    at: At,
    above: Option<u8>,
}

impl Jobs {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
    /// The screen waits for a frame.
    pub(super) fn ask(&mut self, view: u32, place: u32, at: At, above: Option<u8>) {
        self.asked.retain(|a| !(a.view == view && a.place == place));
        self.asked.push(Asked {
            view,
            place,
            at,
            above,
        });
    }
    /// A frame is whole.
    pub(super) fn whole(&mut self, at: At) {
        if self.proofs.len() < PROOFS_MOST {
            self.proofs.push_back(at);
        }
    }
    /// What is decoded of a frame.
    pub(super) fn shown(&self, at: At) -> Option<Arc<Shown>> {
        self.ring.get(&at).cloned()
    }
    /// Whether a frame is being decoded; then what comes out is kept for the screen.
    pub(super) fn is_busy(&mut self, at: At) -> bool {
        self.busy.get_mut(&at).map(|keep| *keep = true).is_some()
    }
    /// Nothing of these packs is wanted any more.
    pub(super) fn leave(&mut self, view: u32, gone: impl Fn(At) -> bool) {
        self.asked.retain(|a| a.view != view);
        self.proofs.retain(|at| !gone(*at));
        let (ring, bytes) = (&mut self.ring, &mut self.ring_bytes);
        self.came.retain(|at| {
            let goes = gone(*at);
            if goes && let Some(s) = ring.remove(at) {
                *bytes -= s.plain.len() as u64;
            }
            !goes
        });
    }
    fn keep(&mut self, at: At, shown: Shown) {
        self.forget(at);
        self.ring_bytes += shown.plain.len() as u64;
        self.ring.insert(at, Arc::new(shown));
        self.came.push_back(at);
        while self.ring_bytes > RING_MOST && self.came.len() > 1 {
            let Some(old) = self.came.front().copied() else {
                break;
            };
            self.forget(old);
        }
    }
    fn forget(&mut self, at: At) {
        if let Some(s) = self.ring.remove(&at) {
            self.ring_bytes -= s.plain.len() as u64;
        }
        self.came.retain(|a| *a != at);
    }
}

/// One decode.
struct Job {
    at: At,
    frame: Arc<Frame>,
    hash: Vec<u8>,
    leave: OpenSeries,
    ram: BTreeMap<u8, bytes::Bytes>,
    /// Segments to use.
    take: usize,
    session: u64,
}

impl Core {
    fn job(&mut self) -> Option<Job> {
        // Nearest to what its view looks at; of two as near the one asked for last.
        let mut best: Option<(u32, usize)> = None;
        for (n, a) in self.jobs.asked.iter().enumerate() {
            if self.jobs.busy.contains_key(&a.at) || !self.may(a) {
                continue;
            }
            let center = self.views.get(&a.view).map_or(0, |v| v.center);
            let far = center.abs_diff(a.place);
            if best.is_none_or(|(f, _)| far <= f) {
                best = Some((far, n));
            }
        }
        if let Some((_, n)) = best {
            let a = self.jobs.asked.remove(n);
            let take = self.take(&a)?;
            return self.make(a.at, take, true);
        }
        while let Some(at) = self.jobs.proofs.pop_front() {
            let due = self
                .packs
                .one(at)
                .is_some_and(|o| o.verdict == Verdict::None && o.here() == o.layers().len());
            if due && !self.jobs.busy.contains_key(&at) {
                let whole = self.packs.one(at).map_or(0, |o| o.layers().len());
                return self.make(at, whole, false);
            }
        }
        None
    }

    /// Whether more of it is here than is decoded and shown.
    fn may(&self, a: &Asked) -> bool {
        let Some(one) = self.packs.one(a.at) else {
            return false;
        };
        let here = one
            .here()
            .checked_sub(1)
            .and_then(|n| one.layers().get(n).copied());
        let decoded = self.jobs.ring.get(&a.at).map(|s| s.layer).max(a.above);
        one.verdict != Verdict::Failed && here.is_some_and(|l| decoded.is_none_or(|d| l > d))
    }

    /// How many segments to decode: all that are here; of a large frame of which nothing is shown yet its preview first.
    fn take(&self, a: &Asked) -> Option<usize> {
        let one = self.packs.one(a.at)?;
        let here = one.here();
        let f = one.index.as_ref()?;
        let large = u64::from(f.shape.columns) * u64::from(f.shape.rows) > LARGE;
        if large
            && here > 1
            && here == f.segments.len()
            && a.above.is_none()
            && !self.jobs.ring.contains_key(&a.at)
        {
            return Some(here - 1);
        }
        Some(here)
    }

    fn make(&mut self, at: At, take: usize, keep: bool) -> Option<Job> {
        let frame = self.packs.frame(at)?;
        let p = self.packs.get(at.0)?;
        let job = Job {
            at,
            frame,
            hash: p.hash.clone(),
            leave: p.leave.clone(),
            ram: self.packs.in_ram(at),
            take,
            session: self.session,
        };
        self.jobs.busy.insert(at, keep);
        Some(job)
    }
}

/// What a decode gave.
enum Gave {
    Shown(Shown),
    /// Fewer segments are here than was thought; which are.
    Missing(u8),
    /// The database did not answer: what is there is not known.
    Unread,
    /// Whole pixels with another digest.
    Other,
    Failed,
}

/// A thread's work, until the workstation closes.
pub(super) fn run(shared: &Arc<Shared>) {
    loop {
        let job = {
            let mut core = shared.core();
            loop {
                if shared.stopped() {
                    return;
                }
                if let Some(job) = core.job() {
                    break job;
                }
                core = shared.work.wait(core).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let gave = decode(&job);
        if matches!(gave, Gave::Unread) {
            std::thread::sleep(UNREAD);
        }
        done(shared, job, gave);
    }
}

fn decode(job: &Job) -> Gave {
    let f = &job.frame;
    let wanted: Vec<(u8, &pack::Segment)> = f
        .segments
        .iter()
        .enumerate()
        .map(|(n, s)| (f.coding.layer(&f.shape, n), s))
        .take(job.take)
        .collect();
    let mut stored: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    if wanted.iter().any(|(l, _)| !job.ram.contains_key(l)) {
        stored = match job.leave.segments(&job.hash, job.at.1) {
            Ok(stored) => stored,
            Err(StoreError::Damaged(_)) => BTreeMap::new(),
            Err(e) => {
                tracing::warn!(error = %e, "stored images cannot be read now");
                return Gave::Unread;
            }
        };
    }
    let mut segments: Vec<&[u8]> = Vec::with_capacity(wanted.len());
    let mut found = 0_u8;
    for (layer, s) in &wanted {
        let body = match (job.ram.get(layer), stored.get(layer)) {
            (Some(b), _) => b.as_ref(),
            (None, Some(b)) if pack::verify(b, s).is_ok() => b.as_slice(),
            _ => return Gave::Missing(found),
        };
        found |= 1 << layer;
        segments.push(body);
    }
    // The codec catches its own panics; another layer costs nothing.
    let decoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        layers::decode(f.shape, f.coding, &segments)
    }));
    let Ok(Ok(d)) = decoded else { return Gave::Failed };
    let exact = d.exact && digest(&d.plain) == f.pixels;
    if d.exact && !exact {
        return Gave::Other;
    }
    Gave::Shown(Shown {
        layer: wanted.last().map_or(0, |(l, _)| *l),
        columns: d.columns,
        rows: d.rows,
        exact,
        plain: d.plain,
    })
}

fn done(shared: &Arc<Shared>, job: Job, gave: Gave) {
    let mut core = shared.core();
    if core.session != job.session {
        return;
    }
    let at = job.at;
    let keep = core.jobs.busy.remove(&at).unwrap_or(false);
    match gave {
        Gave::Shown(shown) => {
            if shown.exact
                && let Some(one) = core.packs.one_mut(at)
                && one.verdict != Verdict::Exact
            {
                one.verdict = Verdict::Exact;
                shared.write(Write::Proven {
                    leave: job.leave,
                    pack: job.hash,
                    frame: at.1,
                });
            }
            if keep && core.packs.one(at).is_some() {
                core.jobs.keep(at, shown);
            }
        }
        // Whoever waits for it asks again.
        Gave::Unread => {}
        Gave::Missing(found) => {
            tracing::warn!("a stored image cannot be read: it is fetched again");
            let mut refetch = Vec::new();
            if let Some(one) = core.packs.one_mut(at) {
                refetch.extend(
                    (0..LAYERS)
                        .filter(|l| one.disk >> l & 1 == 1 && one.ram >> l & 1 == 0 && found >> l & 1 == 0),
                );
                one.disk &= found;
                one.verdict = Verdict::None;
            }
            for layer in refetch {
                core.again(at, layer);
            }
            // Those before it are sound: offline they are all there is.
            shared.write(Write::Drop {
                leave: job.leave,
                pack: job.hash,
                frame: at.1,
                from: u8::try_from(found.trailing_ones()).unwrap_or(0),
            });
        }
        Gave::Other => {
            let again = core
                .packs
                .one_mut(at)
                .is_some_and(|o| !std::mem::replace(&mut o.anew, true));
            if again {
                tracing::error!("an image is not what its index says: it is fetched anew");
                core.packs.forget(at);
                shared.write(Write::Drop {
                    leave: job.leave,
                    pack: job.hash,
                    frame: at.1,
                    from: 0,
                });
                for layer in 0..LAYERS {
                    core.again(at, layer);
                }
            } else if let Some(one) = core.packs.one_mut(at) {
                tracing::error!("an image is not what its index says, again: it is not shown");
                one.verdict = Verdict::Failed;
            }
        }
        Gave::Failed => {
            tracing::error!("an image cannot be decoded");
            if let Some(one) = core.packs.one_mut(at) {
                one.verdict = Verdict::Failed;
            }
        }
    }
    core.changed(at);
    core.pump(shared);
}
