//! The bearer token of a request.
//!
//! Lives here: reading `Authorization` and finding who it speaks for. Never here: what they may do.
//! Called by the routes behind [`super::Door::Bearer`].

use super::refusal::{FhirRefusal, Refused};
use crate::app::App;
use crate::identity::sessions::{self, Caller};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use vitrine_wire::ErrorCode;

/// The token of the `Authorization` header.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A caller of a FHIR route.
pub struct FhirCaller(pub Caller);

impl FromRequestParts<Arc<App>> for FhirCaller {
    type Rejection = FhirRefusal;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, FhirRefusal> {
        let token = token(&parts.headers).ok_or_else(FhirRefusal::no_token)?;
        sessions::caller(app, token)
            .await?
            .map(Self)
            .ok_or_else(FhirRefusal::no_token)
    }
}

/// A caller of any other route.
pub struct Signed(pub Caller);

impl FromRequestParts<Arc<App>> for Signed {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let none = || Refused::new(StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn, "Sign in first.");
        let token = token(&parts.headers).ok_or_else(none)?;
        sessions::caller(app, token).await?.map(Self).ok_or_else(none)
    }
}
