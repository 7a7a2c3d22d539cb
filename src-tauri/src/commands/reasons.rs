//! The reasons among which breaking the glass asks to choose.

use super::{Answer, Held};
use vitrine_wire::view::ReasonView;

#[tauri::command]
pub async fn reasons(shell: Held<'_>) -> Answer<Vec<ReasonView>> {
    Ok(shell.engine().await?.reasons())
}
