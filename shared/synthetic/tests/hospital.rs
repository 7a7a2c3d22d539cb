//! What every reader of the synthetic hospital may rely on.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use vitrine_synthetic::{DEMO_PATIENTS, DEMO_SEED, HEAVY_PATIENT, Hospital, StaffRole, patient_id};

/// 22-Nov-2026 04:19:00 UTC.
const NOW: i64 = 1_795_321_140_000;

fn hospital() -> Hospital {
    Hospital::new(DEMO_SEED, NOW)
}

fn resources(bundle: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(bundle).expect("a bundle is JSON");
    assert_eq!(value["resourceType"], "Bundle");
    assert_eq!(value["type"], "transaction");
    let entries = value["entry"].as_array().expect("entries");
    entries
        .iter()
        .map(|entry| {
            assert_eq!(entry["request"]["method"], "PUT");
            let resource = entry["resource"].clone();
            assert_eq!(
                entry["request"]["url"],
                key(&resource),
                "the request names its resource"
            );
            resource
        })
        .collect()
}

fn key(resource: &Value) -> String {
    let text = |member: &str| resource[member].as_str().expect("type and id").to_owned();
    let id = text("id");
    let fits = id.len() <= 64
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    assert!(fits, "{id} is no FHIR id");
    format!("{}/{id}", text("resourceType"))
}

/// Every string under a member `reference`.
fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "reference" => out.push(text.clone()),
                    other => references(other, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

/// FHIR has no empty strings, objects or arrays.
fn nothing_empty(value: &Value, of: &str) {
    match value {
        Value::Object(members) => {
            assert!(!members.is_empty(), "{of} has an empty object");
            members.values().for_each(|v| nothing_empty(v, of));
        }
        Value::Array(items) => {
            assert!(!items.is_empty(), "{of} has an empty array");
            items.iter().for_each(|v| nothing_empty(v, of));
        }
        Value::String(text) => assert!(!text.trim().is_empty(), "{of} has an empty string"),
        Value::Null => panic!("{of} has a null"),
        _ => {}
    }
}

/// FNV-1a, 64 bits: enough to notice a changed byte.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn foundation_keys() -> HashSet<String> {
    resources(&hospital().foundation()).iter().map(key).collect()
}

#[test]
fn same_seed_same_bytes() {
    let (a, b, other) = (hospital(), hospital(), Hospital::new(2, NOW));
    assert_eq!(a.foundation(), b.foundation());
    for n in [0, 7, 24, 41, 59, 60, 4_711, 999_999, 12_345_678] {
        assert_eq!(a.patient(n), b.patient(n));
        assert_eq!(a.essentials_only(n), b.essentials_only(n));
        assert!(
            n < 60 || a.patient(n) != other.patient(n),
            "another seed, another patient {n}"
        );
    }
    assert!(a.heavy_patient(1_200).eq(b.heavy_patient(1_200)));
    assert_eq!(a.staff(), b.staff());
    assert_ne!(a.staff(), other.staff(), "another seed, other secrets");
    assert_eq!(a.live_lab("p000001", 6, NOW), b.live_lab("p000001", 6, NOW));
}

/// A changed fingerprint means that every stored demonstration and benchmark figure changes with it: say so in the
/// change log, then set the new one here.
#[test]
fn golden_fingerprints() {
    let h = hospital();
    let got: Vec<String> = [
        h.foundation(),
        h.patient(0),
        h.patient(25),
        h.patient(1_000_000),
        h.essentials_only(123_456),
        h.heavy_patient(1_000).collect(),
        h.live_lab("p000003", 6, NOW),
    ]
    .iter()
    .map(|text| format!("{:016x}", fingerprint(text)))
    .collect();
    assert_eq!(got, GOLDEN);
}

const GOLDEN: [&str; 7] = [
    "f784aba569bfe35f",
    "b5ed3289080fa59c",
    "d9e32412205ae9e1",
    "f8c7519c95f1f5d7",
    "2bf27071034ab74a",
    "214212b8a75c74ff",
    "6605e8032fd00a21",
];

#[test]
fn ids_are_unique_and_references_resolve() {
    let mut seen = foundation_keys();
    let mut pointed = Vec::new();
    for resource in resources(&hospital().foundation()) {
        nothing_empty(&resource, &key(&resource));
        references(&resource, &mut pointed);
    }
    for reference in pointed {
        assert!(
            seen.contains(&reference),
            "the foundation points at {reference}, which is nowhere"
        );
    }
    let foundation = seen.clone();
    for n in (0..400).chain([5_000, 77_777, 999_999, 1_000_000]) {
        let bundle = resources(&hospital().patient(n));
        let own: HashSet<String> = bundle.iter().map(key).collect();
        assert_eq!(own.len(), bundle.len(), "patient {n} repeats an id");
        for resource in &bundle {
            let name = key(resource);
            nothing_empty(resource, &name);
            assert!(seen.insert(name.clone()), "{name} stands twice");
            let mut pointed = Vec::new();
            references(resource, &mut pointed);
            for reference in pointed {
                let found = own.contains(&reference) || foundation.contains(&reference);
                assert!(found, "{name} points at {reference}, which is nowhere");
            }
        }
    }
}

#[test]
fn essentials_are_a_part_of_the_whole() {
    let foundation = foundation_keys();
    let mut total = 0;
    for n in (0..300).chain(900_000..900_200) {
        let whole: BTreeMap<String, Value> = resources(&hospital().patient(n))
            .into_iter()
            .map(|r| (key(&r), r))
            .collect();
        let part = resources(&hospital().essentials_only(n));
        let own: HashSet<String> = part.iter().map(key).collect();
        for resource in &part {
            assert_eq!(Some(resource), whole.get(&key(resource)), "of patient {n}");
            let mut pointed = Vec::new();
            references(resource, &mut pointed);
            for reference in pointed {
                assert!(
                    own.contains(&reference) || foundation.contains(&reference),
                    "{reference} of patient {n}"
                );
            }
        }
        if n >= 900_000 {
            total += part.len();
        }
    }
    let mean = total as f64 / 200.0;
    assert!(
        (6.0..=10.0).contains(&mean),
        "{mean} resources for the essentials of a patient"
    );
}

#[test]
fn record_numbers_and_names_spread() {
    let mut mrns = HashSet::new();
    let mut names = BTreeSet::new();
    let (mut short, mut long, mut marks) = (0, 0, BTreeSet::new());
    for n in 0..3_000 {
        assert!(mrns.insert(hospital().mrn(n)), "MRN of patient {n} stands twice");
        let bundle = resources(&hospital().essentials_only(n));
        let patient = &bundle[0];
        assert_eq!(patient["id"], patient_id(n));
        let mr = patient["identifier"]
            .as_array()
            .expect("identifiers")
            .last()
            .expect("MR");
        assert_eq!(mr["value"], hospital().mrn(n));
        let Some(family) = patient["name"][0]["family"].as_str() else {
            continue;
        };
        short += u32::from(family.chars().count() < 3);
        long += u32::from(family.chars().count() >= 20);
        marks.extend(family.chars().filter(|c| !c.is_ascii_alphabetic()));
        names.insert(format!("{family} {}", patient["name"][0]["given"][0]));
    }
    assert!(names.len() > 2_500, "{} different names in 3,000", names.len());
    assert!(short > 10 && long > 10, "{short} short and {long} long names");
    for mark in ['\'', '-', ' ', 'Ł', 'ø', 'ễ', 'Ş'] {
        assert!(marks.contains(&mark), "no name with {mark}");
    }
}

/// `(clinical status, verification, coded or not, agent)` of every allergy entry.
fn allergy_states(range: std::ops::Range<u64>) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for n in range {
        let bundle = resources(&hospital().essentials_only(n));
        let list: Vec<&Value> = bundle
            .iter()
            .filter(|r| r["resourceType"] == "AllergyIntolerance")
            .collect();
        let mut count = |what: &str| *out.entry(what.to_owned()).or_insert(0) += 1;
        if list.is_empty() {
            count("nobody asked");
        }
        let status = |r: &Value, m: &str| r[m]["coding"][0]["code"].as_str().unwrap_or("absent").to_owned();
        let code = |r: &Value| {
            r["code"]["coding"][0]["code"]
                .as_str()
                .unwrap_or("text")
                .to_owned()
        };
        let negative = |r: &Value| ["716186003", "409137002"].contains(&code(r).as_str());
        if list.iter().any(|r| negative(r))
            && list
                .iter()
                .any(|r| !negative(r) && status(r, "clinicalStatus") == "active")
        {
            count("none known beside an active allergy");
        }
        for r in list {
            count(&format!("clinical {}", status(r, "clinicalStatus")));
            count(&format!("verification {}", status(r, "verificationStatus")));
            count(&format!("type {}", r["type"].as_str().unwrap_or("absent")));
            count(&format!(
                "criticality {}",
                r["criticality"].as_str().unwrap_or("absent")
            ));
            match code(r).as_str() {
                "716186003" => count("no known allergy"),
                "409137002" => count("no known drug allergy"),
                "text" => count("free text"),
                _ => count("coded"),
            }
            for reaction in r["reaction"].as_array().into_iter().flatten() {
                count(&format!(
                    "severity {}",
                    reaction["severity"].as_str().unwrap_or("absent")
                ));
                let anaphylaxis = reaction["manifestation"].as_array().into_iter().flatten();
                if anaphylaxis.clone().any(|m| m["text"] == "anaphylaxis") {
                    count("anaphylaxis");
                }
            }
            let error = status(r, "verificationStatus") == "entered-in-error";
            assert_eq!(
                error,
                r.get("clinicalStatus").is_none(),
                "R4 ait-1, ait-2: {}",
                r["id"]
            );
            assert!(
                r["recorder"]["display"].is_string() && r["recordedDate"].is_string(),
                "{} says who and when",
                r["id"]
            );
        }
    }
    out
}

#[test]
fn every_state_of_the_allergy_list_is_in_the_demonstration() {
    let states = allergy_states(0..DEMO_PATIENTS);
    for wanted in [
        "nobody asked",
        "no known allergy",
        "no known drug allergy",
        "none known beside an active allergy",
        "coded",
        "free text",
        "anaphylaxis",
        "clinical active",
        "clinical inactive",
        "clinical resolved",
        "clinical absent",
        "verification confirmed",
        "verification unconfirmed",
        "verification refuted",
        "verification entered-in-error",
        "verification absent",
        "type allergy",
        "type intolerance",
        "type absent",
        "criticality high",
        "criticality low",
        "criticality unable-to-assess",
        "criticality absent",
        "severity mild",
        "severity moderate",
        "severity severe",
        "severity absent",
    ] {
        assert!(
            states.contains_key(wanted),
            "no allergy list shows: {wanted}\n{states:#?}"
        );
    }
}

#[test]
fn every_kind_and_state_is_in_the_demonstration() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..DEMO_PATIENTS {
        for r in resources(&hospital().patient(n)) {
            let kind = r["resourceType"].as_str().expect("type").to_owned();
            let mut count = |what: String| *seen.entry(what).or_insert(0) += 1;
            count(kind.clone());
            if let Some(status) = r["status"].as_str() {
                count(format!("{kind} {status}"));
            }
            for member in ["clinicalStatus", "verificationStatus"] {
                if let Some(code) = r[member]["coding"][0]["code"].as_str() {
                    count(format!("{kind} {member} {code}"));
                }
            }
            if let Some(code) = r["interpretation"][0]["coding"][0]["code"].as_str() {
                count(format!("interpretation {code}"));
            }
            for member in [
                "medicationReference",
                "medicationCodeableConcept",
                "deceasedBoolean",
                "deceasedDateTime",
            ] {
                if r.get(member).is_some() {
                    count(member.to_owned());
                }
            }
            if r["reportedBoolean"] == true {
                count("reported".to_owned());
            }
            if let Some(code) = r["code"]["coding"][0]["code"].as_str() {
                count(format!("code {code}"));
            }
            if kind == "Patient" {
                count(format!(
                    "birth date of {}",
                    r["birthDate"].as_str().map_or(0, str::len)
                ));
            }
            if let Some(place) = r["doseAndRate"].get(0) {
                count(format!("rate {}", place.is_object()));
            }
        }
    }
    for wanted in [
        "Patient",
        "RelatedPerson",
        "Encounter in-progress",
        "Encounter finished",
        "AllergyIntolerance",
        "Condition",
        "MedicationRequest active",
        "MedicationRequest on-hold",
        "MedicationRequest stopped",
        "MedicationRequest completed",
        "MedicationRequest entered-in-error",
        "MedicationStatement active",
        "medicationReference",
        "medicationCodeableConcept",
        "reported",
        "Condition clinicalStatus active",
        "Condition clinicalStatus resolved",
        "Condition verificationStatus refuted",
        "Condition verificationStatus provisional",
        "Observation final",
        "Observation corrected",
        "Observation cancelled",
        "Observation preliminary",
        "interpretation HH",
        "interpretation H",
        "interpretation N",
        "interpretation L",
        "interpretation LL",
        "Flag active",
        "Device active",
        "Procedure completed",
        "Immunization completed",
        "Immunization not-done",
        "DiagnosticReport final",
        "DocumentReference current",
        "deceasedDateTime",
        "code 100822-6",
        "code 882-1",
        "code 29463-7",
        "code 8302-2",
        "code 85354-9",
        "code 67775-7",
        "code 9269-2",
        "code 3151-8",
        "code 82810-3",
        "birth date of 0",
        "birth date of 4",
        "birth date of 7",
        "birth date of 10",
    ] {
        assert!(seen.contains_key(wanted), "nothing shows: {wanted}\n{seen:#?}");
    }
}

/// Every text that is a date or an instant, partial ones included, with the member it stands in.
fn times(value: &Value, member: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, v)| times(v, name, out)),
        Value::Array(items) => items.iter().for_each(|v| times(v, member, out)),
        Value::String(text) => {
            let dated = member.ends_with("Date") || member.ends_with("DateTime");
            let named = [
                "start",
                "end",
                "issued",
                "date",
                "creation",
                "authoredOn",
                "dateAsserted",
            ]
            .contains(&member);
            if dated || named {
                out.push((member.to_owned(), text.clone()));
            }
        }
        _ => {}
    }
}

/// `a` lies before `b`, as far as both are known.
fn before(a: &str, b: &str) -> bool {
    let known = a.len().min(b.len());
    a[..known] < b[..known]
}

#[test]
fn no_time_lies_before_birth_after_death_or_in_the_future() {
    let mut checked = 0;
    let spread = (0..160)
        .map(|n| (DEMO_SEED, n))
        .chain((2..12).flat_map(|seed| (0..40).map(move |k| (seed, k * 7))));
    for (seed, n) in spread {
        let bundle = resources(&Hospital::new(seed, NOW).patient(n));
        let born = bundle[0]["birthDate"].as_str().unwrap_or("1900").to_owned();
        let died = bundle[0]["deceasedDateTime"]
            .as_str()
            .unwrap_or("2026-11-22T04:19:00Z")
            .to_owned();
        for resource in &bundle {
            let mut found = Vec::new();
            times(resource, "", &mut found);
            checked += found.len();
            for (member, time) in found {
                let name = key(resource);
                assert!(
                    !before(&time, &born),
                    "{name} of seed {seed}: {member} {time} is before the birth {born}"
                );
                assert!(
                    !before(&died, &time),
                    "{name} of seed {seed}: {member} {time} is after {died}"
                );
            }
            let text = |m: &str| resource[m].as_str().unwrap_or_default();
            assert!(
                !before(text("abatementDateTime"), text("onsetDateTime")),
                "{} ends before it begins",
                key(resource)
            );
        }
    }
    assert!(checked > 10_000, "{checked} dates seen");
}

#[test]
fn showcases_show_what_they_say() {
    let cases = hospital().showcases();
    assert!(cases.len() >= 20);
    for case in &cases {
        let Some(n) = case.n else {
            assert_eq!(case.id, HEAVY_PATIENT);
            continue;
        };
        let bundle = resources(&hospital().patient(n));
        assert_eq!(bundle[0]["id"], case.id.as_str());
        let mr = bundle[0]["identifier"]
            .as_array()
            .expect("identifiers")
            .last()
            .expect("MR");
        assert_eq!(mr["value"], case.mrn.as_str());
        assert_eq!(n < hospital().in_house(), case.ward.is_some());
    }
    let all = |n: u64| hospital().patient(n);
    for (n, words) in [
        (
            0,
            &[
                "\"7980\"",
                "anaphylaxis",
                "warfarin",
                "amiodarone",
                "\"value\":6.1,",
                "\"HH\"",
                "\"value\":310,",
                "blue dye",
            ][..],
        ),
        (1, &["\"Marlow\"", "\"Joan\""]),
        (2, &["\"Marlowe\"", "\"Joanne\""]),
        (3, &["716186003"]),
        (5, &["716186003", "\"2670\""]),
        (6, &["refuted"]),
        (7, &["409137002", "peanut"]),
        (8, &["entered-in-error"]),
        (11, &["\"Ng\""]),
        (13, &["Unidentified patient"]),
        (15, &["Pregnant", "O negative"]),
        (
            24,
            &["14106009", "digoxin", "furosemide", "\"value\":2.6,", "\"LL\""],
        ),
        (25, &["norepinephrine", "MRSA", "LA33471-6"]),
        (26, &["tacrolimus", "clarithromycin"]),
        (40, &["deceasedDateTime"]),
        (
            41,
            &[
                "\"stopped\"",
                "apixaban",
                "\"on-hold\"",
                "\"corrected\"",
                "\"cancelled\"",
            ],
        ),
        (42, &["preliminary", "B positive"]),
    ] {
        for word in words {
            assert!(all(n).contains(word), "patient {n} has no {word}");
        }
    }
    assert!(!all(4).contains("AllergyIntolerance/"), "nobody asked patient 4");
    assert!(!all(13).contains("birthDate"));
    let long = cases.iter().find(|c| c.n == Some(12)).expect("the long name");
    assert!(long.name.chars().count() > 35);
}

#[test]
fn the_building_and_the_staff() {
    let h = hospital();
    assert_eq!(h.in_house(), 60);
    let wards = h.wards();
    let ids: Vec<&str> = wards.iter().map(|w| w.id.as_str()).collect();
    assert_eq!(ids, ["ED", "ICU", "WARD-A"]);
    let foundation = foundation_keys();
    let mut beds = HashSet::new();
    for ward in &wards {
        for bed in &ward.beds {
            assert!(foundation.contains(&format!("Location/{}", bed.id)));
            assert!(beds.insert(bed.id.clone()));
        }
        let of = |role| {
            h.staff()
                .iter()
                .filter(|s| s.role == role && s.ward.as_deref() == Some(&ward.id))
                .count()
        };
        assert!(
            of(StaffRole::Nurse) >= 2 && of(StaffRole::Physician) >= 1 && of(StaffRole::ChargeNurse) == 1
        );
    }
    let mut users = HashSet::new();
    let mut secrets = HashSet::new();
    for person in h.staff() {
        assert!(foundation.contains(&format!("Practitioner/{}", person.practitioner)));
        assert!(person.user.bytes().all(|b| b.is_ascii_lowercase()));
        assert!(person.pin.len() == 6 && person.pin.bytes().all(|b| b.is_ascii_digit()));
        assert!(person.password.len() >= 14 && !person.password.contains(&person.user));
        assert!(users.insert(person.user) && secrets.insert(person.pin) && secrets.insert(person.password));
    }
    let mut taken = HashSet::new();
    for n in 0..h.in_house() {
        let bundle = resources(&h.patient(n));
        let stay = bundle
            .iter()
            .find(|r| r["resourceType"] == "Encounter")
            .expect("a stay");
        assert_eq!(stay["status"], "in-progress");
        let active: Vec<&Value> = stay["location"]
            .as_array()
            .expect("places")
            .iter()
            .filter(|l| l["status"] == "active")
            .collect();
        assert_eq!(active.len(), 1);
        let bed = active[0]["location"]["reference"]
            .as_str()
            .expect("bed")
            .to_owned();
        assert!(taken.insert(bed.clone()), "two patients in {bed}");
    }
    assert!(!h.essentials_only(60).contains("in-progress"));
}

#[test]
fn the_heavy_patient_has_exactly_what_was_asked_for() {
    let foundation = foundation_keys();
    for asked in [0, 1, 7, 499, 500, 501, 12_345] {
        let mut seen: HashSet<String> = HashSet::new();
        let mut bundles = 0;
        for bundle in hospital().heavy_patient(asked) {
            let list = resources(&bundle);
            assert!(!list.is_empty() && list.len() <= 500);
            if bundles == 0 {
                assert_eq!(key(&list[0]), format!("Patient/{HEAVY_PATIENT}"));
            }
            bundles += 1;
            let before = seen.len();
            seen.extend(list.iter().map(key));
            assert_eq!(seen.len(), before + list.len(), "an id stands twice");
            for resource in &list {
                let mut pointed = Vec::new();
                references(resource, &mut pointed);
                for reference in pointed {
                    assert!(
                        seen.contains(&reference) || foundation.contains(&reference),
                        "{reference} comes later"
                    );
                }
            }
        }
        assert_eq!(seen.len(), asked);
        assert_eq!(bundles, asked.div_ceil(500));
    }
}

#[test]
fn live_results_are_one_observation_each() {
    let mut critical = 0;
    let mut ids = HashSet::new();
    for k in 0..70 {
        let value: Value = serde_json::from_str(&hospital().live_lab("p000000", k, NOW)).expect("JSON");
        assert_eq!(value["resourceType"], "Observation");
        assert_eq!(value["subject"]["reference"], "Patient/p000000");
        assert_eq!(value["effectiveDateTime"], "2026-11-22T04:19:00Z");
        assert!(ids.insert(value["id"].to_string()));
        critical += usize::from(value["interpretation"][0]["coding"][0]["code"] == "HH");
    }
    assert_eq!(critical, 10);
}

#[test]
fn every_band_checks_itself_and_is_one_patients() {
    let h = hospital();
    let numbers: Vec<String> = (0..2_000)
        .chain([123_456, 9_999_999_999])
        .map(|n| h.gsrn(n))
        .collect();
    assert!(numbers.iter().all(|n| vitrine_clinical::scan::is_gsrn(n)));
    let all: std::collections::HashSet<&String> = numbers.iter().collect();
    assert_eq!(all.len(), numbers.len());
    for n in [0, 25] {
        assert!(h.patient(n).contains(&h.gsrn(n)));
        assert!(h.essentials_only(n).contains(&h.gsrn(n)));
    }
}
