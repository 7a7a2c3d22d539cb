//! The listener: TLS handshakes beside each other, limits, and a graceful end.
//!
//! Lives here: accepting, handshakes (5 s, at most so many at once), HTTP limits against slow senders, draining.
//! Never here: routes. Called by `cli::serve`.

use super::seat::{self, Seat, Socket};
use crate::app::App;
use crate::clock;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::PrivateKeyDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// A handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The head of a request may take so long.
const HEAD: Duration = Duration::from_secs(10);
/// While the server hands over, a connection that carries many requests is ended after so long, and by chance up to as
/// long again: also one that has only just come from a balancer that has not noticed yet.
const GOES_ON: Duration = Duration::from_millis(500);
/// A peer that is quiet for so long is asked whether it is there, so often, and given up after so many in vain (TCP
/// keep-alive).
#[cfg(target_os = "linux")]
const QUIET: Duration = Duration::from_secs(60);
#[cfg(target_os = "linux")]
const PROBES: Duration = Duration::from_secs(15);
#[cfg(target_os = "linux")]
const UNANSWERED: u32 = 4;
/// Connections still open so long after the end of accepting are cut.
const LAST: Duration = Duration::from_secs(10);

/// The TLS configuration: 1.2 and 1.3, HTTP/1.1 and HTTP/2.
///
/// # Errors
/// [`rustls::Error`] when key and certificate do not belong together.
pub fn acceptor(app: &App) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = config(app)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The same without a protocol: for whoever speaks another one than HTTP.
///
/// # Errors
/// As [`acceptor`].
pub fn config(app: &App) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key: PrivateKeyDer<'static> = app.keys.tls_key.clone_key();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(app.keys.chain.clone(), key)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Serves until `stop` turns true, then lets open requests end. `tls` is `None` only for `--insecure-loopback`.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let handshakes = Arc::new(Semaphore::new(app.config.limits.handshakes));
    let connections = Arc::new(Semaphore::new(app.config.limits.connections));
    loop {
        let Ok(place) = connections.clone().acquire_owned().await else {
            break;
        };
        let Ok(turn) = handshakes.clone().acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|s| *s) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                // Out of file descriptors, as a rule: wait for connections to end instead of spinning.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        noticed_when_gone(&stream);
        let (tls, router) = (tls.clone(), router.clone());
        let end = End {
            stop: stop.clone(),
            handing_over: app.hub.handing_over(),
        };
        let first = app.lanes.first.handle();
        tokio::spawn(one(stream, tls, (router, end), first, place, turn));
    }
    drop(listener);
    let all = u32::try_from(app.config.limits.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(LAST, connections.acquire_many(all)).await;
}

/// Has a peer that went without a word while nothing was on its way to it noticed within two minutes (with something on its
/// way the system's own resending decides): a workstation that lost its power or its network
/// would otherwise be looked after for hours.
#[cfg(target_os = "linux")]
pub(crate) fn noticed_when_gone(stream: &TcpStream) {
    use rustix::net::sockopt;
    let asked = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, QUIET))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, PROBES))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, UNANSWERED));
    if let Err(e) = asked {
        tracing::debug!(error = %e, "a peer that is gone is noticed late");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn noticed_when_gone(_: &TcpStream) {}

/// When a connection is to end.
pub(super) struct End {
    pub stop: watch::Receiver<bool>,
    pub handing_over: watch::Receiver<bool>,
}

impl End {
    /// Whether it will be soon.
    pub(super) fn is_near(&self) -> bool {
        *self.stop.borrow() || *self.handing_over.borrow()
    }

    /// Waits for it. HTTP/1 learns of a server that hands over from the header of its next answer and ends by itself;
    /// ending it here could meet a request that is on its way. HTTP/2 is told on the connection, and loses none.
    pub(super) async fn reached(&mut self, http2: bool) {
        let handed = async {
            if !http2 || self.handing_over.wait_for(|on| *on).await.is_err() {
                return std::future::pending().await;
            }
            let chance = u64::from(clock::random::<1>()[0]);
            tokio::time::sleep(GOES_ON + GOES_ON.mul_f64(chance as f64 / 256.0)).await;
        };
        tokio::select! {
            _ = self.stop.wait_for(|s| *s) => {}
            () = handed => {}
        }
    }
}

async fn one(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    (router, end): (Router, End),
    first: Handle,
    place: OwnedSemaphorePermit,
    turn: OwnedSemaphorePermit,
) {
    let seat = Arc::new(Seat::default());
    let stream = Socket::new(stream, seat.clone());
    match tls {
        None => {
            drop(turn);
            http(stream, (router, end, false), (seat, first), place).await;
        }
        Some(acceptor) => {
            let shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            drop(turn);
            if let Ok(Ok(stream)) = shaken {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                http(stream, (router, end, http2), (seat, first), place).await;
            }
        }
    }
}

/// Boxed, so that what waits in a handshake is small.
fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    what: (Router, End, bool),
    threads: (Arc<Seat>, Handle),
    place: OwnedSemaphorePermit,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(64)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    Box::pin(seat::serve(builder, stream, what, threads, place))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::net::sockopt;

    #[tokio::test]
    async fn a_peer_that_is_gone_is_noticed_within_two_minutes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(!sockopt::socket_keepalive(&stream).unwrap());
        noticed_when_gone(&stream);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let most = sockopt::tcp_keepidle(&stream).unwrap()
            + sockopt::tcp_keepintvl(&stream).unwrap() * sockopt::tcp_keepcnt(&stream).unwrap();
        assert!(most <= Duration::from_secs(120), "{most:?}");
    }
}
