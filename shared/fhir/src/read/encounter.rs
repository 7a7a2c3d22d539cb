//! Encounter and Location.

use super::datatype::{concept, concepts, last_updated, period, text};
use super::reference::Reader;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{Concept, Encounter, EncounterLocation, Location, LocationStep, Participant};

/// Deepest chain of places (bed, room, ward, floor, building, site).
const MAX_LEVELS: usize = 8;

const PHYSICAL_TYPE: &str = "http://terminology.hl7.org/CodeSystem/location-physical-type";

fn physical_type(node: &Json) -> Option<String> {
    let kind = concept(node, "physicalType")?;
    kind.code_of(PHYSICAL_TYPE)
        .or_else(|| kind.codings.iter().find_map(|c| c.code.as_deref()))
        .map(str::to_owned)
}

/// The place itself and what it lies in, innermost first.
fn chain(reference: Option<&str>, reader: &mut Reader<'_>) -> Vec<LocationStep> {
    let mut steps: Vec<LocationStep> = Vec::new();
    let mut next = reference.map(str::to_owned);
    while let Some(reference) = next.take() {
        if steps.len() >= MAX_LEVELS {
            break;
        }
        let Some(found) = reader.find(&reference) else {
            break;
        };
        let node = found.json();
        let id = text(node, "id");
        if steps.iter().any(|s| s.id.is_some() && s.id == id) {
            break;
        }
        steps.push(LocationStep {
            id,
            name: text(node, "name"),
            physical_type: physical_type(node),
        });
        next = node
            .at(&["partOf", "reference"])
            .and_then(Json::as_str)
            .map(str::to_owned);
    }
    steps
}

fn place(node: &Json, reader: &mut Reader<'_>) -> EncounterLocation {
    let mut location = Reader::link(node, "location").unwrap_or_default();
    let chain = chain(location.reference.as_deref(), reader);
    if location.display.is_none() {
        location.display = chain.first().and_then(|s| s.name.clone());
    }
    EncounterLocation {
        location,
        status: text(node, "status"),
        period: period(node, "period"),
        chain,
    }
}

pub(super) fn encounter(root: &Json, reader: &mut Reader<'_>) -> Encounter {
    let mut reasons = concepts(root, "reasonCode");
    for named in reader.all_named(root, "reasonReference") {
        reasons.extend(named.display.map(Concept::of_text));
    }
    let locations = root.items("location").iter().map(|n| place(n, reader)).collect();
    let mut participants = Vec::new();
    for node in root.items("participant") {
        if let Some(who) = reader.named_at(node, "individual") {
            participants.push(Participant {
                role: concepts(node, "type").into_iter().next(),
                who,
            });
        }
    }
    Encounter {
        status: text(root, "status"),
        class: root
            .get("class")
            .and_then(|c| text(c, "code").or_else(|| text(c, "display"))),
        types: concepts(root, "type"),
        priority: concept(root, "priority"),
        period: period(root, "period"),
        reasons,
        locations,
        participants,
        service_provider: reader.named_at(root, "serviceProvider"),
        discharge: root
            .get("hospitalization")
            .and_then(|h| concept(h, "dischargeDisposition")),
    }
}

pub(super) fn location(root: &Json, reader: &mut Reader<'_>) -> Location {
    Location {
        status: text(root, "status"),
        name: text(root, "name"),
        physical_type: concept(root, "physicalType"),
        types: concepts(root, "type"),
        part_of: reader.named_at(root, "partOf"),
        mode: text(root, "mode"),
        last_updated: last_updated(root),
    }
}
