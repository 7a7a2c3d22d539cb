//! How emergency access ends at a workstation without a server, and how its words come later: each is on the disk with its audit row,
//! and what has ended opens nothing any more.

mod support;

use serde_json::Value;
use std::time::Duration;
use support::{Profiled, block, open, options, outbox, people, pin, plant, station, with_pin};
use vitrine_access::grant::EndedBy;
use vitrine_clinical::{UserId, UtcMs};
use vitrine_engine::{BreakGlass, EngineError, Identity, Workstation};
use vitrine_store_sqlcipher::workstation::MadeGrant;
use vitrine_wire::ErrorCode;
use vitrine_wire::view::EngineEvent;

/// Rows of these actions, in order.
fn rows(p: &Profiled, actions: &[&str]) -> Vec<Value> {
    let all = outbox(p).rows(0, 10_000).unwrap().rows;
    let all = all
        .iter()
        .map(|r| serde_json::from_str::<Value>(&r.body).unwrap());
    all.filter(|r| actions.contains(&r["action"].as_str().unwrap()))
        .collect()
}

fn ends(p: &Profiled) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    rows(p, &["end-break-glass"])
        .iter()
        .map(|r| (text(&r["rule"]), text(&r["notes"]["of"])))
        .collect()
}

fn of(p: &Profiled, user: &str) -> Vec<MadeGrant> {
    let user = UserId::new(user).unwrap();
    outbox(p).grants_of(&user, UtcMs(0)).unwrap()
}

/// Signed in as Dr LEE, with the glass broken for the patient of another ward.
fn broken(ws: &Workstation) -> String {
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    break_again(ws)
}

fn break_again(ws: &Workstation) -> String {
    let asked = BreakGlass {
        identity: Identity::Session,
        ..with_pin("", "", "p2")
    };
    let card = block(ws.break_glass(asked)).unwrap();
    assert!(block(ws.chart("p2")).unwrap().break_glass_text.is_some());
    card.broken.unwrap().grant
}

fn denied(ws: &Workstation) {
    let e = block(ws.chart("p2")).unwrap_err();
    assert!(
        e.code() == ErrorCode::Denied && e.view().break_glass_offered,
        "{e:?}"
    );
}

#[test]
fn a_lock_by_hand_ends_it_and_a_new_press_is_needed() {
    let (_dir, p, ws) = station();
    let grant = broken(&ws);
    ws.lock();
    assert_eq!(ends(&p), [("lock".to_owned(), "lee".to_owned())]);
    let made = of(&p, "lee");
    assert_eq!(made[0].ended.unwrap().by, EndedBy::Lock);
    let row = &rows(&p, &["end-break-glass"])[0];
    assert_eq!(
        (row["grant"].as_str(), row["patient"].as_str()),
        (Some(grant.as_str()), Some("p2"))
    );
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    denied(&ws);
    let second = break_again(&ws);
    assert_ne!(second, grant);
    // What has ended and the new one go up, each with what the server has to know of it.
    let due = outbox(&p).grants(false).unwrap();
    assert_eq!(due.iter().map(|g| g.rev).collect::<Vec<_>>(), [1, 0]);
    assert!(block(ws.audit_verify()).is_ok());
}

#[test]
fn nobody_at_the_screen_for_a_while_ends_nothing_for_the_person_who_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let o = vitrine_engine::Options {
        idle_lock: Duration::from_millis(1_500),
        ..options()
    };
    let ws = Workstation::open(&p.dir, o).unwrap();
    broken(&ws);
    // By the engine, and by the screen.
    std::thread::sleep(Duration::from_millis(1_700));
    assert!(ws.session().is_none());
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(block(ws.chart("p2")).unwrap().break_glass_text.is_some());
    ws.lock_idle();
    assert!(ws.session().is_none());
    assert!(ends(&p).is_empty());
    let locked = rows(&p, &["sign-out"]);
    assert!(locked.iter().all(|r| r["rule"] == "idle") && locked.len() == 2);
    // Somebody else who signs in instead ends it, and gets nothing of it.
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    assert_eq!(ends(&p), [("switch".to_owned(), "lee".to_owned())]);
    assert_eq!(rows(&p, &["end-break-glass"])[0]["actor"]["User"], "rao");
    ws.lock();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    denied(&ws);
}

#[test]
fn the_program_that_is_closed_ends_it_and_one_that_crashes_loses_nothing() {
    let (_dir, p, ws) = station();
    broken(&ws);
    // A crash: nothing is said at the end. Whoever comes back goes on.
    drop(ws);
    let ws = open(&p);
    assert!(ends(&p).is_empty());
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert!(block(ws.chart("p2")).unwrap().break_glass_text.is_some());
    ws.lock();
    drop(ws);
    // The end was on the disk when the lock returned.
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    denied(&ws);
    break_again(&ws);
    assert!(ws.close(Duration::from_secs(10)));
    drop(ws);
    let by: Vec<String> = ends(&p).into_iter().map(|(by, _)| by).collect();
    assert_eq!(by, ["lock", "closed"]);
    let ws = open(&p);
    assert!(block(ws.audit_verify()).is_ok());
}

#[test]
fn it_is_ended_at_once_by_its_user_and_by_nobody_else() {
    let (_dir, p, ws) = station();
    let grant = broken(&ws);
    block(ws.end_break_glass(&grant)).unwrap();
    block(ws.end_break_glass(&grant)).unwrap();
    block(ws.end_break_glass("nothing")).unwrap();
    assert_eq!(ends(&p), [("user".to_owned(), "lee".to_owned())], "once");
    denied(&ws);
    ws.lock();
    assert_eq!(ends(&p).len(), 1, "what has ended does not end again");

    // From the lock screen: whose card it was may end it, whoever is signed in by then may not end another's.
    let card = block(ws.break_glass(with_pin("lee", pin("lee"), "p2"))).unwrap();
    let opened = card.broken.unwrap();
    assert!(opened.owed_text.unwrap().starts_with("No words yet: due by "));
    block(ws.end_break_glass(&opened.grant)).unwrap();
    assert_eq!(ends(&p).len(), 2);
    let theirs = broken(&ws);
    ws.lock_idle();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p3"))).unwrap();
    let other = block(ws.end_break_glass(&card.broken.unwrap().grant)).unwrap_err();
    assert!(matches!(other, EngineError::Usage(_)), "{other:?}");
    block(ws.end_break_glass(&theirs)).unwrap();
}

#[test]
fn when_its_time_is_over_the_screen_is_told_and_nothing_is_open_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let o = vitrine_engine::Options {
        emergency_access: Duration::from_secs(6),
        ..options()
    };
    let ws = Workstation::open(&p.dir, o.clone()).unwrap();
    let mut events = ws.events();
    let over = |events: &mut tokio::sync::broadcast::Receiver<EngineEvent>| {
        block(async {
            let told = async {
                loop {
                    if let EngineEvent::EmergencyEnded(view) = events.recv().await.unwrap() {
                        return view;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(30), told).await
        })
        .expect("nobody was told")
    };
    let grant = broken(&ws);
    let view = over(&mut events);
    assert!(
        view.grant == grant && view.text.starts_with("This emergency access ended at "),
        "{view:?}"
    );
    denied(&ws);
    assert!(ends(&p).is_empty(), "no end before its time");
    // One that ended before its time is not said again; one of before a crash is.
    let ended = break_again(&ws);
    block(ws.end_break_glass(&ended)).unwrap();
    let last = break_again(&ws);
    drop((ws, events));
    let ws = Workstation::open(&p.dir, o).unwrap();
    let mut events = ws.events();
    assert_eq!(over(&mut events).grant, last);
}

#[test]
fn words_come_later_once_and_from_whom_they_are_due() {
    let (_dir, p, ws) = station();
    let grant = broken(&ws);
    assert!(
        block(ws.chart("p2")).unwrap().broken.unwrap().owed_text.is_some(),
        "the frame says that they are owed"
    );
    let owed = block(ws.break_glass_owed()).unwrap().owed;
    assert_eq!(owed.len(), 1);
    assert!(
        owed[0].text.starts_with("Emergency access to LI, Wei at ")
            && owed[0].text.ends_with(" has no words yet"),
        "{}",
        owed[0].text
    );
    assert!(!owed[0].late);
    let listed = rows(&p, &["search-patients"]);
    assert_eq!(
        listed[0]["disclosure"]["patients"],
        serde_json::json!(["p2"]),
        "no log, no look"
    );

    let usage = |r: Result<(), EngineError>| assert!(matches!(r, Err(EngineError::Usage(_))), "{r:?}");
    usage(block(ws.break_glass_words(&grant, "  ")));
    usage(block(ws.break_glass_words(&grant, &"x".repeat(2_001))));
    usage(block(ws.break_glass_words("nothing", "Found in the lift.")));
    ws.lock();
    assert!(matches!(
        block(ws.break_glass_words(&grant, "Found in the lift.")),
        Err(EngineError::NotSignedIn)
    ));
    block(ws.sign_in("rao", pin("rao"))).unwrap();
    usage(block(ws.break_glass_words(&grant, "Hers.")));
    assert!(block(ws.break_glass_owed()).unwrap().owed.is_empty());
    ws.lock();
    assert!(rows(&p, &["explain-break-glass"]).is_empty());

    // After the grant has ended, too.
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    assert_eq!(block(ws.break_glass_owed()).unwrap().owed[0].grant, grant);
    block(ws.break_glass_words(&grant, " Found in the lift. ")).unwrap();
    usage(block(ws.break_glass_words(&grant, "Otherwise.")));
    assert!(block(ws.break_glass_owed()).unwrap().owed.is_empty());
    drop(ws);
    let explained = rows(&p, &["explain-break-glass"]);
    assert_eq!(explained.len(), 1);
    assert_eq!(
        (
            explained[0]["grant"].as_str(),
            explained[0]["notes"]["words"].as_str()
        ),
        (Some(grant.as_str()), Some("Found in the lift."))
    );
    let due = outbox(&p).grants(false).unwrap();
    assert_eq!(
        (due[0].rev, due[0].words.as_ref().unwrap().text.as_str()),
        (2, "Found in the lift.")
    );
    // The server holds the grant and its end; the words are still to go up.
    let o = outbox(&p);
    o.grant_sent(&grant, 1, UtcMs(1)).unwrap();
    assert_eq!(
        (o.grants(false).unwrap().len(), o.tally().unwrap().grants),
        (1, 1)
    );
    o.grant_sent(&grant, 9, UtcMs(1)).unwrap();
    assert_eq!(
        (o.grants(false).unwrap().len(), o.tally().unwrap().grants),
        (0, 0)
    );
    assert_eq!(o.grants(true).unwrap()[0].rev, 2);
}

#[test]
fn words_given_at_once_are_owed_no_more() {
    let (_dir, _p, ws) = station();
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    let asked = BreakGlass {
        identity: Identity::Session,
        words: Some("no pulse".into()),
        ..with_pin("", "", "p2")
    };
    let opened = block(ws.break_glass(asked)).unwrap().broken.unwrap();
    assert_eq!(opened.owed_text, None);
    assert!(block(ws.break_glass_owed()).unwrap().owed.is_empty());
    assert!(block(ws.break_glass_words(&opened.grant, "more")).is_err());
}
