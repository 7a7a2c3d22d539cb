//! What breaking the glass asks for.

use super::{Answer, Held};
use vitrine_wire::view::ReasonsView;

#[tauri::command]
pub async fn reasons(shell: Held<'_>) -> Answer<ReasonsView> {
    Ok(shell.engine().await?.reasons())
}
