//! Laboratory results with their history, limits, corrections and cancellations, who took up the critical ones, and the reports
//! that group them.

use super::*;
use crate::Hospital;
use crate::calendar::{DAY, HOUR, MINUTE, instant};
use crate::fhir::{HL7, LOINC};
use crate::formulary::WARFARIN;
use crate::json::decimal;
use crate::measures::*;
use crate::rng::Rng;
use crate::story::section::WRITE;

/// One blood draw.
#[derive(Debug, Clone, Copy)]
struct Draw {
    k: u64,
    at: i64,
    /// Of the present or last stay, rather than long before.
    acute: bool,
}

/// Draws, newest first.
fn draws(story: &Story) -> Vec<Draw> {
    let mut rng = story.rng(WRITE + 4);
    let mut times: Vec<(i64, bool)> = Vec::with_capacity(9);
    if let Some(stay) = &story.stay {
        let (step, most) = match stay.ward.id {
            "ED" => (150 * MINUTE, 3),
            "ICU" => (8 * HOUR, 6),
            _ => (DAY, 5),
        };
        let most = if stay.ended.is_some() { 2 } else { most };
        let first = stay.arrived + rng.between(5, 9) * MINUTE;
        let room = (story.newest() - 2 * MINUTE - first).max(0) / step;
        for back in 0..most.min(room + 1) {
            times.push((first + (room - back) * step, true));
        }
    }
    let before = times.last().map_or(story.newest() - 20 * DAY, |t| t.0);
    let old = (before - rng.between(40, 260) * DAY).max(story.born + 3 * DAY);
    times.push((old, times.is_empty()));
    if rng.chance(60) {
        times.push((
            (old - rng.between(90, 400) * DAY).max(story.born + 2 * DAY),
            false,
        ));
    }
    times
        .into_iter()
        .zip(0..)
        .map(|((at, acute), k)| Draw { k, at, acute })
        .collect()
}

/// A number for a test's stream.
fn stream_of(lab: &Lab) -> u64 {
    lab.key.bytes().fold(7, |sum, b| sum * 31 + u64::from(b))
}

/// What is usual for this patient: kidney disease and warfarin move it for good.
fn baseline(story: &Story, lab: &'static Lab) -> i64 {
    let kidneys = story.diagnoses.iter().any(|d| d.icd == "N18.4");
    let warfarin = || {
        story
            .medicines
            .iter()
            .any(|m| m.drug == &WARFARIN && m.taken == Taken::Active)
    };
    match lab.key {
        "cr" if kidneys => 230,
        "urea" if kidneys => 148,
        "hb" if kidneys => 108,
        "inr" if warfarin() => 25,
        _ => lab.usual,
    }
}

/// The value of a test in a draw: the newest as the story has it, older ones on the way there, long ago as usual.
fn value(story: &Story, lab: &'static Lab, draw: Draw) -> i64 {
    let own = story
        .rng(WRITE + stream_of(lab) * 64)
        .between(-lab.spread, lab.spread);
    let usual = baseline(story, lab) + own;
    let target = story
        .labs
        .iter()
        .rev()
        .find(|(l, _)| *l == lab)
        .map_or(usual, |l| l.1);
    if draw.k == 0 && story.shown {
        return target;
    }
    let mut rng = story.rng(WRITE + stream_of(lab) * 64 + 1 + draw.k);
    let scatter = rng.between(-lab.spread, lab.spread) / 3;
    let floor = if lab.low > 0 { 1 } else { 0 };
    if !draw.acute {
        return (usual + scatter).max(floor);
    }
    let part = 100 - (draw.k.min(6) as i64) * 13;
    (usual + (target - usual) * part / 100 + scatter).max(floor)
}

/// The tests of a draw that stand in no panel.
fn singles(story: &Story, draw: Draw) -> Vec<&'static Lab> {
    let mut out: Vec<&'static Lab> = Vec::new();
    let panels = panels(story, draw);
    for &(lab, _) in &story.labs {
        let grouped = panels.iter().any(|p| p.tests.contains(&lab));
        let gas = BLOOD_GAS.tests.contains(&lab) && !draw.acute;
        if !grouped && !gas && !out.contains(&lab) {
            out.push(lab);
        }
    }
    if draw.acute && story.stay.as_ref().is_some_and(|s| s.ward.id == "ICU") {
        for lab in [&LACTATE, &MAGNESIUM, &INR] {
            if !out.contains(&lab) {
                out.push(lab);
            }
        }
    }
    let mut rng = story.rng(WRITE + 300 + draw.k);
    if draw.acute && rng.chance(35) {
        out.extend([&ALT, &BILIRUBIN]);
    }
    out
}

fn panels(story: &Story, draw: Draw) -> Vec<&'static Panel> {
    let mut out = vec![&CHEMISTRY, &BLOOD_COUNT];
    let icu = story.stay.as_ref().is_some_and(|s| s.ward.id == "ICU");
    let gas = icu || story.labs.iter().any(|(lab, _)| *lab == &PH);
    if draw.acute && gas {
        out.push(&BLOOD_GAS);
    }
    out
}

/// What happened to a result on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Final,
    Corrected,
    Cancelled,
}

fn fate(story: &Story, lab: &Lab, draw: Draw) -> Fate {
    if story.shown {
        return match (story.lab_trouble && draw.k == 0, lab.key) {
            (true, "hb") => Fate::Corrected,
            (true, "k") => Fate::Cancelled,
            _ => Fate::Final,
        };
    }
    match story.rng(WRITE + stream_of(lab) * 64 + 32 + draw.k).below(1_000) {
        0..=9 => Fate::Corrected,
        10..=17 => Fate::Cancelled,
        _ => Fate::Final,
    }
}

pub(super) fn series(bundle: &mut Bundle, story: &Story) {
    for draw in draws(story) {
        for panel in panels(story, draw) {
            for lab in panel.tests {
                observation(bundle, story, lab, draw);
            }
            report(bundle, story, panel, draw);
        }
        for lab in singles(story, draw) {
            observation(bundle, story, lab, draw);
        }
    }
}

/// Potassium and creatinine of the newest draw.
pub(super) fn newest_key(bundle: &mut Bundle, story: &Story) {
    if let Some(&draw) = draws(story).first() {
        observation(bundle, story, &K, draw);
        observation(bundle, story, &CREATININE, draw);
    }
}

fn observation(bundle: &mut Bundle, story: &Story, lab: &'static Lab, draw: Draw) {
    let value = value(story, lab, draw);
    let adult = if story.age >= 18 { "adult" } else { "child" };
    bundle.put(
        "Observation",
        &story.sub(&format!("l{}-{}", draw.k, lab.key)),
        |w| {
            let fate = fate(story, lab, draw);
            w.str(
                "status",
                match fate {
                    Fate::Final => "final",
                    Fate::Corrected => "corrected",
                    Fate::Cancelled => "cancelled",
                },
            );
            code(w, lab);
            subject(w, story);
            if draw.acute {
                encounter(w, story);
            }
            w.str("effectiveDateTime", &instant(draw.at));
            let issued = draw.at + if fate == Fate::Corrected { 90_000 } else { 60_000 };
            w.str("issued", &instant(issued));
            match fate {
                Fate::Cancelled => {
                    fhir::concept(
                        w,
                        "dataAbsentReason",
                        &format!("{HL7}data-absent-reason"),
                        "error",
                        "Error",
                        "Sample haemolysed",
                    );
                    w.one("note", |w| {
                        w.str(
                            "text",
                            "Cancelled by the laboratory: sample haemolysed, please repeat.",
                        )
                    });
                }
                Fate::Corrected => {
                    result(w, lab, value, adult);
                    let first = decimal(value + lab.spread * 2 + 1, lab.places);
                    w.one("note", |w| {
                        w.str(
                            "text",
                            &format!("Corrected: first reported as {first} {}.", lab.unit),
                        )
                    });
                }
                Fate::Final => result(w, lab, value, adult),
            }
        },
    );
    let waits = story.newest() - draw.at < 20 * MINUTE;
    if matches!(lab.interpret(value), "HH" | "LL") && fate(story, lab, draw) != Fate::Cancelled && !waits {
        taken_up(bundle, story, lab, value, draw);
    }
}

/// `Coding.system` of what a Task says about a result, as workstations write it.
const TASK: &str = "urn:vitrine:task";

/// A nurse took up a critical result some minutes after it came.
fn taken_up(bundle: &mut Bundle, story: &Story, lab: &Lab, value: i64, draw: Draw) {
    let mut rng = story.rng(WRITE + stream_of(lab) * 64 + 48 + draw.k);
    let at = instant(draw.at + 100_000 + rng.between(1, 9) * MINUTE);
    let digits = decimal(value, lab.places);
    let unit = if lab.unit.is_empty() { lab.ucum } else { lab.unit };
    let parts = [digits.as_str(), unit, lab.interpret(value)];
    let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    let read = parts.join(" ");
    bundle.put("Task", &story.sub(&format!("t{}-{}", draw.k, lab.key)), |w| {
        w.str("status", "completed");
        fhir::concept(w, "businessStatus", TASK, "acting", "", "Seen, acting");
        w.str("intent", "order");
        fhir::concept(
            w,
            "code",
            TASK,
            "acknowledge-critical-result",
            "",
            "Acknowledge critical result",
        );
        w.str("description", &format!("{} {read}", lab.said));
        w.obj("focus", |w| {
            w.str(
                "reference",
                &format!("Observation/{}-l{}-{}", story.id, draw.k, lab.key),
            );
        });
        fhir::reference(w, "for", "Patient", &story.id);
        w.str("authoredOn", &at);
        w.str("lastModified", &at);
        let (id, shown) = signer(story, StaffRole::Nurse, draw.k);
        fhir::reference_named(w, "owner", "Practitioner", &id, &shown);
        w.one("input", |w| {
            fhir::concept(w, "type", TASK, "result-as-read", "", "Result as it was read");
            w.str("valueString", &read);
        });
        if rng.chance(40) {
            w.one("output", |w| {
                fhir::concept(w, "type", TASK, "read-back", "", "Read back to the laboratory");
                w.str("valueString", &digits);
            });
        }
    });
}

fn code(w: &mut Json, lab: &Lab) {
    fhir::hl7s(w, "category", "observation-category", "laboratory", "Laboratory");
    fhir::concept(w, "code", LOINC, lab.loinc, lab.name, lab.said);
}

/// Value, interpretation and reference range.
fn result(w: &mut Json, lab: &Lab, value: i64, whose: &str) {
    fhir::quantity(
        w,
        "valueQuantity",
        &decimal(value, lab.places),
        lab.unit,
        lab.ucum,
    );
    fhir::hl7s(
        w,
        "interpretation",
        "v3-ObservationInterpretation",
        lab.interpret(value),
        "",
    );
    let (low, high) = (decimal(lab.low, lab.places), decimal(lab.high, lab.places));
    w.one("referenceRange", |w| {
        fhir::quantity(w, "low", &low, lab.unit, lab.ucum);
        fhir::quantity(w, "high", &high, lab.unit, lab.ucum);
        w.str("text", &format!("{low}-{high} {} ({whose})", lab.unit));
    });
}

fn report(bundle: &mut Bundle, story: &Story, panel: &Panel, draw: Draw) {
    bundle.put(
        "DiagnosticReport",
        &story.sub(&format!("r{}-{}", draw.k, panel.key)),
        |w| {
            w.str("status", "final");
            fhir::hl7s(w, "category", "v2-0074", "LAB", "Laboratory");
            fhir::concept(w, "code", LOINC, panel.loinc, panel.name, panel.said);
            subject(w, story);
            if draw.acute {
                encounter(w, story);
            }
            w.str("effectiveDateTime", &instant(draw.at));
            w.str("issued", &instant(draw.at + 100_000));
            w.arr("result", |w| {
                for lab in panel.tests {
                    w.item(|w| {
                        w.str(
                            "reference",
                            &format!("Observation/{}-l{}-{}", story.id, draw.k, lab.key),
                        )
                    });
                }
            });
        },
    );
}

/// One result for the feed; every seventh is critical.
pub(crate) fn live_lab(hospital: Hospital, patient: &str, k: u64, at_ms: i64) -> String {
    let mut rng = Rng::stream(hospital.seed, k, WRITE + 5);
    let lab = rng
        .pick(&[&K, &SODIUM, &HB, &LACTATE, &GLUCOSE, &CREATININE])
        .copied()
        .unwrap_or(&K);
    let value = if k % 7 == 6 {
        lab.critical_high + rng.between(0, 9)
    } else {
        lab.usual + rng.between(-lab.spread, lab.spread)
    };
    let mut w = Json::with_capacity(1_024);
    w.root(|w| {
        fhir::resource(w, "Observation", &format!("{patient}-live{k}"), |w| {
            w.str("status", "final");
            code(w, lab);
            fhir::reference(w, "subject", "Patient", patient);
            w.str("effectiveDateTime", &instant(at_ms));
            w.str("issued", &instant(at_ms));
            result(w, lab, value, "adult");
        });
    });
    w.into_text()
}
