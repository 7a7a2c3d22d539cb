//! An open series is no longer on the screen.

use super::{Answer, Held};

#[tauri::command]
pub async fn image_close(shell: Held<'_>, view: u32) -> Answer<()> {
    shell.engine().await?.image_close(view);
    Ok(())
}
