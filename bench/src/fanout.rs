//! From the first byte of a POST to the cache of every connected workstation.

use crate::report::Report;
use crate::world::{SETUP, World};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use vitrine_engine::{Options, Workstation};
use vitrine_tests::station::Station;
use vitrine_wire::view::EngineEvent;

pub fn fanout(report: &mut Report, quick: bool) -> Result<()> {
    let (engines, posts) = if quick { (50, 10) } else { (500, 60) };
    let world = World::new(60, None)?;
    let _entered = world.runtime.enter();
    let idle = world.server.rss()?;
    let mut stations = Vec::new();
    for i in 0..engines {
        let profile = world.dir.path().join(format!("w{i}"));
        Station::enrol(&world.server, &world.server.url(), &profile, "ED")?;
        let options = Options {
            runtime: Some(world.runtime.handle().clone()),
            ballast_bytes: 0,
            ..Options::default()
        };
        stations.push(Workstation::open(&profile, options)?);
    }
    for w in &stations {
        anyhow::ensure!(
            world.runtime.block_on(w.wait_current(Duration::from_secs(300)))?,
            "a workstation did not become current"
        );
    }
    let setup = format!(
        "{SETUP}; {engines} real engines with their encrypted caches in one process, on the server's own two cores"
    );
    #[allow(clippy::cast_precision_loss)]
    let per_client = (world.server.rss()?.saturating_sub(idle)) as f64 / 1024.0 / f64::from(engines);
    report.add(
        "fanout",
        "rss_per_client_kib",
        per_client,
        "KiB",
        usize::try_from(engines)?,
        &setup,
    );

    let hospital = vitrine_synthetic::Hospital::new(0, 0);
    let patient = vitrine_synthetic::patient_id(3);
    let http = world.server.http()?;
    let token = world.runtime.block_on(world.server.token(&http))?;
    let mut samples = Vec::new();
    let mut slowest_of_each = Vec::new();
    for k in 0..posts {
        let waits: Vec<_> = stations
            .iter()
            .map(|w| {
                let mut events = w.events();
                let patient = patient.clone();
                world.runtime.spawn(async move {
                    loop {
                        match events.recv().await {
                            Ok(EngineEvent::PatientsChanged(ids)) if ids.contains(&patient) => {
                                return Instant::now();
                            }
                            Ok(_) => {}
                            Err(_) => return Instant::now(),
                        }
                    }
                })
            })
            .collect();
        // later than what the hospital was seeded with: only then does the card change
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let at_ms = i64::try_from(now.as_millis())? + i64::from(k) * 60_000;
        let body = hospital.live_lab(&patient, u64::from(k as u32), at_ms);
        let id = serde_json::from_str::<serde_json::Value>(&body)?["id"]
            .as_str()
            .map(str::to_owned);
        let from = Instant::now();
        let request = match &id {
            Some(id) => http.put(format!("{}/fhir/Observation/{id}", world.server.url())),
            None => http.post(format!("{}/fhir/Observation", world.server.url())),
        };
        let sent = world.runtime.block_on(
            request
                .bearer_auth(&token)
                .header("content-type", "application/fhir+json")
                .body(body)
                .send(),
        )?;
        anyhow::ensure!(sent.status().is_success(), "{}", sent.status());
        let mut of_this = Vec::new();
        for wait in waits {
            let arrived = world
                .runtime
                .block_on(tokio::time::timeout(Duration::from_secs(30), wait))
                .context("a change did not arrive within 30 s")??;
            of_this.push((arrived - from).as_secs_f64() * 1000.0);
        }
        slowest_of_each.push(of_this.iter().copied().fold(0.0, f64::max));
        samples.append(&mut of_this);
    }
    let stem = format!("post_to_engine_{engines}");
    report.add_ms("fanout", &stem, &mut samples, &setup);
    report.add_ms(
        "fanout",
        &format!("{stem}_last"),
        &mut slowest_of_each,
        &format!("{setup}; the last engine of each change"),
    );
    Ok(())
}
