//! Begins the session of whom a badge picked, by their PIN.

use super::{Answer, Held};
use vitrine_wire::view::SessionView;
use zeroize::Zeroizing;

#[tauri::command]
pub async fn badge_sign_in(shell: Held<'_>, token: String, secret: Zeroizing<String>) -> Answer<SessionView> {
    shell
        .engine()
        .await?
        .sign_in_by_badge(&token, &secret)
        .await
        .map_err(|e| e.view())
}
