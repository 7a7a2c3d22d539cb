//! Bodies of the HTTP acts between workstation and server that are not FHIR.

use serde::{Deserialize, Serialize};

/// `POST /enrol/hello`: asks for the CA before the code is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolHelloRequest {
    /// 16 random bytes, hex.
    pub nonce: String,
    /// First 8 characters of SHA-256(code), hex: which code is meant, without telling it.
    pub code_hint: String,
}

/// The CA and the server's proof that it knows the code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolHelloResponse {
    /// CA certificate, PEM.
    pub ca_pem: String,
    /// HMAC-SHA256(key = SHA-256(code), `"vitrine-enrol-server" ‖ nonce ‖ ca_pem`), hex.
    pub proof: String,
}

/// `POST /enrol`: uses the code up. Sent only over a connection verified by the CA of the hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The code.
    pub code: String,
    /// Name of the workstation as shown.
    pub name: String,
    /// Ed25519 public key, hex.
    pub public_key: String,
}

/// Enrolled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// Device id.
    pub device: String,
    /// Ward.
    pub ward: String,
    /// It may hold the essentials of the whole site.
    pub site: bool,
    /// Ed25519 public key of the server, hex: orders to wipe are signed by it.
    pub server_key: String,
    /// The server's data folder is marked as demo.
    pub demo: bool,
}

/// `POST /auth/login`: a person at an enrolled workstation.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginRequest {
    /// Sign-in name.
    pub user: String,
    /// Password or PIN.
    pub secret: String,
    /// Device id.
    pub device: String,
    /// Server-independent time of the device, ms: part of what is signed.
    pub at_ms: i64,
    /// Ed25519 over `"vitrine-login" ‖ user ‖ 0 ‖ device ‖ at_ms (8 bytes, big endian)`, hex.
    pub signature: String,
    /// The badge by which the person was picked, as [`crate::digest::badge`] has it; absent = none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge: Option<String>,
}

/// `POST /auth/secret`, with the token of a session at a workstation: its owner gives themselves a new password or PIN.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretRequest {
    /// The password as it is now, whichever is changed.
    pub password: String,
    /// The new password; absent = it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_password: Option<String>,
    /// The new PIN; absent = it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_pin: Option<String>,
}

/// It is changed: every session under the old ones has ended, the one that asked too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretResponse {
    /// `password`, `pin`.
    pub changed: Vec<String>,
}

/// `POST /auth/way`: whether a person may sign in at an enrolled workstation by less than the hospital's identity provider now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WayRequest {
    /// Sign-in name.
    pub user: String,
    /// Device id.
    pub device: String,
    /// The device's time, ms: part of what is signed.
    pub at_ms: i64,
    /// Ed25519 over [`WayRequest::message`], hex.
    pub signature: String,
}

impl WayRequest {
    /// What the device signs: `"vitrine-way" ‖ 0 ‖ user ‖ 0 ‖ device ‖ 0 ‖ at_ms` (8 bytes, big endian).
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut out = b"vitrine-way\0".to_vec();
        for part in [&self.user, &self.device] {
            out.extend_from_slice(part.as_bytes());
            out.push(0);
        }
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out
    }
}

/// The answer to [`WayRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayAnswer {
    /// The place says that the provider is the way in.
    pub required: bool,
    /// The provider answers the server now.
    pub provider_answers: bool,
    /// It vouched for this person lately.
    pub vouched: bool,
}

/// Signed in.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginResponse {
    /// Opaque session token.
    pub token: String,
    /// Seconds until it ends.
    pub expires_in_s: u32,
    /// Name as shown.
    pub display: String,
    /// Role.
    pub role: String,
    /// Wards.
    pub wards: Vec<String>,
    /// Server's time, ms.
    pub server_time_ms: i64,
}

/// Any refusal outside `/fhir`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// Code.
    pub code: crate::ErrorCode,
    /// A sentence that says what to do; no PHI.
    pub text: String,
    /// Seconds to wait, when throttled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// Breaking the glass would allow it.
    #[serde(default)]
    pub break_glass_offered: bool,
}

/// Body of an item in the `dir` scope, key `user/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirUser {
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub display: String,
    /// Role.
    pub role: String,
    /// Wards.
    pub wards: Vec<String>,
    /// Argon2id PHC string of the PIN, so that the glass can be broken without the server.
    pub pin_phc: Option<String>,
    /// May not sign in nor break the glass.
    pub disabled: bool,
    /// Their badges, as [`crate::digest::badge`] has them; absent from a server that knows of none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub badges: Vec<String>,
    /// Changes when the password does, so that what the old one opens on a workstation goes; absent from an older server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_mark: Option<String>,
}

/// Body of an item in a `board:` scope, key = patient id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardItem {
    /// Who.
    pub identity: Option<vitrine_clinical::card::Identity>,
    /// Where.
    pub place: vitrine_clinical::card::Place,
    /// `known`, `none-known`, `not-recorded`.
    pub allergies: vitrine_clinical::card::AllergyState,
    /// Isolation and other flags in words.
    pub flags: Vec<String>,
    /// Code status in words, newest.
    pub code_status: Option<String>,
    /// Critical results, without values; absent from a server that does not send them, and where this version cannot read them.
    #[serde(default, deserialize_with = "vitrine_clinical::card::critical::lenient")]
    pub critical: Option<Vec<vitrine_clinical::card::CriticalMark>>,
    /// What NEWS2 needs, without values; absent from a server that does not send it, and where this version cannot read it.
    #[serde(default, deserialize_with = "vitrine_clinical::news2::lenient")]
    pub news2: Option<vitrine_clinical::news2::Basis>,
}

/// `GET /auth/oidc`: what a workstation needs to send a person to the hospital's identity provider (RFC 8252).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcOffer {
    /// Where the browser is sent.
    pub authorization_endpoint: String,
    /// What the provider calls the server.
    pub client_id: String,
    /// The scopes to ask for.
    pub scope: String,
    /// The classes of authentication to ask for, by blanks; empty = none.
    pub acr_values: String,
    /// Seconds within which the person must have proven themselves at the provider; none = no matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
}

impl OidcOffer {
    /// The whole address (OpenID Connect Core 1.0 §3.1.2.1, RFC 7636 §4.3). `None` when the endpoint is no address that a
    /// browser may be sent to: https, or plain http to this machine.
    #[must_use]
    pub fn address(&self, redirect_uri: &str, state: &str, nonce: &str, challenge: &str) -> Option<String> {
        let at = &self.authorization_endpoint;
        let fits = at.starts_with("https://")
            || [
                "http://127.0.0.1:",
                "http://127.0.0.1/",
                "http://[::1]:",
                "http://[::1]/",
            ]
            .iter()
            .any(|here| at.starts_with(here));
        let plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}".contains(c);
        if !fits || at.contains('#') || !at.chars().all(plain) {
            return None;
        }
        let mut out = at.clone();
        out.push(if at.contains('?') { '&' } else { '?' });
        let max_age = self.max_age_s.map(|s| s.to_string());
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", redirect_uri),
            ("scope", self.scope.as_str()),
            ("state", state),
            ("nonce", nonce),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ];
        if !self.acr_values.is_empty() {
            query.push(("acr_values", self.acr_values.as_str()));
        }
        if let Some(s) = &max_age {
            // Whoever sat here before is not whoever signs in now.
            query.extend([("max_age", s.as_str()), ("prompt", "login")]);
        }
        let pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", form_encoded(value)))
            .collect();
        out.push_str(&pairs.join("&"));
        Some(out)
    }
}

/// `POST /auth/oidc`: what came back to the workstation; answered with [`OidcLoginResponse`].
#[derive(Clone, Serialize, Deserialize)]
pub struct OidcLoginRequest {
    /// The code.
    pub code: String,
    /// The PKCE verifier (RFC 7636).
    pub verifier: String,
    /// The address the code came to, `http://127.0.0.1:PORT/…`.
    pub redirect_uri: String,
    /// The nonce that the token must have.
    pub nonce: String,
    /// Device id.
    pub device: String,
    /// The device's time, ms: part of what is signed.
    pub at_ms: i64,
    /// Ed25519 over [`OidcLoginRequest::message`], hex.
    pub signature: String,
}

impl OidcLoginRequest {
    /// What the device signs: `"vitrine-oidc" ‖ 0 ‖ code ‖ 0 ‖ verifier ‖ 0 ‖ redirect_uri ‖ 0 ‖ nonce ‖ 0 ‖ device ‖ 0 ‖
    /// at_ms` (8 bytes, big endian).
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut out = b"vitrine-oidc\0".to_vec();
        for part in [
            &self.code,
            &self.verifier,
            &self.redirect_uri,
            &self.nonce,
            &self.device,
        ] {
            out.extend_from_slice(part.as_bytes());
            out.push(0);
        }
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out
    }
}

/// Signed in by the provider.
#[derive(Clone, Serialize, Deserialize)]
pub struct OidcLoginResponse {
    /// Sign-in name of the account: the workstation does not know it before.
    pub user: String,
    /// As after a sign-in by secret.
    #[serde(flatten)]
    pub login: LoginResponse,
}

/// A value as `application/x-www-form-urlencoded` has it: everything but letters, digits and `-._~` as `%XX`.
#[must_use]
pub fn form_encoded(value: &str) -> String {
    use std::fmt::Write as _;
    value
        .bytes()
        .fold(String::with_capacity(value.len()), |mut out, b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                out.push(char::from(b));
            } else {
                let _ = write!(out, "%{b:02X}");
            }
            out
        })
}
