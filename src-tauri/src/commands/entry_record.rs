//! Records for a patient what was read before.

use super::{Answer, Held};
use vitrine_wire::entry_view::{EntryInput, EntrySeen, EntryView};

#[tauri::command]
pub async fn entry_record(
    shell: Held<'_>,
    patient: String,
    input: EntryInput,
    seen: EntrySeen,
) -> Answer<EntryView> {
    shell
        .engine()
        .await?
        .entry_record(&patient, &input, &seen)
        .await
        .map_err(|e| e.view())
}
