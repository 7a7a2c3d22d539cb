//! The line between server and workstations misbehaves; in the end both hold the same.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use vitrine_engine::{Options, Workstation};
use vitrine_synthetic::Hospital;
use vitrine_tests::proxy::{Line, Proxy};
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::Station;

/// Cuts in all; each reaches every connected workstation.
fn cuts() -> u32 {
    std::env::var("VITRINE_CUTS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(1_000)
}

const STATIONS: u32 = 4;

/// An instant later than everything the hospital was seeded with: a lab of that time changes the card, so that the
/// change has to reach every workstation.
fn newer() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok()
        .and_then(|d| i64::try_from(d.as_millis()).ok())
        .unwrap_or(i64::MAX)
}

fn open(profile: &Path) -> Result<Workstation> {
    let options = Options {
        ballast_bytes: 0,
        ..Options::default()
    };
    Ok(Workstation::open(profile, options)?)
}

/// The digests of a workstation that hold against the server's, or the scopes that differ.
fn differing(w: &Workstation, there: &Value) -> Result<Vec<String>> {
    let here = w.status_json()?;
    let mine = here["digests"].as_object().context("digests")?;
    ensure!(!mine.is_empty(), "a workstation without a scope");
    Ok(mine
        .iter()
        .filter(|(s, d)| there["digests"][s.as_str()]["digest"] != **d)
        .map(|(s, _)| s.clone())
        .collect())
}

async fn put(http: &reqwest::Client, server: &Server, token: &str, body: String) -> Result<()> {
    let id = serde_json::from_str::<Value>(&body)?["id"]
        .as_str()
        .context("id")?
        .to_owned();
    let answer = http
        .put(format!("{}/fhir/Observation/{id}", server.url()))
        .bearer_auth(token)
        .header("content-type", "application/fhir+json")
        .body(body)
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_random_disconnects_leave_no_gap_and_no_double() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, _) = Server::demo(&dir.path().join("server"))?;
    let proxy = Proxy::start(server.addr).await?;
    let url = format!("https://{}", proxy.addr);
    let mut stations = Vec::new();
    for i in 0..STATIONS {
        let profile = dir.path().join(format!("w{i}"));
        Station::enrol(&server, &url, &profile, if i % 2 == 0 { "ED" } else { "ICU" })?;
        stations.push(open(&profile)?);
    }
    let http = server.http()?;
    let token = server.token(&http).await?;
    let hospital = Hospital::new(0, 0);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let rounds = cuts().div_ceil(STATIONS);
    for k in 0..rounds {
        // a xorshift is enough to spread the cuts; the seed is fixed, the timing is not
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let patient = vitrine_synthetic::patient_id(random % 60);
        put(
            &http,
            &server,
            &token,
            hospital.live_lab(&patient, u64::from(k), newer() + i64::from(k) * 1_000),
        )
        .await?;
        tokio::time::sleep(Duration::from_millis(random % 120)).await;
        if k % 50 == 49 {
            proxy.set(Line::HalfOpen);
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.set(Line::Up);
        }
        proxy.cut();
    }
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let there = run_json(
            "vitrine-server",
            &["doctor", "--data", &text(&server.data), "--json"],
            None,
        )?;
        let mut wrong = Vec::new();
        for w in &stations {
            wrong.extend(differing(w, &there)?);
        }
        if wrong.is_empty() {
            break;
        }
        ensure!(Instant::now() < until, "still differing after 90 s: {wrong:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_every_workstation_and_after_a_restart_of_the_server_too() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, _) = Server::demo(&dir.path().join("server"))?;
    let profile = dir.path().join("w");
    Station::enrol(&server, &server.url(), &profile, "ED")?;
    let w = open(&profile)?;
    ensure!(w.wait_current(Duration::from_secs(60)).await?, "not current");
    let http = server.http()?;
    let token = server.token(&http).await?;
    let hospital = Hospital::new(0, 0);
    for round in 0..2_u32 {
        let before = w.status_json()?["cursor"].as_u64();
        put(
            &http,
            &server,
            &token,
            hospital.live_lab(
                &vitrine_synthetic::patient_id(3),
                900 + u64::from(round),
                newer() + i64::from(round),
            ),
        )
        .await?;
        let until = Instant::now() + Duration::from_secs(40);
        while w.status_json()?["cursor"].as_u64() <= before {
            ensure!(Instant::now() < until, "round {round}: the change did not arrive");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if round == 0 {
            server.restart()?;
        }
    }
    Ok(())
}
