//! `POST /auth/revoke` (RFC 7009): a program gives a token of its own back. It is dead with the answer, and so is what it had
//! open.

use super::{authenticate_or_public, failed, form, invalid_request, oauth_error};
use crate::app::App;
use crate::http::auth::sign_in_row;
use crate::identity::sessions;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::{Actor, Kind};

/// Ends a token. One that is over or never was is no error (RFC 7009 §2.2).
pub async fn revoke(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&app, &headers, &body).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn answer(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let form = form(body)?;
    let (client, _) = authenticate_or_public(app, headers, &form).await?;
    let token = form.get("token").filter(|t| !t.is_empty());
    let token = token.ok_or_else(|| invalid_request("name the token"))?;
    let held = sessions::of_program(app, token).await.map_err(failed)?;
    let own = held.as_ref().is_some_and(|h| h.client == client.id);
    if let Some(held) = held.as_ref().filter(|_| own) {
        app.store.end_session(&held.session).await.map_err(failed)?;
        app.session_ended(&held.session);
    }
    let rule = match (&held, own) {
        (_, true) => "revoked",
        (Some(_), false) => "other-clients-token",
        (None, _) => "not-active",
    };
    let ok = own || held.is_none();
    let row = sign_in_row(Actor::Client(client.id), None, Kind::SignOut, rule, ok);
    app.store.append(row).await.map_err(failed)?;
    if ok {
        Ok(StatusCode::OK.into_response())
    } else {
        let text = "the token was issued to another client";
        Err(oauth_error(StatusCode::BAD_REQUEST, "unauthorized_client", text))
    }
}
