//! `POST /auth/break-glass`: a clinician opens one patient's record for four hours, over the server's own API.
//!
//! Lives here: the online act. Workstations break the glass without the server and send the grant up (`ws`). Both are
//! kept alike, and both are due for review 24 hours after the event.

use super::bearer::Signed;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::BreakGlass;
use vitrine_access::grant::{GRANT_MS, Grant, REVIEW_DUE_MS, Reason};
use vitrine_clinical::{PatientId, UtcMs};
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
    let permit = app
        .decide::<BreakGlass>(request)
        .await?
        .noted("reason", reason.code());
    let user = caller.user().cloned().ok_or_else(|| {
        Refused::new(
            StatusCode::FORBIDDEN,
            ErrorCode::Denied,
            "Only a person can break the glass.",
        )
    })?;
    let words = asked.words.map(|w| w.chars().take(500).collect());
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
    };
    app.store.append(permit.entry(Disclosure::default())).await?;
    app.store.put_grant(review(grant.clone())).await?;
    app.note_grant(grant.clone());
    Ok(Json(
        serde_json::json!({"grant": grant.id.to_string(), "until_ms": until.0, "review_due_ms": at.plus_ms(REVIEW_DUE_MS).0}),
    ))
}

/// A grant with its review: due 24 hours after the event by the server's reckoning, never later for arriving late.
#[must_use]
pub fn review(grant: Grant) -> GrantRow {
    let received = clock::now();
    // An event "from the future" (a workstation's clock runs ahead) is due 24 h after it became known.
    let event: UtcMs = grant.at.min(received);
    let review_due = event.plus_ms(REVIEW_DUE_MS);
    GrantRow {
        late: received > review_due,
        grant,
        received,
        review_due,
    }
}
