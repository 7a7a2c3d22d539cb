//! What the provider publishes: its metadata and its keys, asked for at its own origin alone and kept for an hour.
//!
//! Lives here: the answers' bounds, which addresses are the issuer's, when something is asked for again. Never here: tokens
//! (`jws`, `claims`). Called by [`super`].

use super::jws::{self, Key};
use super::{Fault, Provider};
use crate::clock;
use crate::config::may_be_asked;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest answer taken, bytes.
const ANSWER_MOST: usize = 256 * 1024;
/// What the provider publishes is asked for again after so long: a key that it withdrew is gone here then.
const OLD: Duration = Duration::from_secs(3600);
/// For an unknown key the set is asked for again at most so often; after a failure nothing is asked for as long.
const PAUSE: Duration = Duration::from_secs(5);
/// What is known of whether it answers counts for so long.
const FRESH: Duration = Duration::from_secs(15);
/// It has so long to answer, when asked for that alone.
const PROBE: Duration = Duration::from_secs(2);

/// What was published, and when it was asked for.
#[derive(Default)]
pub(super) struct Published {
    discovery: Option<(Arc<Discovery>, Instant)>,
    keys: Option<(Arc<Vec<Key>>, Instant)>,
    failed: Option<Instant>,
}

/// Whether the provider answered when it was last asked, and when that was.
#[derive(Default)]
pub(super) struct Answers(tokio::sync::Mutex<Option<(bool, Instant)>>);

/// What is read of the provider's metadata (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Deserialize)]
pub(super) struct Discovery {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl Provider {
    /// Whether it answers: known for at most 15 s, else asked now.
    pub async fn answers(&self) -> bool {
        let mut last = self.answers.0.lock().await;
        match *last {
            Some((up, at)) if at.elapsed() < FRESH => up,
            _ => self.ask(&mut last).await,
        }
    }

    /// Asks whether it answers, whatever was known.
    pub async fn look(&self) -> bool {
        let up = self.probe().await;
        *self.answers.0.lock().await = Some((up, clock::steady()));
        up
    }

    async fn ask(&self, last: &mut Option<(bool, Instant)>) -> bool {
        let up = self.probe().await;
        *last = Some((up, clock::steady()));
        up
    }

    /// Its metadata, asked for anew: what takes sign-ins is what publishes them.
    async fn probe(&self) -> bool {
        let found = tokio::time::timeout(PROBE, self.fetch::<Discovery>(&self.metadata())).await;
        matches!(found, Ok(Ok(d)) if d.issuer == self.config.issuer)
    }

    fn metadata(&self) -> String {
        format!(
            "{}/.well-known/openid-configuration",
            self.config.issuer.trim_end_matches('/')
        )
    }

    /// The metadata, not older than an hour.
    pub(super) async fn discovery(&self) -> Result<Arc<Discovery>, Fault> {
        let mut published = self.published.lock().await;
        self.discovery_in(&mut published).await
    }

    async fn discovery_in(&self, published: &mut Published) -> Result<Arc<Discovery>, Fault> {
        if let Some((kept, at)) = &published.discovery
            && at.elapsed() < OLD
        {
            return Ok(kept.clone());
        }
        if published.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Fault::Away);
        }
        let found = self.fetch::<Discovery>(&self.metadata()).await;
        let found = found.and_then(|d| self.fits(&d).map(|()| Arc::new(d)));
        match found {
            Ok(d) => {
                published.discovery = Some((d.clone(), clock::steady()));
                published.failed = None;
                Ok(d)
            }
            Err(fault) => {
                published.failed = Some(clock::steady());
                Err(fault)
            }
        }
    }

    fn fits(&self, d: &Discovery) -> Result<(), Fault> {
        let wrong = |what: &str| {
            tracing::error!(what, "the identity provider's metadata cannot be used");
            Err(Fault::Answer)
        };
        if d.issuer != self.config.issuer {
            return wrong("its issuer is not oidc.issuer");
        }
        for (name, address) in [
            ("authorization_endpoint", &d.authorization_endpoint),
            ("token_endpoint", &d.token_endpoint),
            ("jwks_uri", &d.jwks_uri),
        ] {
            if !self.is_ours(address) {
                return wrong(&format!("its {name} does not lie at the issuer's own host"));
            }
        }
        let s256 = d.code_challenge_methods_supported.as_ref();
        if s256.is_some_and(|m| !m.iter().any(|m| m == "S256")) {
            return wrong("it does not take PKCE with S256");
        }
        Ok(())
    }

    /// Whether an address lies at the issuer's own origin.
    pub(super) fn is_ours(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|u| may_be_asked(&u) && u.origin() == self.issuer.origin())
    }

    /// The keys, not older than an hour; `anew` after a token named one that is not among them.
    pub(super) async fn keys(&self, anew: bool) -> Result<Arc<Vec<Key>>, Fault> {
        let mut published = self.published.lock().await;
        let lately = if anew { PAUSE } else { OLD };
        if let Some((kept, at)) = &published.keys
            && at.elapsed() < lately
        {
            return Ok(kept.clone());
        }
        if published.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Fault::Away);
        }
        let discovery = self.discovery_in(&mut published).await?;
        match self.fetch_keys(&discovery.jwks_uri).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                published.keys = Some((keys.clone(), clock::steady()));
                published.failed = None;
                Ok(keys)
            }
            Err(fault) => {
                published.failed = Some(clock::steady());
                Err(fault)
            }
        }
    }

    async fn fetch_keys(&self, address: &str) -> Result<Vec<Key>, Fault> {
        let request = self.http.get(address).header("accept", "application/json");
        match bounded(request).await? {
            (200, bytes) => jws::key_set(&bytes).ok_or(Fault::Answer),
            (status, _) => Err(unexpected(address, status)),
        }
    }

    async fn fetch<T: DeserializeOwned>(&self, address: &str) -> Result<T, Fault> {
        let request = self.http.get(address).header("accept", "application/json");
        match bounded(request).await? {
            (200, bytes) => read(&bytes),
            (status, _) => Err(unexpected(address, status)),
        }
    }
}

fn unexpected(address: &str, status: u16) -> Fault {
    tracing::warn!(address, status, "the identity provider did not answer 200");
    if status >= 500 { Fault::Away } else { Fault::Answer }
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| {
        tracing::warn!(error = %e, "an answer of the identity provider cannot be read");
        Fault::Answer
    })
}

/// Status and body of an answer of bounded size.
pub(super) async fn bounded(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), Fault> {
    let away = |e: reqwest::Error| {
        tracing::warn!(error = %e.without_url(), "the identity provider does not answer");
        Fault::Away
    };
    let mut answer = request.send().await.map_err(away)?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(away)? {
        if body.len() + piece.len() > ANSWER_MOST {
            tracing::warn!("an answer of the identity provider is too long");
            return Err(Fault::Answer);
        }
        body.extend_from_slice(&piece);
    }
    Ok((answer.status().as_u16(), body))
}
