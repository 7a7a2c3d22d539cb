//! What a hospital's feeds say, on the screens of a ward: somebody is admitted, moves, gets a critical result, leaves; also on a
//! workstation without its server.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::mllp::{FEED, Sender, adt, minutes_ago, oru};
use vitrine_tests::server::{Server, free_port};
use vitrine_tests::station::{Station, person};

/// Waits until a view says what is expected; gives the view.
async fn until<F: Future<Output = Result<Value>>>(
    what: &str,
    view: impl Fn() -> F,
    holds: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let mut last = Value::Null;
    for _ in 0..100 {
        last = view().await?;
        if holds(&last) {
            return Ok(last);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("{what}: {last}")
}

fn row<'v>(board: &'v Value, family: &str) -> Option<&'v Value> {
    let rows = board["rows"].as_array()?;
    rows.iter()
        .find(|r| r["name"].to_string().contains(&family.to_uppercase()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_feeds_say_is_on_the_screens_of_the_ward() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let (first, seed) = Server::demo(&data)?;
    drop(first);
    std::fs::write(data.join("vitrine.toml"), FEED)?;
    let mut server = Server::start(&data, free_port()?)?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    let nurse = person(&seed, "nurse", "ED")?;
    station.sync()?;
    station.first_board(&nurse)?;
    let options = Options {
        sync: true,
        ..Options::default()
    };
    let engine = Workstation::open(&station.profile, options)?;
    engine.sign_in(&nurse.user, &nurse.pin).await?;
    let board = || async { Ok(serde_json::to_value(engine.board(Some("ED")).await?)?) };
    let mut sender = Sender::connect(&server).await?;

    // Admitted: on the board of the ward, in the bed of the message.
    sender.accepted(&adt("A01", "1", "880001", "Z9")).await?;
    let seen = until("admitted", board, |b| row(b, "Lantern").is_some()).await?;
    let one = row(&seen, "Lantern").context("a row")?;
    ensure!(one.to_string().contains("Z9"), "the bed: {one}");
    let patient = one["patient"].as_str().context("whose row")?.to_owned();

    // A critical result, as the laboratory flags it: the mark on the board, the value in the inbox.
    let critical = oru("2", "880001", "K1", &minutes_ago(30), "6.9").replacen("|3.5-5.1|", "|3.5-5.1|HH", 1);
    sender.accepted(&critical).await?;
    until("critical on the board", board, |b| {
        row(b, "Lantern").is_some_and(|r| r["critical_text"].as_str().is_some_and(|t| !t.is_empty()))
    })
    .await?;
    let results = || async { Ok(serde_json::to_value(engine.results(Some("ED")).await?)?) };
    until("critical in the inbox", results, |r| {
        r.to_string().contains("6.9")
    })
    .await?;
    // Corrected: it is none any more.
    let plain = oru("3", "880001", "K1", &minutes_ago(20), "4.9").replace("|F|||", "|C|||");
    sender.accepted(&plain).await?;
    until("no longer critical", board, |b| {
        row(b, "Lantern").is_some_and(|r| r["critical_text"].as_str().is_none_or(str::is_empty))
    })
    .await?;

    // An allergy by A08: on the card, in an emergency without the server.
    let allergy =
        adt("A08", "4", "880001", "Z9").replace("\rPV1", "\rAL1|1|DA|^Saffronicillin|SV|Anaphylaxis\rPV1");
    sender.accepted(&allergy).await?;
    let chart = || async { Ok(serde_json::to_value(engine.chart(&patient).await?)?) };
    until("the allergy", chart, |c| c.to_string().contains("Saffronicillin")).await?;
    // An A08 without it takes nothing away.
    sender.accepted(&adt("A08", "5", "880001", "Z9")).await?;
    sender
        .accepted(&oru("6", "880001", "K2", &minutes_ago(10), "4.4"))
        .await?;
    until("the result after it", chart, |c| c.to_string().contains("4.4")).await?;
    ensure!(chart().await?.to_string().contains("Saffronicillin"));
    drop(engine);
    server.kill();
    let card = station.emergency(&patient, &nurse)?;
    ensure!(card["allergies"].to_string().contains("Saffronicillin"), "{card}");

    // Moved and gone, while the workstation was off.
    server.restart()?;
    let mut sender = Sender::connect(&server).await?;
    sender
        .accepted(
            &adt("A02", "7", "880001", "Z9")
                .replace("|ED^^Z9", "|ICU^^7")
                .replace("20260301090000", "20260301130000"),
        )
        .await?;
    station.sync()?;
    let seen = station.by(&nurse, &["board"])?;
    ensure!(row(&seen, "Lantern").is_none(), "moved away: {seen}");
    Ok(())
}
