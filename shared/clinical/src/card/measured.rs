//! Measured values: vital signs, key laboratory results, weight, blood group, by LOINC code.
//!
//! The codes are facts of LOINC (loinc.org); the choice is ours: what changes a decision in the first minutes.
//! Entered-in-error and cancelled results, and those without a value, are never shown.

use super::{CardFact, MeasuredItem, StatementItem};
use crate::UtcMs;
use crate::chart::{Component, Concept, LOINC, Observation, ReferenceRange, Resource, Value};

/// Vital signs in the order of the card.
pub(crate) const VITALS: &[(&str, &[&str])] = &[
    ("HR", &["8867-4", "8889-8", "68999-2"]),
    ("BP", &["85354-9", "55284-4", "35094-2"]),
    ("SBP", &["8480-6"]),
    ("DBP", &["8462-4"]),
    ("RR", &["9279-1"]),
    ("SpO2", &["59408-5", "2708-6"]),
    ("O2 flow", &["3151-8"]),
    ("FiO2", &["3150-6", "19996-8"]),
    (
        "Temp",
        &[
            "8310-5", "8331-1", "8332-9", "8333-7", "8328-7", "8329-5", "76011-6",
        ],
    ),
    ("GCS", &["9269-2"]),
    ("AVPU", &["67775-7", "80288-4"]),
    ("Pain", &["72514-3", "38208-5"]),
];

/// Key laboratory values in the order of the card.
pub(crate) const LABS: &[(&str, &[&str])] = &[
    ("K", &["2823-3", "6298-4", "77142-8"]),
    ("Na", &["2951-2", "2947-0", "77139-4"]),
    ("Creatinine", &["2160-0", "38483-4", "14682-9", "77140-2"]),
    (
        "eGFR",
        &["33914-3", "62238-1", "48642-3", "48643-1", "98979-8", "69405-9"],
    ),
    ("Hb", &["718-7", "20509-6", "59260-0", "30313-1", "30350-3"]),
    ("Platelets", &["777-3", "26515-7", "778-1"]),
    ("WBC", &["6690-2", "26464-8"]),
    ("INR", &["6301-6", "34714-6"]),
    (
        "Lactate",
        &[
            "2524-7", "32693-4", "2518-9", "2519-7", "32132-3", "32133-1", "19240-1",
        ],
    ),
    (
        "Glucose",
        &[
            "2345-7", "2339-0", "2340-8", "2341-6", "14749-6", "15074-8", "41653-7", "32016-8",
        ],
    ),
    ("pH", &["2744-1", "11558-4", "2746-6", "19211-2"]),
    ("pCO2", &["2019-8", "11557-6", "2021-4", "19223-7"]),
    (
        "Troponin",
        &[
            "6598-7", "6597-9", "10839-9", "49563-0", "42757-5", "48425-3", "67151-1", "89579-7", "89577-1",
        ],
    ),
    ("CRP", &["1988-5", "30522-7", "71426-1"]),
];

/// Body weight; stated and estimated ones carry that word.
pub(crate) const WEIGHTS: &[(&str, &[&str])] = &[
    ("Weight", &["29463-7", "3141-9"]),
    ("Weight (estimated)", &["8335-2"]),
    ("Weight (stated)", &["3142-7"]),
];

/// ABO and Rh.
pub(crate) const BLOOD_GROUPS: &[(&str, &[&str])] =
    &[("ABO Rh", &["882-1"]), ("ABO", &["883-9"]), ("Rh", &["10331-7"])];

const SYSTOLIC: &str = "8480-6";
const DIASTOLIC: &str = "8462-4";

/// The label under which a code stands in a table.
pub(crate) fn label_in(
    table: &'static [(&'static str, &'static [&'static str])],
    code: &Concept,
) -> Option<&'static str> {
    table
        .iter()
        .find(|(_, codes)| codes.iter().any(|c| code.has(LOINC, c)))
        .map(|(label, _)| *label)
}

/// Whether a result may be shown at all.
pub(crate) fn is_usable(o: &Observation) -> bool {
    let status_fits = !matches!(
        o.status.as_deref(),
        Some("entered-in-error" | "cancelled" | "registered")
    );
    let has_text = |v: &Option<Value>| v.as_ref().and_then(Value::text).is_some();
    status_fits && (has_text(&o.value) || o.components.iter().any(|c| has_text(&c.value)))
}

/// When it was measured, ms.
pub(crate) fn measured_ms(o: &Observation) -> Option<i64> {
    o.effective
        .as_ref()
        .and_then(|d| d.order_ms())
        .or_else(|| o.issued.as_ref().and_then(|d| d.order_ms()))
}

fn interpretation(list: &[Concept]) -> Option<String> {
    let v3 = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
    let of = |c: &Concept| {
        let code = c
            .code_of(v3)
            .or_else(|| c.codings.iter().find_map(|c| c.code.as_deref()));
        code.or(c.text.as_deref()).map(str::to_owned)
    };
    list.iter().find_map(of)
}

/// The normal range, else the first that says anything.
fn range(list: &[ReferenceRange]) -> Option<String> {
    let is_normal = |r: &&ReferenceRange| {
        r.kind
            .as_ref()
            .is_none_or(|k| k.codings.iter().any(|c| c.code.as_deref() == Some("normal")))
    };
    list.iter()
        .filter(is_normal)
        .find_map(ReferenceRange::words)
        .or_else(|| list.iter().find_map(ReferenceRange::words))
}

/// One measured value; `None` without one.
pub(crate) fn item(fact: &CardFact, o: &Observation, label: &str) -> Option<MeasuredItem> {
    let base = MeasuredItem {
        source: fact.key.clone(),
        label: label.to_owned(),
        code: o.code.as_ref().and_then(|c| c.code_of(LOINC)).map(str::to_owned),
        value: String::new(),
        unit: None,
        interpretation: interpretation(&o.interpretations),
        range: range(&o.ranges),
        at: measured_ms(o).map(UtcMs),
        status: o.status.clone().unwrap_or_else(|| "unknown".to_owned()),
    };
    if let Some(value) = o.value.as_ref().and_then(Value::text) {
        let unit = o.value.as_ref().and_then(Value::unit).map(str::to_owned);
        return Some(MeasuredItem { value, unit, ..base });
    }
    pressure(o, &base).or_else(|| parts(o, &base))
}

/// A blood pressure of two components; a missing side is shown as missing.
fn pressure(o: &Observation, base: &MeasuredItem) -> Option<MeasuredItem> {
    let side = |code: &str| {
        o.components
            .iter()
            .find(|c| c.code.as_ref().is_some_and(|k| k.has(LOINC, code)))
    };
    let text = |c: Option<&Component>| c.and_then(|c| c.value.as_ref()).and_then(Value::text);
    let (systolic, diastolic) = (side(SYSTOLIC), side(DIASTOLIC));
    let (upper, lower) = (text(systolic), text(diastolic));
    if upper.is_none() && lower.is_none() {
        return None;
    }
    let dash = || "–".to_owned();
    let unit = [systolic, diastolic]
        .into_iter()
        .flatten()
        .find_map(|c| c.value.as_ref().and_then(Value::unit));
    let flags = [systolic, diastolic]
        .into_iter()
        .flatten()
        .filter_map(|c| interpretation(&c.interpretations));
    Some(MeasuredItem {
        value: format!("{}/{}", upper.unwrap_or_else(dash), lower.unwrap_or_else(dash)),
        unit: unit.map(str::to_owned),
        interpretation: base
            .interpretation
            .clone()
            .or_else(|| flags.max_by_key(|f| severity(f))),
        ..base.clone()
    })
}

fn severity(flag: &str) -> u8 {
    match flag {
        "HH" | "LL" | "AA" => 3,
        "H" | "L" | "A" | "HU" | "LU" => 2,
        "N" => 0,
        _ => 1,
    }
}

/// A result that consists of named parts only.
fn parts(o: &Observation, base: &MeasuredItem) -> Option<MeasuredItem> {
    let part = |c: &Component| {
        let value = c.value.as_ref()?;
        let name = c.code.as_ref().and_then(Concept::display).unwrap_or("part");
        let unit = value.unit().map(|u| format!(" {u}")).unwrap_or_default();
        Some(format!("{name} {}{unit}", value.text()?))
    };
    let words: Vec<String> = o.components.iter().filter_map(part).collect();
    (!words.is_empty()).then(|| MeasuredItem {
        value: words.join(", "),
        ..base.clone()
    })
}

/// The parts of a panel that are values of a table by themselves (a blood gas sent as components).
pub(crate) fn panel_items(
    fact: &CardFact,
    o: &Observation,
    table: &'static [(&'static str, &'static [&'static str])],
) -> Vec<MeasuredItem> {
    let part = |c: &Component| {
        let code = c.code.as_ref()?;
        let label = label_in(table, code)?;
        let value = c.value.as_ref()?;
        Some(MeasuredItem {
            source: fact.key.clone(),
            label: label.to_owned(),
            code: code.code_of(LOINC).map(str::to_owned),
            value: value.text()?,
            unit: value.unit().map(str::to_owned),
            interpretation: interpretation(&c.interpretations),
            range: range(&c.ranges),
            at: measured_ms(o).map(UtcMs),
            status: o.status.clone().unwrap_or_else(|| "unknown".to_owned()),
        })
    };
    o.components.iter().filter_map(part).collect()
}

/// The oxygen that a pulse oximetry was taken under, sent as its components (US Core pulse oximetry).
pub(crate) fn oxygen_of(
    fact: &CardFact,
    o: &Observation,
    label: &str,
    table: &'static [(&'static str, &'static [&'static str])],
) -> Vec<MeasuredItem> {
    if label != "SpO2" {
        return Vec::new();
    }
    let mut parts = panel_items(fact, o, table);
    parts.retain(|i| matches!(i.label.as_str(), "O2 flow" | "FiO2"));
    parts
}

/// Every item of a table that the facts hold, newest first within a label.
pub(crate) fn all_of(
    facts: &[&CardFact],
    table: &'static [(&'static str, &'static [&'static str])],
) -> Vec<(MeasuredItem, u64)> {
    let mut out = Vec::new();
    for fact in facts {
        let Resource::Observation(o) = &fact.resource else {
            continue;
        };
        if !is_usable(o) {
            continue;
        }
        let Some(code) = &o.code else { continue };
        match label_in(table, code) {
            Some(label) => {
                out.extend(item(fact, o, label).map(|i| (i, fact.version)));
                out.extend(
                    oxygen_of(fact, o, label, table)
                        .into_iter()
                        .map(|i| (i, fact.version)),
                );
            }
            None => out.extend(panel_items(fact, o, table).into_iter().map(|i| (i, fact.version))),
        }
    }
    out.sort_by_cached_key(|(i, version)| {
        (
            std::cmp::Reverse(i.at),
            std::cmp::Reverse(*version),
            i.source.clone(),
        )
    });
    out
}

/// The newest value of each label, in the order of the table.
pub(crate) fn newest(
    facts: &[&CardFact],
    table: &'static [(&'static str, &'static [&'static str])],
) -> Vec<MeasuredItem> {
    let all = all_of(facts, table);
    let of_label = |label: &&'static str| {
        all.iter()
            .find(|(i, _)| i.label == **label)
            .map(|(i, _)| i.clone())
    };
    table
        .iter()
        .map(|(label, _)| label)
        .filter_map(of_label)
        .collect()
}

/// Vital signs: blood pressures sent as two results are joined where they belong to one instant, and leave the list
/// where a newer panel is there.
pub(crate) fn vitals(facts: &[&CardFact]) -> Vec<MeasuredItem> {
    let mut items = newest(facts, VITALS);
    let find = |items: &[MeasuredItem], label: &str| items.iter().find(|i| i.label == label).cloned();
    let (panel, upper, lower) = (find(&items, "BP"), find(&items, "SBP"), find(&items, "DBP"));
    let joined = match (upper, lower) {
        (Some(u), Some(l)) if u.at == l.at => {
            let flags = [u.interpretation.clone(), l.interpretation].into_iter().flatten();
            Some(MeasuredItem {
                label: "BP".to_owned(),
                value: format!("{}/{}", u.value, l.value),
                interpretation: flags.max_by_key(|f| severity(f)),
                range: None,
                code: None,
                ..u
            })
        }
        _ => None,
    };
    let panel_at = panel.as_ref().map(|p| p.at);
    let separate_is_newer = joined
        .as_ref()
        .is_some_and(|j| panel_at.is_none_or(|at| j.at > at));
    if separate_is_newer {
        items.retain(|i| i.label != "BP");
        if let Some(joined) = joined {
            let at = items.iter().position(|i| i.label == "SBP").unwrap_or(0);
            items.insert(at, joined);
        }
        items.retain(|i| !matches!(i.label.as_str(), "SBP" | "DBP"));
    } else if let Some(at) = panel_at {
        items.retain(|i| !matches!(i.label.as_str(), "SBP" | "DBP") || i.at > at);
    }
    items
}

/// The newest weight.
pub(crate) fn weight(facts: &[&CardFact]) -> Option<MeasuredItem> {
    all_of(facts, WEIGHTS).into_iter().next().map(|(i, _)| i)
}

/// Blood groups, only from final, corrected or amended results. The newest of each code; an older one that differs is
/// shown too, because two groups for one patient are a danger nobody may smooth over.
pub(crate) fn blood_groups(facts: &[&CardFact]) -> Vec<StatementItem> {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut out = Vec::new();
    let by = |key: &crate::ResourceKey| {
        facts
            .iter()
            .find(|f| f.key == *key)
            .and_then(|f| match &f.resource {
                Resource::Observation(o) => o.performers.iter().find_map(|p| p.display.clone()),
                _ => None,
            })
    };
    for (i, _) in all_of(facts, BLOOD_GROUPS) {
        if !matches!(i.status.as_str(), "final" | "corrected" | "amended") {
            continue;
        }
        let said = (i.label.clone(), i.value.to_lowercase());
        if seen.contains(&said) {
            continue;
        }
        seen.push(said);
        let text = if i.label == "ABO Rh" {
            i.value
        } else {
            format!("{} {}", i.label, i.value)
        };
        out.push(StatementItem {
            by: by(&i.source),
            text,
            at: i.at,
            source: i.source,
        });
    }
    out
}
