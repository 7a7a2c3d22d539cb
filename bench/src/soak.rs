//! A day at a shared workstation, made short: sign-ins, charts, sections, searches, emergencies, and a record that changes all the
//! while; how much memory the app and its web view hold after an hour's work, and how much more after a day's.

use crate::report::Report;
use crate::window::memory;
use crate::world::{SETUP, World};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use vitrine_desktop_tests::act::{break_the_glass, sign_in};
use vitrine_desktop_tests::{CTRL, DOWN, Desktop, ENTER, ESCAPE, automation_bin};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Person, showcase};

/// Sign-ins at one PC: forty in a shift of twelve hours, so in an hour and in a day.
const HOUR: usize = 4;
const DAY: usize = 80;
/// Charts opened by each, and left open until the lock: so many may be.
const CHARTS: usize = 4;
/// Patients whose signs change while it goes on.
const CHANGING: usize = 24;
/// One change in so long: a ward of forty beds writes about as much in a day as this in the minutes the bench takes.
const CHANGE_EVERY: Duration = Duration::from_millis(150);

pub fn soak(report: &mut Report, quick: bool) -> Result<()> {
    let world = World::new(60, None)?;
    let _entered = world.runtime.enter();
    let changing = world.admit(CHANGING)?;
    drop(world.station("ed-07", &world.server.url())?);
    let profile = world.dir.path().join("ed-07");
    let nurse = world.nurse()?;
    let mrn = showcase(&world.seed, "anaphyla")?["mrn"]
        .as_str()
        .context("mrn")?
        .to_owned();
    let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let http = world.server.http()?;
    let token = world.runtime.block_on(world.server.token(&http))?;
    let writer = world.runtime.spawn(change(
        http,
        token,
        world.server.url(),
        changing,
        Arc::clone(&stop),
        Arc::clone(&changes),
    ));
    let turns = if quick { 2 * HOUR + 2 } else { DAY };
    let held = world.runtime.block_on(async {
        let desktop = Desktop::start(&automation_bin(), &profile, &[]).await?;
        desktop.find("lock-screen").await?;
        desktop.mark_after("rehearsed", 0).await?;
        let mut held = Vec::with_capacity(turns);
        for turn in 0..turns {
            one_sign_in(&desktop, &nurse).await?;
            if turn % 10 == 0 {
                break_the_glass(&desktop, &nurse, &mrn).await?;
                desktop.press(ESCAPE).await?;
                desktop.gone("emergency-card").await?;
            }
            // As long as the web view tidies up by itself.
            tokio::time::sleep(Duration::from_secs(1)).await;
            held.push(memory(&automation_bin(), &profile)?);
        }
        desktop.stop().await;
        Ok::<_, anyhow::Error>(held)
    })?;
    stop.store(true, Ordering::Release);
    world.runtime.block_on(writer)??;
    told(report, &held, changes.load(Ordering::Acquire), &world.server)
}

/// Signs in, looks at the board, at charts with each of their sections, searches, and locks.
async fn one_sign_in(desktop: &Desktop, who: &Person) -> Result<()> {
    sign_in(desktop, who).await?;
    desktop.press(([CTRL], 'b')).await?;
    desktop.find("board-summary").await?;
    for _ in 0..CHARTS {
        desktop.press(DOWN).await?;
        desktop.press(ENTER).await?;
        desktop.find("banner-name").await?;
        for section in '1'..='8' {
            desktop.press(([CTRL], section)).await?;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        desktop.press(([CTRL], 'b')).await?;
        desktop.find("board-summary").await?;
    }
    desktop.press(([CTRL], 'f')).await?;
    desktop.fill("query", "a").await?;
    desktop.find("patient-row").await?;
    desktop.press(([CTRL], 'l')).await?;
    desktop.find("lock-screen").await?;
    Ok(())
}

/// Writes one sign of a patient after the other until it is stopped.
async fn change(
    http: reqwest::Client,
    token: String,
    url: String,
    patients: Vec<String>,
    stop: Arc<AtomicBool>,
    changes: Arc<AtomicU64>,
) -> Result<()> {
    for (n, patient) in patients.iter().cycle().enumerate() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let body = serde_json::json!({"resourceType": "Observation", "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "subject": {"reference": format!("Patient/{patient}")},
            "effectiveDateTime": format!("2026-11-20T{:02}:{:02}:00Z", 8 + n / 60 % 12, n % 60),
            "valueQuantity": {"value": 60 + n % 60, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}});
        let sent = http
            .post(format!("{url}/fhir/Observation"))
            .bearer_auth(&token)
            .header("content-type", "application/fhir+json")
            .body(body.to_string())
            .send()
            .await?;
        ensure!(sent.status().is_success(), "a sign: {}", sent.status());
        changes.fetch_add(1, Ordering::AcqRel);
        tokio::time::sleep(CHANGE_EVERY).await;
    }
    Ok(())
}

/// What is held after a day, against what is held after an hour: the middle of a few turns each, as memory is given back at times.
fn told(report: &mut Report, held: &[f64], changes: u64, server: &Server) -> Result<()> {
    let hour = middle(held.get(1..=HOUR).unwrap_or_default());
    let day = middle(held.get(held.len().saturating_sub(HOUR)..).unwrap_or_default());
    let setup = format!(
        "{SETUP}; the window under Xvfb, software rendering; {} sign-ins with {CHARTS} charts of 8 sections, {changes} changes; proportional set size of the app and its web view's processes, locked; server {} MiB",
        held.len(),
        server.rss()? >> 20,
    );
    report.add("soak", "app_mib_hour", hour, "MiB", held.len(), &setup);
    report.add("soak", "app_mib_end", day, "MiB", held.len(), &setup);
    report.add("soak", "grown_mib", day - hour, "MiB", held.len(), &setup);
    Ok(())
}

fn middle(of: &[f64]) -> f64 {
    let mut of = of.to_vec();
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
