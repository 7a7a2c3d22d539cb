//! Begins a downtime drill: this workstation is cut off from its server on purpose. By somebody signed in.

use super::{Answer, Held};
use std::time::Duration;

#[tauri::command]
pub async fn drill_start(shell: Held<'_>, minutes: u32) -> Answer<()> {
    let length = Duration::from_secs(u64::from(minutes) * 60);
    let engine = shell.engine().await?;
    engine.start_drill(length).await.map_err(|e| e.view())
}
