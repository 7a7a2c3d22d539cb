//! Ends the session. `idle`: nobody did anything at the screen for a while; absent means that a person locked.

use super::{Answer, Held};

#[tauri::command]
pub async fn lock(shell: Held<'_>, idle: Option<bool>) -> Answer<()> {
    let engine = shell.engine().await?;
    if idle == Some(true) {
        engine.lock_idle();
    } else {
        engine.lock();
    }
    Ok(())
}
