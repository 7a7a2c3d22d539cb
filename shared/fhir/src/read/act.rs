//! Flag, Procedure, Immunization, Device, DeviceUseStatement, Consent, ServiceRequest, Task.

use super::datatype::{age_words, concept, concepts, date, last_updated, notes, period, text};
use super::reference::{Reader, device_name};
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{
    Consent, Device, DeviceUseStatement, Flag, FocalDevice, Immunization, Period, Procedure, ServiceRequest,
    Task, TaskPart,
};

pub(super) fn flag(root: &Json, reader: &mut Reader<'_>) -> Flag {
    Flag {
        status: text(root, "status"),
        categories: concepts(root, "category"),
        code: concept(root, "code"),
        period: period(root, "period"),
        author: reader.named_at(root, "author"),
        last_updated: last_updated(root),
    }
}

/// A date as the begin of a period, else the period.
fn when(root: &Json, date_key: &str, period_key: &str) -> Period {
    match date(root, date_key) {
        Some(start) => Period {
            start: Some(start),
            end: None,
        },
        None => period(root, period_key),
    }
}

pub(super) fn procedure(root: &Json, reader: &mut Reader<'_>) -> Procedure {
    let performers = root
        .items("performer")
        .iter()
        .filter_map(|p| reader.named_at(p, "actor"))
        .collect();
    let mut focal = |n: &Json| FocalDevice {
        action: concept(n, "action"),
        device: reader.named_at(n, "manipulated").unwrap_or_default(),
    };
    let devices = root.items("focalDevice").iter().map(&mut focal).collect();
    Procedure {
        status: text(root, "status"),
        category: concept(root, "category"),
        code: concept(root, "code"),
        performed: when(root, "performedDateTime", "performedPeriod"),
        performed_text: text(root, "performedString")
            .or_else(|| age_words(root, "performedAge", "performedRange")),
        performers,
        reasons: concepts(root, "reasonCode"),
        body_sites: concepts(root, "bodySite"),
        devices,
        notes: notes(root),
        encounter: Reader::link(root, "encounter"),
    }
}

pub(super) fn immunization(root: &Json, reader: &mut Reader<'_>) -> Immunization {
    let dose = |n: &Json| match n.get("doseNumberPositiveInt") {
        Some(Json::Number(n)) => Some(n.clone()),
        _ => text(n, "doseNumberString"),
    };
    Immunization {
        status: text(root, "status"),
        vaccine: concept(root, "vaccineCode"),
        occurrence: date(root, "occurrenceDateTime"),
        occurrence_text: text(root, "occurrenceString"),
        lot: text(root, "lotNumber"),
        site: concept(root, "site"),
        dose_number: root.items("protocolApplied").iter().find_map(dose),
        performers: root
            .items("performer")
            .iter()
            .filter_map(|p| reader.named_at(p, "actor"))
            .collect(),
    }
}

pub(super) fn device(root: &Json) -> Device {
    Device {
        status: text(root, "status"),
        kind: concept(root, "type"),
        name: device_name(root),
        manufacturer: text(root, "manufacturer"),
        model: text(root, "modelNumber"),
        manufactured: date(root, "manufactureDate"),
        of_patient: root.get("patient").is_some(),
        notes: notes(root),
        last_updated: last_updated(root),
    }
}

pub(super) fn device_use(root: &Json, reader: &mut Reader<'_>) -> DeviceUseStatement {
    DeviceUseStatement {
        status: text(root, "status"),
        device: reader.named_at(root, "device").unwrap_or_default(),
        timing: when(root, "timingDateTime", "timingPeriod"),
        recorded: date(root, "recordedOn"),
        source: reader.named_at(root, "source"),
        body_site: concept(root, "bodySite"),
    }
}

pub(super) fn consent(root: &Json, reader: &mut Reader<'_>) -> Consent {
    let provision = root.get("provision");
    Consent {
        status: text(root, "status"),
        scope: concept(root, "scope"),
        categories: concepts(root, "category"),
        date: date(root, "dateTime"),
        performers: reader.all_named(root, "performer"),
        provision: provision.and_then(|p| text(p, "type")),
        provision_codes: provision.map(|p| concepts(p, "code")).unwrap_or_default(),
        period: provision.map(|p| period(p, "period")).unwrap_or_default(),
    }
}

pub(super) fn service_request(root: &Json, reader: &mut Reader<'_>) -> ServiceRequest {
    ServiceRequest {
        status: text(root, "status"),
        intent: text(root, "intent"),
        categories: concepts(root, "category"),
        code: concept(root, "code"),
        do_not_perform: root.flag("doNotPerform").unwrap_or(false),
        authored: date(root, "authoredOn"),
        requester: reader.named_at(root, "requester"),
        notes: notes(root),
    }
}

pub(super) fn task(root: &Json, reader: &mut Reader<'_>) -> Task {
    let parts = |key: &str| {
        let part = |n: &Json| {
            Some(TaskPart {
                kind: concept(n, "type")?,
                text: text(n, "valueString")?,
            })
        };
        root.items(key).iter().filter_map(part).collect()
    };
    Task {
        status: text(root, "status"),
        code: concept(root, "code"),
        business_status: concept(root, "businessStatus"),
        focus: Reader::link(root, "focus"),
        owner: reader.named_at(root, "owner"),
        authored: date(root, "authoredOn"),
        inputs: parts("input"),
        outputs: parts("output"),
        notes: notes(root),
    }
}
