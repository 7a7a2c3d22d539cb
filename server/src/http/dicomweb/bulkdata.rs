//! Bulk data of an instance (PS3.18 §10.4.1.1.5): values of its header that metadata only point to, by their path.
//!
//! Lives here: finding the value in the object, its form. Never here: pixels: those are asked for by frame. The path is the
//! one of the BulkDataURI: tags in hexadecimal and numbers of items from 0, with slashes between.

use super::super::bearer::Signed;
use super::super::refusal::Refused;
use super::multipart::{self, MediaType};
use super::ranged::ranged;
use super::{bad, not_found, wado};
use crate::app::App;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use vitrine_dicom::index::value;
use vitrine_dicom::scan::{ScanError, scan};
use vitrine_dicom::syntax::EXPLICIT_LE;
use vitrine_store::imaging::InstanceRow;
use vitrine_wire::ErrorCode;

/// Pixel Data, and its float forms.
const PIXELS: [&str; 3] = ["7FE00010", "7FE00008", "7FE00009"];
/// Items within items; the scan refuses objects that are deeper.
const DEEPEST: usize = 17;
/// Whatever is given in bytes is in this form: values are little endian.
const OCTETS: &str = "application/octet-stream";

/// Whether bytes are accepted, and whether as a part.
fn wanted(headers: &HeaderMap) -> Option<bool> {
    let plain = |m: &MediaType| matches!(m.get("transfer-syntax"), None | Some("*" | EXPLICIT_LE));
    multipart::accepted(headers)
        .iter()
        .filter(|m| plain(m))
        .find_map(|m| match m.name.as_str() {
            "multipart/related" => {
                let kind = m.get("type").unwrap_or("*/*").to_ascii_lowercase();
                [OCTETS, "*/*", "application/*"]
                    .contains(&kind.as_str())
                    .then_some(true)
            }
            "*/*" | "multipart/*" => Some(true),
            OCTETS | "application/*" => Some(false),
            _ => None,
        })
}

/// The path as the index writes it, or `None` for what is none.
fn path_of(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    let tag = |t: &str| t.len() == 8 && t.bytes().all(|b| b.is_ascii_hexdigit());
    let sound = parts.len() <= 2 * DEEPEST
        && parts.len() % 2 == 1
        && parts.iter().enumerate().all(|(n, part)| match n % 2 {
            0 => tag(part),
            _ => part.len() <= 9 && part.parse::<u32>().is_ok(),
        });
    sound.then(|| parts.join("/").to_ascii_uppercase())
}

fn read(app: &App, row: &InstanceRow, path: &str) -> Result<Bytes, Refused> {
    let mut reading = app.images.blobs().read(&row.blob)?;
    let len = reading.len();
    let fault = |e: ScanError| match e {
        ScanError::Read { source, .. } => source.into(),
        _ => not_found(),
    };
    let scanned = scan(&mut reading, len).map_err(fault)?;
    let header = scanned.read_header(&mut reading).map_err(fault)?;
    let found = value(&scanned, &header, path).map_err(|_| not_found())?;
    found.map(|(_, bytes)| Bytes::from(bytes)).ok_or_else(not_found)
}

/// `GET …/instances/{instance}/bulkdata/{path}`
///
/// # Errors
/// [`Refused`].
pub async fn bulkdata(
    State(app): State<Arc<App>>,
    Signed(caller): Signed,
    Path((study, series, instance, path)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let path = path_of(&path).ok_or_else(|| {
        bad("bulk data are named by a tag of eight hexadecimal digits; within a sequence by tag/item/tag, items from 0")
    })?;
    let not_acceptable =
        |text: &str| Refused::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadRequest, text.to_owned());
    // Found, allowed and written down first: the refusals below would otherwise tell what there is.
    let row = wado::one(&app, &caller, &study, &series, &instance).await?;
    if PIXELS.contains(&path.as_str()) {
        return Err(not_acceptable(
            "Pixels are given by frame: ask for …/frames/1, or for the whole object.",
        ));
    }
    let parts = wanted(&headers).ok_or_else(|| {
        not_acceptable(
            "Bulk data are given as application/octet-stream, little endian, also as multipart/related.",
        )
    })?;
    app.copies.home(std::slice::from_ref(&row)).await?;
    let read = tokio::task::block_in_place(|| read(&app, &row, &path));
    let bytes = read.inspect_err(|e| {
        if e.status.is_server_error() {
            app.copies.suspect(&row.uid);
        }
    })?;
    let mut tag = Sha256::new_with_prefix([u8::from(parts)]);
    tag.update(&bytes);
    let tag = crate::keys::hex(&tag.finalize());
    if !parts {
        return Ok(ranged(&headers, OCTETS, &tag, bytes));
    }
    // From the content, so that a range of it is a range of the same bytes tomorrow.
    let boundary = format!("vitrine-{}", &tag[..32]);
    let mut body = BytesMut::new();
    body.extend_from_slice(&multipart::before(&boundary, OCTETS));
    body.extend_from_slice(&bytes);
    body.extend_from_slice(&multipart::after());
    body.extend_from_slice(&multipart::end(&boundary));
    let media = format!("multipart/related; type=\"{OCTETS}\"; boundary={boundary}");
    Ok(ranged(&headers, &media, &tag, body.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    #[test]
    fn paths_are_tags_and_items() {
        for (said, path) in [
            ("00420011", Some("00420011")),
            ("00283010/0/00283006", Some("00283010/0/00283006")),
            ("0009100f/", Some("0009100F")),
            ("0042001", None),
            ("00420011/0", None),
            ("00420011/x/00420011", None),
            ("../../etc", None),
            ("", None),
        ] {
            assert_eq!(path_of(said).as_deref(), path, "{said}");
        }
        assert_eq!(
            path_of(&vec!["00420011/0"; 40].join("/")),
            None,
            "deeper than anything"
        );
    }

    #[test]
    fn bytes_are_given_and_nothing_else() {
        for (said, parts) in [
            ("", Some(true)),
            ("application/octet-stream", Some(false)),
            (
                "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*",
                Some(true),
            ),
            ("image/jpeg, application/octet-stream", Some(false)),
            ("image/jpeg", None),
            (
                "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50",
                None,
            ),
        ] {
            let mut headers = HeaderMap::new();
            if !said.is_empty() {
                headers.insert(header::ACCEPT, said.parse().unwrap());
            }
            assert_eq!(wanted(&headers), parts, "{said}");
        }
    }
}
