//! `vitrine-server` as a process of its own.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use vitrine_testpg::free_port;

/// A running server. Ended by SIGKILL when dropped.
pub struct Server {
    child: Option<Child>,
    /// Its data folder.
    pub data: PathBuf,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The line it printed when ready.
    pub ready: Value,
}

impl Server {
    /// Starts a server on a copy of the synthetic hospital's sixty patients in house, which is seeded once a process.
    /// Gives the seed's JSON too (staff, wards, patients worth opening).
    ///
    /// # Errors
    /// When seeding or starting fails.
    pub fn demo(data: &Path) -> Result<(Self, Value)> {
        static SEEDED: Mutex<Option<(tempfile::TempDir, Value)>> = Mutex::new(None);
        let mut seeded = SEEDED.lock().unwrap_or_else(PoisonError::into_inner);
        let (template, seed) = match seeded.take() {
            Some(there) => there,
            None => {
                let template = tempfile::tempdir()?;
                let at = text(&template.path().join("server"));
                let seed = run_json(
                    "vitrine-server",
                    &["demo", "--data", &at, "--patients", "60", "--json"],
                    None,
                )?;
                (template, seed)
            }
        };
        copy(&template.path().join("server"), data)?;
        let answer = seed.clone();
        *seeded = Some((template, seed));
        drop(seeded);
        Ok((Self::start(data, free_port()?)?, answer))
    }

    /// Starts a server on `data` and waits for its ready line.
    ///
    /// # Errors
    /// When it ends before it is ready.
    pub fn start(data: &Path, port: u16) -> Result<Self> {
        Self::start_with(data, port, &[])
    }

    /// The same with further arguments.
    ///
    /// # Errors
    /// When it ends before it is ready.
    pub fn start_with(data: &Path, port: u16, more: &[&str]) -> Result<Self> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(data.with_extension("log"))?;
        let mut child = Command::new(crate::bin("vitrine-server"))
            .args([
                "serve",
                "--data",
                &text(data),
                "--listen",
                &format!("127.0.0.1:{port}"),
            ])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("vitrine-server")?;
        let mut line = String::new();
        let out = child.stdout.take().context("stdout")?;
        BufReader::new(out).read_line(&mut line)?;
        if line.trim().is_empty() {
            let status = child.wait()?;
            let log = std::fs::read_to_string(data.with_extension("log")).unwrap_or_default();
            bail!("the server ended with {status} before it was ready: {log}");
        }
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("ready line {line:?}"))?;
        Ok(Self {
            child: Some(child),
            data: data.to_path_buf(),
            addr: SocketAddr::from(([127, 0, 0, 1], port)),
            ready,
        })
    }

    /// `https://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// Process id, for memory readings.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it as a power cut of the process would: SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut c) = self.child.take() {
            let _ = c.kill();
            let _ = c.wait();
        }
    }

    /// Kills it and starts it again on the same port and data.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        *self = Self::start(&self.data.clone(), self.addr.port())?;
        Ok(())
    }

    /// One-time enrolment code for a ward.
    ///
    /// # Errors
    /// When the command fails.
    pub fn enrol_code(&self, ward: &str) -> Result<Value> {
        run_json(
            "vitrine-server",
            &["enrol", "--data", &text(&self.data), "--ward", ward, "--json"],
            None,
        )
    }

    /// A client token with all system scopes.
    ///
    /// # Errors
    /// When the client cannot be made or the token is refused.
    pub async fn token(&self, http: &reqwest::Client) -> Result<String> {
        let c = run_json(
            "vitrine-server",
            &[
                "client",
                "add",
                "harness",
                "--scope",
                "system/*.cruds",
                "--data",
                &text(&self.data),
                "--json",
            ],
            None,
        )?;
        let id = c["client_id"].as_str().context("client_id")?;
        let secret = c["client_secret"].as_str().context("client_secret")?;
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let answer = http
            .post(format!("{}/auth/token", self.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let v: Value = serde_json::from_slice(&answer.bytes().await?)?;
        ensure!(status.is_success(), "token: {status} {v}");
        Ok(v["access_token"].as_str().context("access_token")?.to_owned())
    }

    /// A client that trusts this server's CA and nothing else.
    ///
    /// # Errors
    /// When the CA cannot be read.
    pub fn http(&self) -> Result<reqwest::Client> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem = std::fs::read(self.data.join("ca.pem")).context("ca.pem")?;
        Ok(reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
            .timeout(Duration::from_secs(60))
            .build()?)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn rss(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most memory it ever had resident, bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_rss(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, what: &str) -> Result<u64> {
        let pid = self.pid().context("the server is not running")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = status
            .lines()
            .find_map(|l| l.strip_prefix(what))
            .and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
            .context("memory of the server")?;
        Ok(kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies a folder with its permissions.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A path as a command's argument.
#[must_use]
pub fn text(p: &Path) -> String {
    p.to_string_lossy().into_owned()
}

/// Gives a second server's folder what makes it one of the same hospital: keys, certificates, which store it is.
///
/// # Errors
/// When a file is missing or cannot be copied.
pub fn copy_identity(from: &Path, to: &Path) -> Result<()> {
    for name in ["ca.pem", "tls.pem", "DEMO", "demo.time", "store"] {
        std::fs::copy(from.join(name), to.join(name)).with_context(|| name.to_owned())?;
    }
    let keys = to.join("keys");
    std::fs::create_dir_all(&keys)?;
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    for entry in std::fs::read_dir(from.join("keys"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), keys.join(entry.file_name()))?;
    }
    Ok(())
}

/// Runs one of our programs.
///
/// # Errors
/// When it cannot be started.
pub fn run(program: &str, args: &[&str], stdin: Option<&str>) -> Result<std::process::Output> {
    let mut child = Command::new(crate::bin(program))
        .args(args)
        .stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| program.to_owned())?;
    if let (Some(words), Some(mut pipe)) = (stdin, child.stdin.take()) {
        pipe.write_all(words.as_bytes())?;
    }
    Ok(child.wait_with_output()?)
}

/// Runs one of our programs and reads the JSON it prints.
///
/// # Errors
/// When it fails or prints no JSON.
pub fn run_json(program: &str, args: &[&str], stdin: Option<&str>) -> Result<Value> {
    let out = run(program, args, stdin)?;
    ensure!(
        out.status.success(),
        "{program} {} ended with {}: {} {}",
        args.join(" "),
        out.status,
        String::from_utf8_lossy(&out.stderr),
        String::from_utf8_lossy(&out.stdout)
    );
    serde_json::from_slice(&out.stdout)
        .with_context(|| format!("{program}: {}", String::from_utf8_lossy(&out.stdout)))
}
