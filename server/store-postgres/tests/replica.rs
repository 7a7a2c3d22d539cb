//! Reads that a replica may answer, and reads that it answers because nobody else does.

mod support;

use std::sync::Arc;
use std::time::Duration;
use support::{hospital, name, try_open};
use vitrine_access::action::{ReadAudit, SearchPatients};
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, person, place, put};
use vitrine_store::{AuditLog, ChartStore, MemoryStore, SearchQuery, StoreMode};
use vitrine_store_postgres::{PostgresOptions, PostgresStore, Replica};
use vitrine_testpg::TestPg;

async fn found(h: &Hospital, text: &str) -> usize {
    let permit = h.client::<SearchPatients>(None).noted("query", text);
    let query = SearchQuery {
        text: text.to_owned(),
        limit: 50,
    };
    let sealed = h.store.search(&permit, &query).await.expect("searched");
    h.open(&permit, sealed).await.hits.len()
}

async fn opened(pg: &TestPg, standby: &TestPg, spool: &Arc<MemoryStore>) -> (String, Arc<PostgresStore>) {
    let url = pg.database().expect("a database");
    let options = PostgresOptions {
        replica: Some(Replica {
            url: standby.url(name(&url)),
            spool: spool.clone(),
        }),
        patience: Duration::from_secs(20),
        ..PostgresOptions::default()
    };
    let store = try_open(&url, 7, options).await.expect("opened");
    (url, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_written_reads_it_also_from_a_replica_that_is_behind() {
    let pg = TestPg::start().expect("PostgreSQL");
    let standby = pg.standby().expect("a standby");
    let spool = Arc::new(MemoryStore::new(Arc::new(NoteProjector), "spool"));
    let (url, store) = opened(&pg, &standby, &spool).await;
    let h = hospital(store.clone(), 0);
    for n in 0..150 {
        h.apply(vec![person(
            &format!("p{n}"),
            &format!("Zed N{n:03}"),
            "1980",
            &n.to_string(),
        )])
        .await;
        assert_eq!(
            found(&h, &format!("N{n:03}")).await,
            1,
            "patient {n} is found at once"
        );
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = store.replica_reads();
    assert_eq!(found(&h, "N007").await, 1);
    assert!(
        store.replica_reads() > before,
        "a replica that is not behind is used"
    );
    standby
        .psql(name(&url), "SELECT pg_wal_replay_pause()")
        .expect("paused");
    for n in 150..200 {
        h.apply(vec![person(
            &format!("p{n}"),
            &format!("Zed N{n:03}"),
            "1980",
            &n.to_string(),
        )])
        .await;
        assert_eq!(
            found(&h, &format!("N{n:03}")).await,
            1,
            "patient {n}, the replica being behind"
        );
    }
    // The control: the replica itself has not got them.
    let there = standby.psql(name(&url), "SELECT count(*) FROM patient WHERE id = 'p199'");
    assert_eq!(there.expect("psql").trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_without_a_primary_and_are_in_the_log() {
    let mut pg = TestPg::start().expect("PostgreSQL");
    let standby = pg.standby().expect("a standby");
    let spool = Arc::new(MemoryStore::new(Arc::new(NoteProjector), "spool"));
    let (url, store) = opened(&pg, &standby, &spool).await;
    let h = hospital(store.clone(), 0);
    h.apply(vec![
        person("p1", "Ann Lee", "1980", "1"),
        place("p1", Some("ED"), &[]),
        put("AllergyIntolerance/a", &note("p1", "allergy", "latex")),
    ])
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.mode(), StoreMode::ReadWrite);
    pg.kill().expect("killed");
    let mut primary = store.primary();
    tokio::time::timeout(Duration::from_secs(5), primary.wait_for(|answers| !answers))
        .await
        .expect("it is noticed")
        .expect("the store lives");
    assert_eq!(store.mode(), StoreMode::ReadOnly, "and said");
    for _ in 0..5 {
        assert_eq!(h.card("p1").await.expect("a card"), ["Ann Lee", "latex", "place"]);
    }
    assert_eq!(found(&h, "lee").await, 1);
    let kept = spool
        .rows(&h.operator::<ReadAudit>(), "server", 0, 100)
        .await
        .expect("rows");
    assert_eq!(
        kept.len(),
        6,
        "one row for each access, durable beside the server"
    );
    pg.resume().expect("started again");
    tokio::time::timeout(Duration::from_secs(10), primary.wait_for(|answers| *answers))
        .await
        .expect("it comes back")
        .expect("the store lives");
    let rows: Vec<_> = kept.into_iter().map(|r| r.row).collect();
    assert_eq!(store.take_spooled(rows.clone()).await.expect("taken"), 6);
    assert_eq!(
        store.take_spooled(rows.clone()).await.expect("again"),
        0,
        "each once"
    );
    let report = store.verify_audit().await.expect("every chain is whole");
    let standby_chain = report.servers.iter().find(|(c, _)| c == "server.standby");
    assert_eq!(standby_chain.map(|(_, h)| h.seq), Some(6));
    h.apply(vec![put("AllergyIntolerance/a", &note("p1", "allergy", "nuts"))])
        .await;
    assert_eq!(h.card("p1").await.expect("a card"), ["Ann Lee", "nuts", "place"]);
    drop(url);
}
