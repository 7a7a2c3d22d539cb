//! Ends the session.

use super::{Answer, Held};

#[tauri::command]
pub async fn lock(shell: Held<'_>) -> Answer<()> {
    shell.engine().await?.lock();
    Ok(())
}
