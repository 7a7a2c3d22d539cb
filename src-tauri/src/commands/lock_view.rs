//! What the lock screen shows.

use super::{Answer, Held};
use crate::shell::blocking;
use vitrine_wire::view::LockView;

#[tauri::command]
pub async fn lock_view(shell: Held<'_>) -> Answer<LockView> {
    let engine = shell.engine().await?;
    blocking(move || engine.lock_view()).await
}
