//! Thousands of workstations on one server: how long a change takes to reach them all, what each costs, and what
//! happens when all come back at once.

use crate::report::Report;
use crate::world::{SETUP, World};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use vitrine_tests::thin::{Cache, Device, Thin, Told, trusting};

/// Devices enrolled; the workstations share them evenly.
const DEVICES: u64 = 40;
/// Workstations that connect at the same time when the crowd is gathered.
const AT_ONCE: usize = 16;
pub(super) const THIN: &str =
    "protocol machines with caches in memory in one process, on the server's own two cores";

type Running = JoinHandle<Result<Thin>>;

/// Workstations that stay connected.
pub(super) struct Crowd {
    running: Vec<Running>,
    stop: watch::Sender<bool>,
    told: mpsc::UnboundedReceiver<(usize, Told)>,
    tell: mpsc::UnboundedSender<(usize, Told)>,
    tls: Arc<rustls::ClientConfig>,
}

impl Crowd {
    /// Connects so many, a few at a time, and waits until each is current.
    pub(super) fn gather(world: &World, n: usize) -> Result<Self> {
        let http = world.server.http()?;
        let mut devices = Vec::new();
        for _ in 0..DEVICES {
            let device = world
                .runtime
                .block_on(Device::enrol(&world.server, &http, "ED"))?;
            devices.push(Arc::new(device));
        }
        let (tell, told) = mpsc::unbounded_channel();
        let mut crowd = Self {
            running: Vec::new(),
            stop: watch::channel(false).0,
            told,
            tell,
            tls: trusting(&world.server)?,
        };
        let mut current = 0;
        for (i, device) in devices.iter().cycle().take(n).enumerate() {
            let thin = Thin {
                device: Arc::clone(device),
                cache: Cache::default(),
                seed: i as u64,
            };
            crowd.start(world, i, thin, Duration::ZERO);
            while i + 1 - current >= AT_ONCE {
                crowd.wait_current(world, 1)?;
                current += 1;
            }
        }
        crowd.wait_current(world, n - current)?;
        Ok(crowd)
    }

    fn start(&mut self, world: &World, i: usize, thin: Thin, after: Duration) {
        let (tell, tls, stop) = (self.tell.clone(), Arc::clone(&self.tls), self.stop.subscribe());
        let addr = world.server.addr;
        self.running.push(world.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            thin.connect(addr, tls, stop, move |what| {
                let _ = tell.send((i, what));
            })
            .await
        }));
    }

    /// Waits until `n` more are current; the time of the last.
    fn wait_current(&mut self, world: &World, n: usize) -> Result<Instant> {
        let mut last = Instant::now();
        let mut missing = n;
        while missing > 0 {
            let next = tokio::time::timeout(Duration::from_secs(120), self.told.recv());
            match world
                .runtime
                .block_on(next)
                .context("a workstation did not become current")?
            {
                Some((_, Told::Current(at))) => {
                    last = at;
                    missing -= 1;
                }
                Some(_) => {}
                None => anyhow::bail!("nobody is left"),
            }
        }
        Ok(last)
    }

    /// Cuts every line; gives the workstations with what they hold.
    pub(super) fn cut(&mut self, world: &World) -> Result<Vec<Thin>> {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        for running in self.running.drain(..) {
            all.push(world.runtime.block_on(running)??);
        }
        self.stop = watch::channel(false).0;
        Ok(all)
    }
}

/// A change at many workstations.
pub fn crowd(report: &mut Report, quick: bool) -> Result<()> {
    for n in if quick { vec![500] } else { vec![500, 5_000] } {
        let world = World::new(60, None)?;
        let _entered = world.runtime.enter();
        let idle = world.server.rss()?;
        let mut crowd = Crowd::gather(&world, n)?;
        let setup = format!("{SETUP}; {n} {THIN}");
        std::thread::sleep(Duration::from_secs(2));
        #[allow(clippy::cast_precision_loss)]
        let each = world.server.rss()?.saturating_sub(idle) as f64 / 1024.0 / n as f64;
        report.add(
            "fanout",
            &format!("rss_per_client_{n}_kib"),
            each,
            "KiB",
            n,
            &setup,
        );

        let hospital = vitrine_synthetic::Hospital::new(0, 0);
        let patient = vitrine_synthetic::patient_id(3);
        let http = world.server.http()?;
        let token = world.runtime.block_on(world.server.token(&http))?;
        let (mut samples, mut last) = (Vec::new(), Vec::new());
        let changes = if quick { 10 } else { 40 };
        for k in 0..changes {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            let at_ms = i64::try_from(now.as_millis())? + k * 60_000;
            let body = hospital.live_lab(&patient, u64::try_from(k)?, at_ms);
            let id = serde_json::from_str::<serde_json::Value>(&body)?["id"]
                .as_str()
                .context("id")?
                .to_owned();
            while crowd.told.try_recv().is_ok() {}
            let from = Instant::now();
            let sent = world.runtime.block_on(
                http.put(format!("{}/fhir/Observation/{id}", world.server.url()))
                    .bearer_auth(&token)
                    .header("content-type", "application/fhir+json")
                    .body(body)
                    .send(),
            )?;
            ensure!(sent.status().is_success(), "{}", sent.status());
            let mut heard = vec![false; n];
            let mut missing = n;
            let mut slowest = 0.0_f64;
            while missing > 0 {
                let next = tokio::time::timeout(Duration::from_secs(30), crowd.told.recv());
                let told = world
                    .runtime
                    .block_on(next)
                    .context("a change did not arrive within 30 s")?;
                let Some((i, Told::Changed(patients, at))) = told else {
                    continue;
                };
                if patients.contains(&patient) && !std::mem::replace(&mut heard[i], true) {
                    let ms = (at - from).as_secs_f64() * 1000.0;
                    samples.push(ms);
                    slowest = slowest.max(ms);
                    missing -= 1;
                }
            }
            last.push(slowest);
        }
        report.add_ms("fanout", &format!("post_to_client_{n}"), &mut samples, &setup);
        report.add_ms(
            "fanout",
            &format!("post_to_client_{n}_last"),
            &mut last,
            &format!("{setup}; the last client of each change"),
        );
        crowd.cut(&world)?;
    }
    Ok(())
}

/// Everybody comes back within five seconds, after a restart of a switch.
pub fn storm(report: &mut Report, quick: bool) -> Result<()> {
    let n = if quick { 500 } else { 2_000 };
    let world = World::new(60, None)?;
    let _entered = world.runtime.enter();
    let mut crowd = Crowd::gather(&world, n)?;
    let all = crowd.cut(&world)?;
    ensure!(all.len() == n, "everybody was there");
    while crowd.told.try_recv().is_ok() {}
    let from = Instant::now();
    for (i, thin) in all.into_iter().enumerate() {
        let spread = 5_000 * u64::try_from(i)? / u64::try_from(n)?;
        crowd.start(&world, i, thin, Duration::from_millis(spread));
    }
    let last = crowd.wait_current(&world, n)?;
    let setup = format!("{SETUP}; {n} {THIN}; all lines cut, all back within 5 s, each resumes where it was");
    report.add(
        "fanout",
        &format!("storm_{n}_s"),
        (last - from).as_secs_f64(),
        "s",
        n,
        &setup,
    );
    #[allow(clippy::cast_precision_loss)]
    report.add(
        "fanout",
        "storm_server_rss_mib",
        world.server.peak_rss()? as f64 / f64::from(1 << 20),
        "MiB",
        n,
        &format!("{setup}; the server's peak"),
    );
    crowd.cut(&world)?;
    Ok(())
}
