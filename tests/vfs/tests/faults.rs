//! F-07, F-09, F-11: the disk is full, fails or is slow at every single operation. Nothing acknowledged is lost, the error
//! comes out, and the ledger works again afterwards.
//!
//! `VITRINE_FAULTS` sets up to which operation (300 by default), `VITRINE_SEED` repeats a failure.
#![allow(clippy::disallowed_methods, reason = "a fault harness measures real time")]

mod ledger;

use ledger::{Damage, WAL_FULL};
use rusqlite::{Connection, ErrorCode};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use vitrine_vfs::{Disk, DiskImage, Fault, FaultKind, FileRole, power_cut_images};

/// Transactions in the ledger before anything fails.
const BEFORE: i64 = 20;

fn ledger_with_some_rows() -> DiskImage {
    let disk = Disk::new().unwrap();
    let mut db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
    ledger::create(&db).unwrap();
    (1..=BEFORE).for_each(|n| ledger::append(&mut db, n).unwrap());
    drop(db);
    disk.image()
}

fn is_disk_error(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(DiskFull | SystemIoFailure | CannotOpen)
    )
}

/// What one writer lived through.
#[derive(Debug)]
struct Told {
    acknowledged: i64,
    told: bool,
}

/// Opens and appends until a fault has fired and a few more rows are in. An error of a fault that fires once is answered
/// by opening anew and going on; with `give_up` it ends the writing.
fn write_through(disk: &Disk, give_up: bool) -> Told {
    let mut lived = Told {
        acknowledged: BEFORE,
        told: false,
    };
    while let Err(error) = write_until_error(disk, &mut lived.acknowledged, give_up) {
        assert!(is_disk_error(&error), "not a disk error: {error}");
        lived.told = true;
        if give_up {
            break;
        }
    }
    lived
}

fn write_until_error(disk: &Disk, acknowledged: &mut i64, give_up: bool) -> rusqlite::Result<()> {
    let mut db = ledger::open(disk.vfs_name(), WAL_FULL)?;
    // A commit that failed may have become durable all the same; from now on it counts.
    *acknowledged = (*acknowledged).max(ledger::head(&db)?);
    let mut after_fault = 0;
    while after_fault < 8 {
        if let Err(error) = ledger::append(&mut db, *acknowledged + 1) {
            // The same connection goes on reading and shows nothing that was not acknowledged.
            if !give_up {
                assert_eq!(ledger::verify(&db, Some(*acknowledged)).unwrap(), *acknowledged);
            }
            return Err(error);
        }
        *acknowledged += 1;
        after_fault += i64::from(disk.faults_fired() > 0);
        assert!(*acknowledged < 2_000, "the fault never came");
    }
    db.close().map_err(|(_, error)| error)
}

/// One ledger for every N: fails the Nth operation, appends on, reopens, checks, appends again, checks again. Returns how
/// often the writer was told; else the fault hit a checkpoint, whose errors SQLite's automatic checkpoint keeps to itself
/// (the commit before it is durable in the WAL).
fn sweep(kind: FaultKind, forever: bool) -> u64 {
    let base = ledger_with_some_rows();
    let mut told = 0;
    for nth in 1..=ledger::setting("VITRINE_FAULTS", 300) {
        let disk = base.mount().unwrap();
        disk.arm(if forever {
            Fault::from(kind, nth)
        } else {
            Fault::once(kind, nth)
        });
        let lived = write_through(&disk, forever);
        assert!(disk.faults_fired() > 0, "{kind:?} number {nth} never fired");
        told += u64::from(lived.told);
        disk.disarm();

        let mut db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
        let found = ledger::verify(&db, Some(lived.acknowledged))
            .unwrap_or_else(|damage| panic!("{kind:?} number {nth}: {damage:?}"));
        assert!(
            found <= lived.acknowledged + 1,
            "{kind:?} number {nth}: rows nobody wrote"
        );
        ledger::append(&mut db, found + 1).unwrap();
        drop(db);
        let db = ledger::open_to_read(disk.vfs_name()).unwrap();
        ledger::verify(&db, Some(found + 1)).unwrap();
        ledger::check_pages(&db).unwrap();
    }
    println!("{kind:?} forever={forever}: told {told}");
    told
}

#[test]
fn full_disk_at_every_write() {
    let count = ledger::setting("VITRINE_FAULTS", 300);
    assert!(sweep(FaultKind::WriteFull, false) * 2 > count);
    assert_eq!(
        sweep(FaultKind::WriteFull, true),
        count,
        "a disk that stays full is always noticed"
    );
}

#[test]
fn write_error_at_every_write() {
    let count = ledger::setting("VITRINE_FAULTS", 300);
    assert!(sweep(FaultKind::WriteError, false) * 2 > count);
    assert_eq!(sweep(FaultKind::WriteError, true), count);
}

#[test]
fn sync_error_at_every_sync() {
    let count = ledger::setting("VITRINE_FAULTS", 300);
    assert!(sweep(FaultKind::SyncError, false) * 2 > count);
    assert_eq!(sweep(FaultKind::SyncError, true), count);
}

/// The disk fills up for real, at every size from full at once to full after a while; then space is made.
#[test]
fn full_disk_until_space_is_made() {
    let base = ledger_with_some_rows();
    for spare in (0..200_000).step_by(3_001) {
        let disk = base.mount().unwrap();
        let mut db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
        ledger::append(&mut db, BEFORE + 1).unwrap();
        disk.set_capacity(Some(disk.used() + spare));
        let mut acknowledged = BEFORE + 1;
        let error = loop {
            match ledger::append(&mut db, acknowledged + 1) {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged < 2_000, "the disk never filled");
        };
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DiskFull), "{error}");
        assert_eq!(
            ledger::verify(&db, Some(acknowledged)).unwrap(),
            acknowledged,
            "reads go on"
        );
        disk.set_capacity(None);
        ledger::append(&mut db, acknowledged + 1).unwrap();
        drop(db);
        let db = ledger::open_to_read(disk.vfs_name()).unwrap();
        assert_eq!(
            ledger::verify(&db, Some(acknowledged + 1)).unwrap(),
            acknowledged + 1
        );
    }
}

/// A read that fails, or comes short from the database file, is an error or harmless: never a wrong or a missing row.
#[test]
fn read_error_at_every_read() {
    let base = {
        let disk = ledger_with_some_rows().mount().unwrap();
        let mut db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
        (BEFORE + 1..BEFORE + 5).for_each(|n| ledger::append(&mut db, n).unwrap());
        disk.image()
    };
    assert!(
        base.file("/ward/audit.db-wal").is_some_and(|wal| !wal.is_empty()),
        "the WAL is to be recovered"
    );
    let short = Fault::once(FaultKind::ShortRead, 0).on(FileRole::Database);
    for fault in [Fault::once(FaultKind::ReadError, 0), short] {
        let (mut told, mut nth) = (0, 0);
        loop {
            nth += 1;
            let disk = base.mount().unwrap();
            disk.arm(Fault { nth, ..fault });
            let read = ledger::open_to_read(disk.vfs_name())
                .map_err(Damage::from)
                .and_then(|db| ledger::verify(&db, Some(BEFORE + 4)));
            match read {
                Ok(found) => assert_eq!(found, BEFORE + 4),
                Err(Damage::Unreadable(_)) => told += 1,
                Err(damage) => panic!("{:?} number {nth}: {damage:?}", fault.kind),
            }
            if disk.faults_fired() == 0 {
                break;
            }
            let db = ledger::open_to_read(disk.vfs_name()).unwrap();
            assert_eq!(
                ledger::verify(&db, Some(BEFORE + 4)).unwrap(),
                BEFORE + 4,
                "a new connection reads all"
            );
        }
        println!("{:?}: {} reads, {told} told", fault.kind, nth - 1);
        assert!(nth > 15 && told * 2 > nth, "{:?}: {told} of {nth}", fault.kind);
    }
}

/// What to do after a sync failed: the order in which it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterFailedSync {
    /// Restart, open again, go on: the WAL in the page cache looks whole, the WAL on the platter is not.
    Restart,
    /// Restart, but before the database is opened write the WAL over itself and sync it.
    RestartAndRewriteWal,
    /// First commit again on the same connection, which writes the same frames anew, and only then go on.
    CommitAgain,
}

fn acknowledge_after_failed_sync(policy: AfterFailedSync, base: &DiskImage, nth: u64) -> Disk {
    let disk = base.mount().unwrap();
    disk.record();
    let mut db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
    disk.mark(BEFORE as u64);
    disk.arm(Fault::once(FaultKind::SyncError, nth).on(FileRole::Wal));
    let mut next = BEFORE + 1;
    while next <= BEFORE + 12 {
        match ledger::append(&mut db, next) {
            Ok(()) => {
                disk.mark(next as u64);
                next += 1;
            }
            Err(_) if policy == AfterFailedSync::Restart => {
                disk.kill_process();
                db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
                next = ledger::head(&db).unwrap() + 1;
            }
            Err(_) => {}
        }
    }
    disk.kill_process();
    disk
}

/// "fsyncgate": after a failed sync the kernel may forget what it could not write. A later sync that succeeds says nothing
/// about it. Committing again on the same connection overwrites the doubtful frames: safe. So is a restart that writes the
/// WAL over itself before it opens the database. A restart that just goes on is not, and the control shows it.
#[test]
fn power_cut_after_a_failed_sync() {
    let seed = ledger::setting("VITRINE_SEED", 99);
    let base = ledger_with_some_rows();
    for policy in [
        AfterFailedSync::CommitAgain,
        AfterFailedSync::RestartAndRewriteWal,
        AfterFailedSync::Restart,
    ] {
        let (mut images, mut lost, mut torn, mut unreadable) = (0, 0, 0, 0);
        for nth in 1..=12 {
            for round in 0..4 {
                let disk = acknowledge_after_failed_sync(policy, &base, nth);
                for image in power_cut_images(&disk.take_log(), seed ^ (nth << 8) ^ round, 50) {
                    images += 1;
                    let woken = image.mount().unwrap();
                    let acknowledged = image.last_mark().map(|mark| mark as i64);
                    let found = ledger::open_to_read(woken.vfs_name())
                        .map_err(Damage::from)
                        .and_then(|db| ledger::verify(&db, acknowledged));
                    match found {
                        Ok(_) => {}
                        Err(Damage::Lost { .. }) => lost += 1,
                        Err(Damage::Torn(_)) => torn += 1,
                        Err(Damage::Unreadable(_)) => unreadable += 1,
                    }
                }
            }
        }
        println!(
            "{policy:?} SEED={seed}: {images} images, {lost} lost, {torn} torn, {unreadable} unreadable"
        );
        match policy {
            AfterFailedSync::CommitAgain | AfterFailedSync::RestartAndRewriteWal => {
                assert_eq!((lost, torn, unreadable), (0, 0, 0), "SEED={seed}")
            }
            AfterFailedSync::Restart => assert!(lost > 0, "the model of failed syncs is dead, SEED={seed}"),
        }
    }
}

/// F-11: while a sync takes 300 ms, readers go on.
#[test]
fn slow_sync_does_not_stop_readers() {
    let disk = ledger_with_some_rows().mount().unwrap();
    let mut writer = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
    let reader = ledger::open_to_read(disk.vfs_name()).unwrap();
    ledger::verify(&reader, Some(BEFORE)).unwrap();
    disk.set_sync_delay(Duration::from_millis(300));
    let writing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            (BEFORE + 1..=BEFORE + 4).for_each(|n| ledger::append(&mut writer, n).unwrap());
            assert!(
                start.elapsed() >= Duration::from_millis(1_200),
                "each commit waits for its sync"
            );
            writing.store(false, Ordering::Release);
        });
        let mut quick = 0;
        while writing.load(Ordering::Acquire) {
            let start = Instant::now();
            ledger::head(&reader).unwrap();
            quick += u64::from(start.elapsed() < Duration::from_millis(100));
        }
        assert!(quick > 100, "only {quick} quick reads beside four slow commits");
    });
    disk.set_sync_delay(Duration::ZERO);
}

/// One writer and several readers on threads of their own, as the store runs: every reader always sees whole
/// transactions, and time never goes backwards.
#[test]
fn readers_beside_a_writer_see_whole_transactions() {
    let disk = ledger_with_some_rows().mount().unwrap();
    let last = BEFORE + 300;
    let acknowledged = AtomicI64::new(BEFORE);
    let read = |db: Connection| {
        let (mut seen, mut reads) = (0, 0);
        while seen < last {
            let at_least = acknowledged.load(Ordering::Acquire);
            let found = ledger::verify(&db, Some(at_least)).unwrap();
            assert!(found >= seen, "went back from {seen} to {found}");
            seen = found;
            reads += 1;
        }
        reads
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| read(ledger::open_to_read(disk.vfs_name()).unwrap())))
            .collect();
        let mut writer = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
        for n in BEFORE + 1..=last {
            ledger::append(&mut writer, n).unwrap();
            acknowledged.store(n, Ordering::Release);
        }
        for reader in readers {
            let reads: u64 = reader.join().unwrap();
            assert!(reads > 3, "a reader that hardly read proves nothing");
        }
    });
    let counts = disk.counts();
    assert!(counts.syncs > 300 && counts.writes > 1_000, "{counts:?}");
    let second = ledger::open_to_read(disk.vfs_name()).unwrap();
    second.execute_batch("BEGIN IMMEDIATE").unwrap();
    let third = ledger::open_to_read(disk.vfs_name()).unwrap();
    third.busy_timeout(Duration::ZERO).unwrap();
    let refused = third.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(
        refused.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy),
        "one writer at a time"
    );
}

/// A killed process leaves what it wrote and no locks; its connections are dead, and dropping them harms nothing.
#[test]
fn a_killed_process_is_dead_and_its_files_are_not() {
    let disk = ledger_with_some_rows().mount().unwrap();
    let mut dead = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
    ledger::append(&mut dead, BEFORE + 1).unwrap();
    dead.execute_batch("BEGIN IMMEDIATE; DELETE FROM chain;").unwrap();
    disk.kill_process();
    let mut db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
    ledger::append(&mut db, BEFORE + 2).unwrap();
    assert!(dead.execute_batch("COMMIT").is_err());
    assert!(ledger::append(&mut dead, BEFORE + 3).is_err());
    drop(dead);
    ledger::append(&mut db, BEFORE + 3).unwrap();
    drop(db);
    let db = ledger::open_to_read(disk.vfs_name()).unwrap();
    assert_eq!(ledger::verify(&db, Some(BEFORE + 3)).unwrap(), BEFORE + 3);
    ledger::check_pages(&db).unwrap();
}

/// Disks are apart, a dropped disk's name is used again, and a connection that outlives its disk reaches no other.
#[test]
fn disks_do_not_see_each_other() {
    let image = ledger_with_some_rows();
    let (one, two) = (image.mount().unwrap(), Disk::new().unwrap());
    assert_ne!(one.vfs_name(), two.vfs_name());
    assert_eq!(
        ledger::head(&ledger::open_to_read(one.vfs_name()).unwrap()).unwrap(),
        BEFORE
    );
    assert!(
        ledger::head(&ledger::open_to_read(two.vfs_name()).unwrap()).is_err(),
        "an empty disk has no ledger"
    );

    let stray = ledger::open(one.vfs_name(), WAL_FULL).unwrap();
    let name = one.vfs_name();
    drop(one);
    assert_eq!(
        ledger::head(&stray).unwrap(),
        BEFORE,
        "files stay while they are open"
    );
    let others: Vec<Disk> = (0..50).map(|_| Disk::new().unwrap()).collect();
    assert!(
        others.iter().all(|other| other.vfs_name() != name),
        "a name with a stray connection is retired"
    );
    assert!(ledger::open(name, WAL_FULL).is_err(), "and opens nothing");
}
