//! A database of an older program, and an older server that still writes: nobody is missed by the new search.

mod support;

use support::{hospital, name, open};
use vitrine_access::action::SearchPatients;
use vitrine_store::conformance::hospital::{Hospital, person};
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
                DELETE FROM schema_migration WHERE number >= 4; DROP TABLE IF EXISTS note, note_word, imaging_study, imaging_series, imaging_instance, imaging_pack, imaging_copy, imaging_target; DROP SEQUENCE imaging_no; ALTER TABLE break_glass_grant DROP COLUMN next_look;";
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
