//! A disk without room: the emergency card opens and is recorded in the reserve; everything else fails closed; when
//! there is room again the rows move into the chain.
//!
//! Runs on a small file system of its own (`unshare -m` and tmpfs), which needs root; elsewhere it says so.

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use support::{block, open, outbox, people, pin, plant, with_pin};
use vitrine_engine::EngineError;

const CHILD: &str = "VITRINE_TEST_FULL_CHILD";

fn fill(dir: &std::path::Path) -> PathBuf {
    let path = dir.join("filler");
    let mut f = std::fs::File::create(&path).unwrap();
    for size in [1 << 16, 4096, 512, 1] {
        let block = vec![7_u8; size];
        while f.write_all(&block).is_ok() {}
    }
    path
}

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
    if std::env::var(CHILD).is_ok() {
        return;
    }
    let mount = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=8m tmpfs \"$1\" && exec \"$2\" --exact child --nocapture --test-threads=1";
    let ran = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(mount.path())
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, mount.path())
        .output();
    let out = match ran {
        Ok(out) => out,
        Err(e) => {
            println!("skipped: unshare cannot be run ({e})");
            return;
        }
    };
    let (stdout, stderr) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    if stderr.contains("unshare") || stderr.contains("mount:") {
        println!(
            "skipped: no file system of its own without root ({})",
            stderr.lines().next().unwrap_or_default()
        );
        return;
    }
    assert!(
        out.status.success() && stdout.contains("FULL-DISK-OK"),
        "{stdout}\n{stderr}"
    );
}
