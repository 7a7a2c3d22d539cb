//! Bundles: taken apart without copying their resources ([`Bundle::parse`]), and the plan of a batch or transaction
//! ([`plan()`]): which resource gets which id, what each reference becomes, in which order to act.
//!
//! Pure: the server first answers the plan's questions ([`questions`], the conditional references and creates) from
//! its store, then plans, then executes the steps in one transaction.

use crate::issue::{FhirError, Issue, IssueCode};
use crate::validate::without_bom;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use vitrine_clinical::FhirId;

mod conditional;
mod plan;

pub use conditional::{By, Conditional, local_reference};
pub use plan::{Action, Answers, EntryIssue, Plan, Step, plan, questions};

/// `Bundle.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleType {
    /// All or nothing.
    Transaction,
    /// Each entry for itself.
    Batch,
    /// A set of resources.
    Collection,
    /// A document.
    Document,
    /// A message.
    Message,
    /// Versions.
    History,
    /// A search result.
    Searchset,
    /// Answer to a transaction.
    TransactionResponse,
    /// Answer to a batch.
    BatchResponse,
}

impl BundleType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "transaction" => Self::Transaction,
            "batch" => Self::Batch,
            "collection" => Self::Collection,
            "document" => Self::Document,
            "message" => Self::Message,
            "history" => Self::History,
            "searchset" => Self::Searchset,
            "transaction-response" => Self::TransactionResponse,
            "batch-response" => Self::BatchResponse,
            _ => return None,
        })
    }

    /// Whether its entries carry requests.
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Transaction | Self::Batch)
    }
}

/// HTTP verb of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read or search.
    Get,
    /// The same without a body.
    Head,
    /// Create.
    Post,
    /// Update or create under a known id.
    Put,
    /// Change a part.
    Patch,
    /// Delete.
    Delete,
}

/// `Bundle.entry.request`.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Verb.
    pub method: Method,
    /// Relative URL.
    pub url: Cow<'a, str>,
    /// Create only if nothing matches.
    pub if_none_exist: Option<Cow<'a, str>>,
    /// Update only this version, e.g. `W/"3"`.
    pub if_match: Option<Cow<'a, str>>,
}

/// One entry; its resource still the bytes of the Bundle.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Place in the Bundle, from 0.
    pub index: usize,
    /// Name of the resource within the Bundle.
    pub full_url: Option<Cow<'a, str>>,
    /// What to do with it.
    pub request: Option<Request<'a>>,
    /// The resource, byte for byte.
    pub resource: Option<&'a [u8]>,
    /// Its `resourceType`, where it has one.
    pub kind: Option<Cow<'a, str>>,
    /// Its `id`, where it has one.
    pub id: Option<Cow<'a, str>>,
}

/// A Bundle taken apart.
#[derive(Debug, Clone)]
pub struct Bundle<'a> {
    /// Type.
    pub kind: BundleType,
    /// Entries in order.
    pub entries: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct RawBundle<'a> {
    #[serde(borrow, rename = "resourceType")]
    resource_type: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    entry: Vec<RawEntry<'a>>,
}

#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow, rename = "fullUrl")]
    full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<RawRequest<'a>>,
}

#[derive(Deserialize)]
struct RawRequest<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ifNoneExist")]
    if_none_exist: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ifMatch")]
    if_match: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, rename = "resourceType")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

impl<'a> Bundle<'a> {
    /// Takes a Bundle apart. The resources in it are not checked here: [`crate::validate`] each. A byte order mark
    /// before it is passed over, as no byte of it is kept.
    ///
    /// # Errors
    /// [`FhirError`] when the bytes are not a Bundle, its type is missing or unknown, or an entry of a batch or
    /// transaction has no usable request.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FhirError> {
        let bytes = without_bom(bytes);
        let raw: RawBundle<'a> = serde_json::from_slice(bytes).map_err(|e| not_a_bundle(&e))?;
        if raw.resource_type.as_deref() != Some("Bundle") {
            return Err(FhirError::new(
                IssueCode::Structure,
                "resourceType",
                "a Bundle was expected",
            ));
        }
        let kind = raw.kind.as_deref().ok_or_else(|| {
            FhirError::new(
                IssueCode::Required,
                "Bundle.type",
                "a required element is missing",
            )
        })?;
        let kind = BundleType::parse(kind).ok_or_else(|| {
            FhirError::new(
                IssueCode::CodeInvalid,
                "Bundle.type",
                "not a Bundle type of FHIR R4",
            )
        })?;
        let entries = raw.entry.into_iter().enumerate().map(|(i, e)| entry(i, e, kind));
        Ok(Self {
            kind,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }
}

fn not_a_bundle(e: &serde_json::Error) -> FhirError {
    let what = match e.classify() {
        serde_json::error::Category::Data => "not the shape of a Bundle",
        _ => "not JSON",
    };
    FhirError::new(
        IssueCode::Structure,
        "",
        format!("{what} at line {}, column {}", e.line(), e.column()),
    )
}

fn entry(index: usize, raw: RawEntry<'_>, bundle: BundleType) -> Result<Entry<'_>, FhirError> {
    let peek = match raw.resource {
        Some(r) => serde_json::from_str(r.get()).map_err(|_| {
            FhirError::new(
                IssueCode::Structure,
                format!("Bundle.entry[{index}].resource"),
                "an object was expected",
            )
        })?,
        None => Peek { kind: None, id: None },
    };
    let request = match raw.request {
        Some(r) => Some(request(index, r)?),
        None if bundle.is_request() => {
            let at = format!("Bundle.entry[{index}].request");
            return Err(FhirError::new(
                IssueCode::Required,
                at,
                "an entry of a batch or transaction needs a request",
            ));
        }
        None => None,
    };
    let resource = raw.resource.map(|r| r.get().as_bytes());
    Ok(Entry {
        index,
        full_url: raw.full_url,
        request,
        resource,
        kind: peek.kind,
        id: peek.id,
    })
}

fn request(index: usize, raw: RawRequest<'_>) -> Result<Request<'_>, FhirError> {
    let missing = |what: &str| {
        let at = format!("Bundle.entry[{index}].request.{what}");
        FhirError::new(IssueCode::Required, at, "a required element is missing")
    };
    let method = match raw.method.as_deref().ok_or_else(|| missing("method"))? {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => {
            let at = format!("Bundle.entry[{index}].request.method");
            return Err(FhirError::new(
                IssueCode::CodeInvalid,
                at,
                "the code is not one of: GET, HEAD, POST, PUT, DELETE, PATCH",
            ));
        }
    };
    let url = raw.url.filter(|u| !u.is_empty()).ok_or_else(|| missing("url"))?;
    Ok(Request {
        method,
        url,
        if_none_exist: raw.if_none_exist,
        if_match: raw.if_match,
    })
}

/// Makes the id of an entry's new resource; the caller's randomness, not ours.
pub type NewId<'f> = &'f mut dyn FnMut(&Entry<'_>) -> FhirId;

impl EntryIssue {
    pub(crate) fn new(entry: usize, code: IssueCode, element: &str, text: impl Into<String>) -> Self {
        let expression = if element.is_empty() {
            format!("Bundle.entry[{entry}]")
        } else {
            format!("Bundle.entry[{entry}].{element}")
        };
        Self {
            entry,
            issue: Issue::new(code, expression, text),
        }
    }
}

#[cfg(test)]
mod tests;
