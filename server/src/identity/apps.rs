//! What a person granted to a program (SMART App Launch): codes, tokens, launch contexts.
//!
//! Lives here: keeping them as rows of sessions, each under a hash of its own kind, and who a token speaks for. Never here:
//! pages and routes (`http::oauth`), what a token may do (the policy). Called by `http::oauth` and `sessions`.

use super::sessions::{Caller, TOKEN_MOST, token_hash};
use crate::app::App;
use crate::clock;
use crate::keys::{hex, unhex};
use sha2::{Digest as _, Sha256};
use vitrine_access::policy::Subject;
use vitrine_access::scopes;
use vitrine_clinical::{PatientId, UserId};
use vitrine_store::identities::ProviderSession;
use vitrine_store::{Account, SessionRow, StoreError};

/// The first scope of the row of a token of a program that a person signed in through; then the version of their account, the
/// program, the patient of the launch (or nothing), and what was granted.
const APP: &str = "app";
/// How the text of such a token begins.
pub(super) const APP_TOKEN: &str = "app-";
/// The first scope of the row of a code for such a token; then as of the token, with `redirect_uri` and challenge before what
/// was granted. A code that was used keeps, in place of all that, the token it was used for.
const CODE: &str = "app-code";
/// A code counts so long, ms.
const CODE_MS: i64 = 60_000;
/// The first scope of the row of a launch context; then as of a token.
const LAUNCH: &str = "app-launch";
/// A launch context counts so long, ms.
const LAUNCH_MS: i64 = 5 * 60_000;

pub(super) fn is_token(row: &SessionRow) -> bool {
    !row.client && row.scopes.first().is_some_and(|s| s == APP)
}

/// Whether a row is of a code or of a launch context: no token opens it.
pub(super) fn opens_nothing(row: &SessionRow) -> bool {
    is_code(row) || is_launch(row)
}

fn is_launch(row: &SessionRow) -> bool {
    !row.client && row.scopes.first().is_some_and(|s| s == LAUNCH)
}

fn is_code(row: &SessionRow) -> bool {
    !row.client && row.scopes.first().is_some_and(|s| s == CODE)
}

/// What a person grants to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppGrant {
    /// `client_id`.
    pub client: String,
    /// The patient of the launch.
    pub patient: Option<PatientId>,
    /// What is granted.
    pub scopes: Vec<String>,
}

/// What a code is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// `redirect_uri`, letter by letter.
    pub redirect: String,
    /// The PKCE challenge (S256).
    pub challenge: String,
}

fn code_hash(code: &str) -> [u8; 32] {
    Sha256::digest([b"vitrine-app-code\0", code.as_bytes()].concat()).into()
}

fn app_scopes(marker: &str, account: &Account, grant: &AppGrant, bound: &[&str]) -> Vec<String> {
    let patient = grant.patient.as_ref().map_or("", PatientId::as_str);
    let version = account.version.to_string();
    let head = [marker, &version, &grant.client, patient];
    let head = head.iter().chain(bound).map(|s| (*s).to_owned());
    head.chain(grant.scopes.iter().cloned()).collect()
}

/// Who and what a row of a program's token, or of its code, is about: the account as it was then (`None` when it is not that
/// any more) and the grant. `skip`: what stands between the two.
async fn app_grant(
    app: &App,
    row: &SessionRow,
    skip: usize,
) -> Result<Option<(Account, AppGrant)>, StoreError> {
    let [_, version, client, patient, rest @ ..] = row.scopes.as_slice() else {
        return Ok(None);
    };
    let Ok(user) = UserId::new(row.holder.clone()) else {
        return Ok(None);
    };
    let account = app.store.account(&user).await?;
    let Some(account) = account.filter(|a| !a.disabled && a.version.to_string() == *version) else {
        return Ok(None);
    };
    let patient = match patient.as_str() {
        "" => None,
        id => match PatientId::new(id) {
            Ok(id) => Some(id),
            Err(_) => return Ok(None),
        },
    };
    let grant = AppGrant {
        client: client.clone(),
        patient,
        scopes: rest.iter().skip(skip).cloned().collect(),
    };
    Ok(Some((account, grant)))
}

/// Keeps a code for a grant; gives its text. It counts once, for a minute.
///
/// # Errors
/// [`StoreError`].
pub async fn code(
    app: &App,
    account: &Account,
    grant: &AppGrant,
    bound: &Bound,
    provider: Option<ProviderSession>,
) -> Result<String, StoreError> {
    let code = hex(&clock::random::<32>());
    let at = clock::now();
    let row = SessionRow {
        hash: code_hash(&code),
        holder: account.user.as_str().to_owned(),
        client: false,
        device: None,
        scopes: app_scopes(CODE, account, grant, &[&bound.redirect, &bound.challenge]),
        provider,
        at,
        until: at.plus_ms(CODE_MS),
    };
    app.store.put_session(row).await?;
    Ok(code)
}

/// What became of a code.
#[derive(Debug)]
pub enum Redeemed {
    /// It was used up for this: whose, what, and the session it rests on. What it is bound to is for the caller to compare.
    Good(Box<(Account, AppGrant, Bound, Option<ProviderSession>)>),
    /// It was used before; the token it was used for is over with that (RFC 6749 §4.1.2), where there was one.
    Again(Option<[u8; 32]>),
    /// There is none, it is over, it is another program's, or the account is not what it was.
    None,
}

/// Uses a code up.
///
/// # Errors
/// [`StoreError`].
pub async fn redeem(app: &App, code: &str, client: &str) -> Result<Redeemed, StoreError> {
    let now = clock::now();
    if code.is_empty() || code.len() > TOKEN_MOST {
        return Ok(Redeemed::None);
    }
    let hash = code_hash(code);
    let row = app.store.session(&hash).await?.filter(is_code);
    let Some(row) = row else {
        return Ok(Redeemed::None);
    };
    if row.scopes.get(2).is_none_or(|c| c != client) {
        return Ok(Redeemed::None);
    }
    let used = || async {
        // The session of the token, where the first use made one.
        let row = app.store.session(&hash).await?;
        let row = row.filter(|r| r.scopes.get(1).is_some_and(|v| v == USED));
        let token = row.and_then(|r| r.scopes.get(3).and_then(|h| unhex(h))?.try_into().ok());
        if let Some(token) = token {
            app.store.end_session(&token).await?;
            app.session_ended(&token);
        }
        Ok(Redeemed::Again(token))
    };
    if row.scopes.get(1).is_some_and(|v| v == USED) {
        return used().await;
    }
    if !app.store.once(hash, now, row.at.plus_ms(CODE_MS)).await? {
        return used().await;
    }
    if row.until <= now {
        return Ok(Redeemed::None);
    }
    let (Some(redirect), Some(challenge)) = (row.scopes.get(4), row.scopes.get(5)) else {
        return Ok(Redeemed::None);
    };
    let bound = Bound {
        redirect: redirect.clone(),
        challenge: challenge.clone(),
    };
    let found = app_grant(app, &row, 2).await?;
    Ok(found.map_or(Redeemed::None, |(account, grant)| {
        Redeemed::Good(Box::new((account, grant, bound, row.provider)))
    }))
}

/// In place of the version of the account: the code was used.
const USED: &str = "used";

/// Opens a session of a program that a person signed in through; gives the token and the seconds until it ends. It ends with
/// any change of the account, and when the provider says so. `code`: what it was given for; shown again, it ends this.
///
/// # Errors
/// [`StoreError`].
pub async fn open(
    app: &App,
    account: &Account,
    grant: &AppGrant,
    provider: Option<ProviderSession>,
    code: Option<&str>,
) -> Result<(String, u32), StoreError> {
    let life_s = app.config.sessions.client_minutes * 60;
    let token = format!("{APP_TOKEN}{}", hex(&clock::random::<32>()));
    let at = clock::now();
    let until = at.plus_ms(i64::from(life_s) * 1000);
    let hash = token_hash(&token);
    if let Some(code) = code {
        let row = SessionRow {
            hash: code_hash(code),
            holder: account.user.as_str().to_owned(),
            client: false,
            device: None,
            scopes: [CODE, USED, &grant.client, &hex(&hash)]
                .map(str::to_owned)
                .to_vec(),
            provider: None,
            at,
            until,
        };
        app.store.put_session(row).await?;
    }
    let row = SessionRow {
        hash,
        holder: account.user.as_str().to_owned(),
        client: false,
        device: None,
        scopes: app_scopes(APP, account, grant, &[]),
        provider,
        at,
        until,
    };
    app.store.put_session(row).await?;
    Ok((token, life_s))
}

fn launch_hash(text: &str) -> [u8; 32] {
    Sha256::digest([b"vitrine-app-launch\0", text.as_bytes()].concat()).into()
}

/// Keeps a launch context: that a person has a patient open. Gives its text and the seconds it counts.
///
/// # Errors
/// [`StoreError`].
pub async fn launch(app: &App, account: &Account, patient: &PatientId) -> Result<(String, i64), StoreError> {
    let text = hex(&clock::random::<32>());
    let at = clock::now();
    let grant = AppGrant {
        client: String::new(),
        patient: Some(patient.clone()),
        scopes: Vec::new(),
    };
    let row = SessionRow {
        hash: launch_hash(&text),
        holder: account.user.as_str().to_owned(),
        client: false,
        device: None,
        scopes: app_scopes(LAUNCH, account, &grant, &[]),
        provider: None,
        at,
        until: at.plus_ms(LAUNCH_MS),
    };
    app.store.put_session(row).await?;
    Ok((text, LAUNCH_MS / 1000))
}

/// Whom a launch context is about, for the person who made it; `take`: used up with that.
///
/// # Errors
/// [`StoreError`].
pub async fn launched(
    app: &App,
    text: &str,
    account: &Account,
    take: bool,
) -> Result<Option<PatientId>, StoreError> {
    let now = clock::now();
    if text.is_empty() || text.len() > TOKEN_MOST {
        return Ok(None);
    }
    let hash = launch_hash(text);
    let row = app.store.session(&hash).await?;
    let row = row.filter(|r| is_launch(r) && r.until > now && r.holder == account.user.as_str());
    let Some(row) = row else {
        return Ok(None);
    };
    let Some((_, grant)) = app_grant(app, &row, 0).await? else {
        return Ok(None);
    };
    if take {
        if !app.store.once(hash, now, row.until).await? {
            return Ok(None);
        }
        app.store.end_session(&hash).await?;
    }
    Ok(grant.patient)
}

/// Who a program's token speaks for. It ends when the account, or what the program is registered for, is not what it was.
pub(super) async fn caller(
    app: &App,
    hash: [u8; 32],
    row: &SessionRow,
) -> Result<Option<Caller>, StoreError> {
    let found = match app_grant(app, row, 0).await? {
        Some((account, grant)) => {
            let client = app.store.client(&grant.client).await?;
            let within = |s: &String, all: &[String]| all.iter().any(|r| r == s || scopes::within(s, r));
            let stands = client.is_some_and(|c| grant.scopes.iter().all(|s| within(s, &c.scopes)));
            stands.then_some((account, grant))
        }
        None => None,
    };
    let Some((account, grant)) = found else {
        app.store.end_session(&hash).await?;
        return Ok(None);
    };
    Ok(Some(Caller {
        subject: Subject::App {
            id: grant.client,
            user: account.user,
            role: account.role,
            wards: account.wards,
            scopes: grant.scopes,
            patient: grant.patient,
        },
        device: None,
        ward: None,
        session: hash,
        until: row.until,
        purpose: None,
    }))
}
