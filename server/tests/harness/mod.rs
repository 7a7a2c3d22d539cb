//! The real server as a process of its own, spoken to over real TLS on loopback.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod browser;
pub mod command;
pub mod images;
pub mod inside;
pub mod line;
pub mod stream;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_vitrine-server");

/// Runs a command of the server to its end.
pub fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Runs a command with `--json` and gives exit code and object.
pub fn run_json(args: &[&str]) -> (i32, Value) {
    let out = run(&[args, &["--json"]].concat());
    let text = String::from_utf8(out.stdout).expect("stdout is text");
    let json = serde_json::from_str(text.trim()).unwrap_or_else(|e| {
        panic!(
            "{args:?} printed {text:?} ({e}); stderr: {}",
            String::from_utf8_lossy(&out.stderr)
        )
    });
    (out.status.code().unwrap_or(-1), json)
}

/// The same, and it must have gone well.
pub fn done(args: &[&str]) -> Value {
    let (exit, json) = run_json(args);
    assert_eq!(exit, 0, "{args:?}: {json}");
    json
}

/// A running server; SIGKILL at the end.
pub struct Server {
    child: Child,
    pub data: PathBuf,
    pub ready: Value,
    pub log: PathBuf,
    http: reqwest::Client,
}

impl Server {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, more: &[&str]) -> Self {
        let log = data.with_extension("log");
        let err = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut child = Command::new(PROGRAM)
            .args([
                "serve",
                "--data",
                data.to_str().unwrap(),
                "--listen",
                "127.0.0.1:0",
            ])
            .args(if more.contains(&"--metrics") {
                &[][..]
            } else {
                &["--metrics", "off"]
            })
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err)
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| {
            panic!(
                "ready line {line:?} ({e}); log: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        });
        let http = client(data);
        Self {
            child,
            data: data.to_owned(),
            ready,
            log,
            http,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready["url"].as_str().unwrap())
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn dir(&self) -> &str {
        self.data.to_str().unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// A bearer token of a new client.
    pub async fn client_token(&self, scope: &str) -> String {
        let c = done(&["client", "add", "t", "--scope", scope, "--data", self.dir()]);
        let (id, secret) = (
            c["client_id"].as_str().unwrap(),
            c["client_secret"].as_str().unwrap(),
        );
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let answer = self
            .post("/auth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        json_of(answer).await["access_token"].as_str().unwrap().to_owned()
    }

    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path))
    }
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(self.url(path))
    }
    pub fn put(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.put(self.url(path))
    }

    /// Posts FHIR JSON.
    pub async fn fhir(&self, token: &str, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = self
            .post(path)
            .bearer_auth(token)
            .header("content-type", "application/fhir+json")
            .body(body);
        let answer = answer.send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    }

    /// Enrols a workstation.
    pub async fn enrol(&self, ward: &str, more: &[&str]) -> Device {
        let code = done(&[&["enrol", "--ward", ward, "--data", self.dir()], more].concat());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let body = json!({"code": code["code"], "name": "test station", "public_key": hex(key.public_key().as_ref())});
        let answer = self.post("/enrol").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let said = json_of(answer).await;
        Device {
            id: said["device"].as_str().unwrap().to_owned(),
            server_key: unhex(said["server_key"].as_str().unwrap()),
            key: Arc::new(key),
        }
    }

    /// Signs a person in at a workstation.
    pub async fn login(&self, device: &Device, user: &str, secret: &str) -> (u16, Value) {
        let at_ms = now_ms();
        let body = json!({"user": user, "secret": secret, "device": device.id, "at_ms": at_ms,
            "signature": device.login_signature(user, at_ms)});
        let answer = self.post("/auth/login").json(&body).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    }

    /// The audit rows, newest last, decoded.
    pub fn audit(&self) -> Vec<Value> {
        let to = self.data.with_extension(format!("audit-{}", now_ms()));
        done(&[
            "audit",
            "export",
            "--data",
            self.dir(),
            "--to",
            to.to_str().unwrap(),
        ]);
        let text = std::fs::read_to_string(&to).unwrap();
        text.lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["entry"].clone())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An enrolled workstation.
#[derive(Clone)]
pub struct Device {
    pub id: String,
    pub server_key: Vec<u8>,
    pub key: Arc<Ed25519KeyPair>,
}

impl Device {
    pub fn sign(&self, message: &[u8]) -> String {
        hex(self.key.sign(message).as_ref())
    }
    pub fn login_signature(&self, user: &str, at_ms: i64) -> String {
        let message = [
            b"vitrine-login",
            user.as_bytes(),
            &[0],
            self.id.as_bytes(),
            &at_ms.to_be_bytes(),
        ]
        .concat();
        self.sign(&message)
    }
}

/// An HTTP client that trusts the folder's CA and nothing else.
pub fn client(data: &Path) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = std::fs::read(data.join("ca.pem")).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .timeout(std::time::Duration::from_secs(60))
        .build()
        .unwrap()
}

pub async fn json_of(answer: reqwest::Response) -> Value {
    let bytes = answer.bytes().await.unwrap();
    if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).unwrap()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// The server's audit row of a workstation's grant that came in at a moment.
pub fn received(grant: &vitrine_access::Grant, at: vitrine_clinical::UtcMs) -> vitrine_access::AuditEntry {
    use vitrine_access::{Actor, AuditEntry, Decision, Disclosure, Purpose};
    AuditEntry {
        access_id: grant.id,
        at,
        actor: Actor::User(grant.user.clone()),
        device: grant.device.clone(),
        action: "receive-grant".to_owned(),
        purpose: Purpose::Operations,
        decision: Decision::Permit,
        rule: "uploaded".to_owned(),
        grant: Some(grant.id),
        patient: Some(grant.patient.clone()),
        disclosure: Disclosure::default(),
        notes: std::collections::BTreeMap::new(),
    }
}

pub fn now_ms() -> i64 {
    vitrine_server::clock::now().0
}

/// A folder that goes away.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let t = tempfile::tempdir().unwrap();
    let data = t.path().join("data");
    (t, data)
}

/// A folder of the shared corpora; `None` (said aloud) when it is not there and this is not CI.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let mut at = std::env::current_dir().unwrap();
    while at.pop() {
        let path = at.join("shared/data").join(name);
        if path.exists() {
            return Some(path);
        }
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "shared/data/{name} must be there in CI"
    );
    eprintln!("skipped: shared/data/{name} is not beside the project");
    None
}

/// A small, valid patient.
pub fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "active": true,
        "identifier": [{"system": "urn:test:mrn", "value": format!("mrn-{id}")}],
        "name": [{"family": "Testperson", "given": ["Una"]}], "birthDate": "1970-03-01"})
}

/// A ward, a bed in it and an encounter there.
pub fn placed(patient: &str, ward: &str) -> Value {
    let physical = |code: &str| json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": code}]});
    let put = |r: Value| {
        let url = format!(
            "{}/{}",
            r["resourceType"].as_str().unwrap(),
            r["id"].as_str().unwrap()
        );
        json!({"resource": r, "request": {"method": "PUT", "url": url}})
    };
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        put(json!({"resourceType": "Location", "id": ward, "name": ward, "mode": "instance", "physicalType": physical("wa")})),
        put(json!({"resourceType": "Location", "id": format!("{ward}-1"), "name": "1", "mode": "instance",
            "physicalType": physical("bd"), "partOf": {"reference": format!("Location/{ward}")}})),
        put(self::patient(patient)),
        put(json!({"resourceType": "Encounter", "id": format!("{patient}-enc"), "status": "in-progress",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "subject": {"reference": format!("Patient/{patient}")},
            "location": [{"status": "active", "location": {"reference": format!("Location/{ward}-1")}}]})),
    ]})
}

/// A lab result.
pub fn observation(id: Option<&str>, patient: &str, value: &str) -> String {
    let id = id.map(|i| format!("\"id\":\"{i}\",")).unwrap_or_default();
    format!(
        "{{\"resourceType\":\"Observation\",{id}\"status\":\"final\",\"code\":{{\"coding\":[{{\"system\":\"http://loinc.org\",\"code\":\"2823-3\"}}]}},\"subject\":{{\"reference\":\"Patient/{patient}\"}},\"effectiveDateTime\":\"2026-11-20T10:00:00Z\",\"valueQuantity\":{{\"value\":{value},\"unit\":\"mmol/L\"}}}}"
    )
}
