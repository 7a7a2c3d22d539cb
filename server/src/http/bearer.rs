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
use vitrine_access::Purpose;
use vitrine_fhir::IssueCode;
use vitrine_wire::ErrorCode;

/// The token of the `Authorization` header.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Says why a request is made: a code of HL7 v3 ActReason, e.g. `TREAT`, `BTG`, `HPAYMT`.
pub const PURPOSE_OF_USE: &str = "x-purpose-of-use";

/// What is wrong with a stated purpose.
const NO_PURPOSE: &str = "X-Purpose-Of-Use must be one of TREAT, ETREAT, BTG, HPAYMT, HOPERAT, HRESCH, PATRQT, HSYSADMIN, HCOMPL, once";

/// The purpose a request states, if it states one.
fn purpose(headers: &HeaderMap) -> Result<Option<Purpose>, &'static str> {
    let mut stated = headers.get_all(PURPOSE_OF_USE).iter();
    match (stated.next(), stated.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => {
            let code = one.to_str().ok().map(str::trim);
            code.and_then(Purpose::parse).map(Some).ok_or(NO_PURPOSE)
        }
        (Some(_), Some(_)) => Err(NO_PURPOSE),
    }
}

/// A caller of a FHIR route.
pub struct FhirCaller(pub Caller);

impl FromRequestParts<Arc<App>> for FhirCaller {
    type Rejection = FhirRefusal;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, FhirRefusal> {
        let token = token(&parts.headers).ok_or_else(FhirRefusal::no_token)?;
        let caller = sessions::caller(app, token).await?;
        let caller = caller.ok_or_else(FhirRefusal::no_token)?;
        let purpose = purpose(&parts.headers)
            .map_err(|text| FhirRefusal::new(StatusCode::BAD_REQUEST, IssueCode::Value, "", text))?;
        Ok(Self(Caller { purpose, ..caller }))
    }
}

/// A caller of any other route.
pub struct Signed(pub Caller);

impl FromRequestParts<Arc<App>> for Signed {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let none = || Refused::new(StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn, "Sign in first.");
        let token = token(&parts.headers).ok_or_else(none)?;
        let caller = sessions::caller(app, token).await?.ok_or_else(none)?;
        let purpose = purpose(&parts.headers)
            .map_err(|text| Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text))?;
        Ok(Self(Caller { purpose, ..caller }))
    }
}
