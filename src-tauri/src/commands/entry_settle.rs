//! Takes a rejected entry off the list.

use super::{Answer, Held};

#[tauri::command]
pub async fn entry_settle(shell: Held<'_>, id: String, words: String) -> Answer<()> {
    shell
        .engine()
        .await?
        .entry_settle(&id, &words)
        .await
        .map_err(|e| e.view())
}
