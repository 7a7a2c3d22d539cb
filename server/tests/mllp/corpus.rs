//! Other people's messages, each through a real line: applied, or held with the reason; how many of each is written down here.

use super::harness::corpus;
use super::line::Ward;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vitrine_server::ingest::hl7::files::messages;

/// A feed that takes whatever is read at all: test systems too, patients of every message.
const FEED: &str = "[mllp]\naddress = \"127.0.0.1:0\"\n[[mllp.feed]]\nname = \"corpus\"\nfrom = [\"127.0.0.1\"]\nprocessing = [\"P\", \"T\", \"D\", \"\"]\nnew_patients = \"all\"\ncharset = \"8859/1\"\n";

/// By folder, answer and code of table 0357: how many.
const EXPECTED: &[(&str, &str, &str, usize)] = &[
    ("cdc-trusted-intermediary", "AA", "", 70),
    ("cdc-trusted-intermediary", "AE", "100", 3),
    ("cdc-trusted-intermediary", "AE", "101", 5),
    ("cdc-trusted-intermediary", "AE", "102", 2),
    ("cdc-trusted-intermediary", "AR", "200", 1),
    ("cdc-trusted-intermediary", "AR", "202", 10),
    ("cdc-trusted-intermediary", "CA", "", 35),
    ("cdc-trusted-intermediary", "CE", "100", 2),
    ("cdc-trusted-intermediary", "CR", "202", 2),
    ("cdc-trusted-intermediary", "none", "", 1),
    ("microsoft-fhir-converter", "AA", "", 86),
    ("microsoft-fhir-converter", "AE", "100", 3),
    ("microsoft-fhir-converter", "AE", "204", 14),
    ("microsoft-fhir-converter", "AE", "205", 2),
    ("microsoft-fhir-converter", "AR", "200", 19),
    ("microsoft-fhir-converter", "AR", "201", 6),
    ("microsoft-fhir-converter", "CA", "", 3),
    ("microsoft-fhir-converter", "CE", "100", 1),
    ("microsoft-fhir-converter", "CE", "204", 1),
    ("microsoft-fhir-converter", "CR", "200", 2),
    ("microsoft-fhir-converter", "none", "201", 2),
    ("mirth-connect", "AA", "", 141),
    ("mirth-connect", "AR", "201", 2),
    ("mirth-connect", "CA", "", 3),
    ("mirth-connect", "CE", "100", 7),
    ("rethinkhealth", "AA", "", 5),
    ("rethinkhealth", "AE", "100", 7),
    ("rethinkhealth", "AE", "101", 5),
    ("rethinkhealth", "AR", "200", 1),
    ("rethinkhealth", "AR", "203", 1),
    ("rethinkhealth", "CA", "", 1),
    ("simhospital", "CA", "", 585),
];

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut inside: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    inside.sort();
    for path in inside {
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The message under a control id of its own: most samples of a corpus share one, and the second of them would be held for that.
fn of_its_own(message: Vec<u8>, n: usize) -> Vec<u8> {
    let Some(separator) = message.get(3).copied() else {
        return message;
    };
    let mut at = message
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == separator)
        .map(|(n, _)| n)
        .skip(8);
    let end = message.iter().position(|b| *b == b'\r').unwrap_or(message.len());
    match (at.next(), at.next()) {
        (Some(from), to) if from < end => {
            let to = to.filter(|t| *t < end).unwrap_or(end);
            if to == from + 1 {
                return message;
            }
            [&message[..to], format!("-{n}").as_bytes(), &message[to..]].concat()
        }
        _ => message,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_the_corpora_is_applied_or_held_with_its_reason() {
    let Some(folder) = corpus("hl7v2") else { return };
    let mut w = Ward::start("").await;
    w.server.ask_to_stop();
    w.server.wait();
    let w = w.again(FEED).await;
    let mut counts: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut all = Vec::new();
    files(&folder, &mut all);
    let mut line = w.line().await;
    let mut sent = 0;
    for file in all {
        let from = file.strip_prefix(&folder).unwrap();
        let from = from
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        for message in messages(&std::fs::read(&file).unwrap()) {
            sent += 1;
            let message = of_its_own(message, sent);
            line.raw(&vitrine_hl7v2::frame::block(&message)).await.unwrap();
            let text = String::from_utf8_lossy(&message).into_owned();
            let msh: Vec<&str> = text.split(['\r', '\n']).next().unwrap().split('|').collect();
            let asks = [14, 15].map(|n| *msh.get(n).unwrap_or(&""));
            let plain = asks == ["", ""] || asks.contains(&"AL");
            // Who does not always want an answer is told by what was kept.
            let answer = if plain {
                let answer = line
                    .answer()
                    .await
                    .unwrap_or_else(|| panic!("{}: no answer", file.display()));
                // The other acknowledgement of the enhanced mode, where it is asked for.
                let accepted = answer.code.ends_with('A');
                let first = asks.iter().position(|a| *a == "AL").unwrap_or(2);
                for (n, ask) in asks.iter().enumerate() {
                    let wanted = match *ask {
                        "AL" => true,
                        "SU" => accepted,
                        "ER" => !accepted,
                        _ => false,
                    };
                    if n != first && wanted {
                        line.answer().await.unwrap();
                    }
                }
                if let Some(control) = msh.get(9).filter(|c| c.ends_with(&format!("-{sent}"))) {
                    assert_eq!(answer.control, *control, "{}", file.display());
                }
                (answer.code, answer.error)
            } else {
                let row = loop {
                    let row = w.messages(&["--limit", "1"]).remove(0);
                    if row["id"] == sent && row["state"] != "received" {
                        break row;
                    }
                };
                let held = row["state"] == "held";
                for _ in asks.iter().filter(|a| **a == if held { "ER" } else { "SU" }) {
                    line.answer().await.unwrap();
                }
                (
                    "none".to_owned(),
                    row["code"].as_u64().map_or(String::new(), |c| c.to_string()),
                )
            };
            if std::env::var_os("VITRINE_LIST").is_some() && !answer.1.is_empty() {
                eprintln!(
                    "{} {answer:?} {}",
                    file.display(),
                    w.messages(&["--limit", "1"])[0]
                );
            }
            *counts.entry((from.clone(), answer.0, answer.1)).or_default() += 1;
        }
    }
    let told: Vec<(&str, &str, &str, usize)> = counts
        .iter()
        .map(|((a, b, c), n)| (a.as_str(), b.as_str(), c.as_str(), *n))
        .collect();
    assert_eq!(told, EXPECTED, "{sent} messages");
    // Nothing was left undecided.
    assert_eq!(w.messages(&["--state", "received"]), [] as [serde_json::Value; 0]);
}
