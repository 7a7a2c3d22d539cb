//! What others do to the database: their changes are in the feed, what they may not do is refused, and they can read
//! nothing of anybody.

mod support;

use std::time::{Duration, Instant};
use support::{hospital, name, open, replay};
use vitrine_store::conformance::hospital::{note, person, place, put};
use vitrine_store::{ChartStore, Feed, StoreError, search};
use vitrine_testpg::TestPg;

/// Statements of somebody else, and the scopes that must tell of them.
const STATEMENTS: &[(&str, &[&str])] = &[
    (
        "UPDATE board SET ward = (SELECT no FROM ward WHERE id = 'ICU')",
        &["board:ED", "board:ICU"],
    ),
    (
        "UPDATE resource SET deleted = true WHERE kind = 'Flag'",
        &["pat:p1"],
    ),
    (
        "UPDATE resource SET body = body || '' , updated = updated + 1 WHERE kind = 'Encounter'",
        &["pat:p1"],
    ),
    ("UPDATE card SET updated = updated + 1", &["ess:site", "ess:ED"]),
    ("DELETE FROM ess_member", &["ess:ED"]),
];

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "a harness reads the clock")]
async fn a_plain_update_reaches_those_who_follow_the_feed() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    h.apply(vec![
        person("p1", "Ann Lee", "1980-01-02", "MRN-1"),
        place("p1", Some("ED"), &[]),
        place("p2", Some("ICU"), &[]),
        put("Flag/f", &note("p1", "flag", "isolation")),
    ])
    .await;
    for (sql, scopes) in STATEMENTS {
        let mut watch = store.watch();
        let before = *watch.borrow_and_update();
        let begun = Instant::now();
        pg.psql(name(&url), sql).expect("psql");
        tokio::time::timeout(Duration::from_secs(1), watch.changed())
            .await
            .unwrap_or_else(|_| panic!("{sql}: nothing within a second"))
            .expect("the store lives");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "{sql}: {took:?}");
        // The notification comes with the commit: everything of the statement is there.
        let new = store.changes_since(before, None, 1000).await.expect("feed").rows;
        for scope in *scopes {
            assert!(
                new.iter().any(|r| r.scope == *scope),
                "{sql}: {scope} not in {new:?}"
            );
        }
        for scope in [
            "pat:p1",
            "pat:p2",
            "ess:site",
            "ess:ED",
            "ess:ICU",
            "board:ED",
            "board:ICU",
        ] {
            replay(&*store, scope).await;
        }
    }
    // The store goes on from there.
    h.apply(vec![
        put("Flag/f", &note("p1", "flag", "again")),
        place("p1", Some("ED"), &["OR"]),
    ])
    .await;
    for scope in ["pat:p1", "ess:site", "ess:ED", "ess:OR", "board:ED", "board:ICU"] {
        replay(&*store, scope).await;
    }
    let positions: Vec<u64> = store
        .changes_since(0, None, 1000)
        .await
        .expect("feed")
        .rows
        .iter()
        .map(|r| r.pos)
        .collect();
    assert_eq!(
        positions,
        (1..=positions.len() as u64).collect::<Vec<_>>(),
        "no gap"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_done_is_refused() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    hospital(store.clone(), 0)
        .apply(vec![put("Flag/f", &note("p1", "flag", "x"))])
        .await;
    for (sql, says) in [
        ("DELETE FROM resource", "never removed"),
        ("UPDATE audit SET seq = 9", "never changed"),
        ("DELETE FROM audit", "never changed"),
    ] {
        let said = pg.psql(name(&url), sql).expect_err("refused").to_string();
        assert!(said.contains(says), "{sql}: {said}");
    }
    assert_eq!(store.check().await.expect("checked"), Vec::<String>::new());
    pg.psql(name(&url), "DROP TRIGGER resource_feed ON resource")
        .expect("psql");
    let faults = store.check().await.expect("checked");
    assert!(faults[0].contains("resource_feed"), "{faults:?}");
    // A change of the chain that a superuser forces is found and named.
    let force = "SET session_replication_role = replica; UPDATE audit SET body = body || '\\x00'::bytea WHERE seq = 1";
    pg.psql(name(&url), force).expect("psql");
    let found = store.verify_audit().await.expect_err("found");
    assert!(
        matches!(&found, StoreError::Chain(fault) if fault.first_bad() == 1),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_database_names_anybody() {
    const PLANTED: &[&str] = &[
        "Zyxwina",
        "Qvortrup",
        "SSN-778-11-2233",
        "1931-07-09",
        "19310709",
        "plumbum allergy",
        "Hydronephrose",
        "hydronephrose",
        // How her names sound.
        "dm:SKSN",
        "k:84836",
        "KFRTRP",
        "k:437271",
    ];
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    h.apply(vec![
        person("p1", "Zyxwina Qvortrup", "1931-07-09", "SSN-778-11-2233"),
        put("AllergyIntolerance/a", &note("p1", "allergy", "plumbum allergy")),
        place("p1", Some("ED"), &[]),
    ])
    .await;
    h.apply(vec![put(
        "AllergyIntolerance/a",
        &note("p1", "allergy", "plumbum allergy, seen again"),
    )])
    .await;
    let permit = h
        .client::<vitrine_access::action::SearchPatients>(None)
        .noted("query", "Zyxwina");
    let query = vitrine_store::SearchQuery {
        text: "zyx qvort".to_owned(),
        by: vitrine_store::SearchBy::Words,
        limit: 5,
    };
    let sealed = store.search(&permit, &query).await.expect("searched");
    let hits = h.open(&permit, sealed).await;
    assert_eq!(hits.hits.len(), 1, "she is found all the same");
    let codes: Vec<String> = ["zyxwina", "qvortrup"]
        .iter()
        .flat_map(|w| search::sounds(w))
        .collect();
    for planted in PLANTED.iter().filter(|p| p.contains(':') || *p == &"KFRTRP") {
        assert!(
            codes.iter().any(|c| c.contains(planted)),
            "{planted} is no code: {codes:?}"
        );
    }
    let query = vitrine_store::SearchQuery {
        text: "Sixwena Kvortrup".to_owned(),
        by: vitrine_store::SearchBy::Sound,
        limit: 5,
    };
    let sealed = store.search(&permit, &query).await.expect("searched");
    let hits = h.open(&permit, sealed).await;
    assert_eq!(hits.hits.len(), 1, "and by sound");
    h.apply(vec![put(
        "DocumentReference/d",
        &note("p1", "doc", "Hydronephrose links"),
    )])
    .await;
    for _ in 0..2 {
        let permit = h.client::<vitrine_access::action::ReadChart>(Some("p1"));
        let query = vitrine_store::notes::NoteQuery {
            kind: "DocumentReference".to_owned(),
            text: "hydronephrose".to_owned(),
            limit: 5,
        };
        let sealed = store.notes(&permit, &query).await.expect("searched");
        let found = h.open(&permit, sealed).await;
        assert_eq!((found.total, found.resources.len()), (1, 1), "by its words");
    }
    let kept = pg
        .psql(name(&url), "SELECT count(*) FROM note_word")
        .expect("psql");
    assert_eq!(kept.trim(), "2", "its two words are kept");
    let tables = pg
        .psql(
            name(&url),
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
              WHERE nspname = 'public' AND relkind = 'r'",
        )
        .expect("psql");
    let mut seen = 0;
    for table in tables.lines() {
        let rows = pg
            .psql(
                name(&url),
                &format!("SELECT t::text, encode(t::text::bytea, 'escape') FROM {table} t"),
            )
            .expect("psql");
        seen += rows.len();
        for word in PLANTED {
            let hex: String = word.bytes().map(|b| format!("{b:02x}")).collect();
            assert!(
                !rows.contains(word) && !rows.contains(&hex),
                "{table} says {word}"
            );
        }
    }
    assert!(seen > 5_000, "there was something to read");
    pg.psql(name(&url), "CHECKPOINT").expect("psql");
    let hits = pg.scan(PLANTED).expect("read");
    assert!(hits.is_empty(), "on disk: {hits:?}");
    // The same look finds what is not sealed.
    pg.psql(
        name(&url),
        "CREATE TABLE plain AS SELECT 'Zyxwina'::text AS t; CHECKPOINT",
    )
    .expect("psql");
    assert!(!pg.scan(PLANTED).expect("read").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "a harness reads the clock")]
async fn a_long_transaction_elsewhere_is_named_and_delays_nothing() {
    let pg = TestPg::start().expect("PostgreSQL");
    let (url, other) = (
        pg.database().expect("a database"),
        pg.database().expect("a database"),
    );
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    h.apply(vec![put("Flag/f", &note("p1", "flag", "0"))]).await;
    let mut stalls = store.watch_stalls();
    let sql = "CREATE TABLE t (n int)";
    pg.psql(name(&other), sql).expect("psql");
    let held = pg
        .psql_begin(
            name(&other),
            "BEGIN; INSERT INTO t VALUES (1); SELECT pg_sleep(8);",
        )
        .expect("psql");
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let named = loop {
        let one = Instant::now();
        h.apply(vec![put("Flag/f", &note("p1", "flag", &h.number().to_string()))])
            .await;
        let seen = store.changes_since(0, None, 10_000).await.expect("feed");
        assert_eq!(seen.pos, *store.watch().borrow(), "the feed shows it at once");
        slowest = slowest.max(one.elapsed());
        let found = stalls.borrow_and_update().clone();
        if let Some(stall) = found.first() {
            break stall.clone();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "nothing was named in five seconds"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(named.database, name(&other));
    assert!(named.pid > 0);
    assert!(slowest < Duration::from_secs(2), "a write took {slowest:?}");
    drop(held);
    let cleared = async {
        while !stalls.borrow_and_update().is_empty() {
            stalls.changed().await.expect("the store lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(12), cleared)
        .await
        .expect("it clears");
}
