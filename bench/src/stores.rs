//! Both stores under the same load, side by side: 48 writers, and 500 people who open charts.

use crate::report::Report;
use crate::world::ms;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vitrine_testpg::TestPg;
use vitrine_tests::server::{Server, free_port, run_json, text};

const SETUP: &str = "release, loopback TLS 1.3, token, policy and audit row per access, bodies encrypted";
const WRITERS: u64 = 48;
const PEOPLE: u64 = 500;
/// In the large hospital so many patients have a whole record; they are those whose charts are opened.
const WHOLE: u64 = 2_000;
/// What a person does between two charts takes so long on average.
const BETWEEN_MS: u64 = 20_000;

/// A seeded server on one of the stores.
struct Hospital {
    server: Server,
    http: reqwest::Client,
    token: String,
    _dir: tempfile::TempDir,
    _pg: Option<TestPg>,
}

fn hospital(runtime: &tokio::runtime::Runtime, postgres: bool, patients: u64) -> Result<Hospital> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let pg = if postgres {
        let pg = TestPg::start_with(&["max_wal_size = 2GB", "checkpoint_completion_target = 0.9"])?;
        configure(&data, &pg.database()?)?;
        Some(pg)
    } else {
        None
    };
    let n = patients.to_string();
    run_json(
        "vitrine-server",
        &["demo", "--data", &text(&data), "--patients", &n, "--json"],
        None,
    )?;
    serve(runtime, dir, pg)
}

fn serve(runtime: &tokio::runtime::Runtime, dir: tempfile::TempDir, pg: Option<TestPg>) -> Result<Hospital> {
    let server = Server::start(&dir.path().join("server"), free_port()?)?;
    let http = server.http()?;
    let token = runtime.block_on(server.token(&http))?;
    Ok(Hospital {
        server,
        http,
        token,
        _dir: dir,
        _pg: pg,
    })
}

/// A large hospital on PostgreSQL: seeded into the embedded store, and moved from there, which is measured.
fn moved(runtime: &tokio::runtime::Runtime, patients: u64, report: &mut Report) -> Result<Hospital> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let pg = TestPg::start_with(&["max_wal_size = 4GB", "checkpoint_completion_target = 0.9"])?;
    let url = pg.database()?;
    let (n, whole) = (patients.to_string(), WHOLE.to_string());
    let seed = [
        "demo",
        "--data",
        &text(&data),
        "--patients",
        &n,
        "--whole",
        &whole,
        "--json",
    ];
    run_json("vitrine-server", &seed, None)?;
    let from = Instant::now();
    let there = [
        "migrate",
        "--from-embedded",
        &text(&data),
        "--database-url",
        &url,
        "--json",
    ];
    let said = run_json("vitrine-server", &there, None)?;
    let rows = said["rows"].as_u64().context("rows")?;
    report.add(
        "store",
        "moved_rows_per_s",
        rows as f64 / from.elapsed().as_secs_f64(),
        "1/s",
        usize::try_from(rows)?,
        &format!("release; migrate --from-embedded of {patients} patients into PostgreSQL, each row compared afterwards"),
    );
    // Where it came from is kept by the move; here it would only take room.
    configure(&data, &url)?;
    serve(runtime, dir, Some(pg))
}

fn configure(data: &Path, url: &str) -> Result<()> {
    std::fs::create_dir_all(data)?;
    std::fs::set_permissions(data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(std::fs::write(
        data.join("vitrine.toml"),
        format!("[database]\nurl = \"{url}\"\n"),
    )?)
}

/// `store`: writes through the whole server, each store by itself, one after the other in one run.
pub fn store(report: &mut Report, quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (patients, seconds) = if quick { (60, 4) } else { (1_000, 20) };
    for (name, postgres) in [("sqlcipher", false), ("postgres", true)] {
        let h = hospital(&runtime, postgres, patients)?;
        let (mut samples, elapsed) = runtime.block_on(write(&h, patients, Duration::from_secs(seconds)))?;
        let setup =
            format!("{SETUP}; {WRITERS} writers PUT one Observation each, {patients} patients, {name}");
        let rate = samples.len() as f64 / elapsed.as_secs_f64();
        report.add(
            "store",
            &format!("writes_per_s_{name}"),
            rate,
            "1/s",
            samples.len(),
            &setup,
        );
        report.add_ms("store", &format!("write_{name}"), &mut samples, &setup);
    }
    Ok(())
}

async fn write(h: &Hospital, patients: u64, time: Duration) -> Result<(Vec<f64>, Duration)> {
    let hospital = vitrine_synthetic::Hospital::new(0, 0);
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (http, token, url, next) = (h.http.clone(), h.token.clone(), h.server.url(), next.clone());
            tokio::spawn(async move {
                let mut samples = Vec::new();
                while begun.elapsed() < time {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    let patient = vitrine_synthetic::patient_id(k % patients);
                    let at_ms = 1_795_000_000_000 + i64::try_from(k)? * 1_000;
                    let body = hospital.live_lab(&patient, k, at_ms);
                    let id = serde_json::from_str::<Value>(&body)?["id"]
                        .as_str()
                        .context("id")?
                        .to_owned();
                    let from = Instant::now();
                    let sent = http
                        .put(format!("{url}/fhir/Observation/{id}"))
                        .bearer_auth(&token)
                        .header("content-type", "application/fhir+json")
                        .body(body)
                        .send()
                        .await?;
                    ensure!(sent.status().is_success(), "{}", sent.status());
                    samples.push(ms(from));
                }
                Ok::<_, anyhow::Error>(samples)
            })
        })
        .collect();
    let mut all = Vec::new();
    for t in tasks {
        all.extend(t.await??);
    }
    Ok((all, begun.elapsed()))
}

/// `people`: charts and long histories opened by 500 people at a server on PostgreSQL.
pub fn people(report: &mut Report, quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (patients, seconds) = if quick { (200, 12) } else { (100_000, 90) };
    let h = moved(&runtime, patients, report)?;
    let opened = patients.min(WHOLE);
    let (mut charts, mut histories) = runtime.block_on(open(&h, opened, Duration::from_secs(seconds)))?;
    let setup = format!(
        "{SETUP}; PostgreSQL, server and {PEOPLE} people on two cores, {patients} patients, {opened} of them with a whole \
         record, whose charts are opened, by each person about every {} s",
        BETWEEN_MS / 1000
    );
    report.add_ms("chart", "open_server_500", &mut charts, &setup);
    report.add_ms("chart", "history_500", &mut histories, &setup);
    Ok(())
}

/// First pages of charts, and the pages behind them.
async fn open(h: &Hospital, patients: u64, time: Duration) -> Result<(Vec<f64>, Vec<f64>)> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..PEOPLE)
        .map(|who| {
            let (http, token, url) = (h.http.clone(), h.token.clone(), h.server.url());
            tokio::spawn(async move {
                let (mut charts, mut histories) = (Vec::new(), Vec::new());
                let mut draw = who.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                while begun.elapsed() < time {
                    draw ^= draw << 13;
                    draw ^= draw >> 7;
                    draw ^= draw << 17;
                    tokio::time::sleep(Duration::from_millis(draw % (2 * BETWEEN_MS))).await;
                    let patient = vitrine_synthetic::patient_id((draw >> 20) % patients);
                    let first = format!("{url}/fhir/Patient/{patient}/$everything?_count=100");
                    let from = Instant::now();
                    let mut next = page(&http, &token, &first).await?;
                    charts.push(ms(from));
                    while let Some(more) = next {
                        let from = Instant::now();
                        next = page(&http, &token, &more).await?;
                        histories.push(ms(from));
                    }
                }
                Ok::<_, anyhow::Error>((charts, histories))
            })
        })
        .collect();
    let (mut charts, mut histories) = (Vec::new(), Vec::new());
    for t in tasks {
        let (c, l) = t.await??;
        charts.extend(c);
        histories.extend(l);
    }
    Ok((charts, histories))
}

/// A page; gives the address of the next one.
async fn page(http: &reqwest::Client, token: &str, url: &str) -> Result<Option<String>> {
    let answer = http.get(url).bearer_auth(token).send().await?;
    let status = answer.status();
    let bytes = answer.bytes().await?;
    ensure!(status.is_success(), "{url}: {status}");
    let bundle: Value = serde_json::from_slice(&bytes)?;
    let next = bundle["link"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|l| l["relation"] == "next");
    Ok(next.and_then(|l| l["url"].as_str()).map(str::to_owned))
}
