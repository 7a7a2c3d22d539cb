//! Measures finding rows of the audit log in the server's store, and what a row costs on disk.
//!
//! `cargo run --release --example finds -p vitrine-store-sqlcipher -- [ROWS] [QUESTIONS]` prints one JSON object. A tool
//! for whoever changes the store; the product's benchmarks are in `bench/`.
#![allow(
    clippy::disallowed_methods,
    reason = "measuring needs a clock, and the tasks are awaited"
)]

use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;
use vitrine_access::action::ReadAudit;
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector};
use vitrine_store::{AuditLog as _, Store};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

const PATIENTS: u64 = 100_000;
const USERS: u64 = 3_000;
const DEVICES: u64 = 600;
/// Ms between two rows: 50 million rows in five years are one every three seconds.
const STEP: i64 = 3_000;
const BEGIN: i64 = 1_700_000_000_000;

struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn wide(&mut self) -> u128 {
        (0..4).fold(0, |w, _| w << 32 | u128::from(self.roll(1 << 31)))
    }
}

fn patient(n: u64) -> PatientId {
    let id = Uuid::from_u128(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    PatientId::new(id.to_string()).expect("an id")
}
fn user(n: u64) -> UserId {
    UserId::new(format!("user{n:04}")).expect("a name")
}
fn device(n: u64) -> DeviceId {
    DeviceId::new(Uuid::from_u128(u128::from(n).wrapping_mul(0xd134_2543_de82_ef95)).to_string())
        .expect("an id")
}

/// A row as a hospital's day makes it: charts and cards, searches, boards, now and then broken glass.
fn entry(n: u64, dice: &mut Dice) -> AuditEntry {
    let whose = dice.roll(PATIENTS) * dice.roll(PATIENTS) / PATIENTS;
    let (action, patients, resources) = match dice.roll(1_000) {
        0 => ("break-glass", vec![whose], 0),
        1..=30 => ("view-board", (0..30).map(|k| (whose + k) % PATIENTS).collect(), 0),
        31..=130 => (
            "search-patients",
            (0..5).map(|k| (whose + k * 7) % PATIENTS).collect(),
            0,
        ),
        131..=400 => ("read-card", vec![whose], 1),
        401..=600 => ("write-clinical", vec![whose], 1),
        _ => ("read-chart", vec![whose], 3),
    };
    let key = |dice: &mut Dice| Disclosed {
        key: ResourceKey::new("Observation", &Uuid::from_u128(dice.wide()).to_string()).expect("a key"),
        version: 1 + dice.roll(3),
    };
    let disclosed: Vec<Disclosed> = (0..resources).map(|_| key(dice)).collect();
    let mut ids: Vec<PatientId> = patients.into_iter().map(patient).collect();
    ids.sort();
    let first = (ids.len() == 1).then(|| ids[0].clone());
    AuditEntry {
        access_id: AccessId(Uuid::from_u128(dice.wide())),
        at: UtcMs(BEGIN + i64::try_from(n).unwrap_or(0) * STEP),
        actor: Actor::User(user(dice.roll(USERS))),
        device: Some(device(dice.roll(DEVICES))),
        action: action.to_owned(),
        purpose: if action == "break-glass" {
            Purpose::BreakGlass
        } else {
            Purpose::Treatment
        },
        decision: Decision::Permit,
        rule: "own-ward-patient".to_owned(),
        grant: None,
        patient: first,
        disclosure: Disclosure {
            total: disclosed.len() as u64,
            patients: ids,
            resources: disclosed,
            digest: None,
        },
        notes: std::collections::BTreeMap::new(),
    }
}

fn percentile(sorted: &[f64], p: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

async fn timed(
    h: &Hospital,
    store: &SqlcipherStore,
    n: usize,
    mut question: impl FnMut(usize) -> AuditQuery,
) -> serde_json::Value {
    let (mut ms, mut rows) = (Vec::with_capacity(n), 0);
    for i in 0..n {
        let (query, permit) = (question(i), h.operator::<ReadAudit>());
        let at = Instant::now();
        rows += store.find(&permit, query).await.expect("found").rows.len();
        ms.push(at.elapsed().as_secs_f64() * 1000.0);
    }
    ms.sort_by(f64::total_cmp);
    serde_json::json!({"n": n, "rows_mean": rows / n, "p50_ms": percentile(&ms, 0.5), "p95_ms": percentile(&ms, 0.95),
        "p99_ms": percentile(&ms, 0.99), "max_ms": ms[n - 1]})
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|a| a.parse::<u64>().expect("a number"));
    let (rows, questions) = (args.next().unwrap_or(1_000_000), args.next().unwrap_or(500));
    let questions = usize::try_from(questions).expect("a number");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(Zeroizing::new([7; 32]));
    let open = || {
        SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).expect("opened")
    };
    let store = open();
    let at = Instant::now();
    let mut tasks = Vec::new();
    for lane in 0..64 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut dice = Dice(lane + 1);
            for n in (lane..rows).step_by(64) {
                store.append(entry(n, &mut dice)).await.expect("appended");
            }
        }));
    }
    for t in tasks {
        t.await.expect("done");
    }
    let written = at.elapsed().as_secs_f64();
    drop(store);
    let store = open();
    let h = Hospital::new(store.clone() as Arc<dyn Store>, 0);
    let all = |limit| AuditQuery {
        limit,
        ..AuditQuery::default()
    };
    let mut dice = Dice(9);
    let mut some = |n: u64| dice.roll(n);
    let whose: Vec<u64> = (0..questions)
        .map(|_| some(PATIENTS) * some(PATIENTS) / PATIENTS)
        .collect();
    let who: Vec<u64> = (0..questions).map(|_| some(USERS)).collect();
    let asked = serde_json::json!({
        "patient, 100 rows": timed(&h, &store, questions, |i| AuditQuery { patient: Some(patient(whose[i])), ..all(100) }).await,
        "user, 100 rows": timed(&h, &store, questions, |i| AuditQuery { user: Some(user(who[i]).to_string()), ..all(100) }).await,
        "user, 1000 rows": timed(&h, &store, questions, |i| AuditQuery { user: Some(user(who[i]).to_string()), ..all(1000) }).await,
        "patient and user": timed(&h, &store, questions, |i| AuditQuery {
            patient: Some(patient(whose[i])), user: Some(user(who[i]).to_string()), ..all(100) }).await,
        "user and break-glass": timed(&h, &store, questions, |i| AuditQuery {
            user: Some(user(who[i]).to_string()), action: Some("break-glass".to_owned()), ..all(100) }).await,
        "device, 100 rows": timed(&h, &store, questions, |i| AuditQuery { device: Some(device(who[i] % DEVICES)), ..all(100) }).await,
        "break-glass, 100 rows": timed(&h, &store, questions, |_| AuditQuery { action: Some("break-glass".to_owned()), ..all(100) }).await,
        "anything before a time, 100 rows": timed(&h, &store, questions, |i| AuditQuery {
            until: Some(UtcMs(BEGIN + i64::try_from(whose[i] * rows / PATIENTS).unwrap_or(0) * STEP)), ..all(100) }).await,
    });
    drop((h, store));
    let conn = cipher::open(&path, &key(), &OpenOptions::default()).expect("opened");
    let value = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, rusqlite::types::Value>(0));
    let number = |sql: &str| match value(sql).expect("a value") {
        rusqlite::types::Value::Integer(n) => n,
        rusqlite::types::Value::Text(t) => t.parse().expect("a number"),
        other => panic!("{sql} gives {other:?}"),
    };
    let page = number("PRAGMA page_size");
    let whole = number("PRAGMA page_count") * page;
    let entries = number("SELECT count(*) FROM audit_find");
    let bodies = number("SELECT sum(length(body)) FROM audit");
    conn.execute_batch("DROP TABLE audit_find").expect("dropped");
    let index = number("PRAGMA freelist_count") * page;
    let each = |bytes: i64| bytes as f64 / rows as f64;
    println!(
        "{:#}",
        serde_json::json!({"rows": rows, "appends_per_s": rows as f64 / written, "entries_per_row": each(entries),
            "bytes_per_row": {"with_the_index": each(whole), "of_the_index": each(index),
                "without": each(whole - index), "of_the_packed_body": each(bodies)},
            "bytes_per_entry": index as f64 / entries as f64, "asked": asked})
    );
}
