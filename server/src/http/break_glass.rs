//! `POST /auth/break-glass`: a clinician opens one patient's record for four hours, over the server's own API.
//!
//! Lives here: the online act. Workstations break the glass without the server and send the grant up (`ws`). Both are
//! kept alike, and both are due for review 24 hours after the event.

use super::bearer::Signed;
use super::refusal::Refused;
use crate::app::App;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::BreakGlass;
use vitrine_access::grant::{GRANT_MS, Grant, Reason};
use vitrine_access::review::LONGEST_TEXT;
use vitrine_clinical::PatientId;
use vitrine_store::GrantRow;
use vitrine_wire::ErrorCode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    patient: String,
    reason: String,
    #[serde(default)]
    words: Option<String>,
}

/// Breaks the glass.
///
/// # Errors
/// [`Refused`].
pub async fn break_glass(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    body: Bytes,
) -> Result<Json<serde_json::Value>, Refused> {
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let asked: Asked =
        serde_json::from_slice(&body).map_err(|_| bad("Send {\"patient\", \"reason\", \"words\"}."))?;
    let patient = PatientId::new(asked.patient).map_err(|_| bad("The patient's id is not a FHIR id."))?;
    let reason = Reason::parse(&asked.reason).ok_or_else(|| {
        bad("The reason must be life-threatening, cannot-consent, covering, mass-casualty or other.")
    })?;
    let request = app.request(&caller, Some("Patient"), Some(&patient)).await?;
    let (at, device) = (request.at, request.device.clone());
    let words = asked.words.map(|w| w.trim().to_owned()).filter(|w| !w.is_empty());
    if reason == Reason::Other && words.is_none() {
        return Err(bad("The reason \"other\" needs words."));
    }
    if words.as_ref().is_some_and(|w| w.chars().count() > LONGEST_TEXT) {
        return Err(bad("The words are longer than 2,000 characters."));
    }
    let mut permit = app
        .decide::<BreakGlass>(request)
        .await?
        .noted("reason", reason.code());
    if let Some(words) = &words {
        permit = permit.noted("words", words.as_str());
    }
    let user = caller.user().cloned().ok_or_else(|| {
        Refused::new(
            StatusCode::FORBIDDEN,
            ErrorCode::Denied,
            "Only a person can break the glass.",
        )
    })?;
    let until = at.plus_ms(GRANT_MS);
    let grant = Grant {
        id: permit.access_id(),
        user,
        device,
        patient,
        reason,
        words,
        at,
        until,
        offline: false,
        declared: None,
    };
    let mut entry = permit.entry(Disclosure::default());
    entry.grant = Some(grant.id);
    let (row, _) = app.store.keep_grant(GrantRow::new(grant, at), entry).await?;
    app.note_grant(row.clone());
    app.owes_notice(row.grant.id);
    Ok(Json(
        serde_json::json!({"grant": row.grant.id.to_string(), "until_ms": row.grant.until.0, "review_due_ms": row.review_due.0}),
    ))
}
