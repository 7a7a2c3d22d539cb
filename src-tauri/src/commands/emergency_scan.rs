//! Finds the patient of a scanned band for somebody identified without a session.

use super::{Answer, Held};
use vitrine_engine::IdentityToken;
use vitrine_wire::scan_view::ScanView;

#[tauri::command]
pub async fn emergency_scan(shell: Held<'_>, token: String, text: String) -> Answer<ScanView> {
    shell
        .engine()
        .await?
        .emergency_scan(&IdentityToken::new(token), &text)
        .await
        .map_err(|e| e.view())
}
