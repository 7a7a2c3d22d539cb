//! Sessions: opaque 256-bit tokens of which only the hash is kept.
//!
//! Lives here: making, finding, prolonging and ending sessions; who a token speaks for. Never here: HTTP headers, what
//! the holder may do. Called by `http` and `ws`.
//! A person's session ends after 15 minutes without use and after 12 hours in any case; a disabled account and a
//! revoked workstation end it at the next look; one that rests on the identity provider's word ends with any change of the
//! account, and when the provider says so. One of the web console ends after 8 hours, and with any change of its
//! account; its token opens nothing else, and no other token opens the console: what is kept of it is another hash, and
//! its row says what it is for.

use super::{apps, second_factor};
use crate::app::App;
use crate::clock;
use crate::keys::hex;
use sha2::{Digest as _, Sha256};
use vitrine_access::Purpose;
use vitrine_access::policy::Subject;
use vitrine_clinical::{DeviceId, UserId, UtcMs, WardId};
use vitrine_store::identities::ProviderSession;
use vitrine_store::{Account, DeviceState, SessionRow, StoreError};

/// The longest text that is looked up as a token, bytes.
pub(super) const TOKEN_MOST: usize = 256;
/// A session is written anew at most so often while it is used, ms.
const TOUCH_MS: i64 = 60_000;
/// A session of the console ends after so long in any case, ms (8 h), or earlier where `sessions.longest_hours` says so.
const CONSOLE_MS: i64 = 8 * 3_600_000;
/// The first scope of the row of a session of the console; the second is the version of its account, the third what the session
/// rests on ([`AtConsole::by`]).
const CONSOLE: &str = "console";
/// What a session rests on that a password alone opened, after the methods of RFC 8176.
pub const BY_PASSWORD: &str = "pwd";
/// The first scope of the row that says that the provider vouched for somebody; the second is the version of their account. It
/// is no session: no token opens it.
const VOUCHED: &str = "vouched";

/// Who asks, as far as has been proven.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For the policy.
    pub subject: Subject,
    /// The workstation the session is bound to.
    pub device: Option<DeviceId>,
    /// The ward that workstation stands in.
    pub ward: Option<WardId>,
    /// Hash of the session's token.
    pub session: [u8; 32],
    /// When the session ends.
    pub until: UtcMs,
    /// Why the request is made, where it says so.
    pub purpose: Option<Purpose>,
}

impl Caller {
    /// The person, when it is one.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match &self.subject {
            Subject::User { user, .. } => Some(user),
            _ => None,
        }
    }
}

/// What is kept of a token: SHA-256. Of a token of [`apps`] another one, so that a server that does not know the
/// kind finds nothing under it.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    if token.starts_with(apps::APP_TOKEN) {
        return Sha256::digest([b"vitrine-app\0", token.as_bytes()].concat()).into();
    }
    Sha256::digest(token.as_bytes()).into()
}

/// Opens a session for a person at a workstation; gives the token and the seconds until it ends unused.
///
/// # Errors
/// [`StoreError`].
pub async fn open_for_user(
    app: &App,
    user: &UserId,
    device: Option<DeviceId>,
) -> Result<(String, u32), StoreError> {
    let idle_s = app.config.sessions.idle_minutes * 60;
    let row = |hash, at: UtcMs| SessionRow {
        hash,
        holder: user.as_str().to_owned(),
        client: false,
        device,
        scopes: Vec::new(),
        provider: None,
        at,
        until: at.plus_ms(i64::from(idle_s) * 1000),
    };
    Ok((open(app, row).await?, idle_s))
}

/// Opens a session for a person whom the identity provider vouched for, at a workstation; gives the token and the seconds
/// until it ends unused. It ends with any change of the account, and when the provider says so.
///
/// # Errors
/// [`StoreError`].
pub async fn open_by_provider(
    app: &App,
    account: &Account,
    device: DeviceId,
    provider: ProviderSession,
) -> Result<(String, u32), StoreError> {
    let idle_s = app.config.sessions.idle_minutes * 60;
    let row = |hash, at: UtcMs| SessionRow {
        hash,
        holder: account.user.as_str().to_owned(),
        client: false,
        device: Some(device),
        scopes: vec![account.version.to_string()],
        provider: Some(provider),
        at,
        until: at.plus_ms(i64::from(idle_s) * 1000),
    };
    Ok((open(app, row).await?, idle_s))
}

/// Opens a session for a client; gives the token and the seconds until it ends.
///
/// # Errors
/// [`StoreError`].
pub async fn open_for_client(app: &App, id: &str, scopes: Vec<String>) -> Result<(String, u32), StoreError> {
    let life_s = app.config.sessions.client_minutes * 60;
    let row = |hash, at: UtcMs| SessionRow {
        hash,
        holder: id.to_owned(),
        client: true,
        device: None,
        scopes,
        provider: None,
        at,
        until: at.plus_ms(i64::from(life_s) * 1000),
    };
    Ok((open(app, row).await?, life_s))
}

/// A token of a program that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Hash of the token.
    pub session: [u8; 32],
    /// The program it was given to.
    pub client: String,
    /// The person who signed in through it.
    pub user: Option<String>,
    /// The patient of the launch.
    pub patient: Option<String>,
    /// What it was granted.
    pub scopes: Vec<String>,
    /// Since when.
    pub at: UtcMs,
    /// Until when.
    pub until: UtcMs,
}

/// What a program holds by a token; `None` when it is over, never was, or is a person's session.
///
/// # Errors
/// [`StoreError`].
pub async fn of_program(app: &App, token: &str) -> Result<Option<Held>, StoreError> {
    if token.is_empty() || token.len() > TOKEN_MOST {
        return Ok(None);
    }
    let session = token_hash(token);
    let Some(row) = app.store.session(&session).await? else {
        return Ok(None);
    };
    let held = |row: SessionRow| Held {
        session,
        client: row.holder,
        user: None,
        patient: None,
        scopes: row.scopes,
        at: row.at,
        until: row.until,
    };
    if row.client {
        return Ok(Some(row).filter(|r| r.until > clock::now()).map(held));
    }
    let caller = caller_of(app, session, false).await?;
    Ok(caller.and_then(|c| match c.subject {
        Subject::App {
            id,
            user,
            scopes,
            patient,
            ..
        } => Some(Held {
            client: id,
            user: Some(user.to_string()),
            patient: patient.map(|p| p.to_string()),
            scopes,
            ..held(row)
        }),
        _ => None,
    }))
}

async fn open(app: &App, row: impl FnOnce([u8; 32], UtcMs) -> SessionRow) -> Result<String, StoreError> {
    let token = hex(&clock::random::<32>());
    app.store
        .put_session(row(token_hash(&token), clock::now()))
        .await?;
    Ok(token)
}

/// Who a token speaks for, prolonging a person's session; `None` when it speaks for nobody (any more).
///
/// # Errors
/// [`StoreError`].
pub async fn caller(app: &App, token: &str) -> Result<Option<Caller>, StoreError> {
    if token.is_empty() || token.len() > TOKEN_MOST {
        return Ok(None);
    }
    caller_of(app, token_hash(token), true).await
}

/// The same by the token's hash; `touch` says whether this counts as use.
///
/// # Errors
/// [`StoreError`].
pub async fn caller_of(app: &App, hash: [u8; 32], touch: bool) -> Result<Option<Caller>, StoreError> {
    let found = proven(app, hash, touch).await?;
    match &found {
        Some(caller) => app.known.note(caller, clock::now()),
        None => app.known.forget(&hash),
    }
    Ok(found)
}

async fn proven(app: &App, hash: [u8; 32], touch: bool) -> Result<Option<Caller>, StoreError> {
    let now = clock::now();
    let Some(mut row) = app.store.session(&hash).await? else {
        return Ok(None);
    };
    if row.until <= now {
        app.store.end_session(&hash).await?;
        return Ok(None);
    }
    if is_console(&row) || is_vouched(&row) || apps::opens_nothing(&row) {
        return Ok(None);
    }
    if apps::is_token(&row) {
        return apps::caller(app, hash, &row).await;
    }
    if row.client {
        let subject = Subject::Client {
            id: row.holder,
            scopes: row.scopes,
        };
        return Ok(Some(Caller {
            subject,
            device: None,
            ward: None,
            session: hash,
            until: row.until,
            purpose: None,
        }));
    }
    let Ok(user) = UserId::new(row.holder.clone()) else {
        return Ok(None);
    };
    let Some(account) = app.store.account(&user).await?.filter(|a| !a.disabled) else {
        return Ok(None);
    };
    // What the provider vouched for was this account as it was then.
    if row.provider.is_some()
        && row
            .scopes
            .first()
            .is_none_or(|v| *v != account.version.to_string())
    {
        app.store.end_session(&hash).await?;
        return Ok(None);
    }
    let mut ward = None;
    if let Some(device) = &row.device {
        match app.store.device(device).await? {
            Some(d) if d.state == DeviceState::Active => ward = Some(d.ward),
            _ => return Ok(None),
        }
    }
    if touch {
        let idle_ms = i64::from(app.config.sessions.idle_minutes) * 60_000;
        let cap = row
            .at
            .plus_ms(i64::from(app.config.sessions.longest_hours) * 3_600_000);
        let until = now.plus_ms(idle_ms).min(cap);
        if until.since(row.until) > TOUCH_MS.min(idle_ms / 4) {
            row.until = until;
            app.store.prolong_session(&hash, until).await?;
        }
    }
    let subject = Subject::User {
        user,
        role: account.role,
        wards: account.wards,
    };
    Ok(Some(Caller {
        subject,
        device: row.device,
        ward,
        session: hash,
        until: row.until,
        purpose: None,
    }))
}

/// Under what it is kept that the provider vouched for somebody.
fn vouched_hash(user: &UserId) -> [u8; 32] {
    Sha256::digest([b"vitrine-vouched\0", user.as_str().as_bytes()].concat()).into()
}

/// Whether a row says that the provider vouched for its holder, and opens nothing.
#[must_use]
pub fn is_vouched(row: &SessionRow) -> bool {
    !row.client && row.scopes.first().is_some_and(|s| s == VOUCHED)
}

/// Keeps that the provider vouched for somebody now. It ends after `oidc.unlock_hours`, with any change of the account, and with
/// any word of the provider that ends a session of theirs.
///
/// # Errors
/// [`StoreError`].
pub async fn vouch(app: &App, account: &Account, of: ProviderSession) -> Result<(), StoreError> {
    let at = clock::now();
    let row = SessionRow {
        hash: vouched_hash(&account.user),
        holder: account.user.as_str().to_owned(),
        client: false,
        device: None,
        scopes: vec![VOUCHED.to_owned(), account.version.to_string()],
        // Without the session at the provider: it ends with any of its person's.
        provider: Some(ProviderSession { sid: None, ..of }),
        at,
        until: at.plus_ms(i64::from(app.config.oidc.unlock_hours) * 3_600_000),
    };
    app.store.put_session(row).await
}

/// Whether the provider vouched for this account lately, as it is now.
///
/// # Errors
/// [`StoreError`].
pub async fn vouched(app: &App, account: &Account) -> Result<bool, StoreError> {
    let row = app.store.session(&vouched_hash(&account.user)).await?;
    Ok(row.is_some_and(|r| {
        is_vouched(&r)
            && r.until > clock::now()
            && !account.disabled
            && r.scopes.get(1).is_some_and(|v| *v == account.version.to_string())
    }))
}

/// Forgets that the provider vouched for somebody.
///
/// # Errors
/// [`StoreError`].
pub async fn vouched_no_more(app: &App, user: &UserId) -> Result<(), StoreError> {
    app.store.end_session(&vouched_hash(user)).await
}

fn is_console(row: &SessionRow) -> bool {
    !row.client && row.scopes.first().is_some_and(|s| s == CONSOLE)
}

/// Who is signed in at the console.
#[derive(Debug, Clone)]
pub struct AtConsole {
    /// For the policy; at no workstation.
    pub caller: Caller,
    /// The account.
    pub account: Account,
    /// When the session ends in any case.
    pub ends: UtcMs,
    /// What it rests on, where the provider vouched for the person.
    pub provider: Option<ProviderSession>,
    /// What it rests on: `pwd`, `pwd+otp`, `pwd+recovery`, or `provider`.
    pub by: String,
}

/// What is kept of a token of the console: not the hash of a bearer token of the same text.
#[must_use]
pub fn console_hash(token: &str) -> [u8; 32] {
    Sha256::digest([b"vitrine-console\0", token.as_bytes()].concat()).into()
}

fn console_ms(app: &App) -> i64 {
    CONSOLE_MS.min(i64::from(app.config.sessions.longest_hours) * 3_600_000)
}

/// Seconds after which a session of the console ends unused.
#[must_use]
pub fn console_idle_s(app: &App) -> u32 {
    app.config.sessions.idle_minutes * 60
}

/// Opens a session of the console; gives its token, 32 random bytes as hex. `by`: what it rests on; `provider`: who vouched for
/// the person, where no password was given.
///
/// # Errors
/// [`StoreError`].
pub async fn open_for_console(
    app: &App,
    account: &Account,
    by: &str,
    provider: Option<ProviderSession>,
) -> Result<String, StoreError> {
    let token = hex(&clock::random::<32>());
    let at = clock::now();
    let idle = i64::from(console_idle_s(app)) * 1_000;
    let row = SessionRow {
        hash: console_hash(&token),
        holder: account.user.as_str().to_owned(),
        client: false,
        device: None,
        scopes: vec![CONSOLE.to_owned(), account.version.to_string(), by.to_owned()],
        provider,
        at,
        until: at.plus_ms(idle.min(console_ms(app))),
    };
    app.store.put_session(row).await?;
    Ok(token)
}

/// Who a token of the console speaks for, prolonging the session; `None` when it speaks for nobody (any more): it is over,
/// or the account is not what it was at the sign-in (disabled, another role, another password or second factor).
///
/// # Errors
/// [`StoreError`].
pub async fn at_console(app: &App, token: &str) -> Result<Option<AtConsole>, StoreError> {
    let now = clock::now();
    let hash = console_hash(token);
    let Some(mut row) = app.store.session(&hash).await?.filter(is_console) else {
        return Ok(None);
    };
    let ends = row.at.plus_ms(console_ms(app));
    let account = match UserId::new(row.holder.clone()) {
        Ok(user) => app.store.account(&user).await?,
        Err(_) => None,
    };
    // One of before sessions said what they rest on.
    let by = row.scopes.get(2).map_or(BY_PASSWORD, String::as_str).to_owned();
    let by = if row.provider.is_some() {
        "provider".to_owned()
    } else {
        by
    };
    let same = |a: &Account| !a.disabled && row.scopes.get(1).is_some_and(|v| *v == a.version.to_string());
    // Also one that was opened before the configuration said so.
    let enough = |a: &Account| by != BY_PASSWORD || !second_factor::must_have(app.config.sessions.totp, a);
    let Some(account) = account.filter(|a| row.until > now && ends > now && same(a) && enough(a)) else {
        app.store.end_session(&hash).await?;
        return Ok(None);
    };
    let idle_ms = i64::from(console_idle_s(app)) * 1_000;
    let until = now.plus_ms(idle_ms).min(ends);
    if until.since(row.until) > TOUCH_MS.min(idle_ms / 4) {
        row.until = until;
        app.store.prolong_session(&hash, until).await?;
    }
    let subject = Subject::User {
        user: account.user.clone(),
        role: account.role,
        wards: account.wards.clone(),
    };
    let caller = Caller {
        subject,
        device: None,
        ward: None,
        session: hash,
        until: row.until,
        purpose: None,
    };
    Ok(Some(AtConsole {
        caller,
        account,
        ends,
        provider: row.provider,
        by,
    }))
}
