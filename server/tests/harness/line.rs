//! A workstation's line, spoken frame by frame.
#![allow(dead_code, reason = "each test file uses its part")]

use super::{Device, Server};
use futures_util::{SinkExt as _, StreamExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use vitrine_sync::proof;
use vitrine_wire::frame::Assembler;
use vitrine_wire::message::*;

/// A connection to a server that proves itself by its own CA.
pub async fn secure(addr: &str, data: &Path) -> TlsStream<TcpStream> {
    use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(data.join("ca.pem")).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap()
}

pub struct Line {
    pub socket: WebSocketStream<TlsStream<TcpStream>>,
    parts: Assembler,
}

impl Line {
    pub async fn open(s: &Server) -> Self {
        Self::open_at(s.ready["listen"].as_str().unwrap(), &s.data).await
    }

    pub async fn open_at(addr: &str, data: &Path) -> Self {
        let tls = secure(addr, data).await;
        let (socket, _) = tokio_tungstenite::client_async(format!("wss://{addr}/ws/sync"), tls)
            .await
            .unwrap();
        Self {
            socket,
            parts: Assembler::default(),
        }
    }

    pub async fn say(&mut self, m: impl Into<ClientMessage>) {
        for part in m.into().frame().unwrap().encode_parts().unwrap() {
            self.socket.send(Message::Binary(part)).await.unwrap();
        }
    }

    /// The next message that is no beat; `None` when the line ends.
    pub async fn hear(&mut self) -> Option<ServerMessage> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next())
                .await
                .expect("nothing heard for 10 s");
            match next {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some(frame) = self.parts.take(&bytes).unwrap() {
                        match ServerMessage::read(&frame).unwrap() {
                            ServerMessage::Beat(_) => {}
                            m => return Some(m),
                        }
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message, beats too; `None` when the line ends or nothing comes for so long.
    pub async fn hear_any(&mut self, wait: Duration) -> Option<ServerMessage> {
        loop {
            match tokio::time::timeout(wait, self.socket.next()).await.ok()? {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some(frame) = self.parts.take(&bytes).unwrap() {
                        return Some(ServerMessage::read(&frame).unwrap());
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Says hello and proves the device's key.
    pub async fn prove(&mut self, d: &Device) -> Option<ServerMessage> {
        self.say(ClientHello {
            min: 1,
            max: 1,
            device: d.id.clone(),
            app: "test".into(),
        })
        .await;
        let Some(ServerMessage::ServerHello(hello)) = self.hear().await else {
            panic!("no hello")
        };
        let signature = d.sign(&proof::device_auth(&hello.nonce, &d.id));
        self.say(DeviceAuth {
            signature,
            report: "{}".into(),
        })
        .await;
        self.hear().await
    }

    pub async fn enrolled(s: &Server, d: &Device) -> Self {
        Self::open(s).await.welcomed(d).await
    }

    /// Proves the device's key and gives credit.
    pub async fn welcomed(mut self, d: &Device) -> Self {
        let welcome = self.prove(d).await;
        assert!(matches!(welcome, Some(ServerMessage::Welcome(_))), "{welcome:?}");
        self.say(Credit { bytes: 1 << 24 }).await;
        self
    }

    /// Fetches a scope's snapshot and follows it: its items, epoch and position.
    pub async fn fetch(&mut self, scope: &str, n: u64) -> (Vec<Change>, Have) {
        self.say(Sub {
            scope: scope.into(),
            n,
            have: None,
            resume: None,
        })
        .await;
        let mut items = Vec::new();
        loop {
            match self.hear().await.expect("the line holds") {
                ServerMessage::SnapBegin(b) => assert_eq!((b.scope.as_str(), b.n), (scope, n)),
                ServerMessage::SnapChunk(c) => items.extend(c.items),
                ServerMessage::SnapEnd(e) => {
                    let have = Have {
                        epoch: e.epoch,
                        pos: e.pos,
                    };
                    self.say(Sub {
                        scope: scope.into(),
                        n: n + 1,
                        have: Some(have.clone()),
                        resume: None,
                    })
                    .await;
                    match self.hear().await {
                        Some(ServerMessage::Resumed(r)) => {
                            assert_eq!((r.scope.as_str(), r.pos), (scope, have.pos))
                        }
                        other => panic!("{other:?}"),
                    }
                    match self.hear().await {
                        Some(ServerMessage::Current(c)) => {
                            assert_eq!((c.scope.as_str(), c.n), (scope, n + 1))
                        }
                        other => panic!("{other:?}"),
                    }
                    return (items, have);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
