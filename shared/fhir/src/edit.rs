//! Byte-exact edits: the id, the version and the references of a resource change, every other byte stays as it came
//! (decimals such as `72.50`, key order, white space, the extensions nobody knows).
//! Never here: a parse into values and a write back.
//! Called by the server when it assigns ids, resolves references and answers reads.

use crate::issue::{FhirError, IssueCode};
use crate::scan::{Scan, scan};
use crate::validate::MAX_DEPTH;
use std::ops::Range;
use vitrine_clinical::format::civil::instant_utc;
use vitrine_clinical::{FhirId, UtcMs};

/// One replacement.
struct Patch {
    at: Range<usize>,
    with: String,
}

fn apply(bytes: &[u8], mut patches: Vec<Patch>) -> Vec<u8> {
    patches.sort_by_key(|p| p.at.start);
    let extra: usize = patches.iter().map(|p| p.with.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + extra);
    let mut from = 0;
    for p in patches {
        out.extend_from_slice(bytes.get(from..p.at.start).unwrap_or_default());
        out.extend_from_slice(p.with.as_bytes());
        from = p.at.end;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out
}

/// A JSON text of a Rust one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn refuse_duplicates(s: &Scan<'_>) -> Result<(), FhirError> {
    match s.duplicates.first() {
        None => Ok(()),
        Some(path) => Err(FhirError::new(
            IssueCode::Structure,
            path.clone(),
            "the key comes twice in its object",
        )),
    }
}

/// Where a new member goes: right after `resourceType` where there is one, else right after `{`; with the comma.
fn insert(s: &Scan<'_>, member: &str) -> Patch {
    if let Some(kind) = s.member("resourceType") {
        return Patch {
            at: kind.end..kind.end,
            with: format!(",{member}"),
        };
    }
    let at = s.open + 1;
    let comma = if s.members.is_empty() { "" } else { "," };
    Patch {
        at: at..at,
        with: format!("{member}{comma}"),
    }
}

/// Sets the resource's `id`.
///
/// # Errors
/// [`FhirError`] when the bytes are not a JSON object or a key comes twice.
pub fn with_id(bytes: &[u8], id: &FhirId) -> Result<Vec<u8>, FhirError> {
    let s = scan(bytes, MAX_DEPTH)?;
    refuse_duplicates(&s)?;
    let patch = match s.member("id") {
        Some(at) => Patch {
            at,
            with: quoted(id.as_str()),
        },
        None => insert(&s, &format!("\"id\":{}", quoted(id.as_str()))),
    };
    Ok(apply(bytes, vec![patch]))
}

/// Sets `meta.versionId` and `meta.lastUpdated` (UTC, milliseconds), keeping everything else in `meta`.
///
/// # Errors
/// [`FhirError`] when the bytes are not a JSON object, a key comes twice, or `meta` is not an object.
pub fn with_meta(bytes: &[u8], version: u64, last_updated: UtcMs) -> Result<Vec<u8>, FhirError> {
    let s = scan(bytes, MAX_DEPTH)?;
    refuse_duplicates(&s)?;
    let version = quoted(&version.to_string());
    let updated = quoted(&instant_utc(last_updated));
    let Some(meta) = s.member("meta") else {
        let member = format!("\"meta\":{{\"versionId\":{version},\"lastUpdated\":{updated}}}");
        return Ok(apply(bytes, vec![after_id(&s, &member)]));
    };
    let inner = bytes.get(meta.clone()).unwrap_or_default();
    let inside = scan(inner, MAX_DEPTH)
        .map_err(|_| FhirError::new(IssueCode::Structure, "meta", "meta must be an object"))?;
    let shift = |r: Range<usize>| r.start + meta.start..r.end + meta.start;
    let mut patches = Vec::new();
    let mut fresh = String::new();
    for (key, value) in [("versionId", version), ("lastUpdated", updated)] {
        match inside.member(key) {
            Some(at) => patches.push(Patch {
                at: shift(at),
                with: value,
            }),
            None => {
                let comma = if fresh.is_empty() { "" } else { "," };
                fresh.push_str(&format!("{comma}\"{key}\":{value}"));
            }
        }
    }
    if !fresh.is_empty() {
        let at = meta.start + inside.open + 1;
        let comma = if inside.members.is_empty() { "" } else { "," };
        patches.push(Patch {
            at: at..at,
            with: format!("{fresh}{comma}"),
        });
    }
    Ok(apply(bytes, patches))
}

/// After `id` where there is one, as people expect to read it.
fn after_id(s: &Scan<'_>, member: &str) -> Patch {
    match s.member("id") {
        Some(id) => Patch {
            at: id.end..id.end,
            with: format!(",{member}"),
        },
        None => insert(s, member),
    }
}

/// Replaces references: `map` is asked for every `reference` text at any depth (contained resources included) and
/// answers with its replacement or `None` to leave it. Only `reference` members change: an identifier or a URL that
/// happens to hold the same text does not.
///
/// # Errors
/// [`FhirError`] when the bytes are not a JSON object or a key comes twice.
pub fn rewrite_references(
    bytes: &[u8],
    map: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Vec<u8>, FhirError> {
    let s = scan(bytes, MAX_DEPTH)?;
    refuse_duplicates(&s)?;
    let mut patches = Vec::new();
    for at in &s.references {
        if let Some(new) = map(&text_at(bytes, at.clone())) {
            patches.push(Patch {
                at: at.clone(),
                with: quoted(&new),
            });
        }
    }
    Ok(apply(bytes, patches))
}

/// Every `reference` text at any depth, in document order, repeats included.
///
/// # Errors
/// [`FhirError`] when the bytes are not a JSON object.
pub fn references(bytes: &[u8]) -> Result<Vec<String>, FhirError> {
    let s = scan(bytes, MAX_DEPTH)?;
    Ok(s.references.iter().map(|at| text_at(bytes, at.clone())).collect())
}

/// The bytes of one top-level member's value, e.g. `id`, `meta`, `resourceType`.
///
/// # Errors
/// [`FhirError`] when the bytes are not a JSON object.
pub fn member<'a>(bytes: &'a [u8], key: &str) -> Result<Option<&'a [u8]>, FhirError> {
    let s = scan(bytes, MAX_DEPTH)?;
    Ok(s.member(key).and_then(|at| bytes.get(at)))
}

/// The unescaped text of a JSON string at a span that the scan has already checked.
fn text_at(bytes: &[u8], at: Range<usize>) -> String {
    bytes
        .get(at)
        .and_then(|b| serde_json::from_slice(b).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
