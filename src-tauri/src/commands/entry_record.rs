//! Records for a patient.

use super::{Answer, Held};
use vitrine_wire::entry_view::{EntryInput, EntryView};

#[tauri::command]
pub async fn entry_record(shell: Held<'_>, patient: String, input: EntryInput) -> Answer<EntryView> {
    shell
        .engine()
        .await?
        .entry_record(&patient, &input)
        .await
        .map_err(|e| e.view())
}
