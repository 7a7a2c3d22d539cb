//! The redo log against SIGKILL, restarts and damage: a restore to any moment holds exactly what was committed by it.
//!
//! As in `kill.rs` the test starts itself as a child that writes and says what was acknowledged, with the number of its
//! audit row; the log says when that row was committed. `VITRINE_RESTORES` sets how many moments are tried,
//! `VITRINE_REDO_KILLS` how often the child is killed.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a test with its own tasks and times")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use vitrine_clinical::UtcMs;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, key, note, put};
use vitrine_store::{ChangeBatch, ChartStore, Contents, Store, StoreError};
use vitrine_store_sqlcipher::redo::{self, Position};
use vitrine_store_sqlcipher::{Key, OpenOptions, RedoOptions, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

const LANES: usize = 4;
const CHILD: &str = "VITRINE_REDO_CHILD";

fn the_key() -> Key {
    Key::new(Zeroizing::new([7; 32]))
}

fn clock() -> UtcMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UtcMs(i64::try_from(since.unwrap().as_millis()).unwrap())
}

fn folder_of(path: &Path) -> PathBuf {
    path.with_file_name("redo")
}

/// With a WAL that begins anew every few commits, so that there are many segments.
fn open_with(path: &Path, pages: u32) -> Arc<SqlcipherStore> {
    let options = StoreOptions {
        open: OpenOptions {
            create: true,
            checkpoint_pages: pages,
            ..OpenOptions::default()
        },
        readers: 1,
        preparers: 1,
        redo: Some(RedoOptions {
            folder: folder_of(path),
            clock,
        }),
        ..StoreOptions::default()
    };
    SqlcipherStore::open(path, the_key(), Arc::new(NoteProjector), options).expect("opened")
}

fn open_plain(path: &Path) -> Arc<SqlcipherStore> {
    SqlcipherStore::open(path, the_key(), Arc::new(NoteProjector), StoreOptions::default()).expect("opened")
}

fn text_of(lane: usize, n: u64) -> String {
    format!("{lane} {n} {}", "words ".repeat(usize::try_from(n % 60).unwrap()))
}

fn operation(h: &Hospital, lane: usize, n: u64) -> ChangeBatch {
    let p = format!("p{lane}");
    let ops = vec![put(
        &format!("Flag/{lane}-{n}"),
        &note(&p, "flag", &text_of(lane, n)),
    )];
    ChangeBatch {
        op_id: Uuid::from_u128((lane as u128) << 64 | u128::from(n)),
        ..h.batch(ops)
    }
}

/// What a child does: `<path> <next of lane 0> …`.
#[test]
fn child() {
    let Ok(words) = std::env::var(CHILD) else { return };
    let mut words = words.split('\n');
    let path = words.next().expect("a path").to_owned();
    let next: Vec<u64> = words.map(|w| w.parse().expect("a number")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let store: Arc<dyn Store> = open_with(Path::new(&path), 64);
        let h = Arc::new(Hospital::new(store, next.iter().sum::<u64>() * 10));
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let (h, first) = (h.clone(), next[lane]);
                tokio::spawn(async move {
                    for n in first.. {
                        let (applied, receipt) = h
                            .store
                            .apply(&h.client(None), operation(&h, lane, n))
                            .await
                            .expect("applied");
                        let again = u8::from(applied.duplicate);
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "acked {lane} {n} {} {again} .", receipt.seq())
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

/// An acknowledged write.
#[derive(Clone, Copy)]
struct Acked {
    lane: usize,
    n: u64,
    audit: u64,
    /// It was durable before, without its answer having arrived.
    again: bool,
}

fn read_ack(line: &str) -> Option<Acked> {
    let words: Vec<&str> = line.split_once("acked ")?.1.split(' ').collect();
    let [lane, n, audit, again, "."] = words.as_slice() else {
        return None;
    };
    Some(Acked {
        lane: lane.parse().ok()?,
        n: n.parse().ok()?,
        audit: audit.parse().ok()?,
        again: *again == "1",
    })
}

/// Lets a child write until it is killed; what it acknowledged.
fn write_and_kill(path: &Path, next: &[u64; LANES], wait: Duration) -> Vec<Acked> {
    let mut words = vec![path.to_string_lossy().into_owned()];
    words.extend(next.iter().map(u64::to_string));
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["child", "--exact", "--nocapture", "--test-threads", "1"])
        .env(CHILD, words.join("\n"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let out = BufReader::new(child.stdout.take().expect("its words"));
    let said = std::thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(wait);
    child.kill().expect("killed");
    child.wait().expect("gone");
    said.join()
        .expect("read")
        .iter()
        .filter_map(|l| read_ack(l))
        .collect()
}

fn mark(contents: &Contents) -> (Position, UtcMs) {
    let log = contents.log.as_ref().expect("a position in the redo log");
    (log.position.parse().expect("a position"), log.at)
}

/// A copy of `base`, rolled forward to a moment.
fn restored(base: &Path, from: &Position, at: UtcMs, to: &Path) -> redo::Rolled {
    std::fs::create_dir_all(to).unwrap();
    let path = to.join("vitrine.db");
    std::fs::copy(base, &path).unwrap();
    let folder = folder_of(base);
    redo::roll_forward(&folder, &the_key(), from, Some(at), false, Some(&path)).expect("rolled forward")
}

#[tokio::test]
async fn a_restore_to_any_moment_holds_exactly_what_was_committed_by_it() {
    let number = |name: &str, default: u64| {
        let text = std::env::var(name).ok();
        text.and_then(|n| n.parse().ok()).unwrap_or(default)
    };
    let (restores, mut dice) = (number("VITRINE_RESTORES", 30), number("VITRINE_SEED", 20_261_126));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let base = folder.path().join("base.db");
    let store = open_with(&path, 64);
    let (from, began) = mark(&store.backup_to(&base, None).await.unwrap());
    drop(store);
    let mut ledger: Vec<Acked> = Vec::new();
    let mut next = [1_u64; LANES];
    let kills = number("VITRINE_REDO_KILLS", 12);
    let mut cycle = 0;
    // On a busy machine a child may be killed before it has written anything.
    while cycle < kills || (ledger.len() < 400 && cycle < kills + 60) {
        let wait = Duration::from_micros(150_000 + random(&mut dice) % 350_000);
        for a in write_and_kill(&path, &next, wait) {
            assert_eq!(a.n, next[a.lane], "in order");
            next[a.lane] += 1;
            ledger.push(a);
        }
        if cycle % 4 == 3 {
            // A start that writes and ends as it should, between the kills.
            let store = open_with(&path, 64);
            let h = Hospital::new(store.clone(), 5_000_000 + cycle * 100);
            h.apply(vec![put("Flag/between", &note("p0", "flag", &cycle.to_string()))])
                .await;
            assert!(store.settle_redo().await.unwrap().is_none(), "the log is kept");
        }
        cycle += 1;
    }
    drop(open_with(&path, 64));
    let all = redo::streams(&folder_of(&base), &the_key()).unwrap();
    assert_eq!(all.len(), 1, "no kill made a gap: {all:?}");
    let commits = redo::commits(&folder_of(&base), &the_key(), &from.stream).unwrap();
    assert!(
        ledger.len() > 300 && all[0].segments > 10,
        "{} {all:?}",
        ledger.len()
    );
    let time_of = |a: &Acked| {
        let c = commits.iter().find(|c| c.audit >= a.audit);
        c.expect("every acknowledged row has a time").at
    };
    let ledger: Vec<(Acked, UtcMs)> = ledger.iter().map(|a| (*a, time_of(a))).collect();
    let mut tried = 0;
    for n in 0..restores {
        // A commit's own moment, just before it, or anywhere.
        let c = commits[usize::try_from(random(&mut dice) % commits.len() as u64).unwrap()];
        let at = match n % 3 {
            0 => c.at,
            1 => UtcMs(c.at.0 - 1),
            _ => {
                let span = u64::try_from(commits.last().unwrap().at.0 - began.0).unwrap();
                UtcMs(began.0 + i64::try_from(random(&mut dice) % (span + 1)).unwrap())
            }
        };
        let at = at.max(began);
        let to = folder.path().join(format!("r{n}"));
        let rolled = restored(&base, &from, at, &to);
        let store = open_plain(&to.join("vitrine.db"));
        let found = store
            .counts()
            .await
            .unwrap()
            .resources
            .get("Flag")
            .copied()
            .unwrap_or(0);
        let by_then: Vec<&Acked> = ledger.iter().filter(|(_, t)| *t <= at).map(|(a, _)| a).collect();
        // A commit whose answer the kill cut off may be there before it was acknowledged the second time.
        let early = ledger.iter().filter(|(a, t)| a.again && *t > at).count() as u64;
        let least = by_then.len() as u64;
        assert!(
            (least..=least + early + 1 + LANES as u64).contains(&found),
            "{found} rows at {at:?}, {least} acknowledged by then"
        );
        for (a, t) in &ledger {
            let near = (t.0 - at.0).abs() < 40 || random(&mut dice).is_multiple_of(40);
            if !near || (a.again && *t > at) {
                continue;
            }
            let held = store
                .lookup(&key(&format!("Flag/{}-{}", a.lane, a.n)))
                .await
                .unwrap();
            let body = note(&format!("p{}", a.lane), "flag", &text_of(a.lane, a.n)).bytes();
            let want = (*t <= at).then_some((1, body));
            assert_eq!(held, want, "row {}-{} of {t:?} at {at:?}", a.lane, a.n);
            tried += 1;
        }
        let report = store.verify_audit().await.expect("the audit chain is whole");
        assert!(report.rows >= rolled.audit, "{report:?} {rolled:?}");
        if n % 10 == 0 {
            assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
            assert_eq!(store.check_rows().await.unwrap().bad, 0);
        }
        drop(store);
        std::fs::remove_dir_all(&to).unwrap();
    }
    eprintln!(
        "{restores} moments, {} rows in the ledger, {} commits in {} segments, {} MiB; {tried} rows compared",
        ledger.len(),
        commits.len(),
        all[0].segments,
        all[0].bytes >> 20
    );
}

/// A small log of several segments: its base, where it begins, and the folder.
async fn small(folder: &Path) -> (PathBuf, Position) {
    let path = folder.join("vitrine.db");
    let base = folder.join("base.db");
    let store = open_with(&path, 24);
    let (from, _) = mark(&store.backup_to(&base, None).await.unwrap());
    let h = Hospital::new(store.clone(), 0);
    for n in 0..30 {
        h.apply(vec![put(
            &format!("Flag/{n}"),
            &note("p1", "flag", &text_of(0, n)),
        )])
        .await;
    }
    assert!(store.settle_redo().await.unwrap().is_none());
    (base, from)
}

#[tokio::test]
async fn damage_of_the_log_at_two_hundred_random_places_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (base, from) = small(folder.path()).await;
    let log = folder_of(&base).join(&from.stream);
    let whole = redo::roll_forward(&folder_of(&base), &the_key(), &from, None, false, None).unwrap();
    assert!(whole.commits >= 30 && whole.segments >= 3, "{whole:?}");
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for entry in std::fs::read_dir(&log).unwrap() {
        let path = entry.unwrap().path();
        // What only the next start looks at is no part of a restore.
        if !path.ends_with("closed.json") {
            files.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    files.sort();
    let mut dice = 11;
    let mut found = 0;
    for n in 0..200_u64 {
        let (path, bytes) = &files[usize::try_from(random(&mut dice) % files.len() as u64).unwrap()];
        let at = usize::try_from(random(&mut dice) % bytes.len() as u64).unwrap();
        let what = match n % 4 {
            0 | 1 => {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << (random(&mut dice) % 8);
                std::fs::write(path, bad).unwrap();
                format!("a bit flipped at {at}")
            }
            2 => {
                std::fs::write(path, &bytes[..at]).unwrap();
                format!("cut at {at}")
            }
            _ => {
                std::fs::remove_file(path).unwrap();
                "deleted".to_owned()
            }
        };
        let outcome = redo::roll_forward(&folder_of(&base), &the_key(), &from, None, false, None);
        let Err(e) = outcome else {
            panic!("{} {what}: called whole", path.display());
        };
        let (stem, text) = (path.file_stem().unwrap().to_str().unwrap(), e.to_string());
        assert!(text.contains(stem), "{} {what}: {text}", path.display());
        std::fs::write(path, bytes).unwrap();
        found += 1;
    }
    eprintln!("{found} of 200 found in {} files", files.len());
    redo::roll_forward(&folder_of(&base), &the_key(), &from, None, false, None).unwrap();
}

#[tokio::test]
async fn what_cannot_be_proved_to_continue_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (base, from) = small(folder.path()).await;
    let path = folder.path().join("vitrine.db");
    let streams = || redo::streams(&folder_of(&base), &the_key()).unwrap();
    // Closed and opened again: it goes on.
    drop(open_with(&path, 24));
    assert_eq!(streams().len(), 1);
    // Written to without the log: what was written is in no segment, so the stream ends and says why.
    {
        let store = open_plain(&path);
        let h = Hospital::new(store, 9_000);
        h.apply(vec![put("Flag/unlogged", &note("p1", "flag", "unlogged"))])
            .await;
    }
    let store = open_with(&path, 24);
    let all = streams();
    assert_eq!(all.len(), 2, "{all:?}");
    let ended = all[0].ended.clone().expect("ended");
    assert!(ended.why.contains("while the log was not kept"), "{ended:?}");
    let later = UtcMs(clock().0 + 1);
    let refused = redo::roll_forward(&folder_of(&base), &the_key(), &from, Some(later), false, None);
    assert!(
        matches!(&refused, Err(StoreError::Refused(t)) if t.contains("ends at")),
        "{refused:?}"
    );
    // The new stream serves a backup of its own.
    let second = folder.path().join("second.db");
    let (from, began) = mark(&store.backup_to(&second, None).await.unwrap());
    let h = Hospital::new(store.clone(), 9_500);
    h.apply(vec![put("Flag/after", &note("p1", "flag", "after"))])
        .await;
    store.settle_redo().await.unwrap();
    let to = folder.path().join("r");
    let rolled = restored(&second, &from, UtcMs(i64::MAX >> 1), &to);
    assert_eq!(rolled.commits, 1, "{rolled:?}");
    let copy = open_plain(&to.join("vitrine.db"));
    assert!(copy.lookup(&key("Flag/after")).await.unwrap().is_some());
    // Retention: nothing before the kept position stays, and the rest still serves.
    assert!(began.0 > 0 && redo::forget_before(&folder_of(&base), &the_key(), &from).unwrap() > 0);
    assert_eq!(streams().len(), 1);
    redo::roll_forward(&folder_of(&base), &the_key(), &from, None, false, None).unwrap();
}

#[tokio::test]
async fn a_log_that_cannot_be_kept_ends_and_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (base, from) = small(folder.path()).await;
    let path = folder.path().join("vitrine.db");
    let store = open_with(&path, 24);
    let h = Hospital::new(store.clone(), 20_000);
    h.apply(vec![put("Flag/one", &note("p1", "flag", "one"))]).await;
    // The folder of the stream goes away under it.
    let log = folder_of(&base).join(&from.stream);
    let moved = folder.path().join("moved");
    std::fs::rename(&log, &moved).unwrap();
    for n in 0..40 {
        h.apply(vec![put(
            &format!("Flag/more{n}"),
            &note("p1", "flag", &text_of(1, n)),
        )])
        .await;
    }
    assert!(
        store.settle_redo().await.unwrap().is_some(),
        "it says that it is not kept"
    );
    let wal = std::fs::metadata(folder.path().join("vitrine.db-wal"))
        .unwrap()
        .len();
    assert!(wal < 4 << 20, "the WAL does not grow without end: {wal}");
    std::fs::rename(&moved, &log).unwrap();
    // When it can be kept again, a new stream begins without a restart, and serves a backup of its own.
    store.restart_redo().await.unwrap();
    assert!(store.settle_redo().await.unwrap().is_none());
    let second = folder.path().join("second.db");
    let (from, _) = mark(&store.backup_to(&second, None).await.unwrap());
    for n in 0..20 {
        h.apply(vec![put(
            &format!("Flag/again{n}"),
            &note("p1", "flag", &text_of(2, n)),
        )])
        .await;
    }
    store.settle_redo().await.unwrap();
    let rolled = redo::roll_forward(&folder_of(&base), &the_key(), &from, None, false, None).unwrap();
    assert_eq!(rolled.commits, 20, "{rolled:?}");
    drop(store);
    drop(open_with(&path, 24));
    let all = redo::streams(&folder_of(&base), &the_key()).unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[1].ended.is_none() && all[1].id == from.stream, "{all:?}");
}
