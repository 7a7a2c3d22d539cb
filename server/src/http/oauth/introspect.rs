//! `POST /auth/introspect` (RFC 7662, SMART App Launch 2.2, token introspection).
//!
//! Lives here: what a program is told about a token of its own. Of any other token, of none and of one that is over it is told
//! the same: that it is not active. Each question has its audit row.

use super::{authenticate, failed, form, invalid_request};
use crate::app::App;
use crate::http::auth::sign_in_row;
use crate::identity::sessions;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use vitrine_access::{Actor, Kind};
use vitrine_store::StoreError;

/// Says whether a token is active, and what it is good for.
pub async fn introspect(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&app, &headers, &body).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn answer(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let form = form(body)?;
    let (client, _) = authenticate(app, headers, &form).await?;
    let token = form.get("token").filter(|t| !t.is_empty());
    let token = token.ok_or_else(|| invalid_request("name the token"))?;
    let found = about(app, &client.id, token).await.map_err(failed)?;
    let rule = if found.is_some() {
        "own-token"
    } else {
        "not-active"
    };
    let row = sign_in_row(
        Actor::Client(client.id),
        None,
        Kind::IntrospectToken,
        rule,
        found.is_some(),
    );
    app.store.append(row).await.map_err(failed)?;
    let said = found.unwrap_or_else(|| json!({"active": false}));
    Ok(Json(said).into_response())
}

/// What a token of this program is good for now.
async fn about(app: &App, client: &str, token: &str) -> Result<Option<Value>, StoreError> {
    let Some(held) = sessions::of_program(app, token)
        .await?
        .filter(|h| h.client == client)
    else {
        return Ok(None);
    };
    let mut said = json!({
        "active": true, "client_id": held.client, "sub": held.user.as_ref().unwrap_or(&held.client),
        "scope": held.scopes.join(" "), "token_type": "Bearer",
        "exp": held.until.0 / 1000, "iat": held.at.0 / 1000,
    });
    if let Some(patient) = held.patient {
        said["patient"] = json!(patient);
    }
    Ok(Some(said))
}
