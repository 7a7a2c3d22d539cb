//! Every act of the audit log as FHIR AuditEvents (BALP) and as messages of ITI-20, judged by others' code: the models of
//! `fhir.resources`, RELAX NG of PS3.15 by lxml, the dictionary of pydicom, and a table written from the specifications
//! (`tests/interop/audit_forms.py`). And what it must not let pass.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosed, Disclosure, Kind, Purpose};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, UserId, UtcMs};
use vitrine_server::ops::forms::{Known, atna, balp};
use vitrine_store::audit_find::FoundRow;

/// What is worth a case of its own beside the act as it is.
const VARIANTS: &[&str] = &[
    "read-card/packet",
    "read-card/glass",
    "read-card/several",
    "read-chart/studies",
    "read-chart/many",
    "read-resource/nobody",
    "read-resource/nothing",
    "search-patients/none",
    "search-patients/several",
    "sync-scope/device",
    "write-clinical/new",
    "write-clinical/client",
    "destroy-record/operator",
    "review-break-glass/list",
    "manage-users/list",
    "manage-devices/list",
];

fn known() -> Known {
    Known {
        server: "hospital".to_owned(),
        address: "https://vitrine.hospital.example".to_owned(),
        people: BTreeMap::from([(
            "ann".to_owned(),
            ("Ann <Weber> & \"Co\"".to_owned(), "nurse", "Nurse"),
        )]),
        devices: BTreeMap::from([("ed-01".to_owned(), "ED bay 1".to_owned())]),
    }
}

fn patient(id: &str) -> PatientId {
    PatientId::new(id).unwrap()
}

fn shown(kind: &str, id: &str, version: u64) -> Disclosed {
    Disclosed {
        key: ResourceKey::new(kind, id).unwrap(),
        version,
    }
}

/// Acts that concern no record.
fn of_nobody(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ManageUsers
            | Kind::ManageDevices
            | Kind::OperateServer
            | Kind::SignIn
            | Kind::SignOut
            | Kind::Identify
            | Kind::Enrol
            | Kind::Wiped
            | Kind::Alarm
            | Kind::SelfTest
            | Kind::RunDrill
            | Kind::EndDrill
            | Kind::ClaimLane
            | Kind::IntrospectToken
            | Kind::SecondFactor
            | Kind::ChangeSecret
            | Kind::SendLive
    )
}

fn row(case: &str) -> FoundRow {
    let (act, variant) = case.split_once('/').unwrap_or((case, ""));
    let kind = Kind::parse(act).unwrap();
    let mut chain = "server";
    let mut e = AuditEntry {
        access_id: AccessId(uuid::Uuid::from_u128(7)),
        at: UtcMs(1_795_000_000_000),
        actor: Actor::User(UserId::new("ann").unwrap()),
        device: Some(DeviceId::new("ed-01").unwrap()),
        action: act.to_owned(),
        purpose: Purpose::Treatment,
        decision: Decision::Permit,
        rule: "own-ward-patient".to_owned(),
        grant: None,
        patient: Some(patient("p1")),
        disclosure: Disclosure {
            patients: vec![patient("p1")],
            resources: vec![shown("Patient", "p1", 3)],
            total: 1,
            digest: None,
        },
        notes: BTreeMap::from([("words".to_owned(), "5 < 6 & \"so\"\n\u{2}\u{1F480}".to_owned())]),
    };
    if of_nobody(kind) {
        (e.patient, e.disclosure) = (None, Disclosure::default());
        e.purpose = Purpose::Operations;
    }
    let mut note = |name: &str, value: &str| {
        e.notes.insert(name.to_owned(), value.to_owned());
    };
    match (kind, variant) {
        (Kind::ReadCard, "packet") => note("use", "downtime-packet"),
        (Kind::ReadChart, "studies") => note("by", "studies"),
        (Kind::ReadResource, "nobody") => note("asked", "Location/ED"),
        (Kind::ReadResource, "nothing") => note("asked", "Observation/o9/_history/2"),
        (_, "list") => note("use", "list"),
        (Kind::SearchPatients, _) => note("query", "weber an"),
        (Kind::SyncScope, _) => note("scope", "ess:ED"),
        _ => {}
    }
    match (kind, variant) {
        (Kind::ReadCard, "") => {
            e.disclosure.resources = vec![shown("EmergencyCard", "p1", 9)];
            chain = "ed-01";
        }
        (Kind::ReadCard, "glass") | (Kind::BreakGlass | Kind::EndBreakGlass, _) => {
            (e.purpose, e.grant) = (Purpose::BreakGlass, Some(AccessId(uuid::Uuid::from_u128(9))));
        }
        (_, "several") => {
            e.patient = None;
            e.disclosure.patients = vec![patient("p1"), patient("p2"), patient("p3")];
            e.disclosure.resources = vec![
                shown("Patient", "p1", 3),
                shown("Patient", "p3", 1),
                shown("Observation", "o1", 2),
            ];
        }
        (Kind::ReadChart, "many") => {
            e.disclosure.resources = (1..=1_000)
                .map(|n| shown("Observation", &format!("o{n}"), n))
                .collect();
            (e.disclosure.total, e.disclosure.digest) = (131_000, Some("d".repeat(64)));
        }
        (Kind::ReadResource, "nobody" | "nothing") => {
            (e.patient, e.disclosure) = (None, Disclosure::default());
            if variant == "nobody" {
                e.disclosure.resources = vec![shown("Location", "ED", 4)];
            }
        }
        (Kind::SearchPatients, "none") => (e.patient, e.disclosure) = (None, Disclosure::default()),
        (Kind::SyncScope, "device") => e.actor = Actor::Device(DeviceId::new("ed-01").unwrap()),
        (Kind::WriteClinical, "new") => e.disclosure.resources = vec![shown("Observation", "o1", 1)],
        (Kind::WriteClinical, "client") => (e.actor, e.device) = (Actor::Client("lab".into()), None),
        (Kind::DestroyRecord, "operator") => (e.actor, e.device) = (Actor::Operator("root".into()), None),
        (Kind::ReadAudit | Kind::ReviewBreakGlass, _) => e.purpose = Purpose::Compliance,
        _ => {}
    }
    FoundRow {
        chain: chain.to_owned(),
        seq: 17,
        at: e.at,
        entry: Some(e),
    }
}

fn told(case: &str, row: &FoundRow) -> Value {
    json!({
        "case": case, "entry": row.entry,
        "events": balp::events(row, &known()), "messages": atna::messages(row, &known()),
    })
}

/// The verdict of the script: whether it is content, and what it says.
fn judged(folder: &Path, rows: &[Value], some: bool) -> (bool, String) {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
    let file = folder.join("rows.json");
    let text = json!({"kinds": kinds, "rows": rows, "some": some}).to_string();
    std::fs::write(&file, text).unwrap();
    let python =
        std::env::var_os("VITRINE_PYTHON").expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/audit_forms.py");
    let out = Command::new(python).arg(script).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success() && said.contains("YES"), said)
}

fn all() -> Vec<Value> {
    let cases = Kind::ALL.iter().map(|k| k.name()).chain(VARIANTS.iter().copied());
    let mut out = Vec::new();
    for case in cases {
        let mut row = row(case);
        out.push(told(case, &row));
        let entry = row.entry.as_mut().unwrap();
        entry.decision = Decision::Deny;
        entry.rule = if case == "sign-in" {
            "wrong-secret"
        } else {
            "no-relationship"
        }
        .to_owned();
        out.push(told(&format!("{case}/denied"), &row));
    }
    out
}

#[test]
fn every_act_is_valid_in_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let (fine, said) = judged(folder.path(), &all(), false);
    assert!(fine, "{said}");
    eprintln!("{said}");
}

/// What is done to a row as told.
type Damage = (&'static str, &'static str, fn(&mut Value));

#[test]
fn what_is_wrong_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let replaced = |v: &mut Value, a: &str, b: &str| {
        let text = v["messages"][0].as_str().unwrap();
        assert!(text.contains(a), "{text}");
        v["messages"][0] = text.replacen(a, b, 1).into();
    };
    let damages: &[Damage] = &[
        ("read-card", "profile", |v| {
            v["events"][0]["meta"]["profile"][0] =
                "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientQuery".into()
        }),
        ("read-card", "action", |v| v["events"][0]["action"] = "E".into()),
        ("read-card", "agent", |v| {
            drop(v["events"][0]["agent"].as_array_mut().unwrap().remove(1))
        }),
        ("read-card", "network", |v| {
            drop(
                v["events"][0]["agent"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("network"),
            )
        }),
        ("read-card", "roles", |v| {
            v["events"][0]["agent"][0]["type"] = v["events"][0]["agent"][1]["type"].clone()
        }),
        ("read-card", "patient", |v| {
            drop(v["events"][0]["entity"].as_array_mut().unwrap().remove(0))
        }),
        ("read-card", "meaning", |v| {
            v["events"][0]["agent"][0]["type"]["coding"][0]["display"] = "Login".into()
        }),
        ("read-card", "cardinality", |v| {
            drop(v["events"][0].as_object_mut().unwrap().remove("recorded"))
        }),
        ("read-card", "format", |v| {
            v["events"][0]["recorded"] = "yesterday".into()
        }),
        ("read-card", "unknown element", |v| {
            v["events"][0]["colour"] = "red".into()
        }),
        ("read-card/glass", "purpose", |v| {
            drop(v["events"][0].as_object_mut().unwrap().remove("purposeOfEvent"))
        }),
        ("read-card/packet", "observer", |v| {
            v["events"][0]["source"]["observer"]["display"] = "another".into()
        }),
        ("read-card/denied", "outcome", |v| {
            v["events"][0]["outcome"] = "0".into()
        }),
        ("read-chart/many", "a version", |v| {
            drop(v["events"][0]["entity"].as_array_mut().unwrap().remove(5))
        }),
        ("read-chart/many", "a message", |v| {
            drop(v["messages"].as_array_mut().unwrap().remove(1))
        }),
        ("search-patients", "query", |v| {
            drop(
                v["events"][0]["entity"][1]
                    .as_object_mut()
                    .unwrap()
                    .remove("query"),
            )
        }),
        ("search-patients/several", "an event", |v| {
            drop(v["events"].as_array_mut().unwrap().remove(1))
        }),
        ("break-glass", "subtype", |v| {
            drop(v["events"][0]["subtype"].as_array_mut().unwrap().remove(0))
        }),
        ("sign-in", "type", |v| {
            v["events"][0]["type"]["code"] = "110113".into()
        }),
    ];
    let mut damaged = Vec::new();
    for (case, what, damage) in damages {
        let (bare, denied) = case.strip_suffix("/denied").map_or((*case, false), |c| (c, true));
        let mut row = row(bare);
        if denied {
            row.entry.as_mut().unwrap().decision = Decision::Deny;
        }
        let mut v = told(case, &row);
        damage(&mut v);
        v["name"] = format!("{case} without its {what}").into();
        damaged.push(v);
    }
    for (n, (case, from, to)) in [
        ("read-card", "csd-code=\"110110\"", "csd-code=\"110114\""),
        ("read-card", "EventActionCode=\"R\"", "EventActionCode=\"X\""),
        ("read-card", "&amp;", "&"),
        (
            "read-card",
            "</AuditSourceIdentification>",
            "</AuditSourceIdentification><Other/>",
        ),
        ("read-card", "<85>1 ", "<85> "),
        ("read-card", "\u{FEFF}", ""),
        (
            "read-card",
            "ParticipantObjectID=\"p1\"",
            "ParticipantObjectID=\"p2\"",
        ),
        ("break-glass", "csd-code=\"110127\"", "csd-code=\"110138\""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut v = told(case, &row(case));
        replaced(&mut v, from, to);
        v["name"] = format!("message {n}").into();
        damaged.push(v);
    }
    let (fine, said) = judged(folder.path(), &damaged, true);
    let passed: Vec<&str> = damaged
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .filter(|name| !said.contains(&format!("\n{name}: ")))
        .collect();
    assert!(!fine && passed.is_empty(), "these passed: {passed:#?} {said}");
}
