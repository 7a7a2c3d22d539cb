//! Emergency reads at the server while ten times as much is asked of the normal lane as it can do: large charts, opened
//! by a physician.
//!
//! Problem: the clients would take the server's two cores. In a hospital they are other machines: so the load runs in a
//! process of its own that has what nobody else wants (`SCHED_IDLE`), and what it offered and got is reported beside the figures; and the thread
//! that asks in the emergency does not wait for its own processor, where the system allows.

use crate::report::{Report, quantile};
use crate::world::{SETUP, World, ms};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use vitrine_synthetic::HEAVY_PATIENT;
use vitrine_tests::server::Server;
use vitrine_tests::station::person;
use vitrine_tests::thin::Device;

/// The word that makes this program the load instead of the bench.
pub const LOAD: &str = "lanes-load";
/// Resources of the chart that the load opens: somebody long in intensive care.
const HEAVY: u64 = 2_000;
/// Connections of the load.
const CONNECTIONS: usize = 640;
/// Times what the lane can do: the load keeps up with a little less than it is told to ask.
const ASKED: f64 = 11.0;
/// Turns of idle and overload.
const ROUNDS: usize = 4;
/// An emergency read every so often.
const PACE: Duration = Duration::from_millis(20);

/// Who asks in the emergency: one thread, before all others.
struct Emergencies<'a> {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    url: String,
    token: &'a str,
    patients: &'a [String],
}

impl<'a> Emergencies<'a> {
    /// Gives the thread that calls it its rank.
    fn new(server: &Server, token: &'a str, patients: &'a [String]) -> Result<Self> {
        #[cfg(target_os = "linux")]
        if rustix::process::setpriority_process(None, -11).is_err() {
            eprintln!("the asking thread stands like any other: run as root to keep it apart from the load");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            http: server.http()?,
            url: server.url(),
            token,
            patients,
        })
    }

    /// Reads, one every 20 ms; ms each, and how many failed.
    fn ask(&self, n: usize) -> (Vec<f64>, u64) {
        self.runtime.block_on(async {
            let (mut times, mut errors) = (Vec::with_capacity(n), 0);
            let mut turn = tokio::time::interval(PACE);
            turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for patient in self.patients.iter().cycle().take(n) {
                turn.tick().await;
                let from = Instant::now();
                let asked = self.http.get(format!("{}/emergency/{patient}", self.url));
                let well = match asked.bearer_auth(self.token).send().await {
                    Ok(answer) => {
                        let emergency = answer
                            .headers()
                            .get("x-vitrine-lane")
                            .is_some_and(|l| l == "emergency");
                        answer.status().is_success() && emergency && answer.bytes().await.is_ok()
                    }
                    Err(_) => false,
                };
                times.push(ms(from));
                errors += u64::from(!well);
            }
            (times, errors)
        })
    }
}

/// The load, running.
struct Load(Child);

impl Load {
    /// Starts it; `rate` requests a second, or with 0 as many as get served.
    fn start(server: &Server, token: &str, patients: &[String], rate: f64, seconds: u64) -> Result<Self> {
        let given = json!({"url": server.url(), "ca": server.data.join("ca.pem"), "token": token,
            "patients": patients, "rate": rate, "seconds": seconds});
        let mut child = Command::new("chrt")
            .args(["--idle", "0"])
            .arg(std::env::current_exe()?)
            .arg(LOAD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the load")?;
        let mut to = child.stdin.take().context("stdin")?;
        writeln!(to, "{given}")?;
        Ok(Self(child))
    }

    /// What it offered and got, a second.
    fn end(mut self) -> Result<Value> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().context("stdout")?).read_line(&mut line)?;
        ensure!(self.0.wait()?.success(), "the load failed");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn lanes(report: &mut Report, quick: bool) -> Result<()> {
    let (n, patients) = if quick { (400, 160) } else { (2_000, 2_000) };
    let world = World::new(patients, Some(HEAVY))?;
    let http = world.server.http()?;
    let who = world.nurse()?;
    let rt = &world.runtime;
    let _entered = rt.enter();
    let device = rt.block_on(Device::enrol(&world.server, &http, "ED"))?;
    let token = rt.block_on(device.sign_in(&world.server, &http, &who.user, &who.password))?;
    let doctor = person(&world.seed, "physician", "ICU")?;
    let desk = rt.block_on(Device::enrol(&world.server, &http, "ICU"))?;
    let reads = rt.block_on(desk.sign_in(&world.server, &http, &doctor.user, &doctor.password))?;
    // Patients of other wards, whose records this nurse may open only by breaking the glass.
    let mut broken = Vec::new();
    for patient in &world.patients(patients.min(60)) {
        let url = world.server.url();
        let read = rt.block_on(
            http.get(format!("{url}/emergency/{patient}"))
                .bearer_auth(&token)
                .send(),
        )?;
        if read.status().as_u16() != 403 || broken.len() >= 20 {
            continue;
        }
        let asked = json!({"patient": patient, "reason": "life-threatening"});
        let sent = http
            .post(format!("{url}/auth/break-glass"))
            .bearer_auth(&token)
            .json(&asked);
        ensure!(
            rt.block_on(sent.send())?.status().is_success(),
            "breaking the glass"
        );
        broken.push(patient.clone());
    }
    ensure!(broken.len() >= 5, "patients of other wards");
    let own = [HEAVY_PATIENT.to_owned()];
    let mut light = Vec::new();
    for patient in world.patients(patients.min(200)) {
        let chart = format!(
            "{}/fhir/Patient/{patient}/$everything?_count=1",
            world.server.url()
        );
        let opened = rt.block_on(http.get(chart).bearer_auth(&reads).send())?;
        if opened.status().is_success() {
            light.push(patient);
        }
    }
    ensure!(!light.is_empty(), "patients of the physician");

    // What the normal lane can do, then ten times that; idle and overload in turns, so that whatever else the machine
    // does falls on both.
    let emergencies = Emergencies::new(&world.server, &token, &broken)?;
    emergencies.ask(50);
    // So many accesses that the write-ahead log has grown to the length it keeps: on a server that has run for a while.
    Load::start(&world.server, &reads, &light, 0.0, 15)?.end()?;
    let capacity = Load::start(&world.server, &reads, &own, 0.0, 5)?.end()?;
    let served = capacity["served_per_s"].as_f64().context("served_per_s")?;
    let (mut idle, mut over, mut errors) = (Vec::new(), Vec::new(), 0);
    let mut did = [0.0; 4];
    let part = n / ROUNDS;
    let seconds = part as u64 * u64::try_from(PACE.as_millis())? / 1000 + 3;
    for _ in 0..ROUNDS {
        let (times, failed) = emergencies.ask(part);
        idle.extend(times);
        errors += failed;
        let load = Load::start(&world.server, &reads, &own, served * ASKED, seconds)?;
        std::thread::sleep(Duration::from_millis(1_500));
        let (times, failed) = emergencies.ask(part);
        over.extend(times);
        errors += failed;
        let got = load.end()?;
        for (sum, name) in did
            .iter_mut()
            .zip(["offered_per_s", "served_per_s", "shed_per_s", "failed"])
        {
            *sum += got[name].as_f64().context("what the load got")? / ROUNDS as f64;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let [offered, in_overload, shed, failed] = did;

    let setup = format!(
        "{SETUP}; GET /emergency/… under a grant, one every {} ms; normal lane: charts of {HEAVY} resources, 1,000 a page, {served:.0}/s at its best, \
         then {offered:.0}/s offered over {CONNECTIONS} connections by a process that has what is left of the same two cores (SCHED_IDLE): \
         {in_overload:.0}/s served, {shed:.0}/s answered 503, {failed:.0} failed; idle and overload in {ROUNDS} turns",
        PACE.as_millis(),
    );
    report.add_ms("lanes", "emergency_idle", &mut idle, &setup);
    report.add_ms("lanes", "emergency_overload", &mut over, &setup);
    let pct = 100.0 * quantile(&over, 0.99) / quantile(&idle, 0.99);
    report.add("lanes", "emergency_overload_pct_of_idle", pct, "%", n, &setup);
    #[allow(clippy::cast_precision_loss)]
    report.add("lanes", "emergency_errors", errors as f64, "", 2 * n, &setup);
    for (name, value) in [("offered", offered), ("served", in_overload), ("shed", shed)] {
        report.add(
            "lanes",
            &format!("normal_{name}_per_s"),
            value,
            "1/s",
            ROUNDS,
            &setup,
        );
    }
    report.add("lanes", "normal_capacity_per_s", served, "1/s", 1, &setup);
    Ok(())
}

/// The load itself: told on stdin what to ask, tells on stdout what it got.
pub fn load() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let given: Value = serde_json::from_str(&line)?;
    let text = |k: &str| given[k].as_str().map(str::to_owned).context("an argument");
    let (url, token, ca) = (text("url")?, text("token")?, text("ca")?);
    let patients: Vec<String> = serde_json::from_value(given["patients"].clone())?;
    let rate = given["rate"].as_f64().context("rate")?;
    let lasts = Duration::from_secs(given["seconds"].as_u64().context("seconds")?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = std::fs::read(ca)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let counts: Arc<[AtomicU64; 3]> = Arc::default();
    let due = Arc::new(AtomicU64::new(0));
    let took = runtime.block_on(async {
        // Without a rate as many ask as the lane has places; with one, enough that it is held.
        let askers = if rate > 0.0 { CONNECTIONS } else { 16 };
        let began = Instant::now();
        let mut all = Vec::new();
        for _ in 0..askers {
            let http = reqwest::Client::builder()
                .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
                .timeout(Duration::from_secs(30))
                .http1_only()
                .build()?;
            let (url, token, patients) = (url.clone(), token.clone(), patients.clone());
            let (counts, due) = (counts.clone(), due.clone());
            all.push(tokio::spawn(async move {
                while began.elapsed() < lasts {
                    let n = due.fetch_add(1, Relaxed);
                    if rate > 0.0 {
                        #[allow(clippy::cast_precision_loss)]
                        let at = began + Duration::from_secs_f64(n as f64 / rate);
                        tokio::time::sleep_until(at.into()).await;
                    }
                    let patient = &patients[usize::try_from(n).unwrap_or(0) % patients.len()];
                    let asked = http.get(format!("{url}/fhir/Patient/{patient}/$everything?_count=1000"));
                    let became = match asked.bearer_auth(&token).send().await {
                        Ok(a) if a.status().as_u16() == 503 => {
                            let _ = a.bytes().await;
                            1
                        }
                        Ok(a) if a.status().is_success() => a.bytes().await.map_or(2, |_| 0),
                        _ => 2,
                    };
                    counts[became].fetch_add(1, Relaxed);
                }
            }));
        }
        for one in all {
            one.await?;
        }
        anyhow::Ok(began.elapsed().as_secs_f64())
    })?;
    #[allow(clippy::cast_precision_loss)]
    let per_s = |n: u64| n as f64 / took;
    let [served, shed, failed] = [0, 1, 2].map(|i| counts[i].load(Relaxed));
    println!(
        "{}",
        json!({"offered_per_s": per_s(served + shed + failed), "served_per_s": per_s(served),
            "shed_per_s": per_s(shed), "failed": failed})
    );
    Ok(())
}
