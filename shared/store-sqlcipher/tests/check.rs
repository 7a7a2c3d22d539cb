//! Every body is read against its hash, and the contents are those of the moment of the copy.

use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use vitrine_clinical::UtcMs;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, put};
use vitrine_store::{MessageOutcome, MessageState, Messages as _, NewMessage};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

fn the_key() -> Key {
    Key::new(Zeroizing::new([7; 32]))
}

fn open(path: &Path) -> Arc<SqlcipherStore> {
    SqlcipherStore::open(path, the_key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap()
}

async fn filled(store: &Arc<SqlcipherStore>) {
    let h = Hospital::new(store.clone(), 0);
    for n in 0..40 {
        let text = format!("{n} {}", "words ".repeat(40));
        h.apply(vec![put(
            &format!("Flag/{}", n % 20),
            &note(&format!("p{}", n % 4), "flag", &text),
        )])
        .await;
    }
    for n in 0..3 {
        let kept = store.keep_message(NewMessage {
            at: UtcMs(1),
            feed: "adt".to_owned(),
            sender: "KIS".to_owned(),
            control: n.to_string(),
            dated: "20261201".to_owned(),
            kind: "ADT^A01".to_owned(),
            of: None,
            body: format!("MSH|{n}|{}", "field|".repeat(100)).into(),
        });
        kept.await.unwrap();
    }
    // One whose bytes are gone by right.
    let applied = MessageOutcome {
        state: MessageState::Applied,
        ..MessageOutcome::default()
    };
    assert!(store.settle_message(3, UtcMs(1), applied).await.unwrap());
    assert_eq!(store.forget_messages(UtcMs(2), 10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_body_changed_behind_the_store_is_found_whatever_is_still_in_order() {
    let cases: [(&str, &str); 7] = [
        (
            "UPDATE resource SET body = (SELECT body FROM resource WHERE rid = 2) WHERE rid = 1",
            "Flag/0: its bytes are not those of its hash",
        ),
        (
            "UPDATE card SET body = x'0041', ver = ver WHERE pid = 1",
            "EmergencyCard/p0: its bytes are not those of its hash",
        ),
        (
            "UPDATE resource SET body = x'01ffff' WHERE rid = 3",
            "Flag/2: its bytes cannot be unpacked",
        ),
        (
            "UPDATE resource_version SET body = x'07' WHERE rid = 4",
            "Flag/3 version 1: its bytes cannot be unpacked",
        ),
        (
            "UPDATE message_body SET body = (SELECT body FROM message_body WHERE id = 2) WHERE id = 1",
            "message 1: its bytes are not those of its hash",
        ),
        (
            "UPDATE message_body SET body = x'01ffff' WHERE id = 2",
            "message 2: its bytes cannot be unpacked",
        ),
        (
            "DELETE FROM message_body WHERE id = 1",
            "message 1: its bytes are missing",
        ),
    ];
    for (sql, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vitrine.db");
        let store = open(&path);
        filled(&store).await;
        let before = store.check_rows().await.unwrap();
        assert_eq!(
            (
                before.resources,
                before.versions,
                before.cards,
                before.messages,
                before.bad
            ),
            (20, 20, 4, 2, 0)
        );
        drop(store);
        let conn: Connection = cipher::open(&path, &the_key(), &OpenOptions::default()).unwrap();
        conn.execute_batch("DROP TRIGGER resource_update_elsewhere; DROP TRIGGER card_update_elsewhere;")
            .unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let store = open(&path);
        assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
        let found = store.check_rows().await.unwrap();
        assert_eq!(
            (found.bad, found.faults.as_slice()),
            (1, &[words.to_owned()][..]),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_copy_holds_what_its_contents_say_while_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("vitrine.db"));
    filled(&store).await;
    let writing = {
        let store = store.clone();
        async move {
            let h = Hospital::new(store, 1_000);
            for n in 0..200 {
                h.apply(vec![put(&format!("Flag/more{n}"), &note("p1", "flag", "more"))])
                    .await;
            }
        }
    };
    let target = folder.path().join("copy").join("copy.db");
    std::fs::create_dir(target.parent().unwrap()).unwrap();
    let (said, ()) = tokio::join!(store.backup_to(&target, None), writing);
    let said = said.unwrap();
    let copy = open(&target);
    let found = copy.contents().await.unwrap();
    assert_eq!(said.differences(&found), Vec::<String>::new());
    assert!(
        said.rows["resource"] >= 20 && said.rows["resource"] < 220,
        "{said:?}"
    );
    assert!(!store.contents().await.unwrap().differences(&said).is_empty());
}
