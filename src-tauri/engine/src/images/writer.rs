//! The thread that writes to the disk: in batches, so that a sync is shared by many segments.

use super::Shared;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::{Images, IndexPiece, NewPack, NewSegment, OpenSeries};
use vitrine_wire::images::{PackRef, Without};

/// Bytes, and time, after which what was gathered is written.
const BATCH: (usize, Duration) = (4 << 20, Duration::from_millis(250));
/// Bytes that are given up at least when the disk is full.
const ROOM: u64 = 256 << 20;
/// Bytes written after which the quota is looked at.
const LOOK: u64 = 64 << 20;

/// Something to be written.
pub(super) enum Write {
    /// What the server told of a series.
    Series {
        leave: OpenSeries,
        packs: Vec<PackRef>,
        without: Vec<Without>,
        preparing: u32,
    },
    /// A piece of an index.
    Index {
        leave: OpenSeries,
        pack: Vec<u8>,
        first: u32,
        frames: u32,
        body: bytes::Bytes,
    },
    /// A segment.
    Segment {
        leave: OpenSeries,
        slot: u32,
        pack: Vec<u8>,
        frame: u32,
        layer: u8,
        body: bytes::Bytes,
    },
    /// What is stored of a frame is wrong, from a layer on.
    Drop {
        leave: OpenSeries,
        pack: Vec<u8>,
        frame: u32,
        from: u8,
    },
    /// A frame is whole, and its pixels had their digest.
    Proven {
        leave: OpenSeries,
        pack: Vec<u8>,
        frame: u32,
    },
    /// A series was looked at.
    Used { leave: OpenSeries },
}

/// What else is kept of a series.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Kept {
    pub(super) without: Vec<Without>,
    pub(super) preparing: u32,
}

/// The way to the thread.
pub(super) struct Writer {
    way: Sender<Write>,
    queued: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn put(&self, write: Write) {
        self.queued.fetch_add(size(&write) as u64, Ordering::AcqRel);
        let _ = self.way.send(write);
    }
    pub(super) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Acquire)
    }
}

fn size(write: &Write) -> usize {
    match write {
        Write::Index { body, .. } | Write::Segment { body, .. } => body.len(),
        _ => 0,
    }
}

/// Begins the thread; it ends when its [`Writer`] is dropped and everything is written.
pub(super) fn start(shared: &Arc<Shared>) -> (Writer, Option<std::thread::JoinHandle<()>>) {
    let (way, due) = channel();
    let queued = Arc::new(AtomicU64::new(0));
    let (weak, count, store) = (Arc::downgrade(shared), Arc::clone(&queued), shared.store());
    let quota = shared.quota;
    let clock = Arc::clone(&shared.clock);
    let thread = std::thread::Builder::new()
        .name("images-disk".to_owned())
        .spawn(move || {
            let Some(store) = store else { return };
            super::give_way();
            let mut since_look = 0;
            while let Some(batch) = gather(&due) {
                let bytes: usize = batch.iter().map(size).sum();
                since_look += write(&weak, &store, batch, clock.now().0);
                count.fetch_sub(bytes as u64, Ordering::AcqRel);
                if since_look >= LOOK {
                    since_look = 0;
                    evict(&weak, &store, quota);
                }
            }
        });
    (Writer { way, queued }, thread.ok())
}

/// What is to be written next; `None` at the end.
fn gather(due: &Receiver<Write>) -> Option<Vec<Write>> {
    let first = due.recv().ok()?;
    let mut bytes = size(&first);
    let mut batch = vec![first];
    let since = crate::clock::Stopwatch::start();
    while bytes < BATCH.0 {
        let spent = Duration::from_secs_f64((since.ms() / 1_000.0).max(0.0));
        match due.recv_timeout(BATCH.1.saturating_sub(spent)) {
            Ok(next) => {
                bytes += size(&next);
                batch.push(next);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(batch)
}

/// Frames by pack and number.
type Proofs = Vec<(Vec<u8>, u32)>;

/// Writes in order; segments of the same series one behind the other share a transaction. Gives the bytes written.
fn write(shared: &Weak<Shared>, store: &Images, batch: Vec<Write>, now: i64) -> u64 {
    let mut written = 0;
    let mut segments: Vec<Write> = Vec::new();
    let mut proofs: Vec<(OpenSeries, Proofs)> = Vec::new();
    for w in batch {
        let w = match w {
            Write::Proven { leave, pack, frame } => {
                match proofs.last_mut() {
                    Some((of, all)) if of.same(&leave) => all.push((pack, frame)),
                    _ => proofs.push((leave, vec![(pack, frame)])),
                }
                continue;
            }
            other => other,
        };
        if let Write::Segment { leave, .. } = &w {
            let other = match segments.first() {
                Some(Write::Segment { leave: first, .. }) => !first.same(leave),
                _ => false,
            };
            if other {
                written += put_segments(shared, store, &std::mem::take(&mut segments));
            }
            segments.push(w);
            continue;
        }
        written += put_segments(shared, store, &std::mem::take(&mut segments));
        let done = match &w {
            Write::Series {
                leave,
                packs,
                without,
                preparing,
            } => {
                let hashes: Vec<_> = packs
                    .iter()
                    .filter_map(|p| Some((crate::entropy::unhex(&p.id)?, p)))
                    .collect();
                let packs: Vec<_> = hashes
                    .iter()
                    .map(|(hash, p)| NewPack {
                        hash,
                        frames: p.frames,
                        bytes: p.bytes,
                    })
                    .collect();
                let kept = Kept {
                    without: without.clone(),
                    preparing: *preparing,
                };
                store.put_series(leave, &packs, &serde_json::to_vec(&kept).unwrap_or_default(), now)
            }
            Write::Index {
                leave,
                pack,
                first,
                frames,
                body,
            } => store.put_index(
                leave,
                &[IndexPiece {
                    pack,
                    first: *first,
                    frames: *frames,
                    body,
                }],
            ),
            Write::Drop {
                leave,
                pack,
                frame,
                from,
            } => store.drop_segments(leave, &[(pack.as_slice(), *frame, *from)]),
            Write::Used { leave } => store.used(leave, now),
            Write::Segment { .. } | Write::Proven { .. } => Ok(()),
        };
        if let Err(e) = done {
            tracing::warn!(error = %e, "what was told of images could not be kept");
        }
    }
    written += put_segments(shared, store, &segments);
    // Behind the segments that they are about, and together: a commit for each would cost more than it is worth.
    for (of, all) in proofs {
        if let Err(e) = store.put_proofs(&of, &all) {
            tracing::warn!(error = %e, "what images are proven could not be kept");
        }
    }
    written
}

fn put_segments(shared: &Weak<Shared>, store: &Images, segments: &[Write]) -> u64 {
    let mut due = Vec::with_capacity(segments.len());
    let mut of = None;
    for w in segments {
        if let Write::Segment {
            leave,
            pack,
            frame,
            layer,
            body,
            ..
        } = w
        {
            of = Some(leave);
            due.push(NewSegment {
                pack,
                frame: *frame,
                layer: *layer,
                body,
            });
        }
    }
    let Some(of) = of else { return 0 };
    let mut done = store.put_segments(of, &due);
    if matches!(done, Err(StoreError::Full(_))) {
        // What was not looked at for long makes room; what is open stays.
        let most = store.bytes().unwrap_or(0).saturating_sub(ROOM);
        evict(shared, store, most);
        done = store.put_segments(of, &due);
    }
    match done {
        Ok((bytes, kept)) => {
            if let Some(shared) = shared.upgrade() {
                let mut core = shared.core();
                for (w, _) in segments.iter().zip(kept).filter(|(_, kept)| *kept) {
                    if let Write::Segment {
                        slot, frame, layer, ..
                    } = w
                        && let Some(one) = core.packs.one_mut((*slot, *frame))
                        // What was forgotten meanwhile is not here.
                        && one.ram >> layer & 1 == 1
                    {
                        one.disk |= 1 << layer;
                    }
                }
            }
            bytes
        }
        Err(e) => {
            tracing::warn!(error = %e, "images could not be kept: they stay in RAM as long as there is room");
            0
        }
    }
}

fn evict(shared: &Weak<Shared>, store: &Images, quota: u64) {
    let open: Vec<OpenSeries> = shared
        .upgrade()
        .map(|s| s.core().views.values().map(|v| v.leave.clone()).collect())
        .unwrap_or_default();
    match store.evict(quota, &open) {
        Ok(0) => {}
        Ok(studies) => tracing::info!(studies, "images of studies not used for long were evicted"),
        Err(e) => tracing::warn!(error = %e, "images could not be evicted"),
    }
}
