//! Opens the wall of live vital signs of a ward; without one, of this workstation's.

use super::{Answer, Held};
use vitrine_wire::wall_view::WallView;

#[tauri::command]
pub async fn wall_open(shell: Held<'_>, ward: Option<String>) -> Answer<WallView> {
    shell
        .engine()
        .await?
        .wall_open(ward.as_deref())
        .await
        .map_err(|e| e.view())
}
