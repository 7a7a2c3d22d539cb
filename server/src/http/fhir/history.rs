//! `GET /fhir/{type}/{id}/_history`: the versions of one resource, newest first.
//!
//! Lives here: the page, its links, one audit row that names all versions of it. Never here: the rules of a single
//! version (`read`). Called by the router.
//!
//! A version that bears a label the caller may not see is left out, and every older one with it: what was labelled later is as
//! confidential. Nothing says that there were any.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::read::{not_there, permit, shown, withheld};
use super::{Wanted, answer, away, path_key};
use crate::app::App;
use crate::clock;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;
use vitrine_access::action::ReadResource;
use vitrine_access::{Permit, Sealed};
use vitrine_clinical::{ResourceKey, UtcMs};
use vitrine_fhir::IssueCode;
use vitrine_store::disclosure::Collect;
use vitrine_store::{StoreError, StoredResource};

/// Versions of a page when `_count` says nothing.
const PAGE: usize = 50;
/// Most versions of one page.
const MOST: usize = 200;

/// What is asked.
struct Asked {
    limit: usize,
    since: Option<UtcMs>,
    /// Versions from here on were on the pages before.
    before: Option<u64>,
}

/// A page, still sealed.
struct Found {
    versions: Vec<Sealed<Option<StoredResource>>>,
    /// Versions that are seen, on all pages.
    total: u64,
    /// The oldest version of the page, where more follow.
    next: Option<u64>,
}

/// One page of the versions of a resource.
///
/// # Errors
/// [`FhirRefusal`]: as a read; 400 for a parameter that is not taken.
pub async fn history(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    let asked = asked(&wanted)?;
    let permit = permit(&app, &caller, &key).await?;
    let newest = match version(&app, &permit, &key, None).await {
        Err(StoreError::Withheld(denied)) => return Err(withheld(&app, &caller, &denied).await),
        // What the archive holds has versions all the same: the walk says which of them cannot be shown now.
        Err(StoreError::Archived { .. }) => {
            return Err(away::refusal(&app, &permit, &key.to_string()).await);
        }
        read => read?.map(|v| v.number),
    };
    let Some(newest) = newest else {
        return Err(not_there(&caller, &key));
    };
    let mut said = Collect::default();
    let found = match walk(&app, &permit, &key, newest, &asked, &mut said).await {
        Err(StoreError::Archived { .. }) => {
            return Err(away::refusal(&app, &permit, &format!("a version of {key}")).await);
        }
        found => found?,
    };
    let receipt = app.store.append(permit.entry(said.finish())).await?;
    let mut versions = Vec::with_capacity(found.versions.len());
    for sealed in found.versions {
        let opened = sealed.open(&receipt).map_err(|e| StoreError::Backend {
            doing: "opening what was read",
            cause: e.to_string(),
        })?;
        versions.extend(opened);
    }
    let body = bundle(&versions, &key, &wanted.base, &asked, found.total, found.next)?;
    Ok(answer(StatusCode::OK, None, body))
}

fn asked(wanted: &Wanted) -> Result<Asked, FhirRefusal> {
    let bad = |text: &str| FhirRefusal::new(StatusCode::BAD_REQUEST, IssueCode::Value, "", text);
    for (name, _) in &wanted.query.0 {
        if !["_count", "_since", "_page", "_format", "_pretty"].contains(&name.as_str()) {
            return Err(FhirRefusal::new(
                StatusCode::BAD_REQUEST,
                IssueCode::NotSupported,
                "",
                "of the parameters of a history _count and _since are supported",
            ));
        }
    }
    let limit = match wanted.query.get("_count").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(n)) if n > 0 => n.min(MOST),
        Some(_) => return Err(bad("_count must be a number from 1")),
    };
    let since = wanted.query.get("_since").map(|text| {
        let at = text.parse::<jiff::Timestamp>();
        at.map(|t| UtcMs(t.as_millisecond()))
            .map_err(|_| bad("_since must be an instant with its zone, 2026-11-22T10:00:00Z"))
    });
    let before = wanted.query.get("_page").map(|text| {
        text.parse::<u64>()
            .map_err(|_| bad("_page is given by the next link"))
    });
    Ok(Asked {
        limit,
        since: since.transpose()?,
        before: before.transpose()?,
    })
}

/// A version, still sealed, and what may be known of it without opening it.
struct Version {
    number: u64,
    updated: UtcMs,
    patient: Option<vitrine_clinical::PatientId>,
    sealed: Sealed<Option<StoredResource>>,
}

async fn version(
    app: &App,
    permit: &Permit<ReadResource>,
    key: &ResourceKey,
    number: Option<u64>,
) -> Result<Option<Version>, StoreError> {
    let sealed = match number {
        None => app.store.read(permit, key).await?,
        Some(n) => app.store.vread(permit, key, n).await?,
    };
    let mut known = None;
    let sealed = sealed.map(|found| {
        known = found.as_ref().map(|f| (f.version, f.updated, f.patient.clone()));
        found
    });
    Ok(known.map(|(number, updated, patient)| Version {
        number,
        updated,
        patient,
        sealed,
    }))
}

/// From the newest version down. Only what is of the page is kept and written down.
async fn walk(
    app: &App,
    permit: &Permit<ReadResource>,
    key: &ResourceKey,
    newest: u64,
    asked: &Asked,
    said: &mut Collect,
) -> Result<Found, StoreError> {
    permit.patient().into_iter().for_each(|p| said.patient(p));
    let mut found = Found {
        versions: Vec::new(),
        total: 0,
        next: None,
    };
    let mut last = None;
    for number in (1..=newest).rev() {
        let of_page = asked.before.is_none_or(|b| number < b) && found.versions.len() < asked.limit;
        let read = match version(app, permit, key, Some(number)).await {
            Ok(Some(read)) => read,
            Ok(None) => continue,
            Err(StoreError::Withheld(_)) => break,
            Err(StoreError::Archived { .. }) if !of_page => {
                found.total += 1;
                continue;
            }
            Err(e) => return Err(e),
        };
        if asked.since.is_some_and(|since| read.updated < since) {
            break;
        }
        found.total += 1;
        if of_page {
            read.patient.iter().for_each(|p| said.patient(p));
            said.resource(key, number);
            found.versions.push(read.sealed);
            last = Some(number);
        } else if asked.before.is_none_or(|b| number < b) {
            found.next = last;
        }
    }
    Ok(found)
}

fn bundle(
    versions: &[StoredResource],
    key: &ResourceKey,
    base: &str,
    asked: &Asked,
    total: u64,
    next: Option<u64>,
) -> Result<Vec<u8>, FhirRefusal> {
    let since = asked
        .since
        .map(|s| format!("&_since={}", clock::instant(s)))
        .unwrap_or_default();
    let link = |relation: &str, page: Option<u64>| {
        let page = page.map(|p| format!("&_page={p}")).unwrap_or_default();
        let url = format!("{base}/{key}/_history?_count={}{since}{page}", asked.limit);
        json!({"relation": relation, "url": url})
    };
    let mut links = vec![link("self", asked.before)];
    links.extend(next.map(|n| link("next", Some(n))));
    let mut head = String::new();
    let _ = write!(
        head,
        "{{\"resourceType\":\"Bundle\",\"type\":\"history\",\"timestamp\":\"{}\",\"total\":{total},\"link\":{},\"entry\":[",
        clock::instant(clock::now()),
        serde_json::Value::from(links)
    );
    let mut out = head.into_bytes();
    for (i, found) in versions.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let url = json!(format!("{base}/{key}"));
        out.extend_from_slice(format!("{{\"fullUrl\":{url},").as_bytes());
        if !found.deleted {
            out.extend_from_slice(b"\"resource\":");
            out.extend_from_slice(&shown(found)?);
            out.push(b',');
        }
        // By which verb a version came is not kept: a PATCH and a POST are a PUT of the same content.
        let (method, status) = match (found.deleted, found.version) {
            (true, _) => ("DELETE", "204 No Content"),
            (false, 1) => ("PUT", "201 Created"),
            (false, _) => ("PUT", "200 OK"),
        };
        let request = json!({"method": method, "url": key.to_string()});
        let response = json!({"status": status, "etag": format!("W/\"{}\"", found.version),
            "lastModified": clock::instant(found.updated)});
        out.extend_from_slice(format!("\"request\":{request},\"response\":{response}}}").as_bytes());
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}
