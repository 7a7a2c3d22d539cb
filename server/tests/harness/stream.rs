//! A line of the image stream, and a ward whose patients have images.
#![allow(dead_code, reason = "each test file uses its part")]

use super::command::{add_user, password};
use super::images::{RELATED, related};
use super::line::secure;
use super::*;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vitrine_dicom::phantom::{Kind, Phantom, Subject};
use vitrine_pixels::pack::{Frame, read_piece};
use vitrine_wire::images::{Ask, Piece, Told};

pub type Socket = WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

/// A line of `/ws/images`.
pub struct Images {
    pub socket: Socket,
}

pub enum Heard {
    Told(Told),
    Piece(Piece),
    Closed(Option<u16>),
}

impl Images {
    pub async fn open(s: &Server, token: &str) -> Self {
        Self::at(s, "/ws/images", Some(token)).await
    }

    pub async fn at(s: &Server, path: &str, token: Option<&str>) -> Self {
        let addr = s.ready["listen"].as_str().unwrap();
        let tls = secure(addr, &s.data).await;
        let mut request = format!("wss://{addr}{path}?v=1").into_client_request().unwrap();
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
        }
        let (socket, _) = tokio_tungstenite::client_async(request, tls).await.unwrap();
        Self { socket }
    }

    pub async fn ask(&mut self, ask: Ask) {
        let text = serde_json::to_string(&ask).unwrap();
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next());
            match next.await.expect("nothing heard for 10 s") {
                Some(Ok(Message::Text(text))) => return Heard::Told(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Binary(bytes))) => return Heard::Piece(Piece::read(bytes).unwrap()),
                Some(Ok(Message::Close(c))) => return Heard::Closed(c.map(|c| c.code.into())),
                Some(Err(_)) | None => return Heard::Closed(None),
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn told(&mut self) -> Told {
        match self.hear().await {
            Heard::Told(told) => told,
            Heard::Piece(p) => panic!("a piece: {p:?}"),
            Heard::Closed(c) => panic!("closed {c:?}"),
        }
    }

    /// The list, once everything was looked at.
    pub async fn ready(&mut self, patient: &str) -> Vec<vitrine_wire::images::ListedStudy> {
        for again in 0.. {
            self.ask(Ask::List {
                patient: patient.to_owned(),
            })
            .await;
            let Told::List { studies, .. } = self.told().await else {
                panic!("no list")
            };
            let waiting: u32 = studies.iter().flat_map(|s| &s.series).map(|s| s.preparing).sum();
            if waiting == 0 {
                return studies;
            }
            assert!(again < 300, "{waiting} images are still not looked at");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        unreachable!("the loop ends")
    }

    /// Opens a series and takes all that comes without a question.
    pub async fn series(
        &mut self,
        view: u32,
        study: &str,
        series: &str,
        px: u32,
    ) -> (Told, BTreeMap<(u16, u32), Frame>, Vec<(u16, u32, u8, Vec<u8>)>) {
        self.ask(Ask::Open {
            view,
            patient: "pat-ed".to_owned(),
            study: study.to_owned(),
            series: series.to_owned(),
            px,
            held: Vec::new(),
        })
        .await;
        let opened = self.told().await;
        let Told::Opened { packs, .. } = &opened else {
            panic!("{opened:?}")
        };
        let (mut frames, mut segments) = (BTreeMap::new(), Vec::new());
        let all: u32 = packs.iter().map(|p| p.frames).sum();
        let mut first = usize::MAX;
        while frames.len() < all as usize || segments.len() < first {
            match self.hear().await {
                Heard::Piece(Piece::Index {
                    pack,
                    first: at,
                    body,
                    ..
                }) => {
                    for (i, frame) in read_piece(&body).unwrap().into_iter().enumerate() {
                        first = if pack == 0 && at == 0 && i == 0 {
                            frame.segments.len()
                        } else {
                            first
                        };
                        frames.insert((pack, at + u32::try_from(i).unwrap()), frame);
                    }
                }
                Heard::Piece(Piece::Segment {
                    pack,
                    frame,
                    segment,
                    body,
                    ..
                }) => {
                    segments.push((pack, frame, segment, body.to_vec()));
                }
                // What was ready a moment before is told once more to who has just opened it.
                Heard::Told(Told::Grown { .. }) => {}
                Heard::Told(other) => panic!("told {other:?}"),
                Heard::Piece(other) => panic!("a piece: {other:?}"),
                Heard::Closed(code) => panic!("closed {code:?}"),
            }
        }
        (opened, frames, segments)
    }
}

pub fn subject() -> Subject {
    Subject {
        id: "mrn-pat-ed".into(),
        name: "Testperson^Una".into(),
        birth_date: Some("19700301".into()),
        sex: Some("F".into()),
        accession: Some("ACC-99".into()),
        study_date: "20260210".into(),
        study_time: "101112".into(),
        ..Subject::default()
    }
}

pub fn phantom(kind: Kind, seed: u64, size: (u16, u16), count: u32) -> Phantom {
    Phantom {
        subject: subject(),
        rows: size.0,
        columns: size.1,
        count,
        study: 1,
        ..Phantom::new(kind, seed)
    }
}

pub struct Ward {
    _folder: tempfile::TempDir,
    pub server: Server,
    pub modality: String,
    pub nurse: String,
}

pub async fn ward() -> Ward {
    let (folder, data) = folder();
    let server = Server::start(&data);
    let modality = server.client_token("system/*.cruds").await;
    for (p, w) in [("pat-ed", "ED"), ("pat-icu", "ICU")] {
        let (status, answer) = server.fhir(&modality, "/fhir", placed(p, w).to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    add_user(data.to_str().unwrap(), "nina", "nurse");
    let device = server.enrol("ED", &[]).await;
    let (status, answer) = server.login(&device, "nina", password("nina").trim()).await;
    assert_eq!(status, 200, "{answer}");
    let nurse = answer["token"].as_str().unwrap().to_owned();
    Ward {
        _folder: folder,
        server,
        modality,
        nurse,
    }
}

impl Ward {
    pub async fn store(&self, phantom: &Phantom) {
        for file in 0..phantom.files() {
            let mut bytes = Vec::new();
            phantom.write(file, &mut bytes).unwrap();
            let answer = self
                .server
                .post("/dicomweb/studies")
                .bearer_auth(&self.modality)
                .header("content-type", RELATED)
                .body(related(&[bytes]))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
        }
    }

    pub async fn get(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
        let mut request = self.server.get(path).bearer_auth(&self.nurse);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap().to_vec())
    }
}
