//! A private PostgreSQL for tests and benches: its own folder, its own port on loopback, gone when dropped.
//!
//! Lives here: finding the programs, making a cluster, starting and stopping it by its own pid. Never here: what the
//! tests do with it. The programs are looked for in `PG_BIN`, then where Debian puts them (newest first), then on PATH.
//! PostgreSQL refuses to run as root: there it runs as the system's `postgres` user.

use anyhow::{Context, Result, bail, ensure};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A running cluster with one superuser, `vitrine`, and password.
pub struct TestPg {
    bin: PathBuf,
    clients: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
    next: AtomicU32,
}

/// Where the server's programs are.
///
/// # Errors
/// When there is no PostgreSQL: a test that needs one fails, it is never skipped.
pub fn bin() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("PG_BIN") {
        return Ok(PathBuf::from(dir));
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|e| {
            let version = e.as_ref().ok()?.file_name().to_str()?.parse().ok()?;
            let bin = e.ok()?.path().join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .collect();
    found.sort();
    match found.pop() {
        Some((_, bin)) => Ok(bin),
        None => bail!("there is no PostgreSQL: apt-get install postgresql-15, or set PG_BIN"),
    }
}

/// Names the folder with `bin/`, `lib/` and `share/` of PostgreSQL 18.
pub const NEWER: &str = "VITRINE_PG18";

/// A folder for a cluster, of whoever runs it.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("vitrine-pg-").tempdir()?;
    if is_root() {
        run(Command::new("chown").arg("postgres:postgres").arg(folder.path()))?;
    }
    Ok(folder)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// A program of the cluster's, as whoever may run it.
fn as_owner(program: &Path) -> Command {
    if is_root() {
        let mut c = Command::new("setpriv");
        c.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
            .arg(program);
        c
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) -> Result<String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        out.status.success(),
        "{command:?} ended with {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

impl TestPg {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// When a program is missing or refuses.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with further settings (`name=value`).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        Self::make(folder()?, bin()?, settings)
    }

    /// A cluster of the newer version, of the programs in [`NEWER`]; none where that is not set, which CI refuses.
    /// The clients (psql) are the system's.
    ///
    /// # Errors
    /// As [`Self::start`]; when it is not set in CI.
    pub fn start_newer() -> Result<Option<Self>> {
        let Some(programs) = std::env::var_os(NEWER) else {
            ensure!(
                std::env::var_os("CI").is_none(),
                "{NEWER} is not set: it names the folder with bin/ and lib/ of PostgreSQL 18; `cargo xtask test` sets it"
            );
            eprintln!("{NEWER} is not set: not run on PostgreSQL 18");
            return Ok(None);
        };
        let folder = folder()?;
        let programs = if is_root() {
            // Whoever runs the cluster must be able to read them.
            let copy = folder.path().join("programs");
            run(Command::new("cp").arg("-a").arg(&programs).arg(&copy))?;
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(&copy))?;
            copy
        } else {
            PathBuf::from(programs)
        };
        Self::make(folder, programs.join("bin"), &[]).map(Some)
    }

    /// The version of the server, its first number.
    ///
    /// # Errors
    /// When psql refuses.
    pub fn version(&self) -> Result<u32> {
        let number = self.psql("postgres", "SHOW server_version_num")?;
        Ok(number.trim().parse::<u32>()? / 10_000)
    }

    fn make(folder: tempfile::TempDir, bin: PathBuf, settings: &[&str]) -> Result<Self> {
        let data = folder.path().join("data");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "vitrine-test")?;
        if is_root() {
            run(Command::new("chown").arg("postgres:postgres").arg(&secret))?;
        }
        run(as_owner(&bin.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args([
                "-U",
                "vitrine",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
            ])
            .arg(format!("--pwfile={}", secret.display())))?;
        let mut pg = Self {
            bin,
            clients: self::bin()?,
            folder,
            port: free_port()?,
            server: None,
            next: AtomicU32::new(0),
        };
        let mut conf = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n\
             max_connections = 200\nshared_buffers = 128MB\nwal_level = replica\nfsync = on\n\
             log_min_messages = fatal\nmax_prepared_transactions = 4\n",
            pg.port,
            pg.folder.path().display()
        );
        for s in settings {
            conf.push_str(s);
            conf.push('\n');
        }
        let path = data.join("postgresql.auto.conf");
        std::fs::write(&path, conf)?;
        pg.resume()?;
        Ok(pg)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A standby of this cluster that follows it, on a port of its own.
    ///
    /// # Errors
    /// When the copy cannot be made or does not start.
    pub fn standby(&self) -> Result<Self> {
        let folder = folder()?;
        let data = folder.path().join("data");
        run(as_owner(&self.clients.join("pg_basebackup"))
            .env("PGPASSWORD", "vitrine-test")
            .args(["-h", "127.0.0.1", "-U", "vitrine", "-p", &self.port.to_string()])
            .args(["-c", "fast", "-R", "-D"])
            .arg(&data))?;
        let mut standby = Self {
            bin: self.bin.clone(),
            clients: self.clients.clone(),
            port: free_port()?,
            server: None,
            next: AtomicU32::new(0),
            folder,
        };
        let conf = data.join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&conf)?;
        text.push_str(&format!(
            "port = {}\nunix_socket_directories = '{}'\nhot_standby = on\n",
            standby.port,
            standby.folder.path().display()
        ));
        std::fs::write(&conf, text)?;
        standby.resume()?;
        Ok(standby)
    }

    /// Starts the server again after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Errors
    /// When it does not accept connections in time.
    pub fn resume(&mut self) -> Result<()> {
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        let child = as_owner(&self.bin.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting postgres")?;
        self.server = Some(child);
        for _ in 0..600 {
            let ready = Command::new(self.clients.join("pg_isready"))
                // by the socket in its own folder: on the port another server might answer
                .args(["-q", "-U", "vitrine", "-p", &self.port.to_string(), "-h"])
                .arg(self.folder.path())
                .status();
            if ready.is_ok_and(|s| s.success()) {
                return Ok(());
            }
            if let Some(Ok(Some(status))) = self.server.as_mut().map(Child::try_wait) {
                let said = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("postgres ended with {status}: {said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("postgres does not accept connections")
    }

    /// Kills the server at once, as a power cut would end it, and every process of it.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.signal("-QUIT")
    }

    /// Stops the server in an orderly way.
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("-INT")
    }

    fn signal(&mut self, signal: &str) -> Result<()> {
        let Some(mut child) = self.server.take() else {
            return Ok(());
        };
        run(Command::new("kill").args([signal, &child.id().to_string()]))?;
        child.wait()?;
        Ok(())
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://vitrine:vitrine-test@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// The port on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes a new, empty database and gives its URL.
    ///
    /// # Errors
    /// When psql refuses.
    pub fn database(&self) -> Result<String> {
        let name = format!("vitrine_{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs SQL through psql, as somebody else would; gives its output, unaligned.
    ///
    /// # Errors
    /// When psql refuses.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        run(Command::new(self.clients.join("psql"))
            .env("PGPASSWORD", "vitrine-test")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-U",
                "vitrine",
            ])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql]))
    }
}

impl TestPg {
    /// Begins SQL in psql without waiting for it; dropping what is given ends it.
    ///
    /// # Errors
    /// When psql cannot be started.
    pub fn psql_begin(&self, database: &str, sql: &str) -> Result<Running> {
        let child = Command::new(self.clients.join("psql"))
            .env("PGPASSWORD", "vitrine-test")
            .args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-U", "vitrine"])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting psql")?;
        Ok(Running(child))
    }

    /// Looks for words in every file of the cluster; gives `file: word` for each found.
    ///
    /// # Errors
    /// When grep cannot be started.
    pub fn scan(&self, words: &[&str]) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for word in words {
            let out = Command::new("grep")
                .args(["-rlaF", "--", word])
                .arg(self.folder.path())
                .output()
                .context("starting grep")?;
            // 1 = nothing found; 2 = a file that went while it was looked for.
            let lines = String::from_utf8_lossy(&out.stdout).into_owned();
            found.extend(lines.lines().map(|file| format!("{file}: {word}")));
        }
        Ok(found)
    }
}

/// A statement under way.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for TestPg {
    fn drop(&mut self) {
        let _ = self.signal("-QUIT");
    }
}

/// A port that nothing listens on, given once by this process, below those the system hands out by itself: one of these
/// may be taken by any connection, or given to another test, between the look and the bind of whoever was told it.
///
/// # Errors
/// When none is free.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // far from each other by process, since test programs can run side by side
    let first = std::process::id().wrapping_mul(97) % 10_000;
    for _ in 0..10_000 {
        let n = first + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(20_000 + n % 10_000)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 29999 on 127.0.0.1")
}
