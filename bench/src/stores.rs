//! Both stores under the same load, side by side: 48 writers, and 500 people who look for patients and open charts.

use crate::report::Report;
use crate::world::ms;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use vitrine_testpg::TestPg;
use vitrine_tests::server::{Server, free_port, run_json, text};
use vitrine_tests::thin::{Cache, Device, Thin, Told, trusting};

pub(super) const SETUP: &str =
    "release, loopback TLS 1.3, token, policy and audit row per access, bodies encrypted";
const WRITERS: u64 = 48;
const PEOPLE: u64 = 500;
/// In the large hospital so many patients have a whole record; they are those whose charts are opened.
const WHOLE: u64 = 2_000;
/// What a person does between two charts takes so long on average.
const BETWEEN_MS: u64 = 20_000;

/// A seeded server on one of the stores.
pub(super) struct Hospital {
    pub(super) server: Server,
    pub(super) http: reqwest::Client,
    pub(super) token: String,
    /// What the seeding said.
    seed: Value,
    _dir: tempfile::TempDir,
    _pg: Option<TestPg>,
}

/// Seeds so many patients into one of the stores, and starts a server on it.
pub(super) fn hospital(runtime: &tokio::runtime::Runtime, postgres: bool, patients: u64) -> Result<Hospital> {
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
    let seed = run_json(
        "vitrine-server",
        &["demo", "--data", &text(&data), "--patients", &n, "--json"],
        None,
    )?;
    serve(runtime, dir, pg, seed)
}

fn serve(
    runtime: &tokio::runtime::Runtime,
    dir: tempfile::TempDir,
    pg: Option<TestPg>,
    seed: Value,
) -> Result<Hospital> {
    let server = Server::start(&dir.path().join("server"), free_port()?)?;
    let http = server.http()?;
    let token = runtime.block_on(server.token(&http))?;
    Ok(Hospital {
        server,
        http,
        token,
        seed,
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
    let seed = run_json("vitrine-server", &seed, None)?;
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
    serve(runtime, dir, Some(pg), seed)
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

/// What people at a screen wait for, ms each.
#[derive(Default)]
struct Waits {
    charts: Vec<f64>,
    histories: Vec<f64>,
    searches: Vec<f64>,
}

/// `people`: charts and long histories opened and patients looked for by 500 people at a server on PostgreSQL, and how
/// long a change takes to a workstation meanwhile.
pub fn people(report: &mut Report, quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (patients, seconds) = if quick { (200, 12) } else { (100_000, 90) };
    let h = moved(&runtime, patients, report)?;
    let opened = patients.min(WHOLE);
    let (mut waits, mut feed) = runtime.block_on(async {
        let stop = watch::channel(false).0;
        let mut told = listen(&h, &stop).await?;
        let time = Duration::from_secs(seconds);
        let both = tokio::try_join!(open(&h, opened, time), follow(&h, &mut told, time))?;
        stop.send_replace(true);
        anyhow::Ok(both)
    })?;
    let setup = format!(
        "{SETUP}; PostgreSQL, server and {PEOPLE} people on two cores, {patients} patients, {opened} of them with a whole \
         record, whose charts are opened, by each person about every {} s",
        BETWEEN_MS / 1000
    );
    report.add_ms("chart", "open_server_500", &mut waits.charts, &setup);
    report.add_ms("chart", "history_500", &mut waits.histories, &setup);
    let sounds = format!("{setup}; Patient?phonetic of one name, 50 at most");
    report.add_ms("search", "phonetic_server_500", &mut waits.searches, &sounds);
    let told = format!("{setup}; from the PUT of an Observation to its frame at a workstation of the ward");
    report.add_ms("fanout", "feed_postgres_500", &mut feed, &told);
    Ok(())
}

/// A workstation of the ED, current; says what it is told.
async fn listen(h: &Hospital, stop: &watch::Sender<bool>) -> Result<mpsc::UnboundedReceiver<Told>> {
    let device = Device::enrol(&h.server, &h.http, "ED").await?;
    let thin = Thin {
        device: Arc::new(device),
        cache: Cache::default(),
        seed: 1,
    };
    let (tell, mut told) = mpsc::unbounded_channel();
    let (addr, tls, stopped) = (h.server.addr, trusting(&h.server)?, stop.subscribe());
    tokio::spawn(thin.connect(addr, tls, stopped, move |what| {
        let _ = tell.send(what);
    }));
    loop {
        let next = tokio::time::timeout(Duration::from_secs(300), told.recv());
        match next.await.context("the workstation did not become current")? {
            Some(Told::Current(_)) => return Ok(told),
            Some(_) => {}
            None => anyhow::bail!("the workstation's line ended"),
        }
    }
}

/// A laboratory value of a patient of the ward four times a second; ms until the workstation has it.
async fn follow(h: &Hospital, told: &mut mpsc::UnboundedReceiver<Told>, time: Duration) -> Result<Vec<f64>> {
    let hospital = vitrine_synthetic::Hospital::new(0, 0);
    let shown = h.seed["patients"].as_array().context("patients")?;
    let patient = shown
        .iter()
        .find(|p| p["ward"] == "ED")
        .and_then(|p| p["id"].as_str())
        .context("a patient of the ED")?;
    let (begun, mut samples, mut k) = (Instant::now(), Vec::new(), 0_u64);
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        // Each later than the one before by the minute, so that the card has a new value to show.
        let at_ms = i64::try_from(now.as_millis())? + i64::try_from(k)? * 60_000;
        let body = hospital.live_lab(patient, k, at_ms);
        k += 1;
        let id = serde_json::from_str::<Value>(&body)?["id"]
            .as_str()
            .context("id")?
            .to_owned();
        while told.try_recv().is_ok() {}
        let from = Instant::now();
        put(h, &id, body).await?;
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), told.recv());
            let what = next.await.context("a change did not arrive within 30 s")?;
            if let Told::Changed(patients, at) = what.context("the workstation's line ended")?
                && patients.iter().any(|p| p == patient)
            {
                samples.push((at - from).as_secs_f64() * 1000.0);
                break;
            }
        }
    }
    Ok(samples)
}

async fn put(h: &Hospital, id: &str, body: String) -> Result<()> {
    let sent = h
        .http
        .put(format!("{}/fhir/Observation/{id}", h.server.url()))
        .bearer_auth(&h.token)
        .header("content-type", "application/fhir+json")
        .body(body)
        .send()
        .await?;
    ensure!(sent.status().is_success(), "{}", sent.status());
    Ok(())
}

/// First pages of charts, the pages behind them, and a search before each.
async fn open(h: &Hospital, patients: u64, time: Duration) -> Result<Waits> {
    let begun = Instant::now();
    let names: Arc<Vec<String>> = Arc::new(
        h.seed["patients"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|p| p["name"].as_str())
            .flat_map(|n| n.split([' ', ',']))
            .filter(|w| w.len() > 2 && w.bytes().all(|b| b.is_ascii_alphabetic()))
            .map(str::to_owned)
            .collect(),
    );
    ensure!(!names.is_empty(), "names to look for");
    let tasks: Vec<_> = (0..PEOPLE)
        .map(|who| {
            let (http, token, url) = (h.http.clone(), h.token.clone(), h.server.url());
            let names = names.clone();
            tokio::spawn(async move {
                let mut waits = Waits::default();
                let mut draw = who.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                while begun.elapsed() < time {
                    draw ^= draw << 13;
                    draw ^= draw >> 7;
                    draw ^= draw << 17;
                    tokio::time::sleep(Duration::from_millis(draw % (2 * BETWEEN_MS))).await;
                    let name = &names[usize::try_from(draw >> 33)? % names.len()];
                    let sought = http.get(format!("{url}/fhir/Patient?phonetic={name}"));
                    let from = Instant::now();
                    read(sought.bearer_auth(&token)).await?;
                    waits.searches.push(ms(from));
                    let patient = vitrine_synthetic::patient_id((draw >> 20) % patients);
                    let first = format!("{url}/fhir/Patient/{patient}/$everything?_count=100");
                    let from = Instant::now();
                    let mut next = page(&http, &token, &first).await?;
                    waits.charts.push(ms(from));
                    while let Some(more) = next {
                        let from = Instant::now();
                        next = page(&http, &token, &more).await?;
                        waits.histories.push(ms(from));
                    }
                }
                Ok::<_, anyhow::Error>(waits)
            })
        })
        .collect();
    let mut all = Waits::default();
    for t in tasks {
        let one = t.await??;
        all.charts.extend(one.charts);
        all.histories.extend(one.histories);
        all.searches.extend(one.searches);
    }
    Ok(all)
}

async fn read(asked: reqwest::RequestBuilder) -> Result<Value> {
    let answer = asked.send().await?;
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    let bytes = answer.bytes().await?;
    ensure!(status.is_success(), "{url}: {status}");
    Ok(serde_json::from_slice(&bytes)?)
}

/// A page; gives the address of the next one.
async fn page(http: &reqwest::Client, token: &str, url: &str) -> Result<Option<String>> {
    let bundle = read(http.get(url).bearer_auth(token)).await?;
    let next = bundle["link"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|l| l["relation"] == "next");
    Ok(next.and_then(|l| l["url"].as_str()).map(str::to_owned))
}
