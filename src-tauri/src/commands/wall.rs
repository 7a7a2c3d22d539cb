//! The open wall as it stands now.

use super::{Answer, Held};
use vitrine_wire::wall_view::WallView;

#[tauri::command]
pub async fn wall(shell: Held<'_>) -> Answer<WallView> {
    shell.engine().await?.wall().await.map_err(|e| e.view())
}
