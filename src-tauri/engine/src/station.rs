//! An opened workstation: keys, databases, session, freshness and alarms in one place, shared by every act.
//!
//! Lives here: opening a profile, the policy requests of a person at this workstation, locking. Never here: the acts
//! themselves (facade, `break_glass`, `session`), the network.
//! Called by the facade, `link` and `break_glass`.

use crate::break_glass::after;
use crate::cache::{self, Freshness};
use crate::clock::{Clock, Stopwatch};
use crate::desk::Desk;
use crate::drill::Drill;
use crate::horizon::Horizon;
use crate::images::Imaging;
use crate::integrity::Integrity;
use crate::keys::{self, Dek, DeviceDeks, DeviceKey, Sealer, Slots};
use crate::layouts;
use crate::live::Live;
use crate::outbox::{self, Alarm, Alarms, Ballast};
use crate::profile::{DeviceFile, Profile};
use crate::session::{Badges, Ended, Person, Proofs, Reader, Session, Waits, rows};
use crate::{EngineError, Options, entropy};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::broadcast;
use vitrine_access::Grant;
use vitrine_access::grant::{EndedBy, GrantId};
use vitrine_access::policy::{PatientFacts, Request, Subject};
use vitrine_clinical::label::Label;
use vitrine_clinical::{DeviceId, PatientId, UserId, UtcMs, WardId, say, word};
use vitrine_store::StoreError;
use vitrine_store_sqlcipher::Key;
use vitrine_store_sqlcipher::workstation::{Essentials, Images, Kept, Outbox, Records};
use vitrine_wire::view::EngineEvent;
use zeroize::Zeroizing;

/// Events kept for a listener that is slow; it then asks for everything anew.
const EVENTS: usize = 256;

/// An opened workstation.
pub(crate) struct Station {
    pub(crate) profile: Profile,
    pub(crate) device: RwLock<DeviceFile>,
    pub(crate) device_id: DeviceId,
    pub(crate) key: DeviceKey,
    pub(crate) sealer: Arc<dyn Sealer>,
    /// How long the sealer took to give the device's keys, ms.
    pub(crate) unsealed_ms: f64,
    pub(crate) slots: Mutex<Slots>,
    pub(crate) essentials: Essentials,
    pub(crate) outbox: Outbox,
    pub(crate) ballast: Ballast,
    pub(crate) alarms: Alarms,
    pub(crate) fresh: Freshness,
    pub(crate) clock: Arc<Clock>,
    pub(crate) session: RwLock<Option<Session>>,
    pub(crate) proofs: Proofs,
    pub(crate) waits: Waits,
    pub(crate) badges: Badges,
    reader: Mutex<Reader>,
    /// Ends a sign-in by the provider that waits for the browser; counts.
    pub(crate) browsing: tokio::sync::watch::Sender<u64>,
    pub(crate) desk: Desk,
    pub(crate) drill: Drill,
    pub(crate) imaging: Imaging,
    pub(crate) integrity: Integrity,
    pub(crate) horizon: Horizon,
    pub(crate) live: Live,
    pub(crate) layouts: layouts::Held,
    /// When the certificate ends that the server showed last, ms; 0 = not seen.
    certificate: AtomicI64,
    pub(crate) events: broadcast::Sender<EngineEvent>,
    pub(crate) link: Mutex<Option<tokio::sync::mpsc::UnboundedSender<crate::link::Command>>>,
    /// Sessions that are over, whose end of emergency access could not be written yet.
    pub(crate) unended: Mutex<Vec<(UserId, EndedBy)>>,
    /// Emergency access that is in force, and until when.
    pub(crate) running: Mutex<Vec<(GrantId, UtcMs)>>,
    /// Entries that are on their way to the server.
    pub(crate) sent: Mutex<std::collections::BTreeSet<String>>,
    /// Questions to the server about people who were let in by what is here.
    pub(crate) asking: tokio::sync::watch::Sender<u32>,
    pub(crate) options: Options,
    /// True once the workstation is being closed: work that waits for the network gives up.
    pub(crate) closing: tokio::sync::watch::Sender<bool>,
    /// Dropped after everything above: whoever listens knows that no thread has a database open any more.
    pub(crate) gone: tokio::sync::watch::Sender<()>,
}

pub(crate) fn events() -> broadcast::Sender<EngineEvent> {
    broadcast::channel(EVENTS).0
}

/// The database form of a key.
pub(crate) fn db_key(dek: &Dek) -> Key {
    Key::new(Zeroizing::new(*dek.bytes()))
}

impl Station {
    /// Opens an enrolled profile.
    pub(crate) fn open(
        profile: Profile,
        device: DeviceFile,
        clock: Arc<Clock>,
        events: broadcast::Sender<EngineEvent>,
        options: Options,
    ) -> Result<Self, EngineError> {
        let watch = Stopwatch::start();
        let sealer = keys::sealer_of(&profile, &options.tpm);
        let key = DeviceKey::open(&profile.device_key(), sealer.as_ref())?;
        let unsealed_ms = watch.ms();
        keys::settle(&profile, sealer.kind(), &options.tpm);
        let (slots, deks) = Slots::open(&profile.slots(), &device.device, key.dk())?;
        let alarms = Alarms::default();
        let essentials = open_essentials(&profile, &deks, &alarms, &clock)?;
        let (outbox, fault) = Outbox::open_or_absent(&profile.outbox(), &db_key(&deks.outbox))?;
        if let Some(e) = fault {
            tracing::error!(error = %e, "the outbox cannot be opened");
            alarms.raise(Alarm::OutboxUnwritable);
        } else if !outbox.writable() {
            alarms.raise(Alarm::OutboxUnwritable);
        }
        if !essentials.writable() {
            alarms.raise(Alarm::EssentialsReadOnly);
        }
        let ballast = Ballast::new(&profile.ballast(), &deks.outbox);
        let imaging = Imaging::new(
            open_images(&profile, &deks, &clock),
            events.clone(),
            Arc::clone(&clock),
            options.images_bytes,
        );
        let device_id = DeviceId::new(device.device.as_str()).map_err(|e| {
            EngineError::Usage(say!(
                "device.json: {e}: enrol this workstation again",
                "device.json: {e}: diesen Arbeitsplatz neu registrieren"
            ))
        })?;
        let station = Self {
            profile,
            device: RwLock::new(device),
            device_id,
            key,
            sealer,
            unsealed_ms,
            slots: Mutex::new(slots),
            essentials,
            outbox,
            ballast,
            alarms,
            fresh: Freshness::default(),
            clock,
            session: RwLock::new(None),
            proofs: Proofs::default(),
            waits: Waits::default(),
            badges: Badges::default(),
            reader: Mutex::default(),
            browsing: tokio::sync::watch::channel(0).0,
            desk: Desk::default(),
            drill: Drill::default(),
            imaging,
            integrity: Integrity::default(),
            horizon: Horizon::default(),
            live: Live::default(),
            layouts: layouts::Held::default(),
            certificate: AtomicI64::new(0),
            events,
            link: Mutex::new(None),
            unended: Mutex::default(),
            running: Mutex::default(),
            sent: Mutex::default(),
            asking: tokio::sync::watch::channel(0).0,
            options,
            closing: tokio::sync::watch::channel(false).0,
            gone: tokio::sync::watch::channel(()).0,
        };
        station.recall_clock();
        // Where they cannot be read an emergency is opened all the same; only the end of those before is not said.
        match station.outbox.grants_in_force(station.clock.now()) {
            Ok(grants) => grants.iter().for_each(|g| after::runs(&station, g)),
            Err(e) => tracing::warn!(error = %e, "the emergency accesses in force are not known"),
        }
        layouts::recall(&station);
        station.settle_reserve();
        let _ = station.ballast.keep(station.options.ballast_bytes);
        Ok(station)
    }

    /// Runs work to its end, or until the workstation is closed.
    pub(crate) async fn until_closing(&self, work: impl Future<Output = ()>) {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            () = work => {}
            _ = closing.wait_for(|c| *c) => {}
        }
    }

    pub(crate) fn device(&self) -> RwLockReadGuard<'_, DeviceFile> {
        self.device.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn session_mut(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall_clock(&self) {
        let note = self.essentials.note("clock").ok().flatten();
        let kept = note
            .as_deref()
            .and_then(|n| n.split_once(' '))
            .and_then(|(o, at)| Some((o.parse().ok()?, at.parse().ok()?)));
        if let Some((offset, at)) = kept {
            self.clock.recall(offset, UtcMs(at));
        }
    }

    /// Keeps the server's offset, and until when its certificate is good, for the next start.
    pub(crate) fn keep_clock(&self) {
        if let Some(offset) = self.clock.offset_ms() {
            let _ = self
                .essentials
                .set_note("clock", &format!("{offset} {}", self.clock.wall().0));
        }
        let ends = self.certificate.load(Ordering::Relaxed);
        if ends != 0 {
            let _ = self.essentials.set_note("certificate", &ends.to_string());
        }
    }

    /// The server showed a certificate that ends then, ms.
    pub(crate) fn note_certificate(&self, ends: i64) {
        self.certificate.store(ends, Ordering::Relaxed);
    }

    /// When the server's certificate ends, or its CA's where that is sooner, ms; `None` before either was seen.
    pub(crate) fn certificate_ends(&self) -> Option<i64> {
        let leaf = Some(self.certificate.load(Ordering::Relaxed)).filter(|at| *at != 0);
        let leaf = leaf.or_else(|| self.essentials.note("certificate").ok().flatten()?.parse().ok());
        let ca = std::fs::read(self.profile.ca())
            .ok()
            .and_then(|pem| crate::link::ends(&pem));
        match (leaf, ca) {
            (Some(leaf), Some(ca)) => Some(leaf.min(ca)),
            (leaf, _) => leaf,
        }
    }

    /// Moves rows of the reserve and of memory into the chain once it can be written again.
    pub(crate) fn settle_reserve(&self) {
        let moved = self
            .ballast
            .drain(|line| self.outbox.append_line(line).map_err(EngineError::from));
        match moved {
            Ok(0) => {}
            Ok(n) => {
                tracing::warn!(rows = n, "rows of the reserve were moved into the audit chain");
                self.alarms.clear(Alarm::AuditInReserve);
            }
            Err(e) => {
                tracing::error!(error = %e, "rows of the reserve cannot be moved into the audit chain");
                self.alarms.raise(Alarm::AuditInReserve);
                return;
            }
        }
        if self.outbox.settle_memory().is_ok() {
            self.alarms.clear(Alarm::AuditInMemory);
        }
    }

    /// Raises the alarm for where an emergency row was kept.
    pub(crate) fn kept(&self, kept: Kept) {
        let alarm = match kept {
            Kept::Chain => return,
            Kept::Reserve => Alarm::AuditInReserve,
            Kept::Memory => Alarm::AuditInMemory,
        };
        if self.alarms.raise(alarm) {
            self.tell_status();
        }
    }

    /// A page of the essentials cannot be read: alarm, and the scopes are fetched anew.
    pub(crate) fn damaged(&self, e: &StoreError) {
        if matches!(e, StoreError::Damaged(_)) && self.alarms.raise(Alarm::EssentialsDamaged) {
            self.tell_status();
            self.command(crate::link::Command::Refetch(None));
        }
    }

    /// What the server sent cannot be written. Where that is by damage, fetching anew does not help: the file has to be made
    /// anew ([`crate::Workstation::renew`]).
    pub(crate) fn unwritable(&self, scope: &str, e: &StoreError) {
        let scope_kind = scope.split(':').next().unwrap_or_default();
        tracing::error!(scope_kind, error = %e, "the cache cannot be written");
        self.damaged(e);
        let stuck = matches!(e, StoreError::Damaged(_)) && !vitrine_sync::scope::is_patient(scope);
        if stuck && self.alarms.raise(Alarm::EssentialsStuck) {
            self.tell_status();
        }
    }

    /// What is known of a card reader.
    pub(crate) fn reader(&self) -> Reader {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is known of it now, and says so where it changed.
    pub(crate) fn note_reader(&self, now: Reader) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if *reader != now {
            *reader = now;
            drop(reader);
            self.tell(EngineEvent::LockChanged);
        }
    }

    /// Entries that are on their way to the server.
    pub(crate) fn sent(&self) -> std::collections::BTreeSet<String> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that an entry is on its way, or is not any more.
    pub(crate) fn note_sent(&self, id: &str, on_its_way: bool) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if on_its_way {
            sent.insert(id.to_owned());
        } else {
            sent.remove(id);
        }
    }

    pub(crate) fn tell(&self, event: EngineEvent) {
        if let EngineEvent::BoardChanged(ward) = &event {
            self.live.board_changed(ward);
        }
        let _ = self.events.send(event);
    }

    pub(crate) fn tell_status(&self) {
        if self.events.receiver_count() > 0 {
            self.tell(EngineEvent::Status(crate::status::status_view(self)));
        }
    }

    /// Whether this program synchronises the workstation; another one may.
    pub(crate) fn synchronises(&self) -> bool {
        self.link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|link| !link.is_closed())
    }

    /// Tells the link something, if there is one in this program.
    pub(crate) fn command(&self, command: crate::link::Command) {
        if let Some(link) = self.link.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = link.send(command);
        }
    }

    /// The person signed in; counts as activity.
    pub(crate) fn person(&self) -> Result<Person, EngineError> {
        self.idle_check();
        let mut session = self.session_mut();
        let s = session.as_mut().ok_or(EngineError::NotSignedIn)?;
        s.active = self.clock.elapsed();
        Ok(s.person.clone())
    }

    pub(crate) fn records(&self) -> Option<Arc<Records>> {
        self.session().as_ref().and_then(|s| s.records.clone())
    }

    /// Locks when nobody has done anything for the idle time.
    pub(crate) fn idle_check(&self) {
        let idle = self
            .session()
            .as_ref()
            .is_some_and(|s| self.clock.elapsed().saturating_sub(s.active) >= self.options.idle_lock);
        if idle {
            self.lock(Ended::Idle);
        }
    }

    /// Ends the session: the user's database is closed, its key wiped, everything shown is to be hidden.
    pub(crate) fn lock(&self, how: Ended) {
        let ended = self.session_mut().take();
        self.proofs.clear();
        self.badges.clear();
        self.imaging.lock();
        self.live.close();
        if let Some(session) = ended {
            let user = session.person.user.clone();
            drop(session);
            self.command(crate::link::Command::SignedOut);
            self.tell(EngineEvent::Locked);
            after::session_over(self, &user, how);
            rows::ended(self, &user, how);
            self.write_head();
            // What they hold of what was shown and written goes with whoever it was shown to.
            self.outbox.let_go();
            self.essentials.let_go();
        }
    }

    /// Signs the head of the audit chain.
    pub(crate) fn write_head(&self) {
        let Ok(head) = self.outbox.head() else { return };
        let device = self.device().device.clone();
        if let Err(e) = outbox::write_head(
            &self.profile.audit_head(),
            &self.key,
            &device,
            &head,
            self.clock.now(),
        ) {
            tracing::warn!(error = %e, "audit.head could not be written");
        }
    }

    /// A request to the policy by a person at this workstation.
    pub(crate) fn request(
        &self,
        subject: Subject,
        patient: Option<PatientFacts>,
        ward: Option<WardId>,
        grant: Option<Grant>,
    ) -> Result<Request, EngineError> {
        let at = self.clock.now();
        Ok(Request {
            access_id: entropy::access_id(at)?,
            at,
            subject,
            device: Some(self.device_id.clone()),
            patient,
            ward,
            kind: None,
            grant,
            purpose: None,
        })
    }

    /// A request about a patient: where the patient is by what is here, and a grant of this person at this workstation
    /// that covers the patient now.
    pub(crate) fn request_about(&self, person: &Person, patient: &PatientId) -> Result<Request, EngineError> {
        let (ward, label) = match self.essentials.standing(patient, false) {
            Ok(found) => found.unwrap_or_default(),
            // Nobody has a relationship to a patient who is nowhere.
            Err(StoreError::Damaged(_)) => (None, Label::UNREADABLE),
            Err(e) => return Err(e.into()),
        };
        let now = self.clock.now();
        let grant = self
            .outbox
            .grant(&person.user, Some(&self.device_id), patient, now)?;
        let facts = PatientFacts {
            patient: patient.clone(),
            ward,
            label,
        };
        self.request(person.subject(), Some(facts), None, grant)
    }

    /// A request about a patient's images by this workstation on its own behalf.
    pub(crate) fn request_of_device(&self, patient: &PatientId, kind: &str) -> Result<Request, EngineError> {
        let (ward, site) = {
            let device = self.device();
            (device.ward.clone(), device.site)
        };
        let ward = WardId::new(ward).map_err(|_| EngineError::Internal("the workstation's ward"))?;
        let (ward_of, label) = self.essentials.standing(patient, false)?.unwrap_or_default();
        let facts = PatientFacts {
            ward: ward_of,
            patient: patient.clone(),
            label,
        };
        let request = self.request(Subject::Device { ward, site }, Some(facts), None, None)?;
        Ok(Request {
            kind: Some(kind.to_owned()),
            ..request
        })
    }

    /// "Last synchronised 21-Nov-2026 04:31." for what is not here.
    pub(crate) fn synced_text(&self) -> String {
        let stored = self.stored_as_of();
        let (_, as_of) = self.fresh.feed(stored, &self.clock);
        match as_of {
            Some(at) => {
                let at = UtcMs(at);
                say!(
                    "Last synchronised {at}.",
                    "Zuletzt synchronisiert {at}.",
                    at = vitrine_clinical::format::date_time_in(at, &|at| self.clock.zone_minutes(at))
                )
            }
            None => say!("Never synchronised.", "Nie synchronisiert."),
        }
    }

    /// Server time of the oldest of the device's scopes, by the database.
    pub(crate) fn stored_as_of(&self) -> Option<i64> {
        let scopes = self.essentials.scopes().ok()?;
        scopes.iter().filter(|s| s.complete).filter_map(|s| s.as_of).min()
    }

    pub(crate) fn not_here(&self, what: &str) -> EngineError {
        EngineError::NotOnThisWorkstation {
            what: what.to_owned(),
            synced: self.synced_text(),
        }
    }

    /// A patient by FHIR id alone, who must be here: whoever records means this one and nobody whose number reads the same.
    pub(crate) fn exactly(&self, id: &str) -> Result<PatientId, EngineError> {
        let id = PatientId::new(id).map_err(|e| EngineError::Usage(e.to_string()))?;
        if !matches!(self.essentials.whereabouts(&id, true), Ok(None)) {
            return Ok(id);
        }
        if let Some(records) = self.records()
            && records.scope(&format!("pat:{id}"))?.is_some_and(|s| s.complete)
        {
            return Ok(id);
        }
        Err(self.not_here(word!("This patient", "dieser Patient")))
    }

    /// Reads what was given as a patient: a FHIR id, or an MRN.
    pub(crate) fn resolve(&self, text: &str) -> Result<PatientId, EngineError> {
        let text = text.trim();
        let id = PatientId::new(text).ok();
        if let Some(id) = &id
            && !matches!(self.essentials.whereabouts(id, true), Ok(None))
        {
            return Ok(id.clone());
        }
        let term = cache::number_term(text);
        if term.len() > 1 {
            let mut found = self.essentials.by_term(&term)?;
            if found.len() > 1 {
                return Err(EngineError::Usage(say!(
                    "this number belongs to more than one patient: give the FHIR id",
                    "diese Nummer gehört zu mehr als einem Patienten: die FHIR-ID angeben"
                )));
            }
            if let Some(one) = found.pop() {
                return Ok(one);
            }
        }
        // A record may be here whose essentials are not (a patient of another ward).
        if let (Some(id), Some(records)) = (&id, self.records())
            && records.scope(&format!("pat:{id}"))?.is_some_and(|s| s.complete)
        {
            return Ok(id.clone());
        }
        Err(self.not_here(word!("This patient", "dieser Patient")))
    }
}

fn open_essentials(
    profile: &Profile,
    deks: &DeviceDeks,
    alarms: &Alarms,
    clock: &Clock,
) -> Result<Essentials, EngineError> {
    let path = profile.essentials();
    let key = db_key(&deks.essentials);
    match Essentials::open(&path, &key, cache::open_fold) {
        Err(StoreError::Damaged(_)) => {
            // It can be fetched again, so a file that does not open at all is set aside, never overwritten.
            alarms.raise(Alarm::EssentialsDamaged);
            for ending in ["", "-wal", "-shm"] {
                let from = profile.file(&format!("essentials.db{ending}"));
                let to = profile.file(&format!("essentials.damaged-{}.db{ending}", clock.wall().0));
                if from.exists() {
                    std::fs::rename(&from, &to)
                        .map_err(EngineError::io("setting a damaged database aside"))?;
                }
            }
            Ok(Essentials::open(&path, &key, cache::open_fold)?)
        }
        other => Ok(other?),
    }
}

/// Images can be fetched again: a database of them that does not open is set aside, and what it named is removed. On a
/// full disk it is opened when it is needed.
fn open_images(profile: &Profile, deks: &DeviceDeks, clock: &Clock) -> Images {
    let (path, folder, key) = (profile.images(), profile.images_folder(), db_key(&deks.images));
    let found = Images::open(&path, &folder, &key);
    let aside = match found {
        Ok(images) => return images,
        Err(StoreError::Damaged(_) | StoreError::WrongKey(_) | StoreError::Unencrypted(_)) => true,
        Err(e) => {
            tracing::error!(error = %e, "stored images cannot be opened");
            false
        }
    };
    if aside {
        tracing::error!("stored images are damaged: they are set aside and fetched again");
        // For whoever looks into it the last one is enough: they hold patients' images.
        remove_set_aside(profile);
        for ending in ["", "-wal", "-shm"] {
            let from = profile.file(&format!("images.db{ending}"));
            let to = profile.file(&format!("images.damaged-{}.db{ending}", clock.wall().0));
            if from.exists()
                && let Err(e) = std::fs::rename(&from, &to)
            {
                tracing::error!(error = %e, "a damaged database could not be set aside");
            }
        }
        if let Ok(images) = Images::open(&path, &folder, &key) {
            return images;
        }
    }
    Images::unopened(&path, &folder, &key)
}

fn remove_set_aside(profile: &Profile) {
    let folder = profile.images().parent().map(std::fs::read_dir);
    let files = folder.and_then(Result::ok).into_iter().flatten().flatten();
    for file in files.filter(|f| f.file_name().to_string_lossy().starts_with("images.damaged-")) {
        if let Err(e) = std::fs::remove_file(file.path()) {
            tracing::warn!(error = %e, "an older damaged database of images could not be removed");
        }
    }
}
