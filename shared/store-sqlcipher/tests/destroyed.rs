//! What a destroyed record leaves in the file: ids, and not one of its words.

use rusqlite::Connection;
use std::sync::Arc;
use vitrine_access::action::{ManageUsers, ReadChart};
use vitrine_clinical::UserId;
use vitrine_store::archive::{ArchiveAct, Certify, Destruction};
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, person, place, put};
use vitrine_store::notes::NoteQuery;
use vitrine_store::{Account, AccountChange, Store, StoreError};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};

struct Stamp;
impl Certify for Stamp {
    fn certify(&self, d: &Destruction) -> Result<String, StoreError> {
        Ok(d.id.to_string())
    }
}

fn count(conn: &Connection, sql: &str) -> i64 {
    conn.query_row(sql, [], |r| r.get(0)).unwrap()
}

/// Whether bytes lie anywhere in the search index, whose leaves share the beginnings of words.
fn in_index(conn: &Connection, words: &[u8]) -> bool {
    let mut statement = conn.prepare("SELECT block FROM person_data").unwrap();
    let blocks = statement.query_map([], |r| r.get::<_, Vec<u8>>(0)).unwrap();
    blocks
        .map(Result::unwrap)
        .any(|b| b.windows(words.len()).any(|w| w == words))
}

#[tokio::test]
async fn a_destroyed_record_leaves_ids_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(zeroize::Zeroizing::new([7; 32]));
    let store = SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap();
    let store: Arc<dyn Store> = store;
    let h = Hospital::new(store, 0);
    h.apply(vec![
        person("p1", "xylophon quetzal", "1950-01-02", "M1"),
        person("p2", "ben marin", "1960-01-02", "M2"),
        place("p1", Some("ED"), &["ICU"]),
        put("Observation/o1", &note("p1", "labs", "first")),
    ])
    .await;
    h.apply(vec![put("Observation/o1", &note("p1", "labs", "second"))])
        .await;
    // A note that was another patient's before leaves its words there.
    for p in ["p2", "p1"] {
        h.apply(vec![put("DocumentReference/d1", &note(p, "doc", "quagga"))])
            .await;
        let permit = h.client::<ReadChart>(Some(p));
        let query = NoteQuery {
            kind: "DocumentReference".to_owned(),
            text: "quagga".to_owned(),
            limit: 9,
        };
        let found = h.store.notes(&permit, &query).await.unwrap();
        assert_eq!(h.open(&permit, found).await.total, 1);
    }
    let look = || cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
    assert!(in_index(&look(), b"uetzal"), "the search knows the name");
    assert!(count(&look(), "SELECT count(*) FROM note_word WHERE word = 'quagga'") > 0);
    let sounds = "SELECT count(*) FROM sound WHERE code LIKE '%SLFN%'";
    assert!(count(&look(), sounds) > 0, "and how it sounds");
    for user in ["ann", "bob", "cyd"] {
        let account = Account {
            user: UserId::new(user).unwrap(),
            display: user.to_owned(),
            role: "privacy-officer".parse().unwrap(),
            wards: Vec::new(),
            password_phc: String::new(),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            version: 0,
        };
        let permit = h.operator::<ManageUsers>();
        h.store
            .change_account(&permit, AccountChange::Put(account))
            .await
            .unwrap();
    }
    let id = uuid::Uuid::from_u128(9_000_000);
    let request = ArchiveAct::Request(&h.keeper("ann", "p1"), id, "over".to_owned());
    h.store.archive(request).await.unwrap();
    for user in ["bob", "cyd"] {
        let approve = ArchiveAct::Approve(&h.keeper(user, "p1"), id);
        h.store.archive(approve).await.unwrap();
    }
    let carry_out = ArchiveAct::CarryOut(&h.operator_of("p1"), id, Arc::new(Stamp));
    h.store.archive(carry_out).await.unwrap();

    let conn = look();
    for (table, sql) in [
        (
            "resource",
            "SELECT count(*) FROM resource r JOIN patient p USING (pid)
              WHERE p.id = 'p1' AND (r.body IS NOT NULL OR r.hash IS NOT NULL OR r.deleted = 0 OR r.meaning <> 0)",
        ),
        (
            "resource_version",
            "SELECT count(*) FROM resource_version v JOIN resource r USING (rid) JOIN patient p USING (pid) WHERE p.id = 'p1'",
        ),
        ("fact", "SELECT count(*) FROM fact f JOIN patient p USING (pid) WHERE p.id = 'p1'"),
        ("ident", "SELECT count(*) FROM ident WHERE value = 'M1'"),
        (
            "card",
            "SELECT count(*) FROM card c JOIN patient p USING (pid) WHERE p.id = 'p1' AND (c.body IS NOT NULL OR c.live)",
        ),
        (
            "board",
            "SELECT count(*) FROM board b JOIN patient p USING (pid) WHERE p.id = 'p1' AND b.body IS NOT NULL",
        ),
        (
            "sound",
            "SELECT count(*) FROM sound s LEFT JOIN patient p USING (pid) WHERE p.id = 'p1' OR s.code LIKE '%SLFN%'",
        ),
        (
            "note",
            "SELECT count(*) FROM note n LEFT JOIN patient p USING (pid) WHERE p.id = 'p1'",
        ),
        (
            "note_word",
            "SELECT count(*) FROM note_word w LEFT JOIN patient p USING (pid) WHERE p.id IN ('p1', 'p2') OR w.word = 'quagga'",
        ),
        ("ess_member", "SELECT count(*) FROM ess_member WHERE id = 'p1'"),
    ] {
        assert_eq!(count(&conn, sql), 0, "{table}");
    }
    assert!(!in_index(&conn, b"uetzal") && !in_index(&conn, b"ylophon"));
    assert!(in_index(&conn, b"arin"), "the others are found");
    assert_eq!(
        count(&conn, "SELECT count(*) FROM patient WHERE destroyed = 1"),
        1
    );
}
