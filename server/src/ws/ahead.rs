//! `/ws/images/ahead`: the stream of images for a workstation on its own behalf, so that the small pictures of its ward's
//! patients are there when the network is not.
//!
//! Lives here: who it is, and what such a connection may have: lists, indexes, layers of 64 pixels, of patients who lie in
//! its ward now (the policy's rule "own-ward-images"). Never here: the stream itself (`images`).

use super::images::drive;
use super::known_origin;
use crate::app::App;
use crate::clock;
use crate::http::refusal::Refused;
use crate::identity::devices::signed_by;
use crate::identity::sessions::Caller;
use crate::keys::{hex, unhex};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::policy::Subject;
use vitrine_clinical::{DeviceId, UtcMs};
use vitrine_pixels::pack::Frame;
use vitrine_store::{DeviceRow, DeviceState, StoreError};
use vitrine_sync::proof;
use vitrine_wire::ErrorCode;
use vitrine_wire::images::{Ask, Told};

/// Who has not proven itself for so long is nobody.
const PROOF: Duration = Duration::from_secs(10);
/// Longest message taken before: a proof.
const ASK_MOST: usize = 256 << 10;
/// Not an enrolled workstation, or not any more.
const NOBODY: u16 = 4401;

/// Opens the connection.
///
/// # Errors
/// [`Refused`].
pub async fn upgrade(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    known_origin(&app, &headers)?;
    let upgrade = upgrade.map_err(|_| {
        let text = "This address takes WebSocket connections.";
        Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text)
    })?;
    let threads = app.image_threads.handle();
    Ok(upgrade
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 24)
        .max_message_size(ASK_MOST)
        .max_frame_size(ASK_MOST)
        .on_upgrade(move |socket| async move {
            let _ = threads.spawn(begin(app, socket)).await;
        }))
}

async fn begin(app: Arc<App>, mut socket: WebSocket) {
    let proven = tokio::time::timeout(PROOF, prove(&app, &mut socket)).await;
    match proven {
        Ok(Some(caller)) => drive(app, caller, socket).await,
        Ok(None) | Err(_) => {
            let frame = CloseFrame {
                code: NOBODY,
                reason: "not an enrolled workstation".into(),
            };
            let _ = socket.send(Message::Close(Some(frame))).await;
        }
    }
}

async fn prove(app: &App, socket: &mut WebSocket) -> Option<Caller> {
    let nonce = hex(&clock::random::<32>());
    let ask = Told::Prove { nonce: nonce.clone() };
    let text = serde_json::to_string(&ask).ok()?;
    socket.send(Message::Text(text.into())).await.ok()?;
    let Message::Text(answer) = socket.recv().await?.ok()? else {
        return None;
    };
    let Ok(Ask::Prove { device, signature }) = serde_json::from_str(answer.as_str()) else {
        return None;
    };
    let id = DeviceId::new(device.as_str()).ok()?;
    let row = app.store.device(&id).await.ok()??;
    let message = proof::device_images(&nonce, &device);
    let signature = unhex(&signature).unwrap_or_default();
    (row.state != DeviceState::Revoked && signed_by(&row.public_key, &message, &signature))
        .then(|| of_device(id, &row))
}

/// A workstation on its own behalf.
pub(crate) fn of_device(id: DeviceId, row: &DeviceRow) -> Caller {
    Caller {
        subject: Subject::Device {
            ward: row.ward.clone(),
            site: row.site,
        },
        device: Some(id),
        ward: Some(row.ward.clone()),
        session: [0; 32],
        until: UtcMs(i64::MAX),
        purpose: None,
    }
}

/// The caller of such a connection as it is now; `None` when the workstation was revoked.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn again(app: &App, caller: &Caller) -> Result<Option<Caller>, StoreError> {
    let Some(id) = &caller.device else { return Ok(None) };
    let row = app.store.device(id).await?;
    let row = row.filter(|r| r.state != DeviceState::Revoked);
    Ok(row.map(|r| of_device(id.clone(), &r)))
}

/// Whether it speaks for a workstation, and for nobody who stands at it.
pub(super) const fn is_device(caller: &Caller) -> bool {
    matches!(caller.subject, Subject::Device { .. })
}

/// Whether a segment is of the layer of 64 pixels.
pub(super) fn is_small(frame: &Frame, segment: u8) -> bool {
    frame.coding.layer(&frame.shape, usize::from(segment)) == 0
}
