//! The security label of a resource, read out of its bytes: the one thing of a body that a store looks at by itself.
//!
//! Lives here: [`of_body`], and what a card is to whoever may see less than everything. Never here: who may see what
//! (a permit says it). Called by [`crate::seal`], the notes, and both ends.
//!
//! The label is read from the bytes each time, so that no copy of it can be older than they are. Most bodies have none:
//! they are told apart by one scan for the name of the element. What names it and cannot be read is very restricted.

use crate::{StoreError, StoredResource};
use bytes::Bytes;
use serde::Deserialize;
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::label::{Confidentiality, Label};

#[derive(Deserialize)]
struct Coding {
    system: Option<String>,
    code: Option<String>,
}
#[derive(Deserialize)]
struct Meta {
    security: Option<Vec<Coding>>,
    tag: Option<Vec<Coding>>,
}
#[derive(Deserialize)]
struct Body {
    meta: Option<Meta>,
}

/// Whether a body may have a label at all: it names the element, a tag that marks a person, or writes a letter of it as
/// an escape.
fn may_have(body: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(body, needle).is_some();
    has(b"\"security\"") || has(b"\"VIP\"") || has(b"\\u00")
}

/// The label of a resource: `meta.security`; a `VIP` among `meta.tag` counts too.
#[must_use]
pub fn of_body(body: &[u8]) -> Label {
    if !may_have(body) {
        return Label::NONE;
    }
    let Ok(read) = serde_json::from_slice::<Body>(body) else {
        return Label::UNREADABLE;
    };
    let Some(meta) = read.meta else {
        return Label::NONE;
    };
    let coded = |label: Label, c: &Coding| match c.code.as_deref() {
        Some(code) => label.with(c.system.as_deref(), code),
        None => label,
    };
    let label = meta.security.unwrap_or_default().iter().fold(Label::NONE, coded);
    let tags = meta.tag.unwrap_or_default();
    let marks = tags.iter().filter(|c| c.code.as_deref() == Some("VIP"));
    marks.fold(label, |label, _| label.with(None, "VIP"))
}

/// The label by which a resource is withheld. An allergy is withheld from nobody who may read the record: what a drug must
/// not be given for is no secret from who gives it.
#[must_use]
pub fn of_resource(kind: &str, body: &[u8]) -> Label {
    if kind == "AllergyIntolerance" {
        return Label::NONE;
    }
    of_body(body)
}

/// The same of what was read; a deleted resource has no label left.
#[must_use]
pub fn of(found: &StoredResource) -> Label {
    if found.deleted {
        return Label::NONE;
    }
    of_resource(found.key.kind.as_str(), &found.body)
}

/// A card's bytes as seen with a clearance: the very bytes where everything is seen or nothing is labelled.
///
/// # Errors
/// [`StoreError::Damaged`] when a card that holds others cannot be read.
pub fn card(body: Bytes, clearance: Confidentiality) -> Result<Bytes, StoreError> {
    if memchr::memmem::find(&body, b"\"reduced\":").is_none() {
        return Ok(body);
    }
    let damaged = |_| StoreError::Damaged("an emergency card".to_owned());
    let card: EmergencyCard = serde_json::from_slice(&body).map_err(damaged)?;
    let seen = serde_json::to_vec(&card.seen_with(clearance)).map_err(damaged)?;
    Ok(Bytes::from(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_however_it_is_written() {
        let of = |text: &str| of_body(text.as_bytes()).level();
        let sec = |s: &str| format!(r#"{{"resourceType":"Observation","meta":{{"security":{s}}}}}"#);
        assert_eq!(of(r#"{"resourceType":"Observation"}"#), Confidentiality::Normal);
        assert_eq!(of(&sec("[]")), Confidentiality::Normal);
        let v3 = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
        let r = format!(r#"[{{"system":"{v3}","code":"R"}}]"#);
        assert_eq!(of(&sec(&r)), Confidentiality::Restricted);
        let v = format!(r#"[{{"system":"{v3}","code":"N"}},{{"code":"V"}}]"#);
        assert_eq!(of(&sec(&v)), Confidentiality::VeryRestricted);
        // Spelled with escapes.
        let hidden = sec(&r).replace("security", "secur\\u0069ty");
        assert_eq!(of(&hidden), Confidentiality::Restricted);
        // What cannot be read, or says it twice, is very restricted.
        for broken in [sec("7"), sec("[7]"), sec(&r).replace('{', "{\"meta\":{},")] {
            assert_eq!(of(&broken), Confidentiality::VeryRestricted, "{broken}");
        }
        assert_eq!(
            of(r#"{"meta":{"tag":[{"code":"VIP"}]}}"#),
            Confidentiality::Restricted
        );
        // The word alone is no label.
        assert_eq!(
            of(r#"{"text":"\"security\"","note":["security"]}"#),
            Confidentiality::Normal
        );
    }
}
