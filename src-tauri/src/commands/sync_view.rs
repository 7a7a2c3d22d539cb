//! What this workstation can be relied on for. Needs nobody to be signed in.

use super::{Answer, Held};
use crate::shell::blocking;
use vitrine_wire::sync_view::SyncView;

#[tauri::command]
pub async fn sync_view(shell: Held<'_>) -> Answer<SyncView> {
    let engine = shell.engine().await?;
    blocking(move || engine.sync_view()).await
}
