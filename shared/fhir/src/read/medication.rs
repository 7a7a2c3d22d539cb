//! Medication, MedicationRequest, MedicationStatement, MedicationAdministration.

use super::datatype::{
    concept, concept_of, concepts, date, last_updated, notes, period, quantity, quantity_words, text,
};
use super::reference::Reader;
use crate::json::Node;
use fhirkit::Json;
use vitrine_clinical::chart::{
    Concept, Dosage, Medication, MedicationAdministration, MedicationRequest, MedicationStatement, Period,
    Ref,
};

pub(super) fn medication(root: &Json, reader: &mut Reader<'_>) -> Medication {
    Medication {
        code: concept(root, "code"),
        status: text(root, "status"),
        form: concept(root, "form"),
        ingredients: ingredients(root, reader),
    }
}

fn ingredients(root: &Json, reader: &mut Reader<'_>) -> Vec<Concept> {
    let mut one = |n: &Json| {
        concept(n, "itemCodeableConcept").or_else(|| {
            let named = reader.named_at(n, "itemReference")?;
            named.display.map(Concept::of_text)
        })
    };
    root.items("ingredient").iter().filter_map(&mut one).collect()
}

/// The medicine and its ingredients, from the concept or from the Medication behind the reference.
fn medicine(root: &Json, reader: &mut Reader<'_>) -> (Option<Concept>, Vec<Concept>) {
    if let Some(c) = concept(root, "medicationCodeableConcept") {
        return (Some(c), Vec::new());
    }
    let Some(node) = root.get("medicationReference") else {
        return (None, Vec::new());
    };
    let words = text(node, "display").map(Concept::of_text);
    let Some(found) = node.text("reference").and_then(|r| reader.find(r)) else {
        return (words, Vec::new());
    };
    let medication = medication(found.json(), reader);
    let named = medication.code.filter(|c| c.display().is_some());
    let made_of = || {
        let names: Vec<&str> = medication
            .ingredients
            .iter()
            .filter_map(Concept::display)
            .collect();
        (!names.is_empty()).then(|| Concept::of_text(names.join(" + ")))
    };
    let code = named.or_else(|| words.clone()).or_else(made_of);
    (code, medication.ingredients)
}

fn dosage(node: &Json) -> Dosage {
    let rate_and_dose = node.items("doseAndRate").first();
    let part = |key: &str| rate_and_dose.and_then(|n| quantity(n, key));
    let range = |side: &str| {
        rate_and_dose
            .and_then(|n| n.get("doseRange"))
            .and_then(|r| quantity(r, side))
    };
    let as_needed = concept(node, "asNeededCodeableConcept")
        .and_then(|c| c.display().map(|d| format!("as needed for {d}")))
        .or_else(|| {
            node.flag("asNeededBoolean")
                .unwrap_or(false)
                .then(|| "as needed".to_owned())
        });
    Dosage {
        text: text(node, "text"),
        patient_instruction: text(node, "patientInstruction"),
        timing: node.get("timing").and_then(timing),
        bounds: node
            .at(&["timing", "repeat"])
            .map(|r| period(r, "boundsPeriod"))
            .unwrap_or_default(),
        as_needed,
        route: concept(node, "route"),
        dose: part("doseQuantity").or_else(|| range("low")),
        dose_high: range("high"),
        rate: rate_and_dose.and_then(rate),
    }
}

fn rate(node: &Json) -> Option<String> {
    if let Some(q) = quantity(node, "rateQuantity") {
        return quantity_words(&q);
    }
    let ratio = node.get("rateRatio")?;
    let side = |k| quantity(ratio, k).and_then(|q| quantity_words(&q));
    Some(format!("{} per {}", side("numerator")?, side("denominator")?))
}

/// Timing in words: the code's words, else what the repeat says.
fn timing(node: &Json) -> Option<String> {
    if let Some(words) = concept(node, "code").and_then(|c| c.display().map(str::to_owned)) {
        return Some(words);
    }
    let repeat = node.get("repeat")?;
    let number = |key: &str| match repeat.get(key) {
        Some(Json::Number(n)) => Some(n.clone()),
        _ => None,
    };
    let mut words = Vec::new();
    if let (Some(period), Some(unit)) = (number("period"), repeat.text("periodUnit").map(unit_word)) {
        let times = match number("frequency").as_deref() {
            None | Some("1") => "once".to_owned(),
            Some("2") => "twice".to_owned(),
            Some(n) => format!("{n} times"),
        };
        words.push(if period == "1" {
            format!("{times} per {unit}")
        } else {
            format!("{times} every {period} {unit}s")
        });
    }
    words.extend(repeat.texts("when").iter().map(|w| event_word(w)));
    words.extend(
        repeat
            .texts("timeOfDay")
            .iter()
            .map(|t| format!("at {}", t.get(..5).unwrap_or(t))),
    );
    words.extend(repeat.texts("dayOfWeek").iter().map(|d| format!("on {d}")));
    (!words.is_empty()).then(|| words.join(", "))
}

fn unit_word(code: &str) -> &str {
    match code {
        "s" => "second",
        "min" => "minute",
        "h" => "hour",
        "d" => "day",
        "wk" => "week",
        "mo" => "month",
        "a" => "year",
        other => other,
    }
}

/// EventTiming codes in words (FHIR R4 event-timing, v3 TimingEvent).
fn event_word(code: &str) -> String {
    match code {
        "MORN" => "in the morning",
        "NOON" => "at noon",
        "AFT" => "in the afternoon",
        "EVE" => "in the evening",
        "NIGHT" => "at night",
        "HS" => "at bedtime",
        "WAKE" => "on waking",
        "AC" => "before meals",
        "ACM" => "before breakfast",
        "ACD" => "before lunch",
        "ACV" => "before dinner",
        "C" => "with meals",
        "CM" => "with breakfast",
        "CD" => "with lunch",
        "CV" => "with dinner",
        "PC" => "after meals",
        "PCM" => "after breakfast",
        "PCD" => "after lunch",
        "PCV" => "after dinner",
        other => other,
    }
    .to_owned()
}

fn dosages(root: &Json, key: &str) -> Vec<Dosage> {
    root.items(key).iter().map(dosage).collect()
}

pub(super) fn request(root: &Json, reader: &mut Reader<'_>) -> MedicationRequest {
    let (medication, ingredients) = medicine(root, reader);
    MedicationRequest {
        status: text(root, "status"),
        status_reason: concept(root, "statusReason"),
        intent: text(root, "intent"),
        do_not_perform: root.flag("doNotPerform").unwrap_or(false),
        reported: root.flag("reportedBoolean").unwrap_or(false) || root.get("reportedReference").is_some(),
        medication,
        ingredients,
        categories: concepts(root, "category"),
        authored: date(root, "authoredOn"),
        requester: reader.named_at(root, "requester"),
        reasons: concepts(root, "reasonCode"),
        dosages: dosages(root, "dosageInstruction"),
        validity: root
            .get("dispenseRequest")
            .map(|d| period(d, "validityPeriod"))
            .unwrap_or_default(),
        encounter: Reader::link(root, "encounter"),
        notes: notes(root),
        last_updated: last_updated(root),
    }
}

/// `effectivePeriod`, or `effectiveDateTime` as its begin.
fn effective(root: &Json) -> Period {
    match date(root, "effectiveDateTime") {
        Some(start) => Period {
            start: Some(start),
            end: None,
        },
        None => period(root, "effectivePeriod"),
    }
}

pub(super) fn statement(root: &Json, reader: &mut Reader<'_>) -> MedicationStatement {
    let (medication, ingredients) = medicine(root, reader);
    MedicationStatement {
        status: text(root, "status"),
        status_reasons: concepts(root, "statusReason"),
        medication,
        ingredients,
        effective: effective(root),
        asserted: date(root, "dateAsserted"),
        source: reader.named_at(root, "informationSource"),
        reasons: concepts(root, "reasonCode"),
        dosages: dosages(root, "dosage"),
        notes: notes(root),
        last_updated: last_updated(root),
    }
}

pub(super) fn administration(root: &Json, reader: &mut Reader<'_>) -> MedicationAdministration {
    let (medication, ingredients) = medicine(root, reader);
    let performers: Vec<Ref> = root
        .items("performer")
        .iter()
        .filter_map(|p| reader.named_at(p, "actor"))
        .collect();
    let given = |n: &Json| Dosage {
        text: text(n, "text"),
        route: n.get("route").map(concept_of),
        dose: quantity(n, "dose"),
        rate: rate(n),
        ..Dosage::default()
    };
    MedicationAdministration {
        status: text(root, "status"),
        medication,
        ingredients,
        effective: effective(root),
        performers,
        dosage: root.get("dosage").map(given),
        request: Reader::link(root, "request"),
    }
}
