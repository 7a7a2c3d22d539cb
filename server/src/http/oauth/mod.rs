//! OAuth 2.0 for programs, as SMART App Launch 2.2 wants it (ADR 48): discovery, letting a program in, tokens, introspection,
//! revocation.
//!
//! Lives here: what these routes share: where this server is, reading a form, how an error is told, and the one way in which
//! a program proves itself ([`authenticate`]). Never here: what a token may do (the policy), keys and assertions
//! (`identity::clients`), sessions (`identity::sessions`). Called by the router.

pub mod authorize;
mod consent;
pub mod discovery;
pub mod introspect;
pub mod launch;
mod page;
mod request;
pub mod revoke;
pub mod token;

use super::auth::sign_in_row;
use super::fhir::Query;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use crate::identity::clients::assertion;
use crate::identity::secrets;
use axum::Json;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use vitrine_access::{Actor, Kind};
use vitrine_store::{ClientRow, StoreError};

/// The longest `client_id`, bytes.
const ID_MOST: usize = 64;
/// Where wrong secrets and assertions of programs are counted.
const CLIENT: &str = "client";
/// Who is named in the audit log where a request names no program.
const NOBODY: &str = "unknown";

/// `/auth/token`.
pub const TOKEN: &str = "/auth/token";

/// Where this server is, as configured; else as it was asked (HTTP/2 has it in the request line, HTTP/1 in `Host`).
pub(super) fn root(app: &App, headers: &HeaderMap, uri: &Uri) -> String {
    let configured = app.config.listen.public_url.trim_end_matches('/');
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let asked = uri.authority().map(axum::http::uri::Authority::as_str);
    let asked = asked.or_else(|| headers.get(header::HOST)?.to_str().ok());
    format!("https://{}", asked.unwrap_or("localhost"))
}

/// An error of RFC 6749 §5.2.
pub(super) fn oauth_error(status: StatusCode, error: &str, text: &str) -> Response {
    let mut out = (
        status,
        Json(serde_json::json!({"error": error, "error_description": text})),
    )
        .into_response();
    if status == StatusCode::UNAUTHORIZED {
        out.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            header::HeaderValue::from_static("Basic realm=\"vitrine\""),
        );
    }
    out
}

pub(super) fn invalid_request(text: &str) -> Response {
    oauth_error(StatusCode::BAD_REQUEST, "invalid_request", text)
}

fn invalid_client(text: &str) -> Response {
    oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", text)
}

pub(super) fn failed(e: StoreError) -> Response {
    Refused::from(e).into_response()
}

/// A request that is not well formed, and why: answered with 400 `invalid_request`.
#[derive(Debug)]
pub(super) struct Malformed(&'static str);

impl From<Malformed> for Response {
    fn from(why: Malformed) -> Self {
        invalid_request(why.0)
    }
}

/// Reads a form in which no parameter stands twice (RFC 6749 §3.1, §3.2).
pub(super) fn form(text: &[u8]) -> Result<Query, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed("the form is no text"))?;
    let form = Query::parse(text);
    let names: BTreeSet<&str> = form.0.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() == form.0.len() {
        Ok(form)
    } else {
        Err(Malformed("a parameter stands twice"))
    }
}

/// `Authorization: Basic`, id and secret form-encoded within (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = String::from_utf8(secrets::unb64(rest.trim())?).ok()?;
    let (id, secret) = plain.split_once(':')?;
    let pair = Query::parse(&format!("{id}={secret}"));
    pair.0.into_iter().next()
}

/// What a program proves itself by.
enum Shown {
    Secret(String, String),
    Assertion(String, String),
}

/// The one proof that a request brings (RFC 6749 §2.3: never two).
fn shown(headers: &HeaderMap, form: &Query) -> Result<Option<Shown>, Malformed> {
    let told = form.get("client_id").unwrap_or_default();
    let mut all = Vec::new();
    if headers.contains_key(header::AUTHORIZATION) {
        let (id, secret) = basic(headers).unwrap_or_default();
        if !told.is_empty() && told != id {
            return Err(Malformed("client_id is another than that of the header"));
        }
        all.push(Shown::Secret(id, secret));
    }
    if let Some(secret) = form.get("client_secret") {
        all.push(Shown::Secret(told.to_owned(), secret.to_owned()));
    }
    if let Some(text) = form.get("client_assertion") {
        if form.get("client_assertion_type") != Some(assertion::TYPE) {
            return Err(Malformed(
                "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
        }
        let id = assertion::claimed(text).unwrap_or_else(|| told.to_owned());
        if !told.is_empty() && told != id {
            return Err(Malformed("client_id is another than iss of the client assertion"));
        }
        all.push(Shown::Assertion(id, text.to_owned()));
    }
    if all.len() > 1 {
        return Err(Malformed("a program proves itself by one thing at a time"));
    }
    Ok(all.pop())
}

/// The program that a request proves to be from, and how it did: the rule of the audit row. Wrong secrets and wrong assertions
/// are written down and counted alike.
///
/// # Errors
/// The answer: 401 `invalid_client`, 400 `invalid_request`, 429 after too many wrong tries.
pub(super) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    form: &Query,
) -> Result<(ClientRow, &'static str), Response> {
    let wrong_secret = "client id or secret is wrong";
    let Some(shown) = shown(headers, form)? else {
        return Err(invalid_client(wrong_secret));
    };
    let (Shown::Secret(id, _) | Shown::Assertion(id, _)) = &shown;
    let id = if id.is_empty() || id.len() > ID_MOST {
        NOBODY
    } else {
        id.as_str()
    }
    .to_owned();
    let now = clock::now();
    if let Some(s) = app.throttle.wait_s(&id, CLIENT, now) {
        return Err(Refused::throttled(s).into_response());
    }
    let known = app.store.client(&id).await.map_err(failed)?;
    let found = match shown {
        Shown::Secret(_, secret) => {
            let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
            known
                .filter(|c| c.secret.is_some_and(|kept| secrets::same(&kept, &hash)))
                .map(|c| (c, "client-secret"))
                .ok_or(("wrong-secret", wrong_secret))
        }
        Shown::Assertion(_, text) => {
            let audience = match app.config.listen.public_url.trim_end_matches('/') {
                // Another server's address in `Host` must not make its assertions ours.
                "" => String::new(),
                root => format!("{root}{TOKEN}"),
            };
            let keys = known.as_ref().and_then(|c| c.keys.as_deref());
            let mut proof = assertion::proven(&text, &id, keys, &audience, now);
            if let Ok(proven) = proof {
                let first = app.store.once(proven.once, now, proven.until).await;
                if !first.map_err(failed)? {
                    proof = Err(assertion::Fault::Replay);
                }
            }
            match (proof, known) {
                (Ok(_), Some(client)) => Ok((client, "client-assertion")),
                (Ok(_), None) => Err((assertion::Fault::UnknownKey.rule(), wrong_secret)),
                (Err(fault), _) => Err((fault.rule(), fault.words())),
            }
        }
    };
    match found {
        Ok(found) => {
            app.throttle.right(&id, CLIENT);
            Ok(found)
        }
        Err((rule, text)) => {
            app.throttle.wrong(&id, CLIENT, now);
            let row = sign_in_row(Actor::Client(id), None, Kind::SignIn, rule, false);
            app.store.append(row).await.map_err(failed)?;
            Err(invalid_client(text))
        }
    }
}

/// The same, or a public program, which has nothing to prove itself by and says who it is.
///
/// # Errors
/// As [`authenticate`].
pub(super) async fn authenticate_or_public(
    app: &App,
    headers: &HeaderMap,
    form: &Query,
) -> Result<(ClientRow, &'static str), Response> {
    let proves = headers.contains_key(header::AUTHORIZATION)
        || form.get("client_secret").is_some()
        || form.get("client_assertion").is_some();
    if let (false, Some(id)) = (proves, form.get("client_id").filter(|id| id.len() <= ID_MOST)) {
        let known = app.store.client(id).await.map_err(failed)?;
        if let Some(client) = known.filter(|c| c.secret.is_none() && c.keys.is_none()) {
            return Ok((client, "public-client"));
        }
    }
    authenticate(app, headers, form).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded_within() {
        let mut h = HeaderMap::new();
        h.insert(
            header::AUTHORIZATION,
            header::HeaderValue::from_static("Basic YSU0MGI6YytkJTNE"),
        );
        assert_eq!(basic(&h), Some(("a@b".to_owned(), "c d=".to_owned())));
    }

    #[test]
    fn a_request_brings_one_proof() {
        let none = HeaderMap::new();
        let mut with_basic = HeaderMap::new();
        with_basic.insert(
            header::AUTHORIZATION,
            header::HeaderValue::from_static("Basic YTpi"),
        );
        let jwt = format!("client_assertion=x&client_assertion_type={}", assertion::TYPE);
        for (headers, text, fine) in [
            (&none, "client_id=a&client_secret=b".to_owned(), true),
            (&none, jwt.clone(), true),
            (&none, "client_assertion=x".to_owned(), false),
            (
                &none,
                "client_assertion=x&client_assertion_type=saml".to_owned(),
                false,
            ),
            (&none, format!("{jwt}&client_id=a&client_secret=b"), false),
            (&with_basic, String::new(), true),
            (&with_basic, "client_id=a".to_owned(), true),
            (&with_basic, "client_id=b".to_owned(), false),
            (&with_basic, "client_id=a&client_secret=b".to_owned(), false),
            (&with_basic, jwt, false),
        ] {
            let form = form(text.as_bytes()).unwrap();
            assert_eq!(shown(headers, &form).is_ok_and(|s| s.is_some()), fine, "{text}");
        }
        assert!(shown(&none, &Query::default()).unwrap().is_none());
        assert!(form(b"a=1&b=2&a=1").is_err() && form(b"\xff").is_err());
    }
}
