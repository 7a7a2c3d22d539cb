//! `POST /enrol/hello` and `POST /enrol`: a new workstation.
//!
//! Lives here: proving to the workstation that we know its code before it sends the code, and using the code up.
//! Never here: making codes (`cli::acts`). Called by the router.

use super::auth::sign_in_row;
use super::refusal::Refused;
use crate::app::App;
use crate::clock;
use crate::identity::devices;
use crate::keys::{hex, unhex};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use ring::hmac;
use std::sync::Arc;
use vitrine_access::{Actor, Kind};
use vitrine_clinical::DeviceId;
use vitrine_store::{NewDevice, StoreError};
use vitrine_wire::ErrorCode;
use vitrine_wire::http::{EnrolHelloRequest, EnrolHelloResponse, EnrolRequest, EnrolResponse};

fn bad(text: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, text)
}

fn unknown_code() -> Refused {
    let text =
        "This code is not known, was used, or has expired: make a new one with 'vitrine-server enrol'.";
    Refused::new(StatusCode::NOT_FOUND, ErrorCode::NotEnrolled, text)
}

/// The CA and the proof that this server knows the code.
///
/// # Errors
/// [`Refused`].
pub async fn hello(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<EnrolHelloResponse>, Refused> {
    let asked: EnrolHelloRequest =
        serde_json::from_slice(&body).map_err(|_| bad("The body is not a hello."))?;
    if unhex(&asked.nonce).is_none_or(|n| n.len() != 16) || asked.code_hint.len() != 8 {
        return Err(bad(
            "A hello has 16 random bytes and the first 8 characters of the code's SHA-256, both hex.",
        ));
    }
    let codes = app.store.enrol_codes(clock::now()).await?;
    let hint = asked.code_hint.to_ascii_lowercase();
    let code = codes
        .into_iter()
        .find(|c| hex(&c.hash).starts_with(&hint))
        .ok_or_else(unknown_code)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &code.hash);
    let message = [
        b"vitrine-enrol-server".as_slice(),
        asked.nonce.as_bytes(),
        app.keys.ca_pem.as_bytes(),
    ]
    .concat();
    let proof = hex(hmac::sign(&key, &message).as_ref());
    Ok(Json(EnrolHelloResponse {
        ca_pem: app.keys.ca_pem.clone(),
        proof,
    }))
}

/// Uses the code up.
///
/// # Errors
/// [`Refused`].
pub async fn enrol(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<EnrolResponse>, Refused> {
    let asked: EnrolRequest =
        serde_json::from_slice(&body).map_err(|_| bad("The body is not an enrolment."))?;
    let name: String = asked
        .name
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    if name.is_empty() {
        return Err(bad("A workstation needs a name."));
    }
    let public_key = unhex(&asked.public_key).filter(|k| k.len() == 32);
    let public_key = public_key.ok_or_else(|| bad("public_key must be an Ed25519 key: 32 bytes, hex."))?;
    let id =
        DeviceId::new(clock::new_uuid().to_string()).map_err(|_| bad("The device id could not be made."))?;
    let device = NewDevice {
        id: id.clone(),
        name,
        public_key,
    };
    let row = app
        .store
        .enrol(devices::code_hash(&asked.code), device, clock::now())
        .await
        .map_err(|e| match e {
            StoreError::Refused(_) => unknown_code(),
            other => other.into(),
        })?;
    app.store
        .append(sign_in_row(
            Actor::Device(id.clone()),
            Some(id),
            Kind::Enrol,
            "one-time-code",
            true,
        ))
        .await?;
    Ok(Json(EnrolResponse {
        device: row.id.to_string(),
        ward: row.ward.to_string(),
        site: row.site,
        server_key: app.keys.server_key_hex(),
        demo: app.dir.is_demo(),
    }))
}
