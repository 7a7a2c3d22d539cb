//! Finds patients.

use super::{Answer, Held};
use vitrine_wire::view::SearchView;

#[tauri::command]
pub async fn search(shell: Held<'_>, query: String) -> Answer<SearchView> {
    shell.engine().await?.search(&query).await.map_err(|e| e.view())
}
