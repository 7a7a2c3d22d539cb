//! The hospital of the walk, and what its server says by its other interfaces.

use super::{Dice, Shown, sorted};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_tests::server::Server;
use vitrine_tests::station::{Person, Station, person};
use vitrine_tests::thin::{Cache, Device, Thin, Told, trusting};

/// Patients of the synthetic hospital.
const PATIENTS: u64 = 60;
const PARTS: &str = "multipart/related; type=\"application/dicom\"; boundary=part";
const HEART_RATE: &str = "8867-4";

/// A server, and what it says.
pub struct Truth {
    pub rt: Runtime,
    pub server: Server,
    http: reqwest::Client,
    token: String,
    witness: Arc<Device>,
    pub nurse: Person,
    /// Patients of the ward, and of others.
    pub here: Vec<String>,
    pub elsewhere: Vec<String>,
    /// Who has images.
    pub pictured: String,
    /// Words a search is made of.
    pub words: Vec<String>,
    pub cards: BTreeMap<String, u64>,
    /// Versions of the rows of the board, as another workstation is sent them.
    pub board: BTreeMap<String, u64>,
    /// Each state a record was in, by how many resources it had: every write adds one.
    pub records: BTreeMap<String, BTreeMap<u32, Shown>>,
}

impl Truth {
    /// A hospital with a workstation enrolled in `profile`.
    pub fn new(dir: &Path, profile: &Path) -> Result<Self> {
        let (server, seeded) = Server::demo(&dir.join("server"))?;
        let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let http = server.http()?;
        let token = rt.block_on(server.token(&http))?;
        let nurse = person(&seeded, "nurse", "ED")?;
        Station::enrol(&server, &server.url(), profile, "ED")?;
        let witness = rt.block_on(Device::enrol(&server, &http, "ED"))?;
        let mut truth = Self {
            rt,
            server,
            http,
            token,
            witness: Arc::new(witness),
            nurse,
            here: Vec::new(),
            elsewhere: Vec::new(),
            pictured: String::new(),
            words: ["a", "li", "19", "mar", "ng", "zzz", ""]
                .map(str::to_owned)
                .into(),
            cards: BTreeMap::new(),
            board: BTreeMap::new(),
            records: BTreeMap::new(),
        };
        truth.images(&seeded)?;
        truth.learn()?;
        let here: BTreeSet<&String> = truth.board.keys().collect();
        let elsewhere = truth.cards.keys().filter(|p| !here.contains(p));
        truth.elsewhere = elsewhere.take(8).cloned().collect();
        // Few enough that each is opened again, and none of more resources than a row names one by one.
        let fits = |p: &&String| truth.records_of(p).is_ok_and(|r| r.len() < 900);
        let mut some: Vec<String> = truth.board.keys().filter(fits).take(6).cloned().collect();
        if !some.contains(&truth.pictured) {
            some.push(truth.pictured.clone());
        }
        for patient in &some {
            truth.record(patient)?;
        }
        truth.here = some;
        Ok(truth)
    }

    /// Gives somebody of the ward a CT.
    fn images(&mut self, seeded: &Value) -> Result<()> {
        let patients = seeded["patients"].as_array().context("patients")?;
        let of = patients
            .iter()
            .find(|p| p["ward"] == "ED")
            .context("a patient of the ED")?;
        let (given, family) = of["name"]
            .as_str()
            .and_then(|n| n.rsplit_once(' '))
            .context("name")?;
        let mut ct = Phantom::new(Kind::Ct, 1);
        (ct.rows, ct.columns, ct.count) = (128, 128, 3);
        ct.subject = Subject {
            id: of["mrn"].as_str().context("mrn")?.to_owned(),
            name: format!("{family}^{given}"),
            study_date: "20261012".to_owned(),
            study_time: "081400".to_owned(),
            ..Subject::default()
        };
        self.pictured = of["id"].as_str().context("id")?.to_owned();
        self.words.push(family.to_owned());
        for n in 0..ct.files() {
            let mut body = b"--part\r\nContent-Type: application/dicom\r\n\r\n".to_vec();
            ct.write(n, &mut body)?;
            body.extend_from_slice(b"\r\n--part--\r\n");
            let asked = self.http.post(format!("{}/dicomweb/studies", self.server.url()));
            let asked = asked
                .bearer_auth(&self.token)
                .header("content-type", PARTS)
                .body(body);
            let status = self.rt.block_on(async { asked.send().await })?.status();
            ensure!(status == 200, "STOW: {status}");
        }
        // Until its pictures can be given.
        let path = format!(
            "{}/dicomweb/studies/{}/thumbnail",
            self.server.url(),
            ct.study_uid()
        );
        for _ in 0..600 {
            let asked = self
                .http
                .get(&path)
                .bearer_auth(&self.token)
                .header("accept", "image/jpeg");
            if self.rt.block_on(async { asked.send().await })?.status() == 200 {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        anyhow::bail!("no picture of the CT")
    }

    fn get(&self, path: &str) -> Result<Value> {
        let asked = self
            .http
            .get(format!("{}{path}", self.server.url()))
            .bearer_auth(&self.token);
        self.rt.block_on(async {
            let answer = asked.send().await?;
            ensure!(answer.status().is_success(), "{path}: {}", answer.status());
            Ok(serde_json::from_slice(&answer.bytes().await?)?)
        })
    }

    /// The resources of a record as FHIR gives them.
    fn records_of(&self, patient: &str) -> Result<Shown> {
        let mut out = Vec::new();
        let mut path = format!("/fhir/Patient/{patient}/$everything?_count=1000");
        loop {
            let page = self.get(&path)?;
            for entry in page["entry"].as_array().into_iter().flatten() {
                let r = &entry["resource"];
                let name = |n: &str| r[n].as_str().context("a resource");
                let version = r["meta"]["versionId"].as_str().context("a version")?.parse()?;
                out.push((format!("{}/{}", name("resourceType")?, name("id")?), version));
            }
            let next = page["link"]
                .as_array()
                .and_then(|l| l.iter().find(|l| l["relation"] == "next"));
            let Some(next) = next.and_then(|l| l["url"].as_str()) else {
                return Ok(sorted(out));
            };
            path = next[next.find("/fhir").context("a page")?..].to_owned();
        }
    }

    /// Notes the state that a record is in now.
    fn record(&mut self, patient: &str) -> Result<()> {
        let now = self.records_of(patient)?;
        let n = u32::try_from(now.len())?;
        let known = self.records.entry(patient.to_owned()).or_default().insert(n, now);
        ensure!(known.is_none(), "two states of {n} resources");
        Ok(())
    }

    /// Cards and board as they are now.
    pub fn learn(&mut self) -> Result<()> {
        let thin = Thin {
            device: Arc::clone(&self.witness),
            cache: Cache::default(),
            seed: 1,
        };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let tls = trusting(&self.server)?;
        let line = thin.connect(self.server.addr, tls, stopped, move |told| {
            if matches!(told, Told::Current(_)) {
                stop.send_replace(true);
            }
        });
        let cache = self.rt.block_on(line)?.cache;
        self.cards.clear();
        for n in 0..PATIENTS {
            let patient = vitrine_synthetic::patient_id(n);
            let card = self.get(&format!("/emergency/{patient}"))?;
            let version = card["version"].as_u64().context("a card's version")?;
            self.cards.insert(patient.clone(), version);
        }
        let of = |p: &String| Some((p.clone(), cache.item("board:ED", p)?));
        self.board = self.cards.keys().filter_map(of).collect();
        Ok(())
    }

    /// Vital signs for somebody, and the one before written anew: card, board and record change.
    pub fn write(&mut self, dice: &mut Dice) -> Result<()> {
        let patient = dice.of(&self.here).clone();
        let n = self.records[&patient].len();
        let put = |n: usize, value: usize| {
            let id = format!("walk-{patient}-{n}");
            json!({"request": {"method": "PUT", "url": format!("Observation/{id}")}, "resource": {
                "resourceType": "Observation", "id": id, "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": HEART_RATE}]},
                "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
                "subject": {"reference": format!("Patient/{patient}")},
                "effectiveDateTime": "2026-11-20T10:00:00Z",
                "valueQuantity": {"value": value, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}}})
        };
        let value = 60 + dice.roll(60);
        let mut entries = vec![put(n, value)];
        if n > 1 {
            entries.push(put(n - 1, value + 1));
        }
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let asked = self
            .http
            .post(format!("{}/fhir", self.server.url()))
            .bearer_auth(&self.token);
        let asked = asked
            .header("content-type", "application/fhir+json")
            .body(bundle.to_string());
        let status = self.rt.block_on(async { asked.send().await })?.status();
        ensure!(status.is_success(), "a write: {status}");
        self.record(&patient)
    }
}
