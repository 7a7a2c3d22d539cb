//! The audit log to a repository: our sender against rsyslog over TLS, which is down, comes back, stops in the middle.
//! Nothing may be missing there and the order of each chain is kept. And against a receiver of our own that loses what it took.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::inside::Inside;
use harness::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vitrine_access::chain::Head;
use vitrine_access::{Disclosure, Permit, action, policy};
use vitrine_clinical::DeviceId;
use vitrine_server::cli::acts::operator_request;
use vitrine_server::config::{self, Config, Tls};
use vitrine_server::data_dir::DataDir;
use vitrine_server::keys::Keys;
use vitrine_server::ops::metrics::Metrics;
use vitrine_server::ops::repository::Repository;
use vitrine_store::Store;

fn program() -> Option<&'static str> {
    let found = ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"]
        .into_iter()
        .find(|p| Path::new(p).exists());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "rsyslogd must be there in CI: cargo xtask test installs rsyslog-gnutls"
    );
    if found.is_none() {
        eprintln!("skipped: rsyslogd is not installed (Debian: apt-get install rsyslog-gnutls)");
    }
    found
}

/// A CA, a certificate of localhost and its key, as files.
struct Certificates {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    keys: Keys,
}

fn certificates(folder: &Path) -> Certificates {
    let dir = DataDir::open(folder, true).unwrap();
    let tls = Tls {
        names: vec!["localhost".to_owned()],
        ..Tls::default()
    };
    let keys = Keys::open(&dir, &tls, None).unwrap();
    let der = vitrine_access::tree::note::b64(keys.tls_key.secret_der());
    let lines: Vec<&str> = der
        .as_bytes()
        .chunks(64)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect();
    let key = folder.join("own.key");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    std::fs::write(&key, pem).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Certificates {
        ca: dir.ca_pem(),
        certificate: dir.tls_pem(),
        key,
        keys,
    }
}

/// rsyslog with a configuration of its own; it keeps each message as it came on a line.
struct Rsyslog {
    child: Child,
    folder: PathBuf,
}

impl Rsyslog {
    /// Who sends has to have a certificate of the same CA.
    fn start(program: &str, folder: &Path, port: u16, c: &Certificates) -> Self {
        let at = |name: &str| folder.join(name).display().to_string();
        let text = format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"64k\" parser.escapeControlCharactersOnReceive=\"off\"\n\
             \x20 DefaultNetstreamDriver=\"gtls\" DefaultNetstreamDriverCAFile=\"{}\"\n\
             \x20 DefaultNetstreamDriverCertFile=\"{}\" DefaultNetstreamDriverKeyFile=\"{}\")\n\
             module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.Authmode=\"x509/certvalid\")\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"raw\")\n",
            folder.display(),
            c.ca.display(),
            c.certificate.display(),
            c.key.display(),
            at("out")
        );
        std::fs::write(folder.join("rsyslog.conf"), text).unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("rsyslog.log"))
            .unwrap();
        let child = Command::new(program)
            .args(["-n", "-f", &at("rsyslog.conf"), "-i", &at("pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "rsyslog does not listen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            child,
            folder: folder.to_owned(),
        }
    }

    /// SIGTERM, and its end: it writes down what it has.
    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap();
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "{}",
                std::fs::read_to_string(self.folder.join("rsyslog.log")).unwrap_or_default()
            );
        }
    }
}

/// Numbers of the rows of a chain as they came, one row's messages once.
fn came(folder: &Path, chain: &str) -> Vec<u64> {
    numbers(
        &std::fs::read_to_string(folder.join("out")).unwrap_or_default(),
        chain,
    )
}

fn numbers(text: &str, chain: &str) -> Vec<u64> {
    let mark = format!("ParticipantObjectID=\"{chain}/");
    text.split(&mark)
        .skip(1)
        .filter_map(|l| l.split('"').next()?.parse().ok())
        .collect()
}

/// Waits until every row up to `last` is there, and gives them as they came.
fn whole(folder: &Path, chain: &str, last: u64) -> Vec<u64> {
    let began = Instant::now();
    loop {
        let rows = came(folder, chain);
        let all: BTreeSet<u64> = rows.iter().copied().collect();
        if all == (1..=last).collect() {
            return rows;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "of {last} rows of {chain} {} are there; missing first {:?}",
            all.len(),
            (1..=last).find(|n| !all.contains(n))
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Forward without a gap; back only to where something had been before.
fn in_order(rows: &[u64]) -> usize {
    let mut again = 0;
    assert_eq!(rows.first(), Some(&1));
    for two in rows.windows(2) {
        if two[1] != two[0] + 1 {
            assert!(two[1] <= two[0], "{} came after {}", two[1], two[0]);
            again += 1;
        }
    }
    again
}

async fn rows(s: &Inside, n: usize) {
    for _ in 0..n {
        let permit: Permit<action::OperateServer> = policy::decide(operator_request("test")).unwrap();
        let entry = permit.noted("use", "test & <more>").entry(Disclosure::default());
        s.app.store.append(entry).await.unwrap();
    }
}

async fn last(store: &dyn Store, chain: &str) -> u64 {
    let heads = store.heads().await.unwrap();
    heads.iter().find(|(c, _)| c == chain).unwrap().1.seq
}

async fn device_rows(s: &Inside, id: &DeviceId, head: &mut Head, n: usize) {
    let mut out = Vec::new();
    for _ in 0..n {
        let body = format!("{{\"of\":\"a later program\",\"row\":{}}}", head.seq + 1);
        let prev = head.hash;
        *head = head.after(body.as_bytes());
        out.push(vitrine_access::chain::Row {
            seq: head.seq,
            prev,
            hash: head.hash,
            body,
        });
    }
    s.app.store.accept_device_rows(id, out).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_there_in_order_whatever_becomes_of_the_receiver() {
    let Some(program) = program() else { return };
    let (t, data) = folder();
    let c = certificates(&t.path().join("certificates"));
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let said = config::Repository {
        to: format!("127.0.0.1:{port}"),
        name: "localhost".to_owned(),
        ca: c.ca.display().to_string(),
        certificate: c.certificate.display().to_string(),
        key: c.key.display().to_string(),
    };
    let repository = said.clone();
    let s = Inside::start(&data, |config| config.audit.repository = repository).await;
    let sender = s.app.repository.as_ref().unwrap();
    let store = &*s.app.store;
    let out = t.path().join("rsyslog");
    std::fs::create_dir(&out).unwrap();

    // Nobody is there: rows wait, whoever works does not.
    rows(&s, 40).await;
    assert!(!sender.turn(store).await);
    let standing = sender.standing();
    assert!(
        standing.missing >= 41 && standing.error.unwrap().contains("connecting"),
        "{:?}",
        standing.missing
    );
    assert!(sender.behind_s() > 0.0);

    // It comes: everything, with rows of a workstation that this program does not understand.
    let device = s.device("ed-01", "ED", vec![1; 32]).await;
    let mut head = Head::EMPTY;
    device_rows(&s, &device, &mut head, 30).await;
    let mut receiver = Rsyslog::start(program, &out, port, &c);
    assert!(sender.turn(store).await, "{:?}", sender.standing());
    assert_eq!((sender.standing().missing, sender.behind_s().to_bits()), (0, 0));
    assert_eq!(in_order(&whole(&out, "server", last(store, "server").await)), 0);
    assert_eq!(in_order(&whole(&out, device.as_str(), 30)), 0);

    // It goes and comes back.
    receiver.stop();
    rows(&s, 25).await;
    device_rows(&s, &device, &mut head, 5).await;
    for _ in 0..3 {
        assert!(!sender.turn(store).await);
    }
    assert!(sender.standing().missing >= 30);
    let mut receiver = Rsyslog::start(program, &out, port, &c);
    assert!(sender.turn(store).await, "{:?}", sender.standing());
    in_order(&whole(&out, "server", last(store, "server").await));
    in_order(&whole(&out, device.as_str(), 35));

    // It is stopped again and again in the middle of the work.
    rows(&s, 3_000).await;
    let mut stopped = 0;
    loop {
        let turn = sender.turn(store);
        tokio::pin!(turn);
        let done = tokio::select! {
            done = &mut turn => done,
            () = tokio::time::sleep(Duration::from_millis(150 + 90 * stopped)) => {
                if stopped < 4 {
                    receiver.stop();
                    stopped += 1;
                    let end = turn.await;
                    receiver = Rsyslog::start(program, &out, port, &c);
                    end
                } else {
                    turn.await
                }
            }
        };
        if done && stopped >= 1 {
            break;
        }
        if done {
            rows(&s, 1_000).await;
        }
    }
    let all = whole(&out, "server", last(store, "server").await);
    eprintln!(
        "stopped {stopped} times in the middle, {} times some came again",
        in_order(&all)
    );

    // What is there is known after a start: nothing but the row of the start itself goes out.
    let before = came(&out, "server").len();
    let dir = DataDir::open(&data, false).unwrap();
    let mut config = Config::default();
    config.audit.repository = said;
    let again = Repository::open(&dir, &config, std::sync::Arc::new(Metrics::default()))
        .unwrap()
        .unwrap();
    assert!(again.turn(store).await, "{:?}", again.standing());
    let all = whole(&out, "server", last(store, "server").await);
    assert_eq!(all.len(), before + 1);

    // Others' certificates are not believed, and nothing leaves.
    let strange = certificates(&t.path().join("strange"));
    config.audit.repository.ca = strange.ca.display().to_string();
    let fooled = Repository::open(&dir, &config, std::sync::Arc::new(Metrics::default()))
        .unwrap()
        .unwrap();
    rows(&s, 1).await;
    assert!(!fooled.turn(store).await);
    assert!(fooled.standing().error.unwrap().starts_with("TLS: "));
    receiver.stop();

    // What came is what the standards want.
    let python =
        std::env::var_os("VITRINE_PYTHON").expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/audit_forms.py");
    let judged = Command::new(python)
        .arg(script)
        .arg("--messages")
        .arg(out.join("out"))
        .output()
        .unwrap();
    let words =
        String::from_utf8_lossy(&judged.stdout).into_owned() + &String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success() && words.contains("YES"), "{words}");
}

/// A receiver of our own: what each connection brought, read to its end, and closed in order.
struct Own {
    at: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
    /// The next connection is dropped in the middle.
    cuts: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Own {
    async fn start(at: &str, keys: &Keys) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(keys.chain.clone(), keys.tls_key.clone_key())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let (got, cuts) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, cut) = (got.clone(), cuts.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let Ok(mut tls) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut bytes = Vec::new();
                if cut.swap(false, Ordering::Relaxed) {
                    bytes.resize(1_000, 0);
                    let _ = tls.read_exact(&mut bytes).await;
                    continue;
                }
                if tls.read_to_end(&mut bytes).await.is_ok() {
                    kept.lock().unwrap().push(String::from_utf8(bytes).unwrap());
                    let _ = tls.shutdown().await;
                }
            }
        });
        Self { at, got, cuts, task }
    }

    /// Gone, and with it what it had.
    async fn die(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.at
    }

    fn rows(&self) -> BTreeSet<u64> {
        let got = self.got.lock().unwrap();
        got.iter().flat_map(|text| numbers(text, "server")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_took_and_lost_comes_again() {
    let (t, data) = folder();
    let c = certificates(&t.path().join("certificates"));
    let own = Own::start("127.0.0.1:0", &c.keys).await;
    let (to, ca) = (own.at.to_string(), c.ca.display().to_string());
    let s = Inside::start(&data, |config| {
        config.audit.repository.to = to;
        config.audit.repository.ca = ca;
        config.audit.repository.name = "localhost".to_owned();
    })
    .await;
    let sender = s.app.repository.as_ref().unwrap();
    let store = &*s.app.store;
    rows(&s, 700).await;
    assert!(sender.turn(store).await, "{:?}", sender.standing());
    let first = last(store, "server").await;
    assert_eq!(own.rows(), (1..=first).collect());
    assert_eq!(own.got.lock().unwrap().len(), 2, "500 rows a connection");

    // It dies with what the last connection brought, which it had taken in order.
    let at = own.die().await;
    rows(&s, 3).await;
    assert!(!sender.turn(store).await);
    assert!(
        sender.standing().missing >= first - 500 + 3,
        "what it lost is missing"
    );
    assert!(!sender.turn(store).await);
    let own = Own::start(&at.to_string(), &c.keys).await;
    assert!(sender.turn(store).await, "{:?}", sender.standing());
    let second = last(store, "server").await;
    assert_eq!(own.rows(), (501..=second).collect());

    // One that goes in the middle has taken nothing.
    rows(&s, 900).await;
    own.cuts.store(true, Ordering::Relaxed);
    assert!(!sender.turn(store).await);
    let why = sender.standing().error.unwrap();
    assert!(
        why.contains("sending") || why.contains("read to the end"),
        "{why}"
    );
    assert!(sender.turn(store).await, "{:?}", sender.standing());
    assert_eq!(own.rows(), (501..=last(store, "server").await).collect());

    // A chain that was written anew is sent anew, whole.
    let place = data.join("audit-repository.json");
    let kept = std::fs::read_to_string(&place).unwrap();
    let mut said: serde_json::Value = serde_json::from_str(&kept).unwrap();
    said["sent"]["server"]["hash"] = "00".into();
    std::fs::write(&place, said.to_string()).unwrap();
    own.got.lock().unwrap().clear();
    assert!(sender.turn(store).await, "{:?}", sender.standing());
    assert_eq!(own.rows(), (1..=last(store, "server").await).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_sends_by_itself_and_says_how_it_stands() {
    let (t, data) = folder();
    let c = certificates(&t.path().join("certificates"));
    let own = Own::start("127.0.0.1:0", &c.keys).await;
    std::fs::create_dir_all(&data).unwrap();
    let text = format!(
        "[audit.repository]\nto = \"{}\"\nca = {:?}\nname = \"localhost\"\n",
        own.at, c.ca
    );
    std::fs::write(data.join("vitrine.toml"), text).unwrap();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    let written = s.fhir(&client, "/fhir", placed("p1", "ED").to_string()).await;
    assert_eq!(written.0, 200);
    let has = |what: &str| own.got.lock().unwrap().iter().any(|m| m.contains(what));
    let began = Instant::now();
    while !has("originalText=\"write-clinical\"") || !has("ParticipantObjectID=\"p1\"") {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", own.rows());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said = run_json(&["doctor", "--data", s.dir()]).1;
    let stands = &said["audit"]["repository"];
    assert!(
        stands["error"].is_null() && stands["behind_seconds"].is_number(),
        "{said}"
    );
    // That rows leave is written down once, and is itself among what left.
    let told = s
        .audit()
        .iter()
        .filter(|e| e["notes"]["use"] == "repository")
        .count();
    assert!(told == 1 && has("originalText=\"read-audit\""), "{told}");
}
