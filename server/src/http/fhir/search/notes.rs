//! `GET /fhir/DocumentReference?patient=…&_content=…`, and of DiagnosticReport: notes by their words.
//!
//! Lives here: the parameters, the Bundle. Never here: what matches (`vitrine_store::notes`). Called by [`super::found`].

use super::super::everything::withheld;
use super::super::read::shown;
use super::super::{Query, Wanted, answer, away, seen};
use super::{FhirRefusal, KEPT, bad, count, only, words};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use vitrine_access::action::ReadChart;
use vitrine_access::policy::Subject;
use vitrine_clinical::PatientId;
use vitrine_fhir::IssueCode;
use vitrine_store::notes::{NoteHits, NoteQuery};

/// Notes of an answer when `_count` says nothing, and at most.
const NOTES: usize = 50;
const MOST_NOTES: usize = 500;

pub(super) async fn notes(
    app: &App,
    caller: &Caller,
    kind: &str,
    wanted: &Wanted,
) -> Result<Response, FhirRefusal> {
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
