//! Signing in at the console, and out.
//!
//! Lives here: the three routes, their audit rows, the cookie's header. Never here: keeping sessions (`identity::sessions`),
//! reading the cookie (`door`). Called by the router.

use super::door::{self, OwnPage, Reader};
use super::{No, body};
use crate::app::App;
use crate::clock;
use crate::http::auth::{check_secret, sign_in_row};
use crate::http::refusal::Refused;
use crate::identity::{demo, sessions};
use crate::lanes::pressure::Level;
use crate::lanes::{self, Class};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::action::{ManageDevices, ManageUsers, ReadAudit, ReviewBreakGlass};
use vitrine_access::{Actor, AuditEntry, Kind};
use vitrine_clinical::UserId;
use vitrine_store::Account;
use vitrine_wire::console::{ConsoleMay, ConsoleSession, ConsoleSignIn};

/// Where wrong secrets are counted that were given here.
const HERE: &str = "console";

pub(super) fn row(actor: Actor, action: Kind, rule: &str, ok: bool) -> AuditEntry {
    let mut row = sign_in_row(actor, None, action, rule, ok);
    row.notes.insert("door".to_owned(), "console".to_owned());
    row
}

/// Signs a person in with their password. A PIN is for workstations, which prove themselves by a key of their own.
///
/// # Errors
/// [`No`].
pub async fn sign_in(
    State(app): State<Arc<App>>,
    _: OwnPage,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, No> {
    let asked: ConsoleSignIn = body(&bytes)?;
    let (_, token) = by_password(&app, &headers, &asked.user, &asked.secret).await?;
    let at = sessions::at_console(&app, &token)
        .await?
        .ok_or_else(No::not_signed_in)?;
    let csrf = door::csrf_of(&token);
    let session = about(&app, &Reader { at, csrf }).await?;
    Ok(([(header::SET_COOKIE, set(&token, "")?)], Json(session)).into_response())
}

/// Opens a session of the console for a name and a password, with everything that belongs to it: counting wrong ones, the
/// rows, the end of the session that the browser had. Gives the session's token.
///
/// # Errors
/// [`No`].
pub(in crate::http) async fn by_password(
    app: &App,
    headers: &HeaderMap,
    user: &str,
    secret: &str,
) -> Result<(Account, String), No> {
    let name = user.trim().to_lowercase();
    let user = UserId::new(name.clone()).ok();
    // What is no name at all is counted too, all of it in one place: its text may be anything.
    let counted = user.as_ref().map_or("", UserId::as_str).to_owned();
    let now = clock::now();
    if let Some(s) = app.throttle.wait_s(&counted, HERE, now) {
        return Err(Refused::throttled(s).into());
    }
    if app.lanes.pressure.level() >= Level::SignIn {
        app.metrics.count("vitrine_shed_total", Class::SignIn.label(), 1);
        return Err(Refused::busy(lanes::shed(2, 5).retry_after_s).into());
    }
    let account = match &user {
        Some(u) => app.store.account(u).await?,
        None => None,
    };
    let mut rule = check_secret(app, account.as_ref(), secret, false).await?;
    if rule.is_some() && !app.dir.is_demo() && demo::is_published(&name, secret) {
        tracing::warn!("a credential of the demonstration was used outside it and refused");
        rule = None;
    }
    let (Some(rule), Some(account)) = (rule, account) else {
        let wait = app.throttle.wrong(&counted, HERE, now);
        let actor = user.map_or_else(|| Actor::Client(HERE.to_owned()), Actor::User);
        app.store
            .append(row(actor, Kind::SignIn, "wrong-secret", false))
            .await?;
        return Err(wait.map_or_else(Refused::wrong_secret, Refused::throttled).into());
    };
    app.throttle.right(&counted, HERE);
    let actor = Actor::User(account.user.clone());
    if account.disabled {
        app.store
            .append(row(actor, Kind::SignIn, "account-disabled", false))
            .await?;
        let text = "This account is disabled: ask clinical IT.";
        return Err(No::new(StatusCode::FORBIDDEN, "disabled", text));
    }
    signed_out_before(app, headers).await?;
    app.store.append(row(actor, Kind::SignIn, rule, true)).await?;
    let token = sessions::open_for_console(app, &account, None).await?;
    Ok((account, token))
}

/// Whatever session came with a sign-in ends; a token that somebody brought is never taken on.
pub(super) async fn signed_out_before(app: &App, headers: &HeaderMap) -> Result<(), No> {
    if let Some(token) = door::cookie(headers)
        && let Some(old) = sessions::at_console(app, &token).await?
    {
        app.store.end_session(&old.caller.session).await?;
        let old = Actor::User(old.account.user);
        app.store
            .append(row(old, Kind::SignOut, "new-sign-in", true))
            .await?;
    }
    Ok(())
}

pub(in crate::http) fn set(token: &str, more: &str) -> Result<HeaderValue, No> {
    let cookie = format!(
        "{}={token}; Path=/; Secure; HttpOnly; SameSite=Strict{more}",
        door::COOKIE
    );
    let bad = |_| {
        No::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The cookie cannot be made.",
        )
    };
    HeaderValue::try_from(cookie).map_err(bad)
}

async fn about(app: &App, reader: &Reader) -> Result<ConsoleSession, No> {
    let account = &reader.at.account;
    let audit = reader.may::<ReadAudit>(app).await?;
    let people = reader.may::<ManageUsers>(app).await?;
    Ok(ConsoleSession {
        user: account.user.as_str().to_owned(),
        name: account.display.clone(),
        role: account.role.words().to_owned(),
        csrf: reader.csrf.clone(),
        idle_s: sessions::console_idle_s(app),
        ends_ms: reader.at.ends.0,
        now_ms: clock::now().0,
        may: ConsoleMay {
            reviews: reader.may::<ReviewBreakGlass>(app).await?,
            audit,
            devices: reader.may::<ManageDevices>(app).await?,
            people,
            policy: audit || people,
        },
    })
}

/// Who is signed in.
///
/// # Errors
/// [`No`].
pub async fn session(State(app): State<Arc<App>>, reader: Reader) -> Result<Json<ConsoleSession>, No> {
    Ok(Json(about(&app, &reader).await?))
}

/// Ends the session and takes its cookie away.
///
/// # Errors
/// [`No`].
pub async fn sign_out(State(app): State<Arc<App>>, reader: Reader) -> Result<Response, No> {
    app.store.end_session(&reader.at.caller.session).await?;
    let actor = Actor::User(reader.user().clone());
    app.store
        .append(row(actor, Kind::SignOut, "own-session", true))
        .await?;
    let gone = set("", "; Max-Age=0")?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}
