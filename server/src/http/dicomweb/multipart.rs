//! `multipart/related` (RFC 2387), as PS3.18 §8.6.1 uses it.
//!
//! Lives here: reading the boundary of a request, writing parts of an answer. Never here: reading parts (`multer`).

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use bytes::Bytes;

/// A media type with its parameters, names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype`, lower case.
    pub name: String,
    /// Parameters, in order.
    pub parameters: Vec<(String, String)>,
}

impl MediaType {
    /// A parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Reads one media type: `type/subtype; name=value; name="value"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').into_iter();
        let name = parts.next()?.trim().to_ascii_lowercase();
        if !name.contains('/') {
            return None;
        }
        let parameters = parts
            .filter_map(|p| {
                let (name, value) = p.split_once('=')?;
                let value = value.trim();
                let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
                Some((name.trim().to_ascii_lowercase(), bare.unwrap_or(value).to_owned()))
            })
            .collect();
        Some(Self { name, parameters })
    }
}

/// Splits at a sign that stands outside quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut out, mut from, mut quoted) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == at && !quoted => {
                out.push(&text[from..i]);
                from = i + c.len_utf8();
            }
            _ => {}
        }
    }
    out.push(&text[from..]);
    out
}

/// The Content-Type of a request.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    MediaType::parse(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

/// What a request accepts, in the order in which it says so; `*/*` when it says nothing.
#[must_use]
pub fn accepted(headers: &HeaderMap) -> Vec<MediaType> {
    let said = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
    let all: Vec<MediaType> = said
        .flat_map(|v| split(v, ','))
        .filter_map(MediaType::parse)
        .collect();
    if all.is_empty() {
        return MediaType::parse("*/*").into_iter().collect();
    }
    all
}

/// What comes before a part's bytes.
#[must_use]
pub fn before(boundary: &str, media_type: &str) -> Bytes {
    Bytes::from(format!("--{boundary}\r\nContent-Type: {media_type}\r\n\r\n"))
}

/// What comes after a part's bytes.
#[must_use]
pub const fn after() -> Bytes {
    Bytes::from_static(b"\r\n")
}

/// What ends the answer.
#[must_use]
pub fn end(boundary: &str) -> Bytes {
    Bytes::from(format!("--{boundary}--\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_with_quotes_and_without() {
        let m = MediaType::parse(r#"Multipart/Related; type="application/dicom"; Boundary="a;b,c""#).unwrap();
        assert_eq!(m.name, "multipart/related");
        assert_eq!(
            (m.get("type"), m.get("boundary")),
            (Some("application/dicom"), Some("a;b,c"))
        );
        assert_eq!(MediaType::parse("nonsense"), None);
        let mut headers = HeaderMap::new();
        assert_eq!(accepted(&headers)[0].name, "*/*");
        headers.insert(
            ACCEPT,
            r#"multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom;q=0.5"#
                .parse()
                .unwrap(),
        );
        let names: Vec<_> = accepted(&headers).into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["multipart/related", "application/dicom"]);
    }
}
