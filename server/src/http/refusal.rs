//! How the server says no: OperationOutcome under `/fhir`, a [`vitrine_wire::http::Refusal`] elsewhere.
//!
//! Lives here: the two kinds of refusal and what each failure becomes. Never here: PHI. Called by all of `http`.

use crate::app::NoAccess;
use crate::ops::guarded::{RESTING, TOO_LONG};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use vitrine_access::policy::Denied;
use vitrine_fhir::{Issue, IssueCode, outcome};
use vitrine_store::StoreError;
use vitrine_wire::ErrorCode;

/// The media type of FHIR JSON.
pub const FHIR_JSON: &str = "application/fhir+json; fhirVersion=4.0";

/// What tells a program that breaking the glass would help.
#[must_use]
pub fn etreat() -> serde_json::Value {
    serde_json::json!([{
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        "code": "ETREAT",
        "display": "Emergency Treatment"
    }])
}

/// A refusal under `/fhir`.
#[derive(Debug, Clone)]
pub struct FhirRefusal {
    /// Status.
    pub status: StatusCode,
    /// OperationOutcome, JSON.
    pub body: Vec<u8>,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u32>,
}

impl FhirRefusal {
    /// One issue.
    pub fn new(status: StatusCode, code: IssueCode, expression: &str, text: impl Into<String>) -> Self {
        Self::issues(status, &[Issue::new(code, expression, text)])
    }
    /// Several issues.
    #[must_use]
    pub fn issues(status: StatusCode, issues: &[Issue]) -> Self {
        Self {
            status,
            body: outcome::errors(issues),
            retry_after_s: None,
        }
    }
    /// A Patient is not deleted while something is in the record.
    #[must_use]
    pub fn record_not_empty() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            IssueCode::Conflict,
            "",
            "the record of this patient is not empty: a record is destroyed as a whole and by its own way, vitrine-server archive destroy request (docs/RUNBOOK.md)",
        )
    }
    /// The same with the place it is about, where it names none.
    #[must_use]
    pub fn at(mut self, expression: &str) -> Self {
        let read = serde_json::from_slice::<serde_json::Value>(&self.body);
        if let Ok(mut outcome) = read
            && let Some(issue) = outcome
                .pointer_mut("/issue/0")
                .and_then(serde_json::Value::as_object_mut)
            && !issue.contains_key("expression")
        {
            issue.insert("expression".to_owned(), serde_json::json!([expression]));
            self.body = outcome.to_string().into_bytes();
        }
        self
    }
    /// Not there.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            IssueCode::NotFound,
            "",
            "no such resource here",
        )
    }
    /// Turned away because of load.
    #[must_use]
    pub fn busy(retry_after_s: u32) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                IssueCode::Throttled,
                "",
                "the server has more to do than it can: try again after the seconds of Retry-After",
            )
        }
    }
    /// No valid token.
    #[must_use]
    pub fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            IssueCode::Login,
            "",
            "send a bearer token: POST /auth/token or /auth/login",
        )
    }
    /// The issues of a content that was understood and is wrong.
    #[must_use]
    pub fn content(issues: &[Issue]) -> Self {
        let status = match issues.first().map(|i| i.code) {
            Some(IssueCode::MultipleMatches | IssueCode::Conflict) => StatusCode::PRECONDITION_FAILED,
            Some(IssueCode::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Some(IssueCode::Structure) if issues.first().is_some_and(|i| i.expression.is_empty()) => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::issues(status, issues)
    }

    /// The refusal of the policy: `suppressed`, after the R4 example "break-the-glass", where breaking the glass
    /// would allow it; `forbidden` otherwise.
    #[must_use]
    pub fn denied(denied: &Denied) -> Self {
        if !denied.break_glass_offered {
            return Self::new(StatusCode::FORBIDDEN, IssueCode::Forbidden, "", denied.text);
        }
        Self::suppressed()
    }

    /// The refusal that offers breaking the glass. It says the same whether a record is another ward's, too confidential
    /// or not there at all.
    #[must_use]
    pub fn suppressed() -> Self {
        let body = serde_json::json!({"resourceType": "OperationOutcome", "issue": [{
            "severity": "error",
            "code": "suppressed",
            "details": {
                "coding": etreat(),
                "text": "Breaking the glass opens this record for four hours: POST /auth/break-glass"
            },
            "diagnostics": NOT_INCLUDED
        }]});
        Self {
            status: StatusCode::FORBIDDEN,
            body: body.to_string().into_bytes(),
            retry_after_s: None,
        }
    }
}

impl From<NoAccess> for FhirRefusal {
    fn from(e: NoAccess) -> Self {
        match e {
            NoAccess::Denied(d) => Self::denied(&d),
            NoAccess::Store(e) => e.into(),
        }
    }
}

impl From<StoreError> for FhirRefusal {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::VersionConflict { expected: None, .. } => Self::new(
                StatusCode::CONFLICT,
                IssueCode::Conflict,
                "",
                "the resource exists already",
            ),
            StoreError::VersionConflict {
                expected: Some(_),
                found,
                ..
            } => {
                let text = match found {
                    Some(v) => format!("the current version is W/\"{v}\": read it and try again"),
                    None => "the resource is not there".to_owned(),
                };
                Self::new(StatusCode::PRECONDITION_FAILED, IssueCode::Conflict, "", text)
            }
            StoreError::OpReused(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueCode::Duplicate,
                "",
                "this Idempotency-Key was used before with other content: use a new key",
            ),
            StoreError::Unprojectable { reason, key, .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueCode::Invalid,
                key.kind.as_str(),
                reason,
            ),
            StoreError::Withheld(denied) => Self::denied(&denied),
            StoreError::WrongPatient(_) => Self::new(
                StatusCode::FORBIDDEN,
                IssueCode::Forbidden,
                "",
                "the change touches another patient than the one it was allowed for",
            ),
            StoreError::Destroyed { .. } => Self::new(
                StatusCode::GONE,
                IssueCode::Processing,
                "",
                "this record was destroyed: nothing is stored under its id again",
            ),
            StoreError::NotEmpty { .. } => Self::record_not_empty(),
            StoreError::Refused(text) => Self::new(StatusCode::CONFLICT, IssueCode::Processing, "", text),
            StoreError::Archived { .. } => Self {
                retry_after_s: Some(60),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    IssueCode::Transient,
                    "",
                    "something that this rests on lies in the archive and must be recalled first: read it, which asks for it; nothing was changed",
                )
            },
            e @ (StoreError::NotIndexed { .. } | StoreError::NotFoundYet { .. }) => Self {
                retry_after_s: Some(30),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    IssueCode::Transient,
                    "",
                    format!("{e}; the server is at it: try again"),
                )
            },
            StoreError::PackMissing(_) => {
                tracing::error!(error = %e, "a pack is missing");
                Self {
                    retry_after_s: Some(60),
                    ..Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        IssueCode::Exception,
                        "",
                        "the file that holds it is missing: nothing is shown; the server's log names it",
                    )
                }
            }
            StoreError::Full(_) => Self {
                retry_after_s: Some(60),
                ..Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    IssueCode::Exception,
                    "",
                    "the server's disk is full",
                )
            },
            StoreError::Backend {
                doing: doing @ (RESTING | TOO_LONG),
                ..
            } => {
                tracing::warn!(doing, "a read was given up");
                Self {
                    retry_after_s: Some(5),
                    ..Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        IssueCode::Transient,
                        "",
                        "the store does not answer in time: nothing is shown; try again",
                    )
                }
            }
            other => {
                tracing::error!(error = %other, "the store failed");
                Self {
                    retry_after_s: Some(5),
                    ..Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        IssueCode::Exception,
                        "",
                        "the store failed; nothing was shown or changed unless it was acknowledged before",
                    )
                }
            }
        }
    }
}

impl IntoResponse for FhirRefusal {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"vitrine\""),
            );
        }
        if let Some(s) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(s));
        }
        (self.status, headers, self.body).into_response()
    }
}

/// A refusal outside `/fhir`.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Status.
    pub status: StatusCode,
    /// What the body says.
    pub refusal: vitrine_wire::http::Refusal,
}

impl Refused {
    /// A refusal.
    pub fn new(status: StatusCode, code: ErrorCode, text: impl Into<String>) -> Self {
        let refusal = vitrine_wire::http::Refusal {
            code,
            text: text.into(),
            retry_after_s: None,
            break_glass_offered: false,
        };
        Self { status, refusal }
    }
    /// Too many wrong secrets.
    #[must_use]
    pub fn throttled(seconds: u32) -> Self {
        let mut out = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Throttled,
            format!("Too many wrong tries: wait {seconds} seconds."),
        );
        out.refusal.retry_after_s = Some(seconds);
        out
    }
    /// The provider answers: it is the way in.
    #[must_use]
    pub fn use_provider(name: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            ErrorCode::UseProvider,
            format!("Sign in with {name}: it answers, and is the way in here."),
        )
    }
    /// Turned away because of load.
    #[must_use]
    pub fn busy(seconds: u32) -> Self {
        let mut out = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Overloaded,
            format!("The server is busy: try again in {seconds} seconds."),
        );
        out.refusal.retry_after_s = Some(seconds);
        out
    }
    /// A wrong name or secret; never says which.
    #[must_use]
    pub fn wrong_secret() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::WrongSecret,
            "Name or secret is wrong.",
        )
    }
}

impl From<StoreError> for Refused {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Refused(text) => Self::new(StatusCode::CONFLICT, ErrorCode::Conflict, text),
            StoreError::Withheld(denied) => NoAccess::Denied(denied).into(),
            other => {
                tracing::error!(error = %other, "the store failed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    ErrorCode::Internal,
                    "The server's store failed: try again.",
                )
            }
        }
    }
}

/// Another ward's, too confidential, or not there.
pub(super) const NOT_INCLUDED: &str = "Your access does not include this, or there is nothing here.";

impl From<NoAccess> for Refused {
    fn from(e: NoAccess) -> Self {
        match e {
            NoAccess::Store(e) => e.into(),
            NoAccess::Denied(d) => {
                // What an emergency would open is refused in the same words whatever is in the way: that somebody's record is
                // confidential is not told (ADR 44).
                let text = if d.break_glass_offered {
                    NOT_INCLUDED
                } else {
                    d.text
                };
                let mut out = Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, text);
                out.refusal.break_glass_offered = d.break_glass_offered;
                out
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut out = (self.status, axum::Json(&self.refusal)).into_response();
        if let Some(s) = self.refusal.retry_after_s {
            out.headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(s));
        }
        // For the console, which says the same in its own form.
        out.extensions_mut().insert(self.refusal);
        out
    }
}
