//! What is too confidential for somebody is on no screen of theirs, is said to be withheld, and opens in an emergency.

mod support;

use support::{Planted, block, give_records, open, outbox, people, pin, plant, with_pin};
use vitrine_engine::keys::SlotKind;
use vitrine_wire::view::AllergyStripState;

const V: &str = r#""meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]}"#;

fn observation(id: &str, code: &str, value: &str) -> (String, String) {
    let body = format!(
        r#"{{"resourceType":"Observation",{V},"id":"{id}","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"Secret"}}]}},"subject":{{"reference":"Patient/p2"}},"effectiveDateTime":"2026-11-20T08:00:00Z","valueQuantity":{{"value":{value},"unit":"u"}}}}"#
    );
    (format!("Observation/{id}"), body)
}

fn condition(id: &str, text: &str) -> (String, String) {
    let body = format!(
        r#"{{"resourceType":"Condition",{V},"id":"{id}","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}}]}},"code":{{"text":"{text}"}},"subject":{{"reference":"Patient/p2"}}}}"#
    );
    (format!("Condition/{id}"), body)
}

fn latex() -> (String, String) {
    let body = format!(
        r#"{{"resourceType":"AllergyIntolerance",{V},"id":"latex","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}}]}},"code":{{"text":"latex"}},"patient":{{"reference":"Patient/p2"}}}}"#
    );
    ("AllergyIntolerance/latex".to_owned(), body)
}

/// The people of the ward, the second with these resources too.
fn with(more: Vec<(String, String)>) -> Vec<Planted> {
    let mut all = people();
    all[1].more = more;
    all
}

fn said(view: &impl serde::Serialize) -> String {
    serde_json::to_string(view).unwrap()
}

#[test]
fn what_is_withheld_is_said_and_opens_in_an_emergency_without_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let all = with(vec![
        observation("secret-1", "718-7", "987.6"),
        condition("secret-2", "Opioid overdose"),
        latex(),
    ]);
    let p = plant(dir.path(), &all);
    give_records(&p, "rao", pin("rao"), SlotKind::Pin, &all);
    let ws = open(&p);
    block(ws.sign_in("rao", pin("rao"))).unwrap();

    let chart = block(ws.chart("p2")).unwrap();
    let text = said(&chart);
    assert!(
        chart.resources > 0 && text.contains("Atrial fibrillation"),
        "the rest is shown"
    );
    assert!(!text.contains("987.6") && !text.contains("overdose"), "{text}");
    assert!(text.contains("latex"), "an allergy is withheld from nobody");
    assert_eq!(
        chart.withheld_text.as_deref(),
        Some("2 entries are withheld by confidentiality. Emergency access (Ctrl+F12) shows them.")
    );
    let rows = outbox(&p).rows(0, 1_000).unwrap().rows;
    let row = &rows
        .iter()
        .rfind(|r| r.body.contains("\"read-chart\""))
        .unwrap()
        .body;
    assert!(!row.contains("secret-"), "the row names what was shown: {row}");

    let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p2"))).unwrap();
    let text = said(&card);
    assert_eq!(card.allergies.state, AllergyStripState::Known);
    assert!(
        text.contains("Opioid overdose") && text.contains("987.6"),
        "{text}"
    );
    assert_eq!(card.withheld_text, None);
    let chart = block(ws.chart("p2")).unwrap();
    assert!(said(&chart).contains("987.6") && chart.withheld_text.is_none());
    let rows = outbox(&p).rows(0, 1_000).unwrap().rows;
    let row = &rows
        .iter()
        .rfind(|r| r.body.contains("\"read-chart\""))
        .unwrap()
        .body;
    assert!(
        row.contains("break-glass-grant") && row.contains("\"BTG\"") && row.contains("secret-1"),
        "{row}"
    );
}

#[test]
fn a_physician_of_the_ward_sees_it_and_nothing_is_said_to_be_withheld() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = people();
    all[0].more = vec![(
        "Condition/secret".to_owned(),
        condition("secret", "Opioid overdose")
            .1
            .replace("Patient/p2", "Patient/p1"),
    )];
    let p = plant(dir.path(), &all);
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &all);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let chart = block(ws.chart("p1")).unwrap();
    assert!(said(&chart).contains("Opioid overdose"));
    assert_eq!(chart.withheld_text, None);
}

/// Two workstations that differ only in what the nurse may not see: every screen is the same.
#[test]
fn what_may_not_be_seen_changes_no_screen() {
    let pairs: u64 = std::env::var("VITRINE_PAIRS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6);
    for pair in 0..pairs {
        let screens = |which: u64| {
            let (n, dir) = (pair * 2 + which, tempfile::tempdir().unwrap());
            let other = |id: &str, k: u64| match (n + k) % 3 {
                0 => condition(&format!("{id}{n}"), &format!("Problem {n}")),
                1 => observation(&format!("{id}{n}"), "718-7", &format!("{n}.{k}")),
                _ => observation(&format!("{id}{n}"), "29463-7", &format!("{n}")),
            };
            let mut all = with(vec![other("x", 0), other("y", 1)]);
            // Somebody else's record is theirs alone.
            all[0].more = (0..n % 4)
                .map(|k| observation(&format!("z{k}"), "718-7", "3"))
                .collect();
            for (_, body) in &mut all[0].more {
                *body = body.replace("Patient/p2", "Patient/p1");
            }
            let p = plant(dir.path(), &all);
            give_records(&p, "rao", pin("rao"), SlotKind::Pin, &all);
            let ws = open(&p);
            block(ws.sign_in("rao", pin("rao"))).unwrap();
            let mut chart = serde_json::to_value(block(ws.chart("p2")).unwrap()).unwrap();
            // Of the moment of asking.
            for of_now in ["access_id", "essentials_age", "record_age"] {
                chart[of_now] = "".into();
            }
            let mut hours = chart["flowsheet"].take();
            chart["flowsheet"] = hours["series"].take();
            let found = block(ws.search("li")).unwrap();
            let found = said(&(found.rows, found.summary_text));
            let denied = block(ws.chart("p1")).unwrap_err().to_string();
            let text = format!("{chart}\n{found}\n{denied}");
            assert!(text.contains("2 entries are withheld"), "{text}");
            text
        };
        let (left, right) = (screens(0), screens(1));
        assert_eq!(left, right, "pair {pair}");
    }
}
