//! The web console: its page, its session and its own API, for reviews, the audit log, workstations, accounts
//! and HL7 v2 messages.
//!
//! Lives here: what all its routes share: how it refuses, who has which name, what is kept in memory. Never here: who is let
//! in (`door`), rules (the policy, `ops`). Called by the router.
//!
//! Nothing here takes a bearer token, and nothing elsewhere takes the console's cookie (ADR 35).

pub mod audit;
pub mod chains;
pub mod devices;
pub mod door;
pub mod messages;
pub mod oidc;
pub mod page;
pub mod people;
pub mod policy;
pub mod reviews;
mod seen;
pub mod session;
pub mod totp;

use super::refusal::Refused;
use crate::app::NoAccess;
use crate::ops::audit::Checked;
use crate::ops::backup::Files;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use vitrine_clinical::{DeviceId, UserId, UtcMs};
use vitrine_store::{Store, StoreError};
use vitrine_wire::ErrorCode;
use vitrine_wire::console::ConsoleRefusal;

/// What the console keeps in memory.
#[derive(Default)]
pub struct Kept {
    /// The backend, for what is checked outside its tables; not set where a test serves without one.
    pub files: OnceLock<Arc<dyn Files>>,
    /// The last check of the chains since the start.
    checked: Mutex<Option<(UtcMs, Checked)>>,
    /// Held while one runs.
    checking: Arc<tokio::sync::Mutex<()>>,
}

/// The code of a refusal where nobody is signed in.
pub(super) const NOT_SIGNED_IN: &str = "not-signed-in";

/// A refusal under `/console/api`.
#[derive(Debug, Clone)]
pub struct No {
    status: StatusCode,
    error: String,
    text: String,
    retry_after_s: Option<u32>,
}

impl No {
    /// One with a code for the page and a sentence for its reader; no PHI.
    pub fn new(status: StatusCode, error: &str, text: impl Into<String>) -> Self {
        Self {
            status,
            error: error.to_owned(),
            text: text.into(),
            retry_after_s: None,
        }
    }
    /// Its status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
    /// Whether it says that nobody is signed in.
    #[must_use]
    pub fn is_not_signed_in(&self) -> bool {
        self.error == NOT_SIGNED_IN
    }
    /// Its sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    fn bad(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", text)
    }
    fn not_found(text: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", text)
    }
    fn refused(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", text)
    }
    /// Nobody is signed in.
    #[must_use]
    pub fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, NOT_SIGNED_IN, "Sign in first.")
    }
}

impl From<Refused> for No {
    fn from(r: Refused) -> Self {
        let code = if r.refusal.code == ErrorCode::Conflict {
            "refused".to_owned()
        } else {
            let code = serde_json::to_value(r.refusal.code).ok();
            let code = code.and_then(|c| c.as_str().map(str::to_owned));
            code.unwrap_or_else(|| "internal".to_owned())
        };
        Self {
            status: r.status,
            error: code,
            text: r.refusal.text,
            retry_after_s: r.refusal.retry_after_s,
        }
    }
}
impl From<StoreError> for No {
    fn from(e: StoreError) -> Self {
        Refused::from(e).into()
    }
}
impl From<NoAccess> for No {
    fn from(e: NoAccess) -> Self {
        Refused::from(e).into()
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let body = ConsoleRefusal {
            error: self.error,
            text: self.text,
        };
        let mut out = (self.status, Json(body)).into_response();
        if let Some(s) = self.retry_after_s {
            out.headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(s));
        }
        out
    }
}

/// Whether an address is the console's.
#[must_use]
pub fn is_here(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/")
}

/// What every answer under `/console` has, and what turns a refusal from outside its routes (no place in its lane, no such
/// address, too large a body) into one that the page can read.
pub(super) fn dressed(path: &str, mut answer: Response) -> Response {
    if path.starts_with("/console/api/")
        && (answer.status().is_client_error() || answer.status().is_server_error())
    {
        let json = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
        if let Some(refusal) = answer.extensions_mut().remove::<vitrine_wire::http::Refusal>() {
            let status = answer.status();
            answer = No::from(Refused { status, refusal }).into_response();
        } else if !json {
            let status = answer.status();
            let text = status.canonical_reason().unwrap_or("The request was refused");
            answer = No::new(status, "bad-request", format!("{text}.")).into_response();
        }
    }
    let headers = answer.headers_mut();
    for (name, value) in [
        ("content-security-policy", page::CSP),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Reads a body; its content type is the door's.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, No> {
    serde_json::from_slice(bytes).map_err(|_| No::bad("The body is not what this address takes."))
}

/// Names as shown.
struct Names {
    people: HashMap<UserId, String>,
    devices: HashMap<DeviceId, String>,
}

impl Names {
    async fn of(store: &dyn Store) -> Result<Self, StoreError> {
        let people = store.accounts().await?.into_iter();
        let devices = store.devices().await?.into_iter();
        Ok(Self {
            people: people.map(|a| (a.user, a.display)).collect(),
            devices: devices.map(|d| (d.id, d.name)).collect(),
        })
    }
    /// Of a person; the sign-in name where there is no account any more.
    fn person(&self, user: &UserId) -> String {
        self.people
            .get(user)
            .cloned()
            .unwrap_or_else(|| user.as_str().to_owned())
    }
    /// Of a workstation; its id where it is not known.
    fn device(&self, id: &DeviceId) -> String {
        self.devices
            .get(id)
            .cloned()
            .unwrap_or_else(|| id.as_str().to_owned())
    }
}
