use super::*;
use crate::live::Board;
use crate::live::heard::Heard;
use tokio::sync::watch;
use vitrine_clinical::WardId;
use vitrine_wire::live::{LivePatient, LiveSignal, LiveTold, LiveTrends};
use vitrine_wire::view::{DataAge, PatientRowView, SectionAge};
use vitrine_wire::wall_view::WallLine;

fn bed(patient: &str, bed: &str, restricted: bool) -> Bed {
    Bed {
        row: PatientRowView {
            patient: patient.to_owned(),
            name: "JONES, Mary".to_owned(),
            born_text: String::new(),
            gender_text: String::new(),
            number_text: String::new(),
            place_text: String::new(),
            bed: bed.to_owned(),
            reason_text: None,
            stay_text: None,
            news2: None,
            acuity: None,
            match_text: None,
            similar_name: false,
            allergy_text: String::new(),
            flags: Vec::new(),
            critical_text: None,
            restricted,
            deceased_text: None,
        },
        person_text: "68y Female".to_owned(),
    }
}

fn said(signal: &str, value: Option<&str>, unit: &str, at: u64) -> LiveSignal {
    LiveSignal {
        signal: signal.to_owned(),
        value: value.map(str::to_owned),
        unit: Some(unit.to_owned()),
        flag: None,
        absent: value.is_none().then(|| "sensor off".to_owned()),
        at,
        measured_ms: 1_795_856_400_000,
    }
}

fn open(heard: Heard, beds: Vec<Bed>) -> Open {
    Open {
        id: 1,
        board: Board {
            ward: WardId::new("ICU").unwrap(),
            name: "ICU".to_owned(),
            beds,
            unreadable: 0,
            age: SectionAge {
                age: DataAge::Live,
                complete: true,
                as_of_ms: None,
                text: String::new(),
            },
        },
        stale: false,
        line: WallLine::Up,
        line_text: None,
        heard,
        _stop: watch::channel(()).0,
    }
}

fn heard(patients: Vec<(&str, Vec<LiveSignal>)>) -> Heard {
    let mut h = Heard::default();
    h.begins(0);
    let patients = patients.into_iter().map(|(p, signals)| LivePatient {
        patient: p.to_owned(),
        signals,
    });
    h.takes(
        LiveTold::Now {
            at: 1_000,
            answers: None,
            patients: patients.collect(),
        },
        0,
    );
    h
}

#[test]
fn a_continuous_value_is_live_for_four_seconds_and_no_longer() {
    let clock = Clock::new();
    let h = heard(vec![("p", vec![said("hr", Some("72"), "/min", 1_000)])]);
    let open = open(h, vec![bed("p", "4", false)]);
    let at = |now| wall(&open, &clock, now).beds.remove(0);
    assert_eq!((at(4_000).state, at(4_000).last_text), (MonitorState::Live, None));
    let stands = at(4_001);
    assert_eq!(stands.state, MonitorState::NotLive);
    assert_eq!(stands.signals[0].value_text.as_deref(), Some("72"));
    assert!(stands.last_text.unwrap().starts_with("Last heard of at "));
}

#[test]
fn a_cuff_makes_no_bed_live_and_a_sensor_that_is_off_says_so() {
    let clock = Clock::new();
    let h = heard(vec![
        ("p", vec![said("cuff", Some("120/80"), "mm[Hg]", 1_000)]),
        (
            "q",
            vec![
                said("spo2", None, "%", 1_000),
                said("hr", Some("72"), "/min", 1_000),
            ],
        ),
    ]);
    let open = open(h, vec![bed("p", "10", false), bed("q", "2", false)]);
    let view = wall(&open, &clock, 10);
    let [q, p] = &view.beds[..] else {
        panic!("{view:?}")
    };
    assert_eq!((p.patient.as_str(), p.state), ("p", MonitorState::NotLive));
    assert_eq!(
        (p.signals[0].spot, p.signals[0].unit_text.as_str()),
        (true, "mmHg")
    );
    assert_eq!(q.state, MonitorState::Live);
    let texts: Vec<_> = q
        .signals
        .iter()
        .map(|s| (s.signal.as_str(), s.absent_text.as_deref()))
        .collect();
    assert_eq!(texts, [("hr", None), ("spo2", Some("sensor off"))]);
}

#[test]
fn nobody_sees_the_values_of_who_is_restricted_and_strangers_are_counted() {
    let clock = Clock::new();
    let h = heard(vec![
        ("p", vec![said("hr", Some("72"), "/min", 1_000)]),
        ("x", vec![said("hr", Some("55"), "/min", 1_000)]),
    ]);
    let open = open(h, vec![bed("p", "1", true), bed("n", "3", false)]);
    let view = wall(&open, &clock, 10);
    assert_eq!(view.beds[0].state, MonitorState::Restricted);
    assert_eq!(view.beds[0].signals, []);
    assert_eq!(view.beds[1].state, MonitorState::Never);
    assert_eq!(
        view.stranger_text.as_deref(),
        Some("1 monitor sends values of patients who are not on this board")
    );
    assert!(!format!("{view:?}").contains("55"));
    // Who was discharged and is remembered sends nothing.
    assert_eq!(wall(&open, &clock, 60_000).stranger_text, None);
}

#[test]
fn trends_are_of_the_ward_alone_and_say_their_gaps() {
    let mut h = heard(Vec::new());
    let of = |p: &str| LiveTrends {
        patient: p.to_owned(),
        trends: vec![LiveTrend {
            signal: "hr".to_owned(),
            unit: "/min".to_owned(),
            steps: vec![Some((62.0, 80.0)), None, Some((70.0, 88.0))],
        }],
    };
    h.takes(
        LiveTold::Trends {
            at: 900,
            step_ms: 20_000,
            patients: vec![of("p"), of("x"), of("r")],
        },
        0,
    );
    let open = open(h, vec![bed("p", "1", false), bed("r", "2", true)]);
    let view = trends(&open, 500);
    assert_eq!((view.trends.len(), view.step_s, view.age_ms), (1, 20, 600));
    assert_eq!(
        view.trends[0].spoken,
        "HR 62 to 88 /min, last 1 minutes, nothing for 20 s of them"
    );
}

#[test]
fn beds_are_counted_as_people_do() {
    let mut beds = vec!["10", "2", "R10", "R9", "1a", "", "1"];
    beds.sort_by_key(|b| bed_key(b));
    assert_eq!(beds, ["", "1", "1a", "2", "10", "R9", "R10"]);
}

#[test]
fn one_monitor_and_many_are_said_in_german_too() {
    use vitrine_clinical::language::{Language, speaking};
    speaking(Language::German, || {
        assert_eq!(strangers_text(0), None);
        assert!(strangers_text(1).unwrap().starts_with("1 Monitor sendet Werte "));
        assert!(strangers_text(2).unwrap().starts_with("2 Monitore senden Werte "));
    });
}

#[test]
fn no_signal_is_called_by_what_german_calls_a_blood_pressure() {
    use vitrine_clinical::language::{Language, speaking};
    let clock = Clock::new();
    let h = heard(vec![("p", vec![said("rr", Some("16"), "/min", 1_000)])]);
    let open = open(h, vec![bed("p", "4", false)]);
    let labelled = || wall(&open, &clock, 10).beds.remove(0).signals.remove(0).label;
    assert_eq!(labelled(), "RR");
    assert_eq!(speaking(Language::German, labelled), "AF");
}
