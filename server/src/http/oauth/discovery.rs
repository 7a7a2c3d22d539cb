//! `GET /fhir/.well-known/smart-configuration`, also at the root (SMART App Launch 2.2, conformance).
//!
//! Lives here: what a program can find out about this server before it signs in; only what is truly there.

use super::authorize::AUTHORIZE;
use super::{TOKEN, root};
use crate::app::App;
use crate::identity::clients::assertion;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};
use std::sync::Arc;

/// `/auth/introspect`.
pub const INTROSPECT: &str = "/auth/introspect";
/// `/auth/revoke`.
pub const REVOKE: &str = "/auth/revoke";

/// The document: always JSON, whatever is asked for.
pub async fn configuration(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Json<Value> {
    let by_key = !app.config.listen.public_url.is_empty();
    Json(document(&root(&app, &headers, &uri), by_key))
}

/// What there is. `by_key`: this server knows its own address, without which no assertion and no launch can be for it.
#[must_use]
pub fn document(root: &str, by_key: bool) -> Value {
    let mut methods = vec!["client_secret_basic", "client_secret_post"];
    let mut capabilities = vec!["client-confidential-symmetric", "permission-v1", "permission-v2"];
    let mut scopes = vec![
        "system/*.cruds",
        "system/*.rs",
        "system/*.rs?_security=R",
        "system/*.rs?_security=V",
    ];
    if by_key {
        methods.insert(0, "private_key_jwt");
        capabilities.extend([
            "launch-ehr",
            "launch-standalone",
            "authorize-post",
            "client-public",
            "client-confidential-asymmetric",
            "context-ehr-patient",
            "context-standalone-patient",
            "permission-patient",
            "permission-user",
        ]);
        scopes.extend(["patient/*.rs", "user/*.rs", "launch", "launch/patient"]);
    }
    let mut out = json!({
        "token_endpoint": format!("{root}{TOKEN}"),
        "token_endpoint_auth_methods_supported": methods,
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": scopes,
        "introspection_endpoint": format!("{root}{INTROSPECT}"),
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": format!("{root}{REVOKE}"),
        "revocation_endpoint_auth_methods_supported": methods,
        // Required by the standard.
        "code_challenge_methods_supported": ["S256"],
        "capabilities": capabilities,
    });
    if by_key {
        out["authorization_endpoint"] = json!(format!("{root}{AUTHORIZE}"));
        out["response_types_supported"] = json!(["code"]);
        out["grant_types_supported"] = json!(["authorization_code", "client_credentials"]);
        for of in ["token", "introspection", "revocation"] {
            out[format!("{of}_endpoint_auth_signing_alg_values_supported")] = json!(assertion::ALGORITHMS);
        }
    }
    out
}
