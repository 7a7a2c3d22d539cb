use super::*;
use crate::cache::Freshness;
use crate::chart::card_view::{self, card_view};
use crate::clock::Clock;
use vitrine_clinical::card::emergency_card;
use vitrine_clinical::format::civil::{instant_utc, parse_fhir_ms};
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};
use vitrine_store_sqlcipher::workstation::ScopeState;
use vitrine_wire::view::EmergencyCardView;

const HOUR: i64 = 3_600_000;

fn row(key: &str, body: &str) -> RecordRow {
    let (kind, id) = key.split_once('/').unwrap();
    RecordRow {
        key: ResourceKey::parse(key).unwrap(),
        version: 1,
        body: body
            .replacen('{', &format!(r#"{{"resourceType":"{kind}","id":"{id}","#), 1)
            .into_bytes(),
    }
}

fn section(clock: &Clock) -> SectionAge {
    Freshness::default().section("ess:ED", Some((true, Some(clock.now().0))), clock)
}

/// The chart of a record, the one of its essentials alone, and the card.
fn views(rows: Vec<RecordRow>) -> (ChartView, ChartView, EmergencyCardView) {
    let (patient, clock) = (PatientId::new("p").unwrap(), Clock::new());
    let w = Words {
        patient: &patient,
        clock: &clock,
    };
    let record = CachedRecord {
        state: ScopeState {
            name: "pat:p".to_owned(),
            complete: true,
            epoch: String::new(),
            pos: 1,
            rev: 1,
            as_of: Some(clock.now().0),
            items: 0,
            digest: Vec::new(),
            staged: None,
            used: 0,
        },
        rows,
        unreadable: Vec::new(),
        withheld: 0,
    };
    let card = emergency_card(&patient, &facts(&record.rows, &mut Vec::new()));
    let chart = |record: Option<&CachedRecord>| {
        let frame = Frame {
            access_id: String::new(),
            break_glass_text: None,
            broken: None,
            essentials_age: section(&clock),
            record_age: section(&clock),
            loading_text: None,
            taken_up: BTreeMap::new(),
            ward: "w".to_owned(),
            pending: Some(Vec::new()),
            drafts: Vec::new(),
            may_record: (true, None),
        };
        chart_view(&w, Some(&card), record, frame).view
    };
    let frame = card_view::Frame {
        access_id: String::new(),
        text: String::new(),
        broken: None,
        age: section(&clock),
        full_chart: true,
        pending: Some(Vec::new()),
    };
    (
        chart(Some(&record)),
        chart(None),
        card_view(&w, Some(&card), frame),
    )
}

/// UTC ms of a text, or of the begin of a local day or year.
fn ms(text: &str) -> Option<i64> {
    let at = UtcMs(parse_fhir_ms(text).unwrap());
    let local = text.len() <= 10;
    let zone = Clock::new().zone_minutes(at);
    Some(at.0 - if local { i64::from(zone) * 60_000 } else { 0 })
}

#[test]
fn what_happened_says_when_for_one_order_of_all_kinds() {
    let encounter = |id: &str, period: &str| {
        row(
            &format!("Encounter/{id}"),
            &format!(r#"{{"status":"finished","class":{{"code":"IMP"}},"period":{{{period}}}}}"#),
        )
    };
    let note = |id: &str, date: &str| {
        row(
            &format!("DocumentReference/{id}"),
            &format!(
                r#"{{"status":"current","type":{{"text":"Note {id}"}},{date}"content":[{{"attachment":{{}}}}]}}"#
            ),
        )
    };
    let medicine = |id: &str, more: &str| {
        row(
            &format!("MedicationRequest/{id}"),
            &format!(
                r#"{{"intent":"order",{more},"medicationCodeableConcept":{{"text":"{id}"}},"subject":{{"reference":"Patient/p"}}}}"#
            ),
        )
    };
    let (chart, alone, _) = views(vec![
        row("Patient/p", r#"{"birthDate":"1958-02-04"}"#),
        encounter(
            "stay",
            r#""start":"2026-11-19T14:05:00Z","end":"2026-11-21T09:00:00Z""#,
        ),
        encounter("year", r#""start":"2019""#),
        encounter("end", r#""end":"2017-06-02T08:00:00Z""#),
        encounter("none", ""),
        note("a", r#""date":"2026-11-20T16:10:00Z","#),
        note("b", ""),
        medicine(
            "ended",
            r#""status":"stopped","dosageInstruction":[{"timing":{"repeat":{"boundsPeriod":{"start":"2026-01-02","end":"2026-02-03T12:00:00Z"}}}}]"#,
        ),
        medicine("vague", r#""status":"completed""#),
        medicine("taken", r#""status":"active","authoredOn":"2026-01-02""#),
    ]);
    let of_encounters: Vec<(Option<i64>, Option<i32>)> = chart
        .encounters
        .items
        .iter()
        .map(|e| (e.at_ms, e.at_year))
        .collect();
    assert_eq!(of_encounters.len(), 4);
    for (at, year) in [
        (ms("2026-11-19T14:05:00Z"), Some(2026)),
        (ms("2019"), Some(2019)),
        (ms("2017-06-02T08:00:00Z"), Some(2017)),
        (None, None),
    ] {
        assert!(of_encounters.contains(&(at, year)), "{at:?} in {of_encounters:?}");
    }
    let of_notes: Vec<Option<i64>> = chart.notes.items.iter().map(|n| n.at_ms).collect();
    assert_eq!(of_notes, [ms("2026-11-20T16:10:00Z"), None]);
    assert_eq!(chart.notes.items[0].at_year, Some(2026));
    let past = |name: &str| {
        let found = chart.past_medications.items.iter().find(|m| m.name == name);
        found.map(|m| (m.at_ms, m.at_year))
    };
    assert_eq!(past("ended"), Some((ms("2026-02-03T12:00:00Z"), Some(2026))));
    assert_eq!(past("vague"), Some((None, None)));
    assert_eq!(chart.medications.items[0].at_ms, None, "it has not ended");
    // What is not said takes no room.
    let line = serde_json::to_string(&alone.conditions).unwrap();
    assert!(!line.contains("at_ms") && !line.contains("at_year"), "{line}");
}

fn measured(id: &str, code: &str, status: &str, more: &str) -> RecordRow {
    let at = instant_utc(Clock::new().now().plus_ms(-HOUR));
    row(
        &format!("Observation/{id}"),
        &format!(
            r#"{{"status":"{status}","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"effectiveDateTime":"{at}",{more}}}"#
        ),
    )
}

fn quantity(value: &str, unit: &str) -> String {
    format!(r#""valueQuantity":{{"value":{value},"unit":"{unit}"}}"#)
}

fn adult() -> RecordRow {
    row("Patient/p", r#"{"birthDate":"1958-02-04"}"#)
}

/// The points of the newest value of a label, which are the same wherever it is shown, and its flag.
fn marked(rows: Vec<RecordRow>, label: &str) -> (Option<u8>, String) {
    let (chart, alone, card) = views(rows);
    let newest = |vitals: &BlockView<MeasuredView>, flowsheet: Option<&FlowsheetView>| {
        let found = vitals
            .items
            .iter()
            .find(|m| m.label == label)
            .expect("it is shown");
        assert_eq!(
            found.points_text,
            found.points.map(|n| format!("NEWS2 {n}")),
            "{label}"
        );
        let series = flowsheet.and_then(|f| f.series.items.iter().find(|s| s.label == label));
        if let Some(point) = series.map(|s| &s.points[0]) {
            assert_eq!(
                (point.points, &point.points_text),
                (found.points, &found.points_text)
            );
        }
        (found.points, found.flag.clone())
    };
    let said = newest(&chart.vitals, Some(&chart.flowsheet));
    assert_eq!(
        newest(&alone.vitals, Some(&alone.flowsheet)),
        said,
        "the essentials"
    );
    assert_eq!(newest(&card.vitals, None), said, "the card");
    said
}

/// Chart 1 of the RCP, 2017: both sides of every edge, as a person sees them beside the value (S10).
#[test]
fn s10_a_vital_sign_is_marked_by_what_news2_gives_it_alone() {
    type Row = (
        &'static str,
        &'static str,
        &'static str,
        &'static [(&'static str, u8)],
    );
    let rows: [Row; 6] = [
        (
            "RR",
            "9279-1",
            "/min",
            &[
                ("8", 3),
                ("9", 1),
                ("11", 1),
                ("12", 0),
                ("20", 0),
                ("21", 2),
                ("24", 2),
                ("25", 3),
            ],
        ),
        (
            "SpO2",
            "59408-5",
            "%",
            &[("91", 3), ("92", 2), ("93", 2), ("94", 1), ("95", 1), ("96", 0)],
        ),
        (
            "HR",
            "8867-4",
            "/min",
            &[
                ("40", 3),
                ("41", 1),
                ("50", 1),
                ("51", 0),
                ("70", 0),
                ("90", 0),
                ("91", 1),
                ("110", 1),
                ("111", 2),
                ("130", 2),
                ("131", 3),
                ("140", 3),
            ],
        ),
        (
            "Temp",
            "8310-5",
            "Cel",
            &[
                ("35.0", 3),
                ("35.1", 1),
                ("36.0", 1),
                ("36.1", 0),
                ("38.0", 0),
                ("38.1", 1),
                ("39.0", 1),
                ("39.1", 2),
            ],
        ),
        // °F is a unit that the score knows.
        (
            "Temp",
            "8310-5",
            "[degF]",
            &[("95.0", 3), ("98.6", 0), ("100.6", 1), ("102.4", 2)],
        ),
        ("O2 flow", "3151-8", "L/min", &[("0", 0), ("2", 2)]),
    ];
    for (label, code, unit, values) in rows {
        for (value, points) in values {
            let rows = vec![adult(), measured("o", code, "final", &quantity(value, unit))];
            let expected = (*points > 0).then_some(*points);
            assert_eq!(marked(rows, label).0, expected, "{label} {value} {unit}");
        }
    }
    for (words, points) in [("Alert", None), ("Responds to voice", Some(3))] {
        let said = format!(r#""valueCodeableConcept":{{"text":"{words}"}}"#);
        let rows = vec![adult(), measured("o", "67775-7", "final", &said)];
        assert_eq!(marked(rows, "AVPU").0, points, "{words}");
    }
}

#[test]
fn s10_a_blood_pressure_counts_by_its_systolic_value_however_it_was_sent() {
    for (upper, points) in [
        ("90", Some(3)),
        ("91", Some(2)),
        ("101", Some(1)),
        ("111", None),
        ("219", None),
        ("220", Some(3)),
    ] {
        let part = |code: &str, value: &str| {
            let value = quantity(value, "mmHg");
            format!(r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},{value}}}"#)
        };
        let both = format!(
            r#""component":[{},{}]"#,
            part("8480-6", upper),
            part("8462-4", "140")
        );
        let one = vec![adult(), measured("o", "85354-9", "final", &both)];
        assert_eq!(marked(one, "BP").0, points, "{upper}");
        // Sent as two results: one row of the flowsheet.
        let two = vec![
            adult(),
            measured("u", "8480-6", "final", &quantity(upper, "mmHg")),
            measured("l", "8462-4", "final", &quantity("140", "mmHg")),
        ];
        let (chart, _, card) = views(two);
        let row = &chart.flowsheet.series.items[0];
        assert_eq!(
            (row.label.as_str(), row.points[0].points),
            ("BP", points),
            "{upper}"
        );
        assert_eq!(card.vitals.items[0].points, points, "{upper}");
    }
}

#[test]
fn s10_nothing_is_marked_that_news2_does_not_score_and_nobody_it_is_not_for() {
    let fast = || measured("o", "8867-4", "final", &quantity("140", "/min"));
    assert_eq!(marked(vec![adult(), fast()], "HR").0, Some(3));
    let now = Clock::new().now();
    let born = |years: i64| {
        let at = instant_utc(now.plus_ms(-years * 366 * 24 * HOUR));
        row("Patient/p", &format!(r#"{{"birthDate":"{}"}}"#, &at[..10]))
    };
    let pregnant = row(
        "Condition/c",
        r#"{"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},
        "code":{"text":"Pregnancy, 30 weeks"},"subject":{"reference":"Patient/p"}}"#,
    );
    let died = row(
        "Patient/p",
        r#"{"birthDate":"1958-02-04","deceasedBoolean":true}"#,
    );
    for (why, who) in [
        ("a child", vec![born(5)]),
        ("an unknown age", vec![row("Patient/p", r#"{"gender":"female"}"#)]),
        ("a pregnancy", vec![adult(), pregnant]),
        ("somebody who died", vec![died]),
    ] {
        let rows = who.into_iter().chain([fast()]).collect();
        assert_eq!(marked(rows, "HR").0, None, "{why}");
    }
    let of = |status: &str, more: &str| vec![adult(), measured("o", "8867-4", status, more)];
    let laboratory = format!(
        r#"{},"category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}]"#,
        quantity("140", "/min")
    );
    let below = r#""valueQuantity":{"value":140,"unit":"/min","comparator":"<"}"#;
    for (why, rows) in [
        ("not final", of("preliminary", &quantity("140", "/min"))),
        ("another unit", of("final", &quantity("140", "Hz"))),
        ("no unit", of("final", r#""valueQuantity":{"value":140}"#)),
        ("words", of("final", r#""valueString":"140""#)),
        ("a comparator", of("final", below)),
        ("no person's", of("final", &quantity("900", "/min"))),
    ] {
        assert_eq!(marked(rows, "HR").0, None, "{why}");
    }
    let (chart, ..) = views(of("final", &laboratory));
    assert_eq!(chart.vitals.items[0].points, None, "a laboratory's");
    let coma = vec![
        adult(),
        measured("o", "9269-2", "final", &quantity("3", "{score}")),
    ];
    assert_eq!(marked(coma, "GCS").0, None, "it has no points in NEWS2");
}

#[test]
fn s10_what_the_record_says_of_a_value_itself_is_kept_beside_the_points() {
    let flagged = |code: &str| {
        format!(
            r#"{},"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"{code}"}}]}}]"#,
            quantity("140", "/min")
        )
    };
    for (code, flag) in [("H", "H"), ("HH", "HH"), ("N", "")] {
        let rows = vec![adult(), measured("o", "8867-4", "final", &flagged(code))];
        assert_eq!(marked(rows, "HR"), (Some(3), flag.to_owned()), "{code}");
    }
}

#[test]
fn s10_a_value_of_childhood_is_not_marked_by_a_score_for_adults() {
    let now = Clock::new().now();
    let day = |years_ago: i64| instant_utc(now.plus_ms(-years_ago * 365 * 24 * HOUR - 10 * 24 * HOUR));
    let at = |id: &str, when: &str| {
        row(
            &format!("Observation/{id}"),
            &format!(
                r#"{{"status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}]}},"effectiveDateTime":"{when}",{}}}"#,
                quantity("140", "/min")
            ),
        )
    };
    let (chart, ..) = views(vec![
        row("Patient/p", &format!(r#"{{"birthDate":"{}"}}"#, &day(20)[..10])),
        at("then", &day(10)),
        at("now", &day(0)),
    ]);
    let points: Vec<Option<u8>> = chart.flowsheet.series.items[0]
        .points
        .iter()
        .map(|p| p.points)
        .collect();
    assert_eq!(points, [Some(3), None]);
}
