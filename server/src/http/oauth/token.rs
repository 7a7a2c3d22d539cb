//! `POST /auth/token`: client credentials (RFC 6749 §4.4), by secret or by key (SMART Backend Services); and the code of a
//! person's grant.
//!
//! Lives here: which scopes are granted, and the answer. Never here: proving who asks (`super::authenticate`).

use super::{authenticate, authenticate_or_public, failed, form, oauth_error};
use crate::app::App;
use crate::http::auth::sign_in_row;
use crate::http::fhir::Query;
use crate::identity::oidc::{challenge, is_secret};
use crate::identity::secrets::same;
use crate::identity::{apps, sessions};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::{Actor, Kind, scopes};

/// Gives a token for what a program proves itself by.
pub async fn token(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    match issue(&app, &headers, &body).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn issue(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Response> {
    let form = form(body)?;
    match form.get("grant_type") {
        Some("client_credentials") => credentials(app, headers, &form).await,
        Some("authorization_code") => code(app, headers, &form).await,
        _ => Err(oauth_error(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type must be client_credentials or authorization_code",
        )),
    }
}

/// A token for the code that a person's grant gave (RFC 6749 §4.1.3, RFC 7636 §4.5). A code that is shown is used up, whatever
/// comes with it; wrong ones make nobody wait: they cannot be guessed, and anybody may name a public program.
async fn code(app: &App, headers: &HeaderMap, form: &Query) -> Result<Response, Response> {
    let (client, _) = authenticate_or_public(app, headers, form).await?;
    let shown = form.get("code").unwrap_or_default();
    let redeemed = apps::redeem(app, shown, &client.id).await.map_err(failed)?;
    let found = match redeemed {
        apps::Redeemed::Good(good) => {
            let (account, grant, bound, provider) = *good;
            let verifier = form.get("code_verifier").unwrap_or_default();
            if form.get("redirect_uri") != Some(&bound.redirect) {
                Err("code-redirect")
            } else if !is_secret(verifier)
                || !same(challenge(verifier).as_bytes(), bound.challenge.as_bytes())
            {
                Err("code-verifier")
            } else {
                Ok((account, grant, provider))
            }
        }
        apps::Redeemed::Again(_) => Err("code-replay"),
        apps::Redeemed::None => Err("code-unknown"),
    };
    let (account, grant, provider) = match found {
        Ok(found) => found,
        Err(rule) => {
            let row = sign_in_row(Actor::Client(client.id), None, Kind::SignIn, rule, false);
            app.store.append(row).await.map_err(failed)?;
            let text = "the code is not for this: unknown, over, used, or not with this redirect_uri and code_verifier";
            return Err(oauth_error(StatusCode::BAD_REQUEST, "invalid_grant", text));
        }
    };
    let mut row = sign_in_row(
        Actor::User(account.user.clone()),
        None,
        Kind::SignIn,
        "app-code",
        true,
    );
    row.notes.insert("app".to_owned(), client.id);
    app.store.append(row).await.map_err(failed)?;
    let (token, expires_in) = apps::open(app, &account, &grant, provider, Some(shown))
        .await
        .map_err(failed)?;
    let mut said = serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": grant.scopes.join(" ")
    });
    if let Some(patient) = grant.patient {
        said["patient"] = serde_json::json!(patient);
    }
    Ok(Json(said).into_response())
}

async fn credentials(app: &App, headers: &HeaderMap, form: &Query) -> Result<Response, Response> {
    let (client, rule) = authenticate(app, headers, form).await?;
    // What a person grants is not the program's by itself.
    let client_scopes: Vec<String> = client
        .scopes
        .into_iter()
        .filter(|s| s.starts_with("system/"))
        .collect();
    let granted = match form.get("scope").map(str::trim).filter(|s| !s.is_empty()) {
        None => client_scopes,
        Some(asked) => asked
            .split_whitespace()
            .filter(|s| covered(s, &client_scopes))
            .map(str::to_owned)
            .collect(),
    };
    if granted.is_empty() {
        let text = "none of the scopes asked for is registered for this client";
        return Err(oauth_error(StatusCode::BAD_REQUEST, "invalid_scope", text));
    }
    let row = sign_in_row(Actor::Client(client.id.clone()), None, Kind::SignIn, rule, true);
    app.store.append(row).await.map_err(failed)?;
    let (token, expires_in) = sessions::open_for_client(app, &client.id, granted.clone())
        .await
        .map_err(failed)?;
    Ok(Json(serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": granted.join(" ")
    }))
    .into_response())
}

/// Whether a scope asked for lies within one that is registered.
fn covered(asked: &str, registered: &[String]) -> bool {
    registered.iter().any(|r| scopes::within(asked, r))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_no_more_than_it_is_registered_for() {
        let registered = vec!["system/*.rs".to_owned(), "system/Observation.cruds".to_owned()];
        for (asked, ok) in [
            ("system/Patient.r", true),
            ("system/Patient.read", true),
            ("system/Patient.cruds", false),
            ("system/Observation.cud", true),
            ("system/Observation.dus", false),
            ("system/*.rs", true),
            ("system/*.sr", false),
            ("system/*.cruds", false),
            ("user/Patient.r", false),
            ("system/Patient.", false),
            ("nonsense", false),
        ] {
            assert_eq!(covered(asked, &registered), ok, "{asked}");
        }
    }
}
