//! Whether the time of an answer tells what the answer does not: what may not be seen beside what is not there, and records
//! that differ only in what is withheld.
//!
//! Both questions of a pair are asked in turn on one connection, each time in the other order, over many ids. `_auc_pct` is
//! how often, of two answers taken by chance, the one about what may not be seen took longer or shorter, whichever is more
//! (the area under the ROC curve, by ranks): 50 = the time tells nothing, 100 = each answer tells. `control` asks two questions of
//! which neither is about anything.

use crate::report::{Report, quantile};
use crate::world::{SETUP, World, ms};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::Instant;
use vitrine_tests::thin::Device;

/// Ids asked for in turn.
const IDS: usize = 200;
/// Questions of one batch.
const BATCH: usize = 10;
/// Entries withheld in a record that is open otherwise.
const WITHHELD: usize = 40;

/// Two questions by the same person or program, the number of the id in place of `{}`.
struct Pair {
    name: &'static str,
    token: String,
    secret: &'static str,
    other: &'static str,
    status: u16,
    /// Asked so often at once, in a batch; 0 = by itself.
    batch: usize,
}

fn put(resource: Value) -> Value {
    let url = format!(
        "{}/{}",
        resource["resourceType"].as_str().unwrap_or_default(),
        resource["id"].as_str().unwrap_or_default()
    );
    json!({"resource": resource, "request": {"method": "PUT", "url": url}})
}

fn placed(id: &str, ward: &str) -> [Value; 2] {
    [
        put(json!({"resourceType": "Patient", "id": id, "name": [{"family": "Timed", "given": ["A"]}]})),
        put(
            json!({"resourceType": "Encounter", "id": format!("enc-{id}"), "status": "in-progress",
            "class": {"code": "EMER"}, "subject": {"reference": format!("Patient/{id}")},
            "location": [{"location": {"reference": format!("Location/{ward}")}, "status": "active"}],
            "period": {"start": "2026-11-20T08:00:00Z"}}),
        ),
    ]
}

fn result(id: &str, of: &str, secret: bool) -> Value {
    let mut out = json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "timed"},
        "subject": {"reference": format!("Patient/{of}")}, "effectiveDateTime": "2026-11-20T10:00:00Z", "valueString": "a"});
    if secret {
        out["meta"] = very_restricted();
    }
    put(out)
}

fn note(id: &str, of: &str, words: &str, secret: bool) -> Value {
    let mut out = json!({"resourceType": "DocumentReference", "id": id, "status": "current", "description": words,
        "subject": {"reference": format!("Patient/{of}")}, "date": "2026-11-20T10:00:00Z",
        "content": [{"attachment": {"title": words}}]});
    if secret {
        out["meta"] = very_restricted();
    }
    put(out)
}

fn very_restricted() -> Value {
    json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]})
}

/// What is asked about.
fn rows() -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for n in 0..IDS {
        let other = format!("timed-icu-{n}");
        let mut one = placed(&other, "ICU").to_vec();
        one.push(result(&format!("timed-icu-o-{n}"), &other, false));
        one.push(result(&format!("timed-v-{n}"), "timed-open", true));
        all.push(one);
    }
    let mut first = placed("timed-open", "ED").to_vec();
    // Four records, alike in what is shown and in how much is withheld: which words the withheld notes have, and where in
    // the record they lie, is all that differs.
    for (record, words, early) in [
        ("timed-said", "overdose", true),
        ("timed-unsaid", "fracture", true),
        ("timed-early", "fracture", true),
        ("timed-late", "fracture", false),
    ] {
        first.extend(placed(record, "ED"));
        let place = if early { "a" } else { "z" };
        for n in 0..WITHHELD {
            first.push(note(&format!("{record}-{place}-{n}"), record, words, true));
            first.push(note(&format!("{record}-m-{n}"), record, "pneumonia", false));
        }
    }
    all.insert(0, first);
    all
}

/// How often, in per cent, one sample of `a` tells itself from one of `b` by being longer, or by being shorter: the larger.
#[allow(clippy::cast_precision_loss)]
fn auc_pct(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a.iter().map(|t| (*t, true)).collect();
    all.extend(b.iter().map(|t| (*t, false)));
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut rank, mut sum) = (0.0, 0.0);
    // Equal times share the mean of their ranks.
    for tied in all.chunk_by(|x, y| x.0.total_cmp(&y.0).is_eq()) {
        let mean = rank + (tied.len() as f64 + 1.0) / 2.0;
        sum += mean * tied.iter().filter(|t| t.1).count() as f64;
        rank += tied.len() as f64;
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let auc = (sum - n * (n + 1.0) / 2.0) / (n * m);
    100.0 * auc.max(1.0 - auc)
}

async fn timed(http: &reqwest::Client, url: &str, pair: &Pair, path: &str, n: usize) -> Result<f64> {
    let of = |n: usize| path.replace("{}", &(n % IDS).to_string());
    let asked = if pair.batch == 0 {
        http.get(format!("{url}{}", of(n)))
    } else {
        let read = |n| json!({"request": {"method": "GET", "url": of(n).trim_start_matches("/fhir/")}});
        let entries: Vec<Value> = (n..n + pair.batch).map(read).collect();
        http.post(format!("{url}/fhir"))
            .header("content-type", "application/fhir+json")
            .body(json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string())
    };
    let asked = asked.bearer_auth(&pair.token);
    let from = Instant::now();
    let answer = asked.send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    let took = ms(from);
    ensure!(status == pair.status, "{path}: {status}, not {}", pair.status);
    Ok(took)
}

pub fn leaks(report: &mut Report, quick: bool) -> Result<()> {
    let rounds = if quick { 400 } else { 2_000 };
    let world = World::new(60, None)?;
    let url = world.server.url();
    let http = world.server.http()?;
    let who = world.nurse()?;
    let rt = &world.runtime;
    let _entered = rt.enter();
    let device = rt.block_on(Device::enrol(&world.server, &http, "ED"))?;
    let nurse = rt.block_on(device.sign_in(&world.server, &http, &who.user, &who.password))?;
    let program = rt.block_on(world.server.token(&http))?;
    for entries in rows() {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let sent = http
            .post(format!("{url}/fhir"))
            .bearer_auth(&program)
            .header("content-type", "application/fhir+json")
            .body(bundle.to_string());
        let answer = rt.block_on(sent.send())?;
        ensure!(answer.status().is_success(), "rows: {}", answer.status());
    }
    let by = |name, token: &String, status, secret, other| Pair {
        name,
        token: token.clone(),
        secret,
        other,
        status,
        batch: 0,
    };
    let (said, unsaid) = (
        "/fhir/DocumentReference?patient=timed-said&_content=overdose",
        "/fhir/DocumentReference?patient=timed-unsaid&_content=overdose",
    );
    let (early, late) = (
        "/fhir/Patient/timed-early/$everything?_count=10",
        "/fhir/Patient/timed-late/$everything?_count=10",
    );
    let pairs = [
        by(
            "control",
            &nurse,
            403,
            "/fhir/Observation/timed-x-{}",
            "/fhir/Observation/timed-y-{}",
        ),
        by(
            "other_ward",
            &nurse,
            403,
            "/fhir/Observation/timed-icu-o-{}",
            "/fhir/Observation/timed-icu-0-{}",
        ),
        by(
            "other_ward_chart",
            &nurse,
            403,
            "/fhir/Patient/timed-icu-{}/$everything",
            "/fhir/Patient/timed-non-{}/$everything",
        ),
        by(
            "other_ward_card",
            &nurse,
            403,
            "/emergency/timed-icu-{}",
            "/emergency/timed-non-{}",
        ),
        by(
            "other_ward_notes",
            &nurse,
            403,
            "/fhir/DocumentReference?patient=timed-icu-{}&_content=overdose",
            "/fhir/DocumentReference?patient=timed-non-{}&_content=overdose",
        ),
        by(
            "labelled",
            &nurse,
            403,
            "/fhir/Observation/timed-v-{}",
            "/fhir/Observation/timed-0-{}",
        ),
        by(
            "labelled_program",
            &program,
            404,
            "/fhir/Observation/timed-v-{}",
            "/fhir/Observation/timed-0-{}",
        ),
        Pair {
            batch: BATCH,
            ..by(
                "labelled_batch",
                &nurse,
                200,
                "/fhir/Observation/timed-v-{}",
                "/fhir/Observation/timed-0-{}",
            )
        },
        by("withheld_words", &nurse, 200, said, unsaid),
        by("withheld_place", &nurse, 200, early, late),
    ];
    for pair in &pairs {
        let (mut secret, mut other) = (Vec::new(), Vec::new());
        for n in 0..rounds + 50 {
            // Each time in the other order: whatever drifts, or follows an answer, falls on both alike.
            let turns = if n % 2 == 0 { [true, false] } else { [false, true] };
            for is_secret in turns {
                let path = if is_secret { pair.secret } else { pair.other };
                let took = rt.block_on(timed(&http, &url, pair, path, n))?;
                // The first answers make connections and fill what is kept.
                if n >= 50 {
                    if is_secret { &mut secret } else { &mut other }.push(took);
                }
            }
        }
        let setup = format!("{SETUP}; one connection, {rounds} of each in turn, over {IDS} ids");
        let auc = auc_pct(&secret, &other);
        report.add(
            "leaks",
            &format!("{}_auc_pct", pair.name),
            auc,
            "%",
            rounds,
            &setup,
        );
        for (which, times) in [("secret", &mut secret), ("other", &mut other)] {
            times.sort_by(f64::total_cmp);
            let name = format!("{}_{which}_ms_p50", pair.name);
            report.add("leaks", &name, quantile(times, 0.5), "ms", rounds, &setup);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::auc_pct;

    #[test]
    fn times_that_are_apart_tell_and_equal_ones_do_not() {
        let (low, high) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
        assert_eq!(auc_pct(&low, &high), 100.0);
        assert_eq!(auc_pct(&high, &low), 100.0);
        assert_eq!(auc_pct(&low, &low), 50.0);
        assert_eq!(auc_pct(&[1.0, 1.0], &[1.0, 1.0]), 50.0);
        // Of the nine pairs six are longer, one is equal: (6 + 0.5) / 9.
        let a = [2.0, 3.0, 5.0];
        let b = [1.0, 2.0, 4.0];
        assert!((auc_pct(&a, &b) - 650.0 / 9.0).abs() < 1e-9);
    }
}
