//! Working off what is held: seen, decided again, corrected, dropped, counted; files.

use super::harness::*;
use super::line::{Ward, admit, result};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_can_be_worked_off() {
    let w = Ward::start("").await;
    let mut line = w.line().await;
    // Two results before anybody knows the patient, one with a typing error in its number, one of a test.
    let early = line
        .send(&result("H1", "70030", "F", "4.2", "20260301100000"))
        .await;
    assert_eq!(early.error, "204");
    assert_eq!(
        line.send(&result("H2", "7O03O", "F", "4.3", "20260301101000"))
            .await
            .error,
        "204"
    );
    assert_eq!(
        line.send(&result("H3", "TEST", "F", "4.4", "20260301102000"))
            .await
            .error,
        "204"
    );
    let held = w.messages(&["--state", "held"]);
    let ids: Vec<String> = held.iter().rev().map(|m| m["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    // Seen beside what is made of it; the looking is in the audit log.
    let (exit, shown) = w.message(&["show", &ids[0]]);
    assert_eq!(exit, 0, "{shown}");
    assert!(shown["text"].as_str().unwrap().starts_with("MSH|"), "{shown}");
    let made = shown["understood"]["resources"].as_array().unwrap();
    assert!(made.iter().any(|m| m["kind"] == "Observation"), "{shown}");
    // Deciding again changes nothing while nobody is registered.
    let (exit, again) = w.message(&["replay", &ids[0]]);
    assert_eq!((exit, again["stays"][0]["code"].as_u64()), (1, Some(204)));
    line.send(&admit("H4", "70030", "Vitrine", "ED")).await;
    let (exit, again) = w.message(&["replay", "--held"]);
    assert_eq!(exit, 1, "{again}");
    assert_eq!(again["applied"].as_array().unwrap().len(), 1, "{again}");
    assert_eq!(again["stays"].as_array().unwrap().len(), 2, "{again}");
    // A corrected copy.
    let t = tempfile::tempdir().unwrap();
    let file = t.path().join("copy.hl7");
    let copy = result("H2", "70030", "F", "4.3", "20260301101000").replace("F70030", "F70031");
    std::fs::write(&file, copy.replace('\r', "\n")).unwrap();
    let (exit, fixed) = w.message(&[
        "fix",
        &ids[1],
        "--file",
        file.to_str().unwrap(),
        "--reason",
        "letter O for zero",
    ]);
    assert_eq!(exit, 0, "{fixed}");
    // Whoever sends the wrong one again hears that it is settled.
    assert_eq!(
        line.send(&result("H2", "7O03O", "F", "4.3", "20260301101000"))
            .await
            .code,
        "AA"
    );
    let (exit, dropped) = w.message(&["drop", &ids[2], "--reason", "a test of the laboratory"]);
    assert_eq!(exit, 0, "{dropped}");
    assert!(w.messages(&["--state", "held"]).is_empty());
    for (args, says) in [
        (vec!["drop", ids[2].as_str(), "--reason", "again"], "dropped"),
        (vec!["replay", "99999"], "no message 99999"),
        (vec!["list", "--state", "lost"], "received, applied"),
    ] {
        let (exit, said) = w.message(&args);
        assert_eq!(exit, 2, "{said}");
        assert!(said.to_string().contains(says), "{said}");
    }
    let id = w.patient("70030").await["id"].as_str().unwrap().to_owned();
    let all = w.everything(&id).await;
    assert_eq!(
        all.iter().filter(|r| r["resourceType"] == "Observation").count(),
        2
    );
    let (_, counts) = w.message(&["counts"]);
    let lab = counts["days"].as_array().unwrap();
    let of = |key: &str| -> u64 { lab.iter().map(|d| d[key].as_u64().unwrap()).sum() };
    assert_eq!((of("applied"), of("dropped"), of("held")), (3, 2, 0), "{counts}");
    let rows = w.server.audit();
    for act in ["message-show", "message-replay", "message-fix", "message-drop"] {
        assert!(rows.iter().any(|r| r.to_string().contains(act)), "{act}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_messages_are_imported_once() {
    let (_t, data) = folder();
    done(&["demo", "--data", data.to_str().unwrap(), "--patients", "1"]);
    let t = tempfile::tempdir().unwrap();
    let file = t.path().join("batch.hl7");
    let batch = [
        "FHS|^~\\&|ADT".to_owned(),
        "BHS|^~\\&|ADT".to_owned(),
        admit("I1", "70040", "Row", "ED"),
        result("I2", "70040", "F", "4.4", "20260301100000"),
        result("I3", "79999", "F", "4.4", "20260301100000").replace("ORU^R01^ORU_R01", "BAR^P01"),
        "BTS|3".to_owned(),
        "FTS|1".to_owned(),
    ];
    std::fs::write(&file, batch.join("\r")).unwrap();
    let args = ["import", "--data", data.to_str().unwrap(), file.to_str().unwrap()];
    let (exit, first) = run_json(&args);
    assert_eq!(exit, 1, "{first}");
    assert_eq!(
        (first["accepted"].as_u64(), first["quarantined"].as_u64()),
        (Some(2), Some(1)),
        "{first}"
    );
    let (_, again) = run_json(&args);
    assert_eq!(
        (again["accepted"].as_u64(), again["duplicate"].as_u64()),
        (Some(0), Some(2)),
        "{again}"
    );
}
