//! `GET /fhir/metadata`: what the server does, made from the route table, so that it tells the truth.

use super::super::ROUTES;
use super::super::oauth::authorize::AUTHORIZE;
use super::super::oauth::discovery::{INTROSPECT, REVOKE};
use super::super::oauth::{self, TOKEN};
use super::super::refusal::FhirRefusal;
use super::search::OFFERED;
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
    let of_type: Vec<Value> = ["read", "vread", "update", "create"]
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
                "conditionalUpdate": false,
                "conditionalDelete": "not-supported",
                "referencePolicy": ["literal", "logical", "resolves", "local"],
            });
            let offered = OFFERED.iter().find(|o| o.kind == *t);
            if let Some(offered) = offered.filter(|_| codes.contains(&"search-type")) {
                let mut interactions = of_type.clone();
                interactions.push(json!({"code": "search-type"}));
                one["interaction"] = interactions.into();
                let parameters = offered.parameters.iter();
                let listed = parameters.map(|(n, t, d)| json!({"name": n, "type": t, "documentation": d}));
                one["searchParam"] = listed.collect::<Vec<_>>().into();
            }
            if *t == "Patient" && everything {
                one["operation"] = json!([{
                    "name": "everything",
                    "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
                    "documentation": "_count and the next link; start, end, _since and _type are refused."
                }]);
            }
            if *t == "Patient" && codes.contains(&"$match") {
                let operations = one["operation"].as_array().cloned().unwrap_or_default();
                let matching = json!({
                    "name": "match",
                    "definition": "http://hl7.org/fhir/OperationDefinition/Patient-match",
                    "documentation": "resource, onlyCertainMatches, count (at most 50). Entries show identity alone (SUBSETTED)."
                });
                one["operation"] = operations.into_iter().chain([matching]).collect();
            }
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
        "rest": [{
            "mode": "server",
            "documentation": "Conditions take identifier=system|value or _id. Idempotency-Key (a UUID) makes a POST or PUT safe to send again. No other search than those listed, and no PATCH or DELETE is offered; DELETE is taken inside a Bundle.",
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
