//! A database of an older program, and an older server that still writes: nobody is missed by the new search.

mod support;

use support::{hospital, name, node, open};
use vitrine_access::action::{ReadAudit, SearchPatients};
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, pat, person};
use vitrine_store::{ChartStore, SearchBy, SearchQuery, StoreError};
use vitrine_testpg::TestPg;

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

#[tokio::test(flavor = "multi_thread")]
async fn people_of_an_older_program_are_found_by_sound_or_nobody_is() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    for n in 0..6 {
        h.apply(vec![person(
            &format!("p{n}"),
            "Anna Meyer",
            "1950",
            &format!("M{n}"),
        )])
        .await;
    }
    assert_eq!(sounding(&h, "Maier").await.expect("found").len(), 6);
    let first = h.number();
    drop((h, store));
    let back = "ALTER TABLE person DROP COLUMN form; UPDATE person SET tokens = '{}';
                DELETE FROM schema_migration WHERE number >= 4; DROP TABLE identity, used_once, totp, totp_code, message, message_body; ALTER TABLE session DROP COLUMN issuer, DROP COLUMN subject, DROP COLUMN sid; ALTER TABLE account DROP COLUMN badges; ALTER TABLE client DROP COLUMN keys, DROP COLUMN redirects, ALTER COLUMN secret SET NOT NULL; DROP TABLE IF EXISTS note, note_word, imaging_study, imaging_series, imaging_instance, imaging_pack, imaging_copy, imaging_target; DROP SEQUENCE imaging_no; ALTER TABLE break_glass_grant DROP COLUMN next_look; DROP TABLE audit_find, audit_chain, audit_action;";
    pg.psql(name(&url), back).expect("psql");
    let store = open(&url).await;
    let h = hospital(store.clone(), first);
    assert_eq!(
        sounding(&h, "Maier").await,
        Err(StoreError::NotIndexed { left: 6 })
    );
    assert_eq!(store.catch_up(2).await.expect("caught up"), 4);
    h.apply(vec![person("p5", "Renamed", "1950", "M5")]).await;
    assert_eq!(
        sounding(&h, "Maier").await,
        Err(StoreError::NotIndexed { left: 3 }),
        "who is written meanwhile is taken in with that"
    );
    assert_eq!(store.catch_up(100).await.expect("caught up"), 0);
    let all = ["p0", "p1", "p2", "p3", "p4"];
    assert_eq!(sounding(&h, "Maier").await.expect("found"), all);
    assert_eq!(sounding(&h, "Rehnamed").await.expect("found"), ["p5"]);
    // An older server on the same database writes a person again, as it knows how: without the new column.
    pg.psql(
        name(&url),
        "WITH gone AS (DELETE FROM person WHERE pid = (SELECT pid FROM patient WHERE id = 'p0') RETURNING pid)
         SELECT pid FROM gone;
         INSERT INTO person (pid, tokens) SELECT pid, '{1}' FROM patient WHERE id = 'p0'",
    )
    .expect("psql");
    assert_eq!(
        sounding(&h, "Maier").await,
        Err(StoreError::NotIndexed { left: 1 })
    );
    assert_eq!(store.catch_up(100).await.expect("caught up"), 0);
    assert_eq!(sounding(&h, "Maier").await.expect("found"), all);
}

async fn of_patient(h: &Hospital, id: &str) -> Result<Vec<(String, u64)>, StoreError> {
    let query = AuditQuery {
        patient: Some(pat(id)),
        limit: 100,
        ..AuditQuery::default()
    };
    let found = h.store.find(&h.operator::<ReadAudit>(), query).await?;
    Ok(found.rows.into_iter().map(|r| (r.chain, r.seq)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_rows_of_an_older_program_are_found_or_nothing_is() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let other = node(&url, "second").await;
    let (h, g) = (hospital(store.clone(), 0), hospital(other.clone(), 1_000));
    for n in 0..30 {
        let change = |m: i32| {
            vec![person(
                &format!("p{}", n % 5),
                &format!("Anna {n} {m}"),
                "1950",
                "1",
            )]
        };
        h.apply(change(0)).await;
        g.apply(change(1)).await;
    }
    let before = of_patient(&h, "p3").await.expect("found");
    assert_eq!(before.len(), 12);
    assert_eq!(before.iter().filter(|(chain, _)| chain == "second").count(), 6);
    // Nobody reads a patient from the index: its terms are not the hashes that anybody can make.
    let plain = vitrine_store::audit_find::Term::Patient("p3").number();
    let there = pg
        .psql(
            name(&url),
            &format!("SELECT count(*) FROM audit_find WHERE term = {plain}"),
        )
        .expect("psql");
    assert!(there.lines().any(|l| l.trim() == "0"), "{there}");
    let (first, second) = (h.number(), g.number());
    drop((h, g, store, other));
    let back = "DELETE FROM schema_migration WHERE number >= 10; DROP TABLE identity, used_once, totp, totp_code, message, message_body; ALTER TABLE session DROP COLUMN issuer, DROP COLUMN subject, DROP COLUMN sid; ALTER TABLE account DROP COLUMN badges; ALTER TABLE client DROP COLUMN keys, DROP COLUMN redirects, ALTER COLUMN secret SET NOT NULL; DROP TABLE audit_find, audit_chain, audit_action;";
    pg.psql(name(&url), back).expect("psql");
    let (store, other) = (open(&url).await, node(&url, "second").await);
    let (h, g) = (hospital(store.clone(), first), hospital(other, second));
    assert_eq!(
        of_patient(&h, "p3").await,
        Err(StoreError::NotFoundYet { left: 60 })
    );
    assert_eq!(store.catch_up(1).await.expect("caught up"), 40);
    g.apply(vec![person("p3", "Anna again", "1950", "1")]).await;
    assert_eq!(
        of_patient(&h, "p3").await,
        Err(StoreError::NotFoundYet { left: 41 })
    );
    assert_eq!(store.catch_up(100).await.expect("caught up"), 0);
    let mut want = before;
    want.push(("second".to_owned(), 31));
    let mut found = of_patient(&h, "p3").await.expect("found");
    want.sort();
    found.sort();
    assert_eq!(found, want);
    // An older server writes a row beside this one, as it knows how: without entries.
    pg.psql(
        name(&url),
        "UPDATE audit_chain SET upto = upto - 1 WHERE name = 'second';
         DELETE FROM audit_find WHERE place = (SELECT (no::bigint << 40) | 31 FROM audit_chain WHERE name = 'second')",
    )
    .expect("psql");
    assert_eq!(
        of_patient(&h, "p3").await,
        Err(StoreError::NotFoundYet { left: 1 })
    );
    g.apply(vec![person("p4", "Anna again", "1950", "1")]).await;
    assert_eq!(
        of_patient(&h, "p3").await,
        Err(StoreError::NotFoundYet { left: 2 })
    );
    assert_eq!(store.catch_up(100).await.expect("caught up"), 0);
    let mut found = of_patient(&h, "p3").await.expect("found");
    found.sort();
    assert_eq!(found, want);
}
