use super::*;

const WALL: i64 = 1_795_856_400_000;

fn patient(n: u32) -> PatientId {
    PatientId::new(format!("p{n}")).unwrap()
}
fn ward(id: &str) -> WardId {
    WardId::new(id).unwrap()
}
fn hr(value: &str, at_ms: i64) -> Reading {
    Reading {
        signal: 0,
        value: Some(value.to_owned()),
        unit: Some("/min".to_owned()),
        flag: None,
        absent: None,
        at_ms,
        number: value.parse().ok(),
    }
}

/// Takes one heart rate; `now` is the steady clock and, from [`WALL`] on, the wall clock too.
fn say(room: &Room, n: u32, value: &str, measured: i64, now: u64) -> Taken {
    let wall = WALL + i64::try_from(now).unwrap();
    room.take_at(
        &patient(n),
        &ward("ICU"),
        &[hr(value, WALL + measured)],
        now,
        wall,
    )
    .unwrap()
}

fn held(room: &Room, n: u32) -> LiveSignal {
    let (patients, _) = room.since(&ward("ICU"), 0);
    let one = patients.iter().find(|p| p.patient == format!("p{n}")).unwrap();
    one.signals[0].clone()
}

#[test]
fn only_what_is_newer_renews_a_value() {
    let room = Room::default();
    assert_eq!(say(&room, 1, "72", 9_900, 10_000).new, 1);
    assert_eq!(held(&room, 1).at, 9_900);
    // A gateway that repeats itself, and one that empties its buffer.
    assert_eq!(say(&room, 1, "72", 9_900, 11_000).old, 1);
    assert_eq!(say(&room, 1, "50", 8_000, 12_000).old, 1);
    assert_eq!(
        (held(&room, 1).at, held(&room, 1).value.as_deref()),
        (9_900, Some("72"))
    );
    assert_eq!(say(&room, 1, "73", 12_900, 13_000).new, 1);
    assert_eq!(held(&room, 1).at, 12_900);
}

#[test]
fn a_value_that_was_measured_long_before_it_came_is_as_old_as_it_is() {
    let room = Room::default();
    say(&room, 1, "72", 4_000, 64_000);
    assert_eq!(held(&room, 1).at, 4_000);
    // Before the server started: nobody can say how old, so it is not taken.
    assert_eq!(say(&room, 2, "72", -5_000, 64_000).old, 1);
}

#[test]
fn a_clock_a_little_ahead_makes_nothing_younger_and_clocks_can_be_set_back() {
    let room = Room::default();
    say(&room, 1, "72", 11_900, 10_000);
    assert_eq!(held(&room, 1).at, 10_000);
    // The same again renews nothing, though it still lies ahead.
    assert_eq!(say(&room, 1, "72", 11_900, 11_000).old, 1);
    // All clocks are set back an hour: what comes then is behind what is held, and is as old as it is.
    let back = WALL - 3_600_000;
    let reading = [hr("80", back + 14_900)];
    let taken = room.take_at(&patient(1), &ward("ICU"), &reading, 15_000, back + 15_000);
    assert_eq!(taken.unwrap().new, 1);
    assert_eq!(held(&room, 1).at, 14_900);
}

#[test]
fn a_move_is_told_though_nothing_new_came() {
    let room = Room::default();
    say(&room, 1, "72", 1_000, 1_000);
    let changes = room.changes();
    let seen = *changes.borrow();
    let taken = room.take_at(
        &patient(1),
        &ward("ED"),
        &[hr("72", WALL + 1_000)],
        2_000,
        WALL + 2_000,
    );
    assert_eq!(taken.unwrap(), Taken { new: 0, old: 1 });
    assert!(*changes.borrow() > seen);
    assert_eq!(room.since(&ward("ICU"), seen).0[0].signals, []);
    assert_eq!(room.since(&ward("ED"), seen).0[0].signals.len(), 1);
}

#[test]
fn who_moves_is_gone_from_the_ward_left() {
    let room = Room::default();
    say(&room, 1, "72", 1_000, 1_000);
    let (_, seen) = room.since(&ward("ICU"), 0);
    room.take_at(
        &patient(1),
        &ward("ED"),
        &[hr("80", WALL + 2_000)],
        2_000,
        WALL + 2_000,
    )
    .unwrap();
    let (left, now) = room.since(&ward("ICU"), seen);
    assert_eq!((left.len(), left[0].signals.len()), (1, 0));
    assert_eq!(room.since(&ward("ICU"), now).0, []);
    assert_eq!(room.since(&ward("ICU"), 0).0, []);
    let (there, _) = room.since(&ward("ED"), 0);
    assert_eq!(there[0].signals[0].value.as_deref(), Some("80"));
    assert_eq!(room.monitors(), 1);
}

#[test]
fn only_what_changed_is_told() {
    let room = Room::default();
    for n in 1..=3 {
        say(&room, n, "72", 1_000, 1_000);
    }
    let (all, seen) = room.since(&ward("ICU"), 0);
    assert_eq!(all.len(), 3);
    assert_eq!(room.since(&ward("ICU"), seen).0, []);
    say(&room, 2, "90", 2_000, 2_000);
    let (some, _) = room.since(&ward("ICU"), seen);
    assert_eq!((some.len(), some[0].patient.as_str()), (1, "p2"));
    assert_eq!(room.since(&ward("ED"), 0).0, []);
}

#[test]
fn a_trend_has_gaps_where_nothing_was_measured_and_no_two_units() {
    let mut trend = Trend {
        unit: "/min".to_owned(),
        newest: 100,
        steps: Vec::new(),
    };
    trend.note(100, "/min", 70.0);
    trend.note(100, "/min", 64.0);
    trend.note(103, "/min", 80.0);
    trend.note(102, "/min", 75.0);
    let steps = trend.until(104);
    assert_eq!(steps.len(), TREND_STEPS);
    assert_eq!(
        steps[TREND_STEPS - 4..],
        [Some((64.0, 70.0)), None, Some((75.0, 75.0)), Some((80.0, 80.0))]
    );
    // A monitor taken away: the line ends, it does not stand still.
    assert_eq!(trend.until(106)[TREND_STEPS - 2..], [None, None]);
    assert_eq!(trend.until(103 + TREND_STEPS as u64 + 1), vec![None; TREND_STEPS]);
    for step in 104..1_000 {
        trend.note(step, "/min", 80.0);
    }
    assert_eq!(trend.steps.len(), TREND_STEPS);
    trend.note(1_000, "kPa", 5.0);
    assert_eq!(trend.until(1_001)[TREND_STEPS - 2..], [None, Some((5.0, 5.0))]);
}

#[test]
fn a_monitor_long_silent_is_forgotten_and_room_is_bounded() {
    let room = Room::default();
    say(&room, 1, "72", 1_000, 1_000);
    say(&room, 2, "72", 2_000 + FORGET as i64, 2_000 + FORGET);
    assert_eq!(room.monitors(), 1);
    for n in 0..PATIENTS_MOST as u32 + 5 {
        let wall = WALL + 1_000;
        room.take_at(&patient(n), &ward("ICU"), &[hr("70", wall)], 2_000 + FORGET, wall);
    }
    assert_eq!(room.monitors(), PATIENTS_MOST);
}
