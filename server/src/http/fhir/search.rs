//! `GET /fhir/{type}?…` and `POST /fhir/{type}/_search`: the searches there are, and a refusal that says so for every other.
//!
//! Lives here: reading the parameters, the Bundle. Never here: what matches (`vitrine_store::search`), who may search
//! (the policy). Called by the router.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::{Query, Wanted, answer, path_kind};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use vitrine_access::action::SearchPatients;
use vitrine_clinical::card::{EmergencyCard, Identity};
use vitrine_fhir::IssueCode;
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
pub const OFFERED: &[Offered] = &[Offered {
    kind: "Patient",
    parameters: &[(
        "phonetic",
        "string",
        "Whose family or given name sounds like every word (Double Metaphone, Kölner Phonetik). Repeated: every value. \
         Entries show identity alone (SUBSETTED).",
    )],
}];

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
        "Patient" => patients(app, caller, wanted).await,
        _ => Err(bad(
            IssueCode::NotSupported,
            "this type is not searched: GET /fhir/metadata lists what is",
        )),
    }
}

/// Refuses what is not offered, so that nobody takes a wider answer for a narrower one.
fn only(query: &Query, offered: &[&str]) -> Result<(), FhirRefusal> {
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
fn subset(hit: &PatientHit) -> Result<Value, FhirRefusal> {
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
