//! Packs of open series: their indexes, and which segments are here, in RAM or on the disk.
//!
//! Never here: the network, decoding. Called by the rest of `images`, with the lock held.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vitrine_pixels::pack::{self, Frame};
use vitrine_store_sqlcipher::workstation::{HeldPack, OpenSeries, PROVEN};

/// Compressed segments kept in RAM, bytes.
const RAM_MOST: u64 = 256 << 20;
/// Frames of a pack that are believed.
const FRAMES_MOST: u32 = 1 << 20;
/// Times that a segment is asked for again when what came was not it.
const TRIES: u8 = 3;
/// Layers of a frame.
pub(super) const LAYERS: u8 = 4;

/// A pack of an open series; its number in [`Packs`].
pub(super) type Slot = u32;
/// A frame of a pack.
pub(super) type At = (Slot, u32);

/// What decoding said of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Verdict {
    /// Nothing yet.
    #[default]
    None,
    /// Whole, and its digest matched.
    Exact,
    /// It cannot be decoded.
    Failed,
}

/// A pack.
pub(super) struct Pack {
    pub(super) id: String,
    pub(super) hash: Vec<u8>,
    pub(super) leave: OpenSeries,
    pub(super) bytes: u64,
    /// Views that show it.
    pub(super) users: u32,
    pub(super) frames: Vec<One>,
    pub(super) indexed: u32,
}

/// A frame of a pack.
#[derive(Default)]
pub(super) struct One {
    pub(super) index: Option<Arc<Frame>>,
    /// A bit for each layer.
    pub(super) ram: u8,
    pub(super) disk: u8,
    /// Layers that the server cannot give.
    pub(super) lost: u8,
    pub(super) verdict: Verdict,
    /// Fetched anew because whole pixels had another digest.
    pub(super) anew: bool,
    tries: u8,
}

impl One {
    /// The layers of its segments, in order.
    pub(super) fn layers(&self) -> Vec<u8> {
        let Some(f) = &self.index else { return Vec::new() };
        (0..f.segments.len())
            .map(|n| f.coding.layer(&f.shape, n))
            .collect()
    }
    /// Segments that are here from the first on without a gap.
    pub(super) fn here(&self) -> usize {
        let bits = self.ram | self.disk;
        let layers = self.layers();
        let here = layers.iter().take_while(|l| bits >> **l & 1 == 1).count();
        // A smaller image of indices into a palette is none.
        let indices = self
            .index
            .as_ref()
            .is_some_and(|f| f.colour == vitrine_pixels::Colour::Palette);
        if indices && here < layers.len() { 0 } else { here }
    }
    /// As in `HeldView::frames`.
    pub(super) fn mark(&self) -> char {
        if self.verdict == Verdict::Failed {
            return 'x';
        }
        let Some(f) = &self.index else { return '0' };
        let here = self.here();
        if here == 0 {
            '0'
        } else if here == f.segments.len() {
            if self.verdict == Verdict::Exact { '5' } else { '4' }
        } else {
            match f.coding.layer(&f.shape, here - 1) {
                0 => '1',
                1 => '2',
                _ => '3',
            }
        }
    }
    /// Bytes of its segments that are here.
    pub(super) fn bytes(&self) -> u64 {
        let Some(f) = &self.index else { return 0 };
        let bits = self.ram | self.disk;
        let here = self
            .layers()
            .into_iter()
            .zip(&f.segments)
            .filter(|(l, _)| bits >> l & 1 == 1);
        here.map(|(_, s)| u64::from(s.len)).sum()
    }
    /// Lengths by layer and bits of what need not be asked for, for the plan.
    pub(super) fn planned(&self) -> ([u32; LAYERS as usize], u8) {
        let mut lengths = [0; LAYERS as usize];
        if let Some(f) = &self.index {
            for (n, s) in f.segments.iter().enumerate() {
                if let Some(l) = lengths.get_mut(usize::from(f.coding.layer(&f.shape, n))) {
                    *l = s.len;
                }
            }
        }
        let done = if self.verdict == Verdict::Failed {
            u8::MAX
        } else {
            0
        };
        (lengths, self.ram | self.disk | self.lost | done)
    }
}

/// A pack as the disk holds it, its index read: that takes too long for the lock.
pub(super) struct Stored {
    id: String,
    frames: u32,
    bytes: u64,
    pieces: Vec<(u32, Vec<Frame>)>,
    layers: Vec<u8>,
}

impl Stored {
    pub(super) fn read(held: HeldPack) -> Self {
        let pieces = held.pieces.iter().filter_map(|(first, _, body)| {
            let frames = pack::read_piece(body);
            if frames.is_err() {
                tracing::warn!("a stored index of images cannot be read: it is fetched again");
            }
            Some((*first, frames.ok()?))
        });
        Self {
            id: crate::entropy::hex(&held.hash),
            frames: held.frames,
            bytes: held.bytes,
            pieces: pieces.collect(),
            layers: held.layers,
        }
    }
}

/// The packs of all open series, and the segments in RAM.
#[derive(Default)]
pub(super) struct Packs {
    all: BTreeMap<Slot, Pack>,
    next: Slot,
    ram: BTreeMap<(Slot, u32, u8), Bytes>,
    /// In the order in which they came: the oldest goes first.
    came: VecDeque<(Slot, u32, u8)>,
    ram_bytes: u64,
    /// Segments that were not what the index says.
    wrong: u64,
}

/// What an arrived segment was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// New, and what the index says.
    New,
    /// Already here, or of a frame whose index is not.
    Nothing,
    /// Not what the index says: to be asked for again.
    Wrong,
    /// Not what the index says, too often.
    GivenUp,
}

impl Packs {
    pub(super) fn clear(&mut self) {
        *self = Self {
            next: self.next,
            ..Self::default()
        };
    }
    pub(super) fn get(&self, slot: Slot) -> Option<&Pack> {
        self.all.get(&slot)
    }
    pub(super) fn one(&self, at: At) -> Option<&One> {
        self.all.get(&at.0)?.frames.get(at.1 as usize)
    }
    pub(super) fn one_mut(&mut self, at: At) -> Option<&mut One> {
        self.all.get_mut(&at.0)?.frames.get_mut(at.1 as usize)
    }
    pub(super) fn frame(&self, at: At) -> Option<Arc<Frame>> {
        self.one(at)?.index.clone()
    }

    /// The layer that a frame's segment completes. On the line segments are counted: a frame that is not in layers has one,
    /// which is its last layer.
    pub(super) fn layer(&self, at: At, segment: u8) -> Option<u8> {
        self.one(at)?.layers().get(usize::from(segment)).copied()
    }
    /// The segment that completes a layer.
    pub(super) fn segment(&self, at: At, layer: u8) -> Option<u8> {
        let n = self.one(at)?.layers().iter().position(|l| *l == layer)?;
        u8::try_from(n).ok()
    }

    /// The pack of a series, if it is known.
    pub(super) fn find(&self, of: &OpenSeries, id: &str) -> Option<Slot> {
        self.all
            .iter()
            .find(|(_, p)| p.id == id && p.leave.same(of))
            .map(|(slot, _)| *slot)
    }

    /// A pack for one more view.
    pub(super) fn take(&mut self, of: &OpenSeries, id: &str, frames: u32, bytes: u64) -> Option<Slot> {
        if let Some(slot) = self.find(of, id) {
            if let Some(p) = self.all.get_mut(&slot) {
                p.users += 1;
            }
            return Some(slot);
        }
        let hash = crate::entropy::unhex(id).filter(|_| frames <= FRAMES_MOST)?;
        let slot = self.next;
        self.next = self.next.wrapping_add(1);
        let mut all = Vec::new();
        all.resize_with(frames as usize, One::default);
        self.all.insert(
            slot,
            Pack {
                id: id.to_owned(),
                hash,
                leave: of.clone(),
                bytes,
                users: 1,
                frames: all,
                indexed: 0,
            },
        );
        Some(slot)
    }

    /// The same with what the disk holds of it.
    pub(super) fn take_held(&mut self, of: &OpenSeries, held: &Stored) -> Option<Slot> {
        let known = self.find(of, &held.id).is_some();
        let slot = self.take(of, &held.id, held.frames, held.bytes)?;
        if !known {
            for (first, frames) in &held.pieces {
                if self.index(slot, *first, frames.clone()).is_none() {
                    tracing::warn!("a stored index of images does not fit: it is fetched again");
                }
            }
            if let Some(p) = self.all.get_mut(&slot) {
                for (one, bits) in p.frames.iter_mut().zip(&held.layers) {
                    one.disk = bits & !PROVEN;
                    if bits & PROVEN != 0 && one.here() > 0 && one.here() == one.layers().len() {
                        one.verdict = Verdict::Exact;
                    }
                }
            }
        }
        Some(slot)
    }

    /// A view shows it no more.
    pub(super) fn leave(&mut self, slot: Slot) {
        let Some(p) = self.all.get_mut(&slot) else { return };
        p.users = p.users.saturating_sub(1);
        if p.users > 0 {
            return;
        }
        self.all.remove(&slot);
        let gone: Vec<_> = self
            .ram
            .range((slot, 0, 0)..=(slot, u32::MAX, u8::MAX))
            .map(|(k, b)| (*k, b.len() as u64))
            .collect();
        for (key, len) in gone {
            self.ram.remove(&key);
            self.ram_bytes -= len;
        }
        self.came.retain(|k| k.0 != slot);
    }

    /// Takes a piece of an index; the number of its frames, `None` when it does not fit.
    pub(super) fn index(&mut self, slot: Slot, first: u32, frames: Vec<Frame>) -> Option<u32> {
        let p = self.all.get_mut(&slot)?;
        let from = first as usize;
        let places = p.frames.get_mut(from..from.checked_add(frames.len())?)?;
        let count = u32::try_from(frames.len()).ok()?;
        for (one, frame) in places.iter_mut().zip(frames) {
            if frame.shape.checked().is_err() || frame.segments.is_empty() {
                return None;
            }
            if one.index.replace(Arc::new(frame)).is_none() {
                p.indexed += 1;
            }
        }
        Some(count)
    }

    /// A segment came.
    pub(super) fn arrived(&mut self, at: At, layer: u8, body: &Bytes) -> Arrived {
        let Some(one) = self
            .all
            .get_mut(&at.0)
            .and_then(|p| p.frames.get_mut(at.1 as usize))
        else {
            return Arrived::Nothing;
        };
        let Some(f) = one.index.clone() else {
            return Arrived::Nothing;
        };
        if (one.ram | one.disk) >> layer & 1 == 1 || layer >= LAYERS {
            return Arrived::Nothing;
        }
        let segment = one
            .layers()
            .iter()
            .position(|l| *l == layer)
            .and_then(|n| f.segments.get(n));
        let Some(segment) = segment else {
            return Arrived::Nothing;
        };
        if pack::verify(body, segment).is_err() {
            self.wrong += 1;
            tracing::warn!(
                layer,
                times = self.wrong,
                "a segment that came is not what its index says"
            );
            one.tries = one.tries.saturating_add(1);
            if one.tries > TRIES {
                one.lost |= 1 << layer;
                return Arrived::GivenUp;
            }
            return Arrived::Wrong;
        }
        one.ram |= 1 << layer;
        let key = (at.0, at.1, layer);
        self.ram.insert(key, body.clone());
        self.came.push_back(key);
        self.ram_bytes += body.len() as u64;
        self.shrink();
        Arrived::New
    }

    /// The server has told its packs anew: what it could not give before is asked for again.
    pub(super) fn hope(&mut self, slot: Slot) {
        for one in self.all.get_mut(&slot).into_iter().flat_map(|p| &mut p.frames) {
            (one.lost, one.tries) = (0, 0);
        }
    }

    fn shrink(&mut self) {
        while self.ram_bytes > RAM_MOST {
            let Some(key) = self.came.pop_front() else { return };
            let Some(body) = self.ram.remove(&key) else {
                continue;
            };
            self.ram_bytes -= body.len() as u64;
            if let Some(one) = self.one_mut((key.0, key.1)) {
                one.ram &= !(1 << key.2);
            }
        }
    }

    /// Segments of a frame that are in RAM, by layer.
    pub(super) fn in_ram(&self, at: At) -> BTreeMap<u8, Bytes> {
        self.ram
            .range((at.0, at.1, 0)..=(at.0, at.1, u8::MAX))
            .map(|(k, b)| (k.2, b.clone()))
            .collect()
    }

    /// What is here of a frame is not what it should be: it is forgotten.
    pub(super) fn forget(&mut self, at: At) {
        for layer in 0..LAYERS {
            if let Some(body) = self.ram.remove(&(at.0, at.1, layer)) {
                self.ram_bytes -= body.len() as u64;
            }
        }
        if let Some(one) = self.one_mut(at) {
            (one.ram, one.disk) = (0, 0);
        }
    }
}
