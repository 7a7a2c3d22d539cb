//! Which results are vital signs, and the LOINC code beside a bedside monitor's own.

use crate::json::{Json, coding};

pub(super) const LOINC: &str = "http://loinc.org";
const MDC: &str = vitrine_clinical::monitor::MDC;

/// LOINC codes of vital signs: those of the FHIR vital signs profiles and of the score.
const VITAL: &[&str] = &[
    "8867-4", "8889-8", "68999-2", "85354-9", "55284-4", "35094-2", "8480-6", "8462-4", "8478-0", "9279-1",
    "59408-5", "2708-6", "8310-5", "8331-1", "8332-9", "8333-7", "8328-7", "8329-5", "76011-6", "9269-2",
    "67775-7", "80288-4", "29463-7", "3141-9", "8302-2", "39156-5", "9843-4", "72514-3", "76534-7",
    "76535-4", "76536-2", "76215-3", "76213-8", "76214-6",
];

/// ISO/IEEE 11073-10101 by number and reference id, with the LOINC code that the chart and the score read.
const DEVICE: &[(&str, &str, &str, &str)] = &[
    ("147842", "MDC_ECG_HEART_RATE", "8867-4", "Heart rate"),
    (
        "149530",
        "MDC_PULS_OXIM_PULS_RATE",
        "8889-8",
        "Heart rate by Pulse oximetry",
    ),
    (
        "150456",
        "MDC_PULS_OXIM_SAT_O2",
        "59408-5",
        "Oxygen saturation in Arterial blood by Pulse oximetry",
    ),
    ("151562", "MDC_RESP_RATE", "9279-1", "Respiratory rate"),
    ("151570", "MDC_TTHOR_RESP_RATE", "9279-1", "Respiratory rate"),
    (
        "150021",
        "MDC_PRESS_BLD_NONINV_SYS",
        "8480-6",
        "Systolic blood pressure",
    ),
    (
        "150022",
        "MDC_PRESS_BLD_NONINV_DIA",
        "8462-4",
        "Diastolic blood pressure",
    ),
    (
        "150023",
        "MDC_PRESS_BLD_NONINV_MEAN",
        "8478-0",
        "Mean blood pressure",
    ),
    ("150344", "MDC_TEMP", "8310-5", "Body temperature"),
    ("150364", "MDC_TEMP_BODY", "8310-5", "Body temperature"),
];

fn codings(concept: &Json) -> &[Json] {
    match concept.get("coding") {
        Some(Json::Array(all)) => all,
        _ => &[],
    }
}

fn text<'j>(node: &'j Json, key: &str) -> &'j str {
    node.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// Whether a code is of the nomenclature of devices.
pub(super) fn of_device(concept: &Json) -> bool {
    codings(concept).iter().any(|c| text(c, "system") == MDC)
}

/// Whether a code is a vital sign's by itself.
pub(super) fn is_vital(concept: &Json) -> bool {
    codings(concept)
        .iter()
        .any(|c| text(c, "system") == LOINC && VITAL.contains(&text(c, "code")))
}

/// Sets LOINC beside a device's code, by its number, or by its reference id where the sender gives a number of its own.
pub(super) fn beside(concept: &mut Json) {
    if codings(concept).iter().any(|c| text(c, "system") == LOINC) {
        return;
    }
    let known = codings(concept)
        .iter()
        .filter(|c| text(c, "system") == MDC)
        .find_map(|c| {
            DEVICE.iter().find(|(number, name, _, _)| {
                let (code, words) = (text(c, "code"), text(c, "display"));
                code == *number || code == *name || words == *name
            })
        });
    let Some((_, _, code, words)) = known else { return };
    if let Json::Object(members) = concept {
        for (key, value) in members {
            if let ("coding", Json::Array(all)) = (key.as_str(), value) {
                all.push(coding(LOINC, code, words));
            }
        }
    }
}
