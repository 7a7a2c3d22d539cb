//! Whom a badge picks, by what a reader typed. Nobody is let in by it.

use super::{Answer, Held};
use vitrine_wire::view::BadgeView;

#[tauri::command]
pub async fn badge(shell: Held<'_>, text: String) -> Answer<BadgeView> {
    shell.engine().await?.badge(&text).await.map_err(|e| e.view())
}
