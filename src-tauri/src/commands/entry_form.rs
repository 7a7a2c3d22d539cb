//! The forms for recording.

use super::{Answer, Held};
use vitrine_wire::entry_view::EntryFormView;

#[tauri::command]
pub async fn entry_form(shell: Held<'_>) -> Answer<EntryFormView> {
    Ok(shell.engine().await?.entry_form())
}
