//! Which ways of signing in are open at this workstation now (ADR 45).
//!
//! Lives here: what the server says of it, kept for when it is away; the question to the server before a lower way is taken. Never
//! here: the rule (`vitrine_access::ways`), secrets. Called by `sign_in`, `badges`, `declared`, `status` and the link. Breaking the glass
//! never comes here.
//!
//! Who knows whether the provider answers is the server, asked at the sign-in itself. Without an answer within a second the way is
//! open, and its row says so; the server is asked once more behind it, and may take the session back.

use super::rows;
use crate::error::Envelope;
use crate::link;
use crate::station::Station;
use crate::{EngineError, entropy};
use std::time::Duration;
use vitrine_access::Kind;
use vitrine_access::ways::{self, Because, Found, Reach, TakeProvider, Way};
use vitrine_clinical::UserId;
use vitrine_wire::message::{ProviderIn, WaysIn};
use vitrine_wire::view::EngineEvent;

/// Where it is kept, beside the essentials.
const NOTE: &str = "ways-in";
/// Longest text taken.
const MOST: usize = 4096;
/// Longest wait for the server's answer: with it, badge and PIN stay within two seconds.
const ASK: Duration = Duration::from_secs(1);

/// Takes over what the server says.
pub(crate) fn take(station: &Station, said: &WaysIn) {
    let Ok(text) = serde_json::to_string(said) else {
        return;
    };
    if text.len() > MOST {
        tracing::warn!("what the server says of the ways of signing in is too long to be true");
        return;
    }
    if station.essentials.note(NOTE).ok().flatten().as_deref() != Some(text.as_str()) {
        if let Err(e) = station.essentials.set_note(NOTE, &text) {
            tracing::warn!(error = %e, "the ways of signing in could not be kept");
        }
        station.tell(EngineEvent::LockChanged);
    }
}

/// What the server said last.
fn kept(station: &Station) -> Option<WaysIn> {
    let text = station.essentials.note(NOTE).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

/// The hospital's provider, where there is one.
pub(crate) fn provider(station: &Station) -> Option<ProviderIn> {
    kept(station)?.provider
}

/// The key under which badges are kept; `None` before the server has said it.
pub(crate) fn badge_key(station: &Station) -> Option<[u8; 32]> {
    let bytes = entropy::unhex(&kept(station)?.badge_key)?;
    bytes.try_into().ok()
}

/// What is known of the provider now: the server is asked for up to a second. `None`: it answered and asks for no provider.
async fn found(station: &Station, user: &UserId) -> Option<Found> {
    match tokio::time::timeout(ASK, link::way(station, user.as_str())).await {
        Ok(Ok(a)) => a.required.then_some(Found {
            required: true,
            reach: if a.provider_answers {
                Reach::Up
            } else {
                Reach::Down
            },
            vouched: a.vouched,
        }),
        // Nobody who would know answers in time.
        Ok(Err(_)) | Err(_) => Some(Found {
            required: true,
            reach: Reach::ServerAway,
            vouched: false,
        }),
    }
}

/// Whether an emergency account opens anything now (ADR 49).
///
/// # Errors
/// [`EngineError::Envelope`], with its row.
pub(super) async fn declared(station: &Station, user: &UserId) -> Result<Because, EngineError> {
    // Without a provider the server stands for it: who answers there can give somebody an account.
    let found = found(station, user).await.unwrap_or(Found {
        required: false,
        reach: Reach::Up,
        vouched: false,
    });
    ways::decide(Way::Declared, found).map_err(|TakeProvider| {
        rows::not_let_in(station, user, Kind::Identify, ways::REFUSED);
        EngineError::Envelope(Envelope::Answered)
    })
}

/// Whether somebody may sign in by less than the provider now; asks the server where the place says that the provider is the way in.
///
/// # Errors
/// [`EngineError::UseProvider`], with its row.
pub(super) async fn open(station: &Station, user: &UserId) -> Result<Because, EngineError> {
    let Some(provider) = provider(station).filter(|p| p.required) else {
        return Ok(Because::Free);
    };
    let Some(found) = found(station, user).await else {
        return Ok(Because::Free);
    };
    ways::decide(Way::Pin, found).map_err(|TakeProvider| {
        rows::not_let_in(station, user, Kind::SignIn, ways::REFUSED);
        EngineError::UseProvider { name: provider.name }
    })
}
