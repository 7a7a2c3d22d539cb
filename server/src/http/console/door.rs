//! The one way into the console's API: every route with [`super::super::Door::Console`] is mounted through [`through`] by the
//! router, and its handler takes what that found out ([`Reader`]); without it there is none.
//!
//! Lives here: the cookie, the CSRF token, origin and content type. Never here: what the reader may do (the policy). Called
//! by the router and `session`.

use super::No;
use crate::app::App;
use crate::identity::secrets::same;
use crate::identity::sessions::{self, AtConsole};
use crate::keys::hex;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::ops::RangeInclusive;
use std::sync::Arc;
use vitrine_access::policy;
use vitrine_access::{Action, Permit};
use vitrine_clinical::UserId;

/// Name of the cookie. `__Host-`: from this host alone, over TLS, for all of it.
pub const COOKIE: &str = "__Host-vitrine-console";
/// Goes with everything but GET.
pub const X_VITRINE_CSRF: HeaderName = HeaderName::from_static("x-vitrine-csrf");
/// Length of a token: 32 bytes as hex.
const TOKEN: usize = 64;

/// Who is signed in, past all checks of the door.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The person and the session.
    pub at: AtConsole,
    /// The session's CSRF token.
    pub csrf: String,
}

impl Reader {
    /// Sign-in name.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.at.account.user
    }

    /// Whether the policy lets them do an act that concerns no patient; nothing is written.
    ///
    /// # Errors
    /// [`No`] when the store fails.
    pub async fn may<A: Action>(&self, app: &App) -> Result<bool, No> {
        let request = app.request(&self.at.caller, None, None).await?;
        Ok(policy::verdict(A::NAME, &request).allow)
    }

    /// Leave for it; a refusal is written down.
    ///
    /// # Errors
    /// [`No`].
    pub async fn permit<A: Action>(&self, app: &App) -> Result<Permit<A>, No> {
        let request = app.request(&self.at.caller, None, None).await?;
        Ok(app.decide::<A>(request).await?.noted("door", "console"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = No;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, No> {
        // Put there by `through`. A route that is mounted without it lets nobody in.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(No::not_signed_in)
    }
}

/// A request of our own page that changes something, before anybody is signed in.
pub struct OwnPage;

impl<S: Send + Sync> FromRequestParts<S> for OwnPage {
    type Rejection = No;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, No> {
        fetched_here(&parts.headers)?;
        own_page(&parts.headers, &parts.uri)?;
        Ok(Self)
    }
}

/// Lets a request through to its route, or refuses it.
pub async fn through(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let found = match ours(&request) {
        Ok((token, csrf)) => match sessions::at_console(&app, &token).await {
            Ok(Some(at)) => Ok(Reader { at, csrf }),
            Ok(None) => Err(No::not_signed_in()),
            Err(e) => Err(e.into()),
        },
        Err(no) => Err(no),
    };
    match found {
        Ok(reader) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Err(no) => no.into_response(),
    }
}

/// The token and its CSRF token, of a request that our own page made. It comes before the session is looked up, so that what
/// another page sends prolongs none.
fn ours(request: &Request) -> Result<(String, String), No> {
    let headers = request.headers();
    fetched_here(headers)?;
    let token = cookie(headers).ok_or_else(No::not_signed_in)?;
    let changes = request.method() != Method::GET;
    let csrf = csrf_of(&token);
    if changes {
        own_page(headers, request.uri())?;
        let sent = headers
            .get(&X_VITRINE_CSRF)
            .map(axum::http::HeaderValue::as_bytes);
        if !sent.is_some_and(|s| same(s, csrf.as_bytes())) {
            return Err(csrf_refused(
                "The header X-Vitrine-Csrf is not this session's: load the page anew.",
            ));
        }
    }
    Ok((token, csrf))
}

fn csrf_refused(text: &str) -> No {
    No::new(StatusCode::FORBIDDEN, "csrf", text)
}

/// A browser that says where a request was made must say: on our own page, or by the person.
pub(in crate::http) fn fetched_here(headers: &HeaderMap) -> Result<(), No> {
    match headers
        .get("sec-fetch-site")
        .map(axum::http::HeaderValue::as_bytes)
    {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(csrf_refused(
            "Another page asked for this: it is answered to the console alone.",
        )),
    }
}

/// Origin and content type of whatever changes something.
fn own_page(headers: &HeaderMap, uri: &Uri) -> Result<(), No> {
    if !is_own(headers, uri) {
        return Err(csrf_refused(
            "The request does not come from the console of this server.",
        ));
    }
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| {
            let media = v.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("application/json")
        });
    if json {
        Ok(())
    } else {
        Err(No::bad("Send Content-Type: application/json."))
    }
}

/// Whether `Origin` is the address that was asked (HTTP/2 has it in the request line, HTTP/1 in `Host`), over TLS.
pub(in crate::http) fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    let asked = match uri.authority() {
        Some(a) => Some(a.as_str()),
        None => headers.get(header::HOST).and_then(|h| h.to_str().ok()),
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().and_then(|o| o.to_str().ok());
    let (Some(asked), Some(origin), None) = (asked, origin, origins.next()) else {
        return false;
    };
    let plain = |host: &str| host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
    !asked.is_empty()
        && origin
            .strip_prefix("https://")
            .is_some_and(|o| plain(o) == plain(asked))
}

/// The token of the cookie; none where the name stands twice, or it is not what this server gives out.
pub(in crate::http) fn cookie(headers: &HeaderMap) -> Option<String> {
    one_cookie(headers, COOKIE)
}

/// The same of a cookie of this name.
pub(super) fn one_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    hex_cookie(headers, name, TOKEN..=TOKEN)
}

/// The same of one whose value has so many characters.
pub(super) fn hex_cookie(headers: &HeaderMap, name: &str, long: RangeInclusive<usize>) -> Option<String> {
    let all = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let mut ours = all
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(n, _)| *n == name)
        .map(|(_, token)| token);
    let token = ours.next()?;
    let fits = long.contains(&token.len()) && token.bytes().all(|b| b.is_ascii_hexdigit());
    (fits && ours.next().is_none()).then(|| token.to_owned())
}

/// The CSRF token that belongs to a session's token: who has the cookie alone (a browser) cannot say it, and it does not give
/// the cookie away.
pub(in crate::http) fn csrf_of(token: &str) -> String {
    hex(&Sha256::digest(
        [b"vitrine-console-csrf\0", token.as_bytes()].concat(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for (name, value) in pairs {
            out.append(*name, value.parse().unwrap());
        }
        out
    }

    #[test]
    fn only_our_own_address_over_tls_is_our_origin() {
        let path: Uri = "/console/api/chains".parse().unwrap();
        for (host, origin, own) in [
            ("vitrine.example:8443", "https://vitrine.example:8443", true),
            ("Vitrine.example", "https://vitrine.EXAMPLE", true),
            ("vitrine.example:443", "https://vitrine.example", true),
            ("vitrine.example:8443", "http://vitrine.example:8443", false),
            ("vitrine.example:8443", "https://vitrine.example", false),
            ("vitrine.example", "https://evil.example", false),
            ("vitrine.example", "https://vitrine.example.evil.example", false),
            ("vitrine.example", "https://sub.vitrine.example", false),
            ("vitrine.example", "null", false),
            ("", "https://", false),
        ] {
            let h = headers(&[("host", host), ("origin", origin)]);
            assert_eq!(is_own(&h, &path), own, "{host} {origin}");
        }
        let h2: Uri = "https://vitrine.example/console/api/chains".parse().unwrap();
        assert!(is_own(&headers(&[("origin", "https://vitrine.example")]), &h2));
        assert!(!is_own(&headers(&[("host", "vitrine.example")]), &path), "none");
        let twice = [("host", "a"), ("origin", "https://a"), ("origin", "https://b")];
        assert!(!is_own(&headers(&twice), &path));
    }

    #[test]
    fn a_cookie_counts_once_and_in_our_form_alone() {
        let token = "0a".repeat(32);
        let one = format!("a=b; {COOKIE}={token}");
        assert_eq!(cookie(&headers(&[("cookie", &one)])), Some(token.clone()));
        assert_eq!(
            cookie(&headers(&[("cookie", "a=b"), ("cookie", &one)])),
            Some(token.clone())
        );
        for bad in [
            format!("{COOKIE}={token}; {COOKIE}={token}"),
            format!("{COOKIE}=short"),
            format!("vitrine-console={token}"),
            String::new(),
        ] {
            assert_eq!(cookie(&headers(&[("cookie", &bad)])), None, "{bad}");
        }
        assert_ne!(csrf_of(&token), csrf_of(&"0b".repeat(32)));
        assert!(!csrf_of(&token).contains(&token));
    }
}
