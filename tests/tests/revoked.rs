//! A reviewer takes an emergency access back: what is open at the workstation closes, online at once and else with its next connection.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use vitrine_engine::{BreakGlass, EngineError, Identity, Options, Workstation};
use vitrine_tests::server::{Server, run_json, text};
use vitrine_tests::station::{Person, Station, person};
use vitrine_wire::view::EngineEvent;

const OFFICER: (&str, &str) = ("officer", "A long word for Officer 7");

struct World {
    _dir: tempfile::TempDir,
    server: Server,
    workstation: Workstation,
    nurse: Person,
    /// A patient of another ward.
    patient: String,
}

fn with_secret(server: &Server, words: &[&str], secret: &str) -> Result<Value> {
    run_json(
        "vitrine-server",
        &[words, &["--data", &text(&server.data), "--json"]].concat(),
        Some(secret),
    )
}

async fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let profile = dir.path().join("ed-07");
    Station::enrol(&server, &server.url(), &profile, "ED")?.sync()?;
    let add = [
        "user",
        "add",
        OFFICER.0,
        "--role",
        "privacy-officer",
        "--secret-stdin",
    ];
    with_secret(&server, &add, OFFICER.1)?;
    let nurse = person(&seed, "nurse", "ED")?;
    let patients = seed["patients"].as_array().context("patients")?;
    let patient = patients
        .iter()
        .find(|p| p["ward"] == "ICU")
        .context("of the ICU")?;
    let options = Options {
        ballast_bytes: 0,
        ..Options::default()
    };
    let workstation = Workstation::open(&profile, options)?;
    workstation.sign_in(&nurse.user, &nurse.password).await?;
    workstation.settled(Duration::from_secs(10)).await;
    Ok(World {
        _dir: dir,
        server,
        workstation,
        nurse,
        patient: patient["id"].as_str().context("id")?.to_owned(),
    })
}

impl World {
    async fn broken(&self) -> Result<String> {
        let asked = BreakGlass {
            patient: self.patient.clone(),
            reason: "life-threatening".to_owned(),
            words: None,
            identity: Identity::UserSecret {
                user: self.nurse.user.clone(),
                secret: self.nurse.pin.clone().into(),
                badge: None,
            },
        };
        let card = self.workstation.break_glass(asked).await?;
        let grant = card.broken.context("its grant")?.grant;
        self.workstation.chart(&self.patient).await?;
        Ok(grant)
    }

    /// The server knows of it.
    async fn known(&self, grant: &str) -> Result<Value> {
        for _ in 0..100 {
            if let Ok(shown) = with_secret(
                &self.server,
                &["review", "show", grant, "--by", OFFICER.0],
                OFFICER.1,
            ) {
                return Ok(shown);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the server does not know {grant}")
    }

    fn take_back(&self, grant: &str) -> Result<Value> {
        let words = [
            "review",
            "decide",
            grant,
            "revoke",
            "--text",
            "Not on duty.",
            "--by",
            OFFICER.0,
        ];
        with_secret(&self.server, &words, OFFICER.1)
    }

    async fn denied(&self) -> Result<()> {
        let chart = self.workstation.chart(&self.patient).await;
        ensure!(
            matches!(chart, Err(EngineError::Denied { .. })),
            "{:?}",
            chart.map(|c| c.banner)
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_closes_at_once_and_says_so() -> Result<()> {
    let w = world().await?;
    let grant = w.broken().await?;
    w.known(&grant).await?;
    let mut events = w.workstation.events();
    let began = Instant::now();
    w.take_back(&grant)?;
    let told = async {
        loop {
            if let EngineEvent::EmergencyEnded(view) = events.recv().await? {
                return Ok::<_, anyhow::Error>(view);
            }
        }
    };
    let view = tokio::time::timeout(Duration::from_secs(10), told)
        .await
        .context("nobody was told")??;
    println!("told {} ms after it was asked for", began.elapsed().as_millis());
    ensure!(
        view.grant == grant && view.text.starts_with("A reviewer took"),
        "{view:?}"
    );
    w.denied().await?;

    // The glass can be broken anew, and what was taken back stays so: on the workstation and in its rows at the server.
    let anew = w.broken().await?;
    ensure!(anew != grant);
    w.known(&anew).await?;
    let shown = w.known(&grant).await?;
    ensure!(shown["ended"]["by"] == "revoked", "{shown}");
    let rows = w.workstation.audit_list(0, 1_000).await?;
    let ends: Vec<&str> = rows
        .iter()
        .map(|r| &r.body[..])
        .filter(|b| b.contains(r#""action":"end-break-glass""#))
        .collect();
    ensure!(
        ends.len() == 1 && ends[0].contains(r#""rule":"revoked""#) && ends[0].contains(&grant),
        "{ends:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_it_lasts_until_the_workstation_hears_of_it() -> Result<()> {
    let mut w = world().await?;
    let grant = w.broken().await?;
    w.known(&grant).await?;
    // The workstation is cut off; the server is told by a reviewer at its own machine.
    w.server.kill();
    w.workstation.chart(&w.patient).await.context("it cannot know")?;
    w.take_back(&grant)?;
    w.workstation
        .chart(&w.patient)
        .await
        .context("it cannot know yet")?;
    let mut events = w.workstation.events();
    w.server.restart()?;
    let told = async {
        loop {
            if matches!(events.recv().await?, EngineEvent::EmergencyEnded(v) if v.grant == grant) {
                return Ok::<_, anyhow::Error>(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told)
        .await
        .context("nobody was told")??;
    w.denied().await
}
