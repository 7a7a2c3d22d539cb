//! What the running server consists of, shared by every request and connection.
//!
//! Lives here: [`App`], and the two steps every access takes: deciding (with the refusal's audit row) and opening
//! (with the access's audit row). Never here: routes, rules. Called by `http`, `ws`, `cli` and `jobs`.

use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::http::dicomweb::decodes::Decodes;
use crate::identity::known::Known;
use crate::identity::oidc::Provider;
use crate::identity::sessions::Caller;
use crate::identity::throttle::Throttle;
use crate::imaging::copies::Copier;
use crate::imaging::filing::Filer;
use crate::imaging::packs::Packs;
use crate::imaging::room::Room;
use crate::keys::Keys;
use crate::lanes::Lanes;
use crate::lanes::workers::{Rank, Workers};
use crate::ops::audit_tree::Tree;
use crate::ops::breaker::Breaker;
use crate::ops::guarded::Guarded;
use crate::ops::metrics::Metrics;
use crate::ops::sections::Sections;
use crate::ws::hub::Changed;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, broadcast, watch};
use vitrine_access::grant::{Ended, EndedBy, GrantId};
use vitrine_access::policy::{self, Denied, PatientFacts, Request, Subject};
use vitrine_access::{Action, Grant, Permit, Sealed};
use vitrine_clinical::label::Label;
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};
use vitrine_store::{GrantRow, Store, StoreError, labels};
use vitrine_wire::layout::Layouts;

/// Records read ahead at the same time, over all workstations.
const READ_AHEAD: usize = 64;

/// The running server.
pub struct App {
    /// The data folder.
    pub dir: DataDir,
    /// The configuration.
    pub config: Config,
    /// The keys.
    pub keys: Arc<Keys>,
    /// The site's role layouts (JSON) and the signature over them, hex.
    pub layouts: Arc<(String, String)>,
    /// The record, the feed, the audit log and the accounts.
    pub store: Arc<dyn Store>,
    /// Wrong secrets.
    pub throttle: Throttle,
    /// Leave to compute an Argon2id value: each takes up to 64 MiB.
    pub sign_ins: Semaphore,
    /// Which requests are worked on, wait, or are turned away.
    pub lanes: Lanes,
    /// The hospital's identity provider.
    pub oidc: Option<Provider>,
    /// Sessions seen lately.
    pub known: Known,
    /// What was shown last, of the types that may be shown old.
    pub last_known: crate::http::fhir::last_known::LastKnown,
    /// The breaker of each thing the server depends on.
    pub breakers: Vec<Arc<Breaker>>,
    /// Leave to read a record ahead of what a workstation has taken: each holds up to half a MiB.
    pub read_ahead: Arc<Semaphore>,
    /// The tree over all audit chains.
    pub tree: Arc<Tree>,
    /// Where its rows go beside, if anywhere.
    pub repository: Option<crate::ops::repository::Repository>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// True while the server drains, and from SIGTERM on.
    pub draining: watch::Sender<bool>,
    /// The WebSocket hub.
    pub hub: crate::ws::hub::Hub,
    /// What the monitors say now.
    pub live: crate::live::Room,
    /// Whose they are and where they lie, as found out lately.
    pub live_lately: crate::live::take::Lately,
    /// Walls that are open.
    pub walls: crate::live::Walls,
    /// What the archive tiers are at.
    pub tiers: Arc<crate::ops::tiers::Work>,
    /// Threads of images: they give way to everything of the record.
    pub image_threads: Workers,
    /// Packs of images that are open.
    pub packs: Packs,
    /// Room on the disk of images.
    pub room: Room,
    /// Leave to decode an image for an answer.
    pub decodes: Decodes,
    /// Which session ended; `None` when each must be looked at. For connections that are not the hub's.
    pub ended: broadcast::Sender<Option<[u8; 32]>>,
    /// Series of which there is more to show.
    pub packed: broadcast::Sender<String>,
    /// Takes images in and knows where they lie.
    pub images: Arc<Filer>,
    /// Looks after the copies of their originals.
    pub copies: Arc<Copier>,
    /// Grants whose time is not over, and whether each stands: one that has ended does not.
    grants: Mutex<Vec<(Grant, Option<Ended>)>>,
    /// Reviews of broken glass that wait for somebody.
    pub waiting: crate::jobs::reviews::Waiting,
    /// Broken glass that somebody has to be told of.
    pub notices: crate::jobs::notices::Waiting,
    /// The hospital's mail server, where somebody is to be told.
    pub mailer: Option<Arc<crate::ops::notice::Mailer>>,
    /// What the web console keeps.
    pub console: crate::http::console::Kept,
    /// How much of a record is seen by whoever may not see all of it.
    pub counts: crate::http::fhir::Counts,
}

/// An access that gave no data.
#[derive(Debug)]
pub enum NoAccess {
    /// Policy denied it; the refusal is in the audit log.
    Denied(Box<Denied>),
    /// The store failed, or the audit row could not be written: nothing is shown.
    Store(StoreError),
}
impl From<StoreError> for NoAccess {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl App {
    /// Puts the server together.
    ///
    /// # Errors
    /// [`StoreError`] when the grants still in force cannot be read.
    pub async fn new(
        dir: DataDir,
        config: Config,
        keys: Keys,
        store: Arc<dyn Store>,
    ) -> Result<Arc<Self>, StoreError> {
        let now = clock::now();
        let metrics = Arc::new(Metrics::default());
        let sections = Sections::new(&config.lanes);
        let breakers = sections.breakers();
        if let Some(writable) = store.writable() {
            sections.wake_with(writable);
        }
        let store: Arc<dyn Store> = Arc::new(Guarded::new(store, sections, metrics.clone()));
        let lanes = Lanes::new(&config).map_err(|e| StoreError::Backend {
            doing: "starting the lanes' threads",
            cause: e.to_string(),
        })?;
        let image_threads =
            std::thread::available_parallelism().map_or(2, usize::from) + config.images.workers;
        let image_threads =
            Workers::start("image", image_threads, Rank::Rest).map_err(|e| StoreError::Backend {
                doing: "starting the threads of images",
                cause: e.to_string(),
            })?;
        let oidc = Provider::open(&config.oidc).map_err(|e| StoreError::Refused(e.text))?;
        let images = Filer::open(store.clone(), &dir, &config.images, &config.database.node)?;
        let draining = watch::channel(false).0;
        let copies = Copier::open(
            store.clone(),
            images.blobs().clone(),
            &dir,
            &config.images,
            metrics.clone(),
            draining.subscribe(),
        )
        .map_err(|e| StoreError::Refused(e.text))?;
        let grants = store.grants(10_000).await?;
        let running = grants
            .into_iter()
            .filter(|g| g.refused.is_none() && g.grant.until > now);
        let grants = running.map(|g| (g.grant, g.ended)).collect();
        let rules = Layouts {
            layouts: config.layout.clone(),
        };
        let rules = serde_json::to_string(&rules).map_err(|e| StoreError::Backend {
            doing: "writing the role layouts",
            cause: e.to_string(),
        })?;
        let signature = keys.sign(&vitrine_sync::proof::layouts(&rules));
        let mailer =
            crate::ops::notice::Mailer::of(&config, &dir).map_err(|e| StoreError::Refused(e.text))?;
        let keys = Arc::new(keys);
        let tree = Arc::new(Tree::new(&dir, &config, keys.clone(), metrics.clone()));
        let repository = crate::ops::repository::Repository::open(&dir, &config, metrics.clone())
            .map_err(|e| StoreError::Refused(e.text))?;
        Ok(Arc::new(Self {
            layouts: Arc::new((rules, signature)),
            throttle: Throttle::default(),
            sign_ins: Semaphore::new(config.limits.sign_ins),
            lanes,
            oidc,
            known: Known::default(),
            last_known: crate::http::fhir::last_known::LastKnown::default(),
            breakers,
            read_ahead: Arc::new(Semaphore::new(READ_AHEAD)),
            tree,
            repository,
            metrics,
            draining,
            hub: crate::ws::hub::Hub::new(store.watch()),
            live: crate::live::Room::default(),
            live_lately: crate::live::take::Lately::default(),
            walls: crate::live::Walls::default(),
            tiers: Arc::default(),
            image_threads,
            packs: Packs::default(),
            room: Room::new(config.images.reserve_mib),
            decodes: Decodes::new(config.images.decodes),
            ended: broadcast::channel(256).0,
            packed: broadcast::channel(256).0,
            images,
            copies,
            grants: Mutex::new(grants),
            waiting: crate::jobs::reviews::Waiting::default(),
            notices: crate::jobs::notices::Waiting::default(),
            mailer: mailer.map(Arc::new),
            console: crate::http::console::Kept::default(),
            counts: crate::http::fhir::Counts::default(),
            dir,
            config,
            keys,
            store,
        }))
    }

    /// This server learned of broken glass, or of its escalation: whoever has to hear of it is told.
    pub fn owes_notice(&self, id: GrantId) {
        if self.mailer.is_some() {
            self.notices.add(id);
        }
    }

    /// Tells every connection to ask again who it serves.
    pub fn access_changed(&self) {
        self.known.forget_all();
        self.hub.recheck(&Changed::People);
        self.hub.recheck(&Changed::Devices);
        let _ = self.ended.send(None);
    }

    /// Tells the connections of a session that it ended.
    pub fn session_ended(&self, session: &[u8; 32]) {
        self.known.forget(session);
        self.hub.recheck(&Changed::Session(*session));
        let _ = self.ended.send(Some(*session));
    }

    /// Notes a grant as the store keeps it, so that requests resting on it are allowed while it is in force. One that has ended
    /// is remembered as such until its time: what was read of it before its end may be noted after.
    pub fn note_grant(&self, row: GrantRow) {
        let now = clock::now();
        if row.refused.is_some() || row.grant.until <= now {
            return;
        }
        let closed = {
            let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
            grants.retain(|(g, _)| g.until > now);
            if let Some((_, ended)) = grants.iter_mut().find(|(g, _)| g.id == row.grant.id) {
                let closed = row.ended.is_some() && ended.is_none();
                *ended = ended.or(row.ended);
                closed
            } else {
                grants.push((row.grant, row.ended));
                row.ended.is_some()
            }
        };
        if closed {
            // What is open under it is closed; a workstation that does not know it is told.
            self.hub.recheck(&Changed::People);
            self.hub.recheck(&Changed::Grants);
        }
    }

    /// Grants of a workstation whose time is not over and that a reviewer took back.
    #[must_use]
    pub fn revoked_grants(&self, device: &DeviceId, at: UtcMs) -> Vec<(GrantId, Ended)> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants
            .iter()
            .filter(|(g, _)| g.device.as_ref() == Some(device) && g.until > at)
            .filter_map(|(g, ended)| Some((g.id, ended.filter(|e| e.by == EndedBy::Revoked)?)))
            .collect()
    }

    /// A grant in force for this user, workstation and patient.
    #[must_use]
    pub fn grant_for(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        patient: &PatientId,
        at: UtcMs,
    ) -> Option<Grant> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants
            .iter()
            .find(|(g, ended)| ended.is_none() && g.covers(user, device, patient, at))
            .map(|(g, _)| g.clone())
    }

    /// A grant in force for this user and patient, at whatever workstation: to be told of, not to decide on.
    #[must_use]
    pub fn broken_by(&self, user: &UserId, patient: &PatientId, at: UtcMs) -> Option<Grant> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants
            .iter()
            .find(|(g, ended)| ended.is_none() && g.covers(user, g.device.as_ref(), patient, at))
            .map(|(g, _)| g.clone())
    }

    /// Whether this user holds any grant in force at this workstation.
    #[must_use]
    pub fn has_grant(&self, user: &UserId, device: Option<&DeviceId>, at: UtcMs) -> bool {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.iter().any(|(g, ended)| {
            ended.is_none() && g.user == *user && g.device.as_ref() == device && at >= g.at && at < g.until
        })
    }

    /// A request of a caller about a resource type and, where there is one, a patient.
    ///
    /// # Errors
    /// [`StoreError`] when the patient's ward cannot be read.
    pub async fn request(
        &self,
        caller: &Caller,
        kind: Option<&str>,
        patient: Option<&PatientId>,
    ) -> Result<Request, StoreError> {
        let at = clock::now();
        let (mut facts, mut grant) = (None, None);
        if let Some(patient) = patient {
            let ward = self.store.whereabouts(patient).await?.flatten();
            facts = Some(PatientFacts {
                patient: patient.clone(),
                ward,
                label: self.label_of(patient).await?,
            });
            if let Subject::User { user, .. } = &caller.subject {
                grant = self.grant_for(user, caller.device.as_ref(), patient, at);
            }
        }
        Ok(Request {
            access_id: clock::new_access(),
            at,
            subject: caller.subject.clone(),
            device: caller.device.clone(),
            patient: facts,
            ward: None,
            kind: kind.map(str::to_owned),
            grant,
            purpose: caller.purpose,
        })
    }

    /// How confidential a patient's whole record is: what cannot be read is very restricted, what is not there has no
    /// label.
    pub(crate) async fn label_of(&self, patient: &PatientId) -> Result<Label, StoreError> {
        let Ok(key) = ResourceKey::new("Patient", patient.as_str()) else {
            return Ok(Label::UNREADABLE);
        };
        match self.store.lookup(&key).await {
            Ok(found) => Ok(found.map_or(Label::NONE, |(_, body)| labels::of_body(&body))),
            Err(StoreError::Archived { .. } | StoreError::Damaged(_)) => Ok(Label::UNREADABLE),
            Err(e) => Err(e),
        }
    }

    /// Decides, and writes a refusal down.
    ///
    /// # Errors
    /// [`NoAccess`].
    pub async fn decide<A: Action>(&self, request: Request) -> Result<Permit<A>, NoAccess> {
        match policy::decide::<A>(request) {
            Ok(permit) => Ok(permit),
            Err(denied) => {
                self.store.append(denied.entry()).await?;
                self.metrics.denied();
                Err(NoAccess::Denied(Box::new(denied)))
            }
        }
    }

    /// Writes an access down and opens what it read.
    ///
    /// # Errors
    /// [`NoAccess::Store`] when the row could not be written: nothing is shown then.
    pub async fn open<A: Action, T>(&self, permit: &Permit<A>, sealed: Sealed<T>) -> Result<T, NoAccess> {
        let receipt = self
            .store
            .append(permit.entry(sealed.disclosure().clone()))
            .await?;
        sealed.open(&receipt).map_err(|e| {
            NoAccess::Store(StoreError::Backend {
                doing: "opening what was read",
                cause: e.to_string(),
            })
        })
    }
}
