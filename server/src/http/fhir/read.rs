//! `GET /fhir/{type}/{id}` and `GET /fhir/{type}/{id}/_history/{vid}`.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::last_known::{not_answered, put_age};
use super::{Wanted, answer, path_key, put_version, version_of};
use super::{audit_event, away, endpoint};
use crate::app::{App, NoAccess};
use crate::clock;
use crate::identity::sessions::Caller;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use vitrine_access::action::ReadResource;
use vitrine_access::policy::{Denied, Subject};
use vitrine_access::{Disclosed, Disclosure, Permit};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_fhir::{IssueCode, edit};
use vitrine_store::{StoreError, StoredResource, labels};

/// Reads the current version.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn read(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    if endpoint::is(&key) {
        return endpoint::read(&app, &caller, &wanted).await;
    }
    if audit_event::is(&key) {
        return audit_event::read(&app, &caller, &key).await;
    }
    let Read { found, as_of } = fetch_or_last(&app, &caller, &key).await?;
    if let Some(as_of) = as_of {
        let mut old = answer(
            StatusCode::OK,
            Some((found.version, found.updated)),
            shown(&found)?,
        );
        put_age(old.headers_mut(), as_of, clock::now());
        return Ok(old);
    }
    if not_modified(&found, &headers) {
        let mut same = HeaderMap::new();
        put_version(&mut same, found.version, Some(found.updated));
        return Ok((StatusCode::NOT_MODIFIED, same).into_response());
    }
    Ok(answer(
        StatusCode::OK,
        Some((found.version, found.updated)),
        shown(&found)?,
    ))
}

/// Reads one version.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn vread(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    _: Wanted,
    Path((kind, id, vid)): Path<(String, String, String)>,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    let version = vid.parse().map_err(|_| FhirRefusal::not_found())?;
    let found = fetch(&app, &caller, &key, Some(version)).await?;
    Ok(answer(
        StatusCode::OK,
        Some((found.version, found.updated)),
        shown(&found)?,
    ))
}

/// A resource, and as of when, if it is an old version shown because the store did not answer.
struct Read {
    found: StoredResource,
    as_of: Option<UtcMs>,
}

/// A resource under the caller's permit, its access written down.
///
/// # Errors
/// [`FhirRefusal`]: denied, not there, deleted.
pub async fn fetch(
    app: &App,
    caller: &Caller,
    key: &ResourceKey,
    version: Option<u64>,
) -> Result<StoredResource, FhirRefusal> {
    let permit = permit(app, caller, key).await?;
    let read = match version {
        None => app.store.read(&permit, key).await,
        Some(v) => match app.store.vread(&permit, key, v).await {
            // A version from before the label is as confidential as the one that bears it.
            Ok(old) => match app.store.read(&permit, key).await {
                Err(e @ StoreError::Withheld(_)) => Err(e),
                _ => Ok(old),
            },
            failed => failed,
        },
    };
    let sealed = match read {
        Err(StoreError::Archived { .. }) => {
            return Err(away::refusal(app, &permit, &said(key, version)).await);
        }
        Err(StoreError::Withheld(denied)) => return Err(withheld(app, caller, &denied).await),
        read => read?,
    };
    let found = app.open(&permit, sealed).await?;
    if found.is_none() {
        return Err(not_there(caller, key));
    }
    present(found)
}

/// What is too confidential is refused like what is not there: a person is told how an emergency opens it, a program
/// that there is nothing here for it.
pub(super) async fn withheld(app: &App, caller: &Caller, denied: &Denied) -> FhirRefusal {
    if let Err(e) = app.store.append(denied.entry()).await {
        return e.into();
    }
    app.metrics.denied();
    match caller.subject {
        Subject::User { .. } => FhirRefusal::denied(denied),
        _ => FhirRefusal::not_found(),
    }
}

/// What is not there. Of a resource that would be a patient's, a person without leave is not told whether it is there:
/// the answer is the one for another ward's, so that ids cannot be tried.
pub(super) fn not_there(caller: &Caller, key: &ResourceKey) -> FhirRefusal {
    match caller.subject {
        Subject::User { .. } if vitrine_fhir::is_of_a_patient(key.kind.as_str()) => FhirRefusal::suppressed(),
        _ => FhirRefusal::not_found(),
    }
}

/// The current version; the last one shown where the store does not answer and the type lets it be shown old.
async fn fetch_or_last(app: &App, caller: &Caller, key: &ResourceKey) -> Result<Read, FhirRefusal> {
    let permit = permit(app, caller, key).await?;
    let told = app.last_known.told();
    let failed = match app.store.read(&permit, key).await {
        Ok(sealed) => {
            let found = app.open(&permit, sealed).await?;
            if found.is_none() {
                return Err(not_there(caller, key));
            }
            let found = present(found)?;
            app.last_known.note(&found, told, clock::now());
            return Ok(Read { found, as_of: None });
        }
        Err(StoreError::Archived { .. }) => return Err(away::refusal(app, &permit, &said(key, None)).await),
        Err(StoreError::Withheld(denied)) => return Err(withheld(app, caller, &denied).await),
        Err(e) => e,
    };
    let last = app.last_known.get(key).filter(|(r, _)| {
        // The permit is for the owner as the store knows it now.
        not_answered(&failed) && r.patient.as_ref() == permit.patient() && permit.sees(labels::of(r))
    });
    let Some((found, as_of)) = last else {
        return Err(failed.into());
    };
    let disclosure = Disclosure {
        patients: found.patient.iter().cloned().collect(),
        resources: vec![Disclosed {
            key: key.clone(),
            version: found.version,
        }],
        total: 1,
        digest: None,
    };
    let permit = permit.noted("as-of", clock::instant(as_of));
    app.store.append(permit.entry(disclosure)).await?;
    app.metrics.count("vitrine_last_known_total", "", 1);
    Ok(Read {
        found,
        as_of: Some(as_of),
    })
}

fn said(key: &ResourceKey, version: Option<u64>) -> String {
    version.map_or_else(|| key.to_string(), |v| format!("{key}/_history/{v}"))
}

fn present(found: Option<StoredResource>) -> Result<StoredResource, FhirRefusal> {
    let found = found.ok_or_else(FhirRefusal::not_found)?;
    if found.deleted {
        return Err(FhirRefusal::new(
            StatusCode::GONE,
            IssueCode::NotFound,
            "",
            "the resource was deleted",
        ));
    }
    Ok(found)
}

/// Leave to read a resource, decided by whose it is.
pub(super) async fn permit(
    app: &App,
    caller: &Caller,
    key: &ResourceKey,
) -> Result<Permit<ReadResource>, FhirRefusal> {
    let owner = app.store.owner(key).await?.flatten();
    // A Patient that is not there is treated like one of another ward: the answer tells nobody which it is.
    let owner = owner.or_else(|| {
        if key.kind.as_str() == "Patient" {
            PatientId::new(key.id.as_str()).ok()
        } else {
            None
        }
    });
    let request = app
        .request(caller, Some(key.kind.as_str()), owner.as_ref())
        .await?;
    let client = matches!(request.subject, Subject::Client { .. });
    let app_asks = matches!(request.subject, Subject::App { .. });
    let permit = match app.decide::<ReadResource>(request).await {
        // That a patient is known is no secret, what lies in a confidential record is.
        Err(NoAccess::Denied(d)) if client && d.by_label() && key.kind.as_str() != "Patient" => {
            return Err(FhirRefusal::not_found());
        }
        // A program that somebody signed in through tries no ids: another patient's is not there.
        Err(NoAccess::Denied(d))
            if app_asks && d.rule != "scope-missing" && vitrine_fhir::is_of_a_patient(key.kind.as_str()) =>
        {
            return Err(FhirRefusal::not_found());
        }
        decided => decided?,
    };
    Ok(permit.noted("asked", key.to_string()))
}

/// The bytes as shown: as received, with `meta.versionId` and `meta.lastUpdated` set.
///
/// # Errors
/// [`FhirRefusal`] when the stored bytes cannot be edited.
pub fn shown(found: &StoredResource) -> Result<Vec<u8>, FhirRefusal> {
    edit::with_meta(&found.body, found.version, found.updated).map_err(|e| {
        FhirRefusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueCode::Exception,
            &e.0.expression,
            e.0.text,
        )
    })
}

fn not_modified(found: &StoredResource, headers: &HeaderMap) -> bool {
    if let Some(tags) = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()) {
        return tags
            .split(',')
            .any(|t| t.trim() == "*" || version_of(t) == Some(found.version));
    }
    // A date has seconds only: equal texts mean "not later than the second it was changed in".
    let since = headers
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|v| v.to_str().ok());
    since.is_some_and(|s| s == clock::http_date(found.updated))
}
