//! `POST /live/vitals`: what monitors say, from a gateway.
//!
//! Lives here: reading the message, finding whose it is and where that patient lies, what is answered. Never here: holding it
//! (the room). Called by the router.
//!
//! The message is a FHIR Bundle of type `collection` of Observations, each with its subject: `Patient/id`, or an identifier that
//! one patient alone has. Everything that can be read and placed is taken; what cannot is named in the answer with its place and
//! reason, and shown nowhere: to the right patient or to nobody. Nothing is kept of either, as a value is of its moment.
//!
//! One audit row says that a gateway began to send; its values are no access to a record.

use super::Room;
use crate::app::App;
use crate::clock;
use crate::http::bearer::FhirCaller;
use crate::http::fhir::must_be_json;
use crate::http::refusal::{FHIR_JSON, FhirRefusal};
use crate::identity::sessions::Caller;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vitrine_access::Disclosure;
use vitrine_access::action::SendLive;
use vitrine_access::policy::Subject;
use vitrine_clinical::chart::{Observation, Resource};
use vitrine_clinical::{PatientId, WardId, monitor};
use vitrine_fhir::bundle::{Bundle, BundleType, local_reference};
use vitrine_fhir::{Issue, IssueCode, outcome, read};
use vitrine_store::StoreError;

/// Observations in one message.
const ENTRIES_MOST: usize = 2_000;
/// Whose an identifier is, and where a patient lies, is asked again after so long.
const KNOWN: Duration = Duration::from_secs(10);
/// Kept at most of either.
const KNOWN_MOST: usize = 20_000;
/// A gateway silent for so long begins anew.
const BEGINS: Duration = Duration::from_secs(60);

/// What was found out lately, so that one message a second does not ask the store each time.
#[derive(Default)]
pub struct Lately {
    inner: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    named: HashMap<(Option<String>, String), (Option<PatientId>, Instant)>,
    lies: HashMap<PatientId, (Option<WardId>, Instant)>,
    gateways: BTreeMap<String, Instant>,
}

impl Lately {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Named {
    subject: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    reference: Option<String>,
    identifier: Option<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    system: Option<String>,
    value: Option<String>,
}

/// Whom a message may name.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Clone)]
enum Who {
    Patient(PatientId),
    Identifier(Option<String>, String),
}

/// Takes a message.
///
/// # Errors
/// [`FhirRefusal`] when the message is no such Bundle, nothing of it could be taken, or the caller may not send.
pub async fn vitals(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    must_be_json(&headers)?;
    let request = app.request(&caller, Some("Observation"), None).await?;
    let permit = app.decide::<SendLive>(request).await?;
    if begins(&app, &caller) {
        let row = permit
            .noted("live", "a gateway begins to send")
            .entry(Disclosure::default());
        if let Err(e) = app.store.append(row).await {
            // Not written down: the next message tries again.
            app.live_lately.known().gateways.remove(&name(&caller));
            return Err(e.into());
        }
    }
    let now_ms = clock::now().0;
    let (said, mut issues) = read_all(&body)?;
    let mut taken = super::Taken::default();
    for (who, observations) in &said {
        let placed = match place(&app, who).await? {
            Ok(placed) => placed,
            Err((code, why)) => {
                let all = observations.iter().map(|(i, _)| issue(*i, code, why));
                issues.extend(all);
                continue;
            }
        };
        let plain: Vec<&Observation> = observations.iter().map(|(_, o)| o).collect();
        let (readings, unread) = monitor::readings(&plain, now_ms);
        for (i, why) in unread {
            if let Some((at, _)) = observations.get(i) {
                issues.push(issue(*at, IssueCode::Value, &why.to_string()));
            }
        }
        let room: &Room = &app.live;
        match room.take(&placed.0, &placed.1, &readings) {
            Some(t) => (taken.new, taken.old) = (taken.new + t.new, taken.old + t.old),
            None => issues.extend(observations.iter().map(|(i, _)| {
                let why = "more patients with a monitor than this server holds";
                issue(*i, IssueCode::TooLong, why)
            })),
        }
    }
    let refused = issues.len() as u64;
    let count = |what, n| app.metrics.count("vitrine_live_values_total", what, n);
    count("outcome=\"new\"", taken.new);
    count("outcome=\"old\"", taken.old);
    count("outcome=\"refused\"", refused);
    if taken.new + taken.old == 0 && refused > 0 {
        return Err(FhirRefusal::issues(StatusCode::UNPROCESSABLE_ENTITY, &issues));
    }
    let body = if issues.is_empty() {
        outcome::information(&format!(
            "{} taken, {} not newer than what is held",
            taken.new, taken.old
        ))
    } else {
        outcome::errors(&issues)
    };
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, FHIR_JSON)], body).into_response())
}

fn issue(entry: usize, code: IssueCode, text: &str) -> Issue {
    Issue::new(code, format!("Bundle.entry[{entry}].resource"), text)
}

/// The policy lets nobody but programs send.
fn name(caller: &Caller) -> String {
    match &caller.subject {
        Subject::Client { id, .. } => id.clone(),
        _ => String::new(),
    }
}

/// Whether this gateway was silent.
fn begins(app: &App, caller: &Caller) -> bool {
    let now = clock::steady();
    let mut known = app.live_lately.known();
    let before = known.gateways.insert(name(caller), now);
    before.is_none_or(|t| now.duration_since(t) > BEGINS)
}

type Said = BTreeMap<Who, Vec<(usize, Observation)>>;

/// The Observations by whom they are of, and what is no Observation of anybody.
fn read_all(body: &[u8]) -> Result<(Said, Vec<Issue>), FhirRefusal> {
    let bundle = Bundle::parse(body).map_err(|e| FhirRefusal::content(&[e.0]))?;
    if bundle.kind != BundleType::Collection {
        let text = "a Bundle of type collection is taken here; a batch or transaction goes to /fhir";
        return Err(FhirRefusal::content(&[Issue::new(
            IssueCode::CodeInvalid,
            "Bundle.type",
            text,
        )]));
    }
    if bundle.entries.len() > ENTRIES_MOST {
        let text = format!("at most {ENTRIES_MOST} Observations in one message");
        return Err(FhirRefusal::content(&[Issue::new(
            IssueCode::TooMany,
            "Bundle.entry",
            text,
        )]));
    }
    let mut said = Said::new();
    let mut issues = Vec::new();
    for entry in &bundle.entries {
        match observation(entry.resource) {
            Ok((who, o)) => said.entry(who).or_default().push((entry.index, o)),
            Err((code, why)) => issues.push(issue(entry.index, code, why)),
        }
    }
    if said.is_empty() && issues.is_empty() {
        let text = "no Observation is in it";
        return Err(FhirRefusal::content(&[Issue::new(
            IssueCode::Required,
            "Bundle.entry",
            text,
        )]));
    }
    Ok((said, issues))
}

fn observation(resource: Option<&[u8]>) -> Result<(Who, Observation), (IssueCode, &'static str)> {
    let bytes = resource.ok_or((IssueCode::Required, "a resource is missing"))?;
    let unread = (IssueCode::Structure, "it is no Observation that can be read");
    let (Ok(Resource::Observation(o)), Ok(named)) = (
        read("Observation", bytes, &mut |_| None),
        serde_json::from_slice::<Named>(bytes),
    ) else {
        return Err(unread);
    };
    if !bytes_say_observation(bytes) {
        return Err(unread);
    }
    let subject = named.subject.ok_or((IssueCode::Required, "subject is missing"))?;
    if let Some(reference) = &subject.reference {
        let key = local_reference(reference).filter(|k| k.kind.as_str() == "Patient");
        let patient = key.and_then(|k| PatientId::new(k.id.as_str()).ok());
        let patient = patient.ok_or((
            IssueCode::Value,
            "subject is no patient of this server: Patient/id, or an identifier",
        ))?;
        return Ok((Who::Patient(patient), o));
    }
    match subject.identifier {
        Some(Identifier {
            system,
            value: Some(value),
        }) if !value.trim().is_empty() => Ok((Who::Identifier(system, value), o)),
        _ => Err((IssueCode::Required, "subject names nobody")),
    }
}

fn bytes_say_observation(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "resourceType")]
        kind: String,
    }
    serde_json::from_slice::<Kind>(bytes).is_ok_and(|k| k.kind == "Observation")
}

type Placed = Result<(PatientId, WardId), (IssueCode, &'static str)>;

/// Whom it is of, and where that patient lies.
async fn place(app: &App, who: &Who) -> Result<Placed, StoreError> {
    let nobody = (
        IssueCode::NotFound,
        "no patient, or more than one, has this identifier",
    );
    let patient = match who {
        Who::Patient(patient) => patient.clone(),
        Who::Identifier(system, value) => match named(app, system.as_deref(), value).await? {
            Some(patient) => patient,
            None => return Ok(Err(nobody)),
        },
    };
    let nowhere = (
        IssueCode::NotFound,
        "this patient is not known here, or lies in no ward: no wall shows it",
    );
    Ok(lies(app, &patient)
        .await?
        .map(|ward| (patient, ward))
        .ok_or(nowhere))
}

async fn named(app: &App, system: Option<&str>, value: &str) -> Result<Option<PatientId>, StoreError> {
    let key = (system.map(str::to_owned), value.to_owned());
    let now = clock::steady();
    if let Some((found, at)) = app.live_lately.known().named.get(&key)
        && now.duration_since(*at) < KNOWN
    {
        return Ok(found.clone());
    }
    let found = app.store.by_identifier("Patient", system, value).await?;
    let found = match found.as_slice() {
        [one] => PatientId::new(one.id.as_str()).ok(),
        _ => None,
    };
    let mut known = app.live_lately.known();
    if known.named.len() >= KNOWN_MOST {
        known.named.clear();
    }
    known.named.insert(key, (found.clone(), now));
    Ok(found)
}

async fn lies(app: &App, patient: &PatientId) -> Result<Option<WardId>, StoreError> {
    let now = clock::steady();
    if let Some((ward, at)) = app.live_lately.known().lies.get(patient)
        && now.duration_since(*at) < KNOWN
    {
        return Ok(ward.clone());
    }
    let ward = app.store.whereabouts(patient).await?.flatten();
    let mut known = app.live_lately.known();
    if known.lies.len() >= KNOWN_MOST {
        known.lies.clear();
    }
    known.lies.insert(patient.clone(), (ward.clone(), now));
    Ok(ward)
}
