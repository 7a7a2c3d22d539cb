//! What the window leaves of what it showed: in the memory of each of its processes after the lock, and in files.
//!
//! Canaries stand in a patient's record; somebody signs in with a secret that is a canary too, searches, opens the chart and its
//! sections, locks. The memory of every process of the window is read page by page, and every file it may have written. Later the
//! emergency card, with a PIN, the same way. The control is the same look before the lock.

#![allow(clippy::disallowed_methods)] // what is measured is time

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vitrine_desktop_tests::{Bare, kill, shipped_bin};
use vitrine_tests::canary::{Finder, Found, draw};
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::{Person, Station};
use vitrine_tests::{memory, planted};

/// Canaries that only a chart shows, and those that a card shows too.
const RECORD: usize = 100;
const ESSENTIAL: usize = 20;
/// Longest wait for the record to come, or for a page to go.
const WAIT: Duration = Duration::from_secs(60);
/// What X calls what is selected, and what is copied.
const SELECTIONS: [&str; 2] = ["primary", "clipboard"];
/// Tries of what a busy machine can spoil, and how long each is waited for: the first sign-in of a person derives four keys, and
/// whoever types while it is checked types into the screen that comes (seen: more than ten seconds).
const TRIES: usize = 3;
const SOON: Duration = Duration::from_secs(45);
/// What is typed by keys takes turns: two windows with their servers take a machine of two processors for themselves.
static TURN: Mutex<()> = Mutex::new(());
/// Nobody's PIN by chance.
const PIN: &str = "739184620573";

struct World {
    _dir: tempfile::TempDir,
    _server: Server,
    station: Station,
    record: Vec<String>,
    essential: Vec<String>,
    search: String,
    by_secret: Person,
    by_pin: Person,
    mrn: String,
    finder: Finder,
}

async fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let canaries = draw(RECORD + ESSENTIAL + 3)?;
    let (record, rest) = canaries.split_at(RECORD);
    let (essential, rest) = rest.split_at(ESSENTIAL);
    let (user, search, secret) = (rest[0].clone(), rest[1].clone(), format!("{}-Aa1", rest[2]));
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let patient = seed["patients"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["ward"] == "ED")
        .context("a patient of the ED")?;
    let field = |name: &str| {
        patient[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| name.to_owned())
    };
    let data = text(&server.data);
    let add = [
        "user",
        "add",
        &user,
        "--role",
        "nurse",
        "--ward",
        "ED",
        "--secret-stdin",
        "--data",
        &data,
        "--json",
    ];
    run_json("vitrine-server", &add, Some(&format!("{secret}\n{PIN}\n")))?;
    planted::plant(&server, &field("id")?, record, essential).await?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    // Who was here last stands on the lock screen: that name is not looked for.
    let words = record.iter().chain(essential).chain([&search]);
    let words = words.map(|c| (c.as_str(), c.as_str()));
    let secrets = [("the password", secret.as_str()), ("the PIN", PIN)];
    let finder = Finder::and(&[], words.chain(secrets).flat_map(forms).collect())?;
    let person = |pin: &str| Person {
        user: user.clone(),
        password: secret.clone(),
        pin: pin.to_owned(),
    };
    Ok(World {
        by_secret: person(&secret),
        by_pin: person(PIN),
        mrn: field("mrn")?,
        record: record.to_vec(),
        essential: essential.to_vec(),
        search,
        finder,
        _dir: dir,
        _server: server,
        station,
    })
}

/// A word as the web view keeps it: Latin-1, which for these is UTF-8 too, or UTF-16.
fn forms((name, word): (&str, &str)) -> [(String, String, Vec<u8>); 2] {
    let wide = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [("utf-8", word.as_bytes().to_vec()), ("utf-16le", wide)]
        .map(|(form, bytes)| (name.to_owned(), form.to_owned(), bytes))
}

/// What was found in the processes of one kind: `app`, `web`, `network`.
type Look = BTreeMap<&'static str, Found>;

fn kind(name: &str) -> Option<&'static str> {
    match name {
        n if n.starts_with("vitrine") => Some("app"),
        n if n.starts_with("WebKitWebProc") => Some("web"),
        n if n.starts_with("WebKitNetwork") => Some("network"),
        _ => None,
    }
}

impl World {
    fn look(&self, window: &Bare) -> Result<Look> {
        let mut all = Look::from([
            ("app", Found::default()),
            ("web", Found::default()),
            ("network", Found::default()),
        ]);
        for (pid, name) in window.processes()? {
            if let Some(found) = kind(&name).and_then(|kind| all.get_mut(kind)) {
                // One that ends meanwhile has no memory any more.
                let _ = memory::look(&self.finder, pid, &name, found);
            }
        }
        for (kind, found) in &all {
            ensure!(
                found.files > 0 && found.bytes > 0,
                "no process of the kind {kind} was looked into"
            );
        }
        Ok(all)
    }

    /// How many of these words were found, and where, as a line for a person.
    fn told(&self, when: &str, look: &Look) {
        for (kind, found) in look {
            let there = found.canaries();
            let of = |words: &[String]| words.iter().filter(|w| there.contains(w.as_str())).count();
            let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
            for hit in &found.hits {
                places
                    .entry(format!("{} {}", hit.file.display(), hit.form))
                    .or_default()
                    .insert(&hit.canary);
            }
            let places: Vec<String> = places
                .iter()
                .map(|(place, words)| format!("{place}: {}", words.len()))
                .collect();
            eprintln!(
                "{when}: {kind}: {} of {RECORD} of the record, {} of {ESSENTIAL} of cards, search {}, password {}, PIN {}, in {} MiB of {} [{}]",
                of(&self.record),
                of(&self.essential),
                there.contains(self.search.as_str()),
                there.contains("the password"),
                there.contains("the PIN"),
                found.bytes >> 20,
                found.files,
                places.join("; ")
            );
        }
    }

    /// Of the record, as many as one process kind holds.
    fn of_record(&self, found: &Found) -> usize {
        let there = found.canaries();
        self.record.iter().filter(|w| there.contains(w.as_str())).count()
    }

    /// Every file that the window may have written: none holds a canary.
    fn files(&self, window: &Bare) -> Result<()> {
        let mut found = Found::default();
        self.finder.below(window.home(), &mut found)?;
        self.finder.below(&self.station.profile, &mut found)?;
        eprintln!(
            "{} files of {} KiB below the window's folders",
            found.files,
            found.bytes >> 10
        );
        ensure!(found.hits.is_empty(), "in files: {}", found.told());
        Ok(())
    }

    /// Signs in at the lock screen, on which a name may stand already. What comes between, such as a display that
    /// stood still and hands keys on all at once, as a reader does, is met by typing again.
    fn sign_in(&self, window: &mut Bare, who: &Person) -> Result<()> {
        let before = window.marked("signed-in")?;
        for _ in 0..TRIES {
            window.press("ctrl+a")?;
            window.type_text(&who.user)?;
            window.press("Tab")?;
            window.press("ctrl+a")?;
            window.type_text(&who.pin)?;
            window.press("Return")?;
            if window.marked_within("signed-in", before, SOON)? {
                return Ok(());
            }
            window.press("shift+Tab")?;
        }
        bail!("nobody is signed in: {}", window.log()?)
    }

    /// Finds the patient and opens the chart, goes through its sections until the web process has seen most of the record.
    fn work(&self, window: &mut Bare) -> Result<Look> {
        window.type_text(&self.search)?;
        std::thread::sleep(Duration::from_millis(600));
        window.press("ctrl+a")?;
        window.type_text(&self.mrn)?;
        window.press_until("Return", "chart", 0)?;
        let from = Instant::now();
        loop {
            for section in 1..=7 {
                window.press(&format!("ctrl+{section}"))?;
                std::thread::sleep(Duration::from_millis(300));
            }
            let look = self.look(window)?;
            if self.of_record(&look["web"]) >= 70 {
                return Ok(look);
            }
            ensure!(
                from.elapsed() < WAIT,
                "the record never came to the screen: {}",
                look["web"].told()
            );
        }
    }

    /// From the lock screen to the card: the key, a digit, name and PIN, the number, Enter to pick, Enter to show.
    fn break_the_glass(&self, window: &mut Bare) -> Result<()> {
        let (dialogs, cards) = (window.marked("break-glass")?, window.marked("emergency-card")?);
        window.press("ctrl+F12")?;
        window.marks("break-glass", dialogs)?;
        window.type_text("1")?;
        window.press("ctrl+a")?;
        window.type_text(&self.by_pin.user)?;
        window.press("Tab")?;
        window.type_text(&self.by_pin.pin)?;
        window.press("Return")?;
        std::thread::sleep(Duration::from_secs(2));
        window.type_text(&self.mrn)?;
        window.press_until("Return", "emergency-card", cards)
    }

    /// Until the page that worked is gone; gives how long that took.
    fn exchanged(&self, window: &mut Bare, worked: &BTreeSet<u32>, before: usize) -> Result<Duration> {
        let from = Instant::now();
        while web(window)?.intersection(worked).next().is_some() {
            ensure!(from.elapsed() < WAIT, "the page that worked is still there");
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = from.elapsed();
        window.marks("in-front", before)?;
        Ok(took)
    }

    /// The pages that have something of the record in their memory.
    fn worked(&self, window: &Bare) -> Result<BTreeSet<u32>> {
        let mut with = BTreeSet::new();
        for pid in web(window)? {
            let mut found = Found::default();
            memory::look(&self.finder, pid, "web", &mut found)?;
            if !found.hits.is_empty() {
                with.insert(pid);
            }
        }
        Ok(with)
    }

    /// Ends the process of the page in which somebody works, as a crash would.
    fn sign_out_by_death(&self, window: &mut Bare) -> Result<()> {
        window.press("ctrl+1")?;
        let worked = self.worked(window)?;
        let before = window.marked("first-screen")?;
        for pid in &worked {
            kill(*pid)?;
        }
        ensure!(worked.len() == 1, "one page worked: {worked:?}");
        window.marks("first-screen", before)?;
        self.sign_in(window, &self.by_pin)
    }

    /// Nothing was found in the processes that draw. What the C library's allocator keeps in the application is told (ADR 53).
    fn nothing(&self, when: &str, look: &Look) -> Result<()> {
        self.told(when, look);
        for kind in ["web", "network"] {
            let found = &look[kind];
            ensure!(
                found.hits.is_empty(),
                "{when}, in the {kind} process:\n{}",
                found.told()
            );
        }
        Ok(())
    }
}

fn web(window: &Bare) -> Result<BTreeSet<u32>> {
    let all = window.processes()?.into_iter();
    Ok(all
        .filter(|(_, name)| kind(name) == Some("web"))
        .map(|(pid, _)| pid)
        .collect())
}

/// Until a page lies behind the one that is seen, and is painted.
fn behind(window: &Bare) -> Result<()> {
    let from = Instant::now();
    while web(window)?.len() < 2 {
        ensure!(from.elapsed() < WAIT, "no page was loaded behind");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(3));
    let pss: Vec<u64> = web(window)?.into_iter().map(pss_mib).collect();
    eprintln!("the pages take {pss:?} MiB (proportional)");
    Ok(())
}

/// What a process takes of memory, its share of what is shared, MiB; 0 where it has ended.
fn pss_mib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

fn world_now() -> Result<World> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(world())
}

#[test]
fn nothing_that_was_shown_is_left_after_the_lock() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let w = world_now()?;
    let mut window = Bare::start(&shipped_bin(), &w.station.profile)?;
    window.marks("rehearsed", 0)?;
    window.take_keys()?;

    // The search can find: what is on the screen is in the page's process.
    w.sign_in(&mut window, &w.by_secret)?;
    let shown = w.work(&mut window)?;
    w.told("shown", &shown);
    let there = shown["web"].canaries();
    for what in [w.search.as_str(), "the password"] {
        ensure!(
            there.contains(what),
            "{what} was never found in the page's process"
        );
    }
    behind(&window)?;
    let worked = w.worked(&window)?;
    ensure!(worked.len() == 1, "one page worked: {worked:?}");
    // Whatever is copied of the screen goes too.
    window.press("ctrl+f")?;
    window.type_text(&w.mrn)?;
    window.press("ctrl+a")?;
    window.press("ctrl+c")?;
    for selection in SELECTIONS {
        let offered = window.offered(selection)?;
        ensure!(
            offered.as_deref() == Some(w.mrn.as_str()),
            "{selection}: {offered:?}"
        );
    }
    window.strike("ctrl+l")?;
    let took = w.exchanged(&mut window, &worked, 0)?;
    for selection in SELECTIONS {
        ensure!(
            window.offered(selection)?.is_none(),
            "{selection} is still offered"
        );
    }
    eprintln!(
        "the page's process was gone {} ms after the key of the lock",
        took.as_millis()
    );
    w.nothing("locked", &w.look(&window)?)?;
    w.files(&window)?;

    // The card, opened at once on the lock screen that came.
    w.break_the_glass(&mut window)?;
    let shown = w.look(&window)?;
    w.told("card", &shown);
    let there = shown["web"].canaries();
    let cards = w.essential.iter().filter(|c| there.contains(c.as_str())).count();
    ensure!(
        cards >= ESSENTIAL / 2,
        "the card is in the page's process: {cards}"
    );
    let worked = w.worked(&window)?;
    window.press("Escape")?;
    w.exchanged(&mut window, &worked, 1)?;
    w.nothing("closed", &w.look(&window)?)?;
    w.files(&window)?;

    // Signed in again, it works as before.
    w.sign_in(&mut window, &w.by_pin)?;
    window.type_text(&w.mrn)?;
    window.press_until("Return", "chart", 1)?;
    ensure!(window.marked("in-front")? == 2, "nobody's page was exchanged");

    // The page that came dies as the first one would: it is locked, and back.
    behind(&window)?;
    w.sign_out_by_death(&mut window)
}

/// Whenever the key comes after the lock, the dialog for the emergency is there: from the page that was, or from the one that comes.
#[test]
fn an_emergency_right_after_the_lock_loses_no_key() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let w = world_now()?;
    let mut window = Bare::start(&shipped_bin(), &w.station.profile)?;
    window.marks("rehearsed", 0)?;
    window.take_keys()?;
    let mut pages = 0;
    for after in [0, 110, 150, 190, 400] {
        w.sign_in(&mut window, &w.by_pin)?;
        behind(&window)?;
        let dialogs = window.marked("break-glass")?;
        window.press("ctrl+l")?;
        std::thread::sleep(Duration::from_millis(after));
        window.press("ctrl+F12")?;
        window
            .marks("break-glass", dialogs)
            .with_context(|| format!("{after} ms after the lock"))?;
        let now = window.marked("in-front")?;
        let which = if now > pages {
            "the page that came"
        } else {
            "the page that was"
        };
        eprintln!("{after} ms after the lock: {which}");
        // An open dialog stays, whatever time goes by.
        std::thread::sleep(Duration::from_secs(3));
        ensure!(
            window.marked("in-front")? == now,
            "the dialog went {after} ms after the lock"
        );
        window.press("Escape")?;
        // Then the page that was makes room too.
        if now == pages {
            window.marks("in-front", now)?;
        }
        pages = window.marked("in-front")?;
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}
