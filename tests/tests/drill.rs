//! A downtime drill: a workstation cuts itself off from a server that is there, says so, measures what it can do alone, and is
//! connected again by whoever stands there, by its time, and by an emergency.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use vitrine_engine::{BreakGlass, EngineError, Identity, Options, Workstation};
use vitrine_tests::bin;
use vitrine_tests::server::{Server, run, text};
use vitrine_tests::station::{Person, Station, person, showcase};
use vitrine_wire::entry_view::{EntryInput, EntrySeen};
use vitrine_wire::sync_view::{CheckView, Reliance};
use vitrine_wire::view::DataAge;

const SOON: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

struct World {
    _dir: tempfile::TempDir,
    server: Server,
    seed: Value,
    nurse: Person,
    ws: Workstation,
    station: Station,
}

/// A workstation of the ED, current, with a nurse of the ED signed in.
async fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let profile = dir.path().join("ed-07");
    let station = Station::enrol(&server, &server.url(), &profile, "ED")?;
    let nurse = person(&seed, "nurse", "ED")?;
    let ws = open(&profile)?;
    ws.sign_in(&nurse.user, &nurse.password).await?;
    ensure!(ws.wait_current(SOON).await?, "current");
    Ok(World {
        _dir: dir,
        server,
        seed,
        nurse,
        ws,
        station,
    })
}

fn open(profile: &Path) -> Result<Workstation> {
    let options = Options {
        ballast_bytes: 0,
        ..Options::default()
    };
    Ok(Workstation::open(profile, options)?)
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let seen = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, seen)
        .await
        .with_context(|| format!("not seen: {what}"))
}

fn last(ws: &Workstation) -> Result<CheckView> {
    ws.sync_view().drill.last.context("what the drill found")
}

fn said<'a>(found: &'a CheckView, part: &str) -> &'a str {
    let of = found.parts.iter().find(|p| p.name == part);
    of.map_or("", |p| p.text.as_str())
}

/// The workstation's own rows of an act, in order.
async fn rows(ws: &Workstation, act: &str) -> Result<Vec<Value>> {
    let all = ws.audit_list(0, 10_000).await?;
    let all = all.iter().map(|r| serde_json::from_str::<Value>(&r.body));
    let all = all.collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().filter(|r| r["action"] == act).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_cuts_a_workstation_off_and_whoever_stands_there_ends_it() -> Result<()> {
    let w = world().await?;
    let (ws, ed) = (&w.ws, &w.nurse);
    let board = ws.board(None).await?;
    let patient = board.rows.first().context("a patient")?.patient.clone();
    assert_eq!(ws.sync_view().drill.refused_text, None);
    ws.start_drill(HOUR).await?;

    // It is said on every screen, also with nobody signed in, and is no failure of the server.
    let text = ws.status().drill_text.context("the strip")?;
    ensure!(text.contains("on purpose by"), "{text}");
    until("offline", || ws.status().age == DataAge::Offline).await?;
    let view = ws.sync_view();
    let changes = view.parts.iter().find(|p| p.id == "changes").context("changes")?;
    assert_eq!(changes.state, Reliance::Fails);
    ensure!(changes.text.contains("drill"), "{}", changes.text);
    // Nobody begins a second one.
    let again = ws.start_drill(HOUR).await;
    ensure!(matches!(again, Err(EngineError::Usage(_))), "{again:?}");

    // The server is there, and nothing reaches it: not by waiting, not by asking, not for somebody new.
    ws.ask_server_now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(ws.status().age, DataAge::Offline);
    let input = EntryInput::Note {
        note_kind: "nursing".to_owned(),
        text: "Walked to the window.".to_owned(),
    };
    let seen: EntrySeen = ws.entry_preview(&patient, &input).await?.seen;
    ws.entry_record(&patient, &input, &seen).await?;
    assert_eq!(ws.status().unsent, 1);
    until("cards measured", || {
        ws.sync_view().drill.running_text.is_some()
            && ws.status_json().is_ok_and(|s| s["drill"]["measured"] == true)
    })
    .await?;
    ws.lock();
    ensure!(ws.status().drill_text.is_some(), "it goes on without anybody");
    let doctor = person(&w.seed, "physician", "ED")?;
    let new = ws.sign_in(&doctor.user, &doctor.password).await;
    ensure!(new.is_err(), "a password that only the server knows: {new:?}");
    assert_eq!(ws.status().unsent, 1);

    // Nobody is signed in, and it ends.
    ws.end_drill().await?;
    assert_eq!(ws.status().drill_text, None);
    ensure!(
        ws.wait_current(SOON).await?,
        "connected again, and everything is with the server"
    );
    assert_eq!(ws.status().unsent, 0);
    let found = last(ws)?;
    ensure!(found.ok, "{found:#?}");
    let patients = ws.status().patients;
    let cards = said(&found, "Emergency cards");
    ensure!(
        patients > 0 && cards.starts_with(&format!("{patients} of {patients} could be read")),
        "{cards}"
    );
    ensure!(said(&found, "Recording").starts_with("1 entry"), "{found:#?}");
    ensure!(
        said(&found, "The drill").contains("was not signed in"),
        "{found:#?}"
    );
    // Who began it, who ended it, and what was found are in the log, which the server has.
    let (began, ended) = (rows(ws, "run-drill").await?, rows(ws, "end-drill").await?);
    assert_eq!((began.len(), ended.len()), (1, 1));
    assert_eq!(began[0]["actor"]["User"], ed.user.as_str());
    ensure!(ended[0]["actor"]["Device"].is_string(), "{ended:?}");
    let report: Value = serde_json::from_str(ended[0]["notes"]["report"].as_str().context("report")?)?;
    assert_eq!(report["cards"]["read"], patients);
    assert_eq!(report["recorded"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_ends_a_drill_and_so_does_its_time() -> Result<()> {
    let w = world().await?;
    let ws = &w.ws;
    ws.start_drill(Duration::from_secs(1)).await?;
    until("its time", || ws.status().drill_text.is_none()).await?;
    ensure!(ws.wait_current(SOON).await?, "connected again");
    ensure!(said(&last(ws)?, "The drill").contains("as planned"));

    // The program ends in a drill: the next one is connected as ever, and the end is on record.
    ws.start_drill(HOUR).await?;
    let (profile, closing) = (w.station.profile.clone(), ws.clone());
    ensure!(
        tokio::task::spawn_blocking(move || closing.close(SOON)).await?,
        "closed"
    );
    let ws = &open(&profile)?;
    ws.sign_in(&w.nurse.user, &w.nurse.password).await?;
    ensure!(ws.wait_current(SOON).await?, "current");
    assert_eq!(ws.status().drill_text, None);
    ensure!(said(&last(ws)?, "The drill").contains("with the program"));
    assert_eq!(rows(ws, "end-drill").await?.len(), 2);

    ws.start_drill(HOUR).await?;
    until("offline", || ws.status().age == DataAge::Offline).await?;
    let patient = showcase(&w.seed, "anaphyla")?;
    let patient = patient["id"].as_str().context("a patient")?;
    let card = ws
        .break_glass(BreakGlass {
            patient: patient.to_owned(),
            reason: "life-threatening".to_owned(),
            words: None,
            identity: Identity::Session,
        })
        .await?;
    ensure!(!card.banner.name.is_empty());
    // The card is there first; then the newest arrives.
    until("no drill", || ws.status().drill_text.is_none()).await?;
    ensure!(ws.wait_current(SOON).await?, "connected again");
    ensure!(said(&last(ws)?, "The drill").contains("the glass was broken"));
    // Whoever has the card on the screen wants what is new.
    let asked = ws.start_drill(HOUR).await;
    ensure!(
        matches!(&asked, Err(EngineError::Usage(why)) if why.contains("Emergency access was used here")),
        "{asked:?}"
    );
    Ok(())
}

/// What `vitrine-cli drill` prints when it is ended by Ctrl+C.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn by_the_command_it_is_the_same() -> Result<()> {
    let w = world().await?;
    let profile = w.station.profile.clone();
    let device = w.ws.status_json()?["device"]
        .as_str()
        .context("device")?
        .to_owned();
    let closing = w.ws.clone();
    ensure!(
        tokio::task::spawn_blocking(move || closing.close(SOON)).await?,
        "closed"
    );
    let mut cli = Command::new(bin("vitrine-cli"))
        .args(["--profile", &text(&profile), "--json", "drill", "--minutes", "5"])
        .args(["--user", &w.nurse.user, "--secret-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    writeln!(cli.stdin.take().context("stdin")?, "{}", w.nurse.password)?;
    let pid = cli.id().to_string();
    // Its row is at the server before it is cut off: the server knows that it has begun.
    let begun = until("it has begun", || begun(&w.server, &device).unwrap_or(false)).await;
    if begun.is_err() {
        let _ = cli.kill();
        let out = cli.wait_with_output()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        return begun.context(said);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success());
    let out = tokio::task::spawn_blocking(move || cli.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure!(
        out.status.code() == Some(0),
        "{said} {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let found: CheckView = serde_json::from_str(&said)?;
    ensure!(found.ok, "{found:#?}");
    Ok(())
}

/// Whether the server has the row of the beginning of a drill at this workstation.
fn begun(server: &Server, device: &str) -> Result<bool> {
    let to = server.data.with_extension("rows");
    // It is never written over.
    let _ = std::fs::remove_file(&to);
    let args = [
        "audit",
        "export",
        "--chain",
        device,
        "--to",
        &text(&to),
        "--data",
        &text(&server.data),
    ];
    let done = run("vitrine-server", &args, None)?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(std::fs::read_to_string(to)?.contains("run-drill"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_drill_begins_where_it_would_do_harm_or_by_whom_it_is_not_for() -> Result<()> {
    let mut w = world().await?;
    let ws = &w.ws;
    for length in [Duration::ZERO, HOUR + Duration::from_secs(1)] {
        let asked = ws.start_drill(length).await;
        ensure!(matches!(asked, Err(EngineError::Usage(_))), "{asked:?}");
    }
    ws.lock();
    let nobody = ws.start_drill(HOUR).await;
    ensure!(matches!(nobody, Err(EngineError::NotSignedIn)), "{nobody:?}");
    ensure!(
        ws.sync_view()
            .drill
            .refused_text
            .is_some_and(|t| t.contains("signed in"))
    );
    let other = person(&w.seed, "nurse", "ICU")?;
    ws.sign_in(&other.user, &other.password).await?;
    let denied = ws.start_drill(HOUR).await;
    ensure!(
        matches!(
            denied,
            Err(EngineError::Denied {
                rule: "other-ward-drill",
                ..
            })
        ),
        "{denied:?}"
    );
    ensure!(
        ws.sync_view()
            .drill
            .refused_text
            .is_some_and(|t| t.contains("not assigned"))
    );
    ensure!(
        rows(ws, "run-drill")
            .await?
            .iter()
            .all(|r| r["decision"] == "deny")
    );
    ws.lock();
    ws.sign_in(&w.nurse.user, &w.nurse.password).await?;

    // The real thing is no drill.
    w.server.kill();
    until("offline", || ws.status().age == DataAge::Offline).await?;
    let asked = ws.start_drill(HOUR).await;
    ensure!(
        matches!(&asked, Err(EngineError::Usage(why)) if why.contains("the real thing")),
        "{asked:?}"
    );
    assert_eq!(ws.status().drill_text, None);
    Ok(())
}
