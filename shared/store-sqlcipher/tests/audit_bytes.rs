//! What a row of the audit log takes on disk: pages of the rows, their words and their index over the number of rows.
//!
//! `VITRINE_AUDIT_ROWS`: how many (10,000 unless it says otherwise; a multiple of 20). The mix is a hospital's day as
//! the server writes it, see `day::row`; the record it is about is in the same store, so that names have numbers.

mod day;

use day::{DEVICES, Dice, device, patient, record, row};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::{Head, Row};
use vitrine_access::{Actor, AuditEntry};
use vitrine_clinical::DeviceId;
use vitrine_store::AuditLog as _;
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

const PATIENTS: u64 = 2_000;
/// What a row may take (bench/budgets.toml, looks.row_bytes).
const MOST: f64 = 200.0;

/// Bytes of the pages of these tables and indexes together.
fn pages(conn: &Connection, tables: &[&str]) -> u64 {
    let mut sum = 0;
    for table in tables {
        let sql = "SELECT coalesce(sum(pgsize), 0) FROM dbstat
                    WHERE aggregate = 1 AND name IN (SELECT name FROM sqlite_master WHERE tbl_name = ?1)";
        let bytes: i64 = conn.query_row(sql, [table], |r| r.get(0)).unwrap();
        sum += u64::try_from(bytes).unwrap();
    }
    sum
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_takes_at_most_200_bytes() {
    let count = number("VITRINE_AUDIT_ROWS", 10_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(Zeroizing::new([7; 32]));
    let store = SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap();
    let h = Arc::new(Hospital::new(store.clone(), 0));
    record(&h, PATIENTS).await;
    let tables = [
        "audit",
        "device_audit",
        "audit_word",
        "audit_find",
        "audit_chain",
        "audit_action",
    ];
    let looked_at = || {
        let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
        (pages(&conn, &tables), pages(&conn, &tables[..3]))
    };
    let before = looked_at();
    let (rows_before, dice) = (
        store.verify_audit().await.unwrap().rows,
        Arc::new(std::sync::Mutex::new(Dice(5))),
    );
    let texts = Arc::new(std::sync::Mutex::new(BTreeMap::<u64, u64>::new()));
    // A fifth comes from workstations, in parcels as they upload; the rest is written by many at once.
    let mut tasks = Vec::new();
    for part in 0..20_u64 {
        let (store, dice, texts) = (store.clone(), dice.clone(), texts.clone());
        tasks.push(tokio::spawn(async move {
            let (mut chains, mut waiting): (BTreeMap<DeviceId, Head>, BTreeMap<DeviceId, Vec<Row>>) =
                Default::default();
            for n in (part..count).step_by(20) {
                let mut entry = row(n, PATIENTS, &mut dice.lock().unwrap());
                let text = serde_json::to_string(&entry).unwrap();
                *texts.lock().unwrap().entry(text.len() as u64).or_default() += 1;
                if part < 4 {
                    // Each of these tasks speaks for its own workstations.
                    let of = device((n % (DEVICES / 4)) * 4 + part);
                    entry.device = Some(of.clone());
                    if matches!(entry.actor, Actor::Device(_)) {
                        entry.actor = Actor::Device(of.clone());
                    }
                    let text = serde_json::to_string(&entry).unwrap();
                    let head = chains.entry(of.clone()).or_insert(Head::EMPTY);
                    let prev = head.hash;
                    *head = head.after(text.as_bytes());
                    let (seq, hash) = (head.seq, head.hash);
                    let list = waiting.entry(of.clone()).or_default();
                    list.push(Row {
                        seq,
                        prev,
                        hash,
                        body: text,
                    });
                    if list.len() == 8 {
                        let rows = std::mem::take(list);
                        store.accept_device_rows(&of, rows).await.unwrap();
                    }
                } else {
                    store.append(entry).await.unwrap();
                }
            }
            for (of, rows) in waiting {
                store.accept_device_rows(&of, rows).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let report = store.verify_audit().await.unwrap();
    let devices: u64 = report.devices.iter().map(|(_, n)| n).sum();
    assert_eq!(report.rows - rows_before + devices, count);
    let after = looked_at();
    let whole = (after.0 - before.0) as f64 / count as f64;
    let bodies = (after.1 - before.1) as f64 / count as f64;

    // What each kind of row takes: its cell in the table, and its share of the index by its entries.
    let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
    let mut sizes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut entries = 0;
    for (chain, _) in store.heads().await.unwrap() {
        let permit = h.operator::<ReadAudit>();
        let after = if chain == "server" { rows_before } else { 0 };
        let sql = if chain == "server" {
            "SELECT length(body) FROM audit WHERE seq = ?1 AND ?2 IS NOT NULL"
        } else {
            "SELECT length(body) FROM device_audit WHERE seq = ?1 AND device = (SELECT no FROM audit_word WHERE text = ?2)"
        };
        let mut statement = conn.prepare(sql).unwrap();
        for found in store.rows(&permit, &chain, after, usize::MAX).await.unwrap() {
            let entry: AuditEntry = serde_json::from_str(&found.row.body).unwrap();
            entries += vitrine_store::audit_find::terms(&entry).len();
            let seq = i64::try_from(found.row.seq).unwrap();
            let body: i64 = statement
                .query_row(rusqlite::params![seq, chain], |r| r.get(0))
                .unwrap();
            sizes
                .entry(entry.action)
                .or_default()
                .push(u64::try_from(body).unwrap());
        }
    }
    let index = whole - bodies;
    println!(
        "{count} rows: {whole:.1} B a row on pages of 4096 B, of them index {index:.1} B ({:.2} entries a row, {:.1} B each)",
        entries as f64 / count as f64,
        index * count as f64 / entries as f64
    );
    let quantile = |sorted: &[u64], q: f64| sorted[((sorted.len() - 1) as f64 * q) as usize];
    let mut all: Vec<u64> = sizes.values().flatten().copied().collect();
    let said = |name: &str, sizes: &mut Vec<u64>| {
        sizes.sort_unstable();
        println!(
            "  {name}: {} rows, packed body mean {:.1} p50 {} p99 {} max {} B",
            sizes.len(),
            sizes.iter().sum::<u64>() as f64 / sizes.len() as f64,
            quantile(sizes, 0.5),
            quantile(sizes, 0.99),
            sizes[sizes.len() - 1]
        );
    };
    for (name, sizes) in &mut sizes {
        said(name, sizes);
    }
    said("all", &mut all);
    let texts: u64 = texts.lock().unwrap().iter().map(|(n, times)| n * times).sum();
    println!("  text: mean {:.1} B", texts as f64 / count as f64);
    assert!(whole <= MOST, "{whole:.1} B a row");

    // Finding reads along the index alone: no list is scanned for a patient.
    for n in [3, 700, 1_999] {
        let query = AuditQuery {
            patient: Some(patient(n)),
            limit: 1_000,
            ..AuditQuery::default()
        };
        let found = store.find(&h.operator(), query).await.unwrap();
        assert!(found.rows.iter().all(|r| {
            r.entry
                .as_ref()
                .unwrap()
                .disclosure
                .patients
                .contains(&patient(n))
                || r.entry.as_ref().unwrap().patient.as_ref() == Some(&patient(n))
        }));
        assert!(!found.rows.is_empty());
    }
    let plan = "EXPLAIN QUERY PLAN SELECT at, place, more FROM audit_find
                 WHERE term = 1 AND (at, place) < (2, 3) ORDER BY at DESC, place DESC";
    let plan: String = conn.query_row(plan, [], |r| r.get(3)).unwrap();
    assert!(
        plan.contains("SEARCH audit_find USING PRIMARY KEY (term=? AND (at,place)<(?,?))"),
        "{plan}"
    );
}
