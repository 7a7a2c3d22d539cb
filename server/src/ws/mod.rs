//! `/ws/sync`: the synchronisation of workstations.
//!
//! Lives here: the driver of `vitrine_sync::server::Session` (one per connection), the hub that reads the feed once for
//! all of them, the work their effects ask for. Never here: the protocol itself (that is `vitrine_sync`), policy.
//! Called by the router and `cli::serve`.

pub mod ahead;
mod entries;
mod grants;
pub mod hub;
mod image_list;
pub mod images;
pub mod live;
mod pages;
mod session;
pub(crate) mod work;

use crate::app::App;
use crate::http::refusal::Refused;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use vitrine_wire::ErrorCode;
use vitrine_wire::frame::MAX_FRAME;

/// Opens the connection. Browsers send an origin, workstations do not: an origin that is not configured is refused.
///
/// # Errors
/// [`Refused`].
pub async fn upgrade(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    known_origin(&app, &headers)?;
    if app.hub.hands_over() {
        let text = "The server is stopping: try again in a few seconds.";
        let mut away = Refused::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Overloaded, text);
        away.refusal.retry_after_s = Some(1);
        return Err(away);
    }
    let upgrade = upgrade.map_err(|_| {
        Refused::new(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadRequest,
            "This address takes WebSocket connections.",
        )
    })?;
    // Default buffers cost 128 KiB a connection; these cost 4 (measured, docs/adr).
    Ok(upgrade
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 20)
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(move |socket| session::drive(app, socket)))
}

/// Whether what was said of ended sessions (`App::ended`) is about this one; also when something was missed.
fn concerns(said: Result<Option<[u8; 32]>, RecvError>, session: &[u8; 32]) -> bool {
    match said {
        Ok(of) => of.is_none_or(|of| of == *session),
        Err(RecvError::Lagged(_)) => true,
        Err(RecvError::Closed) => false,
    }
}

/// Refuses a web page that is not configured.
fn known_origin(app: &App, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let mut known = app.config.listen.origins.iter();
    if origin.to_str().is_ok_and(|o| known.any(|k| k == o)) {
        return Ok(());
    }
    let text = "Web pages may not open this connection: listen.origins names those that may.";
    Err(Refused::new(StatusCode::FORBIDDEN, ErrorCode::Denied, text))
}
