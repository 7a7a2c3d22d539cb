//! Vital signs that were signed and are wrong: marked without the server, struck through in the record once it is back, never twice,
//! and never over a value that says something else by then.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use vitrine_engine::{Options, Workstation};
use vitrine_tests::lab::Lab;
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
}

/// Two workstations with the whole record of a patient, in whose chart somebody recorded another's vital signs.
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
    let set = ["pulse=187", "systolic=121", "diastolic=79"];
    let words: Vec<&str> = ["record", "vitals", &patient].into_iter().chain(set).collect();
    here.by(&nurse, &words)?;
    here.sync()?;
    there.sync()?;
    let w = World {
        _dir: dir,
        server,
        here,
        there,
        nurse,
        doctor,
        patient,
    };
    w.point(&w.here, &w.nurse, "HR")?;
    w.point(&w.there, &w.doctor, "HR")?;
    Ok(w)
}

/// The newest point of a row of the flowsheet, withdrawn ones too.
fn newest(chart: &Value, label: &str) -> Result<Value> {
    let rows = chart["flowsheet"]["series"]["items"].as_array();
    let row = rows.into_iter().flatten().find(|r| r["label"] == label);
    Ok(row.with_context(|| format!("no {label} in {chart}"))?["points"][0].clone())
}

impl World {
    fn chart(&self, station: &Station, who: &Person) -> Result<Value> {
        station.by(who, &["chart", &self.patient, "--wait", "10"])
    }

    /// The newest point of a row of the flowsheet, withdrawn ones too.
    fn point(&self, station: &Station, who: &Person, label: &str) -> Result<Value> {
        newest(&self.chart(station, who)?, label)
    }

    /// The same, once the record here has it: a chart opens with what is here, and what has changed comes after.
    async fn point_once(
        &self,
        (station, who): (&Station, &Person),
        label: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let options = Options {
            sync: true,
            ..Options::default()
        };
        let engine = Workstation::open(&station.profile, options)?;
        engine.sign_in(&who.user, &who.pin).await?;
        let mut last = Value::Null;
        for _ in 0..80 {
            let chart = serde_json::to_value(engine.chart(&self.patient).await?)?;
            last = newest(&chart, label)?;
            if is(&last) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(last)
    }

    /// Marks the newest value of these rows.
    fn mark(&self, station: &Station, who: &Person, labels: &[&str]) -> Result<Value> {
        let mut words = vec![
            "record".to_owned(),
            "vitals-error".to_owned(),
            self.patient.clone(),
        ];
        for label in labels {
            let point = self.point(station, who, label)?;
            let source = point["source"]
                .as_str()
                .with_context(|| format!("it can be marked: {point}"))?;
            words.extend(["--value".to_owned(), source.to_owned()]);
        }
        words.extend(["--why", "other-patient", "--words", "bed 4's"].map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        station.by(who, &words)
    }

    async fn of_record(&self, kind: &str) -> Result<Vec<Value>> {
        let http = self.server.http()?;
        let token = self.server.token(&http).await?;
        let url = format!("{}/fhir/Patient/{}/$everything", self.server.url(), self.patient);
        let answer = http.get(url).bearer_auth(token).send().await?;
        let all: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let of = all["entry"].as_array().into_iter().flatten();
        let of = of.map(|e| e["resource"].clone());
        Ok(of.filter(|r| r["resourceType"] == kind).collect())
    }

    async fn marks(&self) -> Result<Vec<Value>> {
        let tasks = self.of_record("Task").await?;
        let is = |t: &Value| t["code"]["coding"][0]["code"] == "vital-signs-in-error";
        Ok(tasks.into_iter().filter(is).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marked_offline_it_is_struck_through_in_the_record_and_both_may_say_so() -> Result<()> {
    let mut w = world()?;
    w.server.kill();
    let signed = w.mark(&w.here, &w.nurse, &["HR", "BP"])?;
    assert_eq!(signed["state"], "queued");
    assert_eq!(
        signed["lines"],
        json!([
            "HR 187 /min: entered in error",
            "BP 121/79 mmHg: entered in error",
            "because: another patient's: bed 4's"
        ])
    );
    // It stands until the server has the mark, and says that it is marked; nobody marks it again on top of that.
    let point = w.point(&w.here, &w.nurse, "HR")?;
    assert_eq!(point["value"], "187");
    let status = point["status_text"].as_str().context("marked")?;
    ensure!(
        status.contains("marked as wrong here") && status.ends_with("NOT SENT"),
        "{status}"
    );
    assert_eq!(point["source"], Value::Null);
    let newest = w.chart(&w.here, &w.nurse)?["vitals"].to_string();
    ensure!(newest.contains("marked as wrong here"), "{newest}");
    // Somebody else sees the same at another workstation, and does the same, with one value.
    assert_eq!(w.mark(&w.there, &w.doctor, &["HR"])?["state"], "queued");

    w.server.restart()?;
    for station in [&w.here, &w.there] {
        let status = station.sync()?;
        assert_eq!(
            status["entries"],
            json!({"queued": 0, "rejected": 0, "oldest_ms": null}),
            "{status}"
        );
    }
    w.here.sync()?;
    for (station, who) in [(&w.here, &w.nurse), (&w.there, &w.doctor)] {
        for (label, was) in [("HR", "187"), ("BP", "121/79")] {
            let point = w
                .point_once((station, who), label, |p| p["withdrawn"] == true)
                .await?;
            assert_eq!(point["withdrawn"], true, "{point}");
            assert_eq!(point["status_text"], "entered in error");
            assert_eq!(point["earlier"][0]["value"], was);
            let reason = point["earlier"][0]["reason_text"].as_str().unwrap_or_default();
            ensure!(
                reason.contains("entered in error: another patient's: bed 4's"),
                "{point}"
            );
            assert_eq!(point["source"], Value::Null);
        }
        let chart = w.chart(station, who)?;
        ensure!(
            !chart["vitals"].to_string().contains("187"),
            "{}",
            chart["vitals"]
        );
        let card = station.emergency(&w.patient, who)?;
        ensure!(!card["vitals"].to_string().contains("187"), "{card}");
    }
    assert_eq!(w.marks().await?.len(), 2, "who said so, both");
    let observations = w.of_record("Observation").await?;
    let marked: Vec<&Value> = observations
        .iter()
        .filter(|o| o["status"] == "entered-in-error")
        .collect();
    assert_eq!(marked.len(), 2);
    for o in marked {
        assert_eq!(
            o["note"].as_array().map(Vec::len),
            Some(1),
            "once, however many said so: {o}"
        );
        ensure!(
            o["note"][0]["authorString"]
                .as_str()
                .is_some_and(|a| a.contains('('))
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_something_else_by_then_is_not_marked_and_the_marker_is_told() -> Result<()> {
    let mut w = world()?;
    let recorded = w.of_record("Observation").await?;
    let pulse = recorded
        .iter()
        .find(|o| o["valueQuantity"]["value"] == 187)
        .context("the pulse")?;
    w.server.kill();
    assert_eq!(w.mark(&w.here, &w.nurse, &["HR"])?["state"], "queued");
    w.server.restart()?;
    // The record system corrects the value before the workstation is back.
    let lab = Lab::connect(&w.server, w.patient.clone()).await?;
    let mut corrected = pulse.clone();
    corrected["valueQuantity"]["value"] = json!(87);
    corrected["status"] = json!("corrected");
    let url = format!(
        "{}/fhir/Observation/{}",
        w.server.url(),
        pulse["id"].as_str().unwrap_or_default()
    );
    let answer = lab
        .http
        .put(url)
        .bearer_auth(&lab.token)
        .header("content-type", "application/fhir+json")
        .body(corrected.to_string())
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    let status = w.here.sync()?;
    assert_eq!(status["entries"]["rejected"], 1, "{status}");
    let list = w.here.by(&w.nurse, &["entries"])?;
    let reason = list["entries"][0]["reason_text"].as_str().context("why")?;
    ensure!(
        reason.contains("does not say HR 187 /min any more"),
        "what to do about it: {reason}"
    );
    w.here.sync()?;
    let point = w
        .point_once((&w.here, &w.nurse), "HR", |p| p["value"] == "87")
        .await?;
    assert_eq!(point["value"], "87", "{point}");
    assert_eq!(w.marks().await?.len(), 0);
    Ok(())
}
