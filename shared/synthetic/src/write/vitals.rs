//! Vital signs as series of Observations, newest set first.

use super::*;
use crate::calendar::{DAY, HOUR, MINUTE, instant};
use crate::fhir::{LOINC, UCUM};
use crate::json::decimal;
use crate::measures::{Vitals, WELL};
use crate::rng::Rng;
use crate::story::section::WRITE;

/// Moments at which vital signs were taken, newest first.
fn moments(story: &Story) -> Vec<i64> {
    let mut rng = story.rng(WRITE + 3);
    let (mut at, step, oldest, most) = match &story.stay {
        Some(stay) if stay.ended.is_none() => {
            let (step, most) = match stay.ward.id {
                "ED" => (30 * MINUTE, 14),
                "ICU" => (HOUR, 24),
                _ => (4 * HOUR, 12),
            };
            let last = story
                .died
                .map_or(story.hospital.now_ms - rng.between(2, 8) * MINUTE, |d| {
                    d - 4 * MINUTE
                });
            (last, step, stay.arrived + 2 * MINUTE, most)
        }
        Some(stay) => (story.newest() - 25 * MINUTE, 4 * HOUR, stay.arrived, 4),
        None => (
            story.newest() - rng.between(20, 300) * DAY,
            170 * DAY,
            story.born + DAY,
            2,
        ),
    };
    let mut out = Vec::with_capacity(most);
    loop {
        out.push(at);
        at -= step + rng.between(-2, 2) * MINUTE;
        if at < oldest || out.len() >= most {
            return out;
        }
    }
}

/// The values of set `k`: the newest as the story has them, older ones on the way from healthy, with scatter.
fn values(story: &Story, k: u64) -> Vitals {
    let now = story.vitals;
    if k == 0 {
        return now;
    }
    let mut rng = story.rng(WRITE + 100 + k);
    let part = 100 - (k.min(8) as i64) * 6;
    let mut way =
        |from: i64, to: i64, scatter: i64| from + (to - from) * part / 100 + rng.between(-scatter, scatter);
    let saturation = way(WELL.saturation, now.saturation, 1).min(100);
    Vitals {
        pulse: way(WELL.pulse, now.pulse, 5),
        systolic: way(WELL.systolic, now.systolic, 7),
        diastolic: way(WELL.diastolic, now.diastolic, 4),
        breaths: way(WELL.breaths, now.breaths, 2).max(6),
        saturation,
        temperature: way(WELL.temperature, now.temperature, 2),
        oxygen: now.oxygen,
        awareness: if k > 4 && now.awareness != 'U' {
            'A'
        } else {
            now.awareness
        },
    }
}

pub(super) fn series(bundle: &mut Bundle, story: &Story) {
    for (at, k) in moments(story).into_iter().zip(0u64..) {
        let mut rng = story.rng(WRITE + 200 + k);
        let without_temperature = !story.shown && rng.chance(14);
        set(
            bundle,
            story,
            k,
            at,
            &values(story, k),
            !without_temperature,
            &mut rng,
        );
    }
}

/// Pulse and blood pressure of the newest set.
pub(super) fn newest(bundle: &mut Bundle, story: &Story) {
    if let Some(&at) = moments(story).first() {
        let v = values(story, 0);
        pulse(bundle, story, 0, at, &v);
        pressure(bundle, story, 0, at, &v);
    }
}

/// What every vital sign begins with.
fn head(w: &mut Json, story: &Story, k: u64, at: i64, code: (&str, &str, &str)) {
    w.str("status", "final");
    fhir::hl7s(
        w,
        "category",
        "observation-category",
        "vital-signs",
        "Vital Signs",
    );
    fhir::concept(w, "code", LOINC, code.0, code.1, code.2);
    subject(w, story);
    encounter(w, story);
    w.str("effectiveDateTime", &instant(at));
    let (id, _) = signer(story, StaffRole::Nurse, k / 4);
    w.one("performer", |w| w.str("reference", &format!("Practitioner/{id}")));
}

fn simple(
    bundle: &mut Bundle,
    story: &Story,
    k: u64,
    at: i64,
    key: &str,
    code: (&str, &str, &str),
    value: &str,
    unit: (&str, &str),
) {
    bundle.put("Observation", &story.sub(&format!("v{k}-{key}")), |w| {
        head(w, story, k, at, code);
        fhir::quantity(w, "valueQuantity", value, unit.0, unit.1);
    });
}

fn pulse(bundle: &mut Bundle, story: &Story, k: u64, at: i64, v: &Vitals) {
    simple(
        bundle,
        story,
        k,
        at,
        "hr",
        ("8867-4", "Heart rate", "Heart rate"),
        &v.pulse.to_string(),
        ("beats/minute", "/min"),
    );
}

fn pressure(bundle: &mut Bundle, story: &Story, k: u64, at: i64, v: &Vitals) {
    bundle.put("Observation", &story.sub(&format!("v{k}-bp")), |w| {
        head(
            w,
            story,
            k,
            at,
            (
                "85354-9",
                "Blood pressure panel with all children optional",
                "Blood pressure",
            ),
        );
        w.arr("component", |w| {
            for (code, name, value) in [
                ("8480-6", "Systolic blood pressure", v.systolic),
                ("8462-4", "Diastolic blood pressure", v.diastolic),
            ] {
                w.item(|w| {
                    fhir::concept(w, "code", LOINC, code, name, name);
                    fhir::quantity(w, "valueQuantity", &value.to_string(), "mmHg", "mm[Hg]");
                });
            }
        });
    });
}

fn set(bundle: &mut Bundle, story: &Story, k: u64, at: i64, v: &Vitals, temperature: bool, rng: &mut Rng) {
    pulse(bundle, story, k, at, v);
    pressure(bundle, story, k, at, v);
    let breath = ("breaths/minute", "/min");
    simple(
        bundle,
        story,
        k,
        at,
        "rr",
        ("9279-1", "Respiratory rate", "Respiratory rate"),
        &v.breaths.to_string(),
        breath,
    );
    saturation(bundle, story, k, at, v);
    if temperature {
        simple(
            bundle,
            story,
            k,
            at,
            "t",
            ("8310-5", "Body temperature", "Temperature"),
            &decimal(v.temperature, 1),
            ("C", "Cel"),
        );
    }
    bundle.put("Observation", &story.sub(&format!("v{k}-avpu")), |w| {
        head(
            w,
            story,
            k,
            at,
            ("67775-7", "Level of responsiveness", "Consciousness (ACVPU)"),
        );
        let words = match v.awareness {
            'A' => "Alert",
            'C' => "New confusion",
            'V' => "Responds to voice",
            'P' => "Responds to pain",
            _ => "Unresponsive",
        };
        fhir::concept(w, "valueCodeableConcept", "", "", "", words);
    });
    if story.stay.as_ref().is_some_and(|s| s.ward.id == "ICU") {
        let coma = match v.awareness {
            'A' => 15,
            'C' => 14,
            'V' => rng.between(11, 12),
            'P' => rng.between(7, 8),
            _ => 3,
        };
        simple(
            bundle,
            story,
            k,
            at,
            "gcs",
            ("9269-2", "Glasgow coma score total", "GCS"),
            &coma.to_string(),
            ("{score}", "{score}"),
        );
    }
}

/// Saturation with the oxygen given as a component, as US Core's pulse oximetry has it.
fn saturation(bundle: &mut Bundle, story: &Story, k: u64, at: i64, v: &Vitals) {
    bundle.put("Observation", &story.sub(&format!("v{k}-spo2")), |w| {
        w.str("status", "final");
        fhir::hl7s(
            w,
            "category",
            "observation-category",
            "vital-signs",
            "Vital Signs",
        );
        w.obj("code", |w| {
            w.arr("coding", |w| {
                for (code, name) in [
                    ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
                    ("2708-6", "Oxygen saturation in Arterial blood"),
                ] {
                    w.item(|w| {
                        w.str("system", LOINC);
                        w.str("code", code);
                        w.str("display", name);
                    });
                }
            });
            w.str("text", "SpO2");
        });
        subject(w, story);
        encounter(w, story);
        w.str("effectiveDateTime", &instant(at));
        w.obj("valueQuantity", |w| {
            w.raw("value", &v.saturation.to_string());
            w.str("unit", "%");
            w.str("system", UCUM);
            w.str("code", "%");
        });
        if v.oxygen > 0 {
            w.one("component", |w| {
                fhir::concept(w, "code", LOINC, "3151-8", "Inhaled oxygen flow rate", "Oxygen");
                fhir::quantity(w, "valueQuantity", &v.oxygen.to_string(), "L/min", "L/min");
            });
        }
    });
    if v.oxygen > 0 {
        let flow = v.oxygen.to_string();
        simple(
            bundle,
            story,
            k,
            at,
            "o2",
            ("3151-8", "Inhaled oxygen flow rate", "Oxygen"),
            &flow,
            ("L/min", "L/min"),
        );
    }
}
