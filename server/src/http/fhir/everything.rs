//! `GET /fhir/Patient/{id}/$everything`: the whole record in pages, with a link to the next and no hidden cap.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::read::shown;
use super::{Wanted, answer, path_kind};
use super::{away, seen};
use crate::app::App;
use crate::clock;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::fmt::Write as _;
use std::sync::Arc;
use vitrine_access::action::ReadChart;
use vitrine_access::policy::Subject;
use vitrine_clinical::PatientId;
use vitrine_clinical::label::Confidentiality;
use vitrine_fhir::IssueCode;
use vitrine_store::{HistoryPage, Page};

/// Resources of a page when `_count` says nothing.
const PAGE: usize = 500;
/// Most resources of one page; the next link leads on.
const MOST: usize = 2000;

/// One page of a patient's record.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn everything(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Response, FhirRefusal> {
    path_kind(&kind)?;
    let bad = |code, text: &str| Err(FhirRefusal::new(StatusCode::BAD_REQUEST, code, "", text));
    if kind != "Patient" {
        return bad(IssueCode::NotSupported, "$everything is an operation of Patient");
    }
    let Ok(patient) = PatientId::new(id) else {
        return bad(IssueCode::Value, "the id is not a FHIR id");
    };
    for (name, _) in &wanted.query.0 {
        if !["_count", "_page", "_format", "_pretty"].contains(&name.as_str()) {
            let text = "of the parameters of $everything only _count is supported";
            return bad(IssueCode::NotSupported, text);
        }
    }
    let limit = match wanted.query.get("_count").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(n)) if n > 0 => n.min(MOST),
        Some(_) => return bad(IssueCode::Value, "_count must be a number from 1"),
    };
    // The whole record takes a scope for all of it of a program that somebody signed in through.
    let kind = match caller.subject {
        Subject::App { .. } => "*",
        _ => "Patient",
    };
    let request = app.request(&caller, Some(kind), Some(&patient)).await?;
    let is_client = matches!(request.subject, Subject::Client { .. });
    let permit = app.decide::<ReadChart>(request).await?;
    let page = Page {
        after: wanted.query.get("_page").map(str::to_owned),
        limit,
    };
    let page = if permit.clearance() < Confidentiality::VeryRestricted {
        seen::page(&app, &permit, page).await?
    } else {
        let sealed = app.store.everything(&permit, page).await?;
        app.open(&permit, sealed).await?
    };
    if is_client && page.total == 0 && page.withheld == 0 && app.store.whereabouts(&patient).await?.is_none()
    {
        return Err(FhirRefusal::not_found());
    }
    let mut told = Vec::new();
    if page.withheld > 0 {
        told.push(withheld(page.withheld, permit.breaking_helps()));
    }
    match page.archived.as_slice() {
        [] => {}
        archived => told.push(away::entry(archived, &away::asked_back(&app, &permit).await?)),
    }
    Ok(answer(
        StatusCode::OK,
        None,
        bundle(&page, &told, &wanted.base, &patient, limit)?,
    ))
}

/// The entry that says how many are left out, so that nobody takes a part for the whole. It says nothing else of them.
#[must_use]
pub fn withheld(n: u64, breaking_helps: bool) -> serde_json::Value {
    let entries = if n == 1 { "entry is" } else { "entries are" };
    let opens = if breaking_helps {
        "; breaking the glass opens them for four hours: POST /auth/break-glass"
    } else {
        ""
    };
    let mut details =
        serde_json::json!({"text": format!("{n} {entries} withheld by confidentiality{opens}")});
    if let (true, Some(fields)) = (breaking_helps, details.as_object_mut()) {
        fields.insert("coding".to_owned(), super::super::refusal::etreat());
    }
    serde_json::json!({"resource": {"resourceType": "OperationOutcome", "issue": [
        {"severity": "warning", "code": "suppressed", "details": details}]}, "search": {"mode": "outcome"}})
}

fn bundle(
    page: &HistoryPage,
    told: &[serde_json::Value],
    base: &str,
    patient: &PatientId,
    limit: usize,
) -> Result<Vec<u8>, FhirRefusal> {
    let mut out = String::new();
    let _ = write!(
        out,
        "{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"timestamp\":\"{}\",\"total\":{},\"link\":[",
        clock::instant(clock::now()),
        page.total
    );
    let link = |relation: &str, page: Option<&str>| {
        let page = page.map(|p| format!("&_page={}", escaped(p))).unwrap_or_default();
        let url = format!("{base}/Patient/{patient}/$everything?_count={limit}{page}");
        serde_json::json!({"relation": relation, "url": url}).to_string()
    };
    out.push_str(&link("self", None));
    if let Some(next) = &page.next {
        out.push(',');
        out.push_str(&link("next", Some(next)));
    }
    out.push_str("],\"entry\":[");
    let mut out = out.into_bytes();
    let live = page.resources.iter().filter(|r| !r.deleted);
    let mut first = true;
    for entry in told {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(entry.to_string().as_bytes());
    }
    for found in live {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        let head = serde_json::json!(format!("{base}/{}", found.key)).to_string();
        out.extend_from_slice(format!("{{\"fullUrl\":{head},\"resource\":").as_bytes());
        out.extend_from_slice(&shown(found)?);
        out.extend_from_slice(b",\"search\":{\"mode\":\"match\"}}");
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// Percent-encodes what is not unreserved (RFC 3986).
pub(super) fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut s, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            s.push(char::from(b));
        } else {
            let _ = write!(s, "%{b:02X}");
        }
        s
    })
}
