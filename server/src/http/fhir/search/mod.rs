//! `GET /fhir/{type}?…` and `POST /fhir/{type}/_search`: the searches there are, and a refusal that says so for every other.
//!
//! Lives here: which search a question is, reading the parameters that are our own. Never here: what matches
//! (`vitrine_fhir::search`, `vitrine_store::search`), who may search (the policy). Called by the router.

mod answer;
mod common;
mod include;
pub mod lastn;
mod notes;
mod patients;
mod record;
mod resolving;
pub(super) mod sound;
mod token;
mod walk;

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::{Query, Wanted, answer, audit_event, endpoint, path_kind};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use token::Token;
use vitrine_access::Permit;
use vitrine_access::action::SearchPatients;
use vitrine_access::policy::Subject;
use vitrine_fhir::search::{GENERAL, ParamKind, Search, SortKey, parameters};
use vitrine_fhir::{Issue, IssueCode};

/// Resources of an answer when `_count` says nothing.
const ROWS: usize = 50;
/// Most patients of one answer: who gets more asks more exactly.
const MOST: usize = 200;
/// Most resources of a page of a record.
const LONG: usize = 1000;
/// Most characters of a query; no name is longer.
const LONGEST: usize = 500;
/// Characters of a query that its audit row keeps.
const KEPT: usize = 200;

/// A search of one type: its parameters as the CapabilityStatement lists them: name, FHIR type, what it does.
pub type Offered = Vec<(&'static str, &'static str, String)>;

/// The searches of a type; `None` where it is not searched.
#[must_use]
pub fn offered(kind: &str) -> Option<Offered> {
    match kind {
        "AuditEvent" => return Some(written(audit_event::PARAMETERS)),
        "Endpoint" => return Some(written(ENDPOINT)),
        _ => {}
    }
    let own = parameters(kind);
    if own.is_empty() {
        return None;
    }
    let mut all: Offered = own
        .iter()
        .chain(GENERAL)
        .filter(|p| !(kind == "Patient" && p.name == "_lastUpdated"))
        .map(|p| (p.name, word(p.kind), p.doc()))
        .collect();
    match kind {
        "Patient" => all.extend(written(&[PHONETIC])),
        "DocumentReference" | "DiagnosticReport" => all.extend(written(&[CONTENT])),
        _ => {}
    }
    Some(all)
}

fn written(parameters: &[(&'static str, &'static str, &'static str)]) -> Offered {
    let written = parameters
        .iter()
        .map(|(name, kind, doc)| (*name, *kind, (*doc).to_owned()));
    written.collect()
}

const fn word(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Number => "number",
        ParamKind::Date => "date",
        ParamKind::String => "string",
        ParamKind::Token => "token",
        ParamKind::Reference => "reference",
        ParamKind::Composite => "composite",
        ParamKind::Quantity => "quantity",
        ParamKind::Uri => "uri",
    }
}

const ENDPOINT: &[(&str, &str, &str)] = &[
    (
        "_id",
        "token",
        "Of this server's own endpoint alone: dicom-wado-rs.",
    ),
    ("connection-type", "token", "The same: dicom-wado-rs."),
    ("status", "token", "The same: active."),
];
const PHONETIC: (&str, &str, &str) = (
    "phonetic",
    "string",
    "Whose family or given name sounds like every word (Double Metaphone, Kölner Phonetik). Repeated: every value. With _count alone; \
     entries show identity alone (SUBSETTED).",
);
const CONTENT: (&str, &str, &str) = (
    "_content",
    "string",
    "With patient and _count alone: whole words, every one of them, in any order; case and diacritics do not count. Searched are \
     description, conclusion, titles and inline text/plain and HTML. Repeated: every value.",
);

/// What a search asks for beside what matches.
struct Page {
    /// Where this server's FHIR is.
    base: String,
    /// Resources of a page; none where a number alone is asked for.
    limit: usize,
    /// The question as its audit row keeps it.
    asked: String,
    after: Option<Token>,
    /// Of a search of patients: the last one of the page before.
    after_patient: Option<(Option<SortKey>, String)>,
    /// Of a `$lastn`: so many of each code.
    last: Option<usize>,
}

fn bad(code: IssueCode, text: impl Into<String>) -> FhirRefusal {
    let issue = Issue::new(code, "", text);
    FhirRefusal::issues(status_of(std::slice::from_ref(&issue)), &[issue])
}

/// A question that asks too much was understood and is not taken (422); any other fault is one of the question (400).
fn status_of(issues: &[Issue]) -> StatusCode {
    if issues.iter().any(|i| i.code == IssueCode::TooLong) {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::BAD_REQUEST
    }
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
    wanted.query.0.extend(form(&headers, &body)?.0);
    found(&app, &caller, &kind, &wanted).await
}

/// The parameters of a form.
fn form(headers: &HeaderMap, body: &str) -> Result<Query, FhirRefusal> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Err(FhirRefusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            IssueCode::NotSupported,
            "",
            "send Content-Type: application/x-www-form-urlencoded",
        ));
    }
    Ok(Query::parse(body))
}

async fn found(app: &App, caller: &Caller, kind: &str, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    path_kind(kind)?;
    let asks = |name: &str| wanted.query.get(name).is_some();
    match kind {
        "AuditEvent" => audit_event::search(app, caller, wanted).await,
        "Endpoint" => endpoint::search(app, caller, wanted).await,
        "Patient" if asks("phonetic") => sound::by_sound(app, caller, wanted).await,
        "DocumentReference" | "DiagnosticReport" if asks("_content") => {
            notes::notes(app, caller, kind, wanted).await
        }
        _ if parameters(kind).is_empty() => Err(not_searched()),
        _ => searched(app, caller, kind, wanted).await,
    }
}

/// Refuses a search that asks for what is not offered; nothing is looked up.
///
/// # Errors
/// [`FhirRefusal`] as the search itself.
pub(super) fn understood(kind: &str, query: &Query, lenient: bool) -> Result<(), FhirRefusal> {
    let asks = |name: &str| query.get(name).is_some();
    let by_itself = match kind {
        "AuditEvent" | "Endpoint" => true,
        "Patient" => asks("phonetic"),
        "DocumentReference" | "DiagnosticReport" => asks("_content"),
        _ => false,
    };
    if by_itself {
        return Ok(());
    }
    if parameters(kind).is_empty() {
        return Err(not_searched());
    }
    Search::parse(kind, &query.0, !lenient)
        .map(drop)
        .map_err(|issues| FhirRefusal::issues(status_of(&issues), &issues))
}

fn not_searched() -> FhirRefusal {
    bad(
        IssueCode::NotSupported,
        "this type is not searched: GET /fhir/metadata lists what is",
    )
}

async fn searched(app: &App, caller: &Caller, kind: &str, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    let search = Search::parse(kind, &wanted.query.0, !wanted.lenient)
        .map_err(|issues| FhirRefusal::issues(status_of(&issues), &issues))?;
    let page = Page::of(&search, wanted)?;
    let mut found = if kind == "Patient" {
        patients::search(app, caller, &search, &page).await?
    } else if vitrine_fhir::is_of_a_patient(kind) {
        record::search(app, caller, &search, &page).await?
    } else {
        common::search(app, caller, &search, &page).await?
    };
    include::add(app, caller, &search, &page, &mut found).await?;
    Ok(answer(StatusCode::OK, None, found.bundle(&search, &page)?))
}

/// Refuses a program that was not granted the search of a type (the `s` of its scopes). Whose record it is about is asked of the policy
/// for each record; a person searches what that person reads.
async fn may_search(
    app: &App,
    caller: &Caller,
    kind: &str,
) -> Result<Option<Permit<SearchPatients>>, FhirRefusal> {
    if matches!(caller.subject, Subject::User { .. }) {
        return Ok(None);
    }
    let request = app.request(caller, Some(kind), None).await?;
    Ok(Some(app.decide::<SearchPatients>(request).await?))
}

impl Page {
    fn of(search: &Search, wanted: &Wanted) -> Result<Self, FhirRefusal> {
        let patients = search.kind == "Patient";
        let most = if patients { MOST } else { LONG };
        let limit = if search.counts_only() {
            0
        } else {
            search.count.unwrap_or(ROWS).min(most)
        };
        let odd = || {
            bad(
                IssueCode::Value,
                "_page is not of this server: take the next link as it is",
            )
        };
        let mut page = Self {
            base: wanted.base.clone(),
            limit,
            asked: search
                .said()
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect::<Vec<_>>()
                .join("&"),
            after: None,
            after_patient: None,
            last: None,
        };
        match &search.page {
            None => {}
            Some(text) if patients => page.after_patient = Some(patients::after(text).ok_or_else(odd)?),
            Some(text) => page.after = Some(Token::parse(text).ok_or_else(odd)?),
        }
        Ok(page)
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
