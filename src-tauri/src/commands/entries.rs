//! What was recorded at this workstation and is not in the record.

use super::{Answer, Held};
use vitrine_wire::entry_view::EntriesView;

#[tauri::command]
pub async fn entries(shell: Held<'_>) -> Answer<EntriesView> {
    shell.engine().await?.entries().await.map_err(|e| e.view())
}
