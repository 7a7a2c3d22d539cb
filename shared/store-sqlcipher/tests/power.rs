//! Power cuts, full disks and failing disks under the real store, on a disk in memory.
//!
//! `VITRINE_IMAGES` sets how many power-cut images are opened; the whole-system tests run far more.
#![allow(clippy::disallowed_methods, reason = "a test with its own tasks")]

use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, key, note, pat, put};
use vitrine_store::{ChangeBatch, ChartStore, Feed, Store, StoreError};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, Synchronous};
use vitrine_vfs::{Disk, Fault, FaultKind, FileRole, power_cut_images};
use zeroize::Zeroizing;

fn open(disk: &Disk, synchronous: Synchronous) -> Result<Arc<SqlcipherStore>, StoreError> {
    let open = OpenOptions {
        create: true,
        synchronous,
        vfs: Some(disk.vfs_name().to_owned()),
        // Small, so that moving the WAL into the file is among what is cut.
        checkpoint_pages: 60,
        ..OpenOptions::default()
    };
    let options = StoreOptions {
        open,
        readers: 1,
        preparers: 1,
        ..StoreOptions::default()
    };
    SqlcipherStore::open(
        Path::new("/vitrine.db"),
        Key::new(Zeroizing::new([7; 32])),
        Arc::new(NoteProjector),
        options,
    )
}

/// Operation `n`: a flag of its own, and one more version of the counter.
fn operation(h: &Hospital, n: u64) -> ChangeBatch {
    let ops = vec![
        put(
            &format!("Flag/{n}"),
            &note("p", "flag", &format!("{n} {}", "words ".repeat(30))),
        ),
        put("Condition/counter", &note("p", "counter", &n.to_string())),
    ];
    ChangeBatch {
        op_id: Uuid::from_u128(u128::from(n)),
        ..h.batch(ops)
    }
}

async fn apply(h: &Hospital, n: u64) -> Result<bool, StoreError> {
    let batch = operation(h, n);
    h.store
        .apply(&h.client(None), batch)
        .await
        .map(|(applied, _)| applied.duplicate)
}

/// How many operations are in the store; every one of them whole.
async fn applied(store: &Arc<SqlcipherStore>) -> u64 {
    let n = store
        .lookup(&key("Condition/counter"))
        .await
        .expect("lookup")
        .map_or(0, |(v, _)| v);
    for i in 1..=n {
        let flag = store.lookup(&key(&format!("Flag/{i}"))).await.expect("lookup");
        assert_eq!(
            flag.map(|(v, _)| v),
            Some(1),
            "operation {i} of {n} is there, once"
        );
    }
    assert!(
        store
            .lookup(&key(&format!("Flag/{}", n + 1)))
            .await
            .expect("lookup")
            .is_none()
    );
    assert_eq!(
        store.revision(&pat("p")).await.expect("revision"),
        2 * n,
        "no half operation"
    );
    let report = store.verify_audit().await.expect("the audit chain is whole");
    assert_eq!(report.rows, n, "rows equal operations");
    n
}

/// Writes, records, and tells how many images lost an acknowledged operation.
async fn cuts(synchronous: Synchronous, images: usize, seed: u64) -> (usize, usize) {
    let disk = Disk::new().expect("a disk");
    drop(open(&disk, synchronous).expect("made"));
    disk.record();
    let h = Hospital::new(open(&disk, synchronous).expect("opened") as Arc<dyn Store>, 0);
    for n in 1..=60 {
        apply(&h, n).await.expect("applied");
        disk.mark(n);
    }
    drop(h);
    let log = disk.take_log();
    let (mut lost, mut opened) = (0, 0);
    for image in power_cut_images(&log, seed, images) {
        let said = image.last_mark().unwrap_or(0);
        let woken = image.mount().expect("a disk");
        let store = open(&woken, Synchronous::Full)
            .unwrap_or_else(|e| panic!("seed {seed}, image {}, cut {}: {e}", image.index(), image.cut()));
        let n = applied(&store).await;
        opened += 1;
        if n < said {
            lost += 1;
        }
    }
    (opened, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_acknowledged() {
    let images = std::env::var("VITRINE_IMAGES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let (opened, lost) = cuts(Synchronous::Full, images, 1).await;
    assert_eq!((opened, lost), (images, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_run_without_full_sync_loses_some() {
    let (opened, lost) = cuts(Synchronous::Normal, 100, 2).await;
    assert_eq!(opened, 100, "NORMAL keeps the file whole");
    assert!(lost > 10, "or the test could not fail: {lost}");
}

/// Every kind of failure at the Nth operation: what was acknowledged is there, what was refused comes again with its
/// operation id and is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_acknowledges_nothing_it_did_not_keep() {
    let kinds = [
        (FaultKind::SyncError, FileRole::Wal),
        (FaultKind::SyncError, FileRole::Database),
        (FaultKind::WriteError, FileRole::Wal),
        (FaultKind::WriteError, FileRole::Database),
        (FaultKind::WriteFull, FileRole::Wal),
        (FaultKind::WriteFull, FileRole::Database),
    ];
    let mut refused = 0;
    for (kind, role) in kinds {
        for nth in (1..=60).step_by(3) {
            let disk = Disk::new().expect("a disk");
            let store = open(&disk, Synchronous::Full).expect("made");
            let h = Hospital::new(store.clone() as Arc<dyn Store>, 0);
            for n in 1..=5 {
                apply(&h, n).await.expect("applied");
            }
            disk.record();
            disk.arm(Fault::once(kind, nth).on(role));
            let mut acked = 5;
            for n in 6..=30 {
                // A client that got an error sends the same operation again until it is acknowledged.
                let mut tries = 0;
                loop {
                    match apply(&h, n).await {
                        Ok(_) => break,
                        Err(e) => {
                            refused += 1;
                            tries += 1;
                            assert!(tries < 4, "{kind:?} at {nth}: the writer comes back: {e}");
                        }
                    }
                }
                acked = n;
                disk.mark(n);
            }
            assert_eq!(applied(&store).await, acked, "{kind:?} {role:?} at {nth}");
            drop((h, store));
            let log = disk.take_log();
            for image in power_cut_images(&log, nth, 4) {
                let said = image.last_mark().unwrap_or(5);
                let woken = image.mount().expect("a disk");
                let store = open(&woken, Synchronous::Full)
                    .unwrap_or_else(|e| panic!("{kind:?} {role:?} at {nth}, image {}: {e}", image.index()));
                let n = applied(&store).await;
                assert!(
                    n >= said,
                    "{kind:?} {role:?} at {nth}, image {}, cut {}: {n} < {said}",
                    image.index(),
                    image.cut()
                );
            }
        }
    }
    // A fault that meets the sync of a checkpoint refuses nobody: how many do depends on where those fall.
    assert!(refused > 40, "faults were met: {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let disk = Disk::new().expect("a disk");
    let store = open(&disk, Synchronous::Full).expect("made");
    let h = Hospital::new(store.clone() as Arc<dyn Store>, 0);
    for n in 1..=5 {
        apply(&h, n).await.expect("applied");
    }
    disk.set_capacity(Some(disk.used() + 60_000));
    let mut acked = 5;
    let full = loop {
        match apply(&h, acked + 1).await {
            Ok(_) => acked += 1,
            Err(e) => break e,
        }
        assert!(acked < 2_000, "the disk fills up");
    };
    assert!(matches!(full, StoreError::Full(_)), "{full:?}");
    for _ in 0..5 {
        assert!(apply(&h, acked + 1).await.is_err());
        assert_eq!(applied(&store).await, acked, "reading goes on");
    }
    disk.set_capacity(None);
    assert_eq!(
        apply(&h, acked + 1).await,
        Ok(false),
        "and writing, once there is room"
    );
    assert_eq!(applied(&store).await, acked + 1);
}
