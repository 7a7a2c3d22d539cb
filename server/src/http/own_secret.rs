//! `POST /auth/secret`: somebody gives themselves a new password or PIN, at the workstation where they are signed in (ADR 55).
//!
//! What is printed for somebody or told them is known to whoever made it. Only what they choose themselves is theirs alone, and only
//! then does a row in the audit log say who it was. Never here: what a secret must be (`access::secrets`), new secrets by whoever runs commands
//! (`cli::users`). Called by the router.

use super::auth::{check_secret, sign_in_row};
use super::bearer::Signed;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use crate::identity::secrets;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use vitrine_access::{Actor, Kind, secrets as rule};
use vitrine_store::SecretsChange;
use vitrine_wire::ErrorCode;
use vitrine_wire::http::{SecretRequest, SecretResponse};

/// Where wrong passwords are counted that were given here: not with those of the sign-in, so that an open session keeps its owner out of
/// nothing else.
const HERE: &str = "change-secret";

/// Changes what is given.
///
/// # Errors
/// [`Refused`]: 403 for whoever is no person at a workstation, 401 `wrong-secret` for a password that is not the one of now, 400 for a
/// secret that is too easily guessed.
pub async fn change(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    body: Bytes,
) -> Result<Json<SecretResponse>, Refused> {
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let (Some(user), Some(device)) = (caller.user().cloned(), caller.device.clone()) else {
        let text = "Only a person at a workstation changes a password or PIN here.";
        return Err(Refused::new(StatusCode::FORBIDDEN, ErrorCode::Denied, text));
    };
    let asked: SecretRequest =
        serde_json::from_slice(&body).map_err(|_| bad("The body is not a request for a new secret."))?;
    let changed: Vec<String> = [
        ("password", asked.new_password.is_some()),
        ("pin", asked.new_pin.is_some()),
    ]
    .into_iter()
    .filter(|(_, there)| *there)
    .map(|(name, _)| name.to_owned())
    .collect();
    if changed.is_empty() {
        return Err(bad("Neither a new password nor a new PIN is given."));
    }
    // Before the password is looked at: a right one must leave a row, whatever is to come instead of it.
    let password = asked.new_password.as_deref().map_or(Ok(()), rule::password);
    let pin = asked.new_pin.as_deref().map_or(Ok(()), rule::pin);
    if let Err(unfit) = password.and(pin) {
        return Err(bad(&format!("Not changed: {}.", unfit.text())));
    }
    let now = clock::now();
    if let Some(s) = app.throttle.wait_s(user.as_str(), HERE, now) {
        return Err(Refused::throttled(s));
    }
    let row = |rule: &str, ok: bool| {
        let actor = Actor::User(user.clone());
        let mut row = sign_in_row(actor, Some(device.clone()), Kind::ChangeSecret, rule, ok);
        row.notes.insert("change".to_owned(), changed.join(" "));
        row
    };
    let account = app.store.account(&user).await?;
    if check_secret(&app, account.as_ref(), &asked.password, false)
        .await?
        .is_none()
    {
        let wait = app.throttle.wrong(user.as_str(), HERE, now);
        app.store.append(row("wrong-secret", false)).await?;
        return Err(wait.map_or_else(Refused::wrong_secret, Refused::throttled));
    }
    app.throttle.right(user.as_str(), HERE);
    let busy = || {
        let text = "The server is busy: try again in a second.";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Overloaded, text)
    };
    let leave = app.sign_ins.acquire().await.map_err(|_| busy())?;
    let hashed = secrets::hashed(asked.new_password.map(Into::into), asked.new_pin.map(Into::into)).await;
    let (password_phc, pin_phc) = hashed.map_err(|_| busy())?;
    drop(leave);
    let change = SecretsChange {
        user: user.clone(),
        password_phc,
        pin_phc,
        enable: false,
    };
    app.store.change_secrets(row("own-secret", true), change).await?;
    app.access_changed();
    Ok(Json(SecretResponse { changed }))
}
