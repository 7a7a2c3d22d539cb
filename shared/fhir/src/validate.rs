//! Is it FHIR R4 that we take? Strict reading by fhirkit behind our own door, plus what it does not look at: size,
//! depth, duplicate keys, a byte order mark, and the required code bindings that the card's rules stand on.
//! An issue never repeats a value from the resource.

use crate::bindings;
use crate::compartment::{compartment_of, identifiers_of};
use crate::issue::{Issue, IssueCode, clean_key};
use crate::scan::{MAX_CODINGS, scan};
use fhirkit::{Json, r4};
use vitrine_clinical::{FhirId, PatientId, ResourceType};

/// Largest resource we take, in bytes.
pub const MAX_RESOURCE_BYTES: usize = 16 * 1024 * 1024;

/// Deepest nesting we take. The deepest of the official R4 examples nests 21 levels.
pub const MAX_DEPTH: usize = 64;

/// At most so many issues are reported for one resource.
const MAX_ISSUES: usize = 100;

/// What the server needs to know about a resource before it stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its type.
    pub kind: ResourceType,
    /// Its logical id, where the bytes have one.
    pub id: Option<FhirId>,
    /// The patient it belongs to, where that is already a `Patient/id` on this server.
    pub patient: Option<PatientId>,
    /// The patient reference as text (see [`crate::compartment`]), where it may still need resolving.
    pub patient_reference: Option<String>,
    /// Business identifiers.
    pub identifiers: Vec<(Option<String>, String)>,
}

/// The bytes without a UTF-8 byte order mark. RFC 8259 forbids senders to add one and lets readers ignore it: the doors
/// that take files and requests ignore it here, before the bytes are checked and kept; [`validate`] refuses it.
#[must_use]
pub fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A path within a resource as FHIRPath has it: from the type on, or from `Resource` where that is not known.
fn of_resource(bytes: &[u8], path: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Type {
        #[serde(rename = "resourceType")]
        kind: Option<String>,
    }
    if path.is_empty() {
        return String::new();
    }
    let kind = serde_json::from_slice::<Type>(bytes).ok().and_then(|t| t.kind);
    let kind = kind.filter(|k| is_resource_type(k));
    format!("{}.{path}", kind.as_deref().unwrap_or("Resource"))
}

fn refuse(code: IssueCode, expression: &str, text: impl Into<String>) -> Vec<Issue> {
    vec![Issue::new(code, expression, text)]
}

/// Checks a resource.
///
/// # Errors
/// Every issue found, at most 100; none of them holds a value from the resource.
pub fn validate(bytes: &[u8]) -> Result<Envelope, Vec<Issue>> {
    if bytes.len() > MAX_RESOURCE_BYTES {
        let text = format!("{} bytes; we take at most {MAX_RESOURCE_BYTES}", bytes.len());
        return Err(refuse(IssueCode::TooLong, "", text));
    }
    let scanned = scan(bytes, MAX_DEPTH).map_err(|mut e| {
        e.0.expression = of_resource(bytes, &e.0.expression);
        vec![e.0]
    })?;
    if !scanned.duplicates.is_empty() {
        let twice = |p: &String| {
            Issue::new(
                IssueCode::Structure,
                of_resource(bytes, p),
                "the key comes twice in its object",
            )
        };
        return Err(scanned.duplicates.iter().take(MAX_ISSUES).map(twice).collect());
    }
    if let Some(place) = &scanned.crowded {
        let text = format!("more than the {MAX_CODINGS} codings we take of one concept");
        return Err(refuse(IssueCode::TooMany, &of_resource(bytes, place), text));
    }
    let root = crate::compartment::parse(bytes).map_err(|e| vec![e.0])?;
    let kind = resource_type(&root)?;
    let mut issues = Vec::new();
    let id = read_id(&root, &kind, &mut issues);
    let (_, found) = fhirkit::decode_json::<r4::Resource>(&root);
    let errors = found.iter().filter(|i| i.severity == fhirkit::Severity::Error);
    issues.extend(errors.map(translate));
    bindings::check(&kind, &root, &mut issues);
    if !issues.is_empty() {
        issues.truncate(MAX_ISSUES);
        return Err(issues);
    }
    let kind = ResourceType::new(kind).map_err(|_| {
        refuse(
            IssueCode::NotSupported,
            "resourceType",
            "not a FHIR R4 resource type",
        )
    })?;
    let patient_reference = compartment_of(kind.as_str(), &root);
    let patient = patient_reference
        .as_deref()
        .and_then(|r| r.strip_prefix("Patient/"))
        .and_then(|id| PatientId::new(id).ok());
    Ok(Envelope {
        kind,
        id,
        patient,
        patient_reference,
        identifiers: identifiers_of(&root),
    })
}

fn resource_type(root: &Json) -> Result<String, Vec<Issue>> {
    match root.get("resourceType") {
        None => Err(refuse(
            IssueCode::Required,
            "resourceType",
            "a resource needs a resourceType",
        )),
        Some(Json::String(kind)) if is_resource_type(kind) => Ok(kind.clone()),
        Some(Json::String(_)) => Err(refuse(
            IssueCode::NotSupported,
            "resourceType",
            "not a FHIR R4 (4.0.1) resource type",
        )),
        Some(_) => Err(refuse(
            IssueCode::Value,
            "resourceType",
            "resourceType must be a text",
        )),
    }
}

/// Whether a name is a FHIR R4 (4.0.1) resource type.
#[must_use]
pub fn is_resource_type(name: &str) -> bool {
    bindings::RESOURCE_TYPES.binary_search(&name).is_ok()
}

fn read_id(root: &Json, kind: &str, issues: &mut Vec<Issue>) -> Option<FhirId> {
    let id = FhirId::new(root.get("id")?.as_str()?);
    if id.is_err() {
        let text = "an id has 1 to 64 characters of A-Z a-z 0-9 - .";
        issues.push(Issue::new(IssueCode::Value, format!("{kind}.id"), text));
    }
    id.ok()
}

/// fhirkit's issue in our words: its messages quote values, ours must not.
fn translate(issue: &fhirkit::Issue) -> Issue {
    let m = issue.message.as_str();
    let (code, text) = if m.starts_with("required element missing") || m.starts_with("needs at least") {
        (IssueCode::Required, "a required element is missing")
    } else if m.starts_with("unknown element") {
        (IssueCode::Structure, "no such element in FHIR R4")
    } else if m.starts_with("only one type may be given") {
        (
            IssueCode::Structure,
            "only one type of a choice element may be given",
        )
    } else if m.contains("must line up") {
        (
            IssueCode::Structure,
            "the array and its underscore twin must have the same length",
        )
    } else if m.starts_with("expected an array") || m.starts_with("expected a single value") {
        (
            IssueCode::Structure,
            "an array where one value belongs, or one value where an array belongs",
        )
    } else if m.contains("leave the element out") || m.contains("null") {
        (
            IssueCode::Structure,
            "empty values are not allowed; leave the element out",
        )
    } else if m.starts_with("expected an object") {
        (IssueCode::Structure, "an object was expected")
    } else if m.starts_with("expected") && issue.path.ends_with("resourceType") {
        (IssueCode::Structure, "not the resource type expected here")
    } else if m.starts_with("a resource needs") {
        (IssueCode::Required, "a resource needs a resourceType")
    } else {
        (
            IssueCode::Value,
            "the value does not fit the type of this element",
        )
    };
    Issue::new(code, clean_path(&issue.path), text)
}

/// A path whose parts are element names and indexes only.
fn clean_path(path: &str) -> String {
    let part = |p: &str| {
        let (name, index) = p
            .split_once('[')
            .map_or((p, String::new()), |(n, i)| (n, format!("[{i}")));
        let index = if index.len() <= 12 && index.ends_with(']') {
            index
        } else {
            String::new()
        };
        format!("{}{index}", clean_key(name))
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests;
