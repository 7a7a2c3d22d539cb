//! Lanes: who gets which, what a flood does to whom, what is let go of first; old versions; draining.

mod harness;
use harness::inside::Inside;
use harness::line::Line;
use harness::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use vitrine_store::faulty::Plan;
use vitrine_wire::ErrorCode;
use vitrine_wire::message::*;

const ALWAYS: Plan = Plan::Random {
    seed: 7,
    per_mille: 1000,
};

/// A hospital of two wards; a nurse of the ED with a session at no workstation.
async fn hospital(
    change: impl FnOnce(&mut vitrine_server::config::Config),
) -> (tempfile::TempDir, Inside, String) {
    let (folder, data) = folder();
    let s = Inside::start(&data, change).await;
    for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
        s.patient(p, w).await;
    }
    let nina = s.nurse("nina", "ED").await;
    let nurse = s.session(&nina, None).await;
    (folder, s, nurse)
}

fn nina() -> vitrine_clinical::UserId {
    vitrine_clinical::UserId::new("nina").unwrap()
}

async fn asked(request: reqwest::RequestBuilder) -> (u16, String, reqwest::header::HeaderMap, Value) {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let lane = headers["x-vitrine-lane"].to_str().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    (
        status,
        lane,
        headers,
        serde_json::from_str(&text).unwrap_or(Value::Null),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_lane_gets_the_normal_one_and_a_row() {
    let (_t, s, nurse) = hospital(|_| {}).await;
    let forged = |path: &str, token: &str| s.get(path, token).header("X-Vitrine-Lane", "emergency");
    let (status, lane, ..) = asked(forged("/fhir/Patient/pat-ed", &nurse)).await;
    assert_eq!((status, lane.as_str()), (200, "clinical"));
    let rows = s.audited("claim-lane").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["actor"], json!({"User": "nina"}));
    assert_eq!(
        (&rows[0]["decision"], &rows[0]["rule"]),
        (&json!("deny"), &json!("not-entitled"))
    );
    assert_eq!(
        rows[0]["notes"],
        json!({"claimed": "emergency", "route": "resource", "times": "1"})
    );

    let program = s.program("system/*.cruds").await;
    let (status, lane, ..) = asked(forged("/fhir/Patient/pat-ed/$everything", &program)).await;
    assert_eq!((status, lane.as_str()), (200, "bulk"));
    let (status, lane, ..) = asked(forged("/fhir/Patient/pat-ed", "0000")).await;
    assert_eq!((status, lane.as_str()), (401, "clinical"));
    let by: Vec<Value> = s
        .audited("claim-lane")
        .await
        .iter()
        .map(|r| r["actor"].clone())
        .collect();
    assert_eq!(
        by,
        [
            json!({"User": "nina"}),
            json!({"Client": "program"}),
            json!({"Client": "unknown"})
        ]
    );
    // A flood does not flood the log: nothing more is written now, and the rest in one row later.
    for _ in 0..50 {
        asked(forged("/fhir/Patient/pat-ed", &nurse)).await;
    }
    assert_eq!(s.audited("claim-lane").await.len(), 3);
    let until = vitrine_server::clock::steady() + Duration::from_secs(15);
    while s.audited("claim-lane").await.len() < 4 {
        assert!(
            vitrine_server::clock::steady() < until,
            "the counted claims were not written"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(s.audited("claim-lane").await[3]["notes"]["times"], "50");

    // Who is entitled and says so as well leaves no such row.
    s.grant(&nina(), None, "pat-icu");
    let (status, lane, ..) = asked(forged("/emergency/pat-icu", &nurse)).await;
    assert_eq!((status, lane.as_str()), (200, "emergency"));
    assert_eq!(s.audited("claim-lane").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_the_emergency_lane_for_its_patient_alone() {
    let (_t, s, nurse) = hospital(|c| c.lanes.critical_wards = vec!["ED".into()]).await;
    let program = s.program("system/*.cruds").await;
    for p in ["pat-ed", "pat-icu"] {
        s.post(&program, "/fhir/Observation", observation(None, p, "4.1"), 201)
            .await;
    }
    let lane_of = |path: String, token: String| {
        let request = s.get(&path, &token);
        async move {
            let (status, lane, ..) = asked(request).await;
            (status, lane)
        }
    };
    let got = lane_of("/emergency/pat-icu".into(), nurse.clone()).await;
    assert_eq!(got, (403, "clinical".to_owned()));
    s.grant(&nina(), None, "pat-icu");
    for path in [
        "/emergency/pat-icu",
        "/fhir/Patient/pat-icu",
        "/fhir/Patient/pat-icu/$everything",
        "/fhir/Encounter/pat-icu-enc",
    ] {
        let got = lane_of(path.into(), nurse.clone()).await;
        assert_eq!(got, (200, "emergency".to_owned()), "{path}");
    }
    for path in [
        "/fhir/Patient/pat-ed",
        "/emergency/pat-ed",
        "/fhir/Encounter/pat-ed-enc",
    ] {
        let got = lane_of(path.into(), nurse.clone()).await;
        assert_eq!(got, (200, "clinical".to_owned()), "{path}");
    }
    // Another session of the same person at a workstation: the grant was not made there, but the ward is critical.
    let device = s.device("ed-07", "ED", vec![0; 32]).await;
    let there = s.session(&nina(), Some(&device)).await;
    assert_eq!(lane_of("/emergency/pat-icu".into(), there.clone()).await.0, 403);
    let got = lane_of("/emergency/pat-ed".into(), there.clone()).await;
    assert_eq!(got, (200, "emergency".to_owned()));
    let got = lane_of("/fhir/Patient/pat-ed".into(), there).await;
    assert_eq!(got, (200, "clinical".to_owned()));
    assert_eq!(
        lane_of("/emergency/pat-ed".into(), program).await,
        (200, "clinical".to_owned())
    );
    let glass = s
        .http
        .post(s.url("/auth/break-glass"))
        .bearer_auth(&nurse)
        .json(&json!({"patient": "pat-icu", "reason": "covering"}));
    let (status, lane, ..) = asked(glass).await;
    assert_eq!((status, lane.as_str()), (200, "emergency"));
    let card: Value = asked(s.get("/emergency/pat-icu", &nurse)).await.3;
    assert_eq!(card["card"]["allergies"]["state"], "not-recorded", "{card}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_turned_away_and_the_emergency_is_served() {
    let (_t, s, nurse) = hospital(|c| {
        (c.lanes.clinical, c.lanes.waiting, c.lanes.wait_ms) = (2, 4, 300);
    })
    .await;
    s.grant(&nina(), None, "pat-icu");
    asked(s.get("/emergency/pat-icu", &nurse)).await;
    s.store.delay_of("read", Duration::from_millis(200));
    let mut flood = Vec::new();
    for _ in 0..40 {
        let request = s.get("/fhir/Patient/pat-ed", &nurse);
        flood.push(tokio::spawn(asked(request)));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..10 {
        let began = vitrine_server::clock::steady();
        let (status, lane, ..) = asked(s.get("/emergency/pat-icu", &nurse)).await;
        assert_eq!((status, lane.as_str()), (200, "emergency"));
        assert!(
            began.elapsed() < Duration::from_millis(900),
            "{:?}",
            began.elapsed()
        );
    }
    let (mut served, mut away) = (0, 0);
    for f in flood {
        let (status, lane, headers, body) = f.await.unwrap();
        assert_eq!(lane, "clinical");
        if status == 200 {
            served += 1;
            continue;
        }
        away += 1;
        assert_eq!(status, 503, "{body}");
        let after: u32 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=10).contains(&after));
        assert_eq!(body["resourceType"], "OperationOutcome");
        assert_eq!(body["issue"][0]["code"], "throttled");
    }
    assert!(served >= 2 && away >= 30, "{served} served, {away} turned away");
    let text = reqwest::get(format!("http://{}/metrics", s.metrics))
        .await
        .unwrap();
    let text = text.text().await.unwrap();
    let shed = format!("vitrine_shed_total{{lane=\"clinical\"}} {away}");
    assert!(text.lines().any(|l| l == shed), "{shed} is missing");
    assert_eq!(s.app.lanes.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_for_a_primary_leave_reading_alone() {
    let (_t, s, nurse) = hospital(|c| {
        (c.lanes.clinical, c.lanes.write, c.lanes.waiting) = (2, 2, 64);
        c.lanes.wait_ms = 60_000;
    })
    .await;
    s.store.delay_of("apply", Duration::from_secs(3));
    let mut writers = Vec::new();
    for n in 0..20 {
        let body = json!({
            "resourceType": "Observation", "id": format!("w{n}"), "status": "final",
            "code": {"text": "drill"}, "subject": {"reference": "Patient/pat-ed"},
        });
        let request = s
            .http
            .put(s.url(&format!("/fhir/Observation/w{n}")))
            .bearer_auth(&nurse)
            .header("content-type", "application/fhir+json")
            .body(body.to_string());
        writers.push(tokio::spawn(asked(request)));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = vitrine_server::clock::steady();
    let (status, lane, ..) = asked(s.get("/fhir/Patient/pat-ed", &nurse)).await;
    assert_eq!((status, lane.as_str()), (200, "clinical"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let working = |of: &str| {
        let standing = s.app.lanes.standing();
        standing
            .iter()
            .find(|l| l.class.name() == of)
            .map_or(0, |l| l.working)
    };
    assert_eq!((working("write"), working("clinical")), (2, 0));
    writers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_go_first_then_charts_then_sign_ins_and_never_the_essentials() {
    let (_t, s, nurse) = hospital(|c| c.lanes.critical_wards = vec!["ED".into()]).await;
    let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let key = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let public = ring::signature::KeyPair::public_key(&key).as_ref().to_vec();
    let id = s.device("icu-01", "ICU", public.clone()).await;
    let device = Device {
        id: id.to_string(),
        server_key: Vec::new(),
        key: Arc::new(key),
    };
    let at_ed = Device {
        id: s.device("ed-01", "ED", public).await.to_string(),
        ..device.clone()
    };
    let ines = s.nurse("ines", "ICU").await;
    let token = s.session(&ines, Some(&id)).await;
    let addr = s.addr.to_string();
    let mut line = Line::open_at(&addr, s.app.dir.root())
        .await
        .welcomed(&device)
        .await;
    line.say(UserAuth { token }).await;
    assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))));

    let program = s.program("system/*.cruds").await;
    let login = |d: &Device| {
        let at_ms = now_ms();
        let body = json!({"user": "nina", "secret": "no", "device": d.id, "at_ms": at_ms,
            "signature": d.login_signature("nina", at_ms)});
        s.http.post(s.url("/auth/login")).json(&body)
    };
    let chart = || s.get("/fhir/Patient/pat-ed/$everything", &nurse);
    let bulk = || s.get("/fhir/Patient/pat-ed/$everything", &program);
    let one = || s.get("/fhir/Patient/pat-ed", &nurse);
    // (delay, bulk, chart, sign-in at the ICU); a wrong secret is 401
    for (delay_ms, want) in [
        (0, [200, 200, 401]),
        (250, [503, 200, 401]),
        (700, [503, 503, 401]),
        (5_000, [503, 503, 503]),
    ] {
        s.app.lanes.pressure.measured(0, delay_ms);
        let got = [
            asked(bulk()).await.0,
            asked(chart()).await.0,
            asked(login(&device)).await.0,
        ];
        assert_eq!(got, want, "at a delay of {delay_ms} ms");
        assert_eq!(asked(one()).await.0, 200, "a single read at {delay_ms} ms");
        if delay_ms == 5_000 {
            assert_eq!(asked(login(&at_ed)).await.0, 401, "a critical ward signs in");
            line.say(Sub {
                scope: "pat:pat-icu".into(),
                n: 1,
                have: None,
                resume: None,
            })
            .await;
            let said = line.hear().await;
            assert!(
                matches!(&said, Some(ServerMessage::Reject(r)) if r.code == ErrorCode::Overloaded),
                "{said:?}"
            );
            s.app.lanes.pressure.measured(0, 5_000);
            let (items, _) = line.fetch("ess:ICU", 2).await;
            assert_eq!(items.len(), 1, "essentials come under any pressure");
            s.app.lanes.pressure.measured(0, 5_000);
            s.grant(&ines, Some(&id), "pat-icu");
            line.say(Sub {
                scope: "pat:pat-icu".into(),
                n: 9,
                have: None,
                resume: None,
            })
            .await;
            let said = line.hear().await;
            assert!(
                matches!(&said, Some(ServerMessage::SnapBegin(b)) if b.n == 9),
                "who broke the glass is served: {said:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_says_so_and_what_decisions_rest_on_fails_instead() {
    let (_t, s, nurse) = hospital(|_| {}).await;
    let program = s.program("system/*.cruds").await;
    let allergy = json!({"resourceType": "AllergyIntolerance", "id": "a1", "patient": {"reference": "Patient/pat-ed"},
        "code": {"text": "penicillin"}});
    for (kind, body) in [
        ("AllergyIntolerance/a1", allergy.to_string()),
        ("Observation/o1", observation(Some("o1"), "pat-ed", "4.1")),
    ] {
        let sent = s
            .http
            .put(s.url(&format!("/fhir/{kind}")))
            .bearer_auth(&program)
            .header("content-type", "application/fhir+json")
            .body(body);
        assert_eq!(asked(sent).await.0, 201);
    }
    let all = [
        "Encounter/pat-ed-enc",
        "AllergyIntolerance/a1",
        "Observation/o1",
        "Patient/pat-ed",
    ];
    // The feed has told of what was just written; then each is read once.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut fresh = Value::Null;
    for key in all {
        let (status, _, headers, body) = asked(s.get(&format!("/fhir/{key}"), &nurse)).await;
        assert_eq!(status, 200, "{key}: {body}");
        assert!(!headers.contains_key("age") && !headers.contains_key("x-vitrine-source"));
        if key == all[0] {
            fresh = body;
        }
    }
    s.store.only(&["read", "everything"]);
    s.store.plan(ALWAYS);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (status, _, headers, body) = asked(s.get(&format!("/fhir/{}", all[0]), &nurse)).await;
    assert_eq!((status, &body), (200, &fresh));
    let age: u64 = headers["age"].to_str().unwrap().parse().unwrap();
    assert!((1..60).contains(&age), "{age} s");
    assert_eq!(headers["x-vitrine-source"], "last-known");
    assert!(headers["warning"].to_str().unwrap().starts_with("110 "));
    assert!(headers["x-vitrine-as-of"].to_str().unwrap().ends_with('Z'));
    let row = s.audited("read-resource").await.pop().unwrap();
    let shown = json!({"kind": "Encounter", "id": "pat-ed-enc"});
    assert_eq!(row["disclosure"]["resources"][0]["key"], shown, "{row}");
    assert!(row["notes"]["as-of"].is_string());
    for key in &all[1..] {
        let (status, _, headers, body) = asked(s.get(&format!("/fhir/{key}"), &nurse)).await;
        assert_eq!(status, 503, "{key} was shown old: {body}");
        assert!(headers.contains_key("retry-after"));
    }
    assert_eq!(
        asked(s.get("/fhir/Patient/pat-ed/$everything", &nurse)).await.0,
        503
    );
    // Without its audit row nothing is shown, old or not.
    s.store.only(&["read", "append"]);
    assert_eq!(asked(s.get(&format!("/fhir/{}", all[0]), &nurse)).await.0, 503);
    // Once the feed has told of a newer version the old one is gone.
    s.store.plan(Plan::Never);
    let mut changed = fresh.clone();
    changed["status"] = "finished".into();
    s.http
        .put(s.url(&format!("/fhir/{}", all[0])))
        .bearer_auth(&program)
        .header("content-type", "application/fhir+json")
        .body(changed.to_string())
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    s.store.only(&["read"]);
    s.store.plan(ALWAYS);
    // Finished, the patient is in no ward: a program asks.
    assert_eq!(asked(s.get(&format!("/fhir/{}", all[0]), &program)).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_left_alone_and_asked_again_by_one() {
    let (_t, s, nurse) = hospital(|_| {}).await;
    let metric = |name: &'static str| {
        let url = format!("http://{}/metrics", s.metrics);
        async move {
            let text = reqwest::get(url).await.unwrap().text().await.unwrap();
            let line = text.lines().find(|l| l.starts_with(name)).map(str::to_owned);
            line.unwrap_or_else(|| panic!("{name} is missing"))
        }
    };
    assert_eq!(
        metric("vitrine_breaker_state").await,
        "vitrine_breaker_state{of=\"store\"} 0"
    );
    s.store.plan(ALWAYS);
    for _ in 0..4 {
        let (status, _, headers, body) = asked(s.get("/fhir/Patient/pat-ed", &nurse)).await;
        assert_eq!(status, 503);
        assert!(headers.contains_key("retry-after"), "{body}");
    }
    assert_eq!(
        metric("vitrine_breaker_state").await,
        "vitrine_breaker_state{of=\"store\"} 2"
    );
    let (status, _, _, body) = asked(s.get("/fhir/Patient/pat-ed", &nurse)).await;
    assert_eq!((status, &body["issue"][0]["code"]), (503, &json!("transient")));
    let (status, _, _, body) = asked(s.get("/readyz", "")).await;
    assert_eq!((status, &body["why"]), (503, &json!("the store does not answer")));
    s.store.plan(Plan::Never);
    let until = vitrine_server::clock::steady() + Duration::from_secs(20);
    while asked(s.get("/fhir/Patient/pat-ed", &nurse)).await.0 != 200 {
        assert!(
            vitrine_server::clock::steady() < until,
            "the breaker did not close again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        metric("vitrine_breaker_state").await,
        "vitrine_breaker_state{of=\"store\"} 0"
    );
    let (status, _, headers, body) = asked(s.get("/readyz", "")).await;
    assert_eq!((status, &body["ready"]), (200, &json!(true)));
    let load: u8 = headers["x-vitrine-load"].to_str().unwrap().parse().unwrap();
    assert_eq!(json!(load), body["load"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_server_hands_its_workstations_over_and_fails_no_request() {
    let (t, data) = folder();
    std::fs::create_dir_all(&data).unwrap();
    let config = t.path().join("c.toml");
    let agent = format!("127.0.0.1:{}", vitrine_testpg::free_port().unwrap());
    std::fs::write(&config, format!("[listen]\nagent = \"{agent}\"\n")).unwrap();
    let s = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
    let client = s.client_token("system/*.cruds").await;
    assert_eq!(
        s.fhir(&client, "/fhir", placed("p1", "ED").to_string()).await.0,
        200
    );
    let d = s.enrol("ED", &[]).await;
    let mut lines = Vec::new();
    for _ in 0..30 {
        lines.push(Line::enrolled(&s, &d).await);
    }
    let said = |agent: String| async move {
        use tokio::io::AsyncReadExt as _;
        let mut line = String::new();
        let mut to = tokio::net::TcpStream::connect(agent).await.unwrap();
        to.read_to_string(&mut line).await.unwrap();
        line
    };
    assert!(said(agent.clone()).await.starts_with("ready up "));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (through, connections) = counted(s.url("").rsplit(':').next().unwrap().parse().unwrap()).await;
    let keeping = harness::client(&data);
    let mut asking = Vec::new();
    for n in 0..4 {
        let (stop, done, client) = (stop.clone(), done.clone(), client.clone());
        let (keeps, url) = (
            keeping.clone(),
            format!("https://127.0.0.1:{through}/fhir/Patient/p1"),
        );
        let (data, direct) = (data.clone(), s.url("/fhir/Patient/p1"));
        asking.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // Half of them come on a new connection every time, the others share one.
                let (http, to) = if n % 2 == 0 {
                    (keeps.clone(), &url)
                } else {
                    (harness::client(&data), &direct)
                };
                let answer = http.get(to).bearer_auth(&client).send().await;
                assert_eq!(answer.expect("an answer").status(), 200);
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let hears = tokio::spawn(async move {
        let mut told = 0;
        for mut line in lines {
            while let Some(m) = line.hear_any(Duration::from_secs(12)).await {
                if let ServerMessage::Overload(o) = m {
                    assert!((200..=600).contains(&o.retry_after_ms), "{o:?}");
                    told += 1;
                }
            }
        }
        told
    });
    let dir = s.dir().to_owned();
    let began = vitrine_server::clock::steady();
    let drained = tokio::task::spawn_blocking(move || done_with(&["drain", "--data", &dir, "--notice", "1"]));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (status, _, headers, body) = asked(s.get("/readyz")).await;
    assert_eq!((status, &body["why"]), (503, &json!("draining")));
    assert!(headers.contains_key("x-vitrine-load"));
    assert_eq!(said(agent).await, "drain\n");
    let shared = connections.load(Ordering::Relaxed);
    assert!(shared <= 2, "few connections for many requests: {shared}");
    // What is asked now is still served, and the answer sends its sender away.
    let before = done.load(Ordering::Relaxed);
    let report = drained.await.unwrap();
    let took = began.elapsed();
    assert_eq!(
        hears.await.unwrap(),
        30,
        "every workstation was told when to come back"
    );
    assert!(took < Duration::from_secs(11), "{took:?}");
    assert_eq!(report["handed_over"], 30, "{report}");
    assert_eq!(report["sockets"], 0, "{report}");
    let refused = s
        .get("/ws/sync")
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    assert_eq!(refused.send().await.unwrap().status(), 503);
    stop.store(true, Ordering::Relaxed);
    for a in asking {
        a.await.expect("a request failed while the server drained");
    }
    assert!(
        connections.load(Ordering::Relaxed) > shared,
        "who shares a connection is sent elsewhere too"
    );
    assert!(
        done.load(Ordering::Relaxed) > before + 10,
        "requests went on during the drain"
    );
    let report = done_with(&["doctor", "--data", s.dir()]);
    assert_eq!(report["running"]["draining"], true, "{report}");
    assert_eq!(report["running"]["breakers"]["store"], "closed");
    done_with(&["drain", "--undo", "--data", s.dir()]);
    assert_eq!(s.get("/readyz").send().await.unwrap().status(), 200);
    let _back = Line::enrolled(&s, &d).await;
}

/// Hands connections on to a port of this machine, and counts them.
async fn counted(server: u16) -> (u16, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicU64::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut behind = tokio::net::TcpStream::connect(("127.0.0.1", server))
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut behind).await;
            });
        }
    });
    (port, connections)
}

/// Runs a command that may end with 1 (requests were still under way) and gives its report.
fn done_with(args: &[&str]) -> Value {
    let (exit, json) = run_json(args);
    assert!(exit <= 1, "{args:?} ended with {exit}: {json}");
    json
}
