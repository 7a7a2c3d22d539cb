//! `PATCH /fhir/{type}/{id}`: JSON Patch (RFC 6902) on the version there is, then an update over that version alone.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::bundle::transaction;
use super::read::{fetch, shown};
use super::write::{if_match, of_one, single, unwrapped};
use super::{Wanted, operation, path_key, version_of};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::Mutex;
use vitrine_clinical::ResourceKey;
use vitrine_fhir::bundle::{Method, Request};
use vitrine_fhir::{IssueCode, patch::Patch};

/// The media type taken.
pub const JSON_PATCH: &str = "application/json-patch+json";

/// So often a patch is done anew because somebody else wrote the resource in between.
const TRIES: usize = 8;

/// Patches that met another writer go one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// Changes a part of a resource. Whoever patches must be allowed to read it too: `test` tells what is there.
///
/// # Errors
/// [`FhirRefusal`]: those of a read; 415 for another media type, 400 for what is no patch, 422 for an operation that
/// cannot be done or an outcome that is not valid, 412 when another version is current than `If-Match` names, 409 when
/// others keep changing it.
pub async fn patch(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    must_be_patch(&headers)?;
    let op_id = operation(&headers)?;
    let only = if_match(&headers);
    let patch =
        tokio::task::block_in_place(|| Patch::read(&body)).map_err(|e| FhirRefusal::content(&[e.0]))?;
    let mut turn = None;
    for _ in 0..TRIES {
        let made = patched(&app, &caller, &key, &patch, only.as_deref()).await?;
        let request = Request {
            method: Method::Put,
            url: Cow::Owned(key.to_string()),
            if_none_exist: None,
            if_match: Some(Cow::Owned(format!("W/\"{}\"", made.version))),
        };
        let bundle = of_one(&made.body, request)?;
        match transaction(&app, &caller, &bundle, op_id, "PATCH /fhir").await {
            Ok(done) => return single(done, &wanted),
            Err(e) if e.status == StatusCode::PRECONDITION_FAILED && only.is_none() => {
                if turn.is_none() {
                    turn = Some(TURN.lock().await);
                }
            }
            Err(e) => return Err(unwrapped(e, &kind)),
        }
    }
    Err(FhirRefusal::new(
        StatusCode::CONFLICT,
        IssueCode::Conflict,
        "",
        "others keep changing this resource: send the patch again",
    ))
}

/// A resource as a patch makes it, and the version it was made of.
pub(super) struct Patched {
    /// What is to be written over that version.
    pub(super) body: Vec<u8>,
    /// That version.
    pub(super) version: u64,
}

/// Applies a patch to the current version; `only`: the entity tag of the version that must be current.
///
/// # Errors
/// As [`patch()`], before anything is written.
pub(super) async fn patched(
    app: &App,
    caller: &Caller,
    key: &ResourceKey,
    patch: &Patch,
    only: Option<&str>,
) -> Result<Patched, FhirRefusal> {
    let found = fetch(app, caller, key, None).await?;
    if only.is_some_and(|tag| version_of(tag) != Some(found.version)) {
        return Err(FhirRefusal::new(
            StatusCode::PRECONDITION_FAILED,
            IssueCode::Conflict,
            "http.If-Match",
            format!(
                "the current version is W/\"{}\": read it and try again",
                found.version
            ),
        ));
    }
    let as_seen = shown(&found)?;
    let patched =
        tokio::task::block_in_place(|| patch.apply(&as_seen)).map_err(|e| FhirRefusal::content(&[e.0]))?;
    // What the patch leaves as it was is written as it was: it makes no version.
    let body = if patched == as_seen {
        found.body.to_vec()
    } else {
        patched
    };
    Ok(Patched {
        body,
        version: found.version,
    })
}

fn must_be_patch(headers: &HeaderMap) -> Result<(), FhirRefusal> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media = media.and_then(|m| m.split(';').next()).unwrap_or_default().trim();
    if media.eq_ignore_ascii_case(JSON_PATCH) {
        return Ok(());
    }
    Err(FhirRefusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        IssueCode::NotSupported,
        "",
        format!("send Content-Type: {JSON_PATCH} (RFC 6902): it is the one form of PATCH that is taken"),
    ))
}
