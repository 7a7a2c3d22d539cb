//! Finding rows of the audit log in the embedded store, what a row costs on disk, and what it adds to a read.
//!
//! The log cannot be switched off: what was read opens with the receipt of its row alone. So a read is measured as far as the
//! sealed card, which nobody can look at, and beside it, in turn, as far as the open one.

use crate::report::Report;
use crate::world::ms;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;
use vitrine_access::action::{ReadAudit, ReadCard};
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};
use vitrine_store::audit_find::AuditQuery;
use vitrine_store::conformance::hospital::{Hospital, NoteProjector, person};
use vitrine_store::{AuditLog as _, ChartStore as _, Store};
use vitrine_store_sqlcipher::{Key, OpenOptions, SqlcipherStore, StoreOptions, cipher};
use zeroize::Zeroizing;

const SETUP: &str = "release, the embedded store itself, encrypted, file opened anew; permit and rows read, without the server around it";
const PATIENTS: u64 = 100_000;
const USERS: u64 = 3_000;
const DEVICES: u64 = 600;
const WRITERS: u64 = 64;
/// Ms between two rows: 50 million in five years are one every three seconds.
const STEP_MS: i64 = 3_000;
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
    fn id(&mut self) -> Uuid {
        Uuid::from_u128((0..4).fold(0, |w, _| (w << 32) | u128::from(self.roll(1 << 31))))
    }
    /// Few patients are looked at often.
    fn patient(&mut self) -> u64 {
        self.roll(PATIENTS) * self.roll(PATIENTS) / PATIENTS
    }
}

fn patient(n: u64) -> Result<PatientId> {
    let id = Uuid::from_u128(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    Ok(PatientId::new(id.to_string())?)
}

fn device(n: u64) -> Result<DeviceId> {
    let id = Uuid::from_u128(u128::from(n).wrapping_mul(0xd134_2543_de82_ef95));
    Ok(DeviceId::new(id.to_string())?)
}

/// A row as a hospital's day makes it: charts and cards, searches, boards, now and then broken glass.
fn entry(n: u64, dice: &mut Dice) -> Result<AuditEntry> {
    let whose = dice.patient();
    let (action, shown, resources) = match dice.roll(1_000) {
        0 => ("break-glass", 1, 0),
        1..=30 => ("view-board", 30, 0),
        31..=130 => ("search-patients", 5, 0),
        131..=400 => ("read-card", 1, 1),
        401..=600 => ("write-clinical", 1, 1),
        _ => ("read-chart", 1, 3),
    };
    let mut patients = (0..shown)
        .map(|k| patient((whose + k) % PATIENTS))
        .collect::<Result<Vec<_>>>()?;
    patients.sort();
    let mut disclosed = Vec::new();
    for _ in 0..resources {
        disclosed.push(Disclosed {
            key: ResourceKey::new("Observation", &dice.id().to_string())?,
            version: 1 + dice.roll(3),
        });
    }
    Ok(AuditEntry {
        access_id: AccessId(dice.id()),
        at: UtcMs(BEGIN + i64::try_from(n)? * STEP_MS),
        actor: Actor::User(UserId::new(format!("user{:04}", dice.roll(USERS)))?),
        device: Some(device(dice.roll(DEVICES))?),
        action: action.to_owned(),
        purpose: if action == "break-glass" {
            Purpose::BreakGlass
        } else {
            Purpose::Treatment
        },
        decision: Decision::Permit,
        rule: "own-ward-patient".to_owned(),
        grant: None,
        patient: patients.first().filter(|_| shown == 1).cloned(),
        disclosure: Disclosure {
            total: disclosed.len() as u64,
            patients,
            resources: disclosed,
            digest: None,
        },
        notes: std::collections::BTreeMap::new(),
    })
}

/// `looks`.
pub fn looks(report: &mut Report, quick: bool) -> Result<()> {
    let (rows, asked): (u64, usize) = if quick { (50_000, 100) } else { (1_000_000, 500) };
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("vitrine.db");
    let open = || {
        let key = Key::new(Zeroizing::new([7; 32]));
        SqlcipherStore::open(&path, key, Arc::new(NoteProjector), StoreOptions::default())
    };
    let store = open()?;
    // The record that the rows are about, so that names have numbers.
    let h = Hospital::new(store.clone() as Arc<dyn Store>, 0);
    for first in (0..PATIENTS).step_by(1_000) {
        let mut people = Vec::with_capacity(1_000);
        for n in first..first + 1_000 {
            people.push(person(
                patient(n)?.as_str(),
                "Anna Meyer",
                "1950",
                &format!("M{n}"),
            ));
        }
        runtime.block_on(h.apply(people));
    }
    drop(h);
    let before = log_bytes(&path)?;
    let began = Instant::now();
    runtime.block_on(async {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.push(tokio::spawn(async move {
                let mut dice = Dice(writer + 1);
                for n in (writer..rows).step_by(usize::try_from(WRITERS)?) {
                    store.append(entry(n, &mut dice)?).await?;
                }
                anyhow::Ok(())
            }));
        }
        for writer in writers {
            writer.await??;
        }
        anyhow::Ok(())
    })?;
    let setup = format!("{SETUP}; {rows} rows of {PATIENTS} patients and {USERS} people");
    let count = usize::try_from(rows)?;
    #[allow(clippy::cast_precision_loss)]
    report.add(
        "looks",
        "append_per_s",
        rows as f64 / began.elapsed().as_secs_f64(),
        "rows/s",
        count,
        &setup,
    );
    drop(store);
    let store = open()?;
    let h = Hospital::new(store.clone() as Arc<dyn Store>, 1_000_000);
    let mut dice = Dice(9);
    let whose: Vec<u64> = (0..asked).map(|_| dice.patient()).collect();
    let who: Vec<String> = (0..asked)
        .map(|_| format!("user{:04}", dice.roll(USERS)))
        .collect();
    for (name, by_patient, by_user) in [
        ("patient", true, false),
        ("user", false, true),
        ("patient_and_user", true, true),
        ("act", false, false),
    ] {
        let mut took = Vec::with_capacity(asked);
        for (n, who) in whose.iter().zip(&who) {
            let query = AuditQuery {
                patient: by_patient.then(|| patient(*n)).transpose()?,
                user: by_user.then(|| who.clone()),
                action: (!by_patient && !by_user).then(|| "break-glass".to_owned()),
                limit: 100,
                ..AuditQuery::default()
            };
            let permit = h.operator::<ReadAudit>();
            let from = Instant::now();
            runtime.block_on(store.find(&permit, query)).context(name)?;
            took.push(ms(from));
        }
        report.add_ms("looks", name, &mut took, &setup);
    }
    let (mut sealed_ms, mut open_ms) = (Vec::with_capacity(asked), Vec::with_capacity(asked));
    for n in whose.iter().cycle().take(asked * 4) {
        let whom = patient(*n)?;
        let permit = h.client::<ReadCard>(Some(whom.as_str()));
        let from = Instant::now();
        drop(runtime.block_on(store.card(&permit))?);
        sealed_ms.push(ms(from));
        let permit = h.client::<ReadCard>(Some(whom.as_str()));
        let from = Instant::now();
        runtime.block_on(async {
            let sealed = store.card(&permit).await?;
            h.open(&permit, sealed).await;
            anyhow::Ok(())
        })?;
        open_ms.push(ms(from));
    }
    report.add_ms("looks", "card_sealed", &mut sealed_ms, &setup);
    report.add_ms("looks", "card_with_row", &mut open_ms, &setup);
    let began = Instant::now();
    let checked = runtime.block_on(store.verify_audit())?;
    #[allow(clippy::cast_precision_loss)]
    report.add(
        "looks",
        "verify_rows_per_s",
        checked.rows as f64 / began.elapsed().as_secs_f64(),
        "rows/s",
        usize::try_from(checked.rows)?,
        &format!("{setup}; chain and index"),
    );
    drop((h, store));
    #[allow(clippy::cast_precision_loss)]
    report.add(
        "looks",
        "row_bytes",
        (log_bytes(&path)? - before) as f64 / (rows + asked as u64 * 4) as f64,
        "B",
        count,
        &setup,
    );
    Ok(())
}

/// Bytes of the pages of rows, words and index.
fn log_bytes(path: &std::path::Path) -> Result<u64> {
    let key = Key::new(Zeroizing::new([7; 32]));
    let conn = cipher::open(path, &key, &OpenOptions::default())?;
    let sql = "SELECT sum(pgsize) FROM dbstat WHERE aggregate = 1 AND name IN
               (SELECT name FROM sqlite_master WHERE tbl_name IN ('audit', 'device_audit') OR tbl_name LIKE 'audit~_%' ESCAPE '~')";
    let bytes: i64 = conn.query_row(sql, [], |r| r.get(0))?;
    Ok(u64::try_from(bytes)?)
}
