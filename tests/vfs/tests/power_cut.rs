//! F-03: the power goes at any moment of a ledger's life. With WAL and `synchronous=FULL` nothing acknowledged is lost and
//! no transaction is halved; with protections off the same check must fail, or it checks nothing.
//!
//! `VITRINE_POWER_CUTS` sets how many images (10,000 by default), `VITRINE_SEED` repeats a failure.
#![allow(clippy::disallowed_methods, reason = "a fault harness measures real time")]

mod ledger;

use ledger::{DELETE_EXTRA, DELETE_FULL, Damage, Mode, WAL_FULL, WAL_NORMAL};
use std::time::Instant;
use vitrine_vfs::{Disk, DiskImage, Log, power_cut_images, process_kill_images};

const ROWS: i64 = 240;

/// A ledger's life: made, written, closed and opened again, once with a reader that keeps the WAL from being reset.
fn life(mode: Mode) -> Log {
    let disk = Disk::new().unwrap();
    disk.record();
    let mut db = ledger::open(disk.vfs_name(), mode).unwrap();
    ledger::create(&db).unwrap();
    disk.mark(0);
    let mut reader = None;
    for n in 1..=ROWS {
        match n {
            60 | 180 => {
                drop(db);
                db = ledger::open(disk.vfs_name(), mode).unwrap();
            }
            100 if mode.journal == "WAL" => {
                let open = ledger::open_to_read(disk.vfs_name()).unwrap();
                open.execute_batch("BEGIN; SELECT count(*) FROM chain;").unwrap();
                reader = Some(open);
            }
            130 => reader = None,
            _ => {}
        }
        ledger::append(&mut db, n).unwrap();
        disk.mark(n as u64);
    }
    drop((db, reader));
    disk.take_log()
}

#[derive(Debug, Default)]
struct Tally {
    images: u64,
    /// Images in which something acknowledged was gone, and the most transactions gone at once.
    lost: u64,
    most_lost: i64,
    torn: u64,
    unreadable: u64,
    /// Durable though not yet acknowledged: allowed, and why clients need operation ids.
    ahead: u64,
    first: Option<String>,
}

fn acknowledged(image: &DiskImage) -> Option<i64> {
    image.last_mark().map(|mark| mark as i64)
}

fn check(image: &DiskImage, mode: Mode) -> Result<i64, Damage> {
    let disk = image.mount().unwrap();
    let mut db = ledger::open_to_read(disk.vfs_name())?;
    let found = ledger::verify(&db, acknowledged(image))?;
    if image.index().is_multiple_of(16) {
        ledger::check_pages(&db)?;
    }
    if image.index() % 16 == 1 && image.last_mark().is_some() {
        // What woke up also works: it takes the next row and keeps it over a close.
        drop(db);
        db = ledger::open(disk.vfs_name(), mode)?;
        ledger::append(&mut db, found + 1)?;
        drop(db);
        ledger::verify(&ledger::open_to_read(disk.vfs_name())?, Some(found + 1))?;
    }
    Ok(found)
}

fn tally(images: impl Iterator<Item = DiskImage>, mode: Mode) -> Tally {
    let mut tally = Tally::default();
    for image in images {
        tally.images += 1;
        let damage = match check(&image, mode) {
            Ok(found) => {
                tally.ahead += u64::from(found > acknowledged(&image).unwrap_or(0));
                continue;
            }
            Err(damage) => damage,
        };
        match &damage {
            Damage::Lost { acknowledged, found } => {
                tally.lost += 1;
                tally.most_lost = tally.most_lost.max(acknowledged - found);
            }
            Damage::Torn(_) => tally.torn += 1,
            Damage::Unreadable(_) => tally.unreadable += 1,
        }
        tally.first.get_or_insert_with(|| {
            format!(
                "image {} cut after event {}: {damage:?}",
                image.index(),
                image.cut()
            )
        });
    }
    tally
}

fn run(mode: Mode, share: u64) -> (Tally, String) {
    let seed = ledger::setting("VITRINE_SEED", 20_260_801);
    let count = (ledger::setting("VITRINE_POWER_CUTS", 10_000) / share).max(500);
    let log = life(mode);
    let start = Instant::now();
    let tally = tally(power_cut_images(&log, seed, count as usize), mode);
    let per_minute = tally.images as f64 * 60.0 / start.elapsed().as_secs_f64();
    let report = format!(
        "{mode:?} SEED={seed} events={} {per_minute:.0} images/min {tally:?}",
        log.len()
    );
    println!("{report}");
    (tally, report)
}

#[test]
fn wal_full_loses_nothing() {
    let (tally, report) = run(WAL_FULL, 1);
    assert_eq!(
        (tally.lost, tally.torn, tally.unreadable),
        (0, 0, 0),
        "VITRINE_SEED repeats it: {report}"
    );
    assert!(
        tally.ahead > 0,
        "cuts between commit and acknowledgement were never hit: {report}"
    );
}

#[test]
fn control_wal_normal_loses_acknowledged_rows_and_the_harness_sees_it() {
    let (tally, report) = run(WAL_NORMAL, 4);
    assert!(
        tally.lost * 10 > tally.images,
        "NORMAL must lose acknowledged rows in many images: {report}"
    );
    assert!(tally.most_lost > 1, "and several at once: {report}");
    assert_eq!(
        (tally.torn, tally.unreadable),
        (0, 0),
        "but never halve a transaction: {report}"
    );
}

#[test]
fn control_synchronous_off_breaks_the_file_and_the_harness_sees_it() {
    let (tally, report) = run(
        Mode {
            synchronous: "OFF",
            ..WAL_FULL
        },
        20,
    );
    assert!(tally.lost > 0 && tally.torn + tally.unreadable > 0, "{report}");
}

/// The journal's deletion is the commit, and FULL does not sync the directory after it: a journal that comes back rolls
/// the last transaction back. SQLite's documentation says so of EXTRA. Shows that the model of names is alive.
#[test]
fn control_rollback_journal_needs_extra() {
    let (full, report) = run(DELETE_FULL, 20);
    assert!(full.lost > 0 && full.most_lost == 1, "{report}");
    assert_eq!((full.torn, full.unreadable), (0, 0), "{report}");
    let (extra, report) = run(DELETE_EXTRA, 20);
    assert_eq!((extra.lost, extra.torn, extra.unreadable), (0, 0, 0), "{report}");
}

/// A killed process loses nothing even with NORMAL: the page cache survives.
#[test]
fn process_kill_loses_nothing() {
    let seed = ledger::setting("VITRINE_SEED", 7);
    for mode in [WAL_FULL, WAL_NORMAL] {
        let tally = tally(process_kill_images(&life(mode), seed, 1_000), mode);
        assert_eq!(
            (tally.lost, tally.torn, tally.unreadable),
            (0, 0, 0),
            "SEED={seed} {mode:?} {tally:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_images() {
    let log = life(WAL_FULL);
    let files = |image: &DiskImage| {
        image
            .files()
            .map(|(n, c)| (n.to_owned(), c.to_vec()))
            .collect::<Vec<_>>()
    };
    let runs = [1, 1, 2].map(|seed| {
        power_cut_images(&log, seed, 50)
            .map(|i| files(&i))
            .collect::<Vec<_>>()
    });
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// Below SQLCipher there is only ciphertext.
#[test]
fn the_disk_sees_no_plaintext() {
    let disk = Disk::new().unwrap();
    let db = ledger::open(disk.vfs_name(), WAL_FULL).unwrap();
    db.execute_batch("CREATE TABLE canary (t TEXT); INSERT INTO canary VALUES ('CANARY-CANARY-CANARY');")
        .unwrap();
    for (name, content) in disk.image().files() {
        assert!(
            !content
                .windows(7)
                .any(|window| window == b"CANARY-" || window == b"SQLite "),
            "{name}"
        );
        assert!(!content.is_empty());
    }
    assert!(disk.image().file("/ward/audit.db-wal").is_some());
}
