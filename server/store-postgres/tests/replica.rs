//! Reads that a replica may answer, and reads that it answers because nobody else does.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use support::{hospital, name, try_open};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use vitrine_access::action::{ReadAudit, SearchPatients};
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, person, place, put};
use vitrine_store::{AuditLog, ChartStore, MemoryStore, SearchQuery, StoreMode};
use vitrine_store_postgres::{PostgresOptions, PostgresStore, Replica};
use vitrine_testpg::TestPg;

async fn found(h: &Hospital, text: &str) -> usize {
    let permit = h.client::<SearchPatients>(None).noted("query", text);
    let query = SearchQuery {
        text: text.to_owned(),
        by: vitrine_store::SearchBy::Words,
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

/// Hands everything on between a client and a server until it sees `word` from a client: from then on nothing passes,
/// and nobody is told. This is what a machine that stands still looks like from outside.
async fn silent_from(word: &'static [u8], server: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (armed, silent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let arm = armed.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(behind) = TcpStream::connect(("127.0.0.1", server)).await else {
                continue;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = behind.into_split();
            tokio::spawn(hand_on(from_server, to_client, None, silent.clone()));
            let watch = Some((word, armed.clone()));
            tokio::spawn(hand_on(from_client, to_server, watch, silent.clone()));
        }
    });
    (port, arm)
}

async fn hand_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    watch: Option<(&'static [u8], Arc<AtomicBool>)>,
    silent: Arc<AtomicBool>,
) {
    let mut held = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut held).await {
        if let Some((word, armed)) = &watch
            && armed.load(Relaxed)
            && held[..n].windows(word.len()).any(|w| w == *word)
        {
            silent.store(true, Relaxed);
        }
        while silent.load(Relaxed) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if to.write_all(&held[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stands_still_while_it_is_told_something_is_noticed_too() {
    let pg = TestPg::start().expect("PostgreSQL");
    let standby = pg.standby().expect("a standby");
    let url = pg.database().expect("a database");
    let (port, armed) = silent_from(b"NOTIFY vitrine_feed", pg.port()).await;
    let through = url.replace(&format!(":{}/", pg.port()), &format!(":{port}/"));
    let spool = Arc::new(MemoryStore::new(Arc::new(NoteProjector), "spool"));
    let options = PostgresOptions {
        replica: Some(Replica {
            url: standby.url(name(&url)),
            spool,
        }),
        ..PostgresOptions::default()
    };
    let store = try_open(&through, 7, options).await.expect("opened");
    let h = hospital(store.clone(), 0);
    h.apply(vec![
        person("p1", "Ann Lee", "1980", "1"),
        place("p1", Some("ED"), &[]),
    ])
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    armed.store(true, Relaxed);
    h.apply(vec![put("AllergyIntolerance/a", &note("p1", "allergy", "latex"))])
        .await;
    let mut primary = store.primary();
    tokio::time::timeout(Duration::from_secs(5), primary.wait_for(|answers| !answers))
        .await
        .expect("it is noticed")
        .expect("the store lives");
    assert_eq!(h.card("p1").await.expect("a card"), ["Ann Lee", "latex", "place"]);
}
