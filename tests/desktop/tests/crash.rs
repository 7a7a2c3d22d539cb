//! F-32: the web view's process dies. The window comes back at the lock screen within three seconds, nobody's chart with it, and
//! what was typed of a note is kept.

#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use vitrine_desktop_tests::act::{open_chart, sign_in};
use vitrine_desktop_tests::{Bare, CTRL, Desktop, SHIFT, automation_bin, kill, shipped_bin, web_process_of};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person, showcase};

/// Within this it is back.
const BACK: Duration = Duration::from_secs(3);
/// Deaths; all fifty where `VITRINE_WEB_KILLS` says so.
const KILLS: usize = 8;

#[test]
fn a_web_view_that_dies_comes_back_each_time() -> Result<()> {
    let kills = std::env::var("VITRINE_WEB_KILLS").map_or(Ok(KILLS), |n| n.parse())?;
    let profile = tempfile::tempdir()?;
    let mut window = Bare::start(&shipped_bin(), profile.path())?;
    window.marks("first-screen", 0)?;
    let mut slowest = Duration::ZERO;
    for n in 1..=kills {
        let died = window.web_process()?;
        kill(died)?;
        let took = window.marks("first-screen", n)?;
        ensure!(window.web_process()? != died, "it is another process");
        slowest = slowest.max(took);
        ensure!(took <= BACK, "death {n}: back after {took:?}");
        // Five at once are a page that fails at every start; these are not.
        std::thread::sleep(Duration::from_millis(if n % 5 == 0 { 31_000 } else { 200 }));
    }
    eprintln!("{kills} deaths, the slowest was back after {slowest:?}");
    Ok(())
}

/// The program of this profile that shows the window.
fn app_of(profile: &std::path::Path) -> Result<u32> {
    let wanted = profile.to_str().context("a profile's name")?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok());
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|b| *b == 0);
        let is_app = words
            .next()
            .is_some_and(|program| program.ends_with(b"vitrine-automation"));
        if let Some(pid) = pid
            && is_app
            && words.any(|word| word == wanted.as_bytes())
        {
            return Ok(pid);
        }
    }
    anyhow::bail!("there is no window of {wanted}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_was_being_written_is_kept() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let doctor = person(&seed, "physician", "ED")?;
    let patient = showcase(&seed, "anaphyla")?;
    let mrn = patient["mrn"].as_str().context("mrn")?;
    let words = "Seen at the bedside, reassured";
    let desktop = Desktop::start(&automation_bin(), &station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    desktop.text_with("status", "LIVE").await?;
    sign_in(&desktop, &doctor).await?;
    open_chart(&desktop, mrn).await?;
    desktop.press(([CTRL, SHIFT], 'e')).await?;
    desktop.fill("note-text", words).await?;
    desktop.text_with("draft-state", "kept").await?;

    let app = app_of(&station.profile)?;
    let died = web_process_of(app)?;
    kill(died)?;
    let from = std::time::Instant::now();
    while web_process_of(app).map_or(true, |pid| pid == died) {
        ensure!(from.elapsed() < BACK, "no new process of the web view");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The driver lost its page with that process: the window is opened anew.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(desktop);

    let desktop = Desktop::start(&automation_bin(), &station.profile, &[]).await?;
    desktop.find("lock-screen").await?;
    sign_in(&desktop, &doctor).await?;
    open_chart(&desktop, mrn).await?;
    desktop.press(([CTRL, SHIFT], 'e')).await?;
    desktop.find("note-text").await?;
    let kept = desktop
        .ask("setTimeout(() => done(document.querySelector('[data-testid=note-text]').value), 500)")
        .await?;
    assert_eq!(kept, words);
    desktop.stop().await;
    Ok(())
}
