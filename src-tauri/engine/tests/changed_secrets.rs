//! A password or PIN that was changed: no key that the old one opens stays, whatever comes first (ADR 55).

mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::{Profiled, answering, answering_after, block, essentials, keys, open, people, plant};
use vitrine_engine::clock::Clock;
use vitrine_engine::keys::{SlotKind, hash_pin};
use vitrine_engine::{EngineError, Workstation};
use vitrine_wire::http::DirUser;

const PASSWORD: &str = "correct horse";
const PIN: &str = "482915";
const NEWER_PIN: &str = "802461";

fn phc(pin: &str) -> String {
    hash_pin(pin, b"0123456789abcdef").unwrap()
}

/// The staff list comes, with this PIN and this mark of the password.
fn list(p: &Profiled, pin: &str, password_mark: &str) {
    let lee = DirUser {
        user: "lee".into(),
        display: "Dr LEE".into(),
        role: "physician".into(),
        wards: vec!["ED".into()],
        pin_phc: Some(phc(pin)),
        disabled: false,
        badges: Vec::new(),
        password_mark: Some(password_mark.into()),
    };
    let item = ("user/lee".to_owned(), serde_json::to_vec(&lee).unwrap());
    support::stage(&essentials(p), "dir", &[item], false, Clock::new().wall().0);
}

fn admitted() -> (&'static str, u16, Value) {
    let body = json!({"token": "t", "expires_in_s": 900, "display": "Dr LEE", "role": "physician", "wards": ["ED"],
        "server_time_ms": Clock::new().wall().0});
    ("/auth/login", 200, body)
}

/// Record files that are here.
fn records(p: &Profiled) -> Vec<String> {
    let all = std::fs::read_dir(&p.dir).unwrap().flatten();
    all.map(|f| f.file_name().into_string().unwrap())
        .filter(|name| name.starts_with("records-"))
        .collect()
}

fn signed_in(ws: &Workstation, secret: &str) {
    block(async {
        ws.sign_in("lee", secret).await.unwrap();
        ws.settled(Duration::from_secs(30)).await;
    });
    assert!(!ws.session().unwrap().offline, "the server let them in");
    ws.lock();
}

/// Without the server this opens nothing.
fn opens_nothing(ws: &Workstation, secret: &str) {
    let tried = block(ws.sign_in("lee", secret));
    assert!(
        matches!(tried, Err(EngineError::WrongSecret { .. })),
        "{secret}: {tried:?}"
    );
    assert!(ws.session().is_none());
}

#[test]
fn a_key_that_a_secret_makes_while_it_is_changed_does_not_stay() {
    // The server is asked, the secret is changed and the list comes, then the answer: it was right when it was looked at.
    for (secret, newer, had_a_key) in [
        (PASSWORD, (PIN, "p2"), false),
        (PASSWORD, (PIN, "p2"), true),
        (PIN, (NEWER_PIN, "p1"), false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let p = plant(dir.path(), &people());
        list(&p, PIN, "p1");
        let here = p.clone();
        let answers = vec![admitted(); if had_a_key { 2 } else { 1 }];
        let server = answering_after(&p, answers, {
            let asked = std::sync::atomic::AtomicBool::new(had_a_key);
            move || {
                if !asked.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    list(&here, newer.0, newer.1);
                }
            }
        });
        let ws = open(&p);
        if had_a_key {
            signed_in(&ws, secret);
            assert_eq!(keys(&p).1.of("lee").count(), 1);
        }
        signed_in(&ws, secret);
        server.join().unwrap();
        opens_nothing(&ws, secret);
        assert_eq!(keys(&p).1.of("lee").count(), 0, "{secret}");
        assert_eq!(records(&p), [""; 0], "{secret}");
    }
}

#[test]
fn a_key_of_a_changed_secret_is_removed_and_not_opened_where_nobody_heeded_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let (key, mut slots, _) = keys(&p);
    let of_pin = vitrine_engine::entropy::hex(&vitrine_wire::digest::body_hash(phc(PIN).as_bytes()));
    let mut files = Vec::new();
    for (kind, secret, mark) in [
        (SlotKind::Password, PASSWORD, "p1".to_owned()),
        (SlotKind::Pin, PIN, of_pin),
    ] {
        let made = slots.enrol_user("lee", kind, secret, key.dk(), Some(mark));
        let file = made.unwrap().1.records;
        std::fs::write(p.dir.join(&file), "").unwrap();
        files.push(file);
    }
    // The program ended between the list's coming and its being heeded.
    list(&p, PIN, "p2");
    let ws = open(&p);
    opens_nothing(&ws, PASSWORD);
    let left: Vec<String> = keys(&p).1.of("lee").map(|s| s.records.clone()).collect();
    assert_eq!(left, files[1..], "what the PIN opens stays");
    assert_eq!(records(&p), files[1..]);
    block(ws.sign_in("lee", PIN)).unwrap();
}

#[test]
fn a_pin_that_the_list_does_not_know_yet_makes_no_key_that_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    list(&p, PIN, "p1");
    let server = answering(&p, vec![admitted()]);
    let ws = open(&p);
    signed_in(&ws, NEWER_PIN);
    server.join().unwrap();
    // Changed once more; the password is what it was.
    list(&p, "619357", "p1");
    opens_nothing(&ws, NEWER_PIN);
    assert_eq!(keys(&p).1.of("lee").count(), 0);
    assert_eq!(records(&p), [""; 0]);
}

#[test]
fn a_session_that_was_kept_ends_with_the_secret_that_opened_it() {
    for (secret, with_key, newer, holds) in [
        (PIN, None, (NEWER_PIN, "p1"), false),
        (PIN, None, (PIN, "p2"), true),
        (PIN, Some(SlotKind::Pin), (NEWER_PIN, "p1"), false),
        (PASSWORD, Some(SlotKind::Password), (PIN, "p2"), false),
        (PASSWORD, Some(SlotKind::Password), (NEWER_PIN, "p1"), true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let p = plant(dir.path(), &people());
        list(&p, PIN, "p1");
        if let Some(kind) = with_key {
            // Without a mark, as one from before: it takes the list's.
            support::give_records(&p, "lee", secret, kind, &people()[..1]);
        }
        let ws = open(&p);
        block(ws.sign_in("lee", secret)).unwrap();
        block(ws.save_session(secret)).unwrap();
        drop(ws);
        let ws = open(&p);
        assert_eq!(ws.restore_session().unwrap().user, "lee");
        drop(ws);
        list(&p, newer.0, newer.1);
        let ws = open(&p);
        let restored = ws.restore_session();
        let said = format!("{secret} {with_key:?} {newer:?}: {restored:?}");
        assert_eq!(restored.is_ok(), holds, "{said}");
        assert_eq!(p.dir.join("session.bin").exists(), holds, "{said}");
        assert_eq!(ws.session().is_some(), holds, "{said}");
    }
}
