//! F5: connect to the server now instead of waiting for the next attempt.

use super::{Answer, Held};

#[tauri::command]
pub async fn ask_server(shell: Held<'_>) -> Answer<()> {
    shell.engine().await?.ask_server_now();
    Ok(())
}
