//! Drives the protocol's machine: feeds it what happened, carries out what it wants.
//!
//! The machine and the databases are worked on a thread for blocking work, one batch of events at a time; sockets are
//! worked here. Nothing on this workstation waits for any of it.

use super::connection::{self, Connection, Tell, Told};
use super::store_effects::{Stores, fresh_of};
use crate::break_glass;
use crate::horizon;
use crate::layouts;
use crate::memory;
use crate::outbox::Alarm;
use crate::profile::LinkLock;
use crate::session::{self, Ended};
use crate::station::Station;
use crate::{EngineError, entropy};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use vitrine_sync::client::{self, Client, Config, Effect, Event, LinkState, Timing};
use vitrine_sync::proof;
use vitrine_sync::scope::is_patient;
use vitrine_wire::view::DataAge;

/// What the rest of the engine tells the link.
#[derive(Debug)]
pub(crate) enum Command {
    /// Somebody signed in with this token.
    SignedIn {
        /// The server's token.
        token: String,
    },
    /// Nobody is signed in.
    SignedOut,
    /// This chart is open.
    OpenPatient(String),
    /// It was closed.
    ClosePatient(String),
    /// A row or a grant was written.
    OutboxChanged,
    /// What is stored of these scopes is damaged: fetch them anew. `None` = of the essentials, nobody knows which.
    Refetch(Option<BTreeSet<String>>),
    /// Connect now.
    Now,
}

/// A link that runs.
pub(crate) struct Started {
    /// True while every scope is live.
    pub(crate) current: watch::Receiver<bool>,
    /// Ends the link when dropped.
    _stop: mpsc::Sender<()>,
}

/// Messages taken into one batch. A quarter of the largest window of credit in chunks: the server fills the next part
/// while this end writes one.
const BATCH: usize = 16;
/// How often the outbox is looked at for rows of other programs of this profile, and ages are kept.
const LOOK: Duration = Duration::from_secs(5);
/// How often the head of the audit chain is signed.
const HEAD: Duration = Duration::from_secs(60);

/// Begins to synchronise.
pub(crate) fn start(
    station: &Arc<Station>,
    lock: LinkLock,
    handle: &tokio::runtime::Handle,
    revoked: impl Fn() + Send + Sync + 'static,
) -> Result<Started, EngineError> {
    let (commands, heard) = mpsc::unbounded_channel();
    let (currency, current) = watch::channel(false);
    let (stop, stopped) = mpsc::channel(1);
    let device = station.device().clone();
    let known_epoch = station.outbox.note("epoch").ok().flatten();
    let config = Config {
        device: device.device,
        app: env!("CARGO_PKG_VERSION").to_owned(),
        ward: device.ward,
        known_epoch,
        training: device.demo,
        seed: u64::from_be_bytes(entropy::bytes()?),
        timing: Timing::default(),
    };
    let machine = Client::new(config, &Stores::new(station).view());
    *station
        .link
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(commands);
    let driver = Driver {
        station: Arc::clone(station),
        work: Some(Work {
            machine,
            ages: BTreeMap::new(),
            refetch: BTreeSet::new(),
            began: BTreeMap::new(),
        }),
        connection: None,
        currency,
        revoked: Box::new(revoked),
        clearing: Arc::new(std::sync::atomic::AtomicBool::new(false)),
        _lock: lock,
    };
    handle.spawn(crate::images::fetch_ahead(
        Arc::downgrade(station),
        current.clone(),
    ));
    handle.spawn(driver.run(heard, stopped));
    Ok(Started { current, _stop: stop })
}

/// What is worked on the blocking thread.
struct Work {
    machine: Client,
    /// Ages not yet kept in the database.
    ages: BTreeMap<String, (u64, i64)>,
    /// Damaged scopes that are to be fetched whole.
    refetch: BTreeSet<String>,
    /// Server time at which each snapshot under way began.
    began: BTreeMap<String, i64>,
}

struct Driver {
    station: Arc<Station>,
    work: Option<Work>,
    connection: Option<Connection>,
    currency: watch::Sender<bool>,
    revoked: Box<dyn Fn() + Send + Sync>,
    clearing: Arc<std::sync::atomic::AtomicBool>,
    _lock: LinkLock,
}

/// What a batch leaves to be done with sockets.
#[derive(Default)]
struct Outward {
    effects: Vec<Effect>,
    garbage: bool,
    wiped: bool,
    current: bool,
    wake_at: Option<u64>,
}

impl Driver {
    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<Command>, mut stopped: mpsc::Receiver<()>) {
        let (ears, mut told) = connection::ears();
        let mut look = tokio::time::interval(LOOK);
        let mut head = tokio::time::interval(HEAD);
        let mut events = VecDeque::from([Event::WantConnect]);
        let mut wake_at = None;
        loop {
            if !events.is_empty() {
                let Some(out) = self.batch(std::mem::take(&mut events)).await else {
                    return;
                };
                wake_at = out.wake_at;
                if self.outward(out, &ears) {
                    break;
                }
            }
            let now = self.now();
            let wait = wake_at.map_or(Duration::from_secs(3_600), |at| {
                Duration::from_millis(at.saturating_sub(now))
            });
            tokio::select! {
                t = told.recv() => {
                    events.extend(t.map(event_of));
                    while events.len() < BATCH && let Ok(more) = told.try_recv() {
                        events.push_back(event_of(more));
                    }
                }
                c = heard.recv() => {
                    match c {
                        Some(c) => self.command(c, &mut events),
                        None => break,
                    }
                    while let Ok(more) = heard.try_recv() {
                        self.command(more, &mut events);
                    }
                }
                () = tokio::time::sleep(wait) => events.push_back(Event::Tick),
                _ = look.tick() => {
                    self.keep_ages();
                    events.push_back(Event::OutboxChanged);
                }
                _ = head.tick() => {
                    let station = Arc::clone(&self.station);
                    tokio::task::spawn_blocking(move || { station.write_head(); station.keep_clock(); station.settle_reserve() });
                }
                _ = stopped.recv() => break,
            }
        }
        self.keep_ages();
        if let Some(c) = &self.connection {
            let _ = c.tell.send(Tell::Close(1001));
        }
        self.station.fresh.set_link(DataAge::Offline);
    }

    fn now(&self) -> u64 {
        now(&self.station)
    }

    fn command(&mut self, c: Command, events: &mut VecDeque<Event>) {
        match c {
            Command::SignedIn { token } => events.push_back(Event::SignedIn { token }),
            Command::SignedOut => events.push_back(Event::SignedOut),
            Command::OpenPatient(patient) => events.push_back(Event::OpenPatient { patient }),
            Command::ClosePatient(patient) => events.push_back(Event::ClosePatient { patient }),
            Command::OutboxChanged => {
                if !matches!(events.back(), Some(Event::OutboxChanged)) {
                    events.push_back(Event::OutboxChanged);
                }
            }
            Command::Now => events.push_back(Event::WantConnect),
            Command::Refetch(which) => {
                let scopes = which.unwrap_or_else(|| {
                    let held = self.station.essentials.scopes().unwrap_or_default();
                    held.into_iter()
                        .filter(|s| s.complete && s.name != "dir")
                        .map(|s| s.name)
                        .collect()
                });
                for scope in scopes {
                    if let Some(w) = self.work.as_mut() {
                        w.refetch.insert(scope.clone());
                    }
                    events.push_back(Event::StoreFailed { scope });
                }
            }
        }
    }

    /// Ages may be kept lazily: an older position is always safe to resume from.
    fn keep_ages(&mut self) {
        let Some(ages) = self.work.as_mut().map(|w| std::mem::take(&mut w.ages)) else {
            return;
        };
        if ages.is_empty() {
            return;
        }
        let station = Arc::clone(&self.station);
        tokio::task::spawn_blocking(move || {
            station.keep_clock();
            horizon::keep(&station);
            let records = station.records();
            for (scope, (pos, as_of)) in ages {
                let one = [(scope, pos)];
                let done = match (one[0].0.starts_with("pat:"), &records) {
                    (true, Some(r)) => r.seen(&one, as_of),
                    (true, None) => Ok(()),
                    (false, _) => station.essentials.seen(&one, as_of),
                };
                if let Err(e) = done {
                    tracing::debug!(error = %e, "an age could not be kept");
                }
            }
        });
    }

    async fn batch(&mut self, events: VecDeque<Event>) -> Option<Outward> {
        let mut work = self.work.take()?;
        let station = Arc::clone(&self.station);
        let done = tokio::task::spawn_blocking(move || {
            let out = work.batch(&station, events);
            memory::forget();
            (work, out)
        })
        .await;
        match done {
            Ok((work, out)) => {
                self.work = Some(work);
                Some(out)
            }
            Err(e) => {
                tracing::error!(error = %e, "the synchronisation stopped");
                None
            }
        }
    }

    /// Works sockets; true when this workstation was wiped.
    fn outward(&mut self, out: Outward, ears: &mpsc::Sender<Told>) -> bool {
        for effect in out.effects {
            match effect {
                Effect::Connect { conn, timeout_ms } => {
                    let timeout = Duration::from_millis(timeout_ms);
                    self.connection = Some(connection::open(&self.station, conn, timeout, ears.clone()));
                }
                Effect::Close { conn, code } => self.tell(conn, Tell::Close(code)),
                Effect::Send { conn, bytes } => self.tell(conn, Tell::Send(bytes)),
                _ => {}
            }
        }
        if out.garbage {
            self.clear_away();
        }
        self.currency
            .send_if_modified(|c| std::mem::replace(c, out.current) != out.current);
        if out.wiped {
            (self.revoked)();
        }
        out.wiped
    }

    fn tell(&self, conn: u64, tell: Tell) {
        if let Some(c) = self.connection.as_ref().filter(|c| c.conn == conn) {
            let _ = c.tell.send(tell);
        }
    }

    /// Clears away what nothing shows any more, in small steps beside everything else.
    fn clear_away(&self) {
        use std::sync::atomic::Ordering;
        if self.clearing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (station, clearing) = (Arc::clone(&self.station), Arc::clone(&self.clearing));
        tokio::spawn(async move {
            loop {
                let s = Arc::clone(&station);
                let more = tokio::task::spawn_blocking(move || {
                    let records = s.records();
                    let more = s.essentials.clear(500)?;
                    let also = records.map_or(Ok(false), |r| r.clear(500))?;
                    Ok::<bool, vitrine_store::StoreError>(more || also)
                });
                match more.await {
                    Ok(Ok(true)) if !*station.closing.borrow() => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    _ => break,
                }
            }
            clearing.store(false, Ordering::Release);
        });
    }
}

fn now(station: &Station) -> u64 {
    u64::try_from(station.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn event_of(told: Told) -> Event {
    match told {
        Told::Connected(conn) => Event::Connected { conn },
        Told::Received(conn, bytes) => Event::Received { conn, bytes },
        Told::Disconnected(conn) => Event::Disconnected { conn },
    }
}

/// Kind of the frame that brings part of a snapshot: the machine asks nothing of the cache for it.
const SNAP_CHUNK: u8 = 69;

fn is_chunk(event: &Event) -> bool {
    matches!(event, Event::Received { bytes, .. } if bytes.get(1) == Some(&SNAP_CHUNK))
}

impl Work {
    fn batch(&mut self, station: &Arc<Station>, mut events: VecDeque<Event>) -> Outward {
        let mut out = Outward::default();
        let mut stores = Stores::new(station);
        while let Some(event) = events.pop_front() {
            if !is_chunk(&event)
                && let Err((scope, e)) = stores.flush()
            {
                station.unwritable(&scope, &e);
                events.push_front(event);
                events.push_front(Event::StoreFailed { scope });
                continue;
            }
            stores.step_begins();
            let effects = {
                let view = Refetching {
                    inner: stores.view(),
                    refetch: &self.refetch,
                };
                self.machine.step(now(station), event, &view)
            };
            for effect in effects {
                self.effect(station, &mut stores, effect, &mut events, &mut out);
            }
        }
        if let Err((scope, e)) = stores.flush() {
            station.unwritable(&scope, &e);
            let view = Refetching {
                inner: stores.view(),
                refetch: &self.refetch,
            };
            let effects = self
                .machine
                .step(now(station), Event::StoreFailed { scope }, &view);
            for effect in effects {
                self.effect(station, &mut stores, effect, &mut events, &mut out);
            }
        }
        stores.tell();
        if stores.read && station.session().is_none() {
            // Rows that went up after the lock are not kept in memory for anybody.
            station.outbox.let_go();
        }
        out.garbage |= stores.garbage;
        out.current = self.machine.is_current();
        out.wake_at = self.machine.wake_at();
        out
    }

    fn effect(
        &mut self,
        station: &Arc<Station>,
        stores: &mut Stores<'_>,
        effect: Effect,
        events: &mut VecDeque<Event>,
        out: &mut Outward,
    ) {
        match effect {
            Effect::Connect { .. } | Effect::Close { .. } | Effect::Send { .. } => out.effects.push(effect),
            Effect::SignNonce { nonce } => {
                let message = proof::device_auth(&nonce, station.device_id.as_str());
                let signature = entropy::hex(&station.key.sign(&message));
                events.push_back(Event::Signed {
                    signature,
                    report: crate::status::report(station),
                });
            }
            Effect::MarkAge { as_of_ms, scopes } => {
                if scopes.iter().any(|(scope, _)| scope == "dir") {
                    horizon::confirmed(station, as_of_ms);
                }
                for (scope, pos) in scopes {
                    station.fresh.seen(&scope, as_of_ms);
                    self.ages.insert(scope, (pos, as_of_ms));
                }
            }
            Effect::Status { scope, status } => {
                station.fresh.set(&scope, fresh_of(&status));
                station.tell_status();
            }
            Effect::Link { state } => link_state(station, &state),
            Effect::ServerTime { server_time_ms } => station.clock.learn(server_time_ms),
            Effect::Placed { ward, .. } => placed(station, &ward),
            Effect::OfflineDays { days } => horizon::take(station, days),
            Effect::Ways { ways } => session::ways::take(station, &ways),
            Effect::Layouts { text, signature } => layouts::take(station, &text, &signature),
            Effect::UserAccepted { .. } => {}
            Effect::UserRefused { code } => {
                tracing::info!(code = ?code, "the server ended the session");
                station.lock(Ended::Server);
            }
            Effect::ReadOutbox {
                after,
                max_rows,
                max_bytes,
                grants,
            } => {
                events.push_back(match stores.outbox(after, max_rows, max_bytes, grants) {
                    Ok(a) => Event::OutboxHas {
                        rows: a.rows,
                        head: a.head,
                        oldest: a.oldest,
                        grants: a.grants,
                        entries: a.entries,
                    },
                    Err(e) => {
                        tracing::error!(error = %e, "the outbox cannot be read");
                        Event::OutboxUnread
                    }
                });
            }
            Effect::MarkRowsAcked { up_to } => {
                stores.acknowledged(up_to);
                station.tell_status();
            }
            Effect::MarkGrantAcked { id, rev } => {
                if let Err(e) = station.outbox.grant_sent(&id, rev, station.clock.now()) {
                    tracing::warn!(error = %e, "an acknowledgement could not be noted");
                }
            }
            Effect::EndGrant { id, end } => {
                if break_glass::after::revoked(station, &id, &end) {
                    events.push_back(Event::OutboxChanged);
                }
            }
            Effect::NoteEntrySent { id } => {
                station.note_sent(&id, true);
                stores.tell_entry(&id);
            }
            Effect::MarkEntry { id, outcome } => {
                station.note_sent(&id, false);
                stores.entry_answered(&id, &outcome);
            }
            Effect::PruneOutbox { acked_for_ms } => stores.prune(acked_for_ms),
            Effect::NoteEpoch { epoch } => {
                let _ = station.outbox.set_note("epoch", &epoch);
            }
            Effect::VerifyWipe { nonce, signature } => {
                let genuine = order_is_genuine(station, &nonce, &signature);
                events.push_back(Event::WipeVerified { genuine });
            }
            Effect::Wipe { nonce } => {
                let signature = entropy::hex(&station.key.sign(&proof::wipe_done(&nonce)));
                wipe(station);
                out.wiped = true;
                events.push_back(Event::Wiped { signature });
            }
            Effect::Alarm(a) => alarm(station, &a),
            store => {
                if let Effect::BeginSnapshot { scope, .. } = &store {
                    self.began.insert(scope.clone(), station.clock.now().0);
                }
                let shown = match &store {
                    Effect::CommitSnapshot { scope, pos, .. } => Some((scope.clone(), *pos)),
                    _ => None,
                };
                match (stores.carry_out(store), shown) {
                    (Err(scope), _) => events.push_back(Event::StoreFailed { scope }),
                    (Ok(()), Some((scope, pos))) => self.whole_again(station, scope, pos),
                    (Ok(()), None) => {}
                }
            }
        }
    }
}

impl Work {
    /// A snapshot is shown: what was damaged of it is not any more.
    fn whole_again(&mut self, station: &Station, scope: String, pos: u64) {
        // A full chart is fetched when it is opened next: nothing that is shown waits for it.
        if self.refetch.remove(&scope) && self.refetch.iter().all(|s| is_patient(s)) {
            station.alarms.clear(Alarm::EssentialsDamaged);
            station.alarms.clear(Alarm::EssentialsStuck);
        }
        // A snapshot is as old as its beginning. One that was continued has no beginning here.
        if let Some(at) = self.began.remove(&scope) {
            station.fresh.seen(&scope, at);
            self.ages.insert(scope, (pos, at));
        }
    }
}

/// A cache in which damaged scopes count as not held, so that they are fetched whole beside what is still shown.
struct Refetching<'a> {
    inner: super::cacheview::View<'a>,
    refetch: &'a BTreeSet<String>,
}

impl client::CacheView for Refetching<'_> {
    fn scopes(&self) -> Vec<String> {
        self.inner.scopes()
    }
    fn held(&self, scope: &str) -> Option<client::Held> {
        if self.refetch.contains(scope) {
            None
        } else {
            self.inner.held(scope)
        }
    }
    fn staged(&self, scope: &str) -> Option<client::Staged> {
        self.inner.staged(scope)
    }
    fn version(&self, scope: &str, key: &str) -> Option<u64> {
        self.inner.version(scope, key)
    }
    fn digest(&self, scope: &str) -> vitrine_wire::digest::ScopeDigest {
        self.inner.digest(scope)
    }
    fn refs(&self, scope: &str, buckets: &[u8]) -> Vec<vitrine_wire::message::Ref> {
        self.inner.refs(scope, buckets)
    }
}

fn link_state(station: &Station, state: &LinkState) {
    let age = match state {
        LinkState::Live => DataAge::Live,
        LinkState::CatchingUp => DataAge::Delayed,
        LinkState::Offline { .. } | LinkState::Connecting | LinkState::Refused => DataAge::Offline,
        LinkState::Wiped => DataAge::Unavailable,
    };
    if *state == LinkState::Live {
        station.alarms.clear(Alarm::ServerRefuses);
        station.alarms.clear(Alarm::TrainingMixed);
        station.alarms.clear(Alarm::ProtocolBroken);
    }
    if matches!(state, LinkState::Offline { .. } | LinkState::Refused) {
        // Nothing is on its way on a connection that has ended.
        station
            .sent
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clear();
    }
    if station.fresh.set_link(age) {
        station.tell_status();
    }
}

fn placed(station: &Station, ward: &str) {
    let mut device = station
        .device
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if device.ward != ward {
        device.ward = ward.to_owned();
        if let Err(e) = station.profile.write_device(&device) {
            tracing::warn!(error = %e, "the new ward could not be noted");
        }
    }
}

fn order_is_genuine(station: &Station, nonce: &str, signature: &str) -> bool {
    let key = entropy::unhex(&station.device().server_key).unwrap_or_default();
    let signature = entropy::unhex(signature).unwrap_or_default();
    let message = proof::wipe_order(station.device_id.as_str(), nonce);
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key)
        .verify(&message, &signature)
        .is_ok()
}

/// Destroys keys first, then files. Doing it twice is one destruction.
fn wipe(station: &Station) {
    station.lock(Ended::Wiped);
    station.alarms.raise(Alarm::Revoked);
    if let Err(e) = station.sealer.destroy() {
        tracing::error!(error = %e, "the sealer's key could not be destroyed");
    }
    if let Err(e) = station.profile.destroy() {
        tracing::error!(error = %e, "not every file could be deleted; the keys are gone");
    }
    let mut device = station
        .device
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    device.revoked = true;
    if let Err(e) = station.profile.write_device(&device) {
        tracing::error!(error = %e, "the revocation could not be noted");
    }
}

fn alarm(station: &Station, a: &client::Alarm) {
    tracing::error!(alarm = ?a, "from the link");
    let alarm = match a {
        client::Alarm::Violation(_) => Alarm::ProtocolBroken,
        client::Alarm::ProtocolMismatch { .. } | client::Alarm::DeviceRefused(_) => Alarm::ServerRefuses,
        client::Alarm::AuditFork { .. } | client::Alarm::AuditGap { .. } | client::Alarm::AuditRefused => {
            Alarm::AuditFork
        }
        client::Alarm::TrainingMixed => Alarm::TrainingMixed,
        client::Alarm::ForgedWipe => Alarm::ForgedWipe,
    };
    if station.alarms.raise(alarm) {
        station.tell_status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_chunk_is_known_by_its_kind() {
        let frame = Bytes::from_static(&[1, 69, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(is_chunk(&Event::Received {
            conn: 1,
            bytes: frame
        }));
        assert!(!is_chunk(&Event::Received {
            conn: 1,
            bytes: Bytes::new()
        }));
        assert!(!is_chunk(&Event::Tick));
    }
}
