//! Short ways to write FHIR JSON. Numbers are texts ([`fhirkit::Json`]): a decimal never passes through a float.

pub use fhirkit::Json;

/// An object of those members that are there.
#[must_use]
pub fn object<const N: usize>(members: [(&str, Option<Json>); N]) -> Json {
    let there = members.into_iter();
    Json::Object(there.filter_map(|(k, v)| v.map(|v| (k.to_owned(), v))).collect())
}

/// A text; none where it is empty.
#[must_use]
pub fn text(value: impl Into<String>) -> Option<Json> {
    let value = value.into();
    (!value.is_empty()).then_some(Json::String(value))
}

/// An array; none where it is empty.
#[must_use]
pub fn array(items: impl IntoIterator<Item = Json>) -> Option<Json> {
    let items: Vec<Json> = items.into_iter().collect();
    (!items.is_empty()).then_some(Json::Array(items))
}

/// An object; none where it has no member.
#[must_use]
pub fn filled(node: Json) -> Option<Json> {
    match &node {
        Json::Object(members) if members.is_empty() => None,
        _ => Some(node),
    }
}

/// Sets a member, or takes it away with [`Json::Null`].
pub fn set(node: &mut Json, key: &str, value: Json) {
    let Json::Object(members) = node else { return };
    members.retain(|(k, _)| k != key);
    if value != Json::Null {
        members.push((key.to_owned(), value));
    }
}

/// A coding.
#[must_use]
pub fn coding(system: &str, code: &str, display: &str) -> Json {
    object([
        ("system", text(system)),
        ("code", text(code)),
        ("display", text(display)),
    ])
}

/// A concept of one coding.
#[must_use]
pub fn concept(system: &str, code: &str, display: &str) -> Json {
    object([("coding", array([coding(system, code, display)]))])
}

/// A member of a member.
#[must_use]
pub fn at<'j>(node: &'j Json, keys: &[&str]) -> Option<&'j Json> {
    keys.iter().try_fold(node, |node, key| node.get(key))
}
