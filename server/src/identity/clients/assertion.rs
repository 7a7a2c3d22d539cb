//! Client assertions (RFC 7523 §2.2, `private_key_jwt`), by the rules of SMART App Launch 2.2 for asymmetric clients.
//!
//! Lives here: who an assertion says it is from, proving it, one name for each reason to refuse. Never here: the store; that
//! an assertion counts once is for the caller to note under [`Proven::once`].

use crate::identity::oidc::claims::{SKEW_MS, date};
use crate::identity::oidc::fault::Fault as Token_;
use crate::identity::oidc::jws::{Algorithm, TOKEN_MOST, Token, key_set, object, unb64url};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vitrine_clinical::UtcMs;

/// `client_assertion_type`.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The algorithms that are taken: the two that SMART names.
pub const ALGORITHMS: [&str; 2] = ["RS384", "ES384"];
/// An assertion ends at most so long from now, ms.
const LIFE_MS: i64 = 5 * 60_000;
/// The longest `jti`, bytes.
const JTI_MOST: usize = 255;

/// Why an assertion is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Not three parts of strict base64url with JSON objects in them, or too long.
    Form,
    /// Signed by neither RS384 nor ES384; `none` and HMAC among them.
    Algorithm,
    /// The header says that it is another kind of token.
    Type,
    /// The header demands an extension (`crit`).
    Critical,
    /// The header brings or names a key of its own.
    KeyInToken,
    /// The program is not registered, has no keys, or none that fits.
    UnknownKey,
    /// The signature is not by the key.
    Signature,
    /// `iss` and `sub` are not the client's id, both.
    Issuer,
    /// For another server than this, or for others too.
    Audience,
    /// Over, or without an end.
    Expired,
    /// It ends more than five minutes from now.
    TooLong,
    /// Made in the future, or not valid yet.
    NotYet,
    /// Without an id of its own.
    TokenId,
    /// It was used before.
    Replay,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Form,
        Self::Algorithm,
        Self::Type,
        Self::Critical,
        Self::KeyInToken,
        Self::UnknownKey,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::TooLong,
        Self::NotYet,
        Self::TokenId,
        Self::Replay,
    ];

    /// Its name in the audit log.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Form => "assertion-form",
            Self::Algorithm => "assertion-algorithm",
            Self::Type => "assertion-type",
            Self::Critical => "assertion-critical",
            Self::KeyInToken => "assertion-key-in-token",
            Self::UnknownKey => "assertion-unknown-key",
            Self::Signature => "assertion-signature",
            Self::Issuer => "assertion-issuer",
            Self::Audience => "assertion-audience",
            Self::Expired => "assertion-expired",
            Self::TooLong => "assertion-too-long",
            Self::NotYet => "assertion-not-yet",
            Self::TokenId => "assertion-id",
            Self::Replay => "assertion-replay",
        }
    }

    /// For whoever runs the program. Whether it is registered, and with which keys, is not told to who cannot sign.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Form => "the client assertion is not a JWT in compact form",
            Self::Algorithm => "the client assertion must be signed with RS384 or ES384",
            Self::Type => "the client assertion's typ must be JWT",
            Self::Critical => "the client assertion demands an extension (crit) that is not known here",
            Self::KeyInToken => {
                "the client assertion may not bring or name a key (jku, jwk, x5u, x5c): keys are registered"
            }
            Self::UnknownKey | Self::Signature => {
                "the client assertion is not signed by a key registered for this client; name the key by its kid"
            }
            Self::Issuer => "iss and sub of the client assertion must both be the client_id",
            Self::Audience => "aud of the client assertion must be this server's token endpoint, alone",
            Self::Expired => "the client assertion is over, or has no exp",
            Self::TooLong => "exp of the client assertion may be at most five minutes from now",
            Self::NotYet => "the client assertion is from the future: set the clock",
            Self::TokenId => "the client assertion has no jti of 1 to 255 bytes",
            Self::Replay => "the client assertion was used before: make a new one for each request",
        }
    }
}

impl From<Token_> for Fault {
    fn from(f: Token_) -> Self {
        match f {
            Token_::Algorithm => Self::Algorithm,
            Token_::Type => Self::Type,
            Token_::Critical => Self::Critical,
            Token_::KeyInToken => Self::KeyInToken,
            Token_::UnknownKey => Self::UnknownKey,
            Token_::Signature => Self::Signature,
            _ => Self::Form,
        }
    }
}

/// What a proven assertion gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// It counts once, under this.
    pub once: [u8; 32],
    /// After this it would be refused anyway.
    pub until: UtcMs,
}

/// Who an assertion says it is from. Nothing of it is proven: it says whose keys to try, and whose wrong tries to count.
#[must_use]
pub fn claimed(text: &str) -> Option<String> {
    if text.len() > TOKEN_MOST {
        return None;
    }
    let claims = object(&unb64url(text.split('.').nth(1)?)?)?;
    claims.get("iss").and_then(Value::as_str).map(str::to_owned)
}

/// Proves an assertion of the client `id`, whose registered key set is `keys`, for the token endpoint `audience`.
///
/// # Errors
/// The first [`Fault`]; signature before claims.
pub fn proven(text: &str, id: &str, keys: Option<&str>, audience: &str, now: UtcMs) -> Result<Proven, Fault> {
    let token = Token::read(text)?;
    if !matches!(token.algorithm, Algorithm::Rs384 | Algorithm::Es384) {
        return Err(Fault::Algorithm);
    }
    token.is(&["jwt"])?;
    let keys = keys.and_then(|k| key_set(k.as_bytes())).unwrap_or_default();
    let claims = token.proven(&keys)?;
    let is_id = |name: &str| claims.get(name).and_then(Value::as_str) == Some(id);
    if !is_id("iss") || !is_id("sub") {
        return Err(Fault::Issuer);
    }
    // One that is for somebody else too could come from them.
    let for_us = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(all)) => !all.is_empty() && all.iter().all(|a| a.as_str() == Some(audience)),
        _ => false,
    };
    if !for_us || audience.is_empty() {
        return Err(Fault::Audience);
    }
    let Some(Ok(exp)) = date(claims, "exp") else {
        return Err(Fault::Expired);
    };
    if exp + SKEW_MS <= now.0 {
        return Err(Fault::Expired);
    }
    if exp > now.0 + LIFE_MS + SKEW_MS {
        return Err(Fault::TooLong);
    }
    for name in ["iat", "nbf"] {
        match date(claims, name) {
            None => {}
            Some(Ok(at)) if at <= now.0 + SKEW_MS => {}
            Some(_) => return Err(Fault::NotYet),
        }
    }
    let jti = claims
        .get("jti")
        .and_then(Value::as_str)
        .filter(|j| !j.is_empty() && j.len() <= JTI_MOST)
        .ok_or(Fault::TokenId)?;
    let once = Sha256::digest([b"client-assertion\0", id.as_bytes(), &[0], jti.as_bytes()].concat());
    Ok(Proven {
        once: once.into(),
        until: UtcMs(exp + SKEW_MS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_its_name_and_its_words() {
        let names: BTreeSet<&str> = Fault::ALL.iter().map(|f| f.rule()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        for f in Fault::ALL {
            assert!(
                f.rule().starts_with("assertion-") && f.words().len() > 20,
                "{f:?}"
            );
        }
    }

    #[test]
    fn who_it_is_from_is_read_and_not_believed() {
        use base64::Engine as _;
        let b64 = |t: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(t);
        let token = |claims: &str| format!("{}.{}.", b64("{\"alg\":\"none\"}"), b64(claims));
        assert_eq!(claimed(&token("{\"iss\":\"lab-1\"}")).as_deref(), Some("lab-1"));
        for bad in [
            "",
            "a",
            "a.b.c",
            &token("[]"),
            &token("{\"iss\":1}"),
            &token("{\"iss\":\"a\",\"iss\":\"b\"}"),
        ] {
            assert_eq!(claimed(bad), None, "{bad}");
        }
        let refused = proven(
            &token("{\"iss\":\"lab-1\"}"),
            "lab-1",
            None,
            "https://x/auth/token",
            UtcMs(0),
        );
        assert_eq!(refused, Err(Fault::Algorithm));
    }
}
