//! What would be recorded, to be read before it is signed.

use super::{Answer, Held};
use vitrine_wire::entry_view::{EntryInput, EntryPreviewView};

#[tauri::command]
pub async fn entry_preview(shell: Held<'_>, patient: String, input: EntryInput) -> Answer<EntryPreviewView> {
    shell
        .engine()
        .await?
        .entry_preview(&patient, &input)
        .await
        .map_err(|e| e.view())
}
