//! `POST /fhir/{type}/$validate` and `POST /fhir/{type}/{id}/$validate`: the checks of a write, and nothing is stored.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::{Wanted, answer, must_be_json, path_key, path_kind};
use crate::app::App;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use vitrine_fhir::{Issue, IssueCode, edit};

/// What is checked, said with every answer.
const LEVEL: &str = "checked: the structure, data types and cardinalities of FHIR R4 (4.0.1) and the required bindings this server rests on, as for a write; not checked: profiles, invariants, other bindings, what references lead to";

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow, default)]
    parameter: Vec<Parameter<'a>>,
}

#[derive(Deserialize)]
struct Parameter<'a> {
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(rename = "valueCode")]
    code: Option<String>,
}

/// What is asked.
#[derive(Default)]
struct Asked<'a> {
    resource: Option<&'a [u8]>,
    mode: Option<String>,
    profile: bool,
}

/// Checks a resource of a type.
///
/// # Errors
/// [`FhirRefusal`] for a request that cannot be understood; what is wrong with the resource is the answer.
pub async fn of_type(
    State(_): State<Arc<App>>,
    FhirCaller(_): FhirCaller,
    wanted: Wanted,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    path_kind(&kind)?;
    checked(&wanted, &headers, &kind, None, &body)
}

/// Checks what would become the next version of a resource; whether there is one is not looked up.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn of_instance(
    State(_): State<Arc<App>>,
    FhirCaller(_): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    checked(&wanted, &headers, &kind, Some(key.id.as_str()), &body)
}

fn checked(
    wanted: &Wanted,
    headers: &HeaderMap,
    kind: &str,
    id: Option<&str>,
    body: &[u8],
) -> Result<Response, FhirRefusal> {
    must_be_json(headers)?;
    let mut asked = asked(kind, vitrine_fhir::without_bom(body))?;
    asked.mode = asked.mode.or_else(|| wanted.query.get("mode").map(str::to_owned));
    asked.profile |= wanted.query.get("profile").is_some();
    let mode = asked.mode.as_deref().unwrap_or("create");
    let bad = |text: &str| FhirRefusal::new(StatusCode::BAD_REQUEST, IssueCode::NotSupported, "mode", text);
    if !["create", "update", "delete"].contains(&mode) {
        return Err(bad(
            "mode must be create, update or delete; profiles are not checked here",
        ));
    }
    let Some(resource) = asked.resource else {
        if mode == "delete" {
            return Ok(told(&[], asked.profile));
        }
        return Err(FhirRefusal::new(
            StatusCode::BAD_REQUEST,
            IssueCode::Required,
            "resource",
            "send the resource, or Parameters with a parameter resource",
        ));
    };
    let mut issues = match tokio::task::block_in_place(|| vitrine_fhir::validate(resource)) {
        Ok(envelope) => {
            let mut issues = Vec::new();
            if envelope.kind.as_str() != kind {
                let text = "the resource is of another type than the address names";
                issues.push(Issue::new(IssueCode::Invalid, "resourceType", text));
            }
            if id.is_some_and(|id| envelope.id.as_ref().map(vitrine_clinical::FhirId::as_str) != Some(id)) {
                let text = "the resource's id must be that of the address";
                issues.push(Issue::new(IssueCode::Invalid, format!("{kind}.id"), text));
            }
            issues
        }
        Err(issues) => issues,
    };
    if mode == "update"
        && id.is_none()
        && issues.is_empty()
        && edit::member(resource, "id").ok().flatten().is_none()
    {
        let text = "an update needs an id";
        issues.push(Issue::new(IssueCode::Required, format!("{kind}.id"), text));
    }
    Ok(told(&issues, asked.profile))
}

/// The resource itself, or what a Parameters holds.
fn asked<'a>(kind: &str, body: &'a [u8]) -> Result<Asked<'a>, FhirRefusal> {
    let bare = Asked {
        resource: Some(body),
        ..Asked::default()
    };
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Asked::default());
    }
    let named = edit::member(body, "resourceType").ok().flatten();
    if named != Some(b"\"Parameters\"") {
        return Ok(bare);
    }
    let read: Parameters<'a> = serde_json::from_slice(body).map_err(|_| {
        FhirRefusal::new(
            StatusCode::BAD_REQUEST,
            IssueCode::Structure,
            "Parameters",
            "not the shape of Parameters with resource and mode",
        )
    })?;
    let mut out = Asked::default();
    for p in read.parameter {
        match p.name.as_str() {
            "resource" => out.resource = p.resource.map(|r| r.get().as_bytes()),
            "mode" => out.mode = p.code,
            "profile" => out.profile = true,
            _ => {}
        }
    }
    // A Parameters that wraps nothing is itself what is to be checked.
    if kind == "Parameters" && out.resource.is_none() {
        return Ok(bare);
    }
    Ok(out)
}

/// 200 whatever was found: the operation was carried out (R4, Resource/$validate).
fn told(issues: &[Issue], profile: bool) -> Response {
    let mut list: Vec<serde_json::Value> = issues
        .iter()
        .map(|i| {
            let mut one = json!({"severity": "error", "code": i.code.as_str(), "diagnostics": i.text,
                "details": {"text": LEVEL}});
            if !i.expression.is_empty()
                && let Some(fields) = one.as_object_mut()
            {
                fields.insert("expression".to_owned(), json!([i.expression]));
            }
            one
        })
        .collect();
    if profile {
        list.push(
            json!({"severity": "warning", "code": "not-supported", "details": {"text": LEVEL},
            "diagnostics": "a profile was named: profiles are not checked here"}),
        );
    }
    if issues.is_empty() {
        list.push(
            json!({"severity": "information", "code": "informational", "details": {"text": LEVEL},
            "diagnostics": "no fault was found"}),
        );
    }
    let outcome = json!({"resourceType": "OperationOutcome", "issue": list});
    answer(StatusCode::OK, None, outcome.to_string().into_bytes())
}
