//! Keeps the signed-in person's draft of an entry.

use super::{Answer, Held};
use std::collections::BTreeMap;
use vitrine_wire::entry_view::DraftKind;

#[tauri::command]
pub async fn set_entry_draft(
    shell: Held<'_>,
    patient: String,
    kind: DraftKind,
    fields: BTreeMap<String, String>,
) -> Answer<()> {
    shell
        .engine()
        .await?
        .set_entry_draft(&patient, kind, fields)
        .await
        .map_err(|e| e.view())
}
