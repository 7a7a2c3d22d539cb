//! What a session's effects ask for: the store, the policy, signatures.
//!
//! Lives here: one function per effect, each giving the event that answers it. Never here: the protocol, sockets.
//! Called by `session`, beside the connection.

use super::hub::{self, Unbuilt};
use super::pages::{ReadAhead, ask_back, page};
use crate::app::{App, NoAccess};
use crate::clock;
use crate::http::auth::sign_in_row;
use crate::identity::devices::signed_by;
use crate::identity::sessions::{self, Caller};
use crate::keys::{hex, unhex};
use crate::lanes::pressure::Level;
use std::sync::Arc;
use vitrine_access::action::{ReadChart, SyncScope};
use vitrine_access::chain;
use vitrine_access::policy::{self, Request, Subject};
use vitrine_access::{Actor, Disclosure, Kind};
use vitrine_clinical::{DeviceId, PatientId, WardId};
use vitrine_store::{DeviceRow, DeviceState, StoreError, urgent};
use vitrine_sync::fanout::{self, Item};
use vitrine_sync::proof;
use vitrine_sync::scope::Scope;
use vitrine_sync::server::{AuditVerdict, DeviceVerdict, Effect, Event, RowsRead};
use vitrine_wire::ErrorCode;
use vitrine_wire::digest::{ScopeDigest, bucket_of};
use vitrine_wire::message::{AuditRow, ProviderIn, Ref, WaysIn};

/// Rows of one scope read at a time.
const ROWS: usize = 1000;
/// Further back than this a snapshot is cheaper than the rows.
const FAR: u64 = 200_000;

/// Whom a connection serves, as far as proven.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// The workstation.
    pub device: Option<Arc<DeviceRow>>,
    /// The person's session.
    pub user: Option<[u8; 32]>,
    /// Chunks it has not asked for yet.
    pub(super) ahead: ReadAhead,
    cell: Arc<std::sync::Mutex<Cell>>,
}

/// What tasks beside the connection found out, until the connection takes it over with the event.
#[derive(Debug, Default)]
struct Cell {
    device: Option<Arc<DeviceRow>>,
    user: Option<(u64, [u8; 32])>,
}

impl Served {
    /// Takes over what an answer proves.
    pub fn note(&mut self, event: &Event) {
        let mut cell = self
            .cell
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Device(_) => self.device = cell.device.take().or(self.device.take()),
            Event::User { n, verdict } => {
                let hash = cell.user.filter(|(m, _)| m == n).map(|(_, h)| h);
                self.user = if verdict.is_ok() { hash } else { None };
            }
            Event::UserEnded(_) => self.user = None,
            _ => {}
        }
    }
    fn proven_device(&self, row: Arc<DeviceRow>) {
        self.cell
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .device = Some(row);
    }
    fn proven_user(&self, n: u64, hash: [u8; 32]) {
        self.cell
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .user = Some((n, hash));
    }
    pub(super) fn id(&self) -> Option<&DeviceId> {
        self.device.as_ref().map(|d| &d.id)
    }
}

/// Carries out an effect.
pub async fn effect(app: &App, served: &Served, effect: Effect) -> Option<Event> {
    match effect {
        Effect::VerifyDevice {
            device,
            message,
            signature,
            report,
            app: program,
        } => Some(Event::Device(
            verify(app, served, &device, &message, &signature, report, &program).await,
        )),
        Effect::CheckUser { n, token } => Some(Event::User {
            n,
            verdict: check_user(app, served, n, &token).await,
        }),
        Effect::Decide { scope, n, user } => {
            // What was read for an earlier question was written down for whoever asked it.
            served.ahead.forget();
            let verdict = if sheds(app, served, &scope) {
                app.metrics
                    .count("vitrine_shed_total", "lane=\"open-patient\"", 1);
                Err(ErrorCode::Overloaded)
            } else {
                decide(app, served, &scope, user.is_some()).await
            };
            Some(Event::Decided { scope, n, verdict })
        }
        Effect::ReadSince { scope, n, pos } => Some(match since(app, &scope, pos).await {
            Ok(rows) => Event::Rows { scope, n, rows },
            Err(e) => {
                ask_back(app, served, &scope, &e).await;
                failed(scope, n, &e)
            }
        }),
        Effect::ReadPage { scope, n, after } => {
            // Under pressure snapshots go one page at a time: slow, and never to a standstill.
            let turn = app.lanes.page_turn().await;
            if turn.is_some() {
                app.metrics.count("vitrine_shed_total", "lane=\"snapshot\"", 1);
            }
            if after.is_none() && !vitrine_sync::scope::is_patient(&scope) {
                app.metrics.count("vitrine_cache_misses_total", "", 1);
            }
            Some(match page(app, served, &scope, after.as_deref()).await {
                Ok(page) => Event::Page { scope, n, page },
                Err(e) => {
                    ask_back(app, served, &scope, &e).await;
                    failed(scope, n, &e)
                }
            })
        }
        Effect::ReadDigest { scope, n } => Some(match digest(app, &scope).await {
            Ok((pos, digest)) => Event::DigestRead {
                scope,
                n,
                pos,
                rev: 0,
                digest,
            },
            Err(e) => failed(scope, n, &e),
        }),
        Effect::ReadRefs { scope, n, buckets } => Some(match refs(app, &scope, &buckets).await {
            Ok((pos, refs)) => Event::RefsRead {
                scope,
                n,
                pos,
                buckets,
                refs,
            },
            Err(e) => failed(scope, n, &e),
        }),
        Effect::ReadItems { scope, n, keys } => {
            // Before the read: everything up to here is in the items.
            let pos = app.hub.newest();
            Some(match app.store.items(&scope, &keys).await {
                Ok(items) => {
                    let items = items
                        .into_iter()
                        .map(|i| Item {
                            key: i.key,
                            ver: i.ver,
                            version: i.version,
                            body: i.body,
                        })
                        .collect();
                    Event::ItemsRead {
                        scope,
                        n,
                        pos,
                        keys,
                        items,
                    }
                }
                Err(e) => {
                    ask_back(app, served, &scope, &e).await;
                    failed(scope, n, &e)
                }
            })
        }
        Effect::StoreGrant { grant, after } => urgent(super::grants::store(app, served, grant.get(), after))
            .await
            .map(|(id, rev)| Event::GrantStored { id, rev }),
        Effect::StoreEntry { entry } => super::entries::store(app, served, entry.get()).await,
        Effect::StoreAudit { rows } => Some(Event::AuditStored(store_audit(app, served, rows).await)),
        Effect::WipeDone { nonce, signature } => {
            wiped(app, served, &nonce, &signature).await;
            None
        }
        Effect::Listen { .. } | Effect::Unlisten { .. } | Effect::Close { .. } => None,
    }
}

/// Whether opening this patient has to wait until the server has less to do: not for whoever broke the glass on it.
fn sheds(app: &App, served: &Served, scope: &str) -> bool {
    let Some(Scope::Pat(patient)) = Scope::parse(scope) else {
        return false;
    };
    if app.lanes.pressure.level() < Level::OpenPatient {
        return false;
    }
    let now = clock::now();
    let known = served.user.and_then(|hash| app.known.get(&hash, now));
    let granted = known
        .as_ref()
        .and_then(Caller::user)
        .is_some_and(|u| app.grant_for(u, served.id(), &patient, now).is_some());
    !granted
}

fn failed(scope: String, n: u64, e: &StoreError) -> Event {
    tracing::warn!(error = %e, "a read for a workstation failed");
    Event::ReadFailed { scope, n }
}

async fn verify(
    app: &App,
    served: &Served,
    device: &str,
    message: &[u8],
    signature: &str,
    report: String,
    program: &str,
) -> DeviceVerdict {
    let Ok(id) = DeviceId::new(device) else {
        return DeviceVerdict::Refused;
    };
    let Ok(Some(row)) = app.store.device(&id).await else {
        return DeviceVerdict::Refused;
    };
    if !signed_by(&row.public_key, message, &unhex(signature).unwrap_or_default()) {
        return DeviceVerdict::Refused;
    }
    let row = Arc::new(row);
    served.proven_device(row.clone());
    if row.state == DeviceState::Revoked {
        let (nonce, signature) = wipe_order(app, &id);
        return DeviceVerdict::Revoked { nonce, signature };
    }
    let told: Option<serde_json::Value> = serde_json::from_str(&report)
        .ok()
        .filter(|_| report.len() <= 8192);
    let kept = serde_json::json!({"app": program, "report": told}).to_string();
    if let Err(e) = app.store.device_seen(&id, clock::now(), Some(kept)).await {
        tracing::warn!(error = %e, "a workstation's report was not kept");
    }
    let mut scopes = vec![
        "dir".to_owned(),
        format!("ess:{}", row.ward),
        format!("board:{}", row.ward),
    ];
    if row.site {
        scopes.push("ess:site".to_owned());
    }
    DeviceVerdict::Active {
        ward: row.ward.to_string(),
        scopes,
        audit_seq: row.audit_seq,
        training: app.dir.is_demo(),
        layouts: Arc::clone(&app.layouts),
        offline_days: app.config.sessions.offline_days,
        ways: ways(app),
    }
}

fn ways(app: &App) -> WaysIn {
    let provider = app.oidc.as_ref().map(|p| ProviderIn {
        name: p.config().shown(),
        required: p.config().require,
    });
    WaysIn {
        badge_key: hex(&*app.keys.badge_key()),
        provider,
    }
}

fn wipe_order(app: &App, device: &DeviceId) -> (String, String) {
    let nonce = hex(&clock::random::<32>());
    let signature = app.keys.sign(&proof::wipe_order(device.as_str(), &nonce));
    (nonce, signature)
}

async fn check_user(app: &App, served: &Served, n: u64, token: &str) -> Result<String, ErrorCode> {
    let caller = sessions::caller(app, token)
        .await
        .map_err(|_| ErrorCode::Internal)?;
    let caller = caller.ok_or(ErrorCode::NotSignedIn)?;
    if caller.device.as_ref() != served.id() {
        return Err(ErrorCode::Denied);
    }
    let user = caller.user().ok_or(ErrorCode::Denied)?.to_string();
    served.proven_user(n, caller.session);
    Ok(user)
}

/// Whether a scope may be sent to this workstation now, with the access's audit row.
async fn decide(app: &App, served: &Served, scope: &str, by_user: bool) -> Result<(), ErrorCode> {
    let code = |e: NoAccess| match e {
        NoAccess::Denied(_) => ErrorCode::Denied,
        NoAccess::Store(_) => ErrorCode::AuditFailed,
    };
    match Scope::parse(scope) {
        Some(Scope::Pat(patient)) => {
            let hash = served.user.filter(|_| by_user).ok_or(ErrorCode::NotSignedIn)?;
            let request = chart_request(app, hash, &patient).await?;
            let permit = app
                .decide::<ReadChart>(request)
                .await
                .map_err(code)?
                .noted("scope", scope);
            app.store
                .append(permit.entry(Disclosure::default()))
                .await
                .map_err(|_| ErrorCode::AuditFailed)?;
            Ok(())
        }
        Some(_) => {
            let request = device_request(served, scope).ok_or(ErrorCode::NotEnrolled)?;
            let permit = app
                .decide::<SyncScope>(request)
                .await
                .map_err(code)?
                .noted("scope", scope);
            app.store
                .append(permit.entry(Disclosure::default()))
                .await
                .map_err(|_| ErrorCode::AuditFailed)?;
            Ok(())
        }
        None => Err(ErrorCode::NotFound),
    }
}

async fn chart_request(app: &App, session: [u8; 32], patient: &PatientId) -> Result<Request, ErrorCode> {
    let caller = sessions::caller_of(app, session, true)
        .await
        .map_err(|_| ErrorCode::Internal)?;
    let caller = caller.ok_or(ErrorCode::NotSignedIn)?;
    app.request(&caller, Some("Patient"), Some(patient))
        .await
        .map_err(|_| ErrorCode::Internal)
}

/// A request of the workstation about a scope. The directory and open records travel in its own ward's name; whether a
/// record may be opened at all was decided for the person.
pub(crate) fn device_request(served: &Served, scope: &str) -> Option<Request> {
    let device = served.device.as_ref()?;
    let ward: Option<WardId> = match Scope::parse(scope)? {
        Scope::Ess(ward) | Scope::Board(ward) => Some(ward),
        Scope::Dir | Scope::Pat(_) => Some(device.ward.clone()),
        Scope::EssSite => None,
    };
    Some(Request {
        access_id: clock::new_access(),
        at: clock::now(),
        subject: Subject::Device {
            ward: device.ward.clone(),
            site: device.site,
        },
        device: Some(device.id.clone()),
        patient: None,
        ward,
        kind: None,
        grant: None,
        purpose: None,
    })
}

async fn since(app: &App, scope: &str, pos: u64) -> Result<RowsRead, StoreError> {
    let newest = app.hub.newest();
    if pos > newest || newest - pos > FAR {
        return Ok(RowsRead::Unusable);
    }
    let batch = app.store.changes_since(pos, Some(scope), ROWS).await?;
    if pos < batch.oldest || pos > batch.pos {
        return Ok(RowsRead::Unusable);
    }
    let more = batch.rows.len() >= ROWS;
    let rows = fanout::ScopeRows {
        scope: scope.to_owned(),
        rows: batch.rows.into_iter().map(hub::row).collect(),
    };
    let reached = if more {
        rows.rows.last().map_or(batch.pos, |r| r.pos)
    } else {
        batch.pos
    };
    if !vitrine_sync::scope::is_patient(scope) {
        app.metrics.count("vitrine_cache_hits_total", "", 1);
    }
    match hub::frames(app, &rows).await {
        Ok(frames) => Ok(RowsRead::Rows {
            frames,
            pos: reached,
            rev: 0,
            more,
        }),
        Err(Unbuilt::Store(e)) => Err(e),
        Err(Unbuilt::Build(e)) => Err(StoreError::Backend {
            doing: "building a delta",
            cause: e.to_string(),
        }),
    }
}

async fn digest(app: &App, scope: &str) -> Result<(u64, Arc<ScopeDigest>), StoreError> {
    if let Some(kept) = app.hub.kept_digest(scope) {
        return Ok(kept);
    }
    let (refs, pos) = app.store.scope_refs(scope).await?;
    let mut digest = ScopeDigest::default();
    for r in &refs {
        digest.add(&r.key, r.ver, &r.hash);
    }
    let digest = Arc::new(digest);
    if !vitrine_sync::scope::is_patient(scope) {
        app.hub.keep_digest(scope, pos, &digest);
    }
    Ok((pos, digest))
}

async fn refs(app: &App, scope: &str, buckets: &[u8]) -> Result<(u64, Vec<Ref>), StoreError> {
    let (all, pos) = app.store.scope_refs(scope).await?;
    let wanted = all.into_iter().filter(|r| buckets.contains(&bucket_of(&r.key)));
    Ok((
        pos,
        wanted
            .map(|r| Ref {
                key: r.key,
                ver: r.ver,
                hash: hex(&r.hash),
            })
            .collect(),
    ))
}

async fn store_audit(app: &App, served: &Served, rows: Vec<AuditRow>) -> AuditVerdict {
    let Some(device) = served.id() else {
        return AuditVerdict::Failed;
    };
    let read = |r: AuditRow| {
        let hash = |h: &str| unhex(h).and_then(|b| <[u8; 32]>::try_from(b).ok());
        Some(chain::Row {
            seq: r.seq,
            prev: hash(&r.prev)?,
            hash: hash(&r.hash)?,
            body: r.body,
        })
    };
    let Some(rows) = rows.into_iter().map(read).collect::<Option<Vec<_>>>() else {
        alarm(app, device, "audit rows that cannot be read").await;
        return AuditVerdict::Fork;
    };
    match app.store.accept_device_rows(device, rows).await {
        Ok(held) => AuditVerdict::Held(held),
        Err(StoreError::AuditGap { expected, .. }) => AuditVerdict::Held(expected.saturating_sub(1)),
        Err(StoreError::AuditFork { seq }) => {
            alarm(
                app,
                device,
                &format!("its audit chain forks at row {seq}: cloned or rolled back"),
            )
            .await;
            AuditVerdict::Fork
        }
        Err(StoreError::Chain(fault)) => {
            alarm(app, device, &format!("its audit rows are not whole: {fault}")).await;
            AuditVerdict::Fork
        }
        Err(e) => {
            tracing::error!(error = %e, "audit rows of a workstation could not be kept");
            AuditVerdict::Failed
        }
    }
}

/// Something a person must look at: a row in the audit log, a line in the log, a counter.
pub(super) async fn alarm(app: &App, device: &DeviceId, what: &str) -> Option<String> {
    tracing::error!(%device, what, "ALARM");
    app.metrics.alarm();
    let mut entry = sign_in_row(
        Actor::Device(device.clone()),
        Some(device.clone()),
        Kind::Alarm,
        "device-chain",
        false,
    );
    entry.notes.insert("what".to_owned(), what.to_owned());
    if let Err(e) = app.store.append(entry).await {
        tracing::error!(error = %e, "the alarm has no audit row");
    }
    None
}

async fn wiped(app: &App, served: &Served, nonce: &str, signature: &str) {
    let Some(device) = &served.device else { return };
    let proven = signed_by(
        &device.public_key,
        &proof::wipe_done(nonce),
        &unhex(signature).unwrap_or_default(),
    );
    let rule = if proven { "signed" } else { "bad-signature" };
    let id = device.id.clone();
    let row = sign_in_row(Actor::Device(id.clone()), Some(id), Kind::Wiped, rule, proven);
    if let Err(e) = app.store.append(row).await {
        tracing::error!(error = %e, "a wipe has no audit row");
    }
}

/// Looks again whether the person is still signed in and may still see what is open.
pub async fn people(app: &App, served: &Served, open: &[String]) -> Vec<Event> {
    let Some(hash) = served.user else {
        return Vec::new();
    };
    let caller = match sessions::caller_of(app, hash, false).await {
        Ok(Some(caller)) => caller,
        Ok(None) => return vec![Event::UserEnded(ErrorCode::NotSignedIn)],
        // When the store does not answer, nobody's rights are known: what is open stays until it does.
        Err(_) => return Vec::new(),
    };
    let mut out = Vec::new();
    for scope in open {
        let Some(Scope::Pat(patient)) = Scope::parse(scope) else {
            continue;
        };
        let Ok(request) = app.request(&caller, Some("Patient"), Some(&patient)).await else {
            continue;
        };
        if policy::verdict("read-chart", &request).allow {
            continue;
        }
        // The refusal gets its row by being decided.
        let _ = app.decide::<ReadChart>(request).await;
        out.push(Event::Withdrawn {
            scope: scope.clone(),
            code: ErrorCode::Denied,
        });
    }
    out
}

/// Looks again whether the workstation is still in use.
pub async fn device(app: &App, served: &Served) -> Option<Event> {
    let id = served.id()?;
    let row = app.store.device(id).await.ok()?;
    if row.is_some_and(|r| r.state == DeviceState::Active) {
        return None;
    }
    let (nonce, signature) = wipe_order(app, id);
    Some(Event::DeviceRevoked { nonce, signature })
}
