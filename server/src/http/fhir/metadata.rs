//! `GET /fhir/metadata`: what the server does, made from the route table, so that it tells the truth.

use super::super::ROUTES;
use super::super::oauth::authorize::AUTHORIZE;
use super::super::oauth::discovery::{INTROSPECT, REVOKE};
use super::super::oauth::{self, TOKEN};
use super::super::refusal::FhirRefusal;
use super::search::offered;
use super::{Wanted, answer};
use crate::app::App;
use crate::clock;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// The CapabilityStatement.
///
/// # Errors
/// 406 for anything but JSON.
pub async fn capabilities(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    _: Wanted,
) -> Result<Response, FhirRefusal> {
    let said = statement(&oauth::root(&app, &headers, &uri));
    Ok(answer(StatusCode::OK, None, said.to_string().into_bytes()))
}

/// Where the addresses of OAuth stand in `rest.security` (SMART App Launch 1, kept for programs that know no discovery).
const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";

/// The statement; `root`: where this server is.
#[must_use]
pub fn statement(root: &str) -> Value {
    let codes: Vec<&str> = ROUTES
        .iter()
        .filter_map(|r| r.interaction)
        .flat_map(|i| i.split(','))
        .collect();
    let of_type: Vec<Value> = [
        "read",
        "vread",
        "update",
        "patch",
        "delete",
        "history-instance",
        "create",
    ]
    .iter()
    .filter(|c| codes.contains(*c))
    .map(|c| json!({"code": c}))
    .collect();
    let of_system: Vec<Value> = ["transaction", "batch"]
        .iter()
        .filter(|c| codes.contains(*c))
        .map(|c| json!({"code": c}))
        .collect();
    let everything = codes.contains(&"$everything");
    let validates = codes.contains(&"$validate");
    let resources: Vec<Value> = vitrine_fhir::RESOURCE_TYPES
        .iter()
        .filter(|t| !["Parameters"].contains(*t))
        .map(|t| {
            let mut one = json!({
                "type": t,
                "interaction": of_type,
                "versioning": "versioned-update",
                "readHistory": true,
                "updateCreate": true,
                "conditionalCreate": true,
                "conditionalRead": "full-support",
                "conditionalUpdate": true,
                "conditionalDelete": "not-supported",
                "referencePolicy": ["literal", "logical", "resolves", "local"],
            });
            if let Some(parameters) = offered(t).filter(|_| codes.contains(&"search-type")) {
                let mut interactions = of_type.clone();
                interactions.push(json!({"code": "search-type"}));
                one["interaction"] = interactions.into();
                let listed = parameters
                    .iter()
                    .map(|(n, t, d)| json!({"name": n, "type": t, "documentation": d}));
                one["searchParam"] = listed.collect::<Vec<_>>().into();
                if !["AuditEvent", "Endpoint"].contains(t) {
                    one["searchInclude"] = json!(["*"]);
                    one["searchRevInclude"] = json!(["Provenance:target"]);
                }
            }
            let mut operations = Vec::new();
            if validates {
                operations.push(json!({
                    "name": "validate",
                    "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
                    "documentation": "As for a write: structure and required bindings of R4; no profiles."
                }));
            }
            if *t == "Patient" && everything {
                operations.push(json!({
                    "name": "everything",
                    "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
                    "documentation": "_count and the next link; start, end, _since and _type are refused."
                }));
            }
            if *t == "Patient" && codes.contains(&"$match") {
                operations.push(json!({
                    "name": "match",
                    "definition": "http://hl7.org/fhir/OperationDefinition/Patient-match",
                    "documentation": "resource, onlyCertainMatches, count (at most 50). Entries show identity alone (SUBSETTED)."
                }));
            }
            if *t == "Observation" && codes.contains(&"$lastn") {
                operations.push(json!({
                    "name": "lastn",
                    "definition": "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
                    "documentation": "One patient, a category or code, max (1, at most 100), and the search parameters as filters. entered-in-error is left out and told unless status is asked for."
                }));
            }
            one["operation"] = operations.into();
            one
        })
        .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": clock::instant(clock::now()),
        "kind": "instance",
        "software": {"name": "Vitrine", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Vitrine server"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [{
            "mode": "server",
            "documentation": "Conditions take identifier=system|value or _id. Idempotency-Key (a UUID) makes a POST, PUT or DELETE safe to send again. PATCH takes application/json-patch+json, in a Bundle as a Binary. DELETE by condition is taken inside a Bundle alone. Types of patients are searched within records: patient, a chain to patients, or _id. What is not supported is refused, or with Prefer: handling=lenient left out and told.",
            "security": {
                "service": [{"coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR"
                }]}],
                "extension": [{"url": OAUTH_URIS, "extension": [
                    {"url": "authorize", "valueUri": format!("{root}{AUTHORIZE}")},
                    {"url": "token", "valueUri": format!("{root}{TOKEN}")},
                    {"url": "introspect", "valueUri": format!("{root}{INTROSPECT}")},
                    {"url": "revoke", "valueUri": format!("{root}{REVOKE}")},
                ]}],
                "description": "SMART App Launch 2.2: GET /fhir/.well-known/smart-configuration says what is offered."
            },
            "interaction": of_system,
            "resource": resources,
        }]
    })
}
