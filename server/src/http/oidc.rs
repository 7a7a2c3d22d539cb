//! `GET /auth/oidc`, `POST /auth/oidc`, `POST /auth/oidc/backchannel-logout`: sign-in by the hospital's identity provider.
//!
//! Lives here: the routes of workstations and of the provider, what a proven token becomes ([`admit`]), the audit rows. Never
//! here: tokens (`identity::oidc`), the console's part (`console::oidc`). Called by the router.

use super::auth::{proven_device, sign_in_row};
use super::fhir::Query;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use crate::identity::oidc::{Fault, Given, Provider, Vouched};
use crate::identity::sessions;
use crate::lanes::pressure::Level;
use crate::lanes::{self, Class};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::ways::Way;
use vitrine_access::{Actor, AuditEntry, Kind};
use vitrine_clinical::{DeviceId, UserId};
use vitrine_store::identities::Bound;
use vitrine_store::{Account, StoreError};
use vitrine_wire::ErrorCode;
use vitrine_wire::http::{LoginResponse, OidcLoginRequest, OidcLoginResponse, OidcOffer};

/// Under which name refused tokens are counted: nobody types a secret here.
const COUNTED: &str = "oidc";
/// Where refused logout tokens are counted.
const LOGOUT: &str = "oidc-logout";

impl From<Fault> for Refused {
    fn from(f: Fault) -> Self {
        let (status, code) = match f {
            Fault::Away => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Overloaded),
            Fault::Answer => (StatusCode::BAD_GATEWAY, ErrorCode::Internal),
            Fault::Disabled => (StatusCode::FORBIDDEN, ErrorCode::Disabled),
            Fault::Redirect | Fault::Verifier => (StatusCode::BAD_REQUEST, ErrorCode::BadRequest),
            _ => (StatusCode::UNAUTHORIZED, ErrorCode::Denied),
        };
        Self::new(status, code, format!("{} ({})", f.text(), f.rule()))
    }
}

/// The provider, where the configuration names one.
pub(super) fn provider(app: &App) -> Result<&Provider, Refused> {
    app.oidc.as_ref().ok_or_else(|| {
        let text = "No identity provider is configured here: sign in with password or PIN.";
        Refused::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, text)
    })
}

/// What a workstation needs to begin.
///
/// # Errors
/// [`Refused`].
pub async fn offer(State(app): State<Arc<App>>) -> Result<Json<OidcOffer>, Refused> {
    Ok(Json(provider(&app)?.offer().await?))
}

/// Why nobody was let in: a reason with what is known of whom it is about, or the store.
pub(super) enum NotIn {
    Fault(Fault, Option<UserId>),
    Store(StoreError),
}
impl From<StoreError> for NotIn {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}
impl From<Fault> for NotIn {
    fn from(f: Fault) -> Self {
        Self::Fault(f, None)
    }
}

/// Exchanges the code, proves the token, and finds the account: one that is there, is not disabled, and belongs to this
/// identity. Nobody gets an account by a token.
pub(super) async fn admit(
    app: &App,
    provider: &Provider,
    given: Given<'_>,
) -> Result<(Account, Vouched), NotIn> {
    let (vouched, used) = provider.redeem(given).await?;
    let now = clock::now();
    if !app.store.once(used, now, vouched.until).await? {
        return Err(Fault::Replay.into());
    }
    let named = UserId::new(vouched.account.clone()).ok();
    let account = match &named {
        Some(user) => app.store.account(user).await?,
        None => None,
    };
    let Some(account) = account else {
        return Err(NotIn::Fault(Fault::NoAccount, named));
    };
    let refused = |fault| Err(NotIn::Fault(fault, Some(account.user.clone())));
    if account.disabled || !account.role.signs_in() {
        return refused(Fault::Disabled);
    }
    let of = &vouched.of;
    let bound = app
        .store
        .bind_identity(&of.issuer, &of.subject, &account.user, now)
        .await?;
    match bound {
        Bound::New | Bound::Known => Ok((account, vouched)),
        Bound::OtherSubject => refused(Fault::OtherSubject),
        Bound::OtherAccount => refused(Fault::OtherAccount),
    }
}

/// The row of a sign-in that the provider vouched for.
pub(super) fn let_in(account: &Account, device: Option<DeviceId>, vouched: &Vouched) -> AuditEntry {
    let actor = Actor::User(account.user.clone());
    let mut row = sign_in_row(actor, device, Kind::SignIn, "oidc", true);
    row.notes
        .insert("way".to_owned(), Way::Provider.code().to_owned());
    for (name, value) in [("issuer", &vouched.of.issuer), ("subject", &vouched.of.subject)] {
        row.notes.insert(name.to_owned(), value.clone());
    }
    row
}

/// Whether an address is one that a workstation listens at (RFC 8252 §7.3): plain http, the loopback address itself, a port.
fn is_loopback(address: &str) -> bool {
    let rest = address
        .strip_prefix("http://127.0.0.1:")
        .or_else(|| address.strip_prefix("http://[::1]:"));
    rest.and_then(|r| r.split_once('/')).is_some_and(|(port, path)| {
        port.parse::<u16>().is_ok_and(|p| p > 0 && port == p.to_string())
            && path.len() <= 64
            && path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-/".contains(&b))
    })
}

/// A person signs in at an enrolled workstation by the identity provider.
///
/// # Errors
/// [`Refused`].
pub async fn sign_in(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<OidcLoginResponse>, Refused> {
    let provider = provider(&app)?;
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let asked: OidcLoginRequest =
        serde_json::from_slice(&body).map_err(|_| bad("The body is not a sign-in request."))?;
    let now = clock::now();
    if let Some(s) = app.throttle.wait_s(COUNTED, &asked.device, now) {
        return Err(Refused::throttled(s));
    }
    let (device, ward) = proven_device(&app, &asked.device, asked.at_ms, &asked.signature, |_| {
        asked.message()
    })
    .await?;
    if app.lanes.pressure.level() >= Level::SignIn && !app.lanes.critical.contains(&ward) {
        app.metrics.count("vitrine_shed_total", Class::SignIn.label(), 1);
        return Err(Refused::busy(lanes::shed(2, 5).retry_after_s));
    }
    let given = Given {
        code: &asked.code,
        verifier: &asked.verifier,
        redirect_uri: &asked.redirect_uri,
        nonce: &asked.nonce,
    };
    let admitted = if is_loopback(&asked.redirect_uri) {
        admit(&app, provider, given).await
    } else {
        Err(Fault::Redirect.into())
    };
    let (account, vouched) = match admitted {
        Ok(admitted) => admitted,
        Err(NotIn::Store(e)) => return Err(e.into()),
        Err(NotIn::Fault(fault, who)) => {
            let actor = who.map_or_else(|| Actor::Device(device.clone()), Actor::User);
            app.store
                .append(sign_in_row(
                    actor,
                    Some(device),
                    Kind::SignIn,
                    fault.rule(),
                    false,
                ))
                .await?;
            // That nobody answers says nothing about whoever asks.
            let wait = match fault {
                Fault::Away => None,
                _ => app.throttle.wrong(COUNTED, &asked.device, now),
            };
            return Err(wait.map_or_else(|| fault.into(), Refused::throttled));
        }
    };
    app.throttle.right(COUNTED, &asked.device);
    app.store
        .append(let_in(&account, Some(device.clone()), &vouched))
        .await?;
    sessions::vouch(&app, &account, vouched.of.clone()).await?;
    let (token, expires_in_s) = sessions::open_by_provider(&app, &account, device, vouched.of).await?;
    let login = LoginResponse {
        token,
        expires_in_s,
        display: account.display,
        role: account.role.name().to_owned(),
        wards: account.wards.iter().map(ToString::to_string).collect(),
        server_time_ms: clock::now().0,
    };
    Ok(Json(OidcLoginResponse {
        user: account.user.as_str().to_owned(),
        login,
    }))
}

/// The provider says that sessions are over (OpenID Connect Back-Channel Logout 1.0 §2.5). Each ended session has its row;
/// what is open of it closes within a second. 200 also when there was none: the provider knows no more than we say.
pub async fn logged_out(State(app): State<Arc<App>>, body: Bytes) -> Response {
    match end(&app, &body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Ended::Refused(refused)) => refused.into_response(),
        Err(Ended::Token(fault)) => {
            let status = match fault {
                Fault::Away => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            let body = serde_json::json!({"error": "invalid_request", "error_description": fault.rule()});
            (status, Json(body)).into_response()
        }
    }
}

enum Ended {
    Refused(Refused),
    Token(Fault),
}
impl From<StoreError> for Ended {
    fn from(e: StoreError) -> Self {
        Self::Refused(e.into())
    }
}

async fn end(app: &App, body: &[u8]) -> Result<(), Ended> {
    let provider = provider(app).map_err(Ended::Refused)?;
    let form = Query::parse(std::str::from_utf8(body).unwrap_or_default());
    let mut tokens = form.0.iter().filter(|(name, _)| name == "logout_token");
    let proven = match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => provider.logged_out(token).await,
        _ => Err(Fault::Form),
    };
    let now = clock::now();
    let (ends, used) = match proven {
        Ok(proven) => proven,
        Err(fault) => return Err(not_ended(app, fault).await?),
    };
    if !app.store.once(used, now, ends.until).await? {
        return Err(not_ended(app, Fault::Replay).await?);
    }
    // The token counts as used already: where the store fails now, a person has to end them.
    let ended = app.store.end_provider_sessions(&ends.end).await.inspect_err(|e| {
        app.metrics.alarm();
        tracing::error!(error = %e, "sessions were to end by the identity provider's word, and are still there: disable the account");
    })?;
    for session in ended {
        if sessions::is_vouched(&session) {
            continue;
        }
        app.session_ended(&session.hash);
        if let Ok(user) = UserId::new(session.holder) {
            // Whoever left the provider has left: nothing is unlocked by its word any more.
            sessions::vouched_no_more(app, &user).await?;
            let actor = Actor::User(user);
            app.store
                .append(sign_in_row(
                    actor,
                    session.device,
                    Kind::SignOut,
                    "oidc-logout",
                    true,
                ))
                .await?;
        }
    }
    Ok(())
}

/// Writes a refused logout token down. Anybody may send one: after a few, some are counted in the metrics alone.
async fn not_ended(app: &App, fault: Fault) -> Result<Ended, StoreError> {
    let now = clock::now();
    app.metrics.count("vitrine_logout_tokens_refused_total", "", 1);
    if app.throttle.wait_s(LOGOUT, LOGOUT, now).is_none() {
        app.throttle.wrong(LOGOUT, LOGOUT, now);
        let actor = Actor::Client(COUNTED.to_owned());
        app.store
            .append(sign_in_row(actor, None, Kind::SignOut, fault.rule(), false))
            .await?;
    }
    Ok(Ended::Token(fault))
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn a_workstation_listens_at_the_loopback_address_itself() {
        for (address, fits) in [
            ("http://127.0.0.1:49152/callback", true),
            ("http://[::1]:1/", true),
            ("http://localhost:49152/callback", false),
            ("https://127.0.0.1:49152/callback", false),
            ("http://127.0.0.1/callback", false),
            ("http://127.0.0.1:0/callback", false),
            ("http://127.0.0.1:080/callback", false),
            ("http://127.0.0.1:99999/callback", false),
            ("http://127.0.0.1:8@evil.example/", false),
            ("http://127.0.0.1:8/?a=b", false),
            ("http://127.0.0.1:8/#a", false),
            ("http://127.0.0.1:8", false),
            ("http://127.0.0.1.evil.example:8/", false),
            ("http://10.0.0.1:8/callback", false),
        ] {
            assert_eq!(is_loopback(address), fits, "{address}");
        }
    }
}
