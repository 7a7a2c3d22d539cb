//! Killed at any moment: no acknowledged row is lost, no snapshot is half shown, the profile opens again.
//!
//! A child process (this test's own program) writes audit rows and snapshots and says on stdout what is durable; it is
//! killed at random moments, many hundred times.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Dice, essentials, outbox, people, plant};
use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, UtcMs};
use vitrine_engine::{cache, entropy};
use vitrine_store_sqlcipher::workstation::{Incoming, Prepared};

const CHILD: &str = "VITRINE_TEST_CRASH_CHILD";
/// Snapshot items of one generation.
const ITEMS: usize = 60;

fn entry(n: u64) -> AuditEntry {
    AuditEntry {
        access_id: entropy::access_id(UtcMs(1_000 + n as i64)).unwrap(),
        at: UtcMs(1_000 + n as i64),
        actor: Actor::Device(DeviceId::new("dev-1").unwrap()),
        device: None,
        action: "self-test".into(),
        purpose: Purpose::Operations,
        decision: Decision::Permit,
        rule: "test".into(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: [("n".to_owned(), n.to_string())].into(),
    }
}

/// Not a test of its own: the child. Does nothing unless the parent asks for it.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let p = support::Profiled {
        dir: PathBuf::from(dir),
        device: "dev-1".into(),
    };
    let (o, e) = (outbox(&p), essentials(&p));
    let mut out = std::io::stdout().lock();
    let generation = e.scope("board:ED").unwrap().map_or(0, |s| s.pos);
    writeln!(out, "ready {}", o.head().unwrap().seq).unwrap();
    for g in generation + 1.. {
        // A snapshot in parts, with audit rows between them.
        let resumed = e
            .scope("board:ED")
            .unwrap()
            .and_then(|s| s.staged)
            .filter(|s| s.pos == g);
        let mut from = 0;
        match resumed {
            Some(s) => from = s.items as usize,
            None => e.begin("board:ED", "e", g, 0).unwrap(),
        }
        for part in (from..ITEMS).step_by(10) {
            let body = format!(r#"{{"generation":{g},"filler":"{}"}}"#, "x".repeat(400));
            let keys: Vec<String> = (part..(part + 10).min(ITEMS))
                .map(|k| format!("k{k:03}"))
                .collect();
            let items: Vec<Prepared> = keys
                .iter()
                .map(|key| {
                    Prepared::new(&Incoming {
                        key,
                        ver: g,
                        version: None,
                        body: Some(body.as_bytes()),
                        terms: "",
                    })
                })
                .collect();
            e.stage("board:ED", &items).unwrap();
            let receipts = o.append(&[entry(g)], None).unwrap();
            writeln!(out, "row {}", receipts[0].seq()).unwrap();
            out.flush().unwrap();
        }
        e.finish("board:ED", "e", g, 0).unwrap();
        writeln!(out, "shown {g}").unwrap();
        out.flush().unwrap();
        while e.clear(50).unwrap() {}
    }
}

#[test]
fn killed_hundreds_of_times() {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    essentials(&p).forget("board:ED").unwrap();
    let cycles: u32 = std::env::var("VITRINE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let (mut acked, mut shown, mut doubled) = (0_u64, 0_u64, 0_u64);
    let mut dice = Dice(u64::from_be_bytes(entropy::bytes().unwrap()));
    println!("SEED={}", dice.0);
    for cycle in 0..cycles {
        let wait = std::time::Duration::from_micros(500 + dice.roll(30_000));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, &p.dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The clock of the kill begins when the child works, else every kill hits the start.
        for line in lines.by_ref() {
            if line.unwrap().contains("ready") {
                break;
            }
        }
        std::thread::sleep(wait);
        child.kill().unwrap();
        let said: Vec<String> = lines.map_while(Result::ok).collect();
        child.wait().unwrap();
        for line in &said {
            match line.split_once(' ') {
                Some(("row", n)) => {
                    let n: u64 = n.parse().unwrap();
                    assert!(n > acked, "row {n} was given twice");
                    acked = n;
                }
                Some(("shown", g)) => shown = g.parse().unwrap(),
                _ => {}
            }
        }
        let o = outbox(&p);
        let head = o.verify(None).unwrap();
        assert!(
            head.seq >= acked,
            "cycle {cycle}: row {acked} was acknowledged, the chain ends at {}",
            head.seq
        );
        doubled += u64::from(head.seq > acked + 1);
        acked = head.seq;
        let e = essentials(&p);
        if let Some(s) = e.scope("board:ED").unwrap().filter(|s| s.complete) {
            assert!(s.pos >= shown, "cycle {cycle}: a shown snapshot went back");
            shown = s.pos;
            let refs = e.refs("board:ED").unwrap();
            assert_eq!(refs.len(), ITEMS, "cycle {cycle}: half a snapshot is shown");
            assert!(
                refs.iter().all(|r| r.ver == s.pos),
                "cycle {cycle}: two snapshots are mixed"
            );
            let mut digest = vitrine_wire::digest::ScopeDigest::default();
            for r in &refs {
                digest.add(&r.key, r.ver, &r.hash);
            }
            assert_eq!(
                cache::scope_digest(&s.digest).hex(),
                digest.hex(),
                "cycle {cycle}: the running digest is off"
            );
        }
        assert!(
            e.scope("ess:ED")
                .unwrap()
                .is_some_and(|s| s.complete && s.items == 6)
        );
    }
    assert_eq!(doubled, 0, "more than one unacknowledged row at a kill");
    assert!(
        acked > u64::from(cycles),
        "the child hardly worked: {acked} rows in {cycles} cycles"
    );
    println!("{cycles} kills, {acked} rows, {shown} snapshots, 0 lost");
}
