//! Role layouts (H3): from the server's configuration, signed, to whoever signs in; also without the server, and gone when the site takes
//! them away.

use anyhow::{Result, ensure};
use serde_json::json;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::server::{Server, run, text};
use vitrine_tests::station::{Person, Station, person};
use vitrine_wire::layout::{FirstScreen, FirstSection, LayoutView, SUMMARY, SummaryPart};

const RULES: &str = r#"
[[layout]]
name = "ED nurses"
roles = ["nurse"]
wards = ["ED"]
first = "board"
section = "vitals"
summary = ["vitals", "news2"]
hours = 12

[[layout]]
name = "everybody in the ED"
wards = ["ED"]
first = "results"
"#;

/// What this person's screens begin with, on a workstation that is not asking the server.
async fn begins(station: &Station, who: &Person) -> Result<LayoutView> {
    let options = Options {
        sync: false,
        ..Options::default()
    };
    let w = Workstation::open(&station.profile, options)?;
    Ok(w.sign_in(&who.user, &who.pin).await?.layout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_begins_with_what_the_site_signed_also_offline() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let (mut server, seed) = Server::demo(&data)?;
    let config = data.join("vitrine.toml");
    let before = std::fs::read_to_string(&config).unwrap_or_default();

    // A rule that cannot be right keeps the server from starting, and says where.
    server.kill();
    std::fs::write(
        &config,
        format!("{before}\n[[layout]]\nname = \"x\"\nsummary = [\"allergies\"]\n"),
    )?;
    let refused = run(
        "vitrine-server",
        &["serve", "--data", &text(&data), "--listen", "127.0.0.1:0"],
        None,
    )?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        refused.status.code() == Some(2) && said.contains("unknown variant `allergies`"),
        "{:?} {said}",
        refused.status
    );

    std::fs::write(&config, format!("{before}{RULES}"))?;
    server.restart()?;
    let station = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let (nurse, doctor) = (person(&seed, "nurse", "ED")?, person(&seed, "physician", "ED")?);
    for who in [&nurse, &doctor] {
        station.first_board(who)?;
    }
    server.kill();
    let ed = begins(&station, &nurse).await?;
    assert_eq!(
        (ed.first, ed.section, ed.hours),
        (FirstScreen::Board, FirstSection::Vitals, Some(12))
    );
    assert_eq!(ed.summary.len(), SUMMARY.len(), "{ed:?}");
    assert_eq!(ed.summary[..2], [SummaryPart::Vitals, SummaryPart::News2]);
    assert_eq!(begins(&station, &doctor).await?.first, FirstScreen::Results);
    assert_eq!(
        station.cli(&["status"], None)?["layouts"],
        json!({"rules": 2, "fault": null})
    );

    // The site takes its rules away: with the next connection the screens are as usual.
    std::fs::write(&config, before)?;
    server.restart()?;
    station.sync()?;
    assert_eq!(begins(&station, &nurse).await?, LayoutView::default());
    Ok(())
}
