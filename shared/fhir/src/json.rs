//! Short ways through fhirkit's JSON, which keeps numbers as text.

use fhirkit::Json;

/// Reading members by name.
pub(crate) trait Node {
    /// A non-empty text.
    fn text(&self, key: &str) -> Option<&str>;
    /// An array's items, or the one value that is no array, or nothing.
    fn items(&self, key: &str) -> &[Json];
    /// A member of a member.
    fn at(&self, keys: &[&str]) -> Option<&Json>;
    /// true or false.
    fn flag(&self, key: &str) -> Option<bool>;
    /// The texts of an array.
    fn texts(&self, key: &str) -> Vec<String>;
}

impl Node for Json {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::as_str).filter(|s| !s.is_empty())
    }
    fn items(&self, key: &str) -> &[Json] {
        match self.get(key) {
            Some(Self::Array(items)) => items,
            Some(Self::Null) | None => &[],
            Some(one) => std::slice::from_ref(one),
        }
    }
    fn at(&self, keys: &[&str]) -> Option<&Json> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }
    fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Self::Bool(b)) => Some(*b),
            _ => None,
        }
    }
    fn texts(&self, key: &str) -> Vec<String> {
        self.items(key)
            .iter()
            .filter_map(Self::as_str)
            .map(str::to_owned)
            .collect()
    }
}
