//! The audit chain against whoever has the file and the key: every mutation is found, with its first bad row.

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitrine_access::chain::ChainFault;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, put};
use vitrine_store::{Feed, StoreError};
use vitrine_store_sqlcipher::{Key, OpenOptions, SealState, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

const ROWS: u64 = 30;

fn the_key() -> Key {
    Key::new(Zeroizing::new([7; 32]))
}

fn open(path: &Path) -> Arc<SqlcipherStore> {
    SqlcipherStore::open(path, the_key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap()
}

async fn write(store: &Arc<SqlcipherStore>, first: u64, count: u64) {
    let h = Hospital::new(store.clone(), first);
    for n in 0..count {
        h.apply(vec![put("Flag/f", &note("p1", "flag", &format!("{first} {n}")))])
            .await;
    }
}

async fn filled() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    write(&open(&path), 0, ROWS).await;
    (folder, path)
}

/// Somebody with the key changes the file behind the store's back.
fn behind(path: &Path, change: impl FnOnce(&Connection)) {
    let conn = cipher::open(path, &the_key(), &OpenOptions::default()).unwrap();
    conn.execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;")
        .unwrap();
    change(&conn);
}

#[tokio::test]
async fn rows_cannot_be_changed_by_statements() {
    let (_folder, path) = filled().await;
    let conn = cipher::open(&path, &the_key(), &OpenOptions::default()).unwrap();
    assert!(
        conn.execute("UPDATE audit SET body = x'00' WHERE seq = 3", [])
            .is_err()
    );
    assert!(conn.execute("DELETE FROM audit WHERE seq = 3", []).is_err());
    assert!(conn.execute("DELETE FROM resource", []).is_err());
    drop(conn);
    let report = open(&path).verify_audit().await.unwrap();
    assert_eq!((report.rows, report.seal), (ROWS, SealState::Whole));
}

#[tokio::test]
async fn every_mutation_is_found_with_its_first_bad_row() {
    for seq in [1, 2, 17, ROWS - 1, ROWS] {
        let changes: [(&str, String, u64); 5] = [
            ("a body", format!("UPDATE audit SET body = substr(body, 1, length(body) - 2) || x'2020' WHERE seq = {seq}"), seq),
            ("a hash", format!("UPDATE audit SET hash = zeroblob(32) WHERE seq = {seq}"), seq),
            ("a deletion", format!("DELETE FROM audit WHERE seq = {seq}"), seq),
            ("a cut", format!("DELETE FROM audit WHERE seq >= {seq}"), seq),
            (
                "a swap",
                format!(
                    "UPDATE audit SET seq = -1 WHERE seq = {seq}; UPDATE audit SET seq = {seq} WHERE seq = {other};
                     UPDATE audit SET seq = {other} WHERE seq = -1;",
                    other = if seq == ROWS { seq - 1 } else { seq + 1 }
                ),
                if seq == ROWS { seq - 1 } else { seq },
            ),
        ];
        for (what, sql, first) in changes {
            let (_folder, path) = filled().await;
            behind(&path, |conn| conn.execute_batch(&sql).unwrap());
            match open(&path).verify_audit().await {
                Err(StoreError::Chain(fault)) => {
                    assert_eq!(fault.first_bad(), first, "{what} at {seq}: {fault}")
                }
                other => panic!("{what} at {seq}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_rewritten_end_is_found_by_the_sealed_head() {
    let (_folder, path) = filled().await;
    // Whoever can compute hashes can rewrite the end of the chain; the head outside it knows better.
    behind(&path, |conn| {
        let prev: [u8; 32] = conn
            .query_row("SELECT hash FROM audit WHERE seq = 29", [], |r| r.get(0))
            .unwrap();
        let body = b"{}";
        let hash = vitrine_access::chain::row_hash(&prev, 30, body);
        let packed = [&[0_u8][..], body].concat();
        conn.execute(
            "UPDATE audit SET hash = ?1, body = ?2 WHERE seq = 30",
            rusqlite::params![&hash[..], packed],
        )
        .unwrap();
    });
    let store = open(&path);
    assert_eq!(store.seal_state(), SealState::RolledBack);
    let found = store.verify_audit().await;
    assert!(
        matches!(
            found,
            Err(StoreError::Chain(ChainFault::HeadMismatch { seq: 30 }))
        ),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_older_copy_is_found_and_gets_a_new_epoch() {
    let (folder, path) = filled().await;
    let old = std::fs::read(&path).unwrap();
    let epoch = {
        let store = open(&path);
        write(&store, 1_000, 5).await;
        store.epoch().await.unwrap()
    };
    std::fs::write(&path, old).unwrap();
    for n in 0..2 {
        let store = open(&path);
        assert_eq!(store.seal_state(), SealState::RolledBack);
        assert_ne!(
            store.epoch().await.unwrap(),
            epoch,
            "positions of before are not to be taken for those of now"
        );
        // Writing on does not heal it: the evidence stays until somebody acknowledges the restore.
        write(&store, 2_000 + n * 100, 10).await;
        let found = store.verify_audit().await;
        let fault = ChainFault::HeadMismatch { seq: ROWS + 5 };
        assert!(
            matches!(&found, Err(StoreError::Chain(f)) if *f == fault),
            "{found:?}"
        );
    }
    let store = open(&path);
    let epoch = store.epoch().await.unwrap();
    assert_ne!(store.rotate_epoch().await.unwrap(), epoch);
    drop(store);
    let store = open(&path);
    assert_eq!(store.verify_audit().await.unwrap().seal, SealState::Whole);
    let epoch = store.epoch().await.unwrap();
    drop(store);
    // The database put back with an epoch file from elsewhere.
    std::fs::write(folder.path().join("epoch"), "another").unwrap();
    assert_ne!(open(&path).epoch().await.unwrap(), epoch);
}

#[tokio::test]
async fn a_missing_or_forged_head_is_said() {
    let (folder, path) = filled().await;
    let head = folder.path().join("audit.head");
    std::fs::remove_file(&head).unwrap();
    assert_eq!(open(&path).verify_audit().await.unwrap().seal, SealState::Missing);
    assert_eq!(open(&path).verify_audit().await.unwrap().seal, SealState::Whole);
    let mut bytes = std::fs::read(&head).unwrap();
    bytes.iter_mut().for_each(|b| *b ^= 1);
    std::fs::write(&head, bytes).unwrap();
    assert_eq!(
        open(&path).seal_state(),
        SealState::Missing,
        "a head that does not verify is none"
    );
}

#[tokio::test]
async fn an_update_from_elsewhere_is_in_the_feed() {
    let (_folder, path) = filled().await;
    let store = open(&path);
    let before = *store.watch().borrow();
    let conn = cipher::open(&path, &the_key(), &OpenOptions::default()).unwrap();
    conn.execute("UPDATE resource SET body = x'007b7d' WHERE kind = 'Flag'", [])
        .unwrap();
    conn.execute("UPDATE card SET body = x'007b7d'", []).unwrap();
    drop(conn);
    assert!(store.refresh().await.unwrap() > before);
    let rows = store.changes_since(before, None, 10).await.unwrap().rows;
    let seen: Vec<_> = rows
        .iter()
        .map(|r| (r.scope.as_str(), r.key.as_str(), r.ver - r.prev, r.tomb))
        .collect();
    assert_eq!(
        seen,
        [("pat:p1", "Flag/f", 1, false), ("ess:site", "p1", 1, false)]
    );
    let item = store
        .items("pat:p1", &["Flag/f".to_owned()])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (&item.body[..], item.hash),
        (&b"{}"[..], vitrine_store::batch::body_hash(b"{}"))
    );
    let refs = store.scope_refs("pat:p1").await.unwrap().0;
    assert_eq!((refs[0].hash, refs[0].ver), (item.hash, item.ver));
    // Two processes write to one file: the chain goes on without a fork.
    let other = open(&path);
    write(&other, 5_000, 3).await;
    write(&store, 6_000, 3).await;
    write(&other, 7_000, 3).await;
    assert_eq!(store.verify_audit().await.unwrap().rows, ROWS + 9);
}

#[tokio::test]
async fn a_backup_is_whole_and_under_its_own_key() {
    let (folder, path) = filled().await;
    let store = open(&path);
    let target = folder.path().join("backup").join("copy.db");
    std::fs::create_dir(target.parent().unwrap()).unwrap();
    let other = Key::new(Zeroizing::new([9; 32]));
    let writing = {
        let store = store.clone();
        async move { write(&store, 9_000, 50).await }
    };
    let (copied, ()) = tokio::join!(store.backup_to(&target, Some(other.clone())), writing);
    copied.unwrap();
    assert!(
        matches!(store.backup_to(&target, None).await, Err(StoreError::Refused(_))),
        "nothing is written over"
    );
    assert!(matches!(
        cipher::open(&target, &the_key(), &OpenOptions::default()),
        Err(StoreError::WrongKey(_))
    ));
    let copy =
        SqlcipherStore::open(&target, other, Arc::new(NoteProjector), StoreOptions::default()).unwrap();
    let report = copy.verify_audit().await.unwrap();
    assert!(
        report.rows >= ROWS && report.seal == SealState::Missing,
        "its head is made by restore: {report:?}"
    );
    assert_eq!(copy.integrity_check().await.unwrap(), Vec::<String>::new());
    assert_ne!(
        copy.epoch().await.unwrap(),
        store.epoch().await.unwrap(),
        "a restored copy has its own epoch"
    );
}
