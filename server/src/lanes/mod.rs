//! Lanes: which requests are worked on, which wait, which are turned away.
//!
//! Lives here: the classes, their places and queues, the measurement of pressure. Never here: HTTP (that is
//! `http::lane`), policy. Held by `app`, started by `cli::serve`.
//! Writes have a lane beside what is read: while no primary of the database answers they wait for one, and would
//! otherwise keep the places of those who only want to see.
//! Each class has places of its own and a bounded queue in front of them: a flood in one takes nothing from another.
//! The emergency lane has a queue without end and no pressure closes it; one session holds at most four of its places,
//! and further requests of that session go the way of everybody else.

pub mod ask;
pub mod claims;
pub mod pressure;
pub mod workers;

use crate::app::App;
use crate::clock;
use crate::config;
use crate::http::auth::sign_in_row;
use claims::{Claimant, Claims};
use pressure::{Level, Pressure};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use vitrine_access::Kind;
use vitrine_clinical::WardId;
use workers::{Rank, Workers};

/// Places of the emergency lane that one session may hold.
const EACH: usize = 4;
/// Sessions looked up at once to find out whether a request is an emergency.
const LOOK_UPS: usize = 4;
/// The event loops have to be late so many times in a row to count as late.
const LATE: usize = 5;
/// How often pressure is measured.
const TICK: Duration = Duration::from_millis(100);

/// A class of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Never limited: liveness, the workstations' line.
    Control,
    /// Its own places, never turned away.
    Emergency,
    /// What the wards look at.
    Clinical,
    /// What they write.
    Write,
    /// Bundles and whole records of programs, imports.
    Bulk,
    /// New sessions.
    SignIn,
    /// Enrolment and administration.
    Admin,
}

impl Class {
    /// As the header and the metrics say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Emergency => "emergency",
            Self::Clinical => "clinical",
            Self::Write => "write",
            Self::Bulk => "bulk",
            Self::SignIn => "sign-in",
            Self::Admin => "admin",
        }
    }
    /// Its label in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Control => "lane=\"control\"",
            Self::Emergency => "lane=\"emergency\"",
            Self::Clinical => "lane=\"clinical\"",
            Self::Write => "lane=\"write\"",
            Self::Bulk => "lane=\"bulk\"",
            Self::SignIn => "lane=\"sign-in\"",
            Self::Admin => "lane=\"admin\"",
        }
    }
    const fn index(self) -> Option<usize> {
        match self {
            Self::Clinical => Some(0),
            Self::Bulk => Some(1),
            Self::SignIn => Some(2),
            Self::Admin => Some(3),
            Self::Write => Some(4),
            Self::Control | Self::Emergency => None,
        }
    }
}

/// Turned away; after so many seconds it may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    /// Seconds, with chance in them so that not all come back together.
    pub retry_after_s: u32,
}

struct Lane {
    class: Class,
    places: usize,
    free: Arc<Semaphore>,
    most_waiting: usize,
    /// Since when each waits, by number: the first has waited longest.
    waiting: Mutex<BTreeMap<u64, Instant>>,
}

/// How one lane stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Which.
    pub class: Class,
    /// Places.
    pub places: usize,
    /// Requests worked on.
    pub working: usize,
    /// Requests waiting.
    pub waiting: usize,
}

/// The lanes.
pub struct Lanes {
    lanes: [Lane; 5],
    emergency: Arc<Semaphore>,
    /// As many again for breaking the glass itself: a grant waits for the primary, and who reads does not wait for it.
    acts: Arc<Semaphore>,
    emergency_places: usize,
    emergency_waiting: AtomicUsize,
    /// Places of the emergency lane held, by session.
    held: Mutex<HashMap<[u8; 32], usize>>,
    /// Everything but emergencies and control, waiting or worked on.
    whole: Arc<Semaphore>,
    look_ups: Semaphore,
    /// Under pressure snapshots go one page at a time.
    trickle: Semaphore,
    next: AtomicU64,
    wait: Duration,
    /// What is turned away now.
    pub pressure: Pressure,
    /// Claims without entitlement.
    pub claims: Claims,
    /// Threads of all lanes but the emergency's.
    pub workers: Workers,
    /// Threads of the emergency's.
    pub first: Workers,
    /// Wards whose workstations read cards in the emergency lane.
    pub critical: Vec<WardId>,
}

/// A place; given back when dropped.
pub struct Place {
    _place: OwnedSemaphorePermit,
    _whole: OwnedSemaphorePermit,
}

/// A place of the emergency lane.
pub struct EmergencyPlace<'a> {
    lanes: &'a Lanes,
    session: [u8; 32],
    place: Option<OwnedSemaphorePermit>,
}

/// One who waits, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);
impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

struct Waits<'a>(&'a Lane, u64);
impl Drop for Waits<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).remove(&self.1);
    }
}

impl Drop for EmergencyPlace<'_> {
    fn drop(&mut self) {
        let mut held = lock(&self.lanes.held);
        if let Some(n) = held.get_mut(&self.session) {
            *n -= 1;
            if *n == 0 {
                held.remove(&self.session);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    /// Lanes as configured.
    ///
    /// # Errors
    /// When the worker threads cannot be started.
    pub fn new(config: &config::Config) -> std::io::Result<Self> {
        let c = &config.lanes;
        let lane = |class, places: usize| Lane {
            class,
            places,
            free: Arc::new(Semaphore::new(places)),
            most_waiting: c.waiting,
            waiting: Mutex::default(),
        };
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            lanes: [
                lane(Class::Clinical, c.clinical),
                lane(Class::Bulk, c.bulk),
                lane(Class::SignIn, c.sign_in),
                lane(Class::Admin, c.admin),
                lane(Class::Write, c.write),
            ],
            emergency: Arc::new(Semaphore::new(c.emergency)),
            acts: Arc::new(Semaphore::new(c.emergency)),
            emergency_places: c.emergency,
            emergency_waiting: AtomicUsize::new(0),
            held: Mutex::default(),
            whole: Arc::new(Semaphore::new(config.limits.requests)),
            look_ups: Semaphore::new(LOOK_UPS),
            trickle: Semaphore::new(1),
            next: AtomicU64::new(0),
            wait: Duration::from_millis(c.wait_ms),
            pressure: Pressure::new(c.shed_ms),
            claims: Claims::default(),
            workers: Workers::start("lane-worker", threads, Rank::Rest)?,
            // One more than can be held up by a read on the spot.
            first: Workers::start("emergency-worker", threads.max(3), Rank::First)?,
            critical: c
                .critical_wards
                .iter()
                .filter_map(|w| WardId::new(w.as_str()).ok())
                .collect(),
        })
    }

    /// A place of a class, after waiting for it where that is worth while.
    ///
    /// # Errors
    /// [`Shed`].
    pub async fn place(&self, class: Class) -> Result<Option<Place>, Shed> {
        let Some(lane) = class.index().map(|i| &self.lanes[i]) else {
            return Ok(None);
        };
        if class == Class::Bulk && self.pressure.level() >= Level::Bulk {
            return Err(shed(5, 10));
        }
        let full = || shed(1, 2);
        let whole = self.whole.clone().try_acquire_owned().map_err(|_| full())?;
        if let Ok(place) = lane.free.clone().try_acquire_owned() {
            return Ok(Some(Place {
                _place: place,
                _whole: whole,
            }));
        }
        let n = self.next.fetch_add(1, Relaxed);
        {
            let mut waiting = lock(&lane.waiting);
            if waiting.len() >= lane.most_waiting {
                return Err(full());
            }
            waiting.insert(n, clock::steady());
        }
        let _waits = Waits(lane, n);
        match tokio::time::timeout(self.wait, lane.free.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(Place {
                _place: place,
                _whole: whole,
            })),
            _ => Err(full()),
        }
    }

    /// A place of the emergency lane, for what is read or for breaking the glass (`acts`); `None` when this session holds
    /// its share already.
    pub async fn emergency(&self, session: [u8; 32], acts: bool) -> Option<EmergencyPlace<'_>> {
        {
            let mut held = lock(&self.held);
            let n = held.entry(session).or_default();
            if *n >= EACH.min(self.emergency_places) {
                return None;
            }
            *n += 1;
        }
        let mut held = EmergencyPlace {
            lanes: self,
            session,
            place: None,
        };
        self.emergency_waiting.fetch_add(1, Relaxed);
        let _waits = Counted(&self.emergency_waiting);
        let places = if acts { &self.acts } else { &self.emergency };
        held.place = places.clone().acquire_owned().await.ok();
        held.place.is_some().then_some(held)
    }

    /// Leave to look a session up before a request has a place; `None` when too many are looked up already.
    pub fn look_up(&self) -> Option<SemaphorePermit<'_>> {
        self.look_ups.try_acquire().ok()
    }

    /// A snapshot's turn to read a page: at once when the server is calm, one at a time when it is not.
    pub async fn page_turn(&self) -> Option<SemaphorePermit<'_>> {
        if self.pressure.level() < Level::Bulk {
            return None;
        }
        self.trickle.acquire().await.ok()
    }

    /// How the lanes stand, the emergency's first.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let emergency = Standing {
            class: Class::Emergency,
            places: 2 * self.emergency_places,
            working: 2 * self.emergency_places
                - self.emergency.available_permits()
                - self.acts.available_permits(),
            waiting: self.emergency_waiting.load(Relaxed),
        };
        let rest = self.lanes.iter().map(|l| Standing {
            class: l.class,
            places: l.places,
            working: l.places - l.free.available_permits(),
            waiting: lock(&l.waiting).len(),
        });
        std::iter::once(emergency).chain(rest).collect()
    }

    /// Requests inside the server.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.standing().iter().map(|s| s.working + s.waiting).sum()
    }

    /// How long the first of the clinical lane has waited, ms.
    fn clinical_wait_ms(&self) -> u64 {
        let first = lock(&self.lanes[0].waiting).values().next().copied();
        first.map_or(0, |at| u64::try_from(at.elapsed().as_millis()).unwrap_or(0))
    }

    /// 0 (idle) to 100 (turning work away): the fullest of the lanes, of the sockets, and the delay of the event loops.
    #[must_use]
    pub fn load(&self, sockets: usize, most_sockets: usize) -> u8 {
        let full = self.standing().into_iter().map(|s| {
            let most = self.lanes[0].most_waiting.max(1);
            50 * s.working / s.places.max(1) + 50 * s.waiting / most
        });
        let sockets = 100 * sockets / most_sockets.max(1);
        let delay = match self.pressure.level() {
            Level::Calm => 0,
            Level::Bulk => 70,
            Level::OpenPatient => 90,
            Level::SignIn => 100,
        };
        let load = full.chain([sockets, delay]).max().unwrap_or(0).min(100);
        u8::try_from(load).unwrap_or(100)
    }
}

/// Somewhere within `spread` seconds after `base`.
#[must_use]
pub fn shed(base: u32, spread: u32) -> Shed {
    let chance = u32::from(clock::random::<1>()[0]);
    Shed {
        retry_after_s: base + chance % (spread + 1),
    }
}

/// Measures the pressure, and writes down the claims that were counted.
pub fn start(app: &Arc<App>) {
    let app = app.clone();
    tokio::spawn(async move {
        let began = clock::steady();
        let mut late = [0; LATE];
        let mut turn = 0;
        let ms = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        loop {
            let asleep = clock::steady();
            tokio::time::sleep(TICK).await;
            let here = ms(asleep).saturating_sub(u64::try_from(TICK.as_millis()).unwrap_or(0));
            let sent = clock::steady();
            let there = match app.lanes.workers.run(async move { ms(sent) }).await {
                Ok(there) => there,
                Err(_) => return,
            };
            // One late turn is nothing: a machine may have been busy with something else for a moment.
            late[turn % LATE] = here.max(there);
            turn += 1;
            let loops = late.iter().copied().min().unwrap_or(0);
            let delay = loops.max(app.lanes.clinical_wait_ms());
            app.lanes.pressure.measured(ms(began), delay);
            for (who, more) in app.lanes.claims.due(clock::now().0) {
                write_claim(&app, who, "several", more).await;
            }
        }
    });
}

/// Writes down that somebody claimed the emergency lane and was not given it.
pub async fn write_claim(app: &App, who: Claimant, route: &str, times: u64) {
    let mut row = sign_in_row(who.actor, who.device, Kind::ClaimLane, "not-entitled", false);
    row.notes = BTreeMap::from([
        ("claimed".to_owned(), "emergency".to_owned()),
        ("route".to_owned(), route.to_owned()),
        ("times".to_owned(), times.to_string()),
    ]);
    if let Err(e) = app.store.append(row).await {
        tracing::error!(error = %e, "a claim of urgency has no audit row");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(change: impl FnOnce(&mut config::Config)) -> Lanes {
        let mut config = config::Config::default();
        change(&mut config);
        Lanes::new(&config).unwrap()
    }

    #[tokio::test]
    async fn a_full_lane_turns_away_and_takes_nothing_from_another() {
        let l = lanes(|c| {
            c.lanes.clinical = 1;
            c.lanes.waiting = 1;
            c.lanes.wait_ms = 50;
        });
        let first = l.place(Class::Clinical).await.unwrap();
        let (second, third) = tokio::join!(l.place(Class::Clinical), async {
            tokio::task::yield_now().await;
            l.place(Class::Clinical).await
        });
        assert!(
            second.is_err() && third.is_err(),
            "one waited in vain, one had no room to wait"
        );
        assert!(l.place(Class::Bulk).await.is_ok());
        assert!(l.emergency([0; 32], false).await.is_some());
        drop(first);
        assert!(l.place(Class::Clinical).await.is_ok());
        assert_eq!(l.in_flight(), 0, "every place was given back");
    }

    #[tokio::test]
    async fn one_session_holds_four_emergency_places_and_no_more() {
        let l = lanes(|c| c.lanes.emergency = 8);
        let mut held = Vec::new();
        for _ in 0..EACH {
            held.push(l.emergency([1; 32], false).await.unwrap());
        }
        assert!(l.emergency([1; 32], false).await.is_none());
        assert!(l.emergency([2; 32], false).await.is_some());
        held.pop();
        assert!(l.emergency([1; 32], false).await.is_some());
        held.clear();
        assert!(lock(&l.held).is_empty());
    }

    #[tokio::test]
    async fn who_reads_does_not_wait_for_those_whose_grant_waits() {
        let l = lanes(|c| c.lanes.emergency = 2);
        let held = [l.emergency([1; 32], true).await, l.emergency([2; 32], true).await];
        assert!(held.iter().all(Option::is_some));
        let wait = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(wait, l.emergency([3; 32], true))
                .await
                .is_err()
        );
        assert!(l.emergency([3; 32], false).await.is_some());
    }

    #[tokio::test]
    async fn pressure_closes_bulk_first_and_never_the_emergency() {
        let l = lanes(|c| c.lanes.shed_ms = 100);
        l.pressure.measured(0, 150);
        assert!(l.place(Class::Bulk).await.is_err());
        assert!(l.place(Class::Clinical).await.is_ok());
        l.pressure.measured(0, 100_000);
        assert!(l.place(Class::Clinical).await.is_ok());
        assert!(
            l.place(Class::SignIn).await.is_ok(),
            "who signs in is told by the route"
        );
        assert!(l.emergency([0; 32], false).await.is_some());
        let turn = l.page_turn().await;
        assert!(turn.is_some());
        let wait = Duration::from_millis(20);
        assert!(
            tokio::time::timeout(wait, l.page_turn()).await.is_err(),
            "one page at a time"
        );
    }
}
