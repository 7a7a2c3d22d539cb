//! `POST /fhir`: a transaction (all or nothing) or a batch (each entry for itself).

use super::super::bearer::FhirCaller;
use super::super::beat;
use super::super::refusal::FhirRefusal;
use super::entries::{self, Patches};
use super::remove;
use super::{Returns, Wanted, answer, must_be_json, operation};
use super::{audit_event, endpoint};
use crate::app::{App, NoAccess};
use crate::clock;
use crate::identity::sessions::Caller;
use crate::ingest::apply::{self, Unplanned};
use crate::ingest::project::FhirProjector;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::collections::BTreeSet;
use std::sync::Arc;
use vitrine_access::action::{ReadResource, WriteClinical};
use vitrine_access::policy::{self, Subject};
use vitrine_access::{Action as _, Permit};
use vitrine_clinical::{ResourceKey, UtcMs};
use vitrine_fhir::bundle::{Action, Bundle, BundleType, Entry, Method, Step, questions};
use vitrine_fhir::{Issue, IssueCode, edit};
use vitrine_store::{AppliedChange, ChangeKind, ChangeOp, StoreError, labels};

/// Most entries of a batch or transaction: it waits for the store and others wait for it.
pub const MAX_ENTRIES: usize = 10_000;
/// No resource is so deep: what is, is not taken apart. Each entry has its own bound, which names its place.
const DEEPEST: usize = 4 * vitrine_fhir::MAX_DEPTH;

/// What became of one entry.
#[derive(Debug, Clone)]
pub struct Done {
    /// HTTP status.
    pub status: StatusCode,
    /// The resource.
    pub key: Option<ResourceKey>,
    /// Its version now.
    pub version: Option<u64>,
    /// When that version was made, where this request made it.
    pub updated: Option<UtcMs>,
    /// The resource's bytes without the server's meta.
    pub body: Option<Bytes>,
    /// OperationOutcome, where refused.
    pub outcome: Option<Vec<u8>>,
}

impl Done {
    pub(super) const fn status(status: StatusCode) -> Self {
        Self {
            status,
            key: None,
            version: None,
            updated: None,
            body: None,
            outcome: None,
        }
    }
    pub(super) fn refused(refusal: FhirRefusal) -> Self {
        Self {
            outcome: Some(refusal.body),
            ..Self::status(refusal.status)
        }
    }
    /// The bytes as shown.
    ///
    /// # Errors
    /// [`FhirRefusal`] when they cannot be edited.
    pub fn shown(&self) -> Result<Option<Vec<u8>>, FhirRefusal> {
        let Some(body) = &self.body else { return Ok(None) };
        let (Some(version), Some(updated)) = (self.version, self.updated) else {
            return Ok(Some(body.to_vec()));
        };
        edit::with_meta(body, version, updated).map(Some).map_err(|e| {
            FhirRefusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                IssueCode::Exception,
                "",
                e.0.text,
            )
        })
    }
}

/// Takes a Bundle.
///
/// # Errors
/// [`FhirRefusal`]: the whole transaction is refused and nothing is applied.
pub async fn submit(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    must_be_json(&headers)?;
    let op_id = operation(&headers)?;
    let sent = capped(&body)?;
    let kind = match sent.kind {
        BundleType::Transaction => "transaction-response",
        BundleType::Batch => "batch-response",
        _ => {
            return Err(FhirRefusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueCode::NotSupported,
                "Bundle.type",
                "only a batch or a transaction can be carried out here; other Bundles come in by import",
            ));
        }
    };
    let mut done = if sent.kind == BundleType::Transaction {
        may_write(&app, &caller, &sent).await?;
        reads_understood(&sent, &wanted)?;
        let patches = Patches::of(&app, &caller, &sent).await?;
        let bundle = patches.within(&sent);
        transaction(&app, &caller, &bundle, op_id, "POST /fhir transaction").await?
    } else {
        batch(&app, &caller, &sent, op_id).await?
    };
    entries::reads(&app, &caller, &wanted, &sent, &mut done).await;
    let explicit = headers.contains_key("prefer") && wanted.returns == Returns::Representation;
    Ok(answer(StatusCode::OK, None, response(kind, &done, explicit)?))
}

/// Takes a body apart that has no more than is taken.
fn capped(body: &[u8]) -> Result<Bundle<'_>, FhirRefusal> {
    if vitrine_fhir::nests_deeper(body, DEEPEST) {
        let text = format!("nested deeper than the {DEEPEST} levels that are taken of a Bundle");
        return Err(FhirRefusal::content(&[Issue::new(
            IssueCode::TooMany,
            "Bundle",
            text,
        )]));
    }
    let bundle = Bundle::parse(body).map_err(|e| FhirRefusal::content(&[e.0]))?;
    if bundle.entries.len() > MAX_ENTRIES {
        let text = format!(
            "{} entries: at most {MAX_ENTRIES} are taken, send several Bundles",
            bundle.entries.len()
        );
        return Err(FhirRefusal::content(&[Issue::new(
            IssueCode::TooMany,
            "Bundle.entry",
            text,
        )]));
    }
    Ok(bundle)
}

/// Refuses a transaction with a read that nothing answers, before it writes.
fn reads_understood(bundle: &Bundle<'_>, wanted: &Wanted) -> Result<(), FhirRefusal> {
    for entry in &bundle.entries {
        if let Some(request) = &entry.request
            && matches!(request.method, Method::Get | Method::Head)
        {
            entries::understood(&request.url, wanted).map_err(|e| entries::of_entry(e, entry.index))?;
        }
    }
    Ok(())
}

/// Carries out all writes or none; `source` says by which way they came. Reads are left to [`entries::reads`].
///
/// # Errors
/// [`FhirRefusal`].
pub async fn transaction(
    app: &App,
    caller: &Caller,
    bundle: &Bundle<'_>,
    op_id: uuid::Uuid,
    source: &str,
) -> Result<Vec<Done>, FhirRefusal> {
    may_write(app, caller, bundle).await?;
    let conditional = !questions(bundle).is_empty();
    let _one_at_a_time = if conditional {
        Some(app.store.turn().await?)
    } else {
        None
    };
    planned(app, caller, bundle, op_id, source).await
}

/// The same for whoever sees to it that conditions are answered one at a time.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn planned(
    app: &App,
    caller: &Caller,
    bundle: &Bundle<'_>,
    op_id: uuid::Uuid,
    source: &str,
) -> Result<Vec<Done>, FhirRefusal> {
    let plan = apply::plan(&*app.store, bundle, op_id).await.map_err(refused)?;
    for step in &plan.steps {
        if let Some(issue) = apply::not_done(&step.action) {
            let expression = format!("Bundle.entry[{}].{}", step.entry, issue.expression);
            return Err(FhirRefusal::content(&[Issue { expression, ..issue }]));
        }
    }
    let mut changes = apply::changes(plan.steps.iter().enumerate());
    check_reads(app, caller, &plan.steps, &changes.ops).await?;
    let mut done: Vec<Option<Done>> = vec![None; bundle.entries.len()];
    if !changes.ops.is_empty() {
        may_delete(app, caller, &changes.ops).await?;
        let permit = authorise(app, caller, &changes.ops).await?;
        remove::keeps_records(app, &changes.ops).await?;
        let at = clock::now();
        let bodies: Vec<ChangeKind> = changes.ops.iter().map(|o| o.kind.clone()).collect();
        apply::complete(&*app.store, &FhirProjector, &mut changes.ops, at).await?;
        let batch = apply::batch(op_id, at, changes.ops, source);
        let applied = app.store.apply(&permit, batch).await;
        let (applied, _receipt) = applied.map_err(|e| of_store(e, &plan.steps))?;
        let fresh = (!applied.duplicate).then_some(at);
        for ((change, step), kind) in applied.changes.iter().zip(&changes.steps).zip(&bodies) {
            let Some(step) = plan.steps.get(*step) else {
                continue;
            };
            if let Some(slot) = done.get_mut(step.entry) {
                *slot = Some(written(change, kind, fresh));
            }
        }
    }
    for step in &plan.steps {
        let outcome = match &step.action {
            Action::Exists => existing(app, step).await?,
            Action::DeleteNothing => Done::status(StatusCode::NO_CONTENT),
            _ => continue,
        };
        if let Some(slot) = done.get_mut(step.entry) {
            *slot = Some(outcome);
        }
    }
    Ok(done
        .into_iter()
        .map(|d| d.unwrap_or(Done::status(StatusCode::OK)))
        .collect())
}

/// A read of something that will not be there fails the whole transaction before anything is written.
///
/// What is there and may not be seen is answered like what is not: by the entry's refusal to a person, who is told how an
/// emergency opens it, and by this failure to a program.
async fn check_reads(
    app: &App,
    caller: &Caller,
    steps: &[Step],
    ops: &[ChangeOp],
) -> Result<(), FhirRefusal> {
    let person = matches!(caller.subject, Subject::User { .. });
    for step in steps {
        let Action::Read { url } = &step.action else {
            continue;
        };
        let Some(key) = apply::read_key(url) else { continue };
        // What is made when it is asked for is in no store.
        if endpoint::is(&key) || audit_event::is(&key) {
            continue;
        }
        let written = ops
            .iter()
            .any(|o| o.key == key && matches!(o.kind, ChangeKind::Put(_)));
        if person && vitrine_fhir::is_of_a_patient(key.kind.as_str()) {
            continue;
        }
        if !written && !seen(app, caller, &key).await? {
            let expression = format!("Bundle.entry[{}].request.url", step.entry);
            return Err(FhirRefusal::new(
                StatusCode::NOT_FOUND,
                IssueCode::NotFound,
                &expression,
                "no such resource here",
            ));
        }
    }
    Ok(())
}

/// Whether a resource is there for this caller.
async fn seen(app: &App, caller: &Caller, key: &ResourceKey) -> Result<bool, FhirRefusal> {
    let Some(owner) = app.store.owner(key).await? else {
        return Ok(false);
    };
    let mut request = app
        .request(caller, Some(key.kind.as_str()), owner.as_ref())
        .await?;
    if let Some(p) = &mut request.patient
        && let Ok(Some((_, body))) = app.store.lookup(key).await
    {
        p.label = p.label.and(labels::of_resource(key.kind.as_str(), &body));
    }
    Ok(policy::verdict(ReadResource::NAME, &request).allow)
}

/// Leave to write these changes: for every type, and for the one patient they are about. Changes of several patients,
/// or of none, are for clients alone; the policy says so.
async fn authorise(
    app: &App,
    caller: &Caller,
    ops: &[ChangeOp],
) -> Result<Permit<WriteClinical>, FhirRefusal> {
    let (patients, nobody) = apply::patients(&*app.store, ops).await?;
    let one = if patients.len() == 1 && !nobody {
        patients.first()
    } else {
        None
    };
    let kinds: BTreeSet<&str> = ops.iter().map(|o| o.key.kind.as_str()).collect();
    let mut permit = None;
    for kind in kinds {
        let request = app.request(caller, Some(kind), one).await?;
        permit = Some(app.decide::<WriteClinical>(request).await?);
    }
    permit.ok_or_else(|| {
        FhirRefusal::new(
            StatusCode::BAD_REQUEST,
            IssueCode::Invalid,
            "",
            "nothing to write",
        )
    })
}

fn written(change: &AppliedChange, kind: &ChangeKind, at: Option<UtcMs>) -> Done {
    let (status, body) = match kind {
        ChangeKind::Delete => (StatusCode::NO_CONTENT, None),
        ChangeKind::Put(body) if change.created => (StatusCode::CREATED, Some(body.clone())),
        ChangeKind::Put(body) => (StatusCode::OK, Some(body.clone())),
    };
    Done {
        status,
        key: Some(change.key.clone()),
        version: Some(change.version),
        updated: at.filter(|_| !change.unchanged),
        body,
        outcome: None,
    }
}

async fn existing(app: &App, step: &Step) -> Result<Done, FhirRefusal> {
    let version = match &step.key {
        Some(key) => app.store.lookup(key).await?.map(|(v, _)| v),
        None => None,
    };
    Ok(Done {
        key: step.key.clone(),
        version,
        ..Done::status(StatusCode::OK)
    })
}

/// Refuses a Bundle that is more than reads to a program that somebody signed in through, before a condition is looked up for
/// it: that something is there already is an answer too.
async fn may_write(app: &App, caller: &Caller, bundle: &Bundle<'_>) -> Result<(), FhirRefusal> {
    let writes = |e: &Entry<'_>| e.request.as_ref().is_none_or(|r| r.method != Method::Get);
    if matches!(caller.subject, Subject::App { .. }) && bundle.entries.iter().any(writes) {
        let request = app.request(caller, None, None).await?;
        app.decide::<WriteClinical>(request).await?;
    }
    Ok(())
}

/// A person deletes what they may see and write, and learns nothing of the rest. Programs may name in a Bundle what is not
/// there.
async fn may_delete(app: &App, caller: &Caller, ops: &[ChangeOp]) -> Result<(), FhirRefusal> {
    if !matches!(caller.subject, Subject::User { .. }) {
        return Ok(());
    }
    for op in ops.iter().filter(|op| matches!(op.kind, ChangeKind::Delete)) {
        remove::allowed(app, caller, &op.key).await?;
    }
    Ok(())
}

/// Carries out each write for itself, in the order FHIR gives; answers in the order of the entries. Reads are left to [`entries::reads`].
async fn batch(
    app: &App,
    caller: &Caller,
    bundle: &Bundle<'_>,
    op_id: uuid::Uuid,
) -> Result<Vec<Done>, FhirRefusal> {
    may_write(app, caller, bundle).await?;
    // What a patch makes may name others by a condition.
    let patches = |e: &Entry<'_>| e.request.as_ref().is_some_and(|r| r.method == Method::Patch);
    let conditional = !questions(bundle).is_empty() || bundle.entries.iter().any(patches);
    let _one_at_a_time = if conditional {
        Some(app.store.turn().await?)
    } else {
        None
    };
    let plan = apply::plan(&*app.store, bundle, op_id).await.map_err(refused)?;
    let mut done: Vec<Done> = vec![Done::status(StatusCode::OK); bundle.entries.len()];
    for (i, step) in plan.steps.iter().enumerate() {
        if matches!(step.action, Action::Read { .. }) {
            continue;
        }
        let began = clock::steady();
        let patch = matches!(step.action, Action::Patch { .. });
        let outcome = match bundle.entries.get(step.entry).filter(|e| patch && is_of_one(e)) {
            Some(entry) => entries::patch(app, caller, entry, apply::entry_op(op_id, step.entry)).await,
            None => entry(app, caller, i, step, op_id).await,
        };
        let outcome = match outcome {
            Ok(d) => d,
            Err(refusal) => Done::refused(refusal),
        };
        beat::hold_entry(outcome.status, began).await;
        if let Some(slot) = done.get_mut(step.entry) {
            *slot = outcome;
        }
    }
    Ok(done)
}

/// Whether a request names its resource, and not by a condition.
fn is_of_one(entry: &Entry<'_>) -> bool {
    entry.request.as_ref().is_some_and(|r| !r.url.contains('?'))
}

async fn entry(
    app: &App,
    caller: &Caller,
    i: usize,
    step: &Step,
    op_id: uuid::Uuid,
) -> Result<Done, FhirRefusal> {
    if let Action::Refuse(issue) = &step.action {
        return Err(FhirRefusal::content(std::slice::from_ref(issue)));
    }
    if let Some(issue) = apply::not_done(&step.action) {
        return Err(FhirRefusal::issues(StatusCode::NOT_IMPLEMENTED, &[issue]));
    }
    match &step.action {
        Action::Exists => return existing(app, step).await,
        Action::DeleteNothing => return Ok(Done::status(StatusCode::NO_CONTENT)),
        _ => {}
    }
    let mut changes = apply::changes(std::iter::once((i, step)));
    may_delete(app, caller, &changes.ops).await?;
    let permit = authorise(app, caller, &changes.ops).await?;
    remove::keeps_records(app, &changes.ops).await?;
    let at = clock::now();
    let kinds: Vec<ChangeKind> = changes.ops.iter().map(|o| o.kind.clone()).collect();
    apply::complete(&*app.store, &FhirProjector, &mut changes.ops, at).await?;
    let batch = apply::batch(
        apply::entry_op(op_id, step.entry),
        at,
        changes.ops,
        "POST /fhir batch",
    );
    let applied = app.store.apply(&permit, batch).await;
    let (applied, _receipt) = applied.map_err(|e| of_store(e, std::slice::from_ref(step)))?;
    let fresh = (!applied.duplicate).then_some(at);
    match (applied.changes.first(), kinds.first()) {
        (Some(change), Some(kind)) => Ok(written(change, kind, fresh)),
        _ => Ok(Done::status(StatusCode::OK)),
    }
}

/// What the store refuses; another version than was expected is said at the entry that expects it.
fn of_store(e: StoreError, steps: &[Step]) -> FhirRefusal {
    let place = match &e {
        StoreError::VersionConflict { key, expected, .. } => steps
            .iter()
            .find(|s| s.key.as_ref() == Some(key))
            .map(|s| (s.entry, if expected.is_some() { "ifMatch" } else { "url" })),
        _ => None,
    };
    let refusal = FhirRefusal::from(e);
    match place {
        Some((entry, element)) => refusal.at(&format!("Bundle.entry[{entry}].request.{element}")),
        None => refusal,
    }
}

fn refused(e: Unplanned) -> FhirRefusal {
    match e {
        Unplanned::Store(e) => NoAccess::Store(e).into(),
        Unplanned::Issues(list) => {
            FhirRefusal::content(&list.into_iter().map(|i| i.issue).collect::<Vec<_>>())
        }
    }
}

fn response(kind: &str, done: &[Done], with_resources: bool) -> Result<Vec<u8>, FhirRefusal> {
    let mut out = format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\",\"entry\":[").into_bytes();
    for (i, d) in done.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'{');
        let was_read =
            d.status == StatusCode::OK && d.body.is_some() && (d.key.is_none() || d.updated.is_some());
        if let Some(body) = d.shown()?.filter(|_| with_resources || was_read) {
            out.extend_from_slice(b"\"resource\":");
            out.extend_from_slice(&body);
            out.push(b',');
        }
        let mut response = serde_json::Map::new();
        let reason = d.status.canonical_reason().unwrap_or_default();
        response.insert("status".into(), format!("{} {reason}", d.status.as_u16()).into());
        if let (Some(key), Some(version)) = (&d.key, d.version) {
            response.insert("location".into(), format!("{key}/_history/{version}").into());
            response.insert("etag".into(), format!("W/\"{version}\"").into());
        }
        if let Some(updated) = d.updated {
            response.insert("lastModified".into(), clock::instant(updated).into());
        }
        let text = serde_json::Value::Object(response).to_string();
        out.extend_from_slice(b"\"response\":");
        match &d.outcome {
            None => out.extend_from_slice(text.as_bytes()),
            Some(outcome) => {
                out.extend_from_slice(text.strip_suffix('}').unwrap_or(&text).as_bytes());
                out.extend_from_slice(b",\"outcome\":");
                out.extend_from_slice(outcome);
                out.push(b'}');
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");

    Ok(out)
}
