//! The page behind is painted; `front` hears when it is put in front. False: nobody waits for it.

use super::{Answer, Held};
use tauri::WebviewWindow;
use tauri::ipc::Channel;

#[tauri::command]
pub async fn standby_ready(shell: Held<'_>, page: WebviewWindow, front: Channel<bool>) -> Answer<bool> {
    Ok(shell.standby.ready(page.label(), front))
}
