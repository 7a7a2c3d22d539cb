//! Breaks the glass. The engine answers only after its audit row is on disk.

use super::{Answer, Held};
use serde::Deserialize;
use vitrine_engine::{BreakGlass, Identity};
use vitrine_wire::view::EmergencyCardView;
use zeroize::Zeroizing;

/// What the screen sends. No Debug: it may carry a secret.
#[derive(Deserialize)]
pub struct BreakGlassRequest {
    patient: String,
    reason: String,
    words: Option<String>,
    /// From `emergency_identify`.
    token: Option<String>,
    user: Option<String>,
    secret: Option<Zeroizing<String>>,
    /// From `badge`.
    badge: Option<String>,
}

impl BreakGlassRequest {
    /// A token before a secret; neither means the person signed in.
    fn identity(
        token: Option<String>,
        user: Option<String>,
        secret: Option<Zeroizing<String>>,
        badge: Option<String>,
    ) -> Identity {
        match (token, user, secret) {
            (Some(token), _, _) => Identity::Token(token),
            (None, Some(user), Some(secret)) => Identity::UserSecret { user, secret, badge },
            _ => Identity::Session,
        }
    }
}

#[tauri::command]
pub async fn break_glass_open(shell: Held<'_>, request: BreakGlassRequest) -> Answer<EmergencyCardView> {
    let BreakGlassRequest {
        patient,
        reason,
        words,
        token,
        user,
        secret,
        badge,
    } = request;
    let identity = BreakGlassRequest::identity(token, user, secret, badge);
    let asked = BreakGlass {
        patient,
        reason,
        words,
        identity,
    };
    shell
        .engine()
        .await?
        .break_glass(asked)
        .await
        .map_err(|e| e.view())
}
