//! `migrate --from-embedded`: a department moves into PostgreSQL whole, or stays where it was.

#[path = "move/department.rs"]
mod department;
mod harness;

use department::{lab, live, put, see};
use harness::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::chain::{Head, Row};
use vitrine_clinical::DeviceId;
use vitrine_server::config::{Config, Tls};
use vitrine_server::data_dir::DataDir;
use vitrine_server::ingest::project::FhirProjector;
use vitrine_server::keys::Keys;
use vitrine_server::ops::backup::open_store;
use vitrine_store::Store;
use vitrine_store::conformance::hospital::Hospital;
use vitrine_store_postgres::{PostgresOptions, PostgresStore};
use vitrine_testpg::TestPg;

fn keys(data: &Path) -> (DataDir, Keys) {
    let dir = DataDir::open(data, false).unwrap();
    let keys = Keys::open(&dir, &Tls::default(), None).unwrap();
    (dir, keys)
}

async fn embedded(data: &Path) -> Arc<dyn Store> {
    let (dir, keys) = keys(data);
    open_store(&dir, &keys, &Config::default()).await.unwrap().0
}

async fn postgres(url: &str, data: &Path) -> Arc<PostgresStore> {
    let (_, keys) = keys(data);
    PostgresStore::open(
        url,
        keys.database,
        Arc::new(FhirProjector),
        PostgresOptions::default(),
    )
    .await
    .unwrap()
}

async fn chain(h: &Hospital, name: &str) -> Vec<Row> {
    let permit = h.operator();
    let rows = h.store.rows(&permit, name, 0, 1_000_000).await.unwrap();
    rows.into_iter().map(|r| r.row).collect()
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap().split('?').next().unwrap()
}

fn of_folder(data: &Path) -> [&str; 3] {
    ["migrate", "--from-embedded", data.to_str().unwrap()]
}

fn migrate(data: &Path, url: &str) -> (i32, Value) {
    run_json(&[&of_folder(data)[..], &["--database-url", url]].concat())
}

/// Every file of a folder with its bytes, but those that say who is at work.
fn files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = std::fs::read_dir(data).unwrap().map(|e| e.unwrap().path());
    let known = all
        .filter(|p| p.is_file())
        .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), p));
    known
        .filter(|(name, _)| !["lock", "vitrine.db-shm", "vitrine.db-wal"].contains(&name.as_str()))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_department_moves_whole() {
    let pg = TestPg::start().expect("PostgreSQL");
    let (_t, data) = folder();
    done(&["demo", "--data", data.to_str().unwrap(), "--patients", "4"]);
    let before = Hospital::new(embedded(&data).await, 0);
    let last = live(&before).await;
    let seen = see(&before).await;
    let epoch = before.store.epoch().await.unwrap();
    let newest = *before.store.watch().borrow();
    let (server, device) = (chain(&before, "server").await, chain(&before, "station-1").await);
    assert_eq!(device.len(), 7);
    drop(before);

    let url = pg.database().unwrap();
    let (exit, said) = migrate(&data, &url);
    assert_eq!(exit, 0, "{said}");
    let tables = said["tables"].as_array().unwrap();
    for t in tables {
        assert_eq!(
            (&t["equal"], &t["digest"]),
            (&json!(true), &t["held_digest"]),
            "{t}"
        );
    }
    let empty: BTreeSet<&str> = tables
        .iter()
        .filter(|t| t["rows"] == 0)
        .map(|t| t["table"].as_str().unwrap())
        .collect();
    assert_eq!(
        (tables.len(), empty),
        (33, BTreeSet::new()),
        "every table had rows"
    );
    let db = name(&url);
    assert_eq!(
        pg.psql(db, "SELECT count(*) FROM change_log").unwrap().trim(),
        "0",
        "the feed stayed quiet"
    );
    assert_eq!(
        pg.psql(db, "SELECT count(*) FROM resource_version_rest")
            .unwrap()
            .trim(),
        "0",
        "old versions lie in their months"
    );

    // The folder knows, and the old file is whole.
    assert!(!data.join("vitrine.db").exists() && data.join("vitrine.db.moved").exists());
    let (exit, refused) = run_json(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(exit, 3, "{refused}");
    let served = run(&[
        "serve",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(served.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&served.stderr).contains("lies in PostgreSQL"));
    let (exit, again) = migrate(&data, &url);
    assert!(
        exit == 3 && again["error"].as_str().unwrap().contains("already"),
        "{again}"
    );

    let store = postgres(&url, &data).await;
    let after = Hospital::new(store.clone(), 1_000_000);
    // The chain is what it was and goes on with the move's own row.
    let now = chain(&after, "server").await;
    assert_eq!(now[..server.len()], server[..]);
    assert_eq!(now.len(), server.len() + 1);
    assert!(
        now[server.len()].body.contains("\"move\""),
        "{}",
        now[server.len()].body
    );
    assert_eq!(chain(&after, "station-1").await, device);
    let found = see(&after).await;
    assert_eq!(found.charts, seen.charts);
    assert_eq!(found, seen);
    let report = store.verify_audit().await.unwrap();
    assert!(
        report.servers[0].1.seq > now.len() as u64,
        "it went on: {report:?}"
    );

    // Nothing is taken twice, and numbers and positions go on after the greatest.
    let (applied, _) = after
        .store
        .apply(&after.client(None), last.clone())
        .await
        .unwrap();
    assert!(applied.duplicate && applied.pos <= newest);
    assert_ne!(after.store.epoch().await.unwrap(), epoch);
    assert_eq!(*after.store.watch().borrow(), newest);
    let next = after
        .apply(vec![
            put(&patient("mv-new")),
            put(&lab("mv-obs", "mv2", "4.50")),
            put(&lab("mv-new-obs", "mv-new", "1.1")),
        ])
        .await;
    assert_eq!(next.changes[1].version, 6);
    assert!(next.pos > newest);
    let batch = after.store.changes_since(newest, None, 1000).await.unwrap();
    assert_eq!(
        (batch.oldest, batch.rows.first().map(|r| r.pos)),
        (newest, Some(newest + 1))
    );
    // A device goes on where it stood.
    let device_head = device.last().unwrap();
    let head = Head {
        seq: device_head.seq,
        hash: device_head.hash,
    };
    let body = "{\"at\":1}".to_owned();
    let row = Row {
        seq: head.after(body.as_bytes()).seq,
        prev: head.hash,
        hash: head.after(body.as_bytes()).hash,
        body,
    };
    let station = DeviceId::new("station-1").unwrap();
    assert_eq!(
        after.store.accept_device_rows(&station, vec![row]).await.unwrap(),
        8
    );
    store.verify_audit().await.unwrap();
}

/// Holds a table against writers until it is let go of.
struct Hold<'p> {
    pg: &'p TestPg,
    database: String,
    holder: Child,
}

impl<'p> Hold<'p> {
    fn of(pg: &'p TestPg, database: &str, table: &str) -> Self {
        let sql = format!("BEGIN; LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(600)");
        let holder = Command::new(vitrine_testpg::bin().unwrap().join("psql"))
            .env("PGPASSWORD", "vitrine-test")
            .args(["-X", "-q", "-d", &pg.url(database), "-c", &sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let hold = Self {
            pg,
            database: database.to_owned(),
            holder,
        };
        hold.wait("SELECT count(*) > 0 FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted");
        hold
    }

    fn wait(&self, sql: &str) {
        for _ in 0..600 {
            if self.pg.psql(&self.database, sql).unwrap().trim() == "t" {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("waited in vain for {sql}");
    }

    /// Until somebody waits for the table.
    fn wait_for_a_writer(&self) {
        self.wait("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'");
    }

    fn let_go(mut self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        self.pg.psql(&self.database, end).unwrap();
        let _ = self.holder.wait();
    }
}

fn begin(data: &Path, url: &str) -> Child {
    Command::new(PROGRAM)
        .args(of_folder(data))
        .args(["--database-url", url, "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn ended(child: Child) -> (i32, Value) {
    let out = child.wait_with_output().unwrap();
    (
        out.status.code().unwrap_or(-1),
        serde_json::from_slice(&out.stdout).unwrap(),
    )
}

/// A move into a fresh database in which somebody changes something after it was filled, before it is read back.
async fn tampered(pg: &TestPg, data: &Path, sql: &str) -> Value {
    let url = pg.database().unwrap();
    drop(postgres(&url, data).await);
    let hold = Hold::of(pg, name(&url), "tally");
    let moving = begin(data, &url);
    hold.wait_for_a_writer();
    pg.psql(name(&url), sql).unwrap();
    hold.let_go();
    let (exit, said) = ended(moving);
    assert_eq!((exit, &said["moved"]), (1, &json!(false)), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_move_that_fails_leaves_the_folder_in_use() {
    let pg = TestPg::start().expect("PostgreSQL");
    let (_t, data) = folder();
    let d = data.to_str().unwrap().to_owned();
    done(&["demo", "--data", &d, "--patients", "2"]);
    let kept = files(&data);
    let url = pg.database().unwrap();
    let db = name(&url);

    // What cannot be moved into is refused with a sentence before anything happens.
    let cases = [
        ("mysql://x/y", "must begin with postgres://"),
        ("postgres://vitrine:vitrine-test@127.0.0.1:1/x", "connect"),
        ("postgres://vitrine:wrong@db.hospital/x", "names no CA"),
    ];
    for (bad, says) in cases {
        let (exit, said) = migrate(&data, bad);
        assert!(
            exit == 3 && said["error"].as_str().unwrap().contains(says),
            "{bad}: {said}"
        );
    }
    let mut server = Server::start(&data);
    let (exit, said) = migrate(&data, &url);
    assert_eq!(exit, 2, "{said}");
    assert!(
        said["error"]
            .as_str()
            .unwrap()
            .contains("'vitrine-server drain' lets it end"),
        "{said}"
    );
    server.ask_to_stop();
    server.wait();
    drop(postgres(&url, &data).await);
    pg.psql(db, "INSERT INTO ward (id) VALUES ('ED')").unwrap();
    let (exit, said) = migrate(&data, &url);
    assert!(
        exit == 3
            && said["error"]
                .as_str()
                .unwrap()
                .contains("holds a record already (table ward)"),
        "{said}"
    );
    pg.psql(db, "TRUNCATE ward").unwrap();

    // Killed in the middle: the database is not served, the folder is.
    let hold = Hold::of(&pg, db, "fact");
    let mut killed = begin(&data, &url);
    hold.wait_for_a_writer();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let half: u64 = pg
        .psql(db, "SELECT count(*) FROM resource")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(half > 100, "{half}");
    hold.let_go();
    let (_, of_folder) = keys(&data);
    let opened = PostgresStore::open(
        &url,
        of_folder.database.clone(),
        Arc::new(FhirProjector),
        PostgresOptions::default(),
    );
    let refused = vitrine_server::error::Fault::from(opened.await.err().expect("it is half a record"));
    assert_eq!(refused.exit, vitrine_server::error::Exit::Unsafe);
    assert!(refused.text.contains("is not finished"), "{}", refused.text);
    assert_eq!(done(&["doctor", "--data", &d])["healthy"], true);

    // One byte of one body is another before it is read back.
    let flip = "SET vitrine.writer = 'store';
        UPDATE resource SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE rid = 17;
        UPDATE resource SET hash = set_byte(hash, 3, get_byte(hash, 3) # 1) WHERE rid = 23;
        DELETE FROM dependency WHERE rid = (SELECT max(rid) FROM dependency)";
    let said = tampered(&pg, &data, flip).await;
    assert_eq!(said["difference"], "resource, rid 17: does not open");
    let unequal = said["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["equal"] == false);
    let unequal: Vec<&str> = unequal.map(|t| t["table"].as_str().unwrap()).collect();
    assert_eq!(unequal, ["resource", "dependency"]);
    // One of a hash.
    let flip = "SET vitrine.writer = 'store';
        UPDATE resource SET hash = set_byte(hash, 3, get_byte(hash, 3) # 1) WHERE rid = 23";
    let said = tampered(&pg, &data, flip).await;
    assert_eq!(said["difference"], "resource, rid 23: differs in hash");
    // A token by which a person is found.
    let said = tampered(
        &pg,
        &data,
        "UPDATE person SET tokens[1] = tokens[1] # 1 WHERE pid = 2",
    )
    .await;
    assert_eq!(said["difference"], "person, pid 2: differs in words");

    // Through all of this the folder did not change, but for what its own server and doctor wrote.
    let now = files(&data);
    assert_eq!(now.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for file in ["ca.pem", "tls.pem", "demo.time"] {
        assert_eq!(now[file], kept[file], "{file}");
    }

    // The killed one begins anew. One that was killed between its proof and its end is ended by the next.
    let copy = data.with_extension("copy");
    assert!(
        Command::new("cp")
            .args(["-a", &d, copy.to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
    let (exit, said) = migrate(&data, &url);
    assert_eq!((exit, &said["moved"]), (0, &json!(true)), "{said}");
    std::fs::write(copy.join("store"), "postgres\n").unwrap();
    pg.psql(db, "INSERT INTO meta VALUES ('moving', 'proven')")
        .unwrap();
    let (exit, said) = migrate(&copy, &url);
    assert_eq!((exit, &said["moved"]), (0, &json!(true)), "{said}");
    assert!(copy.join("vitrine.db.moved").exists() && !copy.join("vitrine.db").exists());
    postgres(&url, &copy).await.verify_audit().await.unwrap();
}
