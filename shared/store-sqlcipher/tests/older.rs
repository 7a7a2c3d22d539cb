//! A file of an older program: it is migrated, and what the new search needs is made from what is there.

use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::{ReadAudit, ReadCard, SearchPatients};
use vitrine_access::chain::{ChainFault, Head, Row};
use vitrine_clinical::{DeviceId, UtcMs, WardId};
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, delete, pat, person};
use vitrine_store::{EnrolCode, NewDevice, SearchBy, SearchQuery, Store, StoreError};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};

/// Makes a file that this program wrote one of schema 11: rows of the audit log are texts, each entry of their index
/// stands alone, chains of workstations are told apart by name.
async fn to_schema_11(h: &Hospital, path: &std::path::Path, key: Key) {
    let mut texts = Vec::new();
    for (chain, _) in h.store.heads().await.unwrap() {
        let permit = h.operator::<ReadAudit>();
        texts.extend(h.store.rows(&permit, &chain, 0, 100_000).await.unwrap());
    }
    let conn = cipher::open(path, &key, &OpenOptions::default()).unwrap();
    conn.execute_batch(
        "DROP TABLE message; DROP TABLE message_body; DROP TABLE totp; DROP TABLE totp_code;
         DROP TRIGGER account_update_elsewhere; ALTER TABLE account DROP COLUMN badges;
         DROP TABLE client; CREATE TABLE client (id TEXT PRIMARY KEY, secret BLOB NOT NULL, scopes TEXT NOT NULL) WITHOUT ROWID;
         DROP TRIGGER resource_keeps_its_number; DROP TRIGGER patient_keeps_its_number; DROP TRIGGER patient_no_delete;
         DROP TRIGGER audit_no_update; DROP TABLE device_audit;
         CREATE TABLE device_audit (device TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (device, seq));
         CREATE TABLE old_find (term INTEGER NOT NULL, at INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (term, at, place)) WITHOUT ROWID;",
    )
    .unwrap();
    for row in &texts {
        let entry: vitrine_access::AuditEntry = serde_json::from_str(&row.row.body).unwrap();
        let no: i64 = conn
            .query_row("SELECT no FROM audit_chain WHERE name = ?1", [&row.chain], |r| {
                r.get(0)
            })
            .unwrap();
        let (seq, packed) = (
            row.row.seq as i64,
            [&[0_u8][..], row.row.body.as_bytes()].concat(),
        );
        for term in vitrine_store::audit_find::terms(&entry) {
            let sql = "INSERT INTO old_find VALUES (?1, ?2, ?3)";
            conn.execute(sql, (term.number(), entry.at.0, (no << 40) | seq))
                .unwrap();
        }
        if row.chain == "server" {
            conn.execute("UPDATE audit SET body = ?2 WHERE seq = ?1", (seq, packed))
                .unwrap();
        } else {
            let sql = "INSERT INTO device_audit VALUES (?1, ?2, ?3, ?4)";
            conn.execute(sql, (&row.chain, seq, &row.row.hash[..], packed))
                .unwrap();
        }
    }
    conn.execute_batch(
        "DROP TABLE audit_word; DROP TABLE audit_find; ALTER TABLE old_find RENAME TO audit_find;
         CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
         CREATE TRIGGER device_audit_no_update BEFORE UPDATE ON device_audit BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
         CREATE TRIGGER device_audit_no_delete BEFORE DELETE ON device_audit BEGIN SELECT raise(ABORT, 'audit rows are never deleted'); END;
         PRAGMA user_version = 11;",
    )
    .unwrap();
}

async fn enrolled(h: &Hospital, id: &str) -> DeviceId {
    let device = DeviceId::new(id).unwrap();
    let code = EnrolCode {
        hash: [1; 32],
        ward: WardId::new("ED").unwrap(),
        site: false,
        until: UtcMs(i64::MAX),
    };
    h.store.put_enrol_code(&h.operator(), code).await.unwrap();
    let new = NewDevice {
        id: device.clone(),
        name: "desk".to_owned(),
        public_key: vec![1; 32],
    };
    h.store.enrol([1; 32], new, h.now()).await.unwrap();
    device
}

async fn upload(h: &Hospital, device: &DeviceId, head: &mut Head, count: usize) {
    let mut rows = Vec::new();
    for _ in 0..count {
        let permit = h.client::<ReadCard>(Some("p3"));
        let body = serde_json::to_string(&permit.entry(Disclosure::default())).unwrap();
        let prev = head.hash;
        *head = head.after(body.as_bytes());
        rows.push(Row {
            seq: head.seq,
            prev,
            hash: head.hash,
            body,
        });
    }
    h.store.accept_device_rows(device, rows).await.unwrap();
}

async fn sounding(h: &Hospital, text: &str) -> Result<Vec<String>, StoreError> {
    let permit = h.client::<SearchPatients>(None);
    let query = SearchQuery {
        text: text.to_owned(),
        by: SearchBy::Sound,
        limit: 50,
    };
    let sealed = h.store.search(&permit, &query).await?;
    let hits = h.open(&permit, sealed).await;
    let mut ids: Vec<String> = hits.hits.iter().map(|x| x.patient.to_string()).collect();
    ids.sort();
    Ok(ids)
}

#[tokio::test]
async fn people_of_an_older_program_are_found_by_sound_or_nobody_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(zeroize::Zeroizing::new([7; 32]));
    let open = || -> Arc<dyn Store> {
        SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap()
    };
    let h = Hospital::new(open(), 0);
    for n in 0..7 {
        h.apply(vec![person(
            &format!("p{n}"),
            "Anna Meyer",
            "1950",
            &format!("M{n}"),
        )])
        .await;
    }
    h.apply(vec![delete("Patient/p6")]).await;
    assert_eq!(sounding(&h, "Maier").await.unwrap().len(), 6);
    let first = h.number();
    to_schema_11(&h, &path, key()).await;
    drop(h);
    {
        let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
        conn.execute_batch("DROP TABLE sound; DROP TABLE sound_due; DROP TABLE note; DROP TABLE note_word; DROP TABLE imaging_study; DROP TABLE imaging_series; DROP TABLE imaging_instance; DROP TABLE imaging_pack; DROP TABLE imaging_copy; DROP TABLE imaging_target; DROP INDEX break_glass_grant_look; ALTER TABLE break_glass_grant DROP COLUMN next_look; DROP TABLE identity; DROP TABLE used_once; ALTER TABLE session DROP COLUMN issuer; ALTER TABLE session DROP COLUMN subject; ALTER TABLE session DROP COLUMN sid; DROP TABLE audit_find; DROP TABLE audit_chain; DROP TABLE audit_action; PRAGMA user_version = 3;")
            .unwrap();
    }
    let h = Hospital::new(open(), first);
    let refused = sounding(&h, "Maier").await;
    assert_eq!(refused, Err(StoreError::NotIndexed { left: 6 }));
    assert_eq!(h.store.catch_up(2).await.unwrap(), 4);
    // Somebody who is written meanwhile is taken in with that.
    h.apply(vec![person("p5", "Renamed", "1950", "M5")]).await;
    let first = h.number();
    drop(h);
    let h = Hospital::new(open(), first);
    let refused = sounding(&h, "Maier").await;
    assert_eq!(
        refused,
        Err(StoreError::NotIndexed { left: 3 }),
        "it goes on where it was"
    );
    assert_eq!(h.store.catch_up(100).await.unwrap(), 0);
    assert_eq!(
        sounding(&h, "Maier").await.unwrap(),
        ["p0", "p1", "p2", "p3", "p4"]
    );
    assert_eq!(sounding(&h, "Rehnamed").await.unwrap(), ["p5"]);
}

async fn of_patient(h: &Hospital, id: &str) -> Result<Vec<u64>, StoreError> {
    let query = AuditQuery {
        patient: Some(pat(id)),
        limit: 100,
        ..AuditQuery::default()
    };
    let found = h.store.find(&h.operator::<ReadAudit>(), query).await?;
    Ok(found.rows.iter().map(|r| r.seq).collect())
}

#[tokio::test]
async fn audit_rows_of_an_older_program_are_found_or_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(zeroize::Zeroizing::new([7; 32]));
    let open = || -> Arc<dyn Store> {
        SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap()
    };
    let h = Hospital::new(open(), 0);
    for n in 0..50 {
        h.apply(vec![person(
            &format!("p{}", n % 5),
            &format!("Anna {n}"),
            "1950",
            "1",
        )])
        .await;
    }
    let before = of_patient(&h, "p3").await.unwrap();
    assert_eq!(before.len(), 10);
    let first = h.number();
    to_schema_11(&h, &path, key()).await;
    drop(h);
    {
        let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
        conn.execute_batch(
            "DROP TABLE identity; DROP TABLE used_once; ALTER TABLE session DROP COLUMN issuer; ALTER TABLE session DROP COLUMN subject; ALTER TABLE session DROP COLUMN sid; DROP TABLE audit_find; DROP TABLE audit_chain; DROP TABLE audit_action; PRAGMA user_version = 9;",
        )
        .unwrap();
    }
    let h = Hospital::new(open(), first);
    assert_eq!(
        of_patient(&h, "p3").await,
        Err(StoreError::NotFoundYet { left: 50 })
    );
    assert_eq!(h.store.catch_up(1).await.unwrap(), 30);
    // What is written meanwhile is in the index, and is not taken for all of it.
    h.apply(vec![person("p3", "Anna again", "1950", "1")]).await;
    let first = h.number();
    drop(h);
    let h = Hospital::new(open(), first);
    assert_eq!(
        of_patient(&h, "p3").await,
        Err(StoreError::NotFoundYet { left: 31 }),
        "it goes on where it was"
    );
    assert_eq!(h.store.catch_up(100).await.unwrap(), 0);
    let mut want = vec![51];
    want.extend(before);
    assert_eq!(of_patient(&h, "p3").await.unwrap(), want);
}

#[tokio::test]
async fn audit_rows_of_an_older_program_stay_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(zeroize::Zeroizing::new([7; 32]));
    let open =
        || SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap();
    let h = Hospital::new(open(), 0);
    let device = enrolled(&h, "ws-7").await;
    let mut head = Head::EMPTY;
    for n in 0..50 {
        let id = format!("p{}", n % 5);
        h.apply(vec![person(&id, &format!("Anna {n}"), "1950", "1")])
            .await;
        upload(&h, &device, &mut head, 1).await;
    }
    let everything = async |h: &Hospital| {
        let mut out = Vec::new();
        for chain in ["server", "ws-7"] {
            let permit = h.operator::<ReadAudit>();
            out.push(h.store.rows(&permit, chain, 0, 1_000).await.unwrap());
        }
        out
    };
    let before = everything(&h).await;
    let found = of_patient(&h, "p3").await.unwrap();
    let rows = before[0].len();
    assert!(rows >= 50 && before[1].len() == 50);
    let first = h.number();
    to_schema_11(&h, &path, key()).await;
    drop(h);
    let store = open();
    let h = Hospital::new(store.clone(), first);
    assert_eq!(
        everything(&h).await,
        before,
        "the texts and hashes are what they were"
    );
    assert_eq!(
        of_patient(&h, "p3").await.unwrap(),
        found,
        "and are found at once"
    );
    upload(&h, &device, &mut head, 3).await;
    h.apply(vec![person("p3", "Anna again", "1950", "1")]).await;
    let now = everything(&h).await;
    assert_eq!((&now[0][..rows], &now[1][..50]), (&before[0][..], &before[1][..]));
    let rows = rows as u64 + 1;
    // The write, then three rows of the workstation before it.
    let mut want = vec![rows, 53, 52, 51];
    want.extend(found);
    assert_eq!(of_patient(&h, "p3").await.unwrap(), want);
    let report = store.verify_audit().await.unwrap();
    assert_eq!(
        (report.rows, report.devices),
        (rows, vec![("ws-7".to_owned(), 53)])
    );
    drop((h, store));
    // An old row that was changed is named as ever.
    let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
    conn.execute_batch("DROP TRIGGER audit_no_update; UPDATE audit SET body = x'007b7d' WHERE seq = 7;")
        .unwrap();
    drop(conn);
    let verified = open().verify_audit().await;
    assert_eq!(verified, Err(StoreError::Chain(ChainFault::Content { seq: 7 })));
}
