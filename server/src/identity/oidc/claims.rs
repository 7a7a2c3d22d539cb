//! What the claims of a proven token must say.
//!
//! Lives here: the checks of an ID token (OpenID Connect Core 1.0 §3.1.3.7) and of a logout token (Back-Channel Logout 1.0
//! §2.6), each with its own reason. Never here: signatures (`jws`), the clock, the store. Called by [`super`].

use super::fault::Fault;
use super::jws::Algorithm;
use crate::config::Oidc;
use serde_json::{Map, Value};
use vitrine_clinical::UtcMs;
use vitrine_store::identities::{ProviderEnd, ProviderSession};

/// The provider's clock may be so much ahead of or behind ours, ms.
pub const SKEW_MS: i64 = 60_000;
/// A token is taken for so long after it was made, ms: it is fetched at once, or sent at once.
const ISSUED_MS: i64 = 10 * 60_000;
/// The longest names of persons and sessions, bytes (`sub`: OpenID Connect Core §2).
const NAME_MOST: usize = 255;
/// The event of a logout token.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What an ID token must answer.
pub struct Asked<'a> {
    /// The configuration.
    pub config: &'a Oidc,
    /// The nonce of this sign-in.
    pub nonce: &'a str,
    /// The code it came for.
    pub code: &'a str,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
    /// The algorithm it is signed by.
    pub algorithm: Algorithm,
    /// Now.
    pub now: UtcMs,
}

/// Whom the provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The identity and its session there.
    pub of: ProviderSession,
    /// What the token says is the sign-in name here.
    pub account: String,
    /// After this it would be refused anyway.
    pub until: UtcMs,
}

/// Which sessions a logout token ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// These.
    pub end: ProviderEnd,
    /// The token's own id.
    pub jti: String,
    /// After this it would be refused anyway.
    pub until: UtcMs,
}

/// A `NumericDate` (RFC 7519 §2) in ms.
pub(crate) fn date(claims: &Map<String, Value>, name: &str) -> Option<Result<i64, ()>> {
    let value = claims.get(name)?;
    let seconds = value.as_f64().filter(|s| (0.0..1e11).contains(s));
    #[expect(clippy::cast_possible_truncation, reason = "below 1e14, a whole number of ms")]
    Some(seconds.map(|s| (s * 1000.0).trunc() as i64).ok_or(()))
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<Option<&'a str>> {
    let value = claims.get(name)?;
    Some(value.as_str().filter(|s| !s.is_empty() && s.len() <= NAME_MOST))
}

/// What both kinds of token have in common; gives the moment from which on it counts no more.
fn common(claims: &Map<String, Value>, config: &Oidc, now: UtcMs) -> Result<UtcMs, Fault> {
    if claims.get("iss").and_then(Value::as_str) != Some(&config.issuer) {
        return Err(Fault::Issuer);
    }
    // A token that is for somebody else too could come from them.
    let for_us = match claims.get("aud") {
        Some(Value::String(one)) => *one == config.client_id,
        Some(Value::Array(all)) => {
            !all.is_empty() && all.iter().all(|a| a.as_str() == Some(&config.client_id))
        }
        _ => false,
    };
    if !for_us {
        return Err(Fault::Audience);
    }
    match claims.get("azp") {
        None => {}
        Some(Value::String(by)) if *by == config.client_id => {}
        Some(_) => return Err(Fault::AuthorizedParty),
    }
    let Some(Ok(exp)) = date(claims, "exp") else {
        return Err(Fault::Expired);
    };
    if exp + SKEW_MS <= now.0 {
        return Err(Fault::Expired);
    }
    let Some(Ok(iat)) = date(claims, "iat") else {
        return Err(Fault::Issued);
    };
    if iat > now.0 + SKEW_MS || iat + ISSUED_MS + SKEW_MS < now.0 || iat > exp {
        return Err(Fault::Issued);
    }
    match date(claims, "nbf") {
        None => {}
        Some(Ok(nbf)) if nbf <= now.0 + SKEW_MS => {}
        Some(_) => return Err(Fault::NotYet),
    }
    Ok(UtcMs((iat + ISSUED_MS + SKEW_MS).min(exp + SKEW_MS)))
}

fn sid(claims: &Map<String, Value>) -> Result<Option<String>, Fault> {
    match text(claims, "sid") {
        None => Ok(None),
        Some(Some(sid)) => Ok(Some(sid.to_owned())),
        Some(None) => Err(Fault::Session),
    }
}

/// Checks an ID token.
///
/// # Errors
/// The first [`Fault`].
pub fn id_token(claims: &Map<String, Value>, asked: &Asked<'_>) -> Result<Vouched, Fault> {
    let config = asked.config;
    let until = common(claims, config, asked.now)?;
    if claims.get("nonce").and_then(Value::as_str) != Some(asked.nonce) {
        return Err(Fault::Nonce);
    }
    if claims.contains_key("events") {
        return Err(Fault::Events);
    }
    let Some(Some(subject)) = text(claims, "sub") else {
        return Err(Fault::Subject);
    };
    if let Some(hash) = claims.get("at_hash") {
        let right = asked.access_token.map(|t| asked.algorithm.half_hash(t));
        if right.is_none() || hash.as_str() != right.as_deref() {
            return Err(Fault::AccessHash);
        }
    }
    if let Some(hash) = claims.get("c_hash")
        && hash.as_str() != Some(&asked.algorithm.half_hash(asked.code))
    {
        return Err(Fault::CodeHash);
    }
    if config.fresh_seconds > 0 {
        let fresh_ms = i64::from(config.fresh_seconds) * 1000;
        let Some(Ok(at)) = date(claims, "auth_time") else {
            return Err(Fault::AuthTime);
        };
        if at > asked.now.0 + SKEW_MS || at + fresh_ms + SKEW_MS < asked.now.0 {
            return Err(Fault::AuthTime);
        }
    }
    if !config.acr.is_empty() {
        let acr = claims.get("acr").and_then(Value::as_str);
        if !acr.is_some_and(|a| config.acr.iter().any(|w| w == a)) {
            return Err(Fault::Acr);
        }
    }
    if !config.amr.is_empty() {
        let amr = claims.get("amr").and_then(Value::as_array);
        let has = |m: &Value| m.as_str().is_some_and(|m| config.amr.iter().any(|w| w == m));
        if !amr.is_some_and(|all| all.iter().any(has)) {
            return Err(Fault::Amr);
        }
    }
    let Some(Some(account)) = text(claims, &config.account_claim) else {
        return Err(Fault::Claim);
    };
    Ok(Vouched {
        of: ProviderSession {
            issuer: config.issuer.clone(),
            subject: subject.to_owned(),
            sid: sid(claims)?,
        },
        account: account.to_owned(),
        until,
    })
}

/// Checks a logout token.
///
/// # Errors
/// The first [`Fault`].
pub fn logout_token(claims: &Map<String, Value>, config: &Oidc, now: UtcMs) -> Result<Ends, Fault> {
    let until = common(claims, config, now)?;
    let event = claims.get("events").and_then(|e| e.get(LOGOUT));
    if !event.is_some_and(Value::is_object) {
        return Err(Fault::Events);
    }
    // An ID token is none, however it is called.
    if claims.contains_key("nonce") {
        return Err(Fault::Nonce);
    }
    let Some(Some(jti)) = text(claims, "jti") else {
        return Err(Fault::TokenId);
    };
    let subject = match text(claims, "sub") {
        None => None,
        Some(Some(s)) => Some(s.to_owned()),
        Some(None) => return Err(Fault::Subject),
    };
    let sid = sid(claims)?;
    if subject.is_none() && sid.is_none() {
        return Err(Fault::Subject);
    }
    Ok(Ends {
        end: ProviderEnd {
            issuer: config.issuer.clone(),
            subject,
            sid,
        },
        jti: jti.to_owned(),
        until,
    })
}
