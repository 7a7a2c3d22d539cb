//! Answers of which a part may be asked for (RFC 9110 §13 and §14).
//!
//! Lives here: ETag, If-None-Match, Range and If-Range of bytes that never change. Never here: where the bytes come from.
//! Called by `frames`, `rendered` and `bulkdata`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use std::ops::Range;

/// A range of one piece (RFC 9110 §14.1.2); `None` for what is no such range, which is then not looked at.
fn range(text: &str, len: u64) -> Option<Result<Range<u64>, ()>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |t: &str| t.trim().parse::<u64>().ok();
    let range = match (from.trim().is_empty(), to.trim().is_empty()) {
        (true, false) => len.saturating_sub(number(to)?)..len,
        (false, true) => number(from)?..len,
        (false, false) => number(from)?..number(to)?.saturating_add(1).min(len),
        (true, true) => return None,
    };
    Some(if range.start < range.end {
        Ok(range)
    } else {
        Err(())
    })
}

/// The answer: whole, a range of it, or that the client has it.
pub(super) fn ranged(headers: &HeaderMap, media: &str, tag: &str, body: Bytes) -> Response {
    let tag = format!("\"{tag}\"");
    let said = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let always = [
        (header::ETAG, tag.clone()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::VARY, "accept".to_owned()),
    ];
    if said(header::IF_NONE_MATCH).is_some_and(|t| t == "*" || t.split(',').any(|t| t.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, always).into_response();
    }
    let same = said(header::IF_RANGE).is_none_or(|t| t == tag);
    let len = body.len() as u64;
    match said(header::RANGE).filter(|_| same).and_then(|r| range(r, len)) {
        Some(Ok(r)) => {
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let part = body.slice(at(r.start)..at(r.end));
            let of = format!("bytes {}-{}/{len}", r.start, r.end - 1);
            let headers = [
                (header::CONTENT_RANGE, of),
                (header::CONTENT_TYPE, media.to_owned()),
            ];
            (StatusCode::PARTIAL_CONTENT, always, headers, Body::from(part)).into_response()
        }
        Some(Err(())) => {
            let of = [(header::CONTENT_RANGE, format!("bytes */{len}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, always, of).into_response()
        }
        None => (
            always,
            [(header::CONTENT_TYPE, media.to_owned())],
            Body::from(body),
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_of_the_bytes_or_refused() {
        for (said, expected) in [
            ("bytes=0-3", Some(Ok(0..4))),
            ("bytes=4-", Some(Ok(4..10))),
            ("bytes=-3", Some(Ok(7..10))),
            ("bytes=-30", Some(Ok(0..10))),
            ("bytes=8-99", Some(Ok(8..10))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=5-4", Some(Err(()))),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
            ("bytes=0-1,3-4", None),
        ] {
            assert_eq!(range(said, 10), expected, "{said}");
        }
    }
}
