//! Programs that end, end: no thread has a database open when the process goes.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vitrine_engine::{EngineError, Options, Workstation};
use vitrine_store::StoreError;
use vitrine_tests::bin;
use vitrine_tests::proxy::{Line, Proxy};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Station, person};

#[test]
fn a_program_that_was_synchronising_ends_cleanly_every_time() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, _) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("w"), "ED")?;
    for _ in 0..100 {
        station.sync()?;
    }
    Ok(())
}

#[test]
fn a_reader_that_has_gone_is_no_failure() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, _) = Server::demo(&dir.path().join("server"))?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("w"), "ED")?;
    station.sync()?;
    for words in [
        &["status"][..],
        &["--json", "status"],
        &["--json", "audit", "list"],
    ] {
        let mut child = Command::new(bin("vitrine-cli"))
            .arg("--profile")
            .arg(&station.profile)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(child.stdout.take());
        let out = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(
            out.status.success() && said.is_empty(),
            "{words:?}: {} {said}",
            out.status
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_workstation_lets_go_of_everything() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let proxy = Proxy::start(server.addr).await?;
    let profile = dir.path().join("w");
    Station::enrol(&server, &format!("https://{}", proxy.addr), &profile, "ED")?.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;
    // Whoever asks the server now waits for an answer that never comes.
    proxy.set(Line::BlackHole);
    for _ in 0..5 {
        let open = || {
            Workstation::open(
                &profile,
                Options {
                    ballast_bytes: 0,
                    ..Options::default()
                },
            )
        };
        let workstation = open()?;
        workstation.sign_in(&nurse.user, &nurse.pin).await?;
        let clone = workstation.clone();
        let since = Instant::now();
        let closed = tokio::task::spawn_blocking(move || clone.close(Duration::from_secs(10))).await?;
        ensure!(closed, "something was still open after {:?}", since.elapsed());
        ensure!(
            since.elapsed() < Duration::from_secs(2),
            "{:?} to close",
            since.elapsed()
        );
        ensure!(matches!(
            workstation.search("a").await,
            Err(EngineError::Store(StoreError::Closed))
        ));
    }
    Ok(())
}
