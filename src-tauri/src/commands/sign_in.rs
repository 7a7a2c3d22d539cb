//! Begins a session.

use super::{Answer, Held};
use vitrine_wire::view::SessionView;
use zeroize::Zeroizing;

#[tauri::command]
pub async fn sign_in(shell: Held<'_>, user: String, secret: Zeroizing<String>) -> Answer<SessionView> {
    shell.engine().await?.sign_in(&user, &secret).await.map_err(|e| {
        let view = e.view();
        tracing::debug!(code = ?view.code, "nobody was let in");
        view
    })
}
