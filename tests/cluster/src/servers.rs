//! Two `vitrine-server` nodes on the cluster behind HAProxy, as a load: writers that PUT resources of known ids through
//! the front until each is acknowledged, a reader of charts, and a workstation that looks on.
//!
//! What is there is read from PostgreSQL, every row and every version; the content of a sample is read through the front.

use crate::check::{Row, Verdict, Written, check, id_of, payload_of};
use crate::cluster::Cluster;
use crate::layout::Layout;
use crate::load::{Load, Pulse};
use crate::pg::Door;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::server::{Server, copy_identity, run_json, text};
use vitrine_tests::station::{Person, Station, person};
use vitrine_wire::view::EngineEvent;

/// Patients seeded; the writers write to the records of all of them.
const PATIENTS: i64 = 12;
/// An attempt is given up after this, and the same resource tried again. Longer than a server waits for a primary.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(60);
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Resources whose content is read back.
const SAMPLE: usize = 200;

type Shared = Arc<Mutex<Written>>;

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two servers, and who uses them.
pub struct Servers {
    nodes: Vec<Server>,
    front: String,
    http: reqwest::Client,
    token: String,
    databases: Vec<(String, Door)>,
    pulse: Arc<Pulse>,
    writers: BTreeMap<i32, Shared>,
    running: Vec<JoinHandle<Result<()>>>,
    stop: watch::Sender<bool>,
    /// The workstation that looks on.
    pub workstation: Workstation,
    /// Somebody who may break the glass there.
    pub nurse: Person,
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
}

/// The configuration of a server on the cluster.
fn configuration(layout: &Layout, node: &str) -> String {
    let url = |port: u16| {
        format!(
            "postgres://vitrine:{}@127.0.0.1:{port}/vitrine?sslmode=require&sslrootcert={}",
            layout.secrets.application,
            layout.ca().display()
        )
    };
    format!(
        "[database]\nurl = \"{}\"\nreplica_url = \"{}\"\nnode = \"{node}\"\npatience_seconds = 35\n",
        url(layout.write),
        url(layout.read)
    )
}

fn folder(at: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(at)?;
    std::fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(std::fs::write(at.join("vitrine.toml"), text)?)
}

impl Servers {
    /// Seeds the synthetic hospital, starts both servers, puts HAProxy in front of them and enrols a workstation.
    ///
    /// # Errors
    /// When any of it does not come up.
    pub async fn up(cluster: &mut Cluster, dir: &Path, writers: i32) -> Result<Self> {
        let layout = cluster.layout.clone();
        let (a, b) = (dir.join("server1"), dir.join("server2"));
        folder(&a, &configuration(&layout, "server"))?;
        let count = PATIENTS.to_string();
        let seed = run_json(
            "vitrine-server",
            &["demo", "--data", &text(&a), "--patients", &count, "--json"],
            None,
        )?;
        let one = Server::start_with(&a, layout.servers[0], &["--metrics", "off"])?;
        folder(&b, &configuration(&layout, "server-b"))?;
        copy_identity(&a, &b)?;
        let two = Server::start_with(&b, layout.servers[1], &["--metrics", "off"])?;
        cluster.put_front(&a.join("ca.pem")).await?;
        let http = one.http()?;
        let token = one.token(&http).await?;
        let front = format!("https://127.0.0.1:{}", layout.front);
        let profile = dir.join("ed-01");
        Station::enrol(&one, &front, &profile, "ED")?;
        let workstation = Workstation::open(
            &profile,
            Options {
                ballast_bytes: 0,
                ..Options::default()
            },
        )?;
        ensure!(
            workstation.wait_current(Duration::from_secs(60)).await?,
            "the workstation did not become current"
        );
        let seen = Arc::new(Mutex::new(Vec::new()));
        look_on(&workstation, Arc::clone(&seen));
        let databases = layout
            .nodes
            .iter()
            .map(|n| Ok((n.name.clone(), Door::new(&layout, &n.address, n.pg)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            nodes: vec![one, two],
            front,
            http,
            token,
            databases,
            pulse: Arc::default(),
            writers: (1..=writers).map(|w| (w, Shared::default())).collect(),
            running: Vec::new(),
            stop: watch::channel(false).0,
            workstation,
            nurse: person(&seed, "nurse", "ED")?,
            seen,
        })
    }

    /// How the workstation's feed stood since a moment: each state once for every time it began.
    #[must_use]
    pub fn states_since(&self, from: Instant) -> Vec<String> {
        let seen = lock(&self.seen);
        let before = seen
            .iter()
            .rev()
            .find(|(at, _)| *at < from)
            .map(|(_, s)| s.clone());
        before
            .into_iter()
            .chain(seen.iter().filter(|(at, _)| *at >= from).map(|(_, s)| s.clone()))
            .collect()
    }

    /// How often the workstation went from live to anything else since a moment: each is a strip on its screen.
    #[must_use]
    pub fn strips_since(&self, from: Instant) -> usize {
        let states = self.states_since(from);
        let begins = states.windows(2).filter(|s| s[0] == "Live" && s[1] != "Live");
        begins.count()
    }

    /// Lets the second server leave while everything goes on; gives what `drain` says of it.
    ///
    /// # Errors
    /// When it does not.
    pub fn drain_second(&self) -> Result<Value> {
        let data: PathBuf = self.nodes[1].data.clone();
        run_json(
            "vitrine-server",
            &["drain", "--data", &text(&data), "--json"],
            None,
        )
    }

    /// Lets it take work again.
    ///
    /// # Errors
    /// When it does not.
    pub fn undo_drain(&self) -> Result<Value> {
        let data: PathBuf = self.nodes[1].data.clone();
        run_json(
            "vitrine-server",
            &["drain", "--data", &text(&data), "--undo", "--json"],
            None,
        )
    }
}

/// Notes each state that the workstation's feed goes into.
fn look_on(workstation: &Workstation, seen: Arc<Mutex<Vec<(Instant, String)>>>) {
    let mut events = workstation.events();
    let state = |status: &vitrine_wire::view::StatusView| format!("{:?}", status.age);
    lock(&seen).push((Instant::now(), state(&workstation.status())));
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            if let EngineEvent::Status(s) = event {
                let now = state(&s);
                let mut seen = lock(&seen);
                if seen.last().map(|(_, s)| s) != Some(&now) {
                    seen.push((Instant::now(), now));
                }
            }
        }
    });
}

/// One attempt: true when it was acknowledged.
async fn attempt(http: &reqwest::Client, front: &str, token: &str, writer: i32, seq: i64) -> Result<bool> {
    let id = id_of(writer, seq);
    let patient = vitrine_synthetic::patient_id(u64::try_from(id % PATIENTS)?);
    let body = format!(
        r#"{{"resourceType":"Observation","id":"w{id}","status":"final","code":{{"text":"drill"}},"subject":{{"reference":"Patient/{patient}"}},"valueString":"{}"}}"#,
        payload_of(id)
    );
    let sent = http
        .put(format!("{front}/fhir/Observation/w{id}"))
        .bearer_auth(token)
        .header("content-type", "application/fhir+json")
        .timeout(PATIENCE)
        .body(body)
        .send()
        .await;
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(true),
        Ok(answer) if answer.status().is_server_error() => Ok(false),
        Ok(answer) => anyhow::bail!("a write was refused with {}", answer.status()),
        Err(_) => Ok(false),
    }
}

async fn writer(
    (http, front, token): (reqwest::Client, String, String),
    number: i32,
    known: Shared,
    pulse: Arc<Pulse>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    while !*stop.borrow() {
        let seq = {
            let mut k = lock(&known);
            if k.tried == 0 || k.acked.contains(&k.tried) {
                k.tried += 1;
            }
            k.tried
        };
        if attempt(&http, &front, &token, number, seq).await? {
            lock(&known).acked.insert(seq);
            pulse.wrote();
            tokio::time::sleep(PAUSE).await;
        } else {
            pulse.failed();
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
    Ok(())
}

/// Reads charts through the front, whoever answers.
async fn reader(
    (http, front, token): (reqwest::Client, String, String),
    pulse: Arc<Pulse>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut n = 0_u64;
    while !*stop.borrow() {
        n += 1;
        let patient = vitrine_synthetic::patient_id(n % PATIENTS.unsigned_abs());
        let sent = http
            .get(format!("{front}/fhir/Patient/{patient}"))
            .bearer_auth(&token)
            .timeout(Duration::from_secs(3))
            .send()
            .await;
        if sent.is_ok_and(|a| a.status().is_success()) {
            pulse.read();
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
    Ok(())
}

const ROWS: &str =
    "SELECT id, version FROM resource WHERE kind = 'Observation' AND id LIKE 'w%' AND NOT deleted";

#[async_trait::async_trait]
impl Load for Servers {
    fn name(&self) -> &'static str {
        "servers"
    }

    async fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        self.stop = watch::channel(false).0;
        let way = (self.http.clone(), self.front.clone(), self.token.clone());
        for (number, known) in &self.writers {
            self.running.push(tokio::spawn(writer(
                way.clone(),
                *number,
                Arc::clone(known),
                Arc::clone(&self.pulse),
                self.stop.subscribe(),
            )));
        }
        self.running.push(tokio::spawn(reader(
            way,
            Arc::clone(&self.pulse),
            self.stop.subscribe(),
        )));
        Ok(())
    }

    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    async fn stop(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        for task in self.running.drain(..) {
            task.await??;
        }
        Ok(())
    }

    async fn verify(&mut self) -> Result<Verdict> {
        let mut counts = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        for (name, door) in &self.databases {
            let link = door.open().await.with_context(|| format!("asking {name}"))?;
            // A standby may be a moment behind; nothing is written meanwhile.
            let until = Instant::now() + Duration::from_secs(30);
            let found = loop {
                let found = link.client.query(ROWS, &[]).await?;
                if counts.first().is_none_or(|n| *n == found.len()) || Instant::now() > until {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            counts.push(found.len());
            if rows.is_empty() {
                for r in &found {
                    let (id, version): (String, i64) = (r.get(0), r.get(1));
                    let id: i64 = id.trim_start_matches('w').parse()?;
                    let (writer, seq) = (i32::try_from(id >> 40)?, id & ((1 << 40) - 1));
                    // A second effect of one write would be a second version.
                    for _ in 0..version {
                        rows.push(Row {
                            id,
                            writer,
                            seq,
                            payload: payload_of(id),
                        });
                    }
                }
            }
        }
        ensure!(
            counts.iter().all(|n| *n == counts[0]),
            "the nodes hold different numbers of rows: {counts:?}"
        );
        let step = (rows.len() / SAMPLE).max(1);
        for row in rows.iter_mut().step_by(step) {
            let answer = self
                .http
                .get(format!("{}/fhir/Observation/w{}", self.front, row.id))
                .bearer_auth(&self.token)
                .send()
                .await?;
            let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
            row.payload = body["valueString"].as_str().unwrap_or_default().to_owned();
        }
        let mut effects: BTreeMap<i32, i64> = BTreeMap::new();
        for row in &rows {
            *effects.entry(row.writer).or_default() += 1;
        }
        let written = self.writers.iter().map(|(n, w)| (*n, lock(w).clone())).collect();
        Ok(check(&written, &rows, &effects))
    }
}
