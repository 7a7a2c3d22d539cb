//! Finds a patient for somebody identified without a session.

use super::{Answer, Held};
use vitrine_engine::IdentityToken;
use vitrine_wire::view::SearchView;

#[tauri::command]
pub async fn emergency_search(shell: Held<'_>, token: String, query: String) -> Answer<SearchView> {
    shell
        .engine()
        .await?
        .emergency_search(&IdentityToken::new(token), &query)
        .await
        .map_err(|e| e.view())
}
