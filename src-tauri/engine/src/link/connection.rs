//! WebSocket connections: TCP, TLS, upgrade ([`dial`]). Of the sync connection what comes in goes to the driver, what is
//! given goes out.

use super::tls;
use crate::EngineError;
use crate::drill;
use crate::outbox::Alarm;
use crate::station::Station;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use vitrine_clinical::{say, word};
use vitrine_wire::frame::MAX_FRAME;

/// Messages read ahead of the driver; when it is busy, TCP slows the server down.
const READ_AHEAD: usize = 96;

/// What a connection tells the driver.
#[derive(Debug)]
pub(super) enum Told {
    /// It is open.
    Connected(u64),
    /// A message; empty bytes for anything but a binary one.
    Received(u64, Bytes),
    /// It ended.
    Disconnected(u64),
}

/// What the driver tells a connection.
#[derive(Debug)]
pub(super) enum Tell {
    /// Send this.
    Send(Bytes),
    /// Close with this code.
    Close(u16),
}

/// The driver's end of a connection.
pub(super) struct Connection {
    pub(super) conn: u64,
    pub(super) tell: mpsc::UnboundedSender<Tell>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A connection that was told to close says goodbye first; then it ends by itself.
        if self.tell.is_closed() {
            self.task.abort();
        }
    }
}

/// The channel by which connections tell the driver.
pub(super) fn ears() -> (mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    mpsc::channel(READ_AHEAD)
}

/// Opens a connection in the background.
pub(super) fn open(
    station: &Arc<Station>,
    conn: u64,
    timeout: Duration,
    ears: mpsc::Sender<Told>,
) -> Connection {
    let (tell, told) = mpsc::unbounded_channel();
    let station = Arc::clone(station);
    let task = tokio::spawn(async move {
        let cut = station.drill.cuts();
        let mut closing = station.closing.subscribe();
        let connected = tokio::select! {
            c = tokio::time::timeout(timeout, connect(&station)) => c,
            _ = closing.wait_for(|c| *c) => return,
        };
        // A connection outlives what it was made with: the databases may be closed while it says goodbye.
        drop(station);
        match connected {
            Ok(Ok(socket)) => {
                if ears.send(Told::Connected(conn)).await.is_ok() {
                    tokio::select! {
                        () = pump(socket, conn, told, &ears) => {}
                        () = drill::cut_off(cut) => {}
                    }
                }
            }
            Ok(Err(e)) => tracing::debug!(error = %e, "no connection"),
            Err(_) => tracing::debug!("no connection in time"),
        }
        let _ = ears.send(Told::Disconnected(conn)).await;
    });
    Connection { conn, tell, task }
}

/// A WebSocket over TLS with the server's own CA.
pub(crate) type Socket = tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

async fn connect(station: &Station) -> Result<Socket, EngineError> {
    dial(station, "/ws/sync", None, MAX_FRAME).await
}

fn no_server() -> String {
    say!("device.json: no server", "device.json: kein Server")
}

/// Connects to a path of the server, with a session's token where one is needed. Messages may have so many bytes.
///
/// # Errors
/// [`EngineError::Offline`] when nobody answers, also when the server refuses; [`EngineError::Usage`] for a server that
/// is none.
pub(crate) async fn dial(
    station: &Station,
    path: &str,
    token: Option<&str>,
    longest: usize,
) -> Result<Socket, EngineError> {
    station.drill.not_cut()?;
    if token.is_some() {
        not_mixed(station)?;
    }
    let server = station.device().server.clone();
    let url = reqwest::Url::parse(&server).map_err(|_| EngineError::Usage(no_server()))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let offline = |what: &str| {
        let what = what.to_owned();
        move |e: std::io::Error| EngineError::Offline(format!("{what}: {e}"))
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tcp = TcpStream::connect((bare.as_str(), port))
        .await
        .map_err(offline(word!("connecting", "Verbindungsaufbau")))?;
    tcp.set_nodelay(true)
        .map_err(offline(word!("connecting", "Verbindungsaufbau")))?;
    let ca = std::fs::read(station.profile.ca()).map_err(EngineError::io("reading ca.pem"))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls::trusting(&ca)?));
    let name = ServerName::try_from(bare).map_err(|_| {
        EngineError::Usage(say!(
            "device.json: no server name",
            "device.json: kein Servername"
        ))
    })?;
    let stream = connector.connect(name, tcp).await.map_err(offline("TLS"))?;
    if let Some(ends) = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(|leaf| tls::ends_der(leaf))
    {
        station.note_certificate(ends);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(if longest > MAX_FRAME { 128 * 1024 } else { 4096 })
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 20)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let mut request = format!("wss://{host}:{port}{path}")
        .into_client_request()
        .map_err(|_| EngineError::Usage(no_server()))?;
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            EngineError::Protocol(say!(
                "the server's token cannot be sent",
                "das Token des Servers lässt sich nicht senden"
            ))
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config))
        .await
        .map_err(|e| EngineError::Offline(format!("WebSocket: {e}")))?;
    Ok(socket)
}

/// Nothing of a person goes to a server of which it is known that it is for training and this workstation is not, or the other
/// way round.
pub(super) fn not_mixed(station: &Station) -> Result<(), EngineError> {
    if station.alarms.raised(Alarm::TrainingMixed) {
        return Err(EngineError::Offline(Alarm::TrainingMixed.text().to_owned()));
    }
    Ok(())
}

async fn pump(
    mut socket: Socket,
    conn: u64,
    mut told: mpsc::UnboundedReceiver<Tell>,
    ears: &mpsc::Sender<Told>,
) {
    loop {
        tokio::select! {
            biased;
            order = told.recv() => match order {
                Some(Tell::Send(bytes)) => {
                    if socket.send(Message::Binary(bytes)).await.is_err() {
                        return;
                    }
                }
                Some(Tell::Close(code)) => {
                    let frame = CloseFrame { code: code.into(), reason: "".into() };
                    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(Some(frame))).await;
                    return;
                }
                None => return,
            },
            message = socket.next() => {
                let bytes = match message {
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return,
                    Some(Ok(_)) => Bytes::new(),
                };
                if ears.send(Told::Received(conn, bytes)).await.is_err() {
                    return;
                }
            }
        }
    }
}
