//! `GET /fhir/openapi.json`: the FHIR API as OpenAPI 3.1, made from the route table and the table of search parameters.
//!
//! Lives here: the words for each route, the shape of the document. Never here: what a route does (one file each), the
//! CapabilityStatement (`metadata`). Called by the router.
//!
//! A type with searches has a path of its own, because its parameters are; everything else is one path with `{type}`. OpenAPI has no
//! word for modifiers (`name:exact`), chains (`subject:Patient.family`) and `_has`: they are described, the server takes them all the
//! same. A body is described by its type alone: what a resource must hold is said by FHIR R4, and asked with `$validate`.

use super::super::oauth::{self, TOKEN, authorize::AUTHORIZE};
use super::super::{Door, ROUTES, Route};
use super::FHIR_JSON;
use super::search::offered;
use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The document.
pub async fn document(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Json<Value> {
    Json(described(&oauth::root(&app, &headers, &uri)))
}

/// Which types a path is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// None: it has no `{kind}`.
    System,
    /// Every type of R4, as `{type}`.
    Every,
    /// Each type that is searched, by its name.
    Searched,
    /// Patient.
    Patient,
    /// Observation, with its search parameters.
    Observation,
}

/// What a request carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Resource,
    Bundle,
    Parameters,
    Patch,
    Form,
}

/// What an answer carries when all went well: the status, and the schema of the body.
type Gives = &'static [(&'static str, Option<&'static str>)];

/// What is said of a route.
struct Said {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    of: Of,
    summary: &'static str,
    /// Names of `components.parameters`, after those of the path.
    takes: &'static [&'static str],
    body: Body,
    gives: Gives,
}

const fn said(
    (method, path): (&'static str, &'static str),
    id: &'static str,
    of: Of,
    summary: &'static str,
    takes: &'static [&'static str],
    body: Body,
    gives: Gives,
) -> Said {
    Said {
        method,
        path,
        id,
        of,
        summary,
        takes,
        body,
        gives,
    }
}

const RESOURCE: Gives = &[("200", Some("Resource"))];
const BUNDLE: Gives = &[("200", Some("Bundle"))];
const OUTCOME: Gives = &[("200", Some("OperationOutcome"))];
const WRITTEN: Gives = &[("200", Some("Resource")), ("201", Some("Resource"))];
const GONE: Gives = &[("200", Some("OperationOutcome")), ("204", None)];
const SEARCH: &[&str] = &[
    "handling",
    "_count",
    "_sort",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_page",
];
const LASTN: &[&str] = &[
    "handling",
    "max",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
];

/// In the order of the document. A route of `/fhir` that is not here fails a test, and what is here without a route too.
const SAID: &[Said] = &[
    said(
        ("GET", "/fhir/metadata"),
        "capabilities",
        Of::System,
        "The CapabilityStatement.",
        &[],
        Body::None,
        RESOURCE,
    ),
    said(
        ("GET", "/fhir/openapi.json"),
        "openapi",
        Of::System,
        "This document.",
        &[],
        Body::None,
        &[("200", Some("Document"))],
    ),
    said(
        ("GET", "/fhir/.well-known/smart-configuration"),
        "smart",
        Of::System,
        "What is offered of SMART App Launch 2.2.",
        &[],
        Body::None,
        &[("200", Some("Document"))],
    ),
    said(
        ("POST", "/fhir/"),
        "submit",
        Of::System,
        "A transaction (all or nothing) or a batch.",
        &["returns", "idempotency"],
        Body::Bundle,
        BUNDLE,
    ),
    said(
        ("GET", "/fhir/{kind}"),
        "search",
        Of::Searched,
        "Searches. Types of patients are searched within records: `patient`, a chain to patients, or `_id`. A parameter may be repeated \
         (and), list values with commas (or), bear a modifier (`name:exact`), or lead on (`subject:Patient.family`, `_has`).",
        SEARCH,
        Body::None,
        BUNDLE,
    ),
    said(
        ("POST", "/fhir/{kind}/_search"),
        "search-post",
        Of::Searched,
        "The same, with the parameters as a form in the body, which keeps names out of addresses.",
        &["handling"],
        Body::Form,
        BUNDLE,
    ),
    said(
        ("GET", "/fhir/{kind}/$lastn"),
        "lastn",
        Of::Observation,
        "The most recent observations of each code of one patient (`patient` or `subject`), of a `category` or `code`; the other \
         parameters as a search takes them. What was entered in error is left out and told unless `status` is asked for.",
        LASTN,
        Body::None,
        BUNDLE,
    ),
    said(
        ("POST", "/fhir/{kind}/$lastn"),
        "lastn-post",
        Of::Observation,
        "The same, with the parameters as a form in the body.",
        &["handling"],
        Body::Form,
        BUNDLE,
    ),
    said(
        ("POST", "/fhir/{kind}/$match"),
        "match",
        Of::Patient,
        "Who of the recorded patients may be the one described.",
        &[],
        Body::Parameters,
        BUNDLE,
    ),
    said(
        ("GET", "/fhir/{kind}/{id}/$everything"),
        "everything",
        Of::Patient,
        "The whole record of a patient, in pages.",
        &["_count"],
        Body::None,
        BUNDLE,
    ),
    said(
        ("POST", "/fhir/{kind}"),
        "create",
        Of::Every,
        "Creates; with If-None-Exist (`identifier=system|value`) gives the one that is there.",
        &["returns", "if-none-exist", "idempotency"],
        Body::Resource,
        WRITTEN,
    ),
    said(
        ("PUT", "/fhir/{kind}"),
        "update-where",
        Of::Every,
        "Updates the one with an identifier, or creates it.",
        &["identifier", "returns", "idempotency"],
        Body::Resource,
        WRITTEN,
    ),
    said(
        ("DELETE", "/fhir/{kind}"),
        "delete-where",
        Of::Every,
        "Refused: what a condition finds is deleted by its id.",
        &[],
        Body::None,
        &[],
    ),
    said(
        ("GET", "/fhir/{kind}/{id}"),
        "read",
        Of::Every,
        "Reads.",
        &[],
        Body::None,
        RESOURCE,
    ),
    said(
        ("PUT", "/fhir/{kind}/{id}"),
        "update",
        Of::Every,
        "Updates, or creates under this id.",
        &["if-match", "returns", "idempotency"],
        Body::Resource,
        WRITTEN,
    ),
    said(
        ("PATCH", "/fhir/{kind}/{id}"),
        "patch",
        Of::Every,
        "Patches (RFC 6902).",
        &["if-match", "returns", "idempotency"],
        Body::Patch,
        RESOURCE,
    ),
    said(
        ("DELETE", "/fhir/{kind}/{id}"),
        "delete",
        Of::Every,
        "Deletes; its versions stay.",
        &["if-match", "returns", "idempotency"],
        Body::None,
        GONE,
    ),
    said(
        ("GET", "/fhir/{kind}/{id}/_history"),
        "history",
        Of::Every,
        "Its versions, newest first.",
        &["_count", "_since", "_page"],
        Body::None,
        BUNDLE,
    ),
    said(
        ("GET", "/fhir/{kind}/{id}/_history/{vid}"),
        "vread",
        Of::Every,
        "Reads a version.",
        &[],
        Body::None,
        RESOURCE,
    ),
    said(
        ("POST", "/fhir/{kind}/$validate"),
        "validate",
        Of::Every,
        "The checks of a write; nothing is stored.",
        &["mode"],
        Body::Resource,
        OUTCOME,
    ),
    said(
        ("POST", "/fhir/{kind}/{id}/$validate"),
        "validate-instance",
        Of::Every,
        "The checks of an update or a deletion; nothing is stored.",
        &["mode"],
        Body::Resource,
        OUTCOME,
    ),
];

/// The document; `root`: where this server is.
#[must_use]
pub fn described(root: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for said in SAID {
        let Some(route) = ROUTES
            .iter()
            .find(|r| (r.method, r.path) == (said.method, said.path))
        else {
            continue;
        };
        let at = said.path.strip_prefix("/fhir").unwrap_or(said.path);
        let types: Vec<Option<&str>> = match said.of {
            Of::System | Of::Every => vec![None],
            Of::Patient => vec![Some("Patient")],
            Of::Observation => vec![Some("Observation")],
            Of::Searched => vitrine_fhir::RESOURCE_TYPES
                .iter()
                .filter(|t| offered(t).is_some())
                .map(|t| Some(*t))
                .collect(),
        };
        for of in types {
            let path = at.replace("{kind}", of.unwrap_or("{type}"));
            let item = paths.entry(path).or_insert_with(|| json!({}));
            item[said.method.to_ascii_lowercase()] = operation(said, route, of);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrine: FHIR R4",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HL7 FHIR R4 (4.0.1) as JSON. GET /metadata is the CapabilityStatement."
        },
        "servers": [{"url": format!("{root}/fhir")}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "parameters": parameters(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "oauth": {"type": "oauth2", "flows": {
                    "clientCredentials": {"tokenUrl": format!("{root}{TOKEN}"), "scopes": {}},
                    "authorizationCode": {
                        "authorizationUrl": format!("{root}{AUTHORIZE}"),
                        "tokenUrl": format!("{root}{TOKEN}"),
                        "scopes": {}
                    }
                }}
            }
        }
    })
}

fn operation(said: &Said, route: &Route, of: Option<&str>) -> Value {
    let mut takes: Vec<Value> = Vec::new();
    if of.is_none() && said.of == Of::Every {
        takes.push(component("type"));
    }
    takes.extend(
        ["id", "vid"]
            .into_iter()
            .filter(|n| said.path.contains(&format!("{{{n}}}")))
            .map(component),
    );
    let own = of
        .filter(|_| matches!(said.of, Of::Searched | Of::Observation))
        .and_then(offered);
    let own = own.unwrap_or_default();
    if said.body != Body::Form {
        for (name, kind, doc) in &own {
            takes.push(json!({
                "name": name, "in": "query", "description": doc,
                "schema": {"type": "string"}, "examples": {(*kind): {"value": example(kind)}},
            }));
        }
    }
    takes.extend(said.takes.iter().map(|n| component(n)));
    let mut answers = Map::new();
    for (status, schema) in said.gives {
        answers.insert((*status).to_owned(), given(*schema));
    }
    answers.insert(
        "4XX".to_owned(),
        json!({"description": "Refused: what to mend, and where it stands.", "content": media(&schema("OperationOutcome"))}),
    );
    answers.insert(
        "503".to_owned(),
        json!({
            "description": "Not now: too much at once, the store is away, or what is asked for comes back from the archive.",
            "headers": {"Retry-After": {"schema": {"type": "string"}}},
            "content": media(&schema("OperationOutcome"))
        }),
    );
    let security = match route.door {
        Door::Public => json!([]),
        _ => json!([{"bearer": []}, {"oauth": []}]),
    };
    let id = of.map_or_else(|| said.id.to_owned(), |t| format!("{}-{t}", said.id));
    let mut one = json!({
        "operationId": id, "summary": said.summary, "parameters": takes,
        "responses": answers, "security": security,
    });
    let body = match said.body {
        Body::None => return one,
        Body::Resource => media(&schema("Resource")),
        Body::Bundle => media(&schema("Bundle")),
        Body::Parameters => media(&schema("Parameters")),
        Body::Patch => json!({"application/json-patch+json": {"schema": schema("Patch")}}),
        Body::Form => {
            let mut fields: Map<String, Value> = own
                .iter()
                .map(|(name, _, _)| ((*name).to_owned(), json!({"type": "string"})))
                .collect();
            // $lastn has an order and an extent of its own.
            let more: &[&str] = if said.of == Of::Observation {
                &["max", "_include", "_revinclude"]
            } else {
                &["_count", "_sort", "_include", "_revinclude"]
            };
            for name in more {
                fields.insert((*name).to_owned(), json!({"type": "string"}));
            }
            json!({"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": fields}}})
        }
    };
    one["requestBody"] = json!({"required": true, "content": body});
    one
}

fn component(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn media(schema: &Value) -> Value {
    json!({FHIR_JSON: {"schema": schema}})
}

fn given(body: Option<&str>) -> Value {
    match body {
        None => json!({"description": "Done."}),
        Some("Document") => json!({
            "description": "Done.",
            "content": {"application/json": {"schema": schema("Document")}}
        }),
        // With Prefer: return=OperationOutcome the outcome instead, which is a resource too.
        Some(name) => json!({"description": "Done.", "content": media(&schema(name))}),
    }
}

/// A value of a search parameter of this type.
fn example(kind: &str) -> &'static str {
    match kind {
        "date" => "ge2026-01-01",
        "token" => "http://loinc.org|2823-3",
        "reference" => "Patient/example",
        "quantity" => "gt5.4|http://unitsofmeasure.org|mmol/L",
        "number" => "5",
        "uri" => "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient",
        "composite" => "http://loinc.org|2823-3$gt5.4",
        _ => "mill",
    }
}

fn schemas() -> Value {
    let of = |kind: &str| json!({"type": "string", "const": kind});
    json!({
        "Document": {"type": "object"},
        "Resource": {
            "type": "object",
            "required": ["resourceType"],
            "properties": {
                "resourceType": {"type": "string", "enum": &vitrine_fhir::RESOURCE_TYPES[..]},
                "id": {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"},
                "meta": {"type": "object"}
            },
            "examples": [
                {"resourceType": "Patient", "name": [{"family": "Example"}], "birthDate": "1950-01-01"}
            ]
        },
        "Bundle": {
            "type": "object",
            "required": ["resourceType", "type"],
            "properties": {
                "resourceType": of("Bundle"),
                "type": {"type": "string", "enum": ["transaction", "batch", "transaction-response", "batch-response", "searchset", "history"]},
                "total": {"type": "integer", "minimum": 0},
                "entry": {"type": "array", "items": {"type": "object"}}
            }
        },
        "Parameters": {
            "type": "object",
            "required": ["resourceType"],
            "properties": {
                "resourceType": of("Parameters"),
                "parameter": {"type": "array", "items": {
                    "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}
                }}
            }
        },
        "OperationOutcome": {
            "type": "object",
            "required": ["resourceType", "issue"],
            "properties": {
                "resourceType": of("OperationOutcome"),
                "issue": {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "required": ["severity", "code"],
                    "properties": {
                        "severity": {"type": "string", "enum": ["fatal", "error", "warning", "information"]},
                        "code": {"type": "string"},
                        "expression": {"type": "array", "items": {"type": "string"}}
                    }
                }}
            }
        },
        "Patch": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": {
                "type": "object",
                "required": ["op", "path"],
                "properties": {
                    "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
                    "path": {"type": "string"},
                    "from": {"type": "string"},
                    "value": {}
                }
            }
        }
    })
}

fn example_of(mut parameter: Value, value: &str) -> Value {
    parameter["examples"] = json!({"one": {"value": value}});
    parameter
}

fn parameters() -> Value {
    let id = json!({"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"});
    let text = json!({"type": "string"});
    let path =
        |name: &str, schema: &Value| json!({"name": name, "in": "path", "required": true, "schema": schema});
    let query = |name: &str, schema: Value, doc: &str| json!({"name": name, "in": "query", "schema": schema, "description": doc});
    let header = |name: &str, schema: Value, doc: &str| json!({"name": name, "in": "header", "schema": schema, "description": doc});
    let tag = json!({"type": "string", "pattern": "^W/\"[0-9]{1,18}\"$"});
    let mut all = Map::new();
    let types = json!({"type": "string", "enum": &vitrine_fhir::RESOURCE_TYPES[..]});
    for (name, one) in [
        ("type", example_of(path("type", &types), "Patient")),
        ("id", example_of(path("id", &id), "example")),
        (
            "vid",
            path("vid", &json!({"type": "string", "pattern": "^[0-9]{1,18}$"})),
        ),
        (
            "returns",
            header(
                "Prefer",
                json!({"type": "string", "enum": ["return=minimal", "return=representation", "return=OperationOutcome"]}),
                "What a write answers with.",
            ),
        ),
        (
            "handling",
            header(
                "Prefer",
                json!({"type": "string", "enum": ["handling=strict", "handling=lenient"]}),
                "Lenient: what is not supported is left out, and told.",
            ),
        ),
        (
            "if-match",
            header("If-Match", tag, "The version that is to be replaced."),
        ),
        (
            "if-none-exist",
            header("If-None-Exist", text.clone(), "identifier=system|value"),
        ),
        (
            "idempotency",
            header(
                "Idempotency-Key",
                json!({"type": "string", "format": "uuid"}),
                "Sent again with the same key, it is done once.",
            ),
        ),
        (
            "identifier",
            json!({"name": "identifier", "in": "query", "required": true, "schema": text, "description": "system|value"}),
        ),
        (
            "mode",
            query(
                "mode",
                json!({"type": "string", "enum": ["create", "update", "delete"]}),
                "What is to be checked.",
            ),
        ),
        (
            "_count",
            query(
                "_count",
                json!({"type": "integer", "minimum": 1, "maximum": 1000}),
                "Resources of a page.",
            ),
        ),
        (
            "max",
            query(
                "max",
                json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 1}),
                "Observations of each code.",
            ),
        ),
        (
            "_page",
            query("_page", text.clone(), "Of a next link; never made up."),
        ),
        (
            "_since",
            query(
                "_since",
                json!({"type": "string", "format": "date-time"}),
                "Versions since then.",
            ),
        ),
        (
            "_sort",
            query(
                "_sort",
                text.clone(),
                "Parameters in order; - before one for the reverse.",
            ),
        ),
        (
            "_total",
            query(
                "_total",
                json!({"type": "string", "enum": ["none", "estimate", "accurate"]}),
                "Whether all are counted.",
            ),
        ),
        (
            "_summary",
            query(
                "_summary",
                json!({"type": "string", "enum": ["true", "count", "text", "data", "false"]}),
                "A part of each resource.",
            ),
        ),
        (
            "_elements",
            query(
                "_elements",
                text.clone(),
                "Elements of each resource, with commas between.",
            ),
        ),
        (
            "_include",
            query(
                "_include",
                text.clone(),
                "Type:parameter, whose resources come along.",
            ),
        ),
        (
            "_revinclude",
            query("_revinclude", text, "Type:parameter, of what refers to a match."),
        ),
    ] {
        all.insert(name.to_owned(), one);
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_of_fhir_is_described_and_nothing_else() {
        let routed: BTreeSet<(&str, &str)> = ROUTES
            .iter()
            .map(|r| (r.method, r.path))
            .filter(|(_, p)| p.starts_with("/fhir"))
            .collect();
        let said: BTreeSet<(&str, &str)> = SAID.iter().map(|s| (s.method, s.path)).collect();
        let undescribed: Vec<_> = routed.difference(&said).collect();
        assert_eq!(undescribed, [&("POST", "/fhir")], "the same as POST /fhir/");
        assert_eq!(said.difference(&routed).count(), 0);
    }

    #[test]
    fn what_is_referred_to_is_there_and_names_are_given_once() {
        let doc = described("https://vitrine.example");
        let text = doc.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(doc.pointer(pointer).is_some(), "{pointer}");
        }
        let mut ids = BTreeSet::new();
        for item in doc["paths"].as_object().unwrap().values() {
            for one in item.as_object().unwrap().values() {
                assert!(ids.insert(one["operationId"].to_string()), "{one}");
            }
        }
        let search = &doc["paths"]["/Observation"]["get"]["parameters"];
        let names: Vec<&str> = search
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|p| p["name"].as_str())
            .collect();
        assert!(
            names.contains(&"code") && names.contains(&"_lastUpdated"),
            "{names:?}"
        );
    }
}
