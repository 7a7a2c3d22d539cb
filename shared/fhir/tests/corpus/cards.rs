//! Cards and charts of whole synthetic patients, and the negatives among problems and medicines.

use crate::allergies::{card, fact};
use crate::files::{data, json_below};
use std::collections::HashMap;
use vitrine_clinical::ResourceKey;
use vitrine_clinical::card::{AllergyState, BlockState, CardFact, card_slot};
use vitrine_clinical::summary::chart_summary;
use vitrine_fhir::bundle::{Action, Answers, Bundle, plan};
use vitrine_fhir::read_with_deps;

/// The facts of one Synthea transaction, names resolved from the same Bundle.
fn facts(bytes: &[u8]) -> Vec<CardFact> {
    let bundle = Bundle::parse(bytes).unwrap();
    let planned = plan(&bundle, &Answers::new(), &mut |e| {
        e.full_url
            .as_deref()
            .unwrap()
            .trim_start_matches("urn:uuid:")
            .parse()
            .unwrap()
    })
    .unwrap();
    let store: HashMap<String, (ResourceKey, Vec<u8>)> = planned
        .steps
        .into_iter()
        .filter(|s| s.action == Action::Create)
        .map(|s| {
            (
                s.key.clone().unwrap().to_string(),
                (s.key.unwrap(), s.body.unwrap()),
            )
        })
        .collect();
    let view = |(key, bytes): &(ResourceKey, Vec<u8>)| {
        let mut resolve = |k: &str| store.get(k).map(|(_, b)| b.clone());
        let (resource, _) = read_with_deps(key.kind.as_str(), bytes, &mut resolve).unwrap();
        CardFact {
            key: key.clone(),
            version: 1,
            resource,
        }
    };
    store.values().map(view).collect()
}

fn newest(mut list: Vec<(i64, u32, &CardFact)>) -> Vec<(i64, u32, &CardFact)> {
    let keep = usize::try_from(list[0].1).unwrap();
    list.sort_by_key(|(order, _, f)| (std::cmp::Reverse(*order), f.key.clone()));
    list.truncate(keep);
    list
}

/// What a store keeps: of each slot the newest.
fn bounded(all: &[CardFact]) -> Vec<CardFact> {
    let mut slots: HashMap<String, Vec<(i64, u32, &CardFact)>> = HashMap::new();
    for fact in all {
        if let Some(slot) = card_slot(&fact.resource) {
            slots
                .entry(slot.slot)
                .or_default()
                .push((slot.order_ms, slot.keep, fact));
        }
    }
    slots
        .into_values()
        .flat_map(newest)
        .map(|(_, _, f)| f.clone())
        .collect()
}

#[test]
fn bounding_the_facts_changes_nothing_that_matters() {
    let Some(root) = data() else { return };
    let mut with_allergy = 0;
    for sample in json_below(&root, "fhir/synthea-2019/plain") {
        let all = facts(&sample.bytes);
        if !all.iter().any(|f| f.key.kind.as_str() == "Patient") {
            continue;
        }
        let (full, kept) = (card(&all), bounded(&all));
        let small = card(&kept);
        assert!(kept.len() <= all.len());
        assert_eq!(small.allergies, full.allergies, "{}", sample.path);
        assert_eq!(small.medications, full.medications);
        assert_eq!(small.conditions, full.conditions);
        assert_eq!(
            (&small.vitals, &small.labs, &small.weight),
            (&full.vitals, &full.labs, &full.weight)
        );
        assert_eq!(small.identity, full.identity);
        let id = small.identity.unwrap();
        assert!(id.mrn.is_some() && id.family.is_some() && id.birth_date.is_some());
        assert_eq!(small.vitals.state, BlockState::Recorded, "{}", sample.path);
        with_allergy += usize::from(small.allergies.state == AllergyState::Known);
        println!("{}: {} facts, {} kept", sample.path.len(), all.len(), kept.len());
    }
    assert_eq!(with_allergy, 11, "MANIFEST: 11 of the 15 have allergies");
}

#[test]
fn the_order_of_facts_does_not_matter() {
    let Some(root) = data() else { return };
    let sample = json_below(&root, "fhir/synthea-2019/plain")
        .into_iter()
        .find(|s| s.path.contains("Jill_"))
        .unwrap();
    let mut all = facts(&sample.bytes);
    let first = (card(&all), chart_summary(&all));
    all.reverse();
    assert_eq!((card(&all), chart_summary(&all)), first);
    all.sort_by_key(|f| f.resource.stated_ms());
    assert_eq!((card(&all), chart_summary(&all)), first);
}

#[test]
fn charts_lose_no_result() {
    let Some(root) = data() else { return };
    for sample in json_below(&root, "fhir/synthea-2019/plain") {
        let all = facts(&sample.bytes);
        let chart = chart_summary(&all);
        let of = |kind: &str| all.iter().filter(|f| f.key.kind.as_str() == kind).count();
        let in_series: std::collections::BTreeSet<_> =
            [&chart.vitals, &chart.labs, &chart.other_observations]
                .into_iter()
                .flatten()
                .flat_map(|s| s.values.iter().map(|v| v.source.clone()))
                .collect();
        assert_eq!(in_series.len(), of("Observation"), "{}", sample.path);
        assert_eq!(chart.encounters.len(), of("Encounter"));
        assert_eq!(chart.procedures.len(), of("Procedure"));
        assert_eq!(chart.immunizations.len(), of("Immunization"));
        assert_eq!(
            chart.active_conditions.len() + chart.resolved_conditions.len(),
            of("Condition")
        );
        for series in chart.vitals.iter().chain(&chart.labs) {
            assert!(
                series.values.is_sorted_by_key(|v| std::cmp::Reverse(v.at)),
                "newest first"
            );
        }
    }
}

/// au-core problems: the text of an active one, a statement, or nothing.
#[test]
fn problems_of_au_core() {
    let Some(root) = data() else { return };
    let not_active = [
        ("fever", ""),
        ("uti", ""),
        ("noknown", "No current problems or disability"),
    ];
    for sample in json_below(&root, "fhir/au-core/au-core") {
        let Some((_, name)) = sample.path.trim_end_matches(".json").rsplit_once("/Condition-") else {
            continue;
        };
        let card = card(&[fact(&sample, "Condition")]);
        let said: Vec<&str> = card
            .condition_statements
            .iter()
            .map(|n| n.text.as_str())
            .collect();
        match not_active.iter().find(|(n, _)| *n == name) {
            Some((_, statement)) => {
                assert_eq!(card.conditions.items, [], "{name}");
                assert_eq!(
                    said,
                    if statement.is_empty() {
                        vec![]
                    } else {
                        vec![*statement]
                    },
                    "{name}"
                );
            }
            None => {
                assert_eq!((card.conditions.items.len(), said.len()), (1, 0), "{name}");
                let text = &card.conditions.items[0].text;
                let unnamed = name.contains("missing-code") || name.contains("masked");
                assert_eq!(text == "Problem not named", unnamed, "{name}: {text}");
            }
        }
    }
}

/// au-core medicines: current ones by file, all others past.
#[test]
fn medicines_of_au_core() {
    let Some(root) = data() else { return };
    let past = [
        "completed-bactrim",
        "completed-chloramphenicol",
        "inpatient-complete",
        "previous-use-diflucan",
        "klacid",
    ];
    let mut current = 0;
    for sample in json_below(&root, "fhir/au-core/au-core") {
        let stem = sample.path.rsplit('/').next().unwrap().trim_end_matches(".json");
        let Some((kind, name)) = stem.split_once('-') else {
            continue;
        };
        if !matches!(kind, "MedicationRequest" | "MedicationStatement") {
            continue;
        }
        let card = card(&[fact(&sample, kind)]);
        assert_eq!(
            card.medications.items.len(),
            usize::from(!past.contains(&name)),
            "{stem}"
        );
        if let Some(item) = card.medications.items.first() {
            current += 1;
            // Nameless only where the record names nothing, or names it in a resource this test does not supply.
            let elsewhere = !vitrine_fhir::deps(kind, &sample.bytes).unwrap().is_empty();
            let nameless = item.name == "Medicine not recorded";
            assert!(
                !nameless || elsewhere || name.contains("missing-medication"),
                "{stem}: {}",
                item.name
            );
            assert!(
                nameless || !name.contains("missing-medication"),
                "{stem}: {}",
                item.name
            );
            assert_eq!(item.reported, kind == "MedicationStatement", "{stem}");
        }
    }
    assert_eq!(current, 22);
}

#[test]
fn the_no_known_x_summary_is_all_statements() {
    let Some(root) = data() else { return };
    let samples = json_below(&root, "fhir/au-core/au-patient-summary");
    let sample = samples.iter().find(|s| s.path.contains("noknownx")).unwrap();
    let bundle = Bundle::parse(&sample.bytes).unwrap();
    let facts: Vec<CardFact> = bundle
        .entries
        .iter()
        .map(|e| {
            let kind = e.kind.as_deref().unwrap();
            let key = ResourceKey::new(kind, &format!("e{}", e.index)).unwrap();
            let (resource, _) = read_with_deps(kind, e.resource.unwrap(), &mut |_| None).unwrap();
            CardFact {
                key,
                version: 1,
                resource,
            }
        })
        .collect();
    let card = card(&facts);
    assert_eq!(card.allergies.state, AllergyState::NoneKnown);
    assert_eq!(
        (card.conditions.state, card.condition_statements[0].all),
        (BlockState::NotRecorded, true)
    );
    assert_eq!(
        (card.medications.state, card.medication_statements[0].all),
        (BlockState::NotRecorded, true)
    );
}
