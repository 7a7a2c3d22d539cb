//! The board of a ward; without one, of this workstation's.

use super::{Answer, Held};
use vitrine_wire::view::BoardView;

#[tauri::command]
pub async fn board(shell: Held<'_>, ward: Option<String>) -> Answer<BoardView> {
    shell
        .engine()
        .await?
        .board(ward.as_deref())
        .await
        .map_err(|e| e.view())
}
