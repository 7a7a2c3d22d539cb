//! The hospital's identity provider: OpenID Connect, authorization code with PKCE (ADR 39).
//!
//! Lives here: [`Provider`]: what the provider publishes, exchanging a code, proving ID tokens and logout tokens. Never
//! here: routes, accounts, sessions. Called by `http::oidc` and `http::console::oidc`.
//!
//! The server asks nobody but the issuer's own origin: every address the provider publishes must lie there, no redirect is
//! followed, an answer has a longest size and a longest time. A token opens nothing but the session of an account that is
//! there already; it is not kept.

pub mod claims;
pub mod fault;
pub mod flows;
pub mod jws;
mod published;

pub use claims::{Ends, Vouched};
pub use fault::Fault;

use crate::clock;
use crate::config::Oidc;
use crate::error::Fault as StartFault;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jws::Token;
use published::{Answers, Published, bounded, read};
use reqwest::Url;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;
use vitrine_wire::http::OidcOffer;
use zeroize::Zeroizing;

/// Longest wait for a connection to the provider.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for a whole answer.
const ANSWER: Duration = Duration::from_secs(6);
/// Exchanges at once.
const AT_ONCE: usize = 8;
/// The longest code, bytes.
const CODE_MOST: usize = 4096;

/// The provider, as the configuration names it.
pub struct Provider {
    config: Oidc,
    issuer: Url,
    secret: Option<Zeroizing<String>>,
    http: reqwest::Client,
    published: tokio::sync::Mutex<Published>,
    answers: Answers,
    leave: tokio::sync::Semaphore,
    /// Sign-ins that were begun at the console.
    pub flows: flows::Flows,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// What came back from the provider by the browser, and what the sign-in was begun with.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The code.
    pub code: &'a str,
    /// The PKCE verifier.
    pub verifier: &'a str,
    /// The address the code came to.
    pub redirect_uri: &'a str,
    /// The nonce.
    pub nonce: &'a str,
}

/// Random bytes as base64url: 43 characters, fit as state, nonce and verifier (RFC 7636 §4.1).
#[must_use]
pub fn secret() -> String {
    URL_SAFE_NO_PAD.encode(clock::random::<32>())
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// Whether a text is a verifier of RFC 7636 §4.1; a nonce must be one too.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

impl Provider {
    /// The provider of a configuration; `None` where none is named. Asks nobody.
    ///
    /// # Errors
    /// [`StartFault`] that names the key whose file cannot be used.
    pub fn open(config: &Oidc) -> Result<Option<Self>, StartFault> {
        if config.issuer.is_empty() {
            return Ok(None);
        }
        let wrong = |key: &str, text: String| StartFault::usage(format!("{key}: {text}"));
        let issuer =
            Url::parse(&config.issuer).map_err(|_| wrong("oidc.issuer", "must be an address".to_owned()))?;
        let secret = match config.client_secret_file.as_str() {
            "" => None,
            file => Some(read_secret(Path::new(file)).map_err(|t| wrong("oidc.client_secret_file", t))?),
        };
        // reqwest takes whichever cryptography the process says.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(ANSWER);
        if !config.ca_file.is_empty() {
            let roots = read_roots(Path::new(&config.ca_file)).map_err(|t| wrong("oidc.ca_file", t))?;
            http = http.tls_certs_only(roots);
        }
        let http = http
            .build()
            .map_err(|e| wrong("oidc", format!("HTTPS cannot be prepared ({e})")))?;
        Ok(Some(Self {
            config: config.clone(),
            issuer,
            secret,
            http,
            published: tokio::sync::Mutex::default(),
            answers: Answers::default(),
            leave: tokio::sync::Semaphore::new(AT_ONCE),
            flows: flows::Flows::default(),
        }))
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Oidc {
        &self.config
    }

    /// What a workstation needs to send a person to the provider.
    ///
    /// # Errors
    /// [`Fault::Away`], [`Fault::Answer`].
    pub async fn offer(&self) -> Result<OidcOffer, Fault> {
        let discovery = self.discovery().await?;
        Ok(OidcOffer {
            authorization_endpoint: discovery.authorization_endpoint.clone(),
            client_id: self.config.client_id.clone(),
            scope: "openid profile".to_owned(),
            acr_values: self.config.acr.join(" "),
            max_age_s: (self.config.fresh_seconds > 0).then_some(self.config.fresh_seconds),
        })
    }

    /// Where a browser is sent to begin.
    ///
    /// # Errors
    /// As [`Self::offer`].
    pub async fn begin(&self, redirect_uri: &str, flow: &flows::Flow) -> Result<String, Fault> {
        let offer = self.offer().await?;
        offer
            .address(redirect_uri, &flow.state, &flow.nonce, &challenge(&flow.verifier))
            .ok_or(Fault::Answer)
    }

    /// Exchanges a code and proves the ID token that comes for it. Gives whom the provider vouches for and the hash of the
    /// token, which counts once.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub async fn redeem(&self, given: Given<'_>) -> Result<(Vouched, [u8; 32]), Fault> {
        if !is_secret(given.verifier) {
            return Err(Fault::Verifier);
        }
        if !is_secret(given.nonce) {
            return Err(Fault::Nonce);
        }
        if given.code.is_empty() || given.code.len() > CODE_MOST {
            return Err(Fault::Code);
        }
        let _leave = tokio::time::timeout(ANSWER, self.leave.acquire())
            .await
            .map_err(|_| Fault::Away)?
            .map_err(|_| Fault::Away)?;
        let tokens = self.exchange(given).await?;
        let token = Token::read(&tokens.id_token)?;
        token.is(&["jwt"])?;
        let claims = self.proven(&token).await?;
        let asked = claims::Asked {
            config: &self.config,
            nonce: given.nonce,
            code: given.code,
            access_token: tokens.access_token.as_deref(),
            algorithm: token.algorithm,
            now: clock::now(),
        };
        let vouched = claims::id_token(claims, &asked)?;
        Ok((vouched, used("id-token", &tokens.id_token)))
    }

    /// Proves a logout token. Gives what it ends and the hash of its id, which counts once.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub async fn logged_out(&self, token: &str) -> Result<(Ends, [u8; 32]), Fault> {
        let token = Token::read(token)?;
        token.is(&["jwt", "logout+jwt"])?;
        let claims = self.proven(&token).await?;
        let ends = claims::logout_token(claims, &self.config, clock::now())?;
        let id = used("logout-token", &ends.jti);
        Ok((ends, id))
    }

    async fn proven<'t>(
        &self,
        token: &'t Token<'_>,
    ) -> Result<&'t serde_json::Map<String, serde_json::Value>, Fault> {
        match token.proven(&self.keys(false).await?) {
            Err(Fault::UnknownKey) => token.proven(&self.keys(true).await?),
            other => other,
        }
    }

    async fn exchange(&self, given: Given<'_>) -> Result<Tokens, Fault> {
        #[derive(Deserialize)]
        struct OauthError {
            error: String,
        }
        let discovery = self.discovery().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", given.code),
            ("redirect_uri", given.redirect_uri),
            ("code_verifier", given.verifier),
        ];
        let mut request = self.http.post(&discovery.token_endpoint);
        let id = self.config.client_id.as_str();
        let methods = &discovery.token_endpoint_auth_methods_supported;
        // Where the metadata names none, it is client_secret_basic (Discovery 1.0 §3).
        let basic = methods.is_empty() || methods.iter().any(|m| m == "client_secret_basic");
        match &self.secret {
            Some(secret) if basic => {
                let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
                request = request.header("authorization", value.as_str());
            }
            Some(secret) => form.extend([("client_id", id), ("client_secret", secret.as_str())]),
            None => form.push(("client_id", id)),
        }
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body.join("&"));
        let (status, bytes) = bounded(request).await?;
        match status {
            200 => read(&bytes),
            400 | 401 => {
                let said: OauthError = read(&bytes)?;
                if said.error == "invalid_grant" {
                    return Err(Fault::Code);
                }
                tracing::warn!(error = %said.error.escape_debug(), "the identity provider refuses this server");
                Err(Fault::Answer)
            }
            status => {
                tracing::warn!(
                    status,
                    "the identity provider's token endpoint does not answer as it should"
                );
                Err(if status >= 500 { Fault::Away } else { Fault::Answer })
            }
        }
    }
}

/// The hash under which something is noted that counts once.
fn used(kind: &str, what: &str) -> [u8; 32] {
    Sha256::digest([kind.as_bytes(), &[0], what.as_bytes()].concat()).into()
}

/// `application/x-www-form-urlencoded`, of one value.
fn encoded(value: &str) -> String {
    vitrine_wire::http::form_encoded(value)
}

fn read_secret(file: &Path) -> Result<Zeroizing<String>, String> {
    let shown = file.display();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let meta = std::fs::metadata(file).map_err(|e| format!("{shown} cannot be read ({e})"))?;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(format!("{shown} can be read by others: chmod 600 it"));
        }
    }
    let text = std::fs::read_to_string(file).map_err(|e| format!("{shown} cannot be read ({e})"))?;
    let text = Zeroizing::new(text);
    let secret = text.trim();
    if secret.is_empty() || secret.len() > 4096 {
        return Err(format!("{shown} must hold the client's secret alone"));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

fn read_roots(file: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let shown = file.display();
    let pem = std::fs::read(file).map_err(|e| format!("{shown} cannot be read ({e})"))?;
    let mut roots = Vec::new();
    for der in CertificateDer::pem_slice_iter(&pem) {
        let der = der.map_err(|_| format!("{shown} is not PEM"))?;
        let root = reqwest::Certificate::from_der(&der);
        roots.push(root.map_err(|_| format!("{shown} holds something that is no certificate"))?);
    }
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_standards() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        assert!(is_secret(&secret()));
        assert_ne!(secret(), secret());
        for bad in ["", "short", &"a".repeat(42), &"a".repeat(129), &"ü".repeat(43)] {
            assert!(!is_secret(bad), "{bad}");
        }
    }

    #[test]
    fn only_the_issuers_own_origin_is_asked() {
        let config = Oidc {
            issuer: "https://idp.example:8443/realms/staff".to_owned(),
            client_id: "v".to_owned(),
            ..Oidc::default()
        };
        let p = Provider::open(&config).unwrap().unwrap();
        for (address, ours) in [
            ("https://idp.example:8443/token", true),
            ("https://IDP.example:8443/x?y=z", true),
            ("http://idp.example:8443/token", false),
            ("https://idp.example/token", false),
            ("https://idp.example:8443.evil.example/token", false),
            ("https://idp.example:8443@evil.example/token", false),
            ("https://evil.example/?https://idp.example:8443/", false),
            ("https://u@idp.example:8443/token", false),
            ("https://169.254.169.254/latest", false),
            ("file:///etc/passwd", false),
            ("//idp.example:8443/token", false),
            ("", false),
        ] {
            assert_eq!(p.is_ours(address), ours, "{address}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        let mode = |m| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(m)).unwrap();
        mode(0o644);
        assert!(read_secret(&file).unwrap_err().contains("chmod 600"));
        mode(0o600);
        assert_eq!(read_secret(&file).unwrap().as_str(), "s3cret");
        std::fs::write(&file, "\n").unwrap();
        assert!(read_secret(&file).is_err());
        assert!(read_roots(&file).unwrap_err().contains("no certificate"));
    }
}
