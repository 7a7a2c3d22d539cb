//! The signed-in person's draft of an entry.

use super::{Answer, Held};
use vitrine_wire::entry_view::{DraftKind, EntryDraftView};

#[tauri::command]
pub async fn entry_draft(
    shell: Held<'_>,
    patient: String,
    kind: DraftKind,
) -> Answer<Option<EntryDraftView>> {
    shell
        .engine()
        .await?
        .entry_draft(&patient, kind)
        .await
        .map_err(|e| e.view())
}
