//! Storms of wrong PINs: thousands, under names that are known and names that are not, over restarts and clocks that are set back and
//! forth. Nobody's emergency access waits for what is tried at the sign-in or under another name; waits hold and end.

#![allow(clippy::disallowed_methods)] // a storm is timed

mod support;

use std::time::{Duration, Instant};
use support::{block, give_records, open, outbox, people, pin, plant, with_pin};
use vitrine_clinical::UtcMs;
use vitrine_engine::EngineError;
use vitrine_engine::keys::SlotKind;
use vitrine_store_sqlcipher::workstation::{Attempt, ThrottleRule};

/// Breaking the glass in a debug build, its PIN included; the budget of the whole act is a second.
const AT_ONCE: Duration = Duration::from_secs(1);

const SIGN_IN: ThrottleRule = ThrottleRule {
    path: "sign-in",
    free: 5,
    first_wait_ms: 30_000,
    longest_wait_ms: 900_000,
};
const EMERGENCY: ThrottleRule = ThrottleRule {
    path: "emergency",
    free: 5,
    first_wait_ms: 30_000,
    longest_wait_ms: 30_000,
};

#[test]
fn thousands_of_wrong_pins_delay_nobodys_emergency_access() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..1]);
    let (mut tried, mut refused, mut slowest) = (0_u32, 0_u32, Duration::ZERO);
    for restart in 0..4 {
        let ws = open(&p);
        for n in 0..500_u32 {
            let wrong = format!("{:06}", n * 7 + restart);
            // Somebody known, somebody unknown, somebody whose account is disabled; at the sign-in and at the emergency.
            let name = ["lee", "nobody", "gone", "mallory"][n as usize % 4];
            assert!(block(ws.sign_in(name, &wrong)).is_err(), "{name} {wrong}");
            let e = block(ws.identify("lee", &wrong)).unwrap_err();
            tried += 2;
            refused += u32::from(matches!(e, EngineError::Throttled { .. }));
            if n % 100 == 50 {
                // In the middle of it somebody else breaks the glass, by a session or by a PIN: at once.
                let since = Instant::now();
                let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p1"))).unwrap();
                slowest = slowest.max(since.elapsed());
                assert!(!card.allergies.items.is_empty());
            }
        }
        assert!(ws.close(Duration::from_secs(10)));
    }
    assert!(slowest < AT_ONCE, "{slowest:?}");
    assert!(
        refused > tried / 2 - 20,
        "the PIN was looked at in {} tries",
        tried / 2 - refused
    );
    eprintln!(
        "{tried} wrong tries, {refused} refused unlooked, the slowest emergency card {slowest:?} of 20"
    );

    // Under one's own name at the sign-in: the emergency access of the same person does not wait for it.
    let ws = open(&p);
    for n in 0..200 {
        assert!(block(ws.sign_in("rao", &format!("{n:06}"))).is_err());
    }
    let e = block(ws.sign_in("rao", pin("rao"))).unwrap_err();
    assert!(matches!(e, EngineError::Throttled { .. }), "{e:?}");
    let since = Instant::now();
    block(ws.break_glass(with_pin("rao", pin("rao"), "p2"))).unwrap();
    assert!(since.elapsed() < AT_ONCE);
}

#[test]
fn a_storm_on_one_name_at_the_emergency_door_delays_that_name_by_half_a_minute_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let ws = open(&p);
    for n in 0..1_000 {
        assert!(block(ws.identify("lee", &format!("{n:06}"))).is_err());
    }
    let Err(EngineError::Throttled { retry_after_s }) = block(ws.identify("lee", pin("lee"))) else {
        panic!("not slowed down");
    };
    assert!((1..=30).contains(&retry_after_s), "{retry_after_s} s");
    block(ws.identify("rao", pin("rao"))).unwrap();
    // A session whose secret was just given is asked for none: sign-in is another door.
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let own = vitrine_engine::BreakGlass {
        identity: vitrine_engine::Identity::Session,
        ..with_pin("lee", "", "p2")
    };
    block(ws.break_glass(own)).unwrap();
    ws.lock();
    drop(ws);
    // Also after a restart, and then the right PIN opens.
    let ws = open(&p);
    assert!(matches!(
        block(ws.identify("lee", pin("lee"))),
        Err(EngineError::Throttled { .. })
    ));
    std::thread::sleep(Duration::from_secs(31));
    block(ws.identify("lee", pin("lee"))).unwrap();
}

/// The clock of the machine, as the counters see it: thousands of tries over all ways a clock is set.
#[test]
fn a_clock_that_is_set_back_and_forth_neither_blocks_nor_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    drop(open(&p));
    const DAY: i64 = 86_400_000;
    let start = UtcMs(1_795_000_000_000);
    for rule in [EMERGENCY, SIGN_IN] {
        let o = outbox(&p);
        let mut at = start;
        for _ in 0..20 {
            match o.attempt("lee", &rule, at).unwrap() {
                Attempt::Go { wait_ms, .. } => at = at.plus_ms(wait_ms),
                Attempt::Wait { wait_ms } => panic!("{wait_ms} ms left after the wait"),
            }
        }
        drop(o);
        // Set back by two days: whoever waits as long as is said gets in, over restarts too.
        let mut back = at.plus_ms(-2 * DAY);
        let o = outbox(&p);
        let Attempt::Wait { wait_ms } = o.attempt("lee", &rule, back).unwrap() else {
            panic!("set back, a wait is forgotten");
        };
        assert!(wait_ms <= rule.longest_wait_ms);
        drop(o);
        let o = outbox(&p);
        back = back.plus_ms(wait_ms);
        let Attempt::Go { fails, .. } = o.attempt("lee", &rule, back).unwrap() else {
            panic!("{}: blocked for as long as the clock was set back", rule.path);
        };
        assert_eq!(fails, 21, "no try is forgotten");
        // Back and forth, thousands of times: never longer than the longest, and what is counted only grows.
        let (mut went, mut last) = (0_u32, fails);
        for n in 0..2_000_i64 {
            let shift = (n * 7_919 % 4_001 - 2_000) * 60_000;
            match o.attempt("lee", &rule, back.plus_ms(shift)).unwrap() {
                Attempt::Go { fails, wait_ms } => {
                    assert!(fails == last + 1 && wait_ms <= rule.longest_wait_ms);
                    (went, last) = (went + 1, fails);
                }
                Attempt::Wait { wait_ms } => assert!(wait_ms <= rule.longest_wait_ms),
            }
        }
        assert!(went > 0);
        // Nobody else is touched by any of it.
        assert!(matches!(
            o.attempt("rao", &rule, start).unwrap(),
            Attempt::Go { fails: 1, wait_ms: 0 }
        ));
        o.right_secret("lee", rule.path).unwrap();
    }
}
