//! What is refused at opening is left exactly as it was; what is damaged harms nothing else.
#![allow(
    clippy::disallowed_methods,
    reason = "a plain database is planted to be refused"
)]

use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitrine_access::action::ReadResource;
use vitrine_clinical::UtcMs;
use vitrine_store::conformance::hospital::{Hospital, Note, NoteProjector, key, note, put};
use vitrine_store::{
    ChartStore as _, Keeping, MessageOutcome, MessageState, Messages as _, NewMessage, Store, StoreError,
};
use vitrine_store_sqlcipher::cipher::{self, Migration, OpenedAs, migrate, open_on_full_disk};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions};
use zeroize::Zeroizing;

fn the_key(n: u8) -> Key {
    Key::new(Zeroizing::new([n; 32]))
}

fn create() -> OpenOptions {
    OpenOptions {
        create: true,
        ..OpenOptions::default()
    }
}

fn open_store(path: &Path, n: u8) -> Result<Arc<SqlcipherStore>, StoreError> {
    SqlcipherStore::open(path, the_key(n), Arc::new(NoteProjector), StoreOptions::default())
}

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    files.map(|p| (p.clone(), std::fs::read(p).unwrap())).collect()
}

async fn filled(path: &Path, resources: usize) {
    let h = Hospital::new(open_store(path, 1).unwrap(), 0);
    for n in 0..resources / 50 {
        let one = |m: usize| {
            let id = n * 50 + m;
            put(
                &format!("Flag/{id}"),
                &Note {
                    slot: None,
                    ..note(&format!("p{n}"), "", &format!("{id} {}", "text ".repeat(40)))
                },
            )
        };
        h.apply((0..50).map(one).collect()).await;
    }
}

#[tokio::test]
async fn a_plain_file_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let plain = Connection::open(&path).unwrap();
    plain
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1);")
        .unwrap();
    drop(plain);
    let before = contents(folder.path());
    assert!(matches!(open_store(&path, 1), Err(StoreError::Unencrypted(_))));
    assert!(matches!(
        cipher::open(&path, &the_key(1), &create()),
        Err(StoreError::Unencrypted(_))
    ));
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_wrong_key_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    filled(&path, 100).await;
    let before = contents(folder.path());
    assert!(
        !before.keys().any(|p| p.to_string_lossy().contains("-wal")),
        "a clean close leaves no WAL"
    );
    assert!(matches!(open_store(&path, 2), Err(StoreError::WrongKey(_))));
    assert_eq!(contents(folder.path()), before);

    // The same beside a WAL that was left by a crash: closing a connection would move it into the file.
    let left = tempfile::tempdir().unwrap();
    let copy = left.path().join("vitrine.db");
    let open = open_store(&path, 1).unwrap();
    let h = Hospital::new(open.clone(), 1_000);
    h.apply(vec![put("Flag/in-the-wal", &note("p1", "flag", "late"))])
        .await;
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(
        folder.path().join("vitrine.db-wal"),
        left.path().join("vitrine.db-wal"),
    )
    .unwrap();
    let before = contents(left.path());
    assert!(matches!(open_store(&copy, 2), Err(StoreError::WrongKey(_))));
    assert_eq!(contents(left.path()), before);
    let recovered = open_store(&copy, 1).unwrap();
    let owner = vitrine_store::ChartStore::owner(&*recovered, &key("Flag/in-the-wal"))
        .await
        .unwrap();
    assert!(owner.is_some(), "and the right key finds what was in the WAL");
}

#[tokio::test]
async fn a_missing_file_is_not_made_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    assert!(matches!(
        cipher::open(&path, &the_key(1), &OpenOptions::default()),
        Err(StoreError::Refused(_))
    ));
    assert!(contents(folder.path()).is_empty());
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(
        cipher::open(&path, &the_key(1), &OpenOptions::default()),
        Err(StoreError::Refused(_))
    ));
    std::fs::write(&path, b"something else").unwrap();
    assert!(matches!(
        cipher::open(&path, &the_key(1), &create()),
        Err(StoreError::WrongKey(_))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let _open = open_store(&path, 1).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let secret = entry.file_name() != "epoch";
        assert!(!secret || mode == 0o600, "{:?} is {mode:o}", entry.file_name());
    }
}

#[tokio::test]
async fn a_newer_schema_and_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    filled(&path, 50).await;
    let conn = cipher::open(&path, &the_key(1), &OpenOptions::default()).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let before = contents(folder.path());
    assert!(matches!(
        open_store(&path, 1),
        Err(StoreError::NewerSchema { found: 99, known: 16 })
    ));
    assert_eq!(contents(folder.path()), before);
    let conn = cipher::open(&path, &the_key(1), &OpenOptions::default()).unwrap();
    conn.pragma_update(None, "user_version", 6).unwrap();
    conn.pragma_update(None, "application_id", 5).unwrap();
    drop(conn);
    assert!(matches!(open_store(&path, 1), Err(StoreError::Refused(_))));
}

#[test]
fn migrations_are_numbered_and_copied_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let one = [Migration {
        number: 1,
        name: "one",
        sql: "CREATE TABLE a (x); INSERT INTO a VALUES (1);",
    }];
    let two = [
        one[0],
        Migration {
            number: 2,
            name: "two",
            sql: "ALTER TABLE a ADD COLUMN y;",
        },
    ];
    let broken = [
        one[0],
        two[1],
        Migration {
            number: 3,
            name: "three",
            sql: "CREATE TABLE b (x); CREATE TABLE a (x);",
        },
    ];
    let mut conn = cipher::open(&path, &the_key(1), &create()).unwrap();
    migrate(&mut conn, &path, 7, &one, &create()).unwrap();
    assert_eq!(
        contents(folder.path())
            .keys()
            .filter(|p| p.to_string_lossy().contains("before"))
            .count(),
        0
    );
    migrate(&mut conn, &path, 7, &two, &create()).unwrap();
    let copy = folder.path().join("m.db.before-1");
    let old = cipher::open(&copy, &the_key(1), &OpenOptions::default()).unwrap();
    assert_eq!(
        old.query_row("SELECT x FROM a", [], |r| r.get::<_, i64>(0))
            .unwrap(),
        1
    );
    assert!(old.prepare("SELECT y FROM a").is_err(), "the copy is of before");
    assert!(matches!(
        migrate(&mut conn, &path, 7, &broken, &create()),
        Err(StoreError::Backend { .. })
    ));
    assert!(
        conn.prepare("SELECT x FROM b").is_err(),
        "a migration is applied whole or not at all"
    );
    assert!(matches!(
        migrate(&mut conn, &path, 7, &one, &create()),
        Err(StoreError::NewerSchema { found: 2, known: 1 })
    ));
}

/// Damages a page of the file in the middle of its content.
fn damage(path: &Path, page: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let at = (page - 1) * 4096 + 2000;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[tokio::test]
async fn a_damaged_page_is_named_and_harms_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    filled(&path, 1_000).await;
    damage(&path, 1);
    assert!(
        matches!(open_store(&path, 1), Err(StoreError::Damaged(_))),
        "the key is right, page 1 is not"
    );
    damage(&path, 1);
    // A page that holds bodies: found by what fails.
    let pages = std::fs::metadata(&path).unwrap().len() / 4096;
    let mut harmed = None;
    for page in (2..pages).rev() {
        damage(&path, page);
        if let Ok(store) = open_store(&path, 1) {
            let h = Hospital::new(store.clone() as Arc<dyn Store>, 10_000);
            let mut bad = Vec::new();
            let mut good = 0;
            for n in (0..1_000).step_by(7) {
                let permit = h.client::<ReadResource>(Some(&format!("p{}", n / 50)));
                match h.store.read(&permit, &key(&format!("Flag/{n}"))).await {
                    Ok(_) => good += 1,
                    Err(StoreError::Damaged(_)) => bad.push(n),
                    Err(e) => panic!("{e}"),
                }
            }
            if !bad.is_empty() && good > 20 {
                assert!(bad.len() < 60, "one page does not harm everybody: {}", bad.len());
                let faults = store
                    .integrity_check()
                    .await
                    .unwrap_or_else(|e| vec![e.to_string()]);
                assert!(!faults.is_empty(), "the check names the page");
                harmed = Some(page);
            }
        }
        damage(&path, page);
        if harmed.is_some() {
            break;
        }
    }
    assert!(harmed.is_some(), "at least one page holds resources");
    assert_eq!(
        open_store(&path, 1).unwrap().integrity_check().await.unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn connections_are_set_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let conn = cipher::open(&path, &the_key(1), &create()).unwrap();
    let pragma = |name: &str| {
        conn.pragma_query_value(None, name, |r| {
            Ok(r.get::<_, i64>(0)
                .map(|n| n.to_string())
                .or_else(|_| r.get::<_, String>(0))
                .unwrap())
        })
        .unwrap()
    };
    for (name, value) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("temp_store", "2"),
        ("secure_delete", "2"),
        ("trusted_schema", "0"),
        ("cipher_log_level", "NONE"),
        ("cipher_page_size", "4096"),
        ("cipher_use_hmac", "1"),
        ("cipher_hmac_algorithm", "HMAC_SHA512"),
    ] {
        assert_eq!(pragma(name), value, "{name}");
    }
    let loaded = conn.query_row("SELECT load_extension('x')", [], |_| Ok(()));
    assert!(
        loaded.unwrap_err().to_string().contains("not authorized"),
        "extensions cannot be loaded"
    );
    conn.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES ('Canary Person');")
        .unwrap();
    drop(conn);
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(6).any(|w| w == b"Canary") && !bytes.starts_with(b"SQLite"));
    assert!(
        cipher::open(
            &path,
            &the_key(1),
            &OpenOptions {
                read_only: true,
                ..OpenOptions::default()
            }
        )
        .unwrap()
        .execute_batch("INSERT INTO t VALUES (1)")
        .is_err()
    );
}

const FULL: &str = "VITRINE_FULL_DISK";

/// Runs in a mount namespace of its own, on a disk of one mebibyte.
#[test]
fn full_disk_child() {
    let Ok(folder) = std::env::var(FULL) else { return };
    let folder = Path::new(&folder);
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder)
        .status()
        .expect("mount is there");
    assert!(mounted.success(), "a small disk is mounted");
    let path = folder.join("s.db");
    let conn = cipher::open(&path, &the_key(1), &create()).unwrap();
    conn.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
        .unwrap();
    // A crash: database and WAL are left, the shared memory is gone, and then the disk fills up.
    let saved = ["s.db", "s.db-wal"].map(|name| (name, std::fs::read(folder.join(name)).unwrap()));
    drop(conn);
    for (name, bytes) in saved {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let _ = std::fs::remove_file(folder.join("s.db-shm"));
    let filled = std::fs::write(folder.join("fill"), vec![1; 2 << 20]);
    assert!(filled.is_err(), "the disk is full");
    let plain = cipher::open(
        &path,
        &the_key(1),
        &OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        },
    );
    assert!(
        matches!(plain, Err(StoreError::Full(_) | StoreError::Backend { .. })),
        "the usual way does not work"
    );
    let count = |conn: &Connection| {
        conn.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0))
            .unwrap()
    };
    let (conn, how) = open_on_full_disk(&path, &the_key(1), &OpenOptions::default()).unwrap();
    assert_eq!(
        (how, count(&conn)),
        (OpenedAs::Exclusive, 1),
        "what is only in the WAL is read too"
    );
    assert!(conn.execute_batch("INSERT INTO t VALUES (2)").is_err());
    drop(conn);
    assert!(matches!(
        open_on_full_disk(&path, &the_key(2), &OpenOptions::default()),
        Err(StoreError::WrongKey(_))
    ));
    std::fs::remove_file(folder.join("fill")).unwrap();
    let conn = cipher::open(&path, &the_key(1), &OpenOptions::default()).unwrap();
    conn.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(count(&conn), 2, "and with room again everything goes on");
}

#[cfg(target_os = "linux")]
#[test]
fn opens_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["full_disk_child", "--exact", "--nocapture"])
        .env(FULL, folder.path())
        .output();
    match output {
        Ok(o) if o.status.success() => {}
        Ok(o)
            if String::from_utf8_lossy(&o.stderr).contains("unshare failed")
                && std::env::var_os("CI").is_none() =>
        {
            eprintln!("skipped: this machine does not allow a mount namespace");
        }
        Ok(o) => panic!(
            "{}{}",
            String::from_utf8_lossy(&o.stdout),
            String::from_utf8_lossy(&o.stderr)
        ),
        Err(e) => panic!("unshare (util-linux) is needed: {e}"),
    }
}

#[test]
fn an_immutable_file_is_read_as_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space %.db");
    let conn = cipher::open(&path, &the_key(1), &create()).unwrap();
    conn.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
        .unwrap();
    drop(conn);
    let before = contents(folder.path());
    let options = OpenOptions {
        read_only: true,
        immutable: true,
        ..OpenOptions::default()
    };
    let conn = cipher::open(&path, &the_key(1), &options).unwrap();
    assert_eq!(
        conn.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0))
            .unwrap(),
        1
    );
    assert_eq!(contents(folder.path()), before, "not even a -shm");
}

/// A message that is held.
async fn held_message(store: &SqlcipherStore) -> (u64, MessageOutcome) {
    let new = NewMessage {
        at: UtcMs(1),
        feed: "adt".to_owned(),
        sender: "KIS".to_owned(),
        control: "1".to_owned(),
        dated: "20261201".to_owned(),
        kind: "ADT^A01".to_owned(),
        of: None,
        body: bytes::Bytes::from_static(b"MSH|"),
    };
    let kept = store.keep_message(new).await.unwrap();
    let Keeping::New(id) = kept else {
        panic!("{kept:?}")
    };
    let held = MessageOutcome {
        state: MessageState::Held,
        code: 204,
        ..MessageOutcome::default()
    };
    assert!(store.settle_message(id, UtcMs(2), held.clone()).await.unwrap());
    (id, held)
}

#[tokio::test]
async fn a_decision_on_a_message_is_not_taken_without_its_audit_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let store = open_store(&path, 1).unwrap();
    let h = Hospital::new(store.clone(), 0);
    let (id, held) = held_message(&store).await;
    let state = async || {
        let row = store.message(id).await.unwrap().unwrap().row;
        (row.outcome, row.settled)
    };
    let rows = store.counts().await.unwrap().audit_rows;
    let dropped = MessageOutcome {
        state: MessageState::Dropped,
        ..MessageOutcome::default()
    };
    let other = cipher::open(&path, &the_key(1), &OpenOptions::default()).unwrap();
    let refuse = "CREATE TRIGGER refused BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no'); END";
    other.execute_batch(refuse).unwrap();
    let permit = h.operator();
    let failed = store.decide_message(&permit, id, UtcMs(3), dropped.clone()).await;
    assert!(matches!(failed, Err(StoreError::Backend { .. })), "{failed:?}");
    assert_eq!(state().await, (held, Some(UtcMs(2))), "nothing of it is there");
    other.execute_batch("DROP TRIGGER refused").unwrap();
    assert!(
        store
            .decide_message(&permit, id, UtcMs(3), dropped.clone())
            .await
            .unwrap()
    );
    assert_eq!(state().await, (dropped, Some(UtcMs(3))));
    assert_eq!(store.counts().await.unwrap().audit_rows, rows + 1);
}
