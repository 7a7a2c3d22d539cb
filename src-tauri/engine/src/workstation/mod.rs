//! The facade: a workstation without a window. Everything the desktop and `vitrine-cli` may ask of it.
//!
//! Lives here: opening and closing a profile, the background work, what is told without signing in. Never here: the
//! acts of a person ([`acts`] and what it calls), what opened databases hold (that is `station`).
//! Called by the desktop shell and by `vitrine-cli`.

mod acts;
mod board;
mod cards;
mod chart;
mod entries;
mod images;
mod owed;
mod packet;
#[cfg(test)]
mod policy_matrix;
mod results;
mod scan;
mod search;
mod wall;

pub use acts::{Beside, IdentityToken};
pub use packet::Packet;
pub use search::SEARCH_ROWS;

use crate::EngineError;
use crate::break_glass::after;
use crate::cache;
use crate::clock::Clock;
use crate::drill;
use crate::horizon;
use crate::keys;
use crate::link::{self, Started};
use crate::profile::Profile;
use crate::reliance;
use crate::session::Ended;
use crate::station::{Station, events};
use crate::status;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::broadcast;
use vitrine_access::grant::GRANT_MS;
use vitrine_clinical::say;
use vitrine_store::StoreError;
use vitrine_wire::sync_view::{CheckView, SyncView};
use vitrine_wire::view::{DataAge, EngineEvent, LockView, StatusView};

/// How a workstation is opened.
#[derive(Clone)]
pub struct Options {
    /// Synchronise with the server in the background (one program of a profile at a time).
    pub sync: bool,
    /// Lock after so long without an act.
    pub idle_lock: Duration,
    /// Emergency access lasts so long; never longer than [`vitrine_access::grant::GRANT_MS`].
    pub emergency_access: Duration,
    /// Size of the reserve kept for a full disk, bytes.
    pub ballast_bytes: u64,
    /// Runtime for background work; `None` takes the caller's, or makes one.
    pub runtime: Option<tokio::runtime::Handle>,
    /// Records kept for each user; the least recently opened go first.
    pub records_kept: usize,
    /// Most bytes of images beyond previews kept on the disk; the studies least recently looked at go first.
    pub images_bytes: u64,
    /// Where the TPM is that may keep the device's keys: a TCTI string, see [`keys::tpm_here`].
    pub tpm: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: true,
            idle_lock: Duration::from_secs(120),
            emergency_access: Duration::from_millis(GRANT_MS.unsigned_abs()),
            ballast_bytes: 64 << 20,
            runtime: None,
            records_kept: 200,
            images_bytes: 20 << 30,
            tpm: keys::tpm_here(),
        }
    }
}

enum Stand {
    Ready(Arc<Station>),
    Closed(Closed),
}

/// Why a workstation cannot be used; kept, because an error cannot be copied.
enum Closed {
    NotEnrolled,
    Revoked,
    Keys(String),
    Unsafe(String),
    /// By [`Workstation::close`].
    Ended,
}

impl Closed {
    fn error(&self) -> EngineError {
        match self {
            Self::NotEnrolled => EngineError::NotEnrolled,
            Self::Revoked => EngineError::Revoked,
            Self::Keys(why) => EngineError::KeysMissing(why.clone()),
            Self::Unsafe(why) => EngineError::Unsafe(why.clone()),
            Self::Ended => EngineError::Store(StoreError::Closed),
        }
    }
}

struct Inner {
    stand: RwLock<Stand>,
    events: broadcast::Sender<EngineEvent>,
    link: Mutex<Option<Started>>,
    handle: tokio::runtime::Handle,
    own: Mutex<Option<tokio::runtime::Runtime>>,
    options: Options,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A runtime must not be waited for within another one.
        if let Some(runtime) = self.own.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

/// A workstation. Cheap to clone.
#[derive(Clone)]
pub struct Workstation {
    inner: Arc<Inner>,
}

impl Workstation {
    /// Opens a profile folder. A profile that is not enrolled, revoked, or whose keys are missing opens too: its lock
    /// view says so and every act fails with that reason.
    ///
    /// # Errors
    /// [`EngineError::Io`] when the folder cannot be used; [`EngineError::Usage`] when `device.json` is damaged.
    pub fn open(profile_dir: &Path, options: Options) -> Result<Self, EngineError> {
        let profile = Profile::at(profile_dir)?;
        let (handle, own) = match options
            .runtime
            .clone()
            .or_else(|| tokio::runtime::Handle::try_current().ok())
        {
            Some(handle) => (handle, None),
            None => {
                let own = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .thread_name("workstation")
                    .enable_all()
                    .build()
                    .map_err(EngineError::io("starting background work"))?;
                (own.handle().clone(), Some(own))
            }
        };
        Self::open_profile(&profile, options, handle, own)
    }

    fn open_profile(
        profile: &Profile,
        options: Options,
        handle: tokio::runtime::Handle,
        own: Option<tokio::runtime::Runtime>,
    ) -> Result<Self, EngineError> {
        let events = events();
        let stand = match profile.read_device()? {
            None => Stand::Closed(Closed::NotEnrolled),
            Some(d) if d.revoked => Stand::Closed(Closed::Revoked),
            Some(d) => match Station::open(
                profile.clone(),
                d,
                Arc::new(Clock::new()),
                events.clone(),
                options.clone(),
            ) {
                Ok(station) => Stand::Ready(Arc::new(station)),
                Err(EngineError::KeysMissing(why)) => Stand::Closed(Closed::Keys(why)),
                Err(EngineError::Unsafe(why)) => Stand::Closed(Closed::Unsafe(why)),
                Err(other) => return Err(other),
            },
        };
        let inner = Arc::new(Inner {
            stand: RwLock::new(stand),
            events,
            link: Mutex::new(None),
            handle,
            own: Mutex::new(own),
            options: options.clone(),
        });
        let workstation = Self { inner };
        if let Ok(station) = workstation.station() {
            workstation.watch(&station);
            if options.sync {
                workstation.synchronise()?;
            }
        }
        Ok(workstation)
    }

    /// Makes the essentials anew where damage keeps them from being written: everything is fetched into a new file beside them,
    /// checked, and only then put in their place. Until then, and when the server does not give everything within `limit`, what
    /// is here stays as it is. No other program may have the profile open.
    ///
    /// # Errors
    /// [`EngineError::Usage`] while another program synchronises this profile; [`EngineError::Offline`] when not everything came
    /// in time; [`EngineError::Damaged`] when what came does not hold either; [`EngineError::Io`].
    pub async fn renew(profile_dir: &Path, limit: Duration) -> Result<CheckView, EngineError> {
        let profile = Profile::at(profile_dir)?;
        // Held while it is tried; the engine below takes it for itself.
        let Some(lock) = profile.take_link()? else {
            return Err(EngineError::Usage(say!(
                "this profile is synchronised by another program: close it first",
                "dieses Profil wird von einem anderen Programm synchronisiert: dieses zuerst schließen"
            )));
        };
        let next = profile.renewing()?;
        drop(lock);
        let options = Options {
            sync: true,
            ..Options::default()
        };
        let ws = Self::open_profile(&next, options, tokio::runtime::Handle::current(), None)?;
        ws.usable()?;
        let fetched = ws.wait_current(limit).await;
        let found = match &fetched {
            Ok(true) => Some(ws.verify_stored().await),
            _ => None,
        };
        let closed = tokio::task::spawn_blocking(move || ws.close(limit)).await;
        if !matches!(closed, Ok(true)) {
            return Err(EngineError::Internal("closing what was made anew"));
        }
        let done = match (fetched, found) {
            (Ok(_), Some(Ok(found))) if found.parts.first().is_some_and(|p| p.ok) => {
                next.put_in_place().map(|()| found)
            }
            (Ok(_), Some(Ok(_))) => Err(EngineError::Damaged {
                what: next.essentials().display().to_string(),
            }),
            (Ok(_), Some(Err(e))) | (Err(e), _) => Err(e),
            (Ok(_), None) => Err(EngineError::Offline(say!(
                "not everything came within {limit} s; what was here stays",
                "innerhalb von {limit} s kam nicht alles an; was hier war, bleibt",
                limit = limit.as_secs()
            ))),
        };
        if done.is_err() {
            next.forget_next()?;
        }
        done
    }

    fn station(&self) -> Result<Arc<Station>, EngineError> {
        match &*self.inner.stand.read().unwrap_or_else(PoisonError::into_inner) {
            Stand::Ready(station) => Ok(Arc::clone(station)),
            Stand::Closed(why) => Err(why.error()),
        }
    }

    /// Fails with the reason when this workstation cannot be used (not enrolled, revoked, keys missing).
    ///
    /// # Errors
    /// That reason.
    pub fn usable(&self) -> Result<(), EngineError> {
        self.station().map(|_| ())
    }

    /// Waits until the server has answered about a person who was let in by what is here, at most so long.
    pub async fn settled(&self, limit: Duration) {
        let Ok(station) = self.station() else { return };
        let mut asking = station.asking.subscribe();
        let _ = tokio::time::timeout(limit, asking.wait_for(|n| *n == 0)).await;
    }

    /// Idle lock and regular status, as long as the workstation is open.
    fn watch(&self, station: &Arc<Station>) {
        let station = Arc::downgrade(station);
        self.inner.handle.spawn(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            let mut n = 0_u32;
            loop {
                second.tick().await;
                let Some(station) = station.upgrade() else { return };
                station.idle_check();
                after::tell_over(&station);
                if station.drill.over(&station) {
                    let station = Arc::clone(&station);
                    let _ = tokio::task::spawn_blocking(move || drill::end_over(&station)).await;
                }
                if n.is_multiple_of(60) {
                    let station = Arc::clone(&station);
                    let _ = tokio::task::spawn_blocking(move || horizon::keep(&station)).await;
                }
                n = n.wrapping_add(1);
                if n.is_multiple_of(10) && station.events.receiver_count() > 0 {
                    let _ = tokio::task::spawn_blocking(move || station.tell_status()).await;
                }
            }
        });
    }

    /// Begins to synchronise in the background. False when another program of this profile does already.
    ///
    /// # Errors
    /// That of a workstation that cannot be used.
    pub fn synchronise(&self) -> Result<bool, EngineError> {
        let station = self.station()?;
        let mut link = self.inner.link.lock().unwrap_or_else(PoisonError::into_inner);
        if link.is_some() {
            return Ok(true);
        }
        let Some(lock) = station.profile.take_link()? else {
            return Ok(false);
        };
        let again = Arc::clone(&station);
        self.inner.handle.spawn_blocking(move || {
            match again.essentials.reindex(cache::WORDS, cache::card_words) {
                Ok(0) => {}
                Ok(cards) => tracing::info!(cards, "the words that find a patient were made anew"),
                Err(e) => tracing::warn!(error = %e, "the words that find a patient are those of before"),
            }
        });
        let weak = Arc::downgrade(&self.inner);
        let revoked = move || {
            if let Some(inner) = weak.upgrade() {
                *inner.stand.write().unwrap_or_else(PoisonError::into_inner) = Stand::Closed(Closed::Revoked);
                let _ = inner.events.send(EngineEvent::Locked);
            }
        };
        *link = Some(link::start(&station, lock, &self.inner.handle, revoked)?);
        Ok(true)
    }

    /// Asks the server now instead of waiting for the next attempt (F5).
    pub fn ask_server_now(&self) {
        if let Ok(station) = self.station() {
            station.command(link::Command::Now);
        }
    }

    /// Closes the workstation for all its clones: ends the session and the synchronisation, and waits, at most so
    /// long, until no thread has a database open. True when that is so. A process must not end before: its exit
    /// frees SQLCipher beneath whoever still reads. Every later act fails with [`StoreError::Closed`].
    ///
    /// Not to be called on a thread of a runtime.
    #[must_use]
    pub fn close(&self, limit: Duration) -> bool {
        let mut gone = {
            let mut stand = self.inner.stand.write().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *stand, Stand::Closed(Closed::Ended)) {
                Stand::Closed(_) => return true,
                Stand::Ready(station) => {
                    drill::end(&station, drill::How::Program);
                    station.lock(Ended::Closing);
                    station.closing.send_replace(true);
                    station.gone.subscribe()
                }
            }
        };
        self.stop_synchronising();
        self.inner.handle.block_on(async move {
            // An error says that the other end was dropped, which is what is waited for.
            tokio::time::timeout(limit, gone.changed()).await.is_ok()
        })
    }

    /// Resolves when no thread has a database of this workstation open any more: for a program that drops its clones and ends, which it
    /// must not do before (see [`Self::close`]).
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let gone = self.station().ok().map(|s| s.gone.subscribe());
        async move {
            let Some(mut gone) = gone else { return };
            // An error says that the other end was dropped, which is what is waited for.
            while gone.changed().await.is_ok() {}
        }
    }

    /// Ends the synchronisation of this program.
    pub fn stop_synchronising(&self) {
        self.inner
            .link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Waits until every scope is current and everything written here is acknowledged by the server; false when that
    /// did not happen in time.
    ///
    /// # Errors
    /// That of a workstation that cannot be used.
    pub async fn wait_current(&self, limit: Duration) -> Result<bool, EngineError> {
        let mut current = {
            let link = self.inner.link.lock().unwrap_or_else(PoisonError::into_inner);
            match link.as_ref() {
                Some(l) => l.current.clone(),
                None => return Ok(false),
            }
        };
        let whole = async {
            loop {
                if current.wait_for(|c| *c).await.is_err() {
                    return false;
                }
                let Ok(station) = self.station() else { return false };
                // What cannot be counted has not arrived.
                let waiting = station.outbox.tally().map_or(1, |t| t.audit + t.grants);
                let entries = station.outbox.entry_tally().map_or(1, |t| t.queued);
                if waiting + entries == 0 {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        Ok(tokio::time::timeout(limit, whole).await.unwrap_or(false))
    }

    /// What the engine tells without being asked.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.inner.events.subscribe()
    }

    /// The lock screen. Never fails: a workstation that cannot be used says why.
    #[must_use]
    pub fn lock_view(&self) -> LockView {
        match self.station() {
            Ok(station) => status::lock_view(&station),
            Err(e) => status::closed_view(&e),
        }
    }

    /// The status strip.
    #[must_use]
    pub fn status(&self) -> StatusView {
        match self.station() {
            Ok(station) => status::status_view(&station),
            Err(e) => StatusView {
                age: DataAge::Unavailable,
                sentence: e.to_string(),
                ward: String::new(),
                workstation: String::new(),
                clock_text: String::new(),
                clock_warning: None,
                outbox: 0,
                unsent: 0,
                rejected: 0,
                outbox_oldest_text: None,
                critical: 0,
                critical_text: None,
                critical_due_text: None,
                patients: 0,
                loading_text: None,
                alarms: vec![e.to_string()],
                demo: false,
                drill_text: None,
            },
        }
    }

    /// What this workstation can be relied on for right now. Never fails: one that cannot be used says why.
    #[must_use]
    pub fn sync_view(&self) -> SyncView {
        match self.station() {
            Ok(station) => reliance::view(&station),
            Err(e) => reliance::closed(&e),
        }
    }

    /// The whole state for IT, as `vitrine-cli status --json` prints it.
    ///
    /// # Errors
    /// That of a workstation that cannot be used; [`EngineError::Damaged`].
    pub fn status_json(&self) -> Result<serde_json::Value, EngineError> {
        status::status_json(&*self.station()?)
    }

    /// The sealer's kind as shown.
    #[must_use]
    pub fn key_protection(&self) -> Option<&'static str> {
        self.station().ok().map(|s| s.sealer.kind().text())
    }

    /// How the workstation was opened.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.options
    }
}
