//! The connections, each with what it is asked.

use super::bare;
use super::hospital::{Hospital, NO_STUDY, OTHER_STUDY, STUDY, of};
use crate::harness::line::{Line, secure};
use crate::harness::stream::{Heard, Images};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vitrine_sync::proof;
use vitrine_wire::images::{AHEAD, Ask as AskImages, Told};
use vitrine_wire::live::LiveTold;
use vitrine_wire::message::{ServerMessage, Sub, UserAuth};

/// What a workstation hears of a scope: each message by name and, where it is an item, key and body.
async fn heard(h: &Hospital, scope: &str) -> String {
    let mut line = Line::enrolled(&h.server, &h.device).await;
    line.say(UserAuth {
        token: h.nurse.clone(),
    })
    .await;
    assert!(matches!(line.hear().await, Some(ServerMessage::UserWelcome(_))));
    line.say(Sub {
        scope: scope.to_owned(),
        n: 1,
        have: None,
        resume: None,
    })
    .await;
    let mut out = String::new();
    loop {
        match line.hear().await.expect("the line holds") {
            ServerMessage::SnapChunk(c) => out += &serde_json::to_string(&c.items).unwrap(),
            ServerMessage::SnapEnd(_) => return out,
            ServerMessage::SnapBegin(_) => {}
            other => return format!("{out}{other:?}"),
        }
    }
}

/// `/ws/sync`. A workstation holds, encrypted, what its users open, and shows it by the same policy (ADR 44): the essentials
/// of its ward and an open record have what bears a label. A record that may not be opened is not sent; the board has none.
pub async fn sync(h: &Hospital) {
    let (there, absent) = (heard(h, "pat:pat-v").await, heard(h, "pat:pat-0").await);
    assert_eq!(there.replace("pat-v", "pat-0"), absent);
    assert!(absent.contains("Denied"), "{absent}");
    let board = heard(h, "board:ED").await;
    assert!(board.contains("pat-ed"), "{board}");
    for scope in ["board:ED", "dir", "ess:ICU", "board:ICU"] {
        bare(&heard(h, scope).await, "", scope);
    }
}

/// `/ws/images`.
pub async fn images_of(h: &Hospital) {
    let mut line = Images::open(&h.server, &h.nurse).await;
    let (list, of_v) = pictures(&mut line, "pat-v", STUDY).await;
    let (list_i, of_i) = pictures(&mut line, "pat-i", OTHER_STUDY).await;
    let (none, _) = pictures(&mut line, "pat-0", NO_STUDY).await;
    assert_eq!((&list, &of_v), (&list_i, &of_i));
    assert_eq!(list, none);
    assert!(list.contains("Denied"), "{list}");
}

/// `/ws/images/ahead`.
pub async fn ahead(h: &Hospital) {
    let mut line = Images::at(&h.server, AHEAD, None).await;
    let Told::Prove { nonce } = line.told().await else {
        panic!("no question")
    };
    let device = h.device.id.clone();
    let signature = h.device.sign(&proof::device_images(&nonce, &device));
    line.ask(AskImages::Prove { device, signature }).await;
    // A workstation has the card of everybody in its ward, with its label: which of the two it is, is no secret to it.
    for (patient, study) in [("pat-v", STUDY), ("pat-i", OTHER_STUDY), ("pat-0", NO_STUDY)] {
        let (list, opened) = pictures(&mut line, patient, study).await;
        assert!(list.contains("Denied"), "{patient}: {list}");
        assert!(opened.starts_with("Failed"), "{patient}: {opened}");
    }
}

/// `/ws/live`: the monitor of who may not be opened is not shown, and no message tells that there is one.
pub async fn live(h: &Hospital) {
    let at = vitrine_server::clock::instant(vitrine_server::clock::now());
    let entry = |patient: &str, value: u32| {
        json!({"resource": of("Observation", "live", patient, json!({"status": "final", "effectiveDateTime": at,
            "code": {"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "147842"}]},
            "valueQuantity": {"value": value, "code": "/min"}}))})
    };
    let bundle = json!({"resourceType": "Bundle", "type": "collection",
        "entry": [entry("pat-v", 177), entry("pat-ed", 80)]});
    let (status, answer) = h
        .server
        .fhir(&h.program, "/live/vitals", bundle.to_string())
        .await;
    assert_eq!(status, 200, "{answer}");
    let addr = h.server.ready["listen"].as_str().unwrap();
    let mut request = format!("wss://{addr}/ws/live?ward=ED")
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {}", h.nurse).parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let tls = secure(addr, &h.server.data).await;
    let mut wall = tokio_tungstenite::client_async(request, tls).await.unwrap().0;
    let mut shown = Vec::new();
    for ask in 1..=3_u64 {
        wall.send(Message::Text(json!({"ask": ask}).to_string().into()))
            .await
            .unwrap();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), wall.next()).await;
            let Some(Ok(Message::Text(text))) = next.expect("nothing heard for 10 s") else {
                panic!("the wall ended")
            };
            assert!(!text.contains("pat-v") && !text.contains("\"177\""), "{text}");
            let told: LiveTold = serde_json::from_str(&text).unwrap();
            if let LiveTold::Now {
                answers, patients, ..
            } = told
            {
                shown.extend(patients.into_iter().map(|p| p.patient));
                if answers == Some(ask) {
                    break;
                }
            }
        }
    }
    assert_eq!(shown, ["pat-ed"]);
}

/// What is told of a patient's studies, and of one that is opened, without their names.
async fn pictures(line: &mut Images, patient: &str, study: &str) -> (String, String) {
    let blank = |t: Told| {
        format!("{t:?}")
            .replace(patient, "patient")
            .replace(study, "study")
    };
    line.ask(AskImages::List {
        patient: patient.to_owned(),
    })
    .await;
    let list = blank(line.told().await);
    line.ask(AskImages::Open {
        view: 1,
        patient: patient.to_owned(),
        study: study.to_owned(),
        series: format!("{study}.1"),
        px: 256,
        held: Vec::new(),
    })
    .await;
    let opened = match line.hear().await {
        Heard::Told(t) => blank(t),
        Heard::Piece(p) => panic!("a piece: {p:?}"),
        Heard::Closed(c) => panic!("closed {c:?}"),
    };
    (list, opened)
}
