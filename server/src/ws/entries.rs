//! What people recorded at a workstation, brought into the record.
//!
//! Lives here: whose entry it is, whether its author may still write, the answer in words for that person. Never here: what an entry
//! becomes (`fhir::entry`), the change itself (`http::fhir::bundle`, the way of every other transaction, with its policy, audit row,
//! and "once by the operation's id").
//!
//! An entry is judged when it arrives: an account disabled or a patient moved to another ward since it was recorded refuses it, with
//! the reason. Nothing is dropped: what is refused stays at the workstation until a person has settled it.

use super::work::{Served, alarm};
use crate::app::App;
use crate::clock;
use crate::http::auth::sign_in_row;
use crate::http::fhir::bundle::transaction;
use crate::http::refusal::FhirRefusal;
use crate::identity::sessions::Caller;
use crate::ingest::apply::created_id;
use vitrine_access::policy::Subject;
use vitrine_access::{Actor, Kind};
use vitrine_clinical::entry::{Entry, What, Wrong};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey};
use vitrine_fhir::bundle::{Bundle, Method};
use vitrine_fhir::entry::change;
use vitrine_fhir::entry::wrong::{self, Found};
use vitrine_store::StoreError;
use vitrine_sync::server::Event;
use vitrine_wire::message::EntryOutcome;

/// Most characters of a reason: workstations take no more than four thousand bytes.
const WORDS: usize = 900;

fn rejected(text: impl Into<String>) -> EntryOutcome {
    EntryOutcome::Rejected {
        text: text.into().chars().take(WORDS).collect(),
    }
}

/// Brings an entry into the record and gives the answer; `None` for something without an id.
pub(super) async fn store(app: &App, served: &Served, text: &str) -> Option<Event> {
    let device = served.device.as_ref()?;
    let (id, outcome) = match serde_json::from_str::<Entry>(text) {
        Ok(entry) => {
            let outcome = bring_in(app, served, &entry).await;
            (entry.id.to_string(), outcome)
        }
        Err(_) => {
            let id = serde_json::from_str::<serde_json::Value>(text)
                .ok()
                .and_then(|v| v.get("id")?.as_str().map(str::to_owned))
                .filter(|id| id.len() <= 64);
            let Some(id) = id else {
                alarm(app, &device.id, "an entry that cannot be read").await;
                return None;
            };
            alarm(app, &device.id, "an entry that this server cannot read").await;
            let why = "This server cannot read it: the workstation's program is another version. Record it again where the programs are \
                       the same, and tell IT.";
            (id, rejected(why))
        }
    };
    match &outcome {
        EntryOutcome::Rejected { .. } => {
            app.metrics
                .count("vitrine_entries_total", "outcome=\"rejected\"", 1);
        }
        EntryOutcome::Accepted { .. } => {
            app.metrics
                .count("vitrine_entries_total", "outcome=\"accepted\"", 1);
        }
        EntryOutcome::Later => {}
    }
    Some(Event::EntryStored { id, outcome })
}

/// The resources of an entry that is in the record already: their ids follow from the entry's. Asked before anything else, so that what was
/// taken once is never refused afterwards, whatever has become of its author, its patient or this program since.
async fn known(
    app: &App,
    entry: &Entry,
    op_id: uuid::Uuid,
    bundle: &Bundle<'_>,
) -> Result<Option<Vec<String>>, StoreError> {
    let mut keys = Vec::new();
    for e in &bundle.entries {
        let kind = e.request.as_ref().map_or("", |r| r.url.as_ref());
        let Ok(key) = ResourceKey::new(kind, created_id(op_id, e.index).as_str()) else {
            return Ok(None);
        };
        let owner = app.store.owner(&key).await?.flatten();
        if owner.as_ref() != Some(&entry.patient) {
            return Ok(None);
        }
        keys.push(key.to_string());
    }
    Ok((!keys.is_empty()).then_some(keys))
}

/// Whether an entry of a Bundle makes a resource.
fn is_made(e: &vitrine_fhir::bundle::Entry<'_>) -> bool {
    e.request.as_ref().is_some_and(|r| r.method == Method::Post)
}

/// Why a change could not be looked at.
enum Unmerged {
    /// It comes again.
    Later(String),
    /// It has to be mended.
    Never(String),
}

impl From<StoreError> for Unmerged {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Archived { .. } => Self::Never(
                "It lies in the archive: open the chart, wait until the full record is there, and do it again".to_owned(),
            ),
            e => Self::Later(e.to_string()),
        }
    }
}

/// The Bundle of an entry about what is in the record: a change of an allergy, a mark on vital signs. `None` for every other, which is
/// brought in as it is.
async fn merged(app: &App, entry: &Entry) -> Result<Option<Vec<u8>>, Unmerged> {
    match &entry.what {
        What::AllergyChange { .. } => changed(app, entry).await,
        What::VitalsError { wrong, .. } => marked(app, entry, wrong).await.map(Some),
        _ => Ok(None),
    }
}

/// Vital signs are marked where they still say what was read; one that was marked meanwhile is as it should be.
async fn marked(app: &App, entry: &Entry, wrong: &[Wrong]) -> Result<Vec<u8>, Unmerged> {
    let mut held = Vec::new();
    for one in wrong {
        let now = of_patient(app, &entry.patient, &one.source).await?;
        let body = now.as_ref().map(|(version, body)| (*version, &**body));
        match wrong::found(entry, one, body).map_err(Unmerged::Never)? {
            Found::Marked => {}
            Found::Same => held.extend(now.map(|now| (one, now))),
            Found::Other => {
                let line = one.line();
                let text =
                    format!("The record does not say {line} any more: open the chart again and look at it");
                return Err(Unmerged::Never(text));
            }
        }
    }
    let held: Vec<_> = held
        .iter()
        .map(|(one, (v, body))| (*one, (*v, &**body)))
        .collect();
    wrong::applied(entry, &held).map_err(Unmerged::Never)
}

/// The Bundle of a change that meets a record which still says what its author had read; `None` where it does not: it is brought in as a
/// dispute.
async fn changed(app: &App, entry: &Entry) -> Result<Option<Vec<u8>>, Unmerged> {
    let What::AllergyChange { allergy, settles, .. } = &entry.what else {
        return Ok(None);
    };
    let held = of_patient(app, &entry.patient, allergy).await?;
    let held = held.as_ref().map(|(version, body)| (*version, &**body));
    if !change::meets(entry, held).map_err(Unmerged::Never)? {
        return Ok(None);
    }
    let dispute = match settles {
        Some(task) => of_patient(app, &entry.patient, task).await?,
        None => None,
    };
    if settles.is_some() && dispute.is_none() {
        let text = "What it decides is not in the record: open the chart again";
        return Err(Unmerged::Never(text.to_owned()));
    }
    let dispute = dispute.as_ref().map(|(version, body)| (*version, &**body));
    change::applied(entry, held, dispute)
        .map(Some)
        .map_err(Unmerged::Never)
}

/// A resource of this patient's record.
async fn of_patient(
    app: &App,
    patient: &PatientId,
    key: &str,
) -> Result<Option<(u64, bytes::Bytes)>, Unmerged> {
    let key = ResourceKey::parse(key).map_err(|e| Unmerged::Never(e.to_string()))?;
    match app.store.owner(&key).await? {
        None => Ok(None),
        Some(owner) if owner.as_ref() == Some(patient) => Ok(app.store.lookup(&key).await?),
        Some(_) => Err(Unmerged::Never(
            "It is in another patient's record now: open the chart again".to_owned(),
        )),
    }
}

async fn bring_in(app: &App, served: &Served, entry: &Entry) -> EntryOutcome {
    let Some(device) = &served.device else {
        return EntryOutcome::Later;
    };
    if entry.device != device.id {
        alarm(app, &device.id, "an entry of another workstation").await;
        return rejected(
            "It says that it was recorded at another workstation. Record it again, and tell IT.",
        );
    }
    let Ok(op_id) = entry.id.as_str().parse::<uuid::Uuid>() else {
        let text = "Its id is none. Record it again, and tell IT.".to_owned();
        return refused(app, entry, &device.id, "no-id", text).await;
    };
    let account = match app.store.account(&entry.user).await {
        Ok(account) => account,
        Err(e) => return later(&e.to_string()),
    };
    // The name that goes into the record is the one on the staff list, not the one that a workstation claims.
    let signed = Entry {
        name: account.as_ref().map_or_else(
            || entry.name.clone(),
            |a| format!("{} ({})", a.display, a.role.words()),
        ),
        ..entry.clone()
    };
    let bytes = vitrine_fhir::entry::bundle(&signed);
    let parsed = bytes.as_ref().map_err(Clone::clone).and_then(|b| {
        // Our own writing: what does not parse is our mistake, and said.
        Bundle::parse(b).map_err(|e| e.0.text)
    });
    if let Ok(bundle) = &parsed {
        match known(app, entry, op_id, bundle).await {
            Ok(Some(keys)) => return EntryOutcome::Accepted { keys },
            Ok(None) => {}
            Err(e) => return later(&e.to_string()),
        }
    }
    let faults = entry.faults(clock::now());
    if !faults.is_empty() {
        let all: Vec<String> = faults.into_iter().map(|f| f.text).collect();
        return refused(app, entry, &device.id, "faulty", format!("{}.", all.join(". "))).await;
    }
    let merged = match merged(app, &signed).await {
        Ok(merged) => merged,
        Err(Unmerged::Later(why)) => return later(&why),
        Err(Unmerged::Never(text)) => {
            return refused(app, entry, &device.id, "not-merged", format!("{text}.")).await;
        }
    };
    let parsed = match &merged {
        Some(bytes) => Bundle::parse(bytes).map_err(|e| e.0.text),
        None => parsed,
    };
    let bundle = match parsed {
        Ok(bundle) => bundle,
        Err(text) => return refused(app, entry, &device.id, "not-fhir", format!("{text}.")).await,
    };
    let Some(account) = account.filter(|a| !a.disabled) else {
        let text = format!(
            "The account of {} is disabled or gone. Somebody else who looks after the patient records it.",
            entry.user
        );
        return refused(app, entry, &device.id, "account-disabled", text).await;
    };
    let caller = Caller {
        subject: Subject::User {
            user: entry.user.clone(),
            role: account.role,
            wards: account.wards,
        },
        device: Some(device.id.clone()),
        ward: Some(device.ward.clone()),
        session: [0; 32],
        until: clock::now(),
        purpose: None,
    };
    match transaction(app, &caller, &bundle, op_id, "entry of a workstation").await {
        Ok(done) => {
            if matches!(entry.what, What::AllergyChange { .. }) && merged.is_none() {
                app.metrics.count("vitrine_allergy_disputes_total", "", 1);
            }
            // What it became, not what it changed: copies show the one and have long had the other.
            let made = bundle.entries.iter().zip(&done).filter(|(e, _)| is_made(e));
            EntryOutcome::Accepted {
                keys: made
                    .filter_map(|(_, d)| d.key.as_ref())
                    .map(ToString::to_string)
                    .collect(),
            }
        }
        // Somebody was there between reading and writing: it is judged again.
        Err(refusal) if refusal.status.as_u16() == 412 && merged.is_some() => later(&words(&refusal)),
        Err(refusal) if is_passing(&refusal) => later(&words(&refusal)),
        // The policy's own refusal has its row already.
        Err(refusal) if refusal.status.as_u16() == 403 => rejected(words(&refusal)),
        Err(refusal) => refused(app, entry, &device.id, "refused", words(&refusal)).await,
    }
}

/// Refuses, with a row of the audit log; without one it is not refused yet.
async fn refused(
    app: &App,
    entry: &Entry,
    device: &DeviceId,
    rule: &'static str,
    text: String,
) -> EntryOutcome {
    let mut row = sign_in_row(
        Actor::User(entry.user.clone()),
        Some(device.clone()),
        Kind::WriteClinical,
        rule,
        false,
    );
    row.patient = Some(entry.patient.clone());
    row.notes.insert("entry".to_owned(), entry.id.to_string());
    match app.store.append(row).await {
        Ok(_) => rejected(text),
        Err(e) => later(&e.to_string()),
    }
}

fn later(why: &str) -> EntryOutcome {
    tracing::warn!(
        why,
        "an entry of a workstation could not be kept now; it comes again"
    );
    EntryOutcome::Later
}

/// Whether the same entry may be taken another time.
fn is_passing(refusal: &FhirRefusal) -> bool {
    let status = refusal.status.as_u16();
    // 501 says that it will never be done.
    (status >= 500 && status != 501) || matches!(status, 408 | 429)
}

/// The sentences of an OperationOutcome.
fn words(refusal: &FhirRefusal) -> String {
    let outcome: serde_json::Value = serde_json::from_slice(&refusal.body).unwrap_or_default();
    let issues = outcome.get("issue").and_then(|i| i.as_array());
    let texts: Vec<&str> = issues
        .into_iter()
        .flatten()
        .filter_map(|i| {
            i.pointer("/details/text")
                .or_else(|| i.get("diagnostics"))?
                .as_str()
        })
        .collect();
    let text = if texts.is_empty() {
        "The server refuses it".to_owned()
    } else {
        texts.join(" ")
    };
    if refusal.status.as_u16() == 403 {
        format!("{text} Whoever looks after the patient now records it.")
    } else {
        text
    }
}
