//! Keeps the signed-in person's draft of a note.

use super::{Answer, Held};

#[tauri::command]
pub async fn set_note_draft(shell: Held<'_>, patient: String, text: String) -> Answer<()> {
    shell
        .engine()
        .await?
        .set_note_draft(&patient, &text)
        .await
        .map_err(|e| e.view())
}
