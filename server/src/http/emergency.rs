//! `GET /emergency/{patient}`: the emergency card as the server holds it.
//!
//! Lives here: the read of one card by a person or a program. Workstations read the card from their own cache; this is
//! for whoever has none. Never here: breaking the glass (that is `break_glass`).

use super::bearer::Signed;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::action::ReadCard;
use vitrine_access::policy::Subject;
use vitrine_clinical::PatientId;
use vitrine_wire::ErrorCode;

/// The card of a patient.
///
/// # Errors
/// [`Refused`].
pub async fn card(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(patient): Path<String>,
) -> Result<Response, Refused> {
    let bad = || {
        let text = "The patient's id is not a FHIR id.";
        Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text)
    };
    let patient = PatientId::new(patient).map_err(|_| bad())?;
    // The card is made of many types: a program that somebody signed in through needs a scope for all of them.
    let kind = match caller.subject {
        Subject::App { .. } => "*",
        _ => "Patient",
    };
    let request = app.request(&caller, Some(kind), Some(&patient)).await?;
    let permit = app.decide::<ReadCard>(request).await?;
    let sealed = app.store.card(&permit).await?;
    let found = app.open(&permit, sealed).await?.ok_or_else(|| {
        let text = "The server has no card of this patient.";
        Refused::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text)
    })?;
    // The card is spliced in as it is kept: no number of it passes through another form.
    // What is withheld may have changed it: then its version says nothing that this caller may know.
    let reduced = memchr::memmem::find(&found.body, b"\"withheld\":true").is_some();
    let version = if reduced { None } else { Some(found.version) };
    let head = serde_json::json!({
        "patient": found.patient, "version": version, "updated": clock::instant(found.updated),
        "access_id": permit.access_id().to_string(),
    });
    let mut body = head.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"card\":");
    body.extend_from_slice(&found.body);
    body.push(b'}');
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
