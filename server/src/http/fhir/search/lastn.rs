//! `GET /fhir/Observation/$lastn?…` and `POST /fhir/Observation/$lastn`: the most recent observations of each code of one patient.
//!
//! Lives here: the operation as a search of one record. Never here: which observations are the last (`vitrine_fhir::search::LastN`), the
//! leave and what is told (`record`). Called by the router.

use super::super::{Query, Wanted, answer, path_kind};
use super::{FhirRefusal, LONG, Page, bad, form, include, record, status_of};
use crate::app::App;
use crate::http::bearer::FhirCaller;
use crate::identity::sessions::Caller;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::sync::Arc;
use vitrine_fhir::IssueCode;
use vitrine_fhir::search::LastN;

/// The last observations.
///
/// # Errors
/// [`FhirRefusal`]: 400 for what is not asked of Observation, names no patient or several, or no code.
pub async fn asked(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path(kind): Path<String>,
) -> Result<Response, FhirRefusal> {
    last(&app, &caller, &kind, &wanted).await
}

/// The same, with the parameters as a form in the body.
///
/// # Errors
/// As [`asked`]; 415 for what is no form.
pub async fn posted(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    mut wanted: Wanted,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, FhirRefusal> {
    wanted.query.0.extend(form(&headers, &body)?.0);
    last(&app, &caller, &kind, &wanted).await
}

/// What is asked; nothing is looked up.
///
/// # Errors
/// As [`asked`].
pub(in super::super) fn understood(kind: &str, query: &Query, lenient: bool) -> Result<LastN, FhirRefusal> {
    path_kind(kind)?;
    if kind != "Observation" {
        return Err(bad(
            IssueCode::NotSupported,
            "$lastn is an operation of Observation",
        ));
    }
    LastN::parse(&query.0, !lenient).map_err(|issues| FhirRefusal::issues(status_of(&issues), &issues))
}

async fn last(app: &App, caller: &Caller, kind: &str, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    let LastN { search, max } = understood(kind, &wanted.query, wanted.lenient)?;
    let mut page = Page::of(&search, wanted)?;
    page.last = Some(max);
    // The row of the audit log says that it was not the search of the same parameters.
    page.asked = format!("$lastn?{}", page.asked);
    if page.limit > 0 {
        page.limit = LONG;
    }
    let mut found = record::search(app, caller, &search, &page).await?;
    include::add(app, caller, &search, &page, &mut found).await?;
    Ok(answer(StatusCode::OK, None, found.bundle(&search, &page)?))
}
