use super::*;
use crate::card::{CardFact, emergency_card};
use crate::chart::{Concept, Condition, Decimal, LOINC, Observation, Quantity, Resource, SNOMED, Value};
use crate::{PatientId, ResourceKey};
use proptest::prelude::*;

const NOW: UtcMs = UtcMs(1_795_780_000_000);
const HOUR: i64 = 3_600_000;

fn reading(of: Of, what: What, minutes_ago: i64) -> Reading {
    Reading {
        of,
        what,
        at: Some(NOW.plus_ms(-minutes_ago * 60_000)),
        value: String::new(),
    }
}

/// 3 + 3 + 2 + 3 + 2 + 3 + 1 points.
fn ill() -> Vec<Reading> {
    let points = [
        (Of::Respiration, 3),
        (Of::Saturation, 3),
        (Of::Flow, 2),
        (Of::Pressure, 3),
        (Of::Pulse, 2),
        (Of::Acvpu, 3),
        (Of::Temperature, 1),
    ];
    points.map(|(of, n)| reading(of, What::Points(n), 0)).to_vec()
}

fn well() -> Vec<Reading> {
    let mut all = ill();
    for r in &mut all {
        r.what = What::Points(0);
    }
    all
}

fn with(mut all: Vec<Reading>, of: Of, what: What, minutes_ago: i64) -> Vec<Reading> {
    all.retain(|r| r.of != of);
    all.push(reading(of, what, minutes_ago));
    all
}

fn state(all: &[Reading], input: Input) -> State {
    news2(all, NOW)
        .parts
        .iter()
        .find(|p| p.input == input)
        .unwrap()
        .state
}

#[test]
fn a_whole_set_has_a_score_and_a_level() {
    let all = ill();
    let score = news2(&all, NOW);
    assert_eq!(
        (score.least(), score.whole(), score.level()),
        (17, true, Level::High)
    );
    assert_eq!((score.score_text().as_str(), score.lacking_text()), ("17", None));
    assert_eq!((score.oldest(), score.newest()), (Some(NOW), Some(NOW)));
}

#[test]
fn the_levels_of_chart_4() {
    let points = |n: &[(Of, u8)]| {
        let set = n
            .iter()
            .fold(well(), |all, (of, n)| with(all, *of, What::Points(*n), 0));
        news2(&set, NOW).level()
    };
    assert_eq!(points(&[]), Level::Low);
    assert_eq!(points(&[(Of::Pulse, 2), (Of::Flow, 2)]), Level::Low, "four");
    assert_eq!(points(&[(Of::Acvpu, 3)]), Level::LowMedium, "three by one");
    assert_eq!(points(&[(Of::Acvpu, 3), (Of::Pulse, 2)]), Level::Medium, "five");
    assert_eq!(
        points(&[(Of::Acvpu, 3), (Of::Pulse, 2), (Of::Flow, 2)]),
        Level::High,
        "seven"
    );
}

#[test]
fn what_does_not_count_is_named_and_asks_for_nothing_by_itself() {
    for (what, minutes_ago, why) in [
        (What::Points(0), 12 * 60 + 1, State::Old),
        (What::Points(0), -11, State::Ahead),
        (What::Unreadable, 0, State::Unreadable),
        (What::NotFinal, 0, State::NotFinal),
        (What::Points(9), 0, State::Unreadable),
    ] {
        let all = with(well(), Of::Pulse, what, minutes_ago);
        let score = news2(&all, NOW);
        assert_eq!(state(&all, Input::Pulse), why);
        assert_eq!(
            (score.score_text().as_str(), score.level()),
            ("≥0", Level::Unknown)
        );
        assert_eq!(score.lacking_text(), Some(format!("{}: HR", why.why().unwrap())));
    }
    let mut untimed = well();
    untimed.iter_mut().for_each(|r| r.at = None);
    let score = news2(&untimed, NOW);
    assert_eq!(
        score.lacking_text().as_deref(),
        Some("all without a certain time")
    );
    assert_eq!((score.score_text().as_str(), score.empty()), ("—", true));
    assert_eq!(
        news2(&[], NOW).lacking_text().as_deref(),
        Some("nothing recorded")
    );
    // What is there may ask for something all the same.
    let all: Vec<Reading> = ill().into_iter().filter(|r| r.of != Of::Temperature).collect();
    let score = news2(&all, NOW);
    assert_eq!(
        (
            score.score_text().as_str(),
            score.level(),
            score.lacking_text().as_deref()
        ),
        ("≥16", Level::High, Some("not recorded: temp"))
    );
}

#[test]
fn in_german_one_lacks_and_all_lack() {
    use crate::language::{Language, speaking};
    let all: Vec<Reading> = ill().into_iter().filter(|r| r.of != Of::Respiration).collect();
    speaking(Language::German, || {
        let lacking = |all: &[Reading]| news2(all, NOW).lacking_text();
        assert_eq!(lacking(&all).as_deref(), Some("nicht dokumentiert: AF"));
        assert_eq!(lacking(&[]).as_deref(), Some("nichts dokumentiert"));
        assert_eq!(lacking(&ill()), None);
        let all: Vec<Reading> = all
            .iter()
            .filter(|r| !Input::Oxygen.said_by().contains(&r.of))
            .cloned()
            .collect();
        assert_eq!(
            lacking(&all).as_deref(),
            Some("nicht dokumentiert: AF, Luft oder Sauerstoff")
        );
        let mut untimed = well();
        untimed.iter_mut().for_each(|r| r.at = None);
        assert_eq!(lacking(&untimed).as_deref(), Some("alle ohne sicheren Zeitpunkt"));
    });
}

#[test]
fn twelve_hours_are_not_old_and_a_clock_a_little_off_is_not_the_future() {
    assert_eq!(
        state(&with(well(), Of::Pulse, What::Points(1), 12 * 60), Input::Pulse),
        State::Points(1)
    );
    assert_eq!(
        state(&with(well(), Of::Pulse, What::Points(1), -10), Input::Pulse),
        State::Points(1)
    );
}

#[test]
fn a_time_in_the_future_hides_no_real_value() {
    let mut all = with(well(), Of::Pulse, What::Points(3), 5);
    all.push(reading(Of::Pulse, What::Points(0), -365 * 24 * 60));
    assert_eq!(state(&all, Input::Pulse), State::Points(3));
}

#[test]
fn of_two_at_one_time_what_may_be_worse_counts() {
    for (one, other, expected) in [
        (What::Points(0), What::Points(3), State::Points(3)),
        (What::Points(0), What::Unreadable, State::Unreadable),
        (What::Unreadable, What::Points(2), State::Points(2)),
    ] {
        for (a, b) in [(one, other), (other, one)] {
            let mut all = with(well(), Of::Pulse, a, 5);
            all.push(reading(Of::Pulse, b, 5));
            assert_eq!(state(&all, Input::Pulse), expected, "{a:?} {b:?}");
        }
    }
    // The newer counts, whatever it says.
    let mut all = with(well(), Of::Pulse, What::Points(3), 5);
    all.push(reading(Of::Pulse, What::Points(0), 4));
    assert_eq!(state(&all, Input::Pulse), State::Points(0));
}

#[test]
fn air_never_wins_against_a_flow_of_the_same_set() {
    for (flow, share, expected) in [
        ((What::Points(2), 0), (What::Points(0), 0), State::Points(2)),
        ((What::Points(2), 5), (What::Points(0), 0), State::Points(2)),
        ((What::Points(0), 5), (What::Unreadable, 0), State::Unreadable),
        ((What::Points(2), 60), (What::Points(0), 0), State::Points(0)),
    ] {
        let mut all = with(well(), Of::Flow, flow.0, flow.1);
        all.push(reading(Of::Share, share.0, share.1));
        assert_eq!(state(&all, Input::Oxygen), expected, "{flow:?} {share:?}");
    }
}

#[test]
fn alert_does_not_stand_against_a_coma_score_below_15() {
    let alert = with(well(), Of::Acvpu, What::Points(0), 60);
    for (coma, minutes_ago, expected) in [
        (What::Unreadable, 0, State::Contradicted),
        (What::Unreadable, 65, State::Contradicted),
        (What::Unreadable, 120, State::Points(0)),
        (What::Points(0), 0, State::Points(0)),
    ] {
        let mut all = alert.clone();
        all.push(reading(Of::Coma, coma, minutes_ago));
        assert_eq!(
            state(&all, Input::Consciousness),
            expected,
            "{coma:?} {minutes_ago}"
        );
    }
    // Woken up since.
    let mut all = alert;
    all.push(reading(Of::Coma, What::Unreadable, 30));
    all.push(reading(Of::Coma, What::Points(0), 10));
    assert_eq!(state(&all, Input::Consciousness), State::Points(0));
    // Who does not react needs no second witness.
    let mut all = with(well(), Of::Acvpu, What::Points(3), 60);
    all.push(reading(Of::Coma, What::Unreadable, 0));
    assert_eq!(state(&all, Input::Consciousness), State::Points(3));
}

#[test]
fn it_is_for_adults_who_are_alive_and_not_pregnant() {
    // 27-Nov-2026
    let now = UtcMs(1_795_737_600_000);
    let problem = Some(Pregnancy { at: None });
    let finding = |days: i64| {
        Some(Pregnancy {
            at: Some(now.plus_ms(-days * 24 * HOUR)),
        })
    };
    for (born, deceased, pregnancy, expected) in [
        (Some("1958-02-04"), false, None, None),
        (Some("2010-11-27"), false, None, None),
        (Some("2010-11-28"), false, None, Some(NotFor::Child)),
        (Some("2026"), false, None, Some(NotFor::Child)),
        (Some("2010"), false, None, Some(NotFor::AgeUnknown)),
        (Some("2010-11"), false, None, Some(NotFor::AgeUnknown)),
        (Some("2010-10"), false, None, None),
        (Some("2031"), false, None, Some(NotFor::AgeUnknown)),
        (Some("2009"), false, None, None),
        (None, false, None, Some(NotFor::AgeUnknown)),
        (Some("1990-01-01"), false, problem, Some(NotFor::Pregnancy)),
        (Some("1990-01-01"), false, finding(200), Some(NotFor::Pregnancy)),
        (Some("1990-01-01"), false, finding(400), None),
        (Some("1958-02-04"), true, None, Some(NotFor::Deceased)),
    ] {
        let born = born.map(PartialDate::new);
        assert_eq!(
            not_for(born.as_ref(), deceased, pregnancy, now, 0),
            expected,
            "{born:?}"
        );
    }
}

// From here on: what of a record is a reading.

fn fact(id: &str, resource: Resource) -> CardFact {
    let kind = if matches!(resource, Resource::Condition(_)) {
        "Condition"
    } else {
        "Observation"
    };
    CardFact {
        key: ResourceKey::new(kind, id).unwrap(),
        version: 1,
        resource,
    }
}

fn quantity(value: &str, unit: &str) -> Option<Value> {
    Some(Value::Quantity(Quantity {
        value: Decimal::new(value).ok(),
        unit: Some(unit.to_owned()),
        ..Quantity::default()
    }))
}

fn observation(code: &str, at: &str, value: Option<Value>) -> Observation {
    Observation {
        status: Some("final".to_owned()),
        code: Some(Concept::of_code(LOINC, code, "")),
        effective: Some(PartialDate::new(at)),
        value,
        ..Observation::default()
    }
}

fn component(code: &str, value: &str, unit: &str) -> crate::chart::Component {
    crate::chart::Component {
        code: Some(Concept::of_code(LOINC, code, "")),
        value: quantity(value, unit),
        ..Default::default()
    }
}

fn of_facts(facts: &[CardFact]) -> Basis {
    basis(&facts.iter().collect::<Vec<_>>())
}

fn of_one(o: Observation) -> Vec<Reading> {
    of_facts(&[fact("o", Resource::Observation(o))]).readings
}

const AT: &str = "2026-11-27T10:00:00+10:00";

#[test]
fn only_a_time_of_measurement_with_its_zone_is_one() {
    let read = |at: &str| of_one(observation("8867-4", at, quantity("72", "/min")))[0].at;
    assert_eq!(read(AT), Some(UtcMs(1_795_737_600_000)));
    for uncertain in ["2026-11-27", "2026-11", "2026-11-27T10:00:00"] {
        assert_eq!(read(uncertain), None, "{uncertain}");
    }
    let published = Observation {
        effective: None,
        issued: Some(PartialDate::new(AT)),
        ..observation("8867-4", AT, quantity("72", "/min"))
    };
    assert_eq!(of_one(published)[0].at, None);
}

#[test]
fn what_a_laboratory_sends_is_no_reading() {
    let mut sent = observation("8310-5", AT, quantity("37.0", "Cel"));
    sent.categories = vec![Concept::of_code(
        "http://terminology.hl7.org/CodeSystem/observation-category",
        "laboratory",
        "",
    )];
    assert_eq!(of_one(sent), []);
    // A blood gas whose analyser was told nothing.
    let mut gas = observation("24336-0", AT, None);
    gas.components = vec![
        component("2744-1", "7.31", ""),
        component("8310-5", "37.0", "Cel"),
        component("3150-6", "21", "%"),
    ];
    assert_eq!(of_one(gas), []);
}

#[test]
fn parts_of_panels_and_what_is_not_final() {
    let mut pressure = observation("85354-9", AT, quantity("65", "mmHg"));
    pressure.components = vec![
        component("8480-6", "100", "mmHg"),
        component("8462-4", "48", "mmHg"),
    ];
    let read = of_one(pressure.clone());
    assert_eq!(read.len(), 1, "the mean is none: {read:?}");
    assert_eq!(
        (read[0].of, read[0].what, read[0].value.as_str()),
        (Of::Pressure, What::Points(2), "100 mmHg")
    );

    let mut saturation = observation("59408-5", AT, quantity("97", "%"));
    saturation.components = vec![component("3151-8", "4", "L/min")];
    let of: Vec<(Of, What)> = of_one(saturation).iter().map(|r| (r.of, r.what)).collect();
    assert_eq!(
        of,
        [(Of::Saturation, What::Points(0)), (Of::Flow, What::Points(2))]
    );

    for status in ["preliminary", "unknown"] {
        pressure.status = Some(status.to_owned());
        assert_eq!(of_one(pressure.clone())[0].what, What::NotFinal, "{status}");
    }
    pressure.status = Some("entered-in-error".to_owned());
    assert_eq!(of_one(pressure), []);
}

#[test]
fn oxygen_that_came_with_a_saturation_is_not_pushed_out_by_others() {
    let mut facts = Vec::new();
    let mut kept: std::collections::BTreeMap<String, Vec<(i64, CardFact)>> = Default::default();
    let mut with_oxygen = observation("59408-5", "2026-11-27T06:00:00Z", quantity("95", "%"));
    with_oxygen.components = vec![component("3151-8", "4", "L/min")];
    facts.push(fact("a", Resource::Observation(with_oxygen)));
    facts.push(fact(
        "b",
        Resource::Observation(observation(
            "3151-8",
            "2026-11-27T02:00:00Z",
            quantity("0", "L/min"),
        )),
    ));
    for n in 0..5 {
        let at = format!("2026-11-27T08:0{n}:00Z");
        facts.push(fact(
            &format!("c{n}"),
            Resource::Observation(observation("59408-5", &at, quantity("96", "%"))),
        ));
    }
    for f in facts {
        let slot = crate::card::card_slot(&f.resource).unwrap();
        let of = kept.entry(slot.slot).or_default();
        of.push((slot.order_ms, f));
        of.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        of.truncate(usize::try_from(slot.keep).unwrap());
    }
    let kept: Vec<CardFact> = kept.into_values().flatten().map(|(_, f)| f).collect();
    let card = emergency_card(&PatientId::new("p").unwrap(), &kept);
    let readings = card.news2.unwrap().readings;
    let now = UtcMs(crate::format::civil::parse_fhir_ms("2026-11-27T09:00:00Z").unwrap());
    let score = news2(&readings, now);
    let oxygen = score.parts.iter().find(|p| p.input == Input::Oxygen).unwrap();
    assert_eq!(oxygen.state, State::Points(2));
}

#[test]
fn a_pregnancy_is_known_as_a_problem_and_as_a_finding() {
    let problem = |code: Concept, status: &str| {
        fact(
            "c",
            Resource::Condition(Condition {
                clinical_status: Some(status.to_owned()),
                code: Some(code),
                ..Condition::default()
            }),
        )
    };
    let named = |facts: &[CardFact]| of_facts(facts).pregnancy;
    for code in [
        Concept::of_text("Pregnancy, 30 weeks"),
        Concept {
            text: Some("G2P1 30/40".to_owned()),
            ..Concept::of_code(SNOMED, "77386006", "Schwanger")
        },
        Concept::of_code("http://hl7.org/fhir/sid/icd-10", "O24.4", "Diabetes"),
        Concept::of_code("http://hl7.org/fhir/sid/icd-10-cm", "Z34.80", ""),
    ] {
        assert_eq!(
            named(&[problem(code.clone(), "active")]),
            Some(Pregnancy { at: None }),
            "{code:?}"
        );
        assert_eq!(named(&[problem(code, "resolved")]), None);
    }
    assert_eq!(named(&[problem(Concept::of_text("Asthma"), "active")]), None);

    let status = |id: &str, words: &str, at: &str| {
        let value = Some(Value::Concept(Concept::of_text(words)));
        fact(id, Resource::Observation(observation("82810-3", at, value)))
    };
    let at = Some(UtcMs(1_795_737_600_000));
    assert_eq!(named(&[status("a", "Pregnant", AT)]), Some(Pregnancy { at }));
    assert_eq!(named(&[status("a", "Not pregnant", AT)]), None);
    let newer = "2026-11-28T10:00:00+10:00";
    assert_eq!(
        named(&[status("a", "Pregnant", AT), status("b", "Not pregnant", newer)]),
        None
    );
    // The card keeps it.
    let slot = crate::card::card_slot(&status("a", "Pregnant", AT).resource);
    assert_eq!(slot.unwrap().slot, "pregnancy");
}

#[test]
fn what_two_know_is_known_once() {
    let (a, b) = (
        reading(Of::Pulse, What::Points(1), 10),
        reading(Of::Pulse, What::Points(2), 0),
    );
    let one = |r: &Reading, pregnancy| Basis {
        readings: vec![r.clone()],
        pregnancy,
    };
    let finding = Some(Pregnancy { at: Some(NOW) });
    let both = one(&a, finding)
        .with(&one(&b, None))
        .with(&one(&a, Some(Pregnancy { at: None })));
    assert_eq!(both.readings, [b, a], "the newest first");
    assert_eq!(both.pregnancy, Some(Pregnancy { at: None }));
    assert_eq!(both.clone().newest(1).readings.len(), 1);
    assert!(
        Basis {
            readings: vec![Reading {
                value: "72 /min".to_owned(),
                ..reading(Of::Pulse, What::Points(0), 0)
            }],
            pregnancy: None,
        }
        .without_values()
        .readings
        .iter()
        .all(|r| r.value.is_empty())
    );
}

#[test]
fn what_a_later_version_says_otherwise_is_no_score_and_no_error() {
    #[derive(serde::Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "lenient")]
        news2: Option<Basis>,
    }
    let read = |json: &str| serde_json::from_str::<Row>(json).unwrap().news2;
    let known =
        r#"{"news2":{"readings":[{"of":"pulse","what":{"points":1},"at":5,"value":""}],"pregnancy":null}}"#;
    assert_eq!(read(known).unwrap().readings.len(), 1);
    for other in [
        "{}",
        r#"{"news2":null}"#,
        r#"{"news2":{"readings":[{"of":"urine","what":{"points":1},"at":5,"value":""}],"pregnancy":null}}"#,
        r#"{"news2":{"readings":[{"of":"pulse","what":"guessed","at":5,"value":""}],"pregnancy":null}}"#,
        r#"{"news2":[1,2]}"#,
    ] {
        assert_eq!(read(other), None, "{other}");
    }
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let of = prop::sample::select(vec![
        Of::Respiration,
        Of::Saturation,
        Of::Flow,
        Of::Share,
        Of::Pressure,
        Of::Pulse,
        Of::Acvpu,
        Of::Coma,
        Of::Temperature,
    ]);
    let what = prop_oneof![
        (0u8..=3).prop_map(What::Points),
        Just(What::Unreadable),
        Just(What::NotFinal)
    ];
    (of, what, prop::option::of(-900i64..900)).prop_map(|(of, what, minutes)| Reading {
        of,
        what,
        at: minutes.map(|m| NOW.plus_ms(-m * 60_000)),
        value: String::new(),
    })
}

proptest! {
    /// The order of the readings changes nothing, a whole score has every input from the last twelve hours, and what is old,
    /// ahead or untimed never makes a score whole.
    #[test]
    fn a_whole_score_is_of_final_readings_of_the_last_twelve_hours(mut all in prop::collection::vec(any_reading(), 0..40), turn in 0usize..40) {
        let (text, lacking, level) = {
            let score = news2(&all, NOW);
            for p in &score.parts {
                if let State::Points(n) = p.state {
                    let r = p.reading.unwrap();
                    prop_assert_eq!(r.what, What::Points(n));
                    let at = r.at.unwrap();
                    prop_assert!(NOW.since(at) <= OLD_MS + SET_MS && at.since(NOW) <= AHEAD_MS);
                }
            }
            prop_assert_eq!(score.whole(), score.lacking_text().is_none());
            prop_assert!(score.least() <= 20);
            (score.score_text(), score.lacking_text(), score.level())
        };
        let places = turn % all.len().max(1);
        all.rotate_left(places);
        let score = news2(&all, NOW);
        prop_assert_eq!((score.score_text(), score.lacking_text(), score.level()), (text, lacking, level));
    }

    /// Another measurement at the same time never makes the score look better.
    #[test]
    fn a_second_reading_at_the_same_time_never_lowers_what_is_known(n in 0u8..=3, other in 0u8..=3) {
        let one = with(well(), Of::Pulse, What::Points(n), 3);
        let mut two = one.clone();
        two.push(reading(Of::Pulse, What::Points(other), 3));
        prop_assert!(news2(&two, NOW).least() >= news2(&one, NOW).least());
    }
}
