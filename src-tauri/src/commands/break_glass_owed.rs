//! Own emergency accesses that have no words yet.

use super::{Answer, Held};
use vitrine_wire::view::OwedWordsView;

#[tauri::command]
pub async fn break_glass_owed(shell: Held<'_>) -> Answer<OwedWordsView> {
    let engine = shell.engine().await?;
    engine.break_glass_owed().await.map_err(|e| e.view())
}
