//! Changes how this workstation shows things, at once and for the next start.

use super::{Answer, Held};
use crate::preferences::{Preferences, write};
use crate::shell::blocking;
use tauri::WebviewWindow;

#[tauri::command]
pub async fn preferences_set(shell: Held<'_>, window: WebviewWindow, preferences: Preferences) -> Answer<()> {
    if let Err(error) = window.set_zoom(preferences.zoom()) {
        tracing::warn!(%error, "the size of the window's content was not changed");
    }
    // What was loaded behind looks otherwise, and is made anew.
    shell.standby.forget();
    // The screen opens anew by itself, and reads everything again.
    vitrine_engine::language::speak(preferences.language);
    let profile = shell.profile().to_owned();
    blocking(move || {
        if let Err(error) = write(&profile, preferences) {
            tracing::warn!(%error, "the preferences were not kept for the next start");
        }
    })
    .await
}
