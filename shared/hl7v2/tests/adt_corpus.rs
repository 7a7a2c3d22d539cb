//! Every ADT message of the corpora, mapped: what is taken, what is not and why, by count. All that would be stored is valid
//! FHIR R4, and a message that comes again writes nothing.

use fhirkit::Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vitrine_hl7v2::charset::Charset;
use vitrine_hl7v2::merge::{Meeting, Source, over};
use vitrine_hl7v2::{Draft, Feed, Message, map};

/// The folder of the corpora beside the repository; `None` (after saying so) where it is absent outside CI.
fn data() -> Option<PathBuf> {
    let start = std::env::current_dir().expect("the folder of the package");
    let found = start
        .ancestors()
        .map(|dir| dir.join("../shared/data/hl7v2"))
        .find(|dir| dir.is_dir());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the corpora (../shared/data) must be there in CI"
        );
        eprintln!("skipped: no ../shared/data/hl7v2 beside the repository");
    }
    found
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// The messages of a file: each begins with MSH at the start of a line.
fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for line in bytes.split(|b| matches!(b, b'\r' | b'\n')) {
        let line = line.trim_ascii();
        if line.starts_with(b"MSH") {
            out.push(Vec::new());
        }
        if let Some(message) = out.last_mut().filter(|_| !line.is_empty()) {
            message.extend_from_slice(line);
            message.push(b'\r');
        }
    }
    out
}

fn store(recorded: Option<&Json>, draft: &Draft) -> Meeting {
    let source = Source {
        feed: "corpus",
        control: "1",
        at: None,
    };
    let draft = Draft {
        body: resolved(&draft.body),
        ..draft.clone()
    };
    over(recorded, &draft, &source)
}

fn resolved(node: &Json) -> Json {
    Json::parse(&node.to_compact().replace("urn:vitrine:draft:", "Basic/x")).unwrap()
}

#[test]
fn every_adt_message_of_the_corpora() {
    let Some(data) = data() else { return };
    let mut all = Vec::new();
    files(&data, &mut all);
    all.sort();
    // By event: taken, and faults by code.
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut drafts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut notes = 0;
    let mut invalid = Vec::new();
    for path in all {
        for bytes in messages(&std::fs::read(&path).unwrap()) {
            let Ok(message) = Message::read(&bytes, Charset::named("8859/1").unwrap()) else {
                continue;
            };
            let header = message.header();
            if header.kind != "ADT" {
                continue;
            }
            let mapped = match map(&message, &Feed::new("corpus", &|_, _, _, _, _| 0)) {
                Ok(mapped) => mapped,
                Err(fault) => {
                    *faults.entry((header.event, fault.code.number())).or_default() += 1;
                    continue;
                }
            };
            *taken.entry(header.event).or_default() += 1;
            notes += mapped.notes.len();
            assert_eq!(mapped.patient, Some(0));
            for draft in &mapped.drafts {
                *drafts.entry(draft.kind).or_default() += 1;
                assert!(!draft.keys.is_empty());
                let Meeting::Write(made) = store(None, draft) else {
                    panic!("nothing written where nothing is recorded")
                };
                let body = made.to_compact().replacen('{', "{\"id\":\"x\",", 1);
                if let Err(issues) = vitrine_fhir::validate(body.as_bytes()) {
                    invalid.push(format!("{} {}: {issues:?}", path.display(), draft.kind));
                }
                assert_eq!(
                    store(Some(&made), draft),
                    Meeting::Same,
                    "{}: {body}",
                    path.display()
                );
            }
        }
    }
    assert!(
        invalid.is_empty(),
        "{} invalid: {:#?}",
        invalid.len(),
        &invalid[..invalid.len().min(10)]
    );
    let taken: Vec<(&str, usize)> = taken.iter().map(|(e, n)| (e.as_str(), *n)).collect();
    assert_eq!(
        taken,
        [
            ("A01", 302),
            ("A02", 2),
            ("A03", 2),
            ("A04", 12),
            ("A05", 2),
            ("A06", 2),
            ("A07", 2),
            ("A08", 3),
            ("A09", 2),
            ("A10", 2),
            ("A11", 2),
            ("A13", 2),
            ("A14", 2),
            ("A15", 2),
            ("A16", 2),
            ("A25", 2),
            ("A26", 2),
            ("A27", 2),
            ("A28", 2),
            ("A31", 68),
            ("A47", 1),
            ("A60", 3),
        ]
    );
    // A01: without PID-3 or visit number, without PV1; A47: two patients in one message.
    let faults: Vec<(&str, u16, usize)> = faults.iter().map(|((e, c), n)| (e.as_str(), *c, *n)).collect();
    assert_eq!(
        faults,
        [
            ("A01", 100, 7),
            ("A01", 101, 5),
            ("A29", 201, 2),
            ("A40", 201, 4),
            ("A41", 201, 2),
            ("A45", 201, 2),
            ("A47", 100, 1),
        ]
    );
    let drafts: Vec<(&str, usize)> = drafts.into_iter().collect();
    assert_eq!(
        drafts,
        [
            ("AllergyIntolerance", 99),
            ("Condition", 63),
            ("Encounter", 353),
            ("Location", 677),
            ("Patient", 421),
        ]
    );
    assert_eq!(notes, 388);
}
