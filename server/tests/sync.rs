//! `/ws/sync` spoken frame by frame: handshake, snapshot, deltas, sign-out, revocation, uploads, many idle clients.

mod harness;
use futures_util::SinkExt as _;
use harness::line::Line;
use harness::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use vitrine_sync::proof;
use vitrine_wire::digest::{ScopeDigest, body_hash};
use vitrine_wire::message::*;

async fn hospital() -> (tempfile::TempDir, Server, String, Device) {
    let (t, data) = folder();
    let s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    for (p, w) in [("p1", "ED"), ("p2", "ED"), ("p3", "ICU")] {
        assert_eq!(s.fhir(&client, "/fhir", placed(p, w).to_string()).await.0, 200);
    }
    let d = s.enrol("ED", &[]).await;
    (t, s, client, d)
}

fn add_user(s: &Server, name: &str) {
    add_person(s, name, "nurse");
}

fn add_person(s: &Server, name: &str, role: &str) {
    let mut child = std::process::Command::new(PROGRAM)
        .args([
            "user",
            "add",
            name,
            "--role",
            role,
            "--ward",
            "ED",
            "--data",
            s.dir(),
            "--secret-stdin",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"a-long-password\n193746\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ward_is_fetched_followed_and_equal_on_both_ends() {
    let (_t, s, client, d) = hospital().await;
    let mut line = Line::open(&s).await;
    match line.prove(&d).await {
        Some(ServerMessage::Welcome(w)) => assert_eq!(w.scopes, ["dir", "ess:ED", "board:ED"]),
        other => panic!("{other:?}"),
    }
    line.say(Credit { bytes: 1 << 24 }).await;
    let (items, _) = line.fetch("ess:ED", 1).await;
    assert_eq!(
        items.iter().map(|i| i.key.as_str()).collect::<Vec<_>>(),
        ["p1", "p2"]
    );
    let mut held: std::collections::BTreeMap<String, (u64, [u8; 16])> = items
        .iter()
        .map(|i| {
            (
                i.key.clone(),
                (i.ver, body_hash(i.body.as_ref().unwrap().get().as_bytes())),
            )
        })
        .collect();
    let allergy = json!({"resourceType": "AllergyIntolerance", "id": "a1", "patient": {"reference": "Patient/p1"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
        "code": {"text": "Penicillin"}});
    let began = vitrine_server::clock::steady();
    let answer = s
        .put("/fhir/AllergyIntolerance/a1")
        .bearer_auth(&client)
        .header("content-type", "application/fhir+json")
        .body(allergy.to_string());
    let posted = tokio::spawn(answer.send());
    let Some(ServerMessage::Delta(delta)) = line.hear().await else {
        panic!("no delta")
    };
    let took = began.elapsed();
    assert_eq!(posted.await.unwrap().unwrap().status(), 201);
    let change = &delta.changes[0];
    assert_eq!(
        (change.key.as_str(), change.prev, change.ver),
        ("p1", held["p1"].0, held["p1"].0 + 1)
    );
    assert!(change.body.as_ref().unwrap().get().contains("Penicillin"));
    held.insert(
        "p1".into(),
        (
            change.ver,
            body_hash(change.body.as_ref().unwrap().get().as_bytes()),
        ),
    );
    assert!(took < Duration::from_secs(1), "{took:?}");
    eprintln!("post to delta: {took:?}");
    // The patient moves away: gone here.
    let mut enc = placed("p2", "ICU");
    enc["entry"][3]["resource"]["id"] = json!("p2-enc");
    assert_eq!(s.fhir(&client, "/fhir", enc.to_string()).await.0, 200);
    while held.contains_key("p2") {
        let Some(ServerMessage::Delta(delta)) = line.hear().await else {
            panic!("no delta")
        };
        for c in delta.changes {
            match c.body {
                None => drop(held.remove(&c.key)),
                Some(b) => drop(held.insert(c.key, (c.ver, body_hash(b.get().as_bytes())))),
            }
        }
    }
    let mut mine = ScopeDigest::default();
    for (k, (v, h)) in &held {
        mine.add(k, *v, h);
    }
    let doctor = done(&["doctor", "--data", s.dir()]);
    assert_eq!(doctor["digests"]["ess:ED"]["digest"], mine.hex());
    line.say(Digest {
        scope: "ess:ED".into(),
        pos: 0,
        digest: mine.hex(),
    })
    .await;
    match line.hear().await {
        Some(ServerMessage::DigestDiff(d)) => assert!(d.buckets.is_empty(), "the digests differ"),
        other => panic!("{other:?}"),
    }
    for foreign in ["ess:ICU", "board:ICU", "ess:site", "pat:p1"] {
        line.say(Sub {
            scope: foreign.into(),
            n: 50,
            have: None,
            resume: None,
        })
        .await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::Reject(r)) if r.scope == foreign),
            "{foreign}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_and_a_revoked_workstation_is_ordered_to_wipe() {
    let (_t, s, _, d) = hospital().await;
    let other = s.enrol("ED", &[]).await;
    let liar = Device {
        id: d.id.clone(),
        ..other.clone()
    };
    for who in [
        liar,
        Device {
            id: "nobody".into(),
            ..other
        },
    ] {
        let mut line = Line::open(&s).await;
        assert!(matches!(line.prove(&who).await, Some(ServerMessage::Reject(_))));
        assert!(line.hear().await.is_none(), "the line stays open");
    }
    let mut line = Line::enrolled(&s, &d).await;
    line.fetch("ess:ED", 1).await;
    let began = vitrine_server::clock::steady();
    done(&["device", "revoke", &d.id, "--data", s.dir()]);
    let Some(ServerMessage::Wipe(order)) = line.hear().await else {
        panic!("no order")
    };
    assert!(began.elapsed() < Duration::from_secs(1));
    let message = proof::wipe_order(&d.id, &order.nonce);
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &d.server_key);
    key.verify(&message, &unhex(&order.signature))
        .expect("the order is the server's");
    line.say(WipeDone {
        nonce: order.nonce.clone(),
        signature: d.sign(&proof::wipe_done(&order.nonce)),
    })
    .await;
    assert!(line.hear().await.is_none());
    let mut again = Line::open(&s).await;
    assert!(
        matches!(again.prove(&d).await, Some(ServerMessage::Wipe(_))),
        "ordered again until it is done"
    );
    let rows = s.audit();
    assert!(
        rows.iter()
            .any(|r| r["action"] == "wiped" && r["rule"] == "signed"),
        "the wipe has no row"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_closes_within_a_second_when_the_person_goes() {
    let (_t, s, client, d) = hospital().await;
    add_user(&s, "nina");
    for ending in ["sign-out", "disable"] {
        let mut line = Line::enrolled(&s, &d).await;
        line.say(Sub {
            scope: "pat:p1".into(),
            n: 1,
            have: None,
            resume: None,
        })
        .await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::Reject(_))),
            "nobody is signed in"
        );
        let (_, session) = s.login(&d, "nina", "193746").await;
        let token = session["token"].as_str().unwrap().to_owned();
        line.say(UserAuth { token: token.clone() }).await;
        assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(u)) if u.user == "nina"));
        line.say(Sub {
            scope: "pat:p3".into(),
            n: 2,
            have: None,
            resume: None,
        })
        .await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::Reject(r)) if r.scope == "pat:p3"),
            "another ward's patient"
        );
        let (items, _) = line.fetch("pat:p1", 3).await;
        assert!(items.iter().any(|i| i.key == "Patient/p1"));
        assert_eq!(
            s.fhir(&client, "/fhir/Observation", observation(None, "p1", "1.0"))
                .await
                .0,
            201
        );
        assert!(matches!(line.hear().await, Some(ServerMessage::PatientDelta(p)) if p.rev == p.rev_prev + 1));
        let began = vitrine_server::clock::steady();
        if ending == "sign-out" {
            assert_eq!(
                s.post("/auth/logout")
                    .bearer_auth(&token)
                    .send()
                    .await
                    .unwrap()
                    .status(),
                204
            );
        } else {
            done(&["user", "disable", "nina", "--data", s.dir()]);
        }
        let took = loop {
            match line.hear().await {
                Some(ServerMessage::Reject(r)) if r.scope == "user" => break began.elapsed(),
                Some(ServerMessage::PatientDelta(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(took < Duration::from_secs(1), "{ending}: {took:?}");
        assert_eq!(
            s.fhir(&client, "/fhir/Observation", observation(None, "p1", "2.0"))
                .await
                .0,
            201
        );
        line.say(Sub {
            scope: "board:ED".into(),
            n: 9,
            have: None,
            resume: None,
        })
        .await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::SnapBegin(_))),
            "{ending}: something of the record came after"
        );
    }
}

fn chain(rows: &[&str]) -> Vec<AuditRow> {
    let mut prev = [0_u8; 32];
    rows.iter()
        .enumerate()
        .map(|(i, body)| {
            let seq = i as u64 + 1;
            let hash: [u8; 32] = Sha256::new()
                .chain_update([0])
                .chain_update(prev)
                .chain_update(seq.to_be_bytes())
                .chain_update(body)
                .finalize()
                .into();
            let row = AuditRow {
                seq,
                prev: hex(&prev),
                hash: hex(&hash),
                body: (*body).to_owned(),
            };
            prev = hash;
            row
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_and_audit_rows_of_a_workstation_are_kept_once_and_forks_raise_the_alarm() {
    let (_t, s, _, d) = hospital().await;
    add_user(&s, "nina");
    let mut line = Line::enrolled(&s, &d).await;
    let entry = |n: u32| {
        json!({"access_id": vitrine_server::clock::new_uuid(), "at": now_ms(), "actor": {"User": "nina"}, "device": d.id,
        "action": "read-card", "purpose": "BTG", "decision": "permit", "rule": "x", "disclosure": {"patients": [], "resources": [], "total": n}}).to_string()
    };
    let bodies: Vec<String> = (0..5).map(entry).collect();
    let rows = chain(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    line.say(AuditUp {
        rows: rows[..2].to_vec(),
    })
    .await;
    assert!(matches!(line.hear().await, Some(ServerMessage::AuditAck(a)) if a.seq == 2));
    line.say(AuditUp {
        rows: rows[..3].to_vec(),
    })
    .await;
    assert!(
        matches!(line.hear().await, Some(ServerMessage::AuditAck(a)) if a.seq == 3),
        "the same rows again are fine"
    );
    line.say(AuditUp {
        rows: rows[4..].to_vec(),
    })
    .await;
    assert!(
        matches!(line.hear().await, Some(ServerMessage::AuditAck(a)) if a.seq == 3),
        "a gap: go on from three"
    );
    let grant = json!({"id": vitrine_server::clock::new_uuid(), "user": "nina", "device": d.id, "patient": "p3", "reason": "life-threatening",
        "words": null, "at": now_ms() - 3_600_000, "until": now_ms() + 3_600_000, "offline": true});
    let with = |changes: &[(&str, Value)]| {
        let mut other = grant.clone();
        for (field, value) in changes {
            other[*field] = value.clone();
        }
        other
    };
    let new_id = || json!(vitrine_server::clock::new_uuid());
    let late = with(&[
        ("id", new_id()),
        ("at", json!(now_ms() - 30 * 3_600_000_i64)),
        ("until", json!(now_ms() - 26 * 3_600_000_i64)),
    ]);
    for sent in [&late, &grant, &grant] {
        line.say(up(sent)).await;
        assert!(matches!(line.hear().await, Some(ServerMessage::GrantAck(a)) if a.id == sent["id"]));
    }
    // With the grant the record opens for her here.
    let (_, session) = s.login(&d, "nina", "193746").await;
    line.say(UserAuth {
        token: session["token"].as_str().unwrap().into(),
    })
    .await;
    assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))));
    line.fetch("pat:p3", 1).await;
    let forked = chain(&[&bodies[0], &bodies[1], &bodies[3]]);
    line.say(AuditUp {
        rows: forked[2..].to_vec(),
    })
    .await;
    assert!(matches!(line.hear().await, Some(ServerMessage::Reject(r)) if r.scope == "audit"));
    let audit = s.audit();
    let of = |a: &str| audit.iter().filter(|r| r["action"] == a).collect::<Vec<&Value>>();
    assert_eq!(of("alarm").len(), 1);
    assert_eq!(
        of("receive-grant")
            .iter()
            .map(|r| r["notes"]["late"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["true", "false"],
        "one came more than 24 h after the event; sent again, nothing is written"
    );
    assert_eq!(
        done(&["device", "list", "--data", s.dir()])["devices"][0]["audit_seq"],
        3
    );
    assert_eq!(done(&["audit", "verify", "--data", s.dir()])["whole"], true);
}

fn up(grant: &Value) -> GrantUp {
    GrantUp {
        grant: serde_json::value::RawValue::from_string(grant.to_string()).unwrap(),
        after: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_gives_what_its_maker_may_give_and_no_more() {
    let (_t, mut s, _, d) = hospital().await;
    add_user(&s, "nina");
    add_person(&s, "clara", "clinical-it");
    let mut line = Line::enrolled(&s, &d).await;
    let hour = 3_600_000_i64;
    let grant = |user: &str, patient: &str, at: i64, until: i64| {
        json!({"id": vitrine_server::clock::new_uuid(), "user": user, "device": d.id, "patient": patient, "reason": "life-threatening",
            "words": null, "at": now_ms() + at, "until": now_ms() + until, "offline": true})
    };
    // Over by now, and sent again as one that goes on.
    let over = grant("nina", "p3", -5 * hour, -hour);
    let mut edited = over.clone();
    edited["until"] = json!(now_ms() + 3 * hour);
    // As far as numbers go.
    let mut ends = grant("nina", "p3", 0, 0);
    (ends["at"], ends["until"]) = (json!(i64::MIN), json!(i64::MAX));
    let cases = [
        (over.clone(), None),
        (edited, Some("sent again with another text")),
        (over, None),
        (
            grant("nina", "p3", -hour, 3 * hour + 60_000),
            Some("it ends later than a grant may"),
        ),
        (
            grant("nina", "p3", hour, 2 * hour),
            Some("it begins in the future"),
        ),
        (ends, Some("it ends later than a grant may")),
        (grant("nobody", "p3", -hour, hour), Some("nobody has no account")),
        (
            grant("clara", "p3", -hour, hour),
            Some("clara may not break the glass"),
        ),
    ];
    for (sent, _) in &cases {
        line.say(up(sent)).await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::GrantAck(a)) if a.id == sent["id"]),
            "it is kept for its review, and not sent for ever: {sent}"
        );
    }
    let alarms: Vec<String> = s
        .audit()
        .iter()
        .filter(|r| r["action"] == "alarm")
        .map(|r| r["notes"]["what"].to_string())
        .collect();
    let wanted: Vec<&str> = cases.iter().filter_map(|(_, alarm)| *alarm).collect();
    assert_eq!(alarms.len(), wanted.len(), "{alarms:?}");
    for (alarm, wanted) in alarms.iter().zip(wanted) {
        assert!(alarm.contains(wanted), "{alarm}");
    }
    // None of them opens the record, now or after a restart.
    for restarted in [false, true] {
        if restarted {
            drop(line);
            s.ask_to_stop();
            s.wait();
            s = Server::start(&s.data.clone());
            line = Line::enrolled(&s, &d).await;
        }
        let (_, session) = s.login(&d, "nina", "193746").await;
        line.say(UserAuth {
            token: session["token"].as_str().unwrap().into(),
        })
        .await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))),
            "{restarted}"
        );
        line.say(Sub {
            scope: "pat:p3".into(),
            n: 1,
            have: None,
            resume: None,
        })
        .await;
        assert!(
            matches!(line.hear().await, Some(ServerMessage::Reject(r)) if r.scope == "pat:p3"),
            "{restarted}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_line_ends_that_line_alone() {
    let (_t, s, _, d) = hospital().await;
    let mut good = Line::enrolled(&s, &d).await;
    for bytes in [
        vec![],
        vec![0; 12],
        vec![1, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![255; 4096],
        vec![1; 300 * 1024],
    ] {
        let mut bad = Line::open(&s).await;
        let _ = bad.socket.send(Message::Binary(bytes.into())).await;
        assert!(bad.hear().await.is_none());
    }
    let mut words = Line::open(&s).await;
    words.socket.send(Message::Text("hello".into())).await.unwrap();
    assert!(words.hear().await.is_none());
    good.fetch("dir", 1).await;
}

/// `VITRINE_IDLE` sets how many (default 400).
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_workstation_costs_little() {
    let n: usize = std::env::var("VITRINE_IDLE")
        .ok()
        .and_then(|k| k.parse().ok())
        .unwrap_or(400);
    let (_t, s, _, d) = hospital().await;
    let rss = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", s.pid())).unwrap_or_default();
        status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<usize>().ok())
    };
    let Some(_) = rss() else { return };
    let mut lines = Vec::new();
    for _ in 0..20 {
        lines.push(Line::enrolled(&s, &d).await);
    }
    let before = rss().unwrap();
    let began = vitrine_server::clock::steady();
    while lines.len() < n + 20 {
        let some = (0..20).map(|_| async {
            let mut l = Line::enrolled(&s, &d).await;
            l.fetch("dir", 1).await;
            l.fetch("ess:ED", 3).await;
            l
        });
        lines.extend(futures_util::future::join_all(some).await);
    }
    let took = began.elapsed();
    let each = (rss().unwrap() - before) as f64 / n as f64;
    eprintln!("{n} idle workstations over TLS: {each:.1} KiB each, connected and current in {took:?}");
    assert!(each < 40.0, "{each:.1} KiB each");
}
