//! The paint marks, for benchmarks and tests; only in an automation build.

use super::{Answer, Held};
use crate::marks::Mark;

#[tauri::command]
pub async fn marks(shell: Held<'_>) -> Answer<Vec<Mark>> {
    Ok(shell.marks.all())
}
