//! Patient, RelatedPerson, Practitioner, Organization.

use super::datatype::{concept, concepts, date, last_updated, period, text};
use super::reference::Reader;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{
    ContactPoint, HumanName, Identifier, Organization, Patient, PatientContact, PatientLink, Practitioner,
    RelatedPerson,
};

pub(crate) fn human_name(node: &Json) -> HumanName {
    let usage = text(node, "use");
    let ended = usage.as_deref() == Some("old") || node.at(&["period", "end"]).is_some();
    HumanName {
        usage,
        text: text(node, "text"),
        family: text(node, "family"),
        given: node.texts("given"),
        prefix: node.texts("prefix"),
        suffix: node.texts("suffix"),
        ended,
    }
}

fn names(root: &Json) -> Vec<HumanName> {
    root.items("name").iter().map(human_name).collect()
}

fn identifiers(root: &Json) -> Vec<Identifier> {
    let one = |n: &Json| Identifier {
        usage: text(n, "use"),
        kind: concept(n, "type"),
        system: text(n, "system"),
        value: text(n, "value"),
    };
    root.items("identifier").iter().map(one).collect()
}

fn telecom(root: &Json) -> Vec<ContactPoint> {
    let one = |n: &Json| ContactPoint {
        system: text(n, "system"),
        value: text(n, "value"),
        usage: text(n, "use"),
    };
    root.items("telecom").iter().map(one).collect()
}

fn address(root: &Json) -> Option<String> {
    let first = root
        .items("address")
        .iter()
        .find(|a| a.text("use") != Some("old"))?;
    if let Some(whole) = text(first, "text") {
        return Some(whole);
    }
    let rest = ["city", "district", "state", "postalCode", "country"];
    let parts: Vec<String> = first
        .texts("line")
        .into_iter()
        .chain(rest.iter().filter_map(|k| text(first, k)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn deceased(root: &Json) -> Option<String> {
    text(root, "deceasedDateTime").or_else(|| {
        let dead = root.flag("deceasedBoolean").unwrap_or(false) || root.get("_deceasedDateTime").is_some();
        dead.then(|| "yes".to_owned())
    })
}

pub(super) fn patient(root: &Json, reader: &mut Reader<'_>) -> Patient {
    let contact = |n: &Json| PatientContact {
        relationships: concepts(n, "relationship"),
        name: n.get("name").map(human_name),
        telecom: telecom(n),
    };
    let link = |n: &Json| {
        Some(PatientLink {
            kind: text(n, "type")?,
            other: Reader::link(n, "other")?,
        })
    };
    Patient {
        active: root.flag("active"),
        names: names(root),
        identifiers: identifiers(root),
        telecom: telecom(root),
        birth_date: date(root, "birthDate"),
        gender: text(root, "gender"),
        deceased: deceased(root),
        contacts: root.items("contact").iter().map(contact).collect(),
        languages: root
            .items("communication")
            .iter()
            .filter_map(|c| concept(c, "language"))
            .collect(),
        general_practitioners: reader.all_named(root, "generalPractitioner"),
        address: address(root),
        links: root.items("link").iter().filter_map(link).collect(),
        last_updated: last_updated(root),
    }
}

pub(super) fn related_person(root: &Json) -> RelatedPerson {
    RelatedPerson {
        active: root.flag("active"),
        names: names(root),
        relationships: concepts(root, "relationship"),
        telecom: telecom(root),
        period: period(root, "period"),
        last_updated: last_updated(root),
    }
}

pub(super) fn practitioner(root: &Json) -> Practitioner {
    Practitioner {
        active: root.flag("active"),
        names: names(root),
        identifiers: identifiers(root),
        telecom: telecom(root),
        qualifications: root
            .items("qualification")
            .iter()
            .filter_map(|q| concept(q, "code"))
            .collect(),
    }
}

pub(super) fn organization(root: &Json) -> Organization {
    Organization {
        name: text(root, "name"),
    }
}
