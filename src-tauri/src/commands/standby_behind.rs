//! Whether the page that asks lies behind the one that is seen.

use super::{Answer, Held};
use tauri::WebviewWindow;

#[tauri::command]
pub async fn standby_behind(shell: Held<'_>, page: WebviewWindow) -> Answer<bool> {
    Ok(shell.standby.is_behind(page.label()))
}
