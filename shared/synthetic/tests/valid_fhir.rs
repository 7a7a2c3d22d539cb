//! Everything the synthetic hospital says is FHIR R4 that our own door takes.

use serde_json::value::RawValue;
use std::collections::BTreeMap;
use vitrine_synthetic::{DEMO_PATIENTS, HEAVY_PATIENT, Hospital};

/// A bundle with its resources' bytes as they stand, repeated keys and all.
#[derive(serde::Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(serde::Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
}

/// 22-Nov-2026 04:19:00 UTC.
const NOW: i64 = 1_795_321_140_000;

/// Every issue with how often it comes, and how many resources were looked at.
fn issues(bundles: impl Iterator<Item = String>) -> (BTreeMap<String, usize>, usize) {
    let mut found = BTreeMap::new();
    let mut looked = 0;
    for bundle in bundles {
        let bundle: Bundle<'_> = serde_json::from_str(&bundle).expect("JSON");
        for entry in bundle.entry {
            looked += 1;
            let Err(issues) = vitrine_fhir::validate(entry.resource.get().as_bytes()) else {
                continue;
            };
            for issue in issues {
                *found.entry(format!("{issue:?}")).or_insert(0) += 1;
            }
        }
    }
    (found, looked)
}

#[test]
fn the_demonstration_is_valid() {
    let h = Hospital::new(1, NOW);
    let patients = (0..DEMO_PATIENTS).map(|n| h.patient(n));
    let (found, looked) = issues(std::iter::once(h.foundation()).chain(patients));
    assert!(looked > 10_000);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_door_is_shut_to_what_is_not_valid() {
    let broken = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Flag","id":"a","status":"active"}}]}"#;
    assert!(
        !issues(std::iter::once(broken.to_owned())).0.is_empty(),
        "a Flag without code and subject passed"
    );
}

#[test]
fn a_spread_of_patients_and_the_long_record_are_valid() {
    let h = Hospital::new(99, NOW);
    let far = (0..400u64).map(|k| h.essentials_only(1_000 + k * k * k));
    let (found, looked) = issues(far.chain(h.heavy_patient(1_500)));
    assert!(looked > 3_000);
    assert!(found.is_empty(), "{found:#?}");
    for k in 0..14 {
        vitrine_fhir::validate(h.live_lab(HEAVY_PATIENT, k, NOW).as_bytes()).expect("a live result is valid");
    }
}
