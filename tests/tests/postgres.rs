//! The whole system on PostgreSQL: the same workstations, no change for them.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use vitrine_engine::{BreakGlass, Identity, Options, Workstation};
use vitrine_testpg::TestPg;
use vitrine_tests::server::{Server, copy_identity, free_port, run, run_json, text};
use vitrine_tests::station::{Person, Station, person};
use vitrine_wire::view::EngineEvent;

/// A data folder whose configuration names the database, seeded with sixty patients.
fn seeded(data: &Path, url: &str, node: &str) -> Result<Value> {
    configured(data, url, node)?;
    run_json(
        "vitrine-server",
        &["demo", "--data", &text(data), "--patients", "60", "--json"],
        None,
    )
}

fn configured(data: &Path, url: &str, node: &str) -> Result<()> {
    std::fs::create_dir_all(data)?;
    std::fs::set_permissions(data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let text = format!("[database]\nurl = \"{url}\"\nnode = \"{node}\"\npatience_seconds = 20\n");
    Ok(std::fs::write(data.join("vitrine.toml"), text)?)
}

/// A second server of the same hospital: the same keys, another name.
fn second(first: &Path, data: &Path, url: &str) -> Result<()> {
    configured(data, url, "server-b")?;
    copy_identity(first, data)
}

fn opened(profile: &Path) -> Result<Workstation> {
    let options = Options {
        ballast_bytes: 0,
        ..Options::default()
    };
    Ok(Workstation::open(profile, options)?)
}

/// Waits until the workstation hears of this patient; gives the time since `from`.
async fn heard(
    events: &mut tokio::sync::broadcast::Receiver<EngineEvent>,
    patient: &str,
    from: Instant,
) -> Result<Duration> {
    let wait = async {
        loop {
            if let Ok(EngineEvent::PatientsChanged(p)) = events.recv().await
                && p.iter().any(|p| p == patient)
            {
                return from.elapsed();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .with_context(|| format!("nothing was heard of {patient}"))
}

async fn put_allergy(server: &Server, token: &str, id: &str, patient: &str) -> Result<()> {
    let body = format!(
        r#"{{"resourceType":"AllergyIntolerance","id":"{id}","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}}]}},"code":{{"text":"Allergy {id}"}},"patient":{{"reference":"Patient/{patient}"}}}}"#
    );
    let sent = server
        .http()?
        .put(format!("{}/fhir/AllergyIntolerance/{id}", server.url()))
        .bearer_auth(token)
        .header("content-type", "application/fhir+json")
        .body(body)
        .send()
        .await?;
    let status = sent.status();
    ensure!(
        status.is_success(),
        "{status}: {}",
        String::from_utf8_lossy(&sent.bytes().await?)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_on_postgresql() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut pg = TestPg::start()?;
    let url = pg.database()?;
    let database = url
        .rsplit('/')
        .next()
        .and_then(|n| n.split('?').next())
        .context("name")?
        .to_owned();
    let data = dir.path().join("a");
    let seed = seeded(&data, &url, "server")?;
    ensure!(!data.join("vitrine.db").exists(), "no embedded store beside it");
    let mut a = Server::start(&data, free_port()?)?;
    let station = Station::enrol(&a, &a.url(), &dir.path().join("ed-07"), "ED")?;
    station.sync()?;
    let nurse = person(&seed, "nurse", "ED")?;

    // Both ends hold the same.
    let doctor = run_json(
        "vitrine-server",
        &["doctor", "--data", &text(&data), "--json"],
        None,
    )?;
    let status = station.cli(&["status"], None)?;
    for scope in ["ess:site", "ess:ED", "board:ED", "dir"] {
        let (here, there) = (
            &status["scopes"][scope]["digest"],
            &doctor["digests"][scope]["digest"],
        );
        ensure!(
            here.is_string() && here == there,
            "{scope}: {here} at the workstation, {there} at the server: {doctor}"
        );
    }

    // A second server on the same database: what is written there is here within the second.
    let other = dir.path().join("b");
    second(&data, &other, &url)?;
    let b = Server::start(&other, free_port()?)?;
    let token = b.token(&b.http()?).await?;
    let engine = opened(&station.profile)?;
    // What arrives with the first connection is a snapshot, and tells of no patient by name.
    ensure!(
        engine.wait_current(Duration::from_secs(60)).await?,
        "the workstation did not become current: {:?}",
        engine.status()
    );
    let mut events = engine.events();
    for n in 0..5 {
        let from = Instant::now();
        put_allergy(&b, &token, &format!("across-{n}"), "p000003").await?;
        let took = heard(&mut events, "p000003", from).await?;
        ensure!(took < Duration::from_secs(2), "across servers: {took:?}");
    }

    // A plain UPDATE by psql is on the workstation within a second.
    let from = Instant::now();
    pg.psql(
        &database,
        "UPDATE card SET updated = updated + 1 WHERE pid = (SELECT pid FROM patient WHERE id = 'p000004')",
    )?;
    let took = heard(&mut events, "p000004", from).await?;
    ensure!(took < Duration::from_secs(2), "an UPDATE by psql: {took:?}");

    // PostgreSQL dies and comes back: the write waits, or is told to come again, and is done once.
    let writing = tokio::spawn({
        let (http, url, token) = (b.http()?, b.url(), token.clone());
        async move {
            for _ in 0..60 {
                let sent = http
                    .put(format!("{url}/fhir/Basic/late"))
                    .bearer_auth(&token)
                    .header("content-type", "application/fhir+json")
                    .body(r#"{"resourceType":"Basic","id":"late","code":{"text":"late"}}"#)
                    .send()
                    .await?;
                if sent.status() != 503 {
                    return Ok::<_, anyhow::Error>((sent.status(), sent.bytes().await?));
                }
                ensure!(
                    sent.headers().contains_key("retry-after"),
                    "503 says when to come again"
                );
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            anyhow::bail!("still 503 after half a minute")
        }
    });
    pg.kill()?;
    // Meanwhile nothing of it is felt in an emergency.
    let card = glass_broken(&engine, &nurse).await?;
    ensure!(
        card < Duration::from_secs(1),
        "without PostgreSQL the card took {card:?}"
    );
    // Long enough for whoever asks it in vain to ask rarely.
    tokio::time::sleep(Duration::from_secs(8)).await;
    pg.resume()?;
    let back = Instant::now();
    let (status, body) = writing.await??;
    ensure!(
        status.is_success(),
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    ensure!(
        back.elapsed() < Duration::from_secs(5),
        "written {:?} after PostgreSQL was back",
        back.elapsed()
    );
    let version = pg.psql(
        &database,
        "SELECT version FROM resource WHERE kind = 'Basic' AND id = 'late'",
    )?;
    ensure!(version.trim() == "1", "version {version}");
    let from = Instant::now();
    put_allergy(&b, &token, "after", "p000003").await?;
    // What was heard may still be of an earlier change: what counts is that it is here.
    let took = loop {
        let took = heard(&mut events, "p000003", from).await?;
        let card = engine.break_glass(emergency("p000003", &nurse)).await?;
        if card.allergies.items.iter().any(|a| a.agent == "Allergy after") {
            break took;
        }
    };
    // Scopes that could not be served meanwhile are asked for again within ten seconds.
    ensure!(
        took < Duration::from_secs(12),
        "after PostgreSQL was back: {took:?}"
    );

    // Everything is down but the workstation.
    let closed = tokio::task::spawn_blocking(move || engine.close(Duration::from_secs(5))).await?;
    ensure!(closed, "the workstation lets go");
    a.kill();
    drop(b);
    pg.stop()?;
    let card = station.emergency("p000003", &nurse)?;
    ensure!(card["source"] == "cache", "{card}");
    ensure!(
        card["allergies"]["items"].to_string().contains("Allergy after"),
        "{card}"
    );

    // And back: the proof arrives, the chains of both servers and of the device are whole.
    pg.resume()?;
    let mut a = Server::start(&data, a.addr.port())?;
    station.sync()?;
    station.sync()?;
    let audit = run_json(
        "vitrine-server",
        &["audit", "verify", "--data", &text(&data), "--json"],
        None,
    )?;
    ensure!(audit["whole"] == true, "{audit}");
    let chains: Vec<&str> = audit["chains"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["chain"].as_str())
        .collect();
    ensure!(
        chains.contains(&"server") && chains.contains(&"server-b"),
        "{audit}"
    );
    a.kill();
    Ok(())
}

async fn glass_broken(engine: &Workstation, who: &Person) -> Result<Duration> {
    let from = Instant::now();
    engine.break_glass(emergency("p000005", who)).await?;
    Ok(from.elapsed())
}

fn emergency(patient: &str, who: &Person) -> BreakGlass {
    BreakGlass {
        patient: patient.to_owned(),
        reason: "life-threatening".to_owned(),
        words: None,
        identity: Identity::UserSecret {
            user: who.user.clone(),
            secret: who.pin.clone().into(),
            badge: None,
        },
    }
}

#[test]
fn what_cannot_be_used_ends_with_3_and_a_sentence() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let pg = TestPg::start()?;
    let taken = pg.database()?;
    let name = taken
        .rsplit('/')
        .next()
        .and_then(|n| n.split('?').next())
        .context("name")?;
    pg.psql(name, "CREATE TABLE ledger (n int)")?;
    let embedded = dir.path().join("embedded");
    run_json(
        "vitrine-server",
        &["demo", "--data", &text(&embedded), "--patients", "1", "--json"],
        None,
    )?;
    let in_postgres = dir.path().join("in-postgres");
    let fine = pg.database()?;
    run_json(
        "vitrine-server",
        &[
            "demo",
            "--data",
            &text(&in_postgres),
            "--database-url",
            &fine,
            "--patients",
            "1",
            "--json",
        ],
        None,
    )?;
    let new = text(&dir.path().join("new"));
    let nobody = format!("postgres://v:p@127.0.0.1:{}/vitrine", free_port()?);
    for (data, url, says) in [
        (
            new.as_str(),
            Some("mysql://v@h/db"),
            "must begin with postgres://",
        ),
        (&new, Some("postgres://v:p@db.hospital/vitrine"), "names no CA"),
        (&new, Some(&nobody), "connecting"),
        (&new, Some(&taken), "holds tables of something else"),
        (&text(&embedded), Some(&fine), "migrate --from-embedded"),
        (&text(&in_postgres), None, "lies in PostgreSQL"),
        // The right database with the keys of another folder.
        (&new, Some(&fine), "cannot be opened with this key"),
    ] {
        let mut args = vec![
            "--json",
            "serve",
            "--data",
            data,
            "--metrics",
            "off",
            "--listen",
            "127.0.0.1:0",
        ];
        args.extend(url.iter().flat_map(|u| ["--database-url", u]));
        let out = run("vitrine-server", &args, None)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(3), "{url:?}: {} {said}", out.status);
        let sentence = said.lines().last().unwrap_or_default();
        ensure!(sentence.contains(says), "{url:?}: {said}");
        ensure!(!said.contains("vitrine-test"), "no password in it: {said}");
    }
    Ok(())
}
