//! `POST /auth/launch`: a signed-in person has a patient open and starts a program on them (SMART App Launch 2.2, EHR launch).
//!
//! Lives here: making the opaque `launch` text, and taking it. It is the person's own, for one patient, once, five minutes.

use crate::app::App;
use crate::http::auth::sign_in_row;
use crate::http::bearer::Signed;
use crate::http::refusal::Refused;
use crate::identity::apps;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use vitrine_access::action::ReadChart;
use vitrine_access::{Actor, Kind};
use vitrine_clinical::PatientId;
use vitrine_store::{Account, StoreError};
use vitrine_wire::ErrorCode;

/// `/auth/launch`.
pub const LAUNCH: &str = "/auth/launch";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    patient: String,
}

/// Gives a launch context for a patient whom the caller may open.
///
/// # Errors
/// [`Refused`].
pub async fn launch(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let open: Open =
        serde_json::from_slice(&body).map_err(|_| bad("Name the patient: {\"patient\": \"…\"}."))?;
    let patient = PatientId::new(open.patient).map_err(|_| bad("The patient's id is not a FHIR id."))?;
    let person = || {
        Refused::new(
            StatusCode::FORBIDDEN,
            ErrorCode::Denied,
            "A program is launched by a person.",
        )
    };
    let user = caller.user().cloned().ok_or_else(person)?;
    let account = app.store.account(&user).await?.ok_or_else(person)?;
    let mut request = app.request(&caller, Some("Patient"), Some(&patient)).await?;
    // What a broken glass shows is its person's alone.
    request.grant = None;
    app.decide::<ReadChart>(request).await?;
    let mut row = sign_in_row(
        Actor::User(user),
        caller.device.clone(),
        Kind::AuthorizeApp,
        "launch",
        true,
    );
    row.patient = Some(patient.clone());
    app.store.append(row).await?;
    let (text, expires_in) = apps::launch(&app, &account, &patient).await?;
    Ok(Json(json!({"launch": text, "expires_in": expires_in})))
}

/// Whom a launch is about, for the person who made it; it is not used up by that.
///
/// # Errors
/// [`StoreError`].
pub async fn patient_of(app: &App, text: &str, account: &Account) -> Result<Option<PatientId>, StoreError> {
    apps::launched(app, text, account, false).await
}

/// The same, used up.
///
/// # Errors
/// [`StoreError`].
pub async fn take(app: &App, text: &str, account: &Account) -> Result<Option<PatientId>, StoreError> {
    apps::launched(app, text, account, true).await
}
