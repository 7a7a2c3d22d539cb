//! Ends a downtime drill. Needs nobody to be signed in: whoever stands there needs the server.

use super::{Answer, Held};

#[tauri::command]
pub async fn drill_end(shell: Held<'_>) -> Answer<()> {
    shell.engine().await?.end_drill().await.map_err(|e| e.view())
}
