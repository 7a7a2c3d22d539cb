//! Other people's clients, unchanged: node-hl7-client over TLS and the PyPI package hl7.

use super::line::{LAB, Ward, admit, result};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn answers(mut command: Command, messages: &[String]) -> Vec<(String, String)> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let sent = serde_json::to_vec(messages).unwrap();
    child.stdin.take().unwrap().write_all(&sent).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", out.status);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    told.as_array()
        .unwrap()
        .iter()
        .map(|a| (text(&a["code"]), text(&a["control"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_peoples_clients_are_answered() {
    let of = |prefix: &str, mrn: &str| {
        vec![
            admit(&format!("{prefix}1"), mrn, "Quince", "ED"),
            result(&format!("{prefix}2"), mrn, "F", "4.2", "20260301100000"),
            result(&format!("{prefix}2"), mrn, "F", "4.2", "20260301100000"),
            result(&format!("{prefix}3"), "79999", "F", "4.2", "20260301100000"),
            result(&format!("{prefix}4"), mrn, "C", "4.9", "20260301110000"),
        ]
    };
    let hears = |prefix: &str| {
        [("AA", 1), ("AA", 2), ("AA", 2), ("AE", 3), ("AA", 4)]
            .map(|(code, n)| (code.to_owned(), format!("{prefix}{n}")))
    };
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hl7");
    assert!(
        clients.join("node_modules/node-hl7-client").is_dir(),
        "npm ci in tests/hl7: `cargo xtask test` does it"
    );
    let mut w = Ward::start("").await;
    let mut node = Command::new("node");
    node.arg(clients.join("client.mjs"))
        .arg(w.port().to_string())
        .arg(w.data().join("ca.pem"));
    let sent = of("N", "70050");
    let told = tokio::task::spawn_blocking(move || answers(node, &sent))
        .await
        .unwrap();
    assert_eq!(told, hears("N"));
    w.server.ask_to_stop();
    w.server.wait();
    let w = w
        .again(&LAB.replace("[[mllp.feed]]", "tls = \"off\"\n[[mllp.feed]]"))
        .await;
    let python =
        std::env::var_os("VITRINE_PYTHON").expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it");
    let mut command = Command::new(python);
    command.arg(clients.join("client.py")).arg(w.port().to_string());
    let sent = of("P", "70051");
    let told = tokio::task::spawn_blocking(move || answers(command, &sent))
        .await
        .unwrap();
    assert_eq!(told, hears("P"));
    for mrn in ["70050", "70051"] {
        let id = w.patient(mrn).await["id"].as_str().unwrap().to_owned();
        let all = w.everything(&id).await;
        let one: Vec<&Value> = all
            .iter()
            .filter(|r| r["resourceType"] == "Observation")
            .collect();
        assert_eq!(one.len(), 1);
        assert_eq!(one[0]["status"], "corrected");
    }
}
