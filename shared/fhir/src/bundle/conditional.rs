//! Conditional references and creates: `Patient?identifier=system|value`.

use crate::issue::IssueCode;
use crate::validate::is_resource_type;
use vitrine_clinical::ResourceKey;

/// A question to the store: which resources of a type carry this identifier (or this id).
///
/// Of FHIR's search parameters `identifier` and `_id` are taken: they are what identifies a resource. Others would
/// need a full search and are refused by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conditional {
    /// Resource type.
    pub kind: String,
    /// What is asked.
    pub by: By,
}

/// The parameter of a [`Conditional`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// `identifier=system|value`; `None` matches any system (`identifier=value`), `Some("")` only identifiers without
    /// one (`identifier=|value`).
    Identifier {
        /// Namespace.
        system: Option<String>,
        /// Value.
        value: String,
    },
    /// `_id=…`.
    Id(String),
}

/// Why a text is not a question we can answer.
pub(crate) struct Refusal {
    pub code: IssueCode,
    pub text: String,
}

impl Conditional {
    /// Reads `Type?identifier=system|value`.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = |code, text: &str| Refusal {
            code,
            text: text.to_owned(),
        };
        let (kind, query) = text.split_once('?').ok_or_else(|| {
            refuse(
                IssueCode::Invalid,
                "not a conditional reference (Type?identifier=system|value)",
            )
        })?;
        Self::of(kind, query)
    }

    /// Reads the query part for a type, as in `ifNoneExist`.
    pub(crate) fn of(kind: &str, query: &str) -> Result<Self, Refusal> {
        let refuse = |code, text: &str| Refusal {
            code,
            text: text.to_owned(),
        };
        if !is_resource_type(kind) {
            return Err(refuse(IssueCode::NotSupported, "not a FHIR R4 resource type"));
        }
        let mut parts = query
            .split('&')
            .filter(|p| !p.is_empty() && !p.starts_with("_format="));
        let only = "conditions other than one identifier=system|value or _id=… are not supported";
        let (Some(part), None) = (parts.next(), parts.next()) else {
            return Err(refuse(IssueCode::NotSupported, only));
        };
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = percent_decoded(value)
            .filter(|v| !v.is_empty())
            .ok_or_else(|| refuse(IssueCode::Invalid, "the condition's value is empty or not UTF-8"))?;
        let by = match name {
            "identifier" => match value.split_once('|') {
                Some((_, "")) => return Err(refuse(IssueCode::NotSupported, only)),
                Some((system, value)) => By::Identifier {
                    system: Some(system.to_owned()),
                    value: value.to_owned(),
                },
                None => By::Identifier { system: None, value },
            },
            "_id" => By::Id(value),
            _ => return Err(refuse(IssueCode::NotSupported, only)),
        };
        Ok(Self {
            kind: kind.to_owned(),
            by,
        })
    }

    /// Whether a resource with these identifiers and this id answers the question.
    #[must_use]
    pub fn matches(&self, identifiers: &[(Option<String>, String)], id: Option<&str>) -> bool {
        match &self.by {
            By::Id(wanted) => id == Some(wanted.as_str()),
            By::Identifier { system, value } => identifiers.iter().any(|(s, v)| {
                v == value
                    && match system.as_deref() {
                        None => true,
                        Some("") => s.is_none(),
                        Some(wanted) => s.as_deref() == Some(wanted),
                    }
            }),
        }
    }
}

/// `%41` and `+` undone; `None` when the outcome is not UTF-8. A stray `%` stays.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let hex = |b: Option<u8>| {
                    b.and_then(|b| char::from(b).to_digit(16))
                        .and_then(|d| u8::try_from(d).ok())
                };
                match (hex(ahead.next()), hex(ahead.next())) {
                    (Some(high), Some(low)) => {
                        out.push(high * 16 + low);
                        rest = ahead;
                    }
                    _ => out.push(b),
                }
            }
            _ => out.push(b),
        }
    }
    String::from_utf8(out).ok()
}

/// A relative reference `Type/id` (with or without `/_history/n`) as a key; `None` for anything else.
#[must_use]
pub fn local_reference(text: &str) -> Option<ResourceKey> {
    let plain = text.split_once("/_history/").map_or(text, |(before, _)| before);
    let key = ResourceKey::parse(plain).ok()?;
    is_resource_type(key.kind.as_str()).then_some(key)
}
