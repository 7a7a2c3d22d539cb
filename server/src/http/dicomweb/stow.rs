//! STOW-RS (PS3.18 §10.5): `POST /dicomweb/studies` and `POST /dicomweb/studies/{study}`.
//!
//! Each part is received into a file while it arrives and filed by itself: one that cannot be taken holds nobody up. The
//! answer says of every part what became of it, and comes when everything it calls stored is durable.

use super::super::bearer::Signed;
use super::super::import::OfCaller;
use super::super::refusal::Refused;
use super::{DICOM_JSON, bad, multipart, uid};
use crate::app::App;
use crate::imaging::blobs::Incoming;
use crate::imaging::filing::{Filer, Named, Outcome};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Map, Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use vitrine_access::action::ImportData;
use vitrine_store::StoreError;
use vitrine_wire::ErrorCode;

/// Failure Reason (0008,1197), PS3.18 table I.2-2 and PS3.4 annex B, of what is not kept; that of what is in quarantine is
/// its fault's.
const NO_ROOM: u16 = 0xA700;
const FAILED: u16 = 0x0110;

/// Stores objects of any study.
///
/// # Errors
/// [`Refused`].
pub async fn store(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    request: Request,
) -> Result<Response, Refused> {
    take(app, caller, request, None).await
}

/// Stores objects of one study.
///
/// # Errors
/// [`Refused`].
pub async fn store_in(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(study): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    uid(&study)?;
    take(app, caller, request, Some(study)).await
}

/// What became of one part.
enum Part {
    Taken(Outcome),
    /// It could not be kept: not even in quarantine.
    Failed(u16, String),
}

async fn take(
    app: Arc<App>,
    caller: crate::identity::sessions::Caller,
    request: Request,
    study: Option<String>,
) -> Result<Response, Refused> {
    let allowed = app.request(&caller, None, None).await?;
    let _allowed = app.decide::<ImportData>(allowed).await?;
    let media = multipart::content_type(request.headers()).ok_or_else(unsupported)?;
    let base = super::wado::base(&app, request.headers());
    let body = request.into_body();
    let filer = app.images.clone();
    let permits = OfCaller {
        app: app.clone(),
        caller,
    };
    let take = Take {
        filer: &filer,
        permits: &permits,
        study: study.as_deref(),
    };
    let parts = match media.name.as_str() {
        "application/dicom" => vec![take.one(body.into_data_stream()).await?],
        "multipart/related" => {
            let boundary = media
                .get("boundary")
                .filter(|b| !b.is_empty() && b.len() <= 70)
                .ok_or_else(|| bad("Content-Type names no boundary of at most 70 characters"))?;
            take.all(body, boundary).await?
        }
        _ => return Err(unsupported()),
    };
    let studies = parts.iter().filter_map(Part::study).map(str::to_owned).collect();
    filer.settle(&permits, &studies).await;
    Ok(answer(&parts, &base))
}

fn unsupported() -> Refused {
    Refused::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::BadRequest,
        "Send Content-Type: multipart/related; type=\"application/dicom\"; boundary=…, or one application/dicom.",
    )
}

impl Part {
    /// The study that holds it now.
    fn study(&self) -> Option<&str> {
        match self {
            Self::Taken(outcome) => outcome.study(),
            Self::Failed(..) => None,
        }
    }
}

/// Ends a request that sends more than so much between two parts: whoever reads the parts keeps that in memory.
#[derive(Default)]
struct Between {
    inside: AtomicBool,
    bytes: AtomicUsize,
}

/// A chunk may begin with the end of one part and hold the beginning of the next.
const BETWEEN_MOST: usize = 2 << 20;

impl Between {
    fn enter(&self) {
        self.inside.store(true, Relaxed);
    }

    fn leave(&self) {
        self.bytes.store(0, Relaxed);
        self.inside.store(false, Relaxed);
    }

    fn let_through(&self, chunk: Bytes) -> std::io::Result<Bytes> {
        let so_far = self.bytes.fetch_add(chunk.len(), Relaxed) + chunk.len();
        if !self.inside.load(Relaxed) && so_far > BETWEEN_MOST {
            return Err(std::io::Error::other("more between two parts than there can be"));
        }
        Ok(chunk)
    }
}

/// Gives one chunk at a time: whoever reads the parts takes in all that is ready before it looks at any of it, so that a
/// fast sender would fill the memory, and parts that came whole would count as what is between two.
struct Paced<S> {
    inner: S,
    gave: bool,
}

impl<S> Paced<S> {
    const fn new(inner: S) -> Self {
        Self { inner, gave: false }
    }
}

impl<S: Stream + Unpin> Stream for Paced<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = Pin::new(&mut self.inner).poll_next(cx);
        self.gave = matches!(next, Poll::Ready(Some(_)));
        next
    }
}

struct Take<'t> {
    filer: &'t Filer,
    permits: &'t OfCaller,
    study: Option<&'t str>,
}

impl Take<'_> {
    async fn all(&self, body: Body, boundary: &str) -> Result<Vec<Part>, Refused> {
        let between = Arc::new(Between::default());
        let watched = between.clone();
        let stream = body
            .into_data_stream()
            .map(move |chunk| watched.let_through(chunk.map_err(std::io::Error::other)?));
        let mut parts = multer::Multipart::new(Paced::new(stream), boundary);
        let mut out = Vec::new();
        loop {
            let part = match parts.next_field().await {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(out),
                // What arrived before is stored: the sender must hear of it.
                Err(_) if !out.is_empty() => {
                    out.push(Part::Failed(
                        FAILED,
                        "the request broke off in this part".to_owned(),
                    ));
                    return Ok(out);
                }
                Err(e) => return Err(bad(format!("the parts cannot be read: {e}"))),
            };
            between.enter();
            out.push(self.one(part).await?);
            between.leave();
        }
    }

    async fn one<S, E>(&self, mut chunks: S) -> Result<Part, Refused>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut incoming = match self.filer.blobs().receive() {
            Ok(incoming) => incoming,
            Err(e) => return Ok(failed(&e)),
        };
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else {
                return Ok(Part::Failed(
                    FAILED,
                    "the request broke off in this part".to_owned(),
                ));
            };
            if let Err(e) = tokio::task::block_in_place(|| incoming.write(&chunk)) {
                return Ok(failed(&e));
            }
        }
        let received = match tokio::task::spawn_blocking(|| Incoming::finish(incoming)).await {
            Ok(Ok(received)) => received,
            Ok(Err(e)) => return Ok(failed(&e)),
            Err(_) => return Err(StoreError::Closed.into()),
        };
        match self
            .filer
            .take(self.permits, received, "STOW-RS", self.study)
            .await
        {
            Ok(outcome) => Ok(Part::Taken(outcome)),
            Err(StoreError::Full(doing)) => Ok(Part::Failed(NO_ROOM, format!("no space left while {doing}"))),
            Err(e) => {
                tracing::error!(error = %e, "an image could not be filed");
                Ok(Part::Failed(FAILED, "the store failed: send it again".to_owned()))
            }
        }
    }
}

fn failed(e: &std::io::Error) -> Part {
    tracing::error!(error = %e, "an image could not be written");
    match e.kind() {
        std::io::ErrorKind::StorageFull => Part::Failed(NO_ROOM, "no space left for images".to_owned()),
        _ => Part::Failed(FAILED, "its file could not be written: send it again".to_owned()),
    }
}

fn ui(value: &str) -> Value {
    json!({"vr": "UI", "Value": [value]})
}

fn stored(named: &Named, base: &str) -> Value {
    let Named {
        study,
        series,
        class,
        uid,
    } = named;
    json!({
        "00081150": ui(class),
        "00081155": ui(uid),
        "00081190": {"vr": "UR", "Value": [format!("{base}/studies/{study}/series/{series}/instances/{uid}")]},
    })
}

fn refused(object: Option<&(String, String)>, reason: u16, comment: &str) -> Value {
    let mut out = Map::new();
    if let Some((class, uid)) = object {
        out.insert("00081150".into(), ui(class));
        out.insert("00081155".into(), ui(uid));
    }
    out.insert("00081197".into(), json!({"vr": "US", "Value": [reason]}));
    // Error Comment, LO: 64 characters at most.
    let comment: String = comment.chars().take(64).collect();
    out.insert("00000902".into(), json!({"vr": "LO", "Value": [comment]}));
    Value::Object(out)
}

/// The Store Instances Response (PS3.18 §10.5.3, annex I).
fn answer(parts: &[Part], base: &str) -> Response {
    let (mut kept, mut not) = (Vec::new(), Vec::new());
    let mut studies: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            Part::Taken(Outcome::Filed(named) | Outcome::Duplicate(named)) => {
                kept.push(stored(named, base));
                if !studies.contains(&named.study.as_str()) {
                    studies.push(&named.study);
                }
            }
            Part::Taken(Outcome::Quarantined(held)) => {
                not.push(refused(held.object.as_ref(), held.fault.code(), held.told()));
            }
            Part::Failed(code, reason) => not.push(refused(None, *code, reason)),
        }
    }
    let status = match (kept.is_empty(), not.is_empty()) {
        (_, true) if !kept.is_empty() => StatusCode::OK,
        (false, false) => StatusCode::ACCEPTED,
        _ => StatusCode::CONFLICT,
    };
    let mut out = Map::new();
    if let [study] = studies[..] {
        let url = format!("{base}/studies/{study}");
        out.insert("00081190".into(), json!({"vr": "UR", "Value": [url]}));
    }
    if !kept.is_empty() {
        out.insert("00081199".into(), json!({"vr": "SQ", "Value": kept}));
    }
    if !not.is_empty() {
        out.insert("00081198".into(), json!({"vr": "SQ", "Value": not}));
    }
    let body = Value::Object(out).to_string();
    (status, [(header::CONTENT_TYPE, DICOM_JSON)], body).into_response()
}
