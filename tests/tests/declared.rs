//! Emergency accounts from the envelope to the review: made at the server, opened while it is gone, told when it is back.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use vitrine_tests::server::{Server, run, run_json, text};
use vitrine_tests::station::{Person, Station, person};

const OFFICER: (&str, &str) = ("officer", "A long word for Officer 7");
const NAME: &str = "Jo Smith, agency";

fn act(server: &Server, words: &[&str], secret: Option<&str>) -> Result<Value> {
    run_json(
        "vitrine-server",
        &[words, &["--data", &text(&server.data), "--json"]].concat(),
        secret,
    )
}

/// `vitrine-cli emergency` with an emergency account.
fn emergency<'a>(user: &'a str, patient: &'a str, name: &'a str) -> Vec<&'a str> {
    vec![
        "emergency",
        patient,
        "--reason",
        "life-threatening",
        "--user",
        user,
        "--declared",
        name,
        "--secret-stdin",
    ]
}

struct World {
    _dir: tempfile::TempDir,
    server: Server,
    stations: [Station; 2],
    nurse: Person,
    patient: String,
    /// Name and code of each account.
    accounts: Vec<(String, String)>,
}

fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let add = [
        "user",
        "add",
        OFFICER.0,
        "--role",
        "privacy-officer",
        "--secret-stdin",
    ];
    act(&server, &add, Some(OFFICER.1))?;
    let made = act(&server, &["emergency-account", "make", "--count", "3"], None)?;
    let accounts: Vec<(String, String)> = serde_json::from_value(json!(
        made["emergency_accounts"]
            .as_array()
            .context("accounts")?
            .iter()
            .map(|a| json!([a["user"], a["code"]]))
            .collect::<Vec<_>>()
    ))?;
    let stations =
        ["ed-07", "ed-08"].map(|name| Station::enrol(&server, &server.url(), &dir.path().join(name), "ED"));
    let [one, two] = stations;
    let stations = [one?, two?];
    for station in &stations {
        station.sync()?;
    }
    let nurse = person(&seed, "nurse", "ED")?;
    let patients = seed["patients"].as_array().context("patients")?;
    let patient = patients.iter().find(|p| p["ward"] == "ED").context("of the ED")?;
    Ok(World {
        server,
        stations,
        nurse,
        patient: patient["id"].as_str().context("id")?.to_owned(),
        accounts,
        _dir: dir,
    })
}

fn accounts(w: &World) -> Result<Vec<Value>> {
    let list = act(&w.server, &["emergency-account", "list"], None)?;
    Ok(list["emergency_accounts"].as_array().context("accounts")?.clone())
}

fn state(all: &[Value], user: &str) -> String {
    let found = all.iter().find(|a| a["user"] == user);
    found.map_or_else(String::new, |a| {
        a["state"].as_str().unwrap_or_default().to_owned()
    })
}

#[test]
fn an_envelope_opens_cards_while_the_server_is_gone_and_is_told_first_of_all_when_it_is_back() -> Result<()> {
    let mut w = world()?;
    ensure!(w.accounts.len() == 3 && w.accounts.iter().all(|(_, code)| code.len() == 8));
    ensure!(accounts(&w)?.iter().all(|a| a["state"] == "sealed"));
    let (user, code) = w.accounts[0].clone();
    let ask = emergency(&user, &w.patient, NAME);

    // The server answers: neither card nor session.
    let (exit, words) = w.stations[0].refused(&ask, Some(&code))?;
    ensure!(exit == 6 && words.contains("it answers"), "{exit} {words}");
    let (exit, words) = w.stations[0].refused(&["login", "--user", &user, "--secret-stdin"], Some(&code))?;
    ensure!(exit == 6 && words.contains("signs nobody in"), "{exit} {words}");

    // It is gone. A nurse breaks the glass first, so that something waits before it.
    w.server.kill();
    let nurse = w.nurse.clone();
    w.stations[0].emergency(&w.patient, &nurse)?;
    let (exit, words) = w.stations[0].refused(&emergency(&user, &w.patient, "x"), Some(&code))?;
    ensure!(
        exit == 2 && words.contains("where you are from"),
        "{exit} {words}"
    );
    for _ in 0..2 {
        let card = w.stations[0].cli(&ask, Some(&code))?;
        ensure!(card.to_string().contains(NAME), "{card}");
    }
    let (_, words) = w.stations[0].refused(&emergency(&user, &w.patient, "Al Brown, agency"), Some(&code))?;
    ensure!(words.contains("another name"), "{words}");
    let chart = w.stations[0].refused(&["chart", &w.patient], None)?;
    ensure!(chart.0 != 0, "{chart:?}");
    // The other workstation cannot know: what it opens there is told too.
    w.stations[1].cli(&emergency(&user, &w.patient, "Al Brown, agency"), Some(&code))?;

    // It is back.
    w.server.restart()?;
    for station in &w.stations {
        station.sync()?;
    }
    let all = accounts(&w)?;
    ensure!(
        state(&all, &user) == "opened" && state(&all, &w.accounts[1].0) == "sealed",
        "{all:?}"
    );
    let opened = all.iter().find(|a| a["user"] == user).context("it")?;
    ensure!(
        opened["declared"] == json!(["Al Brown, agency", NAME])
            && opened["broken_glass"] == 3
            && opened["workstations"].as_array().is_some_and(|w| w.len() == 2),
        "{opened}"
    );
    let list = act(&w.server, &["review", "list", "--by", OFFICER.0], Some(OFFICER.1))?;
    let reviews = list["reviews"].as_array().context("reviews")?;
    let names: Vec<&str> = reviews
        .iter()
        .map(|r| r["declared"].as_str().unwrap_or("-"))
        .collect();
    ensure!(
        names.len() == 4 && names[3] == "-" && names.iter().filter(|n| **n == NAME).count() == 2,
        "before the nurse, who broke it first: {names:?}"
    );
    ensure!(
        reviews.iter().take(3).all(|r| r["owes_words"] == false),
        "nobody could add any: {reviews:?}"
    );
    ensure!(
        reviews.iter().all(|r| r["refused"].is_null()),
        "each of them gave access: {reviews:?}"
    );
    let shown = act(
        &w.server,
        &[
            "review",
            "show",
            reviews[0]["id"].as_str().context("id")?,
            "--by",
            OFFICER.0,
        ],
        Some(OFFICER.1),
    )?;
    ensure!(shown["evidence"]["role"] == "emergency-account", "{shown}");

    // Once more without it: this envelope is nobody's any more, and one that was withdrawn is not either.
    act(
        &w.server,
        &["emergency-account", "withdraw", &w.accounts[1].0],
        None,
    )?;
    for station in &w.stations {
        station.sync()?;
    }
    w.server.kill();
    for (user, code) in &w.accounts[..2] {
        for station in &w.stations {
            let (exit, words) = station.refused(&emergency(user, &w.patient, NAME), Some(code))?;
            ensure!(exit == 6 && words.contains("disabled"), "{user}: {exit} {words}");
        }
    }
    let (user, code) = &w.accounts[2];
    w.stations[0].cli(&emergency(user, &w.patient, NAME), Some(code))?;
    Ok(())
}

#[tokio::test]
async fn the_server_lets_nobody_in_with_one() -> Result<()> {
    let w = world()?;
    let (user, code) = &w.accounts[0];
    let http = w.server.http()?;
    // At the console only passwords count, and nobody has this one.
    let asked = json!({"user": user, "secret": code});
    let answer = http
        .post(format!("{}/console/api/session", w.server.url()))
        .header("origin", w.server.url())
        .header("x-vitrine-console", "1")
        .json(&asked)
        .send()
        .await?;
    ensure!(!answer.status().is_success(), "{}", answer.status());
    // As a role of a person it is refused.
    let add = [
        "user",
        "add",
        "x.y",
        "--role",
        "emergency-account",
        "--data",
        &text(&w.server.data),
    ];
    let out = run("vitrine-server", &add, None)?;
    let words = String::from_utf8_lossy(&out.stderr);
    ensure!(
        out.status.code() == Some(2) && words.contains("emergency-account make"),
        "{words}"
    );
    let many = [
        "emergency-account",
        "make",
        "--count",
        "201",
        "--data",
        &text(&w.server.data),
    ];
    ensure!(run("vitrine-server", &many, None)?.status.code() == Some(2));
    let Err(e) = act(&w.server, &["emergency-account", "withdraw", "lee"], None) else {
        bail!("lee is a person")
    };
    ensure!(format!("{e:#}").contains("no emergency account"), "{e:#}");
    let gone = act(&w.server, &["emergency-account", "withdraw", "--all"], None)?;
    ensure!(
        gone["withdrawn"].as_array().is_some_and(|g| g.len() == 3),
        "{gone}"
    );
    Ok(())
}
