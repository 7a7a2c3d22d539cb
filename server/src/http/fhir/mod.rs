//! FHIR R4 over HTTP.
//!
//! Lives here: one file per interaction, and what they share (media types, preferences, version headers).
//! Never here: what FHIR JSON means (`vitrine_fhir`), the transaction itself (`ingest::apply`).
//! Called by the router.

pub mod audit_event;
pub mod away;
pub mod bundle;
pub mod endpoint;
mod entries;
pub mod everything;
pub mod history;
pub mod last_known;
pub mod matching;
pub mod metadata;
pub mod openapi;
pub mod patch;
pub mod read;
pub mod remove;
pub mod search;
mod seen;
pub mod validate;
pub mod write;

pub use seen::Counts;

use super::refusal::{FHIR_JSON, FhirRefusal};
use crate::clock;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use vitrine_clinical::{ResourceKey, UtcMs};
use vitrine_fhir::IssueCode;

/// The query of a request, decoded, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// Reads a query or form text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|p| {
            let (k, v) = p.split_once('=').unwrap_or((p, ""));
            (decoded(k), decoded(v))
        });
        Self(pairs.collect())
    }
    /// The first value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// `%41` and `+` undone; bytes that are no UTF-8 become the replacement character.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (b, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What the client wants back; refuses what is not JSON with 406.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The query.
    pub query: Query,
    /// `Prefer: return=…`.
    pub returns: Returns,
    /// `Prefer: handling=lenient`: what is not supported of a search is left out, and the answer says so.
    pub lenient: bool,
    /// Where this server's FHIR is, as the client called it: `https://host:port/fhir`.
    pub base: String,
}

/// `Prefer: return=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Returns {
    /// The resource as stored. The default of a single create and update.
    #[default]
    Representation,
    /// Headers alone.
    Minimal,
    /// An OperationOutcome.
    Outcome,
}

impl<S: Sync> FromRequestParts<S> for Wanted {
    type Rejection = FhirRefusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, FhirRefusal> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let format = query.get("_format");
        let accepted = match format {
            Some(f) => is_json(f),
            None => accepts_json(&parts.headers),
        };
        if !accepted {
            return Err(FhirRefusal::new(
                StatusCode::NOT_ACCEPTABLE,
                IssueCode::NotSupported,
                "",
                "only JSON is served: Accept: application/fhir+json",
            ));
        }
        // HTTP/2 names the host in the request line, HTTP/1.1 in a header.
        let host = parts.uri.authority().map(ToString::to_string);
        let host = host.or_else(|| Some(parts.headers.get(header::HOST)?.to_str().ok()?.to_owned()));
        let base = format!("https://{}/fhir", host.as_deref().unwrap_or("localhost"));
        Ok(Self {
            query,
            returns: returns(&parts.headers),
            lenient: prefers(&parts.headers, "handling=") == Some("lenient"),
            base,
        })
    }
}

fn is_json(media: &str) -> bool {
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(
        media.as_str(),
        "json" | "application/json" | "application/fhir+json" | "text/json" | "application/fhir json"
    )
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for part in value.split(',') {
            any = true;
            let media = part.split(';').next().unwrap_or_default().trim();
            if is_json(media) || matches!(media, "*/*" | "application/*") {
                return true;
            }
        }
    }
    !any
}

/// What a `Prefer` says behind `name=`.
fn prefers<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let values = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    values
        .flat_map(|v| v.split([',', ';']))
        .find_map(|p| p.trim().strip_prefix(name))
}

fn returns(headers: &HeaderMap) -> Returns {
    match prefers(headers, "return=") {
        Some("minimal") => Returns::Minimal,
        Some("OperationOutcome") => Returns::Outcome,
        _ => Returns::Representation,
    }
}

/// Refuses a body that says it is not JSON.
///
/// # Errors
/// 415.
pub fn must_be_json(headers: &HeaderMap) -> Result<(), FhirRefusal> {
    match headers
        .get(header::CONTENT_TYPE)
        .map(|t| t.to_str().unwrap_or_default())
    {
        Some(t) if !is_json(t) => Err(FhirRefusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            IssueCode::NotSupported,
            "",
            "send Content-Type: application/fhir+json",
        )),
        _ => Ok(()),
    }
}

/// The operation id of a request: its `Idempotency-Key`, else a fresh one.
///
/// # Errors
/// 400 when the header is not a UUID.
pub fn operation(headers: &HeaderMap) -> Result<uuid::Uuid, FhirRefusal> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(clock::new_uuid());
    };
    value
        .to_str()
        .ok()
        .and_then(|t| uuid::Uuid::parse_str(t.trim().trim_matches('"')).ok())
        .ok_or_else(|| {
            FhirRefusal::new(
                StatusCode::BAD_REQUEST,
                IssueCode::Value,
                "",
                "Idempotency-Key must be a UUID",
            )
        })
}

/// The version of an entity tag `W/"3"`.
#[must_use]
pub fn version_of(tag: &str) -> Option<u64> {
    tag.trim().trim_start_matches("W/").trim_matches('"').parse().ok()
}

/// The key a path names.
///
/// # Errors
/// 404 for a type FHIR does not have, 400 for an id that is none.
pub fn path_key(kind: &str, id: &str) -> Result<ResourceKey, FhirRefusal> {
    path_kind(kind)?;
    ResourceKey::new(kind, id).map_err(|e| {
        FhirRefusal::new(
            StatusCode::BAD_REQUEST,
            IssueCode::Value,
            &format!("{kind}.id"),
            e.to_string(),
        )
    })
}

/// Refuses a type FHIR R4 does not have.
///
/// # Errors
/// 404.
pub fn path_kind(kind: &str) -> Result<(), FhirRefusal> {
    if vitrine_fhir::is_resource_type(kind) {
        return Ok(());
    }
    Err(FhirRefusal::new(
        StatusCode::NOT_FOUND,
        IssueCode::NotSupported,
        "",
        "not a FHIR R4 (4.0.1) resource type",
    ))
}

/// An entry that says something beside what was found.
pub(super) fn told(code: &str, text: &str) -> serde_json::Value {
    let issue = serde_json::json!({"severity": "warning", "code": code, "details": {"text": text}});
    serde_json::json!({"resource": {"resourceType": "OperationOutcome", "issue": [issue]}, "search": {"mode": "outcome"}})
}

/// An answer with a FHIR body.
pub fn answer(status: StatusCode, version: Option<(u64, UtcMs)>, body: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    if let Some((version, updated)) = version {
        put_version(&mut headers, version, Some(updated));
    }
    (status, headers, body).into_response()
}

/// Sets `ETag` and `Last-Modified`.
pub fn put_version(headers: &mut HeaderMap, version: u64, updated: Option<UtcMs>) {
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{version}\"")) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(date) = updated.and_then(|u| HeaderValue::from_str(&clock::http_date(u)).ok()) {
        headers.insert(header::LAST_MODIFIED, date);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_served_and_xml_is_not() {
        let with = |accept: &str| {
            let mut h = HeaderMap::new();
            h.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            accepts_json(&h)
        };
        assert!(accepts_json(&HeaderMap::new()));
        assert!(with("application/fhir+json"));
        assert!(with("application/fhir+xml, application/json;q=0.5"));
        assert!(with("*/*"));
        assert!(!with("application/fhir+xml"));
        assert!(!with("text/html"));
    }

    #[test]
    fn queries_are_decoded() {
        let q = Query::parse("identifier=a%7Cb+c&_count=5&empty");
        assert_eq!(q.get("identifier"), Some("a|b c"));
        assert_eq!(q.get("_count"), Some("5"));
        assert_eq!(q.get("empty"), Some(""));
        assert_eq!(decoded("%zz%"), "%zz%");
    }

    #[test]
    fn entity_tags_are_numbers() {
        assert_eq!(version_of("W/\"12\""), Some(12));
        assert_eq!(version_of("\"12\""), Some(12));
        assert_eq!(version_of("W/\"x\""), None);
    }
}
