//! The emergency card is no longer on the screen; the grant stays until its time ends.

use super::{Answer, Held};

#[tauri::command]
pub async fn card_close(shell: Held<'_>, patient: String) -> Answer<()> {
    shell.engine().await?.close_chart(&patient);
    Ok(())
}
