//! `/healthz`, `/readyz` and the metrics listener.
//!
//! Lives here: what a load balancer and Prometheus read; nothing of a patient. Called by the router and `cli::serve`.

use crate::app::App;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The process lives.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The server takes work: not while it drains, not when the store does not answer.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    if *app.draining.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match app.store.epoch().await {
        Ok(_) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response(),
    }
}

/// Prometheus text.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.metrics.text(app.hub.clients(), *app.store.watch().borrow());
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}
