//! MLLP: HL7 v2 over TCP or TLS, one message in flight on each connection.
//!
//! Lives here: accepting, whose connection it is, blocks in, acknowledgements out, the pace of a feed. Never here: what becomes of a
//! message (`ingest::hl7`), how blocks are told apart (`vitrine_hl7v2::frame`). Started by `cli::serve`.
//!
//! Whoever is not among the feeds' addresses is not let in. While a message is worked on nothing more is read from its connection.
//! When the store cannot be written to, the connection is closed without an answer: a sender that has none sends again.

use super::hl7::{Intake, Known, Taken};
use super::permits::OfProgram;
use crate::app::App;
use crate::clock;
use crate::config::Mllp;
use crate::error::Fault;
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use vitrine_hl7v2::frame::{FrameFault, Frames, block};
use vitrine_store::{MessageState, StoreError};

/// A TLS handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A message that has begun ends within so long.
const MESSAGE: Duration = Duration::from_secs(60);
/// An answer is taken within so long.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes read at once.
const READ: usize = 64 << 10;

/// A feed of this server.
struct Fed {
    known: Arc<Known>,
    intake: Intake,
    certificate: Option<String>,
    pace: Mutex<Pace>,
}

/// When the next message of a feed may be worked on.
struct Pace {
    next: Instant,
    each: Duration,
}

impl Fed {
    /// Waits until the feed's rate lets the next one in.
    async fn turn(&self) {
        let until = {
            let mut pace = self.pace.lock().await;
            if pace.each.is_zero() {
                return;
            }
            let now = clock::steady();
            let at = pace.next.max(now);
            pace.next = at + pace.each;
            at.saturating_duration_since(now)
        };
        tokio::time::sleep(until).await;
    }
}

struct Shared {
    app: Arc<App>,
    feeds: Vec<Fed>,
    tls: Option<TlsAcceptor>,
    open: AtomicUsize,
}

impl Shared {
    fn config(&self) -> &Mllp {
        &self.app.config.mllp
    }
    fn refused(&self, why: &'static str) {
        self.app.metrics.count("vitrine_hl7_refused_total", why, 1);
    }
}

/// Goes on with what a stop left behind, and listens when the configuration says where; gives the address.
///
/// # Errors
/// [`Fault`] for an address that cannot be bound, and for certificates that cannot be read.
pub async fn start(app: &Arc<App>) -> Result<Option<SocketAddr>, Fault> {
    let config = &app.config.mllp;
    let feeds: Vec<Fed> = config
        .feed
        .iter()
        .map(|rules| Fed {
            certificate: (!rules.certificate.is_empty()).then(|| rules.certificate.to_ascii_lowercase()),
            intake: Intake::new(
                app.store.clone(),
                Arc::new(OfProgram::feed(app.clone(), &rules.name)),
            ),
            pace: Mutex::new(Pace {
                next: clock::steady(),
                each: match rules.rate {
                    0 => Duration::ZERO,
                    n => Duration::from_secs(1) / n,
                },
            }),
            known: Arc::new(Known::new(rules.clone())),
        })
        .collect();
    if config.address == "off" {
        return Ok(None);
    }
    let listener = TcpListener::bind(&config.address).await.map_err(|e| {
        Fault::failed(format!(
            "mllp.address {} cannot be listened on: {e}",
            config.address
        ))
    })?;
    let at = listener
        .local_addr()
        .map_err(|e| Fault::failed(format!("mllp.address {}: {e}", config.address)))?;
    if feeds.is_empty() {
        tracing::warn!("there is no [[mllp.feed]]: nobody is let in");
    }
    let shared = Arc::new(Shared {
        tls: acceptor(app)?,
        app: app.clone(),
        feeds,
        open: AtomicUsize::new(0),
    });
    tokio::spawn(go_on(shared.clone()));
    tokio::spawn(accept(listener, shared));
    Ok(Some(at))
}

/// What was kept and not settled before a stop: its senders may have given up, and it is ours now. In the order in which it came,
/// whatever its feed.
async fn go_on(shared: Arc<Shared>) {
    match go_on_with(&shared).await {
        Ok(0) => {}
        Ok(n) => tracing::info!(n, "messages of before the stop are settled"),
        Err(e) => tracing::warn!(error = %e, "messages of before the stop wait for the next start"),
    }
}

async fn go_on_with(shared: &Shared) -> Result<u64, StoreError> {
    let (mut after, mut n, mut gone) = (0, 0, BTreeSet::new());
    loop {
        let some = shared.app.store.unsettled_messages(after, 100).await?;
        let Some(last) = some.last() else { break };
        after = last.row.id;
        for kept in some {
            match shared.feeds.iter().find(|f| f.known.rules.name == kept.row.feed) {
                Some(fed) => {
                    fed.intake.again(&fed.known, &kept, None).await?;
                    n += 1;
                }
                None => _ = gone.insert(kept.row.feed),
            }
        }
    }
    for feed in gone {
        tracing::warn!(
            feed,
            "messages of a feed that is no longer in mllp.feed are not settled: configure it, or 'vitrine-server message drop' them"
        );
    }
    Ok(n)
}

fn acceptor(app: &App) -> Result<Option<TlsAcceptor>, Fault> {
    let config = &app.config.mllp;
    if config.tls == "off" {
        return Ok(None);
    }
    let unfit = |e: rustls::Error| Fault::unsafe_to(format!("tls.pem and keys/tls.key do not fit: {e}"));
    if config.tls == "on" {
        let tls = crate::http::tls::config(app).map_err(unfit)?;
        return Ok(Some(TlsAcceptor::from(Arc::new(tls))));
    }
    let path = app.dir.root().join(Path::new(&config.client_ca));
    let unread = |e: &dyn std::fmt::Display| {
        Fault::usage(format!(
            "mllp.client_ca {} cannot be read as PEM ({e}): name the authority of the senders' certificates",
            path.display()
        ))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&path).map_err(|e| unread(&e))? {
        let certificate = certificate.map_err(|e| unread(&e))?;
        roots.add(certificate).map_err(|e| unread(&e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|e| unread(&e))?;
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unfit)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(app.keys.chain.clone(), app.keys.tls_key.clone_key())
        .map_err(unfit)?;
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

/// A place among the connections.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(error = %e, "a feed's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if !shared.feeds.iter().any(|f| comes_from(f, from.ip())) {
            shared.refused("why=\"unknown\"");
            tracing::warn!(%from, "no feed of mllp.feed comes from this address: refused");
            continue;
        }
        // A server that drains takes nothing new; a feed tries another one, or again.
        if *shared.app.draining.borrow() {
            continue;
        }
        if shared.open.fetch_add(1, SeqCst) >= shared.config().connections {
            shared.open.fetch_sub(1, SeqCst);
            shared.refused("why=\"full\"");
            tracing::warn!(%from, "more connections than mllp.connections: refused");
            continue;
        }
        let place = Place(shared.clone());
        tokio::spawn(async move { connection(socket, from, &place.0).await });
    }
}

fn comes_from(fed: &Fed, from: IpAddr) -> bool {
    fed.known.rules.addresses().any(|a| a == from)
}

async fn connection(socket: TcpStream, from: SocketAddr, shared: &Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    crate::http::tls::noticed_when_gone(&socket);
    let ended = match &shared.tls {
        None => Line::new(shared, from, None).serve(socket).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(socket)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates();
                let print = shown.and_then(|all| all.first()).map(|c| hex(&Sha256::digest(c)));
                Line::new(shared, from, print.as_deref()).serve(stream).await
            }
            Ok(Err(e)) => {
                shared.refused("why=\"tls\"");
                Err(e.to_string())
            }
            Err(_) => Err("the TLS handshake took too long".to_owned()),
        },
    };
    if let Err(why) = ended {
        tracing::warn!(%from, why, "a feed's connection ended early");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// A connection at work.
struct Line<'s> {
    shared: &'s Shared,
    /// The feeds that it may be.
    feeds: Vec<&'s Fed>,
}

impl<'s> Line<'s> {
    fn new(shared: &'s Shared, from: SocketAddr, certificate: Option<&str>) -> Self {
        let feeds = shared
            .feeds
            .iter()
            .filter(|f| comes_from(f, from.ip()))
            .filter(|f| f.certificate.as_deref().is_none_or(|c| Some(c) == certificate))
            .collect();
        Self { shared, feeds }
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
        if self.feeds.is_empty() {
            self.shared.refused("why=\"unknown\"");
            return Err("no feed of mllp.feed has this certificate".to_owned());
        }
        let most = self.shared.config().message_mib << 20;
        let mut frames = Frames::new(most);
        let mut bytes = vec![0; READ];
        let mut draining = self.shared.app.draining.subscribe();
        loop {
            let message = match frames.message() {
                Ok(Some(message)) => message,
                Ok(None) => {
                    let reading = stream.read(&mut bytes);
                    let n = if frames.is_within() {
                        let read = tokio::time::timeout(MESSAGE, reading).await;
                        read.map_err(|_| "a message began and did not end".to_owned())?
                    } else {
                        tokio::select! {
                            read = reading => read,
                            _ = draining.wait_for(|d| *d) => return Ok(()),
                        }
                    };
                    match n {
                        Ok(0) if frames.is_within() => {
                            return Err("it ended within a message".to_owned());
                        }
                        Ok(0) => return Ok(()),
                        Ok(n) => frames.take(bytes.get(..n).unwrap_or_default()),
                        Err(e) => return Err(e.to_string()),
                    }
                    continue;
                }
                Err(e) => {
                    self.shared.refused(match e {
                        FrameFault::TooLong(_) => "why=\"long\"",
                        FrameFault::Outside | FrameFault::Unended => "why=\"block\"",
                    });
                    return Err(e.to_string());
                }
            };
            let began = clock::steady();
            let taken = match self.take(message).await {
                Ok(taken) => taken,
                Err(e) => {
                    self.shared.app.metrics.took("vitrine_hl7_seconds", "", None);
                    // No answer is the only one that every sender takes for "send it again".
                    return Err(format!("a message could not be kept: {e}"));
                }
            };
            self.counted(&taken, began.elapsed());
            for answer in taken.acknowledgements() {
                let answer = block(&answer);
                let writing = stream.write_all(&answer);
                match tokio::time::timeout(ANSWER, writing).await {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) => return Err(e.to_string()),
                    Err(_) => return Err("it does not take its answers".to_owned()),
                }
            }
        }
    }

    async fn take(&self, message: Vec<u8>) -> Result<Taken, StoreError> {
        let message = Bytes::from(message);
        let header = super::hl7::header_of(&message);
        let fits = |f: &&&Fed| f.known.rules.is_sender(&header.application, &header.facility);
        // One that fits none is kept with the first, and held.
        let Some(fed) = self.feeds.iter().find(fits).or(self.feeds.first()) else {
            return Err(StoreError::Refused("no feed".to_owned()));
        };
        fed.turn().await;
        fed.intake.take(&fed.known, message).await
    }

    fn counted(&self, taken: &Taken, took: Duration) {
        let metrics = &self.shared.app.metrics;
        let state = match (taken.again, taken.outcome.state) {
            (true, _) => "state=\"again\"",
            (_, MessageState::Applied) => "state=\"applied\"",
            (_, MessageState::Held) => "state=\"held\"",
            _ => "state=\"known\"",
        };
        metrics.count("vitrine_hl7_messages_total", state, 1);
        metrics.took("vitrine_hl7_seconds", "", Some(took));
        if let (false, Some(fault)) = (taken.again, &taken.fault) {
            tracing::warn!(id = taken.id, %fault, "a message is held");
        }
    }
}
