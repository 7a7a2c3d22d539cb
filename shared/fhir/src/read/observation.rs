//! Observation.

use super::datatype::{
    concept, concept_of, concepts, date, first_date, notes, period_of, quantity, quantity_of, text,
};
use super::reference::Reader;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{Component, Decimal, Observation, PartialDate, ReferenceRange, Value};

/// `value[x]` of an Observation or a component.
fn value(node: &Json) -> Option<Value> {
    if let Some(q) = quantity(node, "valueQuantity") {
        return Some(Value::Quantity(q));
    }
    let get = |key: &str| node.get(key);
    if let Some(c) = get("valueCodeableConcept") {
        return Some(Value::Concept(concept_of(c)));
    }
    if let Some(t) = node.text("valueString") {
        return Some(Value::Text(t.to_owned()));
    }
    if let Some(b) = node.flag("valueBoolean") {
        return Some(Value::Boolean(b));
    }
    if let Some(Json::Number(n)) = get("valueInteger") {
        return Decimal::new(n.as_str()).ok().map(Value::Integer);
    }
    if let Some(r) = get("valueRange") {
        return Some(Value::Range(
            r.get("low").map(quantity_of),
            r.get("high").map(quantity_of),
        ));
    }
    if let Some(r) = get("valueRatio") {
        return Some(Value::Ratio(
            r.get("numerator").map(quantity_of),
            r.get("denominator").map(quantity_of),
        ));
    }
    if let Some(d) = first_date(node, &["valueDateTime", "valueTime"]) {
        return Some(Value::Date(d));
    }
    if let Some(p) = get("valuePeriod") {
        return Some(Value::Period(period_of(p)));
    }
    get("valueSampledData").map(|_| Value::SampledData)
}

fn ranges(node: &Json) -> Vec<ReferenceRange> {
    let one = |n: &Json| ReferenceRange {
        low: quantity(n, "low"),
        high: quantity(n, "high"),
        kind: concept(n, "type"),
        text: text(n, "text"),
    };
    node.items("referenceRange").iter().map(one).collect()
}

fn effective(root: &Json) -> Option<PartialDate> {
    first_date(root, &["effectiveDateTime", "effectiveInstant"])
        .or_else(|| {
            root.get("effectivePeriod")
                .and_then(|p| first_date(p, &["start", "end"]))
        })
        .or_else(|| {
            root.get("effectiveTiming")
                .and_then(|t| t.texts("event").first().map(PartialDate::new))
        })
}

pub(super) fn observation(root: &Json, reader: &mut Reader<'_>) -> Observation {
    let component = |n: &Json| Component {
        code: concept(n, "code"),
        value: value(n),
        absent_reason: concept(n, "dataAbsentReason"),
        interpretations: concepts(n, "interpretation"),
        ranges: ranges(n),
    };
    Observation {
        status: text(root, "status"),
        categories: concepts(root, "category"),
        code: concept(root, "code"),
        effective: effective(root),
        issued: date(root, "issued"),
        value: value(root),
        absent_reason: concept(root, "dataAbsentReason"),
        interpretations: concepts(root, "interpretation"),
        ranges: ranges(root),
        components: root.items("component").iter().map(component).collect(),
        performers: reader.all_named(root, "performer"),
        body_site: concept(root, "bodySite"),
        method: concept(root, "method"),
        members: Reader::links(root, "hasMember"),
        encounter: Reader::link(root, "encounter"),
        notes: notes(root),
    }
}
