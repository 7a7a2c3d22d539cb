//! `POST /fhir/{type}`, `PUT /fhir/{type}/{id}` and `PUT /fhir/{type}?identifier=…`: each is a transaction of one entry.

use super::super::bearer::FhirCaller;
use super::super::refusal::FhirRefusal;
use super::bundle::{Done, transaction};
use super::read::fetch;
use super::{Returns, Wanted, answer, must_be_json, operation, path_key, path_kind, put_version};
use crate::app::App;
use crate::identity::sessions::Caller;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use std::borrow::Cow;
use std::sync::Arc;
use vitrine_fhir::bundle::{Bundle, BundleType, Entry, Method, Request};
use vitrine_fhir::{IssueCode, edit, outcome, without_bom};

/// Creates a resource, or with `If-None-Exist` finds the one that is there.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn create(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    path_kind(&kind)?;
    must_be_json(&headers)?;
    let op_id = operation(&headers)?;
    let condition = headers
        .get("if-none-exist")
        .map(|v| v.to_str().unwrap_or_default().to_owned());
    let request = Request {
        method: Method::Post,
        url: Cow::Borrowed(kind.as_str()),
        if_none_exist: condition.map(Cow::Owned),
        if_match: None,
    };
    let bundle = of_one(&body, request)?;
    let done = transaction(&app, &caller, &bundle, op_id, "POST /fhir create")
        .await
        .map_err(|e| unwrapped(e, &kind))?;
    single(found_too(&app, &caller, done, &wanted).await?, &wanted)
}

/// What was there already is given like what was made, to whoever may read it.
async fn found_too(
    app: &App,
    caller: &Caller,
    mut done: Vec<Done>,
    wanted: &Wanted,
) -> Result<Vec<Done>, FhirRefusal> {
    if let [one] = done.as_mut_slice()
        && one.status == StatusCode::OK
        && one.body.is_none()
        && wanted.returns == Returns::Representation
        && let Some(key) = one.key.clone()
    {
        match fetch(app, caller, &key, None).await {
            Ok(found) => {
                (one.version, one.updated) = (Some(found.version), Some(found.updated));
                one.body = Some(found.body);
            }
            Err(no) if no.status == StatusCode::FORBIDDEN || no.status == StatusCode::NOT_FOUND => {}
            Err(no) => return Err(no),
        }
    }
    Ok(done)
}

/// Creates or replaces a resource under its id.
///
/// # Errors
/// [`FhirRefusal`].
pub async fn update(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    let key = path_key(&kind, &id)?;
    must_be_json(&headers)?;
    let op_id = operation(&headers)?;
    let request = Request {
        method: Method::Put,
        url: Cow::Owned(key.to_string()),
        if_none_exist: None,
        if_match: if_match(&headers).map(Cow::Owned),
    };
    let bundle = of_one(&body, request)?;
    let done = transaction(&app, &caller, &bundle, op_id, "POST /fhir update")
        .await
        .map_err(|e| unwrapped(e, &kind))?;
    single(done, &wanted)
}

/// Replaces the one resource that bears an identifier, or creates it where none does.
///
/// # Errors
/// [`FhirRefusal`]: 412 when more than one bears it, 400 without a condition, 422 for another condition than one
/// `identifier` or `_id`.
pub async fn update_where(
    State(app): State<Arc<App>>,
    FhirCaller(caller): FhirCaller,
    wanted: Wanted,
    Path(kind): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, FhirRefusal> {
    path_kind(&kind)?;
    must_be_json(&headers)?;
    let op_id = operation(&headers)?;
    let asked = uri.query().unwrap_or_default().split('&');
    let condition: Vec<&str> = asked
        .filter(|p| !p.is_empty() && !p.starts_with("_format=") && !p.starts_with("_pretty="))
        .collect();
    if condition.is_empty() {
        return Err(FhirRefusal::new(
            StatusCode::BAD_REQUEST,
            IssueCode::Required,
            "",
            "PUT Type/id, or PUT Type?identifier=system|value",
        ));
    }
    let request = Request {
        method: Method::Put,
        url: Cow::Owned(format!("{kind}?{}", condition.join("&"))),
        if_none_exist: None,
        if_match: if_match(&headers).map(Cow::Owned),
    };
    let bundle = of_one(&body, request)?;
    let done = transaction(&app, &caller, &bundle, op_id, "POST /fhir update")
        .await
        .map_err(|e| unwrapped(e, &kind))?;
    single(done, &wanted)
}

/// The text of `If-Match`.
pub(super) fn if_match(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::IF_MATCH)?;
    Some(given.to_str().unwrap_or_default().to_owned())
}

/// A resource seen as a transaction of one entry. A byte order mark before it is passed over, as before a Bundle.
pub(super) fn of_one<'a>(body: &'a [u8], request: Request<'a>) -> Result<Bundle<'a>, FhirRefusal> {
    let body = without_bom(body);
    let text = |name: &str| -> Result<Option<Cow<'a, str>>, FhirRefusal> {
        let member = edit::member(body, name).map_err(|e| {
            let issues = vitrine_fhir::validate(body).err().unwrap_or_else(|| vec![e.0]);
            FhirRefusal::content(&issues)
        })?;
        Ok(member
            .and_then(|m| serde_json::from_slice::<String>(m).ok())
            .map(Cow::Owned))
    };
    let (kind, id) = (text("resourceType")?, text("id")?);
    let entry = Entry {
        index: 0,
        full_url: None,
        request: Some(request),
        resource: Some(body),
        kind,
        id,
    };
    Ok(Bundle {
        kind: BundleType::Transaction,
        entries: vec![entry],
    })
}

/// Expressions as the sender of a single resource knows them.
pub(super) fn unwrapped(mut refusal: FhirRefusal, kind: &str) -> FhirRefusal {
    if let Ok(text) = std::str::from_utf8(&refusal.body) {
        let text = text
            .replace("Bundle.entry[0].resource.", &format!("{kind}."))
            .replace("Bundle.entry[0].resource\"", &format!("{kind}\""))
            .replace("Bundle.entry[0].request.ifMatch", "http.If-Match")
            .replace("Bundle.entry[0].request.ifNoneExist", "http.If-None-Exist")
            .replace("Bundle.entry[0].request", "http.request");
        refusal.body = text.into_bytes();
    }
    refusal
}

/// The answer to a write of one resource.
pub(super) fn single(mut done: Vec<Done>, wanted: &Wanted) -> Result<Response, FhirRefusal> {
    let Some(done) = done.pop() else {
        return Err(FhirRefusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueCode::Exception,
            "",
            "nothing was done",
        ));
    };
    let body = match wanted.returns {
        Returns::Minimal => Vec::new(),
        Returns::Outcome => outcome::information("stored"),
        Returns::Representation => done.shown()?.unwrap_or_default(),
    };
    let mut out = if body.is_empty() {
        done.status.into_response()
    } else {
        answer(done.status, None, body)
    };
    if let (Some(key), Some(version)) = (&done.key, done.version) {
        put_version(out.headers_mut(), version, done.updated);
        if let Ok(place) = HeaderValue::from_str(&format!("{}/{key}/_history/{version}", wanted.base)) {
            out.headers_mut().insert(header::LOCATION, place);
        }
    }
    Ok(out)
}
