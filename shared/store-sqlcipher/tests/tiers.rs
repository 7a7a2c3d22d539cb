//! SIGKILL while bodies move: whatever the moment, every version of every resource is read as it was written.
//!
//! The test starts itself as a child that moves everything down, away, back and home, over and over; the parent kills
//! it, opens the store and reads. `VITRINE_KILLS` sets the cycles.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a test with its own tasks and times")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use vitrine_access::Disclosure;
use vitrine_access::action::{OperateServer, ReadResource};
use vitrine_clinical::UtcMs;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, key, note, pat, put};
use vitrine_store::pack::PackFolders;
use vitrine_store::tiers::{PacksOf, Tier, TierRule};
use vitrine_store::{ChartStore as _, Store, StoreError, Tiers as _};
use vitrine_store_sqlcipher::{Key, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

const CHILD: &str = "VITRINE_TIERS_CHILD";
const PATIENTS: u64 = 6;
const DOCUMENTS: u64 = 4;

fn open(path: &Path) -> Arc<SqlcipherStore> {
    let options = StoreOptions {
        readers: 1,
        preparers: 1,
        packs: Some(PackFolders {
            warm: path.with_file_name("warm"),
            archive: Some(path.with_file_name("cold")),
        }),
        ..StoreOptions::default()
    };
    let key = Key::new(Zeroizing::new([7; 32]));
    SqlcipherStore::open(path, key, Arc::new(NoteProjector), options).expect("opened")
}

fn text(p: u64, d: u64, version: u64) -> String {
    format!("document {d} of {p}, version {version}: {}", "long ".repeat(200))
}

fn rule() -> TierRule {
    TierRule::new(UtcMs(4_000_000_000_000), 2, 7, 90, true)
}

/// Moves everything once through all tiers.
async fn round(h: &Hospital, seed: u128) -> Result<(), StoreError> {
    let entry = || h.operator::<OperateServer>().entry(Disclosure::default());
    for p in 0..PATIENTS {
        let ids = [1_u128, 2].map(|n| Uuid::from_u128((seed << 64) | (u128::from(p) << 8) | n));
        let patient = pat(&format!("p{p}"));
        h.store.pack_down(entry(), &rule(), &patient, ids).await?;
    }
    for pack in h.store.packs(PacksOf::All).await? {
        match pack.tier {
            Tier::Warm => drop(h.store.pack_away(entry(), pack.id).await?),
            Tier::Archive | Tier::Hot => {}
        }
    }
    for pack in h.store.packs(PacksOf::All).await? {
        if pack.tier == Tier::Archive {
            h.store.recall(pack.id, UtcMs(1), &|_| ()).await?;
        }
        if pack.tier != Tier::Hot {
            h.store.pack_home(entry(), pack.id).await?;
        }
    }
    h.store.tidy_packs(UtcMs(i64::MAX)).await.map(|_| ())
}

#[test]
fn child() {
    let Ok(words) = std::env::var(CHILD) else { return };
    let (path, seed) = words.split_once('\n').expect("path and seed");
    let mut seed: u128 = seed.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let store: Arc<dyn Store> = open(Path::new(path));
        let h = Hospital::new(store, u64::try_from(seed).unwrap_or(1) * 100_000);
        println!("moving");
        loop {
            seed += 1 << 20;
            round(&h, seed).await.expect("moved");
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_loses_no_body() {
    // A life here takes three times as long as that of the other kill tests: a quarter of their number.
    let kills = std::env::var("VITRINE_KILLS")
        .ok()
        .and_then(|k| k.parse().ok())
        .map_or(12, |k: u64| (k / 4).max(1));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vitrine.db");
    {
        let store = open(&path);
        let h = Hospital::new(store, 0);
        for p in 0..PATIENTS {
            for d in 0..DOCUMENTS {
                for version in 1..=2 {
                    let n = note(&format!("p{p}"), &format!("doc-{d}"), &text(p, d, version));
                    h.apply(vec![put(&format!("DocumentReference/p{p}-{d}"), &n)])
                        .await;
                }
            }
        }
    }
    let mut states = std::collections::BTreeSet::new();
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().expect("itself"))
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, format!("{}\n{}", path.display(), kill + 1))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut out = std::io::BufReader::new(child.stdout.take().expect("stdout"));
        let mut line = String::new();
        while !line.contains("moving") {
            line.clear();
            assert!(
                std::io::BufRead::read_line(&mut out, &mut line).expect("read") > 0,
                "the child ended"
            );
        }
        tokio::time::sleep(Duration::from_millis(20 + kill * 37 % 400)).await;
        child.kill().expect("killed");
        child.wait().expect("gone");

        let store = open(&path);
        let packs = store.packs(PacksOf::All).await.expect("packs");
        states.extend(packs.iter().map(|p| p.tier));
        for p in packs.iter().filter(|p| p.tier == Tier::Archive) {
            store.recall(p.id, UtcMs(1), &|_| ()).await.expect("recalled");
        }
        let h = Hospital::new(store.clone(), (kill + 1) * 7_000_000);
        for p in 0..PATIENTS {
            for d in 0..DOCUMENTS {
                for version in 1..=2 {
                    let permit = h.client::<ReadResource>(Some(&format!("p{p}")));
                    let at = key(&format!("DocumentReference/p{p}-{d}"));
                    let sealed = store.vread(&permit, &at, version).await.expect("read");
                    let want = note(&format!("p{p}"), &format!("doc-{d}"), &text(p, d, version)).bytes();
                    // The row of this access is not written: the next round must find the record unused.
                    assert_eq!(sealed.disclosure().resources[0].version, version);
                    let receipt = h
                        .append(harmless(&permit.entry(sealed.disclosure().clone())))
                        .await;
                    assert_eq!(
                        sealed.open(&receipt).expect("its receipt").expect("there").body,
                        want
                    );
                }
            }
        }
        store.tidy_packs(UtcMs(0)).await.expect("tidied");
        assert!(store.check_packs(true).await.expect("checked").is_empty());
        let known: Vec<Uuid> = store
            .packs(PacksOf::All)
            .await
            .expect("packs")
            .iter()
            .map(|p| p.id)
            .collect();
        for file in std::fs::read_dir(path.with_file_name("warm"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let name = file.file_name().to_string_lossy().into_owned();
            let id = name.strip_suffix(".pack").and_then(|n| n.parse().ok());
            assert!(
                id.is_some_and(|id: Uuid| known.contains(&id)),
                "{name} is nobody's and was left"
            );
        }
    }
    assert!(states.len() >= 2, "the kills met too few states: {states:?}");
}

/// The audit row of a read, as an act that uses no record.
fn harmless(entry: &vitrine_access::AuditEntry) -> vitrine_access::AuditEntry {
    let mut entry = entry.clone();
    entry.action = "operate-server".to_owned();
    entry
}
