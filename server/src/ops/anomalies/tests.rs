//! Each rule over rows: what it finds, and what it leaves alone.

use super::*;
use serde_json::json;

/// 22-Nov-2026, 00:00 UTC.
const DAY: i64 = 1_795_305_600_000;
const FROM: UtcMs = UtcMs(DAY);

fn at(minutes: i64, user: &str, patient: &str) -> Access {
    Access {
        chain: "server".to_owned(),
        seq: 0,
        at: UtcMs(DAY + minutes * 60_000),
        user: user.to_owned(),
        patients: vec![patient.to_owned()],
        emergency: false,
        permitted: true,
        rule: "own-ward-patient".to_owned(),
    }
}

fn numbered(mut rows: Vec<Access>) -> Vec<Access> {
    rows.sort_by_key(|a| a.at);
    for (a, n) in rows.iter_mut().zip(1..) {
        a.seq = n;
    }
    rows
}

fn run(
    rows: Vec<Access>,
    people: &[(&str, &str)],
    patients: &[(&str, Value)],
    limits: &Anomalies,
) -> Vec<(&'static str, String, usize)> {
    let people = people
        .iter()
        .map(|(u, n)| ((*u).to_owned(), Person::named(n)))
        .collect();
    let patients = patients
        .iter()
        .map(|(id, p)| ((*id).to_owned(), Whose::of(p.to_string().as_bytes())))
        .collect();
    find(&numbered(rows), FROM, &people, &patients, limits)
        .into_iter()
        .map(|f| {
            assert!(
                !f.text.is_empty() && !f.rows.is_empty() && RULES.contains(&f.rule),
                "{f:?}"
            );
            (f.rule, f.patients.join(" "), f.count)
        })
        .collect()
}

fn patient(given: &str, family: &str) -> Value {
    json!({"resourceType": "Patient", "name": [{"given": given.split(' ').collect::<Vec<_>>(), "family": family}]})
}

#[test]
fn names_are_compared_as_they_are_written_or_not() {
    // account, patient, what is found
    let cases: &[(&str, Value, &[&str])] = &[
        ("Anna Weber", patient("Anna", "Weber"), &["own-record"]),
        (
            "Dr. med. Anna Weber",
            patient("Anna Maria", "Weber"),
            &["own-record"],
        ),
        ("Weber, Anna", patient("Anna", "Weber"), &["own-record"]),
        ("ANNA MÜLLER", patient("Anna", "Müller"), &["own-record"]),
        ("Anna Weber", patient("Paul", "Weber"), &["same-family-name"]),
        ("Paul Anna", patient("Anna", "Weber"), &[]),
        ("Weber", patient("Anna", "Weber"), &[]),
        ("Anna Weber", patient("Anna", "Weberle"), &[]),
        ("Anna Weber", json!({"resourceType": "Patient"}), &[]),
    ];
    for (name, who, want) in cases {
        let found = run(
            vec![at(1, "u", "p")],
            &[("u", name)],
            &[("p", who.clone())],
            &Anomalies::default(),
        );
        let rules: Vec<&str> = found.iter().map(|f| f.0).collect();
        assert_eq!(rules, *want, "{name} {who}");
    }
    // An access before the time asked for, or one that was refused, is none.
    let mut refused = at(1, "u", "p");
    refused.permitted = false;
    let rows = vec![at(-1, "u", "p"), refused];
    let who = [("p", patient("Anna", "Weber"))];
    assert_eq!(run(rows, &[("u", "Anna Weber")], &who, &Anomalies::default()), []);
}

#[test]
fn a_label_is_told() {
    for (meta, want) in [
        (json!({"security": [{"code": "VIP"}]}), 1),
        (json!({"tag": [{"code": "x"}, {"code": "VIP"}]}), 1),
        (json!({"security": [{"code": "N"}]}), 0),
    ] {
        let who = json!({"resourceType": "Patient", "meta": meta});
        let found = run(
            vec![at(1, "u", "p"), at(2, "u", "p")],
            &[],
            &[("p", who)],
            &Anomalies::default(),
        );
        assert_eq!(found, vec![("vip", "p".to_owned(), 2); want]);
    }
}

#[test]
fn many_patients_in_a_short_time_are_one_finding() {
    let limits = Anomalies {
        burst_patients: 3,
        burst_minutes: 60,
        ..Anomalies::default()
    };
    let id = |n: i64| format!("p{n}");
    let spread: Vec<Access> = (0..20).map(|n| at(n * 20, "u", &id(n))).collect();
    assert_eq!(
        run(spread, &[], &[], &limits),
        [],
        "three within an hour are usual"
    );
    let same: Vec<Access> = (0..20).map(|n| at(n, "u", &id(n % 3))).collect();
    assert_eq!(run(same, &[], &[], &limits), [], "the same patients again");
    let mut two: Vec<Access> = (0..6).map(|n| at(n, "u", &id(n))).collect();
    two.extend((0..4).map(|n| at(600 + n, "u", &id(n))));
    two.extend((0..3).map(|n| at(n, "v", &id(n))));
    assert_eq!(
        run(two.clone(), &[], &[], &limits),
        [
            ("burst", "p0 p1 p2 p3 p4 p5".to_owned(), 6),
            ("burst", "p0 p1 p2 p3".to_owned(), 4)
        ]
    );
    let off = Anomalies {
        burst_patients: 0,
        ..limits
    };
    assert_eq!(run(two, &[], &[], &off), []);
}

#[test]
fn whoever_is_refused_again_and_again_is_told() {
    let limits = Anomalies {
        refused_patients: 2,
        ..Anomalies::default()
    };
    let refused = |n: i64, rule: &str| Access {
        permitted: false,
        rule: rule.to_owned(),
        ..at(n, "u", &format!("p{n}"))
    };
    let rows: Vec<Access> = (0..3).map(|n| refused(n, "no-relationship")).collect();
    assert_eq!(
        run(rows, &[], &[], &limits),
        [("refused", "p0 p1 p2".to_owned(), 3)]
    );
    let other: Vec<Access> = (0..3).map(|n| refused(n, "grant-is-read-only")).collect();
    assert_eq!(run(other, &[], &[], &limits), []);
}

#[test]
fn an_emergency_without_any_other_access_is_told() {
    let glass = |n: i64, p: &str| Access {
        emergency: true,
        rule: "break-glass-grant".to_owned(),
        ..at(n, "u", p)
    };
    let rows = vec![
        glass(1, "p1"),
        glass(2, "p1"),
        glass(3, "p2"),
        at(-40_000, "u", "p2"),
        glass(-5, "p3"),
        at(9, "v", "p1"),
    ];
    let found = run(rows, &[], &[], &Anomalies::default());
    assert_eq!(found, [("no-relationship", "p1".to_owned(), 2)]);
}

#[test]
fn an_hour_is_odd_against_the_hours_of_the_same_person() {
    let limits = Anomalies {
        odd_hour_rows: 50,
        odd_hour_percent: 2,
        burst_patients: 0,
        ..Anomalies::default()
    };
    // Day shifts, 08:00 to 15:59.
    let days = |user: &'static str| {
        (1..=10).flat_map(move |d| (0..8).map(move |h| at(-1440 * d + 480 + h * 60, user, "p")))
    };
    let mut rows: Vec<Access> = days("u").collect();
    rows.push(at(7 * 60 + 5, "u", "early"));
    rows.push(at(3 * 60, "u", "night"));
    rows.push(at(3 * 60 + 20, "u", "night2"));
    // Somebody who always works at night, and somebody new.
    rows.extend((1..=60).map(|d| at(-1440 * d + 180, "w", "p")));
    rows.push(at(180, "w", "p"));
    rows.push(at(180, "x", "p"));
    assert_eq!(
        run(rows.clone(), &[], &[], &limits),
        [("odd-hour", "night night2".to_owned(), 2)]
    );
    let off = Anomalies {
        odd_hour_rows: 0,
        ..limits
    };
    assert_eq!(run(rows, &[], &[], &off), []);
}
