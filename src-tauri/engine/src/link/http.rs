//! Requests over HTTPS: sign-in, and what enrolment needs.

use super::connection::not_mixed;
use super::tls;
use crate::station::Station;
use crate::{EngineError, entropy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use vitrine_clinical::say;
use vitrine_wire::ErrorCode;
use vitrine_wire::http::{
    LoginRequest, LoginResponse, OidcLoginRequest, OidcLoginResponse, OidcOffer, Refusal, SecretRequest,
    SecretResponse, WayAnswer, WayRequest,
};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer taken, bytes.
const BODY_MAX: usize = 1 << 20;

/// A client over this TLS configuration: no proxy, no redirect, no cookie.
pub(super) fn client(tls: rustls::ClientConfig) -> Result<reqwest::Client, EngineError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .build()
        .map_err(|_| EngineError::Internal("preparing HTTPS"))
}

/// Posts JSON and reads JSON; a refusal becomes the server's own words.
pub(super) async fn post<Q: Serialize, A: DeserializeOwned>(
    client: &reqwest::Client,
    url: &str,
    body: &Q,
) -> Result<A, EngineError> {
    read(client.post(url).json(body)).await
}

async fn read<A: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<A, EngineError> {
    let answer = request.send().await.map_err(|e| unreachable(&e))?;
    let status = answer.status();
    if answer.content_length().is_some_and(|n| n > BODY_MAX as u64) {
        return Err(EngineError::Protocol(say!(
            "the server's answer is too long",
            "die Antwort des Servers ist zu lang"
        )));
    }
    let bytes = answer.bytes().await.map_err(|e| unreachable(&e))?;
    if status.is_success() && bytes.len() <= BODY_MAX {
        return serde_json::from_slice(&bytes).map_err(|_| {
            EngineError::Protocol(say!(
                "the server's answer cannot be read: are both of the same version?",
                "die Antwort des Servers ist nicht lesbar: haben beide dieselbe Version?"
            ))
        });
    }
    match serde_json::from_slice::<Refusal>(&bytes) {
        Ok(r) => Err(EngineError::Refused {
            code: r.code,
            text: r.text,
            retry_after_s: r.retry_after_s,
        }),
        Err(_) => Err(EngineError::Refused {
            code: if status.is_server_error() {
                ErrorCode::Overloaded
            } else {
                ErrorCode::BadRequest
            },
            text: say!(
                "the server answered {status}: is this a Vitrine server?",
                "der Server antwortete {status}: ist das ein Vitrine-Server?",
                status = status.as_u16()
            ),
            retry_after_s: None,
        }),
    }
}

/// Why there was no answer, without the URL.
fn unreachable(e: &reqwest::Error) -> EngineError {
    let mut cause: &dyn std::error::Error = e;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    if text.contains("certificate") {
        return EngineError::Protocol(say!(
            "the server is not the one this workstation trusts ({text})",
            "der Server ist nicht der, dem dieser Arbeitsplatz vertraut ({text})"
        ));
    }
    EngineError::Offline(if e.is_timeout() {
        say!("no answer", "keine Antwort")
    } else {
        text
    })
}

/// A client for the server, its address, and this workstation's id.
fn reach(station: &Station) -> Result<(reqwest::Client, String, String), EngineError> {
    station.drill.not_cut()?;
    not_mixed(station)?;
    let (server, device) = {
        let d = station.device();
        (d.server.clone(), d.device.clone())
    };
    let ca = std::fs::read(station.profile.ca()).map_err(EngineError::io("reading ca.pem"))?;
    Ok((client(tls::trusting(&ca)?)?, server, device))
}

/// What the server says of the hospital's identity provider.
pub(crate) async fn provider(station: &Station) -> Result<OidcOffer, EngineError> {
    let (client, server, _) = reach(station)?;
    read(client.get(format!("{server}/auth/oidc"))).await
}

/// What came back from the provider, and what the sign-in was begun with.
pub(crate) struct Redeemed<'a> {
    pub code: &'a str,
    pub verifier: &'a str,
    pub redirect_uri: &'a str,
    pub nonce: &'a str,
}

/// Signs a person in at the server by what came back from the provider; the request is signed by the device.
pub(crate) async fn login_by_provider(
    station: &Station,
    given: Redeemed<'_>,
) -> Result<OidcLoginResponse, EngineError> {
    let (client, server, device) = reach(station)?;
    let mut request = OidcLoginRequest {
        code: given.code.to_owned(),
        verifier: given.verifier.to_owned(),
        redirect_uri: given.redirect_uri.to_owned(),
        nonce: given.nonce.to_owned(),
        device,
        at_ms: station.clock.now().0,
        signature: String::new(),
    };
    request.signature = entropy::hex(&station.key.sign(&request.message()));
    let answer: OidcLoginResponse = post(&client, &format!("{server}/auth/oidc"), &request).await?;
    station.clock.learn(answer.login.server_time_ms);
    Ok(answer)
}

/// Gives the person whose session this is a new password or PIN.
pub(crate) async fn change_secret(
    station: &Station,
    token: &str,
    request: &SecretRequest,
) -> Result<SecretResponse, EngineError> {
    let (client, server, _) = reach(station)?;
    read(
        client
            .post(format!("{server}/auth/secret"))
            .bearer_auth(token)
            .json(request),
    )
    .await
}

/// Asks the server whether a person may sign in by less than the provider now.
pub(crate) async fn way(station: &Station, user: &str) -> Result<WayAnswer, EngineError> {
    let (client, server, device) = reach(station)?;
    let mut request = WayRequest {
        user: user.to_owned(),
        device,
        at_ms: station.clock.now().0,
        signature: String::new(),
    };
    request.signature = entropy::hex(&station.key.sign(&request.message()));
    post(&client, &format!("{server}/auth/way"), &request).await
}

/// Signs a person in at the server; the request is signed by the device. `badge`: by which they were picked.
pub(crate) async fn login(
    station: &Station,
    user: &str,
    secret: &str,
    badge: Option<&str>,
) -> Result<LoginResponse, EngineError> {
    let (client, server, device) = reach(station)?;
    let at_ms = station.clock.now().0;
    let mut message = b"vitrine-login".to_vec();
    message.extend_from_slice(user.as_bytes());
    message.push(0);
    message.extend_from_slice(device.as_bytes());
    message.extend_from_slice(&at_ms.to_be_bytes());
    let request = LoginRequest {
        user: user.to_owned(),
        secret: secret.to_owned(),
        device,
        at_ms,
        signature: entropy::hex(&station.key.sign(&message)),
        badge: badge.map(str::to_owned),
    };
    let answer: LoginResponse = post(&client, &format!("{server}/auth/login"), &request).await?;
    station.clock.learn(answer.server_time_ms);
    Ok(answer)
}
