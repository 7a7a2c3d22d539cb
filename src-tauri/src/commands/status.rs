//! What the strip shows.

use super::{Answer, Held};
use crate::shell::blocking;
use vitrine_wire::view::StatusView;

#[tauri::command]
pub async fn status(shell: Held<'_>) -> Answer<StatusView> {
    let engine = shell.engine().await?;
    blocking(move || engine.status()).await
}
