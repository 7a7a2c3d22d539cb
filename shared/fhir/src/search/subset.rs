//! What `_summary` and `_elements` leave of a resource.

use super::{Search, Summary};
use fhirkit::Json;

/// What every subset has: who it is, and what a reader must not miss of it.
const ALWAYS: [&str; 5] = ["resourceType", "id", "meta", "implicitRules", "modifierExtension"];
/// Elements that the types have to have (R4, minimum 1), which a subset keeps so that it is a resource.
const REQUIRED: [&str; 9] = [
    "status",
    "intent",
    "subject",
    "patient",
    "class",
    "code",
    "lifecycleStatus",
    "beneficiary",
    "target",
];

/// The part of a resource that a search asks for, marked SUBSETTED (v3-ObservationValue); `None` where it asks for all of it.
#[must_use]
pub fn subset(search: &Search, kind: &str, body: &Json) -> Option<Json> {
    let Json::Object(members) = body else { return None };
    let wanted = |name: &str| {
        search
            .elements
            .iter()
            .any(|e| name == e || name == format!("_{e}"))
    };
    let keep = |name: &str| {
        ALWAYS.contains(&name)
            || match search.summary {
                Summary::Text => name == "text" || REQUIRED.contains(&name),
                Summary::Data => name != "text",
                Summary::False | Summary::Count => {
                    wanted(name) || (REQUIRED.contains(&name) && name != "code")
                }
            }
    };
    // `_elements` names members of the type searched.
    let by_name = matches!(search.summary, Summary::False | Summary::Count);
    if search.wants_whole() || (by_name && kind != search.kind) {
        return None;
    }
    let kept = members.iter().filter(|(name, _)| keep(name)).cloned();
    Some(marked(kept.collect()))
}

/// With the tag, behind those that are there.
fn marked(mut members: Vec<(String, Json)>) -> Json {
    let text = |s: &str| Json::String(s.to_owned());
    let tag = Json::Object(vec![
        (
            "system".to_owned(),
            text("http://terminology.hl7.org/CodeSystem/v3-ObservationValue"),
        ),
        ("code".to_owned(), text("SUBSETTED")),
    ]);
    let mut meta = match members.iter().find(|(name, _)| name == "meta") {
        Some((_, Json::Object(meta))) => meta.clone(),
        _ => Vec::new(),
    };
    match meta.iter_mut().find(|(name, _)| name == "tag") {
        Some((_, Json::Array(tags))) => tags.push(tag),
        _ => meta.push(("tag".to_owned(), Json::Array(vec![tag]))),
    }
    match members.iter_mut().find(|(name, _)| name == "meta") {
        Some((_, was)) => *was = Json::Object(meta),
        None => members.push(("meta".to_owned(), Json::Object(meta))),
    }
    Json::Object(members)
}
