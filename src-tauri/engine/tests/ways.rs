//! Badges, the provider as the way in, and what is open when it or the server is away.
#![allow(
    clippy::disallowed_methods,
    reason = "the test measures how long a sign-in takes"
)]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{
    BADGES, Profiled, answering, block, give_records, open, people, pin, plant, provider, station, with_pin,
};
use vitrine_engine::clock::Clock;
use vitrine_engine::keys::SlotKind;
use vitrine_engine::{Beside, EngineError, Identity, Workstation};

fn badge_of(user: &str) -> &'static str {
    BADGES.iter().find(|(u, _)| *u == user).unwrap().1
}

fn held(badge: &str) -> Beside {
    Beside {
        badge: Some(badge.to_owned()),
        ..Beside::default()
    }
}

/// Rule, decision and notes of the last row of this act.
fn last(ws: &Workstation, action: &str) -> Value {
    let rows = block(ws.audit_list(0, 1_000)).unwrap();
    let mut rows = rows
        .iter()
        .map(|r| serde_json::from_str::<Value>(&r.body).unwrap());
    rows.rfind(|r| r["action"] == action).unwrap()
}

fn sign_in_by_badge(ws: &Workstation, number: &str, secret: &str) -> Result<String, EngineError> {
    block(async {
        let picked = ws.badge(number).await?;
        let view = ws.sign_in_by_badge(&picked.token, secret).await?;
        Ok(view.user)
    })
}

fn way(open: bool, vouched: bool) -> (&'static str, u16, Value) {
    (
        "/auth/way",
        200,
        json!({"required": true, "provider_answers": !open, "vouched": vouched}),
    )
}

fn admitted() -> (&'static str, u16, Value) {
    let body = json!({"token": "t", "expires_in_s": 900, "display": "Dr LEE", "role": "physician", "wards": ["ED"],
        "server_time_ms": Clock::new().wall().0});
    ("/auth/login", 200, body)
}

#[test]
fn a_badge_picks_and_the_pin_opens_with_server_and_provider_dead() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    provider(&p, true);
    // Keys of their own, as after a first day: the slower of the two ways.
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..2]);
    let ws = open(&p);
    for text in ["04:a1:b2:c3:d4:e5:80", ";04A1B2C3D4E580?", "04a1b2c3d4e580"] {
        let picked = block(ws.badge(text)).unwrap();
        assert_eq!(
            (picked.user.as_str(), picked.display.as_str()),
            ("lee", "Dr LEE"),
            "{text}"
        );
        assert!(ws.session().is_none(), "nobody is let in by a badge");
    }
    let began = Instant::now();
    assert_eq!(sign_in_by_badge(&ws, badge_of("lee"), pin("lee")).unwrap(), "lee");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let row = last(&ws, "sign-in");
    assert_eq!(
        (&row["rule"], &row["decision"]),
        (&json!("own-key"), &json!("permit"))
    );
    assert_eq!(row["notes"]["way"], "badge+pin");
    assert_eq!(row["notes"]["because"], "server-away");
    assert_eq!(row["notes"]["badge"].as_str().unwrap().len(), 8);
    let body = row.to_string();
    assert!(!body.contains(badge_of("lee")), "the number itself is in no row");
    assert_eq!(
        block(ws.chart("p1")).unwrap().resources,
        10,
        "with their own records"
    );
    eprintln!("badge and PIN, nobody answers: {took:?} in this build");
}

#[test]
fn the_ways_stand_in_their_order_in_the_rows() {
    let (_dir, _p, ws) = station();
    sign_in_by_badge(&ws, badge_of("rao"), pin("rao")).unwrap();
    assert_eq!(last(&ws, "sign-in")["notes"]["way"], "badge+pin");
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    let row = last(&ws, "sign-in");
    assert_eq!(
        (&row["notes"]["way"], &row["rule"]),
        (&json!("pin"), &json!("staff-list-pin"))
    );
    assert!(
        row["notes"]["because"].is_null(),
        "no provider, nothing to explain"
    );
    assert!(row["notes"]["badge"].is_null());
}

#[test]
fn a_badge_alone_a_wrong_pin_and_somebody_elses_pin_open_nothing() {
    let (_dir, _p, ws) = station();
    let picked = block(ws.badge(badge_of("lee"))).unwrap();
    for secret in ["", "000000", pin("rao"), badge_of("lee")] {
        let e = block(ws.sign_in_by_badge(&picked.token, secret)).unwrap_err();
        assert!(!matches!(e, EngineError::NoBadge(_)), "{secret}: {e:?}");
        assert!(ws.session().is_none(), "{secret}");
    }
    assert_eq!(last(&ws, "sign-in")["rule"], "wrong-secret");
    let e = block(ws.sign_in_by_badge("0123", pin("lee"))).unwrap_err();
    assert!(matches!(e, EngineError::NoBadge(_)), "{e:?}");
    block(ws.sign_in_by_badge(&picked.token, pin("lee"))).unwrap();
    ws.lock();
    let e = block(ws.sign_in_by_badge(&picked.token, pin("lee"))).unwrap_err();
    assert!(
        matches!(e, EngineError::NoBadge(_)),
        "the lock forgets whom a badge picked: {e:?}"
    );
}

#[test]
fn what_is_nobodys_badge_picks_nobody() {
    let (_dir, _p, ws) = station();
    let of = |text: &str| block(ws.badge(text)).unwrap_err();
    assert!(matches!(of("04A1B2C3D4E581"), EngineError::UnknownBadge));
    assert!(matches!(of(badge_of("gone")), EngineError::Disabled));
    for no_badge in [
        "]d28018950110153000120002",
        "8018950110153000120002",
        "]d20109521234543213",
        "ab",
        "",
    ] {
        assert!(matches!(of(no_badge), EngineError::NoBadge(_)), "{no_badge}");
    }
    assert_eq!(block(ws.badge("]d28017950110153000120002")).unwrap().user, "rao");
}

#[test]
fn a_badge_is_nobodys_record_number_in_a_session() {
    let (_dir, _p, ws) = station();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let view = block(ws.scan(badge_of("lee"))).unwrap();
    assert_eq!(format!("{:?}", view.kind), "NotAPatient", "{}", view.text);
    assert!(view.text.contains("badge"), "{}", view.text);
    assert!(view.rows.is_empty());
    // And a record number is nobody's badge.
    ws.lock();
    assert!(matches!(
        block(ws.badge("44710932")),
        Err(EngineError::UnknownBadge)
    ));
}

#[test]
fn while_the_provider_answers_the_lower_ways_are_refused_and_nothing_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    provider(&p, true);
    give_records(&p, "lee", pin("lee"), SlotKind::Pin, &people()[..2]);
    let server = answering(&p, vec![way(false, false); 9]);
    let ws = open(&p);
    for n in 0..4 {
        // The right PIN and a wrong one are answered alike.
        for secret in [pin("lee"), "000000"] {
            let e = block(ws.sign_in("lee", secret)).unwrap_err();
            assert!(
                matches!(&e, EngineError::UseProvider { name } if name == "Hospital ID"),
                "{n}: {e:?}"
            );
            assert!(e.to_string().contains("Hospital ID"), "{e}");
        }
    }
    let e = sign_in_by_badge(&ws, badge_of("lee"), pin("lee")).unwrap_err();
    assert!(matches!(e, EngineError::UseProvider { .. }), "{e:?}");
    let row = last(&ws, "sign-in");
    assert_eq!(
        (&row["rule"], &row["decision"]),
        (&json!("provider-answers"), &json!("deny"))
    );
    let asked = server.join().unwrap();
    assert!(
        asked
            .iter()
            .all(|a| a["user"] == "lee" && a.get("secret").is_none()),
        "no secret was sent"
    );
    // An emergency is not asked about it.
    let card = block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    assert_eq!(last(&ws, "break-glass")["notes"]["assurance"], "pin");
    drop(card);
    // The server is gone: eight tries were no wrong secrets, and what is here opens at once.
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert_eq!(last(&ws, "sign-in")["notes"]["because"], "server-away");
}

#[test]
fn whom_the_provider_vouched_for_unlocks_and_whoever_it_cannot_vouch_for_signs_in() {
    for (answer, because) in [(way(false, true), "vouched"), (way(true, false), "provider-down")] {
        let dir = tempfile::tempdir().unwrap();
        let p = plant(dir.path(), &people());
        provider(&p, true);
        let server = answering(&p, vec![answer, admitted()]);
        let ws = open(&p);
        assert_eq!(sign_in_by_badge(&ws, badge_of("lee"), pin("lee")).unwrap(), "lee");
        block(ws.settled(Duration::from_secs(30)));
        let asked = server.join().unwrap();
        let badge = vitrine_wire::digest::badge(&support::BADGE_KEY, badge_of("lee"));
        assert_eq!(asked[1]["badge"], json!(badge), "the server hears which badge");
        let row = last(&ws, "sign-in");
        assert_eq!(
            (&row["notes"]["way"], &row["notes"]["because"]),
            (&json!("badge+pin"), &json!(because))
        );
        assert!(!ws.session().unwrap().offline, "{because}");
    }
}

#[test]
fn a_server_that_is_silent_is_waited_for_a_second_and_may_take_the_session_back() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    provider(&p, true);
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    support::server_at(&p, &format!("https://{}", silent.local_addr().unwrap()));
    let ws = open(&p);
    let began = Instant::now();
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(9),
        "{took:?}"
    );
    assert_eq!(last(&ws, "sign-in")["notes"]["because"], "server-away");
    ws.lock();
    drop(ws);

    // It did not answer in time, and is there behind it: the provider is the way in after all.
    let refused =
        json!({"code": "use-provider", "text": "Sign in with Hospital ID.", "break_glass_offered": false});
    let server = answering(
        &p,
        vec![("/auth/way", 503, json!({})), ("/auth/login", 403, refused)],
    );
    let ws = open(&p);
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    block(ws.settled(Duration::from_secs(30)));
    server.join().unwrap();
    assert!(ws.session().is_none(), "the server took it back");
    assert_eq!(last(&ws, "sign-out")["rule"], "taken-back-by-server");
}

#[test]
fn a_badge_that_was_taken_away_ends_the_session_it_opened_before_the_list_came() {
    let (_dir, p, ws) = station();
    drop(ws);
    let refused = json!({"code": "unknown-badge", "text": "Nobody's.", "break_glass_offered": false});
    let server = answering(&p, vec![("/auth/login", 403, refused)]);
    let ws = open(&p);
    sign_in_by_badge(&ws, badge_of("lee"), pin("lee")).unwrap();
    block(ws.settled(Duration::from_secs(30)));
    server.join().unwrap();
    assert!(ws.session().is_none());
    // Their key stays: it was no wrong secret.
    block(ws.sign_in("lee", pin("lee"))).unwrap();
}

#[test]
fn past_the_offline_horizon_a_badge_opens_nothing_and_an_emergency_still_does() {
    let dir = tempfile::tempdir().unwrap();
    let now = Clock::new().wall().0;
    let p = support::plant_at(dir.path(), &people(), now - 15 * 86_400_000);
    let ws = open(&p);
    let e = sign_in_by_badge(&ws, badge_of("lee"), pin("lee")).unwrap_err();
    assert!(matches!(e, EngineError::HorizonPassed { days: 14 }), "{e:?}");
    assert!(ws.session().is_none());
    emergency_by_badge(&ws);
    assert_eq!(
        last(&ws, "break-glass")["notes"]["staff-list"],
        "past-the-offline-horizon"
    );
}

fn emergency_by_badge(ws: &Workstation) {
    let picked = block(ws.badge(badge_of("lee"))).unwrap();
    let mut request = with_pin("lee", pin("lee"), "p2");
    if let Identity::UserSecret { badge, .. } = &mut request.identity {
        *badge = Some(picked.token);
    }
    block(ws.break_glass(request)).unwrap();
}

#[test]
fn an_emergency_by_badge_says_so_and_somebody_elses_badge_hinders_nobody() {
    let (_dir, _p, ws) = station();
    emergency_by_badge(&ws);
    assert_eq!(last(&ws, "break-glass")["notes"]["assurance"], "badge+pin");
    // With a token, as the emergency dialog does it.
    let theirs = block(ws.badge(badge_of("lee"))).unwrap().token;
    let other = block(ws.badge(badge_of("rao"))).unwrap().token;
    for (badge, assurance) in [
        (theirs.as_str(), "badge+pin"),
        (other.as_str(), "pin"),
        ("unknown", "pin"),
    ] {
        let token = block(ws.identify_with("lee", pin("lee"), held(badge))).unwrap();
        let mut request = with_pin("lee", pin("lee"), "p2");
        request.identity = Identity::Token(token.as_str().to_owned());
        block(ws.break_glass(request)).unwrap();
        assert_eq!(last(&ws, "break-glass")["notes"]["assurance"], assurance);
    }
}

#[test]
fn two_badges_at_once_make_one_session() {
    let dir = tempfile::tempdir().unwrap();
    let p: Profiled = plant(dir.path(), &people());
    let ws = open(&p);
    let (lee, rao) = (
        block(ws.badge(badge_of("lee"))).unwrap().token,
        block(ws.badge(badge_of("rao"))).unwrap().token,
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (a, b) = runtime.block_on(async {
        let (a, b) = (
            ws.sign_in_by_badge(&lee, pin("lee")),
            ws.sign_in_by_badge(&rao, pin("rao")),
        );
        tokio::join!(a, b)
    });
    let here = ws.session().unwrap().user;
    let both: Vec<String> = [a, b]
        .into_iter()
        .filter_map(Result::ok)
        .map(|v| v.user)
        .collect();
    assert!(both.contains(&here), "{here} of {both:?}");
}
