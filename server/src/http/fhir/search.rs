//! `GET /fhir/{type}?…` and `POST /fhir/{type}/_search`: the searches there are, and a refusal that says so for every other.
//!
//! Lives here: reading the parameters, the Bundle. Never here: what matches (`vitrine_store::search`), who may search
//! (the policy). Called by the router.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::everything::withheld;
use super::read::shown;
use super::{Query, Wanted, answer, audit_event, away, endpoint, path_kind, seen};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use vitrine_access::action::{ReadChart, SearchPatients};
use vitrine_access::policy::Subject;
use vitrine_clinical::PatientId;
use vitrine_clinical::card::{EmergencyCard, Identity};
use vitrine_fhir::IssueCode;
use vitrine_store::notes::{NoteHits, NoteQuery};
use vitrine_store::{PatientHit, SearchBy, SearchHits, SearchQuery, StoreError};

/// Patients of an answer when `_count` says nothing.
const ROWS: usize = 50;
/// Most patients of one answer: who gets more asks more exactly.
const MOST: usize = 200;
/// Most characters of a query; no name is longer.
const LONGEST: usize = 500;
/// Characters of a query that its audit row keeps.
const KEPT: usize = 200;

/// A search of one type: its parameters as the CapabilityStatement lists them.
pub struct Offered {
    /// The type.
    pub kind: &'static str,
    /// Name, FHIR type, what it does.
    pub parameters: &'static [(&'static str, &'static str, &'static str)],
}

/// Every search there is.
pub const OFFERED: &[Offered] = &[
    Offered {
        kind: "AuditEvent",
        parameters: audit_event::PARAMETERS,
    },
    Offered {
        kind: "DiagnosticReport",
        parameters: &[PATIENT, CONTENT],
    },
    Offered {
        kind: "DocumentReference",
        parameters: &[PATIENT, CONTENT],
    },
    Offered {
        kind: "Endpoint",
        parameters: &[
            (
                "_id",
                "token",
                "Of this server's own endpoint alone: dicom-wado-rs.",
            ),
            ("connection-type", "token", "The same: dicom-wado-rs."),
            ("status", "token", "The same: active."),
        ],
    },
    Offered {
        kind: "Patient",
        parameters: &[(
            "phonetic",
            "string",
            "Whose family or given name sounds like every word (Double Metaphone, Kölner Phonetik). Repeated: every \
             value. Entries show identity alone (SUBSETTED).",
        )],
    },
];

const PATIENT: (&str, &str, &str) = ("patient", "reference", "Required: whose notes.");
const CONTENT: (&str, &str, &str) = (
    "_content",
    "string",
    "Required: whole words, every one of them, in any order; case and diacritics do not count. Searched are description, \
     conclusion, titles and inline text/plain and HTML. Repeated: every value.",
);

fn bad(code: IssueCode, text: impl Into<String>) -> FhirRefusal {
    FhirRefusal::new(StatusCode::BAD_REQUEST, code, "", text)
}

/// Searches a type.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn search(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path(kind): Path<String>,
) -> Result<Response, FhirRefusal> {
    found(&app, &caller, &kind, &wanted).await
}

/// The same, with the parameters in the body: `POST /fhir/{type}/_search` keeps names out of addresses.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn posted(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    mut wanted: Wanted,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, FhirRefusal> {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if !form {
        return Err(FhirRefusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            IssueCode::NotSupported,
            "",
            "send Content-Type: application/x-www-form-urlencoded",
        ));
    }
    wanted.query.0.extend(Query::parse(&body).0);
    found(&app, &caller, &kind, &wanted).await
}

async fn found(app: &App, caller: &Caller, kind: &str, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    path_kind(kind)?;
    match kind {
        "AuditEvent" => audit_event::search(app, caller, wanted).await,
        "Endpoint" => endpoint::search(app, caller, wanted).await,
        "Patient" => patients(app, caller, wanted).await,
        "DocumentReference" | "DiagnosticReport" => notes(app, caller, kind, wanted).await,
        _ => Err(bad(
            IssueCode::NotSupported,
            "this type is not searched: GET /fhir/metadata lists what is",
        )),
    }
}

/// Refuses what is not offered, so that nobody takes a wider answer for a narrower one.
///
/// # Errors
/// 400.
pub(super) fn only(query: &Query, offered: &[&str]) -> Result<(), FhirRefusal> {
    let known = |name: &str| offered.contains(&name) || ["_count", "_format", "_pretty"].contains(&name);
    match query.0.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some(_) => Err(bad(
            IssueCode::NotSupported,
            format!(
                "of the parameters of this search only {} and _count are supported, without modifiers",
                offered.join(", ")
            ),
        )),
    }
}

/// The words of a parameter that may be repeated, every value of it.
fn words(query: &Query, name: &str) -> Result<String, FhirRefusal> {
    let values: Vec<&str> = query
        .0
        .iter()
        .filter(|(n, _)| n == name)
        .map(|(_, v)| v.as_str())
        .collect();
    let text = values.join(" ");
    if values.iter().any(|v| v.contains(',')) {
        // A comma means "or".
        return Err(bad(
            IssueCode::NotSupported,
            format!("a list of alternatives is not supported: give {name} without a comma"),
        ));
    }
    if text.chars().count() > LONGEST {
        return Err(bad(
            IssueCode::TooLong,
            format!("{name} has more than {LONGEST} characters"),
        ));
    }
    if vitrine_store::search::terms(&text).is_empty() {
        return Err(bad(
            IssueCode::Required,
            format!("give {name}=… with at least one letter or digit"),
        ));
    }
    Ok(text)
}

fn count(query: &Query, usual: usize, most: usize) -> Result<usize, FhirRefusal> {
    match query.get("_count").map(str::parse::<usize>) {
        None => Ok(usual),
        Some(Ok(n)) if n > 0 => Ok(n.min(most)),
        Some(_) => Err(bad(IssueCode::Value, "_count must be a number from 1")),
    }
}

async fn patients(app: &App, caller: &Caller, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    only(&wanted.query, &["phonetic"])?;
    let query = SearchQuery {
        text: words(&wanted.query, "phonetic")?,
        by: SearchBy::Sound,
        limit: count(&wanted.query, ROWS, MOST)?,
    };
    let request = app.request(caller, Some("Patient"), None).await?;
    let permit = app
        .decide::<SearchPatients>(request)
        .await?
        .noted("query", query.text.chars().take(KEPT).collect::<String>())
        .noted("by", "phonetic");
    let sealed = app.store.search(&permit, &query).await?;
    let found = app.open(&permit, sealed).await?;
    Ok(answer(
        StatusCode::OK,
        None,
        bundle(&found, &wanted.base)?.to_string().into_bytes(),
    ))
}

/// Notes of an answer when `_count` says nothing, and at most.
const NOTES: usize = 50;
const MOST_NOTES: usize = 500;

async fn notes(app: &App, caller: &Caller, kind: &str, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    only(&wanted.query, &["patient", "_content"])?;
    let patient = patient(&wanted.query)?;
    let text = words(&wanted.query, "_content")?;
    if text.contains(['*', '"']) {
        return Err(bad(
            IssueCode::NotSupported,
            "beginnings of words and phrases are not supported: give _content whole words",
        ));
    }
    if vitrine_store::search::content_words(&text).is_empty() {
        return Err(bad(
            IssueCode::Required,
            "give _content=… with at least one word of two letters or digits",
        ));
    }
    let query = NoteQuery {
        kind: kind.to_owned(),
        text,
        limit: count(&wanted.query, NOTES, MOST_NOTES)?,
    };
    let request = app.request(caller, Some(kind), Some(&patient)).await?;
    let is_client = matches!(request.subject, Subject::Client { .. });
    let permit = app
        .decide::<ReadChart>(request)
        .await?
        .noted("query", query.text.chars().take(KEPT).collect::<String>())
        .noted("by", format!("{kind} _content"));
    let sealed = app.store.notes(&permit, &query).await?;
    let found = app.open(&permit, sealed).await?;
    if is_client && found.of + found.withheld == 0 && app.store.whereabouts(&patient).await?.is_none() {
        return Err(FhirRefusal::not_found());
    }
    let mut told = Vec::new();
    // Of the whole record: how many of them are notes is not told.
    let left_out = seen::left_out(app, &permit).await?;
    if left_out > 0 {
        told.push(withheld(left_out, permit.breaking_helps()));
    }
    let lie_away: Vec<_> = found.archived.iter().chain(&found.unsearched).cloned().collect();
    if !lie_away.is_empty() {
        told.push(away::entry(&lie_away, &away::asked_back(app, &permit).await?));
    }
    told.extend(not_searched(&found));
    Ok(answer(
        StatusCode::OK,
        None,
        notes_bundle(&found, &told, &wanted.base)?,
    ))
}

/// `patient=Patient/x` or `patient=x`, once.
fn patient(query: &Query) -> Result<PatientId, FhirRefusal> {
    let mut values = query
        .0
        .iter()
        .filter(|(n, _)| n == "patient")
        .map(|(_, v)| v.as_str());
    match (values.next().filter(|v| !v.is_empty()), values.next()) {
        (None, _) => Err(bad(
            IssueCode::Required,
            "notes are searched within one record: add patient=<id>",
        )),
        (Some(_), Some(_)) => Err(bad(IssueCode::Value, "give patient once")),
        (Some(said), None) => PatientId::new(said.strip_prefix("Patient/").unwrap_or(said))
            .map_err(|_| bad(IssueCode::Value, "patient is not the id of a Patient")),
    }
}

/// What the answer does not cover, so that nobody takes "not found" for "not there".
fn not_searched(found: &NoteHits) -> Option<Value> {
    let mut texts = Vec::new();
    if !found.unsearched.is_empty() {
        texts.push(format!(
            "whether {} notes in the archive have these words is not known until they are back",
            found.unsearched.len()
        ));
    }
    if found.partial > 0 {
        texts.push(format!(
            "{} of {} notes have content that is no text here (scans, PDF, links): it was not searched",
            found.partial, found.of
        ));
    }
    let left = found
        .total
        .saturating_sub((found.resources.len() + found.archived.len()) as u64);
    if left > 0 {
        texts.push(format!(
            "{left} older notes that match are not shown: add a word or a larger _count"
        ));
    }
    let issues: Vec<Value> = texts
        .iter()
        .map(|t| json!({"severity": "warning", "code": "incomplete", "details": {"text": t}}))
        .collect();
    (!issues.is_empty()).then(|| {
        json!({"resource": {"resourceType": "OperationOutcome", "issue": issues}, "search": {"mode": "outcome"}})
    })
}

/// Bodies go out as they are stored.
fn notes_bundle(found: &NoteHits, told: &[Value], base: &str) -> Result<Vec<u8>, FhirRefusal> {
    let mut entries: Vec<Vec<u8>> = told.iter().map(|t| t.to_string().into_bytes()).collect();
    for note in &found.resources {
        let url = json!(format!("{base}/{}", note.key));
        let mut entry = format!("{{\"fullUrl\":{url},\"resource\":").into_bytes();
        entry.extend_from_slice(&shown(note)?);
        entry.extend_from_slice(b",\"search\":{\"mode\":\"match\"}}");
        entries.push(entry);
    }
    let mut out = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"timestamp\":\"{}\",\"total\":{}",
        clock::instant(clock::now()),
        found.total
    )
    .into_bytes();
    if !entries.is_empty() {
        out.extend_from_slice(b",\"entry\":[");
        out.extend_from_slice(&entries.join(&b","[..]));
        out.push(b']');
    }
    out.push(b'}');
    Ok(out)
}

fn bundle(found: &SearchHits, base: &str) -> Result<Value, FhirRefusal> {
    let mut entries = Vec::with_capacity(found.hits.len() + 1);
    for hit in &found.hits {
        entries.push(json!({
            "fullUrl": format!("{base}/Patient/{}", hit.patient),
            "resource": subset(hit)?,
            "search": {"mode": "match"},
        }));
    }
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": clock::instant(clock::now()),
    });
    if found.more {
        let text = format!(
            "more than {} patients match: add a word of the name",
            found.hits.len()
        );
        let issue = json!({"severity": "warning", "code": "incomplete", "details": {"text": text}});
        entries.push(json!({
            "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
            "search": {"mode": "outcome"},
        }));
    } else {
        bundle["total"] = found.hits.len().into();
    }
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    Ok(bundle)
}

/// What a search may show of a patient: identity, from the card; a subset of the Patient, and marked as one.
pub(super) fn subset(hit: &PatientHit) -> Result<Value, FhirRefusal> {
    let card: EmergencyCard = serde_json::from_slice(&hit.card)
        .map_err(|_| StoreError::Damaged(format!("the card of patient {}", hit.patient)))?;
    let mut out = json!({
        "resourceType": "Patient",
        "id": hit.patient.as_str(),
        "meta": {"tag": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
            "code": "SUBSETTED",
        }]},
    });
    if let (Some(identity), Some(fields)) = (&card.identity, out.as_object_mut()) {
        put_identity(fields, identity);
    }
    Ok(out)
}

fn put_identity(fields: &mut Map<String, Value>, i: &Identity) {
    let mut name = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            name.insert(key.to_owned(), value);
        }
    };
    put("text", i.name_text.clone().map(Value::from));
    put("family", i.family.clone().map(Value::from));
    put("given", (!i.given.is_empty()).then(|| json!(i.given)));
    put("prefix", i.prefix.as_ref().map(|p| json!([p])));
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(key.to_owned(), value);
        }
    };
    put("active", Some(i.active.into()));
    put("name", (!name.is_empty()).then(|| json!([name])));
    put("gender", i.sex.clone().map(Value::from));
    put("birthDate", i.birth_date.clone().map(Value::from));
    let mr = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]});
    put(
        "identifier",
        i.mrn.as_ref().map(|n| json!([{"type": mr, "value": n}])),
    );
    put("deceasedBoolean", i.deceased.as_ref().map(|_| true.into()));
}
