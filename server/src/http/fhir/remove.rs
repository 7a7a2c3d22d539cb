//! `DELETE /fhir/{type}/{id}`: a transaction of one entry. What was, stays in the history; a record is not removed this way.
//!
//! Lives here: who may delete, so that nobody learns from it what is there; what is no deletion but the destruction of a
//! record. Never here: the transaction (`bundle`). Called by the router, and by `bundle` for the entries of Bundles.

use super::super::bearer::FhirCaller;
use super::super::refusal::{FhirRefusal, NOT_INCLUDED};
use super::bundle::transaction;
use super::write::{if_match, unwrapped};
use super::{Returns, Wanted, answer, operation, path_key, path_kind, put_version};
use crate::app::{App, NoAccess};
use crate::identity::sessions::Caller;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use vitrine_access::action::{ReadResource, WriteClinical};
use vitrine_access::policy::{self, Subject};
use vitrine_access::{Action as _, Disclosure};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_fhir::bundle::{Bundle, BundleType, Entry, Method, Request};
use vitrine_fhir::{IssueCode, outcome};
use vitrine_store::scope::Scope;
use vitrine_store::{ChangeKind, ChangeOp, StoreError, labels};

/// Deletes a resource; what is deleted already stays as it is.
///
/// # Errors
/// [`FhirRefusal`]: 403, or 404 for a program, where nothing is there that the caller may delete and see; 409 for a
/// patient whose record is not empty; 412 when another version is current than `If-Match` names.
pub async fn remove(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    let op_id = operation(&headers)?;
    allowed(&app, &caller, &key).await?;
    let request = Request {
        method: Method::Delete,
        url: Cow::Owned(key.to_string()),
        if_none_exist: None,
        if_match: if_match(&headers).map(Cow::Owned),
    };
    let entry = Entry {
        index: 0,
        full_url: None,
        request: Some(request),
        resource: None,
        kind: None,
        id: None,
    };
    let bundle = Bundle {
        kind: BundleType::Transaction,
        entries: vec![entry],
    };
    let done = transaction(&app, &caller, &bundle, op_id, "DELETE /fhir")
        .await
        .map_err(|e| unwrapped(e, &kind))?;
    let mut out = match wanted.returns {
        Returns::Outcome => answer(StatusCode::OK, None, outcome::information("deleted")),
        _ => StatusCode::NO_CONTENT.into_response(),
    };
    if let Some((version, updated)) = done.first().and_then(|d| Some((d.version?, d.updated))) {
        put_version(out.headers_mut(), version, updated);
    }
    Ok(out)
}

/// A conditional delete is not carried out: what it would match may be another's.
///
/// # Errors
/// 400, always.
pub async fn by_condition(
    State(_): State<Arc<App>>,
    FhirCaller(_): FhirCaller,
    _: Wanted,
    Path(kind): Path<String>,
) -> Result<Response, FhirRefusal> {
    path_kind(&kind)?;
    Err(FhirRefusal::new(
        StatusCode::BAD_REQUEST,
        IssueCode::NotSupported,
        "",
        "a delete by condition is not supported here: DELETE Type/id, or an entry of a Bundle with identifier=system|value",
    ))
}

/// Refuses a delete by whoever may not write there or may not see what is there, in the words for what never was: ids
/// cannot be tried by deleting.
///
/// # Errors
/// [`FhirRefusal`].
pub(super) async fn allowed(app: &App, caller: &Caller, key: &ResourceKey) -> Result<(), FhirRefusal> {
    let kind = key.kind.as_str();
    let of_a_patient = vitrine_fhir::is_of_a_patient(kind);
    let hides = of_a_patient && matches!(caller.subject, Subject::User { .. });
    let hidden = || {
        if hides {
            FhirRefusal::new(StatusCode::FORBIDDEN, IssueCode::Forbidden, "", NOT_INCLUDED)
        } else {
            FhirRefusal::not_found()
        }
    };
    let known = app.store.owner(key).await?;
    let there = known.is_some();
    // What never was is decided on as if it were somebody's whom nobody knows.
    let owner = match known {
        Some(owner) => owner,
        None if of_a_patient => PatientId::new(key.id.as_str()).ok(),
        None => None,
    };
    let request = app.request(caller, Some(kind), owner.as_ref()).await?;
    let permit = match app.decide::<WriteClinical>(request).await {
        Err(NoAccess::Denied(_)) if hides => return Err(hidden()),
        decided => decided?,
    };
    if !there {
        // That somebody tried is written down, as for a read.
        let permit = permit.noted("asked", key.to_string());
        app.store.append(permit.entry(Disclosure::default())).await?;
        return Err(hidden());
    }
    let label = match app.store.lookup(key).await {
        Ok(Some((_, body))) => labels::of_resource(kind, &body),
        Ok(None) => Label::NONE,
        Err(StoreError::Archived { .. } | StoreError::Damaged(_)) => Label::UNREADABLE,
        Err(e) => return Err(e.into()),
    };
    let mut request = app.request(caller, Some(kind), owner.as_ref()).await?;
    let Some(facts) = &mut request.patient else {
        return Ok(());
    };
    facts.label = facts.label.and(label);
    if facts.label.is_none() || policy::verdict(ReadResource::NAME, &request).allow {
        return Ok(());
    }
    match app.decide::<ReadResource>(request).await {
        Err(NoAccess::Store(e)) => Err(e.into()),
        _ => Err(hidden()),
    }
}

/// Refuses changes that take a Patient away and leave something in the record. Looked at before anything is made of them; what comes in
/// between, the store refuses alike ([`vitrine_store::StoreError::NotEmpty`]).
///
/// # Errors
/// 409, naming the way a record is destroyed.
pub(super) async fn keeps_records(app: &App, ops: &[ChangeOp]) -> Result<(), FhirRefusal> {
    let deleted: HashSet<String> = ops
        .iter()
        .filter(|op| matches!(op.kind, ChangeKind::Delete))
        .map(|op| op.key.to_string())
        .collect();
    for op in ops {
        let of_patient = op.key.kind.as_str() == "Patient" && matches!(op.kind, ChangeKind::Delete);
        let Some(patient) = PatientId::new(op.key.id.as_str()).ok().filter(|_| of_patient) else {
            continue;
        };
        let (refs, _) = app.store.scope_refs(&Scope::Patient(patient).to_string()).await?;
        if refs
            .iter()
            .any(|r| r.key.contains('/') && !deleted.contains(&r.key))
        {
            return Err(FhirRefusal::record_not_empty());
        }
    }
    Ok(())
}
