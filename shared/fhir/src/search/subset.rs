//! What `_summary` and `_elements` leave of a resource.

use super::{Search, Summary, summary_elements};
use fhirkit::Json;

/// What every subset has: who it is, and what a reader must not miss of it.
const ALWAYS: [&str; 5] = ["resourceType", "id", "meta", "implicitRules", "modifierExtension"];
/// Whom and what it is about, which a part says where the resource does, also where R4 does not ask for it.
const ABOUT: [&str; 3] = ["subject", "patient", "status"];

/// The part of a resource that a search asks for, marked SUBSETTED (v3-ObservationValue); `None` where it asks for all of it. Every part has
/// the modifiers and what has to be there, as R4 asks, and what its elements refer to within the resource (`contained`).
#[must_use]
pub fn subset(search: &Search, kind: &str, body: &Json) -> Option<Json> {
    let Json::Object(members) = body else { return None };
    let wanted = |name: &str| {
        search
            .elements
            .iter()
            .any(|e| name == e || name == format!("_{e}"))
    };
    let table: Vec<(&str, bool)> = match (search.summary, summary_elements(kind)) {
        // Of what is not known nothing is left out.
        (Summary::True, None) => return None,
        (_, table) => table.into_iter().flatten().collect(),
    };
    // A `_birthDate` says more of `birthDate`.
    let in_table = |name: &str| {
        let plain = name.strip_prefix('_').unwrap_or(name);
        table.iter().find(|(n, _)| *n == plain)
    };
    let must = |name: &str| ABOUT.contains(&name) || in_table(name).is_some_and(|(_, must)| *must);
    let keep = |name: &str| {
        ALWAYS.contains(&name)
            || match search.summary {
                Summary::True => wanted(name) || in_table(name).is_some(),
                Summary::Text => name == "text" || must(name),
                Summary::Data => name != "text",
                Summary::False | Summary::Count => wanted(name) || must(name),
            }
    };
    // `_elements` names members of the type searched.
    let by_name = matches!(search.summary, Summary::False | Summary::Count);
    if search.wants_whole() || (by_name && kind != search.kind) {
        return None;
    }
    let mut kept: Vec<(String, Json)> = members.iter().filter(|(name, _)| keep(name)).cloned().collect();
    if let (false, Some(all)) = (keep("contained"), body.get("contained")) {
        let referred = contained(all, &kept);
        if !referred.is_empty() {
            kept.push(("contained".to_owned(), Json::Array(referred)));
        }
    }
    Some(marked(kept))
}

/// Those of the contained resources that the kept elements refer to, also by way of one another.
fn contained(all: &Json, kept: &[(String, Json)]) -> Vec<Json> {
    let Json::Array(all) = all else { return Vec::new() };
    let mut texts = Vec::new();
    kept.iter().for_each(|(_, value)| fragments(value, &mut texts));
    let (mut found, mut rest): (Vec<&Json>, Vec<&Json>) = (Vec::new(), all.iter().collect());
    loop {
        let (new, other): (Vec<&Json>, Vec<&Json>) = rest.into_iter().partition(|one| {
            let id = one.get("id").and_then(Json::as_str);
            id.is_some_and(|id| texts.contains(&id))
        });
        if new.is_empty() {
            return found.into_iter().cloned().collect();
        }
        new.iter().for_each(|one| fragments(one, &mut texts));
        found.extend(new);
        rest = other;
    }
}

/// What every text that begins with `#` names.
fn fragments<'j>(value: &'j Json, into: &mut Vec<&'j str>) {
    match value {
        Json::String(text) => into.extend(text.strip_prefix('#')),
        Json::Array(items) => items.iter().for_each(|item| fragments(item, into)),
        Json::Object(members) => members.iter().for_each(|(_, value)| fragments(value, into)),
        _ => {}
    }
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
