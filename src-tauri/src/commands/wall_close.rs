//! Closes the wall of live vital signs.

use super::{Answer, Held};

#[tauri::command]
pub async fn wall_close(shell: Held<'_>) -> Answer<()> {
    shell.engine().await?.wall_close();
    Ok(())
}
