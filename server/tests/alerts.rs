//! The shipped alert rules against a real Prometheus and real faults: each fires within a minute of its fault and
//! clears within two of its end. And `promtool` on the rules themselves.
//!
//! All faults are there at once and end at once: what lifts one alert would not lift another. Most come about by what
//! the server does on a store that is slow, by people signing in, by workstations that lost what they held, by files of
//! images that are removed and a folder of copies that is. How long an image takes is fed into its histogram, and how many
//! reviews wait into their counts: the clock that counts them does not run here, and 24 hours are long.

mod harness;
use harness::images::{Made, RELATED, related, walk};
use harness::inside::Inside;
use harness::line::Line;
use harness::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vitrine_access::AccessId;
use vitrine_clinical::UtcMs;
use vitrine_server::config::CopyTarget;
use vitrine_server::ops::audit_tree::Standing;
use vitrine_server::ops::repository;
use vitrine_store::Stall;
use vitrine_wire::message::*;

const ALERTS: [&str; 16] = [
    "VitrineRecordSlow",
    "VitrineRecordVerySlow",
    "VitrineEmergencySlow",
    "VitrineImageSlow",
    "VitrineLabSlow",
    "VitrineManyUsers",
    "VitrineCacheMisses",
    "VitrineQuerySlow",
    "VitrineDatabaseStalled",
    "VitrineImageLost",
    "VitrineCopyTargetAway",
    "VitrineAuditTreeFault",
    "VitrineAuditRepositoryBehind",
    "VitrineReviewWaiting",
    "VitrineReviewOverdue",
    "VitrineNoticeWaiting",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// Whether Prometheus is here; in CI it must be.
fn prometheus_is_here() -> bool {
    let here = Command::new("promtool").arg("--version").output().is_ok();
    assert!(
        here || std::env::var_os("CI").is_none(),
        "prometheus must be there in CI: cargo xtask test installs it"
    );
    if !here {
        eprintln!("skipped: prometheus is not installed (Debian: apt-get install prometheus)");
    }
    here
}

#[test]
fn promtool_takes_the_rules_and_each_fires_and_clears_on_paper() {
    if !prometheus_is_here() {
        return;
    }
    for args in [
        // Its addresses are put in by deploy/render.sh.
        &["check", "config", "--syntax-only", "prometheus.yml"][..],
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let out = Command::new("promtool")
            .args(args)
            .current_dir(deploy())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "promtool {args:?}: {said}");
    }
    let rules = std::fs::read_to_string(deploy().join("alerts.yml")).unwrap();
    let names: Vec<&str> = rules
        .lines()
        .filter_map(|l| l.trim().strip_prefix("- alert: "))
        .collect();
    assert_eq!(names, ALERTS);
}

struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    /// Scrapes and evaluates every second.
    fn start(dir: &Path, target: std::net::SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let rules = deploy().join("alerts.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\nscrape_configs:\n  \
             - job_name: vitrine\n    static_configs:\n      - targets: [\"{target}\"]\n",
            rules.display()
        );
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={at}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("prometheus starts");
        Self {
            child,
            url: format!("http://{at}"),
        }
    }

    /// The names of the alerts that fire; `None` while it does not answer yet.
    async fn firing(&self) -> Option<Vec<String>> {
        let answer = reqwest::get(format!("{}/api/v1/alerts", self.url)).await.ok()?;
        let said: Value = answer.json().await.ok()?;
        let all = said["data"]["alerts"].as_array()?;
        let firing = all.iter().filter(|a| a["state"] == "firing");
        let mut names: Vec<String> = firing
            .map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        Some(names)
    }

    /// Notes when each alert begins (or ends) to fire, until all have or the time is over; seconds since `from`.
    async fn watch(&self, begin: bool, from: Instant, within: Duration) -> BTreeMap<String, u64> {
        let mut seen = BTreeMap::new();
        while from.elapsed() < within && seen.len() < ALERTS.len() {
            if let Some(firing) = self.firing().await {
                for name in ALERTS {
                    if firing.iter().any(|f| f == name) == begin {
                        seen.entry(name.to_owned()).or_insert(from.elapsed().as_secs());
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        seen
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for an address again and again until told to stop.
fn ask(s: &Inside, path: &str, token: &str, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
    let (url, token, http, stop) = (s.url(path), token.to_owned(), s.http.clone(), stop.clone());
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let _ = http.get(&url).bearer_auth(&token).send().await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    })
}

/// Waits until the copies stand so.
async fn counted(s: &Inside, is: impl Fn(&Value) -> bool) {
    for _ in 0..150 {
        if is(&s.app.copies.list(10).await.unwrap().json) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{}", s.app.copies.list(10).await.unwrap().json);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fires_within_a_minute_of_its_fault_and_clears() {
    if !prometheus_is_here() {
        return;
    }
    let (t, data) = folder();
    let copies = ["east", "west"].map(|n| t.path().join(n));
    let targets = copies.iter().map(|path| {
        std::fs::create_dir(path).unwrap();
        CopyTarget {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            url: format!("file://{}", path.display()),
            ..CopyTarget::default()
        }
    });
    let targets: Vec<CopyTarget> = targets.collect();
    let s = Inside::start(&data, |c| {
        c.lanes.read_ms = 60_000;
        c.images.copies = targets;
        c.audit.repository.to = "127.0.0.1:1".to_owned();
        c.audit.repository.ca = data.join("ca.pem").display().to_string();
    })
    .await;
    for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
        s.patient(p, w).await;
    }
    let program = s.program("system/*.cruds").await;
    let lab = observation(Some("o1"), "pat-ed", "4.1");
    let put = s.http.put(s.url("/fhir/Observation/o1")).bearer_auth(&program);
    let put = put.header("content-type", "application/fhir+json").body(lab);
    assert_eq!(put.send().await.unwrap().status(), 201);
    let image = s.http.post(s.url("/dicomweb/studies")).bearer_auth(&program);
    let image = image
        .header("content-type", RELATED)
        .body(related(&[Made::default().bytes()]));
    assert_eq!(image.send().await.unwrap().status(), 200);
    vitrine_server::imaging::copies::start(&s.app);
    counted(&s, |json| {
        json["targets"]
            .as_array()
            .unwrap()
            .iter()
            .all(|t| t["verified"] == 1)
    })
    .await;
    let nina = s.nurse("nina", "ED").await;
    let nurse = s.session(&nina, None).await;
    s.grant(&nina, None, "pat-icu");
    let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let key = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let public = ring::signature::KeyPair::public_key(&key).as_ref().to_vec();
    let device = Device {
        id: s.device("ed-01", "ED", public).await.to_string(),
        server_key: Vec::new(),
        key: Arc::new(key),
    };

    // The day's work, all well: nothing fires.
    let prometheus = Prometheus::start(t.path(), s.metrics);
    let stop = Arc::new(AtomicBool::new(false));
    let mut work = Vec::new();
    for path in [
        "/fhir/Patient/pat-ed/$everything",
        "/fhir/Observation/o1",
        "/emergency/pat-icu",
    ] {
        work.push(ask(&s, path, &nurse, &stop));
        work.push(ask(&s, path, &nurse, &stop));
    }
    let until = vitrine_server::clock::steady() + Duration::from_secs(20);
    while prometheus.firing().await.is_none() {
        assert!(
            vitrine_server::clock::steady() < until,
            "prometheus does not answer"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let slow = Duration::from_secs(7);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(
        prometheus.firing().await.unwrap(),
        Vec::<String>::new(),
        "nothing is wrong"
    );

    // The faults.
    let from = vitrine_server::clock::steady();
    for (call, ms) in [("everything", 10_500), ("card", 2_200), ("read", 1_200)] {
        s.store.delay_of(call, Duration::from_millis(ms));
    }
    let original = walk(&data.join("images")).remove(0);
    let bytes = std::fs::read(&original).unwrap();
    for folder in [&data.join("images"), &copies[0], &copies[1]] {
        let files = walk(folder);
        for file in files.iter().filter(|f| f.extension().is_some()) {
            std::fs::remove_file(file).unwrap();
        }
    }
    s.app
        .copies
        .scrub_now(vitrine_server::clock::now())
        .await
        .unwrap();
    counted(&s, |json| json["lost"] == 1).await;
    std::fs::rename(&copies[1], t.path().join("aside")).unwrap();
    s.store.stall(vec![Stall {
        pid: 4711,
        database: "reports".to_owned(),
        application: "psql".to_owned(),
        age_s: 7.0,
    }]);
    // No job sends here: how it stands is as it would be after 16 minutes.
    let repository = s.app.repository.as_ref().unwrap();
    repository.note(repository::Standing {
        missing: 3,
        caught_up: Some(vitrine_server::clock::now().plus_ms(-960_000)),
        error: None,
    });
    s.app.tree.note(Standing {
        fault: Some("a row is another".to_owned()),
        ..Standing::default()
    });
    for of in [&s.app.waiting.long, &s.app.waiting.overdue] {
        of.store(1, Ordering::Relaxed);
    }
    let untold = AccessId(vitrine_server::clock::new_uuid());
    let long_ago = UtcMs(vitrine_server::clock::now().0 - 301_000);
    s.app.notices.add_of(untold, long_ago);
    let mut sessions = Vec::new();
    for _ in 0..501 {
        let token = s.session(&nina, None).await;
        let found = vitrine_server::identity::sessions::caller(&s.app, &token).await;
        assert!(found.unwrap().is_some());
        sessions.push(token);
    }
    let faulty = Arc::new(AtomicBool::new(true));
    let (app, images, over) = (s.app.clone(), faulty.clone(), stop.clone());
    work.push(tokio::spawn(async move {
        while !over.load(Ordering::Relaxed) {
            let took = if images.load(Ordering::Relaxed) {
                slow
            } else {
                Duration::from_millis(80)
            };
            app.metrics
                .took("vitrine_image_seconds", "stage=\"full\"", Some(took));
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }));
    let (lost, over) = (faulty.clone(), stop.clone());
    let mut line = Line::open_at(&s.addr.to_string(), &data)
        .await
        .welcomed(&device)
        .await;
    let (_, have) = line.fetch("ess:ED", 1).await;
    work.push(tokio::spawn(async move {
        let mut n = 100;
        while !over.load(Ordering::Relaxed) {
            n += 2;
            if lost.load(Ordering::Relaxed) {
                line.fetch("ess:ED", n).await;
                continue;
            }
            let have = Some(have.clone());
            let scope = "ess:ED".to_owned();
            let resume = None;
            line.say(Sub {
                scope,
                n,
                have,
                resume,
            })
            .await;
            while !matches!(line.hear().await, Some(ServerMessage::Current(c)) if c.n == n) {}
        }
    }));
    let fired = prometheus.watch(true, from, Duration::from_secs(60)).await;
    eprintln!("fired after (s): {fired:?}");
    assert_eq!(fired.len(), ALERTS.len(), "after a minute these fired: {fired:?}");

    // Mended.
    for call in ["everything", "card", "read"] {
        s.store.delay_of(call, Duration::ZERO);
    }
    s.store.stall(Vec::new());
    s.app.tree.note(Standing::default());
    s.app.notices.done(untold);
    repository.note(repository::Standing::default());
    for of in [&s.app.waiting.long, &s.app.waiting.overdue] {
        of.store(0, Ordering::Relaxed);
    }
    std::fs::write(&original, &bytes).unwrap();
    std::fs::rename(t.path().join("aside"), &copies[1]).unwrap();
    s.app
        .copies
        .scrub_now(vitrine_server::clock::now())
        .await
        .unwrap();
    faulty.store(false, Ordering::Relaxed);
    for token in sessions.iter().take(20) {
        let out = s
            .http
            .post(s.url("/auth/logout"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(out.status(), 204);
    }
    let from = vitrine_server::clock::steady();
    let cleared = prometheus.watch(false, from, Duration::from_secs(120)).await;
    eprintln!("cleared after (s): {cleared:?}");
    assert_eq!(cleared.len(), ALERTS.len(), "of all these cleared: {cleared:?}");
    stop.store(true, Ordering::Relaxed);
    for w in work {
        w.await.unwrap();
    }
}
