//! Checks what is stored on this workstation. Needs nobody to be signed in; shows nothing of it.

use super::{Answer, Held};
use vitrine_wire::sync_view::CheckView;

#[tauri::command]
pub async fn verify_stored(shell: Held<'_>) -> Answer<CheckView> {
    shell.engine().await?.verify_stored().await.map_err(|e| e.view())
}
