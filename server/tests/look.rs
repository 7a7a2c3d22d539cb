//! Looking into the audit log over the command line, against a running server: who looked at this patient, the
//! accounting of disclosures, what is unusual.
#![allow(clippy::disallowed_methods)]

mod harness;
use harness::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vitrine_access::chain::Head;
use vitrine_wire::message::{AuditRow, AuditUp, ServerMessage};

/// The names of `ConsoleAuditRow`, and the time in words that the command line adds.
const NAMES: [&str; 15] = [
    "action",
    "actor",
    "actor_name",
    "at",
    "at_ms",
    "chain",
    "device",
    "grant",
    "notes",
    "patient",
    "permitted",
    "purpose",
    "rule",
    "seq",
    "what",
];

fn look(dir: &str, args: &[&str]) -> Value {
    done(&[&["audit"], args, &["--data", dir]].concat())
}

fn refused(dir: &str, args: &[&str], word: &str) {
    let (exit, json) = run_json(&[&["audit"], args, &["--data", dir]].concat());
    assert_eq!(exit, 2, "{args:?}: {json}");
    assert!(json.to_string().contains(word), "{args:?}: {json}");
}

fn rows(found: &Value) -> Vec<(String, u64)> {
    let rows = found["rows"].as_array().unwrap();
    rows.iter()
        .map(|r| {
            (
                r["chain"].as_str().unwrap().to_owned(),
                r["seq"].as_u64().unwrap(),
            )
        })
        .collect()
}

/// Rows of a person at a workstation, as the workstation sends them up.
fn at_workstation(device: &Device, user: &str, opened: &[(&str, &str, &str, i64)]) -> (Vec<AuditRow>, Head) {
    let mut head = Head::EMPTY;
    let mut out = Vec::new();
    for (patient, purpose, rule, at) in opened {
        let body = json!({"access_id": vitrine_server::clock::new_uuid(), "at": at, "actor": {"User": user},
            "device": device.id, "action": "read-chart", "purpose": purpose,
            "decision": if *rule == "no-relationship" { "deny" } else { "permit" }, "rule": rule, "patient": patient,
            "disclosure": {"patients": if *rule == "no-relationship" { vec![] } else { vec![patient] },
                "resources": [], "total": 0}});
        let body = body.to_string();
        let next = head.after(body.as_bytes());
        out.push(AuditRow {
            seq: next.seq,
            prev: hex(&head.hash),
            hash: hex(&next.hash),
            body,
        });
        head = next;
    }
    (out, head)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looked_at_a_patient_is_found_and_accounted_for() {
    let (t, data) = folder();
    let s = Server::start(&data);
    let dir = s.dir().to_owned();
    let client = s.client_token("system/*.cruds").await;
    for p in ["p1", "p2"] {
        assert_eq!(s.fhir(&client, "/fhir", placed(p, "ED").to_string()).await.0, 200);
    }
    let get = async |path: String| {
        s.get(&path)
            .bearer_auth(&client)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    for n in 0..7 {
        assert_eq!(get(format!("/fhir/Patient/p{}", 1 + n % 2)).await, 200);
    }
    command::add_user(&dir, "una", "nurse");
    let d = s.enrol("ED", &[]).await;
    let mut line = line::Line::enrolled(&s, &d).await;
    let now = now_ms();
    let opened = [
        ("p1", "TREAT", "own-ward-patient", now - 60_000),
        ("p1", "BTG", "break-glass-grant", now - 50_000),
        ("p2", "TREAT", "no-relationship", now - 40_000),
    ];
    let (up, _) = at_workstation(&d, "una", &opened);
    line.say(AuditUp { rows: up }).await;
    assert!(matches!(line.hear().await, Some(ServerMessage::AuditAck(a)) if a.seq == 3));

    // Every row that names the patient, as the chains have them: read here row by row.
    let naive = |chain: &str, rows: Vec<Value>, patient: &str| -> BTreeSet<(String, u64)> {
        let names = |e: &Value| {
            e["patient"] == patient
                || e["disclosure"]["patients"]
                    .as_array()
                    .is_some_and(|a| a.iter().any(|p| p == patient))
        };
        let of = rows.iter().zip(1..).filter(|(e, _)| names(e));
        of.map(|(_, seq)| (chain.to_owned(), seq)).collect()
    };
    let mut want = naive("server", s.audit(), "p1");
    want.insert((d.id.clone(), 1));
    want.insert((d.id.clone(), 2));
    let found = look(&dir, &["find", "--patient", "p1"]);
    // The row that says what is asked is there before anything is shown, so it is the newest of them.
    let own = found["rows"][0].clone();
    assert_eq!(
        (own["action"].as_str(), own["permitted"].as_bool()),
        (Some("read-audit"), Some(true))
    );
    let notes: BTreeSet<String> = own["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| format!("{}={}", n["name"].as_str().unwrap(), n["value"].as_str().unwrap()))
        .collect();
    assert!(
        notes.contains("use=find") && notes.contains("patient=p1"),
        "{notes:?}"
    );
    let mut got: BTreeSet<(String, u64)> = rows(&found).into_iter().collect();
    assert!(got.remove(&("server".to_owned(), own["seq"].as_u64().unwrap())));
    assert_eq!(got, want);
    for row in found["rows"].as_array().unwrap() {
        let names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, NAMES);
    }
    let times: Vec<i64> = found["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["at_ms"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");

    // Page by page it is the same, however many rows the looking itself adds.
    let mut paged: Vec<(String, u64)> = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut args = vec!["find", "--patient", "p1", "--limit", "2"];
        args.extend(before.as_deref().into_iter().flat_map(|b| ["--before", b]));
        let page = look(&dir, &args);
        paged.extend(rows(&page));
        before = page["next"].as_str().map(str::to_owned);
        if before.is_none() {
            break;
        }
    }
    assert_eq!(
        paged[1..],
        rows(&found)[..],
        "the first is the row of the first page's own question"
    );

    let by = look(&dir, &["find", "--user", "una"]);
    assert_eq!(rows(&by), [3, 2, 1].map(|n| (d.id.clone(), n)));
    assert_eq!(by["rows"][0]["what"], "refused: nothing was shown");
    assert_eq!(by["rows"][1]["actor_name"], "una");
    let acts = look(
        &dir,
        &[
            "find",
            "--action",
            "read-chart",
            "--device",
            &d.id,
            "--user",
            "una",
            "--patient",
            "p1",
        ],
    );
    assert_eq!(rows(&acts), [2, 1].map(|n| (d.id.clone(), n)));
    let until = vitrine_server::clock::instant(vitrine_clinical::UtcMs(now - 50_000));
    assert_eq!(
        rows(&look(&dir, &["find", "--user", "una", "--until", &until])),
        [(d.id.clone(), 1)]
    );
    assert_eq!(
        look(&dir, &["find", "--patient", "nobody"])["rows"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "its own row"
    );

    // The accounting: what was disclosed, by whom, what for; what was refused is no disclosure.
    let span = ["--from", "2020-01-01", "--until", "2100-01-01"];
    let account = look(&dir, &[&["disclosures", "--patient", "p1"], &span[..]].concat());
    let lines = account["disclosures"].as_array().unwrap();
    let glass = lines.iter().find(|l| l["emergency"] == true).unwrap();
    assert_eq!(
        (
            &glass["who"],
            &glass["kind"],
            &glass["purpose"],
            &glass["own_staff"],
            &glass["read_only"]
        ),
        (
            &json!("una"),
            &json!("staff"),
            &json!("emergency treatment"),
            &json!(true),
            &json!(true)
        )
    );
    let wrote = lines.iter().find(|l| l["act"] == "write-clinical").unwrap();
    assert_eq!(
        (&wrote["kind"], &wrote["own_staff"], &wrote["read_only"]),
        (&json!("program"), &json!(false), &json!(false))
    );
    let other = look(&dir, &[&["disclosures", "--patient", "p2"], &span[..]].concat());
    assert!(
        other["disclosures"]
            .as_array()
            .unwrap()
            .iter()
            .all(|l| l["who"] != "una"),
        "{other}"
    );
    let csv = t.path().join("p1.csv");
    let out = csv.to_str().unwrap();
    let written = look(
        &dir,
        &[&["disclosures", "--patient", "p1", "--out", out], &span[..]].concat(),
    );
    let text = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(
        text.split("\r\n").count() as u64,
        written["rows"].as_u64().unwrap() + 2
    );
    assert!(text.starts_with(
        "date,who,name,kind,device,act,what,purpose,emergency,own_staff,read_only,chain,seq\r\n"
    ));
    assert!(text.contains(",una,una,staff,"), "{text}");
    let (exit, _) = run_json(
        &[
            &[
                "audit",
                "disclosures",
                "--patient",
                "p1",
                "--out",
                out,
                "--data",
                &dir,
            ],
            &span[..],
        ]
        .concat(),
    );
    assert_ne!(exit, 0, "a file that is there is not written over");
    for use_ in ["disclosures", "find"] {
        let says = |r: &Value| {
            r["notes"]["use"] == use_ && r["notes"]["patient"] == "p1" && r["action"] == "read-audit"
        };
        assert!(s.audit().iter().any(says), "{use_}");
    }

    refused(&dir, &["find", "--from", "yesterday"], "--from");
    refused(&dir, &["find", "--limit", "0"], "--limit");
    refused(&dir, &["find", "--limit", "1001"], "--limit");
    refused(&dir, &["find", "--before", "x"], "--before");
    refused(&dir, &["find", "--patient", "a b"], "--patient");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unusual_names_rule_rows_and_reason() {
    let (_t, data) = folder();
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(
        data.join("vitrine.toml"),
        "[audit.anomalies]\nburst_patients = 4\nrefused_patients = 1\n",
    )
    .unwrap();
    let s = Server::start(&data);
    let dir = s.dir().to_owned();
    let client = s.client_token("system/*.cruds").await;
    for p in ["p1", "p2"] {
        let mut bundle = placed(p, "ED");
        let entry = &mut bundle["entry"][2]["resource"];
        assert_eq!(entry["resourceType"], "Patient");
        if p == "p2" {
            entry["name"] = json!([{"family": "Somebody", "given": ["Else"]}]);
            entry["meta"] = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VIP"}]});
        }
        assert_eq!(s.fhir(&client, "/fhir", bundle.to_string()).await.0, 200);
    }
    done(&[
        "user",
        "add",
        "una",
        "--role",
        "nurse",
        "--ward",
        "ED",
        "--display",
        "Una Testperson",
        "--data",
        &dir,
    ]);
    let d = s.enrol("ED", &[]).await;
    let mut line = line::Line::enrolled(&s, &d).await;
    let at = now_ms() - 600_000;
    let mut opened = vec![
        ("p1", "TREAT", "own-ward-patient", at),
        ("p2", "BTG", "break-glass-grant", at + 1),
        ("q1", "TREAT", "no-relationship", at + 2),
        ("q2", "TREAT", "no-relationship", at + 3),
    ];
    let ids: Vec<String> = (0..4).map(|n| format!("r{n}")).collect();
    opened.extend(
        ids.iter()
            .map(|id| (id.as_str(), "TREAT", "own-ward-patient", at + 10)),
    );
    let (up, _) = at_workstation(&d, "una", &opened);
    line.say(AuditUp { rows: up }).await;
    assert!(matches!(line.hear().await, Some(ServerMessage::AuditAck(a)) if a.seq == 8));
    let found = look(
        &dir,
        &["anomalies", "--from", "2020-01-01", "--until", "2100-01-01"],
    );
    let told: Vec<(String, Vec<u64>)> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            assert_eq!(f["user"], "una");
            assert!(f["text"].as_str().unwrap().starts_with("una "));
            let rows = f["rows"].as_array().unwrap();
            assert!(rows.iter().all(|r| r["chain"] == d.id));
            let seqs = rows.iter().map(|r| r["seq"].as_u64().unwrap()).collect();
            (f["rule"].as_str().unwrap().to_owned(), seqs)
        })
        .collect();
    let want = [
        ("own-record", vec![1]),
        ("vip", vec![2]),
        ("burst", vec![1, 2, 5, 6, 7, 8]),
        ("refused", vec![3, 4]),
        ("no-relationship", vec![2]),
    ];
    assert_eq!(told, want.map(|(rule, rows)| (rule.to_owned(), rows)));
    // Whom the findings name is in the row of whoever looked.
    let rows = s.audit();
    let own = rows.iter().find(|r| r["notes"]["use"] == "anomalies").unwrap();
    let named: BTreeSet<&str> = own["disclosure"]["patients"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        named.contains("p1") && named.contains("q2") && named.contains("r3"),
        "{named:?}"
    );
    let none = look(
        &dir,
        &["anomalies", "--from", "2020-01-01", "--until", "2020-02-01"],
    );
    assert_eq!(
        (
            none["accesses"].as_u64(),
            none["findings"].as_array().map(Vec::len)
        ),
        (Some(0), Some(0))
    );
}
