//! Signing in without a server, user slots, throttling, locking.

mod support;

use std::time::Duration;
use support::{block, give_records, keys, open, options, people, pin, plant, station};
use vitrine_engine::keys::SlotKind;
use vitrine_engine::{EngineError, Workstation};
use vitrine_wire::http::LoginResponse;
use vitrine_wire::view::{DataAge, DeviceState, EngineEvent, SessionView};

#[test]
fn a_pin_opens_the_essentials_and_a_slot_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let ws = open(&p);
    let s = block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert_eq!((s.display.as_str(), s.offline), ("Dr LEE", true));
    let chart = block(ws.chart("p1")).unwrap();
    assert_eq!(chart.record_age.age, DataAge::NotOnThisWorkstation);
    assert_eq!(chart.medications.items[0].name, "warfarin", "from the essentials");
    assert!(
        chart.notes.empty_text.contains("not on this workstation"),
        "{}",
        chart.notes.empty_text
    );
    drop(ws);

    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..2]);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let chart = block(ws.chart("p1")).unwrap();
    assert_eq!(chart.resources, 10);
    assert_eq!(chart.labs.items[0].points.len(), 6);
    assert_eq!(
        chart.labs.items[0].points[0].value, "4.50",
        "newest first, digits as recorded"
    );
    let row: serde_json::Value =
        serde_json::from_str(&block(ws.audit_list(0, 100)).unwrap().last().unwrap().body).unwrap();
    assert_eq!(row["disclosure"]["total"], 11, "ten resources and the card");
    assert_eq!(ws.lock_view().recent_users[0].user, "lee");
}

#[test]
fn the_screen_is_told_when_the_server_confirms_a_sign_in() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let server = support::admitting(
        &p,
        &LoginResponse {
            token: "a token".into(),
            expires_in_s: 3_600,
            display: "Dr LEE, Anna".into(),
            role: "charge-nurse".into(),
            wards: vec!["ED".into()],
            server_time_ms: vitrine_engine::clock::Clock::new().wall().0,
        },
    );
    let ws = open(&p);
    let mut events = ws.events();
    let at_once = block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(at_once.offline, "nobody is waited for");
    block(ws.settled(Duration::from_secs(30)));
    server.join().unwrap();

    let told: Vec<SessionView> = std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|e| match e {
            EngineEvent::Session(view) => Some(view),
            _ => None,
        })
        .collect();
    let confirmed = SessionView {
        user: "lee".into(),
        display: "Dr LEE, Anna".into(),
        role: "Charge nurse".into(),
        offline: false,
        layout: vitrine_wire::layout::LayoutView::default(),
    };
    assert_eq!(ws.session().as_ref(), Some(&confirmed));
    assert_eq!(told, [confirmed], "as the server knows the person");
}

#[test]
fn ten_wrong_secrets_remove_the_slot_and_a_password_then_needs_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    give_records(&p, "lee", "correct horse", SlotKind::Password, &people()[..1]);
    let box_ = support::outbox(&p);
    let rule = vitrine_store_sqlcipher::workstation::ThrottleRule {
        path: "sign-in",
        free: 5,
        first_wait_ms: 30_000,
        longest_wait_ms: 900_000,
    };
    // Nine wrong tries over a long time.
    let mut at = vitrine_clinical::UtcMs(0);
    for _ in 0..9 {
        at = at.plus_ms(1_000_000);
        assert!(matches!(
            box_.attempt("lee", &rule, at).unwrap(),
            vitrine_store_sqlcipher::workstation::Attempt::Go { .. }
        ));
    }
    drop(box_);
    let ws = open(&p);
    let e = block(ws.sign_in("lee", "wrong")).unwrap_err();
    assert!(matches!(e, EngineError::SlotRemoved), "{e:?}");
    assert_eq!(keys(&p).1.of("lee").count(), 0);
    let e = block(ws.sign_in("lee", "correct horse")).unwrap_err();
    assert!(matches!(e, EngineError::Throttled { .. }), "{e:?}");
    assert!(
        std::fs::read_dir(&p.dir)
            .unwrap()
            .flatten()
            .all(|f| !f.file_name().to_string_lossy().starts_with("records-"))
    );
}

#[test]
fn waits_double_from_thirty_seconds_to_a_quarter_of_an_hour() {
    use vitrine_store_sqlcipher::workstation::{Attempt, ThrottleRule};
    let (_dir, p, ws) = station();
    drop(ws);
    let o = support::outbox(&p);
    let rule = ThrottleRule {
        path: "sign-in",
        free: 5,
        first_wait_ms: 30_000,
        longest_wait_ms: 900_000,
    };
    let mut at = vitrine_clinical::UtcMs(1_000_000);
    for expected in [
        0, 0, 0, 0, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000,
    ] {
        let Attempt::Go { wait_ms, .. } = o.attempt("x", &rule, at).unwrap() else {
            panic!("not yet due")
        };
        assert_eq!(wait_ms, expected);
        if wait_ms > 0 {
            assert_eq!(
                o.attempt("x", &rule, at.plus_ms(wait_ms - 1)).unwrap(),
                Attempt::Wait { wait_ms: 1 }
            );
        }
        at = at.plus_ms(wait_ms);
    }
    assert!(
        matches!(o.attempt("y", &rule, at).unwrap(), Attempt::Go { fails: 1, .. }),
        "each user by itself"
    );
    o.right_secret("x", "sign-in").unwrap();
    assert!(matches!(
        o.attempt("x", &rule, at).unwrap(),
        Attempt::Go { fails: 1, wait_ms: 0 }
    ));
}

#[test]
fn idle_locks_and_locking_ends_everything() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let o = vitrine_engine::Options {
        idle_lock: Duration::from_millis(300),
        ..options()
    };
    let ws = Workstation::open(&p.dir, o).unwrap();
    let mut events = ws.events();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(ws.session().is_some());
    std::thread::sleep(Duration::from_millis(400));
    assert!(ws.session().is_none());
    assert!(matches!(block(ws.search("li")), Err(EngineError::NotSignedIn)));
    let locked = std::iter::from_fn(|| events.try_recv().ok()).any(|e| e == EngineEvent::Locked);
    assert!(locked);
}

/// Who came and went by the audit log: action, rule, decision, who.
fn comings(p: &support::Profiled) -> Vec<(String, String, String, String)> {
    let rows = support::outbox(p).rows(0, 100).unwrap().rows;
    let all = rows.iter().map(|r| {
        let row: serde_json::Value = serde_json::from_str(&r.body).unwrap();
        assert!(row["device"].is_string(), "{row}");
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        (
            text(&row["action"]),
            text(&row["rule"]),
            text(&row["decision"]),
            text(&row["actor"]["User"]),
        )
    });
    all.filter(|(action, ..)| matches!(action.as_str(), "sign-in" | "sign-out" | "identify"))
        .collect()
}

#[test]
fn who_comes_and_goes_is_in_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    give_records(&p, "rao", "correct horse", SlotKind::Password, &people()[..1]);
    let o = || vitrine_engine::Options {
        idle_lock: Duration::from_millis(300),
        ..options()
    };
    let ws = Workstation::open(&p.dir, o()).unwrap();
    assert!(block(ws.sign_in("lee", "000000")).is_err());
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    ws.lock();
    ws.lock();
    block(ws.sign_in("rao", "correct horse")).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(ws.session().is_none());
    assert!(block(ws.identify("lee", "000000")).is_err());
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(ws.close(Duration::from_secs(10)));
    drop(ws);
    let row = |action: &str, rule: &str, decision: &str, user: &str| {
        (
            action.to_owned(),
            rule.to_owned(),
            decision.to_owned(),
            user.to_owned(),
        )
    };
    assert_eq!(
        comings(&p),
        [
            row("sign-in", "wrong-secret", "deny", "lee"),
            row("sign-in", "staff-list-pin", "permit", "lee"),
            row("sign-out", "own-act", "permit", "lee"),
            row("sign-in", "own-key", "permit", "rao"),
            row("sign-out", "idle", "permit", "rao"),
            row("identify", "wrong-secret", "deny", "lee"),
            row("sign-in", "staff-list-pin", "permit", "lee"),
            row("sign-out", "program-closed", "permit", "lee"),
        ]
    );
    let ws = open(&p);
    assert_eq!(block(ws.audit_verify()).unwrap().seq, 8);
    // Kept for the next run of the command line, it goes on.
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.save_session(pin("lee"))).unwrap();
    assert!(ws.close(Duration::from_secs(10)));
    drop(ws);
    assert_eq!(comings(&p).len(), 9);
}

#[test]
fn a_saved_session_is_sealed_short_and_ends_with_lock() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..1]);
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.save_session(pin("lee"))).unwrap();
    drop(ws);
    let ws = open(&p);
    assert!(ws.session().is_none());
    assert_eq!(ws.restore_session().unwrap().user, "lee");
    assert_eq!(block(ws.chart("p1")).unwrap().resources, 10);
    ws.forget_session().unwrap();
    assert!(matches!(ws.restore_session(), Err(EngineError::NotSignedIn)));
    std::fs::write(p.dir.join("session.bin"), b"forged").unwrap();
    assert!(matches!(ws.restore_session(), Err(EngineError::NotSignedIn)));
    assert!(!p.dir.join("session.bin").exists());
}

#[test]
fn a_profile_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let ws = Workstation::open(dir.path(), options()).unwrap();
    let v = ws.lock_view();
    assert_eq!(v.device_state, DeviceState::NotEnrolled);
    assert!(v.device_text.unwrap().contains("vitrine-cli enrol"));
    assert!(matches!(
        block(ws.sign_in("lee", "x")),
        Err(EngineError::NotEnrolled)
    ));

    let p = plant(&dir.path().join("b"), &people());
    std::fs::remove_file(p.dir.join("sealer.key")).unwrap();
    let ws = open(&p);
    assert_eq!(ws.lock_view().device_state, DeviceState::KeysMissing);
    assert!(
        !p.dir.join("sealer.key").exists(),
        "no key is made anew in silence"
    );
    assert_eq!(ws.usable().unwrap_err().exit_code(), 3);
}
