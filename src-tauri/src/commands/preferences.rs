//! How this workstation shows things.

use super::{Answer, Held};
use crate::preferences::{Preferences, read};
use crate::shell::blocking;

#[tauri::command]
pub async fn preferences(shell: Held<'_>) -> Answer<Preferences> {
    let profile = shell.profile().to_owned();
    blocking(move || read(&profile)).await
}
