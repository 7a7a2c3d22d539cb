//! A TCP proxy that misbehaves on command: cuts, black holes, half-open lines, delays, byte rates.
//!
//! It stands between workstations and the server because the kernel's own fault injector is often not available.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Carries bytes.
    Up,
    /// New connections are refused, old ones reset.
    Refused,
    /// Connections are accepted and nothing is ever carried: packets vanish.
    BlackHole,
    /// Bytes from the server vanish; those to it arrive.
    HalfOpen,
}

struct Shared {
    line: AtomicU8,
    delay_ms: AtomicU64,
    carried: AtomicU64,
    generation: watch::Sender<u64>,
}

/// A running proxy; it ends with its runtime.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Proxy {
    /// Starts a proxy in front of `server`.
    ///
    /// # Errors
    /// When no port can be bound on loopback.
    pub async fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            line: AtomicU8::new(0),
            delay_ms: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            generation: watch::channel(0).0,
        });
        let s = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(Arc::clone(&s), client, server));
            }
        });
        Ok(Self { shared, addr })
    }

    /// Changes what the line does.
    pub fn set(&self, line: Line) {
        self.shared.line.store(line as u8, Ordering::SeqCst);
        if line == Line::Refused {
            self.cut();
        }
    }

    /// Delays every piece by so much.
    pub fn delay(&self, by: Duration) {
        self.shared.delay_ms.store(
            u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
    }

    /// Resets every connection there is now.
    pub fn cut(&self) {
        self.shared.generation.send_modify(|g| *g += 1);
    }

    /// Bytes carried so far, both ways.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }
}

async fn carry(s: Arc<Shared>, client: TcpStream, server: SocketAddr) {
    if s.line.load(Ordering::SeqCst) == Line::Refused as u8 {
        reset(&client);
        return;
    }
    let mut cut = s.generation.subscribe();
    cut.mark_unchanged();
    let Ok(upstream) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    // a cut is a reset, as of a cable pulled and a switch that forgot
    reset(&client);
    let (mut cr, mut cw) = client.into_split();
    let (mut ur, mut uw) = upstream.into_split();
    let up = pump(&s, &mut cr, &mut uw, true);
    let down = pump(&s, &mut ur, &mut cw, false);
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cut.changed() => {}
    }
}

/// Lets the socket be closed with RST instead of FIN.
fn reset(socket: &TcpStream) {
    let _ = socket.set_zero_linger();
}

async fn pump<R, W>(s: &Shared, from: &mut R, to: &mut W, upward: bool)
where
    R: AsyncReadExt + Unpin,
    W: AsyncWriteExt + Unpin,
{
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(n) = from.read(&mut buffer).await else {
            return;
        };
        if n == 0 {
            return;
        }
        let line = s.line.load(Ordering::SeqCst);
        if line == Line::BlackHole as u8 || (line == Line::HalfOpen as u8 && !upward) {
            continue;
        }
        let delay = s.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let Some(piece) = buffer.get(..n) else { return };
        if to.write_all(piece).await.is_err() {
            return;
        }
        s.carried.fetch_add(n as u64, Ordering::Relaxed);
    }
}
