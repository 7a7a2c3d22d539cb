//! Every message of the corpora that is not ADT (../shared/data/hl7v2): what it becomes, or why it is not taken; and messages
//! with wrong bytes in them.

mod results_support;

use proptest::prelude::*;
use results_support::issues;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vitrine_hl7v2::charset::Charset;
use vitrine_hl7v2::{Feed, Mapped, Message, map};

/// The data folder beside the repository; `None` (after saying so) where it is absent outside CI.
fn data() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data"))
        .find(|dir| dir.join("MANIFEST.md").exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data beside the repository");
    }
    found
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The messages of a file: several stand one after the other, some in a batch (FHS, BHS, BTS, FTS), some with empty lines
/// between.
fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut out: Vec<Vec<u8>> = Vec::new();
    for line in bytes.split(|b| matches!(b, b'\r' | b'\n')) {
        if line.is_empty()
            || [&b"FHS"[..], b"BHS", b"BTS", b"FTS"]
                .iter()
                .any(|n| line.starts_with(n))
        {
            continue;
        }
        if line.starts_with(b"MSH") {
            out.push(Vec::new());
        }
        if let Some(message) = out.last_mut() {
            message.extend_from_slice(line);
            message.push(b'\r');
        }
    }
    out
}

/// All but ADT, with the file's name.
fn all(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    files(&root.join("hl7v2"), &mut found);
    found.sort();
    let mut out = Vec::new();
    for path in found {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        for (i, bytes) in messages(&std::fs::read(&path).unwrap()).into_iter().enumerate() {
            let head = String::from_utf8_lossy(&bytes);
            let head = head.split('\r').next().unwrap_or_default().to_owned();
            if !head.contains("ADT^") {
                out.push((format!("{name}#{i}"), bytes));
            }
        }
    }
    out
}

fn mapped(bytes: &[u8]) -> Result<Mapped, vitrine_hl7v2::Fault> {
    let message = Message::read(bytes, Charset::named("8859/1").unwrap())?;
    map(&message, &Feed::new("corpus", &|_, _, _, _, _| 0))
}

#[test]
fn every_message_becomes_valid_resources_or_says_why_not() {
    let Some(root) = data() else { return };
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, bytes) in all(&root) {
        let family = Message::read(&bytes, Charset::named("8859/1").unwrap())
            .map(|m| m.header().kind)
            .unwrap_or_default();
        match mapped(&bytes) {
            Ok(m) => {
                *taken.entry(family).or_default() += 1;
                let mut keys = Vec::new();
                for (i, draft) in m.drafts.iter().enumerate() {
                    *kinds.entry(draft.kind).or_default() += 1;
                    wrong.extend(
                        issues(&m, i)
                            .into_iter()
                            .map(|t| format!("{name} {}: {t}", draft.kind)),
                    );
                    let key = (draft.kind, draft.keys[0].clone());
                    if keys.contains(&key) {
                        wrong.push(format!("{name} {}: two drafts of one key", draft.kind));
                    }
                    keys.push(key);
                }
            }
            Err(fault) => {
                println!("{name}: {fault}");
                let at = fault.place.map(|p| p.to_string()).unwrap_or_default();
                *refused
                    .entry(format!("{family} {} {at}", fault.code.number()))
                    .or_default() += 1;
            }
        }
    }
    println!("{taken:#?}\n{refused:#?}\n{kinds:#?}");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    let numbers = |all: &[(&str, usize)]| -> BTreeMap<String, usize> {
        all.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect()
    };
    assert_eq!(taken, numbers(TAKEN), "taken, by type");
    assert_eq!(refused, numbers(REFUSED), "refused, by type, code and place");
    let kinds: BTreeMap<String, usize> = kinds.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
    assert_eq!(kinds, numbers(KINDS), "drafts, by kind");
}

const TAKEN: &[(&str, usize)] = &[
    ("MDM", 14),
    ("OMG", 2),
    ("OML", 35),
    ("ORM", 33),
    ("ORU", 411),
    ("OUL", 6),
    ("RDE", 4),
    ("RDS", 2),
    ("SIU", 26),
];
const REFUSED: &[(&str, usize)] = &[
    (" 100 ", 2),
    (" 101 MSH^1^9", 1),
    (" 102 MSH^1^2", 2),
    ("ACK 200 MSH^1^9", 1),
    ("ADT 100 PV1^1", 1),
    ("BAR 200 MSH^1^9", 6),
    ("DFT 200 MSH^1^9", 5),
    ("MDM 101 TXA^1^12", 1),
    ("OML 100 OBR^1", 1),
    ("ORM 100 ORC^1", 5),
    ("ORM 100 PID^1", 8),
    ("ORM 101 PID^1^3", 1),
    ("ORU 101 PID^1^3", 1),
    ("PPR 200 MSH^1^9", 3),
    ("REF 200 MSH^1^9", 4),
    ("VXU 200 MSH^1^9", 4),
];
const KINDS: &[(&str, usize)] = &[
    ("Appointment", 26),
    ("DiagnosticReport", 977),
    ("DocumentReference", 45),
    ("Encounter", 277),
    ("MedicationDispense", 3),
    ("MedicationRequest", 7),
    ("Observation", 7106),
    ("Patient", 533),
    ("ServiceRequest", 80),
];

/// One message of each family, for breaking.
const SEEDS: &[&str] = &[
    "MSH|^~\\&|LAB|NORTH|||20260301120000||ORU^R01|1|P|2.5.1\rPID|1||4711^^^MRN||Okafor^Ada||19610412|F\rPV1|1|E|||||||||||||||||V1\rORC|RE|P1|F1\rOBR|1|P1|F1|24323-8^Panel^LN|||20260301|||||||||||||||20260301113000||LAB|F||||||||1&Hall&Ruth\rNTE|1||a\rOBX|1|NM|2345-7^Glucose^LN|1|<7.4|mmol/L|3-5|H|||F|||20260301090000||7^Moreau^Lea\rOBX|2|SN|1^x^L||^1^:^8||||||F\rOBX|3|ED|1^x^L||^IM^JPEG^Base64^AAAA||||||F\rOBX|4|TM|1^x^L||1200||||||U\rOBX|5|TX|1^x^L|2|a\\.br\\b||||||F",
    "MSH|^~\\&|HIS|NORTH|||20260301120000||OML^O21|1|P|2.5.1\rPID|1||4711^^^MRN\rORC|NW|P1|F1|G1|||^^^20260301^^S||20260301110000|||1^Hall^Ruth\rTQ1|1||Q6H|0800||||20260301|20260302|S\rOBR|1|P1|F1|24323-8^Panel^LN\rNTE|1||x",
    "MSH|^~\\&|PHA|NORTH|||20260301120000||RDE^O11|1|P|2.5.1\rPID|1||4711^^^MRN\rORC|NW|P1|F1\rRXE|^Q8H PRN|1^Amoxicillin^L|500|750|mg||^take^L|||21|{caps}|2||||||||||||5|mL/h\rRXR|PO^oral^HL70162\rRXC|A|2^Water^L|5|mL",
    "MSH|^~\\&|PHA|NORTH|||20260301120000||RDS^O13|1|P|2.5.1\rPID|1||4711^^^MRN\rORC|RE|P1|F1\rRXD|1|1^Amoxicillin^L|20260301|21|mg||77",
    "MSH|^~\\&|DOC|NORTH|||20260301120000||MDM^T02|1|P|2.5.1\rPID|1||4711^^^MRN\rTXA|1|DS|TX|20260301100000|1^Hall|20260301||||||D1|D0||||AU|R|AV\rOBX|1|TX|1^x^L||text||||||F\rOBX|2|ED|1^x^L||^IM^JPEG^Hex^ffd8||||||F",
    "MSH|^~\\&|SCH|NORTH|||20260301120000||SIU^S12|1|P|2.5.1\rPID|1||4711^^^MRN\rSCH|P1|F1|||||CHECKUP|ROUTINE|30|min|^^^20260302090000^20260302093000||||||||||||||Booked\rAIS|1||1^x^L|20260302090000|||30|min\rAIL|1||W^1^2^N\rAIP|1||7^Moreau^Lea|||20260302090000|||30|min||Booked",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    /// Whatever bytes are wrong: drafts or a fault, never a panic; and drafts are valid resources.
    #[test]
    fn wrong_bytes_never_stop_it(
        seed in 0..SEEDS.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"|^~&\\\r-<>.0 \""[..])], 0..3_u8), 1..12),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(m) = mapped(&bytes) {
            for i in 0..m.drafts.len() {
                let issues = issues(&m, i);
                prop_assert!(issues.is_empty(), "{issues:?} {}", m.drafts[i].body.to_compact());
            }
        }
    }
}

#[test]
fn the_seeds_are_taken_whole() {
    for seed in SEEDS {
        let m = mapped(seed.as_bytes()).unwrap_or_else(|f| panic!("{f}\n{seed}"));
        assert!(m.drafts.len() > 1, "{seed}");
        for i in 0..m.drafts.len() {
            assert!(
                issues(&m, i).is_empty(),
                "{:?} {}",
                issues(&m, i),
                m.drafts[i].body.to_pretty()
            );
        }
    }
}
