//! The facade: a workstation without a window. Everything the desktop and `vitrine-cli` may ask of it.
//!
//! Every act works without any server. An act that reads the databases runs on a thread for blocking work; breaking
//! the glass runs on a thread of its own.

use crate::break_glass::{self, BreakGlass, reasons};
use crate::cache::query::Query;
use crate::chart::blocks::Words;
use crate::chart::record::{Frame, chart_view};
use crate::chart::rows;
use crate::clock::{Clock, Stopwatch};
use crate::link::{self, Started};
use crate::outbox::{disclose, disclose_emergency, read_head, refused};
use crate::profile::Profile;
use crate::selftest::{self, SelfTest};
use crate::session::{self, Person};
use crate::station::{Station, events};
use crate::status;
use crate::{EngineError, cache};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::broadcast;
use vitrine_access::action::{ReadChart, SearchPatients, ViewBoard};
use vitrine_access::chain::{Head, Row};
use vitrine_access::policy::{PatientFacts, Request, decide, verdict};
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::{PatientId, WardId};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::workstation::Found;
use vitrine_wire::http::BoardItem;
use vitrine_wire::view::{
    BoardView, ChartView, DataAge, EmergencyCardView, EngineEvent, LockView, ReasonView, SearchView,
    SectionAge, SessionView, StatusView,
};
use zeroize::Zeroizing;

/// How a workstation is opened.
#[derive(Clone)]
pub struct Options {
    /// Synchronise with the server in the background (one program of a profile at a time).
    pub sync: bool,
    /// Lock after so long without an act.
    pub idle_lock: Duration,
    /// Size of the reserve kept for a full disk, bytes.
    pub ballast_bytes: u64,
    /// Runtime for background work; `None` takes the caller's, or makes one.
    pub runtime: Option<tokio::runtime::Handle>,
    /// Records kept for each user; the least recently opened go first.
    pub records_kept: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: true,
            idle_lock: Duration::from_secs(120),
            ballast_bytes: 64 << 20,
            runtime: None,
            records_kept: 200,
        }
    }
}

/// Proof of identity without a session, good for five minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityToken(String);

impl IdentityToken {
    /// From the text a screen was given.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text for the screen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
        let events = events();
        let profile = Profile::at(profile_dir)?;
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
                    station.lock();
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
                let waiting = station.outbox.tally().map_or(0, |t| t.audit + t.grants);
                if waiting == 0 {
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
                outbox_oldest_text: None,
                patients: 0,
                loading_text: None,
                alarms: vec![e.to_string()],
                demo: false,
            },
        }
    }

    /// The whole state for IT, as `vitrine-cli status --json` prints it.
    ///
    /// # Errors
    /// That of a workstation that cannot be used; [`EngineError::Damaged`].
    pub fn status_json(&self) -> Result<serde_json::Value, EngineError> {
        status::status_json(&*self.station()?)
    }

    /// Signs a person in: with what is here at once, with the server where needed.
    ///
    /// # Errors
    /// [`EngineError::WrongSecret`], [`EngineError::Throttled`], [`EngineError::SlotRemoved`],
    /// [`EngineError::Disabled`], [`EngineError::Offline`] for a person never seen here, [`EngineError::AuditFailed`].
    pub async fn sign_in(&self, user: &str, secret: &str) -> Result<SessionView, EngineError> {
        let station = self.station()?;
        let secret = Zeroizing::new(secret.to_owned());
        let user = user.to_owned();
        // On our own runtime, so that it also works where the caller has none.
        self.inner
            .handle
            .spawn(async move { session::sign_in(&station, &user, secret).await })
            .await
            .map_err(|_| EngineError::Internal("signing in"))?
    }

    /// Ends the session and wipes the user's key.
    pub fn lock(&self) {
        if let Ok(station) = self.station() {
            station.lock();
        }
    }

    /// Who is signed in.
    #[must_use]
    pub fn session(&self) -> Option<SessionView> {
        let station = self.station().ok()?;
        station.idle_check();
        station.session().as_ref().map(session::Session::view)
    }

    /// The person did something that is no act of the engine (a key, the mouse): the idle lock waits anew.
    pub fn active(&self) {
        if let Ok(station) = self.station()
            && let Some(s) = station.session_mut().as_mut()
        {
            s.active = station.clock.elapsed();
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Station>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let station = self.station()?;
        self.inner
            .handle
            .spawn_blocking(move || work(&station))
            .await
            .map_err(|_| EngineError::Internal("reading the workstation's data"))?
    }

    /// Finds patients by name, number or birth date among the essentials here.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::NotOnThisWorkstation`] when nothing was
    /// ever synchronised, [`EngineError::AuditFailed`], [`EngineError::Damaged`].
    pub async fn search(&self, query: &str) -> Result<SearchView, EngineError> {
        let query = query.to_owned();
        self.blocking(move |s| {
            let person = s.person()?;
            search(s, &person, &query, false)
        })
        .await
    }

    /// The board of a ward; `None` = of this workstation's.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn board(&self, ward: Option<&str>) -> Result<BoardView, EngineError> {
        let ward = ward.map(str::to_owned);
        self.blocking(move |s| board(s, ward.as_deref())).await
    }

    /// The chart of a patient, by FHIR id or MRN. Stays live until [`Self::close_chart`].
    ///
    /// # Errors
    /// [`EngineError::Denied`] saying whether breaking the glass would allow it; [`EngineError::NotOnThisWorkstation`];
    /// else as [`Self::search`].
    pub async fn chart(&self, patient: &str) -> Result<ChartView, EngineError> {
        let patient = patient.to_owned();
        self.blocking(move |s| chart(s, &patient)).await
    }

    /// The chart is no longer on the screen.
    pub fn close_chart(&self, patient: &str) {
        if let Ok(station) = self.station() {
            station.command(link::Command::ClosePatient(patient.to_owned()));
        }
    }

    /// The reasons for breaking the glass.
    #[must_use]
    pub fn reasons(&self) -> Vec<ReasonView> {
        reasons()
    }

    /// Proves who somebody is by name and PIN, without a session.
    ///
    /// # Errors
    /// [`EngineError::WrongSecret`], [`EngineError::Throttled`], [`EngineError::UnknownUser`], [`EngineError::Disabled`].
    pub async fn identify(&self, user: &str, secret: &str) -> Result<IdentityToken, EngineError> {
        let (user, secret) = (user.to_owned(), Zeroizing::new(secret.to_owned()));
        self.at_desk(move |s| {
            let person = break_glass::identify(s, &user, &secret)?;
            Ok(IdentityToken(s.proofs.keep(person, s.clock.elapsed())?))
        })
        .await
    }

    /// Finds patients for somebody who proved their identity without a session.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`] when the token is unknown or older than five minutes; else as [`Self::search`].
    pub async fn emergency_search(
        &self,
        token: &IdentityToken,
        query: &str,
    ) -> Result<SearchView, EngineError> {
        let (token, query) = (token.clone(), query.to_owned());
        self.at_desk(move |s| {
            let person = s.proofs.find(token.as_str(), s.clock.elapsed())?;
            search(s, &person, &query, true)
        })
        .await
    }

    /// Breaks the glass: grant and audit row on disk, then the card.
    ///
    /// # Errors
    /// [`EngineError::NotOnThisWorkstation`], [`EngineError::Denied`] for somebody who is no clinician,
    /// [`EngineError::WrongSecret`], [`EngineError::Throttled`], [`EngineError::PinNeeded`], [`EngineError::Usage`].
    pub async fn break_glass(&self, request: BreakGlass) -> Result<EmergencyCardView, EngineError> {
        let since = Stopwatch::start();
        let opened = self
            .at_desk(move |s| break_glass::open(s, &request, since))
            .await?;
        self.outbox_changed();
        Ok(opened.view)
    }

    /// The same with the card itself, for `vitrine-cli emergency --json`.
    ///
    /// # Errors
    /// As [`Self::break_glass`].
    pub async fn break_glass_card(
        &self,
        request: BreakGlass,
    ) -> Result<(EmergencyCardView, Option<EmergencyCard>, SectionAge), EngineError> {
        let since = Stopwatch::start();
        let opened = self
            .at_desk(move |s| break_glass::open(s, &request, since))
            .await?;
        self.outbox_changed();
        Ok((opened.view, opened.card, opened.age))
    }

    fn outbox_changed(&self) {
        if let Ok(station) = self.station() {
            station.command(link::Command::OutboxChanged);
        }
    }

    async fn at_desk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Station>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let station = self.station()?;
        let inside = Arc::clone(&station);
        station.desk.run(move || work(&inside)).await?
    }

    /// Checks whether this workstation could open its essentials and write its audit log right now.
    ///
    /// # Errors
    /// That of a workstation that cannot be used.
    pub async fn selftest(&self) -> Result<SelfTest, EngineError> {
        self.blocking(|s| Ok(selftest::run(s))).await
    }

    /// Rows of this workstation's audit chain after `after`, in order. Bodies hold PHI: for IT with the rights to it.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub async fn audit_list(&self, after: u64, limit: usize) -> Result<Vec<Row>, EngineError> {
        self.blocking(move |s| Ok(s.outbox.rows(after, limit)?.rows))
            .await
    }

    /// Checks the audit chain against the signed head. Gives the head reached.
    ///
    /// # Errors
    /// [`EngineError::Store`] with the first bad row; [`EngineError::Unsafe`] when the signed head is not ours.
    pub async fn audit_verify(&self) -> Result<Head, EngineError> {
        self.blocking(|s| {
            let device = s.device().device.clone();
            let sealed = read_head(&s.profile.audit_head(), &s.key, &device)?;
            Ok(s.outbox.verify(sealed)?)
        })
        .await
    }

    /// Keeps the session for the next runs of `vitrine-cli` (fifteen minutes, sealed with the device's key).
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Io`].
    pub async fn save_session(&self, secret: &str) -> Result<(), EngineError> {
        let secret = Zeroizing::new(secret.to_owned());
        self.blocking(move |s| session::save_current(s, &secret)).await
    }

    /// Takes up a session kept by an earlier run.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`] when there is none that is fresh.
    pub fn restore_session(&self) -> Result<SessionView, EngineError> {
        let station = self.station()?;
        let kept = session::restore(&station.profile, &station.key, &station.clock)?;
        let view = kept.view();
        if let Some(token) = &kept.token {
            station.command(link::Command::SignedIn {
                token: token.to_string(),
            });
        }
        *station.session_mut() = Some(kept);
        Ok(view)
    }

    /// Destroys a kept session.
    ///
    /// # Errors
    /// [`EngineError::Io`] when it is still there.
    pub fn forget_session(&self) -> Result<(), EngineError> {
        let station = self.station()?;
        station.lock();
        session::forget_saved(&station.profile)
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

/// Most rows of a search.
pub const SEARCH_ROWS: usize = 50;

fn may_open(station: &Station, person: &Person, patient: &PatientId, ward: Option<WardId>) -> bool {
    let facts = PatientFacts {
        patient: patient.clone(),
        ward,
    };
    station
        .request(person.subject(), Some(facts), None, None)
        .is_ok_and(|r| verdict("read-chart", &r).allow)
}

fn search(
    station: &Arc<Station>,
    person: &Person,
    text: &str,
    emergency: bool,
) -> Result<SearchView, EngineError> {
    if !station
        .essentials
        .scopes()?
        .iter()
        .any(|s| s.complete && s.name.starts_with("ess:"))
    {
        return Err(station.not_here("The patient list"));
    }
    let now = station.clock.now();
    let year = vitrine_clinical::format::civil::Civil::at(now, station.clock.zone_minutes(now)).year;
    let query = Query::read(text, u32::try_from(year).unwrap_or(2026));
    let request = station.request(person.subject(), None, None, None)?;
    let permit = decide::<SearchPatients>(request)
        .map_err(|d| refused(&station.outbox, &d))?
        .noted("query", text.chars().take(200).collect::<String>());
    let permit = if emergency {
        permit.noted("emergency", "yes")
    } else {
        permit
    };
    if query.is_empty() {
        return Ok(found_view(
            station,
            person,
            text,
            &query,
            Found {
                rows: Vec::new(),
                more: false,
                of: station.essentials.patients()?,
                damaged: false,
            },
        ));
    }
    let read = |p: &Permit<SearchPatients>| {
        station
            .essentials
            .search(p, &query.groups, SEARCH_ROWS, emergency)
    };
    let found = if emergency {
        let (found, kept) = disclose_emergency(&station.outbox, &station.ballast, &permit, read)?;
        station.kept(kept);
        found
    } else {
        disclose(&station.outbox, &permit, read)?
    };
    station.command(link::Command::OutboxChanged);
    Ok(found_view(station, person, text, &query, found))
}

fn found_view(station: &Station, person: &Person, text: &str, query: &Query, found: Found) -> SearchView {
    if found.damaged {
        station.damaged(&StoreError::Damaged("essentials.db".to_owned()));
    }
    let mut ranked = Vec::with_capacity(found.rows.len());
    for row in &found.rows {
        let Ok(card) = serde_json::from_slice::<rows::ListCard>(&row.body) else {
            continue;
        };
        let family = card
            .identity
            .as_ref()
            .and_then(|i| i.family.as_deref())
            .map(cache::folded)
            .unwrap_or_default();
        let (why, rank) = query.rank(&cache::identity_terms(card.identity.as_ref()), &family);
        let mut view = rows::found_row(&card, &station.clock);
        view.match_text = Some(
            match why {
                cache::query::Matched::Name => "name",
                cache::query::Matched::Number => "MRN",
                cache::query::Matched::Born => "born",
            }
            .to_owned(),
        );
        let ward = card.place.as_ref().and_then(|p| p.ward.clone());
        view.restricted = !may_open(station, person, &card.patient, ward);
        ranked.push((
            rank,
            view.name.clone(),
            rows::name_key(card.identity.as_ref()),
            view,
        ));
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let keys: Vec<_> = ranked.iter().map(|r| r.2.clone()).collect();
    let mut views: Vec<_> = ranked.into_iter().map(|r| r.3).collect();
    rows::mark_similar(&mut views, &keys);
    let of = vitrine_clinical::format::group_thousands(&found.of.to_string());
    let age = station.fresh.feed(station.stored_as_of(), &station.clock).0;
    let server = if age == DataAge::Live {
        ""
    } else {
        "; the server was not asked"
    };
    let mut summary_text = match (views.len(), found.more) {
        (0, _) if query.is_empty() => "Type a name, an MRN or a birth date.".to_owned(),
        (0, _) => format!("No match in {of} patients on this workstation{server}."),
        (n, true) => format!("More than {n} of {of} patients on this workstation match: type more."),
        (n, false) => format!("{n} of {of} patients on this workstation."),
    };
    if found.damaged {
        summary_text.push_str(" Some patients could not be read: this list is not complete.");
    }
    SearchView {
        query: text.to_owned(),
        rows: views,
        summary_text,
        more: found.more,
    }
}

fn board(station: &Arc<Station>, ward: Option<&str>) -> Result<BoardView, EngineError> {
    let person = station.person()?;
    let ward = ward.map_or_else(|| station.device().ward.clone(), str::to_owned);
    let ward = WardId::new(ward).map_err(|e| EngineError::Usage(e.to_string()))?;
    let request = station.request(person.subject(), None, Some(ward.clone()), None)?;
    let permit = decide::<ViewBoard>(request).map_err(|d| refused(&station.outbox, &d))?;
    let read = disclose(&station.outbox, &permit, |p| station.essentials.board(p, &ward));
    let list = match read {
        Ok(list) => list.ok_or_else(|| station.not_here(&format!("The board of {ward}")))?,
        Err(e) => {
            if let EngineError::Damaged { what } = &e {
                station.damaged(&StoreError::Damaged(what.clone()));
            }
            return Err(e);
        }
    };
    station.command(link::Command::OutboxChanged);
    let age = station
        .fresh
        .section(&format!("board:{ward}"), Some((true, list.as_of)), &station.clock);
    let mut items = Vec::with_capacity(list.rows.len());
    let mut unreadable = 0_usize;
    for (patient, _, body) in &list.rows {
        match serde_json::from_slice::<BoardItem>(body) {
            Ok(item) => items.push((patient, item)),
            Err(_) => unreadable += 1,
        }
    }
    items.sort_by_key(|(p, i)| {
        (
            i.place.acuity.clone().unwrap_or_else(|| "9".to_owned()),
            i.place.since,
            (*p).clone(),
        )
    });
    let keys: Vec<_> = items
        .iter()
        .map(|(_, i)| rows::name_key(i.identity.as_ref()))
        .collect();
    let mut views: Vec<_> = items
        .iter()
        .map(|(p, i)| rows::board_row(p, i, &station.clock))
        .collect();
    rows::mark_similar(&mut views, &keys);
    for v in &mut views {
        let id = PatientId::new(v.patient.as_str()).map_err(|e| EngineError::Usage(e.to_string()))?;
        v.restricted = !may_open(station, &person, &id, Some(ward.clone()));
    }
    let ward_name = items
        .iter()
        .find_map(|(_, i)| i.place.ward_name.clone())
        .unwrap_or_else(|| ward.to_string());
    let mut summary_text = format!("{} patients · sort: acuity, wait", views.len());
    if unreadable > 0 {
        summary_text.push_str(&format!(" · {unreadable} could not be read"));
    }
    Ok(BoardView {
        ward: ward.to_string(),
        ward_name,
        rows: views,
        summary_text,
        age,
    })
}

fn chart(station: &Arc<Station>, text: &str) -> Result<ChartView, EngineError> {
    let person = station.person()?;
    let patient = station.resolve(text)?;
    let ward = match station.essentials.whereabouts(&patient, false) {
        Ok(found) => found.flatten(),
        Err(StoreError::Damaged(_)) => None,
        Err(e) => return Err(e.into()),
    };
    let grant = station.outbox.grant(
        &person.user,
        Some(&station.device_id),
        &patient,
        station.clock.now(),
    )?;
    let facts = PatientFacts {
        patient: patient.clone(),
        ward,
    };
    let request: Request = station.request(person.subject(), Some(facts), None, grant.clone())?;
    let permit = decide::<ReadChart>(request).map_err(|d| refused(&station.outbox, &d))?;

    let records = station.records();
    let card = station.essentials.card(&permit);
    if let Err(e) = &card {
        station.damaged(e);
    }
    let card = card.ok();
    let record = match &records {
        Some(r) => r.record(&permit).ok(),
        None => None,
    };
    let disclosure = joined(
        card.as_ref().map(|c| c.disclosure()),
        record.as_ref().map(|r| r.disclosure()),
    );
    let entry = permit.entry(disclosure);
    let receipt = station
        .outbox
        .append(&[entry], None)
        .map_err(|e| EngineError::AuditFailed(e.to_string()))?;
    let receipt = receipt
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("writing the audit row"))?;
    let wrong = |_| EngineError::Internal("opening with the receipt");
    let unreadable = card.is_none();
    let card = card
        .map(|c| c.open(&receipt))
        .transpose()
        .map_err(wrong)?
        .flatten();
    let record = record
        .map(|r| r.open(&receipt))
        .transpose()
        .map_err(wrong)?
        .flatten();
    station.command(link::Command::OutboxChanged);
    if card.is_none() && record.is_none() && !unreadable {
        return Err(station.not_here("This patient"));
    }
    keep_open(station, &patient, record.is_some());

    let parsed = card
        .as_ref()
        .and_then(|c| serde_json::from_slice::<EmergencyCard>(&c.body).ok());
    let scope = format!("pat:{patient}");
    let essentials_age = match &card {
        Some(c) => station
            .fresh
            .section(&c.scope, Some((true, c.as_of)), &station.clock),
        None => SectionAge {
            age: DataAge::Unavailable,
            text: crate::chart::blocks::UNAVAILABLE.to_owned(),
            complete: false,
            as_of_ms: None,
        },
    };
    let record_age = station.fresh.section(
        &scope,
        record.as_ref().map(|r| (true, r.state.as_of)),
        &station.clock,
    );
    let loading_text = station
        .fresh
        .scope(&scope)
        .and_then(|f| f.loading)
        .map(|(done, of)| format!("Still loading — {done} of {of}"));
    let by_grant = permit.grant().is_some();
    let frame = Frame {
        access_id: permit.access_id().to_string(),
        break_glass_text: grant
            .filter(|_| by_grant)
            .map(|g| break_glass::frame_text(station, &person.display, &g)),
        essentials_age,
        record_age,
        loading_text,
    };
    let words = Words {
        patient: &patient,
        clock: &station.clock,
    };
    Ok(chart_view(&words, parsed.as_ref(), record.as_ref(), frame))
}

/// One row for one access that reads two databases.
fn joined(card: Option<&Disclosure>, record: Option<&Disclosure>) -> Disclosure {
    let mut out = record.cloned().unwrap_or_default();
    if let Some(c) = card {
        for p in &c.patients {
            if !out.patients.contains(p) {
                out.patients.push(p.clone());
            }
        }
        out.resources.extend(c.resources.iter().cloned());
        out.total += c.total;
    }
    out
}

/// Keeps the patient live while the chart is open, and the least recently used records few.
fn keep_open(station: &Arc<Station>, patient: &PatientId, held: bool) {
    station.command(link::Command::OpenPatient(patient.to_string()));
    if let Some(records) = station.records().filter(|_| held) {
        let scope = format!("pat:{patient}");
        let kept = records
            .used(&scope, station.clock.now().0)
            .and_then(|()| records.evict(station.options.records_kept));
        if let Err(e) = kept {
            tracing::debug!(error = %e, "the use of a record could not be noted");
        }
    }
}
