//! The signed-in person's draft of a note.

use super::{Answer, Held};

#[tauri::command]
pub async fn note_draft(shell: Held<'_>, patient: String) -> Answer<Option<String>> {
    shell
        .engine()
        .await?
        .note_draft(&patient)
        .await
        .map_err(|e| e.view())
}
