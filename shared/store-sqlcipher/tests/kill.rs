//! SIGKILL at random moments: nothing acknowledged is lost, nothing is applied twice.
//!
//! The test starts itself as a child that writes and says what was acknowledged; the parent kills it, and the next
//! child sends again whatever was not acknowledged, with the same operation ids. `VITRINE_KILLS` sets the cycles.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a test with its own tasks and times")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, key, note, pat, put};
use vitrine_store::{ChangeBatch, ChartStore, Feed, Store};
use vitrine_store_sqlcipher::{Key, OpenOptions, SealState, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

const LANES: usize = 4;
const CHILD: &str = "VITRINE_KILL_CHILD";

fn open(path: &Path) -> Arc<SqlcipherStore> {
    let key = Key::new(Zeroizing::new([7; 32]));
    let options = StoreOptions {
        readers: 1,
        preparers: 1,
        // So often that many a kill falls into the moving of the WAL.
        open: OpenOptions {
            create: true,
            checkpoint_pages: 40,
            ..OpenOptions::default()
        },
        ..StoreOptions::default()
    };
    SqlcipherStore::open(path, key, Arc::new(NoteProjector), options).expect("opened")
}

/// Operation `n` of a lane: always the same. The counter gets one version per operation.
fn operation(h: &Hospital, lane: usize, n: u64) -> ChangeBatch {
    let p = format!("p{lane}");
    let ops = vec![
        put(&format!("Flag/{lane}-{n}"), &note(&p, "flag", "once")),
        put(
            &format!("Condition/counter-{lane}"),
            &note(&p, "counter", &n.to_string()),
        ),
    ];
    ChangeBatch {
        op_id: Uuid::from_u128((lane as u128) << 64 | u128::from(n)),
        ..h.batch(ops)
    }
}

/// What a child does: `<path> <next of lane 0> … <cycle>`.
#[test]
fn child() {
    let Ok(words) = std::env::var(CHILD) else { return };
    let mut words = words.split('\n');
    let path = words.next().expect("a path").to_owned();
    let numbers: Vec<u64> = words.map(|w| w.parse().expect("a number")).collect();
    let (next, cycle) = numbers.split_at(LANES);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let store: Arc<dyn Store> = open(Path::new(&path));
        let h = Arc::new(Hospital::new(store, cycle[0] * 1_000_000));
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let (h, first) = (h.clone(), next[lane]);
                tokio::spawn(async move {
                    for n in first.. {
                        let batch = operation(&h, lane, n);
                        h.store.apply(&h.client(None), batch).await.expect("applied");
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "acked {lane} {n}")
                            .and_then(|()| out.flush())
                            .expect("said");
                    }
                })
            })
            .collect();
        for lane in lanes {
            lane.await.expect("a lane");
        }
    });
}

/// SplitMix64, so that a failing run can be had again.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

async fn check(path: &Path, acked: &[u64]) {
    let store = open(path);
    let report = store.verify_audit().await.expect("the audit chain is whole");
    assert_eq!(report.seal, SealState::Whole);
    for (lane, acked) in acked.iter().enumerate() {
        let counter = store
            .lookup(&key(&format!("Condition/counter-{lane}")))
            .await
            .expect("lookup");
        let version = counter.map_or(0, |(v, _)| v);
        // One operation per lane is in flight: it may be durable without its answer having arrived.
        assert!(
            version == *acked || version == acked + 1,
            "lane {lane}: {acked} acknowledged, {version} applied"
        );
        for n in 1..=*acked {
            let found = store
                .lookup(&key(&format!("Flag/{lane}-{n}")))
                .await
                .expect("lookup");
            assert_eq!(
                found.map(|(v, _)| v),
                Some(1),
                "operation {n} of lane {lane} was acknowledged"
            );
        }
        let rev = store.revision(&pat(&format!("p{lane}"))).await.expect("revision");
        assert_eq!(rev, version * 2, "no half operation");
    }
    let feed = store
        .changes_since(0, None, usize::MAX >> 1)
        .await
        .expect("feed")
        .rows;
    assert!(
        feed.iter().enumerate().all(|(n, r)| r.pos == n as u64 + 1),
        "the feed has no gap"
    );
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_comes_twice() {
    let kills: u64 = std::env::var("VITRINE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200);
    let mut seed: u64 = std::env::var("VITRINE_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_261_121);
    eprintln!("kills {kills}, seed {seed}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vitrine.db");
    drop(open(&path));
    let mut acked = [0_u64; LANES];
    for cycle in 1..=kills {
        let mut words = vec![path.to_string_lossy().into_owned()];
        words.extend(acked.iter().map(|n| (n + 1).to_string()));
        words.push(cycle.to_string());
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["child", "--exact", "--nocapture", "--test-threads", "1"])
            .env(CHILD, words.join("\n"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let out = BufReader::new(child.stdout.take().expect("its words"));
        let said = std::thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<_>>());
        // From before the store is open to well into writing.
        std::thread::sleep(Duration::from_micros(10_000 + random(&mut seed) % 90_000));
        child.kill().expect("killed");
        child.wait().expect("gone");
        for line in said.join().expect("read") {
            // A kill may cut the last line; what was not read was not acknowledged.
            // The test harness begins a line of its own before the first.
            let Some((_, words)) = line.split_once("acked ") else {
                continue;
            };
            let mut words = words.split(' ').map(str::parse::<u64>);
            if let (Some(Ok(lane)), Some(Ok(n))) = (words.next(), words.next()) {
                let last = &mut acked[usize::try_from(lane).expect("a lane")];
                if n == *last + 1 {
                    *last = n;
                }
            }
        }
        if cycle % 25 == 0 || cycle == kills {
            check(&path, &acked).await;
        }
    }
    let total: u64 = acked.iter().sum();
    eprintln!("{total} acknowledged operations in {kills} kills");
    assert!(
        total >= kills * 5,
        "enough was written for the test to mean something: {total}"
    );
}
