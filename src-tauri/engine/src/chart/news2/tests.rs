use super::*;
use vitrine_clinical::card::{CardFact, emergency_card};
use vitrine_clinical::format::civil::instant_utc;
use vitrine_clinical::summary::chart_summary;
use vitrine_clinical::{PatientId, ResourceKey};
use vitrine_wire::view::BlockViewState;

const HOUR: i64 = 3_600_000;

fn fact(id: &str, body: &str) -> CardFact {
    let key = ResourceKey::parse(id).unwrap();
    let resource = vitrine_fhir::read(key.kind.as_str(), body.as_bytes(), &mut |_| None).unwrap();
    CardFact {
        key,
        version: 1,
        resource,
    }
}

fn measured(n: usize, code: &str, value: &str, at: UtcMs) -> CardFact {
    fact(
        &format!("Observation/o{n}"),
        &format!(
            r#"{{"resourceType":"Observation","id":"o{n}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},
            "subject":{{"reference":"Patient/p"}},"effectiveDateTime":"{}",{value}}}"#,
            instant_utc(at)
        ),
    )
}

fn quantity(value: &str, unit: &str) -> String {
    format!(r#""valueQuantity":{{"value":{value},"unit":"{unit}"}}"#)
}

/// A set of observations: breathing, saturation on 4 L/min, pressure, pulse, alert, temperature.
fn set(from: usize, breaths: &str, at: UtcMs) -> Vec<CardFact> {
    let flow = r#""valueQuantity":{"value":95,"unit":"%"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"3151-8"}]},
        "valueQuantity":{"value":4,"unit":"L/min"}}]"#;
    let pressure = r#""component":[
        {"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"unit":"mmHg"}},
        {"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":80,"unit":"mmHg"}}]"#;
    vec![
        measured(from, "9279-1", &quantity(breaths, "breaths/minute"), at),
        measured(from + 1, "59408-5", flow, at),
        measured(from + 2, "85354-9", pressure, at),
        measured(from + 3, "8867-4", &quantity("72", "/min"), at),
        measured(
            from + 4,
            "67775-7",
            r#""valueCodeableConcept":{"text":"Alert"}"#,
            at,
        ),
        measured(from + 5, "8310-5", &quantity("37.2", "Cel"), at),
    ]
}

fn born(date: &str) -> CardFact {
    fact(
        "Patient/p",
        &format!(r#"{{"resourceType":"Patient","id":"p","birthDate":"{date}"}}"#),
    )
}

/// The view of the chart, and the one of the card.
fn views(facts: &[CardFact]) -> (News2View, News2View) {
    let (patient, clock) = (PatientId::new("p").unwrap(), Clock::new());
    let words = Words {
        patient: &patient,
        clock: &clock,
    };
    let card = emergency_card(&patient, facts);
    let mut chart = words.news2(&card, Some(&chart_summary(facts).news2), "record");
    let mut alone = words.news2(&card, None, "essentials");
    assert_eq!(
        (chart.patient.as_str(), chart.items.len(), alone.items.len()),
        ("p", 1, 1)
    );
    (chart.items.remove(0), alone.items.remove(0))
}

fn view(facts: &[CardFact]) -> News2View {
    let (chart, card) = views(facts);
    let said = |v: &News2View| {
        (
            v.score_text.clone(),
            v.level,
            v.lacking_text.clone(),
            v.not_for_text.clone(),
        )
    };
    assert_eq!(said(&chart), said(&card), "the chart and the card say the same");
    chart
}

#[test]
fn a_whole_set_is_scored_with_its_inputs_and_its_course() {
    let now = Clock::new().now();
    let mut facts = vec![born("1958-02-04")];
    facts.extend(set(0, "16", now.plus_ms(-3 * HOUR)));
    facts.extend(set(10, "22", now.plus_ms(-HOUR)));
    let view = view(&facts);
    // Breathing 2, saturation 1, oxygen 2.
    assert_eq!(
        (view.score_text.as_str(), view.level, view.lacking_text.as_deref()),
        ("5", News2Level::Medium, None)
    );
    let points: Vec<(&str, &str)> = view
        .parts
        .iter()
        .map(|p| (p.label.as_str(), p.points_text.as_str()))
        .collect();
    let expected = [
        ("RR", "2"),
        ("SpO2", "1"),
        ("air or oxygen", "2"),
        ("BP", "0"),
        ("HR", "0"),
        ("consciousness", "0"),
        ("temp", "0"),
    ];
    assert_eq!(points, expected);
    let course: Vec<&str> = view.trend.iter().map(|p| p.score_text.as_str()).collect();
    assert_eq!(course, ["3", "5"]);
    assert_eq!(view.scale_text.as_deref(), Some("SpO2 scale 1"));
    assert!(view.since_text.unwrap().starts_with("oldest input "));
    // Eleven hours until the oldest is too old.
    let good_for = view.good_for_s.unwrap();
    assert!((39_500..=39_601).contains(&good_for), "{good_for}");
}

#[test]
fn a_course_has_one_point_for_each_set_and_ends_with_the_score_of_now() {
    let now = Clock::new().now();
    let mut facts = vec![born("1958-02-04")];
    facts.extend(set(0, "16", now.plus_ms(-5 * HOUR)));
    // Counted again within the set: the later count is the set's.
    facts.push(measured(
        20,
        "9279-1",
        &quantity("26", "/min"),
        now.plus_ms(-5 * HOUR + 6 * 60_000),
    ));
    facts.extend(set(10, "16", now.plus_ms(-2 * HOUR)));
    // The pulse alone, half an hour ago.
    facts.push(measured(
        30,
        "8867-4",
        &quantity("135", "/min"),
        now.plus_ms(-HOUR / 2),
    ));
    let course: Vec<(String, bool)> = view(&facts)
        .trend
        .into_iter()
        .map(|p| (p.score_text, p.whole))
        .collect();
    let expected = [("6", true), ("3", true), ("6", true)].map(|(s, w)| (s.to_owned(), w));
    assert_eq!(course, expected);
}

#[test]
fn essentials_of_now_count_beside_a_record_of_this_morning() {
    let (patient, clock) = (PatientId::new("p").unwrap(), Clock::new());
    let words = Words {
        patient: &patient,
        clock: &clock,
    };
    let now = clock.now();
    let mut morning = vec![born("1958-02-04")];
    morning.extend(set(0, "16", now.plus_ms(-5 * HOUR)));
    let mut all = morning.clone();
    all.extend(set(10, "26", now.plus_ms(-HOUR)));
    let card = emergency_card(&patient, &all);
    let shown = words.news2(&card, Some(&chart_summary(&morning).news2), "record");
    assert_eq!(shown.items[0].score_text, "6");

    // A card of a server that did not know the score yet is no empty one.
    let before = EmergencyCard { news2: None, ..card };
    let shown = words.news2(&before, None, "essentials");
    assert_eq!(shown.state, BlockViewState::Unavailable);
    assert!(
        shown.empty_text.contains("treat as unknown"),
        "{}",
        shown.empty_text
    );
}

#[test]
fn a_board_without_values_says_the_same() {
    let clock = Clock::new();
    let now = clock.now();
    let mut facts = vec![born("1958-02-04")];
    facts.extend(set(0, "22", now.plus_ms(-HOUR)));
    facts.pop();
    let chart = view(&facts);
    let card = emergency_card(&PatientId::new("p").unwrap(), &facts);
    let basis = card.news2.unwrap().without_values();
    assert!(basis.readings.iter().all(|r| r.value.is_empty()));
    let row = of_board(&basis, card.identity.as_ref(), &clock);
    assert_eq!(
        (row.score_text, row.level, row.lacking_text, row.since_text),
        (
            chart.score_text,
            chart.level,
            chart.lacking_text,
            chart.since_text
        )
    );
    assert_eq!((row.parts, row.trend), (Vec::new(), Vec::new()));
}

#[test]
fn one_measurement_says_nothing_of_the_risk() {
    let now = Clock::new().now();
    let facts = [
        born("1958-02-04"),
        measured(0, "8867-4", &quantity("72", "/min"), now),
    ];
    let view = view(&facts);
    assert_eq!(
        (view.score_text.as_str(), view.level, view.level_text.as_str()),
        ("≥0", News2Level::None, "incomplete: risk not known")
    );
    assert_eq!(view.spoken_text, "at least 0");
}

#[test]
fn what_is_missing_or_old_is_named_and_not_counted() {
    let now = Clock::new().now();
    let mut facts = vec![born("1958-02-04")];
    facts.extend(set(0, "22", now.plus_ms(-HOUR)));
    facts.retain(|f| f.key.to_string() != "Observation/o5" && f.key.to_string() != "Observation/o3");
    facts.push(measured(
        9,
        "8310-5",
        &quantity("37.2", "Cel"),
        now.plus_ms(-13 * HOUR),
    ));
    let view = view(&facts);
    assert_eq!(view.score_text, "≥5");
    assert_eq!(view.lacking_text.as_deref(), Some("not recorded: HR; old: temp"));
    assert!(view.level_text.starts_with("at least"), "{}", view.level_text);
    let temperature = view.parts.iter().find(|p| p.label == "temp").unwrap();
    assert_eq!(
        (
            temperature.points_text.as_str(),
            temperature.state_text.as_deref()
        ),
        ("", Some("old"))
    );
}

#[test]
fn nobody_is_scored_for_whom_it_is_not() {
    let now = Clock::new().now();
    let values = set(0, "30", now);
    let pregnant = fact(
        "Condition/c",
        r#"{"resourceType":"Condition","id":"c","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},
        "code":{"text":"Pregnancy, 30 weeks"},"subject":{"reference":"Patient/p"}}"#,
    );
    let child = instant_utc(now.plus_ms(-5 * 366 * 24 * HOUR));
    for (who, why) in [
        (vec![born(&child[..10])], "not for patients under 16 years"),
        (vec![], "age not known"),
        (vec![born("1990-01-01"), pregnant], "pregnancy"),
    ] {
        let facts: Vec<CardFact> = who.into_iter().chain(values.clone()).collect();
        let view = view(&facts);
        assert_eq!((view.score_text.as_str(), view.level), ("—", News2Level::None));
        let text = view.not_for_text.unwrap();
        assert!(text.contains(why), "{text}");
    }
    // A board's column has room for less, and it reads like no score there either.
    let card = emergency_card(&PatientId::new("p").unwrap(), &[born(&child[..10])]);
    let row = of_board(&card.news2.unwrap(), card.identity.as_ref(), &Clock::new());
    assert_eq!(row.not_for_text.as_deref(), Some("age <16"));
}
