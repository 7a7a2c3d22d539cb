//! Begins to tell the screen what happens without being asked.

use super::{Answer, Held};
use crate::events;
use tauri::ipc::Channel;
use vitrine_wire::view::EngineEvent;

#[tauri::command]
pub async fn listen(shell: Held<'_>, channel: Channel<Vec<EngineEvent>>) -> Answer<()> {
    let heard = shell.engine().await?.events();
    tauri::async_runtime::spawn(events::forward(heard, channel));
    Ok(())
}
