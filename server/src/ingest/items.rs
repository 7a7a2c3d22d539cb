//! What a file's unit is: one resource, a transaction, or a set of items; and how items are grouped.
//!
//! Lives here: telling units apart without checking them, ids of resources that came without one, parcels.
//! Never here: checking, the store. Called by `import`.

use crate::ingest::apply;
use crate::ingest::source::Unit;
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use vitrine_clinical::FhirId;
use vitrine_fhir::bundle::{Bundle, BundleType, Entry, Method, Request};
use vitrine_fhir::{Issue, IssueCode};

/// Items applied together at most.
pub(super) const PARCEL: usize = 200;

/// An item of a parcel.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) location: String,
    pub(super) bytes: Bytes,
    pub(super) full_url: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
}

/// The id of a resource that came without one: from its bytes, so that the same bytes are the same resource.
pub(super) fn of_content(bytes: &[u8]) -> FhirId {
    let id = apply::content_op(b"import-id", bytes).to_string();
    FhirId::new(id).unwrap_or_else(|_| unreachable!("a UUID is a FHIR id"))
}

pub(super) fn entry(index: usize, item: &Item) -> Entry<'_> {
    let kind = item.kind.as_deref().unwrap_or_default();
    let (method, url) = match &item.id {
        Some(id) => (Method::Put, format!("{kind}/{id}")),
        None => (Method::Post, kind.to_owned()),
    };
    Entry {
        index,
        full_url: item.full_url.as_deref().map(Cow::Borrowed),
        request: Some(Request {
            method,
            url: Cow::Owned(url),
            if_none_exist: None,
            if_match: None,
        }),
        resource: Some(&item.bytes),
        kind: item.kind.as_deref().map(Cow::Borrowed),
        id: item.id.as_deref().map(Cow::Borrowed),
    }
}

pub(super) enum Look {
    Items(Vec<Item>),
    Transaction,
    Bad(Issue),
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, rename = "resourceType")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    bundle_type: Option<&'a serde_json::value::RawValue>,
}

/// What a unit is.
pub(super) fn look(unit: &Unit) -> Look {
    let bad = |code, expression: &str, text: String| Look::Bad(Issue::new(code, expression, text));
    let peek: Peek<'_> = match serde_json::from_slice(&unit.bytes) {
        Ok(p) => p,
        Err(e) => {
            let (line, column) = (e.line(), e.column());
            return match e.classify() {
                serde_json::error::Category::Data => bad(
                    IssueCode::Structure,
                    "",
                    "not a FHIR resource: an object with resourceType was expected".into(),
                ),
                _ => bad(
                    IssueCode::Structure,
                    "",
                    format!("not JSON at line {line}, column {column}"),
                ),
            };
        }
    };
    let Some(kind) = peek.kind.as_deref() else {
        return bad(
            IssueCode::Required,
            "resourceType",
            "a resource needs a resourceType".into(),
        );
    };
    if kind != "Bundle" {
        return Look::Items(vec![Item {
            location: unit.location.clone(),
            bytes: unit.bytes.clone(),
            full_url: None,
            kind: Some(kind.to_owned()),
            id: peek.id.map(Cow::into_owned),
        }]);
    }
    let kind_text = peek.bundle_type.map_or("", |t| t.get().trim_matches('"'));
    if kind_text == "transaction" {
        return Look::Transaction;
    }
    let bundle = match Bundle::parse(&unit.bytes) {
        Ok(b) => b,
        Err(e) => return Look::Bad(e.0),
    };
    match bundle.kind {
        BundleType::Transaction => Look::Transaction,
        BundleType::Document | BundleType::Message | BundleType::History => Look::Items(vec![Item {
            location: unit.location.clone(),
            bytes: unit.bytes.clone(),
            full_url: None,
            kind: Some("Bundle".to_owned()),
            id: peek.id.map(Cow::into_owned),
        }]),
        BundleType::TransactionResponse | BundleType::BatchResponse => bad(
            IssueCode::NotSupported,
            "Bundle.type",
            "the answer to another request holds nothing to import".into(),
        ),
        BundleType::Collection | BundleType::Searchset | BundleType::Batch => {
            if bundle.entries.is_empty() {
                return bad(
                    IssueCode::Required,
                    "Bundle.entry",
                    "the Bundle has no entry".into(),
                );
            }
            Look::Items(bundle.entries.iter().map(|e| member(unit, e)).collect())
        }
    }
}

/// One entry of a collection, search result or batch, as an item of its own.
fn member(unit: &Unit, e: &Entry<'_>) -> Item {
    let put_id = e.request.as_ref().and_then(|r| match r.method {
        Method::Put if !r.url.contains('?') => r.url.split_once('/').map(|(_, id)| id.to_owned()),
        _ => None,
    });
    let bytes = match e.resource {
        // The bytes are part of the unit's: sharing them costs nothing.
        Some(r) => unit.bytes.slice_ref(r),
        None => Bytes::new(),
    };
    Item {
        location: format!("{}#Bundle.entry[{}]", unit.location, e.index),
        bytes,
        full_url: e.full_url.as_deref().map(str::to_owned),
        kind: e.kind.as_deref().map(str::to_owned),
        id: e.id.as_deref().map(str::to_owned).or(put_id),
    }
}

/// Groups items so that no parcel holds a resource or a full URL twice.
pub(super) fn parcels(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut out: Vec<Vec<Item>> = Vec::new();
    let mut current = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    for item in items {
        let name = match (&item.kind, &item.id) {
            (Some(k), Some(id)) => format!("{k}/{id}"),
            _ => format!("#{}", of_content(&item.bytes)),
        };
        let url = item.full_url.clone().unwrap_or_else(|| format!("url of {name}"));
        if current.len() == PARCEL || names.contains(&name) || names.contains(&url) {
            out.push(std::mem::take(&mut current));
            names.clear();
        }
        names.insert(name);
        names.insert(url);
        current.push(item);
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}
