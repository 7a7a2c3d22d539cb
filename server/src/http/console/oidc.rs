//! Signing in at the console by the hospital's identity provider.
//!
//! Lives here: whether there is one, sending the browser there, taking it back, the short-lived cookie between the two. Never
//! here: the session itself (`identity::sessions`), tokens (`identity::oidc`). Called by the router.
//!
//! The cookie is `SameSite=Lax`, because the browser comes back from another site; it opens nothing, and what it belongs to
//! is taken once. Whoever comes back with a state that is not its own is refused before anything is asked.

use super::No;
use super::door::{self, one_cookie};
use super::session::{row, set, signed_out_before};
use crate::app::App;
use crate::clock;
use crate::http::fhir::Query;
use crate::http::oidc::{self, NotIn};
use crate::http::refusal::Refused;
use crate::identity::oidc::flows::{FLOW_MS, Flow};
use crate::identity::oidc::{Fault, Given, Provider};
use crate::identity::secrets::same;
use crate::identity::sessions;
use crate::lanes::pressure::Level;
use crate::lanes::{self, Class};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::{Actor, Kind};
use vitrine_wire::console::ConsoleWays;

/// Name of the cookie between going and coming back.
pub const COOKIE: &str = "__Host-vitrine-oidc";
/// Where the browser comes back, under `listen.public_url`.
const BACK: &str = "/console/oidc/callback";

/// The provider, and where it sends the browser back: only under a name that the configuration gives.
fn here(app: &App) -> Option<(&Provider, String)> {
    let base = app.config.listen.public_url.trim_end_matches('/');
    let provider = app.oidc.as_ref()?;
    (!base.is_empty()).then(|| (provider, format!("{base}{BACK}")))
}

/// How somebody can sign in here.
pub async fn ways(State(app): State<Arc<App>>) -> Json<ConsoleWays> {
    Json(ConsoleWays {
        provider: here(&app).is_some(),
    })
}

/// Sends the browser to the provider.
///
/// # Errors
/// [`No`].
pub async fn start(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, No> {
    door::fetched_here(&headers)?;
    let none = || No::not_found("No identity provider is configured for the console.");
    let (provider, back) = here(&app).ok_or_else(none)?;
    if app.lanes.pressure.level() >= Level::SignIn {
        app.metrics.count("vitrine_shed_total", Class::SignIn.label(), 1);
        return Err(Refused::busy(lanes::shed(2, 5).retry_after_s).into());
    }
    let flow = Flow::new();
    let to = provider.begin(&back, &flow).await.map_err(Refused::from)?;
    let cookie = provider.flows.keep(flow, clock::now());
    let to = HeaderValue::try_from(to).map_err(|_| Refused::from(Fault::Answer))?;
    let cookie = between(&cookie, FLOW_MS / 1000)?;
    let answer = (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, to), (header::SET_COOKIE, cookie)],
    );
    Ok(answer.into_response())
}

fn between(value: &str, seconds: i64) -> Result<HeaderValue, No> {
    let cookie = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    HeaderValue::try_from(cookie).map_err(|_| No::bad("The cookie cannot be made."))
}

/// Takes the browser back: to the console's page, signed in, or with a sentence why not.
///
/// # Errors
/// [`No`] of the store.
pub async fn back(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Result<Response, No> {
    let none = || No::not_found("No identity provider is configured for the console.");
    let (provider, here) = here(&app).ok_or_else(none)?;
    let cookie = one_cookie(&headers, COOKIE);
    let flow = cookie.and_then(|c| provider.flows.take(&c, clock::now()));
    let admitted = match flow
        .ok_or(Fault::State)
        .and_then(|f| code(&f, &uri, &provider.config().issuer).map(|c| (f, c)))
    {
        Err(fault) => Err(NotIn::from(fault)),
        Ok((flow, code)) => {
            let given = Given {
                code: &code,
                verifier: &flow.verifier,
                redirect_uri: &here,
                nonce: &flow.nonce,
            };
            oidc::admit(&app, provider, given).await
        }
    };
    let (account, vouched) = match admitted {
        Ok(admitted) => admitted,
        Err(NotIn::Store(e)) => return Err(e.into()),
        Err(NotIn::Fault(fault, who)) => {
            // A state that nobody began has no row: anybody can send one, and nothing was asked for it.
            if fault != Fault::State {
                let actor = who.map_or_else(|| Actor::Client("console".to_owned()), Actor::User);
                app.store
                    .append(row(actor, Kind::SignIn, fault.rule(), false))
                    .await?;
            }
            return refused(fault);
        }
    };
    signed_out_before(&app, &headers).await?;
    let mut entry = oidc::let_in(&account, None, &vouched);
    entry.notes.insert("door".to_owned(), "console".to_owned());
    app.store.append(entry).await?;
    let token = sessions::open_for_console(&app, &account, "provider", Some(vouched.of)).await?;
    let mut answer = StatusCode::SEE_OTHER.into_response();
    let out = answer.headers_mut();
    out.insert(header::LOCATION, HeaderValue::from_static("/console/"));
    out.append(header::SET_COOKIE, set(&token, "")?);
    out.append(header::SET_COOKIE, between("", 0)?);
    Ok(answer)
}

/// The code of an answer that belongs to a sign-in: exactly one code, exactly its state (RFC 9207: and, where it is named,
/// the issuer).
fn code(flow: &Flow, uri: &Uri, issuer: &str) -> Result<String, Fault> {
    let query = Query::parse(uri.query().unwrap_or_default());
    let one = |name: &str| {
        let mut all = query.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        (all.next(), all.next().is_some())
    };
    let (Some(state), false) = one("state") else {
        return Err(Fault::State);
    };
    if !same(state.as_bytes(), flow.state.as_bytes()) {
        return Err(Fault::State);
    }
    match one("iss") {
        (None, _) => {}
        (Some(iss), false) if iss == issuer => {}
        _ => return Err(Fault::Issuer),
    }
    match (one("code"), one("error")) {
        ((Some(code), false), (None, _)) => Ok(code.to_owned()),
        _ => Err(Fault::Code),
    }
}

fn refused(fault: Fault) -> Result<Response, No> {
    let status = Refused::from(fault).status;
    let text = format!(
        "{}\n\nReason: {}. Go back to /console/ to try again.\n",
        fault.text(),
        fault.rule()
    );
    let mut answer = (status, text).into_response();
    answer.headers_mut().append(header::SET_COOKIE, between("", 0)?);
    Ok(answer)
}
