//! What a row of the audit log takes on disk: pages of the rows, their words and their index over the number of rows.
//!
//! `VITRINE_AUDIT_ROWS`: how many (20,000 unless it says otherwise; a multiple of 20). The mix is a hospital's day as
//! the server writes it, see [`row`]; the record it is about is in the same store, so that names have numbers.

use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::{Head, Row};
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs, WardId};
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, note, person, put};
use vitrine_store::{AuditLog as _, EnrolCode, NewDevice};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

const PATIENTS: u64 = 2_000;
/// Resources of each patient in the record.
const EACH: u64 = 6;
const USERS: u64 = 400;
const DEVICES: u64 = 60;
/// Ms between two rows.
const STEP: i64 = 1_500;
const BEGIN: i64 = 1_790_000_000_000;
/// What a row may take (bench/budgets.toml, looks.row_bytes).
const MOST: f64 = 200.0;

struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn bits(&mut self) -> u128 {
        (0..4).fold(0, |w, _| (w << 31) | u128::from(self.roll(1 << 31)))
    }
}

/// Ids as the server gives them: UUIDs.
fn id(kind: u128, n: u64) -> String {
    let mixed = u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ kind;
    uuid::Builder::from_custom_bytes(mixed.to_be_bytes())
        .into_uuid()
        .to_string()
}
fn patient(n: u64) -> PatientId {
    PatientId::new(id(1, n)).unwrap()
}
fn key(patient: u64, n: u64) -> ResourceKey {
    let kind = ["Patient", "Encounter", "Condition", "AllergyIntolerance", "Observation", "MedicationRequest"][n as usize];
    let name = if n == 0 { id(1, patient) } else { id(2, patient * EACH + n) };
    ResourceKey::new(kind, &name).unwrap()
}
fn device(n: u64) -> DeviceId {
    DeviceId::new(id(3, n)).unwrap()
}

/// A row of a thousand: 300 charts (one page of six resources), 150 single resources, 170 cards, 120 searches by name
/// (what was typed and up to eight people), 40 boards of 24 patients, 120 writes of one to three resources, 60 steps of
/// a workstation's feed (one to four cards), 20 signings in and out, 10 looks at the audit log, 7 refusals, 3 broken
/// glasses with words. A fifth of all rows (of people, at workstations) comes up from a workstation's own chain.
fn row(n: u64, dice: &mut Dice) -> AuditEntry {
    let at = BEGIN + i64::try_from(n).unwrap() * STEP + i64::try_from(dice.roll(900)).unwrap();
    let access = AccessId(
        uuid::Builder::from_unix_timestamp_millis(
            u64::try_from(at).unwrap() - dice.roll(3),
            &dice.bits().to_be_bytes()[6..].try_into().unwrap(),
        )
        .into_uuid(),
    );
    let whose = dice.roll(PATIENTS) * dice.roll(PATIENTS) / PATIENTS;
    let user = Actor::User(UserId::new(format!("user{:04}", dice.roll(USERS))).unwrap());
    let station = Some(device(dice.roll(DEVICES)));
    let mut e = AuditEntry {
        access_id: access,
        at: UtcMs(at),
        actor: user,
        device: station.clone(),
        action: String::new(),
        purpose: Purpose::Treatment,
        decision: Decision::Permit,
        rule: "own-ward-patient".to_owned(),
        grant: None,
        patient: None,
        disclosure: Disclosure::default(),
        notes: BTreeMap::new(),
    };
    let mut said: Vec<(u64, Vec<Disclosed>)> = Vec::new();
    let some = |of: u64, which: &[u64], dice: &mut Dice| -> Vec<Disclosed> {
        let one = |n: &u64| Disclosed {
            key: key(of, *n),
            version: 1 + dice.roll(4),
        };
        which.iter().map(one).collect()
    };
    let card = |of: u64, dice: &mut Dice| Disclosed {
        key: ResourceKey::new("EmergencyCard", patient(of).as_str()).unwrap(),
        version: 1 + dice.roll(30),
    };
    let mut note = |key: &str, value: String| e.notes.insert(key.to_owned(), value);
    let (action, one) = match dice.roll(1_000) {
        0..=299 => {
            said.push((whose, some(whose, &[0, 3, 2, 1, 5, 4], dice)));
            ("read-chart", true)
        }
        300..=449 => {
            said.push((whose, some(whose, &[dice.roll(EACH)], dice)));
            ("read-resource", true)
        }
        450..=619 => {
            said.push((whose, vec![card(whose, dice)]));
            ("read-card", true)
        }
        620..=739 => {
            note("query", ["mei", "Keller Anna", "1961", "M00417", "schm"][dice.roll(5) as usize].to_owned());
            note("by", "name".to_owned());
            e.rule = "clinician-searches".to_owned();
            for k in 0..dice.roll(9) {
                said.push((whose + k * 7, some((whose + k * 7) % PATIENTS, &[0], dice)));
            }
            ("search-patients", false)
        }
        740..=779 => {
            e.rule = "own-ward-board".to_owned();
            let ward = dice.roll(PATIENTS / 24) * 24;
            said.extend((0..24).map(|k| (ward + k, vec![])));
            ("view-board", false)
        }
        780..=899 => {
            e.actor = Actor::Client("lab-feed".to_owned());
            e.device = None;
            e.rule = "client-scope".to_owned();
            let many = 1 + dice.roll(3);
            said.push((whose, some(whose, &[4, 5, 2][..many as usize], dice)));
            ("write-clinical", true)
        }
        900..=959 => {
            e.actor = station.clone().map(Actor::Device).unwrap();
            e.rule = "own-ward-scope".to_owned();
            e.purpose = Purpose::Operations;
            note("scope", format!("ess:W{}", dice.roll(12)));
            for k in 0..1 + dice.roll(4) {
                let of = (whose + k) % PATIENTS;
                said.push((of, vec![card(of, dice)]));
            }
            ("sync-scope", false)
        }
        960..=979 => {
            e.rule = "secret".to_owned();
            (["sign-in", "sign-out"][dice.roll(2) as usize], false)
        }
        980..=989 => {
            e.rule = "privacy-officer".to_owned();
            e.purpose = Purpose::Compliance;
            note("use", "disclosures".to_owned());
            note("patient", id(1, whose));
            ("read-audit", false)
        }
        990..=996 => {
            e.decision = Decision::Deny;
            e.rule = "no-relationship".to_owned();
            e.patient = Some(patient(whose));
            ("read-chart", false)
        }
        _ => {
            e.purpose = Purpose::BreakGlass;
            e.rule = "clinician-breaks-glass".to_owned();
            e.grant = Some(access);
            note("reason", "life-threatening".to_owned());
            note("words", "Found on the floor, does not answer, no papers".to_owned());
            said.push((whose, vec![card(whose, dice)]));
            ("break-glass", true)
        }
    };
    e.action = action.to_owned();
    let (mut patients, mut resources) = (Vec::new(), Vec::new());
    for (of, shown) in said {
        patients.push(patient(of % PATIENTS));
        resources.extend(shown);
    }
    if one {
        e.patient = patients.first().cloned();
    }
    patients.sort();
    patients.dedup();
    e.disclosure = Disclosure {
        total: resources.len() as u64,
        patients,
        resources,
        digest: None,
    };
    e
}

async fn record(h: &Hospital) {
    for first in (0..PATIENTS).step_by(100) {
        let mut ops = Vec::new();
        for p in first..first + 100 {
            ops.push(person(&id(1, p), "Anna Meyer", "1950", &format!("M{p}")));
            for n in 1..EACH {
                ops.push(put(&key(p, n).to_string(), &note(&id(1, p), "", "x")));
            }
        }
        h.apply(ops).await;
    }
    for n in 0..DEVICES {
        let hash = [u8::try_from(n).unwrap(); 32];
        let code = EnrolCode {
            hash,
            ward: WardId::new("ED").unwrap(),
            site: false,
            until: UtcMs(i64::MAX),
        };
        h.store.put_enrol_code(&h.operator(), code).await.unwrap();
        let new = NewDevice {
            id: device(n),
            name: "desk".to_owned(),
            public_key: vec![1; 32],
        };
        h.store.enrol(hash, new, h.now()).await.unwrap();
    }
}

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
    let count = number("VITRINE_AUDIT_ROWS", 20_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vitrine.db");
    let key = || Key::new(Zeroizing::new([7; 32]));
    let store =
        SqlcipherStore::open(&path, key(), Arc::new(NoteProjector), StoreOptions::default()).unwrap();
    let h = Arc::new(Hospital::new(store.clone(), 0));
    record(&h).await;
    let tables = ["audit", "device_audit", "audit_word", "audit_find", "audit_chain", "audit_action"];
    let looked_at = || {
        let conn = cipher::open(&path, &key(), &OpenOptions::default()).unwrap();
        (pages(&conn, &tables), pages(&conn, &tables[..3]))
    };
    let before = looked_at();
    let (rows_before, dice) = (store.verify_audit().await.unwrap().rows, Arc::new(std::sync::Mutex::new(Dice(5))));
    let texts = Arc::new(std::sync::Mutex::new(BTreeMap::<u64, u64>::new()));
    // A fifth comes from workstations, in parcels as they upload; the rest is written by many at once.
    let mut tasks = Vec::new();
    for part in 0..20_u64 {
        let (store, dice, texts) = (store.clone(), dice.clone(), texts.clone());
        tasks.push(tokio::spawn(async move {
            let (mut chains, mut waiting): (BTreeMap<DeviceId, Head>, BTreeMap<DeviceId, Vec<Row>>) = Default::default();
            for n in (part..count).step_by(20) {
                let mut entry = row(n, &mut dice.lock().unwrap());
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
                    list.push(Row { seq, prev, hash, body: text });
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
            sizes.entry(entry.action).or_default().push(u64::try_from(body).unwrap());
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
        assert!(found.rows.iter().all(|r| r.entry.as_ref().unwrap().disclosure.patients.contains(&patient(n))
            || r.entry.as_ref().unwrap().patient.as_ref() == Some(&patient(n))));
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
