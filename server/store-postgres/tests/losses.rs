//! Kills, several writing servers, keys that change: what was acknowledged is there, once, in order.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{hospital, name, node, open, replay};
use vitrine_clinical::UtcMs;
use vitrine_store::conformance::hospital::{Hospital, note, person, place, put};
use vitrine_store::{ChangeBatch, Feed, Keeping, Messages, NewMessage};
use vitrine_store_postgres::PostgresStore;
use vitrine_testpg::TestPg;

/// A batch of one patient's.
fn one(h: &Hospital, n: u64) -> ChangeBatch {
    h.batch(vec![put(
        &format!("Flag/f{n}"),
        &note(&format!("p{}", n % 7), "flag", &n.to_string()),
    )])
}

/// Kills in a run; `VITRINE_PG_KILLS` gives another number.
fn kills() -> u64 {
    std::env::var("VITRINE_PG_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_postgresql_loses_nothing_that_was_acknowledged() {
    let mut pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = Arc::new(hospital(store.clone(), 0));
    h.apply(vec![place("p0", Some("ED"), &[])]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..6_u64)
        .map(|w| {
            let (h, stopped) = (h.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut acked: Vec<(ChangeBatch, u64)> = Vec::new();
                let mut n = w * 1_000_000;
                while !*stopped.borrow() {
                    n += 1;
                    let batch = one(&h, n);
                    if let Ok((applied, _)) = h.store.apply(&h.client(None), batch.clone()).await {
                        acked.push((batch, applied.changes[0].version));
                    }
                }
                acked
            })
        })
        .collect();
    for n in 0..kills() {
        tokio::time::sleep(Duration::from_millis(60 + 37 * (n % 11))).await;
        pg.kill().expect("killed");
        pg.resume().expect("started again");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.send_replace(true);
    let mut acked = Vec::new();
    for w in writers {
        acked.extend(w.await.expect("no writer failed"));
    }
    assert!(
        acked.len() as u64 > kills(),
        "there was something to lose: {}",
        acked.len()
    );
    for (batch, version) in &acked {
        let (again, _) = h
            .store
            .apply(&h.client(None), batch.clone())
            .await
            .expect("answered");
        assert!(again.duplicate, "an acknowledged operation is known");
        assert_eq!(again.changes[0].version, *version);
    }
    for p in 0..7 {
        replay(&*store, &format!("pat:p{p}")).await;
    }
    let report = store.verify_audit().await.expect("the chain is whole");
    let rows = pg
        .psql(
            name(&url),
            "SELECT count(*), count(DISTINCT seq), max(seq) FROM audit",
        )
        .expect("psql");
    let seq = report.servers[0].1.seq;
    assert_eq!(rows.trim(), format!("{seq}|{seq}|{seq}"), "each row once");
    let doubled = "SELECT count(*) FROM (SELECT rid, version FROM resource_version GROUP BY 1, 2 HAVING count(*) > 1) x";
    assert_eq!(pg.psql(name(&url), doubled).expect("psql").trim(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_write_and_a_reader_sees_every_position_once_in_order() {
    every_position_once(TestPg::start().expect("PostgreSQL")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_on_version_18() {
    if let Some(pg) = TestPg::start_newer().expect("PostgreSQL 18") {
        every_position_once(pg).await;
    }
}

/// Writers of random length on two servers, one reader that follows.
async fn every_position_once(pg: TestPg) {
    let url = pg.database().expect("a database");
    let (a, b) = (node(&url, "server").await, node(&url, "server-b").await);
    let reader = open_third(&url).await;
    let mut tasks = Vec::new();
    for (w, store) in [&a, &b, &a, &b, &a, &b].into_iter().enumerate() {
        let h = hospital(store.clone(), 1_000_000 * (w as u64 + 1));
        tasks.push(tokio::spawn(async move {
            for n in 0..30_usize {
                // From one change to sixty in a transaction, over patients both servers write to.
                let len = 1 + (n * 7 + w * 13) % 60;
                let ops = (0..len)
                    .map(|k| {
                        put(
                            &format!("Flag/w{w}-{}", k % 9),
                            &note(&format!("p{}", (k + n) % 4), "flag", &format!("{n} {k}")),
                        )
                    })
                    .chain([place(&format!("p{}", n % 4), Some(["ED", "ICU"][n % 2]), &[])])
                    .collect();
                h.apply(ops).await;
            }
        }));
    }
    let follow = tokio::spawn(async move {
        let mut watch = reader.watch();
        let (mut pos, mut seen, mut quiet) = (0, Vec::new(), 0);
        while quiet < 3 {
            let some = reader.changes_since(pos, None, 173).await.expect("feed");
            if some.rows.is_empty() {
                let woken = tokio::time::timeout(Duration::from_millis(800), watch.changed()).await;
                quiet = if woken.is_ok() { 0 } else { quiet + 1 };
            }
            pos = some.pos;
            seen.extend(some.rows);
        }
        seen
    });
    for t in tasks {
        t.await.expect("no writer failed");
    }
    let seen = follow.await.expect("the reader lives");
    let positions: Vec<u64> = seen.iter().map(|r| r.pos).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    let mut revs: BTreeMap<String, u64> = BTreeMap::new();
    for r in seen.iter().filter(|r| r.scope.starts_with("pat:")) {
        let rev = revs.entry(r.scope.clone()).or_default();
        assert_eq!(
            (r.prev, r.ver),
            (*rev, *rev + 1),
            "no loss, no reorder within a patient"
        );
        *rev = r.ver;
    }
    for scope in [
        "pat:p0",
        "pat:p1",
        "pat:p2",
        "pat:p3",
        "ess:site",
        "ess:ED",
        "ess:ICU",
        "board:ED",
        "board:ICU",
    ] {
        replay(&*a, scope).await;
    }
    let report = b.verify_audit().await.expect("both chains are whole");
    let rows: Vec<(&str, u64)> = report.servers.iter().map(|(c, h)| (c.as_str(), h.seq)).collect();
    assert_eq!(rows, [("server", 90), ("server-b", 90)]);
}

async fn open_third(url: &str) -> Arc<PostgresStore> {
    node(url, "server-c").await
}

/// A reader that polls by an identity given at insert loses what commits late: the way the feed does not go.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_by_identity_would_lose_rows() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let sql = |s: &str| pg.psql(name(&url), s).expect("psql");
    sql("CREATE TABLE naive (id bigint GENERATED ALWAYS AS IDENTITY, what text)");
    let slow = pg
        .psql_begin(
            name(&url),
            "BEGIN; INSERT INTO naive (what) VALUES ('slow'); SELECT pg_sleep(1); COMMIT;",
        )
        .expect("psql");
    tokio::time::sleep(Duration::from_millis(400)).await;
    sql("INSERT INTO naive (what) VALUES ('fast')");
    let seen = sql("SELECT coalesce(max(id), 0) FROM naive");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    drop(slow);
    let late = sql(&format!(
        "SELECT count(*) FROM naive WHERE id <= {} AND what = 'slow'",
        seen.trim()
    ));
    assert_eq!(
        late.trim(),
        "1",
        "the control loses the slow row: its id is below what was read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_data_key_reaches_every_body_and_nothing_changes() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    for n in 0..40 {
        h.apply(vec![
            person(&format!("p{n}"), "Ann Lee", "1980", &n.to_string()),
            place(&format!("p{n}"), Some("ED"), &[]),
        ])
        .await;
    }
    let message = |n: i64| NewMessage {
        at: UtcMs(n),
        feed: "adt".to_owned(),
        sender: "LAB^HOSP".to_owned(),
        control: n.to_string(),
        dated: String::new(),
        kind: "ADT^A01".to_owned(),
        of: None,
        body: format!("MSH|{n}").into(),
    };
    for n in 0..40 {
        let kept = store.keep_message(message(n)).await.expect("kept");
        assert!(matches!(kept, Keeping::New(_)), "{kept:?}");
    }
    let messages = store.unsettled_messages(0, 100).await.expect("messages");
    assert_eq!(messages.len(), 40);
    let before = store.scope_refs("ess:ED").await.expect("refs");
    let keys = "SELECT DISTINCT encode(substr(body, 2, 4), 'hex') FROM
                 (SELECT body FROM resource UNION ALL SELECT body FROM fact UNION ALL SELECT body FROM card
                  UNION ALL SELECT body FROM board UNION ALL SELECT body FROM message_body
                  UNION ALL SELECT about FROM message UNION ALL SELECT said FROM message) x";
    assert_eq!(pg.psql(name(&url), keys).expect("psql").trim(), "00000001");
    assert_eq!(store.rotate_data_key().await.expect("rotated"), 2);
    let writing = tokio::spawn({
        let h = hospital(store.clone(), 50_000);
        async move {
            for n in 0..40 {
                h.apply(vec![put(
                    &format!("Flag/f{n}"),
                    &note(&format!("p{n}"), "flag", "x"),
                )])
                .await;
            }
        }
    });
    assert!(store.reseal().await.expect("sealed again") > 100);
    writing.await.expect("the writer goes on");
    store.reseal().await.expect("sealed again");
    assert_eq!(pg.psql(name(&url), keys).expect("psql").trim(), "00000002");
    let after = store.scope_refs("ess:ED").await.expect("refs");
    assert_eq!(before.0.len(), after.0.len());
    assert_eq!(
        store.unsettled_messages(0, 100).await.expect("messages"),
        messages
    );
    let again = store.keep_message(message(7)).await.expect("kept");
    assert!(matches!(again, Keeping::Again { .. }), "still known: {again:?}");
    for p in 0..40 {
        let facts = h.card(&format!("p{p}")).await.expect("a card");
        assert_eq!(facts, ["Ann Lee", "place", "x"]);
    }
    drop((store, h));
    let store = open(&url).await;
    assert_eq!(
        store.scope_refs("ess:ED").await.expect("refs").0,
        after.0,
        "and opens again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stretches_of_the_feed_that_retention_emptied_are_dropped_and_no_others() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let db = support::name(&url).to_owned();
    let stretches = || {
        let sql = "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text) FROM pg_inherits
                    WHERE inhparent = 'change_log'::regclass";
        pg.psql(&db, sql).expect("listed").trim().to_owned()
    };
    let at = |pos: u64| {
        let row = format!(
            "INSERT INTO change_log VALUES ({pos}, 2, 1, 0, 1, false);
             UPDATE meta SET value = '{pos}' WHERE key = 'feed_newest'"
        );
        pg.psql(&db, &row).expect("a row of the feed");
    };
    let store = open(&url).await;
    assert_eq!(stretches(), "change_log_1 change_log_2 change_log_rest");
    at(6_000_000);
    at(12_000_000);

    // Nothing is dropped that has a row, however old it is said to be; and what is empty but not old stays.
    store.prune(5_500_000).await.expect("pruned");
    drop(store);
    let store = open(&url).await;
    assert_eq!(
        stretches(),
        "change_log_1 change_log_2 change_log_3 change_log_4 change_log_rest"
    );
    store.prune(11_999_999).await.expect("pruned");
    drop(store);

    // Somebody reads the feed for long: the server starts, and the stretch stays until another turn.
    let reading = "SELECT count(*) FROM change_log; SELECT pg_sleep(6)";
    let reader = pg.psql_begin(&db, reading).expect("a reader");
    let holds = "SELECT count(*) FROM pg_locks WHERE relation = 'change_log'::regclass AND granted";
    while pg.psql(&db, holds).expect("the locks").trim() == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let store = open(&url).await;
    assert!(stretches().starts_with("change_log_1 "), "{}", stretches());
    drop(store);
    while pg.psql(&db, holds).expect("the locks").trim() != "0" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(reader);
    let store = open(&url).await;
    assert_eq!(
        stretches(),
        "change_log_2 change_log_3 change_log_4 change_log_rest"
    );
    let feed = store.changes_since(11_999_999, None, 10).await.expect("the feed");
    assert_eq!(feed.rows.iter().map(|r| r.pos).collect::<Vec<_>>(), [12_000_000]);
}
