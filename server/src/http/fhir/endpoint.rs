//! The Endpoint of this server's WADO-RS: made from the configuration, not kept in the record.
//!
//! Lives here: the resource, its read and its search. Never here: Endpoints that somebody brought in (they are read like any
//! other resource). Every ImagingStudy refers to it. Called by `read` and `search`; nobody can write under its id
//! (`ingest::apply`).

use super::super::refusal::FhirRefusal;
use super::{Query, Wanted, answer};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use crate::imaging::study::ENDPOINT;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use vitrine_access::action::ReadResource;
use vitrine_access::{Disclosed, Disclosure};
use vitrine_clinical::ResourceKey;
use vitrine_fhir::IssueCode;
use vitrine_store::StoreError;

/// The code of its connection (FHIR R4 code system endpoint-connection-type).
const WADO_RS: &str = "dicom-wado-rs";
const CONNECTIONS: &str = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type";

/// Whether a key is that of the Endpoint.
#[must_use]
pub fn is(key: &ResourceKey) -> bool {
    key.to_string() == ENDPOINT
}

/// The resource. `base`: where this server's FHIR is, as the client called it, for a server whose public address is not
/// configured.
#[must_use]
pub fn resource(public_url: &str, base: &str) -> Value {
    let root = match public_url {
        "" => base.strip_suffix("/fhir").unwrap_or(base),
        url => url.trim_end_matches('/'),
    };
    let id = ENDPOINT.rsplit('/').next();
    json!({
        "resourceType": "Endpoint",
        "id": id,
        "status": "active",
        "connectionType": {"system": CONNECTIONS, "code": WADO_RS, "display": "DICOM WADO-RS"},
        "name": "DICOMweb of this server",
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom", "application/dicom+json", "image/jpeg", "image/png"],
        "address": format!("{root}/dicomweb"),
    })
}

/// Decides, writes the access down and gives the resource.
async fn shown(app: &App, caller: &Caller, wanted: &Wanted, found: bool) -> Result<Value, FhirRefusal> {
    let request = app.request(caller, Some("Endpoint"), None).await?;
    let permit = app
        .decide::<ReadResource>(request)
        .await?
        .noted("asked", ENDPOINT);
    let mut disclosure = Disclosure::default();
    if found {
        let (kind, id) = ENDPOINT.split_once('/').unwrap_or_default();
        let key = ResourceKey::new(kind, id).map_err(|e| StoreError::Refused(e.to_string()))?;
        disclosure.resources.push(Disclosed { key, version: 1 });
        disclosure.total = 1;
    }
    app.store.append(permit.entry(disclosure)).await?;
    Ok(resource(&app.config.listen.public_url, &wanted.base))
}

/// Reads it.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn read(app: &App, caller: &Caller, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    let found = shown(app, caller, wanted, true).await?;
    Ok(answer(StatusCode::OK, None, found.to_string().into_bytes()))
}

/// Whether it is what a search asks for.
fn matches(query: &Query) -> bool {
    query.0.iter().all(|(name, value)| match name.as_str() {
        "_id" => value.split(',').any(|id| ENDPOINT.ends_with(&format!("/{id}"))),
        "connection-type" => value.split(',').any(|token| match token.split_once('|') {
            Some((system, code)) => {
                (system.is_empty() || system == CONNECTIONS) && (code.is_empty() || code == WADO_RS)
            }
            None => token == WADO_RS,
        }),
        "status" => value.split(',').any(|s| s.rsplit('|').next() == Some("active")),
        _ => true,
    })
}

/// Searches: this one alone, and the answer says so.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn search(app: &App, caller: &Caller, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    super::search::only(&wanted.query, &["_id", "connection-type", "status"])?;
    if let Some((name, _)) = wanted.query.0.iter().find(|(_, v)| v.is_empty()) {
        return Err(FhirRefusal::new(
            StatusCode::BAD_REQUEST,
            IssueCode::Value,
            "",
            format!("{} has no value", name.chars().take(32).collect::<String>()),
        ));
    }
    let found = matches(&wanted.query);
    let endpoint = shown(app, caller, wanted, found).await?;
    let mut entries = Vec::new();
    if found {
        entries.push(json!({
            "fullUrl": format!("{}/{ENDPOINT}", wanted.base),
            "resource": endpoint,
            "search": {"mode": "match"},
        }));
    }
    let text = "only this server's own endpoint is searched; others are read by their id";
    let issue = json!({"severity": "information", "code": "informational", "details": {"text": text}});
    entries.push(json!({
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
        "search": {"mode": "outcome"},
    }));
    let bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": clock::instant(clock::now()),
        "total": u8::from(found),
        "entry": entries,
    });
    Ok(answer(StatusCode::OK, None, bundle.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_valid_and_has_the_configured_address() {
        for (public, base, address) in [
            ("", "https://here:8443/fhir", "https://here:8443/dicomweb"),
            (
                "https://pacs.example",
                "https://here:8443/fhir",
                "https://pacs.example/dicomweb",
            ),
            (
                "https://pacs.example/vitrine/",
                "x",
                "https://pacs.example/vitrine/dicomweb",
            ),
        ] {
            let made = resource(public, base);
            assert_eq!(made["address"], address);
            assert_eq!(format!("Endpoint/{}", made["id"].as_str().unwrap()), ENDPOINT);
            vitrine_fhir::validate(made.to_string().as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_search_finds_it_or_does_not() {
        for (query, found) in [
            ("", true),
            ("_id=dicom-wado-rs", true),
            ("_id=other", false),
            ("connection-type=dicom-wado-rs&status=active", true),
            (
                "connection-type=http://terminology.hl7.org/CodeSystem/endpoint-connection-type|dicom-wado-rs",
                true,
            ),
            ("connection-type=urn:other|dicom-wado-rs", false),
            ("connection-type=hl7-fhir-rest,dicom-wado-rs", true),
            ("connection-type=hl7-fhir-rest", false),
            ("status=off", false),
        ] {
            assert_eq!(matches(&Query::parse(query)), found, "{query}");
        }
    }
}
