//! What the lock screen shows. A workstation that cannot be used is opened anew each time it is asked for: it may have
//! been enrolled meanwhile.

use super::{Answer, Held};
use crate::shell::blocking;
use vitrine_wire::view::{DeviceState, LockView};

#[tauri::command]
pub async fn lock_view(shell: Held<'_>) -> Answer<LockView> {
    let engine = shell.engine().await?;
    let view = blocking(move || engine.lock_view()).await?;
    if view.device_state == DeviceState::Enrolled {
        return Ok(view);
    }
    let engine = shell.reopen().await?;
    blocking(move || engine.lock_view()).await
}
