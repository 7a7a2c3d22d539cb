//! An allergy that two workstations change while the server is away: nobody's word is lost, it stays an allergy on every workstation
//! and in an emergency, until a person decides (design: capability S4, screens 11).

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Person, Station, person};

struct World {
    _dir: tempfile::TempDir,
    server: Server,
    here: Station,
    there: Station,
    nurse: Person,
    doctor: Person,
    patient: String,
    allergy: String,
}

const AGENT: &str = "Metamizole";

/// Two workstations of a ward, and an allergy that came from one of them and is in the record.
fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let (server, seed) = Server::demo(&dir.path().join("server"))?;
    let here = Station::enrol(&server, &server.url(), &dir.path().join("ed-07"), "ED")?;
    let there = Station::enrol(&server, &server.url(), &dir.path().join("ed-08"), "ED")?;
    let (nurse, doctor) = (person(&seed, "nurse", "ED")?, person(&seed, "physician", "ED")?);
    here.sync()?;
    there.sync()?;
    let board = here.first_board(&nurse)?;
    there.first_board(&doctor)?;
    let patient = board["rows"][0]["patient"]
        .as_str()
        .context("a patient of the ED")?
        .to_owned();
    let words = ["record", "allergy", &patient, AGENT, "--reaction", "hives"];
    here.by(&nurse, &words)?;
    here.sync()?;
    there.sync()?;
    let mut w = World {
        _dir: dir,
        server,
        here,
        there,
        nurse,
        doctor,
        patient,
        allergy: String::new(),
    };
    let item = w.item(&w.here, &w.nurse)?.context("it is in the record")?;
    item["source"]
        .as_str()
        .context("it can be changed")?
        .clone_into(&mut w.allergy);
    Ok(w)
}

impl World {
    fn strip(&self, station: &Station, who: &Person) -> Result<Value> {
        let chart = station.by(who, &["chart", &self.patient, "--wait", "0"])?;
        Ok(chart["allergies"].clone())
    }

    fn item(&self, station: &Station, who: &Person) -> Result<Option<Value>> {
        let strip = self.strip(station, who)?;
        let items = strip["items"].as_array().cloned().unwrap_or_default();
        Ok(items.into_iter().find(|i| i["agent"] == AGENT))
    }

    fn change(&self, station: &Station, who: &Person, more: &[&str]) -> Result<Value> {
        let mut words = vec!["record", "allergy-change", &self.patient, &self.allergy];
        words.extend(more);
        station.by(who, &words)
    }

    /// The allergy on the card of an emergency, by somebody of nowhere.
    fn in_an_emergency(&self, station: &Station) -> Result<Value> {
        let card = station.by(
            &self.nurse,
            &["emergency", &self.patient, "--reason", "life-threatening"],
        )?;
        let items = card["allergies"]["items"].as_array().cloned().unwrap_or_default();
        items
            .into_iter()
            .find(|i| i["agent"] == AGENT)
            .context("an allergy is missing in an emergency")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_that_contradict_each_other_are_both_kept_until_a_person_decides() -> Result<()> {
    let mut w = world()?;
    w.server.kill();
    // Each rests on what it had read: reported, hives.
    let refuted = ["--standing", "refuted", "--because", "skin test negative"];
    assert_eq!(w.change(&w.there, &w.doctor, &refuted)?["state"], "queued");
    let confirmed = [
        "--standing",
        "confirmed",
        "--because",
        "seen at triage",
        "--reaction",
        "wheeze",
        "--severity",
        "severe",
    ];
    assert_eq!(w.change(&w.here, &w.nurse, &confirmed)?["state"], "queued");
    // Unsent, it takes nothing away: the allergy stands, and says what was recorded of it here.
    let item = w.item(&w.there, &w.doctor)?.context("it stands")?;
    let unsent = item["unsent_text"].as_str().context("marked")?;
    ensure!(
        unsent.contains("refuted") && unsent.contains("NOT SENT"),
        "{unsent}"
    );
    assert_eq!(item["source"], Value::Null, "no second change on top of it");

    w.server.restart()?;
    // The refutation is there first.
    w.there.sync()?;
    assert_eq!(w.item(&w.there, &w.doctor)?, None);
    let strip = w.strip(&w.there, &w.doctor)?;
    let apart = &strip["refuted"][0];
    assert_eq!(apart["why_text"], "because: skin test negative");
    assert_eq!(apart["source"], json!(w.allergy), "it can stand again");
    w.here.sync()?;
    w.there.sync()?;
    for (station, who) in [(&w.here, &w.nurse), (&w.there, &w.doctor)] {
        let item = w.item(station, who)?.context("a disputed allergy is one")?;
        ensure!(
            item["disputed_text"]
                .as_str()
                .is_some_and(|t| t.starts_with("DISPUTED")),
            "{item}"
        );
        let strip = w.strip(station, who)?;
        assert_eq!(strip["state"], "known");
        let d = &strip["disputes"][0];
        assert_eq!(d["base"]["standing_text"], "unconfirmed");
        assert_eq!(d["record"]["standing_text"], "refuted");
        assert_eq!(d["record"]["reason_text"], "skin test negative");
        assert_eq!(d["change"]["standing"], "confirmed");
        ensure!(
            d["change"]["reaction_text"]
                .as_str()
                .is_some_and(|t| t.contains("wheeze, severe"))
        );
        assert_eq!(station.by(who, &["entries"])?["entries"], json!([]));
        let card = w.in_an_emergency(station)?;
        assert_eq!(card["disputed"], true);
    }
    // The record itself has both words.
    let http = w.server.http()?;
    let token = w.server.token(&http).await?;
    let all: Value = http
        .get(format!(
            "{}/fhir/Patient/{}/$everything",
            w.server.url(),
            w.patient
        ))
        .bearer_auth(token)
        .send()
        .await?
        .json()
        .await?;
    let tasks = all["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| &e["resource"])
        .filter(|r| r["resourceType"] == "Task" && r["code"]["coding"][0]["code"] == "change-allergy");
    let mut states: Vec<&str> = tasks.filter_map(|t| t["status"].as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["completed", "requested"]);

    // It can only be decided, not changed beside that.
    ensure!(w.change(&w.here, &w.nurse, &refuted).is_err());
    let dispute = w.strip(&w.there, &w.doctor)?["disputes"][0]["dispute"]
        .as_str()
        .context("the dispute")?
        .to_owned();
    w.server.kill();
    let decide = |standing: &'static str| {
        [
            "--standing",
            standing,
            "--because",
            "asked the practice",
            "--settles",
        ]
        .into_iter()
        .map(str::to_owned)
        .chain([dispute.clone()])
        .collect::<Vec<_>>()
    };
    let take = decide("confirmed");
    let take: Vec<&str> = take.iter().map(String::as_str).collect();
    let signed = w.change(&w.there, &w.doctor, &take)?;
    ensure!(
        signed["lines"].to_string().contains("wheeze, severe"),
        "who takes the other change takes its reaction: {signed}"
    );
    w.server.restart()?;
    w.there.sync()?;
    w.here.sync()?;
    for (station, who) in [(&w.here, &w.nurse), (&w.there, &w.doctor)] {
        let item = w.item(station, who)?.context("it is one")?;
        assert_eq!(item["disputed_text"], Value::Null);
        assert_eq!(item["standing"], "confirmed");
        ensure!(
            item["detail_text"]
                .as_str()
                .is_some_and(|t| t.contains("hives") && t.contains("wheeze"))
        );
        assert_eq!(w.strip(station, who)?["disputes"], json!([]));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_still_says_the_same_is_simply_made_and_once() -> Result<()> {
    let mut w = world()?;
    w.server.kill();
    w.change(
        &w.here,
        &w.nurse,
        &["--standing", "resolved", "--because", "tolerated since 2024"],
    )?;
    w.server.restart()?;
    w.here.sync()?;
    w.here.sync()?;
    w.there.sync()?;
    for (station, who) in [(&w.here, &w.nurse), (&w.there, &w.doctor)] {
        assert_eq!(w.item(station, who)?, None, "it has gone");
        assert_eq!(w.strip(station, who)?["disputes"], json!([]));
    }
    Ok(())
}
