//! Which threads a connection is served by.
//!
//! Lives here: [`Seat`] (what a connection carries), [`Socket`] (its socket, on whichever threads), [`serve`]. Never here:
//! who is an emergency (that is `http::lane`, from what the server knows), accepting and TLS (`http::tls`).
//!
//! Problem: a request has to be read before it is known what it is. Under a flood the threads that read have thousands
//! a second to turn away, and an emergency waits among them. Decision: a connection on which an emergency came is served
//! by the emergency's threads from then on, until it carries anything else; its first request waits with the others.

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::tls::End;

/// A connection's place: among all, or with the emergency's threads.
#[derive(Debug, Default)]
pub struct Seat {
    wanted: watch::Sender<bool>,
    /// Where it is served now.
    urgent: AtomicBool,
}

impl Seat {
    /// The last request it carried was an emergency, or was not.
    pub fn carries(&self, emergency: bool) {
        self.wanted.send_if_modified(|w| {
            let other = *w != emergency;
            *w = emergency;
            other
        });
    }

    /// Whether the emergency's threads serve it.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent.load(Relaxed)
    }

    /// Waits until it is to be served elsewhere.
    async fn moves(&self) {
        let here = self.is_urgent();
        // The sender is in `self`: it does not end.
        let _ = self.wanted.subscribe().wait_for(|w| *w != here).await;
    }
}

/// The socket of a connection. After a move it is registered with the threads that poll it next.
#[derive(Debug)]
pub struct Socket {
    /// `None` after it could not be registered.
    stream: Option<TcpStream>,
    seat: Arc<Seat>,
    urgent: bool,
}

impl Socket {
    /// A socket registered with the threads that call this.
    #[must_use]
    pub const fn new(stream: TcpStream, seat: Arc<Seat>) -> Self {
        Self {
            stream: Some(stream),
            seat,
            urgent: false,
        }
    }

    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        if self.urgent != self.seat.is_urgent() {
            self.urgent = !self.urgent;
            let stream = self.stream.take().ok_or_else(gone)?.into_std()?;
            self.stream = Some(TcpStream::from_std(stream)?);
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.here()?.poll_read(cx, to)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(cx, from)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write_vectored(cx, from)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(cx)
    }
}

/// A connection being served.
struct Served<C> {
    connection: Pin<Box<C>>,
    graceful: fn(Pin<&mut C>),
    end: End,
    http2: bool,
    ending: bool,
    seat: Arc<Seat>,
    /// The threads of all, and the emergency's.
    threads: [Handle; 2],
    _place: OwnedSemaphorePermit,
}

/// Serves a connection to its end, on the threads that call this or, while it carries emergencies, on `first`.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    builder: auto::Builder<TokioExecutor>,
    stream: S,
    (router, end, http2): (Router, End, bool),
    (seat, first): (Arc<Seat>, Handle),
    place: OwnedSemaphorePermit,
) {
    let (inner, carried) = (TowerToHyperService::new(router), seat.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(carried.clone());
        inner.call(request)
    });
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    go_on(Served {
        connection: Box::pin(connection),
        graceful: |c| c.graceful_shutdown(),
        end,
        http2,
        ending: false,
        seat,
        threads: [Handle::current(), first],
        _place: place,
    })
    .await;
}

fn go_on<C: Future + Send + 'static>(mut it: Served<C>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        loop {
            // One that is to end soon stays where it is.
            let stays = it.ending || it.end.is_near();
            tokio::select! {
                _ = it.connection.as_mut() => return,
                () = it.end.reached(it.http2), if !it.ending => {
                    (it.graceful)(it.connection.as_mut());
                    it.ending = true;
                }
                () = it.seat.moves(), if !stays => break,
            }
        }
        let urgent = !it.seat.is_urgent();
        it.seat.urgent.store(urgent, Relaxed);
        it.threads[usize::from(urgent)].clone().spawn(go_on(it));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::workers::{Rank, Workers};
    use axum::Extension;
    use axum::body::Bytes;
    use axum::routing::post;
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    /// Sends back what it got and says which thread served it. The path is what the lanes would say.
    async fn told(
        Extension(seat): Extension<Arc<Seat>>,
        request: Request,
    ) -> ([(&'static str, String); 1], Bytes) {
        seat.carries(request.uri().path() == "/urgent");
        let body = axum::body::to_bytes(request.into_body(), usize::MAX)
            .await
            .unwrap();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        ([("x-thread", thread)], body)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_goes_where_its_requests_belong_and_loses_nothing_on_the_way() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let workers = Workers::start("emergency-worker", 2, Rank::Rest).unwrap();
        let first = workers.handle();
        let router = Router::new().route("/{which}", post(told));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let places = Arc::new(Semaphore::new(8));
        let given = places.clone();
        let (_stop, stopped) = watch::channel(false);
        let (_over, handing_over) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let place = given.clone().acquire_owned().await.unwrap();
                let end = End {
                    stop: stopped.clone(),
                    handing_over: handing_over.clone(),
                };
                let seat = Arc::new(Seat::default());
                let stream = Socket::new(stream, seat.clone());
                let builder = auto::Builder::new(TokioExecutor::new());
                let what = (router.clone(), end, true);
                tokio::spawn(serve(builder, stream, what, (seat, first.clone()), place));
            }
        });
        let body = vec![7u8; 300_000];
        for http2 in [false, true] {
            let client = reqwest::Client::builder().pool_max_idle_per_host(1);
            let client = if http2 {
                client.http2_prior_knowledge()
            } else {
                client.http1_only()
            };
            let client = client.build().unwrap();
            let ask = async |which: &str| {
                let sent = client.post(format!("{url}/{which}")).body(body.clone());
                let answer = sent.send().await.unwrap();
                let thread = answer.headers()["x-thread"].to_str().unwrap().to_owned();
                assert_eq!(answer.bytes().await.unwrap().len(), body.len());
                thread
            };
            // In turns at once: each answer comes whole, wherever the connection is just then.
            for _ in 0..100 {
                ask("urgent").await;
                ask("rest").await;
            }
            for (which, served_by) in [("urgent", "emergency-worker"), ("rest", "tokio-rt-worker")] {
                let mut last = String::new();
                for _ in 0..50 {
                    last = ask(which).await;
                    if last == served_by {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert_eq!(last, served_by, "http2 {http2}");
            }
        }
        let back = tokio::time::timeout(Duration::from_secs(10), places.acquire_many(8));
        assert!(back.await.is_ok(), "every connection gave its place back");
    }
}
