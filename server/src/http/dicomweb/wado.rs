//! WADO-RS (PS3.18 §10.4): studies, series and instances as they came, and their metadata from the index.

use super::super::bearer::Signed;
use super::super::refusal::Refused;
use super::multipart::{self, MediaType};
use super::{DICOM_JSON, json_fits, not_found, permit, public_base, study as one_study, uid};
use crate::app::App;
use crate::clock;
use crate::identity::sessions::Caller;
use crate::imaging::blobs::Blobs;
use crate::imaging::study::kept;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use vitrine_store::StoreError;
use vitrine_store::imaging::InstanceRow;
use vitrine_wire::ErrorCode;

/// Instances read from the index at a time, each with an audit row that names them.
const PAGE: usize = 500;
/// Answers with objects at once.
static DOWNLOADS: Semaphore = Semaphore::const_new(64);
/// A client that takes nothing for so long is cut off.
const SILENT: Duration = Duration::from_secs(30);
/// Bytes of an answer made at a time.
const CHUNK: usize = 256 << 10;

/// The address of this service, for the addresses in its answers: the configured one, or the one under which it was asked.
pub(super) fn base(app: &App, headers: &HeaderMap) -> String {
    if !app.config.listen.public_url.is_empty() {
        return public_base(app);
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    match host.filter(|h| {
        h.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    }) {
        Some(host) => format!("https://{host}/dicomweb"),
        None => "/dicomweb".to_owned(),
    }
}

fn not_acceptable() -> Refused {
    Refused::new(
        StatusCode::NOT_ACCEPTABLE,
        ErrorCode::BadRequest,
        "Objects are given as they were stored: accept multipart/related; type=\"application/dicom\"; transfer-syntax=*",
    )
}

/// How objects are to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Parts,
    /// One object by itself.
    Bare,
}

/// Whether a transfer syntax is accepted. By default PS3.18 wants Explicit VR Little Endian, but a server need not be able
/// to: what there is, is given.
fn syntax_fits(accept: &MediaType, stored: &[String]) -> bool {
    match accept.get("transfer-syntax") {
        None | Some("*") => true,
        Some(wanted) => stored.iter().all(|s| s == wanted),
    }
}

fn wanted(headers: &HeaderMap, stored: &[String]) -> Result<As, Refused> {
    let one = stored.len() == 1;
    let mut ways = multipart::accepted(headers).into_iter().filter_map(|m| {
        let fits = syntax_fits(&m, stored);
        match m.name.as_str() {
            "multipart/related" => {
                let dicom = m
                    .get("type")
                    .is_none_or(|t| t.eq_ignore_ascii_case("application/dicom"));
                (dicom && fits).then_some(As::Parts)
            }
            "application/dicom" if fits => Some(if one { As::Bare } else { As::Parts }),
            "*/*" | "multipart/*" => Some(As::Parts),
            _ => None,
        }
    });
    ways.next().ok_or_else(not_acceptable)
}

/// `GET /dicomweb/studies/{study}`
///
/// # Errors
/// [`Refused`].
pub async fn study(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(study): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let rows = all(&app, &caller, &study, None).await?;
    objects(&app, &headers, rows).await
}

/// `GET /dicomweb/studies/{study}/series/{series}`
///
/// # Errors
/// [`Refused`].
pub async fn series(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let rows = all(&app, &caller, &study, Some(&series)).await?;
    objects(&app, &headers, rows).await
}

/// `GET /dicomweb/studies/{study}/series/{series}/instances/{instance}`
///
/// # Errors
/// [`Refused`].
pub async fn instance(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let row = one(&app, &caller, &study, &series, &instance).await?;
    objects(&app, &headers, vec![row]).await
}

/// `GET /dicomweb/studies/{study}/metadata`
///
/// # Errors
/// [`Refused`].
pub async fn study_metadata(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path(study): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let rows = all(&app, &caller, &study, None).await?;
    metadata(&app, &headers, &rows)
}

/// `GET /dicomweb/studies/{study}/series/{series}/metadata`
///
/// # Errors
/// [`Refused`].
pub async fn series_metadata(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let rows = all(&app, &caller, &study, Some(&series)).await?;
    metadata(&app, &headers, &rows)
}

/// `GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata`
///
/// # Errors
/// [`Refused`].
pub async fn instance_metadata(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let row = one(&app, &caller, &study, &series, &instance).await?;
    metadata(&app, &headers, &[row])
}

/// Every instance of a study, or of one of its series, by series and place.
async fn all(
    app: &App,
    caller: &Caller,
    study: &str,
    series: Option<&str>,
) -> Result<Vec<InstanceRow>, Refused> {
    let row = one_study(app, caller, study).await?;
    let which: Vec<&str> = match series {
        Some(series) => row
            .series
            .iter()
            .map(|s| s.uid.as_str())
            .filter(|s| *s == series)
            .collect(),
        None => row.series.iter().map(|s| s.uid.as_str()).collect(),
    };
    let mut out = Vec::new();
    for series in which {
        let mut after = None;
        loop {
            let (permit, _) = permit(app, caller, study).await?;
            let sealed = app.store.instances(&permit, series, after, PAGE).await?;
            let found = app.open(&permit, sealed).await?;
            out.extend(found.instances);
            after = found.next;
            if after.is_none() {
                break;
            }
        }
    }
    if out.is_empty() {
        return Err(not_found());
    }
    Ok(out)
}

pub(super) async fn one(
    app: &App,
    caller: &Caller,
    study: &str,
    series: &str,
    instance: &str,
) -> Result<InstanceRow, Refused> {
    uid(series)?;
    let (permit, _) = permit(app, caller, study).await?;
    let sealed = match app.store.instance(&permit, uid(instance)?).await {
        // It is another patient's: under this study it is not there.
        Err(StoreError::WrongPatient(_)) => return Err(not_found()),
        sealed => sealed?,
    };
    let found = app.open(&permit, sealed).await?;
    found
        .filter(|i| i.study == study && i.series == series)
        .ok_or_else(not_found)
}

fn metadata(app: &App, headers: &HeaderMap, rows: &[InstanceRow]) -> Result<Response, Refused> {
    json_fits(headers)?;
    let base = base(app, headers);
    let one = |i: &InstanceRow| {
        let mut header = kept(&i.header).remove("json").unwrap_or_default();
        bulk(
            &mut header,
            &format!(
                "{base}/studies/{}/series/{}/instances/{}",
                i.study, i.series, i.uid
            ),
        );
        header
    };
    let body = Value::Array(rows.iter().map(one).collect()).to_string();
    Ok(([(header::CONTENT_TYPE, DICOM_JSON)], body).into_response())
}

/// Makes the addresses of values that are not in the index whole: they are kept as `bulkdata/` and the path.
fn bulk(header: &mut Value, of: &str) {
    if let Value::Object(elements) = header {
        for element in elements.values_mut() {
            if let Some(uri) = element.get_mut("BulkDataURI") {
                let path = uri.as_str().unwrap_or_default();
                *uri = json!(format!("{of}/{path}"));
            }
            for item in element
                .get_mut("Value")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                bulk(item, of);
            }
        }
    }
}

async fn objects(app: &App, headers: &HeaderMap, rows: Vec<InstanceRow>) -> Result<Response, Refused> {
    let stored: Vec<String> = rows
        .iter()
        .map(|r| {
            let syntax = kept(&r.header).remove("syntax").unwrap_or_default();
            syntax.as_str().unwrap_or_default().to_owned()
        })
        .collect();
    let wanted = wanted(headers, &stored)?;
    // Who takes nothing holds a thread until it is cut off: there are others for whom threads are needed.
    let place = DOWNLOADS.try_acquire().map_err(|_| Refused::busy(5))?;
    let blobs = app.images.blobs().clone();
    let (to, from) = mpsc::channel(4);
    let boundary = format!("vitrine-{}", clock::new_uuid().simple());
    let media = match wanted {
        As::Parts => format!("multipart/related; type=\"application/dicom\"; boundary={boundary}"),
        As::Bare => {
            let syntax = stored.first().cloned().unwrap_or_default();
            format!("application/dicom; transfer-syntax={syntax}")
        }
    };
    let parts = (wanted == As::Parts).then_some(boundary);
    app.copies.home(&rows).await?;
    let copies = app.copies.clone();
    // Opened before anything is said: a file that is missing is a refusal, not half an answer.
    tokio::task::block_in_place(|| rows.iter().try_for_each(|row| blobs.read(&row.blob).map(drop)))?;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut at = 0;
        let sent = write(&blobs, &rows, &stored, parts.as_deref(), &to, &mut at);
        if let Err(e) = sent
            && e.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::error!(error = %e, "the file of an image could not be given");
            if let Some(row) = rows.get(at)
                && e.kind() != io::ErrorKind::TimedOut
            {
                copies.suspect(&row.uid);
            }
            // Ends the connection before the answer's end, which every client takes for a failure.
            let _ = to.try_send(Err(e));
        }
    });
    let body = Body::from_stream(tokio_stream(from));
    Ok(([(header::CONTENT_TYPE, media)], body).into_response())
}

fn tokio_stream(
    mut from: mpsc::Receiver<io::Result<Bytes>>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::poll_fn(move |cx| from.poll_recv(cx))
}

type Sending = mpsc::Sender<io::Result<Bytes>>;

/// Hands bytes on; a client that takes none for [`SILENT`] is cut off.
fn send(to: &Sending, bytes: Bytes) -> io::Result<()> {
    let sending = tokio::time::timeout(SILENT, to.send(Ok(bytes)));
    match tokio::runtime::Handle::current().block_on(sending) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn write(
    blobs: &Blobs,
    rows: &[InstanceRow],
    stored: &[String],
    boundary: Option<&str>,
    to: &Sending,
    at: &mut usize,
) -> io::Result<()> {
    for (n, (row, syntax)) in rows.iter().zip(stored).enumerate() {
        *at = n;
        if let Some(boundary) = boundary {
            let media = format!("application/dicom; transfer-syntax={syntax}");
            send(to, multipart::before(boundary, &media))?;
        }
        let mut reading = blobs.read(&row.blob)?;
        let mut first = true;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            reading.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            if std::mem::take(&mut first) {
                without_preamble(&mut chunk);
            }
            send(to, Bytes::from(chunk))?;
        }
        if boundary.is_some() {
            send(to, multipart::after())?;
        }
    }
    match boundary {
        Some(boundary) => send(to, multipart::end(boundary)),
        None => Ok(()),
    }
}

/// The 128 bytes before `DICM` may make an object a program or a page as well (PS3.10 §7.1); a reader of DICOM does not
/// look at them.
fn without_preamble(bytes: &mut [u8]) {
    if bytes.get(128..132) == Some(b"DICM") {
        bytes[..128].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &'static str) -> HeaderMap {
        let mut out = HeaderMap::new();
        if !text.is_empty() {
            out.insert(header::ACCEPT, text.parse().unwrap());
        }
        out
    }

    #[test]
    fn an_object_is_given_as_it_is_or_refused() {
        let jpeg = ["1.2.840.10008.1.2.4.50".to_owned()];
        let two = [jpeg[0].clone(), "1.2.840.10008.1.2.1".to_owned()];
        for (said, one, many) in [
            ("", Some(As::Parts), Some(As::Parts)),
            ("application/dicom", Some(As::Bare), Some(As::Parts)),
            (
                "multipart/related; type=\"application/dicom\"",
                Some(As::Parts),
                Some(As::Parts),
            ),
            (
                "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.4.50",
                Some(As::Parts),
                None,
            ),
            (
                "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2",
                None,
                None,
            ),
            ("multipart/related; type=\"image/jpeg\"", None, None),
            ("text/html", None, None),
        ] {
            let headers = accept(said);
            assert_eq!(
                (wanted(&headers, &jpeg).ok(), wanted(&headers, &two).ok()),
                (one, many),
                "{said}"
            );
        }
    }

    #[test]
    fn a_preamble_that_is_something_else_too_is_emptied() {
        let mut bytes = b"MZ<script>".to_vec();
        bytes.resize(128, b'x');
        bytes.extend_from_slice(b"DICMrest");
        without_preamble(&mut bytes);
        assert!(bytes[..128].iter().all(|b| *b == 0));
        assert_eq!(&bytes[128..], b"DICMrest");
        let mut bare = b"no preamble".to_vec();
        without_preamble(&mut bare);
        assert_eq!(bare, b"no preamble");
    }
}
