//! What lies in the archive, as the FHIR API says it: asked back by whoever may read it, and told with the time.
//!
//! Lives here: the refusal of one resource, the outcome within a record. Never here: bringing packs back
//! (`ops::tiers`). Called by `read` and `everything`.

use super::super::refusal::FhirRefusal;
use crate::app::App;
use crate::clock;
use crate::ops::tiers::{Expected, ask};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vitrine_access::{Action, Disclosure, Permit};
use vitrine_store::{ArchivedResource, StoreError};

/// Names the tier in an outcome.
const SYSTEM: &str = "urn:vitrine:tier";

/// Asks back what the permit's patient has in the archive: once, with an audit row of its own.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Refused`] for a permit that names no patient.
pub async fn asked_back<A: Action>(app: &App, permit: &Permit<A>) -> Result<Expected, StoreError> {
    let Some(patient) = permit.patient() else {
        return Err(StoreError::Refused(
            "what belongs to no patient is never archived".to_owned(),
        ));
    };
    let mut entry = permit.entry(Disclosure::default());
    entry.access_id = clock::new_access();
    ask(&*app.store, &app.tiers, &app.config.archive, entry, patient).await
}

fn when(e: &Expected) -> String {
    if e.packs == 0 {
        return "it is back: ask again".to_owned();
    }
    format!(
        "its recall was requested at {} and is expected to be done at {} (in {} seconds, {} bytes)",
        clock::instant(e.requested),
        clock::instant(e.at),
        e.eta_s,
        e.bytes
    )
}

fn outcome(severity: &str, code: &str, text: &str, diagnostics: Option<String>) -> Value {
    let mut issue = json!({"severity": severity, "code": code,
        "details": {"coding": [{"system": SYSTEM, "code": "archive", "display": "Archive tier"}], "text": text}});
    if let (Some(o), Some(d)) = (issue.as_object_mut(), diagnostics) {
        o.insert("diagnostics".to_owned(), d.into());
    }
    json!({"resourceType": "OperationOutcome", "issue": [issue]})
}

/// The refusal of a resource that lies in the archive: 503 with the seconds after which to try again.
pub async fn refusal<A: Action>(app: &App, permit: &Permit<A>, what: &str) -> FhirRefusal {
    match asked_back(app, permit).await {
        Err(e) => e.into(),
        Ok(e) => FhirRefusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            body: outcome(
                "error",
                "transient",
                &format!("{what} lies in the archive: {}", when(&e)),
                None,
            )
            .to_string()
            .into_bytes(),
            retry_after_s: Some(u32::try_from(e.eta_s.max(1)).unwrap_or(u32::MAX)),
        },
    }
}

/// The entry of a record's page that says what of it lies in the archive.
#[must_use]
pub fn entry(archived: &[ArchivedResource], e: &Expected) -> Value {
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    for a in archived {
        *types.entry(a.key.kind.as_str()).or_default() += 1;
    }
    let types: Vec<String> = types.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let text = format!(
        "{} resources of this page lie in the archive and are not shown ({}): {}",
        archived.len(),
        types.join(", "),
        when(e)
    );
    let named: Vec<String> = archived
        .iter()
        .map(|a| format!("{}/_history/{}", a.key, a.version))
        .collect();
    json!({"resource": outcome("warning", "incomplete", &text, Some(named.join(" "))), "search": {"mode": "outcome"}})
}
