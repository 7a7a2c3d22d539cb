//! The screen looks at another frame of an open series.

use super::{Answer, Held};

#[tauri::command]
pub async fn image_center(shell: Held<'_>, view: u32, frame: u32, velocity: f32, px: u32) -> Answer<()> {
    shell
        .engine()
        .await?
        .image_center(view, frame, velocity, px)
        .map_err(|e| e.view())
}
