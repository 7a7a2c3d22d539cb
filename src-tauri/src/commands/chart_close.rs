//! The chart is no longer on the screen.

use super::{Answer, Held};

#[tauri::command]
pub async fn chart_close(shell: Held<'_>, patient: String) -> Answer<()> {
    shell.engine().await?.close_chart(&patient);
    Ok(())
}
