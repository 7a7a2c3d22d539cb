//! FHIR data types into ours.

use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{Coding, Concept, Decimal, PartialDate, Period, Quantity};

const ABSENT_EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

pub(super) fn text(node: &Json, key: &str) -> Option<String> {
    node.text(key).map(str::to_owned)
}

pub(super) fn date(node: &Json, key: &str) -> Option<PartialDate> {
    node.text(key).map(PartialDate::new)
}

/// The first of several dates that is there.
pub(super) fn first_date(node: &Json, keys: &[&str]) -> Option<PartialDate> {
    keys.iter().find_map(|k| date(node, k))
}

pub(super) fn last_updated(root: &Json) -> Option<PartialDate> {
    root.get("meta").and_then(|m| date(m, "lastUpdated"))
}

pub(super) fn decimal(node: &Json, key: &str) -> Option<Decimal> {
    match node.get(key)? {
        Json::Number(digits) => Decimal::new(digits.as_str()).ok(),
        _ => None,
    }
}

pub(super) fn coding(node: &Json) -> Coding {
    Coding {
        system: text(node, "system"),
        code: text(node, "code"),
        display: text(node, "display"),
        user_selected: node.flag("userSelected").unwrap_or(false),
    }
}

/// The code of a data-absent-reason extension on an element.
fn absent_reason(node: &Json) -> Option<String> {
    let mut extensions = node.items("extension").iter();
    extensions
        .find(|e| e.text("url") == Some(ABSENT_EXTENSION))
        .and_then(|e| text(e, "valueCode"))
}

pub(super) fn concept_of(node: &Json) -> Concept {
    Concept {
        codings: node.items("coding").iter().map(coding).collect(),
        text: text(node, "text"),
        absent: absent_reason(node),
    }
}

pub(super) fn concept(node: &Json, key: &str) -> Option<Concept> {
    node.get(key).map(concept_of).filter(|c| *c != Concept::default())
}

pub(super) fn concepts(node: &Json, key: &str) -> Vec<Concept> {
    node.items(key)
        .iter()
        .map(concept_of)
        .filter(|c| *c != Concept::default())
        .collect()
}

/// A status held as a concept: the code of `system`, else the first code.
pub(super) fn status(node: &Json, key: &str, system: &str) -> Option<String> {
    let concept = concept(node, key)?;
    concept
        .code_of(system)
        .or_else(|| concept.codings.iter().find_map(|c| c.code.as_deref()))
        .map(str::to_owned)
}

pub(super) fn quantity_of(node: &Json) -> Quantity {
    Quantity {
        value: decimal(node, "value"),
        comparator: text(node, "comparator"),
        unit: text(node, "unit"),
        system: text(node, "system"),
        code: text(node, "code"),
    }
}

pub(super) fn quantity(node: &Json, key: &str) -> Option<Quantity> {
    node.get(key)
        .map(quantity_of)
        .filter(|q| *q != Quantity::default())
}

pub(super) fn period(node: &Json, key: &str) -> Period {
    node.get(key).map(period_of).unwrap_or_default()
}

pub(super) fn period_of(node: &Json) -> Period {
    Period {
        start: date(node, "start"),
        end: date(node, "end"),
    }
}

pub(super) fn notes(root: &Json) -> Vec<String> {
    root.items("note")
        .iter()
        .filter_map(|n| text(n, "text"))
        .collect()
}

/// `72 years`, digits as recorded.
pub(super) fn quantity_words(q: &Quantity) -> Option<String> {
    let digits = q.digits()?;
    Some(
        q.unit_text()
            .map_or_else(|| digits.clone(), |u| format!("{digits} {u}")),
    )
}

/// An age or a range of ages in words.
pub(super) fn age_words(node: &Json, age: &str, range: &str) -> Option<String> {
    if let Some(q) = quantity(node, age) {
        return quantity_words(&q).map(|w| format!("at age {w}"));
    }
    let range = node.get(range)?;
    let side = |k| quantity(range, k).and_then(|q| quantity_words(&q));
    match (side("low"), side("high")) {
        (Some(l), Some(h)) => Some(format!("at age {l} to {h}")),
        (Some(l), None) => Some(format!("at age {l} or later")),
        (None, Some(h)) => Some(format!("at age {h} or before")),
        (None, None) => None,
    }
}
