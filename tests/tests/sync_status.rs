//! What a workstation can be relied on for: with the server, without it, before it was ever heard, and with damaged data,
//! which are found by the check and fetched anew.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::Duration;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::server::Server;
use vitrine_tests::station::Station;
use vitrine_wire::sync_view::{CheckView, Reliance, RelianceView, SyncView};
use vitrine_wire::view::DataAge;

const LONG: Duration = Duration::from_secs(60);

fn part<'a>(view: &'a SyncView, id: &str) -> Result<&'a RelianceView> {
    view.parts.iter().find(|p| p.id == id).context("the part")
}

async fn open(profile: &Path, sync: bool) -> Result<Workstation> {
    let options = Options {
        sync,
        ballast_bytes: 1 << 20,
        ..Options::default()
    };
    Ok(Workstation::open(profile, options)?)
}

async fn until(ws: &Workstation, what: &str, holds: impl Fn(&SyncView) -> bool) -> Result<SyncView> {
    let looked = async {
        loop {
            let view = ws.sync_view();
            if holds(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, looked)
        .await
        .with_context(|| format!("{what}: {:#?}", ws.sync_view()))
}

async fn close(ws: Workstation) -> Result<()> {
    let done = tokio::task::spawn_blocking(move || ws.close(LONG)).await?;
    ensure!(done, "the workstation was closed in time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_in_plain_words_what_can_be_relied_on_and_what_is_damaged_is_fetched_anew() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut server, _) = Server::demo(&dir.path().join("server"))?;
    let profile = dir.path().join("ed-07");
    let station = Station::enrol(&server, &server.url(), &profile, "ED")?;

    // Never heard of the server: no cards and no staff, so nobody can be helped here.
    let ws = open(&profile, false).await?;
    let view = ws.sync_view();
    assert_eq!(view.verdict, Reliance::Fails, "{view:#?}");
    assert!(
        view.sentence.starts_with("Do not rely on this workstation."),
        "{}",
        view.sentence
    );
    for (id, state) in [
        ("emergency", Reliance::Fails),
        ("glass", Reliance::Fails),
        ("changes", Reliance::Unknown),
        ("clock", Reliance::Unknown),
        ("stored", Reliance::Unknown),
        ("disk", Reliance::Works),
    ] {
        assert_eq!(part(&view, id)?.state, state, "{:#?}", part(&view, id)?);
    }
    // What it is to have is listed although nothing of it is here.
    let names: Vec<_> = view
        .streams
        .iter()
        .map(|s| (s.scope.as_str(), s.items_text.is_some(), s.age.age))
        .collect();
    let none = DataAge::NotOnThisWorkstation;
    let expected = ["dir", "ess:ED", "board:ED", "ess:site"].map(|scope| (scope, false, none));
    assert_eq!(names, expected);
    close(ws).await?;

    // Live.
    let ws = open(&profile, true).await?;
    assert!(ws.wait_current(LONG).await?);
    let view = until(&ws, "live", |v| {
        v.parts
            .iter()
            .any(|p| p.id == "changes" && p.state == Reliance::Works)
    })
    .await?;
    assert_eq!(view.verdict, Reliance::Works, "{view:#?}");
    for id in [
        "emergency",
        "glass",
        "changes",
        "recording",
        "charts",
        "images",
        "clock",
        "audit",
        "certificate",
    ] {
        assert_eq!(part(&view, id)?.state, Reliance::Works, "{:#?}", part(&view, id)?);
    }
    assert!(
        view.streams
            .iter()
            .all(|s| s.items_text.as_deref().is_some_and(|n| n != "0")),
        "{view:#?}"
    );
    // A check while it goes on; nothing is wrong, and it is remembered.
    let checked = ws.verify_stored().await?;
    assert!(checked.ok, "{checked:#?}");
    let view = ws.sync_view();
    assert_eq!(
        part(&view, "stored")?.state,
        Reliance::Works,
        "{:#?}",
        part(&view, "stored")?
    );
    assert!(
        view.checked
            .is_some_and(|c| c.ok && c.parts.len() == checked.parts.len())
    );

    // The server is gone: said for each thing, and the emergency is not one of them.
    server.kill();
    let view = until(&ws, "offline", |v| {
        v.parts
            .iter()
            .any(|p| p.id == "changes" && p.state == Reliance::Fails)
    })
    .await?;
    assert_eq!(view.verdict, Reliance::Limited, "{view:#?}");
    for (id, state) in [
        ("emergency", Reliance::Works),
        ("glass", Reliance::Works),
        ("changes", Reliance::Fails),
        ("recording", Reliance::Limited),
        ("charts", Reliance::Limited),
        ("images", Reliance::Limited),
        ("clock", Reliance::Works),
    ] {
        assert_eq!(part(&view, id)?.state, state, "{:#?}", part(&view, id)?);
    }
    assert!(
        view.sentence.contains("You cannot rely on: what others change."),
        "{}",
        view.sentence
    );
    close(ws).await?;

    // A page of what is shown goes bad while nothing runs, where the next change would be written: that is said, and that nothing
    // can be fetched into this file any more.
    let path = profile.join("essentials.db");
    let whole = std::fs::read(&path)?;
    bad_page(&profile, &whole, (2..whole.len() / 4096).rev()).await?;
    server.restart()?;
    let ws = open(&profile, true).await?;
    assert!(!ws.verify_stored().await?.ok);
    let view = until(&ws, "stuck", |_| {
        let alarms = ws.status().alarms;
        alarms.iter().any(|a| a.contains("cannot be renewed in place"))
    })
    .await?;
    assert_eq!(part(&view, "emergency")?.state, Reliance::Limited, "{view:#?}");
    // The command says the same, by its exit code too; nothing is fetched by it.
    let (code, said) = station.refused(&["cache", "verify"], None)?;
    assert!(code == 1 && said.contains("cache renew"), "{code}: {said}");
    // Made anew: not beside a program that synchronises, not without the server, and then whole.
    assert!(Workstation::renew(&profile, LONG).await.is_err());
    close(ws).await?;
    server.kill();
    let damaged = std::fs::read(&path)?;
    let refused = Workstation::renew(&profile, Duration::from_secs(2)).await;
    assert!(
        matches!(refused, Err(vitrine_engine::EngineError::Offline(_))),
        "{refused:?}"
    );
    assert!(std::fs::read(&path)? == damaged, "what was there stays");
    server.restart()?;
    assert!(essentials_ok(&Workstation::renew(&profile, LONG).await?)?);
    let left: Vec<_> = std::fs::read_dir(&profile)?
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().contains("next"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let ws = open(&profile, true).await?;
    until(&ws, "live with what was made anew", |v| {
        v.verdict == Reliance::Works
    })
    .await?;
    close(ws).await
}

fn essentials_ok(found: &CheckView) -> Result<bool> {
    Ok(found.parts.first().context("the first part")?.ok)
}

/// Flips a bit in the first of these pages that holds something that is shown, and looks how that is said without the server.
async fn bad_page(profile: &Path, whole: &[u8], pages: impl Iterator<Item = usize>) -> Result<()> {
    for page in pages {
        let mut bytes = whole.to_vec();
        bytes[page * 4096 + 100] ^= 0x40;
        std::fs::write(profile.join("essentials.db"), &bytes)?;
        let ws = open(profile, false).await?;
        let checked = ws.verify_stored().await?;
        let view = ws.sync_view();
        close(ws).await?;
        ensure!(
            !checked.ok && !essentials_ok(&checked)?,
            "page {page}: {checked:#?}"
        );
        if checked.parts[0].text.contains("cache renew") {
            ensure!(part(&view, "stored")?.state == Reliance::Limited, "{view:#?}");
            ensure!(part(&view, "emergency")?.state != Reliance::Works, "{view:#?}");
            return Ok(());
        }
    }
    anyhow::bail!("no page of what is shown was found")
}
