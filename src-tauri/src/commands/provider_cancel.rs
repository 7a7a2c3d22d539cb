//! Ends a sign-in by the provider that waits for the browser.

use super::{Answer, Held};

#[tauri::command]
pub async fn provider_cancel(shell: Held<'_>) -> Answer<()> {
    shell.engine().await?.cancel_provider();
    Ok(())
}
