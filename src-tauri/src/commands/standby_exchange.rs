//! Puts the lock screen behind in front of the page that asks, and ends its process. False: nothing changed, to be asked again.
//! Never while somebody is signed in: a lock screen over an open session would say what is not so.

use super::{Answer, Held};
use crate::shell::blocking;
use crate::standby;
use tauri::WebviewWindow;

#[tauri::command]
pub async fn standby_exchange(shell: Held<'_>, page: WebviewWindow, pressed_ms: f64) -> Answer<bool> {
    let engine = shell.opened();
    if blocking(move || engine.is_some_and(|e| e.session().is_some())).await? {
        return Ok(false);
    }
    Ok(standby::exchange(&page, pressed_ms)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "the page was not exchanged");
            false
        }))
}
