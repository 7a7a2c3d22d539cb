//! Imports of what others made: everything counted, nothing dropped, faults named, bad bundles refused whole.

mod harness;
use harness::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn sum(c: &Value) -> u64 {
    ["accepted", "duplicate", "quarantined", "refused"]
        .iter()
        .map(|k| c[*k].as_u64().unwrap())
        .sum()
}

fn import(data: &Path, paths: &[&Path]) -> (i32, Value) {
    let mut args = vec!["import", "--data", data.to_str().unwrap()];
    args.extend(paths.iter().map(|p| p.to_str().unwrap()));
    let (exit, counts) = run_json(&args);
    assert!(exit <= 1, "{counts}");
    assert_eq!(sum(&counts), counts["seen"].as_u64().unwrap(), "{counts}");
    assert_eq!(exit == 0, counts["quarantined"] == 0 && counts["refused"] == 0);
    (exit, counts)
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let (t, data) = folder();
    drop(Server::start(&data));
    (t, data)
}

fn live(data: &Path) -> u64 {
    let counts = done(&["doctor", "--data", data.to_str().unwrap()]);
    assert_eq!(counts["healthy"], true, "{counts}");
    counts["counts"]["resources"]
        .as_object()
        .unwrap()
        .values()
        .map(|v| v.as_u64().unwrap())
        .sum()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    out.sort();
    out
}

/// What is in quarantine, with place and reason.
fn quarantine(data: &Path) -> Vec<Value> {
    let json = done(&[
        "quarantine",
        "list",
        "--limit",
        "100000",
        "--data",
        data.to_str().unwrap(),
    ]);
    json["quarantined"].as_array().unwrap().clone()
}

fn entries(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let bytes = if path.extension().is_some_and(|e| e == "gz") {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes.as_slice()), &mut out)
            .unwrap();
        out
    } else {
        bytes
    };
    serde_json::from_slice::<Value>(&bytes).unwrap()["entry"]
        .as_array()
        .unwrap()
        .len() as u64
}

#[test]
fn synthea_comes_in_whole_in_any_order_and_once() {
    let Some(synthea) = corpus("fhir/synthea-2019") else {
        return;
    };
    let plain = files(&synthea.join("plain"));
    let gz: Vec<PathBuf> = files(&synthea.join("gz")).into_iter().step_by(80).collect();
    let all: Vec<&Path> = plain.iter().chain(&gz).map(PathBuf::as_path).collect();
    let want: u64 = all.iter().map(|p| entries(p)).sum();
    let (_t, data) = fresh();
    let (exit, counts) = import(&data, &all);
    assert_eq!(
        (exit, counts["accepted"].as_u64().unwrap()),
        (0, want),
        "{counts}"
    );
    eprintln!("synthea: {want} resources in {} s", counts["seconds"]);
    assert_eq!(live(&data), want);
    let (_, again) = import(&data, &all);
    assert_eq!(
        (again["accepted"].as_u64(), again["duplicate"].as_u64()),
        (Some(0), Some(want))
    );
    // Practitioners and hospitals last instead of first.
    let (_t, other) = fresh();
    let mut turned = all;
    turned.reverse();
    let (exit, counts) = import(&other, &turned);
    assert_eq!((exit, counts["accepted"].as_u64().unwrap()), (0, want));
}

fn whole_corpus(name: &str, most_quarantined: u64) {
    let Some(path) = corpus(name) else { return };
    let (_t, data) = fresh();
    let (_, counts) = import(&data, &[&path]);
    let listed = quarantine(&data);
    assert_eq!(listed.len() as u64, counts["quarantined"].as_u64().unwrap());
    for item in &listed {
        assert!(item["location"].as_str().unwrap().contains(name), "{item}");
        assert!(!item["reason"].as_str().unwrap().is_empty(), "{item}");
    }
    eprintln!(
        "{name}: {} accepted, {} duplicate, {} quarantined, {} refused, {} s",
        counts["accepted"], counts["duplicate"], counts["quarantined"], counts["refused"], counts["seconds"]
    );
    for r in counts["refusals"].as_array().unwrap() {
        eprintln!(
            "  refused {} {} {}",
            r["location"].as_str().unwrap().rsplit('/').next().unwrap(),
            r["expression"],
            r["reason"]
        );
    }
    for item in listed.iter().take(60) {
        eprintln!(
            "  {} {} {}",
            item["location"].as_str().unwrap().rsplit('/').next().unwrap(),
            item["expression"],
            item["reason"]
        );
    }
    assert!(
        listed.len() as u64 <= most_quarantined,
        "{} in quarantine",
        listed.len()
    );
    assert!(live(&data) <= counts["accepted"].as_u64().unwrap());
    let (_, again) = import(&data, &[&path]);
    assert_eq!(again["seen"], counts["seen"]);
}

#[test]
fn au_core_comes_in() {
    whole_corpus("fhir/au-core", 100);
}

#[test]
fn us_core_comes_in() {
    whole_corpus("fhir/us-core-9", 40);
}

#[test]
fn the_official_examples_come_in() {
    whole_corpus("fhir/r4-official-examples", 20);
}

/// Transactions that must be refused whole, by file name.
const BAD: &[&str] = &[
    "Bundle-TransactionWithConditionalReferenceInResourceBody.json",
    "Bundle-TransactionWithMultipleEntriesModifyingSameResource.json",
    "Bundle-TransactionForRollBack.json",
    "Bundle-TransactionWithInvalidProcessingRoutes.json",
    "Bundle-TransactionWithMultipleResourcesWithSameFullUrl.json",
    "Bundle-TransactionWithInvalidProcessingRecord.json",
    "Bundle-TransactionWithInvalidResourceType.json",
];

#[test]
fn bad_bundles_are_refused_whole() {
    let Some(folder) = corpus("fhir/microsoft-fhir-server/Normative") else {
        return;
    };
    for name in BAD {
        let (_t, data) = fresh();
        let (exit, counts) = import(&data, &[&folder.join(name)]);
        assert_eq!(
            (
                exit,
                counts["accepted"].as_u64().unwrap(),
                counts["duplicate"].as_u64().unwrap()
            ),
            (1, 0, 0),
            "{name}: {counts}"
        );
        let refusal = &counts["refusals"][0];
        assert!(
            refusal["location"].as_str().unwrap().ends_with(name)
                && !refusal["reason"].as_str().unwrap().is_empty()
        );
        assert_eq!(live(&data), 0, "{name} left something behind");
        eprintln!("{name}: {} {}", refusal["expression"], refusal["reason"]);
    }
}

#[test]
fn the_other_servers_files_all_add_up() {
    whole_corpus("fhir/microsoft-fhir-server", 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_takes_the_same_over_the_network() {
    let (t, data) = folder();
    let server = Server::start(&data);
    let token = server.client_token("system/*.cruds").await;
    let good = t.path().join("some.ndjson");
    let lines: String = (0..450)
        .map(|n| {
            format!(
                "{}\n",
                if n % 100 == 7 {
                    "{\"resourceType\":\"Observation\"}".to_owned()
                } else {
                    observation(Some(&format!("n{n}")), "p1", "1.0")
                }
            )
        })
        .collect();
    std::fs::write(&good, &lines).unwrap();
    let bad = t.path().join("notes.json");
    std::fs::write(&bad, "this is no JSON").unwrap();
    let packed = t.path().join("more.ndjson.zst");
    std::fs::write(&packed, zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    let ca = data.join("ca.pem");
    let args = |token: &str| {
        [
            "import",
            "--server",
            &server.url(""),
            "--token",
            token,
            "--ca",
            ca.to_str().unwrap(),
            t.path().join("some.ndjson").to_str().unwrap(),
            bad.to_str().unwrap(),
            packed.to_str().unwrap(),
        ]
        .map(str::to_owned)
    };
    let call = |token: &str| run_json(&args(token).iter().map(String::as_str).collect::<Vec<_>>());
    let (exit, counts) = call(&token);
    assert_eq!((exit, sum(&counts)), (1, 901), "{counts}");
    assert_eq!(
        (
            counts["accepted"].as_u64(),
            counts["duplicate"].as_u64(),
            counts["quarantined"].as_u64()
        ),
        (Some(445), Some(445), Some(11)),
        "{counts}"
    );
    let (exit, fault) = call("wrong");
    assert_eq!(exit, 1);
    assert!(
        fault["error"].as_str().unwrap().contains("get a new token"),
        "{fault}"
    );
    // And through the running server by its folder.
    let (exit, counts) = run_json(&["import", "--data", server.dir(), good.to_str().unwrap()]);
    assert_eq!(
        (exit, counts["duplicate"].as_u64(), counts["quarantined"].as_u64()),
        (1, Some(445), Some(5)),
        "{counts}"
    );
    let places: Vec<Value> = quarantine(&data);
    assert!(
        places
            .iter()
            .any(|p| p["location"].as_str().unwrap().ends_with("some.ndjson:8")
                && p["expression"] == "Observation.status"),
        "{places:?}"
    );
    assert!(
        places
            .iter()
            .any(|p| p["location"].as_str().unwrap().ends_with("notes.json")
                && p["reason"].as_str().unwrap().contains("not JSON"))
    );
}
