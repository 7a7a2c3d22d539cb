//! Images at the workstation: lists, open series, the stream that fills them, their pixels for the screen.
//!
//! ```text
//! list / open ── permit, audit row ── view ──┐
//!   socket (own task) ── pieces ── arrive ── packs (RAM) ── writer (thread) ── images.db, images/
//!   plan (what is asked next) ┘                  └─ decode (threads) ── ring ── pixels (long poll of the screen)
//! ```
//! Lives here: the state of all of it, under one lock that is never held over a disk, a socket or a decode. Never here:
//! the rules of the order (`vitrine_dicom::stages`), the coding (`vitrine_pixels`), SQL, a window.
//! Called by the facade. Locking ends every view, token and connection and empties the RAM.

mod ahead;
mod arrive;
mod asks;
mod decode;
mod header;
mod list;
mod open;
mod packs;
mod pixels;
mod report;
mod socket;
mod thumb;
mod view;
mod words;
mod writer;

pub use pixels::Pixels;

pub(crate) use ahead::run as fetch_ahead;
pub(crate) use list::list;
pub(crate) use open::{center, close, held, open};
pub(crate) use pixels::pixels;
pub(crate) use thumb::thumbnail;

use crate::clock::Clock;
use asks::Asks;
use decode::Jobs;
use packs::Packs;
use socket::Line;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use view::View;
use vitrine_store_sqlcipher::workstation::{Images, OpenPatient};
use vitrine_wire::view::EngineEvent;

/// An emergency has the line for so long after the glass was broken.
const EMERGENCY: Duration = Duration::from_secs(5);
/// Views open at once; the one that was opened first goes.
const VIEWS_MOST: usize = 16;
/// Lists whose thumbnails can be asked for.
const LISTS_MOST: usize = 8;

/// Images of a workstation. Dropping it ends its threads and closes its database.
pub(crate) struct Imaging {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// What tasks and threads share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Something to decode.
    work: Condvar,
    store: Mutex<Option<Images>>,
    writer: Mutex<Option<writer::Writer>>,
    events: broadcast::Sender<EngineEvent>,
    clock: Arc<Clock>,
    /// Most bytes of the studies' files.
    quota: u64,
    stop: AtomicBool,
    /// Until when an emergency has the line, ms since the engine began.
    emergency_until: AtomicU64,
    /// Series opened for their small picture at once.
    thumbnails: tokio::sync::Semaphore,
    /// Sent when what is asked for may have changed, or a session ended.
    kick: watch::Sender<u64>,
}

/// The state.
#[derive(Default)]
pub(super) struct Core {
    packs: Packs,
    views: BTreeMap<u32, View>,
    last_view: u32,
    lists: BTreeMap<String, Listed>,
    line: Line,
    asks: Asks,
    jobs: Jobs,
    /// Lists that are waited for, by patient.
    told: BTreeMap<String, Vec<tokio::sync::oneshot::Sender<ListTold>>>,
    /// Grows when a session ends.
    session: u64,
    beating: bool,
}

/// The server's answer to [`vitrine_wire::images::Ask::List`].
type ListTold = Result<Vec<vitrine_wire::images::ListedStudy>, (vitrine_wire::ErrorCode, String)>;

/// A list that was given: its thumbnails may be asked for.
struct Listed {
    leave: OpenPatient,
    /// Study of each series.
    studies: BTreeMap<String, String>,
    /// To tell the oldest.
    number: u64,
}

impl Imaging {
    pub(crate) fn new(
        store: Images,
        events: broadcast::Sender<EngineEvent>,
        clock: Arc<Clock>,
        quota: u64,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                core: Mutex::default(),
                work: Condvar::new(),
                store: Mutex::new(Some(store)),
                writer: Mutex::new(None),
                events,
                clock,
                quota,
                stop: AtomicBool::new(false),
                emergency_until: AtomicU64::new(0),
                thumbnails: tokio::sync::Semaphore::new(2),
                kick: watch::channel(0).0,
            }),
            threads: Mutex::new(Vec::new()),
        }
    }

    /// Begins the threads that decode and write, once.
    pub(super) fn begin(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if !threads.is_empty() || self.shared.stop.load(Ordering::Acquire) {
            return;
        }
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        for _ in 0..cores.saturating_sub(1).clamp(1, 8) {
            let shared = Arc::clone(&self.shared);
            let made = std::thread::Builder::new()
                .name("images-decode".to_owned())
                .spawn(move || {
                    give_way();
                    decode::run(&shared);
                });
            threads.extend(made.ok());
        }
        let (writer, thread) = writer::start(&self.shared);
        *self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        threads.extend(thread);
    }

    /// The session ended: views, tokens, connection and RAM go. What waits for the disk is still written: it is sealed
    /// with the device's key.
    pub(crate) fn lock(&self) {
        let mut core = self.shared.core();
        core.session = core.session.wrapping_add(1);
        core.views.clear();
        core.lists.clear();
        core.told.clear();
        core.packs.clear();
        core.asks = Asks::default();
        core.jobs.clear();
        core.line.end();
        drop(core);
        self.shared.kick();
    }

    /// The glass was broken: for a while nothing is fetched but what is looked at.
    pub(crate) fn emergency(&self) {
        let until = self.shared.clock.elapsed().saturating_add(EMERGENCY);
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.shared.emergency_until.store(until, Ordering::Release);
    }
}

impl Drop for Imaging {
    fn drop(&mut self) {
        self.lock();
        {
            // With the lock held: no thread is between looking and waiting.
            let _core = self.shared.core();
            self.shared.stop.store(true, Ordering::Release);
        }
        self.shared.work.notify_all();
        self.shared.kick();
        self.shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let own = std::thread::current().id();
        for t in threads {
            if t.thread().id() != own {
                let _ = t.join();
            }
        }
        self.shared
            .store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Shared {
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn store(&self) -> Option<Images> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn write(&self, write: writer::Write) {
        if let Some(w) = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            w.put(write);
        }
    }
    /// Bytes that wait for the disk.
    pub(super) fn queued(&self) -> u64 {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map_or(0, writer::Writer::queued)
    }
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
    pub(super) fn kick(&self) {
        self.kick.send_modify(|n| *n = n.wrapping_add(1));
    }
    pub(super) fn in_emergency(&self) -> bool {
        let now = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.emergency_until.load(Ordering::Acquire)
    }
    pub(super) fn tell(&self, event: EngineEvent) {
        let _ = self.events.send(event);
    }
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What tasks that outlive an act hold.
pub(crate) fn shared(station: &crate::station::Station) -> Arc<Shared> {
    Arc::clone(&station.imaging.shared)
}

/// This thread gives way to those of the record: an emergency card is opened while a study is decoded, or what is stored is
/// checked. On Linux a niceness is a thread's own (setpriority(2)); elsewhere all are alike.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(error = %e, "a thread has the priority of everything else");
    }
}

/// A word that opens the image protocol: 128 random bits.
fn token() -> Result<String, crate::EngineError> {
    Ok(crate::entropy::hex(&crate::entropy::bytes::<16>()?))
}
