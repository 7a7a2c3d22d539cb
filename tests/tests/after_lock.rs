//! What is left in memory after the lock: a core dump of the engine's process, stopped as soon as the lock has returned.
//!
//! A child of this test's own program, with the allocator of the programs that ship, opens a real workstation at a real server,
//! signs in, searches, opens a chart, writes a draft, and locks. Looked for are the keys of the person's records, the
//! password, and every canary that was on the screen. The essentials and the outbox stay open by design, for
//! emergencies: canaries of cards, of audit rows and of drafts may stay; what the lock lets go of there is told.

#![allow(clippy::disallowed_methods)] // what is measured is time

use anyhow::{Context, Result, ensure};
use mimalloc::MiMalloc;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vitrine_engine::keys::{DeviceKey, FileSealer, Slots};
use vitrine_engine::profile::Profile;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::canary::{Finder, Found, Hit, draw};
use vitrine_tests::planted;
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::Station;
use vitrine_wire::entry_view::DraftKind;
use vitrine_wire::view::ChartView;
use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

/// Longest time from the lock to the process being stopped.
const SOON: Duration = Duration::from_millis(100);
/// Longest time of a lock, ms, for half of them: each waits for the disk, and the machine of a test may be busy.
const LOCK: f64 = 100.0;
/// Locks that are timed.
const LOCKS: usize = 50;
const CHILD: &str = "VITRINE_TEST_AFTER_LOCK";

/// What the parent tells its child: profile, user, password, patient, a word of each kind.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    profile: PathBuf,
    user: String,
    password: String,
    patient: String,
    search: String,
    draft: String,
}

/// Not a test of its own: the workstation whose memory is looked at. Does nothing unless the parent asks for it.
#[test]
fn child() -> Result<()> {
    let Some(file) = std::env::var_os(CHILD) else {
        return Ok(());
    };
    // Read anew each time and let go: what the test itself keeps must not be taken for what the engine does.
    let told = || -> Result<Told> { Ok(serde_json::from_slice(&std::fs::read(&file)?)?) };
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let options = Options {
        runtime: Some(rt.handle().clone()),
        ballast_bytes: 0,
        ..Options::default()
    };
    let w = Workstation::open(&told()?.profile, options)?;
    let current = rt.block_on(w.wait_current(Duration::from_secs(120)))?;
    ensure!(current, "not current");
    let mut out = std::io::stdout();
    let mut say = |what: &str| -> Result<()> {
        writeln!(out, "\n#{what}")?;
        out.flush()?;
        // The parent looks, and says when it has.
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(())
    };
    let on_screen = || -> Result<ChartView> {
        let Told {
            user,
            password,
            patient,
            search,
            draft,
            ..
        } = told()?;
        let secret = zeroize::Zeroizing::new(password);
        rt.block_on(w.sign_in(&user, &secret))?;
        rt.block_on(w.settled(Duration::from_secs(30)));
        let from = Instant::now();
        let chart = loop {
            let chart = rt.block_on(w.chart(&patient))?;
            if chart.notes.items.len() >= 3 {
                break chart;
            }
            ensure!(
                from.elapsed() < Duration::from_secs(60),
                "the record does not come"
            );
            std::thread::sleep(Duration::from_millis(50));
        };
        rt.block_on(w.search(&search))?;
        rt.block_on(w.board(None))?;
        let fields = BTreeMap::from([("text".to_owned(), draft.clone())]);
        rt.block_on(w.set_entry_draft(&patient, DraftKind::Note, fields))?;
        Ok(chart)
    };
    let shown = on_screen()?;
    say("shown")?;
    drop(shown);
    w.lock();
    say("locked")?;
    let mut times = Vec::new();
    for _ in 0..LOCKS {
        drop(on_screen()?);
        let from = Instant::now();
        w.lock();
        times.push(from.elapsed().as_secs_f64() * 1_000.0);
    }
    say(&format!("times {}", json!(times)))?;
    ensure!(w.close(Duration::from_secs(10)), "not closed");
    Ok(())
}

/// A child that waits after each thing it did.
struct Watched {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watched {
    fn until(&mut self, what: &str) -> Result<String> {
        for line in self.lines.by_ref() {
            let line = line?;
            if let Some(said) = line.strip_prefix('#')
                && said.starts_with(what)
            {
                return Ok(said.to_owned());
            }
        }
        anyhow::bail!("the workstation ended before it was {what}")
    }

    fn go_on(&mut self) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("stdin")?;
        writeln!(pipe, "on")?;
        Ok(pipe.flush()?)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let done = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()?;
        ensure!(done.success(), "kill {name}");
        Ok(())
    }

    /// An image of its memory.
    fn core(&self, at: &Path) -> Result<PathBuf> {
        let pid = self.child.id().to_string();
        let out = Command::new("gcore")
            .args(["-o", &text(at), &pid])
            .stdin(Stdio::null())
            .output()
            .context("gcore (of gdb: `cargo xtask test` installs it)")?;
        let path = PathBuf::from(format!("{}.{pid}", at.display()));
        ensure!(
            out.status.success() && path.exists(),
            "gcore: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(path)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands around a canary that was found, for whoever has to find out what it was part of.
fn around(core: &Path, hit: &Hit) -> Result<String> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = [0; 240];
    let from = hit.at.saturating_sub(120);
    let got = std::fs::File::open(core)?.read_at(&mut bytes, from)?;
    let text = bytes[..got].escape_ascii();
    Ok(format!("{} as {} at {}: {text}", hit.canary, hit.form, hit.at))
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    vitrine_engine::entropy::hex(bytes).into_bytes()
}

#[test]
fn after_the_lock_no_key_of_a_person_and_nothing_of_a_record_is_in_memory() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let canaries = draw(140)?;
    let (record, rest) = canaries.split_at(100);
    let (essential, rest) = rest.split_at(20);
    let (search, draft, user) = (rest[0].clone(), rest[1].clone(), rest[2].clone());
    let password = format!("{}-Aa1", rest[3]);

    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let patient = seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["ward"] == "ED")
        .and_then(|p| p["id"].as_str())
        .context("a patient of the ED")?
        .to_owned();
    let add = [
        "user",
        "add",
        &user,
        "--role",
        "physician",
        "--ward",
        "ED",
        "--secret-stdin",
        "--data",
        &text(&server.data),
        "--json",
    ];
    run_json("vitrine-server", &add, Some(&format!("{password}\n482915\n")))?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(planted::plant(&server, &patient, record, essential))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;

    let told = Told {
        profile: station.profile.clone(),
        user: user.clone(),
        password: password.clone(),
        patient,
        search: search.clone(),
        draft: draft.clone(),
    };
    let file = dir.path().join("told.json");
    std::fs::write(&file, serde_json::to_vec(&told)?)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, &file)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let mut watched = Watched { child, lines };

    watched.until("shown")?;
    let shown = watched.core(&dir.path().join("shown"))?;
    watched.go_on()?;
    watched.until("locked")?;
    let from = Instant::now();
    // What the lock wrote down is on its way to the server meanwhile.
    std::thread::sleep(SOON * 7 / 10);
    watched.signal("-STOP")?;
    let stopped = from.elapsed();
    ensure!(stopped <= SOON, "stopped only {stopped:?} after the lock");
    let locked = watched.core(&dir.path().join("locked"))?;
    watched.signal("-CONT")?;
    watched.go_on()?;
    let times = watched.until("times")?;
    let mut times: Vec<f64> = serde_json::from_str(times.trim_start_matches("times "))?;
    times.sort_by(f64::total_cmp);
    watched.go_on()?;
    let later = watched.child.wait()?;
    ensure!(later.success(), "the workstation ended with {later}");

    // What its keys are: as only the program itself gets them.
    let profile = Profile::at(&station.profile)?;
    let device = DeviceKey::open(&profile.device_key(), &FileSealer::new(profile.dir()))?;
    let id = profile.read_device()?.context("device.json")?.device;
    let (slots, _) = Slots::open(&profile.slots(), &id, device.dk())?;
    let slot = slots.of(&user).next().context("a slot")?.clone();
    let dek = slots
        .unlock(&slot, &password, device.dk())?
        .context("the slot opens")?;
    let secret = |name: &str, form: &str, bytes: Vec<u8>| (name.to_owned(), form.to_owned(), bytes);
    let secrets = vec![
        secret("R-DEK", "key", dek.bytes().to_vec()),
        secret("R-DEK", "key in hex", hex(dek.bytes())),
        secret("password", "utf-8", password.clone().into_bytes()),
    ];
    let finder = Finder::and(&canaries, secrets)?;
    let look = |core: &Path| -> Result<Found> {
        let mut found = Found::default();
        finder.file(core, &mut found)?;
        Ok(found)
    };
    let (before, after) = (look(&shown)?, look(&locked)?);
    let of_record = |found: &Found| {
        let there = found.canaries();
        record.iter().filter(|w| there.contains(w.as_str())).count()
    };
    // Open by design: an audit row holds what was searched for, a draft what was typed.
    let outbox = [&search, &draft];
    let of_outbox = |found: &Found| {
        let there = found.canaries();
        outbox.iter().filter(|w| there.contains(w.as_str())).count()
    };
    let cards = |found: &Found| {
        let there = found.canaries();
        essential.iter().filter(|w| there.contains(w.as_str())).count()
    };
    eprintln!(
        "{LOCKS} locks: median {:.1} ms, 95 % {:.1} ms, slowest {:.1} ms; stopped {stopped:?} after the lock",
        times[LOCKS / 2],
        times[LOCKS * 95 / 100],
        times[LOCKS - 1]
    );
    eprintln!(
        "on the screen: {} of 100 words of the record, {} of 20 of cards, {} of 2 of the outbox, in {} MiB; after the lock: {}, {} and {}, in {} MiB",
        of_record(&before),
        cards(&before),
        of_outbox(&before),
        before.bytes >> 20,
        of_record(&after),
        cards(&after),
        of_outbox(&after),
        after.bytes >> 20
    );
    // The search can find: while it was on the screen, the record and the key were there.
    ensure!(before.canaries().contains("R-DEK"), "the key was never found");
    // Some of it, titles and authors, no chart shows.
    ensure!(of_record(&before) >= 70, "{}", before.told());
    let left: Vec<&Hit> = after
        .hits
        .iter()
        .filter(|h| !essential.contains(&h.canary) && !outbox.contains(&&h.canary) && h.canary != user)
        .collect();
    let told = left
        .iter()
        .map(|h| around(&locked, h))
        .collect::<Result<Vec<_>>>()?;
    ensure!(told.is_empty(), "after the lock:\n{}", told.join("\n"));
    ensure!(
        times[LOCKS / 2] <= LOCK,
        "half of the locks took {} ms or more",
        times[LOCKS / 2]
    );
    Ok(())
}
