//! The FHIR API by itself: each interaction with 1, 16 and 64 connections, on both stores, and `$everything` of one very long record.

use crate::report::Report;
use crate::stores::{Hospital, SETUP, hospital};
use crate::world::{SETUP as EMBEDDED, World, ms};
use anyhow::{Result, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Resources of the long record.
const LONG: u64 = 131_000;

/// What one request of a kind is.
#[derive(Clone)]
struct Asking {
    http: Client,
    base: String,
    token: String,
    patients: u64,
    next: Arc<AtomicU64>,
}

impl Asking {
    fn ask(&self, method: Method, at: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/fhir/{at}", self.base))
            .bearer_auth(&self.token)
    }

    fn patient(&self, k: u64) -> String {
        vitrine_synthetic::patient_id(k % self.patients)
    }

    /// A laboratory value under an id of its own; the same `k` gives the same id with another value for another `turn`.
    fn lab(&self, k: u64, turn: u64) -> Value {
        let at = format!("2026-11-20T{:02}:{:02}:00Z", k / 60 % 24, k % 60);
        json!({
            "resourceType": "Observation", "id": format!("bench-{k}"), "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "Potassium"},
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
            "subject": {"reference": format!("Patient/{}", self.patient(k))}, "effectiveDateTime": at,
            "valueQuantity": {"value": 4 + turn % 3, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
        })
    }

    fn request(&self, what: What) -> RequestBuilder {
        let k = self.next.fetch_add(1, Ordering::Relaxed);
        let known = k % KNOWN;
        let sent = |r: RequestBuilder, media: &str, body: Value| {
            r.header("content-type", media).body(body.to_string())
        };
        let fhir = "application/fhir+json";
        match what {
            What::Read => self.ask(Method::GET, &format!("Observation/bench-{known}")),
            What::Create => {
                let mut new = self.lab(k, 0);
                if let Some(o) = new.as_object_mut() {
                    o.remove("id");
                }
                sent(self.ask(Method::POST, "Observation"), fhir, new)
            }
            What::Update => {
                let at = format!("Observation/bench-{known}");
                sent(self.ask(Method::PUT, &at), fhir, self.lab(known, k))
            }
            What::Patch => {
                let at = format!("Observation/bench-{known}");
                let body = json!([{"op": "replace", "path": "/valueQuantity/value", "value": 4 + k % 3}]);
                sent(self.ask(Method::PATCH, &at), "application/json-patch+json", body)
            }
            What::SearchRecord => self.ask(
                Method::GET,
                &format!(
                    "Observation?patient={}&code=http://loinc.org%7C2823-3&_count=20",
                    self.patient(k)
                ),
            ),
            What::SearchPatient => self.ask(Method::GET, &format!("Patient?_id={}", self.patient(k))),
        }
    }
}

/// Observations that reads, updates and patches are of.
const KNOWN: u64 = 500;

#[derive(Clone, Copy)]
enum What {
    Read,
    Create,
    Update,
    Patch,
    SearchRecord,
    SearchPatient,
}

const WHAT: [(&str, What); 6] = [
    ("read", What::Read),
    ("create", What::Create),
    ("update", What::Update),
    ("patch", What::Patch),
    ("search_record", What::SearchRecord),
    ("search_patient", What::SearchPatient),
];

/// `fhir`: the interactions on both stores, one after the other in one run, and the long record.
pub fn fhir(report: &mut Report, quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (patients, seconds) = if quick { (60, 1) } else { (1_000, 6) };
    for (store, postgres) in [("sqlcipher", false), ("postgres", true)] {
        let h = hospital(&runtime, postgres, patients)?;
        let asking = asking(&h, patients);
        runtime.block_on(known(&asking))?;
        for (name, what) in WHAT {
            for connections in CONNECTIONS {
                let time = Duration::from_secs(seconds);
                let (mut samples, elapsed) = runtime.block_on(many(&asking, what, connections, time))?;
                let setup = format!(
                    "{SETUP}; {connections} connections, one request in flight each, asked from the server's own two cores; {patients} patients, {store}"
                );
                let stem = format!("{name}_{connections}_{store}");
                let rate = samples.len() as f64 / elapsed.as_secs_f64();
                report.add(
                    "fhir",
                    &format!("{stem}_per_s"),
                    rate,
                    "1/s",
                    samples.len(),
                    &setup,
                );
                report.add_ms("fhir", &stem, &mut samples, &setup);
            }
        }
    }
    long(report, if quick { 5_000 } else { LONG })
}

fn asking(h: &Hospital, patients: u64) -> Asking {
    Asking {
        http: h.http.clone(),
        base: h.server.url(),
        token: h.token.clone(),
        patients,
        next: Arc::new(AtomicU64::new(0)),
    }
}

/// Stores what is read, updated and patched.
async fn known(asking: &Asking) -> Result<()> {
    for from in (0..KNOWN).step_by(100) {
        let entries: Vec<Value> = (from..from + 100)
            .map(|k| {
                json!({"resource": asking.lab(k, 0), "request": {"method": "PUT", "url": format!("Observation/bench-{k}")}})
            })
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let sent = asking
            .ask(Method::POST, "")
            .header("content-type", "application/fhir+json")
            .body(bundle.to_string());
        let answer = sent.send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
    }
    Ok(())
}

/// Each of so many asks again as soon as it was answered.
async fn many(
    asking: &Asking,
    what: What,
    connections: usize,
    time: Duration,
) -> Result<(Vec<f64>, Duration)> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let asking = asking.clone();
            tokio::spawn(async move {
                let mut samples = Vec::new();
                while begun.elapsed() < time {
                    let request = asking.request(what);
                    let from = Instant::now();
                    let answer = request.send().await?;
                    let status = answer.status();
                    let body = answer.bytes().await?;
                    ensure!(
                        status.is_success(),
                        "{status}: {}",
                        String::from_utf8_lossy(&body)
                    );
                    samples.push(ms(from));
                }
                Ok::<_, anyhow::Error>(samples)
            })
        })
        .collect();
    let mut all = Vec::new();
    for t in tasks {
        all.extend(t.await??);
    }
    Ok((all, begun.elapsed()))
}

/// All pages of `$everything` of one patient.
fn long(report: &mut Report, resources: u64) -> Result<()> {
    let world = World::new(60, Some(resources))?;
    let http = world.server.http()?;
    let token = world.runtime.block_on(world.server.token(&http))?;
    let mut url = format!(
        "{}/fhir/Patient/p-heavy/$everything?_count=1000",
        world.server.url()
    );
    let (mut pages, mut given) = (Vec::new(), 0_usize);
    let begun = Instant::now();
    loop {
        let from = Instant::now();
        let bytes = world.runtime.block_on(async {
            let answer = http.get(&url).bearer_auth(&token).send().await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            Ok(answer.bytes().await?)
        })?;
        pages.push(ms(from));
        let page: Value = serde_json::from_slice(&bytes)?;
        given += page["entry"].as_array().map_or(0, Vec::len);
        let next = page["link"].as_array().into_iter().flatten();
        match next
            .filter(|l| l["relation"] == "next")
            .find_map(|l| l["url"].as_str())
        {
            Some(more) => more.clone_into(&mut url),
            None => break,
        }
    }
    let setup = format!("{EMBEDDED}; $everything of one patient of {given} resources in pages of 1,000");
    let whole = begun.elapsed().as_secs_f64();
    report.add("fhir", "everything_whole_s", whole, "s", pages.len(), &setup);
    report.add(
        "fhir",
        "everything_per_s",
        given as f64 / whole,
        "1/s",
        given,
        &setup,
    );
    report.add_ms("fhir", "everything_page", &mut pages, &setup);
    ensure!(given as u64 >= resources, "{given} of {resources}");
    // A search costs by the resources of its type in the record, not by what it finds (ADR 58).
    for (name, more) in [
        ("newest", "&_count=20"),
        ("of_a_code", "&code=http://loinc.org%7C2823-3&_count=20"),
        ("nothing", "&code=http://loinc.org%7Cnone"),
        ("total", "&_summary=count"),
    ] {
        let url = format!("{}/fhir/Observation?patient=p-heavy{more}", world.server.url());
        let mut each = Vec::new();
        for _ in 0..20 {
            let from = Instant::now();
            let status = world.runtime.block_on(async {
                let answer = http.get(&url).bearer_auth(&token).send().await?;
                let status = answer.status();
                answer.bytes().await?;
                Ok::<_, anyhow::Error>(status)
            })?;
            ensure!(status.is_success(), "{status}");
            each.push(ms(from));
        }
        let setup = format!("{EMBEDDED}; Observation?patient=…{more} in a record of {given} resources");
        report.add_ms("fhir", &format!("long_search_{name}"), &mut each, &setup);
    }
    Ok(())
}
