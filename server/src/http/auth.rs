//! `POST /auth/login`, `POST /auth/way`, `POST /auth/logout`.
//!
//! Lives here: proving a person's secret and opening a session, each with its audit row. Never here: what they may do
//! then; programs (`oauth`). Called by the router.

use super::bearer::Signed;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use crate::identity::{demo, devices, secrets, sessions};
use crate::keys::unhex;
use crate::lanes::pressure::Level;
use crate::lanes::{self, Class};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::policy::Subject;
use vitrine_access::ways::{self, Because, Found, Reach, TakeProvider, Way};
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Kind, Purpose};
use vitrine_clinical::{DeviceId, UserId, WardId};
use vitrine_store::{Account, DeviceState, StoreError};
use vitrine_wire::ErrorCode;
use vitrine_wire::http::{LoginRequest, LoginResponse, WayAnswer, WayRequest};

/// The row of a sign-in, sign-out or enrolment: acts before the policy, which have no permit.
pub(crate) fn sign_in_row(
    actor: Actor,
    device: Option<DeviceId>,
    action: Kind,
    rule: &str,
    ok: bool,
) -> AuditEntry {
    AuditEntry {
        access_id: clock::new_access(),
        at: clock::now(),
        actor,
        device,
        action: action.name().to_owned(),
        purpose: Purpose::Operations,
        decision: if ok { Decision::Permit } else { Decision::Deny },
        rule: rule.to_owned(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: BTreeMap::new(),
    }
}

/// A person signs in at an enrolled workstation, with password or PIN.
///
/// # Errors
/// [`Refused`].
pub async fn login(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<LoginResponse>, Refused> {
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let asked: LoginRequest =
        serde_json::from_slice(&body).map_err(|_| bad("The body is not a sign-in request."))?;
    let now = clock::now();
    if let Some(s) = app.throttle.wait_s(&asked.user, &asked.device, now) {
        return Err(Refused::throttled(s));
    }
    let (device, ward) = proven_device(&app, &asked.device, asked.at_ms, &asked.signature, |device| {
        devices::login_message(&asked.user, device, asked.at_ms)
    })
    .await?;
    if app.lanes.pressure.level() >= Level::SignIn && !app.lanes.critical.contains(&ward) {
        app.metrics.count("vitrine_shed_total", Class::SignIn.label(), 1);
        return Err(Refused::busy(lanes::shed(2, 5).retry_after_s));
    }
    let user = UserId::new(asked.user.clone()).ok();
    let account = match &user {
        Some(u) => app.store.account(u).await?,
        None => None,
    };
    if account.as_ref().is_some_and(|a| !a.role.signs_in()) {
        let actor = user.map_or_else(|| Actor::Device(device.clone()), Actor::User);
        let row = sign_in_row(actor, Some(device), Kind::SignIn, "emergency-account", false);
        app.store.append(row).await?;
        let text = "An emergency account signs nobody in: it opens emergency access alone, at a workstation.";
        return Err(Refused::new(StatusCode::FORBIDDEN, ErrorCode::Disabled, text));
    }
    // Before the secret is looked at: who is to take the provider learns nothing of a PIN here, and nothing is counted.
    let found = found(&app, account.as_ref()).await?;
    let because = match ways::decide(Way::Pin, found) {
        Ok(because) => because,
        Err(TakeProvider) => {
            let actor = user.map_or_else(|| Actor::Device(device.clone()), Actor::User);
            let row = sign_in_row(actor, Some(device), Kind::SignIn, ways::REFUSED, false);
            app.store.append(row).await?;
            return Err(Refused::use_provider(&app.config.oidc.shown()));
        }
    };
    let theirs = |badge: &String| account.as_ref().is_some_and(|a| a.badges.contains(badge));
    if asked.badge.as_ref().is_some_and(|badge| !theirs(badge)) {
        let actor = user.map_or_else(|| Actor::Device(device.clone()), Actor::User);
        let row = sign_in_row(actor, Some(device), Kind::SignIn, "unknown-badge", false);
        app.store.append(row).await?;
        let text = "This badge is nobody's here any more: sign in by name, and ask clinical IT.";
        return Err(Refused::new(StatusCode::FORBIDDEN, ErrorCode::UnknownBadge, text));
    }
    let mut rule = check_secret(&app, account.as_ref(), &asked.secret, true).await?;
    if rule.is_some() && !app.dir.is_demo() && demo::is_published(&asked.user, &asked.secret) {
        tracing::warn!("a credential of the demonstration was used outside it and refused");
        rule = None;
    }
    let (Some(rule), Some(account)) = (rule, account) else {
        let wait = app.throttle.wrong(&asked.user, &asked.device, now);
        let actor = user.map_or_else(|| Actor::Device(device.clone()), Actor::User);
        app.store
            .append(sign_in_row(
                actor,
                Some(device),
                Kind::SignIn,
                "wrong-secret",
                false,
            ))
            .await?;
        return Err(wait.map_or_else(Refused::wrong_secret, Refused::throttled));
    };
    app.throttle.right(&asked.user, &asked.device);
    if account.disabled {
        let row = sign_in_row(
            Actor::User(account.user),
            Some(device),
            Kind::SignIn,
            "account-disabled",
            false,
        );
        app.store.append(row).await?;
        let text = "This account is disabled: ask clinical IT.";
        return Err(Refused::new(StatusCode::FORBIDDEN, ErrorCode::Disabled, text));
    }
    let mut row = sign_in_row(
        Actor::User(account.user.clone()),
        Some(device.clone()),
        Kind::SignIn,
        rule,
        true,
    );
    let way = match (rule, &asked.badge) {
        ("pin", Some(_)) => Way::BadgePin,
        ("pin", None) => Way::Pin,
        _ => Way::Password,
    };
    row.notes.insert("way".to_owned(), way.code().to_owned());
    if because != Because::Free {
        row.notes.insert("because".to_owned(), because.code().to_owned());
    }
    app.store.append(row).await?;
    let (token, expires_in_s) = sessions::open_for_user(&app, &account.user, Some(device)).await?;
    Ok(Json(LoginResponse {
        token,
        expires_in_s,
        display: account.display,
        role: account.role.name().to_owned(),
        wards: account.wards.iter().map(ToString::to_string).collect(),
        server_time_ms: clock::now().0,
    }))
}

/// What a sign-in by less than the provider finds here now; `account`: of the person, where there is one.
async fn found(app: &App, account: Option<&Account>) -> Result<Found, StoreError> {
    let Some(provider) = app.oidc.as_ref().filter(|_| app.config.oidc.require) else {
        return Ok(Found {
            required: false,
            reach: Reach::Down,
            vouched: false,
        });
    };
    let vouched = match account {
        Some(account) => sessions::vouched(app, account).await?,
        None => false,
    };
    let up = provider.answers().await;
    Ok(Found {
        required: true,
        reach: if up { Reach::Up } else { Reach::Down },
        vouched,
    })
}

/// Whether a person may sign in at an enrolled workstation by less than the provider now.
///
/// # Errors
/// [`Refused`].
pub async fn way(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<WayAnswer>, Refused> {
    let bad = |text: &str| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text);
    let asked: WayRequest =
        serde_json::from_slice(&body).map_err(|_| bad("The body is not a question about a sign-in."))?;
    proven_device(&app, &asked.device, asked.at_ms, &asked.signature, |_| {
        asked.message()
    })
    .await?;
    let account = match UserId::new(asked.user.clone()) {
        Ok(user) => app.store.account(&user).await?,
        Err(_) => None,
    };
    let found = found(&app, account.as_ref()).await?;
    Ok(Json(WayAnswer {
        required: found.required,
        provider_answers: found.reach == Reach::Up,
        vouched: found.vouched,
    }))
}

/// The workstation that signed a sign-in, and its ward: enrolled, not revoked, with a clock that is near, by its signature
/// over `message`.
///
/// # Errors
/// [`Refused`], each with its own code.
pub(super) async fn proven_device(
    app: &App,
    device: &str,
    at_ms: i64,
    signature: &str,
    message: impl FnOnce(&DeviceId) -> Vec<u8>,
) -> Result<(DeviceId, WardId), Refused> {
    let unknown = || {
        let text = "This workstation is not enrolled here.";
        Refused::new(StatusCode::UNAUTHORIZED, ErrorCode::NotEnrolled, text)
    };
    let device = DeviceId::new(device.to_owned()).map_err(|_| unknown())?;
    let row = app.store.device(&device).await?.ok_or_else(unknown)?;
    if row.state == DeviceState::Revoked {
        let text = "This workstation was revoked.";
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            ErrorCode::DeviceRevoked,
            text,
        ));
    }
    let signature = unhex(signature).unwrap_or_default();
    if !devices::signed_by(&row.public_key, &message(&device), &signature) {
        return Err(unknown());
    }
    if !devices::clock_is_near(at_ms, clock::now()) {
        let text = "The workstation's clock is more than ten minutes off: set it, then sign in.";
        return Err(Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text));
    }
    Ok((device, row.ward))
}

/// Which of the account's secrets this is: `pin` (where `pins` count), `password`, or none. An unknown account costs as
/// much time as a known one.
pub(super) async fn check_secret(
    app: &App,
    account: Option<&Account>,
    secret: &str,
    pins: bool,
) -> Result<Option<&'static str>, Refused> {
    let busy = || {
        let text = "The server is busy: try again in a second.";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Overloaded, text)
    };
    let _leave = tokio::time::timeout(std::time::Duration::from_secs(10), app.sign_ins.acquire())
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())?;
    let digits = pins && !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_digit());
    let (rule, phc) = match account {
        Some(a) => match &a.pin_phc {
            Some(pin) if digits => ("pin", pin.clone()),
            _ => ("password", a.password_phc.clone()),
        },
        None => ("password", String::new()),
    };
    let secret = zeroize::Zeroizing::new(secret.to_owned());
    let right = tokio::task::spawn_blocking(move || {
        if phc.is_empty() {
            let cost = if digits { secrets::PIN } else { secrets::PASSWORD };
            let _ = secrets::phc(&secret, cost);
            return false;
        }
        secrets::matches(&secret, &phc)
    })
    .await
    .map_err(|_| busy())?;
    Ok(right.then_some(rule))
}

/// Ends the session of the token; its open records on workstations close within a second.
///
/// # Errors
/// [`Refused`].
pub async fn logout(State(app): State<Arc<App>>, Signed(caller): Signed) -> Result<StatusCode, Refused> {
    app.store.end_session(&caller.session).await?;
    app.session_ended(&caller.session);
    let through = match &caller.subject {
        Subject::App { user, .. } => Some(user),
        _ => caller.user(),
    };
    if let Some(user) = through {
        let row = sign_in_row(
            Actor::User(user.clone()),
            caller.device.clone(),
            Kind::SignOut,
            "own-session",
            true,
        );
        app.store.append(row).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
