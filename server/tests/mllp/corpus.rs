//! Other people's messages, each through a real line: applied, or held with the reason; how many of each is written down here.

use super::harness::corpus;
use super::line::Ward;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vitrine_server::ingest::hl7::files::messages;

/// A feed that takes whatever is read at all: test systems too, patients of every message.
const FEED: &str = "[mllp]\naddress = \"127.0.0.1:0\"\n[[mllp.feed]]\nname = \"corpus\"\nfrom = [\"127.0.0.1\"]\nprocessing = [\"P\", \"T\", \"D\", \"\"]\nnew_patients = \"all\"\ncharset = \"8859/1\"\n";

/// By folder, answer and code of table 0357: how many.
const EXPECTED: &[(&str, &str, &str, usize)] = &[];

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
            // What is in the enhanced mode and asks for no answer is told by what was kept.
            let header = String::from_utf8_lossy(&message);
            let enhanced: Vec<&str> = header
                .split(['\r', '\n'])
                .next()
                .unwrap()
                .split('|')
                .skip(14)
                .take(2)
                .collect();
            let silent = enhanced.iter().any(|f| !f.is_empty()) && !enhanced.contains(&"AL");
            let answer = if silent {
                let row = w.messages(&["--limit", "1"]).remove(0);
                let code = row["code"].as_u64().map_or(String::new(), |c| c.to_string());
                ("none".to_owned(), code)
            } else {
                let answer = line
                    .answer()
                    .await
                    .unwrap_or_else(|| panic!("{}: no answer", file.display()));
                if enhanced == ["AL", "AL"] {
                    line.answer().await.unwrap();
                }
                (answer.code, answer.error)
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
    assert!(w.messages(&["--state", "received"]).is_empty());
}
