//! Loads the lock screen behind the page that is seen.

use super::{Answer, Held};
use crate::preferences::read;
use crate::shell::blocking;
use crate::standby;
use tauri::WebviewWindow;

#[tauri::command]
pub async fn standby_prepare(shell: Held<'_>, page: WebviewWindow) -> Answer<()> {
    use tauri::Manager;
    if shell.standby.is_behind(page.label()) {
        return Ok(());
    }
    let profile = shell.profile().to_owned();
    let kept = blocking(move || read(&profile)).await?;
    if let Err(error) = standby::prepare(page.app_handle(), &shell.standby, kept.language, kept.zoom()) {
        tracing::error!(%error, "no lock screen can be loaded behind the page");
    }
    Ok(())
}
