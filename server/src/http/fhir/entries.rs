//! What entries of a Bundle ask beside plain writes: patches, each made an update of the version it was made for (of a transaction before it
//! is planned, of a batch in its turn); reads and searches, each answered as by itself once the writes are done.
//!
//! Lives here: what the address of a GET means, and which of the API's own ways answers it. Never here: those ways (one file each), the order
//! of a Bundle (`bundle`). Called by `bundle`.

use super::super::bearer::FhirCaller;
use super::super::beat;
use super::super::refusal::FhirRefusal;
use super::bundle::{Done, planned};
use super::patch::{JSON_PATCH, patched};
use super::read::fetch;
use super::write::of_one;
use super::{Query, Wanted, audit_event, endpoint, everything, history, path_key, path_kind, search};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_clinical::ResourceKey;
use vitrine_fhir::bundle::{Bundle, Entry, Method, Request};
use vitrine_fhir::patch::Patch;
use vitrine_fhir::{Issue, IssueCode};

/// So often a patch is made anew because somebody else wrote the resource in between.
const TRIES: usize = 8;
/// Bytes that the reads of one Bundle may give, and that the patches of a transaction may come to: a short entry can ask for a long resource.
const MOST_BYTES: usize = 64 << 20;

/// An update that a patch came to.
struct Made {
    body: Vec<u8>,
    if_match: String,
    kind: String,
    id: String,
}

/// The updates that the patches of a transaction came to, by entry.
#[derive(Default)]
pub(super) struct Patches(BTreeMap<usize, Made>);

impl Patches {
    /// Makes them, each of the version that is current now. `PATCH Type?condition` is left to the plan, which says that it is not taken.
    ///
    /// # Errors
    /// [`FhirRefusal`], naming the entry.
    pub(super) async fn of(app: &App, caller: &Caller, bundle: &Bundle<'_>) -> Result<Self, FhirRefusal> {
        let (mut all, mut bytes) = (Self::default(), 0);
        for entry in &bundle.entries {
            let Some(request) = entry.request.as_ref() else {
                continue;
            };
            if request.method != Method::Patch || request.url.contains('?') {
                continue;
            }
            let update = made(app, caller, entry, request).await;
            let update = update.map_err(|e| of_entry(e, entry.index))?;
            bytes += update.body.len();
            if bytes > MOST_BYTES {
                let text = "the patches of this transaction come to more than 64 MiB: send fewer at a time";
                let refusal = FhirRefusal::content(&[Issue::new(IssueCode::TooMany, "request", text)]);
                return Err(of_entry(refusal, entry.index));
            }
            all.0.insert(entry.index, update);
        }
        Ok(all)
    }

    /// The Bundle with updates in the place of its patches.
    pub(super) fn within<'a>(&'a self, bundle: &Bundle<'a>) -> Bundle<'a> {
        let mut bundle = bundle.clone();
        for entry in &mut bundle.entries {
            let Some(made) = self.0.get(&entry.index) else {
                continue;
            };
            entry.resource = Some(&made.body);
            entry.kind = Some(Cow::Borrowed(&made.kind));
            entry.id = Some(Cow::Borrowed(&made.id));
            if let Some(request) = &mut entry.request {
                request.method = Method::Put;
                request.if_match = Some(Cow::Borrowed(&made.if_match));
            }
        }
        bundle
    }
}

/// Carries out the patch of an entry of a batch, in its turn: what entries before it wrote is there.
///
/// # Errors
/// [`FhirRefusal`], naming the entry.
pub(super) async fn patch(
    app: &App,
    caller: &Caller,
    entry: &Entry<'_>,
    op_id: uuid::Uuid,
) -> Result<Done, FhirRefusal> {
    let Some(request) = entry.request.as_ref() else {
        return Err(FhirRefusal::not_found());
    };
    let named = |e| of_entry(e, entry.index);
    for last in (0..TRIES).rev() {
        let made = made(app, caller, entry, request).await.map_err(named)?;
        let put = Request {
            method: Method::Put,
            if_match: Some(Cow::Borrowed(&made.if_match)),
            ..request.clone()
        };
        let alone = of_one(&made.body, put).map_err(named)?;
        match planned(app, caller, &alone, op_id, "POST /fhir batch").await {
            Ok(mut done) => return done.pop().ok_or_else(FhirRefusal::not_found),
            // Another writer was in between, and no version was asked for.
            Err(e)
                if e.status == StatusCode::PRECONDITION_FAILED && request.if_match.is_none() && last > 0 => {}
            Err(mut e) => {
                let at = format!("Bundle.entry[{}]", entry.index);
                let text = String::from_utf8_lossy(&e.body).replace("Bundle.entry[0]", &at);
                e.body = text.into_bytes();
                return Err(e);
            }
        }
    }
    Err(named(FhirRefusal::not_found()))
}

/// A Binary as it carries a patch (R4, http.html#patch, "Patch using FHIRPath Patch or JSON Patch in a Bundle").
#[derive(Deserialize)]
struct Binary {
    #[serde(rename = "resourceType")]
    kind: String,
    #[serde(rename = "contentType")]
    media: Option<String>,
    data: Option<String>,
}

async fn made(
    app: &App,
    caller: &Caller,
    entry: &Entry<'_>,
    request: &Request<'_>,
) -> Result<Made, FhirRefusal> {
    let fault = |code, text: &str| FhirRefusal::content(&[Issue::new(code, "resource", text)]);
    let carried = || {
        fault(
            IssueCode::NotSupported,
            "a PATCH in a Bundle carries a Binary with contentType application/json-patch+json, its operations (RFC 6902) in data",
        )
    };
    let (kind, id) = request.url.split_once('/').unwrap_or((&request.url, ""));
    let key = path_key(kind, id)?;
    let binary: Binary = entry
        .resource
        .and_then(|r| serde_json::from_slice(r).ok())
        .ok_or_else(carried)?;
    let media = binary.media.as_deref().and_then(|m| m.split(';').next());
    if binary.kind != "Binary" || !media.is_some_and(|m| m.trim().eq_ignore_ascii_case(JSON_PATCH)) {
        return Err(carried());
    }
    let data: String = binary.data.unwrap_or_default().split_whitespace().collect();
    let bytes = STANDARD
        .decode(data)
        .map_err(|_| fault(IssueCode::Value, "Binary.data is not base64"))?;
    let patch =
        tokio::task::block_in_place(|| Patch::read(&bytes)).map_err(|e| FhirRefusal::content(&[e.0]))?;
    let made = patched(app, caller, &key, &patch, request.if_match.as_deref()).await?;
    Ok(Made {
        body: made.body,
        if_match: format!("W/\"{}\"", made.version),
        kind: key.kind.as_str().to_owned(),
        id: key.id.as_str().to_owned(),
    })
}

/// A refusal with the entry it is of before what it names.
pub(super) fn of_entry(mut refusal: FhirRefusal, entry: usize) -> FhirRefusal {
    let Ok(mut outcome) = serde_json::from_slice::<serde_json::Value>(&refusal.body) else {
        return refusal;
    };
    for issue in outcome["issue"].as_array_mut().into_iter().flatten() {
        let named = issue["expression"][0].as_str().unwrap_or_default();
        let at = match named {
            "" | "http.If-Match" => "request".to_owned(),
            http if http.starts_with("http.") => "request.url".to_owned(),
            other => other.to_owned(),
        };
        issue["expression"] = serde_json::json!([format!("Bundle.entry[{entry}].{at}")]);
    }
    refusal.body = outcome.to_string().into_bytes();
    refusal
}

/// Answers the reads and searches of a Bundle, in their order.
///
/// # Errors
/// None: what is refused is the answer of its entry.
pub(super) async fn reads(
    app: &Arc<App>,
    caller: &Caller,
    wanted: &Wanted,
    bundle: &Bundle<'_>,
    done: &mut [Done],
) {
    let mut given = 0;
    for entry in &bundle.entries {
        let Some(request) = entry.request.as_ref() else {
            continue;
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            continue;
        }
        let began = clock::steady();
        let answer = if given > MOST_BYTES {
            Err(FhirRefusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                IssueCode::TooLong,
                "",
                "the reads of this Bundle give more than 64 MiB: ask for this one by itself",
            ))
        } else {
            get(app, caller, wanted, &request.url).await
        };
        let mut answer = answer.unwrap_or_else(|e| Done::refused(of_entry(e, entry.index)));
        if request.method == Method::Head {
            answer.body = None;
        }
        given += answer.body.as_ref().map_or(0, Bytes::len);
        beat::hold_entry(answer.status, began).await;
        if let Some(slot) = done.get_mut(entry.index) {
            *slot = answer;
        }
    }
}

/// What the address of a GET asks.
enum Asked<'a> {
    Search(&'a str),
    Last(&'a str),
    Read(&'a str, &'a str),
    History(&'a str, &'a str),
    Version(&'a str, &'a str, &'a str),
    Everything(&'a str, &'a str),
}

impl<'a> Asked<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        Some(match parts.as_slice() {
            [""] => return None,
            [kind] => Self::Search(kind),
            [kind, "$lastn"] => Self::Last(kind),
            [kind, id] => Self::Read(kind, id),
            [kind, id, "_history"] => Self::History(kind, id),
            [kind, id, "_history", version] => Self::Version(kind, id, version),
            [kind, id, "$everything"] => Self::Everything(kind, id),
            _ => return None,
        })
    }
}

fn parts(url: &str) -> (&str, &str) {
    let url = url.strip_prefix('/').unwrap_or(url);
    url.split_once('?').unwrap_or((url, ""))
}

/// Refuses what is answered by nothing here, and a search that is not understood: before a transaction writes.
///
/// # Errors
/// [`FhirRefusal`] as the GET by itself would be refused.
pub(super) fn understood(url: &str, wanted: &Wanted) -> Result<(), FhirRefusal> {
    let (path, query) = parts(url);
    match Asked::of(path) {
        None => Err(unknown()),
        Some(Asked::Search(kind)) => {
            path_kind(kind)?;
            search::understood(kind, &Query::parse(query), wanted.lenient)
        }
        Some(Asked::Last(kind)) => {
            search::lastn::understood(kind, &Query::parse(query), wanted.lenient).map(drop)
        }
        Some(
            Asked::Read(kind, id)
            | Asked::History(kind, id)
            | Asked::Version(kind, id, _)
            | Asked::Everything(kind, id),
        ) => path_key(kind, id).map(drop),
    }
}

fn unknown() -> FhirRefusal {
    FhirRefusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        IssueCode::NotSupported,
        "request.url",
        "a GET in a Bundle is Type?parameters, Type/id, Type/id/_history, Type/id/_history/version, Patient/id/$everything or Observation/$lastn",
    )
}

async fn get(app: &Arc<App>, caller: &Caller, wanted: &Wanted, url: &str) -> Result<Done, FhirRefusal> {
    let (path, query) = parts(url);
    let wanted = Wanted {
        query: Query::parse(query),
        lenient: wanted.lenient,
        base: wanted.base.clone(),
        ..Wanted::default()
    };
    let two = |kind: &str, id: &str| Path((kind.to_owned(), id.to_owned()));
    let (state, by) = (State(app.clone()), FhirCaller(caller.clone()));
    match Asked::of(path).ok_or_else(unknown)? {
        Asked::Read(kind, id) => read(app, caller, &wanted, &path_key(kind, id)?, None).await,
        Asked::Version(kind, id, version) => {
            let version = version.parse().map_err(|_| FhirRefusal::not_found())?;
            read(app, caller, &wanted, &path_key(kind, id)?, Some(version)).await
        }
        Asked::Search(kind) => whole(search::search(state, by, wanted, Path(kind.to_owned())).await?).await,
        Asked::Last(kind) => {
            whole(search::lastn::asked(state, by, wanted, Path(kind.to_owned())).await?).await
        }
        Asked::History(kind, id) => whole(history::history(state, by, wanted, two(kind, id)).await?).await,
        Asked::Everything(kind, id) => {
            whole(everything::everything(state, by, wanted, two(kind, id)).await?).await
        }
    }
}

async fn read(
    app: &App,
    caller: &Caller,
    wanted: &Wanted,
    key: &ResourceKey,
    version: Option<u64>,
) -> Result<Done, FhirRefusal> {
    if version.is_none() && endpoint::is(key) {
        return whole(endpoint::read(app, caller, wanted).await?).await;
    }
    if version.is_none() && audit_event::is(key) {
        return whole(audit_event::read(app, caller, key).await?).await;
    }
    let found = fetch(app, caller, key, version).await?;
    Ok(Done {
        key: Some(found.key),
        version: Some(found.version),
        updated: Some(found.updated),
        body: Some(found.body),
        ..Done::status(StatusCode::OK)
    })
}

/// An answer as that of an entry.
async fn whole(answer: Response) -> Result<Done, FhirRefusal> {
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.map_err(|_| {
        FhirRefusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueCode::Exception,
            "",
            "an answer could not be put together",
        )
    })?;
    Ok(Done {
        body: Some(body),
        ..Done::status(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_entries_mean_what_they_mean_by_themselves() {
        let wanted = Wanted::default();
        for (url, taken) in [
            ("Patient/1", true),
            ("Patient/1/_history", true),
            ("Patient/1/_history/2", true),
            ("Patient/1/$everything", true),
            ("Patient?name=Mill", true),
            ("/Patient?name=Mill", true),
            ("?_type=Patient", false),
            ("Observation?patient=1&code=a|b", true),
            ("Endpoint?status=active", true),
            ("Observation?colour=red", false),
            ("Colour?name=red", false),
            ("Observation/$lastn?patient=1&code=a", true),
            ("Observation/$lastn?patient=1", false),
            ("Condition/$lastn?patient=1&code=a", false),
            ("Patient/1/$fly", false),
            ("metadata", false),
            ("", false),
            ("https://elsewhere.example/fhir/Patient/1", false),
        ] {
            assert_eq!(understood(url, &wanted).is_ok(), taken, "{url}");
        }
    }
}
