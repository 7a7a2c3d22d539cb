//! Badges and the provider as the way in, with the real programs: enrolled at the server, known at the workstation without it,
//! lost and taken away; and what is open while the provider answers, while it does not, and while the server is gone.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vitrine_tests::server::{Server, run, run_json, text};
use vitrine_tests::station::{Person, Station, person};

const NUMBER: &str = "04:A1:B2:C3:D4:E5:80";

struct World {
    _dir: tempfile::TempDir,
    server: Server,
    station: Station,
    nurse: Person,
    other: Person,
    patient: String,
}

fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let (nurse, other) = (person(&seed, "nurse", "ED")?, person(&seed, "physician", "ED")?);
    let board = station.first_board(&nurse)?;
    let patient = board["rows"][0]["patient"]
        .as_str()
        .context("a patient")?
        .to_owned();
    station.cli(&["lock"], None)?;
    Ok(World {
        _dir: dir,
        server,
        station,
        nurse,
        other,
        patient,
    })
}

impl World {
    fn badge(&self, act: &str, who: &Person, number: &str) -> Result<Value> {
        let args = [
            "user",
            "badge",
            act,
            &who.user,
            "--data",
            &text(&self.server.data),
            "--json",
        ];
        run_json("vitrine-server", &args, Some(&format!("{number}\n")))
    }

    /// `vitrine-cli login --badge`: exit code and what it said.
    fn login(&self, number: &str, pin: &str) -> Result<(i32, String)> {
        let _ = self.station.cli(&["lock"], None);
        let words = format!("{number}\n{pin}\n");
        self.said(&["login", "--badge", "--secret-stdin"], &words)
    }

    fn by_pin(&self, who: &Person) -> Result<(i32, String)> {
        let _ = self.station.cli(&["lock"], None);
        let words = format!("{}\n", who.pin);
        self.said(&["login", "--user", &who.user, "--secret-stdin"], &words)
    }

    /// A run of `vitrine-cli`, whatever comes of it.
    fn said(&self, args: &[&str], stdin: &str) -> Result<(i32, String)> {
        let profile = text(&self.station.profile);
        let mut all = vec!["--profile", profile.as_str(), "--json"];
        all.extend(args);
        let out = run("vitrine-cli", &all, Some(stdin))?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        Ok((out.status.code().unwrap_or(-1), said))
    }

    /// The rows of sign-ins in every chain the server holds: rule, way and why it was open.
    fn rows(&self) -> Result<Vec<(String, String, String)>> {
        self.station.sync()?;
        let args = [
            "audit",
            "find",
            "--action",
            "sign-in",
            "--limit",
            "1000",
            "--data",
            &text(&self.server.data),
            "--json",
        ];
        let found = run_json("vitrine-server", &args, None)?;
        let rows = found["rows"].as_array().with_context(|| found.to_string())?;
        let word = |v: &Value| v.as_str().unwrap_or("-").to_owned();
        let note = |r: &Value, name: &str| {
            let notes = r["notes"].as_array().into_iter().flatten();
            let found = notes
                .filter(|n| n["name"] == name)
                .map(|n| word(&n["value"]))
                .next();
            found.unwrap_or_else(|| "-".to_owned())
        };
        Ok(rows
            .iter()
            .map(|r| (word(&r["rule"]), note(r, "way"), note(r, "because")))
            .collect())
    }

    fn restart_with(&mut self, config: &str) -> Result<()> {
        std::fs::write(self.server.data.join("vitrine.toml"), config)?;
        self.server.restart()
    }
}

#[test]
fn a_badge_is_enrolled_used_offline_lost_and_refused() -> Result<()> {
    let mut w = world()?;
    let (exit, said) = w.login(NUMBER, &w.nurse.pin)?;
    ensure!(
        exit == 6 && said.contains("not known here"),
        "before it is enrolled: {exit} {said}"
    );
    let added = w.badge("add", &w.nurse, NUMBER)?;
    ensure!(
        added["badges"] == 1 && added["badge"].as_str().is_some_and(|b| b.len() == 8),
        "{added}"
    );
    for (who, number, why) in [
        (&w.other, NUMBER, "first"),
        (&w.nurse, "04a1b2c3d4e580", "already"),
        (&w.other, "8018950110153000120002", "patient"),
        (&w.other, "x", "code"),
    ] {
        let args = ["user", "badge", "add", &who.user, "--data", &text(&w.server.data)];
        let out = run("vitrine-server", &args, Some(&format!("{number}\n")))?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(
            out.status.code() == Some(2) && said.contains(why),
            "{number} {why}: {said}"
        );
    }
    w.station.sync()?;

    // As any reader writes the number; the PIN alone opens.
    for number in [NUMBER, "04a1b2c3d4e580", ";04A1B2C3D4E580?"] {
        let (exit, said) = w.login(number, &w.nurse.pin)?;
        ensure!(
            exit == 0 && said.contains(&w.nurse.user) && said.contains("\"offline\":false"),
            "{said}"
        );
    }
    let (exit, said) = w.login(NUMBER, &w.other.pin)?;
    ensure!(exit == 6 && said.contains("wrong"), "somebody else's PIN: {said}");
    let ways = w.rows()?;
    let both = ways.iter().filter(|(_, way, _)| way == "badge+pin").count();
    ensure!(both >= 6, "at the workstation and at the server: {ways:?}");

    // The server is dead: badge and PIN open, within two seconds of a program that is started anew each time.
    w.server.kill();
    let began = Instant::now();
    let (exit, said) = w.login(NUMBER, &w.nurse.pin)?;
    ensure!(exit == 0 && said.contains("\"offline\":true"), "{exit} {said}");
    eprintln!(
        "a program, a badge and a PIN without the server: {:?}",
        began.elapsed()
    );

    // Lost: the server refuses it at once, the workstation with the next list.
    w.server.restart()?;
    w.badge("remove", &w.nurse, NUMBER)?;
    w.station.sync()?;
    let (exit, said) = w.login(NUMBER, &w.nurse.pin)?;
    ensure!(exit == 6 && said.contains("not known here"), "{exit} {said}");
    let (exit, said) = w.by_pin(&w.nurse)?;
    ensure!(exit == 0, "by name they still sign in: {said}");
    // Nobody's number, of all that the server and the workstation keep, lies there in clear.
    for folder in [&w.server.data, &w.station.profile] {
        ensure!(!holds(folder, b"04A1B2C3D4E580")?, "{}", folder.display());
    }
    Ok(())
}

/// Whether a file below holds this.
fn holds(folder: &Path, words: &[u8]) -> Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if holds(&path, words)? {
                return Ok(true);
            }
        } else if path.is_file() && std::fs::read(&path)?.windows(words.len()).any(|w| w == words) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a provider publishes, and nothing more: nobody signs in by it here.
struct Published {
    at: SocketAddr,
    up: Arc<AtomicBool>,
}

impl Published {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        let up = Arc::new(AtomicBool::new(true));
        let answers = Arc::clone(&up);
        std::thread::spawn(move || {
            let body = format!(
                "{{\"issuer\":\"http://{at}\",\"authorization_endpoint\":\"http://{at}/a\",\"token_endpoint\":\"http://{at}/t\",\"jwks_uri\":\"http://{at}/k\"}}"
            );
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { continue };
                if !answers.load(Ordering::SeqCst) {
                    continue;
                }
                let mut asked = [0; 2048];
                let _ = socket.read(&mut asked);
                let _ = write!(
                    socket,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Ok(Self { at, up })
    }
}

/// Until it is so, at most a while.
fn until(what: &str, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(40);
    while !so()? {
        ensure!(Instant::now() < end, "{what}: not within a while");
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

#[test]
fn the_lower_ways_are_refused_while_the_provider_answers_and_open_in_their_order_while_it_does_not()
-> Result<()> {
    let mut w = world()?;
    w.badge("add", &w.nurse, NUMBER)?;
    let provider = Published::start()?;
    w.restart_with(&format!(
        "[oidc]\nissuer = \"http://{}\"\nclient_id = \"vitrine\"\nname = \"Hospital ID\"\nrequire = true\n",
        provider.at
    ))?;
    w.station.sync()?;

    // It answers: neither badge and PIN nor the PIN, known here or not.
    for (exit, said) in [
        w.login(NUMBER, &w.nurse.pin)?,
        w.by_pin(&w.nurse)?,
        w.by_pin(&w.other)?,
    ] {
        ensure!(exit == 6 && said.contains("Hospital ID"), "{exit} {said}");
    }
    // An emergency is not asked about it.
    w.station.emergency(&w.patient, &w.nurse)?;

    // It does not: both are open, and their rows say which it was.
    provider.up.store(false, Ordering::SeqCst);
    until("the server notices that it is gone", || {
        Ok(w.login(NUMBER, &w.nurse.pin)?.0 == 0)
    })?;
    ensure!(w.by_pin(&w.nurse)?.0 == 0, "the PIN alone");
    // The server is gone too.
    w.server.kill();
    ensure!(w.login(NUMBER, &w.nurse.pin)?.0 == 0, "without the server");
    ensure!(w.by_pin(&w.nurse)?.0 == 0, "the PIN alone, without the server");
    w.station.emergency(&w.patient, &w.nurse)?;

    // Both are back: closed again.
    provider.up.store(true, Ordering::SeqCst);
    w.server.restart()?;
    until("the server notices that it is back", || {
        let (exit, said) = w.by_pin(&w.nurse)?;
        Ok(exit == 6 && said.contains("Hospital ID"))
    })?;
    let rows = w.rows()?;
    // At the workstation by its own words (`own-key`, `staff-list-pin`), at the server by which secret it was (`pin`).
    for (at_server, way, because) in [
        (false, "badge+pin", "provider-down"),
        (false, "pin", "provider-down"),
        (true, "badge+pin", "provider-down"),
        (true, "pin", "provider-down"),
        (false, "badge+pin", "server-away"),
        (false, "pin", "server-away"),
    ] {
        let is = |(rule, w, b): &&(String, String, String)| {
            (rule == "pin") == at_server && w == way && b == because
        };
        ensure!(
            rows.iter().any(|r| is(&r)),
            "no row {way}, {because} (server: {at_server}) among {rows:?}"
        );
    }
    ensure!(
        rows.iter().any(|(rule, ..)| rule == "provider-answers"),
        "{rows:?}"
    );

    // And in others' forms.
    for form in ["balp", "atna"] {
        let args = [
            "audit",
            "find",
            "--action",
            "sign-in",
            "--format",
            form,
            "--data",
            &text(&w.server.data),
            "--json",
        ];
        let out = run("vitrine-server", &args, None)?;
        let said = String::from_utf8_lossy(&out.stdout);
        ensure!(
            out.status.success() && said.contains("note:way"),
            "{form}: {said}"
        );
    }
    Ok(())
}
