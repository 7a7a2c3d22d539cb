//! The plans of what the screens ask: index ranges, few partitions, no table read from end to end; and the schema is
//! the embedded store's.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use support::{name, open};
use vitrine_store::messages::{MessageQuery, MessageState};
use vitrine_store_postgres::{
    CARD_SQL, CHART_SQL, DUE_SQL, FIND_SQL, KIND_SQL, NOBODY_SQL, NOTES_SQL, SETTLE_SQL, UNSETTLED_SQL,
    feed_sql, messages_sql, search_sql,
};
use vitrine_testpg::TestPg;

/// A record of 20,000 patients, made in place: what the planner sees is numbers, not bodies.
const FILL: &str = "
  SELECT set_config('vitrine.writer', 'store', false);
  INSERT INTO patient (id, rev, live) SELECT 'p' || lpad(n::text, 6, '0'), 20, 20 FROM generate_series(1, 20000) n;
  INSERT INTO ward (id) SELECT 'W' || n FROM generate_series(1, 40) n;
  INSERT INTO resource (rid, kind, id, pid, rank, version, rev, updated, deleted, meaning, hash, body)
    SELECT (p.pid - 1) * 20 + k, CASE WHEN k < 6 THEN 'Condition' ELSE 'Observation' END, p.id || '-' || k, p.pid,
           (k >= 6)::int, 1, k, 1795000000000 - k * 86400000, false, 0, NULL, decode(repeat('ab', 120), 'hex')
      FROM patient p CROSS JOIN generate_series(1, 20) k;
  INSERT INTO card (pid, ver, live, updated, ward, hash, body)
    SELECT pid, 1, true, 0, CASE WHEN pid <= 800 THEN 1 + pid % 40 END, NULL, decode(repeat('ab', 300), 'hex') FROM patient;
  INSERT INTO ess_member (ward, id, pid, ver) SELECT 1 + pid % 40, id, pid, 1 FROM patient WHERE pid <= 800;
  INSERT INTO board (pid, ward, ver) SELECT pid, 1 + pid % 40, 1 FROM patient WHERE pid <= 800;
  INSERT INTO person (pid, tokens, form) SELECT pid, ARRAY[pid, pid % 900, 1000000 + pid % 5000], 1 FROM patient;
  INSERT INTO note (rid, pid, version, whole) SELECT rid, pid, version, true FROM resource WHERE kind = 'Condition' AND rid % 20 <> 1;
  INSERT INTO note_word (pid, word, rid) SELECT pid, w + rid % 7, rid FROM note CROSS JOIN generate_series(1, 4) w;
  INSERT INTO change_log (pos, scope, ref, prev, ver, tomb)
    SELECT n, CASE n % 3 WHEN 0 THEN 2 ELSE -(1 + n % 20000) END, n, 0, 1, false FROM generate_series(1, 200000) n;
  INSERT INTO audit (chain, seq, at, hash, body)
    SELECT 'server', n, 1795000000000 + n, decode(repeat('00', 32), 'hex'), decode('00', 'hex') FROM generate_series(1, 50000) n;
  INSERT INTO audit_find (term, at, place)
    SELECT CASE k WHEN 0 THEN 1 + n % 7 WHEN 1 THEN 1000 + n % 300 ELSE 10000 + n % 20000 END, 1795000000000 + n, n
      FROM generate_series(1, 50000) n CROSS JOIN generate_series(0, 2) k;
  INSERT INTO message (at, feed, kind, bytes, times, settled, state, code, patient, wrote, kept, same, sum, about, said)
    SELECT 1795000000000 + n, 'feed' || n % 4, 'ADT^A0' || n % 9, 900, 1, CASE WHEN n % 5000 > 0 THEN n END,
           CASE WHEN n % 5000 = 0 THEN 'received' WHEN n % 1000 = 1 THEN 'held' WHEN n % 1000 = 2 THEN 'dropped' ELSE 'applied' END,
           0, 'p' || lpad((1 + n % 20000)::text, 6, '0'), 1, true, decode(md5(n::text), 'hex'), decode(md5('b' || n), 'hex'),
           decode(repeat('ab', 60), 'hex'), decode(repeat('ab', 40), 'hex')
      FROM generate_series(1, 50000) n;
  INSERT INTO message_body (id, body) SELECT id, decode(repeat('ab', 300), 'hex') FROM message;
  ANALYZE;";

fn explain(pg: &TestPg, db: &str, sql: &str) -> String {
    pg.psql(
        db,
        &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}"),
    )
    .expect("explained")
}

/// The query with its parameters written in.
fn with(sql: &str, values: &[&str]) -> String {
    let mut out = sql.to_owned();
    for (n, v) in values.iter().enumerate().rev() {
        out = out.replace(&format!("${}", n + 1), v);
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_screens_ask_reads_ranges() {
    let pg = TestPg::start().expect("PostgreSQL");
    let url = pg.database().expect("a database");
    let store = open(&url).await;
    pg.psql(name(&url), FILL).expect("filled");
    let max = "9223372036854775807";
    let messages = |feed: Option<&str>, state: Option<MessageState>, patient: Option<&str>| {
        let query = MessageQuery {
            feed: feed.map(str::to_owned),
            state,
            patient: patient.map(vitrine_store::conformance::hospital::pat),
            before: None,
            limit: 50,
        };
        let said = |v: Option<&str>| v.map_or("NULL".to_owned(), |v| format!("'{v}'"));
        with(
            &messages_sql(&query),
            &["50", &said(feed), &said(patient), "NULL"],
        )
    };
    let asked: &[(&str, String)] = &[
        ("the newest messages", messages(None, None, None)),
        ("the newest messages of a feed", messages(Some("feed3"), None, None)),
        ("the messages that are held", messages(None, Some(MessageState::Held), None)),
        ("those of a feed", messages(Some("feed1"), Some(MessageState::Held), None)),
        ("the messages of a patient", messages(None, None, Some("p000777"))),
        ("messages that wait", with(UNSETTLED_SQL, &["0", "100"])),
        (
            "a message that is settled",
            with(
                SETTLE_SQL,
                &["'{77, 78}'", "'{1, 1}'", "'{applied, applied}'", "'{0, 0}'", "'{p000777, p000778}'", "'{1, 1}'", "'{a, b}'"],
            ),
        ),
        (
            "the counts of a day",
            "SELECT feed, count(*) FROM message WHERE at >= 1795000045000 GROUP BY feed".to_owned(),
        ),
        (
            "a message that is known",
            "SELECT id FROM message WHERE same = decode(md5('77'), 'hex') AND corrects IS NULL ORDER BY id LIMIT 1".to_owned(),
        ),
        ("a card", with(CARD_SQL, &["'p000777'"])),
        ("the first page of a chart", with(CHART_SQL, &["777", "1", max, "201"])),
        ("its later pages", with(CHART_SQL, &["777", "1", "15535", "201"])),
        ("a type of a record", with(KIND_SQL, &["777", "'Condition'", max, "201"])),
        ("a type that is nobody's", with(NOBODY_SQL, &["'Practitioner'", max, "201"])),
        ("a search of two words", with(&search_sql(2), &["51", "'{5, 1004005}'", "'{5, 7}'"])),
        (
            "a search by sound: three codes of one word, two of another",
            with(&search_sql(2), &["51", "'{5, 1004005, 6}'", "'{5, 7}'"]),
        ),
        ("whether everybody can be found by sound", DUE_SQL.to_owned()),
        (
            "the notes of a patient that have two words",
            with(NOTES_SQL, &["777", "'Condition'", "''", "'{3, 4}'", "50"]),
        ),
        (
            "the audit rows of a patient",
            with(FIND_SQL, &["'{10077}'", "'{}'", max, max, "0", "101"]),
        ),
        (
            "the audit rows of a patient, a person and an act before a time",
            with(FIND_SQL, &["'{10077}'", "'{1077, 1}'", "1795000040000", "0", "0", "101"]),
        ),
        (
            "the newest audit rows",
            with(FIND_SQL, &["'{1, 2, 3, 4, 5, 6, 7}'", "'{}'", max, max, "0", "101"]),
        ),
        ("the feed", with(&feed_sql(), &["199000", "500"])),
        (
            "the feed of a patient",
            with(&feed_sql().replace("c.pos > $1", "c.scope = -78 AND c.pos > $1"), &["0", "500"]),
        ),
        (
            "the essentials of a ward",
            "SELECT m.id, c.ver, c.hash, c.pid, c.body FROM ess_member m JOIN card c ON c.pid = m.pid
              WHERE m.ward = 7 AND m.id > '' ORDER BY m.id LIMIT 64"
                .to_owned(),
        ),
        (
            "a board",
            "SELECT p.id, b.ver FROM board b JOIN patient p ON p.pid = b.pid WHERE b.ward = 7 AND p.id > '' ORDER BY p.id LIMIT 64"
                .to_owned(),
        ),
        (
            "a resource",
            "SELECT r.rid FROM resource r LEFT JOIN patient p USING (pid) WHERE r.kind = 'Condition' AND r.id = 'p000777-2'"
                .to_owned(),
        ),
        // No screen asks for these two, which look into every month there is, by an index each.
        (
            "an old version",
            "SELECT body FROM resource_version WHERE rid = 5 AND version = 1".to_owned(),
        ),
        (
            "the rows of an audit chain",
            "SELECT seq, hash, body FROM audit WHERE chain = 'server' AND seq > 49000 ORDER BY seq LIMIT 1000".to_owned(),
        ),
    ];
    let large = [
        "resource",
        "card",
        "person",
        "patient",
        "change_log",
        "audit",
        "ess_member",
        "note",
        "message",
    ];
    for (what, sql) in asked {
        let plan = explain(&pg, name(&url), sql);
        for line in plan.lines().filter(|l| l.contains("Seq Scan on ")) {
            let table = line.split("Seq Scan on ").nth(1).unwrap_or_default();
            let read = large.iter().any(|t| table.split([' ', '_']).next() == Some(*t));
            let never = line.contains("never executed");
            let empty = line.contains("rows=0 loops=");
            assert!(
                !read || never || empty,
                "{what} reads {table} from end to end:\n{plan}"
            );
        }
        let partitions: BTreeSet<&str> = plan
            .lines()
            .filter(|l| !l.contains("never executed"))
            .filter_map(|l| l.split(" on ").nth(1))
            .filter_map(|l| l.split(' ').next())
            .filter(|t| t.starts_with("change_log_") && !t.contains("_idx") && !t.contains("_pkey"))
            .collect();
        assert!(partitions.len() <= 3, "{what} touches {partitions:?}");
    }
    drop(store);
}

/// Tables and columns of one schema.
fn schema(sql: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut out = BTreeMap::new();
    // Comments hold commas too.
    let sql: String = sql
        .lines()
        .map(|l| l.split("--").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    for part in sql.split("CREATE TABLE ").skip(1) {
        let (name, rest) = part.split_once('(').unwrap_or((part, ""));
        let name = name.trim().to_owned();
        if name.contains("PARTITION OF") {
            continue;
        }
        let mut columns = BTreeSet::new();
        let mut depth = 0;
        let mut word = String::new();
        let mut words: Vec<String> = vec![String::new()];
        for c in rest.chars() {
            match c {
                '(' => depth += 1,
                ')' if depth == 0 => break,
                ')' => depth -= 1,
                ',' if depth == 0 => words.push(std::mem::take(&mut word)),
                _ => {}
            }
            if !(c == ',' && depth == 0) {
                word.push(c);
            }
        }
        words.push(word);
        for w in words {
            if let Some(first) = w.split_whitespace().next()
                && !["PRIMARY", "UNIQUE", "CHECK"].contains(&first)
            {
                columns.insert(first.to_owned());
            }
        }
        out.insert(name, columns);
    }
    for part in sql.split("ALTER TABLE ").skip(1) {
        let words: Vec<&str> = part.split_whitespace().take(4).collect();
        if let [table, "ADD", "COLUMN", column] = words.as_slice()
            && let Some(columns) = out.get_mut(*table)
        {
            columns.insert((*column).to_owned());
        }
        if let [table, "RENAME", "TO", name] = words.as_slice()
            && let Some(columns) = out.remove(*table)
        {
            out.insert(name.trim_end_matches(';').to_owned(), columns);
        }
    }
    out
}

/// The migrations of a folder, by name.
fn migrations(folder: &str) -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|f| f.expect("a file").path());
    let mut out: Vec<(String, String)> = files
        .map(|f| {
            let name = f.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&f).expect("a migration"))
        })
        .collect();
    out.sort();
    out
}

#[test]
fn both_stores_have_the_same_logical_schema() {
    let (embedded, ours) = (
        migrations("../../shared/store-sqlcipher/migrations/server"),
        migrations("migrations"),
    );
    let names = |m: &[(String, String)]| m.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&embedded), names(&ours), "the same steps by number");
    let all = |m: &[(String, String)]| schema(&m.iter().map(|(_, sql)| sql.as_str()).collect::<String>());
    let (embedded, ours) = (all(&embedded), all(&ours));
    assert!(
        embedded.len() > 20 && embedded["resource"].len() == 12 && embedded["patient"].len() == 5,
        "{embedded:?}"
    );
    // What differs, and why.
    let differs: &[(&str, &[&str], &[&str])] = &[
        ("tally", &[], &["chain"]),        // one row for each writing chain
        ("ident", &["system"], &["pair"]), // keyed tokens
        ("ess_member", &[], &["ver"]),     // told to that ward
        (
            "quarantine",
            &["location", "kind", "reason", "expression"],
            &["about"],
        ), // sealed together
        ("audit", &[], &["chain", "at"]),  // several servers, by month
        ("account", &["user"], &["name"]), // `user` is a word of SQL
        ("change_log", &["seq"], &["pos"]),
        ("audit_find", &["more"], &[]), // entries in blocks (ADR 43)
    ];
    // The search index of the embedded store is three tables: `person` (full text), `sound` and `sound_due`; here it is
    // one column of tokens and one that says which of them are there. Words of audit rows are the embedded store's alone (ADR 43).
    let extra = ["data_key", "audit_head", "person"];
    assert_eq!(
        ours["person"],
        ["pid", "tokens", "form"].map(str::to_owned).into()
    );
    let elsewhere = ["sound", "sound_due", "audit_word"];
    for (table, columns) in embedded.iter().filter(|(t, _)| !elsewhere.contains(&t.as_str())) {
        let found = ours
            .get(table)
            .unwrap_or_else(|| panic!("PostgreSQL has no table {table}"));
        let (mut left, mut right) = (columns.clone(), found.clone());
        for (_, gone, new) in differs.iter().filter(|(t, ..)| t == table) {
            gone.iter().for_each(|c| assert!(left.remove(*c), "{table}.{c}"));
            new.iter().for_each(|c| assert!(right.remove(*c), "{table}.{c}"));
        }
        assert_eq!(left, right, "{table}");
    }
    let more: Vec<&String> = ours
        .keys()
        .filter(|t| !embedded.contains_key(*t) && !extra.contains(&t.as_str()))
        .collect();
    assert!(more.is_empty(), "{more:?}");
}
