//! Ends an emergency access before its time.

use super::{Answer, Held};

#[tauri::command]
pub async fn break_glass_end(shell: Held<'_>, grant: String) -> Answer<()> {
    let engine = shell.engine().await?;
    engine.end_break_glass(&grant).await.map_err(|e| e.view())
}
