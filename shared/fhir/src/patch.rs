//! JSON Patch (RFC 6902) with JSON Pointer (RFC 6901), as FHIR's PATCH takes it.
//!
//! Lives here: reading a patch document, applying it to a resource. Numbers stay the text they are: `1.10` that no
//! operation touches is `1.10` afterwards.
//! Never here: whether the outcome is a good resource ([`crate::validate`]), versions, storage.
//! Called by the server.

use crate::compartment::parse;
use crate::issue::{FhirError, IssueCode};
use crate::json::Node as _;
use crate::scan::nests_deeper;
use crate::validate::{MAX_DEPTH, MAX_RESOURCE_BYTES};
use fhirkit::Json;
use std::cmp::Ordering;
use std::fmt;

/// Most operations of one patch.
pub const MAX_OPERATIONS: usize = 1_000;

/// So much of a pointer is repeated in a refusal.
const POINTER_SHOWN: usize = 200;

/// What the server alone sets, or what would make it another resource.
const KEPT: [(&str, &[&str]); 4] = [
    ("resourceType", &["resourceType"]),
    ("id", &["id"]),
    ("meta.versionId", &["meta", "versionId"]),
    ("meta.lastUpdated", &["meta", "lastUpdated"]),
];

/// A patch that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch(Vec<Operation>);

#[derive(Debug, Clone, PartialEq)]
struct Operation {
    act: Act,
    path: Pointer,
}

#[derive(Debug, Clone, PartialEq)]
enum Act {
    Add(Json),
    Remove,
    Replace(Json),
    Move(Pointer),
    Copy(Pointer),
    Test(Json),
}

impl Act {
    const fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Remove => "remove",
            Self::Replace(_) => "replace",
            Self::Move(_) => "move",
            Self::Copy(_) => "copy",
            Self::Test(_) => "test",
        }
    }
}

/// A JSON Pointer, its tokens unescaped.
#[derive(Debug, Clone, PartialEq)]
struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer; `None` when it neither is empty nor begins with `/`, or has a `~` that is not `~0` or `~1`.
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let tokens = text.strip_prefix('/')?.split('/').map(|token| {
            let mut out = String::with_capacity(token.len());
            let mut rest = token.chars();
            while let Some(c) = rest.next() {
                out.push(match c {
                    '~' => match rest.next()? {
                        '0' => '~',
                        '1' => '/',
                        _ => return None,
                    },
                    other => other,
                });
            }
            Some(out)
        });
        tokens.collect::<Option<_>>().map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole: String = self
            .0
            .iter()
            .map(|t| format!("/{}", t.replace('~', "~0").replace('/', "~1")))
            .collect();
        let shown: String = whole.chars().take(POINTER_SHOWN).collect();
        f.write_str(&shown)
    }
}

fn malformed(text: impl Into<String>) -> FhirError {
    FhirError::new(IssueCode::Structure, "", text)
}

impl Patch {
    /// Reads a patch document.
    ///
    /// # Errors
    /// [`FhirError`] with an empty expression and code `structure` when it is no JSON Patch, `too-long` with more than
    /// [`MAX_OPERATIONS`] operations.
    pub fn read(bytes: &[u8]) -> Result<Self, FhirError> {
        // The array and the object of the operation are around the value.
        if nests_deeper(bytes, MAX_DEPTH + 2) {
            let text = format!("nested deeper than the {MAX_DEPTH} levels that are taken");
            return Err(FhirError::new(IssueCode::TooMany, "", text));
        }
        let Json::Array(items) = parse(bytes)? else {
            return Err(malformed("a JSON Patch is an array of operations (RFC 6902)"));
        };
        if items.len() > MAX_OPERATIONS {
            let text = format!("{} operations; at most {MAX_OPERATIONS} are taken", items.len());
            return Err(FhirError::new(IssueCode::TooMany, "", text));
        }
        let read = items.into_iter().enumerate().map(|(i, item)| operation(i, item));
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Applies all operations in order to a resource and gives the outcome; whether it is a good resource is not looked
    /// at. Where nothing has changed the very bytes are given.
    ///
    /// # Errors
    /// [`FhirError`] naming the first operation that cannot be done, by its index from 0, and its pointer: code
    /// `not-found` for a place that is not there, `invalid` for a `test` that fails and for a change of
    /// `id`, `resourceType`, `meta.versionId` or `meta.lastUpdated`, `too-long` for an outcome that is too large or too deep.
    pub fn apply(&self, resource: &[u8]) -> Result<Vec<u8>, FhirError> {
        let before = parse(resource)?;
        let mut now = before.clone();
        let mut added = resource.len();
        for (index, op) in self.0.iter().enumerate() {
            let failed = |why: Fault| {
                let text = format!(
                    "operation {index} ({} at \"{}\"): {}",
                    op.act.name(),
                    op.path,
                    why.text
                );
                FhirError::new(why.code, format!("patch[{index}]"), text)
            };
            one(&mut now, op, &mut added).map_err(failed)?;
            for (name, keys) in KEPT {
                if before.at(keys) != now.at(keys) {
                    return Err(failed(Fault {
                        code: IssueCode::Invalid,
                        text: format!("{name} may not be changed"),
                    }));
                }
            }
        }
        if before == now {
            return Ok(resource.to_vec());
        }
        Ok(now.to_compact().into_bytes())
    }
}

fn operation(index: usize, item: Json) -> Result<Operation, FhirError> {
    let wrong = |text: &str| malformed(format!("operation {index}: {text}"));
    let Json::Object(members) = item else {
        return Err(wrong("an operation is an object"));
    };
    let mut op = None;
    let (mut path, mut from, mut value) = (None, None, None);
    for (key, given) in members {
        let slot = match key.as_str() {
            "op" => &mut op,
            "path" => &mut path,
            "from" => &mut from,
            "value" => &mut value,
            _ => continue,
        };
        if slot.replace(given).is_some() {
            return Err(wrong("a member comes twice"));
        }
    }
    let pointer = |given: Option<Json>, name: &str| {
        let text = given.as_ref().and_then(Json::as_str);
        text.and_then(Pointer::read).ok_or_else(|| {
            wrong(&format!(
                "{name} must be a JSON Pointer (RFC 6901): empty, or beginning with /"
            ))
        })
    };
    let path = pointer(path, "path")?;
    let name = op.as_ref().and_then(Json::as_str).unwrap_or_default();
    let act = match (name, value) {
        ("add", Some(v)) => Act::Add(v),
        ("replace", Some(v)) => Act::Replace(v),
        ("test", Some(v)) => Act::Test(v),
        ("add" | "replace" | "test", None) => return Err(wrong("a value is missing")),
        ("remove", _) => Act::Remove,
        ("move", _) => Act::Move(pointer(from, "from")?),
        ("copy", _) => Act::Copy(pointer(from, "from")?),
        _ => return Err(wrong("op must be one of add, remove, replace, move, copy, test")),
    };
    Ok(Operation { act, path })
}

struct Fault {
    code: IssueCode,
    text: String,
}

fn fault(code: IssueCode, text: &str) -> Fault {
    Fault {
        code,
        text: text.to_owned(),
    }
}

fn missing() -> Fault {
    fault(IssueCode::NotFound, "there is nothing at this place")
}

/// Does one operation. `added`: bytes of the resource and of all that was put into it, so that copies of copies end.
fn one(root: &mut Json, op: &Operation, added: &mut usize) -> Result<(), Fault> {
    match &op.act {
        Act::Add(value) => put(root, &op.path, value.clone(), added, true),
        Act::Replace(value) => {
            find(root, &op.path.0).ok_or_else(missing)?;
            put(root, &op.path, value.clone(), added, false)
        }
        Act::Remove => take(root, &op.path).map(drop),
        Act::Copy(from) => {
            let value = find(root, &from.0).ok_or_else(|| gone(from))?.clone();
            put(root, &op.path, value, added, true)
        }
        Act::Move(from) => {
            if from == &op.path {
                return find(root, &from.0).map(drop).ok_or_else(|| gone(from));
            }
            if op.path.0.starts_with(&from.0) {
                return Err(fault(IssueCode::Invalid, "a value cannot be moved into itself"));
            }
            let value = take(root, from).map_err(|_| gone(from))?;
            put(root, &op.path, value, added, true)
        }
        Act::Test(value) => match find(root, &op.path.0) {
            None => Err(missing()),
            Some(there) if equal(there, value) => Ok(()),
            Some(_) => Err(fault(
                IssueCode::Invalid,
                "the test failed: the value there is another",
            )),
        },
    }
}

fn gone(from: &Pointer) -> Fault {
    Fault {
        code: IssueCode::NotFound,
        text: format!("there is nothing at \"{from}\", where it is to come from"),
    }
}

/// An index of an array: digits without a zero before them (RFC 6901, section 4).
fn index_of(token: &str) -> Option<usize> {
    let fits = token == "0" || !token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| token.parse().ok()).flatten()
}

fn child<'j>(node: &'j mut Json, token: &str) -> Option<&'j mut Json> {
    match node {
        Json::Object(members) => members.iter_mut().find(|(k, _)| k == token).map(|(_, v)| v),
        Json::Array(items) => items.get_mut(index_of(token)?),
        _ => None,
    }
}

fn find<'j>(root: &'j Json, tokens: &[String]) -> Option<&'j Json> {
    tokens.iter().try_fold(root, |node, token| match node {
        Json::Object(members) => members.iter().find(|(k, _)| k == token).map(|(_, v)| v),
        Json::Array(items) => items.get(index_of(token)?),
        _ => None,
    })
}

fn find_mut<'j>(root: &'j mut Json, tokens: &[String]) -> Option<&'j mut Json> {
    tokens.iter().try_fold(root, |node, token| child(node, token))
}

/// Puts a value at a place: adds it, or in place of what is there.
fn put(root: &mut Json, path: &Pointer, value: Json, added: &mut usize, insert: bool) -> Result<(), Fault> {
    let depth = deep(&value, MAX_DEPTH) + path.0.len();
    *added += size(&value);
    if depth > MAX_DEPTH || *added > MAX_RESOURCE_BYTES {
        let text = "the resource would become larger or deeper than is taken";
        return Err(fault(IssueCode::TooMany, text));
    }
    let Some((last, parents)) = path.0.split_last() else {
        *root = value;
        return Ok(());
    };
    match find_mut(root, parents) {
        Some(Json::Object(members)) => {
            match members.iter_mut().find(|(k, _)| k == last) {
                Some((_, there)) => *there = value,
                None => members.push((last.clone(), value)),
            }
            Ok(())
        }
        Some(Json::Array(items)) if insert => {
            let at = if last == "-" {
                Some(items.len())
            } else {
                index_of(last)
            };
            match at.filter(|at| *at <= items.len()) {
                Some(at) => items.insert(at, value),
                None => return Err(fault(IssueCode::NotFound, "the array has no such place")),
            }
            Ok(())
        }
        Some(Json::Array(items)) => match index_of(last).and_then(|at| items.get_mut(at)) {
            Some(there) => {
                *there = value;
                Ok(())
            }
            None => Err(missing()),
        },
        _ => Err(fault(
            IssueCode::NotFound,
            "there is no object and no array to put it into",
        )),
    }
}

fn take(root: &mut Json, path: &Pointer) -> Result<Json, Fault> {
    let Some((last, parents)) = path.0.split_last() else {
        return Err(fault(IssueCode::Invalid, "the whole resource cannot be removed"));
    };
    match find_mut(root, parents) {
        Some(Json::Object(members)) => {
            let at = members.iter().position(|(k, _)| k == last).ok_or_else(missing)?;
            Ok(members.remove(at).1)
        }
        Some(Json::Array(items)) => {
            let at = index_of(last)
                .filter(|at| *at < items.len())
                .ok_or_else(missing)?;
            Ok(items.remove(at))
        }
        _ => Err(missing()),
    }
}

/// How deep a value nests, at most one more than `most`.
fn deep(value: &Json, most: usize) -> usize {
    let inner = |v: &Json| most.checked_sub(1).map_or(1, |left| 1 + deep(v, left));
    match value {
        Json::Array(items) => items.iter().map(inner).max().unwrap_or(1),
        Json::Object(members) => members.iter().map(|(_, v)| inner(v)).max().unwrap_or(1),
        _ => 0,
    }
}

/// Bytes of a value as JSON, about.
fn size(value: &Json) -> usize {
    match value {
        Json::Null | Json::Bool(_) => 5,
        Json::Number(text) => text.len(),
        Json::String(text) => text.len() + 2,
        Json::Array(items) => 2 + items.iter().map(|v| size(v) + 1).sum::<usize>(),
        Json::Object(members) => 2 + members.iter().map(|(k, v)| k.len() + 4 + size(v)).sum::<usize>(),
    }
}

/// Equality as RFC 6902, section 4.6, has it: the order of members does not count, numbers are equal by value.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || same_number(a, b),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(k, v)| b.iter().any(|(other, w)| k == other && equal(v, w)))
        }
        (a, b) => a == b,
    }
}

/// Two JSON numbers by value, without a float: sign, digits without zeros around them, power of ten.
fn same_number(a: &str, b: &str) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b) == Ordering::Equal,
        _ => false,
    }
}

fn number(text: &str) -> Option<(bool, String, i64)> {
    let (minus, rest) = text.strip_prefix('-').map_or((false, text), |r| (true, r));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent.parse::<i64>().ok()?;
    let power = power
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(digits.len() - kept.len()).ok()?)?;
    Some((minus, kept.to_owned(), power))
}

#[cfg(test)]
mod tests;
