//! A server of images for the workstation's tests: TLS, sign-in, `/ws/images`, packs made by `vitrine_pixels`.

use crate::support::Profiled;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use vitrine_dicom::display::{Beside, Display, Place, Who};
use vitrine_engine::profile::{DeviceFile, Profile};
use vitrine_pixels::pack::{Entry, Frame, Index, Writer, write_piece};
use vitrine_pixels::{Colour, Shape, layers};
use vitrine_wire::http::LoginResponse;
use vitrine_wire::images::{Ask, INDEX_FRAMES, ListedSeries, ListedStudy, PackRef, Piece, Told, Without};

pub const STUDY: &str = "1.2.826.0.1.77";
pub const SERIES: &str = "1.2.826.0.1.77.1";
pub const TOKEN: &str = "token-of-the-test";

/// A pack in memory.
pub struct Pack {
    pub id: String,
    pub index: Index,
    pub bytes: Vec<u8>,
}

/// The plain pixels of a frame: a gradient with noise, another for each number.
pub fn plain(shape: Shape, number: u32) -> Vec<u8> {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut out = Vec::new();
    for y in 0..shape.rows {
        for x in 0..shape.columns {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let v = (x * 7 + y * 3 + number * 11 + state % 16) % (1 << shape.bits.min(12));
            match shape.width() {
                1 => out.push(v as u8),
                _ => out.extend_from_slice(&(v as u16).to_le_bytes()),
            }
        }
    }
    out
}

pub fn beside(number: u32, who: &Who) -> Vec<u8> {
    let display = Display {
        position: Some([0.0, 0.0, f64::from(number) * 1.5]),
        orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        number: Some(i64::from(number)),
        ..Display::default()
    };
    let place = Place {
        position: display.position,
        orientation: display.orientation,
        number: display.number,
        frame: 1,
        ..Place::default()
    };
    serde_json::to_vec(&Beside {
        display,
        place,
        who: who.clone(),
    })
    .unwrap()
}

pub fn mary() -> Who {
    Who {
        name: Some("JONES, MARY".into()),
        id: Some("44710932".into()),
        issuer: None,
        birth_date: Some("19580204".into()),
        sex: Some("F".into()),
    }
}

pub fn pack(shape: Shape, numbers: std::ops::Range<u32>, who: &Who) -> Pack {
    let mut w = Writer::new(Vec::new()).unwrap();
    for number in numbers {
        let entry = Entry {
            sop: format!("1.2.826.0.1.77.1.{number}"),
            number: 1,
            colour: Colour::Monochrome2,
            lossy: false,
            display: beside(number, who),
        };
        w.push(entry, layers::encode(shape, &plain(shape, number)).unwrap())
            .unwrap();
    }
    let (bytes, index, _) = w.finish().unwrap();
    Pack {
        id: blake3::hash(&bytes).to_hex().to_string(),
        index,
        bytes,
    }
}

impl Pack {
    pub fn segment(&self, frame: u32, layer: u8) -> Option<Vec<u8>> {
        let f = self.index.frames.get(frame as usize)?;
        let s = f.segments.get(usize::from(layer))?;
        Some(self.bytes[s.offset as usize..s.offset as usize + s.len as usize].to_vec())
    }
}

/// What the server has and has heard.
#[derive(Default)]
pub struct State {
    pub packs: BTreeMap<String, Vec<Arc<Pack>>>,
    pub without: Vec<Without>,
    pub asked: Vec<Ask>,
    /// Bytes of segments sent.
    pub sent: u64,
    /// No segment is sent once so many bytes were.
    pub hold_at: Option<u64>,
    /// Each so-manieth segment is damaged when it is sent for the first time.
    pub flip: Option<u64>,
    flipped: std::collections::BTreeSet<(u16, u32, u8)>,
    count: u64,
    /// Time for each segment.
    pub pace: Duration,
    pub connections: u32,
    /// Nobody is let in.
    pub closed: bool,
    /// No list is told.
    pub silent: bool,
}

pub struct Server {
    pub state: Arc<Mutex<State>>,
    _runtime: tokio::runtime::Runtime,
}

/// The profile's own server from now on.
pub fn serve(p: &Profiled, packs: Vec<Arc<Pack>>) -> Server {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let profile = Profile::at(&p.dir).unwrap();
    let device = profile.read_device().unwrap().unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    profile.write_device(&DeviceFile { server, ..device }).unwrap();
    std::fs::write(profile.ca(), made.cert.pem()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let state = Arc::new(Mutex::new(State {
        packs: [(SERIES.to_owned(), packs)].into(),
        ..State::default()
    }));
    let shared = Arc::clone(&state);
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (tls, state) = (tls.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                let _ = tcp.set_nodelay(true);
                if state.lock().unwrap().closed {
                    return;
                }
                let Ok(stream) = tls.accept(tcp).await else { return };
                let _ = talk(stream, state).await;
            });
        }
    });
    Server {
        state,
        _runtime: runtime,
    }
}

type Tls = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn talk(mut stream: Tls, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut b = [0];
        if stream.read(&mut b).await? == 0 {
            return Ok(());
        }
        head.push(b[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        head.lines()
            .find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, v)| v.trim().to_owned())
    };
    if head.starts_with("POST /auth/login ") {
        let len: usize = field("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; len];
        stream.read_exact(&mut body).await?;
        let answer = serde_json::to_vec(&LoginResponse {
            token: TOKEN.into(),
            expires_in_s: 600,
            display: "Dr LEE".into(),
            role: "physician".into(),
            wards: vec!["ED".into()],
            server_time_ms: vitrine_engine::clock::Clock::new().wall().0,
        })
        .unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&answer).await?;
        return stream.shutdown().await;
    }
    assert!(head.starts_with("GET /ws/images?v=1 "), "{head}");
    assert_eq!(
        field("authorization").as_deref(),
        Some("Bearer token-of-the-test")
    );
    let accept = derive_accept_key(field("sec-websocket-key").unwrap().as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    state.lock().unwrap().connections += 1;
    session(
        WebSocketStream::from_raw_socket(stream, Role::Server, None).await,
        state,
    )
    .await;
    Ok(())
}

async fn session(mut ws: WebSocketStream<Tls>, state: Arc<Mutex<State>>) {
    let mut views: BTreeMap<u32, Vec<Arc<Pack>>> = BTreeMap::new();
    let mut due: std::collections::VecDeque<(u32, u16, u32, u8)> = std::collections::VecDeque::new();
    loop {
        let may = {
            let s = state.lock().unwrap();
            !due.is_empty() && s.hold_at.is_none_or(|at| s.sent < at)
        };
        let message = if may {
            tokio::select! {
                biased;
                m = ws.next() => m,
                () = std::future::ready(()) => {
                    let Some((view, pack, frame, layer)) = due.pop_front() else { continue };
                    let Some(packs) = views.get(&view) else { continue };
                    let Some(mut body) = packs[pack as usize].segment(frame, layer) else { continue };
                    let pace = {
                        let mut s = state.lock().unwrap();
                        s.count += 1;
                        let nth = s.flip.is_some_and(|n| s.count.is_multiple_of(n));
                        if nth && s.flipped.insert((pack, frame, layer)) {
                            let at = body.len() / 2;
                            body[at] ^= 4;
                        }
                        s.sent += body.len() as u64;
                        s.pace
                    };
                    if !pace.is_zero() {
                        tokio::time::sleep(pace).await;
                    }
                    let piece = Piece::Segment { view, pack, frame, segment: layer, body: body.into() };
                    if ws.send(Message::Binary(piece.write())).await.is_err() {
                        return;
                    }
                    continue;
                }
            }
        } else {
            match tokio::time::timeout(Duration::from_millis(20), ws.next()).await {
                Ok(m) => m,
                Err(_) => {
                    if state.lock().unwrap().closed {
                        return;
                    }
                    continue;
                }
            }
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else { continue };
        let ask: Ask = serde_json::from_str(text.as_str()).unwrap();
        state.lock().unwrap().asked.push(ask.clone());
        match ask {
            Ask::List { .. } if state.lock().unwrap().silent => {}
            Ask::List { patient } => {
                let told = Told::List {
                    patient,
                    studies: listed(&state.lock().unwrap()),
                };
                tell(&mut ws, &told).await;
            }
            Ask::Open {
                view, series, held, ..
            } => {
                let (packs, without) = {
                    let s = state.lock().unwrap();
                    (
                        s.packs.get(&series).cloned().unwrap_or_default(),
                        s.without.clone(),
                    )
                };
                let told = Told::Opened {
                    view,
                    packs: packs
                        .iter()
                        .map(|p| PackRef {
                            id: p.id.clone(),
                            frames: p.index.frames.len() as u32,
                            bytes: p.bytes.len() as u64,
                        })
                        .collect(),
                    without,
                    preparing: 0,
                };
                tell(&mut ws, &told).await;
                for (n, p) in packs.iter().enumerate().filter(|(_, p)| !held.contains(&p.id)) {
                    let pack = n as u16;
                    for (i, part) in p.index.frames.chunks(INDEX_FRAMES).enumerate() {
                        let piece = Piece::Index {
                            view,
                            pack,
                            first: (i * INDEX_FRAMES) as u32,
                            body: piece(part),
                        };
                        let _ = ws.send(Message::Binary(piece.write())).await;
                        if n == 0 && i == 0 {
                            let f = &part[0];
                            due.extend((0..f.segments.len()).map(|s| (view, 0, 0, s as u8)));
                        }
                    }
                }
                views.insert(view, packs);
            }
            Ask::Want { view, segments } => {
                due.extend(segments.into_iter().map(|(p, f, l)| (view, p, f, l)));
            }
            Ask::Forget { view } => due.retain(|d| d.0 != view),
            // Of the line that fetches ahead, which this server does not have.
            Ask::Prove { .. } => {}
            Ask::Close { view } => {
                due.retain(|d| d.0 != view);
                views.remove(&view);
            }
        }
    }
}

fn piece(frames: &[Frame]) -> Bytes {
    write_piece(frames).unwrap().into()
}

async fn tell(ws: &mut WebSocketStream<Tls>, told: &Told) {
    let _ = ws
        .send(Message::Text(serde_json::to_string(told).unwrap().into()))
        .await;
}

fn listed(s: &State) -> Vec<ListedStudy> {
    let series = s.packs.iter().map(|(uid, packs)| {
        let frames = packs.iter().map(|p| p.index.frames.len() as u32).sum();
        ListedSeries {
            uid: uid.clone(),
            number: Some(2),
            modality: Some("CT".into()),
            description: Some("Chest".into()),
            body_part: Some("CHEST".into()),
            instances: frames,
            ready: frames,
            preparing: 0,
            frames,
        }
    });
    vec![ListedStudy {
        uid: STUDY.into(),
        day: Some(20_261_012),
        time: Some("081400".into()),
        description: Some("CT chest".into()),
        accession: Some("A77".into()),
        series: series.collect(),
    }]
}

impl Server {
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap())
    }
    /// Segments asked for, in order.
    pub fn wanted(&self) -> Vec<(u32, u16, u32, u8)> {
        self.with(|s| {
            s.asked
                .iter()
                .flat_map(|a| match a {
                    Ask::Want { view, segments } => {
                        segments.iter().map(|(p, f, l)| (*view, *p, *f, *l)).collect()
                    }
                    _ => Vec::new(),
                })
                .collect()
        })
    }
}
