//! What cannot be used is refused in one sentence, and nothing is written.

mod support;

use support::{hospital, name, open, try_open};
use vitrine_clinical::UtcMs;
use vitrine_store::conformance::hospital::{note, put};
use vitrine_store::{
    ChartStore, Keeping, MessageOutcome, MessageState, Messages as _, NewMessage, StoreError,
};
use vitrine_store_postgres::PostgresOptions;
use vitrine_testpg::TestPg;

async fn refusal(url: &str, root: u8) -> StoreError {
    try_open(url, root, PostgresOptions::default())
        .await
        .err()
        .expect("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_cannot_be_used() {
    let mut pg = TestPg::start().expect("PostgreSQL");
    let tables = |pg: &TestPg, url: &str| {
        pg.psql(name(url), "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'")
            .expect("psql")
    };
    // Something else's.
    let taken = pg.database().expect("a database");
    pg.psql(name(&taken), "CREATE TABLE ledger (n int)")
        .expect("psql");
    let said = refusal(&taken, 7).await.to_string();
    assert!(said.contains("holds tables of something else"), "{said}");
    assert_eq!(tables(&pg, &taken).trim(), "1", "nothing was written");
    // Read-only, and careless with what it acknowledges.
    for (setting, says) in [
        ("default_transaction_read_only = on", "read-only"),
        ("synchronous_commit = off", "acknowledges what is not on disk"),
    ] {
        let url = pg.database().expect("a database");
        pg.psql(
            "postgres",
            &format!("ALTER DATABASE {} SET {setting}", name(&url)),
        )
        .expect("psql");
        let said = refusal(&url, 7).await.to_string();
        assert!(said.contains(says), "{setting}: {said}");
    }
    // Another encoding.
    pg.psql(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    )
    .expect("psql");
    let said = refusal(&pg.url("latin"), 7).await.to_string();
    assert!(said.contains("encoding LATIN1"), "{said}");
    // A newer program's, and another key's.
    let ours = pg.database().expect("a database");
    let store = open(&ours).await;
    hospital(store.clone(), 0)
        .apply(vec![put("Flag/f", &note("p1", "flag", "x"))])
        .await;
    drop(store);
    let before = pg
        .psql(name(&ours), "SELECT count(*), max(no) FROM data_key")
        .expect("psql");
    assert!(matches!(refusal(&ours, 8).await, StoreError::WrongKey(_)));
    let after = pg
        .psql(name(&ours), "SELECT count(*), max(no) FROM data_key")
        .expect("psql");
    assert_eq!(before, after, "nothing was written");
    pg.psql(
        name(&ours),
        "INSERT INTO schema_migration (number, name) VALUES (99, 'of the future')",
    )
    .expect("psql");
    assert!(matches!(
        refusal(&ours, 7).await,
        StoreError::NewerSchema { found: 99, .. }
    ));
    // Nobody there, wrong password, no such database.
    let wrong = ours.replace("vitrine-test", "not-it");
    let said = refusal(&wrong, 7).await.to_string();
    assert!(said.contains("password authentication failed"), "{said}");
    let said = refusal(&pg.url("nowhere"), 7).await.to_string();
    assert!(said.contains("does not exist"), "{said}");
    pg.stop().expect("stopped");
    let said = refusal(&ours, 7).await.to_string();
    assert!(
        said.contains("connecting") || said.contains("connection"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_cut_off_leaves_nothing() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    // As a server that died between the beginning of the migration and its commit.
    let schema = include_str!("../migrations/0001_record.sql");
    let half: String = schema.chars().take(schema.len() / 2).collect();
    let at = half.rfind(";\n").expect("a statement");
    let cut = format!("BEGIN; {}; ROLLBACK;", &half[..at]);
    pg.psql(name(&url), &cut).expect("psql");
    let store = open(&url).await;
    assert_eq!(store.check().await.expect("checked"), Vec::<String>::new());
    assert_eq!(store.counts().await.expect("counts").patients, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_on_a_message_is_not_taken_without_its_audit_row() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    let h = hospital(store.clone(), 0);
    let new = NewMessage {
        at: UtcMs(1),
        feed: "adt".to_owned(),
        sender: "KIS".to_owned(),
        control: "1".to_owned(),
        dated: "20261201".to_owned(),
        kind: "ADT^A01".to_owned(),
        of: None,
        body: "MSH|Ada Marin".into(),
    };
    let kept = store.keep_message(new).await.expect("kept");
    let Keeping::New(id) = kept else {
        panic!("{kept:?}")
    };
    let outcome = |state| MessageOutcome {
        state,
        reason: Some("a reason".to_owned()),
        ..MessageOutcome::default()
    };
    let (held, dropped) = (outcome(MessageState::Held), outcome(MessageState::Dropped));
    let settled = store.settle_message(id, UtcMs(2), held.clone()).await;
    assert!(settled.expect("settled"));
    let state = async || {
        let row = store.message(id).await.expect("read").expect("there").row;
        (row.outcome, row.settled)
    };
    let rows = store.counts().await.expect("counts").audit_rows;
    let refuse =
        "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                  CREATE TRIGGER refused BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refused()";
    pg.psql(name(&url), refuse).expect("psql");
    let permit = h.operator();
    let failed = store.decide_message(&permit, id, UtcMs(3), dropped.clone()).await;
    assert!(matches!(failed, Err(StoreError::Backend { .. })), "{failed:?}");
    assert_eq!(state().await, (held, Some(UtcMs(2))), "nothing of it is there");
    pg.psql(name(&url), "DROP TRIGGER refused ON audit")
        .expect("psql");
    let done = store.decide_message(&permit, id, UtcMs(3), dropped.clone()).await;
    assert!(done.expect("decided"));
    assert_eq!(state().await, (dropped, Some(UtcMs(3))));
    assert_eq!(store.counts().await.expect("counts").audit_rows, rows + 1);

    // What the database has of a message: nothing of what is in it, nor who sent it, nor why.
    let seen = "SELECT row_to_json(m)::text || encode(about, 'escape') || encode(said, 'escape') || encode(body, 'escape')
                  FROM message m JOIN message_body b USING (id)";
    let seen = pg.psql(name(&url), seen).expect("psql");
    assert!(seen.contains("ADT^A01"), "{seen}");
    for word in ["Marin", "KIS", "20261201", "a reason"] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
    let sum = "SELECT count(*) FROM message WHERE sum = substr(sha256('MSH|Ada Marin'), 1, 16) OR sum = sha256('MSH|Ada Marin')";
    assert_eq!(
        pg.psql(name(&url), sum).expect("psql").trim(),
        "0",
        "its digest is keyed"
    );
}
