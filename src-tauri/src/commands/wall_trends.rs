//! The trends of the open wall.

use super::{Answer, Held};
use vitrine_wire::wall_view::WallTrendsView;

#[tauri::command]
pub async fn wall_trends(shell: Held<'_>) -> Answer<WallTrendsView> {
    shell.engine().await?.wall_trends().await.map_err(|e| e.view())
}
