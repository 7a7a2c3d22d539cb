//! What a workstation of the ward is sent, with a nurse of the ward signed in, by a real connection.
//!
//! A workstation is trusted with the essentials of its ward, whatever their label, and shows them by the policy (ADR 44): of
//! the cards it is sent, what is compared is what that nurse is shown of them, and not those of who may not be opened.

use super::world::{World, permit};
use crate::app::App;
use crate::clock;
use crate::http::router;
use crate::identity::devices::code_hash;
use crate::keys::hex;
use crate::ws::hub;
use futures_util::{SinkExt as _, StreamExt as _};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::label::Confidentiality;
use vitrine_clinical::{DeviceId, WardId};
use vitrine_store::{EnrolCode, NewDevice};
use vitrine_sync::proof;
use vitrine_wire::frame::Assembler;
use vitrine_wire::message::*;

pub(super) const DEVICE: &str = "ed-01";
/// What is sent to it.
const OPEN: [&str; 3] = ["board:ED", "dir", "ess:ED"];
/// What is not, with the name of who is or is not there.
const CLOSED: [&str; 6] = [
    "board:ICU",
    "ess:ICU",
    "ess:site",
    "pat:pat-icu",
    "pat:pat-v",
    "pat:ghost",
];

/// A workstation of the ED, and up to where it has what it is sent.
pub(super) struct Station {
    addr: SocketAddr,
    key: Ed25519KeyPair,
    have: Mutex<BTreeMap<&'static str, Have>>,
}

impl Station {
    /// Enrols it, and opens the server's door.
    pub(super) async fn new(app: &Arc<App>) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let hash = code_hash("code");
        let code = EnrolCode {
            hash,
            ward: WardId::new("ED").unwrap(),
            site: false,
            until: clock::now().plus_ms(60_000),
        };
        app.store.put_enrol_code(&permit(), code).await.unwrap();
        let device = NewDevice {
            id: DeviceId::new(DEVICE).unwrap(),
            name: DEVICE.to_owned(),
            public_key: key.public_key().as_ref().to_vec(),
        };
        app.store.enrol(hash, device, clock::now()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = router(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        hub::start(app);
        Self {
            addr,
            key,
            have: Mutex::default(),
        }
    }
}

struct Line {
    socket: WebSocketStream<TcpStream>,
    parts: Assembler,
}

impl Line {
    async fn say(&mut self, m: impl Into<ClientMessage>) {
        for part in m.into().frame().unwrap().encode_parts().unwrap() {
            self.socket.send(Message::Binary(part)).await.unwrap();
        }
    }

    /// The next message that is no beat of its own, with its bytes.
    async fn hear(&mut self) -> (ServerMessage, String) {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
            let Some(Ok(Message::Binary(bytes))) = next.await.expect("nothing heard for 20 s") else {
                panic!("the line ended")
            };
            let Some(frame) = self.parts.take(&bytes).unwrap() else {
                continue;
            };
            match ServerMessage::read(&frame).unwrap() {
                ServerMessage::Beat(b) if b.n == 0 => {}
                m => {
                    let text = format!("{} {:?} ", frame.kind, frame.lane);
                    return (m, text + std::str::from_utf8(&frame.body).unwrap());
                }
            }
        }
    }

    /// A connection that has proven the workstation and signed the nurse in.
    async fn open(w: &World) -> Self {
        let tcp = TcpStream::connect(w.station.addr).await.unwrap();
        let url = format!("ws://{}/ws/sync", w.station.addr);
        let (socket, _) = tokio_tungstenite::client_async(url, tcp).await.unwrap();
        let mut line = Self {
            socket,
            parts: Assembler::default(),
        };
        line.say(ClientHello {
            min: 1,
            max: 1,
            device: DEVICE.to_owned(),
            app: "test".to_owned(),
        })
        .await;
        let (ServerMessage::ServerHello(hello), _) = line.hear().await else {
            panic!("no hello")
        };
        let signature = w.station.key.sign(&proof::device_auth(&hello.nonce, DEVICE));
        line.say(DeviceAuth {
            signature: hex(signature.as_ref()),
            report: "{}".to_owned(),
        })
        .await;
        assert!(matches!(line.hear().await.0, ServerMessage::Welcome(_)));
        line.say(Credit { bytes: 1 << 24 }).await;
        line.say(UserAuth {
            token: w.at_the_desk.clone(),
        })
        .await;
        let (welcome, said) = line.hear().await;
        assert!(matches!(welcome, ServerMessage::UserWelcome(_)), "{said}");
        line
    }
}

/// Everything heard, scope by scope.
pub(super) async fn heard(w: &World) -> Vec<String> {
    let mut line = Line::open(w).await;
    let mut out = Vec::new();
    let mut n = 0;
    for scope in OPEN {
        let held = w.station.have.lock().unwrap().get(scope).cloned();
        for have in [held, None] {
            n += 1;
            let first = have.is_none();
            line.say(Sub {
                scope: scope.to_owned(),
                n,
                have,
                resume: None,
            })
            .await;
            loop {
                let (message, said) = line.hear().await;
                out.extend(compared(scope, &message, &said));
                match message {
                    ServerMessage::SnapEnd(end) if first => {
                        let have = Have {
                            epoch: end.epoch,
                            pos: end.pos,
                        };
                        w.station.have.lock().unwrap().insert(scope, have);
                        break;
                    }
                    ServerMessage::Current(_) if !first => break,
                    ServerMessage::Reject(_) | ServerMessage::Dirty(_) => panic!("{said}"),
                    _ => {}
                }
            }
        }
    }
    for scope in CLOSED {
        n += 1;
        line.say(Sub {
            scope: scope.to_owned(),
            n,
            have: None,
            resume: None,
        })
        .await;
        let (message, said) = line.hear().await;
        assert!(matches!(message, ServerMessage::Reject(_)), "{said}");
        out.push(said);
        // What was refused is not given item by item either: the beat comes at once.
        line.say(NeedItems {
            scope: scope.to_owned(),
            keys: vec!["pat-icu".to_owned(), "Patient/pat-icu".to_owned()],
        })
        .await;
        line.say(Ping { n }).await;
        let (message, said) = line.hear().await;
        assert!(matches!(message, ServerMessage::Beat(_)), "{said}");
    }
    // A record that may not be opened and one that is not there are refused in the same words.
    let refused: Vec<String> = out.iter().rev().take(3).rev().cloned().collect();
    let alike = |said: &str, name: &str| {
        let text = said.replace(name, "ghost");
        text[..text.find("\"n\":").unwrap()].to_owned() + text.split("\"code\":").nth(1).unwrap()
    };
    let ghost = alike(&refused[2], "ghost");
    assert_eq!(alike(&refused[0], "pat-icu"), ghost);
    assert_eq!(alike(&refused[1], "pat-v"), ghost);
    out
}

/// A message as it is compared: its bytes without the positions of the feed and the epoch, the items of essentials as they
/// are shown.
fn compared(scope: &str, message: &ServerMessage, said: &str) -> Option<String> {
    let items = match message {
        ServerMessage::SnapChunk(c) if scope != "dir" => &c.items,
        ServerMessage::Delta(d) if scope != "dir" => &d.changes,
        _ => {
            let text = super::questions::blanked(said, "\"pos\":", &[',', '}']);
            return Some(super::questions::blanked(&text, "\"epoch\":\"", &['"']));
        }
    };
    let shown: Vec<String> = items
        .iter()
        .filter(|i| i.key != "pat-v")
        .map(|i| {
            let body = i.body.as_ref().map(|b| shown(scope, b.get()));
            format!("{} {} {} {body:?}", i.key, i.prev, i.ver)
        })
        .collect();
    // A change of those alone is none that is shown.
    let empty = shown.is_empty() && matches!(message, ServerMessage::Delta(_));
    (!empty).then(|| shown.join("\n"))
}

/// A card as a nurse of the ward is shown it; a row of the board as it came.
fn shown(scope: &str, body: &str) -> String {
    if !scope.starts_with("ess:") {
        return body.to_owned();
    }
    let card: EmergencyCard = serde_json::from_str(body).unwrap();
    serde_json::to_string(&card.seen_with(Confidentiality::Restricted)).unwrap()
}

/// Both worlds said the same.
pub(super) fn same(pair: u64, left: &[String], right: &[String]) {
    for (n, (left, right)) in left.iter().zip(right).enumerate() {
        assert_eq!(left, right, "pair {pair}: message {n} of the feed");
    }
    assert_eq!(left.len(), right.len(), "pair {pair}: messages of the feed");
}
