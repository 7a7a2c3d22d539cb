//! A workstation for training and a server that is not, at the same address and with the same keys: nothing goes either way.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use vitrine_engine::{Options, Workstation};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person};
use vitrine_wire::view::DataAge;

/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(90);

fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let from = Instant::now();
    while !holds() {
        ensure!(from.elapsed() < SOON, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_for_training_no_longer_gets_nothing_and_gives_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, seed) = Server::demo(&dir.path().join("server"))?;
    let profile = dir.path().join("ed-07");
    let station = Station::enrol(&server, &server.url(), &profile, "ED")?;
    station.sync()?;
    let (nurse, doctor) = (person(&seed, "nurse", "ED")?, person(&seed, "physician", "ED")?);
    let w = Workstation::open(
        &profile,
        Options {
            ballast_bytes: 0,
            ..Options::default()
        },
    )?;
    w.sign_in(&nurse.user, &nurse.password).await?;
    ensure!(w.wait_current(SOON).await?, "current");
    ensure!(w.status().demo, "a workstation for training says so");
    let mixed = || w.status().alarms.iter().any(|a| a.contains("is for training"));
    ensure!(!mixed());

    // Somebody takes the mark away.
    server.kill();
    let mark = server.data.join("DEMO");
    let kept = std::fs::read(&mark).context("the mark")?;
    std::fs::remove_file(&mark)?;
    server.restart()?;
    until("the alarm", mixed)?;
    ensure!(w.status().age != DataAge::Live, "{:?}", w.status());
    // What is seen here is written down here, and goes nowhere; nobody's password does.
    w.board(None).await?;
    let waiting = |w: &Workstation| w.status_json().ok().and_then(|s| s["outbox"]["audit"].as_u64());
    ensure!(
        waiting(&w).is_some_and(|n| n > 0),
        "{}",
        w.status_json()?["outbox"]
    );
    w.lock();
    let asked = w.sign_in(&doctor.user, &doctor.password).await;
    ensure!(asked.is_err(), "{asked:?}");
    let said = w.wait_current(Duration::from_secs(2)).await?;
    ensure!(!said && waiting(&w).is_some_and(|n| n > 0));
    // Who is known here works on with what is here.
    w.sign_in(&nurse.user, &nurse.password).await?;
    ensure!(w.board(None).await.is_ok());

    // The mark is back: as before, and what waited goes up.
    server.kill();
    std::fs::write(&mark, kept)?;
    server.restart()?;
    w.ask_server_now();
    until("no alarm", || !mixed())?;
    ensure!(w.wait_current(SOON).await?, "current again");
    w.lock();
    w.sign_in(&doctor.user, &doctor.password).await?;
    Ok(())
}
