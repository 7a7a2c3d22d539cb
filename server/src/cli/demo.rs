//! `demo`: the synthetic hospital in a folder marked as demonstration.
//!
//! Its credentials are public, so they work in such a folder alone (`identity::demo`); `demo` refuses a folder that holds
//! other data, and `serve` in a marked folder says so.

use super::acts::{self, Ground};
use super::import::importer;
use super::{Context, Data, Outcome, admin, users};
use crate::clock;
use crate::data_dir::DataDir;
use crate::error::Fault;
use crate::identity::demo;
use crate::ingest::import::Counts;
use crate::ingest::source::Unit;
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use vitrine_access::policy::Role;
use vitrine_clinical::{UserId, WardId};
use vitrine_store::StoreError;
use vitrine_synthetic::{DEMO_PATIENTS, Hospital, Staff};

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    data: Data,
    /// How many patients.
    #[arg(long, default_value_t = DEMO_PATIENTS, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    patients: u64,
    /// Only the first so many have their whole record, the others what an emergency needs of them.
    #[arg(long, value_name = "PATIENTS")]
    whole: Option<u64>,
    /// Also the patient with the very long record, of so many resources.
    #[arg(long, value_name = "RESOURCES", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    heavy: Option<u64>,
    /// Some of the patients worth opening have images, one series of every kind.
    #[arg(long)]
    images: bool,
    /// The instant at which the record ends, UTC milliseconds (default: when the folder was first seeded).
    #[arg(long, value_name = "MS")]
    at: Option<i64>,
}

pub(super) async fn demo(context: &Context, args: DemoArgs) -> Result<Outcome, Fault> {
    let dir = DataDir::open(&args.data.data, true)?;
    let lock = dir.lock()?;
    if !dir.is_demo() && dir.database().exists() {
        return Err(Fault::unsafe_to(format!(
            "{} holds data that are not a demonstration: name another folder; nothing was changed",
            dir.root().display()
        )));
    }
    dir.mark_demo()?;
    let began = clock::steady();
    let now_ms = settled_time(&dir, args.at)?;
    let ground = admin::open(context, dir, &lock).await?;
    let hospital = Hospital::new(demo::SEED, now_ms);
    let mut counts = seed(&ground, hospital, &args).await?;
    let images = match args.images {
        true => Some(super::demo_images::images(&ground, hospital, args.patients, now_ms).await?),
        false => None,
    };
    counts.seconds = began.elapsed().as_secs_f64();
    let staff = staff(&ground, hospital).await?;
    let wards: Vec<Value> = hospital
        .wards()
        .iter()
        .map(|w| json!({"id": w.id, "name": w.name}))
        .collect();
    let shown: Vec<Value> = hospital
        .showcases()
        .iter()
        .filter(|s| s.n.map_or(args.heavy.is_some(), |n| n < args.patients))
        .map(|s| json!({"id": s.id, "mrn": s.mrn, "gsrn": s.gsrn, "name": s.name, "ward": s.ward, "shows": s.shows}))
        .collect();
    let json = json!({
        "data": ground.dir.root().display().to_string(), "demo": true, "counts": counts,
        "staff": staff, "wards": wards, "patients": shown, "images": images,
    });
    Ok(Outcome::done(json.clone(), words(&json)))
}

/// The instant of the hospital: kept beside the mark, so that seeding again gives the same bytes.
fn settled_time(dir: &DataDir, asked: Option<i64>) -> Result<i64, Fault> {
    let path = dir.root().join("demo.time");
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(kept) = text.trim().parse::<i64>()
    {
        if asked.is_some_and(|a| a != kept) {
            return Err(Fault::usage(format!(
                "--at: {} was seeded at {kept}: leave --at out or name another folder",
                dir.root().display()
            )));
        }
        return Ok(kept);
    }
    let at = asked.unwrap_or_else(|| clock::now().0);
    crate::data_dir::write_durably(&path, at.to_string().as_bytes(), 0o644)?;
    Ok(at)
}

async fn seed(ground: &Ground, hospital: Hospital, args: &DemoArgs) -> Result<Counts, StoreError> {
    let (patients, whole) = (args.patients, args.whole.unwrap_or(u64::MAX));
    let importer = importer(ground);
    let unit = |name: String, text: String| {
        vec![Unit {
            location: name,
            bytes: Bytes::from(text),
        }]
    };
    let mut counts = importer
        .take(unit("synthetic:foundation".into(), hospital.foundation()))
        .await?;
    let mut running = tokio::task::JoinSet::new();
    let mut next = 0;
    while next < patients || !running.is_empty() {
        while next < patients && running.len() < 8 {
            let (importer, n) = (importer.clone(), next);
            running.spawn(async move {
                let text = tokio::task::block_in_place(|| match n < whole {
                    true => hospital.patient(n),
                    false => hospital.essentials_only(n),
                });
                importer
                    .take(vec![Unit {
                        location: format!("synthetic:patient {n}"),
                        bytes: Bytes::from(text),
                    }])
                    .await
            });
            next += 1;
        }
        match running.join_next().await {
            Some(Ok(done)) => counts.add(done?),
            Some(Err(e)) => {
                return Err(StoreError::Backend {
                    doing: "seeding",
                    cause: e.to_string(),
                });
            }
            None => {}
        }
    }
    if let Some(resources) = args.heavy {
        let bundles = hospital.heavy_patient(usize::try_from(resources).unwrap_or(usize::MAX));
        for (i, text) in bundles.enumerate() {
            counts.add(importer.take(unit(format!("synthetic:heavy {i}"), text)).await?);
        }
    }
    counts.add(importer.finish().await?);
    Ok(counts)
}

/// The staff, each made once; their secrets are always printed.
async fn staff(ground: &Ground, hospital: Hospital) -> Result<Vec<Value>, Fault> {
    let mut out = Vec::new();
    let mut making = tokio::task::JoinSet::new();
    for s in hospital.staff() {
        let user =
            UserId::new(s.user.clone()).map_err(|e| Fault::failed(format!("the synthetic hospital: {e}")))?;
        let role = role_name(&s);
        out.push(json!({"user": s.user, "display": s.display, "role": role, "ward": s.ward, "password": s.password, "pin": s.pin}));
        if ground.store.account(&user).await?.is_some() {
            continue;
        }
        let role: Role = role
            .parse()
            .map_err(|e| Fault::failed(format!("the synthetic hospital: {e}")))?;
        let wards = match &s.ward {
            Some(w) => vec![acts::ward_id(w)?],
            None => all_wards(hospital)?,
        };
        let ground = ground.clone();
        making.spawn(async move {
            users::put_user(&ground, &user, s.display, role, wards, &s.password, Some(&s.pin)).await
        });
        if making.len() >= 2
            && let Some(done) = making.join_next().await
        {
            done.map_err(|e| Fault::failed(e.to_string()))??;
        }
    }
    while let Some(done) = making.join_next().await {
        done.map_err(|e| Fault::failed(e.to_string()))??;
    }
    Ok(out)
}

fn all_wards(hospital: Hospital) -> Result<Vec<WardId>, Fault> {
    hospital.wards().iter().map(|w| acts::ward_id(&w.id)).collect()
}

/// The policy's name of a synthetic role.
fn role_name(s: &Staff) -> String {
    serde_json::to_value(s.role)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn words(json: &Value) -> String {
    let mut out = String::new();
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    let _ = writeln!(
        out,
        "The synthetic hospital is in {}. Everything in it is made up; its credentials are public.\n",
        text(&json["data"])
    );
    let _ = writeln!(
        out,
        "{:<14} {:<16} {:<6} {:<8} password",
        "user", "role", "ward", "PIN"
    );
    for s in json["staff"].as_array().map_or(&[][..], Vec::as_slice) {
        let _ = writeln!(
            out,
            "{:<14} {:<16} {:<6} {:<8} {}",
            text(&s["user"]),
            text(&s["role"]),
            text(&s["ward"]),
            text(&s["pin"]),
            text(&s["password"])
        );
    }
    out.push_str("\nPatients worth opening\n");
    for p in json["patients"].as_array().map_or(&[][..], Vec::as_slice) {
        let _ = writeln!(
            out,
            "{:<10} {:<24} {:<5} {}",
            text(&p["mrn"]),
            text(&p["name"]),
            text(&p["ward"]),
            text(&p["shows"])
        );
    }
    out
}
