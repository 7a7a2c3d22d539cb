//! Begins to tell the screen what happens without being asked.

use super::{Answer, Held};
use crate::events;
use tauri::WebviewWindow;
use tauri::ipc::Channel;
use vitrine_wire::view::EngineEvent;

#[tauri::command]
pub async fn listen(shell: Held<'_>, page: WebviewWindow, channel: Channel<Vec<EngineEvent>>) -> Answer<()> {
    let heard = shell.engine().await?.events();
    let task = tauri::async_runtime::spawn(events::forward(heard, channel));
    shell.standby.tells(page.label(), task);
    Ok(())
}
