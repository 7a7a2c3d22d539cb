//! A disk without room: the emergency card opens and is recorded in the reserve; everything else fails closed; when
//! there is room again the rows move into the chain.
//!
//! Runs on a small file system of its own (`unshare -m` and tmpfs), which needs root; elsewhere it says so.

mod support;

use std::path::PathBuf;
use support::small_disk::{self, fill};
use support::{block, open, outbox, people, pin, plant, with_pin};
use vitrine_engine::EngineError;

const CHILD: &str = "VITRINE_TEST_FULL_CHILD";

/// Not a test of its own: runs inside the small file system.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = PathBuf::from(dir);
    let p = plant(&dir.join("profile"), &people());

    // The disk fills while the workstation is open.
    let ws = open(&p);
    block(ws.sign_in("lee", pin("lee"))).unwrap();
    block(ws.search("li")).unwrap();
    let filler = fill(&dir);
    let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p1"))).unwrap();
    assert_eq!(card.allergies.items[0].agent, "penicillin");
    let alarms = ws.status().alarms;
    assert!(alarms.iter().any(|a| a.contains("reserve")), "{alarms:?}");
    let closed = block(ws.search("li")).unwrap_err();
    assert!(matches!(closed, EngineError::AuditFailed(_)), "{closed:?}");
    drop(ws);

    // A start on the full disk.
    let watch = vitrine_engine::clock::Stopwatch::start();
    let ws = open(&p);
    let card = block(ws.break_glass(with_pin("rao", pin("rao"), "p1"))).unwrap();
    assert!(watch.ms() < 1_000.0, "{} ms", watch.ms());
    assert_eq!(card.allergies.items[0].agent, "penicillin");
    let alarms = ws.status().alarms;
    assert!(alarms.iter().any(|a| a.contains("reserve")), "{alarms:?}");
    assert!(block(ws.sign_in("lee", pin("lee"))).is_err());
    drop(ws);

    // Room again: both emergencies are in the chain.
    std::fs::remove_file(filler).unwrap();
    drop(open(&p));
    let rows = outbox(&p).rows(0, 100).unwrap().rows;
    let actions: Vec<String> = rows
        .iter()
        .map(|r| {
            serde_json::from_str::<serde_json::Value>(&r.body).unwrap()["action"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        actions,
        [
            "sign-in",
            "search-patients",
            "break-glass",
            "read-card",
            "break-glass",
            "read-card"
        ]
    );
    let grants = outbox(&p).grants(false).unwrap();
    assert_eq!(grants.len(), 2);
    assert!(
        grants
            .iter()
            .all(|g| g.ended.is_some_and(|e| e.by.code() == "reserve")),
        "whether whoever made them has locked meanwhile could not be written: {grants:?}"
    );
    outbox(&p).verify(None).unwrap();
    println!("FULL-DISK-OK");
}

#[test]
fn on_a_full_disk() {
    small_disk::run(CHILD, "child", "FULL-DISK-OK");
}
