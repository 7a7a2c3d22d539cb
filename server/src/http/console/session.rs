//! Signing in at the console, and out.
//!
//! Lives here: the four routes, their audit rows, the cookies' headers. Never here: keeping sessions (`identity::sessions`),
//! reading the cookie (`door`). Called by the router.

use super::door::{self, OwnPage, Reader};
use super::{NOT_SIGNED_IN, No, body};
use crate::app::App;
use crate::clock;
use crate::config::TotpUse;
use crate::http::auth::{check_secret, sign_in_row};
use crate::http::refusal::Refused;
use crate::identity::second_factor::{PROOF_MOST, PROOF_MS, Passed};
use crate::identity::sessions::BY_PASSWORD;
use crate::identity::{demo, second_factor, sessions};
use crate::lanes::pressure::Level;
use crate::lanes::{self, Class};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::action::{
    ImportData, ManageDevices, ManageUsers, OperateServer, ReadAudit, ReviewBreakGlass,
};
use vitrine_access::{Actor, AuditEntry, Kind};
use vitrine_clinical::UserId;
use vitrine_wire::console::{ConsoleMay, ConsoleSecondStep, ConsoleSession, ConsoleSignIn, ConsoleTotp};

/// Where wrong secrets are counted that were given here.
const HERE: &str = "console";

pub(super) fn row(actor: Actor, action: Kind, rule: &str, ok: bool) -> AuditEntry {
    let mut row = sign_in_row(actor, None, action, rule, ok);
    row.notes.insert("door".to_owned(), "console".to_owned());
    row
}

/// Name of the cookie between the password and the code (`second_factor::proof`). It opens nothing by itself.
const PROOF: &str = "__Host-vitrine-code";

/// Where somebody is after their password.
pub(in crate::http) enum After {
    /// They are in, with the token of their session.
    In(String),
    /// Their code is asked for; the browser keeps this cookie meanwhile.
    Code(HeaderValue),
}

/// Signs a person in with their password. A PIN is for workstations, which prove themselves by a key of their own. Whoever has
/// a second factor is asked for its code: `code-needed`, and [`code`].
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
    match by_password(&app, &headers, &asked.user, &asked.secret).await? {
        After::In(token) => signed_in(&app, &token).await,
        After::Code(cookie) => {
            let no = No::new(StatusCode::UNAUTHORIZED, "code-needed", CODE_NEEDED);
            Ok(([(header::SET_COOKIE, cookie)], no).into_response())
        }
    }
}

/// What whoever has a second factor is asked for.
pub(in crate::http) const CODE_NEEDED: &str =
    "Type the code that your authenticator shows, or one of your recovery codes.";

/// Signs a person in by the code of their second factor, whose password was right within five minutes in this browser.
///
/// # Errors
/// [`No`].
pub async fn code(
    State(app): State<Arc<App>>,
    _: OwnPage,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, No> {
    let asked: ConsoleSecondStep = body(&bytes)?;
    let token = by_code(&app, &headers, &asked.code).await?;
    let mut answer = signed_in(&app, &token).await?;
    answer.headers_mut().append(header::SET_COOKIE, proof_gone());
    Ok(answer)
}

async fn signed_in(app: &App, token: &str) -> Result<Response, No> {
    let session = begun(app, token).await?;
    Ok(([(header::SET_COOKIE, set(token, "")?)], Json(session)).into_response())
}

/// The session of a token that was just made.
pub(super) async fn begun(app: &App, token: &str) -> Result<ConsoleSession, No> {
    let at = sessions::at_console(app, token)
        .await?
        .ok_or_else(No::not_signed_in)?;
    let csrf = door::csrf_of(token);
    about(app, &Reader { at, csrf }).await
}

/// Lets somebody in by name and password, or as far as the code of their second factor, with everything that belongs to it:
/// counting wrong ones, the rows, the end of the session that the browser had.
///
/// # Errors
/// [`No`].
pub(in crate::http) async fn by_password(
    app: &App,
    headers: &HeaderMap,
    user: &str,
    secret: &str,
) -> Result<After, No> {
    let name = user.trim().to_lowercase();
    let user = UserId::new(name.clone()).ok();
    // What is no name at all is counted too, all of it in one place: its text may be anything.
    let counted = user.as_ref().map_or("", UserId::as_str).to_owned();
    may_try(app, &counted)?;
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
        let actor = user.map_or_else(|| Actor::Client(HERE.to_owned()), Actor::User);
        let wait = wrong(app, &counted, row(actor, Kind::SignIn, "wrong-secret", false)).await?;
        return Err(wait.map_or_else(Refused::wrong_secret, Refused::throttled).into());
    };
    if account.disabled {
        app.throttle.right(&counted, HERE);
        let actor = Actor::User(account.user);
        app.store
            .append(row(actor, Kind::SignIn, "account-disabled", false))
            .await?;
        let text = "This account is disabled: ask clinical IT.";
        return Err(No::new(StatusCode::FORBIDDEN, "disabled", text));
    }
    if second_factor::of(&*app.store, &account.user).await?.is_some() {
        // Nothing is forgotten of the wrong tries before: who knows the password alone does not get more of them so.
        let proof = second_factor::proof(&app.keys, &account, clock::now());
        let cookie = proof.and_then(|p| between(&p, PROOF_MS / 1000));
        return cookie.map(After::Code).ok_or_else(cannot_be_made);
    }
    app.throttle.right(&counted, HERE);
    if second_factor::must_have(app.config.sessions.totp, &account) {
        let actor = Actor::User(account.user.clone());
        app.store
            .append(row(actor, Kind::SignIn, "second-factor-needed", false))
            .await?;
        let text = format!(
            "Your role signs in here with a second factor, and you have none yet: ask clinical IT to run 'vitrine-server totp enrol {}' with you.",
            account.user
        );
        return Err(No::new(StatusCode::FORBIDDEN, "second-factor-needed", text));
    }
    signed_out_before(app, headers).await?;
    let actor = Actor::User(account.user.clone());
    app.store.append(row(actor, Kind::SignIn, rule, true)).await?;
    let token = sessions::open_for_console(app, &account, BY_PASSWORD, None).await?;
    Ok(After::In(token))
}

/// Lets somebody in by the code of their second factor, after [`by_password`] in the same browser.
///
/// # Errors
/// [`No`].
pub(in crate::http) async fn by_code(app: &App, headers: &HeaderMap, given: &str) -> Result<String, No> {
    let anew = || {
        let text =
            "The password was too long ago, or the account was changed since: begin with name and password.";
        No::new(StatusCode::UNAUTHORIZED, NOT_SIGNED_IN, text)
    };
    let proof = door::hex_cookie(headers, PROOF, 2..=PROOF_MOST).ok_or_else(anew)?;
    let (user, version) = second_factor::proven(&app.keys, &proof, clock::now()).ok_or_else(anew)?;
    may_try(app, user.as_str())?;
    let account = app.store.account(&user).await?;
    let account = account
        .filter(|a| !a.disabled && a.version == version)
        .ok_or_else(anew)?;
    let kept = second_factor::of(&*app.store, &user).await?.ok_or_else(anew)?;
    let actor = Actor::User(user.clone());
    let Some(passed) = second_factor::check(&*app.store, &app.keys, &kept, given).await? else {
        let wait = wrong(app, user.as_str(), row(actor, Kind::SignIn, "wrong-code", false)).await?;
        let text = "The code is not right, or was used already: wait for the next one.";
        let no = || No::new(StatusCode::UNAUTHORIZED, "wrong-secret", text);
        return Err(wait.map_or_else(no, |s| Refused::throttled(s).into()));
    };
    app.throttle.right(user.as_str(), HERE);
    signed_out_before(app, headers).await?;
    let mut entry = row(actor, Kind::SignIn, "password", true);
    entry.notes.insert("amr".to_owned(), passed.label().to_owned());
    if let Passed::Recovery { left } = passed {
        entry.notes.insert("recovery-left".to_owned(), left.to_string());
    }
    app.store.append(entry).await?;
    Ok(sessions::open_for_console(app, &account, passed.label(), None).await?)
}

/// Whether a secret of this account may be tried here now.
fn may_try(app: &App, counted: &str) -> Result<(), No> {
    if let Some(s) = app.throttle.wait_s(counted, HERE, clock::now()) {
        return Err(Refused::throttled(s).into());
    }
    if app.lanes.pressure.level() >= Level::SignIn {
        app.metrics.count("vitrine_shed_total", Class::SignIn.label(), 1);
        return Err(Refused::busy(lanes::shed(2, 5).retry_after_s).into());
    }
    Ok(())
}

/// Counts a wrong secret and writes it down; gives the seconds to wait from now on.
async fn wrong(app: &App, counted: &str, row: AuditEntry) -> Result<Option<u32>, No> {
    let wait = app.throttle.wrong(counted, HERE, clock::now());
    app.store.append(row).await?;
    Ok(wait)
}

fn between(value: &str, seconds: i64) -> Option<HeaderValue> {
    let cookie = format!("{PROOF}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    HeaderValue::try_from(cookie).ok()
}

/// Takes the cookie between password and code away.
pub(in crate::http) fn proof_gone() -> HeaderValue {
    between("", 0).unwrap_or_else(|| HeaderValue::from_static(""))
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
    HeaderValue::try_from(cookie).map_err(|_| cannot_be_made())
}

fn cannot_be_made() -> No {
    No::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The cookie cannot be made.",
    )
}

async fn about(app: &App, reader: &Reader) -> Result<ConsoleSession, No> {
    let account = &reader.at.account;
    let audit = reader.may::<ReadAudit>(app).await?;
    let people = reader.may::<ManageUsers>(app).await?;
    let texts = reader.may::<ImportData>(app).await?;
    let kept = second_factor::of(&*app.store, &account.user).await?;
    let left = kept.as_ref().map_or(0, |t| t.codes.len());
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
            messages: texts || reader.may::<OperateServer>(app).await?,
            message_texts: texts,
        },
        by: reader.at.by.clone(),
        totp: ConsoleTotp {
            on: kept.is_some(),
            offered: kept.is_none() && app.config.sessions.totp != TotpUse::Off,
            recovery: u8::try_from(left).unwrap_or(u8::MAX),
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
