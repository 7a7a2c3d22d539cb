//! Whoever has to hear of broken glass is told by mail within five seconds, by a mail server that is not ours.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vitrine_wire::message::{GrantUp, ServerMessage};

const HOUR: i64 = 3_600_000;
/// The bound of the notice.
const FIVE: Duration = Duration::from_secs(5);

/// aiosmtpd with a certificate of its own authority; stopped at the end.
struct Mail {
    child: Option<Child>,
    args: Vec<String>,
    dir: PathBuf,
    port: u16,
}

impl Mail {
    fn new(dir: &Path, kind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        authority(dir, "mail");
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/mail.py");
        let args = [
            script.to_str().unwrap().to_owned(),
            port.to_string(),
            kind.to_owned(),
            path("mail.pem"),
            path("mail.key"),
            "vitrine".to_owned(),
            "mail password".to_owned(),
            path("mails"),
        ];
        let mut new = Self {
            child: None,
            args: args.to_vec(),
            dir: dir.to_owned(),
            port,
        };
        new.start();
        new
    }

    fn start(&mut self) {
        let python = std::env::var_os("VITRINE_PYTHON")
            .expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it");
        let mut child = Command::new(python)
            .args(&self.args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        self.child = Some(child);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn refuse(&self, on: bool) {
        let flag = self.dir.join("mails.refuse");
        if on {
            std::fs::write(flag, "").unwrap();
        } else {
            std::fs::remove_file(flag).unwrap();
        }
    }

    fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("mails")).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// Waits for so many mails in all.
    async fn wait(&self, n: usize, most: Duration) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let mails = self.mails();
            if mails.len() >= n {
                assert_eq!(mails.len(), n, "{mails:?}");
                return mails;
            }
            assert!(began.elapsed() < most, "{} of {n} mails: {mails:?}", mails.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A configuration of the server with this mail server.
    fn config(&self, name: &str, more: &str) -> String {
        let secret = self.dir.join("mail.secret");
        std::fs::write(&secret, "vitrine\nmail password\n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let file = self.dir.join(name);
        let text = format!(
            "[listen]\npublic_url = \"https://vitrine.example\"\nmetrics = \"127.0.0.1:0\"\n[notice]\n\
             server = \"127.0.0.1:{}\"\nca = {:?}\ncredentials = {secret:?}\n\
             from = \"Vitrine <vitrine@hospital.example>\"\nto = [\"privacy@hospital.example\"]\n{more}\n\
             [[notice.ward]]\nward = \"ICU\"\nto = [\"gone@hospital.example\", \"icu@hospital.example\"]\n",
            self.port,
            self.dir.join("mail-ca.pem"),
        );
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An authority and a certificate of 127.0.0.1 by it: `NAME-ca.pem`, `NAME.pem`, `NAME.key`.
fn authority(dir: &Path, name: &str) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, name);
    let ca_key = KeyPair::generate().unwrap();
    let ca_cert = ca.clone().self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let mut params = CertificateParams::default();
    params
        .subject_alt_names
        .push(SanType::IpAddress([127, 0, 0, 1].into()));
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join(format!("{name}-ca.pem")), ca_cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn grant(device: &Device, user: &str, ago_h: i64) -> Value {
    let at = now_ms() - ago_h * HOUR;
    json!({"id": vitrine_server::clock::new_uuid(), "user": user, "device": device.id, "patient": "p3",
        "reason": "life-threatening", "words": null, "at": at, "until": at + 4 * HOUR, "offline": true})
}

async fn sent(line: &mut line::Line, grant: &Value) {
    line.say(GrantUp {
        grant: serde_json::value::RawValue::from_string(grant.to_string()).unwrap(),
        after: None,
    })
    .await;
    assert!(matches!(line.hear().await, Some(ServerMessage::GrantAck(a)) if a.id == grant["id"]));
}

fn shown(dir: &str, id: &Value) -> Value {
    let (code, shown, said) = command::with_secret(
        dir,
        &["review", "show", id.as_str().unwrap(), "--by", "pia"],
        &command::password("pia"),
    );
    assert_eq!(code, 0, "{said}");
    shown
}

async fn behind(s: &Server) -> f64 {
    let url = format!("http://{}/metrics", s.ready["metrics"].as_str().unwrap());
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let line = text
        .lines()
        .find(|l| l.starts_with("vitrine_notice_behind_seconds"))
        .unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn hospital(s: &Server) -> Device {
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p3", "ICU").to_string()).await.0,
        200
    );
    command::add_user(s.dir(), "nina", "nurse");
    command::add_user(s.dir(), "pia", "privacy-officer");
    s.enrol("ED", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_privacy_officer_and_the_patient_s_ward_are_told_within_five_seconds() {
    let (t, data) = folder();
    let mail = Mail::new(t.path(), "implicit");
    let config = mail.config("vitrine.toml", "");
    let s = Server::start_with(&data, &["--config", &config, "--metrics", "127.0.0.1:0"]);
    let device = hospital(&s).await;
    let mut line = line::Line::enrolled(&s, &device).await;
    let fresh = grant(&device, "nina", 0);
    sent(&mut line, &fresh).await;
    let acknowledged = now_ms();
    let mails = mail.wait(2, FIVE).await;
    let took = mails[1]["at_ms"].as_i64().unwrap() - acknowledged;
    assert!(took < 5_000, "{took} ms");
    // An address that is not there keeps nobody else from hearing of it, and is not among those that were told.
    assert_eq!(mails[0]["to"], json!(["privacy@hospital.example"]));
    assert_eq!(mails[1]["to"], json!(["icu@hospital.example"]));
    assert_eq!(mails[0]["id"], mails[1]["id"]);
    let text = mails[0]["text"].as_str().unwrap();
    for words in [
        "nina",
        "test station, ED",
        "life-threatening, no words yet",
        "Ward of the patient: ICU",
        &format!(
            "https://vitrine.example/console/#reviews/{}",
            fresh["id"].as_str().unwrap()
        ),
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert_eq!(mails[0]["subject"], "Emergency access: ED");
    // The patient is named nowhere in it; what is drawn by lot (the boundary, the number of the access) may spell anything.
    let raw = mails[0]["raw"].as_str().unwrap();
    let raw = raw.replace("=\r\n", "").replace("=\n", "");
    let boundary = raw.split("boundary=\"").nth(1).and_then(|b| b.split('"').next());
    let raw = raw
        .replace(boundary.expect("a boundary"), "")
        .replace(fresh["id"].as_str().unwrap(), "");
    for name in ["p3", "Testperson", "Una", "1970"] {
        assert!(!raw.contains(name), "{name} in {raw}");
    }
    // It stands in the history of the review, and in the audit log.
    let told = json!(["privacy@hospital.example", "icu@hospital.example"]);
    let history = shown(s.dir(), &fresh["id"])["history"].clone();
    let notified = &history[0];
    assert_eq!(
        (&notified["did"], &notified["level"], &notified["to"]),
        (&json!("notified"), &json!(0), &told)
    );
    let row = s
        .audit()
        .into_iter()
        .find(|r| r["notes"]["use"] == "notify")
        .unwrap();
    assert_eq!(
        row["notes"]["to"],
        "privacy@hospital.example icu@hospital.example"
    );
    assert_eq!(row["grant"], fresh["id"]);
    // Sent up again, it is told once; and the broken glass at the server's own API is told too.
    sent(&mut line, &fresh).await;
    let late = grant(&device, "nina", 30);
    sent(&mut line, &late).await;
    let mails = mail.wait(4, FIVE).await;
    assert!(
        mails[2]["text"]
            .as_str()
            .unwrap()
            .contains("late: its workstation had no network")
    );
    assert!(behind(&s).await == 0.0);
    let (_, report) = run_json(&["doctor", "--data", s.dir()]);
    assert_eq!(report["mail"]["error"], Value::Null, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_the_mail_server_is_away_refuses_or_this_server_dies() {
    let (t, data) = folder();
    let mut mail = Mail::new(t.path(), "starttls");
    let config = mail.config("vitrine.toml", "tls = \"starttls\"\nlanguage = \"de\"");
    let mut s = Server::start_with(&data, &["--config", &config, "--metrics", "127.0.0.1:0"]);
    let device = hospital(&s).await;
    let mut line = line::Line::enrolled(&s, &device).await;
    mail.refuse(true);
    let first = grant(&device, "nina", 0);
    sent(&mut line, &first).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(behind(&s).await > 0.0);
    mail.stop();
    mail.refuse(false);
    let second = grant(&device, "nina", 21);
    sent(&mut line, &second).await;
    let (_, report) = run_json(&["doctor", "--data", s.dir()]);
    assert!(
        report["faults"]
            .to_string()
            .contains("nobody is told of broken glass"),
        "{report}"
    );
    // The clock escalates the second meanwhile; then this server dies.
    let began = Instant::now();
    while shown(s.dir(), &second["id"])["level"] != 2 {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    s.kill();
    drop(line);
    assert_eq!(mail.mails(), Vec::<Value>::new());
    mail.start();
    let s = Server::start_with(&data, &["--config", &config, "--metrics", "127.0.0.1:0"]);
    let mails = mail.wait(4, Duration::from_secs(15)).await;
    let of = |id: &Value| {
        let id = id.as_str().unwrap();
        mails
            .iter()
            .find(|m| m["id"].as_str().unwrap().contains(id))
            .unwrap()
    };
    assert_eq!(of(&first["id"])["subject"], "Notfallzugriff: ED");
    // Of the highest level, not of each.
    assert_eq!(
        of(&second["id"])["subject"],
        "Notfallzugriff noch nicht geprüft: ED"
    );
    assert!(
        of(&second["id"])["text"]
            .as_str()
            .unwrap()
            .contains("Stufe 2 von 3")
    );
    let began = Instant::now();
    while behind(&s).await > 0.0 {
        assert!(began.elapsed() < FIVE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Once is enough, also after another restart.
    drop(s);
    let s = Server::start_with(&data, &["--config", &config, "--metrics", "127.0.0.1:0"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mail.mails().len(), 4);
    drop(s);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_cannot_prove_itself_gets_nothing() {
    let (t, data) = folder();
    let mail = Mail::new(t.path(), "implicit");
    authority(t.path(), "other");
    let config = mail.config("vitrine.toml", "");
    let text = std::fs::read_to_string(&config).unwrap();
    for (was, is, words) in [
        ("mail-ca.pem", "other-ca.pem", "certificate"),
        ("mail.secret", "other.secret", "uthentication"),
    ] {
        std::fs::write(t.path().join("other.secret"), "vitrine\nanother\n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(
                t.path().join("other.secret"),
                std::fs::Permissions::from_mode(0o600),
            )
            .unwrap();
        }
        std::fs::write(&config, text.replace(was, is)).unwrap();
        let data = data.with_extension(is);
        let s = Server::start_with(&data, &["--config", &config, "--metrics", "127.0.0.1:0"]);
        let device = hospital(&s).await;
        let mut line = line::Line::enrolled(&s, &device).await;
        sent(&mut line, &grant(&device, "nina", 0)).await;
        let (_, report) = run_json(&["doctor", "--data", s.dir()]);
        let error = report["mail"]["error"].to_string();
        assert!(error.contains(words), "{is}: {error}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(mail.mails(), Vec::<Value>::new(), "{is}");
        assert!(behind(&s).await > 0.0);
    }
}
