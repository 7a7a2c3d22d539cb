//! `serve`: the running server, from the lock to the last answered request.

use super::{Context, Outcome, admin};
use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::error::Fault;
use crate::http;
use crate::jobs;
use crate::keys::Keys;
use clap::Args;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Data folder; made at the first start.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address of HTTPS and WebSocket (default 127.0.0.1:8443).
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address of the metrics listener, or "off" (default 127.0.0.1:9464).
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    /// Address at which HL7 v2 comes in over MLLP, or "off" (default off). Who may send is in mllp.feed.
    #[arg(long, value_name = "ADDR")]
    mllp: Option<String>,
    /// Address at which modalities send images by C-STORE, or "off" (default off). Who may is in dimse.peers.
    #[arg(long, value_name = "ADDR")]
    dimse: Option<String>,
    /// Speak for monitors that do not exist, in a folder of the synthetic hospital alone: for training.
    #[arg(long)]
    synthetic_monitors: bool,
    /// For tests: plain HTTP, on a loopback address alone.
    #[arg(long)]
    insecure_loopback: bool,
}

pub(super) async fn serve(context: &Context, args: ServeArgs) -> Result<Outcome, Fault> {
    let dir = DataDir::open(&args.data, true)?;
    let mut config = context.config(&dir)?;
    let address = match args.listen {
        Some(a) => a,
        None => config
            .listen
            .address
            .parse()
            .map_err(|_| Fault::usage("listen.address is not an address with port"))?,
    };
    if let Some(m) = args.metrics {
        if m != "off" && m.parse::<SocketAddr>().is_err() {
            return Err(Fault::usage(format!(
                "--metrics '{m}' must be an address with port or \"off\""
            )));
        }
        config.listen.metrics = m;
    }
    if let Some(d) = args.dimse {
        if d != "off" && d.parse::<SocketAddr>().is_err() {
            return Err(Fault::usage(format!(
                "--dimse '{d}' must be an address with port or \"off\""
            )));
        }
        config.dimse.address = d;
    }
    if let Some(m) = args.mllp {
        config.mllp.address = m;
        if let Some((key, fix)) = config.mllp.fault() {
            return Err(Fault::usage(format!("--mllp: {key} {fix}")));
        }
    }
    if args.insecure_loopback && !address.ip().is_loopback() {
        return Err(Fault::usage(format!(
            "--insecure-loopback: {address} is not a loopback address: listen on 127.0.0.1 or use TLS"
        )));
    }
    if args.synthetic_monitors && !dir.is_demo() {
        return Err(Fault::unsafe_to(format!(
            "--synthetic-monitors: {} is not a folder of the synthetic hospital: no values are made up about real patients",
            dir.root().display()
        )));
    }
    start_log(&config);
    let _lock = dir.lock()?;
    let keys = Keys::open(&dir, &config.tls, Some(address))?;
    let (store, files) = crate::ops::backup::open_store(&dir, &keys, &config).await?;
    let listener = bind(address)?;
    let metrics = bind_metrics(&config);
    let app = App::new(dir, config, keys, store).await?;
    let tls = if args.insecure_loopback {
        None
    } else {
        Some(
            http::tls::acceptor(&app)
                .map_err(|e| Fault::unsafe_to(format!("tls.pem and keys/tls.key do not fit: {e}")))?,
        )
    };
    jobs::bases::start(&app, &files);
    jobs::tiers::start(&app, &files);
    let _ = app.console.files.set(files.clone());
    admin::listen(app.clone(), files)?;
    jobs::start(&app);
    crate::imaging::packing::start(&app);
    crate::imaging::copies::start(&app);
    crate::ws::hub::start(&app);
    crate::lanes::start(&app);
    if args.synthetic_monitors {
        crate::live::synthetic::start(&app);
    }
    if let Some(metrics) = &metrics {
        serve_metrics(app.clone(), metrics.1.clone());
    }
    http::health::serve_agent(&app).await?;
    let dimse = crate::ingest::dimse::start(&app).await?;
    let mllp = crate::ingest::mllp::start(&app).await?;
    announce(
        &app,
        &listener,
        [metrics.as_ref().map(|m| m.0), dimse, mllp],
        !args.insecure_loopback,
    )
    .await?;
    run(app, listener, tls).await;
    Ok(Outcome::done(json!({"stopped": true}), "stopped"))
}

/// Serves until SIGTERM or SIGINT, then drains.
async fn run(app: Arc<App>, listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>) {
    let (stop, stopped) = watch::channel(false);
    let router = http::router(app.clone());
    let serving = tokio::spawn(http::tls::serve(app.clone(), listener, tls, router, stopped));
    asked_to_stop().await;
    tracing::info!("draining");
    app.draining.send_replace(true);
    tokio::time::sleep(Duration::from_secs(app.config.listen.drain_seconds)).await;
    let _ = stop.send(true);
    app.hub.hand_over(true);
    app.hub.close(500, 5_000);
    let _ = serving.await;
    jobs::tree::last(&app).await;
    let _ = std::fs::remove_file(app.dir.admin_socket());
    tracing::info!("stopped");
}

#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() {
    let _ = tokio::signal::ctrl_c().await;
}

fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    let failed = |e: std::io::Error| {
        let fix = match e.kind() {
            std::io::ErrorKind::AddrInUse => "another program has it: choose another port with --listen",
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need rights: choose a higher one with --listen"
            }
            _ => "choose an address of this machine with --listen",
        };
        Fault::usage(format!("--listen {address}: {e}; {fix}"))
    };
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    socket.listen(4096).map_err(failed)
}

/// The metrics listener. A port that is taken is no reason to keep a hospital waiting: it is logged and printed.
fn bind_metrics(
    config: &Config,
) -> Option<(SocketAddr, Arc<std::sync::Mutex<Option<std::net::TcpListener>>>)> {
    let address: SocketAddr = config.listen.metrics.parse().ok()?;
    match std::net::TcpListener::bind(address).and_then(|l| l.set_nonblocking(true).map(|()| l)) {
        Ok(l) => {
            let at = l.local_addr().unwrap_or(address);
            Some((at, Arc::new(std::sync::Mutex::new(Some(l)))))
        }
        Err(e) => {
            tracing::error!(%address, error = %e, "no metrics: the address is taken; set listen.metrics");
            None
        }
    }
}

fn serve_metrics(app: Arc<App>, listener: Arc<std::sync::Mutex<Option<std::net::TcpListener>>>) {
    let taken = listener.lock().ok().and_then(|mut l| l.take());
    let Some(Ok(listener)) = taken.map(TcpListener::from_std) else {
        return;
    };
    let router = http::health::metrics_router(app);
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
}

/// The one line on stdout that says: ready.
async fn announce(
    app: &App,
    listener: &TcpListener,
    [metrics, dimse, mllp]: [Option<SocketAddr>; 3],
    tls: bool,
) -> Result<(), Fault> {
    use std::io::Write as _;
    let listen = listener
        .local_addr()
        .map_err(|e| Fault::failed(format!("the listening address is not known: {e}")))?;
    let line = json!({
        "ready": true,
        "listen": listen.to_string(),
        "url": format!("{}://{listen}", if tls { "https" } else { "http" }),
        "fingerprint": app.keys.ca_fingerprint,
        "certificate_fingerprint": app.keys.certificate_fingerprint,
        "ca": app.dir.ca_pem().display().to_string(),
        "metrics": metrics.map(|m| m.to_string()),
        "dimse": dimse.map(|d| d.to_string()),
        "mllp": mllp.map(|m| m.to_string()),
        "epoch": app.store.epoch().await?,
        "demo": app.dir.is_demo(),
        "version": env!("CARGO_PKG_VERSION"),
        "at": clock::instant(clock::now()),
    });
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
    tracing::info!(%listen, demo = app.dir.is_demo(), "ready");
    Ok(())
}

fn start_log(config: &Config) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("VITRINE_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("{},hyper=warn,rustls=warn,h2=warn", config.log.level)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let _ = if config.log.format == "json" {
        builder.json().try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
}
