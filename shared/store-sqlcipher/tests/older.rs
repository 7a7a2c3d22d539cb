//! A file of an older program: it is migrated, and what the new search needs is made from what is there.

use std::sync::Arc;
use vitrine_access::action::{ReadAudit, SearchPatients};
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, delete, pat, person};
use vitrine_store::{SearchBy, SearchQuery, Store, StoreError};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};

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
    drop(h);
    {
        let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
        conn.execute_batch("DROP TABLE sound; DROP TABLE sound_due; DROP TABLE note; DROP TABLE note_word; DROP TABLE imaging_study; DROP TABLE imaging_series; DROP TABLE imaging_instance; DROP TABLE imaging_pack; DROP TABLE imaging_copy; DROP TABLE imaging_target; DROP INDEX break_glass_grant_look; ALTER TABLE break_glass_grant DROP COLUMN next_look; DROP TABLE identity; DROP TABLE used_once; ALTER TABLE session DROP COLUMN issuer; ALTER TABLE session DROP COLUMN subject; ALTER TABLE session DROP COLUMN sid; DROP TABLE audit_find; DROP TABLE audit_chain; DROP TABLE audit_action; DROP TRIGGER account_update_elsewhere; ALTER TABLE account DROP COLUMN badges; PRAGMA user_version = 3;")
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
    drop(h);
    {
        let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
        conn.execute_batch(
            "DROP TABLE identity; DROP TABLE used_once; ALTER TABLE session DROP COLUMN issuer; ALTER TABLE session DROP COLUMN subject; ALTER TABLE session DROP COLUMN sid; DROP TABLE audit_find; DROP TABLE audit_chain; DROP TABLE audit_action; DROP TRIGGER account_update_elsewhere; ALTER TABLE account DROP COLUMN badges; PRAGMA user_version = 9;",
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
