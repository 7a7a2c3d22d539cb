//! AllergyIntolerance and Condition.

use super::datatype::{age_words, concept, concepts, date, first_date, last_updated, notes, status, text};
use super::reference::Reader;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{AllergyIntolerance, Condition, PartialDate, Reaction};

pub(super) fn allergy(root: &Json, reader: &mut Reader<'_>) -> AllergyIntolerance {
    let reaction = |n: &Json| Reaction {
        substance: concept(n, "substance"),
        manifestations: concepts(n, "manifestation"),
        description: text(n, "description"),
        severity: text(n, "severity"),
        onset: date(n, "onset"),
    };
    AllergyIntolerance {
        clinical_status: status(
            root,
            "clinicalStatus",
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
        ),
        verification_status: status(
            root,
            "verificationStatus",
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
        ),
        kind: text(root, "type"),
        categories: root.texts("category"),
        criticality: text(root, "criticality"),
        code: concept(root, "code"),
        onset: onset(root),
        onset_text: onset_text(root),
        recorded: date(root, "recordedDate"),
        recorder: reader.named_at(root, "recorder"),
        asserter: reader.named_at(root, "asserter"),
        last_occurrence: date(root, "lastOccurrence"),
        reactions: root.items("reaction").iter().map(reaction).collect(),
        notes: notes(root),
        last_updated: last_updated(root),
    }
}

fn onset(root: &Json) -> Option<PartialDate> {
    date(root, "onsetDateTime").or_else(|| {
        root.get("onsetPeriod")
            .and_then(|p| first_date(p, &["start", "end"]))
    })
}

fn onset_text(root: &Json) -> Option<String> {
    text(root, "onsetString").or_else(|| age_words(root, "onsetAge", "onsetRange"))
}

pub(super) fn condition(root: &Json, reader: &mut Reader<'_>) -> Condition {
    let abated = || {
        root.flag("abatementBoolean")
            .unwrap_or(false)
            .then(|| "yes".to_owned())
    };
    let abatement = date(root, "abatementDateTime").or_else(|| {
        root.get("abatementPeriod")
            .and_then(|p| first_date(p, &["end", "start"]))
    });
    Condition {
        clinical_status: status(
            root,
            "clinicalStatus",
            "http://terminology.hl7.org/CodeSystem/condition-clinical",
        ),
        verification_status: status(
            root,
            "verificationStatus",
            "http://terminology.hl7.org/CodeSystem/condition-ver-status",
        ),
        categories: concepts(root, "category"),
        code: concept(root, "code"),
        severity: concept(root, "severity"),
        body_sites: concepts(root, "bodySite"),
        onset: onset(root),
        onset_text: onset_text(root),
        abatement,
        abatement_text: text(root, "abatementString")
            .or_else(|| age_words(root, "abatementAge", "abatementRange"))
            .or_else(abated),
        recorded: date(root, "recordedDate"),
        recorder: reader.named_at(root, "recorder"),
        asserter: reader.named_at(root, "asserter"),
        encounter: Reader::link(root, "encounter"),
        notes: notes(root),
        last_updated: last_updated(root),
    }
}
