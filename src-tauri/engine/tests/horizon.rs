//! The offline horizon: past it nobody is let in by what is here until the server is back, emergency access stays open, and a clock
//! that is set back prolongs nothing.

mod support;

use std::time::Duration;
use support::{block, give_records, open, outbox, people, pin, plant_at, with_pin};
use vitrine_engine::keys::SlotKind;
use vitrine_engine::language::{Language, speaking};
use vitrine_engine::{EngineError, Workstation};
use vitrine_wire::ErrorCode;
use vitrine_wire::http::LoginResponse;

const DAY: i64 = 86_400_000;
const NOTE: &str = "horizon";

fn now() -> i64 {
    vitrine_engine::clock::Clock::new().wall().0
}

/// A workstation whose staff list the server confirmed so long ago; lee has a slot with records.
fn away(days: i64, minutes: i64) -> (tempfile::TempDir, support::Profiled) {
    let dir = tempfile::tempdir().unwrap();
    let p = plant_at(dir.path(), &people(), now() - days * DAY - minutes * 60_000);
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..1]);
    (dir, p)
}

fn refused(ws: &Workstation, user: &str) {
    let e = block(ws.sign_in(user, pin(user))).unwrap_err();
    assert!(matches!(e, EngineError::HorizonPassed { days: 14 }), "{e:?}");
    assert_eq!((e.code(), e.exit_code()), (ErrorCode::Offline, 6));
    assert!(e.to_string().contains("14 days") && e.to_string().contains("Emergency access stays open"));
}

#[test]
fn a_fortnight_is_said_before_its_end_and_then_nobody_is_let_in() {
    let (_dir, p) = away(10, 0);
    let ws = open(&p);
    assert_eq!(ws.lock_view().device_text, None, "four days are left");
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(ws.close(Duration::from_secs(10)));

    let (_dir, p) = away(12, 1);
    let ws = open(&p);
    let said = ws.lock_view().device_text.unwrap();
    assert!(said.contains("1 d 23 hr more"), "{said}");
    assert!(ws.status().alarms.contains(&said), "in the strip too");
    let german = speaking(Language::German, || ws.lock_view().device_text).unwrap();
    assert!(german.contains("noch 1 T 23 Std möglich"), "{german}");
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(ws.close(Duration::from_secs(10)));

    let (_dir, p) = away(14, 1);
    let ws = open(&p);
    assert!(
        ws.lock_view()
            .device_text
            .unwrap()
            .contains("nobody can sign in here")
    );
    // With a slot of their own, and with the PIN of the staff list alone.
    refused(&ws, "lee");
    refused(&ws, "rao");
    assert!(ws.session().is_none());
}

#[test]
fn past_it_the_glass_can_be_broken_and_the_row_says_so() {
    let (_dir, p) = away(400, 0);
    let ws = open(&p);
    refused(&ws, "lee");
    let card = block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    assert_eq!(card.banner.patient, "p2");
    let rows: Vec<serde_json::Value> = outbox(&p)
        .rows(0, 100)
        .unwrap()
        .rows
        .iter()
        .map(|r| serde_json::from_str(&r.body).unwrap())
        .collect();
    assert_eq!(
        (&rows[0]["action"], &rows[0]["rule"], &rows[0]["decision"]),
        (&"sign-in".into(), &"offline-horizon".into(), &"deny".into())
    );
    assert_eq!(rows[1]["action"], "break-glass");
    assert_eq!(rows[1]["notes"]["staff-list"], "past-the-offline-horizon");
    // Within it the row says nothing of that.
    let (_dir, p) = away(1, 0);
    let ws = open(&p);
    block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    let row: serde_json::Value = serde_json::from_str(&outbox(&p).rows(0, 1).unwrap().rows[0].body).unwrap();
    assert!(row["notes"]["staff-list"].is_null(), "{row}");
}

#[test]
fn a_kept_session_of_the_command_line_ends_with_it() {
    let (_dir, p) = away(1, 0);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.save_session(pin("lee"))).unwrap();
    assert!(ws.close(Duration::from_secs(10)));
    let contact = now() - DAY;
    outbox(&p)
        .set_note(NOTE, &format!("{contact} {}", contact + 14 * DAY))
        .unwrap();
    let ws = open(&p);
    assert!(matches!(
        ws.restore_session(),
        Err(EngineError::HorizonPassed { .. })
    ));
    assert!(!p.dir.join("session.bin").exists());
}

#[test]
fn a_clock_that_is_set_back_prolongs_nothing() {
    // By this machine's clock a day has passed; once it stood two weeks ahead.
    let (_dir, p) = away(1, 0);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(ws.close(Duration::from_secs(10)));
    let o = outbox(&p);
    let contact = now() - DAY;
    o.set_note(NOTE, &format!("{contact} {}", contact + 14 * DAY))
        .unwrap();
    drop(o);
    for _ in 0..3 {
        let ws = open(&p);
        refused(&ws, "lee");
        assert!(ws.close(Duration::from_secs(10)));
    }
    let kept = outbox(&p).note(NOTE).unwrap().unwrap();
    let (_, high) = kept.split_once(' ').unwrap();
    assert!(high.parse::<i64>().unwrap() >= contact + 14 * DAY, "{kept}");
}

#[test]
fn what_was_tried_past_it_costs_no_slot_and_the_server_lets_in_again() {
    let (_dir, p) = away(30, 0);
    let ws = open(&p);
    for _ in 0..25 {
        refused(&ws, "lee");
    }
    assert!(ws.close(Duration::from_secs(10)));
    assert_eq!(
        support::keys(&p).1.of("lee").count(),
        1,
        "the slot is still there"
    );

    let server = support::admitting(
        &p,
        &LoginResponse {
            token: "a token".into(),
            expires_in_s: 3_600,
            display: "Dr LEE, Anna".into(),
            role: "physician".into(),
            wards: vec!["ED".into()],
            server_time_ms: now(),
        },
    );
    let ws = open(&p);
    let session = block(ws.sign_in("lee", pin("lee"))).unwrap();
    server.join().unwrap();
    assert!(!session.offline, "the server said so");
    assert_eq!(
        block(ws.chart("p1")).unwrap().resources,
        10,
        "with the records of before"
    );
}
