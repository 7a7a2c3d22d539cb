//! Live vital signs: what a gateway may send and is told, whom a wall is shown, what is written down.

mod harness;
use futures_util::{SinkExt as _, StreamExt as _};
use harness::inside::Inside;
use harness::line::secure;
use harness::*;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vitrine_store::faulty::Plan;
use vitrine_wire::ErrorCode;
use vitrine_wire::live::{LiveAsk, LiveTold};

const ALWAYS: Plan = Plan::Random {
    seed: 7,
    per_mille: 1000,
};

/// A patient and a nurse of the ED, and a gateway.
struct Ward {
    _folder: tempfile::TempDir,
    data: std::path::PathBuf,
    s: Inside,
    nina: vitrine_clinical::UserId,
    nurse: String,
    gateway: String,
}

async fn ward() -> Ward {
    let (_folder, data) = folder();
    let s = Inside::start(&data, |_| {}).await;
    s.patient("pat-ed", "ED").await;
    let nina = s.nurse("nina", "ED").await;
    let nurse = s.session(&nina, None).await;
    let gateway = s.program("system/Observation.c").await;
    Ward {
        _folder,
        data,
        s,
        nina,
        nurse,
        gateway,
    }
}

/// A wall's connection.
struct Wall(WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>);

impl Wall {
    async fn open(s: &Inside, data: &std::path::Path, ward: &str, token: &str) -> Self {
        let addr = s.addr.to_string();
        let tls = secure(&addr, data).await;
        let mut request = format!("wss://{addr}/ws/live?v=1&ward={ward}")
            .into_client_request()
            .unwrap();
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        Self(tokio_tungstenite::client_async(request, tls).await.unwrap().0)
    }

    /// The next message, or the code it was closed with.
    async fn hear(&mut self) -> Result<LiveTold, Option<u16>> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.0.next());
            match next.await.expect("nothing heard for 20 s") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(c))) => return Err(c.map(|c| c.code.into())),
                Some(Err(_)) | None => return Err(None),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of values.
    async fn now(&mut self) -> (Option<u64>, Vec<vitrine_wire::live::LivePatient>) {
        loop {
            if let LiveTold::Now {
                answers, patients, ..
            } = self.hear().await.unwrap()
            {
                return (answers, patients);
            }
        }
    }

    async fn ask(&mut self, ask: u64) {
        let text = serde_json::to_string(&LiveAsk { ask }).unwrap();
        self.0.send(Message::Text(text.into())).await.unwrap();
    }
}

fn pulse(subject: Value, value: f64) -> Value {
    let at = vitrine_server::clock::instant(vitrine_server::clock::now());
    json!({
        "resourceType": "Observation", "status": "final", "subject": subject, "effectiveDateTime": at,
        "code": {"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "147842"}]},
        "valueQuantity": {"value": value, "code": "/min"},
    })
}

fn of(patient: &str) -> Value {
    json!({"reference": format!("Patient/{patient}")})
}

async fn send(s: &Inside, token: &str, kind: &str, all: &[Value]) -> (u16, Value) {
    let entries: Vec<Value> = all.iter().map(|o| json!({"resource": o})).collect();
    let body = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let request = s.http.post(s.url("/live/vitals")).bearer_auth(token);
    let request = request.header("content-type", "application/fhir+json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, json_of(answer).await)
}

/// Expression and code of each issue.
fn issues(outcome: &Value) -> Vec<(String, String)> {
    let all = outcome["issue"].as_array().unwrap().iter();
    all.map(|i| {
        let at = i["expression"][0].as_str().unwrap_or_default().to_owned();
        (at, i["code"].as_str().unwrap_or_default().to_owned())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_placed_is_named_and_shown_nowhere_and_takes_nothing_with_it() {
    let Ward {
        _folder,
        data,
        s,
        nurse,
        gateway,
        ..
    } = ward().await;
    let mut words = pulse(of("pat-ed"), 70.0);
    words["valueQuantity"] = Value::Null;
    words["valueString"] = "fine".into();
    let mut ahead = pulse(of("pat-ed"), 54.0);
    let later = vitrine_server::clock::now().plus_ms(60_000);
    ahead["effectiveDateTime"] = vitrine_server::clock::instant(later).into();
    let all = [
        pulse(of("nobody"), 50.0),
        pulse(of("pat-ed"), 71.5),
        words,
        pulse(
            json!({"identifier": {"system": "urn:x", "value": "unheard of"}}),
            51.0,
        ),
        pulse(json!({}), 52.0),
        json!({"resourceType": "Patient", "id": "pat-ed"}),
        pulse(
            json!({"reference": "https://elsewhere.example/fhir/Group/1"}),
            53.0,
        ),
        ahead,
    ];
    let (status, outcome) = send(&s, &gateway, "collection", &all).await;
    assert_eq!(status, 200, "{outcome}");
    let mut said = issues(&outcome);
    said.sort();
    let at = |n: usize, code: &str| (format!("Bundle.entry[{n}].resource"), code.to_owned());
    let want = [
        at(0, "not-found"),
        at(2, "value"),
        at(3, "not-found"),
        at(4, "required"),
        at(5, "structure"),
        at(6, "value"),
        at(7, "value"),
    ];
    assert_eq!(said, want);
    let mut wall = Wall::open(&s, &data, "ED", &nurse).await;
    let (_, patients) = wall.now().await;
    assert_eq!(patients.len(), 1, "{patients:?}");
    let one = &patients[0];
    assert_eq!((one.patient.as_str(), one.signals.len()), ("pat-ed", 1));
    assert_eq!(one.signals[0].value.as_deref(), Some("71.5"));

    // Nothing of it can be taken: the gateway hears so by the status.
    let (status, _) = send(&s, &gateway, "collection", &[pulse(of("nobody"), 50.0)]).await;
    assert_eq!(status, 422);
    for (kind, all, want) in [
        ("batch", 1, 422),
        ("collection", 0, 422),
        ("collection", 2_001, 422),
    ] {
        let all = vec![pulse(of("pat-ed"), 60.0); all];
        let (status, outcome) = send(&s, &gateway, kind, &all).await;
        assert_eq!(status, want, "{kind} {}: {outcome}", all.len());
    }
    // By the number that one patient alone has.
    let body = json!({"resourceType": "Patient", "id": "pat-ed",
        "identifier": [{"system": "urn:mrn", "value": "M-1"}]});
    let writer = s.program("system/*.cruds").await;
    s.http
        .put(s.url("/fhir/Patient/pat-ed"))
        .bearer_auth(&writer)
        .header("content-type", "application/fhir+json")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    let named = pulse(json!({"identifier": {"system": "urn:mrn", "value": "M-1"}}), 88.0);
    let (status, outcome) = send(&s, &gateway, "collection", &[named]).await;
    assert_eq!(status, 200, "{outcome}");
    let (_, patients) = wall.now().await;
    assert_eq!(patients[0].signals[0].value.as_deref(), Some("88.0"));

    // Who may only read, or write something else, sends nothing.
    for scope in ["system/Observation.rs", "system/Patient.cud"] {
        let other = s.program(scope).await;
        let (status, _) = send(&s, &other, "collection", &[pulse(of("pat-ed"), 99.0)]).await;
        assert_eq!(status, 403, "{scope}");
    }
    // It began once, and that is written down; its values are not.
    assert_eq!(
        s.audited("send-live")
            .await
            .iter()
            .filter(|r| r["decision"] != "deny")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_is_for_the_ward_of_who_looks_and_as_long_as_they_may() {
    let Ward {
        _folder,
        data,
        s,
        nina,
        nurse,
        gateway,
    } = ward().await;

    let mut other = Wall::open(&s, &data, "ICU", &nurse).await;
    let refused = other.hear().await.unwrap();
    assert!(
        matches!(
            refused,
            LiveTold::Refused {
                code: ErrorCode::Denied,
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(other.hear().await.unwrap_err(), Some(4403));
    // A program's token opens no wall.
    let mut program = Wall::open(&s, &data, "ED", &gateway).await;
    assert!(matches!(program.hear().await.unwrap(), LiveTold::Refused { .. }));

    let mut wall = Wall::open(&s, &data, "ED", &nurse).await;
    assert_eq!(wall.now().await, (None, Vec::new()));
    wall.ask(1).await;
    assert_eq!(wall.now().await.0, Some(1));
    for value in [70.0, 71.0, 72.0] {
        send(&s, &gateway, "collection", &[pulse(of("pat-ed"), value)]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Together or one by one, and the newest last.
    let mut last = None;
    while last.as_deref() != Some("72.0") {
        let (_, patients) = wall.now().await;
        last = patients[0].signals[0].value.clone();
    }
    assert_eq!(s.app.walls.open(), 1);
    let rows = s.audited("view-board").await;
    let (allowed, denied): (Vec<_>, Vec<_>) = rows.iter().partition(|r| r["decision"] != "deny");
    assert_eq!((allowed.len(), denied.len()), (1, 2), "{rows:?}");

    // Signed out: within seconds nothing more.
    let out = s.http.post(s.url("/auth/logout")).bearer_auth(&nurse);
    let out = out.header("content-type", "application/json").body("{}");
    assert!(out.send().await.unwrap().status().is_success());
    let mut asked = 2;
    let code = loop {
        wall.ask(asked).await;
        asked += 1;
        match tokio::time::timeout(Duration::from_secs(1), wall.hear()).await {
            Ok(Err(code)) => break code,
            Ok(Ok(_)) => {}
            Err(_) => assert!(asked < 15, "still open"),
        }
    };
    assert_eq!(code, Some(4401));
    // Who cannot be written down is shown nothing.
    let again = s.session(&nina, None).await;
    s.store.only(&["append"]);
    s.store.plan(ALWAYS);
    let mut unwritten = Wall::open(&s, &data, "ED", &again).await;
    let refused = unwritten.hear().await.unwrap();
    assert!(
        matches!(
            refused,
            LiveTold::Refused {
                code: ErrorCode::AuditFailed,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_that_says_nothing_sensible_is_cut_off_and_a_silent_one_is_forgotten() {
    let Ward {
        _folder,
        data,
        s,
        nurse,
        ..
    } = ward().await;
    for wrong in ["", "{}", "[1]", r#"{"ask":-1}"#, &"x".repeat(4_000)] {
        let mut wall = Wall::open(&s, &data, "ED", &nurse).await;
        wall.0.send(Message::Text(wrong.to_owned().into())).await.unwrap();
        let code = loop {
            if let Err(code) = wall.hear().await {
                break code;
            }
        };
        assert!(matches!(code, Some(1008) | None), "{wrong}: {code:?}");
    }
    // Nobody asks on this one.
    let mut silent = Wall::open(&s, &data, "ED", &nurse).await;
    silent.now().await;
    let gone = async {
        while s.app.walls.open() > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), gone)
        .await
        .expect("still open");
}

/// A patient labelled so, or with no label.
fn labelled(id: &str, code: Option<&str>) -> String {
    let mut body = patient(id);
    if let Some(code) = code {
        let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
        body["meta"] = json!({"security": [{"system": system, "code": code}]});
    }
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_has_the_monitors_of_those_whose_record_may_be_opened() {
    let Ward {
        _folder,
        data,
        s,
        nina,
        nurse,
        gateway,
    } = ward().await;
    s.patient("pat-v", "ED").await;
    let writer = s.program("system/*.cruds").await;
    let label = async |id: &str, code: Option<&str>| {
        let put = s
            .http
            .put(s.url(&format!("/fhir/Patient/{id}")))
            .bearer_auth(&writer);
        let put = put
            .header("content-type", "application/fhir+json")
            .body(labelled(id, code));
        put.send().await.unwrap().error_for_status().unwrap();
    };
    label("pat-v", Some("V")).await;
    let mut beat = 60.0;
    let mut send_both = async || {
        beat += 1.0;
        let both = [pulse(of("pat-ed"), beat), pulse(of("pat-v"), beat)];
        assert_eq!(send(&s, &gateway, "collection", &both).await.0, 200);
    };
    send_both().await;
    let mut wall = Wall::open(&s, &data, "ED", &nurse).await;
    let shown = |patients: Vec<vitrine_wire::live::LivePatient>| {
        let of = |p: vitrine_wire::live::LivePatient| (p.patient, !p.signals.is_empty());
        patients.into_iter().map(of).collect::<Vec<_>>()
    };
    let only = |id: &str, values: bool| vec![(id.to_owned(), values)];
    assert_eq!(shown(wall.now().await.1), only("pat-ed", true));
    send_both().await;
    assert_eq!(shown(wall.now().await.1), only("pat-ed", true));

    // The glass is broken: from the next look on the monitor is there.
    s.grant(&nina, None, "pat-v");
    let mut both = Vec::new();
    for _ in 0..40 {
        send_both().await;
        both = shown(wall.now().await.1);
        if both.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(both, [only("pat-ed", true), only("pat-v", true)].concat());

    // A label is put on a record that is on the wall: its values go, and do not come back.
    label("pat-ed", Some("V")).await;
    let mut gone = false;
    for ask in 1..=40 {
        send_both().await;
        wall.ask(ask).await;
        let now = shown(wall.now().await.1);
        assert!(!gone || !now.contains(&("pat-ed".to_owned(), true)), "{now:?}");
        gone |= now.contains(&("pat-ed".to_owned(), false));
        if gone && ask > 25 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(gone, "the values stay");
}
