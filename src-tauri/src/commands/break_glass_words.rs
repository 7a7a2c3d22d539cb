//! Adds words to an own emergency access that has none.

use super::{Answer, Held};

#[tauri::command]
pub async fn break_glass_words(shell: Held<'_>, grant: String, words: String) -> Answer<()> {
    let engine = shell.engine().await?;
    engine
        .break_glass_words(&grant, &words)
        .await
        .map_err(|e| e.view())
}
