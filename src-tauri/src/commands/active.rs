//! The person at the screen did something: the idle lock waits anew.

use super::{Answer, Held};

#[tauri::command]
pub async fn active(shell: Held<'_>) -> Answer<()> {
    shell.engine().await?.active();
    Ok(())
}
