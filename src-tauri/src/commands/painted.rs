//! The screen has painted something.

use super::{Answer, Held};

#[tauri::command]
pub async fn painted(shell: Held<'_>, mark: String, since_key_ms: Option<f64>) -> Answer<()> {
    shell.marks.set(mark, since_key_ms);
    Ok(())
}
