//! `/healthz`, `/readyz`, the metrics listener, and the answer to a load balancer's agent.
//!
//! Lives here: what a load balancer and Prometheus read; nothing of a patient. Called by the router and `cli::serve`.

use crate::app::App;
use crate::clock;
use crate::error::Fault;
use crate::ops::breaker::State as Breaker;
use crate::ops::metrics::Gauge;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// The load score, 0 (idle) to 100 (turning work away).
pub const X_VITRINE_LOAD: HeaderName = HeaderName::from_static("x-vitrine-load");

/// A store that takes longer to say which epoch it is in does not answer.
const ANSWERS: Duration = Duration::from_secs(2);

/// The process lives.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether the server takes work, and if not, why.
async fn readiness(app: &App) -> Result<(), &'static str> {
    if *app.draining.borrow() {
        return Err("draining");
    }
    match tokio::time::timeout(ANSWERS, app.store.epoch()).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err("the store does not answer"),
    }
}

/// The load score.
#[must_use]
pub fn load(app: &App) -> u8 {
    app.lanes.load(app.hub.clients(), app.config.limits.connections)
}

/// The server takes work: not while it drains, not when the store does not answer. With its load score.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let load = load(&app);
    let (status, why) = match readiness(&app).await {
        Ok(()) => (StatusCode::OK, None),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, Some(why)),
    };
    let body = json!({
        "ready": why.is_none(), "why": why, "load": load, "in_flight": app.lanes.in_flight(),
        "sockets": app.hub.clients(), "delay_ms": app.lanes.pressure.delay_ms(),
    });
    let headers = [(X_VITRINE_LOAD, HeaderValue::from(u16::from(load)))];
    (status, headers, axum::Json(body)).into_response()
}

/// What the running server says of itself in `doctor`.
#[must_use]
pub fn standing(app: &App) -> Value {
    let lanes: serde_json::Map<String, Value> = app
        .lanes
        .standing()
        .into_iter()
        .map(|s| {
            let how = json!({"places": s.places, "working": s.working, "waiting": s.waiting});
            (s.class.name().to_owned(), how)
        })
        .collect();
    let breakers: serde_json::Map<String, Value> = app
        .breakers
        .iter()
        .map(|b| (b.name.to_owned(), json!(words(b.state()))))
        .collect();
    let images = if app.room.is_short() {
        "none are made ready: their disk has less free than images.reserve_mib"
    } else {
        "made ready as they come"
    };
    json!({"draining": *app.draining.borrow(), "load": load(app), "sockets": app.hub.clients(),
        "users": app.known.people(clock::now()), "pressure": app.lanes.pressure.level() as u8,
        "lanes": lanes, "breakers": breakers, "images": images})
}

const fn words(state: Breaker) -> &'static str {
    match state {
        Breaker::Closed { .. } => "closed",
        Breaker::Probing { .. } => "half-open",
        Breaker::Open { .. } => "open",
    }
}

/// One line for HAProxy's agent-check: the weight that is left, or that no new work should come.
pub async fn agent(app: &App) -> String {
    match readiness(app).await {
        Ok(()) => format!("ready up {}%\n", 100 - load(app).min(99)),
        Err("draining") => "drain\n".to_owned(),
        Err(_) => "down\n".to_owned(),
    }
}

/// Answers the load balancer's agent, where one is configured: a line for every connection, then the end.
///
/// # Errors
/// [`Fault`] when the address cannot be had: a load balancer that asks there would take the server for dead.
pub async fn serve_agent(app: &Arc<App>) -> Result<(), Fault> {
    let address = &app.config.listen.agent;
    if address == "off" {
        return Ok(());
    }
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener =
        listener.map_err(|e| Fault::usage(format!("listen.agent {address}: {e}; choose another")))?;
    let app = app.clone();
    tokio::spawn(async move {
        loop {
            if let Ok((mut stream, _)) = listener.accept().await {
                let line = agent(&app).await;
                let _ = tokio::time::timeout(ANSWERS, stream.write_all(line.as_bytes())).await;
            } else {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    Ok(())
}

/// What others know and Prometheus wants.
fn gauges(app: &App) -> Vec<Gauge> {
    let now = clock::now();
    let (fed, behind_ms) = app.hub.fed();
    let newest = app.hub.newest();
    let one = |name, help, value| -> Gauge { (name, help, String::new(), value) };
    #[allow(clippy::cast_precision_loss)]
    let n = |n: u64| n as f64;
    let size = |s: usize| n(s as u64);
    let mut out = vec![
        one(
            "vitrine_users",
            "People signed in here",
            size(app.known.people(now)),
        ),
        one(
            "vitrine_sync_clients",
            "Workstations connected",
            size(app.hub.clients()),
        ),
        one(
            "vitrine_reviews_open",
            "Broken glass that nobody has reviewed yet",
            n(app.waiting.open.load(Ordering::Relaxed)),
        ),
        one(
            "vitrine_reviews_waiting",
            "Of those, past 12 hours after the event",
            n(app.waiting.long.load(Ordering::Relaxed)),
        ),
        one(
            "vitrine_reviews_overdue",
            "Of those, past the 24 hours after the event",
            n(app.waiting.overdue.load(Ordering::Relaxed)),
        ),
        one(
            "vitrine_live_monitors",
            "Patients of whom a monitor was heard in the last twelve hours",
            size(app.live.monitors()),
        ),
        one(
            "vitrine_live_walls",
            "Walls of live vital signs that are open",
            size(app.walls.open()),
        ),
        one(
            "vitrine_feed_position",
            "Newest committed position of the change feed",
            n(newest),
        ),
        one(
            "vitrine_feed_lag_rows",
            "Committed rows not yet handed on",
            n(newest.saturating_sub(fed)),
        ),
        one(
            "vitrine_feed_behind_seconds",
            "From a commit to its frames, last time",
            n(behind_ms) / 1000.0,
        ),
        one(
            "vitrine_pressure_level",
            "What is turned away: 0 nothing, 1 bulk, 2 opening patients, 3 sign-ins",
            f64::from(app.lanes.pressure.level() as u8),
        ),
        one(
            "vitrine_event_loop_delay_seconds",
            "Longest delay at the last measurement",
            n(app.lanes.pressure.delay_ms()) / 1000.0,
        ),
        one("vitrine_load", "Load score, 0 to 100", f64::from(load(app))),
        one(
            "vitrine_image_packing_paused",
            "1 while no images are made ready because their disk has less free than images.reserve_mib",
            f64::from(u8::from(app.room.is_short())),
        ),
        one(
            "vitrine_draining",
            "1 while the server drains",
            f64::from(u8::from(*app.draining.borrow())),
        ),
    ];
    let standing = app.lanes.standing();
    for (name, help, of) in [
        ("vitrine_lane_places", "Places of a lane", 0),
        ("vitrine_lane_working", "Requests of a lane worked on", 1),
        ("vitrine_lane_waiting", "Requests of a lane waiting", 2),
    ] {
        for s in &standing {
            let value = [s.places, s.working, s.waiting][of];
            out.push((name, help, s.class.label().to_owned(), size(value)));
        }
    }
    for s in app.store.stalls() {
        let label = format!(
            "pid=\"{}\",database=\"{}\"",
            s.pid,
            s.database.replace('\\', "\\\\").replace('"', "\\\"")
        );
        out.push((
            "vitrine_database_stall_seconds",
            "For how long a transaction in the database's cluster has been writing, if it is too long",
            label,
            s.age_s,
        ));
    }
    out.push(one(
        "vitrine_audit_tree_rows",
        "Rows in the audit log's tree",
        n(app.tree.standing().size),
    ));
    out.push(one(
        "vitrine_audit_tree_fault",
        "1 while the audit log's tree is stopped: rows are not what they were, or its files are damaged",
        f64::from(u8::from(app.tree.standing().fault.is_some())),
    ));
    out.push(one(
        "vitrine_notice_behind_seconds",
        "For how long somebody should have been told of broken glass by mail",
        app.notices.oldest_s(),
    ));
    out.extend(app.tree.witnesses().iter().map(|w| w.gauge()));
    out.extend(app.repository.iter().flat_map(|r| r.gauges()));
    out.extend(app.copies.gauges());
    for b in &app.breakers {
        let value = match b.state() {
            Breaker::Closed { .. } => 0.0,
            Breaker::Probing { .. } => 1.0,
            Breaker::Open { .. } => 2.0,
        };
        let label = format!("of=\"{}\"", b.name);
        out.push((
            "vitrine_breaker_state",
            "0 closed, 1 one probe under way, 2 open",
            label,
            value,
        ));
    }
    out
}

/// Prometheus text.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.metrics.text(&gauges(&app));
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}

/// What the metrics listener serves.
pub fn metrics_router(app: Arc<App>) -> axum::Router {
    axum::Router::new()
        .route("/metrics", axum::routing::get(metrics))
        .with_state(app)
}
