//! A person gives themselves a new password or PIN (ADR 55).
//!
//! At the server alone: without it nothing is changed here, for every other workstation would still know the old one. What the old one
//! opened goes when the staff list comes (`heed_staff_list`). Never here: what a secret must be (`access::secrets`).

use super::rows::Ended;
use crate::EngineError;
use crate::link;
use crate::station::Station;
use std::time::Duration;
use vitrine_access::secrets;
use vitrine_clinical::say;
use vitrine_wire::ErrorCode;
use vitrine_wire::http::SecretRequest;
use zeroize::Zeroizing;

/// The server is asked about whoever was let in here no longer than this.
const ASKED: Duration = Duration::from_secs(10);

/// What somebody chose.
#[derive(Clone)]
pub enum NewSecret {
    /// A password.
    Password(Zeroizing<String>),
    /// A PIN.
    Pin(Zeroizing<String>),
}

/// Changes it at the server, and locks: every session under the old one is over.
pub(crate) async fn change_secret(
    station: &Station,
    now: &Zeroizing<String>,
    new: NewSecret,
) -> Result<(), EngineError> {
    let fit = match &new {
        NewSecret::Password(text) => secrets::password(text),
        NewSecret::Pin(text) => secrets::pin(text),
    };
    fit.map_err(|unfit| {
        EngineError::Usage(say!(
            "Not changed: {unfit}.",
            "Nicht geändert: {unfit}.",
            unfit = unfit.text()
        ))
    })?;
    if let NewSecret::Password(text) = &new
        && text == now
    {
        return Err(EngineError::Usage(say!(
            "Not changed: this is the password you have.",
            "Nicht geändert: Das ist Ihr jetziges Kennwort."
        )));
    }
    // Whoever was let in a moment ago by what is here: the server is still being asked.
    let mut asking = station.asking.subscribe();
    let _ = tokio::time::timeout(ASKED, asking.wait_for(|n| *n == 0)).await;
    let token = {
        let session = station.session();
        let session = session.as_ref().ok_or(EngineError::NotSignedIn)?;
        session.token.clone()
    };
    let Some(token) = token else {
        return Err(EngineError::Offline(say!(
            "a password or PIN is changed at the server alone: sign in again once it is there",
            "Kennwort und PIN werden nur am Server geändert: erneut anmelden, sobald er da ist"
        )));
    };
    let (new_password, new_pin) = match new {
        NewSecret::Password(text) => (Some(text.to_string()), None),
        NewSecret::Pin(text) => (None, Some(text.to_string())),
    };
    let request = SecretRequest {
        password: now.to_string(),
        new_password,
        new_pin,
    };
    match link::change_secret(station, &token, &request).await {
        Ok(_) => {
            station.lock(Ended::Person);
            Ok(())
        }
        Err(EngineError::Refused {
            code: ErrorCode::WrongSecret,
            ..
        }) => Err(EngineError::WrongSecret { retry_after_s: 0 }),
        Err(EngineError::Refused {
            code: ErrorCode::Throttled,
            retry_after_s,
            ..
        }) => Err(EngineError::Throttled {
            retry_after_s: retry_after_s.unwrap_or_default(),
        }),
        Err(other) => Err(other),
    }
}
