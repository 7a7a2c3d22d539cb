//! A hospital and a workstation to measure on.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use vitrine_engine::{BreakGlass, Identity, Options, Workstation};
use vitrine_tests::server::{Server, free_port, run_json, text};
use vitrine_tests::station::{Person, Station, person};
use zeroize::Zeroizing;

/// What every figure stands on.
pub const SETUP: &str = "release, loopback TLS 1.3, SQLCipher both ends, audit row per access, policy on";

/// A server with the synthetic hospital.
pub struct World {
    /// Temporary folder of everything.
    pub dir: tempfile::TempDir,
    /// The server process.
    pub server: Server,
    /// Staff and patients.
    pub seed: Value,
    /// Runtime of the workstations.
    pub runtime: tokio::runtime::Runtime,
}

impl World {
    /// Seeds so many patients, and the heavy one with so many resources.
    pub fn new(patients: u64, heavy: Option<u64>) -> Result<Self> {
        Self::with(patients, heavy, "")
    }

    /// The same with a server that is configured so.
    pub fn with(patients: u64, heavy: Option<u64>, config: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("server");
        let mut args = vec!["demo".to_owned(), "--data".into(), text(&data), "--json".into()];
        args.extend(["--patients".into(), patients.to_string()]);
        if let Some(n) = heavy {
            args.extend(["--heavy".into(), n.to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let seed = run_json("vitrine-server", &args, None)?;
        if !config.is_empty() {
            std::fs::write(data.join("vitrine.toml"), config)?;
        }
        let server = Server::start(&data, free_port()?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self {
            dir,
            server,
            seed,
            runtime,
        })
    }

    /// Somebody of the ED.
    pub fn nurse(&self) -> Result<Person> {
        person(&self.seed, "nurse", "ED")
    }

    /// So many further patients in the ED, with a name and a place; gives their ids.
    pub fn admit(&self, patients: usize) -> Result<Vec<String>> {
        let http = self.server.http()?;
        let token = self.runtime.block_on(self.server.token(&http))?;
        for n in 0..patients {
            let sent = http
                .post(format!("{}/fhir", self.server.url()))
                .bearer_auth(&token)
                .header("content-type", "application/fhir+json")
                .body(placed(n).to_string())
                .send();
            let answer = self.runtime.block_on(sent)?;
            anyhow::ensure!(answer.status().is_success(), "a patient: {}", answer.status());
        }
        Ok((0..patients).map(admitted).collect())
    }

    /// Enrols a workstation at `url` and waits until it is current.
    pub fn station(&self, name: &str, url: &str) -> Result<Workstation> {
        let profile = self.dir.path().join(name);
        Station::enrol(&self.server, url, &profile, "ED")?;
        let w = self.open(&profile)?;
        let current = self.runtime.block_on(w.wait_current(Duration::from_secs(600)))?;
        anyhow::ensure!(current, "{name} did not become current");
        Ok(w)
    }

    /// The same with somebody of the ED signed in.
    pub fn signed_in(&self) -> Result<(Workstation, Person)> {
        let (station, nurse) = (self.station("ed-07", &self.server.url())?, self.nurse()?);
        self.runtime
            .block_on(station.sign_in(&nurse.user, &nurse.password))?;
        Ok((station, nurse))
    }

    /// Opens an enrolled profile.
    pub fn open(&self, profile: &Path) -> Result<Workstation> {
        let options = Options {
            runtime: Some(self.runtime.handle().clone()),
            ballast_bytes: 0,
            ..Options::default()
        };
        Workstation::open(profile, options).map_err(Into::into)
    }

    /// Ids of patients that lie in a ward.
    pub fn patients(&self, n: u64) -> Vec<String> {
        (0..n).map(vitrine_synthetic::patient_id).collect()
    }
}

/// A patient in the ED, as a transaction.
fn placed(n: usize) -> serde_json::Value {
    let id = admitted(n);
    serde_json::json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Patient", "id": id, "name": [{"family": format!("Bench{n}"), "given": ["A"]}]},
         "request": {"method": "PUT", "url": format!("Patient/{id}")}},
        {"resource": {"resourceType": "Encounter", "id": format!("enc-{id}"), "status": "in-progress",
            "class": {"code": "EMER"}, "subject": {"reference": format!("Patient/{id}")},
            "location": [{"location": {"reference": "Location/ED"}, "status": "active"}],
            "period": {"start": "2026-11-20T08:00:00Z"}},
         "request": {"method": "PUT", "url": format!("Encounter/enc-{id}")}},
    ]})
}

/// Id of the patient that [`World::admit`] makes as its `n`th.
fn admitted(n: usize) -> String {
    format!("bench-{n}")
}

/// A request by PIN, as from the lock screen.
pub fn by_pin(patient: &str, who: &Person) -> BreakGlass {
    BreakGlass {
        patient: patient.to_owned(),
        reason: "life-threatening".to_owned(),
        words: None,
        identity: Identity::UserSecret {
            user: who.user.clone(),
            secret: Zeroizing::new(who.pin.clone()),
            badge: None,
        },
    }
}

/// Milliseconds since `from`.
pub fn ms(from: std::time::Instant) -> f64 {
    from.elapsed().as_secs_f64() * 1000.0
}

/// Bytes of all files of a folder.
pub fn size(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for e in std::fs::read_dir(dir).context("folder")? {
        let e = e?;
        let m = e.metadata()?;
        sum += if m.is_dir() { size(&e.path())? } else { m.len() };
    }
    Ok(sum)
}
